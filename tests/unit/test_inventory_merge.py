"""Merging: joins, domains, duplicate addresses, completeness, and an inventory that is the same whatever order things come in."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from cloudsync.adapter import Discovery, Found, FoundInterface, ScopeState, TargetSettings
from cloudsync.inventory.labels import LabelSource, Pick
from cloudsync.inventory.merge import build
from cloudsync.inventory.rules import InventoryRules, RoutingDomain
from cloudsync.inventory.static import StaticInventory, read_static
from cloudsync.inventory.values import Inventory, dump, load
from cloudsync.model.address import AddressSet
from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync.model.workload import Domain, PointId
from cloudsync.policy.values import Policy
from cloudsync.settings import packaged_schema

HERE = Where("cloudsync.yaml", 4, 5)
POLICY = Policy((("role", ("web", "db")), ("env", ("prod",))), (), (), (), ())
TARGETS = [TargetSettings(name, "aws", TargetMode.EXCLUSIVE, {}, HERE) for name in ("t", "u")]
RULES = InventoryRules((LabelSource("role", Pick.TAG, "Role", HERE),))


def found(ref: str, *addresses: str, name: str = "", network: str = "vpc-1", account: str = "1", **tags: str) -> Found:
    interface = FoundInterface(f"eni-{ref}", network, AddressSet.of(*addresses), PointId(f"p/{ref}"))
    return Found(ref, name or ref, account, f"{account}/r", tuple(sorted(tags.items())), (interface,) if addresses else ())


def discovery(*machines: Found, target: str = "t", why: str = "") -> Discovery:
    scopes = sorted({machine.scope for machine in machines}) or ["1/r"]
    return Discovery(target, machines, tuple(ScopeState(scope, why) for scope in scopes))


def static(text: str) -> StaticInventory:
    entries, findings = read_static([("inventory/s.yaml", f"workloads:\n{text}".encode())], packaged_schema("inventory"))
    assert not findings
    return entries


def merge(*discoveries: Discovery, entries: StaticInventory | None = None, rules: InventoryRules = RULES) -> Inventory:
    return build(discoveries, entries or StaticInventory(), rules, POLICY, TARGETS)


def texts(inventory: Inventory) -> list[str]:
    return [
        f"{one.id} {one.name} [{one.labels.text()}] {' '.join(i.addresses.text() + '@' + i.domain for i in one.interfaces)}"
        for one in inventory.workloads
    ]


def virtual(ref: str, vip: str, device: str = "pair-1") -> Found:
    """A virtual server: reached at its VIP, opening connections from addresses that it shares."""
    own = FoundInterface(ref, "rd0", AddressSet.of(vip), PointId(f"p/{ref}"), shared=device)
    out = FoundInterface("snat", "rd0", AddressSet.of("10.6.0.1", "10.6.0.2"), None, source_only=True, shared=device)
    return Found(ref, ref, device, "1/r", (), (own, out))


def test_virtual_servers_of_one_device_may_share_what_nobody_else_may() -> None:
    assert merge(discovery(virtual("a", "10.6.1.1"), virtual("b", "10.6.1.1"), virtual("c", "10.6.1.2"))).usable
    apart = merge(discovery(virtual("a", "10.6.1.1"), virtual("b", "10.6.1.2", device="pair-2")))
    assert [finding.code for finding in apart.findings] == ["DUPLICATE-ADDRESS"]
    with_snat = merge(discovery(virtual("a", "10.6.1.1"), virtual("b", "10.6.1.2"), found("i-1", "10.6.0.2")))
    assert [finding.code for finding in with_snat.findings] == ["DUPLICATE-ADDRESS"]
    with_vip = merge(discovery(virtual("a", "10.6.1.1"), virtual("b", "10.6.1.2"), found("i-1", "10.6.1.2")))
    assert [finding.message for finding in with_vip.findings] == ["'b' (t/b) and 'i-1' (t/i-1) both have 10.6.1.2"]


def test_many_sharers_hide_no_clash() -> None:
    crowd = [virtual(f"v{number:03}", "10.6.1.1") for number in range(200)]
    inventory = merge(discovery(*crowd, found("i-1", "10.0.0.1"), found("i-2", "10.0.0.1")))
    assert [finding.message for finding in inventory.findings] == ["'i-1' (t/i-1) and 'i-2' (t/i-2) both have 10.0.0.1"]


def test_discovered_and_static_stand_side_by_side_in_order_of_their_ids() -> None:
    entries = static("  - {name: bm, addresses: [10.9.0.1], labels: {role: db}}\n")
    inventory = merge(discovery(found("i-2", "10.0.0.2", Role="web")), discovery(found("i-1", "10.0.0.1"), target="u"), entries=entries)
    assert texts(inventory) == [
        "static/bm bm [role=db] 10.9.0.1@default",
        "t/i-2 i-2 [role=web] 10.0.0.2@default",
        "u/i-1 i-1 [(no label)] 10.0.0.1@default",
    ]
    assert inventory.usable
    assert inventory.complete


@pytest.mark.parametrize("entry", ["{name: other, ref: i-1, labels: {role: db}}", "{name: web-1, labels: {role: db}}"])
def test_an_entry_joins_by_ref_or_by_equal_name_and_outranks_tags(entry: str) -> None:
    inventory = merge(discovery(found("i-1", "10.0.0.1", name="web-1", Role="web")), entries=static(f"  - {entry}\n"))
    assert texts(inventory) == ["t/i-1 web-1 [role=db] 10.0.0.1@default"]
    assert inventory.workloads[0].source == "role: static"


def test_addresses_that_only_the_entry_knows_are_added_in_the_same_domain() -> None:
    rules = InventoryRules(domains=(RoutingDomain(Domain("d"), ("t",), HERE),))
    inventory = merge(
        discovery(found("i-1", "10.0.0.1")), entries=static("  - {name: i-1, addresses: [10.0.0.1, 10.0.0.9]}\n"), rules=rules
    )
    assert texts(inventory) == ["t/i-1 i-1 [(no label)] 10.0.0.1@d 10.0.0.9@d"]


def test_a_name_that_several_go_by_joins_the_one_that_shares_an_address_or_none() -> None:
    both = discovery(found("i-1", "10.0.0.1", name="asg"), found("i-2", "10.0.0.2", name="asg"))
    shared = merge(both, entries=static("  - {name: asg, addresses: [10.0.0.2], labels: {role: db}}\n"))
    assert [one.labels.text() for one in shared.workloads] == ["(no label)", "role=db"]
    assert shared.warnings == ()
    each = merge(both, entries=static("  - {name: asg, addresses: [10.0.0.1, 10.0.0.2], labels: {role: db}}\n"))
    assert [one.labels.text() for one in each.workloads if one.target] == ["(no label)", "(no label)"]
    assert "AMBIGUOUS-STATIC" in [finding.code for finding in each.warnings]
    neither = merge(both, entries=static("  - {name: asg, labels: {role: db}}\n"))
    assert [one.labels.text() for one in neither.workloads if one.target] == ["(no label)", "(no label)"]
    assert [finding.code for finding in neither.warnings] == ["AMBIGUOUS-STATIC"]
    assert neither.usable


def test_a_ref_that_nothing_has_is_a_warning() -> None:
    inventory = merge(discovery(found("i-1", "10.0.0.1")), entries=static("  - {name: gone, ref: i-9, addresses: [10.0.0.9]}\n"))
    assert [str(finding) for finding in inventory.warnings] == [
        "inventory/s.yaml:2:12 STATIC-UNMATCHED nothing found has the id 'i-9' of 'gone'; it counts as a workload of its own"
    ]


def test_a_locked_label_of_an_entry_is_left_out_with_a_warning() -> None:
    rules = InventoryRules(RULES.sources, (("role", Pick.TAG),))
    entries = static("  - {name: i-1, labels: {role: db, env: prod}}\n  - {name: bm, labels: {role: db}}\n")
    inventory = merge(discovery(found("i-1", "10.0.0.1", Role="web")), entries=entries, rules=rules)
    assert [one.labels.text() for one in inventory.workloads] == ["role=db", "env=prod role=web"]
    assert [(finding.code, finding.where.line) for finding in inventory.warnings] == [("LOCKED-LABEL", 2)]


def test_labels_of_an_entry_outside_the_vocabulary_are_errors() -> None:
    inventory = merge(entries=static("  - {name: bm, labels: {role: dbb, rolle: db}}\n"))
    assert [str(finding) for finding in inventory.findings] == [
        "inventory/s.yaml:2:31 UNKNOWN-VALUE role has no value 'dbb'; did you mean 'db'",
        "inventory/s.yaml:2:43 UNKNOWN-LABEL no label 'rolle' is declared in the policy; did you mean 'role'",
    ]
    assert not inventory.usable


def test_two_workloads_with_one_address_in_one_domain_are_an_error_that_names_both() -> None:
    inventory = merge(discovery(found("i-1", "10.0.0.1", name="a"), found("i-2", "10.0.0.1", "10.0.0.2", name="b")))
    assert [str(finding) for finding in inventory.findings] == [
        (
            "cloudsync.yaml:4:5 DUPLICATE-ADDRESS 'a' (t/i-1) and 'b' (t/i-2) both have 10.0.0.1; "
            "networks that use the same addresses need routing_domains of their own; else one of the two entries is wrong"
        )
    ]
    mixed = merge(discovery(found("i-1", "10.0.0.1")), entries=static("  - {name: bm, addresses: [10.0.0.0/30]}\n"))
    assert [(finding.code, finding.where.file) for finding in mixed.findings] == [("DUPLICATE-ADDRESS", "inventory/s.yaml")]


def test_domains_keep_private_addresses_apart_but_not_public_ones() -> None:
    rules = InventoryRules(domains=(RoutingDomain(Domain("x"), ("vpc-1",), HERE), RoutingDomain(Domain("y"), ("vpc-2",), HERE)))
    private = merge(discovery(found("i-1", "10.0.0.1"), found("i-2", "10.0.0.1", network="vpc-2")), rules=rules)
    assert private.findings == ()
    public = merge(discovery(found("i-1", "8.8.8.8"), found("i-2", "8.8.8.8", network="vpc-2")), rules=rules)
    assert [finding.code for finding in public.findings] == ["DUPLICATE-ADDRESS"]
    both = merge(discovery(found("i-1", "10.0.0.1", "2001:db8::1"), found("i-2", "10.0.0.2", "2001:db8::1")), rules=rules)
    assert "2001:db8::1" in both.findings[0].message


def test_one_machine_may_have_an_address_on_two_interfaces() -> None:
    interfaces = tuple(FoundInterface(f"eni-{n}", "vpc-1", AddressSet.of("10.0.0.1"), None) for n in (1, 2))
    inventory = merge(discovery(Found("i-1", "a", "1", "1/r", (), interfaces)))
    assert inventory.findings == ()


def test_a_member_that_nothing_belongs_to_is_a_warning() -> None:
    rules = InventoryRules(domains=(RoutingDomain(Domain("x"), ("vpc-1", "1", "t", "vpc-nope"), HERE),))
    inventory = merge(discovery(found("i-1", "10.0.0.1")), rules=rules)
    assert [(finding.code, finding.message) for finding in inventory.warnings] == [
        ("UNKNOWN-MEMBER", "routing domain 'x': nothing found belongs to 'vpc-nope'")
    ]


def test_a_scope_that_one_target_could_not_read_is_incomplete() -> None:
    whole, cut = discovery(found("i-1", "10.0.0.1")), discovery(found("i-2", "10.0.0.2"), target="u", why="throttled")
    for inventory in (merge(whole, cut), merge(cut, whole)):
        assert inventory.scopes == (ScopeState("1/r", "throttled"),)
        assert not inventory.complete


def test_the_order_of_the_input_does_not_matter() -> None:
    machines = [found(f"i-{n}", f"10.0.0.{n}", name=f"n{n % 3}", Role="web" if n % 2 else "wbe") for n in range(1, 9)]
    entries = static("  - {name: n1, addresses: [10.0.0.4], labels: {env: prod}}\n  - {name: n2}\n  - {name: bm, addresses: [10.0.0.1]}\n")

    def both(order: Sequence[Found]) -> str:
        inventory = merge(discovery(*order[:4]), discovery(*order[4:]), entries=entries)
        return dump(inventory) + "".join(sorted(map(str, (*inventory.findings,))))

    assert both(machines) == both(machines[3::-1] + machines[:3:-1])


def test_a_dump_comes_back_equal_and_is_byte_stable() -> None:
    inventory = merge(
        discovery(found("i-1", "10.0.0.1", "2001:db8::/64", "8.8.8.8", name="\x1b[2J", Role="web"), why="cut"),
        entries=static("  - {name: bm, addresses: [10.9.0.1], labels: {role: db}}\n"),
    )
    again = load(dump(inventory))
    assert (again.workloads, again.scopes, again.held) == (inventory.workloads, inventory.scopes, inventory.held)
    assert dump(again) == dump(inventory)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 2, "inventory": {}}', '{"format": 1, "inventory": {"workloads": [{"id": 3}]}}', "null"]
)
def test_a_damaged_dump_is_an_error_never_an_empty_inventory(text: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        load(text)

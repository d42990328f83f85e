"""Which classes become application security groups and which do not; what Azure would refuse; what a PUT of an interface carries."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloudsync.adapter import AddressPeer, Allowed, ClassIntent, ClassPeer, Encoding, Intent, Method, Origin, PointIntent, Seen, Term
from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet
from cloudsync.model.finding import Where
from cloudsync.model.mode import Egress, Mode, TargetMode
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.service import ANY_SERVICE, ICMP, TCP, ServiceSet
from cloudsync.model.workload import Domain, Labels, PointId
from cloudsync_azure.bounds import affected, bounds
from cloudsync_azure.decode import decode
from cloudsync_azure.encode import encode
from cloudsync_azure.joins import DELETE_ASG, PUT_ASG, PUT_NIC, Join, after, read, render, seen
from cloudsync_azure.limits import ASGS_PER_SEAT
from cloudsync_azure.members import NIC_READ_ONLY, SEAT_READ_ONLY, nic_body
from cloudsync_azure.settings import AzureSettings
from cloudsync_azure.simulate import simulate
from cloudsync_azure.steps import steps
from cloudsync_azure.table import Asg, AzureTable, Nic, Nsg, Rule, Subnet

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
GROUPS = AzureSettings(SUBSCRIPTION, asgs=True)
DOMAIN = Domain("default")
HTTPS = ServiceSet.ports(TCP, 443, 443)
ROOT = Path(__file__).resolve().parents[2]
SPEC = Path(os.environ.get("CLOUDSYNC_SHARED", ROOT.parent / "shared")) / "specs" / "azure"
ROLES = {"p0": "web", "p1": "web", "p2": "app", "p3": "app"}


def world(**more: Any) -> AzureTable:
    """Four machines in one subnet with an NSG."""
    nics = {
        PointId(f"p{number}"): Nic(
            id=f"/nic/{number}",
            point=PointId(f"p{number}"),
            name=f"n{number}",
            holder=f"/vm/{number}",
            vnet="/vnet",
            subnets=("/net",),
            private=AddressSet.of(f"10.1.0.{4 + number}"),
            location="we",
            seats=1,
        )
        for number in range(4)
    }
    subnet = Subnet("/net", "/vnet", AddressSet.of("10.1.0.0/24"), "/nsg/net")
    nsgs = {"/nsg/net": Nsg("/nsg/net", "net", "rg", "we", (), managed=True)}
    return AzureTable("acme", SUBSCRIPTION, nsgs, nics, {"/net": subnet}, {"/vnet": AddressSet.of("10.1.0.0/16")}, **more)


def one(table: AzureTable, point: str, **more: Any) -> AzureTable:
    """Return the table with one interface changed."""
    known = table.nics[PointId(point)]
    return replace(table, nics={**table.nics, known.point: replace(known, **more)})


def term(rule_id: str, peer: AddressSet | str, services: ServiceSet = HTTPS) -> Term:
    return Term(ClassPeer(peer) if isinstance(peer, str) else AddressPeer(peer), services, (Origin(rule_id, Where("policy/p.yaml", 1)),))


def intent(table: AzureTable, roles: dict[str, str] | None = None, services: ServiceSet = HTTPS, **more: Any) -> Intent:
    """The web machines may be reached from anywhere, the app machines from the web machines."""
    inside = {point: role for point, role in (roles or ROLES).items() if point in table.nics}
    modes: dict[str, Mode] = more.pop("modes", {})
    own = {
        role: AddressSet.union_all(table.nics[PointId(point)].private for point, each in inside.items() if each == role)
        | more.get(role, NOWHERE)
        for role in ("web", "app", *inside.values())
    }
    for role in ("web", "app"):
        more.pop(role, None)
    terms = {"web": (term("any", ANYWHERE, services),), "app": (term("web", "web", services),)}

    def allowed(role: str) -> Allowed:
        packets = PacketSet.of(ANYWHERE if role == "web" else own["web"], services)
        return Allowed(terms[role], packets, packets, whole=terms[role])

    classes = tuple(
        ClassIntent(role, DOMAIN, Labels(), modes.get(role, Mode.FULL), Egress.LEAVE, own[role], allowed(role)) for role in ("app", "web")
    )
    now = decode(table)
    points = tuple(
        PointIntent(PointId(point), role, DOMAIN, modes.get(role, Mode.FULL), Egress.LEAVE, NO_PACKETS, now[PointId(point)].outbound)
        for point, role in sorted(inside.items())
    )
    return Intent("az", "acme", TargetMode.EXCLUSIVE, classes, points, **more)


def applied(table: AzureTable, settings: AzureSettings = GROUPS, **more: Any) -> AzureTable:
    found: AzureTable = said(table, settings, **more).table
    return found


def said(table: AzureTable, settings: AzureSettings = GROUPS, **more: Any) -> Encoding:
    encoding = encode(intent(table, **more), table, settings)
    assert not encoding.problems
    return encoding


def names(table: AzureTable) -> list[str]:
    return ["-".join(asg.rpartition("/")[2].split("-")[:-1]) for asg in table.asgs]


def allows(table: AzureTable) -> list[Rule]:
    return [rule for rule in table.nsgs["/nsg/net"].rules if not rule.deny and not rule.peer.tag]


# --- which classes -------------------------------------------------------------------------------------------------------


def test_each_class_is_a_group_and_each_side_names_one() -> None:
    table = applied(world())
    assert names(table) == ["cs-acme-app", "cs-acme-web"]
    web, app = (next(asg for asg in table.asgs if f"-{role}-" in asg) for role in ("web", "app"))
    assert [(rule.peer.asgs, rule.own.asgs) for rule in allows(table)] == [((web,), (app,)), ((), (web,))]
    assert [table.nics[PointId(point)].asgs for point in ROLES] == [(web,), (web,), (app,), (app,)]
    assert all(len(rule.own.asgs) == 1 for rule in table.nsgs["/nsg/net"].rules), "default denies and probes too: none of several groups"


def test_opposite_a_group_everybody_is_spelled_out() -> None:
    table = applied(one(world(), "p0", private=AddressSet.of("10.1.0.4", "fd00::4")))
    assert not any(rule.peer.everything for rule in table.nsgs["/nsg/net"].rules), "* would be both families in each of two rules"


@pytest.mark.parametrize(
    ("why", "change"),
    [
        ("an interface of a scale set", {"seats": 0}),
        ("another VNet", {"vnet": "/other"}),
        ("no managed group before it", {"skipped": "unmanaged"}),
        ("too many groups of others", {"asgs": tuple(f"/asg/{number:02}" for number in range(ASGS_PER_SEAT - 1))}),
    ],
)
def test_a_class_of_which_one_machine_cannot_join_is_written_by_its_addresses(why: str, change: dict[str, Any]) -> None:
    table = one(world(), "p0", **change)
    wanted = applied(table)
    assert "cs-acme-web" not in names(wanted), why
    assert wanted.nics[PointId("p1")].asgs == ()


def test_a_class_that_is_more_than_its_interfaces_is_written_by_its_addresses() -> None:
    assert names(applied(world(), web=AddressSet.of("203.0.113.4"))) == ["cs-acme-app"], "a public address, or a machine elsewhere"


def test_a_class_that_is_not_enforced_is_not_touched() -> None:
    table = applied(world(), modes={"web": Mode.VISIBILITY})
    assert names(table) == ["cs-acme-app"]
    assert table.nics[PointId("p0")].asgs == ()
    assert allows(table)[0].peer.addresses == AddressSet.of("10.1.0.4/31")


def test_limits_are_kept_and_groups_in_use_stay() -> None:
    assert len(applied(world(), replace(GROUPS, quotas=replace(GROUPS.quotas, asgs=1))).asgs) == 1
    assert len(applied(world(), replace(GROUPS, quotas=replace(GROUPS.quotas, asgs_per_nsg=1))).asgs) == 1
    theirs = {f"/asg/{number}": Asg(f"/asg/{number}", "we") for number in range(3)}
    few = replace(GROUPS, quotas=replace(GROUPS.quotas, asgs=4))
    assert len([asg for asg in applied(world(asgs=theirs), few).asgs.values() if asg.owner]) == 1, "other people's count"
    web_only = applied(world(), replace(GROUPS, quotas=replace(GROUPS.quotas, asgs=1)))
    again = applied(web_only, replace(GROUPS, quotas=replace(GROUPS.quotas, asgs=1)))
    assert again == web_only


def test_a_name_that_somebody_else_has_is_left_alone() -> None:
    made = applied(world())
    web = next(asg for asg in made.asgs if "-web-" in asg)
    table = world(asgs={web: Asg(web, "we")})
    encoding = said(table)
    assert encoding.table.asgs[web] == Asg(web, "we")
    assert names(encoding.table) == ["cs-acme-app", "cs-acme-web"]
    assert encoding.table.nics[PointId("p0")].asgs == ()
    assert any("has that name" in note for note in encoding.notes)


def test_a_stranger_in_a_group_is_taken_out_or_the_group_is_not_used() -> None:
    made = applied(world())
    web = next(asg for asg in made.asgs if "-web-" in asg)
    intruded = one(made, "p2", asgs=tuple(sorted({*made.nics[PointId("p2")].asgs, web})))
    assert applied(intruded) == made
    scale_set = replace(made.nics[PointId("p0")], id="/nic/9", point=PointId("p9"), name="n9", seats=0, private=AddressSet.of("10.1.0.9"))
    stuck = replace(made, nics={**made.nics, scale_set.point: scale_set})
    assert any("cannot be taken out" in note for note in said(stuck).notes)
    assert all(web not in rule.peer.asgs for rule in allows(applied(stuck)))


def test_words_that_differ_by_family_are_not_said_of_two_groups_at_once() -> None:
    """ICMP of IPv4 alone: Azure's Icmp between two groups would be that of IPv6 as well."""
    both = world()
    for point in ROLES:
        both = one(both, point, private=both.nics[PointId(point)].private | AddressSet.of(f"fd00::{point[1]}"))
    table = applied(both, services=ServiceSet.protocol(ICMP))
    rule = next(rule for rule in allows(table) if "-app-" in rule.own.asgs[0])
    assert (rule.peer.asgs, rule.peer.addresses) == ((), AddressSet.of("10.1.0.4/31"))


# --- machines that change, and machines that are missing -----------------------------------------------------------------


def test_a_changed_label_is_one_step_and_no_rule() -> None:
    table = applied(world())
    wanted = applied(table, roles={**ROLES, "p1": "app"})
    assert wanted.nsgs == table.nsgs
    (phase,) = steps(table, wanted, Method.SWAP, GROUPS)
    (step,) = phase.steps
    assert (phase.name, step.action, step.points) == ("move", "NetworkInterfaces_CreateOrUpdate", (PointId("p1"),))
    assert "n1 joins cs-acme-app" in step.title
    assert simulate(table, [step]) == wanted
    assert affected(table, (step,)) == set(table.nics), "rules name both groups as a source or as their own side"
    assert len(bounds(table, (step,)).upper) == 2


def test_groups_are_made_joined_named_left_and_removed_in_this_order() -> None:
    table, made = world(), applied(world())
    there = [phase.name for phase in steps(table, made, Method.SWAP, GROUPS)]
    assert there == ["create-groups", "join", "replace"]
    gone = applied(made, modes={"web": Mode.VISIBILITY, "app": Mode.VISIBILITY})
    assert [phase.name for phase in steps(made, gone, Method.SWAP, GROUPS)] == ["replace", "leave", "remove-groups"]
    assert gone == table


def without(table: AzureTable, points: Iterable[str]) -> AzureTable:
    return replace(table, nics={key: nic for key, nic in table.nics.items() if key not in points})


@pytest.mark.parametrize("missing", [("p0",), ("p0", "p1"), ("p2", "p3")])
def test_machines_that_are_missing_once_keep_their_rules(missing: tuple[str, ...]) -> None:
    full = applied(world())
    table = without(full, missing)
    waiting = AddressSet.union_all(full.nics[PointId(point)].private for point in missing)
    held = applied(table, quarantined=waiting)
    assert held == table
    later = applied(table)
    assert later.nsgs == table.nsgs if len(missing) == 1 else len(later.asgs) == 1, "afterwards the group of a class without machines goes"


def test_while_machines_are_missing_no_class_becomes_a_group() -> None:
    by_address = applied(world(), replace(GROUPS, asgs=False))
    assert applied(without(by_address, ["p0"]), quarantined=AddressSet.of("10.1.0.4")).asgs == {}


def test_switched_off_the_groups_are_named_as_left_over() -> None:
    made = replace(applied(world()), asgs={})
    encoding = said(made, replace(GROUPS, asgs=False))
    assert any("4 interfaces are in application security groups of ours" in note for note in encoding.notes)
    assert encoding.table.nics == made.nics


# --- what Azure would refuse ---------------------------------------------------------------------------------------------


def test_a_plan_that_azure_would_refuse_raises() -> None:
    made = applied(world())
    web = next(asg for asg in made.asgs if "-web-" in asg)
    plan = steps(world(), made, Method.SWAP, GROUPS)
    with pytest.raises(ValueError, match="which nobody is in"):
        simulate(world(asgs=made.asgs), plan[-1].steps)
    cases = (
        (Join(PUT_ASG, web, location="we", owner="acme"), "is there"),
        (Join(DELETE_ASG, web), "in use"),
        (Join(DELETE_ASG, "/asg/none"), "not there"),
        (Join(PUT_NIC, "/nic/0", (), ()), "not as the step expects"),
        (Join(PUT_NIC, "/nic/0", ("/asg/none",), (web,)), "cannot join"),
    )
    for join, words in cases:
        with pytest.raises(ValueError, match=words):
            after(made, [join])
    away = one(made, "p2", vnet="/other", asgs=())
    with pytest.raises(ValueError, match="another VNet"):
        after(away, [Join(PUT_NIC, "/nic/2", (web,), ())])


def test_payloads_come_back_and_effects_are_told_apart() -> None:
    made = applied(world())
    web = next(asg for asg in made.asgs if "-web-" in asg)
    joins = (Join(PUT_NIC, "/nic/0", (web,), ()), Join(PUT_ASG, web, location="we", owner="acme"), Join(DELETE_ASG, web))
    assert [read(render(join)) for join in joins] == list(joins)
    assert [seen(world(), join) for join in joins] == [Seen.NO, Seen.NO, Seen.YES]
    assert [seen(made, join) for join in joins] == [Seen.YES, Seen.YES, Seen.NO]
    assert seen(one(made, "p0", asgs=("/asg/theirs",)), joins[0]) is Seen.OTHER
    foreign = replace(made, asgs={web: Asg(web, "we")})
    assert [seen(foreign, join) for join in joins[1:]] == [Seen.OTHER, Seen.OTHER]


# --- the body of an interface --------------------------------------------------------------------------------------------


def test_an_interface_goes_back_as_it_came_but_for_its_groups() -> None:
    seat = {
        "id": "/nic/0/ipConfigurations/a",
        "name": "a",
        "etag": "e",
        "type": "t",
        "properties": {
            "provisioningState": "Succeeded",
            "privateIPAddress": "10.1.0.4",
            "subnet": {"id": "/Net"},
            "applicationSecurityGroups": [{"id": "/ASG/Theirs"}, {"id": "/asg/old"}],
            "futureField": [1],
        },
    }
    inner = {"ipConfigurations": [seat], "virtualMachine": {"id": "/vm"}, "enableIPForwarding": True, "futureField": {"a": None}}
    raw = {"id": "/nic/0", "name": "n", "etag": "e", "type": "t", "location": "we", "tags": {"a": "b"}, "zones": ["1"], "properties": inner}
    body = nic_body(raw, Join(PUT_NIC, "/nic/0", ("/asg/new", "/asg/theirs"), ("/asg/old", "/asg/theirs")))
    kept = {
        "privateIPAddress": "10.1.0.4",
        "subnet": {"id": "/Net"},
        "applicationSecurityGroups": [{"id": "/ASG/Theirs"}, {"id": "/asg/new"}],
        "futureField": [1],
    }
    assert body == {
        "location": "we",
        "tags": {"a": "b"},
        "zones": ["1"],
        "properties": {
            "ipConfigurations": [{"name": "a", "properties": kept}],
            "enableIPForwarding": True,
            "futureField": {"a": None},
        },
    }


def test_what_is_not_sent_back_is_what_the_specification_calls_read_only() -> None:
    file = SPEC / "nsg-subset.2025-07-01.openapi.json"
    if not file.exists():
        pytest.skip("the published specification is not here")
    document = json.loads(file.read_text("utf-8"))
    shapes = document.get("definitions") or document["components"]["schemas"]
    found = {
        name.partition("__")[0]: {key for key, one in shape["properties"].items() if one.get("readOnly")}
        for name, shape in shapes.items()
        if "NetworkInterface" in name and "properties" in shape
    }
    assert found["NetworkInterfacePropertiesFormat"] == NIC_READ_ONLY
    assert found["NetworkInterfaceIPConfigurationPropertiesFormat"] == SEAT_READ_ONLY


def test_any_service_between_groups_is_one_rule_for_both_families() -> None:
    both = world()
    for point in ROLES:
        both = one(both, point, private=both.nics[PointId(point)].private | AddressSet.of(f"fd00::{point[1]}"))
    table = applied(both, services=ANY_SERVICE)
    assert len([rule for rule in allows(table) if rule.peer.asgs]) == 1

"""How NSGs come to say a policy: tiers, numbers, foreign rules beside ours, giving back, limits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cloudsync.adapter import (
    Access,
    AddressPeer,
    Allowed,
    ClassIntent,
    ClassPeer,
    Encoding,
    Intent,
    Method,
    Origin,
    PointIntent,
    Term,
    Whose,
)
from cloudsync.model.address import ANYWHERE, AddressSet
from cloudsync.model.fidelity import Verdict
from cloudsync.model.finding import Where
from cloudsync.model.mode import Accept, Egress, Mode, TargetMode
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.service import ANY_SERVICE, GRE, ICMP, TCP, ServiceSet
from cloudsync.model.workload import Domain, Labels, PointId
from cloudsync_azure.decode import decode, points, walk
from cloudsync_azure.encode import encode
from cloudsync_azure.limits import PLATFORM_ADDRESS, Quotas
from cloudsync_azure.parse import rule
from cloudsync_azure.payload import rule_json
from cloudsync_azure.settings import AzureSettings
from cloudsync_azure.simulate import simulate
from cloudsync_azure.steps import steps
from cloudsync_azure.table import AzureTable, Nic, Nsg, Rule, Subnet, Tier, order

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
PLAIN = AzureSettings(SUBSCRIPTION)
DOMAIN = Domain("default")
HTTPS, SSH = ServiceSet.ports(TCP, 443, 443), ServiceSet.ports(TCP, 22, 22)
OFFICE = AddressSet.of("192.0.2.0/24")


def foreign(name: str, priority: int, /, **more: Any) -> Rule:
    inner = {
        "protocol": "Tcp",
        "access": "Allow",
        "priority": priority,
        "direction": "Inbound",
        "sourcePortRange": "*",
        "destinationPortRange": "22",
        "sourceAddressPrefix": "*",
        "destinationAddressPrefix": "*",
        **more,
    }
    return rule({"name": name, "properties": inner}, "acme")


def world(*rules: Rule, count: int = 2, second: tuple[Rule, ...] | None = None, managed: bool = True) -> AzureTable:
    """One subnet with an NSG; `second`: rules of an NSG on each interface, managed or not."""
    nsgs = {"/nsg/net": Nsg("/nsg/net", "net", "rg", "we", tuple(sorted(rules, key=order)), True)}
    if second is not None:
        nsgs["/nsg/nic"] = Nsg("/nsg/nic", "nic", "rg", "we", second, managed)
    own = "/nsg/nic" if second is not None else ""
    nics = {
        PointId(f"p{number}"): Nic(
            f"/nic/{number}",
            PointId(f"p{number}"),
            f"n{number}",
            f"/vm/{number}",
            "/vnet",
            ("/net",),
            AddressSet.of(f"10.1.0.{4 + number}"),
            nsg=own,
        )
        for number in range(count)
    }
    subnet = Subnet("/net", "/vnet", AddressSet.of("10.1.0.0/24"), "/nsg/net")
    return AzureTable("acme", SUBSCRIPTION, nsgs, nics, {"/net": subnet}, {"/vnet": AddressSet.of("10.1.0.0/16")})


def term(rule_id: str, peer: AddressSet | str, services: ServiceSet = HTTPS, **more: Any) -> Term:
    who = ClassPeer(peer) if isinstance(peer, str) else AddressPeer(peer)
    return Term(who, services, (Origin(rule_id, Where("policy/p.yaml", 7)),), **more)


def said(whole: tuple[Term, ...] = (), never: tuple[Term, ...] = (), closed: tuple[Term, ...] = ()) -> Allowed:
    def packets(some: tuple[Term, ...]) -> PacketSet:
        return PacketSet.union_all(PacketSet.of(one.peer.addresses, one.services) for one in some if isinstance(one.peer, AddressPeer))

    exact = packets(whole) - packets(never)
    return Allowed(whole, exact, exact, packets(never), packets(closed), whole, never, closed)


def intent(table: AzureTable, allowed: Allowed, mode: Mode = Mode.FULL, target: TargetMode = TargetMode.EXCLUSIVE, **more: Any) -> Intent:
    """Every point is of one class; `modes` gives single points another mode, `original` what was recorded of them."""
    modes: dict[str, Mode] = more.pop("modes", {})
    original: dict[str, tuple[str, ...]] = more.pop("original", {})
    kept: PacketSet = more.pop("kept", NO_PACKETS)
    own = AddressSet.union_all(nic.private for nic in table.nics.values())
    classes = {
        one: ClassIntent(one.value, DOMAIN, Labels(), one, Egress.LEAVE, own, allowed if one.enforced else Allowed())
        for one in {mode, *modes.values()}
    }
    foreign_now = decode(table, Whose.FOREIGN)
    found: list[PointIntent] = []
    for point in sorted(table.nics):
        here = modes.get(point, mode)
        one = PointIntent(point, here.value, DOMAIN, here, Egress.LEAVE, original=original.get(point, ()))
        if target is TargetMode.EXCLUSIVE and here.enforced:
            one = replace(one, kept_in=kept if here is Mode.SELECTIVE else NO_PACKETS, kept_out=foreign_now[point].outbound)
        found.append(one)
    return Intent("az", "acme", target, tuple(classes.values()), tuple(found), **more)


def ours(encoding: Encoding | AzureTable, nsg: str = "/nsg/net") -> list[Rule]:
    table = encoding.table if isinstance(encoding, Encoding) else encoding
    assert isinstance(table, AzureTable)
    return [one for one in table.nsgs[nsg].rules if one.ours]


def tiers(encoding: Encoding) -> list[tuple[str, int]]:
    return [(one.tier.name, one.priority) for one in ours(encoding) if one.tier is not None]


# --- tiers and numbers -----------------------------------------------------------------------------------------------


def test_full_is_never_then_allow_then_the_probes_then_the_default_deny() -> None:
    table = world()
    encoding = encode(
        intent(table, said((term("web#1", OFFICE),), (term("guard#1", AddressSet.of("192.0.2.9"), ANY_SERVICE),))), table, PLAIN
    )
    assert tiers(encoding) == [("NEVER", 1100), ("ALLOW", 1500), ("PLATFORM", 4090), ("DEFAULT", 4096)]
    default = ours(encoding)[-1]
    assert (default.source.everything, default.destination.addresses) == (True, AddressSet.of("10.1.0.4/31"))
    inbound = decode(encoding.table)[PointId("p0")].inbound
    assert inbound == PacketSet.of(OFFICE - AddressSet.of("192.0.2.9"), HTTPS) | PacketSet.of(PLATFORM_ADDRESS, ANY_SERVICE)
    plumbing = encoding.plumbing
    assert plumbing is not None
    assert plumbing[PointId("p0")] == Access(PacketSet.of(PLATFORM_ADDRESS, ANY_SERVICE))


def test_the_probes_stand_above_the_first_deny_that_would_stop_them() -> None:
    table = world()
    never = (term("guard#1", ANYWHERE, SSH),)
    encoding = encode(intent(table, said((term("web#1", OFFICE),), never)), table, PLAIN)
    assert [name for name, _ in tiers(encoding)] == ["PLATFORM", "NEVER", "ALLOW", "DEFAULT"]
    probe = ours(encoding)[0]
    assert (probe.source.tag, probe.description) == ("azureloadbalancer", "cloudsync/acme: platform")


def test_an_unchanged_rule_keeps_its_name_and_number_when_another_comes_or_goes() -> None:
    table = world()
    first = encode(intent(table, said((term("web#1", OFFICE), term("web#2", OFFICE, SSH)))), table, PLAIN)
    more = (term("aaa#0", AddressSet.of("198.51.100.0/24")), term("web#1", OFFICE), term("web#2", OFFICE, SSH))
    second = encode(intent(first.table, said(more)), first.table, PLAIN)
    before = {one.name: one.priority for one in ours(first)}
    after = {one.name: one.priority for one in ours(second)}
    assert before.items() <= after.items()
    third = encode(intent(second.table, said(more[1:2])), second.table, PLAIN)
    kept = {one.name: one.priority for one in ours(third)}
    assert kept.items() <= before.items()


def test_a_full_tier_is_packed_anew_and_a_full_band_refused() -> None:
    table = world()
    narrow = replace(PLAIN, band=(1000, 1100))
    many = tuple(term(f"web#{port}", OFFICE, ServiceSet.ports(TCP, port, port)) for port in range(1, 90))
    encoding = encode(intent(table, said(many)), table, narrow)
    assert not encoding.problems
    assert len({one.priority for one in ours(encoding)}) == 91
    assert max(one.priority for one in ours(encoding)) <= 1100
    too_many = tuple(term(f"web#{port}", OFFICE, ServiceSet.ports(TCP, port, port)) for port in range(1, 120))
    refused = encode(intent(table, said(too_many)), table, narrow)
    assert [(one.code, one.hint) for one in refused.problems][:1] == [
        ("G-QUOTA", "widen `band` in the settings, or say the policy in fewer rules")
    ]


def test_an_empty_peer_is_left_out_and_never_any() -> None:
    table = world()
    encoding = encode(intent(table, said((term("web#1", AddressSet()), term("web#2", "nobody")))), table, PLAIN)
    assert [name for name, _ in tiers(encoding)] == ["PLATFORM", "DEFAULT"]


def test_limits_are_refused_before_the_first_write_with_the_numbers() -> None:
    table = world()
    wide = AddressSet.of(*(f"10.9.{number}.0/32" for number in range(0, 200, 2)))
    encoding = encode(intent(table, said((term("web#1", wide),))), table, replace(PLAIN, quotas=Quotas(addresses_per_nsg=90)))
    (problem,) = encoding.problems
    assert (problem.code, problem.rules) == ("G-QUOTA", ("web#1",))
    assert problem.message == "net needs 100 source and 3 destination addresses, 90 each are allowed"
    few = encode(intent(table, said((term("web#1", OFFICE),))), table, replace(PLAIN, quotas=Quotas(rules_per_nsg=2)))
    assert few.problems[0].message == "net needs 3 rules, 2 are allowed: 1 too many"


# --- fidelity --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("services", "more", "kind", "expected"),
    [
        (ServiceSet.icmp(ICMP, 8), {"accept": frozenset({Accept.ANY_TYPE})}, "allow", (Verdict.LOOSER, "accepted")),
        (ServiceSet.icmp(ICMP, 8), {}, "allow", (Verdict.CANNOT, "")),
        (ServiceSet.icmp(ICMP, 8), {}, "never", (Verdict.CANNOT, "")),
        (ServiceSet.protocol(ICMP), {}, "never", (Verdict.EXACT, "")),
        (ServiceSet.protocol(GRE), {}, "allow", (Verdict.CANNOT, "")),
        (HTTPS, {"process": "/bin/x"}, "allow", (Verdict.CANNOT, "")),
        (HTTPS, {"process": "/bin/x", "accept": frozenset({Accept.PORT_ONLY})}, "allow", (Verdict.LOOSER, "accepted")),
        (ANY_SERVICE, {}, "allow", (Verdict.EXACT, "")),
    ],
)
def test_how_exactly_rules_can_be_said(services: ServiceSet, more: dict[str, Any], kind: str, expected: tuple[Verdict, str]) -> None:
    table = world()
    one = (term("r#1", OFFICE, services, **more),)
    wish = said((), one) if kind == "never" else said(one)
    wish = replace(wish, loosest=wish.exact | PacketSet.of(OFFICE, ServiceSet.protocol(ICMP)))
    encoding = encode(intent(table, wish), table, PLAIN)
    verdict, accepted = expected
    assert [(one.rule, one.verdict, one.accepted) for one in encoding.fidelity] == [("r#1", verdict, bool(accepted))]
    assert bool(encoding.problems) is (verdict is Verdict.CANNOT)
    assert {one.code for one in encoding.problems} <= {"FIDELITY"}


# --- foreign rules ---------------------------------------------------------------------------------------------------


def test_exclusive_removes_what_acts_on_full_points_alone_and_gives_it_back_byte_for_byte() -> None:
    legacy = foreign("ssh-from-anywhere", 310, protocol="TCP", description="ticket 4711", futureField={"a": [1]})
    table = world(legacy)
    kept = {point.id: point.keepsake for point in points(table)}
    encoding = encode(intent(table, said((term("web#1", OFFICE),)), original=kept), table, PLAIN)
    assert [one for one in encoding.table.nsgs["/nsg/net"].rules if not one.ours] == []
    back = encode(intent(encoding.table, said(), Mode.VISIBILITY, original=kept), encoding.table, PLAIN)
    assert back.table.nsgs["/nsg/net"].rules == (legacy,)
    assert back.table.nsgs["/nsg/net"].rules[0].raw == legacy.raw
    quiet = encode(intent(table, said(), Mode.VISIBILITY, original=kept), world(), PLAIN)
    assert quiet.table == world(), "somebody removed it after it was given back: that stays"


def test_giving_back_never_overwrites_what_somebody_put_there() -> None:
    legacy = foreign("ssh", 310)
    table = world(legacy)
    kept = {point.id: point.keepsake for point in points(table)}
    held = encode(intent(table, said(), original=kept), table, PLAIN).table
    newer = replace(held.nsgs["/nsg/net"], rules=tuple(sorted((*held.nsgs["/nsg/net"].rules, foreign("newer", 310)), key=order)))
    edited = replace(held, nsgs={"/nsg/net": newer})
    back = encode(intent(edited, said(), Mode.VISIBILITY, original=kept), edited, PLAIN)
    assert [one.name for one in back.table.nsgs["/nsg/net"].rules] == ["newer"]
    assert any("ssh is not given back: its name or its priority 310 is taken" in note for note in back.notes)


def test_what_acts_on_others_too_stays_and_is_refused_where_it_cannot_be_outranked() -> None:
    modes = {"p1": Mode.VISIBILITY}
    above = world(foreign("ssh", 310))
    refused = encode(intent(above, said((term("web#1", OFFICE),)), modes=modes), above, PLAIN)
    assert [one.code for one in refused.problems] == ["AZURE-OUTRANKED"]
    assert "rule ssh (310) of net" in refused.problems[0].message
    below = world(foreign("ssh", 4000))
    encoding = encode(intent(below, said((term("web#1", OFFICE),)), modes=modes), below, PLAIN)
    assert not encoding.problems
    assert max(one.priority for one in ours(encoding)) < 4000
    assert decode(encoding.table)[PointId("p1")] == decode(below)[PointId("p1")]
    room = replace(PLAIN, band=(200, 4096))
    assert not encode(intent(above, said((term("web#1", OFFICE),)), modes=modes), above, room).problems
    harmless = world(foreign("https", 310, destinationPortRange="443", sourceAddressPrefix="192.0.2.0/24"))
    assert not encode(intent(harmless, said((term("web#1", OFFICE),)), modes=modes), harmless, PLAIN).problems


def test_machines_that_no_list_shows_keep_their_rules() -> None:
    table = world(foreign("ssh", 310, destinationAddressPrefix="10.1.0.0/24"), foreign("one", 320, destinationAddressPrefix="10.1.0.4"))
    hidden = replace(table, subnets={"/net": replace(table.subnets["/net"], strangers=True)})
    encoding = encode(intent(hidden, said((term("a#1", ANYWHERE, SSH),))), hidden, PLAIN)
    assert [one.name for one in encoding.table.nsgs["/nsg/net"].rules if not one.ours] == ["ssh"]


def test_rules_of_another_owner_are_never_touched() -> None:
    other = foreign(
        "cs-other-a-web-0123456789ab",
        1500,
        description="cloudsync/other: web#1",
        sourceAddressPrefix="192.0.2.0/24",
        destinationPortRange="443",
    )
    table = world(other)
    encoding = encode(intent(table, said((term("web#1", OFFICE),))), table, PLAIN)
    assert other in encoding.table.nsgs["/nsg/net"].rules
    assert any("belongs to cloudsync's owner other" in note for note in encoding.notes)


def test_our_name_without_our_mark_is_foreign_and_named() -> None:
    edited = foreign("cs-acme-a-web_1-0123456789ab", 1500, description="edited by hand")
    table = world(edited)
    wish = intent(table, said((term("web#1", OFFICE),)), target=TargetMode.ADDITIVE)
    encoding = encode(wish, table, PLAIN)
    assert edited in encoding.table.nsgs["/nsg/net"].rules
    assert any("has our name but not our mark" in note for note in encoding.notes)
    assert encode(wish, encoding.table, PLAIN).table == encoding.table


def test_selective_leaves_the_recorded_past_beneath_and_moves_what_contradicts() -> None:
    deny = (term("guard#1", AddressSet.of("198.51.100.0/24"), SSH),)
    legacy, quiet = foreign("ssh", 310), foreign("monitoring", 320, destinationPortRange="9100")
    table = world(legacy, quiet)
    kept = {point.id: point.keepsake for point in points(table)}
    past = decode(table)[PointId("p0")].inbound - PacketSet.of(AddressSet.of("198.51.100.0/24"), SSH)
    wish = intent(table, said((term("web#1", OFFICE),), (), deny), Mode.SELECTIVE, original=kept, kept=past)
    encoding = encode(wish, table, PLAIN)
    assert not encoding.problems
    rules = encoding.table.nsgs["/nsg/net"].rules
    assert [one.name for one in rules if not one.ours] == ["monitoring"], "what contradicts nothing stays where it stood"
    copy = next(one for one in rules if one.tier is Tier.KEPT)
    assert copy.description == "cloudsync/acme: was ssh@310"
    assert copy.priority > next(one.priority for one in rules if one.tier is Tier.CLOSED)
    inbound = decode(encoding.table)[PointId("p0")].inbound
    assert inbound == past | PacketSet.of(OFFICE, HTTPS) | PacketSet.of(PLATFORM_ADDRESS, ANY_SERVICE) - PacketSet.of(PLATFORM_ADDRESS, NO)
    assert decode(encoding.table, Whose.FOREIGN)[PointId("p0")].inbound == decode(table)[PointId("p0")].inbound, "a copy counts as the past"
    assert encode(wish, encoding.table, PLAIN).table == encoding.table


NO = ServiceSet()


def test_selective_removes_what_came_later() -> None:
    table = world(foreign("old", 310))
    kept = {point.id: point.keepsake for point in points(table)}
    past = decode(table)[PointId("p0")].inbound
    edited = world(foreign("old", 310), foreign("new", 320, destinationPortRange="23"))
    encoding = encode(intent(edited, said(), Mode.SELECTIVE, original=kept, kept=past), edited, PLAIN)
    assert [one.name for one in encoding.table.nsgs["/nsg/net"].rules if not one.ours] == ["old"]
    assert decode(encoding.table)[PointId("p0")].inbound == past


def test_selective_mends_what_a_rule_added_or_taken_away_since_would_change() -> None:
    table = world(foreign("no-ssh", 310, access="Deny", sourceAddressPrefix="10.1.0.0/16"))
    kept = {point.id: point.keepsake for point in points(table)}
    past = decode(table)[PointId("p0")].inbound
    gone = world()
    encoding = encode(intent(gone, said(), Mode.SELECTIVE, original=kept, kept=past), gone, PLAIN)
    assert [one.tier for one in ours(encoding)] == [Tier.MEND]
    assert decode(encoding.table)[PointId("p0")].inbound == past


def test_additive_outranks_foreign_denies_only_where_it_may() -> None:
    deny = foreign("no-https", 2000, access="Deny", destinationPortRange="443")
    table = world(deny)
    wish = intent(table, said((term("web#1", OFFICE),)), target=TargetMode.ADDITIVE)
    below = encode(wish, table, PLAIN)
    assert [one.priority > 2000 for one in ours(below) if one.tier is Tier.ALLOW] == [True]
    above = encode(wish, table, replace(PLAIN, outrank=True))
    assert [one.priority < 2000 for one in ours(above) if one.tier is Tier.ALLOW] == [True]
    assert PacketSet.of(OFFICE, HTTPS) <= decode(above.table)[PointId("p0")].inbound
    last = world(foreign("deny-all", 4096, access="Deny", protocol="*", destinationPortRange="*"))
    cut = encode(intent(last, said((term("web#1", OFFICE),)), target=TargetMode.ADDITIVE), last, PLAIN)
    assert not cut.problems
    assert any("web#1 is not written whole inbound: a foreign deny at 4096 cuts some of it" in note for note in cut.notes)
    assert cut.left_out is not None
    assert PacketSet.of(OFFICE, HTTPS) <= cut.left_out[PointId("p0")].inbound


def test_only_what_the_last_deny_names_is_missing_from_an_allow() -> None:
    last = world(foreign("deny-8443", 4096, access="Deny", destinationPortRange="8443"))
    wide = ServiceSet.ports(TCP, 8000, 9000)
    encoding = encode(intent(last, said((term("web#1", OFFICE, wide),)), target=TargetMode.ADDITIVE), last, PLAIN)
    assert not encoding.problems
    inbound = decode(encoding.table)[PointId("p0")].inbound
    assert inbound & PacketSet.of(OFFICE, wide) == PacketSet.of(OFFICE, wide - ServiceSet.ports(TCP, 8443, 8443))
    assert encoding.left_out is not None
    assert encoding.left_out[PointId("p0")].inbound & PacketSet.of(OFFICE, wide) == PacketSet.of(OFFICE, ServiceSet.ports(TCP, 8443, 8443))


def test_an_unmanaged_group_in_series_is_beyond_reach_and_said_so() -> None:
    table = world(second=(foreign("only-ssh", 200),), managed=False)
    encoding = encode(intent(table, said((term("web#1", OFFICE),))), table, PLAIN)
    assert not encoding.problems
    left = encoding.left_out
    assert left is not None
    assert PacketSet.of(OFFICE, HTTPS) <= left[PointId("p0")].inbound
    assert encoding.table.nsgs["/nsg/nic"] == table.nsgs["/nsg/nic"]


def test_two_managed_groups_in_series_both_say_the_policy() -> None:
    table = world(second=(), managed=True)
    encoding = encode(intent(table, said((term("web#1", OFFICE),))), table, PLAIN)
    assert [one.tier for one in ours(encoding)] == [one.tier for one in ours(encoding, "/nsg/nic")]
    (phase,) = steps(table, encoding.table, Method.SWAP, PLAIN)
    assert len(phase.steps) == 2
    packet = PacketSet.of(OFFICE, HTTPS).witness()
    assert packet is not None
    hops = walk(encoding.table, PointId("p0"), "inbound", packet)
    assert [(hop.where, hop.verdict, hop.ours) for hop in hops] == [
        ("subnet NSG net, at 10.1.0.4", "pass", True),
        ("interface NSG nic, at 10.1.0.4", "allow", True),
    ]


def test_addresses_of_machines_missing_for_the_first_time_stay_where_they_are() -> None:
    table = world()
    first = encode(
        intent(table, said((term("web#1", AddressSet.of("10.1.9.1", "10.1.9.2")), term("web#2", AddressSet.of("10.1.9.2"), SSH)))),
        table,
        PLAIN,
    )
    missing = AddressSet.of("10.1.9.2")
    fewer = said((term("web#1", AddressSet.of("10.1.9.1")),))
    waiting = encode(intent(first.table, fewer, quarantined=missing), first.table, PLAIN)
    assert waiting.table == first.table
    added = encode(intent(table, fewer, quarantined=missing), table, PLAIN)
    assert all(not (one.source.addresses & missing) or one.source.everything for one in ours(added))
    later = encode(intent(first.table, fewer), first.table, PLAIN)
    assert later.table != first.table


def test_observing_and_half_read_subscriptions_change_nothing() -> None:
    table = world(foreign("ssh", 310))
    assert encode(intent(table, said(), target=TargetMode.OBSERVE), table, PLAIN).table == table
    assert encode(intent(table, said(), incomplete=frozenset({SUBSCRIPTION})), table, PLAIN).table == table


def test_flushing_is_a_step_of_its_own_before_the_rules_change() -> None:
    table = world()
    encoding = encode(intent(table, said((term("web#1", OFFICE),))), table, replace(PLAIN, flush=True))
    phases = steps(table, encoding.table, Method.SWAP, replace(PLAIN, flush=True))
    assert [phase.name for phase in phases] == ["flush", "replace"]
    assert simulate(table, [step for phase in phases for step in phase.steps]) == encoding.table


def test_a_swap_of_two_priorities_is_one_write_and_never_a_swap_in_place() -> None:
    table = world()
    first = encode(intent(table, said((term("a#1", OFFICE), term("b#1", OFFICE, SSH)))), table, PLAIN).table
    a, b = (one for one in ours(first) if one.tier is Tier.ALLOW)
    nsg = first.nsgs["/nsg/net"]
    rest = [one for one in nsg.rules if one not in (a, b)]
    swapped = tuple(sorted((*rest, replace(a, priority=b.priority), replace(b, priority=a.priority)), key=order))
    goal = replace(first, nsgs={"/nsg/net": replace(nsg, rules=swapped)})
    (phase,) = steps(first, goal, Method.SWAP, PLAIN)
    assert simulate(first, phase.steps) == goal
    assert steps(first, goal, Method.MERGE, replace(PLAIN, child=True)) == (), "rule by rule it is refused, not swapped"


def test_only_rules_of_managed_groups_are_ours_to_write() -> None:
    table = world()
    wild = replace(table, nsgs={"/nsg/net": replace(table.nsgs["/nsg/net"], name="else")})
    with pytest.raises(ValueError, match="only rules and flushConnection"):
        steps(table, wild, Method.SWAP, PLAIN)
    with pytest.raises(ValueError, match="by other hands"):
        steps(table, replace(table, nics={}), Method.SWAP, PLAIN)


def test_a_rule_that_names_an_application_group_without_members_does_nothing() -> None:
    asg = "/asg/web"
    inner = {"sourceAddressPrefix": None, "sourceApplicationSecurityGroups": [{"id": asg}], "destinationPortRange": "22", "protocol": "Tcp"}
    kept = {key: value for key, value in inner.items() if value is not None}
    one = foreign("by-group", 200)
    raw = {key: value for key, value in rule_json(one)["properties"].items() if key != "sourceAddressPrefix"}
    table = world(rule({"name": "by-group", "properties": {**raw, **kept, "access": "Deny"}}, "acme"), count=2)
    ssh = PacketSet.of(AddressSet.of("10.1.0.5"), SSH)
    assert ssh <= decode(table)[PointId("p0")].inbound
    member = {**table.nics, PointId("p1"): replace(table.nics[PointId("p1")], asgs=(asg,))}
    assert not ssh <= decode(replace(table, nics=member))[PointId("p0")].inbound


def test_service_tags_of_microsofts_own_lists_are_named_and_count_for_nothing() -> None:
    table = world(foreign("backup", 200, sourceAddressPrefix="AzureBackup"))
    encoding = encode(intent(table, said((term("web#1", OFFICE),)), target=TargetMode.ADDITIVE), table, PLAIN)
    assert any("whom rule backup is about is not known here (service tag azurebackup)" in note for note in encoding.notes)

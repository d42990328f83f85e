"""The encoder case by case: names, lists, quarantine, quotas, what cannot be said, what is beyond reach; who is found; one packet's way."""

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
from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet, Family
from cloudsync.model.fidelity import Verdict
from cloudsync.model.mode import Accept, Egress, Mode, TargetMode
from cloudsync.model.packets import ALL_PACKETS, NO_PACKETS, Packet, PacketSet
from cloudsync.model.service import ANY_SERVICE, TCP, ServiceSet
from cloudsync.model.workload import DEFAULT_DOMAIN, Labels
from cloudsync_f5 import words
from cloudsync_f5.decode import decode
from cloudsync_f5.encode import encode
from cloudsync_f5.points import entries, points, walk, workloads
from cloudsync_f5.pools import Behind
from cloudsync_f5.read import judged
from cloudsync_f5.simulate import simulate
from cloudsync_f5.steps import owned, steps
from cloudsync_f5.table import Action, AddressList, Ends, F5Table, Listener, Policy, Quotas, RouteDomain, Rule, Virtual
from cloudsync_f5.words import Native

HTTPS = ServiceSet.ports(TCP, 443, 443)
CORP = AddressSet.of(*(f"203.0.113.{number}/32" for number in range(0, 20, 2)))
WEB = Packet(Family.V4, int(CORP.v4[0]), TCP, 443)


def virtual(name: str = "vs", address: str = "10.60.0.1", **more: Any) -> Virtual:
    own = words.span(address)
    listener = Listener(ANYWHERE.only(own.family), HTTPS)
    made = Virtual(f"/Common/{name}", "dg", own.domain, words.addresses((own,), own.domain), listener)
    return replace(made, **more)


def table(*virtuals: Virtual, **more: Any) -> F5Table:
    made = F5Table("acme", "dg", "Common", virtuals={one.path: one for one in virtuals}, active="bigip1", group="dg")
    return replace(made, **more)


def allow(*terms: Term, never: tuple[Term, ...] = (), deny: tuple[Term, ...] = (), sources: AddressSet = NOWHERE) -> Allowed:
    def packets(some: tuple[Term, ...]) -> PacketSet:
        return PacketSet.union_all(
            PacketSet.of(one.peer.addresses if isinstance(one.peer, AddressPeer) else sources, one.services) for one in some
        )

    exact = packets(terms) - packets(never)
    return Allowed(terms, exact, exact, packets(never), packets(deny), terms, never, deny)


def term(peer: AddressSet | str, services: ServiceSet = HTTPS, rule: str = "r#1", **more: Any) -> Term:
    who = ClassPeer(peer) if isinstance(peer, str) else AddressPeer(peer)
    return replace(Term(who, services, (Origin(rule),)), **more)


def intent(
    now: F5Table, inbound: Allowed, mode: TargetMode = TargetMode.EXCLUSIVE, *, how: Mode = Mode.FULL, peers: AddressSet = NOWHERE
) -> Intent:
    target = ClassIntent("c1", DEFAULT_DOMAIN, Labels.of({"role": "web"}), how, Egress.LEAVE, NOWHERE, inbound)
    other = ClassIntent("c2", DEFAULT_DOMAIN, Labels.of({"role": "lb"}), Mode.VISIBILITY, Egress.LEAVE, peers)
    exclusive = mode is TargetMode.EXCLUSIVE and how.enforced
    everything = decode(now)
    made = []
    for one in sorted(now.virtuals.values(), key=lambda each: each.point):
        past = everything[one.point].inbound
        kept = (past - inbound.closed - inbound.never) if how is Mode.SELECTIVE else NO_PACKETS
        made.append(PointIntent(one.point, "c1", DEFAULT_DOMAIN, how, Egress.LEAVE, kept if exclusive else None))
    return Intent("f5", "acme", mode, (target, other), tuple(made))


def reached(now: F5Table, encoding: Encoding) -> F5Table:
    for phase in steps(now, encoding.table, Method.SWAP):
        now = simulate(now, *phase.steps)
    return now


def only(encoding: Encoding) -> Policy:
    found: list[Policy] = [one for one in encoding.table.policies.values() if one.mark is not None]
    assert len(found) == 1
    return found[0]


# --- names and lists -------------------------------------------------------------------------------------------------------


def test_members_change_a_list_and_nothing_else() -> None:
    now = table(virtual())
    first = encode(intent(now, allow(term("c2"), sources=CORP), peers=CORP), now)
    there = reached(now, first)
    more = CORP | AddressSet.of("198.51.100.1/32")
    second = encode(intent(there, allow(term("c2"), sources=more), peers=more), there)
    assert only(first).path == only(second).path
    (phase, *_) = steps(there, second.table, Method.SWAP)
    assert phase.steps[0].adds == 1
    assert phase.steps[0].payload.count('"method":"PATCH"') == 1
    assert '"method":"POST","path":"/mgmt/tm/security/firewall/policy"' not in phase.steps[0].payload


def test_a_peer_that_resolves_to_nobody_is_no_rule() -> None:
    now = table(virtual())
    found = encode(intent(now, allow(term("c2"), term(NOWHERE), term("unknown"))), now)
    assert [rule.action for rule in only(found).rules] == [Action.DROP]
    assert not found.table.lists


def test_tiers_stand_in_their_fixed_order() -> None:
    now = table(virtual())
    inbound = allow(term(ANYWHERE), never=(term(CORP, rule="n#1"),), deny=(term(AddressSet.of("10.0.0.0/8"), rule="d#1"),))
    found = encode(intent(now, inbound, how=Mode.SELECTIVE), now)
    assert [rule.name.partition("_")[0] for rule in only(found).rules] == ["never", "allow", "deny", "kept", "cs"]
    assert [rule.description for rule in only(found).rules][:4] == ["n#1", "r#1", "d#1", "kept"]
    assert all(rule.action is not None and (not rule.action.opens or not rule.source.any) for rule in only(found).rules)


def test_rules_edited_by_hand_lead_to_a_new_generation_under_a_new_name() -> None:
    now = table(virtual())
    there = reached(now, encode(intent(now, allow(term(CORP))), now))
    (path,) = there.policies
    policy = there.policies[path]
    edited = replace(policy, rules=policy.rules[::-1])
    tampered = replace(there, policies={path: edited})
    again = encode(intent(tampered, allow(term(CORP))), tampered)
    assert only(again).path != path
    assert only(again).rules == policy.rules
    final = reached(tampered, again)
    assert encode(intent(final, allow(term(CORP))), final).table == final, "and it stays under that name"


def test_a_policy_whose_mark_was_taken_is_foreign_and_left_where_it_is() -> None:
    now = table(virtual())
    there = reached(now, encode(intent(now, allow(term(CORP))), now))
    (path,) = there.policies
    stripped = replace(there, policies={path: replace(there.policies[path], mark=None, description="mine now")})
    again = encode(intent(stripped, allow(term(CORP))), stripped)
    assert again.table.policies[path] == stripped.policies[path]
    assert only(again).path != path
    assert any("has a name of ours but not our mark" in note for note in again.notes)


@pytest.mark.parametrize("where", ["lists", "taken"])
def test_a_name_that_is_taken_is_a_problem_before_anything_is_written(where: str) -> None:
    now = table(virtual())
    wish = intent(now, allow(term("c2"), sources=CORP), peers=CORP)
    (path,) = encode(wish, now).table.lists
    taken = replace(now, lists={path: AddressList(path)}) if where == "lists" else replace(now, taken=frozenset({path}))
    assert [one.code for one in encode(wish, taken).problems] == ["F5-NAME-CLASH"]


def test_quarantined_addresses_stay_in_their_list_one_more_run_and_none_is_added() -> None:
    now = table(virtual())
    there = reached(now, encode(intent(now, allow(term("c2"), sources=CORP), peers=CORP), now))
    gone = AddressSet.of("203.0.113.0/32")
    left = CORP - gone
    wish = replace(intent(there, allow(term("c2"), sources=left), peers=left), quarantined=gone | AddressSet.of("192.0.2.1/32"))
    assert encode(wish, there).table == there
    all_gone = replace(intent(there, allow(term("c2"))), quarantined=CORP)
    assert encode(all_gone, there).table == there, "even where nobody else is left"


# --- what stops ------------------------------------------------------------------------------------------------------------


def test_quotas_are_refused_with_the_numbers() -> None:
    now = table(virtual(), quotas=Quotas(rules_per_policy=2, addresses_per_list=4, request_bytes=300))
    found = encode(intent(now, allow(*(term(CORP, rule=f"r#{number}") for number in range(1, 4)))), now)
    words_of = " ".join(one.message for one in found.problems)
    assert {one.code for one in found.problems} == {"G-QUOTA"}
    assert "needs 4 rules; rules_per_policy allows 2" in words_of
    assert "needs 10 entries; addresses_per_list allows 4" in words_of
    assert "bytes in one request; request_bytes allows 300" in words_of


def test_a_partition_that_virtual_servers_cannot_use_is_refused() -> None:
    now = table(virtual(), partition="cloudsync")
    assert [one.code for one in encode(intent(now, allow(term(CORP))), now).problems] == ["F5-PARTITION"]


def test_what_is_not_compiled_is_a_problem_and_not_a_plan() -> None:
    now = table(virtual(), running={"/Common/vs": ""}, compiling="Compile pending")
    found = encode(intent(now, allow(term(CORP))), now)
    assert [one.code for one in found.problems] == ["F5-NOT-COMPILED"]
    assert found.table == now


def test_a_group_read_in_part_is_wanted_as_it_is() -> None:
    now = table(virtual(), incomplete="one page is missing")
    assert encode(intent(now, allow(term(CORP))), now).table == now


def test_a_process_needs_the_rules_acceptance() -> None:
    now = table(virtual())
    found = encode(intent(now, allow(term(CORP, process="/usr/sbin/nginx"))), now)
    assert [(one.code, one.rules) for one in found.problems] == [("FIDELITY", ("r#1",))]
    accepted = encode(intent(now, allow(term(CORP, process="/usr/sbin/nginx", accept=frozenset({Accept.PORT_ONLY})))), now)
    assert not accepted.problems
    assert [(one.verdict, one.accepted) for one in accepted.fidelity] == [(Verdict.LOOSER, True)]


def test_enforced_egress_cannot_be_and_names_the_rules() -> None:
    now = table(virtual())
    wish = intent(now, allow(term(CORP)))
    outbound = allow(term(CORP, rule="out#1"))
    classes = tuple(replace(one, egress=Egress.ENFORCE, outbound=outbound) if one.class_id == "c1" else one for one in wish.classes)
    enforced = replace(wish, classes=classes, points=tuple(replace(one, egress=Egress.ENFORCE) for one in wish.points))
    found = encode(enforced, now)
    assert ("FIDELITY", ("out#1",)) in [(one.code, one.rules) for one in found.problems]
    assert Verdict.CANNOT in [one.verdict for one in found.fidelity]


def odd(**more: Any) -> Policy:
    rule = Rule("nights", Action.ACCEPT, Ends(frozenset({words.span("10.0.0.0/8")})), odd=("hours",))
    return Policy("/Common/odd", (replace(rule, **more),))


def test_selective_does_not_keep_what_cannot_be_evaluated() -> None:
    now = table(virtual(enforced="/Common/odd"), policies={"/Common/odd": odd()})
    found = encode(intent(now, allow(term(CORP)), how=Mode.SELECTIVE), now)
    assert [one.code for one in found.problems] == ["F5-UNREADABLE"]
    assert not encode(intent(now, allow(term(CORP))), now).problems, "full replaces it whole"


def test_what_cannot_be_evaluated_on_an_outer_context_skips_the_points_it_may_act_on() -> None:
    elsewhere = Ends(frozenset({words.span("10.99.0.1")}))
    one = table(virtual(), policies={"/Common/odd": odd()}, enforced="/Common/odd")
    (point,) = points(judged(one, additive=False))
    assert "rule nights of policy /Common/odd on the global context depends on hours" in point.skipped
    other = replace(one, policies={"/Common/odd": odd(destination=elsewhere)})
    assert not points(judged(other, additive=False))[0].skipped


# --- modes -------------------------------------------------------------------------------------------------------------------


def test_additive_without_a_policy_cuts_never_alone_unless_told_to_close() -> None:
    now = table(virtual())
    inbound = allow(term(ANYWHERE), never=(term(CORP, rule="n#1"),))
    found = encode(intent(now, inbound, TargetMode.ADDITIVE), now)
    point = next(iter(now.virtuals.values())).point
    assert decode(found.table)[point].inbound == decode(now)[point].inbound - inbound.never
    assert decode(found.table, Whose.OURS)[point].inbound == inbound.exact & PacketSet.of(ANYWHERE.only(Family.V4), HTTPS)
    shut = encode(intent(now, allow(term(CORP)), TargetMode.ADDITIVE), now, default_deny=True)
    assert decode(shut.table)[point].inbound == PacketSet.of(CORP, HTTPS)
    assert not found.problems


def test_additive_with_nothing_to_say_attaches_nothing() -> None:
    now = table(virtual())
    assert encode(intent(now, allow(), TargetMode.ADDITIVE), now).table == now


def test_what_no_policy_of_ours_decides_is_stated() -> None:
    edge = Policy(
        "/Common/edge",
        (
            Rule("vip", Action.DECISIVELY, Ends(frozenset({words.span("192.0.2.7")}))),
            Rule("cut", Action.DROP, Ends(frozenset({words.span("203.0.113.2")}))),
        ),
    )
    now = table(virtual(), policies={edge.path: edge}, route_domains={"/Common/0": RouteDomain("/Common/0", 0, edge.path)})
    found = encode(intent(now, allow(term(ANYWHERE))), now)
    point = next(iter(now.virtuals.values())).point
    left, forced = (found.left_out or {})[point], (found.forced or {})[point]
    passable = PacketSet.of(ANYWHERE.only(Family.V4) - AddressSet.of("203.0.113.2/32"), HTTPS)
    assert left.inbound == ALL_PACKETS - passable
    assert forced == Access(PacketSet.of(AddressSet.of("192.0.2.7/32"), HTTPS), ALL_PACKETS)
    assert decode(found.table)[point].inbound == passable
    assert any("policy /Common/edge on route domain 0 decides before ours" in note for note in found.notes)


def test_what_is_kept_of_the_past_is_said_exactly() -> None:
    legacy = Policy(
        "/Common/legacy",
        (
            Rule("a", Action.ACCEPT, Ends(frozenset({words.span("198.51.100.0/24")})), native=Native(TCP, ((443, 443),))),
            Rule("b", Action.ACCEPT, Ends(frozenset({words.span("10.0.0.0/8")}))),
            Rule("z", Action.DROP),
        ),
    )
    wide = replace(virtual(enforced=legacy.path), listener=Listener(ANYWHERE.only(Family.V4), ANY_SERVICE))
    now = table(wide, policies={legacy.path: legacy})
    inbound = allow(term(CORP), deny=(term(AddressSet.of("10.1.0.0/16"), ServiceSet.ports(TCP, 22, 22), rule="d#1"),))
    found = encode(intent(now, inbound, how=Mode.SELECTIVE), now)
    was = decode(now)[wide.point].inbound
    assert decode(found.table)[wide.point].inbound == (was - inbound.closed) | inbound.exact
    assert len(only(found).rules) < 10, "not protocol by protocol"


# --- for people --------------------------------------------------------------------------------------------------------------


def test_a_virtual_server_is_reached_at_its_address_and_opens_from_snat_and_self_addresses() -> None:
    now = table(
        virtual("auto", snat="automap"),
        virtual("pool", "10.60.0.2", snat="/Common/pool"),
        virtual("other", "10.60.0.3%1", snat="automap", metadata=(("role", "web"),)),
    )
    selves = [words.span(text) for text in ("10.60.1.1", "10.60.1.2", "10.60.1.1%1")]
    found = {one.name: one for one in workloads(now, Behind(tuple(selves), {"/Common/pool": (words.span("10.60.2.9"),)}))}
    assert [one.source_only for one in found["auto"].interfaces] == [False, True]
    assert found["auto"].interfaces[1].addresses == AddressSet.of("10.60.1.1/32", "10.60.1.2/32")
    assert found["pool"].interfaces[1].addresses == AddressSet.of("10.60.1.1/32", "10.60.1.2/32", "10.60.2.9/32")
    assert found["other"].interfaces[1].addresses == AddressSet.of("10.60.1.1/32")
    assert [one.network for one in found["other"].interfaces] == ["rd1", "rd1"]
    assert all(one.shared == "dg" for each in found.values() for one in each.interfaces)
    assert found["auto"].interfaces[0].point == "dg/Common/auto"
    assert found["auto"].interfaces[1].point is None
    assert found["other"].tags == (("role", "web"),)


def test_a_packet_is_followed_through_every_context() -> None:
    edge = Policy("/Common/edge", (Rule("ok", Action.ACCEPT, Ends(frozenset({words.span("203.0.113.0/24")}))),))
    now = table(virtual(), policies={edge.path: edge}, enforced=edge.path)
    found = encode(intent(now, allow(term(CORP))), now).table
    hops = walk(found, virtual().point, "inbound", WEB)
    assert [(hop.verdict, hop.ours) for hop in hops] == [("pass", False), ("pass", False), ("allow", True)]
    assert "policy /Common/edge" in hops[0].where
    assert [one.rule for one in hops[2].origins] == ["r#1"]
    there = simulate(found)  # as a read shows it: origins come from what the rule says of itself
    assert [one.rule for one in walk(there, virtual().point, "inbound", WEB)[2].origins] == ["r#1"]
    denied = walk(found, virtual().point, "inbound", replace(WEB, peer=1))
    assert denied[-1].verdict == "deny"
    assert "cs_default" in denied[-1].rule
    assert walk(found, virtual().point, "inbound", replace(WEB, detail=80))[0].rule == "it does not listen there"
    assert walk(found, virtual().point, "outbound", WEB)[0].verdict == "allow"


def test_entries_say_what_opens_and_what_cuts_and_whose_it_is() -> None:
    legacy = Policy("/Common/legacy", (Rule("z", Action.DROP),))
    now = table(virtual(), virtual("two", "10.60.0.2", enforced=legacy.path), policies={legacy.path: legacy})
    wish = intent(now, allow(term(CORP)))
    shown = entries(now)
    assert [(one.object, one.denies, one.ours, one.points) for one in shown] == [(legacy.path, True, False, ("dg/Common/two",))]
    both = encode(wish, now).table
    ours = [one for one in entries(both) if one.ours]
    assert [one.denies for one in ours] == [False, True]
    assert ours[0].points == ("dg/Common/two", "dg/Common/vs")
    assert ours[0].packets == PacketSet.of(CORP, HTTPS)
    assert owned(both) == 2 + len(CORP.cidrs())

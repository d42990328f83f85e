"""Policies on route domains case by case: what they say, what they keep of others, who is skipped, what is remembered, one packet's way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cloudsync.adapter import AddressPeer, ClassIntent, ClassPeer, Effect, Encoding, Intent, Method, Origin, PointIntent, Seen, Term, Whose
from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet, Family
from cloudsync.model.mode import Egress, Mode, TargetMode
from cloudsync.model.packets import NO_PACKETS, Packet, PacketSet
from cloudsync.model.service import ANY_SERVICE, TCP, ServiceSet
from cloudsync.model.workload import DEFAULT_DOMAIN, Labels
from cloudsync_f5 import parse, words
from cloudsync_f5 import payload as wire
from cloudsync_f5.bounds import affected, bounds
from cloudsync_f5.decode import decode
from cloudsync_f5.encode import encode
from cloudsync_f5.points import entries, points, walk
from cloudsync_f5.read import judged
from cloudsync_f5.simulate import seen, simulate
from cloudsync_f5.steps import Change, steps
from cloudsync_f5.table import Action, Ends, F5Table, Listener, Policy, Quotas, RouteDomain, Rule, Virtual
from cloudsync_f5.words import Native
from tests.unit.test_f5_encode import CORP, HTTPS, WEB, allow, term, virtual
from tests.unit.test_f5_encode import table as plain

EDGE = "/Common/edge"
OUT = AddressSet.of("192.0.2.0/24")


def ends(*texts: str) -> Ends:
    return Ends(frozenset(map(words.span, texts)))


def table(*virtuals: Virtual, carries: str = "", rules: tuple[Rule, ...] = (), **more: Any) -> F5Table:
    """Return a device group whose settings hold route domain 0, which carries a foreign policy if one is named."""
    policies = {carries: Policy(carries, rules, "since 2016")} if carries else {}
    made = plain(*virtuals, policies=policies, route_domains={"/Common/0": RouteDomain("/Common/0", 0, carries)}, held=("0",))
    return replace(made, **more)


def intent(now: F5Table, *, modes: dict[str, Mode] | None = None, mode: TargetMode = TargetMode.EXCLUSIVE, **more: Any) -> Intent:
    """Return what is wanted: CORP may reach every enforced virtual server on 443. `modes`: by name, full without one."""
    everything, exclusive = decode(now), mode is TargetMode.EXCLUSIVE
    classes: list[ClassIntent] = []
    made: list[PointIntent] = []
    for one in sorted(now.virtuals.values(), key=lambda each: each.point):
        how = (modes or {}).get(one.name, Mode.FULL)
        inbound = allow(term(CORP, rule=f"{one.name}#1"))
        classes.append(ClassIntent(one.name, DEFAULT_DOMAIN, Labels.of({"role": one.name}), how, Egress.LEAVE, one.addresses, inbound))
        kept = everything[one.point].inbound if how is Mode.SELECTIVE else NO_PACKETS
        made.append(
            PointIntent(one.point, one.name, DEFAULT_DOMAIN, how, Egress.LEAVE, kept if exclusive and how.enforced else None, **more)
        )
    return Intent("f5", "acme", mode, tuple(classes), tuple(made))


def held(encoding: Encoding | F5Table) -> Policy:
    found: F5Table = encoding.table if isinstance(encoding, Encoding) else encoding
    policy: Policy = found.policies[found.route_domains["/Common/0"].enforced]
    return policy


def compiling(now: F5Table) -> F5Table:
    """Return the same table while its route domain still runs no policy."""
    return replace(now, running={now.route_domains["/Common/0"].context: ""})


def reached(now: F5Table, wish: Intent) -> F5Table:
    for phase in steps(now, encode(wish, now).table, Method.SWAP):
        now = simulate(now, *phase.steps)
    return now


# --- what it says ----------------------------------------------------------------------------------------------------------


def test_every_rule_names_its_virtual_servers_by_a_list_and_what_they_listen_on() -> None:
    now = table(virtual("a"), virtual("b", "10.60.0.2"))
    found = encode(intent(now), now)
    rules = held(found).rules
    assert [(rule.action, rule.native) for rule in rules] == [
        (Action.ACCEPT, Native(TCP, ((443, 443),))),
        (Action.ACCEPT, Native(TCP, ((443, 443),))),
        (Action.DROP, Native(TCP, ((443, 443),))),
        (Action.DROP, Native(TCP, ((443, 443),))),
    ]
    assert all(rule.destination.lists and not rule.destination.spans for rule in rules)
    assert all(not one.enforced for one in found.table.virtuals.values())
    assert {one.description.split(":")[1] for one in found.table.lists.values()} == {"acme"}


def test_only_classes_in_mode_full_get_a_closed_end() -> None:
    now = table(virtual("a"), virtual("b", "10.60.0.2"), virtual("c", "10.60.0.3"))
    found = encode(intent(now, modes={"b": Mode.SELECTIVE, "c": Mode.VISIBILITY}), now)
    drops = [rule for rule in held(found).rules if rule.action is Action.DROP]
    assert len(drops) == 1
    (path,) = drops[0].destination.lists
    assert [span.text() for span in found.table.lists[path].spans] == ["10.60.0.1"]
    after = decode(found.table)
    assert after[virtual("b").point] == decode(now)[virtual("b").point]
    assert after[virtual("c").point] == decode(now)[virtual("c").point]


def test_addresses_with_two_listeners_are_told_apart_and_twins_are_skipped() -> None:
    other = replace(virtual("b"), listener=Listener(ANYWHERE.only(Family.V4), ServiceSet.ports(TCP, 80, 80)))
    now = judged(table(virtual("a"), other), additive=False)
    assert not any(one.skipped for one in now.virtuals.values())
    found = encode(intent(now, modes={"b": Mode.VISIBILITY}), now)
    assert decode(found.table)[other.point] == decode(now)[other.point]
    wide = replace(other, listener=Listener(ANYWHERE.only(Family.V4), ServiceSet.protocol(TCP)))
    twins = judged(table(virtual("a"), wide), additive=False)
    assert [one.skipped.split(",")[0] for one in twins.virtuals.values()] == [
        "listens where /Common/b does",
        "listens where /Common/a does",
    ]
    assert not any(one.skipped for one in judged(replace(twins, held=()), additive=False).virtuals.values() if "listens" not in one.skipped)


def test_a_source_filter_bounds_the_closed_end() -> None:
    few = replace(virtual("a"), listener=Listener(AddressSet.of("10.0.0.0/8"), HTTPS))
    now = table(few)
    assert held(encode(intent(now), now)).rules[-1].source == ends("10.0.0.0/8")


def test_the_name_ends_in_a_hash_and_the_mark_remembers_what_was_there() -> None:
    now = table(virtual("a"), carries=EDGE, rules=(Rule("x", Action.DROP, ends("192.0.2.0/24")),))
    policy = held(encode(intent(now), now))
    assert policy.mark is not None
    assert policy.path == f"/Common/cs_acme_rd0_{policy.mark.id.partition('=')[0][-6:]}_{policy.mark.sha[:8]}"
    assert policy.mark.id.endswith(f"={EDGE}")
    there = reached(now, intent(now))
    (point,) = points(there)
    assert (point.ours, point.foreign, point.keepsake) == ((policy.path,), (), (f"/Common/0 {EDGE}",))
    (before,) = points(now)
    assert (before.ours, before.foreign, before.keepsake) == ((), (EDGE,), (f"/Common/0 {EDGE}",))


def test_a_name_too_long_to_remember_is_left_to_the_records() -> None:
    long = f"/Common/{'x' * 250}"
    now = table(virtual("a"), carries=long, rules=(Rule("x", Action.DROP, ends("192.0.2.0/24")),))
    there = reached(now, intent(now))
    policy = held(there)
    assert policy.mark is not None
    assert "=" not in policy.mark.id
    back = intent(there, modes={"a": Mode.VISIBILITY}, original=(f"/Common/0 {long}",))
    assert reached(there, back).route_domains["/Common/0"].enforced == long


# --- what it keeps of others -------------------------------------------------------------------------------------------------


FOREIGN = (
    Rule("in", Action.ACCEPT, ends("198.51.100.0/24"), native=Native(TCP, ((443, 443),))),
    Rule("ports", Action.DROP, ends("203.0.113.0/24"), ends("10.60.0.2"), Native(TCP), frozenset({"/Common/ports"})),
    Rule("geo", Action.DROP, odd=("countries",), rest='{"source":{"geo":[{"name":"US"}]}}'),
    Rule("taken", None, rule_list="/Common/shared"),
    Rule("off", Action.REJECT, enabled=False, logged=True),
)


def test_rules_of_others_are_taken_over_word_for_word() -> None:
    now = table(virtual("a"), virtual("b", "10.60.0.2"), carries=EDGE, rules=FOREIGN)
    found = encode(intent(now, modes={"b": Mode.IDLE}), now)
    below = [rule for rule in held(found).rules if rule.inherited]
    assert [replace(rule, name=rule.name.removeprefix("was_"), description="") for rule in below] == list(FOREIGN)
    bodies = wire.rules(held(found).rules)[-len(FOREIGN) :]
    assert bodies[2]["source"] == {"geo": [{"name": "US"}]}
    assert bodies[1]["destination"] == {"addresses": [{"name": "10.60.0.2"}], "portLists": ["/Common/ports"]}
    assert bodies[3]["ruleList"] == "/Common/shared"
    assert "action" not in bodies[3]
    assert parse.rules(bodies)[2].rest == FOREIGN[2].rest
    assert decode(found.table)[virtual("b").point] == decode(now)[virtual("b").point]
    assert found.table.policies[EDGE] == now.policies[EDGE]


def test_what_others_wrote_is_what_is_left_without_ours() -> None:
    rules = (Rule("cut", Action.DROP, ends("192.0.2.0/24")),)
    now = table(virtual("a"), virtual("b", "10.60.0.2"), carries=EDGE, rules=rules)
    there = reached(now, intent(now, modes={"b": Mode.VISIBILITY}))
    assert decode(there, Whose.FOREIGN) == decode(now)
    assert decode(there, Whose.OURS)[virtual("b").point].inbound == NO_PACKETS
    assert decode(there, Whose.OURS)[virtual("a").point].inbound == PacketSet.of(CORP, HTTPS)
    assert [one.ours for one in entries(there)] == [True, True, False]


def test_a_policy_that_is_deleted_meanwhile_lives_on_below_ours() -> None:
    rules = (Rule("cut", Action.DROP, ends("192.0.2.0/24")),)
    now = table(virtual("a"), virtual("b", "10.60.0.2"), carries=EDGE, rules=rules)
    there = reached(now, intent(now, modes={"b": Mode.IDLE}))
    gone = replace(there, policies={path: one for path, one in there.policies.items() if path != EDGE})
    again = encode(intent(gone, modes={"b": Mode.IDLE}), gone)
    assert again.table == gone
    back = encode(intent(gone, modes={"a": Mode.IDLE, "b": Mode.IDLE}), gone)
    assert back.table.route_domains == gone.route_domains
    assert any("keeps our policy: /Common/edge, which was there before us, is gone" in note for note in back.notes)


@pytest.mark.parametrize("word", ["hours", "status odd", "action 'maybe'"])
def test_rules_that_cannot_be_written_again_leave_the_route_domain_alone(word: str) -> None:
    now = judged(table(virtual("a"), carries=EDGE, rules=(Rule("nights", Action.DROP, odd=(word,)),)), additive=False)
    (point,) = points(now)
    assert "its rule nights" in point.skipped
    assert "cannot be written again below ours" in point.skipped
    assert encode(intent(now), now).table == now


def test_another_owners_policy_is_left_alone_in_every_mode() -> None:
    now = table(virtual("a"), carries=EDGE)
    theirs = replace(now, policies={EDGE: replace(now.policies[EDGE], description="cloudsync:other:domain-1:ff")})
    (point,) = points(judged(theirs, additive=False))
    assert "of owner other" in point.skipped


def test_a_foreign_policy_on_the_virtual_server_stays_in_series() -> None:
    cut = Policy("/Common/own", (Rule("cut", Action.DROP, ends("203.0.113.2")), Rule("in", Action.DECISIVELY)))
    now = table(virtual("a", enforced=cut.path), policies={cut.path: cut})
    found = encode(intent(now), now)
    assert found.table.virtuals == now.virtuals
    assert not found.problems
    point = virtual("a").point
    assert decode(found.table)[point].inbound == PacketSet.of(CORP - AddressSet.of("203.0.113.2/32"), HTTPS)
    assert PacketSet.of(AddressSet.of("203.0.113.2/32"), HTTPS) <= (found.left_out or {})[point].inbound
    assert any("is asked behind ours" in note for note in found.notes)
    odd = replace(cut, rules=(Rule("nights", Action.DROP, odd=("hours",)),))
    (skipped,) = points(judged(replace(now, policies={cut.path: odd}), additive=False))
    assert "on the virtual server depends on hours" in skipped.skipped


def test_selective_does_not_keep_what_cannot_be_evaluated() -> None:
    now = table(virtual("a"), carries=EDGE, rules=(Rule("some", Action.ACCEPT, ends("10.0.0.0/8"), odd=("users",)),))
    assert [one.code for one in encode(intent(now, modes={"a": Mode.SELECTIVE}), now).problems] == ["F5-UNREADABLE"]
    assert not encode(intent(now), now).problems


# --- what stops --------------------------------------------------------------------------------------------------------------


def test_quotas_count_the_whole_policy_and_name_everybody_in_it() -> None:
    now = table(virtual("a"), virtual("b", "10.60.0.2"), quotas=Quotas(rules_per_policy=3))
    there = reached(replace(now, quotas=Quotas()), intent(now))
    (problem,) = encode(intent(now), replace(there, quotas=Quotas(rules_per_policy=3))).problems
    assert problem.code == "G-QUOTA"
    assert "needs 4 rules; rules_per_policy allows 3" in problem.message
    assert set(problem.points) == {virtual("a").point, virtual("b").point}


def test_partitions_unknown_numbers_and_a_closed_default_are_told() -> None:
    now = table(virtual("a"))
    codes = {
        "F5-PARTITION": replace(now, partition="cloudsync"),
        "F5-ROUTE-DOMAIN": replace(now, held=("0", "/Common/9")),
        "F5-DEFAULT": replace(now, open_by_default=False),
        "F5-NOT-COMPILED": replace(now, running={"route domain /Common/0": "/Common/else"}),
    }
    for code, one in codes.items():
        found = encode(intent(one), one)
        assert [problem.code for problem in found.problems] == [code]
        assert all(problem.hint for problem in found.problems)


def test_a_route_domain_is_no_virtual_server_of_the_same_path() -> None:
    twin = replace(virtual("0"), path="/Common/0")
    now = table(twin)
    (phase, *_) = steps(now, encode(intent(now), now).table, Method.SWAP)
    request = wire.parse(phase.steps[0].payload)
    assert request.expect == {"route domain /Common/0": "none"}
    after = simulate(now, *phase.steps)
    assert after.virtuals == now.virtuals
    assert affected(now, phase.steps) == {twin.point}
    with pytest.raises(ValueError, match="route domain /Common/0 does not carry none"):
        simulate(after, *phase.steps)


# --- the way there -----------------------------------------------------------------------------------------------------------


def moving(*, stages: bool = False) -> tuple[F5Table, F5Table]:
    """Return a table with policies on virtual servers, and the same rules on the route domain."""
    now = replace(table(virtual("a"), virtual("b", "10.60.0.2")), held=())
    there = replace(reached(now, intent(now)), held=("0",), stages=stages)
    return there, encode(intent(there), there).table


def test_a_move_fills_the_new_place_before_it_leaves_the_old_one() -> None:
    now, then = moving()
    phases = steps(now, then, Method.SWAP)
    assert [phase.name for phase in phases][:2] == ["swap", "leave"]
    between = simulate(now, *phases[0].steps)
    assert all(between.ours(one.enforced) for one in between.virtuals.values())
    assert between.ours(between.route_domains["/Common/0"].enforced)
    assert decode(between) == decode(now) == decode(then)
    assert phases[0].steps[0].points == phases[1].steps[0].points == (virtual("a").point, virtual("b").point)


def test_a_read_after_the_commit_shows_a_move_only_when_it_is_compiled() -> None:
    now, then = moving()
    (phase, *_) = steps(now, then, Method.SWAP)
    after = simulate(now, *phase.steps)
    assert seen(after, phase.steps[0]) is Seen.YES
    assert seen(replace(after, running={"route domain /Common/0": ""}), phase.steps[0]) is Seen.NO
    assert seen(now, phase.steps[0]) is Seen.NO


def test_staging_comes_first_and_nobody_feels_it() -> None:
    now, then = moving(stages=True)
    phases = steps(now, then, Method.SWAP)
    assert [phase.name for phase in phases][:3] == ["stage", "swap", "leave"]
    (first,) = phases[0].steps
    assert first.effect is Effect.NONE
    staged = simulate(now, first)
    assert staged.route_domains["/Common/0"].staged == then.route_domains["/Common/0"].enforced
    assert decode(staged) == decode(now)


def test_where_both_contexts_change_at_once_either_may_be_first() -> None:
    before = Policy("/Common/own", (Rule("few", Action.ACCEPT, ends("192.0.2.0/24")), Rule("rest", Action.DROP)))
    now = replace(table(virtual("a", enforced=before.path), policies={before.path: before}), held=())
    mine = replace(reached(now, intent(now)), held=("0",))
    there = reached(mine, intent(mine))
    back = encode(intent(there, modes={"a": Mode.VISIBILITY}, original=(before.path,)), there)
    assert back.table.virtuals["/Common/a"].enforced == before.path
    step = Change(there, back.table).transaction("at-once", back.table)
    assert step is not None
    states = [decode(one)[virtual("a").point].inbound for one in bounds(there, (step,)).upper]
    assert len(states) == 4
    assert states[0] == PacketSet.of(CORP, HTTPS)
    assert states[1] == PacketSet.of(OUT, HTTPS)
    assert set(states[2:]) == {PacketSet.of(ANYWHERE.only(Family.V4), HTTPS), NO_PACKETS}, "bare, or doubly kept"
    phases = steps(there, back.table, Method.SWAP)
    assert [phase.name for phase in phases][:2] == ["restore", "swap"], "so it is done in two steps"
    assert len(bounds(there, phases[0].steps).upper) == 2


# --- for people --------------------------------------------------------------------------------------------------------------


def test_a_packet_is_followed_through_the_route_domain() -> None:
    now = table(virtual("a"))
    there = reached(now, intent(now))
    hops = walk(there, virtual("a").point, "inbound", WEB)
    assert [(hop.verdict, hop.ours) for hop in hops] == [("pass", False), ("pass", True), ("allow", False)]
    assert hops[1].where.startswith("route domain 0, policy /Common/cs_acme_rd0_")
    assert [one.rule for one in hops[1].origins] == ["a#1"]
    denied = walk(there, virtual("a").point, "inbound", Packet(Family.V4, 1, TCP, 443))
    assert [hop.verdict for hop in denied] == ["pass", "deny"]
    assert "cs_default_" in denied[-1].rule
    assert denied[-1].origins == ()


def test_services_that_nobody_listens_on_are_no_rules() -> None:
    now = table(virtual("a"))
    wish = intent(now)
    ssh = ServiceSet.ports(TCP, 22, 22)
    inbound = allow(term(CORP), Term(AddressPeer(OUT), ssh, (Origin("ssh#1"),)), Term(ClassPeer("b"), ANY_SERVICE, (Origin("b#1"),)))
    group = replace(wish.classes[0], inbound=inbound)
    other = ClassIntent("b", DEFAULT_DOMAIN, Labels.of({"role": "b"}), Mode.IDLE, Egress.LEAVE, NOWHERE)
    found = encode(replace(wish, classes=(group, other)), now)
    assert [rule.description for rule in held(found).rules if rule.action is Action.ACCEPT] == ["r#1"]
    assert {one.rule for one in found.fidelity} == {"r#1", "ssh#1", "b#1"}, "they are said exactly: nothing of them can be"


# --- not in force yet ------------------------------------------------------------------------------------------------------


def test_while_a_policy_of_a_route_domain_is_not_compiled_packets_meet_what_runs_there() -> None:
    now = table(virtual("a"))
    there = reached(now, intent(now))
    assert WEB in decode(there)[there.virtuals["/Common/a"].point].inbound
    closed = Packet(Family.V4, int(OUT.v4[0]), TCP, 443)
    point = there.virtuals["/Common/a"].point
    assert closed not in decode(there)[point].inbound
    late = compiling(there)
    assert closed in decode(late)[point].inbound
    assert [hop.verdict for hop in walk(late, point, "inbound", closed)] == ["pass", "pass", "allow"]
    assert not entries(late, [point])

"""Encode, steps, simulate and bounds against each other and against an evaluator of the raw JSON, over random estates and intents."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import reduce
from operator import and_, or_
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.adapter import Effect, Encoding, Intent, Method, Phase, Seen, Step, Whose
from cloudsync.compile.intent import wanted
from cloudsync.model.mode import TargetMode
from cloudsync.proof.certificate import Beyond
from cloudsync_gcp.bounds import affected, bounds
from cloudsync_gcp.decode import decode
from cloudsync_gcp.encode import encode
from cloudsync_gcp.explain import walk
from cloudsync_gcp.payload import body
from cloudsync_gcp.simulate import seen, simulate_all
from cloudsync_gcp.steps import steps
from cloudsync_gcp.table import GcpTable, Layout, Room
from tests.property.gcp_estates import Past, World, intent, passes, past, probes, settled, world

SEEDS = st.integers(0, 10**9)
MODES = st.sampled_from((TargetMode.EXCLUSIVE, TargetMode.ADDITIVE))
METHODS = st.sampled_from((Method.MERGE, Method.MEET))
EXAMPLES = settings(max_examples=60, deadline=None)
BENEATH = (701, 800, 801, 900, 1000, 1000, 60000, 65534)
"""Numbers that our tiers outrank: with others an exclusive target refuses."""


def layout(random: Random, mode: TargetMode) -> Layout:
    default = 701 if mode is TargetMode.EXCLUSIVE else random.choice((60000, 800))
    target = random.choice(("ip", "ip", "managed-tags"))
    most = random.choice((256, 256, 3))
    return Layout(target=target, default_deny=default, outrank=random.random() < 0.5, addresses_most=most)


def fold(table: GcpTable, phases: tuple[Phase, ...]) -> GcpTable:
    for phase in phases:
        table = simulate_all(table, phase.steps)
    return table


def holds(wish: Intent, encoding: Encoding) -> None:
    beyond = Beyond(encoding.left_out or {}, encoding.forced or {})
    for point, exact in wanted(wish).items():
        want = beyond.held(point, exact)
        access = decode(encoding.table, Whose.OURS if want.ours_only else Whose.ALL, [point])[point]
        for found, least, most in (
            (access.inbound, want.least.inbound, want.most.inbound),
            (access.outbound, want.least.outbound, want.most.outbound),
        ):
            assert least <= found, (point, "missing", (least - found).text())
            assert found <= most, (point, "excess", (found - most).text())


def first(seed: int, mode: TargetMode) -> tuple[Random, World, GcpTable, Past]:
    random = Random(seed)
    found = world(random, numbers=BENEATH if mode is TargetMode.EXCLUSIVE else None)
    table = found.table(layout(random, mode))
    return random, found, table, past(table)


def two_states(seed: int, mode: TargetMode) -> tuple[Random, World, GcpTable, Encoding, Intent]:
    """Return a table that a first intent was applied to, and the encoding of a second one, some machines in other classes."""
    random, found, table, known = first(seed, mode)
    there = settled(encode(intent(random, found, table, mode, known), table).table)
    found.classes = {vm: f"class{random.randrange(3)}" if random.random() < 0.3 else known_ for vm, known_ in found.classes.items()}
    wish = intent(random, found, there, mode, known)
    return random, found, there, encode(wish, there), wish


@EXAMPLES
@given(SEEDS)
def test_what_is_decoded_is_what_the_api_s_json_lets_through(seed: int) -> None:
    random = Random(seed)
    found = world(random)
    table = found.table()
    shown = {whose: decode(table, whose) for whose in Whose}
    by_name = {nic.vm_name: nic.point for nic in table.nics.values()}
    for packet in probes(random, 60):
        vm, whose, direction = random.choice(found.vms), random.choice((Whose.ALL, Whose.FOREIGN)), random.choice(("inbound", "outbound"))
        access = shown[whose][by_name[vm["name"]]]
        sets = access.inbound if direction == "inbound" else access.outbound
        expected = passes(found, vm, packet, direction, whose)
        assert (packet in sets) is expected, (vm["name"], direction, packet.text())
        if whose is Whose.ALL:
            hops = walk(table, by_name[vm["name"]], direction, packet)
            assert (hops[-1].verdict == "allow") is expected
            assert all(hop.verdict == "pass" for hop in hops[:-1])


@EXAMPLES
@given(SEEDS, MODES)
def test_what_is_encoded_is_exactly_what_is_wanted(seed: int, mode: TargetMode) -> None:
    random, found, table, known = first(seed, mode)
    wish = intent(random, found, table, mode, known)
    encoding = encode(wish, table)
    assert not encoding.problems, encoding.problems
    holds(wish, encoding)
    for name, rule in table.rules.items():
        after = encoding.table.rules[name]
        assert after == rule or (
            mode is TargetMode.EXCLUSIVE and replace(after, disabled=False, description="") == replace(rule, disabled=False, description="")
        )
    for name in encoding.table.rules.keys() - table.rules.keys():
        raw = body(encoding.table.rules[name])
        assert raw["destinationRanges"] if raw["direction"] == "EGRESS" else raw.get("sourceRanges") or raw["sourceTags"]
        assert ("allowed" in raw) is not ("denied" in raw)


@EXAMPLES
@given(SEEDS, MODES)
def test_the_raw_json_after_the_writes_lets_through_what_is_decoded(seed: int, mode: TargetMode) -> None:
    random, found, table, known = first(seed, mode)
    desired = encode(intent(random, found, table, mode, known), table).table
    found.ours = set(desired.rules) - set(found.rules)
    for name, rule in desired.rules.items():
        found.rules[name] = (
            found.rules[name] | {"disabled": rule.disabled, "description": rule.description} if name in found.rules else body(rule)
        )
    by_name = {nic.vm_name: nic.point for nic in table.nics.values()}
    for vm in found.vms:
        vm["tags"]["items"] = list(desired.nics[by_name[vm["name"]]].tags)
    shown = {whose: decode(desired, whose) for whose in Whose}
    for packet in probes(random, 60):
        vm, whose, direction = random.choice(found.vms), random.choice(list(Whose)), random.choice(("inbound", "outbound"))
        access = shown[whose][by_name[vm["name"]]]
        assert (packet in (access.inbound if direction == "inbound" else access.outbound)) is passes(found, vm, packet, direction, whose)


@EXAMPLES
@given(SEEDS, MODES)
def test_a_second_run_on_what_was_reached_writes_nothing(seed: int, mode: TargetMode) -> None:
    random, found, table, known = first(seed, mode)
    state = random.getstate()
    wish = intent(random, found, table, mode, known)
    there = settled(encode(wish, table).table)
    random.setstate(state)
    again = encode(intent(random, found, there, mode, known), there)
    assert again.table == there
    assert all(steps(there, again.table, method) == () for method in Method)


@EXAMPLES
@given(SEEDS, MODES)
def test_the_order_of_the_input_does_not_matter(seed: int, mode: TargetMode) -> None:
    _, _, there, encoding, wish = two_states(seed, mode)
    shuffled = replace(wish, classes=tuple(reversed(wish.classes)), points=tuple(reversed(wish.points)))
    mixed = replace(there, rules=dict(reversed(list(there.rules.items()))), nics=dict(reversed(list(there.nics.items()))))
    again = encode(shuffled, mixed)
    assert again.table == encoding.table
    assert [phase.steps for phase in steps(mixed, again.table, Method.MERGE)] == [
        phase.steps for phase in steps(there, encoding.table, Method.MERGE)
    ]


@EXAMPLES
@given(SEEDS, MODES, METHODS)
def test_a_changed_intent_is_reached_exactly_and_every_prefix_lies_between(seed: int, mode: TargetMode, method: Method) -> None:
    random, _, there, encoding, wish = two_states(seed, mode)
    assert not encoding.problems, encoding.problems
    holds(wish, encoding)
    old, new, table = decode(there), decode(encoding.table), there
    keys: list[str] = []
    phases = steps(there, encoding.table, method)
    retagged = any(phase.name == "tags" for phase in phases)
    for phase in phases:
        reach = bounds(table, phase.steps)
        low, high = [decode(one) for one in reach.lower], [decode(one) for one in reach.upper]
        touched = affected(table, phase.steps)
        some = random.sample(phase.steps, random.randint(0, len(phase.steps)))
        for state in (simulate_all(table, some), simulate_all(table, phase.steps)):
            for point, access in decode(state).items():
                for now, before, after, below, above in (
                    (access.inbound, old[point].inbound, new[point].inbound, low[0][point].inbound, high[0][point].inbound),
                    (access.outbound, old[point].outbound, new[point].outbound, low[0][point].outbound, high[0][point].outbound),
                ):
                    assert below <= now <= above or retagged
                    # Tags act on members at moments of their own: there MERGE may not do, which the planner sees, and MEET does.
                    assert (before & after) <= now <= (before | after) or (retagged and method is Method.MERGE), (phase.name, point)
                    assert ((before & after) <= below and above <= (before | after)) or retagged, (phase.name, point)
                assert access == decode(table, points=[point])[point] or point in touched
        table = simulate_all(table, phase.steps)
        keys.extend(step.key for step in phase.steps)
    assert table == encoding.table
    assert len(keys) == len(set(keys))
    assert settled(table) == table


@EXAMPLES
@given(SEEDS, MODES)
def test_meet_is_inside_old_and_then_inside_new(seed: int, mode: TargetMode) -> None:
    _, _, there, encoding, _ = two_states(seed, mode)
    old, new, table = decode(there), decode(encoding.table), there
    phases = steps(there, encoding.table, Method.MEET)
    names = [phase.name for phase in phases]
    start = names.index("shield") + 1 if "shield" in names else 0
    for at, phase in enumerate(phases):
        for high in bounds(table, phase.steps).upper:
            for point, access in decode(high).items():
                limit = old[point] if at < start else new[point]
                assert access.inbound <= limit.inbound, (phase.name, point)
                assert access.outbound <= limit.outbound, (phase.name, point)
        table = simulate_all(table, phase.steps)
    assert table == encoding.table
    assert all(step.temporary for phase in phases if phase.name in ("hold", "shield", "unshield", "release") for step in phase.steps)


@EXAMPLES
@given(SEEDS, MODES)
def test_what_bounds_a_change_of_tags_holds_whoever_sees_it_first(seed: int, mode: TargetMode) -> None:
    """Each packet at each point, with own tags and members' tags old or new, machine by machine."""
    random, _, there, encoding, _ = two_states(seed, mode)
    table = there
    for phase in steps(there, encoding.table, Method.MERGE):
        if phase.name != "tags":
            table = simulate_all(table, phase.steps)
            continue
        reach = bounds(table, phase.steps)
        low, high = [decode(one) for one in reach.lower], [decode(one) for one in reach.upper]
        moved = simulate_all(table, phase.steps)
        new_tags = {nic.vm: nic.tags for nic in moved.nics.values()}
        members = {nic.vm: random.choice((nic.tags, new_tags[nic.vm])) for nic in table.nics.values()}
        state = simulate_all(table, random.sample(phase.steps, random.randint(0, len(phase.steps))))
        for point, access in decode(replace(state, members=members)).items():
            for now, below, above in (
                (access.inbound, [one[point].inbound for one in low], [one[point].inbound for one in high]),
                (access.outbound, [one[point].outbound for one in low], [one[point].outbound for one in high]),
            ):
                assert reduce(and_, below) <= now <= reduce(or_, above)
        table = moved


@EXAMPLES
@given(SEEDS, MODES, METHODS)
def test_a_run_cut_anywhere_is_finished_by_the_next(seed: int, mode: TargetMode, method: Method) -> None:
    random, _, there, encoding, wish = two_states(seed, mode)
    every = [step for phase in steps(there, encoding.table, method) for step in phase.steps]
    cut = settled(simulate_all(there, every[: random.randint(0, len(every))]))
    again = encode(wish, cut)
    assert not again.problems
    holds(wish, again)
    done = settled(fold(cut, steps(cut, again.table, Method.MERGE)))
    assert encode(wish, done).table == done
    assert not any(rule.mark is not None and rule.mark.class_id == "move" for rule in done.rules.values())


@EXAMPLES
@given(SEEDS, MODES, METHODS)
def test_a_read_tells_before_from_after_and_effects_are_what_steps_do(seed: int, mode: TargetMode, method: Method) -> None:
    _, _, table, encoding, _ = two_states(seed, mode)
    for phase in steps(table, encoding.table, method):
        for step in phase.steps:
            assert seen(table, step) is Seen.NO, step.key
            before, table = table, simulate_all(table, (step,))
            assert seen(table, step) is Seen.YES, step.key
            old, new = decode(before), decode(table)
            for point in old:
                grows = old[point].inbound <= new[point].inbound and old[point].outbound <= new[point].outbound
                shrinks = new[point].inbound <= old[point].inbound and new[point].outbound <= old[point].outbound
                assert step.effect is not Effect.GROWS or grows
                assert step.effect is not Effect.SHRINKS or shrinks
                assert step.effect is not Effect.NONE or (grows and shrinks)


@EXAMPLES
@given(SEEDS)
def test_a_quota_is_kept_or_refused_with_the_numbers(seed: int) -> None:
    random, found, table, known = first(seed, TargetMode.ADDITIVE)
    wish = intent(random, found, table, TargetMode.ADDITIVE, known)
    roomy = encode(wish, table)
    new = len(roomy.table.rules.keys() - table.rules.keys())
    limit = random.randint(0, len(table.rules) + new + 2)
    encoding = encode(wish, replace(table, room=Room(limit)))
    fits = new == 0 or len(table.rules) + new <= limit
    assert [one.code for one in encoding.problems] == ([] if fits else ["G-QUOTA"])
    assert fits or str(limit) in encoding.problems[0].message


@pytest.mark.parametrize("seed", range(6))
def test_a_payload_is_all_that_simulate_knows(seed: int) -> None:
    _, _, table, encoding, _ = two_states(seed, TargetMode.ADDITIVE)
    phases = steps(table, encoding.table, Method.MERGE)
    bare = [Step("k", "a", "s", "o", "t", Effect.NONE, step.payload) for phase in phases for step in phase.steps]
    assert simulate_all(table, bare) == encoding.table
    assert all(json.loads(step.payload) for step in bare)

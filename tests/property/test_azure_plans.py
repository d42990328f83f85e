"""Decode, encode, steps, simulate and bounds against each other and against a reading packet by packet, over random estates and intents."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.adapter import Access, Intent, Method, Phase, Seen, Whose
from cloudsync.compile.intent import wanted
from cloudsync.model.mode import TargetMode
from cloudsync.model.packets import PacketSet
from cloudsync.proof.certificate import Beyond
from cloudsync_azure.bounds import affected, bounds
from cloudsync_azure.decode import decode, entries, points
from cloudsync_azure.encode import encode
from cloudsync_azure.settings import AzureSettings
from cloudsync_azure.simulate import seen, simulate
from cloudsync_azure.steps import steps
from cloudsync_azure.table import AzureTable
from tests.property.azure_estates import PLAIN, Past, estate, intent, passes, probes

SEEDS = st.integers(0, 10**9)
EXAMPLES = settings(max_examples=40)
WRITES = st.sampled_from(("whole", "child"))
CHILD = replace(PLAIN, child=True)
NOTHING = Access()


def fold(table: AzureTable, phases: tuple[Phase, ...]) -> AzureTable:
    return simulate(table, [step for phase in phases for step in phase.steps])


def differences(table: AzureTable, wish: Intent, beyond: Beyond) -> list[str]:
    """Return where a table says less than it must or more than it may."""
    found: list[str] = []
    for point, want in wanted(wish).items():
        access = decode(table, Whose.OURS if want.ours_only else Whose.ALL, [point])[point]
        held = beyond.held(point, want)
        for way, got, least, most in (
            ("in", access.inbound, held.least.inbound, held.most.inbound),
            ("out", access.outbound, held.least.outbound, held.most.outbound),
        ):
            if least - got:
                found.append(f"{point} {way} lacks {(least - got).text()}")
            if got - most:
                found.append(f"{point} {way} has {(got - most).text()}")
    return found


@EXAMPLES
@given(SEEDS)
def test_decoding_agrees_with_a_reading_rule_by_rule(seed: int) -> None:
    random = Random(seed)
    table = estate(random)
    decoded = decode(table)
    for nic in table.nics.values():
        for packet in probes(random, 60):
            for way, packets in (("Inbound", decoded[nic.point].inbound), ("Outbound", decoded[nic.point].outbound)):
                assert (packet in packets) is passes(table, nic, packet, way), (nic.point, way, packet.text())


@EXAMPLES
@given(SEEDS, st.sampled_from(("outrank", "below")), WRITES)
def test_additive_says_the_policy_and_touches_nothing_foreign(seed: int, place: str, write: str) -> None:
    outrank, child = place == "outrank", write == "child"
    random = Random(seed)
    table = estate(random)
    options = replace(PLAIN, outrank=outrank, child=child)
    wish = intent(random, table, TargetMode.ADDITIVE, Past.of(table))
    encoding = encode(wish, table, options)
    assert not encoding.problems
    beyond = Beyond.of(encoding)
    assert not differences(encoding.table, wish, beyond)
    for key, group in table.nsgs.items():
        assert [one.raw for one in encoding.table.nsgs[key].rules if not one.ours] == [one.raw for one in group.rules]
    before, after = decode(table, Whose.FOREIGN), decode(encoding.table, Whose.ALL)
    for point, want in wanted(wish).items():
        held = beyond.held(point, want)
        assert after[point].inbound <= before[point].inbound | held.most.inbound, "only ours may open"
        assert after[point].outbound <= before[point].outbound | held.most.outbound
        if outrank:
            continue
        denied = after[point].inbound & held.least.inbound
        assert held.least.inbound - denied <= held.least.inbound - before[point].inbound, "ours alone is cut, by foreign denies"
    again = encode(wish, encoding.table, options)
    assert again.table == encoding.table
    assert not any(steps(encoding.table, again.table, method, options) for method in Method)


def unheld_unchanged(table: AzureTable, desired: AzureTable, wish: Intent) -> None:
    before, after = decode(table), decode(desired)
    enforced = {one.point for one in wish.points if one.mode.enforced}
    for point in table.nics:
        if point not in enforced:
            assert after[point] == before[point], f"{point} is not enforced and yet changes"


@EXAMPLES
@given(SEEDS, st.sampled_from(("below", "above", "anywhere")), WRITES)
def test_exclusive_says_the_policy_or_why_it_cannot(seed: int, where: str, write: str) -> None:
    random = Random(seed)
    table = estate(random, where=where)
    options = replace(PLAIN, child=write == "child")
    past = Past.of(table)
    wish = intent(random, table, TargetMode.EXCLUSIVE, past)
    encoding = encode(wish, table, options)
    if encoding.problems:
        assert {one.code for one in encoding.problems} == {"AZURE-OUTRANKED"}
        assert where != "below"
        return
    assert not differences(encoding.table, wish, Beyond.of(encoding))
    unheld_unchanged(table, encoding.table, wish)
    random = Random(seed)
    estate(random, where=where)
    again = encode(intent(random, encoding.table, TargetMode.EXCLUSIVE, past), encoding.table, options)
    assert again.table == encoding.table


def two_states(seed: int, where: str, mode: TargetMode, options: AzureSettings) -> tuple[AzureTable, AzureTable, Intent] | None:
    """Return a table that one intent was applied to, and the table that another one wants; None where one of them is refused."""
    random = Random(seed)
    table = estate(random, where=where)
    past = Past.of(table)
    first = encode(intent(random, table, mode, past), table, options)
    if first.problems:
        return None
    wish = intent(random, first.table, mode, past)
    second = encode(wish, first.table, options)
    return None if second.problems else (first.table, second.table, wish)


CASES = given(SEEDS, st.sampled_from(("below", "above", "anywhere")), st.sampled_from((TargetMode.EXCLUSIVE, TargetMode.ADDITIVE)))


@EXAMPLES
@CASES
def test_whole_replacements_lead_to_the_wish_inside_their_bounds(seed: int, where: str, mode: TargetMode) -> None:
    states = two_states(seed, where, mode, PLAIN)
    if states is None:
        return
    actual, desired, _ = states
    phases = steps(actual, desired, Method.SWAP, PLAIN)
    assert fold(actual, phases) == desired
    inside_bounds(Random(seed), actual, phases)


@EXAMPLES
@CASES
def test_merging_rule_by_rule_stays_between_old_and_new_at_every_group(seed: int, where: str, mode: TargetMode) -> None:
    states = two_states(seed, where, mode, CHILD)
    if states is None:
        return
    actual, desired, _ = states
    phases = merged(actual, desired)
    assert fold(actual, phases) == desired
    inside_bounds(Random(seed), actual, phases)
    for key in actual.nsgs:
        # One group alone: with a single NSG in series every prefix lies between what both ends share and what either lets through.
        one = {**actual.nsgs, key: desired.nsgs[key]}
        goal = replace(actual, nsgs=one)
        between(Random(seed), actual, goal, merged(actual, goal))


def merged(actual: AzureTable, goal: AzureTable) -> tuple[Phase, ...]:
    """Return the one way rule by rule: with free numbers in the gaps, or beside the old rules."""
    ways = [steps(actual, goal, method, CHILD) for method in (Method.MERGE, Method.TWO_BAND)]
    assert not all(ways)
    return ways[0] or ways[1]


def between(random: Random, actual: AzureTable, goal: AzureTable, phases: tuple[Phase, ...]) -> None:
    old, new = decode(actual), decode(goal)
    table = actual
    for phase in phases:
        shuffled = list(phase.steps)
        random.shuffle(shuffled)
        for step in shuffled:
            table = simulate(table, [step])
            for point, now in decode(table).items():
                for was, will, here in (
                    (old[point].inbound, new[point].inbound, now.inbound),
                    (old[point].outbound, new[point].outbound, now.outbound),
                ):
                    assert was & will <= here <= was | will, (phase.name, step.title)


def inside_bounds(random: Random, actual: AzureTable, phases: tuple[Phase, ...]) -> None:
    """Any part of a phase, in any order, stays inside its bounds, changes nobody else, and is seen exactly when it is there."""
    table = actual
    for phase in phases:
        limits = bounds(table, phase.steps)
        touched = affected(table, phase.steps)
        lower, upper = [decode(one) for one in limits.lower], [decode(one) for one in limits.upper]
        state = table
        shuffled = list(phase.steps)
        random.shuffle(shuffled)
        for step in shuffled:
            assert seen(state, step) is Seen.NO
            state = simulate(state, [step])
            assert seen(state, step) is Seen.YES
            now = decode(state)
            for point, access in now.items():
                if point not in touched:
                    assert access == decode(table, Whose.ALL, [point])[point]
                if all(one.get(point, NOTHING).inbound for one in lower):
                    meet = lower[0][point].inbound
                    for one in lower[1:]:
                        meet &= one[point].inbound
                    assert meet <= access.inbound
                assert access.inbound <= joined([one[point].inbound for one in upper])
                assert access.outbound <= joined([one[point].outbound for one in upper])
        table = state


def joined(sets: list[PacketSet]) -> PacketSet:
    return PacketSet.union_all(sets)


@EXAMPLES
@CASES
def test_meet_is_first_inside_the_old_state_and_then_inside_the_new(seed: int, where: str, mode: TargetMode) -> None:
    for options in (PLAIN, CHILD):
        states = two_states(seed, where, mode, options)
        if states is None:
            continue
        actual, desired, _ = states
        phases = steps(actual, desired, Method.MEET, options)
        if not phases:
            continue
        assert fold(actual, phases) == desired
        old, new = decode(actual), decode(desired)
        table, grown = actual, False
        for phase in phases:
            for step in phase.steps:
                table = simulate(table, [step])
                now = decode(table)
                for point in now:
                    assert old[point].inbound & new[point].inbound <= now[point].inbound
                grown = grown or any(not now[point].inbound <= old[point].inbound for point in now)
                if grown:
                    assert all(now[point].inbound <= new[point].inbound for point in now), phase.name


@settings(max_examples=30)
@given(SEEDS)
def test_the_order_of_the_input_does_not_matter(seed: int) -> None:
    random = Random(seed)
    table = estate(random)
    wish = intent(random, table, TargetMode.EXCLUSIVE, Past.of(table))
    mixed = replace(
        table,
        nsgs=dict(reversed(list(table.nsgs.items()))),
        nics=dict(reversed(list(table.nics.items()))),
        subnets=dict(reversed(list(table.subnets.items()))),
    )
    other = replace(wish, classes=tuple(reversed(wish.classes)), points=tuple(reversed(wish.points)))
    assert encode(other, mixed, PLAIN).table == encode(wish, table, PLAIN).table


@settings(max_examples=30)
@given(SEEDS)
def test_entries_say_what_each_rule_decides(seed: int) -> None:
    """At points with one NSG before them the allowing entries together are exactly what is let through."""
    table = estate(Random(seed))
    decoded = decode(table)
    for nic in table.nics.values():
        if len(table.series(nic)) != 1 or len(nic.private.cidrs()) != 1:
            continue
        some = [one.packets for one in entries(table, [nic.point]) if one.direction == "inbound" and not one.denies]
        assert decoded[nic.point].inbound <= joined(some)
    assert {one.id for one in points(table)} == set(table.nics)


def test_the_campaign_is_not_vacuous() -> None:
    kept = [two_states(seed, where, mode, PLAIN) for seed in range(40) for where in ("below", "above") for mode in (TargetMode.EXCLUSIVE,)]
    assert sum(1 for one in kept if one is not None and one[0] != one[1]) > 15
    meets = [one for one in kept if one is not None and steps(one[0], one[1], Method.MEET, PLAIN)]
    assert len(meets) > 10
    step = next(step for one in meets for phase in steps(one[0], one[1], Method.SWAP, PLAIN) for step in phase.steps)
    with pytest.raises(ValueError, match="not as the step expects"):
        simulate(meets[0][0], [step, step])

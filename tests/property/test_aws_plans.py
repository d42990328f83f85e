"""Encode, steps, simulate and bounds against each other, over random estates and intents."""

from __future__ import annotations

from functools import reduce
from operator import and_, or_
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cloudsync.adapter import Access, Effect, Encoding, Intent, Method, Phase, Seen, Step, Whose
from cloudsync.compile.intent import wanted
from cloudsync.model.address import ANYWHERE
from cloudsync.model.mode import Mode, TargetMode
from cloudsync.model.packets import PacketSet
from cloudsync_aws.bounds import affected, bounds
from cloudsync_aws.decode import decode
from cloudsync_aws.encode import encode
from cloudsync_aws.fit import UNNAMED
from cloudsync_aws.limits import CAPABILITIES
from cloudsync_aws.quota import sums
from cloudsync_aws.simulate import seen, simulate, simulate_all
from cloudsync_aws.steps import steps
from cloudsync_aws.table import AwsTable, Quotas
from tests.property.aws_estates import ROOMY, Estate, estate, intent, reassigned, settled

SEEDS = st.integers(0, 10**9)
MODES = st.sampled_from((TargetMode.EXCLUSIVE, TargetMode.ADDITIVE))
EXAMPLES = settings(max_examples=60)


def two_states(seed: int, mode: TargetMode, quotas: Quotas = ROOMY) -> tuple[Estate, AwsTable, Encoding]:
    """Return an estate that a first intent was already applied to, and the encoding of a second one."""
    random = Random(seed)
    world = estate(random, quotas=quotas)
    first = encode(intent(random, world, mode), world.table)
    there = settled(first.table)
    later = reassigned(random, Estate(there, world.past, world.original, world.classes), 0.3)
    return later, there, encode(intent(random, later, mode), there)


def fold(table: AwsTable, phases: tuple[Phase, ...]) -> AwsTable:
    for phase in phases:
        for step in phase.steps:
            table = simulate(table, step)
    return table


def holds(wish: Intent, encoding: Encoding) -> None:
    table = encoding.table
    for point, want in wanted(wish).items():
        access = decode(table, Whose.OURS if want.ours_only else Whose.ALL, [point])[point]
        left = (encoding.left_out or {}).get(point, Access())
        for found, least, most, out in (
            (access.inbound, want.least.inbound, want.most.inbound, left.inbound),
            (access.outbound, want.least.outbound, want.most.outbound, left.outbound),
        ):
            assert (least - out) <= found, (point, (least - out - found).text())
            assert found <= most, (point, (found - most).text())
            assert out <= PacketSet.of(ANYWHERE, UNNAMED)
            assert not out & found


@EXAMPLES
@given(SEEDS, MODES)
def test_what_is_encoded_is_exactly_what_is_wanted(seed: int, mode: TargetMode) -> None:
    random = Random(seed)
    world = estate(random)
    wish = intent(random, world, mode)
    encoding = encode(wish, world.table)
    assert not encoding.problems
    holds(wish, encoding)
    for key, group in world.table.groups.items():
        assert encoding.table.groups[key] == group
    assert encoding.table.lists["pl-1"] == world.table.lists["pl-1"]


@EXAMPLES
@given(SEEDS, MODES)
def test_a_second_run_on_what_was_reached_writes_nothing(seed: int, mode: TargetMode) -> None:
    random = Random(seed)
    world = estate(random)
    wish = intent(random, world, mode)
    there = settled(encode(wish, world.table).table)
    again = encode(wish, there)
    assert again.table == there
    assert all(steps(there, again.table, method) == () for method in Method)


@EXAMPLES
@given(SEEDS, MODES)
def test_a_changed_intent_is_encoded_exactly_on_top_of_the_old_one(seed: int, mode: TargetMode) -> None:
    random = Random(seed)
    world = estate(random)
    there = settled(encode(intent(random, world, mode), world.table).table)
    later = reassigned(random, Estate(there, world.past, world.original, world.classes), 0.3)
    wish = intent(random, later, mode)
    encoding = encode(wish, there)
    assert not encoding.problems
    holds(wish, encoding)
    final = settled(fold(there, steps(there, encoding.table, Method.SWAP)))
    again = encode(wish, final)
    assert again.table == final


@EXAMPLES
@given(SEEDS, MODES, st.sampled_from(CAPABILITIES.methods))
def test_steps_lead_exactly_to_the_desired_table(seed: int, mode: TargetMode, method: Method) -> None:
    _, there, encoding = two_states(seed, mode)
    phases = steps(there, encoding.table, method)
    final = fold(there, phases)
    assert final == encoding.table
    assert steps(final, encoding.table, method) == ()
    keys = [step.key for phase in phases for step in phase.steps]
    assert len(keys) == len(set(keys))


@EXAMPLES
@given(SEEDS, MODES)
def test_no_call_more_than_the_difference_needs(seed: int, mode: TargetMode) -> None:
    _, there, encoding = two_states(seed, mode)
    desired = encoding.table
    found = [step for phase in steps(there, desired, Method.SWAP) for step in phase.steps]
    by_action: dict[tuple[str, str], int] = {}
    for step in found:
        by_action[step.action, step.object] = by_action.get((step.action, step.object), 0) + 1
    assert all(count == 1 for (action, _), count in by_action.items() if action != "ModifyManagedPrefixList")
    changed = [key for key, eni in desired.enis.items() if eni.groups != there.enis[key].groups]
    assert sum(1 for step in found if step.action == "ModifyNetworkInterfaceAttribute") == len(changed)
    assert sum(1 for step in found if step.action == "CreateSecurityGroup") == len(desired.groups.keys() - there.groups.keys())
    sides = {
        (key, rule.egress)
        for key, group in desired.groups.items()
        if key in there.groups
        for rule in group.rules.keys() - there.groups[key].rules.keys()
    }
    assert sum(1 for step in found if step.action.startswith("Authorize") and not step.object.startswith("sg/")) == len(sides)


def any_order(random: Random, phase: Phase) -> list[Step]:
    """Return a random subset of a phase in a random order; what creates comes first, as its phase would have."""
    found = list(phase.steps)
    random.shuffle(found)
    return found[: random.randint(0, len(found))]


@EXAMPLES
@given(SEEDS, MODES, st.sampled_from(CAPABILITIES.methods))
def test_every_order_of_a_phase_stays_within_its_bounds(seed: int, mode: TargetMode, method: Method) -> None:
    _, table, encoding = two_states(seed, mode)
    random = Random(seed)
    for phase in steps(table, encoding.table, method):
        limits = bounds(table, phase.steps)
        lower, upper = [decode(one) for one in limits.lower], [decode(one) for one in limits.upper]
        touched = affected(table, phase.steps)
        before = decode(table)
        for _ in range(4):
            state = decode(simulate_all(table, any_order(random, phase)))
            for point, access in state.items():
                least, most = [one[point] for one in lower], [one[point] for one in upper]
                assert reduce(and_, (one.inbound for one in least)) <= access.inbound <= reduce(or_, (one.inbound for one in most))
                assert reduce(and_, (one.outbound for one in least)) <= access.outbound <= reduce(or_, (one.outbound for one in most))
                assert access == before[point] or point in touched
        table = simulate_all(table, phase.steps)


@EXAMPLES
@given(SEEDS, MODES, st.sampled_from((Method.SWAP, Method.JOIN)))
def test_where_no_interface_changes_groups_every_prefix_lies_between_old_and_new(seed: int, mode: TargetMode, method: Method) -> None:
    random = Random(seed)
    world = estate(random)
    fixed = (Mode.FULL,)
    there = settled(encode(intent(random, world, mode, modes=fixed), world.table).table)
    later = Estate(there, world.past, world.original, world.classes)
    encoding = encode(intent(random, later, mode, modes=fixed), there)
    desired = encoding.table
    if any(eni.groups != there.enis[key].groups for key, eni in desired.enis.items()):
        return
    old, new, table = decode(there), decode(desired), there
    for phase in steps(there, desired, method):
        for step in phase.steps:
            table = simulate(table, step)
            for point, access in decode(table).items():
                assert (old[point].inbound & new[point].inbound) <= access.inbound <= (old[point].inbound | new[point].inbound)
                assert (old[point].outbound & new[point].outbound) <= access.outbound <= (old[point].outbound | new[point].outbound)


@EXAMPLES
@given(SEEDS, MODES)
def test_meet_shrinks_below_both_before_it_grows(seed: int, mode: TargetMode) -> None:
    later, there, encoding = two_states(seed, mode)
    desired = encoding.table
    old, new = decode(there), decode(desired)
    random = Random(seed)
    table, grown = there, False
    ours = {eni.point for key, eni in there.enis.items() if eni.groups != desired.enis[key].groups or later.original[key] != eni.groups}
    for phase in steps(there, desired, Method.MEET):
        grown = grown or phase.name.startswith(("grow", "resize"))
        for _ in range(3):
            for point, access in decode(simulate_all(table, any_order(random, phase))).items():
                for state, before, after in (
                    (access.inbound, old[point].inbound, new[point].inbound),
                    (access.outbound, old[point].outbound, new[point].outbound),
                ):
                    assert state <= (after if grown else before), (phase.name, point)
                    assert point not in ours or (before & after) <= state, (phase.name, point)
        table = simulate_all(table, phase.steps)


@EXAMPLES
@given(SEEDS)
def test_tight_quotas_lead_to_shards_or_to_a_refusal_with_the_numbers(seed: int) -> None:
    random = Random(seed)
    limits = Quotas(rules_per_group=6, groups_per_eni=4)
    world = estate(random, quotas=limits)
    wish = intent(random, world, TargetMode.ADDITIVE, terms_most=6)
    encoding = encode(wish, world.table)
    if encoding.problems:
        assert all(problem.code == "G-QUOTA" and problem.message for problem in encoding.problems)
        return
    holds(wish, encoding)
    for group in encoding.table.groups.values():
        if group.mark is not None:
            for egress in (False, True):
                for skipped in ("cidr6", "cidr4"):
                    assert sum(1 for key in group.rules if key.egress is egress and key.kind != skipped) <= limits.rules_per_group
    assert all(len(eni.groups) <= limits.groups_per_eni for eni in encoding.table.enis.values())


TIGHT = Quotas(rules_per_group=12, groups_per_eni=4)


@EXAMPLES
@given(SEEDS, MODES, st.sampled_from(CAPABILITIES.methods))
@example(256, TargetMode.EXCLUSIVE, Method.SWAP)  # a shard about to empty was filled again when no slot was left
@example(245624, TargetMode.EXCLUSIVE, Method.SWAP)  # a list that grew beyond what a group with it could take
def test_no_state_on_the_way_is_over_a_quota(seed: int, mode: TargetMode, method: Method) -> None:
    _, table, encoding = two_states(seed, mode, TIGHT)
    crowded = any(len(eni.groups) > TIGHT.groups_per_eni for eni in table.enis.values())
    full = any(sums(group.rules, table.lists).most > TIGHT.rules_per_group for group in table.groups.values())
    if encoding.problems or crowded or full:
        return  # the first intent did not fit: refused, so no such state is ever reached
    random = Random(seed)
    for phase in steps(table, encoding.table, method):
        for state in [simulate_all(table, any_order(random, phase)) for _ in range(3)]:
            for group in state.groups.values():
                if group.mark is not None:
                    assert sums(group.rules, state.lists).most <= TIGHT.rules_per_group, (phase.name, group.name)
            for eni in state.enis.values():
                assert len(eni.groups) <= TIGHT.groups_per_eni, (phase.name, eni.id)
        table = simulate_all(table, phase.steps)
    assert table in (encoding.table, two_states(seed, mode, TIGHT)[1])


@EXAMPLES
@given(SEEDS, MODES, st.sampled_from(CAPABILITIES.methods))
def test_a_run_cut_anywhere_is_finished_by_the_next(seed: int, mode: TargetMode, method: Method) -> None:
    random = Random(seed)
    world = estate(random)
    there = settled(encode(intent(random, world, mode), world.table).table)
    later = reassigned(random, Estate(there, world.past, world.original, world.classes), 0.3)
    wish = intent(random, later, mode)
    found = [step for phase in steps(there, encode(wish, there).table, method) for step in phase.steps]
    cut = settled(simulate_all(there, found[: random.randint(0, len(found))]))
    encoding = encode(wish, cut)
    assert not encoding.problems
    holds(wish, encoding)
    done = settled(fold(cut, steps(cut, encoding.table, method)))
    assert encode(wish, done).table == done
    assert not any(group.mark is not None and group.mark.class_id.startswith("move-") for group in done.groups.values())


@EXAMPLES
@given(SEEDS, MODES, st.sampled_from(CAPABILITIES.methods))
def test_a_read_tells_before_from_after_for_every_step(seed: int, mode: TargetMode, method: Method) -> None:
    _, table, encoding = two_states(seed, mode)
    for phase in steps(table, encoding.table, method):
        for step in phase.steps:
            assert seen(table, step, {}) is Seen.NO, step.key
            table = simulate(table, step)
            assert seen(table, step, {}) is Seen.YES, step.key


@pytest.mark.parametrize("method", list(CAPABILITIES.methods))
def test_effects_are_what_steps_do(method: Method) -> None:
    for seed in range(25):
        _, table, encoding = two_states(seed, TargetMode.EXCLUSIVE)
        for phase in steps(table, encoding.table, method):
            for step in phase.steps:
                before, table = table, simulate(table, step)
                old, new = decode(before), decode(table)
                for point in old:
                    grows, shrinks = old[point].inbound <= new[point].inbound, new[point].inbound <= old[point].inbound
                    assert step.effect is not Effect.GROWS or grows
                    assert step.effect is not Effect.SHRINKS or shrinks
                    assert step.effect is not Effect.NONE or (grows and shrinks)

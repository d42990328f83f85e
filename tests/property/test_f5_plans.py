"""Encode, steps, simulate and bounds against each other, over random device groups and intents."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import and_, or_
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.adapter import Access, Encoding, Intent, Method, Phase, Seen, Whose
from cloudsync.compile.intent import wanted
from cloudsync.model.mode import Mode, TargetMode
from cloudsync.proof.certificate import Beyond
from cloudsync_f5 import parse
from cloudsync_f5 import payload as wire
from cloudsync_f5.bounds import affected, bounds
from cloudsync_f5.decode import decode
from cloudsync_f5.dump import dump
from cloudsync_f5.encode import encode
from cloudsync_f5.limits import CAPABILITIES
from cloudsync_f5.simulate import seen, simulate
from cloudsync_f5.steps import steps
from cloudsync_f5.table import F5Table
from tests.property.test_f5_estates import OWNER, Estate, Evaluator, after, estate, intent, probes, reassigned

SEEDS = st.integers(0, 10**9)
MODES = st.sampled_from((TargetMode.EXCLUSIVE, TargetMode.ADDITIVE))
METHODS = st.sampled_from(tuple(one for one in CAPABILITIES.methods if one is not Method.SHIELD))  # that one is a way of the planner
EXAMPLES = settings(max_examples=30)


def fold(table: F5Table, phases: tuple[Phase, ...]) -> F5Table:
    for phase in phases:
        table = simulate(table, *phase.steps)
    return table


def drawn(seed: int, mode: TargetMode) -> tuple[Random, Estate]:
    random = Random(seed)
    world = estate(random)
    return random, after(world, world.table, additive=mode is TargetMode.ADDITIVE)


def two_states(seed: int, mode: TargetMode) -> tuple[Estate, Intent, Encoding]:
    """Return an estate that a first intent was already applied to, and the encoding of a second one."""
    random, world = drawn(seed, mode)
    first = encode(intent(random, world, mode), world.table)
    there = fold(world.table, steps(world.table, first.table, Method.SWAP))
    later = reassigned(random, after(world, there, additive=mode is TargetMode.ADDITIVE), 0.3)
    wish = intent(random, later, mode)
    return later, wish, encode(wish, later.table)


def holds(wish: Intent, encoding: Encoding) -> None:
    table = encoding.table
    beyond = Beyond(encoding.left_out or {}, encoding.forced or {})
    for point, want in wanted(wish).items():
        virtual = table.virtuals[point.removeprefix(table.scope)]
        if virtual.skipped:
            continue
        access = decode(table, Whose.OURS if want.ours_only else Whose.ALL, [point])[point]
        held = beyond.held(point, want)
        assert held.least.inbound <= access.inbound, (point, (held.least.inbound - access.inbound).text())
        assert access.inbound <= held.most.inbound, (point, (access.inbound - held.most.inbound).text())
        assert held.least.outbound <= access.outbound <= held.most.outbound
        left = (encoding.left_out or {}).get(point, Access())
        assert not left.inbound & decode(table, Whose.ALL, [point])[point].inbound, "what cannot pass does not"


@settings(max_examples=50)
@given(SEEDS, MODES, st.sampled_from(("tiers", "flat")))
def test_what_is_encoded_is_exactly_what_is_wanted(seed: int, mode: TargetMode, form: str) -> None:
    random, world = drawn(seed, mode)
    wish = intent(random, world, mode, tiers=form == "tiers")
    encoding = encode(wish, world.table)
    assert not encoding.problems
    holds(wish, encoding)
    for path, policy in world.table.policies.items():
        assert encoding.table.policies[path] == policy
    for path, one in world.table.lists.items():
        assert encoding.table.lists[path] == one
    # and once more by hand: a packet at a time, what is really let in
    evaluator = Evaluator(encoding.table)
    access = decode(encoding.table)
    for packet in probes(random, encoding.table, 40):
        for virtual in encoding.table.virtuals.values():
            assert (packet in access[virtual.point].inbound) is evaluator.passes(virtual, packet)


@EXAMPLES
@given(SEEDS, MODES)
def test_a_second_run_on_what_was_reached_writes_nothing(seed: int, mode: TargetMode) -> None:
    random, world = drawn(seed, mode)
    wish = intent(random, world, mode)
    encoding = encode(wish, world.table)
    there = fold(world.table, steps(world.table, encoding.table, Method.SWAP))
    again = encode(wish, there)
    assert again.table == there
    assert all(steps(there, again.table, method) == () for method in Method)


@EXAMPLES
@given(SEEDS, MODES)
def test_a_changed_intent_is_encoded_exactly_on_top_of_the_old_one(seed: int, mode: TargetMode) -> None:
    later, wish, encoding = two_states(seed, mode)
    assert not encoding.problems
    holds(wish, encoding)
    final = fold(later.table, steps(later.table, encoding.table, Method.SWAP))
    assert encode(wish, final).table == final


@EXAMPLES
@given(SEEDS, MODES, METHODS)
def test_steps_lead_exactly_to_the_desired_table(seed: int, mode: TargetMode, method: Method) -> None:
    later, _, encoding = two_states(seed, mode)
    phases = steps(later.table, encoding.table, method)
    final = fold(later.table, phases)
    assert final == encoding.table
    assert steps(final, encoding.table, method) == ()
    keys = [step.key for phase in phases for step in phase.steps]
    assert len(keys) == len(set(keys))
    assert all(step.mark == OWNER for phase in phases for step in phase.steps)


@EXAMPLES
@given(SEEDS, MODES)
def test_the_order_of_what_comes_in_is_of_no_matter(seed: int, mode: TargetMode) -> None:
    random, world = drawn(seed, mode)
    wish = intent(random, world, mode)
    first = encode(wish, world.table)
    upside_down = replace(
        world.table,
        policies=dict(reversed(list(world.table.policies.items()))),
        lists=dict(reversed(list(world.table.lists.items()))),
        virtuals=dict(reversed(list(world.table.virtuals.items()))),
    )
    second = encode(replace(wish, classes=wish.classes[::-1], points=wish.points[::-1]), upside_down)
    assert dump(first.table) == dump(second.table)
    assert steps(world.table, first.table, Method.SWAP) == steps(upside_down, second.table, Method.SWAP)
    assert decode(first.table) == decode(second.table)


@EXAMPLES
@given(SEEDS, MODES, METHODS)
def test_every_state_lies_within_the_bounds_of_its_phase_and_between_old_and_new(seed: int, mode: TargetMode, method: Method) -> None:
    later, _, encoding = two_states(seed, mode)
    table = later.table
    old, new = decode(table), decode(encoding.table)
    for phase in steps(table, encoding.table, method):
        assert len(phase.steps) == 1, "one step is one transaction: nothing to put in another order"
        limits = bounds(table, phase.steps)
        lower, upper = [decode(one) for one in limits.lower], [decode(one) for one in limits.upper]
        touched = affected(table, phase.steps)
        before, table = decode(table), simulate(table, *phase.steps)
        for point, access in decode(table).items():
            least, most = reduce(and_, (one[point].inbound for one in lower)), reduce(or_, (one[point].inbound for one in upper))
            assert least <= before[point].inbound <= most
            assert least <= access.inbound <= most
            assert access == before[point] or point in touched
            assert (old[point].inbound & new[point].inbound) <= access.inbound <= (old[point].inbound | new[point].inbound)


@EXAMPLES
@given(SEEDS, MODES)
def test_meet_shrinks_below_both_before_it_grows(seed: int, mode: TargetMode) -> None:
    later, _, encoding = two_states(seed, mode)
    table = later.table
    old, new = decode(table), decode(encoding.table)
    grown = False
    for phase in steps(table, encoding.table, Method.MEET):
        grown = grown or phase.name == "grow"
        table = simulate(table, *phase.steps)
        for point, access in decode(table).items():
            assert access.inbound <= (new[point].inbound if grown else old[point].inbound) or access.inbound <= old[point].inbound
            assert (old[point].inbound & new[point].inbound) <= access.inbound
            if phase.name == "shrink":
                assert access.inbound <= new[point].inbound


@EXAMPLES
@given(SEEDS, MODES, METHODS)
def test_a_read_tells_before_from_after_for_every_step(seed: int, mode: TargetMode, method: Method) -> None:
    later, _, encoding = two_states(seed, mode)
    table = later.table
    for phase in steps(table, encoding.table, method):
        for step in phase.steps:
            assert seen(table, step) is Seen.NO, step.key
            table = simulate(table, step)
            assert seen(table, step) is Seen.YES, step.key


@EXAMPLES
@given(SEEDS, MODES, METHODS)
def test_a_run_cut_anywhere_is_finished_by_the_next(seed: int, mode: TargetMode, method: Method) -> None:
    later, wish, encoding = two_states(seed, mode)
    random = Random(seed)
    found = [step for phase in steps(later.table, encoding.table, method) for step in phase.steps]
    cut = simulate(later.table, *found[: random.randint(0, len(found))])
    again = encode(wish, cut)
    assert not again.problems
    holds(wish, again)
    done = fold(cut, steps(cut, again.table, method))
    assert encode(wish, done).table == done
    assert not done.job, "no job is left open"
    assert {one.mark.id[:5] for one in done.policies.values() if one.mark is not None} <= {"class"}


@EXAMPLES
@given(SEEDS, MODES)
def test_what_is_sent_is_read_back_as_it_was_meant(seed: int, mode: TargetMode) -> None:
    later, _, encoding = two_states(seed, mode)
    for policy in encoding.table.policies.values():
        if policy.mark is not None:
            assert parse.policy(wire.create_policy(policy).body, OWNER) == policy
            assert all(rule.action is not None and (not rule.action.opens or not rule.source.any) for rule in policy.rules)
    for one in encoding.table.lists.values():
        if one.mark is not None:
            assert parse.address_list(wire.create_list(one).body, OWNER) == one
    for phase in steps(later.table, encoding.table, Method.SWAP):
        for step in phase.steps:
            assert wire.render(wire.parse(step.payload)) == step.payload


@EXAMPLES
@given(SEEDS, MODES)
def test_no_call_more_than_the_difference_needs(seed: int, mode: TargetMode) -> None:
    later, _, encoding = two_states(seed, mode)
    table, desired = later.table, encoding.table
    found = [wire.parse(step.payload) for phase in steps(table, desired, Method.SWAP) for step in phase.steps]
    calls = [call for request in found for call in request.calls]
    moved = [path for path, one in desired.virtuals.items() if table.virtuals[path].enforced != one.enforced]
    assert sum(1 for call in calls if call.path.startswith(wire.VIRTUAL) and wire.ENFORCED in call.body) == len(moved)
    assert sum(1 for call in calls if call.path == wire.POLICY) == len(desired.policies.keys() - table.policies.keys())
    assert sum(1 for request in found if request.transaction and request.expect) <= 1 + table.stages
    assert all(set(call.body) <= {wire.ENFORCED, wire.STAGED} for call in calls if call.path.startswith(wire.VIRTUAL))
    assert table.stages or all(set(call.body) == {wire.ENFORCED} for call in calls if call.path.startswith(wire.VIRTUAL))
    assert not any(call.method == "PUT" for call in calls)


@EXAMPLES
@given(SEEDS)
def test_a_released_virtual_server_gets_back_what_it_had(seed: int) -> None:
    random, world = drawn(seed, TargetMode.EXCLUSIVE)
    first = encode(intent(random, world, TargetMode.EXCLUSIVE, modes=(Mode.FULL, Mode.SELECTIVE)), world.table)
    there = fold(world.table, steps(world.table, first.table, Method.SWAP))
    later = after(world, there, additive=False)
    back = encode(intent(random, later, TargetMode.EXCLUSIVE, modes=(Mode.VISIBILITY,)), there)
    final = fold(there, steps(there, back.table, Method.SWAP))
    for path, virtual in final.virtuals.items():
        assert (virtual.enforced,) == (world.original[path] or ("",))
    assert decode(final) == decode(world.table)
    assert not any(one.mark for one in final.policies.values())
    assert not any(one.mark for one in final.lists.values())


@EXAMPLES
@given(SEEDS)
def test_additive_touches_nothing_foreign(seed: int) -> None:
    later, _, encoding = two_states(seed, TargetMode.ADDITIVE)
    table = later.table
    for path, virtual in table.virtuals.items():
        held = table.policies.get(virtual.enforced)
        if held is not None and held.mark is None:
            assert encoding.table.virtuals[path] == virtual
            assert virtual.skipped

"""Policies on route domains over random device groups: exact, about nobody else, and safe on the way there and back."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import and_, or_
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.adapter import Encoding, Intent, Method, Phase, Seen, TargetSettings
from cloudsync.model.finding import Where
from cloudsync.model.mode import Mode, TargetMode
from cloudsync.plan.order import choose
from cloudsync.proof.replay import replay
from cloudsync.testing.clock import SimulatedClock
from cloudsync_f5 import parse
from cloudsync_f5 import payload as wire
from cloudsync_f5.adapter import F5Adapter
from cloudsync_f5.bounds import affected, bounds
from cloudsync_f5.decode import Reader, decode
from cloudsync_f5.dump import dump
from cloudsync_f5.encode import encode
from cloudsync_f5.simulate import seen, simulate
from cloudsync_f5.steps import steps
from cloudsync_f5.table import Action, F5Table, Virtual
from tests.property.test_f5_estates import OWNER, Estate, Evaluator, after, estate, intent, probes, reassigned
from tests.property.test_f5_plans import fold, holds

SEEDS = st.integers(0, 10**9)
MODES = st.sampled_from((TargetMode.EXCLUSIVE, TargetMode.ADDITIVE))
METHODS = st.sampled_from((Method.SWAP, Method.MEET))
EXAMPLES = settings(max_examples=30)
PLACES: tuple[tuple[str, ...], ...] = (("0",), ("/Common/1",), ("/Common/0", "1"))
"""Which route domains carry a policy of ours."""


def adapter() -> F5Adapter:
    target = TargetSettings("f5", "f5", TargetMode.EXCLUSIVE, {"hosts": ["bigip1"]}, Where("cloudsync.yaml"))
    return F5Adapter(target, OWNER, SimulatedClock())


def drawn(seed: int, mode: TargetMode, held: tuple[str, ...] | None = None) -> tuple[Random, Estate]:
    """Return an estate whose settings hold route domains. What no policy matches is let in: else ours could let nothing in."""
    random = Random(seed)
    world = estate(random)
    domains = dict(world.table.route_domains)
    if random.random() < 0.5:
        domains["/Common/0"] = replace(domains["/Common/0"], enforced="/Common/domain")
    table = replace(world.table, open_by_default=True, route_domains=domains, held=random.choice(PLACES) if held is None else held)
    access = decode(table)
    world = replace(world, past={path: access[one.point] for path, one in table.virtuals.items()})
    return random, after(world, table, additive=mode is TargetMode.ADDITIVE)


def reached(world: Estate, wish: Intent, mode: TargetMode) -> Estate:
    table = encode(wish, world.table).table
    return after(world, fold(world.table, steps(world.table, table, Method.SWAP)), additive=mode is TargetMode.ADDITIVE)


def elsewhere(random: Random, world: Estate, mode: TargetMode) -> Estate:
    """Return the estate with other settings: some rules of ours belong to another place from now on."""
    held = random.choice([one for one in ((), *PLACES) if one != world.table.held])
    return after(world, replace(world.table, held=held), additive=mode is TargetMode.ADDITIVE)


def moved(seed: int, mode: TargetMode, *, same: bool) -> tuple[Estate, Intent, Encoding]:
    """Return an estate that an intent was applied to, and the encoding of the same intent, or of another, at another place."""
    random = Random(seed)
    _, world = drawn(seed, mode, random.choice(((), *PLACES)))
    wish = intent(random, world, mode)
    there = elsewhere(random, reached(world, wish, mode), mode)
    if not same:
        there = reassigned(random, there, 0.3)
        wish = intent(random, there, mode)
    return there, wish, encode(wish, there.table)


@settings(max_examples=60)
@given(SEEDS, MODES, st.sampled_from(("tiers", "flat")))
def test_what_is_encoded_is_exactly_what_is_wanted_and_about_nobody_else(seed: int, mode: TargetMode, form: str) -> None:
    random, world = drawn(seed, mode)
    wish = intent(random, world, mode, tiers=form == "tiers")
    encoding = encode(wish, world.table)
    assert not encoding.problems
    holds(wish, encoding)
    table, before, access = encoding.table, decode(world.table), decode(encoding.table)
    for path, policy in world.table.policies.items():
        assert table.policies[path] == policy
    for point in wish.points:
        virtual = table.virtuals[point.point.removeprefix(table.scope)]
        if not point.mode.enforced or virtual.skipped:
            assert access[point.point] == before[point.point], virtual
        if virtual.domain in table.held_domains():
            assert not table.ours(virtual.enforced)
    evaluator = Evaluator(table)
    for packet in probes(random, table, 40):
        for virtual in table.virtuals.values():
            assert (packet in access[virtual.point].inbound) is evaluator.passes(virtual, packet)


@EXAMPLES
@given(SEEDS, MODES)
def test_rules_of_ours_name_their_destinations_and_only_what_listens_there(seed: int, mode: TargetMode) -> None:
    random, world = drawn(seed, mode)
    table = encode(intent(random, world, mode), world.table).table
    for domain in table.held_domains().values():
        if not table.ours(domain.enforced):
            continue
        for rule in table.policies[domain.enforced].rules:
            if rule.inherited:
                continue
            assert rule.destination.lists
            assert not rule.destination.spans
            spans = {span for path in rule.destination.lists for span in table.lists[path].spans}
            own = [one for one in table.virtuals.values() if one.domain == domain.id and one.addresses]
            named = [one for one in own if any(span.first <= low < span.last + 1 for span in spans for low in _first(one))]
            assert named
            assert all(span.domain == domain.id for span in spans)


def _first(virtual: Virtual) -> tuple[int, ...]:
    return (*virtual.addresses.v4[:1], *virtual.addresses.v6[:1])


@EXAMPLES
@given(SEEDS, MODES)
def test_a_second_run_on_what_was_reached_writes_nothing(seed: int, mode: TargetMode) -> None:
    random, world = drawn(seed, mode)
    wish = intent(random, world, mode)
    there = reached(world, wish, mode)
    again = encode(wish, there.table)
    assert again.table == there.table
    assert all(steps(there.table, again.table, method) == () for method in Method)


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
        route_domains=dict(reversed(list(world.table.route_domains.items()))),
    )
    second = encode(replace(wish, classes=wish.classes[::-1], points=wish.points[::-1]), upside_down)
    assert dump(first.table) == dump(second.table)
    assert steps(world.table, first.table, Method.SWAP) == steps(upside_down, second.table, Method.SWAP)


# --- from one place to the other -------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(SEEDS, MODES)
def test_rules_that_only_change_place_are_proven_safe_by_the_core(seed: int, mode: TargetMode) -> None:
    there, wish, encoding = moved(seed, mode, same=True)
    assert not encoding.problems
    holds(wish, encoding)
    opened = adapter()
    addresses = {one.id: one.addresses for one in opened.points(there.table)}
    order = choose(opened, there.table, encoding.table, addresses)
    if order.method != "none":
        assert order.replay.safe, (order.method, order.replay.violations[:2])
        assert order.final == encoding.table


@EXAMPLES
@given(SEEDS, MODES, METHODS, st.booleans())
def test_the_new_place_is_filled_before_the_old_one_is_left(seed: int, mode: TargetMode, method: Method, same: bool) -> None:
    there, _, encoding = moved(seed, mode, same=same)
    table, desired = there.table, encoding.table
    for phase in steps(table, desired, method):
        before, table = table, simulate(table, *phase.steps)
        for path, virtual in table.virtuals.items():
            bare = before.ours(before.virtuals[path].enforced) and not table.ours(virtual.enforced)
            domain = next(one for one in table.route_domains.values() if one.id == virtual.domain)
            if bare and Reader(desired).covers(desired.route_domains[domain.path].enforced, virtual):
                assert before.route_domains[domain.path].enforced == domain.enforced, phase.name


@EXAMPLES
@given(SEEDS, MODES, METHODS, st.booleans())
def test_every_state_lies_within_the_bounds_of_its_phase(seed: int, mode: TargetMode, method: Method, same: bool) -> None:
    there, _, encoding = moved(seed, mode, same=same)
    table = there.table
    phases = steps(table, encoding.table, method)
    final = fold(table, phases)
    assert final == encoding.table
    for phase in phases:
        assert len(phase.steps) == 1
        limits = bounds(table, phase.steps)
        lower, upper = [decode(one) for one in limits.lower], [decode(one) for one in limits.upper]
        touched = affected(table, phase.steps)
        before, after_all = table, simulate(table, *phase.steps)
        halves = [replace(after_all, route_domains=before.route_domains), replace(after_all, virtuals=before.virtuals)]
        changed = before.lists != {path: after_all.lists.get(path) for path in before.lists}
        table = after_all
        for state in (after_all, *([] if changed else [_whole(before, half) for half in halves])):
            for point, access in decode(state).items():
                least, most = reduce(and_, (one[point].inbound for one in lower)), reduce(or_, (one[point].inbound for one in upper))
                assert least <= access.inbound <= most, (phase.name, point)
                assert access == decode(before, points=[point])[point] or point in touched


def _whole(before: F5Table, half: F5Table) -> F5Table:
    return replace(half, policies={**before.policies, **half.policies}, lists={**before.lists, **half.lists})


@EXAMPLES
@given(SEEDS, MODES)
def test_meet_is_safe_where_place_and_rules_change_together(seed: int, mode: TargetMode) -> None:
    there, _, encoding = moved(seed, mode, same=False)
    phases: tuple[Phase, ...] = steps(there.table, encoding.table, Method.MEET)
    if phases:
        found = replay(adapter(), there.table, encoding.table, phases)
        wrong = [one for one in found.violations if one.kind == "exposure"]
        assert not wrong, wrong[:2]


@EXAMPLES
@given(SEEDS, MODES, METHODS)
def test_a_read_tells_before_from_after_for_every_step(seed: int, mode: TargetMode, method: Method) -> None:
    there, _, encoding = moved(seed, mode, same=False)
    table = there.table
    for phase in steps(table, encoding.table, method):
        for step in phase.steps:
            assert seen(table, step) is Seen.NO, step.key
            table = simulate(table, step)
            assert seen(table, step) is Seen.YES, step.key


@EXAMPLES
@given(SEEDS, MODES, METHODS)
def test_a_run_cut_anywhere_is_finished_by_the_next(seed: int, mode: TargetMode, method: Method) -> None:
    there, wish, encoding = moved(seed, mode, same=False)
    random = Random(seed)
    found = [step for phase in steps(there.table, encoding.table, method) for step in phase.steps]
    cut = simulate(there.table, *found[: random.randint(0, len(found))])
    again = encode(wish, cut)
    assert not again.problems
    holds(wish, again)
    done = fold(cut, steps(cut, again.table, method))
    assert encode(wish, done).table == done
    assert not done.job
    carried = {one.enforced for one in done.virtuals.values()} | {one.enforced for one in done.route_domains.values()}
    assert all(path in carried for path, one in done.policies.items() if one.mark is not None)


@EXAMPLES
@given(SEEDS, MODES)
def test_what_is_sent_is_read_back_as_it_was_meant(seed: int, mode: TargetMode) -> None:
    there, _, encoding = moved(seed, mode, same=False)
    for policy in encoding.table.policies.values():
        if policy.mark is not None:
            assert parse.policy(wire.create_policy(policy).body, OWNER) == policy
    for phase in steps(there.table, encoding.table, Method.SWAP):
        for step in phase.steps:
            assert wire.render(wire.parse(step.payload)) == step.payload
            for call in wire.parse(step.payload).calls:
                if call.path.startswith(wire.ROUTE_DOMAIN):
                    assert set(call.body) <= {wire.ENFORCED, wire.STAGED}


# --- given back ------------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(SEEDS, MODES, st.booleans())
def test_everything_is_given_back_as_it_was(seed: int, mode: TargetMode, round_about: bool) -> None:
    random, world = drawn(seed, mode)
    first = reached(world, intent(random, world, mode, modes=(Mode.FULL, Mode.SELECTIVE)), mode)
    if round_about:
        first = elsewhere(random, first, mode)
        first = reached(first, intent(random, first, mode, modes=(Mode.FULL,)), mode)
    back = reached(first, intent(random, first, mode, modes=(Mode.VISIBILITY,)), mode)
    if mode is TargetMode.EXCLUSIVE:
        assert {path: one.enforced for path, one in back.table.virtuals.items()} == {
            path: one.enforced for path, one in world.table.virtuals.items()
        }
    assert back.table.route_domains == world.table.route_domains
    assert decode(back.table) == decode(world.table)
    assert not any(one.mark for one in back.table.policies.values())
    assert not any(one.mark for one in back.table.lists.values())


@settings(max_examples=60)
@given(SEEDS)
def test_what_is_given_back_is_given_back_safely(seed: int) -> None:
    """Where both places get something back, one is first. (An `accept-decisively` that skips what stands behind it has no safe order.)"""
    mode = TargetMode.EXCLUSIVE
    random, world = drawn(seed, mode)
    known = world.table.policies["/Common/domain"]
    mild = replace(
        known, rules=tuple(replace(one, action=Action.ACCEPT) if one.action is Action.DECISIVELY else one for one in known.rules)
    )
    shared = {path: replace(one, rules=()) for path, one in world.table.rule_lists.items()}
    table = replace(world.table, policies={**world.table.policies, mild.path: mild}, rule_lists=shared)
    world = replace(world, table=table, past={path: decode(table)[one.point] for path, one in table.virtuals.items()})
    first = reached(world, intent(random, world, mode, modes=(Mode.FULL, Mode.SELECTIVE)), mode)
    later = elsewhere(random, first, mode)
    later = reached(later, intent(random, later, mode, modes=(Mode.FULL,)), mode)
    desired = encode(intent(random, later, mode, modes=(Mode.VISIBILITY,)), later.table).table
    opened = adapter()
    order = choose(opened, later.table, desired, {one.id: one.addresses for one in opened.points(later.table)})
    assert order.replay.safe, (order.method, order.replay.violations[:2])


@EXAMPLES
@given(SEEDS)
def test_additive_touches_nothing_foreign(seed: int) -> None:
    there, _, encoding = moved(seed, TargetMode.ADDITIVE, same=False)
    table = there.table
    for path, virtual in table.virtuals.items():
        if virtual.enforced and not table.ours(virtual.enforced):
            assert encoding.table.virtuals[path] == virtual
    for path, domain in table.route_domains.items():
        if domain.enforced and not table.ours(domain.enforced):
            assert encoding.table.route_domains[path] == domain
            inside = [one for one in table.virtuals.values() if one.domain == domain.id and domain.id in table.held_domains()]
            assert all(domain.enforced in one.skipped for one in inside if one.addresses)

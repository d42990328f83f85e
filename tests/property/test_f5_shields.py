"""Shields over random device groups: exact, on nobody else, there and back, and gone with the next plan when they were left behind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.adapter import Access, Encoding, Intent, Method, Phase, Seen
from cloudsync.model.address import AddressSet
from cloudsync.model.mode import TargetMode
from cloudsync.model.packets import ALL_PACKETS, NO_PACKETS, PacketSet
from cloudsync.model.workload import PointId
from cloudsync_f5 import parse
from cloudsync_f5 import payload as wire
from cloudsync_f5.bounds import bounds
from cloudsync_f5.decode import decode
from cloudsync_f5.dump import dump
from cloudsync_f5.encode import encode
from cloudsync_f5.points import entries, walk
from cloudsync_f5.shield import shield
from cloudsync_f5.simulate import seen, simulate
from cloudsync_f5.steps import owned, steps
from cloudsync_f5.table import Action, F5Table, Quotas, Virtual
from tests.property import test_f5_domains as domains
from tests.property import test_f5_plans as plans
from tests.property.test_f5_estates import ADDRESSES, OWNER, SERVICES, Estate, Evaluator, after, intent, probes, reassigned
from tests.property.test_f5_plans import fold
from tests.trust.budget import budget

SEEDS = st.integers(0, 10**9)
MODES = st.sampled_from((TargetMode.EXCLUSIVE, TargetMode.ADDITIVE))
PLACES = st.sampled_from(("virtual servers", "route domains"))
EXAMPLES = settings(max_examples=budget(25, 500, 1000))


@dataclass(frozen=True, slots=True)
class Change:
    """A device group that carries policies of ours, and what is wanted of it next."""

    world: Estate
    wish: Intent
    encoding: Encoding

    @property
    def actual(self) -> F5Table:
        return self.world.table

    @property
    def desired(self) -> F5Table:
        table: F5Table = self.encoding.table
        return table


def changed(seed: int, mode: TargetMode, place: str) -> Change:
    """Draw one; on virtual servers, or on route domains."""
    random = Random(seed)
    drawn = plans.drawn if place == "virtual servers" else domains.drawn
    world = drawn(seed, mode)[1]
    first = encode(intent(random, world, mode), world.table)
    there = after(world, fold(world.table, steps(world.table, first.table, Method.SWAP)), additive=mode is TargetMode.ADDITIVE)
    later = reassigned(random, there, 0.3)
    wish = intent(random, later, mode)
    return Change(later, wish, encode(wish, later.table))


def cuts(random: Random, table: F5Table) -> dict[PointId, Access]:
    """Draw packets to cut at some virtual servers: of what passes there, and of what does not."""
    access = decode(table)
    found: dict[PointId, Access] = {}
    for point in sorted(access):
        if random.random() < 0.75:
            boxes = PacketSet.of(random.choice(ADDRESSES), random.choice(SERVICES))
            asked = boxes if random.random() < 0.5 else access[point].inbound - boxes
            found[point] = Access(asked, ALL_PACKETS if random.random() < 0.1 else NO_PACKETS)
    return found


def within(table: F5Table, point: PointId) -> bool:
    """Tell whether a virtual server is one where a shield has to hold: our policy decides there last, or nobody's."""
    virtual = table.virtuals[point.removeprefix(table.scope)]
    domain = table.held_domains().get(virtual.domain)
    if virtual.skipped:
        return False
    if table.ours(virtual.enforced) or (domain is None and not virtual.enforced):
        return True
    return domain is not None and (table.ours(domain.enforced) or not domain.enforced)


def for_good(table: F5Table, point: PointId) -> bool:
    """Tell whether some foreign rule that is asked before ours may let in for good: of the global context, or of the route domain."""
    number = table.virtuals[point.removeprefix(table.scope)].domain
    held = number in table.held_domains()
    outer = [table.enforced, *(one.enforced for one in table.route_domains.values() if one.id == number and not held)]
    rules = [rule for path in outer if path for rule in table.policies[path].rules if not table.ours(path) or rule.inherited]
    rules += [inner for rule in rules if rule.rule_list for inner in table.rule_lists[rule.rule_list].rules]
    return any(rule.action is Action.DECISIVELY for rule in rules)


@settings(max_examples=budget(60, 2000, 5000))
@given(SEEDS, MODES, PLACES)
def test_exactly_these_packets_are_cut_at_exactly_these_points(seed: int, mode: TargetMode, place: str) -> None:
    change = changed(seed, mode, place)
    random = Random(seed)
    asked = cuts(random, change.actual)
    shielded = shield(change.actual, asked)
    before, now = decode(change.actual), decode(shielded)
    for point, access in before.items():
        wanted = asked.get(point, Access()).inbound
        assert now[point].outbound == access.outbound
        assert access.inbound - wanted <= now[point].inbound <= access.inbound, "nothing else is cut, nothing is opened"
        if within(change.actual, point) and not for_good(change.actual, point):
            assert not now[point].inbound & wanted, "a shield has a hole"
    evaluator = Evaluator(shielded)
    for packet in probes(random, shielded, 30):
        for virtual in shielded.virtuals.values():
            assert (packet in now[virtual.point].inbound) is evaluator.passes(virtual, packet)


@EXAMPLES
@given(SEEDS, MODES, PLACES)
def test_what_is_foreign_stays_as_it_is(seed: int, mode: TargetMode, place: str) -> None:
    table = changed(seed, mode, place).actual
    shielded = shield(table, cuts(Random(seed), table))
    assert (shielded.lists, shielded.rule_lists, shielded.enforced) == (table.lists, table.rule_lists, table.enforced)
    assert all(shielded.policies[path] == one for path, one in table.policies.items())
    assert all(shielded.policies[path].mark is not None for path in shielded.policies.keys() - table.policies.keys())
    for path, virtual in table.virtuals.items():
        if virtual.enforced and not table.ours(virtual.enforced):
            assert shielded.virtuals[path] == virtual
    for path, domain in table.route_domains.items():
        if not table.holds(domain) or (domain.enforced and not table.ours(domain.enforced)):
            assert shielded.route_domains[path] == domain
    assert owned(shielded) == owned(table)


@EXAMPLES
@given(SEEDS, MODES, PLACES)
def test_steps_lead_there_and_back_and_are_temporary(seed: int, mode: TargetMode, place: str) -> None:
    table = changed(seed, mode, place).actual
    shielded = shield(table, cuts(Random(seed), table))
    there, back = steps(table, shielded, Method.SWAP), steps(shielded, table, Method.SWAP)
    assert bool(there) is bool(back) is (shielded != table)
    assert fold(table, there) == shielded
    assert fold(shielded, back) == table
    every = [step for phase in (*there, *back) for step in phase.steps]
    assert all(step.temporary and step.mark == OWNER for step in every)
    assert all((step.adds, step.removes) == (0, 0) for step in every if step.effect.value != "none")
    assert len({step.key for step in every}) == len(every), "one plan may hold both ways"
    now = table
    for step in every:
        assert seen(now, step) is Seen.NO
        now = simulate(now, step)
        assert seen(now, step) is Seen.YES


@EXAMPLES
@given(SEEDS, MODES, PLACES)
def test_a_shield_is_put_up_once_whatever_the_order_of_what_comes_in(seed: int, mode: TargetMode, place: str) -> None:
    table = changed(seed, mode, place).actual
    asked = cuts(Random(seed), table)
    shielded = shield(table, asked)
    assert shield(shielded, asked) == shielded
    assert shield(table, {}) == table
    turned = replace(table, virtuals=dict(reversed(list(table.virtuals.items()))), policies=dict(reversed(list(table.policies.items()))))
    assert dump(shield(turned, dict(reversed(list(asked.items()))))) == dump(shielded)


@EXAMPLES
@given(SEEDS, MODES, PLACES)
def test_a_shield_that_was_left_behind_goes_with_the_next_plan(seed: int, mode: TargetMode, place: str) -> None:
    change = changed(seed, mode, place)
    table = change.actual
    shielded = shield(table, cuts(Random(seed), table))
    cut = [step for phase in steps(table, shielded, Method.SWAP) for step in phase.steps]
    left = simulate(table, *cut[: Random(seed).randint(0, len(cut))])
    again = encode(change.wish, left)
    assert not again.problems
    plans.holds(change.wish, again)
    done = fold(left, steps(left, again.table, Method.SWAP))
    assert not any(rule.shields for policy in done.policies.values() for rule in policy.rules)
    assert encode(change.wish, done).table == done
    assert decode(done) == decode(change.desired)
    assert done.policies == fold(table, steps(table, change.desired, Method.SWAP)).policies


def way(change: Change, asked: dict[PointId, Access]) -> list[tuple[F5Table, tuple[Phase, ...]]]:
    """Return the three parts of a way under shields, each with the table that it starts from."""
    tables = (change.actual, shield(change.actual, asked), shield(change.desired, asked), change.desired)
    return [(one, steps(one, other, Method.SWAP)) for one, other in pairwise(tables)]


@settings(max_examples=budget(15, 1000, 2500))
@given(SEEDS, MODES, PLACES)
def test_nothing_of_it_passes_between_the_first_barrier_and_the_last(seed: int, mode: TargetMode, place: str) -> None:
    """What only old or only new lets in is cut all the way: up, through the change, until it comes down."""
    change = changed(seed, mode, place)
    if change.encoding.problems:
        return
    old, new = decode(change.actual), decode(change.desired)
    asked = {point: Access((old[point].inbound - new[point].inbound) | (new[point].inbound - old[point].inbound)) for point in old}
    held = {point for point in old if within(change.actual, point) and within(change.desired, point)}
    parts = way(change, asked)
    keys = [step.key for _, phases in parts for phase in phases for step in phase.steps]
    assert len(set(keys)) == len(keys)
    for number, (table, phases) in enumerate(parts):
        now = table
        for phase in phases:
            limits = bounds(now, phase.steps)
            now = simulate(now, *phase.steps)
            for state in (*limits.upper, *limits.lower, now):
                for point, access in decode(state).items():
                    most = old[point].inbound | new[point].inbound
                    assert old[point].inbound & new[point].inbound <= access.inbound <= most
                    if number == 1 and point in held and not for_good(change.actual, point):
                        assert not access.inbound & asked[point].inbound
    assert fold(parts[-1][0], parts[-1][1]) == change.desired


@EXAMPLES
@given(SEEDS, MODES, PLACES)
def test_what_is_sent_is_read_back_and_what_is_told_is_true(seed: int, mode: TargetMode, place: str) -> None:
    table = changed(seed, mode, place).actual
    shielded = shield(table, cuts(Random(seed), table))
    before, now = decode(table), decode(shielded)
    for path in shielded.policies.keys() - table.policies.keys():
        policy = shielded.policies[path]
        assert parse.policy(wire.create_policy(policy).body, OWNER) == policy
        kinds = [rule.shields for rule in policy.rules]
        assert kinds == sorted(kinds, reverse=True), "shields stand on top"
        assert all("temporary" in rule.description for rule in policy.rules if rule.shields)
        assert "_shield_" in path
    for entry in entries(shielded):
        if entry.native.startswith("shield_"):
            assert (entry.ours, entry.denies, entry.origins) == (True, True, ())
    for point, access in before.items():
        witness = (access.inbound - now[point].inbound).witness()
        if witness is not None:
            last = walk(shielded, point, "inbound", witness)[-1]
            assert (last.verdict, last.ours, last.origins) == ("deny", True, ())
            assert last.rule.startswith("shield_")


def shieldable(table: F5Table, virtual: Virtual, access: Access) -> bool:
    return table.ours(virtual.enforced) and bool(access.inbound) and not virtual.skipped and not for_good(table, virtual.point)


def test_the_others_of_a_shared_policy_keep_it_and_a_second_cut_comes_on_top() -> None:
    found = 0
    for seed in range(80):
        table = changed(seed, TargetMode.EXCLUSIVE, "virtual servers").actual
        access = decode(table)
        shared = [one for one in table.virtuals.values() if shieldable(table, one, access[one.point])]
        pairs = [(one, two) for one in shared for two in shared if one.path < two.path and one.enforced == two.enforced]
        for one, two in pairs[:1]:
            whole = access[one.point].inbound
            part = PacketSet.of(AddressSet.of("10.0.0.0/8"), SERVICES[-1]) & whole
            first = shield(table, {one.point: Access(part)})
            second = shield(first, {one.point: Access(whole)})
            assert first.virtuals[two.path] == second.virtuals[two.path] == table.virtuals[two.path]
            assert decode(first)[one.point].inbound == whole - part
            assert not decode(second)[one.point].inbound
            assert fold(table, steps(table, second, Method.SWAP)) == second
            found += 1
    assert found >= 5


def test_what_does_not_fit_stays_uncut() -> None:
    for seed in range(20):
        table = changed(seed, TargetMode.EXCLUSIVE, "virtual servers").actual
        asked = {point: Access(access.inbound) for point, access in decode(table).items()}
        assert shield(replace(table, quotas=Quotas(request_bytes=10)), asked).policies == table.policies
        compiling = replace(table, running=dict.fromkeys(table.virtuals, ""))
        assert shield(compiling, asked) == compiling, "what packets meet is not what is configured"

"""Shields on random GCP estates: they cut what they say and nothing else, lead there and back, and are gone with the next plan."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.adapter import Access, Method, Phase
from cloudsync.model.mode import TargetMode
from cloudsync.model.packets import PacketSet
from cloudsync.model.workload import PointId
from cloudsync_gcp.bounds import bounds
from cloudsync_gcp.decode import Reader, beyond, decode
from cloudsync_gcp.encode import encode
from cloudsync_gcp.payload import body
from cloudsync_gcp.shield import shield
from cloudsync_gcp.simulate import simulate_all
from cloudsync_gcp.steps import steps
from cloudsync_gcp.table import GcpTable, Room
from tests.property.gcp_estates import ADDRESSES, SERVICES, passes, probes, settled, world
from tests.property.shields import asked, never_more, untyped
from tests.property.test_gcp_plans import fold, two_states
from tests.trust.budget import budget

SEEDS = st.integers(0, 10**9)
MODES = st.sampled_from((TargetMode.EXCLUSIVE, TargetMode.ADDITIVE))
EXAMPLES = settings(max_examples=budget(20, 1000, 4000))
Cut = dict[PointId, Access]


def drawn(random: Random, table: GcpTable) -> Cut:
    peers = [*ADDRESSES, *(nic.primary for nic in table.nics.values() if nic.primary)]
    return asked(random, table.nics, peers, SERVICES)


def left(table: GcpTable, shielded: GcpTable, cut: Cut) -> dict[PointId, tuple[PacketSet, PacketSet]]:
    """Return what still passes of what was to be cut, but for what a rule or policy above the shields decides."""
    reader, after = Reader(shielded), decode(shielded)
    forced = {point: pair[1] for point, pair in beyond(table, cut).items()}
    found = {}
    for point, access in cut.items():
        sides = []
        for egress in (False, True):
            wanted, passing = (access.outbound, after[point].outbound) if egress else (access.inbound, after[point].inbound)
            rest = untyped(wanted) & passing - (forced[point].outbound if egress else forced[point].inbound)
            for rule in reader.rules(table.nics[point], egress=egress):
                if rule.priority < table.layout.shield and rule.mark is None:
                    rest -= reader.packets(rule)
            sides.append(rest)
        found[point] = (sides[0], sides[1])
    return found


@EXAMPLES
@given(SEEDS, MODES)
def test_a_shield_cuts_exactly_what_it_is_asked_to(seed: int, mode: TargetMode) -> None:
    random, _, table, _, _ = two_states(seed, mode)
    cut = drawn(random, table)
    shielded = shield(table, cut)
    never_more(decode(table), decode(shielded), cut)
    assert not any(some for pair in left(table, shielded, cut).values() for some in pair), "what can be said stays uncut"
    assert {name: rule for name, rule in shielded.rules.items() if not rule.temporary} == table.rules
    for rule in shielded.rules.values():
        assert not rule.temporary or (rule.deny and "temporary" in rule.description and rule.mark is not None)
    assert shield(shielded, cut) == shielded
    assert shield(table, {}) == table


@EXAMPLES
@given(SEEDS)
def test_the_api_s_json_cuts_what_is_decoded(seed: int) -> None:
    random = Random(seed)
    found = world(random)
    table = found.table()
    shielded = shield(table, drawn(random, table))
    for name in shielded.rules.keys() - table.rules.keys():
        found.rules[name] = body(shielded.rules[name])
        found.ours.add(name)
    shown, by_name = decode(settled(shielded)), {nic.vm_name: nic.point for nic in table.nics.values()}
    for packet in probes(random, 60):
        vm, direction = random.choice(found.vms), random.choice(("inbound", "outbound"))
        access = shown[by_name[vm["name"]]]
        assert (packet in (access.inbound if direction == "inbound" else access.outbound)) is passes(found, vm, packet, direction)


@EXAMPLES
@given(SEEDS)
def test_addresses_of_two_are_cut_where_both_are_to_be_cut(seed: int) -> None:
    random = Random(seed)
    found = world(random)
    table = found.table()
    nics = dict(table.nics)
    points = sorted(nics)
    twin, model = nics[random.choice(points)], nics[random.choice(points)]
    nics[twin.point] = replace(twin, network=model.network, scope=model.scope, inside=model.inside | twin.inside)
    table = replace(table, nics=nics)
    cut = drawn(random, table)
    never_more(decode(table), decode(shield(table, cut)), cut)


def inside(random: Random, table: GcpTable, phases: tuple[Phase, ...], low: list[dict[PointId, Access]]) -> GcpTable:
    """Carry phases out, each in random parts: every state and every bound lies between what two states share and what either has."""
    one, other = low
    for phase in phases:
        reach = bounds(table, phase.steps)
        some = random.sample(phase.steps, random.randint(0, len(phase.steps)))
        for state in (simulate_all(table, some), *reach.lower, *reach.upper):
            for point, access in decode(state).items():
                for now, was, will in (
                    (access.inbound, one[point].inbound, other[point].inbound),
                    (access.outbound, one[point].outbound, other[point].outbound),
                ):
                    assert was & will <= now <= was | will, (phase.name, point)
        table = simulate_all(table, phase.steps)
    return table


@EXAMPLES
@given(SEEDS, MODES)
def test_under_a_shield_every_state_lies_between_without_what_is_cut(seed: int, mode: TargetMode) -> None:
    """Up, the change under it, down: nothing of the cut passes in between, and nothing else differs from a change without shields."""
    random, _, actual, encoding, _ = two_states(seed, mode)
    desired = replace(encoding.table, nics=actual.nics)  # tags move at moments of their own: not what is looked at here
    cut = drawn(random, actual)
    up, over = shield(actual, cut), shield(desired, cut)
    stages = [steps(actual, up, Method.MERGE), steps(up, over, Method.MERGE), steps(over, desired, Method.MERGE)]
    table = actual
    for phases, ends in zip(stages, ((actual, up), (up, over), (over, desired)), strict=True):
        table = inside(random, table, phases, [decode(one) for one in ends])
    assert table == desired
    for phases in (stages[0], stages[2]):
        assert all(step.temporary for phase in phases for step in phase.steps)
        assert [phase.name for phase in phases] in ([], ["shield"], ["unshield"])
    assert not any(step.temporary for phase in stages[1] for step in phase.steps), "shields stay up while the rest changes"
    first = [step.title for phase in stages[0] for step in phase.steps]
    assert all("temporary" in title for title in first)


@EXAMPLES
@given(SEEDS, MODES)
def test_a_shield_that_was_left_behind_is_removed(seed: int, mode: TargetMode) -> None:
    random, _, actual, encoding, wish = two_states(seed, mode)
    cut = drawn(random, actual)
    stale = settled(shield(actual, cut))
    again = encode(wish, stale)
    assert again.table.rules.keys() == encoding.table.rules.keys()
    phases = steps(stale, again.table, Method.MERGE)
    assert fold(stale, phases) == again.table
    inside(random, stale, phases, [decode(stale), decode(again.table)]) if stale.nics == again.table.nics else None
    quarantined = replace(wish, quarantined=next(iter(stale.nics.values())).inside)
    assert not any(rule.temporary for rule in encode(quarantined, stale).table.rules.values())
    held = replace(wish, incomplete=frozenset(one.scope for one in stale.networks.values()))
    assert encode(held, stale).table.rules == stale.rules, "where not everything was read, nothing goes"


@EXAMPLES
@given(SEEDS, MODES)
def test_a_shield_keeps_the_quota(seed: int, mode: TargetMode) -> None:
    random, _, actual, encoding, _ = two_states(seed, mode)
    desired = replace(encoding.table, nics=actual.nics)
    cut = drawn(random, actual)
    limit = len(actual.rules) + random.randint(0, 6)
    up, over = (shield(replace(one, room=Room(limit)), cut) for one in (actual, desired))
    assert all(one.rules.keys() == bare.rules.keys() or len(one.rules) <= limit for one, bare in ((up, actual), (over, desired)))
    phases = steps(up, over, Method.MERGE)
    table = up
    for phase in phases:
        for step in phase.steps:
            table = simulate_all(table, (step,))
            # Without shields the encoder has counted already.
            assert len(table.rules) <= max(limit, len(actual.rules.keys() | desired.rules.keys()))


def test_the_properties_are_not_vacuous() -> None:
    cuts = changes = 0
    for seed in range(30):
        random, _, actual, encoding, _ = two_states(seed, TargetMode.ADDITIVE)
        shielded = shield(actual, drawn(random, actual))
        cuts += decode(shielded) != decode(actual)
        changes += bool(steps(shielded, encoding.table, Method.MERGE))
    assert cuts > 10
    assert changes > 20

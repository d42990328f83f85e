"""Bands without a number to spare: our tiers at neighbouring numbers, foreign rules at the same ones. Every insert has its place.

A number is not one rule's alone here: rules that share one and have the same action give the same verdict, and deny beats allow. So MERGE
needs no free number, ever, and TWO_BAND has nothing to do.
"""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.adapter import Access, Method, Phase
from cloudsync.model.mode import TargetMode
from cloudsync.model.packets import PacketSet
from cloudsync_gcp.decode import decode
from cloudsync_gcp.encode import encode
from cloudsync_gcp.shield import shield
from cloudsync_gcp.simulate import simulate_all
from cloudsync_gcp.steps import steps
from cloudsync_gcp.table import GcpTable, Layout
from tests.property.gcp_estates import intent, past, settled, world
from tests.property.test_gcp_shield import drawn
from tests.trust.budget import budget
from tests.trust.figures import record

SEEDS = st.integers(0, 10**9)
EXAMPLES = settings(max_examples=budget(15, 1000, 200))
LAYOUT = Layout(shield=0, never=1, allow=2, deny=3, default_deny=4)


def change(seed: int) -> tuple[Random, GcpTable, GcpTable]:
    """Return a table that a first policy was applied to, and the one that a second policy wants."""
    random = Random(seed)
    found = world(random, numbers=(0, 1, 2, 3, 4, 5))
    table = found.table(LAYOUT)
    known = past(table)
    actual = settled(encode(intent(random, found, table, TargetMode.ADDITIVE, known), table).table)
    return random, actual, encode(intent(random, found, actual, TargetMode.ADDITIVE, known), actual).table


def third_verdicts(random: Random, actual: GcpTable, desired: GcpTable, phases: tuple[Phase, ...]) -> tuple[int, int, int]:
    """Carry phases out, the steps of each in any order; return (states, exposed, cut)."""
    old, new, table = decode(actual), decode(desired), actual
    states = exposed = cut = 0
    for phase in phases:
        for step in random.sample(phase.steps, len(phase.steps)):
            table = simulate_all(table, (step,))
            states += 1
            for point, access in decode(table).items():
                for now, was, will in sides(access, old[point], new[point]):
                    exposed += not now <= was | will
                    cut += not was & will <= now
    assert table == desired
    return states, exposed, cut


def sides(access: Access, was: Access, will: Access) -> tuple[tuple[PacketSet, PacketSet, PacketSet], ...]:
    return ((access.inbound, was.inbound, will.inbound), (access.outbound, was.outbound, will.outbound))


@EXAMPLES
@given(SEEDS)
def test_rules_find_a_place_where_every_number_is_taken(seed: int) -> None:
    random, actual, desired = change(seed)
    phases = steps(actual, desired, Method.MERGE)
    assert bool(phases) is (actual != desired), "MERGE has a way, whatever stands at its numbers"
    assert not steps(actual, desired, Method.TWO_BAND)
    assert third_verdicts(random, actual, desired, phases)[1:] == (0, 0)


@EXAMPLES
@given(SEEDS)
def test_shields_find_one_too(seed: int) -> None:
    random, actual, _ = change(seed)
    shielded = shield(actual, drawn(random, actual))
    assert all(rule.priority == 0 for rule in shielded.rules.values() if rule.temporary)
    assert third_verdicts(random, actual, shielded, steps(actual, shielded, Method.MERGE))[1:] == (0, 0)


def test_states_are_counted_and_the_control_fails() -> None:
    states = exposed = cut = wrong = 0
    for seed in range(budget(20, 2000, 200)):
        random, actual, desired = change(seed)
        phases = steps(actual, desired, Method.MERGE)
        one = third_verdicts(random, actual, desired, phases)
        states, exposed, cut = states + one[0], exposed + one[1], cut + one[2]
        if seed < 20:
            turned = third_verdicts(random, actual, desired, tuple(reversed(phases)))
            wrong += turned[1] + turned[2]
    record("T3 gcp bands", {"states": states, "exposed": exposed, "cut": cut, "controls": 1, "controls_caught": int(wrong > 0)})
    assert states > 100
    assert (exposed, cut) == (0, 0)
    assert wrong > 0, "the same steps from below show third verdicts"

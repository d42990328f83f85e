"""Bands that are nearly full, rule by rule: where a gap has no number left, all rules stand anew beside the old ones (two bands).

Every prefix of every order inside a phase is looked at, at each group alone: it decides as before or as after. And a plan is refused
only where old, new and foreign rules really find no numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.adapter import Access, Method, Phase
from cloudsync.model.mode import TargetMode
from cloudsync_azure.decode import decode
from cloudsync_azure.encode import encode
from cloudsync_azure.settings import AzureSettings
from cloudsync_azure.shield import shield
from cloudsync_azure.simulate import simulate
from cloudsync_azure.steps import steps
from cloudsync_azure.table import AzureTable, Nsg, Rule, Tier
from tests.property.azure_estates import PLAIN, Past, estate, intent
from tests.property.test_azure_shield import drawn, only_shields
from tests.trust.budget import budget
from tests.trust.figures import record

SEEDS = st.integers(0, 10**9)
EXAMPLES = settings(max_examples=budget(12, 1000, 200))
FIRST = 1000
CHANGES = 4


@dataclass(slots=True)
class Tally:
    """What was looked at, and what was found."""

    states: int = 0
    exposures: int = 0
    outages: int = 0
    merged: int = 0
    anew: int = 0
    refused: int = 0


def tight(width: int) -> AzureSettings:
    return replace(PLAIN, child=True, band=(FIRST, FIRST + width - 1))


def ours(nsg: Nsg, *, egress: bool) -> list[Rule]:
    return [one for one in nsg.rules if one.ours and one.egress is egress]


def replayed(random: Random, table: AzureTable, phases: tuple[Phase, ...], ends: tuple[AzureTable, AzureTable], tally: Tally) -> None:
    """Carry phases out group by group, the steps of a phase in any order, and look at every state on the way."""
    for key in table.nsgs:
        one, other = (decode(replace(table, nsgs={**table.nsgs, key: end.nsgs[key]})) for end in ends)
        state = table
        for phase in phases:
            mine = [step for step in phase.steps if step.object == key]
            random.shuffle(mine)
            for step in mine:
                state = simulate(state, [step])
                tally.states += 1
                for point, now in decode(state).items():
                    _judge(now, one[point], other[point], tally)


def _judge(now: Access, was: Access, will: Access, tally: Tally) -> None:
    for here, old, new in ((now.inbound, was.inbound, will.inbound), (now.outbound, was.outbound, will.outbound)):
        tally.exposures += not here <= old | new
        tally.outages += not old & new <= here


def chain_of_changes(seed: int, tally: Tally) -> None:
    """Change one estate several times in a band that is hardly wide enough."""
    random = Random(seed)
    table = estate(random, where="above")
    past = Past.of(table)
    roomy = encode(intent(random, table, TargetMode.ADDITIVE, past), table, replace(PLAIN, child=True)).table
    most = max(len(ours(nsg, egress=egress)) for nsg in roomy.nsgs.values() for egress in (False, True))
    options = tight(max(2, most + random.randint(0, most + 6)))
    for _ in range(CHANGES):
        wish = intent(random, table, TargetMode.ADDITIVE, past)
        encoding = encode(wish, table, options)
        if encoding.problems:
            assert {one.code for one in encoding.problems} == {"G-QUOTA"}
            tally.refused += 1
            continue
        ways = {method: steps(table, encoding.table, method, options) for method in (Method.MERGE, Method.TWO_BAND)}
        assert not all(ways.values()), "one of the two is the way"
        phases = ways[Method.MERGE] or ways[Method.TWO_BAND]
        assert simulate(table, [step for phase in phases for step in phase.steps]) == encoding.table
        if ways[Method.TWO_BAND]:
            tally.anew += 1
            assert any(beside(table.nsgs[key], encoding.table.nsgs[key]) for key in table.nsgs)
        else:
            tally.merged += bool(phases)
        for key, nsg in encoding.table.nsgs.items():
            for egress in (False, True):
                assert_numbers_in_band(table.nsgs[key], nsg, options, egress=egress)
        replayed(random, table, phases, (table, encoding.table), tally)
        table = encoding.table


def beside(old: Nsg, new: Nsg) -> bool:
    """Tell whether in some direction nothing of ours keeps its number."""
    for egress in (False, True):
        before, after = ({one.priority for one in ours(each, egress=egress)} for each in (old, new))
        if before and after and not before & after:
            return True
    return False


def assert_numbers_in_band(old: Nsg, new: Nsg, options: AzureSettings, *, egress: bool) -> None:
    known = {one.priority: one for one in old.rules if one.egress is egress}
    for one in ours(new, egress=egress):
        assert options.band[0] <= one.priority <= options.band[1]
        assert known.get(one.priority, one) == one or replace(known[one.priority], description=one.description) == one, (
            "a number is taken over"
        )


@EXAMPLES
@given(SEEDS)
def test_nearly_full_bands_are_changed_without_a_third_verdict(seed: int) -> None:
    tally = Tally()
    chain_of_changes(seed, tally)
    assert (tally.exposures, tally.outages) == (0, 0)


@EXAMPLES
@given(SEEDS)
def test_a_refusal_says_the_numbers_and_is_right(seed: int) -> None:
    """Nothing bounds our rules here (no foreign ones in or below the band): they are refused where old and new together do not fit."""
    random = Random(seed)
    table = estate(random, where="above")
    past = Past.of(table)
    roomy = replace(PLAIN, child=True)
    first = encode(intent(random, table, TargetMode.ADDITIVE, past), table, roomy).table
    most = max(len(ours(nsg, egress=egress)) for nsg in first.nsgs.values() for egress in (False, True))
    options = tight(max(2, most + random.randint(0, most + 2)))
    first_wish = intent(Random(seed + 1), table, TargetMode.ADDITIVE, past)
    settled = encode(first_wish, table, options)
    if settled.problems:
        return
    wish = intent(Random(seed + 2), settled.table, TargetMode.ADDITIVE, past)
    wanted, encoding = encode(wish, settled.table, replace(roomy, child=False)).table, encode(wish, settled.table, options)
    width = options.band[1] - options.band[0] + 1
    for problem in encoding.problems:
        assert problem.code == "G-QUOTA"
        assert str(width) in problem.message, problem.message
    crowded = any(
        len(ours(settled.table.nsgs[key], egress=egress)) + len(ours(nsg, egress=egress)) > width
        for key, nsg in wanted.nsgs.items()
        for egress in (False, True)
    )
    assert crowded or not encoding.problems, "old and new fit, and are refused"


def anew(old: Nsg, new: Nsg, *, egress: bool) -> bool:
    """Tell whether a rule that stays has another number, and none of ours has kept its own."""
    before, after = ({key_of_rule(one): one.priority for one in ours(each, egress=egress)} for each in (old, new))
    same = before.keys() & after.keys()
    return bool(same) and all(before[key] != after[key] for key in same)


def key_of_rule(rule: Rule) -> Rule:
    return replace(rule, name="", priority=0, description="")


def test_bands_are_used_in_turn() -> None:
    """All rules numbered anew stand above or below the old ones as one block where a block fits there, and go back the next time."""
    assert sum(turns_of(seed) for seed in range(budget(40, 1000, 200))) >= 5


def turns_of(seed: int) -> int:
    random = Random(seed)
    table = estate(random, where="above")
    past = Past.of(table)
    wish = intent(random, table, TargetMode.ADDITIVE, past)
    plain = encode(wish, table, replace(PLAIN, child=True)).table
    most = max(len(ours(nsg, egress=egress)) for nsg in plain.nsgs.values() for egress in (False, True))
    options = tight(max(4, 2 * most + 1))
    now, turns = encode(wish, table, options), 0
    if now.problems:
        return 0
    for number in range(3):
        wish = intent(Random(seed + number), now.table, TargetMode.ADDITIVE, past)
        after = encode(wish, now.table, options)
        if after.problems:
            return turns
        for key, nsg in after.table.nsgs.items():
            for egress in (False, True):
                old, new = ({one.priority for one in ours(each, egress=egress)} for each in (now.table.nsgs[key], nsg))
                if not anew(now.table.nsgs[key], nsg, egress=egress):
                    continue
                turns += 1
                if max(min(old) - FIRST, options.band[1] - max(old)) >= len(new):
                    assert max(new) < min(old) or max(old) < min(new), "one block, above or below"
        now = after
    return turns


@EXAMPLES
@given(SEEDS)
def test_a_shield_stands_above_all_allows_of_ours_or_not_at_all(seed: int) -> None:
    random = Random(seed)
    table = estate(random)
    past = Past.of(table)
    options = tight(random.randint(30, 90))
    encoding = encode(intent(random, table, TargetMode.ADDITIVE, past), table, options)
    if encoding.problems:
        return
    shielded = shield(encoding.table, drawn(random, table), options)
    only_shields(encoding.table, shielded)
    for nsg in shielded.nsgs.values():
        for egress in (False, True):
            mine = ours(nsg, egress=egress)
            shields = [one.priority for one in mine if one.tier is Tier.SHIELD]
            allows = [one.priority for one in mine if not one.deny and one.tier is not Tier.PLATFORM]
            assert max(shields, default=0) < min(allows, default=5000)


def test_enough_of_both_ways_is_seen() -> None:
    tally = Tally()
    for seed in range(budget(20, 2000, 200)):
        chain_of_changes(seed, tally)
    assert tally.anew >= 3
    assert tally.merged >= 5
    assert tally.refused >= 3
    assert (tally.exposures, tally.outages) == (0, 0)
    record("T3 azure bands", {"states": tally.states, "exposed": tally.exposures, "cut": tally.outages, "two_band_plans": tally.anew})


def test_the_tally_sees_what_is_wrong() -> None:
    """Controls: the same changes with the new rules coming from below, and with the old ones going first, show third verdicts."""
    caught = 0
    for turned in (lambda phases: tuple(reversed(phases)), _bottom_up):
        found = Tally()
        for seed in range(8):
            random = Random(seed)
            table = estate(random, where="above")
            past = Past.of(table)
            options = replace(PLAIN, child=True)
            first = encode(intent(random, table, TargetMode.ADDITIVE, past), table, options).table
            second = encode(intent(random, first, TargetMode.ADDITIVE, past), first, options).table
            phases = steps(first, second, Method.MERGE, options) or steps(first, second, Method.TWO_BAND, options)
            replayed(random, first, turned(phases), (first, second), found)
        caught += found.exposures + found.outages > 0
    record("T3 azure bands", {"controls": 2, "controls_caught": caught})
    assert caught == 2


def _bottom_up(phases: tuple[Phase, ...]) -> tuple[Phase, ...]:
    inserts = [phase for phase in phases if phase.name.startswith("insert")]
    return (*reversed(inserts), *(phase for phase in phases if phase not in inserts))

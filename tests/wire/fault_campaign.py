"""T1: every kind of fault at every call of a run, one at a time and in pairs, with the real SDKs over every simulated platform.

Pairs come in two ways: both faults drawn, most of them in one run; and a fault in one run with a drawn one in the next. The second way
begins where the first run left things: from each state in which a run with one fault ended the second faults are lived once, and count for
every first fault that ended in that state. Some of these pairs are lived whole as well, from the start, and have to come to the same.

Two transitions of an estate of each platform are recorded: from what people left behind to the first policy, and from one policy to the
next with a workload that changed its role. A change of this repository tries a sample, a night every single fault, a release pairs too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random

from tests.trust.budget import budget
from tests.trust.chunks import piece
from tests.trust.figures import Figures
from tests.wire import fault_plans
from tests.wire.fault_plans import Campaign, Plan, Verdict
from tests.wire.fault_stage import theatre
from tests.wire.fault_tap import Tap

SEED = 2
FRESH = [False, True][: budget(1, 2, 2)]
"""Whether a transition begins with what people left behind."""
SECONDS = budget(0, 2, 10)
"""Second faults from each state in which a run with one fault ended."""
WHOLE = budget(0, 4, 12)
"""Pairs of that kind that are lived whole, per platform and transition."""
PAIRS = budget(0, 25, 50)
"""Drawn pairs per platform and transition."""


@contextmanager
def campaign(name: str, folder: Path, *, fresh: bool, machines: int) -> Iterator[Campaign]:
    """Open one platform at the start of one transition."""
    tap = Tap(name)
    with theatre(name, folder, tap.wrap) as opened:
        yield fault_plans.prepare(opened, tap, opened.stage(SEED, machines=machines, fresh=fresh))


def summed(opened: Campaign, lives: list[tuple[Plan, Verdict]]) -> Figures:
    """Return the sums over lives. AssertionError tells of the plans under which something did not hold."""
    wrong = [f"{words(opened, plan)}:\n    " + "\n    ".join(one.wrong[:4]) for plan, one in lives if one.wrong]
    assert not wrong, f"{opened.stage.name}: {len(wrong)} of {len(lives)} plans\n" + "\n".join(wrong[:20])
    found = [one for _, one in lives]
    return {
        "runs": len(found),
        "fired": sum(one.fired for one in found),
        "calls": sum(one.calls for one in found),
        "states": sum(one.states for one in found),
        "joined": sum(one.joined for one in found),
        "clean_runs_max": max(one.runs for one in found),
        "violations": 0,
    }


def words(opened: Campaign, plan: Plan) -> str:
    """Return a plan for people."""
    return ", ".join(f"{kind.value} at call {at} ({told(opened, at)})" for at, kind in plan.items())


def told(opened: Campaign, number: int) -> str:
    """Return which call of the recorded run has a number."""
    calls = opened.record.calls
    return calls[number - 1].sent.operation if number <= len(calls) else "of the next run"


def followed(opened: Campaign, lives: list[tuple[Plan, Verdict]]) -> Figures:
    """Return what became of second faults in the run after each first one. AssertionError where something did not hold."""
    assert opened.known is not None
    after = {one.after: opened.known.after(one.after) or [] for _, one in lives if one.after}
    figures = summed(opened, [pair for many in after.values() for pair in many])
    pairs = [(plan, one, *second) for plan, one in lives if one.after for second in after[one.after]]
    whole = Random(SEED).sample(pairs, WHOLE)
    for plan, one, second, verdict in whole:
        late = {one.until + number: kind for number, kind in second.items()}
        found = replace(opened, known=None).live({**plan, **late})
        assert (found.wrong, found.runs) == (verdict.wrong, verdict.runs), (words(opened, plan), second)
    begun = {"states_begun_from": len(after), "lived": figures.pop("runs"), "lived_whole": len(whole)}
    return {"plans": len(pairs), **begun, **figures}


def of_singles(opened: Campaign) -> tuple[Figures, list[tuple[Plan, Verdict]]]:
    """Live every plan of one fault, or so many as the budget has, and the second faults after them."""
    every = fault_plans.singles(opened.stage.name, opened.record)
    plans = fault_plans.sample(every, budget(5, len(every), len(every)), SEED)
    lives = list(zip(plans, opened.live_all(plans), strict=True))
    whole = {
        "boundaries": len({number for plan in plans for number in plan}),
        "kinds_max": len({kind for plan in plans for kind in plan.values()}),
        "of_boundaries": len(opened.record.calls),
        "of_runs": len(every),
    }
    return {**whole, **summed(opened, lives)}, lives


def survive_singles(name: str, folder: Path, *, fresh: bool) -> None:
    """Live every single fault of one platform and transition, and second faults after them, as far as the budget goes."""

    def work() -> dict[str, Figures]:
        with campaign(name, folder, fresh=fresh, machines=4) as opened:
            opened.seconds = SECONDS
            figures, lives = of_singles(opened)
            found = {f"T1 {name} singles": figures}
            return {**found, f"T1 {name} followed": followed(opened, lives)} if SECONDS else found

    piece(f"singles-{name}-{fresh}", work)


def survive_pairs(name: str, folder: Path, *, fresh: bool) -> None:
    """Live drawn pairs of faults of one platform and transition; none in a budget for a change."""

    def work() -> dict[str, Figures]:
        with campaign(name, folder, fresh=fresh, machines=12) as opened:
            plans = list(islice(fault_plans.pairs(name, opened.record, Random(SEED)), PAIRS))
            return {f"T1 {name} pairs": summed(opened, list(zip(plans, opened.live_all(plans), strict=True)))}

    if PAIRS:
        piece(f"pairs-{name}-{fresh}", work)

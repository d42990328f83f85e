"""T1: every kind of fault at every call of a run, one at a time and in pairs, with the real SDKs over every simulated platform.

Two transitions of an estate of each platform are recorded: from what people left behind to the first policy, and from one policy to the
next with a workload that changed its role. A change of this repository tries a sample, a night every single fault, a release pairs too.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pytest

from tests.acting.folders import tmp_path
from tests.trust.budget import budget
from tests.trust.figures import record
from tests.wire import fault_plans
from tests.wire.fault_plans import Campaign
from tests.wire.fault_stage import NAMES, theatre
from tests.wire.fault_tap import Kind, Tap

__all__ = ["tmp_path"]

SEED = 2
FRESH = [False, True][: budget(1, 2, 2)]
"""Whether a transition begins with what people left behind."""
PAIRS = budget(0, 250, 12_500)
"""Per platform and transition: a hundred thousand for a release."""


@contextmanager
def campaign(name: str, folder: Path, *, fresh: bool, machines: int) -> Iterator[Campaign]:
    """Open one platform at the start of one transition."""
    tap = Tap(name)
    with theatre(name, folder, tap.wrap) as opened:
        yield fault_plans.prepare(opened, tap, opened.stage(SEED, machines=machines, fresh=fresh))


def lived(opened: Campaign, plans: list[dict[int, Kind]]) -> dict[str, int]:
    """Live every plan; return the sums. AssertionError tells of the plans under which something did not hold."""
    figures = {"runs": 0, "fired": 0, "calls": 0, "states": 0, "clean_runs_most": 0, "violations": 0}
    wrong: list[str] = []
    for plan in plans:
        found = opened.live(plan)
        figures["runs"] += 1
        figures["fired"] += found.fired
        figures["calls"] += found.calls
        figures["states"] += found.states
        figures["clean_runs_most"] = max(figures["clean_runs_most"], found.runs)
        if found.wrong:
            figures["violations"] += 1
            said = ", ".join(f"{kind.value} at call {at} ({told(opened, at)})" for at, kind in plan.items())
            wrong.append(f"{said}:\n    " + "\n    ".join(found.wrong[:4]))
    assert not wrong, f"{opened.stage.name}: {len(wrong)} of {len(plans)} plans\n" + "\n".join(wrong[:20])
    return figures


def told(opened: Campaign, number: int) -> str:
    """Return which call of the recorded run has a number."""
    calls = opened.record.calls
    return calls[number - 1].sent.operation if number <= len(calls) else "of the next run"


@pytest.mark.parametrize("fresh", FRESH, ids=["change", "adoption"][: len(FRESH)])
@pytest.mark.parametrize("name", NAMES)
def test_every_single_fault_is_survived(tmp_path: Path, name: str, *, fresh: bool) -> None:
    with campaign(name, tmp_path, fresh=fresh, machines=4) as opened:
        every = fault_plans.singles(name, opened.record)
        plans = fault_plans.sample(every, budget(5, len(every), len(every)), SEED)
        figures = lived(opened, plans)
        boundaries = len({number for plan in plans for number in plan})
        many = len({kind for plan in plans for kind in plan.values()})
        whole = {"boundaries": boundaries, "kinds": many, "of_boundaries": len(opened.record.calls), "of_runs": len(every)}
        record(f"T1 {name} singles", {**whole, **figures})


@pytest.mark.skipif(not PAIRS, reason="pairs are for a night and a release")
@pytest.mark.parametrize("fresh", FRESH, ids=["change", "adoption"][: len(FRESH)])
@pytest.mark.parametrize("name", NAMES)
def test_pairs_of_faults_are_survived(tmp_path: Path, name: str, *, fresh: bool) -> None:
    with campaign(name, tmp_path, fresh=fresh, machines=12) as opened:
        plans = list(islice(fault_plans.pairs(name, opened.record, random.Random(SEED)), PAIRS))
        record("T1 pairs", lived(opened, plans))

"""How targets stand after a run, and which of it is news."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cloudsync.app.standing import MISSED, Run, Standing, overdue_after, standing
from cloudsync.guard.values import Refusal
from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync.model.target import TargetSettings
from cloudsync.model.workload import Labels
from cloudsync.proof.drift import Kind, Severity
from cloudsync.report.story import Deed, State, Tracked
from cloudsync.report.values import Applied, TargetReport, Unchecked
from cloudsync.settings.values import Schedule, Settings
from cloudsync.store.findings import HealthRow

EVERY = 300
SETTINGS = Settings(
    owner="acme",
    targets=tuple(TargetSettings(name, name, TargetMode.EXCLUSIVE, {}, Where("cloudsync.yaml"), "", False) for name in ("aws", "gcp")),
    schedule=Schedule(EVERY),
)
REFUSED = Refusal("G-CAP", "aws", "", "would remove 61 of 80 rules", approve="cloudsync approve 7c1e --guard G-CAP")


def report(name: str = "aws", **more: Any) -> TargetReport:
    return replace(TargetReport(name, TargetMode.EXCLUSIVE, applied=Applied("nothing")), **more)


def finding(deed: Deed = Deed.NOTHING, state: State = State.NEW) -> Tracked:
    return Tracked(
        *("aws/1", "aws", Kind.EXCESS, Severity.HIGH, state, "w", "s", "inbound", Labels(), (), (), "p", 1.0, 1.0),
        deed=deed,
    )


class Life:
    """Runs one after the other, with what each leaves behind."""

    def __init__(self) -> None:
        self.health: dict[str, HealthRow] = {}
        self.at = 1_000_000.0

    def run(self, *reports: TargetReport, verb: str = "apply", found: tuple[Tracked, ...] = (), later: float = EVERY) -> Standing:
        self.at += later
        stand = standing(SETTINGS, reports, found, self.health, Run(f"r{self.at:.0f}", verb, self.at - 5, self.at))
        self.health |= {row.target: row for row in stand.rows}
        return stand

    def state(self, name: str = "aws") -> str:
        return self.health[name].state


def told(stand: Standing) -> list[tuple[str, str, bool]]:
    return [(one.target, one.what, one.new) for one in stand.troubles]


@pytest.mark.parametrize(
    ("one", "found", "state"),
    [
        (report(), (), "in sync"),
        (report(applied=Applied("done", 3), remaining=()), (), "changed"),
        (report(), (finding(Deed.LEFT),), "drift"),
        (report(), (finding(Deed.LEFT, State.ACKNOWLEDGED),), "in sync"),
        (report(applied=Applied("done", 1), remaining=()), (finding(Deed.RESTORED),), "changed"),
        (report(), (finding(state=State.RESOLVED),), "in sync"),
        (report(applied=None, refusals=(REFUSED,)), (), "refused"),
        (report(applied=None, refused="G-IDENTITY expected 1, got 2", error="G-IDENTITY expected 1, got 2"), (), "refused"),
        (report(applied=None, error="aws: DescribeVpcs: denied"), (), "failed"),
        (report(applied=Applied("failed", 1, 1, message="no")), (), "failed"),
        (report(applied=Applied("moved", message="somebody else")), (), "failed"),
        (report(unchecked=(Unchecked("scope 1/us-east-1", "not read whole: denied"),)), (), "failed"),
        (report(unchecked=(Unchecked("interface eni-1", "belongs to a service"),)), (), "in sync"),
    ],
)
def test_a_run_leaves_a_target_in_this_state(one: TargetReport, found: tuple[Tracked, ...], state: str) -> None:
    life = Life()
    stand = life.run(one, found=found)
    assert life.state() == state
    assert stand.states[0].state == state
    assert (stand.states[0].good is None) == (state in ("refused", "failed"))
    assert stand.states[1].state == "never run"
    assert (life.health["aws"].applied is not None) == (state not in ("refused", "failed"))


def test_a_refusal_is_news_once_and_again_when_another_guard_says_no() -> None:
    life = Life()
    refused = report(applied=None, refusals=(REFUSED,))
    first = life.run(refused)
    assert told(first) == [("aws", "refused", True)]
    assert first.troubles[0].approve == REFUSED.approve
    assert told(life.run(refused)) == [("aws", "refused", False)]
    other = report(applied=None, refusals=(replace(REFUSED, guard="G-OPEN"),))
    assert told(life.run(other)) == [("aws", "refused", True)]
    recovered = life.run(report())
    assert told(recovered) == [("aws", "recovered", True)]
    assert "was refused since 1970-01-12" in recovered.troubles[0].why
    assert told(life.run(report())) == []


def test_since_is_when_the_state_began() -> None:
    life = Life()
    failed = report(applied=None, error="down")
    begun = life.run(failed).troubles[0].since
    assert life.run(failed).troubles[0].since == begun
    assert told(life.run(report(applied=None, error="down otherwise"))) == [("aws", "failed", False)]


def test_who_only_looks_takes_nothing_back_of_what_a_writer_said() -> None:
    life = Life()
    life.run(report(applied=None, refusals=(REFUSED,)))
    looked = life.run(report(applied=None, refusals=(REFUSED,)), verb="drift")
    assert life.state() == "refused"
    assert told(looked) == [("aws", "refused", False)]
    assert life.health["aws"].good is None


def test_looking_finds_failures_and_recoveries_of_its_own() -> None:
    life = Life()
    assert told(life.run(report(applied=None, error="down"), verb="drift")) == [("aws", "failed", True)]
    assert told(life.run(report(applied=None), verb="drift")) == [("aws", "recovered", True)]
    assert life.health["aws"].applied is None


def test_a_run_that_was_asked_to_stop_is_neither_good_nor_bad() -> None:
    life = Life()
    life.run(report())
    good = life.health["aws"].good
    assert told(life.run(report(applied=Applied("stopped", 1, message="hold")))) == []
    assert (life.state(), life.health["aws"].good) == ("in sync", good)


def test_a_target_without_a_good_run_for_long_is_overdue_once_then_recovers() -> None:
    life = Life()
    life.run(report(), report("gcp"))
    failed = report("gcp", applied=None, error="down")
    kinds = [told(life.run(report(), failed)) for _ in range(MISSED + 2)]
    assert kinds[0] == [("gcp", "failed", True)]
    assert all(one == [("gcp", "failed", False)] for one in kinds[1:MISSED])
    assert kinds[MISSED] == [("gcp", "failed", False), ("gcp", "overdue", True)]
    assert kinds[MISSED + 1] == [("gcp", "failed", False), ("gcp", "overdue", False)]
    assert told(life.run(report(), report("gcp"))) == [("gcp", "recovered", True)]
    assert told(life.run(report(), report("gcp"))) == []


def test_a_target_that_runs_leave_out_is_overdue_all_the_same() -> None:
    life = Life()
    life.run(report(), report("gcp"))
    seen = [told(life.run(report())) for _ in range(MISSED + 1)]
    assert seen[MISSED - 1] == []
    assert seen[MISSED] == [("gcp", "overdue", True)]
    assert told(life.run(report())) == [("gcp", "overdue", False)]
    assert told(life.run(report("gcp"), report())) == [("gcp", "recovered", True)]
    assert not life.health["gcp"].overdue


def test_after_writes_a_reading_counts_from_the_end() -> None:
    life = Life()
    life.run(report())
    assert life.health["aws"].read == life.at - 5
    life.run(report(applied=Applied("done", 1), remaining=()))
    assert life.health["aws"].read == life.at


@pytest.mark.parametrize(
    ("schedule", "limit"),
    [(Schedule(300), 1800.0), (Schedule(0, 0, "0 3 * * *"), 86400.0), (None, 86400.0)],
)
def test_overdue_goes_by_the_targets_own_schedule(schedule: Schedule | None, limit: float) -> None:
    assert overdue_after(replace(SETTINGS, schedule=schedule), "aws") == limit
    assert overdue_after(replace(SETTINGS, schedule=schedule, schedules=(("aws", Schedule(60)),)), "aws") == 360.0

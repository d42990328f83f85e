"""The life of findings: whatever outsiders and runs do, each episode begins once and ends once, and nothing is told twice."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cloudsync.model.workload import Labels, PointId
from cloudsync.proof.drift import Kind, Severity
from cloudsync.report.lifecycle import FLAPS, RANKS, Known, Now, Verdict, advance, flapping
from cloudsync.report.sightings import Cause, Sighting
from cloudsync.report.story import Acknowledgement, Deed, State

KEYS = ("aws/a", "aws/b", "gcp/c")
LOUD = (State.NEW, State.CHANGED, State.ONGOING)
HOUR = 3600.0


def sighting(key: str, packets: str = "p", grade: Severity = Severity.MEDIUM, cause: Cause = Cause.SOMEBODY) -> Sighting:
    return Sighting(
        key=key,
        target=key.partition("/")[0],
        kind=Kind.EXCESS,
        severity=grade,
        direction="inbound",
        labels=Labels.of({"role": "db"}),
        points=(PointId(f"{key}/eni"),),
        workloads=("db-1",),
        packets=packets,
        words=packets,
        sentence=packets,
        objects=(key,),
        cause=cause,
    )


@dataclass
class Episode:
    """What the test itself keeps of a key: is it there, and how often was its begin and its end told."""

    there: bool = False
    open: bool = False
    begun: int = 0
    told_new: int = 0
    told_resolved: int = 0


class Findings(RuleBasedStateMachine):
    """Outsiders open and close things, runs look, restore or fail to read; records live between runs."""

    @initialize()
    def begin(self) -> None:
        self.at = 1_800_000_000.0
        self.there: dict[str, tuple[str, Severity]] = {}
        self.known: dict[str, Known] = {}
        self.episodes = {key: Episode() for key in KEYS}
        self.yes: dict[str, Acknowledgement] = {}

    @rule(key=st.sampled_from(KEYS), packets=st.sampled_from("pqr"), grade=st.sampled_from(list(Severity)))
    def open_up(self, key: str, packets: str, grade: Severity) -> None:
        self.there[key] = (packets, grade)

    @rule(key=st.sampled_from(KEYS))
    def close(self, key: str) -> None:
        self.there.pop(key, None)

    @rule(key=st.sampled_from(KEYS), hours=st.integers(1, 30))
    def acknowledge(self, key: str, hours: int) -> None:
        self.yes[key] = Acknowledgement(key, self.at + hours * HOUR, "known")

    @rule(key=st.sampled_from(KEYS))
    def take_back(self, key: str) -> None:
        self.yes.pop(key, None)

    @rule(
        minutes=st.integers(5, 900), restores=st.booleans(), reads=st.sampled_from((("aws",), ("gcp",), ("aws", "gcp"))), cut=st.booleans()
    )
    def run(self, minutes: int, restores: bool, reads: tuple[str, ...], cut: bool) -> None:
        self.at += minutes * 60
        verdicts = {name: Verdict(Deed.LEFT, "", converged=restores, whole=not cut) for name in reads}
        seen = [sighting(key, *self.there[key]) for key in sorted(self.there) if key.partition("/")[0] in reads]
        told = advance(self.known.values(), seen, Now(self.at, verdicts, self.yes))
        assert len({one.tracked.key for one in told}) == len(told)
        for known in told:
            self.judge(known, cut=cut)
        for key in KEYS:
            if key.partition("/")[0] in reads and not cut and key not in self.there:
                self.episodes[key].open = False
        self.known |= {one.tracked.key: one for one in told}
        if restores:
            for one in seen:
                self.there.pop(one.key)

    def judge(self, one: Known, *, cut: bool) -> None:
        tracked, episode = one.tracked, self.episodes[one.tracked.key]
        present = tracked.key in self.there
        before = self.known.get(tracked.key)
        assert tracked.first_seen <= tracked.last_seen <= self.at
        if present and not episode.open:
            episode.open = True
            episode.begun += 1
            assert tracked.state in (State.NEW, State.ACKNOWLEDGED)
            episode.told_new += 1
            assert tracked.seen == 1
            assert tracked.returns == (before.tracked.returns + 1 if before else 0)
        else:
            assert tracked.state is not State.NEW
        if present:
            assert tracked.last_seen == self.at
            assert (tracked.packets, RANKS[tracked.severity] <= RANKS[self.there[tracked.key][1]]) == (self.there[tracked.key][0], True)
        elif cut:
            assert tracked.state in (State.ONGOING, State.ACKNOWLEDGED)
            assert tracked.quiet
        else:
            assert tracked.state is State.RESOLVED
            episode.told_resolved += 1
        yes = self.yes.get(tracked.key)
        if tracked.state is State.ACKNOWLEDGED and present:
            assert yes is not None
            assert self.at < yes.until
        if tracked.state is State.CHANGED:
            assert before is not None
            assert before.tracked.state is not State.CHANGED or before.tracked.packets != tracked.packets or tracked.flapping
        if tracked.quiet and tracked.state in (State.NEW, State.CHANGED):
            assert before is not None
            assert before.tracked.flapping  # only a fight that was told already goes on in silence

    @invariant()
    def every_episode_begins_once_and_ends_once(self) -> None:
        for episode in getattr(self, "episodes", {}).values():
            assert episode.told_new == episode.begun
            assert episode.told_resolved == episode.begun - int(episode.open)


TestFindings = Findings.TestCase


def once(known: tuple[Known, ...], seen: list[Sighting], at: float, *, converged: bool = False) -> tuple[Known, ...]:
    return advance(known, seen, Now(at, {"aws": Verdict(Deed.LEFT, "", converged=converged)}))


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_whoever_comes_back_too_often_is_escalated_once_a_fight(there: list[bool]) -> None:
    known: tuple[Known, ...] = ()
    loud = 0
    for number, present in enumerate(there):
        told = once(known, [sighting("aws/a")] if present else [], number * 300.0)
        known = told or known
        loud += sum(not one.tracked.quiet and one.tracked.flapping and one.tracked.state is not State.ONGOING for one in told)
    back = known[0].back if known else ()
    assert loud == (1 if len(back) >= FLAPS else 0)


def test_what_is_restored_and_back_at_the_next_reading_is_one_episode() -> None:
    known: tuple[Known, ...] = ()
    states = []
    for number in range(8):
        known = once(known, [sighting("aws/a")], number * 300.0, converged=True)
        states.append((known[0].tracked.state, known[0].tracked.returns, known[0].tracked.severity))
    quiet, loud = Severity.MEDIUM, Severity.HIGH
    assert states[:5] == [
        (State.NEW, 0, quiet),
        (State.ONGOING, 1, quiet),
        (State.ONGOING, 2, quiet),
        (State.CHANGED, 3, loud),
        (State.ONGOING, 4, loud),
    ]
    assert all(one == (State.ONGOING, number, loud) for number, one in enumerate(states[5:], 5))


def test_a_fight_is_over_after_a_quiet_day() -> None:
    assert flapping((0.0, 300.0, 600.0), 86_000.0)
    assert not flapping((0.0, 300.0, 600.0), 86_400.0)


def test_an_acknowledgement_covers_nothing_worse_than_what_it_was_given_for() -> None:
    yes = {"aws/a": Acknowledgement("aws/a", 1e12, "legacy")}
    verdicts = {"aws": Verdict()}
    first = advance((), [sighting("aws/a")], Now(0.0, verdicts, yes))
    assert first[0].tracked.state is State.ACKNOWLEDGED
    worse = advance(first, [sighting("aws/a", "q", Severity.CRITICAL)], Now(300.0, verdicts, yes))
    assert worse[0].tracked.state is State.CHANGED
    assert worse[0].tracked.acknowledged is None


def test_an_acknowledgement_that_ends_is_told() -> None:
    verdicts = {"aws": Verdict()}
    yes = {"aws/a": Acknowledgement("aws/a", 200.0, "for a while")}
    known: tuple[Known, ...] = ()
    states = []
    for at in (100.0, 150.0, 200.0, 250.0):
        known = advance(known, [sighting("aws/a")], Now(at, verdicts, yes))
        states.append(known[0].tracked.state)
    assert states == [State.ACKNOWLEDGED, State.ACKNOWLEDGED, State.CHANGED, State.ONGOING]


def test_a_fleet_that_breathes_is_no_news_but_one_that_spreads_is() -> None:
    def seen(count: int, packets: str = "p") -> Sighting:
        return replace(sighting("aws/a", packets), words="tcp/22", workloads=tuple(f"db-{number}" for number in range(count)))

    known = once((), [seen(10)], 0.0)
    for at, count, packets, loud in ((300.0, 11, "p", False), (600.0, 9, "q", False), (900.0, 9, "q", False), (1200.0, 20, "q", True)):
        before = known[0].tracked
        known = once(known, [seen(count, packets)], at)
        tracked = known[0].tracked
        same = (before.packets, before.workloads) == (tracked.packets, tracked.workloads)
        assert tracked.state is (State.ONGOING if same else State.CHANGED)
        assert (tracked.state is State.CHANGED and not tracked.quiet) is loud


def test_a_policy_that_changed_is_no_finding_and_ends_the_one_it_allows() -> None:
    known = once((), [sighting("aws/a")], 0.0)
    pending = replace(sighting("aws/a2"), cause=Cause.POLICY)
    (gone,) = once(known, [pending], 300.0)
    assert (gone.tracked.key, gone.tracked.state, gone.resolved) == ("aws/a", State.RESOLVED, 300.0)
    assert once((gone,), [pending], 600.0) == ()


def test_what_a_first_apply_closes_was_nobodys_doing_but_what_it_cannot_close_is_told() -> None:
    enrolling = sighting("aws/a", cause=Cause.ENROLMENT)
    assert once((), [enrolling], 0.0, converged=True) == ()
    (left,) = advance((), [enrolling], Now(0.0, {"aws": Verdict(converged=True, remaining=frozenset({"aws/a"}))}))
    assert left.tracked.state is State.NEW
    shadow = replace(enrolling, kind=Kind.SHADOW)
    (stays,) = once((), [shadow], 0.0, converged=True)
    assert (stays.tracked.state, stays.tracked.deed) == (State.NEW, Deed.LEFT)

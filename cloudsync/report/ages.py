"""Drift with its life: what is new, how long it has been there, what somebody has accepted. For the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from cloudsync.model.quick import dataclass
from cloudsync.proof.drift import Drift, Severity
from cloudsync.report.moments import lasted, moment
from cloudsync.report.origins import origins_text
from cloudsync.report.story import State, Story, Tracked

LOUD = (State.NEW, State.CHANGED, State.ONGOING)
SHOWN = 3
Line = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Aged:
    """One drift as it is to be told. `quiet`: all of it is acknowledged. `pending`: only the next apply of a changed policy is missing."""

    drift: Drift
    loud: tuple[Tracked, ...] = ()
    accepted: tuple[Tracked, ...] = ()
    pending: bool = False

    @property
    def quiet(self) -> bool:
        """Tell whether it is only counted."""
        return bool(self.accepted) and not self.loud


@dataclass(slots=True)
class Ages:
    """Looks the findings behind each drift up in a story; without one nothing is known of any."""

    story: Story | None
    _by_key: dict[str, Tracked] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.story is not None:
            self._by_key = {one.key: one for one in self.story.findings}

    def of(self, target: str, drift: tuple[Drift, ...]) -> tuple[Aged, ...]:
        """Return the drift of a target in its order, what is only watched left out."""
        behind = self.story.behind.get(target) if self.story is not None else None
        found: list[Aged] = []
        for number, one in enumerate(drift):
            if not one.real:
                continue
            keys = behind[number] if behind is not None else ()
            tracked = [self._by_key[key] for key in keys if key in self._by_key]
            loud = tuple(one for one in tracked if one.state in LOUD)
            accepted = tuple(one for one in tracked if one.state is State.ACKNOWLEDGED)
            found.append(Aged(one, loud, accepted, pending=behind is not None and not keys))
        return tuple(found)

    def lines(self, aged: Aged, sign: str = "") -> Iterator[Line]:
        """Yield one drift: the sentence, then where, since when, and under which key. What is acknowledged is left to `accepted`."""
        ranks = list(Severity)
        if aged.quiet:
            return
        if not aged.accepted:
            grade = min((aged.drift.severity, *(one.severity for one in aged.loud)), key=ranks.index)
            yield f"  {sign}[{grade.value}] {aged.drift.text()}", _colour(grade)
            rules = aged.drift.wanted_by
            by = [f"wanted by {origins_text(rules, SHOWN)}"] if rules else []
            parts = [f"at {_first(aged.drift.workloads, 6)}", *by, *self._life(aged)]
            yield "      " + " · ".join(parts), "dim"
            return
        for one in aged.loud:
            yield f"  {sign}[{one.severity.value}] {one.sentence}", _colour(one.severity)
            yield f"      at {_first(one.workloads, 6)} · {self.state(one)}{_by(one)} · {one.key}", "dim"

    def _life(self, aged: Aged) -> Iterator[str]:
        if aged.pending:
            yield "not applied yet: the policy changed since the last apply"
        if aged.loud:
            ranks = list(State)
            told = min(aged.loud, key=lambda one: (ranks.index(one.state), -one.returns, one.first_seen))
            yield self.state(told) + _by(told)
            yield _first(tuple(one.key for one in aged.loud), SHOWN)

    def state(self, one: Tracked) -> str:
        """Return where a finding stands in words, e.g. `new`, `since 2 days`, `since 3 hours, back for the 4th time`."""
        assert self.story is not None, "a finding is known from a story"
        age = lasted(self.story.at - one.first_seen)
        if one.flapping:
            return f"came back {one.returns} times: somebody, or something, fights"
        back = f", back for the {_ordinal(one.returns)} time" if one.returns else ""
        match one.state:
            case State.NEW:
                return f"new{back}"
            case State.CHANGED:
                return f"changed, there since {age}{back}"
            case _:
                return f"since {age}{back}"


def accepted_lines(aged: tuple[Aged, ...], shown: int = 5) -> Iterator[Line]:
    """Yield what is acknowledged: how many findings, then until when and why."""
    found = {one.key: one for drift in aged for one in drift.accepted}
    if not found:
        return
    yield f"  {len(found)} acknowledged", "dim"
    for one in list(found.values())[:shown]:
        yes = one.acknowledged
        assert yes is not None, "it is why it is acknowledged"
        by = f" ({yes.by})" if yes.by else ""
        yield f"      [{one.severity.value}] {one.words} at {one.labels.text()} · {one.key}", "dim"
        yield f"          until {moment(yes.until)} because {yes.because}{by}", "dim"
    if len(found) > shown:
        yield f"      and {len(found) - shown} more; --json lists them all", "dim"


def _by(one: Tracked) -> str:
    return f", by {one.actor.who} at {moment(one.actor.at)}" if one.actor is not None else ""


def _colour(grade: Severity) -> str:
    return "bad" if grade in (Severity.CRITICAL, Severity.HIGH) else "warn"


def _first(names: tuple[str, ...], most: int) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"

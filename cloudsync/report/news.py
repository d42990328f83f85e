"""What people have not been told yet: a story compared with what was told before. Pure; the same for mail and hooks.

News is a difference of levels, not an event: a run that died before it could tell loses nothing, the next one sees the same difference.
What was told is a `Ledger`; who tells writes it down together with the messages, in one step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import Enum

from cloudsync.model.quick import dataclass
from cloudsync.proof.drift import Severity
from cloudsync.report.lifecycle import RANKS
from cloudsync.report.story import Deed, Expiring, Made, State, Story, Tracked, Trouble

OPEN = (State.NEW, State.CHANGED, State.ONGOING)
GROWN_S = 3600.0
"""More workloads behind a finding that is told are news once an hour: a group that scales is no reason for twelve mails."""
LAST_CALL_S = 2 * 86400.0
"""A rule that ends is told when it comes into sight, and once more this long before its end."""
DIGEST_HOUR = 6
"""UTC, on the day of the weekly summary."""
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class What(Enum):
    """What happened to a finding."""

    NEW = "new"
    CHANGED = "changed"
    AGAIN = "open again"
    """It was told as put right, and is not."""
    FIGHT = "keeps coming back"
    ONGOING = "ongoing"
    """In reports that somebody asked for: no news."""
    RESTORED = "put back"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Item:
    """One finding with what happened to it. `thread`: Message-IDs of earlier mails about it, by audience."""

    what: What
    finding: Tracked
    thread: tuple[tuple[str, str], ...] = ()

    @property
    def over(self) -> bool:
        """Tell whether nothing of it stands open now."""
        return self.what in (What.RESTORED, What.RESOLVED) or self.finding.deed is Deed.RESTORED


@dataclass(frozen=True, slots=True)
class News:
    """All that is to be told. Findings stand worst first, what is over last."""

    items: tuple[Item, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    expiring: tuple[Expiring, ...] = ()
    applied: tuple[Made, ...] = ()
    digest: bool = False

    def __bool__(self) -> bool:
        """Tell whether there is anything."""
        return bool(self.items or self.troubles or self.expiring or self.applied or self.digest)

    def of(self, events: frozenset[str], owner: str = "") -> News:
        """Return the part that somebody wants: by the events of the settings, and for an owner of rulesets what concerns these alone."""
        items = tuple(one for one in self.items if "drift" in events and (not owner or owner in one.finding.owners))
        troubles = tuple(one for one in self.troubles if not owner and _event(one) in events)
        expiring = tuple(one for one in self.expiring if "expiring" in events and (not owner or one.owner == owner))
        applied = self.applied if "applied" in events and not owner else ()
        return News(items, troubles, expiring, applied, digest=self.digest and "digest" in events and not owner)


def _event(one: Trouble) -> str:
    return "failed" if one.what == "overdue" else one.what


@dataclass(frozen=True, slots=True)
class Told:
    """A finding as it was told last. `over`: told as put right; `accepted`: acknowledged, so nothing is said until that ends."""

    finding: Tracked
    at: float
    over: bool = False
    accepted: bool = False
    thread: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Ledger:
    """What people know. Times are UTC seconds since the epoch."""

    run: str = ""
    at: float = 0.0
    findings: tuple[Told, ...] = ()
    troubles: tuple[tuple[str, str, float], ...] = ()
    """Target, `refused`, `failed` or `overdue`, and since when."""
    expiring: tuple[tuple[str, float, bool], ...] = ()
    """Rule, its end, and whether the last call was told."""
    digest: str = ""
    """ISO day of the last weekly summary, or of the first run."""

    def threaded(self, audience: str, message: str, keys: Iterable[str]) -> Ledger:
        """Return the ledger with the first mail of every finding that had none for this audience."""
        fresh = set(keys)
        return replace(
            self,
            findings=tuple(
                replace(one, thread=(*one.thread, (audience, message)))
                if one.finding.key in fresh and audience not in dict(one.thread)
                else one
                for one in self.findings
            ),
        )


def advance(story: Story, before: Ledger, *, digest_day: str = "never") -> tuple[News, Ledger]:
    """Return what is news in a story, and what is known once it is told. A story that was told, or is older than the last, has none."""
    if (story.run_id and story.run_id == before.run) or story.at < before.at:
        return News(), before
    items, findings = _findings(story, before)
    troubles, bad = _troubles(story, before)
    expiring, ends = _expiring(story, before)
    due, day = _digest(story, before, digest_day)
    applied = tuple(one for one in story.history if one.run_id == story.run_id) if story.report is not None else ()
    news = News(tuple(sorted(items, key=_order)), troubles, expiring, applied, digest=due)
    return news, Ledger(story.run_id, story.at, findings, bad, ends, day)


def snapshot(story: Story) -> News:
    """Return a whole story as something to tell: for reports that somebody asks for."""
    words = {State.NEW: What.NEW, State.CHANGED: What.CHANGED, State.ONGOING: What.ONGOING}
    items = [Item(words[one.state], one) for one in story.open]
    return News(tuple(sorted(items, key=_order)), story.troubles, story.expiring)


def _order(one: Item) -> tuple[bool, bool, int, str, str]:
    finding = one.finding
    return one.what is What.RESOLVED, one.over, RANKS[finding.severity], finding.target, finding.key


# --- findings --------------------------------------------------------------------------------------------------------


def _findings(story: Story, before: Ledger) -> tuple[list[Item], tuple[Told, ...]]:
    known = {one.finding.key: one for one in before.findings}
    items: list[Item] = []
    told: list[Told] = []
    for finding in story.findings:
        was = known.pop(finding.key, None)
        if was is not None and was.finding.first_seen != finding.first_seen:
            was = None  # the end of that episode went by unseen; this one has a beginning of its own
        what, now = _one(finding, was, story.at)
        if what is not None:
            items.append(Item(what, finding, was.thread if was is not None else ()))
        if now is not None:
            told.append(now)
    targets = {one.name for one in story.targets}
    # What is no longer there went in a run that could not tell it.
    gone = [one for one in known.values() if one.finding.target in targets and not (one.over or one.accepted or one.finding.flapping)]
    items += [Item(What.RESOLVED, replace(one.finding, state=State.RESOLVED, why="", advice=""), one.thread) for one in gone]
    return items, tuple(sorted(told, key=lambda one: one.finding.key))


def _one(finding: Tracked, was: Told | None, at: float) -> tuple[What | None, Told | None]:
    """Return what to tell of a finding, and what is known of it then; None where there is nothing."""
    bare = replace(finding, content=None)
    if finding.state is State.RESOLVED:
        silent = was is None or was.over or was.accepted or was.finding.flapping
        return (None if silent else What.RESOLVED), None
    if finding.state is State.ACKNOWLEDGED:
        return None, replace(was, accepted=True) if was is not None else Told(bare, at, accepted=True)
    if finding.quiet:
        return None, was
    over = finding.deed is Deed.RESTORED
    what = _happened(finding, was, at, over=over)
    if what is None:
        return None, was
    return what, Told(bare, at, over, accepted=False, thread=was.thread if was is not None else ())


def _happened(finding: Tracked, was: Told | None, at: float, *, over: bool) -> What | None:
    if was is None:
        return What.NEW
    if finding.flapping and not was.finding.flapping:
        return What.FIGHT
    if was.over and not over:
        return What.AGAIN
    worse = RANKS[finding.severity] < RANKS[was.finding.severity]
    grown = not set(finding.workloads) <= set(was.finding.workloads) and at - was.at >= GROWN_S
    if was.accepted or worse or grown or finding.packets != was.finding.packets:
        return What.CHANGED
    return What.RESTORED if over and not was.over else None


# --- the rest --------------------------------------------------------------------------------------------------------


def _troubles(story: Story, before: Ledger) -> tuple[tuple[Trouble, ...], tuple[tuple[str, str, float], ...]]:
    known = {(target, what): since for target, what, since in before.troubles}
    bad = {(one.target, one.what): one for one in story.troubles if one.what != "recovered"}
    good = {one.target: one for one in story.troubles if one.what == "recovered"}
    standing = {one.name: one for one in story.targets}
    fresh = [one for key, one in bad.items() if one.new or key not in known]
    kept = {key: one.since for key, one in bad.items()}
    for (target, what), since in known.items():
        if (target, what) in kept or target not in standing:
            continue
        if standing[target].state == what:
            kept[target, what] = since  # this run did not look at it
            continue
        if what != "overdue" and any(name == target for name, _ in kept):
            continue  # from bad to bad: the other is told
        good.setdefault(target, Trouble(target, "recovered", f"was {what} since {_minute(since)}", story.at))
    recovered = [one for one in good.values() if one.new]
    order = ("failed", "refused", "overdue", "recovered")
    listed = sorted((*fresh, *recovered), key=lambda one: (order.index(one.what), one.target))
    return tuple(listed), tuple(sorted((target, what, since) for (target, what), since in kept.items()))


def _minute(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _expiring(story: Story, before: Ledger) -> tuple[tuple[Expiring, ...], tuple[tuple[str, float, bool], ...]]:
    known = {(rule, until): last for rule, until, last in before.expiring}
    fresh: list[Expiring] = []
    kept: list[tuple[str, float, bool]] = []
    for one in story.expiring:
        last = one.until - story.at <= LAST_CALL_S
        name = one.written or one.rule
        told = known.get((name, one.until), known.get((one.rule, one.until)))  # ledgers of earlier releases hold numbers
        if told is None or (last and not told):
            fresh.append(one)
        kept.append((name, one.until, last))
    return tuple(sorted(fresh, key=lambda one: (one.until, one.rule))), tuple(sorted(kept))


def _digest(story: Story, before: Ledger, weekday: str) -> tuple[bool, str]:
    """Return whether the weekly summary is due, and the day to remember. The first run begins the first week."""
    now = datetime.fromtimestamp(story.at, UTC)
    if not before.digest or weekday not in WEEKDAYS:
        return False, before.digest or now.date().isoformat()
    began = now - timedelta(hours=DIGEST_HOUR)
    day = (began - timedelta(days=(began.weekday() - WEEKDAYS.index(weekday)) % 7)).date().isoformat()
    return (True, day) if day > before.digest else (False, before.digest)


def counted(items: Iterable[Item]) -> Iterator[tuple[int, str]]:
    """Yield how many there are that are critical, high and minor, worst first, none left out."""
    found = [one.finding.severity for one in items]
    for severity in (Severity.CRITICAL, Severity.HIGH):
        if severity in found:
            yield found.count(severity), severity.value
    minor = sum(one not in (Severity.CRITICAL, Severity.HIGH) for one in found)
    if minor:
        yield minor, "minor"

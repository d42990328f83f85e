"""What happened and how bad, in one sentence; what stands open comes first. Every form of report begins with it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from cloudsync.model.quick import dataclass
from cloudsync.proof.drift import Kind, Severity
from cloudsync.report.story import Deed, Story, Tracked

MEANT = {
    Kind.EXCESS: "open, but not in the policy",
    Kind.MISSING: "in the policy, but cut",
    Kind.SHADOW: "open through rules that are not ours",
    Kind.SHADOW_DENY: "in the policy, but cut by rules that are not ours",
    Kind.WOULD_BLOCK: "would be blocked in mode full",
    Kind.WOULD_OPEN: "would be opened in mode full",
}
"""What a kind of finding means to somebody who does not know the words of this program."""

DONE = {
    Deed.NOTHING: "only reported",
    Deed.RESTORED: "put back as the policy has it",
    Deed.LEFT: "left as it is",
    Deed.REFUSED: "refused to change it",
    Deed.FAILED: "tried, and failed",
}
"""What cloudsync did, in words."""

BAD_STATES = ("refused", "failed")


class Tone(Enum):
    """How loud a headline is."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Headline:
    """The sentence, and how bad it is."""

    text: str
    tone: Tone
    asides: tuple[str, ...] = ()
    """What else has to be known, in a few words each."""

    @property
    def whole(self) -> str:
        """All of it in one line."""
        return "; ".join((self.text, *self.asides))


def standing(story: Story) -> tuple[Tracked, ...]:
    """Return the findings that are there now: nobody accepted them, and this run did not put them right."""
    return tuple(one for one in story.open if one.deed is not Deed.RESTORED)


def restored(story: Story) -> tuple[Tracked, ...]:
    """Return the findings that this run put right."""
    return tuple(one for one in story.open if one.deed is Deed.RESTORED)


def severities(found: Iterable[Tracked]) -> dict[Severity, int]:
    """Return how many findings there are of each severity, worst first, none left out."""
    listed = list(found)
    return {one: sum(finding.severity is one for finding in listed) for one in Severity}


def counted(number: int, noun: str) -> str:
    """Return `1 finding`, `2 findings`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def listed(words: Iterable[str]) -> str:
    """Return `a, b and c`."""
    found = list(words)
    return " and ".join(filter(None, (", ".join(found[:-1]), found[-1]))) if found else ""


def headline(story: Story) -> Headline:
    """Return what a person reads first. Peace is claimed only of what was read."""
    open_now, put_back = standing(story), restored(story)
    silent = [one for one in story.targets if one.state == "failed"]
    refused = [one for one in story.targets if one.state == "refused"]
    asides: list[str] = []
    if put_back:
        asides.append(f"{len(put_back)} put back by this run")
    if refused:
        asides.append(f"{counted(len(refused), 'target')} refused")
    if silent:
        asides.append(f"{counted(len(silent), 'target')} not read")
    if open_now:
        counts = [f"{count} {severity.value}" for severity, count in severities(open_now).items() if count]
        worst = min(list(Severity).index(one.severity) for one in open_now)
        what = f"{listed(counts)} finding{'' if len(open_now) == 1 else 's'} open"
        return Headline(what, Tone.BAD if worst <= list(Severity).index(Severity.HIGH) else Tone.WARN, tuple(asides))
    if not story.targets or all(one.good is None for one in story.targets):
        return Headline("Nothing was verified yet", Tone.WARN, tuple(asides))
    if story.unchecked or silent or refused:
        return Headline("Nothing is known to be open in what was read", Tone.WARN, tuple(asides))
    where = "the target" if len(story.targets) == 1 else f"all {len(story.targets)} targets"
    return Headline(f"Enforced = policy on {where}", Tone.GOOD, tuple(asides))


def subject(one: Tracked) -> str:
    """Return whom a finding is about: `9 workloads app=ordering env=prod role=db`."""
    return f"{counted(len(one.workloads), 'workload')} {one.labels.text()}"


def way(one: Tracked) -> str:
    """Return the word between the packets and the workloads."""
    return "to" if one.direction == "inbound" else "sent by"

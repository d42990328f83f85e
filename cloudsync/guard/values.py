"""What a guard says, and what a person may answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from shlex import quote
from typing import Protocol

from cloudsync.model.quick import dataclass
from cloudsync.plan.document import target_digest
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.values import TargetPlan, TouchedPoint

SHOWN = 10
"""How many objects a refusal lists."""
DIGITS = 16
"""Hex digits of a digest in a command line; the stored approval holds all of them."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One guard's no. `approve` is the command that overrides it for this plan only, empty where nothing can.

    `must_name`: what an approval has to repeat word for word, so that nobody approves a loss unread.
    """

    guard: str
    target: str
    scope: str
    message: str
    objects: tuple[str, ...] = ()
    more: int = 0
    """Objects beyond those listed."""
    approve: str = ""
    must_name: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the refusal for people: guard, place, number and limit, first objects, the command."""
        lines = [f"REFUSED {self.guard} {self.target}" + (f" {self.scope}" if self.scope else "") + f": {self.message}"]
        lines.extend(f"    {name}" for name in self.objects)
        if self.more:
            lines.append(f"    and {self.more} more")
        if self.approve:
            lines.append(f"    if that is right:  {self.approve}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Approval:
    """A stored yes: this guard, this digest, until then (UTC seconds since the epoch). There is no wider one."""

    digest: str
    target: str
    guard: str
    who: str
    because: str
    until: float
    names: tuple[str, ...] = ()
    created: float = 0.0


class Guard(Protocol):
    """Every guard module's `check`."""

    def __call__(self, plan: TargetPlan, limits: GuardLimits) -> Iterator[Refusal]:
        """Yield what speaks against a plan."""


@dataclass(frozen=True, slots=True)
class About:
    """Where a refusal applies and how it may be overridden: `names` must be repeated in the approval."""

    scope: str = ""
    approvable: bool = False
    names: tuple[str, ...] = ()


FINAL = About()
"""The whole target, and nothing overrides it."""


def refusal(plan: TargetPlan, guard: str, message: str, objects: Iterable[str] = (), about: About = FINAL) -> Refusal:
    """Return a refusal, with the approve command where one helps. Objects are listed in the order they come."""
    listed = tuple(objects)
    command = approve_command(target_digest(plan), guard, about.names) if about.approvable else ""
    return Refusal(guard, plan.target, about.scope, message, listed[:SHOWN], max(0, len(listed) - SHOWN), command, about.names)


def titled(point: TouchedPoint) -> str:
    """Return a workload for people: its name and labels."""
    return f"{point.name} ({point.labels.text()})" if point.labels else f"{point.name} (no label)"


def approve_command(digest: str, guard: str, names: Iterable[str] = ()) -> str:
    """Return the command line that approves one guard for one plan; it works as printed."""
    named = "".join(f" --names {quote(name)}" for name in names)
    return f'cloudsync approve {digest[:DIGITS]} --guard {guard}{named} --until 24h --because "checked by hand"'


def counted(number: int, noun: str) -> str:
    """Return `1 point`, `2 points`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def share(part: int, whole: int) -> str:
    """Return a percentage for people, e.g. `76 %`."""
    return f"{part * 100 // whole} %" if whole else "all"

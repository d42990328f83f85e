"""Weeks of counts as lines to draw: by target and by label. Geometry only; the page draws it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date

from cloudsync.model.quick import dataclass
from cloudsync.report.story import Mark

WIDTH, HEIGHT = 320, 110
LEFT, RIGHT, TOP, BOTTOM = 26, 8, 10, 18
GAP_DAYS_MAX = 2
"""Days without a run beyond this break the line: nothing is known of them."""


@dataclass(frozen=True, slots=True)
class Point:
    """One day on the chart."""

    x: float
    y: float
    day: str
    value: int


@dataclass(frozen=True, slots=True)
class Line:
    """One count over time; `path` and `area` are SVG paths."""

    name: str
    points: tuple[Point, ...]
    path: str
    area: str

    @property
    def last(self) -> int:
        """The newest value."""
        return self.points[-1].value

    @property
    def first(self) -> int:
        """The oldest value."""
        return self.points[0].value


@dataclass(frozen=True, slots=True)
class Chart:
    """Findings, exposed workloads and critical findings of one target or label, over the same days."""

    name: str
    findings: Line
    exposed: Line
    found: tuple[Point, ...]
    """Days on which findings were new, with how many: what was put back at once stands in no other line."""
    critical: tuple[Point, ...]
    """Days with critical findings, on the line of findings."""
    top: int
    """The value at the upper edge."""
    first_day: str
    last_day: str
    enforced: int
    workloads: int
    enforced_before: int
    workloads_before: int

    @property
    def share(self) -> int:
        """Percentage of workloads that are enforced now."""
        return self.enforced * 100 // self.workloads if self.workloads else 0

    @property
    def share_before(self) -> int:
        """The same on the first day."""
        return self.enforced_before * 100 // self.workloads_before if self.workloads_before else 0


def by_target(marks: Iterable[Mark]) -> tuple[Chart, ...]:
    """Return one chart for each target, in the order in which they come."""
    listed = [one for one in marks if not one.label]
    names = dict.fromkeys(one.target for one in listed)
    return tuple(_chart(name, [one for one in listed if one.target == name]) for name in names)


def by_label(marks: Iterable[Mark]) -> tuple[Chart, ...]:
    """Return one chart for each label over all targets, in the order of the labels."""
    listed = [one for one in marks if one.label]
    return tuple(_chart(name, [one for one in listed if one.label == name]) for name in sorted({one.label for one in listed}))


def _chart(name: str, marks: list[Mark]) -> Chart:
    days = _days(marks)
    first, last = min(days), max(days)

    def counts(pick: Callable[[Mark], int]) -> list[tuple[str, int]]:
        return [(day, sum(map(pick, here))) for day, here in days.items()]

    findings, exposed = counts(lambda one: one.findings), counts(lambda one: one.exposed)
    found = [(day, sum(one.found for one in here if one.day == day)) for day, here in days.items()]
    top = _round(max(value for _, value in (*findings, *exposed, *found)))
    line = _line("findings", findings, first, last, top)
    critical = {day for day, count in counts(lambda one: one.critical) if count}
    return Chart(
        name,
        line,
        _line("exposed", exposed, first, last, top),
        tuple(point for point in _line("found", found, first, last, top).points if point.value),
        tuple(point for point in line.points if point.day in critical),
        top,
        first,
        last,
        sum(one.enforced for one in days[last]),
        sum(one.workloads for one in days[last]),
        sum(one.enforced for one in days[first]),
        sum(one.workloads for one in days[first]),
    )


def _days(marks: Iterable[Mark]) -> dict[str, list[Mark]]:
    """Return what is known on each day: a target that was not read that day stands as it was read last."""
    known: dict[str, Mark] = {}
    days: dict[str, list[Mark]] = {}
    for one in sorted(marks, key=lambda mark: (mark.day, mark.target)):
        known[one.target] = one
        days[one.day] = list(known.values())
    return days


def _round(value: int) -> int:
    """Return a round number at or above a value, for the scale; at least 4, so that one finding is no mountain."""
    for step in (4, 10, 20, 50):
        if value <= step:
            return step
    return -(-value // 100) * 100


def _line(name: str, counts: list[tuple[str, int]], first: str, last: str, top: int) -> Line:
    start = date.fromisoformat(first)
    span = max(1, (date.fromisoformat(last) - start).days)
    floor = HEIGHT - BOTTOM
    points: list[Point] = []
    path: list[str] = []
    area: list[str] = []
    previous: date | None = None
    for day, value in counts:
        at = date.fromisoformat(day)
        x = round(LEFT + (WIDTH - LEFT - RIGHT) * (at - start).days / span, 1)
        y = round(floor - (floor - TOP) * value / top, 1)
        joined = previous is not None and (at - previous).days <= GAP_DAYS_MAX
        if not joined and points:
            area.append(f"V{floor}Z")
        path.append(f"{'L' if joined else 'M'}{x} {y}" + ("" if joined else "h0"))
        area.append(f"L{x} {y}" if joined else f"M{x} {floor}V{y}")
        points.append(Point(x, y, day, value))
        previous = at
    return Line(name, tuple(points), "".join(path), "".join((*area, f"V{floor}Z")))

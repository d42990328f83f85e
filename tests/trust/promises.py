"""What is promised, one target each, and what its figures must come to: the table of the campaign, as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.trust.figures import Figures


@dataclass(frozen=True, slots=True)
class Demand:
    """One number of a promise: the fields that make it up, over every part of the target whose name begins with `part`.

    Blanks and hyphens in the names of fields count as underscores. Negative controls (parts with `control` in their names) are there to
    find violations: they are left out, except where `controls` counts how many of them found some.

    `most`: more breaks the promise at any budget. `least`: fewer is only "not yet": smaller budgets do less. With `per` the number is
    a share in percent of what those fields come to.
    """

    label: str
    fields: tuple[str, ...]
    most: float | None = None
    least: float | None = None
    part: str = ""
    per: tuple[str, ...] = ()
    controls: bool = False

    def value(self, parts: Mapping[str, Figures]) -> float | None:
        """Return the number that the parts came to: added up, or the largest of `..._max` fields. None when no part has the field."""
        if self.controls:
            return self._controls(parts)
        number = self._sum(parts, self.fields)
        if not self.per or number is None:
            return number
        whole = self._sum(parts, self.per)
        return round(100 * number / whole, 2) if whole else None

    def _sum(self, parts: Mapping[str, Figures], fields: tuple[str, ...]) -> float | None:
        numbers = [
            value
            for name, figures in parts.items()
            if name.startswith(self.part) and not _is_control(name)
            for key, value in figures.items()
            if _plain(key) in fields and isinstance(value, int | float)
        ]
        if not numbers:
            return None
        return max(numbers) if all(field.endswith("_max") for field in fields) else sum(numbers)

    def _controls(self, parts: Mapping[str, Figures]) -> float | None:
        found = [figures for name, figures in parts.items() if _is_control(name)]
        caught = sum(any(_plain(key) in self.fields and value for key, value in figures.items()) for figures in found)
        more = self._sum(parts, ("controls_caught",))
        return None if not found and more is None else caught + (more or 0)


def _is_control(name: str) -> bool:
    return " control" in name


def _plain(field: str) -> str:
    return field.replace(" ", "_").replace("-", "_")


@dataclass(frozen=True, slots=True)
class Promise:
    """One target of the campaign."""

    name: str
    promised: str
    demands: tuple[Demand, ...]


def _none(label: str, *fields: str, part: str = "") -> Demand:
    return Demand(label, fields, most=0, part=part)


def _least(label: str, least: float, *fields: str, part: str = "") -> Demand:
    return Demand(label, fields, least=least, part=part)


PROMISES = (
    Promise(
        "T1",
        "every single fault at every call of four platforms, and pairs of faults, end converged, with nothing exposed and nothing cut",
        (_least("fault plans", 100_000, "runs", "plans"), _none("violations", "violations")),
    ),
    Promise(
        "T2",
        "simulated runs of the whole service from one seed, replayed byte for byte",
        (
            _least("scenarios", 10_000_000, "scenarios"),
            _least("simulated years", 100, "simulated_years"),
            _none("violations", "violations"),
        ),
    ),
    Promise(
        "T3",
        "no state between two policies opens what neither allows, or cuts what both allow; paths in series and lag included",
        (
            _least("states", 10_000_000, "states"),
            _none("exposed", "exposure", "exposed"),
            _none("cut", "outage", "cut"),
            Demand("negative controls that find violations", ("with_violations", "exposed", "cut"), least=5, controls=True),
        ),
    ),
    Promise(
        "T4",
        "killed at any instruction of apply and journal, the next run finishes and the audit trail has no gap",
        (
            _least("kills", 1, "points"),
            Demand("of all instructions, %", ("covered",), least=100, per=("bytecodes",)),
            _none("not converged", "not_converged"),
            _none("audit gaps", "audit_gaps"),
        ),
    ),
    Promise(
        "T5",
        "mistakes that we plant on purpose are noticed, each guard with the others off",
        (
            _least("planted", 60, "planted"),
            _none("not caught", "uncaught"),
            _least("guards that refuse alone", 10, "guards_alone"),
            _least("mutants", 1, "mutants", part="T5 mutation"),
            Demand("mutation score, %", ("killed",), least=95, part="T5 mutation", per=("killed", "survived")),
        ),
    ),
    Promise(
        "T6",
        "two writers, every interleaving: at most one write in flight overlaps, and the next run repairs it",
        (
            _least("interleavings", 1, "interleavings"),
            Demand("writes that overlap", ("overlap_max",), most=1),
            _none("wrong in the end", "wrong_end"),
        ),
    ),
    Promise(
        "T7",
        "nothing foreign is written, nobody is locked out, no write stays in doubt, a second run writes nothing",
        (
            _none("foreign writes", "foreign_writes"),
            _none("lockouts", "lockouts"),
            _none("in doubt", "writes_in_doubt"),
            _none("writes of the second run", "second_run_writes"),
        ),
    ),
    Promise(
        "T8",
        "guards refuse at most 1 % of legitimate changes",
        (_least("legitimate changes", 1_000, "changes"), Demand("refused, %", ("refused",), most=1, per=("changes",))),
    ),
    Promise(
        "T9",
        "bad input is a finding with its place: exact text, no traceback, no write, no secret shown",
        (
            _least("bad inputs", 200, "cases", part="T9 bad"),
            _none("wrong texts", "wrong", part="T9 bad"),
            _least("fuzz executions", 100_000_000, "executions", part="T9 fuzz"),
            _none("crashes", "crashes", part="T9 fuzz"),
            _none("secrets leaked", "leaked"),
        ),
    ),
    Promise(
        "T10",
        "a closed service, no unsafe call, every dependency pinned by hash",
        (
            Demand("systemd exposure", ("exposure_max",), most=1.5),
            _none("bandit, medium and above", "bandit_medium"),
            _none("not pinned by hash", "unpinned"),
        ),
    ),
    Promise(
        "T verify",
        "the independent checker rejects a plan in which any single compiled entry was altered",
        (_least("entries altered", 1, "altered"), _none("accepted although altered", "missed"), _none("false alarms", "false_alarms")),
    ),
)


def of_promise(promise: Promise, parts: Mapping[str, Figures]) -> dict[str, Figures]:
    """Return the parts that belong to a promise: `T1` and `T1 aws`, not `T10`."""
    return {name: figures for name, figures in parts.items() if name == promise.name or name.startswith(f"{promise.name} ")}


def told(promise: Promise, parts: Mapping[str, Figures]) -> str:
    """Return the numbers of a promise in words, in the order of its demands."""
    found = ((demand.label, demand.value(parts)) for demand in promise.demands)
    return " · ".join(f"{label} {number(value)}" for label, value in found if value is not None)


def verdict(promise: Promise, parts: Mapping[str, Figures], failed: Iterable[str] = ()) -> str:
    """Return `met`, `not yet` with what is missing, `MISSED` with what is wrong, `FAILED`, or `not run`."""
    if broken := sorted(failed):
        return f"FAILED: {', '.join(broken)}"
    if not parts:
        return "not run"
    values = [(demand, demand.value(parts)) for demand in promise.demands]
    over = [f"{one.label} {number(value)}" for one, value in values if value is not None and one.most is not None and value > one.most]
    if over:
        return f"MISSED: {', '.join(over)}"
    short = [_short(demand, value) for demand, value in values if value is None or (demand.least is not None and value < demand.least)]
    return f"not yet: {', '.join(short)}" if short else "met"


def _short(demand: Demand, value: float | None) -> str:
    if value is None:
        return f"{demand.label} not measured"
    return f"{demand.label} {number(value)} of {number(demand.least or 0)}"


def number(value: float) -> str:
    """Return a number as people read it."""
    return f"{value:,}" if isinstance(value, int) or value != int(value) else f"{int(value):,}"

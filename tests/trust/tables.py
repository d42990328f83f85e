"""The tables in the README and on the page about trust, made from the file of figures and from nothing else."""

from __future__ import annotations

from pathlib import Path

from tests.trust.figures import Figures
from tests.trust.parts import PARTS, ROOT
from tests.trust.promises import PROMISES, Promise, number, of_promise, told, verdict
from tests.trust.results import Result, figures_of

BEGIN = "<!-- trust figures: written by `make trust`, not by hand -->"
END = "<!-- end of trust figures -->"
README, PAGE = ROOT / "README.md", ROOT / "docs" / "trust.md"


def promises(results: dict[str, Result]) -> str:
    """Return the table of promises: what is promised, what it came to, whether that is enough, and where it was measured."""
    figures = figures_of(results)
    rows = ["| | promised | measured | verdict | run |", "|---|---|---|---|---|"]
    for promise in PROMISES:
        mine = of_promise(promise, figures)
        ran = [result for result in results.values() if _belongs(result, promise)]
        where = "; ".join(sorted({f"{one.budget}, {one.date[:10]}, {_short(one.commit)}" for one in ran}))
        said = "ran, and measured nothing" if ran and not mine and not _failed(ran) else verdict(promise, mine, _failed(ran))
        words = (promise.name, promise.promised, told(promise, mine) or "-", said, where or "-")
        rows.append("| " + " | ".join(words) + " |")
    return "\n".join(rows)


def _belongs(result: Result, promise: Promise) -> bool:
    return promise.name in next(part.promises for part in PARTS if part.name == result.part)


def _failed(results: list[Result]) -> list[str]:
    return [f"{one.part} {one.outcome}" for one in results if not one.passed]


def _short(commit: str) -> str:
    return commit[:10] + ("+" if commit.endswith("+") else "")


def parts(results: dict[str, Result]) -> str:
    """Return every figure of every part, with the command that prints it."""
    rows = ["| part | figures | outcome | seconds (of one core) | seed | command |", "|---|---|---|---|---|---|"]
    for part in PARTS:
        result = results.get(part.name)
        if result is None:
            rows.append(f"| {part.name} | - | not run | - | - | `make trust PART={part.name}` |")
            continue
        lines = "<br>".join(f"**{name}** {_words(figures)}" for name, figures in result.figures.items())
        took = f"{result.seconds:,.0f} ({result.cpu_s:,.0f})"
        rows.append(f"| {part.name} | {lines or '-'} | {result.outcome} | {took} | {result.seed} | `{result.command}` |")
    machines = sorted({result.machine for result in results.values()})
    return "\n".join([*rows, "", *(f"Measured on {machine}." for machine in machines)])


def _words(figures: Figures) -> str:
    return " · ".join(f"{name} {value if isinstance(value, str) else number(value)}" for name, value in figures.items())


def placed(text: str, table: str) -> str:
    """Return a page with the table between its marks. Raises ValueError when the marks are not there, once, in order."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end or BEGIN in tail:
        raise ValueError(f"the page has no place for the table: {BEGIN}")
    return f"{head}{BEGIN}\n\n{table}\n\n{END}{tail}"


def pages(results: dict[str, Result]) -> dict[Path, str]:
    """Return the pages as they should be."""
    wide = f"{promises(results)}\n\n{parts(results)}"
    return {README: placed(_read(README), promises(results)), PAGE: placed(_read(PAGE), wide)}


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")

"""`cloudsync diff [FROM [TO]]`: what differs in packets between two versions of the policy, the policy and reality, or two platforms."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloudsync.cli.exits import Exit
from cloudsync.cli.output import COMMAND_LINE, Output
from cloudsync.cli.progress import Bars

if TYPE_CHECKING:
    from cloudsync.adapter import Origin
    from cloudsync.app.compared import Platforms, Versions
    from cloudsync.proof.sides import Shift, Unlike

FOLDER, TARGET = ".", "@"
SHOWN = 8
"""How many parts, rules and names stand in a line of text; --json has all."""

_WHAT = (
    "a commit or a run (the policy as it was then), `.` (the files in the folder), or @TARGET (what a target really enforces); "
    "without any: the last commit and the folder; with one: that side and the folder"
)


def options(_verb: str, parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("sides", nargs="*", metavar="SIDE", help=_WHAT)
    parser.add_argument(
        "--offline", action="store_true", help="compare over the workloads of the last good run; no platform is contacted (policies only)"
    )


def run(chosen: argparse.Namespace, output: Output) -> int:
    """Compare. Exit code 0 when no packet differs, 2 when some do."""
    first, second = _sides(chosen.sides)
    root = Path(chosen.repository)
    real = [side.startswith(TARGET) for side in (first, second)]
    if any(real) and chosen.offline:
        raise _wrong("--offline looks at no platform, and a side is a target", "leave it out, or compare two versions of the policy")
    if all(real):
        return _platforms(root, (first, second), output)
    if any(real):
        return _reality(root, (first, second), output)
    return _versions(root, (first, second), output, offline=chosen.offline)


def _sides(given: list[str]) -> tuple[str, str]:
    match given:
        case []:
            return "HEAD", FOLDER
        case [one]:
            return one, FOLDER
        case [first, second] if first != second:
            return first, second
        case [first, _]:
            raise _wrong(f"both sides are '{first}'", "name two sides that can differ")
        case _:
            raise _wrong(f"{len(given)} sides; a difference has two", "cloudsync diff FROM TO")


def _wrong(message: str, hint: str) -> Exception:
    from cloudsync.model.errors import InputError
    from cloudsync.model.finding import Finding

    return InputError([Finding(COMMAND_LINE, "BAD-SIDE", message, hint)])


# --- two versions of the policy ----------------------------------------------------------------------------------------


def _versions(root: Path, sides: tuple[str, str], output: Output, *, offline: bool) -> int:
    from cloudsync.app.compared import versions

    with Bars(output) as bars:
        found = versions(root, sides, offline=offline, progress=bars)
    output.line(f"from policy {found.first}", "bold")
    output.line(f"  to policy {found.second}", "bold")
    for shift in found.shifts:
        output.line()
        for line, colour in _shift_lines(shift):
            output.line(line, *colour)
    output.line()
    over = f"{found.workloads} workload{'' if found.workloads == 1 else 's'}"
    since = " of the last good run" if found.remembered else ""
    if found.shifts:
        count = len({name for shift in found.shifts for name in shift.workloads})
        output.line(f"{len(found.shifts)} difference{'' if len(found.shifts) == 1 else 's'} at {count} of {over}{since}")
    else:
        output.line(f"no packet differs, compared over {over}{since}", "green")
    for name in found.unread:
        output.line(f"  target {name} could not be read: its workloads are those of the last good run", "yellow")
    output.document("diff", **_versions_document(found))
    return Exit.CHANGES if found.shifts else Exit.OK


def _shift_lines(shift: Shift) -> Iterator[tuple[str, tuple[str, ...]]]:
    outbound = shift.direction.value == "outbound"
    labels = shift.after.labels if shift.after.mode is not None else shift.before.labels
    yield f"{labels.text()}   {_few(shift.workloads, 4)}{', outbound' if outbound else ''}", ("bold",)
    yield from ((f"  {line}", ("yellow",)) for line in _standing(shift))
    closes = "only this stays open:" if shift.begins else "was open alone:" if shift.ends else ""
    yield from ((f"  + {part}", ("green",)) for part in _parts(shift.opens_words))
    if shift.opened_by:
        yield f"      because of {_rules(shift.opened_by)}", ("dim",)
    if closes and shift.closes_words:
        yield f"  {closes}", ()
    sign = "=" if shift.begins or shift.ends else "-"
    yield from ((f"  {sign} {part}", ("yellow",) if sign == "-" else ()) for part in _parts(shift.closes_words))
    if shift.let_by and sign == "-":
        yield f"      was let through by {_rules(shift.let_by)}", ("dim",)


def _standing(shift: Shift) -> Iterator[str]:
    """Yield what changes about how far they are enforced at all, in words."""
    before, after = shift.before, shift.after
    if before.labels != after.labels and None not in (before.mode, after.mode):
        yield f"labels: {before.labels.text()} -> {after.labels.text()}"
    if before.mode is None:
        yield "are not in the inventory of the first version"
    elif after.mode is None:
        yield "are not in the inventory of the second version"
    elif before.mode is not after.mode:
        yield f"mode: {before.mode.value} -> {after.mode.value}"
    if shift.begins:
        yield "come under the policy: what it does not open is cut from now on"
    elif shift.ends:
        yield "leave the policy: what the platform has decides alone again"


def _parts(words: tuple[str, ...]) -> Iterator[str]:
    yield from words[:SHOWN]
    if len(words) > SHOWN:
        yield f"and {len(words) - SHOWN} more; --json lists them all"


def _few(names: tuple[str, ...], most: int) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)} workload{'' if len(names) == 1 else 's'}: {', '.join(names[:most])}{more}"


def _rules(origins: tuple[Origin, ...]) -> str:
    from cloudsync.report.origins import origin_text

    more = f" and {len(origins) - SHOWN} more rules" if len(origins) > SHOWN else ""
    return ", ".join(map(origin_text, origins[:SHOWN])) + more


def _versions_document(found: Versions) -> dict[str, Any]:
    return {
        "what": "policies",
        "from": found.first,
        "to": found.second,
        "workloads": found.workloads,
        "remembered": found.remembered,
        "unread": list(found.unread),
        "differences": [_shift_document(one) for one in found.shifts],
    }


def _shift_document(shift: Shift) -> dict[str, Any]:
    from cloudsync.report.document import origin_document, packets_document

    return {
        "direction": shift.direction.value,
        "workloads": list(shift.workloads),
        "before": {"mode": shift.before.mode.value if shift.before.mode else None, "labels": dict(shift.before.labels.pairs)},
        "after": {"mode": shift.after.mode.value if shift.after.mode else None, "labels": dict(shift.after.labels.pairs)},
        "opens": packets_document(shift.opens),
        "closes": packets_document(shift.closes),
        "opened_by": [origin_document(one) for one in shift.opened_by],
        "let_through_before_by": [origin_document(one) for one in shift.let_by],
    }


# --- the policy and reality --------------------------------------------------------------------------------------------


def _reality(root: Path, sides: tuple[str, str], output: Output) -> int:
    """Show what a target really enforces against a version of the policy, as drift."""
    from cloudsync.app.compared import reality
    from cloudsync.app.grades import graded
    from cloudsync.cli.converge import drifted
    from cloudsync.cli.show import show
    from cloudsync.report.ages import Ages

    version, target = sides if sides[1].startswith(TARGET) else sides[::-1]
    with Bars(output) as bars:
        found = reality(root, version, target, bars)
    code, report = graded(found.report, lambda one: drifted(one, Ages(None)))
    show(report, output)
    return code


# --- two platforms -----------------------------------------------------------------------------------------------------


def _platforms(root: Path, sides: tuple[str, str], output: Output) -> int:
    from cloudsync.app.compared import platforms

    with Bars(output) as bars:
        found = platforms(root, sides, bars)
    first, second = (side.removeprefix(TARGET) for side in sides)
    one = found.likeness
    output.line(f"what {first} and {second} really let through for workloads with the same labels", "bold")
    for unlike in one.unlike:
        output.line()
        _tell_unlike(unlike, (first, second), output)
    output.line()
    if not one.shared:
        output.line("no labels that the policy speaks of are on both: nothing to compare", "yellow")
    else:
        output.line(f"{one.alike} of {one.shared} classes are treated alike", *(("green",) if one.alike == one.shared else ("yellow",)))
    output.document("diff", **_platforms_document(found, (first, second)))
    return Exit.CHANGES if one.unlike else Exit.OK


def _tell_unlike(unlike: Unlike, targets: tuple[str, str], output: Output) -> None:
    output.line(f"{unlike.labels.text()}{', outbound' if unlike.direction.value == 'outbound' else ''}", "bold")
    sides: Iterable[tuple[str, tuple[str, ...]]]
    if unlike.among:
        output.line(f"  not treated alike on {unlike.among} itself:", "yellow")
        sides = (("one lets through alone", unlike.first), ("another lets through alone", unlike.second))
    else:
        sides = ((f"only {targets[0]} lets through", unlike.first), (f"only {targets[1]} lets through", unlike.second))
    for title, parts in sides:
        if parts:
            output.line(f"  {title}:")
            for part in _parts(parts):
                output.line(f"    {part}", "yellow")
    at = [f"{name}: {_few(names, 3)}" for name, names in zip(targets, unlike.workloads, strict=True)]
    output.line(f"      {'; '.join(at)}", "dim")


def _platforms_document(found: Platforms, targets: tuple[str, str]) -> dict[str, Any]:
    return {
        "what": "platforms",
        "from": targets[0],
        "to": targets[1],
        "classes": found.likeness.shared,
        "alike": found.likeness.alike,
        "differences": [
            {
                "direction": one.direction.value,
                "labels": dict(one.labels.pairs),
                "among": one.among,
                "only_from": list(one.first),
                "only_to": list(one.second),
                "workloads": {targets[0]: list(one.workloads[0]), targets[1]: list(one.workloads[1])},
            }
            for one in found.likeness.unlike
        ],
    }

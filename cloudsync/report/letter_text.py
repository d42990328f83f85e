"""A letter for a terminal mail client: 78 columns, what matters on the first screen. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import wrap

from cloudsync.report.letter import Block, Day, Letter, Line, Row, weekday

WIDTH = 78
LABEL = 11
BARS = "▁▂▃▄▅▆▇█"


def text(letter: Letter) -> str:
    """Return the plain part of a mail."""
    return "\n".join(_lines(letter)) + "\n"


def _lines(letter: Letter) -> Iterator[str]:
    for sentence in letter.lead:
        yield from wrap(sentence, WIDTH)
    for block in letter.blocks:
        yield ""
        yield from _block(block)
    if letter.more:
        yield from ("", letter.more)
    if letter.open:
        yield from _section("All findings")
        yield from _overview(letter.open)
        if letter.left_out:
            yield f"  {letter.left_out}"
    if letter.targets:
        yield from _section("Targets")
        yield from _overview(letter.targets)
    if letter.unchecked:
        yield from _section("Not checked")
        for row in letter.unchecked:
            yield from wrap(f"{row.label}: {row.text}", WIDTH, initial_indent="  ", subsequent_indent="    ")
    if letter.trend:
        yield from _section("The last days" if len(letter.trend) < 10 else "The last weeks")
        yield from _trend(letter.trend)
    yield from ("", "-- ")
    for row in letter.foot:
        yield from _row(row, indent=0)


def _section(title: str) -> Iterator[str]:
    yield ""
    yield f"{title.upper()} {'─' * (WIDTH - len(title) - 1)}"


def _block(block: Block) -> Iterator[str]:
    mark = f"[{block.tag.upper()}] "
    state = f" ({block.mark})" if block.mark else ""
    yield from wrap(mark + block.title + state, WIDTH, subsequent_indent="  ")
    for row in block.rows:
        yield from _row(row)


def _row(row: Row, indent: int = 2) -> Iterator[str]:
    head = " " * indent + row.label.ljust(LABEL)
    if row.command:  # one line, however long: it is to be copied
        yield head.rstrip()
        yield f"    {row.text}"
        return
    yield from wrap(row.text, WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False) or [head.rstrip()]


def _overview(lines: Iterable[Line]) -> Iterator[str]:
    for line in lines:
        head = f"  {line.tag:9}"
        yield from wrap(line.title, WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False)
        yield from wrap(" · ".join(line.cells), WIDTH, initial_indent=" " * len(head), subsequent_indent=" " * len(head))


def _trend(days: tuple[Day, ...]) -> Iterator[str]:
    """Yield the days of a week in columns, or weeks as one bar for each day."""
    top = max(1, *(one.open or 0 for one in days))
    bars = [" " if one.open is None else BARS[min(len(BARS) - 1, one.open * len(BARS) // (top + 1))] for one in days]
    if len(days) > 10:
        yield f"  open      {''.join(bars)}  at most {top}"
        yield f"            {days[0].day} to {days[-1].day}: {sum(one.found for one in days)} new in all"
        return
    yield "  " + "".ljust(18) + "".join(f"{weekday(one.day)} {one.day[-2:]}".rjust(7) for one in days)
    yield "  " + "".ljust(18) + "".join(bar.rjust(7) for bar in bars)
    rows: tuple[tuple[str, list[int | None]], ...] = (
        ("open findings", [one.open for one in days]),
        ("new on that day", [one.found for one in days]),
        ("exposed workloads", [one.exposed for one in days]),
    )
    for name, values in rows:
        yield "  " + name.ljust(18) + "".join(("-" if one is None else str(one)).rjust(7) for one in values)

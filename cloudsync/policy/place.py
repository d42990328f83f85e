"""From an offset inside a YAML scalar back to the line and column a person sees in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import cached_property

from cloudsync.model.finding import Where
from cloudsync.model.quick import dataclass
from cloudsync.policy.strict import Scalar


class Source:
    """The raw text of one file; decoded and cut into lines only when a finding needs it."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    @cached_property
    def lines(self) -> list[str]:
        """The lines without their ends."""
        return self.content.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").split("\n")


Sources = Mapping[str, Source]


@dataclass(frozen=True, slots=True)
class Piece:
    """A scalar whose words have places of their own: a sentence, or one value of a long form."""

    scalar: Scalar
    sources: Sources = field(default_factory=dict, repr=False)

    @property
    def text(self) -> str:
        """The text, as YAML reads it."""
        return self.scalar.text

    def place(self, at: int) -> Where:
        """Return the place of the character at an offset: exact on one line, else found by following the letters."""
        where = self.scalar.where
        source = self.sources.get(where.file)
        start = where.col - 1 + self.scalar.quoted
        if source is None or where.line > len(source.lines):
            return Where(where.file, where.line, start + at + 1)
        if source.lines[where.line - 1].startswith(self.text, start):
            return Where(where.file, where.line, start + at + 1)
        return _follow(source.lines, where, self.text[: at + 1])


def _follow(lines: list[str], where: Where, text: str) -> Where:
    """Follow the visible letters of a text through the lines; the place of the last one, or the start when they part ways."""
    line, col = where.line - 1, where.col - 1
    found = where
    for letter in text:
        if letter.isspace():
            continue
        while line < len(lines):
            col = lines[line].find(letter, col)
            if col >= 0:
                break
            line, col = line + 1, 0
        else:
            return where
        found = Where(where.file, line + 1, col + 1)
        col += 1
    return found

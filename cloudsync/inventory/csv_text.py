"""Comma-separated text as cells with exact positions (RFC 4180: quotes double inside quotes, line breaks allowed there)."""

from __future__ import annotations

from cloudsync.model.finding import Finding, Where
from cloudsync.model.quick import dataclass

_BLANKS = (" ", "\t")


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell, blanks around it taken off unless quoted."""

    text: str
    where: Where


def read_rows(file: str, text: str) -> tuple[tuple[tuple[Cell, ...], ...], tuple[Finding, ...]]:
    """Return the rows that are not blank, and a finding for every quote that is out of place."""
    reader = _Reader(file, text)
    rows = []
    while not reader.at_end:
        row = reader.plain() or reader.row()
        if any(cell.text for cell in row) or len(row) > 1:
            rows.append(row)
    return tuple(rows), tuple(reader.findings)


class _Reader:
    def __init__(self, file: str, text: str) -> None:
        self.file, self.text, self.offset = file, text, 0
        self.line, self.start = 1, 0
        self.findings: list[Finding] = []

    @property
    def at_end(self) -> bool:
        return self.offset >= len(self.text)

    def _where(self) -> Where:
        return Where(self.file, self.line, self.offset - self.start + 1)

    def plain(self) -> tuple[Cell, ...]:
        """Return the row of a line without quotes, at once; nothing where a quote has to be looked at."""
        end = self.text.find("\n", self.offset)
        line = self.text[self.offset :] if end < 0 else self.text[self.offset : end]
        if '"' in line:
            return ()
        cells = []
        col = 1
        for part in line.split(","):
            blanks = len(part) - len(part.lstrip(" \t")) if part[:1] in _BLANKS else 0
            cells.append(Cell(part.strip(), Where(self.file, self.line, col + blanks)))
            col += len(part) + 1
        self.offset += len(line)
        self._line_break()
        return tuple(cells)

    def row(self) -> tuple[Cell, ...]:
        cells = [self._cell()]
        while not self.at_end and self.text[self.offset] == ",":
            self.offset += 1
            cells.append(self._cell())
        self._line_break()
        return tuple(cells)

    def _line_break(self) -> None:
        if not self.at_end:
            self.offset += 1
            self.line, self.start = self.line + 1, self.offset

    def _cell(self) -> Cell:
        while not self.at_end and self.text[self.offset] in " \t":
            self.offset += 1
        where = self._where()
        if not self.at_end and self.text[self.offset] == '"':
            return Cell(self._quoted(), where)
        return Cell(self._until_comma().strip(), where)

    def _until_comma(self) -> str:
        first = self.offset
        while not self.at_end and self.text[self.offset] not in ",\n":
            self.offset += 1
        return self.text[first : self.offset]

    def _quoted(self) -> str:
        opened = self._where()
        self.offset += 1
        parts: list[str] = []
        while not self.at_end:
            letter = self.text[self.offset]
            if letter == '"' and self.text[self.offset + 1 : self.offset + 2] != '"':
                self.offset += 1
                self._nothing_behind()
                return "".join(parts)
            self.offset += 2 if letter == '"' else 1
            parts.append(letter)
            if letter == "\n":
                self.line, self.start = self.line + 1, self.offset
        self.findings.append(Finding(opened, "CSV-QUOTE", "this quote is never closed", "file cut?"))
        return "".join(parts)

    def _nothing_behind(self) -> None:
        where = self._where()
        if self._until_comma().strip():
            self.findings.append(Finding(where, "CSV-QUOTE", "text behind a closing quote", "write a quote inside quotes twice"))

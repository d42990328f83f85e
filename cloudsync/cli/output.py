"""Printing: text for people, or one JSON document; nothing from outside is printed unescaped."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from cloudsync.model.finding import Finding, Severity, Where
from cloudsync.model.inert import inert

SCHEMA = "cloudsync/1"
"""Version of every JSON document this command line prints."""

COMMAND_LINE = Where("command line")
"""Where a finding about an argument stands; it has no line and column."""

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35", "bold": "1", "dim": "2"}


class Output:
    """Where a verb prints. With `json` only `document` reaches standard output; notes go to standard error."""

    def __init__(self, *, json: bool = False, quiet: bool = False, repository: str = ".") -> None:
        self.json = json
        self.quiet = quiet
        self.repository = repository
        self.terminal = sys.stdout.isatty()
        self.coloured = self.terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"

    def colour(self, text: str, *names: str) -> str:
        """Return text in colours on a terminal, as it is elsewhere."""
        if not self.coloured or not names:
            return text
        return "".join(f"\x1b[{_COLOURS[name]}m" for name in names) + text + "\x1b[0m"

    def command(self, verb: str, *words: str) -> str:
        """Return a command line to try next; it works as printed from the folder where this one was started."""
        from shlex import join

        place = ("-C", self.repository) if self.repository != "." else ()
        return join(("cloudsync", verb, *place, *words))

    def placed(self, command: str) -> str:
        """Return a printed `cloudsync VERB ...` with the repository of this command line put in."""
        from shlex import quote

        program, _, rest = command.partition(" ")
        verb, _, words = rest.partition(" ")
        if self.repository == "." or program != "cloudsync":
            return command
        return f"{program} {verb} -C {quote(self.repository)} {words}".rstrip()

    def line(self, text: str = "", *colours: str) -> None:
        """Print one line of the report; nothing in JSON mode."""
        if not self.json:
            self._write(sys.stdout, self.colour(inert(text), *colours))

    def lines(self, text: str) -> None:
        """Print several lines."""
        for one in text.splitlines():
            self.line(one)

    def raw(self, text: str) -> None:
        """Print a generated artefact (a schema, a role) exactly."""
        sys.stdout.write(text)

    def note(self, text: str) -> None:
        """Print a line about progress on standard error; nothing when quiet."""
        if not self.quiet and not self.json:
            self._write(sys.stderr, inert(text))

    def document(self, kind: str, **content: Any) -> None:  # noqa: ANN401 - JSON values
        """Print the one JSON document of a verb; nothing in text mode."""
        if self.json:
            print(json.dumps({"schema": SCHEMA, "kind": kind, **content}, indent=2, ensure_ascii=True))

    def findings(self, findings: Iterable[Finding], summary: str = "") -> None:
        """Print findings, or a JSON document of them."""
        listed = sorted(findings, key=lambda one: (one.where, one.code, one.message))
        if self.json:
            self.document("findings", findings=[finding_document(one) for one in listed], summary=summary)
            return
        for one in listed:
            self.finding(one)
        if summary:
            self.line(summary)

    def finding(self, one: Finding) -> None:
        """Print one finding as `file:line:col CODE message; hint`."""
        colour = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "blue"}[one.severity]
        place = one.where.file if one.where == COMMAND_LINE else str(one.where)
        text = f"{inert(place)} {self.colour(one.code, colour, 'bold')} {inert(one.message)}"
        self._write(sys.stdout, text + (f"; {inert(one.hint)}" if one.hint else ""))

    def error(self, text: str, *, code: str = "", hint: str = "") -> None:
        """Print why a verb stopped, on standard error (and as a document in JSON mode)."""
        self.document("error", code=code, message=text, hint=hint)
        self._write(sys.stderr, self.colour(inert(text), "red"))

    def bug(self, error: BaseException) -> None:
        """Say that this is our mistake, and keep the traceback where a person can find it."""
        import tempfile
        import traceback

        with tempfile.NamedTemporaryFile("w", prefix="cloudsync-bug-", suffix=".txt", delete=False, encoding="utf-8") as file:
            traceback.print_exception(error, file=file)
        self.document("error", code="BUG", message=f"{type(error).__name__}: {error}", hint=file.name)
        told = (
            f"BUG {type(error).__name__}: {error}; this is a mistake of ours, nothing further was written; the traceback is in {file.name}"
        )
        self._write(sys.stderr, self.colour(inert(told), "red"))

    @staticmethod
    def _write(stream: TextIO, text: str) -> None:
        print(text, file=stream)


def finding_document(one: Finding) -> dict[str, Any]:
    """Return a finding as JSON values."""
    return {
        "file": one.where.file,
        "line": one.where.line,
        "column": one.where.col,
        "code": one.code,
        "severity": one.severity.value,
        "message": one.message,
        "hint": one.hint,
    }

"""Findings: what is wrong with an input, where, and what to do; a user's mistake is a list of them, never the first exception."""

from __future__ import annotations

from enum import Enum

from cloudsync.model.quick import dataclass


class Severity(Enum):
    """How bad a finding is; an error ends a run with exit code 3 before anything is contacted."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, order=True)
class Where:
    """A place in an input file: path as the user would type it from the repository root, line and column counted from 1."""

    file: str
    line: int = 1
    col: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.col}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding; `code` is stable and can be searched for, `hint` says what to do."""

    where: Where
    code: str
    message: str
    hint: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        return f"{self.where} {self.code} {self.message}" + (f"; {self.hint}" if self.hint else "")

"""The mutants that no test can notice because they mean the same, each with the reason why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("equivalent.txt")


@dataclass(frozen=True, slots=True)
class Equivalents:
    """Reasons by the name of the mutant."""

    reasons: Mapping[str, str]

    @classmethod
    def read(cls, file: Path = FILE) -> Equivalents:
        """Read the list: a line with the reason, below it, indented, the mutants that it holds for."""
        reasons: dict[str, str] = {}
        reason = ""
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.startswith("    "):
                reasons[line.strip()] = reason
            elif line.strip() and not line.startswith("#"):
                reason = line.strip()
        return cls(reasons)

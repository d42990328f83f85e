"""The file of figures: what each part of the campaign last came to, with the commit, the day, the machine and the seed."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.trust.budget import Budget
from tests.trust.figures import Figures
from tests.trust.parts import PARTS, ROOT

FILE = ROOT / "docs" / "trust-figures.json"


@dataclass(frozen=True, slots=True)
class Result:
    """What one part came to. `outcome` is `passed`, `failed` or `hung`."""

    part: str
    outcome: str
    budget: str
    seed: int
    commit: str
    """The commit that was checked out; with `+` behind it when files differed from it."""
    date: str
    seconds: float
    cpu_s: float
    """Processor seconds of the part and of everything it started."""
    machine: str
    command: str
    figures: dict[str, Figures]

    @property
    def passed(self) -> bool:
        """Tell whether nothing failed."""
        return self.outcome == "passed"


def load(path: Path = FILE) -> dict[str, Result]:
    """Return the results by part; none where there is no file yet."""
    if not path.is_file():
        return {}
    return {one["part"]: Result(**one) for one in json.loads(path.read_text(encoding="utf-8"))["results"]}


def dump(results: dict[str, Result]) -> str:
    """Return the text of the file: parts in the order of the campaign."""
    ordered = [asdict(results[part.name]) for part in PARTS if part.name in results]
    return json.dumps({"results": ordered}, indent=1, ensure_ascii=False) + "\n"


def merged(before: dict[str, Result], now: Iterable[Result]) -> dict[str, Result]:
    """Return the results after a run. A smaller run that passed leaves the figures of a larger one; a failure always counts."""
    found = dict(before)
    for result in now:
        old = found.get(result.part)
        if old is None or not result.passed or not old.passed or _size(result) >= _size(old):
            found[result.part] = result
    return found


def _size(result: Result) -> int:
    return list(Budget).index(Budget(result.budget))


def figures_of(results: dict[str, Result]) -> dict[str, Figures]:
    """Return the figures of all parts of the campaign by their own names."""
    return {name: figures for result in results.values() for name, figures in result.figures.items()}


def commit() -> str:
    """Return the commit that is checked out, with `+` when the product or its tests differ from it; nothing outside git."""
    head = _git("rev-parse", "HEAD").strip()
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", "cloudsync", "adapters", "tests", "config").strip()
    return head + ("+" if head and changed else "")


def machine() -> str:
    """Return what ran it, in words; no names of hosts or people."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores of {_processor()}, {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""

"""The parts of the campaign: what each runs, and which promises its figures belong to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.trust.budget import Budget

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Part:
    """One run of tests, or of a program of ours, in a process of its own."""

    name: str
    promises: tuple[str, ...]
    tests: tuple[str, ...]
    """Files and folders below the root; a `*` stands for any text. What does not exist is left out."""
    program: str = ""
    """A module that a night and a release run instead of the tests: it does all of what a change only tries."""
    night: tuple[str, ...] = ()
    """More words for it in a night."""
    minutes: tuple[int, int, int] = (20, 240, 1_200)
    """After which a part counts as hanging, by budget."""

    def found(self) -> tuple[str, ...]:
        """Return the files and folders that there are, in order."""
        return tuple(str(path.relative_to(ROOT)) for pattern in self.tests for path in sorted(ROOT.glob(pattern)))

    def words(self, size: Budget) -> tuple[str, ...]:
        """Return the words behind `python -m`; none when there is nothing to run."""
        if self.program and size is not Budget.CHANGE:
            more = self.night if size is Budget.NIGHT else ()
            return (self.program, *more) if (ROOT / self.program.replace(".", "/") / "__main__.py").is_file() else ()
        tests = self.found()
        quick = ("-m", "not slow") if size is Budget.CHANGE else ()
        return ("pytest", "-q", "-s", "-p", "no:cacheprovider", "-p", "no:xdist", *quick, *tests) if tests else ()

    def patience_s(self, size: Budget) -> float:
        """Return the seconds after which the part is ended."""
        return 60.0 * self.minutes[list(Budget).index(size)]


_PROPERTY = "tests/property/test_"
PARTS = (
    Part("hygiene", ("T10",), ("tests/trust/test_trust_hygiene.py",)),
    Part("guards", ("T8", "T5"), (f"{_PROPERTY}guard_false_refusals.py", "tests/seeded/test_each_guard_alone.py")),
    Part("bad", ("T9",), ("tests/bad",)),
    Part("secrets", ("T9",), ("tests/security",)),
    Part("fuzz", ("T9",), ("tests/fuzz",), program="tests.fuzz"),
    Part("race", ("T6",), ("tests/race",)),
    Part("crash", ("T4",), ("tests/crash",)),
    Part("fleet", ("T4",), ("tests/fleet",)),
    Part("faults", ("T1", "T7"), ("tests/wire/test_fault_controls.py", "tests/wire/test_campaign_faults.py")),
    *(Part(f"faults-{name}", ("T1",), (f"tests/wire/test_fault_{name}.py",)) for name in ("aws", "gcp", "azure", "f5")),
    Part("sim", ("T2", "T7"), ("tests/sim/test_sim_[!tj]*.py",)),
    Part("states", ("T3",), ("tests/sim/test_sim_[tj]*.py", f"{_PROPERTY}course.py", f"{_PROPERTY}*_bands.py", f"{_PROPERTY}*_series.py")),
    Part("verify", ("T verify",), (f"{_PROPERTY}verify*.py",)),
    Part("seeded", ("T5",), ("tests/seeded/test_seeded_defects.py",), program="tests.seeded"),
    Part("mutation", ("T5",), ("tests/mutation",), program="tests.mutation", night=("--sample", "100")),
)


def chosen(word: str) -> Iterator[Part]:
    """Yield the parts that a word means: nothing is all of them, else the name of a part or of a promise. Raises ValueError."""
    found = [part for part in PARTS if word in ("", part.name) or word.upper() in (one.upper() for one in part.promises)]
    if not found:
        known = sorted({*(part.name for part in PARTS), *(one for part in PARTS for one in part.promises)})
        raise ValueError(f"no part {word!r}; there are {', '.join(known)}")
    yield from found

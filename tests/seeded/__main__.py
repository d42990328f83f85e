"""Plant every defect of the catalogue, two at a time, and print what caught it: `python -m tests.seeded [NAME...]`."""

from __future__ import annotations

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from subprocess import SubprocessError

from tests.seeded.catalogue import DEFECTS
from tests.seeded.planting import CONTROL_S, Defect, Outcome, make_copy, run_tests, try_defect
from tests.trust.figures import record

WORKERS = 2


def main(names: list[str]) -> int:
    """Return 0 when the healthy copy passes and every chosen defect is caught."""
    chosen = [defect for defect in DEFECTS if not names or defect.name in names]
    unknown = sorted(set(names) - {defect.name for defect in DEFECTS})
    if unknown or not chosen:
        print(f"no defect {', '.join(unknown)}")
        return 2
    with tempfile.TemporaryDirectory(prefix="seeded-") as folder:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(WORKERS):
            copies.put(make_copy(Path(folder) / str(number)))
        control = run_tests(copies.get(), sorted({test for defect in chosen for test in defect.tests}), CONTROL_S)
        copies.put(Path(folder) / "0")
        print(f"control: the copy without a defect {'passes' if control.passed else 'FAILS'} in {control.seconds:.0f} s", flush=True)
        if not control.passed:
            print(control.output)
            return 1
        with ThreadPoolExecutor(WORKERS) as pool:
            caught = sum(pool.map(lambda defect: _row(defect, copies), chosen))
    record("T5 seeded", {"planted": len(chosen), "caught": caught, "uncaught": len(chosen) - caught})
    print(f"{caught} of {len(chosen)} caught")
    return 0 if caught == len(chosen) else 1


def _row(defect: Defect, copies: SimpleQueue[Path]) -> bool:
    copy = copies.get()
    try:
        outcome = try_defect(copy, defect)
    except (AssertionError, OSError, SubprocessError) as error:
        print(f"{defect.name:44} FAILED TO RUN: {type(error).__name__}: {error}", flush=True)
        return False
    finally:
        copies.put(copy)
    print(f"{defect.name:44} {outcome.seconds:6.1f} s  {_caught_by(outcome)}", flush=True)
    return outcome.caught


def _caught_by(outcome: Outcome) -> str:
    if outcome.caught:
        return ", ".join(test.removeprefix("tests/") for test in outcome.failed)
    return f"NOT CAUGHT ({f'broken: {outcome.broken[0]}' if outcome.broken else f'exit {outcome.code}'})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Run the campaign and write its figures: `python -m tests.trust [--budget night] [--part T3] [--seed 7]`, or `--table` alone.

Parts run two at a time, each in a process of its own; a part that fails does not stop the others. What a part prints is in .trust/NAME.log.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from tests.trust import chunks, figures, results, tables
from tests.trust.budget import SEED, Budget
from tests.trust.parts import ROOT, Part, chosen
from tests.trust.promises import PROMISES, of_promise, told, verdict
from tests.trust.results import Result

LOGS = ROOT / ".trust"
LOOK_S = 0.1


def main(words: list[str]) -> int:
    """Return 0 when every part that ran passed and no promise is broken, 1 when not, 2 for words that mean nothing."""
    asked = _parser().parse_args(words)
    before = results.load()
    if asked.table:
        _write(before)
        return 0
    try:
        parts = _longest_first(chosen(asked.part), before)
    except ValueError as error:
        print(error)
        return 2
    size, seed = Budget(asked.budget), _seed(asked.seed, Budget(asked.budget))
    print(f"budget {size.value} · seed {seed} · {len(parts)} parts · logs in {LOGS.name}/", flush=True)
    LOGS.mkdir(exist_ok=True)
    with ThreadPoolExecutor(asked.workers) as pool:
        found = [one for one in pool.map(lambda part: _run(part, size, seed), parts) if one is not None]
    after = results.merged(before, found)
    if not asked.dry:
        results.FILE.write_text(results.dump(after), encoding="utf-8")
        _write(after)
    return _told(found)


def _longest_first(parts: Iterable[Part], before: dict[str, Result]) -> list[Part]:
    """Return parts by the processor time that they last took, so that none is left over alone at the end; unknown ones first."""
    return sorted(parts, key=lambda part: -before[part.name].cpu_s if part.name in before else float("-inf"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.trust")
    parser.add_argument("--budget", choices=[one.value for one in Budget], default=Budget.CHANGE.value)
    parser.add_argument("--part", default="", help="one part or one promise: crash, T3")
    parser.add_argument("--seed", type=int, default=0, help="what the campaigns draw from; a night and a release draw one of their own")
    parser.add_argument("--workers", type=int, default=2, help="parts at a time")
    parser.add_argument("--dry", action="store_true", help="print, and write neither figures nor tables")
    parser.add_argument("--table", action="store_true", help="run nothing; write the tables again from the file of figures")
    return parser


def _seed(asked: int, size: Budget) -> int:
    if asked:
        return asked
    return 1 if size is Budget.CHANGE else random.randrange(2, 1_000_000)


def _run(part: Part, size: Budget, seed: int) -> Result | None:
    """Run one part and return what it came to; None when there is nothing of it."""
    words = part.words(size)
    if not words:
        print(f"{part.name:10} not run: nothing of it is here", flush=True)
        return None
    print(f"{part.name:10} begins", flush=True)
    file = LOGS / f"{part.name}.figures"
    file.unlink(missing_ok=True)
    environment = {**os.environ, "CLOUDSYNC_TRUST": size.value, figures.FILE: str(file), SEED: str(seed), "PYTHONUNBUFFERED": "1"}
    environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{ROOT / 'adapters'}"  # this checkout, whatever is installed
    commit, started = results.commit(), time.monotonic()
    if size is not Budget.CHANGE and not commit.endswith("+"):  # a campaign of hours that was cut goes on where it was
        environment[chunks.FOLDER] = str(LOGS / "pieces" / f"{size.value}-{seed}-{commit}")
    outcome, cpu_s = _outcome(part, words, environment, part.patience_s(size))
    seconds = time.monotonic() - started
    found = figures.summed(file.read_text(encoding="utf-8").splitlines()) if file.is_file() else {}
    goal = "trust" if size is Budget.CHANGE else f"trust-{size.value}"
    result = Result(
        part=part.name,
        outcome=outcome,
        budget=size.value,
        seed=seed,
        commit=commit,
        date=datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        seconds=round(seconds, 1),
        cpu_s=round(cpu_s, 1),
        machine=results.machine(),
        command=f"make {goal} PART={part.name} SEED={seed}",
        figures=found,
    )
    print(f"{part.name:10} {outcome} in {seconds:.0f} s ({cpu_s:.0f} s of one core); again: {result.command}", flush=True)
    if not result.passed:
        print("\n".join(f"{part.name:10} | {line}" for line in _last_lines(LOGS / f"{part.name}.log")), flush=True)
    return result


def _outcome(part: Part, words: tuple[str, ...], environment: dict[str, str], patience_s: float) -> tuple[str, float]:
    """Run a part's process group to its end, or end it after the time it may take; return how it ended, and its processor time."""
    end = time.monotonic() + patience_s
    with (LOGS / f"{part.name}.log").open("wb") as log:
        run = subprocess.Popen(
            [sys.executable, "-m", *words], cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        hung = False
        try:
            while True:
                ended, status, used = os.wait4(run.pid, os.WNOHANG)
                if ended:
                    run.returncode = os.waitstatus_to_exitcode(status)
                    break
                if time.monotonic() > end and not hung:
                    hung = True
                    os.killpg(run.pid, signal.SIGKILL)
                time.sleep(LOOK_S)
        finally:
            if run.returncode is None:
                os.killpg(run.pid, signal.SIGKILL)
                os.waitpid(run.pid, 0)
                run.returncode = -signal.SIGKILL
    outcome = "hung" if hung else "passed" if run.returncode == 0 else "failed"
    return outcome, used.ru_utime + used.ru_stime


def _last_lines(log: Path, count: int = 15) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]


def _write(found: dict[str, Result]) -> None:
    for path, text in tables.pages(found).items():
        path.write_text(text, encoding="utf-8")


def _told(found: list[Result]) -> int:
    """Print what this run alone came to, promise by promise."""
    mine = results.figures_of({one.part: one for one in found})
    print()
    for promise in PROMISES:
        parts = of_promise(promise, mine)
        print(f"{promise.name:9} {verdict(promise, parts)}{'; ' if parts else ''}{told(promise, parts)}")
    broken = [promise.name for promise in PROMISES if verdict(promise, of_promise(promise, mine)).startswith("MISSED")]
    failed = [one.part for one in found if not one.passed]
    if failed or broken:
        print(f"\nfailed: {', '.join([*failed, *broken])}")
    return 1 if failed or broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

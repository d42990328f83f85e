"""Fuzz: `python -m tests.fuzz [--seconds 60] [--workers 2] [--seed 1] [TARGET...]`; each target has the seconds to itself.

Half of them go to inputs guided by coverage, where the library for it is installed, half to blind ones, which are many times as many.
Inputs that break something are written to .trust/fuzz; those that were mended live on in tests/fuzz/found.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Timer

from tests.fuzz.child import FOLDER
from tests.fuzz.loops import guided_is_possible
from tests.fuzz.targets import TARGETS
from tests.trust.budget import budget, seed
from tests.trust.figures import record
from tests.trust.parts import ROOT

_RUNS = re.compile(r"^(?:stat::number_of_executed_units:|executions)\s+(\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Ran:
    """What one target came to, in one way."""

    name: str
    executions: int
    cpu_s: float
    crashes: int
    """Inputs that broke it, and one more when the process did not end as it should."""


def main(words: list[str]) -> int:
    """Return 0 when no target broke."""
    asked = _parser().parse_args(words)
    unknown = sorted(set(asked.targets) - set(TARGETS))
    if unknown:
        print(f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
        return 2
    ways = ("guided", "blind") if guided_is_possible() else ("blind",)
    print(f"seed {asked.seed} · {asked.seconds} s for each target · {', '.join(ways)}", flush=True)
    jobs = [(name, way) for name in asked.targets or TARGETS for way in ways]
    with ThreadPoolExecutor(asked.workers) as pool:
        ran = list(pool.map(lambda job: _run(job[0], job[1], asked.seconds // len(ways), asked.seed), jobs))
    broken = sorted({one.name for one in ran if one.crashes})
    total, seconds = sum(one.executions for one in ran), sum(one.cpu_s for one in ran)
    print(f"{total:,} executions in {seconds:,.0f} s of one core; broken: {', '.join(broken) or 'none'}")
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--seconds", type=int, default=budget(20, 600, 1_800))
    parser.add_argument("--seed", type=int, default=seed())
    parser.add_argument("--workers", type=int, default=2)
    return parser


def _run(name: str, way: str, seconds: int, chosen: int) -> Ran:
    FOLDER.mkdir(parents=True, exist_ok=True)
    before = {path: path.stat().st_mtime_ns for path in FOLDER.glob(f"{name}-*")}
    log = FOLDER / f"{name}.{way}.log"
    words = [sys.executable, "-m", "tests.fuzz.child", name, way, str(seconds), str(chosen)]
    started = time.monotonic()
    with log.open("wb") as output:
        run = subprocess.Popen(words, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
        watchdog = Timer(seconds * 3 + 300, run.send_signal, (signal.SIGKILL,))
        watchdog.start()
        _, _, used = os.wait4(run.pid, 0)
        run.returncode = 0  # it was waited for
        watchdog.cancel()
    told = _RUNS.search(log.read_text(encoding="utf-8", errors="replace"))
    new = [path for path in FOLDER.glob(f"{name}-*") if before.get(path) != path.stat().st_mtime_ns]
    ran = Ran(name, int(told[1]) if told else 0, used.ru_utime + used.ru_stime, len(new) + (told is None))
    figures = {
        "executions": ran.executions,
        "crashes": ran.crashes,
        "cpu_s": round(ran.cpu_s, 1),
        "wall_s": round(time.monotonic() - started, 1),
    }
    record(f"T9 fuzz {name} {way}", figures)
    if ran.crashes:
        print(f"{name}: {', '.join(str(path) for path in new) or f'did not end as it should, see {log}'}", flush=True)
    return ran


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

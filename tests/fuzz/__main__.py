"""Fuzz: `python -m tests.fuzz [--seconds 60] [--workers 2] [--seed 1] [TARGET...]`; each target has the seconds to itself.

Inputs that break something are written to .trust/fuzz; those that were mended live on in tests/fuzz/found.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.fuzz.loops import Crashes, feed_blindly, feed_guided, guided_is_possible
from tests.fuzz.targets import TARGETS
from tests.trust.budget import budget, seed
from tests.trust.figures import record
from tests.trust.parts import ROOT

FOLDER = ROOT / ".trust" / "fuzz"
_RUNS = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_BLIND = re.compile(r"^executions (\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Ran:
    """What one target came to."""

    name: str
    executions: int
    seconds: float
    crashes: int
    whole: bool
    """The process ended by itself, with its number of executions told."""


def main(words: list[str]) -> int:
    """Return 0 when no target broke."""
    asked = _parser().parse_args(words)
    if asked.child:
        return _child(asked.child, asked.seconds, asked.seed)
    unknown = sorted(set(asked.targets) - set(TARGETS))
    if unknown:
        print(f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
        return 2
    how = "guided by coverage" if guided_is_possible() else "blind: atheris is not installed here"
    print(f"seed {asked.seed} · {asked.seconds} s for each target · {how}", flush=True)
    with ThreadPoolExecutor(asked.workers) as pool:
        ran = list(pool.map(lambda name: _run(name, asked.seconds, asked.seed), asked.targets or TARGETS))
    broken = [one.name for one in ran if one.crashes or not one.whole]
    total, seconds = sum(one.executions for one in ran), sum(one.seconds for one in ran)
    print(f"{total:,} executions in {seconds:,.0f} s of {len(ran)} targets; broken: {', '.join(broken) or 'none'}")
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--seconds", type=int, default=budget(20, 600, 1_800))
    parser.add_argument("--seed", type=int, default=seed())
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    return parser


def _run(name: str, seconds: int, chosen: int) -> Ran:
    FOLDER.mkdir(parents=True, exist_ok=True)
    before = set(FOLDER.glob(f"{name}-*"))
    words = [sys.executable, "-m", "tests.fuzz", "--child", name, "--seconds", str(seconds), "--seed", str(chosen)]
    started = time.monotonic()
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False, timeout=seconds * 3 + 300)
    output = done.stdout + done.stderr
    (FOLDER / f"{name}.log").write_text(output, encoding="utf-8")
    told = _RUNS.search(output) or _BLIND.search(output)
    crashes = len({path for path in FOLDER.glob(f"{name}-*") if path not in before or path.stat().st_mtime > time.time_ns()})
    ran = Ran(name, int(told[1]) if told else 0, time.monotonic() - started, crashes, told is not None)
    record(
        f"T9 fuzz {name}",
        {"executions": ran.executions, "crashes": crashes + (told is None), "seconds": round(ran.seconds, 1),
         "executions_per_s": round(ran.executions / ran.seconds, 1), "seed": str(chosen)},
    )  # fmt: skip
    if told is None:
        print("\n".join(output.splitlines()[-12:]), flush=True)
    return ran


def _child(name: str, seconds: int, chosen: int) -> int:
    crashes = Crashes(TARGETS[name], FOLDER)
    if guided_is_possible():
        feed_guided(crashes, chosen, seconds, FOLDER)
    else:
        end = time.monotonic() + seconds
        feed_blindly(crashes, chosen, lambda _: time.monotonic() < end)
        print(f"executions {crashes.executions}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

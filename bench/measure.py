"""Running whole processes and measuring them: wall, CPU and peak memory, alternating, with medians."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Run:
    """One process: seconds, and peak memory in MB."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    code: int
    out: str
    first_s: float = 0.0
    """From its start to its first byte at the platform; 0 where nobody looked."""
    first_cpu_s: float = 0.0


@dataclass(frozen=True)
class Series:
    """Several runs of one command."""

    name: str
    runs: tuple[Run, ...]

    @property
    def wall_s(self) -> float:
        return median(run.wall_s for run in self.runs)

    @property
    def cpu_s(self) -> float:
        return median(run.cpu_s for run in self.runs)

    @property
    def peak_mb(self) -> float:
        return max(run.peak_mb for run in self.runs)

    def line(self) -> str:
        walls = [run.wall_s for run in self.runs]
        spread = f"min {min(walls):.3f} max {max(walls):.3f}, {len(walls)} runs"
        return f"{self.name:<24} {self.wall_s:7.3f} s ({spread})  peak {self.peak_mb:.0f} MB"


UNFAIR = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONPATH")
"""Settings of whoever measures that would have every process compile its sources again, or find others."""


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a measured process."""
    return {name: value for name, value in os.environ.items() if name not in UNFAIR} | dict(more or {})


def once(
    command: Sequence[str], env: Mapping[str, str] | None = None, codes: Sequence[int] = (0,), watch: Callable[[int], None] | None = None
) -> Run:
    """Run one process to its end. Any other exit code than expected ends the benchmark with its output.

    `watch` is told its process id as soon as there is one.
    """
    started = time.perf_counter()
    with subprocess.Popen(list(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment(env)) as process:
        if watch is not None:
            watch(process.pid)
        assert process.stdout is not None
        out = process.stdout.read().decode("utf-8", "replace")
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    if process.returncode not in codes:
        sys.exit(f"benchmark stopped: {' '.join(command)} ended with {process.returncode}\n{out[-3000:]}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, process.returncode, out)


def alternating(names: Sequence[str], makers: Sequence[Callable[[], Run]], times: int) -> list[Series]:
    """Run every command in turn, `times` times, so that a noisy moment hits all of them."""
    found: list[list[Run]] = [[] for _ in makers]
    for _ in range(times):
        for at, make in enumerate(makers):
            found[at].append(make())
    return [Series(name, tuple(runs)) for name, runs in zip(names, found, strict=True)]

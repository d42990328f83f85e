"""Two ways to feed a target: blindly, from a seed that replays; and guided by coverage, in a process of its own, where atheris is there."""

from __future__ import annotations

import random
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.fuzz.mutate import blind
from tests.fuzz.values import Target

SLOW_S = 5.0
"""Processor time after which an input of at most twenty kilobytes counts as a bomb."""


def guided_is_possible() -> bool:
    """Tell whether the library for fuzzing by coverage is installed."""
    return find_spec("atheris") is not None


@dataclass(slots=True)
class Crashes:
    """What went wrong, one input for each place where it did."""

    target: Target
    folder: Path | None = None
    executions: int = 0
    inputs: dict[str, bytes] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)

    def feed(self, content: bytes) -> None:
        """Run the target on one input; keep it when it raises or takes too long."""
        self.executions += 1
        started = time.process_time()
        try:
            self.target.run(content)
        except Exception as error:  # noqa: BLE001 - that anything is raised is what we look for
            self._keep(content, error)
            return
        if time.process_time() - started > SLOW_S:
            self._keep(content, TimeoutError(f"{time.process_time() - started:.1f} s"))

    def _keep(self, content: bytes, error: Exception) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        last = next(
            (one for one in reversed(frames) if "/tests/" not in one.filename and "cloudsync" in one.filename),
            frames[-1] if frames else None,
        )
        place = f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}" if last else type(error).__name__
        if place in self.inputs and len(self.inputs[place]) <= len(content):
            return
        self.inputs[place], self.words[place] = content, str(error)[:300]
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / f"{self.target.name}-{sha256(place.encode()).hexdigest()[:10]}").write_bytes(content)

    def told(self) -> str:
        """Return what went wrong, one line each."""
        lines = [f"{self.target.name}: {place}: {self.words[place]}: {self.inputs[place][:200]!r}" for place in sorted(self.inputs)]
        return "\n".join(lines)


def feed_blindly(crashes: Crashes, seed: int, go_on: Callable[[int], bool]) -> None:
    """Feed a target seeds and mutations of them, while `go_on` says so of the number of executions so far."""
    seeds = crashes.target.seeds()
    for content in seeds:
        crashes.feed(content)
    make = blind(seeds, crashes.target.words, random.Random(f"{seed} {crashes.target.name}"))
    while go_on(crashes.executions):
        crashes.feed(make())


def feed_guided(crashes: Crashes, seed: int, seconds: int, folder: Path) -> None:
    """Feed a target by coverage for some seconds. The corpus in `folder` is kept, and grows from run to run.

    libFuzzer ends the process itself: what was found is written as it is found, and the number of executions at every step.
    """
    atheris: Any = import_module("atheris")
    corpus = folder / "corpus" / crashes.target.name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(crashes.target.seeds()):
        (corpus / f"seed-{number}").write_bytes(content)
    words = folder / f"{crashes.target.name}.dict"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in crashes.target.words), encoding="ascii")
    options = [
        *(f"-max_total_time={seconds}", f"-seed={seed}", "-timeout=25", "-rss_limit_mb=2048", "-max_len=20000", "-verbosity=0"),
        *("-print_final_stats=1", f"-dict={words}", f"-artifact_prefix={folder}/{crashes.target.name}-", str(corpus)),
    ]
    atheris.Setup([sys.argv[0], *options], crashes.feed)
    atheris.Fuzz()


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)

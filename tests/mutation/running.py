"""Runs mutants inside one pytest session: everything is imported and collected once, then each mutant lives in a forked child.

A child runs the tests that run the mutant's lines, those first that killed its neighbours, then the fastest; the first failure ends it.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import pytest

from tests.mutation.mutants import Mutant, mutants
from tests.mutation.planting import Module, forget, loaded_modules
from tests.mutation.tracing import lines_run

ROOT = Path(__file__).resolve().parent.parent.parent


class Fate(Enum):
    """What became of a mutant."""

    KILLED = "killed"
    """A test failed."""
    STUCK = "stuck"
    """It ran out of its time or memory, or took the process down: noticed as well."""
    SURVIVED = "survived"
    UNTESTED = "untested"
    """No test runs its lines."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A mutant's fate, and which test sealed it."""

    mutant: Mutant
    fate: Fate
    by: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a mutant may cost. Seconds of processor time, but for `wall_s`."""

    test_s: float = 2.0
    """A slower test takes no part, unless no other runs the line."""
    total_s: float = 6.0
    """So much of tests is run in vain before a mutant counts as a survivor."""
    grace_s: float = 10.0
    """Beyond what its tests need in health; afterwards it is stuck."""
    wall_s: float = 120.0
    memory: int = 4 << 30
    """Bytes of address space beyond those of the parent."""
    workers: int = 1


Tell = Callable[[str, int | None], None]
"""Takes a fate and the number of the test that sealed it."""


@dataclass(slots=True)
class Health:
    """What the tests do while nothing is wrong: how long each takes, and which lines it runs."""

    items: list[pytest.Item] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    by_line: dict[tuple[str, int], set[int]] = field(default_factory=dict)

    def add(self, item: pytest.Item, seconds: float, lines: Iterable[tuple[str, int]]) -> None:
        """Take in one test that passed."""
        number = len(self.items)
        self.items.append(item)
        self.seconds.append(seconds)
        for file, line in lines:
            self.by_line.setdefault((file, line), set()).add(number)

    def running(self, path: str, mutant: Mutant) -> set[int]:
        """Return the tests that a mutant can show itself to: whoever imports a module reads its constants and defaults."""
        if mutant.loaded:
            return set(range(len(self.items)))
        return set().union(*(self.by_line.get((path, line), ()) for line in range(mutant.first, mutant.last + 1)))


@dataclass(slots=True, eq=False)
class Campaign:
    """A pytest plugin that runs mutants instead of tests."""

    files: list[str]
    wanted: frozenset[str]
    """Names of the mutants to plant."""
    limits: Limits = field(default_factory=Limits)
    verdicts: list[Verdict] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    _health: Health = field(default_factory=Health)
    _failed: bool = False
    """Whether the last test failed."""
    _spoiled: bool = False
    """Whether the last test failed or was skipped."""
    _kills: dict[str, Counter[int]] = field(default_factory=dict)

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what is no clean pass."""
        self._failed |= report.failed
        self._spoiled |= report.failed or report.skipped

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run every test in health, then every mutant."""
        modules = loaded_modules(ROOT, self.files)
        self.troubles.extend(f"{file} is not imported by any test" for file in self.files if file not in modules)
        self._look(session, frozenset(str(module.path) for module in modules.values()))
        silent = session.config.pluginmanager.get_plugin("terminalreporter")
        session.config.pluginmanager.unregister(silent)
        gc.collect()
        gc.freeze()
        pool = _Pool(self.limits.workers)
        try:
            for module in modules.values():
                self._judge(module, pool)
        finally:
            pool.end()
        session.config.pluginmanager.register(silent, "terminalreporter")
        return True

    def _look(self, session: pytest.Session, files: frozenset[str]) -> None:
        for at, item in enumerate(session.items):
            following = session.items[at + 1] if at + 1 < len(session.items) else None
            self._spoiled = False
            began = _spent()
            with lines_run(files) as lines:
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if not self._spoiled:
                self._health.add(item, _spent() - began, lines)

    def _judge(self, module: Module, pool: _Pool) -> None:
        """Let every wanted mutant of a module live and die; the module as it is must survive, else its verdicts mean nothing."""
        chosen = [mutant for mutant in mutants(module.file, module.tree) if mutant.name in self.wanted]
        path = str(module.path)
        if any(mutant.loaded for mutant in chosen):
            tests = self._ordered(set(range(len(self._health.items))), ())
            pool.start(self._life(module, None, tests), self._control(module))
        for mutant in chosen:
            kills = (self._kills.setdefault(f"{module.file} {mutant.where}", Counter()), self._kills.setdefault(module.file, Counter()))
            tests = self._ordered(self._health.running(path, mutant), kills)
            if not tests:
                self.verdicts.append(Verdict(mutant, Fate.UNTESTED))
            else:
                pool.start(self._life(module, mutant, tests), self._heard(mutant, kills))
        pool.drain()

    def _control(self, module: Module) -> Tell:
        def heard(fate: str, by: int | None) -> None:
            if fate != Fate.SURVIVED.value:
                self.troubles.append(f"{module.file} loaded anew fails {self._name(by)}: its constants are judged too strictly")

        return heard

    def _heard(self, mutant: Mutant, kills: tuple[Counter[int], Counter[int]]) -> Tell:
        def heard(fate: str, by: int | None) -> None:
            if by is not None:
                for counter in kills:
                    counter[by] += 1
            self.verdicts.append(Verdict(mutant, Fate(fate), self._name(by)))
            if len(self.verdicts) % 200 == 0:
                print(f"{len(self.verdicts)} of {len(self.wanted)} mutants", file=sys.stderr, flush=True)

        return heard

    def _name(self, number: int | None) -> str:
        return "" if number is None else self._health.items[number].nodeid

    def _ordered(self, tests: set[int], kills: tuple[Counter[int], ...]) -> list[int]:
        """Return who is asked, in which order, within the limits."""
        seconds = self._health.seconds
        ordered = sorted(tests, key=lambda one: (*(-counter[one] for counter in kills), seconds[one], one))
        quick = [one for one in ordered if seconds[one] <= self.limits.test_s] or ordered[:1]
        kept: list[int] = []
        spent = 0.0
        for one in quick:
            if spent and spent + seconds[one] > self.limits.total_s:
                continue
            spent += seconds[one]
            kept.append(one)
        return kept

    def _life(self, module: Module, mutant: Mutant | None, tests: list[int]) -> Callable[[Tell], None]:
        """Return what a child does: plant, run tests, tell."""
        health = self._health
        allowed = sum(health.seconds[one] for one in tests) + self.limits.grace_s

        def live(tell: Tell) -> None:
            resource.setrlimit(resource.RLIMIT_CPU, (int(allowed) + 1, int(allowed) + 2))
            room = _address_space() + self.limits.memory
            resource.setrlimit(resource.RLIMIT_AS, (room, room))
            signal.setitimer(signal.ITIMER_REAL, self.limits.wall_s)
            forget()
            module.plant(mutant)  # one that cannot even be loaded ends the child, which then died without a word
            for at, number in enumerate(tests):
                following = health.items[tests[at + 1]] if at + 1 < len(tests) else None
                item = health.items[number]
                self._failed = False
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if self._failed:
                    tell(Fate.KILLED.value, number)
                    return
            tell(Fate.SURVIVED.value, None)

        return live


def _spent() -> float:
    """Return the processor seconds of this process and of those that it started: a busy machine makes no test slow."""
    return sum(os.times()[:4])


def _address_space() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
    return int(pages) * resource.getpagesize()


class _Pool:
    """Children, a few at a time; each tells its fate through a pipe, or dies without a word."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._living: dict[int, tuple[int, Tell]] = {}

    def end(self) -> None:
        """End every child that is left."""
        for child in self._living:
            _end_group(child)
        self.drain()

    def start(self, live: Callable[[Tell], None], heard: Tell) -> None:
        """Start a child as soon as there is room; `heard` is told its fate."""
        while len(self._living) >= self._size:
            self._reap()
        ear, mouth = os.pipe()
        child = os.fork()
        if not child:
            _live_and_die(live, mouth)
        os.close(mouth)
        self._living[child] = (ear, heard)

    def drain(self) -> None:
        """Wait for every child."""
        while self._living:
            self._reap()

    def _reap(self) -> None:
        child, _status = os.wait()
        ear, heard = self._living.pop(child)
        _end_group(child)
        with os.fdopen(ear, encoding="utf-8") as pipe:
            told = pipe.read()
        fate, by = json.loads(told) if told else (Fate.STUCK.value, None)
        heard(fate, by)


def _end_group(child: int) -> None:
    """End what a child started; it has a process group of its own."""
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        return


def _live_and_die(live: Callable[[Tell], None], mouth: int) -> None:
    def tell(fate: str, by: int | None) -> None:
        os.write(mouth, json.dumps([fate, by]).encode())

    try:
        os.setpgid(0, 0)
        live(tell)
    finally:
        os._exit(0)


def sorted_verdicts(verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
    """Yield verdicts in the order of the text."""
    yield from sorted(verdicts, key=lambda one: (one.mutant.file, one.mutant.line, one.mutant.name))

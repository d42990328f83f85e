"""A daemon on a simulated clock: hours pass while it sleeps, and things happen at their times."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cloudsync.app.daemon import People, Worker, worker
from cloudsync.app.reconcile import Deliver
from cloudsync.logs import Form, written
from cloudsync.report.story import Story
from cloudsync.service.loop import Daemon
from cloudsync.service.notify import Notify
from cloudsync.service.stopping import Stop
from cloudsync.service.vitals import Vitals
from tests.service.small_world import World


def least(low: float, high: float) -> float:
    del high
    return low


@dataclass
class Simulated:
    """The daemon of a world. `at`: what happens when, in seconds from the start of its clock."""

    world: World
    deliver: Deliver | None = None
    shout: Deliver | None = None
    look_s: float = 30.0
    at: list[tuple[float, Callable[[], object]]] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    """What a service manager was told."""
    stop: Stop = field(default_factory=Stop)
    work: Worker | None = None
    vitals: Vitals | None = None

    def after(self, seconds: float, what: Callable[[], object]) -> None:
        """Let something happen so long after now."""
        self.at.append((self.world.clock.monotonic() + seconds, what))
        self.at.sort(key=lambda one: one[0])

    def passed(self, _seconds: float) -> None:
        """Let everything happen whose time has come."""
        self.world.clock.slept.clear()
        for platform in self.world.platforms.values():
            platform._views.clear()
        while self.at and self.at[0][0] <= self.world.clock.monotonic():
            self.at.pop(0)[1]()

    def run(self, seconds: float) -> list[dict[str, Any]]:
        """Start the daemon and stop it after so long; return its log."""
        clock = self.world.clock
        self.stop = Stop()
        self.after(seconds, lambda: setattr(self.stop, "asked", True))
        clock.on_sleep = self.passed
        stream = io.StringIO()
        with written(stream, Form.JSON):
            tell = self.deliver or self.world.deliver
            self.work = worker(self.world.root, (), clock, People(tell, self.shout or tell))
            self.vitals = Vitals(clock)
            daemon = Daemon(self.work, clock, self.stop, self.vitals, Manager(self.told), least, look_s=self.look_s)
            self.work.stop = daemon.asked
            daemon.serve()
        clock.on_sleep = lambda _seconds: None
        clock.slept.clear()
        self.log = [json.loads(line) for line in stream.getvalue().splitlines()]
        return self.log

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the lines of one event."""
        return [line for line in self.log if line["event"] == name]

    @property
    def stories(self) -> list[Story]:
        return self.world.stories


class Manager(Notify):
    """A service manager that keeps what it is told."""

    def __init__(self, told: list[str]) -> None:
        super().__init__({})
        self.told = told
        self.watchdog_s = 600.0

    def __call__(self, *words: str) -> None:
        self.told += words

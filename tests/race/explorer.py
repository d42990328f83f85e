"""Every order of the effects of several actors, each global state looked at once.

An actor is ordinary code that stops before each of its effects. To reach a state the effects that lead to it are carried out again from the
start; a state that was seen before (the same things observed by every actor, the same world) is not gone beyond, for whatever follows it
has been followed already.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

PATIENCE_S = 60.0


class AbandonedError(BaseException):
    """This order is not followed to its end: an actor goes home. No Exception, so that no code under test takes it for one."""


class Actor:
    """One thread of control, which goes on when it is told to."""

    def __init__(self, name: str, life: Callable[[Actor], None]) -> None:
        self.name, self._life = name, life
        self.seen = sha256(name.encode())
        """Everything it observed; what it does next depends on nothing else."""
        self.over = False
        self.failure: BaseException | None = None
        self._go, self._idle = threading.Semaphore(0), threading.Semaphore(0)
        self._abandoned = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def begin(self) -> None:
        """Run up to the first effect."""
        self._thread.start()
        self._wait()

    def stop_here(self) -> None:
        """Called by the actor before an effect: wait until it may happen."""
        self.seen.update(b".")
        self._idle.release()
        self._go.acquire()
        if self._abandoned:
            raise AbandonedError

    def observe(self, what: object) -> None:
        """Called by the actor after an effect: what it learnt."""
        self.seen.update(repr(what).encode() + b"|")

    def step(self) -> None:
        """Let one effect happen."""
        self._go.release()
        self._wait()

    def abandon(self) -> None:
        """End it where it is."""
        self._abandoned = True
        while not self.over:
            self.step()
        self._thread.join(PATIENCE_S)

    def _wait(self) -> None:
        assert self._idle.acquire(timeout=PATIENCE_S), f"{self.name} waits for ever"

    def _run(self) -> None:
        try:
            with suppress(AbandonedError):
                self._life(self)
        finally:
            self.failure = sys.exc_info()[1]
            self.over = True
            self._idle.release()


class Scene(Protocol):
    """One world with its actors, made anew for every order."""

    @property
    def actors(self) -> Mapping[str, Actor]:
        """Everybody who acts."""

    def state(self) -> bytes:
        """Return a digest of all that is shared, without what no actor can see."""

    def ended(self) -> None:
        """Judge a scene whose actors have all ended."""

    def close(self) -> None:
        """Put it away."""


@dataclass
class Explored:
    """What an exploration came to."""

    orders: int = 0
    """Orders that were followed, to their end or to a state that was known."""
    whole: int = 0
    """Of them, those followed to the end."""
    states: int = 0
    effects: int = 0
    """Effects carried out, those that were carried out again included."""
    left: int = 0
    """Orders that were not followed because the budget was spent."""
    known: set[bytes] = field(default_factory=set, repr=False)


def explore(make: Callable[[], Scene], most: int) -> Explored:
    """Follow every order of the effects, at most so many; the longest untried ones first, so that a part of them is spread out."""
    found = Explored()
    waiting: list[tuple[str, ...]] = [()]
    while waiting and found.orders < most:
        # First one from the end, then one from the start: depth and breadth take turns.
        prefix = waiting.pop(-1 if found.orders % 2 else 0)
        found.orders += 1
        waiting += _follow(make(), prefix, found)
    found.left = len(waiting)
    found.states = len(found.known)
    return found


def _follow(scene: Scene, prefix: tuple[str, ...], found: Explored) -> Iterator[tuple[str, ...]]:
    """Carry out an order and go on from its end; return the orders that branch off."""
    branches: list[tuple[str, ...]] = []
    try:
        for actor in scene.actors.values():
            actor.begin()
        done = list(prefix)
        for name in prefix:
            scene.actors[name].step()
        found.effects += len(prefix)
        while True:
            able = [name for name, actor in scene.actors.items() if not actor.over]
            seen = b"".join(actor.seen.digest() + bytes([actor.over]) for actor in scene.actors.values())
            here = sha256(scene.state() + seen).digest()
            if here in found.known:
                break
            found.known.add(here)
            if not able:
                found.whole += 1
                scene.ended()
                break
            branches += [(*done, other) for other in able[1:]]
            scene.actors[able[0]].step()
            done.append(able[0])
            found.effects += 1
    finally:
        for actor in scene.actors.values():
            actor.abandon()
        scene.close()
    return iter(branches)

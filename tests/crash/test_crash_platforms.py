"""T4: SIGKILL at any bytecode of the executor and the store, in a run of the product over each simulated platform, with the real SDKs.

The platform lives in another process than the product and so outlives it, as a real one does. Then a clean run converges, the run after it
writes nothing, the journal matches the wire, the audit chain holds, and no state on the way exposed or cut anything.

What a killed process leaves is what it sent, what it waited and its files. A run is watched at every bytecode for the ones before which
any of these changed; between two of them every kill leaves the same. A night and a release kill at all of these, and at others to see.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from cloudsync.lab.http import Answer, Request
from cloudsync.plan.journal import Op, OpState
from cloudsync.store.journal import JournalTable
from tests.crash.killing import Counter
from tests.trust.budget import budget
from tests.trust.figures import record
from tests.wire import fault_plans
from tests.wire.fault_plans import Campaign, Life, forked
from tests.wire.fault_stage import NAMES, theatre
from tests.wire.fault_tap import Tap

SEED = 2
POINTS = budget(3, 25, 25)
"""Per platform, evenly over the run, whatever changed there."""
WATCHED = budget(0, 1, 1)
"""Whether every bytecode is looked at, and the process killed wherever something that outlives it changed."""


@dataclass
class Death:
    """What one kill came to. `state`: a digest of what it left; `changes`: bytecodes before which that changed."""

    wrong: list[str]
    bytecodes: int = 0
    changes: list[int] = field(default_factory=list)
    state: str = ""


class Mortal(Life):
    """A life whose first run is made by a process that is killed; the platform is here."""

    def killed(self, at: int) -> Death:
        """Let the run die at a bytecode, then judge; at none and watched at all of them when that is 0."""
        ours, theirs = Pipe()
        self.tap.armed, self.tap.root = True, self.root
        child = os.fork()
        if child == 0:
            ours.close()
            self._die(theirs, at)
        theirs.close()
        count, changes = self._serve(ours)
        _, status = os.waitpid(child, 0)
        if at and not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            self.wrong.append(f"it was not killed at bytecode {at}: {status}")
        state = self.alike(lies=False)
        wrong = [*self.wrong, *self.tap.wrong]
        self.wrong, self.tap.wrong = [], []
        tail, _ = self.rest(state, at)
        self.end()
        return Death([*wrong, *tail.wrong], count, changes, state)

    def _die(self, line: Connection, at: int) -> None:
        """Make the run, in the process that will not outlive it; every call and every wait goes to the platform's process."""

        def ask(what: object, given: object) -> Any:
            line.send((what, given))
            return line.recv()

        counter = Counter(at, (lambda: ask("look", counter.count)) if WATCHED and not at else lambda: None)

        def away(number: int, request: Request) -> Answer:
            answer = ask(number, request)
            assert isinstance(answer, Answer)
            return answer

        self.tap.away = away
        self.stage.clock.on_sleep = lambda seconds: ask("sleep", seconds)
        try:
            random.seed(SEED)
            sys.settrace(counter.trace)
            self.stage.run(self.root)
            sys.settrace(None)
            ask("count", counter.count)
        finally:
            os._exit(0)

    def _serve(self, line: Connection) -> tuple[int, list[int]]:
        """Be the platform until the other process is gone; return how many bytecodes it ran, and before which something had changed."""
        count, asked = 0, 0
        changes: list[int] = []
        before: object = None
        with line, suppress(EOFError, BrokenPipeError, ConnectionResetError):
            while True:
                what, given = line.recv()
                answer: object = None
                if what == "look":
                    now = (asked, left(self.root))
                    if now != before:
                        changes.append(given)
                    before = now
                elif what == "count":
                    count = given
                elif what == "sleep":
                    asked += 1
                    self.stage.clock.sleep(given)
                else:
                    asked += 1
                    answer = self.tap.take(what, given)
                line.send(answer)
        return count, changes


def left(root: Path) -> tuple[tuple[str, int, int], ...]:
    """Return what stands in the files of the state, as sums. The index of the log is left out: who opens it next makes it anew."""
    files = (path for path in sorted((root / ".cloudsync").iterdir()) if not path.name.endswith("-shm"))
    return tuple((path.name, len(content := path.read_bytes()), crc32(content)) for path in files)


def die(opened: Campaign, at: int) -> Death:
    """Die at a bytecode in a life of its own."""
    found = forked(lambda: Mortal(opened).killed(at))
    return Death([found]) if isinstance(found, str) else found


@pytest.mark.parametrize("name", NAMES[budget(2, 0, 0) :])  # for a change, the two whose labs begin soonest
def test_killed_at_any_bytecode_the_next_run_arrives(tmp_path: Path, name: str) -> None:
    tap = Tap(name)
    with theatre(name, tmp_path, tap.wrap) as opened:
        campaign = fault_plans.prepare(opened, tap, opened.stage(SEED, machines=4))
        whole = die(campaign, 0)
        assert not whole.wrong, whole.wrong
        assert whole.bytecodes > 3000
        evenly = [1 + number * whole.bytecodes // POINTS for number in range(POINTS)]
        deaths = {at: die(campaign, at) for at in sorted({*evenly, *whole.changes})}
        if WATCHED:  # what an evenly chosen kill leaves is what the kill at the last change before it left
            for at in evenly:
                last = max(one for one in whole.changes if one <= at)
                assert deaths[at].state == deaths[last].state, (at, last)
        wrong = {at: found.wrong for at, found in deaths.items() if found.wrong}
        gaps = sum(any("op " in said or "intent" in said for said in many) for many in wrong.values())
        late = sum(any("converged" in said for said in many) for many in wrong.values())
        covered = whole.bytecodes if WATCHED else len(deaths)
        figures = {"points": len(deaths), "bytecodes": whole.bytecodes, "covered": covered, "changes": len(whole.changes)}
        record(f"T4 {name}", {**figures, "not_converged": late, "audit_gaps": gaps, "violations": len(wrong)})
        assert not wrong, dict(list(wrong.items())[:5])


def test_a_journal_that_is_written_after_the_call_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies between a call and its line in the journal leaves a gap; the campaign must see it."""
    tap = Tap("azure")
    with theatre("azure", tmp_path, tap.wrap) as opened:
        campaign = fault_plans.prepare(opened, tap, opened.stage(SEED, machines=4))
        total = die(campaign, 0).bytecodes
        intend, settle = JournalTable.intend, JournalTable.settle
        waiting: list[Op] = []

        def later(_self: JournalTable, op: Op) -> int:
            waiting.append(op)
            return 0

        def now(self: JournalTable, op_id: int, state: OpState, reason: str = "") -> None:
            settle(self, intend(self, waiting.pop()) if waiting else op_id, state, reason)

        monkeypatch.setattr(JournalTable, "intend", later)
        monkeypatch.setattr(JournalTable, "settle", now)
        found = die(campaign, total * 3 // 4)
        assert any("was sent with 0 open intents" in one for one in found.wrong), found.wrong
        record("T4 controls", {"controls": 1})

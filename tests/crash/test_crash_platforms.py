"""T4: SIGKILL at any bytecode of the executor and the store, in a run of the product over each simulated platform, with the real SDKs.

The platform lives in another process than the product and so outlives it, as a real one does. Then a clean run converges, the run after it
writes nothing, the journal matches the wire, the audit chain holds, and no state on the way exposed or cut anything.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from cloudsync.lab.http import Answer, Request
from cloudsync.plan.journal import Op, OpState
from cloudsync.store.journal import JournalTable
from tests.crash.killing import Counter
from tests.trust.budget import budget
from tests.trust.figures import record
from tests.wire import fault_plans
from tests.wire.fault_plans import Campaign, Life, Verdict, forked
from tests.wire.fault_stage import NAMES, theatre
from tests.wire.fault_tap import Tap

SEED = 2
POINTS = budget(3, 400, 1_000_000)
"""Per platform: for a release, every bytecode there is."""


class Mortal(Life):
    """A life whose first run is made by a process that is killed; the platform is here."""

    def killed(self, at: int) -> tuple[Verdict, int]:
        """Let the run die at a bytecode, then judge; the second number says how many bytecodes a run has that was not killed."""
        ours, theirs = Pipe()
        self.tap.armed, self.tap.root = True, self.root
        child = os.fork()
        if child == 0:
            ours.close()
            self._die(theirs, at)
        theirs.close()
        count = self._serve(ours)
        _, status = os.waitpid(child, 0)
        if at and not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            self.wrong.append(f"it was not killed at bytecode {at}: {status}")
        tail = self.arrive()
        self.end()
        return Verdict(tail.wrong, runs=tail.runs), count

    def _die(self, line: Connection, at: int) -> None:
        """Make the run, in the process that will not outlive it; every call and every wait goes to the platform's process."""
        counter = Counter(at)

        def ask(what: object, given: object) -> Any:
            line.send((what, given))
            return line.recv()

        def away(number: int, request: Request) -> Answer:
            answer = ask(number, request)
            assert isinstance(answer, Answer)
            return answer

        self.tap.away = away
        self.stage.clock.on_sleep = lambda seconds: ask("sleep", seconds)
        try:
            sys.settrace(counter.trace)
            self.stage.run(self.root)
            sys.settrace(None)
            ask("count", counter.count)
        finally:
            os._exit(0)

    def _serve(self, line: Connection) -> int:
        """Be the platform until the other process is gone."""
        count = 0
        with line, suppress(EOFError, BrokenPipeError, ConnectionResetError):
            while True:
                what, given = line.recv()
                answer: object = None
                if what == "sleep":
                    self.stage.clock.sleep(given)
                elif what == "count":
                    count = given
                else:
                    answer = self.tap.take(what, given)
                line.send(answer)
        return count


def die(opened: Campaign, at: int) -> tuple[Verdict, int]:
    """Die at a bytecode in a life of its own."""
    found = forked(lambda: Mortal(opened).killed(at))
    return (Verdict([found]), 0) if isinstance(found, str) else found


@pytest.mark.parametrize("name", NAMES[budget(2, 0, 0) :])  # for a change, the two whose labs begin soonest
def test_killed_at_any_bytecode_the_next_run_arrives(tmp_path: Path, name: str) -> None:
    tap = Tap(name)
    with theatre(name, tmp_path, tap.wrap) as opened:
        campaign = fault_plans.prepare(opened, tap, opened.stage(SEED, machines=4))
        whole, total = die(campaign, 0)
        assert not whole.wrong, whole.wrong
        assert total > 3000
        points = sorted({1 + number * total // POINTS for number in range(POINTS)}) if total > POINTS else range(1, total + 1)
        wrong = {at: found.wrong for at in points if (found := die(campaign, at)[0]).wrong}
        gaps = sum(any("op " in said or "intent" in said for said in many) for many in wrong.values())
        late = sum(any("converged" in said for said in many) for many in wrong.values())
        figures = {"points": len(points), "bytecodes": total, "not_converged": late, "audit_gaps": gaps, "violations": len(wrong)}
        record(f"T4 {name}", figures)
        assert not wrong, dict(list(wrong.items())[:5])


def test_a_journal_that_is_written_after_the_call_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies between a call and its line in the journal leaves a gap; the campaign must see it."""
    tap = Tap("azure")
    with theatre("azure", tmp_path, tap.wrap) as opened:
        campaign = fault_plans.prepare(opened, tap, opened.stage(SEED, machines=4))
        _, total = die(campaign, 0)
        intend, settle = JournalTable.intend, JournalTable.settle
        waiting: list[Op] = []

        def later(_self: JournalTable, op: Op) -> int:
            waiting.append(op)
            return 0

        def now(self: JournalTable, op_id: int, state: OpState, reason: str = "") -> None:
            settle(self, intend(self, waiting.pop()) if waiting else op_id, state, reason)

        monkeypatch.setattr(JournalTable, "intend", later)
        monkeypatch.setattr(JournalTable, "settle", now)
        found, _ = die(campaign, total * 3 // 4)
        assert any("was sent with 0 open intents" in one for one in found.wrong), found.wrong
        record("T4 controls", {"controls": 1})

"""`reconcile`: one run that asks nobody. What it does, what it says in the log, how it ends."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
from typing import Any

import pytest

from cloudsync.adapter import Clock
from cloudsync.app.reconcile import Ran, reconcile
from cloudsync.app.session import Start
from cloudsync.cli.main import main
from cloudsync.logs import Form, written
from cloudsync.model.errors import BusyError, InputError
from cloudsync.report.story import Deed, State, Trouble
from cloudsync.store.state import State as Store
from cloudsync.testing.memory import Fault
from tests.service.small_world import ELSEWHERE, MORE, POLICY, World


def once(world: World, **more: Any) -> tuple[Ran, list[dict[str, Any]]]:
    """Make one run; return it and its log."""
    stream = io.StringIO()
    with written(stream, Form.JSON):
        ran = reconcile(world.root, (), Start("reconcile", clock=world.clock, **more), world.deliver)
    return ran, [json.loads(line) for line in stream.getvalue().splitlines()]


def test_the_first_run_converges_and_the_second_says_one_line_and_writes_nothing(world: World) -> None:
    first, _ = once(world)
    assert (first.code, first.story.targets[0].state) == (0, "changed")
    writes = world.writes()
    assert writes > 0
    world.clock.advance(300)
    second, log = once(world)
    assert (second.code, world.writes()) == (0, writes)
    (line,) = log
    assert line["event"] == "run.end"
    assert (line["run_id"], line["exit"], line["writes"], line["targets"]) == (second.report.run_id, 0, 0, {"one": "in sync"})
    assert not world.stories[-1].newsworthy


def test_an_outsider_is_put_right_and_told_of_once(world: World) -> None:
    once(world)
    world.edit()
    world.clock.advance(300)
    ran, log = once(world)
    assert world.clean()
    assert [line["event"] for line in log] == ["finding.new", "run.end"]
    assert (log[0]["severity"], log[0]["deed"], log[0]["level"]) == ("critical", "restored", "warning")
    (told,) = ran.story.findings
    assert (told.state, told.deed) == (State.NEW, Deed.RESTORED)
    world.clock.advance(300)
    quiet, log = once(world)
    assert [line["event"] for line in log] == ["run.end"]
    assert not quiet.story.newsworthy


def test_a_broken_repository_contacts_nothing(world: World) -> None:
    world.write("policy/all.yaml", POLICY.replace("tcp/443", "tcp/99999"))
    with pytest.raises(InputError) as wrong:
        once(world)
    assert [one.code for one in wrong.value.findings] == ["BAD-PORT"]
    assert world.platforms["one"].pages == 0
    assert world.stories == []
    assert not (world.root / ".cloudsync").exists()


def test_another_run_is_busy_and_nothing_is_contacted(world: World) -> None:
    once(world)
    pages = world.platforms["one"].pages
    with Store(world.root / ".cloudsync" / "state.db", world.clock, writer="another"), pytest.raises(BusyError):
        once(world)
    assert world.platforms["one"].pages == pages


def test_a_target_that_fails_does_not_keep_the_others_from_their_policy(world: World) -> None:
    world.settings(("one", "two"))
    assert once(world)[0].code == 0
    world.down["two"] = "connection refused"
    world.edit("one", ELSEWHERE)
    world.clock.advance(300)
    ran, log = once(world)
    assert (ran.code, world.clean("one", ELSEWHERE)) == (5, True)
    assert {one.name: one.state for one in ran.story.targets} == {"one": "changed", "two": "failed"}
    failed = next(line for line in log if line["event"] == "target.failed")
    assert (failed["target"], failed["level"]) == ("two", "error")
    assert "connection refused" in failed["why"]
    world.down.clear()
    world.clock.advance(300)
    ran, log = once(world)
    assert ran.code == 0
    assert [line["target"] for line in log if line["event"] == "target.recovered"] == ["two"]


def test_alarms_are_told_with_the_story(world: World) -> None:
    alarm = Trouble("config repository", "failed", "policy/all.yaml:9:1 BAD-PORT", world.clock.now())
    ran = reconcile(world.root, (), Start("reconcile", clock=world.clock), world.deliver, (alarm,))
    assert alarm in ran.story.troubles
    assert world.stories[-1].newsworthy


def test_a_delivery_that_breaks_is_logged_and_does_not_touch_the_run(world: World) -> None:
    def broken(*_: object) -> None:
        raise ValueError("no such template")

    stream = io.StringIO()
    with written(stream, Form.JSON):
        ran = reconcile(world.root, (), Start("reconcile", clock=world.clock), broken)
    assert ran.code == 0
    last = json.loads(stream.getvalue().splitlines()[-1])
    assert (last["event"], last["run_id"]) == ("deliver.failed", ran.story.run_id)
    assert "no such template" in last["traceback"]


class KilledError(BaseException):
    """As good as SIGKILL: nothing that follows happens."""


def test_a_run_that_died_before_it_could_tell_is_told_of_by_the_next_once(world: World) -> None:
    once(world)
    world.edit()
    world.clock.advance(300)

    def dies(_number: int) -> None:
        world.platforms["one"].after_write = lambda _n: None
        raise KilledError

    world.platforms["one"].after_write = dies
    with pytest.raises(KilledError):
        once(world)
    assert world.clean(), "what it put right is not there to be found any more"
    world.clock.advance(300)
    ran, _ = once(world)
    (said,) = ran.story.troubles
    assert (said.what, said.target, said.new) == ("failed", "runs", True)
    assert "was cut after 1 write, before it could tell of them" in said.why
    assert "cloudsync history" in said.advice
    world.clock.advance(300)
    ran, _ = once(world)
    assert ran.story.troubles == ()


# --- stopping --------------------------------------------------------------------------------------------------------


def test_a_run_that_is_asked_to_stop_ends_before_its_next_write_and_the_next_run_finishes(world: World) -> None:
    asked = False

    def after(number: int) -> None:
        nonlocal asked
        asked = number == 2

    world.platforms["one"].after_write = after
    ran, _ = once(world, stop=lambda: asked)
    assert (ran.code, world.writes()) == (5, 2)
    assert ran.report.targets[0].applied is not None
    assert ran.report.targets[0].applied.status == "stopped"
    asked = False
    ran, _ = once(world)
    assert ran.code == 0
    with Store(world.root / ".cloudsync" / "state.db", world.clock) as state:
        assert state.journal.open_ops("one") == ()
        assert [one.exit_code for one in state.records.runs()] == [0, 5]


def test_an_open_write_is_not_settled_by_a_wait_that_was_cut_short(world: World) -> None:
    """A lost answer, then a stop while its deadline passes: the write may still arrive, so it stays open."""
    world.platforms["one"].faults[1] = Fault.LATE
    asked = False

    def slept(_seconds: float) -> None:
        nonlocal asked
        asked = True

    world.clock.on_sleep = slept
    once(world, stop=lambda: asked)
    with Store(world.root / ".cloudsync" / "state.db", world.clock) as state:
        assert len(state.journal.open_ops("one")) == 1
    asked = False
    ran, _ = once(world, stop=lambda: asked)
    assert ran.code == 5
    with Store(world.root / ".cloudsync" / "state.db", world.clock) as state:
        assert len(state.journal.open_ops("one")) == 1
    world.clock.on_sleep = lambda _seconds: None
    world.platforms["one"].arrive()
    ran, _ = once(world)
    assert ran.code == 0
    assert [group.name for group in world.platforms["one"].groups.values()].count("legacy") == 1


# --- the verb --------------------------------------------------------------------------------------------------------


@pytest.fixture
def at_its_time(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("cloudsync.app.session.SystemClock", lambda: world.clock)
    return world


def verb(world: World, *words: str) -> tuple[int, str, list[dict[str, Any]]]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["reconcile", "-C", str(world.root), *words])
    return code, out.getvalue(), [json.loads(line) for line in err.getvalue().splitlines()]


def test_the_verb_logs_to_standard_error_and_prints_a_document_when_asked(at_its_time: World) -> None:
    code, out, log = verb(at_its_time)
    assert (code, out) == (0, "")
    assert log[-1]["event"] == "run.end"
    code, out, log = verb(at_its_time, "--json")
    assert (code, json.loads(out)["kind"], json.loads(out)["verb"]) == (0, "run", "reconcile")
    assert len(log) == 1


def test_quiet_says_nothing_when_nothing_happens_so_that_cron_sends_no_mail(at_its_time: World) -> None:
    verb(at_its_time)
    assert verb(at_its_time, "--quiet") == (0, "", [])
    at_its_time.edit()
    code, _, log = verb(at_its_time, "-q")
    assert (code, [line["event"] for line in log]) == (0, ["finding.new"])


def test_the_verb_ends_3_with_the_findings_of_a_broken_policy(at_its_time: World) -> None:
    at_its_time.write("policy/all.yaml", POLICY + MORE.replace("tcp/22", "tcp/70000"))
    code, out, log = verb(at_its_time)
    assert (code, log) == (3, [])
    assert out.startswith("policy/all.yaml:12:43 BAD-PORT")
    assert at_its_time.platforms["one"].pages == 0


def test_a_signal_ends_the_verb_at_a_boundary_with_5(at_its_time: World) -> None:
    def after(number: int) -> None:
        if number == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    at_its_time.platforms["one"].after_write = after
    before = signal.getsignal(signal.SIGTERM)
    code, _, _ = verb(at_its_time)
    assert (code, at_its_time.writes()) == (5, 1)
    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert verb(at_its_time)[0] == 0


def test_a_clock_is_what_the_protocol_says(world: World) -> None:
    clock: Clock = world.clock
    assert clock.now() > 0

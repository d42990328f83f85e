"""What a terminal shows of a run under way: how long the platform's limits still make it, counted down while nothing happens."""

from __future__ import annotations

import pytest
from rich.console import Console
from rich.progress import Progress

from cloudsync.app.session import CountsDown
from cloudsync.cli import progress
from cloudsync.cli.output import Output
from cloudsync.cli.progress import Bars


class Terminal(Output):
    """An output that is one, whatever the tests run in."""

    def __init__(self) -> None:
        super().__init__()
        self.terminal = True


def test_the_wait_is_counted_down_between_two_steps_and_is_gone_with_the_last() -> None:
    now = [1000.0]
    bars = Bars(Terminal())
    assert isinstance(bars, CountsDown)
    column = progress._waits()
    with Progress(column, console=Console(quiet=True), auto_refresh=False, get_time=lambda: now[0]) as shown:
        bars._bars = shown
        bars("aws: put", 1, 1000)
        bars.left("aws: put", 190.0)
        bars.left("aws: of another phase", 190.0)
        (task,) = shown.tasks
        assert str(column(task)) == "about 3 min 10 s left at the platform's limits"
        now[0] += 60.0
        assert str(column(task)) == "about 2 min 10 s left at the platform's limits"
        bars("aws: put", 1000, 1000)
        bars.left("aws: put", 0.0)
        assert str(column(task)) == ""


def test_in_a_log_nothing_is_counted_down(capsys: pytest.CaptureFixture[str]) -> None:
    bars = Bars(Output())
    bars("aws: put, about 3 min at the platform's limits", 1, 1000)
    bars.left("aws: put, about 3 min at the platform's limits", 190.0)
    assert capsys.readouterr().err == "aws: put, about 3 min at the platform's limits (from write 1 of 1000)\n"

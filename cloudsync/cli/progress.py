"""Progress: one bar per activity on a terminal, one line per activity in a log, nothing when quiet."""

from __future__ import annotations

from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Self

from cloudsync.cli.output import Output

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, Task, TaskID


class Bars:
    """A progress port. rich is loaded only for a terminal."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._lock = Lock()
        self._told: set[str] = set()
        self._tasks: dict[str, TaskID] = {}
        self._bars: Progress | None = None
        self._off = output.quiet or output.json

    def __enter__(self) -> Self:
        return self

    def __call__(self, what: str, done: int, of: int) -> None:
        """Show that `done` of `of` steps of an activity are finished."""
        if self._off:
            return
        with self._lock:
            if self._output.terminal:
                self._bar(what, done, of)
            elif what not in self._told:
                self._told.add(what)
                self._output.note(f"{what} (from write {max(done, 1)} of {of})" if of > 1 else what)

    def left(self, what: str, seconds: float) -> None:
        """Show that what is left of an activity waits for so many seconds at least, and count them down. In a log its line has said so."""
        with self._lock:
            if self._bars is not None and what in self._tasks:
                self._bars.update(self._tasks[what], until=self._bars.get_time() + seconds)

    def _bar(self, what: str, done: int, of: int) -> None:
        if self._bars is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            name = TextColumn("{task.description}", markup=False)
            columns = (name, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), _waits())
            self._bars = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bars.start()
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=max(of, 1))
        self._bars.update(self._tasks[what], completed=done, total=max(of, 1))

    def stop(self) -> None:
        """Take the bars off the screen, so that the report begins on a clean line."""
        with self._lock:
            if self._bars is not None:
                self._bars.stop()
                self._bars = None
            self._tasks.clear()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def _waits() -> ProgressColumn:
    """Return a column that counts down what an activity waits at least; it ticks while nothing else happens."""
    from rich.progress import ProgressColumn
    from rich.text import Text

    from cloudsync.model.bucket import countdown

    class Waits(ProgressColumn):
        def render(self, task: Task) -> Text:
            left = countdown(float(task.fields.get("until", 0.0)) - task.get_time())
            return Text(f"{left} left at the platform's limits" if left else "", style="dim")

    return Waits()

"""The lab's time: real, or stopped and moved by hand."""

from __future__ import annotations

import datetime as dt
import time


class LabClock:
    """Seconds since the lab began. In manual mode it stands still until it is advanced."""

    def __init__(self) -> None:
        self._frozen_at: float | None = None
        self.restart()

    def restart(self) -> None:
        """Begin again at 0, running, with the computer's date."""
        self._start = time.monotonic()
        self._began = dt.datetime.now(dt.UTC)
        self._offset = 0.0
        self._frozen_at = None

    def now(self) -> float:
        """Seconds."""
        if self._frozen_at is not None:
            return self._frozen_at
        return time.monotonic() - self._start + self._offset

    @property
    def frozen(self) -> bool:
        """Does only `advance` move it?"""
        return self._frozen_at is not None

    def utc(self) -> dt.datetime:
        """Date and time: those of the computer when the lab began, moved on with the lab's own time. Tokens expire by it."""
        return self._began + dt.timedelta(seconds=self.now())

    def freeze(self) -> None:
        """Stop: from now on only `advance` moves the time."""
        self._frozen_at = self.now()

    def thaw(self) -> None:
        """Run on from here."""
        if self._frozen_at is not None:
            self._offset = self._frozen_at - (time.monotonic() - self._start)
            self._frozen_at = None

    def advance(self, seconds: float) -> None:
        """Move on by so many seconds."""
        if seconds < 0:
            raise ValueError("time does not run backwards")
        if self._frozen_at is not None:
            self._frozen_at += seconds
        else:
            self._offset += seconds

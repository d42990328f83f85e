"""Logs of unattended runs: one JSON object a line on a stream that the journal (or cron, or logger) keeps; nothing to rotate.

A line's message is a constant, its `event`; what varies stands in fields of its own. Everything outside ASCII is escaped, so that no
name from a cloud can write a line of its own or move a cursor.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import Enum
from typing import Any, TextIO

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; the rest was given as `extra`."""


class Form(Enum):
    """How lines look."""

    JSON = "json"
    TEXT = "text"


class _Current:
    """The run that this process makes now: one at a time, in whichever thread a line is written."""

    run_id = ""


@contextmanager
def running(run_id: str) -> Iterator[None]:
    """Put a run's id on every line."""
    before, _Current.run_id = _Current.run_id, run_id
    try:
        yield
    finally:
        _Current.run_id = before


class Lines(logging.Formatter):
    """One line a record."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        fields: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        if _Current.run_id:
            fields["run_id"] = _Current.run_id
        fields |= {name: value for name, value in vars(record).items() if name not in _PLAIN}
        if not record.name.startswith("cloudsync"):
            fields["logger"] = record.name
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        if self._form is Form.JSON:
            return json.dumps(fields, ensure_ascii=True, default=str)
        said = " ".join(f"{name}={_word(value)}" for name, value in fields.items() if name not in ("at", "level", "event", "traceback"))
        trace = "\n" + str(fields["traceback"]) if "traceback" in fields else ""
        return f"{fields['at']} {fields['event']} {said}".rstrip() + trace


def _word(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=True, default=str)
    plain = text.isascii() and text.isprintable() and " " not in text and text
    return text if plain else json.dumps(text, ensure_ascii=True)


@contextmanager
def written(stream: TextIO, form: Form, *, level: int = logging.INFO) -> Iterator[None]:
    """Write our lines from `level` on, and other libraries' warnings, to a stream; as before afterwards."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Lines(form))
    ours, everything = logging.getLogger("cloudsync"), logging.getLogger()
    before = ours.level
    everything.addHandler(handler)
    ours.setLevel(level)
    try:
        yield
    finally:
        everything.removeHandler(handler)
        ours.setLevel(before)
        handler.close()

"""Death at a bytecode of the executor and the store."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import cloudsync

HERE = Path(cloudsync.__file__).resolve().parent
KILLED_IN = (str(HERE / "apply.py"), str(HERE / "store"))


class Counter:
    """Counts bytecodes in the code under test and kills the process at one of them; at none when that is 0. `look` is called at each."""

    def __init__(self, kill_at: int, look: Callable[[], None] = lambda: None) -> None:
        self.kill_at, self.count, self.look = kill_at, 0, look

    def trace(self, frame: FrameType, event: str, _argument: Any) -> Callable[..., Any] | None:
        """Follow only the code under test."""
        if not frame.f_code.co_filename.startswith(KILLED_IN):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.count += 1
            self.look()
            if self.count == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return self.trace

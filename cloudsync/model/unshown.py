"""What no read can show: whether a running configuration was saved, for one."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

Step = Any
"""A `cloudsync.adapter.Step`."""


@runtime_checkable
class Unshowing(Protocol):
    """An adapter with steps whose effect no read can ever show.

    Within a run their answer is believed. Where a run was cut in between, recovery cannot know whether they were sent, and does not
    say that they were: such a step has to be harmless when it is made again, and harmless when it never was.
    """

    def unshown(self, step: Step) -> bool:
        """Tell whether no read can show a step's effect. Pure."""

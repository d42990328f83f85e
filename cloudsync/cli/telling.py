"""Bringing a run's news to people at the end of a verb; what cannot be sent waits, and the verb's result is what it was."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cloudsync.cli.output import Output

if TYPE_CHECKING:
    from cloudsync.app.deliver import Delivery
    from cloudsync.app.repository import Loaded
    from cloudsync.report.story import Story


def tell_people(root: Path, loaded: Loaded, story: Story, output: Output) -> None:
    """Deliver a story; notes about it go to standard error."""
    if loaded.settings.mail is None and not loaded.settings.hooks:
        return
    from cloudsync.app.deliver import deliver
    from cloudsync.model.errors import CloudsyncError

    try:
        came = deliver(root, loaded, story)
    except (CloudsyncError, OSError) as error:
        output.note(f"nobody was told: {error}; the next run does it")
    else:
        said(came, output)


def said(came: Delivery, output: Output) -> None:
    """Say what became of messages."""
    if came.sent:
        output.note(f"told: {came.sent} message{'' if came.sent == 1 else 's'} sent")
    if came.waiting:
        output.note(
            f"{came.waiting} message{' waits' if came.waiting == 1 else 's wait'} and {'is' if came.waiting == 1 else 'are'} tried again"
        )
    for problem in came.problems:
        output.note(problem)

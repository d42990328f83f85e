"""What a report shows: the story of the records, or of a look at the platforms now, with the matrix of who may talk to whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from cloudsync.app import ledger, session
from cloudsync.app.grades import graded, planned
from cloudsync.app.known import known_world
from cloudsync.app.repository import Loaded, load, policy_name
from cloudsync.app.story import retell, tell
from cloudsync.clock import SystemClock
from cloudsync.model.errors import InputError
from cloudsync.model.exits import Exit
from cloudsync.model.finding import Finding, Where
from cloudsync.report.matrix import Deviating, build
from cloudsync.report.story import State, Story

COMMAND_LINE = Where("command line")


@dataclass(frozen=True, slots=True)
class Picture:
    """A story with its matrix. `now`: UTC seconds since the epoch; `code`: what the look came to, OK for records."""

    story: Story
    now: float
    code: Exit = Exit.OK


def recorded(root: Path, run_id: str = "") -> Picture:
    """Return the last run as the records tell it, without contacting anything. Raises InputError NO-REPORT or UNKNOWN-RUN.

    `run_id`: its first letters, for whoever wants to be sure; the records tell the last run only.
    """
    loaded = load(root)
    now = SystemClock().now()
    story = _retold(loaded, now)
    if story is None:
        hint = "make a run first: cloudsync drift"
        raise InputError([Finding(COMMAND_LINE, "NO-REPORT", "no run has left anything to report yet", hint)])
    if not story.run_id.startswith(run_id):
        hint = f"the last run is {story.run_id}; `cloudsync history RUN` has what earlier ones wrote"
        raise InputError([Finding(COMMAND_LINE, "UNKNOWN-RUN", f"the records do not tell run '{run_id}' any more", hint)])
    return Picture(_mapped(loaded, story), now)


def mapped(root: Path) -> Picture:
    """Return the matrix of the policy over what the last runs verified; nothing is contacted, and no run needs to have been made."""
    loaded = load(root)
    now = SystemClock().now()
    story = _retold(loaded, now) or Story("", "map", now, loaded.settings.owner, policy_name(loaded), None, (), ())
    return Picture(_mapped(loaded, replace(story, policy=policy_name(loaded), at=now)), now)


def seen(root: Path, names: Iterable[str], verb: str, progress: session.Progress) -> Picture:
    """Look at the platforms now: `plan`, which records nothing, or `drift`, which records what it finds as that verb does."""
    with session.start(root, names, verb=verb, progress=progress) as run:
        found = run.plan(verb)
        story = tell(run, found, record=verb == "drift")
        now = run.clock.now()
    matrix = build(found.scene.compiler, found.scene.owners, _deviating(story), "read just now")
    code, report = graded(found.report, planned)
    if verb == "drift":
        # A plan's code says whether there is something to write; here what counts is whether something is wrong.
        quiet = code is Exit.CHANGES or code is Exit.OK
        code = (Exit.CHANGES if story.open else Exit.OK) if quiet else code
    return Picture(replace(story, matrix=matrix, report=report), now, code)


def _retold(loaded: Loaded, now: float) -> Story | None:
    with ledger.looked_at(loaded.root, loaded.settings) as state:
        return None if state is None else retell(state, loaded, now)


def _mapped(loaded: Loaded, story: Story) -> Story:
    known = known_world(loaded)
    return replace(story, matrix=build(known.scene.compiler, known.scene.owners, _deviating(story), known.source))


def _deviating(story: Story) -> Iterator[Deviating]:
    for one in story.findings:
        if one.content and one.state is not State.RESOLVED:
            yield one, one.content, one.key

"""What a report shows: the story of the records, or of a look at the platforms now, with the matrix of who may talk to whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from cloudsync.app import ledger, session
from cloudsync.app.grades import graded, planned
from cloudsync.app.known import known_world
from cloudsync.app.repository import Loaded, load, policy_name
from cloudsync.app.story import earlier, retell, tell
from cloudsync.clock import SystemClock
from cloudsync.model.errors import InputError
from cloudsync.model.exits import Exit
from cloudsync.model.finding import Finding, Where
from cloudsync.model.quick import dataclass
from cloudsync.report.matrix import Deviating, build
from cloudsync.report.story import State, Story
from cloudsync.report.values import RunReport

COMMAND_LINE = Where("command line")


@dataclass(frozen=True, slots=True)
class Picture:
    """A story with its matrix. `now`: UTC seconds since the epoch; `code`: what the look came to, OK for records."""

    story: Story
    now: float
    code: Exit = Exit.OK


def recorded(root: Path, run_id: str = "") -> Picture:
    """Return the last run as the records tell it, without contacting anything. Raises InputError NO-REPORT or UNKNOWN-RUN.

    `run_id`: the first letters of another one. Earlier runs are told as they were then, without the matrix.
    """
    loaded = load(root)
    now = SystemClock().now()
    story = _retold(loaded, now)
    if story is None:
        hint = "make a run first: cloudsync drift"
        raise InputError([Finding(COMMAND_LINE, "NO-REPORT", "no run has left anything to report yet", hint)])
    if story.run_id.startswith(run_id):
        return Picture(_mapped(loaded, story), now)
    with ledger.looked_at(loaded.root, loaded.settings) as state:
        kept = earlier(state, run_id, now) if state is not None else ()
    if len(kept) != 1:
        said = f"{len(kept)} runs begin with '{run_id}'" if kept else f"the records do not tell run '{run_id}'"
        hint = f"the last run is {story.run_id}; `cloudsync history --all` lists them; a run with nothing to tell leaves no report"
        raise InputError([Finding(COMMAND_LINE, "UNKNOWN-RUN", said, hint)])
    return Picture(kept[0], now)


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
        code, report = _graded(found.report, story, verb)
        if verb == "drift":
            run.looked(code, report)
    matrix = build(found.scene.compiler, found.scene.owners, _deviating(story), "read just now")
    return Picture(replace(story, matrix=matrix, report=report), now, code)


def _graded(report: RunReport, story: Story, verb: str) -> tuple[Exit, RunReport]:
    code, report = graded(report, planned)
    if verb == "drift" and code in (Exit.CHANGES, Exit.OK):
        # A plan's code says whether there is something to write; here what counts is whether something is wrong.
        code = Exit.CHANGES if story.open else Exit.OK
    return code, report


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

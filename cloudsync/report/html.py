"""The report as one HTML page: nothing outside of it is loaded, nothing in it is taken for markup, and it works from a file.

Every text goes through `inert` and through the autoescape; the page forbids itself, by its content security policy, every script
and style but the two whose digests it names. So even markup that slipped through would do nothing.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from itertools import groupby
from typing import TYPE_CHECKING, Any

from cloudsync import __version__
from cloudsync.model.fidelity import Fidelity, Verdict
from cloudsync.model.inert import inert
from cloudsync.model.mode import Mode
from cloudsync.model.quick import dataclass
from cloudsync.proof.drift import Severity
from cloudsync.report import charts
from cloudsync.report.grid import Grid, Named, grid
from cloudsync.report.headline import DONE, MEANT, counted, headline, severities, standing, subject, way
from cloudsync.report.made import LOOKING, made
from cloudsync.report.matrix import Matrix
from cloudsync.report.moments import lasted, moment
from cloudsync.report.story import Made, State, Story

if TYPE_CHECKING:
    from jinja2 import Environment

Context = dict[str, Any]

TONES = {"in sync": "good", "changed": "good", "drift": "warn", "refused": "bad", "failed": "bad", "never run": "warn"}
MARKS = {"open": "!", "foreign": "!", "cut": "\N{MULTIPLICATION SIGN}", "allowed": "\N{CHECK MARK}"}
LOOSE = {"visibility": "only watched (mode visibility)", "idle": "not looked at (mode idle)"}
MODES = {
    Mode.FULL: "enforced in full",
    Mode.SELECTIVE: "enforced for some services",
    Mode.VISIBILITY: "only watched",
    Mode.IDLE: "not looked at",
}
BOX = {
    "width": charts.WIDTH,
    "height": charts.HEIGHT,
    "left": charts.LEFT,
    "right": charts.WIDTH - charts.RIGHT,
    "top": charts.TOP,
    "floor": charts.HEIGHT - charts.BOTTOM,
}


def page(story: Story) -> str:
    """Return the whole report."""
    square = grid(story.matrix) if story.matrix else None
    return _render("report.html", f"cloudsync {story.owner}: {headline(story).whole}", story, square)


def map_page(story: Story) -> str:
    """Return the matrix alone; the story must have one."""
    assert story.matrix is not None
    return _render("map.html", f"cloudsync {story.owner}: who may talk to whom", story, grid(story.matrix), anchors={})


def _render(template: str, title: str, story: Story, square: Grid | None, **instead: object) -> str:
    environment = _environment()
    context: Context = {"story": story, "title": title, "version": __version__, "grid": square, "marks": MARKS, "meant": MEANT}
    for name in ("style", "script"):
        text = environment.get_template({"style": "page.css", "script": "page.js"}[name]).render()
        context[f"{name}_hash"] = "sha256-" + b64encode(sha256(text.encode()).digest()).decode()
    context |= _findings(story) | _changes(story) | _trends(story) | _coverage(story, square)
    return environment.get_template(template).render(context | instead)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def harmless(value: object) -> object:
        """Make every text inert, before it is escaped; what macros have made of such texts is done already."""
        return inert(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = Environment(
        loader=PackageLoader("cloudsync.report", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(moment=moment, lasted=lasted, counted=counted, subject=subject, way=way)
    return environment


def _findings(story: Story) -> Context:
    open_now = standing(story)
    ranks = list(Severity)
    urgent = [one for one in open_now if ranks.index(one.severity) <= ranks.index(Severity.HIGH)]
    live = [one for one in story.findings if one.state is not State.RESOLVED]
    known = [f"{key}={value}" for one in live for key, value in one.labels.pairs]
    filters = (
        ("severity", "Every severity", list(dict.fromkeys(one.severity.value for one in live))),
        ("state", "Every state", list(dict.fromkeys(one.state.value for one in live))),
        ("target", "Every target", list(dict.fromkeys(one.target for one in live))),
    )
    return {
        "headline": headline(story),
        "worst": open_now[0] if open_now else None,
        "urgent": urgent,
        "anchors": {one.key: f"f{number}" for number, one in enumerate(story.findings, 1)},
        "counts": severities(story.open),
        "open": len(story.open),
        "accepted": sum(one.state is State.ACKNOWLEDGED for one in story.findings),
        "live": live,
        "gone": [one for one in story.findings if one.state is State.RESOLVED],
        "labels": sorted(set(known)),
        "filters": filters,
        "ranks": {severity: number for number, severity in enumerate(ranks)},
        "done": DONE,
        "tones": TONES,
        "workloads": story.report.workloads if story.report else _members(story.matrix),
    }


def _members(matrix: Matrix | None) -> int:
    return sum(len(group.members) for group in matrix.groups) if matrix else 0


@dataclass(frozen=True, slots=True)
class Chapter:
    """What one run opened and closed."""

    run_id: str
    at: float
    policy: str
    changes: tuple[Made, ...]


def _changes(story: Story) -> Context:
    own = made(story.report, story.at) if story.report else ()
    told = {one.run_id for one in story.history}
    rows = (*(one for one in own if one.run_id not in told), *story.history)
    chapters = [
        Chapter(run, at, policy, tuple(mine)) for (run, at, policy), mine in groupby(rows, key=lambda one: (one.run_id, one.at, one.policy))
    ]
    return {"changes": chapters, "planned": story.verb in LOOKING and bool(own)}


def _trends(story: Story) -> Context:
    return {"charts": charts.by_target(story.trend), "lines": charts.by_label(story.trend), "box": BOX}


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the bar: workloads of one mode, in percent of all."""

    mode: str
    words: str
    workloads: int
    start: float
    width: float


def _coverage(story: Story, square: Grid | None) -> Context:
    inexact = story.inexact or _inexact(story)
    named = tuple(one for one, _ in square.rows if not one.group.outside) if square else ()
    return {
        "modes": tuple(_modes(named)),
        "loose": tuple(one for one in named if one.loose),
        "loose_words": LOOSE,
        "listed": {one.number for one in square.columns} if square else set(),
        "inexact": inexact,
    }


def _modes(named: tuple[Named, ...]) -> Iterator[Share]:
    whole = sum(len(one.group.members) for one in named)
    start = 0.0
    for mode, words in MODES.items():
        count = sum(len(one.group.members) for one in named if one.group.mode is mode)
        if count:
            width = round(count * 100 / whole, 3)
            yield Share(mode.value, words, count, round(start, 3), width)
            start += width


def _inexact(story: Story) -> tuple[Fidelity, ...]:
    plans = [target.plan for target in story.report.targets if target.plan is not None] if story.report else []
    return tuple(one for plan in plans for one in plan.fidelity if one.verdict is not Verdict.EXACT)

"""Verbs that look back: history, audit. They read the state and nothing else."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloudsync.cli.exits import Exit
from cloudsync.cli.output import COMMAND_LINE, Output

if TYPE_CHECKING:
    from cloudsync.report.story import Made
    from cloudsync.store.place import Place
    from cloudsync.store.records import RunRecord
    from cloudsync.store.state import State

MEANING = {
    None: "not ended: at work, or killed",
    0: "done",
    1: "a bug of ours",
    2: "changes present",
    3: "invalid input",
    4: "refused",
    5: "a platform failed, or only a part was done",
    75: "busy",
}


def options(verb: str, parser: argparse.ArgumentParser) -> None:
    """Add a verb's options."""
    if verb == "history":
        parser.add_argument("run", nargs="?", default="", metavar="RUN", help="every write of this run, by the first letters of its id")
        parser.add_argument("--all", action="store_true", dest="every", help="also runs that changed nothing, and those that only looked")
        parser.add_argument("--policy", action="store_true", help="the versions of the policy that runs were made with")
    else:
        parser.add_argument("what", nargs="?", choices=("verify",), help="the same as --verify")
        parser.add_argument(
            "--verify", action="store_true", help="check that no line was changed, taken out or put in; exit 4 when one was"
        )
    parser.add_argument("-n", type=_count_option, dest="most", default=20, metavar="N", help="the latest N (default: 20)")


def _count_option(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of lines: want 1 or more")
    return int(text)


def run(chosen: argparse.Namespace, output: Output) -> int:
    """Run one of the verbs."""
    from cloudsync.app import ledger

    root = Path(chosen.repository)
    settings = ledger.read_settings(root)
    with ledger.looked_at(root, settings) as state:
        if state is None:
            return _nothing(chosen, output, ledger.where(root, settings))
        if chosen.verb == "audit":
            return _verify(state, output) if chosen.verify or chosen.what else _audit(state, output, chosen.most)
        if chosen.policy:
            return _versions(state, output, chosen.most)
        return _one(state, output, chosen.run) if chosen.run else _history(state, output, chosen.most, every=chosen.every)


def _nothing(chosen: argparse.Namespace, output: Output, place: Place) -> int:
    output.line(f"no run has left anything yet: there is no {place}")
    if chosen.verb == "audit":
        output.document("audit", lines=0, head="", entries=[], verified=None)
    elif chosen.policy:
        output.document("history-policy", versions=[])
    else:
        output.document("history", runs=[], holds=[], quiet=0)
    return Exit.OK


# --- history ---------------------------------------------------------------------------------------------------------


def _history(state: State, output: Output, most: int, *, every: bool) -> int:
    from cloudsync.app.past import told
    from cloudsync.cli.approve import hold_document
    from cloudsync.clock import SystemClock
    from cloudsync.report.story_document import made_document

    now = SystemClock().now()
    runs, kept, holds = state.records.runs(most, loud=not every), state.records.counted(), state.records.holds()
    quiet = 0 if every else kept - len(state.records.runs(1_000_000, loud=True) if len(runs) == most else runs)
    changes = {record.id: told(state.history.changes(record.id)) for record in runs}
    for one in holds:
        what = "all targets" if one.target == "*" else one.target
        output.line(f"ON HOLD {what}: {one.because} ({one.who}, {age(now - one.at)} ago)", "yellow")
    for record in runs:
        code = "-" if record.exit_code is None else str(record.exit_code)
        line = f"{time_text(record.started)}  {age(now - record.started):>4} ago  {record.verb:<6} {record.id}  exit {code:<2}"
        line += f" {_meaning(record)}{_version(record)}"
        output.line(line, *(("red",) if record.exit_code not in (0, 2) else ()))
        for name, part in sorted(_targets(record).items()):
            output.line(f"    {name}: {_summary(part)}")
        for text, colour in _changes(changes[record.id], SHOWN):
            output.line(text, colour)
    if not kept:
        output.line("no run is on record: `cloudsync apply` and `cloudsync drift` leave one each time")
    elif quiet:
        output.line(f"{quiet} more that changed nothing or only looked: --all lists them too", "dim")
    listed = [{**record_document(record), "changes": [made_document(one) for one in changes[record.id]]} for record in runs]
    output.document("history", runs=listed, holds=[hold_document(one) for one in holds], quiet=quiet)
    return Exit.OK


SHOWN = 3
"""Changes of a run in the list; `history RUN` has them all."""


def _version(record: RunRecord) -> str:
    if not record.commit:
        return ""
    return f'  {record.commit[:10]} ({record.author}, "{record.subject}"{UNCOMMITTED if record.dirty else ""})'


UNCOMMITTED = ", with uncommitted changes"


def _changes(changes: Sequence[Made], most: int) -> Iterator[tuple[str, str]]:
    """Yield what a run opened and closed, in words, with the colour of each line."""
    for one in changes[:most]:
        whom = ", ".join(one.workloads[:4]) + (f" and {len(one.workloads) - 4} more" if len(one.workloads) > 4 else "")
        way = "" if one.direction == "inbound" else ", outbound"
        yield f"    {one.target}: {one.labels.text()}{way}   {whom}", "dim"
        yield from ((f"      + {text}", "green") for text in one.opens)
        yield from ((f"      - {text}", "yellow") for text in one.closes)
    if len(changes) > most:
        yield f"    and {len(changes) - most} more changes: cloudsync history {changes[0].run_id}", "dim"


def _versions(state: State, output: Output, most: int) -> int:
    versions = state.history.versions()[:most]
    for one in versions:
        said = f'{one.commit[:10]} ({one.author}, "{one.subject}"{UNCOMMITTED if one.dirty else ""})' if one.commit else "in no commit"
        output.line(f"{time_text(one.first_used)} to {time_text(one.last_used)}  {one.digest[:10]}  {said}")
    if not versions:
        output.line("no run that could write is on record")
    listed = [
        {
            "digest": one.digest,
            "commit": one.commit,
            "dirty": one.dirty,
            "author": one.author,
            "subject": one.subject,
            "first_used": time_text(one.first_used),
            "last_used": time_text(one.last_used),
        }
        for one in versions
    ]
    output.document("history-policy", versions=listed)
    return Exit.OK


def _one(state: State, output: Output, prefix: str) -> int:
    from cloudsync.app.past import told
    from cloudsync.model.errors import InputError
    from cloudsync.model.finding import Finding
    from cloudsync.report.story_document import made_document

    found = state.records.runs(3, prefix=prefix)
    if len(found) != 1:
        latest = state.records.runs(1)
        hint = f"the latest is {latest[0].id}" if latest else "no run is on record"
        said = f"{'several' if found else 'no'} run{'s begin' if found else ' begins'} with '{prefix}'"
        raise InputError([Finding(COMMAND_LINE, "UNKNOWN-RUN", said, hint)])
    record = found[0]
    what = f"{record.verb} {record.id}  started {time_text(record.started)}  policy {record.policy[:10]}"
    output.line(f"{what}  {_meaning(record)}{_version(record)}", "bold")
    for name, part in sorted(_targets(record).items()):
        output.line(f"    {name}: {_summary(part)}")
    changes = told(state.history.changes(record.id))
    for text, shade in _changes(changes, len(changes)):
        output.line(text, shade)
    writes = state.journal.ops(record.id)
    for one, reason in writes:
        colour = () if one.state.value == "done" else ("red",)
        output.line(
            f"{time_text(one.op.at)}  {one.state.value:<7} {one.op.target}  {one.op.step.title}" + (f": {reason}" if reason else ""),
            *colour,
        )
    if not writes:
        output.line("it wrote nothing")
    output.document(
        "history-run",
        **record_document(record),
        changes=[made_document(one) for one in changes],
        writes=[
            {
                "at": time_text(one.op.at),
                "state": one.state.value,
                "reason": reason,
                "target": one.op.target,
                "action": one.op.step.action,
                "object": one.op.step.object,
                "title": one.op.step.title,
                "request": json.loads(one.op.step.payload),
            }
            for one, reason in writes
        ],
    )
    return Exit.OK


def _targets(record: RunRecord) -> dict[str, dict[str, Any]]:
    return {name: part for name, part in record.summary.items() if isinstance(part, dict)} if isinstance(record.summary, dict) else {}


def _summary(part: dict[str, Any]) -> str:
    """Say what a run did in one target."""
    writes = int(part.get("writes", 0))
    said = [f"{writes} write{'' if writes == 1 else 's'}"]
    if part.get("status") not in ("", "done", "nothing", None):
        said.append(str(part["status"]))
    if part.get("refused"):
        said.append(f"refused by {', '.join(dict.fromkeys(part['refused']))}")
    if part.get("error"):
        said.append(str(part["error"]))
    return "; ".join(said)


def _meaning(record: RunRecord) -> str:
    return MEANING.get(record.exit_code, "ended")


def record_document(record: RunRecord) -> dict[str, Any]:
    """Return a run as JSON values."""
    return {
        "run": record.id,
        "verb": record.verb,
        "policy": record.policy,
        "commit": record.commit,
        "dirty": record.dirty,
        "author": record.author,
        "subject": record.subject,
        "generation": record.generation,
        "started": time_text(record.started),
        "ended": None if record.ended is None else time_text(record.ended),
        "exit": record.exit_code,
        "targets": [
            {
                "name": name,
                "writes": int(part.get("writes", 0)),
                "status": str(part.get("status", "")),
                "refused": list(part.get("refused", ())),
                "error": str(part.get("error", "")),
            }
            for name, part in sorted(_targets(record).items())
        ],
    }


# --- audit -----------------------------------------------------------------------------------------------------------


def _audit(state: State, output: Output, most: int) -> int:
    lines = state.audit.lines()
    head = state.audit.head()
    entries = [json.loads(line) for line in lines[-most:]]
    if len(lines) > most:
        output.line(f"the latest {most} of {len(lines)} lines", "dim")
    for entry in entries:
        rest = {key: value for key, value in entry.items() if key not in ("n", "at", "event", "prev")}
        output.line(f"{entry['n']:>6}  {time_text(entry['at'])}  {entry['event']:<8} {_words(rest)}")
    output.line(f"head: line {head.lines}, {head.hash}", "dim")
    output.document("audit", lines=head.lines, head=head.hash, entries=entries, verified=None)
    return Exit.OK


def _words(rest: dict[str, Any]) -> str:
    """Return an entry's own fields in one line; a request is cut short, --json has all of it."""
    said = (f"{key}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=True)}" for key, value in rest.items())
    return "  ".join(text if len(text) <= 100 else text[:97] + "..." for text in said)


def _verify(state: State, output: Output) -> int:
    head = state.audit.check()
    mirror = f"and in {state.audit.mirror.name}" if state.audit.mirror.exists() else f"(there is no {state.audit.mirror.name} yet)"
    output.line(f"the audit trail is whole: {head.lines} lines, each follows from the one before, in the state file {mirror}", "green")
    output.line(f"head: line {head.lines}, {head.hash}")
    output.line("Compare it with the head in an older report or mail: a trail that was cut short is whole too.")
    output.document("audit", lines=head.lines, head=head.hash, entries=[], verified=True)
    return Exit.OK


# --- times -----------------------------------------------------------------------------------------------------------


def time_text(moment: float) -> str:
    """Return UTC to the second; `moment` is in seconds since the epoch."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def age(seconds: float) -> str:
    """Return how long ago in one figure: 12s, 5m, 3h, 9d."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"

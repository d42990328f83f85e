"""How everything stands, from the records: one look in the morning, or a check for a monitor by its exit code."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloudsync.cli.exits import Exit
from cloudsync.cli.output import Output

if TYPE_CHECKING:
    from cloudsync.app.status import Status, TargetStatus
    from cloudsync.fleet.standing import FleetStanding
    from cloudsync.store.limits import LimitRow

BEHIND_S = 30.0
"""Longer than this a target that is due should not be without a job."""


def options(verb: str, parser: argparse.ArgumentParser) -> None:
    """Add the verb's options: it has none of its own."""
    del verb
    parser.epilog = "exit codes: 0 all is well, 2 drift, 4 refused or on hold, 5 failed, overdue or never run"


def run(chosen: argparse.Namespace, output: Output) -> int:
    """Print how everything stands."""
    from cloudsync.app.status import status

    found = status(Path(chosen.repository))
    if output.json:
        output.document("status", **_document(found))
    else:
        _print(found, output)
    return found.code


def _print(found: Status, output: Output) -> None:
    from cloudsync.cli.history import age, time_text

    output.line(f"cloudsync status  {found.owner}  policy {found.policy or 'BROKEN'}", "bold")
    if found.broken:
        output.line(f"  the policy cannot be used, runs end with exit code 3: {found.broken}", "red")
    for one in found.targets:
        _print_target(one, found.now, output)
    if not found.targets:
        output.line("  no target is configured")
    if found.writer is not None:
        output.line(f"at work: run {found.writer.run}, pid {found.writer.pid} on {found.writer.host}")
    if found.fleet is not None:
        _print_fleet(found.fleet, output)
    for row in found.limits:
        _print_limit(row, output)
    if found.last is not None:
        code = "not ended" if found.last.exit_code is None else f"exit {found.last.exit_code}"
        ago = age(found.now - found.last.started)
        output.line(f"last run: {found.last.verb} {found.last.id} at {time_text(found.last.started)} ({ago} ago), {code}")
    else:
        output.line("no run that could write is on record")
    if found.audit_head:
        output.line(f"audit head: {found.audit_head}", "dim")


def _print_target(one: TargetStatus, now: float, output: Output) -> None:
    from cloudsync.app.status import said
    from cloudsync.cli.history import age, time_text

    stand = one.standing
    since = f" for {age(now - one.since)}" if one.since is not None else ""
    colour = {Exit.OK: "green", Exit.CHANGES: "yellow"}.get(one.code, "red")
    output.line(f"  {stand.name}  {stand.platform} {stand.mode}  {stand.state}{since}", colour)
    if stand.detail:
        output.line(f"      {stand.detail}")
    good = f"{time_text(stand.good)} ({age(now - stand.good)} ago)" if stand.good is not None else "none yet"
    output.line(f"      last good run: {good}" + (", OVERDUE" if one.overdue else ""), *(("red",) if one.overdue else ()))
    accepted = (f"{one.acknowledged} acknowledged",) if one.acknowledged else ()
    if one.findings or accepted:
        output.line(f"      open findings: {said(one.findings, accepted)}", *(("yellow",) if one.findings else ()))
    if one.hold is not None:
        output.line(f"      ON HOLD since {time_text(one.hold.at)} by {one.hold.who}: {one.hold.because}", "yellow")
    if one.due is not None:
        late = now - one.due
        text = f"in {age(-late)}" if late < 0 else f"{age(late)} ago, and nothing came: is the daemon or the timer running?"
        output.line(f"      next run: {time_text(one.due)} ({text})", "yellow" if late > 0 else "dim")


def _print_fleet(fleet: FleetStanding, output: Output) -> None:
    alive = sum(one.alive for one in fleet.workers)
    behind = f", due for {fleet.behind_s:.0f} s and not queued" if fleet.behind_s > BEHIND_S else ""
    words = (
        f"fleet: {alive} worker{'' if alive == 1 else 's'}, {fleet.running} at work, {fleet.waiting} waiting, {fleet.later} put off{behind}"
    )
    output.line(words, *(() if alive and not behind else ("red",)))
    for one in fleet.workers:
        job = f"at {', '.join(one.targets)}" if one.targets else "idle"
        state = job if one.alive else f"DEAD for {one.silent_s:.0f} s" + (f", was {job}" if one.targets else "")
        why = f"; {one.why}" if one.why else ""
        output.line(
            f"  {one.host} pid {one.pid}: {state}; policy {one.policy[:10] or '?'}{why}", *(() if one.alive and not why else ("yellow",))
        )


def _print_limit(one: LimitRow, output: Output) -> None:
    tally = one.tally
    parts = (
        f"{tally.calls} call{'' if tally.calls == 1 else 's'}",
        f"{tally.waited_s:.0f} s of waiting",
        f"{tally.throttled} refused as too fast",
    )
    output.line(f"limits today: {one.platform} {one.api_class}: {', '.join(parts)}", "yellow" if tally.throttled else "dim")


def _fleet_document(fleet: FleetStanding) -> dict[str, Any]:
    return {
        "waiting": fleet.waiting,
        "later": fleet.later,
        "running": fleet.running,
        "behind_s": round(fleet.behind_s, 1),
        "workers": [
            {
                "host": one.host,
                "pid": one.pid,
                "alive": one.alive,
                "heartbeat_s": round(one.silent_s, 1),
                "targets": list(one.targets),
                "policy": one.policy,
                "program": one.program,
                "why": one.why,
            }
            for one in fleet.workers
        ],
    }


def _document(found: Status) -> dict[str, Any]:
    from cloudsync.cli.history import record_document, time_text

    writer, last = found.writer, found.last
    return {
        "owner": found.owner,
        "policy": found.policy,
        "broken": found.broken,
        "at": time_text(found.now),
        "targets": [_target_document(one) for one in found.targets],
        "writer": writer and {"run": writer.run, "host": writer.host, "pid": writer.pid, "generation": writer.generation},
        "fleet": found.fleet and _fleet_document(found.fleet),
        "limits": [
            {
                "platform": one.platform,
                "api_class": one.api_class,
                "calls": one.tally.calls,
                "waited_s": round(one.tally.waited_s, 1),
                "throttled": one.tally.throttled,
            }
            for one in found.limits
        ],
        "last_run": last and record_document(last),
        "audit_head": found.audit_head,
    }


def _target_document(one: TargetStatus) -> dict[str, Any]:
    from cloudsync.cli.approve import hold_document
    from cloudsync.cli.history import time_text

    def moment(at: float | None) -> str | None:
        return None if at is None else time_text(at)

    return {
        "name": one.standing.name,
        "platform": one.standing.platform,
        "mode": one.standing.mode,
        "state": one.standing.state,
        "detail": one.standing.detail,
        "since": moment(one.since),
        "read": moment(one.read),
        "last_good": moment(one.standing.good),
        "overdue": one.overdue,
        "findings": one.findings,
        "acknowledged": one.acknowledged,
        "hold": one.hold and hold_document(one.hold),
        "next": moment(one.due),
        "exit": int(one.code),
    }

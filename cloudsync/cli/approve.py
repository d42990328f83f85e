"""Verbs by which a person answers: approve, hold, unhold. They contact no platform and write nothing but a note in the state."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cloudsync.cli.exits import Exit
from cloudsync.cli.output import COMMAND_LINE, Output
from cloudsync.model.errors import InputError, RefusedError
from cloudsync.model.finding import Finding

if TYPE_CHECKING:
    from cloudsync.guard.values import Approval, Refusal
    from cloudsync.settings import Settings
    from cloudsync.store.records import Hold

SHORTEST = 8
"""Hex digits of a digest that name a plan surely enough."""
_UNITS = {"m": 60.0, "h": 3600.0, "d": 86400.0}


def options(verb: str, parser: argparse.ArgumentParser) -> None:
    """Add a verb's options."""
    if verb == "approve":
        parser.add_argument("plan", metavar="DIGEST", help="the plan, by the first digits of its digest, as the refusal prints it")
        parser.add_argument("--guard", required=True, metavar="G-NAME", help="the one guard that is overridden")
        parser.add_argument(
            "--names", action="append", default=[], metavar="NAME", help="what the refusal says must be named, word for word"
        )
        parser.add_argument(
            "--until", default="24h", metavar="WHEN", help="30m, 24h, 7d or 2030-01-31T12:00:00Z; at most 7 days (default: 24h)"
        )
    else:
        parser.add_argument("target", nargs="?", metavar="TARGET", help="a target of cloudsync.yaml")
        parser.add_argument("--all", action="store_true", dest="every", help="all targets, those added later too")
    if verb != "unhold":
        parser.add_argument("--because", required=True, metavar="TEXT", help="why; it stands in the audit trail and in every report")
    parser.add_argument("--by", default="", metavar="NAME", help="who (default: your login name)")


def run(chosen: argparse.Namespace, output: Output) -> int:
    """Run one of the verbs."""
    root = Path(chosen.repository)
    match chosen.verb:
        case "approve":
            return _approve(root, chosen, output)
        case "hold":
            return _hold(root, chosen, output)
        case _:
            return _unhold(root, chosen, output)


# --- approve ---------------------------------------------------------------------------------------------------------


def _approve(root: Path, chosen: argparse.Namespace, output: Output) -> int:
    from cloudsync.app import ledger
    from cloudsync.clock import SystemClock
    from cloudsync.guard.values import Approval

    settings = ledger.read_settings(root)
    because, by = _text(chosen.because, "--because"), who(chosen.by)
    prefix = _digest(chosen.plan)
    now = SystemClock().now()
    until = _until(chosen.until, now)
    with ledger.opened(root, settings) as state:
        stored = state.records.find_plan(prefix)
        _check_refused(chosen.guard, stored.refusals, tuple(chosen.names), stored.digest)
        approval = Approval(stored.digest, stored.target, chosen.guard, by, because, until, tuple(chosen.names), now)
        state.records.approve(approval)
        verb = next((one.verb for one in state.records.runs(1, prefix=stored.run)), "apply")
    _tell_approved(approval, verb, output)
    return Exit.OK


def _tell_approved(approval: Approval, verb: str, output: Output) -> None:
    from cloudsync.guard.values import DIGITS

    until = _time(approval.until)
    output.line(
        f"approved {approval.guard} of {approval.target} for plan {approval.digest[:DIGITS]} until {until}, by {approval.who}", "green"
    )
    output.line("It holds for exactly this plan: when anything moves, the guard asks again.")
    if verb in ("rollback", "release"):
        output.line(f"next: the same `cloudsync {verb}` again")
    else:
        output.line(f"next: {output.command('apply')}")
    output.document(
        "approval",
        digest=approval.digest,
        target=approval.target,
        guard=approval.guard,
        names=list(approval.names),
        who=approval.who,
        because=approval.because,
        until=until,
    )


def _check_refused(guard: str, refusals: Iterable[Refusal], names: tuple[str, ...], digest: str) -> None:
    """Refuse an approval that could never hold: of a guard that said yes, that nothing overrides, or without the names it asks for."""
    every = tuple(refusals)
    mine = [one for one in every if one.guard == guard]
    if not mine:
        codes = sorted({one.guard for one in every})
        said = f"it was refused by {', '.join(codes)}" if codes else "no guard refused it"
        raise RefusedError(
            "G-APPROVAL", f"{guard} did not refuse plan {digest[:SHORTEST]}: {said}", "approve what the plan's report asks for"
        )
    final = [one for one in mine if not one.approve]
    if len(final) == len(mine):
        message = f"{guard} cannot be approved, by nobody: {final[0].message}"
        raise RefusedError("G-APPROVAL", message, "mend the cause, then plan again")
    asked = {name for one in mine for name in one.must_name}
    strange = [name for name in names if name not in asked]
    if strange:
        known = f"it asks for: {'; '.join(sorted(asked))}" if asked else "it asks for no name"
        raise RefusedError("G-APPROVAL", f"{guard} says nothing of {strange[0]!r}; {known}", "copy the command from the report")
    if not any(one.approve and set(one.must_name) <= set(names) for one in mine):
        missing = sorted(asked - set(names))
        raise RefusedError("G-APPROVAL", f"{guard} must be approved with the names of what is lost", f"add --names {missing[0]!r}")


def _digest(text: str) -> str:
    found = text.strip().lower()
    if len(found) < SHORTEST or not set(found) <= set("0123456789abcdef"):
        hint = "copy the command that the refusal prints; cloudsync plan shows it again"
        raise InputError([Finding(COMMAND_LINE, "BAD-DIGEST", f"'{text}' does not name a plan: want at least {SHORTEST} hex digits", hint)])
    return found


def _until(text: str, now: float) -> float:
    """Return the end of an approval in UTC seconds since the epoch."""
    from cloudsync.guard.approval import LONGEST_S
    from cloudsync.policy.resolve import read_time

    number, unit = text[:-1], text[-1:]
    moment = read_time(text)
    if moment is not None:
        until = moment.timestamp()
    elif unit in _UNITS and number.isascii() and number.isdigit() and len(number) < 8:
        until = now + int(number) * _UNITS[unit]
    else:
        raise InputError(
            [Finding(COMMAND_LINE, "BAD-TIME", f"--until '{text}' is no time", "want 30m, 24h, 7d, or UTC: 2030-01-31T12:00:00Z")]
        )
    if until <= now:
        raise InputError([Finding(COMMAND_LINE, "BAD-TIME", f"--until {text} is over already", f"it is {_time(now)}")])
    if until > now + LONGEST_S:
        raise InputError(
            [
                Finding(
                    COMMAND_LINE,
                    "BAD-TIME",
                    f"--until {text} is too far away",
                    f"an approval lives 7 days at most: {_time(now + LONGEST_S)}",
                )
            ]
        )
    return until


# --- hold ------------------------------------------------------------------------------------------------------------


def _hold(root: Path, chosen: argparse.Namespace, output: Output) -> int:
    from cloudsync.app import ledger
    from cloudsync.clock import SystemClock
    from cloudsync.store.records import Hold

    settings = ledger.read_settings(root)
    target = _target(settings, chosen)
    hold = Hold(target, who(chosen.by), _text(chosen.because, "--because"), SystemClock().now())
    with ledger.opened(root, settings) as state:
        state.records.hold(hold)
        holds = state.records.holds()
    option = "--all" if chosen.every else target
    output.line(f"on hold: {_named(target)}, by {hold.who}: {hold.because}", "yellow")
    output.line("Nothing is written there from the next call on; a run that is at work stops before its next write.")
    output.line(f"lift it with: {output.command('unhold', option)}")
    output.document("holds", holds=[hold_document(one) for one in holds])
    return Exit.OK


def _unhold(root: Path, chosen: argparse.Namespace, output: Output) -> int:
    from cloudsync.app import ledger
    from cloudsync.clock import SystemClock

    settings = ledger.read_settings(root)
    with ledger.opened(root, settings) as state:
        before = state.records.holds()
        target = _held(settings, chosen, {one.target for one in before})
        state.records.unhold(target, who(chosen.by), SystemClock().now())
        holds = state.records.holds()
    output.line(f"lifted: {_named(target)}", "green")
    for one in holds:
        output.line(f"still on hold: {_named(one.target)}, by {one.who}: {one.because}", "yellow")
    output.document("holds", holds=[hold_document(one) for one in holds])
    return Exit.OK


def hold_document(one: Hold) -> dict[str, str]:
    """Return a hold as JSON values; target `*` is all of them."""
    return {"target": one.target, "who": one.who, "because": one.because, "at": _time(one.at)}


def _target(settings: Settings, chosen: argparse.Namespace) -> str:
    from cloudsync.policy.words import did_you_mean, listed
    from cloudsync.store.records import EVERY_TARGET

    names = [target.name for target in settings.targets]
    if chosen.every == (chosen.target is not None):
        said = "not both of TARGET and --all" if chosen.every else "say which: TARGET or --all"
        raise InputError([Finding(COMMAND_LINE, "WHICH-TARGET", said, f"cloudsync.yaml has: {listed(names)}")])
    if chosen.every:
        return EVERY_TARGET
    if chosen.target not in names:
        hint = did_you_mean(chosen.target, names, f"cloudsync.yaml has: {listed(names)}")
        raise InputError([Finding(COMMAND_LINE, "UNKNOWN-TARGET", f"no target '{chosen.target}'", hint)])
    return str(chosen.target)


def _held(settings: Settings, chosen: argparse.Namespace, held: set[str]) -> str:
    """Return the target to free; one that has left the settings can still be freed."""
    from cloudsync.policy.words import listed

    if chosen.target in held and not chosen.every:
        return str(chosen.target)
    target = _target(settings, chosen)
    if target not in held:
        others = f"on hold: {listed(_named(one) for one in sorted(held))}" if held else "nothing is on hold"
        raise RefusedError("NO-HOLD", f"{_named(target)}: no such hold", others)
    return target


def _named(target: str) -> str:
    return "all targets" if target == "*" else target


# --- words -----------------------------------------------------------------------------------------------------------


def _text(text: str, option: str) -> str:
    """Return a text for the audit trail: one line, and not empty."""
    found = " ".join(text.split())
    if not found:
        raise InputError([Finding(COMMAND_LINE, "MISSING-VALUE", f"{option} is empty", "say why, in a few words")])
    strange = next((mark for mark in found if not mark.isprintable()), "")
    if strange:
        raise InputError([Finding(COMMAND_LINE, "CONTROL-CHAR", f"U+{ord(strange):04X} in {option}", "take it out")])
    return found


def who(given: str) -> str:
    """Return who answers: as given, else the login name of this process."""
    if given.strip():
        return _text(given, "--by")
    import os
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

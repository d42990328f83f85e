"""Verbs about a platform itself: iam prints the role it needs, doctor checks that all is in place. Neither writes anything to it."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cloudsync.cli.exits import Exit, worst
from cloudsync.cli.output import COMMAND_LINE, Output
from cloudsync.cli.progress import Bars

if TYPE_CHECKING:
    from cloudsync.adapter import Check, TargetSettings
    from cloudsync.app.repository import Loaded
    from cloudsync.settings import Settings


def options(verb: str, parser: argparse.ArgumentParser) -> None:
    """Add a verb's options."""
    if verb == "iam":
        parser.add_argument("platform", metavar="PLATFORM", help="the platform: aws, azure, f5 or gcp, or the name of an installed adapter")
        parser.add_argument("--read-only", action="store_true", help="what plan, drift, explain and doctor need; no right to write")
    else:
        parser.add_argument("--target", action="append", default=[], metavar="NAME", help="only this target (may be repeated)")


def run(chosen: argparse.Namespace, output: Output) -> int:
    """Run one of the verbs."""
    root = Path(chosen.repository)
    if chosen.verb == "iam":
        return _iam(root, chosen.platform, output, read_only=chosen.read_only)
    return _doctor(root, chosen.target, output)


# --- iam -------------------------------------------------------------------------------------------------------------


def _iam(root: Path, platform: str, output: Output, *, read_only: bool) -> int:
    from cloudsync import registry, sources
    from cloudsync.app import ledger
    from cloudsync.model.errors import SettingsError

    try:
        factory = registry.load(platform)
    except SettingsError as error:
        raise SettingsError(replace(one, where=COMMAND_LINE) for one in error.findings) from error
    if (root / sources.SETTINGS).exists():
        settings = ledger.read_settings(root)
        role = factory.role(_of_platform(settings, platform), owner=settings.owner, read_only=read_only)
    else:
        output.note("no cloudsync.yaml here: this role is an example; fill in your account, Regions and owner, or use -C DIR")
        role = factory.role([_example(platform)], owner="OWNER", read_only=read_only)
    if output.json:
        output.document("role", platform=platform, read_only=read_only, role=role)
    else:
        output.raw(role)
    return Exit.OK


def _of_platform(settings: Settings, platform: str) -> tuple[TargetSettings, ...]:
    from cloudsync.model.errors import SettingsError
    from cloudsync.model.finding import Finding

    found = tuple(target for target in settings.targets if target.adapter == platform)
    if not found:
        used = ", ".join(sorted({target.adapter for target in settings.targets})) or "none"
        hint = f"add one under targets:, or run this in another folder for an example; cloudsync.yaml uses: {used}"
        raise SettingsError([Finding(settings.where, "NO-TARGETS", f"no target uses the platform '{platform}'", hint)])
    return found


def _example(platform: str) -> TargetSettings:
    """Return a target that stands for any: what is to be replaced in it is plain to see."""
    from cloudsync import registry
    from cloudsync.adapter import TargetSettings
    from cloudsync.model.mode import TargetMode

    return TargetSettings("example", platform, TargetMode.OBSERVE, registry.load(platform).example, COMMAND_LINE)


# --- doctor ----------------------------------------------------------------------------------------------------------


def _doctor(root: Path, names: Iterable[str], output: Output) -> int:
    from cloudsync.app.repository import load

    loaded = load(root)
    targets = loaded.targets(names)
    found: list[tuple[str, Check]] = [("", check) for check in _local(root, loaded)]
    codes = [Exit.OK if check.ok else Exit.REFUSED for _, check in found]
    with Bars(output) as bars:
        for number, target in enumerate(targets):
            bars(f"checking {target.name}", number, len(targets))
            checks, code = _target(loaded, target)
            found += [(target.name, check) for check in checks]
            codes.append(code)
    _tell(found, output)
    if not targets:
        output.line("no target is configured: add one under targets: in cloudsync.yaml", "yellow")
    return worst(codes)


def _local(root: Path, loaded: Loaded) -> Iterator[Check]:
    """Check what every run needs before it contacts anything."""
    from cloudsync.adapter import Check
    from cloudsync.app import ledger
    from cloudsync.app.repository import policy_name
    from cloudsync.model.errors import RefusedError

    yield Check("config repository", ok=True, detail=f"policy {policy_name(loaded)}, {len(loaded.policy.rules)} rules")
    path = ledger.where(root, loaded.settings)
    try:
        with ledger.opened(root, loaded.settings) as state:
            head = state.audit.check()
            holds = state.records.holds()
    except RefusedError as error:
        yield Check("state", ok=False, detail=f"{error.code} {error.message}", hint=error.hint)
        return
    yield Check("state", ok=True, detail=f"{path}, audit trail whole, {head.lines} lines")
    for hold in holds:
        what = "all targets" if hold.target == "*" else hold.target
        yield Check("hold", ok=True, detail=f"{what} on hold by {hold.who}: {hold.because}", hint="cloudsync unhold lifts it")


def _target(loaded: Loaded, target: TargetSettings) -> tuple[tuple[Check, ...], Exit]:
    """Check one target; another account than the settings name is a refusal, all else that is wrong a failure."""
    from cloudsync import registry
    from cloudsync.adapter import Check
    from cloudsync.clock import SystemClock
    from cloudsync.model.errors import AdapterError

    try:
        adapter = registry.load(target.adapter).open(target, loaded.settings.owner, SystemClock())
        identity, expected = adapter.identify(), adapter.expected_account()
        if identity.account != expected:
            detail = f"G-IDENTITY expected account {expected}, got {identity.account} ({identity.principal}); nothing was read"
            hint = "use credentials of that account, or correct the settings"
            return (Check(f"{target.name}: identity", ok=False, detail=detail, hint=hint),), Exit.REFUSED
        always = (Check(f"{target.name}: always open", ok=True, detail=text) for text in adapter.capabilities.always_open)
        checks = (*adapter.doctor(), *always)
    except AdapterError as error:
        hint = "check credentials, network and endpoint"
        return (Check(f"{target.name}: reach", ok=False, detail=str(error), hint=hint),), Exit.FAILED
    return checks, Exit.OK if all(check.ok for check in checks) else Exit.FAILED


def _tell(found: list[tuple[str, Check]], output: Output) -> None:
    for _, check in found:
        state, colour = ("ok ", "green") if check.ok else ("NOT", "red")
        output.line(f"{state} {check.name}: {check.detail}" + (f"; {check.hint}" if check.hint else ""), colour)
    wrong = sum(not check.ok for _, check in found)
    output.line(f"{len(found)} checks, {wrong} not ok" if wrong else f"{len(found)} checks, all ok", "bold")
    output.document(
        "doctor",
        checks=[{"target": name, "name": one.name, "ok": one.ok, "detail": one.detail, "hint": one.hint} for name, one in found],
        wrong=wrong,
    )

"""What a run over several targets came to, as exit codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cloudsync.model.exits import Exit, worst
from cloudsync.report.values import RunReport, TargetReport


def graded(report: RunReport, grade: Callable[[TargetReport], Exit]) -> tuple[Exit, RunReport]:
    """Return the exit code of a run and its report with each target's own."""
    codes = [grade(target) for target in report.targets]
    targets = tuple(replace(target, code=str(int(code))) for target, code in zip(report.targets, codes, strict=True))
    return worst(codes), replace(report, targets=targets)


def planned(target: TargetReport) -> Exit:
    """Grade a target of a run that only plans."""
    base = _base(target)
    if base is not None:
        return base
    if unread(target):
        return Exit.FAILED
    return Exit.CHANGES if target.plan is not None and not target.plan.empty else Exit.OK


def converged(target: TargetReport) -> Exit:
    """Grade a target of a run that applies."""
    base = _base(target)
    if base is not None:
        return base
    failed = target.applied is not None and target.applied.status not in ("done", "nothing")
    return Exit.FAILED if failed or target.remaining or unread(target) else Exit.OK


def unread(target: TargetReport) -> bool:
    """Tell whether some scope of a target was not read whole."""
    return any(one.what.startswith("scope ") for one in target.unchecked)


def _base(target: TargetReport) -> Exit | None:
    if target.bug:
        return Exit.BUG
    if any(one.guard == "FIDELITY" for one in target.refusals):
        return Exit.INVALID
    if target.refusals or target.refused:
        return Exit.REFUSED
    if target.error:
        return Exit.FAILED
    return None

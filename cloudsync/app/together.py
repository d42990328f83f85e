"""Several targets that have to be written together, stage by stage: no stage begins before everybody has come through the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from cloudsync.apply import ApplyResult, ApplyStatus, Execution
from cloudsync.plan.values import Component, CourseMethod
from cloudsync.report.values import TargetReport


def run(
    component: Component, running: Mapping[str, Execution], unable: Mapping[str, str], settle: Callable[[Iterable[str]], None]
) -> dict[str, ApplyResult]:
    """Execute a component and return what came of every target that may be written.

    `unable`: targets that must not be written, with why. Where one of them has its turn, or a leg does not end well, the stage is the
    last: its other legs still run (inside a stage any order is safe), and whoever has more to do waits for the next run. `settle` is
    called with the targets of a stage behind it.
    """
    results: dict[str, ApplyResult] = {}
    left = {name: sum(1 for stage in component.stages if stage.leg(name)) for name in running}
    held: list[str] = []
    for number, stage in enumerate(component.stages):
        for leg in stage.legs:
            if leg.target in unable:
                held.append(f"{leg.target}, {unable[leg.target]}")
                continue
            result = results[leg.target] = running[leg.target].leg(leg.first, leg.end)
            left[leg.target] -= 1
            if result.status is not ApplyStatus.DONE:
                held.append(f"{leg.target}, which ended {result.status.value}")
        if held:
            break
        if number + 1 < len(component.stages):
            settle([leg.target for leg in stage.legs])
            for one in running.values():
                one.rested()
    for name in component.targets:
        stopped = name in results and results[name].status is not ApplyStatus.DONE
        if left.get(name) and not stopped:
            results[name] = running[name].waits(f"waits for {'; '.join(held)}: {_STANDS[component.method]}")
    return results


_STANDS = {
    CourseMethod.ORDER: "what opens here must not open before what closes there has closed",
    CourseMethod.SHIELD: "the temporary denies stay in place until everybody has changed",
    CourseMethod.MEET: "everything stays closed that is not open in the old and in the new state",
    CourseMethod.GAP: "everything stays closed that is not open in the old and in the new state",
    CourseMethod.NONE: "no order of their writes is safe",
}
"""What is held meanwhile, in words."""


def why_unwritten(report: TargetReport) -> str:
    """Return, in words, why a target is not written in this run."""
    if report.refusals:
        guards = ", ".join(dict.fromkeys(one.guard for one in report.refusals))
        return f"which was refused ({guards})"
    return "which could not be planned" if report.plan is None else "which is not written in this run"

"""Problems of the encoder (FIDELITY, G-QUOTA and others): a table that cannot be said is not written. Never overridable."""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync.guard.values import Refusal, refusal
from cloudsync.model.fidelity import Verdict
from cloudsync.plan.limits import GuardLimits
from cloudsync.plan.values import TargetPlan


def check(plan: TargetPlan, limits: GuardLimits) -> Iterator[Refusal]:
    """Refuse on every problem, and on every rule said looser than written without its acceptance, or not at all."""
    del limits
    for problem in plan.problems:
        hint = f"; {problem.hint}" if problem.hint else ""
        yield refusal(plan, problem.code, problem.message + hint, (*problem.rules, *problem.points))
    told = {rule for problem in plan.problems for rule in problem.rules}
    for fidelity in plan.fidelity:
        unaccepted = fidelity.verdict is Verdict.LOOSER and not fidelity.accepted
        if (unaccepted or fidelity.verdict is Verdict.CANNOT) and fidelity.rule not in told:
            yield refusal(plan, "FIDELITY", f"{fidelity.rule} on {fidelity.target}: {fidelity.verdict.value}; {fidelity.reason}")

"""How many of our rules a plan takes away: where rules are never edited, a rule with a successor is no loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cloudsync.adapter import Capabilities, Effect, Phase, Step
from cloudsync.plan.build import Case, _rules
from cloudsync.testing.memory import MemoryAdapter


class _Counting:
    """A platform that holds six rules of ours, whatever is asked."""

    def __init__(self, *, denies: bool) -> None:
        self.capabilities: Capabilities = replace(MemoryAdapter.capabilities, denies=denies)

    def owned(self, _table: object) -> Mapping[str, int]:
        return {"net": 6}


def _step(key: str, *, adds: int = 0, removes: int = 0, temporary: bool = False) -> Step:
    effect = Effect.SHRINKS if removes else Effect.GROWS
    return Step(key, "Write", "net", key, key, effect, "{}", adds, removes, temporary=temporary, mark="ours")


@pytest.mark.parametrize(("denies", "removed"), [(False, 3), (True, 1)])
def test_a_rule_with_a_successor_is_no_loss_where_rules_are_never_edited(*, denies: bool, removed: int) -> None:
    case = cast("Case", SimpleNamespace(adapter=_Counting(denies=denies), snapshot=SimpleNamespace(table=None), actual=_nobody()))
    steps = (
        _step("a", adds=2),
        _step("helper", adds=1, temporary=True),
        _step("b", removes=3),
        _step("helper-", removes=1, temporary=True),
    )
    (rules,) = _rules(case, None, (Phase("all", steps),))
    assert rules.removed == removed


def _nobody() -> Any:
    return SimpleNamespace(points={})

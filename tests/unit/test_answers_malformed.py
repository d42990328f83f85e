"""An answer that is not as every answer is leaves its scope incomplete, on every platform: it is no crash, and it is no empty estate."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from cloudsync.adapter import TargetSettings
from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync.testing.clock import SimulatedClock

OPTIONS: dict[str, dict[str, Any]] = {
    "aws": {"account": "111122223333", "regions": ["us-east-1"]},
    "azure": {"subscription": "5c0d5e9a-0b7e-4c55-9d10-3f1c5a2b7e99"},
    "f5": {"hosts": ["bigip1.acme.example"]},
    "gcp": {"project": "acme-prod"},
}
MALFORMED = [ValueError("invalid literal for int()"), KeyError("id"), IndexError("list index"), TypeError("x"), OverflowError("inf")]

HOLDERS = {
    "f5": (("Group", "whole"),),
    "gcp": (("_Calls", "networks"),),
}
"""Where the parsers are called from."""


@pytest.mark.parametrize("error", MALFORMED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("platform", OPTIONS)
def test_a_malformed_answer_leaves_the_scope_incomplete(platform: str, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    package: Any = importlib.import_module(f"cloudsync_{platform}")
    reading: Any = importlib.import_module(f"cloudsync_{platform}.read")
    target = TargetSettings("t", platform, TargetMode.EXCLUSIVE, OPTIONS[platform], Where("cloudsync.yaml"))
    adapter = package.ADAPTER.open(target, "acme", SimulatedClock())

    def broken(*_: object, **__: object) -> object:
        raise error

    for holder, name in HOLDERS.get(platform, (("", "whole"),)):
        monkeypatch.setattr(getattr(reading, holder) if holder else reading, name, broken)
    snapshot = adapter.read()
    assert snapshot.scopes
    assert all(scope.why for scope in snapshot.scopes)
    assert snapshot.discovery.workloads == ()
    assert any("of another kind" in scope.why for scope in snapshot.scopes)

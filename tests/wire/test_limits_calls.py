"""How many calls a run makes, counted at the wire of each platform: one read of everything, each write once, none when nothing is to do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from cloudsync.lab.http import Answer, Request
from tests.acting.folders import tmp_path
from tests.wire import fault_stage
from tests.wire.fault_loop import App
from tests.wire.fault_stage import NAMES, sent, theatre

__all__ = ["tmp_path"]

PAGE = {"aws": 100, "gcp": 500, "azure": 500, "f5": 500}
"""Everything fits one page: pages are followed, and counted, elsewhere."""
TOKENS = ("NextToken", "pageToken", "$skiptoken", "Signature", "SelectionExpression")
AGAIN: dict[str, dict[str, int]] = {
    "aws": {},
    "gcp": {"GET ": 2},
    "azure": {},
    "f5": {"GET tm/cm/device": 2},
}
"""Reads that are sent more than once on purpose, to one address: a project tells its identity and, with its quotas, itself; which of two
devices is active is asked before and after."""
APPLIED = {"POST tm/sys/config": 2, "POST tm/cm": 2}
"""F5 saves and synchronises after the change, and after what it left behind is removed."""


@dataclass
class Wire:
    """What arrived."""

    name: str
    requests: list[Request] = field(default_factory=list)

    def listen(self, app: App) -> App:
        """Stand before a lab."""

        def heard(request: Request) -> Answer:
            self.requests.append(request)
            return app(request)

        return heard

    def writes(self) -> list[Request]:
        """Return the calls that change something."""
        return [one for one in self.requests if sent(self.name, one).writes]

    def reads(self) -> Counter[tuple[str, str]]:
        """Return how often each read was sent, pages after the first left out: operation, and everything else that it asks for."""
        found: Counter[tuple[str, str]] = Counter()
        for one in self.requests:
            query = dict(parse_qsl(one.query))
            asked = {**query, **dict(parse_qsl(one.body.decode("utf-8", "replace")))}
            what = sent(self.name, one)
            if not what.writes and not any(token in asked for token in TOKENS):
                found[what.operation, f"{one.headers.get('host', '')}{one.path} {sorted(asked.items()) or one.body!r}"] += 1
        return found


def objects(wire: Wire) -> Counter[tuple[str, str]]:
    """Return how often each object was written, by operation."""
    found: Counter[tuple[str, str]] = Counter()
    for one in wire.writes():
        form = dict(parse_qsl(one.body.decode("utf-8", "replace")))
        thing = one.path if wire.name != "aws" else str(form.get("NetworkInterfaceId") or form.get("GroupId") or form.get("GroupName"))
        found[sent(wire.name, one).operation, thing if one.method != "POST" or wire.name == "aws" else str(one.body)] += 1
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_change_writes_each_object_once_and_the_next_run_reads_once(name: str, tmp_path: Path) -> None:
    wire = Wire(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(fault_stage.PAGE, name, PAGE[name])
        with theatre(name, tmp_path, wire.listen) as built:
            stage = built.stage(1)
            root = stage.folder(tmp_path / "life")
            wire.requests.clear()
            assert stage.run(root).code == 0
            assert wire.writes()
            twice = {key[0]: count for key, count in objects(wire).items() if count > 1}
            assert twice == (APPLIED if name == "f5" else {})
            built.clock.advance(fault_stage.EVERY_S)
            wire.requests.clear()
            assert stage.run(root).code == 0
            assert wire.writes() == [], "nothing is to do"
            again = {key[0]: count for key, count in wire.reads().items() if count > 1}
            assert again == AGAIN[name]

"""How many calls a run makes, counted at the wire of each platform: one read of everything, each write once, none when nothing is to do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from cloudsync.app.repository import load
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


NOTHING_TO_DO = {
    "DescribeInstances": 1,
    "DescribeNetworkInterfaces": 1,
    "DescribeSecurityGroups": 1,
    "DescribeManagedPrefixLists": 1,
    "GetManagedPrefixListEntries": 1,
    "DescribeVpcPeeringConnections": 1,
}
"""All that a run on AWS sends that finds nothing to do; the last two because a rule uses a list, and machines are in several VPCs."""
SOMETHING_TO_DO = {"DescribeVpcs": 1, "GetServiceQuota": 3, "GetCallerIdentity": 1}
"""What comes on top once there is."""


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
            if name == "aws":
                assert Counter(sent(name, one).operation for one in wire.requests) == NOTHING_TO_DO


def test_a_run_with_something_to_do_asks_for_the_rest_before_it_writes(tmp_path: Path) -> None:
    wire = Wire("aws")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(fault_stage.PAGE, "aws", PAGE["aws"])
        with theatre("aws", tmp_path, wire.listen) as built:
            stage = built.stage(1)
            wire.requests.clear()
            assert stage.run(stage.folder(tmp_path / "life")).code == 0
            sequence = [sent("aws", one) for one in wire.requests]
            first = next(at for at, one in enumerate(sequence) if one.writes)
            asked = Counter(one.operation for one in sequence[:first])
            assert {operation: asked[operation] for operation in SOMETHING_TO_DO} == SOMETHING_TO_DO


ROOM = """\
rulesets:
  - name: many
    scope: all
    owner: us
    rules:
"""


def test_limits_above_the_default_are_asked_for_when_a_policy_needs_them(tmp_path: Path) -> None:
    """65 entries for one class: refused under the default of 60, with the real limit in the words; in force where it is 100."""
    wire = Wire("aws")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(fault_stage.PAGE, "aws", PAGE["aws"])
        with theatre("aws", tmp_path, wire.listen) as built:
            stage = built.stage(1)
            root = stage.folder(tmp_path / "life")
            assert stage.run(root).code == 0
            rules = [f"      - allow iplist edge to role=web on tcp/{2000 + 2 * number}" for number in range(65)]
            (root / "policy" / "room.yaml").write_text(ROOM + "\n".join(rules) + "\n", encoding="utf-8")
            stage.loaded = load(root)
            built.ask("quotas", {"rules_per_group": 10, "groups_per_interface": 2})
            built.clock.advance(fault_stage.EVERY_S)
            refused = stage.run(root)
            assert refused.code != 0
            said = [text.message for target in refused.report.targets for text in target.refusals]
            assert any("allows 10 per group" in text and "leaves 2 groups" in text for text in said), said
            built.ask("quotas", {"rules_per_group": 100, "groups_per_interface": 5})
            built.clock.advance(fault_stage.EVERY_S)
            assert stage.run(root).code == 0
            built.clock.advance(fault_stage.EVERY_S)
            wire.requests.clear()
            assert stage.run(root).code == 0
            assert wire.writes() == []
            asked = Counter(sent("aws", one).operation for one in wire.requests)
            assert asked["GetServiceQuota"] == 3, "a group that is over the default needs its limit on every run"

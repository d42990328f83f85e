"""Whole runs over two targets with a load balancer between them: one waits for the other, and says so."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from cloudsync.app import session
from cloudsync.app.grades import converged, graded
from cloudsync.app.session import Start
from cloudsync.model.address import AddressSet
from cloudsync.model.exits import Exit
from cloudsync.model.service import TCP, ServiceSet
from cloudsync.model.workload import Forward, PointId
from cloudsync.plan.values import CourseMethod
from cloudsync.report.document import run_document
from cloudsync.report.text import render
from cloudsync.report.values import RunReport
from cloudsync.store.records import Hold
from cloudsync.testing.clock import SimulatedClock
from cloudsync.testing.memory import Fault
from cloudsync.testing.memory_table import Spot
from cloudsync.testing.ordered import OrderedPlatform

PACKAGE = '''"""Ordered platforms in memory, by target; the test puts them here."""

from cloudsync.testing.ordered import OrderedAdapter

PLATFORMS = {}


class Factory:
    name = "ledger"
    permissions = ()

    def check(self, target):
        return ()

    def open(self, target, owner, clock):
        found = OrderedAdapter(PLATFORMS[target.name], target.name, owner)
        found.scope = f"{target.name}/one"
        return found

    def role(self, targets, *, owner, read_only):
        return "{}\\n"


ADAPTER = Factory()
'''
SETTINGS = """owner: small
targets:
  - {name: core, adapter: ledger, mode: exclusive}
  - {name: edge, adapter: ledger, mode: exclusive}
labels_from:
  - {label: role, tag: Role}
schedule: {every: 5m}
guards: {max_affected_workloads: 100%, max_removed_rules: 100%, max_gone_workloads: 100%, max_restores: 500}
"""
POLICY = """version: 1
labels: {role: [vip, db]}
iplists: {office: [192.0.2.0/24], branch: [198.51.100.0/24]}
enforcement: {default: full}
rulesets:
  - name: base
    scope: all
    owner: netsec
    rules:
"""
BEFORE = ("allow iplist office to role=vip on tcp/443", "allow iplist office to role=db on tcp/22")
AFTER = ("allow iplist branch to role=vip on tcp/443", "allow role=vip to role=db on tcp/8080")
VIP, DB = PointId("edge/one/vip"), PointId("core/one/db")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, ModuleType]]:
    package = tmp_path / "site" / "cloudsync_ledger"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(PACKAGE, encoding="utf-8")
    schema = {"type": "object", "additionalProperties": False, "properties": {}}
    (package / "settings.schema.json").write_text(json.dumps(schema), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    module = import_module("cloudsync_ledger")
    edge, core = OrderedPlatform(), OrderedPlatform()
    edge.spots[VIP] = Spot(VIP, "edge/one", "net", AddressSet.of("10.1.0.1"))
    core.spots[DB] = Spot(DB, "core/one", "net", AddressSet.of("10.2.0.1"))
    edge.tags[VIP], core.tags[DB] = (("Role", "vip"),), (("Role", "db"),)
    https, api = ServiceSet.ports(TCP, 443, 443), ServiceSet.ports(TCP, 8080, 8080)
    edge.forwards[VIP] = (Forward(https, AddressSet.of("10.2.0.1"), api, AddressSet.of("10.1.0.1")),)
    module.PLATFORMS.update(edge=edge, core=core)
    root = tmp_path / "config"
    (root / "policy").mkdir(parents=True)
    (root / "cloudsync.yaml").write_text(SETTINGS, encoding="utf-8")
    yield root, module
    sys.modules.pop("cloudsync_ledger", None)


def run(root: Path, rules: tuple[str, ...], held: str = "") -> tuple[RunReport, Exit]:
    """Make one run with these rules; `held`: a target that is put on hold before."""
    (root / "policy" / "base.yaml").write_text(POLICY + "".join(f"      - {rule}\n" for rule in rules), encoding="utf-8")
    with session.begin(root, (), Start("apply", writer=True, clock=SimulatedClock())) as work:
        work.recover()
        if held:
            work.state.records.hold(Hold(held, "ann", "incident 7", work.clock.now()))
        code, report = graded(work.apply(work.plan("apply")), converged)
        if held:
            work.state.records.unhold(held, "ann", work.clock.now())
        work.finish(code, report)
    return report, code


def test_the_member_opens_after_the_load_balancer_has_closed(place: tuple[Path, ModuleType]) -> None:
    root, module = place
    assert run(root, BEFORE)[1] is Exit.OK
    edge, core = module.PLATFORMS["edge"], module.PLATFORMS["core"]
    order: list[str] = []
    edge.after_write = lambda _number: order.append("edge")
    core.after_write = lambda _number: order.append("core")
    report, code = run(root, AFTER)
    assert code is Exit.OK, [line for line, _ in render(report)]
    component = next(one.plan.component for one in report.targets if one.plan is not None)
    assert component is not None
    assert component.method is CourseMethod.ORDER
    assert component.witnesses[0].behind == "db"
    assert order == sorted(order, reverse=True), "core wrote before edge was done"
    assert "core" in order
    assert any("passed on" in line or "by vip to db" in line for line, _ in render(report))
    assert run_document(report)["targets"][0]["plan"]["together"]["method"] == "order"
    before = len(edge.calls) + len(core.calls)
    assert run(root, AFTER)[1] is Exit.OK
    assert len(edge.calls) + len(core.calls) == before


@pytest.mark.parametrize("why", ["hold", "fault"])
def test_the_member_waits_while_the_load_balancer_cannot_be_written(place: tuple[Path, ModuleType], why: str) -> None:
    root, module = place
    run(root, BEFORE)
    edge, core = module.PLATFORMS["edge"], module.PLATFORMS["core"]
    before = len(core.calls)
    if why == "fault":
        edge.faults[len(edge.calls) + 1] = Fault.REFUSED
    report, code = run(root, AFTER, held="edge" if why == "hold" else "")
    assert code is (Exit.REFUSED if why == "hold" else Exit.FAILED)
    waiting = next(one for one in report.targets if one.name == "core")
    assert waiting.applied is not None
    assert waiting.applied.status == "waiting"
    words = "which was refused (HOLD)" if why == "hold" else "which ended failed"
    assert waiting.applied.message.startswith(f"waits for edge, {words}: what opens here must not open before")
    assert len(core.calls) == before
    assert run(root, AFTER)[1] is Exit.OK

"""What is ours on the platforms, for other tools: one reading of every target, nothing written to any."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cloudsync import run
from cloudsync.adapter import Adapter, Snapshot
from cloudsync.app.session import Progress, Session, start
from cloudsync.compile.tables import tables as compiled
from cloudsync.model.errors import AdapterError
from cloudsync.plan.terraform import name_in
from cloudsync.report.tables import tables_text
from cloudsync.report.terraform import Holding, Module, modules


def terraform(root: Path, targets: Iterable[str], progress: Progress) -> tuple[tuple[Module, ...], tuple[str, ...]]:
    """Return what is ours as Terraform's configuration, and what Terraform has no resource for.

    Raises AdapterError when a target could not be read whole: a list with holes would be taken for all of it.
    """
    with start(root, targets, verb="export", progress=progress) as session:
        seen = session.look()
        holdings = tuple(_holding(session, reading) for reading in seen.readings)
    return modules(holdings)


def tables(root: Path, targets: Iterable[str], progress: Progress) -> tuple[tuple[str, str], ...]:
    """Return the policy as tables of addresses, one text for each routing domain that has workloads, by the domain's name."""
    with start(root, targets, verb="export", progress=progress) as session:
        seen = session.look()
    compiler = seen.scene.compiler
    domains = sorted({interface.domain for one in seen.inventory.workloads for interface in one.interfaces})
    return tuple((domain, tables_text(compiled(compiler, domain), seen.scene.policy)) for domain in domains)


def _holding(session: Session, reading: run.Reading) -> Holding:
    snapshot, adapter = reading.snapshot, reading.adapter
    if snapshot is None or adapter is None:
        raise AdapterError(reading.target.name, "read", reading.error or "not read")
    partial = next((scope for scope in snapshot.scopes if not scope.complete), None)
    if partial is not None:
        raise AdapterError(reading.target.name, "read", f"{partial.scope} was not read whole: {partial.why}")
    platform, account = adapter.capabilities.platform, adapter.expected_account()
    table = adapter.dump(snapshot.table)
    return Holding(reading.target.name, platform, account, session.loaded.settings.owner, table, _ours(adapter, snapshot))


def _ours(adapter: Adapter, snapshot: Snapshot) -> frozenset[str]:
    """Return the names of our objects, and `object/rule` of our rules, as the adapter tells them."""
    entries = [entry for entry in adapter.entries(snapshot.table) if entry.ours]
    rules = {f"{entry.object}/{name_in(entry.native)}" for entry in entries}
    return frozenset({*(entry.object for entry in entries), *rules})

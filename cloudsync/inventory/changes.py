"""What changed between two inventories, and who is remembered although this run did not find them.

Only a complete reading may make a workload go, and only the second one in a row: rules are taken away slowly, addresses given to somebody
else at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from enum import Enum

from cloudsync.adapter import ScopeState
from cloudsync.inventory.merge import STATIC_SCOPE
from cloudsync.inventory.values import Held, Inventory, Why
from cloudsync.model.address import NOWHERE, AddressSet
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import Domain, Interface, Labels, Workload, WorkloadId

RUNS_TO_GO = 2
"""Complete runs in a row that must miss a workload before it goes."""


class Kind(Enum):
    """What happened to a workload."""

    ADDED = "added"
    REMOVED = "removed"
    RELABELLED = "relabelled"


@dataclass(frozen=True, slots=True)
class LabelChange:
    """One workload whose labels are not what they were. A label change is an access change."""

    kind: Kind
    id: WorkloadId
    name: str
    scope: str
    before: Labels
    after: Labels
    source: str
    """What gave the labels: of the new ones, or, for a removed workload, of the old ones."""

    def text(self) -> str:
        """Return one line for people (names are as found: the printer escapes them)."""
        if self.kind is Kind.RELABELLED:
            return f"{self.name} ({self.id}) relabelled: {self.before.text()} -> {self.after.text()}  [{self.source or 'no source'}]"
        labels = self.after if self.kind is Kind.ADDED else self.before
        return f"{self.name} ({self.id}) {self.kind.value}: {labels.text()}"


def label_changes(before: Inventory | None, after: Inventory) -> tuple[LabelChange, ...]:
    """Return every added, removed and relabelled workload, ordered by id; empty when nothing is known of before."""
    if before is None:
        return ()
    old = {workload.id: workload for workload in before.workloads}
    new = {workload.id: workload for workload in after.workloads}
    return tuple(_changes(old, new))


def _changes(old: dict[WorkloadId, Workload], new: dict[WorkloadId, Workload]) -> Iterator[LabelChange]:
    for key in sorted(old.keys() | new.keys()):
        was, now = old.get(key), new.get(key)
        if was is None and now is not None:
            yield LabelChange(Kind.ADDED, key, now.name, now.scope, Labels(), now.labels, now.source)
        elif now is None and was is not None:
            yield LabelChange(Kind.REMOVED, key, was.name, was.scope, was.labels, Labels(), was.source)
        elif was is not None and now is not None and was.labels != now.labels:
            yield LabelChange(Kind.RELABELLED, key, now.name, now.scope, was.labels, now.labels, now.source)


def with_last_good(inventory: Inventory, last_good: Inventory | None) -> Inventory:
    """Return the inventory to act on: the one found, plus remembered members.

    Members of a scope that was not read whole stay as last verified. A workload missing from a complete scope stays until two complete
    runs in a row missed it, unless an address of it is somebody else's now: then it goes at once. A scope that the settings no longer name,
    and the static inventory, are decisions of people: what they leave out goes at once.
    """
    if last_good is None:
        return inventory
    scopes = {state.scope: state for state in inventory.scopes}
    present = {workload.id for workload in inventory.workloads}
    counted = {held.id: held.missing for held in last_good.held}
    taken = AddressSet.union_all(interface.addresses for workload in inventory.workloads for interface in workload.interfaces)
    others = _Others(inventory)
    kept: list[Workload] = []
    held: list[Held] = []
    for workload in last_good.workloads:
        if workload.id in present or workload.scope == STATIC_SCOPE:
            continue
        state = scopes.get(workload.scope)
        mark = _mark(workload, state, counted.get(workload.id, 0))
        rest = _rest(workload, mark.why, others, taken) if mark else None
        if mark and rest:
            kept.append(rest)
            held.append(mark)
    workloads = sorted([*inventory.workloads, *kept], key=lambda workload: workload.id)
    return replace(inventory, workloads=tuple(workloads), held=tuple(sorted(held, key=lambda one: one.id)))


def _mark(workload: Workload, state: ScopeState | None, missing: int) -> Held | None:
    """Return why a workload is remembered, None when it goes."""
    if state is None:
        return None
    if not state.complete:
        return Held(workload.id, Why.INCOMPLETE, missing)
    if missing + 1 >= RUNS_TO_GO:
        return None
    return Held(workload.id, Why.ABSENT, missing + 1)


class _Others:
    """The addresses that the workloads found have, as seen from an interface that is only remembered."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._found: dict[tuple[Domain, str], AddressSet] = {}

    def of(self, interface: Interface) -> AddressSet:
        """Return the addresses that others have where this interface is; those it may share do not count."""
        key = interface.domain, interface.shared
        if key not in self._found:
            self._found[key] = AddressSet.union_all(self._seen(*key))
        return self._found[key]

    def _seen(self, domain: Domain, shared: str) -> Iterator[AddressSet]:
        for other in self._inventory.workloads:
            own = tuple(one for one in other.interfaces if not (shared and one.shared == shared))
            yield (other if len(own) == len(other.interfaces) else replace(other, interfaces=own)).addresses(domain)


def _rest(workload: Workload, why: Why, others: _Others, taken: AddressSet) -> Workload | None:
    """Return what is remembered of a workload; None when it goes after all.

    An absent one goes as soon as one of its addresses is somebody else's; until then it is only a peer: its points are gone.
    Of one that was merely not read, the addresses that somebody else has now are left out.
    """
    shares = any(interface.addresses & taken for interface in workload.interfaces)
    interfaces = []
    for interface in workload.interfaces:
        rest = interface.addresses - (others.of(interface) if shares else NOWHERE)
        if rest != interface.addresses and why is Why.ABSENT:
            return None
        if rest:
            interfaces.append(replace(interface, addresses=rest, point=None if why is Why.ABSENT else interface.point))
    return replace(workload, interfaces=tuple(interfaces)) if interfaces or not workload.interfaces else None

"""What an inventory is: every workload with labels and domains, how completely each scope was read, and who is only remembered."""

from __future__ import annotations

import json
from enum import Enum

from cloudsync.adapter import ScopeState
from cloudsync.model.codec import Json, canonical, from_json, to_json
from cloudsync.model.finding import Finding, Severity
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import Workload, WorkloadId


class Why(Enum):
    """Why a workload is in the inventory although this run did not find it."""

    INCOMPLETE = "its scope was not read whole"
    ABSENT = "missing, not yet in two complete runs"


@dataclass(frozen=True, slots=True)
class Held:
    """A workload that is only remembered. `missing` counts the complete runs in a row that did not find it."""

    id: WorkloadId
    why: Why
    missing: int = 0


@dataclass(frozen=True, slots=True)
class Inventory:
    """One inventory: workloads ordered by id, scopes by name. Errors among the findings forbid to act on it."""

    workloads: tuple[Workload, ...] = ()
    scopes: tuple[ScopeState, ...] = ()
    held: tuple[Held, ...] = ()
    """Ordered by id; each is among the workloads."""
    warnings: tuple[Finding, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def complete(self) -> bool:
        """Tell whether every scope was read whole."""
        return all(scope.complete for scope in self.scopes)

    def members(self, scope: str) -> tuple[Workload, ...]:
        """Return the workloads of one scope, remembered ones included."""
        return tuple(workload for workload in self.workloads if workload.scope == scope)

    @property
    def usable(self) -> bool:
        """Tell whether no finding is an error."""
        return not any(finding.severity is Severity.ERROR for finding in self.findings)


FORMAT = 1


def dump(inventory: Inventory) -> str:
    """Return an inventory as one line of JSON, byte-stable; findings and warnings are of their run and are left out."""
    return canonical(document(inventory))


def document(inventory: Inventory) -> Json:
    """Return the same as a JSON value."""
    kept = Inventory(inventory.workloads, inventory.scopes, inventory.held)
    return {"format": FORMAT, "inventory": to_json(kept)}


def load(text: str) -> Inventory:
    """Return the inventory that `dump` wrote. Raises ValueError when the text is none."""
    found = json.loads(text)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"inventory format {found.get('format') if isinstance(found, dict) else None}: want {FORMAT}")
    return from_json(Inventory, found["inventory"])

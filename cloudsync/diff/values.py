"""Values of a difference: what opens and closes, for whom, and what every touched point lets through before and after."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from cloudsync.adapter import Access, Origin
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.workload import Labels, PointId, WorkloadId


class Direction(Enum):
    """Seen from the enforcement point."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


@dataclass(frozen=True, slots=True)
class Change:
    """One change of meaning, for people: the same packets open or close at these points, because of these rules."""

    direction: Direction
    opens: PacketSet
    closes: PacketSet
    points: tuple[PointId, ...]
    class_id: str = ""
    labels: Labels = Labels()
    origins: tuple[Origin, ...] = ()
    text: str = ""
    """One line, e.g. `+ tcp/8443 from role=web to role=app: 8 workloads`."""


@dataclass(frozen=True, slots=True)
class PointChange:
    """What one enforcement point lets in and out before and after; present for every point whose packets or own rules change.

    `ours_before` and `ours_after` are what our own objects alone let through there.
    """

    point: PointId
    workload: WorkloadId
    scope: str
    network: str
    labels: Labels
    before: Access
    after: Access
    ours_before: Access = Access()
    ours_after: Access = Access()
    enforced: bool = True
    """Whether the policy enforces anything here after the plan (modes selective and full)."""
    sibling: Access | None = None
    """Set only for a workload that the last verified inventory of its scope lacks although an enforced member of the same class in
    the same network was in it: what such a member lets in and out today. A machine that joins its like is no news to the guards."""

    @property
    def opens(self) -> Access:
        """Packets that pass after and did not before."""
        return Access(self.after.inbound - self.before.inbound, self.after.outbound - self.before.outbound)

    @property
    def closes(self) -> Access:
        """Packets that passed before and do not after."""
        return Access(self.before.inbound - self.after.inbound, self.before.outbound - self.after.outbound)


@dataclass(frozen=True, slots=True)
class Adoption:
    """What a point had when we took it over, recorded before the first write so that it can be given back."""

    point: PointId
    original: tuple[str, ...]
    """Native ids of the objects attached to it, in stable order."""
    inbound: PacketSet = NO_PACKETS
    outbound: PacketSet = NO_PACKETS

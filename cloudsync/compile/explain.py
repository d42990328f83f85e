"""Where the packets of one workload are decided: its interfaces, each with its class, its routing domain and how far it is enforced."""

from __future__ import annotations

from cloudsync.compile.allowed import Compiler
from cloudsync.model.mode import Egress, Mode
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import Domain, PointId, Workload


@dataclass(frozen=True, slots=True)
class Seat:
    """One interface of a workload at which a packet is decided. `number` is the class in its universe."""

    workload: Workload
    number: int
    domain: Domain
    point: PointId | None
    mode: Mode
    egress: Egress


def seats(compiler: Compiler, workload: Workload) -> tuple[Seat, ...]:
    """Return where a workload's packets are decided: one seat per interface, in their order."""
    for number, group in enumerate(compiler.universe.classes):
        if any(one.id == workload.id for one in group.workloads):
            return tuple(
                Seat(workload, number, interface.domain, interface.point, group.mode, group.egress) for interface in workload.interfaces
            )
    return ()

"""Points in series inside one target: a packet between two workloads crosses the source's egress and the destination's ingress.

X = what could get through while both are wide but neither the old nor the new state lets through. If X is empty, adding everywhere before
removing anywhere is safe in any interleaving; if not, it exposes, and the transition needs shields or has to shrink first (MEET).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cloudsync.adapter import Adapter, Table, Whose
from cloudsync.model.address import AddressSet
from cloudsync.model.workload import PointId
from cloudsync.proof import flows
from cloudsync.proof.flows import Crossing, Ground, Place


def crossings(adapter: Adapter, actual: Table, final: Table, addresses: Mapping[PointId, AddressSet]) -> Iterator[Crossing]:
    """Yield X per pair of ends that change alike; nothing when any interleaving of points is safe."""
    old = adapter.decode(actual, Whose.ALL)
    new = adapter.decode(final, Whose.ALL)
    yield from flows.crossings((Ground("", old, new, places_of(addresses)),))


def places_of(addresses: Mapping[PointId, AddressSet]) -> dict[PointId, Place]:
    """Return places of which only the addresses are known."""
    return {point: Place(own) for point, own in addresses.items()}

"""Two readings of the same tables: the judges of the simulation, rule by rule, and the adapters' own decoding by set algebra."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudsync.model.address import Family
from cloudsync.model.packets import Packet
from cloudsync.model.workload import PointId
from tests.sim.judges import JUDGES
from tests.sim.lens import Lens
from tests.sim.transitions import Transition
from tests.sim.world import plugged
from tests.trust.budget import budget


@pytest.fixture(scope="module")
def ground() -> Iterator[Path]:
    with plugged() as root:
        yield root


def packets(lens: Lens, families: set[int]) -> Iterator[tuple[int, Packet]]:
    """Yield every packet of a lens with its bit, of the families that a point speaks."""
    for at, address in enumerate(lens.addresses):
        for number, (protocol, detail) in enumerate(lens.services):
            if address.version in families and protocol != {4: 58, 6: 1}[address.version]:
                yield at * lens.width + number, Packet(Family(address.version), int(address), protocol, detail)


def compared(transition: Transition) -> int:
    """Compare every packet at every point of every platform; return how many that were."""
    desk, count = transition.desk, 0
    lens = Lens.over([one for wire in desk.world.wires.values() for _, own in wire.site.cards() for one in own])
    for name, wire in desk.world.wires.items():
        rows = JUDGES[wire.site.kind](lens, wire.site.table)
        told = desk.adapters[name].decode(wire.site.table)
        for point, own in wire.site.cards():
            said = told[PointId(point)]
            for mine, theirs in zip(rows[point], (said.inbound, said.outbound), strict=True):
                for bit, packet in packets(lens, {one.version for one in own}):
                    assert bool(mine >> bit & 1) is (packet in theirs), (transition.seed, name, point, packet.text())
                    count += 1
    return count


def test_judges_and_decoders_agree_on_every_packet(ground: Path) -> None:
    seeds = range(700, 700 + budget(change=3, night=300, release=60))
    count = sum(compared(one) for seed in seeds for one in Transition.several(ground / f"judged-{seed}", seed, legs=1))
    assert count > 2000

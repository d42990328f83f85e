"""Every way of a packet through a drawn world, as bits of one integer: source egress, destination ingress, and virtual servers between.

One bit is one packet on one way: from an address, to an address, on a service; and beside these, for a virtual server with pool members,
from a client through the server's address to a member. A platform's part of the world is a mask over all of them that is zero where the
platform stops the packet: the world lets through what all masks let through.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from ipaddress import ip_address
from operator import and_

from tests.sim.judges import Rows
from tests.sim.lens import Address, Lens
from tests.sim.sites import Card
from tests.sim.sites_more import SNAT

Pools = tuple[tuple[Address, Address], ...]
"""Address of a virtual server, address of a member behind it."""


@dataclass(slots=True)
class Paths:
    """The ways of one world. `homes`: address -> platform and point."""

    lens: Lens
    homes: Mapping[Address, tuple[str, str]]
    pools: Pools = ()
    whole: int = 0
    _block: int = 0
    _self: list[int] = field(default_factory=list)

    @classmethod
    def over(cls, cards: Mapping[str, Iterable[Card]], pools: Pools = ()) -> Paths:
        """Return the ways between the machines of some platforms, and to and from everybody outside."""
        homes = {one: (kind, point) for kind, found in cards.items() for point, own in found for one in own}
        lens = Lens.over([*homes, ip_address(SNAT)])
        paths = cls(lens, homes, pools)
        paths._block = len(lens.addresses) * lens.width
        paths.whole = paths._joined({}, {})
        return paths

    def mask(self, kind: str, rows: Rows) -> int:
        """Return what a platform with these rows does not stop."""
        into = {one: rows[point][0] for one, (home, point) in self.homes.items() if home == kind and point in rows}
        out = {one: rows[point][1] for one, (home, point) in self.homes.items() if home == kind and point in rows}
        return self._joined(into, out)

    def _joined(self, into: Mapping[Address, int], out: Mapping[Address, int]) -> int:
        lens, whole, at = self.lens, 0, 0
        services = (1 << lens.width) - 1
        starts = [(start.version, lens.place[start] * lens.width, open_out) for start, open_out in out.items()]
        for place, goal in enumerate(lens.addresses):
            version, own = goal.version, place * lens.width
            block = into.get(goal, -1) & lens.of(frozenset({version}))
            block &= ~(services << own)  # nobody meets a wall on the way to itself
            for family, shift, open_out in starts:
                if family == version:
                    block &= ~(services << shift) | (open_out >> own & services) << shift
            whole |= block << at
            at += self._block
        for server, member in self.pools:
            block = into.get(server, -1) & lens.of(frozenset({4}))
            for start, open_out in out.items():
                if start.version == 4:
                    shift = lens.place[start] * lens.width
                    block &= ~(services << shift) | lens.row(open_out, server) << shift
            if member in into:
                row = lens.row(into[member], ip_address(SNAT))
                block &= lens.product((1 << len(lens.addresses)) - 1, row)
            whole |= block << at
            at += self._block
        return whole

    def about(self, own: Iterable[Address]) -> int:
        """Return every way that begins or ends at some addresses."""
        lens, whole = self.lens, 0
        some = lens.product(sum(1 << lens.place[one] for one in set(own)), (1 << lens.width) - 1)
        chosen = set(own)
        for at, goal in enumerate(lens.addresses):
            whole |= ((1 << self._block) - 1 if goal in chosen else some) << at * self._block
        return whole & self.whole

    def coming_from(self, start: Address) -> int:
        """Return every direct way that begins at an address."""
        lens = self.lens
        some = ((1 << lens.width) - 1) << lens.place[start] * lens.width
        return sum(some << at * self._block for at in range(len(lens.addresses))) & self.whole

    def words(self, packets: int) -> str:
        """Return the first way of a set, for people."""
        lens = self.lens
        columns = [str(one) for one in lens.addresses] + [f"{server} and on to {member}" for server, member in self.pools]
        for at, goal in enumerate(columns):
            block = packets >> at * self._block & ((1 << self._block) - 1)
            if block:
                return f"from {lens.words(block)} to {goal}"
        return "nothing"


def through(masks: Iterable[int]) -> int:
    """Return what every mask lets through."""
    return reduce(and_, masks, -1)

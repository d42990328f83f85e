"""Comparing: does every platform let through what the independent reading of the policy says, at every address of every interface?"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.oracle import azure_reach, f5_reach, four_aws, gcp_reach, probes
from tests.oracle.four_draw import COARSE, VOCABULARY4
from tests.oracle.four_ground import Estate, Reach, Row, host
from tests.oracle.four_rig import FourRig
from tests.oracle.language import Book
from tests.oracle.reading import LOOSE, NAMED, Address, Card, Machine, Reading, Service

Key = tuple[str, bool, Address]
"""An interface, whether inbound, and a peer."""
World = dict[Key, Row]
TAMPERED = host("203.0.113.99")
"""An address that people who tamper let in, with telnet: looked at in every case."""
ENFORCED = ("full", "selective")
REACHES: Mapping[str, Callable[[Any, Sequence[Service]], Reach]] = {
    "aws": four_aws.reach,
    "gcp": gcp_reach.Reach,
    "azure": azure_reach.Reach,
    "f5": f5_reach.Reach,
}
"""Who answers for the raw reading of each platform."""


@dataclass
class Lens:
    """What is looked at in one case: the same packets before, between and after. `home` is the platform of an interface."""

    book: Book
    machines: list[Machine]
    services: list[Service]
    addresses: list[Address]
    home: dict[str, str]
    bystanders: list[str]
    rows: dict[tuple[bool, str, str], list[Row]] = field(default_factory=dict)
    """Answers for interfaces whose rules are the same as before."""

    def cards(self) -> Iterator[tuple[Machine, Card]]:
        """Yield every interface that packets arrive at, with its machine."""
        return ((machine, card) for machine in self.machines for card in machine.cards if not card.source_only)

    def world(self, estates: Mapping[str, Estate]) -> World:
        """Return what becomes of every packet now."""
        found: World = {}
        reaches = {name: REACHES[name](estate, self.services) for name, estate in estates.items()}
        for ref in (*(card.ref for _, card in self.cards()), *self.bystanders):
            name = self.home[ref]
            if name not in reaches:
                continue
            for inbound in (True, False):
                key = (inbound, ref, reaches[name].rules(ref, inbound=inbound))
                if key not in self.rows:
                    self.rows[key] = [reaches[name].row(ref, address, inbound=inbound) for address in self.addresses]
                found.update(zip(((ref, inbound, address) for address in self.addresses), self.rows[key], strict=True))
        return found

    def words(self, bits: int) -> str:
        """Return the first few services of a set of bits, for people."""
        said = [f"{one.protocol}/{one.port}.{one.code}" for at, one in enumerate(self.services) if bits >> at & 1]
        return ", ".join(said[:6]) + (f" and {len(said) - 6} more" if len(said) > 6 else "")


def lens(rig: FourRig, book: Book, seed: int, *, limit: int = 150) -> Lens:
    """Decide what to look at, from the estates as they are now and the policy."""
    estates = rig.estates()
    machines: list[Machine] = []
    home: dict[str, str] = {}
    bystanders: list[str] = []
    for name, estate in estates.items():
        for machine in estate.machines(VOCABULARY4):
            machines.append(machine)
            home.update((card.ref, name) for card in machine.cards)
        bystanders += estate.bystanders()
        home.update((ref, name) for ref in estate.bystanders())
    addresses = set(probes.addresses(book, machines, []))
    for estate in estates.values():
        for text in estate.blocks():
            addresses |= probes.edges(text)
    own = {one for machine in machines for card in machine.cards for one in card.addresses}
    rest = sorted(addresses - own, key=_order)
    picked = {*own, TAMPERED, *random.Random(seed).sample(rest, min(len(rest), max(40, limit - len(own))))}
    services = {*probes.services(book, []), Service(6, 23)}
    for estate in estates.values():
        for protocol, low, high in estate.ports():
            services |= {Service(protocol, one) for one in (low - 1, low, high, high + 1) if 0 <= one <= 65535}
    return Lens(book, machines, sorted(services), sorted(picked, key=_order), home, bystanders)


def _order(address: Address) -> tuple[int, int]:
    return address.version, int(address)


@dataclass(frozen=True)
class Differing:
    """One packet or several on which a platform and the policy disagree."""

    platform: str
    machine: str
    card: str
    inbound: bool
    address: Address
    what: str
    bits: int

    def text(self, look: Lens) -> str:
        """Return it for people."""
        way = "from" if self.inbound else "to"
        return f"{self.platform} {self.machine} {self.card} {way} {self.address}: {self.what}: {look.words(self.bits)}"


def differences(look: Lens, now: World, before: World, modes: Mapping[str, str], *, outrank: bool = False) -> list[Differing]:
    """Return every packet on which a platform and the policy disagree; empty is the aim. `before` is what stood there before us."""
    reading = Reading(look.book, look.machines, look.services)
    named = sum(1 << at for at, service in enumerate(look.services) if service.protocol in NAMED)
    found: list[Differing] = []
    for machine, card in look.cards():
        name = look.home[card.ref]
        for inbound in (True, False):
            for address in look.addresses:
                key = (card.ref, inbound, address)
                if key not in now:
                    continue
                row, was = now[key], before[key]
                least, most = expected(reading, (machine, card), key, (row, was), (name, modes[name]), outrank=outrank)
                least &= row.there & was.there & (named if name == "aws" else -1)
                for what, bits in (("blocked, must be open", least & ~row.every), ("open, must be closed", row.some & row.there & ~most)):
                    if bits:
                        found.append(Differing(name, machine.name, card.ref, inbound, address, what, bits))
    for key, was in before.items():
        if key[0] in look.bystanders and (now[key].some, now[key].every) != (was.some, was.every):
            bits = now[key].some ^ was.some or now[key].every ^ was.every
            found.append(Differing(look.home[key[0]], "nobody", *key, "changed at an interface of nobody", bits))
    return found


def expected(
    reading: Reading, who: tuple[Machine, Card], key: Key, rows: tuple[Row, Row], where: tuple[str, str], *, outrank: bool
) -> tuple[int, int]:
    """Return `(least, most)`: what must be open at every address of an interface, and what may be open at any. `where`: platform, mode."""
    (machine, card), (_, inbound, address), (row, was), (platform, mode) = who, key, rows, where
    line = reading.held(machine)
    if platform == "aws" and line.mode not in ENFORCED:
        return 0, -1  # a group that its rules refer to may have lost members; that its own groups stay is looked at elsewhere
    if not card.managed or line.mode not in ENFORCED or (not inbound and line.egress == "leave"):
        return was.every, was.some
    may = frozenset({"any-type"}) if platform in COARSE else LOOSE if platform == "aws" else frozenset()
    allow, never = (reading.tier(word, card, machine, address, inbound=inbound) for word in ("allow", "never allow"))
    wide = reading.tier("allow", card, machine, address, inbound=inbound, loose=may) & ~never
    exact = allow & ~never
    if mode == "additive":
        kept = was.some if platform == "aws" else was.some & ~(never & ~was.above)  # AWS has no order and no denies
        return exact & ~row.cut & ~(0 if outrank else was.denied), wide | kept | row.forced
    stays_every = stays_some = 0
    if line.mode == "selective":
        closed = reading.tier("deny", card, machine, address, inbound=inbound) | reading.bits(line.closed)
        stays_every, stays_some = was.every & ~closed & ~never, was.some & ~closed & ~never
    return (exact | stays_every) & ~row.cut, wide | stays_some | row.forced


# --- moments on the way -----------------------------------------------------------------------------------------------


@dataclass
class Watch:
    """Looks at one platform's data plane after every request that could have changed it."""

    rig: FourRig
    look: Lens
    name: str
    worlds: list[tuple[str, World]] = field(default_factory=list)
    _last: str = ""

    def begin(self) -> None:
        """Look from now on."""
        gate = self.rig.grounds[self.name].gate
        assert gate is not None
        gate.seen = lambda entry: self._look(entry.operation) if entry.mutating or "peration" in entry.operation else None

    def end(self) -> None:
        """Look no more."""
        gate = self.rig.grounds[self.name].gate
        assert gate is not None
        gate.seen = None

    def _look(self, operation: str) -> None:
        ground = self.rig.grounds[self.name]
        world = self.look.world({self.name: ground.peek()})
        if not self.worlds or world != self.worlds[-1][1]:
            self.worlds.append((operation, world))


def moments(look: Lens, old: World, new: World, worlds: Iterable[tuple[str, World]]) -> list[str]:
    """Return every moment at which something was open that neither end opens, or cut that both let through, at a point or along a path."""
    found: list[str] = []
    own: dict[str, frozenset[Address]] = dict.fromkeys(look.bystanders, frozenset())
    for machine, card in look.cards():
        own[card.ref] = frozenset().union(*(one.addresses for one in machine.cards))
    ways = _ways(look, old)
    for number, (operation, world) in enumerate(worlds, 1):
        for key, was in old.items():
            if key[2] in own[key[0]]:
                continue
            said = _wrong(look, world[key], was, new[key])
            if said:
                found.append(f"state {number} after {operation}: {key[0]} {'from' if key[1] else 'to'} {key[2]}: {said}")
        for out, into in ways:
            exposed = world[out].some & world[into].some & ~(old[out].some & old[into].some | new[out].some & new[into].some)
            cut = old[out].every & old[into].every & new[out].every & new[into].every & ~(world[out].every & world[into].every)
            if exposed or cut:
                said = f"exposed {look.words(exposed)}" if exposed else f"cut {look.words(cut)}"
                found.append(f"state {number} after {operation}: {out[0]} {into[2]} -> {into[0]} {out[2]}: {said}")
    return found


def _wrong(look: Lens, now: Row, old: Row, new: Row) -> str:
    exposed = now.some & ~(old.some | new.some)
    if exposed:
        return f"exposed {look.words(exposed)}"
    cut = old.every & new.every & ~now.every & now.there
    return f"cut {look.words(cut)}" if cut else ""


def _ways(look: Lens, world: World) -> list[tuple[Key, Key]]:
    """Return (egress there, ingress here) for every two interfaces and every two of their addresses of one family."""
    found = []
    for sender, source in look.cards():
        for receiver, destination in look.cards():
            for a in source.addresses:
                for b in destination.addresses:
                    out, into = (source.ref, False, b), (destination.ref, True, a)
                    if sender is not receiver and a.version == b.version and out in world and into in world:
                        found.append((out, into))
    return found

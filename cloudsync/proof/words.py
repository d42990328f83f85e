"""Packets and peers in words that people understand: classes and well-known sets before addresses."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import field

from cloudsync.compile.universe import Universe
from cloudsync.model.address import ANYWHERE, AddressSet, Family, globally_routable
from cloudsync.model.intervals import ranges
from cloudsync.model.packets import PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ANY_SERVICE, ICMP, ICMPV6, NAMED_PROTOCOLS, ServiceSet, possible
from cloudsync.model.workload import Domain

NEARLY = 1 << 16
"""With so few addresses missing from a family, `anywhere but N addresses` says it best."""


@dataclass(frozen=True, slots=True)
class _Places:
    """Which class has which address: single addresses in order, beside each its class; classes with ranges are always looked at."""

    values: dict[Family, list[int]]
    numbers: dict[Family, list[int]]
    wide: frozenset[int]

    @classmethod
    def of(cls, universe: Universe, domain: Domain) -> _Places:
        """Return the places of all classes at which they are reached, as seen from a domain."""
        singles: dict[Family, list[tuple[int, int]]] = {family: [] for family in Family}
        wide: set[int] = set()
        for number, group in enumerate(universe.classes):
            for workload in group.workloads:
                seen = workload.reached(domain)
                for family in Family:
                    for first, end in ranges(seen.family(family)):
                        if end - first == 1:
                            singles[family].append((first, number))
                        else:
                            wide.add(number)
        for found in singles.values():
            found.sort()
        values = {family: [value for value, _ in found] for family, found in singles.items()}
        return cls(values, {family: [number for _, number in found] for family, found in singles.items()}, frozenset(wide))

    def near(self, addresses: AddressSet) -> list[int]:
        """Return the classes that may have some of the addresses, ascending."""
        found = set(self.wide)
        for family in Family:
            values, numbers = self.values[family], self.numbers[family]
            for first, end in ranges(addresses.family(family)):
                found.update(numbers[bisect_left(values, first) : bisect_left(values, end)])
        return sorted(found)


@dataclass(slots=True)
class Names:
    """Turns address sets into words; remembers what it said."""

    universe: Universe
    _memo: dict[tuple[AddressSet, Domain], str] = field(default_factory=dict)
    _pools: dict[Domain, dict[str, AddressSet]] = field(default_factory=dict)
    _places: dict[Domain, _Places] = field(default_factory=dict)

    def peers(self, addresses: AddressSet, domain: Domain, most: int = 3) -> str:
        """Return e.g. `anywhere`, `the internet`, `role=web app=ordering`, `10.0.0.0/8`, or several of them."""
        key = (addresses, domain)
        if key not in self._memo:
            self._memo[key] = self._peers(addresses, domain, most)
        return self._memo[key]

    def _peers(self, addresses: AddressSet, domain: Domain, most: int) -> str:
        missing = {family: (ANYWHERE - addresses).only(family).size for family in Family if addresses.family(family)}
        if missing and max(missing.values()) <= NEARLY:
            where = "anywhere" if len(missing) == len(Family) else f"anywhere (IPv{next(iter(missing)).value})"
            count = sum(missing.values())
            return where + (f" but {count} address{'' if count == 1 else 'es'}" if count else "")
        if reaches_internet(addresses):
            return "the internet and more" if addresses - self.universe.internet(domain) else "the internet"
        known, rest = self._known(addresses, domain)
        parts = list(dict.fromkeys(known))  # what is given back is a class of its own, with the labels of the others
        if rest:
            parts.append(rest.text(most))
        return ", ".join(parts[:most]) + (f" and {len(parts) - most} more" if len(parts) > most else "")

    def _known(self, addresses: AddressSet, domain: Domain) -> tuple[list[str], AddressSet]:
        """Return the classes and workloads whose addresses are meant, in words, and what belongs to nobody.

        A class is named when all of one family of it is meant: a group reference and its public addresses come apart in packets. What
        several virtual servers open connections from goes by the device that they share.
        """
        parts: list[str] = []
        rest = addresses
        for number in self._near(addresses, domain):
            group = self.universe.classes[number]
            whole = self.universe.class_reached(number, domain)
            seen = whole & rest
            if not seen:
                continue
            rest -= whole
            if seen == whole or seen in (whole.only(Family.V4), whole.only(Family.V6)):
                parts.append(
                    group.labels.text() if group.labels else _called([self.universe.called(workload) for workload in group.workloads])
                )
                continue
            names = [self.universe.called(workload) for workload in group.workloads if workload.reached(domain) & seen]
            everyone = len(names) == len(group.workloads) and bool(group.labels)
            parts.append(f"{group.labels.text()} (some of their addresses)" if everyone else _called(names))
        for word, pool in self._shared(domain).items():
            if pool & rest:
                parts.append(f"the SNAT and self addresses of {word}" + ("" if pool <= addresses else " (some of them)"))
                rest -= pool
        return parts, rest

    def _near(self, addresses: AddressSet, domain: Domain) -> list[int]:
        """Return the classes that may have some of the addresses, ascending."""
        found = self._places.get(domain)
        if found is None:
            found = self._places[domain] = _Places.of(self.universe, domain)
        return found.near(addresses)

    def _shared(self, domain: Domain) -> dict[str, AddressSet]:
        """Return what several workloads open connections from, by the word they share."""
        found = self._pools.get(domain)
        if found is None:
            pools: dict[str, list[AddressSet]] = {}
            for group in self.universe.classes:
                for workload in group.workloads:
                    for interface in workload.interfaces:
                        if interface.source_only:
                            seen = interface.addresses if interface.domain == domain else interface.addresses & globally_routable()
                            pools.setdefault(interface.shared or self.universe.called(workload), []).append(seen)
            found = self._pools[domain] = {word: AddressSet.union_all(parts) for word, parts in sorted(pools.items())}
        return found

    def packets(self, packets: PacketSet, domain: Domain, *, inbound: bool = True, most: int = 3) -> str:
        """Return e.g. `tcp/22 from the internet; tcp/80-443 from role=lb`; widest peers first."""
        parts = self.parts(packets, domain, inbound=inbound)
        return "; ".join(parts[:most]) + (f"; and {len(parts) - most} more" if len(parts) > most else "")

    def parts(self, packets: PacketSet, domain: Domain, *, inbound: bool = True) -> list[str]:
        """Return what `packets` says, one item for each set of services; widest peers first."""
        merged: dict[ServiceSet, AddressSet] = {}
        for peers, services in packets.products():
            known = next((key for key in merged if _alike(key, services) and not merged[key] & peers), services)
            merged[known] = merged.get(known, AddressSet()) | peers
        way = "from" if inbound else "to"
        ordered = sorted(merged.items(), key=lambda item: -item[1].size)
        return [f"{service_words(services)} {way} {self.peers(peers, domain)}" for services, peers in ordered]


def _alike(a: ServiceSet, b: ServiceSet) -> bool:
    """Tell whether two sets are one for a reader: equal, or all that is possible in their families."""
    return a == b or a - POSSIBLY_NOT == b - POSSIBLY_NOT


POSSIBLY_NOT = ServiceSet.protocol(ICMP) | ServiceSet.protocol(ICMPV6)


def service_words(services: ServiceSet) -> str:
    """Return a set of services in words; nearly everything is said by what is missing."""
    universes = (possible(Family.V4), possible(Family.V6), ANY_SERVICE)
    if services in universes:
        return "any service"
    missing = min((whole - services for whole in universes if services <= whole), key=lambda left: len(left.points))
    if len(missing.points) < len(services.points) and NAMED_PROTOCOLS - services != NAMED_PROTOCOLS:
        return f"any service except {missing.text(4)}"
    return services.text(6)


def _called(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def reaches_internet(addresses: AddressSet) -> bool:
    """Tell whether a set holds so much of the public address space that `the internet` is the honest word: over half of it in a family."""
    public = globally_routable()
    seen = addresses & public
    return any(
        sum(found[1::2]) - sum(found[::2]) > (sum(whole[1::2]) - sum(whole[::2])) // 2
        for found, whole in ((seen.v4, public.v4), (seen.v6, public.v6))
        if found
    )

"""Packets and peers in words that people understand: classes and well-known sets before addresses."""

from __future__ import annotations

from dataclasses import dataclass, field

from cloudsync.compile.universe import Universe
from cloudsync.model.address import ANYWHERE, AddressSet, globally_routable
from cloudsync.model.packets import PacketSet
from cloudsync.model.workload import Domain


@dataclass(slots=True)
class Names:
    """Turns address sets into words; remembers what it said."""

    universe: Universe
    _memo: dict[tuple[AddressSet, Domain], str] = field(default_factory=dict)

    def peers(self, addresses: AddressSet, domain: Domain, most: int = 3) -> str:
        """Return e.g. `anywhere`, `the internet`, `role=web app=ordering`, `10.0.0.0/8`, or several of them."""
        key = (addresses, domain)
        if key not in self._memo:
            self._memo[key] = self._peers(addresses, domain, most)
        return self._memo[key]

    def _peers(self, addresses: AddressSet, domain: Domain, most: int) -> str:
        if addresses == ANYWHERE or (addresses.v4 == ANYWHERE.v4 and not addresses.v6):
            return "anywhere" if addresses.v6 else "anywhere (IPv4)"
        if addresses.v6 == ANYWHERE.v6 and not addresses.v4:
            return "anywhere (IPv6)"
        if reaches_internet(addresses):
            return "the internet and more" if addresses - self.universe.internet(domain) else "the internet"
        parts: list[str] = []
        rest = addresses
        for number, group in enumerate(self.universe.classes):
            whole = self.universe.class_addresses(number, domain)
            if whole and whole <= addresses:
                parts.append(group.labels.text() if group.labels else ", ".join(w.name for w in group.workloads[:2]))
                rest -= whole
        if rest:
            parts.append(rest.text(most))
        return ", ".join(parts[:most]) + (f" and {len(parts) - most} more" if len(parts) > most else "")

    def packets(self, packets: PacketSet, domain: Domain, *, inbound: bool = True, most: int = 3) -> str:
        """Return e.g. `tcp/22 from the internet; tcp/80-443 from role=lb`."""
        merged: dict[AddressSet, PacketSet] = {}
        for peers, services in packets.products():
            box = PacketSet.of(peers, services)
            key = next((known for known, seen in merged.items() if seen.services() == box.services() and not seen.peers() & peers), peers)
            merged[key] = merged.get(key, PacketSet()) | box
        way = "from" if inbound else "to"
        parts = [f"{box.services().text()} {way} {self.peers(box.peers(), domain)}" for box in merged.values()]
        return "; ".join(parts[:most]) + (f"; and {len(parts) - most} more" if len(parts) > most else "")


def reaches_internet(addresses: AddressSet) -> bool:
    """Tell whether a set holds so much of the public address space that `the internet` is the honest word: over half of it in a family."""
    public = globally_routable()
    seen = addresses & public
    return any(
        sum(found[1::2]) - sum(found[::2]) > (sum(whole[1::2]) - sum(whole[::2])) // 2
        for found, whole in ((seen.v4, public.v4), (seen.v6, public.v6))
        if found
    )

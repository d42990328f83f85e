"""Reachability from the raw EC2 API: what the security groups of an interface let in and out, packet by packet.

An interface's access is the union of its groups. A rule names CIDRs, prefix lists and groups; a group stands for the private addresses of
the interfaces that carry it, when it is in the same VPC or in one with an active peering.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

from tests.oracle.cloud import Estate, Json
from tests.oracle.reading import Address, Service

PORTS = {"tcp": 6, "udp": 17}
ICMPS = {"icmp": 1, "icmpv6": 58}


@lru_cache(maxsize=100_000)
def net(cidr: str) -> IPv4Network | IPv6Network:
    """Return a network; EC2 writes canonical CIDRs only, so host bits are an error here."""
    return ip_network(cidr)


class Reach:
    """One estate, asked what its interfaces let through. `services` are numbered; answers are bits."""

    def __init__(self, estate: Estate, services: Sequence[Service]) -> None:
        self.estate = estate
        self.services = tuple(services)
        self._bits: dict[tuple[object, ...], int] = {}
        self._peers: dict[str, frozenset[Address]] = {}

    def through(self, card: str, address: Address, *, inbound: bool) -> int:
        """Return the services an interface lets through between itself and a peer, as bits."""
        found = 0
        mine = self.estate.cards[card]
        for one in mine["Groups"]:
            group = self.estate.groups[one["GroupId"]]
            for permission in group["IpPermissions" if inbound else "IpPermissionsEgress"]:
                bits = self._services(permission)
                if bits & ~found and self._names(permission, address, group["VpcId"]):
                    found |= bits
        return found & self._existing(address.version)

    def rules(self, card: str, *, inbound: bool) -> str:
        """Return everything that `through` depends on, as text: equal texts give equal answers."""
        said: list[str] = []
        for one in self.estate.cards[card]["Groups"]:
            group = self.estate.groups[one["GroupId"]]
            said.append(group["VpcId"])
            for permission in group["IpPermissions" if inbound else "IpPermissionsEgress"]:
                said.append(repr(sorted(permission.items())))
                for pair in permission.get("UserIdGroupPairs", ()):
                    there = self.estate.groups.get(pair["GroupId"], {})
                    said += [str(there.get("VpcId")), *sorted(map(str, self.estate.carriers(pair["GroupId"])))]
                said += [repr(self.estate.lists.get(list_["PrefixListId"])) for list_ in permission.get("PrefixListIds", ())]
        said.append(repr(sorted(map(sorted, self.estate.peerings))))
        return "\n".join(said)

    def _existing(self, version: int) -> int:
        wrong = 58 if version == 4 else 1
        key: tuple[object, ...] = ("existing", version)
        if key not in self._bits:
            self._bits[key] = sum(1 << at for at, service in enumerate(self.services) if service.protocol != wrong)
        return self._bits[key]

    def _services(self, permission: Json) -> int:
        key = (permission["IpProtocol"], permission.get("FromPort"), permission.get("ToPort"))
        if key not in self._bits:
            hit = matcher(*key)
            self._bits[key] = sum(1 << at for at, service in enumerate(self.services) if hit(service))
        return self._bits[key]

    def _names(self, permission: Json, address: Address, vpc: str) -> bool:
        ranges = [one["CidrIp"] for one in permission.get("IpRanges", ())]
        ranges += [one["CidrIpv6"] for one in permission.get("Ipv6Ranges", ())]
        for one in permission.get("PrefixListIds", ()):
            ranges += self.estate.lists.get(one["PrefixListId"], ())
        if any(net(cidr).version == address.version and address in net(cidr) for cidr in ranges):
            return True
        return any(self._refers(pair["GroupId"], address, vpc) for pair in permission.get("UserIdGroupPairs", ()))

    def _refers(self, group: str, address: Address, vpc: str) -> bool:
        there = self.estate.groups.get(group)
        if there is None:
            return False
        if there["VpcId"] != vpc and frozenset({there["VpcId"], vpc}) not in self.estate.peerings:
            return False
        if group not in self._peers:
            self._peers[group] = frozenset(self.estate.carriers(group))
        return address in self._peers[group]


def matcher(protocol: str, low: int | None, high: int | None) -> Callable[[Service], bool]:
    """Return what decides whether a permission's protocol and ports hold a service, as EC2 documents it."""
    if protocol == "-1":
        return lambda _service: True
    if protocol in PORTS:
        number = PORTS[protocol]
        first, last = (0, 65535) if low in (None, -1) else (low or 0, high or 0)
        return lambda service: service.protocol == number and first <= service.port <= last
    if protocol in ICMPS:
        number = ICMPS[protocol]
        any_type, any_code = low in (None, -1), high in (None, -1)
        return lambda service: service.protocol == number and (any_type or (service.port == low and (any_code or service.code == high)))
    return lambda service: service.protocol == int(protocol)

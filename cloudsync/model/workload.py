"""Workloads: anything with addresses and labels, and the interfaces at which platforms enforce."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import NewType

from cloudsync.model.address import NOWHERE, AddressSet, globally_routable
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ServiceSet

WorkloadId = NewType("WorkloadId", str)
"""`<target>/<native id>`, or `static/<name>`; unique over one inventory."""
PointId = NewType("PointId", str)
"""An enforcement point, unique over one target, e.g. `111122223333/us-east-1/eni-0ab`."""
Domain = NewType("Domain", str)
"""A routing domain: the networks that route to each other share the meaning of a private address."""

DEFAULT_DOMAIN = Domain("default")


@dataclass(frozen=True, slots=True)
class Labels:
    """A partial map key -> value, kept sorted; each key at most once."""

    pairs: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, mapping: dict[str, str]) -> Labels:
        """Return the labels of a mapping. Equal ones are one value where they can be: most workloads have the labels of others."""
        return _shared(tuple(sorted(mapping.items())))

    def get(self, key: str) -> str | None:
        """Return the value of a key, None when the key is missing."""
        return next((value for name, value in self.pairs if name == key), None)

    def __bool__(self) -> bool:
        return bool(self.pairs)

    def text(self) -> str:
        """Return `role=web env=prod`, or `(no label)`."""
        return " ".join(f"{key}={value}" for key, value in self.pairs) or "(no label)"


@lru_cache(maxsize=1 << 16)
def _shared(pairs: tuple[tuple[str, str], ...]) -> Labels:
    return Labels(tuple(map(_one, pairs)))


@lru_cache(maxsize=1 << 16)
def _one(pair: tuple[str, str]) -> tuple[str, str]:
    return pair


@dataclass(frozen=True, slots=True)
class Forward:
    """What a load balancer does with a flow that reached it: one on `services` goes on to one of `to` on `onward`.

    There it comes from one of `sources`; empty when it keeps the address of the client.
    """

    services: ServiceSet
    to: AddressSet
    onward: ServiceSet
    sources: AddressSet = NOWHERE


@dataclass(frozen=True, slots=True)
class Interface:
    """One network interface: its addresses, and where it sits."""

    ref: str
    """Native id, e.g. `eni-0ab`; empty for a static workload."""
    network: str
    """Native network id, e.g. `vpc-0ab`."""
    addresses: AddressSet
    """All of them, private and public, both families."""
    domain: Domain = DEFAULT_DOMAIN
    point: PointId | None = None
    """The enforcement point, None where no adapter enforces here."""
    source_only: bool = False
    """Connections are opened from these addresses, but none arrive for the workload."""
    shared: str = ""
    """Interfaces with the same non-empty word may have the same addresses: virtual servers of one device."""
    forwards: tuple[Forward, ...] = ()
    """Where flows that arrive here go on to."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One workload of the inventory with its labels resolved."""

    id: WorkloadId
    name: str
    labels: Labels
    interfaces: tuple[Interface, ...]
    target: str = ""
    """Target that discovered it; empty when only the static inventory knows it."""
    account: str = ""
    scope: str = ""
    """Unit of completeness, e.g. `aws-prod/us-east-1`: guards count workloads per scope."""
    ref: str = ""
    """Native id, e.g. `i-0ab`."""
    source: str = ""
    """Where the labels come from, for reports."""

    def addresses(self, domain: Domain) -> AddressSet:
        """Return the addresses that count as seen from a routing domain: all of its own, elsewhere the globally routable ones."""
        if len(self.interfaces) == 1 and self.interfaces[0].domain == domain:
            return self.interfaces[0].addresses
        seen = NOWHERE
        for interface in self.interfaces:
            seen |= interface.addresses if interface.domain == domain else interface.addresses & globally_routable()
        return seen

    def reached(self, domain: Domain) -> AddressSet:
        """Return the addresses at which the workload is reached, as seen from a routing domain."""
        if not any(interface.source_only for interface in self.interfaces):
            return self.addresses(domain)
        own = tuple(interface for interface in self.interfaces if not interface.source_only)
        return replace(self, interfaces=own).addresses(domain)

"""What the settings say about the inventory: label sources in order, locks, and which networks route to each other."""

from __future__ import annotations

from collections.abc import Mapping

from cloudsync.inventory.labels import LabelSource, Pick
from cloudsync.model.finding import Where
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import DEFAULT_DOMAIN, Domain


@dataclass(frozen=True, slots=True)
class RoutingDomain:
    """Networks that route to each other: members are target names, network ids or accounts."""

    name: Domain
    members: tuple[str, ...]
    where: Where


@dataclass(frozen=True, slots=True)
class InventoryRules:
    """Everything of cloudsync.yaml that shapes the inventory."""

    sources: tuple[LabelSource, ...] = ()
    locks: tuple[tuple[str, Pick], ...] = ()
    domains: tuple[RoutingDomain, ...] = ()

    def members(self) -> dict[str, Domain]:
        """Return member to domain, over all domains."""
        return {member: domain.name for domain in self.domains for member in domain.members}


def domain_of(members: Mapping[str, Domain], network: str, account: str, target: str) -> Domain:
    """Return the routing domain of an interface: the most exact member decides, network before account before target."""
    for member in (network, account, target):
        if member and member in members:
            return members[member]
    return DEFAULT_DOMAIN

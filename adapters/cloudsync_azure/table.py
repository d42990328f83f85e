"""The native table: the NSGs of one subscription and the interfaces behind them, as values. No shape of the wire gets past `parse.py`.

Mappings in here are never changed after they were made; `replace` a table to get another. Ids are lower case: Azure compares them so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from enum import Enum

from cloudsync.adapter import Origin
from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet
from cloudsync.model.intervals import Points
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import PointId

ALL_PORTS: Points = (0, 65536)
TAG_MANAGED = "cloudsync-managed"
"""Tag of an NSG; its value is the owner that manages it."""


class Protocol(Enum):
    """The protocols that Azure can name, in its spelling."""

    ANY = "*"
    TCP = "Tcp"
    UDP = "Udp"
    ICMP = "Icmp"
    ESP = "Esp"
    AH = "Ah"


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a rule: addresses, or a service tag (lower case), or application security groups (ids)."""

    addresses: AddressSet = NOWHERE
    tag: str = ""
    asgs: tuple[str, ...] = ()

    @property
    def everything(self) -> bool:
        """Tell whether it is written `*`."""
        return self.addresses == ANYWHERE


ANY_SIDE = Side(ANYWHERE)


class Tier(Enum):
    """Why a rule of ours stands where it stands, and the letter that says so in its name; from top to bottom."""

    SHIELD = "s"
    """Temporary denies while several points change."""
    NEVER = "n"
    PLATFORM = "p"
    """The load balancer's probes; stands above the first deny of ours that would stop them."""
    ALLOW = "a"
    CLOSED = "d"
    """Deny rules and the services of `selective`."""
    MEND = "m"
    """What the past let through or cut, where foreign rules do not say it any more."""
    KEPT = "k"
    """A foreign rule that stood above our tiers, moved below them."""
    DEFAULT = "z"
    """The default deny of `full`."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One security rule in normal form: two spellings of the same rule are equal."""

    name: str
    egress: bool
    priority: int
    deny: bool
    protocol: Protocol
    source: Side
    destination: Side
    ports: Points = ALL_PORTS
    """Destination ports."""
    source_ports: Points = ALL_PORTS
    description: str = ""
    tier: Tier | None = None
    """None: not ours."""
    shape: str = ""
    """Of foreign rules: the whole JSON in one spelling, unknown fields included. What differs here was changed by somebody."""
    raw: str = field(default="", compare=False)
    """Of foreign rules: the exact JSON, which is what is sent, stored and given back."""
    unclear: str = ""
    """Why it cannot be read; such a rule is foreign, kept as it is, and its effect is not known."""
    origins: tuple[Origin, ...] = field(default=(), compare=False)
    """Only in desired tables: the policy rules behind it."""

    @property
    def ours(self) -> bool:
        """Tell whether it carries our mark."""
        return self.tier is not None

    @property
    def own(self) -> Side:
        """The side of the machines behind the NSG."""
        return self.source if self.egress else self.destination

    @property
    def peer(self) -> Side:
        """The other side."""
        return self.destination if self.egress else self.source

    @property
    def limited(self) -> bool:
        """Tell whether it looks at source ports: then it decides only some packets of a flow's description."""
        return self.source_ports != ALL_PORTS


def order(rule: Rule) -> tuple[bool, int, str]:
    """Sort key: inbound first, then by priority."""
    return rule.egress, rule.priority, rule.name


@dataclass(frozen=True, slots=True)
class Nsg:
    """One network security group. `rules` are its custom rules in `order`; the six defaults are the same everywhere."""

    id: str
    name: str
    group: str
    """Resource group, in Azure's spelling."""
    location: str
    rules: tuple[Rule, ...] = ()
    managed: bool = False
    """Ours to write: named in the settings, or tagged with our owner."""
    flush: bool | None = None
    """`flushConnection` as read."""
    etag: str = field(default="", compare=False)
    state: str = field(default="Succeeded", compare=False)
    others: tuple[str, ...] = field(default=(), compare=False)
    """Other owners whose tag it carries."""

    @property
    def short(self) -> str:
        """Return `group/name`, lower case: how it is called in reports."""
        return f"{self.group}/{self.name}".lower()


@dataclass(frozen=True, slots=True)
class Subnet:
    """One subnet. `strangers`: something sits in it that no list of interfaces shows."""

    id: str
    vnet: str
    prefixes: AddressSet
    nsg: str = ""
    strangers: bool = False


@dataclass(frozen=True, slots=True)
class Nic:
    """One interface. `skipped` says why no policy is enforced at it; empty when it can be."""

    id: str
    point: PointId
    name: str
    holder: str
    """Id of its machine; empty for none."""
    vnet: str
    subnets: tuple[str, ...]
    private: AddressSet = NOWHERE
    """What rules see: translation of public addresses happens outside."""
    public: AddressSet = NOWHERE
    nsg: str = ""
    """NSG of the interface itself; empty for none."""
    asgs: tuple[str, ...] = ()
    """Application security groups that it has joined, sorted."""
    skipped: str = ""
    location: str = ""
    seats: int = 0
    """Its ipConfigurations, where it can be written and all of them have joined the same groups; else 0: it joins none of ours."""


@dataclass(frozen=True, slots=True)
class Asg:
    """One application security group. `owner`: whose it is by its mark, empty for nobody's."""

    id: str
    location: str
    owner: str = ""


@dataclass(frozen=True, slots=True)
class AzureTable:
    """Everything of one target. `spaces`: what the tag VirtualNetwork stands for, by VNet id, as far as objects tell."""

    owner: str
    scope: str
    nsgs: Mapping[str, Nsg] = field(default_factory=dict)
    nics: Mapping[PointId, Nic] = field(default_factory=dict)
    subnets: Mapping[str, Subnet] = field(default_factory=dict)
    spaces: Mapping[str, AddressSet] = field(default_factory=dict)
    asgs: Mapping[str, Asg] = field(default_factory=dict)
    """Read only where the settings say `asgs: on`."""
    incomplete: str = ""
    """Why it was not read whole; then it holds nothing."""

    def series(self, nic: Nic) -> tuple[str, ...]:
        """Return the NSGs an inbound packet meets, in order: the subnet's, then the interface's. One that stands in both counts once."""
        found = [self.subnets[one].nsg for one in nic.subnets if one in self.subnets and self.subnets[one].nsg]
        return tuple(dict.fromkeys((*found, *((nic.nsg,) if nic.nsg else ()))))


def members(table: AzureTable) -> dict[str, AddressSet]:
    """Return the private addresses of the interfaces in each application security group."""
    held: dict[str, list[AddressSet]] = {}
    for nic in table.nics.values():
        for one in nic.asgs:
            held.setdefault(one, []).append(nic.private)
    return {one: AddressSet.union_all(sets) for one, sets in held.items()}


def asgs_of(rules: Iterable[Rule]) -> frozenset[str]:
    """Return the application security groups that rules name."""
    return frozenset(one for rule in rules for side in (rule.source, rule.destination) for one in side.asgs)


# --- the ownership mark --------------------------------------------------------------------------------------------------

_MARK = re.compile(r"cloudsync/([a-z0-9][a-z0-9-]{0,38}): ")
_NAME = re.compile(r"cs-([a-z0-9][a-z0-9-]{0,38})-([a-z])-[\w.-]+")


def owner_of(name: str, description: str) -> str:
    """Return whose rule it is by its mark: name and description must agree; empty for nobody's."""
    mark = _MARK.match(description)
    if mark is None or not name.startswith(f"cs-{mark[1]}-") or _NAME.fullmatch(name) is None:
        return ""
    return mark[1]


def tier_of(name: str, description: str, owner: str) -> Tier | None:
    """Return the tier of a rule of ours; None for everybody else's."""
    if owner_of(name, description) != owner:
        return None
    letter, dash = name[len(owner) + 4 : len(owner) + 5], name[len(owner) + 5 : len(owner) + 6]
    return next((tier for tier in Tier if tier.value == letter and dash == "-"), None)


def mark_text(owner: str) -> str:
    """Return the beginning of every description of ours."""
    return f"cloudsync/{owner}: "

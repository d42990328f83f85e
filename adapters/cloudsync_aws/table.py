"""The native table: what EC2 holds in the scopes of one target, as values. No SDK shape gets past `parse.py`.

Mappings in here are never changed after they were made; `replace` a table to get another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import Enum

from cloudsync.adapter import Origin
from cloudsync.model.address import NOWHERE, AddressSet, Family
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import PointId


class PeerKind(Enum):
    """What a rule's peer is. The order is the order of entries in every request."""

    CIDR4 = "cidr4"
    CIDR6 = "cidr6"
    GROUP = "group"
    LIST = "list"


@dataclass(frozen=True, slots=True, order=True)
class RuleKey:
    """The identity of a rule inside a group, exactly EC2's: direction, protocol, ports, source. Description and tags are not part of it.

    protocol -1 is all. For -1 and protocols other than tcp, udp, icmp, icmpv6: first = last = -1. For icmp and icmpv6: first = type,
    last = code, -1 = all.
    """

    egress: bool
    protocol: int
    first: int
    last: int
    kind: str
    """The value of a PeerKind (text, so that keys sort)."""
    peer: str
    """Canonical CIDR, group id (or `{new:KEY}`), or prefix list id (or `{new:KEY}`)."""


TAG_MANAGED, TAG_OWNER, TAG_CLASS, TAG_SHARD, TAG_LABELS = (
    "cloudsync:managed",
    "cloudsync:owner",
    "cloudsync:class",
    "cloudsync:shard",
    "cloudsync:labels",
)


@dataclass(frozen=True, slots=True)
class Mark:
    """Our ownership mark, from tags: owner, class id, shard number.

    The class id (tag `cloudsync:class`, taken verbatim) is the policy's class, with `.<variant>` behind it where what is kept of
    the past tells points of one class apart; `move-...` for temporary groups, `list-...` for prefix lists.
    """

    owner: str
    class_id: str
    shard: int = 0

    @property
    def base(self) -> str:
        """The policy's class, without the variant."""
        return self.class_id.partition(".")[0]

    @property
    def text(self) -> str:
        """One text for steps and journals: `owner/class/shard`."""
        return f"{self.owner}/{self.class_id}/{self.shard}"

    @property
    def tags(self) -> tuple[tuple[str, str], ...]:
        """The tags that carry the mark, sorted by key."""
        return ((TAG_CLASS, self.class_id), (TAG_MANAGED, "true"), (TAG_OWNER, self.owner), (TAG_SHARD, str(self.shard)))


def mark_of(tags: Mapping[str, str], owner: str) -> Mark | None:
    """Return the mark that tags carry; None unless they say managed, our owner, a class and a shard number."""
    shard = tags.get(TAG_SHARD, "0")
    if tags.get(TAG_MANAGED) != "true" or tags.get(TAG_OWNER) != owner or not tags.get(TAG_CLASS) or not shard.isdecimal():
        return None
    return Mark(owner, tags[TAG_CLASS], int(shard))


@dataclass(frozen=True, slots=True)
class Group:
    """One security group. `rules` maps identity to description. `mark` is None when it is not ours (another owner's included)."""

    id: str
    scope: str
    """`<account>/<region>`."""
    vpc: str
    name: str
    rules: Mapping[RuleKey, str] = field(default_factory=dict)
    mark: Mark | None = None
    tags: tuple[tuple[str, str], ...] = ()
    is_default: bool = False
    origins: Mapping[RuleKey, tuple[Origin, ...]] = field(default_factory=dict, compare=False)
    """Only in desired tables: the policy rules behind each entry."""


@dataclass(frozen=True, slots=True)
class Eni:
    """One interface. `skipped` says why no policy is enforced at it (service interface, unknown instance); empty when it can be."""

    id: str
    scope: str
    vpc: str
    instance: str
    private: AddressSet = NOWHERE
    """Private IPv4 and all IPv6 addresses: what a group reference matches."""
    public: AddressSet = NOWHERE
    groups: tuple[str, ...] = ()
    """Sorted."""
    skipped: str = ""

    @property
    def point(self) -> PointId:
        """The enforcement point's id, `<account>/<region>/<eni>`."""
        return PointId(f"{self.scope}/{self.id}")


@dataclass(frozen=True, slots=True)
class PrefixList:
    """One managed prefix list. `weight` is MaxEntries (customer lists) or AWS's published figure; entries map CIDR to description."""

    id: str
    scope: str
    name: str
    family: Family
    weight: int
    version: int = field(default=1, compare=False)
    """The number to send with the next change; it moves with every change, so it tells no difference of meaning."""
    state: str = field(default="create-complete", compare=False)
    entries: Mapping[str, str] = field(default_factory=dict)
    mark: Mark | None = None
    aws: bool = False


@dataclass(frozen=True, slots=True)
class Vpc:
    """One VPC; `ipv6` tells whether it has an IPv6 block (new groups then get ::/0 egress), `is_default` how Revoke answers."""

    id: str
    scope: str
    cidrs: tuple[str, ...] = ()
    ipv6: bool = False
    is_default: bool = False


@dataclass(frozen=True, slots=True)
class Quotas:
    """Limits of one scope (EC2 defaults; real values from Service Quotas or the settings)."""

    rules_per_group: int = 60
    groups_per_eni: int = 5
    groups_per_region: int = 2500
    lists_per_region: int = 100
    entries_per_list: int = 1000


@dataclass(frozen=True, slots=True)
class AwsTable:
    """All scopes of one target. `peered`: pairs (vpc, vpc) in both orders whose peering is active and in one Region.

    `members`: what references are to be evaluated with when it differs from what is attached (only in bounds of a transition):
    ENI -> groups; an ENI that is not in it counts as attached. Keys of `groups`, `enis`, `lists` and `vpcs` are native ids; an object
    that a step will create stands under `{new:KEY}`.
    """

    owner: str
    groups: Mapping[str, Group]
    enis: Mapping[str, Eni]
    lists: Mapping[str, PrefixList]
    vpcs: Mapping[str, Vpc]
    peered: frozenset[tuple[str, str]] = frozenset()
    quotas: Mapping[str, Quotas] = field(default_factory=dict)
    incomplete: Mapping[str, str] = field(default_factory=dict)
    """Scope -> why it was not read whole."""
    members: Mapping[str, tuple[str, ...]] | None = None
    unpeered: frozenset[str] = frozenset()
    """Scopes whose peerings nobody asked for: nothing that is there depends on one."""
    unlisted: frozenset[str] = frozenset()
    """Scopes whose prefix lists nobody asked for: no rule refers to one, and the last look found none of ours."""

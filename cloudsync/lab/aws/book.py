"""What the lab itself holds about one account and region: rules, lists, quotas. moto holds the rest."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .native import Native
from .permissions import ANY, Kind, Match
from .quota import Quotas
from .refusal import Refusal

NO_TAGS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Peering:
    """How a reference leaves its VPC: the far group's owner and VPC, and the connection."""

    owner: str
    vpc_id: str
    connection_id: str


@dataclass(slots=True)
class Rule:
    """One rule of one group and direction."""

    rule_id: str
    group_id: str
    egress: bool
    match: Match
    description: str | None = None
    peering: Peering | None = None


@dataclass(slots=True)
class RuleSet:
    """The rules of one group, per direction, in the order they came."""

    group_id: str
    ingress: dict[Match, Rule] = field(default_factory=dict)
    egress: dict[Match, Rule] = field(default_factory=dict)
    rendered: str | None = None
    """The group's rules as XML, until one of them changes."""

    def side(self, *, egress: bool) -> dict[Match, Rule]:
        """One direction."""
        return self.egress if egress else self.ingress

    def all(self) -> Iterator[Rule]:
        """Ingress first."""
        return itertools.chain(self.ingress.values(), self.egress.values())


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a prefix list."""

    cidr: str
    description: str | None


@dataclass(slots=True)
class PrefixList:
    """One managed prefix list, a customer's or the vendor's."""

    list_id: str
    name: str
    family: str
    max_entries: int | None
    owner: str
    versions: dict[int, tuple[Entry, ...]]
    version: int = 1
    state: str = "create-complete"
    message: str | None = None
    pending_reads: int = 0
    """How many descriptions still show the -in-progress state."""
    after: str | None = None
    """The state that follows -in-progress."""
    failed_resize_to: int | None = None

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries in force."""
        return self.versions[self.version]


class Book:
    """One account and region. The `backend` is moto's, every other field is the lab's own."""

    def __init__(self, account: str, region: str, backend: Native, new_hex: Native) -> None:
        self.account = account
        self.region = region
        self.backend = backend
        self.quotas = Quotas()
        self.rules: dict[str, RuleSet] = {}
        self.by_rule_id: dict[str, Rule] = {}
        self.lists: dict[str, PrefixList] = {}
        self.list_tokens: dict[str, tuple[str, str]] = {}
        self.group_uses: dict[str, Counter[str]] = {}
        """Referenced group -> referring groups, with the number of rules."""
        self.list_uses: dict[str, Counter[str]] = {}
        self.associations: dict[tuple[str, str], str] = {}
        """(group, VPC) -> state."""
        self.hidden: dict[str, int] = {}
        """Resource id -> reads that do not see it yet."""
        self._new_hex = new_hex

    def tags(self, resource_id: str) -> Mapping[str, str]:
        """The tags of a resource; they are kept by moto."""
        found: Mapping[str, str] | None = self.backend.tags.get(resource_id)
        return NO_TAGS if found is None else found

    def new_id(self, prefix: str) -> str:
        """A fresh id such as sgr-0123456789abcdef0, from the lab's seed."""
        return f"{prefix}-{self._new_hex(17)}"

    # --- groups ----------------------------------------------------------------------------------

    def groups(self) -> list[Native]:
        """Every group of the account and region, in the order of creation inside each VPC."""
        return [group for groups in list(self.backend.groups.values()) for group in list(groups.values())]

    def group_or_none(self, group_id: str) -> Native | None:
        """moto's group object of an id."""
        for groups in list(self.backend.groups.values()):
            found = groups.get(group_id)
            if found is not None:
                return found
        return None

    def group(self, group_id: str) -> Native:
        """The group of an id, or EC2's refusal (row 31)."""
        found = self.group_or_none(group_id)
        if found is None or self.is_hidden(group_id):
            check_group_id(group_id)
            raise Refusal.group_not_found(group_id)
        return found

    def group_named(self, name: str, vpc_id: str | None = None) -> Native:
        """The group of a name in one VPC, by default the default VPC; names differ not only by case (row 16)."""
        where = vpc_id or self.default_vpc_id()
        for group in list(self.backend.groups.get(where, {}).values()):
            if group.name.lower() == name.lower():
                return group
        raise Refusal("InvalidGroup.NotFound", f"The security group '{name}' does not exist in default VPC '{where}'")

    def default_vpc_id(self) -> str:
        """The default VPC, or VPCIdNotSpecified."""
        for vpc in list(self.backend.vpcs.values()):
            if vpc.is_default:
                return str(vpc.id)
        raise Refusal("VPCIdNotSpecified", "No default VPC for this user")

    def vpc(self, vpc_id: str) -> Native:
        """moto's VPC, or InvalidVpcID.NotFound (row 18)."""
        found = self.backend.vpcs.get(vpc_id)
        if found is None:
            raise Refusal("InvalidVpcID.NotFound", f"The vpc ID '{vpc_id}' does not exist")
        return found

    def rules_of(self, group: Native) -> RuleSet:
        """The rules of a group; a group that moto has just made gets the rules EC2 would give it (row 25)."""
        found = self.rules.get(group.id)
        if found is None:
            found = RuleSet(group.id)
            self.rules[group.id] = found
            if group.is_default:
                self.add_rule(found, self.default_rule(group.id, Kind.GROUP, group.id, egress=False))
            self.add_rule(found, self.default_rule(group.id, Kind.V4, "0.0.0.0/0", egress=True))
            if self.has_ipv6(group.vpc_id):
                self.add_rule(found, self.default_rule(group.id, Kind.V6, "::/0", egress=True))
        return found

    def default_rule(self, group_id: str, kind: Kind, peer: str, *, egress: bool) -> Rule:
        """One of the rules EC2 adds by itself."""
        return Rule(self.new_id("sgr"), group_id, egress, Match(ANY, None, None, kind.value, peer))

    def has_ipv6(self, vpc_id: str | None) -> bool:
        """Does the VPC have an IPv6 block?"""
        vpc = self.backend.vpcs.get(vpc_id)
        return bool(vpc is not None and vpc.get_cidr_block_association_set(ipv6=True))

    # --- rules: the only two ways in and out, so that the indexes stay true -------------------------

    def add_rule(self, rules: RuleSet, rule: Rule) -> None:
        """Put a rule that is known to be new."""
        rules.side(egress=rule.egress)[rule.match] = rule
        rules.rendered = None
        self.by_rule_id[rule.rule_id] = rule
        self._uses(rule.match).setdefault(rule.match.peer, Counter())[rule.group_id] += 1

    def drop_rule(self, rules: RuleSet, rule: Rule) -> None:
        """Take a rule that is known to be there."""
        del rules.side(egress=rule.egress)[rule.match]
        rules.rendered = None
        self.by_rule_id.pop(rule.rule_id, None)
        self.backend.tags.pop(rule.rule_id, None)
        users = self._uses(rule.match).get(rule.match.peer)
        if users is not None:
            users[rule.group_id] -= 1
            if users[rule.group_id] <= 0:
                del users[rule.group_id]

    def _uses(self, match: Match) -> dict[str, Counter[str]]:
        if match.kind is Kind.GROUP:
            return self.group_uses
        if match.kind is Kind.LIST:
            return self.list_uses
        return {}

    def list_weight(self, list_id: str) -> tuple[int, int]:
        """What a list weighs in a rule, per family: MaxEntries, or the vendor's table (row 22)."""
        found = self.lists.get(list_id)
        if found is None:
            return 0, 0
        weight = found.max_entries if found.max_entries is not None else vendor_weight(found.name)
        if self.quotas.list_counts_in_both_families:
            return weight, weight
        return (weight, 0) if found.family == "IPv4" else (0, weight)

    # --- visibility after create -------------------------------------------------------------------

    def is_hidden(self, resource_id: str) -> bool:
        """Is a resource not visible yet? Each question uses up one of its hidden reads (row 39)."""
        left = self.hidden.get(resource_id)
        if left is None:
            return False
        if left <= 1:
            del self.hidden[resource_id]
        else:
            self.hidden[resource_id] = left - 1
        return True

    def visible(self, found: list[Native]) -> list[Native]:
        """Leave out what is not visible yet."""
        if not self.hidden:
            return found
        return [each for each in found if each.id not in self.hidden or not self.is_hidden(each.id)]


def check_group_id(group_id: str) -> None:
    """InvalidGroupId.Malformed for what cannot be a group id (row 31)."""
    head, dash, tail = group_id.partition("-")
    if head != "sg" or not dash or len(tail) not in (8, 17) or not set(tail) <= set("0123456789abcdef"):
        raise Refusal("InvalidGroupId.Malformed", f'Invalid id: "{group_id}" (expecting "sg-...")')


def vendor_weight(name: str) -> int:
    """The weight of a vendor-managed list in a rule, by its name."""
    if "cloudfront" in name:
        return 55
    if "vpc-lattice" in name:
        return 10
    if "groundstation" in name:
        return 5
    return 1

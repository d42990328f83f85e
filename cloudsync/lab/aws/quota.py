"""Quotas: their codes, their defaults, and how EC2 counts rules (rows 22, 23)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from .permissions import Kind, Match
from .refusal import Refusal

RULES = "rules_per_group"
GROUPS_PER_INTERFACE = "groups_per_interface"
GROUPS = "groups_per_region"
LISTS = "prefix_lists_per_region"
LIST_ENTRIES = "entries_per_prefix_list"
PRODUCT_LIMIT = 1000
"""rules per group x groups per interface may not exceed this."""
GRANTED_GROUPS = 10_000
"""The lab's accounts are large ones: this quota has been raised for them. Every other stands at its default."""


@dataclass(frozen=True, slots=True)
class Known:
    """One quota; without a code it is enforced but Service Quotas does not tell it here."""

    name: str
    code: str | None
    title: str
    default: int
    highest: int | None = None


KNOWN = (
    Known(RULES, "L-0EA8095F", "Inbound or outbound rules per security group", 60),
    Known(GROUPS_PER_INTERFACE, "L-2AFB9258", "Security groups per network interface", 5, 16),
    Known(GROUPS, "L-E79EC296", "VPC security groups per Region", 2500),
    Known(LISTS, None, "Prefix lists per Region", 100),
    Known(LIST_ENTRIES, None, "Entries per prefix list", 1000),
)
BY_NAME = {each.name: each for each in KNOWN}
BY_CODE = {each.code: each for each in KNOWN if each.code is not None}


@dataclass(slots=True)
class Quotas:
    """The values of one account and region."""

    values: dict[str, int] = field(default_factory=lambda: {GROUPS: GRANTED_GROUPS})
    list_counts_in_both_families: bool = False
    """The vendor is silent on whether a list weighs only in its own family."""

    def value(self, name: str) -> int:
        """The value in force."""
        return self.values.get(name, BY_NAME[name].default)

    def change(self, name: str, value: int) -> None:
        """Set one quota; the product of rules and groups per interface is bounded."""
        if name not in BY_NAME:
            raise Refusal("NoSuchResourceException", f"The quota {name} does not exist")
        changed = {**self.values, name: value}
        rules = changed.get(RULES, BY_NAME[RULES].default)
        groups = changed.get(GROUPS_PER_INTERFACE, BY_NAME[GROUPS_PER_INTERFACE].default)
        if name in (RULES, GROUPS_PER_INTERFACE) and rules * groups > PRODUCT_LIMIT:
            raise Refusal("IllegalArgumentException", f"{rules} rules x {groups} groups per interface is more than {PRODUCT_LIMIT}")
        self.values = changed


@dataclass(frozen=True, slots=True)
class Sums:
    """Two of the four sums: one direction of one group, per family."""

    v4: int
    v6: int


def count(matches: Iterable[Match], weight: Callable[[str], tuple[int, int]]) -> Sums:
    """Add up one direction: CIDRs in their family, references in each, lists by weight (v4, v6)."""
    v4 = v6 = 0
    for match in matches:
        match match.kind:
            case Kind.V4:
                v4 += 1
            case Kind.V6:
                v6 += 1
            case Kind.GROUP:
                v4 += 1
                v6 += 1
            case Kind.LIST:
                more_v4, more_v6 = weight(match.peer)
                v4 += more_v4
                v6 += more_v6
    return Sums(v4, v6)


def too_many_rules() -> Refusal:
    """The refusal of a rule over the limit."""
    return Refusal("RulesPerSecurityGroupLimitExceeded", "The maximum number of rules per security group has been reached.")

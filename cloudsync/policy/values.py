"""What a loaded policy is: every name resolved, every rule with its identity and its place in the files.

Label groups are expanded, IP lists and services are exact sets; only the workloads are still selectors, because they need an inventory.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from cloudsync.model.address import AddressSet
from cloudsync.model.finding import Finding, Where
from cloudsync.model.mode import Accept, Egress, Mode
from cloudsync.model.quick import dataclass
from cloudsync.model.service import NO_SERVICE, ServiceSet


class Action(Enum):
    """never > allow > deny > the mode's default."""

    ALLOW = "allow"
    DENY = "deny"
    NEVER = "never allow"


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """Workloads whose label of every key is one of its values; clauses sorted by key, values sorted, groups expanded."""

    clauses: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class AllWorkloads:
    """`all workloads`: everything of the inventory, within the scope."""


@dataclass(frozen=True, slots=True)
class UnlabeledWorkloads:
    """`unlabeled workloads`: those without any label."""


@dataclass(frozen=True, slots=True)
class NamedWorkload:
    """`workload NAME`: by name or native id."""

    name: str


@dataclass(frozen=True, slots=True)
class IpList:
    """`iplist NAME`: included minus excluded addresses."""

    name: str
    addresses: AddressSet


@dataclass(frozen=True, slots=True)
class Anywhere:
    """`anywhere`: every address of both families."""


@dataclass(frozen=True, slots=True)
class Strangers:
    """`strangers`: anywhere minus the addresses of all workloads."""


@dataclass(frozen=True, slots=True)
class Internet:
    """`internet`: strangers that are globally routable."""


WorkloadBase = LabelSelector | AllWorkloads | UnlabeledWorkloads | NamedWorkload
AddressBase = IpList | Anywhere | Strangers | Internet
Base = WorkloadBase | AddressBase


@dataclass(frozen=True, slots=True)
class Who:
    """One end of a rule: a base minus its exceptions; `outside` frees it from the scope (source side only)."""

    base: Base
    excluded: tuple[Base, ...] = ()
    outside: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, complete: scopes of its ruleset included (None = `all`)."""

    id: str
    """Its `id`, qualified `<ruleset>/<id>`, or `<ruleset>#<n>` by position."""
    ruleset: str
    where: Where
    action: Action
    sources: tuple[Who, ...]
    destinations: tuple[Who, ...]
    services: ServiceSet
    scopes: tuple[LabelSelector | None, ...]
    text: str
    """The canonical sentence."""
    written: str = ""
    """What it is called where it is written: its `id` if it has one, else a name made from what it says; never by position."""
    process: str = ""
    until: datetime | None = None
    because: str = ""
    owner: str = ""
    logged: bool = False
    accept: frozenset[Accept] = frozenset()


@dataclass(frozen=True, slots=True)
class Enforcement:
    """One line of the enforcement table; the first whose scope matches decides. scope None matches every workload."""

    scope: LabelSelector | None
    mode: Mode
    egress: Egress = Egress.LEAVE
    services: ServiceSet = NO_SERVICE
    """The services closed by `selective`."""


class Expectation(Enum):
    """What a policy test demands."""

    CAN = "can reach"
    CANNOT = "cannot reach"
    ONLY = "only may reach"


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """One line of `tests:`."""

    where: Where
    text: str
    expectation: Expectation
    sources: tuple[Who, ...]
    destinations: tuple[Who, ...]
    services: ServiceSet


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Name, owner and place of a ruleset; its rules are in `Policy.rules`."""

    name: str
    where: Where
    owner: str = ""


@dataclass(frozen=True, slots=True)
class DeclaredObject:
    """A label group, iplist or service, and whether anything names it."""

    kind: str
    name: str
    where: Where
    used: bool


@dataclass(frozen=True, slots=True)
class Policy:
    """A whole policy. `labels` is the closed vocabulary; `enforcement` ends with the default line (scope None)."""

    labels: tuple[tuple[str, tuple[str, ...]], ...]
    rulesets: tuple[Ruleset, ...]
    rules: tuple[Rule, ...]
    enforcement: tuple[Enforcement, ...]
    tests: tuple[PolicyTest, ...]
    files: tuple[str, ...] = ()
    warnings: tuple[Finding, ...] = ()
    objects: tuple[DeclaredObject, ...] = ()

    def values(self, key: str) -> tuple[str, ...]:
        """Return the vocabulary of a label key, empty when the key is not declared."""
        return next((values for name, values in self.labels if name == key), ())

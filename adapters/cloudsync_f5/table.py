"""The native table: what a device group holds, as values. No shape of the wire gets past `parse.py`.

Mappings in here are never changed after they were made; `replace` a table to get another. Keys are full paths (`/Common/name`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from enum import Enum

from cloudsync.adapter import Origin
from cloudsync.model.address import ANYWHERE, AddressSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ANY_SERVICE, ServiceSet
from cloudsync.model.workload import PointId
from cloudsync_f5.words import ANY_PROTOCOL, Native, Span

GLOBAL = "global"
"""The key of the global context; virtual servers go by their path, route domains by `RouteDomain.context`."""
INHERITED = "was_"
"""How the names of rules begin that our policy of a route domain took over from the policy whose place it has."""
SHIELD = "shield_"
"""How the names of temporary drops of ours begin."""


class Action(Enum):
    """What a rule does. ACCEPT goes on to the next context, DECISIVELY skips those that follow."""

    ACCEPT = "accept"
    DECISIVELY = "accept-decisively"
    DROP = "drop"
    REJECT = "reject"

    @property
    def opens(self) -> bool:
        """Tell whether the rule lets packets through."""
        return self in (Action.ACCEPT, Action.DECISIVELY)


@dataclass(frozen=True, slots=True)
class Mark:
    """Our ownership mark, from a description: `cloudsync:<owner>:<id>:<sha>`; `sha` covers what we wrote when we wrote it."""

    owner: str
    id: str
    sha: str

    @property
    def text(self) -> str:
        """The description that carries it."""
        return f"cloudsync:{self.owner}:{self.id}:{self.sha}"


_MARK = re.compile(r"cloudsync:(?P<owner>[a-z0-9][a-z0-9_.-]*):(?P<id>[^:\s]+):(?P<sha>[0-9a-z]+)")


def any_mark(description: str) -> Mark | None:
    """Return the mark that a description carries, whoever the owner is."""
    found = _MARK.fullmatch(description)
    return Mark(found["owner"], found["id"], found["sha"]) if found else None


def mark_of(description: str, owner: str) -> Mark | None:
    """Return the mark that a description carries; None unless it is whole and of our owner."""
    found = any_mark(description)
    return found if found is not None and found.owner == owner else None


@dataclass(frozen=True, slots=True)
class Ends:
    """One end of a rule: addresses said in place and by lists. Nothing at all means every address."""

    spans: frozenset[Span] = frozenset()
    lists: frozenset[str] = frozenset()

    @property
    def any(self) -> bool:
        """Tell whether this end is every address."""
        return not self.spans and not self.lists


EVERYBODY = Ends()


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule in its place. `odd` says what of it this adapter cannot evaluate (geography, names, users, VLANs, source ports, hours)."""

    name: str
    action: Action | None
    """None where the action is a word we do not know, or the rule stands for a rule list."""
    source: Ends = EVERYBODY
    destination: Ends = EVERYBODY
    native: Native = Native(ANY_PROTOCOL)
    port_lists: frozenset[str] = frozenset()
    """Destination ports said by lists, beside those of `native`."""
    enabled: bool = True
    logged: bool = False
    description: str = ""
    rule_list: str = ""
    odd: tuple[str, ...] = ()
    rest: str = field(default="", compare=False)
    """Canonical JSON of what else the device says of it: part of the digest, so that a change there is noticed, but of no difference."""
    origins: tuple[Origin, ...] = field(default=(), compare=False)
    """Only in desired tables: the policy rules behind it."""

    @property
    def inherited(self) -> bool:
        """Whether a rule in a policy of ours was taken over from somebody else's."""
        return self.name.startswith(INHERITED)

    @property
    def shields(self) -> bool:
        """Whether a rule in a policy of ours is a temporary drop, which no policy asks for."""
        return self.name.startswith(SHIELD)


@dataclass(frozen=True, slots=True)
class Policy:
    """One firewall policy: its rules are asked in order, the first that matches decides."""

    path: str
    rules: tuple[Rule, ...] = ()
    description: str = ""
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class RuleList:
    """Rules that policies take in at one place."""

    path: str
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class AddressList:
    """One address list of the firewall. `odd`: members that cannot be evaluated (names to resolve, countries)."""

    path: str
    spans: frozenset[Span] = frozenset()
    lists: frozenset[str] = frozenset()
    odd: tuple[str, ...] = ()
    description: str = ""
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class PortList:
    """One port list; ports as pairs, both ends included."""

    path: str
    ports: frozenset[tuple[int, int]] = frozenset()
    lists: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Listener:
    """What a virtual server takes in at all: peers by family and source filter, one protocol, one port or all."""

    peers: AddressSet = ANYWHERE
    services: ServiceSet = ANY_SERVICE


AUTOMAP = "automap"


@dataclass(frozen=True, slots=True)
class Onward:
    """How a virtual server forwards: its default pool, whether the port is translated, whether clients come back to the same member."""

    path: str = ""
    """Path of the pool; empty for none."""
    translates: bool = True
    persists: bool = False


@dataclass(frozen=True, slots=True)
class Virtual:
    """One virtual server. `skipped` says why no policy is enforced at it; empty when it can be."""

    path: str
    scope: str
    domain: int
    """Route domain."""
    addresses: AddressSet
    listener: Listener
    enforced: str = ""
    """Path of the enforced policy; empty for none."""
    staged: str = ""
    snat: str = ""
    """`automap`, the path of a SNAT pool, or empty."""
    disabled: bool = False
    metadata: tuple[tuple[str, str], ...] = ()
    skipped: str = ""
    pool: Onward = field(default=Onward(), compare=False)
    """No part of what is compared, nor of the digest: it decides nothing about what gets in here."""

    @property
    def point(self) -> PointId:
        """The enforcement point's id, `<account>/<partition>/<name>`."""
        return PointId(f"{self.scope}{self.path}")

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class RouteDomain:
    """One route domain and the policies on it."""

    path: str
    id: int
    enforced: str = ""
    staged: str = ""

    @property
    def context(self) -> str:
        """How it is told from a virtual server of the same path."""
        return f"{DOMAIN_CONTEXT}{self.path}"


DOMAIN_CONTEXT = "route domain "


@dataclass(frozen=True, slots=True)
class Quotas:
    """Limits to refuse beyond, before anything is written. F5 documents none but the size of a request; 0 stands for none."""

    rules_per_policy: int = 0
    addresses_per_list: int = 0
    request_bytes: int = 5_000_000


@dataclass(frozen=True, slots=True)
class F5Table:
    """Everything of one device group that decides about packets, and how the group itself stands."""

    owner: str
    scope: str
    """The account: name of the device group, or of the one device."""
    partition: str
    policies: Mapping[str, Policy] = field(default_factory=dict)
    rule_lists: Mapping[str, RuleList] = field(default_factory=dict)
    lists: Mapping[str, AddressList] = field(default_factory=dict)
    port_lists: Mapping[str, PortList] = field(default_factory=dict)
    virtuals: Mapping[str, Virtual] = field(default_factory=dict)
    route_domains: Mapping[str, RouteDomain] = field(default_factory=dict)
    enforced: str = ""
    """The enforced policy of the global context; empty for none."""
    staged: str = ""
    open_by_default: bool = True
    """Whether a virtual server lets in what no rule matches (a device in ADC mode does)."""
    taken: frozenset[str] = frozenset()
    """Paths of LTM address lists (`net address-list`): they share names with those of the firewall."""
    active: str = ""
    """The host that is active: only this one is written to."""
    running: Mapping[str, str] = field(default_factory=dict)
    """Context (see GLOBAL) -> policy that packets meet now, where that is not the configured one: compiling takes time or is by hand."""
    compiling: str = field(default="", compare=False)
    """What the device says of a compilation that is not done; empty when everything committed is in force."""
    synced: bool = field(default=True, compare=False)
    """Whether the units of the group agree (colour green), or no group is to be kept in step."""
    saved: bool = field(default=True, compare=False)
    """Whether the saved configuration holds the running one: no read can show it, so every read takes it to be so; the model knows."""
    sync_words: str = field(default="", compare=False)
    """The device's own words on synchronisation, for people."""
    group: str = ""
    """The device group that we bring in step ourselves after a change; empty where nobody has to."""
    saves: bool = True
    """Whether we save the configuration after a change."""
    stages: bool = False
    """Whether a new policy is staged, and compiled, before it is enforced."""
    quotas: Quotas = Quotas()
    incomplete: str = ""
    """Why the device group was not read whole; empty when it was."""
    unfollowed: str = field(default="", compare=False)
    """Why it is not known where virtual servers forward to; empty when it is. The policy is enforced all the same."""
    held: tuple[str, ...] = ()
    """Route domains that the settings name, by number or path: there one policy of ours serves all virtual servers."""

    def holds(self, domain: RouteDomain) -> bool:
        """Tell whether the settings want our policy on a route domain."""
        return str(domain.id) in self.held or domain.path in self.held

    def held_domains(self) -> dict[int, RouteDomain]:
        """Return the route domains that the settings name, by number."""
        return {one.id: one for _, one in sorted(self.route_domains.items()) if self.holds(one)}

    def ours(self, policy: str) -> bool:
        """Tell whether a policy is there and carries our mark."""
        held = self.policies.get(policy)
        return held is not None and held.mark is not None

    @property
    def pending(self) -> str:
        """The path of our list that stands while a job is not finished: written but not yet saved, synchronised and cleaned up."""
        return f"/{self.partition}/cs_{self.owner}_pending"

    @property
    def job(self) -> bool:
        """Whether the last job was not finished."""
        held = self.lists.get(self.pending)
        return held is not None and held.mark is not None

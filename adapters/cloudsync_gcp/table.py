"""The native table: what Compute Engine holds in the managed networks of one target, as values. No JSON shape gets past `parse.py`.

Mappings in here are never changed after they were made; `replace` a table to get another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field

from cloudsync.adapter import Origin
from cloudsync.model.address import NOWHERE, AddressSet
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import PointId

Ports = tuple[tuple[int, int], ...]
Spec = tuple[str, Ports]
"""A protocol as Google spells it (`tcp`, `58`, `all`) with its port ranges, ends included; no ports means the whole protocol.

`tcp` without ports, `tcp` with 0-65535 and with 1-65535 are three different texts: they stay apart here, though the first two let the
same packets through.
"""

PRIORITY_LAST = 65534
"""The largest number a rule may take; 65535 is where the implied rules stand (compute v1, `Firewall.priority`)."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Our ownership mark, from a rule's description: owner, class, policy rules. The name's prefix is checked beside it."""

    owner: str
    class_id: str
    rules: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """One text for steps and journals."""
        return f"{self.owner}/{self.class_id}"


TEMPORARY_CLASS = "move"
"""Class of rules that only help a change on its way: no class of a policy is called so."""
MARK_WORD = "cloudsync:v1"
_MARK = re.compile(rf"{MARK_WORD} owner=(\S+) class=(\S+) rules=(.*?)\. Managed by cloudsync\b", re.DOTALL)
_NAME = re.compile(r"cs-(.*)-([0-9a-f]{20})(-r[1-9][0-9]*)?")
OWNER_IN_NAMES_MOST = 12


def owner_in_names(owner: str) -> str:
    """Return an owner as it stands in names: Google's characters, at most twelve of them. It tells no owner for sure: the mark does."""
    return re.sub(r"[^a-z0-9-]", "-", owner.lower())[:OWNER_IN_NAMES_MOST].strip("-") or "x"


def mark_of(name: str, description: str, owner: str | None) -> Mark | None:
    """Return the mark of a rule, None unless name and description both say that it is ours (any owner's where `owner` is None)."""
    named, marked = _NAME.fullmatch(name), _MARK.match(description)
    if named is None or marked is None or (owner is not None and marked[1] != owner) or named[1] != owner_in_names(marked[1]):
        return None
    return Mark(marked[1], marked[2], tuple(part for part in marked[3].split(",") if part))


def off_word(owner: str) -> str:
    """Return what stands behind the description of a foreign rule that an owner has switched off: so that it can be given back."""
    return f" [{MARK_WORD} off owner={owner}]"


@dataclass(frozen=True, slots=True)
class Rule:
    """One VPC firewall rule in normal form: protocols united, CIDRs canonical and sorted, tags sorted, a missing list is empty."""

    name: str
    network: str
    """`projects/<project>/global/networks/<name>`."""
    egress: bool
    priority: int
    deny: bool
    protocols: tuple[Spec, ...] = ()
    sources: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()
    source_tags: tuple[str, ...] = ()
    target_tags: tuple[str, ...] = ()
    source_accounts: tuple[str, ...] = ()
    target_accounts: tuple[str, ...] = ()
    log: str = ""
    """Canonical JSON of an enabled `logConfig`; empty when logging is off, however that is spelled."""
    disabled: bool = False
    description: str = ""
    unreadable: str = ""
    """Why this rule's packets are not known; empty when they are. Such a rule is kept, reported and never guessed at."""
    rest: str = ""
    """Canonical JSON of an unreadable rule, so that an edit of it shows."""
    mark: Mark | None = None
    id: str = field(default="", compare=False)
    origins: tuple[Origin, ...] = field(default=(), compare=False)
    """The policy rules behind it; from the mark when it was read."""

    @property
    def key(self) -> tuple[int, bool, str]:
        """Where it stands: smaller first; at equal numbers deny beats allow (VPC firewall rules, "Priority")."""
        return (self.priority, not self.deny, self.name)

    @property
    def active(self) -> bool:
        """Tell whether it is enforced and understood."""
        return not self.disabled and not self.unreadable

    @property
    def temporary(self) -> bool:
        """Tell whether it is a rule of ours that only helps a change on its way."""
        return self.mark is not None and self.mark.class_id == TEMPORARY_CLASS

    def off_by(self, owner: str) -> bool:
        """Tell whether it is a foreign rule that this owner has switched off."""
        return self.mark is None and self.disabled and self.description.endswith(off_word(owner))


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One rule of a firewall policy, as far as it acts on VMs."""

    priority: int
    egress: bool
    action: str
    """`allow`, `deny` or `goto_next`."""
    peers: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    """Addresses on the VM's side; empty for all."""
    protocols: tuple[Spec, ...] = ()
    accounts: tuple[str, ...] = ()
    unreadable: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """A firewall policy that acts on a network beside its rules: HIERARCHY, SYSTEM or NETWORK."""

    name: str
    kind: str
    rules: tuple[PolicyRule, ...] = ()

    @property
    def title(self) -> str:
        """For people."""
        return f"{_KINDS.get(self.kind, self.kind.lower())} {self.name}"


_KINDS = {"HIERARCHY": "hierarchical policy", "SYSTEM": "system policy", "NETWORK": "network firewall policy"}


@dataclass(frozen=True, slots=True)
class Network:
    """One managed VPC network with the policies around its rules, in the order of evaluation."""

    key: str
    scope: str
    """`<project>/<name>`: the unit of completeness."""
    before: tuple[Policy, ...] = ()
    """Policies that decide before the network's rules."""
    after: tuple[Policy, ...] = ()

    @property
    def name(self) -> str:
        """Its short name."""
        return self.key.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Nic:
    """One interface of one VM in a managed network: an enforcement point."""

    point: PointId
    scope: str
    network: str
    vm: str
    """`projects/<project>/zones/<zone>/instances/<name>`; the project may be a service project of a Shared VPC."""
    primary: AddressSet = NOWHERE
    """Primary internal addresses: all that source tags and source service accounts match."""
    inside: AddressSet = NOWHERE
    """All internal addresses, alias ranges included: what rules see as the VM's own side."""
    public: AddressSet = NOWHERE
    """External IPv4 addresses: translated before rules look, so they are sources elsewhere, but never an own side here."""
    tags: tuple[str, ...] = ()
    account: str = ""
    fingerprint: str = field(default="", compare=False)
    """Of the VM's tags: what setTags must send back."""

    @property
    def vm_name(self) -> str:
        """The VM's short name."""
        return self.vm.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Layout:
    """How our rules are laid out: the numbers of the tiers, how targets are named, how much fits into a rule. From the settings."""

    target: str = "ip"
    """`ip`, `tags`, `managed-tags` or `service-accounts`."""
    tag_template: str = ""
    shield: int = 400
    never: int = 500
    allow: int = 600
    deny: int = 700
    default_deny: int = 60000
    outrank: bool = False
    owns: bool = False
    """The target is exclusive: then the default deny has to be the last word."""
    addresses_most: int = 256
    adopt: frozenset[str] = frozenset()
    """Rules of Google's own automation that may be switched off after all, by name."""


@dataclass(frozen=True, slots=True)
class Room:
    """How many rules the project may hold (quota FIREWALLS, shared by all its networks), and how many stand in other networks."""

    limit: int | None = None
    elsewhere: int = 0
    reserve: int = 0
    """Left free for others who write rules into the same project: clusters, load balancers, people."""


@dataclass(frozen=True, slots=True)
class GcpTable:
    """All managed networks of one target. `rules` by name (unique in a project), `nics` by point, `networks` by key.

    `members`: VM -> tags, where what source tags match is to differ from what the VM bears (only in bounds of a transition).
    """

    owner: str
    project: str
    rules: Mapping[str, Rule]
    nics: Mapping[PointId, Nic]
    networks: Mapping[str, Network]
    layout: Layout = Layout()
    room: Room = Room()
    taken: frozenset[str] = frozenset()
    """Names of rules in other networks of the project: not free."""
    incomplete: Mapping[str, str] = field(default_factory=dict)
    """Scope -> why it was not read whole."""
    members: Mapping[str, tuple[str, ...]] | None = None

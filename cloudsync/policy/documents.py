"""How policy and inventory files look: the source of their JSON Schemas, for editors and for the walker. Meaning is checked elsewhere."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any, ClassVar, Literal

from cloudsync.model.quick import dataclass
from cloudsync.policy.forms import Flag, Form, Name, Text, Texts, Version, Word, about

FORBID: dict[str, Any] = {"extra": "forbid"}
"""A field that nobody reads is a mistake of the writer's."""

ModeWord = Literal["idle", "visibility", "selective", "full"]
EgressWord = Literal["leave", "enforce"]
AcceptWord = Literal["port-only", "any-type", "any-port", "internet-as-anywhere"]
Key = Annotated[
    str,
    Form(
        r"^[a-z0-9][a-z0-9_.-]{0,62}/[0-9a-f]{12}$",
        "want TARGET/12 hex digits as `cloudsync drift` prints them, e.g. aws-prod/3f0c9a71be42",
    ),
]
"""The key of a finding."""
Selection = dict[Name, list[Word]]
"""Label key to values."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service with a process."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID
    ports: Texts = field(metadata=about("protocol/port, protocol/port-port, icmp/type", want="e.g. tcp/443"))
    process: Text | None = field(default=None, metadata=about("path of the program that listens; only where the platform knows processes"))


@dataclass(frozen=True, slots=True)
class EnforcementDefault:
    """What holds where no enforcement rule matches."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID
    mode: ModeWord = field(metadata=about("how far enforcement goes", want="one of: idle, visibility, selective, full"))
    egress: EgressWord | None = field(default=None, metadata=about("whether outbound packets are held to the policy; leave by default"))


@dataclass(frozen=True, slots=True)
class EnforcementRule:
    """One line of the enforcement table; the first whose scope matches decides."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID
    scope: Texts = field(metadata=about("all, labels, or a list of such", want='e.g. "app=ordering env=prod"'))
    mode: ModeWord = field(metadata=about("how far enforcement goes", want="one of: idle, visibility, selective, full"))
    egress: EgressWord | None = field(default=None, metadata=about("whether outbound packets are held to the policy; leave by default"))
    services: Texts | None = field(default=None, metadata=about("the services that selective closes"))


@dataclass(frozen=True, slots=True)
class EnforcementTable:
    """How far enforcement goes for whom."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID
    default: ModeWord | EnforcementDefault | None = field(default=None, metadata=about("a mode, or mode and egress; visibility by default"))
    rules: list[EnforcementRule] | None = field(default=None, metadata=about("first match wins"))


@dataclass(frozen=True, slots=True)
class RuleSides:
    """Who may reach whom on what."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID
    from_: Texts = field(metadata=about("who opens the connection", want="for everyone write `all workloads` or `anywhere`", name="from"))
    to: Texts = field(metadata=about("who is reached", want="labels, `all workloads`, `workload NAME` or an address selector"))
    services: Texts = field(metadata=about("on what", want="a service, protocol/port or `any service`"))


@dataclass(frozen=True, slots=True)
class LongRule:
    """A rule in its long form; exactly one of allow, deny, never."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID
    id: Name | None = field(default=None, metadata=about("the rule's identity; without it, its place in the ruleset"))
    allow: RuleSides | None = field(default=None, metadata=about("lets in"))
    deny: RuleSides | None = field(default=None, metadata=about("keeps out, weaker than allow"))
    never: RuleSides | None = field(default=None, metadata=about("keeps out, stronger than allow"))
    until: Text | None = field(default=None, metadata=about("UTC instant at which the rule ends, e.g. 2027-03-31T00:00:00Z"))
    because: Text | None = field(default=None, metadata=about("why the rule is there"))
    owner: Name | None = field(default=None, metadata=about("who answers for it"))
    process: Text | None = field(default=None, metadata=about("path of the program that listens"))
    logged: Flag | None = field(default=None, metadata=about("ask the platform to log what matches"))
    accept: AcceptWord | list[AcceptWord] | None = field(default=None, metadata=about("losses of precision that this rule accepts"))


@dataclass(frozen=True, slots=True)
class RulesetBody:
    """Rules that share a scope."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID
    name: Name = field(metadata=about("the ruleset's name, once over all files", want="every ruleset has a name"))
    scope: Texts = field(metadata=about("all, labels, or a list of such", want="scope: all, or e.g. app=ordering env=prod"))
    rules: list[Text | LongRule] = field(metadata=about("sentences, or the long form", want="e.g. `- allow role=lb to role=web on https`"))
    owner: Name | None = field(default=None, metadata=about("who answers for its rules"))
    description: Text | None = field(default=None, metadata=about("what it is for"))


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """One file of policy/. All files are merged; an object may be declared once over all of them."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID
    version: Version | None = field(default=None, metadata=about("version of the policy language", want="version: 1"))
    labels: Selection | None = field(default=None, metadata=about("the closed vocabulary: label key to its values"))
    label_groups: dict[Name, Selection] | None = field(default=None, metadata=about("a named set of values of one key"))
    iplists: dict[Name, Texts] | None = field(default=None, metadata=about("addresses, CIDRs, ranges a-b; a leading ! excludes"))
    services: dict[Name, Texts | Service] | None = field(
        default=None, metadata=about("protocol[/port[-port]]; icmp and icmpv6 take a type")
    )
    enforcement: EnforcementTable | None = field(default=None, metadata=about("how far enforcement goes; declared once"))
    rulesets: list[RulesetBody] | None = field(default=None, metadata=about("the rules"))
    tests: list[Text] | None = field(default=None, metadata=about("sentences that must hold: can reach, cannot reach, only ... may reach"))


@dataclass(frozen=True, slots=True)
class StaticEntry:
    """A workload that no cloud API lists, or labels for one that it does."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID
    name: Word = field(metadata=about("the workload's name", want="every workload has a name"))
    addresses: list[Text] = field(default_factory=list, metadata=about("addresses or CIDRs, IPv4 and IPv6"))
    labels: dict[Name, Word] = field(default_factory=dict, metadata=about("label key to value"))
    domain: Name | None = field(default=None, metadata=about("the routing domain of its addresses; `default` by default"))
    ref: Text | None = field(default=None, metadata=about("native id of the discovered workload that this entry is about"))


@dataclass(frozen=True, slots=True)
class InventoryFile:
    """One YAML file of inventory/."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID
    workloads: list[StaticEntry] = field(
        metadata=about("the workloads", want="e.g. workloads: [{name: ..., addresses: [...], labels: {...}}]")
    )


@dataclass(frozen=True, slots=True)
class AcknowledgedEntry:
    """One finding that somebody has accepted."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID
    finding: Key = field(metadata=about("the finding's key", want="the key that `cloudsync drift` prints, e.g. aws-prod/3f0c9a71be42"))
    until: Text = field(metadata=about("UTC instant from which it is told again", want="e.g. until: 2027-03-31T00:00:00Z"))
    because: Text = field(metadata=about("why it is accepted", want="say why, e.g. because: vendor needs it until the move, NET-123"))
    by: Text | None = field(default=None, metadata=about("who accepts it"))


@dataclass(frozen=True, slots=True)
class AcknowledgedFile:
    """acknowledged.yaml: findings that are counted, but not told again before their end."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID
    version: Version | None = field(default=None, metadata=about("version of this file"))
    acknowledged: list[AcknowledgedEntry] | None = field(default=None, metadata=about("the findings"))

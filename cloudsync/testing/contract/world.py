"""The small world of the contract suite: its machines, what was open before, the policies, and what they mean, written out by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field

from cloudsync.model.quick import dataclass
from cloudsync.testing.contract.stage import Hole, Stage

Service = tuple[int, int]
"""Protocol number, and port or ICMP type."""
SSH, HTTPS, POSTGRES, API, DNS = (6, 22), (6, 443), (6, 5432), (6, 8443), (17, 53)
SERVICES: tuple[Service, ...] = (SSH, HTTPS, POSTGRES, API, DNS)

OUTSIDERS: Mapping[str, tuple[str, ...]] = {
    "office": ("192.0.2.10", "2001:db8:10::7"),
    "partner": ("198.51.100.7",),
    "stranger": ("8.8.8.8", "2600::1"),
}
"""Who comes from outside, by name: addresses of both families."""
EVERYBODY = "everybody"

MACHINES: Mapping[str, str] = {"web1": "web", "web2": "web", "db1": "db", "other1": "other"}
"""Name -> role. `other` is left idle by every policy here."""

BEFORE: tuple[tuple[str, tuple[str, ...], tuple[Hole, ...]], ...] = (
    ("legacy", ("web1", "web2"), (Hole("0.0.0.0/0", *SSH), Hole("0.0.0.0/0", *HTTPS))),
    ("old", ("db1",), (Hole("192.0.2.0/24", *POSTGRES), Hole("198.51.100.0/24", *API))),
    ("theirs", ("other1",), (Hole("0.0.0.0/0", *SSH), Hole("198.51.100.0/24", *DNS))),
)
"""What somebody else opened before us."""

Opening = tuple[str, str, Service]
"""Workload or role, source or role or `everybody`, service."""
Reach = frozenset[tuple[str, str, Service]]
"""Every (workload, source address, service) that passes, of all that are asked about."""

FIRST: tuple[str, ...] = (
    "allow iplist office to role=web on tcp/22",
    "allow anywhere to role=web on tcp/443",
    "allow role=web to role=db on tcp/5432",
)
FIRST_OPENS: tuple[Opening, ...] = (("web", "office", SSH), ("web", EVERYBODY, HTTPS), ("db", "web", POSTGRES))

SECOND: tuple[str, ...] = (
    "allow iplist office, iplist partners to role=web on tcp/443",
    "allow role=web to role=db on tcp/8443",
    "allow iplist office to role=db on tcp/5432",
)
SECOND_OPENS: tuple[Opening, ...] = (
    ("web", "office", HTTPS),
    ("web", "partner", HTTPS),
    ("db", "web", API),
    ("db", "office", POSTGRES),
)

NAMES = """\
version: 1
labels: {role: [web, app, db, ghost, other]}
iplists:
  office: [192.0.2.0/24, "2001:db8:10::/48"]
  partners: [198.51.100.0/24]
  halves: [192.0.2.0/25, 192.0.2.128/25, "2001:DB8:0010:0::/49", "2001:db8:10:8000::/49"]
  alone: [192.0.2.10, "2001:0db8:0010:0000:0000:0000:0000:0007"]
  range: [192.0.2.1-192.0.2.14]
  many: [MANY]
"""
MANY = ", ".join(f"198.18.{number}.1" for number in range(64))
"""Addresses that no prefix joins."""


@dataclass(frozen=True, slots=True)
class Enforcing:
    """How far enforcement goes: the mode of every workload but the idle one, and what it does about outbound packets."""

    mode: str = "full"
    egress: str = "leave"
    services: tuple[str, ...] = ()
    """What `selective` closes."""
    roles: str = "web|db"
    """Whom the mode is for; everybody else is idle."""

    def text(self) -> str:
        """Return the section of a policy file."""
        more = f", services: [{', '.join(self.services)}]" if self.services else ""
        lines = [
            "enforcement:",
            "  default: idle",
            "  rules:",
            f"    - {{scope: role={self.roles}, mode: {self.mode}, egress: {self.egress}{more}}}",
        ]
        return "\n".join(lines) + "\n"


FULL = Enforcing()
SELECTIVE = Enforcing("selective", services=("tcp/22",))
RELEASED = Enforcing("idle")
OUTBOUND = Enforcing("full", "enforce")


def policy(rules: Iterable[str], enforcing: Enforcing = FULL) -> str:
    """Return a policy file with these rules; with one that reaches nobody when there is none, because an empty policy is refused."""
    listed = "".join(f"      - {rule}\n" for rule in tuple(rules) or ("allow iplist office to role=ghost on tcp/22",))
    sets = f"rulesets:\n  - name: base\n    scope: all\n    owner: contract\n    rules:\n{listed}"
    return NAMES.replace("MANY", MANY) + enforcing.text() + sets


@dataclass(slots=True)
class World:
    """The machines on a stage. `addresses`: what the stage gave each."""

    stage: Stage
    addresses: dict[str, tuple[str, ...]] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)

    @classmethod
    def build(cls, stage: Stage) -> World:
        """Put the machines on the stage, and what was open before us."""
        world = cls(stage)
        for name, role in MACHINES.items():
            world.add(name, role)
        for name, workloads, holes in BEFORE:
            stage.add_foreign(name, workloads, holes)
        return world

    def add(self, name: str, role: str) -> None:
        """Put one more machine on the stage."""
        self.addresses[name] = self.stage.add_workload(name, {"role": role})
        self.roles[name] = role

    def sources(self, name: str) -> tuple[str, ...]:
        """Return the addresses behind the name of an outsider, a role or a machine."""
        if name == EVERYBODY:
            return tuple(one for other in (*OUTSIDERS, *self.addresses) for one in self.sources(other))
        if name in OUTSIDERS:
            return tuple(one for one in OUTSIDERS[name] if self.stage.facts.ipv6 or ":" not in one)
        machines = [machine for machine, role in self.roles.items() if name in (machine, role)]
        return tuple(one for machine in machines for one in self.addresses[machine])

    def probes(self) -> tuple[tuple[str, str, Service], ...]:
        """Return every packet that is asked about. What a machine sends to itself crosses no network and is left out."""
        everybody = dict.fromkeys(self.sources(EVERYBODY))
        return tuple(
            (machine, source, service)
            for machine, own in self.addresses.items()
            for source in everybody
            if source not in own
            for service in SERVICES
        )

    def reach(self) -> Reach:
        """Ask the platform itself what passes now."""
        passes = self.stage.truth()
        return frozenset((to, source, service) for to, source, service in self.probes() if passes(to, source, *service))

    def meant(self, openings: Iterable[Opening]) -> Reach:
        """Return what openings say, packet by packet."""
        found = {
            (machine, source, service)
            for to, source_name, service in openings
            for machine, role in self.roles.items()
            if to in (machine, role)
            for source in self.sources(source_name)
        }
        return frozenset(found) & frozenset(self.probes())

    def at(self, reach: Reach, *roles: str) -> Reach:
        """Return the part of a reach at the machines of some roles."""
        return frozenset(one for one in reach if self.roles[one[0]] in roles)


def told(reach: Iterable[tuple[str, str, Service]]) -> str:
    """Return a reach in words, for messages."""
    said = sorted(f"{source} -> {to} {protocol}/{port}" for to, source, (protocol, port) in reach)
    return ", ".join(said[:6]) + (f" and {len(said) - 6} more" if len(said) > 6 else "")

"""The simulated platforms: true native state, what people do to it, and what a write does. AWS and GCP; the others are in `sites_more`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from random import Random
from typing import Any, Protocol, TypeVar

from cloudsync.adapter import Adapter, Found, FoundInterface, Step
from cloudsync.model.address import AddressSet
from cloudsync.model.errors import CloudsyncError
from cloudsync.model.workload import PointId
from cloudsync_aws import payload as aws_wire
from cloudsync_aws.request import Request
from cloudsync_aws.simulate import default_egress, renamed, simulate_all
from cloudsync_aws.table import AwsTable, Eni, Group, PeerKind, Quotas, RuleKey, Vpc
from cloudsync_gcp import parse as gcp_parse
from cloudsync_gcp import payload as gcp_wire
from cloudsync_gcp.simulate import simulate_all as gcp_simulate
from cloudsync_gcp.table import GcpTable, Layout, Network
from cloudsync_gcp.table import Nic as GcpNic
from tests.sim.lens import Address

OWNER = "sim"
Tags = dict[str, str]
Card = tuple[str, tuple[Address, ...]]
"""A point and its addresses."""


class RejectedError(CloudsyncError):
    """The platform refuses a call; nothing happened."""

    def __init__(self, code: str, words: str) -> None:
        self.code = code
        super().__init__(f"{code}: {words}")


class Site(Protocol):
    """One platform's truth. `table` is its native state now; nobody but this module and `apply` changes it."""

    kind: str
    table: Any
    tags: dict[str, Tags]
    """Labels of machines, by ref."""
    mode: str

    def options(self) -> dict[str, Any]:
        """Return the settings of a target that covers it."""

    def scopes(self) -> tuple[str, ...]:
        """Return its units of completeness."""

    def empty(self, why: str) -> Any:
        """Return the table of a read that failed."""

    def found(self, table: Any) -> tuple[Found, ...]:
        """Return the machines of a table as they are discovered."""

    def without(self, refs: Iterable[str]) -> Any:
        """Return the table of a read that silently leaves out some machines."""

    def cards(self) -> tuple[Card, ...]:
        """Return every point that can be enforced, with its addresses."""

    def add(self, rng: Random, labels: Tags) -> str:
        """Put a machine there; return its ref."""

    def remove(self, ref: str) -> None:
        """Take a machine away."""

    def apply(self, adapter: Adapter, step: Step) -> tuple[tuple[str, str], ...]:
        """Let a call take effect; return ids of what it created. Raises RejectedError."""

    def part(self, old: Any, now: Any, steps: Iterable[Step]) -> Any:
        """Return `old` with what these steps touch as it is in `now`."""

    def tamper(self, rng: Random) -> str:
        """Let somebody edit an object of ours; return what was done, empty when there is none."""

    def unmark(self, rng: Random) -> str:
        """Let somebody take our mark off an object; return which."""

    def meddle(self, rng: Random) -> str:
        """Let somebody edit an object of their own."""

    def foreign(self) -> Mapping[str, object]:
        """Return everything that is not ours to touch in this mode, by name; it never changes by a write of ours."""


PORTS = ((6, 22), (6, 443), (6, 5432), (6, 8443), (17, 53))
PEERS = ("0.0.0.0/0", "10.0.0.0/8", "192.0.2.0/24", "198.51.100.0/24", "192.0.2.0/28")


# --- AWS -------------------------------------------------------------------------------------------------------------------

ACCOUNT = "111122223333"
REGION = f"{ACCOUNT}/us-east-1"
VPC = "vpc-0a1b2c3d"


@dataclass
class AwsSite:
    """One account, one Region, one VPC."""

    table: AwsTable
    mode: str
    kind: str = "aws"
    tags: dict[str, Tags] = field(default_factory=dict)
    number: int = 0
    ids: int = 0

    @classmethod
    def draw(cls, rng: Random, mode: str) -> AwsSite:
        """Draw an account: a default group and some of somebody else's."""
        vpc = Vpc(VPC, REGION, ("10.20.0.0/16",), ipv6=rng.random() < 0.3)
        groups = {}
        for at in range(rng.randint(2, 3)):
            name = "default" if at == 0 else f"legacy-{at}"
            key = f"sg-f{at}"
            rules = dict.fromkeys(default_egress(vpc) if rng.random() < 0.8 else (_aws_rule(rng, egress=True),), "")
            rules |= {_aws_rule(rng): "by hand" for _ in range(rng.randint(0, 3))}
            groups[key] = Group(key, REGION, VPC, name, rules, is_default=at == 0)
        quotas = {REGION: Quotas(rules_per_group=rng.choice((60, 60, 200)), groups_per_eni=5)}
        return cls(AwsTable(OWNER, groups, {}, {}, {VPC: vpc}, quotas=quotas), mode)

    def options(self) -> dict[str, Any]:
        return {"account": ACCOUNT, "regions": ["us-east-1"], "max_wait": "30s"}

    def scopes(self) -> tuple[str, ...]:
        return (REGION,)

    def empty(self, why: str) -> AwsTable:
        return AwsTable(OWNER, {}, {}, {}, {}, incomplete={REGION: why})

    def found(self, table: AwsTable) -> tuple[Found, ...]:
        return tuple(
            Found(
                eni.instance,
                self.tags[eni.instance]["Name"],
                ACCOUNT,
                REGION,
                tuple(sorted(self.tags[eni.instance].items())),
                (FoundInterface(eni.id, VPC, eni.private, eni.point),),
            )
            for eni in sorted(table.enis.values(), key=lambda one: one.instance)
        )

    def without(self, refs: Iterable[str]) -> AwsTable:
        gone = set(refs)
        return replace(self.table, enis={key: eni for key, eni in self.table.enis.items() if eni.instance not in gone})

    def cards(self) -> tuple[Card, ...]:
        return tuple((eni.point, addresses(eni.private)) for eni in self.table.enis.values())

    def add(self, rng: Random, labels: Tags) -> str:
        self.number += 1
        key, ref = f"eni-{self.number:03}", f"i-{self.number:03}"
        private = AddressSet.of(f"10.20.0.{self.number}")
        if self.table.vpcs[VPC].ipv6 and rng.random() < 0.6:
            private |= AddressSet.of(f"2001:db8:20::{self.number}")
        foreign = sorted(one for one, group in self.table.groups.items() if group.mark is None)
        carried = tuple(sorted(rng.sample(foreign, rng.randint(1, min(2, len(foreign))))))
        eni = Eni(key, REGION, VPC, ref, private, groups=carried)
        self.table = replace(self.table, enis={**self.table.enis, key: eni})
        self.tags[ref] = {"Name": f"aws-{self.number}", **labels}
        return ref

    def remove(self, ref: str) -> None:
        self.table = replace(self.table, enis={key: eni for key, eni in self.table.enis.items() if eni.instance != ref})
        del self.tags[ref]

    def apply(self, adapter: Adapter, step: Step) -> tuple[tuple[str, str], ...]:
        del adapter
        request = Request.of(step, {})
        try:
            request.bound()
            after = simulate_all(self.table, (_blind(step),))
        except ValueError as error:
            raise RejectedError("InvalidState", str(error)) from error
        if not request.created:
            self.table = after
            return ()
        symbol = "{new:" + request.created + "}"
        self.ids += 1
        native = f"{'sg' if symbol in after.groups else 'pl'}-{self.ids:04}"
        self.table = renamed(after, {symbol: native})
        return ((request.created, native),)

    def part(self, old: AwsTable, now: AwsTable, steps: Iterable[Step]) -> AwsTable:
        names: set[str] = set()
        words: set[str] = set()
        for step in steps:
            arguments = Request.of(step, {}).arguments
            names |= {str(arguments[key]) for key in ("GroupId", "NetworkInterfaceId", "PrefixListId") if key in arguments}
            words |= {str(arguments[key]) for key in ("GroupName", "PrefixListName") if key in arguments}
        return replace(
            old,
            groups=_merged(old.groups, now.groups, names | {key for key, one in now.groups.items() if one.name in words}),
            enis=_merged(old.enis, now.enis, names),
            lists=_merged(old.lists, now.lists, names | {key for key, one in now.lists.items() if one.name in words}),
        )

    def _ours(self) -> list[Group]:
        carried = {key for eni in self.table.enis.values() for key in eni.groups}
        return [group for key, group in sorted(self.table.groups.items()) if group.mark is not None and key in carried]

    def _put(self, group: Group) -> None:
        self.table = replace(self.table, groups={**self.table.groups, group.id: group})

    def tamper(self, rng: Random) -> str:
        mine = self._ours()
        if not mine:
            return ""
        group = rng.choice(mine)
        kind = rng.choice(("widen", "narrow", "swap"))
        if kind == "widen" or not group.rules:
            self._put(replace(group, rules={**group.rules, RuleKey(False, 6, 23, 23, PeerKind.CIDR4.value, "203.0.113.99/32"): ""}))
        elif kind == "narrow":
            gone = rng.choice(sorted(group.rules))
            self._put(replace(group, rules={key: text for key, text in group.rules.items() if key != gone}))
        else:
            eni = rng.choice([one for one in self.table.enis.values() if group.id in one.groups])
            self.table = replace(self.table, enis={**self.table.enis, eni.id: replace(eni, groups=("sg-f0",))})
        return f"{kind} {group.name}"

    def unmark(self, rng: Random) -> str:
        mine = self._ours()
        if not mine:
            return ""
        group = rng.choice(mine)
        self._put(replace(group, mark=None, tags=()))
        return group.name

    def meddle(self, rng: Random) -> str:
        group = self.table.groups[rng.choice(sorted(key for key, one in self.table.groups.items() if one.mark is None))]
        self._put(replace(group, rules={**group.rules, _aws_rule(rng): "again"}))
        return group.name

    def foreign(self) -> Mapping[str, object]:
        found: dict[str, object] = {key: group.rules for key, group in self.table.groups.items() if group.mark is None}
        if self.mode == "additive":
            for eni in self.table.enis.values():
                found[eni.id] = tuple(key for key in eni.groups if self.table.groups[key].mark is None)
        return found


def _blind(step: Step) -> Step:
    """Return a step as EC2 takes it: it has no compare-and-swap, what is expected beside the call is not sent."""
    request = aws_wire.parse(step.payload)
    return replace(step, payload=aws_wire.render(request.call, request.args))


def _aws_rule(rng: Random, *, egress: bool = False) -> RuleKey:
    protocol, port = rng.choice(PORTS)
    if rng.random() < 0.1:
        return RuleKey(egress, 1, 8, -1, PeerKind.CIDR4.value, rng.choice(PEERS))
    return RuleKey(egress, protocol, port, port, PeerKind.CIDR4.value, rng.choice(PEERS))


def addresses(found: AddressSet) -> tuple[Address, ...]:
    """Return the single addresses of a small set, IPv4 first."""
    return tuple(ip_address(text.partition("/")[0]) for text in found.cidrs())


Key = TypeVar("Key", bound=str)
Thing = TypeVar("Thing")


def _merged(old: Mapping[Key, Thing], now: Mapping[Key, Thing], names: set[Key]) -> dict[Key, Thing]:
    found = {key: one for key, one in old.items() if key not in names} | {key: one for key, one in now.items() if key in names}
    return {key: found[key] for key in sorted(found)}


# --- GCP -------------------------------------------------------------------------------------------------------------------

PROJECT = "acme-net"
NETWORK = f"projects/{PROJECT}/global/networks/prod"


@dataclass
class GcpSite:
    """One project with one network."""

    table: GcpTable
    mode: str
    kind: str = "gcp"
    tags: dict[str, Tags] = field(default_factory=dict)
    number: int = 0

    @classmethod
    def draw(cls, rng: Random, mode: str) -> GcpSite:
        """Draw a project: rules of somebody else's at all kinds of numbers."""
        layout = Layout(owns=mode == "exclusive", default_deny=65534 if mode == "exclusive" else 60000)
        table = GcpTable(OWNER, PROJECT, {}, {}, {NETWORK: Network(NETWORK, f"{PROJECT}/prod")}, layout)
        site = cls(table, mode)
        for at in range(rng.randint(0, 5)):
            site._rule(rng, f"legacy-{at}")
        return site

    def _rule(self, rng: Random, name: str) -> None:
        egress = rng.random() < 0.2
        protocol, port = rng.choice(PORTS)
        raw: dict[str, Any] = {
            "name": name,
            "network": NETWORK,
            "direction": "EGRESS" if egress else "INGRESS",
            "priority": rng.choice((100, 650, 1000, 1000, 61000)),
            rng.choice(("allowed", "allowed", "denied")): [{"IPProtocol": str(protocol), "ports": [str(port)]}],
            "destinationRanges" if egress else "sourceRanges": [rng.choice(PEERS)],
        }
        if rng.random() < 0.4:
            raw["targetTags"] = [rng.choice(("web", "old"))]
        made = gcp_parse.rule(raw, OWNER)
        self.table = replace(self.table, rules={**self.table.rules, name: made})

    def options(self) -> dict[str, Any]:
        return {"project": PROJECT, "networks": ["prod"], "max_wait": "30s"}

    def scopes(self) -> tuple[str, ...]:
        return (f"{PROJECT}/prod",)

    def empty(self, why: str) -> GcpTable:
        return replace(self.table, rules={}, nics={}, networks={}, incomplete={f"{PROJECT}/prod": why})

    def found(self, table: GcpTable) -> tuple[Found, ...]:
        return tuple(
            Found(
                nic.vm,
                nic.vm_name,
                PROJECT,
                nic.scope,
                tuple(sorted(self.tags[nic.vm].items())),
                (FoundInterface("nic0", NETWORK, nic.inside, nic.point),),
            )
            for nic in sorted(table.nics.values(), key=lambda one: one.vm)
        )

    def without(self, refs: Iterable[str]) -> GcpTable:
        gone = set(refs)
        return replace(self.table, nics={point: nic for point, nic in self.table.nics.items() if nic.vm not in gone})

    def cards(self) -> tuple[Card, ...]:
        return tuple((point, addresses(nic.inside)) for point, nic in self.table.nics.items())

    def add(self, rng: Random, labels: Tags) -> str:
        self.number += 1
        name = f"gcp-{self.number}"
        vm = f"projects/{PROJECT}/zones/z/instances/{name}"
        own = AddressSet.of(f"10.42.0.{self.number}")
        if rng.random() < 0.2:
            own |= AddressSet.of(f"2001:db8:42::{self.number}")
        point = PointId(f"{PROJECT}/prod/{PROJECT}/z/{name}/nic0")
        nic = GcpNic(point, f"{PROJECT}/prod", NETWORK, vm, own, own, tags=tuple(sorted(rng.sample(("old", "web"), rng.randint(0, 2)))))
        self.table = replace(self.table, nics=dict(sorted({**self.table.nics, point: nic}.items())))
        self.tags[vm] = dict(labels)
        return vm

    def remove(self, ref: str) -> None:
        self.table = self.without([ref])
        del self.tags[ref]

    def apply(self, adapter: Adapter, step: Step) -> tuple[tuple[str, str], ...]:
        del adapter
        try:
            self.table = gcp_simulate(self.table, (step,))
        except ValueError as error:
            raise RejectedError("409", str(error)) from error
        return ()

    def part(self, old: GcpTable, now: GcpTable, steps: Iterable[Step]) -> GcpTable:
        requests = [gcp_wire.parse(step.payload) for step in steps]
        names = {one.object for one in requests if one.call != gcp_wire.SET_TAGS}
        vms = {one.object for one in requests if one.call == gcp_wire.SET_TAGS}
        points = {nic.point for table in (old, now) for nic in table.nics.values() if nic.vm in vms}
        return replace(old, rules=_merged(old.rules, now.rules, names), nics=_merged(old.nics, now.nics, points))

    def _ours(self) -> list[str]:
        return sorted(name for name, rule in self.table.rules.items() if rule.mark is not None)

    def tamper(self, rng: Random) -> str:
        mine = self._ours()
        if not mine:
            return ""
        name, kind = rng.choice(mine), rng.choice(("widen", "delete", "disable"))
        rules = dict(self.table.rules)
        if kind == "delete":
            del rules[name]
        elif kind == "disable":
            rules[name] = replace(rules[name], disabled=True)
        else:
            texts = {"destinations" if rules[name].egress else "sources": ("203.0.113.99/32",)}
            rules[name] = replace(rules[name], **texts)  # type: ignore[arg-type]
        self.table = replace(self.table, rules=rules)
        return f"{kind} {name}"

    def unmark(self, rng: Random) -> str:
        mine = self._ours()
        if not mine:
            return ""
        name = rng.choice(mine)
        self.table = replace(
            self.table, rules={**self.table.rules, name: replace(self.table.rules[name], mark=None, description="mine now")}
        )
        return name

    def meddle(self, rng: Random) -> str:
        name = f"hand-{rng.randrange(10**6)}"
        self._rule(rng, name)
        return name

    def foreign(self) -> Mapping[str, object]:
        return dict(self._foreign())

    def _foreign(self) -> Iterator[tuple[str, object]]:
        for name, rule in self.table.rules.items():
            if rule.mark is None:
                yield name, replace(rule, disabled=False, description="") if self.mode == "exclusive" else rule
        for point, nic in self.table.nics.items():
            yield point, nic.tags

"""A small GCP project for unit tests: machines, foreign rules as raw JSON, classes by name, and what is wanted of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from cloudsync.adapter import AddressPeer, Allowed, ClassIntent, ClassPeer, Encoding, Intent, Origin, PointIntent, Term, Whose
from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet
from cloudsync.model.mode import Accept, Egress, Mode, TargetMode
from cloudsync.model.packets import NO_PACKETS, Packet, PacketSet
from cloudsync.model.service import TCP, ServiceSet
from cloudsync.model.workload import DEFAULT_DOMAIN, Labels, PointId
from cloudsync_gcp import parse
from cloudsync_gcp.decode import decode, points
from cloudsync_gcp.encode import encode
from cloudsync_gcp.payload import body
from cloudsync_gcp.table import GcpTable, Layout, Rule

Json = dict[str, Any]
NETWORK = "projects/acme-net/global/networks/prod"
SSH, HTTPS = ServiceSet.ports(TCP, 22, 22), ServiceSet.ports(TCP, 443, 443)
ALL = {"IPProtocol": "all"}
TCP22 = {"IPProtocol": "tcp", "ports": ["22"]}


def raw(name: str, priority: int = 1000, **more: Any) -> Json:
    """Return a foreign rule: ssh from anywhere unless more is said."""
    rule: Json = {"name": name, "network": f"https://www.googleapis.com/compute/v1/{NETWORK}", "priority": priority, "direction": "INGRESS"}
    if "denied" not in more:
        rule["allowed"] = [TCP22]
    if more.get("direction") != "EGRESS":
        rule["sourceRanges"] = ["0.0.0.0/0"]
    return rule | more


def term(rule: str, peer: str | AddressSet, services: ServiceSet, **more: Any) -> Term:
    """Return a term from a class (by name) or from addresses."""
    return Term(ClassPeer(peer) if isinstance(peer, str) else AddressPeer(peer), services, (Origin(rule),), **more)


@dataclass
class Scene:
    """The project, and what is wanted of each class."""

    layout: Layout = Layout()
    mode: TargetMode = TargetMode.ADDITIVE
    rules: list[Json] = field(default_factory=list)
    vms: dict[str, Json] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)
    modes: dict[str, Mode] = field(default_factory=dict)
    egress: dict[str, Egress] = field(default_factory=dict)
    terms: dict[str, list[Term]] = field(default_factory=dict)
    nevers: dict[str, list[Term]] = field(default_factory=dict)
    closing: dict[str, list[Term]] = field(default_factory=dict)
    outward: dict[str, list[Term]] = field(default_factory=dict)
    original: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """VM -> names on record from adoption."""
    policies: list[Json] = field(default_factory=list)
    quarantined: AddressSet = NOWHERE
    incomplete: frozenset[str] = frozenset()
    owner: str = "acme"

    def vm(
        self, name: str, group: str, address: str, *, tags: tuple[str, ...] = (), six: str = "", public: str = "", account: str = ""
    ) -> None:
        """Add a machine."""
        nic: Json = {"name": "nic0", "network": f"https://x/{NETWORK}", "networkIP": address}
        nic |= {"ipv6Address": six} if six else {}
        nic |= {"accessConfigs": [{"natIP": public}]} if public else {}
        self.vms[name] = {
            "name": name,
            "selfLink": f"https://x/projects/acme-net/zones/z/instances/{name}",
            "networkInterfaces": [nic],
            "tags": {"items": list(tags), "fingerprint": "f="},
            "serviceAccounts": [{"email": account}] if account else [],
        }
        self.classes[name] = group
        self.modes.setdefault(group, Mode.FULL)

    def table(self, *rules: Rule) -> GcpTable:
        """Return what a read gives, with some more rules."""
        network = parse.network({"selfLink": f"https://x/{NETWORK}"}, {"firewalls": [], "firewallPolicys": self.policies})
        nics = parse.by_point(nic for vm in self.vms.values() for nic in parse.nics(vm, {network.key: network}))
        found = parse.by_name([*(parse.rule(one, self.owner) for one in self.rules), *rules])
        return GcpTable(self.owner, "acme-net", found, nics, {network.key: network}, self.layout)

    def point(self, vm: str) -> PointId:
        """Return the enforcement point of a machine."""
        return PointId(f"acme-net/prod/acme-net/z/{vm}/nic0")

    def intent(self, table: GcpTable) -> Intent:
        """Return what is wanted, as the core makes it."""
        names = sorted(set(self.classes.values()))
        own = {
            name: AddressSet.union_all(nic.inside | nic.public for nic in table.nics.values() if self.classes.get(nic.vm_name) == name)
            for name in names
        }
        groups = {name: self._class(name, own) for name in names}
        now = decode(table, Whose.FOREIGN)
        wishes = [
            self._wish(nic.point, nic.vm_name, groups, now[nic.point].inbound, now[nic.point].outbound) for nic in table.nics.values()
        ]
        listed = tuple(groups.values())
        return Intent("gcp", self.owner, self.mode, listed, tuple(wishes), self.incomplete, self.quarantined)

    def _class(self, name: str, own: dict[str, AddressSet]) -> ClassIntent:
        def packets(terms: list[Term], *, wide: bool = False) -> PacketSet:
            return PacketSet.union_all(
                PacketSet.of(
                    own[one.peer.class_id] if isinstance(one.peer, ClassPeer) else one.peer.addresses,
                    _wide(one.services) if wide and Accept.ANY_TYPE in one.accept else one.services,
                )
                for one in terms
            )

        whole, nevers, closing = self.terms.get(name, []), self.nevers.get(name, []), self.closing.get(name, [])
        never = packets(nevers)
        exact, loosest = packets(whole) - never, packets(whole, wide=True) - never
        if any(Accept.INTERNET_AS_ANYWHERE in one.accept for one in whole):
            loosest = PacketSet.union_all(PacketSet.of(ANYWHERE, one.services) for one in whole) - never
        inbound = Allowed((), exact, loosest | exact, never, packets(closing), tuple(whole), tuple(nevers), tuple(closing))
        outward = self.outward.get(name, [])
        outbound = Allowed((), packets(outward), packets(outward), whole=tuple(outward))
        egress = self.egress.get(name, Egress.LEAVE)
        labels = Labels.of({"role": name, "env": "prod"})
        return ClassIntent(name, DEFAULT_DOMAIN, labels, self.modes[name], egress, own[name], inbound, outbound)

    def _wish(self, point: PointId, vm: str, groups: dict[str, ClassIntent], inbound: PacketSet, outbound: PacketSet) -> PointIntent:
        group = groups[self.classes[vm]]
        original = self.original.get(vm, ())
        if self.mode is not TargetMode.EXCLUSIVE or not group.mode.enforced:
            return PointIntent(point, group.class_id, DEFAULT_DOMAIN, group.mode, group.egress, original=original)
        kept_in = NO_PACKETS
        if group.mode is Mode.SELECTIVE:
            recorded = self.table()
            listed = {name: replace(rule, disabled=False) for name, rule in recorded.rules.items() if name in original}
            past = decode(replace(recorded, rules=listed))[point].inbound
            kept_in = (past & inbound) - group.inbound.closed - group.inbound.never
        kept_out = outbound if group.egress is Egress.LEAVE else NO_PACKETS
        return PointIntent(point, group.class_id, DEFAULT_DOMAIN, group.mode, group.egress, kept_in, kept_out, original)

    def encode(self, table: GcpTable | None = None) -> Encoding:
        """Return the desired table."""
        table = self.table() if table is None else table
        return encode(self.intent(table), table)

    def read_back(self, encoding: Encoding) -> GcpTable:
        """Return the table that a read after the writes gives; foreign rules of the scene become what the writes made of them."""
        for rule in self.rules:
            after = encoding.table.rules[rule["name"]]
            rule |= {"disabled": after.disabled, "description": after.description}
        ours = [parse.rule(body(rule), self.owner) for rule in encoding.table.rules.values() if rule.mark is not None]
        for point, nic in encoding.table.nics.items():
            self.vms[encoding.table.nics[point].vm_name]["tags"]["items"] = list(nic.tags)
        return self.table(*ours)


def _wide(services: ServiceSet) -> ServiceSet:
    return ServiceSet.union_all((services, *(ServiceSet.protocol(run.protocol) for run in services.ranges())))


def ours(table: GcpTable) -> list[Rule]:
    """Return our rules in the order of evaluation."""
    return sorted((rule for rule in table.rules.values() if rule.mark is not None), key=lambda rule: rule.key)


def passes(table: GcpTable, point: PointId, peer: str, port: int, direction: str = "inbound", *, whose: Whose = Whose.ALL) -> bool:
    """Tell whether tcp from (or to) a peer passes at a point."""
    addresses = AddressSet.of(peer)
    ((family, first, _),) = addresses.prefixes()
    access = decode(table, whose, [point])[point]
    return Packet(family, first, TCP, port) in (access.inbound if direction == "inbound" else access.outbound)


def skipped(table: GcpTable) -> dict[PointId, str]:
    """Return why points are not checked."""
    return {one.id: one.skipped for one in points(table) if one.skipped}

"""Random GCP estates as the API would show them, and intents on them, drawn from one seed; and an evaluator that knows only the JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network
from random import Random
from typing import Any

from cloudsync.adapter import Access, AddressPeer, Allowed, ClassIntent, ClassPeer, Intent, Origin, PointIntent, Term, Whose
from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet, Family
from cloudsync.model.mode import Accept, Egress, Mode, TargetMode
from cloudsync.model.packets import NO_PACKETS, Packet, PacketSet
from cloudsync.model.service import ANY_SERVICE, GRE, ICMP, ICMPV6, SCTP, TCP, UDP, ServiceSet
from cloudsync.model.workload import DEFAULT_DOMAIN, Labels, PointId
from cloudsync_gcp import parse
from cloudsync_gcp.decode import decode
from cloudsync_gcp.decode import points as points_of
from cloudsync_gcp.payload import body
from cloudsync_gcp.table import GcpTable, Layout

Json = dict[str, Any]
OWNER, PROJECT = "acme-prod", "acme-net"
HOST = "https://www.googleapis.com/compute/v1/"
NETWORKS = ("prod", "dev")
SERVICES = (
    ServiceSet.ports(TCP, 22, 22),
    ServiceSet.ports(TCP, 443, 443),
    ServiceSet.ports(TCP, 1000, 2000),
    ServiceSet.ports(TCP, 1500, 1500) | ServiceSet.ports(UDP, 53, 53),
    ServiceSet.protocol(TCP),
    ServiceSet.protocol(ICMP) | ServiceSet.protocol(ICMPV6),
    ServiceSet.protocol(GRE),
    ServiceSet.protocol(89),
    ServiceSet.ports(SCTP, 80, 80),
    ANY_SERVICE,
)
ADDRESSES = (
    AddressSet.of("10.0.0.0/8"),
    AddressSet.of("10.0.0.0/9", "192.168.0.0/16"),
    AddressSet.of("203.0.113.0/24", "2001:db8::/32"),
    AddressSet.of("198.51.100.7/32"),
    AddressSet.of(*(f"198.51.100.{number}/32" for number in range(1, 30, 4)), "2001:db8:1::/48"),
    ANYWHERE,
    ANYWHERE - AddressSet.of("10.0.0.0/8"),
)
_PROTOCOLS: tuple[Json, ...] = (
    {"IPProtocol": "all"},
    {"IPProtocol": "tcp", "ports": ["22", "21-25"]},
    {"IPProtocol": "TCP"},
    {"IPProtocol": "tcp", "ports": ["0-65535"]},
    {"IPProtocol": "tcp", "ports": ["1000-1600"]},
    {"IPProtocol": "17", "ports": ["53"]},
    {"IPProtocol": "icmp"},
    {"IPProtocol": "58"},
    {"IPProtocol": "47"},
)
_RANGES = ("0.0.0.0/0", "::/0", "10.0.0.0/8", "10.1.0.0/28", "192.0.2.1", "2001:0db8::/32", "127.0.0.1/24", "198.51.100.0/28")


@dataclass
class World:
    """What the API shows of one project: raw rules by name, raw VMs, effective answers per network."""

    rules: dict[str, Json] = field(default_factory=dict)
    vms: list[Json] = field(default_factory=list)
    effective: dict[str, Json] = field(default_factory=dict)
    order: dict[str, str] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)
    """VM name -> class."""
    ours: set[str] = field(default_factory=set)

    def table(self, layout: Layout | None = None) -> GcpTable:
        """Return what a read of this world gives."""
        networks = {}
        for name in NETWORKS:
            raw = {"selfLink": f"{HOST}{network_path(name)}", "name": name, "networkFirewallPolicyEnforcementOrder": self.order[name]}
            found = parse.network(raw, self.effective[name])
            networks[found.key] = found
        nics = parse.by_point(nic for vm in self.vms for nic in parse.nics(vm, networks))
        rules = parse.by_name(parse.rule(raw, OWNER) for raw in self.rules.values())
        return GcpTable(OWNER, PROJECT, rules, nics, networks, layout or Layout())


def network_path(name: str) -> str:
    return f"projects/{PROJECT}/global/networks/{name}"


def settled(table: GcpTable) -> GcpTable:
    """Return a table as the next read shows it: every rule rendered and parsed again."""
    rules = {name: rule if rule.unreadable else parse.rule(body(rule), table.owner) for name, rule in table.rules.items()}
    return replace(table, rules=rules)


# --- estates -------------------------------------------------------------------------------------------------------------


def world(random: Random, *, policies: bool = True, unreadable: bool = False, numbers: Iterable[int] | None = None) -> World:
    """Draw a project: two networks with machines, foreign rules and, at times, policies."""
    found = World()
    for at, name in enumerate(NETWORKS):
        found.order[name] = random.choice(("AFTER_CLASSIC_FIREWALL", "AFTER_CLASSIC_FIREWALL", "BEFORE_CLASSIC_FIREWALL"))
        found.effective[name] = {"firewalls": []}
        if policies and random.random() < 0.4:
            kinds = random.sample(("HIERARCHY", "SYSTEM", "NETWORK"), random.randint(1, 2))
            found.effective[name]["firewallPolicys"] = [_policy(random, kind) for kind in kinds]
        for number in range(random.randint(1, 4)):
            found.vms.append(_vm(random, name, at, number))
    found.classes = {vm["name"]: f"class{random.randrange(3)}" for vm in found.vms}
    listed = list(numbers) if numbers is not None else [200, 499, 500, 600, 650, 700, 800, 1000, 1000, 60000, 65534]
    for number in range(random.randint(0, 8)):
        rule = foreign(random, f"legacy-{number}", random.choice(listed))
        if unreadable and random.random() < 0.2:
            rule["newField"] = "x"
        found.rules[rule["name"]] = rule
    return found


def _vm(random: Random, network: str, at: int, number: int) -> Json:
    nic: Json = {"name": "nic0", "network": f"{HOST}{network_path(network)}", "networkIP": f"10.{at}.0.{number + 1}"}
    if random.random() < 0.3:
        nic["aliasIpRanges"] = [{"ipCidrRange": f"10.{at}.1.{number * 8}/30"}]
    if random.random() < 0.4:
        nic["ipv6Address"] = f"2001:db8:{at + 1}::{number + 1}"
    if random.random() < 0.3:
        nic["accessConfigs"] = [{"natIP": f"8.8.{at}.{number + 1}"}]
    name = f"vm-{network}-{number}"
    return {
        "name": name,
        "selfLink": f"{HOST}projects/{PROJECT}/zones/z-{number % 2}/instances/{name}",
        "networkInterfaces": [nic],
        "tags": {"items": sorted(random.sample(("web", "db", "old"), random.randint(0, 2))), "fingerprint": "abc="},
        "serviceAccounts": [{"email": random.choice(("a@x.example", "b@x.example"))}],
        "status": random.choice(("RUNNING", "TERMINATED")),
    }


def foreign(random: Random, name: str, priority: int) -> Json:
    """Draw a rule of somebody else's, in the many spellings that Google takes."""
    egress = random.random() < 0.3
    own, peer = ("sourceRanges", "destinationRanges") if egress else ("destinationRanges", "sourceRanges")
    rule: Json = {
        "name": name,
        "network": f"{HOST}{network_path(random.choice(NETWORKS))}",
        "direction": "EGRESS" if egress else "INGRESS",
        "priority": priority,
        random.choice(("allowed", "allowed", "denied")): random.sample(_PROTOCOLS, random.randint(1, 3)),
        "disabled": random.random() < 0.1,
        peer: random.sample(_RANGES, random.randint(1, 3)),
    }
    if random.random() < 0.2:
        rule[own] = random.sample(("10.0.0.0/24", "10.1.0.1", "10.0.1.0/24", "2001:db8:1::/48"), 2)
    aim = random.random()
    if aim < 0.3:
        rule["targetTags"] = [random.choice(("web", "db", "old", "nobody"))]
        if not egress and random.random() < 0.4:
            rule["sourceTags"] = [random.choice(("web", "db"))]
            if random.random() < 0.5:
                del rule[peer]
    elif aim < 0.45:
        rule["targetServiceAccounts"] = ["a@x.example"]
        if not egress and random.random() < 0.5:
            rule["sourceServiceAccounts"] = ["b@x.example"]
    return rule


def _policy(random: Random, kind: str) -> Json:
    rules: list[Json] = []
    for number in range(random.randint(1, 4)):
        egress = random.random() < 0.3
        match: Json = {
            "destIpRanges" if egress else "srcIpRanges": random.sample(_RANGES, random.randint(1, 2)),
            "layer4Configs": random.sample(
                ({"ipProtocol": "all"}, {"ipProtocol": "tcp", "ports": ["22"]}, {"ipProtocol": "tcp"}, {"ipProtocol": "udp"}), 1
            ),
        }
        rule: Json = {
            "priority": 100 * number + 1,
            "direction": "EGRESS" if egress else "INGRESS",
            "action": random.choice(("allow", "deny", "goto_next")),
            "match": match,
        }
        if random.random() < 0.2:
            rule["targetServiceAccounts"] = ["a@x.example"]
        if random.random() < 0.1:
            match["srcIpRanges" if egress else "destIpRanges"] = ["10.0.0.0/24"]
        rules.append(rule)
    return {"type": kind, "name": f"p-{kind.lower()}", "priority": 1, "rules": rules}


# --- the evaluator: knows the API's JSON and Google's order of evaluation, nothing of the adapter -----------------------------

_NUMBERS = {"icmp": 1, "ipip": 4, "tcp": 6, "udp": 17, "esp": 50, "ah": 51, "sctp": 132}


def passes(found: World, vm: Json, packet: Packet, direction: str, whose: Whose = Whose.ALL) -> bool:
    """Tell whether a packet passes at a VM: at any of its own addresses, one after the other."""
    return any(Judge(found, vm, own, packet, direction == "outbound", whose).passes() for own in _own(vm) if own.version == packet.family)


def _own(vm: Json) -> Iterator[Any]:
    for nic in vm["networkInterfaces"]:
        yield ip_address(nic["networkIP"])
        if "ipv6Address" in nic:
            yield ip_address(nic["ipv6Address"])
        for alias in nic.get("aliasIpRanges", ()):
            yield from ip_network(alias["ipCidrRange"])


@dataclass
class Judge:
    """One packet at one own address of one VM."""

    world: World
    vm: Json
    own: Any
    packet: Packet
    egress: bool
    whose: Whose

    def passes(self) -> bool:
        for stage in self.stages():
            verdict = self.rules() if stage is None else self.policy(stage)
            if verdict is not None:
                return verdict
        return self.egress and self.whose is not Whose.OURS

    @property
    def network(self) -> str:
        return str(self.vm["networkInterfaces"][0]["network"].rpartition("/")[2])

    @property
    def peer(self) -> Any:
        number = self.packet.peer
        return ip_address(number) if self.packet.family == 4 else ip_address(number.to_bytes(16, "big"))

    def stages(self) -> list[Json | None]:
        if self.whose is Whose.OURS:
            return [None]
        policies = self.world.effective[self.network].get("firewallPolicys", [])
        first = [one for kind in ("HIERARCHY", "SYSTEM") for one in policies if one["type"] == kind]
        beside = [one for one in policies if one["type"] == "NETWORK"]
        if self.world.order[self.network] == "BEFORE_CLASSIC_FIREWALL":
            return [*first, *beside, None]
        return [*first, None, *beside]

    def rules(self) -> bool | None:
        listed = [rule for rule in self.world.rules.values() if self.looked_at(rule)]
        listed.sort(key=lambda rule: (rule.get("priority", 1000), "denied" not in rule))
        return next(("allowed" in rule for rule in listed if self.matches(rule)), None)

    def looked_at(self, rule: Json) -> bool:
        ours = rule["name"] in self.world.ours
        if self.whose is Whose.OURS and not ours:
            return False
        off = rule.get("disabled", False)
        if self.whose is Whose.FOREIGN:
            by_us = rule.get("description", "").endswith(f"off owner={OWNER}]")
            return not ours and (not off or by_us)
        return not off

    def matches(self, rule: Json) -> bool:
        mine, other = ("sourceRanges", "destinationRanges") if self.egress else ("destinationRanges", "sourceRanges")
        return (
            rule["network"].rpartition("/")[2] == self.network
            and (rule.get("direction", "INGRESS") == "EGRESS") is self.egress
            and self.aimed(rule)
            and (not rule.get(mine) or within(self.own, rule[mine]))
            and (within(self.peer, rule.get(other, ())) or self.member(rule) or self.anyone(rule, other))
            and any(self.service(one) for one in rule.get("allowed") or rule["denied"])
        )

    def anyone(self, rule: Json, other: str) -> bool:
        return not (rule.get(other) or rule.get("sourceTags") or rule.get("sourceServiceAccounts")) and self.peer.version == 4

    def aimed(self, rule: Json) -> bool:
        tags, accounts = rule.get("targetTags"), rule.get("targetServiceAccounts")
        if tags:
            return bool(set(tags) & set(self.vm["tags"].get("items", ())))
        return not accounts or self.vm["serviceAccounts"][0]["email"] in accounts

    def member(self, rule: Json) -> bool:
        for vm in self.world.vms:
            nic = vm["networkInterfaces"][0]
            if not nic["network"].endswith(f"/{self.network}") or str(self.peer) not in (nic["networkIP"], nic.get("ipv6Address")):
                continue
            tagged = set(rule.get("sourceTags", ())) & set(vm["tags"].get("items", ()))
            if tagged or vm["serviceAccounts"][0]["email"] in rule.get("sourceServiceAccounts", ()):
                return True
        return False

    def service(self, entry: Json) -> bool:
        name = str(entry.get("IPProtocol", entry.get("ipProtocol"))).lower()
        if name == "all":
            return True
        number = _NUMBERS.get(name, int(name) if name.isdigit() else -1)
        if number != self.packet.protocol:
            return False
        ports = entry.get("ports")
        return not ports or any(_in_port(self.packet.detail, port) for port in ports)

    def policy(self, stage: Json) -> bool | None:
        mine, other = ("srcIpRanges", "destIpRanges") if self.egress else ("destIpRanges", "srcIpRanges")
        for rule in sorted(stage["rules"], key=lambda one: one["priority"]):
            accounts = rule.get("targetServiceAccounts")
            if (rule["direction"] == "EGRESS") is not self.egress or (accounts and self.vm["serviceAccounts"][0]["email"] not in accounts):
                continue
            match = rule["match"]
            if match.get(mine) and not within(self.own, match[mine]):
                continue
            if within(self.peer, match[other]) and any(self.service(one) for one in match["layer4Configs"]):
                return None if rule["action"] == "goto_next" else bool(rule["action"] == "allow")
        return None


def within(address: Any, ranges: Iterable[str]) -> bool:
    return any(address in ip_network(one, strict=False) for one in ranges if (":" in one) is (address.version == 6))


def _in_port(port: int, text: str) -> bool:
    first, _, last = text.partition("-")
    return int(first) <= port <= int(last or first)


def probes(random: Random, count: int) -> Iterator[Packet]:
    """Yield packets near the borders of what rules and policies say."""
    peers = ["0.0.0.0", "10.0.0.0", "10.0.0.1", "10.0.0.2", "10.1.0.1", "10.1.0.15", "10.1.0.16", "192.0.2.1", "127.0.0.7", "198.51.100.1"]
    peers += [
        "198.51.100.7",
        "203.0.113.9",
        "9.255.255.255",
        "11.0.0.0",
        "8.8.0.1",
        "2001:db8::1",
        "2001:db8:1::1",
        "2001:db8:2::2",
        "::",
        "fe80::1",
    ]
    services = [(6, 22), (6, 25), (6, 26), (6, 443), (6, 1000), (6, 1500), (6, 1601), (17, 53), (17, 54), (1, 8 * 256), (58, 128 * 256)]
    services += [(47, 0), (89, 0), (132, 80), (132, 81)]
    for _ in range(count):
        peer, (protocol, detail) = ip_address(random.choice(peers)), random.choice(services)
        if (protocol, peer.version) not in ((58, 4), (1, 6)):
            yield Packet(Family(peer.version), int(peer), protocol, detail)


# --- intents --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Past:
    """What stood at each point when an exclusive target took it over."""

    inbound: dict[PointId, PacketSet]
    original: dict[PointId, tuple[str, ...]]


def past(table: GcpTable) -> Past:
    access = decode(table, Whose.FOREIGN)
    return Past({point: one.inbound for point, one in access.items()}, {one.id: one.foreign for one in points_of(table)})


def intent(random: Random, found: World, table: GcpTable, mode: TargetMode, known: Past) -> Intent:
    """Draw what is wanted: classes of VMs with tiers of terms, and points as the core makes them."""
    names = sorted({*found.classes.values(), "elsewhere"})
    addresses = dict.fromkeys(names, NOWHERE)
    for nic in table.nics.values():
        addresses[found.classes[nic.vm_name]] |= nic.inside | nic.public
    addresses["elsewhere"] = AddressSet.of("10.77.0.1/32", "10.77.0.9/32")
    classes: dict[str, ClassIntent] = {}
    for name in names:
        picked, egress = random.choice(list(Mode)), random.choice(list(Egress))
        enforced = picked.enforced
        inbound = allowed(random, names, addresses) if enforced else Allowed()
        outbound = allowed(random, names, addresses) if enforced and egress is Egress.ENFORCE else Allowed()
        labels = Labels.of({"role": name})
        classes[name] = ClassIntent(name, DEFAULT_DOMAIN, labels, picked, egress, addresses[name], inbound, outbound)
    now = decode(table, Whose.FOREIGN)
    points = [_point(nic.point, classes[found.classes[nic.vm_name]], mode, known, now[nic.point]) for nic in table.nics.values()]
    return Intent("gcp", OWNER, mode, tuple(classes.values()), tuple(points))


def _point(point: PointId, group: ClassIntent, mode: TargetMode, known: Past, now: Access) -> PointIntent:
    original = known.original[point]
    if mode is not TargetMode.EXCLUSIVE or not group.mode.enforced:
        return PointIntent(point, group.class_id, DEFAULT_DOMAIN, group.mode, group.egress, original=original)
    selective = group.mode is Mode.SELECTIVE
    kept_in = (known.inbound[point] & now.inbound) - group.inbound.closed - group.inbound.never if selective else NO_PACKETS
    kept_out = now.outbound if group.egress is Egress.LEAVE else NO_PACKETS
    if selective and group.egress is Egress.ENFORCE:
        kept_out = now.outbound - group.outbound.closed - group.outbound.never
    return PointIntent(point, group.class_id, DEFAULT_DOMAIN, group.mode, group.egress, kept_in, kept_out, original)


def allowed(random: Random, names: list[str], addresses: dict[str, AddressSet]) -> Allowed:
    """Return one direction as the compiler says it: whole terms, never terms above them, closing terms below."""
    whole = [_term(random, names, f"allow#{number}") for number in range(random.randint(0, 4))]
    nevers = [_term(random, names, f"never#{number}") for number in range(random.randint(0, 1))]
    closing = [_term(random, names, f"deny#{number}") for number in range(random.randint(0, 2))]
    if random.random() < 0.2:
        typed = Term(AddressPeer(ADDRESSES[0]), ServiceSet.icmp(ICMP, 8), (Origin("ping"),), frozenset({Accept.ANY_TYPE}))
        whole.append(typed)
    never, closed = _said(nevers, addresses), _said(closing, addresses)
    exact = _said(whole, addresses) - never
    wide = [replace(term, services=term.services | ServiceSet.protocol(ICMP)) if term.accept else term for term in whole]
    return Allowed((), exact, _said(wide, addresses) - never, never, closed, tuple(whole), tuple(nevers), tuple(closing))


def _term(random: Random, names: list[str], rule: str) -> Term:
    peer: ClassPeer | AddressPeer = ClassPeer(random.choice(names)) if random.random() < 0.5 else AddressPeer(random.choice(ADDRESSES))
    return Term(peer, random.choice(SERVICES), (Origin(rule),))


def _said(terms: Iterable[Term], addresses: dict[str, AddressSet]) -> PacketSet:
    peers = ((addresses[term.peer.class_id] if isinstance(term.peer, ClassPeer) else term.peer.addresses, term.services) for term in terms)
    return PacketSet.union_all(PacketSet.of(one, services) for one, services in peers)

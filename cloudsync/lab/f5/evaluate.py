"""The data plane: what becomes of a packet on a unit, from what is compiled and deployed there. Knows nothing of any client."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address

from ..kit.faults import Json
from . import virtuals, words
from .config import Object
from .program import Packet
from .schema import ROUTE_DOMAIN, SELF, SNAT_POOL, VIRTUAL, VIRTUAL_ADDRESS
from .unit import Unit

DEFAULT_SERVICES = frozenset({(17, 53), (6, 53), (17, 161), (6, 161), (6, 22), (6, 443), (6, 4353), (17, 4353), (17, 520), (17, 1026)})
"""What a self IP with `allowService default` answers, as F5 documents it; ICMP always."""


def packet(given: Json) -> Packet:
    """Read {src, dst, protocol, port?, src_port?, icmp_type?, icmp_code?, vlan?, count?}; addresses may carry %rd."""
    (src, domain), (dst, other) = words.split_domain(str(given["src"])), words.split_domain(str(given["dst"]))
    number = words.protocol(str(given.get("protocol", "tcp")))
    if number is None:
        raise ValueError("a packet has one protocol")
    kind = given.get("icmp_type")
    return Packet(
        ip_address(src), ip_address(dst), number, int(given.get("port") or 0), int(given.get("src_port") or 40000),
        None if kind is None else (int(kind), None if given.get("icmp_code") is None else int(given["icmp_code"])),
        max(domain, other), given.get("vlan"), bool(given.get("count")),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """What one context said."""

    context: str
    """global | route-domain | virtual | self | management | listener"""
    path: str
    policy: str
    rule: str
    action: str


@dataclass(slots=True)
class Verdict:
    """The end of a packet, and how it came to it."""

    allowed: bool
    by: Step
    steps: list[Step] = field(default_factory=list)
    staged: list[Step] = field(default_factory=list)
    listener: str = ""
    forwarded_from: list[str] = field(default_factory=list)
    """Addresses the device uses towards the pool members; empty: the client's own."""
    members: list[str] = field(default_factory=list)
    """Those of its pool that people did not take out; what monitors say of them is left aside."""

    def as_json(self) -> Json:
        """As the control verb answers."""
        return {
            "verdict": "allowed" if self.allowed else "denied",
            "context": self.by.context,
            "policy": self.by.policy,
            "rule": self.by.rule,
            "action": self.by.action,
            "path": [_shown(each) for each in self.steps],
            "staged": [_shown(each) for each in self.staged],
            "listener": self.listener,
            "forwarded_from": self.forwarded_from,
            "members": self.members,
        }


def _shown(step: Step) -> Json:
    return {"context": step.context, "path": step.path, "policy": step.policy, "rule": step.rule, "action": step.action}


def verdict(unit: Unit, seen: Packet) -> Verdict:
    """Follow a packet through global, route domain and virtual server or self IP; the management port stands apart."""
    firewall = unit.compiler.active
    if str(seen.dst) == unit.identity.management:
        return _management(unit, seen)
    kind, listener = _listener(unit, seen)
    found = Verdict(allowed=True, by=Step("", "", "", "", ""), listener=listener)
    domain = next((path for path, each in sorted(unit.running.objects[ROUTE_DOMAIN].items()) if each.get("id") == seen.domain), "")
    contexts = [("global", "", "global"), (ROUTE_DOMAIN, domain, "route-domain")]
    if kind in (VIRTUAL, SELF):
        contexts.append((kind, listener, kind.rpartition("/")[2]))
    decisive = False
    for where, path, word in contexts:
        enforced, staged = firewall.attached.get((where, path), (None, None))
        if staged:
            found.staged.append(_judge(unit, seen, (where, path, word), staged, "Staged"))
        if decisive or (found.steps and not found.allowed):
            continue
        step = _judge(unit, seen, (where, path, word), enforced, "Enforced")
        found.steps.append(step)
        found.by = step
        found.allowed = step.action in ("accept", "accept-decisively")
        decisive = step.action == "accept-decisively"
    if not found.allowed:
        return found
    return _delivered(found, unit, seen, kind)


def _judge(unit: Unit, seen: Packet, context: tuple[str, str, str], policy: str | None, word: str) -> Step:
    where, path, name = context
    hit = unit.compiler.programs().first(policy, seen) if policy else None
    if hit is None:
        ends = unit.settings.default_action if where in (VIRTUAL, SELF) and word == "Enforced" else "accept"
        return Step(name, path, policy or "", "default", ends)
    if seen.count:
        unit.compiler.hits[where, path, word, policy or "", hit.name.partition("/")[0]] += 1
    return Step(name, path, policy or "", hit.name, hit.action)


def _management(unit: Unit, seen: Packet) -> Verdict:
    hit = unit.compiler.programs().management(seen)
    action = hit.action if hit else "accept"
    step = Step("management", unit.identity.management, "management-ip-rules", hit.name if hit else "default", action)
    return Verdict(action in ("accept", "accept-decisively"), step, [step], listener=unit.identity.management)


def _listener(unit: Unit, seen: Packet) -> tuple[str, str]:
    """(collection, path) of what takes the packet: the most specific virtual server, else a self IP; empty when nothing does."""
    best: tuple[tuple[int, ...], str] | None = None
    for path, each in sorted(unit.running.objects[VIRTUAL].items()):
        if "disabled" in each or not _takes(each, seen):
            continue
        where, source = virtuals.span(each), words.entry(each["source"], "keep").span
        port = words.destination(each["destination"]).port
        rank = (
            where.first - where.last, source.first - source.last, int(port != 0), int(each.get("ipProtocol", "any") != "any"),
        )  # fmt: skip
        if best is None or rank > best[0]:
            best = (rank, path)
    if best is not None:
        return VIRTUAL, best[1]
    for path, each in sorted(unit.running.objects[SELF].items()):
        host, domain = words.split_domain(each["address"].partition("/")[0])
        if ip_address(host) == seen.dst and domain == seen.domain:
            return SELF, path
    for path, each in sorted(unit.running.objects[VIRTUAL_ADDRESS].items()):
        if seen.protocol in (1, 58) and _answers_ping(each, seen):
            return VIRTUAL_ADDRESS, path
    return "", ""


def _answers_ping(address: Object, seen: Packet) -> bool:
    """Does a virtual address answer an echo request by itself?"""
    host, domain = words.split_domain(address["address"])
    echo = seen.icmp is None or seen.icmp[0] in (8, 128)
    here = host not in ("any", "any6") and ip_address(host) == seen.dst and domain == seen.domain
    return echo and here and address.get("enabled", "yes") == "yes" and address.get("icmpEcho", "enabled") != "disabled"


def _takes(virtual: Object, seen: Packet) -> bool:
    port = words.destination(virtual["destination"]).port
    wanted = words.protocol(virtual.get("ipProtocol", "any"))
    if wanted is not None and wanted != seen.protocol:
        return False
    if port not in (0, seen.port) or not virtuals.span(virtual).holds(seen.dst, seen.domain):
        return False
    listed = virtual.get("vlans", ())
    if seen.vlan is not None and (seen.vlan in listed) != ("vlansEnabled" in virtual):
        return False
    source = words.entry(virtual["source"], "keep").span
    return source.version == seen.src.version and source.first <= int(seen.src) <= source.last


def _delivered(found: Verdict, unit: Unit, seen: Packet, kind: str) -> Verdict:
    """What the listener itself does with a packet that every context let pass."""
    if kind == VIRTUAL:
        virtual = unit.running.objects[VIRTUAL][found.listener]
        pool = unit.running.objects["ltm/pool"].get(virtual.get("pool", ""), {})
        found.members = [each["name"] for each in pool.get("members", ()) if _open(each)]
        found.forwarded_from = sources(unit, virtual)
        if "reject" in virtual:
            found.allowed, found.by = False, Step("listener", found.listener, "", "reject virtual server", "reject")
        return found
    if kind == SELF:
        if _locked(unit.running.objects[SELF][found.listener], seen):
            found.allowed, found.by = False, Step("listener", found.listener, "", "port lockdown", "drop")
        return found
    if kind != VIRTUAL_ADDRESS:
        found.allowed, found.by = False, Step("listener", "", "", "no listener", "drop")
    return found


def _open(member: Object) -> bool:
    return member.get("session") != "user-disabled" and member.get("state") != "user-down"


def _locked(address: Object, seen: Packet) -> bool:
    service = address.get("allowService", "none")
    if service == "all" or seen.protocol in (1, 58):
        return False
    allowed = set(DEFAULT_SERVICES) if service == "default" or "default" in service else set()
    for text in service if isinstance(service, list) else []:
        word, _, port = str(text).partition(":")
        if word != "default":
            low, high = words.ports(port) if port not in ("0", "any") else (0, 65535)
            if words.protocol(word) == seen.protocol and low <= seen.port <= high:
                return False
    return (seen.protocol, seen.port) not in allowed


def sources(unit: Unit, virtual: Object) -> list[str]:
    """The addresses from which a virtual server's connections to its members come; empty when it keeps the client's."""
    translation = virtual.get("sourceAddressTranslation", {"type": "none"})
    if translation["type"] == "snat":
        pool = unit.running.objects[SNAT_POOL].get(translation["pool"], {})
        return sorted(path.rpartition("/")[2] for path in pool.get("members", ()))
    if translation["type"] == "automap":
        where = words.destination(virtual["destination"])
        own = (words.split_domain(each["address"].partition("/")[0]) for each in unit.running.objects[SELF].values())
        return sorted(host for host, domain in own if domain == where.domain and ip_address(host).version == where.address.version)
    return []

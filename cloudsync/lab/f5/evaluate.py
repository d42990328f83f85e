"""The data plane: what becomes of a packet on a unit, from what is compiled and deployed there. Knows nothing of any client."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address

from ..kit.faults import Json
from . import virtuals, words
from .config import Firewall, Object
from .schema import ADDRESS_LIST, MANAGEMENT_RULES, PORT_LIST, ROUTE_DOMAIN, RULE_LIST, SELF, SNAT_POOL, VIRTUAL, VIRTUAL_ADDRESS
from .settings import Settings
from .unit import Unit
from .values import path_of
from .world import World

Ip = words.Ip
DEFAULT_SERVICES = frozenset({(17, 53), (6, 53), (17, 161), (6, 161), (6, 22), (6, 443), (6, 4353), (17, 4353), (17, 520), (17, 1026)})
"""What a self IP with `allowService default` answers, as F5 documents it; ICMP always."""


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a flow, as it arrives at the device."""

    src: Ip
    dst: Ip
    protocol: int
    port: int = 0
    src_port: int = 40000
    icmp: tuple[int, int | None] | None = None
    domain: int = 0
    vlan: str | None = None
    count: bool = False


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


@dataclass(frozen=True, slots=True)
class _Matcher:
    firewall: Firewall
    settings: Settings
    packet: Packet

    def first(self, rules: tuple[Object, ...]) -> tuple[str, Object] | None:
        """Return the first rule that matches, with its name; rules of a list stand where the list does."""
        return next(self._matching(rules, ""), None)

    def _matching(self, rules: tuple[Object, ...], prefix: str) -> Iterator[tuple[str, Object]]:
        for rule in rules:
            if rule.get("status", "enabled") == "disabled":
                continue
            if "ruleList" in rule:
                inside = self.firewall.objects[RULE_LIST].get(rule["ruleList"], {}).get("rules", ())
                yield from self._matching(inside, f"{rule['name']}/")
            elif self._matches(rule):
                yield f"{prefix}{rule['name']}", rule

    def _matches(self, rule: Object) -> bool:
        wanted = words.protocol(rule.get("ipProtocol", "any"))
        if wanted is not None and wanted != self.packet.protocol:
            return False
        if rule.get("icmp") and not any(self._icmp(each["name"]) for each in rule["icmp"]):
            return False
        source, destination = rule.get("source", {}), rule.get("destination", {})
        if source.get("vlans") and self.packet.vlan not in source["vlans"]:
            return False
        return (
            self._address(source, self.packet.src)
            and self._address(destination, self.packet.dst)
            and self._port(source, self.packet.src_port)
            and self._port(destination, self.packet.port)
        )

    def _icmp(self, text: str) -> bool:
        kind, code = words.icmp(text)
        seen = self.packet.icmp
        return seen is not None and seen[0] == kind and code in (None, seen[1])

    def _address(self, side: Object, address: Ip) -> bool:
        if not any(side.get(name) for name in ("addresses", "addressLists", "fqdns", "geo")):
            return True
        return self._in_list(side, address) or any(
            self._in_list(self.firewall.objects[ADDRESS_LIST].get(path, {}), address, {path}) for path in side.get("addressLists", ())
        )

    def _in_list(self, held: Object, address: Ip, seen: set[str] | None = None) -> bool:
        """Is it among the entries, resolved names and lists of a list?"""
        known = seen or set()
        texts = [each["name"] for each in held.get("addresses", ())]
        texts += [text for each in held.get("fqdns", ()) for text in self.settings.fqdns.get(each["name"], ())]
        texts += [text for each in held.get("geo", ()) for text in self.settings.geo.get(each["name"], ())]
        if any(words.entry(text, "keep").span.holds(address, self.packet.domain) for text in texts):
            return True
        for each in held.get("addressLists", ()):
            path = path_of(each) if isinstance(each, dict) else ""
            if path and path not in known:
                known.add(path)
                if self._in_list(self.firewall.objects[ADDRESS_LIST].get(path, {}), address, known):
                    return True
        return False

    def _port(self, side: Object, port: int) -> bool:
        if not side.get("ports") and not side.get("portLists"):
            return True
        waiting, seen = list(side.get("portLists", ())), set()
        texts = [each["name"] for each in side.get("ports", ())]
        while waiting:
            path = waiting.pop()
            if path in seen:
                continue
            seen.add(path)
            held = self.firewall.objects[PORT_LIST].get(path, {})
            texts += [each["name"] for each in held.get("ports", ())]
            waiting += [path_of(each) for each in held.get("portLists", ())]
        return any(low <= port <= high for low, high in map(words.ports, texts))


def verdict(world: World, unit: Unit, seen: Packet) -> Verdict:
    """Follow a packet through global, route domain and virtual server or self IP; the management port stands apart."""
    firewall, settings = unit.compiler.active, world.settings
    matcher = _Matcher(firewall, settings, seen)
    if str(seen.dst) == unit.identity.management:
        return _management(matcher, unit)
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
            found.staged.append(_judge(matcher, unit, (where, path, word), staged, "Staged"))
        if decisive or (found.steps and not found.allowed):
            continue
        step = _judge(matcher, unit, (where, path, word), enforced, "Enforced")
        found.steps.append(step)
        found.by = step
        found.allowed = step.action in ("accept", "accept-decisively")
        decisive = step.action == "accept-decisively"
    if not found.allowed:
        return found
    return _delivered(found, unit, seen, kind)


def _judge(matcher: _Matcher, unit: Unit, context: tuple[str, str, str], policy: str | None, word: str) -> Step:
    where, path, name = context
    held = matcher.firewall.policy(policy)
    hit = matcher.first(held.get("rules", ())) if held else None
    if hit is None:
        ends = matcher.settings.default_action if where in (VIRTUAL, SELF) and word == "Enforced" else "accept"
        return Step(name, path, policy or "", "default", ends)
    if matcher.packet.count:
        unit.compiler.hits[where, path, word, policy or "", hit[0].partition("/")[0]] += 1
    return Step(name, path, policy or "", hit[0], str(hit[1]["action"]))


def _management(matcher: _Matcher, unit: Unit) -> Verdict:
    hit = matcher.first(matcher.firewall.objects[MANAGEMENT_RULES][""].get("rules", ()))
    action = str(hit[1]["action"]) if hit else "accept"
    step = Step("management", unit.identity.management, "management-ip-rules", hit[0] if hit else "default", action)
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
        found.members = [each["name"] for each in pool.get("members", ())]
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

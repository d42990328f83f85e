"""Policies made ready for packets: lists unfolded, addresses as sorted ranges. Made once for what is active, read for every packet."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from . import words
from .config import Firewall, Object
from .schema import ADDRESS_LIST, MANAGEMENT_RULES, PORT_LIST, RULE_LIST
from .settings import Settings
from .values import path_of

Ports = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a flow, as it arrives at the device."""

    src: words.Ip
    dst: words.Ip
    protocol: int
    port: int = 0
    src_port: int = 40000
    icmp: tuple[int, int | None] | None = None
    domain: int = 0
    vlan: str | None = None
    count: bool = False


@dataclass(frozen=True, slots=True)
class Addresses:
    """A set of addresses of both families and of several route domains."""

    ranges: dict[tuple[int, int], tuple[list[int], list[int]]]
    """(version, route domain) -> first and last addresses of ranges that do not overlap, in order."""

    def holds(self, address: words.Ip, domain: int) -> bool:
        """Is an address in it?"""
        firsts, lasts = self.ranges.get((address.version, domain), ([], []))
        at = bisect_right(firsts, int(address)) - 1
        return at >= 0 and int(address) <= lasts[at]


def addresses(texts: Iterable[str]) -> Addresses:
    """Read entries of lists and rules."""
    apart: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for text in texts:
        span = words.entry(text, "keep").span
        apart.setdefault((span.version, span.domain), []).append((span.first, span.last))
    ranges = {}
    for key, found in apart.items():
        firsts: list[int] = []
        lasts: list[int] = []
        for first, last in sorted(found):
            if lasts and first <= lasts[-1]:
                lasts[-1] = max(lasts[-1], last)
            else:
                firsts.append(first)
                lasts.append(last)
        ranges[key] = (firsts, lasts)
    return Addresses(ranges)


@dataclass(frozen=True, slots=True)
class Line:
    """One rule; None stands for any."""

    name: str
    action: str
    protocol: int | None
    icmp: tuple[tuple[int, int | None], ...]
    vlans: frozenset[str]
    sources: Addresses | None
    destinations: Addresses | None
    source_ports: Ports | None
    ports: Ports | None

    def matches(self, seen: Packet) -> bool:
        """Does the rule speak of the packet?"""
        if self.protocol is not None and self.protocol != seen.protocol:
            return False
        if self.icmp and not any(seen.icmp and seen.icmp[0] == kind and code in (None, seen.icmp[1]) for kind, code in self.icmp):
            return False
        if self.vlans and seen.vlan not in self.vlans:
            return False
        return (
            _within(self.ports, seen.port)
            and _within(self.source_ports, seen.src_port)
            and (self.sources is None or self.sources.holds(seen.src, seen.domain))
            and (self.destinations is None or self.destinations.holds(seen.dst, seen.domain))
        )


def _within(wanted: Ports | None, port: int) -> bool:
    return wanted is None or any(low <= port <= high for low, high in wanted)


@dataclass(slots=True)
class Programs:
    """The programs of one set of active policies, made when they are first asked for."""

    firewall: Firewall
    settings: Settings
    _made: dict[str, tuple[Line, ...]] = field(default_factory=dict)
    _lists: dict[str, frozenset[str]] = field(default_factory=dict)

    def first(self, policy: str, seen: Packet) -> Line | None:
        """Return the first rule of a policy that speaks of a packet."""
        return next((line for line in self._of(policy) if line.matches(seen)), None)

    def management(self, seen: Packet) -> Line | None:
        """Return the first of the rules of the management port."""
        return next((line for line in self._of("") if line.matches(seen)), None)

    def _of(self, policy: str) -> tuple[Line, ...]:
        if policy not in self._made:
            held = self.firewall.policy(policy) if policy else self.firewall.objects[MANAGEMENT_RULES][""]
            self._made[policy] = tuple(self._lines((held or {}).get("rules", ()), ""))
        return self._made[policy]

    def _lines(self, rules: tuple[Object, ...], prefix: str) -> Iterator[Line]:
        for rule in rules:
            if rule.get("status", "enabled") == "disabled":
                continue
            if "ruleList" in rule:
                inside = self.firewall.objects[RULE_LIST].get(rule["ruleList"], {}).get("rules", ())
                yield from self._lines(inside, f"{rule['name']}/")
                continue
            source, destination = rule.get("source", {}), rule.get("destination", {})
            yield Line(
                f"{prefix}{rule['name']}",
                str(rule["action"]),
                words.protocol(rule.get("ipProtocol", "any")),
                tuple(words.icmp(each["name"]) for each in rule.get("icmp", ())),
                frozenset(source.get("vlans", ())),
                self._addresses(source),
                self._addresses(destination),
                self._ports(source),
                self._ports(destination),
            )

    def _addresses(self, side: Object) -> Addresses | None:
        if not any(side.get(name) for name in ("addresses", "addressLists", "fqdns", "geo")):
            return None
        texts = set(self._texts(side))
        for path in side.get("addressLists", ()):
            texts |= self._listed(path)
        return addresses(texts)

    def _texts(self, held: Object) -> Iterator[str]:
        """The entries of a list or a side, with what names and countries resolve to."""
        yield from (each["name"] for each in held.get("addresses", ()))
        for each in held.get("fqdns", ()):
            yield from self.settings.fqdns.get(each["name"], ())
        for each in held.get("geo", ()):
            yield from self.settings.geo.get(each["name"], ())

    def _listed(self, path: str) -> frozenset[str]:
        """Every entry of a list and of the lists in it; the editor lets no list hold itself."""
        if path not in self._lists:
            held = self.firewall.objects[ADDRESS_LIST].get(path, {})
            found = set(self._texts(held))
            for each in held.get("addressLists", ()):
                found |= self._listed(path_of(each))
            self._lists[path] = frozenset(found)
        return self._lists[path]

    def _ports(self, side: Object) -> Ports | None:
        if not side.get("ports") and not side.get("portLists"):
            return None
        texts = [each["name"] for each in side.get("ports", ())]
        waiting, seen = list(side.get("portLists", ())), set()
        while waiting:
            path = waiting.pop()
            if path not in seen:
                seen.add(path)
                held = self.firewall.objects[PORT_LIST].get(path, {})
                texts += [each["name"] for each in held.get("ports", ())]
                waiting += [path_of(each) for each in held.get("portLists", ())]
        return tuple(sorted(words.ports(text) for text in texts))

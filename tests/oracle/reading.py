"""A second, independent reading of the policy language: what one packet may do, straight from the structures of `language.py`.

Nothing here knows packet sets, classes or compilers: an address is asked "does this WHO contain you", a service is asked "does this
WHAT contain you". To be quick, the services asked about are numbered once and a set of them is the bits of an int.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from tests.oracle.language import (
    MACHINES,
    Base,
    Book,
    Chapter,
    End,
    Everyone,
    Held,
    Labelled,
    Listed,
    Named,
    Place,
    Sentence,
    Unlabelled,
    What,
)

Address = IPv4Address | IPv6Address
NAMED = frozenset({1, 6, 17, 47, 50, 51, 58, 132})
"""Protocols that have a name in the language; the others may be left out of `any service` minus something."""
LOOSE = frozenset({"any-port", "internet-as-anywhere"})
"""What AWS may make wider where a rule accepts it by name."""


@dataclass(frozen=True, order=True)
class Service:
    """One service: protocol and port, or protocol and ICMP type with code, or a bare protocol."""

    protocol: int
    port: int = 0
    code: int = 0
    """ICMP: `port` is the type."""

    def over(self, address: Address) -> bool:
        """Tell whether such a packet exists in the address's family."""
        return self.protocol != (58 if address.version == 4 else 1)


@dataclass(frozen=True)
class Card:
    """One interface of a machine."""

    ref: str
    addresses: frozenset[Address]
    domain: str = "default"
    managed: bool = True
    """Whether groups are enforced here: false for static machines."""
    source_only: bool = False
    """Connections are opened from here, but none arrive: SNAT and self addresses of a load balancer."""


@dataclass(frozen=True)
class Machine:
    """One workload, labels already mapped."""

    name: str
    ref: str
    labels: dict[str, str]
    cards: tuple[Card, ...]

    def seen_from(self, domain: str, *, arriving: bool = False) -> frozenset[Address]:
        """Return the addresses that count from a routing domain; `arriving` leaves out those at which nobody reaches it."""
        found: set[Address] = set()
        for card in self.cards:
            if arriving and card.source_only:
                continue
            found |= {one for one in card.addresses if card.domain == domain or public(one)}
        return frozenset(found)


_PRIVATE4 = """0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24
192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4"""
_PUBLIC6 = "2001:1::1/128 2001:1::2/128 2001:1::3/128 2001:3::/32 2001:4:112::/48 2001:20::/28 2001:30::/28 64:ff9b::/96"
_PRIVATE6 = "2001::/23 2001:db8::/32 2002::/16 3fff::/20"
_NETS = {text: ip_network(text) for text in (*_PRIVATE4.split(), *_PUBLIC6.split(), *_PRIVATE6.split(), "2000::/3")}


@lru_cache(maxsize=50_000)
def public(address: Address) -> bool:
    """Tell whether an address is globally routable by the frozen table of POLICY, section 4."""
    if address.version == 4:
        return str(address) in {"192.0.0.9", "192.0.0.10"} or not any(address in _NETS[net] for net in _PRIVATE4.split())
    if any(address in _NETS[net] for net in _PUBLIC6.split()):
        return True
    return address in _NETS["2000::/3"] and not any(address in _NETS[net] for net in _PRIVATE6.split())


def in_list(address: Address, entries: Iterable[str]) -> bool:
    """Tell whether an IP list contains an address: included and not excluded."""
    included = False
    for entry in entries:
        body = entry.removeprefix("!")
        if not _in_entry(address, body):
            continue
        if entry.startswith("!"):
            return False
        included = True
    return included


@lru_cache(maxsize=200_000)
def _in_entry(address: Address, entry: str) -> bool:
    if "-" in entry:
        low, high = (ip_address(part.strip()) for part in entry.split("-"))
        return address.version == low.version and int(low) <= int(address) <= int(high)
    network = ip_network(entry)
    return address.version == network.version and address in network


@dataclass
class Reading:
    """A policy and an inventory, asked about a fixed list of services. `allowed_in` answers with the bits of the services let in."""

    book: Book
    machines: Sequence[Machine]
    services: Sequence[Service]
    _whats: dict[tuple[What, frozenset[str]], int] = field(default_factory=dict)
    _owners: dict[str, dict[Address, list[Machine]]] = field(default_factory=dict)
    _arrivals: dict[tuple[str, str], frozenset[Address]] = field(default_factory=dict)

    # --- selectors -----------------------------------------------------------------------------------------------

    def carries(self, machine: Machine, selector: Labelled) -> bool:
        """Tell whether a machine's labels satisfy every clause."""
        for key, values in selector.clauses:
            wanted: set[str] = set()
            for value in values:
                group = self.book.groups.get(value)
                wanted.update(group[1] if group is not None and group[0] == key else (value,))
            if machine.labels.get(key) not in wanted:
                return False
        return True

    def _picks(self, base: Base, machine: Machine) -> bool:
        match base:
            case Labelled():
                return self.carries(machine, base)
            case Everyone():
                return True
            case Unlabelled():
                return not machine.labels
            case Named(name):
                return name in (machine.name, machine.ref)
        raise TypeError(base)

    def has_machine(self, end: End, machine: Machine, scope: Labelled | None) -> bool:
        """Tell whether a WHO with a workload base holds a machine, under a scope."""
        if not isinstance(end.base, MACHINES):
            return False
        inside = scope is None or end.outside or self.carries(machine, scope)
        if not inside or not self._picks(end.base, machine):
            return False
        return not any(isinstance(one, MACHINES) and self._picks(one, machine) for one in end.excepted)

    def _at(self, address: Address, domain: str) -> list[Machine]:
        if domain not in self._owners:
            table: dict[Address, list[Machine]] = {}
            for machine in self.machines:
                for one in machine.seen_from(domain):
                    table.setdefault(one, []).append(machine)
            self._owners[domain] = table
        return self._owners[domain].get(address, [])

    def _reached(self, machine: Machine, domain: str) -> frozenset[Address]:
        key = (machine.ref, domain)
        if key not in self._arrivals:
            self._arrivals[key] = machine.seen_from(domain, arriving=True)
        return self._arrivals[key]

    def _base_has(self, base: Base, address: Address, domain: str) -> bool:
        match base:
            case Listed(name):
                return in_list(address, self.book.lists[name])
            case Place("anywhere"):
                return True
            case Place("strangers"):
                return not self._at(address, domain)
            case Place("internet"):
                return not self._at(address, domain) and public(address)
        return any(self._picks(base, machine) for machine in self._at(address, domain))

    def has_address(self, end: End, address: Address, domain: str, scope: Labelled | None, *, arriving: bool = False) -> bool:
        """Tell whether a WHO, as a set of addresses seen from a domain, holds an address; `arriving` when packets go there."""
        if isinstance(end.base, MACHINES):
            return any(
                self.has_machine(end, machine, scope) and (not arriving or address in self._reached(machine, domain))
                for machine in self._at(address, domain)
            )
        if not self._base_has(end.base, address, domain):
            return False
        return not any(self._base_has(one, address, domain) for one in end.excepted)

    # --- services ------------------------------------------------------------------------------------------------

    def bits(self, whats: Iterable[What], accepts: frozenset[str] = frozenset()) -> int:
        """Return the numbered services that some WHAT contains, as bits; `accepts` may widen it."""
        total = 0
        for what in whats:
            key = (what, accepts)
            if key not in self._whats:
                self._whats[key] = self._bits(what, accepts)
            total |= self._whats[key]
        return total

    def _bits(self, what: What, accepts: frozenset[str]) -> int:
        found = 0
        for at, service in enumerate(self.services):
            for atom in what.atoms:
                if atom.protocol is None:
                    hit = True
                elif atom.protocol != service.protocol:
                    hit = False
                else:
                    widened = "any-type" in accepts if atom.protocol in (1, 58) else "any-port" in accepts and atom.protocol == 132
                    hit = atom.whole or widened or atom.low <= service.port <= atom.high
                if hit:
                    found |= 1 << at
                    break
        return found

    def existing(self, address: Address) -> int:
        """Return the services that exist in the family of an address."""
        return sum(1 << at for at, service in enumerate(self.services) if service.over(address))

    # --- rules ---------------------------------------------------------------------------------------------------

    def tier(
        self, action: str, card: Card, machine: Machine, address: Address, *, inbound: bool, loose: frozenset[str] = frozenset()
    ) -> int:
        """Return the services that rules of one action name between a machine's interface and a peer, as bits."""
        total = 0
        for chapter, rule in self._rules(action):
            accepts = loose.intersection(rule.accept)
            own, peers = (rule.destinations, rule.sources) if inbound else (rule.sources, rule.destinations)
            for scope in chapter.scopes or (None,):
                if not any(self.has_machine(end, machine, scope) for end in own):
                    continue
                if any(self._reaches(end, address, card.domain, scope, accepts, arriving=not inbound) for end in peers):
                    total |= self.bits(rule.services, accepts)
                    break
        return total & self.existing(address)

    def _reaches(self, end: End, address: Address, domain: str, scope: Labelled | None, accepts: frozenset[str], *, arriving: bool) -> bool:
        if end.base == Place("internet") and "internet-as-anywhere" in accepts:
            return True
        return self.has_address(end, address, domain, scope, arriving=arriving)

    def _rules(self, action: str) -> Iterable[tuple[Chapter, Sentence]]:
        for chapter in self.book.chapters:
            for rule in chapter.rules:
                if rule.action == action and not rule.expired:
                    yield chapter, rule

    def held(self, machine: Machine) -> Held:
        """Return the line of the enforcement table that decides for a machine."""
        for line in self.book.enforcement:
            if line.scope is None or self.carries(machine, line.scope):
                return line
        return self.book.default

    def bounds(self, machine: Machine, card: Card, address: Address, before: int, *, inbound: bool) -> tuple[int, int]:
        """Return `(least, most)`: the services that must, and that may at most, be let through; `before` is L, what was let through."""
        line = self.held(machine)
        if line.mode in ("idle", "visibility") or (not inbound and line.egress == "leave"):
            return before, before
        ask: Callable[[str], int] = lambda action: self.tier(action, card, machine, address, inbound=inbound)  # noqa: E731
        allow, never = ask("allow"), ask("never allow")
        loose = self.tier("allow", card, machine, address, inbound=inbound, loose=LOOSE)
        base = 0
        if line.mode == "selective":
            base = before & ~ask("deny") & ~self.bits(line.closed)
        return (base | allow) & ~never, (base | loose) & ~never

"""The policy language read anew: what a workload may let in and send out, from resolved sentences and the inventory in a plan file.

Written from the definition of the language (docs/policy.md): never > allow > deny > the mode's default; scopes restrict workload
selectors of both ends, `outside` frees a source; an end that resolves to nobody is no rule; both families hold by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from cloudsync.verify.ground import Json, items, mapping, text, texts
from cloudsync.verify.space import (
    BLOCK,
    EVERYWHERE,
    ICMP,
    ICMPV6,
    PORTED,
    Packets,
    Runs,
    Space,
    Spans,
    UnreadableError,
    network,
    networks,
    protocol,
)

_LOCAL = networks(
    (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24"),
        *("192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
)
_ROUTED = networks(("0.0.0.0/0", "2000::/3"))
_ROUTED_AFTER_ALL = networks(
    (
        *("192.0.0.9", "192.0.0.10", "2001:1::1", "2001:1::2", "2001:1::3", "2001:3::/32", "2001:4:112::/48", "2001:20::/28"),
        *("2001:30::/28", "64:ff9b::/96"),
    )
)
MACHINES = frozenset({"labels", "workload", "all workloads", "unlabeled workloads"})

Clauses = tuple[tuple[str, frozenset[str]], ...]


@dataclass(frozen=True, slots=True)
class Selector:
    """`labels`, `workload`, `iplist`, or one of the words."""

    kind: str
    clauses: Clauses = ()
    name: str = ""
    addresses: Spans = ()

    @property
    def machines(self) -> bool:
        """Tell whether it picks workloads rather than addresses."""
        return self.kind in MACHINES


@dataclass(frozen=True, slots=True)
class End:
    """A selector with what is taken out of it."""

    base: Selector
    without: tuple[Selector, ...]
    outside: bool


@dataclass(frozen=True, slots=True)
class Sentence:
    """One rule that is in force."""

    id: str
    action: str
    sources: tuple[End, ...]
    destinations: tuple[End, ...]
    services: Runs
    wide: Runs
    """The services with what the rule accepts by name."""
    scopes: tuple[Clauses | None, ...]
    anywhere_ok: bool


@dataclass(frozen=True, slots=True)
class Card:
    """One interface of a workload."""

    addresses: Spans
    domain: str
    point: str
    source_only: bool


@dataclass(frozen=True, slots=True)
class Machine:
    """One workload."""

    id: str
    name: str
    ref: str
    target: str
    labels: Mapping[str, str]
    cards: tuple[Card, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the enforcement table."""

    scope: Clauses | None
    mode: str
    egress: str
    services: Runs


@dataclass(frozen=True, slots=True)
class Book:
    """The policy and the inventory of a plan file."""

    sentences: tuple[Sentence, ...]
    lines: tuple[Line, ...]
    machines: tuple[Machine, ...]
    released: frozenset[str]

    def tell(self, space: Space) -> None:
        """Note every address and service with a space."""
        for spans in (_LOCAL, _ROUTED, _ROUTED_AFTER_ALL, EVERYWHERE):
            space.addresses(spans)
        for one in self.sentences:
            space.services(one.services)
            space.services(one.wide)
            for end in (*one.sources, *one.destinations):
                for selector in (end.base, *end.without):
                    space.addresses(selector.addresses)
        for line in self.lines:
            space.services(line.services)
        for machine in self.machines:
            for card in machine.cards:
                space.addresses(card.addresses)

    def line(self, machine: Machine) -> Line:
        """Return how far a workload is enforced: the first line whose scope it is in."""
        return next(one for one in self.lines if one.scope is None or _carries(machine, one.scope))


# --- reading ---------------------------------------------------------------------------------------------------------


def read(raw: Json) -> Book:
    """Return the policy and inventory of a file's evidence. Raises UnreadableError."""
    top = mapping(raw, "the evidence")
    now = text(top.get("now"), "now")
    sentences = tuple(_sentence(one) for one in items(top.get("rules"), "rules") if one.get("until") is None or one["until"] > now)
    lines = tuple(_line(one) for one in items(top.get("enforcement"), "enforcement"))
    if not lines or lines[-1].scope is not None:
        raise UnreadableError("the enforcement table does not end with a default")
    machines = tuple(_machine(one) for one in items(top.get("workloads"), "workloads"))
    return Book(sentences, lines, machines, frozenset(texts(top.get("released"), "released")))


def _sentence(one: Json) -> Sentence:
    action, accept = text(one.get("action"), "an action"), texts(one.get("accept"), "accept")
    if action not in ("allow", "deny", "never allow"):
        raise UnreadableError(f"action {action!r}")
    services = runs_of(one.get("services"))
    return Sentence(
        id=text(one.get("id"), "a rule's id"),
        action=action,
        sources=tuple(map(_end, items(one.get("from"), "from"))),
        destinations=tuple(map(_end, items(one.get("to"), "to"))),
        services=services,
        wide=_widened(services, accept),
        scopes=tuple(None if scope is None else _clauses(scope) for scope in items(one.get("scopes"), "scopes")),
        anywhere_ok="internet-as-anywhere" in accept,
    )


def _end(one: Json) -> End:
    return End(_selector(one["base"]), tuple(map(_selector, items(one["except"], "except"))), one["outside"] is True)


def _selector(one: Json) -> Selector:
    if "labels" in one:
        return Selector("labels", _clauses(one["labels"]))
    if "workload" in one:
        return Selector("workload", name=text(one["workload"], "a workload"))
    if "iplist" in one:
        return Selector("iplist", name=text(one["iplist"], "an IP list"), addresses=networks(texts(one["addresses"], "addresses")))
    word = text(one.get("word"), "a selector")
    if word not in ("all workloads", "unlabeled workloads", "anywhere", "strangers", "internet"):
        raise UnreadableError(f"selector {word!r}")
    return Selector(word)


def _clauses(raw: Json) -> Clauses:
    return tuple((text(key, "a label"), frozenset(texts(values, "labels"))) for key, values in items(raw, "labels"))


def _line(one: Json) -> Line:
    scope, mode, egress = one.get("scope"), text(one.get("mode"), "a mode"), text(one.get("egress"), "egress")
    if mode not in ("idle", "visibility", "selective", "full") or egress not in ("leave", "enforce"):
        raise UnreadableError(f"mode {mode!r}, egress {egress!r}")
    return Line(None if scope is None else _clauses(scope), mode, egress, runs_of(one.get("services")))


def _machine(one: Json) -> Machine:
    cards = tuple(
        Card(networks(texts(each["addresses"], "addresses")), each["domain"], each["point"] or "", each["source_only"] is True)
        for each in items(one.get("interfaces"), "interfaces")
    )
    labels = mapping(one.get("labels"), "labels")
    return Machine(text(one.get("id"), "a workload"), one["name"], one["ref"], one["target"], labels, cards)


def runs_of(raw: Json) -> Runs:
    """Return services as plan files say them: `protocol/first-last`, neighbours joined."""
    return _runs(texts(raw, "services"))


@lru_cache(maxsize=4096)
def _runs(said: tuple[str, ...]) -> Runs:
    found: list[tuple[int, int]] = []
    for one in said:
        number, _, span = one.partition("/")
        first, _, last = span.partition("-")
        try:
            base, low, high = int(number) * BLOCK, int(first), int(last)
        except ValueError as error:
            raise UnreadableError(f"service {one!r}") from error
        if not (0 <= base < 256 * BLOCK and 0 <= low <= high < BLOCK):
            raise UnreadableError(f"service {one!r}")
        if found and found[-1][1] + 1 == base + low:
            found[-1] = (found[-1][0], base + high)
        else:
            found.append((base + low, base + high))
    return tuple(found)


def _widened(services: Runs, accept: tuple[str, ...]) -> Runs:
    found = list(services)
    for number in (*sorted(PORTED), ICMP, ICMPV6):
        named = any(first < (number + 1) * BLOCK and last >= number * BLOCK for first, last in services)
        if named and ("any-port" if number in PORTED else "any-type") in accept:
            found.extend(protocol(number))
    return tuple(found)


def addresses_of(raw: Json) -> Spans:
    """Return addresses as plan files say them: single ones and `first-last`."""
    return tuple(network(one) for one in texts(raw, "addresses"))


# --- meaning ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ruling:
    """What rules say of one workload in one direction: allow minus never, the same with what rules accept by name, never, and closed."""

    exact: Packets
    loosest: Packets
    never: Packets
    closed: Packets


def _carries(machine: Machine, clauses: Clauses) -> bool:
    return all(machine.labels.get(key) in values for key, values in clauses)


Bits = int
"""A set of workloads: bit n is the n-th of the book."""


@dataclass(slots=True)
class Meaning:
    """A book asked in one space."""

    book: Book
    space: Space
    _routed: int | None = None
    _postings: dict[tuple[str, str], Bits] | None = None
    _picked: dict[Selector, Bits] = field(default_factory=dict)
    _addresses: dict[tuple[int, str, bool], int] = field(default_factory=dict)
    _everybody: dict[str, int] = field(default_factory=dict)
    _ends: dict[tuple[int, int, str, bool], int] = field(default_factory=dict)
    _concerned: dict[bool, list[list[tuple[int, int]]]] = field(default_factory=dict)
    _places: dict[str, int] = field(default_factory=dict)
    _rulings: dict[tuple[object, ...], Ruling] = field(default_factory=dict)

    @property
    def routed(self) -> int:
        """Globally routable addresses, by the language's own frozen table."""
        if self._routed is None:
            self._routed = (self.space.mask(_ROUTED) & ~self.space.mask(_LOCAL)) | self.space.mask(_ROUTED_AFTER_ALL)
        return self._routed

    # --- who -----------------------------------------------------------------------------------------------------

    def picks(self, selector: Selector) -> Bits:
        """Return the workloads that a workload selector picks, whatever the scope; nobody for addresses."""
        found = self._picked.get(selector)
        if found is None:
            match selector.kind:
                case "labels":
                    found = self._carrying(selector.clauses)
                case "workload":
                    found = self._where(lambda one: selector.name in (one.name, one.ref))
                case "all workloads":
                    found = self._where(lambda _: True)
                case "unlabeled workloads":
                    found = self._where(lambda one: not one.labels)
                case _:
                    found = 0
            self._picked[selector] = found
        return found

    def _where(self, meant: Callable[[Machine], bool]) -> Bits:
        return sum(1 << at for at, one in enumerate(self.book.machines) if meant(one))

    def _carrying(self, clauses: Clauses) -> Bits:
        if self._postings is None:
            self._postings = {}
            for at, machine in enumerate(self.book.machines):
                for pair in machine.labels.items():
                    self._postings[pair] = self._postings.get(pair, 0) | 1 << at
        found = (1 << len(self.book.machines)) - 1
        for key, values in clauses:
            either = 0
            for value in values:
                either |= self._postings.get((key, value), 0)
            found &= either
        return found

    def _whom(self, ends: tuple[End, ...], scope: Clauses | None) -> Bits:
        """Return the workloads on one side of a rule under one scope; exceptions are restricted as their base is."""
        found = 0
        for end in ends:
            if end.base.machines:
                picked = self.picks(end.base)
                if scope is not None and not end.outside:
                    picked &= self._carrying(scope)
                for less in end.without:
                    picked &= ~self.picks(less)
                found |= picked
        return found

    def _about(self, *, inbound: bool) -> list[list[tuple[int, int]]]:
        """Return, by workload, the rules that are about it, by number and scope: inbound as a destination, outbound as a source."""
        found = self._concerned.get(inbound)
        if found is None:
            found = self._concerned[inbound] = [[] for _ in self.book.machines]
            for at, one in enumerate(self.book.sentences):
                for scope_at, scope in enumerate(one.scopes):
                    for bit in _members(self._whom(one.destinations if inbound else one.sources, scope)):
                        found[bit].append((at, scope_at))
        return found

    # --- addresses -----------------------------------------------------------------------------------------------

    def addresses(self, at: int, domain: str, *, arriving: bool) -> int:
        """Return a workload's addresses as seen from a routing domain; `arriving`: only those at which it is reached."""
        key = (at, domain, arriving)
        found = self._addresses.get(key)
        if found is None:
            found = 0
            for card in self.book.machines[at].cards:
                if not (arriving and card.source_only):
                    mask = self.space.mask(card.addresses)
                    found |= mask if card.domain == domain else mask & self.routed
            self._addresses[key] = found
        return found

    def _of(self, bits: Bits, domain: str, *, arriving: bool) -> int:
        found = 0
        for at in _members(bits):
            found |= self.addresses(at, domain, arriving=arriving)
        return found

    def _named(self, selector: Selector, domain: str) -> int:
        """Return the addresses of an address selector."""
        match selector.kind:
            case "iplist":
                return self.space.mask(selector.addresses)
            case "anywhere":
                return self.space.mask(EVERYWHERE)
        if domain not in self._everybody:
            self._everybody[domain] = self._of((1 << len(self.book.machines)) - 1, domain, arriving=False)
        strangers = self.space.mask(EVERYWHERE) & ~self._everybody[domain]
        return strangers if selector.kind == "strangers" else strangers & self.routed

    def _peers(self, at: int, scope_at: int, domain: str, *, inbound: bool) -> int:
        """Return the addresses on the other side of a rule: sources of what comes in, or destinations of what goes out."""
        key = (at, scope_at, domain, inbound)
        found = self._ends.get(key)
        if found is None:
            one = self.book.sentences[at]
            ends = one.sources if inbound else one.destinations
            found = self._of(self._whom(ends, one.scopes[scope_at]), domain, arriving=not inbound)
            for end in ends:
                if not end.base.machines:
                    found |= self._address_end(end, domain)
            self._ends[key] = found
        return found

    def _address_end(self, end: End, domain: str) -> int:
        found = self._named(end.base, domain)
        for less in end.without:
            found &= ~(self._of(self.picks(less), domain, arriving=False) if less.machines else self._named(less, domain))
        return found

    # --- rulings -------------------------------------------------------------------------------------------------

    def ruling(self, machine: Machine, domain: str, *, inbound: bool) -> Ruling:
        """Return what the rules say of a workload, as seen from a domain."""
        if not self._places:
            self._places = {one.id: at for at, one in enumerate(self.book.machines)}
        mine = tuple(self._about(inbound=inbound)[self._places[machine.id]])
        line = self.book.line(machine)
        key = (mine, domain, inbound, line.services)
        found = self._rulings.get(key)
        if found is None:
            allow = loose = deny = never = 0
            for at, scope_at in mine:
                one = self.book.sentences[at]
                peers = self._peers(at, scope_at, domain, inbound=inbound)
                packets = self.space.box(peers, self.space.row(one.services))
                match one.action:
                    case "allow":
                        allow |= packets
                        loose |= self._loosest(one, peers, inbound=inbound)
                    case "deny":
                        deny |= packets
                    case _:
                        never |= packets
            deny |= self.space.packets(EVERYWHERE, line.services)
            found = self._rulings[key] = Ruling(allow & ~never, (allow | loose) & ~never, never, deny)
        return found

    def _loosest(self, one: Sentence, peers: int, *, inbound: bool) -> Packets:
        """Return the most that a rule accepts by name: whole protocols for ports or types, every address for the internet."""
        ends = one.sources if inbound else one.destinations
        if one.anywhere_ok and any(end.base.kind == "internet" for end in ends):
            peers = self.space.mask(EVERYWHERE)
        return self.space.box(peers, self.space.row(one.wide))


def _members(bits: Bits) -> Iterator[int]:
    while bits:
        low = bits & -bits
        yield low.bit_length() - 1
        bits ^= low

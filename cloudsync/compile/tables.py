"""The whole policy as tables of addresses, for any firewall: named lists of prefixes, and per class rows that refer to them.

A list is written once however many rows name it, so that a machine that joins its class is one more prefix in one list.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import field

from cloudsync.compile import columns
from cloudsync.compile.allowed import Compiler, Direction
from cloudsync.compile.arms import Arm, End, who_addresses
from cloudsync.compile.pause import uncollected
from cloudsync.compile.universe import Bits, bits_of, members_of
from cloudsync.model.address import ANYWHERE, AddressSet
from cloudsync.model.intervals import Points, union_all
from cloudsync.model.mode import Egress, Mode
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ServiceSet
from cloudsync.model.workload import Domain, Labels
from cloudsync.policy.values import Action


@dataclass(frozen=True, slots=True)
class Row:
    """One row. Rows are read from the top, the first that fits a packet decides."""

    allows: bool
    peers: str
    """The id of a list: where flows come from (inbound), or go to (outbound)."""
    services: str
    """In words of the policy language, e.g. `tcp/443, udp/53`."""
    rule: str
    """The policy's rule, or `selective`."""


@dataclass(frozen=True, slots=True)
class ClassTable:
    """What holds at every workload of one class. None: that direction is not enforced. `closed`: what no row fits is cut, else it stays."""

    class_id: str
    labels: Labels
    mode: Mode
    addresses: str
    """The id of the list of its own addresses."""
    inbound: tuple[Row, ...]
    outbound: tuple[Row, ...] | None
    closed: bool


@dataclass(frozen=True, slots=True)
class Tables:
    """Every enforced class as seen from one routing domain, ordered by class id; `lists`: id -> prefixes, IPv4 first, ascending."""

    domain: Domain
    lists: Mapping[str, tuple[str, ...]]
    classes: tuple[ClassTable, ...]


MANY = 4096
"""From so many workloads on lists are made in arrays; see `make bench`."""


def list_id(text: tuple[str, ...]) -> str:
    """Return the id of a list: 12 hex digits of what is in it."""
    return hashlib.sha256("\n".join(text).encode()).hexdigest()[:12]


@dataclass(slots=True)
class _Lists:
    """Lists by what is in them; each text is made once."""

    found: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _ids: dict[AddressSet, str] = field(default_factory=dict)

    def id(self, addresses: AddressSet) -> str:
        """Return the id of a list of addresses."""
        known = self._ids.get(addresses)
        if known is None:
            known = self._ids[addresses] = self.put(addresses.cidrs())
        return known

    def put(self, text: tuple[str, ...]) -> str:
        """Keep a list given as its prefixes, and return its id."""
        known = list_id(text)
        self.found[known] = text
        return known


@dataclass(slots=True)
class _Way:
    """What was made for one direction so far."""

    rows: dict[int, Row | None] = field(default_factory=dict)
    """By the number of the arm."""
    tables: dict[tuple[tuple[int, ...], ServiceSet], tuple[Row, ...]] = field(default_factory=dict)
    """By the arms of a class and what `selective` closes there."""
    peers: dict[int, str] = field(default_factory=dict)
    """The ids of lists by the identity of the end, whose classes take long to compare; empty where nobody is in one."""


@dataclass(slots=True)
class _Writer:
    compiler: Compiler
    domain: Domain
    lists: _Lists = field(default_factory=_Lists)
    _ways: dict[Direction, _Way] = field(default_factory=lambda: {direction: _Way() for direction in Direction})
    _own: dict[int, str] = field(default_factory=dict)
    _services: dict[ServiceSet, str] = field(default_factory=dict)

    def ahead(self, numbers: list[int], outward: list[int]) -> None:
        """Make the lists that rows will name, and those of the classes themselves, all at once in arrays.

        `numbers`: the classes that have a table; `outward`: those whose outbound packets are held to it too.
        """
        universe = self.compiler.universe
        for direction, held in ((Direction.IN, numbers), (Direction.OUT, outward)):
            if not held:
                continue
            arrays = universe.columns(self.domain, reached=direction is Direction.OUT)
            six = universe.six(self.domain, reached=direction is Direction.OUT)
            ends = self._peer_ends(bits_of(held), direction)
            needed: dict[Bits, list[int]] = {}
            for end in ends:
                if end.classes and not end.addresses:
                    needed.setdefault(end.classes, []).append(id(end))
            for (bits, same), four in zip(needed.items(), arrays.lists(needed), strict=True):
                text = four + _cidrs(union_all(six[number] for number in members_of(bits))) if six else four
                self._ways[direction].peers |= dict.fromkeys(same, self.lists.put(text) if text else "")
        arrays = universe.columns(self.domain, reached=True)
        six = universe.six(self.domain, reached=True)
        for number, four in zip(numbers, arrays.own(numbers), strict=True):
            self._own[number] = self.lists.put(four + _cidrs(six[number]) if six else four)

    def _peer_ends(self, held: Bits, direction: Direction) -> Iterator[End]:
        """Yield the other ends of the arms that some class which is held to the policy has a row of."""
        for arm in self.compiler.arms:
            own, peer = (arm.source, arm.destination) if direction is Direction.OUT else (arm.destination, arm.source)
            if own.classes & held:
                yield peer

    def own(self, number: int) -> str:
        """Return the id of the list of a class's own addresses."""
        found = self._own.get(number)
        return self.lists.id(self.compiler.universe.class_reached(number, self.domain)) if found is None else found

    def rows(self, numbers: list[int], direction: Direction) -> Iterator[tuple[Row, ...]]:
        """Yield the rows of each class: never rules, then what is allowed, then what is closed."""
        every, classes, known = self.compiler.rows(direction), self.compiler.universe.classes, self._ways[direction].tables
        for number in numbers:
            arms, selective = every[number], classes[number].selective
            if not arms and not selective:
                yield ()
                continue
            key = (tuple(arms), selective)
            found = known.get(key)
            if found is None:
                found = known[key] = tuple(self._ordered(arms, selective, direction))
            yield found

    def _ordered(self, arms: list[int], selective: ServiceSet, direction: Direction) -> Iterator[Row]:
        rules = self.compiler.arms
        for action in (Action.NEVER, Action.ALLOW, Action.DENY):
            for at in arms:
                if rules[at].rule.action is action:
                    row = self._row(at, direction)
                    if row is not None:
                        yield row
        if selective:
            yield Row(allows=False, peers=self.lists.id(ANYWHERE), services=selective.text(), rule="selective")

    def _row(self, at: int, direction: Direction) -> Row | None:
        """Return the row of an arm; None where nobody is at its other end."""
        known = self._ways[direction].rows
        if at not in known:
            arm = self.compiler.arms[at]
            peers = self._peers(arm, direction)
            row = Row(arm.rule.action is Action.ALLOW, peers, self._said(arm.rule.services), arm.rule.id) if peers else None
            known[at] = row
        return known[at]

    def _said(self, services: ServiceSet) -> str:
        found = self._services.get(services)
        if found is None:
            found = self._services[services] = services.text()
        return found

    def _peers(self, arm: Arm, direction: Direction) -> str:
        end: End = arm.source if direction is Direction.IN else arm.destination
        known = self._ways[direction].peers
        name = known.get(id(end))
        if name is None:
            universe = self.compiler.universe
            found = (universe.addresses if direction is Direction.IN else universe.reached)(end.classes, self.domain)
            for who in end.addresses:
                found |= who_addresses(universe, who, self.domain)
            name = known[id(end)] = self.lists.id(found) if found else ""
        return name


def _cidrs(six: Points) -> tuple[str, ...]:
    return AddressSet(v6=six).cidrs()


def tables(compiler: Compiler, domain: Domain) -> Tables:
    """Return the policy as tables for one routing domain. Exact: no accepted looseness, no platform's limits."""
    with uncollected():
        return _tables(compiler, domain)


def _tables(compiler: Compiler, domain: Domain) -> Tables:
    writer = _Writer(compiler, domain)
    classes = compiler.universe.classes
    enforced = [mode for mode in Mode if mode.enforced]
    numbers = [number for number, group in enumerate(classes) if group.mode in enforced]
    outward = [number for number in numbers if classes[number].egress is Egress.ENFORCE]
    if compiler.universe.many(MANY) and columns.available():
        writer.ahead(numbers, outward)
    sent = dict(zip(outward, writer.rows(outward, Direction.OUT), strict=True)) if outward else {}
    found: list[ClassTable] = []
    for number, inbound in zip(numbers, writer.rows(numbers, Direction.IN), strict=True):
        group = classes[number]
        full = group.mode is Mode.FULL
        found.append(ClassTable(group.id, group.labels, group.mode, writer.own(number), inbound, sent.get(number), full))
    return Tables(domain, writer.lists.found, tuple(found))

"""The whole policy as tables of addresses, for any firewall: named lists of prefixes, and per class rows that refer to them.

A list is written once however many rows name it, so that a machine that joins its class is one more prefix in one list.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

from cloudsync.compile import columns
from cloudsync.compile.allowed import Compiler, Direction
from cloudsync.compile.arms import Arm, End, who_addresses
from cloudsync.compile.universe import members_of
from cloudsync.model.address import ANYWHERE, AddressSet
from cloudsync.model.intervals import Points, union_all
from cloudsync.model.mode import Egress, Mode
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
class _Writer:
    compiler: Compiler
    domain: Domain
    lists: _Lists = field(default_factory=_Lists)
    _rows: dict[tuple[int, Direction], Row | None] = field(default_factory=dict)
    _tables: dict[tuple[tuple[int, ...], ServiceSet, Direction], tuple[Row, ...]] = field(default_factory=dict)
    _bits: dict[tuple[int, Direction], str] = field(default_factory=dict)
    _own: dict[int, str] = field(default_factory=dict)
    _services: dict[ServiceSet, str] = field(default_factory=dict)

    def ahead(self, numbers: list[int], directions: Iterable[Direction]) -> None:
        """Make the lists that rows will name, and those of the classes themselves, all at once in arrays."""
        universe = self.compiler.universe
        for direction in directions:
            outward = direction is Direction.OUT
            arrays = universe.columns(self.domain, reached=outward)
            six = universe.six(self.domain, reached=outward)
            needed = dict.fromkeys(end.classes for end in self._peer_ends(direction) if end.classes and not end.addresses)
            for bits, four in zip(needed, arrays.lists(needed), strict=True):
                text = four + _cidrs(union_all(six[number] for number in members_of(bits))) if six else four
                self._bits[bits, direction] = self.lists.put(text) if text else ""
        arrays = universe.columns(self.domain, reached=True)
        six = universe.six(self.domain, reached=True)
        for number, four in zip(numbers, arrays.own(numbers), strict=True):
            self._own[number] = self.lists.put(four + _cidrs(six[number]) if six else four)

    def _peer_ends(self, direction: Direction) -> Iterator[End]:
        """Yield the other ends of the arms that some enforced class has a row of."""
        classes = self.compiler.universe.classes
        rows = self.compiler.rows(direction)
        outward = direction is Direction.OUT
        enforced = (number for number, group in enumerate(classes) if group.mode.enforced)
        mine = (rows[number] for number in enforced if not outward or classes[number].egress is Egress.ENFORCE)
        for at in dict.fromkeys(chain.from_iterable(mine)):
            arm = self.compiler.arms[at]
            yield arm.destination if outward else arm.source

    def own(self, number: int) -> str:
        """Return the id of the list of a class's own addresses."""
        found = self._own.get(number)
        return self.lists.id(self.compiler.universe.class_reached(number, self.domain)) if found is None else found

    def rows(self, number: int, direction: Direction) -> tuple[Row, ...]:
        """Return the rows of a class: never rules, then what is allowed, then what is closed."""
        arms = self.compiler.rows(direction)[number]
        selective = self.compiler.universe.classes[number].selective
        if not arms and not selective:
            return ()
        key = (tuple(arms), selective, direction)
        found = self._tables.get(key)
        if found is None:
            found = self._tables[key] = tuple(self._ordered(arms, selective, direction))
        return found

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
        key = (at, direction)
        if key not in self._rows:
            arm = self.compiler.arms[at]
            peers = self._peers(arm, direction)
            row = Row(arm.rule.action is Action.ALLOW, peers, self._said(arm.rule.services), arm.rule.id) if peers else None
            self._rows[key] = row
        return self._rows[key]

    def _said(self, services: ServiceSet) -> str:
        found = self._services.get(services)
        if found is None:
            found = self._services[services] = services.text()
        return found

    def _peers(self, arm: Arm, direction: Direction) -> str:
        end: End = arm.source if direction is Direction.IN else arm.destination
        universe = self.compiler.universe
        of = universe.addresses if direction is Direction.IN else universe.reached
        if not end.addresses:
            key = (end.classes, direction)
            if key not in self._bits:
                found = of(end.classes, self.domain)
                self._bits[key] = self.lists.id(found) if found else ""
            return self._bits[key]
        found = of(end.classes, self.domain)
        for who in end.addresses:
            found |= who_addresses(universe, who, self.domain)
        return self.lists.id(found) if found else ""


def _cidrs(six: Points) -> tuple[str, ...]:
    return AddressSet(v6=six).cidrs()


def tables(compiler: Compiler, domain: Domain) -> Tables:
    """Return the policy as tables for one routing domain. Exact: no accepted looseness, no platform's limits."""
    writer = _Writer(compiler, domain)
    classes = compiler.universe.classes
    numbers = [number for number, group in enumerate(classes) if group.mode.enforced]
    if compiler.universe.many(MANY) and columns.available():
        outward = any(classes[number].egress is Egress.ENFORCE for number in numbers)
        writer.ahead(numbers, (Direction.IN, Direction.OUT) if outward else (Direction.IN,))
    found: list[ClassTable] = []
    for number in numbers:
        group = classes[number]
        inbound = writer.rows(number, Direction.IN)
        outbound = writer.rows(number, Direction.OUT) if group.egress is Egress.ENFORCE else None
        found.append(ClassTable(group.id, group.labels, group.mode, writer.own(number), inbound, outbound, group.mode is Mode.FULL))
    return Tables(domain, writer.lists.found, tuple(found))

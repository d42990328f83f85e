"""The matrix as a page shows it: short names, a mark for each cell, and the same as a list that says which rules are behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from cloudsync.adapter import Origin
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ServiceSet
from cloudsync.proof.words import service_words
from cloudsync.report.headline import MEANT
from cloudsync.report.matrix import Breach, Cell, Group, Matrix
from cloudsync.report.origins import origin_text

DENSE = 22
"""With more columns than this, cells hold a mark instead of ports."""
NOTHING = "\N{EM DASH}"
"""In place of a value, where a group lacks the label."""
SHORT = 7
"""So many characters fit into a cell."""


@dataclass(frozen=True, slots=True)
class Named:
    """A group with its short name: the values of its labels, the keys being said once for all."""

    number: int
    name: str
    group: Group
    begins: bool
    """The first of those that share the value of the first key: a line is drawn before it."""

    @property
    def mode(self) -> str:
        """How far it is enforced, in one word; empty outside."""
        return self.group.mode.value if self.group.mode else ""

    @property
    def loose(self) -> bool:
        """Tell whether the policy is not enforced there."""
        return self.group.mode is not None and not self.group.mode.enforced


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a destination's list: what passes, from whom, because of which rules; or what is wrong there.

    `look`: `allowed`, `open` (drift that opens), `foreign` (the same by rules that are not ours), `cut` (drift that closes).
    """

    id: str
    look: str
    services: str
    peers: tuple[Named, ...]
    rules: tuple[str, ...] = ()
    part: bool = False
    meant: str = ""
    severity: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Square:
    """One cell to draw. `refs`: ids of the items that say what it is, worst first."""

    look: str
    allowed: bool
    text: str
    title: str
    refs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One destination of the list, what is wrong first."""

    to: Named
    items: tuple[Item, ...]

    @property
    def wrong(self) -> int:
        """How many items are no plain allow."""
        return sum(item.look != "allowed" for item in self.items)


@dataclass(frozen=True, slots=True)
class Grid:
    """All of it. `rows` are the sources, each with one square for every column, or None."""

    keys: tuple[str, ...]
    columns: tuple[Named, ...]
    rows: tuple[tuple[Named, tuple[Square | None, ...]], ...]
    entries: tuple[Entry, ...]
    dense: bool
    inventory: str


@dataclass(slots=True)
class _Pile:
    """The items of one destination in the making: alike ones are one, with several peers."""

    peers: dict[tuple[str, ServiceSet, tuple[Origin, ...], bool, Breach | None], list[Named]] = field(default_factory=dict)


def grid(matrix: Matrix) -> Grid:
    """Return the matrix ready to be drawn."""
    keys = tuple(dict.fromkeys(key for group in matrix.groups for key, _ in group.labels.pairs))
    named = tuple(_named(matrix, keys))
    reached = {cell.destination for cell in matrix.cells}
    sending = {cell.source for cell in matrix.cells}
    columns = tuple(one for one in named if not one.group.outside or one.number in reached)
    entries = tuple(_entry(one, [cell for cell in matrix.cells if cell.destination == one.number], named) for one in columns)
    refs: dict[tuple[int, int], list[str]] = {}
    for entry in entries:
        for item in entry.items:
            for peer in item.peers:
                refs.setdefault((peer.number, entry.to.number), []).append(item.id)
    cells = {(cell.source, cell.destination): cell for cell in matrix.cells}
    dense = len(columns) > DENSE
    rows: list[tuple[Named, tuple[Square | None, ...]]] = []
    for one in named:
        if not one.group.outside or one.number in sending:
            places = ((cells.get((one.number, to.number)), to) for to in columns)
            line = tuple(_square(cell, one, to, refs) if cell else None for cell, to in places)
            rows.append((one, line))
    return Grid(keys, columns, tuple(rows), entries, dense, matrix.inventory)


def _named(matrix: Matrix, keys: tuple[str, ...]) -> Iterator[Named]:
    before: str | None = ""
    for number, group in enumerate(matrix.groups):
        name = group.name or " · ".join(group.labels.get(key) or NOTHING for key in keys)
        if not group.outside and not group.labels:
            # The policy names such a workload, or nothing tells it apart.
            name = ", ".join(one.name for one in group.members[:2]) + ("" if len(group.members) <= 2 else ", …")
        first = (group.name and "outside") or (group.labels.get(keys[0]) if keys else None)
        yield Named(number, name, group, number > 0 and first != before)
        before = first


def _entry(to: Named, cells: list[Cell], named: tuple[Named, ...]) -> Entry:
    pile = _Pile()
    for cell in cells:
        for breach in cell.breaches:
            pile.peers.setdefault((look_of(breach), breach.services, (), False, breach), []).append(named[cell.source])
        for passage in cell.passages:
            key = ("allowed", passage.services, passage.origins, passage.part, None)
            pile.peers.setdefault(key, []).append(named[cell.source])
    items = [
        Item(
            id=f"i{to.number}-{number}",
            look=look,
            services=service_words(services),
            peers=tuple(peers),
            rules=tuple(map(origin_text, origins)),
            part=part,
            meant=MEANT[breach.kind] if breach else "",
            severity=breach.severity.value if breach else "",
            key=breach.key if breach else "",
        )
        for number, ((look, services, origins, part, breach), peers) in enumerate(pile.peers.items())
    ]
    ranks = ("open", "foreign", "cut", "allowed")
    return Entry(to, tuple(sorted(items, key=lambda item: ranks.index(item.look))))


def look_of(breach: Breach) -> str:
    """Return how a deviation is drawn: red for ours to put right, hatched for what foreign rules let in, crossed for what is cut."""
    if not breach.opens:
        return "cut"
    return "foreign" if breach.foreign else "open"


def _square(cell: Cell, source: Named, to: Named, refs: dict[tuple[int, int], list[str]]) -> Square:
    looks = [look_of(breach) for breach in cell.breaches]
    look = next((one for one in ("open", "foreign", "cut") if one in looks), "allowed")
    worst = ServiceSet.union_all(breach.services for breach in cell.breaches if look_of(breach) == look)
    services = worst or cell.services
    said = f"{source.name} → {to.name}: "
    parts = [f"{service_words(cell.services)} by the policy"] if cell.passages else []
    parts += [f"{service_words(breach.services)} {MEANT[breach.kind]} ({breach.severity.value})" for breach in cell.breaches]
    return Square(look, bool(cell.passages), short(services), said + "; ".join(parts), tuple(refs.get((source.number, to.number), ())))


def short(services: ServiceSet) -> str:
    """Return services as short as a cell: a port, two ports, `any`, or how many there are."""
    words = service_words(services)
    if words.startswith("any service"):
        return "any" if words == "any service" else "most"
    parts = list(dict.fromkeys(part.rpartition("/")[2] for part in services.parts()))
    if len(",".join(parts)) <= SHORT:
        return ",".join(parts)
    if len(parts) == 1:
        return parts[0][:SHORT]
    more = f"{parts[0]}+{len(parts) - 1}"
    return more if len(more) <= SHORT else f"{len(parts)} svc"

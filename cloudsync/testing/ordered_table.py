"""The native table of the ordered platform in memory: lines with numbers, the first that matches a packet at a point decides.

Pure. Both directions are enforced; nothing comes in and everything goes out where no line says otherwise. Our allow lines stand in one band
of numbers, our denies for the rest below them, temporary lines above both; lines of others may stand anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256

from cloudsync.adapter import Access, Bounds, Effect, Encoding, Intent, Method, Phase, Problem, Seen, Step, Whose
from cloudsync.model.address import AddressSet
from cloudsync.model.codec import Json, canonical, packets_json, packets_of
from cloudsync.model.fidelity import Fidelity, Verdict
from cloudsync.model.mode import Accept, Egress, TargetMode
from cloudsync.model.packets import ALL_PACKETS, NO_PACKETS, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ANY_SERVICE
from cloudsync.model.workload import PointId
from cloudsync.testing.memory_table import RejectedError, Spot

SHIELDS, HELPERS, ALLOWS, DENIES = range(100, 400), range(400, 900), range(1000, 5000), range(5000, 9000)
"""Our numbers: temporary denies above everything, what MEET holds, what is wanted, and the denies for all the rest."""
OUT_BY_DEFAULT = Access(NO_PACKETS, ALL_PACKETS)


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """One line; `owner` is the mark, empty when it is nobody's we know. Its name says what it is, so a line is never edited."""

    number: int
    name: str
    owner: str
    deny: bool
    outbound: bool
    points: tuple[PointId, ...]
    packets: PacketSet

    @property
    def temporary(self) -> bool:
        """Tell whether it stands only while a transition is under way."""
        return self.number in SHIELDS or self.number in HELPERS


@dataclass(frozen=True, slots=True)
class OrderedTable:
    """Everything of one target. Mappings are never changed after they were made."""

    owner: str
    lines: Mapping[str, Line]
    spots: Mapping[PointId, Spot]

    def with_lines(self, lines: Iterable[Line]) -> OrderedTable:
        """Return the table with lines put in."""
        return replace(self, lines=dict(sorted({**self.lines, **{line.name: line for line in lines}}.items())))

    def without(self, names: Iterable[str]) -> OrderedTable:
        """Return the table without some lines."""
        gone = set(names)
        return replace(self, lines={name: line for name, line in self.lines.items() if name not in gone})


def decode(table: OrderedTable, whose: Whose, points: Iterable[PointId] | None) -> dict[PointId, Access]:
    """Return what each point lets through, by the first line that matches. Parts of a table let through what their allows would."""
    wanted = [point for point in (table.spots if points is None else sorted(set(points))) if point in table.spots]
    lines = sorted(line for line in table.lines.values() if whose is Whose.ALL or (line.owner == table.owner) is (whose is Whose.OURS))
    acting: dict[PointId, list[Line]] = {point: [] for point in wanted}
    for line in lines:
        for point in line.points:
            if point in acting:
                acting[point].append(line)
    memo: dict[tuple[str, ...], Access] = {}
    found: dict[PointId, Access] = {}
    for point in wanted:
        key = tuple(line.name for line in acting[point])
        if key not in memo:
            rest = ALL_PACKETS if whose is not Whose.OURS else NO_PACKETS
            memo[key] = Access(_first(acting[point], NO_PACKETS, outbound=False), _first(acting[point], rest, outbound=True))
        found[point] = memo[key]
    return found


def _first(lines: Iterable[Line], default: PacketSet, *, outbound: bool) -> PacketSet:
    passed, open_ = NO_PACKETS, ALL_PACKETS
    for line in lines:
        if line.outbound is outbound:
            if not line.deny:
                passed |= line.packets & open_
            open_ -= line.packets
    return passed | (open_ & default)


# --- what is wanted --------------------------------------------------------------------------------------------------


def named(line: Line) -> Line:
    """Return a line with the name that its content gives it."""
    kind = next((word for word, band in (("shield", SHIELDS), ("helper", HELPERS)) if line.number in band), "cs")
    content = canonical([line.number, line.deny, line.outbound, list(line.points), packets_json(line.packets)])
    return replace(line, name=f"{kind}-{line.owner}-{sha256(content.encode()).hexdigest()[:12]}")


def encode(intent: Intent, table: OrderedTable, room: int, *, denies: bool) -> Encoding:
    """Return the desired table: per class and past, what it lets through, and below that a deny for the rest."""
    classes = {(group.class_id, group.domain): group for group in intent.classes}
    kept = {name: line for name, line in table.lines.items() if line.owner != table.owner}
    groups: dict[tuple[PacketSet, PacketSet | None], list[PointId]] = {}
    for point in intent.points:
        if point.mode.enforced and point.point in table.spots and table.spots[point.point].scope not in intent.incomplete:
            group = classes[point.class_id, point.domain]
            inbound = group.inbound.exact | (point.kept_in or NO_PACKETS)
            outbound = group.outbound.exact | (point.kept_out or NO_PACKETS) if group.egress is Egress.ENFORCE else None
            groups.setdefault((inbound, outbound), []).append(point.point)
    for points in groups.values():
        points.sort()
    wanted: list[Line] = []
    mine = [line for line in table.lines.values() if line.owner == table.owner]
    closed = denies and intent.mode is TargetMode.EXCLUSIVE
    for (inbound, outbound), points in sorted(groups.items(), key=lambda item: item[1]):
        base = Line(0, "", table.owner, deny=False, outbound=False, points=tuple(points), packets=inbound)
        base = replace(base, packets=inbound | _quarantined(mine, points, intent.quarantined))
        wanted.extend([base] if base.packets else [])
        wanted.extend([replace(base, deny=True, packets=ALL_PACKETS)] if closed else [])
        if outbound is not None:
            wanted.extend([replace(base, outbound=True, packets=outbound)] if outbound else [])
            wanted.extend([replace(base, outbound=True, deny=True, packets=ALL_PACKETS)] if denies else [])
    left = [line for line in mine if _frozen(line, table, intent)]
    lines = [*_numbered(wanted, table, missing=bool(intent.quarantined)), *left]
    problems: tuple[Problem, ...] = ()
    if (needed := weight(lines)) > room:
        problems = (Problem("G-QUOTA", f"the ledger needs {needed} peers in lines of ours, quota {room}", "say less"),)
    made = OrderedTable(table.owner, kept, table.spots).with_lines(lines)
    return Encoding(made, tuple(_fidelity(intent)), problems, {})


def weight(lines: Iterable[Line]) -> int:
    """Return what the quota counts: the prefixes of peers in lines."""
    return sum(len(line.packets.peers().cidrs()) for line in lines)


def _frozen(line: Line, table: OrderedTable, intent: Intent) -> bool:
    """Tell whether a line acts in a scope that was not read whole: it stays."""
    return bool(intent.incomplete) and any(
        point not in table.spots or table.spots[point].scope in intent.incomplete for point in line.points
    )


def _quarantined(mine: Iterable[Line], points: Iterable[PointId], quarantined: AddressSet) -> PacketSet:
    """Return what lines of ours let in for quarantined addresses at these points: it stays as it is."""
    if not quarantined:
        return NO_PACKETS
    theirs, acting = PacketSet.of(quarantined, ANY_SERVICE), set(points)
    return PacketSet.union_all(
        line.packets & theirs for line in mine if acting <= set(line.points) and not (line.deny or line.outbound or line.temporary)
    )


def _fidelity(intent: Intent) -> Iterator[Fidelity]:
    """Yield how exactly each rule can be said, ordered by rule: no process is known."""
    found: dict[str, Fidelity] = {}
    for group in intent.classes:
        for term in (*group.inbound.terms, *group.outbound.terms):
            for origin in term.origins:
                found.setdefault(origin.rule, Fidelity(origin.rule, intent.target, Verdict.EXACT))
                if term.process:
                    accepted = Accept.PORT_ONLY in term.accept
                    found[origin.rule] = Fidelity(origin.rule, intent.target, Verdict.LOOSER, "no process is known here", accepted)
    yield from (found[rule] for rule in sorted(found))


def _numbered(wanted: Iterable[Line], table: OrderedTable, *, missing: bool) -> Iterator[Line]:
    """Give each wanted line a number of its band: the one it has already, else a free one.

    `missing`: machines may be missing for the first time; lines that still name them stay.
    """
    known: dict[tuple[bool, bool, tuple[PointId, ...], PacketSet], Line] = {}
    for line in table.lines.values():
        if line.owner == table.owner and not line.temporary:
            there = tuple(point for point in line.points if point in table.spots or not missing)
            known[line.deny, line.outbound, there, line.packets] = line
    taken = {line.number for line in table.lines.values()}
    for line in wanted:
        old = known.get((line.deny, line.outbound, line.points, line.packets))
        band = DENIES if line.deny else ALLOWS
        if old is not None and old.number in band:
            yield old
            continue
        number = next(number for number in band if number not in taken)
        taken.add(number)
        yield named(replace(line, number=number))


# --- the way there ---------------------------------------------------------------------------------------------------


def steps(actual: OrderedTable, desired: OrderedTable, method: Method) -> tuple[Phase, ...]:
    """Return MERGE (or JOIN, without denies): what is new from the top, then what is old from the bottom; or MEET over helpers.

    Nothing where a new line needs the number of one that goes: it could not stand beside it.
    """
    new = sorted(desired.lines[name] for name in desired.lines.keys() - actual.lines.keys())
    old = sorted((actual.lines[name] for name in actual.lines.keys() - desired.lines.keys()), reverse=True)
    if {line.number for line in new} & {line.number for line in old}:
        return ()
    if method is Method.MEET:
        return _meet(actual, desired, new, old)
    return (*_batches("insert", new), *_batches("delete", old))


def _meet(actual: OrderedTable, desired: OrderedTable, new: list[Line], old: list[Line]) -> tuple[Phase, ...]:
    """Hold what both states share, take away the old, put in the new, let go; only for tables whose lines of ours all allow."""
    if any(line.deny for line in (*new, *old)) or not (new and old):
        return ()
    before, after = decode(actual, Whose.ALL, None), decode(desired, Whose.ALL, None)
    groups: dict[tuple[bool, PacketSet], list[PointId]] = {}
    for point in sorted({point for line in (*new, *old) for point in line.points}):
        for outbound, packets in (
            (False, before[point].inbound & after[point].inbound),
            (True, before[point].outbound & after[point].outbound),
        ):
            if packets and any(line.outbound is outbound and point in line.points for line in (*new, *old)):
                groups.setdefault((outbound, packets), []).append(point)
    numbers = _free(actual, HELPERS)
    helpers = [
        named(Line(next(numbers), "", actual.owner, deny=False, outbound=outbound, points=tuple(points), packets=packets))
        for (outbound, packets), points in groups.items()
    ]
    held = _batches("insert", helpers), _batches("delete", old), _batches("insert", new), _batches("delete", helpers)
    return tuple(phase for phases in held for phase in phases)


def _free(table: OrderedTable, band: range) -> Iterator[int]:
    taken = {line.number for line in table.lines.values()}
    return (number for number in band if number not in taken)


def _batches(call: str, lines: Iterable[Line]) -> Iterator[Phase]:
    """Yield phases of neighbours with the same action, in the order given."""
    batch: list[Line] = []
    for line in lines:
        if batch and batch[-1].deny is not line.deny:
            yield _phase(call, batch)
            batch = []
        batch.append(line)
    if batch:
        yield _phase(call, batch)


def _phase(call: str, lines: list[Line]) -> Phase:
    return Phase(f"{call} {'denies' if lines[0].deny else 'allows'}", tuple(_step(call, line) for line in lines))


def _step(call: str, line: Line) -> Step:
    inserts = call == "insert"
    content = {"call": call, "name": line.name, "number": line.number, "owner": line.owner, "deny": line.deny, "outbound": line.outbound}
    payload = canonical({**content, "points": list(line.points), "packets": packets_json(line.packets)})
    return Step(
        key=f"{call}/{line.name}",
        action=call.capitalize(),
        scope="mem/one",
        object=line.name,
        title=f"{call} line {line.number} ({'deny' if line.deny else 'allow'} {'out' if line.outbound else 'in'})",
        effect=Effect.GROWS if inserts is not line.deny else Effect.SHRINKS,
        payload=payload,
        adds=int(inserts),
        removes=int(not inserts),
        temporary=line.temporary,
        mark=line.owner,
    )


def shield(table: OrderedTable, packets: Mapping[PointId, Access], room: int) -> OrderedTable:
    """Return the table with temporary denies; what finds no number, or stands below a line of others, stays uncut."""
    groups: dict[tuple[bool, PacketSet], list[PointId]] = {}
    for point, access in sorted(packets.items()):
        if point in table.spots:
            for outbound, cut in ((False, access.inbound), (True, access.outbound)):
                if cut:
                    groups.setdefault((outbound, cut), []).append(point)
    taken = {line.number for line in table.lines.values()}
    standing = {(line.outbound, line.packets, line.points) for line in table.lines.values() if line.number in SHIELDS and line.deny}
    lines: list[Line] = []
    for (outbound, cut), points in groups.items():
        if (outbound, cut, tuple(points)) in standing:
            continue
        line = Line(0, "", table.owner, deny=True, outbound=outbound, points=tuple(points), packets=cut)
        first = int(named(line).name[-6:], 16) % max(1, room)  # the same shield gets the same number, whatever else stands there
        number = next((one for one in (*SHIELDS[first:room], *SHIELDS[:first]) if one not in taken), None)
        if number is not None:
            taken.add(number)
            lines.append(named(replace(line, number=number)))
    return table.with_lines(lines)


def line_of(call: Json) -> Line:
    """Return the line that a call speaks of."""
    points = tuple(PointId(point) for point in call["points"])
    rest = {"deny": call["deny"], "outbound": call["outbound"], "points": points, "packets": packets_of(call["packets"])}
    return Line(call["number"], call["name"], call["owner"], **rest)


def after(table: OrderedTable, payload: str) -> OrderedTable:
    """Return the table after a call. Raises RejectedError for what a real platform would not accept."""
    call = json.loads(payload)
    line = line_of(call)
    if call["call"] == "delete":
        if table.lines.get(line.name) != line:
            raise RejectedError("NotFound", f"no line {line.name}")
        return table.without((line.name,))
    if line.name in table.lines or any(one.number == line.number for one in table.lines.values()):
        raise RejectedError("Duplicate", f"line {line.name} or number {line.number} exists")
    return table.with_lines((line,))


def affected(table: OrderedTable, found: Iterable[Step]) -> frozenset[PointId]:
    """Return the points whose packets these steps may change."""
    return frozenset(point for step in found for point in line_of(json.loads(step.payload)).points if point in table.spots)


def bounds(table: OrderedTable, found: tuple[Step, ...]) -> Bounds:
    """Return the corners of a phase; every phase of ours only adds or only takes away, other mixtures are bounded step by step."""
    last, smallest, largest = table, table, table
    for step in found:
        last = after(last, step.payload)
        if step.effect is Effect.GROWS:
            largest = after(largest, step.payload)
        else:
            smallest = after(smallest, step.payload)
    return Bounds((smallest,), (largest,))


def seen(table: OrderedTable, step: Step) -> Seen:
    """Tell whether a table shows a step's effect."""
    call = json.loads(step.payload)
    line = line_of(call)
    known = table.lines.get(line.name)
    if known is not None and known != line:
        return Seen.OTHER
    return Seen.YES if (known is not None) is (call["call"] == "insert") else Seen.NO

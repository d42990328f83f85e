"""A second small platform in memory: an ordered list of allow and deny lines, both directions, shields. See `ordered_table`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace

from cloudsync.adapter import (
    Access,
    Bounds,
    Capabilities,
    Check,
    Discovery,
    Encoding,
    Entry,
    Found,
    FoundInterface,
    Hop,
    Identity,
    Intent,
    Method,
    Outcome,
    Patience,
    Phase,
    Point,
    ScopeState,
    Seen,
    Snapshot,
    Status,
    Step,
    Whose,
)
from cloudsync.model.codec import Json, digest, to_json
from cloudsync.model.errors import AdapterError
from cloudsync.model.packets import ALL_PACKETS, Packet, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.size import Size
from cloudsync.model.workload import Forward, PointId
from cloudsync.testing import ordered_table
from cloudsync.testing.memory import MemoryPlatform, Page, outcome_of
from cloudsync.testing.memory_table import RejectedError, Spot
from cloudsync.testing.ordered_table import Line, OrderedTable

DENYING = Capabilities(
    "ordered",
    denies=True,
    egress=True,
    icmp_types=True,
    processes=False,
    rule_logging=False,
    methods=(Method.MERGE, Method.SHIELD),
    in_place=True,
    container="ledger",
)
ALLOWING = replace(DENYING, platform="allowing", denies=False, methods=(Method.JOIN,))
MEETING = replace(ALLOWING, platform="meeting", methods=(Method.JOIN, Method.MEET))


@dataclass(slots=True)
class OrderedPlatform(MemoryPlatform):
    """The world outside, with lines instead of groups."""

    lines: dict[str, Line] = field(default_factory=dict)
    forwards: dict[PointId, tuple[Forward, ...]] = field(default_factory=dict)
    """What a point that is a load balancer does with the flows it lets in."""
    _before: dict[str, Line] | None = None

    def add_line(self, number: int, packets: PacketSet, points: Iterable[PointId], *, deny: bool = False, outbound: bool = False) -> str:
        """Let somebody else put a line in. Returns its name."""
        self._ids += 1
        name = f"line-{self._ids}"
        self.lines[name] = Line(number, name, "", deny=deny, outbound=outbound, points=tuple(sorted(points)), packets=packets)
        return name

    def ordered(self, owner: str) -> OrderedTable:
        """Return the true state, whatever a read would show."""
        return OrderedTable(owner, dict(sorted(self.lines.items())), dict(sorted(self.spots.items())))

    def seen(self, owner: str) -> OrderedTable:
        """Return what a read shows now, which may lag behind."""
        self.reads += 1
        if self._stale and self._before is not None:
            self._stale -= 1
            return OrderedTable(owner, dict(sorted(self._before.items())), dict(sorted(self.spots.items())))
        return self.ordered(owner)

    def take(self, payload: str) -> None:
        """Carry out one call."""
        changed = ordered_table.after(self.ordered(""), payload)
        self._before, self._stale = dict(self.lines), self.lag
        self.lines = dict(changed.lines)

    def _take(self, payload: str, made: str) -> None:
        del made
        self.take(payload)

    def page(self, owner: str, token: str = "") -> Page:
        """Answer one page request, lines before points."""
        self.pages += 1
        if self.unreadable and self.pages >= self.unreadable:
            raise AdapterError("ordered", "list", "not allowed to read", retryable=False)
        view, _, start = token.partition(":")
        if not token:
            table = self.seen(owner)
            view = str(self.pages)
            self._views[view] = (*table.lines.values(), *table.spots.values())
        items, first = self._views[view], int(start or 0)
        end = first + self.page_size
        return Page(items[first:end], f"{view}:{end}" if end < len(items) else "")


class OrderedAdapter:
    """The ordered platform, opened for one target; implements `cloudsync.adapter.Adapter`. `capabilities` may be one of this module's."""

    patience = Patience(settle_s=0.0, visible_s=30.0, call_s=20.0)
    scope = "mem/one"
    """What cannot be read when nothing can."""

    def __init__(
        self, platform: OrderedPlatform, target: str = "mem", owner: str = "test", quota: int = 1000, capabilities: Capabilities = DENYING
    ) -> None:
        self.platform, self.target, self.owner, self.quota = platform, target, owner, quota
        self.expected = platform.account
        self.capabilities = capabilities
        self.shields = len(ordered_table.SHIELDS)
        """How many temporary denies fit."""

    def identify(self) -> Identity:
        """Ask who we are."""
        return Identity("ordered", self.platform.account, "tester")

    def expected_account(self) -> str:
        """Return the account the test expects."""
        return self.expected

    def read(self) -> Snapshot:
        """Read everything but the broken scopes."""
        try:
            seen = self.whole()
        except AdapterError as error:
            return self._snapshot(OrderedTable(self.owner, {}, {}), (ScopeState(self.scope, str(error)),))
        broken = self.platform.broken
        spots = {key: spot for key, spot in seen.spots.items() if spot.scope not in broken}
        names = sorted({spot.scope for spot in seen.spots.values()} | broken.keys() | {self.scope})
        return self._snapshot(replace(seen, spots=spots), tuple(ScopeState(name, broken.get(name, "")) for name in names))

    def _snapshot(self, table: OrderedTable, scopes: tuple[ScopeState, ...]) -> Snapshot:
        workloads = tuple(self._found(spot) for spot in table.spots.values())
        discovery = Discovery(self.target, workloads, scopes)
        return Snapshot(self.target, discovery, table, scopes, digest([self.dump(table), to_json(discovery)]))

    def _found(self, spot: Spot) -> Found:
        name = spot.id.rpartition("/")[2]
        interface = FoundInterface(name, spot.network, spot.addresses, spot.id, forwards=self.platform.forwards.get(spot.id, ()))
        return Found(name, name, self.platform.account, spot.scope, self.platform.tags.get(spot.id, ()), (interface,))

    def whole(self) -> OrderedTable:
        """Ask for every page. Raises AdapterError."""
        lines: dict[str, Line] = {}
        spots: dict[PointId, Spot] = {}
        token = ""
        while True:
            page = self.platform.page(self.owner, token)
            for item in page.items:
                if isinstance(item, Line):
                    lines[item.name] = item
                elif isinstance(item, Spot):
                    spots[item.id] = item
            token = page.more
            if not token:
                return OrderedTable(self.owner, lines, spots)

    def refresh(self, table: OrderedTable, steps: Iterable[Step], bindings: Mapping[str, str]) -> OrderedTable:
        """Read again; this platform is so small that everything is read."""
        del steps, bindings
        now = self.whole()
        if self.platform.broken:
            raise AdapterError(self.target, "refresh", "a scope cannot be read", retryable=True)
        return replace(table, lines=now.lines, spots=now.spots)

    def points(self, table: OrderedTable) -> tuple[Point, ...]:
        """Return every point, ordered by id."""
        found: list[Point] = []
        for spot in table.spots.values():
            acting = [line for line in table.lines.values() if spot.id in line.points]
            ours = tuple(line.name for line in acting if line.owner == table.owner)
            foreign = tuple(line.name for line in acting if line.owner != table.owner)
            found.append(Point(spot.id, spot.scope, spot.network, spot.id, spot.addresses, ours, foreign))
        return tuple(found)

    def decode(self, table: OrderedTable, whose: Whose = Whose.ALL, points: Iterable[PointId] | None = None) -> Mapping[PointId, Access]:
        """Return what each point lets through."""
        return ordered_table.decode(table, whose, points)

    def entries(self, table: OrderedTable, points: Iterable[PointId] | None = None) -> tuple[Entry, ...]:
        """Return the lines that act on these points."""
        wanted = set(table.spots if points is None else points)
        found: list[Entry] = []
        for line in sorted(table.lines.values()):
            acting = tuple(point for point in line.points if point in wanted and point in table.spots)
            if acting:
                native = f"{line.number} {'deny' if line.deny else 'allow'}"
                way, ours = "outbound" if line.outbound else "inbound", line.owner == table.owner
                found.append(Entry("ledger", "ledger", native, way, line.packets, ours, acting, denies=line.deny))
        return tuple(found)

    def walk(self, table: OrderedTable, point: PointId, direction: str, packet: Packet) -> tuple[Hop, ...]:
        """Return the line that decides a packet at a point, or the default."""
        outbound = direction == "outbound"
        for line in sorted(table.lines.values()):
            if point in line.points and line.outbound is outbound and packet in line.packets:
                verdict = "deny" if line.deny else "allow"
                return (Hop("ledger", verdict, f"{line.number} {verdict}", line.owner == table.owner),)
        return (Hop("ledger", "allow" if outbound and packet in ALL_PACKETS else "deny", "no line says anything of it"),)

    def owned(self, table: OrderedTable) -> Mapping[str, int]:
        """Return how many lines of ours there are."""
        count = sum(1 for line in table.lines.values() if line.owner == table.owner)
        return {self.scope: count} if count else {}

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        """Return the desired table."""
        return ordered_table.encode(intent, snapshot.table, self.quota, denies=self.capabilities.denies)

    def steps(self, actual: OrderedTable, desired: OrderedTable, method: Method) -> tuple[Phase, ...]:
        """Return the writes from actual to desired; nothing for a method that has no steps here."""
        known = method in self.capabilities.methods and method is not Method.SHIELD
        return ordered_table.steps(actual, desired, method) if known else ()

    def shield(self, table: OrderedTable, packets: Mapping[PointId, Access]) -> OrderedTable:
        """Return the table with temporary denies on top."""
        return ordered_table.shield(table, packets, self.shields) if self.capabilities.denies else table

    def simulate(self, table: OrderedTable, *steps: Step) -> OrderedTable:
        """Return the table after some steps."""
        for step in steps:
            table = ordered_table.after(table, step.payload)
        return table

    def bounds(self, table: OrderedTable, steps: tuple[Step, ...]) -> Bounds:
        """Return the bounds of a phase."""
        return ordered_table.bounds(table, steps)

    def affected(self, table: OrderedTable, steps: tuple[Step, ...]) -> frozenset[PointId]:
        """Return the points whose packets these steps may change."""
        return ordered_table.affected(table, steps)

    def seen(self, table: OrderedTable, step: Step, bindings: Mapping[str, str]) -> Seen:
        """Tell whether a table shows a step's effect."""
        del bindings
        return ordered_table.seen(table, step)

    def created(self, table: OrderedTable, step: Step) -> tuple[tuple[str, str], ...]:
        """Return nothing: lines have the names that they were given."""
        del table, step
        return ()

    def write(self, step: Step, bindings: Mapping[str, str]) -> Outcome:
        """Send one step, once."""
        del bindings
        try:
            fault, _ = self.platform.send(step.payload)
        except RejectedError as error:
            return Outcome(Status.FAILED, error.code, str(error))
        return outcome_of(fault, step)

    def sizes(self, table: OrderedTable) -> Iterator[Size]:
        """Yield how many peers stand in lines of ours, beside the quota."""
        ours = [line for line in table.lines.values() if line.owner == table.owner]
        yield Size("ledger", "peers", ordered_table.weight(ours), self.quota)

    def dump(self, table: OrderedTable) -> Json:
        """Return a table as JSON values."""
        return {"lines": to_json(table.lines), "spots": to_json(table.spots)}

    def rule_ids(self, table: OrderedTable, entries: Iterable[Entry]) -> Mapping[tuple[str, str], str]:
        """Return nothing: lines have no ids beside their names."""
        del table, entries
        return {}

    def doctor(self) -> tuple[Check, ...]:
        """Check nothing: there is nothing to check."""
        return (Check("ordered", ok=True, detail="always there"),)

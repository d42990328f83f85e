"""A small platform in memory: it holds groups and points, counts what is sent, lags behind itself, and fails where it is told to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from enum import Enum
from typing import Any

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
from cloudsync.model.address import AddressSet
from cloudsync.model.codec import Json, digest, to_json
from cloudsync.model.errors import AdapterError
from cloudsync.model.packets import Packet
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import PointId
from cloudsync.testing import memory_table
from cloudsync.testing.memory_table import Group, MemoryTable, RejectedError, Rule, Spot


class Fault(Enum):
    """What happens to one write."""

    REFUSED = "refused"
    """The platform says no; nothing happens."""
    THROTTLED = "throttled"
    """Too fast; nothing happens."""
    LOST_BEFORE = "lost before"
    """The connection breaks before the call arrives: unknown to the caller, not applied."""
    LOST_AFTER = "lost after"
    """The answer is lost: unknown to the caller, applied."""
    LATE = "late"
    """Unknown to the caller, applied only when `MemoryPlatform.arrive` is called."""


@dataclass(frozen=True, slots=True)
class Call:
    """One write as the platform saw it; what the journal has to match one to one."""

    payload: str
    applied: bool


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the platform's only list: groups first, then points. `more` is the token of the next page, empty on the last."""

    items: tuple[Any, ...]
    """Whatever the platform holds: groups, lines, points."""
    more: str = ""


def _as_it_is(rule: Rule) -> Rule:
    return rule


@dataclass(slots=True)
class MemoryPlatform:
    """The world outside. `faults` maps the number of a write (from 1) to what happens to it.

    `lag`: how many reads after a write still show the state before it. `before_write` and `after_write` get the number of each write and
    may do anything, such as editing the world or dying.
    """

    account: str = "111122223333"
    groups: dict[str, Group] = field(default_factory=dict)
    spots: dict[PointId, Spot] = field(default_factory=dict)
    tags: dict[PointId, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    """Scope -> why it cannot be read whole."""
    faults: dict[int, Fault] = field(default_factory=dict)
    lag: int = 0
    page_size: int = 1000
    unreadable: int = 0
    """From this page request on (counted from 1 in `pages`) every one is refused; 0: none is."""
    spelling: Callable[[Rule], Rule] = _as_it_is
    """How the platform shows a rule that was written: platforms have spellings of their own."""
    before_write: Callable[[int], None] = lambda _number: None
    after_write: Callable[[int], None] = lambda _number: None
    calls: list[Call] = field(default_factory=list)
    reads: int = 0
    """Looks at the whole."""
    pages: int = 0
    """Page requests."""
    _views: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    _stale: int = 0
    _past: tuple[dict[str, Group], dict[PointId, Spot]] | None = None
    _late: list[str] = field(default_factory=list)
    _ids: int = 0

    def add_point(self, name: str, address: str, groups: Iterable[str] = (), *, scope: str = "mem/one") -> PointId:
        """Put a machine with one interface into the world."""
        point = PointId(f"{scope}/{name}")
        self.spots[point] = Spot(point, scope, "net", AddressSet.of(address), tuple(sorted(groups)))
        return point

    def add_group(self, name: str, rules: Iterable[tuple[str, str]], *, scope: str = "mem/one", owner: str = "") -> str:
        """Put a group into the world; rules are `(peer, protocol/first-last)`. Returns its id."""
        self._ids += 1
        key = f"g-{self._ids}"
        self.groups[key] = Group(key, scope, name, owner, frozenset(Rule(*rule) for rule in rules))
        return key

    def table(self, owner: str) -> MemoryTable:
        """Return the true state, whatever a read would show."""
        return MemoryTable(owner, dict(sorted(self.groups.items())), dict(sorted(self.spots.items())))

    def look(self, owner: str) -> MemoryTable:
        """Return what a read shows now, which may lag behind."""
        self.reads += 1
        if self._stale and self._past is not None:
            self._stale -= 1
            groups, spots = self._past
            return MemoryTable(owner, dict(sorted(groups.items())), dict(sorted(spots.items())))
        return self.table(owner)

    def page(self, owner: str, token: str = "") -> Page:
        """Answer one page request; all pages of one listing show the same moment. Raises AdapterError where reading is refused."""
        self.pages += 1
        if self.unreadable and self.pages >= self.unreadable:
            raise AdapterError("memory", "list", "not allowed to read", retryable=False)
        view, _, start = token.partition(":")
        if not token:
            table = self.look(owner)
            view = str(self.pages)
            groups = (replace(one, rules=frozenset(map(self.spelling, one.rules))) for one in table.groups.values())
            self._views[view] = (*groups, *table.spots.values())
        items, first = self._views[view], int(start or 0)
        end = first + self.page_size
        return Page(items[first:end], f"{view}:{end}" if end < len(items) else "")

    def send(self, payload: str) -> tuple[Fault | None, str]:
        """Take one write: return the fault that hit it and the id of an object it made. Raises RejectedError for a bad call."""
        number = len(self.calls) + 1
        self.before_write(number)
        fault = self.faults.get(number)
        if fault in (None, Fault.LOST_AFTER):
            self._ids += 1
            made = f"g-{self._ids}"
            try:
                self._take(payload, made)
            except RejectedError:
                self.calls.append(Call(payload, applied=False))
                raise
        else:
            made = ""
            if fault is Fault.LATE:
                self._late.append(payload)
        self.calls.append(Call(payload, applied=fault in (None, Fault.LOST_AFTER)))
        self.after_write(number)
        return fault, made

    def arrive(self) -> None:
        """Let every late call take effect now; what no longer fits is dropped, as a real platform would refuse it."""
        for payload in self._late:
            self._ids += 1
            try:
                self._take(payload, f"g-{self._ids}")
            except RejectedError:
                continue
            at = next(number for number, call in enumerate(self.calls) if call == Call(payload, applied=False))
            self.calls[at] = Call(payload, applied=True)
        self._late.clear()

    def _take(self, payload: str, made: str) -> None:
        before = self.table("")
        after = memory_table.after(before, payload, made)
        self._past, self._stale = (dict(self.groups), dict(self.spots)), self.lag
        self.groups, self.spots = dict(after.groups), dict(after.spots)


class MemoryAdapter:
    """The platform in memory, opened for one target; implements `cloudsync.adapter.Adapter`."""

    capabilities = Capabilities("memory", denies=False, egress=False, icmp_types=True, processes=False, rule_logging=False)
    patience = Patience(settle_s=0.0, visible_s=30.0, call_s=20.0)

    scope = "mem/one"
    """What cannot be read when nothing can."""

    def __init__(self, platform: MemoryPlatform, target: str = "mem", owner: str = "test", quota: int = 60) -> None:
        self.platform, self.target, self.owner, self.quota = platform, target, owner, quota
        self.expected = platform.account

    def identify(self) -> Identity:
        """Ask who we are."""
        return Identity("memory", self.platform.account, "tester")

    def expected_account(self) -> str:
        """Return the account the test expects."""
        return self.expected

    def read(self) -> Snapshot:
        """Read everything but the broken scopes."""
        try:
            seen = self.listed()
        except AdapterError as error:
            nothing = MemoryTable(self.owner, {}, {})
            return self._snapshot(nothing, (ScopeState(self.scope, str(error)),))
        broken = self.platform.broken
        groups = {key: group for key, group in seen.groups.items() if group.scope not in broken}
        spots = {key: spot for key, spot in seen.spots.items() if spot.scope not in broken}
        table = MemoryTable(self.owner, groups, spots)
        names = sorted({spot.scope for spot in seen.spots.values()} | {group.scope for group in seen.groups.values()} | broken.keys())
        return self._snapshot(table, tuple(ScopeState(name, broken.get(name, "")) for name in names))

    def _snapshot(self, table: MemoryTable, scopes: tuple[ScopeState, ...]) -> Snapshot:
        workloads = tuple(self._found(spot) for spot in table.spots.values())
        discovery = Discovery(self.target, workloads, scopes)
        return Snapshot(self.target, discovery, table, scopes, digest([self.dump(table), to_json(discovery)]))

    def listed(self) -> MemoryTable:
        """Ask for every page, in the one spelling that tables are compared in. Raises AdapterError."""
        groups: dict[str, Group] = {}
        spots: dict[PointId, Spot] = {}
        token = ""
        while True:
            page = self.platform.page(self.owner, token)
            for item in page.items:
                if isinstance(item, Group):
                    groups[item.id] = replace(item, rules=frozenset(map(memory_table.plain, item.rules)))
                else:
                    spots[item.id] = item
            token = page.more
            if not token:
                return MemoryTable(self.owner, groups, spots)

    def _found(self, spot: Spot) -> Found:
        name = spot.id.rpartition("/")[2]
        tags = self.platform.tags.get(spot.id, ())
        interface = FoundInterface(name, spot.network, spot.addresses, spot.id)
        return Found(name, name, self.platform.account, spot.scope, tags, (interface,))

    def refresh(self, table: MemoryTable, steps: Iterable[Step], bindings: Mapping[str, str]) -> MemoryTable:
        """Read again; this platform is so small that everything complete is read."""
        del steps, bindings
        now = self.listed()
        if self.platform.broken:
            raise AdapterError(self.target, "refresh", "a scope cannot be read", retryable=True)
        return replace(table, groups=now.groups, spots=now.spots)

    def points(self, table: MemoryTable) -> tuple[Point, ...]:
        """Return every point, ordered by id."""
        found: list[Point] = []
        for spot in table.spots.values():
            ours = tuple(name for name in spot.groups if table.groups[name].owner == table.owner)
            foreign = tuple(name for name in spot.groups if name not in ours)
            found.append(Point(spot.id, spot.scope, spot.network, spot.id, spot.addresses, ours, foreign))
        return tuple(found)

    def decode(self, table: MemoryTable, whose: Whose = Whose.ALL, points: Iterable[PointId] | None = None) -> Mapping[PointId, Access]:
        """Return what each point lets in."""
        return memory_table.decode(table, whose, points)

    def entries(self, table: MemoryTable, points: Iterable[PointId] | None = None) -> tuple[Entry, ...]:
        """Return the rules that act on these points."""
        wanted = set(table.spots if points is None else points)
        found: list[Entry] = []
        for name, group in table.groups.items():
            carried = tuple(key for key, spot in table.spots.items() if key in wanted and name in spot.groups)
            for rule in sorted(group.rules) if carried else ():
                native = f"{rule.service} from {rule.peer}"
                found.append(Entry(name, group.name, native, "inbound", rule.packets(), group.owner == table.owner, carried))
        return tuple(found)

    def walk(self, table: MemoryTable, point: PointId, direction: str, packet: Packet) -> tuple[Hop, ...]:
        """Return what decides a packet at a point: its groups are one union, and nothing is enforced outbound."""
        where = f"groups of {point}"
        if direction == "outbound":
            return (Hop(where, "deny", "nothing goes out here"),)
        hit = [entry for entry in self.entries(table, (point,)) if packet in entry.packets]
        if not hit:
            return (Hop(where, "deny", "no rule of any group lets it in"),)
        first = min(hit, key=lambda entry: not entry.ours)
        return (Hop(where, "allow", f"{first.native} in {first.object_name}", first.ours, first.origins),)

    def owned(self, table: MemoryTable) -> Mapping[str, int]:
        """Return how many rules of ours each scope holds."""
        found: dict[str, int] = {}
        for group in table.groups.values():
            if group.owner == table.owner:
                found[group.scope] = found.get(group.scope, 0) + len(group.rules)
        return found

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        """Return the desired table."""
        return memory_table.encode(intent, snapshot.table, self.quota)

    def steps(self, actual: MemoryTable, desired: MemoryTable, method: Method) -> tuple[Phase, ...]:
        """Return the writes from actual to desired."""
        return memory_table.steps(actual, desired, method)

    def shield(self, table: MemoryTable, packets: Mapping[PointId, Access]) -> MemoryTable:
        """Return the table as it is: this platform has no deny rules."""
        del packets
        return table

    def simulate(self, table: MemoryTable, *steps: Step) -> MemoryTable:
        """Return the table after some steps."""
        for step in steps:
            table = memory_table.after(table, step.payload)
        return table

    def bounds(self, table: MemoryTable, steps: tuple[Step, ...]) -> Bounds:
        """Return the bounds of a phase."""
        return memory_table.bounds(table, steps)

    def affected(self, table: MemoryTable, steps: tuple[Step, ...]) -> frozenset[PointId]:
        """Return the points whose packets these steps may change."""
        return memory_table.affected(table, steps)

    def seen(self, table: MemoryTable, step: Step, bindings: Mapping[str, str]) -> Seen:
        """Tell whether a table shows a step's effect."""
        del bindings
        return memory_table.seen(table, step)

    def created(self, table: MemoryTable, step: Step) -> tuple[tuple[str, str], ...]:
        """Return key and id of what a creating step made."""
        return tuple((step.object, name) for name in memory_table.made(table, step))

    def write(self, step: Step, bindings: Mapping[str, str]) -> Outcome:
        """Send one step, once."""
        payload = step.payload
        for key, native in bindings.items():
            payload = payload.replace(memory_table.NEW % key, native)
        if "{new:" in payload:
            return Outcome(Status.FAILED, "NotSent", "an object does not exist yet")
        try:
            fault, made = self.platform.send(payload)
        except RejectedError as error:
            return Outcome(Status.FAILED, error.code, str(error))
        return outcome_of(fault, step, made)

    def dump(self, table: MemoryTable) -> Json:
        """Return a table as JSON values."""
        return {"groups": to_json(table.groups), "spots": to_json(table.spots)}

    def rule_ids(self, table: MemoryTable, entries: Iterable[Entry]) -> Mapping[tuple[str, str], str]:
        """Return nothing: rules have no ids here."""
        del table, entries
        return {}

    def doctor(self) -> tuple[Check, ...]:
        """Check nothing: there is nothing to check."""
        return (Check("memory", ok=True, detail="always there"),)


def outcome_of(fault: Fault | None, step: Step, made: str = "") -> Outcome:
    """Return what the sender of a write gets to know."""
    match fault:
        case None:
            return Outcome(Status.DONE, created=((step.object, made),) if step.action == "Create" else ())
        case Fault.REFUSED:
            return Outcome(Status.FAILED, "Denied", "not allowed")
        case Fault.THROTTLED:
            return Outcome(Status.FAILED, "TooFast", "slow down", throttled=True)
        case _:
            return Outcome(Status.UNKNOWN, "Reset", "connection reset")

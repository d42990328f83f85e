"""The adapter itself: effects at the edge (identify, read, refresh, write, doctor), and the pure half passed through unchanged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from cloudsync.adapter import (
    Access,
    Bounds,
    Check,
    Clock,
    Discovery,
    Effect,
    Encoding,
    Entry,
    Hop,
    Identity,
    Intent,
    Method,
    Outcome,
    Phase,
    Point,
    ScopeState,
    Seen,
    Snapshot,
    Status,
    Step,
    TargetSettings,
    Whose,
)
from cloudsync.model.errors import AdapterError
from cloudsync.model.packets import Packet
from cloudsync.model.workload import PointId
from cloudsync_f5 import payload as wire
from cloudsync_f5.bounds import affected, bounds
from cloudsync_f5.decode import decode
from cloudsync_f5.dump import digest, dump
from cloudsync_f5.encode import encode
from cloudsync_f5.limits import CAPABILITIES
from cloudsync_f5.parse import MALFORMED, reason
from cloudsync_f5.payload import Json
from cloudsync_f5.points import entries, points, walk
from cloudsync_f5.settings import F5Settings
from cloudsync_f5.shield import shield
from cloudsync_f5.simulate import seen, simulate
from cloudsync_f5.steps import owned, steps
from cloudsync_f5.table import F5Table

if TYPE_CHECKING:
    from cloudsync_f5.read import Group


class F5Adapter:
    """One F5 target: the firewall policies of one device group."""

    capabilities = CAPABILITIES

    def __init__(self, target: TargetSettings, owner: str, clock: Clock) -> None:
        self.settings = F5Settings.of(target)
        self._target, self._owner, self._clock = target, owner, clock
        self._known: Group | None = None
        self.patience = self.settings.patience()

    @property
    def _group(self) -> Group:
        if self._known is None:
            from cloudsync_f5.read import Group

            self._known = Group(self.settings, self._owner, self._clock)
        return self._known

    # --- effects -----------------------------------------------------------------------------------------------------

    def identify(self) -> Identity:
        """Ask every device who it is, and one of them for its group. Raises AdapterError when none answers."""
        from cloudsync_f5.identity import identity

        return identity(self._group)

    def expected_account(self) -> str:
        """Return the device group that the settings name, or the one device."""
        return self.settings.account

    def read(self) -> Snapshot:
        """Read the device group. Any doubt leaves it Incomplete, and then it holds nothing."""
        scope = self.settings.account
        try:
            found = self._group.whole()
        except (AdapterError, *MALFORMED) as error:
            state = ScopeState(scope, reason(error))
            table = F5Table(self._owner, scope, self.settings.partition, incomplete=reason(error))
            discovery = Discovery(self._target.name, (), (state,))
            return Snapshot(self._target.name, discovery, table, (state,), digest(table, discovery))
        state = ScopeState(scope)
        discovery = Discovery(self._target.name, found.workloads, (state,))
        return Snapshot(self._target.name, discovery, found.table, (state,), digest(found.table, discovery))

    def refresh(self, table: F5Table, steps: Iterable[Step], bindings: Mapping[str, str]) -> F5Table:
        """Read again just what these steps touch and return the table with it replaced. Raises AdapterError."""
        from cloudsync_f5.read import Reading, again

        assert not bindings, "objects of ours have their names before they are there"
        reading = Reading(self._group.device(table.active), self.settings, self._owner)
        try:
            return again(reading, table, {word for step in steps for word in _touches(step)})
        except MALFORMED as error:
            raise AdapterError(table.scope, "refresh", reason(error)) from error

    def write(self, step: Step, bindings: Mapping[str, str]) -> Outcome:
        """Send one step, once. Never raises for an answer of the device: that is FAILED; every doubt is UNKNOWN."""
        from cloudsync_f5.write import Writer

        assert not bindings, "objects of ours have their names before they are there"
        host = wire.parse(step.payload).host
        if host not in self.settings.hosts:
            return Outcome(Status.FAILED, "NotSent", f"{host} is none of the hosts of target {self._target.name}")
        return Writer(self._group.device(host), self.settings, self._clock).send(step)

    def rule_ids(self, table: F5Table, entries: Iterable[Entry]) -> Mapping[tuple[str, str], str]:
        """Return the names of rules: a rule has no other id, and they were read with the rules."""
        return {(entry.object, entry.native): entry.native.partition(":")[0] for entry in entries if entry.object in table.policies}

    def doctor(self) -> tuple[Check, ...]:
        """Check credentials, permissions and limits without writing."""
        from cloudsync_f5.doctor import checks

        return checks(self._group)

    # --- the pure half -----------------------------------------------------------------------------------------------

    def points(self, table: F5Table) -> tuple[Point, ...]:
        """Return every virtual server, skipped ones included, ordered by id."""
        return points(table)

    def decode(self, table: F5Table, whose: Whose = Whose.ALL, points: Iterable[PointId] | None = None) -> Mapping[PointId, Access]:
        """Return what each virtual server lets in and out."""
        return decode(table, whose, points)

    def entries(self, table: F5Table, points: Iterable[PointId] | None = None) -> tuple[Entry, ...]:
        """Return the rules that act on these virtual servers, ours and foreign, in the order of evaluation."""
        return entries(table, points)

    def walk(self, table: F5Table, point: PointId, direction: str, packet: Packet) -> tuple[Hop, ...]:
        """Return how a packet fares: global context, route domain, virtual server."""
        return walk(table, point, direction, packet)

    def owned(self, table: F5Table) -> Mapping[str, int]:
        """Return how many rules and list entries of our own the device group holds."""
        return {self.settings.account: owned(table)}

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        """Return the desired table: foreign objects as they are, ours as wanted, unchanged where nothing changed."""
        return encode(intent, snapshot.table, default_deny=self.settings.default_deny)

    def steps(self, actual: F5Table, desired: F5Table, method: Method) -> tuple[Phase, ...]:
        """Return the smallest safe writes from actual to desired, in phases; empty when equal."""
        return steps(actual, desired, method)

    def shield(self, table: F5Table, packets: Mapping[PointId, Access]) -> F5Table:
        """Return the table with temporary drops on top of our policies, for packets that pass there and that we can cut exactly."""
        return shield(table, packets)

    def simulate(self, table: F5Table, *steps: Step) -> F5Table:
        """Return the table as it would be after steps, from the payloads that are really sent."""
        return simulate(table, *steps)

    def bounds(self, table: F5Table, steps: tuple[Step, ...]) -> Bounds:
        """Return tables that bound every state while these steps take effect."""
        return bounds(table, steps)

    def affected(self, table: F5Table, steps: tuple[Step, ...]) -> frozenset[PointId]:
        """Return the virtual servers whose packets these steps may change."""
        return affected(table, steps)

    def seen(self, table: F5Table, step: Step, bindings: Mapping[str, str]) -> Seen:
        """Tell whether a (refreshed) table shows a step's effect."""
        assert not bindings, "objects of ours have their names before they are there"
        return seen(table, step)

    def unshown(self, step: Step) -> bool:
        """Tell whether a step saves: no read shows what is on disk."""
        return wire.saves(step.payload)

    def created(self, table: F5Table, step: Step) -> tuple[tuple[str, str], ...]:
        """Return nothing: objects of ours have their names before they are there."""
        assert table.scope == step.scope, "a step is for the table of its target"
        return ()

    def dump(self, table: F5Table) -> Json:
        """Return a table as JSON values, for plan files."""
        return dump(table)


def _touches(step: Step) -> tuple[str, ...]:
    if step.effect is not Effect.NONE or step.action == "Transaction":
        return ("firewall",)
    return ("sync",) if step.action == "ConfigSync" else ("pending",)

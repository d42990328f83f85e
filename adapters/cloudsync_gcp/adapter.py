"""The adapter itself: effects at the edge (identify, read, refresh, write, doctor), and the pure half passed through unchanged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from cloudsync.adapter import (
    Access,
    Bounds,
    Check,
    Clock,
    Discovery,
    Encoding,
    Entry,
    Hop,
    Identity,
    Intent,
    Method,
    Outcome,
    Phase,
    Point,
    Seen,
    Snapshot,
    Status,
    Step,
    TargetSettings,
    Whose,
)
from cloudsync.model.bucket import Limit
from cloudsync.model.errors import AdapterError
from cloudsync.model.mode import TargetMode
from cloudsync.model.packets import Packet
from cloudsync.model.size import Size
from cloudsync.model.witness import Author, NativeRule
from cloudsync.model.workload import PointId
from cloudsync_gcp import pacing
from cloudsync_gcp import payload as wire
from cloudsync_gcp import read as reading
from cloudsync_gcp.bounds import affected, bounds
from cloudsync_gcp.client import CallFailedError, Client
from cloudsync_gcp.decode import decode, points
from cloudsync_gcp.dump import dump
from cloudsync_gcp.encode import encode
from cloudsync_gcp.explain import entries, walk
from cloudsync_gcp.limits import CAPABILITIES
from cloudsync_gcp.parse import MALFORMED, reason
from cloudsync_gcp.prints import digest
from cloudsync_gcp.settings import GcpSettings
from cloudsync_gcp.shield import shield
from cloudsync_gcp.simulate import seen, simulate_all
from cloudsync_gcp.steps import steps
from cloudsync_gcp.table import GcpTable, Nic

Json: TypeAlias = Any
"""A JSON value."""


class GcpAdapter:
    """One GCP target: the firewall rules of some networks of one project."""

    capabilities = CAPABILITIES

    def __init__(self, target: TargetSettings, owner: str, clock: Clock) -> None:
        self.settings = GcpSettings.of(target)
        self.patience = self.settings.patience()
        self._target, self._owner, self._clock = target, owner, clock
        self._client = Client(self.settings, clock)

    # --- effects -----------------------------------------------------------------------------------------------------

    def identify(self) -> Identity:
        """Ask which project answers, and as whom. Raises AdapterError."""
        answer = self._client.read(self.settings.project, "", "compute#project")
        name = answer.get("name")
        if not name:
            raise AdapterError(self._target.name, "GET project", "the answer names no project")
        return Identity("gcp", str(name), self._client.principal())

    def expected_account(self) -> str:
        """Return the project that the settings name."""
        return self.settings.project

    def read(self) -> Snapshot:
        """Read the project once. A network that cannot be read is Incomplete and holds nothing; a doubt about rules or VMs is about all."""
        found = reading.whole(self._client, self._owner)
        discovery = Discovery(self._target.name, found.workloads, found.scopes)
        return Snapshot(self._target.name, discovery, found.table, found.scopes, digest(found.table, discovery))

    def refresh(self, table: GcpTable, steps: Iterable[Step], bindings: Mapping[str, str]) -> GcpTable:
        """Read again just what these steps touch and return the table with it replaced. Raises AdapterError."""
        del bindings
        names: set[str] = set()
        vms: set[str] = set()
        for step in steps:
            request = wire.parse(step.payload)
            (vms if request.call == wire.SET_TAGS else names).add(request.object)
        try:
            if names:
                again = reading.rules_again(self._client, self._owner, names)
                here = {name: rule for name, rule in again.items() if rule.network in table.networks}
                rules = {name: rule for name, rule in table.rules.items() if name not in names} | here
                taken = (table.taken - names) | (again.keys() - here.keys())
                table = replace(table, rules={name: rules[name] for name in sorted(rules)}, taken=taken)
            for vm in sorted(vms):
                table = _replaced(table, vm, reading.machine_again(self._client, vm, table.networks))
        except MALFORMED as error:
            raise AdapterError(self._target.name, "refresh", reason(error)) from error
        return table

    def write(self, step: Step, bindings: Mapping[str, str]) -> Outcome:
        """Send one step, once. Never raises for an answer of the platform: that is FAILED; every doubt is UNKNOWN."""
        del bindings
        try:
            request = wire.parse(step.payload)
        except (ValueError, KeyError) as error:
            return Outcome(Status.FAILED, "NotSent", str(error))
        if request.project not in self.settings.projects:
            return Outcome(Status.FAILED, "NotSent", f"project {request.project} is none of target {self._target.name}")
        try:
            self._client.write(request)
        except CallFailedError as failure:
            status = Status.FAILED if failure.answered else Status.UNKNOWN
            return Outcome(status, failure.code, failure.words, throttled=failure.throttled)
        return Outcome(Status.DONE)

    def rule_ids(self, table: GcpTable, entries: Iterable[Entry]) -> Mapping[tuple[str, str], str]:
        """Return Google's numeric ids of rules, by name and native text. No call is needed: a read has them."""
        return {
            (entry.object, entry.native): table.rules[entry.object].id
            for entry in entries
            if entry.object in table.rules and table.rules[entry.object].id
        }

    def authors(self, table: GcpTable, rules: Iterable[NativeRule], since: float) -> Mapping[NativeRule, Author]:
        """Return who changed these rules last, as Cloud Audit Logs has it; rules of policies are left out. Raises AdapterError."""
        from cloudsync_gcp.logs import authors

        wanted: dict[str, set[str]] = {}
        for name, native in rules:
            if name in table.rules:
                wanted.setdefault(name, set()).add(native)
        return authors(self._client, wanted, since)

    def doctor(self) -> tuple[Check, ...]:
        """Check credentials, permissions and limits without writing."""
        from cloudsync_gcp.doctor import checks

        writes = self._target.mode is not TargetMode.OBSERVE
        return checks(self._client, self._target.name, self._owner, self._clock, writes=writes)

    # --- the pure half -----------------------------------------------------------------------------------------------
    def points(self, table: GcpTable) -> tuple[Point, ...]:
        """Return every interface in a managed network, skipped ones included, ordered by id."""
        return points(table)

    def decode(self, table: GcpTable, whose: Whose = Whose.ALL, points: Iterable[PointId] | None = None) -> Mapping[PointId, Access]:
        """Return what each interface lets in and out."""
        return decode(table, whose, points)

    def entries(self, table: GcpTable, points: Iterable[PointId] | None = None) -> tuple[Entry, ...]:
        """Return the rules that act on these interfaces, ours and foreign, those of policies included, in a stable order."""
        return entries(table, points)

    def walk(self, table: GcpTable, point: PointId, direction: str, packet: Packet) -> tuple[Hop, ...]:
        """Return how a packet fares at an interface: policies, rules, implied rules."""
        return walk(table, point, direction, packet)

    def owned(self, table: GcpTable) -> Mapping[str, int]:
        """Return how many rules of our own each network holds."""
        counts = {one.scope: 0 for one in table.networks.values()}
        for rule in table.rules.values():
            if rule.mark is not None:
                counts[table.networks[rule.network].scope] += 1
        return counts

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        """Return the desired table: ours as wanted, foreign rules as they are (exclusive: or switched off)."""
        return encode(intent, snapshot.table)

    def steps(self, actual: GcpTable, desired: GcpTable, method: Method) -> tuple[Phase, ...]:
        """Return the smallest safe writes from actual to desired, in phases; empty when equal."""
        return steps(actual, desired, method)

    def shield(self, table: GcpTable, packets: Mapping[PointId, Access]) -> GcpTable:
        """Return the table with temporary denies on top that cut exactly these packets, at exactly these points."""
        return shield(table, packets)

    def limit(self, step: Step) -> Limit:
        """Return the bucket that a step's call draws from."""
        return pacing.limit(self.settings, wire.parse(step.payload).project, write=True)

    def delay(self, step: Step) -> float:
        """Return the seconds until a step's call may be sent."""
        return self._client.delay(self.limit(step))

    def simulate(self, table: GcpTable, *steps: Step) -> GcpTable:
        """Return the table as it would be after a step, from the payload that is really sent."""
        return simulate_all(table, steps)

    def bounds(self, table: GcpTable, steps: tuple[Step, ...]) -> Bounds:
        """Return tables that bound every state while these steps take effect in any order."""
        return bounds(table, steps)

    def affected(self, table: GcpTable, steps: tuple[Step, ...]) -> frozenset[PointId]:
        """Return the interfaces whose packets these steps may change."""
        return affected(table, steps)

    def seen(self, table: GcpTable, step: Step, bindings: Mapping[str, str]) -> Seen:
        """Tell whether a (refreshed) table shows a step's effect."""
        del bindings
        return seen(table, step)

    def created(self, table: GcpTable, step: Step) -> tuple[tuple[str, str], ...]:
        """Return nothing: a rule's name is known before it is created."""
        del table, step
        return ()

    def sizes(self, table: GcpTable) -> Iterable[Size]:
        """Return how many rules the project holds; nothing where its limit is not known."""
        room = table.room
        return () if room.limit is None else (Size(table.project, "firewall rules", len(table.rules) + room.elsewhere, room.limit),)

    def dump(self, table: GcpTable) -> Json:
        """Return a table as JSON values, for plan files."""
        return dump(table)


def _replaced(table: GcpTable, vm: str, again: tuple[Nic, ...]) -> GcpTable:
    nics = {point: nic for point, nic in table.nics.items() if nic.vm != vm} | {nic.point: nic for nic in again}
    return replace(table, nics={point: nics[point] for point in sorted(nics)})

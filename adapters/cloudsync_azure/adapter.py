"""The adapter itself: effects at the edge (identify, read, refresh, write, doctor), and the pure half passed through unchanged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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
    ScopeState,
    Seen,
    Snapshot,
    Step,
    TargetSettings,
    Whose,
)
from cloudsync.model.bucket import Limit
from cloudsync.model.errors import AdapterError
from cloudsync.model.packets import Packet
from cloudsync.model.size import Size
from cloudsync.model.witness import Author, NativeRule
from cloudsync.model.workload import PointId
from cloudsync_azure import pacing
from cloudsync_azure import read as reading
from cloudsync_azure.bounds import affected, bounds
from cloudsync_azure.client import Client
from cloudsync_azure.decode import decode, entries, native_text, points, walk
from cloudsync_azure.dump import digest, dump
from cloudsync_azure.encode import encode
from cloudsync_azure.limits import CHILD, SUBSCRIPTION_VERSION, WHOLE
from cloudsync_azure.parse import MALFORMED, reason
from cloudsync_azure.quota import sizes
from cloudsync_azure.settings import AzureSettings
from cloudsync_azure.shield import shield
from cloudsync_azure.simulate import seen, simulate
from cloudsync_azure.steps import steps
from cloudsync_azure.table import AzureTable
from cloudsync_azure.write import write


class AzureAdapter:
    """One Azure target: the network security groups of one subscription and the machines behind them."""

    def __init__(self, target: TargetSettings, owner: str, clock: Clock) -> None:
        self.settings = AzureSettings.of(target)
        self._target, self._owner, self._clock = target, owner, clock
        self._client = Client(self.settings, clock)
        self.capabilities = CHILD if self.settings.child else WHOLE
        self.patience = self.settings.patience()

    # --- effects -----------------------------------------------------------------------------------------------------

    def identify(self) -> Identity:
        """Ask Resource Manager for the subscription, and the token for who we are. Raises AdapterError."""
        document = self._client.read(self._client.path(""), SUBSCRIPTION_VERSION).document
        account = document.get("subscriptionId") if isinstance(document, dict) else None
        if not account:
            raise AdapterError(self._target.name, "Subscriptions_Get", "the answer names no subscription")
        tenant = str(document.get("tenantId") or "").lower()
        if self.settings.tenant and tenant != self.settings.tenant:
            raise AdapterError(self._target.name, "Subscriptions_Get", f"tenant is {tenant}, settings say {self.settings.tenant}")
        return Identity("azure", str(account).lower(), self._client.principal())

    def expected_account(self) -> str:
        """Return the subscription that the settings name."""
        return self.settings.subscription

    def read(self) -> Snapshot:
        """Read the whole subscription. It is Incomplete, and holds nothing, when any part of that fails."""
        name, scope = self._target.name, self.settings.scope
        try:
            found = reading.whole(self._client, self._owner)
        except (AdapterError, *MALFORMED) as error:
            state = ScopeState(scope, reason(error))
            table = AzureTable(self._owner, scope, incomplete=reason(error))
            discovery = Discovery(name, (), (state,))
            return Snapshot(name, discovery, table, (state,), digest(table, discovery))
        state = ScopeState(scope)
        discovery = Discovery(name, found.workloads, (state,))
        return Snapshot(name, discovery, found.table, (state,), digest(found.table, discovery))

    def refresh(self, table: AzureTable, steps: Iterable[Step], bindings: Mapping[str, str]) -> AzureTable:
        """Read again the groups and interfaces that these steps write. Raises AdapterError."""
        del bindings  # no step creates an object whose id is the platform's
        try:
            return reading.again(self._client, table, steps)
        except MALFORMED as error:
            raise AdapterError(self.settings.scope, "refresh", reason(error)) from error

    def write(self, step: Step, bindings: Mapping[str, str]) -> Outcome:
        """Send one step, once. Never raises for an answer of the platform: that is FAILED; every doubt is UNKNOWN."""
        del bindings
        return write(self._client, self._owner, step)

    def rule_ids(self, table: AzureTable, entries: Iterable[Entry]) -> Mapping[tuple[str, str], str]:
        """Return where rules stand, as `group/nsg/rule`: of Resource Manager's long ids only that tells them apart."""
        wanted = {entry.object for entry in entries}
        return {
            (nsg.short, native_text(rule)): f"{nsg.short}/{rule.name}"
            for nsg in table.nsgs.values()
            if nsg.short in wanted
            for rule in nsg.rules
        }

    def authors(self, table: AzureTable, rules: Iterable[NativeRule], since: float) -> Mapping[NativeRule, Author]:
        """Return who made these rules, as far as the Activity Log tells. Raises AdapterError."""
        from cloudsync_azure.activity import authors

        return authors(self._client, table, rules, since)

    def doctor(self) -> tuple[Check, ...]:
        """Check credentials, permissions and limits without writing."""
        from cloudsync_azure.doctor import checks

        return checks(self._client, self._target.name, self._owner)

    # --- the pure half -----------------------------------------------------------------------------------------------

    def points(self, table: AzureTable) -> tuple[Point, ...]:
        """Return every interface, skipped ones included, ordered by id."""
        return points(table)

    def decode(self, table: AzureTable, whose: Whose = Whose.ALL, points: Iterable[PointId] | None = None) -> Mapping[PointId, Access]:
        """Return what each interface lets in and out."""
        return decode(table, whose, points)

    def entries(self, table: AzureTable, points: Iterable[PointId] | None = None) -> tuple[Entry, ...]:
        """Return the rules before these interfaces, ours, foreign and default, in a stable order."""
        return entries(table, points)

    def walk(self, table: AzureTable, point: PointId, direction: str, packet: Packet) -> tuple[Hop, ...]:
        """Return how a packet fares, group by group in the order of evaluation."""
        return walk(table, point, direction, packet)

    def owned(self, table: AzureTable) -> Mapping[str, int]:
        """Return how many rules of our own the subscription holds."""
        return {self.settings.scope: sum(1 for nsg in table.nsgs.values() for rule in nsg.rules if rule.ours)}

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        """Return the desired table: foreign rules as they are, ours as wanted, unchanged where nothing changed."""
        return encode(intent, snapshot.table, self.settings)

    def steps(self, actual: AzureTable, desired: AzureTable, method: Method) -> tuple[Phase, ...]:
        """Return the smallest safe writes from actual to desired, in phases; empty when equal."""
        return steps(actual, desired, method, self.settings)

    def shield(self, table: AzureTable, packets: Mapping[PointId, Access]) -> AzureTable:
        """Return the table with temporary denies on top that cut exactly these packets, at exactly these points."""
        return shield(table, packets, self.settings)

    def limit(self, step: Step) -> Limit:
        """Return the bucket that a step's call draws from."""
        del step  # one bucket takes all writes of the subscription
        return pacing.limit(self.settings, write=True)

    def delay(self, step: Step) -> float:
        """Return the seconds until a step's call may be sent."""
        return self._client.delay(self.limit(step))

    def simulate(self, table: AzureTable, *steps: Step) -> AzureTable:
        """Return the table as it would be after some steps, from the payloads that are really sent."""
        return simulate(table, steps)

    def bounds(self, table: AzureTable, steps: tuple[Step, ...]) -> Bounds:
        """Return tables that bound every state while these steps take effect in any order."""
        return bounds(table, steps)

    def affected(self, table: AzureTable, steps: tuple[Step, ...]) -> frozenset[PointId]:
        """Return the interfaces whose packets these steps may change."""
        return affected(table, steps)

    def seen(self, table: AzureTable, step: Step, bindings: Mapping[str, str]) -> Seen:
        """Tell whether a (refreshed) table shows a step's effect."""
        del bindings
        return seen(table, step)

    def created(self, table: AzureTable, step: Step) -> tuple[tuple[str, str], ...]:
        """Return nothing: no step creates an object whose id is the platform's."""
        del table, step
        return ()

    def sizes(self, table: AzureTable) -> Iterable[Size]:
        """Return how full every NSG is."""
        return sizes(table, self.settings)

    def dump(self, table: AzureTable) -> object:
        """Return a table as JSON values, for plan files."""
        return dump(table)

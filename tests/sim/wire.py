"""Between the product and a simulated platform: every call is a yield point where anything may go wrong, decided by the scenario alone.

The adapters are the product's own. Only their transport is replaced: `identify`, `read`, `refresh` and `write` come here, where a site
holds the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, cast

from cloudsync.adapter import (
    Adapter,
    AdapterFactory,
    Clock,
    Discovery,
    Encoding,
    Entry,
    Identity,
    Intent,
    Outcome,
    Permission,
    ScopeState,
    Snapshot,
    Status,
    Step,
    TargetSettings,
)
from cloudsync.model.errors import AdapterError
from cloudsync.model.finding import Finding
from cloudsync.model.glance import Glance
from cloudsync_aws.adapter import AwsAdapter
from cloudsync_aws.prints import digest as aws_digest
from cloudsync_azure.adapter import AzureAdapter
from cloudsync_azure.dump import digest as azure_digest
from cloudsync_f5.adapter import F5Adapter
from cloudsync_f5.dump import digest as f5_digest
from cloudsync_gcp.adapter import GcpAdapter
from cloudsync_gcp.prints import digest as gcp_digest
from tests.sim.sites import ACCOUNT, PROJECT, RejectedError, Site
from tests.sim.sites_more import GROUP, SUBSCRIPTION


class Read(Enum):
    """What may be wrong with every reading of one run."""

    AWAY = "the platform does not answer"
    DENIED = "credentials have expired"
    STRANGER = "another account answers"
    PARTIAL = "a scope is cut short, and says so"
    EMPTY = "nothing is there, said with a success code"
    SHORT = "some machines are silently left out"
    STALE = "the state before the last write is shown"


class Write(Enum):
    """What may happen to one write."""

    REFUSED = "refused"
    THROTTLED = "too fast"
    BROKEN = "a server error, nothing done"
    LOST_BEFORE = "the connection breaks before the call arrives"
    LOST_AFTER = "the answer is lost"
    LATE = "it takes effect some time after the connection broke"
    CRASH_BEFORE = "the process dies before the call"
    CRASH_AFTER = "the process dies before it sees the answer"
    EDIT = "somebody edits an object of ours just before"
    QUOTA = "the platform is full"


class CrashError(BaseException):
    """The process is gone. Not an Exception: nothing in the product may catch it and go on."""


def nothing(_wire: Wire) -> None:
    """Do nothing."""


@dataclass(slots=True)
class Wire:
    """The line to one site. `writes`: what happens to the n-th write from now (1 is the next)."""

    name: str
    site: Site
    clock: Clock
    reading: Read | None = None
    hidden: tuple[str, ...] = ()
    """Machines that a `SHORT` reading leaves out."""
    writes: dict[int, Write] = field(default_factory=dict)
    lag: int = 0
    """How many looks after a write still show the state before it."""
    sent: list[tuple[str, bool]] = field(default_factory=list)
    """Every write that left the process, as step key and whether it took effect."""
    late: list[tuple[float, Adapter, Step, int]] = field(default_factory=list)
    wanted: Any = None
    """The table that the last encoding wants."""
    on_change: Callable[[Wire], None] = nothing
    """Told after the truth has changed by a write of ours."""
    before_write: Callable[[Wire], None] = nothing
    """May edit the world just before a write."""
    on_crash: Callable[[Wire], None] = nothing
    note: Callable[[str], None] = lambda _words: None
    _count: int = 0
    _past: Any = None
    _stale: int = 0

    def plan_writes(self, faults: Mapping[int, Write]) -> None:
        """Set what happens to the writes from now on."""
        self.writes, self._count = dict(faults), 0

    def heal(self) -> None:
        """Take back every fault."""
        self.writes, self.reading, self.hidden, self.lag, self._count = {}, None, (), 0, 0

    def view(self) -> Any:
        """Return what a look shows now, which may lag behind."""
        if self._stale and self._past is not None:
            self._stale -= 1
            return self._past
        return self.site.table

    # --- what the adapters ask ---

    def identify(self, account: str) -> str:
        """Return the account that answers."""
        self._answers("identify")
        return "somebody-else" if self.reading is Read.STRANGER else account

    def _answers(self, call: str) -> None:
        if self.reading is Read.AWAY:
            raise AdapterError(self.name, call, "no answer", retryable=True)
        if self.reading is Read.DENIED:
            raise AdapterError(self.name, call, "credentials have expired", retryable=False)

    def read(self) -> tuple[Any, tuple[ScopeState, ...], tuple[Any, ...]]:
        """Return table, scopes and machines of one whole reading."""
        self._answers("read")
        self._stale = 0 if self.reading is not Read.STALE else self._stale  # a whole reading takes longer than any lag
        if self.reading is Read.PARTIAL:
            why = "page 2 was refused"
            return self.site.empty(why), tuple(ScopeState(one, why) for one in self.site.scopes()), ()
        table = self.view()
        if self.reading is Read.EMPTY:
            table = self.site.without(self.site.tags)
        elif self.reading is Read.SHORT:
            table = self.site.without(self.hidden)
        return table, tuple(map(ScopeState, self.site.scopes())), self.site.found(table)

    def refresh(self, table: Any, steps: Iterable[Step]) -> Any:
        """Return a table with what steps touch read again."""
        self._answers("refresh")
        return self.site.part(table, self.view(), steps)

    def write(self, adapter: Adapter, step: Step) -> Outcome:
        """Take one call."""
        self._answers_write()
        self._count += 1
        fault = self.writes.get(self._count)
        if fault is Write.EDIT:
            self.before_write(self)
        if fault is Write.CRASH_BEFORE:
            self._dies(f"before {step.key}")
        place = len(self.sent)
        self.sent.append((step.key, False))
        self.note(f"{self.name} <- {step.key}{f' [{fault.value}]' if fault else ''}")
        match fault:
            case Write.REFUSED:
                return Outcome(Status.FAILED, "Denied", "not allowed to write")
            case Write.QUOTA:
                return Outcome(Status.FAILED, "LimitExceeded", "no room for another rule")
            case Write.THROTTLED:
                return Outcome(Status.FAILED, "TooFast", "slow down", throttled=True)
            case Write.BROKEN | Write.LOST_BEFORE:
                return Outcome(Status.UNKNOWN, "503" if fault is Write.BROKEN else "Reset", "nobody knows")
            case Write.LATE:
                self.late.append((self.clock.monotonic() + 1.5, adapter, step, place))
                return Outcome(Status.UNKNOWN, "Reset", "connection reset")
        try:
            created = self._takes(adapter, step, place)
        except RejectedError as error:
            self.note(f"{self.name} refuses: {error}")
            return Outcome(Status.FAILED, error.code, str(error))
        if fault is Write.CRASH_AFTER:
            self._dies(f"after {step.key}")
        if fault is Write.LOST_AFTER:
            return Outcome(Status.UNKNOWN, "Reset", "connection reset by peer")
        return Outcome(Status.DONE, created=created)

    def _answers_write(self) -> None:
        if self.reading is Read.AWAY:
            raise AdapterError(self.name, "write", "no answer", retryable=True)

    def _dies(self, words: str) -> None:
        self.note(f"{self.name}: the process dies {words}")
        self.on_crash(self)
        raise CrashError(words)

    def _takes(self, adapter: Adapter, step: Step, place: int) -> tuple[tuple[str, str], ...]:
        past = self.site.table
        created = self.site.apply(adapter, step)
        self._past, self._stale = past, self.lag
        self.sent[place] = (step.key, True)
        self.on_change(self)
        return created

    def arrive(self, *, everything: bool = False) -> None:
        """Let late calls take effect whose time has come; what no longer fits is refused, and nobody hears of it."""
        due = [one for one in self.late if everything or one[0] <= self.clock.monotonic()]
        self.late = [one for one in self.late if one not in due]
        for _, adapter, step, place in due:
            try:
                self._takes(adapter, step, place)
                self.note(f"{self.name}: {step.key} arrives late")
            except RejectedError:
                self.note(f"{self.name}: {step.key} arrives too late")


# --- the adapters with their transport replaced ---------------------------------------------------------------------------


class _Wired:
    """What replaces the effects of an adapter."""

    wire: Wire

    def print(self, table: Any, discovery: Discovery) -> str:
        """Return the platform's own digest of a reading."""
        return PRINTS[self.wire.site.kind](table, discovery)

    def identify(self) -> Identity:
        """Ask who answers."""
        expected = ACCOUNTS[self.wire.site.kind]
        return Identity(self.wire.site.kind, self.wire.identify(expected), "simulated")

    def read(self) -> Snapshot:
        """Read everything."""
        table, scopes, found = self.wire.read()
        discovery = Discovery(self.wire.name, found, scopes)
        return Snapshot(self.wire.name, discovery, table, scopes, self.print(table, discovery))

    def refresh(self, table: Any, steps: Iterable[Step], bindings: Mapping[str, str]) -> Any:
        """Read again what steps touch."""
        del bindings
        return self.wire.refresh(table, steps)

    def write(self, step: Step, bindings: Mapping[str, str]) -> Outcome:
        """Send one step."""
        del bindings
        return self.wire.write(cast("Adapter", self), step)

    def rule_ids(self, table: Any, entries: Iterable[Entry]) -> Mapping[tuple[str, str], str]:
        """Return nothing: a simulated rule has no number."""
        del table, entries
        return {}

    def authors(self, table: Any, rules: Iterable[Any], since: float) -> Mapping[Any, Any]:
        """Return nobody: nothing is logged here."""
        del table, rules, since
        return {}


def _keep(wire: Wire, encoding: Encoding, snapshot: Snapshot) -> Encoding:
    blocked = any(one.code != "NOTE" for one in encoding.problems)
    wire.wanted = snapshot.table if blocked else encoding.table
    return encoding


class SimAws(_Wired, AwsAdapter):
    """AWS on a simulated line."""

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        """Return the desired table, and remember it."""
        return _keep(self.wire, AwsAdapter.encode(self, intent, snapshot), snapshot)

    def glance(self, hint: str = "") -> Glance:
        """Look at everything; whose it is has to be asked."""
        del hint
        return Glance(self.read(), "")

    def completed(self, snapshot: Snapshot) -> Snapshot:
        """Return what was read: nothing was left out."""
        return snapshot


class SimGcp(_Wired, GcpAdapter):
    """GCP on a simulated line."""

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        """Return the desired table, and remember it."""
        return _keep(self.wire, GcpAdapter.encode(self, intent, snapshot), snapshot)


class SimAzure(_Wired, AzureAdapter):
    """Azure on a simulated line."""

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        """Return the desired table, and remember it."""
        return _keep(self.wire, AzureAdapter.encode(self, intent, snapshot), snapshot)


class SimF5(_Wired, F5Adapter):
    """F5 on a simulated line."""

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        """Return the desired table, and remember it."""
        return _keep(self.wire, F5Adapter.encode(self, intent, snapshot), snapshot)


PRINTS: Mapping[str, Callable[[Any, Discovery], str]] = {"aws": aws_digest, "gcp": gcp_digest, "azure": azure_digest, "f5": f5_digest}
KINDS: Mapping[str, type[Any]] = {"aws": SimAws, "gcp": SimGcp, "azure": SimAzure, "f5": SimF5}
ACCOUNTS = {"aws": ACCOUNT, "gcp": PROJECT, "azure": SUBSCRIPTION, "f5": GROUP}


def wired(wire: Wire, target: TargetSettings, owner: str, clock: Clock) -> Adapter:
    """Return the adapter of a site's platform on its line."""
    real = replace(target, adapter=wire.site.kind, options=wire.site.options())
    adapter = KINDS[wire.site.kind](real, owner, clock)
    adapter.wire = wire
    return cast("Adapter", adapter)


@dataclass(slots=True)
class SimFactory:
    """What the name `sim` in the settings stands for: the line of the target's name."""

    wires: Mapping[str, Wire]
    name: str = "sim"
    permissions: tuple[Permission, ...] = ()
    example: Mapping[str, Any] = field(default_factory=dict)

    def check(self, target: TargetSettings) -> tuple[Finding, ...]:
        """Find nothing."""
        del target
        return ()

    def open(self, target: TargetSettings, owner: str, clock: Clock) -> Adapter:
        """Open a target."""
        return wired(self.wires[target.name], target, owner, clock)

    def role(self, targets: Iterable[TargetSettings], *, owner: str, read_only: bool) -> str:
        """Return nothing: there is nobody to give a role to."""
        del targets, owner, read_only
        return "{}\n"


def factory(wires: Mapping[str, Wire]) -> AdapterFactory:
    """Return the factory of some lines."""
    return SimFactory(wires)

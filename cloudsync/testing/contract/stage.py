"""What the contract suite needs of a platform under test: a world to build, its raw truth, faults on demand. PUBLIC.

An adapter author implements `Stage` once, over a simulator or a real sandbox account. Everything a stage says about the platform comes from
the platform itself, never through the adapter: the suite compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Protocol

from cloudsync.adapter import Adapter, AdapterFactory, Clock, TargetSettings
from cloudsync.model.mode import TargetMode
from cloudsync.model.quick import dataclass

Passes = Callable[[str, str, int, int], bool]
"""`(workload, source address, protocol number, port or ICMP type)`: may such a packet open a flow to the workload?"""


class WriteFault(Enum):
    """What happens to one write."""

    LOST_BEFORE = "lost before"
    """The connection breaks; the write did not take effect."""
    LOST_AFTER = "lost after"
    """The write takes effect; its answer never arrives."""
    LATE = "late"
    """The connection breaks; the write takes effect a few calls later, or when `heal` is called."""
    REFUSED = "refused"
    """The platform says no for good, e.g. for want of a right; nothing happens."""
    THROTTLED = "throttled"
    """The platform says: too fast; nothing happens."""


@dataclass(frozen=True, slots=True, order=True)
class Hole:
    """One opening: a source (CIDR) on one protocol and port (ICMP: type)."""

    source: str
    protocol: int
    port: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What the suite has to know of a platform beyond its capabilities. A case that a platform cannot have is skipped, and says so."""

    package: str = ""
    """Importable package that names the adapter in `ADAPTER`; empty when it is no package (the cases about packages are skipped)."""
    sdk: tuple[str, ...] = ()
    """Top-level modules of the SDK: nothing but `open` may load them."""
    pages: bool = True
    """Whether the platform cuts its answers into pages."""
    quota: bool = True
    """Whether the stage can make the platform hold only a few entries."""
    ipv6: bool = True
    """Whether the workloads of the stage have an IPv6 address too."""
    additive: bool = True
    """Whether rules of ours can stand beside rules of others at one workload."""


class Stage(Protocol):
    """One platform, as empty as a new account. A stage is made anew for every test."""

    @property
    def facts(self) -> Facts:
        """Say what the platform is like."""

    @property
    def factory(self) -> AdapterFactory:
        """Return what the entry point of the adapter names."""

    @property
    def clock(self) -> Clock:
        """Return the time that the adapter gets and that is slept on between looks: let it skip waits rather than sleep."""

    # --- the world before us ---

    def add_workload(self, name: str, labels: Mapping[str, str]) -> tuple[str, ...]:
        """Put a machine with one interface into one network; its labels are tags of the same key. Return its addresses, IPv4 first."""

    def remove_workload(self, name: str) -> None:
        """Delete a machine, by hand."""

    def add_foreign(self, name: str, workloads: Iterable[str], holes: Iterable[Hole]) -> None:
        """Let somebody else open holes at these workloads, in objects that carry no mark of ours. Every workload gets some at its start."""

    def target(self, mode: TargetMode) -> TargetSettings:
        """Return the settings of a target that covers this world."""

    def stranger(self) -> TargetSettings:
        """Return settings that name another account than the credentials belong to."""

    def open(self, target: TargetSettings, owner: str) -> Adapter:
        """Open a target, as the product does: with `factory.open`."""

    # --- the platform's own truth ---

    def truth(self) -> Passes:
        """Read the platform raw, past every fault, and return what decides packets there by the vendor's rules of evaluation."""

    def foreign(self, *workloads: str) -> str:
        """Return everything that no mark of cloudsync claims, with its attachments, byte for byte, as it acts on these workloads.

        All of it when none is named, also what acts nowhere. Objects are told by the mark alone, never by their name.
        """

    def ours(self, owner: str) -> str:
        """Return everything that carries the mark of one owner, attachments too, byte for byte; one line per object, "" for nothing."""

    def writes(self) -> int:
        """Return how many writes were sent so far, lost and refused ones included, dry runs not. What takes effect as one counts as one."""

    def reads(self) -> int:
        """Return how many reading calls reached the platform so far."""

    # --- what goes wrong ---

    def fail_write(self, nth: int, fault: WriteFault) -> None:
        """Let the n-th write from now on (1 is the next) meet a fault."""

    def fail_reads(self, nth: int) -> None:
        """Let the n-th reading call from now on (1 is the next) and all after it be refused for good, until `heal`."""

    def heal(self) -> None:
        """Take back every fault; what is late arrives now or a few calls from now."""

    def page_of(self, size: int) -> None:
        """Let answers hold at most so many items, or as few as the platform can."""

    def room_for(self, entries: int) -> None:
        """Let the platform hold no more than about so many addresses or rules at one workload, from the next `open` on."""

    # --- what people do ---

    def widen(self, workload: str, hole: Hole) -> None:
        """Edit an object of ours by hand so that a hole is open at a workload."""

    def narrow(self, workload: str) -> None:
        """Edit an object of ours by hand so that something that the policy allows is shut at a workload."""

    def unmark(self, owner: str) -> None:
        """Take the mark off every object of one owner by hand, leaving names and contents as they are."""

"""EC2 with its published limits switched on, without sockets, on one simulated clock with the product's own adapter and executor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

from cloudsync.adapter import Method, TargetSettings
from cloudsync.apply import ApplyResult, Options, Ports, apply
from cloudsync.lab.aws import corrections
from cloudsync.lab.aws.accounts import static_keys
from cloudsync.lab.aws.journal import Entry
from cloudsync.lab.aws.shim import Shim
from cloudsync.lab.control import restart
from cloudsync.lab.http import Answer, Request
from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync.testing.clock import SimulatedClock
from cloudsync.testing.plans import HARMLESS
from cloudsync_aws.adapter import AwsAdapter
from cloudsync_aws.place import group_name
from cloudsync_aws.simulate import default_egress
from cloudsync_aws.table import AwsTable, Group, Mark, PeerKind, RuleKey
from tests.acting.script import MemoryJournal, MemoryLease
from tests.wire.fault_loop import Loop, looped

OWNER, REGION, PORT = "acme", "us-east-1", 4566
Peers = Callable[[int], tuple[int, ...]]
"""From the number of a group to the groups that it lets in."""


@dataclass
class Ec2:
    """One account of the simulated vendor, its limits on, and the clock that it shares with us. `latency_s`: what each call takes."""

    pace: float
    latency_s: float = 0.0
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    shim: Shim = field(default_factory=Shim)
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    lease: MemoryLease = field(default_factory=MemoryLease)

    def __post_init__(self) -> None:
        corrections.install()
        restart(self.shim, "empty", 1)
        self.shim.world.clock.freeze()
        self.shim.buckets.enabled = True
        self.clock.on_sleep = self.shim.world.clock.advance

    @property
    def account(self) -> str:
        """The account that the credentials belong to."""
        return self.shim.accounts.main

    @property
    def scope(self) -> str:
        """The only scope."""
        return f"{self.account}/{REGION}"

    def answer(self, request: Request) -> Answer:
        """Answer a call after its time on the wire."""
        if self.latency_s:
            self.clock.sleep(self.latency_s)
        return self.shim.answer(request)

    def adapter(self, name: str = "aws") -> AwsAdapter:
        """Open a target of the account."""
        options = {"account": self.account, "regions": [REGION], "pace": self.pace}
        where = f"http://127.0.0.1:{PORT}"
        return AwsAdapter(TargetSettings(name, "aws", TargetMode.EXCLUSIVE, options, Where("x"), where), OWNER, self.clock)

    def run(self, adapter: AwsAdapter, actual: AwsTable, desired: AwsTable, method: Method = Method.SWAP) -> ApplyResult:
        """Bring a table in force, without any proof: only its calls matter here."""
        plan = replace(HARMLESS, target="mem", owner=OWNER, phases=adapter.steps(actual, desired, method), adoptions=())
        ports = Ports(self.journal, self.lease, self.clock)
        return apply(plan, adapter, actual, ports, Options("run"))

    def calls(self, *, writes: bool) -> list[Entry]:
        """Return the calls that arrived."""
        return [one for one in self.shim.journal.entries if one.mutating is writes and one.service == "ec2"]

    def counts(self, *, writes: bool) -> Counter[str]:
        """Return how often each action was called."""
        return Counter(one.action for one in self.calls(writes=writes))

    def throttled(self) -> int:
        """Return how many calls were refused as too fast."""
        return sum(one.code == "RequestLimitExceeded" for one in self.shim.journal.entries)


@contextmanager
def ec2(pace: float = 1.0, latency_s: float = 0.0) -> Iterator[Ec2]:
    """Stand for EC2 while a `with` lasts."""
    world, loop = Ec2(pace, latency_s), Loop()
    loop.serve(f"http://127.0.0.1:{PORT}", world.answer)
    with pytest.MonkeyPatch.context() as patch, looped(loop):
        keys = static_keys(world.account)
        patch.setenv("AWS_ACCESS_KEY_ID", keys.access_key_id)
        patch.setenv("AWS_SECRET_ACCESS_KEY", keys.secret_access_key)
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        yield world


def rule(number: int, peers: tuple[int, ...]) -> dict[RuleKey, str]:
    """Return the rules of a group: an address of its own, and the groups that it lets in."""
    cidr = RuleKey(False, 6, 443, 443, PeerKind.CIDR4.value, f"10.{number // 250}.{number % 250}.0/24")
    others = (RuleKey(False, 6, 443, 443, PeerKind.GROUP.value, f"{{new:{key(one)}}}") for one in peers)
    return dict.fromkeys((cidr, *others), "")


def key(number: int) -> str:
    """Return the key of a group that does not exist yet."""
    return f"class/c{number:04}"


def wanted(table: AwsTable, vpc: str, count: int, peers: Peers = lambda _number: (), *, first: int = 0) -> AwsTable:
    """Return a table with so many new groups in it, whose egress stays open as EC2 makes it."""
    groups = dict(table.groups)
    scope = table.vpcs[vpc].scope
    for number in range(first, first + count):
        mark = Mark(OWNER, f"c{number:04}")
        rules = {**rule(number, peers(number)), **dict.fromkeys(default_egress(table.vpcs[vpc]), "")}
        made = Group(f"{{new:{key(number)}}}", scope, vpc, group_name(mark, ()), rules, mark, mark.tags)
        groups[made.id] = made
    return replace(table, groups={one: groups[one] for one in sorted(groups)})

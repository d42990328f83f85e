"""Token buckets of our own: how long calls take, that the platforms' buckets never run dry, who shares what, and that nobody starves."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudsync.adapter import Effect, Outcome, Phase, Step, TargetSettings
from cloudsync.apply import ApplyResult, ApplyStatus, Options, apply
from cloudsync.model.bucket import SLACK_S, Bucket, BucketKey, Level, Limit, Tally, about, countdown, limit_of, seconds
from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync.pacing import Levels, Pacing, pacing, share
from cloudsync.plan.weave import at_limits
from cloudsync.testing.clock import SimulatedClock
from cloudsync.testing.plans import HARMLESS
from cloudsync_aws.pacing import limit as aws_limit
from cloudsync_aws.settings import AwsSettings
from cloudsync_azure.pacing import limit as azure_limit
from cloudsync_azure.settings import AzureSettings
from cloudsync_gcp.limits import PER_MINUTE
from cloudsync_gcp.pacing import limit as gcp_limit
from cloudsync_gcp.settings import GcpSettings
from tests.acting.script import ScriptAdapter, Stage

AUTHORIZE = "AuthorizeSecurityGroupIngress"
KEY = BucketKey("p", "a", "r", "writes")


def aws(pace: float = 1.0, account: str = "111122223333", region: str = "us-east-1", action: str = AUTHORIZE) -> Limit:
    options = {"account": account, "regions": [region], "pace": pace}
    return aws_limit(AwsSettings.of(TargetSettings("t", "aws", TargetMode.OBSERVE, options, Where("x"))), region, action)


def azure(*, write: bool, pace: float = 1.0) -> Limit:
    options = {"subscription": "11111111-2222-3333-4444-555555555555", "pace": pace}
    return azure_limit(AzureSettings.of(TargetSettings("t", "azure", TargetMode.OBSERVE, options, Where("x"))), write=write)


def gcp(*, write: bool, pace: float = 1.0) -> Limit:
    options = {"project": "acme-prod", "pace": pace}
    return gcp_limit(GcpSettings.of(TargetSettings("t", "gcp", TargetMode.OBSERVE, options, Where("x"))), "acme-prod", write=write)


def sent(limit: Limit, calls: int) -> list[float]:
    """Return when each of some calls is sent that want to be sent at once, counted from the first."""
    clock = SimulatedClock()
    paced, start = pacing(clock), clock.monotonic()
    times = []
    for _ in range(calls):
        paced.take(limit)
        times.append(clock.monotonic() - start)
    return times


def test_a_thousand_calls_take_what_the_bucket_gives() -> None:
    assert sent(aws(), 1000)[-1] == pytest.approx((1000 - 50) / 5 + SLACK_S)
    assert sent(aws(0.8), 1000)[-1] == pytest.approx((1000 - 40) / 4 + SLACK_S)
    assert sent(azure(write=True), 1000)[-1] <= 300 + SLACK_S
    assert sent(gcp(write=True), 1000)[-1] <= 40


@given(st.lists(st.floats(0, 30), max_size=300), st.lists(st.floats(0, SLACK_S), min_size=1, max_size=5), st.sampled_from((0.1, 0.8, 1.0)))
def test_the_platforms_bucket_is_never_found_empty(pauses: list[float], late: list[float], pace: float) -> None:
    """Whatever the pauses between calls, and although some calls arrive later than others."""
    theirs, ours, clock = Bucket(50, 5), Limit(KEY, Bucket(50, 5).paced(pace)), SimulatedClock()
    arrivals, paced = [], pacing(clock)
    for number, pause in enumerate((0.0, *([0.0] * 60), *pauses)):
        clock.sleep(pause)
        paced.take(ours)
        arrivals.append(clock.monotonic() + late[number % len(late)])
    level = Level(theirs.size, 0.0)
    for at in sorted(arrivals):
        level, wait = level.booked(theirs, at)
        assert wait == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("pace", [0.5, 0.8, 1.0])
def test_google_counts_no_more_in_any_minute_than_it_allows(pace: float) -> None:
    times = sent(gcp(write=True, pace=pace), 4000)
    for begin in range(100):
        assert sum(begin <= at < begin + 60 for at in times) <= PER_MINUTE * pace + 1e-9


def test_azures_window_and_gateway_both_hold() -> None:
    writes, reads = sent(azure(write=True), 2500), sent(azure(write=False), 3000)
    for begin in range(0, 400, 20):
        assert sum(begin <= at < begin + 300 for at in writes) <= 1000
    assert all(number <= 250 + 25 * at + 1 for number, at in enumerate(reads, 1)), "Resource Manager's bucket of reads"


def test_a_refused_call_empties_the_bucket_and_is_counted() -> None:
    clock = SimulatedClock()
    paced = pacing(clock)
    paced.throttled(aws())
    assert paced.take(aws()) == pytest.approx(1 / 5)
    paced.throttled(aws(), 30.0)
    assert paced.take(aws()) == pytest.approx(30 + 1 / 5)
    (tally,) = paced.tallies().values()
    assert (tally.calls, tally.throttled) == (2, 2)
    assert tally.waited_s == pytest.approx(1 / 5 + 30 + 1 / 5)
    assert tally - Tally(1, 30.0, 2) + Tally(throttled=5) == Tally(1, tally.waited_s - 30.0, 5)
    clock.sleep(3600)
    assert paced.take(aws()) == 0, "it fills again"
    paced.left(aws(), 3)
    assert [paced.take(aws()) > 0 for _ in range(4)] == [False, False, False, True]


def test_targets_of_one_account_share_their_buckets_and_nobody_else() -> None:
    assert aws(1.0).key == aws(0.5).key
    assert len({aws().key, aws(account="222222222222").key, aws(region="eu-west-1").key, aws(action="CreateSecurityGroup").key}) == 4
    clock = SimulatedClock()
    assert pacing(clock) is pacing(clock)
    assert pacing(clock) is not pacing(SimulatedClock())
    for _ in range(47):
        assert pacing(clock).take(aws()) == 0
    assert pacing(clock).take(aws(0.5)) > 0, "the other target finds what the first has left"


@dataclass
class Turns:
    """A clock of several threads: who sleeps is woken in the order of the times, one at a time, when all others sleep or are done."""

    threads: int
    at: float = 0.0
    waiting: dict[int, float] = field(default_factory=dict)
    gate: threading.Condition = field(default_factory=threading.Condition)

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        me = threading.get_ident()
        with self.gate:
            self.waiting[me] = self.at + seconds
            self.gate.notify_all()
            self.gate.wait_for(lambda: len(self.waiting) == self.threads and min(self.waiting, key=lambda one: self.waiting[one]) == me)
            self.at = max(self.at, self.waiting.pop(me))

    def done(self) -> None:
        with self.gate:
            self.threads -= 1
            self.gate.notify_all()


def test_a_target_with_much_to_do_does_not_starve_one_with_little() -> None:
    clock, order = Turns(3), []
    paced = Pacing(clock, Levels(clock))

    def target(name: str, calls: int) -> None:
        for _ in range(calls):
            paced.take(aws())
            clock.sleep(0.01)  # the call
            order.append((name, clock.at))
        clock.done()

    threads = [threading.Thread(target=target, args=one) for one in (("large", 120), ("small", 30), ("middle", 60))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last = dict(order)
    assert last["small"] < last["middle"] < last["large"]
    assert last["small"] <= (3 * 31 - 47) / 5 + 0.5, "three share: thirty calls of one take as long as ninety of all"
    assert last["large"] == pytest.approx((210 - 50) / 5 + SLACK_S, abs=0.5), "and together they take no longer than one would"


@dataclass
class Elsewhere:
    """A ledger that says what it was asked."""

    asked: list[str] = field(default_factory=list)

    def book(self, limit: Limit) -> float:
        self.asked.append(f"book {limit.key.api_class}")
        return 1.5

    def delay(self, limit: Limit) -> float:
        del limit
        return 0.0

    def lower(self, limit: Limit, tokens: float) -> None:
        self.asked.append(f"lower {limit.key.api_class} {tokens:g}")


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    ledger = Elsewhere()
    share(ledger)
    yield ledger
    share(None)


def test_several_processes_may_share_the_levels(elsewhere: Elsewhere) -> None:
    clock = SimulatedClock()
    start = clock.monotonic()
    pacing(clock).take(aws())
    pacing(clock).throttled(aws(), 2)
    assert elsewhere.asked == [f"book {AUTHORIZE}", f"lower {AUTHORIZE} -10"]
    assert clock.monotonic() - start == 1.5
    share(None)
    assert pacing(clock).take(aws()) == 0


def test_an_estimate_books_full_buckets_stage_by_stage() -> None:
    create, authorize = aws(action="CreateSecurityGroup"), aws()
    assert seconds([[create] * 1000 + [authorize] * 1000]) == pytest.approx(190 + SLACK_S), "two buckets, side by side"
    assert seconds([[authorize] * 1000, [create] * 1000]) == pytest.approx(380 + 2 * SLACK_S), "one after the other"
    assert seconds([[authorize] * 1000, [], [authorize] * 10]) == pytest.approx(192 + SLACK_S), "the bucket is as empty as it was left"
    assert seconds([[None] * 1000]) == seconds([]) == 0.0
    assert limit_of(object(), None) is None


@pytest.mark.parametrize(
    ("duration", "words"), [(0, ""), (4.9, ""), (38, "about 40 s"), (191, "about 3 min"), (240, "about 4 min"), (9000, "about 2.5 h")]
)
def test_durations_are_told_as_roughly_as_they_are_known(duration: float, words: str) -> None:
    assert about(duration) == words


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (4, ""),
        (-3, ""),
        (7, "about 5 s"),
        (88, "about 90 s"),
        (90, "about 1 min 30 s"),
        (131, "about 2 min 10 s"),
        (178, "about 3 min"),
        (3594, "about 59 min 50 s"),
        (3600, "about 1 h 0 min"),
        (9000, "about 2 h 30 min"),
    ],
)
def test_what_is_left_is_said_to_ten_seconds(left: float, words: str) -> None:
    assert countdown(left) == words


@pytest.mark.parametrize(("size", "refill"), [(0.5, 1), (1, 0), (float("nan"), 1)])
def test_a_bucket_that_gives_nothing_is_none(size: float, refill: float) -> None:
    with pytest.raises(ValueError, match="want a size"):
        Bucket(size, refill)


class Slow(ScriptAdapter):
    """A platform that takes one write in ten seconds."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__()
        self.clock = clock

    def limit(self, step: Step) -> Limit:
        return Limit(BucketKey("mem", "a", "r", step.action), Bucket(1, 0.1))

    def delay(self, step: Step) -> float:
        return pacing(self.clock).delay(self.limit(step))

    def write(self, step: Step, bindings: Mapping[str, str]) -> Outcome:
        pacing(self.clock).take(self.limit(step))
        return super().write(step, bindings)


def slow_run(stage: Stage) -> ApplyResult:
    steps = tuple(Step(f"s{one}", "Put", "mem/one", "o", f"put {one}", Effect.GROWS, "{}", mark="m") for one in range(3))
    plan = replace(HARMLESS, phases=(Phase("put", steps),))
    return apply(plan, stage.adapter, stage.table, stage.ports, Options("run"))


def test_who_waits_for_a_limit_has_promised_nothing_yet() -> None:
    clock = SimulatedClock()
    stage = Stage(adapter=Slow(clock), clock=clock)
    assert slow_run(stage).status is ApplyStatus.DONE
    assert [one.op.at - stage.journal.ops[0].op.at for one in stage.journal.ops] == pytest.approx([0, 10, 20]), "an intent is sent at once"


def test_waits_with_open_eyes_are_counted_and_those_given_up_only_as_far_as_they_went() -> None:
    clock = SimulatedClock()
    stage = Stage(adapter=Slow(clock), clock=clock)
    assert slow_run(stage).status is ApplyStatus.DONE
    (tally,) = pacing(clock).tallies().values()
    assert (tally.calls, tally.throttled) == (3, 0)
    assert tally.waited_s == pytest.approx(20)
    assert Slow(clock).delay(Step("s", "Put", "mem/one", "o", "put", Effect.GROWS, "{}")) == pytest.approx(10)
    clock.sleep(3600)
    pacing(clock).take(Limit(BucketKey("mem", "a", "r", "Put"), Bucket(1, 0.1)))
    (tally,) = pacing(clock).tallies().values()
    assert tally.waited_s == pytest.approx(30), "nobody waited for an hour"


def test_a_hold_is_noticed_while_a_write_waits_for_its_limit() -> None:
    clock = SimulatedClock()
    stage = Stage(adapter=Slow(clock), clock=clock)
    clock.on_sleep = lambda _seconds: setattr(stage.journal, "hold", "stop" if clock.monotonic() > 4 else "")
    result = slow_run(stage)
    assert (result.status, result.step, len(stage.journal.ops)) == (ApplyStatus.STOPPED, "put 1", 1)
    assert clock.monotonic() < 6


def test_a_plan_and_its_progress_tell_how_long_the_limits_make_it() -> None:
    clock = SimulatedClock()
    stage, told = Stage(adapter=Slow(clock), clock=clock), set[str]()
    steps = tuple(Step(f"s{one}", "Put", "mem/one", "o", f"put {one}", Effect.GROWS, "{}", mark="m") for one in range(13))
    phases = (Phase("put", steps), Phase("drop", (replace(steps[0], key="x", action="Drop", effect=Effect.SHRINKS),)))
    assert at_limits(stage.adapter, phases) == pytest.approx(120)
    plan = replace(HARMLESS, phases=phases)
    begin = clock.monotonic()
    ahead: list[tuple[str, float, float]] = []
    options = Options(
        "run",
        progress=lambda what, _done, _of: told.add(what),
        left=lambda what, seconds: ahead.append((what, seconds, clock.monotonic() - begin)),
    )
    assert apply(plan, stage.adapter, stage.table, stage.ports, options).status is ApplyStatus.DONE
    assert clock.monotonic() - begin == pytest.approx(120), "and that is how long it took"
    assert told == {"put, about 2 min at the platform's limits", "drop"}
    assert [what for what, _, _ in ahead] == ["put, about 2 min at the platform's limits"] * 13 + ["drop"]
    assert [seconds + at for _, seconds, at in ahead[:13]] == pytest.approx([120] * 13), "what is said to be left is what is left"
    assert ahead[-1][1] == 0
    assert at_limits(ScriptAdapter(), phases) == 0

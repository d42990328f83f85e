"""Many new groups under EC2's published limits, on a simulated clock: how many calls, how long, and that EC2 refuses none as too fast."""

from __future__ import annotations

import pytest

from cloudsync.apply import ApplyStatus
from cloudsync.model.bucket import Bucket
from tests.wire.limit_stage import Ec2, Peers, ec2, wanted

CREATE, AUTHORIZE = "CreateSecurityGroup", "AuthorizeSecurityGroupIngress"
PEERS: dict[str, Peers] = {
    "none": lambda _number: (),
    "next": lambda number: ((number + 1) % 120,),
    "last": lambda _number: (119,),
    "far": lambda number: (119 - number,),
}
"""Which groups each group of 120 lets in."""


def bound(count: int, pace: float) -> float:
    """Return the seconds that EC2's bucket of 50, refilled at 5 a second, takes at least for so many calls."""
    return max(0.0, (count - 50 * pace) / (5 * pace))


def created(world: Ec2, count: int, peers: Peers) -> float:
    """Create and fill groups; return the seconds it takes."""
    adapter = world.adapter()
    actual = adapter.read().table
    vpc = next(one.id for one in actual.vpcs.values() if one.is_default)
    begin = world.clock.monotonic()
    result = world.run(adapter, actual, wanted(actual, vpc, count, peers))
    assert (result.status, result.message) == (ApplyStatus.DONE, "")
    assert (result.done, result.phases) == (2 * count, 2)
    return world.clock.monotonic() - begin


@pytest.mark.parametrize("pace", [1.0, 0.8])
@pytest.mark.parametrize("count", [pytest.param(150, id="150"), pytest.param(1000, id="1000", marks=pytest.mark.slow)])
def test_creating_and_filling_take_the_time_of_one_of_them(count: int, pace: float) -> None:
    with ec2(pace) as world:
        whole = created(world, count, PEERS["none"])
        assert world.throttled() == 0
        assert whole <= 1.05 * bound(count, pace)
        assert world.counts(writes=True) == {CREATE: count, AUTHORIZE: count}, "two calls a group, and not one more"
        if count == 1000:
            print(
                f"{count} new groups at pace {pace:g}: {whole:.1f} s, lower bound {bound(count, pace):.0f} s, {world.throttled()} throttled"
            )


@pytest.mark.parametrize("peers", ["next", "last", "far"])
def test_groups_that_let_each_other_in_take_no_longer(peers: str) -> None:
    with ec2() as world:
        whole = created(world, 120, PEERS[peers])
        assert world.throttled() == 0
        assert whole <= 1.05 * bound(120, 1.0)


def test_two_targets_of_one_account_share_its_buckets() -> None:
    """One after the other and without a pause: the second finds what the first has left."""
    with ec2() as world:
        first, second = world.adapter("one"), world.adapter("two")
        actual = first.read().table
        vpc = next(one.id for one in actual.vpcs.values() if one.is_default)
        begin = world.clock.monotonic()
        assert world.run(first, actual, wanted(actual, vpc, 60)).status is ApplyStatus.DONE
        actual = second.read().table
        assert world.run(second, actual, wanted(actual, vpc, 60, first=60)).status is ApplyStatus.DONE
        assert world.throttled() == 0
        assert world.clock.monotonic() - begin <= 1.05 * bound(120, 1.0)


def test_without_our_buckets_ec2_refuses_calls_as_too_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of this page: the limits of the simulated EC2 are there."""
    monkeypatch.setattr(Bucket, "paced", lambda _bucket, _pace: Bucket(1000, 1000))
    with ec2() as world:
        adapter = world.adapter()
        actual = adapter.read().table
        vpc = next(one.id for one in actual.vpcs.values() if one.is_default)
        world.run(adapter, actual, wanted(actual, vpc, 80))
        assert world.throttled() > 0

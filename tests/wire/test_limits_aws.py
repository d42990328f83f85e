"""Many new groups under EC2's published limits, on a simulated clock: how many calls, how long, and that EC2 refuses none as too fast."""

from __future__ import annotations

import pytest

from cloudsync.apply import ApplyStatus
from tests.wire.limit_stage import Ec2, Peers, ec2, wanted

CREATE, AUTHORIZE = "CreateSecurityGroup", "AuthorizeSecurityGroupIngress"
PEERS: dict[str, Peers] = {
    "none": lambda _number: (),
    "ring": lambda number: ((number + 1) % 150,),
    "star": lambda _number: (149,),
    "random": lambda number: ((number * 7919) % 150, (number * 104729) % 150),
}


def bound(count: int, pace: float) -> float:
    """Return the seconds that EC2's bucket of 50, refilled at 5 a second, takes at least for so many calls."""
    return max(0.0, (count - 50 * pace) / (5 * pace))


def created(world: Ec2, count: int, peers: Peers) -> tuple[float, float]:
    """Create and fill groups; return the seconds from the first write to the last, and to the end."""
    adapter = world.adapter()
    actual = adapter.read().table
    vpc = next(one.id for one in actual.vpcs.values() if one.is_default)
    begin = world.clock.monotonic()
    result = world.run(adapter, actual, wanted(actual, vpc, count, peers))
    assert (result.status, result.message) == (ApplyStatus.DONE, "")
    assert (result.done, result.phases) == (2 * count, 2)
    calls = world.calls(writes=True)
    return calls[-1].at - calls[0].at, world.clock.monotonic() - begin


@pytest.mark.parametrize("pace", [1.0, 0.8])
@pytest.mark.parametrize("count", [pytest.param(150, id="150"), pytest.param(1000, id="1000", marks=pytest.mark.slow)])
def test_creating_and_filling_take_the_time_of_one_of_them(count: int, pace: float) -> None:
    with ec2(pace) as world:
        writing, whole = created(world, count, PEERS["none"])
        assert world.throttled() == 0
        assert whole <= 1.05 * bound(count, pace)
        assert world.counts(writes=True) == {CREATE: count, AUTHORIZE: count}, "two calls a group, and not one more"
        if count == 1000:
            print(
                f"{count} groups at pace {pace:g}: {whole:.1f} s of {bound(count, pace):.0f} s, writing {writing:.1f} s,"
                f" reads {dict(world.counts(writes=False))}"
            )

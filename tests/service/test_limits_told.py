"""What the platforms' limits did to the runs of today, in `status`."""

from __future__ import annotations

import json

import pytest

from cloudsync.app.session import Start, begin
from cloudsync.cli.main import main
from cloudsync.model.bucket import Bucket, BucketKey, Limit
from cloudsync.model.errors import RefusedError
from cloudsync.pacing import pacing
from tests.service.small_world import World

DRAWN = Limit(BucketKey("aws", "111122223333", "eu-west-1", "CreateSecurityGroup"), Bucket(50, 5))


def throttled(world: World) -> None:
    """Make a run that is refused twice as too fast, and then fails."""
    with begin(world.root, (), Start("reconcile", writer=True)) as run:
        pacing(run.clock).take(DRAWN)
        pacing(run.clock).throttled(DRAWN)
        pacing(run.clock).throttled(DRAWN)
        raise RefusedError("X", "stopped")


def test_status_tells_what_the_limits_did_today_even_to_a_run_that_failed(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    with begin(world.root, (), Start("reconcile", writer=True)) as run:
        pacing(run.clock).take(DRAWN)
    main(["status", "-C", str(world.root), "--json"])
    assert json.loads(capsys.readouterr().out)["limits"] == [], "nobody waited"
    with pytest.raises(RefusedError, match="stopped"):
        throttled(world)
    main(["status", "-C", str(world.root), "--json"])
    (row,) = json.loads(capsys.readouterr().out)["limits"]
    assert row == {"platform": "aws", "api_class": "CreateSecurityGroup", "calls": 1, "waited_s": 0.0, "throttled": 2}
    main(["status", "-C", str(world.root)])
    said = capsys.readouterr().out
    assert "limits today: aws CreateSecurityGroup: 1 call, 0 s of waiting, 2 refused as too fast\n" in said

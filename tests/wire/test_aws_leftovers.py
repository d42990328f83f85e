"""A prefix list of ours that nothing uses any more is found again, although most runs do not ask for lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudsync.app import looks
from cloudsync.clock import SystemClock
from cloudsync_aws.table import Mark
from tests.cli.stage import Stage, staged, tcp

RULES = """\
enforcement: {default: full}
rulesets:
  - name: r
    scope: all
    owner: t
    rules:
      - allow role=web to role=app on tcp/8443
"""
QUIET = {"DescribeInstances": 1, "DescribeNetworkInterfaces": 1, "DescribeSecurityGroups": 1}
LISTS = "DescribeManagedPrefixLists"


def leave(stage: Stage) -> str:
    """Leave a list of ours behind, as a run does that ends between two writes."""
    tags = [{"Key": key, "Value": value} for key, value in Mark(owner(stage), "list-00000000-v4").tags]
    spec = [{"ResourceType": "prefix-list", "Tags": tags}]
    made = stage.ec2.create_managed_prefix_list(
        PrefixListName="cs-left", AddressFamily="IPv4", MaxEntries=1, Entries=[{"Cidr": "10.0.0.0/8"}], TagSpecifications=spec
    )
    return str(made["PrefixList"]["PrefixListId"])


def owner(stage: Stage) -> str:
    lines = (stage.root / "cloudsync.yaml").read_text(encoding="utf-8").splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith("owner:"))


def there(stage: Stage, identity: str) -> bool:
    found = stage.ec2.describe_managed_prefix_lists()["PrefixLists"]
    return any(one["PrefixListId"] == identity and not one["State"].startswith("delete") for one in found)


def quiet(stage: Stage) -> dict[str, int]:
    """Make a run that has nothing to do; return its calls."""
    stage.forget()
    stage.run("apply", "--yes", code=0)
    assert stage.writes() == {}
    return stage.calls()


def test_lists_are_asked_for_after_every_change_and_once_a_day(tmp_path: Path) -> None:
    with staged(tmp_path) as stage, pytest.MonkeyPatch.context() as patch:
        net = stage.net()
        old = stage.group(net, "old", tcp(22, "0.0.0.0/0"))
        for role in ("web", "app"):
            stage.machine(net, role, f"role={role} env=prod", [old])
        stage.settings()
        stage.policy(RULES)
        stage.converge()
        quiet(stage)
        assert quiet(stage) == QUIET, "the run before looked and found none"

        left = leave(stage)
        assert quiet(stage) == QUIET
        stage.policy(RULES.replace("8443", "8444"))
        stage.converge()
        assert not there(stage, left), "a run that writes knows of it, and takes it along"

        assert LISTS in quiet(stage), "whoever wrote looks again"
        assert quiet(stage) == QUIET
        left = leave(stage)
        now = SystemClock.now
        patch.setattr(SystemClock, "now", lambda clock: now(clock) + looks.LIFE_S)
        stage.converge()
        assert not there(stage, left), "a day later somebody looks"

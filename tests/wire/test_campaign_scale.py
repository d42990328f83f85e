"""Estates that grow, shrink and crowd: Auto Scaling, thousands of groups of others, several accounts, Regions and VPCs in one run."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from cloudsync.lab import server
from tests.oracle import campaign, cloud, estates, wiretap
from tests.oracle.campaign import Rig
from tests.oracle.draw import GROUPS, SERVICES, VOCABULARY, Drawer, port
from tests.oracle.language import Book, Chapter, End, Held, Labelled, Place, Sentence, What

PG = What("tcp/5432", (port(6, 5432),))
HTTPS = What("https", SERVICES["https"])


@pytest.fixture(scope="module")
def lab() -> Iterator[server.Lab]:
    with server.running(estate="empty", seed=1) as running:
        yield running


@pytest.fixture(scope="module")
def tap(lab: server.Lab) -> Iterator[wiretap.Tap]:
    with wiretap.tapping(lab.endpoint) as running:
        yield running
    cloud.close()


@pytest.fixture
def rig(lab: server.Lab, tap: wiretap.Tap, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    made = Rig(lab, tap, tmp_path_factory.mktemp("repository"), probe_limit=90)
    made.fresh(1)
    return made


def of(**labels: str) -> End:
    return End(Labelled(tuple((key, (value,)) for key, value in sorted(labels.items()))))


def simple() -> Book:
    rules = (
        Sentence("allow", (of(role="web"),), (of(role="db"),), (PG,)),
        Sentence("allow", (End(Place("anywhere")),), (of(role="web"),), (HTTPS,)),
    )
    return Book(VOCABULARY, GROUPS, {"corp": ("203.0.113.0/24",)}, SERVICES, Held(None, "full"), (), (Chapter("all", (), rules),))


def check(rig: Rig, book: Book, mode: str = "exclusive") -> None:
    """Converge, compare, run again: silent."""
    look = campaign.lens(rig, book, 3)
    before = look.world(rig.estates())
    ran = rig.converge()
    assert ran.code == 0, str(ran)
    wrong = campaign.differences(look, look.world(rig.estates()), before, mode)
    assert not wrong, "\n".join(wrong[:10])
    writes = rig.tap.writes
    again = rig.run("apply", "--yes")
    assert (again.code, rig.tap.writes) == (0, writes), str(again)


def test_a_fleet_doubles_and_shrinks_with_no_policy_edit(rig: Rig) -> None:
    builder = estates.Builder(rig.access(), random.Random(1))
    net = builder.net(0, six=False)
    old = builder.old_group(net, "launch")
    builder.machine(net, {"role": "db", "env": "prod", "app": "shop"}, "db-0")
    client: Any = builder.client
    client.create_launch_template(
        LaunchTemplateName="web", LaunchTemplateData={"ImageId": "ami-12345678", "InstanceType": "t3.micro", "SecurityGroupIds": [old]}
    )
    scaling: Any = rig.access().client("autoscaling")
    scaling.create_auto_scaling_group(
        AutoScalingGroupName="web",
        LaunchTemplate={"LaunchTemplateName": "web"},
        MinSize=0,
        MaxSize=20,
        DesiredCapacity=3,
        VPCZoneIdentifier=net.subnet,
        Tags=[
            {"Key": key, "Value": value, "PropagateAtLaunch": True, "ResourceId": "web", "ResourceType": "auto-scaling-group"}
            for key, value in {"Role": "web", "Environment": "prod", "App": "shop"}.items()
        ],
    )
    book = simple()
    rig.write(book, "exclusive")
    check(rig, book)
    for size, most in ((6, 3), (2, 0), (5, 3), (0, 2), (3, 8)):
        scaling.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=size)
        writes = rig.tap.writes
        check(rig, book)
        machines = [machine for machine in campaign.lens(rig, book, 3).machines if machine.labels.get("role") == "web"]
        assert len(machines) == size
        made = [call.action for call in rig.tap.mutating()[writes:]]
        assert len(made) <= most, f"size {size}: {made}"


@pytest.mark.slow
def test_hundreds_of_groups_of_others_cost_pages_not_calls(rig: Rig) -> None:
    client: Any = rig.access().client()
    builder = estates.Builder(rig.access(), random.Random(2))
    net = builder.net(0, six=False)
    builder.old_group(net, "old")
    for number, role in enumerate(("web", "db")):
        builder.machine(net, {"role": role, "env": "prod"}, f"m-{number}")
    for number in range(1200):
        client.create_security_group(GroupName=f"theirs-{number}", Description="not ours", VpcId=net.vpc)
    book = simple()
    rig.write(book, "exclusive")
    check(rig, book)
    rig.tap.reset()
    again = rig.run("apply", "--yes")
    assert again.code == 0, str(again)
    counts = rig.tap.counts()
    assert counts["DescribeSecurityGroups"] == 2, counts
    assert sum(counts.values()) <= 12, counts


@pytest.mark.slow
def test_accounts_regions_and_networks_in_one_run(rig: Rig) -> None:
    rig.accounts = tuple(each.account for each in rig.lab.state.accounts[:2])
    rig.regions = ("us-east-1", "eu-west-1")
    names: list[str] = []
    block = 20
    for account in rig.accounts:
        for region in rig.regions:
            built = estates.small(rig.access(account, region), block, machines=(2, 4), region=region, block=block, prefix=f"m{block}")
            names += built.names
            block += 10
    book = simple()
    rig.write(book, "exclusive")
    check(rig, book)


@pytest.mark.slow
def test_a_random_policy_over_accounts_and_regions(rig: Rig) -> None:
    rig.accounts = tuple(each.account for each in rig.lab.state.accounts[:2])
    rig.regions = ("us-east-1", "eu-west-1")
    pool: list[str] = []
    names: list[str] = []
    for number, (account, region) in enumerate((account, region) for account in rig.accounts for region in rig.regions):
        built = estates.small(
            rig.access(account, region), number, machines=(2, 3), region=region, block=30 + 10 * number, prefix=f"n{number}"
        )
        pool += built.pool()
        names += built.names
    drawer = Drawer(random.Random(5), names, pool)
    book = drawer.book()
    rig.write(book, "exclusive")
    while rig.run("validate").code != 0:
        book = drawer.book()
        rig.write(book, "exclusive")
    check(rig, book)

"""Who did it: CloudTrail asked about new findings; the lab's trail as a client of AWS sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.exceptions
import pytest

from cloudsync.app.repository import load
from cloudsync.app.story import retell
from cloudsync.clock import SystemClock
from cloudsync.report.story import Tracked
from cloudsync.store.state import State as Store
from cloudsync_aws import trail
from tests.cli.stage import Stage, staged, tcp

POLICY = """\
enforcement: {default: full}
rulesets:
  - name: shop
    scope: all
    rules:
      - allow role=web to role=db on tcp/5432
"""
JDOE = "arn:aws:iam::111122223333:user/jdoe"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("repository")) as one:
        yield one


@pytest.fixture
def stage(server: Stage) -> Stage:
    server.clear()
    net = server.net()
    for role in ("web", "db"):
        server.machine(net, role, f"role={role}")
    server.settings()
    server.policy(POLICY)
    server.converge()
    return server


def client(stage: Stage, service: str, keys: dict[str, str] | None = None) -> Any:
    boto3 = pytest.importorskip("boto3")
    state = stage.lab.state
    return boto3.client(
        service,
        endpoint_url=stage.lab.endpoint,
        region_name=stage.region,
        aws_access_key_id=keys["AccessKeyId"] if keys else state.access_key_id,
        aws_secret_access_key=keys["SecretAccessKey"] if keys else state.secret_access_key,
    )


def person(stage: Stage, name: str) -> Any:
    """Return EC2 as a user of the account sees it."""
    iam = client(stage, "iam")
    iam.create_user(UserName=name)
    return client(stage, "ec2", iam.create_access_key(UserName=name)["AccessKey"])


def ours(stage: Stage, name: str = "db") -> str:
    (found,) = (one for one in stage.carries(name) if one in stage.ours())
    return found


def findings(stage: Stage) -> tuple[Tracked, ...]:
    with Store(stage.root / ".cloudsync" / "state.db", SystemClock()) as state:
        story = retell(state, load(stage.root), SystemClock().now())
    assert story is not None
    return story.findings


def test_a_report_says_who_opened_it_and_how(stage: Stage) -> None:
    person(stage, "jdoe").authorize_security_group_ingress(GroupId=ours(stage), IpPermissions=[tcp(22, "0.0.0.0/0")])
    ran = stage.run("drift", code=2)
    assert f"new, by {JDOE} at " in ran.out, str(ran)
    (one,) = findings(stage)
    assert one.actor is not None
    assert (one.actor.who, one.actor.how) == (JDOE, "AuthorizeSecurityGroupIngress (CloudTrail)")
    assert abs(one.actor.at - one.first_seen) < 60
    stage.forget()
    stage.run("drift", code=2)
    assert "LookupEvents" not in stage.calls()  # it is known who
    assert [one.actor.who for one in findings(stage) if one.actor] == [JDOE]


def test_each_rule_has_its_own_author_and_the_last_one_counts(stage: Stage) -> None:
    group = ours(stage)
    jo, max_ = person(stage, "jo"), person(stage, "max")
    jo.authorize_security_group_ingress(GroupId=group, IpPermissions=[tcp(22, "0.0.0.0/0"), tcp(80, "192.0.2.0/24")])
    jo.revoke_security_group_ingress(GroupId=group, IpPermissions=[tcp(22, "0.0.0.0/0")])
    max_.authorize_security_group_ingress(GroupId=group, IpPermissions=[tcp(22, "0.0.0.0/0")])
    stage.run("drift", code=2)
    told = {one.words: one.actor.who.rpartition("/")[2] for one in findings(stage) if one.actor}
    assert told == {"tcp/22 from anywhere (IPv4)": "max", "tcp/80 from 192.0.2.0/24": "jo"}


def test_without_the_right_to_ask_the_report_only_does_not_say(stage: Stage) -> None:
    stage.ec2.authorize_security_group_ingress(GroupId=ours(stage), IpPermissions=[tcp(22, "0.0.0.0/0")])
    stage.lab.control.fault("LookupEvents", "denied")
    ran = stage.run("drift", code=2)
    assert "new · aws/" in ran.out, str(ran)
    assert [one.actor for one in findings(stage)] == [None]
    stage.run("drift", code=2)  # a late record is found by a later run
    assert all(one.actor is not None for one in findings(stage))


def test_a_run_with_nothing_new_asks_nobody(stage: Stage) -> None:
    stage.forget()
    stage.run("apply", "--yes", code=0)
    stage.run("drift", code=0)
    assert "LookupEvents" not in stage.calls()


def test_the_trail_of_the_lab_is_filtered_and_paged_as_cloudtrails(stage: Stage) -> None:
    group = ours(stage)
    for port in range(3):
        stage.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[tcp(8000 + port, "10.0.0.0/8")])
    lookup = client(stage, "cloudtrail").lookup_events
    about = [{"AttributeKey": "ResourceName", "AttributeValue": group}]
    first = lookup(LookupAttributes=about, MaxResults=2)
    record = json.loads(first["Events"][0]["CloudTrailEvent"])
    assert [one["toPort"] for one in record["responseElements"]["securityGroupRuleSet"]["items"]] == [8002]
    assert record["requestParameters"] == {"groupId": group}
    rest = lookup(LookupAttributes=about, MaxResults=50, NextToken=first["NextToken"])
    assert {one["EventId"] for one in first["Events"]}.isdisjoint(one["EventId"] for one in rest["Events"])
    assert {"CreateSecurityGroup", "ModifyNetworkInterfaceAttribute"} & {one["EventName"] for one in lookup()["Events"]}
    assert lookup(LookupAttributes=about, StartTime=datetime.now(UTC) + timedelta(hours=1))["Events"] == []
    assert lookup(LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "Nothing"}])["Events"] == []
    with pytest.raises(botocore.exceptions.ClientError, match="InvalidLookupAttributesException"):
        lookup(LookupAttributes=about * 2)
    with pytest.raises(botocore.exceptions.ClientError, match="InvalidMaxResultsException"):
        lookup(MaxResults=51)


WELL = {
    "eventVersion": "1.08",
    "userIdentity": {"type": "AssumedRole", "arn": "arn:aws:sts::1:assumed-role/Deploy/ci"},
    "responseElements": {
        "_return": True,
        "securityGroupRuleSet": {
            "items": [
                {
                    "groupId": "sg-1",
                    "securityGroupRuleId": "sgr-1",
                    "isEgress": False,
                    "ipProtocol": "tcp",
                    "fromPort": 22,
                    "toPort": 22,
                    "cidrIpv4": "0.0.0.0/0",
                },
                {
                    "groupId": "sg-1",
                    "securityGroupRuleId": "sgr-2",
                    "isEgress": False,
                    "ipProtocol": "-1",
                    "fromPort": -1,
                    "toPort": -1,
                    "referencedGroupInfo": {"groupId": "sg-2"},
                },
            ]
        },
    },
}


def event(record: object, name: str = "AuthorizeSecurityGroupIngress") -> dict[str, Any]:
    text = record if isinstance(record, str) else json.dumps(record)
    return {"EventName": name, "EventTime": datetime(2026, 3, 1, 22, 14, tzinfo=UTC), "Username": "ci", "CloudTrailEvent": text}


def test_a_record_names_every_rule_that_it_made() -> None:
    found = dict(trail.made(event(WELL)))
    assert set(found) == {("sg-1", "ingress tcp/22 from 0.0.0.0/0"), ("sg-1", "ingress all from sg-2")}
    assert {one.who for one in found.values()} == {"arn:aws:sts::1:assumed-role/Deploy/ci"}


@pytest.mark.parametrize(
    "record",
    [
        "not json",
        "[]",
        {},
        {**WELL, "responseElements": None},
        {**WELL, "responseElements": {"_return": True}},
        {**WELL, "responseElements": {"securityGroupRuleSet": {"items": "x"}}},
        {**WELL, "responseElements": {"securityGroupRuleSet": {"items": [{"groupId": "sg-1"}]}}},
    ],
)
def test_a_record_in_another_shape_tells_nothing(record: object) -> None:
    assert list(trail.made(event(record))) == []
    assert list(trail.made(event(WELL, "RevokeSecurityGroupIngress"))) == []

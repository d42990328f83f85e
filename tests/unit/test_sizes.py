"""How full native objects are: what the core counts while temporary rules stand."""

from __future__ import annotations

from cloudsync.adapter import Method
from cloudsync.model.address import AddressSet
from cloudsync.model.service import TCP
from cloudsync.model.size import Measured
from cloudsync_aws.adapter import AwsAdapter
from cloudsync_aws.quota import sizes
from cloudsync_aws.simulate import simulate_all
from cloudsync_aws.steps import steps
from cloudsync_aws.table import AwsTable, Eni, Group, Mark, PeerKind, RuleKey, Vpc
from cloudsync_azure.adapter import AzureAdapter
from cloudsync_gcp.adapter import GcpAdapter

SCOPE = "111122223333/us-east-1"


def table(*ports: int, carried: tuple[str, ...] = ("sg-1",)) -> AwsTable:
    rules = {RuleKey(False, TCP, port, port, PeerKind.CIDR4.value, "10.0.0.0/8"): "ours" for port in ports}
    group = Group("sg-1", SCOPE, "vpc-1", "cs-web", rules, Mark("acme", "web"))
    eni = Eni("eni-1", SCOPE, "vpc-1", "i-1", AddressSet.of("10.0.0.1"), groups=carried)
    return AwsTable("acme", {"sg-1": group}, {"eni-1": eni}, {}, {"vpc-1": Vpc("vpc-1", SCOPE)})


def test_groups_and_interfaces_say_how_full_they_are() -> None:
    found = {(one.object, one.what): (one.holds, one.limit) for one in sizes(table(22, 80))}
    assert found == {("sg-1", "rules of one direction and family"): (2, 60), ("eni-1", "groups"): (1, 5)}


def test_old_and_new_rules_stand_side_by_side_while_they_change() -> None:
    old, new = table(22, 80), table(443)
    first, *_ = steps(old, new, Method.JOIN)
    held = next(one for one in sizes(simulate_all(old, first.steps)) if one.object == "sg-1")
    assert held.holds == 3


def test_the_three_clouds_say_sizes() -> None:
    assert all(isinstance(kind.__new__(kind), Measured) for kind in (AwsAdapter, AzureAdapter, GcpAdapter))

"""A first look at AWS: which calls it makes, what it depends on, and what is asked once there is something to do."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from cloudsync.adapter import Snapshot, Whose
from cloudsync_aws.adapter import NO_LISTS
from tests.wire.test_aws_wire import ACCOUNT, OTHER, OTHER_REGION, REGION, SCOPE, Answer, Open, Script, clock, error, opened, page, script

__all__ = ["clock", "opened", "script"]

FIRST = Counter(DescribeInstances=1, DescribeNetworkInterfaces=1, DescribeSecurityGroups=1, DescribeManagedPrefixLists=1)
REST = Counter(DescribeVpcs=1, DescribeVpcPeeringConnections=1, GetServiceQuota=3)
GONE = "<prefixListId>pl-1</prefixListId><prefixListName>cs-l</prefixListName><addressFamily>IPv4</addressFamily><maxEntries>1</maxEntries>"
OURS = "".join(
    f"<item><key>cloudsync:{key}</key><value>{value}</value></item>"
    for key, value in (("class", "list-1-v4"), ("managed", "true"), ("owner", "acme"), ("shard", "0"))
)


def instance(name: str, owner: str = ACCOUNT) -> str:
    found = f"<item><instanceId>{name}</instanceId><instanceState><name>running</name></instanceState></item>"
    return f"<ownerId>{owner}</ownerId><instancesSet>{found}</instancesSet>"


def eni(name: str, machine: str, vpc: str, group: str, address: str) -> str:
    held = f"<item><groupId>{group}</groupId></item>"
    return (
        f"<networkInterfaceId>{name}</networkInterfaceId><vpcId>{vpc}</vpcId><privateIpAddress>{address}</privateIpAddress>"
        f"<attachment><instanceId>{machine}</instanceId></attachment><groupSet>{held}</groupSet>"
    )


def group(name: str, vpc: str, peer: str = "") -> str:
    pair = f"<groups><item><groupId>{peer}</groupId></item></groups>"
    rule = f"<item><ipProtocol>tcp</ipProtocol><fromPort>443</fromPort><toPort>443</toPort>{pair}</item>"
    rules = f"<ipPermissions>{rule if peer else ''}</ipPermissions>"
    return f"<groupId>{name}</groupId><groupName>{name}</groupName><vpcId>{vpc}</vpcId>{rules}<ipPermissionsEgress/>"


def peering(*vpcs: str) -> str:
    ends = zip(("requester", "accepter"), vpcs, strict=True)
    infos = "".join(f"<{end}VpcInfo><vpcId>{vpc}</vpcId><region>{REGION}</region></{end}VpcInfo>" for end, vpc in ends)
    return f"<vpcPeeringConnectionId>pcx-1</vpcPeeringConnectionId><status><code>active</code></status>{infos}"


def estate(script: Script, second: str, *, crossing: bool = False, owner: str = ACCOUNT) -> None:
    """Two machines, the second in a VPC of its own or in the first's; `crossing`: the first's group lets the second's in."""
    script.say("DescribeInstances", page("DescribeInstances", instance("i-1", owner), instance("i-2", owner)))
    enis = (eni("eni-1", "i-1", "vpc-1", "sg-1", "10.0.0.1"), eni("eni-2", "i-2", second, "sg-2", "10.1.0.2"))
    script.say("DescribeNetworkInterfaces", page("DescribeNetworkInterfaces", *enis))
    groups = (group("sg-1", "vpc-1", "sg-2" if crossing else ""), group("sg-2", second))
    script.say("DescribeSecurityGroups", page("DescribeSecurityGroups", *groups))


def test_a_look_takes_four_calls_and_proves_the_account_by_its_instances(script: Script, opened: Open) -> None:
    estate(script, "vpc-1")
    look = opened().glance()
    assert (look.account, look.snapshot.complete) == (ACCOUNT, True)
    assert len(look.snapshot.discovery.workloads) == 2
    assert script.counts() == FIRST


@pytest.mark.parametrize("owner", ["", "999999999999"])
def test_instances_of_nobody_or_of_another_account_prove_nothing_for_the_one_expected(owner: str, script: Script, opened: Open) -> None:
    estate(script, "vpc-1", owner=owner)
    assert opened().glance().account == owner


def test_no_instance_proves_nothing(script: Script, opened: Open) -> None:
    script.say("DescribeSecurityGroups", page("DescribeSecurityGroups", group("sg-1", "vpc-1") + f"<ownerId>{ACCOUNT}</ownerId>"))
    assert opened().glance().account == ""


def test_instances_of_two_accounts_prove_nothing(script: Script, opened: Open) -> None:
    script.say("DescribeInstances", page("DescribeInstances", instance("i-1"), instance("i-2", "999999999999")))
    assert opened().glance().account == ""


@pytest.mark.parametrize(
    ("second", "crossing", "asked"), [("vpc-1", False, 0), ("vpc-1", True, 0), ("vpc-2", False, 1), ("vpc-2", True, 1)]
)
def test_peerings_are_asked_for_where_a_machine_is_in_another_vpc(
    second: str, crossing: bool, asked: int, script: Script, opened: Open
) -> None:
    estate(script, second, crossing=crossing)
    script.say("DescribeVpcPeeringConnections", page("DescribeVpcPeeringConnections", peering("vpc-1", "vpc-2")))
    adapter = opened()
    table = adapter.glance().snapshot.table
    assert script.counts()["DescribeVpcPeeringConnections"] == asked
    estate(script, second, crossing=crossing)
    if not asked:
        script.queues["DescribeVpcPeeringConnections"].clear()
    script.say("DescribeVpcPeeringConnections", page("DescribeVpcPeeringConnections", peering("vpc-1", "vpc-2")))
    whole = adapter.read().table
    assert adapter.decode(table, Whose.ALL) == adapter.decode(whole, Whose.ALL)
    assert adapter.points(table) == adapter.points(whole)


def test_a_rule_for_a_group_of_another_vpc_depends_on_its_peering(script: Script, opened: Open) -> None:
    carrier = eni("eni-3", "", "vpc-2", "sg-2", "10.1.0.3")  # attached to no machine: a service's, that rules let in all the same
    script.say("DescribeInstances", page("DescribeInstances", instance("i-1")))
    script.say("DescribeNetworkInterfaces", page("DescribeNetworkInterfaces", eni("eni-1", "i-1", "vpc-1", "sg-1", "10.0.0.1"), carrier))
    script.say("DescribeSecurityGroups", page("DescribeSecurityGroups", group("sg-1", "vpc-1", "sg-2"), group("sg-2", "vpc-2")))
    script.say("DescribeVpcPeeringConnections", page("DescribeVpcPeeringConnections", peering("vpc-1", "vpc-2")))
    adapter = opened()
    table = adapter.glance().snapshot.table
    (point,) = [one.id for one in adapter.points(table) if one.id.endswith("eni-1")]
    assert script.counts()["DescribeVpcPeeringConnections"] == 1
    assert adapter.decode(table)[point].inbound


def test_named_vpcs_are_there_when_they_show_a_group(script: Script, opened: Open) -> None:
    script.say("DescribeSecurityGroups", page("DescribeSecurityGroups", group("sg-1", "vpc-1"), group("sg-2", "vpc-2")))
    look = opened(vpcs=["vpc-1", "vpc-2"]).glance()
    assert look.snapshot.complete
    assert script.counts() == FIRST + Counter(DescribeVpcPeeringConnections=1)


@pytest.mark.parametrize("there", [True, False])
def test_a_named_vpc_without_a_group_is_asked_for(there: bool, script: Script, opened: Open) -> None:
    shown = [page("DescribeSecurityGroups", group("sg-1", "vpc-1"))] * 2
    script.say("DescribeSecurityGroups", *shown)
    script.say("DescribeVpcs", page("DescribeVpcs", "<vpcId>vpc-1</vpcId>", *(["<vpcId>vpc-9</vpcId>"] if there else [])))
    snapshot = opened(vpcs=["vpc-1", "vpc-9"]).glance().snapshot
    assert snapshot.complete is there
    assert there or [one.why for one in snapshot.scopes] == ["no Region of the target has vpc-9 of the settings"]


def test_a_list_of_ours_that_nobody_uses_is_seen(script: Script, opened: Open) -> None:
    script.say("DescribeManagedPrefixLists", page("DescribeManagedPrefixLists", GONE + f"<tagSet>{OURS}</tagSet>"))
    table = opened().glance().snapshot.table
    assert [one.mark.class_id for one in table.lists.values() if one.mark] == ["list-1-v4"]


def test_what_was_left_out_is_read_once_and_makes_it_whole(script: Script, opened: Open) -> None:
    estate(script, "vpc-1")
    adapter = opened()
    look = adapter.glance()
    script.requests.clear()
    six = "<ipv6CidrBlockAssociationSet><item><ipv6CidrBlock>2001:db8::/56</ipv6CidrBlock></item></ipv6CidrBlockAssociationSet>"
    networks = page("DescribeVpcs", "<vpcId>vpc-1</vpcId>" + six)
    script.say("DescribeVpcs", networks, networks)
    found: Snapshot = adapter.completed(look.snapshot)
    assert script.counts() == REST
    estate(script, "vpc-1")
    whole = adapter.read()
    assert found == whole
    assert found.table.quotas[SCOPE].rules_per_group == 70
    assert look.snapshot.table.quotas[SCOPE].rules_per_group == 60
    assert found.table.vpcs["vpc-1"].ipv6


def test_peerings_that_were_asked_for_are_not_asked_for_again(script: Script, opened: Open) -> None:
    estate(script, "vpc-2")
    script.say("DescribeVpcPeeringConnections", page("DescribeVpcPeeringConnections", peering("vpc-1", "vpc-2")))
    adapter = opened()
    found = adapter.completed(adapter.glance().snapshot)
    assert found.table.peered == {("vpc-1", "vpc-2"), ("vpc-2", "vpc-1")}
    assert script.counts() == FIRST + REST


def test_settings_that_say_the_limits_leave_nothing_to_ask(script: Script, opened: Open) -> None:
    adapter = opened(quotas={"rules_per_group": 50})
    look = adapter.glance()
    assert look.snapshot.table.quotas[SCOPE].rules_per_group == 50
    assert adapter.completed(look.snapshot).table.quotas[SCOPE].rules_per_group == 50
    assert script.counts()["GetServiceQuota"] == 0


def test_a_region_whose_rest_cannot_be_read_holds_nothing_and_the_other_stays(script: Script, opened: Open) -> None:
    adapter = opened(regions=[REGION, OTHER_REGION])
    for name in ("sg-1", "sg-2"):
        script.say("DescribeSecurityGroups", page("DescribeSecurityGroups", group(name, "vpc-1")))
    look = adapter.glance().snapshot
    assert len(look.table.groups) == 2
    script.failing_region = OTHER_REGION
    found = adapter.completed(look)
    assert [bool(one.why) for one in found.scopes] == [False, True]
    assert found.table.incomplete.keys() == {OTHER}
    assert {one.scope for one in found.table.groups.values()} == {SCOPE}
    assert found.digest != look.digest


def test_a_region_that_failed_at_first_is_not_asked_again(script: Script, opened: Open) -> None:
    script.say("DescribeInstances", error("UnauthorizedOperation", 403))
    adapter = opened()
    look = adapter.glance().snapshot
    script.requests.clear()
    assert replace(adapter.completed(look), digest="") == replace(look, digest="", table=replace(look.table, quotas={}))
    assert script.counts() == Counter()


def test_no_answer_about_the_limits_leaves_the_region_unread(script: Script, opened: Open) -> None:
    adapter = opened()
    look = adapter.glance().snapshot
    script.say("GetServiceQuota", *[Answer("", 500)] * 4)
    assert not adapter.completed(look).complete


def test_without_a_list_of_ours_the_next_look_need_not_ask_for_them(script: Script, opened: Open) -> None:
    estate(script, "vpc-1")
    adapter = opened()
    look = adapter.glance()
    script.requests.clear()
    estate(script, "vpc-1")
    again = adapter.glance(look.hint)
    assert script.counts() == FIRST - Counter(DescribeManagedPrefixLists=1)
    assert again.hint == look.hint
    assert again.snapshot.digest == look.snapshot.digest
    script.requests.clear()
    script.say("DescribeManagedPrefixLists", page("DescribeManagedPrefixLists", GONE + f"<tagSet>{OURS}</tagSet>"))
    found = adapter.completed(again.snapshot)
    assert script.counts() == REST + Counter(DescribeManagedPrefixLists=1, GetManagedPrefixListEntries=1)
    assert [one.mark.class_id for one in found.table.lists.values() if one.mark] == ["list-1-v4"]
    assert adapter.completed(look.snapshot).table.lists == {}


def test_a_list_of_ours_keeps_the_next_look_asking(script: Script, opened: Open) -> None:
    script.say("DescribeManagedPrefixLists", page("DescribeManagedPrefixLists", GONE + f"<tagSet>{OURS}</tagSet>"))
    assert opened().glance().hint == ""


def test_a_region_that_failed_keeps_the_next_look_asking(script: Script, opened: Open) -> None:
    script.failing_region = OTHER_REGION
    assert opened(regions=[REGION, OTHER_REGION]).glance().hint == ""


def test_a_rule_that_refers_to_a_list_is_read_with_it_whatever_was_said(script: Script, opened: Open) -> None:
    used = "<prefixListIds><item><prefixListId>pl-1</prefixListId></item></prefixListIds>"
    rule = f"<item><ipProtocol>tcp</ipProtocol><fromPort>1</fromPort><toPort>1</toPort>{used}</item>"
    listed = group("sg-1", "vpc-1").replace("<ipPermissions></ipPermissions>", f"<ipPermissions>{rule}</ipPermissions>")
    script.say("DescribeSecurityGroups", page("DescribeSecurityGroups", listed))
    script.say("DescribeManagedPrefixLists", page("DescribeManagedPrefixLists", GONE))
    script.say("GetManagedPrefixListEntries", page("GetManagedPrefixListEntries", "<cidr>10.0.0.0/8</cidr>"))
    adapter = opened()
    hint = adapter.glance().hint
    assert hint == ""
    script.say("DescribeSecurityGroups", page("DescribeSecurityGroups", listed))
    script.say("DescribeManagedPrefixLists", page("DescribeManagedPrefixLists", GONE))
    script.say("GetManagedPrefixListEntries", page("GetManagedPrefixListEntries", "<cidr>10.0.0.0/8</cidr>"))
    look = adapter.glance(NO_LISTS)
    assert list(look.snapshot.table.lists["pl-1"].entries) == ["10.0.0.0/8"]
    assert look.hint == ""

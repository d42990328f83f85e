"""Prefix lists: each check holds against the lab and fails against plain moto."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from cloudsync.lab.pytest_plugin import Cloud, tcp

Check = Callable[[Cloud], None]
CHECKS: dict[str, Check] = {}


def row(check: Check) -> Check:
    CHECKS[check.__name__] = check
    return check


def entries(cloud: Cloud, list_id: str) -> list[str]:
    return sorted(each["Cidr"] for each in cloud.ec2.get_managed_prefix_list_entries(PrefixListId=list_id)["Entries"])


def changed(cloud: Cloud, list_id: str, **params: Any) -> str:
    return cloud.code(cloud.ec2.modify_managed_prefix_list, PrefixListId=list_id, **params)


def cidrs(*found: str) -> list[dict[str, str]]:
    return [{"Cidr": each} for each in found]


def shown(cloud: Cloud, list_id: str) -> Any:
    return cloud.ec2.describe_managed_prefix_lists(PrefixListIds=[list_id])["PrefixLists"][0]


@row
def row_30_lists_and_entries_come_in_pages_of_at_most_100(cloud: Cloud) -> None:
    listed = cloud.prefix_list(150, *(f"10.0.{number}.0/24" for number in range(99)))
    changed(cloud, listed, CurrentVersion=1, AddEntries=cidrs(*(f"10.1.{number}.0/24" for number in range(50))))
    pages = list(
        cloud.ec2.get_paginator("get_managed_prefix_list_entries").paginate(PrefixListId=listed, PaginationConfig={"PageSize": 100})
    )
    assert [len(page["Entries"]) for page in pages] == [100, 49]
    assert cloud.code(cloud.ec2.describe_managed_prefix_lists, MaxResults=101) == "InvalidParameterValue"
    first = cloud.ec2.describe_managed_prefix_lists(MaxResults=1)
    assert len(first["PrefixLists"]) == 1
    second = cloud.ec2.describe_managed_prefix_lists(MaxResults=1, NextToken=first["NextToken"])
    assert second["PrefixLists"][0]["PrefixListId"] != first["PrefixLists"][0]["PrefixListId"]


@row
def row_12_an_unknown_list(cloud: Cloud) -> None:
    assert changed(cloud, "pl-0123456789abcdef0", PrefixListName="x") == "InvalidPrefixListID.NotFound"


@row
def row_32_a_stale_version_is_refused(cloud: Cloud) -> None:
    listed = cloud.prefix_list(5, "10.0.0.0/8")
    assert changed(cloud, listed, CurrentVersion=1, AddEntries=cidrs("10.1.0.0/16")) == "ok"
    cloud.settle(listed)
    stale = cloud.refusal(cloud.ec2.modify_managed_prefix_list, PrefixListId=listed, CurrentVersion=1, AddEntries=cidrs("10.2.0.0/16"))
    assert stale == ("PrefixListVersionMismatch", "The prefix list has the incorrect version number.")
    assert entries(cloud, listed) == ["10.0.0.0/8", "10.1.0.0/16"]


@row
def row_33_what_a_list_cannot_hold(cloud: Cloud) -> None:
    listed = cloud.prefix_list(2, "10.0.0.0/8")
    assert changed(cloud, listed, CurrentVersion=1, AddEntries=cidrs("10.1.0.0/16", "10.2.0.0/16")) == "PrefixListMaxEntriesExceeded"
    assert changed(cloud, listed, CurrentVersion=1, AddEntries=cidrs("2001:db8::/32")) == "InvalidParameterValue"
    assert changed(cloud, listed, CurrentVersion=1, AddEntries=cidrs("10.1.0.0/16", "10.1.0.9/16")) == "InvalidParameterValue"
    assert changed(cloud, listed, CurrentVersion=1, RemoveEntries=cidrs("10.9.0.0/16")) == "InvalidParameterValue"
    assert changed(cloud, listed, CurrentVersion=1, MaxEntries=3, AddEntries=cidrs("10.1.0.0/16")) == "InvalidParameterCombination"
    many = cidrs(*(f"10.{number}.0.0/24" for number in range(101)))
    assert changed(cloud, cloud.prefix_list(200), CurrentVersion=1, AddEntries=many) == "InvalidParameterValue"
    assert entries(cloud, listed) == ["10.0.0.0/8"]


@row
def row_33_host_bits_and_the_largest_size(cloud: Cloud) -> None:
    assert entries(cloud, cloud.prefix_list(2, "10.1.2.3/16")) == ["10.1.0.0/16"]
    create = cloud.ec2.create_managed_prefix_list
    assert cloud.code(create, PrefixListName="x", MaxEntries=1001, AddressFamily="IPv4") == "InvalidParameterValue"
    too_many = cidrs("10.0.0.0/8", "11.0.0.0/8")
    assert cloud.code(create, PrefixListName="x", MaxEntries=1, AddressFamily="IPv4", Entries=too_many) == "PrefixListMaxEntriesExceeded"


@row
def row_34_a_resize_is_real(cloud: Cloud) -> None:
    listed = cloud.prefix_list(5, "10.0.0.0/8", "11.0.0.0/8")
    assert changed(cloud, listed, MaxEntries=9) == "ok"
    assert cloud.settle(listed) == "modify-complete"
    assert (shown(cloud, listed)["MaxEntries"], shown(cloud, listed)["PrefixListName"]) == (9, "list")
    assert changed(cloud, listed, MaxEntries=1) == "PrefixListMaxEntriesExceeded"


@row
def row_34_a_resize_without_room_fails_and_says_where(cloud: Cloud) -> None:
    listed, group = cloud.prefix_list(5, "10.0.0.0/8"), cloud.group(cloud.vpc())
    cloud.ingress(group, tcp(22, PrefixListIds=[{"PrefixListId": listed}]), tcp(23, PrefixListIds=[{"PrefixListId": listed}]))
    assert changed(cloud, listed, MaxEntries=31) == "ok"
    assert cloud.settle(listed) == "modify-failed"
    assert group in shown(cloud, listed)["StateMessage"]
    assert shown(cloud, listed)["MaxEntries"] == 5
    assert changed(cloud, listed, MaxEntries=30) == "ok"
    assert cloud.settle(listed) == "modify-complete"


@row
def row_35_a_write_while_in_progress(cloud: Cloud) -> None:
    made = cloud.ec2.create_managed_prefix_list(PrefixListName="x", MaxEntries=2, AddressFamily="IPv4")["PrefixList"]
    assert made["State"] == "create-in-progress"
    assert changed(cloud, made["PrefixListId"], PrefixListName="y") == "IncorrectState"
    assert cloud.settle(made["PrefixListId"]) == "create-complete"
    assert changed(cloud, made["PrefixListId"], PrefixListName="y") == "ok"
    assert cloud.code(cloud.ec2.delete_managed_prefix_list, PrefixListId=made["PrefixListId"]) == "IncorrectState"
    cloud.settle(made["PrefixListId"])
    assert shown(cloud, made["PrefixListId"])["PrefixListName"] == "y"


@row
def row_35_a_list_that_a_rule_names_stays(cloud: Cloud) -> None:
    listed, group = cloud.prefix_list(5, "10.0.0.0/8"), cloud.group(cloud.vpc())
    rule = tcp(22, PrefixListIds=[{"PrefixListId": listed}])
    cloud.ingress(group, rule)
    assert cloud.code(cloud.ec2.delete_managed_prefix_list, PrefixListId=listed) == "DependencyViolation"
    cloud.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[rule])
    gone = cloud.ec2.delete_managed_prefix_list(PrefixListId=listed)["PrefixList"]
    assert gone["State"] == "delete-in-progress"
    assert shown(cloud, listed)["State"] == "delete-in-progress"
    assert cloud.code(cloud.ec2.describe_managed_prefix_lists, PrefixListIds=[listed]) == "InvalidPrefixListID.NotFound"


@row
def row_36_the_client_token_makes_one_list(cloud: Cloud) -> None:
    wanted = {"PrefixListName": "x", "AddressFamily": "IPv4", "ClientToken": "same"}
    first = cloud.ec2.create_managed_prefix_list(MaxEntries=2, **wanted)["PrefixList"]["PrefixListId"]
    again = cloud.ec2.create_managed_prefix_list(MaxEntries=2, **wanted)["PrefixList"]["PrefixListId"]
    assert first == again
    assert cloud.code(cloud.ec2.create_managed_prefix_list, MaxEntries=3, **wanted) == "IdempotentParameterMismatch"


@row
def row_37_associations_and_old_versions(cloud: Cloud) -> None:
    listed, group = cloud.prefix_list(5, "10.0.0.0/8"), cloud.group(cloud.vpc())
    cloud.ingress(group, tcp(22, PrefixListIds=[{"PrefixListId": listed}]))
    found = cloud.ec2.get_managed_prefix_list_associations(PrefixListId=listed)["PrefixListAssociations"]
    assert [each["ResourceId"] for each in found] == [group]
    changed(cloud, listed, CurrentVersion=1, AddEntries=cidrs("11.0.0.0/8"), RemoveEntries=cidrs("10.0.0.0/8"))
    cloud.settle(listed)
    cloud.ec2.restore_managed_prefix_list_version(PrefixListId=listed, PreviousVersion=1, CurrentVersion=2)
    assert cloud.settle(listed) == "restore-complete"
    assert (entries(cloud, listed), shown(cloud, listed)["Version"]) == (["10.0.0.0/8"], 3)


@row
def a_vendors_list_cannot_be_changed(cloud: Cloud) -> None:
    vendors = cloud.ec2.describe_managed_prefix_lists(Filters=[{"Name": "owner-id", "Values": ["AWS"]}])["PrefixLists"]
    assert vendors
    assert all("MaxEntries" not in each and "Version" not in each for each in vendors)
    assert changed(cloud, vendors[0]["PrefixListId"], PrefixListName="mine") == "OperationNotPermitted"


@pytest.mark.parametrize("name", CHECKS)
def test_the_lab_answers_as_ec2_does(name: str, cloud: Cloud) -> None:
    CHECKS[name](cloud)


@pytest.mark.parametrize("name", CHECKS)
def test_plain_moto_does_not(name: str, plain_moto: Cloud) -> None:
    with pytest.raises((AssertionError, ClientError, ResponseParserError, LookupError)):
        CHECKS[name](plain_moto)

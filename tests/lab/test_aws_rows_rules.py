"""Rules: every row in which moto is wrong. Each check must hold against the lab and must fail against plain moto."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from cloudsync.lab.pytest_plugin import Cloud, tcp

Check = Callable[[Cloud], None]
CHECKS: dict[str, Check] = {}
ANY4 = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
ANY6 = {"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}


def row(check: Check) -> Check:
    CHECKS[check.__name__] = check
    return check


def refused(cloud: Cloud, group: str, *permissions: Any) -> tuple[str, str]:
    return cloud.refusal(cloud.ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=list(permissions))


def code(cloud: Cloud, group: str, *permissions: Any) -> str:
    return refused(cloud, group, *permissions)[0]


def revoked(cloud: Cloud, group: str, *permissions: Any) -> str:
    return cloud.code(cloud.ec2.revoke_security_group_ingress, GroupId=group, IpPermissions=list(permissions))


def peers(cloud: Cloud, group: str) -> list[str]:
    shown = cloud.shown(group)["IpPermissions"]
    found = [each["CidrIp"] for one in shown for each in one["IpRanges"]]
    return sorted(found + [each["CidrIpv6"] for one in shown for each in one["Ipv6Ranges"]])


def blocks(count: int, third: int = 0) -> tuple[str, ...]:
    return tuple(f"10.{third}.{number}.0/24" for number in range(count))


@row
def row_01_host_bits_are_cleared(cloud: Cloud) -> None:
    group = cloud.group(cloud.vpc())
    cloud.ingress(group, tcp(22, v4=("10.0.0.5/24",)))
    assert peers(cloud, group) == ["10.0.0.0/24"]
    assert code(cloud, group, tcp(22, v4=("10.0.0.9/24",))) == "InvalidPermission.Duplicate"


@row
def row_02_ipv6_is_compressed_and_lower_case(cloud: Cloud) -> None:
    group = cloud.group(cloud.vpc())
    cloud.ingress(group, tcp(22, v6=("2001:0DB8:0:0::1/64",)))
    assert peers(cloud, group) == ["2001:db8::/64"]
    assert code(cloud, group, tcp(22, v6=("2001:db8::/64",))) == "InvalidPermission.Duplicate"


@row
def row_03_authorize_is_all_or_nothing_with_a_duplicate(cloud: Cloud) -> None:
    group = cloud.group(cloud.vpc())
    cloud.ingress(group, tcp(22, v4=("10.9.0.0/16",)))
    assert code(cloud, group, tcp(22, v4=("10.1.0.0/16",)), tcp(22, v4=("10.9.0.0/16",))) == "InvalidPermission.Duplicate"
    assert peers(cloud, group) == ["10.9.0.0/16"]


@row
def row_03_authorize_is_all_or_nothing_at_the_limit(cloud: Cloud) -> None:
    group = cloud.group(cloud.vpc())
    assert code(cloud, group, tcp(22, v4=blocks(40)), tcp(23, v4=blocks(40))) == "RulesPerSecurityGroupLimitExceeded"
    assert cloud.shown(group)["IpPermissions"] == []


@row
def row_04_revoke_is_all_or_nothing(cloud: Cloud) -> None:
    group = cloud.group(cloud.vpc())
    cloud.ingress(group, tcp(22, v4=("10.1.0.0/16",)))
    assert revoked(cloud, group, tcp(22, v4=("10.1.0.0/16",)), tcp(23, v4=("10.1.0.0/16",))) == "InvalidPermission.NotFound"
    assert peers(cloud, group) == ["10.1.0.0/16"]


@row
def row_04_a_default_vpc_names_what_it_did_not_find(cloud: Cloud) -> None:
    group = cloud.group(cloud.default_vpc())
    cloud.ingress(group, tcp(22, v4=("10.1.0.0/16",)))
    wanted = [tcp(22, v4=("10.1.0.0/16",)), tcp(23, v4=("10.2.0.0/16",))]
    answer = cloud.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=wanted)
    assert [each["FromPort"] for each in answer["UnknownIpPermissions"]] == [23]
    assert cloud.shown(group)["IpPermissions"] == []


@row
def row_05_the_same_rule_twice_in_one_request(cloud: Cloud) -> None:
    group = cloud.group(cloud.vpc())
    found = refused(cloud, group, tcp(22, v4=("10.1.0.0/16",)), tcp(22, v4=("10.1.0.7/16",)))
    assert found == ("InvalidParameterValue", "The same permission must not appear multiple times")
    assert cloud.shown(group)["IpPermissions"] == []


@row
def row_06_the_words_of_a_duplicate(cloud: Cloud) -> None:
    group = cloud.group(cloud.vpc())
    cloud.ingress(group, tcp(22, v4=("0.0.0.0/0",)))
    text = refused(cloud, group, tcp(22, v4=("0.0.0.0/0",)))[1]
    assert text == 'the specified rule "peer: 0.0.0.0/0, TCP, from port: 22, to port: 22, ALLOW" already exists'


@row
def row_07_a_reference_with_another_description_is_the_same_rule(cloud: Cloud) -> None:
    vpc = cloud.vpc()
    group, peer = cloud.group(vpc, "a"), cloud.group(vpc, "b")
    cloud.ingress(group, tcp(22, UserIdGroupPairs=[{"GroupId": peer, "Description": "x"}]))
    assert code(cloud, group, tcp(22, UserIdGroupPairs=[{"GroupId": peer, "Description": "y"}])) == "InvalidPermission.Duplicate"


@row
def row_08_the_answer_holds_every_rule_added(cloud: Cloud) -> None:
    group = cloud.group(cloud.vpc())
    added = cloud.ingress(group, tcp(22, v4=blocks(2)), tcp(23, v4=blocks(1)))["SecurityGroupRules"]
    assert [each["FromPort"] for each in added] == [22, 22, 23]
    assert all(each["GroupOwnerId"] and each["SecurityGroupRuleArn"].endswith(each["SecurityGroupRuleId"]) for each in added)


@row
def row_09_descriptions_of_references_and_lists_are_kept(cloud: Cloud) -> None:
    vpc = cloud.vpc()
    group, peer, listed = cloud.group(vpc, "a"), cloud.group(vpc, "b"), cloud.prefix_list(2, "10.0.0.0/8")
    cloud.ingress(
        group,
        tcp(22, UserIdGroupPairs=[{"GroupId": peer, "Description": "by group"}]),
        tcp(22, PrefixListIds=[{"PrefixListId": listed, "Description": "by list"}]),
    )
    assert sorted(each["Description"] for each in cloud.rules(group)) == ["by group", "by list"]
    shown = cloud.shown(group)["IpPermissions"][0]
    assert (shown["UserIdGroupPairs"][0]["Description"], shown["PrefixListIds"][0]["Description"]) == ("by group", "by list")


@row
def row_10_a_revoke_says_what_is_gone(cloud: Cloud) -> None:
    group = cloud.group(cloud.vpc())
    added = cloud.ingress(group, tcp(22, v4=("10.1.0.0/16",)))["SecurityGroupRules"]
    answer = cloud.ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[added[0]["SecurityGroupRuleId"]])
    assert [each["SecurityGroupRuleId"] for each in answer["RevokedSecurityGroupRules"]] == [added[0]["SecurityGroupRuleId"]]
    assert answer["RevokedSecurityGroupRules"][0]["CidrIpv4"] == "10.1.0.0/16"


@row
def row_11_nothing_to_authorize(cloud: Cloud) -> None:
    group = cloud.group(cloud.vpc())
    assert cloud.code(cloud.ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[]) == "MissingParameter"
    assert code(cloud, group, {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2}) == "InvalidParameterValue"


@row
def row_12_ports_are_needed_for_tcp_and_for_no_other(cloud: Cloud) -> None:
    group = cloud.group(cloud.vpc())
    assert code(cloud, group, {"IpProtocol": "tcp", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}) == "InvalidParameterValue"
    assert code(cloud, group, {"IpProtocol": "50", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}) == "ok"
    assert code(cloud, group, {"IpProtocol": "all", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}) == "ok"
    assert sorted(each["IpProtocol"] for each in cloud.shown(group)["IpPermissions"]) == ["-1", "50"]
    assert all("FromPort" not in each for each in cloud.shown(group)["IpPermissions"])


@row
def row_13_protocols_ports_and_icmp_types_that_do_not_exist(cloud: Cloud) -> None:
    group = cloud.group(cloud.vpc())
    somewhere = [{"CidrIp": "10.0.0.0/8"}]
    for protocol, first, last in (("999", 1, 2), ("foo", 1, 2), ("tcp", 90, 80), ("tcp", 0, 70000), ("icmp", -1, 5)):
        wanted = {"IpProtocol": protocol, "FromPort": first, "ToPort": last, "IpRanges": somewhere}
        assert code(cloud, group, wanted) == "InvalidParameterValue", wanted
    assert cloud.shown(group)["IpPermissions"] == []


@row
def row_14_protocol_58_is_icmpv6(cloud: Cloud) -> None:
    group = cloud.group(cloud.vpc())
    wanted = {"FromPort": -1, "ToPort": -1, "Ipv6Ranges": [{"CidrIpv6": "2001:db8::/32"}]}
    cloud.ingress(group, {"IpProtocol": "58", **wanted})
    assert cloud.shown(group)["IpPermissions"][0]["IpProtocol"] == "icmpv6"
    assert code(cloud, group, {"IpProtocol": "icmpv6", **wanted}) == "InvalidPermission.Duplicate"


@row
def row_15_the_words_of_a_malformed_block(cloud: Cloud) -> None:
    group = cloud.group(cloud.vpc())
    assert refused(cloud, group, tcp(22, v4=("10.0.0.5",))) == ("InvalidParameterValue", "CIDR block 10.0.0.5 is malformed")
    assert refused(cloud, group, tcp(22, v4=("10.0.0.5/33",))) == ("InvalidParameterValue", "CIDR block 10.0.0.5/33 is malformed")


@row
def row_17_rule_descriptions_come_from_a_set(cloud: Cloud) -> None:
    group = cloud.group(cloud.vpc())
    for text in ("x" * 256, "accent é", "a <b>", 'quote "'):
        wanted = tcp(22, IpRanges=[{"CidrIp": "10.0.0.0/8", "Description": text}])
        found = refused(cloud, group, wanted)
        assert found[0] == "InvalidParameterValue", text
        assert found[1].startswith("Invalid rule description."), text
    assert code(cloud, group, tcp(22, IpRanges=[{"CidrIp": "10.0.0.0/8", "Description": "x" * 255}])) == "ok"


@row
def row_19_a_reference_needs_a_peering(cloud: Cloud) -> None:
    mine, theirs = cloud.vpc("10.0.0.0/16"), cloud.vpc("10.1.0.0/16")
    group, peer = cloud.group(mine), cloud.group(theirs)
    wanted = tcp(22, UserIdGroupPairs=[{"GroupId": peer}])
    expected = ("InvalidGroup.NotFound", "You have specified two resources that belong to different networks.")
    assert refused(cloud, group, wanted) == expected
    peering = cloud.ec2.create_vpc_peering_connection(VpcId=mine, PeerVpcId=theirs)["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    assert refused(cloud, group, wanted) == expected
    cloud.ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
    cloud.ingress(group, wanted)
    pair = cloud.shown(group)["IpPermissions"][0]["UserIdGroupPairs"][0]
    assert (pair["GroupId"], pair["VpcId"], pair["PeeringStatus"]) == (peer, theirs, "active")
    cloud.ec2.delete_security_group(GroupId=peer)
    assert "UserId" not in cloud.shown(group)["IpPermissions"][0]["UserIdGroupPairs"][0]


@row
def row_21_an_unknown_prefix_list(cloud: Cloud) -> None:
    group = cloud.group(cloud.vpc())
    wanted = tcp(22, PrefixListIds=[{"PrefixListId": "pl-0123456789abcdef0"}])
    assert code(cloud, group, wanted) == "InvalidPrefixListID.NotFound"


@row
def row_22_a_prefix_list_weighs_its_max_entries(cloud: Cloud) -> None:
    group, large, small = cloud.group(cloud.vpc()), cloud.prefix_list(61, "10.0.0.0/8"), cloud.prefix_list(20, "10.0.0.0/8")
    assert code(cloud, group, tcp(22, PrefixListIds=[{"PrefixListId": large}])) == "RulesPerSecurityGroupLimitExceeded"
    cloud.ingress(group, tcp(22, PrefixListIds=[{"PrefixListId": small}]))
    assert code(cloud, group, tcp(23, v4=blocks(41))) == "RulesPerSecurityGroupLimitExceeded"
    assert code(cloud, group, tcp(23, v4=blocks(40))) == "ok"


@row
def row_23_the_four_sums_are_apart(cloud: Cloud) -> None:
    group = cloud.group(cloud.vpc())
    cloud.ingress(group, tcp(22, v4=blocks(60)))
    assert code(cloud, group, tcp(22, v6=tuple(f"2001:db8:{number:x}::/48" for number in range(60)))) == "ok"
    assert code(cloud, group, tcp(23, v4=("10.0.0.0/8",))) == "RulesPerSecurityGroupLimitExceeded"
    assert code(cloud, group, tcp(23, UserIdGroupPairs=[{"GroupId": group}])) == "RulesPerSecurityGroupLimitExceeded"


@row
def row_28_modify_makes_no_twin(cloud: Cloud) -> None:
    group = cloud.group(cloud.vpc())
    first, _ = cloud.ingress(group, tcp(22, v4=("10.1.0.0/16", "10.2.0.0/16")))["SecurityGroupRules"]
    assert modified(cloud, group, first, CidrIpv4="10.2.0.0/16") == "InvalidPermission.Duplicate"
    assert peers(cloud, group) == ["10.1.0.0/16", "10.2.0.0/16"]


@row
def row_28_modify_changes_every_kind_of_target(cloud: Cloud) -> None:
    vpc = cloud.vpc()
    group, peer, other = cloud.group(vpc, "a"), cloud.group(vpc, "b"), cloud.group(vpc, "c")
    six = cloud.ingress(group, tcp(22, v6=("2001:db8:1::/48",)))["SecurityGroupRules"][0]
    reference = cloud.ingress(group, tcp(23, UserIdGroupPairs=[{"GroupId": peer}]))["SecurityGroupRules"][0]
    assert modified(cloud, group, six, CidrIpv6="2001:db8:2::/48") == "ok"
    assert modified(cloud, group, reference, ReferencedGroupId=other) == "ok"
    assert peers(cloud, group) == ["2001:db8:2::/48"]
    assert {each["SecurityGroupRuleId"] for each in cloud.rules(group)} == {
        six["SecurityGroupRuleId"],
        reference["SecurityGroupRuleId"],
    }
    assert cloud.shown(group)["IpPermissions"][1]["UserIdGroupPairs"][0]["GroupId"] == other


@row
def row_28_modify_keeps_the_kind_and_takes_all_traffic(cloud: Cloud) -> None:
    group = cloud.group(cloud.vpc())
    rule = cloud.ingress(group, tcp(22, v4=("10.1.0.0/16",)))["SecurityGroupRules"][0]
    assert modified(cloud, group, rule, CidrIpv6="2001:db8::/32") == "InvalidParameterValue"
    body = {"IpProtocol": "-1", "CidrIpv4": "10.1.0.0/16"}
    wanted = [{"SecurityGroupRuleId": rule["SecurityGroupRuleId"], "SecurityGroupRule": body}]
    assert cloud.code(cloud.ec2.modify_security_group_rules, GroupId=group, SecurityGroupRules=wanted) == "ok"
    assert cloud.shown(group)["IpPermissions"][0]["IpProtocol"] == "-1"


def modified(cloud: Cloud, group: str, rule: dict[str, Any], **target: str) -> str:
    body = {"IpProtocol": "tcp", "FromPort": rule["FromPort"], "ToPort": rule["ToPort"], **target}
    wanted = [{"SecurityGroupRuleId": rule["SecurityGroupRuleId"], "SecurityGroupRule": body}]
    return cloud.code(cloud.ec2.modify_security_group_rules, GroupId=group, SecurityGroupRules=wanted)


@row
def row_29_descriptions_by_rule_id(cloud: Cloud) -> None:
    group = cloud.group(cloud.vpc())
    rule = cloud.ingress(group, tcp(22, v4=("10.1.0.0/16",)))["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    wanted = [{"SecurityGroupRuleId": rule, "Description": "new words"}]
    cloud.ec2.update_security_group_rule_descriptions_ingress(GroupId=group, SecurityGroupRuleDescriptions=wanted)
    assert [each["Description"] for each in cloud.rules(group)] == ["new words"]


@row
def row_29_an_empty_description_is_none_and_a_missing_rule_is_said(cloud: Cloud) -> None:
    group = cloud.group(cloud.vpc())
    cloud.ingress(group, tcp(22, IpRanges=[{"CidrIp": "10.1.0.0/16", "Description": "old"}]))
    change = cloud.ec2.update_security_group_rule_descriptions_ingress
    change(GroupId=group, IpPermissions=[tcp(22, IpRanges=[{"CidrIp": "10.1.0.0/16", "Description": ""}])])
    assert cloud.shown(group)["IpPermissions"][0]["IpRanges"] == [{"CidrIp": "10.1.0.0/16"}]
    assert cloud.code(change, GroupId=group, IpPermissions=[tcp(99, v4=("10.1.0.0/16",))]) == "InvalidPermission.NotFound"


@row
def row_40_no_ipv6_egress_without_ipv6(cloud: Cloud) -> None:
    group = cloud.group(cloud.vpc())
    assert cloud.code(cloud.ec2.revoke_security_group_egress, GroupId=group, IpPermissions=[ANY6]) == "InvalidPermission.NotFound"
    assert cloud.code(cloud.ec2.revoke_security_group_egress, GroupId=group, IpPermissions=[ANY4, ANY6]) == "InvalidPermission.NotFound"
    assert len(cloud.shown(group)["IpPermissionsEgress"]) == 1


@pytest.mark.parametrize("name", CHECKS)
def test_the_lab_answers_as_ec2_does(name: str, cloud: Cloud) -> None:
    CHECKS[name](cloud)


@pytest.mark.parametrize("name", CHECKS)
def test_plain_moto_does_not(name: str, plain_moto: Cloud) -> None:
    with pytest.raises((AssertionError, ClientError, ResponseParserError, LookupError)):
        CHECKS[name](plain_moto)

"""Groups, interfaces, instances and paging: each check holds against the lab and fails against plain moto."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from cloudsync.lab.pytest_plugin import Cloud, tcp

Check = Callable[[Cloud], None]
CHECKS: dict[str, Check] = {}
IMAGE = "ami-12c6146b"


def row(check: Check) -> Check:
    CHECKS[check.__name__] = check
    return check


def made(cloud: Cloud, vpc: str, name: str = "one", text: str = "text", **more: Any) -> str:
    return cloud.code(cloud.ec2.create_security_group, GroupName=name, Description=text, VpcId=vpc, **more)


def filtered(cloud: Cloud, call: str, name: str, value: str, key: str) -> list[Any]:
    found = getattr(cloud.ec2, call)(Filters=[{"Name": name, "Values": [value]}])[key]
    assert isinstance(found, list)
    return found


def interface(cloud: Cloud, subnet: str, *groups: str) -> str:
    extra = {"Groups": list(groups)} if groups else {}
    return str(cloud.ec2.create_network_interface(SubnetId=subnet, **extra)["NetworkInterface"]["NetworkInterfaceId"])


def attached(cloud: Cloud, eni: str) -> list[str]:
    found = cloud.ec2.describe_network_interfaces(NetworkInterfaceIds=[eni])["NetworkInterfaces"][0]
    return sorted(group["GroupId"] for group in found["Groups"])


def attach(cloud: Cloud, eni: str, *groups: str) -> str:
    return cloud.code(cloud.ec2.modify_network_interface_attribute, NetworkInterfaceId=eni, Groups=list(groups))


def launch(cloud: Cloud, subnet: str, *groups: str, **more: Any) -> Any:
    extra = {"SecurityGroupIds": list(groups)} if groups else {}
    launched = cloud.ec2.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType="t3.micro", SubnetId=subnet, **extra, **more)
    return launched["Instances"][0]


@row
def row_12_filters_that_moto_lacks(cloud: Cloud) -> None:
    group, listed = cloud.group(cloud.vpc()), cloud.prefix_list(2, "10.0.0.0/8")
    cloud.ingress(group, tcp(22, v6=("2001:db8::/32",)), tcp(23, PrefixListIds=[{"PrefixListId": listed}]))
    found = filtered(cloud, "describe_security_groups", "ip-permission.ipv6-cidr", "2001:db8::/32", "SecurityGroups")
    also = filtered(cloud, "describe_security_groups", "ip-permission.prefix-list-id", listed, "SecurityGroups")
    assert [each["GroupId"] for each in found + also] == [group, group]


@row
def row_12_instances_by_the_group_of_an_interface(cloud: Cloud) -> None:
    vpc = cloud.vpc()
    subnet, group = cloud.subnet(vpc), cloud.group(vpc)
    instance = launch(cloud, subnet, group)
    found = filtered(cloud, "describe_instances", "network-interface.group-id", group, "Reservations")
    assert [each["InstanceId"] for one in found for each in one["Instances"]] == [instance["InstanceId"]]


@row
def row_12_an_unknown_filter_is_refused_in_the_vendors_format(cloud: Cloud) -> None:
    wanted = [{"Name": "no-such-thing", "Values": ["x"]}]
    for call in ("describe_security_groups", "describe_network_interfaces", "describe_instances", "describe_security_group_rules"):
        assert cloud.code(getattr(cloud.ec2, call), Filters=wanted) == "InvalidParameterValue", call


@row
def row_12_delete_by_name(cloud: Cloud) -> None:
    group = cloud.group(cloud.default_vpc(), "by-name")
    assert cloud.code(cloud.ec2.delete_security_group, GroupName="by-name") == "ok"
    assert cloud.code(cloud.ec2.describe_security_groups, GroupIds=[group]) == "InvalidGroup.NotFound"
    assert cloud.code(cloud.ec2.delete_security_group, GroupName="by-name") == "InvalidGroup.NotFound"
    assert made(cloud, cloud.default_vpc(), "BY-name") == "ok"
    assert made(cloud, cloud.default_vpc(), "by-NAME") == "InvalidGroup.Duplicate"


@row
def row_12_peerings_are_filtered(cloud: Cloud) -> None:
    mine, theirs, third = (cloud.vpc(f"10.{number}.0.0/16") for number in range(3))
    made = [cloud.ec2.create_vpc_peering_connection(VpcId=mine, PeerVpcId=each)["VpcPeeringConnection"] for each in (theirs, third)]
    active = made[0]["VpcPeeringConnectionId"]
    cloud.ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=active)
    found = filtered(cloud, "describe_vpc_peering_connections", "status-code", "active", "VpcPeeringConnections")
    assert [each["VpcPeeringConnectionId"] for each in found] == [active]
    assert (found[0]["RequesterVpcInfo"]["VpcId"], found[0]["AccepterVpcInfo"]["CidrBlock"]) == (mine, "10.1.0.0/16")


@row
def interfaces_of_services_say_so(cloud: Cloud) -> None:
    vpc = cloud.vpc()
    subnet, group = cloud.subnet(vpc), cloud.group(vpc)
    address = cloud.ec2.allocate_address(Domain="vpc")["AllocationId"]
    gateway = cloud.ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)["NatGateway"]["NatGatewayId"]
    service = {"ServiceName": "com.amazonaws.us-east-1.ec2", "VpcEndpointType": "Interface"}
    cloud.ec2.create_vpc_endpoint(VpcId=vpc, SubnetIds=[subnet], SecurityGroupIds=[group], **service)
    found = {each["InterfaceType"]: each for each in filtered(cloud, "describe_network_interfaces", "vpc-id", vpc, "NetworkInterfaces")}
    assert [each["RequesterManaged"] for each in found.values()] == [True, True]
    assert found["nat_gateway"]["Groups"] == []
    assert [each["GroupId"] for each in found["vpc_endpoint"]["Groups"]] == [group]
    assert cloud.code(cloud.ec2.delete_security_group, GroupId=group) == "DependencyViolation"
    cloud.ec2.delete_nat_gateway(NatGatewayId=gateway)
    left = filtered(cloud, "describe_network_interfaces", "vpc-id", vpc, "NetworkInterfaces")
    assert [each["InterfaceType"] for each in left] == ["vpc_endpoint"]


@row
def row_16_names_and_texts_come_from_a_set(cloud: Cloud) -> None:
    vpc = cloud.vpc()
    for name in ("x" * 256, "accént", "a<b>", "sg-mine"):
        assert made(cloud, vpc, name) == "InvalidParameterValue", name
    for text in ("x" * 256, "accént", "a<b>"):
        found = cloud.refusal(cloud.ec2.create_security_group, GroupName="fine", Description=text, VpcId=vpc)
        assert found[0] == "InvalidParameterValue", text
        assert found[1].startswith("Invalid security group description. Valid descriptions are strings less than 256 characters")
    assert made(cloud, vpc, "x" * 255, "a-Z0 ._-:/()#,@[]+=&;{}!$*") == "ok"


@row
def row_16_names_differ_not_only_by_case(cloud: Cloud) -> None:
    vpc = cloud.vpc()
    assert made(cloud, vpc, "Web") == "ok"
    assert made(cloud, vpc, "wEB") == "InvalidGroup.Duplicate"
    assert made(cloud, cloud.vpc("10.1.0.0/16"), "wEB") == "ok"


@row
def row_18_unknown_vpc_wrong_tag_type_and_reserved_tags(cloud: Cloud) -> None:
    vpc = cloud.vpc()
    assert made(cloud, "vpc-0123456789abcdef0") == "InvalidVpcID.NotFound"
    for kind, key in (("instance", "a"), ("security-group", "aws:mine")):
        wanted = [{"ResourceType": kind, "Tags": [{"Key": key, "Value": "b"}]}]
        assert made(cloud, vpc, TagSpecifications=wanted) == "InvalidParameterValue", kind
    group = cloud.group(vpc)
    assert cloud.code(cloud.ec2.create_tags, Resources=[group], Tags=[{"Key": "aws:x", "Value": "y"}]) == "InvalidParameterValue"
    assert cloud.code(cloud.ec2.create_tags, Resources=[vpc], Tags=[{"Key": "aws:x", "Value": "y"}]) == "InvalidParameterValue"


@row
def row_24_a_group_in_use_stays(cloud: Cloud) -> None:
    vpc = cloud.vpc()
    group, subnet = cloud.group(vpc), cloud.subnet(vpc)
    eni = interface(cloud, subnet, group)
    assert cloud.code(cloud.ec2.delete_security_group, GroupId=group) == "DependencyViolation"
    cloud.ec2.delete_network_interface(NetworkInterfaceId=eni)
    assert cloud.code(cloud.ec2.delete_security_group, GroupId=group) == "ok"


@row
def row_24_a_group_that_is_referred_to_stays(cloud: Cloud) -> None:
    vpc = cloud.vpc()
    group, peer = cloud.group(vpc, "a"), cloud.group(vpc, "b")
    cloud.ingress(group, tcp(22, UserIdGroupPairs=[{"GroupId": peer}]))
    cloud.ingress(group, tcp(23, UserIdGroupPairs=[{"GroupId": group}]))
    assert cloud.code(cloud.ec2.delete_security_group, GroupId=peer) == "DependencyViolation"
    assert cloud.code(cloud.ec2.delete_security_group, GroupId=group) == "ok"
    assert cloud.code(cloud.ec2.delete_security_group, GroupId=peer) == "ok"


@row
def row_24_the_default_group_stays(cloud: Cloud) -> None:
    group = filtered(cloud, "describe_security_groups", "vpc-id", cloud.vpc(), "SecurityGroups")[0]["GroupId"]
    assert cloud.code(cloud.ec2.delete_security_group, GroupId=group) == "CannotDelete"


@row
def row_25_the_default_group_lets_itself_in(cloud: Cloud) -> None:
    group = filtered(cloud, "describe_security_groups", "vpc-id", cloud.vpc(), "SecurityGroups")[0]
    assert [each["GroupId"] for each in group["IpPermissions"][0]["UserIdGroupPairs"]] == [group["GroupId"]]
    assert group["IpPermissions"][0]["IpProtocol"] == "-1"


@row
def row_26_the_group_set_of_an_interface(cloud: Cloud) -> None:
    vpc, other = cloud.vpc(), cloud.vpc("10.1.0.0/16")
    subnet, groups = cloud.subnet(vpc), [cloud.group(vpc, f"g{number}") for number in range(6)]
    eni = interface(cloud, subnet, groups[0])
    assert attach(cloud, eni) == "MissingParameter"
    assert attach(cloud, eni, *groups) == "SecurityGroupsPerInterfaceLimitExceeded"
    assert attach(cloud, eni, "sg-0123456789abcdef0") == "InvalidGroup.NotFound"
    assert attach(cloud, eni, cloud.group(other)) == "InvalidGroup.NotFound"
    assert attached(cloud, eni) == [groups[0]]
    assert attach(cloud, eni, groups[1], groups[1]) == "ok"
    assert attached(cloud, eni) == [groups[1]]


@row
def row_26_new_interfaces_are_checked_too(cloud: Cloud) -> None:
    vpc = cloud.vpc()
    subnet, groups = cloud.subnet(vpc), [cloud.group(vpc, f"g{number}") for number in range(6)]
    create = cloud.ec2.create_network_interface
    assert cloud.code(create, SubnetId=subnet, Groups=groups) == "SecurityGroupsPerInterfaceLimitExceeded"
    assert cloud.code(create, SubnetId=subnet, Groups=["sg-0123456789abcdef0"]) == "InvalidGroup.NotFound"


@row
def row_27_the_interface_is_the_truth(cloud: Cloud) -> None:
    vpc = cloud.vpc()
    subnet, first, second = cloud.subnet(vpc), cloud.group(vpc, "a"), cloud.group(vpc, "b")
    launched = launch(cloud, subnet, first)
    eni = launched["NetworkInterfaces"][0]["NetworkInterfaceId"]
    assert attached(cloud, eni) == [first]
    assert attach(cloud, eni, second) == "ok"
    assert attached(cloud, eni) == [second]
    found = cloud.ec2.describe_instances(InstanceIds=[launched["InstanceId"]])["Reservations"][0]["Instances"][0]
    assert [group["GroupId"] for group in found["SecurityGroups"]] == [second]


@row
def row_27_an_instances_groups_are_those_of_the_primary_interface(cloud: Cloud) -> None:
    vpc = cloud.vpc()
    subnet, first, second = cloud.subnet(vpc), cloud.group(vpc, "a"), cloud.group(vpc, "b")
    nics = [{"DeviceIndex": 0, "SubnetId": subnet, "Groups": [first]}, {"DeviceIndex": 1, "SubnetId": subnet, "Groups": [second]}]
    run = cloud.ec2.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, NetworkInterfaces=nics)["Instances"][0]
    found = cloud.ec2.describe_instances(InstanceIds=[run["InstanceId"]])["Reservations"][0]["Instances"][0]
    assert [group["GroupId"] for group in found["SecurityGroups"]] == [first]
    assert {nic["Attachment"]["DeviceIndex"]: nic["Groups"][0]["GroupId"] for nic in found["NetworkInterfaces"]} == {0: first, 1: second}


@row
def row_30_groups_rules_and_interfaces_come_in_pages(cloud: Cloud) -> None:
    vpc = cloud.vpc()
    subnet, groups = cloud.subnet(vpc), [cloud.group(vpc, f"g{number}") for number in range(12)]
    for group in groups:
        interface(cloud, subnet, group)
    wanted = [{"Name": "vpc-id", "Values": [vpc]}]
    for call, key, filters, count in (
        ("describe_security_groups", "SecurityGroups", wanted, 13),
        ("describe_network_interfaces", "NetworkInterfaces", wanted, 12),
        ("describe_security_group_rules", "SecurityGroupRules", [{"Name": "group-id", "Values": groups}], 12),
    ):
        pages = list(cloud.ec2.get_paginator(call).paginate(Filters=filters, PaginationConfig={"PageSize": 5}))
        assert [len(page[key]) for page in pages] == [5, 5, count - 10], call
        seen = [repr(each) for page in pages for each in page[key]]
        assert len(set(seen)) == count


@row
def row_30_a_token_is_checked_and_so_is_the_size(cloud: Cloud) -> None:
    for call in ("describe_security_groups", "describe_network_interfaces", "describe_instances", "describe_vpcs"):
        method = getattr(cloud.ec2, call)
        assert cloud.code(method, MaxResults=5, NextToken="made-up") == "InvalidPaginationToken", call
        assert cloud.code(method, MaxResults=4) == "InvalidParameterValue", call
        assert cloud.code(method, MaxResults=1001) == "InvalidParameterValue", call


@row
def row_30_vpcs_and_peerings_come_in_pages(cloud: Cloud) -> None:
    vpcs = [cloud.vpc(f"10.{number}.0.0/16") for number in range(7)]
    for other in vpcs[1:]:
        cloud.ec2.create_vpc_peering_connection(VpcId=vpcs[0], PeerVpcId=other)
    for call, key, count in (("describe_vpcs", "Vpcs", 8), ("describe_vpc_peering_connections", "VpcPeeringConnections", 6)):
        pages = list(cloud.ec2.get_paginator(call).paginate(PaginationConfig={"PageSize": 5}))
        assert [len(page[key]) for page in pages] == [5, count - 5], call
    shown = cloud.ec2.describe_vpcs(VpcIds=[vpcs[3]])["Vpcs"][0]
    assert (shown["CidrBlock"], shown["State"]) == ("10.3.0.0/16", "available")


@row
def row_31_only_the_unknown_ones_are_named(cloud: Cloud) -> None:
    known, unknown = cloud.group(cloud.vpc()), "sg-0123456789abcdef0"
    found = cloud.refusal(cloud.ec2.describe_security_groups, GroupIds=[known, unknown])
    assert found == ("InvalidGroup.NotFound", f"The security group '{unknown}' does not exist")
    assert cloud.code(cloud.ec2.describe_security_groups, GroupIds=["nonsense"]) == "InvalidGroupId.Malformed"


@row
def row_37_stale_groups_and_references_exist(cloud: Cloud) -> None:
    mine, theirs = cloud.vpc("10.0.0.0/16"), cloud.vpc("10.1.0.0/16")
    group, peer = cloud.group(mine), cloud.group(theirs)
    peering = cloud.ec2.create_vpc_peering_connection(VpcId=mine, PeerVpcId=theirs)["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    cloud.ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
    cloud.ingress(group, tcp(22, UserIdGroupPairs=[{"GroupId": peer}]))
    found = cloud.ec2.describe_security_group_references(GroupId=[peer])["SecurityGroupReferenceSet"]
    assert [(each["GroupId"], each["ReferencingVpcId"]) for each in found] == [(peer, mine)]
    assert cloud.ec2.describe_stale_security_groups(VpcId=mine)["StaleSecurityGroupSet"] == []
    cloud.ec2.delete_security_group(GroupId=peer)
    stale = cloud.ec2.describe_stale_security_groups(VpcId=mine)["StaleSecurityGroupSet"]
    assert [each["GroupId"] for each in stale] == [group]


@row
def row_37_groups_can_be_shared_with_another_vpc(cloud: Cloud) -> None:
    mine, other = cloud.vpc("10.0.0.0/16"), cloud.vpc("10.1.0.0/16")
    group, subnet = cloud.group(mine), cloud.subnet(other, "10.1.0.0/24")
    assert cloud.ec2.associate_security_group_vpc(GroupId=group, VpcId=other)["State"] == "associating"
    eni = interface(cloud, subnet, group)
    assert attached(cloud, eni) == [group]
    usable = cloud.ec2.get_security_groups_for_vpc(VpcId=other)["SecurityGroupForVpcs"]
    assert group in [each["GroupId"] for each in usable]
    assert cloud.code(cloud.ec2.disassociate_security_group_vpc, GroupId=group, VpcId=other) == "DependencyViolation"


@row
def row_37_service_quotas(cloud: Cloud) -> None:
    quotas = cloud.client("service-quotas")
    assert quotas.get_service_quota(ServiceCode="vpc", QuotaCode="L-0EA8095F")["Quota"]["Value"] == 60.0
    quotas.request_service_quota_increase(ServiceCode="vpc", QuotaCode="L-0EA8095F", DesiredValue=100)
    assert quotas.get_service_quota(ServiceCode="vpc", QuotaCode="L-0EA8095F")["Quota"]["Value"] == 100.0
    group = cloud.group(cloud.vpc())
    cloud.ingress(group, tcp(22, v4=tuple(f"10.0.{number}.0/24" for number in range(100))))
    increase = quotas.request_service_quota_increase
    assert cloud.code(increase, ServiceCode="vpc", QuotaCode="L-0EA8095F", DesiredValue=250) == "IllegalArgumentException"


@row
def row_38_a_terminated_instance_has_no_interfaces(cloud: Cloud) -> None:
    vpc = cloud.vpc()
    subnet, group = cloud.subnet(vpc), cloud.group(vpc)
    kept = interface(cloud, subnet, group)
    nics = [{"DeviceIndex": 0, "SubnetId": subnet, "Groups": [group]}, {"DeviceIndex": 1, "NetworkInterfaceId": kept}]
    launched = cloud.ec2.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, NetworkInterfaces=nics)["Instances"][0]
    assert cloud.code(cloud.ec2.delete_network_interface, NetworkInterfaceId=kept) == "InvalidParameterValue"
    cloud.ec2.terminate_instances(InstanceIds=[launched["InstanceId"]])
    left = filtered(cloud, "describe_network_interfaces", "vpc-id", vpc, "NetworkInterfaces")
    assert [(each["NetworkInterfaceId"], each["Status"]) for each in left] == [(kept, "available")]
    found = cloud.ec2.describe_instances(InstanceIds=[launched["InstanceId"]])["Reservations"][0]["Instances"][0]
    assert (found["State"]["Name"], found["NetworkInterfaces"]) == ("terminated", [])
    assert cloud.code(cloud.ec2.delete_network_interface, NetworkInterfaceId=kept) == "ok"
    assert cloud.code(cloud.ec2.delete_security_group, GroupId=group) == "ok"


@row
def ipv6_egress_appears_when_a_vpc_gets_a_block(cloud: Cloud) -> None:
    vpc = cloud.vpc()
    untouched, touched = cloud.group(vpc, "a"), cloud.group(vpc, "b")
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    cloud.ec2.revoke_security_group_egress(GroupId=touched, IpPermissions=everything)
    cloud.ec2.associate_vpc_cidr_block(VpcId=vpc, AmazonProvidedIpv6CidrBlock=True)
    assert [each["CidrIpv6"] for each in cloud.rules(untouched, egress=True) if "CidrIpv6" in each] == ["::/0"]
    assert cloud.rules(touched, egress=True) == []


@row
def row_18_text_that_no_answer_can_hold(cloud: Cloud) -> None:
    vpc = cloud.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    code = cloud.code(cloud.ec2.create_tags, Resources=[vpc], Tags=[{"Key": "Name", "Value": "\x1b[2J"}])
    assert code == "InvalidParameterValue"
    assert cloud.ec2.describe_vpcs()["Vpcs"]


@pytest.mark.parametrize("name", CHECKS)
def test_the_lab_answers_as_ec2_does(name: str, cloud: Cloud) -> None:
    CHECKS[name](cloud)


@pytest.mark.parametrize("name", CHECKS)
def test_plain_moto_does_not(name: str, plain_moto: Cloud) -> None:
    with pytest.raises((AssertionError, ClientError, ResponseParserError, LookupError)):
        CHECKS[name](plain_moto)

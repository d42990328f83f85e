"""Several accounts and regions, an Auto Scaling group, the seeded estate, and other services behind the same port."""

from __future__ import annotations

import json
from typing import Any

import boto3

from cloudsync.lab.pytest_plugin import Cloud, cloud_of, tcp
from cloudsync.lab.server import Lab

OTHER = "444455556666"


def instances(cloud: Cloud, *states: str) -> list[Any]:
    wanted = [{"Name": "instance-state-name", "Values": list(states or ("running", "stopped"))}]
    found = cloud.ec2.describe_instances(Filters=wanted)["Reservations"]
    return [each for one in found for each in one["Instances"]]


def identity(cloud: Cloud) -> str:
    return str(cloud.client("sts").get_caller_identity()["Account"])


def test_each_key_acts_in_its_account(aws_lab: Lab) -> None:
    accounts = [each.account for each in aws_lab.state.accounts]
    assert [identity(cloud_of(aws_lab, account)) for account in accounts] == accounts
    assert identity(Cloud(aws_lab.endpoint, "anything-else")) == aws_lab.state.account
    assert identity(Cloud(aws_lab.endpoint, "123412341234")) == "123412341234"


def test_a_role_is_assumed_into_another_account(aws_lab: Lab, cloud: Cloud) -> None:
    role = f"arn:aws:iam::{OTHER}:role/cloudsync"
    keys = cloud.client("sts").assume_role(RoleArn=role, RoleSessionName="run")["Credentials"]
    there = Cloud(aws_lab.endpoint, keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    assert identity(there) == OTHER
    assert aws_lab.control.log() == []  # no write: who counts writes sees none, and @write faults leave it alone
    vpc = there.vpc("10.77.0.0/16")
    assert vpc in [each["VpcId"] for each in cloud_of(aws_lab, OTHER).ec2.describe_vpcs()["Vpcs"]]
    assert vpc not in [each["VpcId"] for each in cloud.ec2.describe_vpcs()["Vpcs"]]


def test_a_user_made_through_iam_acts_in_its_account(aws_lab: Lab) -> None:
    iam = cloud_of(aws_lab, OTHER).client("iam")
    iam.create_user(UserName="pat")
    key = iam.create_access_key(UserName="pat")["AccessKey"]
    assert identity(Cloud(aws_lab.endpoint, key["AccessKeyId"], key["SecretAccessKey"])) == OTHER


def test_regions_are_apart(aws_lab: Lab, cloud: Cloud) -> None:
    away = cloud_of(aws_lab, region="eu-west-1")
    group = away.group(away.vpc("10.88.0.0/16"))
    assert cloud.code(cloud.ec2.describe_security_groups, GroupIds=[group]) == "InvalidGroup.NotFound"
    assert ":eu-west-1:" in away.shown(group)["SecurityGroupArn"]


def test_row_20_a_reference_to_another_accounts_group_over_a_peering(aws_lab: Lab, cloud: Cloud) -> None:
    there = cloud_of(aws_lab, OTHER)
    mine, theirs = cloud.vpc("10.0.0.0/16"), there.vpc("10.1.0.0/16")
    group, peer = cloud.group(mine), there.group(theirs)
    rule = tcp(22, UserIdGroupPairs=[{"GroupId": peer, "UserId": OTHER}])
    authorize = cloud.ec2.authorize_security_group_ingress
    assert cloud.code(authorize, GroupId=group, IpPermissions=[rule]) == "InvalidGroup.NotFound"
    asked = cloud.ec2.create_vpc_peering_connection(VpcId=mine, PeerVpcId=theirs, PeerOwnerId=OTHER)
    there.ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=asked["VpcPeeringConnection"]["VpcPeeringConnectionId"])
    cloud.ingress(group, rule)
    pair = cloud.shown(group)["IpPermissions"][0]["UserIdGroupPairs"][0]
    assert (pair["UserId"], pair["GroupId"], pair["VpcId"], pair["PeeringStatus"]) == (OTHER, peer, theirs, "active")
    assert cloud.code(authorize, GroupId=group, IpPermissions=[tcp(23, UserIdGroupPairs=[{"GroupId": peer}])]) == "ok"


def test_an_auto_scaling_group_doubles_and_shrinks(aws_lab: Lab, cloud: Cloud) -> None:
    vpc = cloud.vpc()
    subnet, launched_with, later = cloud.subnet(vpc), cloud.group(vpc, "a"), cloud.group(vpc, "b")
    body = {"ImageId": "ami-12c6146b", "InstanceType": "t3.micro", "SecurityGroupIds": [launched_with]}
    cloud.ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=body)
    scaling = cloud.client("autoscaling")
    scaling.create_auto_scaling_group(
        AutoScalingGroupName="web",
        MinSize=1,
        MaxSize=10,
        DesiredCapacity=3,
        VPCZoneIdentifier=subnet,
        LaunchTemplate={"LaunchTemplateName": "web"},
        Tags=[{"Key": "Role", "Value": "web", "PropagateAtLaunch": True}],
    )
    first = instances(cloud)
    assert [{tag["Key"]: tag["Value"] for tag in each["Tags"]}["Role"] for each in first] == ["web"] * 3
    nic = first[0]["NetworkInterfaces"][0]["NetworkInterfaceId"]
    cloud.ec2.modify_network_interface_attribute(NetworkInterfaceId=nic, Groups=[later])
    scaling.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=6)
    carried = carriers(cloud, vpc)
    assert carried.pop(nic) == [later]
    assert list(carried.values()) == [[launched_with]] * 5
    scaling.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=1)
    assert len(instances(cloud, "running")) == 1
    assert len(carriers(cloud, vpc)) == 1
    scaling.delete_auto_scaling_group(AutoScalingGroupName="web", ForceDelete=True)
    assert carriers(cloud, vpc) == {}


def test_a_launch_template_may_name_groups_on_its_interface(cloud: Cloud) -> None:
    vpc = cloud.vpc()
    subnet, group = cloud.subnet(vpc), cloud.group(vpc, "a")
    nic = {"DeviceIndex": 0, "Groups": [group]}
    body = {"ImageId": "ami-12c6146b", "InstanceType": "t3.micro", "NetworkInterfaces": [nic]}
    template = cloud.ec2.create_launch_template(LaunchTemplateName="nic", LaunchTemplateData=body)["LaunchTemplate"]
    cloud.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName="nic",
        MinSize=2,
        MaxSize=2,
        VPCZoneIdentifier=subnet,
        LaunchTemplate={"LaunchTemplateId": template["LaunchTemplateId"]},
    )
    assert list(carriers(cloud, vpc).values()) == [[group], [group]]


def carriers(cloud: Cloud, vpc: str) -> dict[str, list[str]]:
    wanted = [{"Name": "vpc-id", "Values": [vpc]}]
    found = cloud.ec2.describe_network_interfaces(Filters=wanted)["NetworkInterfaces"]
    return {each["NetworkInterfaceId"]: [group["GroupId"] for group in each["Groups"]] for each in found}


# --- the seeded estate ------------------------------------------------------------------------------------


def picture(cloud: Cloud) -> str:
    """Everything that the estate is, without the times."""
    parts = [
        cloud.ec2.describe_vpcs()["Vpcs"],
        cloud.ec2.describe_security_groups()["SecurityGroups"],
        cloud.ec2.describe_network_interfaces()["NetworkInterfaces"],
        instances(cloud),
        cloud.ec2.describe_managed_prefix_lists()["PrefixLists"],
    ]
    return json.dumps(parts, default=lambda _time: "")


def test_the_small_estate_is_the_same_for_the_same_seed(aws_lab: Lab) -> None:
    pictures = []
    for seed in (7, 7, 8):
        aws_lab.control.reset(estate="small", seed=seed)
        pictures.append(picture(cloud_of(aws_lab)))
    assert pictures[0] == pictures[1]
    assert pictures[0] != pictures[2]


def test_the_small_estate_is_a_believable_mess(aws_lab: Lab) -> None:
    aws_lab.control.reset(estate="small")
    cloud = cloud_of(aws_lab)
    found = instances(cloud)
    assert len(found) == 40
    assert len(cloud.ec2.describe_vpcs()["Vpcs"]) == 3
    assert len({each["VpcId"] for each in found}) == 3
    assert sum(len(each["NetworkInterfaces"]) == 2 for each in found) == 2
    assert sum(each["State"]["Name"] == "stopped" for each in found) == 3
    assert sum("PublicIpAddress" in each for each in found) == 9
    assert any(nic["Ipv6Addresses"] for each in found for nic in each["NetworkInterfaces"])
    peerings = cloud.ec2.describe_vpc_peering_connections()["VpcPeeringConnections"]
    assert [each["Status"]["Code"] for each in peerings] == ["active"]
    tags = [{tag["Key"]: tag["Value"] for tag in each["Tags"]} for each in found]
    assert {each.get("Role") for each in tags} >= {"web", "Web", "APP ", None}
    interfaces = cloud.ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert {(each["RequesterManaged"], each["InterfaceType"]) for each in interfaces} == {
        (True, "interface"),
        (False, "lambda"),
        (False, "interface"),
    }
    used = {group["GroupId"] for each in interfaces for group in each["Groups"]}
    groups = cloud.ec2.describe_security_groups()["SecurityGroups"]
    assert {each["GroupName"] for each in groups if each["GroupId"] not in used} >= {"unused-2019"}
    assert any(rule["PrefixListIds"] for each in groups for rule in each["IpPermissions"])
    managed = [each["NetworkInterfaceId"] for each in interfaces if each["RequesterManaged"]]
    change = cloud.ec2.modify_network_interface_attribute
    assert cloud.code(change, NetworkInterfaceId=managed[0], Groups=list(used)[:1]) == "OperationNotPermitted"


def test_other_services_answer_behind_the_same_port(aws_lab: Lab) -> None:
    keys = aws_lab.state
    session = boto3.session.Session(keys.access_key_id, keys.secret_access_key, region_name=keys.region)
    ssm = session.client("ssm", endpoint_url=aws_lab.endpoint)
    ssm.put_parameter(Name="/a", Value="b", Type="String")
    assert ssm.get_parameter(Name="/a")["Parameter"]["Value"] == "b"
    assert aws_lab.control.calls()["ssm:PutParameter"] == 1

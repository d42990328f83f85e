"""A simulated AWS account as a stage: built and looked at through plain boto3, as any client would."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from ipaddress import ip_address
from typing import Any

import pytest

from cloudsync.adapter import Adapter, AdapterFactory, TargetSettings
from cloudsync.lab.server import Lab
from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync.testing.contract import Facts, Hole, Passes, WriteFault
from cloudsync_aws import ADAPTER
from cloudsync_aws.limits import PAGE_SIZE
from tests.contract.hurry import Hurry
from tests.oracle import cloud
from tests.oracle.reach import Reach
from tests.oracle.reading import Service

FAULTS = {
    WriteFault.LOST_BEFORE: "reset_before",
    WriteFault.LOST_AFTER: "reset_after",
    WriteFault.LATE: "late",
    WriteFault.REFUSED: "denied",
    WriteFault.THROTTLED: "throttle",
}
GROUPS_PER_CARD = 5
"""EC2's default; what does not fit into one group goes into further ones."""
OWNER_TAG = "cloudsync:owner"
PROTOCOLS = {6: "tcp", 17: "udp", 1: "icmp", 58: "icmpv6"}


LATE_CALLS = 7
"""How many calls later a late write takes effect: some runs see it come, some have stopped by then."""


class AwsStage:
    """One empty account of a running lab."""

    def __init__(self, lab: Lab, patch: pytest.MonkeyPatch) -> None:
        self.facts = Facts(package="cloudsync_aws", sdk=("boto3", "botocore"))
        self.factory: AdapterFactory = ADAPTER
        self.clock = Hurry()
        self.lab, self.patch = lab, patch
        lab.control.reset("empty", 1)
        state = lab.state
        patch.setenv("AWS_ACCESS_KEY_ID", state.access_key_id)
        patch.setenv("AWS_SECRET_ACCESS_KEY", state.secret_access_key)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        self.access = cloud.Access(lab.endpoint, state.account, state.access_key_id, state.secret_access_key, state.region)
        self.ec2: Any = self.access.client()
        self.cards: dict[str, str] = {}
        self._network()

    def _network(self) -> None:
        vpc = self.ec2.create_vpc(CidrBlock="10.20.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]
        self.vpc = str(vpc["VpcId"])
        prefix = vpc["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"].split("/")[0]
        self.subnet = self.ec2.create_subnet(VpcId=self.vpc, CidrBlock="10.20.1.0/24", Ipv6CidrBlock=f"{prefix}/64")["Subnet"]["SubnetId"]
        self.bare = self._group("bare")

    def _group(self, name: str) -> str:
        return str(self.ec2.create_security_group(GroupName=name, Description="from before", VpcId=self.vpc)["GroupId"])

    # --- the world before us ---

    def add_workload(self, name: str, labels: Mapping[str, str]) -> tuple[str, ...]:
        tags = [{"Key": key, "Value": value} for key, value in {**labels, "Name": name}.items()]
        card = {"DeviceIndex": 0, "SubnetId": self.subnet, "Groups": [self.bare], "Ipv6AddressCount": 1}
        made = self.ec2.run_instances(
            ImageId="ami-12c6146b",
            MinCount=1,
            MaxCount=1,
            NetworkInterfaces=[card],
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        )["Instances"][0]
        card_id = str(made["NetworkInterfaces"][0]["NetworkInterfaceId"])
        self.cards[name] = card_id
        (shown,) = self.ec2.describe_network_interfaces(NetworkInterfaceIds=[card_id])["NetworkInterfaces"]
        return tuple(str(one) for one in cloud.private_addresses(shown))

    def remove_workload(self, name: str) -> None:
        (card,) = self.ec2.describe_network_interfaces(NetworkInterfaceIds=[self.cards.pop(name)])["NetworkInterfaces"]
        self.ec2.terminate_instances(InstanceIds=[card["Attachment"]["InstanceId"]])

    def add_foreign(self, name: str, workloads: Iterable[str], holes: Iterable[Hole]) -> None:
        group = self._group(name)
        self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission(hole) for hole in holes])
        for workload in workloads:
            groups = self._groups(workload)
            self.ec2.modify_network_interface_attribute(NetworkInterfaceId=self.cards[workload], Groups=[*groups, group])

    def _groups(self, workload: str) -> list[str]:
        (shown,) = self.ec2.describe_network_interfaces(NetworkInterfaceIds=[self.cards[workload]])["NetworkInterfaces"]
        return [one["GroupId"] for one in shown["Groups"]]

    def target(self, mode: TargetMode) -> TargetSettings:
        return self._target(mode, self.lab.state.account)

    def stranger(self) -> TargetSettings:
        return self._target(TargetMode.EXCLUSIVE, "999999999999")

    def _target(self, mode: TargetMode, account: str) -> TargetSettings:
        options = {"account": account, "regions": [self.lab.state.region], "vpcs": [self.vpc]}
        return TargetSettings("aws-lab", "aws", mode, options, Where("cloudsync.yaml"), self.lab.endpoint)

    def open(self, target: TargetSettings, owner: str) -> Adapter:
        return self.factory.open(target, owner, self.clock)

    # --- the platform's own truth ---

    def truth(self) -> Passes:
        estate = cloud.read(self.access)

        @cache
        def reach(protocol: int, port: int) -> Reach:
            return Reach(estate, [Service(protocol, port)])

        def passes(workload: str, source: str, protocol: int, port: int) -> bool:
            return bool(reach(protocol, port).through(self.cards[workload], ip_address(source), inbound=True))

        return passes

    def foreign(self, *workloads: str) -> str:
        return self._told("", workloads)

    def ours(self, owner: str) -> str:
        return self._told(owner, ())

    def _told(self, owner: str, workloads: tuple[str, ...]) -> str:
        estate = cloud.read(self.access)
        chosen = {name for name, group in estate.groups.items() if cloud.tags(group).get(OWNER_TAG, "") == owner}
        cards = {self.cards[name] for name in workloads} or set(estate.cards)
        carried = {card: sorted({one["GroupId"] for one in estate.cards[card]["Groups"]} & chosen) for card in sorted(cards)}
        acting = {group for groups in carried.values() for group in groups}
        groups = [f"{name}: {exact(estate.groups[name])}" for name in sorted(chosen) if name in acting or not workloads]
        return "\n".join([*groups, *(f"{card}: {names}" for card, names in carried.items() if names)])

    def writes(self) -> int:
        return sum(1 for entry in self.lab.control.log() if str(entry["params"].get("DryRun")).lower() != "true")

    def reads(self) -> int:
        return sum(count for name, count in self.lab.control.calls().items() if name.partition(":")[2].startswith(("Describe", "Get")))

    # --- what goes wrong ---

    def fail_write(self, nth: int, fault: WriteFault) -> None:
        self.lab.control.fault("@write", FAULTS[fault], nth=nth, after=LATE_CALLS)

    def fail_reads(self, nth: int) -> None:
        self.lab.control.fault("@read", "denied", nth=nth, times=0)

    def heal(self) -> None:
        self.lab.control.no_faults()

    def page_of(self, size: int) -> None:
        for action in PAGE_SIZE:
            self.patch.setitem(PAGE_SIZE, action, max(5, size))  # EC2 makes no smaller pages

    def room_for(self, entries: int) -> None:
        self.lab.control.ask("quotas", {"rules_per_group": entries // GROUPS_PER_CARD})

    # --- what people do ---

    def widen(self, workload: str, hole: Hole) -> None:
        self.ec2.authorize_security_group_ingress(GroupId=self._our_group(workload), IpPermissions=[permission(hole)])

    def narrow(self, workload: str) -> None:
        group = self._our_group(workload)
        (shown,) = self.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
        self.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=shown["IpPermissions"][:1])

    def unmark(self, owner: str) -> None:
        estate = cloud.read(self.access)
        ours = [name for name, group in estate.groups.items() if cloud.tags(group).get(OWNER_TAG) == owner]
        self.ec2.delete_tags(Resources=ours, Tags=[{"Key": OWNER_TAG}])

    def _our_group(self, workload: str) -> str:
        groups = self.ec2.describe_security_groups(GroupIds=self._groups(workload))["SecurityGroups"]
        return next(str(group["GroupId"]) for group in groups if OWNER_TAG in cloud.tags(group))


def permission(hole: Hole) -> dict[str, Any]:
    """Return a hole as EC2 writes it."""
    ranges = {"Ipv6Ranges": [{"CidrIpv6": hole.source}]} if ":" in hole.source else {"IpRanges": [{"CidrIp": hole.source}]}
    last = -1 if hole.protocol in (1, 58) else hole.port
    return {"IpProtocol": PROTOCOLS[hole.protocol], "FromPort": hole.port, "ToPort": last, **ranges}


def exact(thing: object) -> str:
    """Return a raw answer as text that does not depend on the order in which the platform lists things."""
    if isinstance(thing, dict):
        return "{" + ", ".join(f"{key}: {exact(thing[key])}" for key in sorted(thing)) + "}"
    if isinstance(thing, list):
        return "[" + ", ".join(sorted(map(exact, thing))) + "]"
    return repr(thing)

"""Random small estates, built through plain boto3 calls as any client would: VPCs, peerings, both families, old groups."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from tests.oracle.cloud import Access, Json

SPELLINGS: dict[str, Callable[[str], str]] = {"as is": str, "capital": str.title, "shout": str.upper}
PORTS = (22, 80, 443, 5432, 8443)


@dataclass
class Net:
    """One VPC with its subnet and the groups that were there before us."""

    vpc: str
    subnet: str
    prefix: str
    prefix6: str
    groups: list[str] = field(default_factory=list)
    used: int = 10


@dataclass
class Built:
    """What was built, for tests that go on from there."""

    nets: list[Net]
    instances: list[str]
    names: list[str]
    lists: list[str]
    publics: list[str]

    def pool(self) -> list[str]:
        """Return entries for IP lists that mean something here: inside, across, beside."""
        found = ["203.0.113.0/24", "!203.0.113.7", "2001:db8:10::/48", "!2001:db8:10::/64", "198.51.100.0-198.51.100.77", "52.0.0.0/8"]
        for net in self.nets:
            found += [f"{net.prefix}.1.0/28", f"!{net.prefix}.1.12", f"{net.prefix}.0.0/16", f"{net.prefix}.1.11-{net.prefix}.1.14"]
            if net.prefix6:
                found += [f"{net.prefix6}/64", f"!{net.prefix6}b"]
        return found


class Builder:
    """Builds one region of one account."""

    def __init__(self, access: Access, rng: random.Random, region: str = "", block: int = 20) -> None:
        self.client: Any = access.client(region=region)
        self.rng = rng
        self.block = block
        self.nets: list[Net] = []
        self.instances: list[str] = []
        self.names: list[str] = []
        self.lists: list[str] = []
        self.publics: list[str] = []
        self.public_share = 0.2

    def net(self, number: int, *, six: bool) -> Net:
        """Create a VPC with one subnet."""
        prefix = f"10.{self.block + number}"
        vpc = self.client.create_vpc(CidrBlock=f"{prefix}.0.0/16", AmazonProvidedIpv6CidrBlock=six)["Vpc"]
        wanted: Json = {"VpcId": vpc["VpcId"], "CidrBlock": f"{prefix}.1.0/24"}
        prefix6 = ""
        if six:
            block = vpc["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
            prefix6 = str(ip_network(block).network_address)
            wanted["Ipv6CidrBlock"] = f"{prefix6}/64"
        subnet = self.client.create_subnet(**wanted)["Subnet"]
        made = Net(vpc["VpcId"], subnet["SubnetId"], prefix, prefix6)
        self.nets.append(made)
        return made

    def peer(self, one: Net, other: Net) -> None:
        """Peer two VPCs and accept it."""
        made = self.client.create_vpc_peering_connection(VpcId=one.vpc, PeerVpcId=other.vpc)["VpcPeeringConnection"]
        self.client.accept_vpc_peering_connection(VpcPeeringConnectionId=made["VpcPeeringConnectionId"])

    def prefix_list(self) -> str:
        """Create a customer prefix list, as somebody else would have."""
        entries = self.rng.sample(["203.0.113.0/25", "198.51.100.8/29", "10.20.1.0/27", "10.99.0.0/16"], self.rng.randint(1, 3))
        made = self.client.create_managed_prefix_list(
            PrefixListName=f"offices-{len(self.lists)}",
            MaxEntries=len(entries) + 1,
            AddressFamily="IPv4",
            Entries=[{"Cidr": one} for one in entries],
        )["PrefixList"]["PrefixListId"]
        self.lists.append(made)
        return str(made)

    def old_group(self, net: Net, name: str) -> str:
        """Create a group as people leave them behind: wide CIDRs, references, lists, everything at once."""
        rng = self.rng
        made = str(self.client.create_security_group(GroupName=name, Description="from before", VpcId=net.vpc)["GroupId"])
        inbound = [self.permission(net, made) for _ in range(rng.randint(0, 4))]
        for permission in _distinct(inbound):
            self.client.authorize_security_group_ingress(GroupId=made, IpPermissions=[permission])
        if rng.random() < 0.4:
            self.client.revoke_security_group_egress(GroupId=made, IpPermissions=self._egress(made))
            for permission in _distinct([self.permission(net, made) for _ in range(rng.randint(0, 2))]):
                self.client.authorize_security_group_egress(GroupId=made, IpPermissions=[permission])
        net.groups.append(made)
        return made

    def _egress(self, group: str) -> list[Json]:
        found: list[Json] = self.client.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissionsEgress"]
        return found

    def permission(self, net: Net, me: str) -> Json:
        """Return one random IpPermission."""
        rng = self.rng
        draw = rng.random()
        if draw < 0.15:
            said: Json = {"IpProtocol": "-1"}
        elif draw < 0.3:
            said = {"IpProtocol": "icmp", "FromPort": rng.choice([-1, 8]), "ToPort": -1}
        else:
            port = rng.choice(PORTS)
            said = {
                "IpProtocol": rng.choice(["tcp", "tcp", "udp"]),
                "FromPort": port,
                "ToPort": min(65535, port + rng.choice([0, 0, 0, 1, 1000])),
            }
        where = rng.random()
        if where < 0.55:
            said["IpRanges"] = [
                {"CidrIp": rng.choice(["0.0.0.0/0", "10.0.0.0/8", f"{net.prefix}.1.0/24", f"{net.prefix}.1.11/32", "203.0.113.0/24"])}
            ]
        elif where < 0.7 and net.prefix6 and said["IpProtocol"] != "icmp":
            said["Ipv6Ranges"] = [{"CidrIpv6": rng.choice(["::/0", f"{net.prefix6}/64", "2001:db8::/32"])}]
        elif where < 0.85 and self.lists:
            said["PrefixListIds"] = [{"PrefixListId": rng.choice(self.lists)}]
        else:
            said["UserIdGroupPairs"] = [{"GroupId": rng.choice([me, *net.groups])}]
        return said

    def address6(self, net: Net, number: int) -> str:
        """Return the n-th IPv6 address of a net."""
        return str(ip_address(int(ip_address(net.prefix6)) + number))

    def card(self, net: Net, groups: Iterable[str]) -> str:
        """Create an interface with its addresses."""
        number = net.used
        net.used += 1
        wanted: Json = {"SubnetId": net.subnet, "PrivateIpAddress": f"{net.prefix}.1.{number}", "Groups": list(groups)}
        if net.prefix6 and self.rng.random() < 0.6:
            wanted["Ipv6Addresses"] = [{"Ipv6Address": self.address6(net, number)}]
        made = str(self.client.create_network_interface(**wanted)["NetworkInterface"]["NetworkInterfaceId"])
        if self.rng.random() < self.public_share:
            public = f"52.{self.block}.{self.nets.index(net)}.{number}"
            allocated = self.client.allocate_address(Domain="vpc", Address=public)
            self.client.associate_address(AllocationId=allocated["AllocationId"], NetworkInterfaceId=made)
            self.publics.append(public)
        return made

    def machine(self, net: Net, labels: dict[str, str], name: str) -> str:
        """Start an instance with one or two interfaces."""
        rng = self.rng
        first = self.card(net, self.some(net))
        tags = {"Name": name}
        for key, value in labels.items():
            tag = {"role": "Role", "env": "Environment", "app": "App"}[key]
            spelled = "production" if value == "prod" and rng.random() < 0.4 else value
            tags[tag] = SPELLINGS[rng.choice(list(SPELLINGS))](spelled)
        made = self.client.run_instances(
            ImageId="ami-12345678",
            MinCount=1,
            MaxCount=1,
            NetworkInterfaces=[{"DeviceIndex": 0, "NetworkInterfaceId": first}],
            TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}],
        )["Instances"][0]["InstanceId"]
        if rng.random() < 0.2:
            second = self.card(net, self.some(net))
            self.client.attach_network_interface(NetworkInterfaceId=second, InstanceId=made, DeviceIndex=1)
        if rng.random() < 0.1:
            self.client.stop_instances(InstanceIds=[made])
        self.instances.append(made)
        self.names.append(name)
        return str(made)

    def some(self, net: Net) -> list[str]:
        """Return one or two of the groups that were there before."""
        return self.rng.sample(net.groups, min(len(net.groups), self.rng.choice([1, 1, 2])))

    def built(self) -> Built:
        """Return what there is."""
        return Built(self.nets, self.instances, self.names, self.lists, self.publics)


def _distinct(permissions: list[Json]) -> list[Json]:
    return list({repr(sorted(one.items())): one for one in permissions}.values())


def random_labels(rng: random.Random) -> dict[str, str]:
    """Return labels, some of them missing."""
    found: dict[str, str] = {}
    for key, values in {"role": ("web", "app", "db", "lb"), "env": ("prod", "dev", "test"), "app": ("shop", "pay")}.items():
        if rng.random() < 0.85:
            found[key] = rng.choice(values)
    return found


def small(access: Access, seed: int, *, machines: tuple[int, int] = (4, 9), region: str = "", block: int = 20, prefix: str = "m") -> Built:
    """Build a random estate: one to three VPCs, some peered, some with IPv6, machines with a believable past."""
    rng = random.Random(seed)
    builder = Builder(access, rng, region, block)
    count = rng.choice([1, 2, 2, 3])
    for number in range(count):
        builder.net(number, six=rng.random() < 0.5)
    if count > 1 and rng.random() < 0.7:
        builder.peer(builder.nets[0], builder.nets[1])
    if rng.random() < 0.5:
        builder.prefix_list()
    for net in builder.nets:
        for number in range(rng.randint(1, 3)):
            builder.old_group(net, f"old-{number}")
    for number in range(rng.randint(*machines)):
        builder.machine(rng.choice(builder.nets), random_labels(rng), f"{prefix}-{number}")
    if rng.random() < 0.3:
        builder.card(builder.nets[0], builder.nets[0].groups[:1])
    if rng.random() < 0.2 and len(builder.instances) > 4:
        builder.client.terminate_instances(InstanceIds=[builder.instances[-1]])
    return builder.built()

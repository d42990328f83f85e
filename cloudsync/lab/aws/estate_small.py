"""The estate `small`: about 40 instances in three VPCs, with groups as years of hurry leave them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .native import Native

if TYPE_CHECKING:
    from .shim import Shim

IMAGE = "ami-12c6146b"
ANYWHERE = "0.0.0.0/0"


@dataclass(frozen=True, slots=True)
class Host:
    """One instance of the estate."""

    name: str
    subnet: str
    address: str
    groups: tuple[str, ...]
    tags: dict[str, str]
    public: bool = False
    v6: bool = False
    second: tuple[str, str, tuple[str, ...]] | None = None
    """(subnet, address, groups) of a second interface."""
    stopped: bool = False


@dataclass(slots=True)
class Builder:
    """Names of the estate -> ids of the cloud."""

    shim: Shim
    ids: dict[str, str] = field(default_factory=dict)
    next_public: int = 10

    def act(self, action: str, params: dict[str, Native], *fields: str) -> str:
        """One action; return the first of the named fields from its answer."""
        answer = self.shim.act(action, params, by="estate")
        for name in fields:
            found = re.search(rf"<{name}>([^<]+)</{name}>", answer)
            if found:
                return found[1]
        return ""

    def tagged(self, kind: str, name: str, **tags: str) -> dict[str, Native]:
        """A TagSpecification."""
        pairs = [{"Key": "Name", "Value": name}, *({"Key": key, "Value": value} for key, value in tags.items())]
        return {"TagSpecification": [{"ResourceType": kind, "Tag": pairs}]}


def build(shim: Shim) -> None:
    """Build everything in the main account and the default region."""
    builder = Builder(shim)
    without_default_vpc(builder)
    _networks(builder)
    _lists(builder)
    _groups(builder)
    _rules(builder)
    for host in hosts():
        _launch(builder, host)
    _service_interfaces(builder)


def without_default_vpc(builder: Builder) -> None:
    """Somebody tidied up the default VPC long ago, as is common."""
    book = builder.shim.world.book(builder.shim.accounts.main, builder.shim.default_region)
    for vpc in [vpc for vpc in list(book.backend.vpcs.values()) if vpc.is_default]:
        for zone in list(book.backend.subnets.values()):
            for subnet in [subnet for subnet in list(zone.values()) if subnet.vpc_id == vpc.id]:
                builder.act("DeleteSubnet", {"SubnetId": subnet.id})
        builder.act("DeleteVpc", {"VpcId": vpc.id})


_VPCS = (("prod", "10.20.0.0/16", True), ("shared", "10.30.0.0/16", False), ("lab", "10.40.0.0/16", False))
_SUBNETS = (
    ("prod-public-a", "prod", "10.20.0.0/24", "a"),
    ("prod-private-a", "prod", "10.20.10.0/24", "a"),
    ("prod-private-b", "prod", "10.20.11.0/24", "b"),
    ("prod-db-a", "prod", "10.20.20.0/24", "a"),
    ("shared-a", "shared", "10.30.0.0/24", "a"),
    ("shared-b", "shared", "10.30.1.0/24", "b"),
    ("lab-a", "lab", "10.40.0.0/24", "a"),
)


def _networks(builder: Builder) -> None:
    ids, region = builder.ids, builder.shim.default_region
    for name, block, v6 in _VPCS:
        params: dict[str, Native] = {"CidrBlock": block, **builder.tagged("vpc", name, Environment=name.title())}
        if v6:
            params["AmazonProvidedIpv6CidrBlock"] = True
        ids[f"vpc:{name}"] = builder.act("CreateVpc", params, "vpcId")
    book = builder.shim.world.book(builder.shim.accounts.main, region)
    prefix = _v6_prefix(book.backend.vpcs[ids["vpc:prod"]])
    for number, (name, vpc, block, zone) in enumerate(_SUBNETS):
        params = {"VpcId": ids[f"vpc:{vpc}"], "CidrBlock": block, "AvailabilityZone": f"{region}{zone}"}
        if vpc == "prod":
            params["Ipv6CidrBlock"] = f"{prefix}{number:02x}::/64"
        ids[f"subnet:{name}"] = builder.act("CreateSubnet", {**params, **builder.tagged("subnet", name)}, "subnetId")
    gateway = builder.act("CreateInternetGateway", {}, "internetGatewayId")
    builder.act("AttachInternetGateway", {"InternetGatewayId": gateway, "VpcId": ids["vpc:prod"]})
    peering = builder.act(
        "CreateVpcPeeringConnection",
        {
            "VpcId": ids["vpc:prod"],
            "PeerVpcId": ids["vpc:shared"],
            **builder.tagged("vpc-peering-connection", "prod-shared"),
        },
        "vpcPeeringConnectionId",
    )
    builder.act("AcceptVpcPeeringConnection", {"VpcPeeringConnectionId": peering})


def _v6_prefix(vpc: Native) -> str:
    """The first 56 bits of the VPC's block, ready for two more digits."""
    block = str(vpc.get_cidr_block_association_set(ipv6=True)[0]["cidr_block"]).partition("/")[0]
    head = block.rstrip(":").split(":")
    while len(head) < 4:
        head.append("0000")
    return ":".join([*head[:3], head[3].rjust(4, "0")[:2]])


def _lists(builder: Builder) -> None:
    entries = [
        {"Cidr": "198.51.100.0/25", "Description": "head office"},
        {"Cidr": "203.0.113.64/26", "Description": "branch offices"},
        {"Cidr": "192.0.2.17/32", "Description": "Pat at home"},
    ]
    params = {"PrefixListName": "office-networks", "AddressFamily": "IPv4", "MaxEntries": 8, "Entry": entries}
    builder.ids["pl:office"] = builder.act(
        "CreateManagedPrefixList", {**params, **builder.tagged("prefix-list", "office-networks")}, "prefixListId"
    )
    builder.shim.world.book(builder.shim.accounts.main, builder.shim.default_region).lists[
        builder.ids["pl:office"]
    ].state = "create-complete"


_GROUPS = (
    ("web", "prod", "web servers"),
    ("app", "prod", "application servers"),
    ("db", "prod", "databases"),
    ("legacy-admin", "prod", "do not use!! (still used)"),
    ("launch-wizard-1", "prod", "launch-wizard-1 created 2017-03-14T10:22:31.000+01:00"),
    ("old-vpn", "prod", "VPN 2016"),
    ("elb-public", "prod", "load balancer"),
    ("lambda-reports", "prod", "reports function"),
    ("internal-wide", "prod", "all internal"),
    ("cache", "prod", "redis"),
    ("monitoring", "shared", "metrics collectors"),
    ("ci", "shared", "build agents"),
    ("bastion", "shared", "jump hosts"),
    ("ldap", "shared", "directory"),
    ("unused-2019", "shared", "migration 2019"),
    ("playground", "lab", "anything goes"),
    ("playground-db", "lab", "test databases"),
)


def _groups(builder: Builder) -> None:
    for name, vpc, text in _GROUPS:
        params = {"GroupName": name, "GroupDescription": text, "VpcId": builder.ids[f"vpc:{vpc}"]}
        if name not in ("launch-wizard-1", "old-vpn"):
            params |= builder.tagged("security-group", name)
        builder.ids[f"sg:{name}"] = builder.act("CreateSecurityGroup", params, "groupId")


_INGRESS = (
    ("web", "tcp", 443, 443, ANYWHERE, "https"),
    ("web", "tcp", 443, 443, "::/0", "https v6"),
    ("web", "tcp", 80, 80, ANYWHERE, "redirect"),
    ("web", "tcp", 22, 22, ANYWHERE, "TEMP for Dave 2018"),
    ("app", "tcp", 8080, 8080, "sg:web", "from web"),
    ("app", "tcp", 8443, 8443, "sg:elb-public", None),
    ("app", "tcp", 8000, 8999, "10.0.0.0/8", "legacy wide"),
    ("db", "tcp", 5432, 5432, "sg:app", "postgres"),
    ("db", "tcp", 5432, 5432, "10.20.0.0/16", "reporting"),
    ("db", "tcp", 3306, 3306, "sg:legacy-admin", None),
    ("db", "tcp", 5432, 5432, "sg:db", "replication"),
    ("legacy-admin", "tcp", 22, 22, "pl:office", "offices"),
    ("legacy-admin", "tcp", 3389, 3389, ANYWHERE, None),
    ("legacy-admin", "tcp", 22, 22, "sg:bastion", "via peering"),
    ("launch-wizard-1", "tcp", 22, 22, ANYWHERE, None),
    ("old-vpn", "udp", 1194, 1194, ANYWHERE, "openvpn"),
    ("elb-public", "tcp", 443, 443, ANYWHERE, None),
    ("internal-wide", "-1", None, None, "10.0.0.0/8", "everything internal"),
    ("internal-wide", "icmp", 8, -1, ANYWHERE, "ping"),
    ("cache", "tcp", 6379, 6379, "sg:app", None),
    ("cache", "tcp", 6379, 6379, "sg:lambda-reports", None),
    ("monitoring", "tcp", 9090, 9093, "sg:monitoring", None),
    ("monitoring", "tcp", 443, 443, "pl:office", "dashboards"),
    ("ci", "tcp", 22, 22, "sg:bastion", None),
    ("bastion", "tcp", 22, 22, "pl:office", "offices"),
    ("bastion", "tcp", 22, 22, "203.0.113.10/32", "on-call phone"),
    ("ldap", "tcp", 389, 389, "10.0.0.0/8", None),
    ("ldap", "tcp", 636, 636, "10.20.0.0/16", "ldaps"),
    ("unused-2019", "tcp", 0, 65535, "10.99.0.0/16", "data centre move"),
    ("playground", "-1", None, None, ANYWHERE, "it is only the lab"),
    ("playground-db", "tcp", 3306, 3306, "sg:playground", None),
)


def _rules(builder: Builder) -> None:
    for group, protocol, first, last, peer, note in _INGRESS:
        permission: dict[str, Native] = {"IpProtocol": protocol, **_peer(builder, peer, note)}
        if first is not None:
            permission |= {"FromPort": first, "ToPort": last}
        builder.act("AuthorizeSecurityGroupIngress", {"GroupId": builder.ids[f"sg:{group}"], "IpPermissions": [permission]})
    strict = builder.ids["sg:db"]
    everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": ANYWHERE}], "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}
    builder.act("RevokeSecurityGroupEgress", {"GroupId": strict, "IpPermissions": [everything]})
    allowed = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.20.0.0/16"}]}
    builder.act("AuthorizeSecurityGroupEgress", {"GroupId": strict, "IpPermissions": [allowed]})


def _peer(builder: Builder, peer: str, note: str | None) -> dict[str, Native]:
    text = {"Description": note} if note else {}
    if peer.startswith("sg:"):
        return {"Groups": [{"GroupId": builder.ids[peer], **text}]}
    if peer.startswith("pl:"):
        return {"PrefixListIds": [{"PrefixListId": builder.ids[peer], **text}]}
    if ":" in peer:
        return {"Ipv6Ranges": [{"CidrIpv6": peer, **text}]}
    return {"IpRanges": [{"CidrIp": peer, **text}]}


def hosts() -> list[Host]:
    """The 41 instances of the estate."""
    found = [*_web_hosts(), *_app_hosts(), *_db_hosts(), *_shared_hosts(), *_lab_hosts()]
    return sorted(found, key=lambda host: host.name.lower())


def _web_hosts() -> list[Host]:
    def tags(number: int) -> dict[str, str]:
        return {"Role": "Web" if number == 3 else "web", "Application": "shop", "Environment": "prod" if number < 5 else "PROD"}

    return [
        Host(f"web-{number}", "prod-public-a", f"10.20.0.{10 + number}", ("web",), tags(number), public=True, v6=number < 4)
        for number in range(1, 7)
    ]


def _app_hosts() -> list[Host]:
    out = []
    for number in range(1, 11):
        tags = {"Role": "app", "Application": "shop" if number <= 6 else "billing", "Environment": "prod"}
        if number == 9:
            del tags["Application"]  # somebody forgot
        if number == 10:
            tags["Role"] = "APP "  # and somebody typed too much
        subnet, third = ("prod-private-a", 10) if number % 2 else ("prod-private-b", 11)
        groups = ("app", "internal-wide") if number % 3 == 0 else ("app",)
        out.append(Host(f"app-{number}", subnet, f"10.20.{third}.{20 + number}", groups, tags, v6=number == 1, stopped=number == 8))
    return out


def _db_hosts() -> list[Host]:
    out = []
    for number in range(1, 5):
        tags = {"Role": "db", "Application": "shop" if number < 3 else "billing", "Environment": "prod"}
        backup = ("prod-private-a", f"10.20.10.{200 + number}", ("internal-wide",)) if number < 3 else None
        groups = ("db", "legacy-admin") if number == 1 else ("db",)
        out.append(Host(f"db-{number}", "prod-db-a", f"10.20.20.{10 + number}", groups, tags, second=backup))
    out.append(
        Host("cache-1", "prod-private-a", "10.20.10.60", ("cache",), {"Role": "cache", "Application": "shop", "Environment": "prod"})
    )
    out.append(Host("Legacy-FTP", "prod-public-a", "10.20.0.99", ("launch-wizard-1", "old-vpn"), {}, public=True))
    out.append(Host("batch-1", "prod-private-b", "10.20.11.90", ("internal-wide",), {"role": "batch", "Environment": "prod"}, stopped=True))
    return out


def _shared_hosts() -> list[Host]:
    def host(name: str, address: str, group: str, role: str, *, public: bool = False) -> Host:
        subnet = "shared-a" if address.startswith("10.30.0.") else "shared-b"
        tags = {"Role": role, "Application": "platform", "Environment": "shared"}
        return Host(name, subnet, address, (group,), tags, public=public)

    return [
        host("bastion-1", "10.30.0.10", "bastion", "bastion", public=True),
        host("bastion-2", "10.30.1.10", "bastion", "bastion", public=True),
        host("metrics-1", "10.30.0.21", "monitoring", "monitoring"),
        host("metrics-2", "10.30.1.21", "monitoring", "monitoring"),
        host("ldap-1", "10.30.0.31", "ldap", "ldap"),
        host("ldap-2", "10.30.1.31", "ldap", "ldap"),
        *(host(f"ci-{number}", f"10.30.0.{40 + number}", "ci", "ci") for number in range(1, 5)),
    ]


def _lab_hosts() -> list[Host]:
    out = []
    for number in range(1, 7):
        tags = {"Role": "app" if number < 4 else "db", "Application": "shop", "Environment": "test"}
        if number == 6:
            tags = {"Owner": "dave"}
        groups = ("playground",) if number < 4 else ("playground-db",)
        out.append(Host(f"lab-{number}", "lab-a", f"10.40.0.{10 + number}", groups, tags, stopped=number == 5))
    out.append(Host("sandbox", "lab-a", "10.40.0.50", ("default",), {"Environment": "Test"}))
    return out


def _launch(builder: Builder, host: Host) -> None:
    ids = builder.ids
    nics = [_nic(builder, 0, (host.subnet, host.address, host.groups))]
    if host.second:
        nics.append(_nic(builder, 1, host.second))
    params: dict[str, Native] = {
        "ImageId": IMAGE,
        "MinCount": 1,
        "MaxCount": 1,
        "InstanceType": "t3.small",
        "NetworkInterface": nics,
        **builder.tagged("instance", host.name, **host.tags),
    }
    instance = builder.act("RunInstances", params, "instanceId")
    ids[f"i:{host.name}"] = instance
    book = builder.shim.world.book(builder.shim.accounts.main, builder.shim.default_region)
    nic = book.backend.get_instance(instance).nics[0]
    if host.v6:
        tail = host.address.rpartition(".")[2]
        block = next(iter(nic.subnet.ipv6_cidr_block_associations.values()))["ipv6CidrBlock"]
        address = str(block).replace("::/64", f"::{int(tail):x}")
        builder.act("AssignIpv6Addresses", {"NetworkInterfaceId": nic.id, "Ipv6Addresses": [address]})
    if host.public:
        _public_address(builder, nic.id)
    if host.stopped:
        builder.act("StopInstances", {"InstanceId": [instance]})
        book.backend.get_instance(instance)._reason = "User initiated (2024-02-29 03:00:00 UTC)"


def _nic(builder: Builder, index: int, where: tuple[str, str, tuple[str, ...]]) -> dict[str, Native]:
    subnet, address, groups = where
    return {
        "DeviceIndex": index,
        "SubnetId": builder.ids[f"subnet:{subnet}"],
        "PrivateIpAddress": address,
        "SecurityGroupId": [_group_id(builder, name, subnet) for name in groups],
    }


def _group_id(builder: Builder, name: str, subnet: str) -> str:
    if name != "default":
        return builder.ids[f"sg:{name}"]
    book = builder.shim.world.book(builder.shim.accounts.main, builder.shim.default_region)
    vpc = next(vpc for subnet_name, vpc, _, _ in _SUBNETS if subnet_name == subnet)
    return str(book.group_named("default", builder.ids[f"vpc:{vpc}"]).id)


def _public_address(builder: Builder, eni_id: str) -> None:
    """Elastic addresses from a range reserved for documentation."""
    address = f"198.51.100.{builder.next_public}"
    builder.next_public += 1
    allocation = builder.act("AllocateAddress", {"Domain": "vpc", "Address": address}, "allocationId")
    builder.act("AssociateAddress", {"AllocationId": allocation, "NetworkInterfaceId": eni_id})


def _service_interfaces(builder: Builder) -> None:
    """Interfaces that belong to services: a load balancer's, a function's, and a function's of the old kind."""
    book = builder.shim.world.book(builder.shim.accounts.main, builder.shim.default_region)
    for name, subnet, address, group, kind, managed in (
        ("ELB app/shop/0123456789abcdef", "prod-public-a", "10.20.0.200", "elb-public", "interface", True),
        ("AWS Lambda VPC ENI-reports-1", "prod-private-a", "10.20.10.210", "lambda-reports", "lambda", False),
        ("AWS Lambda VPC ENI: old-reports", "prod-private-b", "10.20.11.211", "lambda-reports", "interface", False),
        ("RDSNetworkInterface", "prod-db-a", "10.20.20.220", "db", "interface", True),
    ):
        eni_id = builder.act(
            "CreateNetworkInterface",
            {
                "SubnetId": builder.ids[f"subnet:{subnet}"],
                "PrivateIpAddress": address,
                "SecurityGroupId": [builder.ids[f"sg:{group}"]],
                "Description": name,
            },
            "networkInterfaceId",
        )
        eni = book.backend.enis[eni_id]
        eni.requester_managed = managed
        eni.requester_id = "amazon-elb" if managed else "AROALAMBDAEXAMPLE"
        eni.interface_type = kind
        eni.status = "in-use"

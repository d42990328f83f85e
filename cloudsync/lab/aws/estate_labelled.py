"""AWS's part of the estates `four` (a dozen instances) and `medium` (about a hundred): labelled by tags, with groups from before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .estate_small import ANYWHERE, IMAGE, Builder, without_default_vpc
from .native import Native

if TYPE_CHECKING:
    from .shim import Shim

ROLES = (("web", 1), ("app", 2), ("db", 3), ("cache", 4))
"""Role, and the third octet of its subnet."""


@dataclass(frozen=True, slots=True)
class _Network:
    name: str
    block: str
    """First two octets."""


@dataclass(frozen=True, slots=True)
class _Host:
    name: str
    network: _Network
    subnet: str
    address: str
    group: str
    tags: tuple[tuple[str, str], ...]
    stopped: bool = False


PROD, TEST = _Network("prod", "10.10"), _Network("test", "10.11")


def build_four(shim: Shim) -> None:
    """A dozen instances of two applications in one network."""
    _build(shim, (PROD,), list(_fleet(PROD, ("ordering", "payments"), 1, 2)))


def build_medium(shim: Shim) -> None:
    """About a hundred instances of six applications, in production and in test."""
    apps = ("ordering", "payments", "crm", "billing", "search", "intranet")
    hosts = [*_fleet(PROD, apps, 1, 3), *_fleet(TEST, apps, 1, 2)]
    _build(shim, (PROD, TEST), hosts)


def _fleet(network: _Network, apps: tuple[str, ...], least: int, most: int) -> Iterator[_Host]:
    """Every application has all roles; production has more of each, and a jump host and a collector for all."""
    env = "production" if network is PROD else "test"
    for number, app in enumerate(apps):
        for role, third in ROLES:
            for one in range(least, most + 1 if role in ("web", "app") else least + 1 + (most > 2)):
                address = f"{network.block}.{third}.{20 + number * 20 + one}"
                tags = (("Role", role), ("Application", app), ("Environment", env))
                yield _Host(f"{app}-{role}-{env[:4]}-{one}", network, f"{network.name}-{role}", address, f"{role}-{network.name}", tags)
    tags = (("Role", "jump"), ("Application", "platform"), ("Environment", env))
    yield _Host(f"jump-{env[:4]}-1", network, f"{network.name}-web", f"{network.block}.1.10", f"jump-{network.name}", tags)


def _build(shim: Shim, networks: tuple[_Network, ...], hosts: list[_Host]) -> None:
    builder = Builder(shim)
    without_default_vpc(builder)
    for network in networks:
        _network(builder, network)
    for host in _with_flaws(hosts):
        _launch(builder, host)


def _with_flaws(hosts: list[_Host]) -> Iterator[_Host]:
    """Labels as people leave them: of a large fleet some are misspelt, some missing, and some machines are stopped."""
    few = len(hosts) < 30
    for number, host in enumerate(hosts):
        tags = host.tags
        if not few and number % 31 == 5:
            tags = tuple(pair for pair in tags if pair[0] != "Application")
        elif not few and number % 31 == 17:
            tags = tuple((key, f"{value} " if key == "Role" else value) for key, value in tags)
        yield _Host(host.name, host.network, host.subnet, host.address, host.group, tags, stopped=not few and number % 31 == 23)


def _network(builder: Builder, network: _Network) -> None:
    ids, name = builder.ids, network.name
    ids[f"vpc:{name}"] = builder.act("CreateVpc", {"CidrBlock": f"{network.block}.0.0/16", **builder.tagged("vpc", name)}, "vpcId")
    for role, third in ROLES:
        params = {"VpcId": ids[f"vpc:{name}"], "CidrBlock": f"{network.block}.{third}.0/24"}
        label = f"{name}-{role}"
        ids[f"subnet:{label}"] = builder.act("CreateSubnet", {**params, **builder.tagged("subnet", label)}, "subnetId")
    for role in (*(role for role, _ in ROLES), "jump"):
        params = {"GroupName": f"{role}-{name}", "GroupDescription": f"{role} servers", "VpcId": ids[f"vpc:{name}"]}
        ids[f"sg:{role}-{name}"] = builder.act(
            "CreateSecurityGroup", {**params, **builder.tagged("security-group", f"{role}-{name}")}, "groupId"
        )
    _rules(builder, network)


def _rules(builder: Builder, network: _Network) -> None:
    """What grew over the years: mostly wide, one of them open to the world for a migration that ended long ago."""
    name, inside = network.name, f"{network.block}.0.0/16"
    for group, first, last, peer, note in (
        ("web", 443, 443, ANYWHERE, "https"),
        ("web", 80, 80, ANYWHERE, "redirect"),
        ("app", 8000, 8999, "10.0.0.0/8", "legacy wide"),
        ("db", 5432, 5432, "10.0.0.0/8", "postgres, everybody internal"),
        ("db", 22, 22, ANYWHERE, "TEMP migration, remove after Easter"),
        ("cache", 6379, 6379, inside, "redis"),
        ("jump", 22, 22, "203.0.113.64/26", "offices"),
    ):
        permission: dict[str, Native] = {"IpProtocol": "tcp", "FromPort": first, "ToPort": last}
        permission["IpRanges"] = [{"CidrIp": peer, "Description": note}]
        builder.act("AuthorizeSecurityGroupIngress", {"GroupId": builder.ids[f"sg:{group}-{name}"], "IpPermissions": [permission]})


def _launch(builder: Builder, host: _Host) -> None:
    nic = {
        "DeviceIndex": 0,
        "SubnetId": builder.ids[f"subnet:{host.subnet}"],
        "PrivateIpAddress": host.address,
        "SecurityGroupId": [builder.ids[f"sg:{host.group}"]],
    }
    params: dict[str, Native] = {
        "ImageId": IMAGE,
        "MinCount": 1,
        "MaxCount": 1,
        "InstanceType": "t3.small",
        "NetworkInterface": [nic],
        **builder.tagged("instance", host.name, **dict(host.tags)),
    }
    instance = builder.act("RunInstances", params, "instanceId")
    if host.stopped:
        builder.act("StopInstances", {"InstanceId": [instance]})

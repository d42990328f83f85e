"""What an EC2 account really holds, read through plain boto3 calls: the raw material of `reach.py` and of the oracle's inventory.

Shares no code with any adapter. Everything is read page by page and kept as the SDK gives it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

import boto3
from botocore.config import Config

from tests.oracle.reading import Address, Card, Machine

Json = dict[str, Any]


@dataclass(frozen=True)
class Access:
    """How to reach one account of the lab, past any tap."""

    endpoint: str
    account: str
    key: str
    secret: str
    region: str = "us-east-1"

    def client(self, service: str = "ec2", region: str = "") -> Any:
        """Return a client that never retries; making one costs more than many calls, so it is kept."""
        key = (self, service, region or self.region)
        if key not in _CLIENTS:
            _CLIENTS[key] = self._client(*key[1:])
        return _CLIENTS[key]

    def _client(self, service: str, region: str) -> Any:
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.endpoint,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            config=Config(retries={"mode": "standard", "total_max_attempts": 1}, connect_timeout=5, read_timeout=60),
        )


_CLIENTS: dict[tuple[Access, str, str], Any] = {}


@dataclass
class Estate:
    """One raw reading of one account and region."""

    account: str
    region: str
    groups: dict[str, Json]
    cards: dict[str, Json]
    instances: dict[str, Json]
    lists: dict[str, tuple[str, ...]]
    peerings: frozenset[frozenset[str]]
    _members: dict[str, tuple[Address, ...]] = field(default_factory=dict)

    def carriers(self, group: str) -> tuple[Address, ...]:
        """Return the private addresses of every interface that carries a group: what a reference to it matches."""
        if not self._members:
            table: dict[str, list[Address]] = {}
            for card in self.cards.values():
                mine = private_addresses(card)
                for one in card["Groups"]:
                    table.setdefault(one["GroupId"], []).extend(mine)
            self._members = {name: tuple(found) for name, found in table.items()}
        return self._members.get(group, ())


def close() -> None:
    """Close every client that was made."""
    for client in _CLIENTS.values():
        client.close()
    _CLIENTS.clear()


def pages(client: Any, operation: str, key: str, **wanted: Any) -> list[Json]:
    """Return every item of a paginated call."""
    found: list[Json] = []
    for page in client.get_paginator(operation).paginate(**wanted):
        found.extend(page[key])
    return found


def read(access: Access, region: str = "") -> Estate:
    """Read one account and region whole."""
    client = access.client(region=region)
    groups = pages(client, "describe_security_groups", "SecurityGroups", PaginationConfig={"PageSize": 1000})
    cards = pages(client, "describe_network_interfaces", "NetworkInterfaces", PaginationConfig={"PageSize": 1000})
    reservations = pages(client, "describe_instances", "Reservations", PaginationConfig={"PageSize": 1000})
    lists = {}
    for one in pages(client, "describe_managed_prefix_lists", "PrefixLists", PaginationConfig={"PageSize": 100}):
        entries = pages(
            client, "get_managed_prefix_list_entries", "Entries", PrefixListId=one["PrefixListId"], PaginationConfig={"PageSize": 100}
        )
        lists[one["PrefixListId"]] = tuple(entry["Cidr"] for entry in entries)
    peerings = frozenset(
        frozenset({one["AccepterVpcInfo"]["VpcId"], one["RequesterVpcInfo"]["VpcId"]})
        for one in pages(client, "describe_vpc_peering_connections", "VpcPeeringConnections")
        if one["Status"]["Code"] == "active"
    )
    return Estate(
        access.account,
        region or access.region,
        {one["GroupId"]: one for one in groups},
        {one["NetworkInterfaceId"]: one for one in cards},
        {one["InstanceId"]: one for reservation in reservations for one in reservation["Instances"]},
        lists,
        peerings,
    )


def private_addresses(card: Json) -> list[Address]:
    """Return the private IPv4 and the IPv6 addresses of an interface."""
    found: list[Address] = [ip_address(one["PrivateIpAddress"]) for one in card.get("PrivateIpAddresses", ())]
    found += [ip_address(one["Ipv6Address"]) for one in card.get("Ipv6Addresses", ())]
    return list(dict.fromkeys(found))


def all_addresses(card: Json) -> frozenset[Address]:
    """Return every address of an interface, public ones included."""
    found = set(private_addresses(card))
    for one in card.get("PrivateIpAddresses", ()):
        public = one.get("Association", {}).get("PublicIp")
        if public:
            found.add(ip_address(public))
    public = card.get("Association", {}).get("PublicIp")
    if public:
        found.add(ip_address(public))
    return frozenset(found)


def tags(thing: Json) -> dict[str, str]:
    """Return tags as a mapping."""
    return {one["Key"]: one["Value"] for one in thing.get("Tags", ())}


ROLES = {"Role": ("role", {}), "Environment": ("env", {"production": "prod"}), "App": ("app", {})}
"""Tag -> (label, map): the same as `settings.labels_from` says in the text the campaign writes; values are lowered first."""


def labels_of(instance: Json, vocabulary: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Return the labels that the campaign's settings give an instance."""
    found: dict[str, str] = {}
    mine = tags(instance)
    for tag, (label, mapped) in ROLES.items():
        value = mine.get(tag, "").lower()
        value = mapped.get(value, value)
        if value in vocabulary[label]:
            found[label] = value
    return found


def machines(estates: Iterable[Estate], vocabulary: Mapping[str, Iterable[str]], domains: Mapping[str, str] | None = None) -> list[Machine]:
    """Return the workloads of several readings: every instance that is not terminated, with all its interfaces."""
    found: list[Machine] = []
    for estate in estates:
        by_instance: dict[str, list[Json]] = {}
        for card in estate.cards.values():
            owner = card.get("Attachment", {}).get("InstanceId")
            if owner:
                by_instance.setdefault(owner, []).append(card)
        for instance in estate.instances.values():
            if instance["State"]["Name"] in ("terminated", "shutting-down"):
                continue
            mine = tuple(
                Card(card["NetworkInterfaceId"], all_addresses(card), (domains or {}).get(card["VpcId"], "default"), not skipped(card))
                for card in sorted(by_instance.get(instance["InstanceId"], ()), key=lambda one: str(one["NetworkInterfaceId"]))
            )
            name = tags(instance).get("Name") or instance["InstanceId"]
            found.append(Machine(name, instance["InstanceId"], labels_of(instance, vocabulary), mine))
    return sorted(found, key=lambda machine: machine.ref)


def skipped(card: Json) -> bool:
    """Tell whether an interface belongs to a service of the platform, so that no tool may touch it."""
    return bool(card.get("RequesterManaged")) or card.get("InterfaceType", "interface") != "interface"


def cidr_holds(cidr: str, address: Address) -> bool:
    """Tell whether a CIDR holds an address of its own family."""
    network = ip_network(cidr, strict=False)
    return network.version == address.version and address in network

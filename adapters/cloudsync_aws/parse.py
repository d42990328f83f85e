"""EC2's answers as table values. Pure: the SDK's dicts end here.

A shape that cannot be read exactly raises ParseError; the scope it comes from is then not read whole, so nothing is removed there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any

from cloudsync.adapter import Found, FoundInterface
from cloudsync.model.address import AddressSet, Family
from cloudsync.model.errors import AdapterError
from cloudsync.model.quick import dataclass
from cloudsync_aws.limits import aws_list_weight
from cloudsync_aws.table import Eni, Group, PeerKind, PrefixList, RuleKey, Vpc, mark_of

Raw = Mapping[str, Any]

_PROTOCOLS = {"-1": -1, "all": -1, "icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58}
_WITH_PORTS = frozenset({6, 17})
_WITH_TYPES = frozenset({1, 58})
ALIVE = frozenset({"pending", "running", "stopping", "stopped"})
"""States of an instance that is a workload; one that shuts down or is gone is none."""


class ParseError(ValueError):
    """An answer has a shape that this adapter does not know."""


MALFORMED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""What reading an answer raises, ParseError included, when it lacks a field or has another kind of value: nothing of it can be trusted."""


def reason(error: Exception) -> str:
    """Return why an answer cannot be trusted, for people."""
    return str(error) if isinstance(error, AdapterError | ParseError) else f"an answer lacks a field, or it is of another kind: {error!r}"


@dataclass(frozen=True, slots=True)
class Instance:
    """What the inventory keeps of one instance besides its interfaces."""

    id: str
    name: str
    vpc: str
    alive: bool
    tags: tuple[tuple[str, str], ...]
    interfaces: tuple[Shown, ...]
    """Its interfaces as DescribeInstances shows them, in device order."""
    owner: str = ""
    """The account that its reservation belongs to."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An interface as DescribeInstances shows it. `vpc` is empty where that does not say it."""

    id: str
    vpc: str
    addresses: AddressSet


@dataclass(frozen=True, slots=True)
class Looked:
    """An interface of DescribeNetworkInterfaces before it is known which instances are there. `service`: why it is an AWS service's."""

    eni: Eni
    service: str


@lru_cache(maxsize=65536)
def canonical(cidr: str) -> str:
    """Return a CIDR as EC2 stores it: host bits cleared, IPv6 compressed and lower case. Raises ParseError."""
    try:
        return str(ip_network(cidr, strict=False))
    except ValueError as error:
        raise ParseError(f"{cidr!r} is no CIDR") from error


def tags(raw: Iterable[Raw] | None) -> tuple[tuple[str, str], ...]:
    """Return tags sorted by key."""
    return tuple(sorted((str(tag["Key"]), str(tag.get("Value", ""))) for tag in raw or ()))


# --- groups ----------------------------------------------------------------------------------------------------------


def group(raw: Raw, scope: str, owner: str) -> Group:
    """Return one security group of DescribeSecurityGroups."""
    pairs = tags(raw.get("Tags"))
    found: dict[RuleKey, str] = {}
    for egress, key in ((False, "IpPermissions"), (True, "IpPermissionsEgress")):
        for permission in raw.get(key) or ():
            for rule, text in rules(permission, egress=egress):
                found.setdefault(rule, text)
    return Group(
        id=str(raw["GroupId"]),
        scope=scope,
        vpc=str(raw.get("VpcId", "")),
        name=str(raw.get("GroupName", "")),
        rules={rule: found[rule] for rule in sorted(found)},
        mark=mark_of(dict(pairs), owner),
        tags=pairs,
        is_default=raw.get("GroupName") == "default",
    )


def rules(permission: Raw, *, egress: bool) -> list[tuple[RuleKey, str]]:
    """Return the rules of one IpPermission with their descriptions, in the order given."""
    protocol = _protocol(permission.get("IpProtocol"))
    first, last = _span(protocol, permission.get("FromPort"), permission.get("ToPort"))
    found: list[tuple[RuleKey, str]] = []
    for kind, plural, singular in _PEERS:
        for peer in permission.get(plural) or ():
            name = peer.get(singular)
            if not name:
                raise ParseError(f"a rule's peer has no {singular}: {dict(peer)}")
            text = canonical(name) if kind in (PeerKind.CIDR4, PeerKind.CIDR6) else str(name)
            found.append((RuleKey(egress, protocol, first, last, kind.value, text), str(peer.get("Description") or "")))
    return found


def numbered_rule(raw: Raw) -> tuple[str, str, RuleKey]:
    """Return group id, rule id and identity of one rule of DescribeSecurityGroupRules."""
    permission: dict[str, Any] = {name: raw.get(name) for name in ("IpProtocol", "FromPort", "ToPort")}
    referred = raw.get("ReferencedGroupInfo") or {}
    permission["IpRanges"] = [{"CidrIp": raw["CidrIpv4"]}] if raw.get("CidrIpv4") else []
    permission["Ipv6Ranges"] = [{"CidrIpv6": raw["CidrIpv6"]}] if raw.get("CidrIpv6") else []
    permission["PrefixListIds"] = [{"PrefixListId": raw["PrefixListId"]}] if raw.get("PrefixListId") else []
    permission["UserIdGroupPairs"] = [{"GroupId": referred["GroupId"]}] if referred.get("GroupId") else []
    found = rules(permission, egress=bool(raw.get("IsEgress")))
    if len(found) != 1:
        raise ParseError(f"rule {raw.get('SecurityGroupRuleId')} has {len(found)} peers")
    return str(raw["GroupId"]), str(raw["SecurityGroupRuleId"]), found[0][0]


_PEERS = (
    (PeerKind.CIDR4, "IpRanges", "CidrIp"),
    (PeerKind.CIDR6, "Ipv6Ranges", "CidrIpv6"),
    (PeerKind.GROUP, "UserIdGroupPairs", "GroupId"),
    (PeerKind.LIST, "PrefixListIds", "PrefixListId"),
)


def _protocol(text: object) -> int:
    name = str(text).lower()
    if name in _PROTOCOLS:
        return _PROTOCOLS[name]
    if name.isascii() and name.isdecimal() and int(name) <= 255:
        return int(name)
    raise ParseError(f"unknown protocol {text!r}")


def _span(protocol: int, first: int | None, last: int | None) -> tuple[int, int]:
    if protocol in _WITH_PORTS:
        # Without ports, or with -1 for them, it is every port.
        low, high = (0 if first is None or first == -1 else int(first)), (65535 if last is None or last == -1 else int(last))
        if not 0 <= low <= high <= 65535:
            raise ParseError(f"ports {first}-{last}")
        return low, high
    if protocol in _WITH_TYPES:
        kind, code = (-1 if first is None else int(first)), (-1 if last is None else int(last))
        if not -1 <= kind <= 255 or not -1 <= code <= 255 or (kind == -1 and code != -1):
            raise ParseError(f"ICMP type {first} code {last}")
        return kind, code
    return -1, -1


# --- instances and interfaces ----------------------------------------------------------------------------------------


def reservation(raw: Raw) -> tuple[Instance, ...]:
    """Return the instances of one reservation of DescribeInstances, those that are gone included (`alive` tells)."""
    owner = str(raw.get("OwnerId") or "")
    return tuple(instance(one, owner) for one in raw.get("Instances") or ())


def instance(raw: Raw, owner: str = "") -> Instance:
    """Return one instance of an account's reservation."""
    pairs = tags(raw.get("Tags"))
    identity = str(raw["InstanceId"])
    return Instance(
        id=identity,
        name=dict(pairs).get("Name") or identity,
        vpc=str(raw.get("VpcId", "")),
        alive=(raw.get("State") or {}).get("Name") in ALIVE,
        tags=pairs,
        interfaces=tuple(_shown(one) for one in sorted(raw.get("NetworkInterfaces") or (), key=_device_order)),
        owner=owner,
    )


def _shown(raw: Raw) -> Shown:
    private, public = addresses(raw)
    return Shown(str(raw.get("NetworkInterfaceId", "")), str(raw.get("VpcId") or ""), private | public)


def _device_order(raw: Raw) -> tuple[int, str]:
    return int((raw.get("Attachment") or {}).get("DeviceIndex", 0)), str(raw.get("NetworkInterfaceId", ""))


def addresses(raw: Raw) -> tuple[AddressSet, AddressSet]:
    """Return (private IPv4 and all IPv6, public IPv4) of an interface: secondary ones, elastic ones and delegated prefixes included."""
    private: set[str] = set()
    public: set[str] = set()
    for holder in (raw, *(raw.get("PrivateIpAddresses") or ())):
        if holder.get("PrivateIpAddress"):
            private.add(holder["PrivateIpAddress"])
        association = holder.get("Association") or {}
        public.update(association[key] for key in ("PublicIp", "CarrierIp", "CustomerOwnedIp") if association.get(key))
    private.update(one["Ipv6Address"] for one in raw.get("Ipv6Addresses") or ())
    prefixes = [one["Ipv4Prefix"] for one in raw.get("Ipv4Prefixes") or ()] + [one["Ipv6Prefix"] for one in raw.get("Ipv6Prefixes") or ()]
    try:
        own = AddressSet.of(*map(ip_address, private), *(ip_network(canonical(prefix)) for prefix in prefixes))
        return own, AddressSet.of(*map(ip_address, public))
    except ValueError as error:
        raise ParseError(f"interface {raw.get('NetworkInterfaceId')}: {error}") from error


def eni(raw: Raw, scope: str, known: Mapping[str, Instance], vpcs: Collection[str] | None = None) -> Eni:
    """Return one interface of DescribeNetworkInterfaces; `vpcs` are those of the settings, None for all."""
    return judged(looked(raw, scope), known, vpcs)


def looked(raw: Raw, scope: str) -> Looked:
    """Return what one interface of DescribeNetworkInterfaces says of itself."""
    private, public = addresses(raw)
    attachment = raw.get("Attachment") or {}
    found = Eni(
        id=str(raw["NetworkInterfaceId"]),
        scope=scope,
        vpc=str(raw.get("VpcId", "")),
        instance=str(attachment.get("InstanceId", "")),
        private=private,
        public=public,
        groups=tuple(sorted({str(one["GroupId"]) for one in raw.get("Groups") or ()})),
    )
    kind = raw.get("InterfaceType") or "interface"
    service = "" if kind == "interface" else f"belongs to an AWS service: interface type {kind}"
    if raw.get("RequesterManaged"):
        service = "belongs to an AWS service" + (f": {raw['Description']}" if raw.get("Description") else "")
    return Looked(found, service)


def judged(one: Looked, known: Mapping[str, Instance], vpcs: Collection[str] | None = None) -> Eni:
    """Return an interface with the reason why no policy is enforced there; none when it is one of a known instance and no service's."""
    skipped = one.service or _skipped(one.eni, known, vpcs)
    return replace(one.eni, skipped=skipped) if skipped else one.eni


def _skipped(one: Eni, known: Mapping[str, Instance], vpcs: Collection[str] | None) -> str:
    holder = known.get(one.instance)
    if vpcs is not None and one.vpc not in vpcs:
        return f"its VPC {one.vpc} is not in the settings"
    if not one.instance:
        return "is attached to no instance"
    if holder is None:
        return f"instance {one.instance} is not in the inventory"
    if not holder.alive:
        return f"instance {one.instance} is being terminated"
    return "" if one.groups else "carries no security group"


def found(holder: Instance, account: str, scope: str, enis: Iterable[Eni]) -> Found:
    """Return a discovered workload. `enis`: its interfaces as DescribeNetworkInterfaces has them, which is the truth for groups."""
    by_id = {one.id: one for one in enis}
    order = [one.id for one in holder.interfaces]
    shown = {one.id: one for one in holder.interfaces}
    # An interface attached a moment ago may be missing on either side; what one of the two reads shows is there.
    ids = [*order, *sorted(set(by_id) - set(order))]
    return Found(
        ref=holder.id,
        name=holder.name,
        account=account,
        scope=scope,
        tags=holder.tags,
        interfaces=tuple(_interface(one, by_id.get(one), shown.get(one), holder) for one in ids),
    )


def _interface(identity: str, known: Eni | None, shown: Shown | None, holder: Instance) -> FoundInterface:
    if known is None:
        assert shown is not None
        return FoundInterface(identity, shown.vpc or holder.vpc, shown.addresses, None, "DescribeNetworkInterfaces does not show it yet")
    point = None if known.skipped else known.point
    return FoundInterface(identity, known.vpc, known.private | known.public, point, known.skipped)


# --- networks and prefix lists ---------------------------------------------------------------------------------------


def vpc(raw: Raw, scope: str) -> Vpc:
    """Return one VPC of DescribeVpcs, with the blocks that are associated now."""
    four = _blocks(raw.get("CidrBlockAssociationSet"), "CidrBlock")
    six = _blocks(raw.get("Ipv6CidrBlockAssociationSet"), "Ipv6CidrBlock")
    if raw.get("CidrBlock"):
        four.add(canonical(raw["CidrBlock"]))
    return Vpc(str(raw["VpcId"]), scope, (*sorted(four), *sorted(six)), bool(six), bool(raw.get("IsDefault")))


def _blocks(raw: Iterable[Raw] | None, field: str) -> set[str]:
    now = ("associated", "associating")
    return {canonical(one[field]) for one in raw or () if (one.get(f"{field}State") or {}).get("State", "associated") in now}


def peerings(raw: Iterable[Raw], region: str) -> frozenset[tuple[str, str]]:
    """Return the pairs of VPCs, in both orders, whose peering is active with both ends in this Region."""
    pairs: set[tuple[str, str]] = set()
    for one in raw:
        ends = (one.get("RequesterVpcInfo") or {}, one.get("AccepterVpcInfo") or {})
        # Old peerings show no Region: inter-Region peering came later than the field.
        here = all(end.get("Region", region) == region for end in ends)
        if (one.get("Status") or {}).get("Code") == "active" and here and all(end.get("VpcId") for end in ends):
            a, b = (str(end["VpcId"]) for end in ends)
            pairs |= {(a, b), (b, a)}
    return frozenset(pairs)


def prefix_list(raw: Raw, entries: Iterable[Raw], scope: str, owner: str) -> PrefixList:
    """Return one prefix list of DescribeManagedPrefixLists with its entries."""
    family = {"IPv4": Family.V4, "IPv6": Family.V6}.get(str(raw.get("AddressFamily")))
    if family is None:
        raise ParseError(f"prefix list {raw.get('PrefixListId')}: address family {raw.get('AddressFamily')!r}")
    members = {canonical(one["Cidr"]): str(one.get("Description") or "") for one in entries}
    aws = raw.get("OwnerId") == "AWS"
    name = str(raw.get("PrefixListName", ""))
    return PrefixList(
        id=str(raw["PrefixListId"]),
        scope=scope,
        name=name,
        family=family,
        weight=aws_list_weight(name, len(members)) if raw.get("MaxEntries") is None else int(raw["MaxEntries"]),
        version=int(raw.get("Version") or 0),
        state=str(raw.get("State", "")),
        entries={cidr: members[cidr] for cidr in sorted(members)},
        mark=mark_of(dict(tags(raw.get("Tags"))), owner),
        aws=aws,
    )

"""Network interfaces: the truth about who carries which group (rows 26, 27, 30, 38)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from . import filters, paging, quota, wire
from .book import Book
from .native import Native
from .refusal import Refusal, different_networks
from .wire import Fragment, Value
from .world import Call, World

DELEGATED_TYPES = frozenset({"lambda", "branch", "transit_gateway", "nat_gateway", "network_load_balancer", "vpc_endpoint"})


def groups_for(world: World, book: Book, vpc_id: str, group_ids: list[str]) -> list[Native]:
    """Check a whole group set: known, of this VPC, no more than the quota; twins count once (row 26)."""
    unique = list(dict.fromkeys(group_ids))
    groups = [book.group(each) for each in unique]
    for group in groups:
        if group.vpc_id != vpc_id and book.associations.get((group.id, vpc_id)) != "associated":
            raise different_networks()
    if len(unique) > book.quotas.value(quota.GROUPS_PER_INTERFACE):
        raise Refusal(
            "SecurityGroupsPerInterfaceLimitExceeded",
            "The maximum number of security groups per interface has been reached",
        )
    del world
    return groups


def find(book: Book, eni_id: str) -> Native:
    """moto's interface, or EC2's refusal."""
    found = book.backend.enis.get(eni_id)
    if found is None or book.is_hidden(eni_id):
        raise Refusal("InvalidNetworkInterfaceID.NotFound", f"The networkInterface ID '{eni_id}' does not exist")
    return found


def modify_attribute(world: World, call: Call) -> dict[str, Value]:
    """ModifyNetworkInterfaceAttribute: `Groups` replaces the whole set at once, at least one (row 26)."""
    book, form = world.of(call), call.form
    eni = find(book, form.text("NetworkInterfaceId") or "")
    group_ids = form.texts("SecurityGroupId", "Groups")
    text = form.child("Description")
    check = form.child("SourceDestCheck")
    attachment = form.child("Attachment")
    if not group_ids and text is None and check is None and attachment is None:
        raise Refusal.missing("groupSet, description, sourceDestCheck or attachment")
    if group_ids:
        if eni.requester_managed or eni.interface_type in DELEGATED_TYPES:
            raise Refusal("OperationNotPermitted", f"You do not have permission to modify the interface '{eni.id}'.")
        eni._group_set = groups_for(world, book, eni.subnet.vpc_id, group_ids)
    if text is not None:
        eni.description = text.text("Value") or ""
    if check is not None:
        eni.source_dest_check = check.flag("Value")
    if attachment is not None:
        eni.delete_on_termination = attachment.flag("DeleteOnTermination")
    return {"return": True}


def check_create(world: World, call: Call) -> None:
    """CreateNetworkInterface: its groups are checked before moto makes it (row 26)."""
    book, form = world.of(call), call.form
    subnet_id = form.text("SubnetId")
    group_ids = form.texts("SecurityGroupId", "Groups")
    if subnet_id and group_ids:
        groups_for(world, book, vpc_of_subnet(book, subnet_id), group_ids)


def vpc_of_subnet(book: Book, subnet_id: str) -> str:
    """The VPC of a subnet, or EC2's refusal."""
    for zone in list(book.backend.subnets.values()):
        if subnet_id in zone:
            return str(zone[subnet_id].vpc_id)
    raise Refusal("InvalidSubnetID.NotFound", f"The subnet ID '{subnet_id}' does not exist")


# --- reading ------------------------------------------------------------------------------------------------


def describe(world: World, call: Call) -> dict[str, Value]:
    """DescribeNetworkInterfaces with EC2's filters and real pages (rows 12, 30)."""
    book, form = world.of(call), call.form
    ids = form.texts("NetworkInterfaceId", "NetworkInterfaceIds")
    found = [find(book, each) for each in dict.fromkeys(ids)] if ids else book.visible(list(book.backend.enis.values()))
    addresses = elastic_addresses(book)
    found = filters.select(found, filters.parse(form), fields=_fields(book), identity=lambda eni: str(eni.id), tags=book.tags)
    refuse_unpaged(world, call, len(found))
    page = paging.page(call.action, form, found, lambda eni: str(eni.id))
    views: list[Value] = [view(book, each, addresses) for each in page.found]
    return {"networkInterfaceSet": views, "nextToken": page.token}


def refuse_unpaged(world: World, call: Call, size: int) -> None:
    """Large accounts are refused reads that neither page nor filter, when the lab is told to (row 39)."""
    limit = world.settings.unpaged_limit
    narrowed = call.form.has("MaxResults") or call.form.has("Filter") or call.form.has("NextToken")
    if limit is not None and size > limit and not narrowed:
        raise Refusal("OperationNotPermitted", "The maximum number of resources was exceeded. Use pagination or filters.")


def elastic_addresses(book: Book) -> dict[str, Native]:
    """Public address -> moto's elastic address."""
    return {each.public_ip: each for each in list(book.backend.addresses)}


def association(book: Book, public_ip: str | None, addresses: dict[str, Native]) -> dict[str, Value] | None:
    """How a public address is tied to an interface."""
    if not public_ip:
        return None
    elastic = addresses.get(public_ip)
    dashed = public_ip.replace(".", "-")
    ids: dict[str, Value] = {}
    if elastic is not None:
        ids = {"allocationId": elastic.allocation_id, "associationId": elastic.association_id}
    return {
        "publicIp": public_ip,
        "publicDnsName": f"ec2-{dashed}.compute-1.amazonaws.com",
        "ipOwnerId": "amazon" if elastic is None else book.account,
        **ids,
    }


def groups_view(eni: Native) -> list[Value]:
    """The group set of one interface."""
    return [{"groupId": group.id, "groupName": group.name} for group in eni.group_set]


def addresses_view(eni: Native, public: dict[str, Value] | None) -> list[Value]:
    """Every private IPv4 address, the primary with its public one."""
    out: list[Value] = []
    for each in eni.private_ip_addresses:
        address = each.get("PrivateIpAddress")
        primary = address == eni.private_ip_address
        out.append({"privateIpAddress": address, "primary": primary, "association": public if primary else None})
    return out


def ipv6_view(eni: Native) -> list[Value]:
    """Every IPv6 address."""
    return [{"ipv6Address": str(each)} for each in eni.ipv6_addresses if each]


def attachment_view(eni: Native, *, with_instance: bool) -> dict[str, Value] | None:
    """The attachment; only of interfaces that are attached."""
    if not eni.attachment_id or eni.instance is None:
        return None
    who: dict[str, Value] = {"instanceId": eni.instance.id, "instanceOwnerId": eni.owner_id} if with_instance else {}
    return {
        "attachmentId": eni.attachment_id,
        **who,
        "deviceIndex": eni.device_index,
        "networkCardIndex": 0,
        "status": "attached",
        "attachTime": eni.attach_time.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "deleteOnTermination": bool(eni.delete_on_termination),
    }


def view(book: Book, eni: Native, addresses: dict[str, Native]) -> dict[str, Value]:
    """One interface of DescribeNetworkInterfaces."""
    public = association(book, eni.public_ip, addresses)
    return {
        "networkInterfaceId": eni.id,
        "subnetId": eni.subnet.id,
        "vpcId": eni.subnet.vpc_id,
        "availabilityZone": eni.subnet.availability_zone,
        "description": eni.description,
        "ownerId": book.account,
        "requesterId": eni.requester_id if eni.requester_managed else None,
        "requesterManaged": bool(eni.requester_managed),
        "status": eni.status,
        "macAddress": eni.mac_address,
        "privateIpAddress": eni.private_ip_address,
        "privateDnsName": getattr(eni, "private_dns_name", None),
        "sourceDestCheck": bool(eni.source_dest_check),
        "groupSet": groups_view(eni),
        "attachment": attachment_view(eni, with_instance=True),
        "association": public,
        "tagSet": Fragment(wire.tags(book.tags(eni.id))),
        "privateIpAddressesSet": addresses_view(eni, public),
        "ipv6AddressesSet": ipv6_view(eni),
        "interfaceType": eni.interface_type,
    }


def _maybe(value: Native) -> Iterable[str]:
    return () if value is None or value == "" else (str(value),)


def _fields(book: Book) -> dict[str, Callable[[Native], Iterable[str]]]:
    return {
        "network-interface-id": lambda eni: (eni.id,),
        "subnet-id": lambda eni: (eni.subnet.id,),
        "vpc-id": lambda eni: (eni.subnet.vpc_id,),
        "availability-zone": lambda eni: (eni.subnet.availability_zone,),
        "description": lambda eni: (eni.description,),
        "group-id": lambda eni: [group.id for group in eni.group_set],
        "group-name": lambda eni: [group.name for group in eni.group_set],
        "owner-id": lambda _eni: (book.account,),
        "status": lambda eni: (eni.status,),
        "interface-type": lambda eni: (eni.interface_type,),
        "requester-managed": lambda eni: ("true" if eni.requester_managed else "false",),
        "requester-id": lambda eni: _maybe(eni.requester_id if eni.requester_managed else None),
        "mac-address": lambda eni: (eni.mac_address,),
        "private-ip-address": lambda eni: _maybe(eni.private_ip_address),
        "private-dns-name": lambda eni: _maybe(getattr(eni, "private_dns_name", None)),
        "source-dest-check": lambda eni: ("true" if eni.source_dest_check else "false",),
        "addresses.private-ip-address": lambda eni: [str(each["PrivateIpAddress"]) for each in eni.private_ip_addresses],
        "addresses.association.public-ip": lambda eni: _maybe(eni.public_ip),
        "association.public-ip": lambda eni: _maybe(eni.public_ip),
        "ipv6-addresses.ipv6-address": lambda eni: [str(each) for each in eni.ipv6_addresses],
        "attachment.attachment-id": lambda eni: _maybe(eni.attachment_id),
        "attachment.instance-id": lambda eni: _maybe(eni.instance.id if eni.instance else None),
        "attachment.instance-owner-id": lambda eni: _maybe(book.account if eni.instance else None),
        "attachment.device-index": lambda eni: _maybe(eni.device_index if eni.instance else None),
        "attachment.status": lambda eni: _maybe("attached" if eni.instance else None),
        "attachment.delete-on-termination": lambda eni: _maybe(
            ("true" if eni.delete_on_termination else "false") if eni.instance else None
        ),
    }

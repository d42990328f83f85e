"""Instances: checks before moto launches them, and the description with real pages (rows 12, 27, 30)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from . import filters, interfaces, paging, wire
from .book import Book
from .native import Native
from .refusal import Refusal
from .wire import Fragment, Value
from .world import Call, World


def check_run(world: World, call: Call) -> None:
    """RunInstances: the groups of every interface are known and of its VPC."""
    book, form = world.of(call), call.form
    subnet_id = form.text("SubnetId")
    group_ids = form.texts("SecurityGroupId", "SecurityGroupIds")
    for each in group_ids:
        book.group(each)
    if subnet_id and group_ids:
        interfaces.groups_for(world, book, interfaces.vpc_of_subnet(book, subnet_id), group_ids)
    for nic in form.forms("NetworkInterface", "NetworkInterfaces"):
        wanted, where = nic.texts("SecurityGroupId", "Groups"), nic.text("SubnetId")
        if wanted and where:
            interfaces.groups_for(world, book, interfaces.vpc_of_subnet(book, where), wanted)


def describe(world: World, call: Call) -> dict[str, Value]:
    """DescribeInstances; MaxResults and ids exclude each other."""
    book, form = world.of(call), call.form
    ids = form.texts("InstanceId", "InstanceIds")
    if ids and form.has("MaxResults"):
        raise Refusal("InvalidParameterCombination", "The parameter instancesSet cannot be used with the parameter maxResults")
    owners = {each.id: (each, reservation) for reservation in list(book.backend.reservations.values()) for each in reservation.instances}
    found = [each for each, _ in owners.values()]
    if ids:
        unknown = [each for each in dict.fromkeys(ids) if each not in owners]
        if unknown:
            raise _not_found(unknown)
        found = [owners[each][0] for each in dict.fromkeys(ids)]
    found = filters.select(
        book.visible(found), filters.parse(form), fields=_fields(owners), identity=lambda each: str(each.id), tags=book.tags
    )
    interfaces.refuse_unpaged(world, call, len(found))
    page = paging.page(call.action, form, found, lambda each: str(each.id))
    return {"reservationSet": _reservations(book, page.found, owners), "nextToken": page.token}


def _not_found(ids: list[str]) -> Refusal:
    if len(ids) == 1:
        return Refusal("InvalidInstanceID.NotFound", f"The instance ID '{ids[0]}' does not exist")
    return Refusal("InvalidInstanceID.NotFound", f"The instance IDs '{', '.join(ids)}' do not exist")


def _reservations(book: Book, found: Iterable[Native], owners: dict[str, tuple[Native, Native]]) -> list[Value]:
    addresses = interfaces.elastic_addresses(book)
    grouped: dict[str, list[Native]] = {}
    for each in found:
        grouped.setdefault(owners[each.id][1].id, []).append(each)
    return [
        {
            "reservationId": reservation_id,
            "ownerId": book.account,
            "groupSet": [],
            "instancesSet": [view(book, each, addresses) for each in members],
        }
        for reservation_id, members in grouped.items()
    ]


def nics(instance: Native) -> list[Native]:
    """The interfaces of an instance. EC2 promises no order; the lab shows the primary last to prove that nobody relies on one."""
    return [instance.nics[index] for index in sorted(instance.nics, reverse=True)]


def primary(instance: Native) -> Native | None:
    """The interface with device index 0, None once the instance is terminated."""
    return instance.nics.get(0)


def view(book: Book, instance: Native, addresses: dict[str, Native]) -> dict[str, Value]:
    """One instance of DescribeInstances."""
    nic = primary(instance)
    stopped = instance.state_reason.code or None
    return {
        "instanceId": instance.id,
        "imageId": instance.image_id,
        "instanceState": {"code": instance.state_code, "name": instance.state},
        "privateDnsName": instance.private_dns_name if nic is not None else "",
        "dnsName": (instance.public_dns_name or "") if nic is not None else "",
        "reason": instance.state_transition_reason,
        "keyName": instance.key_name,
        "amiLaunchIndex": instance.ami_launch_index,
        "productCodes": [],
        "instanceType": instance.instance_type,
        "launchTime": instance.launch_time.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "placement": {"availabilityZone": instance.placement.zone, "groupName": "", "tenancy": "default"},
        "monitoring": {"state": instance.monitoring_state},
        "subnetId": nic.subnet.id if nic is not None else None,
        "vpcId": nic.subnet.vpc_id if nic is not None else None,
        "privateIpAddress": nic.private_ip_address if nic is not None else None,
        "ipAddress": nic.public_ip if nic is not None else None,
        "sourceDestCheck": bool(instance.source_dest_check),
        "groupSet": interfaces.groups_view(nic) if nic is not None else [],
        "stateReason": {"code": stopped, "message": instance.state_reason.message} if stopped else None,
        "architecture": instance.architecture,
        "rootDeviceType": instance.root_device_type,
        "rootDeviceName": instance.root_device_name,
        "blockDeviceMapping": _disks(instance),
        "virtualizationType": instance.virtualization_type,
        "clientToken": instance.client_token,
        "tagSet": Fragment(wire.tags(book.tags(instance.id))),
        "hypervisor": instance.hypervisor,
        "networkInterfaceSet": [_nic(book, each, addresses) for each in nics(instance)],
        "iamInstanceProfile": _profile(instance),
        "ebsOptimized": bool(instance.ebs_optimized),
        "metadataOptions": _metadata(instance),
    }


def _metadata(instance: Native) -> dict[str, Value]:
    options = instance.metadata_options
    return {
        "state": options.state,
        "httpTokens": options.http_tokens,
        "httpPutResponseHopLimit": options.http_put_response_hop_limit,
        "httpEndpoint": options.http_endpoint,
        "httpProtocolIpv6": options.http_protocol_ipv6,
        "instanceMetadataTags": options.instance_metadata_tags,
    }


def _profile(instance: Native) -> dict[str, Value] | None:
    profile = instance.iam_instance_profile
    if not isinstance(profile, dict) or "Arn" not in profile:
        return None
    return {"arn": str(profile["Arn"]), "id": str(profile.get("Id", ""))}


def _disks(instance: Native) -> list[Value]:
    out: list[Value] = []
    for name, disk in instance.get_block_device_mapping:
        attached = disk.attach_time
        when = attached.strftime("%Y-%m-%dT%H:%M:%S.000Z") if hasattr(attached, "strftime") else attached
        ebs = {
            "volumeId": disk.volume_id,
            "status": "attached",
            "attachTime": when,
            "deleteOnTermination": bool(disk.delete_on_termination),
        }
        out.append({"deviceName": name, "ebs": ebs})
    return out


def _nic(book: Book, eni: Native, addresses: dict[str, Native]) -> dict[str, Value]:
    public = interfaces.association(book, eni.public_ip, addresses)
    return {
        "networkInterfaceId": eni.id,
        "subnetId": eni.subnet.id,
        "vpcId": eni.subnet.vpc_id,
        "description": eni.description,
        "ownerId": book.account,
        "status": eni.status,
        "macAddress": eni.mac_address,
        "privateIpAddress": eni.private_ip_address,
        "sourceDestCheck": bool(eni.source_dest_check),
        "groupSet": interfaces.groups_view(eni),
        "attachment": interfaces.attachment_view(eni, with_instance=False),
        "association": public,
        "privateIpAddressesSet": interfaces.addresses_view(eni, public),
        "ipv6AddressesSet": interfaces.ipv6_view(eni),
        "interfaceType": eni.interface_type,
    }


def _over_nics(read: Callable[[Native], Iterable[Native]]) -> Callable[[Native], Iterable[str]]:
    return lambda instance: [str(value) for nic in instance.nics.values() for value in read(nic) if value is not None]


def _of_primary(read: Callable[[Native], Native]) -> Callable[[Native], Iterable[str]]:
    def values(instance: Native) -> Iterable[str]:
        nic = primary(instance)
        value = None if nic is None else read(nic)
        return () if value is None else (str(value),)

    return values


def _fields(owners: dict[str, tuple[Native, Native]]) -> dict[str, Callable[[Native], Iterable[str]]]:
    return {
        "instance-id": lambda each: (each.id,),
        "instance-state-name": lambda each: (each.state,),
        "instance-state-code": lambda each: (str(each.state_code),),
        "instance-type": lambda each: (each.instance_type,),
        "image-id": lambda each: (each.image_id,),
        "key-name": lambda each: () if each.key_name is None else (each.key_name,),
        "architecture": lambda each: (each.architecture,),
        "availability-zone": lambda each: (str(each.placement.zone),),
        "client-token": lambda each: (str(each.client_token or ""),),
        "owner-id": lambda each: (each.owner_id,),
        "reservation-id": lambda each: (owners[each.id][1].id,),
        "root-device-type": lambda each: (each.root_device_type,),
        "virtualization-type": lambda each: (each.virtualization_type,),
        "vpc-id": _of_primary(lambda nic: nic.subnet.vpc_id),
        "subnet-id": _of_primary(lambda nic: nic.subnet.id),
        "private-ip-address": _of_primary(lambda nic: nic.private_ip_address),
        "ip-address": _of_primary(lambda nic: nic.public_ip),
        "private-dns-name": lambda each: (each.private_dns_name,) if primary(each) is not None else (),
        "dns-name": lambda each: (str(each.public_dns_name),) if primary(each) is not None and each.public_dns_name else (),
        "instance.group-id": lambda each: [group.id for group in getattr(primary(each), "group_set", ())],
        "instance.group-name": lambda each: [group.name for group in getattr(primary(each), "group_set", ())],
        "group-id": lambda each: [group.id for group in getattr(primary(each), "group_set", ())],
        "group-name": lambda each: [group.name for group in getattr(primary(each), "group_set", ())],
        "network-interface.group-id": _over_nics(lambda nic: [group.id for group in nic.group_set]),
        "network-interface.group-name": _over_nics(lambda nic: [group.name for group in nic.group_set]),
        "network-interface.network-interface-id": _over_nics(lambda nic: [nic.id]),
        "network-interface.subnet-id": _over_nics(lambda nic: [nic.subnet.id]),
        "network-interface.vpc-id": _over_nics(lambda nic: [nic.subnet.vpc_id]),
        "network-interface.private-ip-address": _over_nics(lambda nic: [nic.private_ip_address]),
        "network-interface.addresses.private-ip-address": _over_nics(
            lambda nic: [address["PrivateIpAddress"] for address in nic.private_ip_addresses]
        ),
        "network-interface.addresses.association.public-ip": _over_nics(lambda nic: [nic.public_ip]),
        "network-interface.association.public-ip": _over_nics(lambda nic: [nic.public_ip]),
        "network-interface.ipv6-addresses.ipv6-address": _over_nics(lambda nic: nic.ipv6_addresses),
        "iam-instance-profile.arn": lambda each: [str((_profile(each) or {}).get("arn", ""))],
    }

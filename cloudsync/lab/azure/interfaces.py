"""Network interfaces, their addresses, and public addresses."""

from __future__ import annotations

import ipaddress
from collections import Counter
from typing import TypeAlias

from ..kit.faults import Json
from . import names
from .errors import bad
from .networks import blocks_of, check_home, need_subnet, refer
from .shapes import cleaned
from .world import Resource, World

Taken: TypeAlias = dict[tuple[str, str], str]
"""(key of a network, address) -> id of the interface that has it."""


def accept_nic(world: World, resource: Resource, given: Json, old: Resource | None) -> None:
    """Take a whole interface: what is not named is gone."""
    clean = cleaned("NetworkInterfacePropertiesFormat", given, "properties", strict=world.switches.read_only_fields == "refuse")
    refer(world, clean, resource.id, "networkSecurityGroup")
    configurations = clean.get("ipConfigurations", [])
    if not configurations:
        detail = {"code": "MissingProperty", "message": "Required property 'ipConfigurations' not found in JSON."}
        raise bad("InvalidRequestFormat", "Cannot parse the request.", detail)
    check_home(world, resource, clean, resource.id)
    taken = addresses_in_use(world, but=resource.id)
    kept: list[Json] = []
    for number, each in enumerate(configurations):
        kept.append(configured(world, resource, each, taken, first=number == 0))
    if len({names.key(each["properties"]["subnet"]["id"]).rpartition("/subnets/")[0] for each in kept}) > 1:
        raise bad(
            "NetworkInterfaceConfigurationsMustBeInSameVnet", f"All ipConfigurations of {resource.id} must be in one virtual network."
        )
    resource.properties = {**clean, "ipConfigurations": kept}
    _check_asgs(world, resource, kept)
    if old is None:
        resource.hidden["resourceGuid"] = world.guid()
    before = old.properties.get("networkSecurityGroup") if old is not None else None
    now = clean.get("networkSecurityGroup")
    for each in (before, now):
        if each is not None and before != now:
            world.touch(each["id"])


def addresses_in_use(world: World, *, but: str = "") -> Taken:
    """All addresses of interfaces, except one interface's."""
    found: Taken = {}
    for each in world.resources.values():
        if each.path.types[-1] == "networkInterfaces" and names.key(each.id) != names.key(but):
            for configuration in each.properties.get("ipConfigurations", ()):
                properties = configuration["properties"]
                home = names.key(properties["subnet"]["id"]).rpartition("/subnets/")[0]
                found[home, properties["privateIPAddress"]] = each.id
    return found


def configured(world: World, nic: Resource, given: Json, taken: Taken, *, first: bool) -> Json:
    """Take one ipConfiguration of an interface: its address is chosen, checked and marked as taken."""
    old = world.find(nic.id)
    name = given.get("name") or "ipconfig1"
    where = f"{nic.id}/ipConfigurations/{name}"
    properties = dict(given.get("properties", {}))
    vnet, subnet = need_subnet(world, properties.get("subnet"), where)
    properties["subnet"] = {"id": f"{vnet.id}/subnets/{subnet['name']}"}
    properties.setdefault("privateIPAddressVersion", "IPv4")
    properties.setdefault("privateIPAllocationMethod", "Dynamic")
    properties.setdefault("primary", first)
    version = 6 if properties["privateIPAddressVersion"] == "IPv6" else 4
    blocks = [block for block in map(ipaddress.ip_network, blocks_of(subnet)) if block.version == version]
    home = names.key(vnet.id)
    wanted = properties.get("privateIPAddress")
    before = _address_before(old, name, properties["subnet"]["id"]) if properties["privateIPAllocationMethod"] == "Dynamic" else None
    if wanted and properties["privateIPAllocationMethod"] == "Static":
        properties["privateIPAddress"] = _static(wanted, subnet, blocks, home, taken)
    elif before:
        properties["privateIPAddress"] = before
    else:
        properties["privateIPAddress"] = _next_free(subnet, blocks, home, taken)
    taken[home, properties["privateIPAddress"]] = nic.id
    for field in ("applicationSecurityGroups", "loadBalancerBackendAddressPools"):
        if properties.get(field) == []:
            del properties[field]
    return {"name": name, "properties": properties}


def _address_before(old: Resource | None, name: str, subnet_id: str) -> str | None:
    for each in old.properties["ipConfigurations"] if old is not None else ():
        if each["name"] == name and names.key(each["properties"]["subnet"]["id"]) == names.key(subnet_id):
            return str(each["properties"]["privateIPAddress"])
    return None


def _static(wanted: str, subnet: Json, blocks: list[Json], home: str, taken: Taken) -> str:
    try:
        address = ipaddress.ip_address(wanted)
    except ValueError:
        raise bad("InvalidPrivateIPAddressFormat", f"Private static IP address value {wanted} is invalid.") from None
    block = next((block for block in blocks if address in block), None)
    if block is None:
        message = f"Private static IP address {wanted} does not belong to the range of subnet prefix {', '.join(blocks_of(subnet))}."
        raise bad("PrivateIPAddressNotInSubnet", message)
    if int(address) - int(block.network_address) < 4 or (block.version == 4 and address == block.broadcast_address):
        raise bad(
            "PrivateIPAddressInReservedRange",
            f"Private static IP address {wanted} falls within reserved IP range of subnet prefix {block}.",
        )
    if (home, str(address)) in taken:
        holder = taken[home, str(address)]
        text = f"IP configuration is using the private IP address {wanted} which is already allocated to resource {holder}."
        raise bad("PrivateIPAddressInUse", text)
    return str(address)


def _next_free(subnet: Json, blocks: list[Json], home: str, taken: Taken) -> str:
    for block in blocks:
        last = block.num_addresses - (1 if block.version == 4 else 0)
        for number in range(4, last):
            address = str(block[number])
            if (home, address) not in taken:
                return address
    raise bad(
        "SubnetIsFull",
        f"Subnet {subnet['name']} with address prefix {', '.join(blocks_of(subnet))} does not have enough capacity for 1 IP addresses.",
    )


def _check_asgs(world: World, nic: Resource, configurations: list[Json]) -> None:
    for each in configurations:
        joined = each["properties"].get("applicationSecurityGroups", ())
        where = f"{nic.id}/ipConfigurations/{each['name']}"
        if len(joined) > world.limits.asgs_per_configuration:
            raise bad(
                "TooManyApplicationSecurityGroups",
                f"{where} cannot join more than {world.limits.asgs_per_configuration} application security groups.",
            )
        for one in joined:
            if world.find(one["id"]) is None:
                raise bad("InvalidResourceReference", f"Resource {one['id']} referenced by resource {where} was not found.")
    sets = {frozenset(names.key(one["id"]) for one in each["properties"].get("applicationSecurityGroups", ())) for each in configurations}
    if len(sets) > 1:
        message = f"All IP configurations of network interface {nic.id} must have the same set of application security groups."
        raise bad("AllIpConfigurationsOfNicMustHaveSameApplicationSecurityGroups", message)
    _check_asg_homes(world, nic, configurations)


def _check_asg_homes(world: World, nic: Resource, configurations: list[Json]) -> None:
    """All members of an ASG are in one network, and not more than it may have."""
    wanted = {names.key(one["id"]) for each in configurations for one in each["properties"].get("applicationSecurityGroups", ())}
    if not wanted:
        return
    home = names.key(configurations[0]["properties"]["subnet"]["id"]).rpartition("/subnets/")[0]
    members: Counter[str] = Counter()
    for interface in world.of_kind("Microsoft.Network/networkInterfaces"):
        if names.key(interface.id) == names.key(nic.id):
            continue
        for each in interface.properties["ipConfigurations"]:
            for one in each["properties"].get("applicationSecurityGroups", ()):
                members[names.key(one["id"])] += 1
                other = names.key(each["properties"]["subnet"]["id"]).rpartition("/subnets/")[0]
                if names.key(one["id"]) in wanted and other != home:
                    message = f"Application security group {one['id']} has members in another virtual network than {nic.id}."
                    raise bad("ApplicationSecurityGroupsNotInSameVnet", message)
    for group in wanted:
        if members[group] + len(configurations) > world.limits.configurations_per_asg:
            message = f"Application security group {group} cannot have more than {world.limits.configurations_per_asg} IP configurations."
            raise bad("ApplicationSecurityGroupTooManyIpConfigurations", message)


def show_nic(_world: World, resource: Resource, _version: str) -> Json:
    """The properties of an interface as an answer holds them."""
    shown = {"provisioningState": resource.state, "resourceGuid": resource.hidden.get("resourceGuid", ""), **resource.properties}
    shown["ipConfigurations"] = [
        {
            "name": each["name"],
            "id": f"{resource.id}/ipConfigurations/{each['name']}",
            "etag": resource.etag,
            "type": f"{resource.kind}/ipConfigurations",
            "properties": {"provisioningState": resource.state, **each["properties"]},
        }
        for each in resource.properties.get("ipConfigurations", ())
    ]
    shown.setdefault("dnsSettings", {"dnsServers": [], "appliedDnsServers": []})
    shown.setdefault("enableAcceleratedNetworking", False)
    shown.setdefault("enableIPForwarding", False)
    shown.setdefault("hostedWorkloads", [])
    shown.setdefault("tapConfigurations", [])
    machine = resource.hidden.get("virtualMachine")
    if machine:
        shown["virtualMachine"] = {"id": machine}
        shown["primary"] = resource.hidden.get("primary", True)
    return shown


def check_nic_delete(_world: World, resource: Resource) -> None:
    """An interface of a machine stays; what it carried gets a new ETag."""
    machine = resource.hidden.get("virtualMachine")
    if machine:
        message = (
            f"Network Interface {resource.id} is used by existing resource {machine}. In order to delete the network interface, it must be "
            "dissociated from the resource. To learn more, see aka.ms/deletenic."
        )
        raise bad("NicInUse", message)


def accept_public(world: World, resource: Resource, given: Json, old: Resource | None) -> None:
    """Take a public address; the service chooses it."""
    if not isinstance(given, dict):
        raise bad("InvalidRequestFormat", "Cannot parse the request.")
    resource.properties = {
        "publicIPAllocationMethod": given.get("publicIPAllocationMethod", "Static"),
        "publicIPAddressVersion": given.get("publicIPAddressVersion", "IPv4"),
        "idleTimeoutInMinutes": given.get("idleTimeoutInMinutes", 4),
    }
    if old is None:
        resource.hidden["resourceGuid"] = world.guid()
        number = sum(1 for _ in world.of_kind(resource.kind))
        resource.hidden["ipAddress"] = str(ipaddress.ip_address("198.19.0.1") + number)


def show_public(world: World, resource: Resource, _version: str) -> Json:
    """The properties of a public address."""
    shown = {
        "provisioningState": resource.state, "resourceGuid": resource.hidden["resourceGuid"], "ipAddress": resource.hidden["ipAddress"],
        "ipTags": [], **resource.properties,
    }  # fmt: skip
    user = _user_of_public(world, resource)
    if user:
        shown["ipConfiguration"] = {"id": user}
    return shown


def _user_of_public(world: World, resource: Resource) -> str | None:
    for interface in world.of_kind("Microsoft.Network/networkInterfaces"):
        for each in interface.properties["ipConfigurations"]:
            public = each["properties"].get("publicIPAddress")
            if public and names.key(public["id"]) == names.key(resource.id):
                return f"{interface.id}/ipConfigurations/{each['name']}"
    return None


def check_public_delete(world: World, resource: Resource) -> None:
    """A public address in use stays."""
    user = _user_of_public(world, resource)
    if user:
        message = f"Public IP address {resource.id} can not be deleted since it is still allocated to resource {user}."
        raise bad("PublicIPAddressCannotBeDeleted", message)

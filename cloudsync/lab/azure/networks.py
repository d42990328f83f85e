"""Virtual networks with their subnets and peerings."""

from __future__ import annotations

import ipaddress
from typing import TypeAlias

from ..kit.faults import Json
from . import names
from .errors import ArmError, bad
from .shapes import cleaned
from .world import Resource, World

Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"


def accept_vnet(world: World, resource: Resource, given: Json, old: Resource | None, fresh: str | None = None) -> None:
    """Take a whole virtual network: what is not named is gone, subnets in use cannot go. `fresh`: the child a client has sent."""
    strict = world.switches.read_only_fields == "refuse"
    clean = cleaned("VirtualNetworkPropertiesFormat", given, "properties", strict=strict and fresh is None)
    space = prefixes_of(clean.get("addressSpace", {}).get("addressPrefixes", ()), "InvalidAddressPrefixFormat", resource.id)
    if not space:
        raise bad("InvalidRequestFormat", "Cannot parse the request.", _missing("addressSpace.addressPrefixes"))
    subnets = [_subnet(world, resource, each, space) for each in clean.get("subnets", ())]
    _check_apart(resource, subnets)
    kept = {each["name"].lower() for each in subnets}
    if old is not None:
        for each in old.properties.get("subnets", ()):
            if each["name"].lower() not in kept:
                check_subnet_free(world, f"{resource.id}/subnets/{each['name']}")
    known = {names.key(_remote(each)) for each in old.properties.get("virtualNetworkPeerings", ())} if old is not None else set()
    resource.properties = {
        **clean,
        "subnets": subnets,
        "virtualNetworkPeerings": [_peering(world, resource, each, known, space) for each in clean.get("virtualNetworkPeerings", ())],
    }
    if old is None:
        resource.hidden["resourceGuid"] = world.guid()


def _missing(what: str) -> Json:
    return {"code": "MissingProperty", "message": f"Required property '{what}' not found in JSON."}


def prefixes_of(texts: Json, code: str, where: str) -> list[Network]:
    """Read blocks; ArmError for a bad one."""
    found: list[Network] = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text))
        except ValueError:
            raise bad(
                code, f"Address prefix {text} of resource {where} is not formatted correctly. It should follow CIDR notation."
            ) from None
    return found


def blocks_of(subnet: Json) -> list[str]:
    """The blocks of a subnet."""
    properties = subnet["properties"]
    one = properties.get("addressPrefix")
    return list(dict.fromkeys(([one] if one else []) + list(properties.get("addressPrefixes", ()))))


def _subnet(world: World, vnet: Resource, given: Json, space: list[Network]) -> Json:
    name = given.get("name")
    if not name:
        raise bad("InvalidRequestFormat", "Cannot parse the request.", _missing("name"))
    subnet = {"name": name, "properties": dict(given.get("properties", {}))}
    where = f"{vnet.id}/subnets/{name}"
    blocks = prefixes_of(blocks_of(subnet), "InvalidCIDRNotation", where)
    if not blocks:
        raise bad("InvalidRequestFormat", "Cannot parse the request.", _missing("addressPrefix"))
    for block in blocks:
        if not any(block.version == one.version and block[0] in one and block[-1] in one for one in space):
            message = (
                f"Subnet '{name}' is not valid because its IP address range is outside the IP address range of virtual network "
                f"'{vnet.path.names[0]}'."
            )
            raise bad("NetcfgInvalidSubnet", message)
    refer(world, subnet["properties"], where, "networkSecurityGroup", "routeTable", "natGateway")
    check_home(world, vnet, subnet["properties"], where)
    return subnet


def refer(world: World, properties: Json, where: str, *fields: str) -> None:
    """Check that what is referred to exists (kinds we do not serve are taken on trust), and write its canonical id."""
    for field in fields:
        wanted = properties.get(field)
        if wanted is None:
            continue
        found = world.find(wanted["id"])
        if found is not None:
            properties[field] = {"id": found.id}
        elif field == "networkSecurityGroup":
            message = (
                f"Resource {wanted['id']} referenced by resource {where} was not found. Please make sure that the referenced "
                "resource exists, "
                "and that both resources are in the same region."
            )
            raise bad("InvalidResourceReference", message)


def check_home(world: World, resource: Resource, properties: Json, where: str) -> None:
    """An NSG serves its own region and subscription alone."""
    wanted = properties.get("networkSecurityGroup")
    group = world.find(wanted["id"]) if wanted else None
    if group is None:
        return
    if group.location != resource.location or group.path.subscription != resource.path.subscription:
        text = f"Resource {group.id} referenced by resource {where} was not found. Both must be in the same region and subscription."
        raise bad("InvalidResourceReference", text)


def _check_apart(vnet: Resource, subnets: list[Json]) -> None:
    seen: list[tuple[Network, str]] = []
    for subnet in subnets:
        for text in blocks_of(subnet):
            block = ipaddress.ip_network(text)
            for other, name in seen:
                if block.overlaps(other):
                    message = (
                        f"Subnet '{subnet['name']}' is not valid because its IP address range overlaps with that of an existing "
                        f"subnet in virtual network '{vnet.path.names[0]}' ({name})."
                    )
                    raise bad("NetcfgSubnetRangesOverlap", message)
            seen.append((block, subnet["name"]))


def check_subnet_free(world: World, subnet_id: str) -> None:
    """A subnet with interfaces in it stays."""
    users = [
        f"{interface.id}/ipConfigurations/{configuration['name']}"
        for interface in world.resources.values()
        if interface.path.types[-1] == "networkInterfaces"
        for configuration in interface.properties.get("ipConfigurations", ())
        if names.key(configuration["properties"]["subnet"]["id"]) == names.key(subnet_id)
    ]
    if users:
        message = (
            f"Subnet {names.last(subnet_id)} is in use by {users[0]} and cannot be deleted. In order to delete the subnet, delete all "
            "the resources "
            "within the subnet. See aka.ms/deletesubnet."
        )
        raise bad("InUseSubnetCannotBeDeleted", message)


def _remote(peering: Json) -> str:
    return str(peering.get("properties", {}).get("remoteVirtualNetwork", {}).get("id", ""))


def _peering(world: World, vnet: Resource, given: Json, known: set[str], vnet_space: list[Network]) -> Json:
    """Check a peering; one whose other network has gone meanwhile (it is `known`) stays as it is."""
    properties = dict(given.get("properties", {}))
    wanted = _remote(given)
    remote = world.find(wanted)
    where = f"{vnet.id}/virtualNetworkPeerings/{given.get('name')}"
    if remote is None and names.key(wanted) not in known:
        raise bad("InvalidResourceReference", f"Resource {wanted} referenced by resource {where} was not found.")
    if names.key(wanted) == names.key(vnet.id):
        raise bad("RemoteVnetCannotBeSameAsLocalVnet", f"Peering {where} cannot lead to its own virtual network.")
    if remote is not None:
        _check_no_overlap(vnet_space, remote, where)
        properties["remoteVirtualNetwork"] = {"id": remote.id}
    for name in ("peeringState", "peeringSyncLevel", "remoteAddressSpace"):
        properties.pop(name, None)
    return {"name": given["name"], "properties": {"allowVirtualNetworkAccess": True, "allowForwardedTraffic": False, **properties}}


def _check_no_overlap(space: list[Network], remote: Resource, where: str) -> None:
    for text in remote.properties["addressSpace"]["addressPrefixes"]:
        if any(ipaddress.ip_network(text).overlaps(block) for block in space):
            message = (
                f"Cannot create or update peering {where}. The address space of the remote virtual network {remote.id} overlaps: {text}."
            )
            raise bad("VnetAddressSpacesOverlap", message)


def peering_state(world: World, vnet: Resource, peering: Json) -> str:
    """Connected when the other side has a peering back; Disconnected when its network is gone."""
    remote = world.find(peering["properties"]["remoteVirtualNetwork"]["id"])
    if remote is None:
        return "Disconnected"
    back = any(
        names.key(each["properties"]["remoteVirtualNetwork"]["id"]) == names.key(vnet.id)
        for each in remote.properties.get("virtualNetworkPeerings", ())
    )
    return "Connected" if back else "Initiated"


def show_vnet(world: World, resource: Resource, version: str) -> Json:
    """The properties of a virtual network as an answer holds them."""
    shown = {"provisioningState": resource.state, "resourceGuid": resource.hidden["resourceGuid"], **resource.properties}
    users = _subnet_users(world)
    shown["subnets"] = [show_subnet(resource, each, users) for each in resource.properties["subnets"]]
    shown["virtualNetworkPeerings"] = [
        show_peering(world, resource, each, version) for each in resource.properties["virtualNetworkPeerings"]
    ]
    shown.setdefault("enableDdosProtection", False)
    return shown


def _subnet_users(world: World) -> dict[str, list[str]]:
    users: dict[str, list[str]] = {}
    for each in world.resources.values():
        if each.path.types == ("networkInterfaces",):
            for configuration in each.properties.get("ipConfigurations", ()):
                where = names.key(configuration["properties"]["subnet"]["id"])
                users.setdefault(where, []).append(f"{each.id}/ipConfigurations/{configuration['name']}")
    return users


def show_subnet(vnet: Resource, subnet: Json, users: dict[str, list[str]]) -> Json:
    """A subnet as an answer holds it."""
    where = f"{vnet.id}/subnets/{subnet['name']}"
    properties = {"provisioningState": vnet.state, **subnet["properties"]}
    inside = users.get(names.key(where), [])
    if inside:
        properties["ipConfigurations"] = [{"id": each} for each in inside]
    properties.setdefault("delegations", [])
    properties.setdefault("privateEndpointNetworkPolicies", "Disabled")
    properties.setdefault("privateLinkServiceNetworkPolicies", "Enabled")
    return {
        "name": subnet["name"],
        "id": where,
        "etag": vnet.etag,
        "properties": properties,
        "type": "Microsoft.Network/virtualNetworks/subnets",
    }


def show_peering(world: World, vnet: Resource, peering: Json, _version: str) -> Json:
    """A peering as an answer holds it."""
    remote = world.find(peering["properties"]["remoteVirtualNetwork"]["id"])
    properties = {
        "provisioningState": vnet.state,
        **peering["properties"],
        "peeringState": peering_state(world, vnet, peering),
        "peeringSyncLevel": "FullyInSync",
    }
    if remote is not None:
        properties["remoteAddressSpace"] = remote.properties["addressSpace"]
        properties["remoteVirtualNetworkAddressSpace"] = remote.properties["addressSpace"]
    return {
        "name": peering["name"],
        "id": f"{vnet.id}/virtualNetworkPeerings/{peering['name']}",
        "etag": vnet.etag,
        "properties": properties,
        "type": "Microsoft.Network/virtualNetworks/virtualNetworkPeerings",
    }


def check_vnet_delete(world: World, resource: Resource) -> None:
    """A network whose subnets are in use stays."""
    for each in resource.properties["subnets"]:
        check_subnet_free(world, f"{resource.id}/subnets/{each['name']}")


def subnet_of(world: World, subnet_id: str) -> tuple[Resource, Json] | None:
    """A subnet's network and document."""
    head, _, name = names.key(subnet_id).rpartition("/subnets/")
    vnet = world.find(head)
    if vnet is None:
        return None
    found = next((each for each in vnet.properties["subnets"] if each["name"].lower() == name), None)
    return None if found is None else (vnet, found)


def need_subnet(world: World, wanted: Json, where: str) -> tuple[Resource, Json]:
    """The subnet of a reference; ArmError when there is none."""
    found = subnet_of(world, wanted.get("id", "")) if wanted else None
    if found is None:
        text = wanted.get("id", "") if wanted else "(no subnet)"
        raise ArmError(400, "InvalidResourceReference", f"Resource {text} referenced by resource {where} was not found.")
    return found

"""Network security groups and application security groups."""

from __future__ import annotations

from ..kit.faults import Json
from . import rules
from .errors import bad
from .shapes import cleaned
from .world import Resource, World

PLURALS_SINCE = "2017-06-01"
FLUSH_SINCE = "2025-05-01"


def accept_nsg(world: World, resource: Resource, given: Json, old: Resource | None, fresh: str | None = None) -> None:
    """Take a whole NSG into `resource`. `fresh`: only the rule of this name is new, the others are stored already and not checked again."""
    strict = world.switches.read_only_fields == "refuse"
    stored = {each["name"].lower(): each for each in old.properties.get("securityRules", ())} if old is not None else {}
    if fresh is None:
        clean = cleaned("NetworkSecurityGroupPropertiesFormat", given, "properties", strict=strict)
        table = [
            rules.checked(world, resource.id, each, stored.get(str(each.get("name")).lower())) for each in clean.get("securityRules", ())
        ]
    else:
        clean = dict(given)
        table = [
            rules.checked(world, resource.id, cleaned("SecurityRule", each, strict=strict), stored.get(fresh.lower()))
            if each["name"].lower() == fresh.lower()
            else each
            for each in given["securityRules"]
        ]
    rules.check_table(world, resource, table)
    table = [_as_stored(each, stored.get(each["name"].lower())) for each in table]
    resource.properties = {**clean, "securityRules": table}
    if old is None:
        resource.hidden["resourceGuid"] = world.guid()
        region = [each for each in world.of_kind(resource.kind, resource.path.subscription) if each.location == resource.location]
        if len(region) >= world.limits.security_groups:
            raise bad(
                "NetworkSecurityGroupCountLimitReached", f"Cannot create more than {world.limits.security_groups} network security groups."
            )


def _as_stored(rule: Json, old: Json) -> Json:
    """A stored rule that comes back as it was shown stays what it is, with its oddities."""
    if old is None:
        return rule
    plain = {name: value for name, value in old["properties"].items() if value != []}
    return old if plain == rule["properties"] and old["name"] == rule["name"] else rule


def show_nsg(world: World, resource: Resource, version: str) -> Json:
    """The properties of an NSG as an answer holds them."""
    kept = resource.properties
    if resource.state == "Updating" and world.switches.while_updating == "old" and resource.settled is not None:
        kept = resource.settled
    plurals = version >= PLURALS_SINCE
    shown: Json = {"provisioningState": resource.state, "resourceGuid": resource.hidden["resourceGuid"]}
    shown |= {name: value for name, value in kept.items() if name not in ("securityRules", "flushConnection")}
    if "flushConnection" in kept and version >= FLUSH_SINCE:
        shown["flushConnection"] = kept["flushConnection"]
    shown["securityRules"] = [rules.shown(each, resource, "securityRules", plurals=plurals) for each in kept["securityRules"]]
    shown["defaultSecurityRules"] = [rules.shown(each, resource, "defaultSecurityRules", plurals=plurals) for each in rules.DEFAULT_RULES]
    interfaces, subnets = world.attached(resource)
    if interfaces:
        shown["networkInterfaces"] = [{"id": each} for each in interfaces]
    if subnets:
        shown["subnets"] = [{"id": each} for each in subnets]
    return shown


def check_nsg_delete(world: World, resource: Resource) -> None:
    """An NSG that something carries stays."""
    interfaces, subnets = world.attached(resource)
    if interfaces or subnets:
        message = (
            f"Network security group {resource.id} cannot be deleted because it is in use by the following resources: "
            f"{', '.join([*interfaces, *subnets])}. In order to delete the Network security group, "
            "remove the association with the resource(s). "
            "To learn how to do this, see aka.ms/deletensg."
        )
        raise bad("InUseNetworkSecurityGroupCannotBeDeleted", message)


def accept_asg(world: World, resource: Resource, given: Json, old: Resource | None) -> None:
    """Take an application security group."""
    cleaned("ApplicationSecurityGroupPropertiesFormat", given, "properties", strict=world.switches.read_only_fields == "refuse")
    resource.properties = {}
    if old is None:
        resource.hidden["resourceGuid"] = world.guid()
        region = [each for each in world.of_kind(resource.kind, resource.path.subscription) if each.location == resource.location]
        if len(region) >= world.limits.asgs:
            raise bad(
                "ApplicationSecurityGroupCountLimitReached", f"Cannot create more than {world.limits.asgs} application security groups."
            )


def show_asg(_world: World, resource: Resource, _version: str) -> Json:
    """The properties of an application security group."""
    return {"provisioningState": resource.state, "resourceGuid": resource.hidden["resourceGuid"]}


def check_asg_delete(world: World, resource: Resource) -> None:
    """An ASG that interfaces have joined or rules name stays."""
    wanted = resource.id.lower()
    users = [
        f"{interface.id}/ipConfigurations/{configuration['name']}"
        for interface in world.of_kind("Microsoft.Network/networkInterfaces")
        for configuration in interface.properties.get("ipConfigurations", ())
        if any(each["id"].lower() == wanted for each in configuration["properties"].get("applicationSecurityGroups", ()))
    ]
    users += [
        f"{group.id}/securityRules/{rule['name']}"
        for group in world.of_kind("Microsoft.Network/networkSecurityGroups")
        for rule in group.properties["securityRules"]
        if any(each["id"].lower() == wanted for side in rules.ASGS for each in rule["properties"].get(side, ()))
    ]
    if users:
        message = f"Application security group {resource.id} cannot be deleted because it is in use by: {', '.join(users)}."
        raise bad("InUseApplicationSecurityGroupCannotBeDeleted", message)

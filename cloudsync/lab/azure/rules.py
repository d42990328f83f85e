"""Security rules: what the network provider refuses, and how it shows them."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterable

from ..kit.faults import Json
from . import names
from .errors import ArmError, bad
from .tags import is_tag
from .world import Resource, World

PLURALS = ("sourcePortRanges", "destinationPortRanges", "sourceAddressPrefixes", "destinationAddressPrefixes")
ADDRESSES = (("sourceAddressPrefix", "sourceAddressPrefixes"), ("destinationAddressPrefix", "destinationAddressPrefixes"))
PORTS = (("sourcePortRange", "sourcePortRanges"), ("destinationPortRange", "destinationPortRanges"))
_SINGULARS = frozenset(singular for singular, _ in (*ADDRESSES, *PORTS))
ASGS = ("sourceApplicationSecurityGroups", "destinationApplicationSecurityGroups")
_SIDES = tuple((*fields, asgs) for fields, asgs in zip(ADDRESSES, ASGS, strict=True))
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,78}[A-Za-z0-9_])?")

_VNET, _BALANCER = "VirtualNetwork", "AllowAzureLoadBalancer"
_DEFAULTS = (
    ("AllowVnetInBound", "Allow inbound traffic from all VMs in VNET", _VNET, _VNET, "Allow", 65000, "Inbound"),
    (_BALANCER + "InBound", "Allow inbound traffic from azure load balancer", "AzureLoadBalancer", "*", "Allow", 65001, "Inbound"),
    ("DenyAllInBound", "Deny all inbound traffic", "*", "*", "Deny", 65500, "Inbound"),
    ("AllowVnetOutBound", "Allow outbound traffic from all VMs to all VMs in VNET", _VNET, _VNET, "Allow", 65000, "Outbound"),
    ("AllowInternetOutBound", "Allow outbound traffic from all VMs to Internet", "*", "Internet", "Allow", 65001, "Outbound"),
    ("DenyAllOutBound", "Deny all outbound traffic", "*", "*", "Deny", 65500, "Outbound"),
)  # fmt: skip

DEFAULT_RULES: tuple[Json, ...] = tuple(
    {
        "name": name,
        "properties": {
            "description": text, "protocol": "*", "sourcePortRange": "*", "destinationPortRange": "*", "sourceAddressPrefix": source,
            "destinationAddressPrefix": destination, "access": access, "priority": priority, "direction": direction,
        },
    }
    for name, text, source, destination, access, priority, direction in _DEFAULTS
)  # fmt: skip
"""The six rules that every NSG has and nobody can remove."""


def shown(rule: Json, group: Resource, folder: str, *, plurals: bool) -> Json:
    """A rule of an NSG as an answer holds it, in `folder`. Versions before the plural fields do not show them."""
    properties: Json = {"provisioningState": group.state, **rule["properties"]}
    for name in PLURALS:
        if plurals:
            properties.setdefault(name, [])
        else:
            properties.pop(name, None)
    for name in rule.get("omit", ()):
        properties.pop(name, None)
    return {
        "name": rule["name"],
        "id": f"{group.id}/{folder}/{rule['name']}",
        "etag": group.etag,
        "type": f"Microsoft.Network/networkSecurityGroups/{folder}",
        "properties": properties,
    }


def checked(world: World, group_id: str, rule: Json, old: Json) -> Json:
    """Check one rule of a request on its own; return what is kept. `old`: the stored rule of that name."""
    name, properties = rule.get("name"), rule.get("properties")
    if not name or properties is None:
        raise bad(
            "InvalidRequestFormat",
            "Cannot parse the request.",
            {"code": "MissingProperty", "message": "A security rule needs a name and properties."},
        )
    if not 100 <= properties["priority"] <= 4096:
        text = f"Security rule has invalid Priority. Value provided: {properties['priority']} Allowed range 100-4096."
        raise bad("SecurityRuleInvalidPriority", text)
    kept = dict(properties)
    rule_id = f"{group_id}/securityRules/{name}"
    for singular, plural in PORTS:
        for text in _all(properties, singular, plural):
            _check_port(text)
        _check_one_way(rule_id, properties, singular, plural)
        if not _all(properties, singular, plural):
            raise bad("SecurityRuleParameterContainsEmptyValue", f"Security rule {rule_id} must have a value for {singular} or {plural}.")
    for side in _SIDES:
        _check_side(world, rule_id, properties, side, old)
    if len(properties.get("description", "")) > 140:
        raise bad("SecurityRuleDescriptionTooLong", "Security rule description cannot exceed 140 chars.")
    if not _NAME.fullmatch(name):
        text = (
            f"Resource name {name} is invalid. The name can be up to 80 characters long. It must begin with a word character, and it "
            "must end "
            "with a word character or with '_'. The name may contain word characters or '.', '-', '_'."
        )
        raise bad("InvalidResourceName", text)
    families = {family for singular, plural in ADDRESSES for text in _all(properties, singular, plural) if (family := _family(text))}
    if len(families) > 1:
        text = (
            f"{rule_id} contains IP addresses or prefixes that belong to different address families. All IP addresses or prefixes in the "
            "resource should belong to the same address family."
        )
        raise bad("ResourceCannotContainAddressPrefixesFromDifferentAddressFamilies", text)
    for field, value in list(kept.items()):
        if value == [] or (value == "" and field in _SINGULARS):
            del kept[field]
    if world.switches.one_element_lists == "collapse":
        _collapse(kept)
    return {"name": name, "properties": kept}


def _collapse(kept: Json) -> None:
    for singular, plural in (*ADDRESSES, *PORTS):
        if len(kept.get(plural, ())) == 1 and singular not in kept:
            kept[singular] = kept.pop(plural)[0]


def _all(properties: Json, singular: str, plural: str) -> list[str]:
    one = properties.get(singular)
    return ([one] if one else []) + list(properties.get(plural, ()))


def _check_one_way(rule_id: str, properties: Json, singular: str, plural: str) -> None:
    if properties.get(singular) and properties.get(plural):
        text = f"Security rule {rule_id} cannot specify both {singular} and {plural}."
        raise bad("SecurityRuleCannotSpecifyBothSingularAndPlural", text)


def _check_port(text: str) -> None:
    if text == "*":
        return
    found = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", text)
    if found is None or not int(found[1]) <= int(found[2] or found[1]) <= 65535:
        message = (
            f"Security rule has invalid Port range. Value provided: {text}. Value should be an integer OR integer range with "
            "'-' delimiter. "
            "Valid range 0-65535."
        )
        raise bad("SecurityRuleInvalidPortRange", message)


def _check_side(world: World, rule_id: str, properties: Json, side: tuple[str, str, str], old: Json) -> None:
    singular, plural, asgs = side
    _check_one_way(rule_id, properties, singular, plural)
    prefixes, groups = _all(properties, singular, plural), properties.get(asgs, ())
    stored = _all(old["properties"], singular, plural) if old is not None else []
    for text in prefixes:
        _check_prefix(world, rule_id, text, stored)
    for text in properties.get(plural, ()):
        if text == "*" or is_tag(text):
            message = (
                f"Security rule parameter {_capital(singular)} for rule with Id {rule_id} cannot specify existing VIRTUALNETWORK, "
                f"INTERNET, AZURELOADBALANCER, '*' or system tags. Unsupported value used: {text}."
            )
            raise bad("SecurityRuleParameterContainsUnsupportedValue", message)
    if prefixes and groups:
        message = f"Security rule {rule_id} cannot specify both address prefixes and application security groups for one side."
        raise bad("SecurityRuleCannotSpecifyBothAddressPrefixesAndApplicationSecurityGroups", message)
    if not prefixes and not groups:
        raise bad("SecurityRuleParameterContainsEmptyValue", f"Security rule {rule_id} must have a value for {singular} or {plural}.")
    if len(groups) > world.limits.asgs_per_side:
        message = (
            f"A security rule may have up to {world.limits.asgs_per_side} Application Security Group in the source or destination fields. "
            f"The requested configuration has {len(groups)} in the {_capital(asgs)} field."
        )
        raise bad("NumberOfApplicationSecurityGroupsReferencedInSecurityRuleLimitReached", message)
    for each in groups:
        if world.find(each["id"]) is None:
            raise bad("InvalidResourceReference", _no_reference(each["id"], rule_id))


def _capital(field: str) -> str:
    return field[0].upper() + field[1:]


def _no_reference(what: str, where: str) -> str:
    return (
        f"Resource {what} referenced by resource {where} was not found. Please make sure that the referenced resource exists, "
        "and that both "
        "resources are in the same region."
    )


def _check_prefix(world: World, rule_id: str, text: str, stored: list[str]) -> None:
    if text == "*" or is_tag(text):
        return
    message = f"Security rule {rule_id} has invalid Address prefix. Value provided: {text}"
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise bad("SecurityRuleInvalidAddressPrefix", message) from None
    if "/" in text and network.network_address != ipaddress.ip_interface(text).ip:
        match world.switches.host_bits:
            case "accept":
                return
            case "old_only" if text in stored:
                return
            case _:
                raise bad("SecurityRuleInvalidAddressPrefix", message)


def _family(text: str) -> int | None:
    try:
        return ipaddress.ip_network(text, strict=False).version
    except ValueError:
        return None


def check_table(world: World, group: Resource, table: Iterable[Json]) -> None:
    """Check what the rules of an NSG may not be together."""
    rules = list(table)
    limits = world.limits
    if len(rules) > limits.rules_per_group:
        raise bad("SecurityRuleCountLimitReached", f"A security group cannot have more than {limits.rules_per_group} security rules.")
    names_seen: dict[str, str] = {}
    places: dict[tuple[str, int], str] = {}
    for rule in rules:
        properties = rule["properties"]
        if rule["name"].lower() in names_seen:
            raise bad("DuplicateResourceName", f"Resource {group.id} has two child resources with the same name ({rule['name']}).")
        names_seen[rule["name"].lower()] = rule["name"]
        place = (properties["direction"].lower(), properties["priority"])
        if place in places:
            message = (
                f"Security rule {places[place]} conflicts with rule {rule['name']}. Rules cannot have the same Priority and Direction. "
                "To learn more, see aka.ms/nsgrules."
            )
            raise bad("SecurityRuleConflict", message)
        places[place] = rule["name"]
    for singular, plural in ADDRESSES:
        count = sum(1 for rule in rules for text in _all(rule["properties"], singular, plural) if text != "*" and not is_tag(text))
        if count > limits.addresses_per_group:
            message = (
                f"Network security group {group.id} cannot have more than {limits.addresses_per_group} addresses in {plural} of its rules."
            )
            raise bad("NetworkSecurityGroupTooManyAddressPrefixes", message)
    _check_asgs(world, group, rules)


def _check_asgs(world: World, group: Resource, rules: list[Json]) -> None:
    used = Counter(names.key(each["id"]) for rule in rules for side in ASGS for each in rule["properties"].get(side, ()))
    if len(used) > world.limits.asgs_per_group:
        message = f"Network security group {group.id} cannot refer to more than {world.limits.asgs_per_group} application security groups."
        raise bad("NetworkSecurityGroupTooManyApplicationSecurityGroups", message)
    if not used:
        return
    homes: dict[str, set[str]] = {}
    for interface in world.of_kind("Microsoft.Network/networkInterfaces"):
        for configuration in interface.properties.get("ipConfigurations", ()):
            for each in configuration["properties"].get("applicationSecurityGroups", ()):
                home = names.key(configuration["properties"]["subnet"]["id"].rpartition("/subnets/")[0])
                homes.setdefault(names.key(each["id"]), set()).add(home)
    for rule in rules:
        found = {home for side in ASGS for each in rule["properties"].get(side, ()) for home in homes.get(names.key(each["id"]), ())}
        if len(found) > 1:
            message = (
                f"Security Rule {group.id} has Application Security Groups (ASGs) from multiple virtual networks "
                f"({', '.join(sorted(found))}).\n"
                "All ASGs on the Security Rule must be from the same virtual network."
            )
            raise ArmError(400, "AllApplicationSecurityGroupsInSecurityRuleMustBeFromSameVnet", message)

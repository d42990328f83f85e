"""The effective security groups of an interface: what its data plane uses, as the API shows it for interfaces of running machines."""

from __future__ import annotations

from ..kit.faults import Json
from .errors import Reply, bad
from .networks import need_subnet
from .packets import rules_in_force
from .rules import DEFAULT_RULES
from .world import Resource, World

ACTION = "effectiveNetworkSecurityGroups"


def groups(world: World, interface: Resource) -> Reply:
    """Answer a POST of `effectiveNetworkSecurityGroups`. ArmError when no running machine holds the interface."""
    machine = world.find(str(interface.hidden.get("virtualMachine")))
    if machine is None or machine.hidden.get("power") != "running":
        text = (
            "A network interface must be attached to a running virtual machine to get effective security groups. The network interface "
            f"{interface.id} is not attached to a running virtual machine."
        )
        raise bad("NicMustBeAttachedToRunningVmToGetEffectiveSecurityGroups", text)
    found: list[Json] = []
    subnet_id = interface.properties["ipConfigurations"][0]["properties"]["subnet"]
    _, subnet = need_subnet(world, subnet_id, interface.id)
    for carried, association in (
        (subnet["properties"].get("networkSecurityGroup"), {"subnet": subnet_id}),
        (interface.properties.get("networkSecurityGroup"), {"networkInterface": {"id": interface.id}}),
    ):
        group = world.find(carried["id"]) if carried else None
        if group is not None:
            rules = [_shown(each) for each in rules_in_force(world, group)]
            found.append({"networkSecurityGroup": {"id": group.id}, "association": association, "effectiveSecurityRules": rules})
    return Reply(200, {"value": found})


def _shown(rule: Json) -> Json:
    folder = "defaultSecurityRules" if rule in DEFAULT_RULES else "securityRules"
    properties = {name: value for name, value in rule["properties"].items() if name != "description"}
    if properties["protocol"] == "*":
        properties["protocol"] = "All"
    for name in ("sourcePortRange", "destinationPortRange"):
        if properties.get(name) == "*":
            properties[name] = "0-65535"
    return {"name": f"{folder}/{rule['name']}", **properties}

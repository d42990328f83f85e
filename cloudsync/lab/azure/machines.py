"""Virtual machines and scale sets: enough of Microsoft.Compute to know who has which interface."""

from __future__ import annotations

from ..kit.faults import Json
from . import names
from .errors import ArmError, Reply, bad
from .interfaces import addresses_in_use, configured
from .names import NETWORK, Path
from .world import Resource, World

SCALE_NIC = ("virtualMachineScaleSets", "virtualMachines", "networkInterfaces")


def accept_vm(world: World, resource: Resource, given: Json, old: Resource | None) -> None:
    """Take a machine; its interfaces belong to it from now on."""
    if not isinstance(given, dict):
        raise bad("InvalidParameter", "The request content was invalid.")
    wanted = given.get("networkProfile", {}).get("networkInterfaces", [])
    if not wanted:
        raise bad("InvalidParameter", "Required parameter 'networkProfile' is missing (null).")
    interfaces: list[Resource] = []
    for each in wanted:
        found = world.find(str(each.get("id", "")))
        if found is None or found.path.types != ("networkInterfaces",):
            raise ArmError(404, "NetworkInterfaceNotFound", f"Network Interface {each.get('id')} was not found.")
        if found.hidden.get("virtualMachine") not in (None, resource.id):
            raise bad("NicInUse", f"Network Interface {found.id} is used by existing resource {found.hidden['virtualMachine']}.")
        interfaces.append(found)
    detach(world, resource)
    for number, found in enumerate(interfaces):
        found.hidden |= {"virtualMachine": resource.id, "primary": number == 0}
        found.etag = world.etag()
    resource.properties = {name: value for name, value in given.items() if name not in ("provisioningState", "vmId", "instanceView")}
    if old is None:
        resource.hidden |= {"vmId": world.guid(), "power": "running"}


def detach(world: World, resource: Resource) -> None:
    """A machine lets its interfaces go."""
    for each in world.of_kind(f"{NETWORK}/networkInterfaces"):
        if each.hidden.get("virtualMachine") == resource.id:
            each.hidden.pop("virtualMachine")
            each.etag = world.etag()


def show_vm(_world: World, resource: Resource, _version: str) -> Json:
    """The properties of a machine."""
    return {"vmId": resource.hidden["vmId"], "provisioningState": resource.state, **resource.properties}


def instance_view(resource: Resource) -> Json:
    """What `$expand=instanceView` and `statusOnly` add."""
    power = resource.hidden["power"]
    return {
        "statuses": [
            {"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Provisioning succeeded"},
            {"code": f"PowerState/{power}", "level": "Info", "displayStatus": f"VM {power}"},
        ]
    }


def power(world: World, resource: Resource, action: str) -> Reply:
    """Start, stop, deallocate or restart a machine."""
    states = {"start": "running", "restart": "running", "poweroff": "stopped", "deallocate": "deallocated"}
    if action.lower() not in states:
        raise ArmError(404, "NotFound", f"No action {action} on {resource.kind}.")
    resource.hidden["power"] = states[action.lower()]
    resource.etag = world.etag()
    return Reply(202)


def check_vm_delete(world: World, resource: Resource) -> None:
    """A machine can always go; its interfaces stay."""
    detach(world, resource)


def accept_set(world: World, resource: Resource, given: Json, old: Resource | None) -> None:
    """Take a uniform scale set: its machines and interfaces are made by the service."""
    profile = given.get("virtualMachineProfile", {}) if isinstance(given, dict) else {}
    templates = profile.get("networkProfile", {}).get("networkInterfaceConfigurations", [])
    if not templates:
        raise bad("InvalidParameter", "Required parameter 'virtualMachineProfile.networkProfile' is missing (null).")
    resource.properties = {name: value for name, value in given.items() if name != "provisioningState"}
    if old is None:
        resource.hidden["uniqueId"] = world.guid()
    wanted = int(resource.extra.get("sku", {}).get("capacity", 1))
    drop_instances(world, resource, keep=wanted)
    for number in range(wanted):
        for template in templates:
            _instance_nic(world, resource, number, template)


def instance_nics(world: World, resource: Resource) -> list[Resource]:
    """The interfaces of a scale set's machines; no other list shows them."""
    return [
        each
        for each in world.resources.values()
        if each.path.types == SCALE_NIC and names.key(each.id).startswith(names.key(resource.id) + "/")
    ]


def instances(world: World, resource: Resource) -> list[Json]:
    """The machines of a scale set as an answer holds them."""
    found: dict[str, list[str]] = {}
    for each in instance_nics(world, resource):
        found.setdefault(each.path.names[1], []).append(each.id)
    return [
        {
            "name": f"{resource.path.names[0]}_{number}",
            "id": f"{resource.id}/virtualMachines/{number}",
            "type": "Microsoft.Compute/virtualMachineScaleSets/virtualMachines",
            "location": resource.location,
            "tags": resource.tags,
            "instanceId": number,
            "properties": {
                "provisioningState": "Succeeded",
                "networkProfile": {"networkInterfaces": [{"id": nic, "properties": {"primary": True}} for nic in nics]},
            },
        }
        for number, nics in found.items()
    ]


def drop_instances(world: World, resource: Resource, *, keep: int) -> None:
    """Take away the machines above a number."""
    for each in instance_nics(world, resource):
        if int(each.path.names[1]) >= keep:
            world.remove(each)
            if "networkSecurityGroup" in each.properties:
                world.touch(each.properties["networkSecurityGroup"]["id"])


def _instance_nic(world: World, resource: Resource, number: int, template: Json) -> None:
    path = Path(
        resource.path.subscription,
        resource.path.group,
        "Microsoft.Compute",
        SCALE_NIC,
        (resource.path.names[0], str(number), template["name"]),
    )
    if world.find(path.text) is not None:
        return
    nic = Resource(path, resource.location, etag=world.etag())
    properties = template.get("properties", {})
    taken = addresses_in_use(world)
    given = properties.get("ipConfigurations", ())
    kept = [configured(world, nic, each, taken, first=place == 0) for place, each in enumerate(given)]
    nic.properties = {"ipConfigurations": kept}
    if "networkSecurityGroup" in properties:
        nic.properties["networkSecurityGroup"] = {"id": properties["networkSecurityGroup"]["id"]}
        world.touch(properties["networkSecurityGroup"]["id"])
    nic.hidden |= {
        "virtualMachine": f"{resource.id}/virtualMachines/{number}",
        "primary": properties.get("primary", True),
        "resourceGuid": world.guid(),
    }
    world.add(nic)


def show_set(_world: World, resource: Resource, _version: str) -> Json:
    """The properties of a scale set."""
    shown = {"provisioningState": resource.state, "uniqueId": resource.hidden["uniqueId"], "orchestrationMode": "Uniform"}
    return shown | resource.properties


def check_set_delete(world: World, resource: Resource) -> None:
    """Its machines go with it."""
    drop_instances(world, resource, keep=0)

"""The estates this Azure can be filled with, built through the same requests that clients send."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from ..kit.faults import Json

LOCATION = "westeurope"
LOC = "az-weu"


class Builder(Protocol):
    """Who carries the estate's calls out."""

    def act_ok(self, method: str, path: str, body: Json = None) -> Json:
        """One request, which must work."""

    def ask(self, verb: str, given: Json) -> Json:
        """One control request, for what no API call can bring about."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One virtual machine with one interface."""

    name: str
    subnet: str
    """`VNET/SUBNET`"""
    address: str
    tags: tuple[tuple[str, str], ...] = ()
    nsg: str | None = None
    """NSG of the interface itself."""
    second: str | None = None
    """A second address on the same interface."""
    v6: str | None = None
    public: bool = False
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule somebody wrote before. Sources and so on are `*`, a tag, or several with commas."""

    name: str
    priority: int
    sources: str = "*"
    ports: str = "*"
    access: str = "Allow"
    direction: str = "Inbound"
    destinations: str = "*"
    protocol: str = "Tcp"
    text: str = ""

    def document(self) -> Json:
        """As a request holds it."""
        properties: Json = {
            "protocol": self.protocol, "access": self.access, "priority": self.priority, "direction": self.direction,
            "sourcePortRange": "*",
        }  # fmt: skip
        for one, many, given in (
            ("sourceAddressPrefix", "sourceAddressPrefixes", self.sources),
            ("destinationAddressPrefix", "destinationAddressPrefixes", self.destinations),
            ("destinationPortRange", "destinationPortRanges", self.ports),
        ):
            parts = given.split(",")
            properties |= {one: parts[0]} if len(parts) == 1 else {many: parts}
        if self.text:
            properties["description"] = self.text
        return {"name": self.name, "properties": properties}


def labels(role: str, app: str, env: str) -> tuple[tuple[str, str], ...]:
    """Tags of a machine whose owner was careful."""
    return (("role", role), ("app", app), ("env", env), ("loc", LOC))


@dataclass(slots=True)
class Works:
    """Turns the parts of an estate into requests in one resource group."""

    builder: Builder
    group: str
    """Path of the resource group."""
    second: str = ""
    """Path of a second subscription."""
    done: list[str] = field(default_factory=list)

    def beside(self, name: str) -> Works:
        """A new resource group in the second subscription."""
        path = f"{self.second}/resourceGroups/{name}"
        self.builder.act_ok("PUT", path, {"location": LOCATION})
        return Works(self.builder, path)

    def path(self, kind: str, name: str, provider: str = "Microsoft.Network") -> str:
        """The id of a resource."""
        return f"{self.group}/providers/{provider}/{kind}/{name}"

    def put(self, path: str, properties: Json, **beside: Json) -> None:
        """One resource."""
        self.builder.act_ok("PUT", path, {"location": LOCATION, "properties": properties, **beside})
        self.done.append(path)

    def nsg(self, name: str, rules: Iterable[Rule]) -> None:
        """One NSG with its rules."""
        self.put(self.path("networkSecurityGroups", name), {"securityRules": [rule.document() for rule in rules]})

    def vnet(self, name: str, blocks: list[str], subnets: dict[str, tuple[list[str], str | None]]) -> None:
        """One network: subnets with their blocks and NSGs."""
        documents: list[Json] = []
        for subnet, (ranges, nsg) in subnets.items():
            properties: Json = {"addressPrefix": ranges[0]} if len(ranges) == 1 else {"addressPrefixes": ranges}
            if nsg is not None:
                properties["networkSecurityGroup"] = {"id": self.path("networkSecurityGroups", nsg)}
            documents.append({"name": subnet, "properties": properties})
        self.put(self.path("virtualNetworks", name), {"addressSpace": {"addressPrefixes": blocks}, "subnets": documents})

    def peer(self, one: str, other: str, away: Works | None = None) -> None:
        """Two networks, both ways; the other one may be of `away`."""
        there = away or self
        for place, name, remote, far in ((self, one, there, other), (there, other, self, one)):
            wanted = {"remoteVirtualNetwork": {"id": remote.path("virtualNetworks", far)}}
            path = f"{place.path('virtualNetworks', name)}/virtualNetworkPeerings/to-{far}"
            self.builder.act_ok("PUT", path, {"properties": wanted})

    def subnet(self, text: str) -> Json:
        """A reference to `VNET/SUBNET`."""
        vnet, _, subnet = text.partition("/")
        return {"id": f"{self.path('virtualNetworks', vnet)}/subnets/{subnet}"}

    def launch(self, machine: Machine) -> None:
        """One machine with its interface."""
        addresses = [machine.address, *([machine.second] if machine.second else []), *([machine.v6] if machine.v6 else [])]
        configurations: list[Json] = []
        for number, address in enumerate(addresses, 1):
            properties: Json = {
                "subnet": self.subnet(machine.subnet), "privateIPAddress": address, "privateIPAllocationMethod": "Static",
                "privateIPAddressVersion": "IPv6" if ":" in address else "IPv4", "primary": number == 1,
            }  # fmt: skip
            configurations.append({"name": f"ipconfig{number}", "properties": properties})
        if machine.public:
            public = self.path("publicIPAddresses", f"{machine.name}-ip")
            self.put(public, {"publicIPAllocationMethod": "Static"}, sku={"name": "Standard"})
            configurations[0]["properties"]["publicIPAddress"] = {"id": public}
        nic: Json = {"ipConfigurations": configurations}
        if machine.nsg is not None:
            nic["networkSecurityGroup"] = {"id": self.path("networkSecurityGroups", machine.nsg)}
        interface = self.path("networkInterfaces", f"{machine.name}-nic")
        self.put(interface, nic)
        self._machine(machine, interface)

    def _machine(self, machine: Machine, interface: str) -> None:
        path = self.path("virtualMachines", machine.name, "Microsoft.Compute")
        properties = {
            "hardwareProfile": {"vmSize": "Standard_B2s"},
            "osProfile": {"computerName": machine.name, "adminUsername": "azureuser"},
            "networkProfile": {"networkInterfaces": [{"id": interface, "properties": {"primary": True}}]},
        }
        self.put(path, properties, tags=dict(machine.tags))
        if machine.stopped:
            self.builder.act_ok("POST", f"{path}/deallocate")

    def scale_set(self, name: str, subnet: str, count: int, tags: tuple[tuple[str, str], ...]) -> None:
        """A uniform scale set: its machines and interfaces are the service's."""
        configuration = {"name": "ipconfig1", "properties": {"subnet": self.subnet(subnet), "primary": True}}
        template = {"name": f"{name}-nic", "properties": {"primary": True, "ipConfigurations": [configuration]}}
        profile = {"osProfile": {"computerNamePrefix": name}, "networkProfile": {"networkInterfaceConfigurations": [template]}}
        path = self.path("virtualMachineScaleSets", name, "Microsoft.Compute")
        sku = {"name": "Standard_B2s", "tier": "Standard", "capacity": count}
        self.put(path, {"orchestrationMode": "Uniform", "virtualMachineProfile": profile}, sku=sku, tags=dict(tags))


def _known() -> dict[str, Callable[[Works], None]]:
    from . import estate_four, estate_medium

    return {"empty": _nothing, "small": _nothing, "four": estate_four.build, "medium": estate_medium.build}


def _nothing(_works: Works) -> None:
    """The estates in which Azure is empty."""


def build(builder: Builder, estate: str, group: str, second: str) -> None:
    """Build an estate in a resource group, with something in a second subscription. ValueError for an unknown one."""
    known = _known()
    if estate not in known:
        raise ValueError(f"no estate {estate!r}: want one of {', '.join(sorted(known))}")
    known[estate](Works(builder, group, second))

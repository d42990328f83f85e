"""Every kind of resource: its name in the API, how it is taken, shown and let go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..kit.faults import Json
from . import interfaces, machines, networks, nsg
from .names import COMPUTE, NETWORK
from .world import Resource, World

Accept = Callable[[World, Resource, Json, "Resource | None"], None]
Show = Callable[[World, Resource, str], Json]


@dataclass(frozen=True, slots=True)
class Kind:
    """A top-level kind."""

    provider: str
    word: str
    """The type in paths."""
    accept: Accept
    show: Show
    check_delete: Callable[[World, Resource], None]
    shape: str = ""
    """Its row in SHAPES; empty: bodies are taken as they are."""
    long: bool = True
    """A PUT shows `Updating` first. Otherwise it is done when it is answered."""
    put_wait: str | None = None
    """Retry-After of a PUT as recorded."""

    @property
    def name(self) -> str:
        """`Microsoft.Network/networkSecurityGroups`."""
        return f"{self.provider}/{self.word}"

    @property
    def group_name(self) -> str:
        """`NetworkSecurityGroups`: the first half of operation names."""
        return self.word[0].upper() + self.word[1:]


@dataclass(frozen=True, slots=True)
class Child:
    """A kind that lives inside another: a list of its properties."""

    parent: str
    word: str
    singular: str
    long_wait: str | None = "10"


KINDS = {
    kind.name: kind
    for kind in (
        Kind(NETWORK, "networkSecurityGroups", nsg.accept_nsg, nsg.show_nsg, nsg.check_nsg_delete, "NetworkSecurityGroup", put_wait="3"),
        Kind(
            NETWORK, "applicationSecurityGroups", nsg.accept_asg, nsg.show_asg, nsg.check_asg_delete, "ApplicationSecurityGroup", long=False
        ),
        Kind(
            NETWORK,
            "networkInterfaces",
            interfaces.accept_nic,
            interfaces.show_nic,
            interfaces.check_nic_delete,
            "NetworkInterface",
            long=False,
        ),
        Kind(
            NETWORK, "virtualNetworks", networks.accept_vnet, networks.show_vnet, networks.check_vnet_delete, "VirtualNetwork", put_wait="3"
        ),
        Kind(NETWORK, "publicIPAddresses", interfaces.accept_public, interfaces.show_public, interfaces.check_public_delete, long=False),
        Kind(COMPUTE, "virtualMachines", machines.accept_vm, machines.show_vm, machines.check_vm_delete, put_wait="10"),
        Kind(COMPUTE, "virtualMachineScaleSets", machines.accept_set, machines.show_set, machines.check_set_delete, put_wait="10"),
    )
}

CHILDREN = {
    (child.parent, child.word): child
    for child in (
        Child(f"{NETWORK}/networkSecurityGroups", "securityRules", "SecurityRule"),
        Child(f"{NETWORK}/networkSecurityGroups", "defaultSecurityRules", "SecurityRule"),
        Child(f"{NETWORK}/virtualNetworks", "subnets", "Subnet", "3"),
        Child(f"{NETWORK}/virtualNetworks", "virtualNetworkPeerings", "VirtualNetworkPeering", "3"),
        Child(f"{NETWORK}/networkInterfaces", "ipConfigurations", "NetworkInterfaceIPConfiguration"),
    )
}

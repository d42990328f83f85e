"""What Azure can say, how much of it, how fast, and which right each call needs: data beside the code that uses it.

Sources: the Azure subscription and service limits page (networking limits, Resource Manager throttling), the Microsoft.Network REST
specification 2025-07-01, and the list of resource provider operations.
"""

from __future__ import annotations

from cloudsync.adapter import Capabilities, Method, Permission
from cloudsync.model.address import AddressSet
from cloudsync.model.bucket import Bucket
from cloudsync.model.quick import dataclass

ALWAYS_OPEN = ("168.63.129.16: load balancer probes, platform DNS and DHCP",)

_SAYS = Capabilities(
    platform="azure",
    denies=True,
    egress=True,
    icmp_types=False,
    processes=False,
    rule_logging=False,
    always_open=ALWAYS_OPEN,
    methods=(Method.SWAP, Method.SHIELD, Method.MEET),
    in_place=True,
)
WHOLE = _SAYS
"""An NSG is replaced by one PUT."""
CHILD = Capabilities(
    platform="azure",
    denies=True,
    egress=True,
    icmp_types=False,
    processes=False,
    rule_logging=False,
    always_open=ALWAYS_OPEN,
    methods=(Method.MERGE, Method.TWO_BAND, Method.SHIELD, Method.MEET),
    in_place=True,
)
"""Rules are written one by one, in an order whose every prefix is safe."""

NETWORK_VERSION = "2025-07-01"
COMPUTE_VERSION = "2024-07-01"
SUBSCRIPTION_VERSION = "2022-12-01"
PERMISSIONS_VERSION = "2022-04-01"
SCALE_SET_NIC_VERSION = "2018-10-01"
"""The interfaces of uniform scale sets are served by this version of Microsoft.Network alone."""

PLATFORM_ADDRESS = AddressSet.of("168.63.129.16/32")
"""Source of load balancer probes; what the service tag AzureLoadBalancer stands for, and part of VirtualNetwork."""

PRIORITY_FIRST, PRIORITY_LAST = 100, 4096
NAME_MOST, DESCRIPTION_MOST = 80, 140
ASGS_PER_SEAT, SEATS_PER_ASG = 20, 4000
"""Application security groups that one ipConfiguration may have joined, and ipConfigurations in one of them."""


@dataclass(frozen=True, slots=True)
class Quotas:
    """Limits of one NSG. Azure publishes the first two; for ports it publishes none, ours is modest."""

    rules_per_nsg: int = 1000
    """Both directions together."""
    addresses_per_nsg: int = 4000
    """Over all its rules, sources and destinations counted apart."""
    ports_per_rule: int = 200
    asgs: int = 3000
    """Application security groups per region, other people's included."""
    asgs_per_nsg: int = 100
    """Over all rules of an NSG."""


READS, WRITES = Bucket(250, 25), Bucket(10, 3.3)
"""Reads: Resource Manager's bucket, which binds before the 10,000 in 5 minutes of Microsoft.Network itself. Writes: Network's 1,000 in
5 minutes, deletions included, which bind before Resource Manager's 200 at once and 10 a second."""
LEFT_MIN = 10
"""So many of the calls that Resource Manager says are left (`x-ms-ratelimit-remaining-subscription-*`) we leave to others."""

PAGES_MAX = 10_000

PERMISSIONS: tuple[Permission, ...] = (
    Permission("Microsoft.Resources/subscriptions/read", "whose subscription it is, before anything read is trusted"),
    Permission("Microsoft.Network/networkSecurityGroups/read", "the rules of the managed groups and of all others in series with them"),
    Permission("Microsoft.Network/networkSecurityGroups/securityRules/read", "one rule after it was written alone"),
    Permission("Microsoft.Network/networkSecurityGroups/defaultSecurityRules/read", "the six rules that nobody can remove"),
    Permission("Microsoft.Network/networkInterfaces/read", "addresses, and which group stands before each interface"),
    Permission("Microsoft.Network/virtualNetworks/read", "address spaces, peerings, and subnets with their groups"),
    Permission("Microsoft.Network/virtualNetworks/subnets/read", "which group each subnet carries"),
    Permission("Microsoft.Network/publicIPAddresses/read", "under which addresses machines are seen from outside"),
    Permission("Microsoft.Network/locations/operations/read", "how a write that takes its time came out"),
    Permission("Microsoft.Network/locations/operationResults/read", "the same, for deletions"),
    Permission("Microsoft.Compute/virtualMachines/read", "workloads and their tags"),
    Permission("Microsoft.Compute/virtualMachineScaleSets/read", "which scale sets are uniform: their interfaces are in no list"),
    Permission("Microsoft.Compute/virtualMachineScaleSets/networkInterfaces/read", "the interfaces of uniform scale sets"),
    Permission("Microsoft.Authorization/permissions/read", "lets doctor tell which rights there are"),
    Permission(
        "Microsoft.Insights/eventtypes/values/read", "optional: who made a rule that a report blames; without it reports do not say"
    ),
    Permission("Microsoft.Network/networkSecurityGroups/write", "replace the rules of a managed group in one step", write=True),
    Permission("Microsoft.Network/networkSecurityGroups/securityRules/write", "write one rule (write: child)", write=True),
    Permission("Microsoft.Network/networkSecurityGroups/securityRules/delete", "remove one rule (write: child)", write=True),
    Permission(
        "Microsoft.Network/virtualNetworks/subnets/join/action", "may be asked for when a group on a subnet is replaced", write=True
    ),
)
"""No right to attach or detach a group: that is not ours."""
OPTIONAL = frozenset({"Microsoft.Insights/eventtypes/values/read"})
"""Without these nothing fails. The action is what Azure Monitor's list of permissions names for the Activity Log."""

ASG_PERMISSIONS: tuple[Permission, ...] = (
    Permission("Microsoft.Network/applicationSecurityGroups/read", "which application security groups there are, and whose (asgs: on)"),
    Permission("Microsoft.Network/applicationSecurityGroups/write", "create a group for a class (asgs: on)", write=True),
    Permission("Microsoft.Network/applicationSecurityGroups/delete", "remove one that nobody needs any more (asgs: on)", write=True),
    Permission("Microsoft.Network/applicationSecurityGroups/joinNetworkSecurityRule/action", "name it in a rule (asgs: on)", write=True),
    Permission("Microsoft.Network/applicationSecurityGroups/joinIpConfiguration/action", "put a machine into it (asgs: on)", write=True),
    Permission(
        "Microsoft.Network/networkInterfaces/write", "an interface is written whole to join or leave a group (asgs: on)", write=True
    ),
    Permission(
        "Microsoft.Network/networkSecurityGroups/join/action",
        "asked for again when an interface with a group of its own is written",
        write=True,
    ),
    Permission(
        "Microsoft.Network/publicIPAddresses/join/action", "asked for again when an interface with a public address is written", write=True
    ),
    Permission(
        "Microsoft.Network/loadBalancers/backendAddressPools/join/action",
        "asked for again when an interface behind a load balancer is written",
        write=True,
    ),
)
"""Beside the others, only where the settings say `asgs: on`: a PUT of an interface asks for everything that the interface refers to."""

# --- what answers mean -----------------------------------------------------------------------------------------------

BUSY_CODES = frozenset({"AnotherOperationInProgress", "RetryableError", "RetryableErrorDueToAnotherOperation", "OperationPreempted"})
"""Somebody else's operation runs on the same object: nothing was written, the same call may be sent later."""
SUPERSEDED_CODES = frozenset({"Canceled", "CanceledAndSupersededDueToAnotherOperation", "OperationCanceled"})
"""A newer PUT has won: what is there now only a read can tell."""
MOVED_CODE = "TablesMoved"
"""Ours: what is there just before the write is not what the plan saw; nothing was sent."""

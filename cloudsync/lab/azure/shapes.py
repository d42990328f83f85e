"""Which fields a request may hold, and of what type: our own short table of what the published specification says.

The types: `text`, `whole` (an integer), `yes` (a boolean), `map` (names to texts), `any` (taken as it is), `id` (an object of which only
`id` counts), a tuple (one of these words), the name of another shape, or any of these in a list of one. A field that ends in `!` must be
there, one that ends in `-` is read-only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from ..kit.faults import Json
from .errors import ArmError

Type: TypeAlias = "str | tuple[str, ...] | list[str]"
Shape: TypeAlias = Mapping[str, Type]

STATES = ("Failed", "Succeeded", "Canceled", "Creating", "Updating", "Deleting")

SHAPES: dict[str, Shape] = {
    "Resource": {"location": "text", "tags": "map"},
    "NetworkSecurityGroup": {
        "id": "text", "name-": "text", "type-": "text", "etag-": "text", "location": "text", "tags": "map",
        "properties": "NetworkSecurityGroupPropertiesFormat",
    },
    "NetworkSecurityGroupPropertiesFormat": {
        "flushConnection": "yes", "securityRules": ["SecurityRule"], "defaultSecurityRules-": ["any"], "networkInterfaces-": ["any"],
        "subnets-": ["any"], "flowLogs-": ["any"], "resourceGuid-": "text", "provisioningState-": STATES,
    },
    "SecurityRule": {
        "id": "text", "name": "text", "type-": "text", "etag-": "text", "properties": "SecurityRulePropertiesFormat",
    },
    "SecurityRulePropertiesFormat": {
        "description": "text", "protocol!": ("Tcp", "Udp", "Icmp", "Esp", "*", "Ah"), "access!": ("Allow", "Deny"), "priority!": "whole",
        "direction!": ("Inbound", "Outbound"), "sourcePortRange": "text", "destinationPortRange": "text", "sourceAddressPrefix": "text",
        "sourceAddressPrefixes": ["text"], "sourceApplicationSecurityGroups": ["id"], "destinationAddressPrefix": "text",
        "destinationAddressPrefixes": ["text"], "destinationApplicationSecurityGroups": ["id"], "sourcePortRanges": ["text"],
        "destinationPortRanges": ["text"], "provisioningState-": STATES,
    },
    "ApplicationSecurityGroup": {
        "id": "text", "name-": "text", "type-": "text", "etag-": "text", "location": "text", "tags": "map",
        "properties": "ApplicationSecurityGroupPropertiesFormat",
    },
    "ApplicationSecurityGroupPropertiesFormat": {"resourceGuid-": "text", "provisioningState-": STATES},
    "NetworkInterface": {
        "id": "text", "name-": "text", "type-": "text", "etag-": "text", "location": "text", "tags": "map", "extendedLocation": "any",
        "properties": "NetworkInterfacePropertiesFormat",
    },
    "NetworkInterfacePropertiesFormat": {
        "virtualMachine-": "id", "networkSecurityGroup": "id", "privateEndpoint-": "any",
        "ipConfigurations": ["NetworkInterfaceIPConfiguration"],
        "tapConfigurations-": ["any"], "dnsSettings": "any", "macAddress-": "text", "primary-": "yes", "vnetEncryptionSupported-": "yes",
        "defaultOutboundConnectivityEnabled-": "yes", "enableAcceleratedNetworking": "yes", "disableTcpStateTracking": "yes",
        "enableIPForwarding": "yes", "hostedWorkloads-": ["text"], "dscpConfiguration-": "id", "resourceGuid-": "text",
        "provisioningState-": STATES, "workloadType": "text", "nicType": ("Standard", "Elastic"), "privateLinkService": "any",
        "migrationPhase": ("None", "Prepare", "Commit", "Abort", "Committed"),
        "auxiliaryMode": ("None", "MaxConnections", "Floating", "AcceleratedConnections"), "auxiliarySku": ("None", "A1", "A2", "A4", "A8"),
    },
    "NetworkInterfaceIPConfiguration": {
        "id": "text", "name": "text", "type-": "text", "etag-": "text", "properties": "NetworkInterfaceIPConfigurationPropertiesFormat",
    },
    "NetworkInterfaceIPConfigurationPropertiesFormat": {
        "gatewayLoadBalancer": "id", "virtualNetworkTaps": ["any"], "applicationGatewayBackendAddressPools": ["id"],
        "loadBalancerBackendAddressPools": ["id"], "loadBalancerInboundNatRules": ["id"], "privateIPAddress": "text",
        "privateIPAddressPrefixLength": "whole", "privateIPAllocationMethod": ("Static", "Dynamic"),
        "privateIPAddressVersion": ("IPv4", "IPv6"),
        "subnet": "id", "primary": "yes", "publicIPAddress": "id", "applicationSecurityGroups": ["id"], "provisioningState-": STATES,
        "privateLinkConnectionProperties-": "any",
    },
    "VirtualNetwork": {
        "id": "text", "name-": "text", "type-": "text", "etag-": "text", "location": "text", "tags": "map", "extendedLocation": "any",
        "properties": "VirtualNetworkPropertiesFormat",
    },
    "VirtualNetworkPropertiesFormat": {
        "addressSpace": "AddressSpace", "dhcpOptions": "any", "flowTimeoutInMinutes": "whole", "subnets": ["Subnet"],
        "virtualNetworkPeerings": ["VirtualNetworkPeering"], "resourceGuid-": "text", "provisioningState-": STATES,
        "enableDdosProtection": "yes", "enableVmProtection": "yes", "ddosProtectionPlan": "id", "bgpCommunities": "any",
        "encryption": "any",
        "ipAllocations": ["id"], "flowLogs-": ["any"], "privateEndpointVNetPolicies": ("Disabled", "Basic"),
        "defaultPublicNatGateway-": "id",
        "summarizedGatewayPrefixes": "AddressSpace",
    },
    "AddressSpace": {"addressPrefixes": ["text"], "ipamPoolPrefixAllocations": ["any"]},
    "Subnet": {"id": "text", "name": "text", "type-": "text", "etag-": "text", "properties": "SubnetPropertiesFormat"},
    "SubnetPropertiesFormat": {
        "addressPrefix": "text", "addressPrefixes": ["text"], "networkSecurityGroup": "id", "routeTable": "id", "natGateway": "id",
        "serviceEndpoints": ["any"], "serviceEndpointPolicies": ["id"], "privateEndpoints-": ["any"], "ipConfigurations-": ["any"],
        "ipConfigurationProfiles-": ["any"], "ipAllocations": ["id"], "resourceNavigationLinks-": ["any"],
        "serviceAssociationLinks-": ["any"],
        "delegations": ["any"], "purpose-": "text", "provisioningState-": STATES,
        "privateEndpointNetworkPolicies": ("Enabled", "Disabled", "NetworkSecurityGroupEnabled", "RouteTableEnabled"),
        "privateLinkServiceNetworkPolicies": ("Enabled", "Disabled"), "applicationGatewayIPConfigurations": ["any"],
        "sharingScope": ("Tenant", "DelegatedServices"), "defaultOutboundAccess": "yes", "ipamPoolPrefixAllocations": ["any"],
        "serviceGateway": "id",
    },
    "VirtualNetworkPeering": {
        "id": "text", "name": "text", "type-": "text", "etag-": "text", "properties": "VirtualNetworkPeeringPropertiesFormat",
    },
    "VirtualNetworkPeeringPropertiesFormat": {
        "allowVirtualNetworkAccess": "yes", "allowForwardedTraffic": "yes", "allowGatewayTransit": "yes", "useRemoteGateways": "yes",
        "remoteVirtualNetwork": "id", "localAddressSpace": "AddressSpace", "localVirtualNetworkAddressSpace": "AddressSpace",
        "remoteAddressSpace": "AddressSpace", "remoteVirtualNetworkAddressSpace": "AddressSpace", "remoteBgpCommunities": "any",
        "remoteVirtualNetworkEncryption-": "any", "peeringState": ("Initiated", "Connected", "Disconnected"),
        "peeringSyncLevel": ("FullyInSync", "RemoteNotInSync", "LocalNotInSync", "LocalAndRemoteNotInSync"), "provisioningState-": STATES,
        "doNotVerifyRemoteGateways": "yes", "resourceGuid-": "text", "peerCompleteVnets": "yes", "enableOnlyIPv6Peering": "yes",
        "localSubnetNames": ["text"], "remoteSubnetNames": ["text"],
    },
}  # fmt: skip


def name_of(field: str) -> str:
    """A field's name without its marks."""
    return field.rstrip("!-")


def cleaned(shape: str, given: Json, where: str = "", *, strict: bool = False) -> Json:
    """Check a request's object, and leave out what is read-only, null, or not ours to keep. ArmError 400 for anything else.

    `strict`: read-only fields are refused instead of ignored.
    """
    if not isinstance(given, dict):
        raise _unparsed(f"Error converting value {_shown(given)} to type '{shape}'.", where)
    fields = {name_of(field).lower(): (field, wanted) for field, wanted in SHAPES[shape].items()}
    found: dict[str, Json] = {}
    for name, value in given.items():
        place = f"{where}.{name}".lstrip(".")
        known = fields.get(name.lower())
        if known is None:
            raise _unparsed(f"Could not find member '{name}' on object of type '{shape}'.", place)
        field, wanted = known
        if field.endswith("-"):
            if strict:
                raise _unparsed(f"Property '{name}' on object of type '{shape}' is read-only.", place)
            continue
        if value is not None:
            found[name_of(field)] = _value(wanted, value, place, strict=strict)
    missing = [name_of(field) for field in SHAPES[shape] if field.endswith("!") and name_of(field) not in found]
    if missing:
        raise _unparsed(f"Required property '{missing[0]}' not found in JSON.", where)
    return found


def _value(wanted: Type, value: Json, place: str, *, strict: bool) -> Json:
    if isinstance(wanted, list):
        if not isinstance(value, list):
            raise _unparsed(f"Error converting value {_shown(value)} to a list.", place)
        return [_value(wanted[0], each, f"{place}[{number}]", strict=strict) for number, each in enumerate(value)]
    if isinstance(wanted, tuple):
        word = next((word for word in wanted if isinstance(value, str) and word.lower() == value.lower()), None)
        if word is None:
            raise _unparsed(f"Error converting value {_shown(value)}: expected one of {', '.join(wanted)}.", place)
        return value  # in the spelling it came in: tenants hold rules that say "TCP"
    match wanted:
        case "text" if isinstance(value, str):
            return value
        case "whole" if isinstance(value, int) and not isinstance(value, bool):
            return value
        case "whole" if isinstance(value, str) and value.lstrip("-").isdigit():
            return int(value)
        case "yes" if isinstance(value, bool):
            return value
        case "map" if isinstance(value, dict) and all(isinstance(each, str) for each in value.values()):
            return dict(value)
        case "any":
            return value
        case "id" if isinstance(value, dict) and isinstance(value.get("id"), str):
            return {"id": value["id"]}
        case "id":
            raise _unparsed("Value for reference id is missing.", place, "MissingJsonReferenceId")
        case _ if wanted in SHAPES:
            return cleaned(wanted, value, place, strict=strict)
    raise _unparsed(f"Error converting value {_shown(value)} to type '{wanted}'.", place)


def _shown(value: Json) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)[:60]


def _unparsed(text: str, place: str, code: str = "InvalidJson") -> ArmError:
    detail = {"code": code, "message": f"{text} Path '{place}'."}
    return ArmError(400, "InvalidRequestFormat", "Cannot parse the request.", details=[detail])

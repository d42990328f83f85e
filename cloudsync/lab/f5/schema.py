"""The properties of every object the lab serves: types, words, defaults, what they refer to. Data alone; `values.py` reads it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..kit.faults import Json


class Kind(Enum):
    """What a property holds."""

    TEXT = "text"
    WORD = "word"
    """One of a closed set."""
    WHOLE = "whole"
    FLAG = "flag"
    """`enabled: true`; its opposite takes it away."""
    REF = "ref"
    """The path of another object, or `none`."""
    REFS = "refs"
    """Paths as plain strings."""
    NAMED_REFS = "named refs"
    """Paths as {name, partition, subPath}."""
    ADDRESSES = "addresses"
    PORTS = "ports"
    ICMP = "icmp"
    NAMED = "named"
    """[{name}] whose names are free."""
    PROTOCOL = "protocol"
    SIDE = "side"
    """Source or destination of a rule: an object with properties of its own."""
    TRANSLATION = "translation"
    DESTINATION = "destination"
    NETWORK = "network"
    """One address with a prefix length."""
    ADDRESS = "address"
    METADATA = "metadata"
    SERVICES = "services"
    """What a self IP answers: all, none, or a list of default and `protocol:port`."""
    FREE = "free"
    """Kept as it came."""


@dataclass(frozen=True, slots=True)
class Field:
    """One property."""

    kind: Kind
    words: tuple[str, ...] = ()
    target: str = ""
    """REF, REFS, NAMED_REFS: the collection of what it names."""
    default: Json = None
    """Shown though never sent."""
    low: int = 0
    high: int = 2**32 - 1


TEXT, FREE = Field(Kind.TEXT), Field(Kind.FREE)
POLICY, RULE_LIST = "security/firewall/policy", "security/firewall/rule-list"
ADDRESS_LIST, PORT_LIST = "security/firewall/address-list", "security/firewall/port-list"
GLOBAL_RULES, MANAGEMENT_RULES = "security/firewall/global-rules", "security/firewall/management-ip-rules"
VIRTUAL, VIRTUAL_ADDRESS, POOL, NODE = "ltm/virtual", "ltm/virtual-address", "ltm/pool", "ltm/node"
SNAT_POOL, SELF, ROUTE_DOMAIN, VLAN = "ltm/snatpool", "net/self", "net/route-domain", "net/vlan"
NET_ADDRESS_LIST, PARTITION, FOLDER = "net/address-list", "auth/partition", "sys/folder"


def _word(*words: str, default: str | None = None) -> Field:
    return Field(Kind.WORD, words=words, default=default)


def _whole(low: int, high: int, default: int | None = None) -> Field:
    return Field(Kind.WHOLE, low=low, high=high, default=default)


def _ref(target: str) -> Field:
    return Field(Kind.REF, target=target)


def _refs(target: str) -> Field:
    return Field(Kind.REFS, target=target)


_SIDE = {
    "addresses": Field(Kind.ADDRESSES),
    "addressLists": _refs(ADDRESS_LIST),
    "ports": Field(Kind.PORTS),
    "portLists": _refs(PORT_LIST),
    "fqdns": Field(Kind.NAMED),
    "geo": Field(Kind.NAMED),
}
SIDES = {
    "source": {**_SIDE, "vlans": _refs(VLAN), "identity": FREE},
    "destination": {**_SIDE, "vlans": _refs(VLAN)},
}
RULE: dict[str, Field] = {
    "description": TEXT,
    "action": _word("accept", "accept-decisively", "drop", "reject"),
    "ipProtocol": Field(Kind.PROTOCOL, default="any"),
    "source": Field(Kind.SIDE),
    "destination": Field(Kind.SIDE),
    "icmp": Field(Kind.ICMP),
    "irule": TEXT,
    "iruleSampleRate": _whole(0, 65535, 1),
    "log": _word("yes", "no", default="no"),
    "status": _word("enabled", "disabled", "scheduled", default="enabled"),
    "schedule": TEXT,
    "ruleList": _ref(RULE_LIST),
    "servicePolicy": TEXT,
    "protocolInspectionProfile": TEXT,
    "virtualServer": _ref(VIRTUAL),
}
_ATTACHED = {"fwEnforcedPolicy": _ref(POLICY), "fwStagedPolicy": _ref(POLICY)}
_LISTED = {
    "description": TEXT,
    "addresses": Field(Kind.ADDRESSES),
    "addressLists": Field(Kind.NAMED_REFS, target=ADDRESS_LIST),
    "fqdns": Field(Kind.NAMED),
    "geo": Field(Kind.NAMED),
}
_SFLOW = {"pollInterval": 0, "pollIntervalGlobal": "yes", "samplingRate": 0, "samplingRateGlobal": "yes"}
MEMBER: dict[str, Field] = {
    "address": Field(Kind.ADDRESS),
    "description": TEXT,
    "connectionLimit": _whole(0, 2**31 - 1, 0),
    "dynamicRatio": _whole(0, 65535, 1),
    "ephemeral": _word("true", "false", default="false"),
    "fqdn": FREE,
    "inheritProfile": _word("enabled", "disabled", default="enabled"),
    "logging": _word("enabled", "disabled", default="disabled"),
    "monitor": Field(Kind.TEXT, default="default"),
    "priorityGroup": _whole(0, 65535, 0),
    "rateLimit": Field(Kind.TEXT, default="disabled"),
    "ratio": _whole(1, 65535, 1),
    "session": _word("user-enabled", "user-disabled", "monitor-enabled", default="monitor-enabled"),
    "state": _word("up", "down", "unchecked", "user-up", "user-down", default="up"),
    "metadata": Field(Kind.METADATA),
}


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object."""

    word: str
    """What error texts call it."""
    fields: dict[str, Field]
    required: tuple[str, ...] = ()
    sub: str = ""
    """Name of the subcollection that holds its parts."""
    partitioned: bool = True
    single: bool = False
    """There is one, and it has no name."""
    local: bool = False
    """Never synchronised: it belongs to one unit."""
    fixed: bool = False
    """Nobody creates or deletes one."""


RESOURCES: dict[str, Resource] = {
    ADDRESS_LIST: Resource("IP address list", _LISTED),
    PORT_LIST: Resource(
        "port list",
        {"description": TEXT, "ports": Field(Kind.PORTS), "portLists": Field(Kind.NAMED_REFS, target=PORT_LIST)},
    ),
    RULE_LIST: Resource("rule list", {"description": TEXT, "rules": FREE}, sub="rules"),
    POLICY: Resource("Policy", {"description": TEXT, "rules": FREE}, sub="rules"),
    GLOBAL_RULES: Resource(
        "global rules",
        {"description": TEXT, "enforcedPolicy": _ref(POLICY), "stagedPolicy": _ref(POLICY), "servicePolicy": TEXT},
        partitioned=False, single=True,
    ),
    MANAGEMENT_RULES: Resource(
        "management ip rules", {"description": TEXT, "rules": FREE}, sub="rules", partitioned=False, single=True, local=True
    ),
    "security/firewall/on-demand-compilation": Resource(
        "on demand compilation",
        {"onDemandCompilation": _word("enabled", "disabled", default="disabled")},
        partitioned=False, single=True, local=True,
    ),
    "security/firewall/on-demand-rule-deploy": Resource(
        "on demand rule deploy",
        {"onDemandRuleDeploy": _word("enabled", "disabled", default="disabled")},
        partitioned=False, single=True, local=True,
    ),
    VIRTUAL: Resource(
        "Virtual Server",
        {
            "description": TEXT,
            "destination": Field(Kind.DESTINATION),
            "mask": TEXT,
            "source": Field(Kind.TEXT),
            "ipProtocol": Field(Kind.PROTOCOL, default="any"),
            "pool": _ref(POOL),
            "sourceAddressTranslation": Field(Kind.TRANSLATION),
            "vlans": _refs(VLAN),
            "vlansEnabled": Field(Kind.FLAG),
            "vlansDisabled": Field(Kind.FLAG),
            "enabled": Field(Kind.FLAG),
            "disabled": Field(Kind.FLAG),
            "internal": Field(Kind.FLAG),
            "ipForward": Field(Kind.FLAG),
            "l2Forward": Field(Kind.FLAG),
            "reject": Field(Kind.FLAG),
            "metadata": Field(Kind.METADATA),
            **_ATTACHED,
            "addressStatus": _word("yes", "no", default="yes"),
            "autoLasthop": _word("default", "enabled", "disabled", default="default"),
            "cmpEnabled": _word("yes", "no", default="yes"),
            "connectionLimit": _whole(0, 2**31 - 1, 0),
            "mirror": _word("enabled", "disabled", default="disabled"),
            "translateAddress": _word("enabled", "disabled", default="enabled"),
            "translatePort": _word("enabled", "disabled", default="enabled"),
            "sourcePort": _word("preserve", "preserve-strict", "change", default="preserve"),
            "serviceDownImmediateAction": _word("none", "drop", "reset", default="none"),
            "rateLimit": Field(Kind.TEXT, default="disabled"),
            "gtmScore": _whole(0, 2**31 - 1, 0),
            "nat64": _word("enabled", "disabled", default="disabled"),
            "persist": FREE, "fallbackPersistence": TEXT, "rules": FREE, "profiles": FREE, "policies": FREE,
            "securityLogProfiles": FREE, "securityNatPolicy": FREE, "flowEvictionPolicy": TEXT, "ipIntelligencePolicy": TEXT,
            "serviceTcpPolicy": TEXT, "servicePolicy": TEXT, "bwcPolicy": TEXT, "clonePools": FREE, "lastHopPool": TEXT,
            "rateClass": TEXT, "relatedRules": FREE, "rateLimitMode": Field(Kind.TEXT, default="object"),
            "rateLimitDstMask": _whole(0, 128, 0), "rateLimitSrcMask": _whole(0, 128, 0), "perFlowRequestAccessPolicy": TEXT,
        },
        required=("destination",),
    ),
    VIRTUAL_ADDRESS: Resource(
        "Virtual Address",
        {
            "description": TEXT,
            "address": Field(Kind.ADDRESS),
            "mask": TEXT,
            "arp": _word("enabled", "disabled", default="enabled"),
            "autoDelete": _word("true", "false", default="true"),
            "connectionLimit": _whole(0, 2**31 - 1, 0),
            "enabled": _word("yes", "no", default="yes"),
            "icmpEcho": _word("enabled", "disabled", "selective", "all", "any", default="enabled"),
            "routeAdvertisement": _word("enabled", "disabled", "selective", "all", "any", "always", default="disabled"),
            "serverScope": _word("any", "all", "none", default="any"),
            "spanning": _word("enabled", "disabled", default="disabled"),
            "trafficGroup": Field(Kind.TEXT, default="/Common/traffic-group-1"),
            "inheritedTrafficGroup": _word("true", "false", default="true"),
            "floating": _word("enabled", "disabled", default="enabled"),
            "unit": _whole(0, 15, 1),
            "metadata": Field(Kind.METADATA),
        },
        required=("address",),
    ),
    POOL: Resource(
        "Pool",
        {
            "description": TEXT,
            "allowNat": _word("yes", "no", default="yes"),
            "allowSnat": _word("yes", "no", default="yes"),
            "ignorePersistedWeight": _word("enabled", "disabled", default="disabled"),
            "ipTosToClient": Field(Kind.TEXT, default="pass-through"),
            "ipTosToServer": Field(Kind.TEXT, default="pass-through"),
            "linkQosToClient": Field(Kind.TEXT, default="pass-through"),
            "linkQosToServer": Field(Kind.TEXT, default="pass-through"),
            "loadBalancingMode": _word(
                "round-robin", "least-connections-member", "least-connections-node", "ratio-member", "ratio-node", "observed-member",
                "predictive-member", "fastest-node", "dynamic-ratio-member", "weighted-least-connections-member",
                default="round-robin",
            ),
            "minActiveMembers": _whole(0, 65535, 0),
            "monitor": TEXT,
            "members": FREE,
            "metadata": Field(Kind.METADATA),
            "minUpMembers": _whole(0, 65535, 0),
            "minUpMembersAction": _word("failover", "reboot", "restart-all", default="failover"),
            "minUpMembersChecking": _word("enabled", "disabled", default="disabled"),
            "queueDepthLimit": _whole(0, 2**31 - 1, 0),
            "queueOnConnectionLimit": _word("enabled", "disabled", default="disabled"),
            "queueTimeLimit": _whole(0, 2**31 - 1, 0),
            "reselectTries": _whole(0, 65535, 0),
            "serviceDownAction": _word("none", "reset", "drop", "reselect", default="none"),
            "slowRampTime": _whole(0, 2**31 - 1, 10),
        },
        sub="members",
    ),
    NODE: Resource(
        "Node",
        {key: value for key, value in MEMBER.items() if key not in ("priorityGroup", "inheritProfile")},
        required=("address",),
    ),
    SNAT_POOL: Resource("SNAT pool", {"description": TEXT, "members": FREE}, required=("members",)),
    NET_ADDRESS_LIST: Resource("address list", {**_LISTED, "addressLists": Field(Kind.NAMED_REFS, target=NET_ADDRESS_LIST)}),
    SELF: Resource(
        "self IP",
        {
            "description": TEXT,
            "address": Field(Kind.NETWORK),
            "vlan": _ref(VLAN),
            "allowService": Field(Kind.SERVICES),
            "floating": _word("enabled", "disabled", default="disabled"),
            "trafficGroup": Field(Kind.TEXT, default="/Common/traffic-group-local-only"),
            "inheritedTrafficGroup": _word("true", "false", default="false"),
            "addressSource": Field(Kind.TEXT, default="from-user"),
            "unit": _whole(0, 15, 0),
            **_ATTACHED,
            "servicePolicy": TEXT,
        },
        required=("address", "vlan"),
    ),
    ROUTE_DOMAIN: Resource(
        "route domain",
        {
            "description": TEXT,
            "id": _whole(0, 65534),
            "connectionLimit": _whole(0, 2**31 - 1, 0),
            "strict": _word("enabled", "disabled", default="enabled"),
            "throughputCapacity": Field(Kind.TEXT, default="infinite"),
            "vlans": _refs(VLAN),
            "parent": _ref(ROUTE_DOMAIN),
            "routingProtocol": FREE,
            **_ATTACHED,
            "servicePolicy": TEXT,
        },
        required=("id",),
    ),
    VLAN: Resource(
        "VLAN",
        {
            "description": TEXT,
            "tag": _whole(1, 4094),
            "mtu": _whole(576, 9198, 1500),
            "autoLasthop": _word("default", "enabled", "disabled", default="default"),
            "cmpHash": Field(Kind.TEXT, default="default"),
            "failsafe": _word("enabled", "disabled", default="disabled"),
            "failsafeAction": Field(Kind.TEXT, default="failover-restart-tm"),
            "failsafeTimeout": _whole(0, 3600, 90),
            "sourceChecking": _word("enabled", "disabled", default="disabled"),
            "interfaces": FREE, "sflow": Field(Kind.FREE, default=_SFLOW), "dagTunnel": TEXT, "dagRoundRobin": TEXT,
        },
        local=True,
    ),
    "sys/provision": Resource(
        "provision",
        {
            "level": _word("none", "minimum", "nominal", "dedicated", "custom"),
            "cpuRatio": _whole(0, 255, 0),
            "diskRatio": _whole(0, 255, 0),
            "memoryRatio": _whole(0, 255, 0),
        },
        partitioned=False, local=True, fixed=True,
    ),
    "sys/global-settings": Resource(
        "global settings",
        {"hostname": TEXT, "guiSecurityBanner": Field(Kind.TEXT, default="enabled"), "description": TEXT},
        partitioned=False, single=True, local=True,
    ),
    PARTITION: Resource(
        "partition", {"description": TEXT, "defaultRouteDomain": _whole(0, 65534, 0)}, partitioned=False
    ),
    FOLDER: Resource(
        "folder",
        {
            "description": TEXT,
            "deviceGroup": Field(Kind.TEXT),
            "hidden": _word("true", "false", default="false"),
            "inheritedDevicegroup": _word("true", "false", default="true"),
            "inheritedTrafficGroup": _word("true", "false", default="true"),
            "noRefCheck": _word("true", "false", default="false"),
            "trafficGroup": Field(Kind.TEXT, default="/Common/traffic-group-1"),
        },
    ),
}  # fmt: skip
"""Every collection under /mgmt/tm that holds configuration."""

PARTS: dict[str, dict[str, Field]] = {"rules": RULE, "members": MEMBER}
SHARED_NAMES = {ADDRESS_LIST: NET_ADDRESS_LIST, NET_ADDRESS_LIST: ADDRESS_LIST}
"""Collections whose names must not clash."""
READ_ONLY = frozenset(
    {
        "kind", "selfLink", "fullPath", "generation", "ruleNumber", "creationTime", "lastModifiedTime", "vsIndex", "isSubcollection",
        "overlapStatus", "uuid",
    }
)  # fmt: skip
"""Sent back by clients that return what they read; ignored."""
FIREWALL = (POLICY, RULE_LIST, ADDRESS_LIST, PORT_LIST, NET_ADDRESS_LIST, GLOBAL_RULES, MANAGEMENT_RULES)
ATTACHABLE = (VIRTUAL, SELF, ROUTE_DOMAIN)

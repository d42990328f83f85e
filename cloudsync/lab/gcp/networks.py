"""VPC networks: list, get, insert, patch, delete."""

from __future__ import annotations

from .call import Call
from .firewalls import refuse_over_quota
from .links import PUBLIC, Link
from .listing import page_of
from .operations import Change, begin, ready, running_on
from .refusal import exists, in_use, invalid
from .rule_text import block_of
from .world import REGIONS, Object

_ORDER = "networkFirewallPolicyEnforcementOrder"
_CHANGEABLE = ("description", "routingConfig", _ORDER, "mtu")


def list_all(call: Call) -> Object:
    """Answer networks.list."""
    rows = {key: shown(call, row) for key, row in call.table("networks").items()}
    return page_of(call, "compute#networkList", f"projects/{call.project.name}/global/networks", rows)


def shown(call: Call, network: Object) -> Object:
    """Add what a network shows of others: its subnetworks."""
    inside = [one["selfLink"] for _key, one in sorted(call.project.tables["subnetworks"].items()) if one["network"] == network["selfLink"]]
    return {**network, "subnetworks": inside} if inside else network


def get(call: Call) -> Object:
    """Answer networks.get."""
    return shown(call, call.world.find(call.link("networks", call.path["network"])))


def insert(call: Call) -> Object:
    """Answer networks.insert."""
    link = call.link("networks", call.body["name"])
    if link.key in call.project.tables["networks"] or running_on(call.project, link.path):
        raise exists(link.path)
    if "IPv4Range" in call.body:
        raise invalid("resource.IPv4Range", call.body["IPv4Range"], "Legacy networks are no longer supported.")
    refuse_over_quota(call, "NETWORKS", "networks")
    number = call.world.new_id()
    auto = call.body.get("autoCreateSubnetworks", True)
    made: Object = {
        "kind": "compute#network",
        "id": number,
        "creationTimestamp": call.world.stamp(),
        "name": link.name,
        "description": call.body.get("description", ""),
        "selfLink": link.url,
        "selfLinkWithId": f"{PUBLIC}projects/{link.project}/global/networks/{number}",
        "autoCreateSubnetworks": auto,
        "routingConfig": {"bgpBestPathSelectionMode": "LEGACY", "routingMode": "REGIONAL", **call.body.get("routingConfig", {})},
        _ORDER: call.body.get(_ORDER, "AFTER_CLASSIC_FIREWALL"),
        "mtu": call.body.get("mtu", 1460),
    }
    if call.body.get("enableUlaInternalIpv6"):
        made |= {"enableUlaInternalIpv6": True, "internalIpv6Range": call.body.get("internalIpv6Range", _ula(number))}
        block = block_of(made["internalIpv6Range"])
        if block is None or block.version != 6 or block.prefixlen != 48:
            raise invalid("resource.internalIpv6Range", made["internalIpv6Range"], "Must be a /48 IPv6 CIDR address range.")
    return begin(call, Change("insert", link, number, lambda: _put_new(call, link, made)))


def _ula(number: str) -> str:
    return f"fd20:{int(number) % 0x1000:x}:{int(number) // 7 % 0x10000:x}::/48"


def _put_new(call: Call, link: Link, made: Object) -> None:
    call.world.put(link, made)
    if made["autoCreateSubnetworks"]:
        for index, region in enumerate(REGIONS):
            block = f"10.{128 + index * 4}.0.0/20"
            place = Link(link.project, f"regions/{region}", "subnetworks", link.name)
            call.world.put(place, subnetwork(call, place, {"network": link.url, "ipCidrRange": block}))


def subnetwork(call: Call, link: Link, given: Object) -> Object:
    """Return a subnetwork as it is shown."""
    block = block_of(given["ipCidrRange"])
    assert block is not None
    region = link.place.partition("/")[2]
    return {
        "kind": "compute#subnetwork",
        "id": call.world.new_id(),
        "creationTimestamp": call.world.stamp(),
        "name": link.name,
        "gatewayAddress": str(block[1]),
        "privateIpGoogleAccess": False,
        "privateIpv6GoogleAccess": "DISABLE_GOOGLE_ACCESS",
        "purpose": "PRIVATE",
        "stackType": "IPV4_ONLY",
        "fingerprint": "u4D1YsNyRWg=",
        "region": f"{PUBLIC}projects/{link.project}/regions/{region}",
        "selfLink": link.url,
        **given,
    }


def patch(call: Call) -> Object:
    """Answer networks.patch."""
    link = call.link("networks", call.path["network"])
    old = call.world.find(link)
    ready(call, link)
    for name, value in call.body.items():
        if name not in _CHANGEABLE and value != old.get(name):
            raise invalid(f"resource.{name}", value, "This field cannot be changed.")
    new = {**old, **{name: call.body[name] for name in _CHANGEABLE if name in call.body}}
    if "routingConfig" in call.body:
        new["routingConfig"] = {**old["routingConfig"], **call.body["routingConfig"]}
    return begin(call, Change("patch", link, old["id"], lambda: call.world.put(link, new)))


def delete(call: Call) -> Object:
    """Answer networks.delete: whether something uses the network is seen when the operation ends, as recorded."""
    link = call.link("networks", call.path["network"])
    old = call.world.find(link)
    ready(call, link)
    return begin(call, Change("delete", link, old["id"], lambda: _drop(call, link, old)))


def _drop(call: Call, link: Link, old: Object) -> None:
    tables = call.project.tables
    rules = [f"projects/{link.project}/global/firewalls/{key}" for key, one in tables["firewalls"].items() if one["network"] == link.url]
    machines = [one["selfLink"].removeprefix(PUBLIC) for _project, one in call.world.users_of(link.url)]
    subnets = {key: one for key, one in tables["subnetworks"].items() if one["network"] == link.url}
    made_by_hand = [] if old["autoCreateSubnetworks"] else [one["selfLink"].removeprefix(PUBLIC) for one in subnets.values()]
    policies = [
        f"projects/{link.project}/global/firewallPolicies/{key}"
        for key, one in tables["firewallPolicies"].items()
        if any(each["attachmentTarget"] == link.url for each in one.get("associations", []))
    ]
    for user in (*sorted(rules), *sorted(machines), *sorted(made_by_hand), *sorted(policies)):
        raise in_use("network", link.path, user)
    for one in subnets.values():
        call.world.put(Link(link.project, f"regions/{one['region'].rpartition('/')[2]}", "subnetworks", one["name"]), None)
    call.world.put(link, None)

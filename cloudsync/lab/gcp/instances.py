"""Virtual machines: lists, get, insert, delete, stop, start, labels and tags."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from ..kit.faults import Json
from .call import Call
from .firewalls import refuse_over_quota
from .links import PUBLIC, Link, last
from .listing import Aggregate, aggregated, page_of
from .operations import Change, begin, ready, running_on
from .refusal import ComputeError, exists, invalid, stale, too_large
from .schema import NAME
from .world import ZONES, Object, fingerprint, same_print

EXTERNAL = ipaddress.IPv4Network("198.18.0.0/16")
"""Where external addresses come from: a range that is for tests."""

_SCOPES = Aggregate(
    "compute#instanceAggregatedList", "instances", tuple(f"zones/{zone}" for zone in ZONES), lambda row: f"zones/{last(row['zone'])}"
)
_SENT = ("description", "metadata", "scheduling", "disks", "canIpForward", "hostname", "serviceAccounts", "params", "deletionProtection")


def list_all(call: Call) -> Object:
    """Answer instances.list."""
    zone = call.path["zone"]
    rows = {key: row for key, row in call.table("instances").items() if key.startswith(f"{zone}/")}
    return page_of(call, "compute#instanceList", f"projects/{call.project.name}/zones/{zone}/instances", rows)


def aggregated_list(call: Call) -> Object:
    """Answer instances.aggregatedList."""
    return aggregated(call, _SCOPES, call.table("instances"))


def _named(call: Call) -> tuple[Link, Object]:
    link = call.link("instances", call.path["instance"])
    return link, call.world.find(link)


def get(call: Call) -> Object:
    """Answer instances.get."""
    return _named(call)[1]


def insert(call: Call) -> Object:
    """Answer instances.insert."""
    link = call.link("instances", call.body["name"])
    if link.key in call.project.tables["instances"] or running_on(call.project, link.path):
        raise exists(link.path)
    refuse_over_quota(call, "INSTANCES", "instances")
    body, zone = call.body, call.path["zone"]
    if not body.get("networkInterfaces"):
        raise invalid("resource.networkInterfaces", "", "At least one network interface is required.")
    tags = body.get("tags", {}).get("items", [])
    check_tags(call, tags)
    labels = body.get("labels", {})
    machine: Object = {
        "kind": "compute#instance",
        "id": call.world.new_id(),
        "creationTimestamp": call.world.stamp(),
        "name": link.name,
        "description": "",
        "tags": tags_shown(tags),
        "labelFingerprint": fingerprint(labels),
        "machineType": f"{PUBLIC}projects/{link.project}/{link.place}/machineTypes/{last(body.get('machineType', 'e2-small'))}",
        "status": "RUNNING",
        "zone": f"{PUBLIC}projects/{link.project}/zones/{zone}",
        "canIpForward": False,
        "selfLink": link.url,
        "startRestricted": False,
        "deletionProtection": False,
        "lastStartTimestamp": call.world.stamp(),
        **({"labels": labels} if labels else {}),
        **{name: body[name] for name in _SENT if name in body},
    }
    taken: set[str] = set()
    machine["networkInterfaces"] = [_interface(call, number, one, taken) for number, one in enumerate(body["networkInterfaces"])]
    machine["fingerprint"] = fingerprint([machine["id"], 0])
    return begin(call, Change("insert", link, machine["id"], lambda: call.world.put(link, machine)))


def _interface(call: Call, number: int, given: Json, taken: set[str]) -> Object:
    """Return an interface as it is shown; `taken` gathers the addresses of the same machine."""
    path = f"resource.networkInterfaces[{number}]"
    subnet = _subnetwork(call, given, path)
    found = call.world.find(subnet)
    address = _address(call, (found, given.get("networkIP")), taken)
    shown: Object = {
        "kind": "compute#networkInterface",
        "name": f"nic{number}",
        "network": found["network"],
        "subnetwork": subnet.url,
        "networkIP": address,
        "stackType": given.get("stackType", "IPV4_ONLY"),
    }
    if given.get("aliasIpRanges"):
        shown["aliasIpRanges"] = [_alias(one, found, f"{path}.aliasIpRanges[{index}]") for index, one in enumerate(given["aliasIpRanges"])]
    if shown["stackType"] == "IPV4_IPV6":
        if "ipv6CidrRange" not in found:
            raise invalid(f"{path}.stackType", shown["stackType"], "The subnetwork does not have IPv6 enabled.")
        shown |= _ipv6(given, found, path, int(ipaddress.ip_address(address)) & 0xFFFF)
    if given.get("accessConfigs"):
        shown["accessConfigs"] = [_access(call, one, taken) for one in given["accessConfigs"]]
    shown["fingerprint"] = fingerprint(shown)
    return shown


def _subnetwork(call: Call, given: Json, path: str) -> Link:
    region = call.path["zone"].rpartition("-")[0]
    if given.get("subnetwork"):
        link = call.read(given["subnetwork"])
        if link is None or link.kind != "subnetworks":
            raise invalid(f"{path}.subnetwork", given["subnetwork"], "The URL is malformed.")
        if link.place != f"regions/{region}":
            raise invalid(f"{path}.subnetwork", given["subnetwork"], f"Subnetwork must be in region {region} of the instance.")
    else:
        network = call.read(given.get("network") or "global/networks/default")
        if network is None or network.kind != "networks":
            raise invalid(f"{path}.network", given.get("network"), "The URL is malformed.")
        link = _only_subnetwork(call, network, region, path)
    if link.project not in (call.project.name, call.project.host):
        raise invalid(f"{path}.subnetwork", given.get("subnetwork"), "Cross project referencing is not allowed for this resource.")
    return link


def _only_subnetwork(call: Call, network: Link, region: str, path: str) -> Link:
    found = call.world.find(network)
    inside = [
        key
        for key, one in sorted(call.world.project(network.project).tables["subnetworks"].items())
        if one["network"] == network.url and key.startswith(f"{region}/")
    ]
    if not inside or (len(inside) > 1 and not found["autoCreateSubnetworks"]):
        raise invalid(f"{path}.subnetwork", "", "Subnetwork should be specified for custom subnetmode network")
    return Link(network.project, f"regions/{region}", "subnetworks", inside[0].partition("/")[2])


def _address(call: Call, wanted: tuple[Object, str | None], taken: set[str]) -> str:
    subnet, text = wanted
    block = ipaddress.IPv4Network(subnet["ipCidrRange"])
    used = taken | {
        nic["networkIP"]
        for _project, machine in call.world.users_of(subnet["network"])
        for nic in machine["networkInterfaces"]
        if nic["subnetwork"] == subnet["selfLink"]
    }
    if text is None:
        # The first two and the last two addresses of a subnetwork belong to the vendor.
        text = next(str(block[index]) for index in range(2, block.num_addresses - 2) if str(block[index]) not in used)
    try:
        inside = ipaddress.IPv4Address(text) in block
    except ValueError:
        inside = False
    if not inside:
        raise invalid("resource.networkInterfaces[0].networkIP", text, "IP address is outside the range of the subnetwork.")
    if text in used:
        raise ComputeError(400, "ipInUseByAnotherResource", f"IP '{text}' is already being used by another resource.")
    taken.add(text)
    return text


def _alias(given: Json, subnet: Object, path: str) -> Object:
    ranges = {one["rangeName"]: one["ipCidrRange"] for one in subnet.get("secondaryIpRanges", [])}
    name = given.get("subnetworkRangeName")
    whole = subnet["ipCidrRange"] if name is None else ranges.get(name)
    if whole is None:
        raise invalid(f"{path}.subnetworkRangeName", name, "The secondary range does not exist in the subnetwork.")
    text = given.get("ipCidrRange", "")
    try:
        inside = ipaddress.IPv4Network(text).subnet_of(ipaddress.IPv4Network(whole))
    except ValueError:
        inside = False
    if not inside:
        raise invalid(f"{path}.ipCidrRange", text, f"Alias IP range is outside the range {whole}.")
    return {"ipCidrRange": str(ipaddress.IPv4Network(text)), **({"subnetworkRangeName": name} if name else {})}


def _ipv6(given: Json, subnet: Object, path: str, tail: int) -> Object:
    block = ipaddress.IPv6Network(subnet["ipv6CidrRange"])
    text = given.get("ipv6Address") or str(block.network_address + (tail << 32))
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise invalid(f"{path}.ipv6Address", text, "Must be a valid IPv6 address.") from None
    if address not in block:
        raise invalid(f"{path}.ipv6Address", text, "IP address is outside the range of the subnetwork.")
    kind = subnet["ipv6AccessType"]
    shown: Object = {"ipv6AccessType": kind}
    if kind == "INTERNAL":
        return shown | {"ipv6Address": str(address), "internalIpv6PrefixLength": 96}
    access = {"kind": "compute#accessConfig", "name": "external-ipv6", "type": "DIRECT_IPV6", "networkTier": "PREMIUM"}
    return shown | {"ipv6AccessConfigs": [{**access, "externalIpv6": str(address), "externalIpv6PrefixLength": 96}]}


def _external(call: Call, taken: set[str]) -> str:
    """Return the first external address that no machine has."""
    used = taken | {
        one["natIP"]
        for project in call.world.projects.values()
        for machine in project.tables["instances"].values()
        for nic in machine["networkInterfaces"]
        for one in nic.get("accessConfigs", [])
    }
    return next(text for number in range(1, EXTERNAL.num_addresses) if (text := str(EXTERNAL[number])) not in used)


def _access(call: Call, given: Json, taken: set[str]) -> Object:
    address = given.get("natIP") or _external(call, taken)
    taken.add(address)
    base = {"kind": "compute#accessConfig", "type": "ONE_TO_ONE_NAT", "name": "External NAT", "networkTier": "PREMIUM"}
    return {**base, **given, "natIP": address}


def tags_shown(tags: list[str]) -> Object:
    """Return tags with their fingerprint; no `items` when there are none."""
    return {"items": list(tags), "fingerprint": fingerprint(tags)} if tags else {"fingerprint": fingerprint(None)}


def check_tags(call: Call, tags: list[str]) -> None:
    """Refuse tags that are none, or too many."""
    most = call.world.settings.vm_tags_max
    if len(tags) > most:
        raise too_large("resource.tags.items", most, len(tags))
    for number, tag in enumerate(tags):
        if not NAME.fullmatch(tag):
            raise invalid(f"resource.tags.items[{number}]", tag, f"Must be a match of regex '{NAME.pattern}'")


def set_tags(call: Call) -> Object:
    """Answer instances.setTags: the whole list is replaced, under the fingerprint of the present one."""
    link, old = _named(call)
    ready(call, link)
    if not same_print(call.body.get("fingerprint"), old["tags"]["fingerprint"]):
        raise stale("tags")
    items = call.body.get("items")
    if items is None and call.world.settings.tags_without_items == "keep":
        items = old["tags"].get("items", [])
    check_tags(call, items or [])
    return _change(call, "setTags", (link, old), lambda now: {**now, "tags": tags_shown(items or [])})


def set_labels(call: Call) -> Object:
    """Answer instances.setLabels."""
    link, old = _named(call)
    ready(call, link)
    if not same_print(call.body.get("labelFingerprint"), old["labelFingerprint"]):
        raise stale("labels")
    labels = call.body.get("labels", {})
    rest = {name: value for name, value in old.items() if name != "labels"}
    new = {**rest, "labelFingerprint": fingerprint(labels), **({"labels": labels} if labels else {})}
    return _change(call, "setLabels", (link, old), lambda _now: new)


def stop(call: Call) -> Object:
    """Answer instances.stop: the machine keeps its addresses."""
    return _state(call, "stop", "TERMINATED", "lastStopTimestamp")


def start(call: Call) -> Object:
    """Answer instances.start."""
    return _state(call, "start", "RUNNING", "lastStartTimestamp")


def _state(call: Call, kind: str, status: str, stamp: str) -> Object:
    link, old = _named(call)
    ready(call, link)
    return _change(call, kind, (link, old), lambda now: {**now, "status": status, stamp: call.world.stamp()})


def _change(call: Call, kind: str, target: tuple[Link, Object], change: Callable[[Object], Object]) -> Object:
    link, old = target
    return begin(call, Change(kind, link, old["id"], lambda: call.world.put(link, change(call.world.find(link)))))


def delete(call: Call) -> Object:
    """Answer instances.delete."""
    link, old = _named(call)
    ready(call, link)
    return begin(call, Change("delete", link, old["id"], lambda: call.world.put(link, None)))

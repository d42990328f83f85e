"""Subnetworks: list, aggregated list, get, insert, delete; secondary ranges and IPv6."""

from __future__ import annotations

import ipaddress

from .call import Call
from .links import Link, last
from .listing import Aggregate, aggregated, page_of
from .networks import subnetwork
from .operations import Change, begin, ready, running_on
from .refusal import exists, in_use, invalid
from .rule_text import block_of
from .schema import NAME
from .world import REGIONS, Object, link_of


def list_all(call: Call) -> Object:
    """Answer subnetworks.list."""
    region = call.path["region"]
    rows = {key: row for key, row in call.table("subnetworks").items() if key.startswith(f"{region}/")}
    return page_of(call, "compute#subnetworkList", f"projects/{call.project.name}/regions/{region}/subnetworks", rows)


_SCOPES = Aggregate(
    "compute#subnetworkAggregatedList",
    "subnetworks",
    tuple(f"regions/{region}" for region in REGIONS),
    lambda row: f"regions/{last(row['region'])}",
)


def aggregated_list(call: Call) -> Object:
    """Answer subnetworks.aggregatedList."""
    return aggregated(call, _SCOPES, call.table("subnetworks"))


def get(call: Call) -> Object:
    """Answer subnetworks.get."""
    return call.world.find(call.link("subnetworks", call.path["subnetwork"]))


def insert(call: Call) -> Object:
    """Answer subnetworks.insert."""
    body = call.body
    if not NAME.fullmatch(body.get("name", "")):
        raise invalid("resource.name", body.get("name", ""), f"Must be a match of regex '{NAME.pattern}'")
    link = call.link("subnetworks", body["name"])
    if link.key in call.project.tables["subnetworks"] or running_on(call.project, link.path):
        raise exists(link.path)
    network = call.read(body.get("network", ""))
    if network is None or network.kind != "networks":
        raise invalid("resource.network", body.get("network", ""), "The URL is malformed.")
    if network.project != call.project.name:
        raise invalid("resource.network", body["network"], "Cross project referencing is not allowed for this resource.")
    call.world.find(network)
    ranges = [body.get("ipCidrRange", ""), *(one.get("ipCidrRange", "") for one in body.get("secondaryIpRanges", []))]
    _refuse_overlap(call, network, ranges)
    given = {name: value for name, value in body.items() if name not in ("name", "region", "fingerprint")} | {"network": network.url}
    made = subnetwork(call, link, given)
    if body.get("stackType") == "IPV4_IPV6":
        made |= _ipv6(call, network, body.get("ipv6AccessType", "INTERNAL"))
    return begin(call, Change("insert", link, made["id"], lambda: call.world.put(link, made)))


def _refuse_overlap(call: Call, network: Link, ranges: list[str]) -> None:
    taken = [
        block
        for one in call.project.tables["subnetworks"].values()
        if one["network"] == network.url
        for text in (one["ipCidrRange"], *(each["ipCidrRange"] for each in one.get("secondaryIpRanges", [])))
        if (block := block_of(text)) is not None
    ]
    for text in ranges:
        block = block_of(text)
        if block is None or block.version != 4 or "/" not in text or str(block) != text:
            raise invalid(
                "resource.ipCidrRange", text, "Must be a CIDR address range that is contained in the RFC 1918 private address blocks."
            )
        for other in taken:
            if block.overlaps(other):
                raise invalid("resource.ipCidrRange", text, f"IP CIDR range conflicts with existing subnetwork range {other}.")
        taken.append(block)


def _ipv6(call: Call, network: Link, access: str) -> Object:
    """Return a /64 of its own: of the network's ULA range, or of the lab's public one."""
    found = call.world.find(network)
    number = 1 + sum("ipv6CidrRange" in one or "internalIpv6Prefix" in one for one in call.project.tables["subnetworks"].values())
    if access == "INTERNAL":
        if "internalIpv6Range" not in found:
            raise invalid("resource.ipv6AccessType", access, "The network does not have ULA internal IPv6 enabled.")
        whole = ipaddress.ip_network(found["internalIpv6Range"])
    else:
        whole = ipaddress.ip_network("2001:db8:40::/48")
    prefix = f"{whole.network_address + (number << 64)}/64"
    key = "internalIpv6Prefix" if access == "INTERNAL" else "externalIpv6Prefix"
    return {"ipv6AccessType": access, "ipv6CidrRange": prefix, key: prefix}


def delete(call: Call) -> Object:
    """Answer subnetworks.delete."""
    link = call.link("subnetworks", call.path["subnetwork"])
    old = call.world.find(link)
    ready(call, link)
    return begin(call, Change("delete", link, old["id"], lambda: _drop(call, link)))


def _drop(call: Call, link: Link) -> None:
    for _project, machine in call.world.users_of(call.world.find(link)["network"]):
        if any(nic["subnetwork"] == link.url for nic in machine["networkInterfaces"]):
            raise in_use("subnetwork", link.path, link_of(machine["selfLink"]).path)
    call.world.put(link, None)

"""URLs that a target may be sent to: https anywhere but to addresses that only exist on the wire beside us, plain http to this machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

_URL = r"(https?)://((?:[^/@\s]*@)?)(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?(/[^\s?#]*)?"
_METADATA = frozenset(map(ip_address, ["168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"]))
"""Instance metadata and host services outside the link-local ranges: Azure, Alibaba, Oracle, AWS over IPv6."""
_METADATA_NAMES = frozenset(["metadata", "metadata.google.internal", "metadata.goog", "instance-data"])
WANT = "https is required, plain http only to this machine; link-local and metadata addresses never"


def complaints(url: str) -> Iterator[str]:
    """Yield what is wrong with an endpoint; nothing when it may be used."""
    match = re.fullmatch(_URL, url, re.ASCII)
    if match is None:
        yield "no URL"
        return
    scheme, user, host = match[1], match[2], match[3].strip("[]").rstrip(".").lower()
    if match[4] and not 0 < int(match[4]) < 65536:
        yield "no such port"
    if user:
        yield "credentials never stand in a URL"
    address = _address(host)
    if address is None and re.fullmatch(r"[0-9.]+|0x[0-9a-f.x]+", host):
        yield "an address in an unusual spelling"
        return
    if scheme != "https" and not is_loopback(host):
        yield "not https"
    if address is not None and (address.is_link_local or address in _METADATA):
        yield "link-local" if address.is_link_local else "a metadata address"
    if host in _METADATA_NAMES:
        yield "a metadata address"
    if address is not None and (address.is_multicast or address.is_unspecified):
        yield "no address of a server"


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine, without asking a name server."""
    address = _address(host.strip("[]"))
    return host == "localhost" if address is None else address.is_loopback


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address

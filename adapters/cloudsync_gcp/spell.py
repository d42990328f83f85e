"""Services in Google's words and back: `allowed[]` and `denied[]` entries <-> sets of services.

Protocol names: compute v1, `Firewall.allowed[].IPProtocol`; GRE and ICMPv6 have no name there and go by their numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

from cloudsync.model import intervals
from cloudsync.model.address import AddressSet, Family, plain_prefix
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ANY_SERVICE, BLOCK, NO_SERVICE, WITH_PORTS, WITH_TYPES, ServiceSet, possible
from cloudsync_gcp.table import Ports, Spec

NAMES = {1: "icmp", 6: "tcp", 17: "udp", 50: "esp", 51: "ah", 132: "sctp"}
IPIP = "94"
"""What Google's word `ipip` is read as: IANA's number of that name. Users take it for 4 as well, so it is never written."""
_NUMBERS = {name: number for number, name in NAMES.items()}
ALL: tuple[Spec, ...] = (("all", ()),)
PORTS_MOST = 256
"""Port ranges of one rule (reported by users; Google publishes no page that lists it)."""


def protocol_name(text: str) -> str:
    """Return a protocol as Google spells it: `TCP` and `6` are `tcp`. ValueError for what is no protocol."""
    name = IPIP if text.lower() == "ipip" else text.lower()
    if name == "all" or name in _NUMBERS:
        return name
    if name.isascii() and name.isdecimal() and int(name) <= 255:
        return NAMES.get(int(name), str(int(name)))
    raise ValueError(f"protocol {text!r}")


def port_range(text: str) -> tuple[int, int]:
    """Return `80` or `80-90` as a pair. ValueError otherwise."""
    first, _, last = text.partition("-")
    if not (first.isascii() and first.isdecimal() and (not last or (last.isascii() and last.isdecimal()))):
        raise ValueError(f"port {text!r}")
    low, high = int(first), int(last or first)
    if not 0 <= low <= high <= 65535:
        raise ValueError(f"port {text!r}")
    return low, high


def united(pairs: Iterable[tuple[str, Iterable[str]]]) -> tuple[Spec, ...]:
    """Return protocols in normal form: one entry each, ports merged; a protocol once without ports is whole. ValueError for nonsense."""
    found: dict[str, set[tuple[int, int]] | None] = {}
    for text, ports in pairs:
        name = protocol_name(text)
        ranges = {port_range(port) for port in ports}
        if ranges and _NUMBERS.get(name) not in WITH_PORTS:
            raise ValueError(f"ports with protocol {text!r}")
        known = found.get(name, set())
        found[name] = None if not ranges or known is None else known | ranges
    if not found:
        raise ValueError("no protocol")
    return tuple((name, _merged(ranges)) for name, ranges in sorted(found.items()))


def _merged(ranges: set[tuple[int, int]] | None) -> Ports:
    points = intervals.from_ranges((first, last + 1) for first, last in ranges or ())
    return tuple((first, end - 1) for first, end in intervals.ranges(points))


@lru_cache(maxsize=16384)
def services_of(protocols: tuple[Spec, ...]) -> ServiceSet:
    """Return what protocols in normal form let through."""
    found: list[ServiceSet] = []
    for name, ports in protocols:
        if name == "all":
            return ANY_SERVICE
        number = _NUMBERS[name] if name in _NUMBERS else int(name)
        if ports:
            found.extend(ServiceSet.ports(number, first, last) for first, last in ports)
        else:
            found.append(ServiceSet.protocol(number))
    return ServiceSet.union_all(found)


@dataclass(frozen=True, slots=True)
class Said:
    """Services as entries, in as many rules as the port limit needs. `lost`: ICMP types, which cannot be said."""

    parts: tuple[tuple[Spec, ...], ...]
    lost: ServiceSet = NO_SERVICE


@lru_cache(maxsize=4096)
def say(services: ServiceSet, family: Family | None = None) -> Said:
    """Return services in Google's words; `family` narrows to what exists there (None: a rule of tags, which has both)."""
    everything = ANY_SERVICE if family is None else possible(family)
    wanted = services & everything
    if not wanted:
        return Said(())
    if wanted == everything:
        return Said((ALL,))
    whole: list[Spec] = []
    ported: dict[str, list[tuple[int, int]]] = {}
    lost: list[tuple[int, int]] = []
    for run in wanted.ranges():
        name = NAMES.get(run.protocol, str(run.protocol))
        if run.whole:
            whole.append((name, ()))
        elif run.protocol in WITH_TYPES:
            lost.append((run.protocol * BLOCK + run.first, run.protocol * BLOCK + run.last + 1))
        else:
            ported.setdefault(name, []).append((run.first, run.last))
    return Said(tuple(_parts(whole, ported)), ServiceSet(intervals.from_ranges(lost)))


def _parts(whole: list[Spec], ported: dict[str, list[tuple[int, int]]]) -> list[tuple[Spec, ...]]:
    parts: list[dict[str, Ports]] = [dict(whole)]
    used = 0
    for name in sorted(ported):
        for pair in ported[name]:
            if used == PORTS_MOST:
                parts.append({})
                used = 0
            parts[-1][name] = (*parts[-1].get(name, ()), pair)
            used += 1
    return [tuple(sorted(part.items())) for part in parts if part]


def words(protocols: Sequence[Spec]) -> str:
    """Return protocols for people, e.g. `tcp/22,80-90 udp`."""
    return " ".join(name + ("/" + ",".join(_port_text(*pair) for pair in ports) if ports else "") for name, ports in protocols)


def port_texts(ports: Ports) -> list[str]:
    """Return port ranges as Google takes them."""
    return [_port_text(*pair) for pair in ports]


def _port_text(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


# --- addresses -----------------------------------------------------------------------------------------------------------


def cidrs(texts: Iterable[str]) -> tuple[str, ...]:
    """Return ranges in canonical text, sorted, each once; host bits are cut, a bare address is a /32 or /128. ValueError otherwise."""
    found: dict[tuple[int, int, int], str] = {}
    for text in texts:
        plain = plain_prefix(text)
        if plain is not None:
            found[4, *plain] = text
        else:
            network = ip_network(text, strict=False)
            found[_order(network)] = str(network)
    return tuple(found[key] for key in sorted(found))


def _order(network: IPv4Network | IPv6Network) -> tuple[int, int, int]:
    return (network.version, int(network.network_address), network.prefixlen)


@lru_cache(maxsize=16384)
def addresses_of(texts: tuple[str, ...]) -> AddressSet:
    """Return the addresses of canonical ranges."""
    return AddressSet.of(*texts)

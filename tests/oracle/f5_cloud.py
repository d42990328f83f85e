"""What a pair of BIG-IPs really holds, read through plain GETs of iControl REST; shares no code with the adapter."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from tests.oracle.four_ground import Get, Json, Vocabulary, canonical, mapped, opener, send
from tests.oracle.reading import Address, Card, Machine

FIREWALL = "security/firewall"
PREDEFINED: dict[str, int | None] = {
    "any": None,
    "icmp": 1,
    "tcp": 6,
    "udp": 17,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "ipv6-icmp": 58,
    "sctp": 132,
    "ospf": 89,
}
ECHO = ("generation", "selfLink", "fwEnforcedPolicy", "fwEnforcedPolicyReference", "creationTime", "lastModifiedTime")
"""Fields of a virtual server that may differ without anybody's having changed it, and the one that is the product's to set."""


def wire(section: Mapping[str, Any]) -> Get:
    """Return a reader of one unit over the wire, as the built-in administrator."""
    word = base64.b64encode(f"admin:{section['users']['admin']['password']}".encode()).decode()
    way, headers = opener(section["ca_file"]), {"Authorization": f"Basic {word}"}
    return lambda path: send(way, "GET", f"{section['endpoint']}/mgmt/tm/{path}", headers)


def pages(get: Get, collection: str, *, parts: bool = False) -> list[Json]:
    """Return every item of a collection; `parts` asks for rules or members with them."""
    found: list[Json] = []
    skip = 0
    while True:
        more = "&expandSubcollections=true" if parts else ""
        page = get(f"{collection}?$top=50&$skip={skip}{more}")
        found += page.get("items", ())
        if "nextLink" not in page:
            return found
        skip += 50


@dataclass(frozen=True)
class Place:
    """An address with its route domain."""

    address: Address
    domain: int


def place(text: str) -> Place:
    """Read `10.0.0.1%1`, with or without a length behind it."""
    host, _, domain = text.partition("/")[0].partition("%")
    return Place(ip_address(host), int(domain or 0))


def listens(virtual: Json) -> tuple[Place, int]:
    """Return address and port of a virtual server; port 0 is all of them."""
    text = virtual["destination"].rpartition("/")[2]
    host, _, port = text.rpartition("." if text.count(":") > 1 else ":")
    word = {"any": "0", "https": "443", "http": "80", "ssh": "22"}.get(port, port)
    return place(host), int(word)


def covered(virtual: Json) -> tuple[int, int]:
    """Return the first and the last address that a virtual server listens on, as numbers."""
    where, _ = listens(virtual)
    text = virtual["mask"]
    if text in ("any", "any6"):
        length = 0
    elif ":" in text:
        length = int(ip_address(text)).bit_count()
    else:
        length = ip_network(f"0.0.0.0/{text}").prefixlen
    bits = 32 if where.address.version == 4 else 128
    low = int(where.address) >> (bits - length) << (bits - length)
    return low, low + (1 << (bits - length)) - 1


@dataclass
class Estate:
    """One raw reading of a pair: the configuration of the active unit, and self addresses of both."""

    virtuals: dict[str, Json]
    policies: dict[str, Json]
    rule_lists: dict[str, Json]
    address_lists: dict[str, Json]
    port_lists: dict[str, Json]
    snatpools: dict[str, Json]
    domains: dict[int, Json]
    globals: Json
    selves: tuple[Place, ...]
    additive: bool = False
    default: str = "accept"
    owner: str = "oracle"

    def machines(self, vocabulary: Vocabulary) -> list[Machine]:
        """Return every virtual server: a card that is reached, and one that only opens connections."""
        found = []
        for path, virtual in self.virtuals.items():
            where, _ = listens(virtual)
            low, high = covered(virtual)
            kind = type(where.address)
            own = Card(ref(path), frozenset(kind(one) for one in range(low, high + 1)), "default", self.enforced(virtual))
            source = Card(f"{ref(path)}#source", self.opens(virtual, where.domain), "default", managed=False, source_only=True)
            tags = {one["name"]: one.get("value", "") for one in virtual.get("metadata", ())}
            found.append(Machine(virtual["name"], ref(path), mapped(tags, vocabulary), (own, source)))
        return sorted(found, key=lambda one: one.ref)

    def opens(self, virtual: Json, domain: int) -> frozenset[Address]:
        """Return the addresses that a virtual server's connections come from: its SNAT pool, and the devices' self addresses."""
        found = {one.address for one in self.selves if one.domain == domain}
        translation = virtual.get("sourceAddressTranslation", {})
        if translation.get("type") == "snat":
            members = self.snatpools[translation["pool"]].get("members", ())
            found |= {one.address for one in (place(text.rpartition("/")[2]) for text in members) if one.domain == domain}
        return frozenset(found)

    def enforced(self, virtual: Json) -> bool:
        """Tell whether the product may write here: in `additive` not where somebody's policy stands, for there is room for one."""
        policy = virtual.get("fwEnforcedPolicy")
        if "disabled" in virtual:
            return False
        return not (self.additive and policy and not self.ours(self.policies[policy]))

    def ours(self, thing: Json) -> bool:
        """Tell whether an object carries the product's mark."""
        return str(thing.get("description", "")).startswith(f"cloudsync:{self.owner}:")

    def bystanders(self) -> list[str]:
        """Return interfaces of no workload: none here."""
        return []

    def blocks(self) -> Iterable[str]:
        """Return every block and range that rules and lists name, without route domains."""
        for thing in self.address_lists.values():
            yield from _texts(thing)
        for rule in self._all_rules():
            for side in ("source", "destination"):
                yield from _texts(rule.get(side, {}))
        for one in self.selves:
            yield str(one.address)

    def _all_rules(self) -> Iterable[Json]:
        for thing in (*self.policies.values(), *self.rule_lists.values()):
            yield from rules_of(thing)

    def ports(self) -> Iterable[tuple[int, int, int]]:
        """Return every range of ports that rules, lists and listeners name."""
        for virtual in self.virtuals.values():
            _, port = listens(virtual)
            for protocol in (6, 17) if port else ():
                yield protocol, port, port
        named = [one["name"] for thing in self.port_lists.values() for one in thing.get("ports", ())]
        for rule in self._all_rules():
            named += [one["name"] for one in rule.get("destination", {}).get("ports", ())]
        for text in named:
            low, high = span(text)
            for protocol in (6, 17):
                yield protocol, low, high

    def foreign(self) -> dict[str, str]:
        """Return every object that is not ours, and of virtual servers all but their enforced policy."""
        found: dict[str, str] = {}
        for kind in ("policies", "rule_lists", "address_lists", "port_lists", "snatpools"):
            for path, thing in getattr(self, kind).items():
                if not self.ours(thing):
                    found[f"{kind} {path}"] = canonical(thing)
        for path, virtual in self.virtuals.items():
            found[path] = canonical({name: value for name, value in virtual.items() if name not in ECHO})
        found["global"] = canonical(self.globals)
        found["domains"] = canonical({str(number): one for number, one in self.domains.items()})
        return found


def ref(path: str) -> str:
    """Return our own reference of a virtual server."""
    return f"f5{path}"


def rules_of(thing: Json) -> list[Json]:
    """Return the rules of a policy or a rule list, in their order."""
    found: list[Json] = thing.get("rulesReference", {}).get("items", [])
    return found


def span(text: str) -> tuple[int, int]:
    """Read `80` or `80-90`."""
    low, _, high = str(text).partition("-")
    return int(low), int(high or low)


def _texts(thing: Json) -> Iterable[str]:
    for one in thing.get("addresses", ()):
        yield re.sub(r"%\d+", "", one["name"])


def read(active: Get, others: Iterable[Get] = (), *, additive: bool = False, owner: str = "oracle") -> Estate:
    """Read the active unit whole, and the self addresses of every unit."""

    def named(collection: str, *, parts: bool = False) -> dict[str, Json]:
        return {one["fullPath"]: one for one in pages(active, collection, parts=parts)}

    selves = {place(one["address"]) for get in (active, *others) for one in pages(get, "net/self")}
    return Estate(
        virtuals=named("ltm/virtual"),
        policies=named(f"{FIREWALL}/policy", parts=True),
        rule_lists=named(f"{FIREWALL}/rule-list", parts=True),
        address_lists=named(f"{FIREWALL}/address-list"),
        port_lists=named(f"{FIREWALL}/port-list"),
        snatpools=named("ltm/snatpool"),
        domains={int(one["id"]): one for one in pages(active, "net/route-domain")},
        globals=active(f"{FIREWALL}/global-rules"),
        selves=tuple(sorted(selves, key=str)),
        additive=additive,
        default=active("sys/db/tm.fw.defaultaction")["value"],
        owner=owner,
    )

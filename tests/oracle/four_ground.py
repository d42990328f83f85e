"""What the oracle asks of every platform: build an estate, read it raw, and say packet by packet what its rules let through.

Answers are bits over a numbered list of services, as everywhere in the oracle. `Row` is what stands between one interface and one peer.
"""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Protocol

from tests.oracle.reading import Address, Machine, Service

Json = dict[str, Any]
Get = Callable[[str], Any]
"""Reads one path of a vendor's API (query included) and returns its JSON."""
Vocabulary = Mapping[str, Iterable[str]]
PORTS = frozenset({6, 17, 132})


class WireError(Exception):
    """A vendor said no to a plain request."""


@dataclass(frozen=True)
class Row:
    """What becomes of the packets between one interface and one peer, over all addresses of the interface in the peer's family.

    some, every: open at one of them, at all of them. there: packets that can arrive at all. cut, forced: decided by what no tool of ours
    may write. denied: a deny rule of somebody else names them. above: let in by somebody's allow rule above every number of ours.
    """

    some: int = 0
    every: int = 0
    there: int = -1
    cut: int = 0
    forced: int = 0
    denied: int = 0
    above: int = 0


NOTHING = Row(there=0)
"""The interface has no address of the peer's family: there is no such packet."""


class Reach(Protocol):
    """One raw reading, asked what its interfaces let through."""

    def row(self, card: str, address: Address, *, inbound: bool) -> Row:
        """Return what becomes of every service between an interface and a peer."""

    def rules(self, card: str, *, inbound: bool) -> str:
        """Return everything that `row` depends on beside the peer, as text: equal texts give equal answers."""


class Estate(Protocol):
    """One raw reading of one platform."""

    def machines(self, vocabulary: Vocabulary) -> list[Machine]:
        """Return its workloads, labels mapped, ordered by reference."""

    def bystanders(self) -> list[str]:
        """Return interfaces of no workload: what they let through is nobody's to change."""

    def blocks(self) -> Iterable[str]:
        """Return every address, block and range that any rule names."""

    def ports(self) -> Iterable[tuple[int, int, int]]:
        """Return every (protocol, first, last) that any rule names."""

    def foreign(self) -> dict[str, str]:
        """Return everything that is not ours, exactly as the API says it, by a name of its own."""


@dataclass
class Built:
    """What an estate was built with: names of its workloads, entries that IP lists may be made of, and more lines for the target."""

    names: list[str] = field(default_factory=list)
    pool: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)


# --- small helpers of every reader -----------------------------------------------------------------------------------


@lru_cache(maxsize=100_000)
def net(text: str) -> IPv4Network | IPv6Network:
    """Return a block; a bare address is a block of one, host bits do not count."""
    return ip_network(text, strict=False)


def within(address: Address, blocks: Iterable[str]) -> bool:
    """Tell whether an address lies in one of several blocks of its own family."""
    return any(address.version == net(one).version and address in net(one) for one in blocks)


def mask(services: Sequence[Service], hit: Callable[[Service], bool]) -> int:
    """Return the numbered services for which something holds, as bits."""
    return sum(1 << at for at, service in enumerate(services) if hit(service))


def opener(ca_file: str = "") -> urllib.request.OpenerDirector:
    """Return what sends plain requests: no proxy, and no trust but in the given authority."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if ca_file:
        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca_file)))
    return urllib.request.build_opener(*handlers)


def send(way: urllib.request.OpenerDirector, method: str, url: str, headers: Mapping[str, str], body: Any = None) -> Any:
    """Send one request; return its JSON. WireError with the vendor's words."""
    text = None if body is None else json.dumps(body).encode()
    wanted = {"Content-Type": "application/json", **headers}
    request = urllib.request.Request(url, data=text, headers=wanted, method=method)
    try:
        with way.open(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        raise WireError(f"{method} {url}: {error.code} {error.read().decode('utf-8', 'replace')}") from None


LABELS = {"role": ("Role", "role"), "env": ("Environment", "Env", "env"), "app": ("App", "app"), "loc": ("Loc", "loc")}
"""Label -> the tags it is taken from, in the order of the settings that the campaign writes."""


def mapped(tags: Mapping[str, str], vocabulary: Vocabulary) -> dict[str, str]:
    """Return the labels that the campaign's settings give to tags: values lowered, `production` is `prod`."""
    found: dict[str, str] = {}
    for key, names in LABELS.items():
        value = next((tags[name].lower() for name in names if tags.get(name)), "")
        value = {"production": "prod"}.get(value, value) if key == "env" else value
        if value in vocabulary[key]:
            found[key] = value
    return found


def canonical(thing: Any) -> str:
    """Return JSON as one text that does not depend on the order of keys."""
    return json.dumps(thing, sort_keys=True)


def host(text: str) -> Address:
    """Return an address."""
    return ip_address(text)

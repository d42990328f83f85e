"""What a GCP project really holds, read through plain GETs of the Compute API; shares no code with the adapter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_address
from typing import Any
from urllib.parse import urlencode

from tests.oracle.four_ground import Get, Json, Vocabulary, canonical, mapped, opener, send
from tests.oracle.reading import Address, Card, Machine

OWNER_MARK = "cloudsync:v1 owner="
OWN_TAG = "cs-"
"""Network tags that the product sets where it is told to; all others of a machine must stay."""


def wire(section: Mapping[str, Any]) -> Get:
    """Return a reader over the wire."""
    way, headers = opener(), {"Authorization": f"Bearer {section['access_token']}"}
    return lambda path: send(way, "GET", f"{section['endpoint']}/compute/v1/{path}", headers)


def pages(get: Get, path: str, kind: str) -> list[Json]:
    """Return every page of a list."""
    found: list[Json] = []
    token = ""
    while True:
        page = get(path + (f"?{urlencode({'pageToken': token})}" if token else ""))
        assert page["kind"] == f"compute#{kind}", page
        found.append(page)
        token = page.get("nextPageToken", "")
        if not token:
            return found


@dataclass(frozen=True)
class Nic:
    """One interface of a machine, as rules see it."""

    ref: str
    network: str
    primary: tuple[Address, ...]
    more: tuple[Address, ...]
    """Alias addresses: reached like the others, but no source tag stands for them."""
    public: tuple[Address, ...]
    tags: frozenset[str]
    accounts: frozenset[str]

    @property
    def own(self) -> tuple[Address, ...]:
        """Addresses that packets arrive at: the public IPv4 address is translated on the way."""
        return self.primary + self.more


@dataclass(frozen=True)
class Estate:
    """One raw reading: the host project's rules, and the machines of all projects."""

    project: str
    managed: frozenset[str]
    """Names of the networks that the target names."""
    instances: tuple[Json, ...]
    firewalls: tuple[Json, ...]
    networks: Mapping[str, Json]
    """By URL."""
    policies: Mapping[str, tuple[Json, ...]]
    """Policies of organisation, folders, vendor and project that reach a network, by its URL."""
    owner: str = "oracle"

    def nics(self) -> dict[str, Nic]:
        """Return every interface by a reference of our own."""
        return {one.ref: one for machine in self.instances for one in _nics(machine)}

    def machines(self, vocabulary: Vocabulary) -> list[Machine]:
        """Return every machine with an interface in a network of the target, with all its interfaces; those that are stopped too."""
        found = []
        for machine in self._taken_in():
            cards = tuple(Card(nic.ref, frozenset(nic.own + nic.public), "default", self.enforced(nic.network)) for nic in _nics(machine))
            labels = mapped(machine.get("labels", {}), vocabulary)
            found.append(Machine(machine["name"], "gcp/" + _path(machine["selfLink"]), labels, cards))
        return sorted(found, key=lambda one: one.ref)

    def enforced(self, network: str) -> bool:
        """Tell whether a network is the target's."""
        return f"/projects/{self.project}/" in network and network.rpartition("/")[2] in self.managed

    def ours(self, rule: Json) -> bool:
        """Tell whether a rule carries the product's mark."""
        return str(rule.get("description", "")).startswith(f"{OWNER_MARK}{self.owner} ")

    def bystanders(self) -> list[str]:
        """Return interfaces of machines that are in none of the target's networks."""
        inside = {machine["selfLink"] for machine in self._taken_in()}
        return [nic.ref for machine in self.instances if machine["selfLink"] not in inside for nic in _nics(machine)]

    def _taken_in(self) -> list[Json]:
        return [machine for machine in self.instances if any(self.enforced(nic.network) for nic in _nics(machine))]

    def blocks(self) -> Iterable[str]:
        """Return every block that a rule names."""
        for rule in self.firewalls:
            for name in ("sourceRanges", "destinationRanges"):
                yield from rule.get(name, ())[:40]
        for policies in self.policies.values():
            for policy in policies:
                for rule in policy.get("rules", ()):
                    for name in ("srcIpRanges", "destIpRanges"):
                        yield from rule["match"].get(name, ())[:40]

    def ports(self) -> Iterable[tuple[int, int, int]]:
        """Return every range of ports that a rule names."""
        spoken = [one for rule in self.firewalls for one in (*rule.get("allowed", ()), *rule.get("denied", ()))]
        said = [(one["IPProtocol"], one.get("ports", ())) for one in spoken]
        for policies in self.policies.values():
            for policy in policies:
                for rule in policy.get("rules", ()):
                    said += [(one["ipProtocol"], one.get("ports", ())) for one in rule["match"]["layer4Configs"]]
        for name, ranges in said:
            number = {"tcp": 6, "udp": 17, "sctp": 132, "6": 6, "17": 17, "132": 132}.get(str(name).lower())
            for text in ranges if number is not None else ():
                low, _, high = str(text).partition("-")
                yield number or 0, int(low), int(high or low)

    def foreign(self) -> dict[str, str]:
        """Return every rule that is not ours, and what the product must never write: tags, labels and policies."""
        found = {f"rule {one['name']}": canonical(one) for one in self.firewalls if not self.ours(one)}
        for machine in self.instances:
            theirs = sorted(tag for tag in machine["tags"].get("items", ()) if not tag.startswith(OWN_TAG))
            found[f"machine {machine['name']}"] = canonical([theirs, machine.get("labels"), machine["networkInterfaces"]])
        found["policies"] = canonical({url: list(many) for url, many in self.policies.items()})
        return found


def read(get: Get, project: str, managed: Iterable[str], projects: Iterable[str], owner: str = "oracle") -> Estate:
    """Read a host project and the machines of its service projects."""
    base = f"projects/{project}"
    firewalls = [one for page in pages(get, f"{base}/global/firewalls", "firewallList") for one in page.get("items", ())]
    networks = {one["selfLink"]: one for page in pages(get, f"{base}/global/networks", "networkList") for one in page.get("items", ())}
    instances = []
    for name in projects:
        for page in pages(get, f"projects/{name}/aggregated/instances", "instanceAggregatedList"):
            for scope in page.get("items", {}).values():
                instances += scope.get("instances", ())
    policies = {}
    for url, network in networks.items():
        effective = get(f"{base}/global/networks/{network['name']}/getEffectiveFirewalls")
        policies[url] = tuple(effective.get("firewallPolicys", ()))
    return Estate(project, frozenset(managed), tuple(instances), tuple(firewalls), networks, policies, owner)


def _path(url: str) -> str:
    return url.partition("/projects/")[2]


def _nics(machine: Json) -> list[Nic]:
    found = []
    for nic in machine["networkInterfaces"]:
        primary: list[Address] = [ip_address(nic["networkIP"])]
        if "ipv6Address" in nic:
            primary.append(ip_address(nic["ipv6Address"]))
        primary += [ip_address(one["externalIpv6"]) for one in nic.get("ipv6AccessConfigs", ())]
        more: list[Address] = [each for one in nic.get("aliasIpRanges", ()) for each in IPv4Network(one["ipCidrRange"])]
        public: list[Address] = [ip_address(one["natIP"]) for one in nic.get("accessConfigs", ()) if one.get("natIP")]
        accounts = frozenset(one["email"] for one in machine.get("serviceAccounts", ()))
        ref = f"gcp/{_path(machine['selfLink'])}/{nic['name']}"
        tags = frozenset(machine["tags"].get("items", ()))
        found.append(Nic(ref, nic["network"], tuple(primary), tuple(more), tuple(public), tags, accounts))
    return found

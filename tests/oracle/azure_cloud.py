"""What an Azure subscription really holds, read through plain GETs of Azure Resource Manager; shares no code with the adapter."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlencode

from tests.oracle.four_ground import Get, Json, Vocabulary, canonical, mapped, opener, send
from tests.oracle.reading import Address, Card, Machine

VERSION = "2025-07-01"
NETWORK = "Microsoft.Network"


def wire(section: Mapping[str, Any]) -> Get:
    """Return a reader over the wire, logged in as the lab's first principal."""
    way = opener(section["ca_file"])
    form = {
        "grant_type": "client_credentials",
        "client_id": section["client_id"],
        "client_secret": section["client_secret"],
        "scope": "https://management.azure.com/.default",
    }
    url = f"{section['authority']}/{section['tenant']}/oauth2/v2.0/token"
    with way.open(urllib.request.Request(url, data=urlencode(form).encode(), method="POST"), timeout=30) as answer:
        token = json.loads(answer.read())["access_token"]
    base, headers = section["endpoint"], {"Authorization": f"Bearer {token}"}
    return lambda path: send(way, "GET", path if path.startswith("https://") else base + path, headers)


def pages(get: Get, path: str) -> list[Json]:
    """Return every item of a list."""
    found: list[Json] = []
    following = f"{path}?api-version={VERSION}"
    while following:
        page = get(following)
        found += page["value"]
        following = page.get("nextLink", "")
    return found


@dataclass(frozen=True)
class Nic:
    """One interface: where its packets pass, and who it is in rules."""

    ref: str
    vnet: str
    ends: tuple[tuple[Address, str], ...]
    """Own addresses with the subnet NSG that stands before each; empty when there is none."""
    nsg: str
    public: tuple[Address, ...]
    asgs: frozenset[str]

    @property
    def own(self) -> tuple[Address, ...]:
        """Addresses that packets arrive at: public ones are translated on the way."""
        return tuple(address for address, _ in self.ends)


@dataclass
class Estate:
    """One raw reading of one subscription. Ids are keys in lower case."""

    managed: frozenset[str]
    """Names of the NSGs that the target names, in lower case."""
    nsgs: dict[str, Json]
    nics: dict[str, Json]
    vnets: dict[str, Json]
    vms: dict[str, Json]
    publics: dict[str, Json]
    top: int = 1000
    """The smallest number of the target's band: an allow of somebody else above it outranks everything of ours."""
    owner: str = "oracle"
    _nics: dict[str, Nic] = field(default_factory=dict)

    def interfaces(self) -> dict[str, Nic]:
        """Return every interface by its key."""
        if not self._nics:
            self._nics = {key: self._nic(key, one) for key, one in self.nics.items()}
        return self._nics

    def _nic(self, key: str, raw: Json) -> Nic:
        ends, publics, asgs, home = [], [], set(), ""
        for one in raw["properties"]["ipConfigurations"]:
            inner = one["properties"]
            home, _, name = inner["subnet"]["id"].lower().rpartition("/subnets/")
            subnet = next(each for each in self.vnets[home]["properties"]["subnets"] if each["name"].lower() == name)
            ends.append((ip_address(inner["privateIPAddress"]), _id(subnet["properties"].get("networkSecurityGroup"))))
            asgs |= {_id(each) for each in inner.get("applicationSecurityGroups", ())}
            if inner.get("publicIPAddress"):
                publics.append(ip_address(self.publics[_id(inner["publicIPAddress"])]["properties"]["ipAddress"]))
        nsg = _id(raw["properties"].get("networkSecurityGroup"))
        return Nic(key, home, tuple(ends), nsg, tuple(publics), frozenset(asgs))

    def enforced(self, nic: Nic) -> bool:
        """Tell whether any NSG on the way of an interface is the target's."""
        return any(self.ruled(one) for one in (nic.nsg, *(group for _, group in nic.ends)))

    def ruled(self, nsg: str) -> bool:
        """Tell whether an NSG is the target's."""
        return bool(nsg) and (nsg.rpartition("/")[2] in self.managed or self._tagged(nsg))

    def _tagged(self, nsg: str) -> bool:
        tags = {key.lower(): value for key, value in self.nsgs[nsg].get("tags", {}).items()}
        return bool(tags.get("cloudsync-managed") == self.owner)

    def machines(self, vocabulary: Vocabulary) -> list[Machine]:
        """Return every virtual machine with its interfaces."""
        nics = self.interfaces()
        found = []
        for key, vm in self.vms.items():
            mine = [_id(one) for one in vm["properties"]["networkProfile"]["networkInterfaces"]]
            tags = _lowered(vm)
            for one in mine:
                tags = {**_lowered(self.nics[one]), **tags}
            found.append(Machine(vm["name"], key, mapped(tags, vocabulary), tuple(self._card(nics[one]) for one in mine)))
        return sorted(found, key=lambda one: one.ref)

    def bystanders(self) -> list[str]:
        """Return interfaces that belong to no machine."""
        taken = {_id(one) for vm in self.vms.values() for one in vm["properties"]["networkProfile"]["networkInterfaces"]}
        return sorted(set(self.nics) - taken)

    def _card(self, nic: Nic) -> Card:
        return Card(nic.ref, frozenset(nic.own + nic.public), "default", self.enforced(nic))

    def ours(self, rule: Json) -> bool:
        """Tell whether a rule carries the product's name and mark."""
        return rule["name"].startswith(f"cs-{self.owner}-") and self.owner in rule["properties"].get("description", "")

    def blocks(self) -> Iterable[str]:
        """Return every block that a rule or a network names, and what service tags stand for."""
        yield from ("168.63.129.16", "169.254.0.0/16")
        for vnet in self.vnets.values():
            yield from vnet["properties"]["addressSpace"]["addressPrefixes"]
        for nsg in self.nsgs.values():
            for rule in nsg["properties"].get("securityRules", ()):
                for side in ("source", "destination"):
                    for text in texts(rule["properties"], side, "AddressPrefix", "AddressPrefixes")[:40]:
                        if text[0].isdigit() or ":" in text:
                            yield text

    def ports(self) -> Iterable[tuple[int, int, int]]:
        """Return every range of ports that a rule names, in both protocols that have any."""
        for nsg in self.nsgs.values():
            for rule in nsg["properties"].get("securityRules", ()):
                for text in texts(rule["properties"], "destination", "PortRange", "PortRanges"):
                    low, _, high = text.partition("-")
                    for protocol in (6, 17) if text != "*" else ():
                        yield protocol, int(low), int(high or low)

    def foreign(self) -> dict[str, str]:
        """Return every rule that is not ours, and everything else that the product must never write."""
        found: dict[str, str] = {}
        for key, nsg in self.nsgs.items():
            for rule in nsg["properties"].get("securityRules", ()):
                if not self.ours(rule):
                    kept = {name: value for name, value in rule["properties"].items() if name != "provisioningState"}
                    found[f"rule {key}/{rule['name']}"] = canonical(kept)
            found[f"nsg {key}"] = canonical([nsg.get("tags"), nsg["location"], nsg["properties"].get("flushConnection")])
        for key, raw in (*self.nics.items(), *self.vms.items()):
            inner = {name: value for name, value in raw["properties"].items() if name not in ("provisioningState", "ipConfigurations")}
            found[key] = canonical([raw.get("tags"), inner])
        for key, vnet in self.vnets.items():
            found[key] = canonical(
                [[one["name"], _id(one["properties"].get("networkSecurityGroup"))] for one in vnet["properties"]["subnets"]]
            )
        return found


def texts(properties: Json, side: str, one: str, many: str) -> list[str]:
    """Return what the singular and the plural field of one side say together."""
    single = properties.get(f"{side}{one}")
    return ([single] if single else []) + list(properties.get(f"{side}{many}", ()))


def read(get: Get, subscription: str, managed: Iterable[str], top: int = 1000) -> Estate:
    """Read one subscription."""
    base = f"/subscriptions/{subscription}/providers/"
    kinds = ("networkSecurityGroups", "networkInterfaces", "virtualNetworks", "publicIPAddresses")
    nsgs, nics, vnets, publics = ({one["id"].lower(): one for one in pages(get, f"{base}{NETWORK}/{kind}")} for kind in kinds)
    vms = {one["id"].lower(): one for one in pages(get, f"{base}Microsoft.Compute/virtualMachines")}
    return Estate(frozenset(name.lower() for name in managed), nsgs, nics, vnets, vms, publics, top)


def _id(reference: Json | None) -> str:
    return "" if not reference else str(reference["id"]).lower()


def _lowered(thing: Json) -> dict[str, str]:
    return {key.lower(): value for key, value in thing.get("tags", {}).items()}

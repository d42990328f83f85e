"""Random policies, lists and packets: the lab's verdict is what a plain reading of the wire says, rule by rule and entry by entry."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

from cloudsync.lab.f5.pytest_plugin import FIREWALL, Bigip, bigip, chain, f5_site, f5_site_server
from cloudsync.lab.f5.site import Site

__all__ = ["f5_site", "f5_site_server"]

NUMBERS = {"tcp": 6, "udp": 17, "icmp": 1, "any": None}
HOSTS = [f"10.0.{third}.{last}" for third in range(3) for last in (1, 2, 64, 130, 255)] + [f"2001:db8:{each}::{each}" for each in range(3)]
ENTRIES = [
    "10.0.0.0/24", "10.0.1.0/25", "10.0.0.1", "10.0.2.2", "10.0.0.60-10.0.0.70", "10.0.0.2-10.0.1.64", "0.0.0.0/0", "10.0.0.0/8",
    "2001:db8::/32", "2001:db8:1::/48", "2001:db8:2::2", "::/0", "2001:db8::-2001:db8:1::1",
]  # fmt: skip
PORTS = ["80", "443", "1-1023", "8000-8999", "400-450"]


class Plain:
    """Reads policies and lists through the API, and follows them as the manual says."""

    def __init__(self, device: Bigip) -> None:
        self.lists = {each["fullPath"]: each for each in device.ok("GET", f"{FIREWALL}/address-list")["items"]}
        self.ports = {each["fullPath"]: each for each in device.ok("GET", f"{FIREWALL}/port-list")["items"]}
        self.policies = {each["fullPath"]: each for each in device.ok("GET", f"{FIREWALL}/policy?expandSubcollections=true")["items"]}
        rule_lists = device.ok("GET", f"{FIREWALL}/rule-list?expandSubcollections=true")["items"]
        self.rule_lists = {each["fullPath"]: each for each in rule_lists}

    def says(self, policy: str | None, packet: Any) -> str:
        """The action of the first rule that matches, `accept` when none does."""
        if policy is None:
            return "accept"
        for rule in self.unfolded(self.policies[policy]):
            if self.matches(rule, packet):
                return str(rule["action"])
        return "accept"

    def unfolded(self, holder: Any) -> Iterator[Any]:
        for rule in holder["rulesReference"]["items"]:
            if rule["status"] == "disabled":
                continue
            if "ruleList" in rule:
                yield from self.unfolded(self.rule_lists[rule["ruleList"]])
            else:
                yield rule

    def matches(self, rule: Any, packet: Any) -> bool:
        wanted = NUMBERS[rule["ipProtocol"]]
        if wanted is not None and wanted != NUMBERS[packet["protocol"]]:
            return False
        source, destination = rule["source"], rule["destination"]
        ports = [each["name"] for each in destination.get("ports", ())]
        ports += [each["name"] for path in destination.get("portLists", ()) for each in self.ports[path]["ports"]]
        if ports and not any(low <= packet.get("port", 0) <= high for low, high in map(port_range, ports)):
            return False
        return self.inside(source, packet["src"]) and self.inside(destination, packet["dst"])

    def inside(self, side: Any, address: str) -> bool:
        texts = [each["name"] for each in side.get("addresses", ())]
        waiting = list(side.get("addressLists", ()))
        if not texts and not waiting:
            return True
        while waiting:
            held = self.lists[waiting.pop()]
            texts += [each["name"] for each in held.get("addresses", ())]
            waiting += [f"/{each['partition']}/{each['name']}" for each in held.get("addressLists", ())]
        return any(holds(text, address) for text in texts)


def port_range(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    return int(low), int(high or low)


def holds(text: str, address: str) -> bool:
    found = ip_address(address)
    if "-" in text:
        low, _, high = text.partition("-")
        one, two = ip_address(low), ip_address(high)
        return one.version == found.version and int(one) <= int(found) <= int(two)
    return found in ip_network(text)


def side(chance: random.Random, lists: list[str]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if chance.random() < 0.5:
        shown["addresses"] = [{"name": each} for each in chance.sample(ENTRIES, chance.randint(1, 3))]
    if chance.random() < 0.5:
        shown["addressLists"] = chance.sample(lists, chance.randint(1, 2))
    return shown


def rules(chance: random.Random, lists: list[str], ports: list[str]) -> list[dict[str, Any]]:
    found = []
    for number in range(chance.randint(1, 8)):
        protocol = chance.choice(list(NUMBERS))
        destination = side(chance, lists)
        if protocol in ("tcp", "udp") and chance.random() < 0.6:
            destination["ports"] = [{"name": each} for each in chance.sample(PORTS, 2)]
        if protocol in ("tcp", "udp") and chance.random() < 0.2:
            destination["portLists"] = chance.sample(ports, 1)
        action = chance.choice(["accept", "accept", "accept-decisively", "drop", "reject"])
        status = "disabled" if chance.random() < 0.1 else "enabled"
        found.append(
            {
                "name": f"r{number}",
                "action": action,
                "ipProtocol": protocol,
                "status": status,
                "source": side(chance, lists),
                "destination": destination,
            }
        )
    return found


def build(device: Bigip, chance: random.Random) -> dict[str, str | None]:
    """Lists, rule lists, three policies in three contexts; return which policy hangs where."""
    lists: list[str] = []
    ports: list[str] = []
    for number in range(4):
        body: dict[str, Any] = {"name": f"l{number}", "addresses": chance.sample(ENTRIES, chance.randint(1, 4))}
        if lists and chance.random() < 0.5:
            body["addressLists"] = [chance.choice(lists)]
        lists.append(str(device.ok("POST", f"{FIREWALL}/address-list", body)["fullPath"]))
        ports.append(str(device.ok("POST", f"{FIREWALL}/port-list", {"name": f"p{number}", "ports": [chance.choice(PORTS)]})["fullPath"]))
    device.ok("POST", f"{FIREWALL}/rule-list", {"name": "rl", "rules": chain(*rules(chance, lists, ports))})
    for host in ("10.0.1.1:0", "2001:db8:1::1.any"):
        device.ok("POST", "/mgmt/tm/ltm/virtual", {"name": f"v{'6' if '.any' in host else '4'}", "destination": host})
    where: dict[str, str | None] = {}
    for context, path, key in (
        ("global", f"{FIREWALL}/global-rules", "enforcedPolicy"),
        ("domain", "/mgmt/tm/net/route-domain/0", "fwEnforcedPolicy"),
        ("v4", "/mgmt/tm/ltm/virtual/v4", "fwEnforcedPolicy"),
        ("v6", "/mgmt/tm/ltm/virtual/v6", "fwEnforcedPolicy"),
    ):
        if chance.random() < 0.2:
            where[context] = None
            continue
        own = rules(chance, lists, ports)
        if chance.random() < 0.5:
            own.insert(chance.randint(0, len(own)), {"name": "list", "ruleList": "/Common/rl"})
        where[context] = str(device.ok("POST", f"{FIREWALL}/policy", {"name": context, "rules": chain(*own)})["fullPath"])
        device.ok("PATCH", path, {key: where[context]})
    return where


def expected(plain: Plain, where: dict[str, str | None], packet: Any) -> bool:
    """Each context in turn must accept; accept-decisively ends them."""
    for context in ("global", "domain", "v6" if ":" in packet["dst"] else "v4"):
        action = plain.says(where[context], packet)
        if action != "accept":
            return action == "accept-decisively"
    return True


def packets() -> list[dict[str, Any]]:
    services = (("tcp", 80), ("tcp", 443), ("udp", 8500), ("tcp", 9999), ("udp", 425), ("icmp", 0))
    return [
        {"src": source, "dst": "2001:db8:1::1" if ":" in source else "10.0.1.1", "protocol": protocol, "port": port}
        for source in HOSTS
        for protocol, port in services
    ]


def test_verdicts_are_what_the_wire_says(f5_site: Site) -> None:
    met: Counter[bool] = Counter()
    for seed in range(25):
        f5_site.reset("empty", seed)
        f5_site.ask("settings", {"compile_delay_s": 0})
        device = bigip(f5_site, user="admin")
        where = build(device, random.Random(seed))
        plain = Plain(device)
        said = [each["verdict"] == "allowed" for each in f5_site.ask("verdict", packets())]
        assert said == [expected(plain, where, packet) for packet in packets()], f"seed {seed}"
        met.update(said)
    assert min(met[True], met[False]) > 0.2 * met.total()

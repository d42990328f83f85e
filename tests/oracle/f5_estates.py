"""Random estates in the F5 lab: virtual servers that share addresses, SNAT pools, route domains, and policies of long ago."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.oracle.four_ground import Built, Json
from tests.oracle.gcp_estates import random_labels

UNITS = ("bigip1", "bigip2")
PORTS = (22, 80, 443, 5432, 8443)


class Act(Protocol):
    """The lab's control verbs."""

    def ask(self, verb: str, given: Any) -> Any:
        """Carry one out."""


@dataclass
class Builder:
    """Builds a pair."""

    site: Act
    rng: random.Random
    domains: list[int] = field(default_factory=lambda: [0])
    policies: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    listening: set[tuple[str, int, str]] = field(default_factory=set)

    def act(self, method: str, path: str, body: Json, unit: str = UNITS[0]) -> None:
        """Do something that must work."""
        done = self.site.ask("act", {"unit": unit, "method": method, "path": f"/mgmt/tm/{path}", "body": body, "by": "estate"})
        assert done["ok"], (method, path, body, done)

    def network(self) -> None:
        """VLANs, self addresses of each unit and a floating one, SNAT pools; sometimes a second route domain."""
        rng = self.rng
        second = rng.random() < 0.3
        for number, unit in enumerate(UNITS, 2):
            self.act("POST", "net/vlan", {"name": "external", "tag": 100}, unit)
            self.act("POST", "net/self", {"name": "own", "address": f"10.80.0.{number}/24", "vlan": "/Common/external"}, unit)
        floating = {"trafficGroup": "/Common/traffic-group-1", "floating": "enabled"}
        self.act("POST", "net/self", {"name": "float", "address": "10.80.0.1/24", "vlan": "/Common/external", **floating})
        self.act("POST", "net/self", {"name": "float6", "address": "2001:db8:80::1/64", "vlan": "/Common/external", **floating})
        self.act("POST", "ltm/snatpool", {"name": "snat", "members": ["10.80.0.201", "10.80.0.202"]})
        if second:
            self.act("POST", "net/route-domain", {"name": "rd1", "id": 1})
            self.domains.append(1)

    def policy(self, name: str) -> str:
        """Make a policy with rules as people leave them."""
        rng = self.rng
        rules: list[Json] = []
        after = "first"
        for number in range(rng.randint(1, 5)):
            rule: Json = {"name": f"rule{number}", "placeAfter": after, **self.rule()}
            rules.append(rule)
            after = rule["name"]
        self.act("POST", "security/firewall/policy", {"name": name, "rules": rules})
        self.policies.append(f"/Common/{name}")
        return f"/Common/{name}"

    def rule(self) -> Json:
        """Return one rule without its name."""
        rng = self.rng
        if rng.random() < 0.1:
            return {"ruleList": "/Common/common"}
        protocol = rng.choice(["tcp", "tcp", "udp", "any", "icmp"])
        rule: Json = {
            "action": rng.choices(["accept", "drop", "reject", "accept-decisively"], [4, 2, 1, 1])[0],
            "ipProtocol": protocol,
            "status": "disabled" if rng.random() < 0.08 else "enabled",
        }
        if protocol in ("tcp", "udp") and rng.random() < 0.8:
            port = rng.choice(PORTS)
            rule["destination"] = {"ports": [{"name": rng.choice([str(port), f"{port}-{port + 1000}"])}]}
        if protocol == "icmp" and rng.random() < 0.5:
            rule["icmp"] = [{"name": "8"}]
        draw = rng.random()
        if draw < 0.5:
            blocks = ["10.0.0.0/8", "203.0.113.0/24", "10.20.1.0/24", "0.0.0.0/0", "198.51.100.1-198.51.100.9", "2001:db8::/32"]
            rule["source"] = {"addresses": [{"name": one} for one in rng.sample(blocks, rng.choice([1, 2]))]}
        elif draw < 0.7:
            rule["source"] = {"addressLists": ["/Common/trusted"]}
        if rng.random() < 0.1:
            rule.setdefault("destination", {})["addresses"] = [{"name": f"10.80.2.{rng.randint(10, 14)}"}]
        return rule

    def virtual(self, number: int) -> None:
        """Make a virtual server; addresses are shared by several, ports too where the protocol differs."""
        rng = self.rng
        domain = rng.choice(self.domains)
        six = domain == 0 and rng.random() < 0.2
        host = 10 + rng.randint(0, 3) + 10 * domain
        address = f"2001:db8:80:2::{host:x}" if six else f"10.80.2.{host}"
        port, protocol = rng.choice([443, 443, 80, 5432, 53, 0]), rng.choice(["tcp", "tcp", "tcp", "udp", "any"])
        if (address, port, protocol) in self.listening:
            return
        self.listening.add((address, port, protocol))
        suffix = f"%{domain}" if domain else ""
        separator = "." if six else ":"
        body: Json = {
            "name": f"vs_{number}",
            "destination": f"/Common/{address}{suffix}{separator}{port}",
            "ipProtocol": protocol,
            "metadata": [{"name": key, "value": value, "persist": "true"} for key, value in random_labels(rng, "f5").items()],
        }
        if rng.random() < 0.12 and not six:
            body["source"] = f"10.0.0.0{suffix}/8"
        translation = rng.random()
        if translation < 0.3 and domain == 0 and not six:
            body["sourceAddressTranslation"] = {"type": "snat", "pool": "/Common/snat"}
        elif translation < 0.8:
            body["sourceAddressTranslation"] = {"type": "automap"}
        if rng.random() < 0.35 and self.policies:
            body["fwEnforcedPolicy"] = rng.choice(self.policies)
        if rng.random() < 0.1 and self.policies:
            body["fwStagedPolicy"] = rng.choice(self.policies)
        if rng.random() < 0.07:
            body["disabled"] = True
        self.act("POST", "ltm/virtual", body)
        self.names.append(body["name"])


def small(site: Act, seed: int, *, virtuals: tuple[int, int] = (3, 7)) -> Built:
    """Build a random estate, in step on both units and saved."""
    rng = random.Random(seed)
    site.ask("settings", {"compile_delay_s": 0.0})
    builder = Builder(site, rng)
    builder.network()
    entries = rng.sample(["203.0.113.0/25", "10.20.1.0/27", "10.40.1.10", "198.51.100.8/29", "10.60.0.0/16"], rng.randint(1, 3))
    builder.act("POST", "security/firewall/address-list", {"name": "inner", "addresses": [{"name": "10.60.0.11"}]})
    body: Json = {
        "name": "trusted",
        "addresses": [{"name": one} for one in entries],
        "addressLists": [{"name": "inner", "partition": "Common"}],
    }
    builder.act("POST", "security/firewall/address-list", body)
    ssh = {"name": "ssh", "placeAfter": "first", "action": "accept", "ipProtocol": "tcp", "destination": {"ports": [{"name": "22"}]}}
    builder.act("POST", "security/firewall/rule-list", {"name": "common", "rules": [ssh]})
    for number in range(rng.randint(1, 3)):
        builder.policy(f"legacy{number}")
    if rng.random() < 0.25:
        builder.act("PATCH", "security/firewall/global-rules", {"enforcedPolicy": builder.policy("edge")})
    if rng.random() < 0.25:
        name = rng.choice(["0", "rd1"]) if len(builder.domains) > 1 else "0"
        builder.act("PATCH", f"net/route-domain/~Common~{name}", {"fwEnforcedPolicy": builder.policy("inner")})
    for number in range(rng.randint(*virtuals)):
        builder.virtual(number)
    builder.act("POST", "cm", {"command": "run", "utilCmdArgs": "config-sync to-group dg-failover"})
    for unit in UNITS:
        builder.act("POST", "sys/config", {"command": "save"}, unit)
    pool = ["10.80.2.8/29", "!10.80.2.12", "10.80.0.0/16", "10.80.2.11-10.80.2.13", "10.80.0.201"]
    return Built(builder.names, pool)

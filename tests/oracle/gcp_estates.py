"""Random estates in the GCP lab: networks, machines with several interfaces and families, and rules as years of hurry leave them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.oracle.four_ground import Built, Json

REGION = "europe-west1"
PORTS = (22, 80, 443, 5432, 8443)
NUMBERS = (250, 450, 500, 600, 700, 900, 999, 1000, 1000, 1000, 1000, 1000, 1000, 2000, 65534, 65534)
"""Above the product's band, between and on its own numbers, the console's default, and what a new network brings."""


class Act(Protocol):
    """The lab's control verb of one request by somebody else."""

    def ask(self, verb: str, given: Any) -> Any:
        """Carry it out."""


@dataclass
class Net:
    """One network with its subnetwork."""

    name: str
    prefix: str
    six: bool
    managed: bool
    used: int = 9


@dataclass
class Builder:
    """Builds one host project and sometimes a service project."""

    site: Act
    rng: random.Random
    host: str
    service: str
    base: int = 40
    nets: list[Net] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    made: int = 0

    def act(self, method: str, path: str, body: Json | None = None) -> Json:
        """Do something that must work."""
        done = self.site.ask("act", {"method": method, "path": path, "body": body, "by": "estate"})
        assert done["status"] == 200, (method, path, body, done)
        assert "error" not in done["body"], (method, path, body, done)
        found: Json = done["body"]
        return found

    def net(self, number: int, *, managed: bool) -> None:
        """Make a network with one subnetwork and a range for aliases."""
        rng = self.rng
        made = Net(f"net-{number}", f"10.{self.base + number}", rng.random() < 0.5, managed)
        body: Json = {"name": made.name, "autoCreateSubnetworks": False}
        if made.six:
            body |= {"enableUlaInternalIpv6": True, "internalIpv6Range": f"fd20:{self.base + number:x}:7::/48"}
        if rng.random() < 0.25:
            body["networkFirewallPolicyEnforcementOrder"] = "BEFORE_CLASSIC_FIREWALL"
        self.act("POST", f"projects/{self.host}/global/networks", body)
        wanted: Json = {
            "name": f"sub-{number}",
            "network": f"projects/{self.host}/global/networks/{made.name}",
            "ipCidrRange": f"{made.prefix}.1.0/24",
            "secondaryIpRanges": [{"rangeName": "pods", "ipCidrRange": f"{made.prefix}.64.0/24"}],
        }
        if made.six:
            wanted |= {"stackType": "IPV4_IPV6", "ipv6AccessType": rng.choice(["INTERNAL", "EXTERNAL"])}
        self.act("POST", f"projects/{self.host}/regions/{REGION}/subnetworks", wanted)
        self.nets.append(made)

    def nic(self, net: Net) -> Json:
        """Return an interface as it is asked for."""
        rng = self.rng
        number = net.used = net.used + 1
        subnet = f"projects/{self.host}/regions/{REGION}/subnetworks/sub-{self.nets.index(net)}"
        wanted: Json = {"subnetwork": subnet, "networkIP": f"{net.prefix}.1.{number}"}
        if net.six and rng.random() < 0.6:
            wanted["stackType"] = "IPV4_IPV6"
        if rng.random() < 0.2:
            wanted["aliasIpRanges"] = [{"ipCidrRange": f"{net.prefix}.64.{number * 2}/31", "subnetworkRangeName": "pods"}]
        if rng.random() < 0.2:
            public = f"34.{self.base}.{self.nets.index(net)}.{number}"
            wanted["accessConfigs"] = [{"type": "ONE_TO_ONE_NAT", "name": "nat", "natIP": public}]
        return wanted

    def machine(self, labels: dict[str, str]) -> None:
        """Start a machine with one or two interfaces, each in a network of its own."""
        rng = self.rng
        name = f"g-{self.made}"
        self.made += 1
        nets = rng.sample(self.nets, min(len(self.nets), rng.choice([1, 1, 1, 2])))
        project = self.service if rng.random() < 0.2 else self.host
        account = rng.choice(["web@acme.iam.gserviceaccount.com", "db@acme.iam.gserviceaccount.com"])
        where = f"projects/{project}/zones/{REGION}-{rng.choice('bc')}/instances"
        body: Json = {
            "name": name,
            "labels": labels,
            "tags": {"items": rng.sample(["web", "db", "old"], rng.choice([0, 1, 2]))},
            "networkInterfaces": [self.nic(net) for net in nets],
            "serviceAccounts": [{"email": account, "scopes": []}],
        }
        self.act("POST", where, body)
        if rng.random() < 0.1:
            self.act("POST", f"{where}/{name}/stop")
        self.names.append(name)

    def rule(self, net: Net, number: int) -> None:
        """Write one rule of somebody else."""
        rng = self.rng
        egress, six = rng.random() < 0.3, net.six and rng.random() < 0.25
        body: Json = {
            "name": f"{net.name}-rule-{number}",
            "network": f"projects/{self.host}/global/networks/{net.name}",
            "direction": "EGRESS" if egress else "INGRESS",
            "priority": rng.choice(NUMBERS),
            rng.choices(["allowed", "denied"], [3, 1])[0]: self.spoken(six=six),
            "disabled": rng.random() < 0.08,
        }
        blocks = self.blocks(net, six=six)
        body["destinationRanges" if egress else "sourceRanges"] = rng.sample(blocks, rng.choice([1, 1, 2]))
        target = rng.random()
        if target < 0.3:
            body["targetTags"] = rng.sample(["web", "db", "old"], rng.choice([1, 2]))
        elif target < 0.4:
            body["targetServiceAccounts"] = ["web@acme.iam.gserviceaccount.com"]
        elif target < 0.5 and not egress and not six:
            body["destinationRanges"] = [f"{net.prefix}.1.{rng.choice([10, 11, 12])}/32"]
        if not egress and rng.random() < 0.2 and "targetServiceAccounts" not in body:
            body.pop("sourceRanges") if rng.random() < 0.5 else None
            body["sourceTags"] = [rng.choice(["web", "db", "old", "nobody"])]
        self.act("POST", f"projects/{self.host}/global/firewalls", body)

    def spoken(self, *, six: bool) -> list[Json]:
        """Return protocols with ports."""
        rng = self.rng
        found: list[Json] = []
        for _ in range(rng.choice([1, 1, 2])):
            draw = rng.random()
            if draw < 0.2:
                return [{"IPProtocol": "all"}]
            if draw < 0.35:
                found.append({"IPProtocol": "58" if six else "icmp"})
            elif draw < 0.45:
                found.append({"IPProtocol": rng.choice(["esp", "47", "sctp", "udp"])})
            else:
                port = rng.choice(PORTS)
                ports = [str(port) if rng.random() < 0.7 else f"{port}-{port + 1000}"]
                found.append({"IPProtocol": rng.choice(["tcp", "tcp", "udp"]), "ports": ports})
        return found

    def blocks(self, net: Net, *, six: bool) -> list[str]:
        """Return blocks that mean something in a network."""
        if six:
            return ["::/0", "2001:db8::/32", "fd20::/16"]
        return ["0.0.0.0/0", "10.0.0.0/8", f"{net.prefix}.1.0/24", f"{net.prefix}.1.11/32", "203.0.113.0/24", f"{net.prefix}.64.0/25"]

    def hierarchy(self) -> None:
        """Let the organisation have a policy: pass some on, allow or deny some."""
        rng = self.rng
        rules: list[Json] = []
        for number in range(rng.randint(1, 3)):
            direction = rng.choice(["INGRESS", "INGRESS", "EGRESS"])
            side = "srcIpRanges" if direction == "INGRESS" else "destIpRanges"
            rules.append(
                {
                    "priority": 600 + number,
                    "direction": direction,
                    "action": rng.choice(["goto_next", "goto_next", "allow", "deny"]),
                    "match": {
                        side: [rng.choice(["10.0.0.0/8", "203.0.113.0/24", "35.235.240.0/20"])],
                        "layer4Configs": [{"ipProtocol": "tcp", "ports": [str(rng.choice(PORTS))]}],
                    },
                }
            )
        policy = {"name": "4711", "shortName": "acme-baseline", "rules": rules}
        self.site.ask("policies", {"project": self.host, "hierarchy": [policy]})


def random_labels(rng: random.Random, loc: str) -> dict[str, str]:
    """Return labels, some of them missing, and always where a machine is."""
    vocabulary = {"role": ("web", "app", "db", "lb"), "env": ("prod", "dev", "test"), "app": ("shop", "pay")}
    return {"loc": loc} | {key: rng.choice(values) for key, values in vocabulary.items() if rng.random() < 0.85}


def small(site: Act, seed: int, *, host: str, service: str, machines: tuple[int, int] = (3, 7), policies: bool = True) -> Built:
    """Build a random estate: one to three networks, one of them sometimes not the target's."""
    rng = random.Random(seed)
    builder = Builder(site, rng, host, service)
    count = rng.choice([1, 2, 2, 3])
    for number in range(count):
        builder.net(number, managed=number == 0 or rng.random() < 0.8)
    for _ in range(rng.randint(*machines)):
        builder.machine(random_labels(rng, "gcp"))
    for net in builder.nets:
        for number in range(rng.randint(0, 6)):
            builder.rule(net, number)
    if policies and rng.random() < 0.25:
        builder.hierarchy()
    pool = []
    for net in builder.nets:
        pool += [f"{net.prefix}.1.0/28", f"!{net.prefix}.1.12", f"{net.prefix}.0.0/16", f"{net.prefix}.1.11-{net.prefix}.1.14"]
    return Built(builder.names, pool, {"networks": [net.name for net in builder.nets if net.managed]})

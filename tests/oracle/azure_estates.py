"""Random estates in the Azure lab: networks, NSGs on subnets and interfaces, ASGs, machines with several addresses of both families."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.oracle.four_ground import Built, Json
from tests.oracle.gcp_estates import random_labels

LOCATION = "westeurope"
PORTS = (22, 80, 443, 5432, 8443)


class Act(Protocol):
    """The lab's control verbs."""

    def ask(self, verb: str, given: Any) -> Any:
        """Carry one out."""


@dataclass
class Net:
    """One network with its subnets."""

    name: str
    prefix: str
    six: str
    subnets: int
    used: dict[int, int] = field(default_factory=dict)


@dataclass
class Builder:
    """Builds one resource group."""

    site: Act
    rng: random.Random
    group: str
    """Path of the resource group."""
    base: int = 60
    nets: list[Net] = field(default_factory=list)
    nsgs: list[str] = field(default_factory=list)
    managed: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    asgs: dict[str, list[str]] = field(default_factory=dict)
    """ASGs by the network that their members are in."""

    def path(self, kind: str, name: str, provider: str = "Microsoft.Network") -> str:
        """Return the id of a resource."""
        return f"{self.group}/providers/{provider}/{kind}/{name}"

    def put(self, path: str, properties: Json, **beside: Any) -> None:
        """Make a resource; it must work."""
        body = {"location": LOCATION, "properties": properties, **beside}
        done = self.site.ask("act", {"method": "PUT", "path": path, "body": body, "by": "estate"})
        assert done["status"] < 300, (path, body, done)

    def nsg(self, name: str, net: Net) -> str:
        """Make an NSG with rules as people leave them."""
        rng = self.rng
        taken: set[tuple[str, int]] = set()
        rules: list[Json] = []
        for number in range(rng.randint(0, 5)):
            rule = self.rule(f"rule-{number}", net)
            key = (rule["properties"]["direction"], rule["properties"]["priority"])
            if key not in taken:
                taken.add(key)
                rules.append(rule)
        managed = rng.random() < 0.8
        tagged = managed and rng.random() < 0.3
        beside = {"tags": {"cloudsync-managed": "oracle"}} if tagged else {}
        self.put(self.path("networkSecurityGroups", name), {"securityRules": rules}, **beside)
        self.nsgs.append(name)
        if managed and not tagged:
            self.managed.append(name)
        return name

    def rule(self, name: str, net: Net) -> Json:
        """Return one rule of somebody else."""
        rng = self.rng
        inbound = rng.random() < 0.7
        properties: Json = {
            "direction": "Inbound" if inbound else "Outbound",
            "access": rng.choices(["Allow", "Deny"], [3, 1])[0],
            "priority": rng.choice([100, 150, 300, 700, 990, 4000]) if rng.random() < 0.85 else rng.randint(100, 999),
            "protocol": rng.choice(["Tcp", "TCP", "Tcp", "Udp", "*", "Icmp", "Esp"]),
            "sourcePortRange": "*",
        }
        ported = properties["protocol"].lower() in ("tcp", "udp")
        port = rng.choice(PORTS)
        if not ported or rng.random() < 0.15:
            properties["destinationPortRange"] = "*"
        elif rng.random() < 0.3:
            properties["destinationPortRanges"] = [str(port), f"{port + 1000}-{port + 2000}"]
        else:
            properties["destinationPortRange"] = str(port)
        six = bool(net.six) and rng.random() < 0.15
        peer, own = ("source", "destination") if inbound else ("destination", "source")
        properties |= self.side(peer, net, six=six, near=False)
        properties |= self.side(own, net, six=six, near=True)
        return {"name": name, "properties": properties}

    def side(self, side: str, net: Net, *, six: bool, near: bool) -> Json:
        """Return the addresses of one side."""
        rng = self.rng
        if six:
            return {f"{side}AddressPrefix": rng.choice(["::/0", f"{net.six}/48", "2001:db8::/32"])}
        if near and rng.random() < 0.6:
            return {f"{side}AddressPrefix": "*"}
        if self.asgs.get(net.name) and rng.random() < 0.15:
            return {f"{side}ApplicationSecurityGroups": [{"id": self.path("applicationSecurityGroups", rng.choice(self.asgs[net.name]))}]}
        blocks = [f"{net.prefix}.0.0/24", f"{net.prefix}.0.11", "10.0.0.0/8", "203.0.113.0/24", f"{net.prefix}.1.0/25"]
        draw = rng.random()
        if draw < 0.25:
            return {f"{side}AddressPrefix": rng.choice(["VirtualNetwork", "Internet", "INTERNET", "AzureLoadBalancer", "Storage", "*"])}
        if draw < 0.5:
            return {f"{side}AddressPrefixes": rng.sample(blocks, 2)}
        return {f"{side}AddressPrefix": rng.choice([*blocks, "0.0.0.0/0"])}

    def net(self, number: int) -> None:
        """Make a network with one or two subnets, most of them with an NSG."""
        rng = self.rng
        made = Net(
            f"vnet-{number}", f"10.{self.base + number}", f"2603:{number + 1:x}::" if rng.random() < 0.5 else "", rng.choice([1, 1, 2])
        )
        self.asgs[made.name] = []
        for at in range(rng.randint(0, 2)):
            name = f"asg-{number}-{at}"
            self.put(self.path("applicationSecurityGroups", name), {})
            self.asgs[made.name].append(name)
        subnets: list[Json] = []
        for at in range(made.subnets):
            blocks = [f"{made.prefix}.{at}.0/24"] + ([f"2603:{number + 1:x}:0:{at}::/64"] if made.six else [])
            properties: Json = {"addressPrefixes": blocks}
            if rng.random() < 0.8:
                group = rng.choice(self.nsgs) if self.nsgs and rng.random() < 0.2 else self.nsg(f"nsg-{number}-{at}", made)
                properties["networkSecurityGroup"] = {"id": self.path("networkSecurityGroups", group)}
            subnets.append({"name": f"sub-{at}", "properties": properties})
        space = [f"{made.prefix}.0.0/16"] + ([f"{made.six}/48"] if made.six else [])
        self.put(self.path("virtualNetworks", made.name), {"addressSpace": {"addressPrefixes": space}, "subnets": subnets})
        self.nets.append(made)

    def peer(self, one: Net, other: Net) -> None:
        """Peer two networks, both ways."""
        for here, there in ((one, other), (other, one)):
            path = f"{self.path('virtualNetworks', here.name)}/virtualNetworkPeerings/to-{there.name}"
            body = {"properties": {"remoteVirtualNetwork": {"id": self.path("virtualNetworks", there.name)}}}
            done = self.site.ask("act", {"method": "PUT", "path": path, "body": body, "by": "estate"})
            assert done["status"] < 300, done

    def nic(self, net: Net, name: str) -> str:
        """Make an interface with one to three addresses."""
        rng = self.rng
        at = rng.randrange(net.subnets)
        subnet = {"id": f"{self.path('virtualNetworks', net.name)}/subnets/sub-{at}"}
        configurations: list[Json] = []
        joined = rng.sample(self.asgs[net.name], rng.randint(0, len(self.asgs[net.name])))
        wanted = [4] * rng.choice([1, 1, 1, 2]) + ([6] if net.six and rng.random() < 0.6 else [])
        for number, version in enumerate(wanted):
            host = net.used[at] = net.used.get(at, 9) + 1
            address = f"{net.prefix}.{at}.{host}" if version == 4 else f"{net.six.removesuffix('::')}:0:{at}::{host:x}"
            inner: Json = {
                "subnet": subnet,
                "privateIPAddress": address,
                "privateIPAllocationMethod": "Static",
                "privateIPAddressVersion": f"IPv{version}",
                "primary": number == 0,
            }
            if joined:
                inner["applicationSecurityGroups"] = [{"id": self.path("applicationSecurityGroups", one)} for one in joined]
            configurations.append({"name": f"ip{number}", "properties": inner})
        if rng.random() < 0.2:
            public = self.path("publicIPAddresses", f"{name}-ip")
            self.put(public, {"publicIPAllocationMethod": "Static"}, sku={"name": "Standard"})
            configurations[0]["properties"]["publicIPAddress"] = {"id": public}
        properties: Json = {"ipConfigurations": configurations}
        if rng.random() < 0.3:
            group = rng.choice(self.nsgs) if self.nsgs and rng.random() < 0.4 else self.nsg(f"nsg-{name}", net)
            properties["networkSecurityGroup"] = {"id": self.path("networkSecurityGroups", group)}
        path = self.path("networkInterfaces", name)
        self.put(path, properties)
        return path

    def machine(self, number: int) -> None:
        """Start a machine with one or two interfaces in one network."""
        rng = self.rng
        name, net = f"z-{number}", rng.choice(self.nets)
        nics = [self.nic(net, f"{name}-nic{at}") for at in range(rng.choice([1, 1, 1, 2]))]
        tags = {rng.choice([key, key.title(), key.upper()]): value for key, value in random_labels(rng, "azure").items()}
        properties = {
            "networkProfile": {"networkInterfaces": [{"id": one, "properties": {"primary": at == 0}} for at, one in enumerate(nics)]}
        }
        self.put(self.path("virtualMachines", name, "Microsoft.Compute"), properties, tags=tags)
        self.names.append(name)


def small(site: Act, seed: int, *, group: str, machines: tuple[int, int] = (3, 7)) -> Built:
    """Build a random estate: one to three networks, some peered."""
    rng = random.Random(seed)
    site.ask("settings", {"retry_after": "none"})
    builder = Builder(site, rng, group)
    count = rng.choice([1, 2, 2, 3])
    for number in range(count):
        builder.net(number)
    if count > 1 and rng.random() < 0.6:
        builder.peer(builder.nets[0], builder.nets[1])
    for number in range(rng.randint(*machines)):
        builder.machine(number)
    if rng.random() < 0.2:
        builder.nic(builder.nets[0], "bare-nic")
    pool = []
    for net in builder.nets:
        pool += [f"{net.prefix}.0.0/28", f"!{net.prefix}.0.12", f"{net.prefix}.0.0/16", f"{net.prefix}.0.11-{net.prefix}.0.14"]
    return Built(builder.names, pool, {"nsgs": builder.managed, "band": rng.choice([[1000, 4096], [200, 4096]])})

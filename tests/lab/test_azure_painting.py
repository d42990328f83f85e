"""The lab's verdicts beside a second opinion: every packet of a small universe is painted by the rules, the weakest first."""

from __future__ import annotations

import ipaddress
import itertools
import random
from typing import Any

import pytest

from cloudsync.lab.azure.pytest_plugin import Wire, rule

NSG, NIC, NET = "networkSecurityGroups", "networkInterfaces", "virtualNetworks"
INSIDE = ("10.50.0.4", "10.50.0.5")
OUTSIDE = ("198.51.100.7", "10.99.0.1", "168.63.129.16")
SERVICES = (("tcp", 22), ("tcp", 443), ("udp", 443), ("icmp", None))
BLOCKS: dict[str, tuple[str, ...]] = {
    "*": (*INSIDE, *OUTSIDE), "10.50.0.4": INSIDE[:1], "10.50.0.4/31": INSIDE, "10.0.0.0/8": (*INSIDE, "10.99.0.1"),
    "0.0.0.0/0": (*INSIDE, *OUTSIDE),
    "VirtualNetwork": (*INSIDE, "168.63.129.16"), "virtualnetwork": (*INSIDE, "168.63.129.16"), "AzureLoadBalancer": ("168.63.129.16",),
    "Internet": ("198.51.100.7", "10.99.0.1"),
}  # fmt: skip
PORTS: dict[str, set[int | None]] = {"*": {22, 443, None}, "443": {443}, "20-30": {22}, "0-65535": {22, 443, None}}
Packet = tuple[str, str, str, int | None]


def some_rules(chance: random.Random) -> list[Any]:
    """Up to six rules; each is what a request holds."""
    places = chance.sample(range(100, 4097), 6)
    return [
        rule(
            f"r{place}", place, protocol=chance.choice(["Tcp", "Udp", "Icmp", "*"]), access=chance.choice(["Allow", "Deny"]),
            direction=chance.choice(["Inbound", "Outbound"]), sourceAddressPrefix=chance.choice(list(BLOCKS)),
            destinationAddressPrefix=chance.choice(list(BLOCKS)), destinationPortRange=chance.choice(list(PORTS)),
        )
        for place in places[: chance.randrange(7)]
    ]  # fmt: skip


def painted(table: list[Any], direction: str) -> dict[Packet, bool]:
    """The universe as one NSG sees it: the defaults first, then each rule over what is there, the lowest priority last."""
    everything = [
        (src, dst, protocol, port) for src, dst in itertools.product((*INSIDE, *OUTSIDE), repeat=2) for protocol, port in SERVICES
    ]
    inside = BLOCKS["VirtualNetwork"]
    canvas = dict.fromkeys(everything, False)
    for packet in everything:
        src, dst = packet[0], packet[1]
        both = src in inside and dst in inside
        canvas[packet] = both or (src == "168.63.129.16" if direction == "Inbound" else dst in BLOCKS["Internet"])
    for one in sorted(table, key=lambda each: -int(each["properties"]["priority"])):
        wanted = one["properties"]
        if wanted["direction"] != direction:
            continue
        for packet in everything:
            src, dst, protocol, port = packet
            if src not in BLOCKS[wanted["sourceAddressPrefix"]] or dst not in BLOCKS[wanted["destinationAddressPrefix"]]:
                continue
            if wanted["protocol"].lower() in ("*", protocol) and port in PORTS[wanted["destinationPortRange"]]:
                canvas[packet] = wanted["access"] == "Allow"
    return canvas


@pytest.mark.parametrize("seed", range(12))
def test_verdicts_are_as_painted(azure: Wire, seed: int) -> None:
    chance = random.Random(seed)
    tables = {name: some_rules(chance) for name in ("subnet", "nic-0", "nic-1")}
    for name, table in tables.items():
        azure.done(azure.path(NSG, name), {"securityRules": table})
    subnet = {"name": "a", "properties": {"addressPrefix": "10.50.0.0/24", "networkSecurityGroup": {"id": azure.path(NSG, "subnet")}}}
    azure.done(azure.path(NET, "net"), {"addressSpace": {"addressPrefixes": ["10.50.0.0/16"]}, "subnets": [subnet]})
    for number, address in enumerate(INSIDE):
        configuration = {
            "subnet": {"id": azure.path(NET, "net/subnets/a")},
            "privateIPAddress": address,
            "privateIPAllocationMethod": "Static",
        }
        properties = {"ipConfigurations": [{"name": "x", "properties": configuration}]}
        azure.done(azure.path(NIC, f"n{number}"), {**properties, "networkSecurityGroup": {"id": azure.path(NSG, f"nic-{number}")}})
    canvases = {(name, way): painted(table, way) for name, table in tables.items() for way in ("Inbound", "Outbound")}
    count = 0
    for src, dst in itertools.product((*INSIDE, *OUTSIDE), repeat=2):
        if src == dst or not {src, dst} & set(INSIDE):
            continue
        for protocol, port in SERVICES:
            packet = (src, dst, protocol, port)
            through = [canvases[name, "Outbound"][packet] for name in ("subnet", f"nic-{INSIDE.index(src)}")] if src in INSIDE else []
            through += [canvases[name, "Inbound"][packet] for name in ("subnet", f"nic-{INSIDE.index(dst)}")] if dst in INSIDE else []
            asked = {"src": src, "dst": dst, "protocol": protocol, **({} if port is None else {"port": port})}
            assert azure.site.ask("verdict", asked)["allowed"] is all(through), packet
            count += 1
    assert count == 56


def test_the_universe_is_what_it_says() -> None:
    for text, members in BLOCKS.items():
        if text[0].isdigit():
            expected = [each for each in (*INSIDE, *OUTSIDE) if ipaddress.ip_address(each) in ipaddress.ip_network(text)]
            assert list(members) == expected

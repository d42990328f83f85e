"""Whatever is sent, a device answers as a device: refused requests leave no trace, and nothing ever breaks inside."""

from __future__ import annotations

import random
from typing import Any

import pytest

from cloudsync.lab.f5.pytest_plugin import FIREWALL, f5_site, f5_site_server
from cloudsync.lab.f5.refusal import DeviceError
from cloudsync.lab.f5.schema import RESOURCES, SIDES
from cloudsync.lab.f5.site import Site

__all__ = ["f5_site", "f5_site_server"]

ODD: list[Any] = [
    None, True, False, 0, -1, 70000, 1.5, "", "none", "x", "/Common/x", "10.0.0.1", "10.0.0.0/42", "10.300.0.0/8", "10.0.0.1%x",
    "443", "::1", "192.0.2.1:80", [], {}, [None], [[]], [{}], {"name": "x"}, [{"name": 5}], ["10.0.0.1"], [{"name": "10.0.0.1"}],
    {"type": "snat"}, [{"name": "r", "action": "accept", "placeAfter": "first"}], [{"name": "r", "action": [], "placeAfter": {}}],
    "a" * 300,
]  # fmt: skip
GOOD: dict[str, list[dict[str, Any]]] = {
    "security/firewall/address-list": [{"addresses": ["10.0.0.1", "2001:db8::/32"]}, {"addressLists": ["/Common/one"], "geo": ["US"]}],
    "security/firewall/port-list": [{"ports": ["80", "443"]}],
    "security/firewall/rule-list": [{"rules": [{"name": "r", "action": "drop", "placeAfter": "first"}]}],
    "security/firewall/policy": [
        {"rules": [{"name": "r", "action": "drop", "source": {"addressLists": ["/Common/one"]}, "placeAfter": "first"}]},
        {"rules": [{"name": "l", "ruleList": "/Common/one", "placeAfter": "first"}]},
    ],
    "security/firewall/global-rules": [{"enforcedPolicy": "/Common/one"}, {"stagedPolicy": "none"}],
    "ltm/virtual": [{"destination": "192.0.2.1:80", "pool": "one"}, {"destination": "2001:db8::1.443", "fwEnforcedPolicy": "one"}],
    "ltm/virtual-address": [{"address": "192.0.2.1"}],
    "ltm/pool": [{"members": ["10.40.0.1:80", {"name": "10.40.0.2:80"}]}],
    "ltm/node": [{"address": "10.40.0.1"}],
    "ltm/snatpool": [{"members": ["10.60.1.9"]}],
    "net/address-list": [{"addresses": ["10.0.0.1"]}],
    "net/self": [{"address": "10.60.0.1/24", "vlan": "one", "allowService": ["default", "tcp:443"]}],
    "net/route-domain": [{"id": 5, "vlans": ["one"]}, {"fwStagedPolicy": "one"}],
    "net/vlan": [{"tag": 100}],
    "auth/partition": [{"description": "x"}],
    "sys/folder": [{"partition": "Common"}],
}
METHODS = ("POST", "PATCH", "PUT", "DELETE")


def body(chance: random.Random, collection: str) -> Any:
    """A good body with at most two things wrong, now and then something that is no body at all."""
    if chance.random() < 0.03:
        return chance.choice(ODD)
    sent: dict[str, Any] = {"name": chance.choice(["one", "two", "10.0.0.1", "192.0.2.1"]), **chance.choice(GOOD.get(collection, [{}]))}
    names = [*RESOURCES[collection].fields, "name", "partition", "subPath", "unheardOf", "place-after"]
    for _ in range(chance.choice([0, 0, 1, 1, 2])):
        sent[chance.choice(names)] = chance.choice(ODD)
    if "rules" in sent and chance.random() < 0.3:
        sent["rules"] = [rule(chance) for _ in range(chance.randint(1, 3))]
    return sent


def rule(chance: random.Random) -> dict[str, Any]:
    sides = {side: {name: chance.choice(ODD) for name in chance.sample(list(SIDES[side]), 2)} for side in SIDES if chance.random() < 0.3}
    more = {name: chance.choice(ODD) for name in chance.sample(["action", "ipProtocol", "icmp", "log", "ruleList", "status"], 2)}
    return {
        "name": chance.choice(["r", "s", "first"]),
        "action": "accept",
        "placeAfter": chance.choice(["first", "last", "r", 5]),
        **sides,
        **more,
    }


def path(chance: random.Random, collection: str) -> str:
    ends = [
        "",
        "",
        "/one",
        "/~Common~two",
        "/~Common~10.0.0.1",
        "/0",
        "/one/rules",
        "/one/rules/r",
        "/one/members/x",
        "/one/members",
        "/%7E%2F",
    ]
    return f"/mgmt/tm/{collection}{chance.choice(ends)}"


@pytest.mark.parametrize("seed", range(6))
def test_nothing_breaks_and_refusals_leave_no_trace(f5_site: Site, seed: int) -> None:
    chance = random.Random(seed)
    unit = f5_site.world.units["bigip1"]
    kept = refused = 0
    answers: set[int] = set()
    for _ in range(1500):
        collection = chance.choice(list(RESOURCES))
        before = {name: dict(held) for name, held in unit.running.objects.items()}
        try:
            f5_site.act("bigip1", chance.choice(METHODS), path(chance, collection), body(chance, collection))
            kept += 1
        except DeviceError as error:
            refused += 1
            answers.add(error.status)
            assert unit.running.objects == before, "a refusal left a trace"
    assert answers <= {400, 404, 405, 409}
    assert min(kept, refused) > 20
    # What was kept can be read, compiled and judged.
    for collection in RESOURCES:
        f5_site.act("bigip1", "GET", f"/mgmt/tm/{collection}?expandSubcollections=true")
    f5_site.ask("state", None)
    f5_site.ask("verdict", {"src": "10.0.0.1", "dst": "192.0.2.1", "port": 80})
    f5_site.act("bigip1", "GET", f"{FIREWALL}/container-stat")

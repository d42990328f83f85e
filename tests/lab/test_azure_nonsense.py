"""Requests that nobody meant, good ones changed at random: each is accepted, or refused in the vendor's form, and then nothing changes."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest

from cloudsync.lab.azure.site import Site

JUNK: list[Any] = [
    None, 0, -1, 99999999999, "", "x", [], {}, [1], {"id": 1}, {"id": "x"}, True, "10.0.0.0/42", "*", ["*"], [None], {"properties": 3},
    [{}], [{"name": None}], "10.0.0.0/8", {"networkInterfaces": [3]}, "10.300.0.0/8", "70000", "maybe",
]  # fmt: skip


def documents(site: Site) -> list[tuple[str, Any]]:
    """Every resource and child of the estate with its path."""
    found = [(each["id"], each) for each in site.ask("state", None)["resources"] if each["id"].count("/providers/") == 1]
    found = [one for one in found if "/virtualMachineScaleSets/payments-app-vmss/" not in one[0]]
    for _, each in list(found):
        for word in ("securityRules", "subnets", "virtualNetworkPeerings"):
            found += [(child["id"], child) for child in each["properties"].get(word, ())]
    return found


def changed(document: Any, chance: random.Random) -> Any:
    """The same document with up to three values replaced by junk."""
    found = copy.deepcopy(document)
    for _ in range(chance.randint(1, 3)):
        node = found
        while isinstance(node, (dict, list)) and node:
            key: Any = chance.choice(list(node)) if isinstance(node, dict) else chance.randrange(len(node))
            if not isinstance(node[key], (dict, list)) or chance.random() < 0.3:
                node[key] = copy.deepcopy(chance.choice(JUNK))
                break
            node = node[key]
    return found


def state(site: Site) -> str:
    return json.dumps(site.ask("state", None)["resources"])


@pytest.mark.parametrize("seed", range(6))
def test_nonsense_leaves_no_trace(azure_site: Site, seed: int) -> None:
    chance = random.Random(seed)
    azure_site.reset("four", 1)
    known = documents(azure_site)
    before, refused = state(azure_site), 0
    for _ in range(60):
        path, document = chance.choice(known)
        done = azure_site.act({"method": chance.choice(["PUT", "PUT", "PUT", "PATCH"]), "path": path, "body": changed(document, chance)})
        if done["status"] < 300:
            azure_site.reset("four", 1)
        else:
            refused += 1
            assert set(done["body"]) == {"error"}
            assert done["body"]["error"]["code"]
            assert state(azure_site) == before, (path, done)
    assert refused

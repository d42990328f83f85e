"""pydantic reads the same document types as the schemas come from: the two must accept and refuse the same documents."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from cloudsync.policy import schema
from cloudsync.policy.strict import load_node
from cloudsync.settings import packaged_schema
from cloudsync.settings.generate import DOCUMENTS

GOOD: dict[str, dict[str, Any]] = {
    "settings": {
        "version": "1",
        "owner": "acme-prod",
        "policy": "policy/",
        "targets": [
            {
                "name": "aws-prod",
                "adapter": "aws",
                "mode": "exclusive",
                "account": "111122223333",
                "regions": ["us-east-1"],
                "outrank": "true",
            }
        ],
        "labels_from": [
            {"tag": "Role", "label": "role", "lower": "true", "map": {"x": "web"}},
            {"account": "1", "label": "loc", "value": "dc1"},
        ],
        "label_locks": {"role": "static"},
        "routing_domains": [{"name": "a", "members": ["vpc-1"]}],
        "schedule": {"every": "5m", "jitter": "30s"},
        "state": "sqlite:///x.db",
        "guards": {"max_removed_rules": "30%", "open_to_internet": "approve", "management": ["10.0.0.0/8"], "max_restores": "3"},
        "mail": {"smtp": "smtps://mail.example", "from": "a@b", "to": ["c@d"], "on": ["drift"], "password": "env:X"},
    },
    "policy": {
        "version": "1",
        "labels": {"role": ["web", "no", "1.10"]},
        "label_groups": {"both": {"role": ["web", "no"]}},
        "iplists": {"corp": ["10.0.0.0/8"], "one": "10.0.0.1"},
        "services": {"https": ["tcp/443"], "nginx": {"ports": "tcp/443", "process": "/usr/sbin/nginx"}},
        "enforcement": {
            "default": {"mode": "full", "egress": "enforce"},
            "rules": [{"scope": "role=web", "mode": "selective", "services": ["ssh"]}],
        },
        "rulesets": [
            {
                "name": "a",
                "scope": ["role=web", "all"],
                "owner": "me",
                "rules": [
                    "allow x to y on z",
                    {"id": "r", "allow": {"from": "x", "to": ["y"], "services": "z"}, "logged": "true", "accept": ["any-port"]},
                ],
            }
        ],
        "tests": ["x can reach y on z"],
    },
    "inventory": {"workloads": [{"name": "a", "addresses": ["10.0.0.1"], "labels": {"role": "web"}, "domain": "d", "ref": "i-1"}]},
    "acknowledged": {
        "version": "1",
        "acknowledged": [{"finding": "aws-prod/3f0c9a71be42", "until": "2027-03-31T00:00:00Z", "because": "vendor", "by": "jo"}],
    },
}
ODD = [
    "",
    "x",
    "A b",
    "-",
    "30%",
    "5m",
    "all",
    "true",
    "env:X",
    "a\nb",
    "full",
    "exclusive",
    {},
    [],
    {"x": "y"},
    ["x"],
    [["x"]],
    {"name": "x"},
]
ADAPTERS = {name: TypeAdapter[Any](document) for name, document in DOCUMENTS.items()}


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    keys: list[Any] = list(document) if isinstance(document, dict) else list(range(len(document))) if isinstance(document, list) else []
    return [(document, key) for key in keys] + [place for key in keys for place in _places(document[key])]


def _mutate(document: Any, dice: random.Random) -> None:
    container, key = dice.choice(_places(document))
    match dice.randrange(4):
        case 0:
            del container[key]
        case 1 if isinstance(container, dict):
            container[str(key) + "x"] = container.pop(key)
        case _:
            container[key] = dice.choice(ODD)


def _pydantic_accepts(name: str, document: Any) -> bool:
    try:
        ADAPTERS[name].validate_json(json.dumps(document), strict=True)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("name", DOCUMENTS)
@settings(max_examples=150)
@given(seed=st.integers(0, 1 << 32), times=st.integers(0, 2))
def test_pydantic_and_the_walker_agree(name: str, seed: int, times: int) -> None:
    document = json.loads(json.dumps(GOOD[name]))
    dice = random.Random(seed)
    for _ in range(times):
        if _places(document):
            _mutate(document, dice)
    # JSON is YAML: every scalar is quoted, so the loader has nothing to say about it.
    node, findings = load_node("f.yaml", json.dumps(document).encode())
    assert node is not None
    assert not findings
    found = schema.check(node, packaged_schema(name))
    assert _pydantic_accepts(name, document) == (not found), [str(finding) for finding in found]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_good_documents_are_good(name: str) -> None:
    assert _pydantic_accepts(name, GOOD[name])

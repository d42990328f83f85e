"""`export tables`: the policy for other firewalls, as lists of addresses and rows."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.small import Small
from tests.service.small_world import MORE, POLICY, small_world


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    with small_world(tmp_path) as world:
        yield Small(world)


def test_rows_name_lists_rules_and_places(small: Small, tmp_path: Path) -> None:
    small.commit(POLICY + MORE, "start")
    small.run("export", "tables", "-o", str(tmp_path / "out"), code=0)
    path = tmp_path / "out" / "default.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = json.loads(path.read_text(encoding="utf-8"))
    assert (found["format"], found["domain"]) == ("cloudsync-tables", "default")
    db = next(one for one in found["classes"] if one["labels"] == {"role": "db"})
    assert db["closed"]
    rows = {(row["action"], row["services"]): row for row in db["inbound"]}
    assert set(rows) == {("allow", "tcp/22"), ("allow", "tcp/5432")}
    office = rows["allow", "tcp/22"]
    assert found["lists"][office["peers"]] == ["192.0.2.0/24"]
    assert found["rules"][office["rule"]]["sentence"] == "allow iplist office to role=db on tcp/22"
    assert found["rules"][office["rule"]]["where"].startswith("policy/all.yaml:")
    web = next(one for one in found["classes"] if one["labels"] == {"role": "web"})
    assert rows["allow", "tcp/5432"]["peers"] == web["addresses"]


def test_it_is_printed_too_and_the_same_each_time(small: Small) -> None:
    small.commit(POLICY, "start")
    first = small.run("export", "tables", code=0)
    assert first.out == small.run("export", "tables", code=0).out
    document = small.run("export", "tables", "--json", code=0).document
    assert [one["content"] for one in document["files"]] == [first.out]

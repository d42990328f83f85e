"""Every recorded exchange with a BIG-IP parses, and says the same after it was parsed and rendered again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import requests

from cloudsync.adapter import Intent, Method, PointIntent
from cloudsync.model.mode import Egress, Mode, TargetMode
from cloudsync.model.workload import DEFAULT_DOMAIN
from cloudsync_f5 import client, parse
from cloudsync_f5 import payload as wire
from cloudsync_f5.encode import encode
from cloudsync_f5.steps import steps
from cloudsync_f5.table import F5Table, Rule
from cloudsync_f5.write import QUEUED

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("CLOUDSYNC_SHARED", ROOT.parent / "shared"))
FOLDER = SHARED / "recordings" / "f5"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no recordings at {FOLDER}; set CLOUDSYNC_SHARED")

NOISE = {"kind", "selfLink", "generation", "fullPath", "partition", "iruleSampleRate", "addressListsReference", "identity"}


def exchanges() -> list[dict[str, Any]]:
    found = json.loads((FOLDER / "f5-automation-labs" / "afm_exchanges_13.1.0.8.json").read_text("utf-8"))
    steps: list[dict[str, Any]] = found if isinstance(found, list) else found["exchanges"]
    return steps


def answers(part: str) -> list[dict[str, Any]]:
    """Return every object that an answer of this kind holds, members of collections included."""
    found: list[dict[str, Any]] = []
    for one in exchanges():
        response = one["response"]
        found += [each for each in (response, *response.get("items", ())) if part in str(each.get("kind", "")) and "name" in each]
    return found


def plain(raw: Any) -> Any:
    """Return an answer without what a device adds on its own."""
    if isinstance(raw, dict):
        kept = {key: plain(value) for key, value in raw.items() if key not in NOISE}
        return {key: value for key, value in kept.items() if value not in ({}, [])}
    return [plain(one) for one in raw] if isinstance(raw, list) else raw


def test_address_lists_come_out_as_they_went_in() -> None:
    lists = answers("address-liststate")
    assert len(lists) >= 4
    for raw in lists:
        one = parse.address_list(raw, "acme")
        assert one.mark is None
        assert not one.odd
        rendered = {**wire.named(one.path), "addresses": [{"name": span.text()} for span in sorted(one.spans)]}
        assert plain(rendered) == plain(raw)


def test_rules_come_out_as_they_went_in() -> None:
    rules = answers("rulesstate")
    assert len(rules) >= 3
    for raw in rules:
        rule: Rule = parse.rule(raw)
        assert not rule.odd
        assert not rule.rest, "nothing of it is unknown"
        if rule.action is not None and not (rule.action.opens and rule.source.any):
            assert plain(wire.rule(rule)) == plain(raw)
        assert rule.enabled is (raw["status"] == "enabled")


def test_policies_without_their_rules_are_not_taken_for_empty_ones() -> None:
    for raw in answers("policystate"):
        with pytest.raises(parse.ParseError, match="without its rules"):
            parse.policy({key: value for key, value in raw.items() if key != "rulesReference"}, "acme")
        assert parse.policy({**raw, "rulesReference": {"isSubcollection": True, "items": answers("rulesstate")}}, "acme").mark is None


def test_a_device_without_the_module_says_so() -> None:
    levels = {one["name"]: one["level"] for one in answers("provisionstate")}
    assert set(levels) >= {"afm", "ltm"}


def test_what_is_recorded_of_a_transaction_is_what_the_writer_looks_for() -> None:
    made = json.loads((FOLDER / "transactions" / "create_12.1.2.json").read_text("utf-8"))
    queued = json.loads((FOLDER / "transactions" / "add_command_response_12.1.2.json").read_text("utf-8"))
    assert str(made["transId"]).isdecimal()
    assert made["state"] == "STARTED"
    assert queued["kind"] == QUEUED


def test_recorded_refusals_are_translated_in_full() -> None:
    for one in json.loads((FOLDER / "issues" / "error_bodies.json").read_text("utf-8")):
        body = one.get("body") or {"code": one.get("http", 401), "message": one["text"]}
        answer = requests.Response()
        answer.status_code = int(one.get("http") or 401)
        answer._content = json.dumps(body).encode()
        failure = client._meaning("bigip1", "GET /mgmt/tm", requests.HTTPError("x", response=answer))
        assert body["message"] in failure.words
        assert failure.answered is (answer.status_code < 500)
        assert failure.busy is (answer.status_code == 503)
        if body["message"].startswith("0"):
            assert failure.code == body["message"][:8]


def test_recorded_colours_of_synchronisation_are_read() -> None:
    for one in json.loads((FOLDER / "issues" / "failover_and_sync_state.json").read_text("utf-8")):
        if "partial" in one:
            assert parse.statistics(one["partial"])[0]["color"] == "red"


def test_adopting_what_was_recorded_writes_nothing_foreign() -> None:
    lists = {one.path: one for one in (parse.address_list(raw, "acme") for raw in answers("address-liststate"))}
    policy = parse.policy({"name": "global_default_deny", "rules": answers("rulesstate")}, "acme")
    virtual = parse.virtual({"name": "vs", "destination": "10.0.0.1:443"}, "bigip1")
    table = F5Table("acme", "bigip1", "Common", {policy.path: policy}, {}, lists, virtuals={virtual.path: virtual}, active="bigip1")
    for mode in (TargetMode.OBSERVE, TargetMode.ADDITIVE):
        point = PointIntent(virtual.point, "c", DEFAULT_DOMAIN, Mode.VISIBILITY, Egress.LEAVE)
        encoding = encode(Intent("f5", "acme", mode, (), (point,)), table)
        assert encoding.table == table
        assert steps(table, encoding.table, Method.SWAP) == ()

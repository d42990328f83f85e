"""Settings of an F5 target: what is refused, with which words; and what the schema lets through."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import cloudsync_f5
from cloudsync.adapter import TargetSettings
from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync_f5 import ADAPTER
from cloudsync_f5.settings import F5Settings

GOOD: dict[str, Any] = {"hosts": ["bigip1.acme.example", "bigip2.acme.example"], "device_group": "dg-dc1"}
SCHEMA = json.loads((Path(cloudsync_f5.__file__).parent / "settings.schema.json").read_text("utf-8"))


def target(endpoint: str = "", **options: Any) -> TargetSettings:
    kept = {key: value for key, value in {**GOOD, **options}.items() if value is not None}
    return TargetSettings("f5-dc1", "f5", TargetMode.EXCLUSIVE, kept, Where("cloudsync.yaml"), endpoint)


def test_what_is_good_passes() -> None:
    assert ADAPTER.check(target()) == ()
    assert ADAPTER.check(target(addresses={"bigip1.acme.example": "https://10.0.0.1:8443"}, user="file:/run/u")) == ()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"hosts": []}, "F5-HOSTS"),
        ({"hosts": ["a b"]}, "F5-HOST"),
        ({"hosts": ["one", "one"]}, "F5-HOSTS"),
        ({"device_group": None}, "F5-GROUP"),
        ({"addresses": {"else": "https://x"}}, "F5-ADDRESS"),
        ({"addresses": {"bigip1.acme.example": "http://127.0.0.1:1"}}, "BAD-ENDPOINT"),
        ({"partition": "/Common"}, "F5-PARTITION"),
        ({"user": "admin"}, "F5-CREDENTIAL"),
        ({"password": "hunter2"}, "F5-CREDENTIAL"),
        ({"ca_file": "/nowhere/ca.pem"}, "F5-CA"),
        ({"settle": "soon"}, "F5-WAIT"),
        ({"compile_wait": "5h"}, "F5-WAIT"),
        ({"default_action": "maybe"}, "F5-DEFAULT"),
        ({"quotas": {"rules": 5}}, "F5-QUOTA"),
        ({"attach": {"virtuals": "none"}}, "F5-ATTACH"),
        ({"attach": {"route_domains": ["zero"]}}, "F5-ATTACH"),
        ({"attach": {"route_domains": [65535]}}, "F5-ATTACH"),
        ({"attach": {"route_domains": [True]}}, "F5-ATTACH"),
    ],
)
def test_what_is_wrong_is_named_with_a_way_out(options: dict[str, Any], code: str) -> None:
    found = ADAPTER.check(target(**options))
    assert code in [one.code for one in found]
    assert all(one.hint and "f5-dc1" in one.message for one in found)
    assert "hunter2" not in str(found), "a secret in the wrong place is not repeated"


def test_an_endpoint_stands_for_the_address_of_a_single_host() -> None:
    one = target(endpoint="https://127.0.0.1:8443", hosts=["bigip1"], device_group=None)
    assert ADAPTER.check(one) == ()
    assert F5Settings.of(one).url("bigip1") == "https://127.0.0.1:8443"
    assert F5Settings.of(one).account == "bigip1"
    assert [found.code for found in ADAPTER.check(target(endpoint="https://127.0.0.1:8443"))] == ["BAD-ENDPOINT"]
    assert "BAD-ENDPOINT" in [found.code for found in ADAPTER.check(target(endpoint="http://127.0.0.1:1", hosts=["a"]))]


def test_places_are_all_virtual_servers_unless_the_settings_say_so() -> None:
    assert (F5Settings.of(target()).virtuals, F5Settings.of(target()).route_domains) == (None, ())
    some = target(attach={"virtuals": ["web1"], "route_domains": [0, "/Common/1"]})
    assert (F5Settings.of(some).virtuals, F5Settings.of(some).route_domains) == (("web1",), ("0", "/Common/1"))
    none = target(attach={"virtuals": "none", "route_domains": [0]})
    assert F5Settings.of(none).virtuals == ()
    assert ADAPTER.check(some) == ADAPTER.check(none) == ()


def test_every_key_of_the_schema_is_described_and_read() -> None:
    assert SCHEMA["additionalProperties"] is False
    for name, one in SCHEMA["properties"].items():
        assert one["description"], name
        assert hasattr(F5Settings, name) or name in F5Settings.__dataclass_fields__ or name in ("user", "password", "attach"), name


def test_the_example_is_a_good_target() -> None:
    one = TargetSettings("example", "f5", TargetMode.OBSERVE, ADAPTER.example, Where("x"))
    assert ADAPTER.check(one) == ()


@pytest.mark.parametrize("kind", ["reading", "writing"])
def test_the_role_holds_no_right_that_is_not_declared(kind: str) -> None:
    read_only = kind == "reading"
    document = json.loads(ADAPTER.role([target()], owner="acme", read_only=read_only))
    rights = {f"{one['restMethod']} {one['resourceMask'].removesuffix('/**')}" for one in document["resourceGroup"]["resources"]}
    declared = {one.action for one in ADAPTER.permissions if not read_only or not one.write}
    assert rights == declared
    assert set(document["why"]) == declared
    assert document["devices"] == GOOD["hosts"]
    if read_only:
        assert all(one["restMethod"] == "GET" for one in document["resourceGroup"]["resources"])
        assert "auditor" in document["tmsh"][0]

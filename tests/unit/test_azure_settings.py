"""The keys of an Azure target, what is wrong with them, and what is generated from the declared rights."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from cloudsync.adapter import Method, TargetSettings
from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync.testing.clock import SimulatedClock
from cloudsync_azure import ADAPTER
from cloudsync_azure.limits import PERMISSIONS
from cloudsync_azure.payload import PUT_NSG, Request
from cloudsync_azure.settings import AzureSettings, check
from cloudsync_azure.write import whole_body

SUBSCRIPTION = "00000000-0000-0000-0000-00000000000A"


def target(mode: TargetMode = TargetMode.EXCLUSIVE, endpoint: str = "", **options: Any) -> TargetSettings:
    return TargetSettings("az", "azure", mode, {"subscription": SUBSCRIPTION, **options}, Where("cloudsync.yaml", 3), endpoint)


def test_defaults_and_names_without_case() -> None:
    found = AzureSettings.of(target(resource_groups=["Prod-Net"], nsgs=["Prod-Net/Web"]))
    assert (found.subscription, found.resource_groups, found.nsgs) == (SUBSCRIPTION.lower(), ("prod-net",), ("prod-net/web",))
    assert (found.band, found.child, found.flush, found.outrank) == ((1000, 4096), False, False, False)
    assert found.base == "https://management.azure.com"
    assert AzureSettings.of(target()).resource_groups is None
    assert [AzureSettings.of(one).asgs for one in (target(), target(asgs="off"), target(asgs="on"))] == [False, False, True]
    assert not check(target(asgs="on", quotas={"asgs": 0}))
    assert AzureSettings.of(target(nsgs="all")).nsgs is None
    assert found.takes("PROD-NET")
    assert not found.takes("other")
    assert AzureSettings.of(target(endpoint="https://127.0.0.1:1")).settle == 0.0


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"subscription": "prod"}, "AZURE-SUBSCRIPTION"),
        ({"tenant": "contoso"}, "AZURE-TENANT"),
        ({"resource_groups": []}, "AZURE-NAMES"),
        ({"nsgs": ["a/b/c"]}, "AZURE-NAMES"),
        ({"nsgs": ["Web", "web"]}, "AZURE-NAMES"),
        ({"band": [4000, 1000]}, "AZURE-BAND"),
        ({"band": [1000, 1050]}, "AZURE-BAND"),
        ({"band": [50, 4096]}, "AZURE-BAND"),
        ({"pace": 0}, "AZURE-PACE"),
        ({"settle": "2h"}, "AZURE-WAIT"),
        ({"quotas": {"rules": 5}}, "AZURE-QUOTA"),
        ({"quotas": {"rules_per_nsg": 0}}, "AZURE-QUOTA"),
        ({"asgs": "yes"}, "AZURE-ASGS"),
        ({"asgs": "on", "write": "child"}, "AZURE-ASGS"),
        ({"authority": "http://login"}, "BAD-ENDPOINT"),
    ],
)
def test_each_mistake_has_its_code_and_names_the_target(options: dict[str, Any], code: str) -> None:
    found = check(target(**options))
    assert [one.code for one in found] == [code]
    assert found[0].message.startswith("target az: ")
    assert found[0].hint


def test_flushing_is_for_exclusive_targets_and_tokens_for_tls() -> None:
    assert [one.code for one in check(target(TargetMode.ADDITIVE, flush_connections="enable"))] == ["AZURE-FLUSH"]
    assert check(target(flush_connections="enable")) == ()
    assert [one.code for one in check(target(endpoint="http://127.0.0.1:8080"))] == ["BAD-ENDPOINT"]
    assert check(target(endpoint="https://127.0.0.1:8080")) == ()


def test_methods_go_by_how_it_is_written() -> None:
    clock = SimulatedClock()
    assert ADAPTER.open(target(), "acme", clock).capabilities.methods == (Method.SWAP, Method.SHIELD, Method.MEET)
    assert ADAPTER.open(target(write="child"), "acme", clock).capabilities.methods == (
        Method.MERGE,
        Method.TWO_BAND,
        Method.SHIELD,
        Method.MEET,
    )


def test_the_factory_loads_no_sdk() -> None:
    code = "import sys, cloudsync_azure, cloudsync_azure.settings; sys.exit(any(name.split('.')[0] == 'azure' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_role_holds_what_is_declared_and_the_reading_one_nothing_else() -> None:
    writing, reading = (json.loads(ADAPTER.role([target()], owner="acme", read_only=only)) for only in (False, True))
    assert writing["Actions"] == [one.action for one in PERMISSIONS]
    assert reading["Actions"] == [one.action for one in PERMISSIONS if not one.write]
    assert all(one.endswith("/read") for one in reading["Actions"])
    assert writing["AssignableScopes"] == [f"/subscriptions/{SUBSCRIPTION.lower()}"]
    assert not any("*" in one for one in writing["Actions"])


def test_the_example_is_a_good_target() -> None:
    assert check(TargetSettings("az", "azure", TargetMode.OBSERVE, ADAPTER.example, Where("x"))) == ()


def test_a_whole_put_carries_over_what_is_not_ours() -> None:
    raw = {
        "id": "/x",
        "name": "n",
        "type": "t",
        "etag": "e",
        "location": "westeurope",
        "tags": {"a": "b"},
        "properties": {
            "provisioningState": "Succeeded",
            "resourceGuid": "g",
            "securityRules": [{"name": "old"}],
            "defaultSecurityRules": [],
            "subnets": [],
            "networkInterfaces": [],
            "flowLogs": [],
            "flushConnection": True,
            "futureField": 1,
        },
    }
    body = whole_body(raw, Request(PUT_NSG, "/x", ({"name": "new"},)))
    assert body == {
        "location": "westeurope",
        "tags": {"a": "b"},
        "properties": {"flushConnection": True, "futureField": 1, "securityRules": [{"name": "new"}]},
    }

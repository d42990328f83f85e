"""The GCP keys of a target: what is read, what is refused, and the roles that come of them."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from cloudsync.adapter import TargetSettings
from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync_gcp import ADAPTER
from cloudsync_gcp.limits import PERMISSIONS
from cloudsync_gcp.roles import MACHINES, TAGS
from cloudsync_gcp.settings import GcpSettings


def target(mode: TargetMode = TargetMode.ADDITIVE, endpoint: str = "", **options: Any) -> TargetSettings:
    return TargetSettings("gcp-prod", "gcp", mode, {"project": "acme-prod", **options}, Where("cloudsync.yaml"), endpoint)


def test_what_is_left_out_has_a_value_that_fits_the_mode() -> None:
    additive, exclusive = GcpSettings.of(target()), GcpSettings.of(target(TargetMode.EXCLUSIVE))
    assert (additive.layout.default_deny, exclusive.layout.default_deny) == (60000, 800)
    assert additive.networks is None
    assert (additive.settle, GcpSettings.of(target(target="managed-tags")).settle) == (5.0, 30.0)
    lab = GcpSettings.of(target(endpoint="http://127.0.0.1:1"))
    assert (lab.settle, lab.patience().call_s) == (0.0, 3.0)
    assert GcpSettings.of(
        TargetSettings("n", "gcp", TargetMode.ADDITIVE, {"project": "acme-prod"}, Where("f"), outrank=True)
    ).layout.outrank


WRONG: dict[str, dict[str, Any]] = {
    "GCP-PROJECT": {"project": "123456789012"},
    "GCP-NETWORKS": {"networks": ["prod", "prod"]},
    "GCP-TARGET": {"target": "tags"},
    "GCP-BAND": {"band": {"allow": 500}},
    "GCP-PACE": {"pace": 0},
    "GCP-WAIT": {"settle": "2h"},
    "GCP-CREDENTIALS": {"credentials": "s3cret"},
    "GCP-LIMIT": {"addresses_per_rule": 0},
}


@pytest.mark.parametrize("code", list(WRONG))
def test_every_wrong_setting_is_named_with_a_way_out(code: str) -> None:
    (finding,) = ADAPTER.check(target(**WRONG[code]))
    assert finding.code == code
    assert finding.hint
    assert "target gcp-prod" in finding.message
    assert "s3cret" not in str(finding)


@pytest.mark.parametrize(
    "options",
    [
        {"target": "ip", "tag_template": "{role}"},
        {"target": "tags", "tag_template": "web"},
        {"target": "tags", "tag_template": "{role"},
        {"networks": []},
        {"service_projects": ["acme-prod"]},
        {"default_deny": 700},
        {"band": {"shield": 65535}},
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, Any]) -> None:
    assert ADAPTER.check(target(**options))


@pytest.mark.parametrize("endpoint", ["http://169.254.169.254", "http://10.0.0.1", "ftp://127.0.0.1"])
def test_plain_http_is_for_this_machine_alone(endpoint: str) -> None:
    assert [one.code for one in ADAPTER.check(target(endpoint=endpoint))] == ["BAD-ENDPOINT"]


def test_the_schema_and_the_check_take_the_same_examples() -> None:
    schema = json.loads((files("cloudsync_gcp") / "settings.schema.json").read_text("utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    for options in (dict(ADAPTER.example), {"project": "acme-prod", "target": "tags", "tag_template": "{role}-{env}", "adopt": ["gke-a"]}):
        validator.validate(options)
        assert not ADAPTER.check(target(**options))
    assert not validator.is_valid({"project": "acme-prod", "unknown": 1})
    assert all("description" in one for one in schema["properties"].values())


def granted(text: str, project: str) -> set[str]:
    document = next(part for part in text.split("---\n") if f"--project={project} " in part)
    return {line.split()[1] for line in document.splitlines() if line.startswith("- ")}


def test_roles_hold_what_is_declared_and_no_more() -> None:
    targets = [target(service_projects=["acme-apps"])]
    every = {one.action for one in PERMISSIONS}
    reading = {one.action for one in PERMISSIONS if not one.write}
    full = ADAPTER.role(targets, owner="acme", read_only=False)
    assert granted(full, "acme-prod") == every - TAGS
    assert granted(full, "acme-apps") == MACHINES
    assert granted(ADAPTER.role(targets, owner="acme", read_only=True), "acme-prod") == reading
    tagging = [target(service_projects=["acme-apps"], target="managed-tags")]
    assert granted(ADAPTER.role(tagging, owner="acme", read_only=False), "acme-apps") == MACHINES | TAGS
    assert granted(ADAPTER.role(tagging, owner="acme", read_only=True), "acme-prod") == reading


def test_the_sdk_is_loaded_by_open_and_the_typed_client_by_the_first_write() -> None:
    code = (
        "import sys, cloudsync_gcp\n"
        "from cloudsync.adapter import TargetSettings\n"
        "from cloudsync.model.finding import Where\n"
        "from cloudsync.model.mode import TargetMode\n"
        "target = TargetSettings('t', 'gcp', TargetMode.ADDITIVE, {'project': 'acme-prod'}, Where('f'))\n"
        "cloudsync_gcp.ADAPTER.check(target); cloudsync_gcp.ADAPTER.role([target], owner='acme', read_only=True)\n"
        "before = 'google.auth' in sys.modules or 'requests' in sys.modules\n"
        "cloudsync_gcp.ADAPTER.open(target, 'acme', None)\n"
        "print(before, 'google.auth' in sys.modules, 'google.cloud.compute_v1' in sys.modules)\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_environment())
    assert shown.stdout.split() == ["False", "True", "False"]


def _environment() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(path for path in sys.path if path)}

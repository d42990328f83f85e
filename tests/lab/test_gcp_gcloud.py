"""gcloud against the lab, unchanged, where it is installed: an administrator who creates, edits, lists and deletes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloudsync.lab.gcp.pytest_plugin import Wire
from cloudsync.lab.gcp.site import Site

GCLOUD = shutil.which("gcloud")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(GCLOUD is None, reason="gcloud is not installed")]
Run = Callable[..., Any]


@pytest.fixture
def gcloud(gcp_site: Site, tmp_path: Path) -> Run:
    gcp_site.reset("four", 1)
    section = gcp_site.section()
    token = tmp_path / "token"
    token.write_text(section["access_token"], encoding="utf-8")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "NO_PROXY": "127.0.0.1",
        "CLOUDSDK_CONFIG": str(tmp_path / "config"),
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": f"{section['endpoint']}/compute/v1/",
        "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(token),
        "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
        "CLOUDSDK_CORE_PROJECT": section["project"],
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
    }

    def run(*arguments: str, refused: bool = False) -> Any:
        command = [str(GCLOUD), "compute", *arguments, "--format=json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        if refused:
            assert done.returncode != 0
            return done.stderr
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "null")

    return run


def test_a_rule_from_create_to_delete(gcp_site: Site, gcp: Wire, gcloud: Run) -> None:
    assert len(gcloud("firewall-rules", "list")) == 18
    gcloud("firewall-rules", "create", "g", "--network=prod", "--allow=tcp:80,icmp", "--source-ranges=10.0.0.0/8", "--target-tags=web")
    assert gcp.get("global/firewalls/g")["targetTags"] == ["web"]
    gcloud("firewall-rules", "update", "g", "--source-ranges=10.1.0.0/16", "--target-tags=")
    found = gcloud("firewall-rules", "describe", "g")
    assert (found["sourceRanges"], found.get("targetTags")) == (["10.1.0.0/16"], None)
    assert "70000" in gcloud("firewall-rules", "update", "g", "--priority=70000", refused=True)
    gcloud("firewall-rules", "delete", "g")
    assert len(gcp.rules()) == 18
    refused = [entry["path"] for entry in gcp_site.ask("log", {"reads": True}) if entry["status"] >= 400]
    assert refused == ["PATCH /compute/v1/projects/acme-net/global/firewalls/g"]


def test_machines_and_what_is_effective(gcp: Wire, gcloud: Run) -> None:
    assert len(gcloud("instances", "list")) == 10
    where = ("--zone=europe-west1-b",)
    gcloud("instances", "add-tags", "ordering-web-1", "--tags=new", *where)
    gcloud("instances", "update", "ordering-web-1", "--update-labels=role=db", *where)
    found = gcp.get("zones/europe-west1-b/instances/ordering-web-1")
    assert (set(found["tags"]["items"]), found["labels"]["role"]) == ({"web", "web-ordering-prod", "new"}, "db")
    assert len(gcloud("networks", "get-effective-firewalls", "prod")["firewalls"]) == 11
    assert [one["name"] for one in gcloud("networks", "list")] == ["default", "dev", "prod"]


def test_a_policy(gcp: Wire, gcloud: Run) -> None:
    gcloud("network-firewall-policies", "create", "p", "--global")
    match = ("--action=allow", "--direction=INGRESS", "--src-ip-ranges=10.0.0.0/8", "--layer4-configs=tcp:80")
    gcloud("network-firewall-policies", "rules", "create", "100", "--firewall-policy=p", "--global-firewall-policy", *match)
    attach = ("--firewall-policy=p", "--network=prod", "--name=x", "--global-firewall-policy")
    gcloud("network-firewall-policies", "associations", "create", *attach)
    assert gcp.get("global/networks/prod")["firewallPolicy"].endswith("/p")
    assert gcp.get("global/firewallPolicies/p/getRule", priority="100")["action"] == "allow"

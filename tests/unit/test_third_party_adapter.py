"""Somebody else's adapter, installed as a package of its own: found by its entry point, held to its own schema, planned and applied."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PACKAGE = '''"""The wall of Acme: a platform in memory that begins with one machine open to everybody."""

import os
from pathlib import Path

from cloudsync.model.finding import Finding
from cloudsync.testing.memory import MemoryAdapter, MemoryPlatform

Path(os.environ["ACME_LOADED"]).touch()


class Factory:
    name = "wall"
    permissions = ()

    def check(self, target):
        if target.options["site"] == "nowhere":
            return (Finding(target.where, "WALL-SITE", "site nowhere does not exist", "name a site that does"),)
        return ()

    def open(self, target, owner, clock):
        platform = MemoryPlatform(account=target.options["site"])
        legacy = platform.add_group("legacy", [("0.0.0.0/0", "6/443-443"), ("0.0.0.0/0", "6/22-22")])
        for name, address in (("web1", "10.0.0.1"), ("web2", "10.0.0.2")):
            platform.tags[platform.add_point(name, address, [legacy])] = (("Role", "web"),)
        return MemoryAdapter(platform, target.name, owner)

    def role(self, targets, *, owner, read_only):
        return "{}\\n"


ADAPTER = Factory()
'''
SCHEMA = '{"type": "object", "additionalProperties": false, "required": ["site"], "properties": {"site": {"type": "string"}}}'
SETTINGS = """owner: acme-test
targets:
  - {{name: here, adapter: {adapter}, mode: exclusive{options}}}
labels_from:
  - {{label: role, tag: Role}}
guards: {{max_affected_workloads: 100%, management: [192.0.2.0/28]}}
"""
POLICY = """version: 1
labels: {role: [web]}
iplists: {office: [192.0.2.0/24]}
enforcement: {default: full}
rulesets:
  - name: base
    scope: all
    owner: netsec
    rules:
      - allow iplist office to role=web on tcp/22, tcp/443
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder as a package installer leaves it: the package, its schema, and the metadata that names its entry point."""
    site = tmp_path / "site"
    package, metadata = site / "acme_wall", site / "acme_wall-1.0.dist-info"
    package.mkdir(parents=True)
    metadata.mkdir()
    (package / "__init__.py").write_text(PACKAGE, encoding="utf-8")
    (package / "settings.schema.json").write_text(SCHEMA, encoding="utf-8")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-wall\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text("[cloudsync.adapters]\nwall = acme_wall:ADAPTER\n", encoding="utf-8")
    return site


def repository(folder: Path, adapter: str = "wall", options: str = ", site: berlin") -> Path:
    root = folder / "config"
    (root / "policy").mkdir(parents=True)
    (root / "cloudsync.yaml").write_text(SETTINGS.format(adapter=adapter, options=options), encoding="utf-8")
    (root / "policy" / "policy.yaml").write_text(POLICY, encoding="utf-8")
    return root


def cloudsync(root: Path, *words: str, site: Path | None = None) -> subprocess.CompletedProcess[str]:
    places = [str(ROOT), str(ROOT / "adapters"), *([str(site)] if site else [])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(places), "ACME_LOADED": str(root.parent / "loaded"), "NO_COLOR": "1"}
    command = [sys.executable, "-c", "import sys; from cloudsync.cli.main import main; sys.exit(main())", *words, "-C", str(root)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_a_policy_is_planned_and_applied_through_it(installed: Path, tmp_path: Path) -> None:
    root = repository(tmp_path)
    planned = cloudsync(root, "plan", site=installed)
    assert planned.returncode == 2, planned.stdout + planned.stderr
    assert "- tcp/22, tcp/443 from anywhere" in planned.stdout
    assert "every step safe" in planned.stdout
    assert "enforced = policy on 2 points" in planned.stdout
    applied = cloudsync(root, "apply", "--yes", site=installed)
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert "read again: enforced = policy, no drift" in applied.stdout


def test_reports_say_whose_code_it_was(installed: Path, tmp_path: Path) -> None:
    root = repository(tmp_path)
    assert "here  exclusive  adapter wall 1.0" in cloudsync(root, "plan", site=installed).stdout
    (target,) = json.loads(cloudsync(root, "plan", "--json", site=installed).stdout)["targets"]
    assert target["adapter"] == {"name": "wall", "version": "1.0"}


def test_validate_holds_it_to_its_own_schema_and_runs_none_of_its_code(installed: Path, tmp_path: Path) -> None:
    root = repository(tmp_path, options=", sight: berlin")
    wrong = cloudsync(root, "validate", site=installed)
    assert wrong.returncode == 3
    assert "sight" in wrong.stdout
    assert "'site'" in wrong.stdout
    assert not (tmp_path / "loaded").exists()


def test_what_only_it_can_know_is_a_finding_before_any_contact(installed: Path, tmp_path: Path) -> None:
    refused = cloudsync(repository(tmp_path, options=", site: nowhere"), "plan", site=installed)
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert "cloudsync.yaml:3:5 WALL-SITE site nowhere does not exist; name a site that does" in refused.stdout
    assert (tmp_path / "loaded").exists()


def test_it_is_not_imported_while_no_target_names_it(installed: Path, tmp_path: Path) -> None:
    options = ', account: "111122223333", regions: [us-east-1], endpoint: "http://127.0.0.1:1"'
    other = cloudsync(repository(tmp_path, adapter="aws", options=options), "plan", site=installed)
    assert other.returncode == 5, other.stdout + other.stderr
    assert not (tmp_path / "loaded").exists()


def test_an_adapter_that_is_not_installed_is_a_finding(tmp_path: Path) -> None:
    for verb in ("validate", "plan"):
        missing = cloudsync(repository(tmp_path / verb), verb)
        assert missing.returncode == 3
        assert "UNKNOWN-ADAPTER no adapter 'wall' is installed" in missing.stdout
        assert "cloudsync.adapters" in missing.stdout

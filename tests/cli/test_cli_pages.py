"""What the pages show can be written: the quick start's policy, the settings on the Terraform page, the checks for pull requests."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from cloudsync.app.repository import read_repository
from cloudsync.cli.main import VERBS
from cloudsync.store.place import locate
from tests.cli.shell import ROOT, Repository, started


def blocks(page: str) -> list[str]:
    """Return the YAML blocks of a page."""
    return re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.DOTALL)


def test_the_policy_of_the_quick_start_loads_in_the_starter(tmp_path: Path) -> None:
    repository = started(tmp_path / "repository")
    shop, watched, enforced = blocks("quickstart.md")
    objects = repository.root / "policy" / "objects.yaml"
    text = objects.read_text(encoding="utf-8")
    (repository.root / "policy" / "shop.yaml").write_text(shop, encoding="utf-8")
    without = re.sub(r"^enforcement:.*?(?=^\S|\Z)", "", text, flags=re.MULTILINE | re.DOTALL)
    for mode in (watched, enforced):
        objects.write_text(without + "\n" + mode, encoding="utf-8")
        ran = repository.run("validate", "--json")
        assert ran.code == 0, str(ran)
        assert not [one for one in ran.document["findings"] if one["severity"] == "error"]
    assert repository.run("fmt", "--check").code == 0


def test_the_settings_of_the_terraform_page_load(tmp_path: Path) -> None:
    repository = started(tmp_path / "repository")
    [block] = blocks("terraform.md")
    text = block.replace("/srv/terraform", str(tmp_path))
    settings = repository.root / "cloudsync.yaml"
    settings.write_text(settings.read_text(encoding="utf-8") + text, encoding="utf-8")
    (tmp_path / "apps").mkdir()
    missing = repository.run("validate", "--json")
    assert [one["code"] for one in missing.document["findings"] if one["severity"] == "error"] == ["STATE-MISSING"] * 2
    for name in ("net.tfstate", "apps/one.tfstate"):
        (tmp_path / name).write_text(json.dumps({"version": 4, "resources": []}), encoding="utf-8")
    assert repository.run("validate").code == 0


@pytest.mark.parametrize("file", [".github/workflows/cloudsync.yml", ".gitlab-ci.yml"])
def test_the_checks_for_pull_requests_are_yaml_and_apply_nothing(file: str) -> None:
    text = (ROOT / "config" / "example" / file).read_text(encoding="utf-8")
    assert isinstance(yaml.safe_load(text), dict)
    used = re.findall(r"\bcloudsync ([a-z]+)", re.sub(r"#.*|<!--.*?-->", "", text))
    assert set(used) <= set(VERBS)
    assert used == ["validate", "fmt", "test", "plan", "report"]


def test_the_starter_and_the_example_keep_an_absolute_state_where_they_say(tmp_path: Path) -> None:
    found = read_repository(ROOT / "config" / "example").settings
    assert found is not None
    assert locate(found.state, tmp_path) == Path("/var/lib/cloudsync/state.db")


def test_every_page_and_every_verb_is_in_the_readme(repository: Repository) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    pages = [path.name for path in (ROOT / "docs").glob("*.md")]
    assert not [page for page in pages if f"docs/{page}" not in readme]
    table = readme.partition("| verb |")[2].partition("\n\n")[0]
    assert not [verb for verb in VERBS if not re.search(rf"`{verb}\b", table)]
    assert repository.root.is_dir()

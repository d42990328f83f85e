"""The starter and the example load as they are, fit the simulated estate, and cost what a small repository may cost."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cloudsync import starter
from cloudsync.app.repository import Repository, read_repository
from cloudsync.inventory.labels import Mapper, Subject, check_sources
from cloudsync.inventory.static import check_labels
from cloudsync.lab.aws.estate_small import hosts
from cloudsync.model.finding import Severity
from cloudsync.model.workload import Labels
from cloudsync.policy.fmt import format_files
from cloudsync.policy.lint import lint
from cloudsync.sources import read

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    for name, text in starter.files().items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def _loaded(root: Path) -> Repository:
    found = read_repository(root)
    assert found.findings == ()
    assert found.policy is not None
    assert found.settings is not None
    assert found.static is not None
    vocabulary = dict(found.policy.labels)
    assert list(check_labels(found.static, vocabulary)) == []
    assert list(check_sources(found.settings.rules.sources, vocabulary)) == []
    errors = [finding for finding in lint(found.policy, NOW, schedule_known=True) if finding.severity is Severity.ERROR]
    assert errors == []
    return found


def test_the_starter_loads_without_a_finding(written: Path) -> None:
    found = _loaded(written)
    assert found.policy is not None
    assert [ruleset.name for ruleset in found.policy.rulesets] == ["guardrails", "operations", "shop-prod", "billing-prod"]
    assert {"README.md", ".gitignore", "cloudsync.yaml"} <= set(starter.files())


def test_the_example_loads_without_a_finding() -> None:
    found = _loaded(ROOT / "config/example")
    assert found.static is not None
    assert [entry.name for entry in found.static.workloads] == ["backup-1", "backup-2", "jump-dc1", "lb-dc1-a", "lb-dc1-b"]
    assert (ROOT / "config/example/README.md").is_file()


@pytest.mark.parametrize("folder", ["cloudsync/starter/repository", "config/example"])
def test_both_are_in_canonical_form(folder: str) -> None:
    files = read(ROOT / folder).policy
    assert format_files(files) == files


def test_the_starters_labels_fit_the_simulated_estate(written: Path) -> None:
    found = _loaded(written)
    assert found.policy is not None
    assert found.settings is not None
    mapper = Mapper(found.settings.rules.sources, {}, dict(found.policy.labels))
    labelled = {host.name: mapper.labels(Subject.of(host.name, "1", host.tags.items(), "aws"), Labels())[0].text() for host in hosts()}
    assert labelled["web-3"] == "app=shop env=prod role=web"
    assert labelled["db-4"] == "app=billing env=prod role=db"
    assert labelled["sandbox"] == "env=test"
    # A role mistyped with a blank stays without a role, and says so: nobody guesses what a tag meant.
    assert labelled["app-10"] == "app=billing env=prod"
    assert [finding.code for finding in mapper.misses.findings(dict(found.policy.labels))] == ["UNKNOWN-VALUE"]


def test_checking_a_repository_imports_nothing_heavy() -> None:
    program = (
        "import sys; from pathlib import Path; from cloudsync.app.repository import read_repository; "
        "assert not read_repository(Path(sys.argv[1])).findings; "
        "heavy = 'pydantic boto3 botocore jinja2 rich sqlite3 numpy moto difflib asyncio subprocess csv cloudsync_aws'.split(); "
        "print(*[name for name in heavy if name in sys.modules])"
    )
    path = f"{ROOT}:{ROOT / 'adapters'}"
    done = subprocess.run(
        [sys.executable, "-c", program, str(ROOT / "config/example")], capture_output=True, text=True, check=True, env={"PYTHONPATH": path}
    )
    assert done.stdout.split() == []

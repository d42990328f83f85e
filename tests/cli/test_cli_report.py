"""`cloudsync report` and `cloudsync map` after real runs against the lab: the same story in every form, and nothing contacted for it."""

from __future__ import annotations

import csv
import stat
from io import StringIO
from pathlib import Path

import pytest

from cloudsync.lab.server import Lab
from tests.cli.shell import Repository
from tests.cli.test_cli_startup import loaded


def calls(lab: Lab) -> int:
    return sum(lab.control.calls().values())


def opened_by_somebody(lab: Lab) -> None:
    """Open a port to the world in a group that is ours, as somebody in a hurry does."""
    groups = lab.control.act("DescribeSecurityGroups", {"Filter.1.Name": "tag-key", "Filter.1.Value.1": "cloudsync:owner"})
    first = groups.partition("<groupId>")[2].partition("</groupId>")[0]
    rule = {"IpProtocol": "tcp", "FromPort": "3389", "ToPort": "3389", "IpRanges.1.CidrIp": "0.0.0.0/0"}
    lab.control.act("AuthorizeSecurityGroupIngress", {"GroupId": first} | {f"IpPermissions.1.{key}": value for key, value in rule.items()})


@pytest.fixture
def drifted(converged: Repository, small_lab: Lab) -> Repository:
    """A repository whose last run found something that somebody did."""
    if "3389" not in converged.run("report").out:
        opened_by_somebody(small_lab)
        assert converged.run("drift").code == 2
    return converged


def test_before_any_run_there_is_nothing_to_report_but_a_map(repository: Repository) -> None:
    ran = repository.run("report")
    assert ran.code == 3
    assert "NO-REPORT" in ran.out
    assert "cloudsync drift" in ran.out
    page = repository.run("map")
    assert page.code == 0
    assert page.out.startswith("<!DOCTYPE html>")
    assert repository.run("map", "--json").document["matrix"]["groups"]


def test_every_form_tells_the_same_finding_and_contacts_nothing(drifted: Repository, small_lab: Lab, tmp_path: Path) -> None:
    before = calls(small_lab)
    document = drifted.run("report", "--json").document
    [finding] = [one for one in document["findings"] if "3389" in one["words"]]
    assert (finding["severity"], finding["kind"]) == ("critical", "excess")
    assert drifted.run("report", "--format", "json").document == document
    text = drifted.run("report").out
    assert text.splitlines()[0] == document["headline"]
    assert finding["words"] in text
    assert finding["words"] in drifted.run("report", "--format", "md").out
    rows = list(csv.DictReader(StringIO(drifted.run("report", "--format", "csv").out)))
    assert finding["words"] in [row["packets"] for row in rows]
    page = tmp_path / "report.html"
    ran = drifted.run("report", "--format", "html", "-o", str(page))
    assert ran.out == f"wrote {page}\n"
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert finding["words"] in page.read_text(encoding="utf-8")
    assert calls(small_lab) == before


def test_the_matrix_shows_what_somebody_opened(drifted: Repository) -> None:
    matrix = drifted.run("map", "--json").document["matrix"]
    differing = [cell for cell in matrix["cells"] if cell["differs"]]
    assert differing
    assert {"the internet"} <= {matrix["groups"][cell["source"]]["outside"] for cell in differing}
    key = next(one["key"] for one in drifted.run("report", "--json").document["findings"] if "3389" in one["words"])
    assert key in {one["finding"] for cell in differing for one in cell["differs"]}
    assert "verified" in matrix["inventory"]


def test_a_live_look_has_the_code_of_its_verb(drifted: Repository, small_lab: Lab, tmp_path: Path) -> None:
    before = calls(small_lab)
    live = drifted.run("report", "--live", "drift", "--json")
    assert live.code == 2
    assert calls(small_lab) > before
    assert live.document["matrix"]["inventory"] == "read just now"
    comment = drifted.run("report", "--live", "plan", "--format", "md")
    assert comment.code in (2, 4)
    assert comment.out.startswith("### cloudsync plan: ")
    assert "closes `tcp/3389" in comment.out
    told = drifted.run("report", "--json").document
    assert told["run"] == live.document["run"]
    page = tmp_path / "map.html"
    assert drifted.run("map", "--live", "-o", str(page)).code == 2
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_run_may_be_asked_for_by_its_id(drifted: Repository) -> None:
    run = drifted.run("report", "--json").document["run"]
    assert drifted.run("report", "--run", run[:6]).code == 0
    other = drifted.run("report", "--run", "ffff")
    assert other.code == 3
    assert "UNKNOWN-RUN" in other.out
    assert run in other.out


@pytest.mark.parametrize(
    ("words", "code"),
    [(("--target", "aws"), "NOT-LIVE"), (("--live", "drift", "--run", "1"), "LIVE-RUN"), (("-o", "/nowhere/x.html"), "CANNOT-WRITE")],
)
def test_what_cannot_be_meant_is_said(repository: Repository, words: tuple[str, ...], code: str) -> None:
    ran = repository.run("report", *words)
    assert ran.code == 3
    assert code in ran.out


def test_only_the_page_loads_the_template_engine(repository: Repository) -> None:
    packages, _ = loaded("map", "-C", str(repository.root), "--json")
    assert not packages & {"jinja2", "boto3", "botocore", "rich", "pydantic"}
    packages, _ = loaded("map", "-C", str(repository.root))
    assert "jinja2" in packages

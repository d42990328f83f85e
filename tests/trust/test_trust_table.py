"""The tables say what the file of figures says, and the file of figures says where it comes from."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trust import results, tables
from tests.trust.budget import SEED, seed
from tests.trust.figures import summed
from tests.trust.parts import PARTS, ROOT, chosen
from tests.trust.promises import PROMISES, Demand, Promise, of_promise, told, verdict
from tests.trust.results import Result

ONE = Result(
    "crash", "passed", "change", 1, "c" * 40, "2026-01-01T00:00Z", 1.0, 0.5, "a machine", "make trust PART=crash", {"T4 aws": {"points": 5}}
)


def test_the_pages_are_made_from_the_file() -> None:
    for path, text in tables.pages(results.load()).items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: make trust-table"


def test_every_figure_says_which_commit_it_is_of() -> None:
    if (
        subprocess.run(["git", "rev-parse", "--is-shallow-repository"], cwd=ROOT, capture_output=True, check=False).stdout.strip()
        != b"false"
    ):
        pytest.skip("not in a clone that knows its commits")
    for result in results.load().values():
        assert re.fullmatch(r"[0-9a-f]{40}\+?", result.commit), result.part
        known = subprocess.run(
            ["git", "cat-file", "-e", result.commit.rstrip("+") + "^{commit}"], cwd=ROOT, capture_output=True, check=False
        )
        if known.returncode:  # a copy whose history was written anew: what was measured is still said
            pytest.skip(f"{result.part}: this copy does not know commit {result.commit}")


def test_every_promise_has_a_part_and_every_part_a_promise() -> None:
    names = {promise.name for promise in PROMISES}
    assert {name for part in PARTS for name in part.promises} == names
    assert len({part.name for part in PARTS}) == len(PARTS)
    assert [part.name for part in chosen("t4")] == ["crash", "fleet"]
    assert len(list(chosen(""))) == len(PARTS)
    with pytest.raises(ValueError, match="no part 'T11'"):
        list(chosen("T11"))


def test_lines_of_a_part_are_put_together() -> None:
    lines = [
        '{"part": "T6 x", "interleavings": 5, "overlap_max": 1, "runs_per_s": 9.5, "on": "sqlite"}',
        '{"part": "T6 x", "interleavings": 7, "overlap_max": 0, "runs_per_s": 3.5, "on": "postgres"}',
    ]
    assert summed(lines) == {"T6 x": {"interleavings": 12, "on": "postgres, sqlite", "overlap_max": 1, "runs_per_s": 3.5}}


PROMISE = Promise("T1", "p", (Demand("runs", ("runs",), least=10), Demand("violations", ("violations",), most=0)))


@pytest.mark.parametrize(
    ("figures", "failed", "words"),
    [
        ({}, [], "not run"),
        ({"T1 a": {"runs": 4, "violations": 0}, "T1 b": {"runs": 6, "violations": 0}}, [], "met"),
        ({"T1 a": {"runs": 4, "violations": 0}}, [], "not yet: runs 4 of 10"),
        ({"T1 a": {"runs": 10}}, [], "not yet: violations not measured"),
        ({"T1 a": {"runs": 4, "violations": 1}}, [], "MISSED: violations 1"),
        ({"T1 a": {"runs": 10, "violations": 0}}, ["crash failed"], "FAILED: crash failed"),
        ({"T10 a": {"runs": 10, "violations": 7}}, [], "not run"),
    ],
)
def test_a_verdict_is_never_better_than_the_figures(
    figures: dict[str, dict[str, int | float | str]], failed: list[str], words: str
) -> None:
    assert verdict(PROMISE, of_promise(PROMISE, figures), failed) == words


def test_a_share_and_a_worst_case_are_not_added_up() -> None:
    figures: dict[str, dict[str, int | float | str]] = {
        "T8 a": {"changes": 100, "refused": 1, "x_max": 3},
        "T8 b": {"changes": 300, "x_max": 2},
    }
    assert Demand("refused, %", ("refused",), most=1, per=("changes",)).value(figures) == 0.25
    assert Demand("x", ("x_max",)).value(figures) == 3
    assert told(Promise("T8", "p", (Demand("changes", ("changes",)),)), figures) == "changes 400"


def test_negative_controls_are_counted_and_their_violations_are_not() -> None:
    figures: dict[str, dict[str, int | float | str]] = {
        "T3 way": {"states": 9, "exposed": 0, "controls_caught": 1},
        "T3 control: no barrier": {"states": 5, "exposed": 3},
        "T3 control: nothing": {"with violations": 0},
    }
    assert Demand("exposed", ("exposed",), most=0).value(figures) == 0
    assert Demand("controls", ("exposed", "with_violations"), controls=True).value(figures) == 2
    assert Demand("second", ("second_run_writes",), most=0).value({"T7 x": {"second-run writes": 4}}) == 4


def test_every_test_that_records_figures_belongs_to_a_part() -> None:
    listed = {path for part in PARTS for pattern in part.tests for path in ROOT.glob(pattern)}
    folders = {path for path in listed if path.is_dir()}
    recording = [
        path for path in sorted((ROOT / "tests").rglob("test_*.py")) if "figures import record" in path.read_text(encoding="utf-8")
    ]
    stray = [str(path.relative_to(ROOT)) for path in recording if path not in listed and not folders & set(path.parents)]
    stray = [name for name in stray if not name.startswith(("tests/trust/", "tests/unit/test_trust_figures"))]
    assert not stray, f"they belong to no part of tests/trust/parts.py: {stray}"


def test_a_small_run_leaves_the_figures_of_a_large_one_but_a_failure_counts() -> None:
    large = replace(ONE, budget="release", figures={"T4 aws": {"points": 9}})
    assert results.merged({"crash": large}, [ONE])["crash"] is large
    assert results.merged({"crash": ONE}, [large])["crash"] is large
    failure = replace(ONE, outcome="failed")
    assert results.merged({"crash": large}, [failure])["crash"] is failure
    assert results.merged({"crash": failure}, [ONE])["crash"] is ONE
    assert "FAILED: crash failed" in tables.promises({"crash": failure})


def test_what_did_not_run_says_so() -> None:
    rows = tables.promises({}).splitlines()[2:]
    assert len(rows) == len(PROMISES)
    assert all("| not run |" in row for row in rows)
    assert tables.parts({"crash": ONE}).count("not run") == len(PARTS) - 1


def test_the_file_survives_its_own_form(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    assert results.load(path) == {}
    path.write_text(results.dump({"crash": ONE}), encoding="utf-8")
    assert results.load(path) == {"crash": ONE}


def test_a_page_without_its_marks_is_not_written() -> None:
    assert tables.placed(f"a\n{tables.BEGIN}\nold\n{tables.END}\nb\n", "new") == f"a\n{tables.BEGIN}\n\nnew\n\n{tables.END}\nb\n"
    for page in ("nothing", f"{tables.END}{tables.BEGIN}", tables.BEGIN):
        with pytest.raises(ValueError, match="no place"):
            tables.placed(page, "new")


def test_the_seed_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SEED, raising=False)
    assert seed() == 1
    monkeypatch.setenv(SEED, "77")
    assert seed() == 77

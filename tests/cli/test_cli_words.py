"""What the command line does with words: verbs, options, places; nothing here reaches a platform."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from cloudsync.cli.main import VERBS
from cloudsync.cli.output import Output
from cloudsync.cli.wall import run
from tests.cli.shell import Repository, cloudsync, lock_held

NEEDS = {
    "approve": ("0123456789abcdef", "--guard", "G-CAP", "--because", "x"),
    "hold": ("aws-prod", "--because", "x"),
    "unhold": ("aws-prod",),
    "explain": ("a", "b", "tcp/22"),
    "rollback": ("HEAD",),
    "release": ("a",),
    "export": ("terraform",),
    "state": ("copy", "--to", "sqlite:///elsewhere/state.db"),
}
ON_A_REPOSITORY = [verb for verb in VERBS if verb not in {"init", "schema", "lab", "iam", "verify"}]


def test_help_names_every_verb_and_every_exit_code() -> None:
    ran = cloudsync("--help")
    assert ran.code == 0
    assert not [verb for verb in VERBS if f"\n    {verb} " not in ran.out]
    assert not [code for code in (0, 1, 2, 3, 4, 5, 75) if f"\n  {code} " not in ran.out]


def test_no_word_at_all_prints_the_help() -> None:
    assert cloudsync().out == cloudsync("--help").out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str) -> None:
    ran = cloudsync(verb, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"usage: cloudsync {verb}")
    assert VERBS[verb][1].split(";")[0] in " ".join(ran.out.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("plann",), "cloudsync: no verb 'plann'; did you mean 'plan'"),
        (("aply", "--yes"), "did you mean 'apply'"),
        (("reconcile-all",), "there are: init, validate"),
        (("\x1b[2Jplan",), r"no verb '\x1b[2Jplan'"),
        (("plan", "--tarhet", "x"), "no option '--tarhet', did you mean '--target'"),
        (("plan", "--tar", "x"), "no option '--tar'"),
        (("plan", "one-too-many"), "'one-too-many' is one word too many"),
        (("apply", "--ye"), "no option '--ye', did you mean '--yes'"),
        (("approve",), "are required: DIGEST, --guard, --because"),
        (("hold", "aws-prod"), "are required: --because"),
        (("explain", "a", "b"), "are required: SERVICE"),
        (("explain", "web-1"), "are required: DST, SERVICE, unless SRC is a rule as platforms name it"),
        (("explain", "web#1", "db-1"), "are required: SERVICE"),
        (("audit", "-n", "0"), "'0' is no number of lines"),
        (("schema", "settins"), "invalid choice: 'settins'"),
        (("lab", "upp"), "invalid choice: 'upp'"),
        (("-x",), "no option '-x'"),
        (("-C",), "no option '-C'"),
    ],
)
def test_a_command_line_that_means_nothing_says_what_was_meant(words: tuple[str, ...], said: str) -> None:
    ran = cloudsync(*words)
    assert (ran.code, ran.out) == (3, "")
    assert said in ran.err
    assert ran.err.rstrip().endswith("--help'")


@pytest.mark.parametrize("words", [("-C", "{}", "validate"), ("-C{}", "validate"), ("--json", "-q", "-C", "{}", "validate")])
def test_common_options_may_stand_before_the_verb(repository: Repository, words: tuple[str, ...]) -> None:
    root = str(repository.root)
    assert cloudsync(*(word.format(root) for word in words)).code == 0


@pytest.mark.parametrize("verb", ON_A_REPOSITORY)
def test_without_a_repository_every_verb_says_how_to_start_one(verb: str, tmp_path: Path) -> None:
    ran = cloudsync(verb, "-C", str(tmp_path), *NEEDS.get(verb, ()))
    assert (ran.code, ran.err) == (3, "")
    assert ran.out.startswith("cloudsync.yaml:1:1 NO-SETTINGS")
    assert "cloudsync init" in ran.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ON_A_REPOSITORY)
def test_findings_are_a_document_for_programs(verb: str, tmp_path: Path) -> None:
    ran = cloudsync(verb, "--json", "-C", str(tmp_path), *NEEDS.get(verb, ()))
    assert ran.code == 3
    assert [one["code"] for one in ran.document["findings"]] == ["NO-SETTINGS"]


@pytest.mark.parametrize("verb", ["plan", "apply", "drift", "explain", "doctor"])
def test_an_unknown_target_is_invalid_input_before_any_contact(repository: Repository, verb: str) -> None:
    ran = repository.run(verb, *NEEDS.get(verb, ()), "--target", "aws-prd")
    assert ran.code == 3
    assert "UNKNOWN-TARGET no target 'aws-prd'" in ran.out


@pytest.mark.parametrize("verb", ["apply"])
def test_a_run_at_work_makes_others_wait(repository: Repository, verb: str) -> None:
    with lock_held(repository.root / ".cloudsync" / "state.db"):
        ran = repository.run(verb, "--yes")
        assert ran.code == 75
        assert "PRE-LOCK another run holds" in ran.err
        assert repository.run(verb, "--yes", "--json").document["code"] == "PRE-LOCK"


def test_a_state_file_that_others_can_read_is_refused(repository: Repository) -> None:
    state = repository.root / ".cloudsync" / "state.db"
    state.parent.mkdir(mode=0o700)
    state.touch(mode=0o644)
    ran = repository.run("history")
    assert ran.code == 4
    assert "PRE-MODE" in ran.err
    assert "chmod 600" in ran.err


def test_a_bug_of_ours_leaves_a_file_and_no_frames_on_the_screen(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_chosen: argparse.Namespace, _output: Output) -> int:
        raise ZeroDivisionError("planted")

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    code = run(broken, argparse.Namespace(json=False, quiet=False, repository="."))
    told = capsys.readouterr()
    assert (code, told.out) == (1, "")
    assert "BUG ZeroDivisionError: planted" in told.err
    assert "Traceback" not in told.err
    [file] = tmp_path.iterdir()
    assert file.name in told.err
    assert "in broken" in file.read_text(encoding="utf-8")


def test_what_comes_from_outside_is_printed_inert(tmp_path: Path) -> None:
    ran = cloudsync("validate", "-C", str(tmp_path / "\x1b[2Jnowhere"))
    assert ran.code == 3
    assert "\x1b" not in ran.out

"""The repository as one snapshot: sorted, whole, inside its folder."""

from __future__ import annotations

import os
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from cloudsync import sources
from cloudsync.policy.strict import MAX_BYTES


def _write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    _write(root, cloudsync_yaml="owner: a\n", policy__b_yaml="b", policy__a_yml="a", policy__deep__c_yaml="c", policy__note_txt="no")
    _write(root, inventory__x_yaml="x", inventory__y_csv="y", policy__z_csv="not a policy")
    return root


def test_files_come_sorted_and_only_those_that_are_input(repository: Path) -> None:
    found = sources.read(repository)
    assert found.policy == (("policy/a.yml", b"a"), ("policy/b.yaml", b"b"), ("policy/deep/c.yaml", b"c"))
    assert found.inventory == (("inventory/x.yaml", b"x"), ("inventory/y.csv", b"y"))
    assert found.findings == ()
    assert sources.read_settings(repository) == (b"owner: a\n", ())


def test_folders_may_have_other_names_and_may_be_absent(repository: Path) -> None:
    found = sources.read(repository, policy="policy/deep", inventory="nowhere")
    assert found.policy == (("policy/deep/c.yaml", b"c"),)
    assert found.inventory == ()
    assert found.findings == ()


def test_the_digest_tells_any_other_input_and_nothing_else(repository: Path) -> None:
    before = sources.read(repository).digest()
    assert sources.read(repository).digest() == before
    (repository / "policy/note.txt").write_text("other")
    assert sources.read(repository).digest() == before
    (repository / "policy/b.yaml").rename(repository / "policy/bb.yaml")
    assert sources.read(repository).digest() != before
    assert sources.Sources("", (("a", b"bc"),), ()).digest() != sources.Sources("", (("ab", b"c"),), ()).digest()


def test_no_settings_is_a_finding(tmp_path: Path) -> None:
    content, findings = sources.read_settings(tmp_path)
    assert content is None
    assert [str(finding) for finding in findings] == [
        "cloudsync.yaml:1:1 NO-SETTINGS no cloudsync.yaml here; cloudsync init writes a commented start; -C DIR names another folder"
    ]


def test_a_link_out_of_the_repository_is_refused_with_its_target_and_not_read(repository: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_text("secret")
    (repository / "policy/link.yaml").symlink_to(secret)
    (repository / "policy/folder").symlink_to(tmp_path)
    found = sources.read(repository)
    assert [str(finding) for finding in found.findings] == [
        f"policy/folder:1:1 OUTSIDE-ROOT policy/folder -> {tmp_path} leads outside the repository; put the file itself there",
        f"policy/link.yaml:1:1 OUTSIDE-ROOT policy/link.yaml -> {secret} leads outside the repository; put the file itself there",
    ]
    assert all(b"secret" not in content for _, content in found.policy)


def test_a_policy_folder_that_is_itself_a_link_out_is_refused(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (repository / "linked").symlink_to(tmp_path / "elsewhere")
    assert [finding.code for finding in sources.read(repository, policy="linked").findings] == ["OUTSIDE-ROOT"]


def test_links_inside_are_followed_once_even_in_a_circle(repository: Path) -> None:
    (repository / "policy/deep/again").symlink_to(repository / "policy")
    (repository / "policy/same.yaml").symlink_to(repository / "policy/b.yaml")
    found = sources.read(repository)
    assert found.findings == ()
    assert [path for path, _ in found.policy] == ["policy/a.yml", "policy/b.yaml", "policy/deep/c.yaml", "policy/same.yaml"]


def test_a_link_to_nowhere_and_a_pipe_are_findings(repository: Path) -> None:
    (repository / "policy/gone.yaml").symlink_to(repository / "policy/none.yaml")
    os.mkfifo(repository / "policy/pipe.yaml")
    assert [(finding.where.file, finding.code, finding.message) for finding in sources.read(repository).findings] == [
        ("policy/gone.yaml", "UNREADABLE", "the link leads nowhere"),
        ("policy/pipe.yaml", "UNREADABLE", "not a regular file"),
    ]


def test_a_huge_file_is_not_read(repository: Path) -> None:
    with (repository / "policy/huge.yaml").open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    found = sources.read(repository)
    assert [str(finding) for finding in found.findings] == ["policy/huge.yaml:1:1 TOO-BIG over 8 MiB; split the file"]
    assert sum(len(content) for _, content in found.policy) < MAX_BYTES


@pytest.mark.parametrize("what", ["text", "length", "gone", "replaced", "link"])
def test_a_file_that_changes_between_listing_and_reading_is_torn(repository: Path, what: str) -> None:
    listed, _ = sources.scan(repository, "policy", "inventory")
    path = repository / "policy/b.yaml"
    match what:
        case "text":
            path.write_text("B")
            os.utime(path, ns=(1, 1))
        case "length":
            path.write_text("longer")
        case "gone":
            path.unlink()
        case "replaced":
            (repository / "new").write_text("b")
            (repository / "new").rename(path)
        case _:
            path.unlink()
            path.symlink_to("/etc/hostname")
    contents, findings = sources.read_listed(repository, listed)
    assert [(finding.where.file, finding.code) for finding in findings] == [("policy/b.yaml", "TORN-READ")]
    assert "policy/b.yaml" not in dict(contents)


def test_a_file_that_comes_or_changes_behind_the_reader_is_torn(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = sources.read_listed

    def meddled(root: Path, listed: tuple[sources.Entry, ...]) -> object:
        read = honest(root, listed)
        (root / "policy/new.yaml").write_text("new")
        (root / "policy/a.yml").write_text("longer than before")
        return read

    monkeypatch.setattr(sources, "read_listed", meddled)
    found = sources.read(repository)
    assert [(finding.where.file, finding.code) for finding in found.findings] == [
        ("policy/a.yml", "TORN-READ"),
        ("policy/new.yaml", "TORN-READ"),
    ]


def test_a_manifest_holds_every_file_to_its_digest(repository: Path) -> None:
    found = sources.read(repository)
    manifest = {path: sha256(content).hexdigest() for path, content in (*found.policy, *found.inventory)}
    assert sources.read(repository, manifest=manifest).findings == ()
    del manifest["policy/a.yml"]
    manifest |= {"policy/b.yaml": "0" * 64, "policy/missing.yaml": "0" * 64}
    assert [str(finding) for finding in sources.read(repository, manifest=manifest).findings] == [
        "policy/a.yml:1:1 TORN-READ snapshot is not whole: it is not in the manifest; run again",
        "policy/b.yaml:1:1 TORN-READ snapshot is not whole: it differs from the manifest; run again",
        "policy/missing.yaml:1:1 TORN-READ snapshot is not whole: the manifest names it, but it is not there; run again",
    ]


def _git(root: Path, *arguments: str) -> None:
    who = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "a@example", "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "a@example"}
    environment = {**os.environ, **who, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, env=environment)


def test_the_revision_tells_commit_author_subject_and_whether_files_differ(repository: Path) -> None:
    assert sources.revision(repository) is None
    _git(repository, "init", "-q")
    assert sources.revision(repository) is None
    _git(repository, "add", ".")
    _git(repository, "commit", "-q", "-m", "open 8443 for the order API\n\nlong story")
    clean = sources.revision(repository)
    assert clean is not None
    assert (clean.author, clean.subject, clean.dirty, len(clean.commit)) == ("Ada", "open 8443 for the order API", False, 40)
    (repository / "policy/b.yaml").write_text("other")
    dirty = sources.revision(repository)
    assert dirty is not None
    assert dirty.dirty


def test_asking_git_runs_no_program_that_the_repository_configures(repository: Path) -> None:
    _git(repository, "init", "-q")
    _git(repository, "add", ".")
    _git(repository, "commit", "-q", "-m", "x")
    trap = repository / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {repository}/sprung\n")
    trap.chmod(0o755)
    _git(repository, "config", "core.fsmonitor", str(trap))
    _git(repository, "config", "core.pager", str(trap))
    assert sources.revision(repository) is not None
    assert not (repository / "sprung").exists()

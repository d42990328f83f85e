"""The policy as it stood in an earlier commit: `rollback COMMIT|RUN`. Read from git's objects; nothing is checked out.

The folders of policy and inventory come from the commit; cloudsync.yaml (targets, credentials, guards) and acknowledgements are of today.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from cloudsync import sources
from cloudsync.app import ledger, terraform
from cloudsync.app.repository import Loaded, load, read_repository, revision_words
from cloudsync.app.versions import Versions
from cloudsync.model.errors import InputError
from cloudsync.model.finding import Finding, Where
from cloudsync.model.quick import dataclass
from cloudsync.policy.acknowledged import FILE as ACKNOWLEDGED
from cloudsync.settings.values import Settings
from cloudsync.store.records import RunRecord

COMMAND_LINE = Where("command line")


@dataclass(frozen=True, slots=True)
class Earlier:
    """What is gone back to. `newer`: the files of today say something else, so that the next run would bring it back."""

    loaded: Loaded
    revision: sources.Revision
    run: str
    newer: bool

    @property
    def words(self) -> str:
        """It in words, for people and for the reason of a hold."""
        return revision_words(self.revision) + (f", the policy of run {self.run}" if self.run else "")


def find(root: Path, word: str) -> Earlier:
    """Return the policy of a commit, or of the commit that a run was made with. Raises InputError; nothing was contacted then."""
    settings = ledger.read_settings(root)
    commit, run = _commit(root, settings, word)
    revision = sources.revision(root, commit)
    if revision is None:
        raise _no("NO-COMMIT", f"git cannot read commit {commit[:10]}", "is the repository whole? git fsck tells")
    loaded = _loaded(root, revision, settings)
    return Earlier(loaded, revision, run, _digest_of_today(root) != loaded.digest)


def _commit(root: Path, settings: Settings, word: str) -> tuple[str, str]:
    """Return a commit, and the run that named it."""
    if not word or word.startswith("-") or not word.isprintable():
        raise _no("NO-COMMIT", f"'{word}' names no commit and no run", _HINT)
    runs = _runs(root, settings, word)
    asked = sources.git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{word}^{{commit}}")
    commit = asked.decode("ascii", "replace").strip() if asked else ""
    if len(runs) > 1 and not commit:
        raise _no("UNKNOWN-RUN", f"several runs begin with '{word}'", "give more of its letters")
    if len(runs) == 1 and commit:
        hint = f"give more letters: the run is {runs[0].id}, the commit {commit}"
        raise _no("AMBIGUOUS", f"'{word}' begins a run and a commit", hint)
    if len(runs) == 1:
        return _of_run(root, runs[0]), runs[0].id
    if commit:
        return commit, ""
    if sources.git(root, "rev-parse", "--git-dir") is None:
        hint = "keep cloudsync.yaml and the policy in git: then every version can be gone back to"
        raise _no("NO-GIT", "the config repository is not in git: no earlier policy is kept anywhere", hint)
    raise _no("NO-COMMIT", f"there is no commit and no run '{word}'", _HINT)


_HINT = "git log --oneline lists the commits, cloudsync history the runs with theirs"


def _of_run(root: Path, run: RunRecord) -> str:
    if not run.commit:
        hint = "go back to a commit: git log --oneline"
        raise _no("NO-COMMIT", f"run {run.id} was made with files that stood in no commit (digest {run.policy[:10]})", hint)
    if run.dirty and not _is(root, run):  # some file differed from the commit; what counts is whether one that is read did
        message = f"run {run.id} was made with changes that were never committed, on top of {run.commit[:10]}: they are kept nowhere"
        raise _no("UNCOMMITTED", message, f"cloudsync rollback {run.commit[:10]} goes back to that commit without them")
    return run.commit


def _is(root: Path, run: RunRecord) -> bool:
    """Tell whether the files that a run read are those of its commit."""
    with tempfile.TemporaryDirectory(prefix="cloudsync-") as folder:
        Versions(root).unpack(run.commit, Path(folder))
        return read_repository(Path(folder)).digest == run.policy


def _runs(root: Path, settings: Settings, prefix: str) -> tuple[RunRecord, ...]:
    with ledger.looked_at(root, settings) as state:
        return state.records.runs(3, prefix=prefix) if state is not None else ()


def _loaded(root: Path, revision: sources.Revision, settings: Settings) -> Loaded:
    """Return the commit's policy and inventory under the settings of today."""
    with tempfile.TemporaryDirectory(prefix="cloudsync-") as name:
        folder = Path(name)
        Versions(root).unpack(revision.commit, folder)
        for file in (sources.SETTINGS, ACKNOWLEDGED):
            (folder / file).unlink(missing_ok=True)
            content, _ = sources.read_beside(root, file)
            if content is not None:
                (folder / file).write_bytes(content)
        terraform.carry(root, folder, settings.terraform)
        if not (folder / settings.policy).is_dir():
            hint = f"cloudsync.yaml of today says policy: {settings.policy}"
            raise _no("NO-POLICY", f"commit {revision.commit[:10]} has no folder {settings.policy}/", hint)
        try:
            loaded = load(folder)
        except InputError as error:
            message = f"the policy of commit {revision.commit[:10]} cannot be used with this program and the settings of today"
            raise InputError([Finding(COMMAND_LINE, "OLD-POLICY", message, "what is wrong with it follows"), *error.findings]) from error
    return replace(loaded, root=root, version=revision_words(revision), revision=revision)


def _digest_of_today(root: Path) -> str:
    try:
        return load(root).digest
    except InputError:
        return ""  # broken: that may be why somebody goes back


def _no(code: str, message: str, hint: str) -> InputError:

    return InputError([Finding(COMMAND_LINE, code, message, hint)])

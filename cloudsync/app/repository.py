"""The config repository as values: one snapshot of its files, loaded and checked, nothing contacted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cloudsync import registry, sources
from cloudsync.compile.pause import uncollected
from cloudsync.inventory.static import StaticInventory, check_labels, read_static
from cloudsync.model.errors import InputError, SettingsError
from cloudsync.model.finding import Finding, Severity, Where
from cloudsync.model.quick import dataclass
from cloudsync.model.target import TargetSettings
from cloudsync.policy.acknowledged import FILE as ACKNOWLEDGED
from cloudsync.policy.acknowledged import Accepted, read_acknowledged
from cloudsync.policy.load import load_policy
from cloudsync.policy.values import Policy
from cloudsync.policy.words import did_you_mean, listed
from cloudsync.settings import Settings, load_settings, packaged_schema

if TYPE_CHECKING:
    from cloudsync.app.terraform import Known


@dataclass(frozen=True, slots=True)
class Repository:
    """A loaded config repository: one snapshot, every finding, nothing contacted. Values are None where findings forbid them."""

    root: Path
    settings: Settings | None
    policy: Policy | None
    static: StaticInventory | None
    snapshot: sources.Sources
    content: bytes
    """Of cloudsync.yaml."""
    findings: tuple[Finding, ...]
    acknowledged: tuple[Accepted, ...] = ()
    terraform: tuple[Known, ...] = ()

    @property
    def targets(self) -> tuple[str, ...]:
        """The names of the targets, as far as the settings could be read."""
        return tuple(target.name for target in self.settings.targets) if self.settings is not None else ()

    @property
    def digest(self) -> str:
        """The digest of every file read; computed when asked for, `validate` never asks."""
        return self.snapshot.digest(self.content)

    @property
    def files(self) -> int:
        """How many files were read."""
        return (1 if self.content else 0) + len(self.snapshot.policy) + len(self.snapshot.inventory)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that stop every verb that acts."""
        return tuple(one for one in self.findings if one.severity is Severity.ERROR)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A repository without errors."""

    root: Path
    settings: Settings
    policy: Policy
    static: StaticInventory
    snapshot: sources.Sources
    digest: str
    """Of everything that a plan is made from: what is acknowledged changes no plan."""
    findings: tuple[Finding, ...]
    acknowledged: tuple[Accepted, ...] = ()
    terraform: tuple[Known, ...] = ()
    """What state files of Terraform said when this was loaded."""
    version: str = ""
    """In words, where it is known already, or is not what stands in the folder now."""
    revision: sources.Revision | None = None
    """The commit, where `version` is one."""

    def targets(self, names: Iterable[str] = ()) -> tuple[TargetSettings, ...]:
        """Return the chosen targets, all without names. Raises SettingsError for an unknown one."""
        chosen = tuple(names)
        known = [target.name for target in self.settings.targets]
        wrong = [name for name in chosen if name not in known]
        if wrong:
            raise SettingsError(_no_target(name, known) for name in wrong)
        return tuple(target for target in self.settings.targets if not chosen or target.name in chosen)


def _no_target(name: str, known: Sequence[str]) -> Finding:
    hint = did_you_mean(name, known, f"cloudsync.yaml has: {listed(known)}")
    return Finding(Where("command line"), "UNKNOWN-TARGET", f"no target '{name}'", hint)


@uncollected()
def read_repository(root: Path, *, outside: bool = True) -> Repository:
    """Read and load everything of a config repository; never raises for what stands in the files.

    Without `outside`, state files of Terraform that stand elsewhere are left to the runs.
    """
    nothing = sources.Sources(str(root), (), ())
    if not root.is_dir():
        finding = Finding(Where(str(root)), "NO-REPOSITORY", "no such folder", "cloudsync init DIR makes a new config repository")
        return Repository(root, None, None, None, nothing, b"", (finding,))
    content, findings = sources.read_settings(root)
    if content is None:
        return Repository(root, None, None, None, nothing, b"", findings)
    settings, wrong = load_settings(content, registry.options_schema)
    folders = (settings.policy, settings.inventory) if settings else ("policy", "inventory")
    snapshot = sources.read(root, policy=folders[0], inventory=folders[1])
    accepted, unread = _acknowledged(root)
    states, unreadable = _states(root, settings, outside=outside)
    found = [*wrong, *snapshot.findings, *unread, *unreadable]
    policy, static = None, None
    if not snapshot.findings:
        policy, policy_findings = load_policy(snapshot.policy)
        static, static_findings = read_static(snapshot.inventory, packaged_schema("inventory"))
        found += [*policy_findings, *static_findings]
        if policy is not None:
            found += check_labels(static, dict(policy.labels))
    return Repository(root, settings, policy, static, snapshot, content, tuple(found), accepted, states)


def _states(root: Path, settings: Settings | None, *, outside: bool) -> tuple[tuple[Known, ...], tuple[Finding, ...]]:
    if settings is None or not settings.terraform:
        return (), ()
    from cloudsync.app.terraform import read

    return read(root, settings.terraform, outside=outside)


def _acknowledged(root: Path) -> tuple[tuple[Accepted, ...], tuple[Finding, ...]]:
    content, findings = sources.read_beside(root, ACKNOWLEDGED)
    return read_acknowledged(content, packaged_schema("acknowledged")) if content is not None else ((), findings)


def load(root: Path, *, outside: bool = True) -> Loaded:
    """Return a repository without errors. Raises InputError with every finding otherwise; warnings stay with the result."""
    found = read_repository(root, outside=outside)
    if found.errors or found.settings is None or found.policy is None or found.static is None:
        raise InputError(found.findings)
    extra = [finding for target in found.settings.targets for finding in registry.load(target.adapter).check(target)]
    if any(finding.severity is Severity.ERROR for finding in extra):
        raise SettingsError(extra)
    findings = (*found.findings, *extra)
    return Loaded(
        found.root,
        found.settings,
        found.policy,
        found.static,
        found.snapshot,
        found.digest,
        findings,
        found.acknowledged,
        found.terraform,
    )


def policy_name(loaded: Loaded) -> str:
    """Return the policy's version in words: its commit with author and subject, or the digest of the files."""
    return known(loaded).version


def known(loaded: Loaded) -> Loaded:
    """Return a repository that knows its version, so that git is asked once a run."""
    if loaded.version:
        return loaded
    revision = sources.revision(loaded.root)
    words = revision_words(revision) if revision is not None else f"{loaded.digest[:10]} (not in git)"
    return replace(loaded, revision=revision, version=words)


def revision_words(revision: sources.Revision) -> str:
    """Return a commit with author and subject."""
    changed = ", with uncommitted changes" if revision.dirty else ""
    return f'{revision.commit[:10]} ({revision.author}, "{revision.subject}"{changed})'

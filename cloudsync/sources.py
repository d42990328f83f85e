"""The config repository as one snapshot: every file read once, nothing outside the folder, whole or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from cloudsync.model.finding import Finding, Where
from cloudsync.model.quick import dataclass
from cloudsync.policy.strict import MAX_BYTES, too_big

SETTINGS = "cloudsync.yaml"
MAX_FILES = 20_000
_YAML = (".yaml", ".yml")
_INVENTORY = (*_YAML, ".csv")
_READING = frozenset({"log", "rev-parse", "ls-tree", "cat-file"})
"""What git does without looking at files, only at its own objects."""
_SKIPPED = frozenset({".git", ".cloudsync", ".venv", "node_modules"})

Content = tuple[str, bytes]
"""Path from the repository root with forward slashes, and the bytes."""


@dataclass(frozen=True, slots=True)
class Sources:
    """One snapshot; files sorted by path. With findings it is not whole and must not be used."""

    root: str
    policy: tuple[Content, ...]
    inventory: tuple[Content, ...]
    findings: tuple[Finding, ...] = ()

    def digest(self, settings: bytes = b"") -> str:
        """Return sha256 over all paths and bytes, in hex: the same digest means the same input."""
        from hashlib import sha256

        total = sha256()
        for path, content in ((SETTINGS, settings), *self.policy, *self.inventory):
            total.update(f"{len(path.encode())} {len(content)}\n".encode() + path.encode() + content)
        return total.hexdigest()


@dataclass(frozen=True, slots=True)
class Revision:
    """The commit that the files stand on. `dirty`: some file differs from it."""

    commit: str
    author: str
    subject: str
    dirty: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """A file as it was listed: where it is, and the stamp that shows a change."""

    path: str
    stamp: tuple[int, int, int, int]


def read_settings(root: Path) -> tuple[bytes | None, tuple[Finding, ...]]:
    """Return the bytes of cloudsync.yaml, None with findings when there is none or it cannot be read."""
    entry = _entry(root, root.resolve(), SETTINGS)
    if entry is None:
        hint = "cloudsync init writes a commented start; -C DIR names another folder"
        return None, (Finding(Where(SETTINGS), "NO-SETTINGS", "no cloudsync.yaml here", hint),)
    if isinstance(entry, Finding):
        return None, (entry,)
    content = _read(root, entry)
    return (None, (content,)) if isinstance(content, Finding) else (content, ())


def read_beside(root: Path, name: str) -> tuple[bytes | None, tuple[Finding, ...]]:
    """Return the bytes of a file that may stand beside cloudsync.yaml; None without findings when it does not."""
    entry = _entry(root, root.resolve(), name)
    if entry is None or isinstance(entry, Finding):
        return None, (entry,) if entry else ()
    content = _read(root, entry)
    return (None, (content,)) if isinstance(content, Finding) else (content, ())


def read(root: Path, *, policy: str = "policy", inventory: str = "inventory", manifest: Mapping[str, str] | None = None) -> Sources:
    """Return the snapshot of a repository. `manifest` maps paths to sha256 (hex) that the files must have, no more files and no fewer."""
    listed, findings = scan(root, policy, inventory)
    contents, wrong = read_listed(root, listed)
    findings += wrong
    again, _ = scan(root, policy, inventory)
    if not wrong and again != listed:
        changed = sorted({entry.path for entry in set(again) ^ set(listed)})
        findings += tuple(_torn(path, "it changed while the repository was read") for path in changed)
    if manifest is not None:
        findings += tuple(_against(manifest, contents))
    in_policy = tuple(content for content in contents if _inside(content[0], policy) and content[0].endswith(_YAML))
    in_inventory = tuple(content for content in contents if _inside(content[0], inventory))
    ordered = sorted(set(findings), key=lambda finding: (finding.where, finding.code, finding.message))
    return Sources(str(root), in_policy, in_inventory, tuple(ordered))


def scan(root: Path, policy: str, inventory: str) -> tuple[tuple[Entry, ...], tuple[Finding, ...]]:
    """List every input file with its stamp, sorted by path; links that lead outside are findings."""
    top = root.resolve()
    found: dict[str, Entry] = {}
    findings: list[Finding] = []
    for folder, endings in ((policy, _YAML), (inventory, _INVENTORY)):
        for path in _walk(root, top, folder, findings):
            if not path.endswith(endings):
                continue
            entry = _entry(root, top, path)
            if isinstance(entry, Finding):
                findings.append(entry)
            elif entry is not None:
                found[path] = entry
        if len(found) > MAX_FILES:
            findings.append(Finding(Where(folder), "TOO-BIG", f"more than {MAX_FILES} files", "is this the right folder?"))
            break
    return tuple(found[path] for path in sorted(found)), tuple(findings)


def read_listed(root: Path, listed: Iterable[Entry]) -> tuple[tuple[Content, ...], tuple[Finding, ...]]:
    """Read every listed file once, in order; a file that is not what was listed is a finding."""
    contents: list[Content] = []
    findings: list[Finding] = []
    for entry in listed:
        content = _read(root, entry)
        if isinstance(content, Finding):
            findings.append(content)
        else:
            contents.append((entry.path, content))
    return tuple(contents), tuple(findings)


def git(root: Path, *arguments: str, given: bytes = b"") -> bytes | None:
    """Return what git prints, None when it does not do it. `given`: its standard input.

    No hook, pager, lock or configured program of the repository runs, and nothing is fetched: its owner may be somebody else. Reading
    objects starts no program, so it needs no trust in that owner; the service runs as a user who owns nothing. Other commands may
    start filters: they work where the owner is root, or whoever git itself trusts.
    """
    import subprocess

    settings = ["core.fsmonitor=false", "core.hooksPath=/dev/null", "protocol.allow=never"]
    if arguments[0] in _READING or root.stat().st_uid == 0:
        settings.append("safe.directory=*")
    command = ["git", *(word for one in settings for word in ("-c", one)), "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, input=given, timeout=20, check=False)  # noqa: S603 - see above
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def revision(root: Path, commit: str = "") -> Revision | None:
    """Return a commit of the repository by asking git, the one that the files stand on without a name; None when there is none."""
    shown = git(root, "log", "-1", "--no-show-signature", "--format=%H%x00%an%x00%s", *([commit] if commit else []), "--")
    if shown is None or shown.count(b"\0") != 2:
        return None
    found, author, subject = shown.decode("utf-8", "replace").rstrip("\n").split("\0")
    changed = b"" if commit else git(root, "status", "--porcelain", "--", ".")
    return Revision(found, author, subject, dirty=changed is None or bool(changed.strip()))


def _walk(root: Path, top: Path, folder: str, findings: list[Finding]) -> Iterator[str]:
    """Yield the paths of all files under a folder; a linked folder is followed only when it stays inside."""
    pending = [folder]
    seen: set[Path] = set()
    while pending:
        path = pending.pop()
        real = _real(root / path)
        if real is None:
            findings.append(Finding(Where(path), "UNREADABLE", "the link leads in circles"))
            continue
        if not real.is_relative_to(top):
            findings.append(_outside(root, path))
            continue
        if real in seen or not real.is_dir():
            continue
        seen.add(real)
        with os.scandir(root / path) as entries:
            for item in sorted(entries, key=lambda one: one.name):
                below = f"{path}/{item.name}"
                folder_too = _is_folder(item)
                if folder_too and item.name not in _SKIPPED:
                    pending.append(below)
                elif not folder_too:
                    yield below


def _is_folder(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:  # a link that leads in circles: whoever reads it says so
        return False


def _real(path: Path) -> Path | None:
    """Return where a path leads, None when it leads in circles."""
    try:
        return path.resolve()
    except (RuntimeError, OSError):  # which of the two depends on the version of Python
        return None


def _entry(root: Path, top: Path, path: str) -> Entry | Finding | None:
    """Return a file's stamp, a finding when it must not be read, None when it is not there."""
    real = _real(root / path)
    if real is None:
        return Finding(Where(path), "UNREADABLE", "the link leads in circles")
    if not real.is_relative_to(top):
        return _outside(root, path)
    try:
        found = real.stat()
    except OSError:
        return Finding(Where(path), "UNREADABLE", "the link leads nowhere") if (root / path).is_symlink() else None
    if not stat.S_ISREG(found.st_mode):
        return Finding(Where(path), "UNREADABLE", "not a regular file")
    return Entry(path, _stamp(found))


def _stamp(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev


def _read(root: Path, entry: Entry) -> bytes | Finding:
    """Read one file, at most one byte over the limit, without following a link put there since it was listed."""
    if entry.stamp[0] > MAX_BYTES:
        return too_big(entry.path)
    try:
        handle = os.open((root / entry.path).resolve(), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in {2, 20, 40}:
            return _torn(entry.path, "it changed while the repository was read")
        return Finding(Where(entry.path), "UNREADABLE", error.strerror or "cannot be read")
    with os.fdopen(handle, "rb") as file:
        content = file.read(MAX_BYTES + 1)
        after = _stamp(os.fstat(handle))
    if after != entry.stamp or len(content) != entry.stamp[0]:
        return _torn(entry.path, "it changed while the repository was read")
    return content


def _outside(root: Path, path: str) -> Finding:
    link = root / path
    target = f" -> {link.readlink()}" if link.is_symlink() else ""
    return Finding(Where(path), "OUTSIDE-ROOT", f"{path}{target} leads outside the repository", "put the file itself there")


def _torn(path: str, why: str) -> Finding:
    return Finding(Where(path), "TORN-READ", f"snapshot is not whole: {why}", "run again")


def _against(manifest: Mapping[str, str], contents: Iterable[Content]) -> Iterator[Finding]:
    from hashlib import sha256

    left = dict(manifest)
    for path, content in contents:
        wanted = left.pop(path, None)
        if wanted is None:
            yield _torn(path, "it is not in the manifest")
        elif sha256(content).hexdigest() != wanted.lower():
            yield _torn(path, "it differs from the manifest")
    for path in sorted(left):
        yield _torn(path, "the manifest names it, but it is not there")


def _inside(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/")

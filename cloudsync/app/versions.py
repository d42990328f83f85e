"""Versions of the config repository: whole commits, or, where there is no git, a folder that has come to rest.

A commit is read from git's own objects, so that neither a pull under way nor an editor's half-saved file is ever seen.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from cloudsync import sources
from cloudsync.app.repository import Loaded, load, policy_name, revision_words
from cloudsync.model.errors import InputError
from cloudsync.model.finding import Finding, Where
from cloudsync.model.quick import dataclass

MAX_BYTES = 256 << 20
"""Of all files of a commit."""
MAX_BACK = 50
"""So many commits are looked back over for one that can be used."""
_FILE, _PROGRAM, _LINK = "100644", "100755", "120000"
_COUNTED = ("yaml", "yml", "csv", "json", "tfstate")


@dataclass(frozen=True, slots=True)
class Version:
    """A version that could be loaded. `id`: a commit, or a digest of the folder's stamps."""

    id: str
    loaded: Loaded

    @property
    def words(self) -> str:
        """It in words, for people."""
        return policy_name(self.loaded)


class Versions:
    """The versions of one repository."""

    def __init__(self, root: Path) -> None:
        self.root = root
        listed = sources.git(root, "ls-tree", "HEAD", "--", sources.SETTINGS) if root.is_dir() else None
        self.commits = bool(listed)
        """Whether they are commits. Where git knows nothing of cloudsync.yaml they are not."""

    def newest(self) -> str:
        """Return the id of what stands there now; empty when nobody can tell."""
        if not self.commits:
            return _stamps(self.root)
        found = sources.git(self.root, "rev-parse", "--verify", "HEAD^{commit}")
        return found.decode("ascii", "replace").strip() if found else ""

    def load(self, version: str) -> Version:
        """Return a version. Raises InputError with its findings."""
        if not self.commits:
            return Version(version, load(self.root, outside=False))
        with tempfile.TemporaryDirectory(prefix="cloudsync-") as folder:
            self.unpack(version, Path(folder))
            loaded = load(Path(folder), outside=False)
        revision = sources.revision(self.root, version)
        words = revision_words(revision) if revision is not None else version[:10]
        return Version(version, replace(loaded, root=self.root, version=words, revision=revision))

    def earlier(self, version: str) -> tuple[str, ...]:
        """Return the commits before a version, newest first; along the first parent, for those are what stood here."""
        if not self.commits or not version:
            return ()
        found = sources.git(self.root, "log", "--first-parent", "--format=%H", f"-{MAX_BACK}", "--skip=1", version, "--")
        return tuple(found.decode("ascii", "replace").split()) if found else ()

    def unpack(self, commit: str, folder: Path) -> None:
        """Write the files of a commit below a fresh folder of our own."""
        listed = sources.git(self.root, "ls-tree", "-r", "-z", "-l", commit, "--", ".")
        if listed is None:
            raise InputError([_unreadable(commit)])
        wanted: list[tuple[str, str, str]] = []
        total = 0
        for line in listed.decode("utf-8", "surrogateescape").split("\0"):
            head, _, path = line.partition("\t")
            words = head.split()
            if len(words) != 4 or words[0] not in (_FILE, _PROGRAM, _LINK):
                continue
            if path.rpartition(".")[2] in _COUNTED or words[0] == _LINK:
                wanted.append((words[0], words[2], path))
                total += int(words[3])
        if len(wanted) > sources.MAX_FILES or total > MAX_BYTES:
            raise InputError([Finding(Where(sources.SETTINGS), "TOO-BIG", f"commit {commit[:10]} has {total >> 20} MiB of files", "")])
        given = "".join(f"{name}\n" for _, name, _ in wanted).encode()
        content = sources.git(self.root, "cat-file", "--batch", given=given)
        if content is None:
            raise InputError([_unreadable(commit)])
        at = 0
        links: list[tuple[Path, bytes]] = []
        for mode, _, path in wanted:
            end = content.index(b"\n", at)
            size = int(content[at:end].split()[2])
            found = content[end + 1 : end + 1 + size]
            at = end + 1 + size + 1
            place = folder / path
            if ".." in Path(path).parts or not place.is_relative_to(folder):
                raise InputError([_unreadable(commit)])
            if mode == _LINK:
                links.append((place, found))
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(found)
        for place, found in links:  # last, so that nothing is written through one
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists():
                place.symlink_to(found.decode("utf-8", "surrogateescape"))


def _stamps(root: Path) -> str:
    """Return a digest of names, sizes and times of everything that may be read; cheap, and another one after every change."""
    from hashlib import sha256

    total = sha256()
    for path in sorted(root.rglob("*")):
        if path.suffix.removeprefix(".") in _COUNTED and not any(part.startswith(".") for part in path.relative_to(root).parts):
            try:
                found = path.stat()
            except OSError:
                continue
            total.update(f"{path} {found.st_size} {found.st_mtime_ns} {found.st_ino}\n".encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def _unreadable(commit: str) -> Finding:
    return Finding(Where(sources.SETTINGS), "NO-COMMIT", f"git cannot read commit {commit[:10]}", "is the repository whole? git fsck tells")

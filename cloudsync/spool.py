"""What waits to be told: one file for each parcel, written whole, kept until its receiver has it. A run never waits for a receiver.

A parcel is known by the digest in its name. One that waits or was handed over is not taken a second time.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from cloudsync.model.quick import dataclass

FIRST_WAIT_S, LONGEST_WAIT_S = 60.0, 3600.0
KEPT_S = 5 * 86400.0
"""After so long a parcel goes to the folder `failed`: what mail servers do, too (RFC 5321, 4.5.4.1)."""
SENT = "sent"
SENT_KEPT = 5000
FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Parcel:
    """One thing to hand over. Times are UTC seconds since the epoch."""

    channel: str
    """`mail`, or `hook-NAME`."""
    id: str
    at: float
    content: bytes
    suffix: str

    @property
    def name(self) -> str:
        """The file's name: time first, so that names sort by age."""
        return f"{int(self.at):010d}-{self.channel}-{digest(self.id)}{self.suffix}"


@dataclass(frozen=True, slots=True)
class Wait:
    """Why something is not done yet, and when it is tried again. `left`: receivers that do not have it, all when empty."""

    attempts: int = 0
    next: float = 0.0
    why: str = ""
    left: tuple[str, ...] = ()

    def again(self, now: float, why: str, left: tuple[str, ...] = ()) -> Wait:
        """Return the wait after one more failure: twice as long as before, an hour at most."""
        delay = min(FIRST_WAIT_S * 2 ** min(self.attempts, 16), LONGEST_WAIT_S)
        return Wait(self.attempts + 1, now + delay, why, left)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A parcel in the spool."""

    path: Path
    at: float
    wait: Wait

    @property
    def key(self) -> str:
        """The digest of its id."""
        return self.path.stem.rpartition("-")[2]

    def content(self) -> bytes:
        """Return what is to be handed over."""
        return self.path.read_bytes()


def digest(identity: str) -> str:
    """Return what a parcel is known by."""
    return sha256(identity.encode()).hexdigest()[:24]


class Spool:
    """A folder of parcels. OSError of any method means that the folder cannot be used."""

    def __init__(self, folder: Path) -> None:
        """Nothing is made before the first parcel comes."""
        self.folder = folder

    def put(self, parcel: Parcel) -> bool:
        """Take a parcel, durably. False when it waits here, was handed over, or was given up."""
        self._prepare()
        key = digest(parcel.id)
        if self.knows(parcel.id):
            return False
        draft = self.folder / f".{key}.{os.getpid()}"
        _write(draft, parcel.content)
        draft.replace(self.folder / parcel.name)
        _sync(self.folder)
        return True

    def knows(self, identity: str) -> bool:
        """Tell whether a parcel waits here, was handed over, or was given up."""
        key = digest(identity)
        here = any(self.folder.glob(f"*-{key}.*")) or any((self.folder / FAILED).glob(f"*-{key}.*"))
        return here or key in self._sent()

    def waiting(self, channel: str = "") -> tuple[Waiting, ...]:
        """Return what waits, oldest first."""
        found: list[Waiting] = []
        for path in sorted(self.folder.glob("[0-9]*")):
            stamp, _, rest = path.name.partition("-")
            if path.suffix in (".eml", ".json") and stamp.isdecimal() and (not channel or rest.rpartition("-")[0] == channel):
                found.append(Waiting(path, float(stamp), _read(path.with_suffix(".wait"))))
        return tuple(found)

    def channel_wait(self, channel: str) -> Wait:
        """Return how long nothing is tried on a channel at all."""
        return _read(self.folder / f"{channel}.down")

    def down(self, channel: str, now: float, why: str) -> None:
        """Note that a channel did not work: nothing is tried on it for a while."""
        self._prepare()
        _write(self.folder / f"{channel}.down", _text(self.channel_wait(channel).again(now, why)))

    def up(self, channel: str) -> None:
        """Note that a channel works."""
        (self.folder / f"{channel}.down").unlink(missing_ok=True)

    def done(self, one: Waiting) -> None:
        """Forget a parcel that its receiver has. The note comes first: dying between the two sends nothing twice."""
        with (self.folder / SENT).open("a", encoding="ascii") as log:
            log.write(one.key + "\n")
            log.flush()
            os.fsync(log.fileno())
        self._forget(one)
        keys = self._sent()
        if len(keys) > 2 * SENT_KEPT:
            draft = self.folder / f".{SENT}.{os.getpid()}"
            _write(draft, "".join(f"{key}\n" for key in list(keys)[-SENT_KEPT:]).encode())
            draft.replace(self.folder / SENT)

    def later(self, one: Waiting, now: float, why: str, left: tuple[str, ...] = ()) -> bool:
        """Keep a parcel for another try; False when that has gone on for too long and it lies in `failed` now."""
        if now - one.at > KEPT_S:
            (self.folder / FAILED).mkdir(mode=0o700, exist_ok=True)
            _write((self.folder / FAILED / one.path.name).with_suffix(".why"), _text(one.wait.again(now, why, left)))
            one.path.replace(self.folder / FAILED / one.path.name)
            self._forget(one)
            return False
        _write(one.path.with_suffix(".wait"), _text(one.wait.again(now, why, left)))
        return True

    @contextmanager
    def only_one(self, name: str) -> Iterator[bool]:
        """Hold a lock for a block; false when somebody else has it, who then does the work."""
        self._prepare()
        handle = os.open(self.folder / f".{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
        finally:
            os.close(handle)

    def _prepare(self) -> None:
        if not self.folder.is_dir():
            self.folder.mkdir(mode=0o700, parents=True)

    def _sent(self) -> dict[str, None]:
        try:
            return dict.fromkeys((self.folder / SENT).read_text(encoding="ascii", errors="replace").split())
        except FileNotFoundError:
            return {}

    def _forget(self, one: Waiting) -> None:
        one.path.unlink(missing_ok=True)
        one.path.with_suffix(".wait").unlink(missing_ok=True)
        _sync(self.folder)


def _text(wait: Wait) -> bytes:
    return json.dumps({"attempts": wait.attempts, "next": wait.next, "why": wait.why, "left": list(wait.left)}).encode() + b"\n"


def _read(path: Path) -> Wait:
    """Return a wait; one that is missing or broken is none: then it is simply tried again."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads(path.read_bytes())
        return Wait(int(found["attempts"]), float(found["next"]), str(found["why"]), tuple(map(str, found["left"])))
    return Wait()


def _write(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

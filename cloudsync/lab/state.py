"""The folder of a lab: lab.json, lab.log, and whether the process it names is alive and ours."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .aws.native import Json

FILE = "lab.json"
LOG = "lab.log"
SITES = ("azure", "f5", "gcp", "smtp")
"""Vendors beside AWS, and the mail server, each with a section of its own name."""


class LabError(Exception):
    """Something about the lab's folder or process; the message is for the user."""


@dataclass(frozen=True, slots=True)
class Account:
    """How to act as one account."""

    account: str
    access_key_id: str
    secret_access_key: str
    role_arn: str


@dataclass(frozen=True, slots=True)
class LabState:
    """What lab.json says."""

    endpoint: str
    region: str
    account: str
    access_key_id: str
    secret_access_key: str
    accounts: tuple[Account, ...]
    control: str
    token: str
    """Sent with every control request."""
    pid: int
    started: str
    """Start time of the process as the kernel counts it, so that a reused pid is not taken for ours."""
    estate: str
    seed: int
    sites: Mapping[str, Json] = field(default_factory=dict)
    """What the file says of the vendors beside AWS and of the mail server: `azure`, `f5` (one entry per unit), `gcp`, `smtp`."""

    def as_json(self) -> dict[str, Json]:
        """The file's content."""
        others = {
            each.account: {
                "access_key_id": each.access_key_id,
                "secret_access_key": each.secret_access_key,
                "role_arn": each.role_arn,
            }
            for each in self.accounts
        }
        return {
            "aws": {
                "endpoint": self.endpoint,
                "region": self.region,
                "account": self.account,
                "access_key_id": self.access_key_id,
                "secret_access_key": self.secret_access_key,
                "accounts": others,
            },
            **self.sites,
            "control": {"endpoint": self.control, "token": self.token},
            "pid": self.pid,
            "started": self.started,
            "estate": self.estate,
            "seed": self.seed,
        }


def of_json(found: Mapping[str, Json]) -> LabState:
    """Read lab.json's content."""
    aws = found["aws"]
    accounts = tuple(
        Account(account, one["access_key_id"], one["secret_access_key"], one["role_arn"]) for account, one in aws["accounts"].items()
    )
    return LabState(
        endpoint=aws["endpoint"],
        region=aws["region"],
        account=aws["account"],
        access_key_id=aws["access_key_id"],
        secret_access_key=aws["secret_access_key"],
        accounts=accounts,
        control=found["control"]["endpoint"],
        token=found["control"]["token"],
        pid=int(found["pid"]),
        started=str(found["started"]),
        estate=str(found["estate"]),
        seed=int(found["seed"]),
        sites={name: found[name] for name in SITES if name in found},
    )


def write(folder: Path, state: LabState) -> None:
    """Write lab.json whole or not at all, readable by its owner alone."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{FILE}.{os.getpid()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(json.dumps(state.as_json(), indent=2) + "\n")
    draft.replace(folder / FILE)


def read(folder: Path) -> LabState:
    """Read lab.json, or say what is wrong with it."""
    path = folder / FILE
    try:
        return of_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise LabError(f"no lab in {folder}: there is no {FILE}. Start one with: cloudsync lab up --dir {folder}") from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise LabError(f"{path} is not a lab file: {error}") from None


def forget(folder: Path, pid: int) -> None:
    """Remove lab.json if it still speaks of this process."""
    try:
        if read(folder).pid == pid:
            (folder / FILE).unlink(missing_ok=True)
    except LabError:
        return


def start_time(pid: int) -> str | None:
    """The start time of a living process; None when there is none (a zombie is dead). Without /proc: only that it lives."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.parent.parent.exists() and Path("/proc/self/stat").exists():
        try:
            after_name = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if after_name[0] in ("Z", "X") else after_name[19]
    try:
        os.kill(pid, 0)
    except OSError:
        return None
    return "alive"


def is_running(state: LabState) -> bool:
    """Is the process of the file still the one that wrote it?"""
    return start_time(state.pid) == state.started

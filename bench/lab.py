"""What every benchmark against the lab needs: our command, a client, credentials, calls that take time."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from bench.measure import Series
from cloudsync.lab import server

PYTHON = sys.executable
_SCRIPT = Path(PYTHON).parent / "cloudsync"
CLOUDSYNC = [str(_SCRIPT)] if _SCRIPT.exists() else [PYTHON, "-m", "cloudsync.cli.main"]
READS = ("Describe", "Get", "List", "Assume")

Figures = dict[str, Any]


def client_of(lab: server.Lab) -> Any:
    """Return a plain EC2 client of the lab."""
    return boto3.client(
        "ec2",
        region_name="us-east-1",
        endpoint_url=lab.endpoint,
        aws_access_key_id=lab.state.access_key_id,
        aws_secret_access_key=lab.state.secret_access_key,
    )


def credentials(lab: server.Lab) -> dict[str, str]:
    """Return the environment that a client of the lab needs."""
    return {
        "AWS_ACCESS_KEY_ID": lab.state.access_key_id,
        "AWS_SECRET_ACCESS_KEY": lab.state.secret_access_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def later(lab: server.Lab, seconds: float) -> None:
    """Have every call take that much longer, as over a long way."""
    lab.control.no_faults()
    if seconds:
        lab.control.fault("*", "slow", seconds=seconds, times=1_000_000_000)


def writes(calls: Mapping[str, int]) -> dict[str, int]:
    """Return the calls that change something."""
    return {name: many for name, many in calls.items() if not name.split(":")[1].startswith(READS)}


@contextmanager
def temporary() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        yield Path(name)


def series(found: Series) -> Figures:
    """Return the figures of a series."""
    walls = [run.wall_s for run in found.runs]
    return {
        "wall_s": round(found.wall_s, 4),
        "wall_min_s": round(min(walls), 4),
        "wall_max_s": round(max(walls), 4),
        "cpu_s": round(found.cpu_s, 4),
        "peak_mb": round(found.peak_mb, 1),
        "runs": len(found.runs),
    }

"""Start-up: from exec of `cloudsync reconcile` to the first byte of its first call, beside a script that only makes the vendor's client."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

from bench.lab import CLOUDSYNC, PYTHON, Figures, temporary
from bench.measure import Run, alternating, once
from bench.platforms import NAMES, environment, one_target
from bench.tap import Tap
from cloudsync.lab import server
from cloudsync.model import quick

SDK = {
    "aws": "import boto3; boto3.client('ec2', region_name='us-east-1', aws_access_key_id='x', aws_secret_access_key='x')",
    "gcp": "from google.auth.credentials import AnonymousCredentials as A; from google.cloud.compute_v1 import FirewallsClient as C; "
    "C(credentials=A())",
    "azure": "from azure.identity import ClientSecretCredential as S; from azure.mgmt.network import NetworkManagementClient as N; "
    "N(S('t' * 8, 'x', 'x'), 'x')",
    "f5": "from icontrol.session import iControlRESTSession as S; S('x', 'x', token=True)",
}
"""What a plain script needs before it can send anything."""
PLAIN = {"aws": "boto3's EC2 client", "gcp": "compute_v1's client", "azure": "the network client", "f5": "the icontrol session"}


CLASSES = 300


def values(times: int) -> None:
    """Print the CPU of making a class of plain values, by the standard library and by ours; the least of several rounds."""
    standard, ours = (min(_made(make) for _ in range(times)) for make in (dataclasses.dataclass, quick.dataclass))
    print(f"a class of values: {standard:.3f} ms by the standard library, {ours:.3f} ms by ours ({times} x {CLASSES} classes)")


def _made(make: Callable[..., Any]) -> float:
    started = time.process_time()
    for _ in range(CLASSES):

        @make(frozen=True, slots=True)
        class _Value:
            name: str
            scope: str
            first: int
            last: int
            rules: tuple[str, ...] = ()
            note: str = ""

    return (time.process_time() - started) / CLASSES * 1000


def measure(times: int) -> Figures:
    """Return, per platform, how soon a warm run starts its first call."""
    figures: Figures = {}
    print(f"\nstart-up, load {os.getloadavg()[0]:.1f}")
    values(times)
    with server.running(estate="four", seed=1) as lab:
        exports = environment(lab)
        for name in NAMES:
            with temporary() as root, one_target(root / "repository", lab, name) as tap:
                command = [*CLOUDSYNC, "reconcile", "-C", str(root / "repository")]
                once(command, exports)
                once([PYTHON, "-c", SDK[name]])
                makers = [partial(once, [PYTHON, "-c", SDK[name]]), partial(_watched, command, exports, tap)]
                plain, ours = alternating([PLAIN[name], f"reconcile, {name}"], makers, times)
            firsts = [run.first_s for run in ours.runs]
            figures[name] = {
                "first_s": round(median(firsts), 3),
                "first_min_s": round(min(firsts), 3),
                "first_max_s": round(max(firsts), 3),
                "first_cpu_s": round(median(run.first_cpu_s for run in ours.runs), 3),
                "process_cpu_s": round(ours.cpu_s, 3),
                "plain": PLAIN[name],
                "plain_s": round(plain.wall_s, 3),
                "plain_cpu_s": round(plain.cpu_s, 3),
                "ratio": round(median(firsts) / plain.wall_s, 2),
                "ratio_cpu": round(median(run.first_cpu_s for run in ours.runs) / plain.cpu_s, 2),
                "runs": times,
                "load": round(os.getloadavg()[0], 1),
            }
            one = figures[name]
            print(
                f"  {name:<6} first byte after {one['first_s']} s (min {one['first_min_s']} max {one['first_max_s']}, {times} runs),"
                f" {one['first_cpu_s']} s of CPU = {one['ratio_cpu']} x {PLAIN[name]} ({one['plain_cpu_s']} s)"
            )
    return figures


def _watched(command: list[str], exports: dict[str, str], tap: Tap) -> Run:
    tap.forget()
    started = time.perf_counter()
    run = once(command, exports, watch=tap.watch)
    assert tap.first is not None, f"no call came\n{run.out}"
    return replace(run, first_s=tap.first - started, first_cpu_s=tap.first_cpu_s)

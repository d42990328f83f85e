"""`python -m bench`: whole processes against one lab, ours beside a plain script that only reads; ratios, calls at the wire, memory.

Every figure checks its answer first: a no-op that writes, or a plan that fails, ends the benchmark.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import boto3

from bench import estate, scale
from bench.measure import Series, alternating, once
from cloudsync.lab import server

HERE = Path(__file__).parent
PYTHON = sys.executable
_SCRIPT = Path(PYTHON).parent / "cloudsync"
CLOUDSYNC = [str(_SCRIPT)] if _SCRIPT.exists() else [PYTHON, "-m", "cloudsync.cli.main"]
READS = ("Describe", "Get", "List", "Assume")

Figures = dict[str, Any]


def main() -> int:
    """Run the chosen benchmarks, print their figures and write them to one file."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--only",
        default="validate,20,1000,memory",
        help="which: validate, a number of groups, memory, scale (compile, up to a million workloads)",
    )
    parser.add_argument("--times", type=int, default=7, help="runs of each command (medians)")
    parser.add_argument("--workloads", type=int, default=10_000)
    parser.add_argument("--rules", type=int, default=1_000)
    parser.add_argument("--out", type=Path, default=Path(".bench/figures.json"))
    given = parser.parse_args()
    figures: Figures = {"machine": machine(), "times": given.times}
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; medians of {given.times} whole processes, alternating")
    for name in given.only.split(","):
        if name == "validate":
            figures[name] = validate(given.times)
        elif name == "memory":
            figures[name] = memory(given.workloads, given.rules)
        elif name == "scale":
            figures[name] = scale.series(times=min(given.times, 3))
        else:
            figures[f"groups-{name}"] = groups(int(name), given.times)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    print(f"written: {given.out}")
    return 0


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=HERE).stdout.strip()
    return {"python": platform.python_version(), "cores": os.cpu_count(), "commit": commit, "boto3": boto3.__version__}


def validate(times: int) -> Figures:
    """CPU of `cloudsync validate` of the example, over a bare interpreter."""
    with tempfile.TemporaryDirectory() as name:
        root = example(Path(name))
        bare, ours = alternating(
            ["python -c pass", "cloudsync validate"],
            [lambda: once([PYTHON, "-c", "pass"]), lambda: once([*CLOUDSYNC, "validate", "-C", str(root)])],
            max(times, 9),
        )
    over = ours.cpu_s - bare.cpu_s
    print(f"\nvalidate of the example: {over * 1000:.0f} ms of CPU over a bare interpreter ({ours.cpu_s:.3f} - {bare.cpu_s:.3f} s)")
    return {"cpu_over_bare_s": round(over, 4), **series(ours), "bare_cpu_s": bare.cpu_s}


def example(folder: Path) -> Path:
    """Return a config repository to validate: the example, where the checkout has it, else what `init` writes."""
    shipped = HERE.parent / "config" / "example"
    if (shipped / "cloudsync.yaml").exists():
        return shipped
    once([*CLOUDSYNC, "init", str(folder / "example")])
    return folder / "example"


def groups(count: int, times: int) -> Figures:
    """Apply, then no-op, with `count` groups in the account: at most 20 of them ours, the others somebody else's."""
    classes = min(count, 20)
    with server.running(estate="empty", seed=1) as lab, tempfile.TemporaryDirectory() as name:
        root = Path(name)
        client = client_of(lab)
        estate.machines(client, classes)
        if count > classes:
            estate.foreign(client, count - classes)
        text = estate.policy(classes, classes * 10)
        estate.repository(root, text, account=lab.state.account, endpoint=lab.endpoint)
        env = credentials(lab)
        lab.control.calls(clear=True)
        first = once([*CLOUDSYNC, "apply", "--yes", "-C", str(root)], env)
        applied = lab.control.calls(clear=True)
        floor_command = [PYTHON, str(HERE / "floor.py"), lab.endpoint, lab.state.access_key_id, lab.state.secret_access_key]
        ours_command = [*CLOUDSYNC, "apply", "--yes", "-C", str(root)]
        once(ours_command, env)
        calls = lab.control.calls(clear=True)
        writes = {name: many for name, many in calls.items() if not name.split(":")[1].startswith(READS)}
        if writes:
            sys.exit(f"benchmark stopped: a second run wrote {writes}")
        once(floor_command)
        floor_calls = lab.control.calls(clear=True)
        floor, noop = alternating(
            [f"floor, {count} groups", f"no-op, {count} groups"], [lambda: once(floor_command), lambda: once(ours_command, env)], times
        )
    ratio = noop.wall_s / floor.wall_s
    print(f"\n{count} groups ({classes} ours)\n  {floor.line()}\n  {noop.line()}")
    print(f"  no-op / floor = {ratio:.2f}   calls: no-op {sum(calls.values())}, floor {sum(floor_calls.values())}")
    print(
        f"  first apply {first.wall_s:.2f} s = {first.wall_s / floor.wall_s:.1f} x floor, calls {json.dumps(dict(sorted(applied.items())))}"
    )
    return {
        "ratio_noop": round(ratio, 3),
        "floor": series(floor),
        "noop": series(noop),
        "apply_wall_s": first.wall_s,
        "ratio_apply": round(first.wall_s / floor.wall_s, 2),
        "calls_apply": applied,
        "calls_noop": calls,
        "calls_floor": floor_calls,
    }


def memory(workloads: int, rules: int) -> Figures:
    """Peak memory and time of `plan`: most machines stand in the static inventory, because a cloud of that size takes minutes to build."""
    classes = 400
    with server.running(estate="empty", seed=1) as lab, tempfile.TemporaryDirectory() as name:
        root = Path(name)
        estate.machines(client_of(lab), 20)
        estate.repository(root, estate.policy(classes, rules), account=lab.state.account, endpoint=lab.endpoint)
        estate.static(root, workloads - 20, classes)
        static = once([*CLOUDSYNC, "plan", "-C", str(root)], credentials(lab), codes=(0, 2, 4))
    print(f"\nplan, {workloads} workloads x {rules} rules: peak {static.peak_mb:.0f} MB, {static.wall_s:.2f} s, exit {static.code}")
    return {"peak_mb": round(static.peak_mb, 1), "wall_s": static.wall_s, "exit": static.code, "workloads": workloads, "rules": rules}


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


def series(found: Series) -> Figures:
    """Return the figures of a series."""
    return {"wall_s": round(found.wall_s, 4), "cpu_s": round(found.cpu_s, 4), "peak_mb": round(found.peak_mb, 1), "runs": len(found.runs)}


if __name__ == "__main__":
    sys.exit(main())

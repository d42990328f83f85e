"""`python -m bench`: whole processes against one lab, ours beside plain scripts and other tools; ratios, calls at the wire, memory.

Every figure checks its answer first: a no-op that writes, or a plan that fails, ends the benchmark.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3

from bench import estate, page, proof, scale, startup
from bench.lab import CLOUDSYNC, PYTHON, Figures, client_of, credentials, series, writes
from bench.measure import alternating, once
from bench.peers import aerleon, ansible, custodian
from cloudsync.lab import server

HERE = Path(__file__).parent
OUT = Path(".bench/figures.json")
EVERYTHING = "startup,validate,ansible,custodian,aerleon,proof,20,1000,memory,scale"
WAITS_S = (0.0, 0.05)
"""What a call takes beside the lab's own work: nothing, and a long way."""
SCANNED = (20, 100, 1000)


def main() -> int:
    """Run the chosen benchmarks, print their figures, write them to one file and make the page from it."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", default=EVERYTHING, help=f"which of {EVERYTHING}; a number: so many groups, beside a plain script")
    parser.add_argument("--times", type=int, default=7, help="runs of each command (medians)")
    parser.add_argument("--peer-times", type=int, default=5, help="runs of each command beside a peer's")
    parser.add_argument("--applies", type=int, default=1, help="applies beside Ansible's, which sleeps a minute in each")
    parser.add_argument("--workloads", type=int, default=10_000)
    parser.add_argument("--rules", type=int, default=1_000)
    parser.add_argument("--most", type=int, default=1_000_000, help="no size of the scale series above this many workloads")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--add", action="store_true", help="keep the other parts of the file; each says when and of what commit it is")
    parser.add_argument("--page", type=Path, default=Path("docs/benchmarks"), help="folder of the page and its plots")
    given = parser.parse_args()
    compileall.compile_dir("cloudsync", quiet=2)
    compileall.compile_dir("adapters", quiet=2)
    kept = json.loads(given.out.read_text(encoding="utf-8")) if given.add and given.out.exists() else {}
    figures: Figures = {**kept, "machine": machine()}
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; medians of {given.times} whole processes, alternating")
    for name in given.only.split(","):
        part = f"groups-{name}" if name.isdecimal() else name
        about = {key: value for key, value in machine().items() if key in ("commit", "date", "load_at_start")}
        figures[part] = measured(name, given)
        figures["parts"] = {**figures.get("parts", {}), part: {**about, "load_at_end": round(os.getloadavg()[0], 1)}}
        figures["machine"]["load_at_end"] = round(os.getloadavg()[0], 1)
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        page.write(figures, given.page)
    print(f"written: {given.out}")
    print(f"written: {given.page}/README.md")
    return 0


def measured(name: str, given: argparse.Namespace) -> Any:
    """Return the figures of one part; None for what was not run."""
    times = given.peer_times
    match name:
        case "startup":
            return startup.measure(given.times)
        case "validate":
            return validate(given.times)
        case "memory":
            return memory(given.workloads, given.rules)
        case "ansible":
            return [ansible.measure(times, given.applies, wait_s) for wait_s in WAITS_S]
        case "custodian":
            return [custodian.measure(count, times, wait_s) for wait_s in WAITS_S for count in SCANNED if not wait_s or count < 1000]
        case "aerleon":
            return aerleon.measure(1_000, 10_000, times)
        case "proof":
            return proof.measure(min(given.times, 3))
        case "scale":
            return scale.series([size for size in scale.SIZES if size[0] <= given.most], min(given.times, 3))
        case _:
            return groups(int(name), given.times)


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    said = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False, cwd=HERE)
    commit = said.stdout.strip()  # `-dirty`: what was measured is that commit and changes that nobody can look up
    model = next((line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    memory_kb = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "cpu": model,
        "memory_gib": round(memory_kb / 2**20),
        "commit": commit,
        "boto3": boto3.__version__,
        "load_at_start": round(os.getloadavg()[0], 1),
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "words": " ".join(sys.argv[1:]),
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


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
        once(ours_command, env)  # looks for what the first one may have left behind; the next is a no-op like all others
        lab.control.calls(clear=True)
        once(ours_command, env)
        calls = lab.control.calls(clear=True)
        if writes(calls):
            sys.exit(f"benchmark stopped: a second run wrote {writes(calls)}")
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


if __name__ == "__main__":
    sys.exit(main())

"""Compile at scale: workloads and rules made up from a seed, compiled to tables in a process of its own, stage by stage.

`python -m bench.scale --one WORKLOADS RULES` is one such process; `series` runs many and fits how time grows with the workloads.
Seconds are CPU seconds of one thread, so that a busy machine does not count against it; wall seconds stand beside them. The tables hold
the text of every list; the document that `export tables` writes them into is timed apart.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import random
import resource
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.measure import once
from cloudsync.compile import arms, universe
from cloudsync.compile.allowed import Compiler
from cloudsync.compile.following import Following
from cloudsync.compile.tables import Tables, tables
from cloudsync.model.address import AddressSet
from cloudsync.model.finding import Where
from cloudsync.model.mode import Egress, Mode
from cloudsync.model.service import TCP, ServiceSet
from cloudsync.model.workload import DEFAULT_DOMAIN, Interface, Labels, PointId, Workload, WorkloadId
from cloudsync.policy.values import Action, Enforcement, LabelSelector, Policy, Rule, Who
from cloudsync.report.tables import tables_text

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SIZES = ((1_000, 10_000), (10_000, 10_000), (100_000, 10_000), (1_000_000, 10_000))
PORTS = (22, 80, 443, 3306, 5432, 8080, 9090)
ROLES, ENVIRONMENTS, PLACES = 20, 5, 12


def _popular(rng: np.random.Generator, many: int, kinds: int) -> NDArray[np.int64]:
    """Return draws of which a few are frequent and most are rare (Zipf, exponent 1.1)."""
    weight = 1 / np.arange(1, kinds + 1) ** 1.1
    return rng.choice(kinds, size=many, p=weight / weight.sum()).astype(np.int64)


def workloads(many: int, seed: int = 1) -> list[Workload]:
    """Return workloads of one network: each place and environment has a block of addresses in which applications stand together."""
    rng = np.random.default_rng(seed)
    role, app = _popular(rng, many, ROLES), _popular(rng, many, applications(many))
    env, place = _popular(rng, many, ENVIRONMENTS), _popular(rng, many, PLACES)
    block = place * ENVIRONMENTS + env
    order = np.lexsort((rng.random(many) * 3 + app, block))
    steps = np.cumsum(1 + (rng.random(many) < 0.1))
    first = np.searchsorted(block[order], block[order], side="left")
    address = np.empty(many, dtype=np.int64)
    address[order] = 0x0A000000 + (block[order] << 18) + steps - steps[first]
    shared: dict[tuple[int, ...], Labels] = {}
    found: list[Workload] = []
    rows = zip(role.tolist(), app.tolist(), env.tolist(), place.tolist(), address.tolist(), strict=True)
    for number, (*made, value) in enumerate(rows):
        key = tuple(made)
        labels = shared.get(key)
        if labels is None:
            labels = shared[key] = Labels.of({"role": f"r{made[0]}", "app": f"a{made[1]}", "env": f"e{made[2]}", "loc": f"l{made[3]}"})
        seat = Interface(f"eni-{number}", "vpc-1", AddressSet((value, value + 1)), DEFAULT_DOMAIN, PointId(f"p{number}"))
        found.append(Workload(WorkloadId(f"t/i-{number}"), f"w{number}", labels, (seat,), "t", ref=f"i-{number}"))
    return found


def applications(many: int) -> int:
    """Return how many applications an estate of so many workloads has."""
    return max(50, many // 100)


def policy(rules: int, apps: int, seed: int = 2) -> Policy:
    """Return rules between applications: half inside one, a third from another, the rest from a role or a whole environment."""
    rng = np.random.default_rng(seed)
    named = _popular(rng, 2 * rules, apps).tolist()
    found: list[Rule] = []

    def roles(most: int) -> tuple[str, ...]:
        return tuple(sorted({f"r{one}" for one in rng.integers(0, ROLES, int(rng.integers(1, most)))}))

    for number in range(rules):
        app, other, env = (f"a{named[2 * number]}",), (f"a{named[2 * number + 1]}",), (f"e{int(rng.integers(ENVIRONMENTS))}",)
        to = LabelSelector((("app", app), ("env", env), ("role", roles(3))))
        kind = rng.random()
        if kind < 0.5:
            source = LabelSelector((("app", app), ("env", env), ("role", roles(4))))
        elif kind < 0.85:
            source = LabelSelector((("app", other), ("env", env)))
        elif kind < 0.97:
            source = LabelSelector((("env", env), ("role", (f"r{int(rng.integers(ROLES))}",))))
        else:
            source = LabelSelector((("env", env),))
        port = int(rng.choice(PORTS))
        where = Where("policy.yaml", number + 1, 1)
        services = ServiceSet.ports(TCP, port, port)
        found.append(Rule(f"r#{number}", "r", where, Action.ALLOW, (Who(source),), (Who(to),), services, (None,), "made up"))
    return Policy((), (), tuple(found), (Enforcement(None, Mode.FULL, Egress.LEAVE),), ())


def compiled(rules: Policy, machines: Sequence[Workload], note: Callable[[str], None] = lambda _stage: None) -> Tables:
    """Return the tables, from nothing; tells of each stage that is done."""
    classes = universe.build(rules, machines)
    note("classes")
    resolved = arms.resolve(classes, rules, NOW)
    note("arms")
    found = tables(Compiler(classes, resolved), DEFAULT_DOMAIN)
    note("tables")
    return found


def one(many: int, rules: int) -> dict[str, Any]:
    """Compile once in this process. The collector of cycles is on, as in the program by then, and the inventory is nothing new to it."""
    machines, written = _given(many, rules)
    before = _peak()
    stages: dict[str, dict[str, float]] = {}
    marks = [(time.process_time(), time.perf_counter())]

    def note(stage: str) -> None:
        marks.append((time.process_time(), time.perf_counter()))
        (cpu, wall), (cpu_now, wall_now) = marks[-2:]
        stages[stage] = {"cpu_s": round(cpu_now - cpu, 4), "wall_s": round(wall_now - wall, 4)}

    found = compiled(written, machines, note)
    peak, begun = _peak(), time.process_time()
    document = tables_text(found, written)
    return {
        "workloads": many,
        "rules": rules,
        "cpu_s": round(marks[-1][0] - marks[0][0], 4),
        "wall_s": round(marks[-1][1] - marks[0][1], 4),
        "stages": stages,
        "peak_mb": round(peak, 1),
        "inventory_mb": round(before, 1),
        "document_cpu_s": round(time.process_time() - begun, 4),
        "document_mb": round(len(document) / 1e6, 1),
        "document_peak_mb": round(_peak(), 1),
        "classes": len(found.classes),
        "lists": len(found.lists),
        "prefixes": sum(map(len, found.lists.values())),
        "rows": sum(len(each.inbound) for each in found.classes),
    }


def _given(many: int, rules: int) -> tuple[list[Workload], Policy]:
    """Return workloads by id, as every inventory is, and rules; made up without the collector of cycles, which then counts them as old."""
    gc.disable()
    made = sorted(workloads(many), key=attrgetter("id")), policy(rules, applications(many))
    gc.collect()
    gc.enable()
    return made


def _peak() -> float:
    """Return the most memory this process ever had, in MB; what `getrusage` says begins with the memory of whoever started it."""
    with suppress(OSError):
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def changes(many: int, rules: int, times: int) -> dict[str, Any]:
    """Change one label of one workload, `times` times, and follow each; the end is compared with a compile from nothing."""
    given, written = _given(many, rules)
    machines = {one.id: one for one in given}
    begun = time.process_time()
    following = Following(written, machines.values(), NOW, DEFAULT_DOMAIN)
    ready = time.process_time() - begun
    dice = random.Random(3)
    ids = sorted(machines)
    kinds = {"role": ("r", ROLES), "app": ("a", applications(many)), "env": ("e", ENVIRONMENTS)}
    seconds: list[float] = []
    for _ in range(times):
        before = machines[dice.choice(ids)]
        key = dice.choice(sorted(kinds))
        letter, most = kinds[key]
        after = replace(before, labels=Labels.of({**dict(before.labels.pairs), key: f"{letter}{dice.randrange(most)}"}))
        machines[before.id] = after
        begun = time.process_time()
        following.change(before, after)
        seconds.append(time.process_time() - begun)
    if following.tables != compiled(written, list(machines.values())):
        sys.exit("benchmark stopped: what was followed is not what a compile from nothing says")
    seconds.sort()
    p50, p99 = seconds[len(seconds) // 2], seconds[min(len(seconds) * 99 // 100, len(seconds) - 1)]
    figures: dict[str, Any] = {
        "workloads": many,
        "rules": rules,
        "changed": times,
        "followed": following.followed,
        "prepared_s": round(ready, 4),
    }
    return figures | {"p50_ms": round(p50 * 1000, 3), "p99_ms": round(p99 * 1000, 3), "most_ms": round(seconds[-1] * 1000, 3)}


def series(sizes: Sequence[tuple[int, int]] = SIZES, times: int = 3) -> dict[str, Any]:
    """Return medians for each size, each run in a process of its own, and the exponent of growth with the workloads."""
    found: list[dict[str, Any]] = []
    for many, rules in sizes:
        runs: list[dict[str, Any]] = [
            json.loads(once([sys.executable, "-m", "bench.scale", "--one", str(many), str(rules)]).out) for _ in range(times)
        ]
        middle = sorted(runs, key=lambda run: float(run["cpu_s"]))[len(runs) // 2]
        point = {**middle, "peak_mb": max(run["peak_mb"] for run in runs), "wall_s": median(run["wall_s"] for run in runs), "runs": times}
        found.append(point)
        print(f"  {many:>9} workloads x {rules} rules: {point['cpu_s']:7.3f} s CPU, peak {point['peak_mb']:6.0f} MB")
    grown = exponent([(point["workloads"], point["cpu_s"]) for point in found])
    print(f"  time grows with the workloads to the power of {grown:.2f}")
    many, rules = max((size for size in sizes if size[0] <= 100_000), default=sizes[0])
    followed: dict[str, Any] = json.loads(once([sys.executable, "-m", "bench.scale", "--changes", str(many), str(rules)]).out)
    print(f"  one label changes among {many} workloads x {rules} rules: p50 {followed['p50_ms']} ms, p99 {followed['p99_ms']} ms of CPU")
    return {"series": found, "exponent": round(grown, 3), "label_change": followed}


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the straight line through the logarithms (least squares)."""
    if len({x for x, _ in points}) < 2:
        return math.nan
    xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)


def main() -> int:
    """Print one compile as JSON (`--one`), or run the series."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--one", type=int, nargs=2, metavar=("WORKLOADS", "RULES"))
    parser.add_argument("--changes", type=int, nargs=2, metavar=("WORKLOADS", "RULES"), help="changes of one label, followed")
    parser.add_argument("--most", type=int, default=1_000_000, help="no size above this many workloads")
    parser.add_argument("--times", type=int, default=3)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(*given.one)))
    elif given.changes:
        many, rules = given.changes
        print(json.dumps(changes(many, rules, 400)))
    else:
        print(json.dumps(series([size for size in SIZES if size[0] <= given.most], given.times)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

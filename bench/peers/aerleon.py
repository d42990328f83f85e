"""aerleon's compile beside ours: the same terms over the same addresses, both rendered as rules of Google Compute in JSON text."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from statistics import median
from typing import Any

from bench.lab import PYTHON, Figures, series, temporary
from bench.measure import alternating, once
from bench.peers.installed import installed, pinned

HERE = Path(__file__).parent
Rule = tuple[str, str, frozenset[str]]
"""Port, tag of the destination, source prefixes."""


def given(terms: int, addresses: int) -> dict[str, Any]:
    """Return the input of both: 100 classes whose addresses do not stand beside each other, and terms from class to class."""
    size = addresses // 100
    networks = {f"CLASS{one}": [f"10.{one}.{at // 128}.{at % 128 * 2 + 1}" for at in range(size)] for one in range(100)}
    services = {f"P{number}": 7000 + number for number in range(terms)}
    wanted = [
        {"name": f"t{number}", "source": f"CLASS{number % 100}", "tag": f"class{(number * 7 + 3) % 100}", "service": f"P{number}"}
        for number in range(terms)
    ]
    return {"networks": networks, "services": services, "terms": wanted}


def rules(text: str) -> set[Rule]:
    """Return what rules of Google Compute let through."""
    return {
        (port, tag, frozenset(one["sourceRanges"]))
        for one in json.loads(text)
        for allowed in one["allowed"]
        for port in allowed["ports"]
        for tag in one["targetTags"]
    }


def plain(one: Rule) -> Rule:
    """Write single addresses in one way."""
    return one[0], one[1], frozenset(prefix if "/" in prefix else f"{prefix}/32" for prefix in one[2])


def measure(terms: int, addresses: int, times: int) -> Figures | None:
    """Return the figures of both. The answers have to be the same set of rules."""
    programs = installed("aerleon")
    if programs is None:
        return None
    with temporary() as root:
        source = root / "input.json"
        source.write_text(json.dumps(given(terms, addresses)), encoding="utf-8")
        ours = [PYTHON, "-m", "bench.peers.aerleon_ours", str(source), str(root / "ours.json")]
        theirs = [str(programs / "python"), "-P", str(HERE / "aerleon_theirs.py"), str(source), str(root / "theirs.json")]
        once(ours)
        once(theirs)
        mine = {plain(one) for one in rules((root / "ours.json").read_text(encoding="utf-8"))}
        found = {plain(one) for one in rules(json.loads((root / "theirs.json").read_text(encoding="utf-8"))["bench.gce"])}
        if mine != found or len(mine) != terms:
            sys.exit(f"benchmark stopped: ours has {len(mine)} rules, aerleon {len(found)}, {len(mine ^ found)} of them differ")
        pair = alternating(["compile, ours", "compile, aerleon"], [lambda: once(ours), lambda: once(theirs)], times)
    inside = [[json.loads(run.out.splitlines()[-1]) for run in one.runs] for one in pair]
    compiled = [{name: round(median(one[name] for one in runs), 4) for name in runs[0]} for runs in inside]
    figures = {
        "versions": pinned("aerleon"),
        "terms": terms,
        "addresses": addresses,
        "load": round(os.getloadavg()[0], 1),
        "ours": series(pair[0]) | compiled[0],
        "theirs": series(pair[1]) | compiled[1],
        "ratio_compile": round(compiled[1]["compile_s"] / compiled[0]["compile_s"], 1),
        "ratio_compile_cpu": round(compiled[1]["compile_cpu_s"] / compiled[0]["compile_cpu_s"], 1),
        "ratio_with_sentences_cpu": round(
            compiled[1]["compile_cpu_s"] / (compiled[0]["compile_cpu_s"] + compiled[0]["sentences_cpu_s"]), 1
        ),
        "ratio_process_cpu": round(pair[1].cpu_s / pair[0].cpu_s, 1),
    }
    print(f"\naerleon, {terms} terms x {addresses} addresses, load {figures['load']}; the same {terms} rules from both")
    for one in pair:
        print(f"  {one.line()}")
    print(f"  compile and render: {figures['ratio_compile']}x as fast (by CPU time {figures['ratio_compile_cpu']}x)")
    return figures

"""Compile the same input with cloudsync: python aerleon_ours.py INPUT.json OUTPUT.json.

Prints seconds of wall and of CPU from plain addresses and rules to rendered text, and what it took before to read the rules' sentences.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from cloudsync.compile import arms, universe
from cloudsync.compile.allowed import Compiler
from cloudsync.compile.tables import tables
from cloudsync.model.address import AddressSet
from cloudsync.model.workload import DEFAULT_DOMAIN, Interface, Labels, Workload, WorkloadId
from cloudsync.policy.load import load_policy

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def sentences(given: dict[str, Any]) -> bytes:
    """Return the terms as a policy of ours."""
    classes = ", ".join(name.lower() for name in given["networks"])
    lines = ["version: 1", f"labels: {{app: [{classes}]}}", "enforcement: {default: full}", "rulesets:"]
    lines += ["  - name: bench", "    scope: all", "    owner: bench", "    rules:"]
    for term in given["terms"]:
        lines.append(f"      - allow app={term['source'].lower()} to app={term['tag']} on tcp/{given['services'][term['service']]}")
    return "\n".join(lines).encode()


def main(source: Path, target: Path) -> None:
    given = json.loads(source.read_text(encoding="utf-8"))
    text = sentences(given)
    with suppress(ImportError):  # the other's modules are loaded before its time is taken, and so are ours
        import_module("numpy")
    started = time.process_time()
    policy, findings = load_policy([("bench.yaml", text)])
    assert policy is not None, findings
    loaded, begun = time.process_time(), time.perf_counter()
    workloads = tuple(
        Workload(WorkloadId(address), address, labels, (Interface("", "", AddressSet.of(address)),))
        for labels, addresses in ((Labels.of({"app": name.lower()}), found) for name, found in given["networks"].items())
        for address in addresses
    )
    classes = universe.build(policy, workloads)
    made = tables(Compiler(classes, arms.resolve(classes, policy, NOW)), DEFAULT_DOMAIN)
    rules = [
        {
            "direction": "INGRESS",
            "name": row.rule,
            "priority": number,
            "sourceRanges": made.lists[row.peers],
            "allowed": [{"IPProtocol": row.services.partition("/")[0], "ports": [row.services.partition("/")[2]]}],
            "targetTags": [group.labels.get("app")],
        }
        for group in made.classes
        for number, row in enumerate(group.inbound)
    ]
    rendered = json.dumps(rules)
    wall_s, cpu_s = time.perf_counter() - begun, time.process_time() - loaded
    target.write_text(rendered, encoding="utf-8")
    print(json.dumps({"compile_s": wall_s, "compile_cpu_s": cpu_s, "sentences_cpu_s": loaded - started}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

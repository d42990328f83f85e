"""The same question for z3: python z3_proof.py LISTS.json. Prints the CPU seconds for the comparison of two lists."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import z3

PEER, PORT = z3.BitVec("peer", 32), z3.BitVec("port", 16)


def formula(rules: list[Any]) -> Any:
    """Return what passes a list: the first rule that matches decides, nothing without one."""
    passed = z3.BoolVal(val=False)
    for _, allows, network, length, ports in reversed(rules):
        here = z3.Extract(31, 32 - length, PEER) == network >> (32 - length)
        passed = z3.If(z3.And(here, z3.Or([port == PORT for port in ports])), z3.BoolVal(allows), passed)
    return passed


def same(one: list[Any], other: list[Any]) -> bool:
    solver = z3.Solver()
    solver.add(formula(one) != formula(other))
    return bool(solver.check() == z3.unsat)


def main(source: Path) -> None:
    lists = json.loads(source.read_text(encoding="utf-8"))["lists"]
    same(lists[0][:3], lists[0][:3])
    begun = time.process_time()
    equal = same(lists[0], lists[1])
    seconds = time.process_time() - begun
    print(json.dumps({"equal": equal, "unequal": not same(lists[0], lists[2]), "cpu_s": seconds}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

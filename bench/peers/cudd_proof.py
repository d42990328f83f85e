"""The same question for decision diagrams (CUDD): python cudd_proof.py LISTS.json. Prints the CPU seconds for two lists."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from dd import cudd


class Diagrams:
    """Lists as diagrams over the bits of port and peer, the highest bits first: two lists are the same when they are one node."""

    def __init__(self) -> None:
        self.bdd = cudd.BDD()
        self.bdd.configure(reordering=False)
        self.port = [f"p{bit}" for bit in range(16)]
        self.peer = [f"a{bit}" for bit in range(32)]
        self.bdd.declare(*self.port, *self.peer)

    def cube(self, names: list[str], value: int, width: int, length: int) -> Any:
        return self.bdd.cube({names[at]: bool(value >> (width - 1 - at) & 1) for at in range(length)})

    def of(self, rules: list[Any]) -> Any:
        passed = self.bdd.false
        for _, allows, network, length, ports in reversed(rules):
            services = self.bdd.false
            for port in ports:
                services |= self.cube(self.port, port, 16, 16)
            here = services & self.cube(self.peer, network, 32, length)
            passed = passed | here if allows else passed & ~here
        return passed


def main(source: Path) -> None:
    lists = json.loads(source.read_text(encoding="utf-8"))["lists"]
    begun = time.process_time()
    diagrams = Diagrams()
    first = diagrams.of(lists[0])
    equal = first == diagrams.of(lists[1])
    seconds = time.process_time() - begun
    print(json.dumps({"equal": equal, "unequal": first != diagrams.of(lists[2]), "cpu_s": seconds}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

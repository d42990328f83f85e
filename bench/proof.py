"""Proof of one enforcement point beside a solver and decision diagrams: are two first-match lists the same, and if not, for which packet?

Both lists are firewall rules of Google Compute as JSON text; ours reads them as the adapter does after it rendered a plan. The second
list is the first with prefixes cut in two; a third, with its first rule turned round, has to be found unequal by everybody first.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from bench.lab import PYTHON, Figures, temporary
from bench.measure import once
from bench.peers.installed import installed, pinned
from cloudsync.model.packets import PacketSet
from cloudsync_gcp import parse
from cloudsync_gcp.decode import decode
from cloudsync_gcp.table import GcpTable, Layout

HERE = Path(__file__).parent
SIZES = (100, 1_000, 10_000)
MOST = {"z3": 1_000, "cudd": 10_000}
"""Larger lists take the others minutes."""
PORTS = (22, 80, 443, 3306, 5432, 8080, 9090)
NETWORK = "projects/bench/global/networks/one"
NIC = "projects/bench/zones/z/instances/vm"
Rule = tuple[int, bool, int, int, Sequence[int]]
"""Priority, allows, network, prefix length, ports."""


def rules(many: int, *, few_ports: bool) -> list[Rule]:
    """Return a list of rules of which some overlap, some allow and some deny."""
    dice = random.Random(many)
    found: list[Rule] = []
    for priority in range(1, many + 1):
        length = dice.choice((16, 20, 24, 24, 28, 32))
        network = (10 << 24 | dice.randrange(1 << 24)) >> (32 - length) << (32 - length)
        ports = dice.sample(PORTS, dice.choice((1, 1, 2))) if few_ports else (dice.randrange(1 << 16),)
        found.append((priority, dice.random() > 0.3, network, length, ports))
    return found


def halved(found: Sequence[Rule]) -> list[Rule]:
    """Return the same packets in other words: every other prefix as its two halves."""
    cut: list[Rule] = []
    for priority, allows, network, length, ports in found:
        if length == 32 or priority % 2:
            cut.append((priority, allows, network, length, ports))
        else:
            cut += [(priority, allows, half, length + 1, ports) for half in (network, network + (1 << (31 - length)))]
    return cut


def turned(found: Sequence[Rule]) -> list[Rule]:
    """Return other packets: the first rule does the opposite."""
    first, *rest = found
    return [(first[0], not first[1], *first[2:]), *rest]


def rendered(found: Sequence[Rule]) -> str:
    """Return rules as Google's API shows them."""
    every = [
        {
            "name": f"r{number}",
            "network": f"https://www.googleapis.com/compute/v1/{NETWORK}",
            "priority": priority,
            "direction": "INGRESS",
            "sourceRanges": [f"{'.'.join(str(network >> shift & 255) for shift in (24, 16, 8, 0))}/{length}"],
            "allowed" if allows else "denied": [{"IPProtocol": "tcp", "ports": [str(port) for port in ports]}],
        }
        for number, (priority, allows, network, length, ports) in enumerate(found)
    ]
    return json.dumps(every)


def table(text: str) -> GcpTable:
    """Return the table of one machine and rules in JSON text, parsed as the adapter parses what it rendered."""
    network = parse.network({"selfLink": f"https://x/{NETWORK}"}, {"firewalls": [], "firewallPolicys": []})
    nic = {"name": "nic0", "network": f"https://x/{NETWORK}", "networkIP": "10.255.0.1"}
    machine = {"name": "vm", "selfLink": f"https://x/{NIC}", "networkInterfaces": [nic], "tags": {}, "serviceAccounts": []}
    nics = parse.by_point(parse.nics(machine, {network.key: network}))
    found = parse.by_name(parse.rule(one, "bench") for one in json.loads(text))
    return GcpTable("bench", "bench", found, nics, {network.key: network}, Layout())


def packets(parsed: GcpTable) -> PacketSet:
    """Return what the machine lets in."""
    (access,) = decode(parsed).values()
    return access.inbound


def answered(source: Path) -> dict[str, Any]:
    """Return what ours says of three lists, and the CPU seconds: for one list from its text on, and to decide two that were parsed."""
    texts = json.loads(source.read_text(encoding="utf-8"))["texts"]
    packets(table(rendered(rules(10, few_ports=True))))  # modules are loaded before anybody's time is taken
    begun = time.process_time()
    parsed = table(texts[0])
    read = time.process_time()
    first = packets(parsed)
    decided = time.process_time()
    second = table(texts[1])
    again = time.process_time()
    equal = first == packets(second)
    both = (decided - read) + (time.process_time() - again)
    other = packets(table(texts[2]))
    started = time.process_time()
    witness = ((first - other) or (other - first)).witness()
    named = time.process_time() - started
    unequal = first != other and witness is not None
    return {"equal": equal, "unequal": unequal, "cpu_s": both, "one_s": decided - begun, "witness_s": named}


def measure(times: int) -> list[Figures]:
    """Return the figures of every size, with few ports and with a port of its own for each rule."""
    programs = {"z3": PYTHON}
    diagrams = installed("dd")
    if diagrams is not None:
        programs["cudd"] = str(diagrams / "python")
    versions = {"z3": f"z3-solver {version('z3-solver')}", "cudd": f"CUDD by {pinned('dd')}"}
    print(f"\nproof of one enforcement point, load {os.getloadavg()[0]:.1f}")
    named = {"versions": ", ".join(versions[name] for name in programs)}
    return [_one(many, times, programs, few_ports=few_ports) | named for few_ports in (True, False) for many in SIZES]


def _one(many: int, times: int, programs: dict[str, str], *, few_ports: bool) -> Figures:
    first = rules(many, few_ports=few_ports)
    lists = [first, halved(first), turned(first)]
    commands = {"ours": [PYTHON, "-m", "bench.proof", "--one"]}
    commands |= {
        name: [program, "-P", str(HERE / "peers" / f"{name}_proof.py")] for name, program in programs.items() if many <= MOST[name]
    }
    said: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
    with temporary() as root:
        source = root / "lists.json"
        source.write_text(json.dumps({"lists": lists, "texts": list(map(rendered, lists))}), encoding="utf-8")
        for _ in range(times):
            for name, command in commands.items():
                answer = json.loads(once([*command, str(source)]).out.splitlines()[-1])
                if not (answer["equal"] and answer["unequal"]):
                    sys.exit(f"benchmark stopped: {name} says {answer} of {many} rules")
                said[name].append(answer)
    middle = {name: median(one["cpu_s"] for one in answers) for name, answers in said.items()}
    figures: Figures = {
        "rules": many,
        "rules_other": len(lists[1]),
        "few_ports": few_ports,
        "runs": times,
        "load": round(os.getloadavg()[0], 1),
        "one_s": round(median(one["one_s"] for one in said["ours"]), 4),
        "witness_s": round(median(one["witness_s"] for one in said["ours"]), 4),
        "cpu_s": {name: round(seconds, 4) for name, seconds in middle.items()},
        "ratio": {name: round(seconds / middle["ours"], 1) for name, seconds in middle.items() if name != "ours"},
    }
    beside = ", ".join(f"{name} {figures['cpu_s'][name]:.3f} s = {figures['ratio'][name]}x" for name in figures["ratio"])
    kind = "few ports" if few_ports else "a port each"
    ours = f"one point from its text {figures['one_s']:.4f} s of CPU; two decided {middle['ours']:.4f} s"
    print(f"  proof, {many} rules, {kind}: {ours}; {beside}")
    return figures


def main() -> int:
    """Answer for one file of lists (`--one`), or measure."""
    parser = argparse.ArgumentParser(prog="python -m bench.proof", description=__doc__)
    parser.add_argument("--one", type=Path)
    parser.add_argument("--times", type=int, default=3)
    given = parser.parse_args()
    print(json.dumps(answered(given.one) if given.one else measure(given.times)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

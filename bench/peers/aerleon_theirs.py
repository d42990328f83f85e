"""Compile the same input with aerleon, in its own environment. Usage: python aerleon_theirs.py INPUT.json OUTPUT.json.

The input is plain addresses and terms, so that no file format is measured. Prints the seconds from plain values to rendered
text. Nothing of cloudsync is imported here.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from aerleon import api
from aerleon.lib import naming


def main(source: Path, target: Path) -> None:
    given = json.loads(source.read_text(encoding="utf-8"))
    begun, started = time.perf_counter(), time.process_time()
    networks = {name: {"values": [{"address": one} for one in addresses]} for name, addresses in given["networks"].items()}
    services = {name: [{"protocol": "tcp", "port": port}] for name, port in given["services"].items()}
    names = naming.Naming()
    names.ParseDefinitionsObject({"networks": networks, "services": services}, "bench")
    policy: dict[str, Any] = {
        "filename": "bench",
        "filters": [
            {
                "header": {"targets": {"gce": "INGRESS"}, "comment": "bench"},
                "terms": [
                    {
                        "name": term["name"],
                        "source-address": term["source"],
                        "destination-tag": term["tag"],
                        "destination-port": term["service"],
                        "protocol": "tcp",
                        "action": "accept",
                    }
                    for term in given["terms"]
                ],
            }
        ],
    }
    rendered = api.Generate([policy], names)
    wall_s, cpu_s = time.perf_counter() - begun, time.process_time() - started
    target.write_text(json.dumps(rendered), encoding="utf-8")
    print(json.dumps({"compile_s": wall_s, "compile_cpu_s": cpu_s}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

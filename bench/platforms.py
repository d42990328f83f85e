"""A config repository with one target on one platform of a lab's estate `four`, for whole processes of the product."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.tap import Tap, tapped
from cloudsync.lab import commands
from cloudsync.lab.server import Lab

NAMES = ("aws", "gcp", "azure", "f5")
SETTINGS = """\
owner: bench
targets:
  - {{{target}}}
labels_from:
  - {{tag: Role, label: role, lower: true}}
  - {{tag: role, label: role, lower: true}}
  - {{tag: app, label: app, lower: true}}
schedule: {{every: 5m}}
guards: {{max_removed_rules: 100%, max_affected_workloads: 100%, max_gone_workloads: 100%, open_to_internet: allow}}
"""
POLICY = """\
version: 1
labels:
  role: [web, app, db, cache, lb, jump]
  app: [ordering, payments, platform]
enforcement: {default: visibility}
rulesets:
  - name: r
    scope: all
    owner: bench
    rules:
      - allow role=web to role=app on tcp/8080
"""


@contextmanager
def one_target(root: Path, lab: Lab, name: str) -> Iterator[Tap]:
    """Write the repository of one target whose calls all go through a door, and yield that door."""
    place = dict(_place(lab.state.as_json(), name))
    at = urlsplit(place["endpoint"])
    assert at.hostname is not None
    assert at.port is not None
    with tapped(at.hostname, at.port) as tap:
        place["endpoint"] = f"{at.scheme}://{at.hostname}:{tap.port}"
        if name == "f5":
            place.pop("endpoint")
            place["addresses"] = place["addresses"].replace(f":{at.port}", f":{tap.port}")
        target = {"name": name, "adapter": name, "mode": "additive", **place}
        (root / "policy").mkdir(parents=True)
        (root / "policy" / "bench.yaml").write_text(POLICY, encoding="utf-8")
        text = SETTINGS.format(target=", ".join(f"{key}: {value}" for key, value in target.items()))
        (root / "cloudsync.yaml").write_text(text, encoding="utf-8")
        yield tap


def _place(lab: Mapping[str, Any], name: str) -> Mapping[str, str]:
    match name:
        case "aws":
            aws = lab["aws"]
            return {"account": f'"{aws["account"]}"', "regions": f"[{aws['region']}]", "vpcs": "all", "endpoint": aws["endpoint"]}
        case "gcp":
            gcp = lab["gcp"]
            return {"project": gcp["project"], "networks": "[prod]", "service_projects": "[acme-apps]", "endpoint": gcp["endpoint"]}
        case "azure":
            azure = lab["azure"]
            place = {"subscription": azure["subscription"], "resource_groups": f"[{azure['resource_group']}]", "nsgs": "[nsg-web-prod]"}
            return place | {key: azure[key] for key in ("authority", "ca_file", "endpoint")}
        case _:
            units = lab["f5"]
            addresses = ", ".join(f'{one["hostname"]}: "{one["endpoint"]}"' for one in units)
            return {
                "hosts": "[" + ", ".join(one["hostname"] for one in units) + "]",
                "device_group": units[0]["device_group"],
                "addresses": "{" + addresses + "}",
                "ca_file": units[0]["ca_file"],
                "endpoint": units[0]["endpoint"],
            }


def environment(lab: Lab) -> dict[str, str]:
    """Return what `lab env` says that a client must set."""
    lines: list[str] = []
    commands.env(lab.folder, say=lines.append)
    pairs = (line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export "))
    return {name: shlex.split(value)[0] if value else "" for name, value in pairs}

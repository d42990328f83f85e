"""A simulated Google Compute project as a stage: one network, its VMs and rules, built and looked at as a third party would."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from cloudsync.adapter import Adapter, AdapterFactory, TargetSettings
from cloudsync.lab.gcp.estate import HOST, Machine, Rule, launch, network, write
from cloudsync.lab.gcp.site import Site
from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync.testing.contract import Facts, Hole, Passes, WriteFault
from cloudsync_gcp import ADAPTER
from tests.contract.hurry import Hurry

FAULTS = {
    WriteFault.LOST_BEFORE: "reset_before",
    WriteFault.LOST_AFTER: "reset_after",
    WriteFault.LATE: "late",
    WriteFault.REFUSED: "denied",
    WriteFault.THROTTLED: "throttle",
}
NETWORK, SUBNET = "contract", "contract-euw1"
RULES = f"projects/{HOST}/global/firewalls"
MARK = re.compile(r"cloudsync:v1 owner=(\S+) ")
PROTOCOLS = {6: "tcp", 17: "udp"}


LATE_CALLS = 7
"""How many calls later a late write takes effect: some runs see it come, some have stopped by then."""


class GcpStage:
    """One network of an otherwise empty project. A VM carries its own name as a network tag; others' rules are targeted by it."""

    def __init__(self, site: Site, patch: pytest.MonkeyPatch) -> None:
        self.facts = Facts(package="cloudsync_gcp", sdk=("google.cloud", "google.auth", "google.api_core", "grpc", "requests"))
        self.factory: AdapterFactory = ADAPTER
        self.site, self.patch = site, patch
        site.reset("empty", 1)
        self.clock = Hurry(told=lambda seconds: site.ask("clock", {"advance": seconds}))
        section: Any = site.section()
        self.endpoint = str(section["endpoint"])
        patch.setenv("GCP_CONTRACT_TOKEN", section["access_token"])
        network(site.api, NETWORK, ((SUBNET, "10.42.0.0/20"),), v6="fd20:42::/48")
        self.addresses: dict[str, tuple[str, ...]] = {}
        self.options: dict[str, Any] = {}

    def _act(self, method: str, path: str, body: object = None) -> Any:
        found = self.site.ask("act", {"method": method, "path": path, "body": body})
        assert found["status"] == 200, found
        return found["body"]

    # --- the world before us ---

    def add_workload(self, name: str, labels: Mapping[str, str]) -> tuple[str, ...]:
        address = f"10.42.0.{len(self.addresses) + 10}"
        launch(self.site.api, Machine(name, address, tuple(labels.items()), NETWORK, tags=(name,), v6=True), SUBNET)
        (machine,) = [one for one in self._machines() if one["name"] == name]
        (card,) = machine["networkInterfaces"]
        self.addresses[name] = (address, str(card["ipv6Address"]))
        return self.addresses[name]

    def _machines(self) -> list[Any]:
        return list(self.site.ask("state", None)[HOST]["instances"].values())

    def remove_workload(self, name: str) -> None:
        self._act("DELETE", f"projects/{HOST}/zones/europe-west1-b/instances/{name}")

    def add_foreign(self, name: str, workloads: Iterable[str], holes: Iterable[Hole]) -> None:
        for number, hole in enumerate(holes):
            speaks = (f"{PROTOCOLS[hole.protocol]}/{hole.port}",)
            write(self.site.api, Rule(f"{name}-{number}", NETWORK, speaks, (hole.source,), targets=tuple(workloads), description=name))

    def target(self, mode: TargetMode) -> TargetSettings:
        return self._target(mode, HOST)

    def stranger(self) -> TargetSettings:
        return self._target(TargetMode.EXCLUSIVE, "somebody-else")

    def _target(self, mode: TargetMode, project: str) -> TargetSettings:
        options = {"project": project, "networks": [NETWORK], "credentials": "env:GCP_CONTRACT_TOKEN", **self.options}
        return TargetSettings("gcp-lab", "gcp", mode, options, Where("cloudsync.yaml"), self.endpoint)

    def open(self, target: TargetSettings, owner: str) -> Adapter:
        return self.factory.open(target, owner, self.clock)

    # --- the platform's own truth ---

    def truth(self) -> Passes:
        def passes(workload: str, source: str, protocol: int, port: int) -> bool:
            address = self.addresses[workload][":" in source]
            asked = {"src": source, "dst": address, "protocol": str(protocol), "port": port}
            return bool(self.site.ask("verdict", asked)["ingress"]["allowed"])

        return passes

    def foreign(self, *workloads: str) -> str:
        return self._told(lambda mark: not mark, workloads)

    def ours(self, owner: str) -> str:
        return self._told(lambda mark: mark == owner, ())

    def _told(self, chosen: Callable[[str], bool], workloads: tuple[str, ...]) -> str:
        rules = {name: one for name, one in sorted(self._rules().items()) if chosen(marked(one))}
        if workloads:
            rules = {name: one for name, one in rules.items() if set(one.get("targetTags", workloads)) & set(workloads)}
        return "\n".join(f"{name}: {exact(one)}" for name, one in rules.items())

    def _rules(self) -> dict[str, Any]:
        shown = self.site.ask("state", None)[HOST]["firewalls"].values()
        return {str(one["name"]): one for one in shown}

    def writes(self) -> int:
        return sum(1 for one in self.site.ask("log", {}) if one["by"] == "client")

    def reads(self) -> int:
        return sum(1 for one in self.site.ask("log", {"reads": True}) if one["by"] == "client" and not one["mutating"])

    # --- what goes wrong ---

    def fail_write(self, nth: int, fault: WriteFault) -> None:
        self.site.ask("faults", {"operation": "@write", "kind": FAULTS[fault], "nth": nth, "after": LATE_CALLS})

    def fail_reads(self, nth: int) -> None:
        self.site.ask("faults", {"operation": "@read", "kind": "denied", "nth": nth, "times": 0})

    def heal(self) -> None:
        self.site.ask("faults", [])

    def page_of(self, size: int) -> None:
        self.patch.setattr("cloudsync_gcp.client.PAGE_SIZE", size)

    def room_for(self, entries: int) -> None:
        self.options = {"addresses_per_rule": 4, "quotas": {"firewalls": entries}}

    # --- what people do ---

    def widen(self, workload: str, hole: Hole) -> None:
        rule = self._open_rule(workload)
        spoken = [*rule["allowed"], {"IPProtocol": PROTOCOLS[hole.protocol], "ports": [str(hole.port)]}]
        self._act("PATCH", f"{RULES}/{rule['name']}", {"allowed": spoken, "sourceRanges": [*rule["sourceRanges"], hole.source]})

    def narrow(self, workload: str) -> None:
        self._act("PATCH", f"{RULES}/{self._open_rule(workload)['name']}", {"disabled": True})

    def unmark(self, owner: str) -> None:
        for name, one in self._rules().items():
            if marked(one) == owner:
                self._act("PATCH", f"{RULES}/{name}", {"description": "somebody has tidied up"})

    def _open_rule(self, workload: str) -> Any:
        """Return an allow rule of ours for the workload's IPv4 address."""
        own = ip_address(self.addresses[workload][0])
        found = [
            one
            for one in self._rules().values()
            if marked(one) and "allowed" in one and any(own in ip_network(cidr) for cidr in one.get("destinationRanges", ()))
        ]
        return min(found, key=lambda one: str(one["name"]))


def marked(rule: Mapping[str, Any]) -> str:
    """Return the owner whose mark a rule carries, empty for none."""
    found = MARK.match(str(rule.get("description", "")))
    return found[1] if found else ""


def exact(thing: object) -> str:
    """Return a raw answer as text that does not depend on the order of lists and keys."""
    if isinstance(thing, dict):
        return "{" + ", ".join(f"{key}: {exact(thing[key])}" for key in sorted(thing)) + "}"
    if isinstance(thing, list):
        return "[" + ", ".join(sorted(map(exact, thing))) + "]"
    return repr(thing)

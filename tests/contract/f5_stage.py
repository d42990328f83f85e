"""A simulated pair of BIG-IPs as a stage: virtual servers that listen on everything, built and looked at as a third party would."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from cloudsync.adapter import Adapter, AdapterFactory, TargetSettings
from cloudsync.lab.f5.site import Site
from cloudsync.lab.kit.faults import Fault, Kind
from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync.testing.contract import Facts, Hole, Passes, WriteFault
from cloudsync_f5 import ADAPTER
from tests.contract.hurry import Hurry

FAULTS = {
    WriteFault.LOST_BEFORE: Kind.RESET_BEFORE,
    WriteFault.LOST_AFTER: Kind.RESET_AFTER,
    WriteFault.LATE: Kind.LATE,
    WriteFault.REFUSED: Kind.DENIED,
    WriteFault.THROTTLED: Kind.UNAVAILABLE,
}
FIREWALL = "/mgmt/tm/security/firewall"
HELD = ("security/firewall/policy", "security/firewall/address-list", "security/firewall/port-list", "security/firewall/rule-list")
MARK = re.compile(r"cloudsync:([^:]+):")
VOLATILE = {"generation", "selfLink"}
"""What the device itself changes whenever anything is written."""
PROTOCOLS = {6: "tcp", 17: "udp"}


LATE_CALLS = 7
"""How many calls later a late write takes effect: some runs see it come, some have stopped by then."""


class StepFault(Fault):
    """A fault that counts what takes effect as one: a commit is one write, what was put into its transaction is none."""

    inside = False

    def counts(self, operation: str, scope: str, page: int, *, mutating: bool) -> bool:
        del scope, page
        if operation == "POST transaction":
            self.inside = True
            return False
        if operation == "COMMIT transaction":
            self.inside = False
            return True
        return mutating and not self.inside


class F5Stage:
    """One empty device group."""

    def __init__(self, site: Site, patch: pytest.MonkeyPatch) -> None:
        self.facts = Facts(package="cloudsync_f5", sdk=("icontrol", "f5", "requests"), ipv6=False, additive=False)
        self.factory: AdapterFactory = ADAPTER
        self.site = site
        site.reset("empty", 1)
        site.ask("settings", {"compile_delay_s": 0})
        self.clock = Hurry(told=lambda seconds: site.ask("clock", {"advance": seconds}))
        self.section: list[Any] = site.section()
        patch.setenv("F5_USER", self.section[0]["user"])
        patch.setenv("F5_PASSWORD", self.section[0]["password"])
        self.patch = patch
        self.addresses: dict[str, str] = {}
        self.room = 0

    def _act(self, method: str, path: str, body: object = None) -> Any:
        return self.site.act(self.section[0]["name"], method, path, body)

    def _settle(self) -> None:
        """What people do they save, and bring to the other device."""
        self._act("POST", "/mgmt/tm/sys/config", {"command": "save"})
        self._act("POST", "/mgmt/tm/cm", {"command": "run", "utilCmdArgs": f"config-sync to-group {self.section[0]['device_group']}"})

    # --- the world before us ---

    def add_workload(self, name: str, labels: Mapping[str, str]) -> tuple[str, ...]:
        address = f"10.60.2.{len(self.addresses) + 10}"
        self.addresses[name] = address
        metadata = [{"name": key, "value": value, "persist": "true"} for key, value in labels.items()]
        body = {"name": name, "destination": f"/Common/{address}:0", "ipProtocol": "any", "metadata": metadata}
        self._act("POST", "/mgmt/tm/ltm/virtual", body)
        self._settle()
        return (address,)

    def remove_workload(self, name: str) -> None:
        self._act("DELETE", f"/mgmt/tm/ltm/virtual/~Common~{name}")
        self._settle()

    def add_foreign(self, name: str, workloads: Iterable[str], holes: Iterable[Hole]) -> None:
        rules = [rule(f"hole{number}", hole) for number, hole in enumerate(holes)]
        rules.append({"name": "rest", "action": "drop", "ipProtocol": "any"})
        self._act("POST", f"{FIREWALL}/policy", {"name": name, "description": "do not touch", "rules": chained(rules)})
        for workload in workloads:
            self._act("PATCH", f"/mgmt/tm/ltm/virtual/~Common~{workload}", {"fwEnforcedPolicy": f"/Common/{name}"})
        self._settle()

    def target(self, mode: TargetMode) -> TargetSettings:
        return self._target(mode, self.section[0]["device_group"])

    def stranger(self) -> TargetSettings:
        return self._target(TargetMode.EXCLUSIVE, "dg-somebody")

    def _target(self, mode: TargetMode, group: str) -> TargetSettings:
        options: dict[str, Any] = {
            "hosts": [one["hostname"] for one in self.section],
            "device_group": group,
            "addresses": {one["hostname"]: one["endpoint"] for one in self.section},
            "ca_file": self.section[0]["ca_file"],
            "user": "env:F5_USER",
            "password": "env:F5_PASSWORD",
        }
        if self.room:
            options["quotas"] = {"addresses_per_list": self.room, "rules_per_policy": self.room}
        return TargetSettings("f5-lab", "f5", mode, options, Where("cloudsync.yaml"))

    def open(self, target: TargetSettings, owner: str) -> Adapter:
        return self.factory.open(target, owner, self.clock)

    # --- the platform's own truth ---

    def truth(self) -> Passes:
        def passes(workload: str, source: str, protocol: int, port: int) -> bool:
            asked = {"src": source, "dst": self.addresses[workload], "protocol": str(protocol), "port": port}
            return bool(self.site.ask("verdict", asked)["verdict"] == "allowed")

        return passes

    def foreign(self, *workloads: str) -> str:
        return self._told(lambda mark: not mark, workloads)

    def ours(self, owner: str) -> str:
        return self._told(lambda mark: mark == owner, ())

    def _told(self, chosen: Callable[[str], bool], workloads: tuple[str, ...]) -> str:
        shown = self._running()
        policies = shown["security/firewall/policy"]
        names = workloads or tuple(self.addresses)
        virtuals = {name: shown["ltm/virtual"].get(f"/Common/{name}", {}) for name in names}
        carried = {name: one["fwEnforcedPolicy"] for name, one in virtuals.items() if "fwEnforcedPolicy" in one}
        carried = {name: path for name, path in carried.items() if chosen(marked(policies[path]))}
        lines = [
            f"{kind} {path}: {exact(one)}"
            for kind in HELD
            for path, one in sorted(shown[kind].items())
            if chosen(marked(one)) and (not workloads or path in carried.values())
        ]
        return "\n".join([*lines, *(f"{name}: {path}" for name, path in sorted(carried.items()))])

    def _running(self) -> Any:
        return self.site.ask("state", {})[self.section[0]["name"]]["running"]

    def writes(self) -> int:
        log = self.site.ask("log", {})
        return sum(1 for one in log if one["by"] == "client" and (one["operation"] == "COMMIT transaction" or not queued(one)))

    def reads(self) -> int:
        return sum(1 for one in self.site.ask("log", {"reads": True}) if one["by"] == "client" and one["operation"].startswith("GET"))

    # --- what goes wrong ---

    def fail_write(self, nth: int, fault: WriteFault) -> None:
        with self.site.gate.lock:
            self.site.gate.faults.append(StepFault("@write", FAULTS[fault], nth=nth, options={"after": LATE_CALLS}))

    def fail_reads(self, nth: int) -> None:
        self.site.ask("faults", {"operation": "GET *", "kind": "denied", "nth": nth, "times": 0})

    def heal(self) -> None:
        self.site.ask("faults", [])

    def page_of(self, size: int) -> None:
        self.patch.setattr("cloudsync_f5.limits.PAGE_SIZE", size)
        self.patch.setattr("cloudsync_f5.read.PAGE_SIZE", size, raising=False)

    def room_for(self, entries: int) -> None:
        self.room = entries

    # --- what people do ---

    def widen(self, workload: str, hole: Hole) -> None:
        policy = self._our_policy(workload)
        body = {**rule("by_hand", hole), "placeBefore": "first"}
        self._act("POST", f"{FIREWALL}/policy/{policy.replace('/', '~')}/rules", body)
        self._settle()

    def narrow(self, workload: str) -> None:
        policy = self._our_policy(workload)
        rules = self._running()["security/firewall/policy"][policy]["rules"]
        opened = next(one for one in rules if one["action"].startswith("accept"))
        self._act("PATCH", f"{FIREWALL}/policy/{policy.replace('/', '~')}/rules/{opened['name']}", {"action": "drop"})
        self._settle()

    def unmark(self, owner: str) -> None:
        shown = self._running()
        for kind in HELD:
            for path, one in shown[kind].items():
                if marked(one) == owner:
                    self._act("PATCH", f"/mgmt/tm/{kind}/{path.replace('/', '~')}", {"description": ""})
        self._settle()

    def _our_policy(self, workload: str) -> str:
        return str(self._running()["ltm/virtual"][f"/Common/{workload}"]["fwEnforcedPolicy"])


def queued(entry: Mapping[str, Any]) -> bool:
    """Tell whether a call was only put into a transaction."""
    return "transaction" in entry["notes"]


def rule(name: str, hole: Hole) -> dict[str, Any]:
    """Return a hole as AFM writes it."""
    return {
        "name": name,
        "action": "accept",
        "ipProtocol": PROTOCOLS[hole.protocol],
        "source": {"addresses": [{"name": hole.source}]},
        "destination": {"ports": [{"name": str(hole.port)}]},
    }


def chained(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Say of each rule that it comes behind the one before."""
    return [{**one, "placeAfter": rules[number - 1]["name"] if number else "first"} for number, one in enumerate(rules)]


def marked(shown: Mapping[str, Any]) -> str:
    """Return the owner whose mark an object carries, empty for none."""
    found = MARK.match(str(shown.get("description", "")))
    return found[1] if found else ""


def exact(thing: object) -> str:
    """Return a raw answer as text, without what the device itself counts up."""
    if isinstance(thing, dict):
        return "{" + ", ".join(f"{key}: {exact(thing[key])}" for key in sorted(thing) if key not in VOLATILE) + "}"
    if isinstance(thing, list):
        return "[" + ", ".join(map(exact, thing)) + "]"
    return repr(thing)

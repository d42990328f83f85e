"""A simulated Azure subscription as a stage: one virtual network, its machines and NSGs, built and looked at as a third party would."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from cloudsync.adapter import Adapter, AdapterFactory, TargetSettings
from cloudsync.lab.azure.estate import Machine, Works
from cloudsync.lab.azure.site import Site
from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync.testing.contract import Facts, Hole, Passes, WriteFault
from cloudsync_azure import ADAPTER
from tests.contract.hurry import Hurry

FAULTS = {
    WriteFault.LOST_BEFORE: "reset_before",
    WriteFault.LOST_AFTER: "reset_after",
    WriteFault.LATE: "late",
    WriteFault.REFUSED: "denied",
    WriteFault.THROTTLED: "throttle",
}
VNET, SUBNET, SHARED = "vnet-contract", "vnet-contract/machines", "nsg-shared"
MARK = re.compile(r"cloudsync/([^:]+): ")
PROTOCOLS = {6: "Tcp", 17: "Udp"}
VOLATILE = {"etag", "provisioningState", "resourceGuid"}
"""What Azure itself changes whenever anything is written."""


LATE_CALLS = 7
"""How many calls later a late write takes effect: some runs see it come, some have stopped by then."""


class AzureStage:
    """One virtual network. `shared`: one NSG on the subnet guards all machines, else each has one on its interface.

    `write` is the setting of that name: whole NSGs, or rule by rule.
    """

    def __init__(self, site: Site, patch: pytest.MonkeyPatch, *, shared: bool = True, write: str = "whole") -> None:
        self.facts = Facts(package="cloudsync_azure", sdk=("azure", "msrest", "requests"))
        self.factory: AdapterFactory = ADAPTER
        self.site, self.shared, self.write = site, shared, write
        site.reset("empty", 1)
        site.ask("settings", {"retry_after": "none"})
        self.clock = Hurry(told=lambda seconds: site.ask("clock", {"advance": seconds}))
        self.section: Any = site.section()
        for name, key in (("TENANT_ID", "tenant"), ("CLIENT_ID", "client_id"), ("CLIENT_SECRET", "client_secret")):
            patch.setenv(f"AZURE_{name}", self.section[key])
        self.works = Works(site, f"/subscriptions/{self.section['subscription']}/resourceGroups/{self.section['resource_group']}")
        if shared:
            self.works.nsg(SHARED, ())
        self.works.vnet(
            VNET, ["10.52.0.0/16", "fd00:52::/48"], {"machines": (["10.52.0.0/24", "fd00:52:0:1::/64"], SHARED if shared else None)}
        )
        self.addresses: dict[str, tuple[str, ...]] = {}
        self.quotas: dict[str, int] = {}
        self.number = 100

    def _act(self, method: str, path: str, body: object = None) -> Any:
        found = self.site.act({"method": method, "path": path, "body": body})
        assert found["status"] < 300, found
        return found["body"]

    def _nsg(self, workload: str) -> str:
        return self.works.path("networkSecurityGroups", SHARED if self.shared else f"nsg-{workload}")

    # --- the world before us ---

    def add_workload(self, name: str, labels: Mapping[str, str]) -> tuple[str, ...]:
        number = len(self.addresses) + 10
        self.addresses[name] = (f"10.52.0.{number}", f"fd00:52:0:1::{number:x}")
        if not self.shared:
            self.works.nsg(f"nsg-{name}", ())
        four, six = self.addresses[name]
        self.works.launch(Machine(name, SUBNET, four, tuple(labels.items()), nsg=None if self.shared else f"nsg-{name}", v6=six))
        return self.addresses[name]

    def remove_workload(self, name: str) -> None:
        self._act("DELETE", self.works.path("virtualMachines", name, "Microsoft.Compute"))
        self._act("DELETE", self.works.path("networkInterfaces", f"{name}-nic"))

    def add_foreign(self, name: str, workloads: Iterable[str], holes: Iterable[Hole]) -> None:
        listed = tuple(workloads)
        for number, hole in enumerate(holes):
            self.number += 1
            properties = rule(hole, self.number, name)
            if self.shared:
                properties["destinationAddressPrefixes"] = [self.addresses[one][0] for one in listed]
            else:
                properties["destinationAddressPrefix"] = "*"
            for nsg in dict.fromkeys(map(self._nsg, listed)):
                self._act("PUT", f"{nsg}/securityRules/{name}-{number}", {"properties": properties})

    def target(self, mode: TargetMode) -> TargetSettings:
        return self._target(mode, self.section["subscription"])

    def stranger(self) -> TargetSettings:
        return self._target(TargetMode.EXCLUSIVE, "00000000-1111-2222-3333-444444444444")

    def _target(self, mode: TargetMode, subscription: str) -> TargetSettings:
        options: dict[str, Any] = {
            "subscription": subscription,
            "resource_groups": [self.section["resource_group"]],
            "nsgs": [SHARED] if self.shared else [f"nsg-{name}" for name in self.addresses] or ["nsg-none"],
            "authority": self.section["authority"],
            "ca_file": self.section["ca_file"],
            "write": self.write,
        }
        if self.quotas:
            options["quotas"] = self.quotas
        return TargetSettings("azure-lab", "azure", mode, options, Where("cloudsync.yaml"), self.section["endpoint"])

    def open(self, target: TargetSettings, owner: str) -> Adapter:
        return self.factory.open(target, owner, self.clock)

    # --- the platform's own truth ---

    def truth(self) -> Passes:
        def passes(workload: str, source: str, protocol: int, port: int) -> bool:
            address = self.addresses[workload][":" in source]
            asked = {"src": source, "dst": address, "protocol": PROTOCOLS[protocol], "port": port}
            steps = self.site.ask("verdict", asked)["steps"]
            return not any(step["direction"] == "Inbound" and step["access"] == "Deny" for step in steps)

        return passes

    def foreign(self, *workloads: str) -> str:
        return self._told(lambda mark: not mark, workloads)

    def ours(self, owner: str) -> str:
        return self._told(lambda mark: mark == owner, ())

    def _told(self, chosen: Callable[[str], bool], workloads: tuple[str, ...]) -> str:
        lines: list[str] = []
        for nsg in dict.fromkeys(map(self._nsg, workloads or tuple(self.addresses))):
            shown = self._act("GET", nsg)
            rules = [one for one in shown["properties"]["securityRules"] if chosen(marked(one))]
            lines += [f"{nsg} {one['name']}: {exact(one)}" for one in rules if not workloads or self._acts_on(one, workloads)]
            if chosen(""):
                beside = {key: one for key, one in shown["properties"].items() if key != "securityRules"}
                lines.append(f"{nsg}: {exact({**shown, 'properties': beside})}")
        if chosen(""):
            lines += [exact(self._nic(one)) for one in workloads or self.addresses]
            lines.append(exact(self._act("GET", self.works.path("virtualNetworks", VNET))))
        return "\n".join(sorted(lines))

    def _nic(self, workload: str) -> Any:
        """Return an interface as Azure shows it."""
        return self._act("GET", self.works.path("networkInterfaces", f"{workload}-nic"))

    def _acts_on(self, one: Mapping[str, Any], workloads: tuple[str, ...]) -> bool:
        named = many(one["properties"], "destinationAddressPrefix")
        own = {address for workload in workloads for address in self.addresses[workload]}
        return "*" in named or bool(own & {text.partition("/")[0] for text in named})

    def writes(self) -> int:
        return sum(1 for one in self.site.ask("log", {}) if one["by"] == "client")

    def reads(self) -> int:
        log = self.site.ask("log", {"reads": True})
        return sum(1 for one in log if one["by"] == "client" and not one["mutating"] and one["operation"] != "Token_Post")

    # --- what goes wrong ---

    def fail_write(self, nth: int, fault: WriteFault) -> None:
        self.site.ask("faults", {"operation": "@write", "kind": FAULTS[fault], "nth": nth, "after": LATE_CALLS})

    def fail_reads(self, nth: int) -> None:
        self.site.ask("faults", {"operation": "*_[!P]*", "kind": "denied", "nth": nth, "times": 0})

    def heal(self) -> None:
        self.site.ask("faults", [])

    def page_of(self, size: int) -> None:
        self.site.ask("settings", {"page_size": size})

    def room_for(self, entries: int) -> None:
        self.quotas = {"addresses_per_nsg": 2 * entries}

    # --- what people do ---

    def widen(self, workload: str, hole: Hole) -> None:
        one = self._open_rule(workload)
        properties = one["properties"]
        sources, ports = many(properties, "sourceAddressPrefix"), many(properties, "destinationPortRange")
        properties = {key: value for key, value in properties.items() if key not in SIDES}
        properties |= {"sourceAddressPrefixes": [*sources, hole.source]} if "*" not in sources else {"sourceAddressPrefix": "*"}
        properties |= {"destinationPortRanges": [*ports, str(hole.port)]} if "*" not in ports else {"destinationPortRange": "*"}
        self._act("PUT", one["id"], {"properties": properties})

    def narrow(self, workload: str) -> None:
        self._act("DELETE", self._open_rule(workload)["id"])

    def unmark(self, owner: str) -> None:
        for nsg in dict.fromkeys(map(self._nsg, self.addresses)):
            for one in self._act("GET", nsg)["properties"]["securityRules"]:
                if marked(one) == owner:
                    self._act("PUT", one["id"], {"properties": {**one["properties"], "description": "somebody has tidied up"}})

    def _open_rule(self, workload: str) -> Any:
        """Return a rule of ours that lets somebody in to the workload's IPv4 address."""
        rules = self._act("GET", self._nsg(workload))["properties"]["securityRules"]
        opened = [one for one in rules if marked(one) and one["properties"]["access"] == "Allow"]
        opened = [one for one in opened if one["properties"]["direction"] == "Inbound" and self._acts_on(one, (workload,))]
        opened = [one for one in opened if not any(":" in text for name in ENDS for text in many(one["properties"], name))]
        return min(opened, key=lambda one: int(one["properties"]["priority"]))


ENDS = ("sourceAddressPrefix", "destinationAddressPrefix")
SIDES = {"sourceAddressPrefix", "sourceAddressPrefixes", "destinationPortRange", "destinationPortRanges"}


def rule(hole: Hole, priority: int, text: str) -> dict[str, Any]:
    """Return a hole as an NSG has it, but for its destination."""
    return {
        "protocol": PROTOCOLS[hole.protocol],
        "access": "Allow",
        "direction": "Inbound",
        "priority": priority,
        "sourceAddressPrefix": hole.source,
        "sourcePortRange": "*",
        "destinationPortRange": str(hole.port),
        "description": text,
    }


def many(properties: Mapping[str, Any], name: str) -> list[str]:
    """Return what a rule says in the singular or in the plural."""
    return [*properties.get(f"{name}es", ()), *properties.get(f"{name}s", ()), *([properties[name]] if properties.get(name) else ())]


def marked(one: Mapping[str, Any]) -> str:
    """Return the owner whose mark a rule carries, empty for none."""
    found = MARK.match(str(one["properties"].get("description", "")))
    return found[1] if found else ""


def exact(thing: object) -> str:
    """Return a raw answer as text, without what Azure itself counts up, and without the order of lists and keys."""
    if isinstance(thing, dict):
        return "{" + ", ".join(f"{key}: {exact(thing[key])}" for key in sorted(thing) if key not in VOLATILE) + "}"
    if isinstance(thing, list):
        return "[" + ", ".join(sorted(map(exact, thing))) + "]"
    return repr(thing)

"""The same stage where classes are written as application security groups: these, and who is in them, are ours as well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cloudsync.adapter import TargetSettings
from cloudsync.model.mode import TargetMode
from cloudsync.testing.contract import Hole
from tests.contract.azure_stage import AzureStage, exact, many

KIND = "applicationSecurityGroups"


class AzureGroupsStage(AzureStage):
    """One virtual network, with `asgs: on`."""

    def _target(self, mode: TargetMode, subscription: str) -> TargetSettings:
        plain = super()._target(mode, subscription)
        return replace(plain, options={**plain.options, "asgs": "on"})

    def _asgs(self) -> list[Any]:
        found: list[Any] = self._act("GET", f"/subscriptions/{self.section['subscription']}/providers/Microsoft.Network/{KIND}")["value"]
        return found

    def _marked(self) -> dict[str, str]:
        """Return the owner of each group that carries a mark."""
        shown = {one["id"].lower(): (one.get("tags") or {}).get("cloudsync-managed", "") for one in self._asgs()}
        return {key: owner for key, owner in shown.items() if owner}

    def _nic(self, workload: str) -> Any:
        """Return an interface without the groups of cloudsync's that it is in."""
        shown, marked = super()._nic(workload), self._marked()
        for one in shown["properties"]["ipConfigurations"]:
            kept = [each for each in one["properties"].pop(KIND, ()) if each["id"].lower() not in marked]
            one["properties"] |= {KIND: kept} if kept else {}
        return shown

    def foreign(self, *workloads: str) -> str:
        theirs = [exact(one) for one in self._asgs() if one["id"].lower() not in self._marked()]
        return "\n".join(sorted([super().foreign(*workloads), *(theirs if not workloads else ())]))

    def ours(self, owner: str) -> str:
        mine = [one["id"].lower() for one in self._asgs() if self._marked().get(one["id"].lower()) == owner]
        joined = [f"{name} is in {asg}" for name in self.addresses for asg in self._joined(name) if asg in mine]
        return "\n".join(sorted(filter(None, [super().ours(owner), *mine, *joined])))

    def _joined(self, workload: str) -> list[str]:
        if workload not in self.addresses:
            return []
        found = self.site.act({"method": "GET", "path": self.works.path("networkInterfaces", f"{workload}-nic"), "body": None})
        seats = found["body"]["properties"]["ipConfigurations"] if found["status"] == 200 else []
        return sorted({each["id"].lower() for one in seats for each in one["properties"].get(KIND, ())})

    def _acts_on(self, one: Mapping[str, Any], workloads: tuple[str, ...]) -> bool:
        named = {each["id"].lower() for each in one["properties"].get(f"destination{KIND[0].upper()}{KIND[1:]}", ())}
        return super()._acts_on(one, workloads) or any(named & set(self._joined(name)) for name in workloads)

    def widen(self, workload: str, hole: Hole) -> None:
        """A rule about a group is made one about an address: both do not go on one side."""
        one = self._open_rule(workload)
        properties = {key: value for key, value in one["properties"].items() if key != "sourceApplicationSecurityGroups"}
        if len(properties) == len(one["properties"]):
            super().widen(workload, hole)
            return
        ports = many(properties, "destinationPortRange")
        properties = {key: value for key, value in properties.items() if not key.startswith(("destinationPort", "sourceAddress"))}
        properties |= {"sourceAddressPrefix": hole.source}
        properties |= {"destinationPortRange": "*"} if "*" in ports else {"destinationPortRanges": [*ports, str(hole.port)]}
        self._act("PUT", one["id"], {"properties": properties})

    def unmark(self, owner: str) -> None:
        super().unmark(owner)
        for one in self._asgs():
            if self._marked().get(one["id"].lower()) == owner:
                self._act("PUT", one["id"], {"location": one["location"], "tags": {"team": "network"}, "properties": {}})

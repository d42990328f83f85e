"""The pair of BIG-IPs as a stage again, with everything on the route domain: one policy of others there, and one of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from cloudsync.adapter import TargetSettings
from cloudsync.lab.f5.site import Site
from cloudsync.model.mode import TargetMode
from cloudsync.testing.contract import Hole
from tests.contract.f5_stage import FIREWALL, HELD, F5Stage, exact, marked, rule

DOMAIN = "/Common/0"
EDGE = "edge"
"""The one policy that everybody else writes into."""


class F5DomainStage(F5Stage):
    """One empty device group whose settings hold route domain 0."""

    def __init__(self, site: Site, patch: pytest.MonkeyPatch) -> None:
        super().__init__(site, patch)
        self.edge = False
        self.edits = 0

    def _target(self, mode: TargetMode, group: str) -> TargetSettings:
        plain = super()._target(mode, group)
        return replace(plain, options={**plain.options, "attach": {"virtuals": "none", "route_domains": [0]}})

    # --- the world before us ---

    def add_foreign(self, name: str, workloads: Iterable[str], holes: Iterable[Hole]) -> None:
        if not self.edge:
            self._act("POST", f"{FIREWALL}/policy", {"name": EDGE, "description": "do not touch"})
            self._act("PATCH", f"/mgmt/tm/net/route-domain/{DOMAIN.replace('/', '~')}", {"fwEnforcedPolicy": f"/Common/{EDGE}"})
            self.edge = True
        to = {"addresses": [{"name": self.addresses[one]} for one in workloads]}
        for number, hole in enumerate(holes):
            body = rule(f"{name}{number}", hole)
            self._rule({**body, "destination": {**body["destination"], **to}, "placeBefore": "first"})
        self._rule({"name": f"{name}_rest", "action": "drop", "ipProtocol": "any", "destination": to, "placeAfter": "last"})
        self._settle()

    def _rule(self, body: Mapping[str, Any], policy: str = f"/Common/{EDGE}") -> None:
        self._act("POST", f"{FIREWALL}/policy/{policy.replace('/', '~')}/rules", body)

    # --- the platform's own truth ---

    def _told(self, chosen: Callable[[str], bool], workloads: tuple[str, ...]) -> str:
        shown = self._running()
        policies = shown["security/firewall/policy"]
        carried = shown["net/route-domain"][DOMAIN].get("fwEnforcedPolicy", "")
        if workloads:
            rules = policies[carried]["rules"] if carried else []
            return "\n".join(exact(one) for one in map(bare, rules) if one and self._about(one, workloads))
        lines = [f"{kind} {path}: {exact(one)}" for kind in HELD for path, one in sorted(shown[kind].items()) if chosen(marked(one))]
        attached = carried and chosen(marked(policies[carried]))
        return "\n".join([*lines, *([f"{DOMAIN}: {carried}"] if attached else [])])

    def foreign(self, *workloads: str) -> str:
        """Return it as it acts: rules of others that ours has taken over word for word are those of others still."""
        return self._told(lambda mark: not mark, workloads)

    def _about(self, one: Mapping[str, Any], workloads: tuple[str, ...]) -> bool:
        lists = self._running()["security/firewall/address-list"]
        ends = one.get("destination", {})
        named = [*ends.get("addresses", ()), *(each for path in ends.get("addressLists", ()) for each in lists[path]["addresses"])]
        own = {self.addresses[each] for each in workloads}
        return any(each["name"].partition("/")[0] in own for each in named)

    # --- what people do ---

    def widen(self, workload: str, hole: Hole) -> None:
        self.edits += 1
        body = rule(f"by_hand{self.edits}", hole)
        to = {**body["destination"], "addresses": [{"name": self.addresses[workload]}]}
        self._rule({**body, "destination": to, "placeBefore": "first"}, self._our_policy(workload))
        self._settle()

    def narrow(self, workload: str) -> None:
        policy = self._our_policy(workload)
        rules = self._running()["security/firewall/policy"][policy]["rules"]
        opened = next(one for one in rules if one["action"].startswith("accept") and not bare(one) and self._about(one, (workload,)))
        self._act("PATCH", f"{FIREWALL}/policy/{policy.replace('/', '~')}/rules/{opened['name']}", {"action": "drop"})
        self._settle()

    def _our_policy(self, workload: str) -> str:
        del workload
        shown = self._running()
        carried = str(shown["net/route-domain"][DOMAIN]["fwEnforcedPolicy"])
        if not marked(shown["security/firewall/policy"][carried]):
            raise ValueError("nothing of ours is there")
        return carried


def bare(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return a rule of others without what only says where it stands: in their policy, or taken over by ours. Empty for a rule of ours."""
    name = str(one["name"])
    if name.startswith(("never_", "allow_", "deny_", "shut_", "kept_", "cs_default_", "by_hand")):
        return {}
    said = {key: value for key, value in one.items() if key not in ("description", "placeAfter", "placeBefore", "ruleNumber", "fullPath")}
    return {**said, "name": name.removeprefix("was_")}

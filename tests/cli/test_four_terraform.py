"""Objects of Terraform on GCP, Azure and F5: what a state names stays as it is; where it names others the same plan goes through."""

from __future__ import annotations

import json

import pytest

from tests.cli.four import Four
from tests.cli.test_cli_terraform import resource, state

FRONT = {"gcp": "web", "azure": "app", "f5": "lb"}
Case = tuple[str, str, dict[str, str]]


def named(four: Four, site: str, kind: str, foreign: str) -> dict[str, str]:
    """Return the attributes by which a state knows one foreign object of the estate."""
    azure = four.lab.state.as_json()["azure"]
    base = f"/subscriptions/{azure['subscription']}/resourceGroups/{azure['resource_group']}/providers/Microsoft.Network"
    group, _, rule = foreign.partition("/")
    return {
        "gcp": {"name": foreign, "project": "acme-net"},
        "azure": {"id": f"{base}/networkSecurityGroups/{group}" + (f"/securityRules/{rule}" if rule else "")},
        "f5": {"name": "/Common/vs_ordering_https", "firewall_enforced_policy": "/Common/legacy_edge"},
    }[site] | {"kind_of_it": kind}


CASES = [
    ("gcp", "google_compute_firewall", "", ""),
    ("azure", "azurerm_network_security_rule", "nsg-app-prod/ssh-from-anywhere", "nsg-app-prod/no-such-rule"),
    ("azure", "azurerm_network_security_group", "nsg-app-prod", "nsg-dev"),
    ("f5", "bigip_ltm_virtual_server", "legacy_edge", ""),
]


@pytest.mark.parametrize(("site", "kind", "mine", "other"), CASES, ids=[f"{one[0]}-{one[1]}" for one in CASES])
def test_what_terraform_owns_is_left_as_it_is(four: Four, site: str, kind: str, mine: str, other: str) -> None:
    four.policy(f"allow iplist office to role={FRONT[site]} on tcp/443", enforced="{scope: env=prod, mode: full}")
    if not mine:  # GCP: whichever rule the plan would switch off
        four.settings(four.target(site, "exclusive"))
        four.run("plan", "-o", str(four.root / "plan.json"))
        steps = [
            step for phase in json.loads((four.root / "plan.json").read_text())["plan"]["targets"][0]["phases"] for step in phase["steps"]
        ]
        mine = next(step["object"] for step in steps if step["key"].startswith("disable/"))
    address = f"module.edge.{kind}.one"
    more = "terraform: [{name: edge, state: edge.tfstate}]\n"
    four.settings(four.target(site, "exclusive"), more=more)
    attributes = named(four, site, kind, mine)
    (four.root / "edge.tfstate").write_text(state(resource(kind, "one", "module.edge", **attributes)), encoding="utf-8")
    before = four.foreign(site)
    four.forget()
    ran = four.run("apply", "--yes", code=4)
    assert "TERRAFORM" in ran.out + ran.err
    assert address in ran.out + ran.err
    assert four.writes() == {}
    assert four.foreign(site) == before
    attributes |= named(four, site, kind, other or "somebody-elses") | ({"name": "/Common/vs_dev"} if site == "f5" else {})
    (four.root / "edge.tfstate").write_text(state(resource(kind, "one", "module.edge", **attributes)), encoding="utf-8")
    again = four.run("plan")
    assert "TERRAFORM" not in again.out + again.err

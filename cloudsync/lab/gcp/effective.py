"""What holds in a network or for a machine: VPC rules and the policies of organisation, folders, project and vendor."""

from __future__ import annotations

from .call import Call
from .links import Link, last
from .refusal import invalid
from .world import Object, Project, World, link_of


def of_network(call: Call) -> Object:
    """Answer networks.getEffectiveFirewalls: disabled rules are listed too, and it has no `kind`."""
    link = call.link("networks", call.path["network"])
    network = call.world.find(link)
    return _body(_rules(call, link), policies_of(call.world, call.project, network))


def _rules(call: Call, network: Link) -> list[Object]:
    return [rule for _key, rule in sorted(call.table("firewalls").items()) if rule["network"] == network.url]


def _body(rules: list[Object], policies: list[Object]) -> Object:
    body: Object = {}
    if rules:
        body["firewalls"] = rules
    if policies:
        body["firewallPolicys"] = policies
    return body or {"firewalls": []}


def policies_of(world: World, project: Project, network: Object) -> list[Object]:
    """Return the policies that reach a network, in no particular order of evaluation: their type says where they stand."""
    found = [_shown(one, "HIERARCHY") for one in project.hierarchy]
    found += [_shown(one, "SYSTEM") for one in project.system]
    attached = network_policy(world, project, network["selfLink"])
    if attached is not None:
        found.append(_shown(attached, "NETWORK"))
    return found


def network_policy(_world: World, project: Project, network_url: str) -> Object | None:
    """Return the global network firewall policy attached to a network."""
    for _key, policy in sorted(project.tables["firewallPolicies"].items()):
        if any(one["attachmentTarget"] == network_url for one in policy.get("associations", [])):
            return policy
    return None


def _shown(policy: Object, kind: str) -> Object:
    shown: Object = {"name": policy.get("name", policy.get("id", "")), "type": kind, "rules": policy.get("rules", [])}
    for name in ("shortName", "displayName", "priority"):
        if name in policy:
            shown[name] = policy[name]
    return shown


def of_instance(call: Call) -> Object:
    """Answer instances.getEffectiveFirewalls: the rules that can apply to one interface."""
    link = call.link("instances", call.path["instance"])
    machine = call.world.find(link)
    name = call.query.get("networkInterface", "")
    nic = next((one for one in machine["networkInterfaces"] if one["name"] == name), None)
    if nic is None:
        raise invalid("networkInterface", name, "The instance has no such network interface.")
    network = link_of(nic["network"])
    project = call.world.project(network.project)
    tags = set(machine["tags"].get("items", []))
    accounts = {one.get("email") for one in machine.get("serviceAccounts", [])}
    rules = [
        rule
        for _key, rule in sorted(project.tables["firewalls"].items())
        if rule["network"] == nic["network"] and _targets(rule, tags, accounts)
    ]
    policies = policies_of(call.world, project, call.world.find(network))
    region = last(machine["zone"]).rpartition("-")[0]
    policies += [_shown(one, "NETWORK_REGIONAL") for one in project.regional.get(region, []) if one.get("network") == nic["network"]]
    for one in policies:
        if one["type"] == "SYSTEM":
            one["type"] = "SYSTEM_GLOBAL"
    return _body(rules, policies)


def _targets(rule: Object, tags: set[str], accounts: set[str]) -> bool:
    if rule.get("targetTags"):
        return bool(tags & set(rule["targetTags"]))
    if rule.get("targetServiceAccounts"):
        return bool(accounts & set(rule["targetServiceAccounts"]))
    return True

"""Network firewall policies: list, get, insert, patch, delete, associations, and copying all rules at once."""

from __future__ import annotations

from .call import Call
from .firewalls import refuse_over_quota
from .links import PUBLIC, Link, read
from .listing import Aggregate, aggregated, page_of
from .operations import Change, begin, ready, running_on
from .refusal import ComputeError, exists, in_use, invalid, not_found, stale
from .rule_text import WITH_PORTS, block_of, number_of, port_range
from .schema import NAME
from .world import Object, fingerprint, same_print

_FIRST_PREDEFINED = 2147483644
_SCOPES = Aggregate("compute#networkFirewallPolicyAggregatedList", "firewallPolicies", ("global",), lambda _row: "global")


def predefined() -> list[Object]:
    """Return the four rules that every policy ends with: go on to what comes next."""
    found = []
    for number, (direction, block) in enumerate(
        (("EGRESS", "::/0"), ("INGRESS", "::/0"), ("EGRESS", "0.0.0.0/0"), ("INGRESS", "0.0.0.0/0"))
    ):
        side = "destIpRanges" if direction == "EGRESS" else "srcIpRanges"
        found.append(
            {
                "kind": "compute#firewallPolicyRule",
                "description": "",
                "priority": _FIRST_PREDEFINED + number,
                "match": {side: [block], "layer4Configs": [{"ipProtocol": "all"}]},
                "action": "goto_next",
                "direction": direction,
                "enableLogging": False,
                "ruleTupleCount": 2,
            }
        )
    return found


def list_all(call: Call) -> Object:
    """Answer networkFirewallPolicies.list."""
    path = f"projects/{call.project.name}/global/firewallPolicies"
    return page_of(call, "compute#firewallPolicyList", path, call.table("firewallPolicies"))


def aggregated_list(call: Call) -> Object:
    """Answer networkFirewallPolicies.aggregatedList."""
    return aggregated(call, _SCOPES, call.table("firewallPolicies"))


def named(call: Call, name: str | None = None) -> tuple[Link, Object]:
    """Return the policy a call is about, by name or by number."""
    wanted = name or call.path["firewallPolicy"]
    table = call.project.tables["firewallPolicies"]
    key = next((key for key, one in table.items() if one["id"] == wanted), wanted)
    link = call.link("firewallPolicies", key)
    return link, call.world.find(link)


def get(call: Call) -> Object:
    """Answer networkFirewallPolicies.get."""
    return named(call)[1]


def insert(call: Call) -> Object:
    """Answer networkFirewallPolicies.insert; rules in the body are ignored, as users found."""
    name = call.body.get("name") or call.body.get("shortName") or ""
    if not NAME.fullmatch(name):
        raise invalid("resource.name", name, f"Must be a match of regex '{NAME.pattern}'")
    link = call.link("firewallPolicies", name)
    if link.key in call.project.tables["firewallPolicies"] or running_on(call.project, link.path):
        raise exists(link.path)
    refuse_over_quota(call, "NETWORK_FIREWALL_POLICIES", "firewallPolicies")
    number = call.world.new_id()
    made: Object = {
        "kind": "compute#firewallPolicy",
        "id": number,
        "creationTimestamp": call.world.stamp(),
        "name": name,
        "description": call.body.get("description", ""),
        "policyType": call.body.get("policyType", "VPC_POLICY"),
        "selfLink": link.url,
        "selfLinkWithId": f"{PUBLIC}projects/{link.project}/global/firewallPolicies/{number}",
    }
    made = with_rules(made, predefined())
    return begin(call, Change("insert", link, number, lambda: call.world.put(link, made)))


def with_rules(policy: Object, rules: list[Object]) -> Object:
    """Return a policy with these rules, its fingerprint and its weight made anew."""
    ordered = sorted(rules, key=lambda one: int(one["priority"]))
    weight = sum(int(one["ruleTupleCount"]) for one in ordered)
    content = [policy["name"], policy.get("description"), ordered, policy.get("associations", [])]
    return {**policy, "rules": ordered, "ruleTupleCount": weight, "fingerprint": fingerprint(content)}


def patch(call: Call) -> Object:
    """Answer networkFirewallPolicies.patch: description, and all rules at once, under the present fingerprint."""
    link, old = named(call)
    ready(call, link)
    if not same_print(call.body.get("fingerprint"), old["fingerprint"]):
        raise stale("resource")
    new = {**old, **({"description": call.body["description"]} if "description" in call.body else {})}
    rules = old["rules"]
    if "rules" in call.body:
        rules = [checked_rule(one, f"resource.rules[{number}]") for number, one in enumerate(call.body["rules"])]
        numbers = [one["priority"] for one in rules]
        twice = next((number for number in numbers if numbers.count(number) > 1), None)
        if twice is not None:
            raise invalid("resource.rules", twice, "Rule priorities must be unique.")
        for missing in predefined():
            if missing["priority"] not in numbers:
                raise invalid("resource.rules", missing["priority"], "Predefined rules must not be removed.")
    return begin(call, Change("patch", link, old["id"], lambda: call.world.put(link, with_rules(new, rules))))


def delete(call: Call) -> Object:
    """Answer networkFirewallPolicies.delete: not while a network uses it."""
    link, old = named(call)
    ready(call, link)
    if old.get("associations"):
        raise in_use("firewall_policy", link.path, old["associations"][0]["attachmentTarget"].removeprefix(PUBLIC))
    return begin(call, Change("delete", link, old["id"], lambda: call.world.put(link, None)))


def add_association(call: Call) -> Object:
    """Answer networkFirewallPolicies.addAssociation: one policy per network, one association of a name."""
    link, old = named(call)
    ready(call, link)
    network = call.read(call.body.get("attachmentTarget", ""))
    if network is None or network.kind != "networks" or network.project != call.project.name:
        raise invalid("resource.attachmentTarget", call.body.get("attachmentTarget", ""), "The URL is malformed.")
    call.world.find(network)
    name = call.body.get("name") or network.name
    others = [
        key
        for key, one in call.project.tables["firewallPolicies"].items()
        if any(each["attachmentTarget"] == network.url for each in one.get("associations", []))
    ]
    replacing = call.flag("replaceExistingAssociation")
    if others and not replacing:
        raise invalid("resource.attachmentTarget", network.path, "An association with that attachment target already exists.")
    if not replacing and any(one["name"] == name for one in old.get("associations", [])):
        raise exists(f"{link.path}/{name}")
    made = {"name": name, "attachmentTarget": network.url, "shortName": old["name"], "firewallPolicyId": old["id"]}
    return begin(call, Change("addAssociation", link, old["id"], lambda: _attach(call, link, made, others)))


def _attach(call: Call, link: Link, made: Object, others: list[str]) -> None:
    for key in others:
        place = call.link("firewallPolicies", key)
        policy = call.world.find(place)
        kept = [one for one in policy["associations"] if one["attachmentTarget"] != made["attachmentTarget"]]
        call.world.put(place, with_rules({**policy, "associations": kept}, policy["rules"]))
    policy = call.world.find(link)
    new = {**policy, "associations": [*policy.get("associations", []), made]}
    call.world.put(link, with_rules(new, policy["rules"]))
    network = read(made["attachmentTarget"], link.project)
    if network is not None:
        call.world.put(network, {**call.world.find(network), "firewallPolicy": link.url})


def _association(call: Call) -> tuple[Link, Object, Object]:
    link, old = named(call)
    name = call.query.get("name", "")
    found = next((one for one in old.get("associations", []) if one["name"] == name), None)
    if found is None:
        text = f"An association with name '{name}' does not exist."
        raise ComputeError(400, "invalid", f"Invalid value for field 'name': '{name}'. {text}")
    return link, old, found


def get_association(call: Call) -> Object:
    """Answer networkFirewallPolicies.getAssociation."""
    return _association(call)[2]


def remove_association(call: Call) -> Object:
    """Answer networkFirewallPolicies.removeAssociation."""
    link, old, found = _association(call)
    ready(call, link)
    return begin(call, Change("removeAssociation", link, old["id"], lambda: _detach(call, link, found)))


def _detach(call: Call, link: Link, found: Object) -> None:
    policy = call.world.find(link)
    kept = [one for one in policy["associations"] if one["name"] != found["name"]]
    call.world.put(link, with_rules({**policy, "associations": kept}, policy["rules"]))
    network = read(found["attachmentTarget"], link.project)
    if network is not None:
        shown = call.world.find(network)
        call.world.put(network, {name: value for name, value in shown.items() if name != "firewallPolicy"})


def clone_rules(call: Call) -> Object:
    """Answer networkFirewallPolicies.cloneRules: the rules of another policy replace those of this one."""
    link, old = named(call)
    ready(call, link)
    source = call.read(call.query.get("sourceFirewallPolicy", ""))
    if source is None or source.kind != "firewallPolicies":
        raise invalid("sourceFirewallPolicy", call.query.get("sourceFirewallPolicy", ""), "The URL is malformed.")
    if source.key not in call.project.tables["firewallPolicies"]:
        raise not_found(source.path)
    rules = call.world.find(source)["rules"]
    return begin(call, Change("cloneRules", link, old["id"], lambda: call.world.put(link, with_rules(call.world.find(link), rules))))


def checked_rule(given: Object, path: str) -> Object:
    """Return a rule of a policy as it is shown; a ComputeError for what it may not say."""
    rule: Object = {"kind": "compute#firewallPolicyRule", "description": "", "enableLogging": False, "disabled": False, **given}
    if not isinstance(rule.get("priority"), int) or not 0 <= rule["priority"] <= 2147483647:
        raise invalid(f"{path}.priority", rule.get("priority", ""), "Must be between 0 and 2147483647.")
    if rule.get("action") not in ("allow", "deny", "goto_next", "apply_security_profile_group"):
        raise invalid(f"{path}.action", rule.get("action", ""), "Must be one of [allow, deny, goto_next, apply_security_profile_group].")
    if rule.get("direction") not in ("INGRESS", "EGRESS"):
        raise invalid(f"{path}.direction", rule.get("direction", ""), "Must be INGRESS or EGRESS.")
    match = rule.get("match", {})
    if not match.get("layer4Configs"):
        raise invalid(f"{path}.match.layer4Configs", "", "At least one layer 4 configuration is required.")
    for field in ("srcIpRanges", "destIpRanges"):
        for text in match.get(field, []):
            if block_of(text) is None:
                raise invalid(f"{path}.match.{field}", text, "Must be a valid CIDR range.")
    for one in match["layer4Configs"]:
        _protocol(one, f"{path}.match.layer4Configs")
    if rule["direction"] == "INGRESS" and not any(name.startswith("src") and match.get(name) for name in match):
        raise invalid(f"{path}.match", "", "A source must be specified for an ingress rule.")
    if rule["direction"] == "EGRESS" and not any(name.startswith("dest") and match.get(name) for name in match):
        raise invalid(f"{path}.match", "", "A destination must be specified for an egress rule.")
    sides = max(1, len(match.get("srcIpRanges", []))) * max(1, len(match.get("destIpRanges", [])))
    ports = sum(max(1, len(one.get("ports", []))) for one in match["layer4Configs"])
    return {**rule, "ruleTupleCount": 1 + sides * ports}


def _protocol(one: Object, path: str) -> None:
    try:
        number = number_of(one.get("ipProtocol", ""))
    except ValueError:
        raise invalid(f"{path}.ipProtocol", one.get("ipProtocol", ""), "Must be a protocol name or a number between 0 and 255.") from None
    ports = one.get("ports", [])
    if ports and number not in WITH_PORTS:
        raise invalid(f"{path}.ports", ports[0], "Ports may only be specified for TCP, UDP and SCTP.")
    for text in ports:
        if port_range(text) is None:
            raise invalid(f"{path}.ports", text, "Ports must be an integer or a range between 0 and 65535.")

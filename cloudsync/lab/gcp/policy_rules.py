"""Single rules of a network firewall policy: add, get, patch, remove, by priority."""

from __future__ import annotations

from .call import Call
from .operations import Change, begin, ready
from .policies import checked_rule, named, with_rules
from .refusal import BARE, ComputeError, invalid
from .world import Object

_FIRST_PREDEFINED = 2147483644


def _priority(call: Call) -> int:
    return call.number("priority", 0, 2147483647)


def _rule(rules: list[Object], priority: int) -> Object:
    found = next((one for one in rules if one["priority"] == priority), None)
    if found is None:
        text = f"Invalid value for field 'priority': '{priority}'. The firewall policy does not contain a rule at priority {priority}."
        raise ComputeError(400, "invalid", text, BARE)
    return found


def get(call: Call) -> Object:
    """Answer getRule; a rule that is not there is a 400, as recorded."""
    return _rule(named(call)[1]["rules"], _priority(call))


def add(call: Call) -> Object:
    """Answer addRule: a priority of its own, or the first free one from minPriority on."""
    link, old = named(call)
    ready(call, link)
    body = dict(call.body)
    taken = {one["priority"] for one in old["rules"]}
    if "minPriority" in call.query:
        first, most = call.number("minPriority", 0, 2147483647), call.number("maxPriority", _FIRST_PREDEFINED - 1, 2147483647)
        free = next((number for number in range(first, most + 1) if number not in taken), None)
        if free is None:
            raise invalid("minPriority", str(first), "There is no free priority in this range.")
        body["priority"] = free
    rule = checked_rule(body, "resource")
    if rule["priority"] in taken:
        raise invalid("resource.priority", rule["priority"], f"A rule with priority {rule['priority']} already exists.")
    if rule["priority"] >= _FIRST_PREDEFINED:
        raise invalid("resource.priority", rule["priority"], "Priorities from 2147483548 on are reserved.")
    return begin(call, Change("addFirewallRuleToFirewallPolicy", link, old["id"], lambda: _replace(call, rule, None)))


def patch(call: Call) -> Object:
    """Answer patchRule: a merge into the rule at that priority."""
    link, old = named(call)
    ready(call, link)
    priority = _priority(call)
    before = _rule(old["rules"], priority)
    merged = {**before, **call.body, "match": {**before["match"], **call.body.get("match", {})}}
    rule = checked_rule(merged, "resource")
    return begin(call, Change("patchFirewallRuleInFirewallPolicy", link, old["id"], lambda: _replace(call, rule, priority)))


def remove(call: Call) -> Object:
    """Answer removeRule; the predefined rules stay."""
    link, old = named(call)
    ready(call, link)
    priority = _priority(call)
    _rule(old["rules"], priority)
    if priority >= _FIRST_PREDEFINED:
        raise invalid("priority", str(priority), "Predefined rules must not be removed.")
    return begin(call, Change("removeFirewallRuleFromFirewallPolicy", link, old["id"], lambda: _replace(call, None, priority)))


def _replace(call: Call, rule: Object | None, priority: int | None) -> None:
    link, now = named(call)
    kept = [one for one in now["rules"] if one["priority"] != priority]
    call.world.put(link, with_rules(now, kept if rule is None else [*kept, rule]))

"""Connections that are open: an NSG keeps letting them through after its rules have changed, unless it flushes."""

from __future__ import annotations

from ..kit.faults import Json
from . import names
from .packets import flow_from, verdict
from .world import Resource, World


def connect(world: World, given: Json) -> Json:
    """Try to open a connection; when that works it is remembered."""
    found = verdict(world, flow_from(given))
    if found["allowed"]:
        world.flows.append({**given, "alive": True, "through": [names.key(step["nsg"]) for step in found["steps"]]})
    return found


def recheck(world: World, group: Resource) -> None:
    """The rules of an NSG have changed, or it has begun to flush: if it does, what its rules now deny is cut."""
    if not (group.settled or {}).get("flushConnection"):
        return
    key = names.key(group.id)
    for flow in world.flows:
        if not flow["alive"] or key not in flow["through"]:
            continue
        found = verdict(world, flow_from(flow))
        if not found["allowed"] and names.key(found["by"]["nsg"]) == key:
            flow["alive"] = False


def shown(world: World) -> list[Json]:
    """Every connection: is it alive, and would it open anew?"""
    for group in list(world.of_kind("Microsoft.Network/networkSecurityGroups")):
        recheck(world, group)
    return [
        {**{name: value for name, value in flow.items() if name != "through"}, "would_open": verdict(world, flow_from(flow))["allowed"]}
        for flow in world.flows
    ]

"""What no API call can bring about, and tenants have all the same: old oddities, managed policies, gateways, a slow data plane."""

from __future__ import annotations

from ..kit.faults import Json
from . import names
from .world import Resource, World


def _group(world: World, given: Json) -> Resource:
    found = world.find(str(given["id"]))
    if found is None:
        raise ValueError(f"there is no {given['id']}")
    return found


def plant(world: World, given: Json) -> Json:
    """Put rules (`rules`: [{name, properties, omit?}]) and properties into an NSG past every check; `omit` names fields no answer shows."""
    group = _group(world, given)
    planted = {each["name"].lower(): each for each in given.get("rules", ())}
    kept = [each for each in group.properties.get("securityRules", ()) if each["name"].lower() not in planted]
    properties = {**group.properties, **given.get("properties", {})}
    if "securityRules" in group.properties:
        properties["securityRules"] = [*kept, *planted.values()]
    group.properties = group.settled = properties
    group.etag = world.etag()
    world.version += 1
    return {"etag": group.etag}


def protect(world: World, given: Json) -> Json:
    """Let every write of a resource meet an error ({id, code, message?, status?}); without a code, no more."""
    if given:
        key = names.key(_group(world, given).id)
        if "code" in given:
            world.refusals[key] = dict(given)
        else:
            world.refusals.pop(key, None)
    return dict(world.refusals)


def gateway(world: World, given: Json) -> Json:
    """Say what the gateway of a network has learned: {id, prefixes}."""
    if given:
        world.gateway_prefixes[names.key(_group(world, given).id)] = tuple(str(each) for each in given["prefixes"])
    return {key: list(value) for key, value in world.gateway_prefixes.items()}


def lag(world: World, given: Json) -> Json:
    """Let the data plane of an NSG use the rules before for so long after each change: {id, seconds}."""
    if given:
        world.lag_s[names.key(_group(world, given).id)] = float(given["seconds"])
    return dict(world.lag_s)

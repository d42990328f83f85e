"""VPC firewall rules: list, get, insert, patch, update, delete."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..kit.faults import Json
from .call import Call
from .links import Link
from .listing import page_of
from .operations import Change, begin, ready, running_on
from .refusal import ComputeError, Extra, exists, forbidden, invalid
from .rule_text import check, completed, spelled
from .world import Object, World

_OWN = ("kind", "id", "creationTimestamp", "selfLink")
_CONTROLLED = re.compile(r"(?:gke|k8s)-.+")


def list_all(call: Call) -> Object:
    """Answer firewalls.list."""
    return page_of(call, "compute#firewallList", f"projects/{call.project.name}/global/firewalls", call.table("firewalls"))


def _named(call: Call) -> tuple[Link, Object]:
    link = call.link("firewalls", call.path["firewall"])
    found = call.table("firewalls").get(link.key)
    return link, call.world.find(link) if found is None else found


def get(call: Call) -> Object:
    """Answer firewalls.get."""
    return _named(call)[1]


def insert(call: Call) -> Object:
    """Answer firewalls.insert."""
    link = call.link("firewalls", call.body["name"])
    if link.key in call.project.tables["firewalls"] or running_on(call.project, link.path):
        raise exists(link.path)
    rule = _complete(call, {**call.body, "network": _network(call, call.body.get("network"))})
    refuse_over_quota(call, "FIREWALLS", link.kind)
    own = {"kind": "compute#firewall", "id": call.world.new_id(), "creationTimestamp": call.world.stamp(), "selfLink": link.url}
    return begin(call, Change("insert", link, own["id"], lambda: _put_new(call, link, {**rule, **own})))


def _put_new(call: Call, link: Link, rule: Object) -> None:
    """The network may have gone since the call was accepted."""
    network = call.read(rule["network"])
    if network is not None:
        call.world.find(network)
    call.world.put(link, rule)


def refuse_over_quota(call: Call, metric: str, kind: str) -> None:
    """Refuse one more of a kind when the project's quota is used up, what is still being made included."""
    project = call.project
    coming = sum(f"/{kind}/" in one.target and one.body["operationType"] == "insert" for one in project.running.values())
    limit = project.limits[metric]
    if len(project.tables[kind]) + coming >= limit:
        raise ComputeError(403, "quotaExceeded", f"Quota '{metric}' exceeded.  Limit: {limit}.0 globally.", Extra("usageLimits"))


def patch(call: Call) -> Object:
    """Answer firewalls.patch: a merge, lists replaced whole, null removes."""
    link, old = _named(call)
    merged = {name: value for name, value in {**old, **call.body}.items() if value is not None}
    for name, value in call.body.items():
        if name == "logConfig" and isinstance(value, dict):
            merged[name] = {**old.get(name, {}), **value}
    return _change(call, "patch", (link, old), merged)


def update(call: Call) -> Object:
    """Answer firewalls.update: what is left out falls back to its default."""
    link, old = _named(call)
    if call.world.settings.put == "refuse" and call.body.get("priority", 1000) != old["priority"]:
        raise ComputeError(400, "invalid", "Unsupported update operation.")
    return _change(call, "update", (link, old), {"name": link.name, **call.body})


def _change(call: Call, kind: str, target: tuple[Link, Object], wanted: Object) -> Object:
    link, old = target
    ready(call, link)
    network = _network(call, wanted.get("network"))
    rule = _complete(call, {**wanted, "network": network})
    for name in ("name", "direction", "network"):
        if rule[name] != old[name]:
            raise invalid(f"resource.{name}", rule[name], f"The {name} of a firewall rule cannot be changed.")
    new = {**rule, **{name: old[name] for name in _OWN}}
    return begin(call, Change(kind, link, old["id"], _guarded(call.world, link, old, lambda: call.world.put(link, new), by=call.entry.by)))


def _complete(call: Call, given: Object) -> Object:
    settings = call.world.settings
    rule = completed({name: value for name, value in given.items() if name not in _OWN and name != "params"})
    check(rule, settings)
    return spelled(rule, settings)


def delete(call: Call) -> Object:
    """Answer firewalls.delete."""
    link, old = _named(call)
    call.world.find(link)
    ready(call, link)
    return begin(
        call, Change("delete", link, old["id"], _guarded(call.world, link, old, lambda: call.world.put(link, None), by=call.entry.by))
    )


def _guarded(world: World, link: Link, old: Object, act: Callable[[], None], *, by: str) -> Callable[[], None]:
    """A controller of Kubernetes puts its rules back when the lab is told so."""

    def effect() -> None:
        act()
        delay = world.settings.gke_restores_after_s
        if delay >= 0 and _CONTROLLED.fullmatch(link.name) and by != "controller":
            world.later(delay, lambda: _restore(world, link, old))

    return effect


def _restore(world: World, link: Link, old: Object) -> None:
    """A controller writes its rule anew; it is another one of the same name."""
    world.put(link, {**old, "id": world.new_id(), "creationTimestamp": world.stamp()})
    robot = f"service-{world.project(link.project).number}@container-engine-robot.iam.gserviceaccount.com"
    world.record(link.path, "firewalls.insert", by="controller", who=robot)


def _network(call: Call, text: Json) -> str:
    """Return the URL of the network a rule names; `default` when it names none."""
    link = call.read(text or "global/networks/default")
    if link is None or link.kind != "networks" or link.place != "global":
        raise invalid("resource.network", text, "The URL is malformed.")
    if link.project != call.project.name:
        raise invalid("resource.network", text, "Cross project referencing is not allowed for this resource.")
    call.world.find(link)
    if not _may(call, "compute.networks.updatePolicy"):
        raise forbidden("compute.networks.updatePolicy", link.path)
    return link.url


def _may(call: Call, permission: str) -> bool:
    from .permissions import holds

    return holds(call.principal, permission)

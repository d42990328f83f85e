"""The control verbs of this vendor beside the gate's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..kit.faults import Json
from . import evaluate
from .refusal import DeviceError
from .render import parts, thing
from .schema import RESOURCES
from .unit import Unit

if TYPE_CHECKING:
    from .site import Site


def _clock(site: Site, given: Json) -> Json:
    clock = site.world.clock
    for name, value in given.items():
        match name:
            case "mode" if value == "manual":
                clock.freeze()
            case "mode" if value == "real":
                clock.thaw()
            case "advance":
                clock.advance(float(value))
            case _:
                raise ValueError(f"clock: {name}={value!r}: want mode=manual|real or advance=SECONDS")
    site.world.settle()
    return {"now": clock.now()}


def _settings(site: Site, given: Json) -> Json:
    site.world.settings.change(given)
    for unit in site.world.units.values():
        unit.compiler.forget()
    return site.world.settings.as_json()


def _quotas(site: Site, given: Json) -> Json:
    """The one limit a client meets: tokens per user."""
    site.world.settings.change({key: int(value) for key, value in given.items()})
    return {"max_tokens": site.world.settings.max_tokens}


def _buckets(_site: Site, given: Json) -> Json:
    """A BIG-IP publishes no rates; what it does under load is a fault."""
    if given.get("enabled"):
        raise ValueError("a BIG-IP publishes no rates to throttle by; want faults of kind unavailable")
    return {"enabled": False, "scale": 1.0}


def _act(site: Site, given: Json) -> Json:
    try:
        return {"ok": True, "body": site.act_json(given)}
    except DeviceError as refusal:
        return {"ok": False, "status": refusal.status, "code": refusal.code, "message": refusal.message}


def _state(site: Site, _given: Json) -> Json:
    return {name: _unit(site, unit) for name, unit in site.world.units.items()}


def _unit(site: Site, unit: Unit) -> Json:
    standing = site.world.standing(unit)
    return {
        "active": unit.active,
        "hostname": unit.identity.hostname,
        "serial": unit.identity.serial,
        "color": standing.color,
        "status": standing.status,
        "unsaved": unit.unsaved,
        "saves": unit.saves,
        "reboots": unit.reboots,
        "compile": unit.compiler.state(unit.running),
        "live_tokens": len(unit.tokens.living()),
        "open_transactions": [each.number for each in unit.transactions.opened()],
        "running": _dump(site, unit, saved=False),
        "saved": _dump(site, unit, saved=True),
    }


def _dump(site: Site, unit: Unit, *, saved: bool) -> Json:
    """{collection: {path: object with its rules or members}}."""
    config, settings = unit.saved.config if saved else unit.running, site.world.settings
    found: dict[str, Json] = {}
    for collection, held in sorted(config.objects.items()):
        resource = RESOURCES[collection]
        found[collection] = {
            path: {
                **thing(config, settings, collection, path),
                **({resource.sub: parts(config, settings, collection, path)} if resource.sub else {}),
            }
            for path in sorted(held)
        }
    return found


def _verdict(site: Site, given: Json) -> Json:
    packets = given if isinstance(given, list) else [given]
    found = [evaluate.verdict(site.unit(each), evaluate.packet(each)).as_json() for each in packets]
    return found if isinstance(given, list) else found[0]


def _failover(site: Site, given: Json) -> Json:
    to = str(given.get("to") or site.world.peer(site.world.active).identity.name)
    if to not in site.world.units:
        raise ValueError(f"no unit {to!r}")
    site.world.failover(to)
    return {"active": to}


def _reboot(site: Site, given: Json) -> Json:
    unit = site.unit(given)
    site.world.reboot(unit, float(given.get("seconds", 0)))
    return {"rebooted": unit.identity.name, "active": site.world.active.identity.name}


def _tokens(site: Site, given: Json) -> Json:
    """`kill` ends every login of a unit (of both when none is named)."""
    units = [site.unit(given)] if given.get("unit") else list(site.world.units.values())
    if given.get("kill"):
        for unit in units:
            unit.tokens.live.clear()
    return {unit.identity.name: [{"user": each.user.name, "expires": each.expires} for each in unit.tokens.living()] for unit in units}


def _provision(site: Site, given: Json) -> Json:
    """{unit?, module, level}."""
    unit = site.unit(given)
    path = f"/mgmt/tm/sys/provision/{given.get('module', 'afm')}"
    shown = site.act(unit.identity.name, "PATCH", path, {"level": given.get("level", "none")})
    return {"level": shown["level"]}


VERBS: dict[str, Callable[[Site, Json], Json]] = {
    "clock": _clock,
    "settings": _settings,
    "quotas": _quotas,
    "buckets": _buckets,
    "act": _act,
    "state": _state,
    "verdict": _verdict,
    "failover": _failover,
    "reboot": _reboot,
    "tokens": _tokens,
    "provision": _provision,
}

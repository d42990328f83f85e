"""What a unit says about itself: version, hardware, group, failover, how far compiling has come; and the commands one can give it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from ..kit.faults import Json
from .refusal import DeviceError, missing_property, not_found
from .render import VERSION, kind, link, nested, stats, tilded
from .schema import RULE_LIST
from .tokens import EPOCH
from .unit import Unit
from .world import GROUP, World

BUILD = "0.0.9"


def device_information(unit: Unit, serial: str, hostname: str) -> Json:
    """Answer /mgmt/shared/identified-devices/config/device-info."""
    return {
        "baseMac": unit.identity.mac,
        "hostMemoryMb": 16384,
        "hostname": hostname,
        "managementAddress": unit.identity.management,
        "chassisSerialNumber": serial,
        "platformMarketingName": "BIG-IP Virtual Edition",
        "version": VERSION,
        "product": "BIG-IP",
        "edition": "Final",
        "build": BUILD,
        "restFrameworkVersion": f"{VERSION}-{BUILD}",
        "mcpDeviceName": f"/Common/{hostname}",
        "generation": 0,
        "lastUpdateMicros": 0,
        "kind": "shared:resolver:device-groups:deviceinfostate",
        "selfLink": "https://localhost/mgmt/shared/identified-devices/config/device-info",
    }


def failover_state(world: World, unit: Unit) -> Json:
    """Answer bigip-failover-state."""
    at = EPOCH + dt.timedelta(seconds=world.clock.now() + 3600)
    return {
        "isEnabled": True,
        "pollCyclePeriodMillis": 3600000,
        "nextPollTime": at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}+0000",
        "networkFailoverDeviceGroup": GROUP,
        "failoverState": "active" if unit.active else "standby",
        "generation": 0,
        "lastUpdateMicros": 0,
    }


def devices(world: World, unit: Unit, strange: Callable[[Unit], tuple[str, str]]) -> list[Json]:
    """Items of cm/device; `strange` gives (serial, hostname) as they shall be shown."""
    items = []
    for each in world.units.values():
        serial, hostname = strange(each)
        items.append(
            {
                "kind": kind("cm/device"),
                "name": hostname,
                "partition": "Common",
                "fullPath": f"/Common/{hostname}",
                "generation": 1,
                "selfLink": link(f"cm/device/{tilded(f'/Common/{hostname}')}"),
                "baseMac": each.identity.mac,
                "build": BUILD,
                "chassisId": serial,
                "chassisType": "individual",
                "edition": "Final",
                "failoverState": "active" if each.active else "standby",
                "haCapacity": 0,
                "hostname": hostname,
                "managementIp": each.identity.management,
                "marketingName": "BIG-IP Virtual Edition",
                "platformId": "Z100",
                "product": "BIG-IP",
                "selfDevice": "true" if each is unit else "false",
                "timeZone": "UTC",
                "version": VERSION,
            }
        )
    return items


def device_group(world: World) -> Json:
    """The item of cm/device-group."""
    on = {True: "enabled", False: "disabled"}
    at = f"cm/device-group/~Common~{GROUP}"
    return {
        "kind": kind("cm/device-group"),
        "name": GROUP,
        "partition": "Common",
        "fullPath": f"/Common/{GROUP}",
        "generation": world.group.generation,
        "selfLink": link(at),
        "asmSync": "disabled",
        "autoSync": on[world.group.auto_sync],
        "fullLoadOnSync": "true" if world.group.full_load else "false",
        "hidden": "false",
        "networkFailover": "enabled",
        "saveOnAutoSync": "true" if world.group.save_on_auto_sync else "false",
        "type": "sync-failover",
        "devicesReference": {"link": link(f"{at}/devices"), "isSubcollection": True},
    }


def change_group(world: World, body: Json) -> Json:
    """PATCH of the group."""
    fields = {"autoSync": ("auto_sync", "enabled", "disabled"), "saveOnAutoSync": ("save_on_auto_sync", "true", "false")}
    fields["fullLoadOnSync"] = ("full_load", "true", "false")
    if not isinstance(body, dict):
        raise missing_property("autoSync")
    for name, value in body.items():
        if name not in fields:
            raise DeviceError(400, f'"{name}" unknown property', 26214401)
        key, yes, no = fields[name]
        if value not in (yes, no):
            raise DeviceError(400, f'invalid property value "{name}":"{value}"', 26214401)
        setattr(world.group, key, value == yes)
    world.group.generation += 1
    return device_group(world)


def sync_status(world: World, unit: Unit, *, unseen: bool) -> Json:
    """Answer cm/sync-status."""
    standing = world.standing(unit, unseen=unseen)
    base = "https://localhost/mgmt/tm/cm/syncStatus/0/details"
    details = {f"{base}/{number}": nested({"details": text}) for number, text in enumerate(standing.details)}
    values: dict[str, Json] = {
        "color": standing.color,
        base: {"nestedStats": {"entries": details}},
        "mode": standing.mode,
        "status": standing.status,
        "summary": standing.summary,
    }
    return stats("cm/sync-status", {"https://localhost/mgmt/tm/cm/sync-status/0": nested(values)})


def failover_status(unit: Unit) -> Json:
    """Answer cm/failover-status."""
    values = {"color": "green" if unit.active else "gray", "status": "ACTIVE" if unit.active else "STANDBY", "summary": ""}
    return stats("cm/failover-status", {"https://localhost/mgmt/tm/cm/failover-status/0": nested(values)})


def version() -> Json:
    """Answer sys/version."""
    values = {"Build": BUILD, "Edition": "Final", "Product": "BIG-IP", "Title": "Main Package", "Version": VERSION}
    return stats("sys/version", {"https://localhost/mgmt/tm/sys/version/0": nested(values)})


def hardware(unit: Unit, serial: str) -> Json:
    """Answer sys/hardware: the serial number among what else it says."""
    base = "https://localhost/mgmt/tm/sys/hardware"
    system = {f"{base}/system-info/0": nested({"bigipChassisSerialNum": serial, "platform": "Z100", "hostBoardSerialNum": " "})}
    platform = {f"{base}/platform/0": nested({"baseMac": unit.identity.mac, "biosRev": "", "marketingName": "BIG-IP Virtual Edition"})}
    return stats("sys/hardware", {f"{base}/system-info": nested_map(system), f"{base}/platform": nested_map(platform)})


def nested_map(entries: dict[str, Json]) -> Json:
    """Nested statistics that hold nested statistics."""
    return {"nestedStats": {"entries": entries}}


def database(default_action: str) -> list[Json]:
    """Items of sys/db: the one variable that decides about packets."""
    name = "tm.fw.defaultaction"
    return [
        {
            "kind": kind("sys/db"),
            "name": name,
            "fullPath": name,
            "generation": 1,
            "selfLink": link(f"sys/db/{name}"),
            "defaultValue": "accept",
            "scfConfig": "true",
            "value": default_action,
            "valueRange": "accept drop reject",
        }
    ]


def change_database(world: World, path: str, body: Json) -> Json:
    """PATCH of a variable."""
    shown = device_named(database(world.settings.default_action), path.removeprefix("sys/db/"))
    value = body.get("value") if isinstance(body, dict) else None
    if value not in ("accept", "drop", "reject"):
        raise DeviceError(400, f'invalid property value "value":"{value}"', 26214401)
    world.settings.default_action = value
    return {**shown, "value": value}


def container_stat(unit: Unit) -> Json:
    """Answer container-stat: every policy that is active in a context, since when, with how many rules."""
    words = {"virtual": "virtual", "self": "self-ip", "route-domain": "route-domain", "global": "global"}
    entries: dict[str, Json] = {}
    base = "https://localhost/mgmt/tm/security/firewall/container-stat"
    for number, (where, path, policy, word) in enumerate(unit.compiler.active.contexts()):
        held = unit.compiler.active.policy(policy) or {}
        at = EPOCH + dt.timedelta(seconds=unit.compiler.activated.get((where, path, policy), 0.0))
        values: dict[str, Json] = {
            "activationTimeFmt": at.strftime("%b %d %Y %H:%M:%S+0000"),
            "compileDurationFmt": "0:0:0",
            "containerSize": 4096,
            "contextName": path or "global",
            "contextType": words[where.rpartition("/")[2]],
            "ovrlpckDurationFmt": "0:0:0",
            "perPolicyCompilation": "Yes",
            "policyName": policy,
            "policyType": word,
            "processMem": 54300,
            "ruleCount": rule_count(unit, held.get("rules", ())),
            "slotId": 0,
        }
        entries[f"{base}/{number}"] = nested(values)
    return stats("security/firewall/container-stat", entries)


def rule_count(unit: Unit, rules: tuple[Json, ...]) -> int:
    """Rules after rule lists are unfolded; disabled ones are not compiled."""
    lists = unit.compiler.active.objects[RULE_LIST]
    live = [rule for rule in rules if rule.get("status", "enabled") != "disabled"]
    return sum(rule_count(unit, lists.get(rule["ruleList"], {}).get("rules", ())) if "ruleList" in rule else 1 for rule in live)


def current_state(unit: Unit) -> Json:
    """Answer current-state: how far compiling and deploying have come."""
    words = {
        "ready": ("Firewall rules deployed", "Last compile successful"),
        "compiling": ("Firewall rules compiling", "Compiling"),
        "manual": ("Firewall rules need compiling", "Compile pending"),
        "undeployed": ("Firewall rules need deploying", "Deploy pending"),
        "failed": ("Firewall rules failed to compile", unit.compiler.failed),
    }
    state = unit.compiler.state(unit.running)
    values = {"pccdState": state, "pccdStateText": words[state][0], "pccdCompileStatus": words[state][1]}
    return stats("security/firewall/current-state", {"https://localhost/mgmt/tm/security/firewall/current-state/0": nested(values)})


def rule_stat(unit: Unit) -> Json:
    """Answer rule-stat: hits per active rule."""
    entries: dict[str, Json] = {}
    base = "https://localhost/mgmt/tm/security/firewall/rule-stat"
    for where, path, policy, word in unit.compiler.active.contexts():
        for rule in (unit.compiler.active.policy(policy) or {}).get("rules", ()):
            hits = unit.compiler.hits[where, path, word, policy, rule["name"]]
            values: dict[str, Json] = {
                "action": rule.get("action", "rule-list"),
                "contextName": path or "global",
                "contextType": where.rpartition("/")[2],
                "hits": hits,
                "policyName": policy,
                "ruleName": rule["name"],
                "ruleStatType": word.lower(),
            }
            entries[f"{base}/{len(entries)}"] = nested(values)
    return stats("security/firewall/rule-stat", entries)


def command(world: World, unit: Unit, path: str, body: Json) -> Json:
    """Run what a POST of a command asks for."""
    if not isinstance(body, dict) or not isinstance(body.get("command"), str):
        raise missing_property("command")
    match path, body["command"]:
        case "sys/config", "save":
            _save(world, unit)
        case "sys/config", "load":
            unit.load()
            unit.compiler.changed(unit.running)
        case "cm", "run":
            _sync(world, unit, str(body.get("utilCmdArgs", "")))
        case "sys/failover", "run":
            _failover(world, unit, body)
        case "security/firewall/on-demand-compilation", "run":
            unit.compiler.compile_now(unit.running)
        case "security/firewall/on-demand-rule-deploy", "run":
            unit.compiler.deploy()
        case "util/bash", "run":
            said = _shell(world, unit, str(body.get("utilCmdArgs", "")))
            return {"kind": "tm:util:bash:runstate", **body, **({"commandResult": said} if said else {})}
        case _:
            raise DeviceError(400, f'invalid property value "command":"{body["command"]}"', 26214401)
    return {"kind": kind(path, f"{body['command']}state"), **body}


def _shell(world: World, unit: Unit, arguments: str) -> str:
    """The few command lines that known clients send through iControl; there is no shell behind them."""
    line = arguments.strip().removeprefix("-c").strip().strip("\"'")
    match line.split():
        case ["tmsh", "save", *_]:
            _save(world, unit)
            return "Saving running configuration...\n  /config/bigip.conf\n  /config/bigip_base.conf\n"
        case ["cat", "/proc/uptime"]:
            return f"{world.clock.now() + 86400:.2f} {world.clock.now() + 86400:.2f}\n"
        case ["cat", "/VERSION"]:
            return f"Product: BIG-IP\nVersion: {VERSION}\nBuild: {BUILD}\nEdition: Final\n"
        case ["runlevel"]:
            return "N 3\n"
        case ["ps", "aux", "|", "grep", *_]:
            return ""  # nothing of what they look for is under way
        case ["curl", *_]:
            return "200\n"
        case _:
            return f"bash: {line}: command not found\n"


def _save(world: World, unit: Unit) -> None:
    match world.settings.save:
        case "fails":
            raise DeviceError(400, "01071769:3: Unexpected Error: Can't write the configuration: No space left on device.")
        case "early":
            unit.late_saves.append((world.clock.now() + world.settings.save_delay_s, unit.snapshot()))
        case _:
            unit.save()


def _sync(world: World, unit: Unit, arguments: str) -> None:
    words = [each for each in arguments.split() if each != "force-full-load-push"]
    if len(words) != 3 or words[0] != "config-sync" or words[1] not in ("to-group", "from-group"):
        raise DeviceError(400, f'Syntax Error: unexpected argument "{arguments}"', 26214401)
    world.sync(unit, words[1], words[2])


def _failover(world: World, unit: Unit, body: Json) -> None:
    if not unit.active or not (body.get("standby") or "standby" in str(body.get("utilCmdArgs", ""))):
        raise DeviceError(400, "01071aa0:3: Only an active unit can be told to go standby.")
    world.failover(world.peer(unit).identity.name)


def device_named(items: list[Json], name: str) -> Json:
    """One item by its path or name."""
    for each in items:
        if name in (each["fullPath"], each["name"]):
            return each
    raise not_found("object", name)

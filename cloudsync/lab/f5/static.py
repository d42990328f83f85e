"""What a device lists besides configuration: the profiles it comes with, empty collections, the clock, statistics of objects."""

from __future__ import annotations

import datetime as dt

from ..kit.faults import Json
from .config import Config
from .paths import target
from .refusal import DeviceError, not_found
from .render import collection_of, kind, link, nested, stats
from .schema import NODE, RESOURCES, VIRTUAL, VLAN
from .settings import Settings
from .tokens import EPOCH

PROFILES = {
    "tcp": ("tcp", "tcp-lan-optimized", "tcp-wan-optimized"),
    "udp": ("udp",),
    "http": ("http",),
    "fastl4": ("fastL4",),
    "fasthttp": ("fasthttp",),
    "client-ssl": ("clientssl",),
    "server-ssl": ("serverssl",),
    "one-connect": ("oneconnect",),
    "diameter": (),
    "sip": (),
    "dhcpv4": (),
    "dhcpv6": (),
}
EMPTY = frozenset(
    {
        "ltm/rule", "ltm/policy", "ltm/data-group/internal", "ltm/monitor/tcp", "ltm/monitor/http", "ltm/monitor/https",
        "ltm/monitor/icmp",
        "ltm/monitor/gateway-icmp", "ltm/monitor/tcp-half-open", "ltm/monitor/external", "ltm/message-routing/sip/profile/session",
        "net/trunk", "net/interface", "net/tunnels/tunnel", "net/route", "sys/management-route", "sys/software/volume",
        "sys/software/image",
        "sys/software/hotfix", "sys/application/service", "sys/file/ssl-cert", "sys/file/ssl-key", "security/firewall/schedule",
        "security/firewall/fqdn-entity", "cm/traffic-group", "sys/ucs",
    }
)  # fmt: skip
_TYPE_OF = {name: kind for kind, names in PROFILES.items() for name in names}


_OF_KIND: dict[str, dict[str, Json]] = {
    VLAN: {"macTrue": "00:94:a1:00:00:01"},
    NODE: {"monitorStatus": "unchecked", "sessionStatus": "enabled"},
}


def answer(path: str, config: Config, settings: Settings, now: float) -> Json:
    """Answer a GET below /mgmt/tm, None when it is no matter of this file."""
    if path in EMPTY:
        return collection_of(path, [], settings)
    if path.startswith("ltm/profile/"):
        return _profiles(path, settings)
    if path == "sys/clock":
        shown = (EPOCH + dt.timedelta(seconds=now)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return stats(path, {"https://localhost/mgmt/tm/sys/clock/0": nested({"fullDate": shown})})
    if path.endswith("/stats"):
        return _stats(path, config)
    return None


def _profiles(path: str, settings: Settings) -> Json:
    found = PROFILES.get(path.removeprefix("ltm/profile/"))
    if found is None:
        raise not_found("profile", path)
    items = [
        {
            "kind": kind(path),
            "name": name,
            "partition": "Common",
            "fullPath": f"/Common/{name}",
            "generation": 1,
            "selfLink": link(f"{path}/~Common~{name}"),
        }
        for name in found
    ]
    return collection_of(path, items, settings)


def _stats(path: str, config: Config) -> Json:
    at = target(path.removesuffix("/stats"))
    if at.path not in config.objects[at.collection]:
        raise not_found(RESOURCES[at.collection].word, at.path or "")
    found = config.objects[at.collection][at.path or ""]
    enabled = "disabled" if "disabled" in found else "enabled"
    values: dict[str, Json] = {
        "status.availabilityState": "unknown",
        "status.enabledState": enabled,
        "status.statusReason": "No service check is configured",
        "clientside.curConns": 0,
        "clientside.totConns": 0,
        **_OF_KIND.get(at.collection, {}),
    }
    if at.collection == VLAN:
        values["id"] = found.get("tag", 0)
    return stats(path, {f"https://localhost/mgmt/tm/{path}": nested(values)})


def profiles_of(virtual: Json, at: str) -> list[Json]:
    """The profiles subcollection of a virtual server."""
    items = []
    for each in virtual.get("profiles", ()):
        path = f"/{each['partition']}/{each['name']}"
        items.append(
            {
                "kind": "tm:ltm:virtual:profiles:profilesstate",
                **each,
                "fullPath": path,
                "generation": virtual.get("generation", 1),
                "selfLink": link(f"{at}/profiles/{path.replace('/', '~')}"),
                "nameReference": {"link": link(f"ltm/profile/{_TYPE_OF.get(each['name'], 'tcp')}/{path.replace('/', '~')}")},
            }
        )
    return items


def read_profiles(given: Json) -> list[Json]:
    """Read `profiles` of a body: names, paths or objects. 400 for one that no device has."""
    found: dict[str, Json] = {}
    for each in given if isinstance(given, list) else [given]:
        body = each if isinstance(each, dict) else {"name": each}
        head, _, name = str(body.get("name", "")).rpartition("/")
        if name not in _TYPE_OF:
            raise not_found("profile", f"{head or '/Common'}/{name}")
        found[name] = {"name": name, "partition": head.strip("/") or "Common", "context": str(body.get("context", "all"))}
    return list(found.values())


def check_profiles(path: str, given: Json) -> None:
    """A virtual server needs a profile of the transport it speaks; fastL4 stands alone."""
    names = {_TYPE_OF[each["name"]] for each in given}
    if "fastl4" in names and len(names) > 1:
        raise DeviceError(400, f"01070734:3: Configuration error: {RESOURCES[VIRTUAL].word} ({path}): profile fastL4 stands alone.")

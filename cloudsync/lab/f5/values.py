"""Reads the properties of a request body against the schema: what comes out is what the device stores and shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address, ip_interface, ip_network

from ..kit.faults import Json
from . import words
from .refusal import DeviceError, bad_property, missing_property, unknown_property
from .schema import READ_ONLY, SIDES, Field, Kind
from .settings import Settings

OPPOSITES = {"enabled": "disabled", "disabled": "enabled", "vlansEnabled": "vlansDisabled", "vlansDisabled": "vlansEnabled"}
_NAME = re.compile(r"[A-Za-z0-9_.:*%-]{1,255}")


def camel(body: Json) -> dict[str, Json]:
    """Return a body whose top keys are in camel case: `place-after` and `placeAfter` are one."""
    if not isinstance(body, dict):
        raise DeviceError(400, "Found invalid JSON body in the request.", 1)
    return {re.sub(r"-([a-z])", lambda found: found[1].upper(), key): value for key, value in body.items()}


def name_of(body: Json) -> str:
    """Return the name in a body; a name has no slash, blank or tilde."""
    name = body.get("name") if isinstance(body, dict) else body
    if not isinstance(name, str) or name == "":
        raise missing_property("name")
    if not _NAME.fullmatch(name):
        raise bad_property("name", name)
    return name


def full_path(text: str, partition: str = "Common") -> str:
    """`x` -> `/Common/x`; a path stays."""
    return text if text.startswith("/") else f"/{partition}/{text}"


def read(fields: dict[str, Field], body: dict[str, Json], settings: Settings, partition: str) -> dict[str, Json]:
    """Read the properties of a body; None stands for one that is taken away."""
    found: dict[str, Json] = {}
    for name, value in body.items():
        if name in READ_ONLY or name.endswith("Reference") or name in ("name", "partition", "subPath", "placeAfter", "placeBefore"):
            continue
        field = fields.get(name)
        if field is None:
            raise unknown_property(name)
        try:
            found[name] = _value(name, field, value, settings, partition)
        except (ValueError, TypeError, AttributeError, KeyError):
            raise bad_property(name, _culprit(value)) from None
    return found


def _culprit(value: Json) -> Json:
    """The word of a value that an error names: of a list its first name will do."""
    while isinstance(value, list) and value:
        value = value[0]
    return value.get("name", "") if isinstance(value, dict) else value


def _value(name: str, field: Field, value: Json, settings: Settings, partition: str) -> Json:
    if value is None and field.kind is not Kind.FLAG:
        return None
    match field.kind:
        case Kind.TEXT:
            return _text(value)
        case Kind.WORD:
            return _word(name, field, value)
        case Kind.WHOLE:
            return _whole(name, field, value)
        case Kind.FLAG:
            return bool(value) or None
        case Kind.REF:
            return None if value in ("none", "") else full_path(_text(value), partition)
        case Kind.REFS:
            return [full_path(_text(_culprit(each)), partition) for each in _list(value)]
        case Kind.NAMED_REFS:
            return [_named_ref(each, partition) for each in _list(value)]
        case Kind.SIDE:
            return _side(name, value, settings, partition)
        case Kind.METADATA:
            return [_metadata(each) for each in _list(value)]
        case Kind.TRANSLATION:
            return _translation(value, partition)
        case Kind.SERVICES:
            return _services(value)
        case Kind.FREE:
            return value
        case _:
            return _network_value(name, field.kind, value, settings)


def _network_value(name: str, kind: Kind, value: Json, settings: Settings) -> Json:
    match kind:
        case Kind.ADDRESSES:
            return _entries(name, value, lambda text: words.entry(text, settings.host_bits).text)
        case Kind.PORTS:
            return _entries(name, value, _port)
        case Kind.ICMP:
            return _entries(name, value, _icmp)
        case Kind.NAMED:
            return _entries(name, value, str)
        case Kind.PROTOCOL:
            return words.protocol_word(str(value))
        case Kind.DESTINATION:
            head = value.rpartition("/")[0]
            return f"{head or '/Common'}/{words.destination(value).text}"
        case Kind.NETWORK:
            head, mark, tail = value.partition("/")
            plain, domain = words.split_domain(head)
            if not mark:
                raise ValueError(value)
            shown = ip_interface(f"{plain}/{tail}")
            return f"{shown.ip}{f'%{domain}' if domain else ''}/{shown.network.prefixlen}"
        case _:  # ADDRESS
            plain, domain = words.split_domain(value)
            return f"{ip_address(plain) if plain not in ('any', 'any6') else plain}{f'%{domain}' if domain else ''}"


def _port(text: str) -> str:
    low, high = words.ports(text)
    return str(low) if low == high else f"{low}-{high}"


def _icmp(text: str) -> str:
    words.icmp(text)
    return text


def _text(value: Json) -> str:
    if isinstance(value, dict | list | bool):
        raise TypeError
    return str(value)


def _word(name: str, field: Field, value: Json) -> str:
    shown = {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else value
    if shown not in field.words:
        raise bad_property(name, value)
    return str(shown)


def _whole(name: str, field: Field, value: Json) -> int:
    number = int(value)
    if not field.low <= number <= field.high:
        raise bad_property(name, value)
    return number


def _list(value: Json) -> list[Json]:
    if value in ("none", ""):
        return []
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise TypeError
    return value


def _entries(name: str, value: Json, canonical: Callable[[str], str]) -> list[Json]:
    """[{name, description?}] out of objects or plain strings; twins are one."""
    found: dict[str, Json] = {}
    for each in _list(value):
        body = each if isinstance(each, dict) else {"name": str(each)}
        if not isinstance(body.get("name"), str | int):
            raise missing_property("name")
        try:
            text = canonical(str(body["name"]))
        except ValueError:
            raise bad_property(name, body["name"]) from None
        found[text] = {"name": text, **({"description": str(body["description"])} if body.get("description") else {})}
    return list(found.values())


def _named_ref(value: Json, partition: str) -> Json:
    """{name, partition, subPath?} out of a path or such an object."""
    if isinstance(value, dict):
        name = str(value["name"])
        path = name if name.startswith("/") else "/".join(
            ("", str(value.get("partition") or partition), *([str(value["subPath"])] if value.get("subPath") else []), name)
        )  # fmt: skip
    else:
        path = full_path(_text(value), partition)
    return named_ref(path)


def named_ref(path: str) -> Json:
    """`/Common/folder/x` -> {name, partition, subPath}."""
    _, head, *middle, name = path.split("/")
    return {"name": name, "partition": head, **({"subPath": "/".join(middle)} if middle else {})}


def path_of(named: Json) -> str:
    """The other way round."""
    return "/".join(("", named["partition"], *([named["subPath"]] if named.get("subPath") else []), named["name"]))


def _side(name: str, value: Json, settings: Settings, partition: str) -> Json:
    if not isinstance(value, dict):
        raise TypeError
    return read(SIDES[name], camel(value), settings, partition)


def _metadata(value: Json) -> Json:
    return {
        "name": str(value["name"]),
        "persist": _word("persist", Field(Kind.WORD, words=("true", "false")), value.get("persist", "true")),
        "value": str(value.get("value", "")),
    }


def _translation(value: Json, partition: str) -> Json:
    kind = value.get("type", "none")
    if kind not in ("none", "automap", "snat", "lsn"):
        raise bad_property("sourceAddressTranslation", kind)
    pool = value.get("pool")
    if (kind in ("snat", "lsn")) != (pool not in (None, "none", "")):
        raise DeviceError(400, "01070318:3: A source address translation of type snat needs a pool, and no other type has one.")
    return {"type": kind, **({"pool": full_path(_text(pool), partition)} if kind in ("snat", "lsn") else {})}


def _services(value: Json) -> Json:
    if value in ("all", "none"):
        return value
    found = [_text(each) for each in _list(value)]
    for each in found:
        protocol, _, port = each.partition(":")
        if each != "default" and (words.protocol(protocol) is None or words.ports(port)[0] != words.ports(port)[1]):
            raise ValueError(each)
    return found


def mask_of(destination: str) -> str:
    """The mask a virtual server gets when none is sent."""
    address = words.destination(destination).address
    whole = 0 if int(address) == 0 else address.max_prefixlen
    return str(ip_network(f"{words.EVERY_ADDRESS[address.version]}/{whole}").netmask)

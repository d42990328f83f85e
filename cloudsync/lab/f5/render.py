"""Answers as a device gives them: kinds, links, defaults that nobody sent, references beside names, pages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from ..kit.faults import Json
from .config import Config, Object
from .refusal import DeviceError
from .schema import PARTS, POOL, RESOURCES, RULE, SIDES, VIRTUAL, Field, Kind
from .settings import Settings
from .values import path_of

VERSION = "16.1.4"


def link(path: str) -> str:
    """Links name localhost, whatever address the client used."""
    return f"https://localhost/mgmt/tm/{path}?ver={VERSION}"


@lru_cache(maxsize=256)
def kind(path: str, ending: str = "state") -> str:
    """`security/firewall/policy/rules` -> `tm:security:firewall:policy:rules:rulesstate`."""
    parts = path.split("/")
    return ":".join(("tm", *parts, f"{parts[-1]}{ending}"))


def tilded(path: str) -> str:
    """`/Common/x` -> `~Common~x`."""
    return path.replace("/", "~")


def thing(config: Config, settings: Settings, collection: str, path: str, *, expand: bool = False) -> Json:
    """One object."""
    resource, found = RESOURCES[collection], config.objects[collection][path]
    at = collection if resource.single else f"{collection}/{tilded(path)}"
    shown: dict[str, Json] = {"kind": kind(collection)}
    if not resource.single:
        shown["name"] = found["name"]
        if "partition" in found:
            shown["partition"] = found["partition"]
        if "subPath" in found:
            shown["subPath"] = found["subPath"]
        shown["fullPath"] = path
        shown["generation"] = found.get("generation", 1)
    shown["selfLink"] = link(at)
    _properties(shown, resource.fields, found, settings)
    if collection == VIRTUAL:
        _virtual(shown, at)
    if resource.sub:
        shown[f"{resource.sub}Reference"] = {"link": link(f"{at}/{resource.sub}"), "isSubcollection": True}
        if expand:
            items = parts(config, settings, collection, path)
            if items or settings.empty_items == "list":
                shown[f"{resource.sub}Reference"]["items"] = items
        shown.pop(resource.sub, None)
    return _strange(shown, settings)


def _virtual(shown: dict[str, Json], at: str) -> None:
    pool = shown["sourceAddressTranslation"].get("pool")
    if pool:
        reference = {"link": link(f"ltm/snatpool/{tilded(pool)}")}
        shown["sourceAddressTranslation"] = {**shown["sourceAddressTranslation"], "poolReference": reference}
    for sub in ("policies", "profiles"):
        shown[f"{sub}Reference"] = {"link": link(f"{at}/{sub}"), "isSubcollection": True}
        shown.pop(sub, None)


def parts(config: Config, settings: Settings, collection: str, path: str) -> list[Json]:
    """All rules or members of an object."""
    sub = RESOURCES[collection].sub
    held: tuple[Object, ...] = config.objects[collection][path].get(sub, ())
    return [part(settings, collection, path, each, number) for number, each in enumerate(held, 1)]


def part(settings: Settings, collection: str, path: str, found: Object, number: int = 1) -> Json:
    """One rule or member."""
    sub = RESOURCES[collection].sub
    head = f"{collection}/{tilded(path)}/{sub}" if path else f"{collection}/{sub}"
    name = f"~{found['partition']}~{found['name']}" if collection == POOL else found["name"]
    shown: dict[str, Json] = {"kind": kind(f"{collection}/{sub}"), "name": found["name"]}
    if collection == POOL:
        shown |= {"partition": found["partition"], "fullPath": f"/{found['partition']}/{found['name']}"}
    else:
        shown["fullPath"] = found["name"]
    shown |= {"generation": found.get("generation", 1), "selfLink": link(f"{head}/{name}")}
    if collection == POOL:
        _properties(shown, PARTS[sub], found, settings)
        shown["nameReference"] = {"link": link(f"ltm/node/{tilded('/' + found['partition'] + '/' + found['address'])}")}
        return _strange(shown, settings)
    _rule(shown, found, settings, number)
    return _strange(shown, settings)


def _rule(shown: dict[str, Json], found: Object, settings: Settings, number: int) -> None:
    plain = {key: value for key, value in RULE.items() if not ("ruleList" in found and key in ("ipProtocol", "iruleSampleRate"))}
    _properties(shown, plain, found, settings)
    if "ruleList" in found:
        shown.pop("source", None)
        shown.pop("destination", None)
    else:
        shown["destination"] = _side("destination", found.get("destination", {}), settings)
        source = _side("source", found.get("source", {}), settings)
        shown["source"] = {"identity": {}, **source}
    if settings.rule_numbers:
        shown["ruleNumber"] = number


def _side(name: str, found: Object, settings: Settings) -> Json:
    shown: dict[str, Json] = {}
    _properties(shown, SIDES[name], found, settings)
    return shown


def _properties(shown: dict[str, Json], fields: dict[str, Field], found: Object, settings: Settings) -> None:
    for name, field in fields.items():
        value = found.get(name, field.default)
        if value is None:
            continue
        match field.kind:
            case Kind.ADDRESSES:
                shown[name] = _addresses(value, settings)
            case Kind.REF:
                shown[name] = value
                shown[f"{name}Reference"] = {"link": link(f"{field.target}/{tilded(value)}")}
            case Kind.REFS:
                shown[name] = list(value)
                shown[f"{name}Reference"] = [{"link": link(f"{field.target}/{tilded(each)}")} for each in value]
            case Kind.NAMED_REFS:
                shown[name] = [{**each, "nameReference": {"link": link(f"{field.target}/{tilded(path_of(each))}")}} for each in value]
            case _:
                shown[name] = value


def _addresses(value: list[Json], settings: Settings) -> list[Json]:
    items = [dict(each) for each in value]
    if settings.drop_full_length:
        for each in items:
            each["name"] = re.sub(r"(?<=\.\d)/32$|(?<=\d)/32$" if "." in each["name"] else r"/128$", "", each["name"])
    return sorted(items, key=lambda each: str(each["name"])) if settings.sorted_addresses else items


def _strange(shown: dict[str, Json], settings: Settings) -> Json:
    if settings.unknown_fields:
        shown |= {
            "labUnknown": "a field of a later version",
            "labUnknownReference": {"link": link("lab")},
            "labUnknownList": [{"name": "x"}],
        }
    return shown


def collection_of(path: str, items: list[Json], settings: Settings) -> dict[str, Json]:
    """A collection with its items."""
    shown: dict[str, Json] = {"kind": kind(path, "collectionstate"), "selfLink": link(path)}
    if items or settings.empty_items == "list":
        shown["items"] = items
    return shown


def wanted(items: Iterable[Object], query: dict[str, str]) -> list[Object]:
    """Items that `$filter` lets through; only `partition eq NAME` is known."""
    text = query.get("$filter")
    if text is None:
        return list(items)
    found = re.fullmatch(r"\s*partition\s+eq\s+['\"]?([\w.-]+)['\"]?\s*", text)
    if found is None:
        raise DeviceError(400, f"invalid filter: {text}", 1)
    return [each for each in items if each.get("partition") == found[1]]


def page_of(query: dict[str, str]) -> tuple[int, int]:
    """($top, $skip); $top 0 is all."""
    try:
        top, skip = int(query.get("$top", "0")), int(query.get("$skip", "0"))
    except ValueError:
        raise DeviceError(400, "invalid $top or $skip", 1) from None
    if top < 0 or skip < 0:
        raise DeviceError(400, "invalid $top or $skip", 1)
    return top, skip


def paged(shown: dict[str, Json], path: str, query: dict[str, str]) -> dict[str, Json]:
    """Apply $top, $skip and $select to a collection."""
    top, skip = page_of(query)
    items = shown.get("items", [])
    if top or skip:
        total, size = len(items), top or max(len(items), 1)
        shown["items"] = items = items[skip : skip + size]
        shown |= {
            "currentItemCount": len(items),
            "itemsPerPage": size,
            "pageIndex": skip // size + 1,
            "startIndex": skip + 1,
            "totalItems": total,
            "totalPages": max(1, -(-total // size)),
        }
        rest = "".join(f"&{key}={value}" for key, value in query.items() if key not in ("$top", "$skip", "ver"))
        if skip + size < total:
            shown["nextLink"] = f"https://localhost/mgmt/tm/{path}?$top={size}&$skip={skip + size}{rest}&ver={VERSION}"
        if skip:
            shown["previousLink"] = f"https://localhost/mgmt/tm/{path}?$top={size}&$skip={max(0, skip - size)}{rest}&ver={VERSION}"
    if "items" in shown and query.get("$select"):
        shown["items"] = [selected(each, query) for each in shown["items"]]
    return shown


def selected(found: dict[str, Json], query: dict[str, str]) -> dict[str, Json]:
    """The properties that `$select` names."""
    names = [each.strip() for each in query.get("$select", "").split(",") if each.strip()]
    return {name: found[name] for name in names if name in found} if names else found


def stats(path: str, entries: dict[str, Json]) -> Json:
    """An answer of the statistics kind."""
    return {"kind": kind(path, "stats"), "selfLink": link(path), "entries": entries}


def nested(values: dict[str, Json]) -> Json:
    """{name: text or number} as nested statistics."""
    entries = {}
    for name, value in values.items():
        if isinstance(value, dict):
            entries[name] = value
        else:
            entries[name] = {"value" if isinstance(value, int) else "description": value}
    return {"nestedStats": {"entries": entries}}

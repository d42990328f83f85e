"""What refers to what: every name must stand for something, and nothing goes while somebody needs it."""

from __future__ import annotations

from collections.abc import Iterator

from ..kit.faults import Json
from .config import Config, Object
from .refusal import DeviceError, in_use, not_found
from .schema import NODE, PARTS, RESOURCES, ROUTE_DOMAIN, RULE, SIDES, SNAT_POOL, VIRTUAL, VIRTUAL_ADDRESS, Field, Kind
from .values import path_of
from .words import destination, split_domain

Key = tuple[str, str]
"""(collection, full path)"""
Reference = tuple[str, str, str]
"""(collection, full path, who refers to it in words)"""


def outgoing(collection: str, path: str, found: Object) -> Iterator[Reference]:
    """Everything that an object names."""
    resource = RESOURCES[collection]
    who = f"{resource.word} ({path})" if path else resource.word
    yield from _of(resource.fields, found, who)
    for part in found.get(resource.sub, ()) if resource.sub in PARTS else ():
        inside = f"fw_rule ({part['name']}) in {who}" if resource.sub == "rules" else who
        yield from _of(PARTS[resource.sub], part, inside)
        if resource.sub == "members":
            yield NODE, f"/{part['partition']}/{part['address']}", f"member of {who}"
    if collection == VIRTUAL:
        head = found["destination"].rpartition("/")[0]
        yield VIRTUAL_ADDRESS, f"{head}/{destination(found['destination']).host}", who
        if pool := found.get("sourceAddressTranslation", {}).get("pool"):
            yield SNAT_POOL, pool, who


def _of(fields: dict[str, Field], found: Object, who: str) -> Iterator[Reference]:
    for name, value in found.items():
        field = fields.get(name)
        if field is None:
            continue
        match field.kind:
            case Kind.REF if value:
                yield field.target, value, who
            case Kind.REFS:
                yield from ((field.target, each, who) for each in value)
            case Kind.NAMED_REFS:
                yield from ((field.target, path_of(each), who) for each in value)
            case Kind.SIDE:
                yield from _of(SIDES[name] if fields is RULE else {}, value, who)
            case _:
                pass


def index(config: Config) -> dict[Key, str]:
    """Who first needs each object that somebody needs."""
    found: dict[Key, str] = {}
    for other, held in sorted(config.objects.items()):
        for at, each in sorted(held.items()):
            for target, named, who in outgoing(other, at, each):
                if (target, named) != (other, at):
                    found.setdefault((target, named), who)
    return found


def needed(collection: str, path: str, user: str) -> DeviceError:
    """Refuse to delete what somebody needs."""
    if collection == NODE:
        return DeviceError(400, f"01070110:3: Node address '{path}' is referenced by a {user}.")
    return in_use(RESOURCES[collection].word, path, user)


def check(config: Config, collection: str, path: str, *, across: bool) -> None:
    """Refuse an object that names what is not there, or, unless `across`, what its partition may not name."""
    found = config.objects[collection][path]
    for target, named, who in outgoing(collection, path, found):
        if target in (VIRTUAL_ADDRESS, NODE):
            continue  # made together with what needs them
        if named not in config.objects[target]:
            raise not_found(RESOURCES[target].word, named)
        own, other = path.split("/")[1] if path else "Common", named.split("/")[1]
        if other not in ("Common", own) and not across:
            raise DeviceError(
                400,
                f"01070726:3: {who} in partition {own} cannot reference {RESOURCES[target].word} {named} in partition {other}.",
            )
    for domain in domains_of(collection, found):
        if domain and all(each.get("id") != domain for each in config.objects[ROUTE_DOMAIN].values()):
            raise not_found("route domain", str(domain))


def domains_of(collection: str, found: Object) -> set[int]:
    """Every route domain that an object's addresses name."""
    texts: list[str] = []
    if collection == VIRTUAL:
        texts.append(found["destination"].rpartition("/")[2].partition(":")[0])
        return {destination(found["destination"]).domain}
    _collect(found, texts)
    return {split_domain(text.partition("/")[0].partition("-")[0])[1] for text in texts}


def _collect(found: Json, texts: list[str]) -> None:
    if isinstance(found, dict):
        for key, value in found.items():
            if key == "addresses":
                texts.extend(each["name"] for each in value)
            elif key == "address" and isinstance(value, str):
                texts.append(value)
            elif key in ("source", "destination", "rules", "members"):
                _collect(value, texts)
    elif isinstance(found, list | tuple):
        for each in found:
            _collect(each, texts)

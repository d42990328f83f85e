"""Rules of a policy, a rule list or the management port: what one may say, and where in the order it goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..kit.faults import Json
from . import words
from .refusal import DeviceError, bad_property, exists, missing_property, not_found
from .schema import RULE
from .settings import Settings
from .values import camel, name_of, read

if TYPE_CHECKING:
    from .config import Object

Rules = tuple["Object", ...]
_SIDE_PARTS = ("addresses", "addressLists", "ports", "portLists", "fqdns", "geo", "vlans", "identity")


def add(rules: Rules, body: Json, settings: Settings, holder: str, generation: Callable[[], int]) -> Rules:
    """Return the rules with one more, at its place."""
    given = camel(body)
    name = name_of(given)
    if name in ("first", "last"):
        raise DeviceError(400, f"01071ad4:3: A rule cannot be named {name}: the word says a place.")
    if any(rule["name"] == name for rule in rules):
        raise exists("rule", name, holder)
    if "placeAfter" not in given and "placeBefore" not in given:
        raise DeviceError(400, '"place-before" or "place-after" must be specified', 26214401)
    rule = {"name": name, **_made({}, given, settings), "generation": generation()}
    return _placed(rules, rule, given)


def change(rules: Rules, name: str, body: Json, settings: Settings, generation: Callable[[], int]) -> Rules:
    """Return the rules with one changed, and moved when the body says a place."""
    given = camel(body)
    at = index(rules, name)
    changed = {**_made(rules[at], given, settings), "name": name, "generation": generation()}
    if "placeAfter" in given or "placeBefore" in given:
        return _placed((*rules[:at], *rules[at + 1 :]), changed, given)
    return (*rules[:at], changed, *rules[at + 1 :])


def remove(rules: Rules, name: str) -> Rules:
    """Return the rules without one."""
    at = index(rules, name)
    return (*rules[:at], *rules[at + 1 :])


def index(rules: Rules, name: str) -> int:
    """Where a rule stands; 404 when there is none."""
    for number, rule in enumerate(rules):
        if rule["name"] == name:
            return number
    raise not_found("rule", name)


def nested(rules: Rules, bodies: Json, settings: Settings, holder: str, generation: Callable[[], int]) -> Rules:
    """Return the rules after a body that carried a whole array of them."""
    if not isinstance(bodies, list):
        raise missing_property("rules")
    held: Rules = rules if settings.nested_patch == "merges" else ()
    seen: set[str] = set()
    # Nobody has promised an order for rules without a place: whoever counts on one shall notice.
    unplaced = [each for each in bodies if not _says_place(each)]
    if unplaced and settings.nested_placement == "optional":
        bodies = [*reversed(unplaced), *(each for each in bodies if _says_place(each))]
    for body in bodies:
        name = name_of(body)
        if name in seen:
            raise exists("rule", name, holder)
        seen.add(name)
        if any(rule["name"] == name for rule in held):
            held = change(held, name, body, settings, generation)
            continue
        places = {} if settings.nested_placement == "required" or _says_place(body) else {"placeAfter": "last"}
        held = add(held, {**body, **places}, settings, holder, generation)
    return held


def _says_place(body: Json) -> bool:
    return bool({"placeAfter", "placeBefore"} & camel(body).keys())


def _made(old: Object, given: dict[str, Json], settings: Settings) -> Object:
    """Merge a body into a rule: of a side only the properties that are named change. Then check the whole."""
    rule = {key: value for key, value in old.items() if key not in ("name", "generation")}
    for key, value in read(RULE, given, settings, "Common").items():
        if key in ("source", "destination") and isinstance(value, dict):
            rule[key] = {part: each for part, each in {**rule.get(key, {}), **value}.items() if each not in (None, [], {})}
        elif value in (None, []):
            rule.pop(key, None)
        else:
            rule[key] = value
    _check(rule)
    return rule


def _check(rule: Object) -> None:
    if not rule.get("action") and not rule.get("ruleList"):
        raise missing_property("action")
    if rule.get("destination", {}).get("vlans"):  # an empty one is sent by clients that treat both sides alike
        raise bad_property("vlans", rule["destination"]["vlans"][0])
    number = words.protocol(rule.get("ipProtocol", "any"))
    if number not in words.WITH_PORTS:
        for side in ("source", "destination"):
            if rule.get(side, {}).get("ports") or rule.get(side, {}).get("portLists"):
                raise DeviceError(400, "01071aaf:3: Ports may be given for protocols tcp, udp and sctp only.")
    if rule.get("icmp") and number not in (1, 58):
        raise DeviceError(400, "01071ab0:3: ICMP types may be given for protocols icmp and ipv6-icmp only.")


def _placed(rules: Rules, rule: Object, given: dict[str, Json]) -> Rules:
    after, before = given.get("placeAfter"), given.get("placeBefore")
    if after is not None and before is not None:
        raise DeviceError(400, '"place-before" and "place-after" are mutually exclusive', 26214401)
    target = after if after is not None else before
    if target == "first":
        return (rule, *rules)
    if target in ("last", "none"):
        return (*rules, rule)
    for number, each in enumerate(rules):
        if each["name"] == target:
            at = number + 1 if after is not None else number
            return (*rules[:at], rule, *rules[at:])
    raise DeviceError(400, f"01071ad6:3: The rule ({target}) that the place of rule ({rule['name']}) is given by does not exist.")

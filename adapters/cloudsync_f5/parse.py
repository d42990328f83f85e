"""A device's answers as table values. Pure: the wire's dicts end here. What we send is read back by the same functions.

A shape that cannot be read exactly raises ParseError; the device group then counts as not read whole, so nothing is removed. Parts of a
foreign rule that cannot be evaluated make the rule `odd`, which is no error. Echo noise (kinds, links, generations, defaults that come back
though nobody sent them) is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from cloudsync.model.address import ANYWHERE, AddressSet
from cloudsync.model.errors import AdapterError
from cloudsync.model.service import ANY_SERVICE, WITH_PORTS, ServiceSet
from cloudsync_f5 import words
from cloudsync_f5.table import (
    AUTOMAP,
    DOMAIN_CONTEXT,
    GLOBAL,
    Action,
    AddressList,
    Ends,
    Listener,
    Onward,
    Policy,
    PortList,
    RouteDomain,
    Rule,
    RuleList,
    Virtual,
    mark_of,
)
from cloudsync_f5.words import Native, Span

Raw = Mapping[str, Any]

_ACTIONS = {action.value: action for action in Action}
_NOISE = frozenset(
    {"kind", "selfLink", "generation", "fullPath", "name", "ruleNumber", "iruleSampleRate", "uuid", "placeAfter", "placeBefore"}
)
_READ = frozenset({"action", "ipProtocol", "source", "destination", "icmp", "status", "description", "ruleList", "log"})
_MODELLED = frozenset({"addresses", "addressLists", "ports", "portLists"})
_CONDITIONS: dict[str, str] = {
    "fqdns": "names to resolve",
    "geo": "countries",
    "vlans": "VLANs",
    "zones": "zones",
    "identity": "users",
}
"""Conditions on an end of a rule that this adapter cannot evaluate."""
_RULE_CONDITIONS: dict[str, str] = {
    "schedule": "hours",
    "irule": "an iRule",
    "virtualServer": "another virtual server to go to",
    "protocolInspectionProfile": "protocol inspection",
    "classificationPolicy": "classification",
}


class ParseError(ValueError):
    """An answer has a shape that this adapter does not know."""


MALFORMED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""What reading an answer raises, ParseError included, when it lacks a field or has another kind of value: nothing of it can be trusted."""


def reason(error: Exception) -> str:
    """Return why an answer cannot be trusted, for people."""
    return str(error) if isinstance(error, AdapterError | ParseError) else f"an answer lacks a field, or it is of another kind: {error!r}"


def path_of(raw: Raw) -> str:
    """Return the full path of an object or of a reference to one."""
    if raw.get("fullPath"):
        return str(raw["fullPath"])
    if "name" not in raw:
        raise ParseError(f"an object without a name: {_short(raw)}")
    return "/".join(("", *(str(part) for part in (raw.get("partition") or "Common", raw.get("subPath"), raw["name"]) if part)))


def absolute(path: str) -> str:
    """Return a full path for a name that may lack its partition (`Common` then)."""
    return path if path.startswith("/") else f"/Common/{path}"


def items(raw: Raw) -> list[Raw]:
    """Return the members of a collection; devices leave `items` out where there are none. Raises ParseError."""
    found = raw.get("items", [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ParseError(f"items is no list of objects: {_short(found)}")
    return found


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


def _named(raw: object) -> list[str]:
    """Return the names of `[{name}]`; plain strings count too."""
    if raw is None:
        return []
    if not isinstance(raw, list):
        raise ParseError(f"want a list, not {_short(raw)}")
    return [str(one["name"]) if isinstance(one, dict) else str(one) for one in raw]


def _references(raw: object) -> frozenset[str]:
    """Return paths given as `/Common/x` or as {name, partition, subPath}."""
    if raw is None:
        return frozenset()
    if not isinstance(raw, list):
        raise ParseError(f"want a list, not {_short(raw)}")
    return frozenset(path_of(one) if isinstance(one, dict) else absolute(str(one)) for one in raw)


def _spans(raw: object) -> frozenset[Span]:
    try:
        return frozenset(words.span(text) for text in _named(raw))
    except ValueError as error:
        raise ParseError(str(error)) from error


def _attached(raw: object) -> str:
    """Return the path of an attached policy; empty for none, however a device says that."""
    text = str(raw or "")
    return "" if text in ("", "none") else absolute(text)


# --- rules ---------------------------------------------------------------------------------------------------------------


def rules(raw: Iterable[Raw]) -> tuple[Rule, ...]:
    """Return rules in their order."""
    return tuple(rule(one) for one in raw)


def rule(raw: Raw) -> Rule:
    """Return one rule of a policy or of a rule list."""
    name = str(raw["name"])
    try:
        return _rule(name, raw)
    except (ParseError, ValueError) as error:
        raise ParseError(f"rule {name}: {error}") from error


def _rule(name: str, raw: Raw) -> Rule:
    status = str(raw.get("status", "enabled"))
    odd: list[str] = []
    if status not in ("enabled", "disabled"):
        odd.append("hours" if status == "scheduled" else f"status {status}")
    odd += [f"{text} ({raw[key]})" for key, text in _RULE_CONDITIONS.items() if raw.get(key) not in (None, "", "none")]
    listed = _attached(raw.get("ruleList"))
    action = _ACTIONS.get(str(raw.get("action", "")))
    if action is None and not listed:
        odd.append(f"action {raw.get('action')!r}")
    source, destination = raw.get("source") or {}, raw.get("destination") or {}
    if source.get("ports") or source.get("portLists"):
        odd.append("source ports")
    for end in (source, destination):
        odd += [text for key, text in _CONDITIONS.items() if end.get(key)]
    return Rule(
        name=name,
        action=action,
        source=_ends(source),
        destination=_ends(destination),
        native=_native(raw, destination),
        port_lists=_references(destination.get("portLists")),
        enabled=status != "disabled",
        logged=str(raw.get("log", "no")) == "yes",
        description=str(raw.get("description") or ""),
        rule_list=listed,
        odd=tuple(odd),
        rest=_rest(raw),
    )


def _ends(raw: Raw) -> Ends:
    return Ends(_spans(raw.get("addresses")), _references(raw.get("addressLists")))


def _native(raw: Raw, destination: Raw) -> Native:
    number = words.protocol(raw.get("ipProtocol", "any"))
    ports = tuple(sorted(words.ports(text) for text in _named(destination.get("ports"))))
    types = tuple(sorted(words.icmp(text) for text in _named(raw.get("icmp"))))
    if number == words.ANY_PROTOCOL or number in WITH_PORTS:
        return Native(number, ports, ())
    return Native(number, (), types)


def _rest(raw: Raw) -> str:
    """Return what a device says beyond what is modelled, so that a change there is noticed; empty values are as good as none."""
    kept: dict[str, Any] = {
        key: value
        for key, value in raw.items()
        if key not in _NOISE and key not in _READ and not key.endswith("Reference") and value not in (None, "", "none", [], {})
    }
    for side in ("source", "destination"):
        more = {
            key: value
            for key, value in (raw.get(side) or {}).items()
            if (key not in _MODELLED or (side == "source" and key in ("ports", "portLists")))
            and not key.endswith("Reference")
            and value not in (None, "", [], {})
        }
        if more:
            kept[side] = more
    return json.dumps(kept, sort_keys=True, separators=(",", ":")) if kept else ""


def policy(raw: Raw, owner: str) -> Policy:
    """Return one firewall policy with its rules: as read with its subcollection, or as sent with nested rules."""
    return Policy(path_of(raw), rules(_nested(raw)), str(raw.get("description") or ""), mark_of(str(raw.get("description") or ""), owner))


def rule_list(raw: Raw) -> RuleList:
    """Return one rule list with its rules."""
    return RuleList(path_of(raw), rules(_nested(raw)))


def _nested(raw: Raw) -> list[Raw]:
    if "rules" in raw:
        found = raw["rules"]
        if not isinstance(found, list):
            raise ParseError(f"{path_of(raw)}: rules is no list")
        return found
    reference = raw.get("rulesReference")
    if not isinstance(reference, dict):
        raise ParseError(f"{path_of(raw)} came without its rules")
    return items(reference)


# --- lists ---------------------------------------------------------------------------------------------------------------


def address_list(raw: Raw, owner: str) -> AddressList:
    """Return one address list of the firewall."""
    path = path_of(raw)
    odd = [f"{text} ({', '.join(_named(raw[key])[:3])})" for key, text in _CONDITIONS.items() if raw.get(key)]
    description = str(raw.get("description") or "")
    try:
        spans = _spans(raw.get("addresses"))
    except ParseError as error:
        raise ParseError(f"address list {path}: {error}") from error
    return AddressList(path, spans, _references(raw.get("addressLists")), tuple(odd), description, mark_of(description, owner))


def port_list(raw: Raw) -> PortList:
    """Return one port list."""
    path = path_of(raw)
    try:
        ports = frozenset(words.ports(text) for text in _named(raw.get("ports")))
    except ValueError as error:
        raise ParseError(f"port list {path}: {error}") from error
    return PortList(path, ports, _references(raw.get("portLists")))


# --- what policies hang on ---------------------------------------------------------------------------------------------------


def virtual(raw: Raw, scope: str) -> Virtual:
    """Return one virtual server; one that has no address of its own is skipped, with the reason."""
    path = path_of(raw)
    known = Virtual(
        path=path,
        scope=scope,
        domain=0,
        addresses=AddressSet(),
        listener=Listener(),
        enforced=_attached(raw.get("fwEnforcedPolicy")),
        staged=_attached(raw.get("fwStagedPolicy")),
        snat=_snat(raw.get("sourceAddressTranslation") or {}),
        disabled=bool(raw.get("disabled", False)),
        metadata=_metadata(raw.get("metadata")),
        pool=_onward(raw),
    )
    if not raw.get("destination"):
        why = "takes its addresses from traffic matching criteria" if raw.get("trafficMatchingCriteria") else "has no destination"
        return replace(known, skipped=why)
    try:
        at = words.destination(str(raw["destination"]), str(raw.get("mask") or ""))
        number = words.protocol(raw.get("ipProtocol", "any"))
        source = _source(raw.get("source"), at.address)
    except ValueError as error:
        raise ParseError(f"virtual server {path}: {error}") from error
    whole = at.address.first == at.address.last
    return replace(
        known,
        domain=at.address.domain,
        addresses=words.addresses((at.address,), at.address.domain) if whole else AddressSet(),
        listener=Listener(source, _listened(number, at.port)),
        skipped="" if whole else f"forwards for {at.address.text()}: it has no address of its own",
    )


def _listened(number: int, port: int) -> ServiceSet:
    if not port:
        return ANY_SERVICE if number == words.ANY_PROTOCOL else ServiceSet.protocol(number)
    if number == words.ANY_PROTOCOL:
        return ServiceSet.union_all(ServiceSet.ports(one, port, port) for one in sorted(WITH_PORTS))
    return ServiceSet.ports(number, port, port) if number in WITH_PORTS else ServiceSet.protocol(number)


def _source(raw: object, at: Span) -> AddressSet:
    """Return the peers that a virtual server takes at all: those of its family, inside its source filter."""
    own = ANYWHERE.only(at.family)
    if not raw:
        return own
    given = words.span(str(raw))
    return words.addresses((given,), given.domain) & own


def _onward(raw: Raw) -> Onward:
    path = str(raw.get("pool") or "")
    if path in ("", "none"):
        return Onward()
    return Onward(absolute(path), str(raw.get("translatePort", "enabled")) != "disabled", bool(raw.get("persist")))


def _snat(raw: Raw) -> str:
    kind = str(raw.get("type", "none"))
    if kind == AUTOMAP:
        return AUTOMAP
    return absolute(str(raw["pool"])) if kind == "snat" and raw.get("pool") else ""


def _metadata(raw: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(raw, list):
        return ()
    return tuple(sorted((str(one["name"]), str(one.get("value") or "")) for one in raw))


def route_domain(raw: Raw) -> RouteDomain:
    """Return one route domain."""
    return RouteDomain(path_of(raw), int(raw["id"]), _attached(raw.get("fwEnforcedPolicy")), _attached(raw.get("fwStagedPolicy")))


def snat_members(raw: Raw) -> tuple[Span, ...]:
    """Return the addresses of a SNAT pool: its members are paths of translations, which are named after their address."""
    members = raw.get("members") or []
    try:
        return tuple(words.span(str(one).rpartition("/")[2]) for one in members)
    except ValueError as error:
        raise ParseError(f"SNAT pool {path_of(raw)}: {error}") from error


def self_address(raw: Raw) -> Span:
    """Return the one address of a self IP (`10.0.0.5%1/24`)."""
    text = str(raw["address"])
    try:
        return words.span(text.partition("/")[0])
    except ValueError as error:
        raise ParseError(f"self address {path_of(raw)}: {error}") from error


def global_policies(raw: Raw) -> tuple[str, str]:
    """Return the enforced and the staged policy of the global context."""
    return _attached(raw.get("enforcedPolicy")), _attached(raw.get("stagedPolicy"))


# --- statistics -----------------------------------------------------------------------------------------------------------


def statistics(raw: Raw) -> list[dict[str, str]]:
    """Return the entries of a statistics answer, each as name -> text; the nesting is a device's own."""
    entries = raw.get("entries")
    if not isinstance(entries, dict):
        raise ParseError("an answer of statistics without entries")
    return [_entry(one) for _, one in sorted(entries.items(), key=lambda pair: _number(pair[0]))]


def _entry(raw: object) -> dict[str, str]:
    inner = raw.get("nestedStats", {}).get("entries", {}) if isinstance(raw, dict) else {}
    found: dict[str, str] = {}
    for key, value in inner.items():
        if isinstance(value, dict) and ("description" in value or "value" in value):
            found[key] = str(value["description"] if "description" in value else value["value"])
    return found


def _number(key: str) -> tuple[int, str]:
    last = key.rpartition("/")[2]
    return (int(last), "") if re.fullmatch("[0-9]{1,9}", last) else (0, key)


def texts(raw: object) -> list[str]:
    """Return every text in a nested answer of statistics, in its order: for people."""
    if isinstance(raw, dict):
        if isinstance(raw.get("description"), str):
            return [raw["description"]]
        return [text for one in raw.values() for text in texts(one)]
    return []


def running(raw: Raw, kind: str = "enforced") -> dict[str, str]:
    """Return context -> policy of a kind (`enforced` or `staged`) that is compiled and active, as container-stat says."""
    found: dict[str, str] = {}
    for one in statistics(raw):
        if one.get("policyType", "").lower() == kind:
            context, sort = one.get("contextName", ""), one.get("contextType", "").lower()
            if sort == "global":
                context = GLOBAL
            elif sort.replace("-", " ") == DOMAIN_CONTEXT.strip():
                context = f"{DOMAIN_CONTEXT}{absolute(context)}"
            found[context] = absolute(one.get("policyName", ""))
    return found

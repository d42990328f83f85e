"""Compute Engine's answers -> values. Google's JSON ends here.

What a list must have to be a list at all is checked in `client.py`. A rule of somebody else's that says something unknown is kept as
unreadable; an unreadable rule of ours, or an object without its identity, is a ParseError: nothing of that read can be trusted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

from cloudsync.adapter import Found, FoundInterface, Origin
from cloudsync.model.address import AddressSet
from cloudsync.model.errors import AdapterError
from cloudsync.model.workload import PointId
from cloudsync_gcp.spell import cidrs, united
from cloudsync_gcp.table import Network, Nic, Policy, PolicyRule, Rule, mark_of

Raw = Mapping[str, Any]
"""A JSON object of the API."""


class ParseError(ValueError):
    """An answer lacks what every such answer has, or something of ours cannot be read."""


MALFORMED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""What reading an answer raises, ParseError included, when it lacks a field or has another kind of value: nothing of it can be trusted."""


def reason(error: Exception) -> str:
    """Return why an answer cannot be trusted, for people."""
    return str(error) if isinstance(error, AdapterError | ParseError) else f"an answer lacks a field, or it is of another kind: {error!r}"


def canonical(value: object) -> str:
    """Return JSON with sorted keys and no spaces, ASCII only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def path_of(url: str, kind: str) -> str:
    """Return the `projects/...` part of an object's URL, whatever host and version stand before it. ParseError when it has none."""
    at = url.find("projects/")
    path = url[at:] if at >= 0 else ""
    if not path or f"/{kind}/" not in path or not path.rpartition("/")[2]:
        raise ParseError(f"{url!r} names none of {kind}")
    return path


# --- firewall rules ------------------------------------------------------------------------------------------------------

_IGNORED = frozenset({"kind", "id", "creationTimestamp", "selfLink", "selfLinkWithId"})
_READ = frozenset(
    {
        "name",
        "network",
        "description",
        "priority",
        "direction",
        "disabled",
        "allowed",
        "denied",
        "sourceRanges",
        "destinationRanges",
        "sourceTags",
        "targetTags",
        "sourceServiceAccounts",
        "targetServiceAccounts",
        "logConfig",
    }
)


def rule(raw: Raw, owner: str) -> Rule:
    """Return one VPC firewall rule. ParseError without name, network or number, or when it is ours and cannot be read."""
    name, description = _text(raw, "name"), str(raw.get("description") or "")
    priority = raw.get("priority", 1000)
    direction = raw.get("direction", "INGRESS")
    if not isinstance(priority, int) or isinstance(priority, bool) or not 0 <= priority <= 65535:
        raise ParseError(f"firewall rule {name}: priority {priority!r}")
    if direction not in ("INGRESS", "EGRESS"):
        raise ParseError(f"firewall rule {name}: direction {direction!r}")
    mark = mark_of(name, description, owner)
    head = Rule(
        name=name,
        network=path_of(_text(raw, "network"), "networks"),
        egress=direction == "EGRESS",
        priority=priority,
        deny=bool(raw.get("denied")) and not raw.get("allowed"),
        disabled=raw.get("disabled") is True,
        description=description,
        mark=mark,
        id=str(raw.get("id", "")),
        origins=tuple(Origin(one) for one in mark.rules) if mark else (),
    )
    try:
        return _filled(head, raw)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        if mark is not None:
            raise ParseError(f"our firewall rule {name} cannot be read: {error}") from error
        tags, accounts = _names(raw.get("targetTags")), _names(raw.get("targetServiceAccounts"))
        return replace(head, unreadable=str(error), rest=_rest(raw), target_tags=tags, target_accounts=accounts)


def _filled(head: Rule, raw: Raw) -> Rule:
    unknown = sorted(key for key, value in raw.items() if key not in _READ | _IGNORED and value not in (None, [], {}))
    if unknown:
        raise ValueError(f"unknown field {', '.join(unknown)}")
    entries = raw.get("denied") if head.deny else raw.get("allowed")
    if not entries or (raw.get("allowed") and raw.get("denied")):
        raise ValueError("neither allows nor denies" if not entries else "allows and denies at once")
    sources, destinations = cidrs(_list(raw, "sourceRanges")), cidrs(_list(raw, "destinationRanges"))
    source_tags, accounts = _listed(raw, "sourceTags"), _listed(raw, "sourceServiceAccounts")
    if head.egress and (source_tags or accounts):
        raise ValueError("source tags or accounts on an egress rule")
    # Google fills in what is left out: from anywhere, or to anywhere.
    anywhere = ("0.0.0.0/0",)
    if head.egress:
        destinations = destinations or anywhere
    elif not (sources or source_tags or accounts):
        sources = ("::/0",) if destinations and all(":" in one for one in destinations) else anywhere
    return replace(
        head,
        protocols=united((str(one["IPProtocol"]), _ports(one)) for one in entries),
        sources=sources,
        destinations=destinations,
        source_tags=source_tags,
        target_tags=_listed(raw, "targetTags"),
        source_accounts=accounts,
        target_accounts=_listed(raw, "targetServiceAccounts"),
        log=_log(raw.get("logConfig") or {}),
    )


def _log(config: Raw) -> str:
    """Return an enabled logConfig in normal form: all metadata is what Google fills in (compute v1, `FirewallLogConfig.metadata`)."""
    said = {key: value for key, value in config.items() if (key, value) != ("metadata", "INCLUDE_ALL_METADATA")}
    return canonical(said) if config.get("enable") else ""


def _ports(entry: Raw) -> list[str]:
    unknown = sorted(key for key in entry if key not in ("IPProtocol", "ports"))
    if unknown:
        raise ValueError(f"unknown field {', '.join(unknown)} beside a protocol")
    return [str(port) for port in entry.get("ports") or ()]


def _list(raw: Raw, key: str) -> list[str]:
    value = raw.get(key) or []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"{key} is no list of texts")
    return value


def _listed(raw: Raw, key: str) -> tuple[str, ...]:
    return tuple(sorted(set(_list(raw, key))))


def _names(value: object) -> tuple[str, ...]:
    return tuple(sorted({str(one) for one in value})) if isinstance(value, list) else ()


def _rest(raw: Raw) -> str:
    return canonical({key: value for key, value in raw.items() if key not in ("kind", "id", "creationTimestamp", "selfLink")})


def _text(raw: Raw, key: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str) or not value:
        raise ParseError(f"{raw.get('kind') or 'an object'} {raw.get('name') or ''} has no {key}".replace("  ", " "))
    return value


# --- networks and policies -----------------------------------------------------------------------------------------------


def network(raw: Raw, effective: Raw) -> Network:
    """Return one network from networks.get and networks.getEffectiveFirewalls (which spells `firewallPolicys`)."""
    key = path_of(_text(raw, "selfLink"), "networks")
    order = raw.get("networkFirewallPolicyEnforcementOrder") or "AFTER_CLASSIC_FIREWALL"
    if order not in ("AFTER_CLASSIC_FIREWALL", "BEFORE_CLASSIC_FIREWALL"):
        raise ParseError(f"network {key}: unknown enforcement order {order!r}")
    if "firewalls" not in effective and "firewallPolicys" not in effective:
        raise ParseError(f"network {key}: the answer about effective firewalls holds neither rules nor policies")
    found = [(policy(one, key), one.get("priority", 0)) for one in effective.get("firewallPolicys") or ()]
    hierarchy = [one for one, _ in found if one.kind == "HIERARCHY"]
    system = [one for one, _ in sorted(found, key=lambda pair: pair[1]) if one.kind == "SYSTEM"]
    beside = [one for one, _ in sorted(found, key=lambda pair: pair[1]) if one.kind == "NETWORK"]
    first, last = (beside, []) if order == "BEFORE_CLASSIC_FIREWALL" else ([], beside)
    parts = key.split("/")
    return Network(key, f"{parts[1]}/{parts[-1]}", (*hierarchy, *system, *first), tuple(last))


def policy(raw: Raw, network_key: str) -> Policy:
    """Return one policy as it acts on a network. ParseError for a kind whose place in the evaluation is not known."""
    kind, name = str(raw.get("type") or ""), str(raw.get("shortName") or raw.get("displayName") or raw.get("name") or "")
    if kind not in ("HIERARCHY", "SYSTEM", "NETWORK"):
        raise ParseError(f"firewall policy {name or '?'} is of the unknown type {kind!r}")
    rules = [policy_rule(one) for one in raw.get("rules") or () if not one.get("disabled") and _meant(one, network_key)]
    return Policy(name, kind, tuple(sorted(rules, key=lambda one: (one.priority, one.egress))))


def _meant(raw: Raw, network_key: str) -> bool:
    """Tell whether a policy's rule acts on VMs of a network; rules for load balancers do not."""
    resources = raw.get("targetResources") or ()
    here = not resources or any(str(one).endswith(network_key) for one in resources)
    return here and raw.get("targetType", "INSTANCES") == "INSTANCES"


_POLICY_READ = frozenset(
    {
        "kind",
        "action",
        "description",
        "direction",
        "disabled",
        "enableLogging",
        "match",
        "priority",
        "ruleName",
        "ruleTupleCount",
        "targetResources",
        "targetServiceAccounts",
        "targetType",
    }
)
_MATCH_READ = frozenset({"srcIpRanges", "destIpRanges", "layer4Configs"})


def policy_rule(raw: Raw) -> PolicyRule:
    """Return one rule of a policy; what it matches beyond addresses, protocols and accounts makes it unreadable."""
    priority, direction, action = raw.get("priority"), raw.get("direction"), str(raw.get("action") or "")
    if not isinstance(priority, int) or direction not in ("INGRESS", "EGRESS"):
        raise ParseError(f"a policy rule with priority {priority!r} and direction {direction!r}")
    egress = direction == "EGRESS"
    head = PolicyRule(priority, egress, action, accounts=_names(raw.get("targetServiceAccounts")))
    try:
        match = raw.get("match") or {}
        unknown = sorted(key for key in raw if key not in _POLICY_READ and raw[key])
        unknown += sorted(key for key in match if key not in _MATCH_READ and match[key])
        if unknown or action not in ("allow", "deny", "goto_next"):
            return replace(head, unreadable=f"it matches by {', '.join(unknown)}" if unknown else f"its action is {action!r}")
        configs = match.get("layer4Configs") or [{"ipProtocol": "all"}]
        sources, destinations = cidrs(_list(match, "srcIpRanges")), cidrs(_list(match, "destIpRanges"))
        peers, own = (destinations, sources) if egress else (sources, destinations)
        protocols = united((str(one["ipProtocol"]), [str(port) for port in one.get("ports") or ()]) for one in configs)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        return replace(head, unreadable=str(error))
    return replace(head, peers=peers or ("0.0.0.0/0", "::/0"), own=own, protocols=protocols)


# --- VMs -----------------------------------------------------------------------------------------------------------------


def nics(raw: Raw, managed: Mapping[str, Network]) -> tuple[Nic, ...]:
    """Return the interfaces of one VM that sit in managed networks."""
    vm = path_of(_text(raw, "selfLink"), "instances")
    tags = raw.get("tags") or {}
    accounts = [str(one["email"]) for one in raw.get("serviceAccounts") or () if one.get("email")]
    found: list[Nic] = []
    for one in raw.get("networkInterfaces") or ():
        home = managed.get(path_of(str(one.get("network")), "networks"))
        if home is None:
            continue
        primary, alias, public = addresses(one, vm)
        found.append(
            Nic(
                point=_point(home, vm, str(one.get("name") or "nic0")),
                scope=home.scope,
                network=home.key,
                vm=vm,
                primary=primary,
                inside=primary | alias,
                public=public,
                tags=tuple(sorted({str(tag) for tag in tags.get("items") or ()})),
                account=accounts[0] if accounts else "",
                fingerprint=str(tags.get("fingerprint") or ""),
            )
        )
    return tuple(found)


def _point(home: Network, vm: str, nic: str) -> PointId:
    parts = vm.split("/")
    return PointId(f"{home.scope}/{parts[1]}/{parts[3]}/{parts[5]}/{nic}")


def addresses(raw: Raw, vm: str) -> tuple[AddressSet, AddressSet, AddressSet]:
    """Return (primary internal, alias, external) addresses of an interface. External IPv6 addresses are the interface's own."""
    own = [str(raw[key]) for key in ("networkIP", "ipv6Address") if raw.get(key)]
    own += [str(one["externalIpv6"]) for one in raw.get("ipv6AccessConfigs") or () if one.get("externalIpv6")]
    alias = [str(one["ipCidrRange"]) for key in ("aliasIpRanges", "aliasIpv6Ranges") for one in raw.get(key) or ()]
    public = [str(one["natIP"]) for one in raw.get("accessConfigs") or () if one.get("natIP")]
    try:
        ranges = AddressSet.of(*(ip_network(one, strict=False) for one in alias))
        return AddressSet.of(*map(ip_address, own)), ranges, AddressSet.of(*map(ip_address, public))
    except ValueError as error:
        raise ParseError(f"{vm}: {error}") from error


def found(raw: Raw, managed: Mapping[str, Network]) -> Found | None:
    """Return a discovered workload, None for a VM without an interface in a managed network."""
    vm = path_of(_text(raw, "selfLink"), "instances")
    mine = nics(raw, managed)
    if not mine:
        return None
    interfaces: list[FoundInterface] = []
    by_name = {one.point.rpartition("/")[2]: one for one in mine}
    for one in raw.get("networkInterfaces") or ():
        name, home = str(one.get("name") or "nic0"), path_of(str(one.get("network")), "networks")
        nic = by_name.get(name)
        if nic is not None and nic.network == home:
            interfaces.append(FoundInterface(name, home, nic.inside | nic.public, nic.point))
            continue
        primary, alias, public = addresses(one, vm)
        interfaces.append(FoundInterface(name, home, primary | alias | public, None, f"its network {home} is not in the settings"))
    labels = tuple(sorted((str(key), str(value)) for key, value in (raw.get("labels") or {}).items()))
    return Found(vm, _text(raw, "name"), vm.split("/")[1], mine[0].scope, labels, tuple(interfaces))


def by_point(found_nics: Iterable[Nic]) -> dict[PointId, Nic]:
    """Return interfaces by point, in the order of points. ParseError when one stands twice: the pages do not agree."""
    ordered: dict[PointId, Nic] = {}
    for nic in sorted(found_nics, key=lambda one: one.point):
        if nic.point in ordered:
            raise ParseError(f"interface {nic.point} was listed twice")
        ordered[nic.point] = nic
    return ordered


def by_name(rules: Iterable[Rule]) -> dict[str, Rule]:
    """Return rules by name, ordered. ParseError when a name stands twice: the pages do not agree."""
    ordered: dict[str, Rule] = {}
    for one in sorted(rules, key=lambda each: each.name):
        if one.name in ordered:
            raise ParseError(f"firewall rule {one.name} was listed twice")
        ordered[one.name] = one
    return ordered

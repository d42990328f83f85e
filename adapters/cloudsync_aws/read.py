"""Reading one Region in bulk, and again in part. A Region is read whole or not at all: one failing page leaves nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from cloudsync.adapter import Found
from cloudsync_aws import parse
from cloudsync_aws.client import CallFailedError, Client
from cloudsync_aws.limits import FILTER_VALUES_MAX, QUOTA_CODES
from cloudsync_aws.parse import Raw
from cloudsync_aws.table import Eni, Group, PeerKind, PrefixList, Quotas, Vpc

THREADS = 8
"""Calls of one Region in flight at once: one for each kind of object."""


@dataclass(frozen=True, slots=True)
class RegionRead:
    """Everything of one Region. All mappings are ordered by id."""

    scope: str
    workloads: tuple[Found, ...]
    groups: Mapping[str, Group]
    enis: Mapping[str, Eni]
    lists: Mapping[str, PrefixList]
    vpcs: Mapping[str, Vpc]
    peered: frozenset[tuple[str, str]]
    quotas: Quotas


def region(client: Client, owner: str, name: str, tick: Callable[[], None] = lambda: None) -> RegionRead:
    """Read one Region whole. Raises CallFailedError or ParseError."""
    settings = client.settings
    with ThreadPoolExecutor(THREADS, thread_name_prefix=f"aws-{name}") as pool:

        def start(method: str, member: str, filters: list[dict[str, Any]] | None = None) -> Any:
            return pool.submit(_all, client, name, method, member, filters or [], tick)

        networks = start("describe_vpcs", "Vpcs")
        peerings = start("describe_vpc_peering_connections", "VpcPeeringConnections")
        lists = start("describe_managed_prefix_lists", "PrefixLists")
        quotas = pool.submit(_quotas, client, name)
        peered: frozenset[tuple[str, str]] | None = None
        wanted: Collection[str] | None = None
        if settings.vpcs is not None:
            # References reach over peerings: the groups and members beyond belong to the truth, though not to the inventory.
            peered = parse.peerings(peerings.result(), name)
            wanted = {*settings.vpcs, *(b for a, b in peered if a in settings.vpcs)}
        filters = _filters("vpc-id", wanted)
        groups = [start("describe_security_groups", "SecurityGroups", one) for one in filters]
        enis = [start("describe_network_interfaces", "NetworkInterfaces", one) for one in filters]
        own = _filters("vpc-id", settings.vpcs)
        instances = [start("describe_instances", "Reservations", one) for one in own]
        scope = settings.scope(name)
        all_groups = _by_id(parse.group(raw, scope, owner) for part in groups for raw in part.result())
        return RegionRead(
            scope=scope,
            **_workloads(settings.account, scope, settings.vpcs, _joined(instances), _joined(enis)),
            groups=all_groups,
            lists=_lists(client, name, owner, lists.result(), all_groups.values(), pool),
            vpcs=_by_id(parse.vpc(raw, scope) for raw in networks.result() if wanted is None or raw.get("VpcId") in wanted),
            peered=parse.peerings(peerings.result(), name) if peered is None else peered,
            quotas=settings.limits(quotas.result()),
        )


def _workloads(account: str, scope: str, vpcs: Collection[str] | None, reservations: list[Raw], raw_enis: list[Raw]) -> dict[str, Any]:
    known = parse.instances(reservations)
    enis = _by_id(parse.eni(raw, scope, known, vpcs) for raw in raw_enis)
    held: dict[str, list[Eni]] = {}
    for one in enis.values():
        if one.instance:
            held.setdefault(one.instance, []).append(one)
    alive = (known[identity] for identity in sorted(known) if known[identity].alive)
    return {"enis": enis, "workloads": tuple(parse.found(one, account, scope, held.get(one.id, ())) for one in alive)}


def _all(client: Client, name: str, method: str, member: str, filters: list[dict[str, Any]], tick: Callable[[], None]) -> list[Raw]:
    arguments = {"Filters": filters} if filters else {}
    found = list(client.pages(name, method, member, **arguments))
    tick()
    return found


def _joined(parts: Iterable[Any]) -> list[Raw]:
    return [raw for part in parts for raw in part.result()]


def _filters(name: str, values: Iterable[str] | None) -> list[list[dict[str, Any]]]:
    """Return filter lists that together select these values, each small enough for one call; one empty list for all."""
    if values is None:
        return [[]]
    kept = sorted(set(values))
    return [[{"Name": name, "Values": kept[at : at + FILTER_VALUES_MAX]}] for at in range(0, len(kept), FILTER_VALUES_MAX)]


def _by_id(items: Iterable[Any]) -> dict[str, Any]:
    found = {item.id: item for item in items}
    return {identity: found[identity] for identity in sorted(found)}


def _lists(client: Client, name: str, owner: str, raw: list[Raw], groups: Iterable[Group], pool: ThreadPoolExecutor) -> dict[str, PrefixList]:
    """Return our lists and those that rules refer to, with their entries: the rest of the account's lists cost a call each."""
    used = {rule.peer for one in groups for rule in one.rules if rule.kind == PeerKind.LIST.value}
    wanted = [one for one in raw if one.get("PrefixListId") in used or parse.mark(parse.tags(one.get("Tags")), owner) is not None]
    return _with_entries(client, name, owner, wanted, pool)


def _with_entries(client: Client, name: str, owner: str, raw: list[Raw], pool: ThreadPoolExecutor) -> dict[str, PrefixList]:
    scope = client.settings.scope(name)
    parts = [pool.submit(_entries, client, name, str(one["PrefixListId"])) for one in raw]
    return _by_id(parse.prefix_list(one, part.result(), scope, owner) for one, part in zip(raw, parts, strict=True))


def _entries(client: Client, name: str, identity: str) -> list[Raw]:
    return list(client.pages(name, "get_managed_prefix_list_entries", "Entries", PrefixListId=identity))


def _quotas(client: Client, name: str) -> dict[str, int]:
    """Return the account's real limits. A refusal (no permission, unknown code) leaves EC2's defaults; no answer is a failed read."""
    if client.settings.quotas is not None:
        return {}
    found: dict[str, int] = {}
    for field, code in QUOTA_CODES.items():
        try:
            answer = client.read(name, "get_service_quota", ServiceCode="vpc", QuotaCode=code)
            found[field] = int(answer["Quota"]["Value"])
        except CallFailedError as failure:
            if not failure.answered or failure.throttled:
                raise
        except (KeyError, TypeError, ValueError):
            continue
    return found


# --- again, in part --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Touched:
    """Ids (and, for objects whose id a lost answer kept from us, names) that steps in one Region touch."""

    groups: frozenset[str] = frozenset()
    group_names: frozenset[str] = frozenset()
    enis: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()
    list_names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PartRead:
    """What is there now of what was touched; an object that is gone, or not visible yet, is missing."""

    groups: Mapping[str, Group]
    enis: Mapping[str, Raw]
    lists: Mapping[str, PrefixList]


def part(client: Client, owner: str, name: str, touched: Touched) -> PartRead:
    """Read touched objects of one Region. Filters are used, not id parameters: those fail on an id that is not visible yet."""
    scope = client.settings.scope(name)
    with ThreadPoolExecutor(THREADS, thread_name_prefix=f"aws-{name}") as pool:

        def start(method: str, member: str, field: str, values: frozenset[str]) -> list[Any]:
            return [pool.submit(_all, client, name, method, member, one, lambda: None) for one in _filters(field, values)]

        groups = start("describe_security_groups", "SecurityGroups", "group-id", touched.groups)
        groups += start("describe_security_groups", "SecurityGroups", "group-name", touched.group_names)
        enis = start("describe_network_interfaces", "NetworkInterfaces", "network-interface-id", touched.enis)
        lists = start("describe_managed_prefix_lists", "PrefixLists", "prefix-list-id", touched.lists)
        lists += start("describe_managed_prefix_lists", "PrefixLists", "prefix-list-name", touched.list_names)
        found = {str(raw["PrefixListId"]): raw for raw in _joined(lists)}
        return PartRead(
            groups=_by_id(parse.group(raw, scope, owner) for raw in _joined(groups)),
            enis={str(raw["NetworkInterfaceId"]): raw for raw in _joined(enis)},
            lists=_with_entries(client, name, owner, [found[identity] for identity in sorted(found)], pool),
        )

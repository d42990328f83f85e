"""Reading one Region in bulk, at a glance, and again in part. One failing page leaves nothing of a Region.

A glance reads what decides who may reach whom today: machines, interfaces, groups and what their rules refer to. What only a change needs
(VPCs, quotas, peerings that no rule depends on) is the `Rest`, read once there is something to do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import field, replace
from functools import cached_property, partial
from typing import Generic, Protocol, TypeVar

from cloudsync.adapter import Found
from cloudsync.model.quick import dataclass
from cloudsync_aws import parse
from cloudsync_aws.client import CallFailedError, Client
from cloudsync_aws.limits import FILTER_VALUES_MAX, QUOTA_CODES
from cloudsync_aws.parse import Raw
from cloudsync_aws.table import Eni, Group, PeerKind, PrefixList, Quotas, Vpc, mark_of

GOING = frozenset({"delete-in-progress", "delete-complete"})
"""States of a prefix list that somebody has deleted: EC2 deletes none that a rule refers to."""
THREADS = 8
"""Calls of one Region in flight at once: one for each kind of object."""


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


Item = TypeVar("Item", bound=_Identified)
Filters = list[dict[str, object]]
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Call(Generic[Value]):
    """One paged call: the SDK's method, the member of the answer that holds the elements, and what each becomes."""

    method: str
    member: str
    make: Callable[[Raw], Value]


def _as_it_is(raw: Raw) -> Raw:
    return raw


def _groups(scope: str, owner: str) -> Call[Group]:
    return Call("describe_security_groups", "SecurityGroups", partial(parse.group, scope=scope, owner=owner))


LISTS = Call("describe_managed_prefix_lists", "PrefixLists", _as_it_is)
ENTRIES = Call("get_managed_prefix_list_entries", "Entries", _as_it_is)


@dataclass(frozen=True, slots=True)
class RegionRead:
    """Everything of one Region. All mappings are ordered by id."""

    scope: str
    workloads: tuple[Found, ...]
    groups: Mapping[str, Group]
    enis: Mapping[str, Eni]
    lists: Mapping[str, PrefixList]
    rest: Rest
    unlisted: bool = False
    """Prefix lists were not asked for."""
    owners: frozenset[str] = frozenset()
    """The accounts that the instances' reservations belong to: nobody is shown those of others."""


@dataclass(frozen=True, slots=True)
class Rest:
    """What a change of a Region needs beside its machines, interfaces, groups and lists; a glance leaves the defaults."""

    vpcs: Mapping[str, Vpc] = field(default_factory=dict)
    peered: frozenset[tuple[str, str]] | None = None
    """None where peerings were not asked for."""
    quotas: Quotas = Quotas()
    lists: Mapping[str, PrefixList] = field(default_factory=dict)
    """Lists of ours, where a glance left them out."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads of one Region that run side by side."""

    client: Client
    region: str
    owner: str
    pool: ThreadPoolExecutor

    @property
    def scope(self) -> str:
        """The Region's unit of completeness."""
        return self.client.settings.scope(self.region)

    def start(self, call: Call[Value], filters: Filters | None = None) -> Future[list[Value]]:
        """Start reading all pages of one call."""
        return self.pool.submit(self._all, call, {"Filters": filters} if filters else {})

    def start_each(self, call: Call[Value], field: str, values: Iterable[str] | None) -> list[Future[list[Value]]]:
        """Start reading what a filter selects: in as many calls as its values need, all of it when `values` is None."""
        return [self.start(call, filters) for filters in _filters(field, values)]

    def lists(self, raw: Sequence[Raw], used: Collection[str] = ()) -> dict[str, PrefixList]:
        """Return prefix lists with their entries, which cost a call for each. One on its way out is left out: it is in no rule (`used`)."""
        there = [one for one in raw if one.get("State") not in GOING]
        parts = [self.pool.submit(self._entries, str(one["PrefixListId"])) for one in there]
        pairs = [(one, part.result()) for one, part in zip(there, parts, strict=True)]
        found = _by_id(parse.prefix_list(one, entries, self.scope, self.owner) for one, entries in pairs if entries is not None)
        missing = sorted(str(one["PrefixListId"]) for one, entries in pairs if entries is None and one["PrefixListId"] in used)
        if missing:
            text = f"a rule refers to {missing[0]}, whose entries no read shows"
            raise CallFailedError(self.scope, "GetManagedPrefixListEntries", text, answered=True)
        return found

    def quotas(self) -> dict[str, int]:
        """Return the account's real limits. A refusal (no permission, unknown code) leaves EC2's defaults; no answer is a failed read."""
        if self.client.settings.quotas is not None:
            return {}
        found: dict[str, int] = {}
        for name, code in QUOTA_CODES.items():
            try:
                answer = self.client.read(self.region, "get_service_quota", ServiceCode="vpc", QuotaCode=code)
            except CallFailedError as failure:
                if failure.retryable:
                    raise
                continue
            found[name] = int(answer["Quota"]["Value"])
        return found

    def _all(self, call: Call[Value], arguments: Mapping[str, object]) -> list[Value]:
        # Each element becomes a value as it comes: an answer of the SDK takes ten times the memory.
        return [call.make(raw) for raw in self.client.pages(self.region, call.method, call.member, **arguments)]

    def _entries(self, identity: str) -> list[Raw] | None:
        """Return the entries of a list; None when it went between the two reads."""
        try:
            return self._all(ENTRIES, {"PrefixListId": identity})
        except CallFailedError as failure:
            if failure.code == "InvalidPrefixListID.NotFound":
                return None
            raise


@contextmanager
def _reader(client: Client, owner: str, region: str) -> Iterator[Reader]:
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix=f"aws-{region}")
    try:
        yield Reader(client, region, owner, pool)
    finally:
        # After a failure what has not started is of no use any more.
        pool.shutdown(cancel_futures=True)


class _Later:
    """Calls of a Region that are sent when somebody first asks for their answers. `peered`: what is known of peerings already."""

    def __init__(self, reader: Reader, peered: frozenset[tuple[str, str]] | None = None) -> None:
        self._reader, self._peered = reader, peered

    @cached_property
    def networks(self) -> Future[list[Raw]]:
        return self._reader.start(Call("describe_vpcs", "Vpcs", _as_it_is))

    @cached_property
    def peerings(self) -> Future[list[Raw]]:
        return self._reader.start(Call("describe_vpc_peering_connections", "VpcPeeringConnections", _as_it_is))

    @cached_property
    def lists(self) -> Future[list[Raw]]:
        return self._reader.start(LISTS)

    @cached_property
    def quotas(self) -> Future[dict[str, int]]:
        return self._reader.pool.submit(self._reader.quotas)

    def start(self) -> None:
        """Send all of them now, side by side."""
        _ = self.networks, self.quotas
        if self._peered is None:
            _ = self.peerings

    def peered(self) -> frozenset[tuple[str, str]]:
        """Return the pairs of VPCs whose peering is active in this Region."""
        return parse.peerings(self.peerings.result(), self._reader.region) if self._peered is None else self._peered

    def wanted(self) -> frozenset[str] | None:
        """Return the VPCs to look into: those of the settings and those beyond their peerings; None for all.

        References reach over peerings: the groups and members beyond belong to the truth, though not to the inventory.
        """
        named = self._reader.client.settings.vpcs
        return None if named is None else frozenset(named) | {b for a, b in self.peered() if a in named}

    def rest(self) -> Rest:
        """Return all of it."""
        reader, wanted = self._reader, self.wanted()
        return Rest(
            vpcs=_by_id(parse.vpc(raw, reader.scope) for raw in self.networks.result() if wanted is None or raw["VpcId"] in wanted),
            peered=self.peered(),
            quotas=reader.client.settings.limits(self.quotas.result()),
        )


def whole(client: Client, owner: str, region: str) -> RegionRead:
    """Read one Region whole. Raises CallFailedError or ParseError."""
    return _read(client, owner, region, lean=False)


def glance(client: Client, owner: str, region: str, *, listed: bool) -> RegionRead:
    """Read one Region without its rest, but for the peerings that what it shows depends on. Raises CallFailedError or ParseError.

    `listed`: with its prefix lists; else only if a rule refers to one.
    """
    return _read(client, owner, region, lean=True, listed=listed)


def rest(client: Client, owner: str, region: str, peered: frozenset[tuple[str, str]] | None, *, listed: bool) -> Rest:
    """Read what a glance at a Region left out: also our prefix lists (`listed`), and peerings unless it had to know them (`peered`).

    Raises CallFailedError or ParseError.
    """
    with _reader(client, owner, region) as reader:
        later = _Later(reader, peered)
        later.start()
        lists = reader.lists(_needed(later.lists.result(), (), owner)) if listed else {}
        return replace(later.rest(), lists=lists)


def _read(client: Client, owner: str, region: str, *, lean: bool, listed: bool = True) -> RegionRead:
    settings = client.settings
    with _reader(client, owner, region) as reader:
        scope, later = reader.scope, _Later(reader)
        if not lean:
            later.start()
        instances = reader.start_each(Call("describe_instances", "Reservations", parse.reservation), "vpc-id", settings.vpcs)
        if listed:
            _ = later.lists
        wanted = later.wanted()
        looks = Call("describe_network_interfaces", "NetworkInterfaces", partial(parse.looked, scope=scope))
        enis = reader.start_each(looks, "vpc-id", wanted)
        described = reader.start_each(_groups(scope, owner), "vpc-id", wanted)
        looked = _joined(enis)
        apart = len({one.eni.vpc for one in looked if one.eni.instance}) > 1
        if apart:
            _ = later.peerings  # references may reach, or be wanted, from one VPC to another
        known = {one.id: one for some in _joined(instances) for one in some}
        parsed = _by_id(parse.judged(one, known, settings.vpcs) for one in looked)
        groups = _carried(reader, parsed.values(), _by_id(_joined(described)))
        used = {rule.peer for one in groups.values() for rule in one.rules if rule.kind == PeerKind.LIST.value}
        listed = listed or bool(used)
        lists = reader.lists(_needed(later.lists.result(), used, owner), used) if listed else {}
        asked = settings.vpcs is not None or apart or _crossing(groups)
        return RegionRead(
            scope=scope,
            workloads=_workloads(settings.account, scope, known, parsed.values()),
            groups=groups,
            enis=parsed,
            lists=lists,
            rest=Rest(peered=later.peered() if asked else None, quotas=settings.limits({})) if lean else later.rest(),
            unlisted=not listed,
            owners=frozenset(one.owner for one in known.values()),
        )


def _crossing(groups: Mapping[str, Group]) -> bool:
    """Tell whether a rule refers to a group of another VPC: then it depends on a peering whom it lets in."""
    vpcs = {one.id: one.vpc for one in groups.values()}
    return any(vpcs.get(rule.peer, one.vpc) != one.vpc for one in groups.values() for rule in one.rules)


def _carried(reader: Reader, enis: Iterable[Eni], groups: dict[str, Group]) -> dict[str, Group]:
    """Return the groups with those that an interface carries and the first read did not show.

    They may be younger than that read, or at home in another VPC and associated with this one. One that no read shows would make an
    interface look tighter than it is: CallFailedError.
    """
    carried = {group: eni.id for eni in enis if not eni.skipped for group in eni.groups if group not in groups}
    if not carried:
        return groups
    again = reader.start_each(_groups(reader.scope, reader.owner), "group-id", carried)
    groups = _by_id([*groups.values(), *_joined(again)])
    for group, eni in sorted(carried.items()):
        if group not in groups:
            raise CallFailedError(reader.scope, "DescribeSecurityGroups", f"{eni} carries {group}, which no read shows", answered=True)
    return groups


def _workloads(account: str, scope: str, known: Mapping[str, parse.Instance], enis: Iterable[Eni]) -> tuple[Found, ...]:
    held: dict[str, list[Eni]] = {}
    for one in enis:
        held.setdefault(one.instance, []).append(one)
    alive = (known[identity] for identity in sorted(known) if known[identity].alive)
    return tuple(parse.found(one, account, scope, held.get(one.id, ())) for one in alive)


def _needed(raw: Iterable[Raw], used: Collection[str], owner: str) -> list[Raw]:
    """Return our prefix lists and those that rules refer to."""
    return [one for one in raw if one["PrefixListId"] in used or mark_of(dict(parse.tags(one.get("Tags"))), owner) is not None]


def _joined(parts: Iterable[Future[list[Value]]]) -> list[Value]:
    return [one for part in parts for one in part.result()]


def _filters(name: str, values: Iterable[str] | None) -> list[Filters]:
    """Return filters that together select these values, each small enough for one call; one without a filter for all."""
    if values is None:
        return [[]]
    kept = sorted(set(values))
    return [[{"Name": name, "Values": kept[at : at + FILTER_VALUES_MAX]}] for at in range(0, len(kept), FILTER_VALUES_MAX)]


def _by_id(items: Iterable[Item]) -> dict[str, Item]:
    found = {item.id: item for item in items}
    return {identity: found[identity] for identity in sorted(found)}


# --- again, in part --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Touched:
    """Ids (and, for objects whose id a lost answer kept from us, names) that steps in one Region touch."""

    groups: Collection[str] = ()
    group_names: Collection[str] = ()
    enis: Collection[str] = ()
    lists: Collection[str] = ()
    list_names: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class PartRead:
    """What is there now of what was touched; an object that is gone, or not visible yet, is missing."""

    scope: str
    groups: Mapping[str, Group]
    enis: Mapping[str, Raw]
    lists: Mapping[str, PrefixList]


def part(client: Client, owner: str, region: str, touched: Touched) -> PartRead:
    """Read touched objects of one Region. Filters are used, not id parameters: those fail on an id that is not visible yet."""
    with _reader(client, owner, region) as reader:
        described = _groups(reader.scope, owner)
        groups = reader.start_each(described, "group-id", touched.groups)
        groups += reader.start_each(described, "group-name", touched.group_names)
        shown = Call("describe_network_interfaces", "NetworkInterfaces", _as_it_is)
        enis = reader.start_each(shown, "network-interface-id", touched.enis)
        lists = reader.start_each(LISTS, "prefix-list-id", touched.lists)
        lists += reader.start_each(LISTS, "prefix-list-name", touched.list_names)
        found = {str(raw["PrefixListId"]): raw for raw in _joined(lists)}
        return PartRead(
            scope=reader.scope,
            groups=_by_id(_joined(groups)),
            enis={str(raw["NetworkInterfaceId"]): raw for raw in _joined(enis)},
            lists=reader.lists([found[identity] for identity in sorted(found)]),
        )

"""The adapter itself: effects at the edge (identify, read, refresh, write, doctor), and the pure half passed through unchanged."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, TypeVar

from cloudsync.adapter import (
    Access,
    Bounds,
    Check,
    Clock,
    Discovery,
    Encoding,
    Entry,
    Hop,
    Identity,
    Intent,
    Method,
    Outcome,
    Phase,
    Point,
    ScopeState,
    Seen,
    Snapshot,
    Status,
    Step,
    TargetSettings,
    Whose,
)
from cloudsync.model.bucket import Limit
from cloudsync.model.errors import AdapterError
from cloudsync.model.glance import Glance
from cloudsync.model.packets import Packet
from cloudsync.model.size import Size
from cloudsync.model.witness import Author, NativeRule
from cloudsync.model.workload import PointId
from cloudsync_aws import pacing, parse
from cloudsync_aws import read as reading
from cloudsync_aws.bounds import affected, bounds
from cloudsync_aws.client import CallFailedError, Client
from cloudsync_aws.decode import decode, entries, points, walk
from cloudsync_aws.dump import dump
from cloudsync_aws.encode import encode
from cloudsync_aws.limits import CAPABILITIES, FILTER_VALUES_MAX, LOOK_CODES, WRITE_CALLS
from cloudsync_aws.prints import digest
from cloudsync_aws.quota import sizes
from cloudsync_aws.request import Json, Request, UnboundError, key_of
from cloudsync_aws.settings import AwsSettings
from cloudsync_aws.simulate import created, seen, simulate_all
from cloudsync_aws.steps import steps
from cloudsync_aws.table import AwsTable, Eni

REGIONS_AT_ONCE = 8
NO_LISTS = "no-lists"
"""What a first look says of itself: no prefix list is ours, and no rule refers to one."""


class _Scoped(Protocol):
    @property
    def scope(self) -> str: ...


Held = TypeVar("Held", bound=_Scoped)
Part = TypeVar("Part")


class AwsAdapter:
    """One AWS target: the security groups, interfaces and prefix lists of one account in some Regions."""

    capabilities = CAPABILITIES

    def __init__(self, target: TargetSettings, owner: str, clock: Clock) -> None:
        self.settings = AwsSettings.of(target)
        self._target, self._owner, self._clock = target, owner, clock
        self._client = Client(self.settings, clock)
        # The environment may lead to a simulated cloud as well as the settings; how long to wait goes by where calls really go.
        where = target.endpoint or os.environ.get("AWS_ENDPOINT_URL", "")
        self.patience = AwsSettings.of(replace(target, endpoint=where)).patience()

    # --- effects -----------------------------------------------------------------------------------------------------

    def identify(self) -> Identity:
        """Ask STS who we are. Raises AdapterError."""
        answer = self._client.read(self.settings.regions[0], "get_caller_identity")
        account, principal = answer.get("Account"), answer.get("Arn")
        if not account or not principal:
            raise AdapterError(self._target.name, "GetCallerIdentity", "the answer names no account")
        return Identity("aws", str(account), str(principal))

    def expected_account(self) -> str:
        """Return the account that the settings name."""
        return self.settings.account

    def read(self) -> Snapshot:
        """Read all Regions side by side. A Region that fails is Incomplete and holds nothing; the others are not touched by that."""
        return self._snapshot(self._with_every_vpc(self._each(reading.whole)))

    def glance(self, hint: str = "") -> Glance:
        """Read machines, interfaces and groups of all Regions, and of all else only what they depend on.

        The account is proven by reservations: EC2 shows nobody those of another account. `hint`: there was no prefix list of ours.
        """
        parts = self._each(partial(reading.glance, listed=hint != NO_LISTS))
        whole = _whole(parts)
        shown = {group.vpc for part in whole for group in part.groups.values()}
        if len(whole) == len(parts) and not shown >= set(self.settings.vpcs or ()):
            # Every VPC has its default group. One without is not there, or shared with us by another account: only a whole read tells.
            parts = self._with_every_vpc(self._each(reading.whole))
            whole = _whole(parts)
        owners = frozenset().union(*(part.owners for part in whole))
        none = len(whole) == len(parts) and not any(part.lists for part in whole)
        return Glance(self._snapshot(parts), next(iter(owners)) if len(owners) == 1 else "", NO_LISTS if none else "")

    def completed(self, snapshot: Snapshot) -> Snapshot:
        """Read what a glance left out, all Regions side by side. A Region where that fails holds nothing any more."""
        table: AwsTable = snapshot.table
        regions = [region for region in self.settings.regions if self.settings.scope(region) not in table.incomplete]
        found = dict(zip(regions, self._side_by_side(partial(self._rest, table), regions), strict=True))
        failed = {one.scope: one for one in found.values() if isinstance(one, ScopeState)}
        rests = {self.settings.scope(region): one for region, one in found.items() if isinstance(one, reading.Rest)}
        table = replace(
            table,
            groups=_outside(table.groups, failed),
            enis=_outside(table.enis, failed),
            lists=_merged((_outside(table.lists, failed), *(one.lists for one in rests.values()))),
            vpcs=_merged(one.vpcs for one in rests.values()),
            peered=frozenset().union(*(one.peered or () for one in rests.values())),
            quotas={scope: one.quotas for scope, one in rests.items()},
            incomplete={**table.incomplete, **{scope: one.why for scope, one in failed.items()}},
            unpeered=frozenset(),
            unlisted=frozenset(),
        )
        scopes = tuple(failed.get(scope.scope, scope) for scope in snapshot.scopes)
        return replace(snapshot, table=table, scopes=scopes, digest=digest(table, snapshot.discovery))

    def _snapshot(self, parts: list[reading.RegionRead | ScopeState]) -> Snapshot:
        whole = _whole(parts)
        scopes = tuple(ScopeState(part.scope) if isinstance(part, reading.RegionRead) else part for part in parts)
        table = AwsTable(
            owner=self._owner,
            groups=_merged(part.groups for part in whole),
            enis=_merged(part.enis for part in whole),
            lists=_merged(part.lists for part in whole),
            vpcs=_merged(part.rest.vpcs for part in whole),
            peered=frozenset().union(*(part.rest.peered or () for part in whole)),
            quotas={part.scope: part.rest.quotas for part in whole},
            incomplete={scope.scope: scope.why for scope in scopes if scope.why},
            unpeered=frozenset(part.scope for part in whole if part.rest.peered is None),
            unlisted=frozenset(part.scope for part in whole if part.unlisted),
        )
        workloads = sorted((found for part in whole for found in part.workloads), key=lambda found: found.ref)
        discovery = Discovery(self._target.name, tuple(workloads), scopes)
        return Snapshot(self._target.name, discovery, table, scopes, digest(table, discovery))

    def _each(self, read: Callable[[Client, str, str], reading.RegionRead]) -> list[reading.RegionRead | ScopeState]:
        return self._side_by_side(partial(self._region, read), self.settings.regions)

    def _side_by_side(self, read: Callable[[str], Part], regions: Sequence[str]) -> list[Part]:
        if len(regions) < 2:
            return [read(region) for region in regions]
        with ThreadPoolExecutor(min(REGIONS_AT_ONCE, len(regions)), thread_name_prefix="aws-read") as pool:
            return list(pool.map(read, regions))

    def _region(self, read: Callable[[Client, str, str], Part], region: str) -> Part | ScopeState:
        try:
            return read(self._client, self._owner, region)
        except (AdapterError, *parse.MALFORMED) as error:
            return ScopeState(self.settings.scope(region), parse.reason(error))

    def _rest(self, table: AwsTable, region: str) -> reading.Rest | ScopeState:
        scope = self.settings.scope(region)
        known = None if scope in table.unpeered else table.peered
        return self._region(partial(reading.rest, peered=known, listed=scope in table.unlisted), region)

    def _with_every_vpc(self, parts: list[reading.RegionRead | ScopeState]) -> list[reading.RegionRead | ScopeState]:
        """A VPC of the settings that no Region has must not look like one without workloads: then nothing was read whole."""
        whole = _whole(parts)
        missing = sorted(set(self.settings.vpcs or ()).difference(*(part.rest.vpcs for part in whole)))
        if len(whole) < len(parts) or not missing:
            return parts
        return [ScopeState(part.scope, f"no Region of the target has {', '.join(missing)} of the settings") for part in whole]

    def refresh(self, table: AwsTable, steps: Iterable[Step], bindings: Mapping[str, str]) -> AwsTable:
        """Read again just what these steps touch and return the table with it replaced. Raises AdapterError."""
        by_scope: dict[str, list[Step]] = {}
        for step in steps:
            by_scope.setdefault(step.scope, []).append(step)
        for scope in sorted(by_scope):
            region = self._region_of(scope)
            requests = [Request.of(step, bindings) for step in by_scope[scope]]
            touched = _touched(requests, bindings)
            try:
                part = reading.part(self._client, self._owner, region, touched)
                table = _replaced(table, touched, part, _created_at(requests))
            except parse.MALFORMED as error:
                raise AdapterError(scope, "refresh", parse.reason(error)) from error
        return table

    def write(self, step: Step, bindings: Mapping[str, str]) -> Outcome:
        """Send one step, once. Never raises for an answer of the platform: that is FAILED; every doubt is UNKNOWN."""
        try:
            region = self._region_of(step.scope)
            request = Request.of(step, bindings)
            arguments = request.bound()
        except (UnboundError, AdapterError, ValueError) as error:
            return Outcome(Status.FAILED, "NotSent", str(error))
        try:
            answer = self._client.write(region, request.call, arguments)
        except CallFailedError as failure:
            look = not failure.answered or failure.code in LOOK_CODES
            return Outcome(Status.UNKNOWN if look else Status.FAILED, failure.code, failure.words, throttled=failure.throttled)
        return _outcome(step, request, answer)

    def rule_ids(self, table: AwsTable, entries: Iterable[Entry]) -> Mapping[tuple[str, str], str]:
        """Return EC2's own ids (`sgr-...`) of entries, by group and native text; one filtered read per Region. Raises AdapterError."""
        from cloudsync_aws.decode import native_text

        by_region: dict[str, set[str]] = {}
        for entry in entries:
            group = table.groups.get(entry.object)
            if group is not None:
                by_region.setdefault(self._region_of(group.scope), set()).add(group.id)
        found: dict[tuple[str, str], str] = {}
        for region in sorted(by_region):
            groups = sorted(by_region[region])
            for start in range(0, len(groups), FILTER_VALUES_MAX):
                wanted = [{"Name": "group-id", "Values": groups[start : start + FILTER_VALUES_MAX]}]
                for raw in self._client.pages(region, "describe_security_group_rules", "SecurityGroupRules", Filters=wanted):
                    try:
                        group_id, rule_id, key = parse.numbered_rule(raw)
                    except parse.ParseError as error:
                        raise AdapterError(self.settings.scope(region), "DescribeSecurityGroupRules", str(error)) from error
                    found[group_id, native_text(key)] = rule_id
        return found

    def authors(self, table: AwsTable, rules: Iterable[NativeRule], since: float) -> Mapping[NativeRule, Author]:
        """Return who made these rules, as CloudTrail has it. Raises AdapterError."""
        from cloudsync_aws.trail import authors

        by_region: dict[str, dict[str, set[str]]] = {}
        for name, native in rules:
            group = table.groups.get(name)
            if group is not None:
                by_region.setdefault(self._region_of(group.scope), {}).setdefault(name, set()).add(native)
        return {
            rule: author for region in sorted(by_region) for rule, author in authors(self._client, region, by_region[region], since).items()
        }

    def doctor(self) -> tuple[Check, ...]:
        """Check credentials, permissions and limits without writing."""
        from cloudsync_aws.doctor import checks

        return checks(self._client, self._target.name, self._owner, self._clock)

    def _region_of(self, scope: str) -> str:
        for region in self.settings.regions:
            if scope == self.settings.scope(region):
                return region
        raise AdapterError(scope, "open", f"no Region of target {self._target.name}")

    # --- the pure half -----------------------------------------------------------------------------------------------
    def points(self, table: AwsTable) -> tuple[Point, ...]:
        """Return every interface, skipped ones included, ordered by id."""
        return points(table)

    def decode(self, table: AwsTable, whose: Whose = Whose.ALL, points: Iterable[PointId] | None = None) -> Mapping[PointId, Access]:
        """Return what each interface lets in and out."""
        return decode(table, whose, points)

    def entries(self, table: AwsTable, points: Iterable[PointId] | None = None) -> tuple[Entry, ...]:
        """Return the rules that act on these interfaces, ours and foreign, in a stable order."""
        return entries(table, points)

    def walk(self, table: AwsTable, point: PointId, direction: str, packet: Packet) -> tuple[Hop, ...]:
        """Return what decides a packet at an interface."""
        return walk(table, point, direction, packet)

    def owned(self, table: AwsTable) -> Mapping[str, int]:
        """Return how many rules of our own each scope holds."""
        counts = dict.fromkeys(map(self.settings.scope, self.settings.regions), 0)
        for group in table.groups.values():
            if group.mark is not None:
                counts[group.scope] = counts.get(group.scope, 0) + len(group.rules)
        return counts

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        """Return the desired table: foreign groups as they are, ours as wanted, unchanged where nothing changed."""
        return encode(intent, snapshot.table)

    def steps(self, actual: AwsTable, desired: AwsTable, method: Method) -> tuple[Phase, ...]:
        """Return the smallest safe writes from actual to desired, in phases; empty when equal."""
        return () if actual == desired else steps(actual, desired, method)

    def shield(self, table: AwsTable, packets: Mapping[PointId, Access]) -> AwsTable:
        """Return the table as it is: security groups have no deny rules."""
        del packets
        return table

    def simulate(self, table: AwsTable, *steps: Step) -> AwsTable:
        """Return the table as it would be after a step, from the payload that is really sent."""
        return simulate_all(table, steps)

    def bounds(self, table: AwsTable, steps: tuple[Step, ...]) -> Bounds:
        """Return tables that bound every state while these steps take effect in any order."""
        return bounds(table, steps)

    def affected(self, table: AwsTable, steps: tuple[Step, ...]) -> frozenset[PointId]:
        """Return the interfaces whose packets these steps may change."""
        return affected(table, steps)

    def seen(self, table: AwsTable, step: Step, bindings: Mapping[str, str]) -> Seen:
        """Tell whether a (refreshed) table shows a step's effect."""
        return seen(table, step, bindings)

    def created(self, table: AwsTable, step: Step) -> tuple[tuple[str, str], ...]:
        """Return the key and native id of what a creating step made, found by its mark; empty when the table does not show it."""
        native = created(table, step)
        return () if native is None else ((key_of(step.object), native),)

    def limit(self, step: Step) -> Limit:
        """Return the bucket that a step's call draws from."""
        return pacing.limit(self.settings, self._region_of(step.scope), step.action)

    def delay(self, step: Step) -> float:
        """Return the seconds until a step's call may be sent."""
        return self._client.delay(self.limit(step))

    def sizes(self, table: AwsTable) -> Iterable[Size]:
        """Return how full groups and interfaces are."""
        return sizes(table)

    def dump(self, table: AwsTable) -> Json:
        """Return a table as JSON values, for plan files."""
        return dump(table)


def _whole(parts: Iterable[reading.RegionRead | ScopeState]) -> list[reading.RegionRead]:
    return [part for part in parts if isinstance(part, reading.RegionRead)]


def _outside(held: Mapping[str, Held], failed: Container[str]) -> dict[str, Held]:
    """Return what is in none of the failed scopes."""
    return {identity: one for identity, one in held.items() if one.scope not in failed}


def _merged(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    found = {identity: item for part in parts for identity, item in part.items()}
    return {identity: found[identity] for identity in sorted(found)}


def _outcome(step: Step, request: Request, answer: Mapping[str, Any]) -> Outcome:
    """Read an answer that says the call succeeded: not all of them mean it."""
    unknown = answer.get("UnknownIpPermissions")
    if unknown:
        # In a default VPC a revoke leaves out what it does not find and still answers 200.
        reason = f"{WRITE_CALLS[request.call]} did not find {len(unknown)} of its permissions"
        return Outcome(Status.UNKNOWN, "UnknownIpPermissions", reason)
    if answer.get("Return") is False:
        return Outcome(Status.UNKNOWN, "Return", f"{WRITE_CALLS[request.call]} answered false")
    if not request.created:
        return Outcome(Status.DONE)
    identity = answer.get("GroupId") or (answer.get("PrefixList") or {}).get("PrefixListId")
    if not identity:
        return Outcome(Status.UNKNOWN, "NoId", f"step {step.key}: the answer names no new object")
    return Outcome(Status.DONE, created=((request.created, str(identity)),))


# --- refreshing a table ----------------------------------------------------------------------------------------------


def _touched(requests: Iterable[Request], bindings: Mapping[str, str]) -> reading.Touched:
    """Return what these calls touch. What a call creates is looked for by name as well: its answer may have been lost."""
    ids: dict[str, set[str]] = {name: set() for name in ("GroupId", "NetworkInterfaceId", "PrefixListId", "GroupName", "PrefixListName")}
    for request in requests:
        for name, found in ids.items():
            value = request.arguments.get(name)
            # A list's name stands in its modifications too; only a creation is looked for by it.
            if isinstance(value, str) and not value.startswith("{new:") and (request.created or not name.endswith("Name")):
                found.add(value)
        if request.created in bindings:
            field = "GroupId" if request.call == "create_security_group" else "PrefixListId"
            ids[field].add(bindings[request.created])
    return reading.Touched(
        groups=frozenset(ids["GroupId"]),
        group_names=frozenset(ids["GroupName"]),
        enis=frozenset(ids["NetworkInterfaceId"]),
        lists=frozenset(ids["PrefixListId"]),
        list_names=frozenset(ids["PrefixListName"]),
    )


def _created_at(requests: Iterable[Request]) -> frozenset[tuple[str, str]]:
    """Return (VPC, name) of the groups that these calls create: a name says nothing outside its VPC."""
    pairs = ((request.arguments.get("VpcId"), request.arguments.get("GroupName")) for request in requests)
    return frozenset((str(vpc), str(name)) for vpc, name in pairs if vpc and name)


def _replaced(table: AwsTable, touched: reading.Touched, part: reading.PartRead, created: frozenset[tuple[str, str]]) -> AwsTable:
    groups = {identity: one for identity, one in table.groups.items() if identity not in touched.groups}
    groups |= {one.id: one for one in part.groups.values() if one.id in touched.groups or (one.vpc, one.name) in created}
    lists = {identity: one for identity, one in table.lists.items() if identity not in touched.lists}
    # A prefix list's name is not unique: by name only our own are meant.
    lists |= {one.id: one for one in part.lists.values() if one.id in touched.lists or one.mark is not None}
    enis = {identity: one for identity, one in table.enis.items() if identity not in touched.enis}
    enis |= {identity: _eni(raw, part.scope, table.enis.get(identity)) for identity, raw in part.enis.items()}
    return replace(table, groups=_merged([groups]), lists=_merged([lists]), enis=_merged([enis]))


def _eni(raw: parse.Raw, scope: str, before: Eni | None) -> Eni:
    """Parse an interface read again. Whether it is ours to enforce was settled by the whole read, as long as it sits where it sat."""
    now = parse.eni(raw, scope, {})
    if before is not None and before.instance == now.instance:
        return replace(now, skipped=before.skipped)
    return replace(now, skipped=now.skipped or "moved since the last whole read")

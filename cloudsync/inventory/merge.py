"""One inventory from what the platforms found and what stands in files: ids, labels, routing domains, and no address twice in a domain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field

from cloudsync.adapter import Discovery, Found, TargetSettings
from cloudsync.inventory import addresses
from cloudsync.inventory.labels import Mapper, Subject, check_sources
from cloudsync.inventory.rules import InventoryRules, domain_of
from cloudsync.inventory.static import StaticInventory, StaticWorkload, check_labels
from cloudsync.inventory.terraform import PREFIX
from cloudsync.inventory.values import Inventory
from cloudsync.model.address import NOWHERE, AddressSet
from cloudsync.model.finding import Finding, Severity, Where
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import DEFAULT_DOMAIN, Domain, Interface, Labels, Workload, WorkloadId
from cloudsync.policy.characters import shown
from cloudsync.policy.values import Policy

STATIC_SCOPE = "static"


def build(
    discoveries: Sequence[Discovery],
    static: StaticInventory,
    rules: InventoryRules,
    policy: Policy,
    targets: Iterable[TargetSettings],
) -> Inventory:
    """Return the inventory of one run; stopped machines are in it, what an adapter left out is not. Order of the input does not matter."""
    vocabulary = dict(policy.labels)
    mapper = Mapper(rules.sources, dict(rules.locks), vocabulary)
    found = [_Discovered(discovery.target, one) for discovery in discoveries for one in discovery.workloads]
    found.sort(key=lambda one: one.id)
    joined, alone, warnings = _join(found, static)
    by_name = {target.name: target for target in targets}
    builder = _Builder(mapper, rules.members(), by_name, {entry.name: entry.where for entry in static.workloads})
    workloads = [builder.discovered(one, joined.get(one.id)) for one in found]
    workloads += [builder.static(entry) for entry in alone]
    workloads.sort(key=lambda workload: workload.id)
    states = sorted((scope for discovery in discoveries for scope in discovery.scopes), key=lambda state: state.why)
    scopes = {state.scope: state for state in states}  # several targets may share a scope: one that could not read it decides
    warnings += [finding for entry in joined.values() for finding in _locked(mapper, entry)]
    warnings = [*warnings, *check_sources(rules.sources, vocabulary), *mapper.misses.findings(vocabulary)]
    findings = [*check_labels(static, vocabulary), *_unknown_members(rules, found), *_duplicates(workloads, builder)]
    errors = tuple(finding for finding in findings if finding.severity is Severity.ERROR)
    soft = tuple(finding for finding in findings if finding.severity is not Severity.ERROR)
    ordered = tuple(scopes[name] for name in sorted(scopes))
    return Inventory(tuple(workloads), ordered, (), (*warnings, *soft), errors)


@dataclass(frozen=True, slots=True)
class _Discovered:
    target: str
    found: Found

    @property
    def id(self) -> WorkloadId:
        return WorkloadId(f"{self.target}/{self.found.ref}")

    @property
    def addresses(self) -> AddressSet:
        return AddressSet.union_all(interface.addresses for interface in self.found.interfaces)


Joined = dict[WorkloadId, StaticWorkload]


def _join(found: Sequence[_Discovered], static: StaticInventory) -> tuple[Joined, list[StaticWorkload], list[Finding]]:
    """Pair entries with discovered workloads: by ref, else by name; an address both have decides between several of one name."""
    by_ref: dict[str, list[_Discovered]] = {}
    by_name: dict[str, list[_Discovered]] = {}
    for one in found:
        by_ref.setdefault(one.found.ref, []).append(one)
        by_name.setdefault(one.found.name, []).append(one)
    joined: Joined = {}
    alone: list[StaticWorkload] = []
    warnings: list[Finding] = []
    for entry in sorted(static.workloads, key=lambda one: (not one.ref, one.name)):
        candidates = by_ref.get(entry.ref, []) if entry.ref else by_name.get(entry.name, [])
        if len(candidates) > 1:
            candidates = [one for one in candidates if one.addresses & entry.addresses]
            if len(candidates) != 1:
                warnings.append(_ambiguous(entry, len(by_ref.get(entry.ref, []) if entry.ref else by_name[entry.name])))
        if len(candidates) == 1 and candidates[0].id not in joined:
            joined[candidates[0].id] = entry
            continue
        if entry.ref and not candidates:
            message = f"nothing found has the id '{shown(entry.ref)}' of '{shown(entry.name)}'"
            warnings.append(Finding(entry.where, "STATIC-UNMATCHED", message, "it counts as a workload of its own", Severity.WARNING))
        alone.append(entry)
    return joined, alone, warnings


def _locked(mapper: Mapper, entry: StaticWorkload) -> Iterator[Finding]:
    places = dict(entry.label_places)
    for key in mapper.locked(entry.labels):
        message = f"label '{key}' of '{shown(entry.name)}' is locked to {mapper.locks[key].value}, so this one is left out"
        yield Finding(places.get(key, entry.where), "LOCKED-LABEL", message, "take it out here, or change label_locks", Severity.WARNING)


def _ambiguous(entry: StaticWorkload, how_many: int) -> Finding:
    message = f"{how_many} workloads found go by '{shown(entry.ref or entry.name)}'; this entry joins none of them"
    return Finding(
        entry.where, "AMBIGUOUS-STATIC", message, "give the entry a ref: the native id of the one that is meant", Severity.WARNING
    )


@dataclass(frozen=True, slots=True)
class _Builder:
    mapper: Mapper
    members: Mapping[str, Domain]
    targets: Mapping[str, TargetSettings]
    entries: Mapping[str, Where]
    said: dict[tuple[str, ...], str] = field(default_factory=dict)
    """What gave the labels of a static entry, by their keys."""

    def discovered(self, one: _Discovered, entry: StaticWorkload | None) -> Workload:
        found = one.found
        target = self.targets.get(one.target)
        subject = Subject.of(found.name, found.account, found.tags, target.adapter if target else "")
        labels, source = self.mapper.labels(subject, entry.labels if entry else Labels())
        interfaces = [
            Interface(
                each.ref,
                each.network,
                each.addresses,
                self._domain(each.network, found, one.target),
                each.point,
                each.source_only,
                each.shared,
                each.forwards,
            )
            for each in found.interfaces
        ]
        more = entry.addresses - one.addresses if entry else NOWHERE
        if entry and more:
            home = interfaces[0].domain if interfaces else DEFAULT_DOMAIN
            interfaces.append(Interface("", "", more, entry.domain if entry.domain != DEFAULT_DOMAIN else home))
        return Workload(
            id=one.id,
            name=found.name or found.ref,
            labels=labels,
            interfaces=tuple(interfaces),
            target="" if one.target.startswith(PREFIX) else one.target,
            account=found.account,
            scope=found.scope,
            ref=found.ref,
            source=source,
        )

    def static(self, entry: StaticWorkload) -> Workload:
        keys = tuple([key for key, _ in entry.labels.pairs])
        source = self.said.get(keys)
        if source is None:
            source = self.said[keys] = "; ".join(f"{key}: static" for key in keys)
        interfaces = (Interface("", "", entry.addresses, entry.domain),) if entry.addresses else ()
        return Workload(
            WorkloadId(f"static/{entry.name}"), entry.name, entry.labels, interfaces, scope=STATIC_SCOPE, ref=entry.ref, source=source
        )

    def _domain(self, network: str, found: Found, target: str) -> Domain:
        return domain_of(self.members, network, found.account, target)

    def place(self, workload: Workload) -> Where:
        """Return the place in the files that a workload comes from: its entry, or its target."""
        target = self.targets.get(workload.target)
        return target.where if target is not None else self.entries.get(workload.name, Where("cloudsync.yaml"))


def _unknown_members(rules: InventoryRules, found: Sequence[_Discovered]) -> Iterator[Finding]:
    """Yield a warning for every member of a routing domain that is neither a target nor an account nor a network found."""
    if not found:
        return
    known = {one.target for one in found} | {one.found.account for one in found}
    known |= {interface.network for one in found for interface in one.found.interfaces}
    for domain in rules.domains:
        for member in domain.members:
            if member not in known:
                message = f"routing domain '{domain.name}': nothing found belongs to '{shown(member)}'"
                yield Finding(domain.where, "UNKNOWN-MEMBER", message, "want a target, network id or account", Severity.WARNING)


def _duplicates(workloads: Sequence[Workload], builder: _Builder) -> Iterator[Finding]:
    """Yield an error for every pair of workloads that share an address where it counts for both."""
    for first, second, shared in addresses.clashes(workloads):
        message = f"{_called(first)} and {_called(second)} both have {shared.text(2)}"
        hint = "networks that use the same addresses need routing_domains of their own; else one of the two entries is wrong"
        static_first = sorted((first, second), key=lambda one: (one.target != "", one.id))
        yield Finding(builder.place(static_first[0]), "DUPLICATE-ADDRESS", message, hint)


def _called(workload: Workload) -> str:
    return f"'{shown(workload.name)}' ({workload.id})" if workload.name != workload.id else f"'{shown(workload.name)}'"

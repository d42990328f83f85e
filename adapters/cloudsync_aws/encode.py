"""Intent -> desired table: foreign objects as they are, ours as wanted, and nothing moved that did not change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace

from cloudsync.adapter import Access, ClassPeer, Encoding, Intent, Origin, Problem, Whose
from cloudsync.model.address import ANYWHERE, AddressSet
from cloudsync.model.fidelity import Verdict
from cloudsync.model.mode import Accept, Egress, TargetMode
from cloudsync.model.packets import PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import NO_SERVICE, ServiceSet
from cloudsync.model.workload import Domain, PointId
from cloudsync_aws import content
from cloudsync_aws.content import Findings, Peers, Referable, Side
from cloudsync_aws.decode import decode
from cloudsync_aws.fit import UNNAMED
from cloudsync_aws.lists import Lists, choose
from cloudsync_aws.pack import Packed, Room, pack
from cloudsync_aws.payload import placeholder
from cloudsync_aws.place import Placement, Slot, frozen_scopes, group_key, group_name, place
from cloudsync_aws.quota import GROUPS_CODE, RULES_CODE, SLOTS_CODE, Sums, heavier, quotas, sums
from cloudsync_aws.table import TAG_LABELS, TAG_OWNER, AwsTable, Eni, Group, Mark, PeerKind, PrefixList, RuleKey

TAG_VALUE_MOST = 256


@dataclass(slots=True)
class _Filled:
    """A slot with its entries and where they go."""

    slot: Slot
    sides: tuple[Side, Side]
    rules: dict[RuleKey, tuple[Origin, ...]] = field(default_factory=dict)
    left: ServiceSet = NO_SERVICE
    groups: list[str] = field(default_factory=list)
    """Ids (or placeholders) of the class group and its shards, in order."""


@dataclass(slots=True)
class _Work:
    """One encoding under way."""

    intent: Intent
    table: AwsTable
    placement: Placement
    findings: Findings
    peers: Peers
    lists: Lists
    heavy: Mapping[str, PrefixList]
    carried: frozenset[str]
    """Groups that any interface carries now."""
    groups: dict[str, Group] = field(default_factory=dict)
    names: dict[str, set[str]] = field(default_factory=dict)
    shards: Mapping[tuple[str, str], list[Group]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def encode(intent: Intent, table: AwsTable) -> Encoding:
    """Return the desired table of a target. Scopes that were not read whole are desired exactly as they are."""
    placement = place(intent, table)
    findings = Findings(intent.target)
    classes = {(group.class_id, group.domain): group for group in intent.classes}
    peers = Peers(classes, _referable(placement, table), table.peered)
    filled = [_Filled(slot, content.sides(slot, peers, findings)) for slot in placement.slots]
    lists = choose(((one.slot.key.scope, one.sides) for one in filled), table)
    carried = frozenset(key for eni in table.enis.values() for key in eni.groups)
    work = _Work(intent, table, placement, findings, peers, lists, heavier(table.lists, lists.wanted), carried)
    work.names = _names(table)
    work.shards = _shards(table)
    for one in filled:
        for side in one.sides:
            lists.apply(side, one.slot.key.scope)
            found = content.entries(side)
            one.rules.update(found.rules)
            one.left |= found.left
            for services, origins in found.lost:
                reason = f"security groups ignore sctp ports, so {services.text()} cannot be said"
                findings.refuse(one.slot, origins, reason, "name all of sctp, or accept it in the rule: any-port ok")
        one.rules.update(_quarantined(work, one))
        _shard(work, one)
    desired = _desired(work, filled)
    left_out = _left_out(work, filled, desired)
    work.problems.extend((*_region_problems(table, desired), *_owner_problems(work)))
    notes = (*placement.notes, *_kept_notes(work, desired), *_unmarked_notes(table))
    problems = (*findings.problems.values(), *work.problems)
    fidelity = tuple(sorted(findings.fidelity.values(), key=lambda one: one.rule))
    return Encoding(desired, fidelity, problems, left_out or None, notes)


QUARANTINE = (Origin("quarantine"),)


def _quarantined(work: _Work, one: _Filled) -> dict[RuleKey, tuple[Origin, ...]]:
    """Return entries that stand now for addresses of workloads missing for the first time, and for nothing else: they stay one more run."""
    waiting = work.intent.quarantined
    if not waiting:
        return {}
    return {
        key: QUARANTINE
        for group in _shards_now(work, one.slot).values()
        for key in group.rules
        if key not in one.rules and key.kind in (PeerKind.CIDR4.value, PeerKind.CIDR6.value) and AddressSet.of(key.peer) <= waiting
    }


def _referable(placement: Placement, table: AwsTable) -> dict[tuple[str, Domain], tuple[Referable, ...]]:
    members: dict[str, list[AddressSet]] = {}
    for eni in table.enis.values():
        for key in placement.carried.get(eni.id, eni.groups):
            members.setdefault(key, []).append(eni.private)
    found: dict[tuple[str, Domain], list[Referable]] = {}
    for slot in placement.slots:
        private = AddressSet.union_all(members.get(slot.main, ()))
        found.setdefault((slot.key.class_id, slot.key.domain), []).append(Referable(slot.main, slot.key.vpc, private))
    return {key: tuple(sorted(each, key=lambda one: one.group)) for key, each in found.items()}


def _names(table: AwsTable) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for group in table.groups.values():
        found.setdefault(group.vpc, set()).add(group.name)
    return found


# --- groups --------------------------------------------------------------------------------------------------------------


def _shard(work: _Work, one: _Filled) -> None:
    slot, table = one.slot, work.table
    now = _shards_now(work, slot)
    limit = quotas(table, slot.key.scope)
    idle = frozenset(number for number, group in now.items() if group.id not in work.carried)
    room = Room(limit.rules_per_group, max(1, limit.groups_per_eni - slot.foreign_most), work.heavy, idle)
    packed = pack(one.rules, {number: group.rules for number, group in now.items()}, room)
    if packed.over or packed.tight:
        work.problems.append(_quota_problem(work, one, packed, room))
    if slot.foreign_most >= limit.groups_per_eni:
        work.problems.append(_slots_problem(work, slot))
    for number, rules in sorted(packed.shards.items()):
        if not rules and number:
            continue
        group = now.get(number) or _new_group(work, slot, number)
        texts = {key: content.description(key, one.rules[key], group.rules.get(key, "")) for key in rules}
        work.groups[group.id] = replace(group, rules=texts, origins={key: one.rules[key] for key in rules})
        one.groups.append(group.id)


def _shards_now(work: _Work, slot: Slot) -> dict[int, Group]:
    """Return the groups that a slot has now, by shard number; of twins the one with the lowest id."""
    found: dict[int, Group] = {}
    if slot.main in work.table.groups:
        found[0] = work.table.groups[slot.main]
    for group in work.shards.get((slot.mark.class_id, slot.key.vpc), ()):
        assert group.mark is not None
        found.setdefault(group.mark.shard, group)
    return found


def _shards(table: AwsTable) -> dict[tuple[str, str], list[Group]]:
    """Return every shard of ours by class and VPC, each list ordered by id."""
    found: dict[tuple[str, str], list[Group]] = {}
    for group in sorted(table.groups.values(), key=lambda each: each.id):
        if group.mark is not None and group.mark.shard:
            found.setdefault((group.mark.class_id, group.vpc), []).append(group)
    return found


def _new_group(work: _Work, slot: Slot, number: int) -> Group:
    mark = Mark(slot.mark.owner, slot.mark.class_id, number)
    names = work.names.setdefault(slot.key.vpc, set())
    name = group_name(mark, names)
    names.add(name)
    labels = slot.group.labels
    more = ((TAG_LABELS, labels.text()[:TAG_VALUE_MOST]),) if labels else ()
    tags = tuple(sorted((*mark.tags, *more, ("Name", name))))
    return Group(placeholder(group_key(slot.key, mark)), slot.key.scope, slot.key.vpc, name, {}, mark, tags)


def _quota_problem(work: _Work, one: _Filled, packed: Packed, room: Room) -> Problem:
    slot = one.slot
    total = sums(one.rules, work.heavy)
    blamed: dict[str, int] = {}
    for origins in one.rules.values():
        for origin in origins:
            blamed[origin.rule] = blamed.get(origin.rule, 0) + 1
    worst = tuple(sorted(blamed, key=lambda rule: (-blamed[rule], rule))[:5])
    where = f"class {slot.group.labels.text()} ({slot.key.class_id}) in {slot.key.vpc}"
    limits = f"{RULES_CODE} allows {room.entries} per group, direction and family, {SLOTS_CODE} leaves {room.groups} groups per interface"
    if packed.over:
        message = f"{where} needs {total.text()} entries; {limits}; {_short(total, room)}"
    else:
        message = f"{where}: {len(packed.tight)} new entries fit only after old ones are gone ({total.text()} wanted); {limits}"
    internet = any(
        not isinstance(term.peer, ClassPeer) and term.peer.internet and Accept.INTERNET_AS_ANYWHERE not in term.accept
        for allowed in (slot.group.inbound, slot.group.outbound)
        for term in allowed.terms
    )
    hint = "accept it in the rule: internet-as-anywhere ok" if internet else "raise the quota, or say the rules in wider addresses"
    return Problem("G-QUOTA", message, hint, worst, slot.points)


def _short(total: Sums, room: Room) -> str:
    missing = max(1, total.most - room.entries * room.groups)
    return f"at least {missing} {'entry finds' if missing == 1 else 'entries find'} no room"


def _slots_problem(work: _Work, slot: Slot) -> Problem:
    limit = quotas(work.table, slot.key.scope).groups_per_eni
    full = [eni for eni in slot.enis if sum(1 for key in eni.groups if _foreign(work.table, key)) >= limit]
    message = (
        f"{len(full)} interfaces carry {limit} foreign groups already, {SLOTS_CODE} allows {limit}: ours finds no room on {full[0].id}"
    )
    return Problem("G-QUOTA", message, "raise the quota, or detach a group", (), tuple(eni.point for eni in full))


def _foreign(table: AwsTable, key: str) -> bool:
    group = table.groups.get(key)
    return group is None or group.mark is None


def _region_problems(table: AwsTable, desired: AwsTable) -> list[Problem]:
    found: list[Problem] = []
    for scope in sorted({group.scope for group in desired.groups.values()}):
        peak = sum(
            1 for key in table.groups.keys() | desired.groups.keys() if (desired.groups.get(key) or table.groups[key]).scope == scope
        )
        limit = quotas(table, scope).groups_per_region
        new = sum(1 for key, group in desired.groups.items() if group.scope == scope and key not in table.groups)
        if new and peak > limit:
            message = f"{scope}: {peak} security groups at the peak, {new} of them new; {GROUPS_CODE} allows {limit} per Region"
            found.append(Problem("G-QUOTA", message, "raise the quota, or let fewer label keys tell classes apart"))
    return found


def _owner_problems(work: _Work) -> list[Problem]:
    """Refuse to take an interface over from another deployment: two owners of one interface would fight for ever."""
    if work.intent.mode is not TargetMode.EXCLUSIVE:
        return []
    points: dict[str, list[PointId]] = {}
    for slot in work.placement.slots:
        for eni in slot.enis:
            for key in eni.groups:
                group = work.table.groups.get(key)
                owner = "" if group is None else dict(group.tags).get(TAG_OWNER, "")
                if owner and owner != work.table.owner:
                    points.setdefault(owner, []).append(eni.point)
    message = "{} interfaces carry groups of owner {}, and this target is exclusive: two deployments would fight over them"
    hint = "narrow one of the two targets, or make this one additive"
    return [Problem("OWNER", message.format(len(found), owner), hint, (), tuple(found)) for owner, found in sorted(points.items())]


# --- the whole table -----------------------------------------------------------------------------------------------------


def _desired(work: _Work, filled: Iterable[_Filled]) -> AwsTable:
    table = work.table
    carried = dict(work.placement.carried)
    for one in filled:
        for eni in one.slot.enis:
            carried[eni.id] = tuple(sorted({*carried[eni.id], *one.groups}))
    enis = {key: _with_groups(eni, carried.get(key)) for key, eni in table.enis.items()}
    frozen = frozen_scopes(work.intent, table)
    groups = {key: work.groups.get(key, group) for key, group in table.groups.items()}
    groups.update((key, group) for key, group in work.groups.items() if key not in groups)
    groups = _without_idle(groups, enis.values(), wanted=work.groups.keys(), frozen=frozen)
    used = {rule.peer for group in groups.values() for rule in group.rules}
    lists: dict[str, PrefixList] = {}
    for key, known in table.lists.items():
        stays = known.mark is None or known.scope in frozen or key in used
        if key in work.lists.wanted and key in used:
            lists[key] = work.lists.wanted[key]
        elif stays:
            lists[key] = known
    lists.update((key, new) for key, new in work.lists.wanted.items() if key not in table.lists and key in used)
    return replace(table, groups=groups, enis=enis, lists=lists)


def _with_groups(eni: Eni, groups: tuple[str, ...] | None) -> Eni:
    return eni if groups is None or groups == eni.groups else replace(eni, groups=groups)


def _without_idle(groups: dict[str, Group], enis: Iterable[Eni], *, wanted: Iterable[str], frozen: frozenset[str]) -> dict[str, Group]:
    """Drop our groups that are no longer wanted, once nothing carries them or refers to them."""
    kept = {key for key, group in groups.items() if group.mark is None or group.scope in frozen}
    kept |= {key for eni in enis for key in eni.groups} | set(wanted)
    todo = list(kept & groups.keys())
    while todo:
        for rule in groups[todo.pop()].rules:
            if rule.peer in groups and rule.peer not in kept:
                kept.add(rule.peer)
                todo.append(rule.peer)
    return {key: group for key, group in groups.items() if key in kept}


def _unmarked_notes(table: AwsTable) -> list[str]:
    """Name groups that look like ours but lost their mark: somebody took them out of our hands, so they are foreign and stay."""
    return [
        f"{group.name} ({key}) has a name of ours but not our tags: it counts as foreign and is left alone"
        for key, group in sorted(table.groups.items())
        if group.mark is None and group.name.startswith(f"cs-{table.owner}-") and not any(name == TAG_OWNER for name, _ in group.tags)
    ]


def _kept_notes(work: _Work, desired: AwsTable) -> list[str]:
    """Say which groups of ours are no longer wanted and yet stay, and for whom."""
    frozen = frozen_scopes(work.intent, work.table)
    carried = {key for eni in desired.enis.values() for key in eni.groups}
    found: list[str] = []
    for key, group in sorted(desired.groups.items()):
        if group.mark is None or key in work.groups or key in carried or group.scope in frozen:
            continue
        by = sorted(one.id for one in desired.groups.values() if one.id != key and any(rule.peer == key for rule in one.rules))
        found.append(f"{group.name} ({key}) is no longer wanted; it stays while {', '.join(by)} refers to it")
    return found


def _left_out(work: _Work, filled: Iterable[_Filled], desired: AwsTable) -> dict[PointId, Access]:
    """Return what could not be said for want of entries, unnamed protocols only, and state the rules that lose it as stricter."""
    found: dict[PointId, Access] = {}
    unnamed = PacketSet.of(ANYWHERE, UNNAMED)
    for one in filled:
        if not one.left:
            continue
        slot = one.slot
        got = decode(desired, Whose.OURS, slot.points[:1])[slot.points[0]]
        enforce = slot.group.egress is Egress.ENFORCE
        outbound = slot.group.outbound.exact | slot.key.kept_out if enforce else slot.key.kept_out
        inbound = slot.group.inbound.exact | slot.key.kept_in
        left = Access((inbound - got.inbound) & unnamed, (outbound - got.outbound) & unnamed)
        if not left.inbound and not left.outbound:
            continue
        found.update(dict.fromkeys(slot.points, left))
        for side, packets in zip(one.sides, (left.inbound, left.outbound), strict=True):
            reason = "protocols without a name in the policy language are left out: one entry each would fill the group"
            origins = set(content.stricter(side, packets, work.peers))
            work.findings.state(origins, Verdict.STRICTER, reason)
            if content.KEPT in origins:
                way = "outbound" if side.egress else "inbound"
                work.placement.notes.append(f"{slot.group.labels.text()} in {slot.key.vpc}: {way} packets kept of the past: {reason}")
    return found

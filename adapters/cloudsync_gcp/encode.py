"""Intent -> desired table: ours as wanted, foreign rules as they are (exclusive: or switched off), unchanged where nothing changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field, replace

from cloudsync.adapter import Access, Encoding, Intent, Problem
from cloudsync.model.mode import Mode, TargetMode
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ANY_SERVICE
from cloudsync.model.workload import PointId
from cloudsync_gcp.build import Builder, idle
from cloudsync_gcp.content import KEPT, Findings, Peers, Piece, Writer, one_account_each
from cloudsync_gcp.decode import Reader, beyond, decode
from cloudsync_gcp.place import Slot, frozen_scopes, misaimed, slots, switched, tagged
from cloudsync_gcp.spell import say
from cloudsync_gcp.table import GcpTable, Rule, mark_of, off_word, owner_in_names


@dataclass(slots=True)
class _Work:
    """One encoding under way. `base` is the table with foreign rules and tags as wanted, ours still as they are."""

    intent: Intent
    table: GcpTable
    base: GcpTable
    listed: list[Slot]
    builder: Builder
    findings: Findings
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def exclusive(self) -> bool:
        return self.intent.mode is TargetMode.EXCLUSIVE


def encode(intent: Intent, table: GcpTable) -> Encoding:
    """Return the desired table of a target. Networks that were not read whole are desired exactly as they are."""
    if intent.mode is TargetMode.OBSERVE:
        return Encoding(table)
    work = _started(intent, table)
    kept_foreign = replace(work.base, rules={name: rule for name, rule in work.base.rules.items() if rule.mark is None})
    classes = {(group.class_id, group.domain): group for group in intent.classes}
    peers = Peers(work.base, classes, one_account_each(work.base, work.listed))
    writer = Writer(work.base, intent.mode, peers, work.findings, Reader(kept_foreign))
    for slot in work.listed:
        for egress in (False, True):
            if slot.enforced(egress=egress):
                work.builder.add(slot, writer.pieces(slot, egress=egress))
        if not slot.inside:
            work.notes.append(f"{slot.title}: its interfaces have no internal address")
    if work.exclusive:
        _correct(work)
    desired = _assembled(work)
    if work.exclusive:
        # A rule that is refused is not written, so that the table is short of it: no fault of foreign rules.
        wrong = () if work.findings.problems else _still_wrong(work, desired)
        work.problems.extend((*wrong, *_other_owners(work)))
    work.problems.extend(_quota(table, desired))
    cut, forced = _beyond(work, desired)
    fidelity = tuple(sorted(work.findings.fidelity.values(), key=lambda one: one.rule))
    problems = (*work.findings.problems.values(), *work.problems)
    notes = (*work.notes, *writer.notes, *_rule_notes(table))
    return Encoding(desired, fidelity, problems, left_out=cut or None, forced=forced or None, notes=notes)


def _started(intent: Intent, table: GcpTable) -> _Work:
    listed, notes = slots(intent, table)
    base, problems = tagged(table, listed, intent)
    if intent.mode is TargetMode.EXCLUSIVE:
        changed, more = switched(intent, table)
    else:
        changed, more = _given_back(intent, table), []
    base = replace(base, rules={name: changed.get(name, rule) for name, rule in base.rules.items()})
    work = _Work(intent, table, base, listed, Builder(base, intent.quarantined), Findings(intent.target))
    work.problems.extend(problems)
    work.notes.extend((*notes, *more))
    for slot in listed:
        work.problems.extend(misaimed(base, slot))
    return work


def _given_back(intent: Intent, table: GcpTable) -> dict[str, Rule]:
    """A target that is no longer exclusive gives back what it had switched off."""
    frozen, word = frozen_scopes(intent, table), off_word(table.owner)
    return {
        name: replace(rule, disabled=False, description=rule.description.removesuffix(word))
        for name, rule in table.rules.items()
        if rule.off_by(table.owner) and table.networks[rule.network].scope not in frozen
    }


def _assembled(work: _Work) -> GcpTable:
    frozen = frozen_scopes(work.intent, work.table)
    rules = {name: rule for name, rule in work.base.rules.items() if rule.mark is None}
    rules.update(work.builder.made)
    rules.update((rule.name, rule) for rule in idle(work.table, work.builder.made, work.intent.quarantined, frozen))
    return replace(work.base, rules={name: rules[name] for name in sorted(rules)})


# --- exclusive targets: what foreign rules leave wrong --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Gap:
    """Where the table differs from what is wanted, for interfaces that differ alike."""

    slot: Slot
    egress: bool
    missing: PacketSet
    excess: PacketSet


def _gaps(work: _Work, table: GcpTable) -> Iterator[_Gap]:
    """Yield what differs at enforced interfaces, beside what policies decide and what waits in quarantine."""
    names = [point for slot in work.listed for point in slot.points]
    shown, around = decode(table, points=names), beyond(table, names)
    waiting = PacketSet.of(work.intent.quarantined, ANY_SERVICE)
    for slot in work.listed:
        for egress in (False, True):
            if not slot.enforced(egress=egress):
                continue
            allowed = slot.group.outbound if egress else slot.group.inbound
            alike: dict[tuple[PacketSet, PacketSet], list[int]] = {}
            memo: dict[tuple[int, int, int, int], tuple[PacketSet, PacketSet]] = {}
            for at, (nic, point) in enumerate(zip(slot.nics, slot.intents, strict=True)):
                kept = (point.kept_out if egress else point.kept_in) or NO_PACKETS
                access, (cut, forced) = shown[nic.point], around[nic.point]
                key = (id(access), id(cut), id(forced), id(kept))
                if key not in memo:
                    got, out, always = (one.outbound if egress else one.inbound for one in (access, cut, forced))
                    memo[key] = ((allowed.exact | kept) - out - got, got - (allowed.loosest | kept | always | waiting))
                alike.setdefault(memo[key], []).append(at)
            for (missing, excess), which in alike.items():
                if missing or excess:
                    part = replace(slot, nics=[slot.nics[at] for at in which], intents=[slot.intents[at] for at in which])
                    yield _Gap(part, egress, missing, excess)


def _correct(work: _Work) -> None:
    """Say what selective interfaces keep of the past where foreign rules no longer say it, in the lowest of our tiers."""
    number = work.base.layout.deny
    for gap in list(_gaps(work, _assembled(work))):
        if gap.slot.group.mode is not Mode.SELECTIVE:
            continue
        pieces: list[Piece] = []
        for deny, packets in ((True, gap.excess), (False, gap.missing)):
            for addresses, services in packets.products():
                if say(services).lost:
                    work.notes.append(f"{gap.slot.title}: single ICMP types of the past cannot be said")
                pieces.append(Piece(gap.egress, number, deny, services, addresses, origins=(KEPT,)))
        work.builder.add(gap.slot, pieces, corrections=True)


def _still_wrong(work: _Work, desired: GcpTable) -> Iterator[Problem]:
    """Refuse where foreign rules with smaller numbers than ours decide against the policy, and name them."""
    reader = Reader(desired)
    found: dict[tuple[str, str, str], list[_Gap]] = {}
    for gap in _gaps(work, desired):
        blamed: dict[str, Rule] = {}
        for nic in gap.slot.nics:
            left = gap.missing | gap.excess
            for rule in reader.rules(nic, egress=gap.egress):
                hit = reader.packets(rule) & left
                if hit and rule.mark is None:
                    blamed[rule.name] = rule
                left -= hit
        by = ", ".join(f"{rule.name} ({'deny' if rule.deny else 'allow'} at {rule.priority})" for rule in list(blamed.values())[:5])
        found.setdefault((gap.slot.scope, "outbound" if gap.egress else "inbound", by or "no rule we know"), []).append(gap)
    for (scope, way, by), gaps in sorted(found.items()):
        wrong = PacketSet.union_all(one for gap in gaps for one in (gap.missing, gap.excess))
        points = tuple(sorted(point for gap in gaps for point in gap.slot.points))
        message = f"{scope}: foreign rules decide {way} {wrong.text()} against the policy at {len(points)} interfaces: {by}"
        hint = (
            "they stand above our numbers, or also act on machines that are not enforced: move or delete them,"
            " or set `band` and `default_deny` to smaller numbers than theirs"
        )
        yield Problem("FOREIGN-ABOVE", message, hint, (), points)


def _other_owners(work: _Work) -> Iterator[Problem]:
    """Refuse to share interfaces with another deployment: two owners of one network would fight for ever."""
    reader = Reader(work.table)
    points: dict[str, list[PointId]] = {}
    owners = {name: mark_of(name, rule.description, None) for name, rule in work.table.rules.items() if rule.mark is None}
    if not any(owners.values()):
        return
    for slot in work.listed:
        for nic in slot.nics:
            for egress in (False, True):
                for rule in reader.rules(nic, egress=egress):
                    other = owners.get(rule.name)
                    if other is not None:
                        points.setdefault(other.owner, []).append(nic.point)
    for owner, found in sorted(points.items()):
        which = tuple(dict.fromkeys(found))
        message = f"rules of owner {owner} act on {len(which)} interfaces, and this target is exclusive: two deployments would fight"
        yield Problem("OWNER", message, "narrow one of the two targets, or make this one additive", (), which)


# --- what else there is to say --------------------------------------------------------------------------------------------


def _quota(table: GcpTable, desired: GcpTable) -> Iterator[Problem]:
    """Refuse before the first write what would not fit while old and new rules stand together."""
    new = [name for name in desired.rules if name not in table.rules]
    there = len(table.rules) + table.room.elsewhere
    limit = table.room.limit
    if new and limit is not None and there + len(new) > limit - table.room.reserve:
        gone = sum(1 for name in table.rules if name not in desired.rules)
        message = (
            f"project {table.project}: {there} firewall rules and {len(new)} new ones make {there + len(new)} at the peak"
            f" ({gone} old ones go afterwards); quota FIREWALLS allows {limit}"
            + (f", {table.room.reserve} of them kept free for others" if table.room.reserve else "")
        )
        hint = "raise the quota, say the policy in fewer rules, or raise addresses_per_rule"
        yield Problem("G-QUOTA", message, hint, _blamed(desired, new))


def _blamed(desired: GcpTable, names: Iterable[str]) -> tuple[str, ...]:
    counts: dict[str, int] = {}
    for name in names:
        for origin in desired.rules[name].origins:
            counts[origin.rule] = counts.get(origin.rule, 0) + 1
    return tuple(sorted(counts, key=lambda rule: (-counts[rule], rule))[:5])


def _beyond(work: _Work, desired: GcpTable) -> tuple[dict[PointId, Access], dict[PointId, Access]]:
    found = beyond(desired, [one.point for one in work.intent.points])
    cut = {point: pair[0] for point, pair in found.items() if pair[0].inbound or pair[0].outbound}
    forced = {point: pair[1] for point, pair in found.items() if pair[1].inbound or pair[1].outbound}
    return cut, forced


def _rule_notes(table: GcpTable) -> Iterator[str]:
    """Name rules that look like ours but lost their mark, and those that nobody can read."""
    prefix = f"cs-{owner_in_names(table.owner)}-"
    for name, rule in table.rules.items():
        if rule.mark is None and name.startswith(prefix) and mark_of(name, rule.description, None) is None:
            yield f"firewall rule {name} has a name of ours but not our description: it counts as foreign and is left alone"
        if rule.unreadable:
            yield f"firewall rule {name} at {rule.priority} cannot be read ({rule.unreadable}): what it does is not known"

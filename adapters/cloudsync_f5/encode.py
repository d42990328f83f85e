"""Intent -> desired table: foreign objects as they are, ours as wanted, and nothing new where nothing changed.

One policy per class, attached to its virtual servers; or one per route domain, where the settings say so (`domains.py`). Its name ends in a
hash of its rules: what changes in structure is a new policy, and the old one stands until the new one is in force. Members of address lists
change in place, under the list's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from cloudsync.adapter import Encoding, Intent, PointIntent
from cloudsync.model.address import AddressSet
from cloudsync.model.mode import Mode, TargetMode
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync_f5 import content, domains, words
from cloudsync_f5.beyond import beyond, notes
from cloudsync_f5.content import Draft, Findings, Peers, Slot, Tiers, digest, readable
from cloudsync_f5.decode import at, limit
from cloudsync_f5.former import of_virtual
from cloudsync_f5.judge import NOT_UNDER_ATTACH, Judge
from cloudsync_f5.lists import Lists, choose
from cloudsync_f5.payload import content_of_rules
from cloudsync_f5.problems import early, quotas, unreadable
from cloudsync_f5.table import F5Table, Mark, Policy, RouteDomain, Rule, Virtual
from cloudsync_f5.work import Work, over


def encode(intent: Intent, table: F5Table, *, default_deny: bool = False) -> Encoding:
    """Return the desired table of a target. A device group that was not read whole is desired exactly as it is."""
    if intent.mode is TargetMode.OBSERVE or table.incomplete or table.scope in intent.incomplete:
        outside = beyond(table, intent, None)
        return Encoding(table, left_out=outside.left_out, forced=outside.forced)
    left = domains.remaining(table)
    outside = beyond(table, intent, left)
    found = early(table)
    if found:
        return Encoding(table, problems=found, left_out=outside.left_out, forced=outside.forced)
    classes = {(group.class_id, group.domain): group for group in intent.classes}
    work = Work(intent, table, default_deny, Findings(intent.target), Judge(table, additive=False), classes)
    for point in intent.points:
        _place(work, point)
    chosen = _written(work)
    work.problems.extend((*chosen.problems, *quotas(table, work.policies.values(), chosen.wanted.values())))
    desired = _desired(work, chosen)
    return Encoding(
        table=desired,
        fidelity=tuple(sorted(work.findings.fidelity.values(), key=lambda one: one.rule)),
        problems=(*work.findings.problems.values(), *work.problems),
        left_out=outside.left_out,
        forced=outside.forced,
        notes=(*work.notes, *notes(table, desired, left)),
    )


# --- points ----------------------------------------------------------------------------------------------------------------


def _place(work: Work, point: PointIntent) -> None:
    """Give an enforced virtual server its slot or seat, and one that is not enforced (any more) what it had before us."""
    virtual = at(work.table, point.point)
    if virtual is None or virtual.skipped:
        if point.mode.enforced:
            work.notes.append(f"{point.point}: nothing is enforced here: {virtual.skipped if virtual else 'it is not in this read'}")
        if virtual is not None and (virtual.skipped == NOT_UNDER_ATTACH or not point.mode.enforced):
            _release(work, virtual, point)  # ours of the time when it was not skipped
        return
    domain = work.judge.held.get(virtual.domain)
    if not point.mode.enforced:
        _release(work, virtual, point)
        if domain is not None:
            domains.leave(work, point, virtual, domain)
        return
    work.refuse_egress(point)
    if domain is not None:
        domains.seat(work, point, virtual, domain)
        return
    exclusive = work.intent.mode is TargetMode.EXCLUSIVE
    if exclusive and point.mode is Mode.SELECTIVE:
        odd = next(work.judge.odd(virtual.enforced, virtual), None)
        if odd is not None and not work.table.ours(virtual.enforced):
            work.problems.append(unreadable(virtual, virtual.enforced, odd))
    kept = _kept(work, point, virtual) if exclusive and point.mode is Mode.SELECTIVE else NO_PACKETS
    slot = Slot(point.class_id, point.domain, virtual.domain, kept, exclusive or work.default_deny)
    work.slots.setdefault(slot, []).append(virtual)


def _kept(work: Work, point: PointIntent, virtual: Virtual) -> PacketSet | None:
    """Return what stays open of the past; None where that is everything that the tiers above do not decide."""
    packets = limit(virtual.listener.peers, virtual.listener.services)
    kept = (point.kept_in or NO_PACKETS) & packets
    return None if kept and packets - work.decides(point.class_id, point.domain) <= kept else kept


def _release(work: Work, virtual: Virtual, point: PointIntent) -> None:
    """Take our policy off a virtual server; what was there before us comes back."""
    if not work.table.ours(virtual.enforced):
        return
    former = of_virtual(point.original)
    if work.intent.mode is not TargetMode.EXCLUSIVE or not former:
        work.attached[virtual.path] = ""
    elif former in work.table.policies and not work.table.ours(former):
        work.attached[virtual.path] = former
    else:
        work.notes.append(f"{point.point}: no longer enforced, but it keeps our policy: {former}, which was there before us, is gone")


# --- rules -----------------------------------------------------------------------------------------------------------------


def _peers(work: Work, every: Iterable[Tiers]) -> Peers:
    """Return what resolves peers: present entries of quarantined addresses stay in their lists one more run."""
    table, waiting = work.table, work.intent.quarantined
    held: dict[str, AddressSet] = {}
    if waiting:
        for one in table.lists.values():
            if one.mark is not None and one.spans:
                domain = min(one.spans).domain
                held[one.mark.id] = words.addresses(one.spans, domain) & waiting
    peers = Peers(work.classes, held)
    for found in every:
        peers.meet((*found.never, *found.allow, *found.deny))
    return peers


def _written(work: Work) -> Lists:
    """Write the policies of all slots and route domains, choose the lists they need, and attach."""
    slots = {slot: work.tiers(slot.class_id, slot.domain) for slot, _ in sorted(work.slots.items(), key=lambda one: one[1][0].path)}
    seated = [work.tiers(place.class_id, place.domain) for _, seats in sorted(work.seats.items()) for place in seats]
    peers = _peers(work, (*slots.values(), *seated))
    plain: dict[Slot, tuple[Rule, ...]] = {}
    for slot, found in slots.items():
        content.state_terms(found, tuple(sorted(one.point for one in work.slots[slot])), work.findings)
        draft = Draft()
        content.write(draft, found, (slot.domain, slot.route_domain), peers)
        content.keep(draft, slot.kept, slot.route_domain)
        plain[slot] = content.finished(draft, default=slot.default)
    drafted = domains.draft(work, peers)
    chosen = choose(work.table, peers.wanted)
    names = {selector.id: path for selector, path in chosen.paths.items()}
    for slot, rules in plain.items():
        if not rules:  # additive, and no rule is about these: a policy that says nothing helps nobody
            work.attached.update((one.path, "") for one in work.slots[slot] if work.table.ours(one.enforced))
            continue
        policy = _policy(work, slot, over(rules, names))
        for virtual in work.slots[slot]:
            work.attached[virtual.path] = policy.path
    domains.settle(work, drafted, names)
    return chosen


def _policy(work: Work, slot: Slot, rules: tuple[Rule, ...]) -> Policy:
    """Return the policy of a slot."""
    words_for = readable(work.words_for(slot.class_id, slot.domain))
    mark = Mark(work.intent.owner, slot.id, digest([slot.id, content_of_rules(rules)], 16))
    return work.policy(mark, (words_for, slot.id[-6:]), [virtual.enforced for virtual in work.slots[slot]], rules)


# --- the whole table ---------------------------------------------------------------------------------------------------------


def _desired(work: Work, chosen: Lists) -> F5Table:
    table = work.table
    virtuals = {path: _moved(table, one, work.attached.get(path, one.enforced)) for path, one in table.virtuals.items()}
    outer = {path: _moved(table, one, work.domains.get(path, one.enforced)) for path, one in table.route_domains.items()}
    places: list[Virtual | RouteDomain] = [*virtuals.values(), *outer.values()]
    carried = {table.enforced, table.staged}.union(*({one.enforced, one.staged} for one in places))
    policies = {path: work.policies.get(path, one) for path, one in table.policies.items() if one.mark is None or path in carried}
    policies.update((path, one) for path, one in work.policies.items() if path not in policies)
    policies = {path: policies[path] for path in sorted(policies)}
    used = _used(table, policies)
    lists = {path: one for path, one in table.lists.items() if one.mark is None or path in used}
    lists.update((path, one) for path, one in chosen.wanted.items() if path in used)
    lists.pop(table.pending, None)
    lists = {path: lists[path] for path in sorted(lists)}
    return replace(table, virtuals=virtuals, route_domains=outer, policies=policies, lists=lists)


Place = TypeVar("Place", Virtual, RouteDomain)


def _moved(table: F5Table, one: Place, enforced: str) -> Place:
    staged = "" if table.ours(one.staged) else one.staged  # of a run that was cut between staging and swapping
    return one if (enforced, staged) == (one.enforced, one.staged) else replace(one, enforced=enforced, staged=staged)


def _used(table: F5Table, policies: Mapping[str, Policy]) -> frozenset[str]:
    """Return every list that some rule or list refers to."""
    rules = [rule for one in policies.values() for rule in one.rules]
    rules += [rule for one in table.rule_lists.values() for rule in one.rules]
    found = {path for rule in rules for path in (*rule.source.lists, *rule.destination.lists)}
    found.update(path for one in table.lists.values() if one.mark is None for path in one.lists)
    return frozenset(found)

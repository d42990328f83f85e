"""Intent -> desired table: foreign objects as they are, ours as wanted, and nothing new where nothing changed.

One policy per class, attached to its virtual servers. Its name ends in a hash of its rules: what changes in structure is a new policy, and
the old one stands until the new one is in force. Members of address lists change in place, under the list's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from cloudsync.adapter import ClassIntent, Encoding, Intent, PointIntent, Problem
from cloudsync.model.address import AddressSet
from cloudsync.model.mode import Egress, Mode, TargetMode
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.workload import Domain, PointId
from cloudsync_f5 import content, words
from cloudsync_f5.beyond import beyond, notes
from cloudsync_f5.content import Findings, Peers, Slot, Tiers, digest, readable
from cloudsync_f5.decode import at, limit
from cloudsync_f5.lists import Lists, choose
from cloudsync_f5.payload import content_of_rules
from cloudsync_f5.points import Judge
from cloudsync_f5.problems import early, quotas, unreadable
from cloudsync_f5.table import F5Table, Mark, Policy, Rule, Virtual


@dataclass(slots=True)
class _Work:
    """One encoding under way."""

    intent: Intent
    table: F5Table
    default_deny: bool
    findings: Findings
    judge: Judge
    classes: Mapping[tuple[str, Domain], ClassIntent]
    slots: dict[Slot, list[Virtual]] = field(default_factory=dict)
    decided: dict[tuple[str, Domain], PacketSet] = field(default_factory=dict)
    attached: dict[str, str] = field(default_factory=dict)
    """Virtual server -> policy, where that is ours to say."""
    policies: dict[str, Policy] = field(default_factory=dict)
    """Policies of ours that are wanted."""
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def encode(intent: Intent, table: F5Table, *, default_deny: bool = False) -> Encoding:
    """Return the desired table of a target. A device group that was not read whole is desired exactly as it is."""
    outside = beyond(table, intent)
    observed = intent.mode is TargetMode.OBSERVE
    if observed or table.incomplete or table.scope in intent.incomplete:
        return Encoding(table, left_out=outside.left_out, forced=outside.forced)
    found = early(table)
    if found:
        return Encoding(table, problems=found, left_out=outside.left_out, forced=outside.forced)
    classes = {(group.class_id, group.domain): group for group in intent.classes}
    work = _Work(intent, table, default_deny, Findings(intent.target), Judge(table, additive=False), classes)
    for point in intent.points:
        _place(work, point)
    drafts = {slot: _rules(work, slot, virtuals) for slot, virtuals in sorted(work.slots.items(), key=lambda one: one[1][0].path)}
    peers = _peers(work, drafts.values())
    chosen = _written(work, drafts, peers)
    work.problems.extend((*chosen.problems, *quotas(table, work.policies.values(), chosen.wanted.values())))
    desired = _desired(work, chosen)
    return Encoding(
        table=desired,
        fidelity=tuple(sorted(work.findings.fidelity.values(), key=lambda one: one.rule)),
        problems=(*work.findings.problems.values(), *work.problems),
        left_out=outside.left_out,
        forced=outside.forced,
        notes=(*work.notes, *notes(table, desired)),
    )


# --- points ----------------------------------------------------------------------------------------------------------------


def _place(work: _Work, point: PointIntent) -> None:
    """Give an enforced virtual server its slot, and one that is not enforced (any more) what it had before us."""
    virtual = at(work.table, point.point)
    if virtual is None or virtual.skipped:
        if point.mode.enforced:
            work.notes.append(f"{point.point}: nothing is enforced here: {virtual.skipped if virtual else 'it is not in this read'}")
        return
    if not point.mode.enforced:
        _release(work, virtual, point)
        return
    group = work.classes[point.class_id, point.domain]
    if point.egress is Egress.ENFORCE:
        _refuse_egress(work, group, point.point)
    exclusive = work.intent.mode is TargetMode.EXCLUSIVE
    if exclusive and point.mode is Mode.SELECTIVE:
        odd = next(work.judge.odd(virtual.enforced, virtual), None)
        if odd is not None and not _ours(work.table, virtual.enforced):
            work.problems.append(unreadable(virtual, odd))
    kept = _kept(work, group, point, virtual) if exclusive and point.mode is Mode.SELECTIVE else NO_PACKETS
    slot = Slot(point.class_id, point.domain, virtual.domain, kept, exclusive or work.default_deny)
    work.slots.setdefault(slot, []).append(virtual)


def _kept(work: _Work, group: ClassIntent, point: PointIntent, virtual: Virtual) -> PacketSet | None:
    """Return what stays open of the past; None where that is everything that the tiers above do not decide."""
    packets = limit(virtual.listener.peers, virtual.listener.services)
    kept = (point.kept_in or NO_PACKETS) & packets
    return None if kept and packets - _decided(work, group) <= kept else kept


def _decided(work: _Work, group: ClassIntent) -> PacketSet:
    """Return the packets that the rules of a class's tiers speak of, as they will be written."""
    key = (group.class_id, group.domain)
    if key not in work.decided:
        found = content.tiers(group.inbound, selective=group.mode is Mode.SELECTIVE)
        peers = Peers(work.classes, {})
        terms = (*found.never, *found.allow, *found.deny)
        work.decided[key] = PacketSet.union_all(PacketSet.of(peers.addresses(one.peer, group.domain), one.services) for one in terms)
    return work.decided[key]


def _refuse_egress(work: _Work, group: ClassIntent, point: PointId) -> None:
    origins = tuple(origin for term in (*group.outbound.terms, *group.outbound.never_terms) for origin in term.origins)
    reason = "a virtual server filters nothing that it sends, so egress: enforce cannot be held there"
    hint = "write egress: leave for these workloads"
    if origins:
        work.findings.refuse((point,), origins, reason, hint)
    else:
        work.problems.append(Problem("FIDELITY", f"{group.labels.text()}: {reason}", hint, (), (point,)))


def _release(work: _Work, virtual: Virtual, point: PointIntent) -> None:
    """Take our policy off a virtual server; what was there before us comes back."""
    if not _ours(work.table, virtual.enforced):
        return
    former = next(iter(point.original), "")
    if work.intent.mode is not TargetMode.EXCLUSIVE or not former:
        work.attached[virtual.path] = ""
    elif former in work.table.policies and not _ours(work.table, former):
        work.attached[virtual.path] = former
    else:
        work.notes.append(f"{point.point}: no longer enforced, but it keeps our policy: {former}, which was there before us, is gone")


def _ours(table: F5Table, policy: str) -> bool:
    held = table.policies.get(policy)
    return held is not None and held.mark is not None


# --- rules -----------------------------------------------------------------------------------------------------------------


def _rules(work: _Work, slot: Slot, virtuals: list[Virtual]) -> Tiers:
    group = work.classes[slot.class_id, slot.domain]
    found = content.tiers(group.inbound, selective=group.mode is Mode.SELECTIVE)
    content.state_terms(found, tuple(sorted(one.point for one in virtuals)), work.findings)
    return found


def _peers(work: _Work, every: Iterable[Tiers]) -> Peers:
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


def _written(work: _Work, drafts: Mapping[Slot, Tiers], peers: Peers) -> Lists:
    """Write the policies of all slots, choose the lists they need, and attach."""
    plain: dict[Slot, tuple[Rule, ...]] = {}
    for slot, found in drafts.items():
        draft = content.write(found, slot, peers)
        content.keep(draft, slot.kept, slot.route_domain)
        plain[slot] = content.finished(draft, default=slot.default)
    chosen = choose(work.table, peers.wanted)
    names = {selector.id: path for selector, path in chosen.paths.items()}
    for slot, rules in plain.items():
        if not rules:  # additive, and no rule is about these: a policy that says nothing helps nobody
            work.attached.update((one.path, "") for one in work.slots[slot] if _ours(work.table, one.enforced))
            continue
        policy = _policy(work, slot, tuple(_over(rule, names) for rule in rules))
        work.policies[policy.path] = policy
        for virtual in work.slots[slot]:
            work.attached[virtual.path] = policy.path
    return chosen


def _over(rule: Rule, names: Mapping[str, str]) -> Rule:
    """Return a rule whose lists go by their paths."""
    if not rule.source.lists:
        return rule
    return replace(rule, source=replace(rule.source, lists=frozenset(names[one] for one in rule.source.lists)))


def _policy(work: _Work, slot: Slot, rules: tuple[Rule, ...]) -> Policy:
    """Return the policy of a slot: the one of ours that says the same already, else one under a new name."""
    table = work.table
    known = [one for one in table.policies.values() if one.mark is not None and one.mark.id == slot.id and one.rules == rules]
    if known:
        here = [virtual.enforced for virtual in work.slots[slot]]
        best = max(known, key=lambda one: (here.count(one.path), one.path))
        return replace(best, rules=rules)
    labels = work.classes[slot.class_id, slot.domain].labels
    words_for = readable("-".join(value for _, value in labels.pairs) or "unlabeled")
    sha = digest([slot.id, content_of_rules(rules)], 16)
    turn = 1
    while True:
        generation = sha[:8] if turn == 1 else f"{sha[:8]}-{turn}"
        path = f"/{table.partition}/{content.name(work.intent.owner, words_for, slot.id[-6:], generation)}"
        if path not in table.policies and path not in work.policies:
            break
        turn += 1
    mark = Mark(work.intent.owner, slot.id, sha)
    return Policy(path, rules, mark.text, mark)


# --- the whole table ---------------------------------------------------------------------------------------------------------


def _desired(work: _Work, chosen: Lists) -> F5Table:
    table = work.table
    virtuals: dict[str, Virtual] = {}
    for path, one in table.virtuals.items():
        enforced = work.attached.get(path, one.enforced)
        staged = "" if _ours(table, one.staged) else one.staged  # of a run that was cut between staging and swapping
        virtuals[path] = one if (enforced, staged) == (one.enforced, one.staged) else replace(one, enforced=enforced, staged=staged)
    carried = {one.enforced for one in virtuals.values()} | {one.staged for one in virtuals.values()} | {table.enforced, table.staged}
    for route_domain in table.route_domains.values():
        carried |= {route_domain.enforced, route_domain.staged}
    policies = {path: work.policies.get(path, one) for path, one in table.policies.items() if one.mark is None or path in carried}
    policies.update((path, one) for path, one in work.policies.items() if path not in policies)
    policies = {path: policies[path] for path in sorted(policies)}
    used = _used(table, policies)
    lists = {path: one for path, one in table.lists.items() if one.mark is None or path in used}
    lists.update((path, one) for path, one in chosen.wanted.items() if path in used)
    lists.pop(table.pending, None)
    return replace(table, virtuals=virtuals, policies=policies, lists={path: lists[path] for path in sorted(lists)})


def _used(table: F5Table, policies: Mapping[str, Policy]) -> frozenset[str]:
    """Return every list that some rule or list refers to."""
    rules = [rule for one in policies.values() for rule in one.rules]
    rules += [rule for one in table.rule_lists.values() for rule in one.rules]
    found = {path for rule in rules for path in (*rule.source.lists, *rule.destination.lists)}
    found.update(path for one in table.lists.values() if one.mark is None for path in one.lists)
    return frozenset(found)

"""From actual to desired in Azure's writes, in phases whose every order is safe.

SWAP: one PUT per changed NSG. MERGE: one rule at a time; what is new comes from the top, then what is old goes from the bottom, in batches
of one action. TWO_BAND: the same where the encoder found no free number in some gap, so that a direction's rules stand anew beside the
old ones, all of them. MEET: see `meet`. Shields are temporary rules on the way of any of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import assert_never

from cloudsync.adapter import Access, Effect, Method, Origin, Phase, Step, Whose
from cloudsync.model.address import AddressSet
from cloudsync.model.workload import PointId
from cloudsync_azure import payload as wire
from cloudsync_azure.chain import overlap
from cloudsync_azure.decode import decode
from cloudsync_azure.joins import Moves
from cloudsync_azure.payload import Request
from cloudsync_azure.quota import fits
from cloudsync_azure.settings import AzureSettings
from cloudsync_azure.table import AzureTable, Nsg, Rule, Tier


def steps(actual: AzureTable, desired: AzureTable, method: Method, settings: AzureSettings) -> tuple[Phase, ...]:
    """Return the smallest safe writes from actual to desired; empty when equal, or where the method is impossible."""
    changed, moves = changes(actual, desired), Moves.of(actual, desired)
    if not changed and moves == Moves():
        return ()
    match method:
        case Method.SWAP:
            return swap(actual, desired, changed)
        case Method.MERGE | Method.TWO_BAND:
            anew = any(renumbered(old, new) for old, new in changed)
            return merge(actual, changed, settings) if moves == Moves() and anew is (method is Method.TWO_BAND) else ()
        case Method.MEET:
            from cloudsync_azure.meet import meet, meet_by_rule

            return (meet_by_rule if settings.child else meet)(actual, desired, settings)
        case Method.JOIN | Method.SHIELD:
            return ()  # rules have an order; a shield is no way of its own
        case _:
            assert_never(method)


Change = tuple[Nsg, Nsg]


def changes(actual: AzureTable, desired: AzureTable) -> list[Change]:
    """Return the NSGs that differ, before and after. Raises ValueError if anything differs that is not ours to write."""
    if actual.nsgs.keys() != desired.nsgs.keys() or actual.nics.keys() != desired.nics.keys() or actual.subnets != desired.subnets:
        raise ValueError("groups, subnets and interfaces come and go by other hands")
    found = [(actual.nsgs[key], nsg) for key, nsg in sorted(desired.nsgs.items()) if actual.nsgs[key] != nsg]
    for old, new in found:
        if not old.managed or replace(new, rules=old.rules, flush=old.flush) != old:
            raise ValueError(f"{old.name}: only rules and flushConnection of managed groups are ours to write")
    return found


def phases(*named: tuple[str, Sequence[Step]]) -> tuple[Phase, ...]:
    """Return the phases that have steps."""
    return tuple(Phase(name, tuple(found)) for name, found in named if found)


# --- whole groups ----------------------------------------------------------------------------------------------------


def swap(actual: AzureTable, desired: AzureTable, changed: list[Change]) -> tuple[Phase, ...]:
    """Return one PUT per changed NSG; where connections are to be flushed from now on, that comes first.

    Groups are made and joined before rules name them, left and removed after no rule does: in between interfaces are in the groups of
    before and of after. Where no rule changes, each interface goes from one to the other in one PUT.
    """
    flushed, ready = flush(actual, changed)
    moves = Moves.of(actual, desired)
    ready = [(old, new) for old, new in ready if old.rules != new.rules]
    middle = moves.wide(actual) if ready else desired
    word = _word(ready)
    return phases(
        ("flush", flushed),
        ("create-groups", moves.create(actual)),
        ("join" if ready else "move", moves.put(actual, middle, "join")),
        (word, [put(middle, old, new, name=word) for old, new in ready]),
        ("leave", moves.put(middle, desired, "leave")),
        ("remove-groups", moves.remove(actual)),
    )


def _word(ready: Iterable[Change]) -> str:
    """Return what replacements are called: those that put up or take down temporary rules alone have words of their own."""
    added = [one for old, new in ready for one in new.rules if one not in old.rules]
    removed = [one for old, new in ready for one in old.rules if one not in new.rules]
    if any(one.tier is not Tier.SHIELD for one in (*added, *removed)):
        return "replace"
    return "shield" if added else "unshield"


def flush(actual: AzureTable, changed: list[Change]) -> tuple[list[Step], list[Change]]:
    """Return the steps that switch flushConnection on, and the changes that are left after them."""
    found: list[Step] = []
    ready: list[Change] = []
    for old, new in changed:
        if old.flush is new.flush:
            ready.append((old, new))
            continue
        middle = replace(old, flush=new.flush)
        payload = wire.render(Request(wire.PUT_NSG, old.id, _raw(old.rules), expect=wire.digest(old), flush=new.flush))
        title = f"switch flushConnection on in {old.name}: rule changes reach established connections from now on"
        found.append(_step(f"flush/{old.id}", "NetworkSecurityGroups_CreateOrUpdate", actual, old, (title, payload, Effect.NONE)))
        ready.append((middle, new))
    return found, ready


def put(table: AzureTable, old: Nsg, new: Nsg, *, temporary: bool = False, name: str = "replace") -> Step:
    """Return the PUT of an NSG's rules. Temporary rules count as rules of ours only where a PUT is about nothing else.

    A rule that only gets another description neither comes nor goes.
    """
    added, removed, texts = difference(old, new)
    shields, foreign = ([sum(1 for one in some if one.tier is tier) for some in (added, removed)] for tier in (Tier.SHIELD, None))
    only = bool(added or removed) and sum(shields) == len(added) + len(removed)
    beside = [0, 0] if only or temporary else shields
    ours = [len(some) - others - brief for some, others, brief in zip((added, removed), foreign, beside, strict=True)]
    title = f"{_put_up(shields)} in {old.name}" if only else f"replace the rules of {old.name}: {_replaced(ours, foreign, beside)}"
    if texts and not added and not removed:
        title = f"describe {len(texts)} rule{'s' * (len(texts) > 1)} of {old.name} anew"
    payload = wire.render(Request(wire.PUT_NSG, old.id, _raw(new.rules), expect=wire.digest(old)))
    said = (title, payload, effect(table, old, new))
    step = _step(f"{name}/{old.id}", "NetworkSecurityGroups_CreateOrUpdate", table, old, said)
    met = _met(table, old, [*added, *removed])
    return replace(step, adds=ours[0], removes=ours[1], points=met, origins=_origins(added), temporary=temporary or only)


def _put_up(shields: list[int]) -> str:
    words = [
        f"{verb} {count} temporary rule{'s' * (count > 1)}" for verb, count in zip(("put up", "take down"), shields, strict=True) if count
    ]
    return " and ".join(words)


def _replaced(ours: list[int], foreign: list[int], beside: list[int]) -> str:
    parts = [f"{ours[0]} rules of ours come", f"{ours[1]} go"]
    parts += [f"{count} foreign {word}" for count, word in zip(foreign, ("are given back", "go"), strict=True) if count]
    words = ("come for a while", "that stood for a while go")
    return ", ".join([*parts, *(f"{count} {word}" for count, word in zip(beside, words, strict=True) if count)])


def _raw(rules: Iterable[Rule]) -> tuple[dict[str, object], ...]:
    return tuple(wire.rule_json(one) for one in rules)


def _step(key: str, action: str, table: AzureTable, nsg: Nsg, said: tuple[str, str, Effect]) -> Step:
    title, payload, does = said
    return Step(key, action, table.scope, nsg.id, title, does, payload, mark=table.owner)


def _origins(rules: Iterable[Rule]) -> tuple[Origin, ...]:
    return tuple(dict.fromkeys(origin for one in rules for origin in one.origins if origin.where is not None))


def _met(table: AzureTable, nsg: Nsg, rules: Iterable[Rule]) -> tuple[PointId, ...]:
    """Return the points behind an NSG that some of these rules are about: what is recorded of them is recorded before the write."""
    sides = [one.own for one in rules]
    everybody = any(side.everything or side.tag for side in sides)
    own, asgs = AddressSet.union_all(side.addresses for side in sides), {one for side in sides for one in side.asgs}
    behind = [nic for nic in table.nics.values() if nsg.id in table.series(nic)]
    return tuple(sorted(nic.point for nic in behind if everybody or asgs & set(nic.asgs) or overlap(nic.private, own)))


def effect(table: AzureTable, old: Nsg, new: Nsg) -> Effect:
    """Return what a replacement does to the packets of anybody behind it, whatever other NSGs in series do to them."""
    before, after = alone(table, old), alone(table, new)
    pairs = {(id(was), id(after[point])): (was, after[point]) for point, was in before.items()}
    grows = all(_within(was, now) for was, now in pairs.values())
    shrinks = all(_within(now, was) for was, now in pairs.values())
    if grows and shrinks:
        return Effect.NONE
    return Effect.GROWS if grows else Effect.SHRINKS if shrinks else Effect.SWAPS


def alone(table: AzureTable, nsg: Nsg) -> dict[PointId, Access]:
    """Return what one NSG lets through by itself at every point behind it."""
    behind = [nic.point for nic in table.nics.values() if nsg.id in table.series(nic)]
    return decode(replace(table, nsgs={nsg.id: nsg}), Whose.ALL, behind)


def _within(a: Access, b: Access) -> bool:
    return a.inbound <= b.inbound and a.outbound <= b.outbound


# --- rule by rule ----------------------------------------------------------------------------------------------------


def renumbered(old: Nsg, new: Nsg) -> bool:
    """Tell whether rules that stay in everything but their number have new ones, and no rule of ours in that direction kept its own."""
    for egress in (False, True):
        before, after = ([one for one in each.rules if one.egress is egress and _lasting(one)] for each in (old, new))
        moved = {replace(one, name="", priority=0, description="") for one in before} & {
            replace(one, name="", priority=0, description="") for one in after
        }
        if moved and not {one.name for one in before} & {one.name for one in after}:
            return True
    return False


def _lasting(one: Rule) -> bool:
    return one.ours and one.tier is not Tier.SHIELD


def merge(actual: AzureTable, changed: list[Change], settings: AzureSettings) -> tuple[Phase, ...]:
    """Return one write per rule: batches of inserts top-down, then batches of deletions bottom-up.

    Empty where numbers or names collide, or where temporary rules find no room beside all others at the peak.
    """
    inserts: list[list[Step]] = []
    deletes: list[list[Step]] = []
    described: list[Step] = []
    flushed, ready = flush(actual, changed)
    for old, new in ready:
        added, removed, texts = difference(old, new)
        if _collide(old, added) or (_shielded(old, new) and added and not fits((*old.rules, *added), settings)):
            return ()
        described.extend(put_rule(actual, new, one, was) for was, one in texts)
        for egress in (False, True):
            _batches(inserts, new.rules, [one for one in added if one.egress is egress], _inserter(actual, new))
            old_list = tuple(reversed(old.rules))
            _batches(deletes, old_list, [one for one in reversed(removed) if one.egress is egress], _deleter(actual, old))
    return phases(
        ("flush", flushed),
        *_numbered("insert", "shield", inserts),
        *_numbered("delete", "unshield", deletes),
        ("describe", described),
    )


def _numbered(word: str, shielding: str, batches: list[list[Step]]) -> Iterator[tuple[str, list[Step]]]:
    """Yield batches with names; those of temporary rules alone have a word of their own."""
    for number, batch in enumerate(batches, 1):
        yield f"{shielding if all(step.temporary for step in batch) else word}-{number}", batch


def _shielded(old: Nsg, new: Nsg) -> bool:
    return any(one.tier is Tier.SHIELD for one in (*old.rules, *new.rules))


def difference(old: Nsg, new: Nsg) -> tuple[list[Rule], list[Rule], list[tuple[Rule, Rule]]]:
    """Return the rules that come, those that go, and pairs that differ in their description alone."""
    before, after = {one.name: one for one in old.rules}, {one.name: one for one in new.rules}
    texts = [
        (before[key], one)
        for key, one in after.items()
        if key in before and one != before[key] and replace(before[key], description=one.description) == one
    ]
    same = {one.name for _, one in texts}
    added = [one for one in new.rules if one.name not in same and before.get(one.name) != one]
    removed = [one for one in old.rules if one.name not in same and after.get(one.name) != one]
    return added, removed, texts


def _collide(old: Nsg, added: Iterable[Rule]) -> bool:
    names, places = {one.name.lower() for one in old.rules}, {(one.egress, one.priority) for one in old.rules}
    return any(one.name.lower() in names or (one.egress, one.priority) in places for one in added)


def _batches(found: list[list[Step]], everything: Sequence[Rule], some: list[Rule], make: Callable[[Rule], Step]) -> None:
    """Part rules into batches in which no rule of the other action lies between two of them, in the order given."""
    wanted = {one.name for one in some}
    number, deny, open_ = -1, False, False
    for one in everything:
        if not some or one.egress is not some[0].egress:
            continue
        if one.name not in wanted:
            open_ = open_ and one.deny is deny
            continue
        if not open_ or one.deny is not deny:
            number, deny, open_ = number + 1, one.deny, True
            if number == len(found):
                found.append([])
        found[number].append(make(one))


def _inserter(table: AzureTable, nsg: Nsg) -> Callable[[Rule], Step]:
    return lambda one: put_rule(table, nsg, one)


def _deleter(table: AzureTable, nsg: Nsg) -> Callable[[Rule], Step]:
    return lambda one: delete_rule(table, nsg, one)


def put_rule(table: AzureTable, nsg: Nsg, one: Rule, was: Rule | None = None) -> Step:
    """Return the PUT of one rule: a new one, or a new description for one that stands there."""
    payload = wire.render(Request(wire.PUT_RULE, nsg.id, _raw([one]), expect="" if was is None else wire.rule_digest(was)))
    does = Effect.NONE if was is not None else Effect.SHRINKS if one.deny else Effect.GROWS
    verb = "describe" if was is not None else "add" if one.ours else "give back"
    said = (f"{verb} {_kind(one)} {one.name} ({one.priority}) in {nsg.name}", payload, does)
    step = _step(f"{verb}/{nsg.id}/{one.name}", "SecurityRules_CreateOrUpdate", table, nsg, said)
    met = () if was is not None else _met(table, nsg, [one])
    return replace(step, adds=int(one.ours and was is None), points=met, origins=_origins([one]), temporary=one.tier is Tier.SHIELD)


def _kind(one: Rule) -> str:
    return "temporary rule" if one.tier is Tier.SHIELD else "rule"


def delete_rule(table: AzureTable, nsg: Nsg, one: Rule) -> Step:
    """Return the deletion of one rule."""
    payload = wire.render(Request(wire.DELETE_RULE, nsg.id, (), one.name, wire.rule_digest(one)))
    said = (f"remove {_kind(one)} {one.name} ({one.priority}) from {nsg.name}", payload, Effect.GROWS if one.deny else Effect.SHRINKS)
    step = _step(f"remove/{nsg.id}/{one.name}", "SecurityRules_Delete", table, nsg, said)
    return replace(step, removes=int(one.ours), points=_met(table, nsg, [one]), temporary=one.tier is Tier.SHIELD)

"""From actual to desired in a device's calls: one transaction for all that packets feel, then save, synchronise, clean up.

SWAP: lists, new policies and attachments in one transaction: each virtual server goes from old to new in one step. Where the settings say
so, a transaction before it stages the new policies, so that the swap finds them compiled.
Where rules move between a virtual server and its route domain, a further transaction leaves the old place when the new one is in force.
MEET: two transactions. The first takes every virtual server that is to let in more than today to what old and new share, and all others to
the end; the second takes the rest there. Between them stands the barrier.

A list of ours, `cs_<owner>_pending`, stands from the transaction until everything behind it is done, so that a run cut short is finished by
the next. Old policies stay until the new ones are saved and synchronised.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import assert_never

from cloudsync.adapter import Effect, Method, Phase, Step
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import PointId
from cloudsync_f5 import payload as wire
from cloudsync_f5.between import both, middle, restored, staged
from cloudsync_f5.decode import Reader
from cloudsync_f5.lists import pending
from cloudsync_f5.payload import Call, Request
from cloudsync_f5.shield import temporary
from cloudsync_f5.simulate import simulate
from cloudsync_f5.table import F5Table, RouteDomain, Virtual


def steps(actual: F5Table, desired: F5Table, method: Method) -> tuple[Phase, ...]:
    """Return the smallest safe writes from actual to desired; empty when equal. Raises ValueError for what is not ours to write."""
    match method:
        case Method.SWAP:
            return temporary(actual, desired, Change(actual, desired).phases(_walked(actual, _swap(actual, desired))))
        case Method.MEET:
            return _meet(actual, desired)
        case Method.JOIN | Method.MERGE | Method.TWO_BAND | Method.SHIELD:
            return ()  # a policy is replaced whole
        case _:
            assert_never(method)


Way = Iterable[tuple[str, F5Table]]
"""Tables to pass through, each with the name of the transaction that leads to it."""


def _swap(actual: F5Table, desired: F5Table) -> Way:
    before = restored(actual, desired)
    held = both(before, desired)
    yield "restore", before
    if actual.stages:
        yield "stage", staged(before, held)
    yield "swap", held
    yield "leave", desired


def _walked(actual: F5Table, way: Way) -> Iterator[Step]:
    now = actual
    for key, to in way:
        step = Change(now, to).transaction(key, to)
        if step is not None:
            now = simulate(now, step)
            yield step


def _meet(actual: F5Table, desired: F5Table) -> tuple[Phase, ...]:
    change = Change(actual, desired)
    before, held = restored(actual, desired), middle(actual, desired)
    if held == desired:
        return change.phases(_walked(actual, (("restore", before), ("swap", both(before, desired)), ("leave", desired))))
    between = held.policies.keys() - desired.policies.keys() - actual.policies.keys()
    way = (("restore", before), ("shrink", both(before, held)), ("leave", held), ("grow", desired))
    return change.phases(_walked(actual, way), more=tuple(sorted(between)))


@dataclass(frozen=True, slots=True)
class Change:
    """The difference of two tables of one target, as calls."""

    actual: F5Table
    desired: F5Table

    def __post_init__(self) -> None:
        actual, desired = self.actual, self.desired
        touched = [desired.policies[path].mark for path in desired.policies.keys() - actual.policies.keys()]
        touched += [actual.policies[path].mark for path in actual.policies.keys() - desired.policies.keys()]
        touched += [desired.lists[path].mark for path in desired.lists.keys() - actual.lists.keys()]
        touched += [one.mark for path, one in actual.lists.items() if desired.lists.get(path) != one]
        if None in touched:
            raise ValueError("a policy or list that is not ours would be written")
        changed = [path for path in actual.policies.keys() & desired.policies.keys() if actual.policies[path] != desired.policies[path]]
        if changed:
            raise ValueError(f"{', '.join(sorted(changed))}: policies do not change in place")
        if actual.virtuals.keys() != desired.virtuals.keys() or actual.route_domains.keys() != desired.route_domains.keys():
            raise ValueError("virtual servers and route domains come and go by other hands")

    def transaction(self, key: str, to: F5Table) -> Step | None:
        """Return the transaction that takes the device from actual to `to`, deletions apart; None when nothing changes."""
        actual = self.actual
        new_lists = [one for path, one in to.lists.items() if path not in actual.lists]
        changed = [one for path, one in to.lists.items() if path in actual.lists and actual.lists[path] != one]
        new_policies = [one for path, one in to.policies.items() if path not in actual.policies]
        moved = _moved(actual, to)
        if not (new_lists or changed or new_policies or moved):
            return None
        calls = [*self._begin(), *(wire.create_list(one) for one in new_lists), *(wire.change_list(one) for one in changed)]
        calls += [wire.create_policy(one) for one in new_policies]
        calls += [one.call for one in moved]
        felt = changed or any(one.felt for one in moved)
        adds, removes = _counts(actual, to)
        origins = {origin for one in new_policies for rule in one.rules for origin in rule.origins}
        words = [f"{len(moved)} attachments" if moved else "", f"{len(new_policies)} policies" if new_policies else ""]
        words.append(f"{len(new_lists) + len(changed)} address lists" if new_lists or changed else "")
        request = Request(actual.active, tuple(calls), transaction=True, expect={one.context: one.before for one in moved})
        return Step(
            key=f"{key}/{actual.scope}",
            action="Transaction",
            scope=actual.scope,
            object=actual.scope,
            title=f"change {', '.join(word for word in words if word)} on {actual.active} in one transaction",
            effect=Effect.SWAPS if felt else Effect.NONE,
            payload=wire.render(request),
            adds=adds,
            removes=removes,
            points=_attached(actual, to),
            origins=tuple(sorted(origins, key=lambda one: (one.rule, str(one.where)))),
            mark=actual.owner,
        )

    def _begin(self) -> list[Call]:
        """Return what opens a job: the list that stands until it is done."""
        if not self.jobs:
            return []
        return [] if self.actual.job else [wire.create_list(pending(self.actual))]

    @property
    def jobs(self) -> bool:
        """Whether there is anything to do behind a transaction: to save, or to synchronise."""
        return self.actual.saves or bool(self.actual.group)

    def phases(self, written: Iterable[Step | None], more: tuple[str, ...] = ()) -> tuple[Phase, ...]:
        """Return the transactions, each with its barrier, and what is to be done behind them. `more`: policies that stand in between."""
        found = [step for step in written if step is not None]
        phases = [Phase(step.key.partition("/")[0], (step,)) for step in found]
        gone = [path for path in self.actual.policies if path not in self.desired.policies] + list(more)
        lists = [path for path in self.actual.lists if path not in self.desired.lists and path != self.actual.pending]
        open_job = bool(found and self.jobs) or bool(self.actual.job)
        if open_job:
            phases += self._kept("")
        if not (gone or lists or open_job):
            return tuple(phases)
        if gone:
            phases.append(Phase("clean up", (self._delete("policies", sorted(gone), ()),)))
        if lists or open_job:
            orphans = (*sorted(lists), *((self.actual.pending,) if open_job else ()))
            phases.append(Phase("clean up lists", (self._delete("lists", (), orphans),)))
        return (*phases, *self._kept(" again"))

    def _kept(self, word: str) -> list[Phase]:
        """Return what makes a change last, and brings it to the other device. `word` tells the first time from the second.

        It is done twice, before and after the cleaning up: the old policies have to be there until the new ones are on disk and on the
        other device; and no read shows what is saved, so that a save whose answer was lost is made good by the second.
        """
        if not self.actual.saves:
            return self._synced(f"sync{word}")
        return [Phase(f"save{word}", (self._order(f"save{word}", "save the configuration", (wire.save(),)),)), *self._synced(f"sync{word}")]

    def _synced(self, key: str) -> list[Phase]:
        group = self.actual.group
        if not group:
            return []
        return [Phase(key, (self._order(key, f"synchronise to group {group}", (wire.sync(group),)),))]

    def _order(self, key: str, title: str, calls: tuple[Call, ...]) -> Step:
        actual = self.actual
        payload = wire.render(Request(actual.active, calls))
        action = "Save" if key.startswith("save") else "ConfigSync"
        return Step(f"{key.replace(' ', '-')}/{actual.scope}", action, actual.scope, key, title, Effect.NONE, payload, mark=actual.owner)

    def _delete(self, what: str, policies: Iterable[str], lists: Iterable[str]) -> Step:
        actual = self.actual
        calls = (*(wire.delete_policy(path) for path in policies), *(wire.delete_list(path) for path in lists))
        rules = sum(len(actual.policies[path].rules) for path in policies if path in actual.policies)
        title = f"delete {len(calls)} {what} of ours that nothing uses any more"
        payload = wire.render(Request(actual.active, calls, transaction=len(calls) > 1))
        return Step(
            f"delete-{what}/{actual.scope}",
            "Transaction",
            actual.scope,
            f"orphans/{what}",
            title,
            Effect.NONE,
            payload,
            removes=rules,
            mark=actual.owner,
        )


@dataclass(frozen=True, slots=True)
class _Move:
    """One context that is to carry other policies."""

    context: str
    before: str
    """What it enforces now, `none` for none."""
    felt: bool
    """Whether it will enforce another one."""
    call: Call


def _moved(actual: F5Table, to: F5Table) -> list[_Move]:
    """Return every context that changes: route domains, then virtual servers, by path."""
    found = [
        _move(wire.ROUTE_DOMAIN, one.context, actual.route_domains[path], one)
        for path, one in sorted(to.route_domains.items())
        if actual.route_domains[path] != one
    ]
    return found + [
        _move(wire.VIRTUAL, path, actual.virtuals[path], one) for path, one in sorted(to.virtuals.items()) if actual.virtuals[path] != one
    ]


def _move(place: str, context: str, now: Virtual | RouteDomain, to: Virtual | RouteDomain) -> _Move:
    felt = now.enforced != to.enforced
    call = wire.attach(place, to.path, to.enforced if felt else None, None if now.staged == to.staged else to.staged)
    return _Move(context, now.enforced or "none", felt, call)


def _attached(actual: F5Table, to: F5Table) -> tuple[PointId, ...]:
    """Return the points that change hands: attached or staged anew themselves, or in a policy of ours on their route domain."""
    old, new = Reader(actual), Reader(to)
    before = {one.id: one for one in actual.route_domains.values()}
    after = {one.id: one for one in to.route_domains.values()}
    found: list[PointId] = []
    for path, one in sorted(to.virtuals.items()):
        moved = actual.virtuals[path] != one
        if not moved and one.domain in after:
            now, then = before[one.domain], after[one.domain]
            was, will = old.covers(now.enforced, one), new.covers(then.enforced, one)
            moved = was != will or (will and now != then) or (new.covers(then.staged, one) and now.staged != then.staged)
        if moved:
            found.append(one.point)
    return tuple(found)


def _counts(actual: F5Table, to: F5Table) -> tuple[int, int]:
    """Return how many rules and entries of ours come and go for packets: what both policies of a context say counts as kept."""
    adds = removes = 0
    pairs = {(actual.virtuals[path].enforced, one.enforced) for path, one in to.virtuals.items()}
    pairs |= {(actual.route_domains[path].enforced, one.enforced) for path, one in to.route_domains.items()}
    for old, new in sorted(pair for pair in pairs if pair[0] != pair[1]):
        before = _ours(actual, old)
        after = _ours(to, new)
        adds += len(after - before)
        removes += len(before - after)
    for path, one in to.lists.items():
        entries = actual.lists[path].spans if path in actual.lists else frozenset()
        if one.mark is not None:
            adds += len(one.spans - entries)
            removes += len(entries - one.spans)
    return adds, removes


def _ours(table: F5Table, policy: str) -> frozenset[tuple[object, ...]]:
    held = table.policies.get(policy)
    if held is None or held.mark is None:
        return frozenset()
    rules = (rule for rule in held.rules if not rule.shields)
    return frozenset((rule.action, rule.source, rule.destination, rule.native, rule.enabled) for rule in rules)


def owned(table: F5Table) -> int:
    """Return how many rules and list entries of our own a table holds; a shielded policy stands beside its original, and counts nothing."""
    ours = (one for one in table.policies.values() if one.mark is not None)
    rules = sum(len(one.rules) for one in ours if not any(rule.shields for rule in one.rules))
    return rules + sum(len(one.spans) for path, one in table.lists.items() if one.mark is not None and path != table.pending)

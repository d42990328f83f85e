"""From actual to desired in Compute Engine's calls: one per rule, in batches whose every order is safe.

MERGE: insert what is new from the top, batch by batch; then delete what is old from the bottom. A batch is what stands in one run of
rules of one action (in the new table for inserts, in the old one for deletes; foreign and kept rules count), so that no rule of the other
action lies between any two of a batch. A foreign rule switched off or on counts as a delete or an insert. MEET: see `meet`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import zip_longest

from cloudsync.adapter import Effect, Method, Phase, Step
from cloudsync.model.quick import dataclass
from cloudsync_gcp import payload as wire
from cloudsync_gcp.match import by_network
from cloudsync_gcp.shield import crowded
from cloudsync_gcp.spell import words
from cloudsync_gcp.table import GcpTable, Nic, Rule


def steps(actual: GcpTable, desired: GcpTable, method: Method) -> tuple[Phase, ...]:
    """Return the smallest safe writes from actual to desired; empty when equal, or when this platform has no such method."""
    if method is Method.MERGE:
        return () if crowded(actual, desired) else merge(actual, desired)
    if method is Method.MEET:
        from cloudsync_gcp.meet import meet

        return meet(actual, desired)
    return ()


def merge(actual: GcpTable, desired: GcpTable) -> tuple[Phase, ...]:
    """Return the writes of MERGE."""
    change = Change.between(actual, desired)
    return phases(change.inserts(), change.tags(), change.deletes())


def phases(inserts: list[list[Step]], tags: list[Step], deletes: list[list[Step]]) -> tuple[Phase, ...]:
    """Return batches as named phases; a batch without steps is none."""
    named = [*(("insert", batch) for batch in inserts), ("tags", tags), *(("delete", batch) for batch in deletes)]
    counts: dict[str, int] = {}
    found: list[Phase] = []
    for word, batch in named:
        if batch:
            name = _SHIELDING.get(word, word) if all(step.temporary for step in batch) else word
            counts[name] = counts.get(name, 0) + 1
            found.append(Phase(name if counts[name] == 1 else f"{name}-{counts[name]}", tuple(batch)))
    return tuple(found)


_SHIELDING = {"insert": "shield", "delete": "unshield"}
"""What a batch of temporary rules alone is called."""


@dataclass(frozen=True, slots=True)
class Change:
    """The difference of two tables of one target. Raises ValueError when made if anything differs that is not ours to write."""

    actual: GcpTable
    desired: GcpTable
    on: tuple[Rule, ...]
    """Rules that come into force: new ones of ours, foreign ones switched back on (as they will be)."""
    off: tuple[Rule, ...]
    """Rules that go out of force: old ones of ours, foreign ones switched off (as they are)."""
    moved: tuple[tuple[Nic, Nic], ...] = ()
    """One interface of each VM whose tags change, before and after."""

    @classmethod
    def between(cls, actual: GcpTable, desired: GcpTable) -> Change:
        """Return the difference of two tables."""
        on: list[Rule] = []
        off: list[Rule] = []
        for name in sorted(actual.rules.keys() | desired.rules.keys()):
            old, new = actual.rules.get(name), desired.rules.get(name)
            if old == new:
                continue
            if old is None or new is None:
                rule = new or old
                assert rule is not None
                if rule.mark is None:
                    raise ValueError(f"firewall rule {name} is foreign: it neither comes nor goes by our hand")
                (on if old is None else off).append(rule)
                continue
            if old.mark is not None or replace(new, disabled=old.disabled, description=old.description) != old:
                raise ValueError(f"firewall rule {name} changes: rules are replaced, never edited")
            if old.disabled is new.disabled:
                raise ValueError(f"the description of foreign firewall rule {name} is not ours to change")
            (off if new.disabled else on).append(old if new.disabled else new)
        if actual.nics.keys() != desired.nics.keys():
            raise ValueError("machines come and go by other hands")
        pairs = {nic.vm: (nic, desired.nics[point]) for point, nic in actual.nics.items() if desired.nics[point] != nic}
        return cls(actual, desired, tuple(on), tuple(off), tuple(pairs[vm] for vm in sorted(pairs)))

    def inserts(self) -> list[list[Step]]:
        """Return what comes into force, top down in the new table; batches of all networks and directions side by side."""
        return _side_by_side(self.on, self.desired, self._insert, from_top=True)

    def deletes(self) -> list[list[Step]]:
        """Return what goes out of force, bottom up in the old table; what was not in force goes last."""
        found = _side_by_side([rule for rule in self.off if rule.active], self.actual, self._delete, from_top=False)
        idle = [self._delete(rule) for rule in self.off if not rule.active]
        return [*found, idle] if idle else found

    def tags(self) -> list[Step]:
        """Return the changes of VMs' tags."""
        return [self._set_tags(old, new) for old, new in self.moved]

    def _insert(self, rule: Rule) -> Step:
        return insert(self.desired, rule) if rule.mark is not None else switch(self.desired, rule)

    def _delete(self, rule: Rule) -> Step:
        return delete(self.actual, rule) if rule.mark is not None else switch(self.desired, self.desired.rules[rule.name])

    def _set_tags(self, old: Nic, new: Nic) -> Step:
        project = old.vm.split("/")[1]
        request = wire.Request(wire.SET_TAGS, project, old.vm, {}, new.tags, old.tags)
        gained, lost = sorted(set(new.tags) - set(old.tags)), sorted(set(old.tags) - set(new.tags))
        said = ", ".join([*(f"+{tag}" for tag in gained), *(f"-{tag}" for tag in lost)])
        return Step(
            key=f"tags/{old.vm}",
            action="compute.instances.setTags",
            scope=old.scope,
            object=old.vm,
            title=f"set the tags of {old.vm_name}: {said}",
            effect=Effect.SWAPS,
            payload=wire.render(request),
            points=tuple(sorted(nic.point for nic in self.actual.nics.values() if nic.vm == old.vm)),
            mark=f"{self.actual.owner}/tags",
        )


def _side_by_side(rules: Iterable[Rule], table: GcpTable, step: Callable[[Rule], Step], *, from_top: bool) -> list[list[Step]]:
    names = {rule.name: rule for rule in rules}
    lanes: list[list[list[Step]]] = []
    for _, listed in sorted(by_network(table).items()):
        batches: dict[int, list[Step]] = {}
        for run, rule in _runs(listed):
            if rule.name in names:
                batches.setdefault(run, []).append(step(names[rule.name]))
        lanes.append([batches[run] for run in sorted(batches, reverse=not from_top)])
    return [[one for batch in row for one in batch] for row in zip_longest(*lanes, fillvalue=[])]


def _runs(rules: Iterable[Rule]) -> list[tuple[int, Rule]]:
    """Number the runs of equal action in a list in the order of evaluation; what is off, or cannot be read, is not in it."""
    found: list[tuple[int, Rule]] = []
    number, last = 0, None
    for rule in rules:
        if rule.active:
            number += last is not None and rule.deny is not last
            last = rule.deny
            found.append((number, rule))
    return found


# --- single steps ---------------------------------------------------------------------------------------------------------


def insert(table: GcpTable, rule: Rule) -> Step:
    """Return the step that creates a rule of ours."""
    return Step(
        key=f"insert/{rule.name}",
        action="compute.firewalls.insert",
        scope=table.networks[rule.network].scope,
        object=rule.name,
        title=f"insert {_kind(rule)} {rule.name}: {native_text(rule)}",
        effect=Effect.SHRINKS if rule.deny else Effect.GROWS,
        payload=wire.render(wire.Request(wire.INSERT, table.project, rule.name, wire.body(rule))),
        adds=1,
        origins=rule.origins,
        temporary=rule.temporary,
    )


def _kind(rule: Rule) -> str:
    return "temporary firewall rule" if rule.temporary else "firewall rule"


def delete(table: GcpTable, rule: Rule) -> Step:
    """Return the step that deletes a rule of ours."""
    assert rule.mark is not None
    effect = Effect.NONE if rule.disabled else Effect.GROWS if rule.deny else Effect.SHRINKS
    return Step(
        key=f"delete/{rule.name}",
        action="compute.firewalls.delete",
        scope=table.networks[rule.network].scope,
        object=rule.name,
        title=f"delete {_kind(rule)} {rule.name}: {native_text(rule)}",
        effect=effect,
        payload=wire.render(wire.Request(wire.DELETE, table.project, rule.name)),
        removes=1,
        origins=rule.origins,
        temporary=rule.temporary,
        mark=rule.mark.text,
    )


def switch(table: GcpTable, rule: Rule) -> Step:
    """Return the step that makes a foreign rule what `rule` says: off with our word behind its description, or on without it."""
    grows = rule.deny is rule.disabled
    body = {"disabled": rule.disabled, "description": rule.description}
    return Step(
        key=f"{'disable' if rule.disabled else 'enable'}/{rule.name}",
        action="compute.firewalls.patch",
        scope=table.networks[rule.network].scope,
        object=rule.name,
        title=f"switch {'off' if rule.disabled else 'on'} foreign firewall rule {rule.name}: {native_text(rule)}",
        effect=Effect.GROWS if grows else Effect.SHRINKS,
        payload=wire.render(wire.Request(wire.PATCH, table.project, rule.name, body)),
        mark=f"{table.owner}/adopted",
    )


def native_text(rule: Rule) -> str:
    """Return a rule for people, e.g. `ingress 600 allow tcp/443 from 10.0.0.0/8 to 10.1.0.4/32`."""
    sources = [*rule.sources, *(f"tag {tag}" for tag in rule.source_tags), *rule.source_accounts]
    targets = [*(f"tag {tag}" for tag in rule.target_tags), *rule.target_accounts]
    text = f"{'egress' if rule.egress else 'ingress'} {rule.priority} {'deny' if rule.deny else 'allow'}"
    text += f" {words(rule.protocols) or 'unreadable'}"
    if sources:
        text += f" from {_some(sources)}"
    if rule.destinations:
        text += f" to {_some(rule.destinations)}"
    if targets:
        text += f" at {_some(targets)}"
    return text


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    shown = ", ".join(listed[:4])
    return shown if len(listed) <= 4 else f"{shown} and {len(listed) - 4} more"

"""What a plan would do to objects that Terraform owns: it would undo what stands there, or be undone by it, so it is refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from cloudsync.adapter import Adapter, Entry, Phase, Table
from cloudsync.inventory.terraform_kinds import Owned
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import PointId
from cloudsync.proof.drift import Drift


@dataclass(frozen=True, slots=True)
class Touch:
    """One object of Terraform's that a plan would touch: its address there, and what the plan would do, for people."""

    address: str
    what: str


@dataclass(frozen=True, slots=True)
class Way:
    """A table, the one that the steps lead to, and the steps."""

    before: Table
    after: Table
    phases: tuple[Phase, ...]


@dataclass(frozen=True, slots=True)
class Ownership:
    """What Terraform owns of one account, by the names that the platform's tables use."""

    whole: dict[str, tuple[Owned, ...]]
    parts: dict[str, tuple[Owned, ...]]
    """Rules and attachments, by the object that they are in."""

    @classmethod
    def of(cls, owned: Iterable[Owned], platform: str, account: str) -> Ownership:
        """Return the part of one account; where the state does not tell an account, the object's id decides alone."""
        whole: dict[str, tuple[Owned, ...]] = {}
        parts: dict[str, tuple[Owned, ...]] = {}
        for one in owned:
            if one.platform == platform and one.account.lower() in ("", account.lower()):
                table = whole if one.whole else parts
                for name in one.objects:
                    table[name] = (*table.get(name, ()), one)
        return cls(whole, parts)

    def __bool__(self) -> bool:
        return bool(self.whole or self.parts)

    def of_object(self, name: str) -> tuple[Owned, ...]:
        """Return the owners of a whole object."""
        return self.whole.get(name.lower(), ())

    def of_entry(self, entry: Entry) -> tuple[Owned, ...]:
        """Return who owns a native rule: it by itself where its id is known, else the whole object it stands in."""
        rules = [one for one in self.parts.get(entry.object.lower(), ()) if one.rule]
        names = (entry.id.rpartition("/")[2].lower(), name_in(entry.native))
        exact = tuple(one for one in rules if one.rule.lower() in names)
        return exact or self.of_object(entry.object)


NO_OWNER = Ownership({}, {})
"""Terraform owns nothing here."""


def ownership(owned: Iterable[Owned], adapter: Adapter) -> Ownership:
    """Return what Terraform owns of the account that an adapter stands for."""
    listed = tuple(owned)
    return Ownership.of(listed, adapter.capabilities.platform, adapter.expected_account()) if listed else NO_OWNER


def touches(adapter: Adapter, way: Way, owned: Ownership) -> tuple[Touch, ...]:
    """Return what a plan would do to objects of Terraform's, each once, ordered by address."""
    if not owned or not way.phases:
        return ()
    found = {*_written(way.phases, owned), *_detached(adapter, way, owned), *_lost(adapter, way, owned)}
    return tuple(sorted(found, key=lambda one: (one.address, one.what)))


def with_owners(drift: Iterable[Drift], owned: Ownership) -> tuple[Drift, ...]:
    """Return drift whose blamed rules say that Terraform owns them."""
    if not owned:
        return tuple(drift)
    return tuple(replace(one, entries=tuple(_told(entry, owned) for entry in one.entries)) for one in drift)


def _told(entry: Entry, owned: Ownership) -> Entry:
    found = owned.of_entry(entry)
    return replace(entry, owner=f"owned by Terraform: {', '.join(one.address for one in found[:3])}") if found else entry


def _written(phases: Iterable[Phase], owned: Ownership) -> Iterator[Touch]:
    """Yield the steps that write an object itself."""
    for phase in phases:
        for step in phase.steps:
            for one in owned.of_object(step.object):
                yield Touch(one.address, step.title)


def _detached(adapter: Adapter, way: Way, owned: Ownership) -> Iterator[Touch]:
    """Yield the objects that act at a point now and would not any more."""
    after = {point.id: frozenset((*point.ours, *point.foreign)) for point in adapter.points(way.after)}
    for point in adapter.points(way.before):
        for name in (*point.ours, *point.foreign):
            if name in after.get(point.id, frozenset()):
                continue
            attached = (one for one in owned.parts.get(name.lower(), ()) if one.at and _stands_at(point.id, one.at))
            for one in (*owned.of_object(name), *attached):
                yield Touch(one.address, f"take {name} off {point.name} ({point.id})")


def _stands_at(point: PointId, at: str) -> bool:
    """Tell whether a point is an interface or virtual server as Terraform names it."""
    return point.lower().endswith(at if at.startswith("/") else f"/{at}")


def _lost(adapter: Adapter, way: Way, owned: Ownership) -> Iterator[Touch]:
    """Yield the rules of others that would go from objects in which Terraform owns rules.

    Tables do not hold every platform's ids of rules: where the id is not in the native text, any rule of others there counts.
    """
    held = {name: tuple(one for one in listed if one.rule) for name, listed in owned.parts.items()}
    if not any(held.values()):
        return
    left = {(entry.object, entry.native) for entry in adapter.entries(way.after)}
    for entry in adapter.entries(way.before):
        rules = held.get(entry.object.lower(), ())
        if not rules or (entry.object, entry.native) in left or (entry.ours and entry.origins):
            continue
        for one in _meant(entry, rules):
            yield Touch(one.address, f"take '{entry.native}' out of {entry.object_name}")


def name_in(native: str) -> str:
    """Return the name that a native text begins with (`310 allow-web: ...`), in lower case."""
    return native.partition(":")[0].rpartition(" ")[2].lower()


def _meant(entry: Entry, rules: tuple[Owned, ...]) -> tuple[Owned, ...]:
    """Return the rules that may be this entry: by name where the native text begins with one (`310 allow-web: ...`), else all of them."""
    named = tuple(one for one in rules if one.rule.lower() == name_in(entry.native))
    by_name = all(one.platform == "azure" for one in rules)
    return named if by_name else rules

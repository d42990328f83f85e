"""The configuration of one unit. Objects are never changed in place, so a copy costs next to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..kit.faults import Json
from .schema import ATTACHABLE, FIREWALL, GLOBAL_RULES, RESOURCES, SELF

Object = dict[str, Json]
"""Properties as they are stored; the parts (rules, members) are a tuple under the subcollection's name."""


def _empty() -> dict[str, dict[str, Object]]:
    return {collection: {"": {"generation": 1}} if resource.single else {} for collection, resource in RESOURCES.items()}


@dataclass(slots=True)
class Config:
    """Everything under /mgmt/tm that a save writes down."""

    objects: dict[str, dict[str, Object]] = field(default_factory=_empty)
    """collection -> full path -> object; the path of a single one is empty."""

    def copy(self) -> Config:
        """Copy it for a change that may be thrown away."""
        return Config({collection: dict(held) for collection, held in self.objects.items()})

    def shared(self) -> dict[str, dict[str, Object]]:
        """Return what a device group synchronises: all but what belongs to one unit."""
        return {
            collection: {path: each for path, each in held.items() if collection != SELF or is_floating(each)}
            for collection, held in self.objects.items()
            if not RESOURCES[collection].local
        }

    def with_shared(self, given: dict[str, dict[str, Object]]) -> Config:
        """Return this unit's own part with another's shared part."""
        merged = self.copy()
        for collection, held in given.items():
            own = {path: each for path, each in self.objects[collection].items() if collection == SELF and not is_floating(each)}
            merged.objects[collection] = {**held, **own}
        return merged

    def firewall(self) -> Firewall:
        """Return what the compiler of packet filters reads."""
        held = self.objects
        attached = {
            (kind, path): (each.get("fwEnforcedPolicy"), each.get("fwStagedPolicy"))
            for kind in ATTACHABLE
            for path, each in held[kind].items()
        }
        only = held[GLOBAL_RULES][""]
        attached["global", ""] = (only.get("enforcedPolicy"), only.get("stagedPolicy"))
        return Firewall({name: dict(held[name]) for name in FIREWALL}, {key: both for key, both in attached.items() if any(both)})


@dataclass(frozen=True, slots=True)
class Firewall:
    """Policies, lists and attachments at one moment."""

    objects: dict[str, dict[str, Object]]
    attached: dict[tuple[str, str], tuple[str | None, str | None]]
    """(kind of context, path) -> (enforced, staged); kind `global` has an empty path."""

    def policy(self, path: str | None) -> Object | None:
        """Return a policy, or None."""
        return self.objects["security/firewall/policy"].get(path or "")

    def contexts(self) -> Iterator[tuple[str, str, str, str]]:
        """(kind, path, policy, `Enforced` or `Staged`) of everything attached, in one order."""
        for (kind, path), both in sorted(self.attached.items()):
            for policy, word in zip(both, ("Enforced", "Staged"), strict=True):
                if policy:
                    yield kind, path, policy, word


def is_floating(address: Object) -> bool:
    """Is this self IP one that moves between the units?"""
    return str(address.get("trafficGroup", "")).endswith("traffic-group-1")

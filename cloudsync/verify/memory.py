"""The platform in memory read anew: named groups of allow rules, inbound only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cloudsync.verify.ground import Beyond, Corners, Json, Passage, Place, Whose, items, mapping, text, texts
from cloudsync.verify.space import BLOCK, Packets, Runs, Space, Span, Spans, UnreadableError, network, networks

Rule = tuple[Span, Runs]


@dataclass(frozen=True, slots=True)
class Group:
    """One group."""

    scope: str
    name: str
    ours: bool
    rules: frozenset[Rule]


@dataclass(frozen=True, slots=True)
class Spot:
    """One point."""

    addresses: Spans
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class State:
    """Groups and points."""

    groups: Mapping[str, Group]
    spots: Mapping[str, Spot]


@dataclass(frozen=True, slots=True)
class Act:
    """One call, read."""

    call: str
    object: str
    rules: tuple[Rule, ...] = ()
    groups: tuple[str, ...] = ()
    made: Group | None = None


class Memory:
    """The platform."""

    unfamilied = True

    def __init__(self, space: Space, owner: str) -> None:
        self.space, self.owner = space, owner

    def read(self, dump: Json) -> State:
        """Return the state of a dump."""
        groups = {
            key: Group(one["scope"], one["name"], one["owner"] == self.owner, frozenset(self._rules(one.get("rules", ()))))
            for key, one in mapping(dump.get("groups"), "groups").items()
        }
        spots = {
            key: Spot(self.space.addresses(networks(texts(one["addresses"], "addresses"))), texts(one.get("groups", []), "groups"))
            for key, one in mapping(dump.get("spots"), "spots").items()
        }
        return State(groups, spots)

    def _rules(self, raw: Iterable[Json]) -> Iterable[Rule]:
        for one in raw:
            yield self._rule(one["peer"], one.get("service")) if isinstance(one, dict) else self._rule(*items(one, "a rule"))

    def _rule(self, peer: Json, service: Json) -> Rule:
        span = network(text(peer, "a peer"))
        number, _, run = text(service, "a service").partition("/")
        first, _, last = run.partition("-")
        try:
            base = int(number) * BLOCK
            runs: Runs = ((base + int(first), base + int(last or first)),)
        except ValueError as error:
            raise UnreadableError(f"service {service!r}") from error
        self.space.addresses((span,))
        return span, self.space.services(runs)

    def act(self, payload: Json, step: Mapping[str, Json]) -> Act:
        """Return what a payload does."""
        del step
        top = mapping(json.loads(text(payload, "a payload")), "a payload")
        match top.get("call"):
            case "create":
                made = Group(top["scope"], top["name"], top["owner"] == self.owner, frozenset())
                return Act("create", f"{{new:{top['scope']}/{top['name']}}}", made=made)
            case "authorize" | "revoke" as call:
                return Act(call, text(top.get("group"), "group"), tuple(self._rules(top["rules"])))
            case "attach":
                return Act("attach", text(top.get("point"), "point"), groups=tuple(sorted(texts(top.get("groups"), "groups"))))
            case "delete":
                return Act("delete", text(top.get("group"), "group"))
        raise UnreadableError(f"{top.get('call')!r} is no call that plans make")

    def after(self, state: State, acts: Iterable[Act]) -> State:
        """Return the state after acts in their order."""
        groups, spots = dict(state.groups), dict(state.spots)
        for act in acts:
            if act.call == "create":
                assert act.made is not None
                if any((one.name, one.scope) == (act.made.name, act.made.scope) for one in groups.values()) or not act.made.ours:
                    raise UnreadableError(f"group {act.made.name} is there already, or without our mark")
                groups[act.object] = act.made
            elif act.call == "attach":
                if act.object not in spots or any(one not in groups for one in act.groups):
                    raise UnreadableError(f"{act.object} or a group for it is not there")
                spots[act.object] = replace(spots[act.object], groups=act.groups)
            elif act.object not in groups or not groups[act.object].ours:
                raise UnreadableError(f"group {act.object} is not there, or not ours")
            elif act.call == "delete":
                if any(act.object in one.groups for one in spots.values()):
                    raise UnreadableError(f"group {act.object} is deleted while it is attached")
                del groups[act.object]
            else:
                groups[act.object] = _changed(groups[act.object], act)
        return State(groups, spots)

    def places(self, state: State) -> Mapping[str, Place]:
        """Return every point."""
        return {key: Place(key, one.addresses) for key, one in state.spots.items()}

    def passages(self, state: State, whose: Whose = Whose.ALL) -> Mapping[str, Passage]:
        """Return the union of each point's groups."""
        said: dict[str, Packets] = {}
        for key, group in state.groups.items():
            said[key] = 0
            for span, runs in group.rules:
                said[key] |= self.space.packets((span,), runs)
        found: dict[str, Passage] = {}
        for key, spot in state.spots.items():
            inbound = 0
            for name in spot.groups:
                if name in state.groups and (whose is Whose.ALL or state.groups[name].ours is (whose is Whose.OURS)):
                    inbound |= said[name]
            found[key] = Passage(inbound)
        return found

    def unfinished(self, state: State) -> str:
        """Return nothing: what a call did stays done."""
        del state
        return ""

    def beyond(self, state: State, *, exclusive: bool) -> Mapping[str, Beyond]:
        """Return nothing: here our groups decide everything."""
        del state, exclusive
        return {}

    def corners(self, state: State, acts: Sequence[Act]) -> Corners[State]:
        """Return what bounds a phase: groups that only grow or only shrink, and points as before or as after."""
        ready = self.after(state, [act for act in acts if act.call == "create"])
        low = self.after(ready, [act for act in acts if act.call == "revoke"])
        high = self.after(ready, [act for act in acts if act.call == "authorize"])
        moves = [act for act in acts if act.call == "attach"]
        if not moves:
            return Corners((low,), (high,))
        return Corners((low, self.after(low, moves)), (high, self.after(high, moves)))


def _changed(group: Group, act: Act) -> Group:
    rules = set(act.rules)
    there = not group.rules.isdisjoint(rules) if act.call == "authorize" else not group.rules.issuperset(rules)
    if there or len(rules) < len(act.rules):
        raise UnreadableError(f"a rule of {act.object} is added twice, or taken out twice")
    return replace(group, rules=group.rules | rules if act.call == "authorize" else group.rules - rules)

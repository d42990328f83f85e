"""Adapters with one mistake each, all of them mistakes that somebody could make: the contract has to find every one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import count

from cloudsync.adapter import (
    Access,
    Bounds,
    Capabilities,
    Check,
    ClassIntent,
    ClassPeer,
    Effect,
    Encoding,
    Entry,
    Hop,
    Identity,
    Intent,
    Method,
    Outcome,
    Phase,
    Problem,
    Seen,
    Snapshot,
    Status,
    Step,
    Whose,
)
from cloudsync.model.address import ANYWHERE, NOWHERE
from cloudsync.model.codec import canonical
from cloudsync.model.errors import AdapterError
from cloudsync.model.mode import TargetMode
from cloudsync.model.packets import NO_PACKETS, Packet, PacketSet
from cloudsync.model.workload import PointId
from cloudsync.testing import memory_table
from cloudsync.testing.memory import MemoryAdapter
from cloudsync.testing.memory_table import NEW, Group, MemoryTable, Rule

API = Rule("198.51.100.0/24", "6/8443-8443")


# --- encoding and decoding -------------------------------------------------------------------------------------------


class OpensMoreAndHidesIt(MemoryAdapter):
    """One rule too many in every group, which decode does not tell."""

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        encoding = super().encode(intent, snapshot)
        groups = {name: replace(one, rules=one.rules | {API}) if one.owner else one for name, one in encoding.table.groups.items()}
        return replace(encoding, table=replace(encoding.table, groups=groups))

    def decode(self, table: MemoryTable, whose: Whose = Whose.ALL, points: Iterable[PointId] | None = None) -> Mapping[PointId, Access]:
        groups = {name: replace(one, rules=one.rules - {API}) if one.owner else one for name, one in table.groups.items()}
        return super().decode(replace(table, groups=groups), whose, points)


class DecodesOursAlone(MemoryAdapter):
    """Foreign rules are forgotten where everything is asked for."""

    def decode(self, table: MemoryTable, whose: Whose = Whose.ALL, points: Iterable[PointId] | None = None) -> Mapping[PointId, Access]:
        return super().decode(table, Whose.OURS if whose is Whose.ALL else whose, points)


class NewNameEveryTime(MemoryAdapter):
    """Groups are named by a counter instead of by what they are for."""

    numbers = count(1)

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        bare = {name: one for name, one in snapshot.table.groups.items() if one.owner != self.owner}
        spots = {
            key: replace(spot, groups=tuple(name for name in spot.groups if name in bare)) for key, spot in snapshot.table.spots.items()
        }
        encoding = super().encode(intent, replace(snapshot, table=replace(snapshot.table, groups=bare, spots=spots)))
        return replace(encoding, table=renamed(encoding.table, next(self.numbers)))


def renamed(table: MemoryTable, number: int) -> MemoryTable:
    """Return a table whose new groups have other names."""
    names = {name: NEW % f"{group.scope}/{group.name}-{number}" for name, group in table.groups.items() if name.startswith("{new:")}
    groups = {
        names.get(name, name): replace(group, id=names[name], name=f"{group.name}-{number}") if name in names else group
        for name, group in table.groups.items()
    }
    spots = {key: replace(spot, groups=tuple(names.get(name, name) for name in spot.groups)) for key, spot in table.spots.items()}
    return replace(table, groups=groups, spots=spots)


class SeesOnlyItsOwnRules(MemoryAdapter):
    """What people put into our groups is not read."""

    def listed(self) -> MemoryTable:
        table = super().listed()
        groups = {name: replace(one, rules=one.rules - {API}) if one.owner else one for name, one in table.groups.items()}
        return replace(table, groups=groups)


class EmptyIsAnybody(MemoryAdapter):
    """A peer that resolves to nothing becomes any."""

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        known = {group.class_id: group.addresses for group in intent.classes}
        classes = []
        for group in intent.classes:
            opened = [
                PacketSet.of(ANYWHERE, term.services)
                for term in group.inbound.terms
                if isinstance(term.peer, ClassPeer) and not known[term.peer.class_id]
            ]
            exact = PacketSet.union_all([group.inbound.exact, *opened])
            classes.append(replace(group, inbound=replace(group.inbound, exact=exact)))
        return super().encode(replace(intent, classes=tuple(classes)), snapshot)


class NothingIsAnybody(MemoryAdapter):
    """A group without rules gets one that lets everybody in."""

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        encoding = super().encode(intent, snapshot)
        wide = frozenset({Rule("0.0.0.0/0", "6/22-22")})
        groups = {name: replace(one, rules=one.rules or wide) for name, one in encoding.table.groups.items()}
        return replace(encoding, table=replace(encoding.table, groups=groups))


class ForgetsThePast(MemoryAdapter):
    """What selective mode has to keep is not rendered."""

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        points = tuple(replace(point, kept_in=NO_PACKETS) for point in intent.points)
        return super().encode(replace(intent, points=points), snapshot)


class NeverIsNothing(MemoryAdapter):
    """Never rules are left to others: what allow rules say is written."""

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        classes = tuple(replace(group, inbound=replace(group.inbound, exact=self.said(group, intent))) for group in intent.classes)
        return super().encode(replace(intent, classes=classes), snapshot)

    def said(self, group: ClassIntent, intent: Intent) -> PacketSet:
        """Return what the allow rules of a class say, never rules not taken out."""
        known = {one.class_id: one.addresses for one in intent.classes}
        peers = {
            term: known[term.peer.class_id] if isinstance(term.peer, ClassPeer) else term.peer.addresses for term in group.inbound.whole
        }
        return PacketSet.union_all([group.inbound.exact, *(PacketSet.of(found, term.services) for term, found in peers.items())])


class MissingIsGone(MemoryAdapter):
    """Nobody is in quarantine."""

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        return super().encode(replace(intent, quarantined=NOWHERE), snapshot)


class GivesNothingBack(MemoryAdapter):
    """What is released is left bare."""

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        return super().encode(replace(intent, points=tuple(replace(point, original=()) for point in intent.points)), snapshot)


class CleansUpIdlePoints(MemoryAdapter):
    """Foreign groups are detached everywhere, from idle machines too."""

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        encoding = super().encode(intent, snapshot)
        idle = {point.point for point in intent.points if not point.mode.enforced}
        spots = {key: replace(spot, groups=()) if key in idle else spot for key, spot in encoding.table.spots.items()}
        return replace(encoding, table=replace(encoding.table, spots=spots))


class AlwaysExclusive(MemoryAdapter):
    """The target's mode is not looked at."""

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        return super().encode(replace(intent, mode=TargetMode.EXCLUSIVE), snapshot)


class NoQuota(MemoryAdapter):
    """Whatever is wanted is thought to have room."""

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        return memory_table.encode(intent, snapshot.table, 1_000_000)


class NamesByPosition(MemoryAdapter):
    """The order of points decides what a group is called."""

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        first = intent.points[0].point
        return replace(table := super().encode(intent, snapshot), table=renamed(table.table, len(first) + int(first[-1], 36)))


class UsesWhatIsAttachedAlone(MemoryAdapter):
    """A group of ours that nothing carries yet is not found again."""

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        table = snapshot.table
        carried = {name for spot in table.spots.values() for name in spot.groups}
        groups = {name: one for name, one in table.groups.items() if name in carried or one.owner != self.owner}
        return super().encode(intent, replace(snapshot, table=replace(table, groups=groups)))


class LeavesEmptyGroups(MemoryAdapter):
    """What nothing carries any more is never deleted."""

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        encoding = super().encode(intent, snapshot)
        kept = {**snapshot.table.groups, **encoding.table.groups}
        return replace(encoding, table=replace(encoding.table, groups=kept))


# --- reading ---------------------------------------------------------------------------------------------------------


class WritesWhileReading(MemoryAdapter):
    """Reading leaves a group behind, to see whether writing works."""

    def read(self) -> Snapshot:
        self.platform.send(canonical({"call": "create", "scope": "mem/one", "name": f"probe-{self.platform.pages}", "owner": ""}))
        return super().read()


class NoTags(MemoryAdapter):
    """Discovery leaves tags out."""

    def read(self) -> Snapshot:
        snapshot = super().read()
        workloads = tuple(replace(one, tags=()) for one in snapshot.discovery.workloads)
        return replace(snapshot, discovery=replace(snapshot.discovery, workloads=workloads))


class FirstPageOnly(MemoryAdapter):
    """One page is taken for all."""

    def listed(self) -> MemoryTable:
        page = self.platform.page(self.owner)
        groups = {one.id: replace(one, rules=frozenset(map(memory_table.plain, one.rules))) for one in page.items if isinstance(one, Group)}
        return MemoryTable(self.owner, groups, {one.id: one for one in page.items if not isinstance(one, Group)})


class FailureIsEmptiness(MemoryAdapter):
    """A read that is refused gives an empty answer, called whole."""

    def listed(self) -> MemoryTable:
        try:
            return super().listed()
        except AdapterError:
            return MemoryTable(self.owner, {}, {})


class ActsOnHalfAReading(MemoryAdapter):
    """What a partial reading shows is taken for what there is: a machine that is not in it is gone."""

    def read(self) -> Snapshot:
        try:
            self.platform.page(self.owner)
        except AdapterError as error:
            blocked, self.platform.unreadable = self.platform.unreadable, 0
            snapshot = super().read()
            self.platform.unreadable = blocked
            workloads = tuple(one for one in snapshot.discovery.workloads if one.name != "web2")
            scopes = tuple(replace(scope, why=str(error)) for scope in snapshot.scopes)
            return replace(snapshot, discovery=replace(snapshot.discovery, workloads=workloads, scopes=scopes), scopes=scopes)
        return super().read()

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        return super().encode(replace(intent, incomplete=frozenset()), snapshot)


class RefreshesFromMemory(MemoryAdapter):
    """Where reading is refused, refresh hands back what it was given."""

    def refresh(self, table: MemoryTable, steps: Iterable[Step], bindings: Mapping[str, str]) -> MemoryTable:
        try:
            return super().refresh(table, steps, bindings)
        except AdapterError:
            return table


class RefreshesItsOwnRules(MemoryAdapter):
    """A refresh looks for the rules that its steps name, and for no others."""

    def refresh(self, table: MemoryTable, steps: Iterable[Step], bindings: Mapping[str, str]) -> MemoryTable:
        calls = [json.loads(step.payload) for step in steps]
        named = {Rule(*rule) for call in calls for rule in call.get("rules", ())}
        now = super().refresh(table, (), bindings)
        groups = {
            name: replace(one, rules=one.rules & (table.groups[name].rules | named)) if name in table.groups else one
            for name, one in now.groups.items()
        }
        return replace(now, groups=groups)


class OneDigestForAll(MemoryAdapter):
    """The digest says who was asked, not what was read."""

    def read(self) -> Snapshot:
        return replace(super().read(), digest="0" * 64)


class BelievesTheSettings(MemoryAdapter):
    """Who we are is taken from the settings."""

    def identify(self) -> Identity:
        return Identity("memory", self.expected, "tester")


class TriesWritingInDoctor(MemoryAdapter):
    """Doctor finds out whether it may write by writing."""

    def doctor(self) -> tuple[Check, ...]:
        self.platform.send(canonical({"call": "create", "scope": "mem/one", "name": "probe", "owner": self.owner}))
        return super().doctor()


# --- writing ---------------------------------------------------------------------------------------------------------


class OneCallPerRule(MemoryAdapter):
    """A step is sent in pieces."""

    def write(self, step: Step, bindings: Mapping[str, str]) -> Outcome:
        call = json.loads(step.payload)
        for rule in call.get("rules", ())[:-1]:
            super().write(replace(step, payload=canonical({**call, "rules": [rule]})), bindings)
        last = {**call, "rules": call["rules"][-1:]} if "rules" in call else call
        return super().write(replace(step, payload=canonical(last)), bindings)


class TriesAgain(MemoryAdapter):
    """A write without an answer, or one that came too fast, is sent once more."""

    def write(self, step: Step, bindings: Mapping[str, str]) -> Outcome:
        outcome = super().write(step, bindings)
        again = outcome.status is Status.UNKNOWN or outcome.throttled
        return super().write(step, bindings) if again else outcome


class DoubtIsFailure(MemoryAdapter):
    """No answer is taken for a no."""

    def write(self, step: Step, bindings: Mapping[str, str]) -> Outcome:
        outcome = super().write(step, bindings)
        return replace(outcome, status=Status.FAILED) if outcome.status is Status.UNKNOWN else outcome


class DoubtIsSuccess(MemoryAdapter):
    """No answer is taken for a yes."""

    def write(self, step: Step, bindings: Mapping[str, str]) -> Outcome:
        outcome = super().write(step, bindings)
        return replace(outcome, status=Status.DONE) if outcome.status is Status.UNKNOWN else outcome


class RefusedIsTooFast(MemoryAdapter):
    """Every no is taken for: later."""

    def write(self, step: Step, bindings: Mapping[str, str]) -> Outcome:
        outcome = super().write(step, bindings)
        return replace(outcome, throttled=outcome.status is Status.FAILED)


class DetachesFirst(MemoryAdapter):
    """Points are stripped before they get what is new, and the bounds say nothing of it."""

    def steps(self, actual: MemoryTable, desired: MemoryTable, method: Method) -> tuple[Phase, ...]:
        phases: list[Phase] = []
        for phase in super().steps(actual, desired, method):
            if phase.name == "move":
                phases.append(Phase("strip", tuple(stripped(step) for step in phase.steps)))
            phases.append(phase)
        return tuple(phases)

    def bounds(self, table: MemoryTable, steps: tuple[Step, ...]) -> Bounds:
        told = table if steps and steps[0].key.startswith("strip") else self.simulate(table, *steps)
        return Bounds((told,), (told,))


def stripped(step: Step) -> Step:
    """Return the step that takes every group off a point."""
    payload = canonical({**json.loads(step.payload), "groups": []})
    return replace(step, key=f"strip/{step.object}", payload=payload, effect=Effect.SHRINKS)


class SeesWhatItSent(MemoryAdapter):
    """What was sent is thought to be there."""

    def seen(self, table: MemoryTable, step: Step, bindings: Mapping[str, str]) -> Seen:
        return super().seen(self.simulate(table, step), step, bindings) if self.missing(table, step) else Seen.YES

    def missing(self, table: MemoryTable, step: Step) -> bool:
        """Tell whether a step can still be simulated, so that it is not there yet."""
        return super().seen(table, step, {}) is Seen.NO


# --- the rest of the pure half ---------------------------------------------------------------------------------------


class HalfAJoin(MemoryAdapter):
    """JOIN adds, and forgets to remove."""

    def steps(self, actual: MemoryTable, desired: MemoryTable, method: Method) -> tuple[Phase, ...]:
        phases = super().steps(actual, desired, method)
        return phases[:-1] if method is Method.JOIN else phases


class NarrowBounds(MemoryAdapter):
    """The bounds of a phase are those of its end."""

    def bounds(self, table: MemoryTable, steps: tuple[Step, ...]) -> Bounds:
        last = self.simulate(table, *steps)
        return Bounds((last,), (last,))


class WalksAlone(MemoryAdapter):
    """What is told to people does not look at foreign rules."""

    def walk(self, table: MemoryTable, point: PointId, direction: str, packet: Packet) -> tuple[Hop, ...]:
        groups = {name: one if one.owner else replace(one, rules=frozenset()) for name, one in table.groups.items()}
        return super().walk(replace(table, groups=groups), point, direction, packet)


class TellsOursAlone(MemoryAdapter):
    """Entries are rules as the policy wants them."""

    def entries(self, table: MemoryTable, points: Iterable[PointId] | None = None) -> tuple[Entry, ...]:
        groups = {name: replace(one, rules=one.rules - {API}) for name, one in table.groups.items()}
        return super().entries(replace(table, groups=groups), points)


class CountsEverybodysRules(MemoryAdapter):
    """Rules of others are counted as our own."""

    def owned(self, table: MemoryTable) -> Mapping[str, int]:
        return {group.scope: sum(len(one.rules) for one in table.groups.values()) for group in table.groups.values()}


class SaysItKnowsProcesses(MemoryAdapter):
    """Capabilities that nobody keeps."""

    capabilities = replace(MemoryAdapter.capabilities, processes=True)


class SaysItHoldsOutbound(MemoryAdapter):
    """Outbound control that is not there."""

    capabilities = replace(MemoryAdapter.capabilities, egress=True)


class OffersNoMethod(MemoryAdapter):
    """No way of getting anywhere is offered."""

    capabilities = Capabilities("memory", denies=False, egress=False, icmp_types=True, processes=False, rule_logging=False, methods=())


class ShieldsWithoutDenies(MemoryAdapter):
    """There are no denies here, and a shield takes groups away instead."""

    def shield(self, table: MemoryTable, packets: Mapping[PointId, Access]) -> MemoryTable:
        spots = {key: replace(spot, groups=()) if key in packets else spot for key, spot in table.spots.items()}
        return replace(table, spots=spots)


# --- whose is what ---------------------------------------------------------------------------------------------------


class OwnsByName(MemoryAdapter):
    """A group is ours when it is called so."""

    def listed(self) -> MemoryTable:
        table = super().listed()
        groups = {
            name: replace(one, owner=self.owner) if one.name.startswith(f"cs-{self.owner}-") else one for name, one in table.groups.items()
        }
        return replace(table, groups=groups)


class OwnsWhateverIsMarked(MemoryAdapter):
    """Every mark is taken for ours."""

    def listed(self) -> MemoryTable:
        table = super().listed()
        return replace(table, groups={name: replace(one, owner=one.owner and self.owner) for name, one in table.groups.items()})


class ReadsAsItIsSpelt(MemoryAdapter):
    """The platform's spelling of addresses is compared with ours."""

    def listed(self) -> MemoryTable:
        table = super().listed()
        groups = {name: replace(one, rules=frozenset(map(self.spelt, one.rules))) for name, one in table.groups.items()}
        return replace(table, groups=groups)

    def spelt(self, rule: Rule) -> Rule:
        """Return a rule with its addresses as the platform shows them."""
        return replace(rule, peer=self.platform.spelling(rule).peer)


class GivesUpWhereSomethingIs(MemoryAdapter):
    """A call that finds its work done already is a failure for ever: what arrived late is never taken up."""

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        encoding = super().encode(intent, snapshot)
        wanted = {name for name in encoding.table.groups if name.startswith("{new:")}
        left = [
            one
            for one in snapshot.table.groups.values()
            if one.owner and not any(one.id in spot.groups for spot in snapshot.table.spots.values())
        ]
        problems = tuple(Problem("LEFT-OVER", f"group {one.name} is there and nothing carries it") for one in left if not wanted)
        return replace(encoding, problems=(*encoding.problems, *problems))

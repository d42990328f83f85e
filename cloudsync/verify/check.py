"""The verification of one plan file: digests, the end state, every moment on the way, and what is wanted against the policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from cloudsync.verify import document as files
from cloudsync.verify.aws import Aws
from cloudsync.verify.azure import Azure
from cloudsync.verify.document import Pool, Target, canonical
from cloudsync.verify.f5 import F5
from cloudsync.verify.gcp import Gcp
from cloudsync.verify.ground import Beyond, Json, Passage, Place, Platform, Whose, items, mapping
from cloudsync.verify.memory import Memory
from cloudsync.verify.paths import Stage, Track, slips, stages_of
from cloudsync.verify.policy import Book, Meaning, addresses_of
from cloudsync.verify.policy import read as read_book
from cloudsync.verify.space import Packets, Space, UnreadableError
from cloudsync.verify.values import Checked, Kind, Objection, Verdict
from cloudsync.verify.wanted import Wish, wishes

PLATFORMS: Mapping[str, Callable[[Space, str], Platform[Any, Any]]] = {"aws": Aws, "azure": Azure, "f5": F5, "gcp": Gcp, "memory": Memory}
SHUT = Passage()
WRONG = (UnreadableError, RecursionError, KeyError, TypeError, AttributeError, ValueError, IndexError)
"""What comes of a file that does not say what it should."""
OBJECTIONS_MOST = 20
"""Reasons told per target: one is enough to refuse."""


def verify(content: str) -> Verdict:
    """Check a plan file. Raises NoPlanError for what is none."""
    plan = files.parse(content)
    against = [Objection(target, Kind.DIGEST, message) for target, message in plan.wrong]
    space = Space()
    try:
        book = read_book(plan.evidence)
        book.tell(space)
    except WRONG as error:
        return Verdict(
            (), (*against, Objection("", Kind.UNREADABLE, f"the policy or the inventory in the file: {error}")), plan.policy_digests
        )
    cases = [Case(plan.pool, book, target, space) for target in plan.targets]
    for case in cases:
        case.read()
    space.cut()
    checked = tuple(case.checked() for case in cases)
    against.extend(one for each in checked for one in each.objections)
    against.extend(_paths(cases))
    return Verdict(checked, tuple(against), plan.policy_digests)


def _paths(cases: list[Case]) -> Iterator[Objection]:
    """Yield the flows that get through at a wrong moment between two points in series."""
    good = {case.target.name: case for case in cases if case.track is not None}
    stages: dict[str, tuple[Stage, ...]] = {}
    try:
        known = {case.target.name: canonical(case.target.plan.get("component")) for case in cases}
        for component in {canonical(one): one for case in cases if (one := case.target.plan.get("component"))}.values():
            if {name for name, one in known.items() if one == canonical(component)} != set(component["targets"]):
                raise UnreadableError("the targets of a component do not tell the same of it")
            phases = {name: len(case.track.during) for name, case in good.items() if case.track is not None}
            found = stages_of(component, phases)
            stages |= dict.fromkeys(component["targets"], found)
    except WRONG as error:
        yield Objection("", Kind.UNREADABLE, str(error) or type(error).__name__)
        return
    if not good:
        return
    first = next(iter(good.values()))
    for one in slips(Meaning(first.book, first.space), [case.track for case in good.values() if case.track], stages):
        case = good[one.destination_target]
        message = f"would get through for a moment ({one.when}) from {one.source} ({one.source_target}), by no state of the whole way"
        yield Objection(case.target.name, Kind.SERIES, message, one.destination, case.said("inbound", one.packets))


@dataclass(slots=True)
class Case:
    """One target under examination: first it is read and told to the space, then it is asked."""

    pool: Pool
    book: Book
    target: Target
    space: Space
    platform: Platform[Any, Any] | None = None
    start: object = None
    promised: object = None
    phases: list[tuple[str, list[Any]]] = field(default_factory=list)
    broken: Objection | None = None
    states: int = 0
    places: Mapping[str, Place] = field(default_factory=dict)
    track: Track | None = None

    def read(self) -> None:
        """Read tables and payloads, and note everything that they mention."""
        name = str(self.target.evidence.get("platform"))
        if name not in PLATFORMS:
            self.broken = Objection(self.target.name, Kind.UNREADABLE, f"no reader for platform {name!r}")
            return
        try:
            self.platform = PLATFORMS[name](self.space, str(self.target.plan.get("owner")))
            table = mapping(self.target.evidence["table"], "the table")
            self.promised = self.platform.read(files.changed(table, mapping(self.target.evidence["end"], "the end")))
            self.start = self.platform.read(table)
            for phase in items(self.target.plan.get("phases", []), "phases"):
                acts = [self.platform.act(step["payload"], step) for step in items(phase["steps"], "steps")]
                self.phases.append((str(phase["name"]), acts))
            self._tell()
        except WRONG as error:
            self.broken = Objection(self.target.name, Kind.UNREADABLE, str(error) or type(error).__name__)

    def checked(self) -> Checked:
        """Return what comes of the target's plan."""
        held = self.target.evidence.get("points")
        count = len(held) if isinstance(held, list) else 0
        found = [self.broken] if self.broken else []
        try:
            found.extend(islice(self._objections(), OBJECTIONS_MOST) if not self.broken else ())
        except WRONG as error:
            found.append(Objection(self.target.name, Kind.UNREADABLE, str(error) or type(error).__name__))
        steps = sum(len(acts) for _, acts in self.phases)
        return Checked(self.target.name, str(self.target.evidence.get("platform")), count, steps, self.states, tuple(found))

    def _objections(self) -> Iterator[Objection]:
        platform, start = self.platform, self.start
        assert platform is not None
        yield from self._problems()
        self.places = platform.places(start)
        states = [start]
        for _, acts in self.phases:
            states.append(platform.after(states[-1], acts))
        end = states[-1]
        if end != self.promised:
            yield self._no(Kind.TOLD, f"the steps do not lead to the table that the plan promises: {differing(end, self.promised)}")
        undone = platform.unfinished(end)
        if undone:
            yield self._no(Kind.TOLD, undone)
        rests = [platform.passages(state) for state in states]
        if self.target.plan.get("certificate") is None:
            return
        yield from self._wanted(platform, end, rests[-1])
        yield from self._told(platform, (start, end), (rests[0], rests[-1]))
        yield from self._adopted(rests[0], platform.passages(start, Whose.FOREIGN))
        during: list[Mapping[str, Passage]] = []
        for (name, acts), state in zip(self.phases, states, strict=False):
            corners = platform.corners(state, acts)
            low, high = ([platform.passages(bound) for bound in bounds] for bounds in (corners.low, corners.high))
            yield from self._phase(name, (low, high), (rests[0], rests[-1]))
            during.append(_widest(high))
        moves = self.target.plan.get("mode") != "observe"
        homes = {card.point: card.domain for one in self.book.machines if one.target == self.target.name for card in one.cards}
        self.track = Track(self.target.name, self.places, homes, tuple(rests) if moves else (rests[0],), tuple(during) if moves else ())
        self.states = 1 + sum(len(acts) for _, acts in self.phases)

    def _problems(self) -> Iterator[Objection]:
        plan = self.target.plan
        for one in items(plan.get("problems", []), "problems"):
            yield self._no(Kind.PROBLEM, f"{one['code']} {one['message']}")
        replay, certificate = plan.get("replay"), plan.get("certificate")
        for one in (replay or {}).get("violations", []):
            yield self._no(Kind.PROBLEM, f"the plan itself names an {one['kind']} in phase {one['phase']}")
        if certificate is None or replay is None:
            yield self._no(Kind.PROBLEM, "the plan was not proven when it was made")
        elif certificate.get("differences") or certificate.get("reached") is False:
            yield self._no(Kind.PROBLEM, "the plan itself says that it does not reach what is wanted")

    def _tell(self) -> None:
        numbers = {at for held in items(self.target.evidence["points"], "points") for at in files.numbers(held)}
        for one in self.target.plan.get("points", []):
            numbers.update(at for key in TOLD for at in one.get(key, {}).values())
        for one in self.target.plan.get("adoptions", []):
            numbers.update(one[key] for key in ("inbound", "outbound") if key in one)
        for at in sorted(numbers):
            self.pool.tell(self.space, at)
        self.space.addresses(addresses_of(self.target.evidence["quarantined"]))

    # --- what is reached -----------------------------------------------------------------------------------------

    def _wanted(self, platform: Platform[Any, Any], state: object, end: Mapping[str, Passage]) -> Iterator[Objection]:
        """Hold the end state to what is wanted, and what is wanted to the policy."""
        ours = platform.passages(state, Whose.OURS)
        beyond = platform.beyond(state, exclusive=self.target.plan.get("mode") == "exclusive")
        meaning = Meaning(self.book, self.space)
        owed = wishes(meaning, self.target, self.places, unfamilied=platform.unfamilied)
        held = {str(one["point"]): one for one in self.target.evidence["points"]}
        if len(held) != len(self.target.evidence["points"]):
            yield self._no(Kind.WANTED, "a point is held twice")
        for point in sorted(owed.keys() ^ held.keys()):
            what = "is enforced by the policy, and the file holds it to nothing" if point in owed else "is held to something without reason"
            yield self._no(Kind.WANTED, what, point)
        for point in sorted(owed.keys() & held.keys()):
            one = mapping(held[point], "a point")
            found = (ours if one["ours_only"] else end).get(point, SHUT)
            yield from self._held(owed[point], one, found, beyond.get(point, Beyond()))

    def _held(self, wish: Wish, held: Mapping[str, Json], found: Passage, beyond: Beyond) -> Iterator[Objection]:
        point = str(held["point"])
        packets = {key: self._pair(held, key) for key in ("least", "most", "left_out", "forced", "plumbing")}
        kept = {key: self.pool.packets(self.space, held[key]) for key in ("kept_in", "kept_out", "was_out") if key in held}
        for message, witness in wish.faults(held, kept, packets, beyond):
            yield self._no(Kind.WANTED, message, point, self.said(*witness) if witness else "")
        for side, (direction, passes) in enumerate(found.sides()):
            missing, excess = packets["least"][side] & ~passes, passes & ~packets["most"][side]
            if missing:
                yield self._no(Kind.MISSING, "is wanted and would not pass", point, self.said(direction, missing))
            if excess:
                yield self._no(Kind.EXCESS, "would pass and is not wanted", point, self.said(direction, excess))

    def _pair(self, held: Mapping[str, Json], key: str) -> tuple[Packets, Packets]:
        if key not in held:
            return 0, 0
        inbound, outbound = held[key]
        return self.pool.packets(self.space, inbound), self.pool.packets(self.space, outbound)

    def _told(self, platform: Platform[Any, Any], states: tuple[Any, Any], ends: tuple[Mapping[str, Passage], ...]) -> Iterator[Objection]:
        """Hold what the plan tells of every point to what its state and steps make of it; a point not told of does not change."""
        told = {str(one["point"]): one for one in self.target.plan.get("points", [])}
        ours = [platform.passages(state, Whose.OURS) for state in states]
        for point in sorted({*told, *ends[0], *ends[1]}):
            before, after = (end.get(point, SHUT) for end in ends)
            one = told.get(point)
            if one is None:
                if before != after:
                    changed = (before.inbound ^ after.inbound, before.outbound ^ after.outbound)
                    direction = "inbound" if changed[0] else "outbound"
                    witness = self.said(direction, changed[0] or changed[1])
                    yield self._no(Kind.TOLD, "changes, and the plan does not say so", point, witness)
                continue
            for key, now in zip(TOLD, (before, after, ours[0].get(point, SHUT), ours[1].get(point, SHUT)), strict=True):
                said = one.get(key, {})
                for direction, passes in now.sides():
                    wrong = passes ^ (self.pool.packets(self.space, said[direction]) if direction in said else 0)
                    if wrong:
                        message = f"the plan tells otherwise of this packet ({key})"
                        yield self._no(Kind.TOLD, message, point, self.said(direction, wrong))

    def _adopted(self, everything: Mapping[str, Passage], foreign: Mapping[str, Passage]) -> Iterator[Objection]:
        """Hold what is recorded of points that are taken over now to what they let through."""
        for one in self.target.plan.get("adoptions", []):
            point = str(one["point"])
            now, before = everything.get(point, SHUT), foreign.get(point, SHUT)
            inbound, outbound = (self.pool.packets(self.space, one[key]) if key in one else 0 for key in ("inbound", "outbound"))
            wrong = inbound ^ before.inbound if inbound != now.inbound else 0
            for direction, packets in (("inbound", wrong), ("outbound", outbound ^ now.outbound)):
                if packets:
                    yield self._no(Kind.TOLD, "is recorded otherwise for the day it is given back", point, self.said(direction, packets))

    # --- on the way ----------------------------------------------------------------------------------------------

    def _phase(
        self, name: str, bounds: tuple[list[Mapping[str, Passage]], list[Mapping[str, Passage]]], ends: tuple[Mapping[str, Passage], ...]
    ) -> Iterator[Objection]:
        """Hold every moment of a phase, whatever the order of its steps, between what old and new share and what either allows."""
        for kind, some in ((Kind.OUTAGE, bounds[0]), (Kind.EXPOSURE, bounds[1])):
            for passages in some:
                for point, old in ends[0].items():
                    now, new = passages.get(point, SHUT), ends[1].get(point, SHUT)
                    if now in (old, new):
                        continue
                    for (direction, was), (_, will), (_, passes) in zip(old.sides(), new.sides(), now.sides(), strict=True):
                        wrong = (was & will & ~passes) if kind is Kind.OUTAGE else (passes & ~(was | will))
                        wrong = wrong and self._felt(point, wrong)
                        if wrong:
                            what = "would be cut" if kind is Kind.OUTAGE else "would be open"
                            yield self._no(kind, f"{what} for a moment in phase {name}", point, self.said(direction, wrong))

    def _felt(self, point: str, packets: Packets) -> Packets:
        """Leave out the packets of a machine to itself: at its own addresses they never leave it."""
        meaning = Meaning(self.book, self.space)
        own = self.space.mask(self.places[point].addresses)
        return packets & ~self.space.box(own & ~(meaning.routed & self.space.families[0]), self.space.every_row)

    # --- words ---------------------------------------------------------------------------------------------------

    def _no(self, kind: Kind, message: str, point: str = "", witness: str = "") -> Objection:
        place = self.places.get(point)
        shown = f"{place.name} ({point})" if place is not None and place.name and place.name not in point else point
        return Objection(self.target.name, kind, message, shown, witness)

    def said(self, direction: str, packets: Packets) -> str:
        """Return one packet of a set in words, with the name of the machine at the other end where it is known."""
        service, address = self.space.witness(packets)
        bit = 1 << address
        who = next((one.name for one in self.book.machines for card in one.cards if self.space.mask(card.addresses) & bit), "")
        peer = self.space.address_text(address) + (f" ({who})" if who else "")
        way = f"from {peer}" if direction == "inbound" else f"to {peer}"
        return f"{direction} {self.space.service_text(service)} {way}"


def _widest(some: list[Mapping[str, Passage]]) -> Mapping[str, Passage]:
    """Return the most that several bounds let through, point by point."""
    if len(some) == 1:
        return some[0]
    found: dict[str, Passage] = {}
    for point in some[0]:
        inbound = outbound = 0
        for one in some:
            passage = one.get(point, SHUT)
            inbound, outbound = inbound | passage.inbound, outbound | passage.outbound
        found[point] = Passage(inbound, outbound)
    return found


def differing(one: object, other: object) -> str:
    """Name a few objects in which two states of a platform differ."""
    found: list[str] = []
    for name in getattr(type(one), "__slots__", ()):
        left, right = getattr(one, name), getattr(other, name)
        if left == right:
            continue
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            found.extend(sorted(str(key) for key in left.keys() | right.keys() if left.get(key) != right.get(key)))
        else:
            found.append(name)
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")


TOLD = ("before", "after", "ours_before", "ours_after")

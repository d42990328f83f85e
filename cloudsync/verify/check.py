"""The verification of one plan file: digests, the end state, every moment on the way, and what is wanted against the policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cloudsync.verify import document as files
from cloudsync.verify.aws import Aws
from cloudsync.verify.azure import Azure
from cloudsync.verify.document import Document, Pool, Target
from cloudsync.verify.f5 import F5
from cloudsync.verify.gcp import Gcp
from cloudsync.verify.ground import Beyond, Json, Passage, Place, Platform, Whose, items, mapping
from cloudsync.verify.memory import Memory
from cloudsync.verify.policy import Book, Meaning, addresses_of
from cloudsync.verify.policy import read as read_book
from cloudsync.verify.space import Packets, Space, UnreadableError
from cloudsync.verify.values import Checked, Kind, Objection, Verdict
from cloudsync.verify.wanted import Wish, wishes

PLATFORMS: Mapping[str, Callable[[Space, str], Platform[Any, Any]]] = {"aws": Aws, "azure": Azure, "f5": F5, "gcp": Gcp, "memory": Memory}
SHUT = Passage()
OBJECTIONS_MOST = 20
"""Reasons told per target: one is enough to refuse."""


def verify(content: str) -> Verdict:
    """Check a plan file. Raises NoPlanError for what is none."""
    plan = files.parse(content)
    against = [Objection(target, Kind.DIGEST, message) for target, message in plan.wrong]
    try:
        book = read_book(plan.evidence)
    except (UnreadableError, KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        return Verdict(
            (), (*against, Objection("", Kind.UNREADABLE, f"the policy or the inventory in the file: {error}")), plan.policy_digests
        )
    checked = tuple(_target(plan, book, target) for target in plan.targets)
    return Verdict(checked, (*against, *(one for each in checked for one in each.objections)), plan.policy_digests)


def _target(plan: Document, book: Book, target: Target) -> Checked:
    steps = list(target.steps()) if isinstance(target.plan.get("phases", []), list) else []
    name = str(target.evidence.get("platform"))
    held = target.evidence.get("points")
    count = len(held) if isinstance(held, list) else 0
    made = PLATFORMS.get(name)
    if made is None:
        against = Objection(target.name, Kind.UNREADABLE, f"no reader for platform {name!r}")
        return Checked(target.name, name, count, len(steps), 0, (against,))
    case = Case(plan.pool, book, target, Space())
    try:
        found = tuple(case.objections(made(case.space, str(target.plan.get("owner")))))
    except (UnreadableError, KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        found = (Objection(target.name, Kind.UNREADABLE, str(error) or type(error).__name__),)
    return Checked(target.name, name, count, len(steps), case.states, found[:OBJECTIONS_MOST])


@dataclass(slots=True)
class Case:
    """One target under examination."""

    pool: Pool
    book: Book
    target: Target
    space: Space
    states: int = 0
    places: Mapping[str, Place] = field(default_factory=dict)

    def objections(self, platform: Platform[Any, Any]) -> Iterator[Objection]:
        """Yield everything that speaks against the target's plan."""
        yield from self._problems()
        table = mapping(self.target.evidence["table"], "the table")
        promised = platform.read(files.changed(table, mapping(self.target.evidence["end"], "the end")))
        start = platform.read(table)
        phases = [
            (str(phase["name"]), [platform.act(step["payload"], step) for step in phase["steps"]], phase["steps"])
            for phase in items(self.target.plan.get("phases", []), "phases")
        ]
        self._tell()
        self.space.cut()
        self.places = platform.places(start)
        states = [start]
        for _, acts, _ in phases:
            states.append(platform.after(states[-1], acts))
        end = states[-1]
        if end != promised:
            yield self._no(Kind.TOLD, f"the steps do not lead to the table that the plan promises: {differing(end, promised)}")
        undone = platform.unfinished(end)
        if undone:
            yield self._no(Kind.TOLD, undone)
        old, new = platform.passages(start), platform.passages(end)
        yield from self._wanted(platform, end, new)
        yield from self._told(platform, (start, end), (old, new))
        self.states = 1
        for (name, acts, steps), state in zip(phases, states, strict=False):
            self.states += len(acts)
            yield from self._phase(platform, name, (state, acts, steps), (old, new))

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
        self.book.tell(self.space)
        numbers = {at for held in items(self.target.evidence["points"], "points") for at in files.numbers(held)}
        for one in self.target.plan.get("points", []):
            numbers.update(at for key in TOLD for at in one.get(key, {}).values())
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
            yield self._no(Kind.WANTED, message, point, self._said(*witness) if witness else "")
        for side, (direction, passes) in enumerate(found.sides()):
            missing, excess = packets["least"][side] & ~passes, passes & ~packets["most"][side]
            if missing:
                yield self._no(Kind.MISSING, "is wanted and would not pass", point, self._said(direction, missing))
            if excess:
                yield self._no(Kind.EXCESS, "would pass and is not wanted", point, self._said(direction, excess))

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
                    witness = self._said(direction, changed[0] or changed[1])
                    yield self._no(Kind.TOLD, "changes, and the plan does not say so", point, witness)
                continue
            for key, now in zip(TOLD, (before, after, ours[0].get(point, SHUT), ours[1].get(point, SHUT)), strict=True):
                said = one.get(key, {})
                for direction, passes in now.sides():
                    wrong = passes ^ (self.pool.packets(self.space, said[direction]) if direction in said else 0)
                    if wrong:
                        message = f"the plan tells otherwise of this packet ({key})"
                        yield self._no(Kind.TOLD, message, point, self._said(direction, wrong))

    # --- on the way ----------------------------------------------------------------------------------------------

    def _phase(
        self, platform: Platform[Any, Any], name: str, at: tuple[Any, list[Any], Json], ends: tuple[Mapping[str, Passage], ...]
    ) -> Iterator[Objection]:
        """Hold every moment of a phase, whatever the order of its steps, between what old and new share and what either allows."""
        state, acts, _ = at
        corners = platform.corners(state, acts)
        for kind, bounds in ((Kind.OUTAGE, corners.low), (Kind.EXPOSURE, corners.high)):
            for bound in bounds:
                passages = platform.passages(bound)
                for point, old in ends[0].items():
                    now, new = passages.get(point, SHUT), ends[1].get(point, SHUT)
                    if now in (old, new):
                        continue
                    for (direction, was), (_, will), (_, passes) in zip(old.sides(), new.sides(), now.sides(), strict=True):
                        wrong = (was & will & ~passes) if kind is Kind.OUTAGE else (passes & ~(was | will))
                        wrong = wrong and self._felt(point, wrong)
                        if wrong:
                            what = "would be cut" if kind is Kind.OUTAGE else "would be open"
                            yield self._no(kind, f"{what} for a moment in phase {name}", point, self._said(direction, wrong))

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

    def _said(self, direction: str, packets: Packets) -> str:
        """Return one packet of a set in words, with the name of the machine at the other end where it is known."""
        service, address = self.space.witness(packets)
        bit = 1 << address
        who = next((one.name for one in self.book.machines for card in one.cards if self.space.mask(card.addresses) & bit), "")
        peer = self.space.address_text(address) + (f" ({who})" if who else "")
        way = f"from {peer}" if direction == "inbound" else f"to {peer}"
        return f"{direction} {self.space.service_text(service)} {way}"


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

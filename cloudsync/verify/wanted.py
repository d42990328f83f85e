"""What each point must and may let through: derived from the policy once more, with what is kept of the past."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cloudsync.verify.document import Target
from cloudsync.verify.ground import Beyond, Json, Place, items, texts
from cloudsync.verify.policy import Meaning, Ruling, addresses_of
from cloudsync.verify.space import ANY, Packets

Witness = tuple[str, Packets]
"""Direction and packets, any of which shows it."""
Fault = tuple[str, Witness | None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the policy says at one point."""

    mode: str
    egress: str
    exclusive: bool
    inbound: Ruling
    outbound: Ruling
    owed: Packets
    """Packets of the families in which the point has an address; everything on platforms whose tables hold both in any case."""
    tolerated: Packets
    """Packets of workloads that were missing for the first time: entries for them stay one more run."""

    def faults(
        self, held: Mapping[str, Json], kept: Mapping[str, Packets], said: Mapping[str, tuple[Packets, Packets]], beyond: Beyond
    ) -> Iterator[Fault]:
        """Yield what of a file's wishes at a point does not follow from the policy. `said`: what the file says, by key and direction."""
        if held["ours_only"] is not (not self.exclusive) or ("kept_in" in kept) is not self.exclusive:
            yield f"whose rules are looked at does not fit the mode of the target ({'exclusive' if self.exclusive else 'additive'})", None
            return
        yield from self._past(kept)
        least, most = self._derived(kept)
        for side, direction in enumerate(("inbound", "outbound")):
            wanted, allowed = least[side] & self.owed, most[side]
            # What the platform decides itself stands in the file exactly as far as it makes a difference.
            beside = {
                "left_out": wanted & ~said["least"][side],
                "plumbing": said["least"][side] & ~wanted,
                "forced": said["most"][side] & ~(allowed | said["plumbing"][side]),
            }
            short = allowed & ~said["most"][side]
            if short:
                yield "the most that the file allows is less than what the policy says", (direction, short)
            for key, is_now in beside.items():
                wrong = is_now ^ said[key][side]
                if wrong:
                    yield f"what the file wants is not what the policy says ({key})", (direction, wrong)
            for key, possible in (("left_out", beyond.cut[side]), ("plumbing", beyond.always[side]), ("forced", beyond.always[side])):
                wrong = said[key][side] & ~possible
                if wrong:
                    yield f"the file says that the platform decides this itself ({key}), and it does not", (direction, wrong)

    def _past(self, kept: Mapping[str, Packets]) -> Iterator[Fault]:
        """Yield what the past may not keep: at full points nothing inbound; at selective ones nothing that deny, never or S closes."""
        if not self.exclusive:
            if kept:
                yield "something is kept of the past, in a target that is additive", None
            return
        inbound, outbound = kept.get("kept_in", 0), kept.get("kept_out", 0)
        wrong = inbound if self.mode == "full" else inbound & (self.inbound.closed | self.inbound.never)
        if wrong:
            yield "is kept of the past against the policy", ("inbound", wrong)
        if self.egress == "enforce":
            wrong = outbound if self.mode == "full" else outbound & (self.outbound.closed | self.outbound.never)
            if wrong:
                yield "is kept of the past against the policy", ("outbound", wrong)

    def _derived(self, kept: Mapping[str, Packets]) -> tuple[tuple[Packets, Packets], tuple[Packets, Packets]]:
        kept_in, kept_out = kept.get("kept_in", 0), kept.get("kept_out", 0)
        least, most = self.inbound.exact | kept_in, self.inbound.loosest | kept_in | self.tolerated
        if self.egress == "enforce":
            return (least, self.outbound.exact | kept_out), (most, self.outbound.loosest | kept_out | self.tolerated)
        was = kept.get("was_out", kept_out)
        return (least, kept_out & was), (most, kept_out | was | self.tolerated)


def wishes(meaning: Meaning, target: Target, places: Mapping[str, Place], *, unfamilied: bool) -> dict[str, Wish]:
    """Return what the policy says at every point that it enforces and that can be held to it in this run."""
    space, evidence = meaning.space, target.evidence
    skipped = {point for point, place in places.items() if place.skipped} | set(texts(evidence["skipped"], "skipped"))
    partial = set(texts(evidence["incomplete"], "incomplete"))
    skipped.update(point for scope, points in evidence["scopes"].items() if scope in partial for point in items(points, "points"))
    tolerated = space.packets(addresses_of(evidence["quarantined"]), ANY)
    found: dict[str, Wish] = {}
    for machine in meaning.book.machines:
        if machine.target != target.name or machine.id in meaning.book.released:
            continue
        line = meaning.book.line(machine)
        if line.mode not in ("full", "selective"):
            continue
        for card in machine.cards:
            if not card.point or card.point not in places or card.point in skipped:
                continue
            own = space.mask(places[card.point].addresses)
            families = sum(whole for whole in space.families if own & whole)
            found[card.point] = Wish(
                mode=line.mode,
                egress=line.egress,
                exclusive=target.plan.get("mode") == "exclusive",
                inbound=meaning.ruling(machine, card.domain, inbound=True),
                outbound=meaning.ruling(machine, card.domain, inbound=False),
                owed=space.everything if unfamilied else space.box(families, space.every_row),
                tolerated=tolerated,
            )
    return found

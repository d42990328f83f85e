"""Adapters of the ordered platform that shield in a wrong way, one mistake each; and one that does it well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cloudsync.adapter import Access, Capabilities, Encoding, Intent, Method, Phase, Snapshot
from cloudsync.model.packets import ALL_PACKETS, NO_PACKETS
from cloudsync.model.workload import PointId
from cloudsync.testing.ordered import DENYING, OrderedAdapter, OrderedPlatform
from cloudsync.testing.ordered_table import SHIELDS, Line, OrderedTable, named
from tests.contract.ordered_stage import Maker

Cut = Mapping[PointId, Access]


class Shields(OrderedAdapter):
    """No mistake: the way is offered, and a shield that stands already is not put up again."""

    able: Capabilities = replace(DENYING, methods=(Method.MERGE, Method.SHIELD))

    def __init__(self, platform: OrderedPlatform, target: str = "mem", owner: str = "test", quota: int = 1000) -> None:
        super().__init__(platform, target, owner, quota, self.able)

    def shield(self, table: OrderedTable, packets: Cut) -> OrderedTable:
        there = {bare(line) for line in table.lines.values() if line.temporary}
        return table.with_lines(line for line in self.fresh(table, packets) if bare(line) not in there)

    def fresh(self, table: OrderedTable, packets: Cut) -> list[Line]:
        """Return the lines that a shield would add."""
        made = super().shield(table, packets)
        return [line for name, line in made.lines.items() if name not in table.lines]


def bare(line: Line) -> Line:
    """Return a line without number and name."""
    return replace(line, number=0, name="")


class CutsWholeClasses(Shields):
    """A shield aims at what the other rules aim at: everybody of a class."""

    def fresh(self, table: OrderedTable, packets: Cut) -> list[Line]:
        return [named(replace(line, points=self.classmates(table, line.points))) for line in super().fresh(table, packets)]

    def classmates(self, table: OrderedTable, points: tuple[PointId, ...]) -> tuple[PointId, ...]:
        """Return the points that a line of ours speaks of together with one of these."""
        sets = [set(line.points) for line in table.lines.values() if line.owner == table.owner]
        return tuple(sorted(set(points).union(*(one for one in sets if one & set(points)))))


class CutsWholePoints(Shields):
    """What cannot be said exactly is said loosely: everything is cut."""

    def fresh(self, table: OrderedTable, packets: Cut) -> list[Line]:
        return [named(replace(line, packets=ALL_PACKETS)) for line in super().fresh(table, packets)]


class MixesDirections(Shields):
    """What was to be cut inbound is cut outbound."""

    def fresh(self, table: OrderedTable, packets: Cut) -> list[Line]:
        return [named(replace(line, outbound=not line.outbound)) for line in super().fresh(table, packets)]


class ShieldsAgain(OrderedAdapter):
    """Each call puts a new shield beside the one that stands."""

    def __init__(self, platform: OrderedPlatform, target: str = "mem", owner: str = "test", quota: int = 1000) -> None:
        super().__init__(platform, target, owner, quota, Shields.able)

    def shield(self, table: OrderedTable, packets: Cut) -> OrderedTable:
        taken = {line.number for line in table.lines.values()}
        number = next(number for number in SHIELDS if number not in taken)
        lines = [
            named(Line(number, "", table.owner, deny=True, outbound=False, points=(point,), packets=access.inbound))
            for point, access in packets.items()
        ]
        return table.with_lines(lines[:1])


class ShieldsWithoutMark(Shields):
    """Nobody can tell whose the shields are."""

    def fresh(self, table: OrderedTable, packets: Cut) -> list[Line]:
        return [named(replace(line, owner="")) for line in super().fresh(table, packets)]


class ShieldsBelow(Shields):
    """Shields stand below the rules that they are against."""

    def fresh(self, table: OrderedTable, packets: Cut) -> list[Line]:
        return [named(replace(line, number=line.number + 30_000)) for line in super().fresh(table, packets)]


class OpensToShield(Shields):
    """A shield is an allow for all the rest."""

    def fresh(self, table: OrderedTable, packets: Cut) -> list[Line]:
        return [
            named(replace(line, deny=False, packets=ALL_PACKETS - (line.packets or NO_PACKETS))) for line in super().fresh(table, packets)
        ]


class DoesNotOfferIt(Shields):
    """There are denies, and the planner never hears of shields."""

    able = replace(DENYING, methods=(Method.MERGE,))


class ForgetsThatItIsForAWhile(Shields):
    """Steps of shields look like all others."""

    def steps(self, actual: OrderedTable, desired: OrderedTable, method: Method) -> tuple[Phase, ...]:
        phases = super().steps(actual, desired, method)
        return tuple(Phase(phase.name, tuple(replace(step, temporary=False) for step in phase.steps)) for phase in phases)


class TurnsRoundUnderShields(Shields):
    """Under a shield nobody looks at the order: what is old goes first."""

    def steps(self, actual: OrderedTable, desired: OrderedTable, method: Method) -> tuple[Phase, ...]:
        phases = super().steps(actual, desired, method)
        under = all(any(line.temporary for line in table.lines.values()) for table in (actual, desired))
        return tuple(reversed(phases)) if under else phases


class LeavesShields(Shields):
    """A shield that was left behind is thought to be wanted."""

    def encode(self, intent: Intent, snapshot: Snapshot) -> Encoding:
        encoding = super().encode(intent, snapshot)
        left = [line for line in snapshot.table.lines.values() if line.temporary]
        return replace(encoding, table=encoding.table.with_lines(left))


CUTS, LEADS, LEFT = (
    "a_shield_cuts_what_it_is_asked_to_and_nothing_else",
    "shields_lead_there_and_back",
    "a_shield_that_was_left_behind_is_removed",
)
BITES: tuple[tuple[str, Maker, str], ...] = (
    (CUTS, CutsWholeClasses, "which it was not asked to"),
    (CUTS, CutsWholePoints, "which it was not asked to"),
    (CUTS, MixesDirections, "which it was not asked to"),
    (CUTS, ShieldsAgain, "the same shield once more is another table"),
    (CUTS, ShieldsWithoutMark, "a shield counts as somebody else's"),
    (CUTS, ShieldsBelow, "one packet that is open is not cut"),
    (CUTS, OpensToShield, "opens"),
    (LEADS, DoesNotOfferIt, "do not offer shields"),
    (LEADS, ForgetsThatItIsForAWhile, "is not marked temporary"),
    (LEADS, TurnsRoundUnderShields, "opens inbound|cuts inbound"),
    (LEFT, LeavesShields, "CERTIFICATE|shut against the policy"),
    (LEFT, CutsWholePoints, "cut besides"),
)
"""Case, the adapter that breaks it, and what the failure says."""

"""A platform whose tables are numbers: each phase leads to the next one, and what each lets through is said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cloudsync.adapter import Access, Bounds, Patience, Step, Whose
from cloudsync.model.workload import PointId
from cloudsync.testing.memory import MemoryAdapter, MemoryPlatform

P, Q = PointId("p"), PointId("q")


class Staged(MemoryAdapter):
    """Tables are numbers: each phase leads to the next one. What they let through and at least let through is said."""

    patience = Patience(settle_s=5.0, visible_s=1.0, call_s=1.0)

    def __init__(
        self,
        *states: dict[PointId, Access],
        lower: Mapping[int, tuple[int, ...]] | None = None,
        upper: Mapping[int, tuple[int, ...]] | None = None,
    ) -> None:
        super().__init__(MemoryPlatform())
        self.states = states
        self.lower, self.upper = lower or {}, upper or {}
        self.refuses: tuple[str, ...] = ()
        self.error: type[Exception] = ValueError
        self.shields: dict[int, int] = {}

    def decode(self, table: object, whose: Whose = Whose.ALL, points: Iterable[PointId] | None = None) -> dict[PointId, Access]:
        """Return what a table lets through."""
        del whose
        assert isinstance(table, int)
        return {key: one for key, one in self.states[table].items() if points is None or key in set(points)}

    def affected(self, table: object, steps: tuple[Step, ...]) -> frozenset[PointId]:
        """Return the points that steps name, else all."""
        del table
        return frozenset(point for one in steps for point in (one.points or (P, Q)))

    def bounds(self, table: object, steps: tuple[Step, ...]) -> Bounds:
        """Return the tables that are said to be the bounds."""
        del steps
        assert isinstance(table, int)
        return Bounds(self.lower.get(table, (table,)), self.upper.get(table, (table,)))

    def simulate(self, table: object, *steps: Step) -> Any:
        """Return the next table."""
        assert isinstance(table, int)
        if any(one.key in self.refuses for one in steps):
            raise self.error("refused")
        return table + (1 if steps else 0)

    def shield(self, table: object, packets: Mapping[PointId, Access]) -> Any:
        """Return the table that is said to be the shielded one."""
        del packets
        assert isinstance(table, int)
        return self.shields.get(table, table)

"""Two phases as one: what a phase creates is filled while the rest of it is still being created, so that both draw on their limits at once.

Only for steps that no packet feels (`Effect.NONE`): new objects that nobody carries yet. Any order of those is safe, as long as each object
is there before another step names it; what names it waits until a read has shown it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush

from cloudsync.adapter import Adapter, Effect, Phase, Step
from cloudsync.model.bucket import behind, limit_of, seconds

BATCH = 25
"""So many objects are created before the first of them are looked for and filled: one read for each batch, and well below the size of the
buckets that the fillings draw on, which stay full meanwhile; so the wait costs nothing."""
NEW = re.compile(r"\{new:([^{}]+)\}")
"""How a payload refers to an object by the key under which another step creates it."""


def names(step: Step) -> frozenset[str]:
    """Return the keys of new objects that a step's payload refers to."""
    return frozenset(NEW.findall(step.payload))


def weavable(first: Phase, second: Phase) -> bool:
    """Tell whether the second of two phases may begin before the first has ended."""
    steps = (*first.steps, *second.steps)
    return all(step.effect is Effect.NONE for step in steps) and all(not step.mark for step in first.steps) and _fills(first, second)


def _fills(first: Phase, second: Phase) -> bool:
    made = {step.object for step in first.steps}
    return all(step.mark for step in second.steps) and any(names(step) & made for step in second.steps)


def weave(first: Phase, second: Phase) -> Phase:
    """Return both phases as one: batches of creations, and between those of each batch what the batches before it have made possible."""
    order, ready = _order(first.steps, second.steps)
    waiting = deque(ready)
    open_: deque[Step] = deque()
    share = -(-len(second.steps) // max(1, len(first.steps)))
    steps: list[Step] = []
    for begin in range(0, len(order), BATCH):
        batch = order[begin : begin + BATCH]
        while waiting and waiting[0][0] <= begin:
            open_.append(waiting.popleft()[1])
        for create in batch:
            steps.append(create)
            steps.extend(open_.popleft() for _ in range(min(share, len(open_))))
    steps.extend(open_)
    steps.extend(step for _, step in waiting)
    return Phase(f"{first.name}, {second.name}", tuple(steps))


def stages_of(phases: Iterable[Phase], *, woven: bool) -> list[tuple[Phase, int]]:
    """Return what stands between barriers, each with how many phases of the plan it is. `woven`: the platform allows it."""
    stages: list[tuple[Phase, int]] = []
    for phase in phases:
        if not phase.steps:
            continue
        if woven and stages and stages[-1][1] == 1 and weavable(stages[-1][0], phase):
            stages[-1] = weave(stages[-1][0], phase), 2
        else:
            stages.append((phase, 1))
    return stages


def at_limits(adapter: Adapter, phases: Iterable[Phase]) -> float:
    """Return the seconds that the calls of these phases take at least at the platform's limits."""
    stages = stages_of(phases, woven=adapter.capabilities.woven)
    return seconds([limit_of(adapter, step) for step in stage.steps] for stage, _ in stages)


def waits_behind(adapter: Adapter, phase: Phase) -> tuple[float, ...]:
    """Return, for each step of a phase as it is executed, the seconds that those behind it still wait at least at the platform's limits."""
    return behind(limit_of(adapter, step) for step in phase.steps)


def _order(creates: tuple[Step, ...], fills: tuple[Step, ...]) -> tuple[list[Step], list[tuple[int, Step]]]:
    """Return creations in an order that makes fillings possible early, and each filling with how many creations it needs to come first.

    The filling that lacks the fewest objects is next, the first in the plan among equals; its objects are created for it.
    """
    by_key = {step.object: step for step in creates}
    lacks = [{key for key in names(step) if key in by_key} for step in fills]
    users: dict[str, list[int]] = {}
    for at, keys in enumerate(lacks):
        for key in keys:
            users.setdefault(key, []).append(at)
    heap = [(len(keys), at) for at, keys in enumerate(lacks)]
    heapify(heap)
    order: list[Step] = []
    ready: list[tuple[int, Step]] = []
    for at in _next(heap, lacks):
        for key in sorted(lacks[at]):
            order.append(by_key.pop(key))
            for user in users[key]:
                lacks[user].discard(key)
                heappush(heap, (len(lacks[user]), user))
        ready.append((len(order), fills[at]))
    return [*order, *by_key.values()], ready


def _next(heap: list[tuple[int, int]], lacks: list[set[str]]) -> Iterator[int]:
    """Yield each filling once, the one that lacks the fewest objects at that moment first."""
    told: set[int] = set()
    while heap:
        count, at = heappop(heap)
        if at not in told and count == len(lacks[at]):
            told.add(at)
            yield at

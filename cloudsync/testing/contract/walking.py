"""Random walks: from policy to policy, by way of what people do in between, every state on the way looked at."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TypeVar

from cloudsync.model.quick import dataclass
from cloudsync.testing.contract.meaning import must_be_silent
from cloudsync.testing.contract.pipeline import OWNER, Runs
from cloudsync.testing.contract.stage import Hole, Stage
from cloudsync.testing.contract.world import (
    API,
    DNS,
    EVERYBODY,
    FULL,
    HTTPS,
    POSTGRES,
    RELEASED,
    SELECTIVE,
    SSH,
    Enforcing,
    Opening,
    Reach,
    World,
    told,
)
from cloudsync.testing.contract.writing import Witness, must_lie_between

SENTENCES: tuple[tuple[str, Opening], ...] = (
    ("allow iplist office to role=web on tcp/22", ("web", "office", SSH)),
    ("allow anywhere to role=web on tcp/443", ("web", EVERYBODY, HTTPS)),
    ("allow iplist partners to role=web on tcp/443", ("web", "partner", HTTPS)),
    ("allow role=db to role=web on tcp/8443", ("web", "db", API)),
    ("allow role=web to role=web on udp/53", ("web", "web", DNS)),
    ("allow role=web to role=db on tcp/5432", ("db", "web", POSTGRES)),
    ("allow role=other to role=db on tcp/5432", ("db", "other", POSTGRES)),
    ("allow iplist office, iplist partners to role=db on tcp/8443", ("db", "office", API)),
    ("allow iplist partners to role=db on tcp/8443", ("db", "partner", API)),
    ("allow anywhere to role=db on udp/53", ("db", EVERYBODY, DNS)),
)
"""Rules with what they open. The eighth also opens what the ninth does."""
BOTH = (("db", "office", API), ("db", "partner", API))
MODES: tuple[Enforcing, ...] = (FULL, FULL, FULL, SELECTIVE, RELEASED)
LEGS = 5


T = TypeVar("T")


@dataclass
class Dice:
    """Throws that depend on the seed alone."""

    seed: int
    thrown: int = 0

    def choice(self, found: Sequence[T]) -> T:
        """Return one of several."""
        self.thrown += 1
        digest = sha256(f"{self.seed}/{self.thrown}".encode()).digest()
        return found[int.from_bytes(digest[:8], "big") % len(found)]


class Walking:
    """Cases about chains of changes."""

    def test_random_walks_end_where_the_policy_says(self, stage: Stage) -> None:
        """Five changes one after the other, some after an edit by hand: exact, silent and safe at every write."""
        walk(stage, Dice(7))


def walk(stage: Stage, dice: Dice, legs: int = LEGS) -> None:
    """Walk from policy to policy; the dice decide everything."""
    world, runs = World.build(stage), Runs(stage)
    origin = world.reach()
    for leg in range(legs):
        chosen = [dice.choice(SENTENCES[number : number + 3]) for number in range(0, len(SENTENCES), 3)]
        rules, enforcing = tuple(dict.fromkeys(rule for rule, _ in chosen)), dice.choice(MODES if leg else MODES[:1])
        edited = bool(leg) and dice.choice((True, False)) and bool(stage.ours(OWNER))
        if edited:
            _edit(stage, dice)
        old, told_as = world.reach(), f"leg {leg + 1}: {enforcing.mode}, {'; '.join(rules)}{', after an edit by hand' if edited else ''}"
        witness = runs.after_write = Witness(world)
        runs.converge(*rules, enforcing=enforcing)
        new = world.reach()
        meant = _meant(world, origin, enforcing, tuple(opening for rule, one in chosen for opening in _openings(rule, one)))
        more, less = new - meant, meant - new
        assert new == meant, f"{told_as}: too much: {told(more) or 'nothing'}; too little: {told(less) or 'nothing'}"
        for title, state in witness.seen:
            must_lie_between(state, old, new, f"{told_as}: after '{title}'")
        must_be_silent(runs, *rules, what=told_as, enforcing=enforcing)


def _openings(rule: str, opening: Opening) -> tuple[Opening, ...]:
    return BOTH if "office, iplist" in rule else (opening,)


def _meant(world: World, origin: Reach, enforcing: Enforcing, openings: tuple[Opening, ...]) -> Reach:
    """Return what has to pass at the end of a leg; `origin` is what passed before us."""
    if enforcing.mode == "idle":
        return origin
    past = frozenset(one for one in world.at(origin, "web", "db") if enforcing.mode == "selective" and one[2] != SSH)
    return past | world.meant(openings) | world.at(origin, "other")


def _edit(stage: Stage, dice: Dice) -> None:
    """Let somebody change an object of ours, where there is one to change."""
    machine = dice.choice(("web1", "db1"))
    try:
        if dice.choice((True, False)):
            stage.widen(machine, Hole("198.51.100.0/24", *SSH))  # which no sentence opens
        else:
            stage.narrow(machine)
    except (StopIteration, ValueError, IndexError):
        return  # nothing of ours lets anybody in there

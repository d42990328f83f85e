"""First match in one sweep is first match rule by rule, for any actions, services and peers of both families."""

from __future__ import annotations

import random

from cloudsync.model.address import AddressSet
from cloudsync.model.firstmatch import decided
from cloudsync.model.packets import ALL_PACKETS, NO_PACKETS, PacketSet
from cloudsync.model.service import ServiceSet

ACTIONS = ("allow", "deny", "goto", "log")


def box(rng: random.Random) -> PacketSet:
    def peers(width: int, base: int) -> tuple[int, ...]:
        places = sorted(rng.sample(range(13), 2 * rng.choice([0, 1, 1, 1, 2])))
        return tuple(base + place for place in places) if places or rng.random() < 0.7 else (0, 1 << width)

    first = rng.choice([0, 22, 80, 443, 65530])
    services = rng.choice(
        [ServiceSet.ports(6, first, min(65535, first + rng.choice([0, 0, 5, 400]))), ServiceSet.protocol(rng.choice([1, 6, 17, 58]))]
    )
    return PacketSet.of(AddressSet(peers(32, 10 << 24), peers(128, 1 << 100)), services)


def one_by_one(rules: list[tuple[str, PacketSet]]) -> dict[str, PacketSet]:
    found: dict[str, PacketSet] = {}
    left = ALL_PACKETS
    for action, packets in rules:
        hit = packets & left
        left -= packets
        if hit:
            found[action] = found.get(action, NO_PACKETS) | hit
    return found


def test_one_sweep_decides_as_rule_by_rule() -> None:
    rng = random.Random(5)
    shadowed = 0
    for turn in range(1500):
        kinds = ACTIONS[: rng.choice([1, 2, 2, 3, 4])]
        rules = [(rng.choice(kinds), box(rng)) for _ in range(rng.choice([0, 1, 2, 3, 6, 12]))]
        if rng.random() < 0.3:
            rules = [(action, packets | box(rng)) for action, packets in rules]
        wanted = one_by_one(rules)
        assert decided(rules) == wanted, turn
        shadowed += sum(map(len, (packets.v4 for _, packets in rules))) > sum(len(one.v4) for one in wanted.values())
    assert shadowed > 300


def test_what_decides_nothing_is_left_out() -> None:
    rng = random.Random(1)
    some = PacketSet.of(AddressSet((1, 5)), ServiceSet.protocol(6))
    assert decided([]) == decided([("allow", NO_PACKETS)]) == {}
    assert decided([("allow", some)]) == {"allow": some}
    assert decided([("deny", ALL_PACKETS), ("allow", box(rng))]) == {"deny": ALL_PACKETS}

"""Who is named for a set of addresses is found by place, and nobody is missed whom a look at every class would find."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from cloudsync.compile import universe
from cloudsync.model.address import ANYWHERE, AddressSet
from cloudsync.model.workload import Domain
from cloudsync.proof import words
from cloudsync.proof.words import Names
from tests.property.test_compile_meaning import random_world


class _Everywhere:
    """Places that tell nothing: every class is looked at."""

    def __init__(self, count: int) -> None:
        self._count = count

    @classmethod
    def of(cls, classes: universe.Universe, _domain: Domain) -> _Everywhere:
        return cls(len(classes.classes))

    def near(self, _addresses: AddressSet) -> list[int]:
        return list(range(self._count))


@pytest.mark.parametrize("seed", range(40))
def test_words_are_those_of_a_look_at_every_class(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(seed)
    policy, workloads = random_world(dice)
    first, *others = workloads
    wide = replace(first.interfaces[0], addresses=AddressSet.of("10.0.0.8/30", "2600:1::8/126"))
    workloads = [replace(first, interfaces=(wide,)), *others]
    classes = universe.build(policy, workloads)
    sets = [classes.addresses(dice.getrandbits(len(classes.classes)), Domain("default")) for _ in range(4)]
    sets += [
        AddressSet.of("10.0.0.9/32"),
        AddressSet.of("10.0.0.11/32", "2600:1::9/128"),
        AddressSet.of(f"10.0.0.{4 * dice.randrange(3)}/30"),
        AddressSet.of("10.0.0.0/28", "2600:1::/125"),
        ANYWHERE,
    ]
    for domain in (Domain("default"), Domain("other")):
        quick = [Names(classes).peers(one, domain, 20) for one in sets]
        with monkeypatch.context() as patch:
            patch.setattr(words, "_Places", _Everywhere)
            assert [Names(classes).peers(one, domain, 20) for one in sets] == quick

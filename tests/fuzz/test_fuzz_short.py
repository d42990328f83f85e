"""Every parser is fed with what nobody would write: a little in each run of the tests, for hours by `make fuzz`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fuzz.loops import Crashes, feed_blindly
from tests.fuzz.mutate import Choices, edited
from tests.fuzz.record_samples import PLATFORMS, SAMPLES
from tests.fuzz.targets import ADAPTERS, TARGETS
from tests.fuzz.values import Target
from tests.trust.budget import budget, seed
from tests.trust.figures import record

FOUND = Path(__file__).parent / "found"
SLOW = {"verify-tree", "policy", "settings", "urls", "plan-tree", "inventory", "acknowledged", "azure", "yaml", "rows"}
"""Targets of less than ten thousand executions a second."""


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_breaks_a_parser(name: str) -> None:
    crashes = Crashes(TARGETS[name])
    most = budget(400, 4_000, 4_000) if name in SLOW else budget(3_000, 30_000, 30_000)
    feed_blindly(crashes, seed(), lambda count: count < most)
    record(f"T9 fuzz {name}", {"executions": crashes.executions, "crashes": len(crashes.inputs)})
    assert not crashes.inputs, crashes.told()


@pytest.mark.parametrize("path", sorted(FOUND.iterdir()), ids=lambda path: path.name)
def test_what_was_found_once_stays_mended(path: Path) -> None:
    crashes = Crashes(TARGETS[path.name.rpartition("-")[0]])
    crashes.feed(path.read_bytes())
    assert not crashes.inputs, crashes.told()


def test_a_parser_with_a_mistake_is_found_out() -> None:
    def mistaken(content: bytes) -> None:
        if b"::/" in content:
            raise IndexError("a mistake for this test")

    healthy = TARGETS["addresses"]
    crashes = Crashes(Target("mistaken", mistaken, healthy.seeds, healthy.words))
    feed_blindly(crashes, 1, lambda count: count < 20_000)
    assert len(crashes.inputs) == 1
    assert "IndexError" in crashes.told()


def test_the_same_seed_feeds_the_same_inputs() -> None:
    def fed(number: int) -> list[bytes]:
        seen: list[bytes] = []
        target = Target("kept", seen.append, TARGETS["services"].seeds, TARGETS["services"].words)
        feed_blindly(Crashes(target), number, lambda count: count < 200)
        return seen

    assert fed(1) == fed(1)
    assert fed(1) != fed(2)


def test_edits_are_drawn_from_bytes_and_change_something() -> None:
    sample = {"id": "x", "rules": [{"port": "22"}, {"port": "23"}]}
    made = [edited(sample, Choices(bytes([number, number * 3 % 256, number * 5 % 256] * 8))) for number in range(256)]
    assert made == [edited(sample, Choices(bytes([number, number * 3 % 256, number * 5 % 256] * 8))) for number in range(256)]
    assert len({repr(one) for one in made}) > 50
    assert sample == {"id": "x", "rules": [{"port": "22"}, {"port": "23"}]}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_samples_are_what_parsers_take(platform: str) -> None:
    parsers, _ = ADAPTERS[platform]
    from_lab = json.loads((SAMPLES / f"{platform}.json").read_text(encoding="utf-8"))
    assert set(from_lab) == set(parsers)
    for name, kept in from_lab.items():
        for one in kept:
            parsers[name](one)

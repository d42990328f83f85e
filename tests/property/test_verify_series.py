"""Targets that share paths: the checker accepts the stages that the planner chose, and no stage may be taken away, merged or moved."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cloudsync.verify.check import verify
from cloudsync.verify.values import Kind
from tests.oracle.four_rig import FourRig
from tests.property.alterations import signed
from tests.property.plan_files import PLATFORMS, Saved, grounds, plans
from tests.trust.budget import budget
from tests.trust.figures import record

Json = Any
Change = Callable[[list[Json]], list[Json]]
KNOWN = 3
"""A seed whose targets share paths on which one closes while another opens."""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FourRig]:
    made = grounds(PLATFORMS, tmp_path_factory.mktemp)
    yield FourRig(made, tmp_path_factory.mktemp("repository"))
    for ground in made.values():
        ground.stop()


@pytest.fixture(scope="module")
def known(rig: FourRig) -> list[Saved]:
    return list(plans(rig, KNOWN, dict.fromkeys(PLATFORMS, "exclusive")))


def changed(content: str, change: Change | None) -> str:
    """Return a plan file whose components have other stages, or none at all; digests are made again."""
    document = json.loads(content)
    for target in document["plan"]["targets"]:
        if target.get("component") is not None:
            if change is None:
                del target["component"]
            else:
                target["component"]["stages"] = change(copy.deepcopy(target["component"]["stages"]))
    return signed(document)


def merged(stages: list[Json]) -> list[Json]:
    ends: dict[str, int] = {}
    for stage in stages:
        ends |= {leg["target"]: leg["end"] for leg in stage["legs"]}
    return [{"name": "all at once", "legs": [{"target": name, "first": 0, "end": end} for name, end in ends.items()]}]


def kinds(content: str) -> set[Kind]:
    return {one.kind for one in verify(content).objections}


def test_what_the_stages_are_for(rig: FourRig, known: list[Saved]) -> None:
    components = rejected = 0
    more = range(KNOWN + 1, KNOWN + budget(change=1, night=30, release=12))
    for some in (known, *(plans(rig, seed, dict.fromkeys(PLATFORMS, "exclusive")) for seed in more)):
        for saved in some:
            if '"component":{' not in saved.content or not verify(saved.content).accepted:
                continue
            components += 1
            assert kinds(changed(saved.content, merged)) == {Kind.SERIES}
            assert kinds(changed(saved.content, None)) == {Kind.SERIES}
            assert kinds(changed(saved.content, lambda stages: stages[1:])) == {Kind.UNREADABLE}
            assert verify(changed(saved.content, list)).accepted
            rejected += 3
    assert components
    record("T verify series", {"altered": rejected, "rejected": rejected, "missed": 0, "false_alarms": 0, "components": components})


def test_targets_of_one_component_tell_the_same_of_it(known: list[Saved]) -> None:
    found = 0
    for saved in known:
        document = json.loads(saved.content)
        sharing = [one for one in document["plan"]["targets"] if one.get("component") is not None]
        if sharing:
            sharing[0]["component"]["stages"][0]["name"] = "another name"
            assert kinds(signed(document)) == {Kind.UNREADABLE}
            found += 1
    assert found

"""`release`: enforcement points as they were before us, when the policy agrees, or with a hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.small import Small
from tests.service.small_world import POLICY, small_world

WATCHED = POLICY.replace("default: full", "default: visibility")
WATCH_DB = POLICY.replace(
    "enforcement: {default: full}", "enforcement:\n  default: full\n  rules:\n    - {scope: role=db, mode: visibility}"
)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    with small_world(tmp_path) as world:
        yield Small(world)


@pytest.fixture
def taken(small: Small) -> Small:
    """Everything enforced; what stood there before is in `before`."""
    small.world.settings(("one", "two"))
    small.guards("guards: {", "guards: {open_to_internet: allow, ")
    small.before = {name: (small.carried(name), small.foreign(name)) for name in ("one", "two")}
    small.applied(POLICY, "start")
    assert not small.anybody()
    return small


def test_what_the_policy_still_enforces_is_refused_with_both_ways_out(taken: Small) -> None:
    ran = taken.run("release", "one-db", "--yes", code=4)
    assert "STILL-ENFORCED" in ran.err
    assert "the next run would take them again" in ran.err
    assert "mode visibility or idle" in ran.err
    assert "--hold" in ran.err
    assert not taken.anybody()


def test_with_a_hold_it_is_given_back_and_stays(taken: Small) -> None:
    ran = taken.run("release", "one-db", "--hold", "--yes", "--because", "vendor on the phone", "--by", "jo", code=0)
    assert taken.anybody()
    assert not taken.anybody("one-web"), "the other machine stays enforced"
    assert "ON HOLD one: release of one-db: vendor on the phone" in ran.out
    taken.run("apply", "--yes", code=4)
    assert taken.anybody()
    assert taken.run("drift").code == 2, "and everybody sees that it is open"
    taken.run("unhold", "one", code=0)
    taken.run("apply", "--yes", code=0)
    assert not taken.anybody(), "the policy still says so"


def test_what_it_opens_is_guarded(taken: Small) -> None:
    taken.guards("open_to_internet: allow, ", "")
    ran = taken.run("release", "one-db", "--hold", "--yes", "--json", code=4)
    assert ran.document["holds"] == []
    (refusal,) = ran.document["targets"][0]["refusals"]
    assert refusal["guard"] == "G-OPEN"
    assert "next: the same `cloudsync release` again" in taken.repository.printed(refusal["approve"]).out
    taken.run("release", "one-db", "--hold", "--yes", code=0)
    assert taken.anybody()


def test_only_targets_of_what_is_given_back_are_written_to(taken: Small) -> None:
    taken.world.edit("two")
    writes = taken.world.writes("two")
    ran = taken.run("release", "one-db", "--hold", "--yes", "--json", code=0)
    assert [one["name"] for one in ran.document["targets"]] == ["one"]
    assert taken.world.writes("two") == writes
    assert [one["target"] for one in ran.document["holds"]] == ["one"]


def test_a_whole_target_is_as_it_was_before_us(taken: Small) -> None:
    refused = taken.run("release", "--target", "one", "--hold", "--yes", code=4)
    assert "a scope is never emptied unasked" in refused.out
    taken.insist("release", "--target", "one", "--hold")
    assert (taken.carried("one"), taken.foreign("one")) == taken.before["one"]
    assert taken.carried("two") != taken.before["two"][0]


def test_a_label_chooses_in_a_target(taken: Small) -> None:
    taken.run("release", "--target", "one", "--label", "role=db", "--hold", "--yes", code=0)
    assert taken.anybody()
    assert not taken.anybody("one-web")


def test_when_the_policy_agrees_it_needs_no_hold_and_stays(taken: Small) -> None:
    taken.commit(WATCH_DB, "only watch db")
    ran = taken.run("release", "one-db", "--yes", "--json", code=0)
    assert ran.document["holds"] == []
    assert taken.anybody()
    taken.run("apply", "--yes", code=0)
    assert taken.anybody()


def test_what_is_given_back_already_needs_no_write(taken: Small) -> None:
    taken.commit(WATCHED, "only watch")
    taken.insist("apply")
    writes = taken.world.writes()
    taken.run("release", "one-db", "--yes", code=0)
    assert taken.world.writes() == writes


def test_a_point_is_named_by_its_own_id(taken: Small) -> None:
    point = next(key for key in taken.carried("one") if key.endswith("one-db"))
    taken.run("release", point, "--hold", "--yes", code=0)
    assert taken.anybody()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "WHICH-POINT say what"),
        (("one-db", "--label", "role=db"), "WHICH-POINT --label chooses in a whole target"),
        (("one-dv", "--hold"), "UNKNOWN-WORKLOAD no workload 'one-dv'"),
        (("one-dv", "--hold"), "did you mean 'one-db'"),
        (("--target", "onee"), "UNKNOWN-TARGET no target 'onee'"),
        (("--target", "one", "--label", "role=dbb"), "UNKNOWN-VALUE --label role=dbb"),
        (("--target", "one", "--label", "rolle=db"), "did you mean 'role'"),
        (("--target", "one", "--label", "role"), "MISSING-VALUE"),
    ],
)
def test_what_cannot_be_meant_is_said_so(taken: Small, words: tuple[str, ...], said: str) -> None:
    writes = taken.world.writes()
    ran = taken.run("release", *words, "--yes", code=3)
    assert said in ran.out
    assert taken.world.writes() == writes


def test_it_is_asked_for(taken: Small) -> None:
    ran = taken.run("release", "one-db", "--hold", code=4)
    assert "there is no terminal to ask at" in ran.err
    assert "given back" in ran.out
    assert taken.run("history", "--json").document["holds"] == []


def test_what_somebody_attached_since_stays(taken: Small) -> None:
    found = taken.world.platforms["one"]
    extra = found.add_group("extra", [("203.0.113.0/24", "6/9-9")], scope="one/one")
    key = next(one for one in found.spots if one.endswith("one-db"))
    spot = found.spots[key]
    found.spots[key] = replace(spot, groups=tuple(sorted((*spot.groups, extra))))
    taken.run("release", "one-db", "--hold", "--yes", code=0)
    assert extra in taken.carried()[key]
    assert taken.anybody()


def test_the_trail_says_who_and_that_it_was_a_release(taken: Small) -> None:
    taken.run("release", "one-db", "--hold", "--yes", "--by", "jo", code=0)
    entries = taken.run("audit", "-n", "1000", "--json").document["entries"]
    begun = [one for one in entries if one["event"] == "run"][-1]
    assert begun["verb"] == "release"
    assert [one["who"] for one in entries if one["event"] == "hold"] == ["jo"]
    (change,) = [one for one in entries if one["event"] == "change" and one["run"] == begun["run"]]
    assert "anywhere" in change["opens"][0]
    assert [one["point"] for one in entries if one["event"] == "release"] == [key for key in taken.carried() if key.endswith("one-db")]

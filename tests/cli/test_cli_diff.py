"""`diff`: two versions of the policy, the policy and reality, two platforms, in packets and words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.small import Small
from tests.service.small_world import ELSEWHERE, MORE, POLICY, small_world


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    with small_world(tmp_path) as world:
        yield Small(world)


def test_two_commits_differ_in_what_the_newer_rule_opens(small: Small) -> None:
    first = small.commit(POLICY, "start")
    second = small.commit(POLICY + MORE, "office may ssh to db")
    there = small.run("diff", first[:8], second[:8], "--json", code=2).document
    assert there["what"] == "policies"
    assert [one["direction"] for one in there["differences"]] == ["inbound"] * len(there["differences"])
    (box,) = there["differences"][0]["opens"]
    assert (box["peers"], box["services"]) == (["192.0.2.0/24"], ["tcp/22"])
    assert there["differences"][0]["closes"] == []
    assert there["differences"][0]["opened_by"][0]["where"].startswith("policy/all.yaml:")
    back = small.run("diff", second, first, "--json", code=2).document
    assert [one["closes"] for one in back["differences"]] == [one["opens"] for one in there["differences"]]
    assert back["differences"][0]["let_through_before_by"] == there["differences"][0]["opened_by"]


def test_without_sides_the_folder_is_compared_with_the_last_commit(small: Small) -> None:
    small.commit(POLICY, "start")
    assert "no packet differs" in small.run("diff", code=0).out
    small.world.write("policy/all.yaml", POLICY + MORE)
    out = small.run("diff", code=2).out
    assert "+ tcp/22 from 192.0.2.0/24" in out
    assert "because of" in out
    assert "with uncommitted changes" in out


def test_a_comment_and_another_order_differ_in_no_packet(small: Small) -> None:
    small.commit(POLICY, "start")
    small.world.write("policy/all.yaml", "# reviewed\n" + POLICY)
    assert small.run("diff", code=0).code == 0


def test_coming_under_the_policy_says_what_stays_open(small: Small) -> None:
    small.commit(POLICY.replace("full", "visibility"), "watch")
    small.commit(POLICY, "enforce")
    out = small.run("diff", "HEAD~1", "HEAD", code=2).out
    assert "mode: visibility -> full" in out
    assert "come under the policy: what it does not open is cut from now on" in out
    assert "only this stays open:" in out
    other = small.run("diff", "HEAD", "HEAD~1", code=2).out
    assert "leave the policy" in other


def test_offline_goes_by_the_workloads_of_the_last_good_run(small: Small) -> None:
    small.commit(POLICY, "start")
    ran = small.run("diff", "--offline", code=3)
    assert "NOTHING-REMEMBERED" in ran.out
    small.run("apply", "--yes", code=0)
    small.world.write("policy/all.yaml", POLICY + MORE)
    told = small.run("diff", "--offline", "--json", code=2).document
    assert told["remembered"]
    online = small.run("diff", "--json", code=2).document
    assert told["differences"] == online["differences"]
    assert told["workloads"] == online["workloads"]


def test_policy_and_reality_differ_in_drift(small: Small) -> None:
    small.commit(POLICY, "start")
    ran = small.run("diff", ".", "@one", "--json", code=2)
    (target,) = ran.document["targets"]
    drift = small.run("drift", "--target", "one", "--json", code=2).document["targets"][0]
    assert [one["text"] for one in target["drift"]] == [one["text"] for one in drift["drift"]]
    small.insist("apply")
    assert small.run("diff", "HEAD", "@one", code=0).code == 0
    small.commit(POLICY + MORE, "office may ssh to db")
    assert small.run("diff", "HEAD~1", "@one", code=0).code == 0, "reality is still what the earlier commit says"
    assert small.run("diff", "HEAD", "@one", code=2).code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("a", "b", "c"), "BAD-SIDE 3 sides; a difference has two"),
        (("HEAD", "HEAD"), "BAD-SIDE both sides are 'HEAD'"),
        (("nowhere",), "NO-COMMIT there is no commit and no run 'nowhere'"),
        ((".", "@two", "--offline"), "BAD-SIDE --offline looks at no platform"),
        ((".", "@nobody"), "UNKNOWN-TARGET no target 'nobody'"),
        (("@one", "@nobody"), "UNKNOWN-TARGET no target 'nobody'"),
    ],
)
def test_a_side_that_is_none_is_invalid_input(small: Small, words: tuple[str, ...], said: str) -> None:
    small.commit(POLICY, "start")
    ran = small.run("diff", *words, code=3)
    assert said in ran.out


def test_two_platforms_are_compared_by_what_they_let_through(small: Small) -> None:
    small.world.settings(("one", "two"))
    small.commit(POLICY, "start")
    small.insist("apply")
    alike = small.run("diff", "@one", "@two", "--json", code=0).document
    assert (alike["what"], alike["classes"], alike["differences"]) == ("platforms", 2, [])
    groups = small.world.platforms["two"].groups
    key = next(key for key, one in groups.items() if one.owner and any(rule.service == "6/443-443" for rule in one.rules))
    groups[key] = replace(groups[key], rules=groups[key].rules | {ELSEWHERE})
    ran = small.run("diff", "@one", "@two", code=2)
    assert "only two lets through:" in ran.out
    assert "tcp/22 from 198.51.100.0/24" in ran.out
    assert "1 of 2 classes are treated alike" in ran.out

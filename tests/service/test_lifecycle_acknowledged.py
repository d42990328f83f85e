"""acknowledged.yaml in real runs: counted, not shouted; and loud again when it ends or when it gets worse."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from cloudsync.app import session
from cloudsync.testing.clock import SimulatedClock
from tests.cli.stage import Stage, staged, tcp

POLICY = """\
enforcement: {default: full}
rulesets:
  - name: shop
    scope: all
    rules:
      - allow role=web to role=db on tcp/5432
"""
NOON = 1_800_014_400.0
"""2027-01-15T12:00:00Z."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("repository")) as one:
        yield one


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimulatedClock:
    one = SimulatedClock(NOON)
    monkeypatch.setattr(session, "SystemClock", lambda: one)
    return one


@pytest.fixture
def stage(server: Stage, clock: SimulatedClock) -> Stage:
    """A converged additive target: what outsiders open stays open."""
    server.clear()
    net = server.net()
    old = server.group(net, "legacy")
    for role in ("web", "db"):
        server.machine(net, role, f"role={role}", [old])
    server.settings("additive")
    server.policy(POLICY)
    server.converge()
    server.ec2.authorize_security_group_ingress(GroupId=old, IpPermissions=[tcp(21, "10.0.0.0/8")])
    clock.advance(300)
    return server


def drifts(stage: Stage) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(stage.run("drift", "--json").out)["targets"][0]["drift"]
    return found


def keys(stage: Stage) -> list[str]:
    found = drifts(stage)
    return sorted(one["key"] for drift in found for one in drift["findings"])


def accept(stage: Stage, *found: str, until: str = "2027-02-01T00:00:00Z", because: str = "vendor needs it, NET-7") -> None:
    lines = "".join(f'  - {{finding: {key}, until: {until}, because: "{because}", by: jo}}\n' for key in found)
    (stage.root / "acknowledged.yaml").write_text(f"version: 1\nacknowledged:\n{lines}", encoding="utf-8")


def test_what_is_acknowledged_is_counted_not_shouted(stage: Stage) -> None:
    both = keys(stage)
    assert len(both) == 2
    accept(stage, both[0])
    one = stage.run("drift", code=2)
    assert re.search(r"1 acknowledged\n      \[medium\] tcp/21 from .* · " + both[0], one.out), str(one)
    assert "until 2027-02-01 00:00 UTC because vendor needs it, NET-7 (jo)" in one.out
    assert len(re.findall(r"^  \[medium\] tcp/21", one.out, re.MULTILINE)) == 1
    assert "1 medium, 1 acknowledged on 1 target" in one.out
    accept(stage, *both)
    quiet = stage.run("drift", code=0)
    assert "= no drift beyond what is acknowledged" in quiet.out
    assert "no drift, 2 acknowledged on 1 target" in quiet.out
    plan = stage.run("plan", code=0)
    assert "  ! [" not in plan.out
    assert "2 acknowledged" in plan.out


def test_json_says_until_when_and_why(stage: Stage) -> None:
    accept(stage, *keys(stage))
    found = drifts(stage)
    told = [one for drift in found for one in drift["findings"]]
    assert {one["state"] for one in told} == {"acknowledged"}
    assert told[0]["acknowledged"] == {"until": "2027-02-01T00:00:00Z", "because": "vendor needs it, NET-7", "by": "jo"}


def test_when_it_ends_it_is_loud_again(stage: Stage, clock: SimulatedClock) -> None:
    accept(stage, *keys(stage), until="2027-01-15T13:00:00Z")
    stage.run("drift", code=0)
    clock.advance(3600)
    ran = stage.run("drift", code=2)
    assert "· changed, there since 1 hour ·" in ran.out, str(ran)
    assert "acknowledged.yaml:3:15 EXPIRED the acknowledgement of" in ran.out
    clock.advance(300)
    assert "· since 1 hour ·" in stage.run("drift", code=2).out


def test_lines_that_do_nothing_are_told(stage: Stage) -> None:
    accept(stage, "aws/0123456789ab", "awz/0123456789ab")
    ran = stage.run("drift", code=2)
    assert "acknowledged.yaml:3:15 ACKNOWLEDGES-NOTHING there is no finding aws/0123456789ab (any more); take the line out" in ran.out
    assert "acknowledged.yaml:4:15 UNKNOWN-TARGET no target 'awz'; did you mean 'aws'" in ran.out


def test_a_broken_file_is_invalid_input_and_nothing_is_contacted(stage: Stage) -> None:
    (stage.root / "acknowledged.yaml").write_text("acknowledged:\n  - {finding: aws/0123456789ab, until: 2027-02-01T00:00:00Z}\n")
    stage.forget()
    for verb in ("drift", "apply", "validate"):
        ran = stage.run(verb, code=3)
        assert "acknowledged.yaml:2:5 MISSING-FIELD an entry of 'acknowledged' has no 'because'" in ran.out + ran.err, str(ran)
    assert stage.calls() == {}


def test_a_saved_plan_outlives_an_acknowledgement(stage: Stage) -> None:
    """What somebody accepts changes no plan."""
    stage.policy(POLICY.replace("5432", "3306"))
    stage.run("plan", "-o", str(stage.root / "plan.json"), code=2)
    accept(stage, *keys(stage))
    stage.run("apply", "--yes", str(stage.root / "plan.json"), code=0)


def test_what_a_changed_policy_lacks_is_not_called_anybodys_doing(stage: Stage) -> None:
    stage.policy(POLICY.replace("5432", "3306"))
    ran = stage.run("drift", code=2)
    assert "wanted, but not let through" in ran.out
    assert "not applied yet: the policy changed since the last apply" in ran.out
    found = drifts(stage)
    assert {(one["kind"], one["pending"]) for one in found} == {("missing", True), ("shadow", False)}


def test_hostile_words_in_the_file_are_inert(stage: Stage) -> None:
    accept(stage, *keys(stage), because="\\e[2J\\u202eevil")
    ran = stage.run("drift")
    assert "\x1b" not in ran.out
    assert "\u202e" not in ran.out

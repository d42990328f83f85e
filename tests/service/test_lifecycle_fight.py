"""Somebody who undoes what is restored, again and again, on a simulated day: the cap, what is told, and how it ends (F23)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from cloudsync.app import session
from cloudsync.app.repository import load
from cloudsync.app.story import retell
from cloudsync.report.story import Deed, State, Story
from cloudsync.store.state import State as Store
from cloudsync.testing.clock import SimulatedClock
from tests.cli.stage import OPEN, Stage, staged, tcp

POLICY = """\
enforcement: {default: full}
rulesets:
  - name: shop
    scope: all
    owner: team-shop
    rules:
      - allow role=web to role=db on tcp/5432
"""
NOON = 1_800_014_400.0
"""2027-01-15T12:00:00Z."""
MIDNIGHT = 1_800_057_600.0
CAP = 3
ANYBODY = tcp(22, "0.0.0.0/0")


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
    """A converged estate of a web and a db machine."""
    server.clear()
    net = server.net()
    for role in ("web", "db"):
        server.machine(net, role, f"role={role}")
    server.settings(guards=f"{OPEN}, max_restores: {CAP}")
    server.policy(POLICY)
    server.converge()
    return server


def told(stage: Stage, clock: SimulatedClock) -> Story:
    with Store(stage.root / ".cloudsync" / "state.db", clock) as state:
        story = retell(state, load(stage.root), clock.now())
    assert story is not None
    return story


def ours(stage: Stage, name: str = "db") -> str:
    (found,) = (one for one in stage.carries(name) if one in stage.ours())
    return found


def reopen(stage: Stage) -> None:
    stage.ec2.authorize_security_group_ingress(GroupId=ours(stage), IpPermissions=[ANYBODY])


def test_an_adversary_is_put_right_so_often_a_day_and_then_a_person_has_to_look(stage: Stage, clock: SimulatedClock) -> None:
    group, news = ours(stage), []
    for number in range(CAP):
        clock.advance(300)
        reopen(stage)
        stage.run("apply", "--yes", code=0)
        (one,) = told(stage, clock).findings
        assert (one.deed, one.returns) == (Deed.RESTORED, number)
        news.append(one.state)
    assert news == [State.NEW, State.ONGOING, State.ONGOING]
    clock.advance(300)
    reopen(stage)
    stage.forget()
    refused = stage.run("apply", "--yes", code=4)
    assert stage.writes() == {}
    line = rf"REFUSED G-FLAP aws: 1 object restored {CAP} times today \(limit {CAP}\), not again before 2027-01-16T00:00Z: somebody"
    assert re.search(line, refused.out), str(refused)
    assert f"{group}: tcp/22 from anywhere (IPv4) at db" in refused.out
    story = told(stage, clock)
    (one,) = story.findings
    assert (one.state, one.deed, one.why, one.flapping, one.returns) == (State.CHANGED, Deed.REFUSED, "G-FLAP", True, CAP)
    assert "find out who" in one.advice
    assert [(trouble.what, trouble.target) for trouble in story.troubles] == [("refused", "aws")]
    clock.advance(300)
    stage.run("apply", "--yes", code=4)
    (one,) = told(stage, clock).findings
    assert (one.state, one.quiet) == (State.ONGOING, True)


def test_the_next_day_it_is_restored_again_and_the_target_recovers(stage: Stage, clock: SimulatedClock) -> None:
    for _ in range(CAP + 1):
        clock.advance(300)
        reopen(stage)
        stage.run("apply", "--yes")
    clock.advance(MIDNIGHT - clock.now())
    stage.run("apply", "--yes", code=0)
    assert not stage.passes("db", "198.51.100.1", "tcp/22")
    story = told(stage, clock)
    assert [one.deed for one in story.findings] == [Deed.RESTORED]
    assert story.troubles == ()
    assert [one.state for one in story.targets] == ["changed"]


def test_the_other_side_may_simply_stop(stage: Stage, clock: SimulatedClock) -> None:
    for _ in range(CAP + 1):
        clock.advance(300)
        reopen(stage)
        stage.run("apply", "--yes")
    stage.ec2.revoke_security_group_ingress(GroupId=ours(stage), IpPermissions=[ANYBODY])
    clock.advance(300)
    stage.run("apply", "--yes", code=0)
    (one,) = told(stage, clock).findings
    assert one.state is State.RESOLVED


def test_a_person_may_approve_one_more(stage: Stage, clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("cloudsync.app.ledger.SystemClock", "cloudsync.clock.SystemClock"):
        monkeypatch.setattr(place, lambda: clock)
    for _ in range(CAP):
        clock.advance(300)
        reopen(stage)
        stage.run("apply", "--yes", code=0)
    reopen(stage)
    stage.run("apply", "--yes", code=4)
    stage.converge()
    assert not stage.passes("db", "198.51.100.1", "tcp/22")
    reopen(stage)
    stage.run("apply", "--yes", code=4)


def test_what_is_taken_away_again_and_again_is_capped_too(stage: Stage, clock: SimulatedClock) -> None:
    for number in range(CAP + 1):
        clock.advance(300)
        rules = stage.estate().groups[ours(stage)]["IpPermissions"]
        stage.ec2.revoke_security_group_ingress(GroupId=ours(stage), IpPermissions=rules)
        stage.run("apply", "--yes", code=0 if number < CAP else 4)
    (one,) = told(stage, clock).findings
    assert (one.kind.name, one.deed, one.flapping) == ("MISSING", Deed.REFUSED, True)


def test_other_objects_have_a_count_of_their_own(stage: Stage, clock: SimulatedClock) -> None:
    for _ in range(CAP):
        reopen(stage)
        stage.run("apply", "--yes", code=0)
    stage.ec2.authorize_security_group_ingress(GroupId=ours(stage, "web"), IpPermissions=[ANYBODY])
    stage.run("apply", "--yes", code=0)

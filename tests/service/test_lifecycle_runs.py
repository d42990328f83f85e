"""Findings over real runs: a lab, outsiders' edits, and what every run tells about them."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

import pytest

from cloudsync.app.repository import load
from cloudsync.app.story import retell
from cloudsync.clock import SystemClock
from cloudsync.report.story import Deed, State, Story
from cloudsync.store.state import State as Store
from tests.cli.stage import Stage, staged, tcp

POLICY = """\
enforcement: {default: full}
rulesets:
  - name: shop
    scope: all
    owner: team-shop
    rules:
      - allow role=web to role=db on tcp/5432
  - name: other
    scope: all
    owner: team-lb
    rules:
      - allow role=lb to role=web on tcp/443
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("repository")) as one:
        yield one


@pytest.fixture
def stage(server: Stage) -> Stage:
    """A converged estate of two machines, both called by their role."""
    server.clear()
    net = server.net()
    for role in ("web", "db"):
        server.machine(net, role, f"role={role}", [server.group(net, f"old-{role}", tcp(22, "0.0.0.0/0"))])
    server.settings()
    server.policy(POLICY)
    server.converge()
    return server


def looked(stage: Stage, verb: str = "drift") -> Story:
    """Make one run and return its story."""
    stage.run(verb, *(("--yes",) if verb == "apply" else ()))
    return again(stage)


def again(stage: Stage) -> Story:
    loaded = load(stage.root)
    with Store(stage.root / ".cloudsync" / "state.db", SystemClock()) as state:
        story = retell(state, loaded, SystemClock().now())
    assert story is not None
    return story


def open_ssh(stage: Stage, name: str = "db") -> str:
    (ours,) = (one for one in stage.carries(name) if one in stage.ours())
    stage.ec2.authorize_security_group_ingress(GroupId=ours, IpPermissions=[tcp(22, "0.0.0.0/0")])
    return ours


def test_the_first_apply_finds_nobody_to_blame(stage: Stage) -> None:
    story = again(stage)
    assert story.findings == ()
    assert [(one.name, one.state) for one in story.targets] == [("aws", "changed")]
    assert [one.state for one in looked(stage, "apply").targets] == ["in sync"]


def test_an_opening_is_new_then_restored_then_resolved(stage: Stage) -> None:
    open_ssh(stage)
    (new,) = looked(stage).findings
    assert (new.state, new.deed, new.severity.value, new.words) == (State.NEW, Deed.NOTHING, "critical", "tcp/22 from anywhere (IPv4)")
    assert new.workloads == ("db",)
    assert new.owners == ("team-shop",)
    (still,) = looked(stage).findings
    assert (still.key, still.state, still.seen, still.first_seen) == (new.key, State.ONGOING, 2, new.first_seen)
    (restored,) = looked(stage, "apply").findings
    assert (restored.key, restored.state, restored.deed) == (new.key, State.ONGOING, Deed.RESTORED)
    (gone,) = looked(stage, "apply").findings
    assert (gone.key, gone.state, gone.deed, gone.quiet) == (new.key, State.RESOLVED, Deed.RESTORED, True)
    assert looked(stage, "apply").findings == ()


def test_a_changed_policy_is_no_finding(stage: Stage) -> None:
    stage.policy(POLICY.replace("5432", "3306"))
    assert looked(stage).findings == ()
    story = looked(stage, "apply")
    assert story.findings == ()
    assert [one.state for one in story.targets] == ["changed"]
    assert looked(stage, "apply").findings == ()


def test_a_machine_that_joins_is_enrolled_in_silence(stage: Stage) -> None:
    net = stage.net("10.2")
    stage.machine(net, "web-2", "role=web", [stage.group(net, "template", tcp(22, "0.0.0.0/0"))])
    stage.converge()
    assert again(stage).findings == ()
    assert not stage.passes("web-2", "198.51.100.1", "tcp/22")


def test_a_machine_that_waits_for_its_enrolment_is_a_finding(stage: Stage) -> None:
    """While a hold stops the apply, what it lets in is open."""
    stage.run("hold", "aws", "--because", "freeze", "--by", "jo", code=0)
    net = stage.net("10.2")
    stage.machine(net, "web-2", "role=web", [stage.group(net, "template", tcp(22, "0.0.0.0/0"))])
    stage.run("apply", "--yes", code=4)
    story = again(stage)
    (one,) = (one for one in story.findings if one.kind.name == "EXCESS" and one.direction == "inbound")
    assert (one.state, one.deed, one.why, one.workloads) == (State.NEW, Deed.REFUSED, "HOLD", ("web-2",))
    assert [(trouble.what, trouble.approve) for trouble in story.troubles] == [("refused", "cloudsync unhold aws")]
    stage.run("unhold", "aws", code=0)
    stage.converge()
    closed = again(stage).findings
    assert {(other.state, other.deed) for other in closed} == {(State.ONGOING, Deed.RESTORED)}


def test_a_region_that_was_not_read_resolves_nothing(stage: Stage) -> None:
    open_ssh(stage)
    (new,) = looked(stage).findings
    stage.lab.control.fault("DescribeNetworkInterfaces", "denied")
    story = looked(stage)
    (kept,) = story.findings
    assert (kept.key, kept.state, kept.quiet, kept.last_seen) == (new.key, State.ONGOING, True, new.last_seen)
    assert [(one.what, one.target) for one in story.troubles] == [("failed", "aws")]
    assert [one.state for one in story.targets] == ["failed"]
    back = looked(stage)
    assert [(one.key, one.state, one.returns) for one in back.findings] == [(new.key, State.ONGOING, 0)]
    assert [one.state for one in back.targets] == ["drift"]


def test_what_went_away_by_itself_is_resolved_and_new_when_it_is_back(stage: Stage) -> None:
    group = open_ssh(stage)
    (new,) = looked(stage).findings
    stage.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[tcp(22, "0.0.0.0/0")])
    (gone,) = looked(stage).findings
    assert (gone.key, gone.state, gone.quiet) == (new.key, State.RESOLVED, False)
    open_ssh(stage)
    (back,) = looked(stage).findings
    assert (back.key, back.state, back.returns, back.seen) == (new.key, State.NEW, 1, 1)
    assert "since less than a minute, back for the 1st time" in stage.run("drift", code=2).out


def test_a_second_rule_does_not_touch_the_first_finding(stage: Stage) -> None:
    group = open_ssh(stage)
    (first,) = looked(stage).findings
    stage.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[tcp(3389, "0.0.0.0/0")])
    both = {one.key: one.state for one in looked(stage).findings}
    assert len(both) == 2
    assert both[first.key] is State.ONGOING
    stage.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[tcp(22, "0.0.0.0/0")])
    after = {one.key: one.state for one in looked(stage).findings}
    assert after[first.key] is State.RESOLVED
    assert sorted(state.value for state in after.values()) == ["ongoing", "resolved"]


def test_days_are_counted_by_target_and_label(stage: Stage) -> None:
    open_ssh(stage)
    looked(stage)
    (whole,) = (one for one in looked(stage).trend if one.label == "")
    assert (whole.findings, whole.critical, whole.exposed, whole.enforced, whole.workloads, whole.found) == (1, 1, 1, 2, 2, 1)
    story = looked(stage, "apply")
    marks = {one.label: one for one in story.trend}
    assert set(marks) == {"", "role=db", "role=web"}
    db, web = marks["role=db"], marks["role=web"]
    assert (db.findings, db.exposed, db.workloads, db.found) == (0, 0, 1, 1)
    assert (web.findings, web.workloads, web.found) == (0, 1, 0)


def test_a_target_that_only_observes_tells_what_it_leaves(stage: Stage) -> None:
    stage.settings("observe")
    open_ssh(stage)
    story = looked(stage, "apply")
    (one,) = story.findings
    assert (one.state, one.deed, one.why) == (State.NEW, Deed.LEFT, "the target only observes")
    assert [target.state for target in story.targets] == ["drift"]
    assert [other.state for other in looked(stage, "apply").findings] == [State.ONGOING]


def test_a_plan_records_nothing(stage: Stage) -> None:
    open_ssh(stage)
    stage.run("plan", code=2)
    assert [one.state for one in looked(stage).findings] == [State.NEW]


def test_a_busy_state_is_no_reason_for_a_drift_report_to_fail(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudsync.store.sqlite.BUSY_MS", 50)
    open_ssh(stage)
    before = again(stage).findings
    with contextlib.closing(sqlite3.connect(stage.root / ".cloudsync" / "state.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        ran = stage.run("drift", code=2)
        other.execute("ROLLBACK")
    assert "· new, by " in ran.out
    assert again(stage).findings == before
    assert [one.state for one in looked(stage).findings] == [State.NEW]


def test_the_story_quotes_the_end_of_the_audit_trail(stage: Stage) -> None:
    lines, _, digest = again(stage).audit_head.partition(":")
    audit = stage.run("audit", "--verify", code=0)
    assert lines in audit.out
    assert digest in audit.out, str(audit)

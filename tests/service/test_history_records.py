"""What runs leave behind: the version of the policy, what they opened and closed, approvals used, stories of earlier runs."""

from __future__ import annotations

from cloudsync.app.session import Start, begin
from cloudsync.app.story import earlier, tell
from cloudsync.clock import SystemClock
from cloudsync.model.exits import Exit
from tests.service.small_world import MORE, POLICY, World
from tests.service.told import kept, ran


def test_a_run_keeps_the_commit_it_was_made_with(world: World) -> None:
    first = world.commit("start")
    ran(world)
    world.write("policy/all.yaml", POLICY + MORE)
    second = world.commit("office may ssh to db")
    ran(world)
    found = kept(world)
    assert [(one.commit, one.author, one.subject, one.dirty) for one in found.runs] == [
        (second, "Ada", "office may ssh to db", False),
        (first, "Ada", "start", False),
    ]
    versions = {one.commit: one for one in found.versions}
    assert set(versions) == {first, second}
    assert versions[first].first_used <= versions[first].last_used < versions[second].first_used
    lines = found.of("run")
    assert [(one["commit"], one["author"]) for one in lines] == [(first, "Ada"), (second, "Ada")]


def test_files_in_no_commit_are_told_as_such(world: World) -> None:
    ran(world)
    world.commit("start")
    world.write("policy/all.yaml", POLICY + MORE)
    ran(world)
    assert [(bool(one.commit), one.dirty) for one in kept(world).runs] == [(True, True), (False, False)]


def test_what_a_run_opened_and_closed_is_kept_in_words_and_in_the_audit_trail(world: World) -> None:
    ran(world)
    world.write("policy/all.yaml", POLICY + MORE)
    done = ran(world)
    found = kept(world)
    (change,) = [one for one in found.changes if one.run_id == done.report.run_id]
    assert (change.target, change.direction, change.labels.text(), change.workloads) == ("one", "inbound", "role=db", ("one-db",))
    assert change.opens == ("tcp/22 from 192.0.2.0/24",)
    assert change.closes == ()
    assert any("base" in rule for rule in change.rules), "which rule of the policy"
    line = found.of("change")[-1]
    assert (line["run"], line["target"], line["opens"]) == (done.report.run_id, "one", list(change.opens))
    assert found.of("end")[-1]["n"] > line["n"]
    found.verify()


def test_the_story_has_what_earlier_runs_changed_the_latest_first(world: World) -> None:
    first = ran(world)
    world.write("policy/all.yaml", POLICY + MORE)
    second = ran(world)
    runs = [one.run_id for one in second.story.history]
    assert runs[0] == second.report.run_id
    assert runs[-1] == first.report.run_id


def test_a_quiet_run_changes_nothing_and_keeps_no_story(world: World) -> None:
    ran(world)
    quiet = ran(world)
    assert quiet.code == Exit.OK
    found = kept(world)
    assert quiet.report.run_id not in {one.run_id for one in found.changes}
    assert quiet.report.run_id not in found.stories
    assert quiet.story.history == ()


def test_an_earlier_run_is_told_as_it_was(world: World) -> None:
    ran(world)
    world.edit()
    told = ran(world)
    ran(world)
    with kept(world).state() as state:
        (again,) = earlier(state, told.report.run_id, SystemClock().now())
    assert again.findings == told.story.findings
    assert again.audit_head == told.story.audit_head
    assert again.history[0].run_id == told.report.run_id


def test_a_run_that_is_refused_changed_nothing(world: World) -> None:
    world.write("cloudsync.yaml", (world.root / "cloudsync.yaml").read_text().replace("max_affected_workloads: 100%, ", ""))
    assert ran(world).code == Exit.REFUSED
    found = kept(world)
    assert found.changes == ()
    assert found.of("change") == []


def test_a_look_is_on_record_without_a_line_in_the_trail(world: World) -> None:
    ran(world)
    lines = len(kept(world).lines)
    world.clock.advance(60)
    with begin(world.root, (), Start("drift", clock=world.clock)) as run:
        found = run.plan("drift")
        tell(run, found)
        run.looked(Exit.OK, found.report)
    after = kept(world)
    assert (after.runs[0].verb, after.runs[0].generation, after.runs[0].exit_code) == ("drift", 0, 0)
    assert len(after.lines) == lines


def test_an_approval_that_was_used_stands_in_the_trail(world: World) -> None:
    world.write("cloudsync.yaml", (world.root / "cloudsync.yaml").read_text().replace("max_affected_workloads: 100%, ", ""))
    refused = ran(world)
    kept(world).approve(refused.report, "ann", "checked")
    assert ran(world).code == Exit.OK
    lines = kept(world).of("approved")
    assert {(one["guard"], one["who"], one["because"]) for one in lines} >= {("G-AFFECTED", "ann", "checked")}


def test_a_point_that_was_given_back_is_adopted_anew(world: World) -> None:
    ran(world)
    points = set(world.platforms["one"].spots)
    assert set(kept(world).originals("one")) == points
    world.write("policy/all.yaml", POLICY.replace("default: full", "default: visibility"))
    kept(world).approve(ran(world).report, "ann", "all of it")
    ran(world)
    assert kept(world).originals("one") == {}, "whoever takes it again records what is there then"
    assert {one["point"] for one in kept(world).of("release")} == points
    world.write("policy/all.yaml", POLICY)
    ran(world)
    assert set(kept(world).originals("one")) == points

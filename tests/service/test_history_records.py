"""What runs leave behind: the version of the policy, what they opened and closed, approvals used, stories of earlier runs."""

from __future__ import annotations

import pytest

from cloudsync.app.session import Start, begin
from cloudsync.app.story import earlier, tell
from cloudsync.clock import SystemClock
from cloudsync.model.exits import Exit
from cloudsync.testing.memory import Fault
from tests.cli.shell import cloudsync
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


# --- rollback and release in bad moments -----------------------------------------------------------------------------


@pytest.fixture
def newer(world: World) -> tuple[World, str]:
    """Two commits, both applied by runs."""
    first = world.commit("start")
    ran(world)
    world.write("policy/all.yaml", POLICY + MORE)
    world.commit("office may ssh to db")
    ran(world)
    return world, first


def back(world: World, commit: str) -> tuple[int, str]:
    """Go back by the command line."""
    done = cloudsync("rollback", "-C", str(world.root), commit, "--yes", "--by", "jo")
    return done.code, done.out + done.err


def opened(world: World) -> bool:
    groups = world.platforms["one"].groups.values()
    return any(rule.service == "6/22-22" for group in groups if group.owner == "small" for rule in group.rules)


def test_a_rollback_that_is_cut_short_leaves_its_hold(newer: tuple[World, str]) -> None:
    world, first = newer

    def interrupt(_number: int) -> None:
        raise KeyboardInterrupt

    world.platforms["one"].before_write = interrupt
    code, _ = back(world, first)
    world.platforms["one"].before_write = lambda _number: None
    assert code == 5
    (hold,) = kept(world).holds
    assert (hold.target, hold.who, bool(hold.run)) == ("one", "jo", True)
    assert opened(world)
    assert back(world, first)[0] == 0, "and the same rollback finishes it"
    assert not opened(world)


def test_a_rollback_that_could_write_nothing_leaves_no_hold(newer: tuple[World, str]) -> None:
    world, first = newer

    place = world.platforms["one"]
    place.faults = {len(place.calls) + number: Fault.REFUSED for number in range(1, 20)}
    code, said = back(world, first)
    place.faults = {}
    assert code == 5, said
    assert opened(world)
    found = kept(world)
    assert found.holds == ()
    assert [one["target"] for one in found.of("hold")] == ["one"], "it was put before the first write"
    assert [one["target"] for one in found.of("unhold")] == ["one"]
    assert found.of("change")[-1]["run"] != found.of("run")[-1]["run"], "a run that failed changed nothing that it knows of"
    found.verify()

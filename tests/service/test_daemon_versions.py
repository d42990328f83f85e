"""Which version of the config repository is in force: whole commits only; the last good one while the newest is broken."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path

import pytest

from cloudsync import sources
from cloudsync.app.versions import Versions
from cloudsync.model.errors import InputError
from cloudsync.report.story import State
from cloudsync.store.state import State as Store
from tests.service.simulated import Simulated
from tests.service.small_world import MORE, POLICY, World, git

BROKEN = POLICY.replace("tcp/443", "tcp/99999")
HALF = POLICY[: POLICY.index("      - allow role=web")] + "      - allow iplist off"


def opened(world: World, service: str = "6/22-22") -> bool:
    """Tell whether one of our groups lets the office in on a port."""
    groups = world.platforms["one"].groups.values()
    return any(
        rule.peer == "192.0.2.0/24" and rule.service == service for group in groups if group.owner == "small" for rule in group.rules
    )


def troubles(day: Simulated) -> list[tuple[str, str]]:
    return [(one.what, one.target) for story in day.stories for one in story.troubles if one.new]


# --- commits ---------------------------------------------------------------------------------------------------------


def test_what_is_not_committed_is_not_in_force(world: World) -> None:
    world.commit("start")
    day = Simulated(world)
    day.after(310, lambda: world.write("policy/all.yaml", POLICY + MORE))
    day.after(1000, lambda: world.commit("office may ssh to db"))
    seen: list[bool] = []
    day.after(990, lambda: seen.append(opened(world)))
    day.after(1060, lambda: seen.append(opened(world)))
    day.run(1100)
    assert seen == [False, True], "and a new commit is applied at once, not at the next interval"
    (changed,) = day.events("config.changed")
    assert 'Ada, "office may ssh to db"' in changed["policy"]
    assert 'Ada, "office may ssh to db"' in day.stories[-1].policy


def test_a_half_written_tree_is_never_seen(world: World) -> None:
    world.commit("start")
    day = Simulated(world)
    day.after(310, lambda: world.write("policy/all.yaml", HALF))
    day.after(320, lambda: shutil.rmtree(world.root / "inventory", ignore_errors=True))
    day.after(330, (world.root / "cloudsync.yaml").unlink)
    day.run(1250)
    assert len(day.events("run.end")) == 5
    assert {line["exit"] for line in day.events("run.end")} == {0}
    assert troubles(day) == []


def test_a_broken_commit_leaves_the_last_good_one_in_force_and_sounds_one_alarm(world: World) -> None:
    world.commit("start")
    day = Simulated(world)
    day.after(310, lambda: world.write("policy/all.yaml", BROKEN))
    day.after(311, lambda: world.commit("oops"))
    day.after(650, world.edit)
    ready: list[tuple[str, ...]] = []
    day.after(800, lambda: ready.append(day.vitals.complaints if day.vitals else ()))
    day.after(1250, lambda: world.write("policy/all.yaml", POLICY + MORE))
    day.after(1251, lambda: world.commit("mended"))
    day.run(1600)
    assert world.clean(), "the last good policy is enforced meanwhile"
    assert opened(world), "and the mended one afterwards"
    assert troubles(day) == [("failed", "config repository"), ("recovered", "config repository")]
    alarm = next(one for story in day.stories for one in story.troubles if one.what == "failed")
    assert "policy/all.yaml:10:44 BAD-PORT" in alarm.why
    assert 'Ada, "start"' in alarm.why
    assert len(ready[0]) == 1
    assert ready[0][0].startswith("config repository: ")
    assert sum(one.state is State.NEW and not one.quiet for story in day.stories for one in story.findings) == 1


def test_a_commit_that_can_be_read_but_does_not_fit_what_is_there_is_broken_too(world: World) -> None:
    """Two machines have the name that a rule uses: only a run can know."""
    for number, scope in enumerate(("one/one", "one/two")):
        point = world.platforms["one"].add_point("twin", f"10.0.1.{number}", scope=scope)
        world.platforms["one"].tags[point] = (("Role", "web"),)
    world.commit("start")
    day = Simulated(world)
    day.after(310, lambda: world.write("policy/all.yaml", POLICY + "      - allow workload twin to role=db on tcp/22\n"))
    day.after(311, lambda: world.commit("a name that two have"))
    day.after(650, world.edit)
    day.run(950)
    assert [line["event"] for line in day.log if line["event"].startswith("config.")] == ["config.read", "config.changed", "config.broken"]
    assert troubles(day) == [("failed", "config repository")]
    assert world.clean()
    assert {line["exit"] for line in day.events("run.end")} == {0}


def test_a_start_with_a_broken_commit_takes_the_version_that_was_in_force(world: World) -> None:
    world.commit("start")
    Simulated(world).run(400)
    world.write("policy/all.yaml", POLICY + MORE)
    world.commit("never in force, for nobody ran")
    world.write("policy/all.yaml", BROKEN)
    world.commit("oops")
    world.edit()
    day = Simulated(world)
    day.run(400)
    assert world.clean()
    assert not opened(world)
    assert 'Ada, "start"' in day.stories[-1].policy
    assert troubles(day)[0] == ("failed", "config repository")


def test_a_start_with_nothing_usable_says_what_is_wrong_and_contacts_nothing(world: World) -> None:
    world.write("policy/all.yaml", BROKEN)
    world.commit("oops")
    with pytest.raises(InputError) as wrong:
        Simulated(world).run(400)
    assert [one.code for one in wrong.value.findings] == ["BAD-PORT"]
    assert world.platforms["one"].pages == 0


def test_a_hangup_reads_again_and_runs_at_once(world: World) -> None:
    world.commit("start")
    day = Simulated(world, look_s=3600.0)
    day.after(310, lambda: world.write("policy/all.yaml", POLICY + MORE))
    day.after(311, lambda: world.commit("more"))
    day.after(320, lambda: setattr(day.stop, "reload", True))
    seen: list[bool] = []
    day.after(330, lambda: seen.append(opened(world)))
    day.run(400)
    assert seen == [True]
    assert [one for one in day.told if one.startswith(("READY", "RELOADING", "STOPPING"))] == [
        "READY=1",
        "RELOADING=1",
        "READY=1",
        "STOPPING=1",
    ]
    assert "WATCHDOG=1" in day.told


def test_a_new_schedule_and_a_new_target_take_effect(world: World) -> None:
    world.commit("start")
    day = Simulated(world)
    day.after(310, lambda: world.settings(("one", "two"), schedule="schedule: {every: 1m}"))
    day.after(311, lambda: world.commit("faster, and one more"))
    day.run(700)
    assert 8 <= len(day.events("run.end")) <= 10
    assert day.events("run.end")[-1]["targets"] == {"one": "in sync", "two": "in sync"}


def test_a_commit_that_touches_nothing_of_ours_starts_nothing(world: World) -> None:
    world.commit("start")
    day = Simulated(world)
    day.after(350, lambda: world.write("README.md", "words\n"))
    day.after(351, lambda: world.commit("words"))
    day.run(500)
    assert len(day.events("run.end")) == 2
    assert day.events("config.changed") == []


def test_a_commit_is_read_from_gits_objects(world: World) -> None:
    """Links inside, files without a meaning, and a folder whose name is taken: nothing of the working tree is looked at."""
    (world.root / "policy").mkdir(exist_ok=True)
    world.write("elsewhere/rules.yaml", POLICY)
    (world.root / "policy" / "all.yaml").unlink()
    (world.root / "policy" / "all.yaml").symlink_to("../elsewhere/rules.yaml")
    world.write("policy/run.sh", "#!/bin/sh\n")
    commit = world.commit("a link")
    shutil.rmtree(world.root / "policy")
    found = Versions(world.root).load(commit)
    assert [path for path, _ in found.loaded.snapshot.policy] == ["policy/all.yaml"]
    assert found.loaded.root == world.root


def test_a_link_that_leads_out_of_a_commit_is_refused(world: World, tmp_path: Path) -> None:
    (tmp_path / "secret.yaml").write_text(POLICY, encoding="utf-8")
    (world.root / "policy" / "more.yaml").symlink_to(tmp_path / "secret.yaml")
    commit = world.commit("a link that leads out")
    with pytest.raises(InputError) as wrong:
        Versions(world.root).load(commit)
    assert {one.code for one in wrong.value.findings} == {"OUTSIDE-ROOT"}


def test_a_config_repository_may_be_a_folder_of_a_larger_one(world: World) -> None:
    world.commit("start")
    git(world.root, "mv", "-k", "policy", "cloudsync.yaml", ".gitignore", _folder(world.root / "net"))
    git(world.root, "commit", "-q", "-m", "moved")
    versions = Versions(world.root / "net")
    assert versions.commits
    assert [path for path, _ in versions.load(versions.newest()).loaded.snapshot.policy] == ["policy/all.yaml"]


def _folder(path: Path) -> str:
    path.mkdir()
    return str(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make somebody else's files")
def test_a_repository_of_somebody_else_is_read_without_starting_its_programs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.commit("start")
    trap = world.root / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {world.root}/sprung\n", encoding="utf-8")
    trap.chmod(0o755)
    git(world.root, "config", "core.fsmonitor", str(trap))
    git(world.root, "config", "core.pager", str(trap))
    git(world.root, "config", "log.showSignature", "true")
    git(world.root, "config", "gpg.program", str(trap))
    for path in (world.root, world.root / ".git"):
        os.chown(path, 12345, 12345)
    versions = Versions(world.root)
    assert versions.commits
    assert 'Ada, "start"' in versions.load(versions.newest()).words
    assert sources.revision(world.root) is not None
    assert not (world.root / "sprung").exists()


# --- a folder without git --------------------------------------------------------------------------------------------


def test_a_folder_is_read_again_once_it_rests(world: World) -> None:
    day = Simulated(world)
    seen: list[bool] = []
    for at in range(320, 420, 10):  # somebody copies files for a while
        day.after(at, partial(world.write, "policy/all.yaml", HALF if at < 410 else POLICY + MORE))
    day.after(415, lambda: seen.append(opened(world)))
    day.run(560)
    assert (seen, opened(world)) == ([False], True)
    assert day.events("config.broken") == []


def test_a_broken_folder_leaves_the_last_good_version_in_force(world: World) -> None:
    day = Simulated(world)
    day.after(310, lambda: world.write("policy/all.yaml", BROKEN))
    day.after(650, world.edit)
    day.run(1000)
    assert world.clean()
    assert troubles(day) == [("failed", "config repository")]


def test_the_history_names_the_commit_in_force_not_the_newest(world: World) -> None:
    first = world.commit("start")
    day = Simulated(world)
    day.after(310, lambda: world.write("policy/all.yaml", BROKEN))
    day.after(311, lambda: world.commit("oops"))
    day.run(1000)
    with Store(world.root / ".cloudsync" / "state.db", world.clock) as state:
        runs = state.records.runs()
    assert {(one.commit, one.dirty) for one in runs} == {(first, False)}
    assert len(runs) == 4

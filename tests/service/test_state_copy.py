"""`cloudsync state copy`, as a person moves a deployment from its file to a server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cloudsync.cli.main import main
from cloudsync.store.state import State as Store
from tests.acting.servers import Cluster
from tests.service.small_world import POLICY, World


@pytest.fixture
def url(postgres: Cluster, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PLACE_WORD", postgres.password)
    return postgres.loopback(f"?schema=copied_{next(postgres.schemas)}")


def test_a_deployment_goes_to_a_server_and_on_from_there(
    world: World, postgres: Cluster, url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    root = str(world.root)
    assert main(["reconcile", "-C", root, "--quiet"]) == 0
    assert main(["hold", "-C", root, "one", "--because", "until it is moved"]) == 0
    capsys.readouterr()
    assert main(["state", "copy", "-C", root, "--to", url, "--credential", "env:PLACE_WORD", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["source"]) == ("state", str(world.root / ".cloudsync" / "state.db"))
    assert told["rows"]["op"] == world.writes()
    assert told["rows"]["hold"] == 1
    assert postgres.password not in json.dumps(told)
    world.edit()
    mirror, kept = world.root / ".cloudsync" / "audit.jsonl", tmp_path / "kept"
    assert main(["reconcile", "-C", root, "--quiet"]) == 4
    assert "went backwards" in capsys.readouterr().err, "this machine knows that the state went on elsewhere"
    mirror.rename(kept)
    assert main(["unhold", "-C", root, "one"]) == 0
    assert main(["reconcile", "-C", root, "--quiet"]) == 4
    assert "the state went to postgresql://" in capsys.readouterr().err, "any other machine is stopped by the hold"
    assert not world.clean()
    kept.rename(mirror)
    world.settings(more=f"state: {url}\nstate_password: env:PLACE_WORD\n")
    assert main(["unhold", "-C", root, "one"]) == 0
    assert main(["reconcile", "-C", root, "--quiet"]) == 0
    assert world.clean()
    assert main(["audit", "-C", root, "--verify", "--json"]) == 0


def test_the_settings_may_name_the_new_place_already(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(world.root)
    assert main(["reconcile", "-C", root, "--quiet"]) == 0
    writes = world.writes()
    world.settings(more="state: sqlite:///elsewhere/state.db\n")
    assert main(["state", "copy", "-C", root, "--from", "sqlite:///.cloudsync/state.db"]) == 0
    said = capsys.readouterr().out
    assert f"{writes:,} op\n" in said
    assert "every target of the old state is on hold" in said
    assert main(["reconcile", "-C", root, "--quiet"]) == 0
    assert world.writes() == writes
    assert tmp_path.is_dir()


def test_what_is_missing_or_taken_is_said(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(world.root)
    assert main(["state", "copy", "-C", root]) == 3
    assert "NEEDS-PLACE" in capsys.readouterr().out
    assert main(["state", "copy", "-C", root, "--to", "sqlite:///a/b.db"]) == 4
    assert "there is no state at" in "".join(capsys.readouterr())
    with pytest.raises(SystemExit) as left:
        main(["state", "copy", "-C", root, "--to", "postgresql://u@/d?host=/x", "--credential", "hunter2"])
    assert left.value.code == 3
    assert "hunter2" not in "".join(capsys.readouterr())
    world.write("policy/all.yaml", POLICY)
    assert main(["reconcile", "-C", root, "--quiet"]) == 0
    with Store(world.root / ".cloudsync" / "state.db", world.clock, writer="another"):
        assert main(["state", "copy", "-C", root, "--to", "sqlite:///a/b.db"]) == 75

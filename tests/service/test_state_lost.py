"""The state is lost: what is ours is found by its marks, and nothing is taken away in the first run, over both databases."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloudsync.cli.main import main
from tests.acting.servers import Cluster
from tests.cli.four import Four, on_stage
from tests.cli.stage import Stage, staged, tcp
from tests.service.small_world import MORE, POLICY, World, small_world

FEWER = POLICY.replace("      - allow role=web to role=db on tcp/5432\n", "      - allow role=web to role=db on tcp/5433\n")
Lose = Callable[[World], None]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    with small_world(tmp_path) as found:
        yield found


@pytest.fixture(params=["a file is gone", "a file is damaged", "a schema is gone"])
def lose(request: pytest.FixtureRequest, world: World) -> Lose:
    """What loses the state; the world has applied its policy before."""
    folder = world.root / ".cloudsync"
    if request.param == "a schema is gone":
        postgres: Cluster = request.getfixturevalue("postgres")
        place = postgres.place(world.root)
        world.settings(more=f"state: {place.url}&schema={place.schema}\n")

        def drop(world: World) -> None:
            postgres.sql(f"DROP SCHEMA {place.schema} CASCADE")
            assert apply(world) == 4, "the mirror remembers"
            (folder / "audit.jsonl").rename(world.root / "old.jsonl")

        return drop

    def gone(world: World) -> None:
        if request.param == "a file is damaged":
            file = folder / "state.db"
            content = file.read_bytes()
            file.write_bytes(content[:1024] + b"\xff" * 4096 + content[5120:])
            assert apply(world) == 4, "damage is no reason to begin anew unasked"
        shutil.rmtree(folder)

    return gone


def apply(world: World) -> int:
    """Apply the policy unasked."""
    return int(main(["apply", "--yes", "-C", str(world.root)]))


def rules(world: World) -> dict[str, frozenset[object]]:
    """Return the rules of our groups."""
    found = world.platforms["one"].groups
    return {key: frozenset(found[key].rules) for key in world.ours()}


def test_without_a_change_nothing_is_written_and_all_is_known_again(world: World, lose: Lose, capsys: pytest.CaptureFixture[str]) -> None:
    assert apply(world) == 0
    before, writes = rules(world), world.writes()
    lose(world)
    assert [apply(world), apply(world)] == [0, 0]
    assert (rules(world), world.writes()) == (before, writes)
    assert "in sync" in capsys.readouterr().out


def test_nothing_is_taken_away_in_the_first_run_and_all_of_it_in_the_second(
    world: World, lose: Lose, capsys: pytest.CaptureFixture[str]
) -> None:
    assert apply(world) == 0
    before, writes = rules(world), world.writes()
    lose(world)
    world.write("policy/all.yaml", FEWER)
    world.edit()
    capsys.readouterr()
    assert apply(world) == 4
    said = capsys.readouterr().out
    assert "REFUSED G-STATE one: the state has never seen this target, but rules of ours stand there" in said
    assert all(old <= rules(world)[key] for key, old in before.items())
    assert world.writes() == writes
    assert apply(world) == 0
    assert world.clean()
    assert world.writes() > writes
    assert apply(world) == 0


def test_what_only_opens_is_done_in_the_first_run(world: World, lose: Lose) -> None:
    assert apply(world) == 0
    before = rules(world)
    lose(world)
    world.write("policy/all.yaml", POLICY + MORE)
    assert apply(world) == 0
    assert all(old <= rules(world)[key] for key, old in before.items() if key in rules(world))
    assert sum(map(len, rules(world).values())) > sum(map(len, before.values()))


def test_a_person_may_say_that_it_is_right(world: World, lose: Lose, capsys: pytest.CaptureFixture[str]) -> None:
    assert apply(world) == 0
    lose(world)
    world.edit()
    capsys.readouterr()
    assert main(["plan", "-C", str(world.root)]) in (2, 4)
    command = next(line for line in capsys.readouterr().out.splitlines() if "approve" in line).partition("cloudsync ")[2]
    digest = next(word for word in command.split() if len(word) >= 12 and word.isalnum())
    assert main(["approve", "-C", str(world.root), digest, "--guard", "G-STATE", "--until", "1h", "--because", "checked"]) == 0
    assert apply(world) == 0
    assert world.clean()


def test_a_target_that_was_never_ours_is_taken_over_as_ever(world: World) -> None:
    assert apply(world) == 0
    assert world.clean()


# --- AWS ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("repository")) as one:
        yield one


AWS_POLICY = """\
iplists: {office: [192.0.2.0/24]}
enforcement: {default: full}
rulesets:
  - name: base
    scope: all
    owner: netsec
    rules:
      - allow iplist office to role=web on tcp/443
      - allow iplist office to role=db on tcp/22
      - allow role=web to role=db on tcp/5432
"""


def test_on_aws_nothing_is_taken_away_in_the_first_run_either(stage: Stage) -> None:
    stage.clear()
    net = stage.net()
    for role in ("web", "db"):
        stage.machine(net, role, f"role={role}", [stage.group(net, f"old-{role}", tcp(22, "0.0.0.0/0"))])
    stage.settings()
    stage.policy(AWS_POLICY)
    stage.converge()
    shutil.rmtree(stage.root / ".cloudsync")
    stage.settled()
    shutil.rmtree(stage.root / ".cloudsync")
    stage.policy(AWS_POLICY.replace("      - allow iplist office to role=db on tcp/22\n", ""))
    stage.forget()
    ran = stage.run("apply", "--yes", code=4)
    assert re.findall("REFUSED (G-[A-Z]+)", ran.out) == ["G-STATE"]
    assert stage.writes() == {}
    assert stage.passes("db", "192.0.2.9", "tcp/22")
    stage.run("apply", "--yes", code=0)
    assert not stage.passes("db", "192.0.2.9", "tcp/22")
    stage.settled()


# --- all four ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Four]:
    with on_stage(tmp_path_factory.mktemp("four")) as one:
        yield one


@pytest.mark.slow
def test_on_four_platforms_nothing_is_taken_away_in_the_first_run_either(four: Four) -> None:
    four.clear()
    names = ("aws", "gcp", "azure", "f5")
    opened = [f"allow iplist office to role={role} on tcp/8443" for role in ("web", "app", "db", "lb")]
    enforced = "{scope: env=prod, mode: full}"
    four.settings(*(four.target(name, "exclusive") for name in names))
    four.policy("allow iplist office to role=web, role=app, role=db, role=lb on tcp/443", *opened, enforced=enforced)
    four.converge()
    four.settled()
    shutil.rmtree(four.root / ".cloudsync")
    four.settled()
    shutil.rmtree(four.root / ".cloudsync")
    four.policy("allow iplist office to role=web, role=app, role=db, role=lb on tcp/443", enforced=enforced)
    four.forget()
    ran = four.run("apply", "--yes", code=4)
    assert re.findall(r"REFUSED G-STATE (\w+)", ran.out) == list(names)
    assert four.writes() == {}
    # What nothing else speaks against is known again; on the F5 another guard has its own reason.
    assert re.findall(r"REFUSED (G-[A-Z]+) (\w+)", four.run("plan").out) == [("G-CAP", "f5"), ("G-STATE", "f5")]
    four.converge()
    assert four.writes().keys()
    four.settled()

"""Findings over real runs: a lab, outsiders' edits, and what every run tells about them."""

from __future__ import annotations

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

"""Two ends of a way that change at once, over the wire: behind shields no state opens what neither policy does, wherever the run dies.

Before: web may send ssh anywhere, anybody may send https to db. After: the other way round. Neither lets web reach db.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from cloudsync.adapter import Method, Step
from cloudsync.lab.azure.pytest_plugin import azure_site_server
from cloudsync.lab.azure.site import Site as AzureSite
from cloudsync.lab.gcp.pytest_plugin import gcp_site_server
from cloudsync.lab.gcp.site import Site as GcpSite
from cloudsync.model.address import AddressSet
from cloudsync.model.packets import PacketSet
from cloudsync.model.service import ANY_SERVICE, ServiceSet
from cloudsync.testing.contract import Stage
from cloudsync.testing.contract.meaning import must_be_silent
from cloudsync.testing.contract.packets import points_of
from cloudsync.testing.contract.pipeline import OWNER, KilledError, Runs
from cloudsync.testing.contract.world import OUTBOUND, World, policy
from tests.contract.azure_stage import AzureStage
from tests.contract.gcp_stage import GcpStage

__all__ = ["azure_site_server", "gcp_site_server"]
BEFORE = ("allow role=web to anywhere on tcp/22", "allow anywhere to role=db on tcp/443")
AFTER = ("allow role=web to anywhere on tcp/443", "allow anywhere to role=db on tcp/22")
Made = Callable[[], Stage]


@pytest.fixture(params=["gcp", "azure whole", "azure child"])
def made(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Return what makes a new stage each time."""
    if request.param == "gcp":
        gcp: GcpSite = request.getfixturevalue("gcp_site_server")
        return lambda: GcpStage(gcp, monkeypatch)
    azure: AzureSite = request.getfixturevalue("azure_site_server")
    return lambda: AzureStage(azure, monkeypatch, write=request.param.split()[1])


def between(runs: Runs, world: World) -> ServiceSet:
    """Return on which services web1 reaches db1 now, out at the one and in at the other, as a fresh reading says."""
    adapter = runs.open()
    snapshot = adapter.read()
    at = points_of(snapshot.discovery)
    ends = adapter.decode(snapshot.table)
    mine, theirs = (PacketSet.of(AddressSet.of(world.addresses[name][0]), ANY_SERVICE) for name in ("web1", "db1"))
    return (ends[at["web1"][0]].outbound & theirs).services() & (ends[at["db1"][0]].inbound & mine).services()


def prepared(made: Made) -> tuple[Runs, World]:
    stage = made()
    world, runs = World.build(stage), Runs(stage)
    runs.converge(*BEFORE, enforcing=OUTBOUND)
    assert not between(runs, world)
    return runs, world


def test_no_state_lets_web_reach_db(made: Made) -> None:
    runs, world = prepared(made)
    decided = runs.decide(policy(AFTER, OUTBOUND))
    assert not decided.refusals, decided.refusals
    expected = "meet" if decided.adapter.capabilities.methods[0] is Method.SWAP else "shield"
    assert decided.built.plan.method == expected, "the way with fewer writes: two PUTs of the whole, or rule by rule shields"
    seen: list[str] = []

    def look(step: Step) -> None:
        wide = between(runs, world)
        assert not wide, f"after {step.title}: {wide.text()}"
        seen.append(step.key)

    runs.after_write = look
    ran = runs.carry_out(decided)
    assert ran.status == "done", str(ran)
    assert len(seen) == len(decided.steps) >= 2
    runs.after_write = _nothing
    must_be_silent(runs, *AFTER, what="behind shields", enforcing=OUTBOUND)
    assert "temporary" not in runs.stage.ours(OWNER)


@pytest.mark.slow
def test_where_a_run_dies_the_next_takes_the_shields_away(made: Made) -> None:
    runs, world = prepared(made)
    count = len(runs.decide(policy(AFTER, OUTBOUND)).steps)
    for number in range(1, count + 1):
        runs, world = prepared(made) if number > 1 else (runs, world)
        with pytest.raises(KilledError):
            runs.run(*AFTER, enforcing=OUTBOUND, die_at=number, dies_after=True)
        assert not between(runs, world)
        runs.after_write = partial(_shut, runs, world)
        runs.converge(*AFTER, enforcing=OUTBOUND)
        runs.after_write = _nothing
        must_be_silent(runs, *AFTER, what=f"after dying at write {number}", enforcing=OUTBOUND)
        assert "temporary" not in runs.stage.ours(OWNER), f"died at write {number} of {count}, and something temporary is left"


def _nothing(_step: Step) -> None:
    return None


def _shut(runs: Runs, world: World, step: Step) -> None:
    assert not between(runs, world), step.title

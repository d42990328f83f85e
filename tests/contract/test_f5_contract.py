"""The contract over a simulated pair of BIG-IPs, over the wire: policies on virtual servers, and one on the route domain."""

import pytest

from cloudsync.lab.f5.pytest_plugin import f5_site_server
from cloudsync.lab.f5.site import Site
from cloudsync.model.mode import TargetMode
from cloudsync.testing.contract import AdapterContract
from cloudsync.testing.contract.ownership import DB, NEIGHBOUR, WEB
from cloudsync.testing.contract.pipeline import OWNER, Runs
from cloudsync.testing.contract.stage import Stage
from cloudsync.testing.contract.walking import Dice, walk
from cloudsync.testing.contract.world import FIRST, SECOND, World
from tests.contract.f5_domain_stage import F5DomainStage
from tests.contract.f5_stage import F5Stage

__all__ = ["f5_site_server"]


class TestF5(AdapterContract):
    @pytest.fixture
    def stage(self, f5_site_server: Site, monkeypatch: pytest.MonkeyPatch) -> F5Stage:
        return F5Stage(f5_site_server, monkeypatch)

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(12))
    def test_more_random_walks(self, stage: F5Stage, seed: int) -> None:
        walk(stage, Dice(seed), legs=8)


@pytest.mark.slow
class TestF5RouteDomain(AdapterContract):
    @pytest.fixture
    def stage(self, f5_site_server: Site, monkeypatch: pytest.MonkeyPatch) -> F5DomainStage:
        return F5DomainStage(f5_site_server, monkeypatch)

    def test_two_owners_live_side_by_side(self, stage: Stage) -> None:
        """A route domain takes one policy: who comes second is told whose it is, and touches nothing."""
        self._second(stage, TargetMode.ADDITIVE)

    def test_two_owners_may_both_be_exclusive(self, stage: Stage) -> None:
        """Nor does being exclusive help."""
        self._second(stage, TargetMode.EXCLUSIVE)

    @staticmethod
    def _second(stage: Stage, mode: TargetMode) -> None:
        World.build(stage)
        one, other = Runs(stage, TargetMode.EXCLUSIVE), Runs(stage, mode, NEIGHBOUR)
        one.converge(*FIRST, enforcing=WEB)
        mine, before = stage.ours(OWNER), stage.writes()
        other.converge(*SECOND, enforcing=DB)
        adapter = other.open()
        reasons = {point.skipped for point in adapter.points(adapter.read().table)}
        assert len(reasons) == 1
        assert ("of owner contract" if mode is TargetMode.EXCLUSIVE else "additive leaves it there") in min(reasons)
        assert (stage.ours(OWNER), stage.ours(NEIGHBOUR), stage.writes()) == (mine, "", before)

    @pytest.mark.parametrize("seed", range(8))
    def test_more_random_walks(self, stage: F5DomainStage, seed: int) -> None:
        walk(stage, Dice(seed), legs=8)

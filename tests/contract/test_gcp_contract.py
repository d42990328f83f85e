"""The contract over a simulated Google Compute project, over the wire."""

import pytest

from cloudsync.lab.gcp.pytest_plugin import gcp_site_server
from cloudsync.lab.gcp.site import Site
from cloudsync.testing.contract import AdapterContract
from cloudsync.testing.contract.walking import Dice, walk
from tests.contract.gcp_stage import GcpStage

__all__ = ["gcp_site_server"]


class TestGcp(AdapterContract):
    @pytest.fixture
    def stage(self, gcp_site_server: Site, monkeypatch: pytest.MonkeyPatch) -> GcpStage:
        return GcpStage(gcp_site_server, monkeypatch)

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(12))
    def test_more_random_walks(self, stage: GcpStage, seed: int) -> None:
        walk(stage, Dice(seed), legs=8)

"""The contract over a simulated pair of BIG-IPs, over the wire."""

import pytest

from cloudsync.lab.f5.pytest_plugin import f5_site_server
from cloudsync.lab.f5.site import Site
from cloudsync.testing.contract import AdapterContract
from cloudsync.testing.contract.walking import Dice, walk
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

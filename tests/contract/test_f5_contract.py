"""The contract over a simulated pair of BIG-IPs, over the wire."""

import pytest

from cloudsync.lab.f5.pytest_plugin import f5_site_server
from cloudsync.lab.f5.site import Site
from cloudsync.testing.contract import AdapterContract
from tests.contract.f5_stage import F5Stage

__all__ = ["f5_site_server"]


class TestF5(AdapterContract):
    @pytest.fixture
    def stage(self, f5_site_server: Site, monkeypatch: pytest.MonkeyPatch) -> F5Stage:
        return F5Stage(f5_site_server, monkeypatch)

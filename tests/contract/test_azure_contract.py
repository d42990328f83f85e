"""The contract over a simulated Azure subscription, over the wire: one NSG for all on the subnet, and one on each interface."""

import pytest

from cloudsync.lab.azure.pytest_plugin import azure_site_server
from cloudsync.lab.azure.site import Site
from cloudsync.testing.contract import AdapterContract
from tests.contract.azure_stage import AzureStage

__all__ = ["azure_site_server"]


class TestAzureSubnet(AdapterContract):
    @pytest.fixture
    def stage(self, azure_site_server: Site, monkeypatch: pytest.MonkeyPatch) -> AzureStage:
        return AzureStage(azure_site_server, monkeypatch)


@pytest.mark.slow
class TestAzureInterfaces(AdapterContract):
    @pytest.fixture
    def stage(self, azure_site_server: Site, monkeypatch: pytest.MonkeyPatch) -> AzureStage:
        return AzureStage(azure_site_server, monkeypatch, shared=False)


@pytest.mark.slow
class TestAzureRuleByRule(AdapterContract):
    @pytest.fixture
    def stage(self, azure_site_server: Site, monkeypatch: pytest.MonkeyPatch) -> AzureStage:
        return AzureStage(azure_site_server, monkeypatch, write="child")

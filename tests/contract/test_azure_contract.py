"""The contract over a simulated Azure subscription, over the wire: one NSG for all on the subnet, and one on each interface."""

import pytest

from cloudsync.lab.azure.pytest_plugin import azure_site_server
from cloudsync.lab.azure.site import Site
from cloudsync.testing.contract import AdapterContract
from cloudsync.testing.contract.walking import Dice, walk
from tests.contract.azure_groups_stage import AzureGroupsStage
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


@pytest.mark.slow
class TestAzureGroups(AdapterContract):
    """With `asgs: on`."""

    @pytest.fixture
    def stage(self, azure_site_server: Site, monkeypatch: pytest.MonkeyPatch) -> AzureStage:
        return AzureGroupsStage(azure_site_server, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("where", ["subnet", "interfaces"])
def test_more_random_walks_with_groups(azure_site_server: Site, monkeypatch: pytest.MonkeyPatch, where: str, seed: int) -> None:
    walk(AzureGroupsStage(azure_site_server, monkeypatch, shared=where == "subnet"), Dice(seed), legs=8)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("write", ["whole", "child"])
@pytest.mark.parametrize("where", ["subnet", "interfaces"])
def test_more_random_walks(azure_site_server: Site, monkeypatch: pytest.MonkeyPatch, where: str, write: str, seed: int) -> None:
    walk(AzureStage(azure_site_server, monkeypatch, shared=where == "subnet", write=write), Dice(seed), legs=8)

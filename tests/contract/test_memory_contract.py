"""The contract over the platform in memory: a thousandth of a second per run, so every case is here in full."""

import pytest

from cloudsync.testing.contract import AdapterContract, Stage
from tests.contract.memory_stage import MemoryStage


class TestMemory(AdapterContract):
    @pytest.fixture
    def stage(self) -> Stage:
        return MemoryStage()

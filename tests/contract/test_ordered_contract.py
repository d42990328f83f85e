"""The contract over the ordered platform in memory."""

import pytest

from cloudsync.testing.contract import AdapterContract, Stage
from tests.contract.ordered_stage import OrderedStage


class TestOrdered(AdapterContract):
    @pytest.fixture
    def stage(self) -> Stage:
        return OrderedStage()

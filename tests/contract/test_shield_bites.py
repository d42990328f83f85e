"""The proof that the cases about shields bite, on a platform that has denies; one without mistakes passes them."""

from __future__ import annotations

import pytest

from cloudsync.testing.contract import AdapterContract
from cloudsync.testing.contract.shielding import Shielding
from tests.contract.broken_shields import BITES, Shields
from tests.contract.ordered_stage import Maker, OrderedStage


@pytest.mark.parametrize(("case", "maker", "says"), BITES, ids=[f"{case}-{maker.__name__}" for case, maker, _ in BITES])
def test_a_broken_shield_is_found_out(case: str, maker: Maker, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        getattr(AdapterContract(), f"test_{case}")(OrderedStage(maker))


class TestOrdered(Shielding):
    @pytest.fixture
    def stage(self) -> OrderedStage:
        return OrderedStage(Shields)

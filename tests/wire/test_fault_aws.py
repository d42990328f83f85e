"""T1 at AWS: see `fault_campaign`. A change tries a sample, a night every single fault, a release more second ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acting.folders import tmp_path
from tests.wire import fault_campaign

__all__ = ["tmp_path"]


@pytest.mark.parametrize("fresh", fault_campaign.FRESH)
def test_every_single_fault_is_survived(tmp_path: Path, *, fresh: bool) -> None:
    fault_campaign.survive_singles("aws", tmp_path, fresh=fresh)


@pytest.mark.parametrize("fresh", fault_campaign.FRESH if fault_campaign.PAIRS else [])
def test_pairs_of_faults_are_survived(tmp_path: Path, *, fresh: bool) -> None:
    fault_campaign.survive_pairs("aws", tmp_path, fresh=fresh)

"""The contract over a simulated AWS account, over the wire."""

import pytest

from cloudsync.lab.pytest_plugin import aws_lab_server
from cloudsync.lab.server import Lab
from cloudsync.testing.contract import AdapterContract
from cloudsync.testing.contract.walking import Dice, walk
from tests.contract.aws_stage import AwsStage

__all__ = ["aws_lab_server"]


class TestAws(AdapterContract):
    @pytest.fixture
    def stage(self, aws_lab_server: Lab, monkeypatch: pytest.MonkeyPatch) -> AwsStage:
        return AwsStage(aws_lab_server, monkeypatch)

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(12))
    def test_more_random_walks(self, stage: AwsStage, seed: int) -> None:
        walk(stage, Dice(seed), legs=8)

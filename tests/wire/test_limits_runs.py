"""Whole runs against platforms that refuse what comes too fast: with limits so small that every run has to wait, none is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import cloudsync_aws.limits
import cloudsync_azure.pacing
import cloudsync_gcp.pacing
from cloudsync.lab.http import Answer, Request
from cloudsync.model.bucket import Bucket
from tests.acting.folders import tmp_path
from tests.wire.fault_loop import App
from tests.wire.fault_stage import sent, theatre

__all__ = ["tmp_path"]

SCALE = {"aws": 0.06, "gcp": 0.04, "azure": 0.04}
"""By so much the platforms' limits, and what we know of them, are smaller here."""


@dataclass
class Answers:
    """What the platform answered to everything but looks for tokens."""

    refused: list[str] = field(default_factory=list)

    def listen(self, name: str) -> Callable[[App], App]:
        """Stand before a lab."""

        def wrap(app: App) -> App:
            def heard(request: Request) -> Answer:
                answer = app(request)
                words = answer.body.decode("utf-8", "replace")
                if any(word in words for word in ("RequestLimitExceeded", "rateLimitExceeded", "TooManyRequests", "RequestsThrottled")):
                    self.refused.append(sent(name, request).operation)
                return answer

            return heard

        return wrap


def narrow(patch: pytest.MonkeyPatch, name: str) -> None:
    """Tell our side of the smaller limits."""
    scale = SCALE[name]
    match name:
        case "aws":
            for word in ("READ_BUCKET", "MUTATING_BUCKET"):
                one: Bucket = getattr(cloudsync_aws.limits, word)
                patch.setattr(cloudsync_aws.limits, word, Bucket(one.size * scale, one.refill * scale))
            for action, known in cloudsync_aws.limits.BUCKETS.items():
                patch.setitem(cloudsync_aws.limits.BUCKETS, action, Bucket(max(1, known.size * scale), known.refill * scale))
        case "gcp":
            patch.setattr(cloudsync_gcp.pacing, "PER_MINUTE", 1500 * scale)
            patch.setattr(cloudsync_gcp.pacing, "BURST", 5)
        case "azure":
            patch.setattr(cloudsync_azure.pacing, "READS", Bucket(250 * scale, 25 * scale))
            patch.setattr(cloudsync_azure.pacing, "WRITES", Bucket(1, 3.3 * scale))


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "known"),
    [
        pytest.param("azure", True, id="azure"),
        pytest.param("azure", False, id="azure-control"),
        pytest.param("gcp", True, id="gcp"),
        pytest.param("gcp", False, id="gcp-control", marks=SLOW),
        pytest.param("aws", True, id="aws", marks=SLOW),
        pytest.param("aws", False, id="aws-control", marks=SLOW),
    ],
)
def test_a_run_that_knows_the_limits_is_never_refused(name: str, tmp_path: Path, *, known: bool) -> None:
    answers = Answers()
    with theatre(name, tmp_path, answers.listen(name)) as built, pytest.MonkeyPatch.context() as patch:
        stage = built.stage(1)
        root = stage.folder(tmp_path / "life")
        built.clock.advance(3600.0)
        if known:
            narrow(patch, name)
        built.ask("buckets", {"enabled": True, "scale": SCALE[name]})
        begin = built.clock.monotonic()
        ran = stage.run(root)
        if known:
            assert (ran.code, answers.refused) == (0, [])
            assert built.clock.monotonic() > begin, "it had to wait"
        else:
            assert answers.refused, "without that knowledge it is"

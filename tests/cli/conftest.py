"""A lab with the small estate, and repositories that point at it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudsync.lab.server import Lab, running
from tests.cli.four import Four, on_stage
from tests.cli.shell import Repository, of_lab, started


@pytest.fixture(scope="session")
def small_lab() -> Iterator[Lab]:
    """One lab with the small estate for the whole session."""
    with running(estate="small", seed=1) as lab:
        yield lab


@pytest.fixture(scope="session")
def credentials(small_lab: Lab) -> Iterator[None]:
    """The environment of a real client of that lab, and of no other account."""
    state = small_lab.state
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", state.access_key_id)
        patch.setenv("AWS_SECRET_ACCESS_KEY", state.secret_access_key)
        patch.setenv("AWS_DEFAULT_REGION", state.region)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        yield


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """The starter repository; it names a platform that is not there."""
    return started(tmp_path / "repository")


@pytest.fixture(scope="module")
def converged(small_lab: Lab, credentials: None, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The small estate with the policy applied, every refusal answered as it was printed. For tests that only look."""
    small_lab.control.reset(estate="small", seed=1)
    found = of_lab(tmp_path_factory.mktemp("cli") / "repository", small_lab)
    refused = found.run("apply", "--yes", "--json")
    assert refused.code == 4, str(refused)
    for refusal in refused.document["targets"][0]["refusals"]:
        answer = found.printed(refusal["approve"])
        assert answer.code == 0, str(answer)
    done = found.run("apply", "--yes")
    assert done.code == 0, str(done)
    return found


@pytest.fixture
def fresh(small_lab: Lab, credentials: None, tmp_path: Path) -> Repository:
    """The small estate as it was before us, for tests that change it."""
    small_lab.control.reset(estate="small", seed=1)
    return of_lab(tmp_path / "repository", small_lab)


@pytest.fixture(scope="session")
def four_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Four]:
    """One lab of four platforms for the whole session."""
    with on_stage(tmp_path_factory.mktemp("four")) as stage:
        yield stage


@pytest.fixture
def four(four_stage: Four) -> Four:
    """The estate `four` as it was before us, and an empty repository."""
    four_stage.lab.control.no_faults()
    four_stage.clear()
    return four_stage

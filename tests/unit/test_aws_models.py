"""The part of EC2's model that an installation keeps says of our operations what the whole says, and is used for its version alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore.loaders import Loader, create_loader

from cloudsync_aws import client, models
from cloudsync_aws.limits import READ_CALLS, WRITE_CALLS

OURS = {name for method, name in {**READ_CALLS, **WRITE_CALLS}.items() if method not in client._SERVICES}


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Let models be looked for in a folder of the test's."""
    monkeypatch.setattr(client, "MODELS", tmp_path / "models")
    client._loader.cache_clear()
    yield tmp_path / "models"
    client._loader.cache_clear()


def whole() -> dict[str, Any]:
    return dict(create_loader().load_service_model("ec2", "service-2"))


def resolved(model: dict[str, Any], shape: str, seen: tuple[str, ...] = ()) -> object:
    """Return a shape with everything that it refers to in its place."""
    if shape in seen:
        return shape
    return expanded(model, model["shapes"][shape], (*seen, shape))


def expanded(model: dict[str, Any], found: Any, seen: tuple[str, ...]) -> object:
    if isinstance(found, dict):
        named = found.get("shape")
        more = {"": resolved(model, named, seen)} if isinstance(named, str) else {}
        return {key: expanded(model, value, seen) for key, value in found.items()} | more
    return [expanded(model, one, seen) for one in found] if isinstance(found, list) else found


def test_the_part_says_of_our_operations_what_the_whole_says() -> None:
    _, part = client.part_of_ec2()
    full = whole()
    assert set(part["operations"]) == OURS
    assert part["metadata"] == full["metadata"]
    for name, operation in part["operations"].items():
        assert expanded(part, operation, ()) == expanded(full, full["operations"][name], ())
    assert len(part["shapes"]) < len(full["shapes"]) / 10


def test_what_was_kept_for_other_operations_is_not_found() -> None:
    """A newer release may use one more, with the same SDK: then the whole is read until the part is written again."""
    assert client.MODELS == client.kept(reversed(client._OPERATIONS)) != client.kept([*client._OPERATIONS, "DescribeTags"])


def test_it_is_loaded_where_it_was_written(fresh: Path) -> None:
    assert len(client._loader(None).load_service_model("ec2", "service-2")["shapes"]) == len(whole()["shapes"])
    client._loader.cache_clear()
    file = models.write(fresh)
    assert [one.name for one in file.parent.iterdir()] == [file.name], "no draft is left"
    _, part = client.part_of_ec2()
    assert client._loader(None).load_service_model("ec2", "service-2") == part
    assert client._loader(None).load_service_model("ec2", "endpoint-rule-set-1") == create_loader().load_service_model(
        "ec2", "endpoint-rule-set-1"
    )


def test_whoever_brings_models_of_their_own_gets_those(fresh: Path, tmp_path: Path) -> None:
    models.write(fresh)
    assert len(client._loader(str(tmp_path / "theirs")).load_service_model("ec2", "service-2")["shapes"]) == len(whole()["shapes"])


def test_whoever_keeps_a_model_of_ec2_at_home_gets_that(fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models.write(fresh)
    monkeypatch.setattr(Loader, "CUSTOMER_DATA_PATH", str(tmp_path / "home"))
    assert len(client._loader(None).load_service_model("ec2", "service-2")["shapes"]) < len(whole()["shapes"])
    client._loader.cache_clear()
    (tmp_path / "home" / "ec2").mkdir(parents=True)
    assert len(client._loader(None).load_service_model("ec2", "service-2")["shapes"]) == len(whole()["shapes"])


def test_it_is_kept_for_one_version_of_the_sdk() -> None:
    assert client.MODELS.name.rpartition("-")[0] == f"botocore-{botocore.__version__}"

"""The committed least-privilege roles are the generated ones, and the reading ones grant no write."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudsync import registry
from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync.model.target import TargetSettings

ROLES = Path(__file__).resolve().parents[2] / "config" / "iam"
FILES = sorted(path.name for path in ROLES.iterdir())


def test_every_platform_has_both_roles() -> None:
    assert {name.partition(".")[0] for name in FILES} == {
        f"{platform}-{what}" for platform in registry.SHIPPED for what in ("read", "full")
    }


@pytest.mark.parametrize("name", FILES)
def test_the_committed_role_is_the_generated_one(name: str) -> None:
    platform, _, what = name.partition(".")[0].partition("-")
    factory = registry.load(platform)
    target = TargetSettings("example", platform, TargetMode.OBSERVE, factory.example, Where("cloudsync.yaml"))
    role = factory.role([target], owner="acme-prod", read_only=what == "read")
    assert (ROLES / name).read_text("utf-8") == role


@pytest.mark.parametrize("platform", registry.SHIPPED)
def test_a_reading_role_grants_no_write(platform: str) -> None:
    factory = registry.load(platform)
    text = (ROLES / next(name for name in FILES if name.startswith(f"{platform}-read"))).read_text("utf-8")
    writes = {one.action for one in factory.permissions if one.write} - {one.action for one in factory.permissions if not one.write}
    assert writes
    assert [action for action in writes if f'"{action}"' in text or f"- {action}\n" in text] == []

"""The page of the lab names every switch, verb, kind of fault, user and estate there is."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from cloudsync.lab.f5.pytest_plugin import f5_site, f5_site_server
from cloudsync.lab.f5.settings import Settings
from cloudsync.lab.f5.site import Site
from cloudsync.lab.f5.tokens import USERS
from cloudsync.lab.kit.faults import Kind

__all__ = ["f5_site", "f5_site_server"]

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "lab-f5.md").read_text(encoding="utf-8")


def test_every_switch_is_on_the_page() -> None:
    assert [each.name for each in fields(Settings) if each.name not in PAGE] == []


def test_every_kind_of_fault_is_on_the_page() -> None:
    assert [kind.value for kind in Kind if kind.value not in PAGE] == []


def test_every_verb_is_on_the_page(f5_site: Site) -> None:
    assert [verb for verb in sorted(f5_site.verbs()) if f"`{verb}`" not in PAGE] == []


def test_every_user_is_on_the_page() -> None:
    assert [user.name for user in USERS if f"| `{user.name}` | {user.role}" not in PAGE] == []


def test_the_section_of_lab_json_is_as_the_page_says(f5_site: Site) -> None:
    for unit in f5_site.section():
        assert set(unit) == {"name", "hostname", "serial", "endpoint", "ca_file", "user", "password", "users", "device_group"}
        assert unit["endpoint"].startswith("https://127.0.0.1:")
        assert Path(unit["ca_file"]).is_file()

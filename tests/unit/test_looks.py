"""A hint for the next look holds until something is written, and for a day at most; a look that led to more is forgotten first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudsync.adapter import TargetSettings
from cloudsync.app import looks
from cloudsync.model.codec import Json
from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync.run import Reading
from cloudsync.store.place import DEFAULT, locate
from cloudsync.store.records import Records
from cloudsync.store.state import open_database
from tests.acting.folders import tmp_path

__all__ = ["tmp_path"]

NOW = 1_800_000_000.0
A, B = (TargetSettings(name, "aws", TargetMode.EXCLUSIVE, {}, Where("cloudsync.yaml")) for name in "ab")


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    database = open_database(locate(DEFAULT, tmp_path))
    yield Records(database)
    database.close()


def kept(records: Records, after: float = 0.0) -> dict[str, str]:
    return looks.hints(records, (A, B), NOW + after)


def looked(target: TargetSettings, hint: str = "none", *, glanced: bool = True) -> Reading:
    return Reading(target, glanced=glanced, hint=hint)


def test_nothing_is_known_at_first(records: Records) -> None:
    assert kept(records) == {}


def test_a_hint_holds_for_its_target_and_for_a_day(records: Records) -> None:
    looks.keep(records, [looked(A), looked(B, "")], NOW)
    assert kept(records) == {"a": "none"}
    assert kept(records, looks.LIFE_S - 1) == {"a": "none"}
    assert kept(records, looks.LIFE_S) == {}
    assert kept(records, -1) == {}, "a clock that was set back says nothing of a day"


def test_using_a_hint_does_not_make_it_younger(records: Records) -> None:
    looks.keep(records, [looked(A)], NOW)
    looks.keep(records, [looked(A)], NOW + looks.LIFE_S - 1)
    assert kept(records, looks.LIFE_S) == {}
    looks.keep(records, [looked(A)], NOW + looks.LIFE_S)
    assert kept(records, looks.LIFE_S + 1) == {"a": "none"}


def test_another_hint_replaces_it(records: Records) -> None:
    looks.keep(records, [looked(A)], NOW)
    looks.keep(records, [looked(A, "other")], NOW + 1)
    assert kept(records, 2) == {"a": "other"}


@pytest.mark.parametrize("after", [looked(A, glanced=False), looked(A, "")])
def test_a_target_where_something_is_to_do_or_that_says_nothing_is_forgotten(after: Reading, records: Records) -> None:
    looks.keep(records, [looked(A), looked(B)], NOW)
    looks.keep(records, [after], NOW + 1)
    assert kept(records, 2) == {"b": "none"}


@pytest.mark.parametrize("document", [7, [], {"at": "x", "hint": "none"}, {"at": int(NOW), "hint": 3}, {"hint": "none"}])
def test_what_nobody_wrote_is_no_hint(document: Json, records: Records) -> None:
    records.keep("look a", document)
    assert kept(records) == {}

"""What a report may never say: clean where nothing was read, drift where something is only watched, a raw name from a cloud."""

from __future__ import annotations

from itertools import permutations

import pytest

from cloudsync.cli.exits import Exit, worst
from cloudsync.cli.output import Output
from cloudsync.model.address import ANYWHERE
from cloudsync.model.mode import TargetMode
from cloudsync.model.packets import PacketSet
from cloudsync.model.service import TCP, ServiceSet
from cloudsync.model.workload import Labels, PointId
from cloudsync.proof.drift import Drift, Kind, Severity
from cloudsync.report.text import render
from cloudsync.report.values import RunReport, TargetReport, Unchecked
from cloudsync.testing.plans import HARMLESS


def drift(kind: Kind) -> Drift:
    packets = PacketSet.of(ANYWHERE, ServiceSet.ports(TCP, 22, 22))
    return Drift("mem", kind, Severity.HIGH, "inbound", packets, (PointId("p"),), ("w",), Labels(), "tcp/22 from anywhere", ())


def said(*targets: TargetReport, incomplete: tuple[Unchecked, ...] = ()) -> str:
    return "\n".join(line for line, _ in render(RunReport("drift", "acme", "p", 1, incomplete, targets)))


def test_what_is_only_watched_is_no_drift() -> None:
    assert {kind for kind in Kind if drift(kind).real} == {Kind.EXCESS, Kind.MISSING, Kind.SHADOW, Kind.SHADOW_DENY}
    text = said(TargetReport("mem", TargetMode.EXCLUSIVE, HARMLESS, drift=(drift(Kind.WOULD_BLOCK),)))
    assert "= no drift" in text
    assert "only watched" in text


def test_a_target_that_was_not_read_is_never_called_clean() -> None:
    text = said(TargetReport("mem", TargetMode.EXCLUSIVE, error="the platform is down"))
    assert "no drift" not in text
    assert "nothing was checked" in text
    assert "1 target could not be read" in text
    beside = said(TargetReport("a", TargetMode.EXCLUSIVE, HARMLESS), TargetReport("b", TargetMode.EXCLUSIVE, error="down"))
    assert "no drift on 1 target; 1 target could not be read" in beside


def test_a_gap_in_the_inventory_is_said() -> None:
    text = said(TargetReport("mem", TargetMode.EXCLUSIVE, HARMLESS), incomplete=(Unchecked("mem/two", "page 2 failed"),))
    assert "INCOMPLETE (1 scope)" in text
    assert "not checked: mem/two: page 2 failed" in text


@pytest.mark.parametrize(
    ("codes", "wins"),
    [
        ((Exit.REFUSED, Exit.FAILED), Exit.REFUSED),
        ((Exit.BUG, Exit.REFUSED), Exit.BUG),
        ((Exit.INVALID, Exit.OK), Exit.INVALID),
        ((Exit.INVALID, Exit.FAILED, Exit.REFUSED), Exit.INVALID),
        ((Exit.FAILED, Exit.CHANGES), Exit.FAILED),
        ((Exit.CHANGES, Exit.OK), Exit.CHANGES),
        ((Exit.OK,), Exit.OK),
        ((), Exit.OK),
    ],
)
def test_over_several_targets_the_word_for_a_person_wins(codes: tuple[Exit, ...], wins: Exit) -> None:
    assert {worst(order) for order in permutations(codes)} == {wins}


def test_nothing_from_a_cloud_is_printed_unescaped(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output()
    for printed in (out.line, out.note, out.error):
        printed("web\x1b[2J\x9b\u202e\u200b\r\x07")
    captured = capsys.readouterr()
    for text in (captured.out, captured.err):
        assert text.strip()
        assert not set(text) & set("\x1b\x9b\u202e\u200b\r\x07")

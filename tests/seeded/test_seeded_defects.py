"""Whether our tests would notice: each defect of the catalogue, planted in a copy of the project, has to fail each of its tests."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from tests.seeded.catalogue import DEFECTS
from tests.seeded.planting import CONTROL_S, ROOT, Defect, make_copy, planted, run_tests, try_defect
from tests.trust.figures import record

FEW = 6


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_copy(tmp_path_factory.mktemp("seeded") / "project")


def few() -> list[Defect]:
    """Return a few quick defects; which ones moves with the text of the product, so that over time every one has its turn."""
    quick = [defect for defect in DEFECTS if defect.quick]
    told = sha256()
    for file in sorted({defect.file for defect in quick}):
        told.update((ROOT / file).read_bytes())
    start = int(told.hexdigest(), 16)
    return [quick[(start + number * (len(quick) // FEW)) % len(quick)] for number in range(FEW)]


def test_the_catalogue_follows_the_code() -> None:
    texts = {defect.file: (ROOT / defect.file).read_text(encoding="utf-8") for defect in DEFECTS}
    stale = [f"{one.name}: {texts[one.file].count(one.old)} times" for one in DEFECTS if texts[one.file].count(one.old) != 1]
    assert not stale, "\n".join(stale)
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS) >= 60
    missing = [test for one in DEFECTS for test in one.tests if not (ROOT / test.partition("::")[0]).is_file()]
    assert not missing, missing
    assert all(one.old != one.new and one.breaks and one.tests for one in DEFECTS)


def test_a_few_defects_are_caught(copy: Path) -> None:
    chosen = few()
    control = run_tests(copy, sorted({test for defect in chosen for test in defect.tests}))
    assert control.passed, control.output
    outcomes = [(defect, try_defect(copy, defect)) for defect in chosen]
    uncaught = [f"{defect.name}: {defect.breaks}\n{outcome.output}" for defect, outcome in outcomes if not outcome.caught]
    record("T5 seeded sample", {"planted": len(chosen), "caught": len(chosen) - len(uncaught), "uncaught": len(uncaught)})
    assert not uncaught, "\n".join(uncaught)


@pytest.mark.slow
def test_without_a_defect_every_test_passes(copy: Path) -> None:
    control = run_tests(copy, sorted({test for defect in DEFECTS for test in defect.tests}), CONTROL_S)
    assert control.passed, control.output


@pytest.mark.slow
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda one: one.name)
def test_a_defect_is_caught(defect: Defect, copy: Path) -> None:
    outcome = try_defect(copy, defect)
    assert outcome.caught, f"{defect.breaks}\n{outcome.output}"


def test_a_change_of_words_alone_is_not_called_a_defect(copy: Path) -> None:
    harmless = Defect(
        name="harmless",
        file="cloudsync/guard/cap.py",
        old='CODE = "G-CAP"',
        new='CODE = "G-CAP"  # a remark',
        breaks="nothing",
        tests=("tests/unit/test_guard_each.py::test_a_point_never_loses_its_last_rule_of_ours_unasked",),
    )
    before = (copy / harmless.file).read_bytes()
    assert not try_defect(copy, harmless).caught
    with planted(copy, harmless):
        assert (copy / harmless.file).read_bytes() != before
    assert (copy / harmless.file).read_bytes() == before

"""The mistakes that are planted: which ones, that they can be taken back, and that a test which notices or does not is told apart."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cloudsync.model.quick import OFTEN, dataclass
from tests.mutation.equivalents import Equivalents
from tests.mutation.mutants import MODULE, mutants, planted
from tests.mutation.planting import _carry
from tests.mutation.scopes import ROOT, SCOPES, files_of

EQUIVALENTS_PERCENT_MAX = 5
SMALL = '''
"""A module."""
MOST = 3
def within(size: int, *, least: int = 1) -> bool:
    """Tell something."""
    assert size, "never zero"
    if size > MOST:
        raise ValueError(f"too large: {size}")
    note(size, least)
    return least <= size
'''


def changes(text: str) -> set[tuple[str, str]]:
    return {(one.where, f"{one.old} -> {one.new}") for one in mutants("small.py", ast.parse(text))}


def every_file() -> list[str]:
    return [file for scope in SCOPES for file in files_of(scope)]


def test_a_small_function_has_these_mutants_and_no_other() -> None:
    within = "within"
    assert changes(SMALL) == {
        (MODULE, "3 -> 4"),
        (MODULE, "3 -> 2"),
        (MODULE, "1 -> 2"),
        (MODULE, "1 -> 0"),
        (within, "if size > MOST: -> if True:"),
        (within, "if size > MOST: -> if False:"),
        (within, "size > MOST -> size >= MOST"),
        (within, "size > MOST -> size <= MOST"),
        (within, "raise ValueError(f'too large: {size}') -> pass"),
        (within, "f'too large: {size}' -> ''"),
        (within, "note(size, least) -> pass"),
        (within, "note(size, least) -> note(least, size)"),
        (within, "return least <= size -> return not least <= size"),
        (within, "least <= size -> least < size"),
        (within, "least <= size -> least > size"),
    }


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("a and b", "a and b -> a or b"),
        ("a and b", "a and b -> b"),
        ("not a", "not a -> a"),
        ("a & b", "a & b -> a | b"),
        ("a - b", "a - b -> a"),
        ("a[1:n]", "1:n -> 1:"),
        ("any(a)", "any(a) -> all(a)"),
        ("sorted(a, key=f)", "sorted(a, key=f) -> list(a)"),
        ("f(key=f)", "f(key=f) -> f()"),
        ("a if b else c", "a if b else c -> c"),
        ("[x for x in a if x]", "for x in a if x -> for x in a"),
        ("'word'", "'word' -> 'word?'"),
        ("0.5", "0.5 -> 2.0"),
        ("True", "True -> False"),
    ],
)
def test_an_expression_is_changed_like_this(text: str, change: str) -> None:
    assert change in {one for _where, one in changes(f"x = {text}")}


def test_a_mutant_is_a_module_that_compiles_and_is_taken_back() -> None:
    for file in every_file():
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        healthy = ast.dump(tree, include_attributes=True)
        for mutant in mutants(file, tree)[::40]:
            with planted(mutant):
                assert ast.dump(tree) != healthy
                compile(tree, file, "exec")
        assert ast.dump(tree, include_attributes=True) == healthy


def test_what_is_called_equivalent_exists_has_a_reason_and_is_rare() -> None:
    names = {one.name for file in every_file() for one in mutants(file, ast.parse((ROOT / file).read_text(encoding="utf-8")))}
    reasons = Equivalents.read().reasons
    assert not sorted(set(reasons) - names)
    assert all(len(reason.split()) >= 5 for reason in reasons.values())
    assert len(reasons) <= len(names) * EQUIVALENTS_PERCENT_MAX / 100


def test_a_mutant_that_a_test_notices_is_told_from_one_that_none_does(tmp_path: Path) -> None:
    file = "cloudsync/guard/identity.py"
    noticed = f"{file} | check | identity.got is None -> identity.got is not None"
    again, figures = tmp_path / "again", tmp_path / "figures"
    again.write_text(f"{noticed}\n", encoding="utf-8")
    command = [sys.executable, "-m", "tests.mutation", file, "--again", str(again), "--tests"]
    environment = {**os.environ, "CLOUDSYNC_FIGURES": str(figures)}
    own = "tests/unit/test_guard_each.py::test_identity_that_cannot_be_read_is_refused"
    done = subprocess.run([*command, own], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    other = "tests/unit/test_guard_each.py::test_a_peak_has_to_leave_the_reserve"
    done = subprocess.run([*command, other], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"untested: {noticed}" in done.stdout
    first, second = (json.loads(line) for line in figures.read_text(encoding="utf-8").splitlines())
    assert (first["mutants"], first["killed"], second["killed"], second["survived"]) == (1, 1, 0, 1)


@pytest.mark.parametrize("made", [0, OFTEN + 1], ids=["in plain words", "compiled"])
def test_a_changed_default_reaches_values_whose_constructor_is_compiled_and_others(made: int) -> None:
    @dataclass(frozen=True, slots=True)
    class Healthy:
        name: str
        kept: int = 7
        share: int = 0

    @dataclass(frozen=True, slots=True)
    class Changed:
        name: str
        kept: int = 7
        share: int = 31

    for _ in range(made):
        Healthy("x")
    _carry(Healthy, Changed)
    one, said = Healthy("x"), Healthy("x", share=5)
    assert (one.kept, one.share, said.kept, said.share) == (7, 31, 7, 5)

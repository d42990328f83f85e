"""No bytes break the loader: cut, mixed and mistyped files give findings inside the file, or a policy, and never an exception."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from cloudsync.model.finding import Severity
from cloudsync.policy.fmt import format_file
from cloudsync.policy.load import load_policy

EXAMPLE = (Path(__file__).parent.parent / "golden" / "policy" / "example.yaml").read_bytes()
PIECES = [
    b":",
    b": ",
    b"- ",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b'"',
    b"'",
    b"|",
    b"=",
    b" to ",
    b" on ",
    b"#",
    b" #",
    b"\n",
    b"  ",
    b"0",
    b"!",
    b"&a",
    b"*a",
]


def check(content: bytes) -> bool:
    policy, findings = load_policy([("p.yaml", content)])
    lines = content.decode(errors="replace").replace("\r\n", "\n").split("\n")
    lines.append("")  # the parser may point behind the last line
    for finding in findings:
        assert 1 <= finding.where.line <= len(lines), str(finding)
        assert 1 <= finding.where.col <= len(lines[finding.where.line - 1]) + 2, str(finding)
        assert finding.code.isupper() or "-" in finding.code
        assert "\n" not in str(finding)
    assert (policy is None) == any(finding.severity is Severity.ERROR for finding in findings)
    if policy is not None:
        again, _ = load_policy([("p.yaml", format_file("p.yaml", content))])
        assert again is not None
        assert [rule.text for rule in again.rules] == [rule.text for rule in policy.rules]
    return policy is not None


def test_a_file_cut_anywhere() -> None:
    loaded = [check(EXAMPLE[:end]) for end in range(0, len(EXAMPLE), 13)]
    assert not any(loaded[:50]), "before the first rule there is no policy"
    assert any(loaded[50:]), "a cut between two rules leaves a smaller policy: only the snapshot's manifest can tell"


@pytest.mark.parametrize("seed", range(4))
def test_a_file_with_stray_characters(seed: int) -> None:
    rng = random.Random(seed)
    loaded = 0
    for _ in range(60):
        content = EXAMPLE
        for _ in range(rng.choice([1, 1, 2, 4])):
            at = rng.randrange(len(content))
            content = content[:at] + rng.choice(PIECES) + content[at + rng.choice([0, 0, 1, 3]) :]
        loaded += check(content)
    assert 0 < loaded < 60


def test_bare_words_of_the_example_have_one_meaning() -> None:
    bare = EXAMPLE.replace(b"allow role=app to role=db on postgres\n", b"allow app to reach db on postgres\n")
    assert bare != EXAMPLE
    first, second = load_policy([("p.yaml", EXAMPLE)])[0], load_policy([("p.yaml", bare)])[0]
    assert first is not None
    assert first == second
    assert format_file("p.yaml", bare) == EXAMPLE

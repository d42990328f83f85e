"""Every code that a person can meet has an entry in the runbook, and the runbook knows no other."""

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudsync.cli.main import VERBS
from cloudsync.cli.main import parser as parser_of
from cloudsync.model.exits import Exit
from tests.tidy import tree

RUNBOOK = tree.ROOT / "docs" / "runbook.md"
CODE = re.compile(r"[A-Z][A-Z0-9]*(?:-[A-Z0-9]+)+")
WORD = re.compile(r"[A-Z]{2,}[A-Z0-9]*")
CALLS = {"Finding", "RefusedError", "BusyError", "Problem", "Refusal", "refusal", "report", "_report", "_warning", "_no", "wrong", "yield"}
"""Calls whose texts in capitals are codes, of one word as well."""
NO_CODES = {"NO-CACHE", "UTF-8"}
TOLD = {"drift", "refused", "failed", "recovered", "overdue", "expiring", "digest"}
"""What people are told of: Trouble.what, and the events of mail."""


def product() -> Iterator[Path]:
    return (path for path in tree.python_files(*tree.PRODUCT) if not {"lab", "testing"} & set(path.parts))


def literals(node: ast.AST) -> Iterator[str]:
    for each in ast.iter_child_nodes(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value


def codes() -> set[str]:
    """Return every code in the code: texts that are one, and words in capitals where a code belongs."""
    found: set[str] = set()
    for path in product():
        for node in ast.walk(tree.syntax(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
                found.add(node.value)
            if isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr if isinstance(node.func, ast.Attribute) else ""
                keyed = [one.value.value for one in node.keywords if one.arg == "code" and isinstance(one.value, ast.Constant)]
                found |= {str(text) for text in keyed if WORD.fullmatch(str(text))}
                found |= {text for text in literals(node) if name in CALLS and WORD.fullmatch(text)}
            if isinstance(node, ast.Assign) and [one.id for one in node.targets if isinstance(one, ast.Name)] == ["CODE"]:
                found |= {text for text in literals(node) if WORD.fullmatch(text)}
    quotas = {code for code in found if re.fullmatch(r"L-[0-9A-F]{8}", code)}  # Service Quotas' names of quotas
    return found - quotas - NO_CODES


def entries(text: str) -> list[str]:
    """Return the codes that the runbook has an entry for: headings, and first cells of tables."""
    found = re.findall(r"^### (\S+)$", text, re.MULTILINE) + re.findall(r"^\| `([A-Z][A-Z0-9-]*)` \|", text, re.MULTILINE)
    return [word for word in found if CODE.fullmatch(word) or WORD.fullmatch(word)]


def test_every_code_has_one_entry_and_every_entry_a_code() -> None:
    listed = entries(RUNBOOK.read_text(encoding="utf-8"))
    assert len(set(codes())) > 150
    assert not codes() - set(listed), sorted(codes() - set(listed))
    assert not set(listed) - codes(), sorted(set(listed) - codes())
    assert sorted(set(listed)) == sorted(listed)


def test_every_exit_code_and_everything_that_people_are_told_has_an_entry() -> None:
    text = RUNBOOK.read_text(encoding="utf-8")
    assert set(re.findall(r"^### Exit code (\d+)$", text, re.MULTILINE)) == {str(int(code)) for code in Exit}
    assert set(re.findall(r"^### ([a-z]+)$", text, re.MULTILINE)) == TOLD


def test_every_entry_about_a_refusal_says_what_to_do() -> None:
    text = RUNBOOK.read_text(encoding="utf-8")
    for body in re.split(r"^### ", text.partition("## Guards")[2].partition("## Findings")[0], flags=re.MULTILINE)[1:]:
        title, _, rest = body.partition("\n")
        assert "**Means**" in rest or "See [" in rest, title
        assert "**Do**" in rest or "See [" in rest, title


def test_events_of_the_log_are_explained() -> None:
    text = RUNBOOK.read_text(encoding="utf-8") + (tree.ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    logged: set[str] = set()
    for path in product():
        if path.parts[1] not in ("service", "app"):
            continue
        for node in ast.walk(tree.syntax(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "log":
                logged |= {text for text in literals(node) if re.fullmatch(r"[a-z]+\.[a-z]+", text)}
    assert len(logged) > 10
    assert not [event for event in sorted(logged) if f"`{event}`" not in text]


def commands() -> Iterator[tuple[str, str]]:
    """Yield the command lines of pages and examples: in code blocks, and between backticks."""
    pages = [
        tree.ROOT / "README.md",
        *sorted((tree.ROOT / "docs").glob("*.md")),
        *sorted((tree.ROOT / "config" / "example").rglob("*.y*ml")),
    ]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for line in re.findall(r"(?:^    (?:\$ )?|^\$ (?:\S*/)?|`|- |run: |^ +)(cloudsync [^`\n]*)", text, re.MULTILINE):
            yield page.name, re.split(r"  +#|\s{2,}|[|;>]|&&| \.\.\.", line)[0].rstrip(" .,:")


@pytest.mark.parametrize(("page", "line"), sorted(set(commands())))
def test_commands_in_the_pages_are_commands(page: str, line: str) -> None:
    words = line.split()[1:]
    if not words or not re.fullmatch(r"[a-z]+", words[0]):
        return
    assert words[0] in VERBS, f"{page}: {line}"
    parser: argparse.ArgumentParser = parser_of(words[0])
    known: set[str] = set()
    for action in parser._actions:
        known |= set(action.option_strings)
        for below in action.choices.values() if isinstance(action, argparse._SubParsersAction) else ():
            known |= {option for each in below._actions for option in each.option_strings}
    used = {word.partition("=")[0].strip("[]()") for word in words[1:] if re.match(r"\[?--?[a-z]", word, re.IGNORECASE)}
    assert used <= known, f"{page}: {line}: {sorted(used - known)}"

"""The project speaks of itself alone: no machine's paths, no tracker's numbers, no words about how it came to be."""

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tidy import tree

# Turned by thirteen letters, so that this file does not contain what it looks for.
WORDS = [codecs.decode(word, "rot13") for word in ("nffvfgnag", "pynhqr", "naguebcvp", "bcranv", "pungtcg", "pbcvybg", "fhontrag", "yyz")]
PLACES = ["/" + "work/", "/" + "tmp/", "/" + "root/"]
HOSTS = ["pypi" + ".org", "files.pythonhosted" + ".org"]
FORBIDDEN = re.compile(
    "|".join([*(rf"\b{word}s?\b" for word in WORDS), *(rf"(?<![\w./-]){re.escape(place)}" for place in PLACES), r"\bissue #?\d"]),
    re.IGNORECASE,
)
# Hash and version lines hold no prose.
SKIPPED = {Path("LICENSE"), Path("requirements.lock")}
SUFFIXES = {".py", ".md", ".toml", ".yaml", ".yml", ".json", ".txt", ".service", ".timer", ".html", ".j2", ".csv", ".cfg", ".sh", ""}


def matches(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        for match in FORBIDDEN.finditer(line):
            yield number, match.group()


def test_every_file_speaks_of_the_project_alone() -> None:
    found = [
        f"{file}:{number} {word!r}"
        for file in tree.text_files()
        if file not in SKIPPED and file.suffix in SUFFIXES
        for number, word in matches((tree.ROOT / file).read_text(encoding="utf-8", errors="replace"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "planted", [f"see {PLACES[0]}x", f"open('{PLACES[1]}x')", f"the {WORDS[0]} wrote", "issue " + "#12", WORDS[1].title()]
)
def test_a_planted_word_is_found(planted: str) -> None:
    assert list(matches(planted))


def test_a_vendors_thread_may_be_cited() -> None:
    assert not list(matches("hashicorp/terraform-provider-aws#4726 [issue], the workload network, a helper rule, an artwork/ folder"))


def test_the_lock_is_pinned_by_hash_and_names_no_host() -> None:
    lock = (tree.ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not [place for place in (*HOSTS, *PLACES, "://", "--index", "--find-links") if place in lock]
    entries = [entry for entry in re.split(r"\n(?=\S)", lock) if entry and not entry.startswith("#")]
    assert len(entries) > 50
    assert not [entry for entry in entries if not re.match(r"[A-Za-z0-9._-]+==\S+", entry) or "--hash=sha256:" not in entry]


def test_decisions_are_numbered_once_and_have_their_three_parts() -> None:
    pages = sorted(path for path in (tree.ROOT / "docs" / "decisions").glob("*.md") if not path.name.startswith("000"))
    numbers = [path.name[:3] for path in pages]
    assert pages
    assert len(set(numbers)) == len(numbers), numbers
    for page in pages:
        assert re.fullmatch(r"\d{3}-[a-z0-9-]+\.md", page.name), page.name
        text = page.read_text(encoding="utf-8")
        assert not [part for part in ("## Context", "## Choice", "## Cost") if part not in text], page.name


def test_change_notes_are_named_for_what_they_change() -> None:
    kinds = "added|changed|fixed|removed|security"
    names = [path.name for path in (tree.ROOT / "changes").iterdir() if path.name != "README.md"]
    assert not [name for name in names if not re.fullmatch(rf"[a-z0-9-]+\.({kinds})\.md", name)], names

"""The strict loader: text stays text, places are exact, and a broken character does not hide the next mistake."""

from __future__ import annotations

import pytest

from cloudsync.model.finding import Where
from cloudsync.policy.strict import MAX_BYTES, Mapping, Node, Scalar, Sequence, load_node


def tree(node: Node | None) -> object:
    """The plain shape of a tree."""
    match node:
        case Mapping(entries=entries):
            return {key.text: tree(value) for key, value in entries}
        case Sequence(items=items):
            return [tree(item) for item in items]
        case Scalar(text=text):
            return text
        case _:
            return None


def places(node: Node | None) -> list[tuple[str, int, int]]:
    """Text, line and column of every scalar in file order."""
    match node:
        case Mapping(entries=entries):
            return [place for key, value in entries for place in [*places(key), *places(value)]]
        case Sequence(items=items):
            return [place for item in items for place in places(item)]
        case Scalar(text=text, where=where):
            return [(text, where.line, where.col)]
        case _:
            return []


WORDS = ["no", "yes", "on", "22:22", "1.10", "022", "0x10", "1e3", "~", "null", "2027-03-31", "true", ".inf", "=", "1_000"]


@pytest.mark.parametrize("word", WORDS)
def test_every_scalar_stays_the_text_that_stands_there(word: str) -> None:
    node, findings = load_node("f.yaml", f"a: {word}\nb: [{word}]\n{word}: x\n".encode())
    assert not findings
    assert tree(node) == {"a": word, "b": [word], word: "x"}


def test_places_count_characters_from_one() -> None:
    text = "version: 1\nlabels:\n  role: [web, 'db']\n  app: # note\n    - \"größe\"\n    - b\n"
    node, findings = load_node("f.yaml", text.encode())
    assert not findings
    assert places(node) == [
        ("version", 1, 1),
        ("1", 1, 10),
        ("labels", 2, 1),
        ("role", 3, 3),
        ("web", 3, 10),
        ("db", 3, 15),
        ("app", 4, 3),
        ("größe", 5, 7),
        ("b", 6, 7),
    ]


def test_columns_behind_wide_letters_are_characters_not_bytes() -> None:
    node, _ = load_node("f.yaml", "a: {größe: 1, ü: x}\n".encode())
    assert places(node) == [("a", 1, 1), ("größe", 1, 5), ("1", 1, 12), ("ü", 1, 15), ("x", 1, 18)]


def test_quoted_is_told_from_plain_and_from_block_text() -> None:
    node, _ = load_node("f.yaml", b"- a\n- 'a'\n- \"a\"\n- >-\n  a\n- ''\n")
    assert isinstance(node, Sequence)
    quoted = [item.quoted for item in node.items if isinstance(item, Scalar)]
    assert quoted == [False, True, True, True, True]


def test_an_empty_quoted_text_is_a_value() -> None:
    node, findings = load_node("f.yaml", b'a: ""\n')
    assert not findings
    assert isinstance(node, Mapping)
    value = node.get("a")
    assert isinstance(value, Scalar)
    assert not value.missing


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "---\n...\n"])
def test_a_file_with_nothing_in_it_has_no_tree_and_no_finding(text: str) -> None:
    assert load_node("f.yaml", text.encode()) == (None, ())


def test_a_byte_order_mark_and_other_line_breaks_change_nothing() -> None:
    plain, _ = load_node("f.yaml", b"a: 1\nb: [x]\n")
    other, findings = load_node("f.yaml", b"\xef\xbb\xbfa: 1\r\nb: [x]\r\n")
    assert not findings
    assert other == plain


@pytest.mark.parametrize(
    "text",
    [
        "a: web  # a comment behind two blanks\n",
        "a: web # a comment behind one word\n",
        "a: [x y] # a comment behind a list\n",
        'a: "x y" # a comment behind quotes\n',
        "a: x#y z\n",
        "a: x:y z\n",
        "a: allow role=web to role=db on tcp/22  # two blanks\n",
        "# allow a: b\na: x\n",
        "map: {pre prod: test}\n",
    ],
)
def test_comments_and_colons_that_mean_no_harm_are_left_alone(text: str) -> None:
    node, findings = load_node("f.yaml", text.encode())
    assert not findings
    assert node is not None


def test_a_split_sentence_is_put_together_again_so_that_nothing_else_complains() -> None:
    node, findings = load_node("f.yaml", b'rules:\n  - allow a to b on c because "x: y"\n')
    assert [finding.code for finding in findings] == ["QUOTE-IT"]
    assert tree(node) == {"rules": ['allow a to b on c because "x: y"']}


def test_a_refused_character_is_reported_once_and_the_rest_is_still_read() -> None:
    node, findings = load_node("f.yaml", "role: [we\u200bb, w\u0435b]\nrole: x\n".encode())
    assert [(finding.code, finding.where) for finding in findings] == [
        ("INVISIBLE-CHAR", Where("f.yaml", 1, 10)),
        ("MIXED-SCRIPT", Where("f.yaml", 1, 15)),
        ("DUPLICATE-KEY", Where("f.yaml", 2, 1)),
    ]
    assert tree(node) == {"role": ["web", "web"]}


@pytest.mark.parametrize("text", ["Größe", "naïve", "прод", "kΩ", "日本", "αβγ"])
def test_words_of_one_script_and_harmless_mixes_are_nobodys_business(text: str) -> None:
    node, findings = load_node("f.yaml", f"a: {text}\n".encode())
    assert not findings
    assert tree(node) == {"a": text}


def test_of_several_documents_the_first_is_the_tree_and_the_others_are_one_finding() -> None:
    node, findings = load_node("f.yaml", b"a: 1\n---\nb: 2\nb: 3\n---\nc: 3\n")
    assert tree(node) == {"a": "1"}
    assert [(finding.code, finding.where.line) for finding in findings] == [("DOCUMENTS", 2)]


def test_the_size_limit_is_exact() -> None:
    fits = b"a: 1\n" + b"#" * (MAX_BYTES - 5)
    assert load_node("f.yaml", fits)[1] == ()
    assert [str(finding) for finding in load_node("f.yaml", fits + b"#")[1]] == ["f.yaml:1:1 TOO-BIG over 8 MiB; split the file"]


def test_the_depth_limit_is_exact() -> None:
    assert load_node("f.yaml", b"[" * 32 + b"]" * 32)[1] == ()
    assert [finding.code for finding in load_node("f.yaml", b"[" * 33 + b"]" * 33)[1]] == ["NESTING"]


def test_a_flood_of_findings_is_cut_off_and_says_so() -> None:
    _, findings = load_node("f.yaml", b"a:\n" * 500)
    assert len(findings) == 101
    assert findings[-1].code == "TOO-MANY"


@pytest.mark.parametrize("cut", range(len(b"version: 1\nlabels: {role: [web]}\nrulesets:\n  - name: a\n    rules:\n      - x y\n")))
def test_a_file_cut_anywhere_never_raises_and_never_invents(cut: int) -> None:
    whole = b"version: 1\nlabels: {role: [web]}\nrulesets:\n  - name: a\n    rules:\n      - x y\n"
    node, findings = load_node("f.yaml", whole[:cut])
    assert node is None or isinstance(node, Mapping | Scalar)
    assert all(finding.where.file == "f.yaml" for finding in findings)

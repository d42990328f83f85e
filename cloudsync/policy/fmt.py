"""The canonical sentence in the place of what was written; every other byte of a file stays as it is.

Rules and tests that are sentences are rewritten, and so are the texts of `from`, `to` and `services` in long forms: a long form stays
long, because its author chose it. Block scalars (`|`, `>`) are left alone, and so is everything in a file that has findings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import yaml
from yaml.events import CollectionEndEvent, CollectionStartEvent, ScalarEvent

from cloudsync.model.finding import Finding
from cloudsync.model.quick import dataclass
from cloudsync.policy.characters import decode, parseable
from cloudsync.policy.grammar import parse_rule, parse_services, parse_test, parse_whos, rule_text, services_text, text_of_test, whos_text
from cloudsync.policy.load import load_objects
from cloudsync.policy.objects import Objects
from cloudsync.policy.place import Piece, Source
from cloudsync.policy.resolve import Resolver, read_time, time_text
from cloudsync.policy.rules import rule_meaning
from cloudsync.policy.strict import Mapping, Node, Scalar, load_node
from cloudsync.policy.strict import Sequence as ListNode
from cloudsync.policy.syntax import TestTree

_BREAK = re.compile(r"\r\n|\r|\n")
_FLOW = frozenset("[]{},")
_FIRST = frozenset("-?:,[]{}#&*!|>'\"%@`")


@dataclass(frozen=True, slots=True)
class _Edit:
    """Replace the characters from `start` to `end`."""

    start: int
    end: int
    text: str


def format_files(files: Sequence[tuple[str, bytes]]) -> tuple[tuple[str, bytes], ...]:
    """Return all files of a policy with canonical sentences; bare words get the label that owns them, wherever it is declared."""
    objects = load_objects(files)
    return tuple((file, format_file(file, content, objects)) for file, content in files)


def format_file(file: str, content: bytes, objects: Objects | None = None) -> bytes:
    """Return one file with canonical sentences; without `objects` only its own declarations are known."""
    node, findings = load_node(file, content)
    text, _ = decode(file, content)
    if findings or text is None or not isinstance(node, Mapping):
        return content
    known = load_objects([(file, content)]) if objects is None else objects
    wanted = dict(_canonical(node, known, Source(content)))
    raw = content.decode("utf-8")
    edits = list(_edits(raw, text, wanted))
    for edit in sorted(edits, key=lambda one: -one.start):
        raw = raw[: edit.start] + edit.text + raw[edit.end :]
    done = raw.encode("utf-8")
    assert not load_node(file, done)[1], "a formatted file loads as the one before"
    return done


# --- what the sentences should be


def _canonical(node: Mapping, objects: Objects, source: Source) -> Iterator[tuple[tuple[int, int], str]]:
    """Yield line and column of every scalar that should read differently, and its canonical text."""
    for scalar, canonical in _sentences(node, objects):
        text = canonical(Piece(scalar, {scalar.where.file: source}))
        if text is not None and text != scalar.text:
            yield (scalar.where.line, scalar.where.col), text


Canonical = Callable[[Piece], str | None]


def _sentences(node: Mapping, objects: Objects) -> Iterator[tuple[Scalar, Canonical]]:
    words = _Words(objects)
    for ruleset in _items(node.get("rulesets")):
        for rule in _items(ruleset.get("rules")) if isinstance(ruleset, Mapping) else ():
            if isinstance(rule, Scalar):
                yield rule, words.rule
            elif isinstance(rule, Mapping):
                yield from _long_form(rule, words)
    for test in _items(node.get("tests")):
        if isinstance(test, Scalar):
            yield test, words.test


def _long_form(rule: Mapping, words: _Words) -> Iterator[tuple[Scalar, Canonical]]:
    for key in ("allow", "deny", "never"):
        ends = rule.get(key)
        if not isinstance(ends, Mapping):
            continue
        for name, canonical in (("from", words.sources), ("to", words.destinations), ("services", words.services)):
            found = ends.get(name)
            for text in (found,) if isinstance(found, Scalar) else _items(found):
                if isinstance(text, Scalar):
                    yield text, canonical
    until = rule.get("until")
    if isinstance(until, Scalar):
        yield until, words.until


def _items(node: Node | None) -> tuple[Node, ...]:
    return node.items if isinstance(node, ListNode) else ()


class _Words:
    """The canonical text of one piece; None when it has findings, so that it stays as it is."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects

    def _resolver(self) -> tuple[Resolver, list[Finding]]:
        findings: list[Finding] = []
        return Resolver(self.objects, findings), findings

    def rule(self, piece: Piece) -> str | None:
        """A whole rule."""
        resolver, findings = self._resolver()
        tree = parse_rule(piece, findings)
        found = None if tree is None else rule_meaning(tree, resolver)
        return None if findings or found is None else rule_text(found.tree)

    def test(self, piece: Piece) -> str | None:
        """A whole test."""
        resolver, findings = self._resolver()
        tree = parse_test(piece, findings)
        if tree is None:
            return None
        sources = resolver.sources(tree.sources, scoped=False)[1]
        destinations = resolver.destinations(tree.destinations)[1]
        words = resolver.services(tree.services)[2]
        return None if findings else text_of_test(TestTree(tree.expectation, sources, destinations, words))

    def sources(self, piece: Piece) -> str | None:
        """The text of `from`."""
        resolver, findings = self._resolver()
        trees = parse_whos(piece, findings, "source")
        found = resolver.sources(trees, scoped=True)[1]
        return None if findings else whos_text(found)

    def destinations(self, piece: Piece) -> str | None:
        """The text of `to`."""
        resolver, findings = self._resolver()
        trees = parse_whos(piece, findings, "destination")
        found = resolver.destinations(trees)[1]
        return None if findings else whos_text(found)

    def services(self, piece: Piece) -> str | None:
        """The text of `services`."""
        resolver, findings = self._resolver()
        words = parse_services(piece, findings)
        found = resolver.services(words)[2]
        return None if findings else services_text(found)

    def until(self, piece: Piece) -> str | None:
        """The text of `until`."""
        found = read_time(piece.text)
        return None if found is None else time_text(found)


# --- how they get into the file


def _edits(raw: str, text: str, wanted: dict[tuple[int, int], str]) -> Iterator[_Edit]:
    """Yield the edits of the raw file; the parser's lines and columns hold in it, whatever its line breaks are."""
    starts = [0, *(match.end() for match in _BREAK.finditer(raw))]
    mark = raw.startswith("\ufeff")
    around: list[bool] = []

    def offset(line: int, column: int) -> int:
        return starts[line] + column + (mark and line == 0)

    for event in yaml.parse(parseable(text), Loader=yaml.CSafeLoader) if wanted else ():
        if isinstance(event, CollectionStartEvent):
            around.append(bool(event.flow_style))
        elif isinstance(event, CollectionEndEvent):
            around.pop()
        if not isinstance(event, ScalarEvent) or event.style in ("|", ">"):
            continue
        start, end = event.start_mark, event.end_mark
        assert start is not None, "libyaml marks every event"
        assert end is not None, "libyaml marks every event"
        canonical = wanted.get((start.line + 1, start.column + 1))
        if canonical is not None:
            styled = _styled(canonical, event.style, in_flow=around[-1])
            yield _Edit(offset(start.line, start.column), offset(end.line, end.column), styled)


def _styled(text: str, style: str | None, *, in_flow: bool) -> str:
    """Return a sentence in the quotes it had, or in single quotes where a plain one would read differently."""
    if style == '"':
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    reads_as_is = text[0] not in _FIRST and ": " not in text and " #" not in text and not text.endswith(":")
    if not style and reads_as_is and not (in_flow and _FLOW & set(text)):
        return text
    return "'" + text.replace("'", "''") + "'"

"""Strict loading: one YAML file as a tree of plain text with exact positions, or every finding that can be told at once.

YAML guesses (`no` is False, `22:22` is 1342, a repeated key wins silently, an alias of aliases is a bomb). Here nothing is guessed: every
scalar stays the text of the file, and whatever could mean something else than it seems is a finding. Limits come before parsing.
"""

from __future__ import annotations

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from cloudsync.model.finding import Finding, Where
from cloudsync.model.quick import dataclass
from cloudsync.policy import characters

MAX_BYTES = 8 * 1024 * 1024
"""A larger file is refused; `sources` does not even read it whole."""
MAX_DEPTH = 32
MAX_NODES = 500_000
MAX_FINDINGS = 100
"""Per file; a file with more is broken as a whole."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """One scalar exactly as written, never typed. `where` is its first character (of a quoted one: the quote)."""

    text: str
    where: Where
    quoted: bool = False

    @property
    def missing(self) -> bool:
        """Tell whether nothing stands here at all; a finding has said so already."""
        return not self.text and not self.quoted


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    where: Where


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values in file order; each key once."""

    entries: tuple[tuple[Scalar, Node], ...]
    where: Where

    def get(self, key: str) -> Node | None:
        """Return the value of a key, None when the key is absent."""
        return next((value for name, value in self.entries if name.text == key), None)

    def key(self, key: str) -> Scalar | None:
        """Return the key itself, for its position."""
        return next((name for name, _ in self.entries if name.text == key), None)


Node = Scalar | Sequence | Mapping


def load_node(file: str, content: bytes) -> tuple[Node | None, tuple[Finding, ...]]:
    """Return the tree of a file (None when empty or past reading) and all findings, ordered by position.

    A tree may come together with findings: it is then good enough to look for further mistakes in, never to act on.
    """
    if len(content) > MAX_BYTES:
        return None, (too_big(file),)
    text, findings = characters.decode(file, content)
    if text is None:
        return None, findings
    return _parse(file, text, list(findings))


def too_big(file: str) -> Finding:
    """Return the finding for a file over the size limit."""
    return Finding(Where(file), "TOO-BIG", f"over {MAX_BYTES // (1024 * 1024)} MiB", "split the file")


def _parse(file: str, text: str, findings: list[Finding]) -> tuple[Node | None, tuple[Finding, ...]]:
    broken = characters.merge_markers(file, text) or characters.indentation_tabs(file, text)
    if broken:
        return None, _in_order(findings + broken)
    builder = _Builder(file, characters.Text(text), findings)
    try:
        for event in yaml.parse(characters.parseable(text), Loader=yaml.CSafeLoader):
            if not builder.take(event):
                break
    except yaml.MarkedYAMLError as error:
        builder.syntax_error(error)
    builder.finish()
    return builder.root, _in_order(builder.findings)


def _in_order(findings: list[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: (finding.where.line, finding.where.col, finding.code)))


class _Open:
    """A list or mapping under construction; `key` is the key that waits for its value."""

    __slots__ = ("entries", "items", "key", "mapping", "seen", "where")

    def __init__(self, where: Where, *, mapping: bool) -> None:
        self.where, self.mapping = where, mapping
        self.items: list[Node] = []
        self.entries: list[tuple[Scalar, Node]] = []
        self.seen: dict[str, Scalar] = {}
        self.key: Scalar | None = None


class _Builder:
    """Turns parser events into the tree, without recursion: depth and number of values are limited here."""

    def __init__(self, file: str, text: characters.Text, findings: list[Finding]) -> None:
        self.file, self.text, self.findings = file, text, findings
        self.root: Node | None = None
        self.stack: list[_Open] = []
        self.documents = 0
        self.nodes = 0
        self.first_alias: Where | None = None
        self.aliases = 0
        self.clean = text.raw.isascii()

    def take(self, event: Event) -> bool:
        """Use one event; False when reading further makes no sense."""
        if isinstance(event, ScalarEvent):
            self._scalar(event)
        elif isinstance(event, MappingStartEvent | SequenceStartEvent):
            return self._open(event, mapping=isinstance(event, MappingStartEvent))
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            self._close()
        elif isinstance(event, AliasEvent):
            self._alias(event)
            self._place(Scalar("", self._at(event)), told=True)
            return self.aliases < MAX_FINDINGS
        elif isinstance(event, DocumentStartEvent):
            return self._document(event)
        if self.nodes > MAX_NODES:
            self._report(self._at(event), "TOO-BIG", f"more than {MAX_NODES} values", "split the file")
            return False
        return len(self.findings) < MAX_FINDINGS

    def finish(self) -> None:
        """Say what can only be said at the end."""
        if self.first_alias:
            hint = "write the value out" + (f"; {self.aliases} of them in this file" if self.aliases > 1 else "")
            self._report(self.first_alias, "YAML-ALIAS", "anchors and aliases are not allowed", hint)
        if len(self.findings) >= MAX_FINDINGS:
            last = max(finding.where for finding in self.findings)
            self._report(last, "TOO-MANY", f"{MAX_FINDINGS} findings in this file", "the rest of it was not looked at")

    def syntax_error(self, error: yaml.MarkedYAMLError) -> None:
        """Report what the parser itself could not read."""
        mark = error.problem_mark or error.context_mark
        where = Where(self.file, mark.line + 1, mark.column + 1) if mark else Where(self.file)
        problem, context = error.problem or "cannot be read", error.context or ""
        if problem.startswith("exceeded maximum"):
            self._report(where, "NESTING", f"deeper than {MAX_DEPTH}")
        elif context.endswith(("tag", "anchor", "alias")):
            code = "YAML-TAG" if context.endswith("tag") else "YAML-ALIAS"
            self._report(where, code, f"{problem} {context}", "quote a text that starts with '!', '&' or '*'")
        elif problem.startswith("mapping values are not allowed") and ": " in self.text.line(where.line)[: where.col - 1]:
            self._report(where, "QUOTE-IT", "an unquoted text is split at ': '", "put the whole text in quotes")
        else:
            self._report(where, "YAML-SYNTAX", f"{problem} {context}".rstrip())

    def _report(self, where: Where, code: str, message: str, hint: str = "") -> None:
        self.findings.append(Finding(where, code, message, hint))

    def _at(self, event: Event) -> Where:
        mark = event.start_mark
        assert mark is not None, "libyaml marks every event"
        return Where(self.file, mark.line + 1, mark.column + 1)

    def _document(self, event: DocumentStartEvent) -> bool:
        self.documents += 1
        if self.documents > 1:
            self._report(self._at(event), "DOCUMENTS", "exactly one document per file", "move what follows '---' to a file of its own")
            return False
        if event.version or event.tags:
            self._report(self._at(event), "YAML-TAG", "directives are not allowed")
        return True

    def _properties(self, event: ScalarEvent | MappingStartEvent | SequenceStartEvent) -> None:
        if event.anchor is not None:
            self._alias(event)
        if event.tag is not None:
            hint = "nothing was executed; quote a text that starts with '!'"
            tag = characters.shown(event.tag.replace("tag:yaml.org,2002:", "!!"))
            self._report(self._at(event), "YAML-TAG", f"tags are not allowed: {tag}", hint)

    def _alias(self, event: NodeEvent) -> None:
        self.aliases += 1
        self.first_alias = self.first_alias or self._at(event)

    def _open(self, event: MappingStartEvent | SequenceStartEvent, *, mapping: bool) -> bool:
        where = self._at(event)
        self._properties(event)
        if len(self.stack) >= MAX_DEPTH:
            self._report(where, "NESTING", f"deeper than {MAX_DEPTH}")
            return False
        if self.stack and self.stack[-1].mapping and self.stack[-1].key is None:
            self._report(where, "YAML-SYNTAX", "a key must be one word or text")
        self.stack.append(_Open(where, mapping=mapping))
        return True

    def _close(self) -> None:
        done = self.stack.pop()
        if done.mapping:
            self._place(self._whole_sentence(done) or Mapping(tuple(done.entries), done.where))
        else:
            self._place(Sequence(tuple(done.items), done.where))

    def _scalar(self, event: ScalarEvent) -> None:
        where = self._at(event)
        self._properties(event)
        quoted = bool(event.style)
        text: str = event.value
        if not self.clean or quoted:
            text = self._clean_text(event, text, where)
        if not quoted:
            self._cut_by_comment(event, text)
        self._place(Scalar(text, where, quoted), told=event.tag is not None)

    def _clean_text(self, event: ScalarEvent, text: str, where: Where) -> str:
        """Report characters that an escape brought in and words of mixed script; return the text without them."""
        if text.isascii() and text.isprintable():
            return text
        found, text = characters.escaped(where, text)
        self.findings += found
        assert event.start_mark is not None, "libyaml marks every event"
        mixed, text = characters.mixed_script(self.text, event.start_mark.index, text, where)
        self.findings += mixed
        return text

    def _cut_by_comment(self, event: ScalarEvent, text: str) -> None:
        """Two blanks before '#' make it plain that a comment is meant; one blank, or an open quote, looks like part of the sentence."""
        if " " not in text:
            return
        end = event.end_mark
        assert end is not None, "libyaml marks every event"
        rest = self.text.raw[end.index : end.index + 80]
        if rest.startswith(" #") or (text.count('"') % 2 and rest.lstrip(" \t").startswith("#")):
            hint = "quote the whole text; before a comment put two blanks"
            self._report(Where(self.file, end.line + 1, end.column + 2), "QUOTE-IT", "an unquoted text is cut at ' #'", hint)

    def _whole_sentence(self, done: _Open) -> Scalar | None:
        """Recognise a sentence that YAML split at ': ' into a key and a value, and put it together again."""
        if not done.entries:
            return None
        key, value = done.entries[0]
        if key.quoted or not characters.like_a_sentence(key.text):
            return None
        width = len(self.text.line(key.where.line))  # a key of several lines is told where its first one ends
        at = Where(self.file, key.where.line, min(key.where.col + len(key.text), width + 1))
        self._report(at, "QUOTE-IT", "an unquoted text is split at ': '", "put the whole text in quotes")
        return Scalar(f"{key.text}: {value.text}" if isinstance(value, Scalar) else key.text, key.where, quoted=True)

    def _place(self, node: Node, *, told: bool = False) -> None:
        """Put a finished node where it belongs: key, value, item or root. `told`: that it is missing was said elsewhere."""
        self.nodes += 1
        absent = isinstance(node, Scalar) and node.missing
        if not self.stack:
            self.root = None if absent else node
            return
        parent = self.stack[-1]
        if not parent.mapping:
            if absent and not told:
                self._missing("this list item", node.where)
            parent.items.append(node)
        elif parent.key is None:
            self._key(parent, node)
        else:
            if absent and not told and not parent.key.missing and parent.key.text not in parent.seen:
                self._missing(f"'{characters.shown(parent.key.text)}'", parent.key.where)
            self._value(parent, parent.key, node)

    def _key(self, parent: _Open, node: Node) -> None:
        key = node if isinstance(node, Scalar) else Scalar("?", node.where, quoted=True)
        if key.missing:
            self._missing("a key", key.where)
        parent.key = key

    def _value(self, parent: _Open, key: Scalar, node: Node) -> None:
        parent.key = None
        first = parent.seen.get(key.text)
        if first is not None:
            again = f"key '{characters.shown(key.text)}' again (first at line {first.where.line})"
            self._report(key.where, "DUPLICATE-KEY", again)
            return
        parent.seen[key.text] = key
        parent.entries.append((key, node))

    def _missing(self, what: str, where: Where) -> None:
        cut = self.text.is_last_line(where.line)
        self._report(where, "MISSING-VALUE", f"{what} has no value", "file cut?" if cut else "give it one, or take it out")

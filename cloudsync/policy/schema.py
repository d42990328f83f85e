"""A small walker that holds a tree of text against a JSON Schema and says where it does not fit.

Only the keywords that our own schemas use (a test holds the two together). Every scalar is text here: `integer` means text like that.
Words of our own become hints: `x-want` says what a value should be, `x-missing` what to do when a field is missing. Where a secret might
stand by mistake (`writeOnly`), the text is not shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Mapping as Table
from collections.abc import Sequence as List
from typing import Any

from cloudsync.model.finding import Finding, Where
from cloudsync.policy.characters import shown
from cloudsync.policy.strict import Mapping, Node, Scalar, Sequence
from cloudsync.policy.words import did_you_mean

Schema = Table[str, Any]
_IN_URL = r"(?<=://)[^/@\s]+(?=@)"
"""Credentials in a URL."""
_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?"
_KINDS = {
    "object": "fields",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}


def check(node: Node, schema: Schema, *, root: Schema | None = None, name: str = "") -> tuple[Finding, ...]:
    """Return what does not fit, in file order. `root` holds `$defs`; `name` is what the node is called in messages."""
    walker = _Walker(root if root is not None else schema)
    found = walker.walk(node, schema, name or "this file")
    return tuple(sorted(found, key=lambda finding: (finding.where.line, finding.where.col)))


def plain(node: Node, schema: Schema | None = None, root: Schema | None = None) -> Any:  # noqa: ANN401 - JSON values
    """Return a fitting node as JSON values: numbers and booleans where the schema says so, text elsewhere, lists and dicts."""
    top = root if root is not None else schema or {}
    return _plain(node, schema or {}, _Walker(top))


def _plain(node: Node, schema: Schema, walker: _Walker) -> Any:  # noqa: ANN401 - JSON values
    schema = walker.fitting(node, schema)
    if isinstance(node, Sequence):
        return [_plain(item, schema.get("items", {}), walker) for item in node.items]
    if isinstance(node, Mapping):
        rest = schema.get("additionalProperties")
        fields = schema.get("properties", {})
        return {
            key.text: _plain(value, fields.get(key.text, rest if isinstance(rest, Table) else {}), walker) for key, value in node.entries
        }
    kind = schema.get("type")
    if kind == "integer":
        return int(node.text)
    if kind == "number":
        return float(node.text)
    return node.text == "true" if kind == "boolean" else node.text


class _Walker:
    """One schema document with its definitions."""

    def __init__(self, root: Schema) -> None:
        self.definitions: Schema = root.get("$defs", {})

    def resolve(self, schema: Schema) -> Schema:
        """Follow `$ref` into `$defs`; words beside it win."""
        while "$ref" in schema:
            target = self.definitions[schema["$ref"].rpartition("/")[2]]
            schema = {**target, **{word: value for word, value in schema.items() if word != "$ref"}}
        return schema

    def choices(self, schema: Schema) -> tuple[Schema, ...]:
        """Return the alternatives of a schema, itself when it has none."""
        schema = self.resolve(schema)
        found = schema.get("anyOf") or schema.get("oneOf")
        if not found:
            return (schema,)
        shared = {word: schema[word] for word in ("x-want",) if word in schema}
        return tuple({**shared, **one} for part in found for one in self.choices(part))

    def fitting(self, node: Node, schema: Schema) -> Schema:
        """Return the first alternative that a node fits, else the first of all."""
        choices = self.choices(schema)
        return next((one for one in choices if not any(self.walk(node, one, ""))), choices[0])

    def walk(self, node: Node, schema: Schema, name: str) -> Iterator[Finding]:
        """Yield what does not fit."""
        if isinstance(node, Scalar) and node.missing:
            return
        choices = self.choices(schema)
        same = [one for one in choices if _same_kind(node, one)]
        if not same:
            kinds = dict.fromkeys(_kind(one) for one in choices)
            yield _finding(node.where, "WRONG-TYPE", f"{_quoted(name)} wants {' or '.join(kinds)}, not {_what(node)}", choices[0])
            return
        attempts = [tuple(self._walk_one(node, one, name)) for one in same]
        best = min(attempts, key=len)
        if best and len(same) > 1 and isinstance(node, Scalar):
            yield _bad_value(node, name, same)
            return
        yield from best

    def _walk_one(self, node: Node, schema: Schema, name: str) -> Iterator[Finding]:
        if isinstance(node, Mapping):
            yield from self._fields(node, schema, name)
        elif isinstance(node, Sequence):
            if len(node.items) < schema.get("minItems", 0):
                yield _finding(node.where, "BAD-VALUE", f"{_quoted(name)} is an empty list", schema)
            inside = name if name.startswith("an entry of ") else f"an entry of '{shown(name)}'"
            for item in node.items:
                yield from self.walk(item, schema.get("items", {}), inside if isinstance(item, Mapping) else name)
        elif not _scalar_fits(node.text, schema):
            yield _bad_value(node, name, [schema])

    def _fields(self, node: Mapping, schema: Schema, name: str) -> Iterator[Finding]:
        fields: Schema = schema.get("properties", {})
        rest = schema.get("additionalProperties", True)
        names = schema.get("propertyNames")
        present = {key.text for key, _ in node.entries}
        for key, value in node.entries:
            if key.text in fields:
                yield from self.walk(value, fields[key.text], key.text)
            elif rest is False:
                missing = [field for field in fields if field not in present]
                hint = did_you_mean(key.text, missing) or f"known here: {', '.join(fields)}"
                yield Finding(key.where, "UNKNOWN-FIELD", f"'{shown(key.text)}' is no field of {_quoted(name)}", hint)
            elif names is not None and not _scalar_fits(key.text, self.resolve(names)):
                yield _bad_value(key, name, [self.resolve(names)])
            elif isinstance(rest, Table):
                yield from self.walk(value, rest, key.text)
        for field in schema.get("required", ()):
            if field not in present:
                yield _finding(node.where, "MISSING-FIELD", f"{_quoted(name)} has no '{field}'", self.resolve(fields.get(field, {})))
        if len(node.entries) < schema.get("minProperties", 0):
            yield _finding(node.where, "BAD-VALUE", f"{_quoted(name)} is empty", schema)


def _quoted(name: str) -> str:
    return name if name.startswith(("this ", "an entry of ", "the ")) else f"'{shown(name)}'"


def _finding(where: Where, code: str, message: str, schema: Schema) -> Finding:
    return Finding(where, code, message, schema.get("x-missing") or schema.get("x-want", ""))


def _bad_value(node: Scalar, name: str, choices: List[Schema]) -> Finding:
    words = [str(word) for one in choices for word in _words(one)]
    want = next((one["x-want"] for one in choices if "x-want" in one), "")
    if words:
        want = did_you_mean(node.text, words) or want or f"one of: {', '.join(dict.fromkeys(words))}"
    want = want or f"want {_kind(choices[0])}"
    text = "this" if any(one.get("writeOnly") for one in choices) else f"'{shown(re.sub(_IN_URL, '***', node.text))}'"
    return Finding(node.where, "BAD-VALUE", f"{text} is no valid {name or 'value'}", want)


def _words(schema: Schema) -> List[object]:
    return [schema["const"]] if "const" in schema else schema.get("enum", [])


def _what(node: Node) -> str:
    return "a list" if isinstance(node, Sequence) else "fields" if isinstance(node, Mapping) else f"'{shown(node.text, 30)}'"


def _kind(schema: Schema) -> str:
    words = _words(schema)
    if words and "type" not in schema:
        return "a text"
    return _KINDS.get(schema.get("type", "string"), "a text")


def _same_kind(node: Node, schema: Schema) -> bool:
    kind = schema.get("type")
    if kind is None and not _words(schema):
        return True
    if isinstance(node, Mapping):
        return kind == "object"
    if isinstance(node, Sequence):
        return kind == "array"
    return kind not in ("object", "array", "null")


def _scalar_fits(text: str, schema: Schema) -> bool:
    words = _words(schema)
    if words:
        return any(text == (str(word).lower() if isinstance(word, bool) else str(word)) for word in words)
    kind = schema.get("type")
    if kind == "boolean":
        return text in ("true", "false")
    if kind in ("integer", "number"):
        if not re.fullmatch(_NUMBER, text) or (kind == "integer" and "." in text):
            return False
        return bool(schema.get("minimum", float("-inf")) <= float(text) <= schema.get("maximum", float("inf")))
    if not schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", len(text)):
        return False
    pattern = schema.get("pattern")
    if pattern is None:
        return True
    # In a JSON Schema `$` is the very end; in Python it also stands before a last line break.
    return re.search(pattern.removesuffix("$") + (r"\Z" if pattern.endswith("$") else ""), text) is not None

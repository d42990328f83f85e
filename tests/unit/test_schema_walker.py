"""Our JSON Schemas: generated from the document types, committed twice, and made only of words that the walker knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from cloudsync.policy import schema
from cloudsync.policy.strict import load_node
from cloudsync.registry import options_schema
from cloudsync.settings import packaged_schema
from cloudsync.settings.generate import DOCUMENTS, generated

ROOT = Path(__file__).resolve().parents[2]
KEYWORDS = {
    *("type", "properties", "required", "additionalProperties", "propertyNames", "items", "minItems", "minProperties", "enum", "const"),
    *("pattern", "minimum", "maximum", "minLength", "maxLength", "anyOf", "oneOf", "$ref", "$defs"),
    *("$schema", "$id", "title", "description", "default", "examples", "x-want", "x-missing", "writeOnly"),
}


def _words(document: Any) -> Iterator[str]:
    if isinstance(document, list):
        for item in document:
            yield from _words(item)
    elif isinstance(document, dict):
        for word, value in document.items():
            yield word
            named = word in {"properties", "$defs"}
            for below in (
                value.values() if named else [value] if word in {"items", "anyOf", "oneOf", "additionalProperties", "propertyNames"} else []
            ):
                yield from _words(below)


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("folder", ["cloudsync/schema", "config/schema"])
def test_committed_schemas_are_the_generated_ones(name: str, folder: str) -> None:
    file = f"{name}.schema.json"
    assert (ROOT / folder / file).read_text(encoding="utf-8") == generated()[file], "run: make schema"


@pytest.mark.parametrize("name", [*DOCUMENTS, "aws"])
def test_the_walker_knows_every_word_of_a_schema(name: str) -> None:
    document = options_schema("aws") if name == "aws" else packaged_schema(name)
    assert isinstance(document, dict)
    assert set(_words(document)) <= KEYWORDS
    jsonschema.Draft202012Validator.check_schema(document)


def _check(text: str, document: dict[str, Any]) -> list[str]:
    node, findings = load_node("f.yaml", text.encode())
    assert node is not None
    assert not findings
    return [
        f"{finding.where.line}:{finding.where.col} {finding.code} {finding.message}; {finding.hint}"
        for finding in schema.check(node, document)
    ]


FIELDS = {"type": "object", "additionalProperties": False, "required": ["name"]}
NAME = {"type": "string", "pattern": "^[a-z]+$", "x-want": "want letters"}


@pytest.mark.parametrize(
    ("text", "field", "wanted"),
    [
        ("name: a", NAME, []),
        ("name: A", NAME, ["1:7 BAD-VALUE 'A' is no valid name; want letters"]),
        ("name: [a]", NAME, ["1:7 WRONG-TYPE 'name' wants a text, not a list; want letters"]),
        (
            "nam: a",
            NAME,
            [
                "1:1 UNKNOWN-FIELD 'nam' is no field of this file; did you mean 'name'",
                "1:1 MISSING-FIELD this file has no 'name'; want letters",
            ],
        ),
        ("name: 12", {"type": "integer", "minimum": 5, "maximum": 20}, []),
        ("name: 012", {"type": "integer"}, ["1:7 BAD-VALUE '012' is no valid name; want a whole number"]),
        ("name: 21", {"type": "integer", "maximum": 20}, ["1:7 BAD-VALUE '21' is no valid name; want a whole number"]),
        ("name: 0.5", {"type": "number"}, []),
        ("name: .5", {"type": "number"}, ["1:7 BAD-VALUE '.5' is no valid name; want a number"]),
        ("name: true", {"type": "boolean"}, []),
        ("name: yes", {"type": "boolean"}, ["1:7 BAD-VALUE 'yes' is no valid name; want true or false"]),
        ("name: []", {"type": "array", "minItems": 1}, ["1:7 BAD-VALUE 'name' is an empty list; "]),
        ("name: {}", {"type": "object", "minProperties": 1}, ["1:7 BAD-VALUE 'name' is empty; "]),
        (
            "name: {x: {}}",
            {"type": "object", "propertyNames": {"pattern": "^y$", "x-want": "want y"}},
            ["1:8 BAD-VALUE 'x' is no valid name; want y"],
        ),
        ("name: {x: 1}", {"type": "object", "additionalProperties": {"type": "array"}}, ["1:11 WRONG-TYPE 'x' wants a list, not '1'; "]),
        ("name: full", {"enum": ["full", "idle"]}, []),
        ("name: ful", {"enum": ["full", "idle"]}, ["1:7 BAD-VALUE 'ful' is no valid name; did you mean 'full'"]),
        ("name: xxxx", {"enum": ["full", "idle"]}, ["1:7 BAD-VALUE 'xxxx' is no valid name; one of: full, idle"]),
        ("name: [B]", {"anyOf": [NAME, {"type": "array", "items": NAME}]}, ["1:8 BAD-VALUE 'B' is no valid name; want letters"]),
        ('name: "a\n\n  b"', NAME, ["1:7 BAD-VALUE 'a<U+000A>b' is no valid name; want letters"]),
        ('name: "a\\n"', NAME, ["1:7 BAD-VALUE 'a<U+000A>' is no valid name; want letters"]),
        ("name: p4ss", {**NAME, "writeOnly": True}, ["1:7 BAD-VALUE this is no valid name; want letters"]),
        ("name: x://u:p4ss@h", NAME, ["1:7 BAD-VALUE 'x://***@h' is no valid name; want letters"]),
    ],
)
def test_what_does_not_fit_is_said_where_it_stands(text: str, field: dict[str, Any], wanted: list[str]) -> None:
    assert _check(text, {**FIELDS, "properties": {"name": field}}) == wanted


def test_a_fitting_node_becomes_typed_values() -> None:
    document = {
        "type": "object",
        "properties": {
            "count": {"type": "integer"},
            "share": {"type": "number"},
            "on": {"type": "boolean"},
            "either": {"anyOf": [{"enum": ["all"]}, {"type": "array", "items": {"type": "integer"}}]},
        },
    }
    node, _ = load_node("f.yaml", b"{count: 3, share: 0.5, on: true, either: [1, 2], account: 001, deep: {x: no}}")
    assert node is not None
    wanted = {"count": 3, "share": 0.5, "on": True, "either": [1, 2], "account": "001", "deep": {"x": "no"}}
    assert json.dumps(schema.plain(node, document)) == json.dumps(wanted)

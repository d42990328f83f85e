"""Checks bodies against the tables of `fields`: unknown fields, types, words, patterns, what a method requires."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from ..kit.faults import Json
from .fields import SCHEMAS

NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
_INT64 = re.compile(r"-?\d+")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")

REQUIRED: Mapping[str, tuple[str, ...]] = {
    "firewalls.insert": ("name",),
    "networks.insert": ("name",),
    "instances.insert": ("name",),
}
"""Fields that a method's body must have. For firewalls.patch the description also names `name`, which real clients leave out."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a schema."""

    name: str
    form: str
    """As in `fields`: `s`, `[Firewall]`, `=A|B`..."""
    named: bool = False
    """Must be a resource name."""
    output: bool = False
    """Output only: ignored when a client sends it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong in a body."""

    path: str
    kind: str
    """unknown | type | word | pattern | format | required"""
    value: Json


@cache
def schema(name: str) -> Mapping[str, Field]:
    """Return a schema's fields by name."""
    return {one.name: one for one in map(_field, SCHEMAS[name].split())}


def _field(text: str) -> Field:
    name, _, form = text.partition(":")
    output = form.endswith("!")
    form = form.removesuffix("!")
    named = form.endswith("~") and not form.endswith("~~")
    return Field(name, form.rstrip("~"), named=named, output=output)


def without_nulls(value: Json) -> Json:
    """Return a value without fields that are null, at any depth: they count as absent."""
    if isinstance(value, dict):
        return {key: without_nulls(each) for key, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


def without_output_fields(name: str, body: Json) -> Json:
    """Return a body without what only the vendor writes; clients send back what they have read."""
    if not isinstance(body, dict):
        return body
    known = schema(name)
    kept = {}
    for key, value in body.items():
        field = known.get(key)
        if field is not None and (field.output or key == "selfLink"):
            continue
        kept[key] = value if field is None else _inner(field.form, value)
    return kept


def _inner(form: str, value: Json) -> Json:
    if form[0] in "[{":
        inside = form[1:-1]
        if inside in SCHEMAS and isinstance(value, list):
            return [without_output_fields(inside, each) for each in value]
        if inside in SCHEMAS and isinstance(value, dict):
            return {key: without_output_fields(inside, each) for key, each in value.items()}
        return value
    return without_output_fields(form, value) if form in SCHEMAS else value


def check(name: str, body: Json, *, path: str = "resource", method: str = "") -> Iterator[Fault]:
    """Yield what is wrong in a body of this schema; `method` adds what that method requires."""
    if not isinstance(body, dict):
        yield Fault(path, "type", body)
        return
    known = schema(name)
    for key, value in body.items():
        field = known.get(key)
        if value is None:
            continue
        if field is None:
            yield Fault(f"{path}.{key}", "unknown", value)
        else:
            yield from _value(field.form, value, f"{path}.{key}", named=field.named)
    for key in REQUIRED.get(method, ()):
        if body.get(key) is None:
            yield Fault(f"{path}.{key}", "required", "")


def _value(form: str, value: Json, path: str, *, named: bool = False) -> Iterator[Fault]:
    if form == "*":
        return
    if form[0] == "[":
        if not isinstance(value, list):
            yield Fault(path, "type", value)
            return
        for number, each in enumerate(value):
            yield from _value(form[1:-1], each, f"{path}[{number}]")
    elif form[0] == "{":
        if not isinstance(value, dict):
            yield Fault(path, "type", value)
            return
        for key, each in value.items():
            yield from _value(form[1:-1], each, f"{path}.{key}")
    elif form in SCHEMAS:
        yield from check(form, value, path=path)
    else:
        kind = _scalar(form, value, named=named)
        if kind:
            yield Fault(path, kind, value)


def _scalar(form: str, value: Json, *, named: bool) -> str | None:
    """Return what is wrong with a single value, or None."""
    if form == "b":
        return None if isinstance(value, bool) else "type"
    if form in ("i", "d"):
        if isinstance(value, bool) or not isinstance(value, int if form == "i" else int | float):
            return "type"
        return "format" if form == "i" and not -(2**31) <= value < 2**31 else None
    if not isinstance(value, str):
        return "type"
    if form[0] == "=":
        return None if value in form[1:].split("|") else "word"
    if form in ("u", "l"):
        return None if _INT64.fullmatch(value) else "format"
    if form == "y":
        return None if _BASE64.fullmatch(value) else "format"
    return "pattern" if named and not NAME.fullmatch(value) else None

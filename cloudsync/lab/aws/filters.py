"""EC2 filters: names that are known, values with wildcards, AND between filters, OR inside one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from .refusal import Refusal
from .wire import Form

T = TypeVar("T")


Tags = Callable[[str], Mapping[str, str]]
"""Gives the tags of a resource id."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter of a request with its values compiled."""

    name: str
    exact: frozenset[str]
    patterns: tuple[re.Pattern[str], ...]

    def accepts(self, candidates: Iterable[str]) -> bool:
        """Does any candidate equal a value or match a pattern?"""
        found = list(candidates)
        if not self.exact.isdisjoint(found):
            return True
        return any(pattern.fullmatch(candidate) for pattern in self.patterns for candidate in found)


def parse(form: Form) -> list[Filter]:
    """Read `Filter.N.Name` and `Filter.N.Value.M`; a filter without name or value is refused (row 12)."""
    parsed = []
    for given in form.forms("Filter", "Filters"):
        name, values = given.text("Name"), given.texts("Value", "Values")
        if not name:
            raise Refusal.value("The filter 'null' is invalid")
        if not values:
            raise Refusal.value(f"The filter '{name}' must have at least one value")
        wild = [value for value in values if any(mark in value for mark in "*?\\")]
        parsed.append(Filter(name, frozenset(set(values) - set(wild)), tuple(re.compile(_pattern(value), re.DOTALL) for value in wild)))
    return parsed


def _pattern(value: str) -> str:
    out, escaped = [], False
    for char in value:
        if escaped:
            out.append(re.escape(char))
            escaped = False
        elif char == "\\":
            escaped = True
        else:
            out.append({"*": ".*", "?": "."}.get(char) or re.escape(char))
    return "".join(out)


def select(
    found: Iterable[T],
    wanted: list[Filter],
    *,
    fields: Mapping[str, Callable[[T], Iterable[str]]],
    identity: Callable[[T], str],
    tags: Tags,
) -> list[T]:
    """Keep what passes every filter; an unknown filter name is refused before anything is read (row 12)."""
    tests = [(each, _reader(each.name, fields, identity, tags)) for each in wanted]
    return [item for item in found if all(each.accepts(read(item)) for each, read in tests)]


def _reader(
    name: str, fields: Mapping[str, Callable[[T], Iterable[str]]], identity: Callable[[T], str], tags: Tags
) -> Callable[[T], Iterable[str]]:
    if name in fields:
        return fields[name]
    if name.startswith("tag:"):
        key = name[len("tag:") :]

        def one_tag(item: T) -> Iterable[str]:
            value = tags(identity(item)).get(key)
            return () if value is None else (value,)

        return one_tag
    if name == "tag-key":
        return lambda item: tags(identity(item)).keys()
    if name == "tag-value":
        return lambda item: tags(identity(item)).values()
    raise Refusal.value(f"The filter '{name}' is invalid")

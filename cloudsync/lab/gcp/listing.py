"""Lists: filters, order, pages, and the faults that live in them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..kit.faults import Json, Kind
from .call import Call
from .links import PUBLIC
from .refusal import ComputeError, invalid
from .world import Object

MOST = 500
_FLAGS = frozenset({"includeAllScopes", "replaceExistingAssociation", "returnPartialSuccess"})
_TERM = re.compile(r'\s*\(?\s*(?P<field>[A-Za-z][\w.\-]*)\s*(?P<op>!=|=|:|\beq\b|\bne\b)\s*(?P<value>"[^"]*"|\'[^\']*\'|[^\s()]+)\s*\)?\s*')
_JOIN = re.compile(r"(?:AND\b|and\b)?\s*")


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison of a filter."""

    field: str
    operator: str
    value: str

    def matches(self, row: Object) -> bool:
        """Compare one resource."""
        found = _looked_up(row, self.field)
        texts = [_text(each) for each in found] if isinstance(found, list) else [_text(found)]
        match self.operator:
            case "=":
                return self.value in texts
            case "!=":
                return self.value not in texts
            case "eq":
                return any(re.fullmatch(self.value, text) for text in texts)
            case "ne":
                return not any(re.fullmatch(self.value, text) for text in texts)
        if self.value == "*":
            return found is not None
        return any(self.value.removesuffix("*").lower() in text.lower() for text in texts)


def _looked_up(row: Json, field: str) -> Json:
    for part in field.split("."):
        row = row.get(part) if isinstance(row, dict) else None
    return row


def _text(value: Json) -> str:
    if value is None:
        return ""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def terms_of(text: str | None) -> tuple[Term, ...]:
    """Read a filter: comparisons, all of which must hold."""
    found: list[Term] = []
    position = 0
    while text and position < len(text):
        term = _TERM.match(text, position)
        if term is None:
            raise invalid("filter", text, "Invalid list filter expression.")
        value = term["value"].strip("\"'")
        found.append(Term(term["field"], term["op"], value))
        _compiled(text, found[-1])
        joint = _JOIN.match(text, term.end())
        position = joint.end() if joint else term.end()
    return tuple(found)


def _compiled(text: str, term: Term) -> None:
    if term.operator in ("eq", "ne"):
        try:
            re.compile(term.value)
        except re.error:
            raise invalid("filter", text, "Invalid list filter expression.") from None


def _selected(call: Call, rows: Mapping[str, Object]) -> list[tuple[str, Object]]:
    terms = terms_of(call.query.get("filter"))
    order = call.query.get("orderBy", "name")
    kept = [(key, row) for key, row in rows.items() if all(term.matches(row) for term in terms)]
    if order == "creationTimestamp desc":
        return sorted(kept, key=lambda each: (each[1].get("creationTimestamp", ""), each[0]), reverse=True)
    if order != "name":
        raise invalid("orderBy", order, "Only `name` and `creationTimestamp desc` are supported.")
    return sorted(kept, key=lambda each: each[0])


def _token(key: str) -> str:
    return base64.urlsafe_b64encode(f"k:{key}".encode()).decode().rstrip("=")


def _after(token: str | None) -> str | None:
    if not token:
        return None
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    except (binascii.Error, ValueError):
        text = ""
    if not text.startswith("k:"):
        raise invalid("pageToken", token, "Invalid page token.")
    return text.removeprefix("k:")


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list."""

    rows: tuple[Object, ...]
    token: str | None
    warning: Object | None = None


def page(call: Call, rows: Mapping[str, Object]) -> Page:
    """Return the page that the call asks for."""
    chosen = _selected(call, rows)
    size = call.number("maxResults", MOST, MOST) or MOST
    after = _after(call.query.get("pageToken"))
    start = 0
    if after is not None:
        # The key itself may have gone between two pages: go on where it would stand.
        keys = [key for key, _row in chosen]
        start = keys.index(after) + 1 if after in keys else sum(key <= after for key in keys)
    if call.fault(Kind.PAGE_REPEATED) is not None:
        start = max(0, start - size)
    part = chosen[start : start + size]
    token = _token(part[-1][0]) if part and len(chosen) > start + size else None
    return _spoiled(call, Page(tuple(row for _key, row in part), token))


def _spoiled(call: Call, found: Page) -> Page:
    """Obey the faults that are inside a list."""
    rows, token, warning = found.rows, found.token, found.warning
    if call.fault(Kind.PAGE_LOST) is not None:
        rows = rows[: len(rows) // 2]
    if call.fault(Kind.TOKEN_LOST) is not None:
        token = None
    if call.fault(Kind.TOKEN_REPEATED) is not None:
        token = call.query.get("pageToken") or token or _token("")
    unreachable = call.fault(Kind.UNREACHABLE)
    if unreachable is not None:
        scope = str(unreachable.options.get("zone", "europe-west1-b"))
        warning = unreachable_warning(scope)
        rows = tuple(row for row in rows if not str(row.get("zone", "")).endswith(scope))
    return Page(rows, token, warning)


def unreachable_warning(scope: str) -> Object:
    """Return the warning of a list that lacks what a place holds."""
    text = f"The following scopes are not reachable: {scope}"
    return {"code": "UNREACHABLE", "message": text, "data": [{"key": "scope", "value": scope}]}


def page_of(call: Call, kind: str, path: str, rows: Mapping[str, Object]) -> Object:
    """Return the body of a list."""
    found = page(call, rows)
    body: Object = {"kind": kind, "id": path}
    if found.rows:
        body["items"] = list(found.rows)
    if found.token:
        body["nextPageToken"] = found.token
    if kind != "compute#firewallPolicyList":
        body["selfLink"] = PUBLIC + path
    if found.warning:
        body["warning"] = found.warning
    return body


@dataclass(frozen=True, slots=True)
class Aggregate:
    """How an aggregated list is made."""

    kind: str
    member: str
    """The field of each scope: instances, subnetworks, firewallPolicies."""
    scopes: Sequence[str]
    scope_of: Callable[[Object], str]


def aggregated(call: Call, how: Aggregate, rows: Mapping[str, Object]) -> Object:
    """Return the body of an aggregated list: every scope stands there, the empty ones with a warning."""
    found = page(call, rows)
    by_scope: dict[str, list[Object]] = {}
    for row in found.rows:
        by_scope.setdefault(how.scope_of(row), []).append(row)
    items: Object = {}
    for scope in how.scopes:
        inside = by_scope.get(scope)
        items[scope] = {how.member: inside} if inside else {"warning": _nothing(scope)}
    unreachable = call.fault(Kind.UNREACHABLE)
    if unreachable is not None:
        scope = f"zones/{unreachable.options.get('zone', 'europe-west1-b')}"
        items[scope] = {"warning": unreachable_warning(scope)}
    path = f"projects/{call.project.name}/aggregated/{how.member}"
    body: Object = {"kind": how.kind, "id": path, "items": items, "selfLink": PUBLIC + path}
    if found.token:
        body["nextPageToken"] = found.token
    if found.warning:
        body["warning"] = found.warning
    return body


def _nothing(scope: str) -> Object:
    text = f"There are no results for scope '{scope}' on this page."
    return {"code": "NO_RESULTS_ON_PAGE", "message": text, "data": [{"key": "scope", "value": scope}]}


def refuse_unknown(query: Mapping[str, str], known: frozenset[str]) -> None:
    """Refuse query parameters that a method does not have."""
    for name in query:
        if name not in known:
            text = (
                f"Invalid JSON payload received. Unknown name \"{name}\": Cannot bind query parameter. Field '{name}' could not be found."
            )
            raise ComputeError(400, "badRequest", text)
    for name in _FLAGS & query.keys():
        if query[name].lower() not in ("true", "false"):
            raise invalid(name, query[name], "Must be true or false.")

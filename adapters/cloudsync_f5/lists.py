"""Which address list stands for which selector: ours by its mark, else a new one under the selector's name; members as wanted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace

from cloudsync.adapter import Problem
from cloudsync.model.address import AddressSet
from cloudsync.model.quick import dataclass
from cloudsync_f5 import words
from cloudsync_f5.content import Selector, digest, name, readable
from cloudsync_f5.table import AddressList, F5Table, Mark
from cloudsync_f5.words import Span


@dataclass(slots=True)
class Lists:
    """Selector -> path, and the lists as they are wanted."""

    paths: dict[Selector, str] = field(default_factory=dict)
    wanted: dict[str, AddressList] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def choose(table: F5Table, wanted: Mapping[Selector, AddressSet]) -> Lists:
    """Return the lists for what is wanted; a name that somebody else has taken is a problem, found before anything is written."""
    ours: dict[str, AddressList] = {}
    for _, one in sorted(table.lists.items()):
        if one.mark is not None:
            ours.setdefault(one.mark.id, one)
    found = Lists()
    free = _counted(ours, wanted)
    for selector in sorted(wanted):
        spans = words.spans(wanted[selector], selector.domain)
        known = ours.get(selector.id) or _same(free, selector, spans)
        if known is None:
            path = f"/{table.partition}/{name(table.owner, readable(selector.words), selector.id[-8:])}"
            if path in table.lists or path in table.taken:
                found.problems.append(clash(path))
            found.wanted[path] = with_members(AddressList(path), spans, table.owner, selector.id)
        elif known.spans == spans and not known.lists and not known.odd:
            path = known.path
            found.wanted[path] = known
        else:
            path = known.path
            found.wanted[path] = with_members(known, spans, table.owner, selector.id)
        found.paths[selector] = path
    return found


def _counted(ours: Mapping[str, AddressList], wanted: Iterable[Selector]) -> dict[str, AddressList]:
    """Return our lists for rules that nothing wanted is the identity of: earlier releases named them by the rules' positions."""
    taken = {selector.id for selector in wanted}
    return {key: one for key, one in ours.items() if key.startswith("rule-") and key not in taken}


def _same(free: dict[str, AddressList], selector: Selector, spans: frozenset[Span]) -> AddressList | None:
    """Take the list of an earlier release that has just these members: that of the position first, then any."""
    if not selector.counted:
        return None
    for key in (*selector.ids, *free):
        one = free.get(key)
        if one is not None and one.spans == spans and not one.lists and not one.odd:
            return free.pop(key)
    return None


def clash(path: str) -> Problem:
    """Return the problem of a name that is taken."""
    message = f"an address list {path} is there that is not ours, and a list of ours needs that name"
    return Problem("F5-NAME-CLASH", message, "rename that list, or let it go; lists of the firewall and of LTM share their names")


def with_members(one: AddressList, spans: frozenset[Span], owner: str, identity: str) -> AddressList:
    """Return a list of ours with other members, and the mark that covers them."""
    mark = Mark(owner, identity, content_sha(spans))
    return replace(one, spans=spans, lists=frozenset(), odd=(), description=mark.text, mark=mark)


def content_sha(spans: frozenset[Span]) -> str:
    """Return the hash of a list's members for its mark."""
    return digest([one.text() for one in sorted(spans)], 16)


def pending(table: F5Table) -> AddressList:
    """Return our list that stands while a job is not finished. No rule refers to it; a list has to have a member."""
    mark = Mark(table.owner, "pending", "0")
    return AddressList(table.pending, frozenset({words.span("192.0.2.255")}), description=mark.text, mark=mark)

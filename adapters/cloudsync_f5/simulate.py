"""A device's semantics on a table: what a payload does to it. A call that a device would refuse raises ValueError: the plan is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from cloudsync.adapter import Effect, Seen, Step
from cloudsync.model.quick import dataclass
from cloudsync_f5 import parse
from cloudsync_f5 import payload as wire
from cloudsync_f5.payload import Call, Request
from cloudsync_f5.table import DOMAIN_CONTEXT, AddressList, F5Table, Policy, RouteDomain, Virtual


@dataclass(slots=True)
class _Draft:
    """A table under change: mappings are copied once, however many steps follow."""

    owner: str
    policies: dict[str, Policy]
    lists: dict[str, AddressList]
    virtuals: dict[str, Virtual]
    domains: dict[str, RouteDomain]
    saved: bool
    synced: bool

    def carries(self, context: str) -> str | None:
        """Return the policy that a context enforces, `none` for none; None when there is no such context."""
        held = self.virtuals.get(context)
        if context.startswith(DOMAIN_CONTEXT):
            domain = self.domains.get(context.removeprefix(DOMAIN_CONTEXT))
            return None if domain is None else domain.enforced or "none"
        return None if held is None else held.enforced or "none"


def simulate(table: F5Table, *steps: Step) -> F5Table:
    """Return the table after steps, from their payloads alone."""
    owner, policies, lists = table.owner, dict(table.policies), dict(table.lists)
    draft = _Draft(owner, policies, lists, dict(table.virtuals), dict(table.route_domains), table.saved, table.synced)
    for step in steps:
        request = wire.parse(step.payload)
        if request.host != table.active:
            raise ValueError(f"{request.host} is not the active device, {table.active} is")
        for context, policy in request.expect.items():
            if draft.carries(context) != policy:
                raise ValueError(f"{context} does not carry {policy}")
        for call in request.calls:
            _call(draft, call)
        _whole(draft)
    return replace(
        table,
        policies={path: draft.policies[path] for path in sorted(draft.policies)},
        lists={path: draft.lists[path] for path in sorted(draft.lists)},
        virtuals=draft.virtuals,
        route_domains=draft.domains,
        saved=draft.saved,
        synced=draft.synced,
    )


def _call(draft: _Draft, call: Call) -> None:
    kind = _kind(call.path)
    if kind not in ("save", "sync"):
        draft.saved = draft.synced = False
    match call.method, kind:
        case "POST", "policy":
            made = parse.policy(call.body, draft.owner)
            _new(made.path, draft.policies)
            draft.policies[made.path] = made
        case "POST", "list":
            one = parse.address_list(call.body, draft.owner)
            _new(one.path, draft.lists)
            draft.lists[one.path] = one
        case "PATCH", "list":
            path = wire.untilded(call.path)
            draft.lists[path] = _patched(_held(path, draft.lists), call, draft.owner)
        case "PATCH", "virtual":
            path = wire.untilded(call.path)
            draft.virtuals[path] = _attached(_held(path, draft.virtuals), call)
        case "PATCH", "domain":
            path = wire.untilded(call.path)
            draft.domains[path] = _attached(_held(path, draft.domains), call)
        case "DELETE", "policy":
            path = wire.untilded(call.path)
            _held(path, draft.policies)
            del draft.policies[path]
        case "DELETE", "list":
            path = wire.untilded(call.path)
            _held(path, draft.lists)
            del draft.lists[path]
        case "POST", "save":
            draft.saved = True
        case "POST", "sync":
            draft.synced = True
        case _:
            raise ValueError(f"no write of ours: {call.method} {call.path}")


_PATHS = ((wire.POLICY, "policy"), (wire.ADDRESS_LIST, "list"), (wire.VIRTUAL, "virtual"), (wire.ROUTE_DOMAIN, "domain"))


def _kind(path: str) -> str:
    if path in (wire.SAVE, wire.SYNC):
        return "save" if path == wire.SAVE else "sync"
    return next((kind for start, kind in _PATHS if path == start or path.startswith(f"{start}/")), "")


def _new(path: str, there: Mapping[str, object]) -> None:
    if path in there:
        raise ValueError(f"{path} exists")


Held = TypeVar("Held")


def _held(path: str, there: Mapping[str, Held]) -> Held:
    if path not in there:
        raise ValueError(f"no {path}")
    return there[path]


def _patched(one: AddressList, call: Call, owner: str) -> AddressList:
    sent = parse.address_list({**wire.named(one.path), **call.body}, owner)
    return replace(one, spans=sent.spans, description=sent.description, mark=sent.mark)


Place = TypeVar("Place", Virtual, RouteDomain)


def _attached(place: Place, call: Call) -> Place:
    known = {wire.ENFORCED: place.enforced, wire.STAGED: place.staged}
    known |= {key: "" if value == "none" else str(value) for key, value in call.body.items()}
    return replace(place, enforced=known[wire.ENFORCED], staged=known[wire.STAGED])


def _whole(draft: _Draft) -> None:
    """Refuse what refers to something that is not there: a device does so at the commit."""
    places: list[Virtual | RouteDomain] = [*draft.virtuals.values(), *draft.domains.values()]
    for place in places:
        missing = [policy for policy in (place.enforced, place.staged) if policy and policy not in draft.policies]
        if missing:
            raise ValueError(f"{place.path}: no policy {missing[0]}")
    for policy in draft.policies.values():
        if policy.mark is not None:
            for rule in policy.rules:
                absent = [path for path in (*rule.source.lists, *rule.destination.lists) if path not in draft.lists]
                if absent:
                    raise ValueError(f"{policy.path}: no address list {absent[0]}")


# --- what a read shows -----------------------------------------------------------------------------------------------------


def seen(table: F5Table, step: Step) -> Seen:
    """Tell whether a (refreshed) table shows a step's effect. What is committed but not compiled is not there yet."""
    request = wire.parse(step.payload)
    kinds = {_kind(call.path) for call in request.calls}
    if "sync" in kinds:
        return Seen.YES if table.synced else Seen.NO
    if "save" in kinds:
        return Seen.YES if table.saved else Seen.NO
    done = list(_done(table, request))
    if not all(done):
        return Seen.OTHER if any(done) else Seen.NO
    return Seen.NO if step.effect is Effect.SWAPS and (table.running or table.compiling) else Seen.YES


def _done(table: F5Table, request: Request) -> Iterator[bool]:
    for call in request.calls:
        found = _shows(table, call)
        if found is not None:
            yield found


def _shows(table: F5Table, call: Call) -> bool | None:
    """Tell whether a table shows one call's effect; None where that cannot be read."""
    path = wire.untilded(call.path)
    match call.method, _kind(call.path):
        case "POST", "policy":
            wanted = parse.policy(call.body, table.owner)
            return table.policies.get(wanted.path) == wanted
        case "POST", "list":
            one = parse.address_list(call.body, table.owner)
            return table.lists.get(one.path) == one
        case "PATCH", "list":
            held = table.lists.get(path)
            return held is not None and _patched(held, call, table.owner) == held
        case "PATCH", "virtual":
            virtual = table.virtuals.get(path)
            return virtual is not None and _attached(virtual, call) == virtual
        case "PATCH", "domain":
            domain = table.route_domains.get(path)
            return domain is not None and _attached(domain, call) == domain
        case "DELETE", "policy":
            return path not in table.policies
        case "DELETE", "list":
            return path not in table.lists
        case _:
            return None


def objects(steps: Iterable[Step]) -> frozenset[str]:
    """Return the paths of everything that steps write; route domains go by their context."""
    found: set[str] = set()
    for step in steps:
        for call in wire.parse(step.payload).calls:
            if call.body is not None and "name" in call.body:
                found.add(parse.path_of(call.body))
            elif "~" in call.path:
                found.add(wire.context(call) or wire.untilded(call.path))
    return frozenset(found)


def carried(rows: Iterable[Mapping[str, Any]], *, prefix: str = "") -> dict[str, str]:
    """Return context -> enforced policy (`none` for none) of a read of these fields alone."""
    return {f"{prefix}{parse.path_of(raw)}": str(raw.get("fwEnforcedPolicy") or "none") for raw in rows}

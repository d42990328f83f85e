"""Enforcement points and native rules of a table, for the core and for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cloudsync.adapter import Entry, Found, FoundInterface, Hop, Point
from cloudsync.model.packets import Packet, PacketSet
from cloudsync.model.service import ServiceRange
from cloudsync.model.workload import PointId
from cloudsync_f5 import words
from cloudsync_f5.decode import Flat, Reader, at, chosen, limit
from cloudsync_f5.table import GLOBAL, Action, Ends, F5Table, Rule, Virtual
from cloudsync_f5.words import Span


def network(domain: int) -> str:
    """Return the name of a route domain as a network."""
    return f"rd{domain}"


def points(table: F5Table) -> tuple[Point, ...]:
    """Return every virtual server, skipped ones included, ordered by id."""
    found: list[Point] = []
    for virtual in chosen(table, None):
        ours = (virtual.enforced,) if _ours(table, virtual.enforced) else ()
        foreign = (virtual.enforced,) if virtual.enforced and not ours else ()
        where = network(virtual.domain)
        found.append(Point(virtual.point, table.scope, where, virtual.name, virtual.addresses, ours, foreign, virtual.skipped))
    return tuple(found)


def _ours(table: F5Table, policy: str) -> bool:
    held = table.policies.get(policy)
    return held is not None and held.mark is not None


def why_skipped(table: F5Table, virtual: Virtual, *, additive: bool) -> str:
    """Return why no policy can be enforced at a virtual server as the table stands; empty when it can be."""
    if virtual.skipped:
        return virtual.skipped
    reader = Reader(table)
    for policy, place in ((table.enforced, "the global context"), (reader.domain_policy(virtual.domain), f"route domain {virtual.domain}")):
        odd = next(_odd_rules(table, reader, policy, virtual), None) if policy else None
        if odd is not None:
            return f"rule {odd[0].name} of policy {policy} on {place} depends on {odd[1]}: what it does here cannot be evaluated"
    if additive and virtual.enforced and not _ours(table, virtual.enforced):
        return f"carries the policy {virtual.enforced}, and a virtual server takes one: additive leaves it there and writes nothing"
    return ""


def _odd_rules(table: F5Table, reader: Reader, policy: str, virtual: Virtual) -> Iterator[tuple[Rule, str]]:
    held = table.policies.get(policy)
    for rule in reader.rules(held.rules if held else ()):
        lists = [path for path in sorted({*rule.source.lists, *rule.destination.lists}) if reader.odd_list(path)]
        why = ", ".join(rule.odd) or (f"list {lists[0]}" if lists else "")
        if why and (rule.destination.any or lists or reader.end(rule.destination, virtual.domain) & virtual.addresses):
            yield rule, why


def odd_rules(table: F5Table, virtual: Virtual) -> Iterator[tuple[Rule, str]]:
    """Yield the rules of the policy at a virtual server that cannot be evaluated, with what they depend on."""
    yield from _odd_rules(table, Reader(table), virtual.enforced, virtual)


# --- workloads -----------------------------------------------------------------------------------------------------------


def workloads(table: F5Table, selves: Iterable[Span], pools: dict[str, tuple[Span, ...]]) -> tuple[Found, ...]:
    """Return every virtual server as a workload, ordered by ref.

    It is reached at its address; it opens connections from its SNAT addresses, and the device's monitors from self addresses. `selves` are
    the self addresses of all devices of the group.
    """
    known = tuple(selves)
    return tuple(_workload(table, virtual, known, pools) for _, virtual in sorted(table.virtuals.items()))


def _workload(table: F5Table, virtual: Virtual, selves: tuple[Span, ...], pools: dict[str, tuple[Span, ...]]) -> Found:
    domain = virtual.domain
    where = network(domain)
    point = virtual.point if virtual.addresses else None
    skipped = virtual.skipped if point is None else ""
    own = FoundInterface(virtual.path, where, virtual.addresses, point, skipped, shared=table.scope)
    opens = words.addresses((*pools.get(virtual.snat, ()), *selves), domain)
    interfaces = [own]
    if opens and virtual.addresses:
        why = "connections to pool members start here; none arrive"
        interfaces.append(FoundInterface(f"{virtual.path}#source", where, opens, None, why, source_only=True, shared=table.scope))
    return Found(virtual.path, virtual.name, table.scope, table.scope, virtual.metadata, tuple(interfaces))


# --- native rules for people -----------------------------------------------------------------------------------------------


def entries(table: F5Table, points: Iterable[PointId] | None = None) -> tuple[Entry, ...]:
    """Return the rules of every policy in whose context these points stand, in the order of evaluation."""
    reader = Reader(table)
    on: dict[tuple[str, str, int], list[Virtual]] = {}
    for virtual in chosen(table, points):
        outer = reader.domain_policy(virtual.domain)
        for context, policy in ((GLOBAL, table.enforced), (network(virtual.domain), outer), ("virtual", reader.attached(virtual))):
            if policy in table.policies:
                on.setdefault((context, policy, virtual.domain), []).append(virtual)
    found: list[Entry] = []
    for (context, policy, domain), virtuals in sorted(on.items(), key=lambda one: (_RANK.get(one[0][0], 1), one[0])):
        found.extend(_entries(table, reader, (context, policy, domain), virtuals))
    return tuple(found)


_RANK = {GLOBAL: 0, "virtual": 2}


def _entries(table: F5Table, reader: Reader, key: tuple[str, str, int], virtuals: list[Virtual]) -> Iterator[Entry]:
    context, policy, domain = key
    held = table.policies[policy]
    for rule in reader.rules(held.rules):
        flat = reader.flat(rule, domain)
        if flat is None:
            continue
        touched = [one for one in virtuals if flat.destination is None or flat.destination & one.addresses]
        if not touched:
            continue
        within = PacketSet.union_all({limit(one.listener.peers, one.listener.services) for one in touched})
        name = policy if context == "virtual" else f"{policy} ({'global context' if context == GLOBAL else 'route domain ' + str(domain)})"
        yield Entry(
            object=policy,
            object_name=name,
            native=native_text(rule),
            direction="inbound",
            packets=PacketSet.of(flat.source, flat.services) & within,
            ours=held.mark is not None,
            points=tuple(one.point for one in touched),
            origins=rule.origins,
            note=rule.description or (f"depends on {', '.join(rule.odd)}" if rule.odd else ""),
            denies=not flat.action.opens,
        )


def native_text(rule: Rule) -> str:
    """Return a rule for people, e.g. `allow_1a2b: accept tcp/443 from /Common/corp`."""
    said = (
        ", ".join(ServiceRange.text(run) for run in words.services_of(rule.native).ranges()) if rule.native.protocol >= 0 else "any service"
    )
    said += "".join(f" and ports of {path}" for path in sorted(rule.port_lists))
    to = "" if rule.destination.any else f" to {_end(rule.destination)}"
    word = rule.action.value if rule.action is not None else "(unknown action)"
    return f"{rule.name}: {word} {said} from {_end(rule.source)}{to}"


def _end(ends: Ends) -> str:
    if ends.any:
        return "anywhere"
    parts = [*sorted(ends.lists), *(one.text() for one in sorted(ends.spans))]
    return ", ".join(parts[:4]) + (f" and {len(parts) - 4} more" if len(parts) > 4 else "")


# --- one packet ------------------------------------------------------------------------------------------------------------


def walk(table: F5Table, point: PointId, direction: str, packet: Packet) -> tuple[Hop, ...]:
    """Return how a packet fares at a virtual server, context by context."""
    virtual = at(table, point)
    if virtual is None:
        return ()
    if direction == "outbound":
        return (Hop(f"virtual server {virtual.path}", "allow", "a device asks no policy for the connections it opens itself"),)
    if packet not in limit(virtual.listener.peers, virtual.listener.services):
        return (Hop(f"virtual server {virtual.path}", "deny", "it does not listen there"),)
    reader = Reader(table)
    hops: list[Hop] = []
    domain = reader.domain_policy(virtual.domain)
    outer = ((GLOBAL, table.running.get(GLOBAL, table.enforced), "global context"), ("", domain, f"route domain {virtual.domain}"))
    for _, policy, where in outer:
        hop = _hop(table, reader, virtual, (policy, where), packet)
        if hop is None:
            hops.append(Hop(where, "pass", f"no rule of {policy} matches" if policy else "no policy"))
            continue
        rule, flat = hop
        decisive = flat.action is Action.DECISIVELY
        verdict = "allow" if decisive else ("pass" if flat.action.opens else "deny")
        hops.append(Hop(f"{where}, policy {policy}", verdict, native_text(rule), _ours(table, policy), rule.origins))
        if verdict != "pass":
            return tuple(hops)
    hops.append(_last(table, reader, virtual, packet))
    return tuple(hops)


def _last(table: F5Table, reader: Reader, virtual: Virtual, packet: Packet) -> Hop:
    policy, where = reader.attached(virtual), f"virtual server {virtual.path}"
    hit = _hop(table, reader, virtual, (policy, where), packet)
    if hit is None:
        verdict = "allow" if table.open_by_default else "deny"
        why = f"no rule of {policy} matches" if policy else "no policy"
        return Hop(where, verdict, f"{why}: the device's default is to {'accept' if table.open_by_default else 'drop'}")
    rule, flat = hit
    return Hop(f"{where}, policy {policy}", "allow" if flat.action.opens else "deny", native_text(rule), _ours(table, policy), rule.origins)


def _hop(table: F5Table, reader: Reader, virtual: Virtual, context: tuple[str, str], packet: Packet) -> tuple[Rule, Flat] | None:
    held = table.policies.get(context[0])
    for rule in reader.rules(held.rules if held else ()):
        flat = reader.flat(rule, virtual.domain)
        if flat is None or (flat.destination is not None and not flat.destination & virtual.addresses):
            continue
        if packet in PacketSet.of(flat.source, flat.services):
            return rule, flat
    return None

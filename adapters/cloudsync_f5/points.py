"""Enforcement points and native rules of a table, for the core and for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cloudsync.adapter import Entry, Found, FoundInterface, Hop, Origin, Point
from cloudsync.model.address import AddressSet
from cloudsync.model.packets import Packet, PacketSet
from cloudsync.model.service import ServiceRange
from cloudsync.model.workload import PointId
from cloudsync_f5 import words
from cloudsync_f5.content import DEFAULT
from cloudsync_f5.decode import Flat, Reader, at, chosen, limit, meets
from cloudsync_f5.former import former, kept_word
from cloudsync_f5.pools import Behind, forwards
from cloudsync_f5.table import GLOBAL, SHIELD, Action, Ends, F5Table, Rule, Virtual


def network(domain: int) -> str:
    """Return the name of a route domain as a network."""
    return f"rd{domain}"


def points(table: F5Table) -> tuple[Point, ...]:
    """Return every virtual server, skipped ones included, ordered by id."""
    reader, held = Reader(table), table.held_domains()
    domains = {one.id: one for one in table.route_domains.values()}
    before = {number: former(table, one) for number, one in held.items()}
    found: list[Point] = []
    for virtual in chosen(table, None):
        carried = [virtual.enforced] if virtual.enforced else []
        domain = domains.get(virtual.domain)
        keepsake: tuple[str, ...] = ()
        if domain is not None and domain.enforced:
            ours = table.ours(domain.enforced)
            if reader.covers(domain.enforced, virtual) or (not ours and domain.id in held):
                carried.append(domain.enforced)
        ours_here = tuple(one for one in carried if table.ours(one))
        foreign = tuple(one for one in carried if not table.ours(one))
        if domain is not None and before.get(domain.id):
            keepsake = (*(one for one in foreign if one == virtual.enforced), kept_word(domain, before[domain.id]))
        where = network(virtual.domain)
        found.append(
            Point(
                virtual.point, table.scope, where, virtual.name, virtual.addresses, ours_here, foreign, virtual.skipped, keepsake=keepsake
            )
        )
    return tuple(found)


# --- workloads -----------------------------------------------------------------------------------------------------------


def workloads(table: F5Table, behind: Behind) -> tuple[Found, ...]:
    """Return every virtual server as a workload, ordered by ref.

    It is reached at its address; it opens connections from its SNAT addresses, and the device's monitors from self addresses.
    """
    return tuple(_workload(table, virtual, behind) for _, virtual in sorted(table.virtuals.items()))


def _workload(table: F5Table, virtual: Virtual, behind: Behind) -> Found:
    domain = virtual.domain
    where = network(domain)
    point = virtual.point if virtual.addresses else None
    skipped = virtual.skipped if point is None else ""
    own = FoundInterface(virtual.path, where, virtual.addresses, point, skipped, shared=table.scope, forwards=forwards(virtual, behind))
    opens = words.addresses((*behind.translations.get(virtual.snat, ()), *behind.selves), domain)
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
    name = policy if context == "virtual" else f"{policy} ({'global context' if context == GLOBAL else f'route domain {domain}'})"
    every = _Touched(virtuals)
    for rule in reader.rules(held.rules):
        flat = reader.flat(rule, domain)
        touched = None if flat is None else every.by(flat)
        if flat is None or touched is None:
            continue
        yield Entry(
            object=policy,
            object_name=name,
            native=native_text(rule),
            direction="inbound",
            packets=PacketSet.of(flat.source, flat.services) & touched[1],
            ours=held.mark is not None and not rule.inherited,
            points=touched[0],
            origins=rule.origins or _written(rule, ours=held.mark is not None),
            note=rule.description or (f"depends on {', '.join(rule.odd)}" if rule.odd else ""),
            denies=not flat.action.opens,
        )


class _Touched:
    """Which of some virtual servers a rule is about, and what they take in together."""

    def __init__(self, virtuals: list[Virtual]) -> None:
        self.virtuals = virtuals
        self._all = self._of(virtuals)
        self._known: dict[AddressSet, tuple[tuple[PointId, ...], PacketSet] | None] = {}

    def by(self, flat: Flat) -> tuple[tuple[PointId, ...], PacketSet] | None:
        """Return points and packets; None for nobody."""
        if flat.destination is None:
            return self._all
        if flat.destination not in self._known:
            touched = [one for one in self.virtuals if meets(flat.destination, one.addresses)]
            self._known[flat.destination] = self._of(touched) if touched else None
        return self._known[flat.destination]

    @staticmethod
    def _of(virtuals: list[Virtual]) -> tuple[tuple[PointId, ...], PacketSet]:
        packets = PacketSet.union_all({limit(one.listener.peers, one.listener.services) for one in virtuals})
        return tuple(one.point for one in virtuals), packets


def _written(rule: Rule, *, ours: bool) -> tuple[Origin, ...]:
    """Return the policy rules that the description of a rule of ours names."""
    return (
        tuple(Origin(one) for one in rule.description.split(", "))
        if ours and not rule.name.startswith((DEFAULT, SHIELD)) and rule.description
        else ()
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
        hops.append(Hop(f"{where}, policy {policy}", verdict, native_text(rule), table.ours(policy), _origins(table, policy, rule)))
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
    return Hop(
        f"{where}, policy {policy}",
        "allow" if flat.action.opens else "deny",
        native_text(rule),
        table.ours(policy),
        _origins(table, policy, rule),
    )


def _origins(table: F5Table, policy: str, rule: Rule) -> tuple[Origin, ...]:
    return rule.origins or _written(rule, ours=table.ours(policy))


def _hop(table: F5Table, reader: Reader, virtual: Virtual, context: tuple[str, str], packet: Packet) -> tuple[Rule, Flat] | None:
    held = table.policies.get(context[0])
    for rule in reader.rules(held.rules if held else ()):
        flat = reader.flat(rule, virtual.domain)
        if flat is None or (flat.destination is not None and not meets(flat.destination, virtual.addresses)):
            continue
        if packet in PacketSet.of(flat.source, flat.services):
            return rule, flat
    return None

"""At which virtual servers no policy can be enforced as a table stands, and why."""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync.model.packets import PacketSet
from cloudsync_f5.decode import Reader, limit
from cloudsync_f5.former import unwritable
from cloudsync_f5.table import F5Table, RouteDomain, Rule, Virtual, any_mark

NOT_UNDER_ATTACH = "the settings attach no policy here: it is not under attach"


class Judge:
    """Says it of one table."""

    def __init__(self, table: F5Table, *, additive: bool, virtuals: tuple[str, ...] | None = None) -> None:
        self.table, self.additive, self.reader = table, additive, Reader(table)
        self.virtuals = None if virtuals is None else frozenset(virtuals)
        self.held = table.held_domains()
        self._odd: dict[str, tuple[tuple[Rule, str], ...]] = {}
        self._twins: dict[str, str] | None = None

    def why(self, virtual: Virtual) -> str:
        """Return the reason; empty when a policy can be enforced there. What the virtual server itself says comes first."""
        if virtual.skipped and not virtual.addresses:
            return virtual.skipped
        held = self.held.get(virtual.domain)
        if held is None and self.virtuals is not None and self.virtuals.isdisjoint((virtual.path, virtual.name)):
            return NOT_UNDER_ATTACH
        table, domain = self.table, virtual.domain
        outer = [(table.enforced, "the global context")]
        if held is None:
            outer.append((self.reader.domain_policy(domain), f"route domain {domain}"))
        elif virtual.enforced and not table.ours(virtual.enforced):
            outer.append((virtual.enforced, "the virtual server"))
        for policy, place in outer:
            odd = next(self.odd(policy, virtual), None) if policy else None
            if odd is not None:
                return f"rule {odd[0].name} of policy {policy} on {place} depends on {odd[1]}: what it does here cannot be evaluated"
        if held is not None:
            return self._why_domain(held, virtual)
        if self.additive and virtual.enforced and not table.ours(virtual.enforced):
            return f"carries the policy {virtual.enforced}, and a virtual server takes one: additive leaves it there and writes nothing"
        return ""

    def _why_domain(self, domain: RouteDomain, virtual: Virtual) -> str:
        """Return why our policy of a route domain cannot serve a virtual server in it."""
        foreign = domain.enforced and not self.table.ours(domain.enforced)
        carries = f"route domain {domain.id} carries the policy {domain.enforced}"
        if foreign and self.additive:
            return f"{carries}, and it takes one: additive leaves it there and writes nothing"
        if foreign and domain.enforced in self.table.policies:
            mark = any_mark(self.table.policies[domain.enforced].description)
            if mark is not None and mark.owner != self.table.owner:
                return f"{carries} of owner {mark.owner}, and it takes one: give each owner route domains of its own"
            found = unwritable(self.table.policies[domain.enforced])
            if found is not None:
                return f"{carries}, and its rule {found[0].name} ({found[1]}) cannot be written again below ours"
        if self._twins is None:
            self._twins = dict(twins(self.table, self.held))
        other = self._twins.get(virtual.path)
        return (
            f"listens where {other} does, and a policy on the route domain cannot tell them apart: attach to virtual servers there"
            if other
            else ""
        )

    def odd(self, policy: str, virtual: Virtual) -> Iterator[tuple[Rule, str]]:
        """Yield the rules of a policy that cannot be evaluated and may be about a virtual server, with what they depend on."""
        if policy not in self._odd:
            self._odd[policy] = tuple(self._strange(policy))
        for rule, why in self._odd[policy]:
            listed = any(self.reader.odd_list(path) for path in rule.destination.lists)
            if rule.destination.any or listed or self.reader.end(rule.destination, virtual.domain) & virtual.addresses:
                yield rule, why

    def _strange(self, policy: str) -> Iterator[tuple[Rule, str]]:
        held = self.table.policies.get(policy)
        for rule in self.reader.rules(held.rules if held else ()):
            lists = [path for path in sorted({*rule.source.lists, *rule.destination.lists}) if self.reader.odd_list(path)]
            why = ", ".join(rule.odd) or (f"list {lists[0]}" if lists else "")
            if why:
                yield rule, why


def twins(table: F5Table, held: dict[int, RouteDomain]) -> Iterator[tuple[str, str]]:
    """Yield the virtual servers of held route domains that take packets another one takes, by address, protocol and port; and the other."""
    at: dict[tuple[object, ...], list[Virtual]] = {}
    for _, virtual in sorted(table.virtuals.items()):
        if virtual.domain in held and virtual.addresses:
            at.setdefault((virtual.domain, virtual.addresses), []).append(virtual)
    for group in at.values():
        for one in group:
            for other in group:
                if one is not other and taken(one) & taken(other):
                    yield one.path, other.path
                    break


def taken(virtual: Virtual) -> PacketSet:
    """Return the packets that a virtual server takes in at all."""
    return limit(virtual.listener.peers, virtual.listener.services)

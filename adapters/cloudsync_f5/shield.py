"""Shields: temporary drops above everything else in the policy that packets meet at a virtual server, or on its route domain.

A policy is replaced whole, so a shield is a copy of ours with the drops on top, attached in place of the original: one swap there, and one
back. The original stays on the device meanwhile. Where it serves several virtual servers, only those that are shielded get the copy.

Uncut stays what no policy of ours decides: where a policy of somebody else is attached (it is not copied for a moment), what the global
context or a foreign route domain lets in for good, virtual servers that are skipped. So is what does not pass anyway: it needs no shield.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace

from cloudsync.adapter import Access, Phase
from cloudsync.model.address import AddressSet
from cloudsync.model.packets import PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import PointId
from cloudsync_f5 import content, words
from cloudsync_f5 import payload as wire
from cloudsync_f5.decode import Reader, at
from cloudsync_f5.former import marked
from cloudsync_f5.problems import quotas
from cloudsync_f5.table import EVERYBODY, SHIELD, Action, Ends, F5Table, Mark, Policy, RouteDomain, Rule, Virtual

TEMPORARY = "cloudsync: temporary, cuts what only a moment between old and new would let in"


def shield(table: F5Table, packets: Mapping[PointId, Access]) -> F5Table:
    """Return a table with shields that cut these packets at these virtual servers, as far as they pass there and can be cut exactly."""
    if table.running:  # what is configured is not what packets meet
        return table
    work = _Shields(table, Reader(table), table.held_domains())
    for point, access in sorted(packets.items()):
        virtual = at(table, point)
        if virtual is not None and virtual.addresses and not virtual.skipped:
            work.place(virtual, access.inbound)
    return work.finished()


@dataclass(slots=True)
class _Shields:
    """The drops under way, by where they stand."""

    table: F5Table
    reader: Reader
    held: Mapping[int, RouteDomain]
    inner: dict[tuple[str, int, PacketSet], list[Virtual]] = field(default_factory=dict)
    """(policy now, route domain, what is cut) -> virtual servers that get a policy with drops of their own."""
    outer: dict[int, dict[PacketSet, list[Virtual]]] = field(default_factory=dict)
    """Route domain -> what is cut -> at which virtual servers in it."""

    def place(self, virtual: Virtual, packets: PacketSet) -> None:
        """Choose where packets are cut at a virtual server; nowhere when no policy of ours may stand there, or none of them passes."""
        table, domain = self.table, self.held.get(virtual.domain)
        second = self.reader.outer(virtual)[1]
        last = self.reader.last(virtual.enforced, virtual, second.on)
        cut = packets & (last.on | last.done)
        if table.ours(virtual.enforced) or (domain is None and not virtual.enforced):
            if cut:
                self.inner.setdefault((virtual.enforced, virtual.domain, cut), []).append(virtual)
        elif domain is not None and (table.ours(domain.enforced) or not domain.enforced):
            cut |= packets & second.done
            if cut:
                self.outer.setdefault(virtual.domain, {}).setdefault(cut, []).append(virtual)

    def finished(self) -> F5Table:
        """Return the table with every policy that fits."""
        table = self.table
        virtuals, domains, policies = dict(table.virtuals), dict(table.route_domains), dict(table.policies)
        for (base, number, cut), group in self.inner.items():
            made = self._policy(base, _drops(cut, number, EVERYBODY), None)
            if made is not None:
                policies[made.path] = made
                virtuals.update((one.path, replace(one, enforced=made.path)) for one in group)
        for number, cuts in self.outer.items():
            domain = self.held[number]
            drops = [rule for cut, group in cuts.items() for rule in _drops(cut, number, _listed(group, number))]
            made = self._policy(domain.enforced, drops, domain)
            if made is not None:
                policies[made.path] = made
                domains[domain.path] = replace(domain, enforced=made.path)
        return replace(table, virtuals=virtuals, route_domains=domains, policies={path: policies[path] for path in sorted(policies)})

    def _policy(self, base: str, drops: Iterable[Rule], domain: RouteDomain | None) -> Policy | None:
        """Return drops above the rules of a policy of ours, or alone. None where its name is taken, or it is larger than limits allow."""
        table, held = self.table, self.table.policies.get(base)
        rules = (*drops, *(held.rules if held is not None else ()))
        sha = content.digest([base, domain.path if domain is not None else "", wire.content_of_rules(rules)], 16)
        if held is not None and held.mark is not None:  # the same identity, which may hold what stood there before us
            mark = replace(held.mark, sha=sha)
        elif domain is not None:
            mark = marked(table.owner, domain, "", sha)
        else:
            mark = Mark(table.owner, f"shield-{sha}", sha)
        found = Policy(f"/{table.partition}/{content.name(table.owner, 'shield', sha)}", rules, mark.text, mark)
        if table.policies.get(found.path, found) != found or next(iter(quotas(table, (found,), ())), None) is not None:
            return None
        return found


def _listed(group: Iterable[Virtual], route_domain: int) -> Ends:
    return Ends(words.spans(AddressSet.union_all(one.addresses for one in group), route_domain))


def _drops(cut: PacketSet, route_domain: int, to: Ends) -> tuple[Rule, ...]:
    """Return rules that drop exactly these packets."""
    found: list[Rule] = []
    for addresses, services in cut.products():
        source = Ends(words.spans(addresses, route_domain))
        for native in words.natives(services):
            said = [[one.text() for one in sorted(ends.spans)] for ends in (source, to)]
            name = f"{SHIELD}{content.digest([*said, native.protocol, native.ports, native.icmp], 12)}"
            found.append(Rule(name, Action.DROP, source, to, native, description=TEMPORARY))
    return tuple(found)


# --- steps that do nothing else --------------------------------------------------------------------------------------------


def temporary(actual: F5Table, desired: F5Table, phases: tuple[Phase, ...]) -> tuple[Phase, ...]:
    """Return phases with every step marked temporary, under names of their own, where shields are all that comes or goes by them."""
    more = _shields_more(actual, desired)
    if not more:
        return phases
    word = "shields up" if more > 0 else "shields down"
    return tuple(
        Phase(
            phase.name,
            tuple(
                replace(step, key=f"{word.replace(' ', '-')}-{step.key}", title=f"{step.title} ({word})", temporary=True)
                for step in phase.steps
            ),
        )
        for phase in phases
    )


def _shields_more(actual: F5Table, desired: F5Table) -> int:
    """Return how many shields more desired carries than actual, in places; 0 where anything else differs, or nothing."""
    lists = [{path: one.spans for path, one in table.lists.items() if path != table.pending} for table in (actual, desired)]
    if lists[0] != lists[1]:
        return 0
    more = 0
    pairs: list[tuple[Virtual | RouteDomain, Virtual | RouteDomain]] = [
        (actual.virtuals[path], one) for path, one in desired.virtuals.items() if actual.virtuals.get(path) not in (None, one)
    ]
    pairs += [(now, desired.route_domains[path]) for path, now in actual.route_domains.items() if desired.route_domains.get(path) != now]
    for now, to in pairs:
        before, after = _carried(actual, now.enforced), _carried(desired, to.enforced)
        if now.staged != to.staged or _bare(before) != _bare(after):
            return 0
        more += len(after) - len(before)
    return more


def _carried(table: F5Table, policy: str) -> tuple[Rule | str, ...]:
    """Return the rules of a policy of ours, the path of any other."""
    if not policy:
        return ()
    return table.policies[policy].rules if table.ours(policy) else (policy,)


def _bare(carried: Iterable[Rule | str]) -> tuple[Rule | str, ...]:
    return tuple(one for one in carried if isinstance(one, str) or not one.shields)

"""Tables that stand between actual and desired: staged, both places at once, and what old and new share.

Contexts act in series, so where a virtual server's rules move from its own policy to that of its route domain, or back, the new place is
filled first, and compiled, before the old one is left: meanwhile packets need both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from cloudsync.adapter import Whose
from cloudsync.model.address import AddressSet
from cloudsync.model.packets import PacketSet
from cloudsync.model.service import ServiceSet
from cloudsync_f5 import content, words
from cloudsync_f5 import payload as wire
from cloudsync_f5.content import Draft, Reach
from cloudsync_f5.decode import Reader, decode
from cloudsync_f5.former import inherited
from cloudsync_f5.table import Ends, F5Table, Mark, Policy, RouteDomain, Rule, Virtual

Held = TypeVar("Held")
Place = TypeVar("Place", Virtual, RouteDomain)


def staged(actual: F5Table, desired: F5Table) -> F5Table:
    """Return the table in which everything new is there, and new policies are staged where nobody else's is: no packet feels that."""
    virtuals = {path: _staged(actual.virtuals[path], one) for path, one in desired.virtuals.items()}
    domains = {path: _staged(actual.route_domains[path], one) for path, one in desired.route_domains.items()}
    lists = {**desired.lists, **actual.lists}
    policies = {**desired.policies, **actual.policies}
    return replace(actual, virtuals=virtuals, route_domains=domains, lists=_sorted(lists), policies=_sorted(policies))


def _staged(now: Place, to: Place) -> Place:
    return replace(now, staged=to.enforced) if to.enforced not in (now.enforced, "") and not to.staged else now


def _sorted(found: Mapping[str, Held]) -> dict[str, Held]:
    return {path: found[path] for path in sorted(found)}


# --- from one place to the other -------------------------------------------------------------------------------------------


def restored(actual: F5Table, to: F5Table) -> F5Table:
    """Return the present table with what virtual servers are given back, where our policy on their route domain lets go of them later.

    Until then packets need both: what ours lets in, and what the old policy does. That is less than before, and all that both share.
    """
    reader, outer = Reader(actual), {one.id: one.enforced for one in actual.route_domains.values()}
    virtuals = {
        path: replace(now, enforced=to.virtuals[path].enforced)
        for path, now in actual.virtuals.items()
        if not now.enforced and to.virtuals[path].enforced in actual.policies and not actual.ours(to.virtuals[path].enforced)
        if reader.covers(outer.get(now.domain, ""), now)
    }
    return replace(actual, virtuals={**actual.virtuals, **virtuals})


def both(actual: F5Table, to: F5Table) -> F5Table:
    """Return a table on the way: as `to`, but what is left for another place still carries what it carries now."""
    old, new = Reader(actual), Reader(to)
    outer = {one.id: one for one in to.route_domains.values()}
    virtuals, domains = dict(to.virtuals), dict(to.route_domains)
    for path, one in to.virtuals.items():
        now = actual.virtuals[path]
        domain = outer.get(one.domain)
        if actual.ours(now.enforced) and not to.ours(one.enforced) and domain is not None and new.covers(domain.enforced, one):
            virtuals[path] = now
    for path, domain in to.route_domains.items():
        before = actual.route_domains[path]
        if not actual.ours(before.enforced) or to.ours(domain.enforced):
            continue
        inside = (one for one in to.virtuals.values() if one.domain == domain.id and to.ours(one.enforced))
        if any(old.covers(before.enforced, one) for one in inside):
            domains[path] = before
    carried = {one.enforced for one in virtuals.values()} | {one.enforced for one in domains.values()}
    kept = carried - to.policies.keys() - {""}
    policies = {**to.policies, **{path: actual.policies[path] for path in kept}}
    needed = {path for one in kept for rule in actual.policies[one].rules for path in (*rule.source.lists, *rule.destination.lists)}
    lists = {**{path: actual.lists[path] for path in needed if path in actual.lists}, **to.lists}
    return replace(to, virtuals=virtuals, route_domains=domains, policies=_sorted(policies), lists=_sorted(lists))


# --- what old and new share ------------------------------------------------------------------------------------------------


def middle(actual: F5Table, desired: F5Table) -> F5Table:
    """Return the table of MEET's barrier: desired, but virtual servers that let in more than today hold to what old and new share.

    So do those that would let in more on the way from one place to the other: a foreign policy may stand in each of them.
    """
    before, after = decode(actual, Whose.ALL), decode(desired, Whose.ALL)
    halfway = decode(both(actual, desired), Whose.ALL)
    virtuals, policies, domains = dict(desired.virtuals), dict(desired.policies), dict(desired.route_domains)
    held = {one.id for one in desired.held_domains().values()}
    shared: dict[int, list[tuple[Virtual, PacketSet]]] = {}
    for path, virtual in sorted(desired.virtuals.items()):
        old, new = before[virtual.point].inbound, after[virtual.point].inbound
        if actual.virtuals.get(path) is None or not (new - old or halfway[virtual.point].inbound - old):
            continue
        if virtual.domain in held and virtual.addresses:
            shared.setdefault(virtual.domain, []).append((virtual, old & new))
            continue
        draft = Draft()
        content.keep(draft, old & new, virtual.domain)
        policy = _move(desired, virtual.domain, content.finished(draft, default=True))
        policies[policy.path] = policy
        virtuals[path] = replace(virtual, enforced=policy.path)
    for path, domain in desired.route_domains.items():
        if domain.id in shared:
            policy = _shields(desired, domain, shared[domain.id])
            policies[policy.path] = policy
            domains[path] = replace(domain, enforced=policy.path)
    return replace(desired, virtuals=virtuals, route_domains=domains, policies=_sorted(policies))


def _shields(table: F5Table, domain: RouteDomain, shared: Iterable[tuple[Virtual, PacketSet]]) -> Policy:
    """Return a route domain's policy in which some virtual servers hold to packets, above what it says anyway."""
    draft = Draft()
    groups: dict[tuple[ServiceSet, PacketSet], list[AddressSet]] = {}
    for virtual, packets in shared:
        groups.setdefault((virtual.listener.services, packets), []).append(virtual.addresses)
    for (services, packets), own in groups.items():
        reach = Reach(Ends(words.spans(AddressSet.union_all(own), domain.id)), services)
        content.keep(draft, packets, domain.id, reach)
        content.close(draft, reach)
    held = table.policies.get(domain.enforced)
    below: tuple[Rule, ...] = ()
    if held is not None:
        below = held.rules if held.mark is not None else inherited(held)
    top = tuple(replace(rule, name=f"move_{number}_{rule.name}") for number, rule in enumerate(content.finished(draft, default=False)))
    return _move(table, domain.id, (*top, *below))


def _move(table: F5Table, route_domain: int, rules: tuple[Rule, ...]) -> Policy:
    identity = f"move-{content.digest([route_domain, wire.content_of_rules(rules)], 12)}"
    mark = Mark(table.owner, identity, content.digest(wire.content_of_rules(rules), 16))
    return Policy(f"/{table.partition}/{content.name(table.owner, 'move', identity[-12:])}", rules, mark.text, mark)

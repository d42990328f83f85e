"""Our policy of a route domain: one for all virtual servers in it, each rule about some of them alone.

Nothing in it is about everything: self addresses, forwarding virtual servers and the devices' own traffic live in the same route domain.
A rule names its virtual servers by a list of their addresses, and only what they listen on: another virtual server, or a self address, may
have the same address. Below our rules stand those of the foreign policy whose place ours takes, see `former.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from cloudsync.adapter import PointIntent, Problem
from cloudsync.model.address import ANYWHERE, AddressSet, Family
from cloudsync.model.mode import Mode, TargetMode
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync_f5 import content, words
from cloudsync_f5.content import Draft, Peers, Reach, Selector, Tiers, digest
from cloudsync_f5.decode import at
from cloudsync_f5.former import former, identity, inherited, marked, of_virtual, recorded
from cloudsync_f5.judge import taken
from cloudsync_f5.payload import content_of_rules
from cloudsync_f5.problems import unreadable
from cloudsync_f5.table import EVERYBODY, GLOBAL, Ends, F5Table, RouteDomain, Rule, Virtual
from cloudsync_f5.work import Seat, Work, over


def remaining(table: F5Table) -> dict[int, str]:
    """Return the foreign policy that each route domain will carry beside us; empty where ours decides, or nobody."""
    held = table.held_domains()
    return {one.id: "" if one.id in held else former(table, one) for one in table.route_domains.values()}


# --- points ----------------------------------------------------------------------------------------------------------------


def seat(work: Work, point: PointIntent, virtual: Virtual, domain: RouteDomain) -> None:
    """Give an enforced virtual server its place in the policy of its route domain; a policy of ours on itself has had its time."""
    exclusive = work.intent.mode is TargetMode.EXCLUSIVE
    kept: PacketSet | None = NO_PACKETS
    if exclusive and point.mode is Mode.SELECTIVE:
        odd = next(work.judge.odd(domain.enforced, virtual), None) if not work.table.ours(domain.enforced) else None
        if odd is not None:
            work.problems.append(unreadable(virtual, domain.enforced, odd))
        kept = _kept(work, point, virtual)
    closed = kept is not None if exclusive else work.default_deny and point.mode is Mode.FULL
    family = ANYWHERE.only(Family.V4 if virtual.addresses.v4 else Family.V6)
    peers = None if virtual.listener.peers == family else virtual.listener.peers
    place = Seat(point.class_id, point.domain, virtual.listener.services, peers, kept, closed)
    work.seats.setdefault(domain.path, {}).setdefault(place, []).append(virtual)
    if work.table.ours(virtual.enforced):
        work.attached[virtual.path] = ""


def _kept(work: Work, point: PointIntent, virtual: Virtual) -> PacketSet | None:
    """Return what stays open of the past; None where that is everything that the tiers above do not decide, and that can be at all."""
    reader, packets = work.judge.reader, taken(virtual)
    first = reader.context(work.table.running.get(GLOBAL, work.table.enforced), virtual, packets)
    last = reader.last("" if work.table.ours(virtual.enforced) else virtual.enforced, virtual, first.on)
    kept = (point.kept_in or NO_PACKETS) & packets
    possible = last.on | last.done
    return None if kept and possible - work.decides(point.class_id, point.domain) <= kept else kept


def leave(work: Work, point: PointIntent, virtual: Virtual, domain: RouteDomain) -> None:
    """Give a virtual server that is no longer enforced what it carried itself before it came into our hands.

    Only on the way out: one of which our policy does not speak (any more) is not ours to write to.
    """
    before = of_virtual(point.original)
    if work.intent.mode is not TargetMode.EXCLUSIVE or virtual.enforced or not before:
        return
    if work.judge.reader.covers(domain.enforced, virtual) and before in work.table.policies and not work.table.ours(before):
        work.attached[virtual.path] = before


# --- rules -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Drafted:
    """The rules of one route domain's policy, lists by selector."""

    domain: RouteDomain
    rules: tuple[Rule, ...]


def draft(work: Work, peers: Peers) -> list[Drafted]:
    """Return the rules of every route domain that has something enforced in it."""
    found: list[Drafted] = []
    for path, seats in sorted(work.seats.items()):
        domain, rules = work.table.route_domains[path], Draft()
        for place, virtuals in sorted(seats.items(), key=lambda one: one[1][0].path):
            _shut_anyway(work, domain, virtuals)
            says = work.tiers(place.class_id, place.domain)
            content.state_terms(says, tuple(sorted(one.point for one in virtuals)), work.findings)
            _seat_rules(rules, (place, says), domain, _destination(work, place, domain, virtuals, peers), peers)
        found.append(Drafted(domain, content.finished(rules, default=False)))
    return found


def _destination(work: Work, place: Seat, domain: RouteDomain, virtuals: list[Virtual], peers: Peers) -> Ends:
    kept = "all" if place.kept is None else [[one.cidrs(), services.points] for one, services in place.kept.products()]
    apart = digest([place.within.points, None if place.peers is None else place.peers.cidrs(), kept])
    labels = f"to-{work.words_for(place.class_id, place.domain)}"
    selector = Selector("to", (place.class_id, place.domain, apart), domain.id, labels)
    return peers.reached(selector, AddressSet.union_all(one.addresses for one in virtuals))


def _seat_rules(rules: Draft, said: tuple[Seat, Tiers], domain: RouteDomain, to: Ends, peers: Peers) -> None:
    place, says = said
    reach = Reach(to, place.within)
    content.write(rules, says, (place.domain, domain.id), peers, reach)
    content.keep(rules, place.kept, domain.id, reach)
    if place.closed:
        content.close(rules, reach, EVERYBODY if place.peers is None else Ends(words.spans(place.peers, domain.id)))


def _shut_anyway(work: Work, domain: RouteDomain, virtuals: list[Virtual]) -> None:
    """Refuse what could only ever cut: behind a route domain's accept the device's default decides, and it drops."""
    bare = [one for one in virtuals if not one.enforced or work.table.ours(one.enforced)]
    if work.table.open_by_default or not bare:
        return
    message = (
        f"the device drops what no policy on a virtual server lets in, so our policy on route domain {domain.id} could let nothing in "
        f"at {len(bare)} virtual servers, first: {bare[0].path}"
    )
    hint = "set tm.fw.defaultaction to accept, or attach policies to the virtual servers there"
    work.problems.append(Problem("F5-DEFAULT", message, hint, (), tuple(sorted(one.point for one in bare))))


def settle(work: Work, drafted: list[Drafted], names: Mapping[str, str]) -> None:
    """Decide what each route domain carries: our policy, or what it carried before."""
    table = work.table
    for one in drafted:
        if not one.rules:  # additive, and no rule is about these: a policy that says nothing helps nobody
            continue
        before = former(table, one.domain)
        rules = (*over(one.rules, names), *_below(work, one.domain, before))
        sha = digest([identity(one.domain), content_of_rules(rules)], 16)
        mark = marked(work.intent.owner, one.domain, before, sha)
        policy = work.policy(mark, (f"rd{one.domain.id}", identity(one.domain)[-6:]), [one.domain.enforced], rules)
        work.domains[one.domain.path] = policy.path
    for path, domain in sorted(table.route_domains.items()):
        if path not in work.domains and table.ours(domain.enforced):
            _give_back(work, domain)


def _below(work: Work, domain: RouteDomain, before: str) -> tuple[Rule, ...]:
    """Return the rules of somebody else that stay in force below ours: as the policy says them now, or as ours holds them if it is gone."""
    known = work.table.policies.get(before)
    if known is None or known.mark is not None:
        known = work.table.policies.get(domain.enforced)
        return inherited(known) if known is not None and known.mark is not None else ()
    return inherited(known)


def _give_back(work: Work, domain: RouteDomain) -> None:
    table = work.table
    inside = ((point.original, at(table, point.point)) for point in work.intent.points)
    originals = [original for original, virtual in inside if virtual is not None and virtual.domain == domain.id]
    before = former(table, domain) or recorded(domain, originals)
    if not before or (before in table.policies and not table.ours(before)):
        work.domains[domain.path] = before
    else:
        work.notes.append(f"route domain {domain.id} keeps our policy: {before}, which was there before us, is gone")


__all__ = ["Drafted", "draft", "leave", "remaining", "seat", "settle"]

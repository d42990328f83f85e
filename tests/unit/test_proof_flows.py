"""What only a moment between two states lets through, found as sets and, beside it, flow by flow in worlds small enough to count."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product

import pytest

from cloudsync.adapter import Access
from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.service import NO_SERVICE, TCP, ServiceSet
from cloudsync.model.workload import Domain, Forward, PointId
from cloudsync.proof.flows import Crossing, End, Flow, Ground, Kind, Place, crossings, met, through

PORTS = (1, 2)


def port(number: int) -> ServiceSet:
    return ServiceSet.ports(TCP, number, number)


@dataclass(frozen=True)
class Names:
    """Addresses of a small world: two clients, a load balancer, two members, and somebody who is in no table."""

    clients: tuple[str, str]
    front: str
    members: tuple[str, str]
    stranger: str
    via: str

    @property
    def everyone(self) -> tuple[str, ...]:
        return (*self.clients, self.front, *self.members, self.stranger, self.via)


FOUR = Names(("10.0.0.1", "10.0.0.2"), "10.0.1.1", ("10.0.2.1", "10.0.2.2"), "192.0.2.9", "10.0.1.9")
SIX = Names(("fd00::1", "fd00::2"), "fd00:1::1", ("fd00:2::1", "fd00:2::2"), "2001:db8::9", "fd00:1::9")


def packets(dice: random.Random, names: Names) -> PacketSet:
    chosen = [pair for pair in product(names.everyone, PORTS) if dice.random() < 0.5]
    return PacketSet.union_all(PacketSet.of(AddressSet.of(address), port(number)) for address, number in chosen)


def access(dice: random.Random, names: Names) -> Access:
    return Access(packets(dice, names), packets(dice, names))


@dataclass(frozen=True)
class World:
    """A drawn world: each point by its address, in one or two targets."""

    names: Names
    old: dict[str, Access]
    new: dict[str, Access]
    forward: Forward | None
    split: bool

    def grounds(self) -> tuple[Ground, ...]:
        """The targets: everything in one, or clients apart from servers."""
        parts = [list(self.old)]
        if self.split:
            parts = [[one for one in self.old if one in self.names.clients], [one for one in self.old if one not in self.names.clients]]
        return tuple(self._ground(f"t{number}", part) for number, part in enumerate(parts))

    def _ground(self, target: str, addresses: list[str]) -> Ground:
        forwards = (self.forward,) if self.forward else ()
        places = {PointId(one): Place(AddressSet.of(one), None, forwards if one == self.names.front else ()) for one in addresses}
        return Ground(
            target,
            {PointId(one): self.old[one] for one in addresses},
            {PointId(one): self.new[one] for one in addresses},
            places,
        )

    def passes(self, state: dict[str, Access], at: str, peer: str, number: int, *, inbound: bool) -> bool:
        """Tell whether one point lets one packet through; who has no table lets everything out."""
        found = state.get(at)
        if found is None:
            return True
        return bool((found.inbound if inbound else found.outbound) & PacketSet.of(AddressSet.of(peer), port(number)))

    def stops(self, stop: tuple[str, str, int, bool]) -> tuple[bool, bool]:
        """Tell what the old and the new state say of one packet at one stop."""
        at, peer, number, inbound = stop
        return self.passes(self.old, at, peer, number, inbound=inbound), self.passes(self.new, at, peer, number, inbound=inbound)


def drawn(seed: int, *, forward: bool) -> World:
    dice = random.Random(seed)
    names = SIX if seed % 3 == 0 else FOUR
    pool = Forward(port(1), AddressSet.of(*names.members), port(2), AddressSet.of(names.via) if seed % 2 else NOWHERE)
    points = (*names.clients, names.front, *names.members)
    old = {one: access(dice, names) for one in points}
    new = {one: old[one] if dice.random() < 0.2 else access(dice, names) for one in points}
    return World(names, old, new, pool if forward else None, split=seed % 5 == 0)


def slips(says: Iterable[tuple[bool, bool]]) -> bool:
    """Tell whether a flow passes neither by the old nor by the new state, but could while every stop is as wide as both together."""
    found = list(says)
    return all(old or new for old, new in found) and not all(old for old, _ in found) and not all(new for _, new in found)


def spread(addresses: AddressSet, names: Names) -> Iterator[str]:
    yield from (one for one in names.everyone if addresses & AddressSet.of(one))


def counted(found: Iterable[Crossing], names: Names, *, behind: bool) -> set[tuple[str, ...]]:
    """Every single flow of some crossings, of those through a load balancer or of the others."""
    flows: set[tuple[str, ...]] = set()
    for crossing in found:
        for flow in crossing.flows:
            if bool(flow.behind) is not behind:
                continue
            ways = product(spread(flow.start, names), spread(flow.front, names), (one for one in PORTS if flow.service & port(one)))
            for start, front, number in ways:
                if not behind:
                    flows.add((start, front, str(number)))
                    continue
                for member, via in product(spread(flow.behind, names), spread(flow.via, names) if flow.via else [start]):
                    flows.add((start, front, str(number), member, via))
    return flows


@pytest.mark.parametrize("seed", range(40))
def test_between_two_points_exactly_the_flows_that_slip_through_are_found(seed: int) -> None:
    world = drawn(seed, forward=False)
    expected = {
        (start, goal, str(number))
        for start, goal, number in product(world.old, world.old, PORTS)
        if slips((world.stops((start, goal, number, False)), world.stops((goal, start, number, True))))
    }
    assert counted(crossings(world.grounds()), world.names, behind=False) == expected


@pytest.mark.parametrize("seed", range(40))
def test_behind_a_load_balancer_exactly_the_flows_that_slip_through_at_the_member_are_found(seed: int) -> None:
    world = drawn(seed, forward=True)
    names = world.names
    expected = set()
    for start, member in product(names.everyone, names.members):
        via = names.via if seed % 2 else start
        way = [world.stops((start, names.front, 1, False))] if start in world.old else []
        way += [world.stops((names.front, start, 1, True)), world.stops((member, via, 2, True))]
        changes = world.old[member].inbound != world.new[member].inbound
        if slips(way) and way[-1][0] != way[-1][1] and changes:
            expected.add((start, names.front, "1", member, via))
    found = list(crossings(world.grounds()))
    assert counted(found, names, behind=True) == expected
    for crossing in found:
        assert crossing.closing in crossing.path
        assert crossing.opening in crossing.path
        assert crossing.targets == {crossing.closing.target, crossing.opening.target}


@pytest.mark.parametrize("seed", range(20))
def test_each_flow_closes_at_one_stop_and_opens_at_another(seed: int) -> None:
    world = drawn(seed, forward=bool(seed % 2))
    for crossing in crossings(world.grounds()):
        for flow in crossing.flows:
            for end, only in ((crossing.closing, end_side(crossing.closing)), (crossing.opening, end_side(crossing.opening))):
                seen = flow.seen(end.kind)
                assert seen & only == seen
            assert crossing.closing is not crossing.opening
            assert flow.size > 0


def end_side(end: End) -> PacketSet:
    return end.closes | end.opens


def test_nothing_slips_through_where_nothing_changes_or_only_one_side_does() -> None:
    world = drawn(1, forward=True)
    assert list(crossings(replace(world, new=world.old).grounds())) == []
    servers = {**world.old, world.names.front: Access()}
    assert list(crossings(replace(world, new=servers, forward=None).grounds())) == []


# --- places ----------------------------------------------------------------------------------------------------------

HERE, THERE = Domain("here"), Domain("there")
P, Q = PointId("p"), PointId("q")


def end(addresses: tuple[str, ...], domain: Domain | None) -> End:
    return End("t", Kind.ENTERS, (P,), AddressSet.of(*addresses), domain, NO_PACKETS, NO_PACKETS)


@pytest.mark.parametrize(
    ("first", "second", "public"), [(HERE, HERE, False), (HERE, THERE, True), (None, THERE, False), (HERE, None, False)]
)
def test_two_domains_meet_under_public_addresses_alone(first: Domain | None, second: Domain | None, *, public: bool) -> None:
    one, other = end(("10.0.0.1", "8.8.8.8"), first), end(("10.0.0.2", "9.9.9.9"), second)
    expected = (AddressSet.of("8.8.8.8"), AddressSet.of("9.9.9.9")) if public else (one.addresses, other.addresses)
    assert met(one, other) == expected


def crossing_pair(first: Place, second: Place) -> list[Crossing]:
    """A source that stops sending and a destination that begins to accept, on everything."""
    everything = PacketSet.of(ANYWHERE, port(1))
    ground = Ground("t", {P: Access(outbound=everything)}, {Q: Access(everything)}, {P: first, Q: second})
    return list(crossings((ground,)))


def test_points_without_addresses_or_a_place_cross_nothing() -> None:
    known = Place(AddressSet.of("10.0.0.2"))
    assert len(crossing_pair(Place(AddressSet.of("10.0.0.1")), known)) == 1
    assert crossing_pair(Place(NOWHERE), known) == []
    assert crossing_pair(Place(AddressSet.of("fd00::1")), known) == [], "no family in common"
    everything = PacketSet.of(ANYWHERE, port(1))
    ground = Ground("t", {P: Access(outbound=everything)}, {Q: Access(everything)}, {Q: known})
    assert list(crossings((ground,))) == []


def test_both_families_are_crossed() -> None:
    (one,) = crossing_pair(Place(AddressSet.of("10.0.0.1", "fd00::1")), Place(AddressSet.of("10.0.0.2", "fd00::2")))
    assert [flow.text() for flow in one.flows] == ["10.0.0.1 -> 10.0.0.2 tcp/1", "fd00::1 -> fd00::2 tcp/1"]


def test_points_that_change_alike_are_one_end() -> None:
    everything = PacketSet.of(ANYWHERE, port(1))
    places = {P: Place(AddressSet.of("10.0.0.1")), Q: Place(AddressSet.of("10.0.0.2")), PointId("r"): Place(AddressSet.of("10.0.0.3"))}
    old = {P: Access(outbound=everything), Q: Access(outbound=everything)}
    (one,) = crossings((Ground("t", old, {PointId("r"): Access(everything)}, places),))
    assert one.closing.points == (P, Q)
    assert one.closing.addresses == AddressSet.of("10.0.0.1", "10.0.0.2")
    assert (one.closing.kind, one.opening.kind) == (Kind.LEAVES, Kind.ENTERS)


def test_an_end_is_as_wide_as_both_states() -> None:
    old, new = (PacketSet.of(AddressSet.of(one), port(1)) for one in ("10.0.0.1", "10.0.0.2"))
    one = replace(end(("10.0.0.9",), None), old=old, new=new)
    assert one.wide == old | new
    assert replace(one, new=old).wide == old
    assert [replace(one, closes=closes, opens=opens).changes for closes, opens in ((old, NO_PACKETS), (NO_PACKETS, new))] == [True, True]
    assert not one.changes


# --- one flow --------------------------------------------------------------------------------------------------------

PLAIN = Flow(AddressSet.of("10.0.0.1"), AddressSet.of("10.0.0.2"), port(1))
PASSED = replace(PLAIN, behind=AddressSet.of("10.0.0.3"), onward=port(2))


def test_a_flow_is_told_by_one_of_its_packets() -> None:
    assert PLAIN.text() == "10.0.0.1 -> 10.0.0.2 tcp/1"
    assert PASSED.text() == "10.0.0.1 -> 10.0.0.2 tcp/1 -> 10.0.0.3 tcp/2"
    ranges = replace(PASSED, service=ServiceSet.ports(TCP, 5, 9), onward=ServiceSet.ports(TCP, 6, 8))
    assert ranges.text() == "10.0.0.1 -> 10.0.0.2 tcp/5 -> 10.0.0.3 tcp/6"
    whole = replace(PASSED, service=ServiceSet.protocol(TCP), onward=ServiceSet.protocol(TCP))
    assert whole.text() == "10.0.0.1 -> 10.0.0.2 tcp -> 10.0.0.3 tcp"
    six = replace(PLAIN, start=AddressSet.of("fd00::1"), front=AddressSet.of("fd00::2"))
    assert six.text() == "fd00::1 -> fd00::2 tcp/1"


def test_the_size_of_a_flow_counts_packets_at_its_last_stop() -> None:
    wide = replace(PLAIN, start=AddressSet.of("10.0.0.0/30"), front=AddressSet.of("10.0.1.0/31"), service=ServiceSet.ports(TCP, 1, 3))
    assert wide.size == 4 * 2 * 3
    passed = replace(wide, behind=AddressSet.of("10.0.2.0/29"), onward=ServiceSet.ports(TCP, 1, 5))
    assert passed.size == 4 * 5 * 8 * 2
    assert replace(passed, via=AddressSet.of("10.0.3.1")).size == 5 * 8 * 2
    assert (PLAIN.behind, PLAIN.onward, PLAIN.via) == (NOWHERE, NO_SERVICE, NOWHERE)


@pytest.mark.parametrize(("kind", "addresses"), [(Kind.LEAVES, PASSED.start), (Kind.ENTERS, PASSED.front), (Kind.PASSED_ON, PASSED.behind)])
def test_a_flow_meets_a_point_of_its_way_alone(kind: Kind, addresses: AddressSet) -> None:
    wide = AddressSet.of("10.0.0.0/24")
    flow = replace(PASSED, start=wide, front=wide, behind=wide)
    inside = flow.at(kind, addresses)
    assert inside is not None
    assert [inside.start == addresses, inside.front == addresses, inside.behind == addresses] == [
        kind is Kind.LEAVES,
        kind is Kind.ENTERS,
        kind is Kind.PASSED_ON,
    ]
    assert flow.at(kind, AddressSet.of("192.0.2.1")) is None
    assert kind.inbound is (kind is not Kind.LEAVES)


@pytest.mark.parametrize(("kind", "via"), [(Kind.LEAVES, ""), (Kind.ENTERS, ""), (Kind.PASSED_ON, ""), (Kind.PASSED_ON, "10.0.9.0/31")])
def test_what_a_point_lets_pass_of_a_flow_is_cut_where_the_point_sees_it(kind: Kind, via: str) -> None:
    wide = AddressSet.of("10.0.9.0/31")
    flow = replace(PASSED, start=wide, front=wide, via=AddressSet.of(via) if via else NOWHERE)
    seen_port = 2 if kind is Kind.PASSED_ON else 1
    half = PacketSet.of(AddressSet.of("10.0.9.0"), port(seen_port) | port(7))
    (kept,) = flow.passing(kind, half)
    assert kept.seen(kind) == PacketSet.of(AddressSet.of("10.0.9.0"), port(seen_port))
    cut = [kept.start != wide, kept.front != wide, bool(via) and kept.via != wide]
    assert cut == [kind is Kind.ENTERS or (kind is Kind.PASSED_ON and not via), kind is Kind.LEAVES, bool(via)]
    assert list(flow.passing(kind, PacketSet.of(ANYWHERE, port(seen_port)))) == [flow]
    assert list(flow.passing(kind, NO_PACKETS)) == []
    nothing = replace(flow, start=NOWHERE, front=NOWHERE, via=NOWHERE)
    assert list(nothing.passing(kind, half)) == []


def test_through_a_stop_goes_what_each_of_its_points_lets_pass() -> None:
    both = End("t", Kind.ENTERS, (P, Q), AddressSet.of("10.0.0.2", "10.0.0.4"), None, NO_PACKETS, NO_PACKETS)
    places = {P: Place(AddressSet.of("10.0.0.2")), Q: Place(AddressSet.of("10.0.0.4"))}
    flow = replace(PLAIN, front=both.addresses)
    everything = PacketSet.of(ANYWHERE, port(1))
    assert through([flow], both, places, {P: Access(everything), Q: Access(everything)}) == [flow]
    assert through([flow], both, places, {P: Access(everything)}) == [replace(flow, front=AddressSet.of("10.0.0.2"))]
    assert through([flow], both, places, {}) == []
    assert through([replace(flow, front=AddressSet.of("10.0.0.9"))], both, places, {P: Access(everything)}) == []
    assert [one.value for one in Kind] == ["leaves", "enters", "passed on"]

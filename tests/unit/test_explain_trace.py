"""`explain` at each place: what the tables do with what was asked, what the policy says of it, and what the next apply would change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest

from cloudsync.adapter import Access, Entry, Hop, Origin, Point, Whose
from cloudsync.compile.allowed import Direction
from cloudsync.compile.arms import origin_of
from cloudsync.compile.behind import Behind
from cloudsync.model.address import AddressSet
from cloudsync.model.mode import Egress, Mode, TargetMode
from cloudsync.model.packets import NO_PACKETS, Packet, PacketSet
from cloudsync.model.service import ServiceSet
from cloudsync.model.workload import DEFAULT_DOMAIN, Forward, Interface, PointId, Workload
from cloudsync.proof.ends import Party
from cloudsync.proof.trace import Ground, Onward, Passing, Question, Ruling, Stop, Through, Trace, passing_of, trace
from cloudsync.testing.memory import MemoryAdapter, MemoryPlatform
from cloudsync.testing.memory_table import MemoryTable
from tests.stories.estate import World, compiled, machine

POLICY = """version: 1
labels:
  role: [web, db, watched, picked, sends]
enforcement:
  default: full
  rules:
    - {scope: role=watched, mode: visibility}
    - {scope: role=picked, mode: selective, services: [tcp/1-100]}
    - {scope: role=sends, mode: full, egress: leave}
    - {scope: role=web, mode: full, egress: enforce}
rulesets:
  - name: shop
    scope: all
    owner: shop
    rules:
      - allow role=web to role=watched, role=sends on tcp/5432-5434
      - allow role=web to role=db on tcp/5432-5433
      - allow role=web, role=sends to role=db, role=watched, role=picked on tcp/5432
      - never allow internet to role=db on any service
      - never allow role=sends to role=picked on tcp/5433
"""
WEB, DB, WATCHED, PICKED, SENDS = (
    machine("mem", f"{role}-1", f"10.0.0.{number}", role=role) for number, role in enumerate(("web", "db", "watched", "picked", "sends"), 1)
)
ASKED = ServiceSet.ports(6, 5432, 5434)
ONE = ServiceSet.ports(6, 5432, 5432)


def at(workload: Workload) -> PointId:
    point = workload.interfaces[0].point
    assert point is not None
    return point


def of(peer: Workload, services: ServiceSet = ASKED) -> PacketSet:
    return PacketSet.of(peer.interfaces[0].addresses, services)


class Told(MemoryAdapter):
    """A platform of which everything is said."""

    def __init__(self, *, ordered: bool = False) -> None:
        super().__init__(MemoryPlatform())
        self.capabilities = replace(MemoryAdapter.capabilities, denies=ordered)
        self.access: dict[PointId, Access] = {}
        self.stated: list[Point] = []
        self.listing: list[Entry] = []
        self.way: tuple[Hop, ...] = ()
        self.walked: list[tuple[PointId, str, Packet]] = []

    def has(self, workload: Workload, access: Access, ours: tuple[str, ...] = (), foreign: tuple[str, ...] = (), skipped: str = "") -> None:
        """Put a point into the reading."""
        self.access[at(workload)] = access
        self.stated.append(Point(at(workload), "mem/one", "net", "p", AddressSet(), ours, foreign, skipped))

    def points(self, table: MemoryTable) -> tuple[Point, ...]:
        del table
        return tuple(self.stated)

    def decode(self, table: MemoryTable, whose: Whose = Whose.ALL, points: Iterable[PointId] | None = None) -> Mapping[PointId, Access]:
        del table, whose
        return {point: self.access[point] for point in points or () if point in self.access}

    def entries(self, table: MemoryTable, points: Iterable[PointId] | None = None) -> tuple[Entry, ...]:
        del table
        return tuple(entry for entry in self.listing if set(entry.points) & set(points or ()))

    def walk(self, table: MemoryTable, point: PointId, direction: str, packet: Packet) -> tuple[Hop, ...]:
        del table
        self.walked.append((point, direction, packet))
        return self.way


@pytest.fixture(scope="module")
def world() -> World:
    return compiled(POLICY, (WEB, DB, WATCHED, PICKED, SENDS))


def ground(adapter: Told, mode: TargetMode = TargetMode.EXCLUSIVE) -> dict[str, Ground]:
    return {"mem": Ground(mode, adapter, adapter.read())}


def called(workload: Workload) -> Party:
    return Party(workload.name, workload)


def asked(world: World, source: Party, destination: Party, grounds: Mapping[str, Ground], services: ServiceSet = ASKED) -> Trace:
    return trace(Question(source, destination, services), world.compiler, grounds)


def only(found: Trace, direction: Direction) -> Stop:
    (stop,) = found.side(direction)
    return stop


def into(world: World, destination: Workload, adapter: Told, mode: TargetMode = TargetMode.EXCLUSIVE, source: Workload = WEB) -> Stop:
    return only(asked(world, called(source), called(destination), ground(adapter, mode)), Direction.IN)


# --- what comes out --------------------------------------------------------------------------------------------------

ALL, SOME, NONE, FREE, UNREAD = Passing.ALL, Passing.SOME, Passing.NONE, Passing.FREE, Passing.UNREAD


def stopping(passing: Passing) -> Stop:
    ruling = Ruling(NO_PACKETS, NO_PACKETS, (), Mode.FULL, Egress.ENFORCE, held=True)
    return Stop(WEB, WEB.interfaces[0], Direction.IN, NO_PACKETS, NO_PACKETS, passing, ruling)


def test_answers_are_said_in_these_words() -> None:
    assert [one.value for one in Passing] == ["allowed", "partly allowed", "blocked", "not filtered", "unknown"]
    assert (stopping(ALL).why, stopping(ALL).ruling.unheld) == ("", "")
    assert Onward(None, AddressSet(), ONE, AddressSet(), FREE).why == ""


@pytest.mark.parametrize(
    ("places", "together"),
    [
        ((ALL,), ALL),
        ((FREE,), FREE),
        ((ALL, FREE), ALL),
        ((NONE, NONE), NONE),
        ((NONE, ALL), SOME),
        ((NONE, FREE), SOME),
        ((SOME, ALL), SOME),
        ((UNREAD, ALL), UNREAD),
        ((UNREAD, NONE), UNREAD),
    ],
)
def test_the_places_of_one_end_are_ways_beside_each_other(places: tuple[Passing, ...], together: Passing) -> None:
    assert passing_of(map(stopping, places)) is together


PASSES = {ALL: of(WEB), SOME: of(WEB, ONE), NONE: NO_PACKETS}


@pytest.mark.parametrize("out", [ALL, SOME, NONE, UNREAD])
@pytest.mark.parametrize("inner", [ALL, SOME, NONE, UNREAD])
def test_both_ends_have_to_let_it_through_and_a_sure_no_outweighs_the_unknown(world: World, out: Passing, inner: Passing) -> None:
    adapter = Told()
    if out is not UNREAD:
        adapter.has(WEB, Access(outbound={ALL: of(DB), SOME: of(DB, ONE), NONE: NO_PACKETS}[out]))
    if inner is not UNREAD:
        adapter.has(DB, Access(PASSES[inner]))
    found = asked(world, called(WEB), called(DB), ground(adapter))
    assert (only(found, Direction.OUT).passing, only(found, Direction.IN).passing) == (out, inner)
    worst = next((one for one in (NONE, UNREAD, SOME) if one in (out, inner)), ALL)
    assert (found.passing, found.nothing) == (worst, "")


def test_where_nobody_filters_it_is_free(world: World) -> None:
    found = asked(world, called(WEB), called(DB), {})
    assert found.passing is FREE
    nobody = Party("192.0.2.1", None, AddressSet.of("192.0.2.1"))
    assert asked(world, nobody, called(DB), {}).passing is FREE
    assert {stop.why for stop in found.stops} == {"known from the inventory files alone: no platform enforces anything there"}
    assert all(stop.passes == stop.asked for stop in found.stops)
    half = Told()
    half.has(DB, Access(of(WEB)))
    static = replace(WEB, target="", interfaces=(replace(WEB.interfaces[0], point=None),))
    found = asked(compiled(POLICY, (static, DB)), called(static), called(DB), ground(half))
    assert [stop.passing for stop in found.stops] == [FREE, ALL]
    assert found.passing is ALL


def test_ends_without_a_common_family_have_no_packet(world: World) -> None:
    six = Party("2001:db8::1", None, AddressSet.of("2001:db8::1"))
    found = asked(world, six, called(DB), {})
    assert (found.stops, found.passing) == ((), NONE)
    assert found.nothing == "there is no such packet: the two ends have no address family in common on which the service exists"
    assert asked(world, called(DB), six, {}).nothing
    assert not asked(world, Party("192.0.2.1", None, AddressSet.of("192.0.2.1")), called(DB), {}).nothing


# --- one place -------------------------------------------------------------------------------------------------------


def test_what_could_not_be_looked_at_says_why(world: World) -> None:
    def why(grounds: Mapping[str, Ground]) -> tuple[Passing, str, PacketSet]:
        stop = only(asked(world, called(WEB), called(DB), grounds), Direction.IN)
        return stop.passing, stop.why, stop.passes

    assert why({"mem": Ground(TargetMode.EXCLUSIVE, why="no credentials")}) == (UNREAD, "no credentials", NO_PACKETS)
    assert why({"mem": Ground(TargetMode.EXCLUSIVE)}) == (UNREAD, "its target was not read", NO_PACKETS)
    assert why({"mem": Ground(TargetMode.EXCLUSIVE, Told())}) == (UNREAD, "its target was not read", NO_PACKETS)
    assert why({"mem": Ground(TargetMode.EXCLUSIVE, None, Told().read())}) == (UNREAD, "its target was not read", NO_PACKETS)
    adapter = Told()
    adapter.access[at(DB)] = Access(of(WEB))
    assert why(ground(adapter)) == (UNREAD, "the platform did not show this interface in this reading", NO_PACKETS)
    adapter = Told()
    assert why(ground(adapter)) == (UNREAD, "the platform did not show this interface in this reading", NO_PACKETS)
    adapter.has(DB, Access(), skipped="managed by the cluster")
    adapter.access.clear()
    assert why(ground(adapter)) == (UNREAD, "managed by the cluster", NO_PACKETS)


def test_a_place_shows_what_passes_and_which_objects_stand_there(world: World) -> None:
    adapter = Told()
    adapter.has(WEB, Access(), ("g-9",))
    adapter.has(DB, Access(of(WEB, ONE) | of(SENDS)), ("g-1", "g-2"), ("g-3",), skipped="half of it is not ours to change")
    adapter.listing = [
        Entry("g-1", "cs-db", "5432", "inbound", of(WEB, ONE), True, (at(DB),)),
        Entry("g-3", "", "old", "inbound", of(SENDS), False, (at(DB),)),
    ]
    stop = into(world, DB, adapter)
    assert (stop.workload, stop.interface, stop.direction) == (DB, DB.interfaces[0], Direction.IN)
    assert (stop.asked, stop.passes, stop.passing) == (of(WEB), of(WEB, ONE), SOME)
    assert stop.objects == ("cs-db (g-1)", "g-2", "g-3")
    assert [rule.entry.native for rule in stop.rules] == ["5432"]
    assert stop.why == "half of it is not ours to change"


def test_one_packet_is_followed_where_tables_have_an_order_and_rather_one_that_is_cut(world: World) -> None:
    for access, port in ((Access(of(WEB, ONE)), 5433), (Access(of(WEB)), 5432), (Access(), 5432)):
        adapter = Told(ordered=True)
        adapter.has(DB, access)
        adapter.way = (Hop("nsg", "deny", "default"),)
        stop = into(world, DB, adapter)
        assert stop.hops == adapter.way
        ((point, direction, packet),) = adapter.walked
        assert (point, direction, packet, packet in of(WEB)) == (at(DB), "inbound", stop.sample, True)
        assert packet in of(WEB, ServiceSet.ports(6, port, port))
    union = Told()
    union.has(DB, Access())
    assert (into(world, DB, union).hops, union.walked) == ((), [])


def test_hops_of_ours_that_allow_are_traced_to_their_rules(world: World) -> None:
    adapter = Told(ordered=True)
    adapter.has(DB, Access(of(WEB)))
    bare = Hop("nsg", "allow", "100", ours=True)
    told = replace(bare, origins=(Origin("kept"),))
    adapter.way = (bare, told, replace(bare, ours=False), replace(bare, verdict="deny"), replace(bare, verdict="pass"))
    stop = into(world, DB, adapter)
    names = [tuple(origin.rule for origin in hop.origins) for hop in stop.hops]
    assert names == [("shop#2", "shop#3"), ("kept",), (), (), ()]
    adapter.has(WEB, Access(outbound=of(DB)))
    sending = only(asked(world, called(WEB), called(DB), ground(adapter)), Direction.OUT)
    assert [origin.rule for origin in sending.hops[0].origins] == ["shop#2", "shop#3"]


def test_rules_that_let_it_through_name_the_rules_of_the_policy_behind_ours(world: World) -> None:
    adapter = Told()
    adapter.has(DB, Access(of(WEB)))
    ours = Entry("g-1", "cs", "5433", "inbound", of(WEB, ServiceSet.ports(6, 5433, 5433)), True, (at(DB),))
    adapter.listing = [
        replace(ours, native="out", direction="outbound"),
        ours,
        replace(ours, native="5432", packets=of(WEB, ONE)),
        replace(ours, native="told", origins=(Origin("platform"),)),
        replace(ours, native="theirs", ours=False),
        replace(ours, native="cuts", denies=True),
        replace(ours, native="elsewhere", packets=of(SENDS)),
    ]
    stop = into(world, DB, adapter)
    assert [(rule.entry.native, [origin.rule for origin in rule.origins]) for rule in stop.rules] == [
        ("5433", ["shop#2"]),
        ("5432", ["shop#2", "shop#3"]),
        ("told", ["platform"]),
        ("theirs", []),
    ]
    assert [rule.plumbing for rule in stop.rules] == [False, False, True, False]
    assert not Through(replace(ours, ours=False), (Origin("platform"),)).plumbing
    assert Through(ours, (Origin("shop#2"), Origin("platform"))).plumbing


def test_what_descriptions_name_leads_to_the_rules_of_today_and_a_number_leads_nowhere(world: World) -> None:
    adapter = Told(ordered=True)
    adapter.has(DB, Access(inbound=of(WEB, ONE)))
    rules = {arm.rule.id: arm.rule for arm in world.compiler.arms}
    behind, second, third = Behind.of(rules.values()), origin_of(rules["shop#2"]), origin_of(rules["shop#3"])

    def named(name: str, verdict: str = "allow") -> list[tuple[Origin, ...]]:
        adapter.listing = [Entry("g", "g", "x", "inbound", of(WEB, ONE), ours=True, points=(at(DB),), origins=(Origin(name),))]
        adapter.way = (Hop("the table", verdict, "x", ours=True, origins=(Origin(name),)),)
        found = trace(Question(called(WEB), called(DB), ONE), world.compiler, ground(adapter), behind)
        (stop,) = (stop for stop in found.stops if stop.workload == DB)
        return [stop.rules[0].origins, stop.hops[0].origins]

    assert second.native.startswith("shop@")
    assert named(second.native) == [(second,), (second,)]
    assert named("shop#1") == [(second, third), (second, third)], "whatever number it had, these two let it through today"
    assert named("shop#1", "deny")[1] == (Origin("shop#1"),), "no rule of today cuts it"
    assert named("shop@0000000000") == [(Origin("shop@0000000000"),)] * 2
    assert named("kept") == [(Origin("kept"),)] * 2


def test_a_never_rule_stands_behind_nothing_that_is_open(world: World) -> None:
    stranger = AddressSet.of("8.8.8.8")
    adapter = Told()
    adapter.has(DB, Access(PacketSet.of(stranger, ASKED)))
    adapter.listing = [Entry("g-1", "cs", "old", "inbound", PacketSet.of(stranger, ASKED), True, (at(DB),))]
    stop = only(asked(world, Party("8.8.8.8", None, stranger), called(DB), ground(adapter)), Direction.IN)
    assert [rule.origins for rule in stop.rules] == [()]


def test_where_sending_is_left_alone_no_rule_of_the_policy_stands_behind_ours(world: World) -> None:
    adapter = Told()
    for sender in (SENDS, WEB):
        adapter.has(sender, Access(outbound=of(DB)))
        adapter.listing.append(Entry("g", "cs", "all", "outbound", of(DB, ONE), True, (at(sender),)))
    left = only(asked(world, called(SENDS), called(DB), ground(adapter)), Direction.OUT)
    enforced = only(asked(world, called(WEB), called(DB), ground(adapter)), Direction.OUT)
    assert left.rules[0].origins == ()
    assert [origin.rule for origin in enforced.rules[0].origins] == ["shop#2", "shop#3"]


# --- what the policy says --------------------------------------------------------------------------------------------


def test_the_policy_is_quoted_for_what_it_permits_forbids_and_does_not_mention(world: World) -> None:
    ruling = into(world, DB, Told()).ruling
    assert (ruling.permits, ruling.forbids) == (of(WEB, ServiceSet.ports(6, 5432, 5433)), NO_PACKETS)
    assert (ruling.mode, ruling.egress, ruling.held, ruling.unheld) == (Mode.FULL, Egress.LEAVE, True, "")
    assert [reason.partition(" '")[0] for reason in ruling.reasons] == ["allowed by shop#2", "no rule allows it"]
    internet = Party("internet", plain="internet")
    forbidden = only(asked(world, internet, called(DB), ground(Told())), Direction.IN)
    assert forbidden.ruling.forbids == forbidden.asked
    assert [reason.partition(" '")[0] for reason in forbidden.ruling.reasons] == ["forbidden by shop#4"]
    everybody = only(asked(world, Party("anywhere", plain="anywhere"), called(DB), ground(Told())), Direction.IN)
    assert [reason.partition(" '")[0] for reason in everybody.ruling.reasons] == [
        "allowed by shop#2",
        "forbidden by shop#4",
        "no rule allows it",
    ]
    two = Party("two", None, AddressSet.of("8.8.8.8", "10.99.0.1"))
    half = only(asked(world, two, called(DB), ground(Told())), Direction.IN)
    assert [reason.partition(" '")[0] for reason in half.ruling.reasons] == ["forbidden by shop#4", "no rule allows it"]


def test_what_is_not_enforced_says_why(world: World) -> None:
    adapter = Told()

    def unheld(destination: Workload, mode: TargetMode = TargetMode.EXCLUSIVE) -> str:
        stop = into(world, destination, adapter, mode)
        assert stop.ruling.held is not bool(stop.ruling.unheld)
        return stop.ruling.unheld

    assert unheld(DB) == unheld(PICKED) == unheld(DB, TargetMode.ADDITIVE) == ""
    assert unheld(WATCHED) == "mode visibility: not enforced here"
    assert unheld(DB, TargetMode.OBSERVE) == "target mode observe: nothing is written"
    sends = only(asked(world, called(SENDS), called(DB), ground(adapter)), Direction.OUT)
    assert sends.ruling.unheld == "egress: leave, so what it sends is not enforced"
    assert into(world, SENDS, adapter).ruling.unheld == "", "what it gets is enforced"
    assert only(asked(world, called(WEB), called(DB), ground(adapter)), Direction.OUT).ruling.unheld == "", "what it sends is, too"
    bare = replace(DB, interfaces=(replace(DB.interfaces[0], point=None),))
    unseen = only(asked(compiled(POLICY, (WEB, bare)), called(WEB), called(bare), ground(adapter)), Direction.IN)
    assert (unseen.ruling.unheld, unseen.passing) == ("no platform enforces here", FREE)
    assert only(asked(world, called(WEB), called(DB), {}), Direction.IN).ruling.unheld == "no platform enforces here"


def test_the_next_apply_opens_what_is_permitted_and_closes_the_rest(world: World) -> None:
    permitted = of(WEB, ServiceSet.ports(6, 5432, 5433))
    for access, opens, closes in (
        (Access(), permitted, NO_PACKETS),
        (Access(of(WEB)), NO_PACKETS, of(WEB) - permitted),
        (Access(of(WEB, ONE)), permitted - of(WEB, ONE), NO_PACKETS),
    ):
        adapter = Told()
        adapter.has(DB, access)
        stop = into(world, DB, adapter)
        assert (stop.opens, stop.closes) == (opens, closes)
        beside = into(world, DB, adapter, TargetMode.ADDITIVE)
        assert (beside.opens, beside.closes) == (opens, NO_PACKETS), "beside foreign rules nothing closes"
        watching = into(world, DB, adapter, TargetMode.OBSERVE)
        assert (watching.opens, watching.closes) == (NO_PACKETS, NO_PACKETS)


def test_what_the_platform_itself_needs_stays(world: World) -> None:
    adapter = Told()
    adapter.has(DB, Access(of(WEB)))
    probe = of(WEB, ServiceSet.ports(6, 5434, 5434))
    plumbing = Entry("g", "cs", "probe", "inbound", probe, True, (at(DB),), (Origin("platform"),))
    adapter.listing = [plumbing]
    assert into(world, DB, adapter).closes == NO_PACKETS
    adapter.listing = [replace(plumbing, origins=(Origin("kept"),))]
    assert into(world, DB, adapter).closes == probe


def test_a_selective_workload_keeps_what_is_open_but_for_the_chosen_services(world: World) -> None:
    services = ServiceSet.ports(6, 50, 50) | ASKED
    adapter = Told()
    adapter.has(PICKED, Access(of(WEB, services)))
    stop = only(asked(world, called(WEB), called(PICKED), ground(adapter), services), Direction.IN)
    assert (stop.opens, stop.closes) == (NO_PACKETS, of(WEB, ServiceSet.ports(6, 50, 50)))
    never = Told()
    never.has(PICKED, Access(of(SENDS)))
    stop = only(asked(world, called(SENDS), called(PICKED), ground(never)), Direction.IN)
    assert (stop.opens, stop.closes) == (NO_PACKETS, of(SENDS, ServiceSet.ports(6, 5433, 5433)))
    shut = Told()
    shut.has(PICKED, Access())
    stop = only(asked(world, called(WEB), called(PICKED), ground(shut), services), Direction.IN)
    assert (stop.opens, stop.closes) == (of(WEB, ONE), NO_PACKETS)


# --- load balancers --------------------------------------------------------------------------------------------------

FRONT, BACK = ServiceSet.ports(6, 443, 443), ServiceSet.ports(6, 8443, 8443)
SNAT = AddressSet.of("10.0.9.9")


def balanced(*forwards: Forward, source_only: bool = False) -> Workload:
    lb = machine("mem", "lb-1", "10.0.9.1", role="web")
    own = replace(lb.interfaces[0], forwards=forwards, source_only=source_only)
    snat = Interface("snat", "net-1", SNAT, DEFAULT_DOMAIN, source_only=True)
    plain = Interface("plain", "net-1", AddressSet.of("10.0.9.2"), DEFAULT_DOMAIN, PointId("mem/lb-1/plain"))
    return replace(lb, interfaces=(own, snat, plain) if source_only else (own, snat))


def onward(lb: Workload, services: ServiceSet = FRONT, adapter: Told | None = None) -> list[tuple[str, str, str, Passing, str]]:
    world = compiled(POLICY, (WEB, DB, PICKED, lb))
    found = asked(world, called(WEB), called(lb), ground(adapter or Told()), services)
    return [
        (one.member.name if one.member else "", one.addresses.text(), one.services.text(), one.passing, one.why) for one in found.onward
    ]


UNSEEN = "the platform did not show this interface in this reading"


def test_what_a_load_balancer_forwards_goes_on_to_each_member_and_to_those_nobody_knows() -> None:
    to = DB.interfaces[0].addresses | PICKED.interfaces[0].addresses | AddressSet.of("10.0.7.7")
    adapter = Told()
    adapter.has(PICKED, Access(PacketSet.of(SNAT, BACK)))
    assert onward(balanced(Forward(FRONT, to, BACK, SNAT)), adapter=adapter) == [
        ("db-1", "10.0.0.2", "tcp/8443", UNREAD, UNSEEN),
        ("picked-1", "10.0.0.4", "tcp/8443", ALL, ""),
        ("", "10.0.7.7", "tcp/8443", FREE, "in no inventory"),
    ]


def test_without_addresses_of_its_own_the_client_arrives_at_the_member() -> None:
    adapter = Told()
    adapter.has(DB, Access(PacketSet.of(WEB.interfaces[0].addresses, BACK)))
    forward = Forward(FRONT, DB.interfaces[0].addresses, BACK)
    assert onward(balanced(forward), adapter=adapter) == [("db-1", "10.0.0.2", "tcp/8443", ALL, "")]
    assert onward(balanced(replace(forward, sources=SNAT)), adapter=adapter) == [("db-1", "10.0.0.2", "tcp/8443", NONE, "")]


def test_ports_that_are_not_changed_go_on_as_they_were_asked() -> None:
    wide = ServiceSet.ports(6, 400, 500)
    assert [row[2] for row in onward(balanced(Forward(wide, DB.interfaces[0].addresses, wide)))] == ["tcp/443"]
    assert [row[2] for row in onward(balanced(Forward(wide, DB.interfaces[0].addresses, BACK)))] == ["tcp/8443"]
    assert onward(balanced(Forward(BACK, DB.interfaces[0].addresses, BACK))) == [], "another service is not forwarded"


def test_of_several_forwards_each_is_followed_whatever_the_others_are_for() -> None:
    to = DB.interfaces[0].addresses
    assert len(onward(balanced(Forward(BACK, to, BACK), Forward(FRONT, to, BACK), Forward(FRONT, to, FRONT)))) == 2


def test_a_member_that_never_meets_the_addresses_is_unknown() -> None:
    row = ("db-1", "10.0.0.2", "tcp/8443", UNREAD, "it never meets these addresses")
    assert onward(balanced(Forward(FRONT, DB.interfaces[0].addresses, BACK, AddressSet.of("fd00::9")))) == [row]


def test_a_member_says_of_the_places_that_made_the_answer_why() -> None:
    second = Interface("second", "net-1", AddressSet.of("10.0.0.22"), DEFAULT_DOMAIN, PointId("mem/db-1/second"))
    two = replace(DB, interfaces=(*DB.interfaces, second))
    lb = balanced(Forward(FRONT, AddressSet.of("10.0.0.2", "10.0.0.22"), BACK, SNAT))
    world = compiled(POLICY, (WEB, two, lb))
    adapter = Told()
    adapter.has(DB, Access(PacketSet.of(SNAT, BACK)), skipped="half of it is not ours to change")
    (one,) = asked(world, called(WEB), called(lb), ground(adapter), FRONT).onward
    assert (one.passing, one.why) == (UNREAD, UNSEEN)
    open_too = Told()
    open_too.has(DB, Access(PacketSet.of(SNAT, BACK)), skipped="half of it is not ours to change")
    open_too.access[PointId("mem/db-1/second")] = Access(PacketSet.of(SNAT, BACK))
    open_too.stated.append(replace(open_too.stated[0], id=PointId("mem/db-1/second"), skipped=""))
    (one,) = asked(world, called(WEB), called(lb), ground(open_too), FRONT).onward
    assert (one.passing, one.why) == (ALL, "half of it is not ours to change")
    adapter.access.clear()
    (one,) = asked(world, called(WEB), called(lb), ground(adapter), FRONT).onward
    assert (one.passing, one.why) == (UNREAD, f"half of it is not ours to change; {UNSEEN}")


def test_an_interface_that_only_opens_connections_forwards_nothing() -> None:
    assert onward(balanced(Forward(FRONT, DB.interfaces[0].addresses, BACK), source_only=True)) == []


def test_what_only_opens_connections_is_no_place_on_the_way_in(world: World) -> None:
    lb = balanced()
    found = asked(compiled(POLICY, (WEB, lb)), called(WEB), called(lb), {})
    assert [stop.interface.ref for stop in found.side(Direction.IN)] == ["nic-lb-1"]
    two = replace(DB, interfaces=(DB.interfaces[0], replace(DB.interfaces[0], ref="second", addresses=AddressSet.of("10.0.0.77"))))
    asked_for_one = Party("db-1", two, AddressSet.of("10.0.0.77"))
    found = asked(compiled(POLICY, (WEB, two)), called(WEB), asked_for_one, {})
    assert [stop.interface.ref for stop in found.side(Direction.IN)] == ["second"]
    assert asked(world, Party("n", None, AddressSet.of("192.0.2.1")), called(DB), {}).side(Direction.OUT) == ()

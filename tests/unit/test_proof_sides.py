"""Two versions of a policy, and two platforms, side by side: which packets only one of them lets through, for whom, by which rules."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloudsync.adapter import Access
from cloudsync.compile.allowed import Direction
from cloudsync.model.address import AddressSet
from cloudsync.model.mode import Mode
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.service import ANY_SERVICE, TCP, ServiceSet
from cloudsync.model.workload import PointId, Workload
from cloudsync.proof.sides import ALL, Held, Likeness, Shift, Stand, Unlike, likeness, shifts
from tests.stories.estate import World, compiled, machine

HEAD = """version: 1
labels: {role: [web, db, send]}
iplists: {office: [192.0.2.0/24]}
enforcement:
  default: MODE
  rules: [{scope: role=send, mode: MODE, egress: enforce}]
rulesets:
  - name: r
    scope: all
    owner: o
    rules:
"""
WEB, DB, SEND = (machine("a", f"{role}-1", f"10.0.0.{number}", role=role) for number, role in enumerate(("web", "db", "send"), 1))
SSH, SQL = (ServiceSet.ports(TCP, port, port) for port in (22, 5432))
OFFICE = AddressSet.of("192.0.2.0/24")
IN, OUT = Direction.IN, Direction.OUT


def version(*rules: str, mode: str = "full", workloads: tuple[Workload, ...] = (WEB, DB, SEND)) -> World:
    text = HEAD.replace("MODE", mode) + "".join(f"      - {rule}\n" for rule in rules)
    return compiled(text, workloads)


TO_DB, FROM_WEB, SENDS = (
    "allow iplist office to role=db on tcp/22",
    "allow role=web to role=db on tcp/5432",
    "allow role=send to iplist office on tcp/25",
)


def told(old: World, new: World) -> list[Shift]:
    return list(shifts(old.compiler, new.compiler))


# --- versions --------------------------------------------------------------------------------------------------------


def test_a_rule_more_opens_and_a_rule_less_closes_by_its_name() -> None:
    old, new = version(TO_DB), version(TO_DB, FROM_WEB)
    (one,) = told(old, new)
    web = PacketSet.of(WEB.interfaces[0].addresses, SQL)
    assert (one.direction, one.workloads, one.opens, one.closes) == (IN, ("db-1",), web, NO_PACKETS)
    assert (one.opens_words, one.closes_words) == (("tcp/5432 from role=web",), ())
    assert ([origin.rule for origin in one.opened_by], one.let_by) == (["r#2"], ())
    assert (one.before.mode, one.after.mode, one.begins, one.ends) == (Mode.FULL, Mode.FULL, False, False)
    (back,) = told(new, old)
    assert (back.opens, back.closes, back.opens_words, back.closes_words) == (NO_PACKETS, web, (), ("tcp/5432 from role=web",))
    assert (back.opened_by, [origin.rule for origin in back.let_by]) == ((), ["r#2"])
    assert told(old, old) == []


def test_what_is_sent_is_told_where_it_is_enforced() -> None:
    (one,) = told(version(TO_DB), version(TO_DB, SENDS))
    assert (one.direction, one.workloads, one.opens_words) == (OUT, ("send-1",), ("tcp/25 to 192.0.2.0/24",))
    assert [origin.rule for origin in one.opened_by] == ["r#2"]


def test_where_enforcement_begins_what_stays_open_is_told_and_where_it_ends_what_was_open() -> None:
    watched, full = version(TO_DB, mode="visibility"), version(TO_DB)
    begins = {(one.workloads[0], one.direction): one for one in told(watched, full)}
    db = begins["db-1", IN]
    assert (db.begins, db.ends, db.before.mode, db.after.mode) == (True, False, Mode.VISIBILITY, Mode.FULL)
    assert (db.opens, db.closes, db.opens_words) == (NO_PACKETS, ALL - PacketSet.of(OFFICE, SSH), ())
    assert db.closes_words == ("tcp/22 from 192.0.2.0/24",)
    assert set(begins) == {("db-1", IN), ("web-1", IN), ("send-1", IN), ("send-1", OUT)}
    ends = {(one.workloads[0], one.direction): one for one in told(full, watched)}
    back = ends["db-1", IN]
    assert (back.begins, back.ends, back.opens_words, back.closes_words) == (False, True, (), ("tcp/22 from 192.0.2.0/24",))
    assert back.let_by == ()


def test_from_idle_to_watched_nothing_begins_and_nothing_ends() -> None:
    """A mode that decides nothing gives way to another that decides nothing: said, but no word of coming under the policy."""
    for old, new in (("idle", "visibility"), ("visibility", "idle")):
        found = told(version(TO_DB, mode=old), version(TO_DB, mode=new))
        assert {one.direction for one in found} == {IN}
        assert {(one.begins, one.ends, one.opens, one.closes, one.closes_words) for one in found} == {
            (False, False, NO_PACKETS, NO_PACKETS, ())
        }
        assert {name for one in found for name in one.workloads} == {"web-1", "db-1", "send-1"}


def test_workloads_are_called_as_the_version_that_has_them_calls_them() -> None:
    """Two of one name are told apart only where both are there."""
    twin = machine("b", "db-1", "10.0.0.9", role="db")
    for workloads in ((WEB, DB), (WEB, DB, twin)):
        other = (WEB, DB, twin) if len(workloads) == 2 else (WEB, DB)
        found = told(version(TO_DB, workloads=workloads), version(TO_DB, FROM_WEB, workloads=other))
        new = {name for one in found for name in one.workloads if one.after.mode is not None}
        assert new == ({"db-1 [a]", "db-1 [b]"} if len(other) == 3 else {"db-1"})


def test_workloads_of_one_version_alone_are_said_to_be_new_or_gone() -> None:
    fewer, more = version(TO_DB, workloads=(WEB, SEND)), version(TO_DB)
    (new,) = told(fewer, more)
    assert (new.workloads, new.before, new.after.mode, new.begins) == (("db-1",), Stand(None, new.before.labels), Mode.FULL, True)
    (gone,) = told(more, fewer)
    assert (gone.workloads, gone.after.mode, gone.ends) == (("db-1",), None, True)
    assert gone.before.labels.text() == "role=db"


def test_changes_come_by_labels_direction_and_workloads_and_alike_ones_together() -> None:
    twins = tuple(replace(machine("a", f"db-{number}", f"10.0.1.{number}", role="db")) for number in (2, 3))
    everyone = (*twins, SEND, WEB, DB)
    rules = ("allow role=db to all workloads on tcp/7", SENDS)
    found = told(version(TO_DB, workloads=everyone), version(TO_DB, *rules, workloads=everyone))
    assert [(one.after.labels.text(), one.direction, one.workloads) for one in found] == [
        ("role=db", IN, ("db-1", "db-2", "db-3")),
        ("role=send", IN, ("send-1",)),
        ("role=send", OUT, ("send-1",)),
        ("role=web", IN, ("web-1",)),
    ]


def test_what_only_opens_connections_has_no_seat() -> None:
    snat = replace(WEB.interfaces[0], ref="snat", addresses=AddressSet.of("10.0.0.77"), source_only=True)
    lb = replace(WEB, interfaces=(*WEB.interfaces, snat))
    old, new = version(TO_DB, workloads=(lb, DB)), version(TO_DB, "allow iplist office to role=web on tcp/1", workloads=(lb, DB))
    (one,) = told(old, new)
    assert one.workloads == ("web-1",)
    (peer,) = told(old, version(TO_DB, FROM_WEB, workloads=(lb, DB)))
    assert peer.opens == PacketSet.of(AddressSet.of("10.0.0.1", "10.0.0.77"), SQL)


def test_a_selective_workload_cuts_only_what_its_services_close() -> None:
    text = HEAD.replace("default: MODE", "default: full").replace("mode: MODE, egress: enforce", "mode: selective, services: [tcp/1-100]")
    old = compiled(text + f"      - {TO_DB}\n", (WEB, DB, SEND))
    new = compiled(text + f"      - {TO_DB}\n      - allow iplist office to role=send on tcp/22, tcp/200\n", (WEB, DB, SEND))
    (one,) = told(old, new)
    assert (one.workloads, one.opens) == (("send-1",), PacketSet.of(OFFICE, SSH)), "tcp/200 was never cut"


# --- platforms -------------------------------------------------------------------------------------------------------

OTHER = {role: machine("b", f"{role}-b", f"10.1.0.{number}", role=role) for number, role in enumerate(("web", "db"), 1)}
TWO = version(TO_DB, workloads=(WEB, DB, SEND, *OTHER.values()))


def at(workload: Workload) -> PointId:
    point = workload.interfaces[0].point
    assert point is not None
    return point


def let(peers: AddressSet, services: ServiceSet, direction: Direction = IN) -> Access:
    packets = PacketSet.of(peers, services)
    return Access(packets) if direction is IN else Access(outbound=packets)


def compared(first: dict[Workload, Access], second: dict[Workload, Access], world: World = TWO) -> Likeness:
    sides = (Held(name, {at(one): access for one, access in held.items()}) for name, held in (("a", first), ("b", second)))
    return likeness(world.compiler.universe, world.owners, *sides)


def test_classes_that_both_have_are_compared_peer_by_peer() -> None:
    webs = WEB.interfaces[0].addresses | OTHER["web"].interfaces[0].addresses
    same = compared({DB: let(WEB.interfaces[0].addresses, SQL)}, {OTHER["db"]: let(OTHER["web"].interfaces[0].addresses, SQL)})
    assert same == Likeness(1, 1, ()), "addresses differ from place to place, peers do not"
    more = compared(
        {DB: let(webs, SQL | SSH), WEB: let(OFFICE, SSH)}, {OTHER["db"]: let(webs | OFFICE, SQL), OTHER["web"]: let(OFFICE, SSH)}
    )
    (one,) = more.unlike
    assert (more.shared, more.alike) == (2, 1)
    assert one == Unlike(IN, one.labels, (("db-1",), ("db-b",)), ("tcp/22 from role=web",), ("tcp/5432 from 192.0.2.0/24",))
    assert one.labels.text() == "role=db"
    assert compared({SEND: let(OFFICE, SSH)}, {OTHER["db"]: let(OFFICE, SSH)}) == Likeness(0, 0, ())


def test_what_is_sent_is_compared_too() -> None:
    (one,) = compared({DB: let(OFFICE, SSH, OUT)}, {OTHER["db"]: let(OFFICE, SQL, OUT)}).unlike
    assert (one.direction, one.first, one.second) == (OUT, ("tcp/22 to 192.0.2.0/24",), ("tcp/5432 to 192.0.2.0/24",))


@pytest.mark.parametrize("target", ["a", "b"])
def test_members_of_one_target_that_are_not_alike_are_told_apart(target: str) -> None:
    twin = machine(target, "zz-9", "10.3.0.9", role="db")
    world = version(TO_DB, workloads=(WEB, DB, SEND, twin, *OTHER.values()))
    sides: tuple[dict[Workload, Access], dict[Workload, Access]] = ({DB: let(OFFICE, SSH)}, {OTHER["db"]: let(OFFICE, SSH)})
    sides[target == "b"][twin] = let(OFFICE, SSH | SQL)
    (one,) = compared(*sides, world=world).unlike
    assert one.among == target
    assert {one.first, one.second} == {(), ("tcp/5432 from 192.0.2.0/24",)}
    assert sorted(name for side in one.workloads for name in side) == sorted(["db-1", "db-b", "zz-9"])


def test_a_point_of_nobody_or_of_another_target_is_not_compared() -> None:
    access = let(OFFICE, SSH)
    strange = machine("a", "x", "10.9.0.9", role="db")
    assert compared({strange: access, OTHER["db"]: access}, {OTHER["db"]: access}) == Likeness(0, 0, ())


def test_six_peers_are_named_and_the_rest_counted() -> None:
    spread = [machine("a", f"free-{number}", f"10.5.{number}.1") for number in range(8)]
    world = version(TO_DB, workloads=(DB, *OTHER.values(), *spread))
    peers = AddressSet.of(*(f"203.0.113.{2 * number}" for number in range(8)))
    (one,) = compared({DB: let(peers, SSH)}, {OTHER["db"]: let(AddressSet(), SSH)}, world=world).unlike
    assert one.second == ()
    (words,) = one.first
    assert words.startswith("tcp/22 from ")
    (everything,) = compared({DB: let(OFFICE, ANY_SERVICE)}, {OTHER["db"]: Access()}).unlike
    assert everything.first == ("any service from 192.0.2.0/24",)


def test_peers_of_the_same_services_are_told_together() -> None:
    both = WEB.interfaces[0].addresses | SEND.interfaces[0].addresses | OTHER["web"].interfaces[0].addresses
    (one,) = compared({DB: let(both | OFFICE, SSH)}, {OTHER["db"]: Access()}).unlike
    assert one.first == ("tcp/22 from role=web, role=send, 192.0.2.0/24",)

"""Shields on GCP in small scenes: one machine of a class, foreign allows above, old layouts, quotas, doubts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cloudsync.adapter import Access, Method
from cloudsync.model.address import ANYWHERE, AddressSet
from cloudsync.model.packets import ALL_PACKETS, NO_PACKETS, PacketSet
from cloudsync.model.service import ANY_SERVICE, ICMP, ServiceSet
from cloudsync_gcp.decode import decode
from cloudsync_gcp.explain import entries, walk
from cloudsync_gcp.shield import shield
from cloudsync_gcp.simulate import simulate_all
from cloudsync_gcp.steps import steps
from cloudsync_gcp.table import GcpTable, Layout, Room, Rule
from tests.unit.gcp_scene import HTTPS, NETWORK, SSH, Scene, ours, passes, raw, term

OFFICE = AddressSet.of("192.0.2.0/24")


def scene(**more: Any) -> Scene:
    """Two machines of one class, which the office may reach on 443."""
    found = Scene(**more)
    found.vm("web-1", "web", "10.0.0.1", tags=("web",), account="web@x.example", six="2001:db8::1")
    found.vm("web-2", "web", "10.0.0.2", tags=("web",), account="web@x.example")
    found.terms["web"] = [term("allow#1", OFFICE, HTTPS)]
    return found


def settled(found: Scene) -> GcpTable:
    encoding = found.encode()
    assert not encoding.problems
    return found.read_back(encoding)


def shields(table: GcpTable) -> list[Rule]:
    return [rule for rule in ours(table) if rule.temporary]


@pytest.mark.parametrize(
    "layout", [Layout(), Layout(target="tags", tag_template="{role}"), Layout(target="service-accounts")], ids=lambda one: str(one.target)
)
def test_one_of_two_in_a_class_is_shielded_whatever_the_other_rules_aim_at(layout: Layout) -> None:
    found = scene(layout=layout)
    table = settled(found)
    shielded = shield(table, {found.point("web-1"): Access(PacketSet.of(OFFICE, HTTPS))})
    assert not passes(shielded, found.point("web-1"), "192.0.2.1", 443)
    assert passes(shielded, found.point("web-2"), "192.0.2.1", 443)
    (rule,) = shields(shielded)
    assert (rule.priority, rule.deny, rule.egress) == (400, True, False)
    assert (rule.destinations, rule.target_tags, rule.target_accounts) == (("10.0.0.1/32",), (), ())
    assert "rules=temporary" in rule.description
    assert rule.name.startswith("cs-acme-")


def test_an_address_is_shielded_in_its_own_family_in_both_directions() -> None:
    found = scene()
    table = settled(found)
    shielded = shield(table, {found.point("web-1"): Access(NO_PACKETS, PacketSet.of(ANYWHERE, ANY_SERVICE))})
    assert sorted((rule.sources, rule.destinations, rule.protocols) for rule in shields(shielded)) == [
        (("10.0.0.1/32",), ("0.0.0.0/0",), (("all", ()),)),
        (("2001:db8::1/128",), ("::/0",), (("all", ()),)),
    ]
    assert not decode(shielded)[found.point("web-1")].outbound
    assert decode(shielded)[found.point("web-2")] == decode(table)[found.point("web-2")]


def test_a_single_icmp_type_stays_open_rather_than_all_of_icmp_shut() -> None:
    found = scene()
    table = settled(found)
    ping = PacketSet.of(OFFICE, ServiceSet.icmp(ICMP, 8))
    assert shield(table, {found.point("web-1"): Access(ping)}) == table
    both = shield(table, {found.point("web-1"): Access(ping | PacketSet.of(OFFICE, HTTPS))})
    assert [rule.protocols for rule in shields(both)] == [(("tcp", ((443, 443),)),)]


def test_a_foreign_allow_above_ours_voids_the_shield_and_decoding_shows_it() -> None:
    found = scene(rules=[raw("their-ssh", 300)])
    table = settled(found)
    point = found.point("web-1")
    shielded = shield(table, {point: Access(PacketSet.of(OFFICE, SSH | HTTPS))})
    assert passes(shielded, point, "192.0.2.1", 22)
    assert not passes(shielded, point, "192.0.2.1", 443)


def test_an_allow_of_ours_from_an_older_layout_does_not_stand_above() -> None:
    old = scene(layout=Layout(shield=10, never=20, allow=30, deny=40))
    table = replace(settled(old), layout=Layout())
    shielded = shield(table, {old.point("web-1"): Access(PacketSet.of(OFFICE, HTTPS))})
    assert not passes(shielded, old.point("web-1"), "192.0.2.1", 443)
    assert [rule.priority for rule in shields(shielded)] == [30], "at equal numbers deny beats allow"


def test_where_rules_are_not_all_understood_nothing_is_shielded() -> None:
    found = scene(rules=[raw("their-new-kind", 500, newField="x")])
    table = settled(found)
    assert shield(table, {found.point("web-1"): Access(ALL_PACKETS, ALL_PACKETS)}) == table
    half = replace(settled(scene()), incomplete={"acme-net/prod": "a page is missing"})
    assert shield(half, {found.point("web-1"): Access(ALL_PACKETS, ALL_PACKETS)}) == half


def test_where_the_quota_has_no_room_there_is_no_shield_at_all() -> None:
    found = scene()
    table = settled(found)
    cut = {found.point("web-1"): Access(ALL_PACKETS, ALL_PACKETS)}
    need = len(shield(table, cut).rules)
    assert shield(replace(table, room=Room(need + 3, elsewhere=2, reserve=1)), cut).rules != table.rules
    assert shield(replace(table, room=Room(need + 2, elsewhere=2, reserve=1)), cut).rules == table.rules


def test_steps_wait_for_room_or_for_a_name_that_is_not_free_yet() -> None:
    found = scene()
    table = settled(found)
    point = found.point("web-1")
    shielded = shield(table, {point: Access(PacketSet.of(OFFICE, HTTPS))})
    assert steps(replace(table, room=Room(len(table.rules))), shielded, Method.MERGE) == ()
    (rule,) = shields(shielded)
    edited = replace(rule, disabled=True)
    other = replace(table, rules={**table.rules, rule.name: edited})
    assert steps(other, shielded, Method.MERGE) == (), "the name is somebody's who edited the shield"
    assert [one.name for one in shields(shield(other, {point: Access(PacketSet.of(OFFICE, HTTPS))}))] == [rule.name, f"{rule.name}-r1"]


def test_people_are_told_that_it_is_temporary() -> None:
    found = scene()
    table = settled(found)
    point = found.point("web-1")
    shielded = shield(table, {point: Access(PacketSet.of(OFFICE, HTTPS))})
    (phase,) = steps(table, shielded, Method.MERGE)
    (step,) = phase.steps
    assert (phase.name, step.temporary) == ("shield", True)
    assert step.title.startswith("insert temporary firewall rule cs-acme-")
    assert simulate_all(table, phase.steps) == shielded
    assert [phase.name for phase in steps(shielded, table, Method.MERGE)] == ["unshield"]
    packet = PacketSet.of(OFFICE, HTTPS).witness()
    assert packet is not None
    (hop,) = walk(shielded, point, "inbound", packet)
    assert (hop.verdict, hop.ours, [one.rule for one in hop.origins]) == ("deny", True, ["temporary"])
    assert any(one.denies and "rules=temporary" in one.note for one in entries(shielded, [point]))
    assert NETWORK in shields(shielded)[0].network

"""Shields on Azure in small scenes: whose NSG, which number, what has no word, what stands above, one PUT for both."""

from __future__ import annotations

from dataclasses import replace

from cloudsync.adapter import Access, Method
from cloudsync.model.address import ANYWHERE, AddressSet
from cloudsync.model.mode import Mode
from cloudsync.model.packets import ALL_PACKETS, NO_PACKETS, PacketSet
from cloudsync.model.service import ANY_SERVICE, GRE, ICMP, ServiceSet
from cloudsync.model.workload import PointId
from cloudsync_azure.decode import decode, entries, points
from cloudsync_azure.encode import encode
from cloudsync_azure.limits import Quotas
from cloudsync_azure.shield import shield
from cloudsync_azure.simulate import simulate
from cloudsync_azure.steps import steps
from cloudsync_azure.table import AzureTable, Rule, Tier
from tests.unit.test_azure_encode import HTTPS, OFFICE, PLAIN, SSH, foreign, intent, ours, said, term, world

P0, P1 = PointId("p0"), PointId("p1")
CHILD = replace(PLAIN, child=True)


def settled(table: AzureTable) -> AzureTable:
    found = encode(intent(table, said((term("web#1", OFFICE),))), table, PLAIN).table
    assert isinstance(found, AzureTable)
    return found


def shields(table: AzureTable, nsg: str = "/nsg/net") -> list[Rule]:
    return [one for one in ours(table, nsg) if one.tier is Tier.SHIELD]


def cut(packets: PacketSet) -> dict[PointId, Access]:
    return {P0: Access(packets)}


def test_one_of_two_behind_an_nsg_is_shielded() -> None:
    table = settled(world())
    shielded = shield(table, cut(PacketSet.of(OFFICE, HTTPS)), PLAIN)
    assert not decode(shielded)[P0].inbound & PacketSet.of(OFFICE, HTTPS)
    assert decode(shielded)[P1] == decode(table)[P1]
    (rule,) = shields(shielded)
    assert (rule.destination.addresses, rule.deny, rule.description) == (AddressSet.of("10.1.0.4"), True, "cloudsync/acme: temporary")
    assert 1000 <= rule.priority < 1100, "in the numbers before our first tier"
    assert rule.name.startswith(f"cs-acme-s-{rule.priority}-")


def test_what_has_no_word_stays_open() -> None:
    table = settled(world())
    ping, tunnel = ServiceSet.icmp(ICMP, 8), ServiceSet.protocol(GRE)
    assert shield(table, cut(PacketSet.of(OFFICE, ping)), PLAIN) == table
    assert shield(table, cut(PacketSet.of(OFFICE, tunnel)), PLAIN) == table
    some = shield(table, cut(PacketSet.of(OFFICE, ping | tunnel | HTTPS)), PLAIN)
    assert [(one.protocol.value, one.ports) for one in shields(some)] == [("Tcp", (443, 444))]
    whole = shield(table, cut(PacketSet.of(OFFICE, ANY_SERVICE)), PLAIN)
    assert [one.protocol.value for one in shields(whole)] == ["*"], "everything has a word"


def test_outbound_and_ipv6_have_rules_of_their_own() -> None:
    table = world()
    nic = replace(table.nics[P0], private=AddressSet.of("10.1.0.4", "fd00::4"))
    table = replace(table, nics={**table.nics, P0: nic})
    shielded = shield(table, {P0: Access(NO_PACKETS, ALL_PACKETS)}, PLAIN)
    assert sorted((one.egress, one.source.addresses.text(), one.destination.addresses == ANYWHERE) for one in shields(shielded)) == [
        (True, "10.1.0.4", True),
        (True, "fd00::4", False),
    ]
    assert not decode(shielded)[P0].outbound


def test_the_nsg_where_no_foreign_allow_stands_above_is_taken() -> None:
    """Before each interface stand two NSGs; somebody lets ssh in above our band at one of them."""
    above = foreign("their-ssh", 200)
    packets = PacketSet.of(OFFICE, SSH)
    at_nic = shield(world(second=()), cut(packets), PLAIN)
    assert (len(shields(at_nic)), len(shields(at_nic, "/nsg/nic"))) == (0, 1), "the interface's own NSG first"
    at_subnet = shield(world(second=(above,)), cut(packets), PLAIN)
    assert (len(shields(at_subnet)), len(shields(at_subnet, "/nsg/nic"))) == (1, 0)
    nowhere = world(above, second=(above,))
    assert shield(nowhere, cut(packets), PLAIN) == nowhere
    unmanaged = shield(world(second=(), managed=False), cut(packets), PLAIN)
    assert (len(shields(unmanaged)), len(shields(unmanaged, "/nsg/nic"))) == (1, 0)


def test_a_service_tag_that_nobody_can_resolve_above_ours_forbids_a_shield() -> None:
    table = world(foreign("their-tag", 200, sourceAddressPrefix="Storage"))
    assert shield(table, cut(ALL_PACKETS), PLAIN) == table


def test_a_shield_finds_its_old_number_before_and_after_a_change() -> None:
    """Rule by rule shields stay where they are while everything else changes beneath them."""
    table = settled(world())
    after = encode(intent(table, said((term("web#1", OFFICE, SSH), term("web#2", OFFICE)))), table, CHILD).table
    packets = cut(PacketSet.of(OFFICE, SSH | HTTPS) | PacketSet.of(AddressSet.of("198.51.100.0/24"), ANY_SERVICE))
    before, over = shield(table, packets, CHILD), shield(after, packets, CHILD)
    assert shields(before) == shields(over)
    assert shields(before)
    phases = steps(before, over, Method.MERGE, CHILD)
    assert simulate(before, [step for phase in phases for step in phase.steps]) == over
    assert not any(step.temporary for phase in phases for step in phase.steps)


def test_one_put_brings_the_new_rules_and_the_shield_and_counts_what_lasts() -> None:
    table = world()
    wish = encode(intent(table, said((term("web#1", OFFICE),))), table, PLAIN).table
    over = shield(wish, cut(PacketSet.of(OFFICE, HTTPS)), PLAIN)
    (phase,) = steps(table, over, Method.SWAP, PLAIN)
    (step,) = phase.steps
    assert simulate(table, phase.steps) == over
    assert (step.temporary, step.adds, step.removes) == (False, len(ours(wish)), 0)
    assert step.title == f"replace the rules of net: {len(ours(wish))} rules of ours come, 0 go, 1 come for a while"
    (down,) = steps(over, wish, Method.SWAP, PLAIN)
    assert (down.name, down.steps[0].temporary, down.steps[0].removes) == ("unshield", True, 1)
    assert down.steps[0].title == "take down 1 temporary rule in net"


def test_rule_by_rule_people_are_told_that_it_is_temporary() -> None:
    table = settled(world())
    over = shield(table, cut(PacketSet.of(OFFICE, HTTPS)), CHILD)
    (up,), (down,) = steps(table, over, Method.MERGE, CHILD), steps(over, table, Method.MERGE, CHILD)
    assert (up.name, down.name) == ("shield-1", "unshield-1")
    assert up.steps[0].title.startswith("add temporary rule cs-acme-s-")
    assert down.steps[0].title.startswith("remove temporary rule cs-acme-s-")
    assert any(one.denies and [origin.rule for origin in one.origins] == ["temporary"] for one in entries(over, [P0]))


def test_no_room_no_shield() -> None:
    table = settled(world())
    count = len(table.nsgs["/nsg/net"].rules)
    tight = replace(PLAIN, quotas=Quotas(rules_per_nsg=count))
    assert shield(table, cut(PacketSet.of(OFFICE, HTTPS)), tight) == table
    full = replace(PLAIN, band=(1100, 4096))
    first = encode(intent(world(), said((term("web#1", OFFICE),))), world(), replace(PLAIN, band=(1100, 1103))).table
    assert min(one.priority for one in ours(first)) == 1100
    assert not shields(shield(first, cut(PacketSet.of(OFFICE, HTTPS)), full)), "our rules begin with the band: no number above them"


def test_a_shield_that_was_left_behind_does_not_count_as_something_to_give_back() -> None:
    """What was given back and then deleted by its people stays deleted."""
    theirs = foreign("theirs", 300, destinationAddressPrefix="10.1.0.4")
    there = world(theirs)
    record = {str(P0): next(one.keepsake for one in points(there) if one.id == P0)}
    assert record[str(P0)]
    bare = shield(world(), cut(PacketSet.of(OFFICE, HTTPS)), PLAIN)
    wish = intent(bare, said((term("web#1", OFFICE),)), modes={str(P0): Mode.IDLE}, original=record)
    after = encode(wish, bare, PLAIN).table
    assert not shields(after)
    assert not [one for one in after.nsgs["/nsg/net"].rules if not one.ours or one.tier is Tier.KEPT]

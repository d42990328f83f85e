"""Where virtual servers forward to: members that may get a connection, on which port, from which addresses; and what is not known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cloudsync.adapter import Discovery
from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet
from cloudsync.model.service import ANY_SERVICE, TCP, UDP, ServiceSet
from cloudsync.model.workload import Forward
from cloudsync_f5 import parse, pools, words
from cloudsync_f5.dump import digest
from cloudsync_f5.parse import ParseError
from cloudsync_f5.points import workloads
from cloudsync_f5.pools import Behind, Member, Pool, forwards, onward
from cloudsync_f5.table import AUTOMAP, Onward, Virtual
from tests.unit.test_f5_encode import HTTPS, table, virtual

SELVES = tuple(map(words.span, ("10.60.0.1", "10.60.0.2", "2001:db8:60::1", "10.61.0.1%1")))
OWN = AddressSet.of("10.60.0.1/32", "10.60.0.2/32")


def member(name: str = "10.40.0.11:443", **more: Any) -> dict[str, Any]:
    """Return a member as a device shows it."""
    head = name.rpartition("." if name.count(":") > 1 else ":")[0]
    return {"name": name, "partition": "Common", "address": head, "session": "monitor-enabled", "state": "up", **more}


def shown(*members: dict[str, Any], **more: Any) -> Pool:
    return pools.pool({"name": "p", "partition": "Common", "membersReference": {"items": list(members)}, **more})


def behind(*members: dict[str, Any], **more: Any) -> Behind:
    return Behind(SELVES, {"/Common/snat": (words.span("10.60.1.201"),)}, {"/Common/p": shown(*members, **more)})


def front(snat: str = AUTOMAP, **more: Any) -> Virtual:
    return replace(virtual("a"), snat=snat, pool=Onward("/Common/p", **more))


def to(*cidrs: str, services: ServiceSet = HTTPS, sources: AddressSet = OWN) -> Forward:
    return Forward(HTTPS, AddressSet.of(*cidrs), services, sources)


# --- who may get a connection ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "session", "gets"), [
    ("up", "monitor-enabled", True),
    ("down", "monitor-enabled", True),
    ("unchecked", "user-enabled", True),
    ("fqdn-up", "monitor-enabled", True),
    ("up", "user-disabled", False),
    ("user-down", "user-disabled", False),
    ("user-down", "user-enabled", False),
])  # fmt: skip
def test_who_may_get_a_connection_is_counted_whatever_monitors_say(state: str, session: str, *, gets: bool) -> None:
    found = forwards(front(), behind(member(), member("10.40.0.12:443", state=state, session=session)))
    assert found == (to("10.40.0.11/32", *(("10.40.0.12/32",) if gets else ())),)


def test_a_disabled_member_still_gets_clients_that_come_back_and_one_that_is_forced_offline_gets_nobody() -> None:
    resting, closed = (
        member("10.40.0.12:443", session="user-disabled"),
        member("10.40.0.13:443", session="user-disabled", state="user-down"),
    )
    assert forwards(front(persists=True), behind(member(), resting, closed)) == (to("10.40.0.11/32", "10.40.0.12/32"),)


def test_a_member_by_name_counts_by_what_it_resolves_to() -> None:
    template = member("www.example.com:443", address="any6", fqdn={"tmName": "www.example.com", "autopopulate": "enabled"})
    nameless = {key: value for key, value in template.items() if key != "address"}
    resolved = member("_auto_10.40.0.11:443", address="10.40.0.11", ephemeral="true", session="monitor-enabled", state="fqdn-up")
    assert forwards(front(), behind(template, nameless, resolved)) == (to("10.40.0.11/32"),)


def test_members_in_other_route_domains_are_not_followed() -> None:
    """Their addresses mean something else there."""
    assert forwards(front(), behind(member("10.40.0.11%1:443"))) == ()
    inside = replace(front(), domain=1)
    assert forwards(inside, behind(member("10.40.0.11%1:443"))) == (to("10.40.0.11/32", sources=AddressSet.of("10.61.0.1/32")),)


# --- on which port -----------------------------------------------------------------------------------------------------


def test_each_port_of_members_is_a_way_of_its_own() -> None:
    found = forwards(front(), behind(member(), member("10.40.0.12:8443"), member("node-3.example:8443", address="10.40.0.13")))
    other = ServiceSet.ports(TCP, 8443, 8443)
    assert found == (to("10.40.0.11/32"), to("10.40.0.12/32", "10.40.0.13/32", services=other))


@pytest.mark.parametrize(("name", "translates"), [("10.40.0.11:0", True), ("10.40.0.11:any", True), ("10.40.0.11:8443", False)])
def test_a_member_on_every_port_or_without_translation_gets_the_port_that_was_asked_for(name: str, *, translates: bool) -> None:
    assert forwards(front(translates=translates), behind(member(name))) == (to("10.40.0.11/32"),)


def test_only_ports_are_translated() -> None:
    other = ServiceSet.ports(TCP, 8443, 8443)
    assert onward(ServiceSet.protocol(TCP), 8443) == other
    assert onward(ServiceSet.protocol(89), 8443) == ServiceSet.protocol(89)
    every = onward(ANY_SERVICE, 8443)
    assert every & ServiceSet.protocol(TCP) == other
    assert every & ServiceSet.protocol(UDP) == ServiceSet.ports(UDP, 8443, 8443)
    assert ServiceSet.protocol(89) <= every


# --- from where --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("snat", "sources"), [(AUTOMAP, OWN), ("/Common/snat", AddressSet.of("10.60.1.201/32")), ("", NOWHERE)])
def test_it_comes_from_snat_addresses_or_from_the_client(snat: str, sources: AddressSet) -> None:
    assert forwards(front(snat), behind(member())) == (to("10.40.0.11/32", sources=sources),)


def test_a_pool_may_forbid_translation() -> None:
    assert forwards(front(), behind(member(), allowSnat="no")) == (to("10.40.0.11/32", sources=NOWHERE),)


def test_each_family_comes_from_addresses_of_its_own() -> None:
    found = forwards(front(), behind(member(), member("2001:db8:40::11.443")))
    assert found == (to("10.40.0.11/32"), to("2001:db8:40::11/128", sources=AddressSet.of("2001:db8:60::1/128")))


def test_without_an_address_to_go_on_from_nothing_is_claimed() -> None:
    """An empty set of sources would say that the client keeps its address."""
    assert forwards(front("/Common/gone"), behind(member())) == ()
    assert forwards(front("/Common/snat"), behind(member("2001:db8:40::11.443"))) == ()


# --- nowhere, or unknown ------------------------------------------------------------------------------------------------


def test_nothing_goes_on_without_a_pool_or_an_address() -> None:
    assert forwards(virtual("a"), behind(member())) == ()
    assert forwards(replace(front(), addresses=NOWHERE), behind(member())) == ()
    assert forwards(front(), Behind(SELVES)) == (), "its pool is gone"
    assert forwards(front(), behind()) == ()


@pytest.mark.parametrize(
    ("snat", "sources"), [(AUTOMAP, OWN | AddressSet.of("2001:db8:60::1/128")), ("/Common/gone", ANYWHERE), ("", NOWHERE)]
)
def test_where_pools_could_not_be_read_it_may_be_anybody(snat: str, sources: AddressSet) -> None:
    """Whoever orders targets by it then takes every way through the virtual server into account."""
    unread = Behind(SELVES, unread=True)
    assert forwards(front(snat), unread) == (Forward(HTTPS, ANYWHERE, ANY_SERVICE, sources),)
    assert forwards(virtual("a"), unread) == (), "it has no pool"


@pytest.mark.parametrize("raw", [
    {"name": "p"},
    {"name": "p", "membersReference": "https://localhost/members"},
    {"name": "p", "membersReference": {"items": [{"name": "10.40.0.11:443", "address": "elsewhere"}]}},
    {"name": "p", "membersReference": {"items": [{"name": "10.40.0.11:no-such-port", "address": "10.40.0.11"}]}},
])  # fmt: skip
def test_a_pool_in_an_unknown_shape_is_no_guess(raw: dict[str, Any]) -> None:
    with pytest.raises(ParseError):
        pools.pool(raw)


def test_an_empty_pool_is_read_with_and_without_items() -> None:
    """As devices show it: some leave the key out."""
    references: tuple[dict[str, Any], ...] = ({"isSubcollection": True}, {"items": []})
    for reference in references:
        assert pools.pool({"name": "p", "membersReference": reference}) == Pool("/Common/p")
    member_of = pools.pool({"name": "p", "membersReference": {"items": [member("10.60.61.215%6:443")]}})
    assert member_of.members == (Member(words.span("10.60.61.215%6"), 443),)


def test_a_virtual_server_says_how_it_forwards() -> None:
    raw = {"name": "a", "destination": "/Common/192.0.2.1:443", "ipProtocol": "tcp"}
    assert parse.virtual(raw, "dg").pool == Onward()
    assert parse.virtual({**raw, "pool": "none"}, "dg").pool == Onward()
    told = {**raw, "pool": "/Common/p", "translatePort": "disabled", "persist": [{"name": "source_addr"}]}
    assert parse.virtual(told, "dg").pool == Onward("/Common/p", translates=False, persists=True)


def test_whoever_joins_or_leaves_a_pool_moves_no_plan_of_the_device() -> None:
    """What gets in at a virtual server does not depend on who is behind it."""
    digests = set()
    for found in (behind(member()), behind(member(), member("10.40.0.12:443")), Behind(SELVES, {}, {})):
        now = table(front("/Common/none"))
        digests.add(digest(now, Discovery("f5", workloads(now, found), ())))
    assert len(digests) == 1
    assert table(front()) == table(virtual("a", snat=AUTOMAP))

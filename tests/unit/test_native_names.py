"""What stands under numbers of earlier releases: kept where it says what is wanted, with its chunks and its lists; else written anew."""

from __future__ import annotations

from dataclasses import replace

from cloudsync.adapter import AddressPeer, Effect, Encoding, Method, Origin, Term
from cloudsync.model.address import AddressSet
from cloudsync.model.finding import Where
from cloudsync.model.service import TCP, ServiceSet
from cloudsync_aws.content import description as aws_description
from cloudsync_aws.table import PeerKind, RuleKey
from cloudsync_azure.encode import description as azure_description
from cloudsync_azure.encode import encode as azure_encode
from cloudsync_azure.steps import steps as azure_steps
from cloudsync_azure.table import AzureTable
from cloudsync_f5.encode import encode as f5_encode
from cloudsync_f5.steps import steps as f5_steps
from cloudsync_f5.table import F5Table
from tests.unit import test_azure_encode as az
from tests.unit import test_f5_encode as f5
from tests.unit.gcp_scene import HTTPS, SSH, Scene, ours

KEY = RuleKey(False, 6, 443, 443, PeerKind.CIDR4.value, "192.0.2.0/24")
MADE = {1: "5c1f0a93be", 2: "0123456789", 3: "fedcba9876", 4: "00aa11bb22"}
FEW, MANY = ("192.0.2.0/24",), tuple(f"203.0.{number}.0/32" for number in range(12))


def origin(number: int, *, of_old: bool = False, given: str = "", at: int = 0) -> Origin:
    """Return rule `number` of the policy, which stands at `at`: as it is written now, or as earlier releases did."""
    where = Where("p.yaml", number)
    if given:
        return Origin(f"web/{given}", where, f"web/{given}")
    place = at or number
    return Origin(f"web#{place}", where, "" if of_old else f"web@{MADE[number]}")


def term(number: int, peers: tuple[str, ...], services: ServiceSet = HTTPS, *, of_old: bool = False, at: int = 0) -> Term:
    """Return what one rule lets in."""
    return Term(AddressPeer(AddressSet.of(*peers)), services, (origin(number, of_old=of_old, at=at),))


# --- descriptions --------------------------------------------------------------------------------------------------------


def test_an_entry_of_ec2_keeps_numbers_of_the_same_ruleset_and_nothing_else() -> None:
    now = (origin(1), origin(2))
    assert aws_description(KEY, now) == "web@5c1f0a93be, web@0123456789"
    assert aws_description(KEY, now, "web#1, web#2") == "web#1, web#2"
    assert aws_description(KEY, now, "db#1, web#2") == "web@5c1f0a93be, web@0123456789"
    assert aws_description(KEY, (*now, origin(3, given="front")), "web#1, web#2") == "web@5c1f0a93be, web@0123456789, web/front"
    many = ", ".join(f"web#{number}" for number in range(1, 60))
    cut = many[:252] + "..."
    assert aws_description(KEY, [origin(1) for _ in range(60)], cut) == cut


def test_a_rule_of_azure_keeps_numbers_behind_our_mark_only() -> None:
    now = (origin(1), origin(2))
    assert azure_description("acme", now) == "cloudsync/acme: web@5c1f0a93be, web@0123456789"
    assert azure_description("acme", now, "cloudsync/acme: web#1, web#2") == "cloudsync/acme: web#1, web#2"
    assert azure_description("acme", now, "cloudsync/other: web#1, web#2") == "cloudsync/acme: web@5c1f0a93be, web@0123456789"


def azure(now: AzureTable, *origins: Origin, port: int = 443) -> Encoding:
    """Return what one rule for each of these is, all of them about other peers."""
    peers = (AddressSet.of(f"192.0.2.{number}") for number in range(1, 9))
    services = ServiceSet.ports(TCP, port, port)
    terms = tuple(Term(AddressPeer(one), services, (origin,)) for one, origin in zip(peers, origins, strict=False))
    return azure_encode(az.intent(now, az.said(terms)), now, az.PLAIN)


def test_a_group_of_azure_that_is_written_anyway_gets_the_words_of_today() -> None:
    there = azure(az.world(), origin(1, of_old=True), origin(2, of_old=True)).table
    assert azure(there, origin(2, at=1), origin(1, at=2)).table == there
    more = azure(there, origin(1), origin(2), origin(3)).table
    assert [one.description.partition(": ")[2] for one in az.ours(more)][:3] == [f"web@{MADE[number]}" for number in (1, 2, 3)]
    (phase,) = azure_steps(there, more, Method.SWAP, az.PLAIN)
    (step,) = phase.steps
    assert (step.adds, step.removes) == (1, 0), "other words are no other rule"


def test_other_words_alone_are_no_rules_that_come_or_go() -> None:
    there = azure(az.world(), origin(1), origin(2)).table
    (phase,) = azure_steps(there, azure(there, origin(1, given="front"), origin(2)).table, Method.SWAP, az.PLAIN)
    (step,) = phase.steps
    assert (step.adds, step.removes, step.effect, step.temporary) == (0, 0, Effect.NONE, False)
    assert step.title == "describe 1 rule of net anew"
    assert step.points == ()


# --- GCP -----------------------------------------------------------------------------------------------------------------


def gcp(*terms: Term) -> Scene:
    """Return two machines that these terms are about."""
    scene = Scene(terms={"web": list(terms)})
    scene.vm("one", "web", "10.0.0.5")
    scene.vm("two", "web", "10.0.0.6")
    return scene


def test_rules_of_gcp_keep_their_names_when_their_numbers_become_names() -> None:
    scene = gcp(term(1, FEW, of_old=True), term(2, MANY, SSH, of_old=True), term(3, FEW, ServiceSet.ports(TCP, 80, 80), of_old=True))
    there = scene.read_back(scene.encode())
    assert {rule.mark.rules for rule in ours(there) if rule.mark} == {("web#1", "web#3"), ("web#2",), ("default-deny",)}
    later = gcp(term(3, FEW, ServiceSet.ports(TCP, 80, 80), at=1), term(1, FEW, at=2), term(2, MANY, SSH, at=3))
    encoding = later.encode(there)
    assert encoding.table == there
    assert {one.where for rule in ours(encoding.table) for one in rule.origins if one.where} == {Where("p.yaml", at) for at in (1, 2, 3)}


def test_a_chunk_of_gcp_that_changes_is_written_with_names_and_leaves_the_others_theirs() -> None:
    wide = tuple(f"198.18.{number}.0/32" for number in range(0, 250, 2))
    scene = gcp(term(1, wide, of_old=True))
    scene.layout = replace(scene.layout, addresses_most=50)
    there = scene.read_back(scene.encode())
    assert len(ours(there)) == 4
    later = gcp(term(1, wide[:-1]))
    later.layout = scene.layout
    desired = later.encode(there).table
    gone, came = ({one.name for one in ours(some)} for some in (there, desired))
    assert (len(gone - came), len(came - gone)) == (1, 1)
    again = later.read_back(later.encode(there))
    assert later.encode(again).table == again
    third = gcp(term(1, wide))
    third.layout = scene.layout
    kept = {one.name for one in ours(third.encode(again).table)} & {one.name for one in ours(again)}
    assert len(kept) == 3, "two chunks of old and the default deny"


# --- F5 ------------------------------------------------------------------------------------------------------------------


def device(*terms: Term, now: F5Table | None = None) -> F5Table:
    """Return a device that says these terms."""
    there = f5.table(f5.virtual()) if now is None else now
    return f5.reached(there, f5_encode(f5.intent(there, f5.allow(*terms)), there))


def test_a_policy_of_f5_with_its_lists_stays_under_numbers_whatever_their_order() -> None:
    other = tuple(f"198.18.{number}.0/32" for number in range(9))
    there = device(term(1, FEW, of_old=True), term(2, MANY, SSH, of_old=True), term(3, other, of_old=True))
    for places in ((1, 2, 3), (3, 1, 2), (2, 3, 1)):
        first, second, third = places
        wanted = f5.allow(term(1, FEW, at=first), term(2, MANY, SSH, at=second), term(3, other, at=third))
        encoding = f5_encode(f5.intent(there, wanted), there)
        assert f5_steps(there, encoding.table, Method.SWAP) == ()
        origins = [one for rule in f5.only(encoding).rules for one in rule.origins]
        assert {one.native for one in origins} == {f"web@{MADE[number]}" for number in (1, 2, 3)}


def test_what_changes_on_f5_is_a_new_policy_in_new_words() -> None:
    there = device(term(1, FEW, of_old=True), term(2, MANY, SSH, of_old=True))
    after = device(term(1, FEW), now=there)
    (policy,) = [one for one in after.policies.values() if one.mark is not None]
    assert [one.description for one in policy.rules] == ["web@5c1f0a93be", "cloudsync: nothing else is let in"]
    assert not [one for one in after.lists.values() if one.mark is not None]
    again = f5_encode(f5.intent(after, f5.allow(term(1, FEW, at=7))), after)
    assert f5_steps(after, again.table, Method.SWAP) == ()


def test_a_list_of_f5_with_other_members_is_not_taken_for_one_under_a_number() -> None:
    there = device(term(1, MANY, of_old=True))
    after = device(term(1, MANY[:-1]), now=there)
    (before,), (now,) = ([one for one in some.lists.values() if one.mark is not None] for some in (there, after))
    assert before.path != now.path
    assert now.mark is not None
    assert f5_steps(after, f5_encode(f5.intent(after, f5.allow(term(1, MANY[:-1], at=2))), after).table, Method.SWAP) == ()


def test_a_rule_that_is_said_otherwise_takes_over_the_list_with_its_members() -> None:
    there = device(term(1, MANY))
    after = device(term(2, MANY), now=there)
    assert [path for path, one in after.lists.items() if one.mark] == [path for path, one in there.lists.items() if one.mark]
    for place in (2, 9):
        assert f5_steps(after, f5_encode(f5.intent(after, f5.allow(term(2, MANY, at=place))), after).table, Method.SWAP) == ()

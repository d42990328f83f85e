"""Whom a word on the command line means, which addresses that is from where, and the sentence that would let two ends talk."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet
from cloudsync.model.finding import Finding, Where
from cloudsync.model.workload import Domain, Interface, Labels, Workload, WorkloadId
from cloudsync.policy.load import load_policy
from cloudsync.policy.values import Policy
from cloudsync.proof.ends import Party, party
from cloudsync.proof.opening import Opening, opening
from tests.stories.estate import World, compiled, machine

HERE = Where("the command line")
WEB = machine("aws", "web-1", "10.0.0.1", role="web", env="prod")
OTHER_WEB = machine("gcp", "web-1", "10.1.0.1", role="web", env="test")
DB = machine("aws", "db-1", "10.0.0.3", role="db", env="prod")
BARE = machine("aws", "bare", "10.0.0.4")
EVERYONE = (WEB, OTHER_WEB, DB, BARE)


def meant(word: str, *workloads: Workload) -> Party:
    found = party(word, workloads or EVERYONE, HERE)
    assert isinstance(found, Party), found
    return found


def wrong(word: str, *workloads: Workload) -> tuple[str, str, str]:
    found = party(word, workloads or EVERYONE, HERE)
    assert isinstance(found, Finding), found
    assert found.where == HERE
    return found.code, found.message, found.hint


# --- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["internet", "anywhere", "strangers"])
def test_the_address_words_of_the_language_mean_themselves(word: str) -> None:
    assert meant(f" {word} ") == Party(word, plain=word)


@pytest.mark.parametrize("word", ["db-1", "aws/db-1", "i-db-1", "native-7"])
def test_a_workload_is_meant_by_name_by_target_and_name_or_by_id(word: str) -> None:
    db = replace(DB, id=WorkloadId("native-7"))
    assert meant(word, WEB, db) == Party("db-1", db, NOWHERE, "")


def test_an_id_goes_before_a_name_that_others_have() -> None:
    assert meant("gcp/web-1") == Party("web-1", OTHER_WEB)
    called_like_an_id = replace(DB, id=WorkloadId("aws/x"), name="i-web-1")
    assert meant("i-web-1", called_like_an_id, WEB) == Party("web-1", WEB)


def test_a_name_of_several_asks_which() -> None:
    assert wrong("web-1") == ("AMBIGUOUS-WORKLOAD", "2 workloads are called 'web-1'", "say which: aws/web-1, gcp/web-1")
    twin = replace(WEB, id=WorkloadId("aws/other"), ref="i-7")
    assert wrong("web-1", WEB, twin) == ("AMBIGUOUS-WORKLOAD", "2 workloads are called 'web-1'", "say which: i-web-1, i-7")
    static = replace(WEB, id=WorkloadId("static/web-1"), target="", ref="")
    assert wrong("web-1", OTHER_WEB, static)[2] == "say which: i-web-1, static/web-1"
    fleet = [replace(WEB, id=WorkloadId(f"aws/{number}"), ref=f"i-{number}") for number in range(7)]
    assert wrong("web-1", *fleet)[2] == "say which: i-0, i-1, i-2, i-3, i-4 and 2 more"
    named = [replace(one, name=f"web-{number}") for number, one in enumerate(fleet)]
    assert wrong("role=web", *named)[2] == "one of role=web: web-0, web-1, web-2, web-3 and 3 more"


def test_an_address_is_its_workload_with_that_address_alone_or_nobody() -> None:
    assert meant("10.0.0.3") == Party("db-1", DB, AddressSet.of("10.0.0.3"))
    two = replace(DB, interfaces=(*DB.interfaces, card("10.0.0.33")))
    assert meant("10.0.0.33", WEB, two) == Party("db-1", two, AddressSet.of("10.0.0.33"))
    assert meant("198.51.100.7") == Party("198.51.100.7", None, AddressSet.of("198.51.100.7"))
    assert meant("2001:DB8::1") == Party("2001:db8::1", None, AddressSet.of("2001:db8::1"))


def test_an_address_of_several_asks_which() -> None:
    second = replace(DB, id=WorkloadId("aws/db-2"), name="db-2")
    assert wrong("10.0.0.3", DB, second) == (
        "AMBIGUOUS-WORKLOAD",
        "2 workloads have the address 10.0.0.3",
        "they share it, or stand in different routing domains; say which: aws/db-1, aws/db-2",
    )


@pytest.mark.parametrize(
    ("word", "message", "hint"),
    [
        ("role=web", "'role=web' are labels; one packet has one workload at each end", "one of role=web: web-1, web-1"),
        ("role=web env=prod", "'role=web env=prod' are labels; one packet has one workload at each end", "one of role=web env=prod: web-1"),
        ("role=jump", "'role=jump' are labels; one packet has one workload at each end", "no workload has these labels"),
        ("10.0.0.0/24", "'10.0.0.0/24' is no workload and no single address", "give one address, without a prefix length"),
        ("2001:db8::/32", "'2001:db8::/32' is no workload and no single address", "give one address, without a prefix length"),
        ("db1", "no workload 'db1' among the 4 of the inventory", "did you mean 'db-1'"),
        ("db-l", "no workload 'db-l' among the 4 of the inventory", "did you mean 'db-1'"),
        ("/x", "no workload '/x' among the 4 of the inventory", "give a name, a native id, an address, or internet"),
        ("?", "no workload '?' among the 4 of the inventory", "give a name, a native id, an address, or internet"),
    ],
)
def test_a_word_that_means_nobody_is_a_finding_that_helps(word: str, message: str, hint: str) -> None:
    assert wrong(word) == ("UNKNOWN-WORKLOAD", message, hint)


# --- addresses -------------------------------------------------------------------------------------------------------

HERE_DOMAIN, THERE = Domain("default"), Domain("there")


def card(*addresses: str, domain: Domain = HERE_DOMAIN, source_only: bool = False) -> Interface:
    return Interface("nic", "net", AddressSet.of(*addresses), domain, source_only=source_only)


def one(*cards: Interface) -> Workload:
    return Workload(WorkloadId("aws/x"), "x", Labels(), cards, "aws")


LEAST = """version: 1
labels: {role: [web, db], env: [prod, test]}
enforcement: {default: full}
rulesets:
  - {name: r, scope: all, owner: o, rules: [allow role=web to role=db on tcp/1]}
"""
UNIVERSE = compiled(LEAST, EVERYONE).compiler.universe


def test_what_is_seen_of_an_end() -> None:
    assert Party("internet", plain="internet").seen(UNIVERSE, HERE_DOMAIN) == UNIVERSE.internet(HERE_DOMAIN)
    assert Party("strangers", plain="strangers").seen(UNIVERSE, HERE_DOMAIN) == UNIVERSE.strangers(HERE_DOMAIN)
    assert Party("anywhere", plain="anywhere").seen(UNIVERSE, HERE_DOMAIN) == ANYWHERE
    assert Party("a", None, AddressSet.of("192.0.2.1")).seen(UNIVERSE, HERE_DOMAIN) == AddressSet.of("192.0.2.1")
    both = one(card("10.0.0.9", "8.8.8.8"))
    assert Party("x", both).seen(UNIVERSE, HERE_DOMAIN) == AddressSet.of("10.0.0.9", "8.8.8.8")
    assert Party("x", both).seen(UNIVERSE, THERE) == AddressSet.of("8.8.8.8")
    assert Party("x", both, AddressSet.of("10.0.0.9")).seen(UNIVERSE, HERE_DOMAIN) == AddressSet.of("10.0.0.9")
    assert Party("x", both, AddressSet.of("10.0.0.9")).seen(UNIVERSE, THERE) == NOWHERE


@pytest.mark.parametrize(
    ("peer", "own", "met"),
    [
        (("10.0.0.9", "8.8.8.8"), ("10.0.0.1",), ("10.0.0.9",)),
        (("10.0.0.9", "8.8.8.8"), ("9.9.9.9",), ("10.0.0.9", "8.8.8.8")),
        (("8.8.8.8",), ("10.0.0.1",), ("8.8.8.8",)),
        (("10.0.0.9", "fd00::9"), ("10.0.0.1",), ("10.0.0.9",)),
        (("10.0.0.9", "2600::9"), ("2600::1",), ("2600::9",)),
        (("10.0.0.9", "8.8.8.8", "fd00::9", "2600::9"), ("10.0.0.1", "2600::1"), ("10.0.0.9", "fd00::9", "2600::9")),
    ],
)
def test_two_workloads_of_one_domain_meet_under_private_addresses(
    peer: tuple[str, ...], own: tuple[str, ...], met: tuple[str, ...]
) -> None:
    end = Party("x", one(card(*peer)))
    assert end.met(UNIVERSE, card(*own), as_source=True) == AddressSet.of(*met)


def test_addresses_that_were_given_are_met_as_they_are() -> None:
    both = one(card("10.0.0.9", "8.8.8.8"))
    assert Party("x", both, AddressSet.of("8.8.8.8")).met(UNIVERSE, card("10.0.0.1"), as_source=True) == AddressSet.of("8.8.8.8")
    given = AddressSet.of("10.0.0.9", "8.8.8.8")
    assert Party("x", both, given).met(UNIVERSE, card("10.0.0.1"), as_source=True) == given
    assert Party("anywhere", plain="anywhere").met(UNIVERSE, card("10.0.0.1"), as_source=True) == AddressSet.of("0.0.0.0/0")
    nobody = Party("n", None, AddressSet.of("10.0.0.77", "8.8.4.4"))
    assert nobody.met(UNIVERSE, card("10.0.0.1"), as_source=True) == AddressSet.of("10.0.0.77", "8.8.4.4")


def test_what_only_opens_connections_is_met_as_a_source_alone() -> None:
    end = Party("x", one(card("10.0.0.9"), card("10.0.0.10", source_only=True)))
    assert end.met(UNIVERSE, card("10.0.0.1"), as_source=True) == AddressSet.of("10.0.0.9", "10.0.0.10")
    assert end.met(UNIVERSE, card("10.0.0.1"), as_source=False) == AddressSet.of("10.0.0.9")
    assert Party("n", None, AddressSet.of("10.0.0.77")).met(UNIVERSE, card("10.0.0.1"), as_source=False) == AddressSet.of("10.0.0.77")


def test_the_interfaces_that_are_asked_about() -> None:
    first, second = card("10.0.0.9"), card("10.0.0.10")
    assert Party("x", one(first, second)).interfaces() == (first, second)
    assert Party("x", one(first, second), AddressSet.of("10.0.0.10")).interfaces() == (second,)
    assert Party("n", None, AddressSet.of("10.0.0.9")).interfaces() == ()
    assert Party("n", only=NOWHERE).interfaces() == ()


# --- the sentence ----------------------------------------------------------------------------------------------------

POLICY = """version: 1
labels:
  role: [web, app, db]
  app: [shop, crm]
  env: [prod, test]
iplists: {partners: [198.51.100.0/25], half: [198.51.100.0/26], unused: [198.51.100.0/30]}
enforcement: {default: full}
rulesets:
  - name: everybody
    scope: all
    owner: netsec
    rules:
      - allow iplist partners, iplist half to role=web on tcp/443
  - name: shop-prod
    scope: app=shop env=prod
    owner: shop
    rules:
      - allow role=web to role=app on tcp/8443
  - name: both
    scope: [app=crm env=prod, app=crm env=test]
    owner: crm
    rules:
      - allow role=web to role=app on tcp/8443
"""
SHOP_WEB = machine("aws", "web-1", "10.0.0.1", role="web", app="shop", env="prod")
SHOP_APP = machine("aws", "app-1", "10.0.0.2", role="app", app="shop", env="prod")
CRM_APP = machine("aws", "crm-1", "10.0.0.3", role="app", app="crm", env="test")
NOBODY = machine("aws", "bare", "10.0.0.4")


@pytest.fixture(scope="module")
def world() -> World:
    return compiled(POLICY, (SHOP_WEB, SHOP_APP, CRM_APP, NOBODY, replace(NOBODY, id=WorkloadId("aws/b2"), name="has space", ref="")))


@pytest.fixture(scope="module")
def policy() -> Policy:
    found, _ = load_policy([("policy/all.yaml", POLICY.encode())])
    assert found is not None
    return found


def asked(policy: Policy, world: World, source: Party, destination: Party) -> tuple[str, str, int, str]:
    found = opening(policy, world.compiler.universe, source, destination, "tcp/5")
    assert isinstance(found, Opening)
    assert found.where.file == "policy/all.yaml"
    return found.sentence, found.ruleset, found.where.line, found.first


def called(workload: Workload) -> Party:
    return Party(workload.name, workload)


def test_inside_a_scope_what_the_scope_says_is_not_repeated(policy: Policy, world: World) -> None:
    assert asked(policy, world, called(SHOP_WEB), called(SHOP_APP)) == ("allow role=web to role=app on tcp/5", "shop-prod", 14, "")


def test_a_source_outside_the_scope_is_said_with_all_its_labels(policy: Policy, world: World) -> None:
    said = asked(policy, world, called(CRM_APP), called(SHOP_APP))
    assert said == ("allow outside role=app app=crm env=test to role=app on tcp/5", "shop-prod", 14, "")


def test_a_ruleset_of_several_scopes_needs_every_label(policy: Policy, world: World) -> None:
    assert asked(policy, world, called(CRM_APP), called(CRM_APP))[:2] == (
        "allow role=app app=crm env=test to role=app app=crm env=test on tcp/5",
        "both",
    )


def test_a_workload_without_labels_goes_by_its_name_or_else_by_its_id(policy: Policy, world: World) -> None:
    group = next(one for one in world.compiler.universe.classes if not one.labels)
    bare, spaced = (next(one for one in group.workloads if one.name == name) for name in ("bare", "has space"))
    assert asked(policy, world, called(bare), called(spaced))[:2] == ('allow workload bare to workload "has space" on tcp/5', "everybody")
    with_id = replace(spaced, ref="i 7")
    assert asked(policy, world, called(bare), called(with_id))[0] == 'allow workload bare to workload "i 7" on tcp/5'


def test_plain_words_stand_as_they_are(policy: Policy, world: World) -> None:
    said = asked(policy, world, Party("internet", plain="internet"), called(SHOP_APP))
    assert said == ("allow internet to role=app on tcp/5", "shop-prod", 14, "")
    said = asked(policy, world, called(SHOP_APP), Party("anywhere", plain="anywhere"))
    assert said == ("allow role=app to anywhere on tcp/5", "shop-prod", 14, "")


@pytest.mark.parametrize(
    ("address", "words", "first"),
    [
        ("198.51.100.5", "iplist half", ""),
        ("198.51.100.100", "iplist partners", ""),
        ("203.0.113.9", "iplist NAME", "iplists: {NAME: [203.0.113.9]}"),
        ("2001:db8::9", "iplist NAME", 'iplists: {NAME: ["2001:db8::9"]}'),
    ],
)
def test_addresses_are_said_by_the_smallest_list_in_use_or_a_new_one(
    policy: Policy, world: World, address: str, words: str, first: str
) -> None:
    end = Party(address, None, AddressSet.of(address))
    sentence, _, _, declared = asked(policy, world, end, called(SHOP_APP))
    assert (sentence, declared) == (f"allow {words} to role=app on tcp/5", first)
    sentence, _, _, declared = asked(policy, world, called(SHOP_APP), end)
    assert (sentence, declared) == (f"allow role=app to {words} on tcp/5", first)


def test_where_no_ruleset_fits_there_is_no_sentence(policy: Policy, world: World) -> None:
    narrow = replace(policy, rules=tuple(rule for rule in policy.rules if rule.ruleset == "shop-prod"))
    assert opening(narrow, world.compiler.universe, called(SHOP_APP), called(CRM_APP), "tcp/5") is None


def test_a_sentence_needs_nothing_else_unless_it_says_so() -> None:
    assert Opening("allow a to b on c", "r", HERE).first == ""


def test_between_two_addresses_only_a_ruleset_for_all_can_speak(policy: Policy, world: World) -> None:
    new, known = (Party(address, None, AddressSet.of(address)) for address in ("203.0.113.9", "198.51.100.5"))
    assert asked(policy, world, new, known) == (
        "allow iplist NAME to iplist half on tcp/5",
        "everybody",
        9,
        "iplists: {NAME: [203.0.113.9]}",
    )


def scoped(*scopes: str) -> Policy:
    """A policy of one ruleset per scope, called a, b and so on."""
    head = POLICY[: POLICY.index("rulesets:")].replace("labels:", "label_groups: {every: {env: [prod, test]}}\nlabels:")
    rulesets = "".join(
        f"  - {{name: {name}, scope: {scope}, owner: o, rules: [allow role=app to role=app on tcp/1]}}\n"
        for name, scope in zip("abcd", scopes, strict=False)
    )
    found, findings = load_policy([("policy/all.yaml", f"{head}rulesets:\n{rulesets}".encode())])
    assert found is not None, findings
    return found


@pytest.mark.parametrize(
    ("scopes", "ruleset", "who"),
    [
        (("all", "app=shop"), "b", "role=app env=prod"),
        (("app=shop", "all"), "a", "role=app env=prod"),
        (("app=shop", "app=shop"), "a", "role=app env=prod"),
        (("app=shop", "env=prod"), "a", "role=app env=prod"),
        (("app=shop", "app=shop env=prod", "all"), "b", "role=app"),
        (("app=shop env=every", "all"), "a", "role=app env=prod"),
        (("role=app app=shop env=prod",), "a", "all workloads"),
        (("all",), "a", "role=app app=shop env=prod"),
    ],
)
def test_the_narrowest_scope_is_chosen_and_the_first_of_equals(world: World, scopes: tuple[str, ...], ruleset: str, who: str) -> None:
    sentence, chosen, _, _ = asked(scoped(*scopes), world, called(SHOP_APP), called(SHOP_APP))
    assert (chosen, sentence) == (ruleset, f"allow {who} to {who} on tcp/5")

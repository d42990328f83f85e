"""Shields case by case: where they stand, where none does, what they remember, and that a change of anything else is no shield's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloudsync.adapter import Access, Method
from cloudsync.model.address import AddressSet
from cloudsync.model.mode import Mode, TargetMode
from cloudsync.model.packets import PacketSet
from cloudsync.model.service import TCP, ServiceSet
from cloudsync_f5 import words
from cloudsync_f5.decode import decode
from cloudsync_f5.encode import encode
from cloudsync_f5.former import former
from cloudsync_f5.points import points
from cloudsync_f5.shield import shield
from cloudsync_f5.simulate import simulate
from cloudsync_f5.steps import owned, steps
from cloudsync_f5.table import Action, Ends, F5Table, Policy, Rule
from cloudsync_f5.words import Native
from tests.unit.test_f5_domains import EDGE, intent, table
from tests.unit.test_f5_domains import reached as converged
from tests.unit.test_f5_encode import CORP, virtual
from tests.unit.test_f5_encode import table as plain

HTTPS = ServiceSet.ports(TCP, 443, 443)
PART = AddressSet.of("10.1.0.0/16")


def cut(now: F5Table, *names: str, peers: AddressSet = PART) -> F5Table:
    return shield(now, {one.point: Access(PacketSet.of(peers, HTTPS)) for one in now.virtuals.values() if one.name in names})


def passes(now: F5Table, name: str, peers: AddressSet = PART) -> PacketSet:
    point = next(one.point for one in now.virtuals.values() if one.name == name)
    return decode(now)[point].inbound & PacketSet.of(peers, HTTPS)


def open_to_all(*names: str, held: bool = False, carries: str = "", rules: tuple[Rule, ...] = ()) -> F5Table:
    """Return virtual servers in our hands that let CORP in, by policies of their own or by one on their route domain."""
    own = tuple(virtual(name, f"10.60.0.{number}") for number, name in enumerate(names, 1))
    now = table(*own, carries=carries, rules=rules) if held else plain(*own)
    found: F5Table = converged(now, intent(now))
    return found


def test_a_shielded_policy_is_a_copy_with_drops_on_top_and_the_original_stays() -> None:
    now = open_to_all("a", "b")
    some = AddressSet.of("203.0.113.4/32")
    shielded = cut(now, "a", peers=some)
    was, made = now.virtuals["/Common/a"].enforced, shielded.virtuals["/Common/a"].enforced
    assert was in shielded.policies
    assert shielded.policies[made].rules[1:] == now.policies[was].rules
    first = shielded.policies[made].rules[0]
    assert (first.action, first.native, first.source, first.destination.any) == (
        Action.DROP, Native(TCP, ((443, 443),)), Ends(frozenset({words.span("203.0.113.4")})), True,
    )  # fmt: skip
    assert shielded.virtuals["/Common/b"] == now.virtuals["/Common/b"]
    assert passes(shielded, "a", CORP) == PacketSet.of(CORP - some, HTTPS)
    assert passes(shielded, "b", CORP) == passes(now, "b", CORP)
    assert owned(shielded) == owned(now)


def test_a_virtual_server_without_a_policy_gets_one_of_drops_alone() -> None:
    now = plain(virtual("a"))
    shielded = cut(now, "a")
    assert [rule.action for rule in shielded.policies[shielded.virtuals["/Common/a"].enforced].rules] == [Action.DROP]
    assert not passes(shielded, "a")
    assert passes(shielded, "a", AddressSet.of("10.2.0.0/16"))


def test_a_foreign_policy_is_neither_copied_nor_taken_off() -> None:
    legacy = Policy("/Common/legacy", (Rule("all", Action.ACCEPT),))
    now = plain(replace(virtual("a"), enforced="/Common/legacy"), policies={"/Common/legacy": legacy})
    assert cut(now, "a") == now


def test_a_foreign_policy_on_a_route_domain_is_left_where_it_is() -> None:
    rules = (Rule("inside", Action.ACCEPT, Ends(frozenset({words.span("10.0.0.0/8")}))),)
    now = table(virtual("a"), carries=EDGE, rules=rules)
    assert passes(now, "a")
    assert cut(now, "a") == now


def test_a_name_that_somebody_took_is_not_written_over() -> None:
    now = open_to_all("a")
    made = cut(now, "a", peers=CORP).virtuals["/Common/a"].enforced
    taken = replace(now, policies={**now.policies, made: Policy(made, (Rule("theirs", Action.ACCEPT),))})
    assert cut(taken, "a", peers=CORP) == taken


def test_a_shielded_policy_that_was_left_unattached_is_used_again() -> None:
    """The run before was cut between the swap back and the deletion."""
    now = open_to_all("a")
    shielded = cut(now, "a", peers=CORP)
    left = replace(now, policies=shielded.policies)
    assert cut(left, "a", peers=CORP) == shielded
    assert "/firewall/policy" not in "".join(step.payload for phase in steps(left, shielded, Method.SWAP) for step in phase.steps)


def test_what_is_configured_but_not_compiled_is_shielded_nowhere() -> None:
    now = replace(open_to_all("a"), running={"/Common/a": ""})
    assert cut(now, "a", peers=CORP) == now


def test_where_nothing_may_be_enforced_nothing_is_shielded() -> None:
    now = plain(replace(virtual("a"), skipped="the settings attach no policy here"), virtual("b", "10.60.0.2"))
    assert cut(now, "a") == now
    assert shield(now, {points(now)[1].id: Access(outbound=PacketSet.of(PART, HTTPS))}) == now, "what it sends is filtered nowhere"


def test_what_a_foreign_rule_before_ours_lets_in_for_good_stays_uncut() -> None:
    rules = (Rule("vip", Action.DECISIVELY, Ends(frozenset({words.span("10.1.0.0/17")}))),)
    now = replace(plain(virtual("a"), policies={EDGE: Policy(EDGE, rules)}), enforced=EDGE)
    shielded = cut(now, "a")
    assert passes(shielded, "a") == PacketSet.of(AddressSet.of("10.1.0.0/17"), HTTPS)
    assert cut(shielded, "a") == shielded


def test_on_a_route_domain_a_shield_names_the_virtual_server_and_stands_above_what_was_taken_over() -> None:
    """The rule of others lets in for good, and skips what follows: the drop stands above it."""
    rules = (Rule("vip", Action.DECISIVELY, Ends(frozenset({words.span("10.0.0.0/8")}))),)
    now = table(virtual("a"), virtual("b", "10.60.0.2"), carries=EDGE, rules=rules)
    there = converged(now, intent(now, modes={"a": Mode.SELECTIVE}))
    peers = AddressSet.of("10.1.0.0/16")
    shielded = cut(there, "a", "b", peers=peers)
    assert not passes(shielded, "a", peers)
    assert passes(shielded, "a", AddressSet.of("10.2.0.0/16")) == passes(there, "a", AddressSet.of("10.2.0.0/16"))
    visible = converged(now, intent(now, modes={"a": Mode.VISIBILITY}))
    assert passes(visible, "a", peers), "what is not enforced is decided by the rule of others, below ours"
    lone = cut(visible, "a", peers=peers)
    assert not passes(lone, "a", peers)
    first = lone.policies[lone.route_domains["/Common/0"].enforced].rules[0]
    assert first.destination == Ends(frozenset({words.span("10.60.0.1")}))


@pytest.mark.parametrize("modes", [{}, {"a": Mode.VISIBILITY}])
def test_a_shielded_policy_remembers_what_its_route_domain_carried(modes: dict[str, Mode]) -> None:
    """Also when nothing else on the device does: the original was deleted by hand."""
    rules = (Rule("inside", Action.ACCEPT, Ends(frozenset({words.span("10.0.0.0/8")}))), Rule("rest", Action.DROP))
    now = open_to_all("a", held=True, carries=EDGE, rules=rules)
    shielded = cut(now, "a", peers=CORP)
    assert shielded.route_domains != now.route_domains
    ours = shielded.route_domains["/Common/0"].enforced
    alone = replace(shielded, policies={path: one for path, one in shielded.policies.items() if path == ours or one.mark is None})
    assert former(alone, alone.route_domains["/Common/0"]) == EDGE
    wish = intent(alone, modes=modes)
    done = converged(alone, wish)
    if modes:
        assert done.route_domains["/Common/0"].enforced == EDGE
    else:
        assert done.policies[done.route_domains["/Common/0"].enforced].rules == now.policies[now.route_domains["/Common/0"].enforced].rules
    assert not any(rule.shields for one in done.policies.values() for rule in one.rules)


def test_a_shield_and_any_other_change_in_one_plan_are_not_temporary() -> None:
    now = open_to_all("a", held=True)
    shielded = cut(now, "a", peers=CORP)
    path = min(one for one, held in shielded.lists.items() if held.mark is not None)
    wider = replace(shielded.lists[path], spans=shielded.lists[path].spans | {words.span("10.60.0.9")})
    both = replace(shielded, lists={**shielded.lists, path: wider})
    assert all(step.temporary for phase in steps(now, shielded, Method.SWAP) for step in phase.steps)
    assert not any(step.temporary for phase in steps(now, both, Method.SWAP) for step in phase.steps)
    assert not any(step.temporary for phase in steps(plain(virtual("a")), open_to_all("a"), Method.SWAP) for step in phase.steps)


def test_steps_say_which_way_shields_go() -> None:
    now = open_to_all("a")
    shielded = cut(now, "a", peers=CORP)
    up, down = (next(iter(steps(*pair, Method.SWAP))).steps[0] for pair in ((now, shielded), (shielded, now)))
    assert (up.key, down.key) == ("shields-up-swap/dg", "shields-down-swap/dg")
    assert (up.title[-12:], down.title[-14:]) == ("(shields up)", "(shields down)")
    staging = replace(now, virtuals={path: replace(one, staged=one.enforced) for path, one in now.virtuals.items()})
    assert not any(step.temporary for phase in steps(staging, shielded, Method.SWAP) for step in phase.steps)


def test_a_shield_is_neither_counted_nor_named_after_a_rule() -> None:
    """What guards count as rules that come and go is what the policy says."""
    now = plain(virtual("a"))
    wish = intent(now)
    shielded = cut(encode(wish, now).table, "a", peers=CORP)
    counts = [(step.adds, step.removes) for phase in steps(now, shielded, Method.SWAP) for step in phase.steps if phase.name == "swap"]
    said = encode(wish, now).table
    entries = sum(len(one.spans) for one in said.lists.values())
    assert counts == [(2 + entries, 0)], "two rules, and the members of a new list"


def test_additive_leaves_a_shield_that_was_left_behind_to_nobody() -> None:
    now = plain(virtual("a"))
    left = cut(now, "a")
    wish = intent(left, modes={"a": Mode.VISIBILITY}, mode=TargetMode.ADDITIVE)
    desired = encode(wish, left).table
    assert not desired.virtuals["/Common/a"].enforced
    for phase in steps(left, desired, Method.SWAP):
        left = simulate(left, *phase.steps)
    assert left.policies == now.policies
    assert decode(left) == decode(now)

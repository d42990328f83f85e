from __future__ import annotations

from dataclasses import replace

import pytest

from cloudsync.adapter import (
    AddressPeer,
    Allowed,
    ClassIntent,
    ClassPeer,
    Encoding,
    Intent,
    Method,
    Origin,
    PointIntent,
    Problem,
    Term,
    Whose,
)
from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet, Family, globally_routable
from cloudsync.model.fidelity import Verdict
from cloudsync.model.mode import Accept, Egress, Mode, TargetMode
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.service import ANY_SERVICE, SCTP, TCP, ServiceSet
from cloudsync.model.workload import DEFAULT_DOMAIN, Labels
from cloudsync_aws.content import description
from cloudsync_aws.decode import decode, native_text
from cloudsync_aws.encode import encode
from cloudsync_aws.fit import ALL
from cloudsync_aws.place import group_name
from cloudsync_aws.simulate import simulate_all
from cloudsync_aws.steps import steps
from cloudsync_aws.table import TAG_OWNER, AwsTable, Eni, Group, Mark, PeerKind, Quotas, RuleKey, Vpc
from tests.property.aws_estates import settled

SCOPE = "111122223333/us-east-1"
SSH, WEB = ServiceSet.ports(TCP, 22, 22), ServiceSet.ports(TCP, 443, 443)
OUT4 = RuleKey(True, *ALL, PeerKind.CIDR4.value, "0.0.0.0/0")
OUT6 = RuleKey(True, *ALL, PeerKind.CIDR6.value, "::/0")
NEW_WEB = "{new:sg/111122223333/us-east-1/vpc-1/web/0}"
NEW_APP = "{new:sg/111122223333/us-east-1/vpc-1/app/0}"


def eni(name: str, number: int, *, vpc: str = "vpc-1", groups: tuple[str, ...] = ("sg-default",), public: str = "") -> Eni:
    seen = AddressSet.of(public) if public else NOWHERE
    return Eni(name, SCOPE, vpc, f"i-{name}", AddressSet.of(f"10.{vpc[-1]}.0.{number}/32"), seen, groups)


def table(*enis: Eni, groups: tuple[Group, ...] = (), quotas: Quotas | None = None, peered: bool = False) -> AwsTable:
    mine = [Group("sg-default", SCOPE, "vpc-1", "default", {OUT4: ""}, is_default=True)]
    mine += [Group("sg-default2", SCOPE, "vpc-2", "default", {OUT4: ""}, is_default=True), *groups]
    vpcs = {"vpc-1": Vpc("vpc-1", SCOPE, ipv6=True), "vpc-2": Vpc("vpc-2", SCOPE)}
    pairs = frozenset({("vpc-1", "vpc-2"), ("vpc-2", "vpc-1")}) if peered else frozenset()
    limits = {SCOPE: quotas} if quotas else {}
    return AwsTable("acme", {group.id: group for group in mine}, {one.id: one for one in enis}, {}, vpcs, pairs, limits)


def term(
    peer: ClassPeer | AddressPeer, services: ServiceSet, rule: str = "r1", accept: frozenset[Accept] = frozenset(), process: str = ""
) -> Term:
    return Term(peer, services, (Origin(rule),), accept, process)


def wish(
    there: AwsTable,
    classes: dict[str, tuple[Mode, tuple[Term, ...]]],
    members: dict[str, str],
    mode: TargetMode = TargetMode.ADDITIVE,
    never: PacketSet = NO_PACKETS,
) -> Intent:
    addresses = {
        name: AddressSet.union_all(there.enis[key].private | there.enis[key].public for key, own in members.items() if own == name)
        for name in classes
    }
    made: dict[str, ClassIntent] = {}
    for name, (state, terms) in classes.items():
        exact = PacketSet.union_all(
            PacketSet.of(addresses[one.peer.class_id] if isinstance(one.peer, ClassPeer) else one.peer.addresses, one.services)
            for one in terms
        )
        loose = PacketSet.union_all(
            PacketSet.of(ANYWHERE, one.services | (ServiceSet.protocol(SCTP) if Accept.ANY_PORT in one.accept else one.services))
            for one in terms
            if one.accept
        )
        allowed = Allowed(terms, exact - never, (exact | loose) - never, never)
        made[name] = ClassIntent(name, DEFAULT_DOMAIN, Labels.of({"role": name}), state, Egress.LEAVE, addresses[name], allowed)
    exclusive = mode is TargetMode.EXCLUSIVE
    points = []
    for key, own in members.items():
        past = decode(there, Whose.ALL, [there.enis[key].point])[there.enis[key].point]
        held = exclusive and made[own].mode.enforced
        kept_in, kept_out = (NO_PACKETS, past.outbound) if held else (None, None)
        point = there.enis[key].point
        points.append(PointIntent(point, own, DEFAULT_DOMAIN, made[own].mode, Egress.LEAVE, kept_in, kept_out, ("sg-default",)))
    return Intent("aws", "acme", mode, tuple(made.values()), tuple(sorted(points, key=lambda one: one.point)))


def rules(encoding: Encoding, group: str) -> list[str]:
    return [native_text(key) for key in sorted(encoding.table.groups[group].rules)]


def only_problem(encoding: Encoding) -> Problem:
    assert len(encoding.problems) == 1, encoding.problems
    return encoding.problems[0]


TWO = {"eni-a": "web", "eni-b": "app"}


def test_a_class_whose_members_all_carry_its_group_is_a_reference() -> None:
    there = table(eni("eni-a", 1), eni("eni-b", 2))
    found = encode(wish(there, {"web": (Mode.FULL, ()), "app": (Mode.FULL, (term(ClassPeer("web"), SSH),))}, TWO), there)
    assert rules(found, NEW_APP) == [f"ingress tcp/22 from {NEW_WEB}"]
    assert found.table.groups[NEW_APP].rules == {RuleKey(False, TCP, 22, 22, "group", NEW_WEB): "r1"}
    assert found.table.enis["eni-a"].groups == tuple(sorted(("sg-default", NEW_WEB)))
    assert found.table.groups[NEW_APP].name == "cs-acme-app"
    assert dict(found.table.groups[NEW_APP].tags)["cloudsync:labels"] == "role=app"


def test_what_a_reference_does_not_match_is_said_in_addresses() -> None:
    there = table(eni("eni-a", 1, public="8.8.8.8/32"), eni("eni-b", 2))
    found = encode(wish(there, {"web": (Mode.FULL, ()), "app": (Mode.FULL, (term(ClassPeer("web"), SSH),))}, TWO), there)
    assert rules(found, NEW_APP) == ["ingress tcp/22 from 8.8.8.8/32", f"ingress tcp/22 from {NEW_WEB}"]


def test_a_class_that_is_not_enforced_is_said_in_addresses() -> None:
    there = table(eni("eni-a", 1), eni("eni-b", 2))
    found = encode(wish(there, {"web": (Mode.VISIBILITY, ()), "app": (Mode.FULL, (term(ClassPeer("web"), SSH),))}, TWO), there)
    assert rules(found, NEW_APP) == ["ingress tcp/22 from 10.1.0.1/32"]
    assert found.table.enis["eni-a"] == there.enis["eni-a"]


@pytest.mark.parametrize(("peered", "said"), [(True, "{new:sg/111122223333/us-east-1/vpc-2/web/0}"), (False, "10.2.0.1/32")])
def test_references_cross_an_active_peering_and_nothing_else(*, peered: bool, said: str) -> None:
    there = table(eni("eni-a", 1, vpc="vpc-2", groups=("sg-default2",)), eni("eni-b", 2), peered=peered)
    found = encode(wish(there, {"web": (Mode.FULL, ()), "app": (Mode.FULL, (term(ClassPeer("web"), SSH),))}, TWO), there)
    assert rules(found, NEW_APP) == [f"ingress tcp/22 from {said}"]


def test_a_stranger_in_a_class_group_turns_references_into_addresses() -> None:
    ours = Group("sg-web", SCOPE, "vpc-1", "cs-acme-web", {}, Mark("acme", "web"))
    there = table(eni("eni-a", 1, groups=("sg-web",)), eni("eni-b", 2), eni("eni-x", 9, groups=("sg-web",)), groups=(ours,))
    found = encode(wish(there, {"web": (Mode.FULL, ()), "app": (Mode.FULL, (term(ClassPeer("web"), SSH),))}, TWO), there)
    assert rules(found, NEW_APP) == ["ingress tcp/22 from 10.1.0.1/32"]


def test_exclusive_interfaces_carry_our_groups_only_and_keep_their_egress() -> None:
    there = table(eni("eni-a", 1))
    found = encode(wish(there, {"web": (Mode.FULL, ())}, {"eni-a": "web"}, TargetMode.EXCLUSIVE), there)
    (carried,) = found.table.enis["eni-a"].groups
    assert found.table.groups[carried].rules == {OUT4: ""}
    assert found.table.groups["sg-default"] == there.groups["sg-default"]
    done = [step.action for phase in steps(there, found.table, Method.SWAP) for step in phase.steps]
    assert done == ["CreateSecurityGroup", "RevokeSecurityGroupEgress", "ModifyNetworkInterfaceAttribute"]


def test_additive_groups_lose_their_default_egress_before_anybody_carries_them() -> None:
    there = table(eni("eni-a", 1))
    found = encode(wish(there, {"web": (Mode.FULL, ())}, {"eni-a": "web"}), there)
    assert not found.table.groups[NEW_WEB].rules
    names = [(phase.name, step.action) for phase in steps(there, found.table, Method.SWAP) for step in phase.steps]
    assert names == [
        ("create", "CreateSecurityGroup"),
        ("fill", "RevokeSecurityGroupEgress"),
        ("move", "ModifyNetworkInterfaceAttribute"),
    ]


OURS = Group("sg-web", SCOPE, "vpc-1", "cs-acme-web", {RuleKey(False, TCP, 22, 22, "cidr4", "10.0.0.0/8"): "r1"}, Mark("acme", "web"))


def test_a_released_interface_gets_back_what_it_had() -> None:
    there = table(eni("eni-a", 1, groups=("sg-web",)), groups=(OURS,))
    found = encode(wish(there, {"web": (Mode.VISIBILITY, ())}, {"eni-a": "web"}, TargetMode.EXCLUSIVE), there)
    assert found.table.enis["eni-a"].groups == ("sg-default",)
    assert "sg-web" not in found.table.groups
    phases = steps(there, found.table, Method.SWAP)
    assert [phase.name for phase in phases] == ["move", "delete"]


def test_a_released_interface_keeps_our_group_when_nothing_else_is_left() -> None:
    there = table(eni("eni-a", 1, groups=("sg-web",)), groups=(OURS,))
    gone = replace(there, groups={"sg-web": OURS})
    found = encode(wish(there, {"web": (Mode.IDLE, ())}, {"eni-a": "web"}, TargetMode.EXCLUSIVE), gone)
    assert found.table == gone
    assert "no other is left" in found.notes[0]


def test_additive_release_detaches_ours_and_touches_nothing_else() -> None:
    there = table(eni("eni-a", 1, groups=("sg-default", "sg-web")), groups=(OURS,))
    found = encode(wish(there, {"web": (Mode.IDLE, ())}, {"eni-a": "web"}), there)
    assert found.table.enis["eni-a"].groups == ("sg-default",)


def test_a_scope_that_was_not_read_whole_is_wanted_as_it_is() -> None:
    there = table(eni("eni-a", 1, groups=("sg-web",)), groups=(OURS,))
    intent = wish(there, {"web": (Mode.FULL, (term(AddressPeer(ANYWHERE), WEB),))}, {"eni-a": "web"})
    assert encode(intent, there).table != there
    assert encode(replace(intent, incomplete=frozenset({SCOPE})), there).table == there
    partial = replace(there, incomplete={SCOPE: "page 2 failed"})
    assert encode(intent, partial).table == partial


def test_a_group_is_ours_by_its_mark_and_never_by_its_name() -> None:
    foreign = Group("sg-theirs", SCOPE, "vpc-1", "CS-acme-web", {})
    there = table(eni("eni-a", 1), groups=(foreign,))
    found = encode(wish(there, {"web": (Mode.FULL, ())}, {"eni-a": "web"}), there)
    assert found.table.groups["sg-theirs"] == foreign
    assert found.table.groups[NEW_WEB].name == "cs-acme-web-2"


def test_another_owner_on_the_interface_is_refused_where_we_would_drop_its_group() -> None:
    theirs = Group("sg-other", SCOPE, "vpc-1", "cs-beta-web", {}, tags=((TAG_OWNER, "beta"),))
    there = table(eni("eni-a", 1, groups=("sg-other",)), groups=(theirs,))
    problem = only_problem(encode(wish(there, {"web": (Mode.FULL, ())}, {"eni-a": "web"}, TargetMode.EXCLUSIVE), there))
    assert problem.code == "OWNER"
    assert "owner beta" in problem.message
    assert not encode(wish(there, {"web": (Mode.FULL, ())}, {"eni-a": "web"}), there).problems


def test_a_changed_past_keeps_the_group_and_moves_no_interface() -> None:
    there = table(eni("eni-a", 1))
    intent = wish(there, {"web": (Mode.FULL, ())}, {"eni-a": "web"}, TargetMode.EXCLUSIVE)
    first = encode(intent, there).table
    (carried,) = first.enis["eni-a"].groups
    changed = replace(intent, points=(replace(intent.points[0], kept_out=PacketSet.of(ANYWHERE, SSH)),))
    second = encode(changed, first)
    assert second.table.enis == first.enis
    assert rules(second, carried) == ["egress tcp/22 to 0.0.0.0/0", "egress tcp/22 to ::/0"]


def test_a_group_that_a_foreign_rule_refers_to_stays_and_is_named() -> None:
    user = Group("sg-user", SCOPE, "vpc-1", "user", {RuleKey(False, *ALL, "group", "sg-web"): ""})
    there = table(eni("eni-a", 1), groups=(OURS, user))
    found = encode(wish(there, {"web": (Mode.IDLE, ())}, {"eni-a": "web"}), there)
    assert found.table == there
    assert found.notes == ("cs-acme-web (sg-web) is no longer wanted; it stays while sg-user refers to it",)


# --- fidelity ------------------------------------------------------------------------------------------------------------

INTERNET = AddressPeer(globally_routable(), internet=True)


def one_class(there: AwsTable, *terms: Term, never: PacketSet = NO_PACKETS) -> Encoding:
    return encode(wish(there, {"web": (Mode.FULL, terms)}, {"eni-a": "web"}, never=never), there)


def test_internet_is_anywhere_only_where_the_rule_says_so() -> None:
    there = table(eni("eni-a", 1))
    found = one_class(there, term(INTERNET, WEB, accept=frozenset({Accept.INTERNET_AS_ANYWHERE})))
    assert rules(found, NEW_WEB) == ["ingress tcp/443 from 0.0.0.0/0", "ingress tcp/443 from ::/0"]
    assert (found.fidelity[0].verdict, found.fidelity[0].accepted) == (Verdict.LOOSER, True)


def test_internet_stays_exact_where_a_never_rule_would_be_hit() -> None:
    there = table(eni("eni-a", 1))
    never = PacketSet.of(AddressSet.of("10.0.0.0/8"), WEB)
    found = one_class(there, term(INTERNET, WEB, accept=frozenset({Accept.INTERNET_AS_ANYWHERE})), never=never)
    access = decode(found.table, Whose.OURS)[there.enis["eni-a"].point]
    assert access.inbound == PacketSet.of(globally_routable(), WEB)


def test_the_exact_internet_that_finds_no_room_is_refused_with_the_numbers_and_the_way_out() -> None:
    there = table(eni("eni-a", 1), quotas=Quotas(groups_per_eni=2))
    problem = only_problem(one_class(there, term(INTERNET, WEB)))
    count = sum(1 for family, _, _ in globally_routable().prefixes() if family is Family.V4)
    assert problem.code == "G-QUOTA"
    assert f"in-v4 {count}" in problem.message
    assert "L-0EA8095F allows 60" in problem.message
    assert "internet-as-anywhere ok" in problem.hint
    assert problem.rules == ("r1",)


@pytest.mark.parametrize(
    ("bad", "good", "word"),
    [
        (term(AddressPeer(ANYWHERE), ServiceSet.ports(SCTP, 80, 80)), frozenset({Accept.ANY_PORT}), "any-port ok"),
        (term(AddressPeer(ANYWHERE), WEB, process="/usr/sbin/nginx"), frozenset({Accept.PORT_ONLY}), "port-only ok"),
    ],
)
def test_what_ec2_cannot_say_needs_the_word_of_the_rule(bad: Term, good: frozenset[Accept], word: str) -> None:
    there = table(eni("eni-a", 1))
    found = one_class(there, bad)
    assert only_problem(found).code == "FIDELITY"
    assert word in only_problem(found).hint
    assert found.fidelity[0].verdict is Verdict.CANNOT
    assert not found.table.groups[NEW_WEB].rules
    accepted = one_class(there, replace(bad, accept=good))
    assert not accepted.problems
    assert (accepted.fidelity[0].verdict, accepted.fidelity[0].accepted) == (Verdict.LOOSER, True)
    assert len(accepted.table.groups[NEW_WEB].rules) == 2


def test_protocols_without_a_name_are_left_out_and_stated() -> None:
    there = table(eni("eni-a", 1))
    found = one_class(there, term(AddressPeer(AddressSet.of("10.0.0.0/8")), ANY_SERVICE - SSH))
    assert found.fidelity[0].verdict is Verdict.STRICTER
    assert found.left_out is not None
    left = found.left_out[there.enis["eni-a"].point]
    assert not left.outbound
    assert left.inbound.peers() == AddressSet.of("10.0.0.0/8")
    assert not found.problems


# --- shards, lists, descriptions -----------------------------------------------------------------------------------------


def hosts(first: int, count: int) -> AddressSet:
    return AddressSet.of(*(f"192.0.2.{2 * number + 1}/32" for number in range(first, first + count)))


def test_the_sixty_first_entry_opens_a_shard_and_nothing_moves_afterwards() -> None:
    there = table(eni("eni-a", 1))
    full = settled(one_class(there, term(AddressPeer(hosts(0, 60)), SSH)).table)
    assert len(full.enis["eni-a"].groups) == 2
    more = one_class(full, term(AddressPeer(hosts(0, 60)), SSH), term(AddressPeer(hosts(60, 1)), SSH, "r2"))
    assert len(more.table.enis["eni-a"].groups) == 3
    assert all(more.table.groups[key] == group for key, group in full.groups.items())
    shard = next(group for key, group in more.table.groups.items() if key not in full.groups)
    assert (shard.name, shard.mark) == ("cs-acme-web-s1", Mark("acme", "web", 1))
    there = settled(more.table)
    assert one_class(there, term(AddressPeer(hosts(0, 60)), SSH), term(AddressPeer(hosts(60, 1)), SSH, "r2")).table == there


def test_a_full_group_changes_through_a_shard_without_a_gap() -> None:
    there = settled(one_class(table(eni("eni-a", 1)), term(AddressPeer(hosts(0, 60)), SSH)).table)
    found = one_class(there, term(AddressPeer(hosts(20, 60)), SSH))
    assert not found.problems
    held = there
    for phase in steps(there, found.table, Method.SWAP):
        held = simulate_all(held, phase.steps)
        access = decode(held)[there.enis["eni-a"].point]
        assert PacketSet.of(hosts(20, 40), SSH) <= access.inbound
        assert all(len(group.rules) <= 60 for group in held.groups.values())
    assert held == found.table


def test_a_full_group_without_a_free_slot_is_refused() -> None:
    limits = Quotas(groups_per_eni=2)
    there = settled(one_class(table(eni("eni-a", 1), quotas=limits), term(AddressPeer(hosts(0, 60)), SSH)).table)
    problem = only_problem(one_class(there, term(AddressPeer(hosts(20, 60)), SSH)))
    assert problem.code == "G-QUOTA"
    assert "20 new entries fit only after old ones are gone" in problem.message


def test_a_full_group_that_nobody_carries_is_emptied_first_and_opens_no_shard() -> None:
    full = Group(
        "sg-web",
        SCOPE,
        "vpc-1",
        "cs-acme-web",
        dict.fromkeys((RuleKey(False, TCP, 22, 22, "cidr4", f"198.51.100.{number}/32") for number in range(60)), ""),
        Mark("acme", "web"),
    )
    there = table(eni("eni-a", 1), groups=(full,))
    found = one_class(there, term(AddressPeer(hosts(0, 60)), SSH))
    assert found.table.enis["eni-a"].groups == ("sg-default", "sg-web")
    assert [phase.name for phase in steps(there, found.table, Method.SWAP)] == ["strip", "fill", "move"]


def test_no_slot_left_by_foreign_groups_is_refused_by_name() -> None:
    foreign = tuple(Group(f"sg-{number}", SCOPE, "vpc-1", f"f{number}") for number in range(5))
    there = table(eni("eni-a", 1, groups=tuple(group.id for group in foreign)), groups=foreign)
    problem = only_problem(one_class(there))
    assert "L-2AFB9258" in problem.message
    assert problem.points == (there.enis["eni-a"].point,)


def with_list(there: AwsTable, addresses: AddressSet) -> Encoding:
    peer = AddressPeer(addresses, "partners")
    classes: dict[str, tuple[Mode, tuple[Term, ...]]] = {"web": (Mode.FULL, (term(peer, SSH),)), "app": (Mode.FULL, (term(peer, WEB),))}
    return encode(wish(there, classes, TWO), there)


def test_addresses_that_two_groups_use_become_one_list_and_change_in_place() -> None:
    there = table(eni("eni-a", 1), eni("eni-b", 2))
    first = with_list(there, hosts(0, 6))
    (made,) = first.table.lists.values()
    assert (made.weight, len(made.entries), made.family) == (6, 6, Family.V4)
    assert {key.kind for key in first.table.groups[NEW_WEB].rules} == {"list"}
    current = settled(first.table)
    second = with_list(current, hosts(1, 7))
    found = [(phase.name, step.action) for phase in steps(current, second.table, Method.SWAP) for step in phase.steps]
    modify = "ModifyManagedPrefixList"
    assert found == [("resize", modify), ("authorize", modify), ("revoke", modify), ("describe", modify)]
    assert with_list(current, hosts(0, 2)).table.lists == {}


def test_descriptions_name_the_rules_in_the_characters_that_ec2_takes() -> None:
    key = RuleKey(False, TCP, 22, 22, "cidr4", "10.0.0.0/8")
    assert description(key, (Origin("a#1"), Origin('b"é'), Origin("a#1"))) == "a#1, b__"
    assert len(description(key, [Origin(f"rule-{number}") for number in range(90)])) == 255
    assert description(OUT4, (Origin("kept"),)) == ""
    assert description(OUT6, (Origin("kept"),)) == ""


def test_a_new_description_is_one_call_and_nothing_else() -> None:
    there = settled(one_class(table(eni("eni-a", 1)), term(AddressPeer(hosts(0, 3)), SSH)).table)
    phases = steps(there, one_class(there, term(AddressPeer(hosts(0, 3)), SSH, "renamed")).table, Method.SWAP)
    assert [(phase.name, step.action) for phase in phases for step in phase.steps] == [
        ("describe", "UpdateSecurityGroupRuleDescriptionsIngress")
    ]


def test_names_of_different_owners_never_meet() -> None:
    names = {group_name(Mark(owner, "web"), ()) for owner in ("acme", "ac/me", "ac_me", "ac+me")}
    assert len(names) == 4
    assert len(group_name(Mark("x" * 400, "y" * 400, 3), ())) <= 255


def test_a_group_that_lost_its_mark_is_named_and_left_alone() -> None:
    stray = replace(OURS, mark=None, tags=())
    there = table(eni("eni-a", 1), groups=(stray,))
    found = encode(wish(there, {"web": (Mode.IDLE, ())}, {"eni-a": "web"}), there)
    assert found.table == there
    assert found.notes == ("cs-acme-web (sg-web) has a name of ours but not our tags: it counts as foreign and is left alone",)

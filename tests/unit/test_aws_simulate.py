from __future__ import annotations

import json
from dataclasses import replace

import pytest

from cloudsync.adapter import Effect, Method, Phase, Seen, Step
from cloudsync.model.address import AddressSet, Family
from cloudsync_aws.bounds import affected, bounds
from cloudsync_aws.calls import Attacher, Caller
from cloudsync_aws.decode import decode
from cloudsync_aws.dump import digest, dump
from cloudsync_aws.fit import ALL
from cloudsync_aws.payload import bound, parse
from cloudsync_aws.simulate import CALLS, bind, created, seen, simulate, simulate_all, unbind
from cloudsync_aws.steps import steps
from cloudsync_aws.table import AwsTable, Eni, Group, Mark, PrefixList, RuleKey, Vpc, mark_of

SCOPE, OTHER = "111122223333/us-east-1", "444455556666/us-east-1"
MARK = Mark("acme", "web")
SSH = RuleKey(False, 6, 22, 22, "cidr4", "10.0.0.0/8")
PING = RuleKey(False, 1, 8, -1, "cidr4", "10.0.0.0/8")
BY_NAME = RuleKey(False, 6, 22, 22, "group", "sg-peer")
BY_LIST = RuleKey(False, -1, -1, -1, "list", "pl-1")
OUT = RuleKey(True, *ALL, "cidr4", "0.0.0.0/0")
NEW = "{new:sg/x}"


def group(key: str, *rules: RuleKey, scope: str = SCOPE, vpc: str = "vpc-1", mark: Mark | None = MARK) -> Group:
    return Group(key, scope, vpc, f"name-{key}", dict.fromkeys(rules, "text"), mark, mark.tags if mark else ())


def eni(key: str, number: int, *groups: str, vpc: str = "vpc-1") -> Eni:
    return Eni(key, SCOPE, vpc, "i-1", AddressSet.of(f"10.1.0.{number}/32"), groups=groups)


def world(*groups: Group, enis: tuple[Eni, ...] = (), lists: tuple[PrefixList, ...] = ()) -> AwsTable:
    vpcs = {"vpc-1": Vpc("vpc-1", SCOPE, ipv6=True), "vpc-2": Vpc("vpc-2", OTHER)}
    return AwsTable("acme", {one.id: one for one in groups}, {one.id: one for one in enis}, {one.id: one for one in lists}, vpcs)


def caller(table: AwsTable) -> Caller:
    return Caller.of(table)


LIST = PrefixList("pl-1", SCOPE, "partners", Family.V4, 3, 7, entries={"192.0.2.0/24": ""}, mark=Mark("acme", "list-1"))


def test_a_payload_is_exactly_the_call_in_one_spelling() -> None:
    there = world(group("sg-1"), group("sg-peer", scope=OTHER, vpc="vpc-2"), lists=(LIST,))
    (step,) = caller(there).authorize(there.groups["sg-1"], {BY_NAME: "b", SSH: "a", PING: "", BY_LIST: "l"}, Effect.GROWS)
    assert json.loads(step.payload) == {
        "call": "authorize_security_group_ingress",
        "args": {
            "GroupId": "sg-1",
            "IpPermissions": [
                {"IpProtocol": "-1", "PrefixListIds": [{"PrefixListId": "pl-1", "Description": "l"}]},
                {"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]},
                {
                    "IpProtocol": "tcp",
                    "FromPort": 22,
                    "ToPort": 22,
                    "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "a"}],
                    "UserIdGroupPairs": [{"GroupId": "sg-peer", "UserId": "444455556666", "Description": "b"}],
                },
            ],
            "TagSpecifications": [
                {
                    "ResourceType": "security-group-rule",
                    "Tags": [{"Key": "cloudsync:managed", "Value": "true"}, {"Key": "cloudsync:owner", "Value": "acme"}],
                }
            ],
        },
    }
    assert (step.key, step.action, step.adds, step.mark) == ("authorize-ingress/sg-1", "AuthorizeSecurityGroupIngress", 4, "acme/web/0")
    assert simulate(there, step).groups["sg-1"].rules == {BY_NAME: "b", SSH: "a", PING: "", BY_LIST: "l"}


def refused(table: AwsTable, step: Step, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        simulate(table, step)


def test_what_ec2_refuses_is_refused() -> None:
    there = world(group("sg-1", SSH), group("sg-2", RuleKey(False, *ALL, "group", "sg-1")), enis=(eni("eni-1", 1, "sg-2"),), lists=(LIST,))
    calls, one, two = caller(there), there.groups["sg-1"], there.groups["sg-2"]
    refused(there, calls.authorize(one, {SSH: ""}, Effect.GROWS)[0], "already in sg-1")
    refused(there, calls.authorize(one, {BY_NAME: ""}, Effect.GROWS)[0], "no security group sg-peer")
    refused(there, calls.authorize(one, {replace(BY_LIST, peer="pl-9"): ""}, Effect.GROWS)[0], "no prefix list pl-9")
    refused(there, calls.revoke(one, [PING], Effect.SHRINKS)[0], "is not in sg-1")
    refused(there, calls.describe(one, {PING: "x"})[0], "is not in sg-1")
    refused(there, calls.delete_group(one), "referred to by sg-2")
    refused(there, calls.delete_group(two), "is attached")
    attacher = Attacher("acme")
    refused(there, attacher.step(there.enis["eni-1"], ("sg-1",), ("sg-1", "sg-2"), "move"), "expected")
    refused(there, attacher.step(there.enis["eni-1"], ("sg-2",), (), "move"), "at least one")
    refused(there, attacher.step(there.enis["eni-1"], ("sg-2",), ("sg-9",), "move"), "no security group sg-9")
    refused(there, calls.change_list(LIST, ["10.0.0.0/8"], 6, grow=True), "at version 7, not 6")
    refused(there, calls.change_list(LIST, ["10.0.0.0/8"], 7, grow=False), "is not in pl-1")
    refused(there, calls.change_list(LIST, ["192.0.2.0/24"], 7, grow=True), "already in pl-1")
    refused(there, calls.change_list(LIST, ["10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8"], 7, grow=True), "takes 3 entries, not 4")
    refused(there, calls.change_list(LIST, [f"10.0.0.{n}/32" for n in range(101)], 7, grow=True), "more than 100")
    refused(there, calls.resize_list(LIST, 0), "takes 0 entries, not 1")
    used = world(group("sg-1", BY_LIST), lists=(LIST,))
    refused(used, calls.delete_list(LIST), "referred to by sg-1")


def test_a_new_group_has_the_egress_that_ec2_gives_it_and_one_name_per_vpc() -> None:
    there = world()
    step = caller(there).create_group(group(NEW))
    after = simulate(there, step)
    made = after.groups[NEW]
    assert (made.mark, made.name) == (MARK, f"name-{NEW}")
    assert set(made.rules) == {OUT, replace(OUT, kind="cidr6", peer="::/0")}
    refused(after, step, "exists in vpc-1")
    narrow = replace(there, vpcs={"vpc-1": Vpc("vpc-1", SCOPE)})
    assert set(simulate(narrow, step).groups[NEW].rules) == {OUT}


def phases_of(phases: tuple[Phase, ...]) -> dict[str, list[str]]:
    return {phase.name: [step.action for step in phase.steps] for phase in phases}


def test_a_new_group_with_full_egress_loses_the_default_first() -> None:
    rules = [replace(OUT, protocol=6, first=22, last=22, peer=f"10.0.0.{number}/32") for number in range(60)]
    for count, names in ((59, ["create", "fill"]), (60, ["create", "strip", "fill"])):
        table, limit = world(), 60
        for phase in (found := steps(table, world(group(NEW, *rules[:count])), Method.SWAP)):
            for step in sorted(phase.steps, key=lambda one: one.action):
                table = simulate(table, step)
                assert all(sum(key.kind == "cidr4" for key in one.rules) <= limit for one in table.groups.values())
        assert [phase.name for phase in found] == names


def test_a_group_left_behind_by_a_cut_run_is_put_right_before_anybody_carries_it() -> None:
    old, left = group("sg-old", SSH), group("sg-1", OUT)
    there = world(old, left, enis=(eni("eni-1", 1, "sg-old"),))
    desired = world(old, group("sg-1", SSH), enis=(eni("eni-1", 1, "sg-1"),))
    for method in (Method.SWAP, Method.JOIN, Method.MEET):
        found = [(phase.name, step) for phase in steps(there, desired, method) for step in phase.steps]
        changes = [(name, step.effect) for name, step in found if step.object == "sg-1" and step.adds + step.removes]
        assert changes == [("fill", Effect.NONE), ("fill", Effect.NONE)]
        first_move = next(at for at, (_, step) in enumerate(found) if step.object == "eni-1")
        assert max(at for at, (name, _) in enumerate(found) if name == "fill") < first_move


def test_groups_that_refer_to_each_other_are_untied_before_they_are_deleted() -> None:
    one = group("sg-1", RuleKey(False, *ALL, "group", "sg-2"), RuleKey(False, *ALL, "group", "sg-1"))
    there = world(one, group("sg-2", RuleKey(False, *ALL, "group", "sg-1"), SSH))
    phases = steps(there, world(), Method.SWAP)
    assert phases_of(phases) == {"revoke": ["RevokeSecurityGroupIngress"] * 2, "delete": ["DeleteSecurityGroup"] * 2}
    assert all(step.effect is Effect.NONE for phase in phases for step in phase.steps)
    assert simulate_all(there, [step for phase in phases for step in phase.steps]) == world()


def test_a_foreign_group_is_never_written() -> None:
    foreign = group("sg-1", SSH, mark=None)
    with pytest.raises(ValueError, match="sg-1: not ours to write"):
        steps(world(foreign), world(replace(foreign, rules={})), Method.SWAP)
    with pytest.raises(ValueError, match="not ours to write"):
        steps(world(foreign), world(), Method.JOIN)


def test_join_holds_old_and_new_together_as_far_as_slots_go() -> None:
    groups = [replace(group(f"sg-{number}"), mark=Mark("acme", "web", 5 - number)) for number in range(6)]
    old, new = ("sg-0", "sg-1", "sg-2"), ("sg-3", "sg-4", "sg-5")
    there, desired = world(*groups, enis=(eni("eni-1", 1, *old),)), world(*groups, enis=(eni("eni-1", 1, *new),))
    held = [parse(step.payload).args["Groups"] for phase in steps(there, desired, Method.JOIN) for step in phase.steps]
    assert held == [["sg-0", "sg-1", "sg-2", "sg-4", "sg-5"], list(new)]
    assert phases_of(steps(there, desired, Method.JOIN)).keys() == {"attach", "swap"}
    assert phases_of(steps(there, desired, Method.SWAP)) == {"move": ["ModifyNetworkInterfaceAttribute"]}
    less = world(*groups, enis=(eni("eni-1", 1, "sg-1", "sg-2", "sg-3", "sg-4"),))
    assert phases_of(steps(there, less, Method.JOIN)).keys() == {"attach", "detach"}


def test_lists_longer_than_a_call_change_in_rounds_of_a_hundred() -> None:
    entries = {f"10.0.{number}.0/24": "" for number in range(250)}
    old = replace(LIST, weight=250, entries={})
    there, desired = world(lists=(old,)), world(lists=(replace(old, entries=entries),))
    phases = steps(there, desired, Method.SWAP)
    assert [(phase.name, [step.adds for step in phase.steps]) for phase in phases] == [
        ("authorize", [100]),
        ("authorize-2", [100]),
        ("authorize-3", [50]),
    ]
    assert simulate_all(there, [step for phase in phases for step in phase.steps]) == desired
    made = steps(world(), world(lists=(replace(old, id="{new:pl}", entries=entries),)), Method.SWAP)
    assert [phase.name for phase in made] == ["create", "authorize", "authorize-2"]


# --- seen and ids --------------------------------------------------------------------------------------------------------


def test_a_read_shows_a_step_wholly_not_at_all_or_otherwise() -> None:
    there = world(group("sg-1", SSH))
    (step,) = caller(there).authorize(there.groups["sg-1"], {PING: "", replace(PING, peer="11.0.0.0/8"): ""}, Effect.GROWS)
    after = simulate(there, step)
    assert (seen(there, step, {}), seen(after, step, {})) == (Seen.NO, Seen.YES)
    half = replace(after, groups={"sg-1": group("sg-1", SSH, PING)})
    assert seen(half, step, {}) is Seen.OTHER
    (back,) = caller(there).revoke(there.groups["sg-1"], [PING, replace(PING, peer="11.0.0.0/8")], Effect.SHRINKS)
    assert (seen(after, back, {}), seen(there, back, {}), seen(half, back, {})) == (Seen.NO, Seen.YES, Seen.OTHER)
    assert seen(world(), step, {}) is Seen.NO


def test_an_interface_in_a_third_state_is_somebody_elses_work() -> None:
    groups = (group("sg-1"), group("sg-2"), group("sg-3"))
    there = world(*groups, enis=(eni("eni-1", 1, "sg-1"),))
    step = Attacher("acme").step(there.enis["eni-1"], ("sg-1",), ("sg-2",), "move")
    assert seen(there, step, {}) is Seen.NO
    assert seen(simulate(there, step), step, {}) is Seen.YES
    assert seen(world(*groups, enis=(eni("eni-1", 1, "sg-3"),)), step, {}) is Seen.OTHER
    assert seen(world(), step, {}) is Seen.OTHER


def test_a_created_group_is_found_by_its_mark_and_bound_everywhere() -> None:
    there = world(enis=(eni("eni-1", 1, "sg-old"),))
    create = caller(there).create_group(group(NEW))
    assert (seen(there, create, {}), created(there, create)) == (Seen.NO, None)
    real = world(replace(group("sg-77", OUT), name=f"name-{NEW}"), enis=(eni("eni-1", 1, "sg-old"),))
    assert (seen(real, create, {}), created(real, create)) == (Seen.YES, "sg-77")
    bindings = {"sg/x": "sg-77"}
    attach = Attacher("acme").step(there.enis["eni-1"], ("sg-old",), (NEW,), "move")
    assert parse(bound(attach.payload, bindings)).args["Groups"] == ["sg-77"]
    attached = replace(real, enis={"eni-1": eni("eni-1", 1, "sg-77")})
    assert (seen(real, attach, bindings), seen(attached, attach, bindings)) == (Seen.NO, Seen.YES)
    symbolic = unbind(attached, bindings)
    assert symbolic.enis["eni-1"].groups == (NEW,)
    assert seen(symbolic, attach, bindings) is Seen.YES
    assert bind(symbolic, bindings) == attached
    elsewhere = replace(real, groups={"sg-77": replace(real.groups["sg-77"], vpc="vpc-2")})
    assert created(elsewhere, create) is None


def test_deletions_and_list_changes_are_seen() -> None:
    there = world(group("sg-1"), lists=(LIST,))
    calls = caller(there)
    delete = calls.delete_group(there.groups["sg-1"])
    assert (seen(there, delete, {}), seen(world(lists=(LIST,)), delete, {})) == (Seen.NO, Seen.YES)
    change = calls.change_list(LIST, ["10.0.0.0/8"], 7, grow=True)
    assert (seen(there, change, {}), seen(simulate(there, change), change, {})) == (Seen.NO, Seen.YES)
    resize = calls.resize_list(LIST, 9)
    assert (seen(there, resize, {}), seen(simulate(there, resize), resize, {})) == (Seen.NO, Seen.YES)
    assert seen(world(), change, {}) is Seen.OTHER
    text = calls.describe(group("sg-1", SSH), {SSH: "new words"})[0]
    held = world(group("sg-1", SSH))
    assert (seen(held, text, {}), seen(simulate(held, text), text, {})) == (Seen.NO, Seen.YES)


# --- bounds, decoding, digest --------------------------------------------------------------------------------------------


def test_a_swap_has_four_corners() -> None:
    peer = group("sg-peer")
    open_to = group("sg-1", BY_NAME)
    there = world(peer, open_to, group("sg-3"), enis=(eni("eni-1", 1, "sg-1"), eni("eni-2", 2, "sg-peer")))
    swap = (
        Attacher("acme").step(there.enis["eni-2"], ("sg-peer",), ("sg-3",), "move"),
        Attacher("acme").step(there.enis["eni-1"], ("sg-1",), ("sg-3",), "move"),
    )
    limits = bounds(there, swap)
    assert limits.lower == limits.upper
    point = there.enis["eni-1"].point
    inbound = [decode(one)[point].inbound.peers() for one in limits.lower]
    assert [bool(one) for one in inbound] == [True, False, False, False]
    assert affected(there, swap[:1]) == {there.enis["eni-1"].point, there.enis["eni-2"].point}


def test_stale_and_unpeered_references_let_nobody_in() -> None:
    abroad = group("sg-peer", vpc="vpc-2")
    gone = replace(BY_NAME, peer="sg-gone")
    there = world(abroad, group("sg-1", BY_NAME, gone), enis=(eni("eni-1", 1, "sg-1"), eni("eni-2", 2, "sg-peer", vpc="vpc-2")))
    point = there.enis["eni-1"].point
    assert not decode(there)[point].inbound
    linked = replace(there, peered=frozenset({("vpc-1", "vpc-2"), ("vpc-2", "vpc-1")}))
    assert decode(linked)[point].inbound.peers() == there.enis["eni-2"].private


def test_a_digest_tells_every_difference_and_no_order() -> None:
    there = world(group("sg-1", SSH, PING), group("sg-2"), lists=(LIST,))
    turned = replace(there, groups=dict(reversed(list(there.groups.items()))))
    assert digest(there) == digest(turned)
    assert digest(there) != digest(replace(there, lists={"pl-1": replace(LIST, version=8)}))
    assert digest(there) != digest(world(group("sg-1", SSH), group("sg-2"), lists=(LIST,)))
    assert json.loads(json.dumps(dump(there))) == dump(there)


def test_a_mark_needs_every_tag_and_our_owner() -> None:
    tags = dict(Mark("acme", "web", 2).tags)
    assert mark_of(tags, "acme") == Mark("acme", "web", 2)
    assert mark_of(tags, "beta") is None
    for key in ("cloudsync:managed", "cloudsync:owner", "cloudsync:class"):
        assert mark_of({name: value for name, value in tags.items() if name != key}, "acme") is None
    assert mark_of({**tags, "cloudsync:shard": "x"}, "acme") is None


def test_every_call_has_a_meaning_on_tables() -> None:
    assert len(CALLS) == 12

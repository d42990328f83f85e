"""Two versions of a policy differ in exactly the packets that a packet-by-packet reading of both treats differently."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from cloudsync.compile import arms, universe
from cloudsync.compile.allowed import Compiler, Direction
from cloudsync.model.mode import Egress, Mode
from cloudsync.model.packets import Packet
from cloudsync.model.workload import Workload
from cloudsync.policy.values import Action, Policy
from cloudsync.proof.sides import Shift, shifts
from tests.property.test_compile_meaning import NOW, matches, probes, random_rule, random_world


def _compiled(policy: Policy, workloads: list[Workload]) -> Compiler:
    classes = universe.build(policy, workloads)
    return Compiler(classes, arms.resolve(classes, policy, NOW))


def _cut(policy: Policy, workload: Workload, packet: Packet, direction: Direction, everyone: list[Workload]) -> bool:
    """The language read for one packet: does this version of the policy surely cut it at this workload?"""
    line = universe.enforcement(policy, workload.labels)
    if not line.mode.enforced or (direction is Direction.OUT and line.egress is not Egress.ENFORCE):
        return False
    by = {
        action: any(rule.action is action and matches(rule, workload, packet, direction, everyone) for rule in policy.rules)
        for action in Action
    }
    if by[Action.NEVER]:
        return True
    if line.mode is Mode.SELECTIVE:
        at = packet.protocol * 65536 + packet.detail
        ends = line.services.points
        closed = by[Action.DENY] or any(first <= at < end for first, end in zip(ends[::2], ends[1::2], strict=True))
        return closed and not by[Action.ALLOW]
    return not by[Action.ALLOW]


def _at(found: tuple[Shift, ...], workload: Workload, direction: Direction) -> Shift | None:
    here = [one for one in found if workload.name in one.workloads and one.direction is direction]
    assert len(here) < 2
    return here[0] if here else None


@pytest.mark.parametrize("seed", range(40))
def test_what_two_versions_differ_in_is_told_packet_for_packet(seed: int) -> None:
    dice = random.Random(seed)
    old, workloads = random_world(dice)
    kept = tuple(rule for rule in old.rules if dice.random() < 0.7)
    new = replace(old, rules=(*kept, random_rule(dice, 90)))
    if dice.random() < 0.4:
        new = replace(new, enforcement=(replace(new.enforcement[0], mode=dice.choice(list(Mode))), *new.enforcement[1:]))
    found = shifts(_compiled(old, workloads), _compiled(new, workloads))
    for workload in workloads:
        for direction in Direction:
            shift = _at(found, workload, direction)
            for packet in probes(workloads):
                before, after = (_cut(one, workload, packet, direction, workloads) for one in (old, new))
                assert (shift is not None and packet in shift.opens) == (before and not after), (packet.text(), workload.name, direction)
                assert (shift is not None and packet in shift.closes) == (after and not before), (packet.text(), workload.name, direction)


@pytest.mark.parametrize("seed", range(10))
def test_a_version_does_not_differ_from_itself(seed: int) -> None:
    policy, workloads = random_world(random.Random(seed))
    assert shifts(_compiled(policy, workloads), _compiled(policy, list(reversed(workloads)))) == ()


def test_a_workload_that_only_one_version_knows_is_said_to_be_new() -> None:
    policy, workloads = random_world(random.Random(3))
    found = shifts(_compiled(policy, workloads[1:]), _compiled(policy, workloads))
    new = [one for one in found if workloads[0].name in one.workloads]
    assert new
    assert {one.before.mode for one in new} == {None}

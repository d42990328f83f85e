"""Classes as application security groups, over random estates: what is said, who is in them, and every state while both change."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.adapter import Allowed, ClassIntent, Intent, Method, Phase, TargetSettings
from cloudsync.model.address import AddressSet
from cloudsync.model.finding import Where
from cloudsync.model.mode import Egress, Mode, TargetMode
from cloudsync.model.packets import PacketSet
from cloudsync.model.service import ANY_SERVICE
from cloudsync.model.workload import Labels, PointId
from cloudsync.plan.order import Order, choose
from cloudsync.proof.certificate import Beyond
from cloudsync.testing.clock import SimulatedClock
from cloudsync_azure.adapter import AzureAdapter
from cloudsync_azure.decode import decode, points
from cloudsync_azure.encode import encode
from cloudsync_azure.limits import PLATFORM_ADDRESS
from cloudsync_azure.simulate import simulate
from cloudsync_azure.steps import steps
from cloudsync_azure.table import AzureTable, asgs_of, members
from tests.property.azure_estates import DOMAIN, PLAIN, SUBSCRIPTION, Past, allowed, estate, wish
from tests.property.test_azure_plans import differences, fold, inside_bounds, unheld_unchanged

SEEDS = st.integers(0, 10**9)
WHERE = st.sampled_from(("below", "above", "anywhere"))
MODES = st.sampled_from((TargetMode.EXCLUSIVE, TargetMode.ADDITIVE))
GROUPS = replace(PLAIN, asgs=True)
NAMES = ["class-0", "class-1", "class-2"]
FULL = (Mode.FULL, Mode.FULL, Mode.FULL, Mode.SELECTIVE, Mode.VISIBILITY)


def joinable(random: Random, table: AzureTable) -> AzureTable:
    """Return an estate whose interfaces can join groups, most of them; one subnet is in a VNet of its own."""
    nics = {}
    for point, nic in table.nics.items():
        vnet = "/vnet/b" if "/subnet/2" in nic.subnets else "/vnet/a"
        theirs = ("/asg/theirs",) if random.random() < 0.2 else ()
        seats = 0 if random.random() < 0.05 else len(nic.private.cidrs())
        nics[point] = replace(nic, seats=seats, location="westeurope", vnet=vnet, asgs=theirs)
    return replace(table, nics=nics)


def drawn(random: Random, table: AzureTable, mode: TargetMode, past: Past, classes: dict[PointId, str]) -> Intent:
    """Return a random intent over given classes: their modes, and rules of each kind between them."""
    inside = {name: [nic for nic in table.nics.values() if classes[nic.point] == name] for name in NAMES}
    addresses = {name: AddressSet.union_all(nic.private for nic in found) for name, found in inside.items()}
    groups: dict[str, ClassIntent] = {}
    for name in NAMES:
        chosen, egress = random.choice(FULL), random.choice((Egress.LEAVE, Egress.LEAVE, Egress.ENFORCE))
        inbound = allowed(random, NAMES, addresses, "in") if chosen.enforced else Allowed()
        outbound = allowed(random, NAMES, addresses, "out") if chosen.enforced and egress is Egress.ENFORCE else Allowed()
        groups[name] = ClassIntent(name, DOMAIN, Labels(), chosen, egress, addresses[name], inbound, outbound)
    return wish(table, mode, past, groups, {nic.point: classes[nic.point] for nic in table.nics.values() if not nic.skipped})


def by_chance(random: Random, table: AzureTable, before: dict[PointId, str] | None = None) -> dict[PointId, str]:
    """Return a class for every interface; most stay where they were before."""
    stay = before or {}
    return {point: stay[point] if point in stay and random.random() < 0.6 else random.choice(NAMES) for point in sorted(table.nics)}


def well_formed(table: AzureTable) -> None:
    """One group of ours per side, never an empty one, never beside an address, all in one VNet; nobody in a group that no rule names."""
    inside = members(table)
    named = asgs_of(rule for nsg in table.nsgs.values() for rule in nsg.rules if rule.ours)
    assert named == set(table.asgs), "every group is named, and every named one is there"
    for nsg in table.nsgs.values():
        for rule in nsg.rules:
            if rule.ours:
                for side in (rule.source, rule.destination):
                    assert len(side.asgs) <= 1
                    assert not side.asgs or (not side.addresses and not side.tag and inside[side.asgs[0]])
                vnets = {nic.vnet for nic in table.nics.values() if set(nic.asgs) & asgs_of([rule])}
                assert len(vnets) <= 1
    for nic in table.nics.values():
        ours = [one for one in nic.asgs if one in table.asgs]
        assert len(ours) <= 1
        assert nic.seats or not ours


def same_but_probes(one: AzureTable, other: AzureTable) -> None:
    """The platform's own packets are let through by rules of ours whose numbers may differ; everything else is the same."""
    probes = PacketSet.of(PLATFORM_ADDRESS, ANY_SERVICE)
    mine, theirs = decode(one), decode(other)
    for point, access in mine.items():
        assert access.inbound - probes == theirs[point].inbound - probes, point
        assert access.outbound - probes == theirs[point].outbound - probes, point


@settings(max_examples=60)
@given(SEEDS, WHERE, MODES)
def test_groups_say_the_same_policy(seed: int, where: str, mode: TargetMode) -> None:
    random = Random(seed)
    table = joinable(random, estate(random, where=where))
    past, classes = Past.of(table), by_chance(random, table)
    wanted = drawn(Random(seed), table, mode, past, classes)
    encoding, by_address = encode(wanted, table, GROUPS), encode(wanted, table, PLAIN)
    assert {one.code for one in encoding.problems} == {one.code for one in by_address.problems}
    if encoding.problems:
        return
    well_formed(encoding.table)
    same_but_probes(encoding.table, by_address.table)
    assert differences(encoding.table, wanted, Beyond.of(encoding)) == differences(by_address.table, wanted, Beyond.of(by_address))
    if mode is TargetMode.EXCLUSIVE:
        unheld_unchanged(table, encoding.table, wanted)
    for point, nic in encoding.table.nics.items():
        assert replace(nic, asgs=table.nics[point].asgs) == table.nics[point]
        assert {one for one in nic.asgs if one == "/asg/theirs"} == set(table.nics[point].asgs), "foreign groups stay"
    again = encode(drawn(Random(seed), encoding.table, mode, past, classes), encoding.table, GROUPS)
    assert again.table == encoding.table
    full = replace(GROUPS, quotas=replace(GROUPS.quotas, asgs=0))
    off = encode(drawn(Random(seed), encoding.table, mode, past, classes), encoding.table, full)
    assert not off.table.asgs, "with no room for groups all of them go"
    if not off.problems:
        assert not any(nic.asgs for nic in off.table.nics.values() if nic.asgs != ("/asg/theirs",))


def two_states(seed: int, where: str, mode: TargetMode) -> tuple[AzureTable, AzureTable, Intent] | None:
    """Return a table that one policy was applied to, and the one that another policy wants after some machines have changed class."""
    random = Random(seed)
    table = joinable(random, estate(random, where=where))
    past, classes = Past.of(table), by_chance(random, table)
    first = encode(drawn(random, table, mode, past, classes), table, GROUPS)
    if first.problems:
        return None
    wanted = drawn(random, first.table, mode, past, by_chance(random, table, classes))
    second = encode(wanted, first.table, GROUPS)
    return None if second.problems else (first.table, second.table, wanted)


def ordered(actual: AzureTable, desired: AzureTable) -> Order:
    options = {"subscription": SUBSCRIPTION, "asgs": "on"}
    target = TargetSettings("az", "azure", TargetMode.EXCLUSIVE, options, Where("cloudsync.yaml", 1), "")
    adapter = AzureAdapter(target, "acme", SimulatedClock())
    return choose(adapter, actual, desired, {one.id: one.addresses for one in points(actual)})


@settings(max_examples=60)
@given(SEEDS, WHERE, MODES)
def test_members_and_rules_change_inside_their_bounds(seed: int, where: str, mode: TargetMode) -> None:
    states = two_states(seed, where, mode)
    if states is None:
        return
    actual, desired, _ = states
    phases = steps(actual, desired, Method.SWAP, GROUPS)
    assert fold(actual, phases) == desired
    inside_bounds(Random(seed), actual, phases)
    assert not steps(desired, desired, Method.SWAP, GROUPS)


@settings(max_examples=60)
@given(SEEDS, WHERE, MODES)
def test_the_planner_finds_an_order_in_which_every_state_is_between_old_and_new(seed: int, where: str, mode: TargetMode) -> None:
    states = two_states(seed, where, mode)
    if states is None or states[0] == states[1]:
        return
    actual, desired, _ = states
    found = ordered(actual, desired)
    if not found.replay.safe:
        return  # told apart below: they are few
    assert found.final == desired
    between(Random(seed), actual, desired, found.phases)


def between(random: Random, actual: AzureTable, desired: AzureTable, phases: tuple[Phase, ...]) -> None:
    old, new = decode(actual), decode(desired)
    table = actual
    for phase in phases:
        shuffled = list(phase.steps)
        random.shuffle(shuffled)
        for step in shuffled:
            table = simulate(table, [step])
            for point, now in decode(table).items():
                own = table.nics[point].private
                for was, will, here in (
                    (old[point].inbound, new[point].inbound, now.inbound),
                    (old[point].outbound, new[point].outbound, now.outbound),
                ):
                    assert here in (was, will) or _felt(was & will, own) <= here, (phase.name, step.title)
                    assert here in (was, will) or _felt(here, own) <= was | will, (phase.name, step.title)


def _felt(packets: PacketSet, own: AddressSet) -> PacketSet:
    return packets - PacketSet.of(own, ANY_SERVICE)


def test_an_order_is_nearly_always_found_and_by_every_method() -> None:
    methods: dict[str, int] = {}
    for seed in range(150):
        states = two_states(seed, "below", TargetMode.EXCLUSIVE)
        if states is not None and states[0] != states[1]:
            method = ordered(states[0], states[1]).method
            methods[method] = methods.get(method, 0) + 1
    assert methods.get("swap", 0) > 20, methods
    assert methods.get("meet", 0) > 5, methods
    assert methods.get("none safe", 0) <= 3, methods

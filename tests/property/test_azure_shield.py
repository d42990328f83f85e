"""Shields on random Azure estates: they cut what they say and nothing else, lead there and back, and are gone with the next plan."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.adapter import Access, Effect, Method, Phase
from cloudsync.model.address import ANYWHERE, AddressSet, Family
from cloudsync.model.mode import TargetMode
from cloudsync.model.packets import PacketSet
from cloudsync.model.service import AH, ANY_SERVICE, ESP, ICMP, ICMPV6, TCP, UDP, ServiceSet, possible
from cloudsync.model.workload import PointId
from cloudsync_azure.bounds import bounds
from cloudsync_azure.decode import Reader, decode
from cloudsync_azure.encode import encode
from cloudsync_azure.limits import PLATFORM_ADDRESS, Quotas
from cloudsync_azure.settings import AzureSettings
from cloudsync_azure.shield import shield
from cloudsync_azure.simulate import complaints, simulate
from cloudsync_azure.steps import steps
from cloudsync_azure.table import AzureTable, Tier
from tests.property.azure_estates import PLAIN, SERVICES, Past, estate, passes, probes
from tests.property.shields import asked, never_more, untyped
from tests.property.test_azure_groups import GROUPS, by_chance, joinable
from tests.property.test_azure_groups import drawn as groups_drawn
from tests.property.test_azure_plans import CHILD, fold, two_states
from tests.trust.budget import budget

EXAMPLES = settings(max_examples=budget(15, 1000, 4000))
SEEDS = st.integers(0, 10**9)
CASES = given(
    SEEDS,
    st.sampled_from(("below", "above", "anywhere")),
    st.sampled_from((TargetMode.EXCLUSIVE, TargetMode.ADDITIVE)),
    st.sampled_from((PLAIN, CHILD)),
)
PEERS = (
    ANYWHERE,
    AddressSet.of("10.0.0.0/8"),
    AddressSet.of("10.1.0.4", "10.1.1.7", "192.0.2.0/24"),
    AddressSet.of("192.0.2.1", "2001:db8::/32"),
    ANYWHERE - AddressSet.of("10.1.0.0/24", "168.63.129.16"),
)
NAMED = ServiceSet.union_all(map(ServiceSet.protocol, (TCP, UDP, ICMP, ICMPV6, ESP, AH)))
WAYS = (Method.SWAP, Method.MERGE, Method.TWO_BAND)
Cut = dict[PointId, Access]


def drawn(random: Random, table: AzureTable) -> Cut:
    return asked(random, table.nics, PEERS, SERVICES)


def only_shields(before: AzureTable, after: AzureTable) -> None:
    for key, nsg in after.nsgs.items():
        assert [one for one in nsg.rules if one.tier is not Tier.SHIELD] == [
            one for one in before.nsgs[key].rules if one.tier is not Tier.SHIELD
        ]
        assert nsg.rules == before.nsgs[key].rules or nsg.managed
        assert not list(complaints(nsg.rules))
        for one in nsg.rules:
            assert one.tier is not Tier.SHIELD or (one.deny and one.description == "cloudsync/acme: temporary")


@EXAMPLES
@CASES
def test_a_shield_cuts_exactly_what_it_is_asked_to(seed: int, where: str, mode: TargetMode, options: AzureSettings) -> None:
    states = two_states(seed, where, mode, options)
    if states is None:
        return
    random, table = Random(seed), states[0]
    cut = drawn(random, table)
    shielded = shield(table, cut, options)
    never_more(decode(table), decode(shielded), cut)
    only_shields(table, shielded)
    assert shield(shielded, cut, options) == shielded
    assert shield(table, {}, options) == table
    for point, rest in uncut(shielded, cut).items():
        assert not rest, (point, rest.text())


def uncut(shielded: AzureTable, cut: Cut) -> dict[PointId, PacketSet]:
    """Return what Azure has words for and still passes inbound, where one managed NSG and no foreign allow stand before a point."""
    reader, after = Reader(shielded), decode(shielded)
    found = {}
    for point, access in cut.items():
        nic = shielded.nics[point]
        names = reader.series(nic)
        if nic.skipped or len(names) != 1:
            continue
        (name,) = names
        if any(one.tier is not Tier.SHIELD and not one.deny and one.priority < 1100 for one in shielded.nsgs[name].rules):
            continue  # the platform's own allow too: what it stands above is not looked at here
        found[point] = said(access.inbound) & after[point].inbound - PacketSet.of(PLATFORM_ADDRESS, ANY_SERVICE)
    return found


def said(packets: PacketSet) -> PacketSet:
    """Return what Azure has words for: everything of a family, else what is left of the protocols with a name, ICMP only whole."""
    found: list[PacketSet] = []
    for peers, services in packets.products():
        family = Family.V4 if peers.v4 else Family.V6
        whole = possible(family) <= services
        found.append(PacketSet.of(peers, services) if whole else untyped(PacketSet.of(peers, services & NAMED)))
    return PacketSet.union_all(found)


@EXAMPLES
@given(SEEDS)
def test_a_reading_rule_by_rule_cuts_what_is_decoded(seed: int) -> None:
    random = Random(seed)
    table = estate(random)
    shielded = shield(table, drawn(random, table), PLAIN)
    decoded = decode(shielded)
    for nic in shielded.nics.values():
        for packet in probes(random, 60):
            for way, packets in (("Inbound", decoded[nic.point].inbound), ("Outbound", decoded[nic.point].outbound)):
                assert (packet in packets) is passes(shielded, nic, packet, way), (nic.point, way, packet.text())


@EXAMPLES
@given(SEEDS)
def test_addresses_of_two_are_cut_where_both_are_to_be_cut(seed: int) -> None:
    """Subnets of two VNets may hold the same addresses and carry the same NSG."""
    random = Random(seed)
    table = estate(random)
    points = sorted(table.nics)
    one, other = table.nics[random.choice(points)], table.nics[random.choice(points)]
    table = replace(table, nics={**table.nics, one.point: replace(one, private=one.private | other.private)})
    cut = drawn(random, table)
    never_more(decode(table), decode(shield(table, cut, PLAIN)), cut)


def inside(random: Random, table: AzureTable, phases: tuple[Phase, ...], ends: tuple[AzureTable, AzureTable]) -> AzureTable:
    """Carry phases out, steps shuffled: each NSG's own verdict is that of one of the two ends, and every state is inside the bounds."""
    for key in table.nsgs:
        one, other = (decode(replace(table, nsgs={**table.nsgs, key: end.nsgs[key]})) for end in ends)
        state = table
        for phase in phases:
            shuffled = list(phase.steps)
            random.shuffle(shuffled)
            for step in shuffled:
                if step.object != key:
                    continue
                state = simulate(state, [step])
                for point, access in decode(state).items():
                    was, will = one[point], other[point]
                    assert was.inbound & will.inbound <= access.inbound <= was.inbound | will.inbound, (phase.name, step.title)
                    assert was.outbound & will.outbound <= access.outbound <= was.outbound | will.outbound, (phase.name, step.title)
    for phase in phases:
        reach = bounds(table, phase.steps)
        lower, upper = [decode(one) for one in reach.lower], [decode(one) for one in reach.upper]
        now = decode(simulate(table, random.sample(phase.steps, random.randint(0, len(phase.steps)))))
        for point, access in now.items():
            assert access.inbound <= PacketSet.union_all(one[point].inbound for one in upper)
            assert any(not one[point].inbound - access.inbound for one in lower)
        table = simulate(table, phase.steps)
    return table


def way(actual: AzureTable, desired: AzureTable, options: AzureSettings) -> tuple[Phase, ...]:
    return (
        next((found for method in WAYS[1:] if (found := steps(actual, desired, method, options))), ())
        if options.child
        else steps(actual, desired, Method.SWAP, options)
    )


@EXAMPLES
@CASES
def test_there_and_back_with_the_change_between(seed: int, where: str, mode: TargetMode, options: AzureSettings) -> None:
    states = two_states(seed, where, mode, options)
    if states is None:
        return
    random, (actual, desired, _) = Random(seed), states
    cut = drawn(random, actual)
    up, over = shield(actual, cut, options), shield(desired, cut, options)
    table, keys = actual, list[str]()
    for number, goal in enumerate((up, over, desired)):
        phases = way(table, goal, options)
        if table != goal and not phases:
            assert options.child, "whole groups are replaced, whatever stands in them"
            return  # rule by rule a number may be taken: the planner goes another way
        if number != 1:
            assert all(step.temporary for phase in phases for step in phase.steps)
            assert all("shield" in phase.name for phase in phases)
            assert all(step.effect in (Effect.NONE, Effect.GROWS if number else Effect.SHRINKS) for phase in phases for step in phase.steps)
        table = inside(random, table, phases, (table, goal))
        assert table == goal
        keys += [step.key for phase in phases for step in phase.steps]
    assert len(keys) == len(set(keys)), "the three parts of a plan have keys of their own"


@EXAMPLES
@CASES
def test_one_put_replaces_and_shields(seed: int, where: str, mode: TargetMode, options: AzureSettings) -> None:
    """Whole groups: the shield comes with the new rules, in the same step."""
    states = two_states(seed, where, mode, PLAIN)
    if states is None or options.child:
        return
    actual, desired, _ = states
    cut = drawn(Random(seed), actual)
    over = shield(desired, cut, PLAIN)
    phases = steps(actual, over, Method.SWAP, PLAIN)
    assert fold(actual, phases) == over
    assert sum(len(phase.steps) for phase in phases if phase.name != "flush") <= len(actual.nsgs)
    lasting = {key: {one for one in nsg.rules if one.ours and one.tier is not Tier.SHIELD} for key, nsg in desired.nsgs.items()}
    for phase in phases:
        for step in phase.steps:
            if not step.temporary and phase.name == "replace":
                assert step.adds <= len(lasting[step.object])


@EXAMPLES
@CASES
def test_a_shield_that_was_left_behind_is_removed(seed: int, where: str, mode: TargetMode, options: AzureSettings) -> None:
    states = two_states(seed, where, mode, options)
    if states is None:
        return
    random, (actual, _, wish) = Random(seed), states
    stale = shield(actual, drawn(random, actual), options)
    again = encode(wish, stale, options)
    assert not again.problems
    assert not any(one.tier is Tier.SHIELD for nsg in again.table.nsgs.values() for one in nsg.rules)
    phases = way(stale, again.table, options)
    assert fold(stale, phases) == again.table
    inside(random, stale, phases, (stale, again.table))
    waiting = replace(wish, quarantined=next(iter(actual.nics.values())).private)
    assert not any(one.tier is Tier.SHIELD for nsg in encode(waiting, stale, options).table.nsgs.values() for one in nsg.rules)


@EXAMPLES
@CASES
def test_a_shield_keeps_the_quotas(seed: int, where: str, mode: TargetMode, options: AzureSettings) -> None:
    states = two_states(seed, where, mode, options)
    if states is None:
        return
    random, (actual, desired, _) = Random(seed), states
    most = max(len(nsg.rules) for nsg in actual.nsgs.values()) + random.randint(0, 3)
    tight = replace(options, quotas=Quotas(rules_per_nsg=most))
    cut = drawn(random, actual)
    up, over = shield(actual, cut, tight), shield(desired, cut, tight)
    for key, nsg in up.nsgs.items():
        assert len(nsg.rules) <= max(most, len(actual.nsgs[key].rules))
    if not any(one.tier is Tier.SHIELD for table in (up, over) for nsg in table.nsgs.values() for one in nsg.rules):
        return
    table = up
    for phase in way(up, over, tight) if options.child else ():
        for step in phase.steps:
            table = simulate(table, [step])
            nsg = table.nsgs[step.object]
            shields = any(one.tier is Tier.SHIELD for one in nsg.rules)
            assert not shields or len(nsg.rules) <= max(most, len(up.nsgs[nsg.id].rules)), "at the peak there is room for all"


@EXAMPLES
@given(SEEDS, st.sampled_from((TargetMode.EXCLUSIVE, TargetMode.ADDITIVE)))
def test_shields_aim_at_addresses_where_rules_aim_at_groups(seed: int, mode: TargetMode) -> None:
    """Machines change their groups beneath shields that stay where they are."""
    random = Random(seed)
    table = joinable(random, estate(random))
    past, classes = Past.of(table), by_chance(random, table)
    first = encode(groups_drawn(random, table, mode, past, classes), table, GROUPS)
    if first.problems:
        return
    second = encode(groups_drawn(random, first.table, mode, past, by_chance(random, table, classes)), first.table, GROUPS)
    if second.problems:
        return
    actual, desired = first.table, second.table
    cut = drawn(random, actual)
    up, over, now = shield(actual, cut, GROUPS), shield(desired, cut, GROUPS), actual
    never_more(decode(actual), decode(up), cut)
    never_more(decode(desired), decode(over), cut)
    for number, goal in enumerate((up, over, desired)):
        phases = steps(now, goal, Method.SWAP, GROUPS)
        assert number == 1 or all(step.temporary for phase in phases for step in phase.steps)
        now = fold(now, phases)
        assert now == goal


def test_the_properties_are_not_vacuous() -> None:
    cuts = stages = 0
    for seed in range(30):
        for options in (PLAIN, CHILD):
            states = two_states(seed, "below", TargetMode.ADDITIVE, options)
            assert states is not None
            actual, desired, _ = states
            cut = drawn(Random(seed), actual)
            up, over = shield(actual, cut, options), shield(desired, cut, options)
            cuts += decode(up) != decode(actual)
            stages += bool(way(up, over, options)) and up != actual
    assert cuts > 40
    assert stages > 30

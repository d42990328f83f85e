"""Laws of the pure half: determinism, inputs left alone, what the model of a step says, and honesty about what the platform can say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

from cloudsync.adapter import Intent, Method, Phase, Table, Whose
from cloudsync.model.codec import canonical
from cloudsync.model.fidelity import Verdict
from cloudsync.model.packets import NO_PACKETS
from cloudsync.proof.certificate import final_table
from cloudsync.testing.contract.packets import packet_of, points_of
from cloudsync.testing.contract.pipeline import Decided, Runs
from cloudsync.testing.contract.stage import Hole, Stage
from cloudsync.testing.contract.world import API, FIRST, FIRST_OPENS, OUTBOUND, SECOND, World, policy

ORDERS_MAX = 24
"""Orders of one phase's steps that are tried."""


def ways(runs: Runs) -> Iterator[Decided]:
    """Yield two plans, each before it is carried out: one that adopts, one that changes what is ours."""
    for rules in (FIRST, SECOND):
        decided = runs.decide(policy(rules))
        assert not decided.refusals, f"refused: {decided.refusals[0]}"
        assert decided.steps, "a plan without steps shows nothing"
        yield decided
        runs.converge(*rules)


class Laws:
    """Cases about the pure functions."""

    def test_the_pure_half_is_pure(self, stage: Stage) -> None:
        """Equal input, equal output; the order of classes and points means nothing; the tables handed in stay as they are."""
        World.build(stage)
        for decided in ways(Runs(stage)):
            adapter, table, desired = decided.adapter, decided.snapshot.table, decided.built.encoding.table
            text = canonical(adapter.dump(table))
            again = adapter.encode(decided.intent, decided.snapshot)
            assert again.table == desired, "encode gives another table the second time"
            turned = adapter.encode(_turned(decided.intent), decided.snapshot)
            assert turned.table == desired, "the order of classes and points changes what is encoded"
            assert canonical(adapter.dump(turned.table)) == canonical(adapter.dump(desired)), "dump depends on the order of the intent"
            for method in adapter.capabilities.methods:
                one, other = adapter.steps(table, desired, method), adapter.steps(table, turned.table, method)
                assert one == other, f"steps by {method.value} differ between equal inputs"
            for phase in decided.built.plan.phases:
                adapter.simulate(table, *())
                adapter.bounds(table, ())
                adapter.affected(table, phase.steps)
            adapter.entries(table)
            adapter.points(table)
            assert canonical(adapter.dump(table)) == text, "a pure function changed the table that it was given"

    def test_steps_lead_to_the_desired_table(self, stage: Stage) -> None:
        """Folding `simulate` over the steps of each method leads exactly where `encode` wants; equal tables need no step."""
        World.build(stage)
        for decided in ways(Runs(stage)):
            adapter, table, desired = decided.adapter, decided.snapshot.table, decided.built.encoding.table
            led = 0
            for method in adapter.capabilities.methods:
                phases = adapter.steps(table, desired, method)
                keys = [step.key for phase in phases for step in phase.steps]
                assert len(set(keys)) == len(keys), f"steps by {method.value} share a key"
                assert all(step.payload and step.title and step.action for phase in phases for step in phase.steps), "a step without words"
                if phases:
                    led += 1
                    end = final_table(adapter, table, phases)
                    assert end == desired, f"the steps by {method.value} do not lead to the desired table"
                assert not adapter.steps(desired, desired, method), f"equal tables, and {method.value} has steps"
            assert led, "no method leads anywhere"

    def test_a_phase_may_take_effect_in_any_order(self, stage: Stage) -> None:
        """Whatever part of a phase is in force in whatever order: within `bounds`, no point outside `affected`, one end."""
        World.build(stage)
        for decided in ways(Runs(stage)):
            table = decided.snapshot.table
            for phase in decided.built.plan.phases:
                self._any_order(decided, table, phase)
                table = decided.adapter.simulate(table, *phase.steps)

    def _any_order(self, decided: Decided, table: Table, phase: Phase) -> None:
        adapter = decided.adapter
        affected, bounds, before = adapter.affected(table, phase.steps), adapter.bounds(table, phase.steps), adapter.decode(table)
        lower = [adapter.decode(one, Whose.ALL, affected) for one in bounds.lower]
        upper = [adapter.decode(one, Whose.ALL, affected) for one in bounds.upper]
        end = adapter.simulate(table, *phase.steps)
        for order, _ in zip(permutations(phase.steps), range(ORDERS_MAX), strict=False):
            state = table
            for step in order:
                state = adapter.simulate(state, step)
                for point, access in adapter.decode(state).items():
                    if point not in affected:
                        assert access == before[point], f"{step.title} changes {point}, which `affected` does not name"
                        continue
                    for side in ("inbound", "outbound"):
                        now = getattr(access, side)
                        least = getattr(lower[0][point], side)
                        for bound in lower[1:]:
                            least &= getattr(bound[point], side)
                        most = NO_PACKETS
                        for bound in upper:
                            most |= getattr(bound[point], side)
                        assert least <= now, f"after {step.title} in phase {phase.name}, {point} lets less through than every lower bound"
                        assert now <= most, f"after {step.title} in phase {phase.name}, {point} lets more through than the upper bounds"
            assert state == end, f"the steps of phase {phase.name} lead elsewhere in another order"

    def test_reports_agree_with_decode(self, stage: Stage) -> None:
        """points, decode, entries, owned and walk tell one story: for people and guards the same as for the proof."""
        world, runs = World.build(stage), Runs(stage)
        runs.converge(*FIRST)
        adapter = runs.open()
        snapshot = adapter.read()
        table, access = snapshot.table, adapter.decode(snapshot.table)
        points = adapter.points(table)
        ids = [point.id for point in points]
        assert ids == sorted(set(ids)), "points are not ordered by id, each once"
        assert set(access) == set(ids), "decode and points do not name the same points"
        entries = adapter.entries(table)
        strangers = {point for entry in entries for point in entry.points} - set(ids)
        assert not strangers, f"entries name points that are none: {sorted(strangers)[:3]}"
        ours = [entry for entry in entries if entry.ours]
        assert ours, "rules of ours are in force, and no entry is ours"
        assert sum(adapter.owned(table).values()) >= len({(entry.object, entry.native) for entry in ours}), "owned counts too few rules"
        assert sum(adapter.owned(stage.open(stage.target(runs.mode), "nobody").read().table).values()) == 0, "owned counts rules of others"
        self._walks(world, runs)
        self._entries(world, runs)

    def _entries(self, world: World, runs: Runs) -> None:
        """What the policy opens is opened by an entry of ours that names its rule; what somebody opens by hand has an entry too."""
        hole = Hole("198.51.100.0/24", *API)
        world.stage.widen("web1", hole)
        adapter = runs.open()
        snapshot = adapter.read()
        at, entries = points_of(snapshot.discovery), adapter.entries(snapshot.table)
        for to, source, service in world.meant(FIRST_OPENS):
            (point,) = at[to]
            packet = packet_of(source, service)
            behind = [
                one for one in entries if point in one.points and one.direction == "inbound" and not one.denies and packet in one.packets
            ]
            assert any(one.ours for one in behind), f"{source} -> {to} {service} is ours, and no entry of ours opens it"
        blamed = [
            one for one in entries if at["web1"][0] in one.points and packet_of("198.51.100.7", API) in one.packets and not one.denies
        ]
        assert blamed, "a hole was made by hand, and no entry opens it"
        assert all(one.native and one.object_name and one.object for one in blamed), "an entry without words"

    def _walks(self, world: World, runs: Runs) -> None:
        adapter = runs.open()
        snapshot = adapter.read()
        access = adapter.decode(snapshot.table)
        at = points_of(snapshot.discovery)
        for to, source, service in world.probes():
            for point in at[to]:
                packet = packet_of(source, service)
                hops = adapter.walk(snapshot.table, point, "inbound", packet)
                passes = bool(hops) and all(hop.verdict != "deny" for hop in hops) and hops[-1].verdict == "allow"
                words = " / ".join(f"{hop.where}: {hop.verdict} by {hop.rule}" for hop in hops)
                assert passes == (packet in access[point].inbound), f"{source} -> {to} {service}: walk says {words}, decode does not"
                assert all(hop.where and hop.rule for hop in hops), f"a hop without words: {words}"

    def test_every_rule_has_an_honest_verdict(self, stage: Stage) -> None:
        """Capabilities and fidelity agree: what cannot be said is refused by name, looseness needs acceptance, plain rules are exact."""
        World.build(stage)
        runs = Runs(stage)
        able = runs.open().capabilities
        plain = runs.decide(policy(FIRST)).built.encoding
        assert {one.rule for one in plain.fidelity} == {f"base#{number}" for number in (1, 2, 3)}, "not every rule has a verdict"
        assert all(one.verdict is Verdict.EXACT for one in plain.fidelity), f"plain rules are not exact: {plain.fidelity}"
        cases = (
            (able.icmp_types, "allow iplist office to role=web on icmp/echo-request", "any-type ok"),
            (able.processes, "allow iplist office to role=web on tcp/22 by process /usr/sbin/sshd", "port-only ok"),
        )
        for can, rule, accept in cases:
            decided = runs.decide(policy((rule,)))
            verdicts = {one.verdict for one in decided.built.encoding.fidelity}
            if can:
                assert verdicts == {Verdict.EXACT}, f"the capabilities say yes to '{rule}', the verdict is {verdicts}"
                assert not decided.refusals, f"the capabilities say yes to '{rule}', and it is refused: {decided.refusals[0]}"
                continue
            assert verdicts & {Verdict.LOOSER, Verdict.CANNOT}, f"the capabilities say no to '{rule}', the verdict is {verdicts}"
            assert decided.refusals, f"'{rule}' cannot be said exactly, and nobody refuses it"
            accepted = runs.decide(policy((f"{rule} {accept}",)))
            assert not accepted.refusals, f"'{rule} {accept}' is refused all the same: {accepted.refusals[0]}"

    def test_outbound_is_enforced_or_refused(self, stage: Stage) -> None:
        """`egress: enforce` where the capabilities say no is refused; where they say yes it is certified outbound too."""
        world, runs = World.build(stage), Runs(stage)
        rules = (*FIRST, "allow role=web to iplist office on tcp/443")
        decided = runs.decide(policy(rules, OUTBOUND))
        if not runs.open().capabilities.egress:
            assert decided.refusals, "the capabilities say that nothing is enforced outbound, and `egress: enforce` is not refused"
            return
        assert not decided.refusals, f"the capabilities say that outbound is enforced, and it is refused: {decided.refusals[0]}"
        runs.converge(*rules, enforcing=OUTBOUND)
        adapter = runs.open()
        snapshot = adapter.read()
        access, at = adapter.decode(snapshot.table), points_of(snapshot.discovery)
        (web,) = at["web1"]
        to_office, to_partner = packet_of("192.0.2.10", (6, 443)), packet_of("198.51.100.7", (6, 443))
        assert to_office in access[web].outbound, "an outbound rule is not in force"
        assert to_partner not in access[web].outbound, "outbound is open beyond the policy"
        assert packet_of(world.addresses["db1"][0], (6, 5432)) in access[web].outbound, "a rule between workloads is not in force outbound"

    def test_methods_are_those_that_are_offered(self, stage: Stage) -> None:
        """Every plan is found by one of the methods that the capabilities name, in the order in which they are tried."""
        World.build(stage)
        runs = Runs(stage)
        names = {method.value for method in runs.open().capabilities.methods} | {"rounds"}
        for decided in ways(runs):
            assert decided.built.plan.method in names, f"method {decided.built.plan.method}, and offered are {sorted(names)}"
            replay = decided.built.plan.replay
            assert replay is not None, "the way there was not replayed"
            assert replay.safe, "no offered method is safe"
        assert runs.open().capabilities.methods, "no method is offered"
        assert all(isinstance(method, Method) for method in runs.open().capabilities.methods), "an unknown method"


def _turned(intent: Intent) -> Intent:
    """Return the same intent in another order."""
    return replace(intent, classes=intent.classes[::-1], points=intent.points[::-1])

"""What lint says of a rule is true in every inventory: checked packet by packet in small random worlds, with a reading of its own."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address

from cloudsync.model.address import globally_routable
from cloudsync.model.service import TCP, ServiceSet
from cloudsync.policy import cover
from cloudsync.policy.lint import lint
from cloudsync.policy.load import load_policy
from cloudsync.policy.values import (
    AllWorkloads,
    Anywhere,
    Base,
    Internet,
    IpList,
    LabelSelector,
    NamedWorkload,
    Policy,
    Rule,
    Strangers,
    UnlabeledWorkloads,
    Who,
    WorkloadBase,
)

HEAD = """labels: {role: [web, db, lb], env: [prod, dev]}
iplists: {in: [10.0.0.0/31], more: [10.0.0.0/30], out: [8.8.8.0/31], all4: [0.0.0.0/0, "::/0"], none: ["!10.0.0.1"]}
"""
ADDRESSES = tuple(map(ip_address, ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.9", "8.8.8.0", "8.8.8.1", "8.8.8.2", "9.9.9.9", "2a00::1"]))
VOCABULARY = [("role", ["web", "db", "lb"]), ("env", ["prod", "dev"])]
PORTS = (1, 2, 3)
PROCESSES = ("/x", "another")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
Flow = tuple[str, int, int, int, str]
"""Direction, own workload, peer address, port, process."""


@dataclass(frozen=True, slots=True)
class Machine:
    name: str
    labels: dict[str, str]
    addresses: frozenset[int]


def sentence(rng: random.Random) -> str:
    def labels() -> str:
        keys = rng.sample(VOCABULARY, rng.choice([1, 1, 2]))
        return " ".join(f"{key}={'|'.join(sorted(rng.sample(values, rng.choice([1, 1, 2]))))}" for key, values in keys)

    def machines() -> str:
        return rng.choice([labels(), labels(), labels(), "all workloads", "unlabeled workloads", "workload a", "workload b"])

    def places() -> str:
        named = [f"iplist {name}" for name in ("in", "more", "out", "all4", "none")]
        return rng.choice(["anywhere", "anywhere", "strangers", "internet", *named])

    def who(*, source: bool) -> str:
        if rng.random() < 0.6:
            free = "outside " if source and rng.random() < 0.15 else ""
            return free + machines() + (f" except {machines()}" if rng.random() < 0.25 else "")
        return places() + (f" except {rng.choice([places, machines])()}" if rng.random() < 0.3 else "")

    def side(*, source: bool) -> str:
        return ", ".join(who(source=source) for _ in range(rng.choice([1, 1, 1, 2])))

    action = rng.choice(["allow", "allow", "deny", "never allow"])
    ports = rng.choice(["tcp/1", "tcp/2", "tcp/1-2", "tcp/2-3", "tcp", "any service"])
    process = " by process /x" if rng.random() < 0.1 else ""
    return f"{action} {side(source=True)} to {side(source=False)} on {ports}{process}"


def draw_policy(rng: random.Random) -> Policy:
    text = HEAD + "rulesets:\n"
    for number in range(rng.choice([1, 2, 2])):
        scope = rng.choice(["all"] * 9 + ["env=prod", "role=web|db", "[env=prod, env=dev]", "env=prod role=db"])
        text += f"  - name: r{number}\n    scope: {scope}\n    rules:\n"
        drawn = [sentence(rng) for _ in range(rng.choice([2, 4, 8]))]
        drawn += rng.sample(drawn, 1) if rng.random() < 0.2 else []
        text += "".join(f"      - {rule}\n" for rule in drawn)
    policy, findings = load_policy([("p.yaml", text.encode())])
    assert policy is not None, [str(finding) for finding in findings]
    return policy


def draw_world(rng: random.Random) -> tuple[Machine, ...]:
    machines = []
    for number in range(rng.choice([0, 2, 4, 6])):
        labels = {key: rng.choice(values) for key, values in VOCABULARY if rng.random() < 0.7}
        own = rng.sample([int(address) for address in ADDRESSES], rng.choice([0, 1, 2]))
        machines.append(Machine(rng.choice(["a", "b", f"m{number}"]), labels, frozenset(own)))
    return tuple(machines)


class World:
    """One inventory, in one routing domain."""

    def __init__(self, machines: tuple[Machine, ...]) -> None:
        self.machines = machines

    def pick(self, base: Base | None) -> set[int]:
        match base:
            case LabelSelector(clauses):
                return {at for at, one in enumerate(self.machines) if all(one.labels.get(key) in values for key, values in clauses)}
            case UnlabeledWorkloads():
                return {at for at, one in enumerate(self.machines) if not one.labels}
            case NamedWorkload(name):
                return {at for at, one in enumerate(self.machines) if one.name == name}
            case AllWorkloads() | None:
                return set(range(len(self.machines)))
            case _:
                raise AssertionError(base)

    def ends(self, who: Who, scope: LabelSelector | None) -> set[int]:
        found = self.pick(who.base)
        for base in who.excluded:
            found = found - self.pick(base)
        return found if who.outside else found & self.pick(scope)

    def addresses_of(self, machines: set[int]) -> set[int]:
        return {address for at in machines for address in self.machines[at].addresses}

    def places(self, base: Base) -> set[int]:
        every = {int(address) for address in ADDRESSES}
        match base:
            case IpList(_, addresses):
                return {int(address) for address in ADDRESSES if address in addresses}
            case Anywhere():
                return every
            case Strangers():
                return every - self.addresses_of(self.pick(None))
            case Internet():
                return {int(address) for address in ADDRESSES if address in globally_routable()} - self.addresses_of(self.pick(None))
            case _:
                return self.addresses_of(self.pick(base))

    def peers(self, who: Who, scope: LabelSelector | None) -> set[int]:
        if isinstance(who.base, WorkloadBase):
            return self.addresses_of(self.ends(who, scope))
        found = self.places(who.base)
        for base in who.excluded:
            found = found - self.places(base)
        return found

    def flows(self, rule: Rule, *, deciding: bool = False) -> frozenset[Flow]:
        """What a rule speaks of; `deciding`: outbound only where the destination is addresses."""
        return frozenset(self._flows(rule, deciding=deciding))

    def _flows(self, rule: Rule, *, deciding: bool) -> Iterator[Flow]:
        ports = [port for port in PORTS if ServiceSet.ports(TCP, port, port) <= rule.services]
        processes = [rule.process] if rule.process else PROCESSES
        tails = [(port, process) for port in ports for process in processes]
        for scope in rule.scopes:
            for source in rule.sources:
                for destination in rule.destinations:
                    inward, outward = isinstance(destination.base, WorkloadBase), isinstance(source.base, WorkloadBase)
                    if inward:
                        for own in self.ends(destination, scope):
                            yield from (("in", own, peer, *tail) for peer in self.peers(source, scope) for tail in tails)
                    if outward and not (deciding and inward):
                        for own in self.ends(source, scope):
                            yield from (("out", own, peer, *tail) for peer in self.peers(destination, scope) for tail in tails)


def test_findings_hold_in_every_world() -> None:
    rng = random.Random(20260301)
    seen: Counter[str] = Counter()
    worlds = 0
    for _ in range(300):
        policy = draw_policy(rng)
        rules = {rule.id: rule for rule in policy.rules}
        claims = [(finding.code, re.findall(r"r\d#\d", finding.message)) for finding in lint(policy, NOW, schedule_known=True)]
        claims = [(code, ids) for code, ids in claims if code in ("DEAD-ALLOW", "SHADOWED", "DUPLICATE", "CONTRADICTION", "EMPTY-SELECTOR")]
        seen.update(code for code, _ in claims)
        for _ in range(8 if claims else 0):
            world = World(draw_world(rng))
            worlds += 1
            for code, ids in claims:
                holds(world, code, [rules[one] for one in ids])
    print(f"{worlds} worlds, {dict(sorted(seen.items()))}")
    assert min(seen[code] for code in ("DEAD-ALLOW", "SHADOWED", "DUPLICATE", "CONTRADICTION", "EMPTY-SELECTOR")) >= 5, seen


def holds(world: World, code: str, named: list[Rule]) -> None:
    rule, others = named[0], named[1:]
    match code:
        case "DUPLICATE":
            assert world.flows(rule) == world.flows(others[0]), (rule.text, others[0].text, world.machines)
        case "SHADOWED":
            covered = frozenset[Flow]().union(*(world.flows(other) for other in others))
            assert world.flows(rule) <= covered, (rule.text, [other.text for other in others], world.machines)
        case "DEAD-ALLOW" | "CONTRADICTION":
            covered = frozenset[Flow]().union(*(world.flows(other) for other in others))
            assert world.flows(rule, deciding=True) <= covered, (rule.text, [other.text for other in others], world.machines)
        case _:
            empty = [who for who in (*rule.sources, *rule.destinations) if not any(world.peers(who, scope) for scope in rule.scopes)]
            assert empty, (rule.text, world.machines)


def test_the_index_offers_every_rule_that_contains_another_each_once() -> None:
    rng = random.Random(11)
    found = 0
    for _ in range(150):
        rules = draw_policy(rng).rules
        parts = [arm for number, rule in enumerate(rules) for arm in cover.arms(number, rule)]
        index = cover.Index(parts)
        for arm in parts:
            offered = list(index.candidates(arm, arm.rule.services))
            wanted = [
                other for other in parts if other.rule.services.meets(arm.rule.services) and cover.contains(other, arm, both_ways=True)
            ]
            assert len({id(one) for one in offered}) == len(offered)
            assert {id(one) for one in wanted} <= {id(one) for one in offered}
            found += len(wanted)
    assert found > 100

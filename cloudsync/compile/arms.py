"""Rules resolved against a universe: each scope of each rule is an arm, with classes and address selectors on both ends."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from cloudsync.adapter import Origin
from cloudsync.compile.universe import Bits, Universe
from cloudsync.model.address import ANYWHERE, AddressSet
from cloudsync.model.finding import Finding, Severity
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import Domain
from cloudsync.policy.values import (
    AddressBase,
    Anywhere,
    Internet,
    IpList,
    LabelSelector,
    Policy,
    Rule,
    Strangers,
    Who,
    WorkloadBase,
)


@dataclass(frozen=True, slots=True)
class End:
    """One end of an arm: classes, and address WHOs (these still depend on the enforcing domain)."""

    classes: Bits
    addresses: tuple[Who, ...]


@dataclass(frozen=True, slots=True)
class Arm:
    """One rule under one of its scopes."""

    rule: Rule
    source: End
    destination: End


def origin_of(rule: Rule) -> Origin:
    """Return a rule as what entries come from: its name and place for people, its other name for what is written."""
    return Origin(rule.id, rule.where, rule.written)


def who_addresses(universe: Universe, who: Who, domain: Domain) -> AddressSet:
    """Return the addresses of a WHO with an address base, its exceptions taken out. Exceptions are not restricted by a scope."""
    assert isinstance(who.base, AddressBase)
    found = base_addresses(universe, who.base, domain)
    for base in who.excluded:
        if isinstance(base, WorkloadBase):
            found -= universe.addresses(universe.pick(base), domain)
        else:
            found -= base_addresses(universe, base, domain)
    return found


def base_addresses(universe: Universe, base: AddressBase, domain: Domain) -> AddressSet:
    """Return the addresses of an address selector as seen from a domain."""
    match base:
        case IpList(_, addresses):
            return addresses
        case Anywhere():
            return ANYWHERE
        case Strangers():
            return universe.strangers(domain)
        case Internet():
            return universe.internet(domain)
        case _:
            assert_never(base)


def end(universe: Universe, whos: tuple[Who, ...], scope: LabelSelector | None) -> End:
    """Resolve one end of a rule under one scope."""
    classes = 0
    addresses: list[Who] = []
    for who in whos:
        if isinstance(who.base, WorkloadBase):
            picked = universe.who(who, scope)
            classes = classes | picked if classes else picked
        else:
            addresses.append(who)
    return End(classes, tuple(addresses))


def resolve(universe: Universe, policy: Policy, now: datetime) -> tuple[Arm, ...]:
    """Return the arms of every rule that is in force at `now`, in the order of the policy. An arm with an empty end is left out."""
    arms: list[Arm] = []
    for rule in policy.rules:
        if rule.until is not None and rule.until <= now:
            continue
        for scope in rule.scopes:
            source, destination = end(universe, rule.sources, scope), end(universe, rule.destinations, scope)
            if (source.classes or source.addresses) and (destination.classes or destination.addresses):
                arms.append(Arm(rule, source, destination))
    return tuple(arms)


def empty_selectors(universe: Universe, policy: Policy) -> tuple[Finding, ...]:
    """Return a warning per WHO of a rule that picks no workload under any of the rule's scopes: it compiles to no rule, never to any."""
    findings: list[Finding] = []
    for rule in policy.rules:
        for side, whos in (("source", rule.sources), ("destination", rule.destinations)):
            for who in whos:
                if isinstance(who.base, WorkloadBase) and not any(universe.who(who, scope) for scope in rule.scopes):
                    message = f"rule {rule.id}: its {side} matches no workload of the inventory; it compiles to no rule ({rule.text})"
                    findings.append(Finding(rule.where, "EMPTY-SELECTOR", message, "an empty selector never means any", Severity.WARNING))
    return tuple(findings)

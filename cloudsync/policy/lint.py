"""What is allowed to write and still wrong: rules that never match, say nothing new, end soon, or open more than a reader expects.

Everything here holds for every inventory; what depends on the workloads of the day is found when the policy is compiled. Rules are judged
as if every mode were full and outbound were enforced, as policy tests are.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from cloudsync.model.address import globally_routable
from cloudsync.model.finding import Finding, Severity, Where
from cloudsync.model.mode import Egress
from cloudsync.policy.cover import Arm, Covered, Index, Reach, arms, covering, reach, region_of
from cloudsync.policy.resolve import is_workload_base, time_text
from cloudsync.policy.values import (
    Action,
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
)

SOON = timedelta(days=14)
_SAYS_ANYWHERE = "'anywhere' includes your own workloads; 'internet' or 'strangers' may be what you mean"
_HALF_OF_V4 = 1 << 31


def lint(policy: Policy, now: datetime, *, schedule_known: bool) -> tuple[Finding, ...]:
    """Return the lint findings of a policy ordered by file and place.

    `now` is the instant of the run, with a time zone. `schedule_known` says that runs are scheduled, so that an `until` is noticed when it
    comes. Findings of loading (`Policy.warnings`) are not repeated.
    """
    found = [*_times(policy, now, schedule_known=schedule_known), *_objects(policy)]
    live = [rule for rule in policy.rules if rule.until is None or rule.until > now]
    for rule in live:
        found += _empty_selectors(rule)
        found += _not_enforced(policy, rule)
    found += _containment(live)
    order = {file: number for number, file in enumerate(policy.files)}
    return tuple(sorted(found, key=lambda one: (order.get(one.where.file, -1), one.where.line, one.where.col, one.code)))


def _warning(where: Where, code: str, message: str, hint: str = "") -> Finding:
    return Finding(where, code, message, hint, Severity.WARNING)


# --- time


def _times(policy: Policy, now: datetime, *, schedule_known: bool) -> Iterator[Finding]:
    for rule in policy.rules:
        if rule.until is None:
            continue
        ends = time_text(rule.until)
        if rule.until <= now:
            yield _warning(rule.where, "EXPIRED", f"rule {rule.id} ended at {ends} and contributes nothing", "take it out, or renew it")
            continue
        if rule.action is not Action.ALLOW:
            message = f"rule {rule.id} '{rule.action.value}' ends at {ends}: its end opens access"
            yield _warning(rule.where, "EXPIRING-PROTECTION", message, "leave 'until' out unless that is what you want")
        elif rule.until <= now + SOON:
            yield _warning(rule.where, "EXPIRES-SOON", f"rule {rule.id} ends at {ends}", "renew it, or let it end")
        if not schedule_known:
            message = f"rule {rule.id} ends at {ends}, but no run is scheduled before then"
            yield Finding(rule.where, "UNSCHEDULED-EXPIRY", message, "only a run can end a rule: set 'schedule' in cloudsync.yaml")


# --- objects and owners


def _objects(policy: Policy) -> Iterator[Finding]:
    for one in policy.objects:
        if not one.used:
            yield _warning(one.where, "UNUSED-OBJECT", f"{one.kind} '{one.name}' is named nowhere", "take it out")
    for ruleset in policy.rulesets:
        orphans = [rule for rule in policy.rules if rule.ruleset == ruleset.name and not rule.owner]
        if orphans and not ruleset.owner:
            which = f"{len(orphans)} of its rules have none either" if len(orphans) > 1 else f"nor has its rule {orphans[0].id}"
            message = f"ruleset {ruleset.name} has no owner, {which}"
            yield Finding(ruleset.where, "NO-OWNER", message, "add 'owner', so that findings reach somebody", Severity.NOTE)


# --- selectors that are empty in every inventory


def _empty_selectors(rule: Rule) -> Iterator[Finding]:
    for side, whos in (("source", rule.sources), ("destination", rule.destinations)):
        for who in whos:
            if not all(reach(who, scope).empty for scope in rule.scopes):
                continue
            scopes = ", ".join(base_text(scope) for scope in rule.scopes if scope is not None)
            inside = f" inside the scope {scopes}" if is_workload_base(who.base) and scopes and not who.outside else ""
            message = f"rule {rule.id}: {side} '{who_text(who)}' is always empty{inside}"
            yield _warning(rule.where, "EMPTY-SELECTOR", message, "it compiles to no rule")


# --- denials that nothing enforces


def _not_enforced(policy: Policy, rule: Rule) -> Iterator[Finding]:
    if rule.action is Action.ALLOW or all(is_workload_base(who.base) for who in rule.destinations):
        return
    left: dict[str, None] = {}
    for scope in rule.scopes:
        for who in rule.sources:
            source = reach(who, scope)
            if source.region is not None and not source.empty:
                left.update(dict.fromkeys(_left_alone(policy, source)))
    if left:
        where = "; ".join(left)
        message = f"rule {rule.id} '{rule.text}' is outbound, and outbound is left alone at {where}"
        yield _warning(rule.where, "NOT-ENFORCED", message, "set 'egress: enforce' there")


def _left_alone(policy: Policy, source: Reach) -> Iterator[str]:
    assert source.region is not None
    for line in policy.enforcement:
        region = region_of(line.scope)
        if (region & source.region).nobody:
            continue
        if line.egress is Egress.LEAVE:
            yield "the default" if line.scope is None else base_text(line.scope)
        if source.region <= region:
            return


# --- rules inside rules


def _containment(live: list[Rule]) -> Iterator[Finding]:
    parts = [tuple(arms(number, rule)) for number, rule in enumerate(live)]
    indexes = {
        action: Index(arm for rule, own in zip(live, parts, strict=True) if rule.action is action for arm in own) for action in Action
    }
    for rule, own in zip(live, parts, strict=True):
        if not own:
            continue
        if rule.action is Action.ALLOW:
            dead = covering(own, rule.services, indexes[Action.NEVER], both_ways=False)
            if dead is not None:
                yield _dead(rule, dead)
                continue
            denied = covering(own, rule.services, indexes[Action.DENY], both_ways=False)
            if denied is not None:
                yield _contradiction(rule, denied)
            yield from _open(rule, own)
        same = covering(own, rule.services, indexes[rule.action], both_ways=True)
        if same is not None:
            yield from _repeated(rule, own, same, parts)


def _repeated(rule: Rule, own: tuple[Arm, ...], same: Covered, parts: list[tuple[Arm, ...]]) -> Iterator[Finding]:
    other, number = same.by[0], same.numbers[0]
    mutual = len(same.by) == 1 and covering(parts[number], other.services, Index(own), both_ways=True) is not None
    if mutual:
        if number < own[0].number:  # the later of the two speaks for both
            yield _warning(rule.where, "DUPLICATE", f"rule {rule.id} says the same as {_shown(other)}", "take one out")
    elif rule.action is Action.ALLOW:
        yield _warning(rule.where, "SHADOWED", f"rule {rule.id} adds nothing: {_covers(same, 'allow it already')}", "take it out")


def _dead(rule: Rule, covered: Covered) -> Finding:
    wide = any(who.base == Anywhere() for other in covered.by for who in (*other.sources, *other.destinations))
    hint = _SAYS_ANYWHERE if wide else "take it out, or narrow the never rule"
    verb = "cover it entirely"
    return Finding(rule.where, "DEAD-ALLOW", f"rule {rule.id} can never match: {_covers(covered, verb)}", hint)


def _contradiction(rule: Rule, covered: Covered) -> Finding:
    message = f"rule {rule.id} allows what {_covers(covered, 'deny')}; allow outranks deny"
    return _warning(rule.where, "CONTRADICTION", message, "if it is no deliberate exception, take it out or write never")


def _covers(covered: Covered, verb: str) -> str:
    if len(covered.by) > 1:
        return f"{' and '.join(map(_shown, covered.by[:3]))}{' and others' if len(covered.by) > 3 else ''} {verb}"
    first, _, rest = verb.partition(" ")
    single = {"cover": "covers", "allow": "allows", "deny": "denies"}[first]
    return f"{_shown(covered.by[0])} {single} {rest}".rstrip()


def _shown(rule: Rule) -> str:
    return f"{rule.id} '{rule.text}' ({rule.where})"


# --- doors to the internet


def _open(rule: Rule, own: tuple[Arm, ...]) -> Iterator[Finding]:
    open_to = [arm.source.who for arm in own if arm.inbound and _is_wide(arm.source.who.base)]
    if open_to:
        message = f"rule {rule.id} opens {rule.services.text()} to {who_text(open_to[0])}"
        yield _warning(rule.where, "OPEN-TO-INTERNET", message, "if that is meant, leave it: the first plan asks for an approval")


def _is_wide(base: Base) -> bool:
    match base:
        case Anywhere() | Strangers() | Internet():
            return True
        case IpList(_, addresses) if addresses.size >= _HALF_OF_V4:
            rest = globally_routable() - addresses
            return not rest.v4 or not rest.v6
        case _:
            return False


# --- words for messages


def base_text(base: Base) -> str:
    """Return a selector in the words of the policy language, label groups expanded."""
    match base:
        case LabelSelector(clauses):
            return " ".join(f"{key}={'|'.join(values)}" for key, values in clauses)
        case AllWorkloads():
            return "all workloads"
        case UnlabeledWorkloads():
            return "unlabeled workloads"
        case NamedWorkload(name):
            return f"workload {name}"
        case IpList(name, _):
            return f"iplist {name}"
        case Anywhere():
            return "anywhere"
        case Strangers():
            return "strangers"
        case Internet():
            return "internet"


def who_text(who: Who) -> str:
    """Return a WHO in the words of the policy language, label groups expanded."""
    excluded = "".join(f" except {base_text(base)}" for base in who.excluded)
    return f"{'outside ' if who.outside else ''}{base_text(who.base)}{excluded}"

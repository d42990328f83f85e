"""What a route domain carried before us: remembered in our policy's mark, in force below our rules, given back in the end.

A route domain takes one policy, and a foreign one there also decides about what is not ours to decide: virtual servers that are not
enforced, forwarding ones, self addresses. So our policy ends with its rules, word for word, until it is attached again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import quote, unquote

from cloudsync.adapter import Origin
from cloudsync_f5.content import KEPT, digest
from cloudsync_f5.limits import DESCRIPTION_MOST, RULE_NAME_MOST
from cloudsync_f5.table import INHERITED, F5Table, Mark, Policy, RouteDomain, Rule

INHERITED_ORIGIN = (Origin(KEPT.rule),)
_MEMORY = "="


def identity(domain: RouteDomain) -> str:
    """Return the identity of our policy of a route domain, without its memory."""
    return f"domain-{digest([domain.path], 12)}"


def marked(owner: str, domain: RouteDomain, before: str, sha: str) -> Mark:
    """Return the mark of our policy of a route domain; a former policy whose name is too long for it is left to the adoption records."""
    plain = Mark(owner, identity(domain), sha)
    if not before:
        return plain
    mark = replace(plain, id=f"{plain.id}{_MEMORY}{quote(before, safe='/')}")
    return mark if len(mark.text) <= DESCRIPTION_MOST else plain


def former(table: F5Table, domain: RouteDomain) -> str:
    """Return the foreign policy that a route domain carries, or carried before ours; empty for none."""
    if domain.enforced and not table.ours(domain.enforced):
        return domain.enforced
    own = identity(domain)
    attached = [table.policies[domain.enforced]] if domain.enforced in table.policies else []
    for policy in (*attached, *(one for _, one in sorted(table.policies.items()))):
        head, _, memory = policy.mark.id.partition(_MEMORY) if policy.mark is not None else ("", "", "")
        if head == own:
            return unquote(memory)
    return ""


def kept_word(domain: RouteDomain, policy: str) -> str:
    """Return how adoption records say what a route domain carried; what virtual servers carried stands there as a plain path."""
    return f"{domain.path} {policy}"


def recorded(domain: RouteDomain, originals: Iterable[tuple[str, ...]]) -> str:
    """Return what adoption records say of a route domain; empty when they say nothing."""
    start = kept_word(domain, "")
    return min((word.removeprefix(start) for words in originals for word in words if word.startswith(start)), default="")


def of_virtual(original: tuple[str, ...]) -> str:
    """Return the policy that a virtual server carried, from its adoption record; empty for none."""
    return next((word for word in original if " " not in word), "")


def inherited(policy: Policy) -> tuple[Rule, ...]:
    """Return the rules of a policy for the end of ours: the same rules under names of their own."""
    if policy.mark is not None:
        return tuple(replace(rule, origins=INHERITED_ORIGIN) for rule in policy.rules if rule.inherited)
    found: list[Rule] = []
    for rule in policy.rules:
        name = f"{INHERITED}{rule.name}"
        if len(name) > RULE_NAME_MOST:
            name = f"{INHERITED}{digest(rule.name)}_{rule.name}"[:RULE_NAME_MOST]
        found.append(replace(rule, name=name, description=KEPT.rule, origins=INHERITED_ORIGIN))
    return tuple(found)


def unwritable(policy: Policy) -> tuple[Rule, str] | None:
    """Return the first rule that cannot be written again, and why; None when all can."""
    for rule in policy.rules:
        why = next((word for word in rule.odd if word.startswith(("hours", "status", "action"))), "")
        if why:
            return rule, why
    return None

"""What a rule without an id is called where it is written: a name made from what it says, wherever in the file it stands."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256

from cloudsync.policy.grammar import terms_text, whos_text
from cloudsync.policy.syntax import BaseTree, LabelsBase, RuleTree, WhoTree
from cloudsync.policy.values import Rule

DIGITS = 10


def token(ruleset: str, tree: RuleTree, process: str) -> str:
    """Return `ruleset@hash` of a canonical tree: action, ends, services and process in the policy's own words, in one order.

    Clauses are no part of it but the process, and neither is what is in a named list, group or service.
    """
    services = sorted({word.text for word in tree.services})
    said = [tree.action.value, _ends(tree.sources), _ends(tree.destinations), services, process]
    return f"{ruleset}@{sha256(json.dumps(said, separators=(',', ':')).encode()).hexdigest()[:DIGITS]}"


def _ends(whos: Iterable[WhoTree]) -> list[list[str]]:
    return sorted([_base(who.base), _base(who.excluded) if who.excluded else "", "outside" if who.outside else ""] for who in whos)


def _base(base: BaseTree) -> str:
    """Return a base in words; labels and their values in one order."""
    if not isinstance(base, LabelsBase):
        return whos_text([WhoTree(base)])
    return " ".join(sorted(terms_text([replace(one, values=tuple(sorted(one.values, key=lambda word: word.text)))]) for one in base.terms))


def told_apart(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return the rules of a ruleset with one token each: of several that say the same all but the first get `.2`, `.3`, and so on.

    Their order is that of their whole sentences, so that it does not matter where they stand.
    """
    found = list(rules)
    same: dict[str, list[int]] = {}
    for at, rule in enumerate(found):
        same.setdefault(rule.token, []).append(at)
    for several in same.values():
        for turn, at in enumerate(sorted(several, key=lambda one: (found[one].text, one))[1:], 2):
            found[at] = replace(found[at], token=f"{found[at].token}.{turn}")
    return tuple(found)

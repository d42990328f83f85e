"""What a rule without an id is called where it is written: a name made from what it says, wherever in the file it stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256

from cloudsync.policy.grammar import clauses_text, terms_text, whos_text
from cloudsync.policy.syntax import NO_CLAUSES, BaseTree, LabelsBase, RuleTree, WhoTree
from cloudsync.policy.values import Rule

DIGITS = 10


def written(ruleset: str, tree: RuleTree, text: str) -> str:
    """Return `ruleset@hash` of a canonical tree and its sentence: action, ends, services, process in the policy's own words, in one order.

    Of the clauses only the process is part of it, and nothing of what is in a named list, group or service.
    """
    said = text if tree.clauses is NO_CLAUSES and _in_order(tree) else _sentence(tree)
    return f"{ruleset}@{sha256(said.encode()).hexdigest()[:DIGITS]}"


def _in_order(tree: RuleTree) -> bool:
    """Tell whether there is nothing in it that could stand in another order: most rules name one of each."""
    if len(tree.sources) > 1 or len(tree.destinations) > 1 or len(tree.services) > 1:
        return False
    return all(who.excluded is None and _single(who.base) for who in (*tree.sources, *tree.destinations))


def _single(base: BaseTree) -> bool:
    return not isinstance(base, LabelsBase) or (len(base.terms) == 1 and len(base.terms[0].values) == 1)


def _sentence(tree: RuleTree) -> str:
    """Return the sentence with every list in one order, without clauses but the process."""
    services = ", ".join(sorted({word.text for word in tree.services}))
    process = clauses_text(replace(NO_CLAUSES, process=tree.clauses.process))
    return f"{tree.action.value} {_ends(tree.sources)} to {_ends(tree.destinations)} on {services}{process}"


def _ends(whos: Iterable[WhoTree]) -> str:
    ordered = (replace(who, base=_ordered(who.base), excluded=None if who.excluded is None else _ordered(who.excluded)) for who in whos)
    return ", ".join(sorted({whos_text([who]) for who in ordered}))


def _ordered(base: BaseTree) -> BaseTree:
    """Return labels with their terms and values in one order."""
    if not isinstance(base, LabelsBase):
        return base
    terms = [replace(one, values=tuple(sorted(one.values, key=lambda word: word.text))) for one in base.terms]
    return LabelsBase(tuple(sorted(terms, key=lambda one: terms_text([one]))))


def told_apart(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return the rules of a ruleset with one such name each: of several that say the same all but the first get `.2`, `.3`, and so on.

    Their order is that of their whole sentences, so that it does not matter where they stand.
    """
    found = list(rules)
    same: dict[str, list[int]] = {}
    for at, rule in enumerate(found):
        same.setdefault(rule.written, []).append(at)
    for several in same.values():
        for turn, at in enumerate(sorted(several, key=lambda one: (found[one].text, one))[1:] if len(several) > 1 else (), 2):
            found[at] = replace(found[at], written=f"{found[at].written}.{turn}")
    return tuple(found)

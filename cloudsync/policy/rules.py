"""Rules and tests: a sentence and a long form become the same syntax tree, and the tree becomes a Rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from cloudsync.model.finding import Where
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ServiceSet
from cloudsync.policy.grammar import EVERYONE_HINT, parse_rule, parse_services, parse_test, parse_whos, rule_text, text_of_test
from cloudsync.policy.reading import Reader
from cloudsync.policy.resolve import Resolver, is_workload_base, time_text
from cloudsync.policy.strict import Mapping, Node, Scalar
from cloudsync.policy.syntax import NO_CLAUSES, Clauses, RuleTree, TestTree, WhoTree, Word
from cloudsync.policy.values import Action, LabelSelector, PolicyTest, Rule, Who
from cloudsync.policy.words import ACCEPTS, did_you_mean, listed
from cloudsync.policy.written import written

_ACTIONS = {"allow": Action.ALLOW, "deny": Action.DENY, "never": Action.NEVER}
_FIELDS = (*_ACTIONS, "id", "until", "because", "owner", "process", "logged", "accept")


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a rule stands: its ruleset, its position counted from 1, and the scopes it is evaluated in."""

    ruleset: str
    position: int
    scopes: tuple[LabelSelector | None, ...]


class RuleReader:
    """Reads rules and tests; what is wrong with them goes to the reader's findings."""

    def __init__(self, reader: Reader, resolver: Resolver) -> None:
        self.reader, self.resolver = reader, resolver

    # --- rules

    def rule(self, node: Node, seat: Seat) -> Rule | None:
        """Return the rule of one list item; None when it has findings."""
        if isinstance(node, Scalar):
            sentence = self.reader.text(node, "a rule")
            tree = None if sentence is None else parse_rule(self.reader.piece(sentence), self.reader.findings)
            return None if tree is None else self.resolved(tree, seat, node.where, "")
        if isinstance(node, Mapping):
            before = len(self.reader.findings)
            found = node.get("id")
            name = None if found is None else self.reader.name(found, "rule id")
            tree = self.long_form(node)
            whole = tree is not None and len(self.reader.findings) == before
            return self.resolved(tree, seat, node.where, name.text if name else "") if whole and tree else None
        self.reader.report(node.where, "WRONG-TYPE", "a rule is a list", "want a sentence or {allow: {from, to, services}}")
        return None

    def long_form(self, node: Mapping) -> RuleTree | None:
        """Return the tree of a long form."""
        self.reader.fields(node, _FIELDS, "a rule")
        actions = [key for key, _ in node.entries if key.text in _ACTIONS]
        if len(actions) != 1:
            found = f"{len(actions)} of them" if actions else "none of them"
            self.reader.report(node.where, "BAD-ACTION", f"a rule is one of allow, deny or never, found {found}", "one action each")
            return None
        action = actions[0]
        ends = self.reader.mapping(node.get(action.text), f"'{action.text}'")
        clauses = self._clauses(node)
        if ends is None:
            return None
        self.reader.fields(ends, ("from", "to", "services"), f"'{action.text}'")
        sources = self._whos(ends, "from", "source")
        destinations = self._whos(ends, "to", "destination")
        services = self._services(ends)
        if not sources or not destinations or not services:
            return None
        return RuleTree(_ACTIONS[action.text], sources, destinations, services, clauses)

    def _whos(self, ends: Mapping, key: str, side: str) -> tuple[WhoTree, ...]:
        node = ends.get(key)
        texts = () if node is None else self.reader.texts(node, f"'{key}'")
        if not texts:
            self.reader.report(ends.where if node is None else node.where, "EMPTY-WHO", f"no {side}", EVERYONE_HINT)
        found: list[WhoTree] = []
        for text in texts:
            found.extend(parse_whos(self.reader.piece(text), self.reader.findings, side))
        return tuple(found)

    def _services(self, ends: Mapping) -> tuple[Word, ...]:
        node = ends.get("services")
        texts = () if node is None else self.reader.texts(node, "'services'")
        if not texts:
            where = ends.where if node is None else node.where
            self.reader.report(where, "EMPTY-WHAT", "no service", "for everything write `any service`")
        found: list[Word] = []
        for text in texts:
            found.extend(parse_services(self.reader.piece(text), self.reader.findings))
        return tuple(found)

    def _clauses(self, node: Mapping) -> Clauses:
        accept = node.get("accept")
        accepted = set()
        for text in () if accept is None else self.reader.texts(accept, "'accept'"):
            if text.text in ACCEPTS:
                accepted.add(ACCEPTS[text.text])
            else:
                hint = did_you_mean(text.text, ACCEPTS, f"want {listed(ACCEPTS)}")
                self.reader.report(text.where, "BAD-VALUE", f"'accept' does not know '{text.text}'", hint)
        logged = node.get("logged")
        return replace(
            NO_CLAUSES,
            process=self._word(node, "process"),
            until=self._word(node, "until"),
            because=self._word(node, "because"),
            owner=self._word(node, "owner"),
            logged=logged is not None and self.reader.flag(logged, "'logged'"),
            accept=tuple(accept for accept in ACCEPTS.values() if accept in accepted),
        )

    def _word(self, node: Mapping, key: str) -> Word | None:
        found = node.get(key)
        text = None if found is None else self.reader.text(found, f"'{key}'")
        return None if text is None else Word(text.text, self.reader.piece(text))

    def resolved(self, tree: RuleTree, seat: Seat, where: Where, written_id: str) -> Rule | None:
        """Return the rule that a tree means; None when it has findings."""
        before = len(self.reader.findings)
        meaning = rule_meaning(tree, self.resolver)
        if len(self.reader.findings) > before:
            return None
        clauses = meaning.tree.clauses
        text, given = rule_text(meaning.tree), f"{seat.ruleset}/{written_id}" if written_id else ""
        return Rule(
            id=given or f"{seat.ruleset}#{seat.position}",
            ruleset=seat.ruleset,
            where=where,
            action=tree.action,
            sources=meaning.sources,
            destinations=meaning.destinations,
            services=meaning.services,
            scopes=seat.scopes,
            text=text,
            written=given or written(seat.ruleset, meaning.tree, text),
            process=meaning.process,
            until=meaning.until,
            because=_text(clauses.because),
            owner=_text(clauses.owner),
            logged=clauses.logged,
            accept=frozenset(clauses.accept),
        )

    # --- tests

    def test(self, node: Node) -> PolicyTest | None:
        """Return the test of one list item; None when it has findings."""
        sentence = self.reader.text(node, "a test")
        tree = None if sentence is None else parse_test(self.reader.piece(sentence), self.reader.findings)
        if tree is None:
            return None
        before = len(self.reader.findings)
        sources, source_trees = self.resolver.sources(tree.sources, scoped=False)
        destinations, destination_trees = self.resolver.destinations(tree.destinations)
        services, _, words = self.resolver.services(tree.services)
        if len(self.reader.findings) > before:
            return None
        text = text_of_test(TestTree(tree.expectation, source_trees, destination_trees, words))
        return PolicyTest(node.where, text, tree.expectation, sources, destinations, services)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a rule's tree means, with its canonical tree; good for nothing when the resolver found something wrong."""

    sources: tuple[Who, ...]
    destinations: tuple[Who, ...]
    services: ServiceSet
    process: str
    until: datetime | None
    tree: RuleTree


def rule_meaning(tree: RuleTree, resolver: Resolver) -> Meaning:
    """Look up every word of a rule."""
    sources, source_trees = resolver.sources(tree.sources, scoped=True)
    destinations, destination_trees = resolver.destinations(tree.destinations)
    services, process, words = resolver.services(tree.services)
    clauses = tree.clauses
    until = None if clauses.until is None else resolver.until(clauses.until)
    if clauses.until is not None and until is not None:
        clauses = replace(clauses, until=clauses.until.renamed(time_text(until)))
    if clauses.owner is not None:
        resolver.owner(clauses.owner)
    if clauses.process is not None:
        process = resolver.process(clauses.process, process)
    canonical = RuleTree(tree.action, source_trees, destination_trees, words, clauses)
    return Meaning(sources, destinations, services, process, until, canonical)


def _text(word: Word | None) -> str:
    return "" if word is None else word.text


def only_addresses(whos: tuple[Who, ...]) -> bool:
    """Tell whether no WHO of a list picks workloads."""
    return not any(is_workload_base(who.base) for who in whos)

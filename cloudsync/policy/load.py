"""Files in, one Policy out, or every finding of every file at once. All files are merged; nothing is loaded by halves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from cloudsync.model.finding import Finding, Severity, Where
from cloudsync.model.mode import Egress, Mode
from cloudsync.model.service import NO_SERVICE, ServiceSet
from cloudsync.policy.grammar import parse_scope, parse_services
from cloudsync.policy.objects import ObjectReader, Objects
from cloudsync.policy.place import Source
from cloudsync.policy.reading import Reader
from cloudsync.policy.resolve import Resolver
from cloudsync.policy.rules import RuleReader, Seat, only_addresses
from cloudsync.policy.strict import Mapping, Node, Scalar, load_node
from cloudsync.policy.strict import Sequence as ListNode
from cloudsync.policy.values import DeclaredObject, Enforcement, LabelSelector, Policy, PolicyTest, Rule, Ruleset
from cloudsync.policy.words import did_you_mean, listed
from cloudsync.policy.written import told_apart

SECTIONS = ("version", "labels", "label_groups", "iplists", "services", "enforcement", "rulesets", "tests")
EVERYTHING_VISIBLE = Enforcement(None, Mode.VISIBILITY)
"""The default where no file declares enforcement: nothing is written."""


def load_policy(files: Sequence[tuple[str, bytes]]) -> tuple[Policy | None, tuple[Finding, ...]]:
    """Return the policy of all files, `(path, content)` each, and every finding ordered by file and place.

    The policy is None as soon as one finding is an error. Warnings of loading also stand in `Policy.warnings`.
    """
    loader = _Loader(files)
    policy = loader.policy()
    order = {file: number for number, (file, _) in enumerate(files)}
    findings = sorted(loader.reader.findings, key=lambda one: (order.get(one.where.file, -1), one.where.line, one.where.col, one.code))
    if any(finding.severity is Severity.ERROR for finding in findings):
        return None, tuple(findings)
    return replace(policy, warnings=tuple(findings)), tuple(findings)


def load_objects(files: Sequence[tuple[str, bytes]]) -> Objects:
    """Return what the files declare, as far as it can be read; findings are the business of `load_policy`."""
    return _Loader(files).objects


class _Loader:
    """One load: the files' trees, what they declare, and the findings so far."""

    def __init__(self, files: Sequence[tuple[str, bytes]]) -> None:
        self.files = files
        self.reader = Reader({file: Source(content) for file, content in files})
        self.documents = [mapping for file, content in files if (mapping := self._document(file, content)) is not None]
        self.objects = ObjectReader(self.reader).read(self.documents)
        self.resolver = Resolver(self.objects, self.reader.findings)
        self.rules = RuleReader(self.reader, self.resolver)

    def _document(self, file: str, content: bytes) -> Mapping | None:
        node, findings = load_node(file, content)
        self.reader.findings.extend(findings)
        if node is None:
            return None
        mapping = self.reader.mapping(node, "the file")
        if mapping is not None:
            self.reader.fields(mapping, SECTIONS, "a policy file")
            version = mapping.get("version")
            text = None if version is None else self.reader.text(version, "'version'")
            if text is not None and text.text != "1":
                self.reader.report(text.where, "BAD-VERSION", f"version '{text.text}'", "this release reads version 1")
        return mapping

    def policy(self) -> Policy:
        """Return the policy; only whole when there are no findings."""
        rulesets, rules = self._rulesets()
        tests = self._tests()
        enforcement = self._enforcement()
        used = self.objects.used
        return Policy(
            labels=tuple(self.objects.labels.items()),
            rulesets=rulesets,
            rules=rules,
            enforcement=enforcement,
            tests=tests,
            files=tuple(file for file, _ in self.files),
            objects=tuple(DeclaredObject(kind, name, where, (kind, name) in used) for kind, name, where in self.objects.declared()),
        )

    # --- rulesets

    def _rulesets(self) -> tuple[tuple[Ruleset, ...], tuple[Rule, ...]]:
        rulesets: dict[str, Ruleset] = {}
        rules: list[Rule] = []
        found = False
        for document in self.documents:
            node = document.get("rulesets")
            for item in () if node is None else self.reader.sequence(node, "'rulesets'"):
                found = True
                mapping = self.reader.mapping(item, "a ruleset")
                if mapping is not None:
                    self._ruleset(mapping, rulesets, rules)
        if not found and not self._broken():
            first = self.files[0][0] if self.files else "policy"
            self.reader.report(Where(first), "EMPTY-POLICY", "no rulesets", 'this never means "delete everything"')
        return tuple(rulesets.values()), tuple(rules)

    def _broken(self) -> bool:
        """Tell whether strict loading already says why no ruleset was found."""
        return any(finding.code not in ("UNKNOWN-FIELD", "MISSING-VALUE") for finding in self.reader.findings)

    def _ruleset(self, mapping: Mapping, rulesets: dict[str, Ruleset], rules: list[Rule]) -> None:
        self.reader.fields(mapping, ("name", "scope", "owner", "description", "rules"), "a ruleset")
        named = self.reader.required(mapping, "name", "a ruleset")
        name = None if named is None else self.reader.name(named, "ruleset")
        label = name.text if name is not None else "?"
        scope = self.reader.required(mapping, "scope", f"ruleset '{label}'", "want labels, a list of them, or `all`")
        scopes = () if scope is None else self._scopes(scope)
        owned = mapping.get("owner")
        owner = None if owned is None else self.reader.name(owned, "owner")
        if name is not None:
            first = rulesets.setdefault(name.text, Ruleset(name.text, name.where, owner.text if owner else ""))
            if first.where != name.where:
                again = f"ruleset '{name.text}' again (first at {first.where})"
                self.reader.report(name.where, "DECLARED-TWICE", again, "declare it once, with all its rules")
        listed_rules = self.reader.required(mapping, "rules", f"ruleset '{label}'")
        seen: dict[str, Where] = {}
        mine: list[Rule] = []
        items = listed_rules.items if isinstance(listed_rules, ListNode) else ()
        if listed_rules is not None:
            self.reader.sequence(listed_rules, "'rules'")
        for position, item in enumerate(items, 1):
            if isinstance(item, Scalar) and item.missing:
                continue
            rule = self.rules.rule(item, Seat(label, position, scopes))
            if rule is None:
                continue
            first_place = seen.setdefault(rule.id, rule.where)
            if first_place != rule.where:
                self.reader.report(rule.where, "DECLARED-TWICE", f"rule id '{rule.id}' again (first at {first_place})", "one id each")
            if only_addresses(rule.sources) and only_addresses(rule.destinations):
                message = f"rule {rule.id}: neither end is workloads, so that nothing enforces it"
                self.reader.report(
                    rule.where, "NO-WORKLOAD", message, "an address never makes the machine behind it an end", Severity.WARNING
                )
            mine.append(rule)
        rules.extend(told_apart(mine))

    def _scopes(self, node: Node) -> tuple[LabelSelector | None, ...]:
        texts = self.reader.texts(node, "'scope'")
        if not texts and isinstance(node, ListNode):
            self.reader.report(node.where, "EMPTY-SCOPE", "a scope without labels", "for everything write `all`")
        found: list[LabelSelector | None] = []
        for text in texts:
            parsed = self._scope(text)
            if parsed is not None and parsed[0] not in found:
                found.append(parsed[0])
        return tuple(found)

    def _scope(self, text: Scalar) -> tuple[LabelSelector | None] | None:
        """Return a scope (None inside for `all`), or None when it has findings."""
        terms = parse_scope(self.reader.piece(text), self.reader.findings)
        if not terms:
            return None if terms is None else (None,)
        resolved = self.resolver.selector(terms)
        return None if resolved is None else (resolved[0],)

    # --- enforcement

    def _enforcement(self) -> tuple[Enforcement, ...]:
        lines: list[Enforcement] = []
        first: Where | None = None
        for document in self.documents:
            key, node = document.key("enforcement"), document.get("enforcement")
            mapping = None if node is None else self.reader.mapping(node, "'enforcement'")
            if key is None or mapping is None:
                continue
            if first is not None:
                self.reader.report(key.where, "DECLARED-TWICE", f"'enforcement' again (first at {first})", "declare it once")
                continue
            first = key.where
            self.reader.fields(mapping, ("default", "rules"), "'enforcement'")
            rules = mapping.get("rules")
            for item in () if rules is None else self.reader.sequence(rules, "'enforcement' rules"):
                line = self.reader.mapping(item, "a line of 'enforcement'")
                if line is not None:
                    lines.extend(self._line(line))
            default = mapping.get("default")
            lines.append(EVERYTHING_VISIBLE if default is None else self._default(default))
        return tuple(lines) if first is not None else (EVERYTHING_VISIBLE,)

    def _default(self, node: Node) -> Enforcement:
        if isinstance(node, Mapping):
            self.reader.fields(node, ("mode", "egress"), "'default'")
            return Enforcement(None, self._mode(node.get("mode"), node), self._egress(node))
        return Enforcement(None, self._mode(node, node))

    def _line(self, line: Mapping) -> list[Enforcement]:
        self.reader.fields(line, ("scope", "mode", "egress", "services"), "a line of 'enforcement'")
        scope = self.reader.required(line, "scope", "a line of 'enforcement'", "want labels, or `all`")
        mode, egress = self._mode(line.get("mode"), line), self._egress(line)
        services, named = NO_SERVICE, line.get("services")
        if named is not None:
            services = self._services(named)
            if mode is not Mode.SELECTIVE:
                key = line.key("services")
                where = named.where if key is None else key.where
                self.reader.report(where, "BAD-VALUE", f"services with mode {mode.value}", "they are what mode selective closes")
        return [Enforcement(one, mode, egress, services) for one in (() if scope is None else self._scopes(scope))]

    def _services(self, node: Node) -> ServiceSet:
        sets: list[ServiceSet] = []
        for text in self.reader.texts(node, "'services'"):
            words = parse_services(self.reader.piece(text), self.reader.findings)
            sets.append(self.resolver.services(words)[0])
        return ServiceSet.union_all(sets)

    def _mode(self, node: Node | None, around: Node) -> Mode:
        modes = {mode.value: mode for mode in Mode}
        if node is None:
            self.reader.report(around.where, "MISSING-FIELD", "enforcement without 'mode'", f"want {listed(modes)}")
        text = None if node is None else self.reader.text(node, "'mode'")
        if text is not None and text.text not in modes:
            hint = did_you_mean(text.text, modes, f"want {listed(modes)}")
            self.reader.report(text.where, "BAD-VALUE", f"no mode '{text.text}'", hint)
        return Mode.VISIBILITY if text is None else modes.get(text.text, Mode.VISIBILITY)

    def _egress(self, mapping: Mapping) -> Egress:
        kinds = {egress.value: egress for egress in Egress}
        node = mapping.get("egress")
        text = None if node is None else self.reader.text(node, "'egress'")
        if text is not None and text.text not in kinds:
            hint = did_you_mean(text.text, kinds, f"want {listed(kinds)}")
            self.reader.report(text.where, "BAD-VALUE", f"no egress '{text.text}'", hint)
        return Egress.LEAVE if text is None else kinds.get(text.text, Egress.LEAVE)

    # --- tests

    def _tests(self) -> tuple[PolicyTest, ...]:
        found: list[PolicyTest] = []
        for document in self.documents:
            node = document.get("tests")
            items: Iterable[Node] = () if node is None else self.reader.sequence(node, "'tests'")
            found.extend(test for item in items if (test := self.rules.test(item)) is not None)
        return tuple(found)

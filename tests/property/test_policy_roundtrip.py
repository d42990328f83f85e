"""What `fmt` prints means what was written, for generated sentences in every YAML style, and a second run changes nothing."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cloudsync.model.finding import Finding, Where
from cloudsync.model.mode import Accept
from cloudsync.policy.fmt import format_file
from cloudsync.policy.grammar import parse_rule, parse_test, rule_text, text_of_test
from cloudsync.policy.load import load_policy
from cloudsync.policy.place import Piece
from cloudsync.policy.strict import Scalar
from cloudsync.policy.syntax import (
    BaseTree,
    Clauses,
    LabelsBase,
    NamedBase,
    Plain,
    PlainBase,
    RuleTree,
    Term,
    TestTree,
    WhoTree,
    Word,
)
from cloudsync.policy.values import Action, Expectation

HERE = Where("p.yaml")
VOCABULARY = {"role": ["web", "app", "db"], "app": ["app", "1.10", "no"], "env": ["prod", "dev", "022"]}
HEAD = """version: 1   # first
labels:
  role: [web, app, db]
  app: [app, "1.10", no]
  env: [prod, dev, 022]
label_groups: {safe: {env: [dev]}}
iplists: {corp: 10.0.0.0/8}
services: {ssh: tcp/22}
"""
_NOWHERE = Piece(Scalar("", Where("-")))
_PRINTABLE = st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs"), max_codepoint=0x7E)


def word(text: str) -> Word:
    return Word(text, _NOWHERE)


def _term(key: str) -> st.SearchStrategy[Term]:
    values = st.lists(st.sampled_from([*VOCABULARY[key], *(["safe"] if key == "env" else [])]), min_size=1, max_size=3, unique=True)
    return values.map(lambda found: Term(word(key), tuple(map(word, found))))


labels = st.lists(st.sampled_from(sorted(VOCABULARY)), min_size=1, max_size=3, unique=True).flatmap(
    lambda keys: st.tuples(*map(_term, keys)).map(LabelsBase)
)
names = st.one_of(
    st.sampled_from(["db-1", "i-0ab", "to", "on", "a b", 'q"q', "back\\slash", "x=y", "a,b"]), st.text(_PRINTABLE, min_size=1)
)
workloads: st.SearchStrategy[BaseTree] = st.one_of(
    labels,
    names.map(lambda name: NamedBase(iplist=False, name=word(name))),
    st.sampled_from([PlainBase(kind, word(kind.value.split()[0])) for kind in (Plain.ALL, Plain.UNLABELED)]),
)
addresses: st.SearchStrategy[BaseTree] = st.sampled_from(
    [
        NamedBase(iplist=True, name=word("corp")),
        *(PlainBase(kind, word(kind.value)) for kind in (Plain.ANYWHERE, Plain.STRANGERS, Plain.INTERNET)),
    ]
)


def whos(*, outside: bool) -> st.SearchStrategy[tuple[WhoTree, ...]]:
    of_workloads = st.builds(
        WhoTree,
        workloads,
        st.none() | workloads,
        st.none() | st.just(word("outside")) if outside else st.none(),
    )
    of_addresses = st.builds(WhoTree, addresses, st.none() | workloads | addresses)
    return st.lists(of_workloads | of_addresses, min_size=1, max_size=3).map(tuple)


services = st.lists(
    st.sampled_from(["ssh", "tcp/1-9", "udp/53", "any service", "icmp/echo-request", "icmpv6/7", "gre", "99", "sctp", "tcp/0"]),
    min_size=1,
    max_size=3,
).map(lambda found: tuple(map(word, found)))
clauses = st.builds(
    Clauses,
    process=st.none() | names.map(word),
    until=st.none() | st.datetimes().map(lambda when: word(when.isoformat(timespec="seconds") + "Z")),
    because=st.none() | st.text(_PRINTABLE).map(word) | st.sampled_from(["two\nlines", "tab\there", "", "it's #1: a", "\\n"]).map(word),
    owner=st.none() | st.sampled_from(["me", "net-sec", "to"]).map(word),
    logged=st.booleans(),
    accept=st.sets(st.sampled_from(Accept)).map(lambda found: tuple(accept for accept in Accept if accept in found)),
)
rules = st.builds(RuleTree, st.sampled_from(Action), whos(outside=True), whos(outside=False), services, clauses)
checks = st.builds(TestTree, st.sampled_from(Expectation), whos(outside=False), whos(outside=False), services)


@given(rules)
def test_a_rule_reads_back_as_itself(tree: RuleTree) -> None:
    findings: list[Finding] = []
    assert parse_rule(Piece(Scalar(rule_text(tree), HERE)), findings) == tree, findings


@given(checks)
def test_a_test_reads_back_as_itself(tree: TestTree) -> None:
    findings: list[Finding] = []
    assert parse_test(Piece(Scalar(text_of_test(tree), HERE)), findings) == tree, findings


@given(st.text(alphabet='alowdeny never to on web=|,"\\ -/0129.untilbecause', max_size=60))
def test_no_text_breaks_the_parser(text: str) -> None:
    findings: list[Finding] = []
    tree = parse_rule(Piece(Scalar(text, HERE)), findings)
    assert (tree is None) == (len(findings) == 1)
    for finding in findings:
        assert 1 <= finding.where.col <= len(text) + 1
        assert "\n" not in finding.code


def _messy(text: str, seed: int) -> str:
    """Return the sentence in the reading voice, with wide blanks; quoted texts stay."""
    parts = text.split('"')
    parts[0] = parts[0].replace(" to ", "  to reach " if seed % 2 else " to  ", 1)
    return '"'.join(parts)


def _styled(text: str, style: int) -> str:
    if style == 0:
        return "'" + text.replace("'", "''") + "'"
    if style == 1:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    plain = not text.count('"') % 2 and ": " not in text and " #" not in text and not text.endswith(":") and "\n" not in text
    if style == 2 and plain:
        return text
    if style == 3 and plain and '"' not in text:
        return text.replace(" on ", "\n          on ", 1)
    return _styled(text, 0)


@given(
    st.lists(st.tuples(rules, st.integers(0, 7)), min_size=1, max_size=4),
    st.lists(checks, max_size=2),
    st.sampled_from(["\n", "\r\n"]),
)
def test_formatting_a_file_changes_spelling_only(rules: list[tuple[RuleTree, int]], expected: list[TestTree], newline: str) -> None:
    lines = [f"      - {_styled(_messy(rule_text(tree), style), style % 4)}   # note {at}" for at, (tree, style) in enumerate(rules)]
    text = HEAD + "rulesets:\n  - name: r\n    scope: all   # everything\n    rules:\n" + "\n".join(lines) + "\n"
    if expected:
        text += "tests:\n" + "".join(f"  - {_styled(text_of_test(tree), 0)}\n" for tree in expected)
    content = text.replace("\n", newline).encode()
    before, findings = load_policy([("p.yaml", content)])
    formatted = format_file("p.yaml", content)
    assert before is not None, [str(finding) for finding in findings]
    after, _ = load_policy([("p.yaml", formatted)])
    assert after is not None
    unplaced = replace(before.rules[0], where=HERE)
    assert replace(after.rules[0], where=HERE) == unplaced
    assert [replace(rule, where=HERE) for rule in after.rules] == [replace(rule, where=HERE) for rule in before.rules]
    assert [replace(test, where=HERE) for test in after.tests] == [replace(test, where=HERE) for test in before.tests]
    assert format_file("p.yaml", formatted) == formatted, "idempotent"
    assert formatted.count(b"# note ") == len(rules), "comments stay"
    assert formatted.count(b"\r\n") == formatted.count(b"\n") if newline == "\r\n" else b"\r" not in formatted
    start = b"rulesets:"
    assert formatted.split(start)[0] == content.split(start)[0], "everything that is no sentence stays byte for byte"
    for rule in after.rules:
        findings_of_text: list[Finding] = []
        tree = parse_rule(Piece(Scalar(rule.text, HERE)), findings_of_text)
        assert tree is not None
        assert rule_text(tree) == rule.text

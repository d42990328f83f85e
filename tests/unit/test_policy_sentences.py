"""Sentences: both voices, every selector and clause, and places to the column."""

from __future__ import annotations

import pytest

from cloudsync.model.finding import Finding, Where
from cloudsync.model.mode import Accept
from cloudsync.policy.grammar import parse_rule, parse_scope, parse_test, rule_text, text_of_test
from cloudsync.policy.place import Piece, Source
from cloudsync.policy.strict import Scalar
from cloudsync.policy.syntax import RuleTree, TestTree
from cloudsync.policy.values import Action, Expectation


def piece(text: str) -> Piece:
    return Piece(Scalar(text, Where("p.yaml", 3, 9)))


def rule(text: str) -> RuleTree:
    findings: list[Finding] = []
    tree = parse_rule(piece(text), findings)
    assert tree is not None, findings
    return tree


def check(text: str) -> TestTree:
    findings: list[Finding] = []
    tree = parse_test(piece(text), findings)
    assert tree is not None, findings
    return tree


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("allow web to reach app on tcp/8443", "allow web to app on tcp/8443"),
        ("never  allow internet to   role=db on any   service", "never allow internet to role=db on any service"),
        (
            "deny role = web | app,all workloads to iplist corp on ssh ,https",
            "deny role=web|app, all workloads to iplist corp on ssh, https",
        ),
        ('allow workload "i-0ab c" to workload db-1 on tcp', 'allow workload "i-0ab c" to workload db-1 on tcp'),
        ('allow workload "to" to anywhere except internet on gre', 'allow workload "to" to anywhere except internet on gre'),
        ("allow outside role=web except env=dev to unlabeled workloads on ah", None),
        ("allow strangers except iplist corp to role=db on icmp/echo-request logged", None),
    ],
)
def test_the_canonical_sentence_reads_back_as_the_same_tree(written: str, canonical: str | None) -> None:
    tree = rule(written)
    assert rule_text(tree) == (canonical or written)
    assert rule(rule_text(tree)) == tree


def test_clauses_come_in_any_order_and_leave_in_one() -> None:
    text = (
        'allow web to app on ssh port-only ok logged owned by team because "a \\"b\\" \\\\ c" until 2027-01-01T00:00:00Z '
        "any-type ok by process /bin/x"
    )
    tree = rule(text)
    clauses = tree.clauses
    assert clauses.process is not None
    assert clauses.process.text == "/bin/x"
    assert clauses.because is not None
    assert clauses.because.text == 'a "b" \\ c'
    assert clauses.accept == (Accept.PORT_ONLY, Accept.ANY_TYPE)
    assert clauses.logged
    assert rule_text(tree) == (
        'allow web to app on ssh by process /bin/x until 2027-01-01T00:00:00Z because "a \\"b\\" \\\\ c" owned by team logged '
        "port-only ok any-type ok"
    )


@pytest.mark.parametrize("action", list(Action))
def test_every_action(action: Action) -> None:
    assert rule(f"{action.value} web to app on ssh").action is action


@pytest.mark.parametrize(
    ("text", "expectation"),
    [
        ("role=web can reach role=app on tcp/8443", Expectation.CAN),
        ("internet cannot reach role=db on any service", Expectation.CANNOT),
        ("only role=app, role=web may reach role=db on postgres", Expectation.ONLY),
    ],
)
def test_tests_read_back(text: str, expectation: Expectation) -> None:
    tree = check(text)
    assert tree.expectation is expectation
    assert text_of_test(tree) == text


def test_a_scope_is_all_or_labels() -> None:
    findings: list[Finding] = []
    assert parse_scope(piece("all"), findings) == ()
    terms = parse_scope(piece("app=ordering env=prod|dev"), findings)
    assert terms is not None
    assert [(term.key.text if term.key else "", [word.text for word in term.values]) for term in terms] == [
        ("app", ["ordering"]),
        ("env", ["prod", "dev"]),
    ]
    assert not findings


@pytest.mark.parametrize(
    ("text", "col", "code"),
    [
        ("allow role=web role=db on ssh", 32, "UNEXPECTED"),
        ("allow role=web to role=db", 33, "UNEXPECTED"),
        ("allow role= to role=db on ssh", 21, "MISSING-VALUE"),
        ("never role=web to role=db on ssh", 15, "UNEXPECTED"),
        ("allow , to role=db on ssh", 15, "EMPTY-WHO"),
        ("allow role=web to role=db on", 36, "EMPTY-WHAT"),
        ("allow role=web to role=db on any", 40, "UNEXPECTED"),
        ("allow outside to role=db on ssh", 23, "EMPTY-WHO"),
        ("", 9, "BAD-ACTION"),
    ],
)
def test_the_finding_stands_at_the_word(text: str, col: int, code: str) -> None:
    findings: list[Finding] = []
    tree = parse_rule(piece(text), findings)
    assert tree is None
    assert [(finding.where.col, finding.code) for finding in findings] == [(col, code)]


def test_places_follow_quotes_folds_and_escapes() -> None:
    content = 'a: "allow \\"x\\" tail"\nb: allow\n   tail\n'
    source = {"p.yaml": Source(content.encode())}
    quoted = Piece(Scalar('allow "x" tail', Where("p.yaml", 1, 4), quoted=True), source)
    assert quoted.place(0) == Where("p.yaml", 1, 5)
    assert quoted.place(10) == Where("p.yaml", 1, 17)
    folded = Piece(Scalar("allow tail", Where("p.yaml", 2, 4)), source)
    assert folded.place(6) == Where("p.yaml", 3, 4)

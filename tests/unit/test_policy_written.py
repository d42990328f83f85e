"""What rules are called where they are written: by what they say, wherever they stand; and what is read back of it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.adapter import Origin
from cloudsync.compile.arms import origin_of
from cloudsync.compile.behind import Behind, counted
from cloudsync.model.naming import Naming, naming, older
from cloudsync.policy.load import load_policy
from cloudsync.policy.values import Rule
from cloudsync.report.origins import origin_text

HEAD = """version: 1
labels:
  role: [web, app, db, lb]
  env: [prod, dev, test]
label_groups: {tier: {role: [web, app]}}
services: {https: [tcp/443, udp/443], ssh: tcp/22}
iplists: {corp: [10.0.0.0/8, "!10.1.0.0/16"], home: [192.0.2.0/24]}
"""
PLAIN = "allow role=web env=prod, iplist corp to role=db, role=app on https, tcp/5432"


def rules(*items: str, head: str = HEAD, scope: str = "all", name: str = "r") -> tuple[Rule, ...]:
    """Return the rules of one ruleset."""
    listed = "".join(f"      - {item}\n" for item in items)
    text = head + f"rulesets:\n  - name: {name}\n    scope: {scope}\n    rules:\n{listed}"
    policy, findings = load_policy([("p.yaml", text.encode())])
    assert policy is not None, "\n".join(map(str, findings))
    return policy.rules


def written(item: str, **more: str) -> str:
    """Return the written of the only rule of a ruleset."""
    (rule,) = rules(item, **more)
    return rule.written


def test_an_id_is_what_is_written_and_without_one_it_is_a_name_from_the_sentence() -> None:
    given, made = rules("{id: front, allow: {from: [role=web], to: [role=db], services: [https]}}", PLAIN)
    assert (given.id, given.written) == ("r/front", "r/front")
    assert made.id == "r#2"
    assert re.fullmatch(r"r@[0-9a-f]{10}", made.written)
    assert naming(made.written) == ("r", Naming.MADE)


@pytest.mark.parametrize(
    "same",
    [
        "allow iplist corp, env=prod role=web to role=app, role=db on tcp/5432, https",
        "{allow: {to: [role=app, role=db], services: [tcp/5432, https], from: ['role=web env=prod', iplist corp]}}",
        f"'{PLAIN} because \"CHG-1\"'",
        f"{PLAIN} until 2030-01-01T00:00:00Z owned by ops logged any-port ok",
        f"{PLAIN}  # a remark",
    ],
)
def test_order_clauses_and_spelling_are_no_part_of_it(same: str) -> None:
    assert written(same) == written(PLAIN)


@pytest.mark.parametrize(
    "same",
    [
        "{allow: {from: role=web, to: iplist corp, services: ssh}}",
        "allow role=web to iplist corp on ssh logged",
        "allow role=web, role=web to iplist corp on ssh, ssh",
    ],
)
def test_a_plain_sentence_is_called_as_in_any_other_form(same: str) -> None:
    assert written(same) == written("allow role=web to iplist corp on ssh")


def test_what_stands_behind_names_and_the_scope_are_no_part_of_it() -> None:
    head = HEAD.replace("10.0.0.0/8", "10.0.0.0/9").replace("tcp/443, ", "tcp/8443, ").replace("role: [web, app]", "role: [web]")
    for item in (PLAIN, "allow tier to role=db on ssh"):
        assert written(item, head=head) == written(item) == written(item, scope="env=prod")


def test_everything_that_is_said_is_part_of_it() -> None:
    items = [
        "allow role=web to role=db on ssh",
        "deny role=web to role=db on ssh",
        "never allow role=web to role=db on ssh",
        "allow role=db to role=web on ssh",
        "allow outside role=web to role=db on ssh",
        "allow role=web except env=dev to role=db on ssh",
        "allow role=web to role=db except env=dev on ssh",
        "allow role=web|app to role=db on ssh",
        "allow role=web, role=app to role=db on ssh",
        "allow role=web to role=db on tcp/22",
        "allow role=web to role=db on ssh by process /usr/sbin/sshd port-only ok",
        "allow iplist corp to role=db on ssh",
        "allow workload corp to role=db on ssh",
        "allow strangers to role=db on ssh",
    ]
    assert len({written(one) for one in items}) == len(items)
    assert written(items[0], name="other") != written(items[0])


def test_rules_that_say_the_same_are_told_apart_wherever_they_stand() -> None:
    first, second, third = (f"'{PLAIN} because \"{one}\"'" for one in "abc")
    found = {rule.because: rule.written for rule in rules(first, second, third)}
    assert found["b"] == f"{found['a']}.2"
    assert found["c"] == f"{found['a']}.3"
    for turned in ((third, first, second), (second, third, first)):
        assert {rule.because: rule.written for rule in rules(*turned)} == found
    assert all(naming(one) == ("r", Naming.MADE) for one in found.values())


SENTENCES = [f"allow role={one} to role={two} on tcp/{port}" for one in ("web", "app") for two in ("db", "lb") for port in (22, 443)]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=8), st.data())
def test_no_other_rule_has_a_say_in_what_one_is_called(items: list[str], data: st.DataObject) -> None:
    turned = data.draw(st.permutations(items))
    others = [one for one in SENTENCES if one not in items]
    more = data.draw(st.lists(st.sampled_from(others), max_size=3)) if others else []
    before, after = ({(rule.text, rule.written) for rule in rules(*some)} for some in (items, [*more, *turned]))
    assert before <= after
    assert len({written for _, written in before}) == len(items)


# --- names that stand on platforms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["kept", "selective", "default deny", "was web@100", "web", "web#0", "web@5c1f0a93b", "Web#1", "web#1, x"])
def test_what_names_no_rule_is_no_rule(text: str) -> None:
    assert naming(text) is None


MADE, TWIN, OTHER = "web@5c1f0a93be", "web@5c1f0a93be.2", "db@0123456789"


@pytest.mark.parametrize(
    ("standing", "wanted"),
    [
        (["web#3"], [MADE]),
        (["web#3", "web#4"], [MADE, TWIN]),
        (["web#3"], [MADE, TWIN]),
        (["kept", "web#3", "web/front"], [MADE, "kept", "web/front"]),
        (["db#1", "web#3", "web#..."], [MADE, OTHER, TWIN, "x/cut"]),
        (["web#3", "..."], [MADE, OTHER, TWIN]),
    ],
)
def test_numbers_of_the_same_rulesets_say_what_is_wanted(standing: list[str], wanted: list[str]) -> None:
    assert older(standing, wanted)


@pytest.mark.parametrize(
    ("standing", "wanted"),
    [
        ([MADE], [MADE]),
        ([MADE], [TWIN]),
        (["web#3"], ["web/front"]),
        (["web#3"], [MADE, "web/front"]),
        (["web#3"], [OTHER]),
        (["web#3", "db#1"], [MADE]),
        (["web#3"], [MADE, OTHER]),
        (["web#3", "call Joe"], [MADE]),
        (["web#3", MADE], [MADE]),
        ([""], [MADE]),
        ([], [MADE]),
        (["web#3"], []),
        (["web#3", "..."], [OTHER]),
    ],
)
def test_anything_else_is_written_anew(standing: list[str], wanted: list[str]) -> None:
    assert not older(standing, wanted)


def test_names_lead_back_to_the_rules_of_today() -> None:
    made, given = rules(PLAIN, "{id: front, allow: {from: [role=web], to: [role=db], services: [https]}}")
    behind = Behind.of((made, given))
    read = (Origin(made.written), Origin("r/front"), Origin("r#1"), Origin("r@0000000000"), Origin("kept"), origin_of(made))
    today = behind.today(read)
    assert today == (origin_of(made), origin_of(given), *read[2:5])
    assert [counted(one) for one in today] == [False, False, True, False, False]
    assert list(map(origin_text, today)) == [
        "r#1 (p.yaml:12)",
        "r/front (p.yaml:13)",
        "r#1 (as numbered when it was written)",
        "r@0000000000 (not in the policy now)",
        "kept",
    ]

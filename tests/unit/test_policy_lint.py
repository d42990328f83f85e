"""Lint: every code with its exact text, and what must not be said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cloudsync.model.finding import Severity
from cloudsync.policy.lint import lint
from cloudsync.policy.load import load_policy

HEAD = """labels: {role: [web, app, db, lb], env: [prod, dev, test], app: [shop, pay]}
services: {web: [tcp/80, tcp/443]}
iplists: {corp: 10.0.0.0/8, lab: 10.1.0.0/16, world: [0.0.0.0/0, "::/0"]}
label_groups: {nonprod: {env: [dev, test]}}
tests: [iplist corp can reach iplist lab on web, iplist world can reach env=nonprod on tcp/1]
"""
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def said(*rules: str, scope: str = "all", enforcement: str = "", schedule_known: bool = True) -> list[str]:
    lines = "".join(f"      - '{rule}'\n" for rule in rules)
    text = f"{HEAD}{enforcement}rulesets:\n  - name: r\n    scope: {scope}\n    owner: me\n    rules:\n{lines}"
    policy, findings = load_policy([("p.yaml", text.encode())])
    assert policy is not None, list(map(str, findings))
    return [f"{finding.severity.value} {finding}" for finding in lint(policy, NOW, schedule_known=schedule_known)]


def codes(*rules: str, scope: str = "all", enforcement: str = "", schedule_known: bool = True) -> list[str]:
    return [line.split()[2] for line in said(*rules, scope=scope, enforcement=enforcement, schedule_known=schedule_known)]


def test_a_dead_allow_names_the_rule_that_eats_it() -> None:
    assert said("never allow anywhere to role=db on any service", "allow role=app to role=db env=prod on tcp/5432") == [
        (
            "error p.yaml:12:9 DEAD-ALLOW rule r#2 can never match: r#1 'never allow anywhere to role=db on any service' (p.yaml:11:9) "
            "covers it entirely; 'anywhere' includes your own workloads; 'internet' or 'strangers' may be what you mean"
        )
    ]


def test_several_never_rules_may_eat_an_allow_together() -> None:
    found = said(
        "never allow role=app to role=db on tcp/1-50",
        "never allow env=prod to role=db on tcp/51-99",
        "allow role=app env=prod to db on tcp/40-60",
    )
    assert found == [
        (
            "error p.yaml:13:9 DEAD-ALLOW rule r#3 can never match: r#1 'never allow role=app to role=db on tcp/1-50' (p.yaml:11:9) and "
            "r#2 'never allow env=prod to role=db on tcp/51-99' (p.yaml:12:9) cover it entirely; take it out, or narrow the never rule"
        )
    ]


@pytest.mark.parametrize(
    "never",
    [
        "never allow anywhere to role=db on tcp/1-5431",
        "never allow internet to role=db on any service",
        "never allow iplist world except iplist lab to role=db on any service",
        "never allow anywhere except role=web to role=db on any service",
        "never allow role=app to anywhere on any service",
        "never allow anywhere to role=db env=prod on any service",
        "never allow anywhere to role=db except env=prod on any service",
        "never allow anywhere to role=db on any service by process /bin/x",
        "never allow anywhere to role=db on any service until 2026-06-01T00:00:00Z",
        "never allow workload a to role=db on any service",
        "never allow unlabeled workloads to role=db on any service",
    ],
)
def test_an_allow_that_may_still_match_is_not_called_dead(never: str) -> None:
    assert "DEAD-ALLOW" not in codes(never, "allow role=app to role=db on tcp/5432")


def test_a_never_that_ends_first_does_not_kill_an_allow() -> None:
    first, last = "2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z"
    assert "DEAD-ALLOW" not in codes(f"never allow anywhere to role=db on tcp until {first}", f"allow web to db on tcp/1 until {last}")
    assert "DEAD-ALLOW" in codes(f"never allow anywhere to role=db on tcp until {last}", f"allow web to db on tcp/1 until {first}")


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("allow web|app to env=prod on tcp", "allow role=web app=shop to env=prod role=db on tcp/1, tcp/9"),
        ("allow env=nonprod to all workloads on web", "allow env=dev to role=db on tcp/443"),
        ("allow iplist corp to role=db on web", "allow iplist lab to role=db env=prod on tcp/80"),
        ("allow anywhere to role=db on web", "allow iplist lab to role=db on web"),
        ("allow strangers to role=db on web", "allow internet except iplist corp to role=db on web"),
        ("allow role=web to anywhere on web", "allow role=web env=prod to internet on web"),
        ("allow web, app to db, lb on web", "allow app to lb on tcp/80"),
        ("allow all workloads to all workloads on web", "allow workload x to unlabeled workloads on web"),
        ("allow role=web except env=prod to db on web", "allow role=web env=dev to db on web"),
        ("allow role=web except env=prod to db on web", "allow role=web except env=prod|dev to db on web"),
        ("allow iplist world except iplist lab to db on web", "allow iplist corp except iplist lab to db on web"),
    ],
)
def test_an_allow_inside_another_adds_nothing(wide: str, narrow: str) -> None:
    assert [code for code in codes(wide, narrow) if code != "OPEN-TO-INTERNET"] == ["SHADOWED"]
    assert "SHADOWED" not in codes(f"{wide} until 2027-01-01T00:00:00Z", narrow), "the wide one ends first"


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("allow anywhere to role=db on web", "allow role=app to role=db on web"),  # outbound at role=app is only in the second
        ("allow iplist corp to role=db on web", "allow role=app to role=db on web"),
        ("allow role=web to anywhere on web", "allow role=web to role=db on web"),  # inbound at role=db is only in the second
        ("allow internet to role=db on web", "allow strangers to role=db on web"),
        ("allow strangers to role=db on web", "allow iplist lab to role=db on web"),
        ("allow role=web except workload x to db on web", "allow role=web env=dev to db on web"),
        ("allow app to db on web", "allow app to db on web logged"),
        ("allow app to db on web by process /bin/x", "allow app to db on web"),
        ("allow workload a to db on web", "allow workload b to db on web"),
    ],
)
def test_an_allow_that_adds_something_is_left_alone(wide: str, narrow: str) -> None:
    assert not [line for line in said(wide, narrow) if "SHADOWED rule r#2" in line or "DUPLICATE" in line]


def test_scopes_are_composed_before_rules_are_compared() -> None:
    text = f"{HEAD}rulesets:\n"
    for name, scope in (("a", "env=prod"), ("b", "[env=prod app=shop, env=prod app=pay]"), ("c", "env=dev")):
        text += f"  - {{name: {name}, scope: {scope}, owner: me, rules: [allow web to db on tcp/1]}}\n"
    text += "  - {name: d, scope: env=prod role=db, owner: me, rules: [allow outside web to db on tcp/1]}\n"
    policy, _ = load_policy([("p.yaml", text.encode())])
    assert policy is not None
    found = [finding.message for finding in lint(policy, NOW, schedule_known=True)]
    free = "d#1 'allow outside role=web to role=db on tcp/1' (p.yaml:10:59)"
    assert found == [
        f"rule a#1 adds nothing: {free} allows it already",
        "rule b#1 adds nothing: a#1 'allow role=web to role=db on tcp/1' (p.yaml:7:51) allows it already",
    ]


def test_a_duplicate_is_told_once_at_the_later_rule() -> None:
    assert said(
        "allow web to db on web",
        "allow role=web to reach role=db on tcp/443, tcp/80",
        "deny env=dev to db on web",
        "deny env=dev to db on web",
    ) == [
        "warning p.yaml:12:9 DUPLICATE rule r#2 says the same as r#1 'allow role=web to role=db on web' (p.yaml:11:9); take one out",
        "warning p.yaml:14:9 DUPLICATE rule r#4 says the same as r#3 'deny env=dev to role=db on web' (p.yaml:13:9); take one out",
    ]


def test_a_contradiction_names_the_deny() -> None:
    (line,) = said("deny env=nonprod to env=prod on any service", "allow env=dev role=web to env=prod role=db on tcp/1")
    deny = "r#1 'deny env=nonprod to env=prod on any service' (p.yaml:11:9)"
    assert line.startswith(f"warning p.yaml:12:9 CONTRADICTION rule r#2 allows what {deny} denies; allow outranks deny; ")


def test_time() -> None:
    def until(delta: timedelta) -> str:
        return f"until {(NOW + delta).strftime('%Y-%m-%dT%H:%M:%SZ')}"

    day = timedelta(days=1)
    assert codes(f"allow web to db on web {until(timedelta())}") == ["EXPIRED"]
    assert codes(f"allow web to db on web {until(timedelta(seconds=1))}") == ["EXPIRES-SOON"]
    assert codes(f"allow web to db on web {until(14 * day)}") == ["EXPIRES-SOON"]
    assert codes(f"allow web to db on web {until(15 * day)}") == []
    assert codes(f"never allow web to db on web {until(400 * day)}") == ["EXPIRING-PROTECTION"]
    assert codes(f"deny web to db on web {until(-day)}") == ["EXPIRED"]
    assert said(f"allow web to db on web {until(15 * day)}", schedule_known=False) == [
        (
            "error p.yaml:11:9 UNSCHEDULED-EXPIRY rule r#1 ends at 2026-06-16T00:00:00Z, but no run is scheduled before then; "
            "only a run can end a rule: set 'schedule' in cloudsync.yaml"
        )
    ]


def test_an_expired_rule_neither_covers_nor_is_covered() -> None:
    old = "until 2026-01-01T00:00:00Z"
    assert codes(f"never allow anywhere to db on tcp {old}", "allow web to db on tcp/1", f"allow web to db on tcp/1 {old}") == [
        "EXPIRED",
        "EXPIRED",
    ]


def test_empty_selectors_that_no_inventory_can_fill() -> None:
    found = said("allow unlabeled workloads to role=db on web", "allow env=dev to role=db except role=db|web on web", scope="env=prod")
    always = "is always empty inside the scope env=prod; it compiles to no rule"
    assert found == [
        f"warning p.yaml:11:9 EMPTY-SELECTOR rule r#1: source 'unlabeled workloads' {always}",
        f"warning p.yaml:12:9 EMPTY-SELECTOR rule r#2: source 'env=dev' {always}",
        f"warning p.yaml:12:9 EMPTY-SELECTOR rule r#2: destination 'role=db except role=db|web' {always}",
    ]
    rules = ("allow outside env=dev to role=db on web", "allow iplist lab except iplist corp to db on web")
    assert codes(*rules, scope="env=prod") == ["EMPTY-SELECTOR"]
    assert codes("allow unlabeled workloads to role=db on web", scope="[all, env=prod]") == []


@pytest.mark.parametrize("source", ["internet", "strangers", "anywhere", "iplist world", "role=app, internet except iplist corp"])
def test_doors_to_the_internet(source: str) -> None:
    assert codes(f"allow {source} to role=lb on web") == ["OPEN-TO-INTERNET"]


def test_what_opens_no_door() -> None:
    assert codes("allow iplist corp to role=lb on web", "allow role=lb to internet on web", "never allow internet to db on web") == []


def test_outbound_denials_need_egress() -> None:
    never = "never allow role=db to internet on any service"
    (line,) = said(never)
    assert line.startswith(f"warning p.yaml:11:9 NOT-ENFORCED rule r#1 '{never}' is outbound, and outbound is left alone at the default;")
    enforced = (
        "enforcement: {default: {mode: full, egress: enforce}, rules: [{scope: env=dev, mode: full}, {scope: role=web, mode: full}]}\n"
    )
    (line,) = said(never, enforcement=enforced)
    assert "left alone at env=dev;" in line
    assert codes(never, scope="env=prod", enforcement=enforced) == []
    assert codes("never allow role=db to role=web on any service", "allow role=db to internet on web") == []


def test_unused_objects_and_missing_owners() -> None:
    text = HEAD.replace("tests:", "ignored:").split("ignored:")[0]
    policy, _ = load_policy([("p.yaml", f"{text}rulesets: [{{name: r, scope: all, rules: [allow web to db on tcp/1]}}]\n".encode())])
    assert policy is not None
    found = lint(policy, NOW, schedule_known=True)
    assert [(finding.code, finding.severity) for finding in found] == [
        *[("UNUSED-OBJECT", Severity.WARNING)] * 5,
        ("NO-OWNER", Severity.NOTE),
    ]
    assert str(found[0]) == "p.yaml:2:12 UNUSED-OBJECT service 'web' is named nowhere; take it out"
    assert codes("allow web to db on tcp/1 owned by you") == []

"""A whole policy: the long form equals the sentence, text stays text, files are merged, names are expanded."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cloudsync.model.address import AddressSet
from cloudsync.model.finding import Severity, Where
from cloudsync.model.mode import Accept, Egress, Mode
from cloudsync.model.service import ICMP, ICMPV6, TCP, UDP, ServiceSet
from cloudsync.policy.load import load_policy
from cloudsync.policy.values import (
    Action,
    AllWorkloads,
    Enforcement,
    Internet,
    IpList,
    LabelSelector,
    NamedWorkload,
    Policy,
    Rule,
    Who,
)

EXAMPLE = Path(__file__).parent.parent / "golden" / "policy" / "example.yaml"
HEAD = """labels:
  role: [web, app, db, lb]
  env: [prod, dev, test]
services: {https: [tcp/443, udp/443], ssh: tcp/22}
iplists: {corp: [10.0.0.0/8, "!10.1.0.0/16"]}
"""


def load(*texts: str) -> Policy:
    policy, findings = load_policy([(f"{number}.yaml", text.encode()) for number, text in enumerate(texts)])
    assert policy is not None, "\n".join(map(str, findings))
    return policy


def one_rule(item: str, scope: str = "all") -> Rule:
    policy = load(HEAD + f"rulesets:\n  - name: r\n    scope: {scope}\n    rules:\n      - {item}\n")
    (rule,) = policy.rules
    return rule


def labels(**keys: str) -> LabelSelector:
    return LabelSelector(tuple((key, tuple(sorted(values.split("|")))) for key, values in sorted(keys.items())))


def test_the_example_means_what_the_language_page_says() -> None:
    policy = load(EXAMPLE.read_text(encoding="utf-8"))
    rules = {rule.id: rule for rule in policy.rules}
    assert list(rules) == [
        "guardrails#1",
        "guardrails#2",
        "ordering-prod#1",
        "ordering-prod/web-to-app",
        "ordering-prod#3",
        "ordering-prod#4",
        "ordering-prod#5",
    ]
    never = rules["guardrails#1"]
    assert (never.action, never.sources, never.destinations) == (Action.NEVER, (Who(Internet()),), (Who(labels(role="db")),))
    assert never.scopes == (None,)
    assert rules["guardrails#2"].sources == (Who(labels(env="dev|test")),), "the label group is expanded"
    scope = (labels(app="ordering", env="prod"),)
    https = ServiceSet.ports(TCP, 443, 443) | ServiceSet.ports(UDP, 443, 443)
    assert (rules["ordering-prod#1"].scopes, rules["ordering-prod#1"].services) == (scope, https)
    assert rules["ordering-prod/web-to-app"].because == "order API"
    free = rules["ordering-prod#4"]
    assert free.sources == (Who(labels(app="payments", role="app"), (), outside=True),)
    assert (free.until, free.because) == (datetime(2027, 3, 31, tzinfo=UTC), "CHG-1042")
    logged = rules["ordering-prod#5"]
    assert logged.sources == (Who(IpList("partners", AddressSet.of("198.51.100.0/25"))),)
    assert logged.logged
    assert policy.enforcement == (
        Enforcement(labels(app="ordering", env="prod"), Mode.FULL, Egress.LEAVE),
        Enforcement(labels(env="dev|test"), Mode.SELECTIVE, Egress.LEAVE, ServiceSet.ports(TCP, 22, 22)),
        Enforcement(None, Mode.VISIBILITY),
    )
    assert [test.expectation.value for test in policy.tests] == ["can reach", "cannot reach", "only may reach"]
    assert [ruleset.owner for ruleset in policy.rulesets] == ["", "ordering-team"]
    assert policy.values("role") == ("web", "app", "db", "lb", "jump")


def test_the_sets_of_the_example_are_exact() -> None:
    text = (
        EXAMPLE.read_text(encoding="utf-8")
        .replace("iplist partners", "iplist corp")
        .replace("on postgres until", "on ping, nginx-https until")
    )
    with pytest.raises(AssertionError, match="MIXED-PROCESS"):
        load(text)
    rules = load(text.replace("on ping, nginx-https", "on ping")).rules
    assert rules[-2].services == ServiceSet.icmp(ICMP, 8) | ServiceSet.icmp(ICMPV6, 128)
    base = rules[-1].sources[0].base
    assert isinstance(base, IpList)
    assert base.addresses == AddressSet.of("203.0.113.0/24", "2001:db8:10::/48") - AddressSet.of("203.0.113.7/32")


@pytest.mark.parametrize(
    ("sentence", "long_form"),
    [
        ("allow role=web to role=app on https", "{allow: {from: role=web, to: role=app, services: https}}"),
        (
            "never allow anywhere except iplist corp, internet to env=prod, role=db on ssh, udp/53",
            "{never: {from: [anywhere except iplist corp, internet], to: [env=prod, role=db], services: [ssh, udp/53]}}",
        ),
        (
            "deny all workloads to role=db on any service by process /x until 2027-03-31T00:00:00Z owned by me",
            "{deny: {from: all workloads, to: role=db, services: any service}, process: /x, until: 2027-03-31T00:00Z, owner: me}",
        ),
        (
            "allow web to db on ssh port-only ok internet-as-anywhere ok",
            "{allow: {from: role=web, to: role=db, services: ssh}, accept: [internet-as-anywhere, port-only]}",
        ),
        ("allow web to db on ssh logged", "{allow: {from: role=web, to: role=db, services: ssh}, logged: yes}"),
        ('allow web to db on ssh because "CHG: 1"', "{allow: {from: role=web, to: role=db, services: ssh}, because: 'CHG: 1'}"),
        ("allow outside role=web to workload db-1 on 6/22", "{allow: {from: outside web, to: workload db-1, services: tcp/22}}"),
        ("allow role=web, role=app to role=db on ssh", '{allow: {from: "web, app", to: db, services: ssh}}'),
    ],
)
def test_a_sentence_and_its_long_form_are_one_rule(sentence: str, long_form: str) -> None:
    quoted = "'" + sentence + "'"
    assert one_rule(quoted) == replace(one_rule(long_form), where=Where("0.yaml", 10, 9))


def test_both_voices_and_bare_words_are_one_rule() -> None:
    expected = one_rule("allow role=web to role=app on tcp/8443")
    assert one_rule("allow web to reach app on tcp/8443") == expected
    assert one_rule("allow web to app on 6/8443") == expected
    assert expected.text == "allow role=web to role=app on tcp/8443"


def test_every_clause_reaches_the_rule() -> None:
    rule = one_rule("'allow web to app on ssh by process /bin/x until 2027-03-31T00:00:00Z because \"why\" owned by me logged any-port ok'")
    assert (rule.process, rule.until, rule.because, rule.owner) == ("/bin/x", datetime(2027, 3, 31, tzinfo=UTC), "why", "me")
    assert (rule.logged, rule.accept) == (True, frozenset({Accept.ANY_PORT}))


def test_a_process_of_a_service_reaches_the_rule() -> None:
    text = HEAD.replace("ssh: tcp/22", "nginx: {ports: [tcp/443], process: /usr/sbin/nginx}")
    rule = load(text + "rulesets: [{name: r, scope: all, rules: [allow web to app on nginx]}]\n").rules[0]
    assert (rule.process, rule.services) == ("/usr/sbin/nginx", ServiceSet.ports(TCP, 443, 443))
    assert rule.text == "allow role=web to role=app on nginx"


@pytest.mark.parametrize("word", ["no", "1.10", "022", "on-call", "yes", "null", "1e3", "0x10"])
def test_words_that_yaml_would_retype_stay_text(word: str) -> None:
    text = (
        f"labels: {{app: [{word}], role: [db]}}\nrulesets: [{{name: {word}, scope: app={word}, rules: [allow {word} to db on tcp/22]}}]\n"
    )
    policy = load(text)
    assert policy.labels[0] == ("app", (word,))
    rule = policy.rules[0]
    assert (rule.id, rule.scopes, rule.sources) == (f"{word}#1", (labels(app=word),), (Who(labels(app=word)),))
    assert rule.text == f"allow app={word} to role=db on tcp/22"


def test_a_clock_like_port_is_text_and_refused() -> None:
    _, findings = load_policy([("p.yaml", f"{HEAD}rulesets: [{{name: r, scope: all, rules: []}}]\n".replace("tcp/22", "22:22").encode())])
    assert [str(finding).split(" ", 1)[1] for finding in findings] == [
        "BAD-PROTOCOL '22:22' is no protocol; want icmp, tcp, udp, gre, esp, ah, icmpv6, sctp or 0-255"
    ]


def test_files_are_merged_and_rules_keep_their_places() -> None:
    policy = load(
        "rulesets: [{name: a, scope: env=prod, rules: [allow web to db on ssh]}]\n",
        HEAD,
        "enforcement: {default: full}\nrulesets: [{name: b, scope: [env=dev, env=test role=web, all], rules: [deny lb to db on ssh]}]\n",
    )
    assert policy.files == ("0.yaml", "1.yaml", "2.yaml")
    assert [(rule.id, rule.where.file) for rule in policy.rules] == [("a#1", "0.yaml"), ("b#1", "2.yaml")]
    assert policy.rules[1].scopes == (labels(env="dev"), labels(env="test", role="web"), None)
    assert policy.enforcement == (Enforcement(None, Mode.FULL),)


@pytest.mark.parametrize("section", ["labels: {role: [x]}", "services: {ssh: tcp/1}", "iplists: {corp: 10.0.0.0/8}"])
def test_an_object_is_declared_once_over_all_files(section: str) -> None:
    policy, findings = load_policy(
        [("a.yaml", (HEAD + "rulesets: [{name: r, scope: all, rules: []}]\n").encode()), ("b.yaml", section.encode())]
    )
    assert policy is None
    assert [finding.code for finding in findings] == ["DECLARED-TWICE"]
    assert findings[0].where.file == "b.yaml"
    assert "a.yaml:" in findings[0].message


def test_enforcement_is_declared_once_and_takes_mode_and_egress() -> None:
    rulesets = "rulesets: [{name: r, scope: all, rules: []}]\n"
    policy = load(
        HEAD + rulesets + "enforcement: {default: {mode: full, egress: enforce}, rules: [{scope: [env=dev, role=db], mode: idle}]}\n"
    )
    assert policy.enforcement == (
        Enforcement(labels(env="dev"), Mode.IDLE),
        Enforcement(labels(role="db"), Mode.IDLE),
        Enforcement(None, Mode.FULL, Egress.ENFORCE),
    )
    _, findings = load_policy([("a.yaml", (HEAD + rulesets).encode()), ("b.yaml", b"enforcement: {}\n"), ("c.yaml", b"enforcement: {}\n")])
    assert [(finding.where.file, finding.code) for finding in findings] == [("c.yaml", "DECLARED-TWICE")]


def test_without_enforcement_nothing_is_written() -> None:
    assert load(HEAD + "rulesets: [{name: r, scope: all, rules: []}]\n").enforcement == (Enforcement(None, Mode.VISIBILITY),)


def test_groups_nest_and_serve_as_bare_words() -> None:
    text = HEAD + "label_groups: {safe: {env: [nonprod, prod]}, nonprod: {env: [dev, test]}}\n"
    rule = load(text + "rulesets: [{name: r, scope: nonprod, rules: [allow safe role=web to env=nonprod|prod on ssh]}]\n").rules[0]
    assert rule.scopes == (labels(env="dev|test"),)
    assert rule.sources == (Who(labels(env="dev|prod|test", role="web")),)
    assert rule.destinations == (Who(labels(env="dev|prod|test")),)
    assert rule.text == "allow env=safe role=web to env=nonprod|prod on ssh"


def test_a_wide_lattice_of_groups_is_cheap() -> None:
    deep = "".join(f"  g{n}: {{env: [g{n + 1}, h{n + 1}]}}\n  h{n}: {{env: [g{n + 1}, h{n + 1}]}}\n" for n in range(30))
    text = f"{HEAD}label_groups:\n{deep}  g30: {{env: [dev]}}\n  h30: {{env: [test]}}\n"
    rule = load(text + "rulesets: [{name: r, scope: all, rules: [allow env=g0 to env=prod on ssh]}]\n").rules[0]
    assert rule.sources == (Who(labels(env="dev|test")),)


def test_a_long_chain_of_groups_is_a_finding_not_a_crash() -> None:
    chain = "".join(f"  g{n}: {{env: [g{n + 1}]}}\n" for n in range(5000))
    _, findings = load_policy([("p.yaml", f"{HEAD}label_groups:\n{chain}  g5000: {{env: [dev]}}\n".encode())])
    assert "NESTING" in {finding.code for finding in findings}


def test_address_selectors_and_exceptions() -> None:
    rule = one_rule("allow anywhere except role=web to all workloads except workload db-1 on ssh")
    assert rule.destinations == (Who(AllWorkloads(), (NamedWorkload("db-1"),)),)
    assert rule.sources[0].excluded == (labels(role="web"),)


def test_an_empty_iplist_is_a_warning_and_never_everything() -> None:
    policy = load(
        HEAD.replace('"!10.1.0.0/16"', '"!10.0.0.0/8"') + "rulesets: [{name: r, scope: all, rules: [allow iplist corp to db on ssh]}]\n"
    )
    assert [(finding.code, finding.severity) for finding in policy.warnings] == [("EMPTY-SELECTOR", Severity.WARNING)]
    base = policy.rules[0].sources[0].base
    assert isinstance(base, IpList)
    assert not base.addresses


def test_rules_without_a_workload_are_kept_with_a_warning() -> None:
    policy = load(HEAD + "rulesets: [{name: r, scope: all, rules: [deny internet to anywhere on ssh]}]\n")
    assert len(policy.rules) == 1
    assert [finding.code for finding in policy.warnings] == ["NO-WORKLOAD"]


@pytest.mark.parametrize(
    "entry",
    ["10.0.0.1", "10.0.0.0/32", "10.0.0.0-10.0.0.9", "2001:db8::1", "2001:db8::/32", "::/0", "0.0.0.0/0", "2001:db8::1-2001:db8::9"],
)
def test_entries_of_an_iplist(entry: str) -> None:
    policy = load(HEAD.replace("10.0.0.0/8", f'"{entry}"') + "rulesets: [{name: r, scope: all, rules: [allow iplist corp to db on ssh]}]\n")
    base = policy.rules[0].sources[0].base
    assert isinstance(base, IpList)
    size = (10 if "." in entry else 9) if "-" in entry else AddressSet.of(entry).size
    excluded = AddressSet.of("10.1.0.0/16").size if entry == "0.0.0.0/0" else 0
    assert base.addresses.size == size - excluded

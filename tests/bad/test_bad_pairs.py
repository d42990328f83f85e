"""Two mistakes in one file: both are found at once, each with the text and the place that it has alone."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import pytest

from cloudsync.inventory.static import read_static
from cloudsync.policy.load import load_policy
from cloudsync.registry import options_schema
from cloudsync.settings import load_settings, packaged_schema
from tests.trust.figures import record

Mistake = tuple[str, str]
"""What stands in the file, once, and what somebody wrote instead: on the same lines, so that places do not move."""

POLICY = """version: 1
labels:
  role: [web, app, db, lb]
  env: [prod, dev]
label_groups:
  lower: {env: [dev]}
iplists:
  office: [192.0.2.0/24, 198.51.100.7]
  partner: ["203.0.113.0/28"]
services:
  order: [tcp/8443, udp/8443]
  icmps: [icmp/8]
enforcement:
  default: visibility
  rules:
    - {scope: env=prod, mode: full}
rulesets:
  - name: first
    scope: env=prod
    owner: netsec
    rules:
      - allow iplist office to role=web on tcp/443
      - allow role=web to role=app on order
      - deny iplist partner to role=web on tcp/80
      - never allow internet to role=db on any service
  - name: second
    scope: all
    rules:
      - allow role=lb to role=web on tcp/8080-8090 until 2031-01-31T12:00:00Z
      - allow role=app to role=db on tcp/5432 because "orders"
tests:
  - role=web can reach role=app on tcp/8443
  - internet cannot reach role=db on tcp/5432
"""
POLICY_MISTAKES: tuple[Mistake, ...] = (
    ("role: [web, app, db, lb]", "role: [web, app, db, lb, web]"),
    ("env: [prod, dev]", "env: [prod, Dev, dev]"),
    ("lower: {env: [dev]}", "lower: {env: [devv]}"),
    ("192.0.2.0/24", "192.0.2.1/24"),
    ("198.51.100.7", "198.51.100.07"),
    ('"203.0.113.0/28"', '"::ffff:cb00:7100"'),
    ("[tcp/8443, udp/8443]", "[tcp/8443, udp/08443]"),
    ("[icmp/8]", "[icmp/8-9]"),
    ("default: visibility", "default: visible"),
    ("mode: full}", "mode: ful}"),
    ("  - name: first", "  - nam: first"),
    ("scope: env=prod\n", "scope: env=prd\n"),
    ("owner: netsec", "owner: Net Sec"),
    ("iplist office to", "iplist offize to"),
    ("role=web on tcp/443", "role=wbe on tcp/443"),
    ("on order\n", "on ordre\n"),
    ("deny iplist partner", "dent iplist partner"),
    ("never allow internet", "never allow nobody"),
    ("tcp/8080-8090", "tcp/8090-8080"),
    ("2031-01-31T12:00:00Z", "2031-01-32T12:00:00Z"),
    ("tcp/5432 because", "tcp/0432 because"),
    ('because "orders"', 'becuase "orders"'),
    ("role=web can reach role=app on tcp/8443", "role=web can reech role=app on tcp/8443"),
    ("internet cannot reach", "internet can not reach"),
)
OF_FORM = {'becuase "orders"', "dent iplist partner", "never allow nobody"}
"""The grammar tells the first mistake of form of a sentence: nothing else of that sentence is known then."""
SETTINGS = """owner: acme
policy: policy/
targets:
  - {name: one, adapter: aws, mode: observe, account: "111122223333", regions: [us-east-1]}
  - {name: two, adapter: gcp, mode: additive, project: acme-prod, networks: [prod]}
labels_from:
  - {label: role, tag: Role}
  - {label: env, account: "111122223333", value: prod}
schedule: {every: 5m, jitter: 30s}
guards: {max_removed_rules: 30%, management: [203.0.113.0/28]}
mail:
  smtp: smtp+starttls://mail.acme.example:587
  from: cloudsync@acme.example
  to: [netsec@acme.example]
hooks:
  - {name: pager, command: [/usr/local/bin/page]}
"""
SETTINGS_MISTAKES: tuple[Mistake, ...] = (
    ("owner: acme\n", "owner: Acme Prod\n"),
    ("policy: policy/", "policy: ../policy/"),
    ("mode: observe", "mode: obsreve"),
    ('account: "111122223333", regions', 'account: "11112222333x", regions'),
    ("adapter: gcp", "adapter: gpc"),
    ("name: two", "name: Two"),
    ("tag: Role", "tagg: Role"),
    ("value: prod}", "value: prod, lower: yes}"),
    ("every: 5m", "every: 5y"),
    ("jitter: 30s", "jitter: 30y"),
    ("max_removed_rules: 30%", "max_removed_rules: 30x"),
    ("203.0.113.0/28", "203.0.113.1/28"),
    ("smtp+starttls://mail", "smtp://mail"),
    ("from: cloudsync@acme.example", "from: nobody"),
    ("to: [netsec@acme.example]", "to: []"),
    ("/usr/local/bin/page", "page"),
)
INVENTORY = """workloads:
  - name: db1
    addresses: [192.0.2.10]
    labels: {role: db}
  - name: db2
    addresses: [192.0.2.11]
    labels: {role: db}
  - name: web1
    addresses: ["2001:db8::1"]
    labels: {role: web}
"""
INVENTORY_MISTAKES: tuple[Mistake, ...] = (
    ("name: db1", "nam: db1"),
    ("192.0.2.10]", "192.0.2.010]"),
    ("192.0.2.11", "192.0.2.7/31"),
    ("2001:db8::1", "::ffff:192.0.2.1"),
    ("labels: {role: web}", "lables: {role: web}"),
    ("name: web1", "name: db2"),
)


def _policy(text: str) -> list[str]:
    return [str(one) for one in load_policy([("p.yaml", text.encode())])[1]]


def _settings(text: str) -> list[str]:
    return [str(one) for one in load_settings(text.encode(), options_schema, file="cloudsync.yaml")[1]]


def _inventory(text: str) -> list[str]:
    return [str(one) for one in read_static([("hosts.yaml", text.encode())], packaged_schema("inventory"))[1]]


KINDS: dict[str, tuple[Callable[[str], list[str]], str, tuple[Mistake, ...]]] = {
    "policy": (_policy, POLICY, POLICY_MISTAKES),
    "settings": (_settings, SETTINGS, SETTINGS_MISTAKES),
    "inventory": (_inventory, INVENTORY, INVENTORY_MISTAKES),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_without_a_mistake_has_no_finding_and_each_mistake_has_one(kind: str) -> None:
    load, text, mistakes = KINDS[kind]
    assert load(text) == []
    for old, new in mistakes:
        assert text.count(old) == 1, old
        assert load(text.replace(old, new)), new


def _line(text: str, mistake: Mistake) -> int:
    return text[: text.index(mistake[0])].count("\n")


@pytest.mark.parametrize("kind", KINDS)
def test_two_mistakes_are_both_found_where_they_are(kind: str) -> None:
    load, text, mistakes = KINDS[kind]
    alone = {one: set(load(text.replace(*one))) for one in mistakes}
    pairs = wrong = 0
    for first, second in combinations(mistakes, 2):
        both = text.replace(*first).replace(*second)
        if both.count(second[1]) != 1 or (_line(text, first) == _line(text, second) and {first[1], second[1]} & OF_FORM):
            continue
        pairs += 1
        found = load(both)
        missing = (alone[first] | alone[second]) - set(found)
        wrong += bool(missing)
        assert not missing, f"{first[1]} and {second[1]}: {sorted(missing)}\n" + "\n".join(found)
        assert len(found) == len(set(found))
    record("T9 pairs of mistakes", {"pairs": pairs, "wrong": wrong})

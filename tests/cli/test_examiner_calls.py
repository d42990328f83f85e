"""The number of writes is the figure: for each kind of change exactly the fewest mutating calls, counted at the wire."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.stage import Stage, staged

POLICY = """\
iplists:
  offices: [203.0.113.0/25, 198.51.100.8/29]
enforcement: {default: full}
rulesets:
  - name: shop
    scope: all
    owner: team
    rules:
      - {id: front, allow: {from: iplist offices, to: role=web, services: tcp/443}, because: "the front"}
      - allow role=web to role=app on tcp/8443
      - allow role=app to role=db on tcp/5432
      - allow role=jump to all workloads on tcp/22
"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A converged estate of two machines per role in one VPC; every test changes it and leaves it converged."""
    with staged(tmp_path_factory.mktemp("repository")) as one:
        net = one.net()
        for role in ("web", "app", "db", "jump"):
            for number in (1, 2):
                one.machine(net, f"{role}-{number}", f"role={role} env=prod")
        one.settings()
        one.policy(POLICY)
        yield one


def test_a_new_estate_costs_one_create_per_group_and_one_call_per_direction(stage: Stage) -> None:
    stage.forget()
    stage.converge()
    # Four classes: each group is created, filled once per direction that changes, and its two interfaces are moved once.
    # `leave` keeps the former egress 0.0.0.0/0, which a new group has by itself: nothing is written for it.
    assert stage.writes() == {
        "AuthorizeSecurityGroupIngress": 4,
        "CreateSecurityGroup": 4,
        "ModifyNetworkInterfaceAttribute": 8,
    }, str(stage.last)
    stage.settled()


CHANGES = {
    "a rule added": (
        POLICY + "      - allow role=web to role=db on tcp/3306\n",
        {"AuthorizeSecurityGroupIngress": 1},
    ),
    "a rule removed": (
        POLICY.replace("      - allow role=app to role=db on tcp/5432\n", "      - allow role=app to role=db on tcp/5433\n"),
        {"AuthorizeSecurityGroupIngress": 1, "RevokeSecurityGroupIngress": 1},
    ),
    "a name in the list": (
        POLICY.replace("198.51.100.8/29", "198.51.100.8/29, 192.0.2.0/24"),
        {"AuthorizeSecurityGroupIngress": 1},
    ),
    "a description": (
        POLICY.replace("id: front", "id: front-door"),
        {"UpdateSecurityGroupRuleDescriptionsIngress": 1},
    ),
    "a comment": (POLICY.replace('because: "the front"', 'because: "the back"'), {}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_of_the_policy_costs_the_fewest_calls(stage: Stage, what: str) -> None:
    text, wanted = CHANGES[what]
    stage.policy(POLICY)
    stage.converge()
    stage.policy(text)
    stage.forget()
    stage.converge()
    assert stage.writes() == wanted, str(stage.last)
    stage.settled()


def test_one_removed_rule_is_one_revoke(stage: Stage) -> None:
    stage.policy(POLICY + "      - allow role=web to role=db on tcp/3306\n")
    stage.converge()
    stage.policy(POLICY)
    stage.forget()
    stage.converge()
    assert stage.writes() == {"RevokeSecurityGroupIngress": 1}, str(stage.last)
    stage.settled()


def test_a_changed_label_is_one_call_per_interface(stage: Stage) -> None:
    stage.policy(POLICY)
    stage.converge()
    stage.tag("web-2", role="app")
    stage.forget()
    stage.converge()
    assert stage.writes() == {"ModifyNetworkInterfaceAttribute": 1}, str(stage.last)
    stage.settled()
    stage.tag("web-2", role="web")
    stage.converge()


def test_reads_do_not_grow_with_the_groups(stage: Stage) -> None:
    stage.policy(POLICY)
    stage.converge()
    stage.settled()  # whoever changed something looks for leftovers once
    stage.forget()
    stage.run("plan", code=0)
    before = stage.calls()
    more = [("web", "db"), ("app", "web"), ("db", "jump")]
    stage.policy(POLICY + "".join(f"      - allow role={a} to role={b} on tcp/900{n}\n" for n, (a, b) in enumerate(more)))
    stage.converge()
    stage.settled()  # whoever changed something looks for leftovers once
    stage.forget()
    stage.run("plan", code=0)
    assert stage.calls() == before
    assert {name: count for name, count in before.items() if name.startswith("Describe") and count != 1} == {}, before

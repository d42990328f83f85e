"""Pains that users of other tools reported, each tried through the command line and counted at the wire."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.stage import Stage, staged, tcp

HEAD = "enforcement: {default: full}\nrulesets:\n  - name: r\n    scope: all\n    owner: t\n    rules:\n"
RULE = "      - allow role=web to role=app on tcp/8443\n"


@pytest.fixture(scope="module")
def shared_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One lab for the module."""
    with staged(tmp_path_factory.mktemp("repository")) as one:
        yield one


@pytest.fixture
def stage(shared_stage: Stage) -> Stage:
    """Three machines in a VPC, nothing of ours yet."""
    shared_stage.clear()
    net = shared_stage.net(six=True)
    old = shared_stage.group(net, "old")
    for role in ("web", "app", "db"):
        shared_stage.machine(net, role, f"role={role} env=prod", [old], six=True)
    shared_stage.settings()
    return shared_stage


def test_one_rule_added_to_fifty_is_one_entry_and_a_refused_batch_loses_nothing(stage: Stage) -> None:
    many = "".join(f"      - allow role=web to role=app on tcp/{port}\n" for port in range(1, 100, 2))
    stage.policy(HEAD + many)
    stage.converge()
    stage.policy(HEAD + many + "      - allow role=web to role=app on tcp/501\n")
    stage.lab.control.fault("AuthorizeSecurityGroupIngress", "refused", code="InvalidParameterValue", message="no")
    stage.run("apply", "--yes", code=5)
    assert stage.passes("app", stage.address("web"), "tcp/99")
    stage.forget()
    stage.converge()
    (call,) = stage.lab.control.log()
    assert call["action"] == "AuthorizeSecurityGroupIngress"
    assert str(call["params"]).count("FromPort") == 1, call


def test_a_foreign_rule_in_our_group_is_drift_and_goes_and_a_tuple_of_two_rules_goes_with_the_last(stage: Stage) -> None:
    stage.policy(HEAD + RULE + RULE)
    stage.converge()
    stage.ec2.authorize_security_group_ingress(GroupId=stage.carries("app")[0], IpPermissions=[tcp(3389, "0.0.0.0/0")])
    told = stage.run("drift", code=2).out
    assert "tcp/3389" in told, told
    assert "not ours" in told, told
    stage.converge()
    assert not stage.passes("app", "8.8.8.8", "tcp/3389")
    stage.policy(HEAD + RULE)
    stage.forget()
    stage.converge()
    assert "RevokeSecurityGroupIngress" not in stage.writes()
    assert stage.passes("app", stage.address("web"), "tcp/8443")
    stage.settled()


def test_two_owners_in_one_vpc_leave_each_other_alone(stage: Stage) -> None:
    stage.settings("additive")
    stage.policy(HEAD + RULE)
    stage.converge()
    first = stage.ours()
    file = stage.root / "cloudsync.yaml"
    text = file.read_text(encoding="utf-8")
    (stage.root / ".cloudsync").rename(stage.root / ".first")
    file.write_text(text.replace("owner: examiner", "owner: another"), encoding="utf-8")
    stage.policy(HEAD + "      - allow role=db to role=app on tcp/1\n")
    stage.converge()
    assert {name: stage.ours()[name] for name in first} == first
    assert stage.passes("app", stage.address("web"), "tcp/8443")
    assert stage.passes("app", stage.address("db"), "tcp/1")


def test_overlapping_lists_send_no_twin_and_are_at_rest_afterwards(stage: Stage) -> None:
    lists = 'iplists: {a: [198.51.100.0/24, "2001:DB8:0::/48"], b: [198.51.100.0/25, 198.51.100.128/25, "2001:db8::/48"]}\n'
    stage.policy(lists + HEAD + "      - allow iplist a, iplist b to role=web on tcp/1\n      - allow iplist b to role=web on tcp/1\n")
    stage.forget()
    stage.converge()
    assert all(one["status"] == 200 for one in stage.lab.control.log())
    stage.settled()


def test_any_text_makes_a_description_that_the_platform_takes(stage: Stage) -> None:
    reason = "caf\u00e9 'quoted' <b> " + "x" * 300
    stage.policy(HEAD + f'      - {{id: front, allow: {{from: role=web, to: role=app, services: tcp/1}}, because: "{reason}"}}\n')
    stage.converge()
    stage.settled()


@pytest.mark.parametrize("action", ["CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "ModifyNetworkInterfaceAttribute"])
@pytest.mark.parametrize("kind", ["lost", pytest.param("reset_before", marks=pytest.mark.slow)])
def test_a_lost_answer_is_looked_at_and_makes_no_second_group(stage: Stage, action: str, kind: str) -> None:
    stage.policy(HEAD + RULE)
    stage.lab.control.fault(action, kind)
    stage.run("apply", "--yes")
    stage.converge()
    assert len(stage.ours()) == 3
    stage.settled()


def test_a_new_group_that_is_not_visible_yet_is_waited_for(stage: Stage) -> None:
    stage.policy(HEAD + RULE)
    stage.lab.control.fault("CreateSecurityGroup", "hidden", reads=3, times=0)
    stage.run("apply", "--yes")
    stage.lab.control.no_faults()
    stage.converge()
    assert len(stage.ours()) == 3
    stage.settled()


def test_egress_to_everything_that_appears_later_is_drift_and_goes(stage: Stage) -> None:
    head = HEAD.replace("{default: full}", "\n  default: {mode: full, egress: enforce}")
    stage.policy(head + RULE)
    stage.converge()
    assert not stage.passes("web", "2600::1", "tcp/443", out=True)
    group = stage.carries("web")[0]
    stage.ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[{"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}])
    stage.run("drift", code=2)
    stage.converge()
    assert not stage.passes("web", "2600::1", "tcp/443", out=True)
    stage.settled()


def test_a_group_that_somebody_refers_to_waits_for_its_end(stage: Stage) -> None:
    stage.policy(HEAD + RULE)
    stage.converge()
    ours = stage.carries("web")[0]
    vpc = stage.estate().groups[ours]["VpcId"]
    theirs = str(stage.ec2.create_security_group(GroupName="theirs", Description="d", VpcId=vpc)["GroupId"])
    pair = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "UserIdGroupPairs": [{"GroupId": ours}]}
    stage.ec2.authorize_security_group_ingress(GroupId=theirs, IpPermissions=[pair])
    stage.tag("web", role="db")
    ran = stage.run("apply", "--yes")
    if ran.code == 4:
        stage.converge()
        ran = stage.run("apply", "--yes")
    assert ran.code == 0, str(ran)
    assert stage.passes("app", stage.address("web"), "tcp/8443") is False
    assert ours in stage.estate().groups
    stage.ec2.revoke_security_group_ingress(GroupId=theirs, IpPermissions=[pair])
    stage.converge()
    assert ours not in stage.estate().groups

"""What hurt people who wrote VPC firewall rules by program, each as a test; the threads are named where the pain was reported.

What needs an API to hurt is in tests/wire/test_gcp_lab.py: empty lists that PATCH leaves out, lost replies, quotas on the way, half pages.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cloudsync.adapter import Method
from cloudsync.model.address import ANYWHERE, AddressSet
from cloudsync.model.mode import Mode, TargetMode
from cloudsync.model.service import ANY_SERVICE
from cloudsync_gcp import parse
from cloudsync_gcp.decode import decode
from cloudsync_gcp.payload import body
from cloudsync_gcp.simulate import simulate_all
from cloudsync_gcp.steps import steps
from cloudsync_gcp.table import Layout
from tests.unit.gcp_scene import ALL, HTTPS, SSH, TCP22, Scene, ours, passes, raw, term

CORP = AddressSet.of("198.51.100.0/24")


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.vm("web-1", "web", "10.0.0.1", tags=("web",))
    scene.vm("db-1", "db", "10.0.0.9", tags=("db",))
    scene.terms = {"web": [term("r#1", CORP, SSH)], "db": [term("r#2", "web", HTTPS)]}
    return scene


def test_a_rule_without_a_source_is_open_to_the_world_and_none_of_ours_is_such(scene: Scene) -> None:
    """hashicorp/terraform-provider-google#108, hashicorp/terraform#15061, pulumi/pulumi-gcp#964"""
    bare = raw("bare")
    del bare["sourceRanges"]
    assert parse.rule(bare, "acme").sources == ("0.0.0.0/0",)
    scene.rules = [bare]
    assert passes(scene.table(), scene.point("db-1"), "8.8.8.8", 22)
    scene.terms["db"] = [term("r#2", AddressSet(), HTTPS)]
    for rule in ours(scene.encode().table):
        assert body(rule)["sourceRanges"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"sourceRanges": ["2001:0db8::/32"]}, {"sourceRanges": ["2001:db8::/32"]}),  # terraform-provider-google#23169, #23347
        ({"sourceRanges": ["127.0.0.1/24"]}, {"sourceRanges": ["127.0.0.0/24"]}),  # #4032
        ({"sourceRanges": ["1.1.1.1", "::"]}, {"sourceRanges": ["::/128", "1.1.1.1/32"]}),  # as recorded
        ({"allowed": [{"IPProtocol": "TCP", "ports": ["80-80"]}]}, {"allowed": [{"IPProtocol": "6", "ports": ["80"]}]}),  # #4458, #750
        ({"allowed": [{"IPProtocol": "tcp", "ports": ["22", "21-25"]}]}, {"allowed": [{"IPProtocol": "tcp", "ports": ["21-25"]}]}),
        ({"logConfig": {"enable": False}}, {}),
        ({"logConfig": {"enable": True, "metadata": "INCLUDE_ALL_METADATA"}}, {"logConfig": {"enable": True}}),
        ({"targetTags": []}, {}),
    ],
)
def test_spellings_of_the_same_rule_are_no_drift(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert parse.rule(raw("x", **one), "acme") == parse.rule(raw("x", **other), "acme")


def test_any_port_is_not_every_port_from_0_or_1() -> None:
    """hashicorp/terraform-provider-google#1107"""
    texts = [{"IPProtocol": "tcp"}, {"IPProtocol": "tcp", "ports": ["0-65535"]}, {"IPProtocol": "tcp", "ports": ["1-65535"]}]
    assert len({parse.rule(raw("x", allowed=[text]), "acme").protocols for text in texts}) == 3


def test_after_addresses_give_way_to_tags_no_rule_holds_the_addresses(scene: Scene) -> None:
    """terraform-provider-google#8076, #10496, #17428: ranges that stay beside tags widen a rule"""
    there = scene.read_back(scene.encode())
    scene.layout = Layout(target="tags", tag_template="{role}")
    now = replace(there, layout=scene.layout)
    table = now
    for phase in steps(now, scene.encode(now).table, Method.MERGE):
        table = simulate_all(table, phase.steps)
    assert not any(rule.destinations for rule in ours(table))
    assert [rule.sources for rule in ours(table) if rule.source_tags] == [()]


def test_allow_becomes_deny_without_a_third_state(scene: Scene) -> None:
    """forseti-security/forseti-security#3844: a rule cannot hold both for a moment, so it is replaced"""
    there = scene.read_back(scene.encode())
    scene.nevers = {"web": [term("n#1", CORP, SSH)]}
    desired = scene.encode(there).table
    old, new, table, point = decode(there), decode(desired), there, scene.point("web-1")
    for phase in steps(there, desired, Method.MERGE):
        for step in phase.steps:
            table = simulate_all(table, (step,))
            assert decode(table)[point].inbound in (old[point].inbound, new[point].inbound)
    assert not passes(table, point, "198.51.100.1", 22)


def test_rules_of_a_cluster_are_left_alone(scene: Scene) -> None:
    """terraform-provider-google#5948, #89"""
    scene.mode, scene.layout = TargetMode.EXCLUSIVE, Layout(default_deny=800)
    scene.rules = [raw("gke-c-1a2b3c4d-exkubelet", denied=[TCP22]), raw("k8s-fw-l7--abc"), raw("prod-ba5h4uquy4cktbsldj6ba2g3")]
    table = scene.encode().table
    assert not any(rule.disabled for rule in table.rules.values())


def test_at_equal_numbers_deny_wins(scene: Scene) -> None:
    """terraform-google-modules/terraform-example-foundation#972"""
    scene.rules = [raw("a", 1000), raw("b", 1000, denied=[TCP22], sourceRanges=["8.0.0.0/8"])]
    table = scene.table()
    assert not passes(table, scene.point("web-1"), "8.8.8.8", 22)
    assert passes(table, scene.point("web-1"), "9.9.9.9", 22)


def test_tags_and_accounts_are_never_in_one_rule_and_a_tag_on_nobody_is_refused(scene: Scene) -> None:
    """superplane#5663; pulumi/examples#3014"""
    for target, more in (("tags", "{role}"), ("service-accounts", "")):
        scene.layout = Layout(target=target, tag_template=more)
        for vm in scene.vms.values():
            vm["serviceAccounts"] = [{"email": f"{vm['name']}@x.example"}]
        for rule in ours(scene.encode().table):
            assert not ((rule.source_tags or rule.target_tags) and (rule.source_accounts or rule.target_accounts))
    scene.layout = Layout(target="tags", tag_template="{role}-{env}")
    assert {problem.code for problem in scene.encode().problems} == {"GCP-TAG"}


@pytest.mark.parametrize(
    "odd",
    [
        {"direction": "EGRESS", "sourceServiceAccounts": ["a@x.example"], "destinationRanges": ["0.0.0.0/0"]},
        {"allowed": [ALL], "denied": [ALL]},
        {"allowed": [{"IPProtocol": "icmp", "ports": ["8"]}]},
        {"allowed": [{"IPProtocol": "tcp", "ports": ["http"]}]},
        {"allowed": [{"IPProtocol": "tcp", "newRestriction": True}]},
        {"sourceRanges": ["10.300.0.0/8"]},
        {"sourceRanges": "0.0.0.0/0"},
        {"secureSourceTags": ["tagValues/1"]},
        {"allowed": []},
    ],
)
def test_what_cannot_be_read_is_reported_and_never_guessed(scene: Scene, odd: dict[str, object]) -> None:
    scene.rules = [raw("odd", 1000) | odd]
    table = scene.table()
    assert table.rules["odd"].unreadable
    assert not passes(table, scene.point("web-1"), "8.8.8.8", 22)
    encoding = scene.encode(table)
    assert encoding.table.rules["odd"] == table.rules["odd"]
    assert any("odd" in note for note in encoding.notes)


def test_port_0_as_recorded_is_a_port() -> None:
    assert parse.rule(raw("x", allowed=[{"IPProtocol": "tcp", "ports": ["0"]}]), "acme").protocols == (("tcp", ((0, 0),)),)


@pytest.mark.parametrize("broken", [{"priority": "1000"}, {"priority": 70000}, {"direction": "SIDEWAYS"}, {"network": ""}, {"name": None}])
def test_an_object_without_its_identity_makes_the_read_worthless(broken: dict[str, object]) -> None:
    with pytest.raises(parse.ParseError):
        parse.rule(raw("x") | broken, "acme")


def test_a_name_that_stands_twice_makes_the_read_worthless() -> None:
    rule = parse.rule(raw("x"), "acme")
    with pytest.raises(parse.ParseError, match="twice"):
        parse.by_name([rule, rule])


def test_every_number_of_a_protocol_can_be_said(scene: Scene) -> None:
    scene.nevers = {"db": [term("n#1", ANYWHERE, ANY_SERVICE)]}
    scene.terms["web"] = [term("r#1", CORP, ANY_SERVICE)]
    encoding = scene.encode()
    assert not encoding.problems
    assert {rule.protocols for rule in ours(encoding.table) if rule.mark is not None and rule.mark.rules == ("r#1",)} == {(("all", ()),)}


def test_a_stopped_machine_is_a_member_all_the_same(scene: Scene) -> None:
    scene.vms["web-1"]["status"] = "TERMINATED"
    assert any("10.0.0.1/32" in rule.sources for rule in ours(scene.encode().table))
    scene.modes["web"] = Mode.IDLE
    assert any("10.0.0.1/32" in rule.sources for rule in ours(scene.encode().table))

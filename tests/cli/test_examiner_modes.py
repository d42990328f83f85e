"""Modes, targets, labels, domains and regions as the language and the platform page promise them: judged from the raw API."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.cli.stage import LABELS, Stage, staged, tcp

RULE = "rulesets:\n  - name: r\n    scope: all\n    owner: team\n    rules:\n"


@pytest.fixture(scope="module")
def shared_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One lab for the module."""
    with staged(tmp_path_factory.mktemp("repository")) as one:
        yield one


@pytest.fixture
def stage(shared_stage: Stage) -> Stage:
    """An empty cloud and an empty repository."""
    shared_stage.clear()
    return shared_stage


def test_selective_closes_its_services_and_keeps_the_rest_as_adopted(stage: Stage) -> None:
    net = stage.net()
    old = stage.group(net, "old", tcp(22, "0.0.0.0/0"), tcp(80, "0.0.0.0/0"), tcp(8000, "10.1.1.0/24", last=8010))
    for name, labels in {"web": "role=web env=prod", "jump": "role=jump env=prod", "dev": "role=app env=dev"}.items():
        stage.machine(net, name, labels, [old])
    stage.settings()
    head = "services: {ssh: tcp/22}\nenforcement:\n  default: visibility\n  rules:\n"
    head += "    - {scope: role=web, mode: selective, services: [ssh]}\n"
    stage.policy(
        head + RULE + "      - allow role=jump to role=web on ssh\n      - deny env=dev to env=prod on tcp/80\n"
        "      - never allow env=dev to env=prod on tcp/8005\n      - allow env=dev to env=prod on tcp/9000\n"
    )
    stage.converge()
    seen = stage.estate()
    jump, dev = (stage.address(one, seen=seen) for one in ("jump", "dev"))
    opened = [(jump, "tcp/22"), ("8.8.8.8", "tcp/80"), (jump, "tcp/80"), (dev, "tcp/8004"), (jump, "tcp/8005"), (dev, "tcp/9000")]
    closed = [("8.8.8.8", "tcp/22"), (dev, "tcp/22"), (dev, "tcp/80"), (dev, "tcp/8005"), ("8.8.8.8", "tcp/8004"), (jump, "tcp/9000")]
    for wanted, packets in ((True, opened), (False, closed)):
        for peer, what in packets:
            assert stage.passes("web", peer, what, seen=seen) is wanted, f"{peer} {what}\n{stage.last}"
    assert stage.carries("jump") == [old]
    stage.settled()
    late = stage.group(net, "late", tcp(3389, "0.0.0.0/0"))
    stage.ec2.modify_network_interface_attribute(NetworkInterfaceId=stage.cards["web"][0], Groups=[*stage.carries("web"), late])
    assert "tcp/3389" in stage.run("drift", code=2).out
    stage.converge()
    assert late not in stage.carries("web"), "what others add later is drift"
    assert stage.passes("web", "8.8.8.8", "tcp/80")


def test_visibility_writes_nothing_and_says_what_full_would_block_and_open(stage: Stage) -> None:
    net = stage.net()
    old = stage.group(net, "old", tcp(22, "0.0.0.0/0"))
    for name in ("web", "app"):
        stage.machine(net, name, f"role={name} env=prod", [old])
    stage.settings()
    stage.policy("enforcement: {default: visibility}\n" + RULE + "      - allow role=web to role=app on tcp/8443\n")
    stage.forget()
    stage.run("apply", "--yes", code=0)
    assert stage.writes() == {}
    told = stage.run("drift", "--watched", code=0).out
    assert "tcp/22" in told, told
    assert "tcp/8443" in told, told


def test_idle_and_watched_machines_are_peers_by_their_addresses(stage: Stage) -> None:
    net = stage.net(six=True)
    old = stage.group(net, "old")
    for name, labels in {"web": "role=web env=prod", "app": "role=app env=prod", "jump": "role=jump env=prod"}.items():
        stage.machine(net, name, labels, [old], six=True)
    stage.settings()
    head = "enforcement:\n  default: full\n  rules:\n    - {scope: role=web, mode: idle}\n    - {scope: role=jump, mode: visibility}\n"
    stage.policy(head + RULE + "      - allow role=web, role=jump to role=app on tcp/8443\n      - allow role=app to role=web on tcp/1\n")
    stage.converge()
    seen = stage.estate()
    for name in ("web", "jump"):
        assert stage.carries(name) == [old]
        assert stage.passes("app", stage.address(name, seen=seen), "tcp/8443", seen=seen)
        assert stage.passes("app", stage.address(name, six=True, seen=seen), "tcp/8443", seen=seen)
    assert not stage.passes("web", stage.address("app"), "tcp/1")
    stage.settled()


def test_additive_leaves_foreign_rules_and_reports_what_they_open(stage: Stage) -> None:
    net = stage.net()
    tight = stage.group(net, "tight", tcp(22, "0.0.0.0/0"), egress=[tcp(443, "0.0.0.0/0")])
    for name in ("web", "app"):
        stage.machine(net, name, f"role={name} env=prod", [tight])
    stage.settings("additive")
    stage.policy(
        "enforcement: {default: full}\n"
        + RULE
        + "      - allow role=web to role=app on tcp/8443\n      - never allow anywhere to role=app on tcp/22\n"
    )
    before = stage.estate().groups[tight]
    stage.converge()
    seen = stage.estate()
    assert seen.groups[tight] == before
    assert tight in stage.carries("app")
    assert stage.passes("app", stage.address("web", seen=seen), "tcp/8443", seen=seen)
    assert stage.passes("app", "8.8.8.8", "tcp/22", seen=seen)
    assert not stage.passes("app", "8.8.8.8", "tcp/80", out=True, seen=seen), "our group must not open what a foreign one restricts"
    stage.forget()
    stage.run("apply", "--yes", code=0)
    assert stage.writes() == {}
    told = stage.run("drift", code=2).out
    assert "tcp/22" in told, told
    assert "not ours" in told, told


def test_left_egress_is_exactly_what_it_was_at_each_interface(stage: Stage) -> None:
    net = stage.net()
    groups = [
        stage.group(net, "all", tcp(22, "0.0.0.0/0")),
        stage.group(net, "web-only", egress=[tcp(443, "0.0.0.0/0")]),
        stage.group(net, "none", egress=[]),
    ]
    for number, group in enumerate(groups):
        stage.machine(net, f"app-{number}", "role=app env=prod", [group])
    stage.card(net, [groups[1]], attach="app-0")
    stage.settings()
    stage.policy("enforcement: {default: full}\n" + RULE + "      - allow role=app to role=app on tcp/8443\n")
    stage.converge()
    seen = stage.estate()
    wanted = {("app-0", 0): (True, True), ("app-0", 1): (True, False), ("app-1", 0): (True, False), ("app-2", 0): (False, False)}
    for (name, card), (web, rest) in wanted.items():
        assert stage.passes(name, "8.8.8.8", "tcp/443", out=True, card=card, seen=seen) is web, f"{name} {card}\n{stage.last}"
        assert stage.passes(name, "8.8.8.8", "udp/53", out=True, card=card, seen=seen) is rest, f"{name} {card}\n{stage.last}"
        assert not {one["GroupId"] for one in seen.cards[stage.cards[name][card]]["Groups"]} & set(groups)
    stage.settled()


def test_observe_reads_reports_and_writes_nothing(stage: Stage) -> None:
    net = stage.net()
    old = stage.group(net, "old", tcp(22, "0.0.0.0/0"))
    stage.machine(net, "web", "role=web env=prod", [old])
    stage.settings("observe")
    stage.policy("enforcement: {default: full}\n" + RULE + "      - allow anywhere to role=web on tcp/443\n")
    stage.forget()
    ran = stage.run("plan")
    assert ran.code in (0, 2), str(ran)
    assert "tcp/443" in ran.out, str(ran)
    stage.run("apply", "--yes", code=0)
    assert stage.writes() == {}
    assert "tcp/22" in stage.run("drift", code=2).out


def test_a_label_change_is_reported_as_an_access_change_before_it_is_applied(stage: Stage) -> None:
    net = stage.net()
    old = stage.group(net, "old")
    for name in ("web", "app", "db"):
        stage.machine(net, name, f"role={name} env=prod", [old])
    stage.settings()
    stage.policy(
        "enforcement: {default: full}\n"
        + RULE
        + "      - allow role=app to role=db on tcp/5432\n      - allow env=prod to role=app on tcp/1\n"
    )
    stage.converge()
    stage.tag("web", role="app")
    stage.forget()
    told = stage.run("plan", code=2).out
    assert "web" in told, told
    assert "role=web -> " in told.replace("env=prod ", ""), told
    assert "tcp/5432" in told, told
    assert stage.writes() == {}
    document = json.loads(stage.run("plan", "--json", code=2).out)
    assert [one["workload"] for one in document["label_changes"]] == ["web"]


def test_locked_keys_and_unknown_values_give_no_label_and_a_warning(stage: Stage) -> None:
    net = stage.net()
    old = stage.group(net, "old")
    stage.machine(net, "web", "role=web env=prod", [old])
    stage.machine(net, "db", "role=web env=production", [old])
    stage.machine(net, "mallory", "role=db env=prod", [old])
    stage.machine(net, "typo", "role=web env=prdo", [old])
    stage.settings(more="label_locks: {role: static}\n")
    stage.inventory(
        "workloads:\n  - {name: db, labels: {role: db}, addresses: [10.1.1.11]}\n"
        "  - {name: web, labels: {role: web}, addresses: [10.1.1.10]}\n"
    )
    stage.policy(
        "enforcement: {default: full}\n" + RULE + "      - allow role=db to role=web on tcp/1\n      - allow env=prod to role=db on tcp/2\n"
    )
    stage.converge()
    seen = stage.estate()
    assert stage.passes("web", stage.address("db", seen=seen), "tcp/1", seen=seen)
    assert stage.passes("db", stage.address("mallory", seen=seen), "tcp/2", seen=seen)
    assert not stage.passes("web", stage.address("mallory", seen=seen), "tcp/1", seen=seen), "a tag must not give a locked label"
    assert not stage.passes("db", stage.address("typo", seen=seen), "tcp/2", seen=seen)
    told = stage.run("plan", code=0).out
    assert "prdo" in told, told


def test_routing_domains_keep_equal_addresses_apart(stage: Stage) -> None:
    one, other = stage.net("10.1"), stage.net("10.1")
    for name, net, labels in (
        ("web", one, "role=web env=prod"),
        ("app", one, "role=app env=prod"),
        ("db-1", one, "role=db env=prod"),
        ("jump", other, "role=jump env=prod"),
        ("app-2", other, "role=app env=prod"),
    ):
        stage.machine(net, name, labels)
    stage.policy(
        "enforcement: {default: full}\n"
        + RULE
        + "      - allow role=web to role=app on tcp/1\n      - allow role=jump to role=app on tcp/2\n"
    )
    stage.settings()
    stage.forget()
    ran = stage.run("plan", code=3)
    assert "10.1.1.10" in ran.out + ran.err, str(ran)
    stage.settings(more=f"routing_domains:\n  - {{name: left, members: [{one.vpc}]}}\n  - {{name: right, members: [{other.vpc}]}}\n")
    stage.converge()
    seen = stage.estate()
    assert stage.address("web", seen=seen) == stage.address("jump", seen=seen) == "10.1.1.10"
    for name, what, wanted in (("app", "tcp/1", True), ("app", "tcp/2", False), ("app-2", "tcp/1", False), ("app-2", "tcp/2", True)):
        assert stage.passes(name, "10.1.1.10", what, seen=seen) is wanted, f"{name} {what}\n{stage.last}"
    stage.settled()


def test_a_region_that_cannot_be_read_loses_nothing_and_the_others_go_on(stage: Stage) -> None:
    west = "eu-west-1"
    here, there = stage.net("10.1"), stage.net("10.2", region=west)
    stage.machine(here, "web", "role=web env=prod")
    stage.machine(here, "app", "role=app env=prod")
    stage.machine(there, "far", "role=web env=prod", region=west)
    far = "10.2.1.10"
    stage.settings(target=f"regions: [{stage.region}, {west}], vpcs: all")
    policy = "enforcement: {default: full}\n" + RULE + "      - allow role=web to role=app on tcp/1\n"
    stage.policy(policy + "      - allow role=app to role=web on tcp/2\n      - allow role=app to role=web on tcp/9\n")
    stage.converge()
    assert stage.passes("app", far, "tcp/1")
    stage.lab.control.fault("DescribeInstances", "denied", times=0, region=west)
    stage.policy(policy + "      - allow role=web to role=app on tcp/3\n      - allow role=app to role=web on tcp/9\n")
    stage.forget()
    ran = stage.run("apply", "--yes", code=5)
    assert west in ran.out + ran.err, str(ran)
    seen = stage.estate()
    assert stage.passes("app", far, "tcp/1", seen=seen), "an unread workload keeps its access"
    assert stage.passes("app", stage.address("web", seen=seen), "tcp/3", seen=seen), str(ran)
    assert all(one["region"] == stage.region for one in stage.lab.control.log()), str(ran)
    stage.lab.control.no_faults()
    stage.converge()
    stage.settled()


def test_a_list_used_by_many_groups_changes_in_place_with_one_call(stage: Stage) -> None:
    net = stage.net()
    old = stage.group(net, "old")
    for role in ("web", "app", "db", "jump", "lb"):
        stage.machine(net, role, f"role={role} env=prod", [old])
    stage.settings()
    many = [f"198.51.{number}.0/24" for number in range(101, 121, 2)]
    text = "iplists: {{offices: [{}]}}\nenforcement: {{default: full}}\n" + RULE
    text += "".join(
        f"      - allow iplist offices to role={role} on tcp/{port}\n" for role in ("web", "app", "db", "jump") for port in (1, 3)
    )
    stage.policy(text.format(", ".join(many)))
    stage.converge()
    lists = [one for one in stage.estate().lists.values() if set(one) == set(many)]
    assert len(lists) == 1, stage.estate().lists
    changed = [*many[:-1], "203.0.113.0/24"]
    stage.policy(text.format(", ".join(changed)))
    stage.forget()
    stage.converge()
    writes = stage.writes()
    assert set(writes) == {"ModifyManagedPrefixList"}, f"{writes}\n{stage.last}"
    seen = stage.estate()
    for role in ("web", "app", "db", "jump"):
        assert stage.passes(role, "203.0.113.9", "tcp/3", seen=seen)
        assert not stage.passes(role, "198.51.119.9", "tcp/3", seen=seen)
    stage.settled()


def test_more_than_sixty_entries_take_shards_and_more_than_the_slots_are_refused_with_the_numbers(stage: Stage) -> None:
    net = stage.net()
    old = stage.group(net, "old")
    stage.machine(net, "web", "role=web env=prod", [old])
    stage.settings()
    text = "enforcement: {default: full}\nservices: {odd: [" + ", ".join(f"tcp/{port}" for port in range(1, 200, 2)) + "]}\n" + RULE
    text = "iplists: {few: [198.51.100.0/25]}\n" + text
    stage.policy(text + "      - {id: wide, allow: {from: iplist few, to: role=web, services: odd}}\n")
    stage.converge()
    assert len(stage.carries("web")) == 2
    seen = stage.estate()
    assert stage.passes("web", "198.51.100.1", "tcp/1", seen=seen)
    assert stage.passes("web", "198.51.100.1", "tcp/199", seen=seen)
    assert not stage.passes("web", "198.51.100.1", "tcp/2", seen=seen)
    stage.settled()
    stage.policy(
        text.replace("tcp/199", ", ".join(f"tcp/{port}" for port in range(199, 900, 2)))
        + "      - {id: wide, allow: {from: iplist few, to: role=web, services: odd}}\n"
    )
    stage.forget()
    ran = stage.run("apply", "--yes", code=4)
    for word in ("G-QUOTA", "450", "60", "L-0EA8095F", "wide"):
        assert word in ran.out, f"{word}\n{ran}"
    assert stage.writes() == {}


def test_additive_needs_a_free_slot_beside_foreign_groups(stage: Stage) -> None:
    net = stage.net()
    foreign = [stage.group(net, f"old-{number}") for number in range(5)]
    stage.machine(net, "web", "role=web env=prod", foreign)
    stage.settings("additive")
    stage.policy(
        "enforcement: {default: full}\n" + RULE + "      - allow iplist few to role=web on tcp/1\niplists: {few: [198.51.100.0/25]}\n"
    )
    stage.forget()
    ran = stage.run("apply", "--yes", code=4)
    assert "L-2AFB9258" in ran.out, str(ran)
    assert stage.writes() == {}


def test_interfaces_of_services_are_skipped_and_listed(stage: Stage) -> None:
    net = stage.net()
    old = stage.group(net, "old")
    stage.machine(net, "web", "role=web env=prod", [old])
    loose = stage.card(net, [old])
    stage.settings()
    stage.policy("enforcement: {default: full}\n" + RULE + "      - allow anywhere to role=web on tcp/443\n")
    stage.converge()
    assert [one["GroupId"] for one in stage.estate().cards[loose]["Groups"]] == [old]
    assert loose in stage.run("plan", code=0).out, str(stage.last)


def test_labels_come_from_the_first_source_that_yields_one(stage: Stage) -> None:
    net = stage.net()
    old = stage.group(net, "old")
    stage.machine(net, "web-7", "env=production", [old])
    stage.machine(net, "db-7", "role=APP env=test", [old])
    more = f'  - {{name: "^(web|app|db)-", label: role}}\n  - {{account: "{stage.lab.state.account}", label: app, value: shop}}\n'
    stage.settings(labels=LABELS + more)
    stage.policy(
        "enforcement: {default: full}\n"
        + RULE
        + "      - allow role=web env=prod app=shop to role=app env=test on tcp/1\n      - allow role=web to role=db on tcp/2\n"
    )
    stage.converge()
    seen = stage.estate()
    assert stage.passes("db-7", stage.address("web-7", seen=seen), "tcp/1", seen=seen)
    assert not stage.passes("db-7", stage.address("web-7", seen=seen), "tcp/2", seen=seen)

"""Drift in words: what is open that should not be, for whom, by whose rule, and how bad."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cloudsync.adapter import Access, Intent
from cloudsync.compile import arms, universe
from cloudsync.compile.allowed import Compiler
from cloudsync.compile.intent import Wanted
from cloudsync.compile.universe import Universe
from cloudsync.diff import Owners, changes, point_changes
from cloudsync.model.address import ANYWHERE, AddressSet, globally_routable
from cloudsync.model.finding import Where
from cloudsync.model.mode import Mode, TargetMode
from cloudsync.model.packets import PacketSet
from cloudsync.model.service import ANY_SERVICE, ICMP, TCP, ServiceSet
from cloudsync.model.workload import DEFAULT_DOMAIN, Interface, Labels, PointId, Workload, WorkloadId
from cloudsync.policy.values import Enforcement, LabelSelector, Policy, PolicyTest, Who
from cloudsync.policy.values import Expectation as Expect
from cloudsync.proof.drift import Kind, Scene, Severity, find, severity
from cloudsync.proof.words import Names, service_words
from cloudsync.testing.memory import MemoryAdapter, MemoryPlatform

SSH = ServiceSet.ports(TCP, 22, 22)
HTTPS = ServiceSet.ports(TCP, 443, 443)


def _universe(roles: str) -> Universe:
    workloads = [
        Workload(
            WorkloadId(f"mem/{role}{n}"),
            f"{role}{n}",
            Labels.of({"role": role}),
            (Interface(f"{role}{n}", "net", AddressSet.of(f"10.0.0.{n}"), DEFAULT_DOMAIN, PointId(f"mem/one/{role}{n}")),),
            target="mem",
        )
        for n, role in enumerate(roles.split())
    ]
    everyone = (Who(LabelSelector((("role", tuple(sorted(set(roles.split())))),))),)
    test = PolicyTest(Where("p.yaml"), "", Expect.CANNOT, everyone, everyone, SSH)
    return universe.build(Policy((), (), (), (Enforcement(None, Mode.FULL),), (test,)), workloads)


def test_peers_are_named_by_class_then_by_machine_then_by_address() -> None:
    names = Names(_universe("web web db"))
    assert names.peers(AddressSet.of("10.0.0.0/31"), DEFAULT_DOMAIN) == "role=web"
    assert names.peers(AddressSet.of("10.0.0.0"), DEFAULT_DOMAIN) == "web0"
    assert names.peers(AddressSet.of("10.0.0.2", "192.0.2.0/24"), DEFAULT_DOMAIN) == "role=db, 192.0.2.0/24"
    assert names.peers(ANYWHERE, DEFAULT_DOMAIN) == "anywhere"
    assert names.peers(AddressSet.of("0.0.0.0/0") - AddressSet.of("10.0.0.0/24"), DEFAULT_DOMAIN) == "anywhere (IPv4) but 256 addresses"
    assert names.peers(globally_routable(), DEFAULT_DOMAIN) == "the internet"
    assert names.peers(globally_routable() | AddressSet.of("10.0.0.0/8"), DEFAULT_DOMAIN) == "the internet and more"


def test_nearly_every_service_is_said_by_what_is_missing() -> None:
    assert service_words(ANY_SERVICE) == "any service"
    assert service_words(ANY_SERVICE - ServiceSet.icmp(ICMP, 8) - SSH) == "any service except icmp/echo-request, tcp/22"
    assert service_words(SSH | HTTPS) == "tcp/22, tcp/443"


@pytest.mark.parametrize(
    ("peers", "services", "kind", "expected"),
    [
        (globally_routable(), SSH, Kind.EXCESS, Severity.CRITICAL),
        (ANYWHERE, ANY_SERVICE, Kind.SHADOW, Severity.CRITICAL),
        (ANYWHERE, HTTPS, Kind.EXCESS, Severity.HIGH),
        (AddressSet.of("10.0.0.0/8"), SSH, Kind.EXCESS, Severity.MEDIUM),
        (AddressSet.of("10.0.0.0/24"), SSH, Kind.EXCESS, Severity.LOW),
        (ANYWHERE, SSH, Kind.MISSING, Severity.MEDIUM),
    ],
)
def test_severity_goes_by_what_is_open(peers: AddressSet, services: ServiceSet, kind: Kind, expected: Severity) -> None:
    assert severity(PacketSet.of(peers, services), kind) is expected


def _scene(rules: list[tuple[str, str]], want: PacketSet, mode: TargetMode) -> Scene:
    platform = MemoryPlatform()
    group = platform.add_group("legacy", rules)
    for name, address in (("db0", "10.0.0.0"), ("db1", "10.0.0.1")):
        platform.add_point(name, address, [group])
    adapter = MemoryAdapter(platform)
    classes = _universe("db db")
    Compiler(classes, arms.resolve(classes, Policy((), (), (), (), ()), datetime(2026, 1, 1, tzinfo=UTC)))
    table = adapter.read().table
    access = adapter.decode(table)
    wanted = Wanted(Access(want), Access(want), ours_only=mode is not TargetMode.EXCLUSIVE)
    return Scene("mem", mode, adapter, table, access, dict.fromkeys(access, wanted), classes, Owners.of(classes), {})


def test_an_opening_nobody_ordered_is_one_finding_for_all_its_workloads() -> None:
    allowed = PacketSet.of(AddressSet.of("192.0.2.0/24"), HTTPS)
    scene = _scene([("192.0.2.0/24", "6/443-443"), ("0.0.0.0/0", "6/22-22")], allowed, TargetMode.EXCLUSIVE)
    (one,) = find(scene)
    assert (one.kind, one.severity, one.workloads) == (Kind.EXCESS, Severity.CRITICAL, ("db0", "db1"))
    assert one.text() == (
        "tcp/22 from anywhere (IPv4) to 2 workloads role=db: not in the policy, let in by "
        "'6/22-22 from 0.0.0.0/0' in legacy (g-1), not ours"
    )


def test_what_is_cut_is_a_finding_without_a_rule_to_blame() -> None:
    scene = _scene([], PacketSet.of(AddressSet.of("192.0.2.0/24"), HTTPS), TargetMode.EXCLUSIVE)
    (one,) = find(scene)
    assert (one.kind, one.entries) == (Kind.MISSING, ())
    assert one.text() == "tcp/443 from 192.0.2.0/24 to 2 workloads role=db: wanted, but not let through"


def test_beside_foreign_rules_an_excess_is_a_shadow_allow() -> None:
    (one,) = find(_scene([("10.0.0.0/8", "6/22-22")], PacketSet(), TargetMode.ADDITIVE))
    assert one.kind is Kind.SHADOW
    assert one.real


def test_no_difference_is_no_finding() -> None:
    allowed = PacketSet.of(AddressSet.of("192.0.2.0/24"), HTTPS)
    assert find(_scene([("192.0.2.0/24", "6/443-443")], allowed, TargetMode.EXCLUSIVE)) == ()


def test_machines_of_one_name_are_counted_one_by_one_and_told_apart_by_id() -> None:
    scene = _scene([("0.0.0.0/0", "6/22-22")], PacketSet.of(AddressSet.of("192.0.2.0/24"), SSH), TargetMode.EXCLUSIVE)
    fleet = [replace(one, name="db", ref=f"i-{n}") for group in scene.universe.classes for n, one in enumerate(group.workloads)]
    classes = universe.build(Policy((), (), (), (Enforcement(None, Mode.FULL),), ()), fleet)
    (one,) = find(replace(scene, universe=classes, owners=Owners.of(classes)))
    assert one.workloads == ("db [i-0]", "db [i-1]")
    assert "to 2 workloads" in one.text()
    moved = point_changes(Owners.of(classes), {}, scene.access)
    (change,) = (
        one
        for one in changes(classes, Owners.of(classes), Intent("mem", "acme", TargetMode.EXCLUSIVE, (), ()), moved)
        if one.direction == "inbound"
    )
    assert change.workloads == ("db [i-0]", "db [i-1]")

"""Drift as sightings: one for each native rule at each class, keys that stay, and whose doing it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cloudsync.adapter import Access, Entry
from cloudsync.compile import universe
from cloudsync.compile.intent import Recorded
from cloudsync.compile.universe import Universe
from cloudsync.diff import Owners
from cloudsync.model.address import ANYWHERE, AddressSet
from cloudsync.model.finding import Where
from cloudsync.model.mode import Egress, Mode, TargetMode
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.service import TCP, ServiceSet
from cloudsync.model.workload import DEFAULT_DOMAIN, Interface, Labels, PointId, Workload, WorkloadId
from cloudsync.policy.values import Action, AllWorkloads, Enforcement, LabelSelector, Policy, PolicyTest, Rule, Ruleset, Who
from cloudsync.policy.values import Expectation as Expect
from cloudsync.proof.drift import Drift, Kind, Severity
from cloudsync.report.sightings import Cause, Ground, judge, sightings

SSH, RDP, SQL = (ServiceSet.ports(TCP, port, port) for port in (22, 3389, 5432))
SSH_OPEN, RDP_OPEN = PacketSet.of(ANYWHERE, SSH), PacketSet.of(ANYWHERE, RDP)
SQL_WANTED = PacketSet.of(AddressSet.of("10.0.0.0/24"), SQL)
DB1, DB2, WEB = PointId("mem/db1"), PointId("mem/db2"), PointId("mem/web")


def _who(role: str) -> Who:
    return Who(LabelSelector((("role", (role,)),)))


def _rule(ruleset: str, source: Who, destination: Who) -> Rule:
    return Rule(f"{ruleset}#1", ruleset, Where("p.yaml"), Action.ALLOW, (source,), (destination,), SQL, (None,), "")


def _policy(mode: Mode = Mode.FULL, egress: Egress = Egress.LEAVE) -> Policy:
    rules = (
        _rule("shop", _who("web"), _who("db")),
        _rule("edge", _who("db"), _who("web")),
        replace(_rule("guard", Who(AllWorkloads()), _who("db")), action=Action.NEVER, owner="netsec"),
    )
    rulesets = (
        Ruleset("shop", Where("p.yaml"), "team-shop"),
        Ruleset("edge", Where("p.yaml"), "team-edge"),
        Ruleset("guard", Where("p.yaml")),
    )
    test = PolicyTest(Where("p.yaml"), "", Expect.CANNOT, (_who("web"),), (_who("db"),), SSH)
    return Policy((), rulesets, rules, (Enforcement(None, mode, egress),), (test,))


def _universe(policy: Policy) -> Universe:
    def machine(name: str, role: str, number: int) -> Workload:
        card = Interface(name, "net", AddressSet.of(f"10.0.0.{number}"), DEFAULT_DOMAIN, PointId(f"mem/{name}"))
        return Workload(WorkloadId(f"mem/{name}"), name, Labels.of({"role": role}), (card,), target="mem")

    return universe.build(policy, [machine("db1", "db", 1), machine("db2", "db", 2), machine("web", "web", 3)])


def _ground(mode: TargetMode = TargetMode.EXCLUSIVE, *, selective: bool = False, **more: Any) -> Ground:
    policy = _policy(Mode.SELECTIVE if selective else Mode.FULL)
    classes = _universe(policy)
    ids = {group.labels.get("role"): group.id for group in classes.classes}
    applied: dict[tuple[str, str], Access] = {(ids["db"], DEFAULT_DOMAIN): Access(SQL_WANTED), (ids["web"], DEFAULT_DOMAIN): Access()}
    return replace(Ground("mem", mode, classes, Owners.of(classes), policy, applied), **more)


def entry(native: str, packets: PacketSet, name: str = "sg-1", *points: PointId) -> Entry:
    return Entry(name, f"group {name}", native, "inbound", packets, ours=False, points=points)


def drift(packets: PacketSet, *entries: Entry, kind: Kind = Kind.EXCESS, points: tuple[PointId, ...] = (DB1, DB2)) -> Drift:
    names = tuple(point.removeprefix("mem/") for point in points)
    return Drift("mem", kind, Severity.CRITICAL, "inbound", packets, points, names, Labels.of({"role": "db"}), "words", entries)


def test_each_rule_is_one_finding_whose_key_does_not_depend_on_the_others() -> None:
    ssh, rdp = entry("ssh", SSH_OPEN), entry("rdp", RDP_OPEN)
    (alone,) = sightings([drift(SSH_OPEN, ssh)], _ground())
    both = sightings([drift(SSH_OPEN | RDP_OPEN, ssh, rdp)], _ground())
    assert alone.key.startswith("mem/")
    assert len({one.key for one in both}) == 2
    assert alone.key in {one.key for one in both}
    assert {one.words for one in both} == {"tcp/22 from anywhere", "tcp/3389 from anywhere"}
    assert {one.packets for one in both} >= {alone.packets}
    assert all(one.exposes and one.workloads == ("db1", "db2") for one in both)


def test_the_same_rule_at_other_points_of_the_class_is_the_same_finding() -> None:
    """Two machines of a class may let different things in: the drift is two, the rule is one."""
    ssh = entry("ssh", SSH_OPEN)
    first = drift(SSH_OPEN | RDP_OPEN, ssh, entry("rdp", RDP_OPEN, "sg-2"), points=(DB1,))
    found = judge([first, drift(SSH_OPEN, ssh, points=(DB2,))], _ground())
    shared = next(one for one in found.sightings if one.rule == ("sg-1", "ssh"))
    assert shared.points == (DB1, DB2)
    (other,) = (one for one in found.sightings if one is not shared)
    assert found.behind == ((shared.key, other.key), (shared.key,))
    (single,) = sightings([drift(SSH_OPEN, ssh, points=(DB2,))], _ground())
    assert single.key == shared.key


def test_a_rule_counts_only_where_it_acts() -> None:
    here = entry("ssh", SSH_OPEN, "sg-1", DB1)
    found = sightings([drift(SSH_OPEN, here, entry("ssh", SSH_OPEN, "sg-2", DB2))], _ground())
    assert {one.rule: one.points for one in found} == {("sg-1", "ssh"): (DB1,), ("sg-2", "ssh"): (DB2,)}


def test_what_no_rule_explains_is_a_finding_of_its_own() -> None:
    missing = drift(SQL_WANTED, kind=Kind.MISSING)
    (one,) = sightings([missing], _ground())
    assert (one.rule, one.objects, one.natives) == (None, (DB1, DB2), ())
    assert one.exposes is False


def test_words_of_a_drift_that_is_one_finding_are_its_own() -> None:
    (one,) = sightings([drift(SSH_OPEN, entry("ssh", SSH_OPEN))], _ground())
    assert one.words == "words"
    assert one.severity is Severity.CRITICAL


@pytest.mark.parametrize(
    ("kind", "packets", "causes"),
    [
        (Kind.EXCESS, SSH_OPEN, {Cause.SOMEBODY: SSH_OPEN}),
        (Kind.EXCESS, SQL_WANTED, {Cause.POLICY: SQL_WANTED}),
        (Kind.EXCESS, SSH_OPEN | SQL_WANTED, {Cause.SOMEBODY: SSH_OPEN, Cause.POLICY: SQL_WANTED}),
        (Kind.SHADOW, SSH_OPEN, {Cause.SOMEBODY: SSH_OPEN}),
        (Kind.MISSING, SQL_WANTED, {Cause.SOMEBODY: SQL_WANTED}),
        (Kind.MISSING, RDP_OPEN, {Cause.POLICY: RDP_OPEN}),
        (Kind.SHADOW_DENY, SQL_WANTED | RDP_OPEN, {Cause.SOMEBODY: SQL_WANTED, Cause.POLICY: RDP_OPEN}),
    ],
)
def test_what_was_applied_tells_somebodys_doing_from_a_changed_policy(
    kind: Kind, packets: PacketSet, causes: dict[Cause, PacketSet]
) -> None:
    found = judge([drift(packets, kind=kind)], _ground())
    assert {one.cause: one.content for one in found.sightings} == causes
    assert len(found.behind[0]) == (1 if Cause.SOMEBODY in causes else 0)


def test_where_nothing_was_applied_nobody_is_to_blame() -> None:
    for ground in (
        _ground(applied=None),
        _ground(applied={}),
        _ground(relabelled=frozenset({WorkloadId("mem/db1"), WorkloadId("mem/db2")})),
    ):
        assert [one.cause for one in sightings([drift(SSH_OPEN)], ground)] == [Cause.ENROLMENT]
    mixed = _ground(verified=frozenset({WorkloadId("mem/db1")}))  # db2 is new
    (one,) = sightings([drift(SSH_OPEN)], mixed)
    assert (one.cause, one.points) == (Cause.SOMEBODY, (DB1, DB2))


def test_a_target_that_only_observes_takes_everything_as_somebodys_doing() -> None:
    ground = _ground(TargetMode.OBSERVE, verified=frozenset())
    assert [one.cause for one in sightings([drift(SQL_WANTED)], ground)] == [Cause.SOMEBODY]


def test_what_is_kept_of_the_past_is_missed_when_somebody_cuts_it_and_closed_things_do_not_come_back_in_silence() -> None:
    kept = {DB1: Recorded((), SSH_OPEN, NO_PACKETS)}
    ground = _ground(selective=True, recorded=kept)
    (cut,) = sightings([drift(SSH_OPEN, kind=Kind.MISSING, points=(DB1,))], ground)
    (back,) = sightings([drift(SSH_OPEN, kind=Kind.EXCESS, points=(DB1,))], ground)
    assert (cut.cause, back.cause) == (Cause.SOMEBODY, Cause.SOMEBODY)
    outbound = replace(drift(SSH_OPEN, kind=Kind.MISSING, points=(DB1,)), direction="outbound")
    left = _ground(recorded={DB1: Recorded((), NO_PACKETS, SSH_OPEN)})
    assert [one.cause for one in sightings([outbound], left)] == [Cause.SOMEBODY]


def test_what_is_only_watched_is_no_finding() -> None:
    found = judge([drift(SSH_OPEN, kind=Kind.WOULD_BLOCK), drift(SSH_OPEN)], _ground())
    assert len(found.sightings) == 1
    assert [len(keys) for keys in found.behind] == [0, 1]


def test_owners_are_those_of_the_rulesets_that_speak_of_the_class() -> None:
    (inbound,) = sightings([drift(SSH_OPEN)], _ground())
    assert inbound.owners == ("team-shop", "netsec")
    (outbound,) = sightings([replace(drift(SSH_OPEN), direction="outbound")], _ground())
    assert outbound.owners == ("team-edge", "netsec")


def test_keys_differ_by_target_kind_direction_class_and_rule() -> None:
    base = drift(SSH_OPEN, entry("ssh", SSH_OPEN))
    others = [
        base,
        replace(base, target="other"),
        replace(base, kind=Kind.SHADOW),
        drift(SSH_OPEN, entry("ssh", SSH_OPEN, "sg-2")),
        drift(SSH_OPEN, entry("ssh again", SSH_OPEN)),
        replace(base, points=(WEB,), labels=Labels.of({"role": "web"})),
        replace(base, direction="outbound", entries=(replace(entry("ssh", SSH_OPEN), direction="outbound"),)),
    ]
    keys = [sightings([one], _ground())[0].key for one in others]
    assert len(set(keys)) == len(keys)
    assert sightings([base], _ground())[0].key == keys[0]

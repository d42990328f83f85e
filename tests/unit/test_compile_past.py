"""What is kept of the past, when rules end, who is meant by a name: one small world, told from policy text to the intent of one point."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cloudsync.adapter import Access, Point, PointIntent
from cloudsync.compile import arms, universe
from cloudsync.compile.allowed import Compiler
from cloudsync.compile.intent import Actual, Recorded, TargetScope, build
from cloudsync.model.address import ANYWHERE, AddressSet
from cloudsync.model.mode import Mode, TargetMode
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.service import TCP, ServiceSet
from cloudsync.model.workload import DEFAULT_DOMAIN, Interface, Labels, PointId, Workload, WorkloadId
from cloudsync.policy.load import load_policy
from cloudsync.policy.values import Policy

POINT = PointId("acct/one/eni-1")
SSH, WEB, SQL = (ServiceSet.ports(TCP, port, port) for port in (22, 443, 5432))
OFFICE = AddressSet.of("192.0.2.0/24")
ENDS = datetime(2027, 3, 31, tzinfo=UTC)
MACHINE = Workload(
    WorkloadId("aws/i-1"),
    "web1",
    Labels.of({"role": "web", "env": "prod"}),
    (Interface("eni-1", "vpc-1", AddressSet.of("10.0.0.1"), DEFAULT_DOMAIN, POINT),),
    target="aws",
    ref="i-1",
)


def policy(rule: str, enforcement: str = "{default: full}") -> Policy:
    text = f"""version: 1
labels: {{role: [web, db], env: [prod, test]}}
iplists: {{office: [192.0.2.0/24]}}
enforcement: {enforcement}
rulesets:
  - {{name: r, scope: all, owner: us, rules: ["{rule}"]}}
"""
    found, findings = load_policy([("policy/p.yaml", text.encode())])
    assert found is not None, findings
    return found


def world(found: Policy, now: datetime = ENDS) -> Compiler:
    classes = universe.build(found, [MACHINE])
    return Compiler(classes, arms.resolve(classes, found, now))


def intended(found: Policy, now: Access, recorded: Recorded | None = None, *, in_place: bool = False) -> PointIntent:
    """Return what is wanted at the machine's point, which lets `now` through and carries a group of somebody else."""
    point = Point(POINT, "acct/one", "vpc-1", "i-1", AddressSet.of("10.0.0.1"), (), ("sg-old",))
    actual = Actual({POINT: point}, {POINT: now}, {POINT: now})
    scope = TargetScope("aws", "acme", TargetMode.EXCLUSIVE, in_place=in_place)
    intent = build(world(found), scope, actual, {POINT: recorded} if recorded else {})
    (only,) = intent.points
    return only


def test_a_workload_is_called_by_its_name_or_its_native_id() -> None:
    twin = replace(MACHINE, id=WorkloadId("aws/i-2"), name="web2", ref="i-2", interfaces=())
    for called in ("web1", "i-1"):
        found = policy(f"allow iplist office to workload {called} on tcp/22")
        classes = universe.build(found, [MACHINE, twin])
        (arm,) = arms.resolve(classes, found, ENDS)
        assert [classes.classes[number].workloads for number in universe.members_of(arm.destination.classes)] == [(MACHINE,)]
    assert world(policy("allow iplist office to workload aws/i-1 on tcp/22")).arms == ()


def test_a_rule_ends_at_its_instant() -> None:
    found = policy("allow iplist office to role=web on tcp/22 until 2027-03-31T00:00:00Z")
    assert len(world(found, ENDS - timedelta(seconds=1)).arms) == 1
    assert world(found, ENDS).arms == ()


SELECTIVE = "{default: full, rules: [{scope: role=web, mode: selective, services: [tcp/22]}]}"


def test_selective_closes_its_services_and_keeps_the_rest_of_the_past() -> None:
    before = PacketSet.of(ANYWHERE, SSH | WEB)
    found = intended(policy("allow iplist office to role=web on tcp/22", SELECTIVE), Access(before))
    assert found.mode is Mode.SELECTIVE
    assert found.kept_in == PacketSet.of(ANYWHERE, WEB)
    assert found.original == ("sg-old",)


def test_a_never_rule_closes_the_past_too() -> None:
    before = PacketSet.of(ANYWHERE, SQL | WEB)
    found = intended(policy("never allow iplist office to role=web on tcp/5432", SELECTIVE), Access(before))
    assert found.kept_in == before - PacketSet.of(OFFICE, SQL)


def test_egress_that_is_left_alone_stays_as_it_was() -> None:
    out = PacketSet.of(OFFICE, WEB)
    for enforcement in ("{default: full}", SELECTIVE):
        assert intended(policy("allow iplist office to role=web on tcp/22", enforcement), Access(outbound=out)).kept_out == out
    enforced = intended(
        policy("allow iplist office to role=web on tcp/22", "{default: {mode: full, egress: enforce}}"), Access(outbound=out)
    )
    assert enforced.kept_out == NO_PACKETS


def test_the_past_is_what_was_recorded() -> None:
    recorded = Recorded(("sg-first",), PacketSet.of(OFFICE, WEB), PacketSet.of(OFFICE, SQL))
    found = intended(policy("allow iplist office to role=web on tcp/22", SELECTIVE), Access(PacketSet.of(ANYWHERE, SQL)), recorded)
    assert (found.kept_in, found.kept_out, found.original) == (recorded.inbound, recorded.outbound, ("sg-first",))


def test_where_rules_stay_in_place_the_past_fades_only_by_what_people_took_away() -> None:
    found = policy("allow iplist office to role=web on tcp/22", SELECTIVE)
    now = Access(PacketSet.of(OFFICE, WEB))
    first = PacketSet.of(ANYWHERE, WEB)
    assert intended(found, now, Recorded(("a",), first, NO_PACKETS), in_place=True).kept_in == now.inbound
    assert intended(found, now, Recorded(("a",), first, NO_PACKETS, taken=True), in_place=True).kept_in == first


def test_the_first_line_of_enforcement_that_fits_decides() -> None:
    lines = "{default: idle, rules: [{scope: role=web, mode: visibility}, {scope: env=prod, mode: full}]}"
    (group,) = world(policy("allow iplist office to role=web on tcp/22", lines)).universe.classes
    assert group.mode is Mode.VISIBILITY

"""Stories to render: a quiet run, a night with incidents, names from an enemy, four platforms with four hundred workloads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

from cloudsync.guard.values import Refusal
from cloudsync.model.address import ANYWHERE
from cloudsync.model.fidelity import Fidelity, Verdict
from cloudsync.model.mode import TargetMode
from cloudsync.proof.drift import Drift, Kind, Severity
from cloudsync.report.story import Acknowledgement, Actor, Deed, Expiring, State, Story, TargetState, Tracked, Trouble
from cloudsync.report.values import Applied, TargetReport, Unchecked
from cloudsync.testing.plans import HARMLESS
from tests.stories.enemy import spoken
from tests.stories.estate import DAY, HOUR, NOW, World, four, small
from tests.stories.pieces import changes, marks, matrix, packets, ports, report, story, tracked

SILENT = "bigip1 did not answer in 30 s"


@cache
def quiet() -> Story:
    """Return a run that found everything as it should be."""
    world = small()
    good = TargetReport("aws-prod", TargetMode.EXCLUSIVE, replace(HARMLESS, target="aws-prod"), code="0", applied=Applied("nothing"))
    return story(
        verb="reconcile",
        report=report(world, (good,), "reconcile"),
        targets=(TargetState("aws-prod", "aws", "exclusive", "in sync", NOW),),
        matrix=matrix(world, ()),
        trend=tuple(marks({"aws-prod": (0.0, 11)}, ("env=prod",), days=7, seed=3)),
    )


@cache
def incident() -> Story:
    """Return a night with one critical finding, and others in every state."""
    world = small()
    db, web = world.points("aws-prod", role="db"), world.points("aws-prod", role="web", env="prod")
    ssh = world.drift(
        "aws-prod", db, packets(ANYWHERE, ports(22)), Kind.EXCESS, native="ingress tcp/22 0.0.0.0/0", group="sg-0ab (break-glass)"
    )
    cut = world.drift("aws-prod", web, packets("10.1.4.1/32", ports(443)), Kind.MISSING)
    wide = world.drift("aws-prod", web[:1], packets("10.0.0.0/8", ports(8080)), Kind.EXCESS, native="ingress tcp/8080 10.0.0.0/8")
    gone = world.drift("aws-prod", web, packets("203.0.113.9/32", ports(9100)), Kind.EXCESS, native="ingress tcp/9100 203.0.113.9/32")
    kept = world.drift("aws-prod", db[:1], packets("10.2.1.1/32", ports(5432)), Kind.EXCESS, native="ingress tcp/5432 10.2.1.1/32")
    findings = _incident_tracked((ssh, cut, wide, kept, gone))
    change = world.change(web, opens=packets("10.1.4.1/32", ports(443)), rule="ordering-prod#2")
    refused = Refusal(
        "G-MGMT",
        "aws-prod",
        "",
        "closes 203.0.113.64/26 -> tcp/22 at 4 workloads",
        ("db-01 (role=db)", "db-02 (role=db)"),
        approve="cloudsync approve 7c1e0f --guard G-MGMT --until 24h",
    )
    plan = replace(HARMLESS, target="aws-prod", changes=(change,))
    target = TargetReport(
        "aws-prod",
        TargetMode.EXCLUSIVE,
        plan,
        drift=(ssh, cut, wide, kept),
        refusals=(refused,),
        code="4",
        unchecked=(Unchecked("scope aws-prod/eu-west-1", "credentials expired 2 h ago"),),
    )
    return story(
        verb="reconcile",
        report=report(world, (target,), "reconcile"),
        targets=(TargetState("aws-prod", "aws", "exclusive", "refused", NOW - 2 * HOUR, "G-MGMT"),),
        findings=findings,
        troubles=(
            Trouble(
                "aws-prod", "refused", "G-MGMT: closes 203.0.113.64/26 -> tcp/22 at 4 workloads", NOW - 5 * 60, approve=refused.approve
            ),
            Trouble("aws-dr", "overdue", "no good run for 26 h", NOW - 26 * HOUR, new=False),
            Trouble("gcp-prod", "recovered", "read again after 3 failed runs", NOW - 300),
        ),
        expiring=(
            Expiring("ordering-prod#5", "policy/ordering.yaml:14", NOW + 6 * DAY, protects=False, owner="ordering-team"),
            Expiring("guardrails#2", "policy/guardrails.yaml:8", NOW + 2 * DAY, protects=True, owner="netsec"),
        ),
        unchecked=(
            Unchecked("scope aws-prod/eu-west-1", "credentials expired 2 h ago"),
            Unchecked("interface eni-0f3a", "attached to a managed NAT gateway: no policy can be enforced there"),
        ),
        trend=tuple(marks({"aws-prod": (1.5, 11)}, ("env=prod", "role=db"), days=28, seed=5)),
        history=tuple(changes(world)),
        matrix=matrix(world, findings),
        inexact=(
            Fidelity(
                "ordering-prod#1", "aws-prod", Verdict.LOOSER, "internet is written as 0.0.0.0/0: private addresses too", accepted=True
            ),
        ),
    )


def _incident_tracked(found: tuple[Drift, ...]) -> tuple[Tracked, ...]:
    """Return one finding in each state."""
    ssh, cut, wide, kept, gone = found
    jdoe = Actor("arn:aws:iam::111122223333:user/jdoe", NOW - 10 * HOUR, "AuthorizeSecurityGroupIngress (CloudTrail)")
    return (
        replace(
            tracked(ssh, hours=0.1, number=1),
            deed=Deed.REFUSED,
            why="G-MGMT: restoring would cut 203.0.113.64/26, your own way in",
            advice="close sg-0ab by hand, or approve: cloudsync approve 7c1e0f --guard G-MGMT --until 24h",
            actor=jdoe,
        ),
        replace(tracked(cut, State.CHANGED, hours=7, number=2), deed=Deed.RESTORED, advice="nothing: it was put back at 08:20Z", returns=5),
        replace(tracked(wide, State.ONGOING, hours=300, number=3), deed=Deed.NOTHING, advice="remove the rule, or add it to the policy"),
        replace(
            tracked(kept, State.ACKNOWLEDGED, hours=100, number=4),
            acknowledged=Acknowledgement("k", NOW + 12 * DAY, "migration CHG-1042 until the new replica is in", "dba"),
        ),
        replace(tracked(gone, State.RESOLVED, hours=30, number=5), deed=Deed.NOTHING),
    )


def _four_found(world: World) -> tuple[Drift, ...]:
    """Return what is found on the four platforms."""
    ssh = world.drift(
        "aws-prod",
        world.points("aws-prod", app="ordering", role="db", env="prod"),
        packets(ANYWHERE, ports(22)),
        Kind.EXCESS,
        native="ingress tcp/22 0.0.0.0/0",
        group="sg-0ab (break-glass)",
    )
    redis = world.drift(
        "gcp-prod",
        world.points("gcp-prod", app="payments", role="cache", env="prod"),
        packets("10.0.0.0/8", ports(6379)),
        Kind.SHADOW,
        native="allow tcp:6379 from 10.0.0.0/8",
        group="default-allow-internal",
    )
    api = world.drift(
        "gcp-prod",
        world.points("gcp-prod", app="search", role="app", env="prod"),
        packets(ANYWHERE, ports(8443)),
        Kind.SHADOW,
        native="allow tcp:8443 from 0.0.0.0/0",
        group="search-demo",
    )
    cut = world.drift(
        "aws-prod", world.points("aws-prod", app="catalog", role="app", env="prod"), packets("10.2.10.0/28", ports(8443)), Kind.MISSING
    )
    rdp = world.drift(
        "azure-prod",
        world.points("azure-prod", app="identity", role="app", env="prod")[:3],
        packets("198.51.100.0/24", ports(3389)),
        Kind.EXCESS,
        native="Allow-RDP-temp 310 Tcp 198.51.100.0/24 -> 3389",
        group="nsg-app",
    )
    return ssh, redis, api, cut, rdp


@cache
def four_platforms() -> Story:
    """Return four hundred workloads on four platforms: one restored, one with foreign rules beside ours, one refused, one not read."""
    world = four()
    found = _four_found(world)
    findings = _four_tracked(found)
    modes = {"aws-prod": TargetMode.EXCLUSIVE, "gcp-prod": TargetMode.ADDITIVE, "azure-prod": TargetMode.EXCLUSIVE}
    targets = [
        TargetReport(name, mode, replace(HARMLESS, target=name), drift=tuple(one for one in found if one.target == name), code="2")
        for name, mode in modes.items()
    ]
    targets.append(TargetReport("f5-dc1", TargetMode.OBSERVE, error=SILENT))
    labels = ("env=prod", "env=test", "app=ordering", "app=payments", "app=search")
    sizes = {"aws-prod": (1.2, 142), "gcp-prod": (3.0, 138), "azure-prod": (0.8, 80), "f5-dc1": (0.2, 40)}
    return story(
        verb="reconcile",
        report=report(world, tuple(targets), "reconcile"),
        targets=(
            TargetState("aws-prod", "aws", "exclusive", "changed", NOW, "2 findings restored"),
            TargetState("gcp-prod", "gcp", "additive", "drift", NOW, "2 foreign rules"),
            TargetState("azure-prod", "azure", "exclusive", "refused", NOW - 3 * HOUR, "G-AFFECTED"),
            TargetState("f5-dc1", "f5", "observe", "failed", NOW - 50 * HOUR, SILENT),
        ),
        findings=findings,
        troubles=(
            Trouble(
                "azure-prod",
                "refused",
                "G-AFFECTED: 61 of 80 workloads would change, limit 10 %",
                NOW - 300,
                approve='cloudsync approve 7c1e5b2d0a9f4e31 --guard G-AFFECTED --until 24h --because "checked by hand"',
            ),
            Trouble("f5-dc1", "failed", SILENT, NOW - 50 * HOUR, new=False),
        ),
        expiring=(Expiring("payments-prod#3", "policy/payments.yaml:19", NOW + 5 * DAY, protects=False, owner="payments-team"),),
        unchecked=(Unchecked("f5-dc1", f"{SILENT}: nothing is known of 40 virtual servers since 2026-02-28T06:20Z"),),
        trend=tuple(marks(sizes, labels, days=56, seed=7)),
        history=tuple(changes(world)),
        matrix=matrix(world, findings),
        inexact=(
            Fidelity("guardrails#1", "azure-prod", Verdict.STRICTER, "the platform cannot tell ICMP types apart: ping is left out"),
            Fidelity(
                "identity-prod#1", "aws-prod", Verdict.LOOSER, "internet is written as 0.0.0.0/0: private addresses too", accepted=True
            ),
            Fidelity("ordering-test#4", "f5-dc1", Verdict.CANNOT, "no process names on this platform"),
        ),
    )


def _four_tracked(found: tuple[Drift, ...]) -> tuple[Tracked, ...]:
    ages = ((State.NEW, 0.2), (State.ONGOING, 400), (State.CHANGED, 40), (State.NEW, 0.1), (State.ONGOING, 70))
    deeds = (
        (Deed.RESTORED, "", "find out who opened it: sg-0ab is closed again since 08:20Z"),
        (Deed.LEFT, "target is additive", "remove default-allow-internal, or put the flow into the policy"),
        (Deed.LEFT, "target is additive", "ask search-team about the firewall rule search-demo"),
        (Deed.RESTORED, "", "nothing: put back at 08:20Z"),
        (Deed.REFUSED, "G-AFFECTED: 61 of 80 workloads would change, limit 10 %", "look at the plan and approve it, or wait"),
    )
    findings = [
        replace(tracked(one, state, hours=hours, number=number), deed=deed, why=why, advice=advice)
        for number, (one, (state, hours), (deed, why, advice)) in enumerate(zip(found, ages, deeds, strict=True), 1)
    ]
    return tuple(sorted(findings, key=lambda one: list(Severity).index(one.severity)))


@cache
def hostile() -> Story:
    """Return the incident in the words of an enemy."""
    return spoken(incident())


STORIES: dict[str, Callable[[], Story]] = {
    "quiet": quiet,
    "incident": incident,
    "hostile": hostile,
    "four-platforms": four_platforms,
}

"""What people do to a converged estate, and what the reports say about it."""

from __future__ import annotations

import os
import re
import signal
from argparse import Namespace
from collections.abc import Iterator

import pytest

from cloudsync.adapter import Effect, Step
from cloudsync.cli import wall
from cloudsync.cli.output import Output
from cloudsync.clock import SystemClock
from cloudsync.plan.journal import Op
from cloudsync.store.state import State
from tests.cli.stage import Stage, staged, tcp

POLICY = """\
enforcement: {default: full}
rulesets:
  - name: shop
    scope: all
    owner: team
    rules:
      - allow role=web to role=db on tcp/5432
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One lab for the module."""
    with staged(tmp_path_factory.mktemp("repository")) as one:
        yield one


@pytest.fixture
def stage(server: Stage) -> Stage:
    """A converged estate of two machines, both called by their role."""
    server.clear()
    net = server.net()
    for role in ("web", "db"):
        server.machine(net, role, f"role={role}")
    server.settings()
    server.policy(POLICY)
    server.converge()
    return server


def test_drift_names_the_platforms_own_id_of_the_rule_to_blame(stage: Stage) -> None:
    (ours,) = (one for one in stage.carries("db") if one in stage.ours())
    made = stage.ec2.authorize_security_group_ingress(GroupId=ours, IpPermissions=[tcp(22, "0.0.0.0/0")])
    native = made["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    ran = stage.run("drift", code=2)
    assert re.search(rf"\[critical\] tcp/22 from anywhere \(IPv4\) to 1 workload role=db: .* let in by {native} ", ran.out), str(ran)


def test_a_region_that_was_not_read_is_never_called_in_sync(stage: Stage) -> None:
    for verb in ("plan", "drift"):
        stage.lab.control.fault("DescribeNetworkInterfaces", "denied")
        ran = stage.run(verb, code=5)
        assert "in sync" not in ran.out, str(ran)
        assert f"in what was read; nothing is known of {stage.lab.state.account}/us-east-1" in ran.out, str(ran)


def test_an_apply_that_was_refused_proves_nothing_about_what_is(stage: Stage) -> None:
    stage.settings(guards="open_to_internet: approve")
    stage.policy(POLICY.replace("role=web to", "anywhere to"))
    ran = stage.run("apply", "--yes", code=4)
    assert "Proof: would be enforced = policy on" in ran.out, str(ran)
    assert "Proof: enforced" not in ran.out, str(ran)


def test_a_fleet_grows_unattended_although_its_template_is_open_to_management(stage: Stage) -> None:
    net = stage.net("10.2")
    template = stage.group(net, "template", tcp(22, "0.0.0.0/0"))
    stage.machine(net, "web-1", "role=web", [template])
    guards = "max_affected_workloads: 100%, max_removed_rules: 100%, open_to_internet: approve, management: [192.0.2.0/28]"
    stage.settings(guards=guards)
    stage.converge()
    stage.machine(net, "web-2", "role=web", [template])
    stage.run("apply", "--yes", code=0)
    assert not stage.passes("web-2", "192.0.2.1", "tcp/22")


@pytest.mark.parametrize(("held", "lift"), [("aws", "aws"), ("--all", "--all")])
def test_a_hold_is_a_refusal_that_names_who_and_why_and_the_way_out(stage: Stage, held: str, lift: str) -> None:
    stage.policy(POLICY.replace("5432", "3306"))
    stage.run("hold", held, "--because", "change freeze", "--by", "jo", code=0)
    stage.forget()
    for words in (("plan",), ("apply", "--yes")):
        ran = stage.run(*words, code=4)
        assert re.search(r"REFUSED HOLD aws: on hold since \S+Z by jo: change freeze", ran.out), str(ran)
        assert re.search(rf"if that is right:  cloudsync unhold (-C \S+ )?{lift}\n", ran.out), str(ran)
    assert stage.writes() == {}
    stage.run("drift", code=2)
    stage.run("unhold", lift, code=0)
    stage.run("apply", "--yes", code=0)


def test_a_scope_that_was_emptied_is_approved_once(stage: Stage) -> None:
    stage.settings(guards="max_gone_workloads: 30%")
    stage.converge()
    stage.ec2.terminate_instances(InstanceIds=list(stage.instances.values()))
    first = stage.run("apply", "--yes", code=4)
    assert "G-SHRINK aws" in first.out, str(first)
    stage.converge()
    for _ in range(2):
        ran = stage.run("apply", "--yes", code=0)
        assert "REFUSED" not in ran.out, str(ran)


def test_a_termination_signal_ends_a_verb_like_an_interrupt(capsys: pytest.CaptureFixture[str]) -> None:
    def verb(_chosen: Namespace, _output: Output) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the signal was lost")

    before = signal.getsignal(signal.SIGTERM)
    assert wall.run(verb, Namespace(json=False, quiet=False, repository=".")) == 5
    assert "interrupted; what was in flight is read back by the next run" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before


def test_open_writes_of_a_target_that_is_gone_do_not_stop_the_others(stage: Stage) -> None:
    """An interrupted run left a write of another account open, and that account cannot be reached now."""
    gone = '{name: gone, adapter: aws, mode: exclusive, account: "444455556666", endpoint: "http://127.0.0.1:9", regions: [us-east-1]'
    stage.settings(target=f"regions: [{stage.region}], vpcs: all}}\n  - {gone}")
    step = Step("authorize/x", "Authorize", "444455556666/us-east-1", "sg-1", "authorize x", Effect.GROWS, "{}", mark="examiner")
    with State(stage.root / ".cloudsync" / "state.db", SystemClock(), writer="run-1") as state:
        state.journal.intend(Op("run-1", state.lease.generation, "gone", "d" * 64, 1, 1, step, 10.0, 30.0))
    ran = stage.run("apply", "--yes", code=5)
    assert "read again: enforced = policy" in ran.out or "= in sync" in ran.out, str(ran)
    assert "gone" in ran.out
    with State(stage.root / ".cloudsync" / "state.db", SystemClock()) as state:
        assert len(state.journal.open_ops("gone")) == 1

"""Side by side with Terraform: what a state names is touched in no mode, and reported as Terraform's; its machines may be workloads."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.stage import Net, Stage, staged, tcp

RULES = """\
enforcement: {default: full}
rulesets:
  - name: shop
    scope: env=prod
    rules:
      - allow role=lb to role=web on tcp/443
"""


def state(*resources: dict[str, Any]) -> str:
    """Return the text of a state."""
    return json.dumps(
        {"version": 4, "terraform_version": "1.9.5", "serial": 7, "lineage": "x", "outputs": {}, "resources": list(resources)}
    )


def resource(kind: str, name: str, module: str = "", /, **attributes: Any) -> dict[str, Any]:
    """Return one managed resource with one instance."""
    found = {"mode": "managed", "type": kind, "name": name, "provider": "x", "instances": [{"schema_version": 1, "attributes": attributes}]}
    return {"module": module, **found} if module else found


@pytest.fixture(scope="module")
def lab_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("terraform")) as found:
        yield found


@pytest.fixture
def stage(lab_stage: Stage) -> Stage:
    lab_stage.clear()
    return lab_stage


def estate(stage: Stage) -> tuple[Net, str]:
    """A web machine in a group of Terraform's that lets in ssh from everywhere."""
    net = stage.net()
    group = stage.group(net, "web", tcp(22, "0.0.0.0/0"))
    stage.machine(net, "web-1", "role=web env=prod", [group])
    stage.machine(net, "lb-1", "role=lb env=prod")
    return net, group


def own(stage: Stage, *resources: dict[str, Any], more: str = "") -> None:
    (stage.root / "net.tfstate").write_text(state(*resources), encoding="utf-8")
    stage.settings(stage_mode(more), more=f"terraform: [{{name: net, state: net.tfstate{more.partition('|')[2]}}}]\n")
    stage.policy(RULES)


def stage_mode(more: str) -> str:
    return more.partition("|")[0] or "exclusive"


def test_what_terraform_owns_is_neither_taken_off_nor_approvable(stage: Stage) -> None:
    _, group = estate(stage)
    own(stage, resource("aws_security_group", "web", "module.net", id=group, owner_id=stage.lab.state.account))
    before = stage.carries("web-1")
    stage.forget()
    ran = stage.run("apply", "--yes", "--json", code=4)
    refusals = json.loads(ran.out)["targets"][0]["refusals"]
    [one] = [refused for refused in refusals if refused["guard"] == "TERRAFORM"]
    assert "module.net.aws_security_group.web" in one["message"]
    assert not one["approve"]
    assert stage.writes() == {}
    assert stage.carries("web-1") == before
    drift = stage.run("drift", code=2)
    assert "owned by Terraform: module.net.aws_security_group.web" in drift.out


def test_without_the_state_the_same_plan_goes_through(stage: Stage) -> None:
    """The control: it is the state that stops it."""
    _, group = estate(stage)
    own(stage, resource("aws_security_group", "web", "module.net", id="sg-0123456789abcdef0", owner_id=stage.lab.state.account))
    stage.converge()
    assert group not in stage.carries("web-1")


def test_a_group_of_another_account_is_somebody_elses(stage: Stage) -> None:
    _, group = estate(stage)
    own(stage, resource("aws_security_group", "web", id=group, owner_id="999988887777"))
    stage.converge()


def test_an_additive_target_goes_on_beside_terraform(stage: Stage) -> None:
    _, group = estate(stage)
    own(stage, resource("aws_security_group", "web", id=group, owner_id=stage.lab.state.account), more="additive")
    stage.converge()
    assert group in stage.carries("web-1")
    assert len(stage.carries("web-1")) == 2
    drift = stage.run("drift", code=2)
    assert "owned by Terraform: aws_security_group.web" in drift.out
    for form in ("text", "md", "html", "csv", "json"):
        assert "owned by Terraform: aws_security_group.web" in stage.run("report", "--format", form, code=0).out, form


def test_a_group_of_ours_that_was_handed_over_is_let_go(stage: Stage) -> None:
    estate(stage)
    own(stage)
    stage.converge()
    ours = next(name for name in stage.carries("web-1") if name in stage.ours())
    own(stage, resource("aws_security_group", "taken", id=ours, owner_id=stage.lab.state.account))
    stage.policy(RULES.replace("tcp/443", "tcp/8443"))
    ran = stage.run("apply", "--yes", code=4)
    assert "TERRAFORM" in ran.out + ran.err
    assert "aws_security_group.taken" in ran.out + ran.err


def test_a_rule_that_terraform_wrote_into_a_group_of_ours_stays(stage: Stage) -> None:
    estate(stage)
    own(stage)
    stage.converge()
    ours = next(name for name in stage.carries("web-1") if name in stage.ours())
    stage.ec2.authorize_security_group_ingress(GroupId=ours, IpPermissions=[tcp(9100, "10.1.0.0/16")])
    rules = stage.ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [ours]}])["SecurityGroupRules"]
    [made] = [one["SecurityGroupRuleId"] for one in rules if one.get("FromPort") == 9100]
    own(stage, resource("aws_vpc_security_group_ingress_rule", "metrics", id=made, security_group_id=ours, security_group_rule_id=made))
    ran = stage.run("apply", "--yes", code=4)
    assert "aws_vpc_security_group_ingress_rule.metrics" in ran.out + ran.err
    assert "owned by Terraform: aws_vpc_security_group_ingress_rule.metrics" in stage.run("drift", code=2).out
    own(stage)
    stage.converge()


def test_machines_of_a_state_are_peers_where_no_target_reads_them(stage: Stage) -> None:
    estate(stage)
    far = resource(
        "aws_instance", "lb", id="i-0fa", arn="arn:aws:ec2:eu-west-1:999988887777:instance/i-0fa", private_ip="10.77.0.9",
        public_ip="", tags={"Name": "lb-far", "Role": "lb", "Env": "production"}, user_data="s3cr3t-of-the-state",
    )  # fmt: skip
    near = resource("aws_instance", "old", id="i-0dead", arn=f"arn:aws:ec2:us-east-1:{stage.lab.state.account}:instance/i-0dead",
                    private_ip="10.1.1.99", tags={"Role": "lb", "Env": "prod"})  # fmt: skip
    own(stage, far, near, more="exclusive|, workloads: true")
    ran = stage.converge()
    assert stage.passes("web-1", "10.77.0.9", "tcp/443")
    assert not stage.passes("web-1", "10.1.1.99", "tcp/443")
    stage.settled()
    assert "s3cr3t" not in ran.out + ran.err + (stage.root / ".cloudsync" / "state.db").read_bytes().decode("latin-1")
    own(stage, more="exclusive|, workloads: true")
    for _ in range(2):
        refused = stage.run("plan", "--json", code=4)
        assert "G-SHRINK" in refused.out


@pytest.mark.parametrize(
    ("content", "code"),
    [('{"version": 3}', "STATE-FORMAT"), ("{", "STATE-FORMAT"), (None, "STATE-MISSING")],
)
def test_a_state_that_cannot_be_read_stops_before_anything_is_contacted(stage: Stage, content: str | None, code: str) -> None:
    estate(stage)
    own(stage)
    path = stage.root / "net.tfstate"
    path.unlink() if content is None else path.write_text(content, encoding="utf-8")
    stage.forget()
    for verb in (("validate",), ("plan",), ("reconcile",)):
        assert code in stage.run(*verb, code=3).out
    assert stage.calls() == {}


def test_states_outside_the_repository_are_read_in_every_run(stage: Stage, tmp_path: Path) -> None:
    _, group = estate(stage)
    stage.policy(RULES)
    stage.settings(more=f"terraform: [{{name: all, state: '{tmp_path}/*.tfstate'}}]\n")
    assert "STATE-MISSING" in stage.run("validate", code=3).out
    (tmp_path / "a.tfstate").write_text(state(), encoding="utf-8")
    (tmp_path / "b.tfstate").write_text(state(resource("aws_security_group", "web", id=group)), encoding="utf-8")
    assert "aws_security_group.web" in stage.run("plan", code=4).out


def git(root: Path, *words: str) -> str:
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@acme.example", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_going_back_to_an_earlier_policy_does_not_forget_what_terraform_owns_today(stage: Stage) -> None:
    _, group = estate(stage)
    watched = RULES.replace("default: full", "default: visibility")
    own(stage)
    git(stage.root, "init", "-q")
    (stage.root / ".gitignore").write_text(".cloudsync/\n", encoding="utf-8")
    git(stage.root, "add", "-A")
    git(stage.root, "commit", "-qm", "enforced, and Terraform owns nothing")
    early = git(stage.root, "rev-parse", "HEAD")
    own(stage, resource("aws_security_group", "web", id=group, owner_id=stage.lab.state.account))
    stage.policy(watched)
    git(stage.root, "commit", "-qam", "only watched, and the group is Terraform's")
    ran = stage.run("rollback", early, "--yes", code=4)
    assert "aws_security_group.web" in ran.out + ran.err
    assert group in stage.carries("web-1")

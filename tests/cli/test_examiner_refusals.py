"""Refusals at the command line: exit code, code word, no traceback, no call, and the guards one by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudsync.clock import SystemClock
from tests.cli.stage import OPEN, WORDS, Stage, staged, tcp

GOOD = "enforcement: {default: full}\n"
GOOD += "rulesets:\n  - name: r\n    scope: all\n    owner: t\n    rules:\n      - allow role=web to role=app on tcp/8443\n"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A converged estate; a test that is refused leaves it so."""
    with staged(tmp_path_factory.mktemp("repository")) as one:
        net = one.net()
        old = one.group(net, "old", tcp(22, "0.0.0.0/0"))
        for role in ("web", "app", "db"):
            one.machine(net, role, f"role={role} env=prod", [old])
        one.settings()
        one.policy(GOOD)
        one.converge()
        yield one


RULE = "      - allow role=web to role=app on tcp/8443\n"
POLICIES = {
    "1 duplicate key": (GOOD + "    rules:\n" + RULE, "DUPLICATE-KEY"),
    "2 no rulesets": ("", "EMPTY-POLICY"),
    "3 cut behind name": (GOOD + "  - name:", "MISSING-VALUE"),
    "5 merge marker": (GOOD + "<<<<<<< HEAD\n", "MERGE-MARKER"),
    "6 port colon": (GOOD.replace("tcp/8443", "tcp/22:22"), "BAD-PORT"),
    "7 port zero": (GOOD.replace("tcp/8443", "tcp/022"), "BAD-PORT"),
    "8 no": (GOOD.replace("role=web", "env=no"), "UNKNOWN-VALUE"),
    "10 tag": (GOOD + "services: !!python/object/apply:os.system [x]\n", "YAML-TAG"),
    "11 alias": (GOOD + "services: {a: &a tcp/1, b: *a}\n", "YAML-ALIAS"),
    "12 nesting": (GOOD + "services: " + "[" * 5000 + "]" * 5000 + "\n", "NESTING"),
    "13 too big": (GOOD + "#" + "x" * (8 << 20) + "\n", "TOO-BIG"),
    "14 documents": (GOOD + "---\na: b\n", "DOCUMENTS"),
    "15 tab": (GOOD + "\tservices: {}\n", "TAB"),
    "16 nul": (GOOD.replace("name: r", 'name: "r\x00"'), "CONTROL-CHAR"),
    "17 invisible": (GOOD.replace("role=web", "role=we\u200bb"), "INVISIBLE-CHAR"),
    "18 script": (GOOD.replace("role=web", "role=w\u0435b"), "MIXED-SCRIPT"),
    "19 field": (GOOD.replace("rulesets:", "ruleset:"), "UNKNOWN-FIELD"),
    "20 value": (GOOD.replace("role=web", "role=wbe"), "UNKNOWN-VALUE"),
    "21 cycle": (GOOD + "label_groups: {a1: {env: [b1]}, b1: {env: [a1]}}\n", "CYCLE"),
    "22 nobody": (GOOD + "      - {allow: {to: role=web, services: tcp/1}}\n", "EMPTY-WHO"),
    "23 host bits": (GOOD + "iplists: {a: [10.0.0.1/8]}\n", "HOST-BITS"),
    "24 octet": (GOOD + "iplists: {a: [010.0.0.1]}\n", "BAD-ADDRESS"),
    "26 mapped": (GOOD + 'iplists: {a: ["::ffff:10.0.0.1"]}\n', "MAPPED-V4"),
    "27 large": (GOOD.replace("tcp/8443", "tcp/70000"), "BAD-PORT"),
    "27 digits": (GOOD.replace("tcp/8443", "tcp/\u0662\u0662"), "BAD-PORT"),
    "28 reversed": (GOOD.replace("tcp/8443", "tcp/80-20"), "BAD-PORT"),
    "29 icmp": (GOOD.replace("tcp/8443", "icmp/22-80"), "BAD-ICMP"),
}


@pytest.mark.parametrize("row", POLICIES)
@pytest.mark.parametrize("verb", ["validate", "apply"])
def test_a_bad_policy_is_exit_3_with_its_word_and_no_call(stage: Stage, row: str, verb: str) -> None:
    text, word = POLICIES[row]
    stage.policy(text)
    stage.forget()
    ran = stage.run(verb, *(["--yes"] if verb == "apply" else []), code=3)
    assert f" {word} " in ran.out, str(ran)
    assert "policy/all.yaml:" in ran.out, str(ran)
    assert stage.calls() == {}


def test_settings_and_folders_that_lead_outside(stage: Stage) -> None:
    stage.policy(GOOD)
    secret = stage.root.parent / "outside.yaml"
    secret.write_text(WORDS + GOOD, encoding="utf-8")
    link = stage.root / "policy" / "more.yaml"
    link.symlink_to(secret)
    stage.forget()
    ran = stage.run("apply", "--yes", code=3)
    assert "OUTSIDE-ROOT" in ran.out, str(ran)
    assert "outside.yaml" in ran.out, str(ran)
    link.unlink()
    file = stage.root / "cloudsync.yaml"
    good = file.read_text(encoding="utf-8")
    for bad, word in (
        (good + "policy: ../../etc\n", "OUTSIDE-ROOT"),
        (good.replace(stage.lab.endpoint, "http://169.254.169.254"), "BAD-ENDPOINT"),
        (good.replace("mode: exclusive, ", ""), "mode"),
    ):
        file.write_text(bad, encoding="utf-8")
        assert word in stage.run("apply", "--yes", code=3).out
    file.write_text(good, encoding="utf-8")
    assert stage.calls() == {}


def test_the_wrong_account_is_refused_before_anything_is_written_or_used(stage: Stage) -> None:
    stage.policy(GOOD)
    other = next(one for one in stage.lab.state.accounts if one.account != stage.lab.state.account)
    stage.forget()
    keys = {"AWS_ACCESS_KEY_ID": other.access_key_id, "AWS_SECRET_ACCESS_KEY": other.secret_access_key}
    ran = stage.run("apply", "--yes", code=4, **keys)
    for word in ("G-IDENTITY", stage.lab.state.account, other.account):
        assert word in ran.out + ran.err, str(ran)
    calls = stage.calls()
    assert calls.pop("GetCallerIdentity") == 1, "what the account shows does not prove it, so the platform says whose it is"
    assert calls.keys() == {"DescribeInstances", "DescribeNetworkInterfaces", "DescribeSecurityGroups", "DescribeManagedPrefixLists"}


def test_a_wrong_clock_and_a_readable_state_are_refused_before_contact(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.policy(GOOD)
    stage.forget()
    with monkeypatch.context() as patch:
        patch.setattr(SystemClock, "now", lambda _self: 1000.0)
        assert "PRE-CLOCK" in stage.run("apply", "--yes", code=4).err
    state = stage.root / ".cloudsync" / "state.db"
    state.chmod(0o644)
    ran = stage.run("apply", "--yes", code=4)
    assert "PRE-MODE" in ran.err, str(ran)
    assert "0644" in ran.err, str(ran)
    assert "0600" in ran.err, str(ran)
    state.chmod(0o600)
    assert stage.calls() == {}


def opens(text: str) -> str:
    """Return the good policy with one more rule."""
    return GOOD + f"      - {text}\n"


GUARDS = {
    "G-OPEN": ("", opens("allow anywhere to role=db on tcp/5432"), "max_affected_workloads: 100%, max_removed_rules: 100%"),
    "G-AFFECTED": ("", opens("allow role=web to role=app, role=db on tcp/2"), "max_removed_rules: 100%, open_to_internet: allow"),
    "G-CAP": (
        "",
        GOOD.replace("tcp/8443", "tcp/1").replace("role=app", "role=db"),
        "max_affected_workloads: 100%, open_to_internet: allow",
    ),
    "G-MGMT": (
        opens("allow iplist ops to role=db on tcp/22") + "iplists: {ops: [192.0.2.0/28]}\n",
        GOOD + "iplists: {ops: [192.0.2.0/28]}\n",
        f"{OPEN}, management: [192.0.2.0/28]",
    ),
}


@pytest.mark.parametrize("guard", GUARDS)
def test_a_guard_refuses_alone_and_the_printed_command_overrides_this_plan_only(stage: Stage, guard: str) -> None:
    before, after, limits = GUARDS[guard]
    stage.settings()
    stage.policy(before or GOOD)
    stage.converge()
    stage.settings(guards=limits)
    stage.policy(after)
    stage.forget()
    ran = stage.run("apply", "--yes", code=4)
    assert f"REFUSED {guard}" in ran.out, str(ran)
    assert "cloudsync approve" in ran.out, str(ran)
    assert stage.writes() == {}
    stage.converge()
    assert stage.writes() != {}
    stage.settled()


def test_an_empty_answer_removes_nothing(stage: Stage) -> None:
    stage.settings(guards="max_affected_workloads: 100%, max_removed_rules: 100%, open_to_internet: allow")
    stage.policy(GOOD)
    stage.converge()
    for name in ("web", "app", "db"):
        stage.tag(name, role="nothing")
    stage.forget()
    ran = stage.run("apply", "--yes")
    assert ran.code in (0, 4), str(ran)
    for name in ("web", "app", "db"):
        stage.tag(name, role=name)
    stage.lab.control.fault("DescribeInstances", "page_lost", times=0)
    stage.forget()
    ran = stage.run("apply", "--yes")
    assert ran.code in (4, 5), str(ran)
    assert stage.writes() == {}
    stage.lab.control.no_faults()


def test_a_saved_plan_is_void_when_the_cloud_moved(stage: Stage, tmp_path: Path) -> None:
    stage.settings()
    stage.policy(opens("allow role=web to role=db on tcp/3"))
    saved = tmp_path / "plan.json"
    stage.run("plan", "-o", str(saved))
    group = next(iter(stage.ours()))
    stage.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[tcp(4444, "192.0.2.1/32")])
    stage.forget()
    ran = stage.run("apply", str(saved), "--yes", code=4)
    assert "moved" in ran.err, str(ran)
    assert stage.writes() == {}

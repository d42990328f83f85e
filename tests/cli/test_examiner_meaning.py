"""The language page, sentence by sentence: each policy is applied through the command line and judged by what EC2 then lets in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from cloudsync.clock import SystemClock
from tests.cli.stage import Stage, staged, tcp

FULL = "enforcement: {default: full}\n"


def rules(*sentences: str, scope: str = "all", head: str = FULL) -> str:
    """Return a policy of one ruleset."""
    lines = "".join(f"      - {one}\n" for one in sentences)
    return f"{head}rulesets:\n  - name: r\n    scope: {scope}\n    owner: team\n    rules:\n{lines}"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Two VPCs that do not see each other; one has IPv6."""
    with staged(tmp_path_factory.mktemp("repository")) as one:
        six, four = one.net("10.1", six=True), one.net("10.2")
        old = one.group(six, "old")
        other = one.group(four, "old")
        for name, labels in {
            "web": "role=web env=prod app=shop",
            "app": "role=app env=prod app=shop",
            "db": "role=db env=prod app=shop",
            "app-pay": "role=app env=prod app=pay",
            "db-pay": "role=db env=prod app=pay",
            "web-dev": "role=web env=dev app=shop",
            "app-dev": "role=app env=dev app=shop",
            "db-test": "role=db env=test app=shop",
            "bare": "",
        }.items():
            one.machine(six, name, labels, [old], six=True)
        one.machine(four, "far", "role=web env=test app=pay", [other])
        # strangers and internet are long lists of CIDRs: quotas as a large customer has them
        one.lab.control.ask("quotas", {"rules_per_group": 200, "groups_per_interface": 5})
        one.settings()
        yield one


def held(stage: Stage, text: str, opened: str, closed: str) -> None:
    """Apply a policy and check packets, one per line: `SOURCE DESTINATION SERVICE`; `name!` is a machine's IPv6 address."""
    stage.policy(text)
    stage.converge()
    assert stage.last is not None
    seen = stage.estate()
    for wanted, lines in ((True, opened), (False, closed)):
        for line in lines.strip().splitlines():
            source, destination, what = line.split()
            peer = stage.address(source.rstrip("!"), six=source.endswith("!"), seen=seen) if source.rstrip("!") in stage.cards else source
            assert stage.passes(destination.rstrip("!"), peer, what, seen=seen) is wanted, (
                f"{line}: wanted {'open' if wanted else 'closed'}\n{stage.last}"
            )


def test_tiers_order_families_and_types(stage: Stage) -> None:
    held(
        stage,
        rules(
            "allow all workloads to role=db on tcp/5432",
            "deny role=web to role=db on tcp/5432",
            "never allow env=dev to env=prod on any service",
            "allow anywhere to role=web on tcp/443",
            "allow strangers to role=web on tcp/8080",
            "allow internet to role=web on tcp/8081 internet-as-anywhere ok",
            "allow anywhere to role=app on icmp/echo-request, icmpv6/echo-request",
            "allow role=web to role=app on icmp/3",
            "allow unlabeled workloads to role=app on tcp/7000",
            "allow role=app to unlabeled workloads on tcp/7001",
            "allow role=lb to role=app on any service",
            "allow all workloads except role=db to role=app on tcp/7002",
            "allow anywhere except env=dev to role=app on udp/53",
        ),
        """
        web db tcp/5432
        web! db! tcp/5432
        far db tcp/5432
        198.51.100.9 web tcp/443
        2001:db8::9 web tcp/443
        8.8.8.8 web tcp/8080
        10.99.0.1 web tcp/8080
        8.8.8.8 web tcp/8081
        2600::1 web tcp/8081
        8.8.8.8 app icmp/8.0
        8.8.8.8 app icmp/8.3
        2600::1 app icmpv6/128
        web app icmp/3.1
        bare app tcp/7000
        bare! app tcp/7000
        app bare tcp/7001
        web app tcp/7002
        bare app tcp/7002
        8.8.8.8 app udp/53
        2600::1 app udp/53
        db app udp/53
        """,
        """
        web-dev db tcp/5432
        web-dev! db tcp/5432
        db web tcp/8080
        far web tcp/8080
        10.99.0.1 web tcp/8081
        198.51.100.9 web tcp/8081
        2001:db8::9 web tcp/8081
        8.8.8.8 app icmp/0.0
        8.8.8.8 app icmp/3.1
        2600::1 app icmpv6/129
        web app tcp/7000
        8.8.8.8 app tcp/7000
        web bare tcp/7001
        8.8.8.8 app tcp/1
        db app tcp/7002
        8.8.8.8 app tcp/7002
        web-dev app udp/53
        web-dev! app udp/53
        web-dev web tcp/443
        """,
    )
    assert stage.last is not None
    stage.settled()


def test_scopes_alone_crossed_outside_and_excepted(stage: Stage) -> None:
    both = "rulesets:\n  - name: {0}\n    scope: {1}\n    owner: t\n    rules:\n      - allow role=web to role=app on tcp/{2}\n"
    text = FULL + (both.format("alone", "[env=prod, env=dev]", 1001))
    for name, scope, port in (("crossed", "env=prod|dev", 1002), ("listed", "[app=shop env=prod, app=pay]", 1003)):
        text += both.format(name, scope, port).removeprefix("rulesets:\n")
    text += (
        "  - name: outside\n    scope: app=shop env=prod\n    owner: t\n    rules:\n"
        "      - allow outside role=web to role=app on tcp/1004\n"
        "      - allow outside all workloads except env=dev to role=app on tcp/1005\n"
        "      - allow outside role=web, role=db to role=app on tcp/1006\n"
        "      - allow all workloads except role=web to role=app on tcp/1007\n"
        "      - never allow outside all workloads except app=shop to all workloads on tcp/1005\n"
        "      - allow anywhere except role=web to role=app on tcp/1008\n"
    )
    held(
        stage,
        text,
        """
        web app tcp/1001
        web-dev app-dev tcp/1001
        web-dev app-pay tcp/1002
        web-dev app tcp/1002
        web app-dev tcp/1002
        web app tcp/1003
        far app-pay tcp/1003
        web-dev app tcp/1004
        far app tcp/1004
        web app tcp/1004
        web app tcp/1005
        db-test app tcp/1005
        web-dev app tcp/1006
        db app tcp/1006
        db app tcp/1007
        db-pay app tcp/1008
        8.8.8.8 app tcp/1008
        """,
        """
        web-dev app tcp/1001
        web app-dev tcp/1001
        web app-pay tcp/1003
        far app tcp/1003
        web-dev app-dev tcp/1003
        web-dev app-dev tcp/1004
        web-dev app tcp/1005
        app-pay app tcp/1005
        bare app tcp/1005
        db-pay app tcp/1006
        db-test app tcp/1006
        web app tcp/1007
        db-pay app tcp/1007
        web app tcp/1008
        web-dev app tcp/1008
        far app tcp/1008
        """,
    )


def test_a_rule_ends_at_its_instant_and_not_before(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    text = rules("allow role=web to role=app on tcp/1100 until 2027-03-31T12:00:00Z", "allow role=web to role=db on tcp/1101")
    end = datetime(2027, 3, 31, 12, tzinfo=UTC).timestamp()
    for before, opened in ((0.001, True), (0.0, False)):
        with monkeypatch.context() as patch:
            patch.setattr(SystemClock, "now", lambda _self, at=end - before: at)
            held(stage, text, "web db tcp/1101", "")
            assert stage.passes("app", stage.address("web"), "tcp/1100") is opened


def test_a_name_is_a_name_or_an_id_and_never_two_machines(stage: Stage) -> None:
    ref = stage.instances["web"]
    held(
        stage,
        rules(f'allow workload "{ref}" to workload app on tcp/1200', "allow workload db-pay to workload db on tcp/1201"),
        "web app tcp/1200\ndb-pay db tcp/1201",
        "web-dev app tcp/1200\nweb app-pay tcp/1200\napp db tcp/1201",
    )
    stage.ec2.create_tags(Resources=[stage.instances["app-pay"]], Tags=[{"Key": "Name", "Value": "app"}])
    stage.forget()
    for verb in ("plan", "apply"):
        ran = stage.run(verb, *(["--yes"] if verb == "apply" else []), code=3)
        assert "AMBIGUOUS-WORKLOAD" in ran.out + ran.err, str(ran)
    assert stage.writes() == {}
    stage.ec2.create_tags(Resources=[stage.instances["app-pay"]], Tags=[{"Key": "Name", "Value": "app-pay"}])


def test_nothing_selected_is_nothing_opened_and_said(stage: Stage) -> None:
    held(
        stage,
        rules(
            "allow role=lb to role=app on tcp/1300",
            "allow role=web except role=web to role=db on tcp/1300",
            "allow workload nobody to role=web on tcp/1300",
            "allow role=web to role=app on tcp/1301",
        ).replace("role=lb", "role=jump"),
        "web app tcp/1301",
        "8.8.8.8 app tcp/1300\nweb app tcp/1300\nweb db tcp/1300\n8.8.8.8 db tcp/1300\n8.8.8.8 web tcp/1300\nbare web tcp/1300",
    )
    ran = stage.run("plan", code=0)
    assert ran.out.count("EMPTY-SELECTOR") == 3, str(ran)


def test_deny_and_silence_close_in_full(stage: Stage) -> None:
    held(
        stage,
        rules("deny all workloads to all workloads on any service", "allow role=web to role=app on tcp/1400"),
        "web app tcp/1400",
        "web db tcp/1400\n8.8.8.8 web tcp/22\nweb web tcp/22",
    )
    stage.settled()


def test_any_service_minus_a_port_is_stricter_and_says_so(stage: Stage) -> None:
    held(
        stage,
        rules("allow role=web to role=app on any service", "never allow role=web to role=app on tcp/22"),
        "web app tcp/21\nweb app tcp/23\nweb app udp/22\nweb app icmp/8.0\nweb! app icmpv6/128\nweb app gre\nweb app sctp/9",
        "web app tcp/22\nweb! app tcp/22",
    )
    ran = stage.run("plan", "--json")
    assert '"stricter"' in ran.out, str(ran)
    stage.settled()


@pytest.mark.parametrize(
    ("sentence", "accepted", "word"),
    [
        ("allow role=web to role=app on tcp/1500 by process /usr/sbin/nginx", "port-only ok", "port-only"),
        ("allow role=web to role=app on sctp/1500", "any-port ok", "any-port"),
    ],
)
def test_what_the_platform_cannot_say_is_refused_unless_accepted_by_name(stage: Stage, sentence: str, accepted: str, word: str) -> None:
    stage.policy(rules(sentence))
    stage.forget()
    ran = stage.run("apply", "--yes", code=3)
    assert "FIDELITY" in ran.out + ran.err, str(ran)
    assert word in ran.out + ran.err, str(ran)
    assert stage.writes() == {}
    held(stage, rules(f"{sentence} {accepted}"), f"web app {sentence.split()[5]}", "db app tcp/1500")


def test_internet_as_anywhere_is_let_in_and_never_still_holds(stage: Stage) -> None:
    text = rules("allow internet to role=app on tcp/1600", "never allow env=dev to role=app on tcp/1600")
    stage.policy(text)
    stage.forget()
    ran = stage.run("apply", "--yes")
    assert ran.code in (0, 3, 4), str(ran)
    if ran.code != 0:
        assert stage.writes() == {}
    held(
        stage,
        text.replace("on tcp/1600\n", "on tcp/1600 internet-as-anywhere ok\n", 1),
        "8.8.8.8 app tcp/1600\n2600::1 app tcp/1600",
        "web-dev app tcp/1600\nweb-dev! app tcp/1600\n8.8.8.8 app tcp/1601",
    )


def test_never_on_egress_left_alone_is_said(stage: Stage) -> None:
    stage.policy(rules("never allow role=db to internet on any service", "allow role=web to role=app on tcp/1700"))
    ran = stage.run("validate")
    assert "NOT-ENFORCED" in ran.out, str(ran)


def test_enforced_egress_is_the_mirror_of_ingress(stage: Stage) -> None:
    head = "iplists: {mirror: [192.0.2.0/24, '2001:db8:7::/48']}\nenforcement:\n  default: full\n  rules:\n"
    head += "    - {scope: role=app, mode: full, egress: enforce}\n"
    held(
        stage,
        rules("allow role=app to iplist mirror on tcp/443", "allow role=app to role=db on tcp/5432", head=head),
        "app db tcp/5432",
        "web db tcp/5432",
    )
    out = [("192.0.2.9", "tcp/443", True), ("2001:db8:7::1", "tcp/443", True), (stage.address("db"), "tcp/5432", True)]
    out += [("192.0.2.9", "tcp/80", False), ("8.8.8.8", "tcp/443", False), (stage.address("web"), "tcp/5432", False)]
    for peer, what, wanted in out:
        assert stage.passes("app", peer, what, out=True) is wanted, f"{peer} {what}\n{stage.last}"
    assert stage.passes("web", "8.8.8.8", "tcp/1", out=True), "leave: what it sends is as it was"
    stage.settled()
    stage.ec2.authorize_security_group_egress(GroupId=stage.carries("app")[0], IpPermissions=[tcp(25, "0.0.0.0/0")])
    ran = stage.run("drift", code=2)
    assert "tcp/25" in ran.out, str(ran)
    stage.converge()
    assert not stage.passes("app", "8.8.8.8", "tcp/25", out=True)

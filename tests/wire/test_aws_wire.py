"""The edge of the AWS adapter against a server that answers exactly what a test says: pages, faults, lost answers, counted at the wire."""

from __future__ import annotations

import json
import threading
import urllib.parse
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cloudsync.adapter import Effect, Snapshot, Status, Step, TargetSettings
from cloudsync.model.bucket import SLACK_S
from cloudsync.model.errors import AdapterError
from cloudsync.model.finding import Where
from cloudsync.model.mode import TargetMode
from cloudsync_aws.adapter import AwsAdapter
from cloudsync_aws.client import _SERVICES, READ_ATTEMPTS
from cloudsync_aws.limits import READ_CALLS, WRITE_CALLS

ACCOUNT, REGION, OTHER_REGION = "111122223333", "us-east-1", "eu-west-1"
SCOPE, OTHER = f"{ACCOUNT}/{REGION}", f"{ACCOUNT}/{OTHER_REGION}"
WRITES = {
    "create_security_group": {"GroupName": "cs-acme-1", "Description": "d", "VpcId": "vpc-1"},
    "authorize_security_group_ingress": {
        "GroupId": "sg-1",
        "IpPermissions": [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}],
    },
    "authorize_security_group_egress": {"GroupId": "sg-1", "IpPermissions": [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]},
    "revoke_security_group_ingress": {"GroupId": "sg-1", "IpPermissions": [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]},
    "revoke_security_group_egress": {"GroupId": "sg-1", "IpPermissions": [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]},
    "update_security_group_rule_descriptions_ingress": {"GroupId": "sg-1", "IpPermissions": []},
    "update_security_group_rule_descriptions_egress": {"GroupId": "sg-1", "IpPermissions": []},
    "delete_security_group": {"GroupId": "sg-1"},
    "modify_network_interface_attribute": {"NetworkInterfaceId": "eni-1", "Groups": ["sg-1"]},
    "create_managed_prefix_list": {"PrefixListName": "l", "AddressFamily": "IPv4", "MaxEntries": 1},
    "modify_managed_prefix_list": {"PrefixListId": "pl-1", "CurrentVersion": 1},
    "delete_managed_prefix_list": {"PrefixListId": "pl-1"},
}


@dataclass(frozen=True)
class Answer:
    """One answer; `status` 0 closes the connection instead, after the request was taken."""

    body: str
    status: int = 200


LOST = Answer("", 0)


def error(code: str, status: int = 400) -> Answer:
    return Answer(
        f"<Response><Errors><Error><Code>{code}</Code><Message>no</Message></Error></Errors><RequestID>r</RequestID></Response>", status
    )


def xml(action: str, inner: str) -> Answer:
    return Answer(f'<{action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId>{inner}</{action}Response>')


SETS = {
    "DescribeVpcs": "vpcSet",
    "DescribeVpcPeeringConnections": "vpcPeeringConnectionSet",
    "DescribeInstances": "reservationSet",
    "DescribeManagedPrefixLists": "prefixListSet",
    "DescribeNetworkInterfaces": "networkInterfaceSet",
    "DescribeSecurityGroups": "securityGroupInfo",
    "GetManagedPrefixListEntries": "entrySet",
}


def page(action: str, *items: str, more: str = "") -> Answer:
    inner = "".join(f"<item>{item}</item>" for item in items)
    return xml(action, f"<{SETS[action]}>{inner}</{SETS[action]}>" + (f"<nextToken>{more}</nextToken>" if more else ""))


def group(identity: str) -> str:
    return f"<groupId>{identity}</groupId><groupName>{identity}</groupName><vpcId>vpc-1</vpcId><ipPermissions/><ipPermissionsEgress/>"


@dataclass
class Script:
    """What the server answers: per action a queue, else the usual answer. `requests` holds every request it took."""

    queues: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    account: str = ACCOUNT
    endpoint: str = ""
    failing_region: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def say(self, action: str, *answers: Answer) -> None:
        self.queues[action] += answers

    def counts(self) -> Counter[str]:
        return Counter(action for _, action, _ in self.requests)

    def sent(self, action: str) -> list[dict[str, str]]:
        return [form for _, name, form in self.requests if name == action]

    def answer(self, region: str, action: str, form: dict[str, str]) -> Answer:
        with self.lock:
            self.requests.append((region, action, form))
            if region == self.failing_region:
                return error("UnauthorizedOperation", 403)
            if self.queues[action]:
                return self.queues[action].pop(0)
        if action == "GetServiceQuota":
            return Answer('{"Quota": {"Value": 70.0}}' if form["QuotaCode"] == "L-0EA8095F" else '{"Quota": {"Value": 6.0}}')
        if action == "GetCallerIdentity":
            arn = f"arn:aws:iam::{self.account}:user/u"
            result = f"<Arn>{arn}</Arn><UserId>u</UserId><Account>{self.account}</Account>"
            return Answer(
                f"<GetCallerIdentityResponse><GetCallerIdentityResult>{result}</GetCallerIdentityResult></GetCallerIdentityResponse>"
            )
        if action in SETS:
            return page(action)
        extra = {
            "CreateSecurityGroup": "<groupId>sg-9</groupId>",
            "CreateManagedPrefixList": "<prefixList><prefixListId>pl-9</prefixListId></prefixList>",
        }
        return xml(action, "<return>true</return>" + extra.get(action, ""))


@pytest.fixture
def script() -> Iterator[Script]:
    held = Script()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            region = self.headers["Authorization"].split("/")[2]
            target = self.headers.get("X-Amz-Target", "")
            form = json.loads(body) if target else dict(urllib.parse.parse_qsl(body))
            answer = held.answer(region, target.partition(".")[2] or form["Action"], form)
            if not answer.status:
                self.close_connection = True
                return
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(answer.body.encode())))
            self.end_headers()
            self.wfile.write(answer.body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    held.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    yield held
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class Ticks:
    """A clock that only sleeping moves."""

    at: float = 1_000_000.0
    slept: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        with self.lock:
            self.at += seconds
            self.slept.append(seconds)


@pytest.fixture
def clock() -> Ticks:
    return Ticks()


Open = Callable[..., AwsAdapter]


@pytest.fixture
def opened(script: Script, clock: Ticks, monkeypatch: pytest.MonkeyPatch) -> Open:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # The environment asks for ten attempts and another endpoint: the adapter takes neither.
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "10")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    def build(**options: Any) -> AwsAdapter:
        kept = {"account": ACCOUNT, "regions": [REGION], **options}
        target = TargetSettings("aws-prod", "aws", TargetMode.EXCLUSIVE, kept, Where("cloudsync.yaml"), script.endpoint)
        return AwsAdapter(target, "acme", clock)

    return build


def step(call: str, arguments: dict[str, Any] | None = None, made: str = "sg-1") -> Step:
    payload = json.dumps({"call": call, "args": WRITES[call] if arguments is None else arguments})
    return Step(f"k/{call}", call, SCOPE, made, call, Effect.NONE, payload)


def action_of(call: str) -> str:
    return "".join(word.capitalize() for word in call.split("_"))


def whys(snapshot: Snapshot) -> dict[str, str]:
    return {scope.scope: scope.why for scope in snapshot.scopes}


# --- reading ---------------------------------------------------------------------------------------------------------


def test_identity_is_what_sts_says(script: Script, opened: Open) -> None:
    script.account = "999999999999"
    adapter = opened()
    assert adapter.identify().account == "999999999999"
    assert adapter.expected_account() == ACCOUNT


def test_a_whole_read_asks_for_the_largest_pages_and_follows_them(script: Script, opened: Open) -> None:
    script.say(
        "DescribeSecurityGroups", page("DescribeSecurityGroups", group("sg-2"), more="t1"), page("DescribeSecurityGroups", group("sg-1"))
    )
    snapshot = opened().read()
    assert snapshot.complete
    assert list(snapshot.table.groups) == ["sg-1", "sg-2"]
    sent = script.sent("DescribeSecurityGroups")
    assert [(one["MaxResults"], one.get("NextToken")) for one in sent] == [("1000", None), ("1000", "t1")]
    assert script.sent("DescribeManagedPrefixLists")[0]["MaxResults"] == "100"
    assert snapshot.table.quotas[SCOPE].rules_per_group == 70
    assert snapshot.table.quotas[SCOPE].groups_per_eni == 6


@pytest.mark.parametrize("action", sorted(set(SETS) - {"GetManagedPrefixListEntries"}))
def test_a_failing_second_page_leaves_the_region_incomplete(action: str, script: Script, opened: Open) -> None:
    script.say(action, page(action, more="t1"), error("RequestExpired"))
    snapshot = opened().read()
    assert not snapshot.complete
    assert "RequestExpired" in whys(snapshot)[SCOPE]
    assert action in whys(snapshot)[SCOPE]
    assert not snapshot.table.groups
    assert snapshot.table.incomplete == whys(snapshot)


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([page("DescribeSecurityGroups", more="t"), page("DescribeSecurityGroups", more="t")], "the same page token came twice"),
        ([Answer("<html>proxy</html")] * READ_ATTEMPTS, "ResponseParserError"),
        ([xml("DescribeSecurityGroups", "")], "holds no SecurityGroups"),
        ([LOST] * READ_ATTEMPTS, "ConnectionClosedError"),
        ([error("InternalError", 500)] * READ_ATTEMPTS, "InternalError"),
        ([page("DescribeSecurityGroups", "<groupName>no-id</groupName>")], "GroupId"),
        (
            [
                page(
                    "DescribeSecurityGroups",
                    group("sg-1").replace("<ipPermissions/>", "<ipPermissions><item><ipProtocol>new</ipProtocol></item></ipPermissions>"),
                )
            ],
            "unknown protocol 'new'",
        ),
    ],
)
def test_every_doubt_about_a_page_makes_the_region_incomplete(answers: list[Answer], reason: str, script: Script, opened: Open) -> None:
    script.say("DescribeSecurityGroups", *answers)
    assert reason in whys(opened().read())[SCOPE]


def test_a_read_outlives_a_throttle_a_reset_and_garbage_one_after_the_other(script: Script, opened: Open, clock: Ticks) -> None:
    script.say("DescribeVpcs", error("RequestLimitExceeded", 503), LOST, Answer("<trunc"))
    assert opened().read().complete
    assert script.counts()["DescribeVpcs"] == 4
    assert clock.slept


def test_refused_credentials_are_not_tried_again(script: Script, opened: Open) -> None:
    script.say("DescribeVpcs", error("ExpiredToken", 400))
    assert "ExpiredToken" in whys(opened().read())[SCOPE]
    assert script.counts()["DescribeVpcs"] == 1


def test_a_failing_region_does_not_fail_the_other(script: Script, opened: Open) -> None:
    script.failing_region = OTHER_REGION
    script.say("DescribeSecurityGroups", page("DescribeSecurityGroups", group("sg-1")))
    snapshot = opened(regions=[REGION, OTHER_REGION]).read()
    assert whys(snapshot)[SCOPE] == ""
    assert "UnauthorizedOperation" in whys(snapshot)[OTHER]
    assert list(snapshot.table.groups) == ["sg-1"]


def test_named_vpcs_are_read_with_those_that_are_peered_to_them(script: Script, opened: Open) -> None:
    ends = "".join(
        f"<{end}VpcInfo><vpcId>{vpc}</vpcId><region>{REGION}</region></{end}VpcInfo>"
        for end, vpc in (("requester", "vpc-1"), ("accepter", "vpc-2"))
    )
    peering = f"<vpcPeeringConnectionId>pcx-1</vpcPeeringConnectionId><status><code>active</code></status>{ends}"
    script.say("DescribeVpcPeeringConnections", page("DescribeVpcPeeringConnections", peering))
    script.say("DescribeVpcs", page("DescribeVpcs", "<vpcId>vpc-1</vpcId>", "<vpcId>vpc-2</vpcId>", "<vpcId>vpc-3</vpcId>"))
    snapshot = opened(vpcs=["vpc-1"]).read()
    assert snapshot.complete
    assert list(snapshot.table.vpcs) == ["vpc-1", "vpc-2"]
    assert snapshot.table.peered == {("vpc-1", "vpc-2"), ("vpc-2", "vpc-1")}
    sent = script.sent("DescribeSecurityGroups")[0]
    assert (sent["Filter.1.Name"], sent["Filter.1.Value.1"], sent["Filter.1.Value.2"]) == ("vpc-id", "vpc-1", "vpc-2")
    assert "Filter.1.Value.2" not in script.sent("DescribeInstances")[0]


def test_a_vpc_of_the_settings_that_nobody_has_makes_the_read_incomplete(script: Script, opened: Open) -> None:
    script.say("DescribeVpcs", page("DescribeVpcs", "<vpcId>vpc-1</vpcId>"))
    snapshot = opened(vpcs=["vpc-1", "vpc-9"], regions=[REGION, OTHER_REGION]).read()
    assert all("vpc-9" in why for why in whys(snapshot).values())


INSTANCE = "<instancesSet><item><instanceId>i-1</instanceId><instanceState><name>running</name></instanceState></item></instancesSet>"
CARRIER = (
    "<networkInterfaceId>eni-1</networkInterfaceId><vpcId>vpc-1</vpcId><attachment><instanceId>i-1</instanceId></attachment>"
    "<groupSet><item><groupId>sg-7</groupId></item></groupSet>"
)


@pytest.mark.parametrize("shown", [True, False])
def test_a_group_that_an_interface_carries_is_looked_for_until_it_is_there(shown: bool, script: Script, opened: Open) -> None:
    script.say("DescribeInstances", page("DescribeInstances", INSTANCE))
    script.say("DescribeNetworkInterfaces", page("DescribeNetworkInterfaces", CARRIER))
    script.say(
        "DescribeSecurityGroups", page("DescribeSecurityGroups"), page("DescribeSecurityGroups", *([group("sg-7")] if shown else []))
    )
    snapshot = opened().read()
    assert snapshot.complete is shown
    assert list(snapshot.table.groups) == (["sg-7"] if shown else [])
    assert script.sent("DescribeSecurityGroups")[1]["Filter.1.Value.1"] == "sg-7"
    assert shown or "eni-1 carries sg-7" in whys(snapshot)[SCOPE]


def test_the_digest_moves_with_anything_read_and_with_nothing_else(script: Script, opened: Open) -> None:
    first, second = opened().read().digest, opened().read().digest
    script.say("DescribeSecurityGroups", page("DescribeSecurityGroups", group("sg-1")))
    assert first == second
    assert opened().read().digest != first


def test_quotas_of_the_settings_are_not_asked_for(script: Script, opened: Open) -> None:
    snapshot = opened(quotas={"rules_per_group": 50}).read()
    assert snapshot.table.quotas[SCOPE].rules_per_group == 50
    assert script.counts()["GetServiceQuota"] == 0


def test_quotas_that_may_not_be_read_are_ec2s_defaults(script: Script, opened: Open) -> None:
    script.say("GetServiceQuota", *[Answer('{"__type": "AccessDeniedException", "message": "no"}', 400)] * 3)
    snapshot = opened().read()
    assert snapshot.complete
    assert snapshot.table.quotas[SCOPE].rules_per_group == 60


def test_the_sdk_has_methods_for_what_we_use_and_for_nothing_else(opened: Open) -> None:
    client = opened()._client._client("ec2", REGION)
    ours = {method for method in (*READ_CALLS, *WRITE_CALLS) if method not in _SERVICES}
    assert set(client.meta.method_to_api_mapping) == ours
    assert not hasattr(client, "terminate_instances")
    for service in set(_SERVICES.values()):
        assert opened()._client._client(service, REGION).meta.service_model.signing_name


# --- writing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", sorted(WRITES))
def test_a_write_is_sent_once_and_done(call: str, script: Script, opened: Open) -> None:
    outcome = opened().write(step(call), {})
    assert outcome.status is Status.DONE
    assert script.counts() == {action_of(call): 1}


@pytest.mark.parametrize("call", sorted(WRITES))
@pytest.mark.parametrize(
    "answer",
    [
        LOST,
        Answer("<trunc"),
        Answer("<html>bad gateway</html>", 502),
        error("InternalError", 500),
        error("Unavailable", 503),
        error("RequestTimeout", 400),
    ],
    ids=["lost", "cut", "html", "internal", "unavailable", "timeout"],
)
def test_a_write_without_a_clear_answer_is_unknown_and_was_sent_once(call: str, answer: Answer, script: Script, opened: Open) -> None:
    script.say(action_of(call), answer)
    outcome = opened().write(step(call), {})
    assert outcome.status is Status.UNKNOWN
    assert outcome.reason
    assert script.counts() == {action_of(call): 1}


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("authorize_security_group_ingress", "InvalidPermission.Duplicate"),
        ("revoke_security_group_egress", "InvalidPermission.NotFound"),
        ("create_security_group", "InvalidGroup.Duplicate"),
        ("delete_security_group", "InvalidGroup.NotFound"),
        ("modify_network_interface_attribute", "InvalidNetworkInterfaceID.NotFound"),
        ("modify_managed_prefix_list", "PrefixListVersionMismatch"),
    ],
)
def test_a_refusal_that_may_be_an_echo_is_unknown(call: str, code: str, script: Script, opened: Open) -> None:
    script.say(action_of(call), error(code))
    outcome = opened().write(step(call), {})
    assert (outcome.status, outcome.code) == (Status.UNKNOWN, code)


@pytest.mark.parametrize(
    ("code", "status", "throttled"),
    [
        ("UnauthorizedOperation", 403, False),
        ("RulesPerSecurityGroupLimitExceeded", 400, False),
        ("RequestLimitExceeded", 503, True),
        ("DependencyViolation", 400, False),
    ],
)
def test_a_clear_refusal_has_failed(code: str, status: int, throttled: bool, script: Script, opened: Open) -> None:
    script.say("AuthorizeSecurityGroupIngress", error(code, status))
    outcome = opened().write(step("authorize_security_group_ingress"), {})
    assert (outcome.status, outcome.code, outcome.throttled, outcome.reason) == (Status.FAILED, code, throttled, "no")
    assert script.counts() == {"AuthorizeSecurityGroupIngress": 1}


def test_a_revoke_that_left_something_out_is_unknown(script: Script, opened: Open) -> None:
    missing = "<item><ipProtocol>tcp</ipProtocol><fromPort>22</fromPort><toPort>22</toPort></item>"
    script.say(
        "RevokeSecurityGroupIngress",
        xml("RevokeSecurityGroupIngress", f"<return>true</return><unknownIpPermissionSet>{missing}</unknownIpPermissionSet>"),
    )
    outcome = opened().write(step("revoke_security_group_ingress"), {})
    assert (outcome.status, outcome.code) == (Status.UNKNOWN, "UnknownIpPermissions")


def test_ids_made_by_earlier_steps_are_put_in_and_new_ones_handed_back(script: Script, opened: Open) -> None:
    adapter = opened()
    made = adapter.write(step("create_security_group", made="{new:web}"), {})
    assert made.created == (("web", "sg-9"),)
    outcome = adapter.write(
        step("modify_network_interface_attribute", {"NetworkInterfaceId": "eni-1", "Groups": ["{new:web}", "sg-2"]}), dict(made.created)
    )
    assert outcome.status is Status.DONE
    sent = script.sent("ModifyNetworkInterfaceAttribute")[0]
    assert (sent["SecurityGroupId.1"], sent["SecurityGroupId.2"]) == ("sg-9", "sg-2")


def test_what_cannot_be_sent_is_refused_unsent(script: Script, opened: Open) -> None:
    adapter = opened()
    unbound = step("delete_security_group", {"GroupId": "{new:web}"})
    foreign = replace(unbound, payload='{"call": "terminate_instances", "args": {"InstanceIds": ["i-1"]}}')
    elsewhere = replace(step("delete_security_group"), scope=f"{ACCOUNT}/ap-south-1")
    shapeless = step("delete_security_group", {"GroupName": ["no", "text"]})
    for one in (unbound, foreign, elsewhere, shapeless):
        assert adapter.write(one, {}).status is Status.FAILED
    assert script.requests == []


# --- reading again ---------------------------------------------------------------------------------------------------


def test_a_refresh_reads_only_what_the_steps_touch(script: Script, opened: Open) -> None:
    script.say("DescribeSecurityGroups", page("DescribeSecurityGroups", group("sg-1"), group("sg-2")), page("DescribeSecurityGroups"))
    adapter = opened()
    table = adapter.read().table
    script.requests.clear()
    after = adapter.refresh(table, [step("delete_security_group")], {})
    assert list(table.groups) == ["sg-1", "sg-2"]
    assert list(after.groups) == ["sg-2"]
    assert script.counts() == {"DescribeSecurityGroups": 1}
    assert script.sent("DescribeSecurityGroups")[0]["Filter.1.Value.1"] == "sg-1"


def test_a_group_whose_creation_was_never_answered_is_found_by_its_name(script: Script, opened: Open) -> None:
    adapter = opened()
    table = adapter.read().table
    named = group("sg-9").replace("<groupName>sg-9", "<groupName>cs-acme-1")
    stranger = named.replace("sg-9", "sg-7").replace("vpc-1", "vpc-2")
    script.say("DescribeSecurityGroups", page("DescribeSecurityGroups", named, stranger))
    after = adapter.refresh(table, [step("create_security_group", made="{new:web}")], {})
    assert list(after.groups) == ["sg-9"]


def test_a_refresh_that_fails_raises(script: Script, opened: Open) -> None:
    adapter = opened()
    table = adapter.read().table
    script.say("DescribeSecurityGroups", error("UnauthorizedOperation", 403))
    with pytest.raises(AdapterError, match="UnauthorizedOperation"):
        adapter.refresh(table, [step("delete_security_group")], {})


# --- pace ------------------------------------------------------------------------------------------------------------


def test_writes_are_held_to_the_pace_and_a_throttle_empties_the_bucket(script: Script, opened: Open, clock: Ticks) -> None:
    adapter = opened(pace=0.1)
    for _ in range(4):
        adapter.write(step("authorize_security_group_ingress"), {})
    assert clock.slept == []
    adapter.write(step("authorize_security_group_ingress"), {})
    adapter.write(step("authorize_security_group_ingress"), {})
    assert clock.slept == [pytest.approx(SLACK_S), pytest.approx(2.0)]
    script.say("AuthorizeSecurityGroupEgress", error("RequestLimitExceeded", 503))
    adapter.write(step("authorize_security_group_egress"), {})
    opened(pace=0.1).write(step("authorize_security_group_egress"), {})
    assert clock.slept[2:] == [pytest.approx(2.0)]


def test_an_endpoint_of_the_environment_must_be_https_or_on_this_machine(
    opened: Open, monkeypatch: pytest.MonkeyPatch, clock: Ticks
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://192.0.2.1")
    target = TargetSettings("aws-prod", "aws", TargetMode.OBSERVE, {"account": ACCOUNT, "regions": [REGION]}, Where("cloudsync.yaml"))
    with pytest.raises(AdapterError, match="neither https nor on this machine"):
        AwsAdapter(target, "acme", clock).identify()

"""The vendor's own Python client against the lab, unchanged: every call the product makes, the errors it raises, and its known traps."""

from __future__ import annotations

import importlib
import os
import uuid
from dataclasses import dataclass
from typing import Any

import pytest

from cloudsync.lab.gcp.pytest_plugin import Wire
from cloudsync.lab.gcp.site import Site

compute: Any = importlib.import_module("google.cloud.compute_v1")
ClientOptions: Any = importlib.import_module("google.api_core.client_options").ClientOptions
exceptions: Any = importlib.import_module("google.api_core.exceptions")
service_account: Any = importlib.import_module("google.oauth2.service_account")
PROJECT = "acme-net"
NETWORK = "projects/acme-net/global/networks/default"


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients of one set of credentials."""

    options: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        """`firewalls` is a FirewallsClient, and so on."""
        return getattr(compute, f"{name.title().replace('_', '')}Client")(**self.options)


@pytest.fixture
def clients(gcp_site: Site, monkeypatch: pytest.MonkeyPatch) -> Clients:
    monkeypatch.setenv("NO_PROXY", f"127.0.0.1,{os.environ.get('NO_PROXY', '')}")
    section = gcp_site.section()
    credentials = service_account.Credentials.from_service_account_file(section["service_account_file"])
    return Clients({"credentials": credentials, "client_options": ClientOptions(api_endpoint=section["endpoint"])})


def rule(name: str = "a", **more: Any) -> Any:
    wanted = {"network": NETWORK, "source_ranges": ["10.0.0.0/8"], "allowed": [compute.Allowed(I_p_protocol="tcp", ports=["80"])], **more}
    return compute.Firewall(name=name, **wanted)


def finished(clients: Clients, operation: Any) -> Any:
    operations = clients.global_operations
    while operation.status != compute.Operation.Status.DONE:
        operation = operations.wait(project=PROJECT, operation=operation.name, timeout=30, retry=None)
    return operation


def insert(clients: Clients, wanted: Any, **more: Any) -> Any:
    request = compute.InsertFirewallRequest(project=PROJECT, firewall_resource=wanted, **more)
    return clients.firewalls.insert_unary(request=request, retry=None, timeout=30)


def test_a_rule_from_insert_to_delete(clients: Clients) -> None:
    operation = finished(clients, insert(clients, rule(target_tags=["web"]), request_id=str(uuid.UUID(int=7))))
    assert not operation.error.errors
    assert not operation.http_error_status_code
    found = clients.firewalls.get(project=PROJECT, firewall="a")
    assert (found.priority, found.direction, list(found.target_tags), found.disabled) == (1000, "INGRESS", ["web"], False)
    change = {"project": PROJECT, "firewall": "a", "firewall_resource": compute.Firewall(disabled=True)}
    finished(clients, clients.firewalls.patch_unary(**change))
    assert clients.firewalls.get(project=PROJECT, firewall="a").disabled is True
    finished(clients, clients.firewalls.update_unary(project=PROJECT, firewall="a", firewall_resource=rule(priority=7)))
    assert clients.firewalls.get(project=PROJECT, firewall="a").priority == 7
    finished(clients, clients.firewalls.delete_unary(project=PROJECT, firewall="a"))
    assert list(clients.firewalls.list(project=PROJECT)) == []


def test_pages(clients: Clients) -> None:
    for number in range(7):
        finished(clients, insert(clients, rule(f"r{number}")))
    pages = list(clients.firewalls.list(request=compute.ListFirewallsRequest(project=PROJECT, max_results=3)).pages)
    assert [len(page.items) for page in pages] == [3, 3, 1]
    assert {page.kind for page in pages} == {"compute#firewallList"}
    assert [one.name for one in clients.firewalls.list(project=PROJECT)] == [f"r{number}" for number in range(7)]


def test_everything_the_product_reads(gcp_site: Site, clients: Clients) -> None:
    gcp_site.reset("four", 1)
    assert clients.projects.get(project=PROJECT).name == PROJECT
    quota = next(one for one in clients.projects.get(project=PROJECT).quotas if one.metric == "FIREWALLS")
    assert (quota.limit, quota.usage) == (500.0, 18.0)
    assert clients.networks.get(project=PROJECT, network="prod").network_firewall_policy_enforcement_order == "AFTER_CLASSIC_FIREWALL"
    assert sorted(one.name for one in clients.networks.list(project=PROJECT)) == ["default", "dev", "prod"]
    effective = clients.networks.get_effective_firewalls(project=PROJECT, network="prod")
    assert len(effective.firewalls) == 11
    machines = [one for _zone, scope in clients.instances.aggregated_list(project=PROJECT) for one in scope.instances]
    assert len(machines) == 10
    web = next(one for one in machines if one.name == "ordering-web-1")
    assert (web.labels["role"], web.network_interfaces[0].network_i_p) == ("web", "10.40.0.11")
    subnets = [one for _region, scope in clients.subnetworks.aggregated_list(project=PROJECT) for one in scope.subnetworks]
    assert {one.secondary_ip_ranges[0].ip_cidr_range for one in subnets if one.secondary_ip_ranges} == {"10.40.64.0/18"}


def test_tags_are_set(gcp_site: Site, clients: Clients) -> None:
    gcp_site.reset("four", 1)
    where = {"project": PROJECT, "zone": "europe-west1-b", "instance": "ordering-web-1"}
    before = clients.instances.get(**where)
    wanted = compute.Tags(items=["cs-1"], fingerprint=before.tags.fingerprint)
    operation = clients.instances.set_tags_unary(**where, tags_resource=wanted)
    clients.zone_operations.wait(project=PROJECT, zone="europe-west1-b", operation=operation.name)
    assert list(clients.instances.get(**where).tags.items) == ["cs-1"]
    with pytest.raises(exceptions.PreconditionFailed) as refused:
        clients.instances.set_tags_unary(**where, tags_resource=wanted)
    assert refused.value.errors[0]["reason"] == "conditionNotMet"


@pytest.mark.parametrize(
    ("wanted", "kind", "reason"),
    [
        ({"priority": 70000}, "BadRequest", "invalid"),
        ({"denied": [{"I_p_protocol": "udp"}]}, "BadRequest", "invalid"),
        ({"source_tags": [f"t{n}" for n in range(31)]}, "GoogleAPICallError", "fieldSizeTooLarge"),
        ({"name": "Bad"}, "BadRequest", "invalid"),
        ({"direction": "SIDEWAYS"}, "BadRequest", "invalid"),
        ({"network": "global/networks/x"}, "NotFound", "notFound"),
    ],
)
def test_refusals_become_the_clients_exceptions(clients: Clients, wanted: dict[str, Any], kind: str, reason: str) -> None:
    fields = {"name": "a", **wanted}
    with pytest.raises(getattr(exceptions, kind)) as refused:
        insert(clients, rule(fields.pop("name"), **fields))
    assert refused.value.errors[0]["reason"] == reason


def test_conflict_quota_and_rate(gcp_site: Site, clients: Clients) -> None:
    finished(clients, insert(clients, rule()))
    with pytest.raises(exceptions.Conflict):
        insert(clients, rule())
    gcp_site.ask("quotas", {"FIREWALLS": 1})
    with pytest.raises(exceptions.Forbidden) as full:
        insert(clients, rule("b"))
    assert full.value.errors[0]["reason"] == "quotaExceeded"
    gcp_site.ask("faults", {"operation": "firewalls.insert", "kind": "throttle"})
    with pytest.raises(exceptions.Forbidden) as fast:
        insert(clients, rule("b"))
    assert fast.value.reason == "RATE_LIMIT_EXCEEDED"
    gcp_site.ask("faults", {"operation": "firewalls.insert", "kind": "throttle", "status": 429})
    with pytest.raises(exceptions.TooManyRequests):
        insert(clients, rule("b"))


def test_a_failed_operation(gcp_site: Site, clients: Clients) -> None:
    gcp_site.ask("faults", {"operation": "firewalls.insert", "kind": "operation_failed", "code": "QUOTA_EXCEEDED", "http_fields": False})
    operation = finished(clients, insert(clients, rule()))
    assert [each.code for each in operation.error.errors] == ["QUOTA_EXCEEDED"]
    assert operation.http_error_status_code == 0


def test_an_empty_answer_reads_as_no_rules(gcp_site: Site, clients: Clients) -> None:
    finished(clients, insert(clients, rule()))
    for body in ({}, {"error": {"code": 500}}):
        gcp_site.ask("faults", {"operation": "firewalls.list", "kind": "empty", "body": body})
        page = next(iter(clients.firewalls.list(project=PROJECT).pages))
        assert (list(page.items), page.kind) == ([], "")


def test_a_patch_by_this_client_cannot_empty_a_list(clients: Clients) -> None:
    finished(clients, insert(clients, rule(target_tags=["web"])))
    change = {"project": PROJECT, "firewall": "a", "firewall_resource": compute.Firewall(target_tags=[])}
    finished(clients, clients.firewalls.patch_unary(**change))
    assert list(clients.firewalls.get(project=PROJECT, firewall="a").target_tags) == ["web"]


def test_an_expired_token_makes_the_client_send_the_same_write_again(gcp_site: Site, gcp: Wire, clients: Clients) -> None:
    gcp_site.ask("faults", {"operation": "firewalls.insert", "kind": "expired"})
    finished(clients, insert(clients, rule()))
    assert [entry["status"] for entry in gcp_site.ask("log", None)] == [401, 200]
    assert gcp.rules() == ["a"]


def test_policies(clients: Clients) -> None:
    policies = clients.network_firewall_policies
    finished(clients, policies.insert_unary(project=PROJECT, firewall_policy_resource=compute.FirewallPolicy(name="p")))
    before = policies.get(project=PROJECT, firewall_policy="p")
    match = compute.FirewallPolicyRuleMatcher(
        src_ip_ranges=["10.0.0.0/8"], layer4_configs=[compute.FirewallPolicyRuleMatcherLayer4Config(ip_protocol="tcp")]
    )
    own = compute.FirewallPolicyRule(priority=5, action="allow", direction="INGRESS", match=match)
    wanted = compute.FirewallPolicy(rules=[own, *before.rules], fingerprint=before.fingerprint)
    change = {"project": PROJECT, "firewall_policy": "p", "firewall_policy_resource": wanted}
    finished(clients, policies.patch_unary(**change))
    assert policies.get(project=PROJECT, firewall_policy="p").rules[0].priority == 5
    with pytest.raises(exceptions.PreconditionFailed):
        policies.patch_unary(**change)
    target = compute.FirewallPolicyAssociation(name="x", attachment_target=NETWORK)
    attach = {"project": PROJECT, "firewall_policy": "p", "firewall_policy_association_resource": target}
    finished(clients, policies.add_association_unary(**attach))
    found = clients.networks.get_effective_firewalls(project=PROJECT, network="default").firewall_policys
    assert [(one.type_, one.name) for one in found] == [("NETWORK", "p")]


def test_a_plain_access_token_does_too(gcp_site: Site, clients: Clients) -> None:
    token = importlib.import_module("google.oauth2.credentials").Credentials(gcp_site.section()["access_token"])
    plain = Clients({**clients.options, "credentials": token})
    assert plain.projects.get(project="480100000001").name == PROJECT

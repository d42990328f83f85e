"""The vendor's own SDK, unchanged, against the Azure lab: production path, TLS, token flow, pages, operations, errors."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from cloudsync.lab.azure.pytest_plugin import VERSION, Wire, rule
from cloudsync.lab.azure.site import Site
from cloudsync.lab.http import Answer, Request, Server
from cloudsync.lab.kit import tls

identity = pytest.importorskip("azure.identity", reason="the extra azure is not installed")
network = pytest.importorskip("azure.mgmt.network", reason="the extra azure is not installed")
errors = pytest.importorskip("azure.core.exceptions")
rest = pytest.importorskip("azure.core.rest")

NSG = "networkSecurityGroups"
SCOPES = ["https://management.azure.com/.default"]


def connect(site: Site, **options: Any) -> Any:
    section = site.section()
    credential = identity.ClientSecretCredential(
        section["tenant"], section["client_id"], section["client_secret"], authority=section["authority"],
        disable_instance_discovery=True, connection_verify=section["ca_file"],
    )  # fmt: skip
    options = {"polling_interval": 0, "connection_verify": section["ca_file"], **options}
    return network.NetworkManagementClient(
        credential, section["subscription"], base_url=section["endpoint"], credential_scopes=SCOPES,
        **options,
    )  # fmt: skip


@pytest.fixture
def site(azure_site: Site) -> Site:
    azure_site.ask("settings", {"retry_after": "none"})
    return azure_site


@pytest.fixture
def client(site: Site) -> Iterator[Any]:
    with connect(site) as found:
        yield found


@pytest.fixture
def group(site: Site) -> str:
    return str(site.section()["resource_group"])


def body(*table: Any, **properties: Any) -> dict[str, Any]:
    return {"location": "westeurope", "properties": {"securityRules": list(table), **properties}}


def write(client: Any, group: str, name: str, *table: Any, **options: Any) -> Any:
    poller = client.network_security_groups.begin_create_or_update(group, name, body(*table), api_version=VERSION, **options)
    return poller.result()


def calls(site: Site, operation: str) -> int:
    return int(site.ask("calls", None).get(operation, 0))


def test_the_whole_life_of_a_group_and_its_rules(client: Any, group: str, site: Site) -> None:
    made = write(client, group, "one", rule("a", 100), rule("b", 200))
    assert made["properties"]["provisioningState"] == "Succeeded"
    assert len(made["properties"]["defaultSecurityRules"]) == 6
    child = client.security_rules.begin_create_or_update(
        group, "one", "c", {"properties": rule("c", 300)["properties"]}, api_version=VERSION
    )
    assert child.result()["properties"]["priority"] == 300
    client.security_rules.begin_delete(group, "one", "a", api_version=VERSION).result()
    listed = [each["name"] for each in client.security_rules.list(group, "one", api_version=VERSION)]
    assert listed == ["b", "c"]
    tagged = client.network_security_groups.update_tags(group, "one", {"tags": {"Team": "net"}}, api_version=VERSION)
    assert tagged["tags"] == {"Team": "net"}
    client.network_security_groups.begin_delete(group, "one", api_version=VERSION).result()
    with pytest.raises(errors.ResourceNotFoundError) as gone:
        client.network_security_groups.get(group, "one", api_version=VERSION)
    assert gone.value.error.code == "ResourceNotFound"
    assert calls(site, "Token_Post") == 1


def test_lists_follow_pages_and_bulk_reads_see_the_rules(client: Any, group: str, site: Site) -> None:
    for number in range(5):
        write(client, group, f"n{number}", rule("a", 100))
    site.ask("settings", {"page_size": 2})
    assert [each["name"] for each in client.network_security_groups.list_all(api_version=VERSION)] == [f"n{number}" for number in range(5)]
    assert len(list(client.network_security_groups.list(group, api_version=VERSION))) == 5
    assert calls(site, "NetworkSecurityGroups_ListAll") == 3
    section = site.section()
    path = f"/subscriptions/{section['subscription']}/providers/Microsoft.Network/networkSecurityGroups?api-version={VERSION}"
    answer = client.send_request(rest.HttpRequest("GET", section["endpoint"] + path))
    assert answer.json()["value"][0]["properties"]["securityRules"][0]["name"] == "a"


def test_unknown_properties_survive_a_round_trip(client: Any, group: str, site: Site) -> None:
    write(client, group, "one", rule("a", 100))
    path = f"/subscriptions/{site.section()['subscription']}/resourceGroups/{group}/providers/Microsoft.Network/networkSecurityGroups/one"
    site.ask("plant", {"id": path, "properties": {"flushConnection": True}})
    found = client.network_security_groups.get(group, "one", api_version=VERSION)
    client.network_security_groups.begin_create_or_update(group, "one", found, api_version=VERSION).result()
    assert client.network_security_groups.get(group, "one", api_version=VERSION)["properties"]["flushConnection"] is True


def test_if_match_goes_out_as_a_header(client: Any, group: str) -> None:
    made = write(client, group, "one", rule("a", 100))
    write(client, group, "one", rule("b", 100), headers={"If-Match": made["etag"]})
    with pytest.raises(errors.HttpResponseError) as stale:
        write(client, group, "one", rule("c", 100), headers={"If-Match": made["etag"]})
    assert (stale.value.status_code, stale.value.error.code) == (412, "PreconditionFailed")


@pytest.mark.parametrize("shape", ["enveloped", "bare"])
def test_refusals_are_read_with_and_without_an_envelope(client: Any, group: str, site: Site, shape: str) -> None:
    site.ask("settings", {"error_body": shape})
    with pytest.raises(errors.HttpResponseError) as refused:
        write(client, group, "one", rule("a", 99))
    assert (refused.value.status_code, refused.value.error.code) == (400, "SecurityRuleInvalidPriority")


def test_a_second_writer(client: Any, group: str, site: Site) -> None:
    write(client, group, "one", rule("a", 100))
    path = f"/subscriptions/{site.section()['subscription']}/resourceGroups/{group}/providers/Microsoft.Network/networkSecurityGroups/one"
    site.ask("settings", {"second_writer": "conflict"})
    site.act({"method": "PUT", "path": path, "body": body(rule("theirs", 100)), "finish": False})
    with pytest.raises(errors.ResourceExistsError) as conflict:
        write(client, group, "one", rule("b", 100))
    assert conflict.value.error.code == "AnotherOperationInProgress"


def test_an_operation_that_fails_has_status_200(client: Any, group: str, site: Site) -> None:
    site.ask("faults", {"operation": "NetworkSecurityGroups_CreateOrUpdate", "kind": "operation_failed"})
    with pytest.raises(errors.HttpResponseError) as failed:
        write(client, group, "one", rule("a", 100))
    assert failed.value.status_code == 200
    assert failed.value.error.code == "InternalServerError"


def test_a_dropped_connection_sends_a_put_again_unless_retries_are_off(group: str, site: Site) -> None:
    fault = {"operation": "NetworkSecurityGroups_CreateOrUpdate", "kind": "reset_after"}
    site.ask("settings", {"second_writer": "superseded"})
    with connect(site, retry_backoff_factor=0) as client:
        site.ask("faults", [fault])
        write(client, group, "one", rule("a", 100))
        assert calls(site, "NetworkSecurityGroups_CreateOrUpdate") == 2
    with connect(site, retry_total=0) as client:
        site.ask("faults", [fault])
        site.ask("calls", {"clear": True})
        with pytest.raises((errors.ServiceResponseError, errors.ServiceRequestError)):
            write(client, group, "one", rule("b", 100))
        assert calls(site, "NetworkSecurityGroups_CreateOrUpdate") == 1


def test_the_poll_url_comes_with_the_headers(client: Any, group: str, site: Site) -> None:
    url = client.network_security_groups.begin_create_or_update(
        group, "one", body(rule("a", 100)), api_version=VERSION, polling=False,
        cls=lambda response, _model, _headers: response.http_response.headers["Azure-AsyncOperation"],
    ).result()  # fmt: skip
    states = [client.send_request(rest.HttpRequest("GET", url)).json()["status"] for _ in range(2)]
    assert states == ["InProgress", "Succeeded"]
    assert calls(site, "Operations_Get") == 2


def test_who_is_refused(group: str, site: Site) -> None:
    with connect(site) as client:
        write(client, group, "one", rule("a", 100))
        site.ask("token", {"revoke": True})
        with pytest.raises(errors.ClientAuthenticationError):
            client.network_security_groups.get(group, "one", api_version=VERSION)
    site.ask("principals", {"client_id": "cloudsync", "grants": [{"actions": ["*/read"]}]})
    with connect(site) as client, pytest.raises(errors.HttpResponseError) as refused:
        write(client, group, "one", rule("b", 100))
    assert (refused.value.status_code, refused.value.error.code) == (403, "AuthorizationFailed")


def test_the_other_things_firewalls_need(client: Any, group: str, site: Site) -> None:
    space = {
        "addressSpace": {"addressPrefixes": ["10.50.0.0/16"]},
        "subnets": [{"name": "a", "properties": {"addressPrefix": "10.50.0.0/24"}}],
    }
    put = {"location": "westeurope"}
    client.virtual_networks.begin_create_or_update(group, "net", {**put, "properties": space}, api_version=VERSION).result()
    subnet = client.subnets.get(group, "net", "a", api_version=VERSION)
    nsg = write(client, group, "one")
    attached = {"properties": {"addressPrefix": "10.50.0.0/24", "networkSecurityGroup": {"id": nsg["id"]}}}
    client.subnets.begin_create_or_update(group, "net", "a", attached, api_version=VERSION).result()
    asg = client.application_security_groups.begin_create_or_update(group, "g", put, api_version=VERSION).result()
    configuration = {"name": "x", "properties": {"subnet": {"id": subnet["id"]}, "applicationSecurityGroups": [{"id": asg["id"]}]}}
    nic = {**put, "properties": {"ipConfigurations": [configuration]}}
    made = client.network_interfaces.begin_create_or_update(group, "nic", nic, api_version=VERSION).result()
    assert made["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"] == "10.50.0.4"
    assert [each["name"] for each in client.network_interfaces.list_all(api_version=VERSION)] == ["nic"]
    assert [each["name"] for each in client.virtual_networks.list_all(api_version=VERSION)] == ["net"]
    assert [each["name"] for each in client.application_security_groups.list_all(api_version=VERSION)] == ["g"]
    assert list(client.virtual_network_peerings.list(group, "net", api_version=VERSION)) == []
    assert len(list(client.default_security_rules.list(group, "one", api_version=VERSION))) == 6
    assert {each["name"]["value"] for each in client.usages.list("westeurope", api_version=VERSION)} >= {"NetworkSecurityGroups"}
    with pytest.raises(errors.HttpResponseError) as used:
        client.network_security_groups.begin_delete(group, "one", api_version=VERSION).result()
    assert used.value.error.code == "InUseNetworkSecurityGroupCannotBeDeleted"


def test_interfaces_of_a_scale_set(client: Any, group: str, site: Site) -> None:
    site.reset("four", 1)
    found = list(
        client.network_interfaces.list_virtual_machine_scale_set_network_interfaces(group, "payments-app-vmss", api_version=VERSION)
    )
    assert len(found) == 2
    assert not {each["id"] for each in found} & {each["id"] for each in client.network_interfaces.list_all(api_version=VERSION)}


def test_a_next_link_leads_the_sdk_and_its_token_to_a_foreign_host(client: Any, group: str, site: Site, tmp_path: Any) -> None:
    """What the adapter has to stop: shown here so that a test of the adapter can fail."""
    seen: list[str] = []

    def answer(request: Request) -> Answer:
        seen.append(request.headers.get("authorization", ""))
        return Answer(200, b'{"value": []}', {"Content-Type": "application/json"})

    for name in ("one", "two"):
        write(client, group, name)
    foreign = Server(0, answer, tls.authority(tmp_path).server("foreign"))
    foreign.start()
    both = tmp_path / "both.pem"
    both.write_bytes(site.ca_file.read_bytes() + (tmp_path / "ca.pem").read_bytes())
    try:
        site.ask("settings", {"page_size": 1, "next_link_base": foreign.url})
        with connect(site, connection_verify=str(both)) as trusting:
            assert len(list(trusting.network_security_groups.list_all(api_version=VERSION))) == 1
    finally:
        foreign.shutdown()
        foreign.server_close()
    assert seen
    assert seen[0].startswith("Bearer ")


def test_many_writers_at_once_each_on_a_group_of_its_own(client: Any, group: str, site: Site) -> None:
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            write(client, group, f"n{number}", rule("a", 100), rule("b", 101))
        except errors.HttpResponseError as error:
            failed.append(error)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert not failed
    assert len(Wire(site).everything(Wire(site).everywhere(NSG))) == 8

"""Machines, their tags and labels, networks, subnetworks, and networks shared between projects."""

from __future__ import annotations

from typing import Any

import pytest

from cloudsync.lab.gcp.pytest_plugin import Wire
from cloudsync.lab.gcp.site import Site

ZONE = "zones/europe-west1-b"
ALL = f"{ZONE}/instances"
SUBNETS = "regions/europe-west1/subnetworks"
ROOT = "https://www.googleapis.com/compute/v1/projects/acme-net"


@pytest.fixture
def net(gcp: Wire) -> Wire:
    body = {"name": "n", "autoCreateSubnetworks": False, "enableUlaInternalIpv6": True, "internalIpv6Range": "fd20:40::/48"}
    gcp.done("POST", "global/networks", body)
    pods = [{"rangeName": "pods", "ipCidrRange": "10.81.0.0/16"}]
    subnet = {"name": "s", "network": "global/networks/n", "ipCidrRange": "10.80.0.0/24", "secondaryIpRanges": pods}
    gcp.done("POST", SUBNETS, {**subnet, "stackType": "IPV4_IPV6", "ipv6AccessType": "INTERNAL"})
    return gcp


def machine(name: str = "m", nic: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "networkInterfaces": [{"subnetwork": f"{SUBNETS}/s", **(nic or {})}], **more}


def shown(gcp: Wire, name: str = "m") -> dict[str, Any]:
    found: dict[str, Any] = gcp.get(f"{ALL}/{name}")
    return found


def test_a_machine_gets_addresses_of_every_kind(net: Wire) -> None:
    alias = [{"ipCidrRange": "10.81.4.0/28", "subnetworkRangeName": "pods"}]
    nic = {"networkIP": "10.80.0.9", "aliasIpRanges": alias, "stackType": "IPV4_IPV6", "accessConfigs": [{"type": "ONE_TO_ONE_NAT"}]}
    net.done("POST", ALL, machine(nic=nic, labels={"role": "web"}, tags={"items": ["web"]}))
    found = shown(net)
    first = found["networkInterfaces"][0]
    assert (first["name"], first["networkIP"], first["aliasIpRanges"]) == ("nic0", "10.80.0.9", alias)
    assert first["ipv6Address"].startswith("fd20:40:0:1:")
    assert first["accessConfigs"][0]["natIP"].startswith("198.18.")
    assert (first["network"], first["subnetwork"]) == (f"{ROOT}/global/networks/n", f"{ROOT}/{SUBNETS}/s")
    assert (found["status"], found["labels"], found["tags"]["items"]) == ("RUNNING", {"role": "web"}, ["web"])
    net.done("POST", ALL, machine("free"))
    assert shown(net, "free")["networkInterfaces"][0]["networkIP"] == "10.80.0.2"
    assert "items" not in shown(net, "free")["tags"]


REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("no interface", {"name": "m"}, 400, "invalid"),
    ("bad name", machine("Bad"), 400, "invalid"),
    ("outside", machine(nic={"networkIP": "10.99.0.1"}), 400, "invalid"),
    ("no address", machine(nic={"networkIP": "10.80.0.300"}), 400, "invalid"),
    ("taken", machine(nic={"networkIP": "10.80.0.7"}), 400, "ipInUseByAnotherResource"),
    ("no range", machine(nic={"aliasIpRanges": [{"ipCidrRange": "10.81.0.0/28", "subnetworkRangeName": "x"}]}), 400, "invalid"),
    ("alias outside", machine(nic={"aliasIpRanges": [{"ipCidrRange": "10.99.0.0/28", "subnetworkRangeName": "pods"}]}), 400, "invalid"),
    ("no subnetwork", machine(nic={"subnetwork": f"{SUBNETS}/x"}), 404, "notFound"),
    ("another region", machine(nic={"subnetwork": "regions/us-central1/subnetworks/s"}), 400, "invalid"),
    ("foreign subnetwork", machine(nic={"subnetwork": f"projects/acme-other/{SUBNETS}/default"}), 400, "invalid"),
    ("network without a choice", {"name": "m", "networkInterfaces": [{"network": "global/networks/n2"}]}, 404, "notFound"),
    ("tag", machine(tags={"items": ["No"]}), 400, "invalid"),
    ("65 tags", machine(tags={"items": [f"t{n}" for n in range(65)]}), 413, "fieldSizeTooLarge"),
    ("labels", machine(labels={"a": 1}), 400, "invalid"),
    ("unknown field", machine(colour="red"), 400, "badRequest"),
]


@pytest.mark.parametrize("case", REFUSED, ids=[each[0] for each in REFUSED])
def test_nonsense_starts_no_machine(gcp_site: Site, net: Wire, case: tuple[str, dict[str, Any], int, str]) -> None:
    net.done("POST", ALL, machine("first", {"networkIP": "10.80.0.7"}))
    before = gcp_site.ask("state", None)
    assert net.refusal("POST", ALL, case[1])[:2] == case[2:]
    assert gcp_site.ask("state", None) == before


def test_two_interfaces_do_not_share_an_address(net: Wire) -> None:
    nics = [{"subnetwork": f"{SUBNETS}/s"}, {"subnetwork": f"{SUBNETS}/s"}]
    net.done("POST", ALL, {"name": "m", "networkInterfaces": nics})
    assert [nic["networkIP"] for nic in shown(net)["networkInterfaces"]] == ["10.80.0.2", "10.80.0.3"]


def test_a_zone_that_does_not_exist(net: Wire) -> None:
    assert net.refusal("GET", "zones/mars-a/instances")[0:2] == (404, "notFound")
    assert net.refusal("POST", "zones/mars-a/instances", machine())[0:2] == (404, "notFound")


def test_tags_are_replaced_whole_under_their_fingerprint(net: Wire) -> None:
    net.done("POST", ALL, machine(tags={"items": ["a", "b"]}))
    before = shown(net)["tags"]
    for wrong in ({"items": ["c"]}, {"items": ["c"], "fingerprint": "AAAAAAAAAAA="}):
        assert net.refusal("POST", f"{ALL}/m/setTags", wrong)[:2] == (412, "conditionNotMet")
    assert shown(net)["tags"] == before
    net.done("POST", f"{ALL}/m/setTags", {"items": ["c"], "fingerprint": before["fingerprint"]})
    after = shown(net)["tags"]
    assert after["items"] == ["c"]
    assert after["fingerprint"] != before["fingerprint"]
    assert net.refusal("POST", f"{ALL}/m/setTags", {"items": ["d"], "fingerprint": before["fingerprint"]})[0] == 412
    in_urls = after["fingerprint"].replace("+", "-").replace("/", "_")
    assert net.refusal("POST", f"{ALL}/m/setTags", {"items": ["No"], "fingerprint": in_urls})[:2] == (400, "invalid")


@pytest.mark.parametrize(("how", "left"), [("clear", None), ("keep", ["a"])])
def test_tags_without_items(gcp_site: Site, net: Wire, how: str, left: list[str] | None) -> None:
    gcp_site.ask("settings", {"tags_without_items": how})
    net.done("POST", ALL, machine(tags={"items": ["a"]}))
    net.done("POST", f"{ALL}/m/setTags", {"fingerprint": shown(net)["tags"]["fingerprint"]})
    assert shown(net)["tags"].get("items") == left


def test_labels_under_their_fingerprint(net: Wire) -> None:
    net.done("POST", ALL, machine(labels={"role": "web"}))
    before = shown(net)
    assert net.refusal("POST", f"{ALL}/m/setLabels", {"labels": {}, "labelFingerprint": "x"})[0] == 412
    net.done("POST", f"{ALL}/m/setLabels", {"labels": {"role": "db"}, "labelFingerprint": before["labelFingerprint"]})
    assert shown(net)["labels"] == {"role": "db"}
    net.done("POST", f"{ALL}/m/setLabels", {"labels": {}, "labelFingerprint": shown(net)["labelFingerprint"]})
    assert "labels" not in shown(net)
    assert shown(net)["labelFingerprint"] == "42WmSpB8rSM="


def test_a_stopped_machine_keeps_its_address_and_a_deleted_one_is_gone(net: Wire) -> None:
    net.done("POST", ALL, machine())
    address = shown(net)["networkInterfaces"][0]["networkIP"]
    net.done("POST", f"{ALL}/m/stop")
    assert (shown(net)["status"], shown(net)["networkInterfaces"][0]["networkIP"]) == ("TERMINATED", address)
    net.done("POST", f"{ALL}/m/start")
    assert shown(net)["status"] == "RUNNING"
    net.done("DELETE", f"{ALL}/m")
    assert net.refusal("GET", f"{ALL}/m")[2] == f"The resource 'projects/acme-net/{ZONE}/instances/m' was not found"


def test_a_subnetwork_in_use_stays(net: Wire) -> None:
    net.done("POST", ALL, machine())
    status, operation = net.send("DELETE", f"{SUBNETS}/s")
    assert status == 200
    ended = net.get(f"regions/europe-west1/operations/{operation['name']}")
    assert ended["error"]["errors"][0]["code"] == "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE"
    net.done("DELETE", f"{ALL}/m")
    net.done("DELETE", f"{SUBNETS}/s")
    net.done("DELETE", "global/networks/n")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ipCidrRange": "10.80.0.128/25"}, 400),
        ({"ipCidrRange": "10.81.3.0/24"}, 400),
        ({"ipCidrRange": "10.90.0.1/24"}, 400),
        ({"ipCidrRange": "10.90.0.0/42"}, 400),
        ({"ipCidrRange": "2001:db8::/64"}, 400),
        ({"ipCidrRange": "10.90.0.0/24", "network": "global/networks/x"}, 404),
        ({"ipCidrRange": "10.90.0.0/24", "network": "x"}, 400),
        ({"ipCidrRange": "10.90.0.0/24", "network": "projects/acme-other/global/networks/default"}, 400),
        ({"ipCidrRange": "10.90.0.0/24", "name": "No"}, 400),
        ({"ipCidrRange": "10.90.0.0/24", "name": "s"}, 409),
        ({"ipCidrRange": "10.90.0.0/24", "secondaryIpRanges": [{"rangeName": "x", "ipCidrRange": "10.90.0.0/25"}]}, 400),
    ],
)
def test_subnetworks_do_not_overlap(net: Wire, change: dict[str, Any], code: int) -> None:
    assert net.refusal("POST", SUBNETS, {"name": "t", "network": "global/networks/n", **change})[0] == code
    assert [one["name"] for one in net.get(SUBNETS)["items"] if one["network"].endswith("/n")] == ["s"]


def test_ipv6_needs_a_range(gcp: Wire) -> None:
    gcp.done("POST", "global/networks", {"name": "n", "autoCreateSubnetworks": False})
    subnet = {"name": "s", "network": "global/networks/n", "ipCidrRange": "10.80.0.0/24"}
    assert gcp.refusal("POST", SUBNETS, {**subnet, "stackType": "IPV4_IPV6", "ipv6AccessType": "INTERNAL"})[0] == 400
    gcp.done("POST", SUBNETS, {**subnet, "stackType": "IPV4_IPV6", "ipv6AccessType": "EXTERNAL"})
    assert gcp.get(f"{SUBNETS}/s")["externalIpv6Prefix"].startswith("2001:db8:40:")
    gcp.done("POST", ALL, machine(nic={"stackType": "IPV4_IPV6"}))
    assert shown(gcp)["networkInterfaces"][0]["ipv6AccessConfigs"][0]["externalIpv6"].startswith("2001:db8:40:")


def test_networks_have_names_an_order_and_a_quota(gcp_site: Site, gcp: Wire) -> None:
    assert gcp.get("global/networks/default")["networkFirewallPolicyEnforcementOrder"] == "AFTER_CLASSIC_FIREWALL"
    assert len(gcp.get("global/networks/default")["subnetworks"]) == 3
    gcp.done("PATCH", "global/networks/default", {"networkFirewallPolicyEnforcementOrder": "BEFORE_CLASSIC_FIREWALL"})
    assert gcp.get("global/networks/default")["networkFirewallPolicyEnforcementOrder"] == "BEFORE_CLASSIC_FIREWALL"
    assert gcp.refusal("PATCH", "global/networks/default", {"networkFirewallPolicyEnforcementOrder": "SOMETIMES"})[0] == 400
    assert gcp.refusal("PATCH", "global/networks/default", {"autoCreateSubnetworks": False})[0] == 400
    assert gcp.refusal("POST", "global/networks", {"name": "default"})[:2] == (409, "alreadyExists")
    assert gcp.refusal("POST", "global/networks", {"name": "old", "IPv4Range": "10.0.0.0/8"})[0] == 400
    for wrong in ("10.0.0.0/8", "fd20::/20", "x"):
        assert gcp.refusal("POST", "global/networks", {"name": "v6", "enableUlaInternalIpv6": True, "internalIpv6Range": wrong})[0] == 400
    gcp_site.ask("quotas", {"NETWORKS": 1})
    assert gcp.refusal("POST", "global/networks", {"name": "n"})[:2] == (403, "quotaExceeded")


def test_a_service_project_uses_the_networks_of_its_host(gcp_site: Site, net: Wire) -> None:
    service = Wire(gcp_site, "acme-apps")
    body = {"name": "m", "networkInterfaces": [{"subnetwork": f"projects/acme-net/{SUBNETS}/s"}]}
    service.done("POST", ALL, body)
    assert service.get(f"{ALL}/m")["networkInterfaces"][0]["network"] == f"{ROOT}/global/networks/n"
    assert "instances" not in net.get("aggregated/instances")["items"][ZONE]
    rule = {"name": "a", "network": "projects/acme-net/global/networks/n", "allowed": [{"IPProtocol": "tcp"}]}
    wanted = "Cross project referencing is not allowed for this resource."
    assert wanted in service.refusal("POST", "global/firewalls", rule)[2]
    assert service.get("getXpnHost")["name"] == "acme-net"
    assert net.get("getXpnResources")["resources"] == [{"id": "acme-apps", "type": "PROJECT"}]
    assert net.get("/compute/v1/projects/acme-net")["xpnProjectStatus"] == "HOST"
    gcp_site.ask("projects", {"acme-apps": {"host": None}})
    assert service.refusal("POST", ALL, {**body, "name": "m2"})[0] == 400


def test_a_projects_number_names_it_too(net: Wire) -> None:
    number = "480100000001"
    subnet = {"name": "t", "network": f"projects/{number}/global/networks/n", "ipCidrRange": "10.90.0.0/24"}
    net.done("POST", SUBNETS, subnet)
    net.done("POST", ALL, machine(nic={"subnetwork": f"projects/{number}/{SUBNETS}/t"}))
    assert shown(net)["networkInterfaces"][0]["subnetwork"] == f"{ROOT}/{SUBNETS}/t"
    net.done("POST", "global/firewallPolicies", {"name": "p"})
    net.done("POST", "global/firewallPolicies/p/addAssociation", {"attachmentTarget": f"projects/{number}/global/networks/n"})
    assert net.get("global/networks/n")["firewallPolicy"].endswith("/firewallPolicies/p")


def test_a_network_with_a_policy_stays(gcp: Wire) -> None:
    gcp.done("POST", "global/networks", {"name": "n", "autoCreateSubnetworks": False})
    gcp.done("POST", "global/firewallPolicies", {"name": "p"})
    gcp.done("POST", "global/firewallPolicies/p/addAssociation", {"name": "a", "attachmentTarget": "global/networks/n"})
    _status, operation = gcp.send("DELETE", "global/networks/n")
    ended = gcp.get(f"global/operations/{operation['name']}")
    assert "already being used by 'projects/acme-net/global/firewallPolicies/p'" in ended["error"]["errors"][0]["message"]
    gcp.done("POST", "global/firewallPolicies/p/removeAssociation", name="a")
    gcp.done("DELETE", "global/networks/n")


def test_no_two_machines_share_an_external_address(net: Wire) -> None:
    nic = {"accessConfigs": [{"type": "ONE_TO_ONE_NAT"}]}
    for name in ("a", "b", "c"):
        net.done("POST", ALL, machine(name, nic))
    net.done("DELETE", f"{ALL}/a")
    net.done("POST", ALL, machine("d", nic))
    addresses = [shown(net, name)["networkInterfaces"][0]["accessConfigs"][0]["natIP"] for name in ("b", "c", "d")]
    assert len(set(addresses)) == 3

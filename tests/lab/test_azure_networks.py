"""Networks, subnets, interfaces, machines and scale sets of the Azure lab."""

from __future__ import annotations

from typing import Any

import pytest

from cloudsync.lab.azure.pytest_plugin import Wire, rule

NSG, NIC, NET = "networkSecurityGroups", "networkInterfaces", "virtualNetworks"


@pytest.fixture
def net(azure: Wire) -> Wire:
    azure.done(azure.path(NSG, "one"), {})
    subnets = [
        {"name": "a", "properties": {"addressPrefix": "10.50.0.0/24"}},
        {"name": "b", "properties": {"addressPrefixes": ["10.50.1.0/29", "fd00:50::/64"]}},
    ]
    azure.done(azure.path(NET, "net"), {"addressSpace": {"addressPrefixes": ["10.50.0.0/16", "fd00:50::/48"]}, "subnets": subnets})
    return azure


def configuration(azure: Wire, subnet: str = "net/subnets/a", name: str = "x", **properties: Any) -> Any:
    return {"name": name, "properties": {"subnet": {"id": azure.path(NET, subnet)}, **properties}}


def static(azure: Wire, address: str, **more: Any) -> Any:
    return configuration(azure, privateIPAddress=address, privateIPAllocationMethod="Static", **more)


def nic(azure: Wire, name: str, *configurations: Any, **properties: Any) -> Any:
    return azure.put(azure.path(NIC, name), {"ipConfigurations": list(configurations), **properties})


def addresses(heard: Any) -> list[str]:
    return [each["properties"]["privateIPAddress"] for each in heard.document["properties"]["ipConfigurations"]]


@pytest.mark.parametrize(("space", "subnet", "code"), [
    (["10.50.0.0/42"], "10.50.0.0/24", "InvalidAddressPrefixFormat"),
    (["10.300.0.0/8"], "10.50.0.0/24", "InvalidAddressPrefixFormat"),
    (["10.50.0.0/16"], "10.51.0.0/24", "NetcfgInvalidSubnet"),
    (["10.50.0.0/16"], "10.50.0.1/24", "InvalidCIDRNotation"),
    (["10.50.0.0/16"], "10.50.0.0/16", "NetcfgSubnetRangesOverlap"),
    ([], "10.50.0.0/24", "InvalidRequestFormat"),
])  # fmt: skip
def test_networks_that_cannot_be(azure: Wire, space: list[str], subnet: str, code: str) -> None:
    subnets = [{"name": "a", "properties": {"addressPrefix": subnet}}, {"name": "b", "properties": {"addressPrefix": "10.50.9.0/24"}}]
    heard = azure.put(azure.path(NET, "bad"), {"addressSpace": {"addressPrefixes": space}, "subnets": subnets})
    assert (heard.status, heard.code) == (400, code)
    assert azure.get(azure.path(NET, "bad")).status == 404


def test_a_subnet_put_replaces_the_whole_subnet(net: Wire) -> None:
    path = net.path(NET, "net/subnets/a")
    full = {"addressPrefix": "10.50.0.0/24", "networkSecurityGroup": {"id": net.path(NSG, "ONE")},
            "routeTable": {"id": net.path("routeTables", "r")},
            "serviceEndpoints": [{"service": "Microsoft.Storage"}]}  # fmt: skip
    net.done(path, full, location=None)
    assert net.get(path).document["properties"]["networkSecurityGroup"] == {"id": net.path(NSG, "one")}
    net.done(path, {"addressPrefix": "10.50.0.0/24"}, location=None)
    left = net.get(path).document["properties"]
    assert not {"networkSecurityGroup", "routeTable", "serviceEndpoints"} & set(left)
    assert "subnets" not in net.get(net.path(NSG, "one")).document["properties"]


def test_a_subnet_with_an_nsg_that_is_not_there(net: Wire) -> None:
    properties = {"addressPrefix": "10.50.0.0/24", "networkSecurityGroup": {"id": net.path(NSG, "none")}}
    heard = net.put(net.path(NET, "net/subnets/a"), properties, location=None)
    assert (heard.status, heard.code) == (400, "InvalidResourceReference")


def test_an_nsg_serves_its_own_region(net: Wire) -> None:
    assert net.put(net.path(NSG, "north"), {}, location="northeurope").status == 201
    net.site.ask("finish", None)
    away = {"networkSecurityGroup": {"id": net.path(NSG, "north")}}
    assert (
        net.put(net.path(NET, "net/subnets/a"), {"addressPrefix": "10.50.0.0/24", **away}, location=None).code == "InvalidResourceReference"
    )
    assert nic(net, "n1", configuration(net), **away).code == "InvalidResourceReference"


def test_a_network_put_without_a_subnet_in_use_is_refused(net: Wire) -> None:
    assert nic(net, "n1", configuration(net)).status == 201
    before = net.get(net.path(NET, "net")).document
    heard = net.put(net.path(NET, "net"), {"addressSpace": {"addressPrefixes": ["10.50.0.0/16"]}})
    assert (heard.status, heard.code) == (400, "InUseSubnetCannotBeDeleted")
    assert net.get(net.path(NET, "net")).document == before
    assert net.send("DELETE", net.path(NET, "net")).code == "InUseSubnetCannotBeDeleted"
    assert net.send("DELETE", net.path(NET, "net/subnets/a")).code == "InUseSubnetCannotBeDeleted"
    assert net.send("DELETE", net.path(NET, "net/subnets/b")).status == 202


def test_dynamic_addresses_are_chosen_and_kept(net: Wire) -> None:
    assert addresses(nic(net, "n1", configuration(net))) == ["10.50.0.4"]
    assert addresses(nic(net, "n2", configuration(net))) == ["10.50.0.5"]
    assert addresses(nic(net, "n1", configuration(net))) == ["10.50.0.4"]
    six = configuration(net, "net/subnets/b", "six", privateIPAddressVersion="IPv6")
    assert addresses(nic(net, "n3", configuration(net, "net/subnets/b"), six)) == ["10.50.1.4", "fd00:50::4"]


def test_a_full_subnet(net: Wire) -> None:
    for number in range(3):
        assert nic(net, f"n{number}", configuration(net, "net/subnets/b")).status == 201
    assert nic(net, "straw", configuration(net, "net/subnets/b")).code == "SubnetIsFull"
    assert net.get(net.path(NIC, "straw")).status == 404


@pytest.mark.parametrize(("address", "code"), [
    ("10.11.12.13.14", "InvalidPrivateIPAddressFormat"), ("10.60.0.4", "PrivateIPAddressNotInSubnet"),
    ("10.50.0.1", "PrivateIPAddressInReservedRange"), ("10.50.0.255", "PrivateIPAddressInReservedRange"),
    ("10.50.0.9", "PrivateIPAddressInUse"),
])  # fmt: skip
def test_static_addresses_that_cannot_be(net: Wire, address: str, code: str) -> None:
    assert nic(net, "holder", static(net, "10.50.0.9")).status == 201
    heard = nic(net, "n1", static(net, address))
    assert (heard.status, heard.code) == (400, code)


def test_the_recorded_words_for_a_bad_address(net: Wire) -> None:
    assert nic(net, "n1", static(net, "10.11.12.13.14")).message == "Private static IP address value 10.11.12.13.14 is invalid."


def test_an_interface_put_is_a_full_replacement(net: Wire) -> None:
    assert nic(net, "n1", configuration(net), networkSecurityGroup={"id": net.path(NSG, "one")}).status == 201
    group = net.get(net.path(NSG, "one")).document
    assert group["properties"]["networkInterfaces"] == [{"id": net.path(NIC, "n1")}]
    assert nic(net, "n1", configuration(net)).status == 200
    after = net.get(net.path(NSG, "one")).document
    assert "networkInterfaces" not in after["properties"]
    assert after["etag"] != group["etag"]


def test_interfaces_without_configurations_or_in_two_networks(net: Wire) -> None:
    assert nic(net, "n1").code == "InvalidRequestFormat"
    assert nic(net, "n1", configuration(net, "other/subnets/a")).code == "InvalidResourceReference"
    other = {
        "addressSpace": {"addressPrefixes": ["10.51.0.0/16"]},
        "subnets": [{"name": "a", "properties": {"addressPrefix": "10.51.0.0/24"}}],
    }
    net.done(net.path(NET, "other"), other)
    two = nic(net, "n1", configuration(net), configuration(net, "other/subnets/a", "y"))
    assert two.code == "NetworkInterfaceConfigurationsMustBeInSameVnet"


def test_asgs_are_joined_by_all_configurations_alike_and_live_in_one_network(net: Wire) -> None:
    net.done(net.path("applicationSecurityGroups", "g"), {})
    joined: Any = {"applicationSecurityGroups": [{"id": net.path("applicationSecurityGroups", "g")}]}
    one = nic(net, "n1", configuration(net, **joined), configuration(net, name="y"))
    assert one.code == "AllIpConfigurationsOfNicMustHaveSameApplicationSecurityGroups"
    assert nic(net, "n1", configuration(net, **joined)).status == 201
    other = {
        "addressSpace": {"addressPrefixes": ["10.51.0.0/16"]},
        "subnets": [{"name": "a", "properties": {"addressPrefix": "10.51.0.0/24"}}],
    }
    net.done(net.path(NET, "other"), other)
    away = nic(net, "n2", configuration(net, "other/subnets/a", **joined))
    assert away.code == "ApplicationSecurityGroupsNotInSameVnet"
    net.done(net.path("applicationSecurityGroups", "h"), {})
    there: Any = {"applicationSecurityGroups": [{"id": net.path("applicationSecurityGroups", "h")}]}
    assert nic(net, "n2", configuration(net, "other/subnets/a", **there)).status == 201
    groups = [{"id": net.path("applicationSecurityGroups", name)} for name in ("g", "h")]
    across = rule("across", 100, sourceAddressPrefix=None, sourceApplicationSecurityGroups=groups)
    heard = net.put(net.path(NSG, "one"), {"securityRules": [across]})
    assert heard.code == "AllApplicationSecurityGroupsInSecurityRuleMustBeFromSameVnet"
    net.site.ask("quotas", {"configurations_per_asg": 1, "asgs_per_configuration": 1})
    assert nic(net, "n3", configuration(net, **joined)).code == "ApplicationSecurityGroupTooManyIpConfigurations"


def test_peerings_connect_when_both_sides_have_one(net: Wire) -> None:
    net.done(net.path(NET, "other"), {"addressSpace": {"addressPrefixes": ["10.51.0.0/16"]}})
    there = {"remoteVirtualNetwork": {"id": net.path(NET, "other")}}
    back = {"remoteVirtualNetwork": {"id": net.path(NET, "net")}}
    made = net.done(net.path(NET, "net/virtualNetworkPeerings/p"), there, location=None)
    assert made["properties"]["peeringState"] == "Initiated"
    net.done(net.path(NET, "other/virtualNetworkPeerings/p"), back, location=None)
    assert net.get(net.path(NET, "net/virtualNetworkPeerings/p")).document["properties"]["peeringState"] == "Connected"
    assert net.send("DELETE", net.path(NET, "other")).status == 202
    net.site.ask("finish", None)
    assert net.get(net.path(NET, "net/virtualNetworkPeerings/p")).document["properties"]["peeringState"] == "Disconnected"
    itself = net.put(net.path(NET, "net/virtualNetworkPeerings/q"), back, location=None)
    assert itself.code == "RemoteVnetCannotBeSameAsLocalVnet"


def machine(azure: Wire, name: str, *interfaces: str) -> Any:
    properties = {"networkProfile": {"networkInterfaces": [{"id": azure.path(NIC, each)} for each in interfaces]}}
    return azure.put(azure.path("virtualMachines", name, "Microsoft.Compute"), properties, beside={"tags": {"Role": "web"}})


def test_a_machine_holds_its_interfaces(net: Wire) -> None:
    nic(net, "n1", configuration(net))
    made = machine(net, "vm", "n1")
    assert (made.status, made.document["properties"]["provisioningState"]) == (201, "Creating")
    net.site.ask("finish", None)
    path = net.path("virtualMachines", "vm", "Microsoft.Compute")
    shown = net.get(net.path(NIC, "n1")).document["properties"]
    assert (shown["virtualMachine"], shown["primary"]) == ({"id": path}, True)
    assert net.send("DELETE", net.path(NIC, "n1")).code == "NicInUse"
    assert machine(net, "other", "n1").code == "NicInUse"
    assert machine(net, "other", "none").code == "NetworkInterfaceNotFound"
    assert machine(net, "other").code == "InvalidParameter"
    assert net.send("DELETE", path).status == 202
    net.site.ask("finish", None)
    assert "virtualMachine" not in net.get(net.path(NIC, "n1")).document["properties"]
    assert net.send("DELETE", net.path(NIC, "n1")).status == 202
    assert net.get(net.path(NIC, "n1")).status == 404


def test_power_states_are_in_the_instance_view_alone(net: Wire) -> None:
    nic(net, "n1", configuration(net))
    machine(net, "vm", "n1")
    net.site.ask("finish", None)
    path = net.path("virtualMachines", "vm", "Microsoft.Compute")
    assert net.send("POST", f"{path}/deallocate").status == 202
    assert "instanceView" not in net.get(path).document["properties"]
    view = net.get(f"{path}?api-version=2024-07-01&$expand=instanceView").document["properties"]["instanceView"]
    assert view["statuses"][1]["code"] == "PowerState/deallocated"
    assert net.get(f"{path}/instanceView").document == view
    listed = net.get(net.everywhere("virtualMachines", "Microsoft.Compute") + "?api-version=2024-07-01&statusOnly=true").document["value"]
    assert listed[0]["properties"]["instanceView"] == view
    assert net.send("POST", f"{path}/dance").status == 404


def test_effective_groups_of_running_machines(net: Wire) -> None:
    nic(net, "n1", configuration(net), networkSecurityGroup={"id": net.path(NSG, "one")})
    path = net.path(NIC, "n1/effectiveNetworkSecurityGroups")
    refused = net.send("POST", path)
    assert refused.code == "NicMustBeAttachedToRunningVmToGetEffectiveSecurityGroups"
    assert refused.message.endswith(f"The network interface {net.path(NIC, 'n1')} is not attached to a running virtual machine.")
    machine(net, "vm", "n1")
    net.done(net.path(NSG, "one"), {"securityRules": [rule("a", 100)]})
    found = net.send("POST", path).document["value"]
    assert [each["association"] for each in found] == [{"networkInterface": {"id": net.path(NIC, "n1")}}]
    assert [each["name"] for each in found[0]["effectiveSecurityRules"]][:2] == ["securityRules/a", "defaultSecurityRules/AllowVnetInBound"]
    net.send("POST", net.path("virtualMachines", "vm/deallocate", "Microsoft.Compute"))
    assert net.send("POST", path).status == 400


def test_networks_that_overlap_are_not_peered(net: Wire) -> None:
    net.done(net.path(NET, "other"), {"addressSpace": {"addressPrefixes": ["10.51.0.0/16", "10.50.128.0/24"]}})
    there = {"remoteVirtualNetwork": {"id": net.path(NET, "other")}}
    assert net.put(net.path(NET, "net/virtualNetworkPeerings/p"), there, location=None).code == "VnetAddressSpacesOverlap"


def test_interfaces_of_scale_sets_are_in_no_other_list(net: Wire) -> None:
    template = {
        "name": "nic",
        "properties": {"ipConfigurations": [configuration(net)], "networkSecurityGroup": {"id": net.path(NSG, "one")}},
    }
    profile = {"networkProfile": {"networkInterfaceConfigurations": [template]}}
    path = net.path("virtualMachineScaleSets", "set", "Microsoft.Compute")
    net.done(path, {"virtualMachineProfile": profile}, beside={"sku": {"name": "Standard_B2s", "capacity": 3}})
    assert net.get(net.everywhere(NIC)).document["value"] == []
    found = net.everything(f"{path}/networkInterfaces")
    assert [each["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"] for each in found] == [
        "10.50.0.4",
        "10.50.0.5",
        "10.50.0.6",
    ]
    assert [each["properties"]["virtualMachine"]["id"] for each in found] == [f"{path}/virtualMachines/{number}" for number in range(3)]
    assert len(net.everything(f"{path}/virtualMachines/1/networkInterfaces")) == 1
    assert [each["instanceId"] for each in net.everything(f"{path}/virtualMachines")] == ["0", "1", "2"]
    assert net.get(f"{path}/virtualMachines/1").document["properties"]["networkProfile"]["networkInterfaces"][0]["id"] == found[1]["id"]
    assert net.get(f"{path}/virtualMachines/7").status == net.get(f"{path}/virtualMachines/7/networkInterfaces/nic").status == 404
    assert net.get(f"{path}/virtualMachines/1/networkInterfaces/nic").status == 200
    assert len(net.get(net.path(NSG, "one")).document["properties"]["networkInterfaces"]) == 3
    net.done(path, {"virtualMachineProfile": profile}, beside={"sku": {"name": "Standard_B2s", "capacity": 1}})
    assert len(net.everything(f"{path}/networkInterfaces")) == 1
    net.send("DELETE", path)
    net.site.ask("finish", None)
    assert net.send("DELETE", net.path(NSG, "one")).status == 202


def test_groups_of_resources_come_and_go_with_what_is_in_them(net: Wire) -> None:
    subscription = net.site.section()["subscription"]
    path = f"/subscriptions/{subscription}/resourceGroups/other"
    inside = f"{path}/providers/Microsoft.Network/networkSecurityGroups/x"
    assert net.put(inside, {}).code == "ResourceGroupNotFound"
    assert net.send("PUT", path, {}).code == "LocationRequired"
    assert net.send("PUT", path, {"location": "westeurope"}).status == 201
    assert net.put(inside, {}).status == 201
    assert len(net.everything(net.everywhere(NSG))) == 2
    assert len(net.everything(net.path(NSG))) == 1
    assert net.send("DELETE", path).status == 202
    assert net.get(inside).code == "ResourceGroupNotFound"
    assert len(net.everything(net.everywhere(NSG))) == 1
    assert (
        net.get("/subscriptions/00000000-0000-0000-0000-000000000000/providers/Microsoft.Network/networkInterfaces").code
        == "SubscriptionNotFound"
    )


def test_public_addresses(net: Wire) -> None:
    made = net.put(net.path("publicIPAddresses", "ip"), {"publicIPAllocationMethod": "Static"}, beside={"sku": {"name": "Standard"}})
    assert made.document["properties"]["ipAddress"] == "198.19.0.1"
    public: Any = {"publicIPAddress": {"id": net.path("publicIPAddresses", "ip")}}
    assert nic(net, "n1", configuration(net, **public)).status == 201
    assert net.send("DELETE", net.path("publicIPAddresses", "ip")).code == "PublicIPAddressCannotBeDeleted"
    nic(net, "n1", configuration(net))
    assert net.send("DELETE", net.path("publicIPAddresses", "ip")).status == 202

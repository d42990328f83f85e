"""Terraform states: what is Terraform's on each platform, under which names, and that nothing else of a state is kept."""

from __future__ import annotations

import json
from dataclasses import astuple
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudsync.inventory import terraform
from cloudsync.inventory.terraform import TerraformState, by_address, read_state
from cloudsync.inventory.terraform_kinds import MACHINES, OWNED
from cloudsync.model.address import AddressSet

Json = dict[str, Any]
PRIVATE = "of-nobodys-business"
AZURE = "/subscriptions/5b6c/resourceGroups/Net/providers/Microsoft.Network"


def instance(key: object = None, deposed: str = "", **attributes: Any) -> Json:
    """Return one instance; every state has something secret in it."""
    found: Json = {"schema_version": 1, "attributes": {"password": PRIVATE, **attributes}, "private": PRIVATE}
    found |= {"index_key": key} if key is not None else {}
    return found | ({"deposed": deposed} if deposed else {})


def resource(kind: str, *instances: Json, name: str = "web", module: str = "", mode: str = "managed") -> Json:
    found: Json = {"mode": mode, "type": kind, "name": name, "provider": "x", "instances": list(instances)}
    return {"module": module, **found} if module else found


def read(*resources: Json) -> TerraformState:
    content = json.dumps({"version": 4, "outputs": {"db": {"value": PRIVATE}}, "resources": list(resources)}).encode()
    state, findings = read_state("net.tfstate", content)
    assert state is not None, findings
    assert PRIVATE not in repr((state, findings))
    return state


CASES: list[tuple[str, Json, tuple[str, str, tuple[str, ...], str, str]]] = [
    ("aws_security_group", {"id": "sg-0AB", "owner_id": "111122223333"}, ("aws", "111122223333", ("sg-0ab",), "", "")),
    ("aws_default_security_group", {"id": "sg-1", "arn": "arn:aws:ec2:us-east-1:1:security-group/sg-1"}, ("aws", "1", ("sg-1",), "", "")),
    ("aws_ec2_managed_prefix_list", {"id": "pl-1", "owner_id": "1"}, ("aws", "1", ("pl-1",), "", "")),
    ("aws_security_group_rule", {"id": "sgrule-77", "security_group_id": "sg-1"}, ("aws", "", ("sg-1",), "?", "")),
    (
        "aws_security_group_rule",
        {"id": "sgrule-77", "security_group_id": "sg-1", "security_group_rule_id": "sgr-9"},
        ("aws", "", ("sg-1",), "sgr-9", ""),
    ),
    (
        "aws_vpc_security_group_ingress_rule",
        {"id": "sgr-9", "security_group_id": "sg-1", "arn": "arn:aws:ec2:us-east-1:1:security-group-rule/sgr-9"},
        ("aws", "1", ("sg-1",), "sgr-9", ""),
    ),
    ("aws_vpc_security_group_egress_rule", {"id": "sgr-9", "security_group_id": "sg-1"}, ("aws", "", ("sg-1",), "sgr-9", "")),
    (
        "aws_network_interface_sg_attachment",
        {"id": "sg-1_eni-2", "security_group_id": "sg-1", "network_interface_id": "eni-2"},
        ("aws", "", ("sg-1",), "", "eni-2"),
    ),
    ("google_compute_firewall", {"name": "allow-web", "project": "acme"}, ("gcp", "acme", ("allow-web",), "", "")),
    (
        "google_compute_firewall",
        {"name": "allow-web", "id": "projects/acme/global/firewalls/allow-web"},
        ("gcp", "acme", ("allow-web",), "", ""),
    ),
    (
        "azurerm_network_security_group",
        {"id": f"{AZURE}/networkSecurityGroups/Web"},
        ("azure", "5b6c", (f"{AZURE}/networkSecurityGroups/Web".lower(), "net/web"), "", ""),
    ),
    (
        "azurerm_application_security_group",
        {"id": f"{AZURE}/applicationSecurityGroups/web"},
        ("azure", "5b6c", (f"{AZURE}/applicationSecurityGroups/web".lower(), "net/web"), "", ""),
    ),
    (
        "azurerm_network_security_rule",
        {"id": f"{AZURE}/networkSecurityGroups/Web/securityRules/In"},
        ("azure", "5b6c", (f"{AZURE}/networkSecurityGroups/Web".lower(), "net/web"), "In", ""),
    ),
    (
        "bigip_ltm_virtual_server",
        {"name": "/Common/vs_web", "firewall_enforced_policy": "/Common/afm"},
        ("f5", "", ("/common/afm",), "", "/common/vs_web"),
    ),
]


@pytest.mark.parametrize(("kind", "attributes", "wanted"), CASES)
def test_each_kind_is_read_as_the_platform_names_it(kind: str, attributes: Json, wanted: tuple[Any, ...]) -> None:
    [one] = read(resource(kind, instance(**attributes))).owned
    platform, account, objects, rule, at = wanted
    assert (one.platform, one.account, set(one.objects), one.rule, one.at) == (platform, account, set(objects), rule, at)
    assert one.address == f"{kind}.web"
    assert one.whole is (not rule and not at)


def test_every_kind_has_a_case() -> None:
    assert {kind for kind, _, _ in CASES} == set(OWNED)


def test_addresses_are_written_as_terraform_writes_them() -> None:
    made = [instance(0, id="sg-1"), instance('a"b', id="sg-2"), instance(id="sg-3"), instance(deposed="07ab", id="sg-4")]
    state = read(resource("aws_security_group", *made, module='module.net["eu"].module.deep'))
    base = 'module.net["eu"].module.deep.aws_security_group.web'
    assert {one.address for one in state.owned} == {f"{base}[0]", f'{base}["a\\"b"]', base, f"{base} (deposed)"}


def test_an_address_is_one_inert_line() -> None:
    state = read(resource("aws_security_group", instance("x\ny", id="sg-1"), name="web\n\x1b[31mREFUSED", module="module.a\u202eb"))
    [one] = state.owned
    assert one.address == 'module.a\\u202eb.aws_security_group.web\\x0a\\x1b[31mREFUSED["x\\ny"]'


def test_what_is_only_looked_up_is_not_owned() -> None:
    state = read(resource("aws_security_group", instance(id="sg-1"), mode="data"), resource("aws_vpc", instance(id="vpc-1")))
    assert state.owned == ()


def test_a_virtual_server_without_a_policy_is_no_matter_of_firewalls() -> None:
    content = {"version": 4, "resources": [resource("bigip_ltm_virtual_server", instance(name="/Common/vs"))]}
    state, findings = read_state("x", json.dumps(content).encode())
    assert state is not None
    assert state.owned == ()
    assert findings == ()


def test_machines_have_addresses_tags_and_accounts() -> None:
    aws = instance(
        id="i-1", arn="arn:aws:ec2:us-east-1:1:instance/i-1", private_ip="10.0.0.1", public_ip="192.0.2.1",
        ipv6_addresses=["2001:db8::1"], tags={"Name": "web-1", "Role": "web"}, tags_all={"Name": "web-1", "Role": "web", "Env": "prod"},
        user_data=PRIVATE,
    )  # fmt: skip
    card = {"network_ip": "10.1.0.1", "access_config": [{"nat_ip": "192.0.2.2"}], "ipv6_access_config": [{"external_ipv6": "2001:db8::2"}]}
    gcp = instance(
        id="projects/acme/zones/z/instances/vm", name="vm", network_interface=[card], labels={"role": "db"}, metadata={"k": PRIVATE}
    )
    vm = "/subscriptions/5b6c/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm2"
    azure = instance(id=vm, name="vm2", private_ip_addresses=["10.2.0.1"], public_ip_addresses=[], admin_password=PRIVATE, tags=None)
    state = read(
        resource("aws_instance", aws), resource("google_compute_instance", gcp), resource("azurerm_linux_virtual_machine", azure)
    )  # fmt: skip
    one, two, three = state.machines
    assert (one.platform, one.account, one.name) == ("aws", "1", "web-1")
    assert one.addresses == AddressSet.of("10.0.0.1", "192.0.2.1", "2001:db8::1")
    assert dict(one.tags) == {"Name": "web-1", "Role": "web", "Env": "prod"}
    assert (two.platform, two.account, two.tags, two.addresses.size) == ("azure", "5b6c", (), 1)
    assert (three.platform, three.account, three.addresses) == ("gcp", "acme", AddressSet.of("10.1.0.1", "192.0.2.2", "2001:db8::2"))


def test_a_file_over_the_limit_and_one_nested_too_deeply_are_findings() -> None:
    for content in (b" " * (terraform.MAX_BYTES + 1), b'{"version": 4, "resources": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"):
        state, [finding] = read_state("x", content)
        assert state is None
        assert finding.code in {"TOO-BIG", "STATE-FORMAT"}
        assert len(str(finding)) < 300


def test_the_same_state_in_two_files_counts_once() -> None:
    state = read(resource("aws_security_group", instance(id="sg-1")))
    assert by_address([state, state]) == state.owned


NAMES = ["id", "name", "mode", "type", "module", "instances", "attributes", "tags", "network_interface", "private_ip"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.sampled_from(NAMES), one, max_size=4),
    max_leaves=12,
)


@given(ANYTHING, st.sampled_from(sorted({*OWNED, *MACHINES})))
def test_whatever_stands_in_a_state_gives_values_or_findings(value: object, kind: str) -> None:
    shapes = [value, {"mode": "managed", "type": kind, "name": "a", "instances": value},
              {"mode": "managed", "type": kind, "name": "a", "instances": [{"attributes": value}]}]  # fmt: skip
    state, findings = read_state("x", json.dumps({"version": 4, "resources": shapes}).encode())
    assert state is not None or findings
    if state is not None:
        assert all(isinstance(one, tuple | str | AddressSet) for owned in state.owned for one in astuple(owned))

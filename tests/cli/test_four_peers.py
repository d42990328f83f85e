"""Flows from one platform to another: members that come, change and go, addresses that two clouds use, packets followed on their way."""

from __future__ import annotations

from tests.cli.four import Four, Json

ZONE = "/compute/v1/projects/acme-net/zones/europe-west1-b/instances"
WEB = {"role": "web", "app": "ordering", "env": "prod"}
FULL = "{scope: env=prod, mode: full}"


def machine(four: Four, name: str, address: str, labels: Json) -> None:
    """Start a machine in GCP's network prod."""
    like = four.act("gcp", "GET", f"{ZONE}/ordering-web-1")
    nic = {key: like["networkInterfaces"][0][key] for key in ("network", "subnetwork")} | {"networkIP": address}
    four.act("gcp", "POST", ZONE, {"name": name, "machineType": like["machineType"], "labels": labels, "networkInterfaces": [nic]})


def entries(four: Four) -> set[str]:
    """Return the addresses of every address list of ours on the F5."""
    lists = four.act("f5", "GET", "/mgmt/tm/security/firewall/address-list")["items"]
    return {entry["name"] for one in lists if one["name"].startswith("cs_") for entry in one.get("addresses", ())}


def test_a_member_in_an_observed_cloud_changes_one_list_on_the_f5_and_goes_after_two_runs(four: Four) -> None:
    four.settings(four.target("f5", "exclusive"), four.target("gcp", "observe"))
    four.policy("allow role=web to role=lb on tcp/443", enforced=FULL)
    four.converge()
    assert " added: " not in four.run("plan", code=0).out
    machine(four, "ordering-web-9", "10.40.0.77", WEB)
    four.forget()
    assert "ordering-web-9" in four.run("apply", "--yes", code=0).out
    writes = four.writes("f5")
    assert writes["PATCH security/firewall/address-list"] == writes["COMMIT transaction"] == 1
    assert not {"POST security/firewall/policy", "PATCH ltm/virtual"} & writes.keys()
    assert four.passes("f5", "10.40.0.77", "192.0.2.10", "tcp", 443)
    assert " added: " not in four.run("plan", code=0).out
    four.act("gcp", "DELETE", f"{ZONE}/ordering-web-9")
    four.run("apply", "--yes", code=0)
    assert "10.40.0.77" in entries(four), "missing once is not gone"
    assert "ordering-web-9" in four.run("apply", "--yes", code=0).out
    assert "10.40.0.77" not in entries(four)


def test_one_machine_more_costs_gcp_an_insert_and_a_delete_for_each_rule_that_changes(four: Four) -> None:
    four.settings(four.target("gcp", "exclusive"))
    four.policy("allow iplist office to role=web on tcp/443", "allow role=web to role=app on tcp/8443", enforced=FULL)
    four.converge()
    four.forget()
    four.run("plan", code=0)
    reads = four.calls("gcp")
    machine(four, "ordering-web-9", "10.40.0.77", WEB)
    four.forget()
    four.converge()
    assert four.writes("gcp") == {"firewalls.insert": 3, "firewalls.delete": 3}  # to it, from it, and its default
    assert four.passes("gcp", "203.0.113.70", "10.40.0.77", "tcp", 443)
    assert four.passes("gcp", "10.40.0.77", "10.40.0.32", "tcp", 8443)
    four.forget()
    four.run("plan", code=0)
    assert four.calls("gcp") == reads, "reads do not grow with rules"


def test_one_sentence_opens_the_way_over_four_platforms_and_explain_follows_it(four: Four) -> None:
    four.settings(*(four.target(name, "exclusive") for name in ("aws", "gcp", "azure", "f5")))
    four.policy(
        "allow iplist office to role=lb on tcp/443", "allow role=lb to role=web on tcp/443", "allow role=web to role=app on tcp/8443",
        "never allow iplist partner to role=web on any service", enforced=FULL,
    )  # fmt: skip
    four.converge()
    four.settled()
    assert four.passes("f5", "203.0.113.70", "192.0.2.10", "tcp", 443)
    way = four.lab.control.ask("verdict", {"src": "203.0.113.70", "dst": "192.0.2.10", "protocol": "tcp", "port": 443}, site="f5")
    assert way["members"] == ["10.40.0.11:443", "10.40.0.12:443"]
    for source in way["forwarded_from"]:
        if source.startswith("10.60."):
            assert four.passes("gcp", source, "10.40.0.11", "tcp", 443), source
    assert four.passes("azure", "10.40.0.11", "10.50.2.11", "tcp", 8443)
    assert not four.passes("azure", "10.40.0.21", "10.50.2.11", "tcp", 8443)
    assert not four.passes("gcp", "198.51.100.200", "10.40.0.11", "tcp", 443)
    told = four.run("explain", "vs_ordering_https", "gcp/ordering-web-1", "tcp/443", code=0).out
    assert "f5 egress" in told
    assert "gcp ingress" in told
    assert "ALLOWED now" in told
    assert "r#2" in told
    told = four.run("explain", "gcp/ordering-web-1", "ordering-app-1", "tcp/8443", code=0).out
    assert "gcp egress" in told
    assert "subnet NSG nsg-app-prod" in told
    assert "r#3" in told
    told = four.run("explain", "198.51.100.200", "gcp/ordering-web-1", "tcp/443", code=0).out
    assert "BLOCKED now" in told
    assert "forbidden by r#4" in told


def test_what_the_platform_needs_is_always_open_and_said_to_be(four: Four) -> None:
    four.settings(four.target("azure", "exclusive"))
    four.policy("never allow anywhere to role=db on any service", "allow iplist office to role=web on icmp/8 any-type ok", enforced=FULL)
    four.converge()
    assert four.passes("azure", "168.63.129.16", "10.50.3.11", "tcp", 5432)
    told = four.run("explain", "168.63.129.16", "payments-db-1", "tcp/5432", code=0).out
    assert "always open" in told, told
    assert "next apply" not in told, told
    told = four.run("explain", "203.0.113.70", "ordering-web-1", "icmp", code=0).out
    assert "ALLOWED now" in told, told
    assert "next apply" not in told, told
    told = four.run("doctor", code=0).out
    assert "always open: 168.63.129.16: load balancer probes" in told, told


def test_two_clouds_that_use_the_same_addresses_are_kept_apart_by_routing_domains(four: Four) -> None:
    machine(four, "twin-app", "10.40.0.99", {"role": "app", "app": "ordering", "env": "prod"})
    (four.root / "inventory").mkdir()
    static = "workloads:\n  - {name: branch-web, addresses: [10.40.0.99], labels: {role: web, app: ordering, env: prod}, domain: branch}\n"
    (four.root / "inventory" / "static.yaml").write_text(static, encoding="utf-8")
    domains = "routing_domains:\n  - {name: branch, members: [branch]}\n"
    four.settings(four.target("gcp", "exclusive"), four.target("azure", "exclusive"), more=domains)
    four.policy("allow role=web to role=app on tcp/8443", enforced=FULL)
    ran = four.converge()
    assert "DUPLICATE-ADDRESS" not in ran.out + ran.err
    assert not four.passes("gcp", "10.40.0.99", "10.40.0.32", "tcp", 8443), "the branch's private address means nobody here"
    assert not four.passes("azure", "10.40.0.99", "10.50.2.11", "tcp", 8443)
    assert four.passes("azure", "10.40.0.11", "10.50.2.11", "tcp", 8443)
    four.settled()

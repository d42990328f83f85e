"""Settings that name what is not there, credentials that do not fit, limits that are reached: told by name, and nothing is written."""

from __future__ import annotations

import pytest

from tests.cli.four import Four

NOWHERE = "5c0d5e9a-0b7e-4c55-9d10-3f1c5a2b7e99"


@pytest.mark.parametrize(
    ("site", "wrong", "code", "said"),
    [
        ("gcp", {"project": "no-such-project"}, 5, "GET projects/no-such-project failed: notFound"),
        ("gcp", {"networks": "[no-such-network]"}, 5, "networks/no-such-network' was not found"),
        ("gcp", {"service_projects": "[no-such-project]"}, 5, "projects/no-such-project' was not found"),
        ("gcp", {"endpoint": "http://127.0.0.1:1"}, 5, "no connection to 127.0.0.1:1"),
        ("gcp", {"endpoint": "http://10.0.0.1:80"}, 3, "BAD-ENDPOINT"),
        ("azure", {"subscription": NOWHERE}, 5, f"The subscription '{NOWHERE}' could not be found"),
        ("azure", {"tenant": NOWHERE}, 5, f"settings say {NOWHERE}"),
        ("azure", {"nsgs": "[no-such-nsg]"}, 5, "no network security group no-such-nsg of the settings"),
        ("azure", {"resource_groups": "[no-such-group]"}, 0, "lies in resource group no-such-group of the settings"),
        ("f5", {"device_group": "no-such-group"}, 4, "G-IDENTITY expected account no-such-group, got dg-failover"),
        ("f5", {"ca_file": "/no/such/ca.pem"}, 3, "ca_file /no/such/ca.pem is not there"),
    ],
)
def test_a_place_that_is_not_there_is_told_by_name(four: Four, site: str, wrong: dict[str, str], code: int, said: str) -> None:
    four.settings(four.target(site, "exclusive", **wrong))
    four.policy("allow iplist office to role=web, role=lb on tcp/443", enforced="{scope: env=prod, mode: full}")
    four.forget()
    ran = four.run("apply", "--yes", code=code)
    assert said in ran.out + ran.err, str(ran)
    assert four.writes() == {}


@pytest.mark.parametrize(
    ("site", "variables", "said"),
    [
        ("gcp", {"GOOGLE_APPLICATION_CREDENTIALS": "/no/such/key.json"}, "/no/such/key.json was not found"),
        ("azure", {"AZURE_CLIENT_SECRET": "wrong"}, "Invalid client secret provided"),
        ("f5", {"F5_PASSWORD": "wrong"}, "401: Authentication failed"),
        ("f5", {"F5_PASSWORD": ""}, "F5_PASSWORD is not set; the settings say env:F5_PASSWORD"),
    ],
)
def test_credentials_that_do_not_fit_are_told_and_the_secret_is_not(four: Four, site: str, variables: dict[str, str], said: str) -> None:
    four.settings(four.target(site, "exclusive"))
    four.policy("allow iplist office to role=web, role=lb on tcp/443", enforced="{scope: env=prod, mode: full}")
    ran = four.run("plan", code=5, **variables)
    assert said in ran.out + ran.err, str(ran)
    secrets = [four.exports["AZURE_CLIENT_SECRET"], four.exports["F5_PASSWORD"], four.lab.state.as_json()["gcp"]["access_token"]]
    assert not [secret for secret in secrets if secret in ran.out + ran.err]


def test_a_reading_role_is_told_what_it_lacks_and_writes_nothing(four: Four) -> None:
    reader = four.lab.state.as_json()["azure"]["principals"]["reader"]
    azure = {"AZURE_CLIENT_ID": reader["client_id"], "AZURE_CLIENT_SECRET": reader["client_secret"]}
    f5 = {"F5_USER": "reader", "F5_PASSWORD": four.lab.state.as_json()["f5"][0]["users"]["reader"]["password"]}
    four.policy("allow iplist office to role=web, role=lb on tcp/443", enforced="{scope: env=prod, mode: full}")
    for site, variables, lacks in (("azure", azure, "Microsoft.Network/networkSecurityGroups/write"), ("f5", f5, "role auditor")):
        four.settings(four.target(site, "exclusive"))
        before = four.foreign(site)
        told = four.run("doctor", code=5, **variables).out
        assert [line for line in told.splitlines() if line.startswith("NOT") and lacks in line and f"cloudsync iam {site}" in line], told
        four.run("plan", code=2, **variables)
        four.run("apply", "--yes", code=5, **variables)
        assert four.foreign(site) == before


@pytest.mark.parametrize(
    ("site", "limit", "said"),
    [
        ("gcp", {"quotas": "{firewalls: 20}"}, "quota FIREWALLS allows 20"),
        ("azure", {"quotas": "{rules_per_nsg: 2}"}, "2 are allowed"),
        ("f5", {"quotas": "{rules_per_policy: 1}"}, "rules_per_policy allows 1"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_numbers(four: Four, site: str, limit: dict[str, str], said: str) -> None:
    four.settings(four.target(site, "exclusive", **limit))
    four.policy("allow iplist office to role=web, role=lb on tcp/443, tcp/80", enforced="{scope: env=prod, mode: full}")
    four.forget()
    ran = four.run("apply", "--yes", code=4)
    assert "G-QUOTA" in ran.out, str(ran)
    assert said in ran.out, str(ran)
    assert four.writes() == {}

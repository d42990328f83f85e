"""`cloudsync export terraform`: everything of ours on four platforms, and nothing of others, as configuration that Terraform takes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cloudsync.report.terraform import Holding, modules
from tests.cli.four import Four
from tests.cli.shell import Repository
from tests.cli.stage import Stage, staged, tcp
from tests.cli.test_cli_terraform import RULES, estate, resource, state

Json = Any
NEEDED = {
    "aws_security_group": {"name", "vpc_id"},
    "aws_ec2_managed_prefix_list": {"name", "address_family", "max_entries"},
    "google_compute_firewall": {"name", "network", "project", "direction", "priority"},
    "azurerm_network_security_rule": {
        *("name", "resource_group_name", "network_security_group_name", "priority", "direction", "access", "protocol"),
    },
    "azurerm_application_security_group": {"name", "resource_group_name", "location"},
}
"""What the providers' pages call required, or what names the object."""


def checked(document: Mapping[str, Json]) -> Iterator[tuple[str, str, Mapping[str, Json]]]:
    """Yield type, id and arguments of every import; every import has its resource and the other way round."""
    assert set(document) == {"//", "terraform", "import", "resource"}
    assert document["terraform"] == {"required_version": ">= 1.5"}
    seen = []
    for block in document["import"]:
        assert set(block) == {"to", "id"}
        kind, _, label = block["to"].partition(".")
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", label), label
        arguments = document["resource"][kind][label]
        assert set(arguments) >= NEEDED[kind]
        assert arguments["lifecycle"] == {"ignore_changes": "all", "prevent_destroy": True}
        seen.append((kind, label))
        yield kind, block["id"], arguments
    assert len(set(seen)) == len(seen)
    assert set(seen) == {(kind, label) for kind, listed in document["resource"].items() for label in listed}


@pytest.fixture(scope="module")
def lab_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("export")) as found:
        yield found


def test_the_groups_of_aws_are_all_there_and_only_ours(lab_stage: Stage, tmp_path: Path) -> None:
    stage = lab_stage
    stage.clear()
    estate(stage)
    stage.settings()
    stage.policy(RULES)
    stage.converge()
    stage.forget()
    ran = stage.run("export", "terraform", code=0)
    assert stage.writes() == {}
    found = {ref: arguments for kind, ref, arguments in checked(json.loads(ran.out)) if kind == "aws_security_group"}
    assert set(found) == set(stage.ours())
    for ref, arguments in found.items():
        raw = stage.ours()[ref]
        assert (arguments["name"], arguments["vpc_id"]) == (raw["GroupName"], raw["VpcId"])
    assert stage.run("export", "terraform", code=0).out == ran.out
    out = tmp_path / "tf"
    stage.run("export", "terraform", "-o", str(out), code=0)
    [made] = out.rglob("*.tf.json")
    assert made.relative_to(out).as_posix() == f"aws/{stage.region}/cloudsync.tf.json"
    assert made.read_text(encoding="utf-8") == ran.out
    assert made.stat().st_mode & 0o777 == 0o600
    assert stage.run("history", code=0).out.count("export") == 0


def test_nothing_is_written_when_a_target_was_not_read(lab_stage: Stage, tmp_path: Path) -> None:
    stage = lab_stage
    stage.clear()
    estate(stage)
    stage.settings()
    stage.policy(RULES)
    stage.converge()
    settings = stage.root / "cloudsync.yaml"
    settings.write_text(settings.read_text(encoding="utf-8").replace(stage.lab.endpoint, "http://127.0.0.1:9"), encoding="utf-8")
    ran = stage.run("export", "terraform", "-o", str(tmp_path / "tf"), code=5)
    assert "aws: read failed" in ran.err
    assert not list((tmp_path / "tf").rglob("*"))


def test_what_was_handed_over_is_let_go(lab_stage: Stage) -> None:
    """The whole way: exported, imported there, its state named here."""
    stage = lab_stage
    stage.clear()
    estate(stage)
    stage.settings()
    stage.policy(RULES)
    stage.converge()
    document = json.loads(stage.run("export", "terraform", code=0).out)
    taken = [resource(kind, label, id=block["id"]) for block in document["import"] for kind, _, label in [block["to"].partition(".")]]
    (stage.root / "net.tfstate").write_text(state(*taken), encoding="utf-8")
    stage.settings(more="terraform: [{name: net, state: net.tfstate}]\n")
    stage.run("apply", "--yes", code=0)
    ours = next(iter(stage.ours()))
    stage.ec2.authorize_security_group_ingress(GroupId=ours, IpPermissions=[tcp(3389, "0.0.0.0/0")])
    assert "TERRAFORM" in stage.run("apply", "--yes", code=4).out


@pytest.mark.parametrize("site", ["gcp", "azure", "f5"])
def test_the_other_platforms(four: Four, site: str) -> None:
    front = {"gcp": "web", "azure": "app", "f5": "lb"}[site]
    four.settings(four.target(site, "exclusive"))
    four.policy(f"allow iplist office to role={front} on tcp/443", enforced="{scope: env=prod, mode: full}")
    foreign = set(four.foreign(site))
    four.converge()
    ran = four.run("export", "terraform", "--json", code=0)
    document = json.loads(ran.out)
    if site == "f5":
        assert document["files"] == []
        assert "f5: Terraform has no resource" in document["left_out"][0]
        return
    [one] = document["files"]
    assert one["path"] == f"{site}/cloudsync.tf.json"
    found = list(checked(json.loads(one["content"])))
    assert one["imports"] == len(found) > 0
    names = {arguments["name"] for _, _, arguments in found}
    assert names.isdisjoint({name.rpartition("/")[2] for name in foreign})
    if site == "gcp":
        listed = four.act(site, "GET", "/compute/v1/projects/acme-net/global/firewalls")["items"]
        assert names == {rule["name"] for rule in listed if rule["name"].startswith("cs-")}
        assert all(ref == f"projects/acme-net/global/firewalls/{arguments['name']}" for _, ref, arguments in found)
        assert all(("allow" in arguments) is not ("deny" in arguments) for _, _, arguments in found)
    else:
        azure = four.lab.state.as_json()["azure"]
        groups = f"/subscriptions/{azure['subscription']}/resourceGroups/{azure['resource_group']}/providers/Microsoft.Network"
        listed = four.act(site, "GET", f"{groups}/networkSecurityGroups")["value"]
        ours = {rule["id"].lower() for nsg in listed for rule in nsg["properties"]["securityRules"] if rule["name"].startswith("cs-")}
        assert {ref.lower() for kind, ref, _ in found if kind == "azurerm_network_security_rule"} == ours


def test_several_provider_configurations_need_a_folder(repository: Repository) -> None:
    assert repository.run("export").code == 3
    assert repository.run("export", "pulumi").code == 3


def held(**table: Json) -> Holding:
    return Holding("aws-prod", "aws", "1", "acme", {"groups": [], "lists": [], **table}, frozenset())


def test_names_that_are_alike_or_templates_for_terraform_stay_apart_and_inert() -> None:
    group = {"scope": "1/us-east-1", "vpc": "vpc-1", "mark": "acme/c/0"}
    groups = [{**group, "name": name, "id": f"sg-{number}"} for number, name in enumerate(("a b", "a_b", "${file(x)}", "%{if}", "9", "!"))]
    [module], _ = modules([held(groups=groups)])
    found = {ref: arguments["name"] for _, ref, arguments in checked(json.loads(module.text))}
    assert found == {"sg-0": "a b", "sg-1": "a_b", "sg-2": "$${file(x)}", "sg-3": "%%{if}", "sg-4": "9", "sg-5": "!"}


def test_regions_are_folders_and_the_order_of_reading_is_nothing() -> None:
    groups = [
        {"scope": f"1/{region}", "vpc": "vpc-1", "mark": "acme/c/0", "name": f"g{number}", "id": f"sg-{number}"}
        for number, region in enumerate(("us-east-1", "eu-west-1", "us-east-1"))
    ]
    made, _ = modules([held(groups=groups)])
    assert [(one.folder, one.imports) for one in made] == [("aws-prod/eu-west-1", 1), ("aws-prod/us-east-1", 2)]
    assert modules([held(groups=groups[::-1])])[0] == made


def test_groups_of_another_owner_are_not_ours() -> None:
    group = {"scope": "1/us-east-1", "vpc": "vpc-1", "mark": "acme-test/c/0", "name": "g", "id": "sg-1"}
    assert modules([held(groups=[group, {**group, "mark": ""}])]) == ((), ())

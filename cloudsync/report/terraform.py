"""What is ours as Terraform's JSON configuration: an `import` block (Terraform 1.5 or newer) and a resource for each object. Pure.

The resources say what their providers ask for at least, or what they can say of a rule; `ignore_changes` keeps the first
`terraform apply` from changing anything, `prevent_destroy` from removing it. Sources: the providers' pages in the Terraform registry.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cloudsync.model.quick import dataclass

Json = Any
FILE = "cloudsync.tf.json"
NOTE = "Made by cloudsync export terraform. Whoever imports these owns them: put the state under terraform: in cloudsync.yaml."
LIFECYCLE = {"ignore_changes": "all", "prevent_destroy": True}


@dataclass(frozen=True, slots=True)
class Holding:
    """One target as it was read. `ours`: names of our objects, and `object/rule` of our rules in objects of others."""

    target: str
    platform: str
    account: str
    owner: str
    table: Mapping[str, Json]
    """As the adapter dumps it."""
    ours: frozenset[str]


@dataclass(frozen=True, slots=True)
class Piece:
    """One resource: its type, a name for it, the id to import, its arguments. `folder`: one provider configuration each."""

    folder: str
    kind: str
    name: str
    id: str
    arguments: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Module:
    """One file: the configuration of one folder."""

    folder: str
    imports: int
    text: str


def modules(holdings: Iterable[Holding]) -> tuple[tuple[Module, ...], tuple[str, ...]]:
    """Return the files, ordered by folder, and in words what Terraform has no resource for. Equal tables give equal files."""
    pieces: dict[str, list[Piece]] = {}
    left_out: list[str] = []
    for one in sorted(holdings, key=lambda each: each.target):
        if one.platform not in _PLATFORMS:
            left_out.append(f"{one.target}: Terraform has no resource for what {one.platform} enforces ({len(one.ours)} objects of ours)")
            continue
        for piece in _PLATFORMS[one.platform](one):
            pieces.setdefault(piece.folder, []).append(piece)
    return tuple(_module(folder, pieces[folder]) for folder in sorted(pieces)), tuple(left_out)


def _module(folder: str, pieces: list[Piece]) -> Module:
    named: dict[tuple[str, str], Piece] = {}
    for piece in sorted(pieces, key=lambda one: (one.kind, one.name, one.id)):
        label, number = _label(piece.name), 1
        while (piece.kind, label) in named:
            number += 1
            label = f"{_label(piece.name)}_{number}"
        named[piece.kind, label] = piece
    resources: dict[str, dict[str, Json]] = {}
    for (kind, label), piece in sorted(named.items()):
        resources.setdefault(kind, {})[label] = {**_plain(piece.arguments), "lifecycle": LIFECYCLE}
    imports = [{"to": f"{kind}.{label}", "id": _plain(piece.id)} for (kind, label), piece in sorted(named.items())]
    document = {"//": NOTE, "terraform": {"required_version": ">= 1.5"}, "import": imports, "resource": resources}
    return Module(folder, len(imports), json.dumps(document, indent=2, ensure_ascii=True) + "\n")


def _label(name: str) -> str:
    """Return a name as Terraform takes it: letters, digits, `_` and `-`, the first a letter."""
    found = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_") or "object"
    return found if found[0].isalpha() else f"cloudsync_{found}"


def _plain(value: Json) -> Json:
    """Return a value whose texts Terraform takes as they are: `${` and `%{` begin templates, in JSON as well."""
    if isinstance(value, str):
        return value.replace("${", "$${").replace("%{", "%%{")
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


# --- the platforms -------------------------------------------------------------------------------------------------------


def _aws(one: Holding) -> Iterator[Piece]:
    """Yield groups and prefix lists that carry our mark. A group's rules come with it: they are among its attributes."""
    for group in one.table["groups"]:
        if group["mark"].startswith(f"{one.owner}/"):
            arguments = {"name": group["name"], "vpc_id": group["vpc"]}
            yield Piece(_region(one, group), "aws_security_group", group["name"], group["id"], arguments)
    for found in one.table["lists"]:
        if found["mark"].startswith(f"{one.owner}/"):
            family = "IPv4" if str(found["family"]) in ("4", "IPv4") else "IPv6"
            arguments = {"name": found["name"], "address_family": family, "max_entries": found["weight"]}
            yield Piece(_region(one, found), "aws_ec2_managed_prefix_list", found["name"], found["id"], arguments)


def _region(one: Holding, thing: Mapping[str, Json]) -> str:
    """Return the folder of a scope `<account>/<region>`: a provider works in one Region."""
    return f"{one.target}/{thing['scope'].rpartition('/')[2]}"


def _gcp(one: Holding) -> Iterator[Piece]:
    """Yield firewall rules of ours, as they are enforced."""
    lists = {
        "sourceRanges": "source_ranges",
        "destinationRanges": "destination_ranges",
        "sourceTags": "source_tags",
        "targetTags": "target_tags",
        "sourceServiceAccounts": "source_service_accounts",
        "targetServiceAccounts": "target_service_accounts",
    }
    for rule in one.table["rules"]:
        if rule["name"] not in one.ours:
            continue
        plain = ("name", "description", "network", "direction", "priority", "disabled")
        arguments: dict[str, Json] = {"project": one.account, **{key: rule[key] for key in plain}}
        arguments |= {name: rule[key] for key, name in lists.items() if key in rule}
        for key, name in (("allowed", "allow"), ("denied", "deny")):
            if key in rule:
                arguments[name] = [{"protocol": each["IPProtocol"], "ports": each.get("ports", [])} for each in rule[key]]
        if rule["logConfig"].get("enable"):
            arguments["log_config"] = [{"metadata": rule["logConfig"].get("metadata", "INCLUDE_ALL_METADATA")}]
        yield Piece(
            one.target, "google_compute_firewall", rule["name"], f"projects/{one.account}/global/firewalls/{rule['name']}", arguments
        )


_AZURE_PLAIN = {
    "priority": "priority",
    "direction": "direction",
    "access": "access",
    "description": "description",
    "sourcePortRange": "source_port_range",
    "sourcePortRanges": "source_port_ranges",
    "destinationPortRange": "destination_port_range",
    "destinationPortRanges": "destination_port_ranges",
    "sourceAddressPrefix": "source_address_prefix",
    "sourceAddressPrefixes": "source_address_prefixes",
    "destinationAddressPrefix": "destination_address_prefix",
    "destinationAddressPrefixes": "destination_address_prefixes",
}


def _azure(one: Holding) -> Iterator[Piece]:
    """Yield rules of ours, each by itself, and application security groups of ours. The NSGs they stand in are somebody's already."""
    for nsg in one.table["nsgs"]:
        group, name = _group_and_name(nsg["id"])
        for rule in nsg["rules"]:
            if f"{group}/{name}/{rule['name']}".lower() not in one.ours:
                continue
            inner = rule["properties"]
            protocol = str(inner["protocol"]).capitalize()
            arguments = {"name": rule["name"], "resource_group_name": group, "network_security_group_name": name, "protocol": protocol}
            arguments |= {word: inner[key] for key, word in _AZURE_PLAIN.items() if inner.get(key) not in (None, "", [])}
            for end in ("source", "destination"):
                asgs = [each["id"] for each in inner.get(f"{end}ApplicationSecurityGroups", ())]
                arguments |= {f"{end}_application_security_group_ids": asgs} if asgs else {}
            ref = f"{nsg['id']}/securityRules/{rule['name']}"
            yield Piece(one.target, "azurerm_network_security_rule", f"{name}_{rule['name']}", ref, arguments)
    for ref, location, owner in one.table["asgs"]:
        if owner == one.owner:
            group, name = _group_and_name(ref)
            arguments = {"name": name, "resource_group_name": group, "location": location}
            yield Piece(one.target, "azurerm_application_security_group", name, ref, arguments)


def _group_and_name(ref: str) -> tuple[str, str]:
    """Return resource group and name of an Azure id, in the spelling it has there."""
    parts = ref.split("/")
    at = next((number for number, part in enumerate(parts[:-1]) if part.lower() == "resourcegroups"), len(parts) - 2)
    return parts[at + 1], parts[-1]


_PLATFORMS = {"aws": _aws, "azure": _azure, "gcp": _gcp}

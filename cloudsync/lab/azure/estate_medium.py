"""The estate `medium`: about a hundred machines of six applications in three environments, scale sets and what was left behind."""

from __future__ import annotations

from collections.abc import Iterator

from . import estate_four
from .estate import Machine, Rule, Works, labels

APPS = ("ordering", "payments", "crm", "billing", "search", "intranet")
_PROD = (("web", "web", 2), ("app", "app", 4), ("cache", "app", 1), ("db", "db", 1))
"""Role, subnet, how many for each application."""
_THIRD = {"web": 1, "app": 2, "db": 3}


def build(works: Works) -> None:
    """The networks of `four`, and more in them."""
    estate_four.networks(works)
    for machine in (*_prod(), *_rest(), *_odd()):
        works.launch(machine)
    works.scale_set("search-app-vmss", "vnet-prod/app", 5, labels("app", "search", "prod"))
    works.scale_set("billing-web-vmss", "vnet-prod/web", 3, labels("web", "billing", "prod"))
    estate_four.oddities(works)
    _left_behind(works)
    _second_subscription(works)


def _prod() -> Iterator[Machine]:
    for number, app in enumerate(APPS):
        place = 0
        for role, subnet, count in _PROD:
            for index in range(1, count + 1):
                place += 1
                host = 20 + number * 10 + place
                third = _THIRD[subnet]
                yield Machine(
                    f"{app}-{role}-{index}",
                    f"vnet-prod/{subnet}",
                    f"10.50.{third}.{host}",
                    _careless(labels(role, app, "prod"), app, role, index),
                    v6=f"fd00:50:0:1::{host}" if role == "web" else None,
                    public=role == "web" and index == 1,
                    stopped=(app, role, index) == ("intranet", "app", 4),
                )


def _careless(tags: tuple[tuple[str, str], ...], app: str, role: str, index: int) -> tuple[tuple[str, str], ...]:
    """A few have tags as people leave them."""
    match (app, role, index):
        case ("crm", "app", 3):
            return tuple(pair for pair in tags if pair[0] != "app")
        case ("billing", "app", 2):
            return tuple((key, "production" if key == "env" else value) for key, value in tags)
        case ("search", "web", 2):
            return tuple((key.upper(), value.title() if key == "role" else value) for key, value in tags)
    return tags


def _rest() -> Iterator[Machine]:
    for env, third, roles in (("test", 128, (("web", 1), ("app", 2), ("db", 1))), ("dev", 0, (("app", 1), ("db", 1)))):
        for number, app in enumerate(APPS):
            place = 0
            for role, count in roles:
                for index in range(1, count + 1):
                    place += 1
                    yield Machine(
                        f"{app}-{role}-{env}-{index}",
                        f"vnet-dev/{env}",
                        f"10.51.{third + number}.{10 + place}",
                        labels(role, app, env),
                        stopped=env == "dev" and app == "billing",
                    )


def _odd() -> Iterator[Machine]:
    for index in (1, 2):
        yield Machine(f"jump-{index}", "vnet-prod/ops", f"10.50.0.{9 + index}", labels("jump", "intranet", "prod"), public=index == 1)
    for index in range(1, 5):
        tags = (("aks-managed-poolName", "nodepool1"), ("env", "prod"))
        yield Machine(f"aks-nodepool1-{index}", "vnet-prod/aks", f"10.50.64.{10 + index}", tags, second=f"10.50.65.{10 + index}")
    yield Machine("legacy-ftp", "vnet-prod/legacy", "10.50.9.10", (("owner", "nobody"),), nsg="nsg-nic-legacy", public=True)
    for index in (1, 2):
        yield Machine(f"sandbox-{index}", "vnet-dev/dev", f"10.51.10.{10 + index}", (("owner", "dave"), ("env", "dev")))


def _second_subscription(works: Works) -> None:
    """A shared network of another subscription, peered with production."""
    away = works.beside("rg-shared")
    away.nsg("nsg-shared", (Rule("AllowPeers", 100, sources="VirtualNetwork", ports="389,636"),))
    away.vnet("vnet-shared", ["10.51.192.0/20"], {"shared": (["10.51.192.0/24"], "nsg-shared")})
    for index in (1, 2):
        away.launch(Machine(f"shared-cache-{index}", "vnet-shared/shared", f"10.51.192.{9 + index}", labels("cache", "intranet", "prod")))
    works.peer("vnet-prod", "vnet-shared", away)


MANAGED = (
    Rule("NRMS-Rule-101", 101, sources="VirtualNetwork", ports="443", text="Created by a managed policy"),
    Rule("NRMS-Rule-103", 103, sources="CorpNetPublic", protocol="*", text="Created by a managed policy"),
    Rule(
        "NRMS-Rule-105", 105, sources="Internet", ports="22,3389,5985-5986", access="Deny", protocol="*", text="Created by a managed policy"
    ),
    Rule("Microsoft.Databricks-workspaces_UseOnly_databricks-worker-to-worker-inbound", 110, sources="VirtualNetwork", protocol="*"),
)
"""What policies and services of the vendor write into groups of others."""


def _left_behind(works: Works) -> None:
    """Rules of managed policies, and a partner's."""
    for rule in MANAGED:
        path = f"{works.path('networkSecurityGroups', 'nsg-test')}/securityRules/{rule.name}"
        works.builder.act_ok("PUT", path, {"properties": rule.document()["properties"]})
    _partner(works)


def _partner(works: Works) -> None:
    """A rule with host bits, which no PUT of today may hold, in an NSG that only the FTP server carries."""
    properties = {
        "protocol": "Tcp", "access": "Allow", "priority": 200, "direction": "Inbound", "sourcePortRange": "*", "destinationPortRange": "21",
        "sourceAddressPrefix": "203.0.113.68/27", "destinationAddressPrefix": "*",
    }  # fmt: skip
    rule = {"name": "partner-2015", "properties": properties}
    works.builder.ask("plant", {"id": works.path("networkSecurityGroups", "nsg-nic-legacy"), "rules": [rule]})

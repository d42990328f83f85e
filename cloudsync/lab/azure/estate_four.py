"""The estate `four`: a dozen machines of ordering and payments, the application tier of an estate over four platforms."""

from __future__ import annotations

from .estate import Machine, Rule, Works, labels

OFFICE = "198.51.100.0/25"
CLUSTER_RULE = "k8s-azure-lb_allow_IPv4_556f7044ec033071ec37eee1b7d10d1f"


def build(works: Works) -> None:
    """NSGs, networks, machines, and what no request of today could write."""
    networks(works)
    for machine in machines():
        works.launch(machine)
    works.scale_set("payments-app-vmss", "vnet-prod/app", 2, labels("app", "payments", "prod"))
    oddities(works)


def networks(works: Works) -> None:
    """Make production, with a subnet for each tier, and development, which is one flat subnet."""
    for name, rules in RULES.items():
        works.nsg(name, rules)
    works.vnet("vnet-prod", ["10.50.0.0/16", "fd00:50::/48"], {
        "ops": (["10.50.0.0/24"], "nsg-ops-prod"),
        "web": (["10.50.1.0/24", "fd00:50:0:1::/64"], "nsg-web-prod"),
        "app": (["10.50.2.0/24"], "nsg-app-prod"),
        "db": (["10.50.3.0/24"], "nsg-db-prod"),
        "legacy": (["10.50.9.0/24"], None),
        "aks": (["10.50.64.0/20"], None),
    })  # fmt: skip
    works.vnet("vnet-dev", ["10.51.0.0/17", "10.51.128.0/18"], {
        "dev": (["10.51.0.0/20"], "nsg-dev"),
        "test": (["10.51.128.0/20"], "nsg-test"),
    })  # fmt: skip
    works.peer("vnet-prod", "vnet-dev")


RULES: dict[str, tuple[Rule, ...]] = {
    "nsg-ops-prod": (
        Rule("AllowSshOffice", 100, sources=OFFICE, ports="22", text="jump hosts from the head office"),
        Rule("AllowRdpFromAnywhere", 300, ports="3389", text="TEMP migration, remove after Easter"),
    ),
    "nsg-web-prod": (
        Rule("AllowWebFromInternet", 200, sources="Internet", ports="80,443"),
        Rule("AllowProbes", 210, sources="AzureLoadBalancer", protocol="*"),
        Rule(CLUSTER_RULE, 500, sources="Internet", ports="80,443", destinations="10.50.1.250", text="written by the cluster"),
    ),
    "nsg-app-prod": (
        Rule("legacy-wide", 150, sources="10.0.0.0/8", ports="8000-8999"),
        Rule("ssh-from-anywhere", 310, ports="22", text="for the vendor, ticket 4711"),
    ),
    "nsg-db-prod": (
        Rule("postgres-everybody", 400, sources="10.0.0.0/8", ports="5432"),
        Rule("DenyInternetOut", 900, destinations="Internet", access="Deny", direction="Outbound", protocol="*"),
    ),
    "nsg-dev": (Rule("dev-all", 100, sources="VirtualNetwork", protocol="*", text="it is only dev"),),
    "nsg-test": (),
    "nsg-nic-legacy": (Rule("ftp", 100, ports="20-21,50000-50100"),),
}
"""Each NSG as it stands before anybody enforces anything."""


def machines() -> tuple[Machine, ...]:
    """Return them in the order they were made."""
    return (
        Machine("ordering-web-1", "vnet-prod/web", "10.50.1.11", labels("web", "ordering", "prod"), v6="fd00:50:0:1::11", public=True),
        Machine("payments-web-1", "vnet-prod/web", "10.50.1.12", labels("web", "payments", "prod"), v6="fd00:50:0:1::12"),
        Machine("ordering-app-1", "vnet-prod/app", "10.50.2.11", labels("app", "ordering", "prod")),
        Machine("ordering-app-2", "vnet-prod/app", "10.50.2.12", labels("app", "ordering", "prod"), second="10.50.2.112"),
        Machine("ordering-cache-1", "vnet-prod/app", "10.50.2.21", (("Role", "cache"), *labels("cache", "ordering", "prod")[1:])),
        Machine("payments-db-1", "vnet-prod/db", "10.50.3.11", labels("db", "payments", "prod")),
        Machine("jump-1", "vnet-prod/ops", "10.50.0.10", labels("jump", "ordering", "prod"), public=True),
        Machine("legacy-ftp", "vnet-prod/legacy", "10.50.9.10", (("owner", "nobody"),), nsg="nsg-nic-legacy", public=True),
        Machine("ordering-app-dev", "vnet-dev/dev", "10.51.0.11", labels("app", "ordering", "dev")),
        Machine("ordering-db-dev", "vnet-dev/dev", "10.51.0.21", labels("bd", "ordering", "dev"), stopped=True),
    )


def oddities(works: Works) -> None:
    """Write rules as the service kept them from the years before: words in capitals, a bare address, no plural fields."""
    old = {
        "protocol": "TCP", "access": "Allow", "priority": 120, "direction": "Inbound", "sourcePortRange": "*",
        "destinationPortRange": "9100", "sourceAddressPrefix": "10.50.0.20", "destinationAddressPrefix": "VIRTUALNETWORK",
        "description": "monitoring 2016",
    }  # fmt: skip
    plurals = ["sourcePortRanges", "destinationPortRanges", "sourceAddressPrefixes", "destinationAddressPrefixes"]
    rule = {"name": "Monitoring_Old", "properties": old, "omit": plurals}
    works.builder.ask("plant", {"id": works.path("networkSecurityGroups", "nsg-app-prod"), "rules": [rule]})

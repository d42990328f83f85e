"""What the pair holds in the beginning, built through the same requests that clients send."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from ..kit.faults import Json

LOC = "dc1"
UNITS = ("bigip1", "bigip2")


class Act(Protocol):
    """One request of whoever builds the estate."""

    def __call__(self, unit: str, method: str, path: str, body: Json = None, *, by: str = "third party") -> Json:
        """Carry it out."""


@dataclass(frozen=True, slots=True)
class Virtual:
    """One virtual server. `snat` is automap, the name of a SNAT pool, or empty when the client's address is kept."""

    name: str
    destination: str
    labels: tuple[tuple[str, str], ...] = ()
    members: tuple[str, ...] = ()
    snat: str = "automap"
    protocol: str = "tcp"
    enforced: str = ""
    staged: str = ""
    disabled: bool = False
    forwards: str = ""
    """Netmask of a forwarding virtual server."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as somebody once wrote it."""

    name: str
    action: str = "accept"
    protocol: str = "tcp"
    ports: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    disabled: bool = False
    rule_list: str = ""
    text: str = ""

    def document(self, after: str) -> Json:
        """As a request holds it."""
        shown: dict[str, Json] = {"name": self.name, "placeAfter": after}
        if self.text:
            shown["description"] = self.text
        if self.rule_list:
            return {**shown, "ruleList": self.rule_list}
        shown |= {"action": self.action, "ipProtocol": self.protocol, "status": "disabled" if self.disabled else "enabled"}
        if self.sources or self.lists:
            shown["source"] = {
                "addresses": [{"name": each} for each in self.sources],
                "addressLists": [f"/Common/{each}" for each in self.lists],
            }
        if self.ports:
            shown["destination"] = {"ports": [{"name": each} for each in self.ports]}
        return shown


def labels(role: str, app: str, env: str) -> tuple[tuple[str, str], ...]:
    """Metadata of a virtual server whose owner was careful."""
    return (("role", role), ("app", app), ("env", env), ("loc", LOC))


@dataclass(frozen=True, slots=True)
class Works:
    """Turns the parts of an estate into requests."""

    act: Act

    def post(self, collection: str, body: Json, unit: str = UNITS[0]) -> None:
        """One object on one unit."""
        self.act(unit, "POST", f"/mgmt/tm/{collection}", body, by="estate")

    def patch(self, path: str, body: Json, unit: str = UNITS[0]) -> None:
        """A change of one."""
        self.act(unit, "PATCH", f"/mgmt/tm/{path}", body, by="estate")

    def network(self) -> None:
        """VLANs and self IPs: the ones of each unit, and those that move with the traffic group."""
        for number, unit in enumerate(UNITS, 2):
            for tag, name in ((100, "external"), (200, "internal"), (300, "ha")):
                self.post("net/vlan", {"name": name, "tag": tag}, unit)
            for name, address, vlan, service in (
                ("self_external", f"10.60.0.{number}/24", "external", "none"),
                ("self_internal", f"10.60.1.{number}/24", "internal", ["default"]),
                ("self_ha", f"10.60.255.{number}/24", "ha", ["default"]),
            ):
                self.post("net/self", {"name": name, "address": address, "vlan": vlan, "allowService": service}, unit)
            self.patch("security/firewall/management-ip-rules", {"rules": _chain(MANAGEMENT)}, unit)
        for name, address, vlan in (
            ("float_external", "10.60.0.1/24", "external"),
            ("float_internal", "10.60.1.1/24", "internal"),
            ("float_internal_v6", "2001:db8:60:1::1/64", "internal"),
        ):
            body = {"name": name, "address": address, "vlan": vlan, "trafficGroup": "/Common/traffic-group-1", "floating": "enabled"}
            self.post("net/self", body)
        self.post("ltm/snatpool", {"name": "snat_payments", "members": ["10.60.1.201", "10.60.1.202"]})

    def policy(self, name: str, rules: Iterable[Rule], text: str = "") -> None:
        """One policy with its rules in order."""
        self.post("security/firewall/policy", {"name": name, "rules": _chain(rules), **({"description": text} if text else {})})

    def virtual(self, given: Virtual) -> None:
        """One virtual server with the pool behind it."""
        body: dict[str, Json] = {"name": given.name, "destination": f"/Common/{given.destination}", "ipProtocol": given.protocol}
        if given.members:
            pool = f"pool_{given.name.removeprefix('vs_')}"
            self.post("ltm/pool", {"name": pool, "members": [{"name": each} for each in given.members]})
            body["pool"] = f"/Common/{pool}"
        match given.snat:
            case "":
                body["sourceAddressTranslation"] = {"type": "none"}
            case "automap":
                body["sourceAddressTranslation"] = {"type": "automap"}
            case name:
                body["sourceAddressTranslation"] = {"type": "snat", "pool": f"/Common/{name}"}
        if given.labels:
            body["metadata"] = [{"name": key, "value": value, "persist": "true"} for key, value in given.labels]
        if given.enforced:
            body["fwEnforcedPolicy"] = f"/Common/{given.enforced}"
        if given.staged:
            body["fwStagedPolicy"] = f"/Common/{given.staged}"
        if given.disabled:
            body["disabled"] = True
        if given.forwards:
            body |= {"ipForward": True, "mask": given.forwards, "translateAddress": "disabled", "translatePort": "disabled"}
        self.post("ltm/virtual", body)


def _chain(rules: Iterable[Rule]) -> list[Json]:
    shown, after = [], "first"
    for rule in rules:
        shown.append(rule.document(after))
        after = rule.name
    return shown


MANAGEMENT = (
    Rule("office_gui", ports=("443", "22"), sources=("198.51.100.0/25", "203.0.113.64/26")),
    Rule("tools", ports=("443",), sources=("10.30.0.0/16", "127.0.0.0/8")),
)
EDGE = (
    Rule("block_listed", "drop", "any", lists=("bad_guys",), text="from the feed of 2017"),
    Rule("web", ports=("80", "443"), text="everybody"),
    Rule("TEMP_dave", ports=("22",), sources=("0.0.0.0/0",), text="remove after migration (2018)"),
    Rule("management", rule_list="/Common/common_management"),
    Rule("partner_vpn", protocol="udp", ports=("500", "4500"), sources=("192.0.2.200",), disabled=True),
    Rule("ping", protocol="icmp"),
)


def legacy(works: Works) -> None:
    """Packet filters as years of hurry leave them."""
    for name, entries in (
        ("office_networks", ["198.51.100.0/25", "203.0.113.64/26"]),
        ("bad_guys", ["192.0.2.128/28", "198.51.100.200-198.51.100.220", "2001:db8:bad::/48"]),
        ("monitoring_hosts", ["10.30.0.21", "10.30.1.21"]),
    ):
        works.post("security/firewall/address-list", {"name": name, "addresses": [{"name": each} for each in entries]})
    works.post(
        "security/firewall/address-list", {"name": "trusted", "addressLists": ["/Common/office_networks", "/Common/monitoring_hosts"]}
    )
    works.post("security/firewall/port-list", {"name": "web_ports", "ports": [{"name": "80"}, {"name": "443"}, {"name": "8000-8099"}]})
    works.post(
        "security/firewall/rule-list",
        {
            "name": "common_management",
            "rules": _chain(
                [Rule("ssh", ports=("22",), lists=("trusted",)), Rule("snmp", protocol="udp", ports=("161",), lists=("monitoring_hosts",))]
            ),
        },
    )
    works.policy("legacy_edge", EDGE, "do not touch!! (M.)")
    works.policy("edge_candidate_2019", (Rule("web", ports=("443",)), Rule("rest", "drop", "any")))
    works.policy("migration_2016", (Rule("all", protocol="any", sources=("10.0.0.0/8",)),))
    works.policy("self_mgmt", (Rule("trusted", protocol="any", lists=("trusted",)), Rule("bgp", ports=("179",), sources=("10.60.0.0/24",))))
    works.patch("net/self/~Common~float_internal", {"fwEnforcedPolicy": "/Common/self_mgmt"})


def _empty(_act: Act) -> None:
    """Nothing but what a device brings."""


def builder(name: str) -> Callable[[Act], None]:
    """Return what builds an estate. ValueError for a name that is none."""
    from . import estate_four, estate_medium

    known: dict[str, Callable[[Act], None]] = {
        "empty": _empty,
        "small": _empty,
        "four": estate_four.build,
        "medium": estate_medium.build,
    }
    if name not in known:
        raise ValueError(f"no estate {name!r}; there are: {', '.join(sorted(known))}")
    return known[name]

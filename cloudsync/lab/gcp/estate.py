"""What the lab's projects hold in the beginning, built through the same requests that clients send."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..kit.faults import Json
from .api import Api
from .world import Project

HOST = "acme-net"
SERVICE = "acme-apps"
LOC = "gcp-euw1"
REGION = "europe-west1"


@dataclass(frozen=True, slots=True)
class Start:
    """A project that every estate has."""

    name: str
    number: str
    host: str | None = None


PROJECTS = (Start(HOST, "480100000001"), Start(SERVICE, "480100000002", HOST), Start("acme-other", "480100000003"))
"""The host project, its service project, and one that has nothing to do with them."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One virtual machine of an estate."""

    name: str
    address: str
    labels: tuple[tuple[str, str], ...] = ()
    network: str = "prod"
    project: str = HOST
    zone: str = "b"
    tags: tuple[str, ...] = ()
    account: str | None = None
    public: bool = False
    v6: bool = False
    alias: str | None = None
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One VPC rule of an estate: `speaks` are texts such as `tcp/22,80-90`, `all`, `icmp`."""

    name: str
    network: str
    speaks: tuple[str, ...]
    sources: tuple[str, ...] = ()
    priority: int = 1000
    deny: bool = False
    egress: bool = False
    disabled: bool = False
    source_tags: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    description: str = ""


def builder(name: str) -> Callable[[Api], None]:
    """Return what builds an estate. ValueError for a name that is none."""
    from . import estate_four, estate_medium

    known: dict[str, Callable[[Api], None]] = {
        "empty": empty,
        "small": empty,
        "four": estate_four.build,
        "medium": estate_medium.build,
    }
    if name not in known:
        raise ValueError(f"no estate {name!r}; there are: {', '.join(sorted(known))}")
    return known[name]


def empty(api: Api) -> None:
    """Three projects, each with the network `default` that somebody has emptied of its rules."""
    for one in PROJECTS:
        api.world.projects[one.name] = Project(one.name, one.number, one.host, hosts=one.name == HOST)
        act(api, "POST", f"projects/{one.name}/global/networks", {"name": "default", "description": "Default network for the project"})


def act(api: Api, method: str, path: str, body: Json = None) -> Json:
    """Do something as a client would; it must succeed."""
    found = api.act({"method": method, "path": path, "body": body}, by="estate")
    if found["status"] != 200 or "error" in found["body"]:
        raise ValueError(f"{method} {path}: {found['body']}")
    return found["body"]


def network(api: Api, name: str, blocks: Iterable[tuple[str, str]], *, pods: str | None = None, v6: str | None = None) -> None:
    """Make a network with hand-made subnetworks: (name, block); `pods` is a secondary range of the first, `v6` the network's ULA range."""
    body: Json = {"name": name, "autoCreateSubnetworks": False, "routingConfig": {"routingMode": "GLOBAL"}}
    if v6:
        body |= {"enableUlaInternalIpv6": True, "internalIpv6Range": v6}
    act(api, "POST", f"projects/{HOST}/global/networks", body)
    for number, (subnet, block) in enumerate(blocks):
        wanted: Json = {"name": subnet, "network": f"projects/{HOST}/global/networks/{name}", "ipCidrRange": block}
        if pods and number == 0:
            wanted["secondaryIpRanges"] = [{"rangeName": "pods", "ipCidrRange": pods}]
        if v6:
            wanted |= {"stackType": "IPV4_IPV6", "ipv6AccessType": "INTERNAL"}
        act(api, "POST", f"projects/{HOST}/regions/{REGION}/subnetworks", wanted)


def launch(api: Api, machine: Machine, subnet: str) -> None:
    """Start one machine."""
    zone = f"{REGION}-{machine.zone}"
    path = f"projects/{machine.project}/zones/{zone}/instances"
    nic: Json = {"subnetwork": f"projects/{HOST}/regions/{REGION}/subnetworks/{subnet}", "networkIP": machine.address}
    if machine.v6:
        nic["stackType"] = "IPV4_IPV6"
    if machine.alias:
        nic["aliasIpRanges"] = [{"ipCidrRange": machine.alias, "subnetworkRangeName": "pods"}]
    if machine.public:
        nic["accessConfigs"] = [{"type": "ONE_TO_ONE_NAT", "name": "External NAT"}]
    body: Json = {
        "name": machine.name,
        "machineType": f"zones/{zone}/machineTypes/e2-small",
        "labels": dict(machine.labels),
        "tags": {"items": list(machine.tags)},
        "networkInterfaces": [nic],
        "serviceAccounts": [{"email": machine.account or f"{PROJECTS[0].number}-compute@developer.gserviceaccount.com", "scopes": []}],
    }
    act(api, "POST", path, body)
    if machine.stopped:
        act(api, "POST", f"{path}/{machine.name}/stop")


def write(api: Api, rule: Rule) -> None:
    """Write one rule."""
    spoken = [_protocol(text) for text in rule.speaks]
    body: Json = {
        "name": rule.name,
        "network": f"projects/{HOST}/global/networks/{rule.network}",
        "direction": "EGRESS" if rule.egress else "INGRESS",
        "priority": rule.priority,
        "denied" if rule.deny else "allowed": spoken,
        "destinationRanges" if rule.egress else "sourceRanges": list(rule.sources),
        "sourceTags": list(rule.source_tags),
        "targetTags": list(rule.targets),
        "description": rule.description,
        "disabled": rule.disabled,
    }
    act(api, "POST", f"projects/{HOST}/global/firewalls", body)


def _protocol(text: str) -> Json:
    name, _, ports = text.partition("/")
    return {"IPProtocol": name, "ports": ports.split(",")} if ports else {"IPProtocol": name}


def labels(role: str, app: str, env: str, **more: str) -> tuple[tuple[str, str], ...]:
    """Return the labels of a machine whose owner took care."""
    return (("role", role), ("app", app), ("env", env), ("loc", LOC), *more.items())

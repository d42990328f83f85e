"""The labs of the platforms beside AWS as grounds of a campaign: build, read, watch, and what the product has to be told about each.

They run in this process, so that the state after every single request can be looked at before the next one is answered.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cloudsync.lab.azure.site import GROUP, SUBSCRIPTION
from cloudsync.lab.azure.site import Site as AzureSite
from cloudsync.lab.f5.site import Site as F5Site
from cloudsync.lab.gcp.site import Site as GcpSite
from cloudsync.lab.http import Answer
from cloudsync.lab.kit.gate import Gate, Perform
from cloudsync.lab.kit.journal import Entry
from tests.oracle import azure_cloud, azure_estates, f5_cloud, f5_estates, gcp_cloud, gcp_estates
from tests.oracle.four_ground import Built, Estate, Json

Seen = Callable[[Entry], None]
ROLES = ("web", "app", "db", "lb", "nothing")


class Listening(Gate):
    """The gate before a simulated vendor, which tells somebody about every request of a client after it was carried out."""

    seen: Seen | None = None

    def carry(self, entry: Entry, perform: Perform, *, page: int = 1) -> Answer:
        """Carry a call, then tell."""
        answer = super().carry(entry, perform, page=page)
        if self.seen is not None:
            with self.lock:
                self.seen(entry)
        return answer


class Ground(Protocol):
    """One platform in a campaign."""

    name: str
    mode: str
    """The target's mode: in `additive` an F5 has less room."""

    switches: Json

    @property
    def gate(self) -> Listening | None:
        """The gate before it, where it runs in this process."""

    def build(self, seed: int, mode: str) -> Built:
        """Begin anew with a random estate."""

    def read(self) -> Estate:
        """Read it over the wire."""

    def peek(self) -> Estate:
        """Read what its data plane uses now, past the wire."""

    def target(self, more: Json) -> Json:
        """Return the target's settings."""

    def environment(self) -> dict[str, str]:
        """Return the environment that the product needs."""

    def writes(self) -> list[Entry]:
        """Return every call of a client that changes something, in order; logins and clean-up of the client's own do not count."""

    def relabel(self, rng: random.Random) -> None:
        """Give one workload another role, as somebody with tagging rights would."""

    def tamper(self, rng: random.Random) -> str:
        """Edit or remove an object of the product's past the wire; return what was done, empty when there is none."""

    def stop(self) -> None:
        """Close it."""


@dataclass
class GcpGround:
    """Google Compute."""

    folder: Path
    name: str = "gcp"
    mode: str = ""
    project: str = "acme-net"
    service: str = "acme-apps"
    networks: list[str] = field(default_factory=list)
    switches: Json = field(default_factory=dict)
    """Settings of the lab, such as other spellings, that `build` sets."""

    def __post_init__(self) -> None:
        self.site = GcpSite(self.folder)
        self.gate = Listening(self.site.api)
        self.site.api.gate = self.gate
        self.site.start()

    def build(self, seed: int, mode: str) -> Built:
        self.mode = mode
        self.site.reset("empty", seed)
        built = gcp_estates.small(self.site, seed, host=self.project, service=self.service)
        self.networks = list(built.settings["networks"])
        self.site.ask("settings", self.switches)
        self.site.api.gate.reset()
        return built

    def read(self) -> gcp_cloud.Estate:
        get = gcp_cloud.wire(self.site.section())
        return gcp_cloud.read(get, self.project, self.networks, (self.project, self.service))

    def peek(self) -> gcp_cloud.Estate:
        def get(path: str) -> Any:
            path, _, query = path.partition("?")
            pairs = dict(pair.split("=", 1) for pair in query.split("&") if pair)
            return self.site.ask("act", {"method": "GET", "path": path, "query": pairs})["body"]

        return gcp_cloud.read(get, self.project, self.networks, (self.project, self.service))

    def target(self, more: Json) -> Json:
        wanted = {"project": self.project, "service_projects": [self.service], "networks": self.networks, "settle": "0s"}
        return {"adapter": "gcp", **wanted, "endpoint": self.site.section()["endpoint"], **more}

    def environment(self) -> dict[str, str]:
        return {"GOOGLE_APPLICATION_CREDENTIALS": self.site.section()["service_account_file"], "NO_GCE_CHECK": "true"}

    def writes(self) -> list[Entry]:
        return [one for one in self.gate.journal.entries if one.mutating and one.by == "client"]

    def relabel(self, rng: random.Random) -> None:
        estate = self.peek()
        machine = rng.choice(estate.instances)
        labels = {**machine.get("labels", {}), "role": rng.choice(ROLES)}
        path = machine["selfLink"].partition("/compute/v1/")[2]
        body = {"labels": labels, "labelFingerprint": machine["labelFingerprint"]}
        self._act("POST", f"{path}/setLabels", body)

    def tamper(self, rng: random.Random) -> str:
        mine = [rule for rule in self.peek().firewalls if self.peek().ours(rule)]
        if not mine:
            return ""
        rule = rng.choice(mine)
        path = f"projects/{self.project}/global/firewalls/{rule['name']}"
        if rng.random() < 0.3:
            self._act("DELETE", path)
            return f"{rule['name']} deleted"
        change: dict[str, Any] = {"disabled": True}
        if rng.random() < 0.5:
            spoken = "allowed" if "allowed" in rule else "denied"
            change = {spoken: [{"IPProtocol": "tcp", "ports": ["23"]}]}
        self._act("PATCH", path, change)
        return f"{rule['name']} now {change}"

    def _act(self, method: str, path: str, body: Any = None) -> None:
        done = self.site.ask("act", {"method": method, "path": path, "body": body})
        assert done["status"] == 200, done

    def stop(self) -> None:
        self.site.stop()


@dataclass
class AzureGround:
    """Azure Resource Manager."""

    folder: Path
    name: str = "azure"
    mode: str = ""
    nsgs: list[str] = field(default_factory=list)
    band: list[int] = field(default_factory=list)
    switches: Json = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.site = AzureSite(self.folder)
        self.gate = Listening(self.site)
        self.site.gate = self.gate
        self.site.start()

    def build(self, seed: int, mode: str) -> Built:
        self.mode = mode
        self.site.reset("empty", seed)
        built = azure_estates.small(self.site, seed, group=f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}")
        self.nsgs, self.band = list(built.settings["nsgs"]), list(built.settings["band"])
        self.site.ask("settings", self.switches)
        self.gate.reset()
        return built

    def read(self) -> azure_cloud.Estate:
        return azure_cloud.read(azure_cloud.wire(self.site.section()), SUBSCRIPTION, self.nsgs, self.band[0])

    def peek(self) -> azure_cloud.Estate:
        """NSGs show new rules while a PUT is under way; packets meet them at its end, so these are put in their place."""

        def get(path: str) -> Any:
            return self.site.ask("act", {"method": "GET", "path": path.removeprefix(self.site.arm.base), "finish": False})["body"]

        found = azure_cloud.read(get, SUBSCRIPTION, self.nsgs, self.band[0])
        settled = {key.lower(): value for key, value in self.site.ask("state", {})["settled"].items()}
        for key, nsg in found.nsgs.items():
            rules = (settled.get(key) or {}).get("securityRules", [])
            found.nsgs[key] = {**nsg, "properties": {**nsg["properties"], "securityRules": rules}}
        return found

    def target(self, more: Json) -> Json:
        section = self.site.section()
        wanted: Json = {
            "adapter": "azure",
            "subscription": SUBSCRIPTION,
            "settle": "0s",
            "endpoint": section["endpoint"],
            "band": self.band,
        }
        wanted |= {"authority": section["authority"], "ca_file": section["ca_file"]}
        return {**wanted, **({"nsgs": self.nsgs} if self.nsgs else {}), **more}

    def environment(self) -> dict[str, str]:
        section = self.site.section()
        return {
            "AZURE_TENANT_ID": section["tenant"],
            "AZURE_CLIENT_ID": section["client_id"],
            "AZURE_CLIENT_SECRET": section["client_secret"],
            "AZURE_AUTHORITY_HOST": section["authority"],
        }

    def writes(self) -> list[Entry]:
        return [one for one in self.gate.journal.entries if one.mutating and one.by == "client"]

    def relabel(self, rng: random.Random) -> None:
        vm = rng.choice(list(self.peek().vms.values()))
        tags = {key: value for key, value in vm.get("tags", {}).items() if key.lower() != "role"}
        body = {"location": vm["location"], "properties": vm["properties"], "tags": {**tags, "role": rng.choice(ROLES)}}
        self._put(vm["id"], body)

    def tamper(self, rng: random.Random) -> str:
        estate = self.peek()
        mine = [(nsg, rule) for nsg in estate.nsgs.values() for rule in nsg["properties"]["securityRules"] if estate.ours(rule)]
        if not mine:
            return ""
        nsg, rule = rng.choice(mine)
        path = f"{nsg['id']}/securityRules/{rule['name']}"
        if rng.random() < 0.4:
            self.site.ask("act", {"method": "DELETE", "path": path})
            return f"{rule['name']} deleted"
        inner = {**rule["properties"], "destinationPortRange": "23", "destinationPortRanges": [], "protocol": "Tcp"}
        self._put(path, {"properties": inner})
        return f"{rule['name']} now tcp/23"

    def _put(self, path: str, body: Any) -> None:
        done = self.site.ask("act", {"method": "PUT", "path": path, "body": body})
        assert done["status"] < 300, done

    def stop(self) -> None:
        self.site.stop()


@dataclass
class F5Ground:
    """A pair of BIG-IPs."""

    folder: Path
    name: str = "f5"
    mode: str = ""
    switches: Json = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.site = F5Site(self.folder)
        self.gate = Listening(self.site)
        self.site.gate = self.gate
        self.site.start()

    def build(self, seed: int, mode: str) -> Built:
        self.mode = mode
        self.site.reset("empty", seed)
        built = f5_estates.small(self.site, seed)
        self.site.ask("settings", self.switches)
        self.gate.reset()
        return built

    def read(self) -> f5_cloud.Estate:
        first, second = self.site.section()
        return f5_cloud.read(f5_cloud.wire(first), [f5_cloud.wire(second)], additive=self.mode == "additive")

    def peek(self) -> f5_cloud.Estate:
        def reader(unit: str) -> Callable[[str], Any]:
            return lambda path: self.site.ask("act", {"unit": unit, "method": "GET", "path": f"/mgmt/tm/{path}"})["body"]

        return f5_cloud.read(reader("bigip1"), [reader("bigip2")], additive=self.mode == "additive")

    def target(self, more: Json) -> Json:
        units = self.site.section()
        return {
            "adapter": "f5",
            "hosts": [one["hostname"] for one in units],
            "device_group": "dg-failover",
            "addresses": {one["hostname"]: one["endpoint"] for one in units},
            "ca_file": units[0]["ca_file"],
            "settle": "0s",
            **more,
        }

    def environment(self) -> dict[str, str]:
        first = self.site.section()[0]
        return {"F5_USER": first["user"], "F5_PASSWORD": first["password"]}

    def writes(self) -> list[Entry]:
        """What changes a configuration: not logins, not the opening of a transaction, not the giving back of a token."""
        own = ("shared/", "tm/transaction")
        found = [one for one in self.gate.journal.entries if one.mutating and one.by == "client"]
        return [one for one in found if not one.path.removeprefix("/mgmt/").startswith(own) or one.operation.startswith("COMMIT")]

    def relabel(self, rng: random.Random) -> None:
        path, virtual = rng.choice(sorted(self.peek().virtuals.items()))
        kept = [one for one in virtual.get("metadata", ()) if one["name"] != "role"]
        body = {"metadata": [*kept, {"name": "role", "value": rng.choice(ROLES), "persist": "true"}]}
        self._act("PATCH", f"ltm/virtual/{_tilded(path)}", body)

    def tamper(self, rng: random.Random) -> str:
        estate = self.peek()
        lists = [path for path, one in sorted(estate.address_lists.items()) if estate.ours(one)]
        held = [path for path, one in sorted(estate.virtuals.items()) if estate.enforced(one) and one.get("fwEnforcedPolicy")]
        mine = [path for path in held if estate.ours(estate.policies[estate.virtuals[path]["fwEnforcedPolicy"]])]
        if mine and (not lists or rng.random() < 0.5):
            path = rng.choice(mine)
            self._act("PATCH", f"ltm/virtual/{_tilded(path)}", {"fwEnforcedPolicy": "none"})
            return f"{path} detached"
        if not lists:
            return ""
        path = rng.choice(lists)
        self._act("PATCH", f"security/firewall/address-list/{_tilded(path)}", {"addresses": [{"name": "203.0.113.99"}]})
        return f"{path} with another address instead"

    def _act(self, method: str, path: str, body: Any) -> None:
        done = self.site.ask("act", {"method": method, "path": f"/mgmt/tm/{path}", "body": body})
        assert done["ok"], done
        sync = {"command": "run", "utilCmdArgs": "config-sync to-group dg-failover"}
        self.site.ask("act", {"method": "POST", "path": "/mgmt/tm/cm", "body": sync})

    def stop(self) -> None:
        self.site.stop()


def _tilded(path: str) -> str:
    return path.replace("/", "~")


GROUNDS: dict[str, Callable[[Path], Ground]] = {"gcp": GcpGround, "azure": AzureGround, "f5": F5Ground}

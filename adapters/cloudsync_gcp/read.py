"""Reading a project in bulk, and some of its rules again. A network is read whole or not at all: what is in doubt leaves nothing of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import field, replace

from cloudsync.adapter import Found, ScopeState
from cloudsync.model.errors import AdapterError
from cloudsync.model.quick import dataclass
from cloudsync_gcp import parse
from cloudsync_gcp.client import CallFailedError, Client
from cloudsync_gcp.parse import Raw, reason
from cloudsync_gcp.table import GcpTable, Network, Nic, Room, Rule

RESERVE_PERCENT = 5
THREADS = 8
"""Calls of one project in flight at once."""
BROKEN = (AdapterError, *parse.MALFORMED)
"""What shows that an answer cannot be trusted."""


@dataclass(frozen=True, slots=True)
class ProjectRead:
    """Everything of one target. Incomplete scopes hold nothing."""

    table: GcpTable
    workloads: tuple[Found, ...]
    scopes: tuple[ScopeState, ...]


@dataclass(slots=True)
class _Calls:
    """The calls of one read, side by side."""

    client: Client
    pool: ThreadPoolExecutor
    broken: dict[str, str] = field(default_factory=dict)

    def networks(self) -> dict[str, Network | str]:
        """Return the managed networks by scope, or why one could not be read."""
        settings = self.client.settings
        listed = settings.networks
        if listed is None:
            listed = tuple(sorted(str(one["name"]) for one in self._items("global/networks", "compute#networkList")))
        parts = {name: self.pool.submit(self._network, name) for name in listed}
        return {f"{settings.project}/{name}": part.result() for name, part in parts.items()}

    def _network(self, name: str) -> Network | str:
        project = self.client.settings.project
        path = f"global/networks/{name}"
        try:
            raw = self.client.read(project, path, "compute#network")
            return parse.network(raw, self.client.read(project, f"{path}/getEffectiveFirewalls"))
        except BROKEN as error:
            return reason(error)

    def rules(self) -> Future[list[Raw]]:
        """Start reading all firewall rules of the project."""
        return self.pool.submit(lambda: list(self._items("global/firewalls", "compute#firewallList")))

    def machines(self) -> list[Future[list[Raw]]]:
        """Start reading the VMs of every project."""
        return [self.pool.submit(self._machines, project) for project in self.client.settings.projects]

    def _items(self, path: str, kind: str) -> Iterator[Raw]:
        for page in self.client.pages(self.client.settings.project, path, kind):
            yield from page.get("items") or ()

    def _machines(self, project: str) -> list[Raw]:
        found: list[Raw] = []
        for page in self.client.pages(project, "aggregated/instances", "compute#instanceAggregatedList"):
            for zone, part in (page.get("items") or {}).items():
                warning = (part.get("warning") or {}).get("code")
                if warning and warning != "NO_RESULTS_ON_PAGE":
                    raise CallFailedError(project, "GET aggregated/instances", f"{zone} is not whole: {warning}")
                found.extend(_lean(one) for one in part.get("instances") or ())
        return found

    def room(self) -> Room:
        """Return how many firewall rules the project takes. What Google says is shared with others, so a part of it is left free."""
        known = self.client.settings.firewalls_limit
        project = self.client.read(self.client.settings.project, "", "compute#project")
        if known is not None:
            return Room(known)
        limit = next((int(one["limit"]) for one in project.get("quotas") or () if one.get("metric") == "FIREWALLS"), None)
        return Room(limit, reserve=(limit or 0) * RESERVE_PERCENT // 100)


_VM_READ = ("name", "selfLink", "networkInterfaces", "tags", "labels", "serviceAccounts")


def _lean(raw: Raw) -> Raw:
    return {key: raw[key] for key in _VM_READ if key in raw}


def whole(client: Client, owner: str) -> ProjectRead:
    """Read one target whole. Raises AdapterError only when not even the scopes can be named."""
    settings = client.settings
    with ThreadPoolExecutor(THREADS, thread_name_prefix="gcp-read") as pool:
        calls = _Calls(client, pool)
        rules, machines, quota = calls.rules(), calls.machines(), pool.submit(calls.room)
        try:
            networks = calls.networks()
        except BROKEN as error:
            return _nothing(client, owner, {settings.project: reason(error)})
        try:
            raw_rules = rules.result()
            raw_machines = [one for part in machines for one in part.result()]
            room = quota.result()
            return _assembled(client, owner, networks, _Raw(raw_rules, raw_machines, room))
        except BROKEN as error:
            # Rules and VMs are told by project, so a doubt about either is one about every network.
            return _nothing(client, owner, dict.fromkeys(networks, reason(error)))


def _nothing(client: Client, owner: str, broken: Mapping[str, str]) -> ProjectRead:
    settings = client.settings
    table = GcpTable(owner, settings.project, {}, {}, {}, settings.layout, incomplete=dict(broken))
    return ProjectRead(table, (), tuple(ScopeState(scope, broken[scope]) for scope in sorted(broken)))


@dataclass(frozen=True, slots=True)
class _Raw:
    rules: list[Raw]
    machines: list[Raw]
    room: Room


def _assembled(client: Client, owner: str, networks: Mapping[str, Network | str], raw: _Raw) -> ProjectRead:
    settings = client.settings
    managed = {one.key: one for one in networks.values() if isinstance(one, Network)}
    broken = {scope: one for scope, one in networks.items() if isinstance(one, str)}
    every = parse.by_name(parse.rule(one, owner) for one in raw.rules)
    rules = {name: rule for name, rule in every.items() if rule.network in managed}
    nics = parse.by_point(nic for one in raw.machines for nic in parse.nics(one, managed))
    workloads = sorted(filter(None, (parse.found(one, managed) for one in raw.machines)), key=lambda one: one.ref)
    table = GcpTable(
        owner=owner,
        project=settings.project,
        rules=rules,
        nics=nics,
        networks={key: managed[key] for key in sorted(managed)},
        layout=settings.layout,
        room=replace(raw.room, elsewhere=len(every) - len(rules)),
        taken=frozenset(name for name in every if name not in rules),
        incomplete=broken,
    )
    scopes = tuple(ScopeState(scope, broken.get(scope, "")) for scope in sorted(networks))
    return ProjectRead(table, tuple(workloads), scopes)


# --- in part -------------------------------------------------------------------------------------------------------------


def rules_again(client: Client, owner: str, names: Iterable[str]) -> dict[str, Rule]:
    """Read some rules again: one by its name, several by one list. What is not in the answer is not there. Raises AdapterError."""
    project, wanted = client.settings.project, set(names)
    if len(wanted) == 1:
        name = next(iter(wanted))
        try:
            listed = [client.read(project, f"global/firewalls/{name}", "compute#firewall")]
        except CallFailedError as failure:
            if failure.code != "notFound":
                raise
            listed = []
    else:
        pages = client.pages(project, "global/firewalls", "compute#firewallList")
        listed = [one for page in pages for one in page.get("items") or () if one.get("name") in wanted]
    return parse.by_name(parse.rule(one, owner) for one in listed)


def machine_again(client: Client, vm: str, networks: Mapping[str, Network]) -> tuple[Nic, ...]:
    """Read one VM again. Raises AdapterError."""
    _, project, path = vm.split("/", 2)
    return parse.nics(client.read(project, path, "compute#instance"), networks)

"""Reading a device group in bulk, and again in part. It is read whole or not at all: one failing page leaves nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field, replace
from typing import Any

from cloudsync.adapter import Clock, Found
from cloudsync.model.errors import AdapterError
from cloudsync.model.quick import dataclass
from cloudsync_f5 import parse
from cloudsync_f5 import payload as wire
from cloudsync_f5.client import CallFailedError, Device
from cloudsync_f5.judge import Judge
from cloudsync_f5.limits import PAGE_SIZE, POLL_FIRST_S, POLL_MOST_S, POOLS_PAGE
from cloudsync_f5.parse import MALFORMED, ParseError, Raw, reason
from cloudsync_f5.points import workloads
from cloudsync_f5.pools import Behind, Pool, pool
from cloudsync_f5.settings import F5Settings
from cloudsync_f5.table import GLOBAL, AddressList, F5Table, Policy, PortList, RuleList, Virtual
from cloudsync_f5.words import Span

DEVICE = "/mgmt/tm/cm/device"
GROUP = "/mgmt/tm/cm/device-group"
SYNC_STATUS = "/mgmt/tm/cm/sync-status"
PROVISION = "/mgmt/tm/sys/provision"
DEFAULT_ACTION = "/mgmt/tm/sys/db/tm.fw.defaultaction"
RULE_LIST = "/mgmt/tm/security/firewall/rule-list"
PORT_LIST = "/mgmt/tm/security/firewall/port-list"
GLOBAL_RULES = "/mgmt/tm/security/firewall/global-rules"
CONTAINERS = "/mgmt/tm/security/firewall/container-stat"
STATE = "/mgmt/tm/security/firewall/current-state"
SELF = "/mgmt/tm/net/self"
SNAT_POOL = "/mgmt/tm/ltm/snatpool"
POOL = "/mgmt/tm/ltm/pool"
NET_LIST = "/mgmt/tm/net/address-list"
VIRTUAL_FIELDS = (
    "name,partition,subPath,fullPath,destination,mask,source,ipProtocol,sourceAddressTranslation,trafficMatchingCriteria,"
    "enabled,disabled,metadata,fwEnforcedPolicy,fwStagedPolicy,pool,translatePort,persist"
)
UNFINISHED = frozenset({"compiling", "manual", "undeployed", "failed"})
"""States of the compiler in which what is committed is not in force."""
UNDER_WAY = "compiling"
TWICE = 2


def kind(path: str) -> str:
    """Return the kind of a collection's answers."""
    parts = path.removeprefix("/mgmt/tm/").split("/")
    return ":".join(("tm", *parts, f"{parts[-1]}collectionstate"))


@dataclass(frozen=True, slots=True)
class Unit:
    """One device as it speaks of itself."""

    host: str
    """The host of the settings it was asked as."""
    name: str
    active: bool
    selves: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupRead:
    """Everything of one device group."""

    table: F5Table
    workloads: tuple[Found, ...]
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Group:
    """The devices of one target, and how they are read."""

    settings: F5Settings
    owner: str
    clock: Clock
    devices: dict[str, Device] = field(default_factory=dict)

    def device(self, host: str) -> Device:
        """Return the device of a host of the settings."""
        if host not in self.devices:
            self.devices[host] = Device(self.settings, host, self.clock)
        return self.devices[host]

    def units(self, *, selves: bool) -> tuple[list[Unit], list[CallFailedError]]:
        """Ask every device who it is, all at the same time; those that do not answer come as errors."""

        def ask(host: str) -> Unit | CallFailedError:
            try:
                return self._unit(host, selves=selves)
            except CallFailedError as failure:
                return failure

        hosts = self.settings.hosts
        devices = [self.device(host) for host in hosts]
        assert len(devices) == len(hosts)
        if len(hosts) == 1:
            found = [ask(hosts[0])]
        else:
            with ThreadPoolExecutor(len(hosts), thread_name_prefix="f5-read") as pool:
                found = list(pool.map(ask, hosts))
        return [one for one in found if isinstance(one, Unit)], [one for one in found if isinstance(one, CallFailedError)]

    def _unit(self, host: str, *, selves: bool) -> Unit:
        device = self.device(host)
        own = [one for one in device.collection(DEVICE, kind(DEVICE)) if str(one.get("selfDevice")) == "true"]
        if len(own) != 1:
            raise CallFailedError(host, f"GET {DEVICE}", f"{len(own)} devices call themselves the one that answers", answered=True)
        name = str(own[0].get("hostname") or own[0].get("name") or "")
        found = tuple(parse.self_address(one) for one in device.collection(SELF, kind(SELF))) if selves else ()
        return Unit(host, name, str(own[0].get("failoverState")) == "active", found)

    def whole(self) -> GroupRead:
        """Read everything. Raises AdapterError or ParseError where anything is in doubt."""
        units, failures = self.units(selves=True)
        if failures:
            raise failures[0]
        for unit in units:
            if unit.name != unit.host:
                raise AdapterError(unit.host, f"GET {DEVICE}", f"the device calls itself {unit.name}")
        active = [unit for unit in units if unit.active]
        if len(active) != 1:
            names = ", ".join(unit.host for unit in active) or "none"
            raise AdapterError(self.settings.account, f"GET {DEVICE}", f"one device of the group has to be active, and {names} is")
        reading = Reading(self.device(active[0].host), self.settings, self.owner)
        selves = tuple(sorted({one for unit in units for one in unit.selves}))
        return reading.whole(active[0].host, selves)


@dataclass(slots=True)
class Reading:
    """Reads of one device, the active one."""

    device: Device
    settings: F5Settings
    owner: str

    def whole(self, active: str, selves: tuple[Span, ...]) -> GroupRead:
        """Return the whole table, and who was found."""
        self._provisioned()
        base = self._context(F5Table(self.owner, self.settings.account, self.settings.partition, active=active))
        table = self.consistent(base, domains=True)
        table = replace(table, rule_lists=self._rule_lists(table.policies), port_lists=self._port_lists(table.policies))
        table = self.compiled(self.group(table), patient=True)
        self._all_there(table)
        translations = self._translations(table.virtuals)
        behind, unfollowed = self._pools(table.virtuals)
        table = judged(replace(table, unfollowed=unfollowed), additive=self.settings.additive, virtuals=self.settings.virtuals)
        return GroupRead(table, workloads(table, Behind(selves, translations, behind, unread=bool(unfollowed))))

    def _all_there(self, table: F5Table) -> None:
        """A virtual server of the settings that the device has not must not look like one without a policy. Raises AdapterError."""
        there = {word for one in table.virtuals.values() for word in (one.path, one.name)}
        missing = sorted(set(self.settings.virtuals or ()) - there)
        if missing:
            words = f"the settings attach a policy to {', '.join(missing)}, and the device has no virtual server of that name"
            raise AdapterError(self.device.host, f"GET {wire.VIRTUAL}", words)

    def consistent(self, table: F5Table, *, domains: bool) -> F5Table:
        """Read policies, lists and what they hang on (`domains`: route domains too); a commit in between shows, and all is read again."""
        missing = ""
        for _ in range(1 + TWICE):
            held = self._all(wire.ROUTE_DOMAIN, parse.route_domain) if domains else table.route_domains
            virtuals, policies, lists = self.virtuals(), self.policies(), self.lists()
            carried = {one.enforced for one in virtuals.values()} | {one.enforced for one in held.values()}
            missing = min(carried - {""} - policies.keys(), default="")
            if not missing:
                return replace(table, policies=policies, lists=lists, virtuals=virtuals, route_domains=held)
        raise AdapterError(self.device.host, f"GET {wire.POLICY}", f"policy {missing} is enforced, and no read shows it")

    def _all(self, path: str, make: Callable[[Raw], Any], **params: str) -> dict[str, Any]:
        found = {one.path: one for one in (make(raw) for raw in self.device.collection(path, kind(path), **params))}
        return {key: found[key] for key in sorted(found)}

    def policies(self) -> dict[str, Policy]:
        """Read every policy with its rules, in one call."""
        return self._all(wire.POLICY, lambda raw: parse.policy(raw, self.owner), expandSubcollections="true")

    def lists(self) -> dict[str, AddressList]:
        """Read every address list of the firewall."""
        return self._all(wire.ADDRESS_LIST, lambda raw: parse.address_list(raw, self.owner))

    def virtuals(self) -> dict[str, Virtual]:
        """Read the virtual servers that are workloads, page by page."""
        scope, wanted = self.settings.account, self.settings.partitions
        query = {"$select": VIRTUAL_FIELDS, "$top": str(PAGE_SIZE)}
        every: dict[str, Virtual] = self._all(wire.VIRTUAL, lambda raw: parse.virtual(raw, scope), **query)
        return {path: one for path, one in every.items() if wanted is None or path.split("/")[1] in wanted}

    def _rule_lists(self, policies: Mapping[str, Policy]) -> dict[str, RuleList]:
        if not any(rule.rule_list for one in policies.values() for rule in one.rules):
            return {}
        return self._all(RULE_LIST, parse.rule_list, expandSubcollections="true")

    def _port_lists(self, policies: Mapping[str, Policy]) -> dict[str, PortList]:
        rules = [rule for one in policies.values() for rule in one.rules]
        if not any(rule.port_lists or rule.rule_list for rule in rules):
            return {}
        return self._all(PORT_LIST, parse.port_list)

    def _pools(self, virtuals: Mapping[str, Virtual]) -> tuple[dict[str, Pool], str]:
        """Return the pools, or why they cannot be read: that is no reason to enforce nothing, for they decide about no packet here."""
        if not any(one.pool.path for one in virtuals.values()):
            return {}, ""
        try:
            return self._all(POOL, pool, expandSubcollections="true", **{"$top": str(POOLS_PAGE)}), ""
        except (CallFailedError, *MALFORMED) as error:
            return {}, reason(error)

    def _translations(self, virtuals: Mapping[str, Virtual]) -> dict[str, tuple[Span, ...]]:
        if not any(one.snat.startswith("/") for one in virtuals.values()):
            return {}
        return {parse.path_of(raw): parse.snat_members(raw) for raw in self.device.collection(SNAT_POOL, kind(SNAT_POOL))}

    def _provisioned(self) -> None:
        levels = {str(one.get("name")): str(one.get("level")) for one in self.device.collection(PROVISION, kind(PROVISION))}
        if levels.get("afm", "none") == "none":
            raise AdapterError(self.device.host, f"GET {PROVISION}", "the firewall module (AFM) is not provisioned on this device")

    def _context(self, table: F5Table) -> F5Table:
        enforced, staged = parse.global_policies(self.device.get(GLOBAL_RULES))
        taken = frozenset(parse.path_of(one) for one in self.device.collection(NET_LIST, kind(NET_LIST)))
        return replace(
            table,
            enforced=enforced,
            staged=staged,
            taken=taken,
            open_by_default=self.default_action() == "accept",
            saves=self.settings.save,
            stages=self.settings.stage,
            quotas=self.settings.quotas,
            held=self.settings.route_domains,
        )

    def default_action(self) -> str:
        """Return what virtual servers do with packets that no rule matches; `accept` where the device does not know the variable."""
        if self.settings.default_action:
            return self.settings.default_action
        try:
            return str(self.device.get(DEFAULT_ACTION).get("value") or "accept")
        except CallFailedError as failure:
            if failure.status != 404:
                raise
            return "accept"

    def group(self, table: F5Table) -> F5Table:
        """Return a table that knows how the device group stands."""
        name = self.settings.device_group
        if not name:
            return table
        found = self.device.get(f"{GROUP}/{wire.tilded(f'/Common/{name}')}")
        by_itself = str(found.get("autoSync")) == "enabled"
        table = replace(table, group=name if self.settings.sync and not by_itself else "")
        return self.synced(table)

    def synced(self, table: F5Table) -> F5Table:
        """Return a table that knows whether the devices agree."""
        if not self.settings.device_group:
            return table
        color, words = standing(self.device)
        return replace(table, synced=color == "green", sync_words="" if color == "green" else f"{color}: {words}")

    def compiled(self, table: F5Table, *, patient: bool = False) -> F5Table:
        """Return a table that knows which policies packets meet now; `patient`: a compilation under way is waited for."""
        state = self.compiling()
        deadline, wait = self.device.clock.monotonic() + self.settings.compile_wait, POLL_FIRST_S
        while patient and state[0] == UNDER_WAY and self.device.clock.monotonic() < deadline:
            self.device.clock.sleep(wait)
            wait = min(2 * wait, POLL_MOST_S)
            state = self.compiling()
        active = parse.running(self.device.get(CONTAINERS))
        configured = {GLOBAL: table.enforced} | {path: one.enforced for path, one in table.virtuals.items()}
        configured |= {one.context: one.enforced for one in table.route_domains.values()}
        running = {context: active.get(context, "") for context, policy in sorted(configured.items()) if active.get(context, "") != policy}
        return replace(table, running=running, compiling=state[1])

    def compiling(self) -> tuple[str, str]:
        """Return state and words of a compilation that is not done; empty when it is, or when the device does not say."""
        try:
            said = parse.statistics(self.device.get(STATE))
        except CallFailedError as failure:
            if failure.status != 404:
                raise
            return "", ""
        for one in said:
            state = one.get("pccdState", "").lower()
            if state in UNFINISHED:
                return state, one.get("pccdCompileStatus") or state
        return "", ""


def judged(table: F5Table, *, additive: bool, virtuals: tuple[str, ...] | None = None) -> F5Table:
    """Return a table whose virtual servers know whether a policy can be enforced at them. `virtuals`: those of the settings."""
    judge = Judge(table, additive=additive, virtuals=virtuals)
    found: dict[str, Virtual] = {}
    for path, virtual in table.virtuals.items():
        why = judge.why(virtual)
        found[path] = virtual if why == virtual.skipped else replace(virtual, skipped=why)
    return replace(table, virtuals=found)


def standing(device: Device) -> tuple[str, str]:
    """Return the colour of the group's synchronisation and the device's own words."""
    raw = device.get(SYNC_STATUS)
    found = parse.statistics(raw)
    color = found[0].get("color", "unknown") if found else "unknown"
    words = [text for text in parse.texts(raw.get("entries")) if text and text != color]
    return color, "; ".join(dict.fromkeys(words))


def again(reading: Reading, table: F5Table, what: Iterable[str]) -> F5Table:
    """Return a table with some of it read again: `firewall` (policies, lists, virtual servers, compiler), `pending`, `sync`."""
    wanted = frozenset(what)
    table = replace(table, saved=True)
    if "firewall" in wanted:
        domains = bool(table.held) or any(table.ours(one.enforced) for one in table.route_domains.values())
        table = reading.consistent(table, domains=domains)
        table = judged(table, additive=reading.settings.additive, virtuals=reading.settings.virtuals)
        table = reading.compiled(table)
    elif "pending" in wanted:
        table = replace(table, lists=_with_pending(reading, table))
    return reading.synced(table) if "sync" in wanted else table


def _with_pending(reading: Reading, table: F5Table) -> dict[str, AddressList]:
    lists = {path: one for path, one in table.lists.items() if path != table.pending}
    try:
        raw = reading.device.get(f"{wire.ADDRESS_LIST}/{wire.tilded(table.pending)}")
    except CallFailedError as failure:
        if failure.status != 404:
            raise
    else:
        lists[table.pending] = parse.address_list(raw, reading.owner)
    return {path: lists[path] for path in sorted(lists)}


__all__ = ["Group", "GroupRead", "ParseError", "Reading", "again", "judged", "standing"]

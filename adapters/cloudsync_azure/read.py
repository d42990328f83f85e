"""Reading one subscription in bulk, and single groups again. It is read whole or not at all: one failing page leaves nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from cloudsync.adapter import Found, FoundInterface, Step
from cloudsync.model.address import NOWHERE, AddressSet
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import PointId
from cloudsync_azure import joins, parse
from cloudsync_azure.client import Client
from cloudsync_azure.joins import PUT_NIC
from cloudsync_azure.limits import COMPUTE_VERSION, NETWORK_VERSION, SCALE_SET_NIC_VERSION
from cloudsync_azure.parse import Interface, Machine, Network, ParseError, Raw
from cloudsync_azure.settings import AzureSettings
from cloudsync_azure.table import Asg, AzureTable, Nic, Nsg, Subnet

THREADS = 6
SINGLE_NIC_DEPTH = 8
"""Slashes in `/subscriptions/S/resourceGroups/G/providers/Microsoft.Network/networkInterfaces/N`."""
Value = TypeVar("Value")
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class SubscriptionRead:
    """Everything of one subscription."""

    table: AzureTable
    workloads: tuple[Found, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """The lists of one read, parsed."""

    nsgs: tuple[Nsg, ...]
    interfaces: tuple[Interface, ...]
    networks: tuple[Network, ...]
    machines: tuple[Machine, ...]
    sets: tuple[Machine, ...]
    public: Mapping[str, AddressSet]
    asgs: tuple[Asg, ...] = ()


def whole(client: Client, owner: str) -> SubscriptionRead:
    """Read one subscription. Raises CallFailedError or ParseError."""
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="azure-read")
    try:
        return assembled(_parts(client, owner, pool), client.settings, owner)
    finally:
        # After a failure what has not started is of no use any more.
        pool.shutdown(cancel_futures=True)


def _parts(client: Client, owner: str, pool: ThreadPoolExecutor) -> Parts:
    def start(provider: str, kind: str, version: str, make: Callable[[Raw], Value]) -> Future[tuple[Value, ...]]:
        path = client.path(f"/providers/{provider}/{kind}")
        return pool.submit(_all, client, path, version, make)

    network, compute = "Microsoft.Network", "Microsoft.Compute"
    nsgs = start(network, "networkSecurityGroups", NETWORK_VERSION, lambda raw: parse.nsg(raw, owner))
    nics = start(network, "networkInterfaces", NETWORK_VERSION, parse.interface)
    networks = start(network, "virtualNetworks", NETWORK_VERSION, parse.network)
    asgs = None
    if client.settings.asgs:
        asgs = start(network, "applicationSecurityGroups", NETWORK_VERSION, lambda raw: parse.asg(raw, owner))
    machines = start(compute, "virtualMachines", COMPUTE_VERSION, parse.machine)
    sets = start(compute, "virtualMachineScaleSets", COMPUTE_VERSION, parse.machine)
    # The interfaces of uniform scale sets are in no list of interfaces.
    more = [
        pool.submit(_all, client, f"{one.id}/networkInterfaces", SCALE_SET_NIC_VERSION, parse.interface)
        for one in sets.result()
        if one.uniform
    ]
    interfaces = (*nics.result(), *(nic for some in more for nic in some.result()))
    public: dict[str, AddressSet] = {}
    if any(nic.public for nic in interfaces):
        for identity, address in start(network, "publicIPAddresses", NETWORK_VERSION, parse.public_address).result():
            public[identity] = NOWHERE if address is None else AddressSet.of(address)
    return Parts(nsgs.result(), interfaces, networks.result(), machines.result(), sets.result(), public, asgs.result() if asgs else ())


def _all(client: Client, path: str, version: str, make: Callable[[Raw], Value]) -> tuple[Value, ...]:
    # Each element becomes a value as it comes: raw answers take several times the memory.
    return tuple(make(raw) for raw in client.pages(path, version))


# --- from lists to a table. Pure -------------------------------------------------------------------------------------


def assembled(parts: Parts, settings: AzureSettings, owner: str) -> SubscriptionRead:
    """Return the table and the workloads that these lists tell of. Raises ParseError where they contradict each other."""
    subnets = _subnets(parts)
    carried = {one.nsg for one in subnets.values() if one.nsg}
    nsgs = {one.id: replace(one, managed=_managed(one, settings, carried)) for one in sorted(parts.nsgs, key=lambda each: each.id)}
    missing = sorted((carried | {nic.nsg for nic in parts.interfaces if nic.nsg}) - nsgs.keys())
    if missing:
        # A point would look open where a group stands that no list shows.
        raise ParseError(f"{missing[0]} stands before machines, but no list shows it")
    names = {one.short for one in nsgs.values()} | {one.name.lower() for one in nsgs.values()}
    unknown = [one for one in settings.nsgs or () if one not in names]
    if unknown:
        raise ParseError(f"the subscription has no network security group {unknown[0]} of the settings")
    machines = {one.id: one for one in parts.machines}
    sets = {one.id: one for one in parts.sets}
    table = AzureTable(owner, settings.scope, nsgs, {}, subnets, _spaces(parts.networks), _asgs(parts))
    nics: dict[PointId, Nic] = {}
    for one in parts.interfaces:
        nic = _nic(one, table, parts.public, settings)
        holder = _holder(one.holder, machines, sets)
        nics[nic.point] = replace(nic, skipped=_skipped(one, nic, holder, settings, table))
    table = replace(table, nics={point: nics[point] for point in sorted(nics)})
    return SubscriptionRead(table, tuple(_workloads(parts, table, settings, machines, sets)))


def _managed(one: Nsg, settings: AzureSettings, carried: set[str]) -> bool:
    if not settings.takes(one.group):
        return False
    if settings.nsgs is None:
        return one.managed or one.id in carried
    return one.managed or one.name.lower() in settings.nsgs or one.short in settings.nsgs


def _subnets(parts: Parts) -> dict[str, Subnet]:
    known = {seat for nic in parts.interfaces for seat in nic.seats}
    found: dict[str, Subnet] = {}
    for network in parts.networks:
        for subnet in network.subnets:
            strangers = any(seat not in known for seat in network.seats.get(subnet.id, ()))
            found[subnet.id] = replace(subnet, strangers=strangers)
    return {key: found[key] for key in sorted(found)}


def _spaces(networks: Iterable[Network]) -> dict[str, AddressSet]:
    """Return what VirtualNetwork stands for in each VNet: its blocks and those of connected peers. Gateways' prefixes are not readable."""
    listed = list(networks)
    blocks = {one.id: one.blocks for one in listed}
    return {
        one.id: AddressSet.union_all((one.blocks, *(blocks.get(peer, shown) for peer, shown in one.peers)))
        for one in sorted(listed, key=lambda each: each.id)
    }


def _asgs(parts: Parts) -> dict[str, Asg]:
    return {one.id: one for one in sorted(parts.asgs, key=lambda each: each.id)}


def _nic(one: Interface, table: AzureTable, public: Mapping[str, AddressSet], settings: AzureSettings) -> Nic:
    for subnet in one.subnets:
        if subnet not in table.subnets:
            raise ParseError(f"{one.id} sits in {subnet}, which no list of networks shows")
    vnet = table.subnets[one.subnets[0]].vnet if one.subnets else ""
    addresses = AddressSet.union_all(public.get(identity, NOWHERE) for identity in one.public)
    return Nic(
        id=one.id,
        point=point_of(one.id),
        name=one.name,
        holder=one.holder,
        vnet=vnet,
        subnets=one.subnets,
        private=one.private,
        public=addresses,
        nsg=one.nsg,
        asgs=one.asgs,
        location=one.location,
        seats=_seats(one, settings),
    )


def _seats(one: Interface, settings: AzureSettings) -> int:
    """Return how many ipConfigurations can join groups of ours; the interfaces of uniform scale sets are not written one by one."""
    single = one.id.count("/") == SINGLE_NIC_DEPTH and settings.takes(parse.part(one.id, "resourceGroups"))
    return len(one.seats) if single and one.alike and not one.endpoint else 0


def point_of(identity: str) -> PointId:
    """Return the enforcement point's id of an interface: subscription, resource group, scale set and machine if any, name."""
    pieces = identity.strip("/").split("/")
    # Every second piece is a kind: subscriptions/S/resourceGroups/G/providers/P/kind/name/...
    return PointId("/".join((pieces[1], pieces[3], *pieces[7::2])).lower())


def _holder(identity: str, machines: Mapping[str, Machine], sets: Mapping[str, Machine]) -> Machine | None:
    return machines.get(identity) or sets.get(identity.partition("/virtualmachines/")[0])


def _skipped(one: Interface, nic: Nic, holder: Machine | None, settings: AzureSettings, table: AzureTable) -> str:
    if one.endpoint:
        return "belongs to a private endpoint or another service of Azure's"
    if not one.holder:
        return "is attached to no virtual machine"
    if holder is None:
        return f"its machine {one.holder.rpartition('/')[2]} is in no list"
    if not holder.alive:
        return f"its machine {holder.name} is being deleted"
    if not settings.takes(holder.group):
        return f"its machine's resource group {holder.group} is not in the settings"
    series = table.series(nic)
    if len({table.subnets[subnet].nsg for subnet in nic.subnets}) > 1:
        return "its addresses sit in subnets with different network security groups"
    if not any(table.nsgs[nsg].managed for nsg in series):
        return "no managed network security group stands before it: tag one cloudsync-managed, or name it in the settings"
    # A rule that nobody can read stands above at least our default deny: what passes there is not known.
    unread = [rule.name for nsg in series for rule in table.nsgs[nsg].rules if rule.unclear and not rule.egress]
    return f"rule {unread[0]} before it cannot be read" if unread else ""


def _workloads(
    parts: Parts, table: AzureTable, settings: AzureSettings, machines: Mapping[str, Machine], sets: Mapping[str, Machine]
) -> Iterable[Found]:
    held: dict[str, list[tuple[Interface, Nic]]] = {}
    for one in parts.interfaces:
        held.setdefault(one.holder, []).append((one, table.nics[point_of(one.id)]))
    refs = {identity for identity, one in machines.items()} | {
        one for one in held if "/virtualmachines/" in one.partition("/virtualmachinescalesets/")[2]
    }
    for ref in sorted(refs):
        holder = _holder(ref, machines, sets)
        if holder is None or not holder.alive or not settings.takes(holder.group):
            continue
        own = held.get(ref, [])
        tags = dict(tag for one, _ in own for tag in one.tags) | dict(holder.tags)
        name = holder.name if ref == holder.id else f"{holder.name}_{ref.rpartition('/')[2]}"
        yield Found(
            ref=ref,
            name=name,
            account=settings.subscription,
            scope=settings.scope,
            tags=tuple(sorted(tags.items())),
            interfaces=tuple(_interface(nic) for _, nic in sorted(own, key=lambda pair: pair[1].point)),
        )


def _interface(nic: Nic) -> FoundInterface:
    # As it is called in reports: resource group, scale set and machine if any, name.
    called = nic.point.partition("/")[2]
    return FoundInterface(called, nic.vnet, nic.private | nic.public, None if nic.skipped else nic.point, nic.skipped)


# --- again, in part --------------------------------------------------------------------------------------------------


def again(client: Client, table: AzureTable, steps: Iterable[Step]) -> AzureTable:
    """Read again what steps write and return the table with it replaced, without what is gone. Raises CallFailedError, ParseError."""
    nsgs, nics, asgs = dict(table.nsgs), dict(table.nics), dict(table.asgs)
    points = {nic.id: point for point, nic in table.nics.items()}
    for identity, call in sorted({(step.object, _kind(step)) for step in steps}):
        raw = raw_object(client, identity)
        if call == PUT_NIC:
            point = points[identity]
            _replace(nics, point, None if raw is None else _moved(nics[point], parse.interface(raw), client.settings))
        elif call:
            _replace(asgs, identity, None if raw is None else parse.asg(raw, table.owner))
        else:
            known = nsgs[identity]
            _replace(nsgs, identity, None if raw is None else replace(parse.nsg(raw, table.owner), managed=known.managed))
    return replace(table, nsgs=nsgs, nics=nics, asgs={key: asgs[key] for key in sorted(asgs)})


def _kind(step: Step) -> str:
    """Return whether a step is about an interface or an application security group; empty for rules."""
    join = joins.read(step.payload)
    return "" if join is None else PUT_NIC if join.call == PUT_NIC else "asg"


def _replace(found: dict[Key, Value], key: Key, one: Value | None) -> None:
    if one is None:
        found.pop(key, None)
    else:
        found[key] = one


def _moved(known: Nic, one: Interface, settings: AzureSettings) -> Nic:
    return replace(
        known, private=one.private, subnets=one.subnets, nsg=one.nsg, asgs=one.asgs, location=one.location, seats=_seats(one, settings)
    )


def raw_object(client: Client, identity: str) -> Raw | None:
    """Read one group or interface as it is answered; None when there is none. Raises CallFailedError."""
    from cloudsync_azure.client import CallFailedError

    try:
        document = client.read(identity, NETWORK_VERSION).document
    except CallFailedError as failure:
        if failure.status == 404 and failure.code in ("ResourceNotFound", "NotFound"):
            return None
        raise
    if not isinstance(document, dict):
        raise ParseError(f"{identity}: the answer is no object")
    return document

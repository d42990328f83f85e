"""The simulated platforms, continued: Azure and F5."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from cloudsync.adapter import Adapter, Found, FoundInterface, Step
from cloudsync.model.address import AddressSet
from cloudsync.model.service import ANY_SERVICE, ServiceSet
from cloudsync.model.workload import Forward, PointId
from cloudsync_azure.parse import rule as azure_rule
from cloudsync_azure.payload import rule_json
from cloudsync_azure.simulate import simulate as azure_simulate
from cloudsync_azure.table import AzureTable, Nic, Nsg, Subnet, order
from cloudsync_f5 import words
from cloudsync_f5.simulate import simulate as f5_simulate
from cloudsync_f5.table import Action, Ends, F5Table, Listener, Policy, RouteDomain, Rule, Virtual
from cloudsync_f5.words import Native
from tests.sim.lens import Address
from tests.sim.sites import OWNER, PEERS, PORTS, Card, RejectedError, Tags, addresses

# --- Azure -----------------------------------------------------------------------------------------------------------------

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
VNET = "/vnet/a"


@dataclass
class AzureSite:
    """One subscription: a VNet with two subnets and their NSGs; some interfaces have one of their own as well."""

    table: AzureTable
    mode: str
    write: str = "whole"
    """Whether NSGs are written as a whole, or rule by rule (`child`)."""
    kind: str = "azure"
    tags: dict[str, Tags] = field(default_factory=dict)
    number: int = 0

    @classmethod
    def draw(cls, rng: Random, mode: str) -> AzureSite:
        """Draw a subscription."""
        subnets = {
            f"/subnet/{at}": Subnet(f"/subnet/{at}", VNET, AddressSet.of(f"10.1.{at}.0/24"), f"/nsg/{name}")
            for at, name in enumerate(("one", "two"))
        }
        nsgs = {f"/nsg/{name}": Nsg(f"/nsg/{name}", name, "rg", "westeurope", (), True) for name in ("one", "two", "nic")}
        table = AzureTable(OWNER, SUBSCRIPTION, nsgs, {}, subnets, {VNET: AddressSet.of("10.1.0.0/16")})
        site = cls(table, mode, rng.choice(("whole", "child")))
        for name in nsgs:
            for at in range(rng.randint(0, 2)):
                site._rule(rng, name, f"legacy-{at}")
        return site

    def _rule(self, rng: Random, nsg: str, name: str) -> None:
        held = self.table.nsgs[nsg]
        taken = {one.priority for one in held.rules}
        outbound = rng.random() < 0.25
        protocol, port = rng.choice(PORTS)
        peer = rng.choice((*PEERS, "VirtualNetwork", "Internet", "*"))
        inner: dict[str, object] = {
            "protocol": "Tcp" if protocol == 6 else "Udp",
            "access": rng.choice(("Allow", "Allow", "Deny")),
            "priority": rng.choice(
                [one for one in (*range(150, 400, 25), *range(1100, 3000, 200), *range(4000, 4090, 10)) if one not in taken]
            ),
            "direction": "Outbound" if outbound else "Inbound",
            "sourcePortRange": "*",
            "destinationPortRange": rng.choice((str(port), "*")),
            "sourceAddressPrefix": "*" if outbound else peer,
            "destinationAddressPrefix": peer if outbound else "*",
            "provisioningState": "Succeeded",
        }
        made = azure_rule({"name": name, "properties": inner}, OWNER)
        rules = tuple(sorted((*held.rules, made), key=order))
        self._put(replace(held, rules=rules))

    def _put(self, nsg: Nsg) -> None:
        self.table = replace(self.table, nsgs={**self.table.nsgs, nsg.id: nsg})

    def options(self) -> dict[str, Any]:
        return {"subscription": SUBSCRIPTION, "nsgs": "all", "max_wait": "30s", "write": self.write}

    def scopes(self) -> tuple[str, ...]:
        return (SUBSCRIPTION,)

    def empty(self, why: str) -> AzureTable:
        return AzureTable(OWNER, SUBSCRIPTION, incomplete=why)

    def found(self, table: AzureTable) -> tuple[Found, ...]:
        return tuple(
            Found(
                nic.holder,
                nic.holder.rpartition("/")[2],
                SUBSCRIPTION,
                SUBSCRIPTION,
                tuple(sorted(self.tags[nic.holder].items())),
                (FoundInterface(nic.point.partition("/")[2], VNET, nic.private, nic.point),),
            )
            for nic in sorted(table.nics.values(), key=lambda one: one.holder)
        )

    def without(self, refs: Iterable[str]) -> AzureTable:
        gone = set(refs)
        return replace(self.table, nics={point: nic for point, nic in self.table.nics.items() if nic.holder not in gone})

    def cards(self) -> tuple[Card, ...]:
        return tuple((point, addresses(nic.private)) for point, nic in self.table.nics.items())

    def add(self, rng: Random, labels: Tags) -> str:
        self.number += 1
        at = rng.choice((0, 0, 1))
        ref = f"/vm/az-{self.number}"
        point = PointId(f"{SUBSCRIPTION}/rg/az-{self.number}")
        own = "/nsg/nic" if rng.random() < 0.4 else ""
        nic = Nic(
            f"/nic/{self.number}",
            point,
            f"az-{self.number}",
            ref,
            VNET,
            (f"/subnet/{at}",),
            AddressSet.of(f"10.1.{at}.{10 + self.number}"),
            nsg=own,
        )
        self.table = replace(self.table, nics=dict(sorted({**self.table.nics, point: nic}.items())))
        self.tags[ref] = dict(labels)
        return ref

    def remove(self, ref: str) -> None:
        self.table = self.without([ref])
        del self.tags[ref]

    def apply(self, adapter: Adapter, step: Step) -> tuple[tuple[str, str], ...]:
        del adapter
        try:
            self.table = azure_simulate(self.table, (step,))
        except ValueError as error:
            raise RejectedError("PreconditionFailed", str(error)) from error
        return ()

    def part(self, old: AzureTable, now: AzureTable, steps: Iterable[Step]) -> AzureTable:
        names = {step.object for step in steps}
        nsgs = {key: now.nsgs[key] if key in names else one for key, one in old.nsgs.items() if key in now.nsgs or key not in names}
        nics = {point: now.nics.get(point, nic) if nic.id in names else nic for point, nic in old.nics.items()}
        return replace(old, nsgs=nsgs, nics=nics)

    def _ours(self) -> list[tuple[Nsg, int]]:
        return [(nsg, at) for _, nsg in sorted(self.table.nsgs.items()) for at, one in enumerate(nsg.rules) if one.ours]

    def tamper(self, rng: Random) -> str:
        mine = self._ours()
        if not mine:
            return ""
        nsg, at = rng.choice(mine)
        rules = list(nsg.rules)
        kind = rng.choice(("flip", "delete"))
        if kind == "delete":
            del rules[at]
        else:
            rules[at] = replace(rules[at], deny=not rules[at].deny)
        self._put(replace(nsg, rules=tuple(rules)))
        return f"{kind} a rule of {nsg.name}"

    def unmark(self, rng: Random) -> str:
        mine = self._ours()
        if not mine:
            return ""
        nsg, at = rng.choice(mine)
        raw = rule_json(nsg.rules[at])
        raw["properties"]["description"] = "mine now"
        rules = [*nsg.rules]
        rules[at] = azure_rule(raw, OWNER)
        self._put(replace(nsg, rules=tuple(rules)))
        return rules[at].name

    def meddle(self, rng: Random) -> str:
        name = f"hand-{rng.randrange(10**6)}"
        self._rule(rng, rng.choice(sorted(self.table.nsgs)), name)
        return name

    def foreign(self) -> Mapping[str, object]:
        if self.mode == "exclusive":
            return {}  # an NSG of an exclusive target is ours as a whole: what stood there is kept on record
        return {f"{nsg.id}/{one.name}": one for nsg in self.table.nsgs.values() for one in nsg.rules if not one.ours}


# --- F5 --------------------------------------------------------------------------------------------------------------------

GROUP = "dg-sim"
SNAT = "10.60.255.1"
"""From here the device opens connections to pool members."""
LISTENERS = (ANY_SERVICE, ServiceSet.protocol(6), ServiceSet.ports(6, 443, 443))


@dataclass
class F5Site:
    """One device group. `behind`: the pool members of each virtual server."""

    table: F5Table
    mode: str
    kind: str = "f5"
    tags: dict[str, Tags] = field(default_factory=dict)
    behind: dict[str, tuple[Address, ...]] = field(default_factory=dict)
    number: int = 0

    @classmethod
    def draw(cls, rng: Random, mode: str) -> F5Site:
        """Draw a device group: two policies of somebody else's, at times one on the route domain or in the global context."""
        policies = {path: Policy(path, _rules(rng)) for path in ("/Common/legacy-a", "/Common/legacy-b", "/Common/edge")}
        outer = rng.random()
        table = F5Table(
            OWNER,
            GROUP,
            "Common",
            policies,
            route_domains={"/Common/0": RouteDomain("/Common/0", 0, "/Common/edge" if outer < 0.15 else "")},
            enforced="/Common/edge" if 0.15 <= outer < 0.3 else "",
            open_by_default=rng.random() < 0.7,
            active="bigip1",
            group=GROUP,
        )
        return cls(table, mode)

    def options(self) -> dict[str, Any]:
        return {"hosts": ["bigip1", "bigip2"], "device_group": GROUP, "max_wait": "30s", "compile_wait": "30s"}

    def scopes(self) -> tuple[str, ...]:
        return (GROUP,)

    def empty(self, why: str) -> F5Table:
        return F5Table(OWNER, GROUP, "Common", incomplete=why)

    def found(self, table: F5Table) -> tuple[Found, ...]:
        return tuple(self._found(one) for _, one in sorted(table.virtuals.items()))

    def _found(self, virtual: Virtual) -> Found:
        """Return a virtual server: reached at its address, forwarding to its members, where its connections come from its own address."""
        snat, members = AddressSet.of(SNAT), AddressSet.of(*self.behind.get(virtual.path, ()))
        onward = (Forward(virtual.listener.services, members, virtual.listener.services, snat),) if members else ()
        own = FoundInterface(virtual.path, "rd0", virtual.addresses, virtual.point, shared=GROUP, forwards=onward)
        why = "connections to pool members start here; none arrive"
        source = FoundInterface(f"{virtual.path}#source", "rd0", snat, None, why, source_only=True, shared=GROUP)
        return Found(virtual.path, virtual.name, GROUP, GROUP, tuple(sorted(self.tags[virtual.path].items())), (own, source))

    def without(self, refs: Iterable[str]) -> F5Table:
        gone = set(refs)
        return replace(self.table, virtuals={path: one for path, one in self.table.virtuals.items() if path not in gone})

    def cards(self) -> tuple[Card, ...]:
        return tuple((virtual.point, addresses(virtual.addresses)) for virtual in self.table.virtuals.values())

    def add(self, rng: Random, labels: Tags) -> str:
        self.number += 1
        path = f"/Common/f5-{self.number}"
        own = AddressSet.of(f"10.60.0.{self.number}")
        listener = Listener(AddressSet.of("0.0.0.0/0"), rng.choice(LISTENERS))
        carried = rng.choice(("", "/Common/legacy-a", "/Common/legacy-b"))
        self.table = replace(
            self.table, virtuals=dict(sorted({**self.table.virtuals, path: Virtual(path, GROUP, 0, own, listener, carried)}.items()))
        )
        self.tags[path] = dict(labels)
        return path

    def remove(self, ref: str) -> None:
        self.table = self.without([ref])
        del self.tags[ref]

    def apply(self, adapter: Adapter, step: Step) -> tuple[tuple[str, str], ...]:
        del adapter
        try:
            self.table = f5_simulate(self.table, step)
        except ValueError as error:
            raise RejectedError("01070734", str(error)) from error
        return ()

    def part(self, old: F5Table, now: F5Table, steps: Iterable[Step]) -> F5Table:
        del old, steps
        return now  # the adapter reads the firewall's part of a device again as a whole

    def _ours(self) -> list[str]:
        return sorted(path for path, one in self.table.policies.items() if one.mark is not None)

    def tamper(self, rng: Random) -> str:
        mine = self._ours()
        if not mine:
            return ""
        path = rng.choice(mine)
        kind = rng.choice(("detach", "widen"))
        carried = sorted(name for name, one in self.table.virtuals.items() if one.enforced == path)
        if kind == "detach" and carried:
            name = rng.choice(carried)
            self.table = replace(self.table, virtuals={**self.table.virtuals, name: replace(self.table.virtuals[name], enforced="")})
            return f"detach {name}"
        held = self.table.policies[path]
        odd = Rule("hand", Action.ACCEPT, Ends(frozenset({words.span("203.0.113.99")})), native=Native(6, ((23, 23),)))
        self.table = replace(self.table, policies={**self.table.policies, path: replace(held, rules=(odd, *held.rules))})
        return f"widen {path}"

    def unmark(self, rng: Random) -> str:
        mine = self._ours()
        if not mine:
            return ""
        path = rng.choice(mine)
        held = replace(self.table.policies[path], mark=None, description="mine now")
        self.table = replace(self.table, policies={**self.table.policies, path: held})
        return path

    def meddle(self, rng: Random) -> str:
        path = rng.choice(("/Common/legacy-a", "/Common/legacy-b", "/Common/edge"))
        self.table = replace(self.table, policies={**self.table.policies, path: Policy(path, _rules(rng))})
        return path

    def foreign(self) -> Mapping[str, object]:
        found: dict[str, object] = {path: one for path, one in self.table.policies.items() if one.mark is None}
        found |= {path: one for path, one in self.table.lists.items() if one.mark is None}
        found["contexts"] = (self.table.enforced, tuple((path, one.enforced) for path, one in self.table.route_domains.items()))
        return found


def _rules(rng: Random) -> tuple[Rule, ...]:
    found = []
    for at in range(rng.randint(0, 3)):
        protocol, port = rng.choice(PORTS)
        action = rng.choice((Action.ACCEPT, Action.ACCEPT, Action.DROP, Action.DECISIVELY))
        ends = Ends(frozenset({words.span(rng.choice(PEERS))}))
        found.append(Rule(f"r{at}", action, ends, native=Native(protocol, ((port, port),))))
    return tuple(found)

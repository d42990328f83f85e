"""The state of this Azure: resources, running operations, ids, and the time."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from ..clock import LabClock
from ..kit.faults import Json
from . import names
from .errors import ArmError
from .names import Path
from .switches import Limits, Switches


@dataclass(slots=True)
class Resource:
    """One top-level resource. Its documents are never changed in place, so that they can be shared and compared."""

    path: Path
    location: str
    tags: dict[str, str] = field(default_factory=dict)
    properties: Json = field(default_factory=dict)
    """What clients may set, children inline."""
    extra: Json = field(default_factory=dict)
    """Fields beside `properties`: sku, zones, identity."""
    etag: str = ""
    state: str = "Succeeded"
    running: str | None = None
    """The id of the operation that works on it."""
    settled: Json = None
    """Properties as the data plane knows them: those of the last operation that succeeded."""
    settled_at: float = 0.0
    before: Resource | None = None
    """As it was before the last write; for reads that come from a replica that lags."""
    hidden: Json = field(default_factory=dict)
    """What the service itself knows: GUID, MAC address, power state."""
    _id: str = field(default="", repr=False, compare=False)

    @property
    def id(self) -> str:
        """The canonical id."""
        if not self._id:
            self._id = self.path.text
        return self._id

    @property
    def kind(self) -> str:
        """`Microsoft.Network/networkSecurityGroups`."""
        return self.path.type_name


class Status(Enum):
    """How an operation stands."""

    RUNNING = "InProgress"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELED = "Canceled"


@dataclass(slots=True)
class Operation:
    """One long-running operation."""

    operation_id: str
    subscription: str
    provider: str
    location: str
    target: str
    """Key of the resource."""
    started: float
    polls: int
    seconds: float
    goal: Json
    """Properties to settle at the end; None: the resource goes."""
    status: Status = Status.RUNNING
    error: Json = None
    looks: int = 0
    lost: bool = False
    """Nobody finds it any more; it takes effect all the same."""
    stuck: bool = False
    fails_with: Json = None


class World:
    """Everything there is."""

    def __init__(self) -> None:
        self.clock = LabClock()
        self.switches = Switches()
        self.limits = Limits()
        self.subscriptions: dict[str, str] = {}
        """id -> display name"""
        self.groups: dict[str, Resource] = {}
        self.resources: dict[str, Resource] = {}
        self.operations: dict[str, Operation] = {}
        self.running: set[str] = set()
        """Ids of the operations that have not ended."""
        self.locks: dict[str, Json] = {}
        """Key of a lock's id -> its document."""
        self.refusals: dict[str, Json] = {}
        """Key of a resource -> the error that every write of it meets: managed policies and deny assignments."""
        self.gateway_prefixes: dict[str, tuple[str, ...]] = {}
        """Key of a VNet -> what its gateway learned."""
        self.lag_s: dict[str, float] = {}
        """Key of an NSG -> how long after completion its data plane still uses the old rules."""
        self.older: dict[str, Json] = {}
        """Key of an NSG -> the rules its data plane uses while it lags."""
        self.flows: list[Json] = []
        self.activity: list[Json] = []
        """The events of the Activity Log, in order."""
        self._seed, self._made, self._answered = 1, 0, 0
        self._backs: tuple[int, dict[str, tuple[list[str], list[str]]]] | None = None
        self.version = 0

    def forget(self, seed: int) -> None:
        """Begin anew; ids depend on the seed alone."""
        self.switches, self.limits = Switches(), Limits()
        for kept in (
            self.groups,
            self.resources,
            self.operations,
            self.refusals,
            self.gateway_prefixes,
            self.lag_s,
            self.older,
            self.locks,
        ):
            kept.clear()
        self.flows.clear()
        self.activity.clear()
        self.running.clear()
        self._seed, self._made, self._answered = seed, 0, 0
        self._backs = None
        self.version += 1
        self.clock.thaw()

    # --- ids --------------------------------------------------------------------------------------------------------

    def guid(self) -> str:
        """The next id."""
        self._made += 1
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._seed}/{self._made}"))

    def request_id(self) -> str:
        """The next id of an answer; from a count of their own, so that ids of resources do not depend on how often somebody has asked."""
        self._answered += 1
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self._seed}/{self._answered}"))

    def etag(self) -> str:
        """The next ETag."""
        return f'W/"{self.guid()}"'

    # --- lookups ----------------------------------------------------------------------------------------------------

    def find(self, text: str) -> Resource | None:
        """The resource of an id, in any spelling."""
        return self.resources.get(names.key(text))

    def of_kind(self, kind: str, subscription: str | None = None, group: str | None = None) -> Iterator[Resource]:
        """All resources of a kind, in the order of their creation."""
        for each in self.resources.values():
            if each.kind != kind or (subscription is not None and each.path.subscription.lower() != subscription.lower()):
                continue
            if group is None or (each.path.group or "").lower() == group.lower():
                yield each

    def need_subscription(self, wanted: str) -> str:
        """Return the spelling of a subscription; ArmError when there is none of that id."""
        found = next((each for each in self.subscriptions if each.lower() == wanted.lower()), None)
        if found is None:
            raise ArmError(404, "SubscriptionNotFound", f"The subscription '{wanted}' could not be found.")
        return found

    def canonical(self, path: Path) -> Path:
        """A path with its subscription, group and existing names in the spelling they were created in. ArmError for an unknown scope."""
        subscription = self.need_subscription(path.subscription)
        group = path.group
        if group is not None:
            known = self.groups.get(f"{subscription}/{group}".lower())
            if known is None:
                raise ArmError(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")
            group = known.path.group
        moved = Path(subscription, group, path.provider, path.types, path.names)
        if path.names and path.types:
            top = self.find(Path(subscription, group, path.provider, path.types[:1], path.names[:1]).text)
            if top is not None:
                moved = Path(subscription, group, path.provider, path.types, (top.path.names[0], *path.names[1:]))
        return moved

    # --- changes ----------------------------------------------------------------------------------------------------

    def add(self, resource: Resource) -> None:
        """Put a resource, new or instead of the old one."""
        self.resources[names.key(resource.id)] = resource
        self.version += 1

    def remove(self, resource: Resource) -> None:
        """Take a resource away."""
        self.resources.pop(names.key(resource.id), None)
        self.version += 1

    def touch(self, text: str) -> None:
        """Something else now refers to this resource, or no longer: it has a new ETag."""
        found = self.find(text)
        if found is not None:
            found.etag = self.etag()

    # --- back references --------------------------------------------------------------------------------------------

    def attached(self, group: Resource) -> tuple[list[str], list[str]]:
        """Ids of the interfaces and of the subnets that carry an NSG."""
        if self._backs is None or self._backs[0] != self.version:
            self._backs = (self.version, self._index())
        return self._backs[1].get(names.key(group.id), ([], []))

    def _index(self) -> dict[str, tuple[list[str], list[str]]]:
        found: dict[str, tuple[list[str], list[str]]] = {}
        for each in self.resources.values():
            if each.path.types[-1] == "networkInterfaces":
                carried = each.properties.get("networkSecurityGroup")
                if carried:
                    found.setdefault(names.key(carried["id"]), ([], []))[0].append(each.id)
            elif each.path.types == ("virtualNetworks",):
                for subnet in each.properties.get("subnets", []):
                    carried = subnet["properties"].get("networkSecurityGroup")
                    if carried:
                        found.setdefault(names.key(carried["id"]), ([], []))[1].append(f"{each.id}/subnets/{subnet['name']}")
        return found

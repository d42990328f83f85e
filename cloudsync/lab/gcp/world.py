"""The estate of the simulated vendor: projects with their resources and operations, and the moments at which operations take effect."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ..clock import LabClock
from ..kit.faults import Json
from ..kit.journal import Entry
from .links import PUBLIC, Link
from .refusal import ComputeError, not_found
from .settings import Settings

Object = dict[str, Json]
"""A resource as it is shown. Never changed in place: a change puts another one there."""

KINDS = ("firewalls", "networks", "subnetworks", "instances", "firewallPolicies")
REGIONS = ("europe-west1", "europe-west4", "us-central1")
ZONES = tuple(f"{region}-{letter}" for region in REGIONS for letter in "bcd")
QUOTAS = {"FIREWALLS": 500, "NETWORKS": 15, "SUBNETWORKS": 275, "INSTANCES": 6000, "NETWORK_FIREWALL_POLICIES": 100}

_BEGIN = dt.datetime(2026, 1, 5, 9, 0, tzinfo=dt.timezone(dt.timedelta(hours=-8)))
"""The estate's own calendar, so that the same seed gives the same timestamps; they carry California's offset as the vendor's do."""
_EMPTY_PRINT = "42WmSpB8rSM="
"""The fingerprint of no labels and of no tags."""
_PAST = 64


def fingerprint(content: Json) -> str:
    """Return a fingerprint of some content."""
    if not content:
        return _EMPTY_PRINT
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()
    return base64.b64encode(digest[:8]).decode()


def same_print(one: Json, other: Json) -> bool:
    """Compare fingerprints; clients that know them as bytes send them back in the alphabet of URLs."""
    return all(isinstance(each, str) for each in (one, other)) and _standard(one) == _standard(other)


def _standard(text: str) -> str:
    return text.translate(str.maketrans("-_", "+/"))


@dataclass(slots=True)
class Operation:
    """A change that was accepted."""

    body: Object
    path: str
    """Where it can be asked for, below the API's root."""
    target: str
    """Path of the resource it changes."""
    due: float
    entry: Entry
    effect: Callable[[], None] | None
    running_from: float
    stuck: bool = False
    lost: bool = False
    failure: Object | None = None
    """What `error` and the HTTP fields shall say instead of an effect."""
    done_at: float | None = None

    @property
    def done(self) -> bool:
        """Has it ended?"""
        return self.done_at is not None


@dataclass(slots=True)
class Project:
    """One project."""

    name: str
    number: str
    host: str | None = None
    """The host project whose networks its machines may use."""
    hosts: bool = False
    limits: dict[str, int] = field(default_factory=lambda: dict(QUOTAS))
    tables: dict[str, dict[str, Object]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    operations: dict[str, Operation] = field(default_factory=dict)
    running: dict[str, Operation] = field(default_factory=dict)
    """Those that are not done, by name."""
    requests: dict[str, tuple[float, Operation]] = field(default_factory=dict)
    past: deque[dict[str, dict[str, Object]]] = field(default_factory=lambda: deque(maxlen=_PAST))
    """The tables before each of the latest changes."""
    hierarchy: list[Object] = field(default_factory=list)
    """Policies of the organisation and its folders, in the order they are evaluated."""
    system: list[Object] = field(default_factory=list)
    """Policies of the vendor's own services."""
    regional: dict[str, list[Object]] = field(default_factory=dict)
    """Regional network firewall policies by region: {name, network, rules}."""

    def usage(self, metric: str) -> int:
        """How much of a quota is used."""
        kind = {"NETWORK_FIREWALL_POLICIES": "firewallPolicies"}.get(metric, metric.lower())
        return len(self.tables.get(kind, {}))


@dataclass(slots=True)
class Packets:
    """VPC firewall rules as packets meet them: a rule gets there some time after its operation is DONE."""

    rules: dict[str, Object] = field(default_factory=dict)
    """By path."""
    coming: list[tuple[float, int, str, Object | None]] = field(default_factory=list)
    _next: int = 0
    _ordered: dict[tuple[str, str], list[tuple[str, Object]]] = field(default_factory=dict)

    def ordered(self, network: str, direction: str) -> list[tuple[str, Object]]:
        """Return the enforced rules of a network and direction by path: smallest number first, deny before allow."""
        key = (network, direction)
        if key not in self._ordered:
            found = [
                (path, rule)
                for path, rule in self.rules.items()
                if (rule["network"], rule["direction"]) == key and not rule.get("disabled")
            ]
            self._ordered[key] = sorted(found, key=lambda each: (int(each[1]["priority"]), "allowed" in each[1], each[0]))
        return self._ordered[key]

    def change(self, due: float, path: str, rule: Object | None) -> None:
        """Let a rule (None: its absence) get there at a moment."""
        self._next += 1
        self.coming.append((due, self._next, path, rule))

    def settle(self, now: float) -> None:
        """Take over what is due, in order."""
        ready = sorted((each for each in self.coming if each[0] <= now), key=lambda each: each[:2])
        self.coming = [each for each in self.coming if each[0] > now]
        if ready:
            self._ordered.clear()
        for _due, _number, path, rule in ready:
            if rule is None:
                self.rules.pop(path, None)
            else:
                self.rules[path] = rule


@dataclass(slots=True)
class World:
    """All there is."""

    clock: LabClock
    settings: Settings = field(default_factory=Settings)
    projects: dict[str, Project] = field(default_factory=dict)
    packets: Packets = field(default_factory=Packets)
    history: list[Object] = field(default_factory=list)
    """Every change that took effect, in order."""
    seed: int = 1
    generation: int = 0
    """How often it began anew: what was asked of an earlier world is not done in this one."""
    _issued: int = 0
    began: float = 0.0
    _planned: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def begin(self, seed: int) -> None:
        """Forget everything; the same seed gives the same ids."""
        self.generation += 1
        self.projects.clear()
        self.packets = Packets()
        self.history.clear()
        self._planned.clear()
        self.settings = Settings()
        self.seed, self._issued, self.began = seed, 0, self.clock.now()

    # --- ids and times --------------------------------------------------------------------------------------------

    def new_id(self) -> str:
        """Return a number of 64 bits that nobody had before."""
        self._issued += 1
        digest = hashlib.sha256(f"{self.seed}/{self._issued}".encode()).digest()
        return str(10**18 + int.from_bytes(digest[:7], "big") * 100 + self._issued % 100)

    def stamp(self, moment: float | None = None) -> str:
        """Spell a moment of the lab's time as the vendor does."""
        seconds = (self.clock.now() if moment is None else moment) - self.began
        return (_BEGIN + dt.timedelta(seconds=round(seconds, 3))).isoformat(timespec="milliseconds")

    # --- looking up -----------------------------------------------------------------------------------------------

    def project(self, name: str) -> Project:
        """Return a project by name or number."""
        found = self.projects.get(name) or next((each for each in self.projects.values() if each.number == name), None)
        if found is None:
            raise not_found(f"projects/{name}")
        return found

    def find(self, link: Link) -> Object:
        """Return a resource."""
        found = self.project(link.project).tables[link.kind].get(link.key)
        if found is None:
            raise not_found(link.path)
        return found

    def users_of(self, network_url: str) -> list[tuple[Project, Object]]:
        """Return every machine of any project with an interface in a network, in order."""
        return [
            (project, instance)
            for project in self.projects.values()
            for _key, instance in sorted(project.tables["instances"].items())
            if any(nic["network"] == network_url for nic in instance["networkInterfaces"])
        ]

    # --- changing -------------------------------------------------------------------------------------------------

    def put(self, link: Link, value: Object | None) -> None:
        """Put a resource there, or take it away (None)."""
        project = self.project(link.project)
        project.past.append({kind: dict(table) for kind, table in project.tables.items()})
        table = project.tables[link.kind]
        if value is None:
            table.pop(link.key, None)
        else:
            table[link.key] = value
        if link.kind == "firewalls":
            self._propagate(link.path, value)

    def _propagate(self, path: str, rule: Object | None) -> None:
        before = self.packets.rules.get(path)
        tagged = any(each is not None and each.get("sourceTags") for each in (rule, before))
        delay = self.settings.tag_propagation_s if tagged else self.settings.propagation_s
        self.packets.change(self.clock.now() + delay, path, rule)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something after some time, at the first call that comes then."""
        self._planned.append((self.clock.now() + seconds, act))

    def settle(self) -> None:
        """Let everything take effect whose moment has come."""
        now = self.clock.now()
        for project in list(self.projects.values()):
            due = [one for one in project.running.values() if not one.stuck and one.due <= now]
            due.sort(key=lambda one: one.due)
            for operation in reversed(due) if self.settings.operation_order == "lifo" else due:
                self.finish(operation)
        ready = [act for due_at, act in self._planned if due_at <= now]
        self._planned = [each for each in self._planned if each[0] > now]
        for act in ready:
            act()
        self.packets.settle(now)

    def finish(self, operation: Operation) -> None:
        """End one operation: its effect takes place, or it fails."""
        body = {**operation.body, "status": "DONE", "progress": 100, "endTime": self.stamp()}
        failure = operation.failure
        if failure is None and operation.effect is not None:
            try:
                self.apply(operation)
            except ComputeError as refusal:
                failure = failed(refusal)
        if failure is not None:
            body |= failure
            operation.entry.notes["operation_error"] = failure["error"]["errors"][0]["code"]
        operation.body, operation.done_at, operation.effect = body, self.clock.now(), None
        for project in self.projects.values():
            project.running.pop(operation.body["name"], None)

    def apply(self, operation: Operation) -> None:
        """Let an operation take effect, once."""
        effect, operation.effect = operation.effect, None
        if effect is None:
            return
        effect()
        operation.entry.applied = True
        entry = operation.entry
        self.record(operation.target, entry.operation, by=entry.by, who=operation.body["user"], call=entry.sequence)

    def record(self, target: str, kind: str, *, by: str, who: str, call: int | None = None) -> None:
        """Remember that a resource has changed, by whom (`who`: the principal), and what it is now."""
        link = link_of(target)
        found = self.project(link.project).tables.get(link.kind, {}).get(link.key)
        now = self.clock.now()
        self.history.append({"at": now, "call": call, "operation": kind, "target": target, "by": by, "who": who, "after": found})


def failed(refusal: ComputeError, *, http: bool = True) -> Object:
    """Return what an operation says that failed for the reason a call would have been refused for."""
    reasons = {
        400: "BAD REQUEST",
        403: "FORBIDDEN",
        404: "NOT FOUND",
        409: "CONFLICT",
        412: "PRECONDITION FAILED",
        413: "PAYLOAD TOO LARGE",
    }
    said: Object = {"error": {"errors": [{"code": refusal.operation_code().lstrip("_"), "message": refusal.message}]}}
    if http:
        said |= {"httpErrorStatusCode": refusal.code, "httpErrorMessage": reasons.get(refusal.code, "INTERNAL SERVER ERROR")}
    return said


def link_of(url: str) -> Link:
    """Read a link that we have written ourselves."""
    parts = url.removeprefix(PUBLIC).split("/")
    place = "global" if parts[2] == "global" else "/".join(parts[2:4])
    return Link(parts[1], place, parts[-2], parts[-1])

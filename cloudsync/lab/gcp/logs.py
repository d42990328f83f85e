"""Cloud Logging's entries.list over the estate's own history: the admin activity log of what took effect.

Entries are there at once, one for each change; the real log is seconds to minutes late and has two of a change that takes its time.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..kit.faults import Json
from .call import Principal
from .permissions import holds
from .refusal import ComputeError, Extra
from .world import Object, Project, World

LIST = "logging.entries.list"
PATH = "/v2/entries:list"
RIGHT = "logging.logEntries.list"
_PAGE, _PAGE_MOST = 50, 1000
_TERM = re.compile(r'\s*(?:AND\s+)?(?P<field>[\w.]+)\s*(?P<op>>=|<=|=|:)\s*(?P<value>\([^()]*\)|"[^"]*"|[^\s()"]+)\s*')
_RESOURCES = {"firewalls": "gce_firewall_rule", "instances": "gce_instance", "networks": "gce_network", "subnetworks": "gce_subnetwork"}
_ORDERS = ("", "timestamp asc", "timestamp desc")


def scope_of(body: Json) -> str:
    """Return the project that a call names first, for the journal."""
    names = body.get("resourceNames") if isinstance(body, dict) else None
    return str(names[0]).removeprefix("projects/") if isinstance(names, list) and names else ""


def entries(world: World, principal: Principal, body: Json) -> Object:
    """Answer entries.list: what fits the filter, in order, page by page. No entry at all: an empty object."""
    names = body.get("resourceNames") if isinstance(body, dict) else None
    if not isinstance(names, list) or not names:
        raise _wrong("resource_names must name at least one resource.")
    found: list[Object] = []
    for project in (_readable(world, principal, str(name)) for name in names):
        found += _log_of(world, project)
    size, order, first = body.get("pageSize", _PAGE), body.get("orderBy", ""), str(body.get("pageToken", "") or "0")
    if not isinstance(size, int) or not 0 < size <= _PAGE_MOST:
        raise _wrong(f"page_size must be between 1 and {_PAGE_MOST}.")
    if order not in _ORDERS:
        raise _wrong("order_by must be 'timestamp asc' or 'timestamp desc'.")
    if not first.isdecimal():
        raise _wrong("page_token is not valid.")
    terms = tuple(_terms(str(body.get("filter", ""))))
    found = [one for one in found if all(term.fits(one) for term in terms)]
    found.sort(key=lambda one: str(one["timestamp"]), reverse=order == "timestamp desc")
    page, last = found[int(first) : int(first) + size], int(first) + size
    answer: Object = {"entries": page} if page else {}
    return answer | ({"nextPageToken": str(last)} if last < len(found) else {})


def _readable(world: World, principal: Principal, name: str) -> Project:
    project = world.projects.get(name.removeprefix("projects/"))
    mine = project is not None and ("*" in principal.projects or project.name in principal.projects)
    if project is None or not mine or not holds(principal, RIGHT):
        raise denied()
    return project


def denied() -> ComputeError:
    """Return the refusal for want of the permission."""
    return ComputeError(403, "forbidden", "Permission denied for all log views", Extra(bare=True, status="PERMISSION_DENIED"))


def _wrong(text: str) -> ComputeError:
    return ComputeError(400, "badRequest", text, Extra(bare=True, status="INVALID_ARGUMENT"))


# --- the log ----------------------------------------------------------------------------------------------------------


def _log_of(world: World, project: Project) -> Iterator[Object]:
    began = world.clock.utc() - dt.timedelta(seconds=world.clock.now())
    for number, one in enumerate(world.history):
        if str(one["target"]).startswith(f"projects/{project.name}/"):
            yield _entry(project, number, one, began + dt.timedelta(seconds=one["at"]))


def _entry(project: Project, number: int, one: Object, at: dt.datetime) -> Object:
    stamp = at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    kind = str(one["target"]).split("/")[-2]
    return {
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "authenticationInfo": {"principalEmail": one["who"]},
            "serviceName": "compute.googleapis.com",
            "methodName": f"v1.compute.{one['operation']}",
            "resourceName": one["target"],
            "request": {"@type": f"type.googleapis.com/compute.{one['operation']}"},
        },
        "insertId": f"lab{number:08x}",
        "resource": {"type": _RESOURCES.get(kind, "audited_resource"), "labels": {"project_id": project.name}},
        "timestamp": stamp,
        "severity": "NOTICE",
        "logName": f"projects/{project.name}/logs/cloudaudit.googleapis.com%2Factivity",
        "operation": {"id": f"operation-{number}", "producer": "compute.googleapis.com", "last": True},
        "receiveTimestamp": stamp,
    }


# --- the filter -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Term:
    """One comparison with one value or, in parentheses, any of several."""

    field: str
    operator: str
    values: tuple[str, ...]

    def fits(self, entry: Object) -> bool:
        found: Json = entry
        for part in self.field.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return isinstance(found, str) and any(self._holds(found, each) for each in self.values)

    def _holds(self, found: str, wanted: str) -> bool:
        match self.operator:
            case "=":
                return found.lower() == wanted.lower()
            case ":":
                return wanted.lower() in found.lower()
        one, other = _moment(found), _moment(wanted)
        return one >= other if self.operator == ">=" else one <= other


def _terms(text: str) -> Iterator[_Term]:
    """Read a filter: comparisons, all of which must hold."""
    position = 0
    while position < len(text):
        term = _TERM.match(text, position)
        if term is None:
            raise _wrong("Unparseable filter: syntax error.")
        values = tuple(each.strip().strip('"') for each in term["value"].strip("()").split(" OR "))
        if term["op"] in (">=", "<="):
            for each in values:
                _moment(each)
        yield _Term(term["field"], term["op"], values)
        position = term.end()


def _moment(text: str) -> dt.datetime:
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        raise _wrong(f"Unparseable filter: {text} is no timestamp.") from None
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)

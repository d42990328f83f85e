"""Who made a rule: the latest change of it in the project's admin activity log (Cloud Audit Logs).

The log is asked by entries.list (Cloud Logging API v2), whose quota is small: one call a run, one page, the latest entries first. Admin
activity is always written and kept 400 days; a change that takes its time has two entries, at its begin and its end (Cloud Audit Logs
overview; Understanding audit logs). An entry names the rule and not what stood in it, so whoever changed a rule last made what is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from cloudsync.model.errors import AdapterError
from cloudsync.model.witness import Author, NativeRule
from cloudsync_gcp.client import Client

RULES_MOST = 50
"""Rules asked about in one run: a filter has at most 20,000 characters (Cloud Logging quotas)."""
PAGE = 500
METHODS = tuple(f"v1.compute.firewalls.{verb}" for verb in ("insert", "patch", "update"))
_WHERE = "/global/firewalls/"


def authors(client: Client, wanted: Mapping[str, set[str]], since: float) -> dict[NativeRule, Author]:
    """Return who changed each wanted rule last: name -> native texts. Raises AdapterError."""
    names = sorted(wanted)[:RULES_MOST]
    if not names:
        return {}
    project = client.settings.project
    answer = client.log_entries(project, asking(project, names, since))
    entries = answer.get("entries", [])
    if not isinstance(entries, list):
        raise AdapterError(project, "entries.list", "the answer holds no list `entries`")
    found: dict[NativeRule, Author] = {}
    for name, author in latest(entries).items():
        found |= {(name, native): author for native in wanted.get(name, ())}
    return found


def asking(project: str, names: Iterable[str], since: float) -> dict[str, Any]:
    """Return the body of entries.list for some rules. `since`: UTC seconds since the epoch."""
    rules = " OR ".join(f'"projects/{project}{_WHERE}{name}"' for name in names)
    methods = " OR ".join(f'"{one}"' for one in METHODS)
    terms = (
        f'logName="projects/{project}/logs/cloudaudit.googleapis.com%2Factivity"',
        'resource.type="gce_firewall_rule"',
        f'timestamp>="{datetime.fromtimestamp(since, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")}"',
        f"protoPayload.methodName=({methods})",
        f"protoPayload.resourceName=({rules})",
    )
    return {"resourceNames": [f"projects/{project}"], "filter": " AND ".join(terms), "orderBy": "timestamp desc", "pageSize": PAGE}


def latest(entries: Iterable[object]) -> dict[str, Author]:
    """Return the author of the latest change of each rule, by name. What was refused or failed changed nothing."""
    read = [one for one in (_read(entry) for entry in entries) if one is not None]
    failed = {operation for operation, _, _, wrong in read if wrong and operation}
    found: dict[str, Author] = {}
    for operation, name, author, wrong in read:
        if not wrong and operation not in failed and (name not in found or author.at > found[name].at):
            found[name] = author
    return found


def _read(entry: object) -> tuple[str, str, Author, bool] | None:
    """Return operation, rule, author and whether the change came to nothing; None for an entry in another shape."""
    try:
        said: Any = entry
        payload, at = said["protoPayload"], datetime.fromisoformat(said["timestamp"])
        where, method = str(payload["resourceName"]), str(payload["methodName"])
        name = where.partition(_WHERE)[2]
        if not name or method not in METHODS or at.tzinfo is None:
            return None
        author = Author(next(_who(payload)), at.timestamp(), f"{method} (Cloud Audit Logs)")
        operation = str((said.get("operation") or {}).get("id") or "")
        return operation, name, author, bool((payload.get("status") or {}).get("code"))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _who(payload: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names that an entry has for its caller, the best first."""
    identity = payload.get("authenticationInfo") or {}
    for key in ("principalEmail", "principalSubject"):
        if identity.get(key):
            yield str(identity[key])
    yield "somebody unnamed"

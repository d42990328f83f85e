"""Who made a rule: the writes of a resource group in the subscription's Activity Log.

The log is asked by ActivityLogs_List (Azure Monitor, 2015-04-01): the filter names a span of time and a resource group, events are kept 90
days, and arrive minutes late. An event names what was written and not what stood in it. A write of the rule itself tells its author, the
latest counts. A write of the whole group may have changed any of its rules, so it tells only where one caller alone made such writes. Our
own writes never count: they leave the rules of others as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from cloudsync.model.errors import AdapterError
from cloudsync.model.quick import dataclass
from cloudsync.model.witness import Author, NativeRule
from cloudsync_azure.client import Client
from cloudsync_azure.decode import native_text
from cloudsync_azure.table import AzureTable

VERSION = "2015-04-01"
GROUPS_MOST, PAGES_MOST = 5, 5
"""Resource groups asked about in one run, and pages of events of each: the latest come first."""
_GROUP_WRITE = "microsoft.network/networksecuritygroups/write"
_RULE_WRITE = "microsoft.network/networksecuritygroups/securityrules/write"


@dataclass(frozen=True, slots=True)
class Write:
    """One write that succeeded. `what`: id of the group or rule, in lower case."""

    what: str
    author: Author
    whole: bool


def authors(client: Client, table: AzureTable, rules: Iterable[NativeRule], since: float) -> dict[NativeRule, Author]:
    """Return who made each of these rules. `since`: UTC seconds since the epoch. Raises AdapterError."""
    wanted, asked = set(rules), {}
    for nsg in table.nsgs.values():
        for rule in nsg.rules:
            key = (nsg.short, native_text(rule))
            if key in wanted:
                asked[key] = (nsg.id.lower(), f"{nsg.id}/securityRules/{rule.name}".lower())
    groups = sorted({_resource_group(where) for where, _ in asked.values()})[:GROUPS_MOST]
    if not groups:
        return {}
    ours = client.identities()
    writes = [one for group in groups for one in made(_events(client, group, since), ours)]
    found = {key: _author(writes, where, rule) for key, (where, rule) in asked.items()}
    return {key: author for key, author in found.items() if author is not None}


def made(events: Iterable[object], ours: frozenset[str]) -> tuple[Write, ...]:
    """Return the writes of groups and rules that succeeded, but ours. `ours`: our names, in lower case. Other shapes tell nothing."""
    found: list[Write] = []
    for event in events:
        try:
            said: Any = event
            operation, at = str(said["operationName"]["value"]), datetime.fromisoformat(said["eventTimestamp"])
            caller, claims = str(said.get("caller") or "somebody unnamed"), said.get("claims") or {}
            names = {caller.lower(), str(claims.get("appid") or "").lower()}
            counts = said["status"]["value"] == "Succeeded" and at.tzinfo is not None and not names & ours
            if counts and operation.lower() in (_GROUP_WRITE, _RULE_WRITE):
                author = Author(caller, at.timestamp(), f"{operation} (Activity Log)")
                found.append(Write(str(said["resourceId"]).lower(), author, operation.lower() == _GROUP_WRITE))
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
    return tuple(found)


def _author(writes: Iterable[Write], group: str, rule: str) -> Author | None:
    """Return who wrote a rule last, else who alone wrote its group."""
    own = [one.author for one in writes if one.what == rule and not one.whole]
    whole = [one.author for one in writes if one.what == group and one.whole]
    told = own or (whole if len({one.who for one in whole}) == 1 else [])
    return max(told, key=lambda one: one.at, default=None)


def _events(client: Client, group: str, since: float) -> list[object]:
    span = f"eventTimestamp ge '{_stamp(since)}' and eventTimestamp le '{_stamp(client.clock.now() + 60)}'"
    where = client.path("/providers/Microsoft.Insights/eventtypes/management/values")
    where += "?$filter=" + quote(f"{span} and resourceGroupName eq '{group}'")
    found: list[object] = []
    for _ in range(PAGES_MOST):
        document: Mapping[str, Any] = client.read_once(where, VERSION).document
        events = document.get("value") if isinstance(document, dict) else None
        if not isinstance(events, list):
            raise AdapterError(client.settings.scope, "ActivityLogs_List", "the answer holds no list `value`")
        found += events
        where = str(document.get("nextLink") or "")
        if not where:
            break
    return found


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _resource_group(nsg: str) -> str:
    return nsg.partition("/resourcegroups/")[2].partition("/")[0]

"""What `doctor` asks Azure: who we are, what we may do, how much room is left, and what will surprise. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from cloudsync.adapter import Check
from cloudsync.model.errors import AdapterError
from cloudsync_azure import read as reading
from cloudsync_azure.client import CallFailedError, Client
from cloudsync_azure.limits import ASG_PERMISSIONS, OPTIONAL, PERMISSIONS, PERMISSIONS_VERSION, SUBSCRIPTION_VERSION
from cloudsync_azure.parse import MALFORMED, reason
from cloudsync_azure.quota import load
from cloudsync_azure.table import AzureTable, Nsg

NEARLY = 0.8


def checks(client: Client, target: str, owner: str) -> tuple[Check, ...]:
    """Return every check, the failing ones included; the first failure does not end the rest, but for the identity."""
    identity = tuple(_identity(client, target))
    if not all(check.ok for check in identity):
        return identity
    return (*identity, *_rights(client), *_reading(client, owner))


def _identity(client: Client, target: str) -> Iterator[Check]:
    settings = client.settings
    try:
        document = client.read(client.path(""), SUBSCRIPTION_VERSION).document
        principal = client.principal()
    except AdapterError as failure:
        hint = "set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or log in with az; check subscription and authority"
        yield Check(f"{target}: credentials", ok=False, detail=str(failure), hint=hint)
        return
    shown = document if isinstance(document, dict) else {}
    right = str(shown.get("subscriptionId") or "").lower() == settings.subscription
    tenant = str(shown.get("tenantId") or "").lower()
    hint = "" if right else "use credentials of that subscription, or correct `subscription` in the settings"
    who = principal or "unknown principal"
    detail = f"{who} in subscription {shown.get('subscriptionId')} ({shown.get('displayName', '')}), tenant {tenant}"
    yield Check(f"{target}: identity", right, detail, hint)
    if settings.tenant:
        yield Check(f"{target}: tenant", tenant == settings.tenant, f"{tenant}, settings say {settings.tenant}", "correct `tenant`")


# --- rights ----------------------------------------------------------------------------------------------------------


def _rights(client: Client) -> Iterator[Check]:
    groups = client.settings.resource_groups
    scopes = [""] if groups is None else [f"/resourceGroups/{group}" for group in groups]
    try:
        granted = {scope: _granted(client, scope) for scope in dict.fromkeys(["", *scopes])}
    except CallFailedError as failure:
        hint = "grant Microsoft.Authorization/permissions/read; without it rights show only when they are used"
        yield Check(f"{client.settings.scope}: rights", ok=False, detail=str(failure), hint=hint)
        return
    for one in (*PERMISSIONS, *(ASG_PERMISSIONS if client.settings.asgs else ())):
        if _not_used(client, one.action):
            continue
        where = scopes if one.write else [""]
        missing = [scope or "the subscription" for scope in where if not _covers(granted[scope], one.action)]
        detail = f"{one.why}" if not missing else f"not granted on {', '.join(missing)}: {one.why}"
        hint = "" if not missing else "grant what `cloudsync iam azure` prints"
        yield Check(f"{client.settings.scope}: {one.action}", not missing or one.action in OPTIONAL, detail, hint)


def _not_used(client: Client, action: str) -> bool:
    child = action.startswith("Microsoft.Network/networkSecurityGroups/securityRules/") and not action.endswith("/read")
    whole = action == "Microsoft.Network/networkSecurityGroups/write"
    return whole if client.settings.child else child


def _granted(client: Client, scope: str) -> list[dict[str, Any]]:
    path = client.path(f"{scope}/providers/Microsoft.Authorization/permissions")
    return [dict(one) for one in client.pages(path, PERMISSIONS_VERSION)]


def _covers(granted: list[dict[str, Any]], action: str) -> bool:
    """Tell whether one of the roles allows an action: allowed by it and not taken away by the same one."""
    return any(_any(one.get("actions"), action) and not _any(one.get("notActions"), action) for one in granted)


def _any(patterns: object, action: str) -> bool:
    return isinstance(patterns, list) and any(fnmatchcase(action.lower(), str(one).lower()) for one in patterns)


# --- what is there ---------------------------------------------------------------------------------------------------


def _reading(client: Client, owner: str) -> Iterator[Check]:
    scope = client.settings.scope
    try:
        found = reading.whole(client, owner)
    except (AdapterError, *MALFORMED) as failure:
        yield Check(f"{scope}: read", ok=False, detail=reason(failure), hint="grant what `cloudsync iam azure --read-only` prints")
        return
    table = found.table
    managed = [nsg for nsg in table.nsgs.values() if nsg.managed]
    detail = f"{len(found.workloads)} workloads, {len(table.nics)} interfaces, {len(table.nsgs)} groups, {len(managed)} of them managed"
    yield Check(f"{scope}: read", ok=True, detail=detail)
    if not managed:
        hint = f"tag groups cloudsync-managed={owner}, or name them under `nsgs` in the settings"
        yield Check(f"{scope}: managed groups", ok=False, detail="no group is managed: nothing will be enforced", hint=hint)
    for nsg in managed:
        yield from _room(client, nsg)
        yield from _traps(client, table, nsg)


def _room(client: Client, nsg: Nsg) -> Iterator[Check]:
    limits, held = client.settings.quotas, load(nsg.rules)
    yield _use(f"{nsg.name}: rules", held.rules, limits.rules_per_nsg)
    yield _use(f"{nsg.name}: addresses", held.addresses, limits.addresses_per_nsg)


def _use(name: str, used: int, limit: int) -> Check:
    hint = "" if used <= limit * NEARLY else "spread the machines over more subnets with groups of their own before a plan needs it"
    return Check(name, used <= limit, f"{used} of {limit}", hint)


def _traps(client: Client, table: AzureTable, nsg: Nsg) -> Iterator[Check]:
    """Say what is no fault and yet decides: two groups in series, foreign rules above the band, flushing, nobody behind."""
    behind = [nic for nic in table.nics.values() if nsg.id in table.series(nic)]
    if not behind:
        yield Check(f"{nsg.name}: attachment", ok=True, detail="no interface is behind it: it protects nobody yet")
    series = sum(1 for nic in behind if len(table.series(nic)) > 1)
    if series:
        yield Check(f"{nsg.name}: series", ok=True, detail=f"{series} interfaces have a second group; both must let a packet through")
    above = [rule.name for rule in nsg.rules if not rule.ours and rule.priority < client.settings.band[0]]
    if above:
        text = f"{len(above)} foreign rules stand above our band ({', '.join(above[:3])}{', ...' if len(above) > 3 else ''})"
        yield Check(f"{nsg.name}: band", ok=True, detail=text)
    flush = "on: changes reach established connections" if nsg.flush else "off: established connections live on when rules go"
    yield Check(f"{nsg.name}: flushConnection", ok=True, detail=flush)
    if nsg.others:
        text = f"its tag names {', '.join(nsg.others)} as well"
        yield Check(f"{nsg.name}: owner", ok=False, detail=text, hint="one owner manages a group: correct the tag cloudsync-managed")

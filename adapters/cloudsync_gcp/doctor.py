"""What `doctor` asks Google: who we are, whether the clocks agree, what is allowed, how much room is left, what decides beside our rules.

Nothing is written. Rights are asked for at the Resource Manager, which answers for the whole project.
"""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from cloudsync.adapter import Check, Clock
from cloudsync.model.errors import AdapterError
from cloudsync_gcp import read as reading
from cloudsync_gcp.client import Client
from cloudsync_gcp.limits import OPTIONAL
from cloudsync_gcp.place import automation
from cloudsync_gcp.roles import wanted
from cloudsync_gcp.table import GcpTable, Network

SKEW_MAX_S = 300
"""A token signed by a clock that is further off is refused."""
NEARLY = 0.8


def checks(client: Client, target: str, owner: str, clock: Clock, *, writes: bool) -> tuple[Check, ...]:
    """Return every check, the failing ones included; the first failure does not end the rest, but for the identity."""
    identity = tuple(_identity(client, target, clock))
    if not all(check.ok for check in identity):
        return identity
    found = reading.whole(client, owner)
    return (*identity, *_rights(client, target, writes=writes), *_scopes(found), *_room(found.table, target), *_around(found.table, owner))


def _identity(client: Client, target: str, clock: Clock) -> Iterator[Check]:
    project = client.settings.project
    try:
        answer = client.read(project, "", "compute#project")
        date = client.date()
    except AdapterError as failure:
        hint = "check the key or Application Default Credentials, and the id of the project"
        yield Check(f"{target}: credentials", ok=False, detail=str(failure), hint=hint)
        return
    right = answer.get("name") == project
    hint = "" if right else "use the id of the project (not its number), and credentials that reach it"
    yield Check(f"{target}: identity", right, f"{client.principal()} in project {answer.get('name')}, settings say {project}", hint)
    if date:
        skew = abs(parsedate_to_datetime(date).timestamp() - clock.now())
        hint = "" if skew < SKEW_MAX_S else "set this machine's clock; tokens that are 5 minutes off are refused"
        yield Check(f"{target}: clock", skew < SKEW_MAX_S, f"{skew:.0f} s off Google", hint)


def _rights(client: Client, target: str, *, writes: bool) -> Iterator[Check]:
    for project in client.settings.projects:
        needed = [one.action for one in wanted([client.settings], project, read_only=not writes)]
        try:
            held = client.allowed(project, needed)
        except AdapterError as failure:
            hint = "enable the Cloud Resource Manager API, or look the rights up by hand"
            yield Check(f"{target}: rights in {project}", ok=False, detail=str(failure), hint=hint)
            continue
        for action in needed:
            hint = "" if action in held else "grant what `cloudsync iam gcp` prints"
            yield Check(f"{project}: {action}", action in held | OPTIONAL, "allowed" if action in held else "not granted", hint)


def _scopes(found: reading.ProjectRead) -> Iterator[Check]:
    for scope in found.scopes:
        nics = sum(1 for nic in found.table.nics.values() if nic.scope == scope.scope)
        detail = scope.why or f"read whole: {nics} interfaces"
        yield Check(f"{scope.scope}: read", scope.complete, detail, "" if scope.complete else "grant what `cloudsync iam gcp` prints")


def _room(table: GcpTable, target: str) -> Iterator[Check]:
    used, limit = len(table.rules) + table.room.elsewhere, table.room.limit
    if limit is None:
        yield Check(f"{target}: quota FIREWALLS", ok=False, detail="the project names no such quota", hint="set quotas: {firewalls: N}")
        return
    ok = used <= limit * NEARLY
    yield Check(f"{target}: quota FIREWALLS", ok, f"{used} of {limit} rules used", "" if ok else "ask Google for more before it is full")


def _around(table: GcpTable, owner: str) -> Iterator[Check]:
    for network in table.networks.values():
        yield from _policies(network)
        rules = [rule for rule in table.rules.values() if rule.network == network.key and rule.mark is None and not rule.disabled]
        unreadable = [rule.name for rule in rules if rule.unreadable]
        if unreadable:
            detail = f"cannot be read: {', '.join(unreadable[:5])}"
            yield Check(f"{network.scope}: rules", ok=False, detail=detail, hint="what they do is not known; they are never touched")
        above = [rule.name for rule in rules if rule.priority <= table.layout.deny]
        if above:
            detail = f"{len(above)} foreign rules stand above ours: {', '.join(above[:5])}"
            yield Check(f"{network.scope}: order", ok=True, detail=detail, hint="they decide first; see `band` in the settings")
        made = [rule.name for rule in rules if automation(rule, network)]
        if made:
            detail = f"{len(made)} rules of Google's automation: {', '.join(made[:5])}"
            yield Check(f"{network.scope}: automation", ok=True, detail=detail, hint=f"{owner} leaves them alone unless `adopt` names them")


def _policies(network: Network) -> Iterator[Check]:
    for policy in network.before:
        unreadable = [one for one in policy.rules if one.unreadable]
        hint = "what it lets through is not known exactly: such interfaces are reported as not checked" if unreadable else ""
        detail = f"decides before our rules: {len(policy.rules)} rules" + (f", {len(unreadable)} of them unreadable" if unreadable else "")
        yield Check(f"{network.scope}: {policy.title}", not unreadable, detail, hint)
    for policy in network.after:
        yield Check(f"{network.scope}: {policy.title}", ok=True, detail="decides only what no rule of the network matches")

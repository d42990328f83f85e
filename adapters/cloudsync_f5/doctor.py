"""What `doctor` asks the devices: who they are, whether they agree, what they are ready for, who we are there. Nothing is written.

Rights to write are judged by the role that the device says our user has: the only real proof would be a write.
"""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync.adapter import Check
from cloudsync.model.errors import AdapterError
from cloudsync_f5 import payload as wire
from cloudsync_f5.client import CallFailedError, Device
from cloudsync_f5.identity import identity
from cloudsync_f5.parse import MALFORMED, reason
from cloudsync_f5.read import GROUP, Group, GroupRead, Unit, standing
from cloudsync_f5.settings import F5Settings

BY_HAND = ("on-demand-compilation", "onDemandCompilation"), ("on-demand-rule-deploy", "onDemandRuleDeploy")
ENOUGH = frozenset({"admin", "resource-admin", "manager"})
READERS = frozenset({"guest", "auditor", "operator"})
TOKENS_MOST = 100
NEARLY = 0.8
GRANT = "create what `cloudsync iam f5` prints"


def checks(group: Group) -> tuple[Check, ...]:
    """Return every check, the failing ones included; the first failure does not end the rest, but for the identity."""
    name = group.settings.name
    units, failures = group.units(selves=False)
    found = [Check(f"{name}: {failure.point}", ok=False, detail=failure.reason, hint=_hint(failure)) for failure in failures]
    found += [Check(f"{name}: {unit.host}", ok=True, detail="active" if unit.active else "standby") for unit in units]
    try:
        who = identity(group)
    except AdapterError as failure:
        return (*found, Check(f"{name}: identity", ok=False, detail=str(failure), hint="check the addresses and the credentials"))
    right = who.account == group.settings.account
    hint = "" if right else "correct hosts and device_group in the settings, or the addresses"
    found.append(Check(f"{name}: identity", right, f"{who.account} as {who.principal}, settings say {group.settings.account}", hint))
    if not right:
        return tuple(found)
    return (*found, *_active(group, units))


def _hint(failure: CallFailedError) -> str:
    if failure.code == "NO-CREDENTIALS":
        return "set it, or name another place under user and password"
    if failure.status == 401:
        return "check user and password"
    if "maximum active login tokens" in failure.words:
        return "end old logins: DELETE /mgmt/shared/authz/tokens/..., or wait 20 minutes"
    return "check the address, the certificate authority (ca_file) and the network"


def _active(group: Group, units: list[Unit]) -> Iterator[Check]:
    settings = group.settings
    active = [unit.host for unit in units if unit.active]
    one = len(active) == 1
    hint = "" if one else "one device of the group has to be active: check the failover state"
    yield Check(f"{settings.account}: active", one, ", ".join(active) or "none", hint)
    try:
        found = group.whole()
    except (AdapterError, *MALFORMED) as failure:
        yield Check(f"{settings.account}: read", ok=False, detail=reason(failure), hint=GRANT)
        return
    table = found.table
    detail = f"{len(table.virtuals)} virtual servers, {len(table.policies)} policies, {len(table.lists)} address lists"
    yield Check(f"{settings.account}: read", ok=True, detail=detail)
    known = "what virtual servers forward to is known"
    yield Check(f"{settings.account}: pools", not table.unfollowed, table.unfollowed or known, GRANT if table.unfollowed else "")
    device = group.device(table.active)
    yield from _ready(device, found)
    yield from _group(device, settings)
    yield from _user(device, settings)


def _ready(device: Device, found: GroupRead) -> Iterator[Check]:
    table = found.table
    where = table.scope
    default = "accepted" if table.open_by_default else "dropped"
    yield Check(f"{where}: default", ok=True, detail=f"what no rule of a virtual server matches is {default}")
    lag = sorted(table.running)
    said = table.compiling or "all that is committed is in force"
    detail = f"{len(lag)} contexts run other rules than configured, first: {lag[0]}" if lag else said
    hint = "compile it, or set compiling to automatic" if lag or table.compiling else ""
    yield Check(f"{where}: compiled", not lag and not table.compiling, detail, hint)
    for name, key in BY_HAND:
        try:
            by_hand = device.get(f"/mgmt/tm/security/firewall/{name}").get(key) == "enabled"
        except CallFailedError as failure:
            yield Check(f"{where}: {name}", ok=True, detail=f"not known to this device ({failure.status})")
            continue
        hint = f"set {key} to disabled: else every change waits for a person" if by_hand else ""
        yield Check(f"{where}: {name}", not by_hand, "by hand" if by_hand else "automatic", hint)
    if table.job:
        detail = "the last change was written, but not yet saved, synchronised and cleaned up: the next apply does that"
        yield Check(f"{where}: last job", ok=False, detail=detail, hint="run `cloudsync apply`")


def _group(device: Device, settings: F5Settings) -> Iterator[Check]:
    if not settings.device_group:
        return
    where = settings.account
    try:
        color, words = standing(device)
        by_itself = device.get(f"{GROUP}/{wire.tilded('/Common/' + settings.device_group)}").get("autoSync") == "enabled"
    except (AdapterError, *MALFORMED) as failure:
        yield Check(f"{where}: group", ok=False, detail=reason(failure), hint=GRANT)
        return
    hint = "" if color == "green" else "bring the devices in step, or the next change meets a conflict"
    yield Check(f"{where}: synchronised", color == "green", f"{color}: {words}", hint)
    who = "by itself" if by_itself else ("by us after each change" if settings.sync else "by nobody: sync is false in the settings")
    yield Check(f"{where}: synchronises", by_itself or settings.sync, who, "" if by_itself or settings.sync else "set sync: true")


def _user(device: Device, settings: F5Settings) -> Iterator[Check]:
    name = device.user()
    where = f"{settings.account}: user {name}"
    try:
        raw = device.get(f"/mgmt/tm/auth/user/{name}")
        access = raw.get("partitionAccess") or []
        roles = sorted({str(one.get("role")) for one in access if isinstance(one, dict)})
    except CallFailedError as failure:
        yield Check(where, ok=True, detail=f"its role cannot be read ({failure.status}): rights to write are not known until a write")
    else:
        able = bool(ENOUGH & set(roles))
        reads = bool(READERS & set(roles))
        limited = "reads only: enough for plan, drift and observe" if reads else "may not be allowed to attach, save or synchronise"
        yield Check(where, able, f"role {', '.join(roles) or 'none'}" + ("" if able else f": {limited}"), "" if able else GRANT)
    try:
        live = len(device.get("/mgmt/shared/authz/tokens").get("items") or [])
    except CallFailedError as failure:
        yield Check(f"{where}: logins", ok=True, detail=f"cannot be counted ({failure.status})")
        return
    hint = "" if live <= TOKENS_MOST * NEARLY else "end old logins: a device refuses the one over its limit"
    yield Check(f"{where}: logins", live < TOKENS_MOST, f"{live} of {TOKENS_MOST}", hint)

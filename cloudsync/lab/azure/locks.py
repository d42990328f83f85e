"""Management locks: what they keep from being deleted or changed, and what slips past them."""

from __future__ import annotations

from ..kit.faults import Json
from .calls import Call
from .errors import ArmError, Reply, bad
from .world import World

MARK = "/providers/microsoft.authorization/locks"
_LEVELS = ("CanNotDelete", "ReadOnly")


def scope_of(raw_path: str) -> str | None:
    """The scope of a call on locks; None when the call is about something else."""
    head, found, tail = raw_path.lower().rstrip("/").partition(MARK)
    return head if found and tail.count("/") <= 1 and (not tail or tail.startswith("/")) else None


def handle(world: World, call: Call, scope: str) -> Reply:
    """Carry a call on the locks of a scope out."""
    name = call.raw_path.rstrip("/")[len(scope) + len(MARK) :].strip("/")
    key = f"{scope}{MARK}/{name.lower()}"
    if not name:
        if call.method != "GET":
            raise ArmError(405, "MethodNotAllowed", f"The method {call.method} is not allowed at {call.raw_path}.")
        return Reply(200, {"value": [each for where, each in world.locks.items() if where.startswith(f"{scope}/")]})
    match call.method:
        case "GET" if key in world.locks:
            return Reply(200, world.locks[key])
        case "GET":
            raise ArmError(404, "LockNotFound", f"The lock '{name}' could not be found.")
        case "PUT":
            level = (call.document().get("properties") or {}).get("level")
            if level not in _LEVELS:
                raise bad("InvalidLockLevel", f"The lock level '{level}' is invalid.")
            status = 200 if key in world.locks else 201
            where = call.raw_path.rstrip("/")
            world.locks[key] = {"id": where, "name": name, "type": "Microsoft.Authorization/locks", "properties": {"level": level}}
            return Reply(status, world.locks[key])
        case "DELETE":
            return Reply(200 if world.locks.pop(key, None) is not None else 204)
    raise ArmError(405, "MethodNotAllowed", f"The method {call.method} is not allowed at {call.raw_path}.")


def check(world: World, method: str, path: str) -> None:
    """Refuse a call that a lock on the resource or above it forbids. A PUT of a whole NSG may drop rules that a lock keeps."""
    where = path.lower()
    for key, lock in world.locks.items():
        scope = key.partition(MARK)[0]
        below = where == scope or where.startswith(f"{scope}/")
        if below and (method == "DELETE" or (_level(lock) == "ReadOnly" and method not in ("GET", "HEAD"))):
            operation = "delete" if method == "DELETE" else "write"
            text = (
                f"The scope '{path}' cannot perform {operation} operation because following scope(s) are locked: '{scope}'. "
                "Please remove the lock and try again."
            )
            raise ArmError(409, "ScopeLocked", text)


def _level(lock: Json) -> str:
    return str(lock["properties"]["level"])

"""Who may do what: the permission of every method, and the answer of testIamPermissions."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from .call import Call, Principal
from .world import Object


def holds(principal: Principal, permission: str) -> bool:
    """Has a principal this permission?"""
    return any(fnmatchcase(permission, pattern) for pattern in principal.permissions)


def held(principal: Principal, permissions: Iterable[str]) -> list[str]:
    """Return those of some permissions that a principal has, in the order asked."""
    return [each for each in permissions if holds(principal, each)]


def test(call: Call) -> Object:
    """Answer testIamPermissions of any resource: what the caller has of what was asked."""
    found = held(call.principal, call.body.get("permissions", []))
    return {"permissions": found} if found else {}

"""What Compute answers when it refuses."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ..http import Answer
from ..kit.faults import Json

HEADERS = {
    "Content-Type": "application/json; charset=UTF-8",
    "Vary": "Origin, X-Origin, Referer",
    "Server": "ESF",
    "Cache-Control": "private",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Extra:
    """What some refusals carry beyond code, reason and message."""

    domain: str = "global"
    status: str | None = None
    """The canonical name of the code, in newer kinds of refusal."""
    details: tuple[Json, ...] = ()
    bare: bool = False
    """Without the list `errors`, as some methods answer."""


PLAIN = Extra()
BARE = Extra(bare=True)


class ComputeError(Exception):
    """A call is refused; nothing has changed."""

    def __init__(self, code: int, reason: str, message: str, extra: Extra = PLAIN) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.extra = extra

    def body(self) -> dict[str, Json]:
        """Return the body of the answer."""
        error: dict[str, Json] = {"code": self.code, "message": self.message}
        if not self.extra.bare:
            error["errors"] = [{"message": self.message, "domain": self.extra.domain, "reason": self.reason}]
        if self.extra.status:
            error["status"] = self.extra.status
        if self.extra.details:
            error["details"] = list(self.extra.details)
        return {"error": error}

    def answer(self) -> Answer:
        """Return the answer."""
        return Answer(self.code, json.dumps(self.body()).encode(), HEADERS)

    def operation_code(self) -> str:
        """Return the code of an operation that fails so: QUOTA_EXCEEDED for quotaExceeded."""
        return "".join(f"_{char}" if char.isupper() else char.upper() for char in self.reason)


def invalid(field: str, value: Json, why: str) -> ComputeError:
    """Return the refusal of one field's value."""
    return ComputeError(400, "invalid", f"Invalid value for field '{field}': '{shown(value)}'. {why}")


def not_found(path: str) -> ComputeError:
    """Return the refusal of a resource that does not exist; `path` begins with projects/."""
    return ComputeError(404, "notFound", f"The resource '{path}' was not found")


def exists(path: str) -> ComputeError:
    """Return the refusal of a second resource of one name."""
    return ComputeError(409, "alreadyExists", f"The resource '{path}' already exists")


def not_ready(path: str) -> ComputeError:
    """Return the refusal of a change while another one runs."""
    return ComputeError(400, "resourceNotReady", f"The resource '{path}' is not ready")


def in_use(kind: str, path: str, user: str) -> ComputeError:
    """Return the refusal to delete what another resource uses."""
    return ComputeError(400, "resourceInUseByAnotherResource", f"The {kind} resource '{path}' is already being used by '{user}'")


def stale(what: str) -> ComputeError:
    """Return the refusal of a fingerprint that is not the present one."""
    return ComputeError(412, "conditionNotMet", f"Supplied fingerprint does not match current {what} fingerprint.")


def too_large(field: str, most: int, actual: int) -> ComputeError:
    """Return the refusal of a list with too many elements."""
    text = f"Value for field '{field}' is too large: maximum size {most} element(s); actual size {actual}."
    return ComputeError(413, "fieldSizeTooLarge", text)


def forbidden(permission: str, path: str) -> ComputeError:
    """Return the refusal for want of a permission."""
    return ComputeError(403, "forbidden", f"Required '{permission}' permission for '{path}'")


def rate_limited(project: str, metric: str, code: int = 403) -> ComputeError:
    """Return the refusal of one call too many in this minute."""
    name = f"Queries per minute per project of service 'compute.googleapis.com' for consumer 'project_number:{project}'"
    text = f"Quota exceeded for quota metric '{metric}' and limit '{name}'."
    details = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "RATE_LIMIT_EXCEEDED",
        "domain": "googleapis.com",
        "metadata": {"service": "compute.googleapis.com", "consumer": f"projects/{project}", "quota_metric": metric},
    }
    status = "RESOURCE_EXHAUSTED" if code == 429 else "PERMISSION_DENIED"
    return ComputeError(code, "rateLimitExceeded", text, Extra("usageLimits", status, (details,)))


def unauthenticated(text: str = "Invalid Credentials") -> ComputeError:
    """Return the refusal of a missing, wrong or expired token."""
    return ComputeError(401, "authError", text, Extra(status="UNAUTHENTICATED"))


def shown(value: Json) -> str:
    """Spell a value as the vendor's messages do: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)

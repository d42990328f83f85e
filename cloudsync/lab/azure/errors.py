"""A call that Azure Resource Manager refuses, with the body that it sends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..kit.faults import Json


class ArmError(Exception):
    """The call is refused and leaves no trace."""

    def __init__(self, status: int, code: str, message: str, *, details: Json = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.details: list[Json] = list(details or ())
        self.headers: dict[str, str] = dict(headers or {})

    def body(self, *, bare: bool, from_network: bool) -> Json:
        """The answer: the network provider always sends `details`, the gateway only when there are any; some send no envelope."""
        inner: Json = {"code": self.code, "message": self.message}
        if self.details or from_network:
            inner["details"] = self.details
        return inner if bare else {"error": inner}


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler answers."""

    status: int
    document: Json = None
    """None: no body."""
    headers: Mapping[str, str] = field(default_factory=dict)


def bad(code: str, message: str, *details: Json) -> ArmError:
    """A 400."""
    return ArmError(400, code, message, details=details)

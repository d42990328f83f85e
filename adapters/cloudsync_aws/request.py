"""A step's payload as the call that is sent: `{"call": SDK method, "args": its arguments}` with `{new:KEY}` where an id is missing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from cloudsync.adapter import Step
from cloudsync.model.quick import dataclass
from cloudsync_aws.limits import WRITE_CALLS

Json = Any
"""A JSON value."""

_NEW = re.compile(r"\{new:(.+)\}")


class UnboundError(ValueError):
    """A step cannot be sent: it names a call that is none of ours, or an object that was not created."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call, with the ids that are known by now put in."""

    call: str
    arguments: Mapping[str, Any]
    created: str
    """Key of the object that the call creates, else empty."""

    @classmethod
    def of(cls, step: Step, bindings: Mapping[str, str]) -> Request:
        """Return a step's call. Raises UnboundError when the payload is no call of ours."""
        payload = json.loads(step.payload)
        call, arguments = payload.get("call"), payload.get("args")
        if call not in WRITE_CALLS or not isinstance(arguments, dict) or arguments.get("DryRun"):
            raise UnboundError(f"step {step.key}: {call!r} is no writing call of this adapter")
        return cls(call, _put(arguments, bindings), key_of(step.object) if call.startswith("create_") else "")

    def bound(self) -> dict[str, Any]:
        """Return the arguments. Raises UnboundError when an id is still missing."""
        arguments = dict(self.arguments)
        missing = sorted(_missing(arguments))
        if missing:
            raise UnboundError(f"{self.call} needs objects that do not exist yet: {', '.join(missing)}")
        return arguments


def key_of(text: str) -> str:
    """Return KEY of `{new:KEY}`; any other text unchanged."""
    match = _NEW.fullmatch(text)
    return match[1] if match else text


def _put(value: Json, bindings: Mapping[str, str]) -> Json:
    if isinstance(value, dict):
        return {name: _put(inner, bindings) for name, inner in value.items()}
    if isinstance(value, list):
        return [_put(inner, bindings) for inner in value]
    match = _NEW.fullmatch(value) if isinstance(value, str) else None
    return value if match is None else bindings.get(match[1], bindings.get(value, value))


def _missing(value: Json) -> set[str]:
    if isinstance(value, dict):
        return set().union(*map(_missing, value.values()))
    if isinstance(value, list):
        return set().union(*map(_missing, value))
    match = _NEW.fullmatch(value) if isinstance(value, str) else None
    return {match[1]} if match else set()

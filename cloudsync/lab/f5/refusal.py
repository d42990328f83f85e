"""What a BIG-IP says when it refuses: the two shapes of its error bodies, and the texts that more than one place uses."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..kit.faults import Json

BAD_PROPERTY = 26214401
"""The `apiError` of a body that does not fit the schema."""

_CODE = re.compile(r"\b([0-9a-f]{8}):\d")


@dataclass(slots=True)
class DeviceError(Exception):
    """A refused request."""

    status: int
    message: str
    api_error: int = 3
    rest: bool = False
    """True: the REST framework refused (logins, tokens, unknown paths); False: the device did."""
    html: bool = False

    @property
    def code(self) -> str:
        """The eight digits of the device, or the HTTP status when the device gave none."""
        found = _CODE.search(self.message)
        return found[1] if found else str(self.status)

    def body(self) -> Json:
        """The error body."""
        if self.rest:
            return {
                "code": self.status,
                "message": self.message,
                "referer": "127.0.0.1",
                "restOperationId": 100730102,
                "kind": ":resterrorresponse",
            }
        return {"code": self.status, "message": self.message, "errorStack": [], "apiError": self.api_error}


def bad_property(name: str, value: object) -> DeviceError:
    """A value that the property cannot have."""
    shown = value if isinstance(value, str | int | float) else type(value).__name__
    return DeviceError(400, f'invalid property value "{_kebab(name)}":"{shown}"', BAD_PROPERTY)


def unknown_property(name: str) -> DeviceError:
    """A property that the object does not have."""
    return DeviceError(400, f'"{name}" unknown property', BAD_PROPERTY)


def missing_property(name: str) -> DeviceError:
    """A property without which the object cannot be."""
    return DeviceError(400, f'"{_kebab(name)}" must be specified', BAD_PROPERTY)


def not_found(word: str, path: str) -> DeviceError:
    """An object that is not there."""
    return DeviceError(404, f"01020036:3: The requested {word} ({path}) was not found.")


def exists(word: str, path: str, partition: str) -> DeviceError:
    """An object that is there already."""
    return DeviceError(409, f"01020066:3: The requested {word} ({path}) already exists in partition {partition}.")


def in_use(word: str, path: str, by: str) -> DeviceError:
    """An object that others need."""
    return DeviceError(400, f"01070830:3: The {word} ({path}) cannot be deleted because it is in use by a {by}.")


def unauthorized(message: str) -> DeviceError:
    """401 of the REST framework."""
    return DeviceError(401, message, rest=True)


def unregistered(path: str) -> DeviceError:
    """A path that nobody serves."""
    return DeviceError(404, f"Public URI path not registered: {path}", rest=True)


def _kebab(name: str) -> str:
    return re.sub(r"([a-z])([A-Z])", lambda found: f"{found[1]}-{found[2].lower()}", name)

"""A request as Azure Resource Manager understands it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from ..kit.faults import Json
from . import names
from .errors import bad
from .names import Path


@dataclass(frozen=True, slots=True)
class Call:
    """One request, understood."""

    method: str
    path: Path | None
    raw_path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    operation: str
    """Name of the API's operation, as `NetworkSecurityGroups_CreateOrUpdate`."""

    @property
    def version(self) -> str:
        """The api-version."""
        return self.query.get("api-version", "")

    def document(self) -> Json:
        """The body. ArmError when it is no JSON object."""
        try:
            found = json.loads(self.body or b"{}")
        except ValueError as error:
            raise bad("InvalidRequestContent", f"The request content was invalid and could not be deserialized: '{error}'.") from None
        if not isinstance(found, dict):
            raise bad("InvalidRequestContent", "The request content was invalid and could not be deserialized: 'an object was expected'.")
        return found


_VERBS = {"PUT": "CreateOrUpdate", "DELETE": "Delete", "PATCH": "UpdateTags", "GET": "Get", "HEAD": "Get", "POST": "Post"}


def understand(method: str, raw_path: str, query: str, headers: Mapping[str, str], body: bytes) -> Call:
    """Name a request; every request has a name, even one that will be refused."""
    path = names.parse(raw_path)
    wanted = {name.lower(): value for name, value in parse_qsl(query, keep_blank_values=True)}
    return Call(method, path, raw_path, wanted, headers, body, _operation(method, raw_path, path))


def _operation(method: str, raw_path: str, path: Path | None) -> str:
    verb = _VERBS.get(method, method.title())
    if path is None:
        word = raw_path.strip("/").split("/")[0] or "Root"
        return f"{word.title()}_List"
    if not path.types:
        return f"{'Subscriptions' if path.group is None else 'ResourceGroups'}_{verb}"
    word = path.types[-1]
    if word.lower() == "values" and (path.provider or "").lower() == "microsoft.insights":
        return "ActivityLogs_List"
    title = word[0].upper() + word[1:]
    if path.types[0] == "virtualMachineScaleSets" and word == "networkInterfaces":
        return "NetworkInterfaces_ListVirtualMachineScaleSetNetworkInterfaces"
    if path.is_collection and method == "POST":
        return f"{path.types[-2][0].upper()}{path.types[-2][1:]}_{title}" if len(path.types) > 1 else title
    if path.is_collection:
        all_groups = path.group is None and len(path.types) == 1 and path.provider is not None
        return f"{title}_{'ListAll' if all_groups else 'List'}"
    return f"{title}_{verb}"

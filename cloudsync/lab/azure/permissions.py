"""Which action a call needs, and which it needs besides on what it refers to."""

from __future__ import annotations

from collections.abc import Iterator

from ..kit.faults import Json
from . import names
from .errors import ArmError
from .identity import Principal
from .names import Path

VERBS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}
"""Last word of the action of a method."""

# What a write needs on each thing that its body refers to.
_JOINS = {
    ("networkSecurityGroups",): "join/action",
    ("virtualNetworks", "subnets"): "join/action",
    ("publicIPAddresses",): "join/action",
    ("networkInterfaces",): "join/action",
    ("routeTables",): "join/action",
    ("natGateways",): "join/action",
    ("loadBalancers", "backendAddressPools"): "join/action",
}


def action_of(method: str, path: Path) -> str | None:
    """The action of a call; None when anybody may."""
    if not path.types:
        what = "Microsoft.Resources/subscriptions" + ("/resourceGroups" if path.group is not None else "")
        return f"{what}/{VERBS.get(method, 'action')}"
    if path.provider is None:
        return f"Microsoft.Resources/subscriptions/{path.types[0]}/read"
    if method == "POST":
        return f"{path.provider}/{'/'.join(path.types)}/action"
    return f"{path.type_name}/{VERBS.get(method, 'action')}"


def check_links(principal: Principal | None, path: Path, document: Json) -> None:
    """Refuse a write whose body refers to what the principal may not join."""
    if principal is None:
        return
    in_rules = path.types[0] == "networkSecurityGroups"
    for wanted in references(document):
        found = names.parse(wanted)
        if found is None or found.is_collection or found.provider is None:
            continue
        if found.types == ("applicationSecurityGroups",):
            verb = "joinNetworkSecurityRule/action" if in_rules else "joinIpConfiguration/action"
        else:
            verb = _JOINS.get(found.types, "")
        action = f"{found.type_name}/{verb}"
        if verb and not principal.may(action, found.text):
            text = (
                f"The client '{principal.client_id}' with object id '{principal.object_id}' has permission to perform action "
                f"'{path.type_name}/write' on scope '{path.text}'; however, it does not have permission to perform "
                f"action(s) '{action}' on the "
                f"linked scope(s) '{found.text}' (respectively) or the linked scope(s) are invalid."
            )
            raise ArmError(403, "LinkedAuthorizationFailed", text)


_LINKS = frozenset({
    "networkSecurityGroup", "subnet", "publicIPAddress", "routeTable", "natGateway", "networkInterfaces", "applicationSecurityGroups",
    "sourceApplicationSecurityGroups", "destinationApplicationSecurityGroups", "loadBalancerBackendAddressPools",
})  # fmt: skip


def references(document: Json) -> Iterator[str]:
    """Yield the ids that a body refers to."""
    if isinstance(document, list):
        for each in document:
            yield from references(each)
    elif isinstance(document, dict):
        for name, value in document.items():
            if name in _LINKS:
                for one in value if isinstance(value, list) else [value]:
                    if isinstance(one, dict) and isinstance(one.get("id"), str):
                        yield one["id"]
            yield from references(value)

"""Addresses of Azure resources: any spelling in, the canonical one out."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

NETWORK = "Microsoft.Network"
COMPUTE = "Microsoft.Compute"

# Canonical spelling of the words of a path.
_SPELLINGS = {
    word.lower(): word
    for word in (
        "Microsoft.Network", "Microsoft.Compute", "Microsoft.Authorization", "Microsoft.Resources",
        "networkSecurityGroups", "securityRules", "defaultSecurityRules", "applicationSecurityGroups", "networkInterfaces",
        "virtualNetworks",         "subnets", "virtualNetworkPeerings", "publicIPAddresses", "virtualMachines", "virtualMachineScaleSets",
        "ipConfigurations", "locations",         "operations", "operationResults", "permissions",
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Path:
    """A path below a subscription, cut into its parts."""

    subscription: str
    group: str | None
    provider: str | None
    types: tuple[str, ...]
    """Canonical type names, as `("networkSecurityGroups", "securityRules")`."""
    names: tuple[str, ...]
    """As many as types, or one less: then the path means a collection (or an action)."""

    @property
    def is_collection(self) -> bool:
        """Does it end in a type?"""
        return len(self.names) < len(self.types)

    @property
    def type_name(self) -> str:
        """`Microsoft.Network/networkSecurityGroups/securityRules`."""
        return "/".join((self.provider or "", *self.types))

    @property
    def text(self) -> str:
        """The path in canonical spelling."""
        parts = ["", "subscriptions", self.subscription]
        if self.group is not None:
            parts += ["resourceGroups", self.group]
        if self.provider is not None:
            parts += ["providers", self.provider]
        for place, word in enumerate(self.types):
            parts.append(word)
            if place < len(self.names):
                parts.append(self.names[place])
        return "/".join(parts)

    @property
    def parent(self) -> Path:
        """The resource that holds this one (or this collection)."""
        return Path(self.subscription, self.group, self.provider, self.types[:-1], self.names[: len(self.types) - 1])

    def child(self, word: str, name: str) -> Path:
        """A resource inside this one."""
        return Path(self.subscription, self.group, self.provider, (*self.types, word), (*self.names, name))


def parse(text: str) -> Path | None:
    """Read a path; None when it does not lie below a subscription."""
    parts = [unquote(part) for part in text.strip("/").split("/")]
    if len(parts) < 2 or parts[0].lower() != "subscriptions" or not all(parts):
        return None
    subscription, rest = parts[1], parts[2:]
    group: str | None = None
    if rest and rest[0].lower() == "resourcegroups":
        if len(rest) == 1:
            return Path(subscription, None, None, ("resourceGroups",), ())
        group, rest = rest[1], rest[2:]
    if not rest:
        return Path(subscription, group, None, (), ())
    if rest[0].lower() != "providers" or len(rest) < 2:
        return Path(subscription, group, None, (rest[0],), tuple(rest[1:2]))
    words = [_SPELLINGS.get(word.lower(), word) for word in rest[2::2]]
    return Path(subscription, group, _SPELLINGS.get(rest[1].lower(), rest[1]), tuple(words), tuple(rest[3::2]))


def key(text: str) -> str:
    """What two spellings of one id have in common."""
    return text.rstrip("/").lower()


def last(text: str) -> str:
    """The name at the end of an id."""
    return text.rsplit("/", 1)[-1]

"""The kinds of Terraform resources that are understood: firewall objects of the four platforms, and machines.

Sources: the pages of the providers hashicorp/aws, hashicorp/google, hashicorp/azurerm and F5Networks/bigip in the Terraform registry. F5's
provider has no resource for AFM policies; what it sets is which policy a virtual server enforces (`firewall_enforced_policy`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any

from cloudsync.model.address import NOWHERE, AddressSet
from cloudsync.model.quick import dataclass

Json = Any


@dataclass(frozen=True, slots=True)
class Owned:
    """One firewall object, or a rule or an attachment within one, that Terraform owns.

    `objects`: how the platform's table may name the object, lower case. `rule`: the resource is a rule within it; the rule's own id, `?`
    where the state does not tell it. `at`: it is what makes the object act at this interface or virtual server (lower case).
    """

    address: str
    kind: str
    platform: str
    account: str
    """Account, project or subscription; empty when the state does not tell."""
    objects: tuple[str, ...]
    rule: str = ""
    at: str = ""

    @property
    def whole(self) -> bool:
        """Tell whether the whole object is Terraform's, not only something in it."""
        return not self.rule and not self.at


@dataclass(frozen=True, slots=True)
class Read:
    """The attributes of one resource instance: texts, lists of texts and tags can be asked for, nothing else."""

    attributes: Mapping[str, Json]

    def text(self, *names: str) -> str:
        """Return the first of these attributes that is a text with something in it."""
        found = (self.attributes.get(name) for name in names)
        return next((one for one in found if isinstance(one, str) and one), "")

    def texts(self, *names: str) -> Iterator[str]:
        """Yield the texts of these attributes, of lists as well."""
        for name in names:
            value = self.attributes.get(name)
            yield from (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str) and one)

    def blocks(self, name: str) -> Iterator[Read]:
        """Yield the nested blocks of one name."""
        value = self.attributes.get(name)
        yield from (Read(one) for one in (value if isinstance(value, list) else ()) if isinstance(one, dict))

    def tags(self, *names: str) -> tuple[tuple[str, str], ...]:
        """Return the first of these attributes that is a map, as pairs."""
        found = next((one for one in map(self.attributes.get, names) if isinstance(one, dict) and one), {})
        return tuple(sorted((key, value) for key, value in found.items() if isinstance(value, str)))


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of owned resource is read. `optional`: such a resource may be no matter of firewalls at all."""

    platform: str
    parse: Callable[[Read], tuple[str, tuple[str, ...], str, str] | None]
    optional: bool = False

    def __call__(self, address: str, kind: str, read: Read) -> Owned | None:
        """Return what is owned, None when the state names no object."""
        found = self.parse(read)
        if found is None:
            return None
        account, objects, rule, at = found
        return Owned(address, kind, self.platform, account, tuple(sorted({one.lower() for one in objects})), rule, at.lower())


_Parts = tuple[str, tuple[str, ...], str, str]


def _aws_account(read: Read) -> str:
    parts = read.text("arn", "security_group_rule_arn").split(":")
    return read.text("owner_id") or (parts[4] if len(parts) > 5 else "")


def _aws_object(read: Read) -> _Parts | None:
    name = read.text("id")
    return (_aws_account(read), (name,), "", "") if name else None


def _aws_rule(read: Read) -> _Parts | None:
    """Read a rule of a group. Before release 4.64 aws_security_group_rule knew no id of EC2's."""
    group = read.text("security_group_id")
    own = next((one for one in read.texts("security_group_rule_id", "id") if one.startswith("sgr-")), "?")
    return (_aws_account(read), (group,), own, "") if group else None


def _aws_attachment(read: Read) -> _Parts | None:
    group, card = read.text("security_group_id"), read.text("network_interface_id")
    return ("", (group,), "", card) if group and card else None


def _gcp_firewall(read: Read) -> _Parts | None:
    name = read.text("name")
    project = read.text("project") or _between(read.text("id", "self_link"), "projects")
    return (project, (name,), "", "") if name else None


def _azure_group(read: Read) -> _Parts | None:
    name = read.text("id")
    return (_between(name, "subscriptions"), _azure_names(name), "", "") if name else None


def _azure_rule(read: Read) -> _Parts | None:
    name = read.text("id")
    group, word, rule = name.partition("/securityRules/")
    return (_between(name, "subscriptions"), _azure_names(group), rule, "") if word and rule else None


def _azure_names(name: str) -> tuple[str, ...]:
    """Return an Azure resource's id and, as reports name it, `group/name`."""
    return name, f"{_between(name, 'resourceGroups')}/{name.rpartition('/')[2]}"


def _between(name: str, word: str) -> str:
    """Return the part of a path behind a word, whatever its case."""
    parts = name.split("/")
    at = next((number for number, part in enumerate(parts[:-1]) if part.lower() == word.lower()), None)
    return "" if at is None else parts[at + 1]


def _f5_virtual(read: Read) -> _Parts | None:
    name, policy = read.text("name", "id"), read.text("firewall_enforced_policy")
    return ("", (policy,), "", name) if name and policy else None


OWNED: dict[str, Kind] = {
    "aws_security_group": Kind("aws", _aws_object),
    "aws_default_security_group": Kind("aws", _aws_object),
    "aws_ec2_managed_prefix_list": Kind("aws", _aws_object),
    "aws_security_group_rule": Kind("aws", _aws_rule),
    "aws_vpc_security_group_ingress_rule": Kind("aws", _aws_rule),
    "aws_vpc_security_group_egress_rule": Kind("aws", _aws_rule),
    "aws_network_interface_sg_attachment": Kind("aws", _aws_attachment),
    "google_compute_firewall": Kind("gcp", _gcp_firewall),
    "azurerm_network_security_group": Kind("azure", _azure_group),
    "azurerm_network_security_rule": Kind("azure", _azure_rule),
    "azurerm_application_security_group": Kind("azure", _azure_group),
    "bigip_ltm_virtual_server": Kind("f5", _f5_virtual, optional=True),
}
"""Resource type -> what of it is Terraform's."""


# --- machines ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Parsed:
    """One machine as its attributes tell it."""

    ref: str
    name: str
    account: str
    tags: tuple[tuple[str, str], ...]
    addresses: AddressSet
    unread: int
    """How many texts where an address belongs are none."""


def _parsed(who: tuple[str, str, str], tags: tuple[tuple[str, str], ...], texts: Iterator[str]) -> Parsed:
    """Return a machine with its single addresses. `who`: native id, name, account."""
    found, unread = NOWHERE, 0
    for text in texts:
        try:
            found |= AddressSet.of(ip_address(text))
        except ValueError:
            unread += 1
    return Parsed(*who, tags, found, unread)


def _aws_instance(read: Read) -> Parsed:
    tags = read.tags("tags_all", "tags")
    texts = read.texts("private_ip", "secondary_private_ips", "public_ip", "ipv6_addresses")
    return _parsed((read.text("id"), dict(tags).get("Name", ""), _aws_account(read)), tags, texts)


def _gcp_instance(read: Read) -> Parsed:
    def every() -> Iterator[str]:
        for card in read.blocks("network_interface"):
            yield from card.texts("network_ip", "ipv6_address")
            for access in (*card.blocks("access_config"), *card.blocks("ipv6_access_config")):
                yield from access.texts("nat_ip", "external_ipv6")

    project = read.text("project") or _between(read.text("id", "self_link"), "projects")
    return _parsed((read.text("id", "self_link"), read.text("name"), project), read.tags("effective_labels", "labels"), every())


def _azure_machine(read: Read) -> Parsed:
    name = read.text("id")
    texts = read.texts("private_ip_address", "private_ip_addresses", "public_ip_address", "public_ip_addresses")
    return _parsed((name, read.text("name"), _between(name, "subscriptions")), read.tags("tags"), texts)


MACHINES: dict[str, tuple[str, Callable[[Read], Parsed]]] = {
    "aws_instance": ("aws", _aws_instance),
    "google_compute_instance": ("gcp", _gcp_instance),
    "azurerm_linux_virtual_machine": ("azure", _azure_machine),
    "azurerm_windows_virtual_machine": ("azure", _azure_machine),
    "azurerm_virtual_machine": ("azure", _azure_machine),
}
"""Resource type -> the platform, and how it is read."""

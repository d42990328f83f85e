"""CreateSecurityGroup, DeleteSecurityGroup, DescribeSecurityGroups."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from . import filters, paging, rule_text, tagging, wire
from .book import Book, Rule, check_group_id
from .native import Native
from .permissions import Kind
from .quota import GROUPS
from .refusal import Refusal
from .wire import Form, Fragment, Value
from .world import Call, World

_TEXT = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]*")
_SET = "a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"


def create(world: World, call: Call) -> dict[str, Value]:
    """CreateSecurityGroup: names and texts from EC2's set, one name per VPC whatever its case (rows 16, 18)."""
    book, form = world.of(call), call.form
    name, text = form.text("GroupName"), form.text("GroupDescription", "Description")
    if not name:
        raise Refusal.missing("GroupName")
    if not text:
        raise Refusal.missing("GroupDescription")
    _check_texts(name, text)
    vpc_id = form.text("VpcId") or book.default_vpc_id()
    book.vpc(vpc_id)
    tags = tagging.of_specification(form, "security-group")
    name = name.rstrip(" ")
    if any(each.name.lower() == name.lower() for each in list(book.backend.groups.get(vpc_id, {}).values())):
        raise Refusal("InvalidGroup.Duplicate", f"The security group '{name}' already exists for VPC '{vpc_id}'")
    if len(book.groups()) >= book.quotas.value(GROUPS):
        raise Refusal("SecurityGroupLimitExceeded", "The maximum number of security groups has been reached.")
    group = make(book, name, text, vpc_id)
    tagging.put(book, group.id, tags)
    return {
        "return": True,
        "groupId": group.id,
        "tagSet": wire.tags(book.tags(group.id)),
        "securityGroupArn": f"arn:aws:ec2:{book.region}:{book.account}:security-group/{group.id}",
    }


def make(book: Book, name: str, text: str, vpc_id: str) -> Native:
    """A new group in moto's store, with the rules EC2 gives it in ours."""
    from moto.ec2.models.security_groups import SecurityGroup
    from moto.ec2.utils import random_security_group_id

    kind: Native = SecurityGroup
    group = kind(book.backend, random_security_group_id(), name, text, vpc_id=vpc_id)
    book.backend.groups[vpc_id][group.id] = group
    book.rules_of(group)
    return group


def _check_texts(name: str, text: str) -> None:
    if len(name) > 255 or not name.isascii():
        raise Refusal.value(
            f"Value ({name[:60]}) for parameter GroupName is invalid. Names are at most 255 characters; "
            "character sets beyond ASCII are not supported."
        )
    if not _TEXT.fullmatch(name):
        raise Refusal.value(f"Value ({name}) for parameter GroupName is invalid. Valid characters are: {_SET}")
    if name.lower().startswith("sg-"):
        raise Refusal.value(f"Value ({name}) for parameter GroupName is invalid. Group names may not be in the format sg-*.")
    if name.lower() == "default":
        raise Refusal.value("Cannot use reserved security group name: default")
    if len(text) > 255 or not _TEXT.fullmatch(text):
        raise Refusal.value(
            f"Invalid security group description. Valid descriptions are strings less than 256 characters from the following set:  {_SET}"
        )


def chosen(world: World, call: Call) -> tuple[Book, Native]:
    """The one group a call is about, by id or by name in the default VPC (row 12)."""
    book, form = world.of(call), call.form
    group_id, name = form.text("GroupId"), form.text("GroupName")
    if group_id:
        return book, book.group(group_id)
    if name:
        return book, book.group_named(name)
    raise Refusal.missing("GroupId")


def delete(world: World, call: Call) -> dict[str, Value]:
    """DeleteSecurityGroup: refused for the default group, while an interface or a group of the same VPC needs it (row 24)."""
    book, group = chosen(world, call)
    if group.is_default:
        raise Refusal("CannotDelete", f'the specified group: "{group.id}" name: "{group.name}" cannot be deleted by a user')
    for eni in list(book.backend.enis.values()):
        if any(each.id == group.id for each in eni.group_set):
            raise Refusal.dependency(group.id)
    for other, referring in world.referrers(book.region, group.id):
        if referring == group.id and other is book:
            continue
        if _holds_it(other, referring, group):
            raise Refusal.dependency(group.id)
    remove(book, group)
    return {"return": True, "groupId": group.id}


def _holds_it(other: Book, referring: str, group: Native) -> bool:
    """A reference inside the VPC holds a group; one over a peering only goes stale."""
    found = other.group_or_none(referring)
    return found is not None and found.vpc_id == group.vpc_id


def remove(book: Book, group: Native) -> None:
    """Take a group and its rules out of every index."""
    rules = book.rules_of(group)
    for rule in list(rules.all()):
        book.drop_rule(rules, rule)
    book.rules.pop(group.id, None)
    book.backend.groups[group.vpc_id].pop(group.id, None)
    book.backend.tags.pop(group.id, None)


# --- reading -----------------------------------------------------------------------------------------


def describe(world: World, call: Call) -> dict[str, Value]:
    """DescribeSecurityGroups with filters and real pages (rows 12, 30, 31)."""
    book, form = world.of(call), call.form
    groups = _by_id_and_name(book, form)
    found = filters.select(groups, filters.parse(form), fields=_fields(book), identity=lambda group: str(group.id), tags=book.tags)
    page = paging.page(call.action, form, found, lambda group: str(group.id))
    return {
        "securityGroupInfo": Fragment("".join([f"<item>{rule_text.group(world, book, each)}</item>" for each in page.found])),
        "nextToken": page.token,
    }


def _by_id_and_name(book: Book, form: Form) -> list[Native]:
    ids, names = form.texts("GroupId", "GroupIds"), form.texts("GroupName", "GroupNames")
    if not ids and not names:
        return book.visible(book.groups())
    for each in ids:
        check_group_id(each)
    unknown = [each for each in dict.fromkeys(ids) if book.group_or_none(each) is None or book.is_hidden(each)]
    if unknown:
        raise Refusal.group_not_found(*unknown)
    groups = [book.group_or_none(each) for each in dict.fromkeys(ids)]
    return groups + [book.group_named(each) for each in names]


def _fields(book: Book) -> dict[str, Callable[[Native], Iterable[str]]]:
    fields: dict[str, Callable[[Native], Iterable[str]]] = {
        "description": lambda group: (group.description,),
        "group-id": lambda group: (group.id,),
        "group-name": lambda group: (group.name,),
        "owner-id": lambda _group: (book.account,),
        "vpc-id": lambda group: (group.vpc_id,),
    }
    for prefix, egress in (("ip-permission", False), ("egress.ip-permission", True)):
        for name, read in _rule_fields(book).items():
            fields[f"{prefix}.{name}"] = _over_rules(book, read, egress=egress)
    return fields


def _over_rules(book: Book, read: Callable[[Rule], Iterable[str]], *, egress: bool) -> Callable[[Native], Iterable[str]]:
    return lambda group: [value for rule in book.rules_of(group).side(egress=egress).values() for value in read(rule)]


def _rule_fields(book: Book) -> dict[str, Callable[[Rule], Iterable[str]]]:
    def peer_of(kind: Kind) -> Callable[[Rule], Iterable[str]]:
        return lambda rule: (rule.match.peer,) if rule.match.peer_kind == kind.value else ()

    def name_of(rule: Rule) -> Iterable[str]:
        peer = book.group_or_none(rule.match.peer) if rule.match.kind is Kind.GROUP else None
        return () if peer is None else (peer.name,)

    def owner_of(rule: Rule) -> Iterable[str]:
        if rule.match.kind is not Kind.GROUP:
            return ()
        return (rule.peering.owner if rule.peering else book.account,)

    return {
        "cidr": peer_of(Kind.V4),
        "ipv6-cidr": peer_of(Kind.V6),
        "group-id": peer_of(Kind.GROUP),
        "prefix-list-id": peer_of(Kind.LIST),
        "group-name": name_of,
        "user-id": owner_of,
        "protocol": lambda rule: (rule.match.protocol,),
        "from-port": lambda rule: () if rule.match.first is None else (str(rule.match.first),),
        "to-port": lambda rule: () if rule.match.last is None else (str(rule.match.last),),
    }

"""Rules and groups as EC2 writes them."""

from __future__ import annotations

from collections.abc import Iterable

from . import wire
from .book import Book, Rule, RuleSet
from .native import Native
from .permissions import ANY, Kind, Match
from .wire import Fragment, Value
from .world import World

_SOURCES = (
    ("groups", Kind.GROUP, "groupId"),
    ("ipRanges", Kind.V4, "cidrIp"),
    ("ipv6Ranges", Kind.V6, "cidrIpv6"),
    ("prefixListIds", Kind.LIST, "prefixListId"),
)


def permissions(world: World, book: Book, rules: Iterable[Rule]) -> Fragment:
    """IpPermission items: entries that share protocol and ports stand together; -1 has no ports."""
    grouped: dict[tuple[str, int | None, int | None], list[Rule]] = {}
    for rule in rules:
        match = rule.match
        grouped.setdefault((match.protocol, match.first, match.last), []).append(rule)
    return Fragment("".join([_permission(world, book, head, members) for head, members in grouped.items()]))


def _permission(world: World, book: Book, head: tuple[str, int | None, int | None], rules: list[Rule]) -> str:
    name, first, last = head
    ports = "" if first is None else f"<fromPort>{first}</fromPort><toPort>{last}</toPort>"
    parts = [f"<item><ipProtocol>{name}</ipProtocol>{ports}"]
    for list_name, kind, field in _SOURCES:
        members = [rule for rule in rules if rule.match.peer_kind == kind.value]
        if not members:
            parts.append(f"<{list_name}/>")
            continue
        parts.append(f"<{list_name}>")
        for rule in members:
            note = f"<description>{wire.text(rule.description)}</description>" if rule.description else ""
            if kind is Kind.GROUP:
                parts.append(f"<item>{wire.children(reference(world, book, rule))}{note}</item>")
            else:
                parts.append(f"<item><{field}>{rule.match.peer}</{field}>{note}</item>")
        parts.append(f"</{list_name}>")
    parts.append("</item>")
    return "".join(parts)


def reference(world: World, book: Book, rule: Rule) -> dict[str, Value]:
    """A group pair; over a peering with owner, VPC and state, and without the owner once the group is gone."""
    peering = rule.peering
    if peering is None:
        return {"userId": book.account, "groupId": rule.match.peer}
    connection = book.backend.vpc_pcxs.get(peering.connection_id)
    far = world.book(peering.owner, book.region)
    gone = far.group_or_none(rule.match.peer) is None
    return {
        "userId": None if gone else peering.owner,
        "groupId": rule.match.peer,
        "vpcId": peering.vpc_id,
        "vpcPeeringConnectionId": peering.connection_id,
        "peeringStatus": connection.status["Code"] if connection is not None else "deleted",
    }


def both_sides(world: World, book: Book, rules: RuleSet) -> str:
    """The two permission lists of a group, kept until a rule changes; references over peerings change by themselves."""
    if rules.rendered is not None:
        return rules.rendered
    inside = wire.element("ipPermissions", permissions(world, book, rules.ingress.values()) or [])
    outside = wire.element("ipPermissionsEgress", permissions(world, book, rules.egress.values()) or [])
    text = inside + outside
    if not any(rule.peering is not None for rule in rules.all()):
        rules.rendered = text
    return text


def group(world: World, book: Book, found: Native) -> Fragment:
    """One group of DescribeSecurityGroups."""
    arn = f"arn:aws:ec2:{book.region}:{book.account}:security-group/{found.id}"
    return Fragment(
        f"<ownerId>{book.account}</ownerId><groupId>{found.id}</groupId><groupName>{wire.text(found.name)}</groupName>"
        f"<groupDescription>{wire.text(found.description or '')}</groupDescription>"
        f"{both_sides(world, book, book.rules_of(found))}"
        f"<tagSet>{wire.tags(book.tags(found.id))}</tagSet><vpcId>{found.vpc_id}</vpcId>"
        f"<securityGroupArn>{arn}</securityGroupArn>"
    )


def rule(world: World, book: Book, found: Rule) -> dict[str, Value]:
    """One rule of DescribeSecurityGroupRules and of an Authorize answer (rows 8, 9); absent ports are -1."""
    match = found.match
    values = {
        "securityGroupRuleId": found.rule_id,
        "groupId": found.group_id,
        "groupOwnerId": book.account,
        **_body(found),
    }
    if match.kind is Kind.GROUP:
        values["referencedGroupInfo"] = reference(world, book, found)
    else:
        values[match.kind.value] = match.peer
    values["description"] = found.description
    values["tagSet"] = Fragment(wire.tags(book.tags(found.rule_id)))
    values["securityGroupRuleArn"] = f"arn:aws:ec2:{book.region}:{book.account}:security-group-rule/{found.rule_id}"
    return values


def revoked(found: Rule) -> dict[str, Value]:
    """One rule of a Revoke answer (row 10)."""
    key = "referencedGroupId" if found.match.kind is Kind.GROUP else found.match.kind.value
    return {
        "securityGroupRuleId": found.rule_id,
        "groupId": found.group_id,
        **_body(found),
        key: found.match.peer,
        "description": found.description,
    }


def _body(found: Rule) -> dict[str, Value]:
    match = found.match
    return {
        "isEgress": found.egress,
        "ipProtocol": match.protocol,
        "fromPort": -1 if match.first is None else match.first,
        "toPort": -1 if match.last is None else match.last,
    }


def unknown(matches: Iterable[Match]) -> list[Value]:
    """Permissions that a Revoke in a default VPC did not find (row 4)."""
    out: list[Value] = []
    for match in matches:
        list_name, _, field = next(each for each in _SOURCES if each[1] is match.kind)
        ports: dict[str, Value] = {} if match.protocol == ANY or match.first is None else {"fromPort": match.first, "toPort": match.last}
        out.append({"ipProtocol": match.protocol, **ports, list_name: [{field: match.peer}]})
    return out

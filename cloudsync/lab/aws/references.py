"""Reads about references across VPCs, and groups shared with other VPCs (row 37)."""

from __future__ import annotations

from . import filters, paging, rule_text, wire
from .book import Book, Rule
from .native import Native
from .refusal import Refusal
from .wire import Fragment, Value
from .world import Call, World

MOST_REFERENCES = 200
STALE_LIMITS = paging.Limits(5, 255)


def stale(world: World, call: Call) -> dict[str, Value]:
    """DescribeStaleSecurityGroups: rules that name a vanished peer group or a peering that is no more."""
    book, form = world.of(call), call.form
    vpc_id = form.text("VpcId")
    if not vpc_id:
        raise Refusal.missing("VpcId")
    book.vpc(vpc_id)
    found = []
    for group in book.groups():
        if group.vpc_id == vpc_id:
            rules = [rule for rule in book.rules_of(group).all() if _is_stale(world, book, rule)]
            if rules:
                found.append((group, rules))
    page = paging.page(call.action, form, found, lambda pair: str(pair[0].id), STALE_LIMITS)
    shown: list[Value] = [_stale_view(world, book, group, rules) for group, rules in page.found]
    return {"staleSecurityGroupSet": shown, "nextToken": page.token}


def _is_stale(world: World, book: Book, rule: Rule) -> bool:
    if rule.peering is None:
        return False
    connection = book.backend.vpc_pcxs.get(rule.peering.connection_id)
    if connection is None or connection.status["Code"] != "active":
        return True
    return world.book(rule.peering.owner, book.region).group_or_none(rule.match.peer) is None


def _stale_view(world: World, book: Book, group: Native, rules: list[Rule]) -> dict[str, Value]:
    inside = [rule for rule in rules if not rule.egress]
    outside = [rule for rule in rules if rule.egress]
    return {
        "groupId": group.id,
        "groupName": group.name,
        "description": group.description,
        "vpcId": group.vpc_id,
        "staleIpPermissions": rule_text.permissions(world, book, inside),
        "staleIpPermissionsEgress": rule_text.permissions(world, book, outside),
    }


def references(world: World, call: Call) -> dict[str, Value]:
    """DescribeSecurityGroupReferences: which peered VPCs refer to our groups; at most 200 groups a call."""
    book = world.of(call)
    ids = call.form.texts("GroupId")
    if not ids:
        raise Refusal.missing("GroupId")
    if len(ids) > MOST_REFERENCES:
        raise Refusal("ResourceCountExceeded", f"The request names more than {MOST_REFERENCES} groups.")
    shown: list[Value] = []
    for group_id in ids:
        group = book.group(group_id)
        for other, referring in world.referrers(book.region, group_id):
            far = other.group_or_none(referring)
            if far is None or far.vpc_id == group.vpc_id:
                continue
            rule = next(rule for rule in other.rules_of(far).all() if rule.match.peer == group_id)
            connection = rule.peering.connection_id if rule.peering else None
            one: dict[str, Value] = {"groupId": group_id, "referencingVpcId": far.vpc_id, "vpcPeeringConnectionId": connection}
            if one not in shown:
                shown.append(one)
    return {"securityGroupReferenceSet": shown}


def for_vpc(world: World, call: Call) -> dict[str, Value]:
    """GetSecurityGroupsForVpc: the groups an interface in this VPC can carry."""
    book, form = world.of(call), call.form
    vpc_id = form.text("VpcId")
    if not vpc_id:
        raise Refusal.missing("VpcId")
    book.vpc(vpc_id)
    usable = [
        group
        for group in book.visible(book.groups())
        if group.vpc_id == vpc_id or book.associations.get((group.id, vpc_id)) == "associated"
    ]
    found = filters.select(
        usable,
        filters.parse(form),
        fields={
            "group-id": lambda group: (group.id,),
            "group-name": lambda group: (group.name,),
            "description": lambda group: (group.description,),
            "owner-id": lambda _group: (book.account,),
            "primary-vpc-id": lambda group: (group.vpc_id,),
        },
        identity=lambda group: str(group.id),
        tags=book.tags,
    )
    page = paging.page(call.action, form, found, lambda group: str(group.id))
    shown: list[Value] = [
        {
            "description": group.description,
            "groupName": group.name,
            "ownerId": book.account,
            "groupId": group.id,
            "tagSet": Fragment(wire.tags(book.tags(group.id))),
            "primaryVpcId": group.vpc_id,
        }
        for group in page.found
    ]
    return {"securityGroupForVpcSet": shown, "nextToken": page.token}


def associate(world: World, call: Call) -> dict[str, Value]:
    """AssociateSecurityGroupVpc: not the default group, same Region."""
    book, group, vpc_id = _association(world, call)
    if group.is_default:
        raise Refusal("InvalidParameterValue", f"The default security group '{group.id}' cannot be associated with another VPC.")
    if group.vpc_id == vpc_id:
        raise Refusal("InvalidParameterValue", f"The security group '{group.id}' belongs to VPC '{vpc_id}' already.")
    book.associations[group.id, vpc_id] = "associated"
    return {"state": "associating"}


def disassociate(world: World, call: Call) -> dict[str, Value]:
    """DisassociateSecurityGroupVpc: refused while an interface there carries the group."""
    book, group, vpc_id = _association(world, call)
    if (group.id, vpc_id) not in book.associations:
        raise Refusal("InvalidGroup.NotFound", f"The security group '{group.id}' is not associated with VPC '{vpc_id}'.")
    for eni in list(book.backend.enis.values()):
        if eni.subnet.vpc_id == vpc_id and any(each.id == group.id for each in eni.group_set):
            raise Refusal.dependency(group.id)
    del book.associations[group.id, vpc_id]
    return {"state": "disassociating"}


def _association(world: World, call: Call) -> tuple[Book, Native, str]:
    book, form = world.of(call), call.form
    group_id, vpc_id = form.text("GroupId"), form.text("VpcId")
    if not group_id or not vpc_id:
        raise Refusal.missing("GroupId" if not group_id else "VpcId")
    group = book.group(group_id)
    book.vpc(vpc_id)
    return book, group, vpc_id


def associations(world: World, call: Call) -> dict[str, Value]:
    """DescribeSecurityGroupVpcAssociations."""
    book, form = world.of(call), call.form
    found = filters.select(
        list(book.associations.items()),
        filters.parse(form),
        fields={
            "group-id": lambda pair: (pair[0][0],),
            "group-owner-id": lambda _pair: (book.account,),
            "vpc-id": lambda pair: (pair[0][1],),
            "vpc-owner-id": lambda _pair: (book.account,),
            "state": lambda pair: (pair[1],),
        },
        identity=lambda pair: pair[0][0],
        tags=book.tags,
    )
    page = paging.page(call.action, form, found, lambda pair: "/".join(pair[0]))
    shown: list[Value] = [
        {"groupId": group_id, "vpcId": vpc_id, "vpcOwnerId": book.account, "state": state, "groupOwnerId": book.account}
        for (group_id, vpc_id), state in page.found
    ]
    return {"securityGroupVpcAssociationSet": shown, "nextToken": page.token}

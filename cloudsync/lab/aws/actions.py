"""Which EC2 actions the lab answers itself, and what it checks before and does after moto's answer to others."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from . import groups, instances, interfaces, lists, peerings, references, rules, tagging
from .book import Book
from .native import Native
from .permissions import ANY, Kind, Match
from .refusal import Refusal
from .wire import Value
from .world import Call, World

Answer = Callable[[World, Call], dict[str, Value]]
Check = Callable[[World, Call], None]

OWN: Mapping[str, Answer] = {
    "CreateSecurityGroup": groups.create,
    "DeleteSecurityGroup": groups.delete,
    "DescribeSecurityGroups": groups.describe,
    "AuthorizeSecurityGroupIngress": rules.authorize,
    "AuthorizeSecurityGroupEgress": rules.authorize,
    "RevokeSecurityGroupIngress": rules.revoke,
    "RevokeSecurityGroupEgress": rules.revoke,
    "ModifySecurityGroupRules": rules.modify,
    "UpdateSecurityGroupRuleDescriptionsIngress": rules.describe_change,
    "UpdateSecurityGroupRuleDescriptionsEgress": rules.describe_change,
    "DescribeSecurityGroupRules": rules.describe,
    "CreateManagedPrefixList": lists.create,
    "ModifyManagedPrefixList": lists.modify,
    "DeleteManagedPrefixList": lists.delete,
    "RestoreManagedPrefixListVersion": lists.restore,
    "DescribeManagedPrefixLists": lists.describe,
    "GetManagedPrefixListEntries": lists.entries,
    "GetManagedPrefixListAssociations": lists.associations,
    "ModifyNetworkInterfaceAttribute": interfaces.modify_attribute,
    "DescribeNetworkInterfaces": interfaces.describe,
    "DescribeInstances": instances.describe,
    "DescribeVpcPeeringConnections": peerings.describe,
    "DescribeStaleSecurityGroups": references.stale,
    "DescribeSecurityGroupReferences": references.references,
    "GetSecurityGroupsForVpc": references.for_vpc,
    "AssociateSecurityGroupVpc": references.associate,
    "DisassociateSecurityGroupVpc": references.disassociate,
    "DescribeSecurityGroupVpcAssociations": references.associations,
}

PAGED_SETS: Mapping[str, str] = {
    "DescribeVpcs": "vpcSet",
    "DescribeSubnets": "subnetSet",
    "DescribePrefixLists": "prefixListSet",
    "DescribeTags": "tagSet",
}
"""Lists that moto renders whole and the shim cuts into pages (row 30)."""


def own_answer(call: Call) -> Answer | None:
    """The lab's own answer to an action, or None when moto answers it."""
    if call.action == "CreateTags" and tagging.owned(call):
        return tagging.create
    if call.action == "DeleteTags" and tagging.owned(call):
        return tagging.delete
    return OWN.get(call.action)


def check(world: World, call: Call) -> None:
    """Refuse what moto would accept."""
    checks = CHECKS.get(call.action)
    if checks is not None:
        checks(world, call)


def after(world: World, call: Call) -> None:
    """What EC2 does by itself once moto has done its part."""
    todo = AFTER.get(call.action)
    if todo is not None:
        todo(world, call)


def _check_delete_interface(world: World, call: Call) -> None:
    eni = interfaces.find(world.of(call), call.form.text("NetworkInterfaceId") or "")
    if eni.attachment_id:
        raise Refusal.value(f"Network interface '{eni.id}' is currently in use.")


def _check_delete_vpc(world: World, call: Call) -> None:
    """A VPC with groups of its own, interfaces or subnets stays (row 24)."""
    book = world.of(call)
    vpc_id = call.form.text("VpcId") or ""
    book.vpc(vpc_id)
    mine = [group for group in book.groups() if group.vpc_id == vpc_id and not group.is_default]
    if mine or any(eni.subnet.vpc_id == vpc_id for eni in list(book.backend.enis.values())):
        raise Refusal("DependencyViolation", f"The vpc '{vpc_id}' has dependencies and cannot be deleted.")


def _after_delete_vpc(world: World, call: Call) -> None:
    book = world.of(call)
    vpc_id = call.form.text("VpcId")
    for group in book.groups():
        if group.vpc_id == vpc_id:
            groups.remove(book, group)


def _after_associate_block(world: World, call: Call) -> None:
    """When a VPC gets an IPv6 block, groups with an untouched default egress get ::/0 too (section 4 of the notes)."""
    book = world.of(call)
    vpc_id = call.form.text("VpcId")
    if not book.has_ipv6(vpc_id):
        return
    for group in book.groups():
        if group.vpc_id == vpc_id:
            _add_ipv6_egress(book, group)


def _add_ipv6_egress(book: Book, group: Native) -> None:
    held = book.rules_of(group)
    if list(held.egress) == [Match(ANY, None, None, Kind.V4.value, "0.0.0.0/0")]:
        book.add_rule(held, book.default_rule(group.id, Kind.V6, "::/0", egress=True))


def _check_instance_groups(world: World, call: Call) -> None:
    book = world.of(call)
    group_ids = call.form.texts("GroupId", "Groups")
    if group_ids:
        instance = book.backend.get_instance(call.form.text("InstanceId"))
        nic = instances.primary(instance)
        if nic is not None:
            interfaces.groups_for(world, book, nic.subnet.vpc_id, group_ids)


def _check_vpcs(world: World, call: Call) -> None:
    for each in call.form.texts("VpcId", "VpcIds"):
        world.of(call).vpc(each)


def _after_gateway(world: World, call: Call) -> None:
    """The interface of a NAT gateway belongs to the service and has no groups; it goes with its gateway."""
    book = world.of(call)
    for gateway in list(book.backend.nat_gateways.values()):
        eni = gateway._eni
        if gateway.state in ("deleting", "deleted"):
            book.backend.enis.pop(eni.id, None)
            continue
        eni.interface_type, eni.requester_managed, eni.status = "nat_gateway", True, "in-use"
        eni.requester_id, eni.description = book.account, f"Interface for NAT Gateway {gateway.id}"
        eni._group_set = []


def _after_endpoint(world: World, call: Call) -> None:
    """The interfaces of a VPC endpoint belong to the service and carry the endpoint's groups."""
    book = world.of(call)
    for endpoint in list(book.backend.vpc_end_points.values()):
        for eni_id in endpoint.network_interface_ids:
            eni = book.backend.enis.get(eni_id)
            if eni is None:
                continue
            if endpoint.state in ("deleting", "deleted"):
                del book.backend.enis[eni_id]
                continue
            eni.interface_type, eni.requester_managed, eni.status = "vpc_endpoint", True, "in-use"
            eni.requester_id, eni.description = "amazon-vpce", f"VPC Endpoint Interface {endpoint.id}"
            groups_of = [book.group_or_none(each) for each in endpoint.security_group_ids]
            if groups_of:
                eni._group_set = [group for group in groups_of if group is not None]


CHECKS: Mapping[str, Check] = {
    "RunInstances": instances.check_run,
    "CreateNetworkInterface": interfaces.check_create,
    "DeleteNetworkInterface": _check_delete_interface,
    "DeleteVpc": _check_delete_vpc,
    "DescribeVpcs": _check_vpcs,
    "CreateTags": lambda _world, call: tagging.check_call(call),
    "ModifyInstanceAttribute": _check_instance_groups,
}
AFTER: Mapping[str, Check] = {
    "DeleteVpc": _after_delete_vpc,
    "CreateNatGateway": _after_gateway,
    "DeleteNatGateway": _after_gateway,
    "CreateVpcEndpoint": _after_endpoint,
    "ModifyVpcEndpoint": _after_endpoint,
    "DeleteVpcEndpoints": _after_endpoint,
    "AssociateVpcCidrBlock": _after_associate_block,
}

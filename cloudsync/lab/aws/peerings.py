"""DescribeVpcPeeringConnections; moto has neither its filters nor its pages (rows 12, 30)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from . import filters, paging, wire
from .native import Native
from .refusal import Refusal
from .wire import Fragment, Value
from .world import Call, World


def describe(world: World, call: Call) -> dict[str, Value]:
    """Every peering that one of the account's VPCs takes part in."""
    book, form = world.of(call), call.form
    ids = form.texts("VpcPeeringConnectionId", "VpcPeeringConnectionIds")
    known = dict(book.backend.vpc_pcxs)
    for each in ids:
        if each not in known:
            raise Refusal("InvalidVpcPeeringConnectionID.NotFound", f"The vpcPeeringConnection ID '{each}' does not exist")
    found = filters.select(
        [known[each] for each in dict.fromkeys(ids)] if ids else list(known.values()),
        filters.parse(form),
        fields=_FIELDS,
        identity=lambda each: str(each.id),
        tags=book.tags,
    )
    page = paging.page(call.action, form, found, lambda each: str(each.id))
    shown: list[Value] = [
        {
            "vpcPeeringConnectionId": each.id,
            "requesterVpcInfo": _side(each.vpc, each.requester_options),
            "accepterVpcInfo": _side(each.peer_vpc, each.accepter_options),
            "status": {"code": each.status["Code"], "message": each.status["Message"]},
            "tagSet": Fragment(wire.tags(book.tags(each.id))),
        }
        for each in page.found
    ]
    return {"vpcPeeringConnectionSet": shown, "nextToken": page.token}


def _side(vpc: Native, options: Native) -> dict[str, Value]:
    v4 = [{"cidrBlock": each["cidr_block"]} for each in vpc.get_cidr_block_association_set(ipv6=False)]
    v6 = [{"ipv6CidrBlock": each["cidr_block"]} for each in vpc.get_cidr_block_association_set(ipv6=True)]
    return {
        "ownerId": vpc.owner_id,
        "vpcId": vpc.id,
        "region": vpc.region,
        "cidrBlock": vpc.cidr_block,
        "cidrBlockSet": list(v4),
        "ipv6CidrBlockSet": list(v6),
        "peeringOptions": {name[0].lower() + name[1:]: bool(value) for name, value in options.items()},
    }


_FIELDS: dict[str, Callable[[Native], Iterable[str]]] = {
    "vpc-peering-connection-id": lambda each: (each.id,),
    "status-code": lambda each: (each.status["Code"],),
    "status-message": lambda each: (each.status["Message"],),
    "requester-vpc-info.vpc-id": lambda each: (each.vpc.id,),
    "requester-vpc-info.owner-id": lambda each: (each.vpc.owner_id,),
    "requester-vpc-info.cidr-block": lambda each: (each.vpc.cidr_block,),
    "accepter-vpc-info.vpc-id": lambda each: (each.peer_vpc.id,),
    "accepter-vpc-info.owner-id": lambda each: (each.peer_vpc.owner_id,),
    "accepter-vpc-info.cidr-block": lambda each: (each.peer_vpc.cidr_block,),
}

"""How EC2 counts, and whom a reference matches: the two facts that every plan on AWS stands on."""

from __future__ import annotations

import pytest

from cloudsync.adapter import Whose
from cloudsync.model.address import AddressSet, Family
from cloudsync.model.packets import PacketSet
from cloudsync.model.service import TCP, ServiceSet
from cloudsync_aws.decode import decode
from cloudsync_aws.quota import Sums, sums
from cloudsync_aws.table import AwsTable, Eni, Group, PeerKind, PrefixList, RuleKey, Vpc

SCOPE = "111122223333/us-east-1"
LIST = PrefixList("pl-1", SCOPE, "partners", Family.V4, 7)


def rule(kind: PeerKind, peer: str, *, egress: bool = False) -> RuleKey:
    return RuleKey(egress, TCP, 443, 443, kind.value, peer)


@pytest.mark.parametrize(
    ("kind", "peer", "counted"),
    [
        (PeerKind.CIDR4, "10.0.0.0/8", (1, 0)),
        (PeerKind.CIDR6, "2001:db8::/32", (0, 1)),
        (PeerKind.GROUP, "sg-1", (1, 1)),
        (PeerKind.LIST, "pl-1", (7, 7)),
        (PeerKind.LIST, "pl-unknown", (1, 1)),
    ],
)
def test_a_reference_counts_in_both_families(kind: PeerKind, peer: str, counted: tuple[int, int]) -> None:
    lists = {"pl-1": LIST}
    assert sums([rule(kind, peer)], lists) == Sums(*counted, 0, 0)
    assert sums([rule(kind, peer, egress=True)], lists) == Sums(0, 0, *counted)
    assert sums([rule(kind, peer), rule(kind, peer, egress=True)], lists).most == max(counted)


def test_a_reference_matches_no_public_ipv4_address() -> None:
    web = Group("sg-web", SCOPE, "vpc-1", "web")
    app = Group("sg-app", SCOPE, "vpc-1", "app", {rule(PeerKind.GROUP, "sg-web"): ""})
    sender = Eni("eni-w", SCOPE, "vpc-1", "i-w", AddressSet.of("10.0.0.1", "2600:1::1"), AddressSet.of("52.0.0.1"), ("sg-web",))
    receiver = Eni("eni-a", SCOPE, "vpc-1", "i-a", AddressSet.of("10.0.0.2"), AddressSet(), ("sg-app",))
    table = AwsTable("acme", {"sg-web": web, "sg-app": app}, {"eni-a": receiver, "eni-w": sender}, {}, {"vpc-1": Vpc("vpc-1", SCOPE)})
    inbound = decode(table, Whose.ALL, [receiver.point])[receiver.point].inbound
    assert inbound == PacketSet.of(AddressSet.of("10.0.0.1", "2600:1::1"), ServiceSet.ports(TCP, 443, 443))

"""The whole simulated vendor: accounts, regions, clock, and who is peered with whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..clock import LabClock
from . import lists_seed
from .accounts import Accounts
from .book import Book, Peering
from .native import Native
from .refusal import Refusal, different_networks
from .wire import Form


@dataclass(frozen=True, slots=True)
class Call:
    """One decoded EC2 request."""

    action: str
    account: str
    region: str
    form: Form


@dataclass(slots=True)
class Settings:
    """How the simulated vendor behaves where the real one may behave either way."""

    list_settle_reads: int = 1
    """Descriptions of a prefix list that still show the -in-progress state after a write."""
    unpaged_limit: int | None = None
    """Refuse unpaginated reads of more things than this."""


@dataclass(slots=True)
class World:
    """Every book, by account and region."""

    accounts: Accounts
    clock: LabClock = field(default_factory=LabClock)
    settings: Settings = field(default_factory=Settings)
    books: dict[tuple[str, str], Book] = field(default_factory=dict)

    def book(self, account: str, region: str) -> Book:
        """The book of an account and region, made on first use."""
        found = self.books.get((account, region))
        if found is None:
            found = Book(account, region, ec2_backend(account, region), random_hex)
            self.books[account, region] = found
            lists_seed.adopt(found)
        return found

    def of(self, call: Call) -> Book:
        """The book of a call."""
        return self.book(call.account, call.region)

    def find_group(self, region: str, group_id: str, home: Book) -> tuple[Book, Native] | None:
        """A group of any account in one region, the home account first."""
        found = home.group_or_none(group_id)
        if found is not None:
            return home, found
        for (_, where), book in list(self.books.items()):
            if where == region and book is not home:
                found = book.group_or_none(group_id)
                if found is not None:
                    return book, found
        return None

    def peering_between(self, home: Book, vpc_id: str, other_vpc_id: str) -> str | None:
        """The id of an active peering of two VPCs of one region, or None."""
        for connection in list(home.backend.vpc_pcxs.values()):
            ends = {connection.vpc.id, connection.peer_vpc.id}
            same_region = connection.vpc.region == connection.peer_vpc.region
            if ends == {vpc_id, other_vpc_id} and same_region and connection.status["Code"] == "active":
                return str(connection.id)
        return None

    def resolve_reference(self, home: Book, group: Native, peer_id: str, owner: str | None) -> Peering | None:
        """Check that `group` may refer to a peer group: None in the same VPC, else the peering (rows 19, 20)."""
        found = self.find_group(home.region, peer_id, home)
        if found is None or (owner is not None and found[0].account != owner):
            raise Refusal.group_not_found(peer_id)
        book, peer = found
        if peer.vpc_id == group.vpc_id or book.associations.get((peer_id, group.vpc_id)) == "associated":
            return None
        connection = self.peering_between(home, group.vpc_id, peer.vpc_id)
        if connection is None:
            if book is not home:
                raise Refusal.group_not_found(peer_id)
            raise different_networks()
        return Peering(book.account, peer.vpc_id, connection)

    def referrers(self, region: str, group_id: str) -> Iterator[tuple[Book, str]]:
        """(book, referring group) for every group, in any account, with a rule that names this one."""
        for (_, where), book in list(self.books.items()):
            if where == region:
                for referring in list(book.group_uses.get(group_id, ())):
                    yield book, referring

    def forget(self) -> None:
        """Drop everything the lab holds of its own."""
        self.books.clear()
        self.settings = Settings()


def ec2_backend(account: str, region: str) -> Native:
    """moto's EC2 of one account and region."""
    from moto.ec2.models import ec2_backends

    backend: Native = ec2_backends[account][region]
    return backend


def random_hex(length: int) -> str:
    """Hexadecimal digits from moto's seeded source, so that ids are the same for the same seed."""
    from moto.moto_api._internal import mock_random

    return str(mock_random.get_random_hex(length))

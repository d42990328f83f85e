"""AWS as one ground among four: the readers of the AWS campaign, answering in the words that all grounds share."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from cloudsync.lab import server
from tests.oracle import cloud, estates
from tests.oracle.cloud import Access
from tests.oracle.four_ground import Built, Json, Row, Vocabulary, mapped
from tests.oracle.reach import Reach
from tests.oracle.reading import Address, Machine, Service

PORTED = {"tcp": 6, "udp": 17}


@dataclass
class AwsReach:
    """Interfaces whose addresses all fare alike: what is open at one is open at every one."""

    reach: Reach

    def row(self, card: str, address: Address, *, inbound: bool) -> Row:
        """Return what becomes of every service between an interface and a peer."""
        found = self.reach.through(card, address, inbound=inbound)
        return Row(found, found)

    def rules(self, card: str, *, inbound: bool) -> str:
        """Return everything that `row` depends on beside the peer."""
        return self.reach.rules(card, inbound=inbound)


@dataclass
class AwsEstate:
    """One raw reading of one account and region."""

    raw: cloud.Estate

    def machines(self, vocabulary: Vocabulary) -> list[Machine]:
        """Return its workloads with the labels that the settings of this campaign give."""
        found = []
        for one in cloud.machines([self.raw], dict.fromkeys(("role", "env", "app"), ())):
            labels = mapped(cloud.tags(self.raw.instances[one.ref]), vocabulary)
            found.append(Machine(one.name, one.ref, labels, one.cards))
        return found

    def _permissions(self) -> Iterator[Json]:
        for group in self.raw.groups.values():
            yield from (*group["IpPermissions"], *group["IpPermissionsEgress"])

    def bystanders(self) -> list[str]:
        """Return interfaces of no workload: none here."""
        return []

    def blocks(self) -> Iterable[str]:
        """Return every block that a rule or a list names."""
        for permission in self._permissions():
            yield from (one["CidrIp"] for one in permission.get("IpRanges", ())[:40])
            yield from (one["CidrIpv6"] for one in permission.get("Ipv6Ranges", ())[:40])
        for entries in self.raw.lists.values():
            yield from entries[:40]

    def ports(self) -> Iterable[tuple[int, int, int]]:
        """Return every range of ports that a rule names."""
        for permission in self._permissions():
            number = PORTED.get(permission["IpProtocol"])
            if number is not None:
                yield number, permission["FromPort"], permission["ToPort"]

    def foreign(self) -> dict[str, str]:
        """Return every group that does not carry the product's mark."""
        return {
            name: repr(sorted(group.items()))
            for name, group in self.raw.groups.items()
            if "cloudsync:owner" not in {one["Key"] for one in group.get("Tags", ())}
        }


def reach(estate: AwsEstate, services: Sequence[Service]) -> AwsReach:
    """Return who answers for a list of services."""
    return AwsReach(Reach(estate.raw, services))


@dataclass
class AwsGround:
    """One account and region of a lab in a process of its own, for moto keeps one cloud per process."""

    lab: server.Lab
    name: str = "aws"
    region: str = "us-east-1"
    mode: str = ""
    gate: None = None
    switches: Json = field(default_factory=dict)
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def access(self) -> Access:
        """Return access to the main account."""
        state = self.lab.state
        return Access(state.endpoint, state.account, state.access_key_id, state.secret_access_key, self.region)

    def build(self, seed: int, mode: str) -> Built:
        self.mode = mode
        self.lab.control.reset("empty", seed)
        self.lab.control.ask("quotas", {"rules_per_group": 200})
        built = estates.small(self.access(), seed, machines=(3, 6))
        client: Any = self.access().client()
        client.create_tags(Resources=built.instances, Tags=[{"Key": "Loc", "Value": "aws"}])
        self.lab.control.calls(clear=True)
        return Built(built.names, built.pool())

    def read(self) -> AwsEstate:
        return AwsEstate(cloud.read(self.access()))

    def peek(self) -> AwsEstate:
        return self.read()

    def target(self, more: Json) -> Json:
        account = self.lab.state.account
        return {"adapter": "aws", "account": account, "regions": [self.region], "settle": "0s", "endpoint": self.lab.endpoint, **more}

    def environment(self) -> dict[str, str]:
        state = self.lab.state
        return {
            "AWS_ACCESS_KEY_ID": state.access_key_id,
            "AWS_SECRET_ACCESS_KEY": state.secret_access_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def writes(self) -> list[Any]:
        return list(self.lab.control.log())

    def relabel(self, rng: random.Random) -> None:
        instance = rng.choice(sorted(self.read().raw.instances))
        tags = [{"Key": "Role", "Value": rng.choice(["web", "app", "db", "nothing"])}]
        self.access().client().create_tags(Resources=[instance], Tags=tags)

    def tamper(self, rng: random.Random) -> str:
        groups = self.read().raw.groups
        mine = [name for name, group in sorted(groups.items()) if "cloudsync:owner" in {one["Key"] for one in group.get("Tags", ())}]
        if not mine:
            return ""
        group = rng.choice(mine)
        telnet = [{"IpProtocol": "tcp", "FromPort": 23, "ToPort": 23, "IpRanges": [{"CidrIp": "203.0.113.99/32"}]}]
        self.access().client().authorize_security_group_ingress(GroupId=group, IpPermissions=telnet)
        return f"{group} with telnet"

    def stop(self) -> None:
        self.stack.close()
        cloud.close()


def start() -> AwsGround:
    """Start a lab for it."""
    stack = contextlib.ExitStack()
    return AwsGround(stack.enter_context(server.running(estate="empty", seed=1)), stack=stack)

"""For tests: a lab per session, emptied before each test, and a client that says what the vendor said.

Use it from a `conftest.py` with `from cloudsync.lab.pytest_plugin import aws_lab, aws_lab_server`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache

import pytest

from .aws.native import Json, Native
from .server import Lab, running


@pytest.fixture(scope="session")
def aws_lab_server() -> Iterator[Lab]:
    """One lab process for the whole session."""
    with running(estate="empty", seed=1) as lab:
        yield lab


@pytest.fixture
def aws_lab(aws_lab_server: Lab) -> Lab:
    """The session's lab, empty and without faults; ids are the same in every run."""
    aws_lab_server.control.reset(estate="empty", seed=1)
    return aws_lab_server


@cache
def _client(service: str, endpoint: str, region: str, keys: tuple[str, str, str | None], attempts: int) -> Native:
    """Clients are thread-safe and cost a tenth of a second each, so tests share them."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1],
        aws_session_token=keys[2],
        config=Config(retries={"mode": "standard", "total_max_attempts": attempts}, read_timeout=30, parameter_validation=False),
    )


@dataclass(slots=True)
class Cloud:
    """boto3 against one endpoint, with the few shapes that tests need again and again."""

    endpoint: str
    access_key_id: str = "AKIAIOSFODNN7EXAMPLE"
    secret_access_key: str = "not-a-secret"
    session_token: str | None = None
    region: str = "us-east-1"
    _clients: dict[str, Native] = field(default_factory=dict)

    def client(self, service: str, *, attempts: int = 1) -> Native:
        """A client that sends each call exactly `attempts` times at most."""
        if service not in self._clients:
            keys = (self.access_key_id, self.secret_access_key, self.session_token)
            self._clients[service] = _client(service, self.endpoint, self.region, keys, attempts)
        return self._clients[service]

    @property
    def ec2(self) -> Native:
        """The EC2 client."""
        return self.client("ec2")

    def code(self, call: Callable[..., Native], **params: Json) -> str:
        """The error code of a call, or `ok`; `unparsable` when the answer is not of the vendor's format."""
        return self.refusal(call, **params)[0]

    def refusal(self, call: Callable[..., Native], **params: Json) -> tuple[str, str]:
        """(error code, message) of a call, or (`ok`, ``)."""
        from botocore.exceptions import ClientError
        from botocore.parsers import ResponseParserError

        try:
            call(**params)
        except ClientError as error:
            return str(error.response["Error"]["Code"]), str(error.response["Error"].get("Message", ""))
        except ResponseParserError:
            return "unparsable", ""
        return "ok", ""

    def vpc(self, block: str = "10.0.0.0/16", *, v6: bool = False) -> str:
        """A new VPC."""
        extra = {"AmazonProvidedIpv6CidrBlock": True} if v6 else {}
        return str(self.ec2.create_vpc(CidrBlock=block, **extra)["Vpc"]["VpcId"])

    def default_vpc(self) -> str:
        """The default VPC."""
        found = self.ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
        return str(found[0]["VpcId"])

    def subnet(self, vpc_id: str, block: str = "10.0.0.0/24") -> str:
        """A new subnet."""
        return str(self.ec2.create_subnet(VpcId=vpc_id, CidrBlock=block)["Subnet"]["SubnetId"])

    def group(self, vpc_id: str, name: str = "one", text: str = "a group") -> str:
        """A new group."""
        return str(self.ec2.create_security_group(GroupName=name, Description=text, VpcId=vpc_id)["GroupId"])

    def prefix_list(self, size: int = 5, *cidrs: str, family: str = "IPv4") -> str:
        """A new prefix list whose creation has settled."""
        entries = [{"Cidr": cidr} for cidr in cidrs]
        params: dict[str, Json] = {"Entries": entries} if entries else {}
        made = self.ec2.create_managed_prefix_list(PrefixListName="list", MaxEntries=size, AddressFamily=family, **params)
        list_id = str(made["PrefixList"]["PrefixListId"])
        self.settle(list_id)
        return list_id

    def settle(self, list_id: str) -> str:
        """Look at a prefix list until its state has ended; return that state."""
        for _ in range(10):
            state = str(self.ec2.describe_managed_prefix_lists(PrefixListIds=[list_id])["PrefixLists"][0]["State"])
            if not state.endswith("-in-progress"):
                return state
        raise AssertionError(f"{list_id} does not settle")

    def ingress(self, group_id: str, *permissions: Json) -> Json:
        """Authorize ingress."""
        return self.ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=list(permissions))

    def shown(self, group_id: str) -> Json:
        """One group of DescribeSecurityGroups."""
        return self.ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"][0]

    def rules(self, group_id: str, *, egress: bool = False) -> list[Json]:
        """The rules of one group and direction."""
        wanted = [{"Name": "group-id", "Values": [group_id]}]
        found = self.ec2.describe_security_group_rules(Filters=wanted)["SecurityGroupRules"]
        return [rule for rule in found if rule["IsEgress"] is egress]


def tcp(first: int, last: int | None = None, *, v4: tuple[str, ...] = (), v6: tuple[str, ...] = (), **more: Json) -> dict[str, Json]:
    """An IpPermission for tcp."""
    return {
        "IpProtocol": "tcp",
        "FromPort": first,
        "ToPort": first if last is None else last,
        **({"IpRanges": [{"CidrIp": each} for each in v4]} if v4 else {}),
        **({"Ipv6Ranges": [{"CidrIpv6": each} for each in v6]} if v6 else {}),
        **more,
    }


def cloud_of(lab: Lab, account: str | None = None, *, region: str | None = None) -> Cloud:
    """A client of one account of a lab."""
    wanted = account or lab.state.account
    keys = next(each for each in lab.state.accounts if each.account == wanted)
    return Cloud(lab.endpoint, keys.access_key_id, keys.secret_access_key, region=region or lab.state.region)

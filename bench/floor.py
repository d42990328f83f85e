"""The floor: a plain boto3 script that reads everything a plan needs, page by page, and does nothing with it.

Usage: python bench/floor.py ENDPOINT ACCESS_KEY SECRET [REGION]. Nothing of cloudsync is imported here.
"""

from __future__ import annotations

import sys
from typing import Any

import boto3


def read(endpoint: str, key: str, secret: str, region: str) -> int:
    """Read it all; return how many objects there are."""
    session = boto3.Session(aws_access_key_id=key, aws_secret_access_key=secret, region_name=region)
    session.client("sts", endpoint_url=endpoint).get_caller_identity()
    client: Any = session.client("ec2", endpoint_url=endpoint)
    wanted = {
        "describe_vpcs": ("Vpcs", 1000),
        "describe_instances": ("Reservations", 1000),
        "describe_network_interfaces": ("NetworkInterfaces", 1000),
        "describe_security_groups": ("SecurityGroups", 1000),
        "describe_vpc_peering_connections": ("VpcPeeringConnections", 1000),
        "describe_managed_prefix_lists": ("PrefixLists", 100),
    }
    count = 0
    lists: list[str] = []
    for operation, (field, size) in wanted.items():
        for page in client.get_paginator(operation).paginate(PaginationConfig={"PageSize": size}):
            count += len(page[field])
            if field == "PrefixLists":
                lists += [one["PrefixListId"] for one in page[field] if one.get("OwnerId") != "AWS"]
    for one in lists:
        for page in client.get_paginator("get_managed_prefix_list_entries").paginate(PrefixListId=one, PaginationConfig={"PageSize": 100}):
            count += len(page["Entries"])
    return count


if __name__ == "__main__":
    print(read(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4] if len(sys.argv) > 4 else "us-east-1"))

"""The floor: a plain boto3 script that reads what a run needs that finds nothing to do, page by page, and does nothing with it.

Usage: python bench/floor.py ENDPOINT ACCESS_KEY SECRET [REGION]. Nothing of cloudsync is imported here.
"""

from __future__ import annotations

import sys
from typing import Any

import boto3


def read(endpoint: str, key: str, secret: str, region: str) -> int:
    """Read it all; return how many objects there are."""
    session = boto3.Session(aws_access_key_id=key, aws_secret_access_key=secret, region_name=region)
    client: Any = session.client("ec2", endpoint_url=endpoint)
    wanted = {
        "describe_instances": "Reservations",
        "describe_network_interfaces": "NetworkInterfaces",
        "describe_security_groups": "SecurityGroups",
    }
    count = 0
    for operation, field in wanted.items():
        for page in client.get_paginator(operation).paginate(PaginationConfig={"PageSize": 1000}):
            count += len(page[field])
    return count


if __name__ == "__main__":
    print(read(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4] if len(sys.argv) > 4 else "us-east-1"))

"""Cloud Custodian's scan for groups that are open to the world, beside `cloudsync drift`, which reads everything and compares it."""

from __future__ import annotations

import json
import os
import sys

from bench import estate
from bench.lab import CLOUDSYNC, Figures, client_of, credentials, later, series, temporary
from bench.measure import Run, alternating, once
from bench.peers.installed import installed, pinned
from cloudsync.lab import server

POLICY = """\
policies:
  - name: open
    resource: aws.security-group
    filters:
      - type: ingress
        Cidr: {value: "0.0.0.0/0"}
"""


def measure(count: int, times: int, wait_s: float) -> Figures | None:
    """Return the figures of both over `count` groups in the account, at most 20 of them ours."""
    programs = installed("c7n")
    if programs is None:
        return None
    ours = min(count, 20)
    with server.running(estate="empty", seed=1) as lab, temporary() as root:
        client = client_of(lab)
        estate.machines(client, ours)
        estate.foreign(client, count - ours)
        left = client.create_security_group(GroupName="left-open", Description="by somebody", VpcId=_vpc(client))["GroupId"]
        client.authorize_security_group_ingress(
            GroupId=left, IpPermissions=[{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
        )
        estate.repository(root / "ours", estate.policy(ours, ours * 10), account=lab.state.account, endpoint=lab.endpoint)
        env = credentials(lab)
        for _ in range(2):
            once([*CLOUDSYNC, "apply", "--yes", "-C", str(root / "ours")], env)
        later(lab, wait_s)
        (root / "open.yml").write_text(POLICY, encoding="utf-8")
        scan = [
            str(programs / "custodian"),
            "run",
            "--region",
            "us-east-1",
            "--cache-period",
            "0",
            "-s",
            str(root / "out"),
            str(root / "open.yml"),
        ]
        theirs_env = env | {"AWS_ENDPOINT_URL": lab.endpoint}

        def theirs() -> Run:
            run = once(scan, theirs_env)
            found = [one["GroupId"] for one in json.loads((root / "out" / "open" / "resources.json").read_text(encoding="utf-8"))]
            if left not in found:
                sys.exit(f"benchmark stopped: the scan did not find the open group, only {found}")
            return run

        def mine() -> Run:
            return once([*CLOUDSYNC, "drift", "-C", str(root / "ours")], env)

        lab.control.calls(clear=True)
        mine()
        calls = lab.control.calls(clear=True)
        theirs()
        theirs_calls = lab.control.calls(clear=True)
        found = alternating([f"drift, {count} groups", f"Custodian, {count} groups"], [mine, theirs], times)
    figures = {
        "versions": pinned("c7n"),
        "groups": count,
        "wait_ms": round(wait_s * 1000),
        "load": round(os.getloadavg()[0], 1),
        "ours": series(found[0]),
        "theirs": series(found[1]),
        "calls": sum(calls.values()),
        "calls_theirs": sum(theirs_calls.values()),
        "ratio": round(found[0].wall_s / found[1].wall_s, 2),
        "ratio_cpu": round(found[0].cpu_s / found[1].cpu_s, 2),
    }
    print(f"\nCloud Custodian, {count} groups, {figures['wait_ms']} ms a call, load {figures['load']}")
    for one in found:
        print(f"  {one.line()}")
    print(f"  ours / theirs = {figures['ratio']} (CPU {figures['ratio_cpu']})   calls {figures['calls']} : {figures['calls_theirs']}")
    return figures


def _vpc(client: object) -> str:
    vpcs = client.describe_vpcs(Filters=[{"Name": "cidr", "Values": ["10.0.0.0/16"]}])  # type: ignore[attr-defined]
    return str(vpcs["Vpcs"][0]["VpcId"])

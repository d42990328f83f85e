"""Estates and config repositories for the benchmarks, all through plain boto3 and plain files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SETTINGS = """\
owner: bench
policy: policy/
inventory: inventory/
targets:
  - {{name: aws, adapter: aws, mode: {mode}, account: "{account}", regions: [us-east-1], vpcs: all, endpoint: "{endpoint}"}}
labels_from:
  - {{tag: Role, label: role}}
  - {{tag: App, label: app}}
schedule: {{every: 5m}}
guards: {{max_removed_rules: 100%, max_affected_workloads: 100%, max_gone_workloads: 100%, open_to_internet: allow}}
"""
ROLES = ("web", "app", "db", "lb")
PORTS = (22, 80, 443, 5432, 8080, 8443, 9000, 9090, 9100, 9200)


def machines(client: Any, classes: int) -> None:
    """One VPC; one machine per class (role x app), each with a wide old group."""
    vpc = client.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = client.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/18")["Subnet"]["SubnetId"]
    old = client.create_security_group(GroupName="old", Description="from before", VpcId=vpc)["GroupId"]
    for number in range(classes):
        client.run_instances(
            ImageId="ami-12345678",
            MinCount=1,
            MaxCount=1,
            NetworkInterfaces=[{"DeviceIndex": 0, "SubnetId": subnet, "Groups": [old]}],
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags(number)}],
        )


def fleet(client: Any, count: int, classes: int) -> None:
    """One VPC and many machines in few classes, started in batches."""
    vpc = client.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    old = client.create_security_group(GroupName="old", Description="from before", VpcId=vpc)["GroupId"]
    subnet = client.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/17")["Subnet"]["SubnetId"]
    for number in range(classes):
        client.run_instances(
            ImageId="ami-12345678",
            MinCount=count // classes,
            MaxCount=count // classes,
            NetworkInterfaces=[{"DeviceIndex": 0, "SubnetId": subnet, "Groups": [old]}],
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags(number)}],
        )


def foreign(client: Any, count: int) -> None:
    """Groups of somebody else, ten rules each."""
    vpc = client.create_vpc(CidrBlock="10.200.0.0/16")["Vpc"]["VpcId"]
    for number in range(count):
        group = client.create_security_group(GroupName=f"theirs-{number}", Description="not ours", VpcId=vpc)["GroupId"]
        permissions = [
            {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": f"10.{number % 250}.{at}.0/24"}]}
            for at, port in enumerate(PORTS)
        ]
        client.authorize_security_group_ingress(GroupId=group, IpPermissions=permissions)


def tags(number: int) -> list[dict[str, str]]:
    """Return the tags of the n-th class."""
    role, app = ROLES[number % 4], f"a{number // 4}"
    return [{"Key": "Name", "Value": f"{role}-{app}"}, {"Key": "Role", "Value": role}, {"Key": "App", "Value": app}]


def policy(classes: int, rules: int) -> str:
    """Return a policy of `rules` rules over `classes` classes, every machine held in full."""
    apps = [f"a{number}" for number in range((classes + 3) // 4)]
    lines = ["version: 1", "labels:", f"  role: [{', '.join(ROLES)}]", f"  app: [{', '.join(apps)}]", "enforcement: {default: full}"]
    lines += ["iplists:", "  corp: [203.0.113.0/24, 198.51.100.0/25]", "rulesets:"]
    made = 0
    for app in apps:
        mine = min(rules - made, -(-rules // len(apps)))
        if mine <= 0:
            break
        lines += [f"  - name: set-{app}", f"    scope: app={app}", "    owner: bench", "    rules:"]
        for number in range(mine):
            source, there = ("role=lb", "role=web") if number % 2 else ("role=app", "role=db")
            peer = "iplist corp" if number % 5 == 4 else source
            lines.append(f"      - allow {peer} to {there} on tcp/{7000 + 3 * number}")
        made += mine
    return "\n".join(lines) + "\n"


def repository(root: Path, text: str, *, account: str, endpoint: str, mode: str = "exclusive") -> None:
    """Write a config repository."""
    for folder in ("policy", "inventory"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "cloudsync.yaml").write_text(SETTINGS.format(account=account, endpoint=endpoint, mode=mode), encoding="utf-8")
    (root / "policy" / "bench.yaml").write_text(text, encoding="utf-8")


def static(root: Path, count: int, classes: int) -> None:
    """Write an inventory file of machines that no cloud lists."""
    lines = ["name,addresses,role,app"]
    for number in range(count):
        role, app = ROLES[number % 4], f"a{number % classes // 4}"
        lines.append(f"s{number},10.{64 + number // 65536}.{number // 256 % 256}.{number % 256},{role},{app}")
    (root / "inventory" / "machines.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

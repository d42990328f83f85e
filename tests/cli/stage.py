"""A stage for examinations: a lab, a config repository, and the product's own command line, run in this process as a shell would.

What the cloud lets through is asked of the raw EC2 API (tests/oracle/reach.py), never of the product.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from cloudsync.cli.main import main
from cloudsync.lab import server
from tests.oracle import cloud
from tests.oracle.campaign import Ran, environment
from tests.oracle.reach import Reach
from tests.oracle.reading import Service

Json = dict[str, Any]
PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58, "sctp": 132, "gre": 47}
OPEN = "max_removed_rules: 100%, max_affected_workloads: 100%, max_gone_workloads: 100%, open_to_internet: allow"
LABELS = """\
labels_from:
  - {tag: Role, label: role, lower: true}
  - {tag: Env, label: env, lower: true, map: {production: prod}}
  - {tag: App, label: app, lower: true}
"""
WORDS = """\
version: 1
labels:
  role: [web, app, db, lb, jump]
  app: [shop, pay]
  env: [prod, dev, test]
"""


def service(text: str) -> Service:
    """Return the service that `tcp/22`, `icmp/8.0` or `gre` names."""
    protocol, _, rest = text.partition("/")
    port, _, code = rest.partition(".")
    return Service(PROTOCOLS.get(protocol) or int(protocol), int(port or 0), int(code or 0))


@dataclass
class Net:
    """One VPC with a subnet; `six` is the first address of its IPv6 block, if it has one."""

    vpc: str
    subnet: str
    prefix: str
    six: str = ""
    used: int = 9


@dataclass
class Stage:
    """One estate with one repository."""

    lab: server.Lab
    root: Path
    region: str = "us-east-1"
    last: Ran | None = None
    cards: dict[str, list[str]] = field(default_factory=dict)
    instances: dict[str, str] = field(default_factory=dict)

    # --- the cloud ---------------------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Empty the cloud and the repository."""
        self.lab.control.reset("empty", 1)
        self.cards.clear()
        self.instances.clear()
        for path in sorted(self.root.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()

    def access(self, account: str = "", region: str = "") -> cloud.Access:
        """Return how to reach an account past the product."""
        wanted = account or self.lab.state.account
        keys = next(one for one in self.lab.state.accounts if one.account == wanted)
        return cloud.Access(self.lab.endpoint, wanted, keys.access_key_id, keys.secret_access_key, region or self.region)

    @property
    def ec2(self) -> Any:
        """EC2 as somebody else sees it."""
        return self.access().client()

    def net(self, prefix: str = "10.1", *, six: bool = False, region: str = "") -> Net:
        """Make a VPC `prefix`.0.0/16 with one subnet `prefix`.1.0/24."""
        ec2 = self.access(region=region).client()
        vpc = ec2.create_vpc(CidrBlock=f"{prefix}.0.0/16", AmazonProvidedIpv6CidrBlock=six)["Vpc"]
        wanted: Json = {"VpcId": vpc["VpcId"], "CidrBlock": f"{prefix}.1.0/24"}
        first = ""
        if six:
            first = str(ip_network(vpc["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]).network_address)
            wanted["Ipv6CidrBlock"] = f"{first}/64"
        return Net(vpc["VpcId"], ec2.create_subnet(**wanted)["Subnet"]["SubnetId"], prefix, first)

    def group(self, net: Net, name: str, *ingress: Json, egress: Iterable[Json] | None = None, region: str = "") -> str:
        """Make a group of somebody else; `egress` None leaves the default."""
        ec2 = self.access(region=region).client()
        made = str(ec2.create_security_group(GroupName=name, Description="from before", VpcId=net.vpc)["GroupId"])
        if ingress:
            ec2.authorize_security_group_ingress(GroupId=made, IpPermissions=list(ingress))
        if egress is not None:
            old = ec2.describe_security_groups(GroupIds=[made])["SecurityGroups"][0]["IpPermissionsEgress"]
            ec2.revoke_security_group_egress(GroupId=made, IpPermissions=old)
            if list(egress):
                ec2.authorize_security_group_egress(GroupId=made, IpPermissions=list(egress))
        return made

    def machine(self, net: Net, name: str, labels: str, groups: Iterable[str] = (), *, six: bool = False, region: str = "") -> str:
        """Start an instance called `name` with tags `role=web env=prod`; return its interface."""
        card = self.card(net, groups, six=six, region=region)
        pairs = {"Name": name, **dict(pair.split("=", 1) for pair in labels.split())}
        tags = [{"Key": {"role": "Role", "env": "Env", "app": "App"}.get(key, key), "Value": value} for key, value in pairs.items()]
        made = (
            self.access(region=region)
            .client()
            .run_instances(
                ImageId="ami-12345678",
                MinCount=1,
                MaxCount=1,
                NetworkInterfaces=[{"DeviceIndex": 0, "NetworkInterfaceId": card}],
                TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
            )["Instances"][0]["InstanceId"]
        )
        self.cards[name] = [card]
        self.instances[name] = made
        return card

    def card(self, net: Net, groups: Iterable[str] = (), *, six: bool = False, region: str = "", attach: str = "") -> str:
        """Make an interface; `attach` names the machine that it becomes another interface of."""
        ec2 = self.access(region=region).client()
        net.used += 1
        wanted: Json = {"SubnetId": net.subnet, "PrivateIpAddress": f"{net.prefix}.1.{net.used}"}
        wanted["Groups"] = list(groups) or [self.group(net, f"old-{net.used}", region=region)]
        if six:
            wanted["Ipv6Addresses"] = [{"Ipv6Address": str(ip_address(int(ip_address(net.six)) + net.used))}]
        made = str(ec2.create_network_interface(**wanted)["NetworkInterface"]["NetworkInterfaceId"])
        if attach:
            ec2.attach_network_interface(NetworkInterfaceId=made, InstanceId=self.instances[attach], DeviceIndex=len(self.cards[attach]))
            self.cards[attach].append(made)
        return made

    def tag(self, name: str, **tags: str) -> None:
        """Set tags of a machine."""
        listed = [{"Key": {"role": "Role", "env": "Env", "app": "App"}.get(key, key), "Value": value} for key, value in tags.items()]
        self.ec2.create_tags(Resources=[self.instances[name]], Tags=listed)

    def estate(self, region: str = "") -> cloud.Estate:
        """Read everything there is, raw."""
        return cloud.read(self.access(region=region), region)

    def passes(self, name: str, peer: str, text: str, *, out: bool = False, card: int = 0, seen: cloud.Estate | None = None) -> bool:
        """Tell whether the cloud lets a packet into (or out of) a machine's interface, by its groups alone. `seen`: read before."""
        reach = Reach(seen or self.estate(), [service(text)])
        return bool(reach.through(self.cards[name][card], ip_address(peer), inbound=not out))

    def address(self, name: str, card: int = 0, *, six: bool = False, seen: cloud.Estate | None = None) -> str:
        """Return the private IPv4 (or the IPv6) address of a machine."""
        found = (seen or self.estate()).cards[self.cards[name][card]]
        return str(found["Ipv6Addresses"][0]["Ipv6Address"] if six else found["PrivateIpAddress"])

    def carries(self, name: str, card: int = 0) -> list[str]:
        """Return the groups of an interface, sorted."""
        return sorted(one["GroupId"] for one in self.estate().cards[self.cards[name][card]]["Groups"])

    def ours(self) -> dict[str, Json]:
        """Return our groups by id."""
        return {name: one for name, one in self.estate().groups.items() if "cloudsync:owner" in cloud.tags(one)}

    # --- the wire ----------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Forget the calls counted so far."""
        self.lab.control.calls(clear=True)

    def writes(self) -> dict[str, int]:
        """Return the mutating calls since `forget`, per action."""
        return dict(sorted(Counter(str(one["action"]) for one in self.lab.control.log()).items()))

    def calls(self) -> dict[str, int]:
        """Return all calls since `forget`, per action."""
        return {name.partition(":")[2]: count for name, count in self.lab.control.calls().items()}

    # --- the product -------------------------------------------------------------------------------------------------

    def policy(self, text: str, *, words: str = WORDS) -> None:
        """Write the one policy file."""
        (self.root / "policy").mkdir(exist_ok=True)
        (self.root / "policy" / "all.yaml").write_text(words + text, encoding="utf-8")

    def settings(self, mode: str = "exclusive", *, target: str = "", more: str = "", guards: str = OPEN, labels: str = LABELS) -> None:
        """Write cloudsync.yaml with one target."""
        chosen = target or f"regions: [{self.region}], vpcs: all"
        text = f'owner: examiner\ntargets:\n  - {{name: aws, adapter: aws, mode: {mode}, account: "{self.lab.state.account}", '
        text += f'settle: 0s, endpoint: "{self.lab.endpoint}", {chosen}}}\n{labels}schedule: {{every: 5m}}\n'
        text += (f"guards: {{{guards}}}\n" if guards else "") + more
        (self.root / "cloudsync.yaml").write_text(text, encoding="utf-8")

    def inventory(self, text: str) -> None:
        """Write the one inventory file."""
        (self.root / "inventory").mkdir(exist_ok=True)
        (self.root / "inventory" / "static.yaml").write_text(text, encoding="utf-8")

    def run(self, *words: str, code: int | None = None, **variables: str) -> Ran:
        """Run one verb. `code`: what it must end with."""
        out, err = io.StringIO(), io.StringIO()
        state = self.lab.state
        wanted: Mapping[str, str] = {
            "AWS_ACCESS_KEY_ID": state.access_key_id,
            "AWS_SECRET_ACCESS_KEY": state.secret_access_key,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_COLOR": "1",
            "COLUMNS": "240",
            **variables,
        }
        with environment(**wanted), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                ended: object = main([words[0], "-C", str(self.root), *words[1:]])
            except SystemExit as leave:
                ended = leave.code
        self.last = ran = Ran(int(str(ended)), out.getvalue(), err.getvalue(), words)
        assert "Traceback (most recent call last)" not in ran.out + ran.err, str(ran)
        assert code is None or ran.code == code, f"wanted exit {code}\n{ran}"
        return ran

    def converge(self, *words: str, approve: bool = True) -> Ran:
        """Run `apply --yes`; where a guard asks, run the commands it prints, exactly as printed, and apply again."""
        ran = self.run("apply", "--yes", *words)
        for _ in range(4 if approve else 0):
            commands = dict.fromkeys(re.findall(r"cloudsync approve [^\n]+", ran.out + ran.err))
            if ran.code != 4 or not commands:
                break
            for command in commands:
                split = shlex.split(command)[1:]
                if "-C" in split:
                    del split[split.index("-C") : split.index("-C") + 2]
                self.run(*split, code=0)
            ran = self.run("apply", "--yes", *words)
        assert ran.code == 0, str(ran)
        return ran

    def settled(self) -> None:
        """A second run must make no mutating call and find no drift."""
        self.forget()
        self.run("apply", "--yes", code=0)
        assert self.writes() == {}, f"{self.writes()}\n{self.last}"
        self.run("drift", code=0)


@contextlib.contextmanager
def staged(root: Path) -> Iterator[Stage]:
    """Start a lab for the tests of one module."""
    with server.running(estate="empty", seed=1) as lab:
        yield Stage(lab, root)
        cloud.close()


def tcp(port: int, *cidrs: str, protocol: str = "tcp", last: int | None = None) -> Json:
    """Return an IpPermission."""
    four, six = [one for one in cidrs if ":" not in one], [one for one in cidrs if ":" in one]
    said: Json = {"IpProtocol": protocol, "FromPort": port, "ToPort": port if last is None else last}
    if four:
        said["IpRanges"] = [{"CidrIp": one} for one in four]
    if six:
        said["Ipv6Ranges"] = [{"CidrIpv6": one} for one in six]
    return said

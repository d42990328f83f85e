"""The whole main job in two minutes, on a simulated estate: `python -m cloudsync.lab.demo`.

Everything is done the way a user does it: through the command line of cloudsync, and through boto3 where a person tampers. The lab
listens on loopback alone and is ended at the end, whatever happens.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BOLD, DIM, RESET = "\x1b[1m", "\x1b[2m", "\x1b[0m"


class DemoError(Exception):
    """A step of the demo came to something else than it should."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demo plays: a folder for the lab, one for the config repository, and the environment of a real client."""

    lab: Path
    repository: Path
    environment: dict[str, str]

    def cloudsync(self, *words: str, expect: Sequence[int] = (0,), show: bool = True) -> str:
        """Run one command as a user would, show it, and insist on its exit code."""
        command = [sys.executable, "-m", "cloudsync.cli.main", *words]
        say(f"\n$ cloudsync {' '.join(words)}", BOLD)
        started = time.monotonic()
        done = subprocess.run(  # noqa: S603 - our own command line
            command, cwd=self.repository, env=self.environment, capture_output=True, text=True, check=False
        )
        if show:
            say(done.stdout.rstrip() + (("\n" + done.stderr.rstrip()) if done.stderr.strip() else ""))
        say(f"(exit {done.returncode}, {time.monotonic() - started:.1f} s)", DIM)
        if done.returncode not in expect:
            if not show:
                say(done.stdout + done.stderr)
            raise DemoError(f"cloudsync {words[0]} ended with {done.returncode}, wanted {' or '.join(map(str, expect))}")
        return done.stdout


def say(text: str, style: str = "") -> None:
    """Print a line of the story."""
    print(f"{style}{text}{RESET}" if style and sys.stdout.isatty() else text, flush=True)


def main() -> int:
    """Play the demo; 0 when every step came to what it should."""
    root = Path(tempfile.mkdtemp(prefix="cloudsync-demo-"))
    stage = Stage(root / "lab", root / "repository", dict(os.environ))
    try:
        return _play(stage)
    except DemoError as error:
        say(f"\nthe demo failed: {error}", BOLD)
        return 1
    finally:
        subprocess.run(  # noqa: S603 - our own command line
            [sys.executable, "-m", "cloudsync.cli.main", "lab", "down", "--dir", str(stage.lab)], capture_output=True, check=False
        )
        shutil.rmtree(root, ignore_errors=True)


def _play(stage: Stage) -> int:
    stage.repository.mkdir(parents=True)
    say("1. A simulated AWS account on loopback: about 40 instances in 3 VPCs, with years of hand-made security groups.", BOLD)
    stage.cloudsync("lab", "up", "--dir", str(stage.lab), "--estate", "small", "--background")
    lab = json.loads((stage.lab / "lab.json").read_text(encoding="utf-8"))["aws"]
    stage.environment.update(_exports(stage))

    say("\n2. A config repository: settings, policy and inventory as plain files, to be kept in git.", BOLD)
    stage.cloudsync("init", ".")
    _point_at(stage.repository / "cloudsync.yaml", lab)
    stage.cloudsync("validate")

    say("\n3. What would change? Every write, proven packet for packet before anything is sent.", BOLD)
    stage.cloudsync("plan", "-o", "plan.json", expect=(2, 4))

    say(
        "\n4. A first run takes over hand-made rules, so the guards ask a person. The printed command approves this plan and no other.",
        BOLD,
    )
    _approve(stage)
    stage.cloudsync("apply", "plan.json", "--yes")

    say("\n5. Somebody opens ssh to the world by hand, through the AWS API.", BOLD)
    _tamper(lab)
    stage.cloudsync("drift", expect=(2,))

    say("\n6. Converge again.", BOLD)
    stage.cloudsync("apply", "--yes")

    say("\n7. A second run has nothing to do, and writes nothing.", BOLD)
    stage.cloudsync("apply", "--yes")
    stage.cloudsync("drift")
    say("\nDone: planned, proven, guarded, applied, tampered with, found, converged.", BOLD)
    return 0


def _exports(stage: Stage) -> dict[str, str]:
    """Return what `lab env` tells a real client to set."""
    text = stage.cloudsync("lab", "env", "--dir", str(stage.lab), show=False)
    pairs = (line.removeprefix("export ").split("=", 1) for line in text.splitlines() if line.startswith("export "))
    return {name: value.strip("'") for name, value in pairs}


def _point_at(settings: Path, lab: dict[str, str]) -> None:
    """Fill account, Region and endpoint of the lab into the starter's settings."""
    text = settings.read_text(encoding="utf-8")
    lines = []
    for line in text.splitlines():
        lines.append(line)
        if line.strip().startswith("account:"):
            indent = line[: len(line) - len(line.lstrip())]
            lines[-1] = f'{indent}account: "{lab["account"]}"'
            lines.append(f"{indent}endpoint: {lab['endpoint']}")
            lines.append(f"{indent}settle: 0s")
        elif line.strip().startswith("regions:"):
            lines[-1] = line[: len(line) - len(line.lstrip())] + f"regions: [{lab['region']}]"
    settings.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _approve(stage: Stage) -> None:
    """Run the approve commands that the refusals of the plan print, until none is left."""
    report = json.loads(stage.cloudsync("plan", "--json", expect=(2, 4), show=False))
    for target in report["targets"]:
        for refusal in target["refusals"]:
            if not refusal["approve"]:
                raise DemoError(f"{refusal['guard']}: {refusal['message']}")
            import shlex

            stage.cloudsync(*shlex.split(refusal["approve"])[1:])


def _tamper(lab: dict[str, str]) -> None:
    """Add a rule for ssh from everywhere to one of our groups, as somebody in a hurry does."""
    import boto3

    ec2 = boto3.client(
        "ec2",
        endpoint_url=lab["endpoint"],
        region_name=lab["region"],
        aws_access_key_id=lab["access_key_id"],
        aws_secret_access_key=lab["secret_access_key"],
    )
    pages = ec2.get_paginator("describe_security_groups").paginate(Filters=[{"Name": "tag:cloudsync:managed", "Values": ["true"]}])
    groups = [group for page in pages for group in page["SecurityGroups"]]
    chosen = min(groups, key=lambda group: str(group["GroupName"]))
    ec2.authorize_security_group_ingress(
        GroupId=chosen["GroupId"],
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
    )
    say(f"   tcp/22 from 0.0.0.0/0 added to {chosen['GroupName']} ({chosen['GroupId']})", DIM)


if __name__ == "__main__":
    sys.exit(main())

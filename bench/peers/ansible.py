"""Ansible's amazon.aws.ec2_security_group beside `cloudsync apply`: 20 groups of 10 rules each, on one lab, in turn."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench import estate
from bench.lab import CLOUDSYNC, Figures, client_of, credentials, later, series, temporary, writes
from bench.measure import Run, Series, alternating, once
from bench.peers.installed import installed, pinned
from cloudsync.lab import server

COUNT, RULES = 20, 10
SLEEP_S = 3.0
"""What the module waits after each group that it makes (its `create_security_group_with_wait`), whatever the platform does."""
PLAYBOOK = """\
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{{{ ansible_playbook_python }}}}"
  tasks:
    - amazon.aws.ec2_security_group:
        name: "theirs-{{{{ item }}}}"
        description: bench
        vpc_id: {vpc}
        region: us-east-1
        endpoint_url: "{endpoint}"
        rules: {rules}
      loop: "{{{{ range({count}) | list }}}}"
"""


@dataclass(frozen=True)
class Scene:
    """One lab with a repository of ours and a playbook that wants as many groups."""

    lab: server.Lab
    root: Path
    bin: Path

    @property
    def ours(self) -> list[str]:
        return [*CLOUDSYNC, "apply", "--yes", "-C", str(self.root / "ours")]

    def build(self) -> None:
        """Empty the lab, start the machines that need groups, write both inputs."""
        self.lab.control.reset()
        client = client_of(self.lab)
        estate.machines(client, COUNT)
        vpc = client.create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
        rules = [{"proto": "tcp", "ports": [1000 + one], "cidr_ip": f"10.{one}.0.0/16"} for one in range(RULES)]
        text = PLAYBOOK.format(vpc=vpc, endpoint=self.lab.endpoint, rules=rules, count=COUNT)
        (self.root / "play.yml").write_text(text, encoding="utf-8")
        policy = estate.policy(COUNT, COUNT * RULES)
        estate.repository(self.root / "ours", policy, account=self.lab.state.account, endpoint=self.lab.endpoint)

    def run_ours(self) -> Run:
        return once(self.ours, credentials(self.lab))

    def run_theirs(self, changed: int) -> Run:
        """Run the playbook. Its own summary has to say that it changed as much as it should."""
        home = {"ANSIBLE_HOME": str(self.root / "home"), "ANSIBLE_LOCALHOST_WARNING": "False", "LC_ALL": "C.UTF-8"}
        run = once([str(self.bin / "ansible-playbook"), "-i", "localhost,", str(self.root / "play.yml")], credentials(self.lab) | home)
        said = re.search(r"ok=1 +changed=(\d)", run.out)
        if said is None or int(said[1]) != changed:
            sys.exit(f"benchmark stopped: the playbook did not change what it should\n{run.out[-2000:]}")
        return run


def measure(times: int, applies: int, wait_s: float) -> Figures | None:
    """Return the figures of both for applies and no-ops. `wait_s`: what each call takes at the platform beside its work."""
    programs = installed("ansible")
    if programs is None:
        return None
    with server.running(estate="empty", seed=1) as lab, temporary() as root:
        scene = Scene(lab, root, programs)
        rounds = [_applied(scene, wait_s) for _ in range(applies)]
        calls, theirs_calls = rounds[-1][2], rounds[-1][3]
        apply = Series("apply, ours", tuple(one[0] for one in rounds)), Series("apply, Ansible", tuple(one[1] for one in rounds))
        scene.run_ours()  # the second run takes over what the first one left for it; the third is a no-op like all others
        lab.control.calls(clear=True)
        counted: list[dict[str, int]] = []

        def quiet(run: Callable[[], Run]) -> Run:
            done = run()
            counted.append(lab.control.calls(clear=True))
            if writes(counted[-1]):
                sys.exit(f"benchmark stopped: a no-op wrote {writes(counted[-1])}")
            return done

        theirs = partial(scene.run_theirs, 0)
        noop = alternating(["no-op, ours", "no-op, Ansible"], [partial(quiet, scene.run_ours), partial(quiet, theirs)], times)
        noop_calls, theirs_noop_calls = counted[0], counted[1]
    slept = COUNT * SLEEP_S
    figures: dict[str, Any] = {
        "versions": pinned("ansible"),
        "groups": COUNT,
        "wait_ms": round(wait_s * 1000),
        "load": round(os.getloadavg()[0], 1),
        "slept_s": slept,
        "apply": {
            "ours": series(apply[0]),
            "theirs": series(apply[1]),
            "calls": sum(calls.values()),
            "calls_theirs": sum(theirs_calls.values()),
        },
        "noop": {
            "ours": series(noop[0]),
            "theirs": series(noop[1]),
            "calls": sum(noop_calls.values()),
            "calls_theirs": sum(theirs_noop_calls.values()),
        },
        "ratio_noop": round(noop[1].wall_s / noop[0].wall_s, 1),
        "ratio_noop_cpu": round(noop[1].cpu_s / noop[0].cpu_s, 1),
        "ratio_apply_cpu": round(apply[1].cpu_s / apply[0].cpu_s, 1),
        "ratio_noop_calls": round(sum(theirs_noop_calls.values()) / sum(noop_calls.values()), 1),
        "ratio_apply_without_sleep": round((apply[1].wall_s - slept) / apply[0].wall_s, 1),
    }
    print(f"\nAnsible, {COUNT} groups, {figures['wait_ms']} ms a call, load {figures['load']}")
    for one in (*apply, *noop):
        print(f"  {one.line()}")
    print(
        f"  no-op: {figures['ratio_noop']}x as fast, calls {figures['noop']['calls_theirs']} : {figures['noop']['calls']};"
        f" apply, {slept:.0f} s of sleep taken off: {figures['ratio_apply_without_sleep']}x"
    )
    return figures


def _applied(scene: Scene, wait_s: float) -> tuple[Run, Run, dict[str, int], dict[str, int]]:
    scene.build()
    later(scene.lab, wait_s)
    scene.lab.control.calls(clear=True)
    ours = scene.run_ours()
    calls = scene.lab.control.calls(clear=True)
    theirs = scene.run_theirs(1)
    return ours, theirs, calls, scene.lab.control.calls(clear=True)

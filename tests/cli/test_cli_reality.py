"""What people do to a converged estate, and what the reports say about it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.cli.stage import Stage, staged, tcp

POLICY = """\
enforcement: {default: full}
rulesets:
  - name: shop
    scope: all
    owner: team
    rules:
      - allow role=web to role=db on tcp/5432
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One lab for the module."""
    with staged(tmp_path_factory.mktemp("repository")) as one:
        yield one


@pytest.fixture
def stage(server: Stage) -> Stage:
    """A converged estate of two machines, both called by their role."""
    server.clear()
    net = server.net()
    for role in ("web", "db"):
        server.machine(net, role, f"role={role}")
    server.settings()
    server.policy(POLICY)
    server.converge()
    return server


def test_drift_names_the_platforms_own_id_of_the_rule_to_blame(stage: Stage) -> None:
    (ours,) = (one for one in stage.carries("db") if one in stage.ours())
    made = stage.ec2.authorize_security_group_ingress(GroupId=ours, IpPermissions=[tcp(22, "0.0.0.0/0")])
    native = made["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    ran = stage.run("drift", code=2)
    assert re.search(rf"\[critical\] tcp/22 from anywhere \(IPv4\) to 1 workload role=db: .* let in by {native} ", ran.out), str(ran)

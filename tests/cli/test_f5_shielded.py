"""A change that AWS behind an F5 and the F5 itself need in opposite orders: shields at the F5 stand through all of it, whatever fails."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.four import Four

ENFORCED = "\n".join(f"{{scope: env=prod role={role}, mode: full}}" for role in ("lb", "web", "app"))
KEPT = tuple(f"allow iplist partner to role={role} on tcp/{port}" for role, port in (("lb", 443), ("web", 22), ("app", 22)))
BEFORE = ("allow iplist office to role=lb app=ordering on tcp/443", "allow role=lb to role=app on tcp/443", *KEPT)
AFTER = ("allow iplist office to role=lb app=payments on tcp/443", "allow role=lb to role=web on tcp/443", *KEPT)
ORDERING, PAYMENTS = "192.0.2.10", "192.0.2.11"
OFFICE = "203.0.113.70"


@pytest.fixture
def chained(four: Four) -> Four:
    """Two virtual servers in front of AWS: office -> ordering -> web, office -> payments -> app. Half of each way is open."""
    four.settings(*(four.target(name, "exclusive") for name in ("aws", "f5")))
    four.policy(*KEPT)
    for name, member in (("vs_ordering_https", "ordering-web-prod-1"), ("vs_payments_https", "payments-app-prod-1")):
        found = json.loads(four.run("explain", OFFICE, member, "tcp/443", "--json", code=0).out)
        address = found["destination"]["addresses"][0].partition("/")[0]
        four.act("f5", "POST", "/mgmt/tm/ltm/pool", {"name": f"p_{name}", "members": [{"name": f"{address}:443"}]})
        four.act("f5", "PATCH", f"/mgmt/tm/ltm/virtual/~Common~{name}", {"pool": f"/Common/p_{name}"})
    four.act("f5", "POST", "/mgmt/tm/cm", {"command": "run", "utilCmdArgs": "config-sync to-group dg-failover"})
    four.policy(*BEFORE, enforced=ENFORCED)
    four.converge()
    four.policy(*AFTER, enforced=ENFORCED)
    return four


def lets_in(four: Four) -> tuple[bool, bool]:
    return four.passes("f5", OFFICE, ORDERING, "tcp", 443), four.passes("f5", OFFICE, PAYMENTS, "tcp", 443)


def shields(four: Four) -> list[str]:
    found = four.act("f5", "GET", "/mgmt/tm/security/firewall/policy?expandSubcollections=true")["items"]
    return [one["name"] for one in found if any(rule["name"].startswith("shield_") for rule in one["rulesReference"].get("items", ()))]


def written(four: Four) -> list[tuple[str, str, bool]]:
    """Return target, key and whether it is temporary of every write that the journal knows, in order."""
    entries: list[dict[str, Any]] = json.loads(four.run("audit", "--json", "-n", "10000", code=0).out)["entries"]
    details = [one for one in entries if one["event"] == "intent"]
    return [(one["target"], one["key"], bool(one["temporary"])) for one in details]


def test_shields_come_first_and_go_last(chained: Four) -> None:
    four = chained
    assert lets_in(four) == (True, False)
    before = len(written(four))
    told = four.run("apply", "--yes", code=0).out
    assert "temporary denies at f5 keep it out while everybody changes" in told
    way = written(four)[before:]
    swaps = [at for at, (target, key, _) in enumerate(way) if target == "f5" and "swap/" in key]
    aws = [at for at, (target, _, _) in enumerate(way) if target == "aws"]
    temporary = [at for at, (_, _, passing) in enumerate(way) if passing]
    assert temporary
    assert min(temporary) == min(swaps) < min(aws), "up before anything else"
    assert max(aws) < max(swaps), "down when all is done"
    assert way[max(swaps)][1].startswith("shields-down-swap/")
    assert lets_in(four) == (False, True)
    assert shields(four) == []
    four.settled()


@pytest.mark.parametrize("action", ["AuthorizeSecurityGroupIngress", pytest.param("RevokeSecurityGroupIngress", marks=pytest.mark.slow)])
def test_shields_stay_up_while_the_cloud_refuses_and_go_when_it_no_longer_does(chained: Four, action: str) -> None:
    """Neither way is whole meanwhile: what the office may not do before nor after it never may."""
    four = chained
    four.lab.control.fault(action, "refused", code="InvalidParameterValue", message="no", times=0)
    assert four.run("apply", "--yes").code == 5
    assert shields(four)
    assert lets_in(four) == (False, False)
    four.lab.control.no_faults()
    four.converge()
    assert lets_in(four) == (False, True)
    assert shields(four) == []
    four.settled()


MEMBERS = "/mgmt/tm/ltm/pool/~Common~{}/members"


def takes(four: Four, pool: str, *, part: bool) -> None:
    """Let the members of a pool take part, or take them out."""
    members = MEMBERS.format(pool)
    for one in four.act("f5", "GET", members)["items"]:
        state = {"state": "user-up", "session": "user-enabled"} if part else {"state": "user-down", "session": "user-disabled"}
        four.act("f5", "PATCH", f"{members}/~Common~{one['name']}", state)


def test_who_takes_part_in_a_pool_moves_a_plan_only_where_the_order_depends_on_it(chained: Four) -> None:
    four = chained
    plan = str(four.root / "plan.json")
    takes(four, "p_vs_ordering_https", part=False)
    four.run("plan", "-o", plan, code=2)
    takes(four, "p_vs_ordering_https", part=True)
    told = four.run("apply", plan, "--yes", code=4)
    assert "G-APPROVAL" in told.out + told.err
    assert lets_in(four) == (True, False), "nothing was written"
    four.run("plan", "-o", plan, code=2)
    takes(four, "pool_resolver", part=False)
    four.run("apply", plan, "--yes", code=0)
    assert lets_in(four) == (False, True)


def test_where_pools_cannot_be_read_the_order_is_made_for_every_way_that_there_could_be(chained: Four) -> None:
    four = chained
    four.lab.control.fault("GET ltm/pool", "denied", site="f5", times=0)
    told = four.run("plan", code=2).out
    assert "where virtual servers forward to is not known" in told
    assert "aws and f5 share paths and are written together" in told
    told = four.run("explain", OFFICE, "vs_ordering_https", "tcp/443", code=0).out
    assert "goes on to anywhere any service from 10.60." in told
    assert "unknown, who its members are could not be read" in told
    four.converge()
    assert lets_in(four) == (False, True)
    assert shields(four) == []

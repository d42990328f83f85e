"""`release` over real wires: what stood at every enforcement point before us stands there again, byte for byte, on all four platforms."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator

import pytest

from tests.cli.four import SITES, Four
from tests.cli.stage import Stage, staged, tcp
from tests.oracle import cloud

OFFICE, STRANGER = "203.0.113.70", "198.51.100.5"
FRONT = {"gcp": ("web", "10.40.0.11"), "azure": ("web", "10.50.1.11"), "f5": ("lb", "192.0.2.10")}
"""At each platform a role that strangers reach on tcp/443 before us, and the address of one of its workloads."""
POLICY = """\
enforcement: {default: full}
rulesets:
  - name: shop
    scope: all
    owner: team-shop
    rules:
      - allow role=web to role=db on tcp/5432
"""


def insist(stage: Stage | Four, *words: str) -> None:
    """Release; where a guard asks, answer as it says and release again."""
    ran = stage.run("release", *words, "--hold", "--yes")
    for command in dict.fromkeys(re.findall(r"cloudsync approve [^\n]+", ran.out)) if ran.code == 4 else ():
        split = shlex.split(command)[1:]
        del split[split.index("-C") : split.index("-C") + 2]
        stage.run(*split, code=0)
    if ran.code == 4:
        ran = stage.run("release", *words, "--hold", "--yes")
    assert ran.code == 0, str(ran)


# --- AWS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("repository")) as one:
        yield one


@pytest.fixture
def stage(server: Stage) -> Stage:
    """Machines with one, two and many foreign groups, rules of both families and to other groups; and the policy."""
    server.clear()
    net = server.net(six=True)
    shared = server.group(net, "shared", tcp(22, "0.0.0.0/0", "::/0"), tcp(8000, "10.0.0.0/8", last=8100))
    web = server.group(net, "old-web", tcp(443, "0.0.0.0/0"), egress=[tcp(443, "0.0.0.0/0")])
    db = server.group(net, "old-db", {**tcp(5432), "UserIdGroupPairs": [{"GroupId": web}]})
    server.machine(net, "web-1", "role=web", [shared, web], six=True)
    server.machine(net, "web-2", "role=web", [web], six=True)
    server.machine(net, "db-1", "role=db", [db, shared])
    server.card(net, [db], attach="db-1")
    server.settings()
    server.policy(POLICY)
    return server


def foreign(stage: Stage, *names: str) -> str:
    """Return what others own, as EC2 shows it: every group that is not ours with its rules, and which groups each interface carries."""
    seen = stage.estate()
    groups = {key: one for key, one in seen.groups.items() if "cloudsync:owner" not in cloud.tags(one)}
    cards = {key: sorted(one["GroupId"] for one in seen.cards[key]["Groups"]) for name in names for key in stage.cards[name]}
    return json.dumps([groups, cards], sort_keys=True)


def test_one_machine_is_given_back_with_all_its_interfaces_and_the_others_stay_enforced(stage: Stage) -> None:
    before = foreign(stage, "db-1")
    stage.converge()
    assert not stage.passes("db-1", STRANGER, "tcp/22")
    insist(stage, "db-1")
    assert foreign(stage, "db-1") == before
    assert stage.passes("db-1", STRANGER, "tcp/22")
    for name in ("web-1", "web-2"):
        assert not stage.passes(name, STRANGER, "tcp/443"), "still enforced"
        assert set(stage.carries(name)) <= set(stage.ours())
    stage.forget()
    stage.run("apply", "--yes")
    assert stage.writes() == {}, "the hold keeps it so"


def test_a_whole_account_is_as_it_was_before_us(stage: Stage) -> None:
    names = ("web-1", "web-2", "db-1")
    before = foreign(stage, *names)
    stage.converge()
    assert foreign(stage, *names) != before
    insist(stage, "--target", "aws")
    assert foreign(stage, *names) == before
    stage.forget()
    stage.run("apply", "--yes")
    assert stage.writes() == {}
    # With the policy changed and the hold lifted it stays given back, and is taken anew when the policy says so.
    stage.policy(POLICY.replace("default: full", "default: visibility"))
    stage.run("unhold", "aws", code=0)
    stage.settled()
    assert foreign(stage, *names) == before
    stage.policy(POLICY)
    stage.converge()
    assert not stage.passes("db-1", STRANGER, "tcp/22")


def test_what_a_person_changed_since_is_not_overwritten(stage: Stage) -> None:
    stage.converge()
    groups = {one["GroupName"]: key for key, one in stage.estate().groups.items()}
    stage.ec2.authorize_security_group_ingress(GroupId=groups["old-db"], IpPermissions=[tcp(9999, "192.0.2.0/24")])
    insist(stage, "db-1")
    assert stage.passes("db-1", "192.0.2.7", "tcp/9999"), "a newer edit of a foreign group stays"
    assert stage.passes("db-1", STRANGER, "tcp/22")


# --- GCP, Azure, F5 --------------------------------------------------------------------------------------------------


def attached(four: Four, site: str) -> dict[str, str]:
    """Return the foreign rules of a platform, and on F5 which policy each virtual server carries."""
    found = four.foreign(site)
    if site == "f5":
        for one in four.act(site, "GET", "/mgmt/tm/ltm/virtual")["items"]:
            carried = {key: value for key, value in one.items() if key.startswith("fw")}
            found[f"virtual {one['fullPath']}"] = json.dumps(carried, sort_keys=True)
    return found


def reached(four: Four, site: str) -> tuple[bool, bool]:
    """Tell whether the office and a stranger reach the front."""
    place = FRONT[site][1]
    return four.passes(site, OFFICE, place, "tcp", 443), four.passes(site, STRANGER, place, "tcp", 443)


@pytest.mark.parametrize("site", SITES)
def test_a_whole_target_of_another_platform_is_as_it_was_before_us(four: Four, site: str) -> None:
    before = attached(four, site)
    assert reached(four, site) == (True, True)
    four.settings(four.target(site, "exclusive"))
    four.policy(f"allow iplist office to role={FRONT[site][0]} on tcp/443", enforced="{scope: env=prod, mode: full}")
    four.converge()
    assert reached(four, site) == (True, False)
    insist(four, "--target", site)
    assert attached(four, site) == before
    assert reached(four, site) == (True, True)
    four.forget()
    four.run("apply", "--yes")
    assert four.writes() == {}, "the hold keeps it so"


@pytest.mark.parametrize("site", ["azure", "f5"])
def test_one_role_of_another_platform_is_given_back(four: Four, site: str) -> None:
    one = role(four, site)
    insist(four, *one)
    assert reached(four, site) == (True, True)
    again = four.run("release", *one, "--hold", "--yes", "--json", code=0)
    assert json.loads(again.out)["targets"][0]["applied"]["done"] == 0, "given back already"


def test_where_foreign_rules_cannot_be_told_apart_a_part_is_refused_and_nothing_is_done(four: Four) -> None:
    one = role(four, "gcp")
    four.forget()
    ran = four.run("release", *one, "--hold", "--yes", "--json", code=4)
    document = json.loads(ran.out)
    assert {refusal["guard"] for refusal in document["targets"][0]["refusals"]} == {"FOREIGN-ABOVE"}
    assert "prod-iap" in document["targets"][0]["refusals"][0]["message"]
    assert document["holds"] == []
    assert four.writes() == {}
    assert reached(four, "gcp") == (True, False)


def role(four: Four, site: str) -> tuple[str, ...]:
    """Enforce a whole target; return the words that name the role at its front."""
    found = FRONT[site][0]
    four.settings(four.target(site, "exclusive"))
    four.policy(f"allow iplist office to role={found} on tcp/443", enforced="{scope: env=prod, mode: full}")
    four.converge()
    assert reached(four, site) == (True, False)
    return ("--target", site, "--label", f"role={found}", "--label", "env=prod")

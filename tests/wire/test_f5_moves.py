"""Rules that move from virtual servers to their route domain and back, over the wire; what passes is the lab's verdict."""

from __future__ import annotations

import re

import pytest

from cloudsync.lab.f5.pytest_plugin import f5_site, f5_site_server
from tests.wire.test_f5_route_domains import DOMAIN, STRANGER, carried, enforced, foreign, hold
from tests.wire.test_f5_wire import FIREWALL, Pair, estate, pair, rule

__all__ = ["estate", "f5_site", "f5_site_server", "pair"]


def watched(pair: Pair) -> list[tuple[str, ...]]:
    """Return what carried a policy of ours at each commit: the route domain first, then the virtual servers."""
    found: list[tuple[str, ...]] = []
    for one in pair.log():
        if one["operation"] in ("PATCH net/route-domain", "PATCH ltm/virtual"):
            found.append((one["operation"], str(one["body"].get("fwEnforcedPolicy", ""))[:12]))
        elif one["operation"] == "COMMIT transaction":
            found.append(("COMMIT",))
    return found


def test_rules_move_to_the_route_domain_and_back_and_packets_never_meet_less_or_more(estate: Pair) -> None:
    estate.apply()
    before = len(watched(estate))
    hold(estate)
    estate.apply()
    enforced(estate)
    moves = watched(estate)[before:]
    assert moves == [
        ("PATCH net/route-domain", "/Common/cs_a"),
        ("COMMIT",),
        *[("PATCH ltm/virtual", "none")] * 3,
        ("COMMIT",),
        ("COMMIT",),
    ], "to the new place, away from the old one, and the old policies deleted"
    assert estate.ours() == [carried(estate)]
    estate.quiet()
    before = len(watched(estate))
    estate.more = ""
    estate.settings()
    estate.apply()
    enforced(estate)
    moves = watched(estate)[before:]
    assert moves[:6] == [
        *[("PATCH ltm/virtual", "/Common/cs_a")] * 3,
        ("COMMIT",),
        ("PATCH net/route-domain", "none"),
        ("COMMIT",),
    ]
    assert carried(estate) == ""
    assert sorted(estate.ours()) == sorted({estate.attached("web1"), estate.attached("db1")})
    estate.quiet()


@pytest.mark.parametrize("back", [False, True], ids=["there", "back"])
@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_a_move_that_is_cut_at_any_commit_leaves_the_policy_in_force(estate: Pair, nth: int, back: bool) -> None:
    if back:
        hold(estate)
    estate.apply()
    if back:
        estate.more = ""
        estate.settings()
    else:
        hold(estate)
    estate.site.ask("faults", {"operation": "COMMIT transaction", "kind": "denied", "nth": nth, "times": 1})
    estate.run("apply", "--yes")
    enforced(estate)
    estate.site.ask("faults", [])
    estate.apply()
    enforced(estate)
    estate.quiet()
    places = [carried(estate)] if not back else [estate.attached("web1"), estate.attached("db1")]
    assert sorted(estate.ours()) == sorted(places)


def test_what_is_not_compiled_is_not_left(estate: Pair) -> None:
    estate.apply()
    hold(estate, more=", compile_wait: 1s, max_wait: 2s")
    estate.act("PATCH", f"{FIREWALL}/on-demand-compilation", {"onDemandCompilation": "enabled"})
    text = estate.apply(5)
    assert "committed, but not compiled" in text
    enforced(estate)
    assert all(estate.attached(name) for name in ("web1", "web2", "db1")), "the old place is left when the new one is in force"
    assert estate.run("plan") != 0
    assert "F5-NOT-COMPILED" in estate.text
    assert "route domain /Common/0" in estate.text
    estate.act("POST", f"{FIREWALL}/on-demand-compilation", {"command": "run"})
    estate.act("PATCH", f"{FIREWALL}/on-demand-compilation", {"onDemandCompilation": "disabled"})
    estate.site.world.settle()
    estate.apply()
    enforced(estate)
    assert estate.ours() == [carried(estate)]
    estate.quiet()


def test_a_staged_policy_of_a_route_domain_is_promoted_when_it_is_compiled(estate: Pair) -> None:
    hold(estate, more=", stage: true")
    estate.site.ask("settings", {"compile_delay_s": 0.05})
    estate.apply()
    bodies = [one["body"] for one in estate.log() if one["operation"] == "PATCH net/route-domain"]
    assert [set(one) for one in bodies] == [{"fwStagedPolicy"}, {"fwEnforcedPolicy", "fwStagedPolicy"}]
    assert bodies[1]["fwStagedPolicy"] == "none"
    assert bodies[0]["fwStagedPolicy"] == bodies[1]["fwEnforcedPolicy"] == carried(estate)
    assert carried(estate, field="fwStagedPolicy") == ""
    enforced(estate)
    estate.quiet()


def test_a_policy_attached_by_hand_meanwhile_stops_the_commit(estate: Pair) -> None:
    hold(estate)
    foreign(estate, "urgent", [rule("all", "accept", protocol="any")], domain="")
    edit = {"method": "PATCH", "path": f"{DOMAIN}/~Common~0", "body": {"fwEnforcedPolicy": "/Common/urgent"}}
    estate.site.ask("faults", {"operation": "GET net/route-domain", "kind": "edit", "nth": 3, "call": edit})
    code = estate.run("apply", "--yes")
    assert code == 5, estate.text
    assert "F5-MOVED" in estate.text
    assert carried(estate) == "/Common/urgent"
    estate.site.ask("faults", [])
    estate.settle()
    estate.apply()
    enforced(estate)
    estate.quiet()


# --- what people reported --------------------------------------------------------------------------------------------------


def approve(pair: Pair) -> None:
    said = re.search(r"approve -C \S+ (\w+) --guard (\S+)", pair.text)
    assert said is not None, pair.text
    assert pair.run("approve", said[1], "--guard", said[2], "--until", "24h", "--because", "the settings say so") == 0, pair.text


def test_a_policy_comes_off_a_route_domain_again(estate: Pair) -> None:
    hold(estate)
    estate.apply()
    assert carried(estate)
    hold(estate, "virtuals: [web1]")
    estate.apply(4)
    assert "2 points would lose the last rule of ours" in estate.text
    approve(estate)
    estate.apply()
    assert carried(estate) == ""
    assert "fwEnforcedPolicy" not in estate.running("net/route-domain")["/Common/0"]
    assert [one["body"] for one in estate.log() if one["operation"] == "PATCH net/route-domain"][-1] == {"fwEnforcedPolicy": "none"}
    assert estate.ours() == [estate.attached("web1")]
    assert not estate.passes("web1", STRANGER, 443)
    estate.quiet()


def test_a_virtual_server_that_is_taken_out_of_attach_is_given_back_and_not_forgotten(estate: Pair) -> None:
    estate.apply()
    hold(estate, "virtuals: [web1]")
    estate.apply(4)
    assert "2 points would lose the last rule of ours" in estate.text
    approve(estate)
    estate.apply()
    assert estate.ours() == [estate.attached("web1")]
    assert estate.attached("web2") == estate.attached("db1") == ""
    estate.quiet()

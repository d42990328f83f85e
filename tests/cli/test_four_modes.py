"""Modes of workloads and of targets on GCP, Azure and F5, through the command line, judged by each lab's own evaluator."""

from __future__ import annotations

import pytest

from tests.cli.four import SITES, Four

FRONT = {"gcp": ("web", "10.40.0.11"), "azure": ("web", "10.50.1.11"), "f5": ("lb", "192.0.2.10")}
"""At each platform a role that strangers reach on tcp/443, and the address of one of its workloads."""
OFFICE, STRANGER, PARTNER = "203.0.113.70", "198.51.100.5", "198.51.100.200"


def policy(four: Four, site: str, *more: str, mode: str = "full", services: str = "") -> None:
    listed = f", services: [{services}]" if services else ""
    rule = f"allow iplist office to role={FRONT[site][0]} on tcp/443"
    four.policy(rule, *more, enforced=f"{{scope: env=prod, mode: {mode}{listed}}}")


def reached(four: Four, site: str) -> tuple[bool, bool]:
    """Tell whether the office and a stranger reach the front."""
    place = FRONT[site][1]
    return four.passes(site, OFFICE, place, "tcp", 443), four.passes(site, STRANGER, place, "tcp", 443)


@pytest.mark.parametrize("site", SITES)
def test_what_stood_there_before_us_comes_back_from_full_to_selective_and_at_last_whole(four: Four, site: str) -> None:
    before = four.foreign(site)
    assert reached(four, site) == (True, True)
    four.settings(four.target(site, "exclusive"))
    policy(four, site)
    four.converge()
    assert reached(four, site) == (True, False)
    policy(four, site, mode="selective", services="tcp/22")
    four.converge()
    assert reached(four, site) == (True, True)
    four.settled()
    policy(four, site, mode="visibility")
    four.converge()
    assert reached(four, site) == (True, True)
    assert four.foreign(site) == before
    four.settled()


@pytest.mark.parametrize("site", SITES)
def test_additive_lets_in_what_it_must_and_leaves_every_foreign_object_as_it_is(four: Four, site: str) -> None:
    before = four.foreign(site)
    four.settings(four.target(site, "additive"))
    policy(four, site)
    four.converge()
    assert reached(four, site) == (True, True)
    assert four.foreign(site) == before
    four.settled(drift=2)
    four.settings(four.target(site, "observe"))
    four.run("apply", "--yes", code=0)
    assert four.writes() == {}


@pytest.mark.parametrize("site", SITES)
def test_a_rule_that_the_platform_cannot_say_is_refused_alone_and_the_hint_helps(four: Four, site: str) -> None:
    four.settings(four.target(site, "exclusive"))
    rule = f"allow iplist office to role={FRONT[site][0]} on tcp/443 by process /usr/sbin/nginx"
    four.policy(rule, enforced="{scope: env=prod, mode: full}")
    ran = four.run("plan", code=3)
    assert [line.split()[1] for line in ran.out.splitlines() if line.strip().startswith("REFUSED")] == ["FIDELITY"], str(ran)
    assert "r#1" in ran.out
    assert "port-only ok" in ran.out
    four.policy(f"{rule} port-only ok", enforced="{scope: env=prod, mode: full}")
    four.converge()
    assert reached(four, site) == (True, False)


def test_outbound_of_a_virtual_server_cannot_be_enforced_and_is_refused_with_the_way_out(four: Four) -> None:
    four.settings(four.target("f5", "exclusive"))
    four.policy("allow iplist office to role=lb on tcp/443", enforced="{scope: env=prod, mode: full, egress: enforce}")
    ran = four.run("plan", code=3)
    assert "write egress: leave" in ran.out, str(ran)


@pytest.mark.parametrize("site", ["gcp", "azure"])
def test_outbound_is_held_where_it_is_enforced_and_given_back_where_it_is_left(four: Four, site: str) -> None:
    source, target = {"gcp": ("10.40.0.11", "10.40.0.21"), "azure": ("10.50.1.11", "10.50.3.11")}[site]
    rules = ("allow role=web to role=db on tcp/5432", "allow anywhere to role=web on tcp/443")
    four.settings(four.target(site, "exclusive"))
    for egress, elsewhere in (("enforce", False), ("leave", True)):
        four.policy(*rules, enforced=f"{{scope: env=prod, mode: full, egress: {egress}}}")
        four.converge()
        assert four.passes(site, source, target, "tcp", 5432)
        assert four.passes(site, source, "192.0.2.77", "tcp", 443) is elsewhere
        four.settled()

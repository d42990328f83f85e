"""`explain` to a virtual server: where the flow goes on to behind it, from which addresses, and what the members' platforms make of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli import shell
from tests.cli.four import Four

FULL = "{scope: env=prod, mode: full}"
RULES = ("allow iplist office to role=lb on tcp/443", "allow role=lb to role=web on tcp/443")


@pytest.fixture
def enforced(four: Four) -> Four:
    four.settings(*(four.target(name, "exclusive") for name in ("gcp", "f5")))
    four.policy(*RULES, enforced=FULL)
    four.converge()
    return four


def asked(four: Four, *words: str) -> Any:
    ran = four.run("explain", *words, "--json", code=0)
    return shell.Ran((), ran.code, ran.out, "").document


def onward(four: Four, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = asked(four, *words)["onward"]
    return found


def test_members_follow_behind_the_virtual_server_each_with_what_its_platform_says(enforced: Four) -> None:
    four = enforced
    found = onward(four, "203.0.113.70", "vs_ordering_https", "tcp/443")
    assert [(one["target"], one["addresses"], one["services"], one["answer"]) for one in found] == [
        ("gcp", ["10.40.0.11/32"], ["tcp/443"], "all"),
        ("gcp", ["10.40.0.12/32"], ["tcp/443"], "all"),
    ]
    assert all({"10.60.1.1/32"} <= set(one["sources"]) or "10.60.1.0/31" in one["sources"] for one in found)
    told = four.run("explain", "203.0.113.70", "vs_ordering_https", "tcp/443", code=0).out
    [first, _] = [line for line in told.splitlines() if "goes on to" in line]
    assert first.startswith("  goes on to ordering-web-1 (gcp, 10.40.0.11) tcp/443 from 10.60.")
    assert first.endswith(": allowed")
    # who is in no inventory is said to be
    [both] = onward(four, "203.0.113.70", "vs_resolver", "udp/53")
    assert (both["workload"], both["target"], both["answer"], both["why"]) == (None, "", "free", "in no inventory")
    assert both["addresses"] == ["10.30.0.31/32", "10.30.1.31/32"]
    # the member's own port, and only of what arrives
    [dev] = onward(four, "203.0.113.70", "vs_payments_dev", "tcp/1-1000")
    assert (dev["addresses"], dev["services"]) == (["10.51.0.11/32"], ["tcp/8080"])
    [one, _] = onward(four, "203.0.113.70", "vs_ordering_https", "tcp/1-1000")
    assert one["services"] == ["tcp/443"]
    # another service, and who forwards nothing
    assert onward(four, "203.0.113.70", "vs_ordering_https", "tcp/22") == []
    assert onward(four, "203.0.113.70", "vs_ordering_http", "tcp/80") == []
    assert onward(four, "203.0.113.70", "gcp/ordering-web-1", "tcp/443") == []


def test_members_that_the_flow_would_not_reach_are_blocked_by_themselves(enforced: Four) -> None:
    """The answer stays that of the flow to the virtual server."""
    four = enforced
    document = asked(four, "203.0.113.70", "vs_payments_https", "tcp/443")
    assert document["answer"] == "all"
    four.policy(RULES[0], enforced=FULL)
    four.converge()
    document = asked(four, "203.0.113.70", "vs_payments_https", "tcp/443")
    assert document["answer"] == "all"
    [member] = document["onward"]
    assert (member["answer"], member["sources"], member["target"]) == ("none", ["10.60.1.201/32", "10.60.1.202/32"], "gcp")
    told = four.run("explain", "203.0.113.70", "vs_payments_https", "tcp/443", code=0).out
    assert "goes on to payments-web-1 (gcp, 10.40.0.31) tcp/443 from 10.60.1.201, 10.60.1.202: BLOCKED" in told


def test_without_translation_members_are_asked_about_the_client(enforced: Four) -> None:
    four = enforced
    told = four.run("explain", "gcp/ordering-web-1", "vs_ordering_db", "tcp/5432", code=0).out
    assert "would go on to ordering-db-1 (gcp, 10.40.0.21) tcp/5432 from the client's address: BLOCKED" in told
    found = onward(four, "gcp/ordering-web-1", "vs_ordering_db", "tcp/5432")
    assert [(one["target"], one["sources"], one["answer"]) for one in found] == [("gcp", [], "none")] * len(found)
    assert found
    four.policy(*RULES, "allow role=web to role=db on tcp/5432", enforced=FULL)
    four.converge()
    found = onward(four, "gcp/ordering-web-1", "vs_ordering_db", "tcp/5432")
    assert {one["answer"] for one in found} == {"all"}
    told = four.run("explain", "gcp/ordering-web-1", "vs_ordering_db", "tcp/5432", code=0).out
    assert "  goes on to ordering-db-1 (gcp, 10.40.0.21) tcp/5432 from the client's address: allowed" in told

"""`explain`: the real tables beside the policy, at every place a packet meets."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from cloudsync.lab.server import Lab
from tests.cli.shell import Ran, Repository


def asked(repository: Repository, *words: str) -> Any:
    ran = repository.run("explain", *words, "--json")
    assert ran.code == 0, str(ran)
    return ran.document


def text(repository: Repository, *words: str) -> Ran:
    ran = repository.run("explain", "-q", *words)
    assert (ran.code, ran.err) == (0, ""), str(ran)
    return ran


def test_what_is_allowed_names_our_rule_and_the_sentence_behind_it(converged: Repository) -> None:
    ran = text(converged, "app-7", "db-3", "postgres")
    assert "ALLOWED now, at every place" in ran.out
    document = asked(converged, "app-7", "db-3", "postgres")
    assert (document["answer"], document["opening"]) == ("all", None)
    [ingress] = [place for place in document["places"] if place["direction"] == "inbound"]
    assert ingress["policy"]["enforced"]
    assert {rule["in_our_object"] for rule in ingress["rules"]} == {True}
    assert {origin["rule"] for rule in ingress["rules"] for origin in rule["origins"]} == {"billing-prod#1"}
    assert {origin["where"].partition(":")[0] for rule in ingress["rules"] for origin in rule["origins"]} == {"policy/shop.yaml"}


def test_what_no_rule_allows_comes_with_the_sentence_that_would_open_it(converged: Repository) -> None:
    ran = text(converged, "web-1", "db-3", "postgres")
    assert "BLOCKED now, at the destination" in ran.out
    assert "policy: no rule allows it" in ran.out
    opening = asked(converged, "web-1", "db-3", "postgres")["opening"]
    assert opening["ruleset"] == "billing-prod"
    assert opening["sentence"] == "allow outside role=web app=shop env=prod to role=db on postgres"


def test_the_offered_sentence_does_open_it(converged: Repository) -> None:
    """The sentence goes into the ruleset it names; then the policy permits what was asked, and the next apply opens it."""
    opening = asked(converged, "web-1", "db-3", "postgres")["opening"]
    before = (converged.root / "policy" / "shop.yaml").read_text(encoding="utf-8")
    try:
        converged.edit(
            "policy/shop.yaml",
            "    owner: billing-team\n    rules:\n",
            f"    owner: billing-team\n    rules:\n      - {opening['sentence']}\n",
        )
        assert converged.run("validate").code == 0
        document = asked(converged, "web-1", "db-3", "postgres")
    finally:
        converged.write("policy/shop.yaml", before)
    assert document["answer"] == "none"
    assert document["opening"] is None
    inbound = [place for place in document["places"] if place["direction"] == "inbound"]
    assert inbound
    assert all(place["next_apply"]["opens"] == place["asked"] == place["policy"]["permits"] for place in inbound)


def test_a_never_rule_is_named_and_no_sentence_is_offered(converged: Repository) -> None:
    ran = text(converged, "internet", "db-3", "postgres")
    assert "policy: forbidden by guardrails#1 'never allow internet to role=stores on any service" in ran.out
    assert "no allow outranks a never rule" in ran.out
    assert "it would open with" not in ran.out
    assert asked(converged, "internet", "db-3", "postgres")["opening"] is None


def test_where_nothing_is_enforced_the_foreign_rule_is_named_and_said_to_decide(converged: Repository) -> None:
    """web-1 stays in mode visibility; a hand-made group lets ssh in from everywhere."""
    ran = text(converged, "internet", "web-1", "ssh")
    assert "ALLOWED now" in ran.out
    assert "not ours" in ran.out
    assert "mode visibility: not enforced here: what the platform has decides alone" in ran.out
    [place] = asked(converged, "internet", "web-1", "ssh")["places"]
    assert place["rules"]
    assert not any(rule["in_our_object"] for rule in place["rules"])
    assert not place["policy"]["enforced"]
    assert place["next_apply"] == {"opens": [], "closes": []}


def test_an_end_may_be_named_by_id_or_by_address(converged: Repository) -> None:
    by_name = asked(converged, "app-7", "db-3", "tcp/5432")
    native = by_name["destination"]["workload"].partition("/")[2]
    assert asked(converged, "app-7", native, "tcp/5432")["places"] == by_name["places"]
    address = by_name["source"]["addresses"][0].partition("/")[0]
    assert asked(converged, address, "db-3", "tcp/5432")["source"]["workload"] == by_name["source"]["workload"]


def test_an_address_of_nobody_uses_the_iplist_that_holds_it(converged: Repository) -> None:
    opening = asked(converged, "203.0.113.70", "app-7", "tcp/9999")["opening"]
    assert opening["sentence"] == "allow iplist offices to role=app on tcp/9999"
    strange = asked(converged, "192.0.2.9", "app-7", "tcp/9999")["opening"]
    assert strange["sentence"] == "allow iplist NAME to role=app on tcp/9999"
    assert strange["first"] == "iplists: {NAME: [192.0.2.9]}"


def test_ends_without_a_common_family_have_no_packet(converged: Repository) -> None:
    assert "there is no such packet" in text(converged, "web-1", "backup-1", "icmpv6/echo-request").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("web1", "app-7", "ssh"), "UNKNOWN-WORKLOAD no workload 'web1' among the 41 of the inventory; did you mean 'web-1'"),
        (("role=web app=shop", "app-7", "ssh"), "'role=web app=shop' are labels; one packet has one workload at each end; one of"),
        (("10.0.0.0/8", "app-7", "ssh"), "give one address, without a prefix length"),
        (("internet", "anywhere", "ssh"), "NO-WORKLOAD neither end is a workload"),
        (("web-1", "app-7", "sshh"), "UNKNOWN-SERVICE no service 'sshh'; did you mean 'ssh'"),
        (("web-1", "app-7", "tcp/99999"), "BAD-PORT"),
        (("web-1", "app-7", "icmp/pong"), "BAD-ICMP"),
    ],
)
def test_what_is_not_known_is_invalid_input_with_what_was_meant(converged: Repository, words: tuple[str, ...], said: str) -> None:
    ran = converged.run("explain", "-q", *words)
    assert ran.code == 3, str(ran)
    assert said in ran.out


def test_a_place_that_cannot_be_read_is_unknown_never_blocked(converged: Repository, small_lab: Lab, tmp_path: Path) -> None:
    """A copy of the repository and its state, with the platform gone: the workloads are remembered, their tables are not guessed."""
    copy = Repository(tmp_path / "copy")
    shutil.copytree(converged.root, copy.root)
    copy.edit("cloudsync.yaml", small_lab.endpoint, "http://127.0.0.1:9")
    ran = copy.run("explain", "-q", "app-7", "db-3", "postgres")
    assert ran.code == 5, str(ran)
    assert "UNKNOWN now, at the source and the destination" in ran.out
    assert copy.run("explain", "app-7", "db-3", "postgres", "--json").document["answer"] == "unread"

"""Lists: pages, filters, order, scopes without anything, and how they can lie."""

from __future__ import annotations

from typing import Any

import pytest

from cloudsync.lab.gcp.pytest_plugin import Wire
from cloudsync.lab.gcp.site import Site

ALL = "global/firewalls"


@pytest.fixture
def filled(gcp_site: Site, gcp: Wire) -> Wire:
    for number in range(23):
        network = "default" if number % 2 else "other"
        if number == 0:
            gcp.done("POST", "global/networks", {"name": "other"})
        body = {"name": f"r{number:02}", "network": f"global/networks/{network}", "allowed": [{"IPProtocol": "tcp"}], "priority": number}
        gcp.done("POST", ALL, {**body, "disabled": number == 3})
    return gcp


def walk(gcp: Wire, path: str = ALL, most: int = 99, **query: str) -> list[list[str]]:
    pages: list[list[str]] = []
    token: dict[str, str] = {}
    while len(pages) < most:
        body = gcp.get(path, **query, **token)
        pages.append([one["name"] for one in body.get("items", [])])
        if "nextPageToken" not in body:
            break
        token = {"pageToken": body["nextPageToken"]}
    return pages


def test_pages_hold_everything_once_in_order(filled: Wire) -> None:
    pages = walk(filled, maxResults="5")
    assert [len(page) for page in pages] == [5, 5, 5, 5, 3]
    assert [name for page in pages for name in page] == [f"r{number:02}" for number in range(23)]
    assert len(walk(filled)) == 1
    assert len(walk(filled, maxResults="0")) == 1


def test_a_page_of_five_hundred_is_the_most(gcp_site: Site, gcp: Wire) -> None:
    gcp_site.ask("quotas", {"FIREWALLS": 1000})
    for number in range(501):
        body = {"name": f"r{number}", "allowed": [{"IPProtocol": "tcp"}]}
        gcp_site.ask("act", {"method": "POST", "path": f"projects/acme-net/{ALL}", "body": body})
    assert [len(page) for page in walk(gcp)] == [500, 1]
    assert gcp.refusal("GET", ALL, maxResults="501")[:2] == (400, "invalid")
    assert gcp.refusal("GET", ALL, maxResults="many")[:2] == (400, "invalid")


def test_an_empty_list_has_its_kind_and_no_items(gcp: Wire) -> None:
    assert gcp.get(ALL) == {
        "kind": "compute#firewallList",
        "id": "projects/acme-net/global/firewalls",
        "selfLink": "https://www.googleapis.com/compute/v1/projects/acme-net/global/firewalls",
    }


def test_rules_that_go_between_two_pages_hide_no_others(filled: Wire) -> None:
    body = filled.get(ALL, maxResults="5")
    filled.done("DELETE", f"{ALL}/r04")
    filled.done("DELETE", f"{ALL}/r01")
    names = [one["name"] for one in filled.get(ALL, maxResults="5", pageToken=body["nextPageToken"])["items"]]
    assert names == ["r05", "r06", "r07", "r08", "r09"]


def test_a_token_that_is_none(filled: Wire) -> None:
    for token in ("7", "%%%", "bm90aGluZw"):
        assert filled.refusal("GET", ALL, pageToken=token)[:2] == (400, "invalid")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("name = r03", 1),
        ('name="r03"', 1),
        ("name != r03", 22),
        ("name eq r0.", 10),
        ("name ne r0.", 13),
        ("network eq .*/networks/default", 11),
        ('network = "https://www.googleapis.com/compute/v1/projects/acme-net/global/networks/other"', 12),
        ("disabled = true", 1),
        ("(disabled = false) (name eq r0.)", 9),
        ("disabled = false AND priority = 4", 1),
        ("name:r1*", 10),
        ("logConfig.enable = false", 23),
    ],
)
def test_filters(filled: Wire, text: str, count: int) -> None:
    assert sum(map(len, walk(filled, filter=text, maxResults="4"))) == count


@pytest.mark.parametrize("text", ["nonsense", "name >> 3", "name eq [", "= 3"])
def test_a_filter_that_cannot_be_read(filled: Wire, text: str) -> None:
    code, reason, message = filled.refusal("GET", ALL, filter=text)
    assert (code, reason) == (400, "invalid")
    assert "Invalid list filter expression." in message


def test_order(filled: Wire) -> None:
    assert filled.get(ALL, orderBy="creationTimestamp desc", maxResults="1")["items"][0]["name"] == "r22"
    assert filled.refusal("GET", ALL, orderBy="priority")[:2] == (400, "invalid")


def test_scopes_without_machines_have_a_warning(gcp_site: Site, gcp: Wire) -> None:
    gcp_site.reset("four", 1)
    found = gcp.get("aggregated/instances")
    assert found["kind"] == "compute#instanceAggregatedList"
    empty = {scope for scope, one in found["items"].items() if "instances" not in one}
    assert empty
    assert len(empty) < len(found["items"]) == 9
    for scope in empty:
        assert found["items"][scope]["warning"] == {
            "code": "NO_RESULTS_ON_PAGE",
            "message": f"There are no results for scope '{scope}' on this page.",
            "data": [{"key": "scope", "value": scope}],
        }


def test_an_aggregated_list_has_pages_too(gcp_site: Site, gcp: Wire) -> None:
    gcp_site.reset("medium", 1)
    names: list[str] = []
    token: dict[str, str] = {}
    for _ in range(50):
        body = gcp.get("aggregated/instances", maxResults="7", **token)
        page = [one["name"] for scope in body["items"].values() for one in scope.get("instances", [])]
        assert len(page) <= 7
        names += page
        if "nextPageToken" not in body:
            break
        token = {"pageToken": body["nextPageToken"]}
    assert len(names) == len(set(names)) == 88


def lie(site: Site, kind: str, **options: Any) -> None:
    site.ask("faults", {"operation": "*.list", "kind": kind, "times": 0, **options})


def test_a_page_can_lose_its_half(gcp_site: Site, filled: Wire) -> None:
    lie(gcp_site, "page_lost", page=2)
    assert [len(page) for page in walk(filled, maxResults="10")] == [10, 5, 3]


def test_a_list_can_end_too_early(gcp_site: Site, filled: Wire) -> None:
    lie(gcp_site, "token_lost", page=2)
    assert [len(page) for page in walk(filled, maxResults="5")] == [5, 5]


def test_a_page_can_come_twice(gcp_site: Site, filled: Wire) -> None:
    lie(gcp_site, "page_repeated", page=2)
    gcp_site.ask("faults", [{"operation": "*.list", "kind": "page_repeated", "page": 2}])
    pages = walk(filled, maxResults="10")
    assert pages[1] == pages[0]
    assert [len(page) for page in pages] == [10, 10, 10, 3]


def test_a_list_may_never_end(gcp_site: Site, filled: Wire) -> None:
    lie(gcp_site, "token_repeated")
    pages = walk(filled, most=6, maxResults="20")
    assert len(pages) == 6
    assert pages[2] == pages[5]


def test_a_zone_may_be_out_of_reach(gcp_site: Site, gcp: Wire) -> None:
    gcp_site.reset("four", 1)
    lie(gcp_site, "unreachable")
    gcp_site.ask("faults", {"operation": "*.aggregatedList", "kind": "unreachable", "zone": "europe-west1-c"})
    assert gcp.get(ALL)["warning"]["code"] == "UNREACHABLE"
    found = gcp.get("aggregated/instances")
    assert found["warning"]["code"] == "UNREACHABLE"
    assert found["items"]["zones/europe-west1-c"]["warning"]["code"] == "UNREACHABLE"
    assert "instances" in gcp.get("aggregated/instances")["items"]["zones/europe-west1-c"]


def test_a_list_may_be_old(gcp_site: Site, gcp: Wire) -> None:
    gcp.done("POST", ALL, {"name": "a", "allowed": [{"IPProtocol": "tcp"}]})
    gcp.done("POST", ALL, {"name": "b", "allowed": [{"IPProtocol": "tcp"}]})
    gcp_site.ask("faults", {"operation": "firewalls.list", "kind": "stale", "writes": 1})
    assert gcp.rules() == ["a"]
    assert gcp.rules() == ["a", "b"]

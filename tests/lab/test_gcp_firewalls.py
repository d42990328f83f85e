"""VPC rules: defaults, spellings, every refusal, and that what is refused leaves no trace."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlsplit

import pytest

from cloudsync.lab.gcp.pytest_plugin import Wire
from cloudsync.lab.gcp.site import Site

ALL = "global/firewalls"
NETWORK = "https://www.googleapis.com/compute/v1/projects/acme-net/global/networks/default"
TCP = [{"IPProtocol": "tcp", "ports": ["80"]}]


def rule(**more: Any) -> dict[str, Any]:
    return {"name": "a", "network": "global/networks/default", "sourceRanges": ["10.0.0.0/8"], "allowed": TCP, **more}


def shown(gcp: Wire, name: str = "a") -> dict[str, Any]:
    found: dict[str, Any] = gcp.get(f"{ALL}/{name}")
    return found


def test_what_is_left_out_gets_the_vendors_defaults(gcp: Wire) -> None:
    gcp.done("POST", ALL, {"name": "a", "allowed": [{"IPProtocol": "TCP"}]})
    found = shown(gcp)
    own = {"id", "creationTimestamp"}
    assert {key: value for key, value in found.items() if key not in own} == {
        "kind": "compute#firewall",
        "name": "a",
        "description": "",
        "network": NETWORK,
        "direction": "INGRESS",
        "priority": 1000,
        "disabled": False,
        "logConfig": {"enable": False},
        "sourceRanges": ["0.0.0.0/0"],
        "allowed": [{"IPProtocol": "tcp"}],
        "selfLink": f"{NETWORK.rpartition('/networks')[0]}/firewalls/a",
    }


def test_egress_without_destination_is_open_to_the_world(gcp: Wire) -> None:
    gcp.done("POST", ALL, {"name": "a", "direction": "EGRESS", "denied": [{"IPProtocol": "all"}]})
    assert shown(gcp)["destinationRanges"] == ["0.0.0.0/0"]
    assert "sourceRanges" not in shown(gcp)


@pytest.mark.parametrize(
    "network",
    [
        NETWORK,
        "https://compute.googleapis.com/compute/v1/projects/acme-net/global/networks/default",
        "http://127.0.0.1:9/compute/v1/projects/acme-net/global/networks/default",
        "projects/acme-net/global/networks/default",
        "projects/480100000001/global/networks/default",
        "global/networks/default",
    ],
)
def test_a_network_may_be_spelt_in_many_ways(gcp: Wire, network: str) -> None:
    gcp.done("POST", ALL, rule(network=network))
    assert shown(gcp)["network"] == NETWORK


def test_what_only_the_vendor_writes_is_ignored_when_sent(gcp: Wire) -> None:
    gcp.done("POST", ALL, rule(id=7, kind=["x"], creationTimestamp="never", selfLink="elsewhere"))
    found = shown(gcp)
    assert found["id"] != "7"
    assert found["kind"] == "compute#firewall"
    assert found["selfLink"].endswith("/firewalls/a")
    gcp.done("PUT", f"{ALL}/a", {**found, "priority": 5})
    assert shown(gcp) == {**found, "priority": 5}


REFUSED: list[tuple[str, dict[str, Any], int, str, str]] = [
    ("both", rule(denied=TCP), 400, "invalid", "Should not specify both allowed and denied in the same time."),
    ("neither", rule(allowed=[]), 400, "invalid", "At least one of"),
    ("no name", {"allowed": TCP}, 400, "required", "Required field 'resource.name' not specified"),
    ("name", rule(name="Bad_Name"), 400, "invalid", "Must be a match of regex"),
    ("long name", rule(name="a" * 64), 400, "invalid", "Must be a match of regex"),
    ("priority 70000", rule(priority=70000), 400, "invalid", "'70000'"),
    ("priority 65536", rule(priority=65536), 400, "invalid", "'65536'"),
    ("priority -1", rule(priority=-1), 400, "invalid", "'-1'"),
    ("priority as text", rule(priority="1"), 400, "invalid", "resource.priority"),
    ("priority too wide", rule(priority=2**40), 400, "invalid", "resource.priority"),
    ("direction", rule(direction="SIDEWAYS"), 400, "invalid", "SIDEWAYS"),
    ("action maybe", rule(action="maybe"), 400, "badRequest", 'Unknown name "action"'),
    ("snake case", rule(source_ranges=[]), 400, "badRequest", "source_ranges"),
    ("one text for a list", rule(sourceRanges="10.0.0.0/8"), 400, "invalid", "sourceRanges"),
    ("prefix /42", rule(sourceRanges=["10.0.0.0/42"]), 400, "invalid", "10.0.0.0/42"),
    ("octet 300", rule(sourceRanges=["10.300.0.0/8"]), 400, "invalid", "10.300.0.0/8"),
    ("mask in dots", rule(sourceRanges=["10.0.0.0/255.0.0.0"]), 400, "invalid", "255.0.0.0"),
    ("zone index", rule(sourceRanges=["fe80::1%eth0"]), 400, "invalid", "eth0"),
    ("a word", rule(sourceRanges=["internet"]), 400, "invalid", "internet"),
    ("destination too", rule(destinationRanges=["1.2.3"]), 400, "invalid", "destinationRanges[0]"),
    ("two families", rule(sourceRanges=["10.0.0.0/8", "2001:db8::/32"]), 400, "invalid", "IPv4 and IPv6"),
    ("two families on both sides", rule(destinationRanges=["2001:db8::/32"]), 400, "invalid", "IPv4 and IPv6"),
    ("port 70000", rule(allowed=[{"IPProtocol": "tcp", "ports": ["70000"]}]), 400, "invalid", "70000"),
    ("port range backwards", rule(allowed=[{"IPProtocol": "tcp", "ports": ["90-80"]}]), 400, "invalid", "90-80"),
    ("port by name", rule(allowed=[{"IPProtocol": "tcp", "ports": ["http"]}]), 400, "invalid", "http"),
    ("port as number", rule(allowed=[{"IPProtocol": "tcp", "ports": [80]}]), 400, "invalid", "ports[0]"),
    ("ports of icmp", rule(allowed=[{"IPProtocol": "icmp", "ports": ["8"]}]), 400, "invalid", "icmp"),
    ("ports of all", rule(allowed=[{"IPProtocol": "all", "ports": ["8"]}]), 400, "invalid", "all"),
    ("icmpv6 by name", rule(allowed=[{"IPProtocol": "icmpv6"}]), 400, "invalid", "icmpv6"),
    ("ipv6-icmp", rule(allowed=[{"IPProtocol": "ipv6-icmp"}]), 400, "invalid", "ipv6-icmp"),
    ("protocol 256", rule(allowed=[{"IPProtocol": "256"}]), 400, "invalid", "256"),
    ("protocol as number", rule(allowed=[{"IPProtocol": 6}]), 400, "invalid", "IPProtocol"),
    ("no protocol", rule(allowed=[{"ports": ["80"]}]), 400, "invalid", "IPProtocol"),
    ("tag", rule(targetTags=["Web"]), 400, "invalid", "Web"),
    ("tags and accounts", rule(targetTags=["a"], sourceServiceAccounts=["x@y"]), 400, "invalid", "service accounts"),
    ("account", rule(sourceServiceAccounts=["nobody"]), 400, "invalid", "nobody"),
    ("egress with tag", rule(direction="EGRESS", sourceTags=["a"]), 400, "badRequest",
     "Should not specify source tag or service account for egress direction."),
    ("egress with account", rule(direction="EGRESS", sourceServiceAccounts=["a@b"]), 400, "badRequest", "egress direction"),
    ("31 source tags", rule(sourceTags=[f"t{n}" for n in range(31)]), 413, "fieldSizeTooLarge",
     "Value for field 'resource.sourceTags' is too large: maximum size 30 element(s); actual size 31."),
    ("71 target tags", rule(targetTags=[f"t{n}" for n in range(71)]), 413, "fieldSizeTooLarge", "maximum size 70"),
    ("11 accounts", rule(targetServiceAccounts=[f"a{n}@b" for n in range(11)]), 413, "fieldSizeTooLarge", "maximum size 10"),
    ("257 blocks", rule(sourceRanges=[f"10.0.{n}.0/24" for n in range(256)] + ["10.1.0.0/24"]), 413, "fieldSizeTooLarge",
     "maximum size 256 element(s); actual size 257"),
    ("257 ports", rule(allowed=[{"IPProtocol": "tcp", "ports": [str(n) for n in range(257)]}]), 413, "fieldSizeTooLarge", "ports"),
    ("description", rule(description="x" * 2048), 400, "invalid", "2047"),
    ("log metadata", rule(logConfig={"enable": True, "metadata": "SOME"}), 400, "invalid", "SOME"),
    ("no such network", rule(network="global/networks/nowhere"), 404, "notFound",
     "The resource 'projects/acme-net/global/networks/nowhere' was not found"),
    ("no network at all", rule(network="nowhere"), 400, "invalid", "The URL is malformed."),
    ("another project's network", rule(network="projects/acme-other/global/networks/default"), 400, "invalid",
     "Cross project referencing is not allowed for this resource."),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=[each[0] for each in REFUSED])
def test_nonsense_is_refused_and_leaves_no_trace(gcp_site: Site, gcp: Wire, case: tuple[str, dict[str, Any], int, str, str]) -> None:
    _name, body, code, reason, text = case
    before = gcp_site.ask("state", None)
    assert gcp.refusal("POST", ALL, body)[:2] == (code, reason)
    assert text in gcp.refusal("POST", ALL, body)[2]
    assert gcp_site.ask("state", None) == before
    gcp.done("POST", ALL, rule())
    stands = shown(gcp)
    if body.get("name", "a") == "a" and "name" in body:
        assert gcp.refusal("PUT", f"{ALL}/a", body)[0] == code
        assert shown(gcp) == stands


def test_the_limits_themselves_are_allowed(gcp: Wire) -> None:
    gcp.done("POST", ALL, rule(sourceRanges=[f"10.0.{n}.0/24" for n in range(256)], priority=65535, description="x" * 2047))
    gcp.done("POST", ALL, rule(name="b", sourceTags=[f"t{n}" for n in range(30)], targetTags=[f"t{n}" for n in range(70)], priority=0))
    gcp.done("POST", ALL, rule(name="c" * 63, allowed=[{"IPProtocol": "tcp", "ports": ["0", "65535", "0-65535"]}]))
    gcp.done("POST", ALL, rule(name="d", sourceRanges=["2001:db8::/32"], allowed=[{"IPProtocol": "58"}, {"IPProtocol": "47"}]))
    gcp.done("POST", ALL, rule(name="e", destinationRanges=["10.0.0.7"], sourceRanges=["127.0.0.1/24"]))
    assert shown(gcp, "e")["destinationRanges"] == ["10.0.0.7"]
    assert len(gcp.rules()) == 5


def test_a_name_is_taken_once_in_a_project(gcp: Wire) -> None:
    gcp.done("POST", ALL, rule())
    wanted = (409, "alreadyExists", "The resource 'projects/acme-net/global/firewalls/a' already exists")
    assert gcp.refusal("POST", ALL, rule(priority=7)) == wanted
    assert shown(gcp)["priority"] == 1000
    Wire(gcp.site, "acme-other").done("POST", ALL, rule())


def test_what_is_not_there(gcp: Wire) -> None:
    wanted = (404, "notFound", "The resource 'projects/acme-net/global/firewalls/a' was not found")
    for method, body in (("GET", None), ("PATCH", {"priority": 1}), ("PUT", rule()), ("DELETE", None)):
        assert gcp.refusal(method, f"{ALL}/a", body) == wanted


def test_a_patch_merges_and_replaces_lists_whole(gcp: Wire) -> None:
    gcp.done("POST", ALL, rule(targetTags=["old"], sourceRanges=["10.0.0.0/8", "10.9.0.0/16"]))
    before = shown(gcp)
    gcp.done("PATCH", f"{ALL}/a", {"targetTags": ["new"], "priority": 500})
    assert shown(gcp) == {**before, "targetTags": ["new"], "priority": 500}
    gcp.done("PATCH", f"{ALL}/a", {"targetTags": []})
    assert "targetTags" not in shown(gcp)
    gcp.done("PATCH", f"{ALL}/a", {"disabled": True, "description": None, "logConfig": {"enable": True}})
    found = shown(gcp)
    assert (found["disabled"], found["description"], found["logConfig"]) == (True, "", {"enable": True})


def test_a_patch_without_any_source_left_opens_the_world(gcp: Wire) -> None:
    gcp.done("POST", ALL, rule())
    gcp.done("PATCH", f"{ALL}/a", {"sourceRanges": []})
    assert shown(gcp)["sourceRanges"] == ["0.0.0.0/0"]


def test_allow_turns_into_deny_only_with_an_empty_list(gcp: Wire) -> None:
    gcp.done("POST", ALL, rule())
    assert gcp.refusal("PATCH", f"{ALL}/a", {"denied": TCP})[0] == 400
    gcp.done("PATCH", f"{ALL}/a", {"allowed": [], "denied": TCP})
    assert shown(gcp)["denied"] == TCP
    assert "allowed" not in shown(gcp)


def test_a_put_resets_what_is_left_out(gcp: Wire) -> None:
    gcp.done("POST", ALL, rule(priority=7, targetTags=["a"], description="mine"))
    gcp.done("PUT", f"{ALL}/a", {"name": "a", "allowed": TCP})
    found = shown(gcp)
    assert (found["priority"], found["sourceRanges"], found["description"]) == (1000, ["0.0.0.0/0"], "")
    assert "targetTags" not in found


def test_name_direction_and_network_never_change(gcp: Wire) -> None:
    gcp.done("POST", "global/networks", {"name": "other"})
    gcp.done("POST", ALL, rule())
    before = shown(gcp)
    for change in ({"name": "b"}, {"direction": "EGRESS", "sourceRanges": []}, {"network": "global/networks/other"}):
        assert gcp.refusal("PATCH", f"{ALL}/a", change)[:2] == (400, "invalid")
        assert gcp.refusal("PUT", f"{ALL}/a", rule(**change))[:2] == (400, "invalid")
    assert shown(gcp) == before


def test_some_saw_a_put_refused(gcp_site: Site, gcp: Wire) -> None:
    gcp_site.ask("settings", {"put": "refuse"})
    gcp.done("POST", ALL, rule())
    assert gcp.refusal("PUT", f"{ALL}/a", rule(priority=5))[2] == "Unsupported update operation."
    gcp.done("PUT", f"{ALL}/a", rule(disabled=True))


@pytest.mark.parametrize(
    ("settings", "ranges", "protocols"),
    [
        ({}, ["10.1.2.3/8", "10.0.0.7"], ["tcp", "6"]),
        ({"cidrs": "network"}, ["10.0.0.0/8", "10.0.0.7/32"], ["tcp", "6"]),
        ({"cidrs": "bare"}, ["10.0.0.0/8", "10.0.0.7"], ["tcp", "6"]),
        ({"protocols": "keep"}, ["10.1.2.3/8", "10.0.0.7"], ["TCP", "6"]),
        ({"protocols": "number"}, ["10.1.2.3/8", "10.0.0.7"], ["6", "6"]),
        ({"lists": "reverse"}, ["10.0.0.7", "10.1.2.3/8"], ["6", "tcp"]),
    ],
)
def test_spellings_may_be_switched(gcp_site: Site, gcp: Wire, settings: Any, ranges: list[str], protocols: list[str]) -> None:
    gcp_site.ask("settings", settings)
    gcp.done("POST", ALL, rule(sourceRanges=["10.1.2.3/8", "10.0.0.7"], allowed=[{"IPProtocol": "TCP"}, {"IPProtocol": "6"}]))
    assert shown(gcp)["sourceRanges"] == ranges
    assert [one["IPProtocol"] for one in shown(gcp)["allowed"]] == protocols


def test_ipv6_in_full(gcp_site: Site, gcp: Wire) -> None:
    gcp_site.ask("settings", {"cidrs": "long"})
    gcp.done("POST", ALL, rule(sourceRanges=["2001:db8::/32"]))
    assert shown(gcp)["sourceRanges"] == ["2001:0db8:0000:0000:0000:0000:0000:0000/32"]


def test_the_address_limit_is_a_setting(gcp_site: Site, gcp: Wire) -> None:
    gcp_site.ask("settings", {"addresses_max": 2})
    assert (
        "maximum size 2 element(s); actual size 3" in gcp.refusal("POST", ALL, rule(sourceRanges=["10.0.0.1", "10.0.0.2", "10.0.0.3"]))[2]
    )


def test_the_quota_counts_rules_of_the_project(gcp_site: Site, gcp: Wire) -> None:
    gcp_site.ask("quotas", {"FIREWALLS": 2})
    gcp.done("POST", ALL, rule())
    gcp.done("POST", ALL, rule(name="b", disabled=True))
    code, reason, text = gcp.refusal("POST", ALL, rule(name="c"))
    assert (code, reason, text) == (403, "quotaExceeded", "Quota 'FIREWALLS' exceeded.  Limit: 2.0 globally.")
    quotas = {one["metric"]: one for one in gcp.get("/compute/v1/projects/acme-net")["quotas"]}
    assert quotas["FIREWALLS"] == {"metric": "FIREWALLS", "limit": 2.0, "usage": 2.0}
    gcp.done("DELETE", f"{ALL}/a")
    gcp.done("POST", ALL, rule(name="c"))


def test_what_is_being_made_counts_too(gcp_site: Site, gcp: Wire) -> None:
    gcp_site.ask("clock", {"mode": "manual"})
    gcp_site.ask("settings", {"operation_latency_s": 5.0})
    gcp_site.ask("quotas", {"FIREWALLS": 1})
    assert gcp.send("POST", ALL, rule())[0] == 200
    assert gcp.refusal("POST", ALL, rule(name="b"))[:2] == (403, "quotaExceeded")


def test_a_body_that_is_no_json(gcp: Wire) -> None:
    section = gcp.site.section()
    where = urlsplit(section["endpoint"])
    connection = http.client.HTTPConnection(str(where.hostname), where.port)
    connection.request(
        "POST", "/compute/v1/projects/acme-net/global/firewalls", b"{not json", {"Authorization": f"Bearer {section['access_token']}"}
    )
    answer = connection.getresponse()
    assert (answer.status, b"Parse Error" in answer.read()) == (400, True)
    connection.close()
    assert gcp.refusal("POST", ALL, [])[0] == 400


def test_an_unknown_method_and_an_unknown_query(gcp: Wire) -> None:
    assert gcp.send("GET", "global/rockets")[0] == 404
    assert gcp.send("PUT", ALL, {})[0] == 404
    assert gcp.refusal("GET", ALL, returnPartialSuccess="perhaps")[:2] == (400, "invalid")
    assert gcp.site.ask("calls", None)["unknown"] == 2
    assert gcp.refusal("GET", ALL, colour="red")[:2] == (400, "badRequest")
    assert gcp.refusal("GET", f"{ALL}/Bad_Name")[:2] == (400, "invalid")
    assert gcp.send("GET", ALL, alt="json", prettyPrint="false")[0] == 200

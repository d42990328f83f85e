"""What GCP rules are written, and what becomes of foreign ones, in every mode of targets and workloads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloudsync.adapter import AddressPeer, Method, Origin, Term, Whose
from cloudsync.model.address import ANYWHERE, AddressSet, globally_routable
from cloudsync.model.fidelity import Verdict
from cloudsync.model.mode import Accept, Egress, Mode, TargetMode
from cloudsync.model.service import ICMP, ServiceSet
from cloudsync_gcp import parse
from cloudsync_gcp.decode import decode, points
from cloudsync_gcp.explain import entries
from cloudsync_gcp.payload import body, description
from cloudsync_gcp.steps import steps
from cloudsync_gcp.table import Layout, Room, mark_of, off_word
from tests.unit.gcp_scene import ALL, HTTPS, SSH, TCP22, Scene, ours, passes, raw, skipped, term

CORP = AddressSet.of("198.51.100.0/24")
OFF = off_word("acme")


@pytest.fixture
def scene() -> Scene:
    """Two web machines and a database, all in mode full; the office may ssh, web may reach the database."""
    scene = Scene()
    scene.vm("web-1", "web", "10.0.0.1", tags=("web",), six="2001:db8::1")
    scene.vm("web-2", "web", "10.0.0.2", tags=("web",), public="8.8.4.4")
    scene.vm("db-1", "db", "10.0.0.9", tags=("db",))
    scene.terms = {"web": [term("r#1", CORP, SSH), term("r#2", ANYWHERE, HTTPS)], "db": [term("r#3", "web", HTTPS)]}
    return scene


def exclusive(scene: Scene) -> Scene:
    scene.mode, scene.layout = TargetMode.EXCLUSIVE, replace(scene.layout, default_deny=800)
    return scene


# --- bands, names, marks -----------------------------------------------------------------------------------------------


def test_rules_stand_in_bands_and_carry_the_mark(scene: Scene) -> None:
    scene.nevers = {"db": [term("never#1", AddressSet.of("10.9.0.0/16"), ServiceSet.ports(6, 0, 65535))]}
    found = ours(scene.encode().table)
    assert [(rule.priority, rule.deny) for rule in found] == [(500, True)] + [(600, False)] * 4 + [(60000, True)] * 3
    for rule in found:
        mark = mark_of(rule.name, rule.description, "acme")
        assert mark is not None
        assert mark.class_id in ("web", "db")
        assert len(rule.name) <= 63
        assert set(mark.rules) <= {"r#1", "r#2", "r#3", "never#1", "default-deny"}
    assert all(len({":" in one for one in (*rule.sources, *rule.destinations)}) == 1 for rule in found)  # one family each


def test_the_external_address_is_a_source_elsewhere_but_no_target(scene: Scene) -> None:
    found = ours(scene.encode().table)
    to_db = next(rule for rule in found if rule.mark is not None and rule.mark.rules == ("r#3",))
    assert "8.8.4.4/32" in to_db.sources
    assert not any("8.8.4.4/32" in rule.destinations for rule in found)


def test_services_of_the_same_peers_share_one_rule_and_every_rule_is_named(scene: Scene) -> None:
    scene.terms["db"] = [term("r#3", "web", HTTPS), term("r#4", "web", SSH)]
    found = [rule for rule in ours(scene.encode().table) if rule.mark is not None and rule.mark.class_id == "db" and not rule.deny]
    (v4,) = [rule for rule in found if "10.0.0.9/32" in rule.destinations]
    assert v4.protocols == (("tcp", ((22, 22), (443, 443))),)
    assert [origin.rule for origin in v4.origins] == ["r#3", "r#4"]


def test_a_long_list_of_rules_fits_the_description() -> None:
    text = description("acme", "c1", tuple(f"some-ruleset-of-a-team#{number}" for number in range(200)))
    assert len(text) <= 2047
    found = mark_of("cs-acme-" + "0" * 20, text, "acme")
    assert found is not None
    assert found.rules[-1] == "..."


def test_a_peer_that_resolves_to_nothing_gives_no_rule(scene: Scene) -> None:
    scene.classes["gone"] = "gone"
    scene.modes["gone"] = Mode.VISIBILITY
    scene.terms = {"db": [term("r#1", "gone", SSH)]}
    assert all(rule.deny for rule in ours(scene.encode().table))


# --- additive ------------------------------------------------------------------------------------------------------------


def test_our_allows_stand_beneath_foreign_denies_and_our_own_denies_beneath_them(scene: Scene) -> None:
    scene.rules = [
        raw("no-ssh", 900, denied=[TCP22], sourceRanges=["198.51.100.0/25"]),
        raw("other", 950, denied=[ALL], sourceRanges=["10.7.0.0/16"]),
    ]
    table = scene.encode().table
    (moved,) = [rule for rule in ours(table) if rule.priority == 900]
    assert moved.mark is not None
    assert moved.mark.rules == ("r#1",)
    assert {rule.priority for rule in ours(table) if not rule.deny} == {600, 900, 950}
    assert all(rule.priority > 950 for rule in ours(table) if rule.deny)
    web = scene.point("web-1")
    assert not passes(table, web, "198.51.100.1", 22)  # shadow deny
    assert passes(table, web, "198.51.100.1", 22, whose=Whose.OURS)
    assert passes(table, web, "198.51.100.200", 22)


def test_outrank_puts_our_allows_above_foreign_denies(scene: Scene) -> None:
    scene.layout = Layout(outrank=True)
    scene.rules = [raw("no-ssh", 900, denied=[TCP22])]
    table = scene.encode().table
    assert {rule.priority for rule in ours(table) if not rule.deny} == {600}
    assert passes(table, scene.point("web-1"), "198.51.100.1", 22)


def test_a_foreign_deny_at_the_last_number_leaves_no_place_for_our_default(scene: Scene) -> None:
    scene.rules = [raw("deny-all", 65534, denied=[ALL])]
    encoding = scene.encode()
    assert not encoding.problems
    assert any("leaves no number" in note for note in encoding.notes)
    assert passes(encoding.table, scene.point("web-1"), "198.51.100.1", 22, whose=Whose.OURS)


def test_default_allows_are_closed_and_others_above_are_a_shadow(scene: Scene) -> None:
    scene.rules = [raw("default-allow-ssh", 65534), raw("console", 1000, sourceRanges=["192.0.2.0/24"])]
    table = scene.encode().table
    assert not passes(table, scene.point("db-1"), "8.8.8.8", 22)
    assert passes(table, scene.point("db-1"), "192.0.2.1", 22)
    assert not passes(table, scene.point("db-1"), "192.0.2.1", 22, whose=Whose.OURS)
    scene.layout = Layout(default_deny=800)
    assert not passes(scene.encode().table, scene.point("db-1"), "192.0.2.1", 22)


def test_selective_closes_what_it_names_and_leaves_the_rest(scene: Scene) -> None:
    scene.modes["db"] = Mode.SELECTIVE
    scene.closing = {"db": [term("selective", ANYWHERE, SSH)]}
    scene.rules = [raw("default-allow-ssh", 65534), raw("web", 1000, allowed=[{"IPProtocol": "tcp", "ports": ["80"]}])]
    table = scene.encode().table
    assert not passes(table, scene.point("db-1"), "8.8.8.8", 22)
    assert passes(table, scene.point("db-1"), "8.8.8.8", 80)


def test_egress_is_left_alone_unless_it_is_enforced(scene: Scene) -> None:
    assert not any(rule.egress for rule in ours(scene.encode().table))
    scene.egress["db"] = Egress.ENFORCE
    scene.outward = {"db": [term("r#9", CORP, HTTPS)]}
    table = scene.encode().table
    outward = [rule for rule in ours(table) if rule.egress]
    assert all(rule.sources == ("10.0.0.9/32",) and rule.destinations for rule in outward)
    assert passes(table, scene.point("db-1"), "198.51.100.1", 443, "outbound")
    assert not passes(table, scene.point("db-1"), "8.8.8.8", 443, "outbound")
    assert passes(table, scene.point("web-1"), "8.8.8.8", 443, "outbound")


def test_observe_wants_nothing(scene: Scene) -> None:
    there = scene.read_back(scene.encode())
    scene.mode = TargetMode.OBSERVE
    scene.terms = {}
    assert scene.encode(there).table is there


# --- exclusive -----------------------------------------------------------------------------------------------------------


def test_foreign_rules_on_enforced_machines_alone_are_switched_off_and_given_back(scene: Scene) -> None:
    exclusive(scene)
    scene.vm("old-1", "old", "10.0.0.77", tags=("old",))
    scene.modes["old"] = Mode.VISIBILITY
    scene.rules = [
        raw("ssh-web", 1000, targetTags=["web"], description="since 2019"),
        raw("ssh-all", 1000),
        raw("ssh-old", 1000, targetTags=["old"]),
        raw("nobody", 1000, targetTags=["none"]),
        raw("mine-is-off", 1000, targetTags=["web"], disabled=True),
        raw("out", 1000, direction="EGRESS", denied=[ALL], destinationRanges=["10.0.0.0/8"], targetTags=["web"]),
    ]
    encoding = scene.encode()
    assert not encoding.problems
    off = {name for name, rule in encoding.table.rules.items() if rule.mark is None and rule.disabled}
    assert off == {"ssh-web", "mine-is-off"}
    assert encoding.table.rules["ssh-web"].description == "since 2019" + OFF
    assert encoding.table.rules["mine-is-off"].description == ""
    assert not passes(encoding.table, scene.point("web-1"), "8.8.8.8", 22)  # ssh-all is outranked
    assert passes(encoding.table, scene.point("old-1"), "8.8.8.8", 22)
    assert passes(encoding.table, scene.point("web-1"), "8.8.8.8", 22, whose=Whose.FOREIGN)  # as if we had never been here

    there = scene.read_back(encoding)
    assert scene.encode(there).table == there
    scene.modes["web"] = Mode.IDLE
    back = scene.encode(there).table
    assert (back.rules["ssh-web"].disabled, back.rules["ssh-web"].description) == (False, "since 2019")
    assert back.rules["mine-is-off"].disabled
    written = [step for phase in steps(there, back, Method.MERGE) for step in phase.steps]
    assert written[0].action == "compute.firewalls.patch"  # what was there comes back before ours goes


def test_a_rule_of_googles_automation_stays_unless_it_is_adopted_by_name(scene: Scene) -> None:
    exclusive(scene)
    scene.rules = [raw("gke-prod-1a2b-vms", 1000), raw("prod-ba5h4uquy4cktbsldj6ba2g3", 1000), raw("gke-less", 1000)]
    scene.layout = replace(scene.layout, adopt=frozenset({"gke-prod-1a2b-vms"}))
    table = scene.encode().table
    assert [name for name, rule in table.rules.items() if rule.disabled] == ["gke-prod-1a2b-vms"]
    assert not passes(table, scene.point("web-1"), "8.8.8.8", 22)


def test_a_foreign_rule_above_the_band_that_also_acts_elsewhere_is_refused_by_name(scene: Scene) -> None:
    exclusive(scene)
    scene.vm("old-1", "old", "10.0.0.77")
    scene.modes["old"] = Mode.IDLE
    scene.rules = [raw("iap", 499)]
    (problem,) = scene.encode().problems
    assert problem.code == "FOREIGN-ABOVE"
    assert "iap (allow at 499)" in problem.message
    assert scene.point("web-1") in problem.points
    scene.layout = Layout(shield=100, never=200, allow=300, deny=400, default_deny=410)
    assert not scene.encode().problems


def test_selective_keeps_what_was_there_and_switches_off_what_came_later(scene: Scene) -> None:
    exclusive(scene)
    scene.modes["db"] = Mode.SELECTIVE
    scene.rules = [raw("first", 1000, targetTags=["db"])]
    scene.original["db-1"] = ("first",)
    there = scene.read_back(scene.encode())
    assert not there.rules["first"].disabled
    assert passes(there, scene.point("db-1"), "8.8.8.8", 22)
    scene.rules.append(raw("later", 1000, targetTags=["db"], allowed=[{"IPProtocol": "tcp", "ports": ["80"]}]))
    now = scene.table(*ours(there))
    table = scene.encode(now).table
    assert table.rules["later"].disabled
    assert not passes(table, scene.point("db-1"), "8.8.8.8", 80)
    assert passes(table, scene.point("db-1"), "8.8.8.8", 22)


def test_what_selective_keeps_of_rules_above_our_tiers_is_said_again_as_ours(scene: Scene) -> None:
    exclusive(scene)
    scene.modes["db"] = Mode.SELECTIVE
    scene.closing = {"db": [term("selective", AddressSet.of("203.0.113.0/24"), SSH)]}
    scene.rules = [raw("first", 300, targetTags=["db"])]
    scene.original["db-1"] = ("first",)
    encoding = scene.encode()
    assert not encoding.problems
    there = scene.read_back(encoding)
    assert there.rules["first"].disabled
    assert passes(there, scene.point("db-1"), "8.8.8.8", 22)
    assert not passes(there, scene.point("db-1"), "203.0.113.1", 22)
    assert scene.encode(there).table == there  # the second run says the same


def test_a_target_that_is_no_longer_exclusive_gives_everything_back(scene: Scene) -> None:
    exclusive(scene)
    scene.rules = [raw("ssh-web", 1000, targetTags=["web"])]
    there = scene.read_back(scene.encode())
    assert there.rules["ssh-web"].disabled
    scene.mode = TargetMode.ADDITIVE
    assert not scene.encode(there).table.rules["ssh-web"].disabled


def test_two_deployments_do_not_share_machines_of_an_exclusive_target_but_live_side_by_side(scene: Scene) -> None:
    theirs = Scene(owner="acme-two", vms=scene.vms, classes=scene.classes, modes=scene.modes, terms=scene.terms)
    others = [parse.rule(body(rule), "acme") for rule in ours(theirs.encode().table)]
    assert others
    assert all(rule.mark is None for rule in others)
    table = scene.table(*others)
    encoding = scene.encode(table)
    assert all(encoding.table.rules[rule.name] == rule for rule in others)
    exclusive(scene)
    assert "OWNER" in [problem.code for problem in scene.encode(table).problems]


# --- tags and accounts ---------------------------------------------------------------------------------------------------


def test_existing_tags_aim_and_stand_for_classes(scene: Scene) -> None:
    scene.layout = Layout(target="tags", tag_template="{role}")
    encoding = scene.encode()
    assert not encoding.problems
    found = ours(encoding.table)
    assert all(rule.target_tags and not rule.destinations for rule in found)
    to_db = [rule for rule in found if rule.target_tags == ("db",) and not rule.deny]
    assert sorted((rule.source_tags, rule.sources) for rule in to_db) == [((), ("8.8.4.4/32",)), (("web",), ())]
    assert encoding.table.nics == scene.table().nics


@pytest.mark.parametrize(("tags", "word"), [((), "lack tag web"), (("web", "db"), "also borne by")])
def test_tags_that_do_not_select_the_class_are_refused(scene: Scene, tags: tuple[str, ...], word: str) -> None:
    scene.layout = Layout(target="tags", tag_template="{role}")
    scene.vm("web-3", "web", "10.0.0.3", tags=tags)
    problems = scene.encode().problems
    assert {problem.code for problem in problems} == {"GCP-TAG"}
    assert any(word in problem.message for problem in problems)


def test_our_own_tags_are_set_between_new_rules_and_old_ones_and_others_stay(scene: Scene) -> None:
    scene.layout = Layout(target="managed-tags")
    table = scene.table()
    encoding = scene.encode(table)
    phases = steps(table, encoding.table, Method.MERGE)
    assert phases[-1].name == "tags"
    assert {step.object.rpartition("/")[2] for step in phases[-1].steps} == {"web-1", "web-2", "db-1"}
    assert all("web" in nic.tags or "db" in nic.tags for nic in encoding.table.nics.values())
    there = scene.read_back(encoding)
    assert scene.encode(there).table == there
    scene.modes = dict.fromkeys(scene.modes, Mode.IDLE)
    gone = scene.encode(there).table
    assert gone.nics == table.nics
    assert not ours(gone)


def test_one_service_account_for_each_class_or_a_refusal(scene: Scene) -> None:
    scene.layout = Layout(target="service-accounts")
    for vm in scene.vms.values():
        vm["serviceAccounts"] = [{"email": f"{scene.classes[vm['name']]}@acme-net.example"}]
    encoding = scene.encode()
    assert not encoding.problems
    assert all(rule.target_accounts and not rule.target_tags for rule in ours(encoding.table))
    assert any(rule.source_accounts == ("web@acme-net.example",) for rule in ours(encoding.table))
    assert not any(rule.source_tags for rule in ours(encoding.table))
    scene.vms["web-2"]["serviceAccounts"] = [{"email": "db@acme-net.example"}]
    assert {problem.code for problem in scene.encode().problems} == {"GCP-ACCOUNT", "GCP-TAG"}


# --- stability -----------------------------------------------------------------------------------------------------------


def test_one_address_more_changes_one_rule(scene: Scene) -> None:
    scene.vms = {}
    scene.classes = {}
    scene.vm("db-1", "db", "10.0.0.9")
    scene.terms = {"db": [term("r#1", AddressSet.of(*(f"10.{a}.{b}.1/32" for a in range(5) for b in range(0, 200, 2))), SSH)]}
    there = scene.read_back(scene.encode())
    allows = [rule for rule in ours(there) if not rule.deny]
    assert [len(rule.sources) for rule in allows] == [256, 244] or sorted(len(rule.sources) for rule in allows) == [244, 256]
    more = term("r#1", AddressSet.of("172.16.0.1/32"), SSH)
    scene.terms["db"].append(more)
    table = scene.encode(there).table
    assert len(table.rules.keys() - there.rules.keys()) == len(there.rules.keys() - table.rules.keys()) == 1
    scene.terms["db"] = [term("r#1", AddressSet.of(*(f"10.{a}.{b}.1/32" for a in range(5) for b in range(2, 200, 2))), SSH)]
    fewer = scene.encode(there).table
    assert 1 <= len(fewer.rules.keys() - there.rules.keys()) <= 2


def test_addresses_in_quarantine_stay_where_they_are_and_come_nowhere_new(scene: Scene) -> None:
    there = scene.read_back(scene.encode())
    del scene.vms["web-1"]
    del scene.classes["web-1"]
    scene.quarantined = AddressSet.of("10.0.0.1/32", "2001:db8::1/128")
    now = scene.table(*ours(there))
    assert scene.encode(now).table.rules == now.rules
    scene.terms["db"].append(term("r#9", "web", SSH))
    added = [rule for name, rule in scene.encode(now).table.rules.items() if name not in now.rules]
    assert added
    scene.quarantined = AddressSet()
    table = scene.encode(now).table
    assert not any("10.0.0.1/32" in (*rule.sources, *rule.destinations) for rule in ours(table))


def test_a_network_that_was_not_read_whole_stays_as_it_is(scene: Scene) -> None:
    there = scene.read_back(scene.encode())
    scene.incomplete = frozenset({"acme-net/prod"})
    scene.terms = {}
    assert scene.encode(there).table == there


def test_a_drifted_rule_of_ours_is_replaced_under_a_new_name(scene: Scene) -> None:
    there = scene.read_back(scene.encode())
    first, second, *_ = ours(there)
    drifted = replace(
        there, rules={**there.rules, first.name: replace(first, sources=("0.0.0.0/0",)), second.name: replace(second, disabled=True)}
    )
    table = scene.encode(drifted).table
    assert table.rules[f"{first.name}-r1"].sources == first.sources
    assert not table.rules[f"{second.name}-r1"].disabled
    assert first.name not in table.rules
    assert second.name not in table.rules
    phases = steps(drifted, table, Method.MERGE)
    assert [step.action.rpartition(".")[2] for phase in phases for step in phase.steps] == ["insert", "insert", "delete", "delete"]
    assert scene.encode(replace(table)).table == table


def test_a_rule_of_ours_that_lost_its_mark_is_foreign_and_named(scene: Scene) -> None:
    there = scene.read_back(scene.encode())
    first = ours(there)[0]
    bare = parse.rule(body(first) | {"description": "mine now"}, "acme")
    encoding = scene.encode(replace(there, rules={**there.rules, first.name: bare}))
    assert encoding.table.rules[first.name] == bare
    assert f"{first.name}-r1" in encoding.table.rules
    assert any(first.name in note for note in encoding.notes)


# --- what cannot be read or said -------------------------------------------------------------------------------------------


def test_an_unreadable_rule_above_ours_makes_its_machines_unchecked_and_one_below_a_note(scene: Scene) -> None:
    scene.rules = [raw("odd", 300, targetTags=["db"], someNewField="x"), raw("beneath", 1000, someNewField="x")]
    table = scene.table()
    assert list(skipped(table)) == [scene.point("db-1")]
    assert "someNewField" in skipped(table)[scene.point("db-1")]
    encoding = scene.encode(table)
    assert any("beneath" in note for note in encoding.notes)
    assert any(rule.destinations == ("10.0.0.9/32",) for rule in ours(encoding.table))  # enforced all the same
    assert encoding.table.rules["odd"] == table.rules["odd"]


def test_our_own_rule_must_be_readable(scene: Scene) -> None:
    mine = body(ours(scene.encode().table)[0]) | {"newField": "x"}
    with pytest.raises(parse.ParseError, match="our firewall rule"):
        parse.rule(mine, "acme")


@pytest.mark.parametrize("accept", [frozenset(), frozenset({Accept.ANY_TYPE})])
def test_an_icmp_type_is_looser_and_needs_acceptance(scene: Scene, accept: frozenset[Accept]) -> None:
    scene.terms["db"] = [term("ping", CORP, ServiceSet.icmp(ICMP, 8), accept=accept)]
    encoding = scene.encode()
    (fidelity,) = [one for one in encoding.fidelity if one.rule == "ping"]
    if accept:
        assert (fidelity.verdict, fidelity.accepted) == (Verdict.LOOSER, True)
        assert any(rule.protocols == (("icmp", ()),) for rule in ours(encoding.table))
    else:
        assert fidelity.verdict is Verdict.CANNOT
        assert [problem.code for problem in encoding.problems] == ["FIDELITY"]
        assert "any-type ok" in encoding.problems[0].hint


def test_a_refused_rule_is_not_blamed_on_foreign_rules(scene: Scene) -> None:
    exclusive(scene)
    scene.terms["db"] = [term("ping", CORP, ServiceSet.icmp(ICMP, 8))]
    assert [problem.code for problem in scene.encode().problems] == ["FIDELITY"]


def test_a_type_cannot_be_denied_and_a_process_needs_acceptance(scene: Scene) -> None:
    scene.nevers["db"] = [term("no-ping", CORP, ServiceSet.icmp(ICMP, 8))]
    scene.terms["db"] = [term("nginx", CORP, HTTPS, process="/usr/sbin/nginx")]
    assert {rule for problem in scene.encode().problems for rule in problem.rules} == {"no-ping", "nginx"}
    scene.nevers = {}
    scene.terms["db"] = [term("nginx", CORP, HTTPS, process="/usr/sbin/nginx", accept=frozenset({Accept.PORT_ONLY}))]
    encoding = scene.encode()
    assert not encoding.problems
    assert [(one.rule, one.verdict) for one in encoding.fidelity if one.accepted] == [("nginx", Verdict.LOOSER)]


def test_the_internet_is_said_exactly_unless_the_rule_takes_anywhere(scene: Scene) -> None:
    internet = globally_routable() - AddressSet.of("8.8.4.4/32")
    for accept, sources in ((frozenset(), 256), (frozenset({Accept.INTERNET_AS_ANYWHERE}), 1)):
        peer = AddressPeer(internet, internet=True)
        scene.terms["web"] = [Term(peer, HTTPS, (Origin("r#2"),), accept)]
        encoding = scene.encode()
        assert not encoding.problems
        found = [rule for rule in ours(encoding.table) if rule.mark is not None and rule.mark.rules == ("r#2",)]
        assert len(found) == 2  # one of each family
        assert all(len(rule.sources) <= sources for rule in found)
        assert passes(encoding.table, scene.point("web-1"), "10.9.9.9", 443) is bool(accept)
        assert [one.verdict for one in encoding.fidelity if one.rule == "r#2"] == [Verdict.LOOSER if accept else Verdict.EXACT]


def test_logged_rules_log(scene: Scene) -> None:
    scene.terms["db"] = [term("r#3", "web", HTTPS, logged=True)]
    logging = [rule for rule in ours(scene.encode().table) if rule.log]
    assert logging
    assert all(rule.mark is not None and rule.mark.rules == ("r#3",) for rule in logging)
    assert body(logging[0])["logConfig"] == {"enable": True}


def test_a_policy_above_ours_is_beyond_our_reach_and_said_to_be(scene: Scene) -> None:
    match = {"srcIpRanges": ["198.51.100.0/25"], "layer4Configs": [{"ipProtocol": "all"}]}
    allow = {"srcIpRanges": ["192.0.2.0/24"], "layer4Configs": [{"ipProtocol": "tcp", "ports": ["22"]}]}
    scene.policies = [
        {
            "type": "HIERARCHY",
            "name": "org",
            "rules": [
                {"priority": 1, "direction": "INGRESS", "action": "deny", "match": match},
                {"priority": 2, "direction": "INGRESS", "action": "allow", "match": allow},
            ],
        }
    ]
    encoding = exclusive(scene).encode()
    assert not encoding.problems
    cut, forced = encoding.left_out or {}, encoding.forced or {}
    assert "198.51.100.0/25" in cut[scene.point("web-1")].inbound.peers().text(20)
    assert forced[scene.point("web-1")].inbound.text() == "tcp/22 from 192.0.2.0/24"
    shown = entries(encoding.table, [scene.point("web-1")])
    assert [entry.denies for entry in shown if entry.object == "hierarchical policy org"] == [True, False]


def test_quota_is_refused_before_the_first_write_with_the_numbers(scene: Scene) -> None:
    table = replace(scene.table(), room=Room(limit=12, elsewhere=10))
    (problem,) = scene.encode(table).problems
    assert problem.code == "G-QUOTA"
    assert "10 firewall rules and 7 new ones make 17" in problem.message
    assert "allows 12" in problem.message


def test_machines_alike_share_one_value(scene: Scene) -> None:
    for number in range(50):
        scene.vm(f"more-{number}", "web", f"10.0.1.{number + 1}", tags=("web",))
    table = scene.encode().table
    access = decode(table)
    assert len({id(access[scene.point(f"more-{number}")]) for number in range(50)}) == 1
    assert len(points(table)) == 53

"""Defects in the adapters of GCP, Azure and F5: pages, answers, marks, directions, families, ports, the order of deny and allow."""

from __future__ import annotations

from tests.seeded.planting import Defect

_GCP_WIRE = "tests/wire/test_gcp_lab.py::"
_GCP_PAINS = "tests/unit/test_gcp_pains.py::"
_GCP_MODES = "tests/unit/test_gcp_modes.py::"
_GCP_PLANS = "tests/property/test_gcp_plans.py::"
_AZURE_WIRE = "tests/wire/test_azure_lab.py::"
_AZURE_RULES = "tests/unit/test_azure_rules.py::"
_AZURE_ENCODE = "tests/unit/test_azure_encode.py::"
_AZURE_PLANS = "tests/property/test_azure_plans.py::"
_F5_CLIENT = "tests/wire/test_f5_client.py::"
_F5_WORDS = "tests/unit/test_f5_words.py::"
_F5_ENCODE = "tests/unit/test_f5_encode.py::"
_NATIVE = "tests/unit/test_native_answers.py::"


def _of(platform: str, name: str, place: tuple[str, str, str], breaks: str, test: str) -> Defect:
    """Return a defect of an adapter; `place` is file, old text, new text."""
    file, old, new = place
    return Defect(f"{platform}-{name}", f"adapters/cloudsync_{platform}/{file}.py", old, new, breaks, (test,))


GCP = (
    _of(
        "gcp",
        "page-one-only",
        ("client", 'token = page.get("nextPageToken")', 'token = page.get("noPageToken")'),
        "Rules behind the first page do not exist.",
        _GCP_WIRE + "test_pages_are_followed_to_the_end",
    ),
    _of(
        "gcp",
        "server-error-is-a-refusal",
        ("client", "not 400 <= status < 500 or status == 408:", "not 400 <= status:"),
        "A write that may have been applied counts as failed.",
        _GCP_WIRE + "test_what_goes_wrong_with_a_write_and_what_it_means",
    ),
    _of(
        "gcp",
        "tags-overwritten",
        ("client", 'if tuple(sorted(tags.get("items") or ())) != request.expect:', "if tags is None:"),
        "A network tag that somebody set meanwhile is taken off again.",
        _GCP_WIRE + "test_tags_that_somebody_else_changed_meanwhile_are_not_overwritten",
    ),
    _of(
        "gcp",
        "owner-of-a-mark-ignored",
        ("table", "(owner is not None and marked[1] != owner) or ", ""),
        "Rules of another deployment are ours to delete.",
        _NATIVE + "test_what_another_deployment_marked_is_not_ours",
    ),
    _of(
        "gcp",
        "wrong-direction",
        ("parse", 'egress=direction == "EGRESS",', 'egress=direction != "EGRESS",'),
        "What goes out is taken for what comes in.",
        _GCP_PLANS + "test_what_is_decoded_is_what_the_api_s_json_lets_through",
    ),
    _of(
        "gcp",
        "disabled-rules-count",
        ("parse", 'disabled=raw.get("disabled") is True,', "disabled=False,"),
        "A rule that somebody switched off is believed to let packets in.",
        _NATIVE + "test_what_is_switched_off_is_read_as_off",
    ),
    _of(
        "gcp",
        "allow-before-deny",
        ("table", "return (self.priority, not self.deny, self.name)", "return (self.priority, self.deny, self.name)"),
        "At equal numbers an allow is believed to win.",
        _GCP_PAINS + "test_at_equal_numbers_deny_wins",
    ),
    _of(
        "gcp",
        "last-port-left-out",
        ("spell", "low, high = int(first), int(last or first)\n", "low, high = int(first), int(last or first) - bool(last)\n"),
        "The last port of a range is believed to be closed.",
        _NATIVE + "test_a_range_of_ports_has_both_its_ends_and_no_more",
    ),
    _of(
        "gcp",
        "no-source-is-nobody",
        ("parse", 'all(":" in one for one in destinations) else anywhere\n', 'all(":" in one for one in destinations) else ()\n'),
        "A rule without a source, which is open to the world, is believed to be shut.",
        _GCP_PAINS + "test_a_rule_without_a_source_is_open_to_the_world_and_none_of_ours_is_such",
    ),
    _of(
        "gcp",
        "ipv6-addresses-dropped",
        ("parse", 'for key in ("networkIP", "ipv6Address") if', 'for key in ("networkIP",) if'),
        "Machines have no internal IPv6 address, and strangers have it.",
        _NATIVE + "test_an_interface_has_its_addresses_of_both_families",
    ),
    _of(
        "gcp",
        "half-read-network-rearranged",
        ("place", "return intent.incomplete | frozenset(table.incomplete)", "return frozenset()"),
        "A network that was not read whole is rearranged.",
        _GCP_MODES + "test_a_network_that_was_not_read_whole_stays_as_it_is",
    ),
)

AZURE = (
    _of(
        "azure",
        "page-one-only",
        ("client", 'where = document.get("nextLink") or ""', 'where = document.get("noLink") or ""'),
        "Groups behind the first page do not exist.",
        _AZURE_WIRE + "test_pages_are_followed_to_the_end",
    ),
    _of(
        "azure",
        "sdk-retries-writes",
        ("client", "        retry_total=0,\n        user_agent", "        retry_total=3,\n        user_agent"),
        "The SDK sends a write again after a lost answer.",
        _AZURE_WIRE + "test_every_way_a_put_can_end_is_one_put_and_the_right_word",
    ),
    _of(
        "azure",
        "server-error-is-a-refusal",
        ("client", "sure = 400 <= answer.status < 500 and answer.status != 408\n", "sure = 400 <= answer.status\n"),
        "A write that may have been applied counts as failed.",
        _AZURE_WIRE + "test_every_way_a_put_can_end_is_one_put_and_the_right_word",
    ),
    _of(
        "azure",
        "wrong-direction",
        ("parse", 'egress=way == "outbound",', 'egress=way == "inbound",'),
        "What goes out is taken for what comes in.",
        _AZURE_PLANS + "test_decoding_agrees_with_a_reading_rule_by_rule",
    ),
    _of(
        "azure",
        "last-port-left-out",
        ("parse", "return int(low), int(high) + 1", "return int(low), int(high) + (not dash)"),
        "The last port of a range is believed to be closed.",
        _NATIVE + "test_a_range_of_ports_has_both_its_ends_and_no_more",
    ),
    _of(
        "azure",
        "no-table-is-an-empty-one",
        (
            "parse",
            '    if not isinstance(kept.get("securityRules"), list):\n',
            '    kept = {"securityRules": [], **kept}\n    if not isinstance(kept.get("securityRules"), list):\n',
        ),
        "An answer without its rules looks like a group without rules, and all of them go.",
        _AZURE_RULES + "test_an_absent_rule_table_is_not_an_empty_one",
    ),
    _of(
        "azure",
        "unreadable-is-any",
        ("parse", "        unclear, tier = str(error), None\n", '        unclear, tier = "", None\n'),
        "A rule that nobody can read is taken for one about everything.",
        _AZURE_RULES + "test_a_rule_that_cannot_be_read_is_kept_and_never_any",
    ),
    _of(
        "azure",
        "owner-of-a-mark-ignored",
        ("table", "    if owner_of(name, description) != owner:\n", "    if not owner_of(name, description):\n"),
        "Rules of another deployment are ours to delete.",
        _NATIVE + "test_what_another_deployment_marked_is_not_ours",
    ),
    _of(
        "azure",
        "half-read-subscription-rearranged",
        (
            "encode",
            "    if table.incomplete or intent.mode is TargetMode.OBSERVE or table.scope in intent.incomplete:\n",
            "    if intent.mode is TargetMode.OBSERVE:\n",
        ),
        "A subscription that was not read whole is rearranged.",
        _AZURE_ENCODE + "test_observing_and_half_read_subscriptions_change_nothing",
    ),
)

F5 = (
    _of(
        "f5",
        "page-in-circles",
        ("client", "            if following in seen:\n", "            if following in ():\n"),
        "A page that comes twice counts as two.",
        _F5_CLIENT + "test_a_page_that_is_lost_or_comes_twice_is_no_whole_reading",
    ),
    _of(
        "f5",
        "page-one-only",
        ("client", '            following = answer.get("nextLink")\n', '            following, total = answer.get("noLink"), None\n'),
        "Policies behind the first page do not exist.",
        _F5_CLIENT + "test_every_page_is_read",
    ),
    _of(
        "f5",
        "server-error-is-a-refusal",
        (
            "client",
            "refused = 400 <= answer.status_code < 500 and answer.status_code not in (408, 429)\n",
            "refused = 400 <= answer.status_code\n",
        ),
        "A commit that may have been applied counts as failed.",
        _F5_CLIENT + "test_what_became_of_a_commit_is_looked_up_and_it_is_never_sent_again",
    ),
    _of(
        "f5",
        "policy-without-rules-is-an-empty-one",
        ("parse", '        raise ParseError(f"{path_of(raw)} came without its rules")\n', "        return []\n"),
        "A policy whose rules were not shown counts as one that lets nothing in.",
        _NATIVE + "test_a_policy_of_a_device_without_its_rules_is_no_empty_one",
    ),
    _of(
        "f5",
        "disabled-rules-count",
        ("parse", 'enabled=status != "disabled",', "enabled=True,"),
        "A rule that somebody switched off is believed to act.",
        _NATIVE + "test_what_is_switched_off_is_read_as_off",
    ),
    _of(
        "f5",
        "port-and-the-next",
        (
            "parse",
            "return ServiceSet.ports(number, port, port) if number in WITH_PORTS",
            "return ServiceSet.ports(number, port, port + 1) if number in WITH_PORTS",
        ),
        "A virtual server is believed to listen on one port more.",
        _F5_WORDS + "test_a_virtual_server_takes_in_its_family_its_filter_and_its_port_alone",
    ),
    _of(
        "f5",
        "families-mixed",
        ("parse", "    own = ANYWHERE.only(at.family)\n", "    own = ANYWHERE\n"),
        "A virtual server with an IPv4 address is believed to take IPv6 in.",
        _F5_WORDS + "test_a_virtual_server_takes_in_its_family_its_filter_and_its_port_alone",
    ),
    _of(
        "f5",
        "conditions-ignored",
        ("parse", "        odd += [text for key, text in _CONDITIONS.items() if end.get(key)]\n", "        odd += []\n"),
        "A rule that also asks for a user or a place is believed to match everybody.",
        _F5_WORDS + "test_conditions_that_cannot_be_evaluated_are_named",
    ),
    _of(
        "f5",
        "owner-of-a-mark-ignored",
        ("table", "return found if found is not None and found.owner == owner else None", "return found"),
        "Policies of another deployment are ours to delete.",
        _NATIVE + "test_what_another_deployment_marked_is_not_ours",
    ),
    _of(
        "f5",
        "standby-written",
        (
            "write",
            '            if str(own[0].get("failoverState")) != "active":\n',
            '            if str(own[0].get("failoverState")) == "":\n',
        ),
        "A change goes to the standby device, and the next synchronisation undoes it.",
        _F5_CLIENT + "test_nothing_is_sent_to_a_device_that_is_not_active",
    ),
    _of(
        "f5",
        "half-read-group-rearranged",
        (
            "encode",
            "    if intent.mode is TargetMode.OBSERVE or table.incomplete or table.scope in intent.incomplete:\n",
            "    if intent.mode is TargetMode.OBSERVE:\n",
        ),
        "A device group that was not read whole is rearranged.",
        _F5_ENCODE + "test_a_group_read_in_part_is_wanted_as_it_is",
    ),
    _of(
        "f5",
        "route-domain-forgotten",
        ("words", "    return plain, int(domain)\n", "    return plain, 0\n"),
        "10.0.0.1 of one route domain is taken for 10.0.0.1 of another.",
        _NATIVE + "test_an_address_keeps_its_route_domain",
    ),
)

DEFECTS = (*GCP, *AZURE, *F5)

"""Defects in the AWS adapter: at the edge (calls, pages, outcomes) and in its pure half (entries, groups, quotas, order)."""

from __future__ import annotations

from tests.seeded.planting import Defect

_WIRE = "tests/wire/test_aws_wire.py::"
_VALUES = "tests/unit/test_aws_edge_values.py::"
_ENCODE = "tests/unit/test_aws_encode.py::"
_SIMULATE = "tests/unit/test_aws_simulate.py::"
_FIT = "tests/unit/test_aws_fit.py::"
_PLANS = "tests/property/test_aws_plans.py::"


def _aws(name: str, place: tuple[str, str, str], breaks: str, test: str) -> Defect:
    """Return a defect of the adapter; `place` is file, old text, new text."""
    file, old, new = place
    return Defect(f"aws-{name}", f"adapters/cloudsync_aws/{file}.py", old, new, breaks, (test,))


EDGE = (
    _aws(
        "page-one-only",
        ("client", '            token = answer.get("NextToken")\n', '            token = answer.get("NoToken")\n'),
        "Everything behind the first page does not exist, and its rules go.",
        _WIRE + "test_a_whole_read_asks_for_the_largest_pages_and_follows_them",
    ),
    _aws(
        "page-token-in-circles",
        ("client", "            if token in seen:\n", "            if token in ():\n"),
        "A listing that repeats itself counts as whole.",
        _WIRE + "test_every_doubt_about_a_page_makes_the_region_incomplete",
    ),
    _aws(
        "sdk-retries-writes",
        ("client", '"total_max_attempts": 1}', '"max_attempts": 1}'),
        "The SDK sends a write again after a lost answer.",
        _WIRE + "test_a_write_without_a_clear_answer_is_unknown_and_was_sent_once",
    ),
    _aws(
        "server-error-is-a-refusal",
        ("client", "refused = 400 <= status < 500 and", "refused = 400 <= status < 600 and"),
        "A write that may have been applied counts as failed.",
        _WIRE + "test_a_write_without_a_clear_answer_is_unknown_and_was_sent_once",
    ),
    _aws(
        "duplicate-is-success",
        (
            "adapter",
            "            look = not failure.answered or failure.code in LOOK_CODES\n",
            (
                "            look = not failure.answered\n"
                "            if 'Duplicate' in failure.code:\n"
                "                return Outcome(Status.DONE)\n"
            ),
        ),
        "A rule or group of somebody else is taken for the one that we made.",
        _WIRE + "test_a_refusal_that_may_be_an_echo_is_unknown",
    ),
    _aws(
        "half-a-revoke-is-success",
        ("adapter", "    if unknown:\n", "    if unknown is True:\n"),
        "A revoke that left rules in place counts as done.",
        _WIRE + "test_a_revoke_that_left_something_out_is_unknown",
    ),
    _aws(
        "failed-region-looks-empty",
        (
            "adapter",
            "return ScopeState(self.settings.scope(region), parse.reason(error))",
            "return ScopeState(self.settings.scope(region))",
        ),
        "A Region that could not be read looks like one without workloads.",
        _WIRE + "test_a_failing_second_page_leaves_the_region_incomplete",
    ),
    _aws(
        "owner-of-a-mark-ignored",
        ("table", " or tags.get(TAG_OWNER) != owner or", " or"),
        "Groups of another deployment are ours to write.",
        _SIMULATE + "test_a_mark_needs_every_tag_and_our_owner",
    ),
    _aws(
        "ipv6-addresses-dropped",
        ("parse", '    private.update(one["Ipv6Address"] for one in raw.get("Ipv6Addresses") or ())\n', ""),
        "Workloads have no IPv6 addresses, and strangers have them.",
        _VALUES + "test_an_interface_has_all_its_addresses",
    ),
    _aws(
        "service-interfaces-managed",
        ("parse", '    if raw.get("RequesterManaged"):\n', '    if raw.get("Managed"):\n'),
        "Groups of a load balancer are replaced by ours.",
        _VALUES + "test_interfaces_that_are_not_ours_to_manage_are_skipped_with_the_reason",
    ),
    _aws(
        "inactive-peering-counts",
        ("parse", '(one.get("Status") or {}).get("Code") == "active" and here', "here"),
        "Rules refer to groups over a peering that carries nothing.",
        _VALUES + "test_only_active_peerings_within_the_region_carry_references",
    ),
)

_NATIVE = "tests/unit/test_native_answers.py::"
PURE = (
    _aws(
        "wrong-direction",
        ("parse", '((False, "IpPermissions"), (True, "IpPermissionsEgress"))', '((True, "IpPermissions"), (False, "IpPermissionsEgress"))'),
        "What goes out is taken for what comes in.",
        _NATIVE + "test_what_comes_in_is_not_what_goes_out",
    ),
    _aws(
        "last-port-left-out",
        ("parse", "last == -1 else int(last))\n        if not 0", "last == -1 else int(last) - (last != first))\n        if not 0"),
        "The last port of a range is believed to be closed.",
        _NATIVE + "test_a_range_of_ports_has_both_its_ends_and_no_more",
    ),
    _aws(
        "ipv6-entries-dropped",
        (
            "fit",
            "    for family in Family:\n        for peers, services in _rectangles(packets, family):\n",
            "    for family in (Family.V4,):\n        for peers, services in _rectangles(packets, family):\n",
        ),
        "Access over IPv6 is never granted.",
        _FIT + "test_a_cover_is_exact",
    ),
    _aws(
        "sctp-ports-said-wider",
        ("fit", "        if run.protocol == SCTP and not run.whole:\n", "        if run.protocol == SCTP and run.first > run.last:\n"),
        "One sctp port opens all of sctp.",
        _FIT + "test_sctp_ports_are_never_said_wider",
    ),
    _aws(
        "reference-to-a-group-that-strangers-carry",
        ("content", " and one.private <= addresses:", ":"),
        "An interface that somebody put into our group gets its access.",
        _ENCODE + "test_a_stranger_in_a_class_group_turns_references_into_addresses",
    ),
    _aws(
        "reference-over-no-peering",
        ("content", "(one.vpc == vpc or (vpc, one.vpc) in self.peered) and", "bool(one.vpc) and"),
        "A reference into a network that no peering reaches lets nobody in.",
        _ENCODE + "test_references_cross_an_active_peering_and_nothing_else",
    ),
    _aws(
        "internet-as-anywhere-over-a-never-rule",
        ("content", "    if not PacketSet.of(ANYWHERE, services) <= allowed.loosest:\n        return term.peer.addresses\n", ""),
        "A never rule is overrun by 0.0.0.0/0.",
        _ENCODE + "test_internet_stays_exact_where_a_never_rule_would_be_hit",
    ),
    _aws(
        "default-egress-left-in",
        (
            "steps",
            "surplus = [key for key in given if key not in group.rules]",
            "surplus = [key for key in given if key.peer in group.name]",
        ),
        "Every new group lets everything out.",
        _ENCODE + "test_additive_groups_lose_their_default_egress_before_anybody_carries_them",
    ),
    _aws(
        "revoke-before-authorize",
        (
            "steps",
            'return phases(*change.before(), ("move", move), *change.after())',
            'return phases(change.create(), *change.fill(), change.after()[0], *change.before()[3:], ("move", move), *change.after()[1:])',
        ),
        "What old and new both allow is cut for a while.",
        _PLANS + "test_where_no_interface_changes_groups_every_prefix_lies_between_old_and_new",
    ),
    _aws(
        "shard-never-attached",
        ("encode", "        one.groups.append(group.id)\n", "        one.groups += [] if number else [group.id]\n"),
        "Everything behind the sixtieth entry is created and carried by nobody.",
        _ENCODE + "test_the_sixty_first_entry_opens_a_shard_and_nothing_moves_afterwards",
    ),
    _aws(
        "references-counted-in-one-family",
        (
            "quota",
            "    elif key.kind == PeerKind.LIST.value:\n        known",
            "    elif key.kind == PeerKind.GROUP.value:\n        v6 = 0\n    elif key.kind == PeerKind.LIST.value:\n        known",
        ),
        "A plan runs into EC2's quota in the middle.",
        "tests/unit/test_aws_quota_sums.py::test_a_reference_counts_in_both_families",
    ),
    _aws(
        "description-is-identity",
        (
            "steps",
            "added = {key: text for key, text in new.rules.items() if key not in old.rules}",
            "added = {key: text for key, text in new.rules.items() if old.rules.get(key) != text}",
        ),
        "A new description adds a rule that is there already.",
        _ENCODE + "test_a_new_description_is_one_call_and_nothing_else",
    ),
    _aws(
        "group-deleted-under-a-foreign-rule",
        (
            "encode",
            "            if rule.peer in groups and rule.peer not in kept:\n",
            "            if rule.peer in kept and rule.peer not in kept:\n",
        ),
        "We try for ever to delete a group that somebody's rule refers to.",
        _ENCODE + "test_a_group_that_a_foreign_rule_refers_to_stays_and_is_named",
    ),
    _aws(
        "unread-scope-encoded",
        ("place", "        if eni.scope in frozen:\n            continue\n", ""),
        "A Region that was not read whole is rearranged.",
        _ENCODE + "test_a_scope_that_was_not_read_whole_is_wanted_as_it_is",
    ),
    _aws(
        "another-owner-pushed-out",
        (
            "encode",
            "    if work.intent.mode is not TargetMode.EXCLUSIVE:\n        return []\n",
            "    if work.intent.mode is TargetMode.EXCLUSIVE:\n        return []\n",
        ),
        "Two deployments fight over an interface for ever.",
        _ENCODE + "test_another_owner_on_the_interface_is_refused_where_we_would_drop_its_group",
    ),
    _aws(
        "third-state-of-an-interface-is-ours",
        (
            "simulate",
            'else Seen.OTHER\n    if call == "modify_managed_prefix_list"',
            'else Seen.NO\n    if call == "modify_managed_prefix_list"',
        ),
        "Groups that a person attached meanwhile are replaced unseen.",
        _SIMULATE + "test_an_interface_in_a_third_state_is_somebody_elses_work",
    ),
    _aws(
        "members-with-public-addresses",
        ("decode", "found.setdefault(group, []).append(eni.private)", "found.setdefault(group, []).append(eni.private | eni.public)"),
        "The proof believes that a reference matches public addresses.",
        "tests/unit/test_aws_quota_sums.py::test_a_reference_matches_no_public_ipv4_address",
    ),
    _aws(
        "unpeered-reference-lets-in",
        ("decode", "(other.vpc != group.vpc and (group.vpc, other.vpc) not in self.table.peered)", "not other.vpc"),
        "The proof believes in references that are stale.",
        _SIMULATE + "test_stale_and_unpeered_references_let_nobody_in",
    ),
    _aws(
        "list-changes-on-one-version",
        (
            "steps",
            "self.caller.change_list(old, chunk, version + number, grow=grow)",
            "self.caller.change_list(old, chunk, version, grow=grow)",
        ),
        "The second hundred of entries is refused, and the list stays half done.",
        _SIMULATE + "test_lists_longer_than_a_call_change_in_rounds_of_a_hundred",
    ),
    _aws(
        "meet-without-helpers",
        ("meet", '        ("hold", _moves(change.attacher, ways, "held", "hold")),\n', ""),
        "What old and new share is cut while interfaces shrink.",
        _PLANS + "test_meet_shrinks_below_both_before_it_grows",
    ),
    _aws(
        "bounds-of-a-swap-with-two-corners",
        ("bounds", "for own in (table, moved) for members in (before, after))", "for own, members in ((table, before), (moved, after)))"),
        "The proof overlooks that members and interfaces change one after the other.",
        _SIMULATE + "test_a_swap_has_four_corners",
    ),
    _aws(
        "sibling-groups-not-affected",
        ("bounds", '            found.members.update(args["Groups"])\n', ""),
        "Points that refer to a group are not looked at when a machine joins it.",
        _PLANS + "test_every_order_of_a_phase_stays_within_its_bounds",
    ),
    _aws(
        "original-not-given-back",
        ("place", "back = foreign if additive and foreign else sorted({*foreign, *known})", "back = foreign"),
        "A released interface is left with our group, or with none of its own.",
        _ENCODE + "test_a_released_interface_gets_back_what_it_had",
    ),
)

CUT_SHORT = (
    _aws(
        "idle-group-changed-like-a-carried-one",
        ("steps", "if old.id in carried]", "if old.id]"),
        "A group that a cut run left behind is attached with its default egress still in it.",
        _SIMULATE + "test_a_group_left_behind_by_a_cut_run_is_put_right_before_anybody_carries_it",
    ),
    _aws(
        "full-group-filled-before-it-is-stripped",
        ("steps", "(first if tight else found).extend(", "found.extend("),
        "The default egress of a new group leaves no room for its last entry.",
        _SIMULATE + "test_a_new_group_with_full_egress_loses_the_default_first",
    ),
    _aws(
        "more-groups-than-an-interface-takes",
        ("steps", "added[: max(0, room)]", "added"),
        "EC2 refuses the attachment in the middle of a plan.",
        _SIMULATE + "test_join_holds_old_and_new_together_as_far_as_slots_go",
    ),
)

DEFECTS = (*EDGE, *PURE, *CUT_SHORT)

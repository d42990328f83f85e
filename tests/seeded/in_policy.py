"""Defects in what decides: loader, grammar, compile, inventory, drift and report."""

from __future__ import annotations

from tests.seeded.planting import Defect

_INPUTS = "tests/bad/test_bad_inputs.py::test_findings_are_exactly_these"
_POLICY = "tests/bad/test_bad_policy.py::test_findings_are_exactly_these"
_MEANING = "tests/property/test_compile_meaning.py::test_every_packet_is_decided_as_the_language_says"
_TERMS = "tests/property/test_compile_meaning.py::test_terms_say_the_same_as_the_exact_set"
_PAST = "tests/unit/test_compile_past.py::"
_LABELS = "tests/unit/test_inventory_labels.py::"
_CHANGES = "tests/unit/test_inventory_changes.py::"
_WALL = "tests/unit/test_run_wall.py::"
_DRIFT = "tests/unit/test_words_and_drift.py::"
_SAID = "tests/unit/test_report_said.py::"


def _core(name: str, place: tuple[str, str, str], breaks: str, test: str) -> Defect:
    """Return a defect of the core; `place` is module path below cloudsync, old text, new text."""
    file, old, new = place
    return Defect(name, f"cloudsync/{file}.py", old, new, breaks, (test,))


LOADER = (
    _core(
        "duplicate-key-last-wins",
        (
            "policy/strict",
            '            self._report(key.where, "DUPLICATE-KEY", again)\n            return\n',
            "            self.nodes += len(again)\n",
        ),
        "Of two lists of rules one is silently gone.",
        _INPUTS,
    ),
    _core(
        "merge-markers-read-over",
        ("policy/strict", "characters.merge_markers(file, text) or characters", "characters"),
        "Half of a conflict becomes the policy.",
        _INPUTS,
    ),
    _core(
        "aliases-allowed",
        ("policy/strict", "        if self.first_alias:\n", "        if self.first_alias and self.aliases > 1000:\n"),
        "A small file becomes hundreds of millions of values.",
        _INPUTS,
    ),
    _core(
        "tags-allowed",
        ("policy/strict", "        if event.tag is not None:\n", '        if event.tag == "!":\n'),
        "A file can ask for objects.",
        _INPUTS,
    ),
    _core(
        "nesting-without-end",
        ("policy/strict", "        if len(self.stack) >= MAX_DEPTH:\n", "        if len(self.stack) >= 10 * MAX_DEPTH:\n"),
        "Deep nesting ends as a crash.",
        "tests/unit/test_strict_loading.py::test_the_depth_limit_is_exact",
    ),
    _core(
        "leading-zero-port",
        (
            "policy/services",
            '    if any(len(part) > 1 and part[0] == "0" for part in parts):\n',
            '    if any(part == "00" for part in parts):\n',
        ),
        "022 is read as 22 by us and as 18 by the next program.",
        _POLICY,
    ),
    _core(
        "digits-of-other-scripts",
        ("policy/services", "if any(not part.isascii() or (", "if any(not part or ("),
        "A port in Arabic digits is read as a number.",
        _POLICY,
    ),
    _core(
        "host-bits-rounded",
        ("policy/addresses", "    if network.network_address != address:\n", "    if network.version == 0:\n"),
        "10.0.0.1/8 opens sixteen million addresses.",
        _POLICY,
    ),
    _core(
        "mapped-addresses-taken",
        ("policy/addresses", "        if address.ipv4_mapped is not None:\n", "        if address.ipv4_mapped == address:\n"),
        "An IPv4 rule in IPv6 clothes matches nothing.",
        _POLICY,
    ),
    _core(
        "exclusions-in-a-list-ignored",
        ("policy/addresses", "return _set(included) - _set(excluded), tuple(findings)", "return _set(included), tuple(findings)"),
        "What a list leaves out is let in.",
        "tests/unit/test_policy_loading.py::test_the_sets_of_the_example_are_exact",
    ),
    _core(
        "outside-on-the-destination",
        (
            "policy/resolve",
            '                self._report(tree.outside, "OUTSIDE-DESTINATION", "`outside` on the destination side", hint)\n',
            "                assert hint\n",
        ),
        "A ruleset opens workloads of another one.",
        _POLICY,
    ),
    _core(
        "workloads-except-addresses",
        (
            "policy/resolve",
            "        if _is_workloads(tree.base) and not _is_workloads(tree.excluded):\n",
            "        if tree.base is tree.excluded:\n",
        ),
        "An exception that cannot mean anything is taken.",
        _POLICY,
    ),
    _core(
        "any-of-two-labels",
        ("policy/resolve", "        if len(owners) == 1:\n", "        if owners:\n"),
        "A bare word of two labels picks the first of them.",
        _POLICY,
    ),
)

COMPILE = (
    _core(
        "never-below-allow",
        (
            "compile/allowed",
            "return self._packets(Action.ALLOW) - self._packets(Action.NEVER)\n",
            "return self._packets(Action.ALLOW)\n",
        ),
        "An allow overrules a never.",
        _MEANING,
    ),
    _core(
        "never-not-taken-out-of-terms",
        (
            "compile/allowed",
            "_united(term for piece in self._pieces(Action.ALLOW) for term in _minus(piece, never))",
            "_united(piece.term for piece in self._pieces(Action.ALLOW))",
        ),
        "What is rendered is more than what was decided.",
        _TERMS,
    ),
    _core(
        "deny-subtracts-in-full",
        (
            "compile/allowed",
            "return self._packets(Action.ALLOW) - self._packets(Action.NEVER)\n",
            "return self._packets(Action.ALLOW) - self._packets(Action.NEVER) - self._packets(Action.DENY)\n",
        ),
        "A deny, which ranks below allow, takes access away.",
        _MEANING,
    ),
    _core(
        "exceptions-of-workloads-ignored",
        ("compile/universe", "                picked &= ~self.pick(base)\n", "                picked &= self.everything\n"),
        "Those who are left out get in.",
        _MEANING,
    ),
    _core(
        "exceptions-of-addresses-ignored",
        ("compile/arms", "    for base in who.excluded:\n", "    for base in who.excluded[:0]:\n"),
        "Addresses that are left out get in.",
        _MEANING,
    ),
    _core(
        "outside-frees-the-destination",
        (
            "compile/arms",
            "end(universe, rule.destinations, scope)\n",
            "end(universe, rule.destinations, None if any(who.outside for who in rule.sources) else scope)\n",
        ),
        "A rule for sources outside its scope opens destinations outside it too.",
        _MEANING,
    ),
    _core(
        "scope-not-applied",
        ("compile/universe", "            picked &= self.pick(scope)\n", "            picked &= self.everything\n"),
        "Rules of one application open all others.",
        _MEANING,
    ),
    _core(
        "empty-selector-means-all",
        (
            "compile/universe",
            "return self.postings.get((key, values[0]), 0)",
            "return self.postings.get((key, values[0]), 0) or self.everything",
        ),
        "A label that nobody has picks everybody.",
        _MEANING,
    ),
    _core(
        "name-is-not-the-native-id",
        ("compile/grouping", "{workload.name, workload.ref} & self.named))", "{workload.name} & self.named))"),
        "`workload i-0ab` picks every machine with its labels.",
        _PAST + "test_a_workload_is_called_by_its_name_or_its_native_id",
    ),
    _core(
        "strangers-include-our-own",
        ("compile/universe", "ANYWHERE - self.addresses(self.everything, domain)", "ANYWHERE"),
        "`internet` opens to our own workloads.",
        _MEANING,
    ),
    _core(
        "public-addresses-forgotten-elsewhere",
        (
            "model/workload",
            "interface.addresses if interface.domain == domain else interface.addresses & globally_routable()",
            "interface.addresses if interface.domain == domain else NOWHERE",
        ),
        "A workload is a stranger under its public address.",
        _MEANING,
    ),
    _core(
        "private-addresses-known-everywhere",
        (
            "model/workload",
            "interface.addresses if interface.domain == domain else interface.addresses & globally_routable()",
            "interface.addresses",
        ),
        "10.0.0.1 of one network is let into another that has a 10.0.0.1 of its own.",
        _MEANING,
    ),
    _core(
        "until-is-the-last-second",
        ("compile/arms", "rule.until <= now:", "rule.until < now:"),
        "A rule lives at the instant at which it ends.",
        _PAST + "test_a_rule_ends_at_its_instant",
    ),
    _core(
        "selective-closes-nothing",
        ("compile/allowed", "return closed | PacketSet.of(ANYWHERE, self.selective) if self.selective else closed\n", "return closed\n"),
        "Mode selective lets everything stay that was open.",
        _PAST + "test_selective_closes_its_services_and_keeps_the_rest_of_the_past",
    ),
    _core(
        "never-loses-to-the-past",
        ("compile/intent", "before.inbound - inbound.closed - inbound.never if selective", "before.inbound - inbound.closed if selective"),
        "What a never rule forbids is kept because it was there before.",
        _PAST + "test_a_never_rule_closes_the_past_too",
    ),
    _core(
        "egress-left-alone-is-closed",
        ("compile/intent", "        kept_out = before.outbound\n", "        kept_out = NO_PACKETS\n"),
        "Workloads whose egress is nobody's business cannot send any more.",
        _PAST + "test_egress_that_is_left_alone_stays_as_it_was",
    ),
    _core(
        "past-read-from-the-present",
        (
            "compile/intent",
            "    if known is not None:\n        return known\n    found = ",
            "    if known is not None and not known.original:\n        return known\n    found = ",
        ),
        "What was kept of the past shrinks with every run.",
        _PAST + "test_the_past_is_what_was_recorded",
    ),
    _core(
        "last-line-of-enforcement-decides",
        (
            "compile/universe",
            "    for line in policy.enforcement:\n        if line.scope is None or all(",
            "    for line in reversed(policy.enforcement):\n        if line.scope is None or all(",
        ),
        "Everything is enforced as the default says.",
        _PAST + "test_the_first_line_of_enforcement_that_fits_decides",
    ),
)

INVENTORY = (
    _core(
        "unread-members-dropped",
        (
            "inventory/changes",
            "        return Held(workload.id, Why.INCOMPLETE, missing)\n",
            "        return None\n",
        ),
        "Members of a Region that could not be read lose their access everywhere.",
        _CHANGES + "test_an_incomplete_scope_keeps_its_last_verified_members_whole",
    ),
    _core(
        "gone-after-one-miss",
        ("inventory/changes", "RUNS_TO_GO = 2\n", "RUNS_TO_GO = 1\n"),
        "One short answer takes the rules of everybody it left out.",
        _CHANGES + "test_a_workload_goes_only_after_two_complete_runs_missed_it",
    ),
    _core(
        "address-of-the-dead-kept",
        ("inventory/changes", "        if rest != interface.addresses and why is Why.ABSENT:\n            return None\n", ""),
        "Whoever gets the address of a machine that is gone gets its access.",
        _CHANGES + "test_an_absent_one_goes_at_once_when_its_address_is_somebody_elses",
    ),
    _core(
        "tags-outrank-people",
        ("inventory/labels", "        decided = set(found)\n", "        decided: set[str] = set()\n"),
        "Whoever may set a tag overrules the static inventory.",
        _LABELS + "test_static_labels_win_key_by_key",
    ),
    _core(
        "vocabulary-open",
        ("inventory/labels", "            if self._knows(source.label, text):\n", "            if text:\n"),
        "A tag with a typing mistake becomes a label.",
        _LABELS + "test_what_is_no_value_gives_one_warning_for_all_who_have_it",
    ),
    _core(
        "next-source-tried-after-a-miss",
        (
            "inventory/labels",
            "            decided.add(source.label)\n            if self._knows(source.label, text):\n",
            "            if self._knows(source.label, text):\n                decided.add(source.label)\n",
        ),
        "A wrong tag lets a weaker source decide.",
        _LABELS + "test_the_first_source_with_a_text_decides_even_when_the_vocabulary_refuses_it",
    ),
    _core(
        "locks-ignored",
        (
            "inventory/labels",
            "if source.label in decided or self.locks.get(source.label, source.pick) is not source.pick:",
            "if source.label in decided:",
        ),
        "A label that only an account may give is given by a tag.",
        _LABELS + "test_a_locked_label_comes_from_its_kind_of_source_only",
    ),
    _core(
        "unread-target-forgotten",
        ("run", '(ScopeState(self.target.name, self.error or "not read"),))', "())"),
        "A target that was not read leaves no trace, and its members look removed.",
        _WALL + "test_a_target_that_was_not_read_keeps_its_remembered_workloads_as_peers",
    ),
    _core(
        "wrong-account-read",
        ("run", "        if not identity.good:\n", "        if identity.got is None:\n"),
        "The wrong account's machines are taken for ours.",
        _WALL + "test_the_wrong_account_is_refused_and_nothing_is_read",
    ),
)

REPORTS = (
    _core(
        "watched-is-drift",
        ("proof/drift", "return self.kind not in (Kind.WOULD_BLOCK, Kind.WOULD_OPEN)", "return bool(self.kind)"),
        "What is only watched is reported as drift.",
        _SAID + "test_what_is_only_watched_is_no_drift",
    ),
    _core(
        "unread-target-says-no-drift",
        ("report/text", '"no drift" if read else "nothing was checked"', '"no drift"'),
        "A target that nobody could read is reported as clean.",
        _SAID + "test_a_target_that_was_not_read_is_never_called_clean",
    ),
    _core(
        "incomplete-scope-not-mentioned",
        ("report/text", "    for gap in report.incomplete:\n", "    for gap in report.incomplete[:0]:\n"),
        "A Region that was not read is not mentioned.",
        _SAID + "test_a_gap_in_the_inventory_is_said",
    ),
    _core(
        "excess-is-no-drift",
        ("proof/drift", '    yield from _some(excess, "inbound", access.inbound - want.most.inbound)\n', ""),
        "A hole that a person made is not reported.",
        _DRIFT + "test_an_opening_nobody_ordered_is_one_finding_for_all_its_workloads",
    ),
    _core(
        "severity-by-name-alone",
        ("proof/drift", "        if reaches_internet(peers):\n", "        if peers.size < 0:\n"),
        "A database open to the internet is of low severity.",
        _DRIFT + "test_severity_goes_by_what_is_open",
    ),
    _core(
        "refusal-hidden-by-a-failure",
        ("model/exits", "Exit.REFUSED, Exit.FAILED,", "Exit.FAILED, Exit.REFUSED,"),
        "Automation retries what needs a person.",
        _SAID + "test_over_several_targets_the_word_for_a_person_wins",
    ),
    _core(
        "what-a-platform-cannot-say-ends-well",
        ("model/exits", "(Exit.BUG, Exit.INVALID, Exit.REFUSED", "(Exit.BUG, Exit.REFUSED"),
        "A policy that was refused ends with exit code 0.",
        _SAID + "test_over_several_targets_the_word_for_a_person_wins",
    ),
    _core(
        "names-printed-raw",
        (
            "cli/output",
            "            self._write(sys.stdout, self.colour(inert(text), *colours))\n",
            "            self._write(sys.stdout, self.colour(text, *colours))\n",
        ),
        "A machine's name can rewrite the terminal.",
        _SAID + "test_nothing_from_a_cloud_is_printed_unescaped",
    ),
)

DEFECTS = (*LOADER, *COMPILE, *INVENTORY, *REPORTS)

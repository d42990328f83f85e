"""Where each row of the table of bad inputs in the safety page is shown: cases of this folder, and tests elsewhere for what is no file."""

from __future__ import annotations

from collections.abc import Mapping

_EXAMINER = "tests/cli/test_examiner_refusals.py::"
ELSEWHERE: Mapping[int, tuple[str, ...]] = {
    4: (
        "tests/unit/test_sources_snapshot.py::test_a_file_that_changes_between_listing_and_reading_is_torn",
        "tests/unit/test_sources_snapshot.py::test_a_manifest_holds_every_file_to_its_digest",
    ),
    8: ("tests/unit/test_policy_loading.py::test_words_that_yaml_would_retype_stay_text",),
    9: ("tests/unit/test_policy_loading.py::test_words_that_yaml_would_retype_stay_text",),
    30: (
        "tests/cli/test_examiner_meaning.py::test_what_the_platform_cannot_say_is_refused_unless_accepted_by_name",
        "tests/cli/test_four_modes.py::test_a_rule_that_the_platform_cannot_say_is_refused_alone_and_the_hint_helps",
    ),
    34: ("tests/unit/test_report_said.py::test_nothing_from_a_cloud_is_printed_unescaped",),
    35: (
        "tests/unit/test_report_html.py::test_every_hostile_name_is_there_to_be_read_and_inert",
        "tests/unit/test_mail_bodies.py::test_names_from_outside_do_nothing",
    ),
    36: ("tests/unit/test_report_forms.py::test_hostile_names_are_all_there_and_none_begins_a_formula",),
    37: ("tests/unit/test_mail_bodies.py::test_names_from_outside_do_nothing",),
    39: (_EXAMINER + "test_the_wrong_account_is_refused_before_anything_is_written_or_used",),
    40: (
        _EXAMINER + "test_a_wrong_clock_and_a_readable_state_are_refused_before_contact",
        "tests/unit/test_store_state.py::test_a_clock_in_1970_is_refused",
    ),
}
ROWS = range(1, 41)

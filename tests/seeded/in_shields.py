"""Defects in the shields of GCP and Azure, and in the two bands of Azure."""

from __future__ import annotations

from tests.seeded.planting import Defect

_GCP, _AZURE = "tests/unit/test_gcp_shield.py::", "tests/unit/test_azure_shield.py::"
_GCP_ALL, _AZURE_ALL = "tests/property/test_gcp_shield.py::", "tests/property/test_azure_shield.py::"
_BANDS = "tests/property/test_azure_bands.py::"


def _gcp(name: str, place: tuple[str, str, str], breaks: str, test: str) -> Defect:
    file, old, new = place
    return Defect(f"gcp-shield-{name}", f"adapters/cloudsync_gcp/{file}.py", old, new, breaks, (test,))


def _azure(name: str, place: tuple[str, str, str], breaks: str, test: str) -> Defect:
    file, old, new = place
    return Defect(f"azure-{name}", f"adapters/cloudsync_azure/{file}.py", old, new, breaks, (test,))


GCP = (
    _gcp(
        "cuts-a-neighbour",
        ("shield", "                wanted &= one.outbound if egress else one.inbound\n", "                pass\n"),
        "A shield cuts packets at another machine that has the same address.",
        _GCP_ALL + "test_addresses_of_two_are_cut_where_both_are_to_be_cut",
    ),
    _gcp(
        "below-older-rules",
        ("shield", "    return min(table.layout.shield, min(", "    return max(table.layout.shield, min("),
        "A shield stands beneath an allow of ours and cuts nothing.",
        _GCP + "test_an_allow_of_ours_from_an_older_layout_does_not_stand_above",
    ),
    _gcp(
        "over-the-quota",
        ("shield", " if _room(table, len(rules)) else table", ""),
        "A change stops half-way at the quota of the project.",
        _GCP + "test_where_the_quota_has_no_room_there_is_no_shield_at_all",
    ),
    _gcp(
        "where-nobody-understands",
        ("shield", "nic.scope not in table.incomplete and point not in unknown", "nic.scope not in table.incomplete"),
        "A shield is counted on beneath a rule that nobody can read.",
        _GCP + "test_where_rules_are_not_all_understood_nothing_is_shielded",
    ),
    _gcp(
        "not-temporary",
        ("steps", "        temporary=rule.temporary,\n        mark=", "        mark="),
        "A shield that goes counts as a rule that is lost.",
        _GCP_ALL + "test_under_a_shield_every_state_lies_between_without_what_is_cut",
    ),
    _gcp(
        "kept-in-quarantine",
        ("build", " and not rule.temporary", ""),
        "A shield of an interrupted run stays as long as its machine is missing.",
        _GCP_ALL + "test_a_shield_that_was_left_behind_is_removed",
    ),
)
AZURE = (
    _azure(
        "shield-cuts-a-neighbour",
        ("shield", "                found &= self._asked(other.point, egress=egress)\n", "                pass\n"),
        "A shield cuts packets at a machine of another VNet that has the same address behind the same NSG.",
        _AZURE_ALL + "test_addresses_of_two_are_cut_where_both_are_to_be_cut",
    ),
    _azure(
        "shield-cuts-all-icmp",
        ("shield", "            if said.typed:\n", "            if not said.words:\n"),
        "To cut one ICMP type all of ICMP is cut.",
        _AZURE + "test_what_has_no_word_stays_open",
    ),
    _azure(
        "shield-below-an-allow",
        ("shield", "if band[0] + at < end and band", "if band"),
        "A shield stands beneath an allow of ours and cuts nothing.",
        _BANDS + "test_a_shield_stands_above_all_allows_of_ours_or_not_at_all",
    ),
    _azure(
        "shield-in-the-wrong-nsg",
        ("shield", "max(tried, key=lambda pair: pair[0].size, default", "min(tried, key=lambda pair: pair[0].size, default"),
        "A shield is put beneath a foreign allow although another NSG on the way has none.",
        _AZURE + "test_the_nsg_where_no_foreign_allow_stands_above_is_taken",
    ),
    _azure(
        "shield-counted-as-lost",
        ("steps", "    beside = [0, 0] if only or temporary else shields\n", "    beside = [0, 0]\n"),
        "Temporary rules count among those that come and go for good.",
        _AZURE + "test_one_put_brings_the_new_rules_and_the_shield_and_counts_what_lasts",
    ),
    _azure(
        "shield-given-back",
        ("remains", "    return any(line.rule.tier is not Tier.SHIELD for line in mine)\n", "    return any(True for line in mine)\n"),
        "A leftover shield brings back foreign rules that their people have deleted since.",
        _AZURE + "test_a_shield_that_was_left_behind_does_not_count_as_something_to_give_back",
    ),
    _azure(
        "band-taken-over",
        ("place", "        self.used: set[int] = {*band.taken, *band.old}\n", "        self.used: set[int] = {*band.taken}\n"),
        "Rule by rule a new rule gets the number of one that still stands.",
        _BANDS + "test_enough_of_both_ways_is_seen",
    ),
    _azure(
        "band-without-a-name",
        ("steps", "anew is (method is Method.TWO_BAND)", "method is Method.MERGE"),
        "Nobody is told that every rule comes and goes.",
        _BANDS + "test_enough_of_both_ways_is_seen",
    ),
)
DEFECTS = (*GCP, *AZURE)

"""The proof that the contract bites: for each of its cases an adapter with one mistake, which that case finds and says why."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from cloudsync.adapter import TargetSettings
from cloudsync.testing.contract import AdapterContract, Facts, Passes
from cloudsync.testing.contract.walking import Dice, walk
from cloudsync.testing.memory import MemoryAdapter
from tests.contract import broken
from tests.contract.broken_shields import BITES as SHIELD_BITES
from tests.contract.memory_stage import Maker, MemoryFactory, MemoryStage

BITES: tuple[tuple[str, Maker, str], ...] = (
    ("the_certificate_holds_and_the_platform_agrees", broken.OpensMoreAndHidesIt, "open against the policy"),
    ("what_is_read_is_what_the_platform_lets_in", broken.DecodesOursAlone, "decode shuts what passes"),
    ("a_second_run_writes_nothing", broken.NewNameEveryTime, "one more run wants to write"),
    ("every_state_leads_to_the_same_end", broken.SeesOnlyItsOwnRules, "after a hole made by hand"),
    ("an_empty_selector_opens_nothing", broken.NothingIsAnybody, "CERTIFICATE"),
    ("a_class_without_addresses_opens_nothing", broken.EmptyIsAnybody, "a class without addresses becomes"),
    ("never_rules_hold_against_every_allow", broken.NeverIsNothing, "CERTIFICATE"),
    ("a_machine_that_is_missing_once_keeps_its_entries", broken.MissingIsGone, "missing for the first time"),
    ("selective_keeps_the_past_and_closes_what_it_is_told", broken.ForgetsThePast, "CERTIFICATE"),
    ("what_is_released_is_as_it_was", broken.GivesNothingBack, "too little"),
    ("idle_neighbours_are_not_touched", broken.CleansUpIdlePoints, "what acts on an idle workload was changed"),
    ("additive_leaves_foreign_objects_alone", broken.AlwaysExclusive, "objects of others were changed"),
    ("observe_writes_nothing", broken.WritesWhileReading, "looking has written"),
    ("discovery_tells_who_is_there", broken.NoTags, "has tags"),
    ("pages_are_followed_to_the_end", broken.FirstPageOnly, "on later pages, and not read"),
    ("a_read_that_fails_anywhere_is_not_taken_for_whole", broken.FailureIsEmptiness, "reading is called whole"),
    ("a_read_that_fails_anywhere_is_not_taken_for_whole", broken.ActsOnHalfAReading, "yet its scope holds"),
    ("a_partial_read_removes_nothing", broken.ActsOnHalfAReading, "wants to remove"),
    ("a_refresh_that_fails_raises", broken.RefreshesFromMemory, "did not raise"),
    ("refresh_shows_what_people_did_meanwhile", broken.RefreshesItsOwnRules, "refresh does not show it"),
    ("the_digest_moves_with_what_is_read_and_with_nothing_else", broken.OneDigestForAll, "the digest is the same"),
    ("credentials_of_another_account_are_told", broken.BelievesTheSettings, "settings that name another account match"),
    ("looking_writes_nothing", broken.TriesWritingInDoctor, "looking has"),
    ("each_step_is_one_write", broken.OneCallPerRule, "writes reached the platform"),
    ("a_write_that_never_arrived_is_not_called_done_nor_sent_again", broken.TriesAgain, "outcome is done"),
    ("a_write_that_never_arrived_is_not_called_done_nor_sent_again", broken.DoubtIsSuccess, "outcome is done"),
    ("a_write_whose_answer_is_lost_is_not_called_failed_nor_sent_again", broken.DoubtIsFailure, "outcome is failed"),
    ("a_write_that_arrives_late_does_no_harm", broken.DoubtIsSuccess, "late, and called done"),
    ("a_write_that_arrives_late_does_no_harm", broken.GivesUpWhereSomethingIs, "nothing is late any more"),
    ("random_walks_end_where_the_policy_says", broken.DetachesFirst, "leg .* shut although both"),
    ("a_throttled_write_has_failed_and_says_so", broken.TriesAgain, "outcome is done"),
    ("a_refused_write_has_failed_in_the_platforms_words", broken.RefusedIsTooFast, "too fast"),
    ("a_run_cut_anywhere_is_finished_by_the_next", broken.UsesWhatIsAttachedAlone, "planning fails: .* exists"),
    ("every_state_on_the_way_is_safe", broken.DetachesFirst, "shut although both let it through"),
    ("seen_says_no_before_and_yes_after", broken.SeesWhatItSent, "seen before it was sent"),
    ("what_a_crash_left_is_found_by_its_mark", broken.LeavesEmptyGroups, "objects of ours are left"),
    ("the_pure_half_is_pure", broken.NamesByPosition, "the order of classes and points changes"),
    ("steps_lead_to_the_desired_table", broken.HalfAJoin, "do not lead to the desired table"),
    ("a_phase_may_take_effect_in_any_order", broken.NarrowBounds, "bound"),
    ("reports_agree_with_decode", broken.WalksAlone, "walk says"),
    ("reports_agree_with_decode", broken.TellsOursAlone, "no entry opens it"),
    ("reports_agree_with_decode", broken.CountsEverybodysRules, "owned counts rules of others"),
    ("every_rule_has_an_honest_verdict", broken.SaysItKnowsProcesses, "the capabilities say yes"),
    ("outbound_is_enforced_or_refused", broken.SaysItHoldsOutbound, "the capabilities say that outbound is enforced"),
    ("methods_are_those_that_are_offered", broken.OffersNoMethod, "NO-WAY"),
    ("a_shield_cuts_what_it_is_asked_to_and_nothing_else", broken.ShieldsWithoutDenies, "which it was not asked to"),
    ("what_lost_its_mark_is_foreign", broken.OwnsByName, "an object without our mark was changed"),
    ("two_owners_live_side_by_side", broken.OwnsWhateverIsMarked, "the other owner|another owner"),
    ("two_owners_may_both_be_exclusive", broken.OwnsWhateverIsMarked, "the other owner|another owner"),
    ("the_platforms_spelling_is_no_drift", broken.ReadsAsItIsSpelt, "no read shows it|not as it was"),
    ("a_quota_is_told_before_the_first_write", broken.NoQuota, "64 addresses where 20 have room"),
)
"""Case, the adapter that breaks it, and what the failure says."""

OTHERWISE = ("the_reading_role_can_write_nothing", "importing_it_loads_no_sdk", "its_settings_have_a_closed_schema")
OTHERWISE_TOO = ("its_factory_finds_good_settings_good", "the_stage_sees_what_happens")
"""Cases about factories and packages; their mistakes are below."""


def run(case: str, stage: MemoryStage) -> None:
    getattr(AdapterContract(), f"test_{case}")(stage)


@pytest.mark.parametrize(("case", "maker", "says"), BITES, ids=[f"{case}-{maker.__name__}" for case, maker, _ in BITES])
def test_a_broken_adapter_is_found_out(case: str, maker: Maker, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        run(case, MemoryStage(maker))


@pytest.mark.parametrize("case", sorted({case for case, _, _ in BITES}))
def test_the_same_case_lets_the_sound_adapter_pass(case: str) -> None:
    run(case, MemoryStage(MemoryAdapter))


def test_every_case_has_its_broken_adapter() -> None:
    cases = {name.removeprefix("test_") for name in dir(AdapterContract) if name.startswith("test_")}
    proven = {case for bites in (BITES, SHIELD_BITES) for case, *_ in bites} | {*OTHERWISE, *OTHERWISE_TOO}
    assert cases == proven, f"without a proof: {sorted(cases - proven)}; no case: {sorted(proven - cases)}"


# --- factories -------------------------------------------------------------------------------------------------------


class OneRoleForAll(MemoryFactory):
    """The reading role may write."""

    def role(self, targets: Iterable[TargetSettings], *, owner: str, read_only: bool) -> str:
        return super().role(targets, owner=owner, read_only=read_only and not owner)


class RefusesItsOwnExample(MemoryFactory):
    """An example that `check` does not accept."""

    example = MappingProxyType({"account": "1"})


def test_a_reading_role_that_may_write_is_found_out() -> None:
    stage = MemoryStage()
    stage.factory = OneRoleForAll(stage, MemoryAdapter)
    with pytest.raises(AssertionError, match="the reading role may write"):
        run("the_reading_role_can_write_nothing", stage)


def test_an_example_that_is_refused_is_found_out() -> None:
    stage = MemoryStage()
    stage.factory = RefusesItsOwnExample(stage, MemoryAdapter)
    with pytest.raises(AssertionError, match="settings that work are refused"):
        run("its_factory_finds_good_settings_good", stage)


# --- stages ----------------------------------------------------------------------------------------------------------


class SeesNothing(MemoryStage):
    """A stage that tells nothing of other people's objects."""

    def foreign(self, *workloads: str) -> str:
        return "always the same" + "".join(workloads)


class LetsEverybodyIn(MemoryStage):
    """A stage whose truth is that everything passes."""

    def truth(self) -> Passes:
        return lambda _to, _source, _protocol, _port: True


class CountsNothing(MemoryStage):
    """A stage that counts no writes."""

    def writes(self) -> int:
        return 0


class FailsNoRead(MemoryStage):
    """A stage on which every read works."""

    def fail_reads(self, nth: int) -> None:
        del nth


@pytest.mark.parametrize(
    ("stage", "case", "says"),
    [
        (SeesNothing, "the_stage_sees_what_happens", "the stage does not see it"),
        (CountsNothing, "the_stage_sees_what_happens", "counts no writes"),
        (LetsEverybodyIn, "the_certificate_holds_and_the_platform_agrees", "open against the policy"),
        (FailsNoRead, "a_partial_read_removes_nothing", "a reading is called whole"),
    ],
)
def test_a_stage_that_sees_nothing_is_found_out(stage: type[MemoryStage], case: str, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        run(case, stage())


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 30))])
def test_many_random_walks(seed: int) -> None:
    walk(MemoryStage(), Dice(seed), legs=8)


# --- packages --------------------------------------------------------------------------------------------------------

PACKAGE = """\
{eager}
from tests.contract.memory_stage import MemoryFactory


class Factory(MemoryFactory):
    def check(self, target):
        return ()

    def role(self, targets, *, owner, read_only):
        {lazy}
        return super().role(targets, owner=owner, read_only=read_only)


ADAPTER = Factory(None, None)
"""
ACCOUNT = '"account": {"type": "string", "description": "whose platform it is"}'
SCHEMA = '{"type": "object", "additionalProperties": false, "properties": {%s}}'
HEAVY = "import decimal_of_acme"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Let every test find its own package of that name."""
    yield
    for name in ("acme_adapter", "decimal_of_acme"):
        sys.modules.pop(name, None)


def packaged(folder: Path, patch: pytest.MonkeyPatch, *, code: str = "", schema: str = SCHEMA % ACCOUNT) -> MemoryStage:
    """Return a stage whose adapter is a package in a folder, with an SDK beside it."""
    package = folder / "acme_adapter"
    package.mkdir()
    (package / "__init__.py").write_text(code or PACKAGE.format(eager="", lazy=""), encoding="utf-8")
    (package / "settings.schema.json").write_text(schema, encoding="utf-8")
    (folder / "decimal_of_acme.py").write_text("", encoding="utf-8")
    patch.syspath_prepend(str(folder))
    stage = MemoryStage()
    stage.facts = replace(Facts(), package="acme_adapter", sdk=("decimal_of_acme",))
    return stage


@pytest.mark.parametrize("case", OTHERWISE[1:])
def test_a_sound_package_passes(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(case, packaged(tmp_path, monkeypatch))


@pytest.mark.parametrize("place", ["eager", "lazy"])
def test_a_package_that_loads_its_sdk_is_found_out(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = PACKAGE.format(**({"eager": "", "lazy": ""} | {place: HEAVY}))
    with pytest.raises((AssertionError, ModuleNotFoundError), match="decimal_of_acme"):
        run("importing_it_loads_no_sdk", packaged(tmp_path, monkeypatch, code=code))


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        (SCHEMA.replace("false", "true") % ACCOUNT, "takes any key"),
        (SCHEMA.replace('"additionalProperties": false, ', "") % ACCOUNT, "takes unknown keys"),
        (SCHEMA % '"account": {"type": "string"}', "without a description"),
        (SCHEMA % (ACCOUNT + ', "mode": {"type": "string", "description": "m"}'), "cloudsync's own"),
        (SCHEMA % (ACCOUNT + ', "password": {"type": "string", "description": "the password"}'), "secrets in plain text"),
        (SCHEMA % '"site": {"type": "string", "description": "where"}', "the schema does not know"),
        (SCHEMA % (ACCOUNT + ', "sub": {"type": "object", "description": "s", "properties": {}}'), "takes unknown keys"),
    ],
)
def test_a_bad_schema_is_found_out(schema: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match=re.escape(says)):
        run("its_settings_have_a_closed_schema", packaged(tmp_path, monkeypatch, schema=schema))

"""Defects beside Terraform: what it owns is touched, forgotten or taken for somebody else's; secrets of a state; what is exported."""

from __future__ import annotations

from tests.seeded.planting import Defect

_STATE = "tests/unit/test_terraform_state.py::"
_AWS = "tests/cli/test_cli_terraform.py::"
_FOUR = "tests/cli/test_four_terraform.py::"
_EXPORT = "tests/cli/test_cli_export.py::"

DEFECTS = (
    Defect(
        name="terraform-guard-not-asked",
        file="cloudsync/guard/every.py",
        old="    terraform.check,\n",
        new="",
        breaks="An exclusive target takes Terraform's groups off their machines.",
        tests=(_AWS + "test_what_terraform_owns_is_neither_taken_off_nor_approvable",),
    ),
    Defect(
        name="detaching-is-no-touch",
        file="cloudsync/plan/terraform.py",
        old="*_detached(adapter, way, owned), ",
        new="",
        breaks="A group of Terraform's is taken off an interface: the group itself is not written.",
        tests=(_AWS + "test_what_terraform_owns_is_neither_taken_off_nor_approvable",),
    ),
    Defect(
        name="rules-are-no-touch",
        file="cloudsync/plan/terraform.py",
        old=", *_lost(adapter, way, owned)}",
        new="}",
        breaks="A rule that Terraform wrote into an NSG goes with the next replacement of its rules.",
        tests=(_FOUR + "test_what_terraform_owns_is_left_as_it_is",),
    ),
    Defect(
        name="whatever-account",
        file="cloudsync/plan/terraform.py",
        old='one.account.lower() in ("", account.lower())',
        new='one.account.lower() == ""',
        breaks="What a state says of this very account is taken for another's.",
        tests=(_AWS + "test_what_terraform_owns_is_neither_taken_off_nor_approvable",),
    ),
    Defect(
        name="an-old-state-after-a-rollback",
        file="cloudsync/app/rollback.py",
        old="        terraform.carry(root, folder, settings.terraform)\n",
        new="",
        breaks="Going back to an earlier policy takes away what Terraform came to own since.",
        tests=(_AWS + "test_going_back_to_an_earlier_policy_does_not_forget_what_terraform_owns_today",),
    ),
    Defect(
        name="a-missing-state-owns-nothing",
        file="cloudsync/app/terraform.py",
        old="        if not paths:\n",
        new="        if False:\n",
        breaks="A state that is not where it should be protects nothing, and nobody is told.",
        tests=(_AWS + "test_a_state_that_cannot_be_read_stops_before_anything_is_contacted",),
    ),
    Defect(
        name="data-sources-own",
        file="cloudsync/inventory/terraform.py",
        old='            elif mode == "managed" and (kind in OWNED',
        new='            elif mode in ("managed", "data") and (kind in OWNED',
        breaks="What a configuration only looks up counts as its own.",
        tests=(_STATE + "test_what_is_only_looked_up_is_not_owned",),
    ),
    Defect(
        name="a-key-twice-is-taken",
        file="cloudsync/inventory/terraform.py",
        old="    if len(found) != len(pairs):\n",
        new="    if len(found) > len(pairs):\n",
        breaks="Of two lists of resources in one state the second hides the first.",
        tests=("tests/bad/test_bad_inputs.py::test_findings_are_exactly_these[terraform/91-key-twice]",),
    ),
    Defect(
        name="templates-are-run",
        file="cloudsync/report/terraform.py",
        old='return value.replace("${", "$${").replace("%{", "%%{")',
        new="return value",
        breaks="A name in the cloud becomes an expression that Terraform evaluates.",
        tests=(_EXPORT + "test_names_that_are_alike_or_templates_for_terraform_stay_apart_and_inert",),
    ),
    Defect(
        name="exports-what-others-own",
        file="cloudsync/report/terraform.py",
        old='        if group["mark"].startswith(f"{one.owner}/"):\n',
        new='        if group["mark"].startswith(one.owner):\n',
        breaks="Groups of the deployment acme-test are handed over with those of acme.",
        tests=(_EXPORT + "test_groups_of_another_owner_are_not_ours",),
    ),
)

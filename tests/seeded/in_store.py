"""Defects in state on a server, and after a state was lost."""

from __future__ import annotations

from tests.seeded.planting import Defect

_SERVER = "tests/unit/test_store_postgres.py::"
_FILE = "cloudsync/store/postgres.py"

DEFECTS = (
    Defect(
        name="server-rollback-taken-for-a-commit",
        file=_FILE,
        old='        if done != "COMMIT":\n',
        new="        if not done:\n",
        breaks="An intent that the server rolled back counts as durable.",
        tests=(_SERVER + "test_a_transaction_that_the_server_gave_up_is_no_success",),
    ),
    Defect(
        name="server-commits-not-durable",
        file=_FILE,
        old="THEN 'remote_apply' ELSE 'on' END",
        new="THEN 'remote_apply' ELSE current_setting('synchronous_commit') END",
        breaks="A role's own settings make the journal forget what it confirmed.",
        tests=(_SERVER + "test_commits_are_durable_whatever_the_role_says",),
    ),
    Defect(
        name="server-lock-not-asked-for",
        file=_FILE,
        old='            return "" if self._database.holds(*self._taken) else "the server gave the lock away"\n',
        new='            return ""\n',
        breaks="Two machines write at the same time behind a pooler.",
        tests=(_SERVER + "test_a_writer_whose_lock_went_to_another_session_stops",),
    ),
    Defect(
        name="fleet-no-lock-per-target",
        file=_FILE,
        old="            for target in sorted(set(targets)):\n",
        new="            for target in sorted(set(targets))[:0]:\n",
        breaks="Two workers write to the same target.",
        tests=("tests/unit/test_store_fleet.py::test_nobody_is_beside_a_run_at_a_target_of_theirs",),
    ),
    Defect(
        name="fleet-older-policy-wins",
        file="cloudsync/app/fleet.py",
        old="                if left is None or left.strip():\n",
        new="                if left is None:\n",
        breaks="A worker that was not pulled undoes what the others did.",
        tests=("tests/fleet/test_fleet_jobs.py::test_a_worker_that_is_behind_writes_nothing_until_it_is_pulled",),
    ),
    Defect(
        name="fleet-opens-alone",
        file="cloudsync/app/fleet.py",
        old="        if wider:\n            raise WiderError(wider)\n",
        new="        if wider:\n            return\n",
        breaks="A target opens towards another one that has not closed yet.",
        tests=("tests/fleet/test_fleet_jobs.py::test_what_opens_towards_another_target_is_planned_with_it",),
    ),
    Defect(
        name="server-forgets-and-is-used",
        file=_FILE,
        old='        if row["fsync"] != "on":\n',
        new='        if row["fsync"] == "":\n',
        breaks="The journal stands on a server that loses it with the power.",
        tests=(_SERVER + "test_a_server_that_forgets_or_only_follows_is_refused",),
    ),
    Defect(
        name="server-sorts-by-language",
        file="cloudsync/store/schema.py",
        old="""    "TEXT": 'TEXT COLLATE "C"',\n""",
        new="""    "TEXT": "TEXT",\n""",
        breaks="The same records come in another order from another database.",
        tests=(_SERVER + "test_columns_are_as_wide_as_in_sqlite_and_text_is_compared_byte_by_byte",),
    ),
    Defect(
        name="server-not-verified",
        file="cloudsync/store/place.py",
        old='        if values.setdefault("sslmode", "verify-full") not in _VERIFIED:\n',
        new='        if not values.setdefault("sslmode", "verify-full"):\n',
        breaks="Whoever answers in the server's place may make us forget.",
        tests=(_SERVER + "test_another_server_is_a_finding_that_shows_no_secret",),
    ),
    Defect(
        name="lost-state-takes-away",
        file="cloudsync/app/rebuilt.py",
        old="    if not taken:\n",
        new="    if taken or not taken:\n",
        breaks="After the state was lost the first run closes what nobody has compared.",
        tests=("tests/service/test_state_lost.py::test_nothing_is_taken_away_in_the_first_run_and_all_of_it_in_the_second",),
    ),
)

"""Defects in journal, lease, state and execution."""

from __future__ import annotations

from tests.seeded.planting import Defect

_RULES = "tests/unit/test_apply_rules.py::"
_STORE = "tests/unit/test_store_state.py::"
_CRASH = "tests/crash/test_crash_apply.py::"
_BEGIN = "                self._begin()\n"
_PHASES = """                stages = stages_of(run.plan.phases[first:end], woven=run.adapter.capabilities.woven)
                for (phase, count), after in zip_longest(stages, stages[1:]):
                    _phase(run, phase, after[0].steps if after else ())
                    run.phases += count
"""

DEFECTS = (
    Defect(
        name="intent-after-the-call",
        file="cloudsync/apply.py",
        old="    op_id = journal.intend(\n",
        new="    early = run.adapter.write(step, run.bindings)\n    op_id = journal.intend(\n",
        breaks="A write is sent that no journal knows.",
        tests=(_RULES + "test_without_a_durable_intent_nothing_is_sent",),
    ),
    Defect(
        name="no-barrier",
        file="cloudsync/apply.py",
        old="    _barrier(run, phase, made.end(run, phase.steps), following)\n",
        new="    run.table = _refresh(run, _bound(run, phase.steps))\n",
        breaks="Removals start before the additions show.",
        tests=(_CRASH + "test_a_read_that_never_shows_a_write_stops_the_target",),
    ),
    Defect(
        name="unknown-treated-as-done",
        file="cloudsync/apply.py",
        old="                _look(run, bound, op_id, outcome)\n                return\n",
        new="                run.done += 1\n                return\n",
        breaks="A lost answer counts as success.",
        tests=(_CRASH + "test_every_fault_at_every_write_is_mended_by_the_next_run",),
    ),
    Defect(
        name="unknown-sent-again",
        file="cloudsync/apply.py",
        old="                _look(run, bound, op_id, outcome)\n                return\n",
        new="                continue\n",
        breaks="A write whose answer was lost is sent a second time.",
        tests=(_RULES + "test_a_write_that_lands_late_is_not_sent_again",),
    ),
    Defect(
        name="hold-not-read",
        file="cloudsync/apply.py",
        old="    if held:\n",
        new="    if held and not run.plan.target:\n",
        breaks="A hold stops nobody.",
        tests=(_RULES + "test_a_hold_set_at_any_moment_stops_before_the_next_write",),
    ),
    Defect(
        name="stop-not-heard",
        file="cloudsync/apply.py",
        old='    if run.options.stop():\n        raise _Halt(ApplyStatus.STOPPED, "asked to stop", step)\n',
        new="",
        breaks="A request to stop waits until the whole plan is written.",
        tests=(_RULES + "test_a_request_to_stop_is_heard_before_the_next_write",),
    ),
    Defect(
        name="lease-checked-once",
        file="cloudsync/apply.py",
        old="    lost = run.ports.lease.lost()\n    if lost:\n        raise _Halt(ApplyStatus.STOPPED, f",
        new="    lost = '' if run.writes else run.ports.lease.lost()\n    if lost:\n        raise _Halt(ApplyStatus.STOPPED, f",
        breaks="A process that slept wakes up and writes an old plan over a newer one.",
        tests=(_RULES + "test_a_paused_process_does_not_write_when_it_wakes",),
    ),
    Defect(
        name="intent-not-fenced",
        file="cloudsync/store/journal.py",
        old="            _fence(connection, _Claim(op.target, op.generation))\n",
        new="",
        breaks="An older writer gets an intent past a newer one between two looks at the lease.",
        tests=(_STORE + "test_an_intent_of_an_older_writer_is_refused_by_the_journal_itself",),
    ),
    Defect(
        name="adoption-written-after",
        file="cloudsync/apply.py",
        old=_BEGIN + _PHASES,
        new=_PHASES + _BEGIN,
        breaks="A point is taken over before what it had is on record.",
        tests=(_RULES + "test_adoptions_are_durable_before_the_first_write",),
    ),
    Defect(
        name="filled-before-it-is-seen",
        file="cloudsync/apply.py",
        old="        made.ready(run, step)\n",
        new="",
        breaks="A new group is filled before any read has shown it.",
        tests=("tests/unit/test_weave.py::test_nothing_is_named_before_a_read_has_shown_it",),
    ),
    Defect(
        name="interrupt-not-journalled",
        file="cloudsync/apply.py",
        old='        journal.settle(op_id, OpState.UNKNOWN, f"interrupted by {type(error).__name__}")\n',
        new="",
        breaks="A write that was interrupted is never called unknown.",
        tests=(_RULES + "test_an_exception_out_of_a_write_is_unknown_in_the_journal_and_raised",),
    ),
    Defect(
        name="recovery-does-not-wait",
        file="cloudsync/apply.py",
        old="        if verdict is not Seen.YES and remaining > 0:\n",
        new="        if verdict is not Seen.YES and remaining > 1e9:\n",
        breaks="A call that is still under way is taken for lost and made again.",
        tests=(_RULES + "test_recovery_waits_until_no_call_can_be_under_way",),
    ),
    Defect(
        name="open-writes-ignored",
        file="cloudsync/apply.py",
        old="        _forbid_open(run)\n",
        new="",
        breaks="A plan is written on top of writes whose outcome nobody knows.",
        tests=(_RULES + "test_no_write_while_an_earlier_one_is_not_settled",),
    ),
    Defect(
        name="takeover-not-looked-at-again",
        file="cloudsync/apply.py",
        old="    _standing(run, phase)\n",
        new="",
        breaks="Old access goes although somebody has deleted what was put in its place a phase ago.",
        tests=("tests/unit/test_apply_standing.py::test_somebody_deletes_what_was_just_put_in_place_and_the_old_stays",),
    ),
    Defect(
        name="freshness-not-checked",
        file="cloudsync/apply.py",
        old="    if not run.fresh:\n        _unmoved(run, phase)\n",
        new="",
        breaks="A person's change between plan and apply is overwritten.",
        tests=(_RULES + "test_a_change_between_plan_and_apply_stops_before_the_first_write",),
    ),
    Defect(
        name="freshness-checked-once",
        file="cloudsync/apply.py",
        old="        if run.ports.clock.monotonic() - looked > FRESH_S:\n",
        new="        if run.ports.clock.monotonic() - looked > 1e9:\n",
        breaks="In a long phase the last write goes by what was read many minutes ago.",
        tests=(_RULES + "test_a_long_phase_looks_again_and_stops_where_somebody_was_faster",),
    ),
    Defect(
        name="settle-time-not-waited",
        file="cloudsync/apply.py",
        old="    if run.options.settle_s and run.unsettled & matter:\n",
        new="    if run.options.settle_s > 1e9 and run.unsettled & matter:\n",
        breaks="Removals start before the data plane has the additions.",
        tests=(_CRASH + "test_settle_time_is_waited_only_where_order_matters_to_the_data_plane",),
    ),
    Defect(
        name="throttled-write-sent-again-blindly",
        file="cloudsync/apply.py",
        old="                if _shown(run, bound) is not Seen.NO:\n",
        new="                if bound.key == '':\n",
        breaks="A write that was applied although refused is made twice.",
        tests=(_RULES + "test_a_throttled_write_that_shows_all_the_same_is_not_sent_again",),
    ),
    Defect(
        name="journal-not-durable",
        file="cloudsync/store/sqlite.py",
        old='        run("PRAGMA synchronous = FULL")\n',
        new='        run("PRAGMA synchronous = OFF")\n',
        breaks="A power cut loses intents of writes that were sent.",
        tests=(_STORE + "test_commits_are_durable_by_configuration",),
    ),
    Defect(
        name="original-overwritten",
        file="cloudsync/store/journal.py",
        old="VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        new="VALUES (?, ?, ?, ?, ?) ON CONFLICT (target, point) DO UPDATE SET document = excluded.document",
        breaks="Release gives back what we put there ourselves.",
        tests=(_STORE + "test_the_first_original_of_a_point_is_kept",),
    ),
    Defect(
        name="state-readable-by-all",
        file="cloudsync/store/files.py",
        old="    if mode & ~want:\n",
        new="    if mode & ~want & 0o022:\n",
        breaks="Everybody on the machine reads the state.",
        tests=(_STORE + "test_wider_modes_are_refused",),
    ),
    Defect(
        name="lease-by-the-wall-clock",
        file="cloudsync/store/lease.py",
        old="            return reason\n        started = self._clock.monotonic()\n",
        new="            return reason\n        started = self._clock.now()\n",
        breaks="A clock that is set makes a dead lease live, or a live one dead.",
        tests=(_STORE + "test_a_lease_is_lost_by_a_pause_but_not_by_a_clock_jump",),
    ),
    Defect(
        name="lease-of-another-machine-taken",
        file="cloudsync/store/lease.py",
        old='row["host"] != host and now < row["expires"]',
        new='row["host"] == host and now < row["expires"]',
        breaks="Two machines write at the same time.",
        tests=(_STORE + "test_a_live_lease_of_another_machine_is_respected",),
    ),
    Defect(
        name="audit-line-not-chained",
        file="cloudsync/store/audit.py",
        old=' or entry.get("prev") != head.hash:',
        new=":",
        breaks="Lines of the audit trail can be exchanged unseen.",
        tests=(_STORE + "test_an_edited_trail_is_found_out",),
    ),
    Defect(
        name="old-state-believed",
        file="cloudsync/store/audit.py",
        old='        if number and (row is None or row["line"] != text):\n',
        new='        if number and row is not None and row["line"] != text:\n',
        breaks="A state file put back from a backup forgets what was done since.",
        tests=(_STORE + "test_an_old_copy_put_back_is_noticed",),
    ),
)

"""Defects in the daemon: time, back-off, versions of the config repository, stopping, what is told when nothing else is possible."""

from __future__ import annotations

from tests.seeded.planting import Defect

_SCHEDULE = "tests/service/test_daemon_schedule.py::"
_DAY = "tests/service/test_daemon_day.py::"
_VERSIONS = "tests/service/test_daemon_versions.py::"
_HEALTH = "tests/service/test_daemon_health.py::"
_RECONCILE = "tests/service/test_reconcile.py::"

DEFECTS = (
    Defect(
        name="wait-on-the-wall-clock",
        file="cloudsync/service/timetable.py",
        old="                line.nominal, line.due = line.nominal + jump, line.due + jump\n",
        new="                pass\n",
        breaks="After a clock was set back by a week no run begins for a week.",
        tests=(_SCHEDULE + "test_a_clock_set_back_delays_no_interval",),
    ),
    Defect(
        name="window-gone-by-is-used",
        file="cloudsync/service/timetable.py",
        old="now - latest > GRACE_S + line.schedule.jitter_s",
        new="now - latest > 86400 * 365",
        breaks="A change window of the night is used in the morning.",
        tests=(_SCHEDULE + "test_a_cron_line_that_is_a_little_late_is_made_up_for_and_a_window_gone_by_is_not",),
    ),
    Defect(
        name="weekdays-of-the-library",
        file="cloudsync/service/timetable.py",
        old='        names = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")\n',
        new='        names = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")\n',
        breaks="A line for Sunday runs on Monday.",
        tests=(_SCHEDULE + "test_a_cron_line_means_what_crontab_says",),
    ),
    Defect(
        name="one-back-off-for-all",
        file="cloudsync/service/loop.py",
        old="for name in line.targets if self.backoff.ready(name, now)}",
        new="for name in line.targets if all(self.backoff.ready(one, now) for one in line.targets)}",
        breaks="A target that fails puts the others off.",
        tests=(_DAY + "test_a_failing_target_is_tried_less_often_and_the_other_as_ever",),
    ),
    Defect(
        name="busy-is-forgotten",
        file="cloudsync/service/loop.py",
        old="            self.again |= {name: now + min(soon, interval) for name, interval in ready.items()}\n",
        new="",
        breaks="A run that found the lock taken is left out, not put off.",
        tests=(_DAY + "test_the_lock_held_by_somebody_else_delays_runs_and_loses_nothing",),
    ),
    Defect(
        name="files-instead-of-commits",
        file="cloudsync/app/versions.py",
        old="            self.unpack(version, Path(folder))\n            loaded = load(Path(folder), outside=False)\n",
        new="            loaded = load(self.root)\n",
        breaks="A policy that is only saved, not committed, is in force with the next commit.",
        tests=(_VERSIONS + "test_a_commit_is_read_from_gits_objects",),
    ),
    Defect(
        name="broken-version-in-force",
        file="cloudsync/app/daemon.py",
        old="            broken, self.version, self.before = self.version, self.before, None\n",
        new="            broken, self.before = self.version, None\n",
        breaks="A policy that does not fit what is there stops enforcement, instead of the last good one going on.",
        tests=(_VERSIONS + "test_a_commit_that_can_be_read_but_does_not_fit_what_is_there_is_broken_too",),
    ),
    Defect(
        name="newest-that-loads-is-last-good",
        file="cloudsync/app/daemon.py",
        old="        return (_usable(versions, noted, names) if noted and noted != commit else None) or found\n",
        new="        return found\n",
        breaks="After a restart a policy is in force that never was.",
        tests=(_VERSIONS + "test_a_start_with_a_broken_commit_takes_the_version_that_was_in_force",),
    ),
    Defect(
        name="folder-read-while-written",
        file="cloudsync/app/daemon.py",
        old="        if not self.versions.commits and not insist and newest != self.resting:\n",
        new="        if not newest:\n",
        breaks="A folder is read while somebody copies files into it.",
        tests=(_VERSIONS + "test_a_folder_is_read_again_once_it_rests",),
    ),
    Defect(
        name="short-wait-taken-for-a-long-one",
        file="cloudsync/app/patience.py",
        old='        if self.stop():\n            raise AdapterError("this run", "wait", "asked to stop")\n',
        new="",
        breaks="A write that may still arrive is settled as never applied, because a stop cut the wait short.",
        tests=(_RECONCILE + "test_an_open_write_is_not_settled_by_a_wait_that_was_cut_short",),
    ),
    Defect(
        name="untold-run",
        file="cloudsync/app/reconcile.py",
        old="        alarms = (*alarms, *_untold(run))\n",
        new="",
        breaks="What a run put right before it was killed is told to nobody.",
        tests=(_RECONCILE + "test_a_run_that_died_before_it_could_tell_is_told_of_by_the_next_once",),
    ),
    Defect(
        name="lock-left-with-whoever-failed",
        file="cloudsync/store/files.py",
        old="            os.close(handle)  # an open handle holds the lock: a daemon would wait for itself\n",
        new="",
        breaks="After a full disk a daemon waits for itself for ever.",
        tests=(_DAY + "test_a_full_disk_writes_nothing_anywhere_and_is_over_when_there_is_room",),
    ),
    Defect(
        name="anybody-may-ask",
        file="cloudsync/service/health.py",
        old="not is_loopback(name.lower())",
        new="not name",
        breaks="A web page that resolves its own name to this machine reads the metrics.",
        tests=(_HEALTH + "test_only_questions_of_this_machine_are_answered",),
    ),
    Defect(
        name="alive-without-a-pulse",
        file="cloudsync/service/vitals.py",
        old="        return self._clock.monotonic() - self._beat < HANG_S\n",
        new="        return self._beat >= 0.0\n",
        breaks="A loop that hangs is called well.",
        tests=(_HEALTH + "test_ready_after_the_first_run_and_alive_while_it_beats",),
    ),
)

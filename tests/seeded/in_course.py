"""Defects in what several targets do together: crossings, orders, shields, gaps, the replay over whole paths, barriers between targets."""

from __future__ import annotations

from tests.seeded.planting import Defect

_PLANS = "tests/unit/test_course_plans.py::"
_FLOWS, _WHOLE, _CHART = "cloudsync/proof/flows.py", "cloudsync/proof/whole.py", "cloudsync/plan/course.py"

DEFECTS = (
    Defect(
        name="targets-in-reverse",
        file=_CHART,
        old="tuple(self._level(level) for level in levels))",
        new="tuple(self._level(level) for level in reversed(levels)))",
        breaks="What opens goes before what closes; only the replay still stands in the way.",
        tests=(_PLANS + "test_what_closes_goes_before_what_opens",),
    ),
    Defect(
        name="whole-replay-not-asked",
        file=_CHART,
        old="            if whole is not None and whole.safe:\n",
        new="            if whole is not None:\n",
        breaks="Any order of targets that go in a circle counts as safe.",
        tests=(_PLANS + "test_in_a_circle_shields_keep_it_out",),
    ),
    Defect(
        name="load-balancers-not-followed",
        file=_FLOWS,
        old="    fronts = [one for ground in ends.grounds for one in _fronts(ground)]\n",
        new="    fronts = []\n",
        breaks="A flow that a load balancer passes on is not seen at the member.",
        tests=(_PLANS + "test_a_flow_is_followed_through_a_load_balancer",),
    ),
    Defect(
        name="members-asked-for-the-client",
        file=_FLOWS,
        old="return PacketSet.of(self.via or self.start, self.onward)",
        new="return PacketSet.of(self.start, self.onward)",
        breaks="A member is asked about the client although the load balancer's own address comes to it.",
        tests=(_PLANS + "test_a_flow_is_followed_through_a_load_balancer",),
    ),
    Defect(
        name="only-what-closes-at-the-source",
        file=_FLOWS,
        old="for closing, opening in ((source, destination), (destination, source)):",
        new="for closing, opening in ((source, destination),):",
        breaks="A flow that closes at its destination and opens at its source is not seen.",
        tests=(_PLANS + "test_what_closes_at_the_destination_and_opens_at_the_source_is_seen_too",),
    ),
    Defect(
        name="whole-replay-looks-between-phases",
        file=_WHOLE,
        old="        yield track.during(number, points), track.places\n",
        new="        yield track.rest(number, points), track.places\n",
        breaks="What happens while a phase takes effect is not looked at.",
        tests=(_PLANS + "test_the_replay_over_whole_paths_looks_inside_phases_and_knows_who_rests",),
    ),
    Defect(
        name="whole-replay-starts-over",
        file=_WHOLE,
        old="        at |= {leg.target: leg.end for leg in stage.legs}\n",
        new="",
        breaks="Who rests is taken for where it began.",
        tests=(_PLANS + "test_the_replay_over_whole_paths_looks_inside_phases_and_knows_who_rests",),
    ),
    Defect(
        name="shields-for-both-tables-are-one",
        file="cloudsync/plan/shield.py",
        old='(("shield", start), ("", goal), ("unshield", desired))',
        new='(("shield", start), ("", desired))',
        breaks="The shields go together with the change that they are there for.",
        tests=(_PLANS + "test_inside_one_target_a_shield_does_and_is_named",),
    ),
    Defect(
        name="left-shields-put-in-again",
        file="cloudsync/plan/shield.py",
        old="adapter.shield(table, wishes) if _passes(adapter, table, wishes) else table",
        new="adapter.shield(table, wishes)",
        breaks="Each run that is cut behind its shields leaves more of them.",
        tests=(_PLANS + "test_what_a_table_does_not_let_through_is_not_shielded_there",),
    ),
    Defect(
        name="stage-after-a-failed-one",
        file="cloudsync/app/together.py",
        old="        if held:\n            break\n",
        new="",
        breaks="The next stage begins although somebody did not come through this one.",
        tests=(_PLANS + "test_no_stage_begins_behind_one_that_failed",),
    ),
    Defect(
        name="no-settling-between-targets",
        file="cloudsync/app/together.py",
        old="            settle([leg.target for leg in stage.legs])\n",
        new="",
        breaks="The next target begins before the data plane of the one before it has changed.",
        tests=(_PLANS + "test_a_stage_begins_when_the_one_before_has_settled",),
    ),
    Defect(
        name="order-not-in-the-digest",
        file="cloudsync/plan/document.py",
        old='named["component"] = to_json(plan.component)',
        new='named["component"] = len(plan.component.targets)',
        breaks="A plan is approved in one order and written in another.",
        tests=(_PLANS + "test_an_order_is_part_of_the_digest_and_of_the_plan_file",),
    ),
    Defect(
        name="exposure-on-a-shared-path-let-pass",
        file="cloudsync/guard/proof.py",
        old="    yield from _together(plan)\n",
        new="",
        breaks="Targets that expose something together are written.",
        tests=(_PLANS + "test_an_exposure_on_a_shared_path_is_refused_and_nobody_can_approve_it",),
    ),
    Defect(
        name="gap-grows-first",
        file="cloudsync/plan/gap.py",
        old="            part = 1 if step.effect is Effect.SHRINKS else 3\n",
        new="            part = 3 if step.effect is Effect.SHRINKS else 1\n",
        breaks="What is planned as a gap adds before it takes away.",
        tests=(_PLANS + "test_where_shrinking_cuts_what_stays_a_gap_is_planned_and_a_person_asked",),
    ),
    Defect(
        name="barrier-of-meet-forgotten",
        file=_CHART,
        old="        if at < len(phases) and not all(_inside(one, new) for one in uppers):\n            return None\n",
        new="",
        breaks="Everybody grows although somebody is still wide; only the replay still stands in the way.",
        tests=(_PLANS + "test_the_waist_is_where_everything_old_has_gone",),
    ),
    Defect(
        name="peaks-not-counted",
        file="cloudsync/plan/peaks.py",
        old="        _raise(most, _sizes(adapter, table))\n",
        new="",
        breaks="Temporary rules are counted nowhere, and the platform refuses one in the middle.",
        tests=(_PLANS + "test_temporary_lines_are_counted",),
    ),
)

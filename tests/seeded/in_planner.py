"""Defects in order, replay, series and certificate: what makes a wrong plan look proven."""

from __future__ import annotations

from tests.seeded.planting import Defect

_ORDER = "tests/property/test_order.py::"
_PROOF = "tests/unit/test_proof_each.py::"
_SERIES = "tests/property/test_aws_series.py::"

DEFECTS = (
    Defect(
        name="phases-in-reverse",
        file="cloudsync/plan/order.py",
        old="                return found if method is not Method.MERGE else",
        new=(
            "                found = replace(found, phases=tuple(reversed(found.phases)))\n"
            "                return found if method is not Method.MERGE else"
        ),
        breaks="Old access goes before new access is there.",
        tests=(_ORDER + "test_no_state_exposes_or_cuts_whatever_the_order_inside_a_phase",),
    ),
    Defect(
        name="replay-dropped-for-swap",
        file="cloudsync/plan/order.py",
        old="            if found is not None and found.replay.safe:\n",
        new="            if found is not None:\n",
        breaks="The cheapest order is taken whether or not it is safe.",
        tests=(_ORDER + "test_a_rule_waits_until_the_machine_that_must_not_have_it_has_left",),
    ),
    Defect(
        name="replay-checks-only-exposure",
        file="cloudsync/proof/replay.py",
        old="in ((False, bounds.lower), (True, bounds.upper)):",
        new="in ((True, bounds.upper),):",
        breaks="A plan that cuts what old and new both allow counts as safe.",
        tests=(_ORDER + "test_steps_swapped_across_a_barrier_are_caught",),
    ),
    Defect(
        name="replay-checks-only-outage",
        file="cloudsync/proof/replay.py",
        old="in ((False, bounds.lower), (True, bounds.upper)):",
        new="in ((False, bounds.lower),):",
        breaks="A plan that opens what neither old nor new allows counts as safe.",
        tests=(_ORDER + "test_a_rule_waits_until_the_machine_that_must_not_have_it_has_left",),
    ),
    Defect(
        name="replay-looks-only-at-whole-phases",
        file="cloudsync/proof/replay.py",
        old="    bounds = adapter.bounds(table, steps)\n",
        new="    last = adapter.simulate(table, *steps)\n    bounds = type(adapter.bounds(table, ()))((last,), (last,))\n",
        breaks="What happens inside a phase is not looked at.",
        tests=(_SERIES + "test_a_state_inside_a_phase_is_looked_at",),
    ),
    Defect(
        name="replay-looks-at-the-first-phase-alone",
        file="cloudsync/proof/replay.py",
        old="        table = adapter.simulate(table, *phase.steps)\n        states += len(phase.steps)\n",
        new="        states += len(phase.steps)\n",
        breaks="Every phase is judged from the state before the plan.",
        tests=(_ORDER + "test_steps_swapped_across_a_barrier_are_caught",),
    ),
    Defect(
        name="series-ignored",
        file="cloudsync/plan/order.py",
        old="    across = tuple(crossings(adapter, actual, tables[2], addresses))\n    if across:",
        new="    across = ()\n    if across:",
        breaks="A packet that neither state allows leaves by the old egress and enters by the new ingress.",
        tests=(_SERIES + "test_two_ends_that_change_at_once_shrink_before_they_grow",),
    ),
    Defect(
        name="series-asks-the-old-state-alone",
        file="cloudsync/proof/flows.py",
        old="        if not closing.closes or not opening.opens:\n            continue\n        flows = tuple(",
        new="        if closing.closes or opening.opens:\n            continue\n        flows = tuple(",
        breaks="No crossing is ever found.",
        tests=(_ORDER + "test_points_in_series_cross_only_when_old_and_new_combine",),
    ),
    Defect(
        name="series-forgets-a-family",
        file="cloudsync/proof/flows.py",
        old="            for family in Family\n            if start.only",
        new="            for family in (Family.V4,)\n            if start.only",
        breaks="Crossings of IPv6 packets are not looked for.",
        tests=(_PROOF + "test_points_in_series_cross_over_ipv6_too",),
    ),
    Defect(
        name="meet-not-held-to-shrinking-first",
        file="cloudsync/plan/order.py",
        old="meet, replay_meet(adapter, actual, final, meet), final)",
        new="meet, replay(adapter, actual, final, meet), final)",
        breaks="MEET may grow one end while another is still wide.",
        tests=(_SERIES + "test_meet_that_grows_before_it_shrank_is_not_taken",),
    ),
    Defect(
        name="rounds-forget-what-nobody-feels",
        file="cloudsync/plan/order.py",
        old="    return (*found, *last)\n",
        new="    return tuple(found)\n",
        breaks="Groups that nothing carries any more are never deleted, and the plan still says that it arrives.",
        tests=(_PROOF + "test_rounds_keep_the_steps_that_nobody_feels",),
    ),
    Defect(
        name="rounds-mix-growing-and-shrinking",
        file="cloudsync/plan/order.py",
        old="wrong_kind = (step.effect is Effect.SHRINKS) is not shrinking",
        new="wrong_kind = False",
        breaks="Rules come and go in one phase.",
        tests=(_ORDER + "test_a_rule_waits_until_the_machine_that_must_not_have_it_has_left",),
    ),
    Defect(
        name="rounds-forget-the-order-on-one-object",
        file="cloudsync/plan/order.py",
        old="        if wrong_kind or step.object in blocked:\n            blocked.add(step.object)\n",
        new="        if wrong_kind:\n            blocked.add(step.object)\n",
        breaks="A later step on an object overtakes an earlier one.",
        tests=(_PROOF + "test_a_later_step_on_one_object_never_overtakes",),
    ),
    Defect(
        name="own-packets-of-public-addresses-left-out",
        file="cloudsync/plan/order.py",
        old="return {point: own - outside for point, own in addresses.items()}",
        new="return dict(addresses)",
        breaks="A packet to our own public address counts as one that never leaves the machine.",
        tests=(_PROOF + "test_a_machine_reaches_its_public_ipv4_address_from_outside",),
    ),
    Defect(
        name="certificate-forgives-excess",
        file="cloudsync/proof/certificate.py",
        old="        excess = (found - most).witness()\n",
        new="        excess = None\n",
        breaks="A table that lets too much in is certified.",
        tests=(_PROOF + "test_a_certificate_finds_one_packet_too_many_and_one_too_few",),
    ),
    Defect(
        name="certificate-forgives-missing",
        file="cloudsync/proof/certificate.py",
        old="        missing = (least - found).witness()\n",
        new="        missing = None\n",
        breaks="A table that lets too little in is certified.",
        tests=(_PROOF + "test_a_certificate_finds_one_packet_too_many_and_one_too_few",),
    ),
    Defect(
        name="certificate-looks-inbound-only",
        file="cloudsync/proof/certificate.py",
        old='        ("outbound", access.outbound, want.least.outbound, want.most.outbound),\n',
        new="",
        breaks="Nobody compares what workloads may send.",
        tests=(_PROOF + "test_a_certificate_finds_one_packet_too_many_and_one_too_few",),
    ),
    Defect(
        name="certificate-of-another-table",
        file="cloudsync/plan/build.py",
        old="reached=final == desired)",
        new="reached=True)",
        breaks="Steps that lead somewhere else are certified.",
        tests=(_PROOF + "test_steps_that_lead_somewhere_else_are_not_certified",),
    ),
    Defect(
        name="problems-planned-all-the-same",
        file="cloudsync/plan/build.py",
        old="desired = snapshot.table if blocked else encoding.table",
        new="desired = encoding.table",
        breaks="A table that the encoder gave up on is planned.",
        tests=(_PROOF + "test_what_the_encoder_gave_up_on_is_not_planned",),
    ),
    Defect(
        name="adoption-not-recorded",
        file="cloudsync/plan/build.py",
        old="    if case.intent.mode is not TargetMode.EXCLUSIVE:\n        return ()\n    names =",
        new="    if case.intent.mode is not TargetMode.ADDITIVE:\n        return ()\n    names =",
        breaks="What a point had before us is not known when it is given back.",
        tests=(_PROOF + "test_a_first_plan_records_what_every_point_had",),
    ),
)

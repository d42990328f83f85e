"""What the plan of a target that is written together with others still says of itself: its size on the way, whose objects it touches."""

from __future__ import annotations

from dataclasses import replace

from cloudsync.diff import Owners
from cloudsync.inventory.terraform_kinds import Owned
from cloudsync.model.workload import PointId
from cloudsync.plan import course
from cloudsync.plan.build import Built, steered
from cloudsync.plan.course import Site
from cloudsync.plan.order import Order
from cloudsync.plan.shield import CHOICES
from cloudsync.plan.values import CourseMethod
from cloudsync.proof.flows import crossings
from cloudsync.testing.ordered import DENYING, MEETING
from cloudsync.testing.ordered_table import OrderedTable, weight
from tests.oracle.courses import Host, World
from tests.unit.test_course_plans import SSH, WEB, A, B, C, checked, circle, component_of, line, ordered_case, world


def drawn(there: World) -> course._Chart:
    """Return what a course is chosen from."""
    sites = tuple(Site(one) for one in there.built())
    owners = Owners.of(there.universe())
    places = {site.name: course._places(site, owners) for site in sites}
    across = tuple(crossings(course._ground(site, places[site.name]) for site in sites))
    return course._Chart(sites, across, places, course._Words(there.universe(), owners))


def behind_shields() -> Built:
    """Return the plan that puts shields up in a circle."""
    (found,) = (one for one in circle(DENYING).charted() if one.plan.method == "shield")
    return found


def own_weight(table: object) -> int:
    assert isinstance(table, OrderedTable)
    return weight(one for one in table.lines.values() if one.owner)


def test_a_plan_behind_shields_says_how_large_its_object_gets() -> None:
    built = behind_shields()
    (peak,) = built.plan.peaks
    assert (peak.object, peak.what, peak.quota) == ("ledger", "peers", 1000)
    assert max(own_weight(built.actual), own_weight(built.final)) < peak.peak == 6


def test_a_plan_by_another_order_says_which_objects_of_terraform_its_steps_touch() -> None:
    built = behind_shields()
    component = built.plan.component
    assert component is not None
    assert built.plan.replay is not None
    (alone,) = (one for one in circle(DENYING).built() if one.plan.target == built.plan.target)
    assert alone.case is not None
    shield = next(step.object for phase in built.plan.phases for step in phase.steps if step.temporary)
    adapter = alone.case.adapter
    owned = Owned("a.shield", "a", adapter.capabilities.platform, adapter.expected_account(), (shield,))
    way = Order("shield", built.plan.phases, built.plan.replay, built.final)
    for terraform, touched in (((), set()), ((owned,), {"a.shield"})):
        told = steered(replace(alone, case=replace(alone.case, terraform=terraform)), way, component).plan
        assert {one.address for one in told.terraform} == touched
        assert (told.method, told.phases, told.component) == ("shield", built.plan.phases, component)


def test_a_witness_names_the_machines_that_its_flow_is_about() -> None:
    """A line of ours at two machines closes towards both; the flow is one that the second alone begins."""
    other = Host("alpha", PointId("a0"), "10.0.0.9")
    leaves = replace(line(1000, A, B, SSH, out=True), points=(other.point, A.point))
    there = world(DENYING, (A, other, B), (leaves,), (line(1001, B, A, SSH),))
    _, component = checked(there)
    (witness,) = component.witnesses
    assert (witness.source, witness.destination, witness.flow) == ("a", "b", "10.0.0.1 -> 10.1.0.1 tcp/22")
    assert (witness.closes.point, witness.opens.point) == ("a", "b")


def test_of_many_pairs_of_targets_each_is_told_once_by_name() -> None:
    """What closes at gamma and opens at alpha comes first in the policy, and last for people."""
    old = (line(1000, C, A, WEB, out=True), line(1001, A, B, SSH, out=True), line(1002, A, B, WEB, out=True))
    new = (line(1003, A, C, WEB), line(1004, B, A, SSH), line(1005, B, A, WEB))
    _, component = checked(world(DENYING, (C, B, A), old, new))
    told = [(one.closes.target, one.opens.target) for one in component.witnesses]
    assert told == [("alpha", "beta"), ("gamma", "alpha")]


def test_everybody_may_shrink_first_where_every_target_can() -> None:
    (way,) = drawn(circle(MEETING, shared=True))._meets()
    assert way.method is CourseMethod.MEET
    assert sorted(way.phases) == ["alpha", "beta"]
    one_rests = replace(circle(MEETING, shared=True), new=circle(MEETING, shared=True).old)
    assert list(drawn(one_rests)._meets()) == [], "who does nothing has no half way"


def test_a_stage_in_which_nobody_does_anything_is_none() -> None:
    """At a target that lets nothing through before, there is nothing to go up first: its shield comes with the change itself."""
    chart = drawn(ordered_case())
    ways = [way for site in chart.sites for wanted in CHOICES if (way := chart._shielding((site,), wanted)) is not None]
    names = {tuple(stage.name for stage in way.stages) for way in ways}
    assert ("change", "unshield") in names or ("shield", "change") in names
    assert all(stage.legs for way in ways for stage in way.stages)
    assert component_of(circle(DENYING).charted()).stages[0].legs[0].first == 0

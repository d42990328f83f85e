"""The matrix against packets counted another way, and the charts of weeks: what they show is what there is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cloudsync.compile.allowed import Direction
from cloudsync.model.packets import PacketSet
from cloudsync.model.service import ANY_SERVICE, NO_SERVICE, TCP, ServiceSet
from cloudsync.model.workload import DEFAULT_DOMAIN, PointId
from cloudsync.proof.drift import Kind, Severity
from cloudsync.report import charts
from cloudsync.report.grid import grid, short
from cloudsync.report.matrix import ELSEWHERE, INTERNET, Cell, Matrix, build
from cloudsync.report.story import Mark
from tests.stories.estate import World, compiled, four, machine, small
from tests.stories.pieces import packets, ports

AWKWARD = """version: 1
labels: {role: [web, db], env: [prod, test]}
iplists: {half: [10.0.1.0/31], office: [198.51.100.0/24]}
services: {ssh: tcp/22, sql: tcp/5432}
enforcement: {default: full, rules: [{scope: role=db, mode: full, egress: enforce}]}
rulesets:
  - name: r
    scope: all
    owner: us
    rules:
      - never allow iplist half to role=db on ssh
      - allow anywhere to role=db on ssh
      - allow role=web to role=db on sql
      - allow workload lonely to role=db on sql
      - allow role=db to iplist office on sql
      - allow internet to role=web on tcp/443
      - allow role=db to anywhere on udp/53
"""


def awkward() -> World:
    """Return a world with a never rule that cuts through a class, a workload picked by name, and egress that is enforced."""
    found = [machine("aws", f"web{number}", f"10.0.1.{number}", role="web", env="prod") for number in range(4)]
    found += [machine("gcp", "db1", "10.0.2.1", role="db", env="prod"), machine("gcp", "lonely", "10.0.3.1")]
    return compiled(AWKWARD, found)


WORLDS = {"small": small, "four": four, "awkward": awkward}
every_world = pytest.mark.parametrize("name", WORLDS)


@dataclass(frozen=True, slots=True)
class Off:
    """A finding as the matrix sees it."""

    kind: Kind
    points: tuple[PointId, ...]
    direction: str = "inbound"
    severity: Severity = Severity.HIGH
    target: str = "aws"


def named(matrix: Matrix) -> dict[str, int]:
    return {group.text(): number for number, group in enumerate(matrix.groups)}


def at(matrix: Matrix, source: str, destination: str) -> Cell | None:
    numbers = named(matrix)
    return next((cell for cell in matrix.cells if (cell.source, cell.destination) == (numbers[source], numbers[destination])), None)


@every_world
def test_a_cell_says_what_packets_say(name: str) -> None:
    """Each pair of classes once more, as packets: what the destination lets in of what the source can send."""
    world = WORLDS[name]()
    universe = world.compiler.universe
    matrix = build(world.compiler, world.owners)
    by_id = {group.id: number for number, group in enumerate(matrix.groups)}
    cells = {(cell.source, cell.destination): cell.services for cell in matrix.cells}
    for to, there in enumerate(universe.classes):
        exact = world.compiler.allowed(to, DEFAULT_DOMAIN, Direction.IN).exact
        for number, here in enumerate(universe.classes):
            sent = PacketSet.of(universe.class_addresses(number, DEFAULT_DOMAIN), ANY_SERVICE)
            # Every workload here has IPv4 addresses alone: what only IPv6 can carry is in no packet of theirs.
            possible = PacketSet.of(universe.class_addresses(number, DEFAULT_DOMAIN), ANY_SERVICE).services()
            found = cells.get((by_id[here.id], by_id[there.id]), NO_SERVICE) & possible
            assert found == (exact & sent).services(), (here.labels, there.labels)


@every_world
def test_members_and_modes_are_those_of_the_classes(name: str) -> None:
    world = WORLDS[name]()
    matrix = build(world.compiler, world.owners)
    groups = {group.id: group for group in matrix.groups if not group.outside}
    assert set(groups) == {one.id for one in world.compiler.universe.classes}
    for one in world.compiler.universe.classes:
        assert (groups[one.id].mode, groups[one.id].egress) == (one.mode, one.egress)
        assert [member.name for member in groups[one.id].members] == [
            world.compiler.universe.called(workload) for workload in one.workloads
        ]


def test_a_never_rule_leaves_only_a_part_of_a_class() -> None:
    matrix = build(awkward().compiler, awkward().owners)
    cell = at(matrix, "role=web", "role=db")
    assert cell is not None
    by_part = {passage.part: passage.services.text() for passage in cell.passages}
    assert by_part == {True: "tcp/22", False: "tcp/5432"}
    [sql] = [passage for passage in cell.passages if not passage.part]
    assert [(origin.rule, str(origin.where)) for origin in sql.origins] == [("r#3", "policy/all.yaml:13:9")]


def test_places_outside_are_told_apart() -> None:
    matrix = build(awkward().compiler, awkward().owners)
    assert [group.name for group in matrix.groups if group.outside] == [INTERNET, "iplist office"]
    names = at(matrix, "role=db", INTERNET)
    assert names is not None
    assert names.services.text() == "udp/53"
    assert at(matrix, "role=db", "role=web") is None, "what may leave does not thereby arrive"
    world = at(matrix, INTERNET, "role=web")
    assert world is not None
    assert world.services.text() == "tcp/443"
    office = at(matrix, "role=db", "iplist office")
    assert office is not None
    assert office.services.text() == "tcp/5432"
    assert at(matrix, "role=web", INTERNET) is None


def marked(kind: Kind, peers: str, *, direction: str = "inbound") -> Iterator[tuple[str, str, Cell]]:
    world = awkward()
    points = world.points("gcp", role="db")
    off = Off(kind, points, direction)
    matrix = build(world.compiler, world.owners, [(off, packets(peers, ports(3389)), "k1")])
    for cell in matrix.cells:
        if cell.breaches:
            yield matrix.groups[cell.source].text(), matrix.groups[cell.destination].text(), cell


@pytest.mark.parametrize(
    ("peers", "sources"),
    [("10.0.1.2/32", {"role=web"}), ("203.0.113.0/24", {ELSEWHERE}), ("10.0.0.0/16", {"role=web", "role=db", "(no label)", ELSEWHERE}),
     ("0.0.0.0/0", {"role=web", "role=db", "(no label)", INTERNET})],
)  # fmt: skip
def test_a_finding_marks_the_cells_that_its_packets_touch_and_no_other(peers: str, sources: set[str]) -> None:
    found = list(marked(Kind.EXCESS, peers))
    assert {source for source, _, _ in found} == sources
    assert {to for _, to, _ in found} == {"role=db"}
    for _, _, cell in found:
        [breach] = cell.breaches
        assert (breach.key, breach.services.text(), breach.opens, breach.foreign) == ("k1", "tcp/3389", True, False)
    outbound = list(marked(Kind.EXCESS, peers, direction="outbound"))
    assert {to for _, to, _ in outbound} == sources
    assert {source for source, _, _ in outbound} == {"role=db"}


def test_a_finding_at_a_point_that_is_gone_marks_nothing() -> None:
    world = awkward()
    off = Off(Kind.EXCESS, (PointId("gone"),))
    assert build(world.compiler, world.owners, [(off, packets("0.0.0.0/0", ports(22)), "k")]) == build(world.compiler, world.owners)


@pytest.mark.parametrize(
    ("kind", "look"), [(Kind.EXCESS, "open"), (Kind.SHADOW, "foreign"), (Kind.MISSING, "cut"), (Kind.SHADOW_DENY, "cut")]
)
def test_each_kind_has_its_look(kind: Kind, look: str) -> None:
    world = awkward()
    off = Off(kind, world.points("gcp", role="db"))
    drawn = grid(build(world.compiler, world.owners, [(off, packets("10.0.1.2/32", ports(5432)), "k1")]))
    [square] = [one for source, squares in drawn.rows if source.name == "web" for one in squares if one and one.look != "allowed"]
    assert (square.look, square.allowed) == (look, True)
    [entry] = [entry for entry in drawn.entries if entry.wrong]
    assert [item.look for item in entry.items if item.key] == [look]
    assert set(square.refs) <= {item.id for item in entry.items}


@pytest.mark.parametrize(
    ("services", "words"),
    [(ports(443), "443"), (ports(80) | ports(443), "80,443"), (ANY_SERVICE, "any"), (ports(8000, 9000), "8000-90"),
     (ports(1000) | ports(2000) | ports(3000), "1000+2"), (ANY_SERVICE - ServiceSet.ports(TCP, 22, 22), "most")],
)  # fmt: skip
def test_a_cell_is_short(services: ServiceSet, words: str) -> None:
    assert short(services) == words


def test_building_is_deterministic() -> None:
    assert build(four().compiler, four().owners) == build(four().compiler, four().owners)


# --- charts ----------------------------------------------------------------------------------------------------------


def mark(day: str, target: str = "a", label: str = "", **counts: int) -> Mark:
    base = {"findings": 0, "critical": 0, "exposed": 0, "enforced": 5, "workloads": 10, "found": 0}
    return Mark(day, target, label, **(base | counts))


def test_a_line_goes_through_every_day_and_breaks_where_nothing_is_known() -> None:
    days = ["2026-01-01", "2026-01-02", "2026-01-09", "2026-01-10"]
    [chart] = charts.by_target([mark(day, findings=number) for number, day in enumerate(days)])
    line = chart.findings
    assert [(point.day, point.value) for point in line.points] == list(zip(days, range(4), strict=True))
    assert line.path.count("M") == 2
    assert line.points[0].x == charts.LEFT
    assert line.points[-1].x == charts.WIDTH - charts.RIGHT
    assert [point.y for point in line.points] == sorted((point.y for point in line.points), reverse=True)
    assert line.points[0].y == charts.HEIGHT - charts.BOTTOM


def test_counts_of_a_label_are_summed_over_targets_and_carried_where_one_was_not_read() -> None:
    marks = [
        mark("2026-01-01", "a", "env=prod", findings=1),
        mark("2026-01-01", "b", "env=prod", findings=2),
        mark("2026-01-02", "a", "env=prod"),
    ]
    [chart] = charts.by_label(marks)
    assert [point.value for point in chart.findings.points] == [3, 2]
    assert (chart.enforced, chart.workloads, chart.share) == (10, 20, 50)
    assert charts.by_target(marks) == ()


def test_critical_days_and_what_was_put_back_at_once_are_shown() -> None:
    marks = [mark("2026-01-01", critical=1, findings=1), mark("2026-01-02", found=3), mark("2026-01-03")]
    [chart] = charts.by_target(marks)
    assert [point.day for point in chart.critical] == ["2026-01-01"]
    assert [(point.day, point.value) for point in chart.found] == [("2026-01-02", 3)]


@pytest.mark.parametrize(("value", "top"), [(0, 4), (4, 4), (5, 10), (50, 50), (51, 100), (100, 100), (1234, 1300)])
def test_the_scale_is_round_and_holds_everything(value: int, top: int) -> None:
    [chart] = charts.by_target([mark("2026-01-01", findings=value)])
    assert chart.top == top
    assert charts.TOP <= chart.findings.points[0].y <= charts.HEIGHT - charts.BOTTOM


def test_no_workloads_are_no_share() -> None:
    [chart] = charts.by_target([mark("2026-01-01", enforced=0, workloads=0)])
    assert (chart.share, chart.share_before) == (0, 0)

"""Laws of the inventory over random estates: clashes against brute force, and what is remembered over random histories."""

from __future__ import annotations

from ipaddress import ip_network
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.adapter import ScopeState
from cloudsync.inventory.addresses import clashes
from cloudsync.inventory.changes import label_changes, with_last_good
from cloudsync.inventory.csv_text import read_rows
from cloudsync.inventory.values import Inventory, dump, load
from cloudsync.model import intervals
from cloudsync.model.address import AddressSet, plain_prefix
from cloudsync.model.finding import Where
from cloudsync.model.workload import Domain, Interface, Labels, Workload, WorkloadId
from cloudsync.policy.addresses import plain_address, read_entries

ADDRESSES = ["10.0.0.0", "10.0.0.1", "10.0.0.2/31", "10.0.0.0/30", "8.8.8.8", "8.8.8.8/31", "2001:db8::1", "2001:db8::/127", "2600::1"]
INTERFACES = st.builds(
    lambda addresses, domain: Interface("e", "n", AddressSet.union_all(map(AddressSet.of, addresses)), Domain(domain)),
    st.lists(st.sampled_from(ADDRESSES), max_size=2),
    st.sampled_from(["x", "y"]),
)
MACHINES = st.lists(st.lists(INTERFACES, max_size=2), max_size=5).map(
    lambda machines: [Workload(WorkloadId(f"t/{n}"), f"m{n}", Labels(), tuple(interfaces)) for n, interfaces in enumerate(machines)]
)


@settings(max_examples=300)
@given(MACHINES)
def test_clashes_are_exactly_the_addresses_two_workloads_answer_to_in_one_domain(machines: list[Workload]) -> None:
    wanted = {}
    for one, other in combinations(machines, 2):
        # Brute force: seen from each domain, what do both own there, or own anywhere in the world?
        domains = {interface.domain for workload in (one, other) for interface in workload.interfaces}
        shared = AddressSet.union_all(one.addresses(domain) & other.addresses(domain) for domain in domains)
        if shared:
            wanted[one.id, other.id] = shared
    assert {(one.id, other.id): shared for one, other, shared in clashes(machines)} == wanted


STEPS = st.lists(st.tuples(st.frozensets(st.integers(0, 5), max_size=6), st.booleans()), min_size=1, max_size=8)


def _machine(number: int) -> Workload:
    interface = Interface(f"e{number}", "n", AddressSet.of(f"10.0.0.{number}"))
    return Workload(WorkloadId(f"t/{number}"), f"m{number}", Labels.of({"n": str(number)}), (interface,), scope="s")


@settings(max_examples=200)
@given(STEPS)
def test_nobody_goes_before_two_complete_runs_in_a_row_missed_them(steps: list[tuple[frozenset[int], bool]]) -> None:
    last: Inventory | None = None
    missed: dict[int, int] = {}
    for present, complete in steps:
        now = Inventory(tuple(map(_machine, sorted(present))), (ScopeState("s", "" if complete else "cut"),))
        acted_on = with_last_good(now, last)
        for number in list(missed):
            missed[number] += complete and number not in present
        missed = {number: count for number, count in missed.items() if count < 2} | dict.fromkeys(present, 0)
        assert {int(one.name[1:]) for one in acted_on.workloads} == set(missed)
        assert {held.id for held in acted_on.held} == {WorkloadId(f"t/{number}") for number in missed if number not in present}
        assert label_changes(acted_on, acted_on) == ()
        assert dump(load(dump(acted_on))) == dump(acted_on)
        last = acted_on


CELLS = st.text('ab ,;"\n\t0', max_size=5)


@settings(max_examples=200)
@given(st.lists(st.lists(CELLS, min_size=2, max_size=3), max_size=4))
def test_quoted_cells_come_back_as_they_were(rows: list[list[str]]) -> None:
    text = "\n".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)
    found, findings = read_rows("f.csv", text)
    assert findings == ()
    assert [[cell.text for cell in row] for row in found] == rows


@settings(max_examples=200)
@given(st.text('ab,;"\n\t ', max_size=30))
def test_any_text_is_rows_or_findings_and_cells_point_at_themselves(text: str) -> None:
    rows, _ = read_rows("f.csv", text)
    lines = text.split("\n")
    for row in rows:
        for cell in row:
            line = lines[cell.where.line - 1]
            if cell.text and not line[cell.where.col - 1 :].startswith('"'):
                assert line[cell.where.col - 1 :].startswith(cell.text)


UNQUOTED = st.text("ab,; \t0", max_size=6)


@settings(max_examples=200)
@given(st.lists(UNQUOTED, max_size=4))
def test_a_line_without_quotes_is_read_like_the_same_line_beside_a_quote(lines: list[str]) -> None:
    at_once, _ = read_rows("f.csv", "\n".join(lines))
    beside, _ = read_rows("f.csv", "\n".join(f'{line},"q"' for line in lines))
    kept = [row[:-1] for row in beside]
    assert list(at_once) == [row for row in kept if len(row) > 1 or row[0].text]


@settings(max_examples=500)
@given(st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){2,4}|[0-9a-f:./ -]{1,12}", fullmatch=True))
def test_an_address_in_the_usual_form_is_the_one_that_the_careful_reading_finds(text: str) -> None:
    found = plain_address(text)
    careful, findings = read_entries([(text, Where("f"))])
    if found is not None:
        assert (found, findings) == (careful, ())
    elif not findings and text.count(".") == 3 and "-" not in text and "/" not in text:
        assert text != text.strip() or ":" in text, "every usual address is read at once"


@settings(max_examples=500)
@given(st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}|10\.(0|128)\.0\.0/(0?[89]|1[0-9]|24)|[0-9a-f:./]{1,12}", fullmatch=True))
def test_a_prefix_in_canonical_text_is_the_one_that_the_library_finds(text: str) -> None:
    found = plain_prefix(text)
    try:
        network = ip_network(text)
    except ValueError:
        assert found is None
        return
    canonical = network.version == 4 and str(network) == text
    assert found == ((int(network.network_address), network.prefixlen) if canonical else None)


POINTS = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 4)), max_size=3).map(
    lambda spans: intervals.from_ranges((first, first + size) for first, size in spans)
)


@settings(max_examples=300)
@given(POINTS, POINTS)
def test_two_sets_meet_exactly_when_they_have_a_member_in_common(one: intervals.Points, other: intervals.Points) -> None:
    assert intervals.meet(one, other) is bool(intervals.intersection(one, other))

"""Would it be seen? Planted defects that the fault campaign must report, each by the invariant that it breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

import cloudsync_azure.client
from cloudsync.model.errors import AdapterError
from cloudsync.plan.journal import Op, OpState
from cloudsync.store.journal import JournalTable
from tests.acting.folders import tmp_path
from tests.trust.figures import record
from tests.wire import fault_alike, fault_plans
from tests.wire.fault_alike import Known
from tests.wire.fault_plans import Campaign
from tests.wire.fault_stage import theatre
from tests.wire.fault_tap import STALE, Kind, Tap

__all__ = ["tmp_path"]

Plant = Callable[[pytest.MonkeyPatch], None]


def sent_again(patch: pytest.MonkeyPatch) -> None:
    """A write whose outcome nobody knows is sent again."""
    once = cloudsync_azure.client.Client.write

    def twice(self: Any, *words: Any, **more: Any) -> Any:
        try:
            return once(self, *words, **more)
        except AdapterError:
            return once(self, *words, **more)

    patch.setattr(cloudsync_azure.client.Client, "write", twice)


def written_down_afterwards(patch: pytest.MonkeyPatch) -> None:
    """The intent becomes durable when the call is over."""
    intend, settle = JournalTable.intend, JournalTable.settle
    waiting: list[Op] = []

    def later(_self: JournalTable, op: Op) -> int:
        waiting.append(op)
        return 0

    def now(self: JournalTable, op_id: int, state: OpState, reason: str = "") -> None:
        settle(self, intend(self, waiting.pop()) if waiting else op_id, state, reason)

    patch.setattr(JournalTable, "intend", later)
    patch.setattr(JournalTable, "settle", now)


def believed_done(patch: pytest.MonkeyPatch) -> None:
    """A write that the journal calls done although nobody answered, and no read showed it."""
    settle = JournalTable.settle

    def done(self: JournalTable, op_id: int, state: OpState, reason: str = "") -> None:
        settle(self, op_id, OpState.VOID if state is OpState.DONE else state, reason)

    patch.setattr(JournalTable, "settle", done)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    tap = Tap("azure")
    with theatre("azure", tmp_path_factory.mktemp("azure"), tap.wrap) as one:
        yield fault_plans.prepare(one, tap, one.stage(2, machines=4))


@pytest.mark.parametrize(
    ("plant", "kind", "said"),
    [
        (sent_again, Kind.RESET_AFTER, "was sent twice for one op"),
        (sent_again, Kind.TIMEOUT_BEFORE, "was sent twice for one op"),
        (written_down_afterwards, Kind.UNKNOWN_FIELD, "was sent with 0 open intents"),
        (believed_done, Kind.UNKNOWN_FIELD, "is called void and took effect"),
    ],
)
def test_a_planted_defect_is_reported(opened: Campaign, monkeypatch: pytest.MonkeyPatch, plant: Plant, kind: Kind, said: str) -> None:
    plant(monkeypatch)
    number = next(call.number for call in opened.record.calls if call.sent.writes)
    found = opened.live({number: kind})
    assert any(said in one for one in found.wrong), found.wrong
    record("T1 controls", {"planted": 1, "reported": 1})


def test_without_a_defect_nothing_is_reported(opened: Campaign) -> None:
    number = next(call.number for call in opened.record.calls if call.sent.writes)
    assert not opened.live({number: Kind.RESET_AFTER}).wrong


def test_a_state_on_the_way_that_neither_end_allows_is_reported(opened: Campaign) -> None:
    """The world before the product came stands for a slip between two states of after."""
    life = fault_plans.Life(opened)
    end = opened.record.end
    opened.stage.start, start = end, opened.stage.start
    try:
        assert life.judged("nothing", end) == []
        assert life.judged("a slip", opened.stage.origin)
    finally:
        opened.stage.start = start


KINDS = (Kind.RESET_BEFORE, Kind.GARBLED, Kind.STALE, Kind.LATE, Kind.EXPIRED_FROM_HERE, Kind.THROTTLED_FROM_HERE, Kind.QUOTA)


def test_plans_that_share_come_to_what_they_come_to_alone(opened: Campaign) -> None:
    numbers = {call.number for call in opened.record.calls if call.sent.writes}
    plans = [{number: kind} for number in numbers for kind in KINDS]
    plans += [{3: Kind.THROTTLE, max(numbers) + 20: kind} for kind in KINDS]
    together, alone = opened.live_all(plans), [replace(opened, known=None).live(plan) for plan in plans]
    assert [replace(one, joined=False, after="") for one in together] == alone
    assert any(one.joined for one in together)


def test_a_defect_is_reported_of_every_plan_that_shares(opened: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    sent_again(monkeypatch)
    number = next(call.number for call in opened.record.calls if call.sent.writes)
    found = opened.live_all([{number: Kind.RESET_AFTER}, {2: Kind.RESET_BEFORE}, {number: Kind.TIMEOUT_BEFORE}])
    assert [any("was sent twice for one op" in said for said in one.wrong) for one in found] == [True, False, True]


def test_states_that_are_taken_for_each_other_are_reported(opened: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    """One digest for everything: whoever lives on all the same has to contradict it."""
    monkeypatch.setattr(fault_plans.Life, "alike", lambda _self, *, lies: f"everything{lies}")
    monkeypatch.setattr(fault_alike, "CHECKED", 1)
    one = replace(opened, known=Known.within(opened.theatre.folder))
    number = next(call.number for call in opened.record.calls if call.sent.writes)
    found = one.live_all([{3: Kind.DOWN_FROM_HERE}, {number: Kind.RESET_AFTER}, {3: Kind.UNKNOWN_FIELD}])
    assert any("a state was taken for another one" in said for each in found for said in each.wrong)


def test_second_faults_are_lived_once_for_every_state_and_said_of_all(opened: Campaign) -> None:
    one = replace(opened, known=Known.within(opened.theatre.folder), seconds=12)
    number = next(call.number for call in opened.record.calls if call.sent.writes)
    found = one.live_all([{3: Kind.GARBLED}, {3: Kind.LOGIN_PAGE}, {number: Kind.RESET_BEFORE}])
    assert found[0].after == found[1].after != found[2].after
    assert one.known is not None
    after = one.known.after(found[0].after)
    assert after is not None
    assert all(STALE.isdisjoint(second.values()) for second, _ in after)
    for second, verdict in after:
        whole = replace(opened, known=None).live({3: Kind.GARBLED, **{found[0].until + number: kind for number, kind in second.items()}})
        assert (whole.wrong, whole.runs, whole.calls) == (verdict.wrong, verdict.runs, verdict.calls), second

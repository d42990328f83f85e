"""Every value survives the way through JSON, and equal values give equal bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.adapter import Access, Effect, Origin, Phase, Step
from cloudsync.model.address import AddressSet
from cloudsync.model.codec import CodecError, Pool, canonical, from_json, packets_json, packets_of, to_json
from cloudsync.model.finding import Where
from cloudsync.model.intervals import from_ranges
from cloudsync.model.mode import Accept
from cloudsync.model.packets import PacketSet
from cloudsync.model.service import ServiceSet

spans = st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 2**31)), max_size=4)
wide = st.lists(st.tuples(st.integers(0, 2**127), st.integers(1, 2**100)), max_size=3)
services = st.lists(st.tuples(st.integers(0, 255 * 65536), st.integers(1, 200000)), max_size=4)


@st.composite
def address_sets(draw: st.DrawFn) -> AddressSet:
    four = from_ranges((first, min(first + length, 2**32)) for first, length in draw(spans))
    return AddressSet(four, from_ranges((first, first + length) for first, length in draw(wide)))


@st.composite
def packet_sets(draw: st.DrawFn) -> PacketSet:
    boxes = draw(st.lists(st.tuples(address_sets(), services), max_size=3))
    return PacketSet.union_all(
        PacketSet.of(peers, ServiceSet(from_ranges((first, min(first + length, 256 * 65536)) for first, length in runs)))
        for peers, runs in boxes
    )


@given(packet_sets())
@settings(max_examples=150)
def test_a_packet_set_survives_json(packets: PacketSet) -> None:
    assert packets_of(json.loads(canonical(packets_json(packets)))) == packets


@given(packet_sets(), packet_sets())
@settings(max_examples=60)
def test_shared_sets_stand_in_the_pool_once(a: PacketSet, b: PacketSet) -> None:
    pool = Pool()
    value = (Access(a, b), Access(b, a))
    document = [to_json(item, pool) for item in value]
    back = Pool(json.loads(canonical(pool.rows())))
    assert tuple(from_json(Access, item, back) for item in document) == value
    assert len(pool.rows()) <= 2


def test_a_phase_of_steps_survives_json() -> None:
    origin = Origin("web#1", Where("policy/a.yaml", 3, 5))
    step = Step("k", "Act", "s", "o", "title", Effect.GROWS, '{"a":1}', adds=2, origins=(origin, Origin("kept")), temporary=True)
    phase = Phase("create", (step,))
    assert from_json(Phase, json.loads(canonical(to_json(phase)))) == phase


@dataclass(frozen=True, slots=True)
class Sample:
    accept: frozenset[Accept]
    pairs: tuple[tuple[str, int], ...] = ()
    maybe: Origin | None = None


def test_sets_are_written_in_one_order() -> None:
    both = Sample(frozenset({Accept.ANY_PORT, Accept.PORT_ONLY}), (("a", 1),))
    assert to_json(both) == {"accept": ["any-port", "port-only"], "pairs": [["a", 1]]}
    assert from_json(Sample, to_json(both)) == both


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "without accept"),
        ({"accept": ["x"]}, "accept: 'x' is not a valid Accept"),
        ({"accept": [], "pairs": [["a"]]}, "pairs: 1 items instead of 2"),
        ({"accept": [], "pairs": [["a", True]]}, "pairs: True is no int"),
        ({"accept": [], "extra": 1}, "has no extra"),
        ([], "is no Sample"),
    ],
)
def test_a_wrong_document_names_the_place(document: object, words: str) -> None:
    with pytest.raises(CodecError, match=words):
        from_json(Sample, document)


@pytest.mark.parametrize(
    "document",
    [
        [[4, ["6/22-22"], ["10.0.0.9-10.0.0.1"]]],
        [[5, ["6/22-22"], ["10.0.0.1"]]],
        [[4, ["6/22"], ["10.0.0.1"]]],
        [[4, ["6/80-70"], ["10.0.0.1"]]],
        [[4, ["300/1-2"], ["10.0.0.1"]]],
        [[4, ["6/22-22"], []]],
        [[4, ["6/22-22"], ["10.0.0.1"]], [4, ["6/22-22"], ["10.0.0.2"]]],
        {"4": 1},
    ],
)
def test_a_wrong_packet_set_is_refused(document: object) -> None:
    with pytest.raises(CodecError):
        packets_of(document)

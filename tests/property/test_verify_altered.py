"""The checker rejects a plan file in which any single entry was altered, unless the alteration changes no packet at any moment.

What is accepted is judged once more by the product's own tables and proof, which share nothing with the checker.
"""

from __future__ import annotations

import contextlib
import copy
import random
from collections import Counter
from collections.abc import Iterator

import pytest

from cloudsync.adapter import Status, Whose
from cloudsync.model.codec import Pool
from cloudsync.model.errors import InputError
from cloudsync.plan.document import load
from cloudsync.plan.order import local
from cloudsync.plan.values import TargetPlan
from cloudsync.proof.certificate import final_table
from cloudsync.proof.replay import replay
from cloudsync.verify.check import verify
from cloudsync.verify.document import NoPlanError
from cloudsync.verify.values import Kind
from tests.oracle import four_case
from tests.oracle.four_campaign import World
from tests.oracle.four_rig import FourRig
from tests.property.alterations import Alteration, Altered, Json, leaves, put, signed, text
from tests.property.plan_files import PLATFORMS, Saved, grounds, opened, plans
from tests.trust.budget import budget, seed
from tests.trust.figures import record


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FourRig]:
    made = grounds(PLATFORMS, tmp_path_factory.mktemp)
    yield FourRig(made, tmp_path_factory.mktemp("repository"))
    for ground in made.values():
        ground.stop()


@pytest.fixture(scope="module")
def firsts(rig: FourRig) -> dict[str, str]:
    """One plan file of each platform, by its name."""
    return {name: next(plans(rig, 3, {name: "exclusive"})).content for name in PLATFORMS}


def rejected(content: str) -> bool:
    try:
        verdict = verify(content)
    except NoPlanError:
        return True
    assert not [one for one in verdict.objections if one.kind is Kind.DIGEST], "the digests were made again"
    return not verdict.accepted


class Judge:
    """The product's own opinion on whether an altered file means another thing than the one it was made from."""

    def __init__(self, saved: Saved) -> None:
        self.saved = saved
        self.before = {one.target: self._meaning(one) for one in load(saved.content).targets}
        self.sets = self._sets(saved.content)

    def _meaning(self, plan: TargetPlan) -> tuple[object, ...]:
        adapter, actual = self.saved.tables[plan.target]
        final = final_table(adapter, actual, plan.phases)
        return final, adapter.decode(final, Whose.ALL), adapter.decode(final, Whose.OURS)

    @staticmethod
    def _sets(content: str) -> list[object]:
        document = Altered(content).document
        pool = Pool(document["packet_sets"])
        told = [
            [one["point"], *(point.get(key, {}) for point in target.get("points", ()) for key in ("before", "after"))]
            for target in document["plan"]["targets"]
            for one in target.get("points", ())
        ]
        named = [one["points"] for _, one in sorted(document["evidence"]["targets"].items())]
        return [
            (path, pool.at(value) if isinstance(value, int) and not isinstance(value, bool) else value)
            for path, value in leaves([told, named])
        ]

    def same(self, altered: Alteration) -> bool:
        try:
            plan = load(altered.content)
            if self._sets(altered.content) != self.sets:
                return False
            for one in plan.targets:
                adapter, actual = self.saved.tables[one.target]
                final, everything, ours = self._meaning(one)
                if (everything, ours) != self.before[one.target][1:]:
                    return False
                own = local({point.id: point.addresses for point in adapter.points(actual)})
                if not replay(adapter, actual, final, one.phases, own).safe:
                    return False
        except (InputError, ValueError, KeyError, IndexError, AssertionError):
            return False
        return True


@pytest.mark.parametrize("name", PLATFORMS)
def test_every_single_altered_entry_is_rejected(rig: FourRig, name: str) -> None:
    counts: Counter[str] = Counter()
    first, stride = 200 * seed(), budget(change=16, night=1, release=1)
    for number in range(first, first + budget(change=1, night=6, release=20)):
        for saved in plans(rig, number, {name: ("exclusive", "additive")[number % 2]}):
            if not verify(saved.content).accepted:
                continue
            judge = Judge(saved)
            for at, one in enumerate(Altered(saved.content).every()):
                if at % stride != number % stride:
                    continue
                counts["altered"] += 1
                if rejected(one.content):
                    counts["rejected"] += 1
                    continue
                assert judge.same(one), f"{name} {number}: accepted, and it means another thing: {one.kind} {one.told}"
                counts["equivalent"] += 1
    assert counts["rejected"]
    record(f"T verify {name} altered", {**counts, "missed": counts["altered"] - counts["rejected"] - counts["equivalent"]})


def in_the_cloud(rig: FourRig, number: int, modes: dict[str, str], content: str) -> World:
    """Send every request of a plan file to a fresh lab, and return what the vendors' own words let through then, packet by packet."""
    case = four_case.scene(rig, number, modes)
    assert case is not None
    plan = load(content)
    with opened(rig) as session:
        found = session.plan("plan")
        for one in found.planned:
            adapter, bindings = one.reading.adapter, dict[str, str]()
            target = plan.target(one.reading.target.name)
            assert adapter is not None
            assert target is not None
            for step in target.steps:
                outcome = adapter.write(step, bindings)
                assert outcome.status is Status.DONE, f"{step.key}: {outcome.reason}"
                bindings |= dict(outcome.created)
    return case.look.world(rig.estates())


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PLATFORMS if name != "aws"])  # there a lab gives new ids each time
def test_what_is_accepted_lets_the_same_through_in_the_cloud(rig: FourRig, name: str) -> None:
    """The third opinion: altered requests that the checker takes for equal are sent to a lab, and the lab is read by the oracle."""
    counts: Counter[str] = Counter()
    number, modes = 2, {name: "exclusive"}
    saved = next(plans(rig, number, modes))
    want = in_the_cloud(rig, number, modes, saved.content)
    every = [one for one in Altered(saved.content).every() if one.kind not in ("wanted", "packet set", "point left out")]
    stride = budget(change=7, night=1, release=1)
    for one in every[::stride]:
        if rejected(one.content):
            continue
        if counts["sent"] == budget(change=3, night=100, release=1000):
            break
        assert in_the_cloud(rig, number, modes, one.content) == want, f"{one.kind} {one.told}"
        counts["sent"] += 1
    record(f"T verify {name} in the cloud", {"sent": counts["sent"], "otherwise": 0})


@pytest.mark.parametrize("name", PLATFORMS)
def test_a_changed_file_is_told_by_its_digests_alone(firsts: dict[str, str], name: str) -> None:
    content = firsts[name]
    digests = {key: Altered(content).document[key] for key in ("digests", "content_digest")}
    for at, one in enumerate(Altered(content).every()):
        if at % budget(change=120, night=10, release=1) == 0 and one.content != content:
            document = Altered(one.content).document | digests
            try:
                verdict = verify(text(document))
            except NoPlanError:
                continue
            assert Kind.DIGEST in {each.kind for each in verdict.objections}, one.told


def test_nothing_but_a_verdict_comes_of_a_broken_file(firsts: dict[str, str]) -> None:
    """Values of wrong sorts anywhere in a file, in its tables and in its payloads: refused, or no plan, never an error of another kind."""
    dice, tried = random.Random(seed()), 0
    for name in PLATFORMS:
        document = Altered(firsts[name]).document
        places = [path for path, _ in leaves(document)]
        for _ in range(budget(change=25, night=2000, release=10_000)):
            broken = copy.deepcopy(document)
            path = dice.choice(places)
            put(broken, path[: dice.randint(1, len(path))], dice.choice(WRONG_SORTS))
            tried += 1
            with contextlib.suppress(NoPlanError):
                verify(again(broken))
    record("T verify broken", {"files": tried, "errors": 0})


def again(broken: Json) -> str:
    """Return a file with its digests made again, as it is where that cannot be done any more."""
    try:
        return signed(broken)
    except (KeyError, TypeError, AttributeError, IndexError):
        return text(broken)


WRONG_SORTS: tuple[object, ...] = (None, [], {}, -1, 10**40, "x", "", True, [None], {"a": 1}, 3.5, "10.0.0.0/99", 65536, ["10.0.0.1"])

"""Writing: each step sent once, honest about what is not known, safe at every moment, finished by the next run wherever it was cut."""

from __future__ import annotations

from dataclasses import field

from cloudsync.adapter import Adapter, Seen, Status, Step, Table
from cloudsync.model.quick import dataclass
from cloudsync.testing.contract.meaning import must_be, must_be_silent
from cloudsync.testing.contract.pipeline import OWNER, Decided, KilledError, Ran, Runs, bound
from cloudsync.testing.contract.stage import Stage, WriteFault
from cloudsync.testing.contract.world import (
    FIRST,
    FIRST_OPENS,
    RELEASED,
    SECOND,
    SECOND_OPENS,
    SELECTIVE,
    Opening,
    Reach,
    World,
    policy,
    told,
)

WAYS: tuple[tuple[tuple[str, ...], tuple[Opening, ...]], ...] = ((FIRST, FIRST_OPENS), (SECOND, SECOND_OPENS))
"""Two policies, one after the other: the first adopts, the second changes what is ours."""


class Writing:
    """Cases about `write`, `seen`, `created`, and about the order of steps."""

    def test_each_step_is_one_write(self, stage: Stage) -> None:
        """A run sends as many writes as its plan has steps, every one DONE; a dozen steps are never a hundred calls."""
        World.build(stage)
        runs = Runs(stage)
        for rules, _ in WAYS:
            before = stage.writes()
            ran = runs.converge(*rules)
            sent = stage.writes() - before
            assert sent == len(ran.decided.steps), f"{len(ran.decided.steps)} steps, and {sent} writes reached the platform"
            undone = [f"{step.title}: {outcome.status.value}" for step, outcome in ran.sent if outcome.status is not Status.DONE]
            assert not undone, f"nothing was disturbed, and not done: {undone[:3]}"

    def test_a_write_that_never_arrived_is_not_called_done_nor_sent_again(self, stage: Stage) -> None:
        """On every write in turn: the connection breaks before it takes effect. Nobody may say that it is done."""
        self._disturbed(stage, WriteFault.LOST_BEFORE)

    def test_a_write_whose_answer_is_lost_is_not_called_failed_nor_sent_again(self, stage: Stage) -> None:
        """On every write in turn: it takes effect and its answer never arrives. The next run finds everything, its own new objects too."""
        self._disturbed(stage, WriteFault.LOST_AFTER)

    def test_a_write_that_arrives_late_does_no_harm(self, stage: Stage) -> None:
        """On every write in turn: it takes effect when nobody expects it any more. The runs that follow end where the policy says."""
        world, runs = World.build(stage), Runs(stage)
        for rules, openings in WAYS:
            for nth in range(1, 200):
                stage.fail_write(nth, WriteFault.LATE)
                ran = runs.run(*rules)
                stage.heal()
                if len(ran.sent) < nth:
                    break
                step, outcome = ran.sent[nth - 1]
                assert outcome.status is not Status.DONE or ran.status == "done", f"{step.title}: late, and called done: {ran}"
            ends = [runs.run(*rules).status for _ in range(3)]
            assert ends[-1] == "done", f"nothing is late any more, and three runs end {ends}"
            must_be(world, openings, "after writes that arrived late")
            must_be_silent(runs, *rules, what="after writes that arrived late")

    def test_a_throttled_write_has_failed_and_says_so(self, stage: Stage) -> None:
        """On every write in turn: FAILED, `throttled`, sent once; waiting and trying again is the product's business."""
        self._disturbed(stage, WriteFault.THROTTLED)

    def test_a_refused_write_has_failed_in_the_platforms_words(self, stage: Stage) -> None:
        """On every write in turn: FAILED with a code and a reason; never an exception, never sent again."""
        self._disturbed(stage, WriteFault.REFUSED)

    def _disturbed(self, stage: Stage, fault: WriteFault) -> None:
        world, runs = World.build(stage), Runs(stage)
        for rules, openings in WAYS:
            self._at_every_write(world, runs, rules, fault)
            must_be(world, openings, f"after {fault.value} on every write in turn")
            must_be_silent(runs, *rules, what=f"after {fault.value} on every write in turn")

    def _at_every_write(self, world: World, runs: Runs, rules: tuple[str, ...], fault: WriteFault) -> None:
        """Disturb the first write of one run, then the second write of the next, and so on: each run gets a little further."""
        stage = world.stage
        for nth in range(1, 200):
            stage.fail_write(nth, fault)
            before = stage.writes()
            ran = runs.run(*rules)
            stage.heal()
            met = _must_be_honest(ran, nth, fault)
            assert stage.writes() - before == len(ran.sent), f"{fault.value}: {len(ran.sent)} steps, {stage.writes() - before} writes"
            if not met:
                assert ran.status == "done", f"{fault.value}: a run that met no fault: {ran}"
                return
        raise AssertionError("two hundred runs, and the policy is still not reached")

    def test_a_run_cut_anywhere_is_finished_by_the_next(self, stage: Stage) -> None:
        """A process that dies before or after any write leaves nothing that the next cannot take up; every state on the way is safe."""
        world, runs = World.build(stage), Runs(stage)
        for after in (False, True):
            for rules, openings in WAYS:
                old, new = world.reach(), world.meant(openings)
                for nth in range(1, 200):
                    try:
                        runs.run(*rules, die_at=nth, dies_after=after)
                    except KilledError:
                        must_lie_between(world.reach(), old, new | _others(world, old), f"cut at write {nth}")
                        continue
                    break
                must_be(world, openings, f"cut {'after' if after else 'before'} every write in turn")
                must_be_silent(runs, *rules, what="after runs that were cut")

    def test_every_state_on_the_way_is_safe(self, stage: Stage) -> None:
        """Nothing is open that neither the old nor the new state opens, nothing is shut that both let through, after any write."""
        world, runs = World.build(stage), Runs(stage)
        for number, (rules, enforcing) in enumerate(((FIRST, SELECTIVE), *((rules, None) for rules, _ in (*WAYS, WAYS[0])))):
            witness = Witness(world)
            runs.after_write = witness
            old = world.reach()
            ran = runs.converge(*rules, enforcing=enforcing) if enforcing else runs.converge(*rules)
            new = world.reach()
            assert len(witness.seen) == len(ran.sent) > 0, f"transition {number} writes nothing"
            for title, state in witness.seen:
                must_lie_between(state, old, new, f"after '{title}'")

    def test_seen_says_no_before_and_yes_after(self, stage: Stage) -> None:
        """For each step on the real platform: NO before it, YES after it, in what `refresh` shows; `created` names what it made."""
        World.build(stage)
        runs = Runs(stage)
        for rules, _ in WAYS:
            decided = runs.decide(policy(rules))
            assert not decided.refusals, f"refused: {decided.refusals[0]}"
            self._step_by_step(stage, decided)

    def _step_by_step(self, stage: Stage, decided: Decided) -> None:
        adapter, table, bindings = decided.adapter, decided.snapshot.table, dict[str, str]()
        for step in decided.steps:
            whole = bound(step, bindings)
            before = adapter.refresh(table, (whole,), bindings)
            traceless = bool(adapter.simulate(before, whole) == before)  # e.g. an order to save: nothing that is read shows it
            assert traceless or adapter.seen(before, whole, bindings) is Seen.NO, f"{step.title}: seen before it was sent"
            assert not adapter.created(before, whole) or step.mark, f"{step.title}: created before it was sent"
            outcome = adapter.write(whole, bindings)
            assert outcome.status is Status.DONE, f"{step.title}: {outcome}"
            bindings.update(outcome.created)
            after = self._shown(stage, adapter, before, (whole, bindings))
            if step.mark:
                assert not outcome.created, f"{step.title}: changes what is there, and created {outcome.created}"
                assert adapter.simulate(before, whole) == after, f"{step.title}: the model leads elsewhere than the platform"
            else:
                made = adapter.created(after, whole)
                assert made == outcome.created, f"{step.title}: the answer names {outcome.created}, a reading finds {made}"
            table = after

    def _shown(self, stage: Stage, adapter: Adapter, table: Table, sent: tuple[Step, dict[str, str]]) -> Table:
        step, bindings = sent
        for _ in range(60):
            shown = adapter.refresh(table, (step,), bindings)
            if adapter.seen(shown, step, bindings) is Seen.YES:
                return shown
            stage.clock.sleep(1.0)
        raise AssertionError(f"{step.title}: done, and no reading shows it")

    def test_what_a_crash_left_is_found_by_its_mark(self, stage: Stage) -> None:
        """An object whose creation was never answered is found again by its mark and used: nothing of ours is left over at the end."""
        world, runs = World.build(stage), Runs(stage)
        runs.converge(*FIRST)
        clean = len(stage.ours(OWNER).splitlines())
        runs.converge(*FIRST, enforcing=RELEASED)
        assert not stage.ours(OWNER), "everything is released, and objects of ours are left"
        for nth in range(1, 200):
            try:
                runs.run(*FIRST, die_at=nth, dies_after=True)
            except KilledError:
                continue
            break
        must_be(world, FIRST_OPENS, "after runs that were cut")
        assert len(stage.ours(OWNER).splitlines()) == clean, "runs that were cut left objects behind"


def _must_be_honest(ran: Ran, nth: int, fault: WriteFault) -> bool:
    """Fail when the outcome of the disturbed write does not say what is known; return whether one was disturbed."""
    if len(ran.sent) < nth:
        return False
    step, outcome = ran.sent[nth - 1]
    what = f"{step.title}: {fault.value}"
    match fault:
        case WriteFault.LOST_BEFORE | WriteFault.LATE:  # FAILED only where a look at the platform settles it
            assert outcome.status is not Status.DONE, f"{what}, and the outcome is done"
        case WriteFault.LOST_AFTER:
            assert outcome.status is not Status.FAILED, f"{what}, and the outcome is failed: {outcome.code} {outcome.reason}"
        case WriteFault.THROTTLED:
            assert outcome.status is Status.FAILED, f"{what}, and the outcome is {outcome.status.value}"
            assert outcome.throttled, f"{what}, and the outcome does not say so: {outcome.code}"
        case WriteFault.REFUSED:
            assert outcome.status is Status.FAILED, f"{what}, and the outcome is {outcome.status.value}"
            assert not outcome.throttled, f"{what}, and the outcome says: too fast"
            assert outcome.code, f"{what}: no code"
    return True


def must_lie_between(state: Reach, old: Reach, new: Reach, what: str) -> None:
    """Fail when a state on the way opens what neither end opens, or shuts what both let through."""
    exposed, cut = state - (old | new), (old & new) - state
    assert not exposed, f"{what}: open although neither the old nor the new state opens it: {told(exposed)}"
    assert not cut, f"{what}: shut although both let it through: {told(cut)}"


def _others(world: World, old: Reach) -> Reach:
    """Return what stays as it is: the packets of idle machines."""
    return world.at(old, "other")


@dataclass
class Witness:
    """Looks at the world after every write."""

    world: World
    seen: list[tuple[str, Reach]] = field(default_factory=list)

    def __call__(self, step: Step) -> None:
        """Look."""
        self.seen.append((step.title, self.world.reach()))

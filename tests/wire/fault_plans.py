"""Fault plans: one life of a platform and of the product with faults at chosen calls, and everything that must hold all the same.

Each plan is lived in a process of its own: lab, product and state begin alike, and nothing of one plan is left for the next. Plans that
begin alike part where they differ (see `fault_tree`), and a life that comes to a state that another one went on from has the same rest
(see `fault_alike`). What is judged, with the invariants of the safety design: I1 the next clean run converges, I2 the one after it
writes nothing, I4 and I5 no state on the way exposes or cuts, I6 what is not ours is as it was, I10 writes and journal match, I12 no run
calls itself good that is not, and no run ends with an exception.
"""

from __future__ import annotations

import gc
import os
import random
import re
import shutil
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from cloudsync.lab.aws.faults import of_json
from cloudsync.model.errors import AdapterError, BusyError, RefusedError
from cloudsync.report.values import TargetReport
from cloudsync.store.place import locate
from cloudsync.store.state import State
from tests.oracle import four_campaign
from tests.oracle.four_campaign import World
from tests.oracle.four_ground import Estate, Json
from tests.wire import fault_alike
from tests.wire.fault_alike import Known, Tail
from tests.wire.fault_stage import EVERY_S, AwsHere, Sent, Stage, Theatre
from tests.wire.fault_tap import INSIDE, LIES, PAGED, STALE, Call, Kind, Tap
from tests.wire.fault_tree import PATIENCE_S, Files, part

RUNS = 4
"""Clean runs that are waited for; one is enough but after a list that lost workloads, which takes two more to be believed otherwise."""
T = TypeVar("T")
Plan = dict[int, Kind]
"""What goes wrong at which call."""


@dataclass(frozen=True)
class Record:
    """A run without faults: its calls, the world at its end, and every state it passed."""

    calls: list[Call]
    end: World
    known: dict[str, list[str]]
    rows: dict[Any, Any]
    good: str


@dataclass
class Verdict:
    """What one plan came to."""

    wrong: list[str] = field(default_factory=list)
    fired: int = 0
    calls: int = 0
    runs: int = 0
    """Clean runs until it had converged."""
    states: int = 0
    """States on the way that were looked at."""
    joined: bool = False
    """Its rest is that of a life that had come to the same state before."""
    until: int = 0
    """Calls until its faults were over."""
    after: str = ""
    """Under which name `Known` has what became of a second fault in the run after it."""


@dataclass
class Campaign:
    """All plans of one stage."""

    theatre: Theatre
    stage: Stage
    tap: Tap
    record: Record
    known: Known | None = None
    """Rests of lives that were lived already; without it every life is lived to its end."""
    seconds: int = 0
    """How many second faults are tried from each state in which a run with one fault ended."""

    def live(self, plan: Plan) -> Verdict:
        """Live one plan in a process of its own."""
        return self.live_all([plan])[0]

    def live_all(self, plans: Sequence[Plan]) -> list[Verdict]:
        """Live many plans, what they have in common once; return their verdicts in order."""
        gc.collect()
        gc.freeze()
        found = forked(lambda: Life(self, plans).verdicts())
        return [Verdict([found]) for _ in plans] if isinstance(found, str) else [found[at] for at in range(len(plans))]


def prepare(theatre: Theatre, tap: Tap, stage: Stage) -> Campaign:
    """Record the run without faults. AssertionError when already that is no good run."""
    opened = Campaign(theatre, stage, tap, Record([], {}, {}, {}, ""), Known.within(theatre.folder))
    found = forked(lambda: Life(opened).clean())
    assert isinstance(found, Record), f"the run without faults: {found}"
    stage.look.rows.update(found.rows)
    opened.record = found
    return opened


def forked(work: Callable[[], T]) -> T | str:
    """Do something in a forked process and return its result; a text when it raises, or when the process dies."""
    reading, writing = Pipe(duplex=False)
    child = os.fork()
    if child == 0:
        result: object = "the process died"
        try:
            signal.alarm(PATIENCE_S)
            reading.close()
            result = work()
        finally:
            if sys.exc_info()[0] is not None:
                result = traceback.format_exc()
            writing.send(result)
            os._exit(0)
    writing.close()
    found: T | str = f"the process died, or had not ended after {PATIENCE_S} s"
    with reading, suppress(EOFError):
        found = reading.recv()
    os.waitpid(child, 0)
    return found


Texts = tuple[tuple[bool, str, str], ...]
_NOISE = re.compile(r'"(?:creationTimestamp|id|etag|provisioningState|fingerprint|selfLink|generation|lastUpdateMicros)": "?[^",}]*"?')
"""What a platform says of an object and decides no packet: when it was made, and under which number."""


def texts(stage: Stage, estate: Estate) -> Texts:
    """Return all that decides about packets, per interface and direction: readings with equal texts let the same through."""
    reach = four_campaign.REACHES[stage.name](estate, stage.look.services)
    refs = (*(card.ref for _, card in stage.look.cards()), *stage.look.bystanders)
    return tuple((inbound, ref, _NOISE.sub("", reach.rules(ref, inbound=inbound))) for ref in refs for inbound in (True, False))


def world_of(stage: Stage, estate: Estate, said: Texts) -> World:
    """Return what every packet fares, remembering answers for interfaces whose rules are the same as before."""
    reach, look = four_campaign.REACHES[stage.name](estate, stage.look.services), stage.look
    found: World = {}
    for key in said:
        inbound, ref, _ = key
        if key not in look.rows:
            look.rows[key] = [reach.row(ref, address, inbound=inbound) for address in look.addresses]
        found.update(zip(((ref, inbound, address) for address in look.addresses), look.rows[key], strict=True))
    return found


# --- one life ---------------------------------------------------------------------------------------------------------


_LATER = Call(0, Sent("the end of a run", writes=False), "", b"")


@dataclass(frozen=True)
class Wanted:
    """A plan that is being lived. `at`: its place among all."""

    at: int
    plan: Plan

    @property
    def lies(self) -> bool:
        """Tell whether something in it looks whole and is not true."""
        return bool(set(self.plan.values()) & LIES)

    @property
    def inside(self) -> bool:
        """Tell whether an operation of the platform's own goes wrong."""
        return bool(set(self.plan.values()) & INSIDE)


class Life:
    """The runs of plans, from the start of a transition until it has converged."""

    def __init__(self, opened: Campaign, plans: Sequence[Plan] = ()) -> None:
        self.stage, self.theatre, self.tap = opened.stage, opened.theatre, opened.tap
        self.record, self.rests, self.seconds = opened.record, opened.known, opened.seconds
        self.wanted = [Wanted(at, plan) for at, plan in enumerate(plans)]
        self.plan: Plan = {}
        """What has struck so far."""
        self.done: dict[int, Verdict] = {}
        self.line: Connection | None = None
        """Where the verdicts go to, in a process that parted from another one."""
        self.files: Files | None = None
        """What has to be put back for the process that this one parted from."""
        self.known = dict(self.record.known)
        self.root = self.stage.folder(self.theatre.folder / f"life-{os.getpid()}")
        self.owner = os.getpid()
        """The process whose folder it is."""
        self.shape = ""
        self.chain = sha256(b"start")
        self.worlds: list[tuple[str, World]] = []
        self.effects: Counter[int] = Counter()
        self.wrong: list[str] = []
        self.dubious: list[str] = []
        """What is wrong as long as every answer was true."""
        self.states = 0
        self.runs = 0
        """Runs that were not known to be free of faults."""
        self.why = ""
        """What the last run said for itself."""
        random.seed(7)
        tap = self.tap
        tap.plan, tap.changed, tap.inject, tap.before = {}, self.changed, self.inject, self.strike
        self.remember()
        self.seen: Any = None
        self.said: Texts = ()
        self.shape = self.look(None)

    # --- looking -----------------------------------------------------------------------------------------------------

    def look(self, call: Call | None) -> str:
        """Return the shape of the world: equal shapes let the same packets through."""
        if not isinstance(self.stage.ground, AwsHere):
            self.seen = self.stage.ground.peek()
            self.said = texts(self.stage, self.seen)
            return sha256(repr(self.said).encode()).hexdigest()
        # Reading this one takes long; it changes by calls that took effect, and by nothing else.
        shim = self.stage.ground.shim
        entry = shim.journal.entries[-1] if shim.journal.entries else None
        if call is not None and entry is not None and entry.mutating and entry.applied:
            self.chain.update(repr((entry.action, sorted(entry.params.items()))).encode())
        return self.chain.hexdigest()

    def world(self) -> World:
        """Return what every packet fares in the world that was looked at last."""
        if isinstance(self.stage.ground, AwsHere):
            armed, self.tap.armed = self.tap.armed, False  # it is read over the wire, and is no call of the run
            self.seen = self.stage.ground.peek()
            self.tap.armed = armed
            self.said = texts(self.stage, self.seen)
        return world_of(self.stage, self.seen, self.said)

    def changed(self, call: Call) -> bool:
        """Look at the world after a call; judge it if it is another one."""
        shape = self.look(call)
        if shape == self.shape:
            return False
        self.shape, self.states = shape, self.states + 1
        # What an operation does shows when it is looked at; by then it is that of the write before.
        op = call.op or next((one.op for one in reversed(self.tap.calls) if one.op), 0)
        if call is not _LATER:
            self.effects[op] += 1
        if not self.record.end:
            self.worlds.append((shape, self.world()))
            return True
        if shape not in self.known:
            self.known[shape] = self.judged(call.sent.operation, self.world())
        self.wrong += self.known[shape]
        return True

    def judged(self, operation: str, world: World) -> list[str]:
        """Return what is exposed or cut in a state on the way."""
        return four_campaign.moments(self.stage.look, self.stage.start, self.record.end, [(operation, world)])[:3]

    def inject(self, faults: list[Json]) -> None:
        """Put the lab's own faults in place."""
        if isinstance(self.stage.ground, AwsHere):
            self.stage.ground.shim.faults.plan = [of_json({**one, "action": "*"}) for one in faults]
        else:
            self.theatre.ask("faults", faults)

    # --- living ------------------------------------------------------------------------------------------------------

    def clean(self) -> Record:
        """Live without faults and return what was seen."""
        self.tap.armed = True
        self.tap.root = self.root
        ran = self.stage.run(self.root)
        self.tap.armed = False
        assert ran.code == 0, ran.report.targets
        assert not self.tap.wrong, self.tap.wrong
        end = self.world()
        wrong = self.differing(end)
        assert not wrong, wrong
        moments = four_campaign.moments(self.stage.look, self.stage.start, end, self.worlds)
        assert not moments, moments
        known: dict[str, list[str]] = {shape: [] for shape, _ in self.worlds}
        calls, self.tap.calls = self.tap.calls, []
        shutil.rmtree(self.root)
        return Record(calls, end, known, self.stage.look.rows, self.shape)

    def differing(self, world: World) -> list[str]:
        """Return packets that are not treated as the policy says."""
        look = self.stage.look
        found = four_campaign.differences(look, world, self.stage.origin, {self.stage.name: self.stage.mode})
        return [one.text(look) for one in found[:3]]

    def converged(self) -> bool:
        """Tell whether every packet is treated as the policy says."""
        return self.shape == self.record.good or not self.differing(self.world())

    def verdicts(self) -> dict[int, Verdict]:
        """Live every plan and judge it; a process that parted from this one returns from here as well, and ends."""
        try:
            self._live()
        except BaseException:
            if self.line is None:
                raise
            self.done |= {one.at: Verdict([traceback.format_exc()]) for one in self.wanted}
        self.end()
        return self.done

    def end(self) -> None:
        """Tidy up; a process that parted from another one hands over what it found and ends."""
        self.tap.forget_pasts()
        if self.owner == os.getpid():
            shutil.rmtree(self.root)
        if self.files is not None:
            self.files.put_back()
        if self.line is not None:
            self.line.send(self.done)
            os._exit(0)

    def _live(self) -> None:
        self.tap.armed, self.tap.root = True, self.root
        while self.wanted:
            self.one()
            self.runs += 1
            over = [one for one in self.wanted if one.plan == self.plan or self.runs > len(one.plan)]
            self.wanted = [one for one in self.wanted if one not in over]
            groups = {(one.lies, one.inside): [two for two in over if (two.lies, two.inside) == (one.lies, one.inside)] for one in over}
            for at, group in enumerate(groups.values(), 1):
                if (at == len(groups) and not self.wanted) or self.parted(group):
                    self.finish(group)
                    return

    def strike(self, number: int) -> None:
        """Let whoever wants a fault at this call part from the others, a process for each kind."""
        kinds: dict[Kind, list[Wanted]] = {}
        for one in self.wanted:
            if number in one.plan:
                kinds.setdefault(one.plan[number], []).append(one)
        self.wanted = [one for one in self.wanted if number not in one.plan]
        for at, (kind, group) in enumerate(kinds.items(), 1):
            alone = at == len(kinds) and not self.wanted
            if alone:
                self.wanted = group
            if alone or self.parted(group):
                self.plan[number] = self.tap.plan[number] = kind
                self.remember()
                if not alone:
                    self.files = Files.of(self.root)
                return

    def remember(self) -> None:
        """Keep worlds of the past as long as somebody will ask for them."""
        left = ((number, kind) for one in self.wanted for number, kind in one.plan.items() if number not in self.plan)
        self.tap.remember = any(kind in STALE for _, kind in left)

    def parted(self, group: list[Wanted]) -> bool:
        """Fork: true in the new process, which lives for these alone; false in the old one when the new one has ended."""

        def take(found: Any) -> None:
            if isinstance(found, str):  # it put nothing back: who lived on from here would live in its ruins
                found = {one.at: Verdict([found]) for one in (*group, *self.wanted)}
                self.wanted = []
            self.done |= found

        line = part(take)
        if line is None:
            return False
        self.line, self.files, self.wanted, self.done = line, None, group, {}
        return True

    def own(self) -> None:
        """Have a folder of our own for the next run; the one before is somebody else's, and may be in use there."""
        if self.owner != os.getpid():
            self.root = self.tap.root = shutil.copytree(self.root, self.theatre.folder / f"life-{os.getpid()}")
            self.tap.journal, self.owner = None, os.getpid()

    def finish(self, group: list[Wanted]) -> None:
        """Live on without faults and judge everything; these plans came to the same point."""
        tap, (first, *_) = self.tap, group
        self.plan, tap.plan, self.wanted = dict(first.plan), {}, []
        tap.remember = False
        if first.inside and self.stage.name in ("gcp", "azure"):
            self.theatre.ask("finish", {"stuck": True})
        calls, states = tap.number, self.states
        wrong = [*self.wrong, *([] if first.lies else self.dubious), *tap.wrong]
        self.wrong, tap.wrong = [], []
        key = "" if self.rests is None else self.alike(lies=first.lies)
        after = self.follow(key, first.plan)
        tail, joined = self.rest(key, first.plan)
        for one in group:
            said = Verdict([*wrong, *tail.wrong], len(tap.fired), calls + tail.calls, tail.runs, states + tail.states, joined, calls, after)
            self.done[one.at] = said

    def rest(self, key: str, who: object) -> tuple[Tail, bool]:
        """Return the rest of a life and whether it was known, from one that came to the same state."""
        if self.rests is None:
            return self.arrive(), False
        tail = self.rests.find(key)
        if tail is None:
            tail = self.arrive()
            self.rests.keep(key, tail)
            return tail, False
        if fault_alike.due(key, who):
            again = self.arrive()
            if again != tail:
                again.wrong.append(f"a state was taken for another one: {again} is not {tail}")
            return again, False
        return tail, True

    def follow(self, key: str, plan: Plan) -> str:
        """Try second faults in the run after a first one, once for each state; return the name under which the verdicts are kept."""
        if not self.seconds or self.rests is None or self.runs != len(plan) or len(plan) != 1:
            return ""
        if self.rests.after(key) is None:
            shift = self.tap.number
            # What a stale read shows is how a life came here, not where it is: such pairs are lived whole alone.
            every = [one for one in singles(self.stage.name, self.record) if not STALE.intersection(one.values())]
            drawn = sample(every, self.seconds, int(key[:8], 16))
            later = [{shift + number: kind for number, kind in one.items()} for one in drawn]
            before, self.done = self.done, {}
            if self.parted([Wanted(at, {**plan, **one}) for at, one in enumerate(later)]):
                self.wrong, self.dubious = [], []
                self._live()
                self.end()
            found, self.done = [self.done[at] for at in range(len(later))], before
            self.rests.keep_after(key, [(one, verdict) for one, verdict in zip(drawn, found, strict=True)])
        return key

    def alike(self, *, lies: bool) -> str:
        """Return a digest of all that decides how life goes on from here, and how it is judged."""
        assert not self.tap.late
        sent = sorted({call.op for call in self.tap.calls})
        last = next((one.op for one in reversed(self.tap.calls) if one.op), 0)
        here = self.chain.hexdigest() if self.stage.name == "aws" else fault_alike.platform(self.theatre.ask("state", {}))
        kept = fault_alike.written(self.root, self.stage.clock.now())
        return sha256(repr((lies, sent, last, sorted(self.effects.items()), here, kept)).encode()).hexdigest()

    def arrive(self) -> Tail:
        """Make clean runs until it has converged, and judge everything there is to judge then."""
        tap, calls, states, runs = self.tap, self.tap.number, self.states, 0
        code = 0
        for number in range(1, RUNS + 1):
            code = self.one(clean=True)
            if code == 0 and self.converged():
                runs = number
                break
        if not runs:
            wrong = self.differing(self.world())
            self.wrong.append(f"not converged after {RUNS} clean runs, the last ended with {code}: {self.why} {wrong}")
        self.still()
        self.unmoved()
        self.paper()
        return Tail([*self.wrong, *tap.wrong], runs, tap.number - calls, self.states - states)

    def one(self, *, clean: bool = False) -> int:
        """Make one run and judge how it says it ended."""
        self.own()
        tap = self.tap
        writes = sum(call.sent.writes for call in tap.calls)
        why = ""
        try:
            ran = self.stage.run(self.root)
            code = int(ran.code)
            why = "; ".join(_why(one) for one in ran.report.targets)
        except (RefusedError, BusyError) as error:
            code, why = 4, str(error)
        except AdapterError as error:
            code, why = 5, str(error)
        self.why = why
        tap.end_run()
        tap.hurry()
        self.stage.clock.sleep(EVERY_S)
        armed, tap.armed = tap.armed, False
        self.changed(_LATER)  # what took its time has happened by now
        tap.armed = armed
        wrote = sum(call.sent.writes for call in tap.calls) - writes
        if code not in (0, 4, 5):
            self.wrong.append(f"a run ended with {code}: {why}")
        if code == 4 and wrote:
            self.wrong.append(f"a run that was refused made {wrote} writes: {why}")
        if code == 4 and clean and not set(self.plan.values()) & LIES:
            self.wrong.append(f"a clean run was refused: {why}")
        if code == 0 and not clean and not self.converged():
            self.dubious.append("a run called itself good that was not")
        return code

    def still(self) -> None:
        """A further run writes nothing."""
        before = sum(call.sent.writes for call in self.tap.calls)
        code = self.one(clean=True)
        more = [call.sent.operation for call in self.tap.calls if call.sent.writes][before:]
        if code or more:
            self.wrong.append(f"one run further ended with {code} and wrote {more}")

    def unmoved(self) -> None:
        """What is not ours is as it was; in exclusive mode all but rules at enforced points."""
        self.tap.armed = False
        was, now = self.stage.foreign, self.stage.ground.peek().foreign()
        names = {one for one in {*was, *now} if self.stage.mode != "exclusive" or not one.startswith("rule ")}
        changed = sorted(one for one in names if was.get(one) != now.get(one))
        if changed:
            self.wrong.append(f"changed though not ours: {changed[:4]}")

    def paper(self) -> None:
        """Writes and journal match: every op is settled, what it calls done was sent, what it calls void had no effect; the chain holds."""
        with State(locate("sqlite:///.cloudsync/state.db", self.root), self.stage.clock) as state:
            ops = [op for op, _ in state.journal.ops()]
            state.audit.check()
        sent = {call.op for call in self.tap.calls}
        first = min((op for op in sent if op), default=0)
        for op in ops:
            if op.id < first:
                continue
            told = f"op {op.id} {op.op.step.action} {op.op.step.title}"
            if op.state.value in ("intent", "unknown"):
                self.wrong.append(f"{told} was left open")
            elif op.state.value == "done" and op.id not in sent:
                self.wrong.append(f"{told} is called done and was never sent")
            elif op.state.value in ("void", "failed") and self.effects[op.id]:
                self.wrong.append(f"{told} is called {op.state.value} and took effect")


def _why(target: TargetReport) -> str:
    """Return what a run says of a target that did not end well."""
    refused = ", ".join(f"{one.guard} {one.message}" for one in target.refusals)
    return target.error or refused or (target.applied.message if target.applied else "")


# --- which plans there are --------------------------------------------------------------------------------------------

_ALWAYS = (
    *(Kind.RESET_BEFORE, Kind.TIMEOUT_BEFORE, Kind.ERROR_500, Kind.UNAVAILABLE, Kind.BAD_GATEWAY, Kind.THROTTLE, Kind.DENIED),
    *(Kind.EXPIRED, Kind.LOGIN_PAGE, Kind.RESET_AFTER, Kind.TIMEOUT_AFTER, Kind.LOST, Kind.BAD_GATEWAY_AFTER, Kind.CUT_SHORT),
    *(Kind.GARBLED, Kind.EMPTY, Kind.EXPIRED_FROM_HERE, Kind.DOWN_FROM_HERE, Kind.THROTTLED_FROM_HERE),
)
_IDENTITIES = ("GetCallerIdentity", "GET ", "GET subscriptions", "GET tm/cm/device")


def kinds(name: str, record: Record, number: int) -> Iterator[Kind]:
    """Yield every kind of fault that can happen at a call of the recorded run."""
    call = record.calls[number - 1]
    yield from _ALWAYS
    if call.sent.writes:
        yield from (Kind.LATE, Kind.QUOTA, Kind.DENIED_FROM_HERE)
        if name != "aws":
            yield from INSIDE
        return
    yield Kind.UNKNOWN_FIELD
    if any(one.sent.writes for one in record.calls[: number - 1]):
        yield from (Kind.STALE, Kind.STALER)
    if call.several:
        yield from PAGED
    if call.sent.operation in _IDENTITIES:
        yield Kind.IDENTITY


def singles(name: str, record: Record) -> list[Plan]:
    """Return every plan of one fault."""
    return [{number: kind} for number in range(1, len(record.calls) + 1) for kind in sorted(kinds(name, record, number), key=_order)]


def pairs(name: str, record: Record, rng: random.Random) -> Iterator[Plan]:
    """Yield plans of two faults, each once, in an order drawn from `rng`. The second may come in the run after the first."""
    every = [(number, kind) for plan in singles(name, record) for number, kind in plan.items()]
    apart = len(every) * (len(every) - 1) // 2 - sum(many * (many - 1) // 2 for many in Counter(number for number, _ in every).values())
    seen: set[tuple[int, int]] = set()
    while len(seen) < apart:
        first, second = sorted((rng.randrange(len(every)), rng.randrange(len(every))))
        if (first, second) in seen or every[first][0] == every[second][0]:
            continue
        seen.add((first, second))
        yield dict((every[first], every[second]))


def _order(kind: Kind) -> str:
    return kind.value


def sample(plans: Iterable[Plan], many: int, seed: int) -> list[Plan]:
    """Return so many plans of all, drawn from a seed, in their order."""
    listed = list(plans)
    if many >= len(listed):
        return listed
    return [listed[at] for at in sorted(random.Random(seed).sample(range(len(listed)), many))]

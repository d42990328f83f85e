"""The course of a run: which targets share paths on which a moment between old and new could expose something, and what is done about it.

Per component the first that works, each judged by a replay over the whole paths: whole targets one after another, shields, everybody to
what old and new share and then on (MEET), the same with a gap that a person has to agree to. Pure and deterministic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations, permutations

from cloudsync.adapter import Access, Adapter, Method, Phase, Table, Whose
from cloudsync.compile.universe import Universe
from cloudsync.diff import Owners
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import PointId
from cloudsync.plan import order
from cloudsync.plan.build import Built, steered
from cloudsync.plan.gap import broken_steps, cut
from cloudsync.plan.order import Order
from cloudsync.plan.peaks import of_order, over
from cloudsync.plan.shield import CHOICES, Wanted, shielded, wish
from cloudsync.plan.values import NO_GAP, Component, CourseMethod, Gap, Witness
from cloudsync.proof.certificate import final_table
from cloudsync.proof.flows import SHUT, Crossing, Ground, Place, crossings
from cloudsync.proof.replay import replay
from cloudsync.proof.values import Leg, PathReplay, Stage, Stop
from cloudsync.proof.whole import Track, replay_whole

WITNESSES = 4
"""How many flows a component names."""
ORDERS_MAX = 5
"""Up to so many targets, every order of them is tried; above, only the one that follows from what closes before what opens."""


@dataclass(frozen=True, slots=True)
class Site:
    """One target of a run. `written` is false where nothing will be written whatever its plan says."""

    built: Built
    written: bool = True

    @property
    def name(self) -> str:
        """The target's name."""
        return self.built.plan.target

    @property
    def moves(self) -> bool:
        """Tell whether anything changes there in this run."""
        return self.written and not self.built.plan.empty

    @property
    def adapter(self) -> Adapter:
        """The adapter that the plan was made with."""
        assert self.built.case is not None
        return self.built.case.adapter


def chart(sites: Iterable[Site], universe: Universe) -> tuple[Built, ...]:
    """Return every target's plan with the component that it belongs to, its steps in another order where others make that necessary."""
    listed = tuple(sites)
    moving = [site for site in listed if site.moves]
    if not moving:
        return tuple(site.built for site in listed)
    owners = Owners.of(universe)
    places = {site.name: _places(site, owners) for site in listed}
    if len(moving) < 2 and not any(place.forwards for known in places.values() for place in known.values()):
        return tuple(site.built for site in listed)
    across = tuple(crossings(_ground(site, places[site.name]) for site in listed))
    groups = _joined(tuple(one for one in across if _shared(one)))
    built = {site.name: site.built for site in listed}
    for names in groups:
        members = tuple(site for site in listed if site.name in names)
        inside = tuple(one for one in across if one.targets <= names)
        found = _Chart(members, inside, {name: places[name] for name in names}, _Words(universe, owners)).found()
        built |= {one.plan.target: one for one in found}
    return tuple(built[site.name] for site in listed)


def _places(site: Site, owners: Owners) -> dict[PointId, Place]:
    assert site.built.case is not None
    found: dict[PointId, Place] = {}
    for point in site.built.case.actual.points.values():
        owner = owners.by_point.get(point.id)
        forwards = next((one.forwards for one in owner[1].interfaces if one.point == point.id), ()) if owner else ()
        found[point.id] = Place(point.addresses, owner[2] if owner else None, forwards)
    return found


def _ground(site: Site, places: Mapping[PointId, Place]) -> Ground:
    assert site.built.case is not None
    now = site.built.case.actual.everything
    return Ground(site.name, now, site.built.after if site.moves else now, places)


def _shared(crossing: Crossing) -> bool:
    """Tell whether a target's own order cannot know of it: it closes at one and opens at another, or goes by a load balancer."""
    return len(crossing.targets) > 1 or len({end.target for end in crossing.path}) > 1 or len(crossing.path) > 2


def _joined(across: Sequence[Crossing]) -> list[frozenset[str]]:
    """Return the components: targets connected by X, in the order in which they are met."""
    groups: list[frozenset[str]] = []
    for crossing in across:
        touching = [one for one in groups if one & crossing.targets]
        groups = [one for one in groups if one not in touching]
        groups.append(frozenset().union(crossing.targets, *touching))
    return sorted(groups, key=sorted)


@dataclass(frozen=True, slots=True)
class _Words:
    universe: Universe
    owners: Owners

    def witness(self, crossing: Crossing, places: Mapping[str, Mapping[PointId, Place]]) -> Witness:
        """Return one flow of a crossing for people."""
        flow = crossing.flows[0]
        names = [flow.text().split(" ")[0], flow.text().split(" ")[2], ""]
        stops: dict[int, Stop] = {}
        for end in crossing.path:
            known = places.get(end.target, {})
            point = next((one for one in end.points if one in known and flow.at(end.kind, known[one].addresses)), end.points[0])
            owner = self.owners.by_point.get(point)
            at = ("leaves", "enters", "passed on").index(end.kind.value)
            names[at] = self.universe.called(owner[1]) if owner else point
            stops[id(end)] = Stop(end.target, point, "inbound" if end.kind.inbound else "outbound")
        closes, opens = stops[id(crossing.closing)], stops[id(crossing.opening)]
        return Witness(flow.text(), names[0], names[1], flow.text().split(" ")[3], names[2], closes, opens)


@dataclass(frozen=True, slots=True)
class _Try:
    """One way for a component: each target's phases and the stages they run in."""

    method: CourseMethod
    phases: Mapping[str, tuple[Phase, ...]]
    stages: tuple[Stage, ...]


@dataclass(frozen=True, slots=True)
class _Split:
    """Phases with the place of the barrier: before it every point stays inside its old state, after it inside its new one."""

    phases: tuple[Phase, ...]
    at: int


@dataclass(slots=True)
class _Chart:
    """One component."""

    sites: tuple[Site, ...]
    across: tuple[Crossing, ...]
    places: Mapping[str, Mapping[PointId, Place]]
    words: _Words

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(site.name for site in self.sites)

    def found(self) -> tuple[Built, ...]:
        """Return the plans of the component by the first way that is safe; by none, with what speaks against it, when there is none."""
        cramped: tuple[_Try, PathReplay] | None = None
        for one in chain(self._orders(), self._shields(), self._meets()):
            whole = self._judged(one)
            if whole is not None and whole.safe:
                if self._fits(one):
                    return self._built(one, whole)
                cramped = cramped or (one, whole)
        gaps = [(lost, one, whole) for lost, one, whole in self._gaps() if whole.safe]
        if gaps:
            lost, one, whole = min(gaps, key=lambda gap: (gap[0].packets, gap[0].points, gap[0].steps))
            return self._built(one, whole, lost)
        if cramped is not None:
            return self._built(*cramped)  # there is no room for it, and the guard says so with the numbers
        together = _Try(CourseMethod.NONE, self._own(), (Stage("change", tuple(self._leg(site) for site in self.sites)),))
        return self._built(together, self._replayed(together))

    def _own(self) -> dict[str, tuple[Phase, ...]]:
        return {site.name: site.built.plan.phases for site in self.sites}

    def _leg(self, site: Site) -> Leg:
        return Leg(site.name, 0, len(site.built.plan.phases))

    # --- the ways ----------------------------------------------------------------------------------------------------

    def _orders(self) -> Iterator[_Try]:
        """Yield whole targets one after another: as what closes before what opens says, else every order of a few targets."""
        levels = self._levels()
        if levels is not None:
            yield _Try(CourseMethod.ORDER, self._own(), tuple(self._level(level) for level in levels))
        elif len(self.sites) <= ORDERS_MAX:
            for way in permutations(self.sites):
                yield _Try(CourseMethod.ORDER, self._own(), tuple(self._level((site,)) for site in way))

    def _level(self, sites: Sequence[Site]) -> Stage:
        names = ", ".join(site.name for site in sites)
        return Stage(names, tuple(self._leg(site) for site in sites), "what it closes has to be closed before others open")

    def _levels(self) -> list[tuple[Site, ...]] | None:
        """Return the targets by what has to be closed before what; None where that goes in a circle."""
        before: dict[str, set[str]] = {site.name: set() for site in self.sites}
        for one in self.across:
            if one.closing.target != one.opening.target:
                before[one.opening.target].add(one.closing.target)
        levels: list[tuple[Site, ...]] = []
        done: set[str] = set()
        while len(done) < len(self.sites):
            level = tuple(site for site in self.sites if site.name not in done and before[site.name] <= done)
            if not level:
                return None
            levels.append(level)
            done |= {site.name for site in level}
        return levels

    def _shields(self) -> Iterator[_Try]:
        """Yield shields at one target, then at all that can deny."""
        able = [site for site in self.sites if Method.SHIELD in site.adapter.capabilities.methods]
        choices = [(site,) for site in able] + ([tuple(able)] if len(able) > 1 else [])
        for chosen in choices:
            for wanted in CHOICES:
                found = self._shielding(chosen, wanted)
                if found is not None:
                    yield found

    def _shielding(self, chosen: Sequence[Site], wanted: Wanted) -> _Try | None:
        phases = self._own()
        up: list[Leg] = []
        change = [self._leg(site) for site in self.sites if site not in chosen]
        down: list[Leg] = []
        for site in chosen:
            wishes = wish(self.across, site.name, self.places[site.name], wanted)
            way = shielded(site.adapter, (site.built.actual, site.built.final), wishes, self._direct(site)) if wishes else None
            if way is None:
                change.append(self._leg(site))
                continue
            phases[site.name] = way.phases
            for legs, first, end in ((up, 0, way.up), (change, way.up, way.down), (down, way.down, len(way.phases))):
                legs.extend([Leg(site.name, first, end)] if end > first else [])
        if not up and not down:
            return None
        stages = (
            Stage("shield", tuple(up), "deny for a while what neither the old nor the new state lets through"),
            Stage("change", tuple(change), "behind the shields the order does not matter"),
            Stage("unshield", tuple(down), "everything old has gone: the denies are not needed any more"),
        )
        return _Try(CourseMethod.SHIELD, phases, tuple(stage for stage in stages if stage.legs))

    def _direct(self, site: Site) -> Callable[[Table, Table], tuple[Phase, ...]]:
        addresses = {point: place.addresses for point, place in self.places[site.name].items()}

        def direct(start: Table, goal: Table) -> tuple[Phase, ...]:
            found = order.ordinary(site.adapter, (start, goal, goal), addresses)
            return found.phases if found is not None and found.replay.safe else ()

        return direct

    def _meets(self) -> Iterator[_Try]:
        """Yield everybody to what old and new share, a barrier, then on."""
        splits = {site.name: self._split(site) for site in self.sites}
        found = {name: split for name, split in splits.items() if split is not None}
        if len(found) == len(splits):
            phases = {name: split.phases for name, split in found.items()}
            yield _Try(CourseMethod.MEET, phases, _halves(found))

    def _split(self, site: Site) -> _Split | None:
        """Return a target's way through what old and new share, by its own steps, its own MEET, or by denying what is new for a while."""
        built = site.built
        ways: list[tuple[Phase, ...]] = [built.plan.phases]
        if Method.MEET in site.adapter.capabilities.methods:
            ways.append(site.adapter.steps(built.actual, built.final, Method.MEET))
        if Method.SHIELD in site.adapter.capabilities.methods:
            ways.append(self._held_back(site))
        for phases in ways:
            at = waist(site.adapter, built.actual, built.final, phases) if phases else None
            own = phases == built.plan.phases
            if at is not None and (own or (_arrives(site, phases) and replay(site.adapter, built.actual, built.final, phases).safe)):
                return _Split(phases, at)
        return None

    def _held_back(self, site: Site) -> tuple[Phase, ...]:
        """Return the way over the desired table with everything denied that is new in it."""
        built, direct = site.built, self._direct(site)
        assert built.case is not None
        now = built.case.actual.everything
        fresh = {point: _more(now.get(point, SHUT), access) for point, access in built.after.items()}
        kept = site.adapter.shield(built.final, {point: access for point, access in fresh.items() if access != SHUT})
        first, second = direct(built.actual, kept), direct(kept, built.final)
        if (kept != built.actual and not first) or (kept != built.final and not second):
            return ()
        return (*first, *(Phase(f"unshield: {phase.name}", phase.steps) for phase in second))

    def _gaps(self) -> Iterator[tuple[Gap, _Try, PathReplay]]:
        """Yield ways in which some targets cut what both states allow: those that split meanwhile, the others whole in between."""
        broken = {site.name: self._broken(site) for site in self.sites}
        usable = [site for site in self.sites if broken[site.name]]
        for count in range(1, len(usable) + 1):
            for chosen in combinations(usable, count):
                rest = [site for site in self.sites if site not in chosen]
                for between in permutations(rest) if len(rest) <= ORDERS_MAX else [tuple(rest)]:
                    yield from self._gap(chosen, between, broken)

    def _gap(
        self, chosen: Sequence[Site], between: Sequence[Site], broken: Mapping[str, tuple[Gap, _Split] | None]
    ) -> Iterator[tuple[Gap, _Try, PathReplay]]:
        found = {site.name: one for site in chosen if (one := broken[site.name]) is not None}
        phases = self._own() | {name: split.phases for name, (_, split) in found.items()}
        close, grow = _legs({name: split for name, (_, split) in found.items()})
        stages = (Stage("close", close, _CLOSE), *(self._level((site,)) for site in between), Stage("open", grow, _OPEN))
        lost = [gap for gap, _ in found.values()]
        method = CourseMethod.GAP if any(gap != NO_GAP for gap in lost) else CourseMethod.MEET
        way = _Try(method, phases, tuple(stage for stage in stages if stage.legs))
        steps = sum(gap.steps for gap in lost) + sum(len(site.built.plan.steps) for site in between)
        waits = max((site.adapter.patience.settle_s for site in self.sites), default=0.0) * (len(way.stages) - 1)
        total = Gap(sum(gap.packets for gap in lost), sum(gap.points for gap in lost), steps, sum(gap.seconds for gap in lost) + waits)
        yield total, way, self._replayed(way)

    def _broken(self, site: Site) -> tuple[Gap, _Split] | None:
        """Return the least that a target has to cut in order to shrink before it grows; nothing where it can do without."""
        built, found = site.built, list[tuple[Gap, _Split]]()
        split = self._split(site)
        if split is not None:
            return NO_GAP, split
        for method in order.stepped(site.adapter):
            for phases in broken_steps(site.adapter, built.actual, site.adapter.steps(built.actual, built.final, method)):
                at = waist(site.adapter, built.actual, built.final, phases)
                if at is not None and _arrives(site, phases):
                    found.append((cut(site.adapter, built.actual, built.final, phases), _Split(phases, at)))
        return min(found, key=lambda one: (one[0].packets, one[0].points, one[0].steps)) if found else None

    # --- judging -----------------------------------------------------------------------------------------------------

    def _judged(self, one: _Try) -> PathReplay | None:
        """Return the replay over the whole paths; None where a target's own steps are not safe at every point, or do not arrive."""
        for site in self.sites:
            phases = one.phases[site.name]
            if phases != site.built.plan.phases:
                if not _arrives(site, phases):
                    return None
                if not replay(site.adapter, site.built.actual, site.built.final, phases).safe:
                    return None
        return self._replayed(one)

    def _fits(self, one: _Try) -> bool:
        """Tell whether every target has room for what it is sent in other steps than its own."""
        for site in self.sites:
            phases = one.phases[site.name]
            assert site.built.case is not None
            changed = phases != site.built.plan.phases
            if changed and any(over(of_order(site.adapter, site.built.actual, _name(one.method), phases), site.built.case.limits)):
                return False
        return True

    def _replayed(self, one: _Try) -> PathReplay:
        tracks = {site.name: Track(site.adapter, site.built.actual, one.phases[site.name], self.places[site.name]) for site in self.sites}
        return replay_whole(tracks, one.stages, self.across)

    def _built(self, one: _Try, whole: PathReplay, lost: Gap = NO_GAP) -> tuple[Built, ...]:
        told: dict[tuple[str, str], Crossing] = {}
        for crossing in self.across:
            if _shared(crossing):
                told.setdefault((crossing.closing.target, crossing.opening.target), crossing)
        witnesses = tuple(self.words.witness(crossing, self.places) for _, crossing in sorted(told.items())[:WITNESSES])
        component = Component(self.names, one.method, one.stages, witnesses, whole, lost)
        found: list[Built] = []
        for site in self.sites:
            phases, plan = one.phases[site.name], site.built.plan
            proven = replay(site.adapter, site.built.actual, site.built.final, phases) if phases != plan.phases else plan.replay
            assert proven is not None
            method = plan.method if phases == plan.phases else ("gap" if not proven.safe else _name(one.method))
            found.append(steered(site.built, Order(method, phases, proven, site.built.final), component))
        return tuple(found)


_CLOSE = "everybody closes first: nothing that is new is open yet"
_OPEN = "everything old has closed: what is new may open"


def _name(method: CourseMethod) -> str:
    return "meet" if method is CourseMethod.GAP else method.value


def _arrives(site: Site, phases: Iterable[Phase]) -> bool:
    """Tell whether steps lead exactly to the table that was certified."""
    return bool(final_table(site.adapter, site.built.actual, phases) == site.built.final)


def _more(old: Access, new: Access) -> Access:
    return Access(new.inbound - old.inbound, new.outbound - old.outbound)


def _legs(splits: Mapping[str, _Split]) -> tuple[tuple[Leg, ...], tuple[Leg, ...]]:
    close = tuple(Leg(name, 0, split.at) for name, split in splits.items() if split.at)
    grow = tuple(Leg(name, split.at, len(split.phases)) for name, split in splits.items() if split.at < len(split.phases))
    return close, grow


def _halves(splits: Mapping[str, _Split]) -> tuple[Stage, ...]:
    close, grow = _legs(splits)
    return tuple(stage for stage in (Stage("close", close, _CLOSE), Stage("open", grow, _OPEN)) if stage.legs)


def waist(adapter: Adapter, actual: Table, final: Table, phases: tuple[Phase, ...]) -> int | None:
    """Return the phase before which every point stays inside its old state, and from which on it stays inside its new one."""
    points = frozenset().union(*(adapter.affected(actual, phase.steps) | adapter.affected(final, phase.steps) for phase in phases))
    old, new = adapter.decode(actual, Whose.ALL, points), adapter.decode(final, Whose.ALL, points)
    table, at = actual, len(phases)
    for number, phase in enumerate(phases):
        uppers = [adapter.decode(one, Whose.ALL, points) for one in adapter.bounds(table, phase.steps).upper]
        if at == len(phases) and not all(_inside(one, old) for one in uppers):
            at = number
        if at < len(phases) and not all(_inside(one, new) for one in uppers):
            return None
        table = adapter.simulate(table, *phase.steps)
    return at


def _inside(state: Mapping[PointId, Access], most: Mapping[PointId, Access]) -> bool:
    pairs = ((access, most.get(point, SHUT)) for point, access in state.items())
    return all(access.inbound <= limit.inbound and access.outbound <= limit.outbound for access, limit in pairs)

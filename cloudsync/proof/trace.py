"""The way of one packet: every enforcement point it meets, what the real tables do with it there, and what the policy says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from enum import Enum

from cloudsync.adapter import Adapter, Allowed, Entry, Hop, Origin, Snapshot
from cloudsync.compile.allowed import Compiler, Direction
from cloudsync.compile.arms import origin_of
from cloudsync.compile.behind import NOTHING_KNOWN, Behind, counted
from cloudsync.compile.check import decided_by
from cloudsync.compile.explain import Seat, seats
from cloudsync.model.address import ANYWHERE, AddressSet
from cloudsync.model.mode import Egress, Mode, TargetMode
from cloudsync.model.packets import NO_PACKETS, Packet, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ServiceSet
from cloudsync.model.workload import Interface, Workload
from cloudsync.policy.values import Action
from cloudsync.proof.ends import Party


class Passing(Enum):
    """How much of what was asked gets through."""

    ALL = "allowed"
    SOME = "partly allowed"
    NONE = "blocked"
    FREE = "not filtered"
    """No platform that we know of filters here."""
    UNREAD = "unknown"
    """The place could not be looked at."""


@dataclass(frozen=True, slots=True)
class Question:
    """May `source` open a flow to `destination` on these services?"""

    source: Party
    destination: Party
    services: ServiceSet


@dataclass(frozen=True, slots=True)
class Ground:
    """One target as it was read; without a snapshot, `why` says what went wrong."""

    mode: TargetMode
    adapter: Adapter | None = None
    snapshot: Snapshot | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the policy says at one place. `permits` of what was asked; `reasons` name the deciding rules.

    `held`: it is enforced here, or will be by the next apply; else `unheld` says why not.
    """

    permits: PacketSet
    forbids: PacketSet
    reasons: tuple[str, ...]
    mode: Mode
    egress: Egress
    held: bool
    unheld: str = ""


@dataclass(frozen=True, slots=True)
class Through:
    """One native rule that lets some of it through, with the policy rules behind it where it is ours."""

    entry: Entry
    origins: tuple[Origin, ...]

    @property
    def plumbing(self) -> bool:
        """Tell whether it is a rule of ours that lets the platform itself through."""
        return self.entry.ours and any(one.plumbing for one in self.origins)


@dataclass(frozen=True, slots=True)
class Stop:
    """One place on the way. `asked` and `passes` are packets seen from it: the peer is the other end."""

    workload: Workload
    interface: Interface
    direction: Direction
    asked: PacketSet
    passes: PacketSet
    passing: Passing
    ruling: Ruling
    objects: tuple[str, ...] = ()
    """Native objects attached there, by name where they have one."""
    rules: tuple[Through, ...] = ()
    why: str = ""
    """Why it is not filtered, or could not be looked at."""
    opens: PacketSet = NO_PACKETS
    """What the next apply would open of it."""
    closes: PacketSet = NO_PACKETS
    hops: tuple[Hop, ...] = ()
    """How one of the packets fares there, hop by hop: one that is cut where any is, else one that passes."""
    sample: Packet | None = None


@dataclass(frozen=True, slots=True)
class Onward:
    """Where a flow that the destination forwards goes on to: one member, and how much of it gets in there. A question of its own.

    `sources`: from which addresses it comes then; empty when the client keeps its own. `member` is None for `addresses` of nobody we know.
    """

    member: Workload | None
    addresses: AddressSet
    services: ServiceSet
    sources: AddressSet
    passing: Passing
    why: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """All places, sources first, and what comes out of them. `nothing` says why there is no packet to ask about."""

    stops: tuple[Stop, ...]
    passing: Passing
    nothing: str = ""
    onward: tuple[Onward, ...] = ()
    """Behind a load balancer; no part of the answer, which is about the flow that was asked about."""

    def side(self, direction: Direction) -> tuple[Stop, ...]:
        """Return the places of one end."""
        return tuple(stop for stop in self.stops if stop.direction is direction)


@dataclass(frozen=True, slots=True)
class _View:
    """Where the policy is asked: one interface, one direction, and how its target was read."""

    compiler: Compiler
    seat: Seat
    direction: Direction
    ground: Ground | None
    behind: Behind

    @property
    def allowed(self) -> Allowed:
        """What the policy lets through here, in every mode."""
        return self.compiler.allowed(self.seat.number, self.seat.domain, self.direction)


@dataclass(frozen=True, slots=True)
class _Where:
    """What a question is followed through."""

    compiler: Compiler
    grounds: Mapping[str, Ground]
    behind: Behind


def trace(question: Question, compiler: Compiler, grounds: Mapping[str, Ground], behind: Behind = NOTHING_KNOWN) -> Trace:
    """Follow a question through the tables of every target. `grounds`: by target name. `behind`: whom descriptions may name."""
    where = _Where(compiler, grounds, behind)
    out = tuple(_side(question, where, Direction.OUT))
    into = tuple(_side(question, where, Direction.IN))
    ends = ((question.source, out), (question.destination, into))
    if any(end.workload is not None and not stops for end, stops in ends):
        return Trace((), Passing.NONE, "there is no such packet: the two ends have no address family in common on which the service exists")
    sides = [passing_of(stops) for _, stops in ends if stops]
    return Trace((*out, *into), _together(sides), onward=tuple(_onward(question, where)))


def passing_of(stops: Iterable[Stop]) -> Passing:
    """Return what the places of one end come to together."""
    found = {stop.passing for stop in stops}
    if Passing.UNREAD in found:
        return Passing.UNREAD
    if found <= {Passing.ALL, Passing.FREE}:
        return Passing.FREE if found == {Passing.FREE} else Passing.ALL
    return Passing.NONE if found == {Passing.NONE} else Passing.SOME


def _together(sides: list[Passing]) -> Passing:
    """Both ends have to let it through: a sure no outweighs what is unknown."""
    for worst in (Passing.NONE, Passing.UNREAD, Passing.SOME):
        if worst in sides:
            return worst
    return Passing.FREE if set(sides) == {Passing.FREE} else Passing.ALL


def _side(question: Question, where: _Where, direction: Direction) -> Iterator[Stop]:
    compiler = where.compiler
    inbound = direction is Direction.IN
    own, peer = (question.destination, question.source) if inbound else (question.source, question.destination)
    if own.workload is None:
        return
    wanted = {id(one) for one in own.interfaces()}
    for interface, seat in zip(own.workload.interfaces, seats(compiler, own.workload), strict=True):
        if id(interface) not in wanted or interface.source_only:
            continue
        asked = PacketSet.of(peer.met(compiler.universe, interface, as_source=inbound), question.services)
        if asked:
            yield _stop(_View(compiler, seat, direction, where.grounds.get(own.workload.target), where.behind), interface, asked)


def _onward(question: Question, where: _Where) -> Iterator[Onward]:
    """Yield every member that the destination forwards what was asked to, then the members that no inventory knows."""
    for interface in question.destination.interfaces():
        for forward in interface.forwards:
            common = forward.services & question.services
            if not common or interface.source_only:
                continue
            services = common if forward.onward == forward.services else forward.onward
            balancer = question.destination.workload
            source = Party(forward.sources.text(), balancer, forward.sources) if forward.sources else question.source
            if forward.to == ANYWHERE:
                yield Onward(None, forward.to, services, forward.sources, Passing.UNREAD, "who its members are could not be read")
                continue
            unknown = forward.to
            for member in sorted((one for group in where.compiler.universe.classes for one in group.workloads), key=lambda one: one.id):
                own = member.reached(interface.domain) & forward.to
                if own:
                    unknown -= own
                    stops = tuple(_side(Question(source, Party(member.name, member, own), services), where, Direction.IN))
                    passing = passing_of(stops) if stops else Passing.UNREAD
                    whys = dict.fromkeys(stop.why for stop in stops if stop.why and stop.passing is passing)
                    why = "; ".join(whys) if stops else "it never meets these addresses"
                    yield Onward(member, own, services, forward.sources, passing, why)
            if unknown:
                yield Onward(None, unknown, services, forward.sources, Passing.FREE, "in no inventory")


def _stop(view: _View, interface: Interface, asked: PacketSet) -> Stop:
    ground, direction = view.ground, view.direction
    ruling = _ruling(view, asked)

    def ending(passing: Passing, why: str) -> Stop:
        passes = asked if passing is Passing.FREE else NO_PACKETS
        return Stop(view.seat.workload, interface, direction, asked, passes, passing, ruling, why=why)

    if interface.point is None or ground is None:
        return ending(Passing.FREE, "known from the inventory files alone: no platform enforces anything there")
    if ground.adapter is None or ground.snapshot is None:
        return ending(Passing.UNREAD, ground.why or "its target was not read")
    table = ground.snapshot.table
    point = next((one for one in ground.adapter.points(table) if one.id == interface.point), None)
    access = ground.adapter.decode(table, points=[interface.point]).get(interface.point)
    if point is None or access is None:
        skipped = point.skipped if point is not None else ""
        return ending(Passing.UNREAD, skipped or "the platform did not show this interface in this reading")
    passes = asked & (access.inbound if direction is Direction.IN else access.outbound)
    passing = Passing.NONE if not passes else Passing.ALL if passes == asked else Passing.SOME
    entries = ground.adapter.entries(table, [point.id])
    names = {entry.object: entry.object_name for entry in entries}
    rules = tuple(_through(view, entries, passes))
    opens, closes = _next(view, ruling, passes, rules, ground.mode)
    objects = tuple(f"{names[one]} ({one})" if names.get(one) else one for one in (*point.ours, *point.foreign))
    sample = (asked - passes).witness() or passes.witness()
    ordered = ground.adapter.capabilities.denies  # a union has no order: its entries say it all
    hops = ground.adapter.walk(table, point.id, direction.value, sample) if sample is not None and ordered else ()
    found = Stop(view.seat.workload, interface, direction, asked, passes, passing, ruling, objects, rules, point.skipped, opens, closes)
    return replace(found, hops=tuple(_with_origins(view, hop, sample) for hop in hops), sample=sample)


def _ruling(view: _View, asked: PacketSet) -> Ruling:
    seat = view.seat
    permits, forbids = asked & view.allowed.exact, asked & view.allowed.never
    reasons: list[str] = []
    for part in (permits, forbids, asked - permits - forbids):
        witness = part.witness()
        if witness is not None:
            reasons.append(decided_by(view.compiler, seat.number, seat.domain, view.direction, witness))
    unheld = _unheld(view)
    return Ruling(permits, forbids, tuple(dict.fromkeys(reasons)), seat.mode, seat.egress, not unheld, unheld)


def _unheld(view: _View) -> str:
    if not view.seat.mode.enforced:
        return f"mode {view.seat.mode.value}: not enforced here"
    if view.direction is Direction.OUT and view.seat.egress is Egress.LEAVE:
        return "egress: leave, so what it sends is not enforced"
    if view.seat.point is None or view.ground is None:
        return "no platform enforces here"
    return "target mode observe: nothing is written" if view.ground.mode is TargetMode.OBSERVE else ""


def _through(view: _View, entries: Iterable[Entry], passes: PacketSet) -> Iterator[Through]:
    """Yield the native rules that let it through, with the rules of the policy that stand behind ours."""
    for entry in entries:
        hit = entry.packets & passes if entry.direction == view.direction.value and not entry.denies else NO_PACKETS
        if not hit:
            continue
        left = view.direction is Direction.OUT and view.seat.egress is Egress.LEAVE
        origins = view.behind.today(entry.origins)
        yield Through(entry, _sure(view, origins, hit.__and__) if entry.ours and not left else origins)


def _with_origins(view: _View, hop: Hop, sample: Packet | None) -> Hop:
    """Name the rules of the policy of today behind a decision of ours."""
    origins = view.behind.today(hop.origins)
    denies = hop.verdict == "deny"
    if hop.ours and sample is not None and (origins or hop.verdict == "allow"):
        origins = _sure(view, origins, lambda packets: sample in packets, denies=denies)
    return hop if origins == hop.origins else replace(hop, origins=origins)


def _sure(view: _View, origins: tuple[Origin, ...], hit: Callable[[PacketSet], object], *, denies: bool = False) -> tuple[Origin, ...]:
    """Return origins without guesses: where there is none, or a number of an earlier release, those whose packets are hit."""
    known = tuple(one for one in origins if not counted(one))
    if known and len(known) == len(origins):
        return origins
    return tuple(dict.fromkeys((*known, *_behind(view, hit, denies=denies)))) or origins


def _behind(view: _View, hit: Callable[[PacketSet], object], *, denies: bool) -> Iterator[Origin]:
    for at, arm in enumerate(view.compiler.arms):
        own = arm.destination if view.direction is Direction.IN else arm.source
        if (arm.rule.action is not Action.ALLOW) is not denies or not own.classes >> view.seat.number & 1:
            continue
        if any(hit(piece.loosest) for piece in view.compiler.pieces(at, view.seat.domain, view.direction)):
            yield origin_of(arm.rule)


def _next(view: _View, ruling: Ruling, passes: PacketSet, rules: Iterable[Through], mode: TargetMode) -> tuple[PacketSet, PacketSet]:
    """Return what the next apply would open and close of what was asked. What a rule accepts by name may be wider, and stays."""
    if not ruling.held:
        return NO_PACKETS, NO_PACKETS
    kept = passes - view.allowed.closed - view.allowed.never if view.seat.mode is Mode.SELECTIVE else NO_PACKETS
    after = ruling.permits | kept
    if mode is not TargetMode.EXCLUSIVE:
        return after - passes, NO_PACKETS
    stays = PacketSet.union_all((after, view.allowed.loosest, *(one.entry.packets for one in rules if one.plumbing)))
    return after - passes, passes - stays

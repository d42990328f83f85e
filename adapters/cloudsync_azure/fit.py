"""What Azure's words can say of a set of services, and what we have to say about rules on the way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field

from cloudsync.adapter import Origin, Problem
from cloudsync.model import intervals
from cloudsync.model.address import AddressSet, Family
from cloudsync.model.fidelity import Fidelity, Verdict
from cloudsync.model.intervals import Points
from cloudsync.model.quick import dataclass
from cloudsync.model.service import AH, BLOCK, ESP, ICMP, ICMPV6, NO_SERVICE, TCP, UDP, ServiceSet, possible
from cloudsync.model.workload import PointId
from cloudsync_azure.table import ALL_PORTS, ANY_SIDE, Protocol, Side

_WITH_PORTS = ((Protocol.TCP, TCP), (Protocol.UDP, UDP))
_WHOLE = ((Protocol.ESP, ESP), (Protocol.AH, AH))
_ICMP = {Family.V4: ICMP, Family.V6: ICMPV6}
NAMED = ServiceSet.union_all(map(ServiceSet.protocol, (TCP, UDP, ICMP, ICMPV6, ESP, AH)))
"""Services of the protocols that Azure has a word for."""


@dataclass(frozen=True, slots=True)
class Said:
    """Services in Azure's words. `lost` could not be said; `typed` are ICMP types, said as all of ICMP."""

    words: tuple[tuple[Protocol, Points], ...]
    lost: ServiceSet = NO_SERVICE
    typed: ServiceSet = NO_SERVICE


def say(services: ServiceSet, family: Family, ports_most: int) -> Said:
    """Return the protocols and ports of a rule for these services in one family; long lists of ports are cut."""
    there = services & possible(family)
    if not there:
        return Said(())
    if there == possible(family):
        return Said(((Protocol.ANY, ALL_PORTS),))
    words: list[tuple[Protocol, Points]] = []
    for word, number in _WITH_PORTS:
        runs = [(first - number * BLOCK, end - number * BLOCK) for first, end in intervals.ranges((there & _only(number)).points)]
        words.extend((word, intervals.from_ranges(runs[at : at + ports_most])) for at in range(0, len(runs), ports_most))
    icmp = _only(_ICMP[family])
    part = there & icmp
    if part:
        words.append((Protocol.ICMP, ALL_PORTS))
    words.extend((word, ALL_PORTS) for word, number in _WHOLE if there & _only(number))
    return Said(tuple(words), there - NAMED, part if part != icmp else NO_SERVICE)


def _only(number: int) -> ServiceSet:
    return ServiceSet.protocol(number)


def peer_side(addresses: AddressSet, family: Family) -> Side | None:
    """Return a rule's other side in one family; None where nothing is left, so that nothing is ever written as any.

    Everybody in IPv4 is `*`, in the singular field; in IPv6 it is ::/0, for nobody has written down that `*` covers that family.
    """
    mine = addresses.only(family)
    if not mine:
        return None
    return ANY_SIDE if mine == ANY_SIDE.addresses.only(Family.V4) else Side(mine)


@dataclass(slots=True)
class Findings:
    """What the encoder has to say about rules on its way."""

    target: str
    fidelity: dict[str, Fidelity] = field(default_factory=dict)
    problems: dict[tuple[str, ...], Problem] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)

    def state(self, origins: Iterable[Origin], verdict: Verdict, reason: str = "", *, accepted: bool = False) -> None:
        """State how exactly rules are said; the worst word stands. Reasons of ours (`selective`) are no rules."""
        for origin in origins:
            known = self.fidelity.get(origin.rule)
            rank = (_RANK[verdict], not accepted)
            if origin.where is not None and (known is None or (_RANK[known.verdict], not known.accepted) < rank):
                self.fidelity[origin.rule] = Fidelity(origin.rule, self.target, verdict, reason, accepted)

    def refuse(self, origins: Iterable[Origin], reason: str, hint: str, points: tuple[PointId, ...]) -> None:
        """Refuse rules that cannot be said."""
        rules = tuple(dict.fromkeys(origin.rule for origin in origins))
        self.state((origin for origin in origins if origin.where is not None), Verdict.CANNOT, reason)
        self.problems.setdefault((*rules, reason), Problem("FIDELITY", f"{', '.join(rules)}: {reason}", hint, rules, points))

    def problem(self, problem: Problem) -> None:
        """Add a reason why the table must not be written, once."""
        self.problems.setdefault((problem.code, problem.message), problem)

    def note(self, text: str) -> None:
        """Add something people should know, once."""
        self.notes.setdefault(text)


_RANK = {Verdict.EXACT: 0, Verdict.STRICTER: 1, Verdict.LOOSER: 2, Verdict.CANNOT: 3}

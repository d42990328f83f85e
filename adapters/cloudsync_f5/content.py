"""What the policy of a slot has to say: terms become rules in tiers (never, allow, deny, kept, default) over address lists by selector."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import field, replace

from cloudsync.adapter import AddressPeer, Allowed, ClassIntent, ClassPeer, Origin, Problem, Term
from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet
from cloudsync.model.fidelity import Fidelity, Verdict
from cloudsync.model.mode import Accept
from cloudsync.model.packets import PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ANY_SERVICE, ServiceSet
from cloudsync.model.workload import Domain, PointId
from cloudsync_f5 import words
from cloudsync_f5.limits import DESCRIPTION_MOST, NAME_MOST
from cloudsync_f5.payload import canonical
from cloudsync_f5.table import EVERYBODY, Action, Ends, Rule
from cloudsync_f5.words import Native

KEPT = Origin("kept")
DEFAULT = "cs_default"
INLINE_MOST = 4
"""Prefixes that stand in a rule itself; more of them go into a list, which can change without the rule."""
READABLE_MOST = 60
_NOT_IN_NAMES = re.compile(r"[^0-9A-Za-z_.-]+")
_NOT_IN_DESCRIPTIONS = re.compile(r"[^\x20-\x7e]")


def digest(value: object, length: int = 8) -> str:
    """Return hex digits of a value; only ever part of a name, never an identity."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:length]


def readable(text: str) -> str:
    """Return a text in the characters that names may have."""
    return _NOT_IN_NAMES.sub("-", text).strip("-.")[:READABLE_MOST] or "x"


def name(owner: str, *parts: str) -> str:
    """Return `cs_<owner>_<parts>`: a letter first, short enough for an AS3 declaration."""
    found = "_".join(("cs", owner, *parts))
    assert len(found) <= NAME_MOST, found
    return found


@dataclass(frozen=True, slots=True, order=True)
class Selector:
    """What a list stands for. Its name comes from this, not from the members: they come and go without a new name."""

    kind: str
    key: tuple[str, ...]
    domain: int
    """Route domain."""
    words: str = field(compare=False)
    """For people, part of the name."""
    counted: tuple[str, ...] = field(default=(), compare=False)
    """The key with rules by their position: what earlier releases made the identity from. Empty where that was the same."""

    @property
    def id(self) -> str:
        """The identity in the list's mark."""
        return f"{self.kind}-{digest([self.kind, self.key, self.domain], 12)}"

    @property
    def ids(self) -> tuple[str, ...]:
        """The identity, and the one that earlier releases gave where that was another."""
        return (self.id, *([replace(self, key=self.counted, counted=()).id] if self.counted else []))


@dataclass(slots=True)
class Findings:
    """What the encoder has to say about rules on its way."""

    target: str
    fidelity: dict[str, Fidelity] = field(default_factory=dict)
    problems: dict[tuple[str, str], Problem] = field(default_factory=dict)

    def state(self, origins: Iterable[Origin], verdict: Verdict, reason: str = "", *, accepted: bool = False) -> None:
        """State how exactly rules are said; the worst word stands."""
        for origin in origins:
            known = self.fidelity.get(origin.rule)
            if known is None or _RANK[known.verdict] < _RANK[verdict]:
                self.fidelity[origin.rule] = Fidelity(origin.rule, self.target, verdict, reason, accepted)

    def refuse(self, points: tuple[PointId, ...], origins: tuple[Origin, ...], reason: str, hint: str) -> None:
        """Refuse rules that cannot be said."""
        self.state(origins, Verdict.CANNOT, reason)
        rules = tuple(sorted({origin.rule for origin in origins}))
        said = ", ".join(rules)
        self.problems.setdefault((said, reason), Problem("FIDELITY", f"{said}: {reason}", hint, rules, points))


_RANK = {Verdict.EXACT: 0, Verdict.STRICTER: 1, Verdict.LOOSER: 2, Verdict.CANNOT: 3}


@dataclass(frozen=True, slots=True)
class Tiers:
    """The tiers of a class: what never, allow and deny rules say. Where the core gives no tiers, allow alone says it all."""

    never: tuple[Term, ...]
    allow: tuple[Term, ...]
    deny: tuple[Term, ...]


def tiers(allowed: Allowed, *, selective: bool) -> Tiers:
    """Return the tiers to write. Deny rules say nothing above a closed default: they belong to `selective`."""
    in_tiers = bool(allowed.whole) or not allowed.terms
    whole, never = (allowed.whole, allowed.never_terms) if in_tiers else (allowed.terms, ())
    return Tiers(never, whole, allowed.closed_terms if selective else ())


@dataclass(slots=True)
class Peers:
    """Resolves the peers of terms, and remembers which lists they ask for."""

    classes: Mapping[tuple[str, Domain], ClassIntent]
    waiting: Mapping[str, AddressSet]
    """List id -> its present entries for workloads that were missing for the first time: they stay one more run."""
    wanted: dict[Selector, AddressSet] = field(default_factory=dict)
    _several: dict[tuple[str, ...], set[AddressSet]] = field(default_factory=dict)

    def addresses(self, peer: ClassPeer | AddressPeer, domain: Domain) -> AddressSet:
        """Return the addresses of a peer as a source, as seen from a domain."""
        if isinstance(peer, AddressPeer):
            return peer.addresses
        known = self.classes.get((peer.class_id, domain))
        return NOWHERE if known is None else known.addresses

    def meet(self, terms: Iterable[Term]) -> None:
        """Take note of terms to come: a rule that needs several lists names them by content, one that needs one list by the rule alone."""
        for term in terms:
            if isinstance(term.peer, AddressPeer) and not term.peer.name:
                self._several.setdefault(_rules_of(term), set()).add(term.peer.addresses)

    def ends(self, term: Term, domain: Domain, route_domain: int) -> Ends | None:
        """Return how a peer stands in a rule: a list, or a few prefixes in place; None for nobody."""
        addresses = self.addresses(term.peer, domain)
        if addresses == ANYWHERE:
            return Ends(words.spans(ANYWHERE, route_domain))
        selector = self._selector(term, domain, route_domain, addresses)
        if selector is not None:
            addresses |= self._held(selector)
        if not addresses:
            return None
        spans = words.spans(addresses, route_domain)
        if selector is None:
            return Ends(spans)
        self.wanted[selector] = addresses
        return Ends(lists=frozenset({selector.id}))

    def reached(self, selector: Selector, addresses: AddressSet) -> Ends:
        """Return how destinations stand in a rule: always as a list, so that they come and go without the rule."""
        self.wanted[selector] = addresses | self._held(selector)
        return Ends(lists=frozenset({selector.id}))

    def _held(self, selector: Selector) -> AddressSet:
        return next((self.waiting[one] for one in selector.ids if one in self.waiting), NOWHERE)

    def _selector(self, term: Term, domain: Domain, route_domain: int, addresses: AddressSet) -> Selector | None:
        peer = term.peer
        if isinstance(peer, ClassPeer):
            known = self.classes.get((peer.class_id, domain))
            labels = "-".join(value for _, value in known.labels.pairs) if known is not None else ""
            return Selector("class", (peer.class_id, domain), route_domain, labels or "unlabeled")
        if peer.name:
            return Selector("iplist", (peer.name,), route_domain, peer.name)
        if sum(1 for _ in addresses.prefixes()) <= INLINE_MOST:
            return None
        rules = _rules_of(term)
        number = digest(addresses.cidrs(), 8) if len(self._several.get(rules, ())) > 1 else ""
        counted = tuple(sorted({origin.rule for origin in term.origins}))
        older = () if counted == rules else (*counted, number)
        return Selector("rule", (*rules, number), route_domain, "internet" if peer.internet else rules[0], older)


def _rules_of(term: Term) -> tuple[str, ...]:
    return tuple(sorted({origin.native for origin in term.origins}))


@dataclass(frozen=True, slots=True)
class Slot:
    """What makes one policy: virtual servers that agree in all of this share it."""

    class_id: str
    domain: Domain
    route_domain: int
    kept: PacketSet | None
    """What stays open of the past: packets, or None for everything that nothing above decides."""
    default: bool
    """Whether the last rule drops the rest."""

    @property
    def id(self) -> str:
        """The identity in the policy's mark."""
        return f"class-{digest([self.class_id, self.domain, self.route_domain], 12)}"


@dataclass(frozen=True, slots=True)
class Reach:
    """Whom rules are about, where that is not clear from where the policy is attached: destinations, and what listens there."""

    to: Ends = EVERYBODY
    within: ServiceSet = ANY_SERVICE


HERE = Reach()
"""In the context of a virtual server: whatever arrives is for it."""

Key = tuple[str, Ends, Native, Ends]
"""Tier, source, services, destination."""


@dataclass(slots=True)
class Draft:
    """The rules of one policy while it is written. Lists go by their selector's id."""

    rules: dict[Key, tuple[Origin, ...]] = field(default_factory=dict)
    logged: set[Key] = field(default_factory=set)


_TIERS = {
    "never": Action.DROP,
    "allow": Action.ACCEPT,
    "deny": Action.DROP,
    "shut": Action.DROP,
    "kept": Action.ACCEPT,
    DEFAULT: Action.DROP,
}
"""Name of a tier -> what its rules do, in the order in which they stand. `shut` cuts what `kept` would open too much."""
NOTHING_ELSE = "cloudsync: nothing else is let in"


def write(draft: Draft, found: Tiers, place: tuple[Domain, int], peers: Peers, reach: Reach = HERE) -> None:
    """Add the never, allow and deny tiers to a policy. `place`: routing domain and route domain."""
    for tier, terms in (("never", found.never), ("allow", found.allow), ("deny", found.deny)):
        for term in terms:
            services = term.services & reach.within
            ends = peers.ends(term, *place) if services else None
            if ends is None:
                continue
            for native in words.natives(services):
                _add(draft, (tier, ends, native, reach.to), term.origins, logged=term.logged)


def _add(draft: Draft, key: Key, origins: tuple[Origin, ...], *, logged: bool = False) -> None:
    draft.rules[key] = tuple(sorted({*draft.rules.get(key, ()), *origins}, key=lambda one: one.native))
    if logged:
        draft.logged.add(key)


def keep(draft: Draft, kept: PacketSet | None, route_domain: int, reach: Reach = HERE) -> None:
    """Add what stays open of the past: all the rest, or exactly these packets."""
    if kept is None:
        _box(draft, "kept", (ANYWHERE, reach.within), route_domain, reach)
        return
    for addresses, services in kept.products():
        if len(words.natives(services)) <= WIDE_FROM:
            _box(draft, "kept", (addresses, services), route_domain, reach)
            continue
        for shut in (PacketSet.of(addresses, reach.within) - kept).products():
            _box(draft, "shut", shut, route_domain, reach)
        _box(draft, "kept", (addresses, reach.within), route_domain, reach)


WIDE_FROM = 12
"""More protocols than this are said as an exception: a few rules that shut, and one that keeps everything else."""


def _box(draft: Draft, tier: str, box: tuple[AddressSet, ServiceSet], route_domain: int, reach: Reach) -> None:
    ends = Ends(words.spans(box[0], route_domain))
    for native in words.natives(box[1]):
        _add(draft, (tier, ends, native, reach.to), (KEPT,))


def close(draft: Draft, reach: Reach, sources: Ends = EVERYBODY) -> None:
    """Let nothing else in at some destinations: never at all of them, because not all of them are ours."""
    assert not reach.to.any, "a drop of everything belongs to the context of one virtual server"
    for native in words.natives(reach.within):
        _add(draft, (DEFAULT, sources, native, reach.to), ())


def finished(draft: Draft, *, default: bool) -> tuple[Rule, ...]:
    """Return the rules in their order: tier by tier; inside a tier, where order decides nothing, by the policy rules behind them."""
    ranks = {tier: rank for rank, tier in enumerate(_TIERS)}

    def place(key: Key) -> tuple[object, ...]:
        tier, ends, native, to = key
        return ranks[tier], [one.native for one in draft.rules[key]], native, _ends_key(ends), _ends_key(to)

    found: list[Rule] = []
    names: set[str] = set()
    for key in sorted(draft.rules, key=place):
        tier, ends, native, to = key
        origins = draft.rules[key]
        known = _rule_name(key, names)
        names.add(known)
        said = NOTHING_ELSE if tier == DEFAULT else description(origins)
        found.append(Rule(known, _TIERS[tier], ends, to, native, logged=key in draft.logged, description=said, origins=origins))
    if default:
        found.append(Rule(DEFAULT, Action.DROP, description=NOTHING_ELSE))
    return tuple(found)


def _ends_key(ends: Ends) -> list[str]:
    return [*sorted(ends.lists), *(one.text() for one in sorted(ends.spans))]


def _rule_name(key: Key, taken: set[str]) -> str:
    tier, ends, native, to = key
    content = [tier, _ends_key(ends), native.protocol, native.ports, native.icmp, *([] if to.any else [_ends_key(to)])]
    length = 8
    while f"{tier}_{digest(content, length)}" in taken:
        length += 4
    return f"{tier}_{digest(content, length)}"


def description(origins: Iterable[Origin]) -> str:
    """Return the rules behind a rule as a device takes them: printable, not too long. For people; never read back as truth."""
    text = _NOT_IN_DESCRIPTIONS.sub("_", ", ".join(dict.fromkeys(origin.native for origin in origins)))
    return text if len(text) <= DESCRIPTION_MOST else text[: DESCRIPTION_MOST - 3] + "..."


def state_terms(found: Tiers, points: tuple[PointId, ...], findings: Findings) -> None:
    """State how exactly each rule is said: everything but processes is."""
    for term in (*found.never, *found.allow, *found.deny):
        if term.process and Accept.PORT_ONLY not in term.accept:
            reason = f"a firewall knows no process ({term.process}); the port alone would be looser"
            findings.refuse(points, term.origins, reason, "accept it in the rule: port-only ok")
        elif term.process:
            findings.state(term.origins, Verdict.LOOSER, "any process may use the port", accepted=True)
        else:
            findings.state(term.origins, Verdict.EXACT)

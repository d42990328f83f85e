"""The sentence that would allow what was asked, as narrow as labels can say it, and the ruleset it fits in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cloudsync.compile.universe import Universe
from cloudsync.model.address import AddressSet
from cloudsync.model.finding import Where
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import Labels, Workload
from cloudsync.policy.values import IpList, LabelSelector, Policy
from cloudsync.policy.words import is_name
from cloudsync.proof.ends import Party


@dataclass(frozen=True, slots=True)
class Opening:
    """A sentence for one ruleset; `first` is what has to be declared before, e.g. an IP list."""

    sentence: str
    ruleset: str
    where: Where
    first: str = ""


@dataclass(frozen=True, slots=True)
class _Home:
    """One scope of one ruleset; `alone` when it is the ruleset's only one."""

    name: str
    where: Where
    scope: LabelSelector | None
    alone: bool


def opening(policy: Policy, universe: Universe, source: Party, destination: Party, service: str) -> Opening | None:
    """Return the narrowest sentence, None when no ruleset can hold it."""
    ends = (source, destination)
    best: tuple[int, bool, _Home] | None = None
    for home in _homes(policy):
        inner = destination if destination.workload is not None else source
        if not _inside(home.scope, inner.workload):
            continue
        inside = source.workload is None or _inside(home.scope, source.workload)
        rank = (len(home.scope.clauses) if home.scope else 0, inside)
        if best is None or rank > best[:2]:
            best = (*rank, home)
    if best is None:
        return None
    _, inside, home = best
    words, first = [], ""
    for end in ends:
        if end.workload is not None:
            free = end is source and not inside
            words.append(("outside " if free else "") + _labels(universe, end.workload, None if free else home))
        else:
            word, declare = _addresses(policy, end)
            words.append(word)
            first = declare or first
    return Opening(f"allow {words[0]} to {words[1]} on {service}", home.name, home.where, first)


def _homes(policy: Policy) -> Iterator[_Home]:
    for ruleset in policy.rulesets:
        scopes = tuple(dict.fromkeys(scope for rule in policy.rules if rule.ruleset == ruleset.name for scope in rule.scopes))
        for scope in scopes:
            yield _Home(ruleset.name, ruleset.where, scope, alone=len(scopes) == 1)


def _inside(scope: LabelSelector | None, workload: Workload | None) -> bool:
    return scope is None or (workload is not None and all(workload.labels.get(key) in values for key, values in scope.clauses))


def _labels(universe: Universe, workload: Workload, home: _Home | None) -> str:
    """Return the labels that make the workload's class; what the only scope of its ruleset says already is left out."""
    labels = next((group.labels for group in universe.classes if workload in group.workloads), Labels())
    if not labels:
        return f"workload {workload.name}" if is_name(workload.name) else f'workload "{workload.ref or workload.name}"'
    said: set[str] = set()
    if home is not None and home.alone and home.scope is not None:
        said = {key for key, values in home.scope.clauses if len(values) == 1}
    left = [f"{key}={value}" for key, value in labels.pairs if key not in said]
    return " ".join(sorted(left, key=lambda one: not one.startswith("role="))) or "all workloads"


def _addresses(policy: Policy, end: Party) -> tuple[str, str]:
    """Return the words for addresses, and what to declare first: the smallest IP list in use that holds them, else a new one."""
    if end.plain:
        return end.plain, ""
    holding = [one for one in _lists(policy) if end.only <= one.addresses]
    if holding:
        return f"iplist {min(holding, key=lambda one: (one.addresses.size, one.name)).name}", ""
    return "iplist NAME", f"iplists: {{NAME: [{_quoted(end.only)}]}}"


def _quoted(addresses: AddressSet) -> str:
    text = addresses.text()
    return f'"{text}"' if ":" in text else text


def _lists(policy: Policy) -> Iterable[IpList]:
    found = {base for rule in policy.rules for who in (*rule.sources, *rule.destinations) for base in (who.base,)}
    return [base for base in found if isinstance(base, IpList)]

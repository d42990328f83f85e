"""What the policy can tell workloads apart by, and an inventory in the groups that are alike in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

from cloudsync.compile import columns
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import Workload, WorkloadId
from cloudsync.policy.values import Base, LabelSelector, NamedWorkload, Policy, UnlabeledWorkloads

if TYPE_CHECKING:
    from cloudsync.compile.survey import Labelled

MANY = 1 << 17
"""From so many workloads on grouping them in arrays is worth the import of numpy; see `make bench`."""

_by_id = attrgetter("id")


def used_keys(policy: Policy) -> frozenset[str]:
    """Return the label keys that any selector of the policy mentions: they alone can tell workloads apart."""
    keys: set[str] = set()
    for selector in selectors(policy):
        if isinstance(selector, LabelSelector):
            keys.update(key for key, _ in selector.clauses)
    return frozenset(keys)


def selectors(policy: Policy) -> Iterator[Base]:
    """Yield every selector of a policy, wherever it stands."""
    for rule in policy.rules:
        yield from (scope for scope in rule.scopes if scope is not None)
        for who in (*rule.sources, *rule.destinations):
            yield from (who.base, *who.excluded)
    for line in policy.enforcement:
        if line.scope is not None:
            yield line.scope
    for test in policy.tests:
        for who in (*test.sources, *test.destinations):
            yield from (who.base, *who.excluded)


Pairs = tuple[tuple[str, str], ...]
Maker = tuple[Pairs, str, bool, bool]
"""What makes a class: its labels, the names it is picked by (one per line), whether it has no label at all, whether it is given back."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """What makes a class of a workload under one policy."""

    keys: frozenset[str]
    named: frozenset[str]
    """Names and native ids that the policy picks workloads by."""
    bare: bool
    """The policy speaks of unlabeled workloads."""
    released: frozenset[WorkloadId]

    @classmethod
    def of(cls, policy: Policy, released: frozenset[WorkloadId]) -> Grouping:
        """Return the grouping of a policy; `released` workloads are given back."""
        named = frozenset(base.name for base in selectors(policy) if isinstance(base, NamedWorkload))
        bare = any(isinstance(base, UnlabeledWorkloads) for base in selectors(policy))
        return cls(used_keys(policy), named, bare, released)

    def plain(self, workload: Workload) -> bool:
        """Tell whether labels alone decide on its class."""
        named, released = self.named, self.released
        return not (named and (workload.name in named or workload.ref in named)) and not (released and workload.id in released)

    def maker(self, workload: Workload) -> Maker:
        """Return what makes the class of a workload."""
        pairs = workload.labels.pairs
        called = "\n".join(sorted({workload.name, workload.ref} & self.named)) if self.named else ""
        kept = tuple([pair for pair in pairs if pair[0] in self.keys])
        return kept, called, self.bare and not pairs, workload.id in self.released

    def parts(self, workloads: Sequence[Workload]) -> Parts:
        """Return an inventory in its classes."""
        if len(workloads) >= MANY and columns.available():
            return self._at_once(workloads)
        makers: dict[Maker, list[Workload]] = {}
        alike: dict[int, list[Workload]] = {}
        simple = not self.named and not self.released
        for workload in workloads:
            plain = simple or self.plain(workload)
            members = alike.get(id(workload.labels)) if plain else None
            if members is None:
                members = makers.setdefault(self.maker(workload), [])
                if plain:
                    alike[id(workload.labels)] = members
            members.append(workload)
        return Parts(list(makers), [tuple(sorted(each, key=_by_id)) if len(each) > 1 else tuple(each) for each in makers.values()])

    def _at_once(self, workloads: Sequence[Workload]) -> Parts:
        """Do the same in arrays: labels decide about all but those whom the policy picks by name, and those given back."""
        from cloudsync.compile import survey

        rows = survey.called(workloads, self.named, self.released)
        found = survey.labelled(workloads, rows, self.keys, bare=self.bare)
        makers: list[Maker] = [(pairs, "", self.bare and number == found.unlabeled, False) for number, pairs in enumerate(found.kept())]
        known: dict[Maker, int] = {}
        others = [known.setdefault(self.maker(workloads[row]), len(makers) + len(known)) for row in rows]
        makers += known
        arrays = found.with_others(rows, others, [maker[0] for maker in known])
        return Parts(makers, survey.members(workloads, arrays.numbers, len(makers)), arrays)


@dataclass(frozen=True, slots=True)
class Parts:
    """An inventory in classes, in no order: what makes each, and its workloads ordered by id."""

    makers: list[Maker]
    members: list[tuple[Workload, ...]]
    arrays: Labelled | None = None
    """The same in arrays, where these were used."""

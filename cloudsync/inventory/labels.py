"""Labels from what platforms say: an ordered list of sources, the first that yields a text decides, the vocabulary is closed.

Whoever can set a tag can set a label, so a label is never guessed: a text that is no value of its key gives a warning and no label.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from enum import Enum

from cloudsync.model.finding import Finding, Severity, Where
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import Labels
from cloudsync.policy.characters import shown
from cloudsync.policy.words import did_you_mean, listed

CASELESS_TAGS = frozenset({"azure"})
"""Platforms whose tag keys differ in case only by mistake (Azure Resource Manager: tag names are case-insensitive)."""


class Pick(Enum):
    """Where a label source looks."""

    STATIC = "static"
    TAG = "tag"
    NAME = "name"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class LabelSource:
    """One line of `labels_from`: pick a text, replace it by `value`, lower it, map it, in this order."""

    label: str
    pick: Pick
    key: str
    """Tag key, pattern on the name, or account."""
    where: Where
    value: str = ""
    lower: bool = False
    map: tuple[tuple[str, str], ...] = ()

    def text(self, subject: Subject) -> str:
        """Return the label value that this source gives; empty when it gives none."""
        picked = self._picked(subject)
        if picked is None:
            return ""
        text = self.value or picked
        text = text.lower() if self.lower else text
        return dict(self.map).get(text, text)

    def _picked(self, subject: Subject) -> str | None:
        if self.pick is Pick.TAG:
            return subject.tag(self.key)
        if self.pick is Pick.ACCOUNT:
            return subject.account if subject.account == self.key else None
        match = re.search(self.key, subject.name)
        if match is None:
            return None
        return (match[1] or "") if match.re.groups else match[0]

    def said(self, subject: Subject) -> str:
        """Return where the text came from, for reports and warnings."""
        if self.pick is Pick.TAG:
            return f"tag {shown(self.key)}={shown(subject.tag(self.key) or '')}"
        return f"account {subject.account}" if self.pick is Pick.ACCOUNT else f"name '{shown(subject.name)}'"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a label source looks at: one discovered workload."""

    name: str
    account: str
    tags: Mapping[str, str]
    caseless: bool = False

    @classmethod
    def of(cls, name: str, account: str, tags: Iterable[tuple[str, str]], platform: str) -> Subject:
        """Return the subject; tag keys compare as the platform compares them."""
        caseless = platform in CASELESS_TAGS
        return cls(name, account, {key.lower() if caseless else key: value for key, value in tags}, caseless)

    def tag(self, key: str) -> str | None:
        """Return the value of a tag, None when it is absent."""
        return self.tags.get(key.lower() if self.caseless else key)


@dataclass(slots=True)
class Misses:
    """Texts that are no label value, gathered over all workloads so that one wrong tag value is one warning."""

    _names: dict[tuple[LabelSource, str, str], list[str]] = field(default_factory=dict)

    def add(self, source: LabelSource, text: str, said: str, name: str) -> None:
        """Note one workload."""
        self._names.setdefault((source, text, said), []).append(name)

    def findings(self, vocabulary: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
        """Yield one warning for each source and text, in the order they came up."""
        for (source, text, said), names in self._names.items():
            of = f"{shown(names[0])}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
            message = f"{said} of {of}: label '{source.label}' has no value '{shown(text)}', so it is left out"
            known = vocabulary.get(source.label, ())
            hint = did_you_mean(text, known, f"known: {listed(known)}" if known else "declare the key under labels:")
            yield Finding(source.where, "UNKNOWN-VALUE", message, hint, Severity.WARNING)


@dataclass(frozen=True, slots=True)
class Mapper:
    """The mapping of one run: sources in order, keys locked to one kind of source, the vocabulary."""

    sources: tuple[LabelSource, ...]
    locks: Mapping[str, Pick]
    vocabulary: Mapping[str, Sequence[str]]
    misses: Misses = field(default_factory=Misses)
    _known: dict[str, frozenset[str]] = field(default_factory=dict)

    def _knows(self, key: str, value: str) -> bool:
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = frozenset(self.vocabulary.get(key, ()))
        return value in known

    def locked(self, static: Labels) -> tuple[str, ...]:
        """Return the keys that a static entry may not give to a discovered workload."""
        return tuple(key for key, _ in static.pairs if self.locks.get(key, Pick.STATIC) is not Pick.STATIC)

    def labels(self, subject: Subject, static: Labels) -> tuple[Labels, str]:
        """Return a workload's labels and, for reports, what gave each. Static labels win key by key where the key is not locked away."""
        locked = self.locked(static)
        found = {key: value for key, value in static.pairs if key not in locked}
        given = [f"{key}: static" for key in found]
        decided = set(found)
        for source in self.sources:
            if source.label in decided or self.locks.get(source.label, source.pick) is not source.pick:
                continue
            text = source.text(subject)
            if not text:
                continue
            decided.add(source.label)
            if self._knows(source.label, text):
                found[source.label] = text
                given.append(f"{source.label}: {source.said(subject)}")
            else:
                self.misses.add(source, text, source.said(subject), subject.name)
        return Labels.of(found), "; ".join(sorted(given))


def check_sources(sources: Iterable[LabelSource], vocabulary: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Yield a warning for every source that gives a label outside the vocabulary whatever is found: its line helps nobody."""
    for source in sources:
        known = vocabulary.get(source.label)
        if known is None:
            hint = did_you_mean(source.label, vocabulary, f"declared: {listed(vocabulary)}")
            yield Finding(source.where, "UNKNOWN-LABEL", f"no label '{source.label}' is declared in the policy", hint, Severity.WARNING)
            continue
        mapped = dict(source.map)
        value = source.value.lower() if source.lower else source.value
        given = [mapped.get(value, value)] if value else list(mapped.values())
        for text in dict.fromkeys(given):
            if text not in known:
                hint = did_you_mean(text, known, f"known: {listed(known)}")
                yield Finding(source.where, "UNKNOWN-VALUE", f"label '{source.label}' has no value '{shown(text)}'", hint, Severity.WARNING)

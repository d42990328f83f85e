"""Policies as plain structures, written out as YAML text by hand: the oracle never parses what the product parses.

A structure knows two things about itself: how to say itself in the policy language, and nothing else. What it means is in `reading.py`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Labelled:
    """`role=web|app env=prod`; a value may be the name of a label group of that key."""

    clauses: tuple[tuple[str, tuple[str, ...]], ...]

    def text(self) -> str:
        return " ".join(f"{key}={'|'.join(values)}" for key, values in self.clauses)


@dataclass(frozen=True)
class Everyone:
    """`all workloads`."""

    def text(self) -> str:
        return "all workloads"


@dataclass(frozen=True)
class Unlabelled:
    """`unlabeled workloads`."""

    def text(self) -> str:
        return "unlabeled workloads"


@dataclass(frozen=True)
class Named:
    """`workload NAME`."""

    name: str

    def text(self) -> str:
        return f"workload {self.name}"


@dataclass(frozen=True)
class Listed:
    """`iplist NAME`."""

    name: str

    def text(self) -> str:
        return f"iplist {self.name}"


@dataclass(frozen=True)
class Place:
    """`anywhere`, `strangers` or `internet`."""

    word: str

    def text(self) -> str:
        return self.word


Machines = Labelled | Everyone | Unlabelled | Named
Base = Machines | Listed | Place
MACHINES = (Labelled, Everyone, Unlabelled, Named)


@dataclass(frozen=True)
class End:
    """One WHO."""

    base: Base
    excepted: tuple[Base, ...] = ()
    outside: bool = False

    def text(self) -> str:
        words = "outside " if self.outside else ""
        return words + self.base.text() + "".join(f" except {one.text()}" for one in self.excepted)


@dataclass(frozen=True)
class Traffic:
    """One atom of a WHAT. `protocol` None is any service; `low..high` are ports, or one ICMP type when the protocol is 1 or 58."""

    words: str
    protocol: int | None
    low: int = 0
    high: int = 65535
    whole: bool = True


@dataclass(frozen=True)
class What:
    """One WHAT as written, and the atoms it stands for (several for a named service)."""

    words: str
    atoms: tuple[Traffic, ...]


@dataclass(frozen=True)
class Sentence:
    """One rule."""

    action: str
    sources: tuple[End, ...]
    destinations: tuple[End, ...]
    services: tuple[What, ...]
    expired: bool | None = None
    """None without `until`; True when `until` is in the past, False when it is far in the future."""
    accept: tuple[str, ...] = ()
    name: str = ""
    because: str = ""
    logged: bool = False
    long_form: bool = False
    reading_voice: bool = False

    @property
    def until(self) -> str:
        return "" if self.expired is None else ("2020-01-01T00:00:00Z" if self.expired else "2199-01-01T00:00:00Z")

    def text(self) -> str:
        to = "to reach" if self.reading_voice else "to"
        said = f"{self.action} {ends(self.sources)} {to} {ends(self.destinations)} on {', '.join(w.words for w in self.services)}"
        if self.until:
            said += f" until {self.until}"
        if self.because:
            said += f' because "{self.because}"'
        if self.logged:
            said += " logged"
        return said + "".join(f" {word} ok" for word in self.accept)

    def yaml(self) -> str:
        """Return the list item: a quoted sentence, or the long form."""
        if not self.long_form:
            if not self.name:
                return json.dumps(self.text())
            return f"{{id: {self.name}, {self._key()}: {self._ends()}{self._clauses()}}}"
        inner = f"{self._key()}: {self._ends()}{self._clauses()}"
        return f"{{id: {self.name}, {inner}}}" if self.name else f"{{{inner}}}"

    def _key(self) -> str:
        return "never" if self.action == "never allow" else self.action

    def _ends(self) -> str:
        sources = json.dumps([one.text() for one in self.sources]) if len(self.sources) > 1 else json.dumps(self.sources[0].text())
        there = json.dumps([one.text() for one in self.destinations])
        services = json.dumps([one.words for one in self.services]) if len(self.services) > 1 else json.dumps(self.services[0].words)
        return f"{{from: {sources}, to: {there}, services: {services}}}"

    def _clauses(self) -> str:
        said = f", until: {json.dumps(self.until)}" if self.until else ""
        said += f", because: {json.dumps(self.because)}" if self.because else ""
        said += ", logged: true" if self.logged else ""
        return said + (f", accept: {json.dumps(list(self.accept))}" if self.accept else "")


def ends(many: tuple[End, ...]) -> str:
    """Return a comma separated list of WHOs."""
    return ", ".join(one.text() for one in many)


@dataclass(frozen=True)
class Chapter:
    """A ruleset; no scopes means `all`, several are each evaluated on their own."""

    name: str
    scopes: tuple[Labelled, ...]
    rules: tuple[Sentence, ...]

    def yaml(self) -> str:
        if not self.scopes:
            scope = "all"
        elif len(self.scopes) == 1:
            scope = json.dumps(self.scopes[0].text())
        else:
            scope = json.dumps([one.text() for one in self.scopes])
        lines = [f"  - name: {self.name}", f"    scope: {scope}", "    owner: oracle", "    rules:"]
        return "\n".join([*lines, *(f"      - {rule.yaml()}" for rule in self.rules)])


@dataclass(frozen=True)
class Held:
    """One line of `enforcement` (scope None is the default)."""

    scope: Labelled | None
    mode: str
    egress: str = "leave"
    closed: tuple[What, ...] = ()

    def yaml(self) -> str:
        parts = [f"mode: {self.mode}", f"egress: {self.egress}"]
        if self.scope is not None:
            parts.insert(0, f"scope: {json.dumps(self.scope.text())}")
        if self.closed:
            parts.append(f"services: {json.dumps([one.words for one in self.closed])}")
        return "{" + ", ".join(parts) + "}"


@dataclass(frozen=True)
class Book:
    """A whole policy."""

    vocabulary: dict[str, tuple[str, ...]]
    groups: dict[str, tuple[str, tuple[str, ...]]]
    """Name -> (key, values)."""
    lists: dict[str, tuple[str, ...]]
    services: dict[str, tuple[Traffic, ...]]
    default: Held
    enforcement: tuple[Held, ...]
    chapters: tuple[Chapter, ...]
    notes: tuple[str, ...] = field(default=())

    def yaml(self) -> str:
        """Return the text of one policy file."""
        out = ["version: 1", "labels:"]
        out += [f"  {key}: {json.dumps(list(values))}" for key, values in self.vocabulary.items()]
        if self.groups:
            out.append("label_groups:")
            out += [f"  {name}: {{{key}: {json.dumps(list(values))}}}" for name, (key, values) in self.groups.items()]
        if self.lists:
            out.append("iplists:")
            out += [f"  {name}: {json.dumps(list(entries))}" for name, entries in self.lists.items()]
        if self.services:
            out.append("services:")
            out += [f"  {name}: {json.dumps([atom.words for atom in atoms])}" for name, atoms in self.services.items()]
        out += ["enforcement:", f"  default: {self.default.yaml()}"]
        if self.enforcement:
            out.append("  rules:")
            out += [f"    - {line.yaml()}" for line in self.enforcement]
        out.append("rulesets:")
        out += [chapter.yaml() for chapter in self.chapters]
        return "\n".join(out) + "\n"

    def without(self, ruleset: str, number: int) -> Book:
        """Return the policy without one rule (number counted from 1), and without its ruleset if that leaves it empty."""
        kept: list[Chapter] = []
        for chapter in self.chapters:
            rules = tuple(rule for at, rule in enumerate(chapter.rules, 1) if (chapter.name, at) != (ruleset, number))
            if rules:
                kept.append(Chapter(chapter.name, chapter.scopes, rules))
        return Book(self.vocabulary, self.groups, self.lists, self.services, self.default, self.enforcement, tuple(kept), self.notes)

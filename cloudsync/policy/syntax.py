"""The syntax of sentences as values: what was written, word by word with its place, before any name is looked up.

Places take no part in comparison, so a sentence equals its canonical form when they say the same in the same words.
"""

from __future__ import annotations

from dataclasses import field
from enum import Enum

from cloudsync.model.finding import Where
from cloudsync.model.mode import Accept
from cloudsync.model.quick import dataclass
from cloudsync.policy.place import Piece
from cloudsync.policy.values import Action, Expectation


@dataclass(frozen=True, slots=True)
class Word:
    """One word (or quoted text, without its quotes) and where it stands."""

    text: str
    piece: Piece = field(compare=False, repr=False)
    at: int = field(default=0, compare=False, repr=False)
    """Offset in the text of the piece."""

    @property
    def where(self) -> Where:
        """Return the place in the file."""
        return self.piece.place(self.at)

    def renamed(self, text: str) -> Word:
        """Return another word at the same place."""
        return Word(text, self.piece, self.at)


class Plain(Enum):
    """Selectors that need no name; the value is how they are written."""

    ALL = "all workloads"
    UNLABELED = "unlabeled workloads"
    ANYWHERE = "anywhere"
    STRANGERS = "strangers"
    INTERNET = "internet"


@dataclass(frozen=True, slots=True)
class PlainBase:
    """`all workloads`, `unlabeled workloads`, `anywhere`, `strangers` or `internet`."""

    kind: Plain
    word: Word


@dataclass(frozen=True, slots=True)
class NamedBase:
    """`workload NAME` or `iplist NAME`."""

    iplist: bool
    name: Word


@dataclass(frozen=True, slots=True)
class Term:
    """`key=value|value`; without a key it is a bare word, whose key the vocabulary tells."""

    key: Word | None
    values: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class LabelsBase:
    """One or more label terms, all of which must hold."""

    terms: tuple[Term, ...]


BaseTree = PlainBase | NamedBase | LabelsBase


@dataclass(frozen=True, slots=True)
class WhoTree:
    """`[outside] base [except base]`."""

    base: BaseTree
    excluded: BaseTree | None = None
    outside: Word | None = None


@dataclass(frozen=True, slots=True)
class Clauses:
    """What follows the services of a rule; every clause at most once."""

    process: Word | None = None
    until: Word | None = None
    because: Word | None = None
    owner: Word | None = None
    logged: bool = False
    accept: tuple[Accept, ...] = ()
    """In the order of the `Accept` enumeration."""


NO_CLAUSES = Clauses()
ANY = "any service"


@dataclass(frozen=True, slots=True)
class RuleTree:
    """A rule as written."""

    action: Action
    sources: tuple[WhoTree, ...]
    destinations: tuple[WhoTree, ...]
    services: tuple[Word, ...]
    clauses: Clauses = NO_CLAUSES


@dataclass(frozen=True, slots=True)
class TestTree:
    """A policy test as written."""

    __test__ = False  # not a test case, whatever a test runner thinks of the name

    expectation: Expectation
    sources: tuple[WhoTree, ...]
    destinations: tuple[WhoTree, ...]
    services: tuple[Word, ...]

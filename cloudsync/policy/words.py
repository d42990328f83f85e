"""The words of the grammar, what a name looks like, and the nearest word to a mistyped one."""

from __future__ import annotations

from collections.abc import Iterable

from cloudsync.model.mode import Accept
from cloudsync.model.service import PROTOCOLS

NAME_LENGTH = 63
_NAME_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_.-")
WANT_NAME = "want a-z, 0-9, '_', '.', '-', at most 63, the first a letter or a digit"

ACCEPTS = {accept.value: accept for accept in Accept}
STOP_WORDS = frozenset({"to", "on", "except", "can", "cannot", "may", "by", "until", "because", "owned", "logged", "reach", *ACCEPTS})
"""Words that end a list of labels."""
BASE_WORDS = frozenset({"all", "unlabeled", "workload", "iplist", "anywhere", "strangers", "internet"})
GRAMMAR_WORDS = (
    STOP_WORDS
    | BASE_WORDS
    | frozenset({"allow", "deny", "never", "only", "outside", "workloads", "any", "service", "process", "ok"})
    | frozenset(PROTOCOLS)
)
"""Words with a meaning of their own: no label value, label key or name of an object may be one of them."""


def is_name(text: str) -> bool:
    """Tell whether a text is a name: `[a-z0-9][a-z0-9_.-]{0,62}`."""
    return 0 < len(text) <= NAME_LENGTH and text[0] not in "_.-" and _NAME_LETTERS.issuperset(text)


def is_number(text: str) -> bool:
    """Tell whether a text is ASCII digits only (`int` would read other scripts too)."""
    return text.isascii() and text.isdigit()


def nearest(word: str, candidates: Iterable[str]) -> str:
    """Return the candidate that a typing mistake most likely meant, empty when none is near; ties go to the first in the alphabet."""
    limit = 1 if len(word) <= 3 else 2 if len(word) <= 7 else 3
    best, found = limit + 1, ""
    for candidate in sorted(set(candidates)):
        if abs(len(candidate) - len(word)) >= best:
            continue
        steps = _distance(word.lower(), candidate)
        if steps < best and steps < len(candidate):
            best, found = steps, candidate
    return found


def did_you_mean(word: str, candidates: Iterable[str], otherwise: str = "") -> str:
    """Return the hint `did you mean 'x'`, or what else to say."""
    found = nearest(word, candidates)
    return f"did you mean '{found}'" if found else otherwise


def listed(words: Iterable[str], most: int = 8) -> str:
    """Return words for a hint: `a, b, c and 4 more`."""
    every = list(words)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")


def _distance(a: str, b: str) -> int:
    """Return how many letters were added, left out, changed or swapped with a neighbour."""
    before: list[int] = []
    above = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, above = above, row
    return above[-1]

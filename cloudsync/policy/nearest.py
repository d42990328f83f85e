"""The word that was probably meant: edit distance with swaps, small enough to cost nothing."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate closest to a word (a third of its letters may differ, at least one), None when none is; ties in text order."""
    most = max(1, len(word) // 3)
    best: tuple[int, str] | None = None
    for candidate in candidates:
        if abs(len(candidate) - len(word)) > most:
            continue
        found = (_distance(word.lower(), candidate.lower()), candidate)
        if found[0] <= most and (best is None or found < best):
            best = found
    return best[1] if best else None


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return the hint "did you mean 'x'", or an empty text."""
    found = nearest(word, candidates)
    return f"did you mean '{found}'" if found else ""


def _distance(left: str, right: str) -> int:
    """Return the optimal string alignment distance: insert, delete, replace, swap of neighbours cost 1 each."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        older, before = before, row
        row = [i]
        for j, b in enumerate(right, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
    return row[-1]

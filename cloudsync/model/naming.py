"""What rules are called in what is written on a platform: `ruleset/id`, `ruleset@hash` from the sentence, or `ruleset#N` by position.

The last is what earlier releases wrote; see docs/decisions 147 and 148.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import Enum
from functools import lru_cache

_NAME = re.compile(r"([a-z0-9][a-z0-9_.-]*)(?:(/)[a-z0-9][a-z0-9_.-]*|(@)[0-9a-f]{10}(?:\.[1-9][0-9]*)?|(#)[1-9][0-9]*)")
CUT = "..."
"""What ends a description in which not all names found room."""


class Naming(Enum):
    """How a name came about."""

    GIVEN = "/"
    """The policy gives it: `ruleset/id`."""
    MADE = "@"
    """Made from the sentence: `ruleset@hash`."""
    COUNTED = "#"
    """Counted: `ruleset#N`. Whatever stands natively under such a name was written by an earlier release."""


@lru_cache(maxsize=16384)
def naming(name: str) -> tuple[str, Naming] | None:
    """Return the ruleset of a rule's name and how it came about; None for what names no rule, e.g. `kept`."""
    found = _NAME.fullmatch(name)
    return None if found is None else (found[1], Naming(found[2] or found[3] or found[4]))


def older(standing: Sequence[str], wanted: Iterable[str]) -> bool:
    """Tell whether names that stand on a platform say what is wanted but for the numbers that earlier releases wrote.

    Then nothing has to be written for their sake. Names alone are compared: that all else is as wanted is for the caller to see.
    """
    whole = not (standing and standing[-1].endswith(CUT))
    there, names = set(standing if whole else standing[:-1]), set(wanted)
    surplus, lacking = there - names, names - there
    if not surplus or not lacking:
        return False
    before, after = _rulesets(surplus, Naming.COUNTED), _rulesets(lacking, Naming.MADE)
    if before is None or (after is None and whole):
        return False
    return before == after if whole else before <= {found[0] for name in lacking if (found := naming(name)) is not None}


def _rulesets(names: Iterable[str], how: Naming) -> set[str] | None:
    """Return the rulesets of names, None where one of them did not come about that way."""
    found = [naming(name) for name in names]
    return {one[0] for one in found if one is not None} if all(one is not None and one[1] is how for one in found) else None

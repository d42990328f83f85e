"""How our rules have to stand to foreign ones that stay: bounds on their numbers.

Additive: our nevers above foreign allows; our allows above foreign denies only where the settings say so, else below every one that meets
them. Exclusive: everything of ours above every foreign rule that acts on held points. Bounds that the band cannot meet are let go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cloudsync.model.address import AddressSet
from cloudsync_azure.chain import Line, overlap
from cloudsync_azure.limits import PRIORITY_LAST
from cloudsync_azure.table import Rule, Tier
from cloudsync_azure.tiers import Want

NONE = (0, PRIORITY_LAST + 1)


@dataclass(frozen=True, slots=True)
class Stand:
    """What decides: the direction's rules as they are met behind the NSG, the held addresses, and what the target's mode permits."""

    lines: tuple[Line, ...]
    own: AddressSet
    exclusive: bool
    outrank: bool
    band: tuple[int, int]


def stand(wanted: Iterable[Want], stay: Iterable[Rule], terms: Stand) -> list[tuple[int, int]]:
    """Return, for each wanted rule, the number it must be greater than and the one it must be less than."""
    names = {rule.name for rule in stay}
    lines = [line for line in terms.lines if line.rule.name in names and not line.rule.ours and line.rule.priority <= PRIORITY_LAST]
    if not lines:
        return [NONE for _ in wanted]
    first = terms.band[0]
    if terms.exclusive:
        below = min((line.rule.priority for line in lines if line.rule.priority > first and overlap(line.own, terms.own)), default=NONE[1])
        return [(0, below) for _ in wanted]
    return [_additive(want, lines, terms) for want in wanted]


def _additive(want: Want, lines: list[Line], terms: Stand) -> tuple[int, int]:
    above, below = NONE
    if want.tier is Tier.NEVER:
        below = min((line.rule.priority for line in _met(want, lines, deny=False) if line.rule.priority > terms.band[0]), default=below)
    elif want.tier is Tier.ALLOW and terms.outrank:
        below = min((line.rule.priority for line in _met(want, lines, deny=True) if line.rule.priority > terms.band[0]), default=below)
    elif want.tier is Tier.ALLOW:
        above = max((line.rule.priority for line in _met(want, lines, deny=True)), default=above)
    return above, below


def _met(want: Want, lines: list[Line], *, deny: bool) -> list[Line]:
    """Return the foreign rules of one action that meet a rule of ours in some packet; what cannot be read is taken to."""
    packets = want.packets
    return [
        line
        for line in lines
        if line.rule.deny is deny and overlap(line.own, want.own) and (bool(line.uncertain) or bool(line.packets & packets))
    ]

"""How Azure counts an NSG: rules of both directions together, addresses per side over all rules; and what a plan needs of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cloudsync.adapter import Problem
from cloudsync.model.quick import dataclass
from cloudsync.model.size import Size
from cloudsync_azure.payload import prefixes
from cloudsync_azure.settings import AzureSettings
from cloudsync_azure.table import AzureTable, Nsg, Rule


@dataclass(frozen=True, slots=True)
class Load:
    """What an NSG holds."""

    rules: int
    sources: int
    destinations: int

    @property
    def addresses(self) -> int:
        """The greater of the two sums, which the limit bounds."""
        return max(self.sources, self.destinations)


def load(rules: Iterable[Rule]) -> Load:
    """Count rules and the addresses on either side."""
    kept = list(rules)
    return Load(len(kept), sum(prefixes(one.source) for one in kept), sum(prefixes(one.destination) for one in kept))


def fits(rules: Iterable[Rule], settings: AzureSettings) -> bool:
    """Tell whether an NSG takes these rules."""
    held = load(rules)
    return held.rules <= settings.quotas.rules_per_nsg and held.addresses <= settings.quotas.addresses_per_nsg


def quota_problems(actual: AzureTable, desired: AzureTable, settings: AzureSettings) -> Iterator[Problem]:
    """Yield every NSG that would hold more than Azure takes; rule by rule old and new stand side by side for a while."""
    limits = settings.quotas
    for key, nsg in sorted(desired.nsgs.items()):
        before = actual.nsgs[key]
        if nsg.rules == before.rules:
            continue
        known = {one.name: one for one in before.rules}
        new = [one for one in nsg.rules if known.get(one.name) != one]
        peak = load([*before.rules, *new] if settings.child else nsg.rules)
        if peak.rules > limits.rules_per_nsg:
            text = f"{nsg.name} needs {peak.rules} rules, {limits.rules_per_nsg} are allowed: {peak.rules - limits.rules_per_nsg} too many"
            yield Problem("G-QUOTA", text, _hint(settings), _worst(nsg))
        if peak.addresses > limits.addresses_per_nsg:
            sides = f"{peak.sources} source and {peak.destinations} destination addresses"
            text = f"{nsg.name} needs {sides}, {limits.addresses_per_nsg} each are allowed"
            yield Problem(
                "G-QUOTA", text, "spread the machines over more subnets with NSGs of their own, or use wider prefixes", _worst(nsg)
            )


def sizes(table: AzureTable, settings: AzureSettings) -> Iterator[Size]:
    """Yield how full every NSG is, beside what Azure takes."""
    for key, nsg in sorted(table.nsgs.items()):
        held = load(nsg.rules)
        yield Size(key, "rules", held.rules, settings.quotas.rules_per_nsg)
        yield Size(key, "addresses of one side", held.addresses, settings.quotas.addresses_per_nsg)


def _hint(settings: AzureSettings) -> str:
    if settings.child:
        return "write: whole needs no room for old and new rules side by side"
    return "spread the machines over more subnets with NSGs of their own, or say the policy in fewer rules"


def _worst(nsg: Nsg) -> tuple[str, ...]:
    blamed: dict[str, int] = {}
    for one in nsg.rules:
        for origin in one.origins:
            if origin.where is not None:
                blamed[origin.rule] = blamed.get(origin.rule, 0) + prefixes(one.source) + prefixes(one.destination) + 1
    return tuple(sorted(blamed, key=lambda rule: (-blamed[rule], rule))[:5])

"""From what a platform's descriptions name back to the policy of today: which rule that is, where it stands, or that there is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field

from cloudsync.adapter import Origin
from cloudsync.compile.arms import origin_of
from cloudsync.model.naming import Naming, naming
from cloudsync.model.quick import dataclass
from cloudsync.policy.values import Rule


@dataclass(frozen=True, slots=True)
class Behind:
    """The rules of a policy by what they are called where they are written."""

    by_name: Mapping[str, Origin] = field(default_factory=dict)

    @classmethod
    def of(cls, rules: Iterable[Rule]) -> Behind:
        """Take note of rules."""
        return cls({origin.native: origin for origin in map(origin_of, rules)})

    def today(self, origins: Iterable[Origin]) -> tuple[Origin, ...]:
        """Return origins with the rules of today in place of what a description names; what names none of them stays as it is."""
        return tuple(dict.fromkeys(origin if origin.where else self.by_name.get(origin.rule, origin) for origin in origins))


NOTHING_KNOWN = Behind()


def counted(origin: Origin) -> bool:
    """Tell whether it is a number that an earlier release wrote: nobody knows which rule of today that is."""
    found = None if origin.where else naming(origin.rule)
    return found is not None and found[1] is Naming.COUNTED

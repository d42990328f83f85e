"""Everything about the simulated vendor that a test may switch: limits, delays, spellings, and what nobody has seen the real one do."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from ..kit.faults import Json

_WORDS = {
    "operation_order": ("fifo", "lifo"),
    "cidrs": ("keep", "network", "bare", "long"),
    "protocols": ("lower", "keep", "number"),
    "lists": ("keep", "reverse"),
    "put": ("replace", "refuse"),
    "tags_without_items": ("clear", "keep"),
    "failed_request_id": ("repeat", "forget"),
}


@dataclass(slots=True)
class Settings:
    """The switches, each with what is most likely the vendor's own behaviour."""

    operation_latency_s: float = 0.0
    """From the call to the moment it takes effect; 0: before the next call is looked at."""
    operation_pending_s: float = 0.0
    """How long of that it is PENDING."""
    operation_order: str = "fifo"
    """Order of operations that end between two calls: fifo | lifo."""
    operation_retention_s: float = 14 * 86400.0
    """How long an operation that is DONE can be asked for."""
    concurrent_operations: int = 0
    """Operations that may run at once in a project; 0: any number."""
    wait_limit_s: float = 120.0
    """How long `wait` waits at most."""
    wait_early: bool = False
    """`wait` comes back at once, done or not."""
    request_id_retention_s: float = 86400.0
    failed_request_id: str = "repeat"
    """What a repeated requestId of a failed operation does: repeat the failure | forget it and try anew."""

    propagation_s: float = 0.0
    """From DONE to the packets."""
    tag_propagation_s: float = 0.0
    """The same for rules with source tags."""
    gke_restores_after_s: float = -1.0
    """A controller puts its gke-* and k8s-* rules back after so long; below 0: never."""

    addresses_max: int = 256
    source_tags_max: int = 30
    target_tags_max: int = 70
    accounts_max: int = 10
    ports_max: int = 256
    description_max: int = 2047
    vm_tags_max: int = 64

    cidrs: str = "keep"
    """How blocks come back: as sent | with host bits cleared | hosts without length | IPv6 in full."""
    protocols: str = "lower"
    """How protocols come back: lower case | as sent | as numbers."""
    lists: str = "keep"
    """Order of the elements of a rule's lists: as sent | reversed."""
    put: str = "replace"
    """firewalls.update: replace, resetting what is left out | refuse every change of priority."""
    tags_without_items: str = "clear"
    """setTags without items: clear | keep."""
    anonymous: bool = False
    """Take calls without a token for calls of the administrator."""
    smtp_blocked: bool = False
    """The platform drops port 25 to the outside."""

    def change(self, given: dict[str, Json]) -> None:
        """Set some. ValueError for an unknown name or a value of the wrong kind; then nothing has changed."""
        known = {each.name: getattr(self, each.name) for each in fields(self)}
        wanted = {name: _converted(name, value, known) for name, value in given.items()}
        for name, value in wanted.items():
            setattr(self, name, value)

    def as_json(self) -> dict[str, Json]:
        """Return all of them."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


def _converted(name: str, value: Json, known: dict[str, Any]) -> Json:
    if name not in known:
        raise ValueError(f"no lab setting {name!r}; there are: {', '.join(sorted(known))}")
    wanted = type(known[name])
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise ValueError(f"setting {name}={value!r}: want a value like {known[name]!r}")
    if name in _WORDS and value not in _WORDS[name]:
        raise ValueError(f"setting {name}={value!r}: want one of {', '.join(_WORDS[name])}")
    return value

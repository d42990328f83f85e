"""Switches of the lab: what nobody has shown us, so that clients are tested both ways; and how fast and how well the devices work."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields

from ..kit.faults import Json

_WORDS: dict[str, tuple[str, ...]] = {
    "nested_patch": ("replaces", "merges"),
    "nested_placement": ("required", "optional"),
    "delete_check": ("before", "after"),
    "host_bits": ("refuse", "clear", "keep"),
    "cross_partition": ("refuse", "allow"),
    "transaction_expiry": ("total", "idle"),
    "validate_only": ("full", "syntax"),
    "shape_401": ("rest", "tm", "html"),
    "empty_items": ("list", "missing"),
    "compile": ("works", "fails"),
    "save": ("works", "fails", "early"),
    "default_action": ("accept", "drop", "reject"),
}


@dataclass(slots=True)
class Settings:
    """All switches with their defaults."""

    nested_patch: str = "replaces"
    """A PATCH with `rules`: does it drop rules that are missing from the array?"""
    nested_placement: str = "required"
    """A rule of a nested array without placement: refused, or put in an order nobody should count on (reversed)."""
    delete_check: str = "before"
    """A delete in a transaction: also refused for users the object had before the transaction, or only for those it has after it?"""
    host_bits: str = "refuse"
    cross_partition: str = "refuse"
    """May an object of /Common refer to one of another partition?"""
    transaction_expiry: str = "total"
    transaction_timeout_s: float = 120.0
    commit_delay_s: float = 0.0
    """0: the answer to a commit says COMPLETED; else VALIDATING until then."""
    validate_only: str = "full"
    shape_401: str = "rest"
    empty_items: str = "list"
    rule_numbers: bool = False
    unknown_fields: bool = False
    """Adversarial: answers carry fields that no version has."""
    sorted_addresses: bool = True
    drop_full_length: bool = False
    """Show 10.0.0.1/32 as 10.0.0.1."""
    max_tokens: int = 100
    token_ttl_s: float = 1200.0
    basic_for_admins_only: bool = True
    firewall_manager_attaches: bool = False
    """May the role firewall-manager change the policy of a virtual server or a route domain, save and sync?"""
    compile: str = "works"
    compile_delay_s: float = 0.05
    save: str = "works"
    save_delay_s: float = 1.0
    """How long after its answer a save of kind `early` happens."""
    sync_delay_s: float = 0.0
    connected: bool = True
    """Do the two units see each other?"""
    default_action: str = "accept"
    """What becomes of unmatched traffic at virtual servers and self addresses (ADC mode accepts)."""
    largest_expanded_read: int = 0
    """Reads that expand more objects than this answer 500, as a REST worker does whose memory is spent; 0: never."""
    largest_body: int = 0
    """Requests with more bytes than this answer 500; 0: never."""
    geo: dict[str, list[str]] = field(default_factory=dict)
    fqdns: dict[str, list[str]] = field(default_factory=dict)

    def change(self, given: Json) -> None:
        """Set some; ValueError for an unknown one or a value it cannot have, and then none is set."""
        known = {each.name: each for each in fields(self)}
        for name, value in given.items():
            if name not in known:
                raise ValueError(f"no lab setting {name!r}: there are {', '.join(sorted(known))}")
            if name in _WORDS and value not in _WORDS[name]:
                raise ValueError(f"{name}={value!r}: want one of {', '.join(_WORDS[name])}")
            now = getattr(self, name)
            fits = isinstance(value, int | float) and not isinstance(value, bool) if isinstance(now, float) else type(value) is type(now)
            if not fits or (isinstance(value, int | float) and value < 0):
                raise ValueError(f"{name}={value!r}: want something like {now!r}")
        for name, value in given.items():
            setattr(self, name, float(value) if isinstance(getattr(self, name), float) else value)

    def as_json(self) -> Json:
        """All of them."""
        return asdict(self)

"""What a test may set about this Azure where evidence is thin or tenants differ, and its limits."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ..kit.faults import Json

CHOICES: dict[str, tuple[str, ...]] = {
    "if_match": ("honour", "ignore"),
    "second_writer": ("retryable", "conflict", "superseded"),
    "host_bits": ("refuse", "old_only", "accept"),
    "read_only_fields": ("ignore", "refuse"),
    "error_body": ("enveloped", "bare"),
    "while_updating": ("new", "old"),
    "failed_keeps": ("old", "new"),
    "one_element_lists": ("keep", "collapse"),
}


@dataclass(slots=True)
class Switches:
    """Every switch with its default; CHOICES holds the words of those that take a word."""

    if_match: str = "honour"
    second_writer: str = "retryable"
    """What a write of an NSG meets while another operation on it runs."""
    host_bits: str = "refuse"
    """10.1.2.3/8 in a rule: refused, accepted where a stored rule has it already, or accepted."""
    read_only_fields: str = "ignore"
    error_body: str = "enveloped"
    while_updating: str = "new"
    """Which rules an NSG shows while its PUT is running; they take effect at the end in any case."""
    failed_keeps: str = "old"
    one_element_lists: str = "keep"
    retry_after: str = "1"
    """Seconds, `none` (no header) or `recorded` (3 after a PUT of an NSG, 10 after a DELETE or a rule)."""
    operation_polls: int = 1
    """So many looks at a running operation (or at its resource) still find it running."""
    operation_seconds: float = 0.0
    operation_limit_s: float = 60.0
    """After so long it ends although nobody has looked."""
    page_size: int = 100
    icmp_covers_v6: bool = True
    load_balancer_probes: bool = True
    """168.63.129.16 is part of VirtualNetwork."""
    next_link_base: str = ""
    """Another origin for nextLink: a server that leads its clients astray."""
    operation_base: str = ""
    """The same for the URLs of operations."""

    def change(self, given: dict[str, Json]) -> None:
        """Set some; ValueError names what is wrong, and then nothing is set."""
        wanted: dict[str, Json] = {}
        types = {each.name: type(getattr(self, each.name)) for each in fields(self)}
        for name, value in given.items():
            if name not in types:
                raise ValueError(f"no switch {name!r}; there are: {', '.join(types)}")
            if name in CHOICES and value not in CHOICES[name]:
                raise ValueError(f"{name}: want one of {', '.join(CHOICES[name])}, not {value!r}")
            if types[name] is bool and not isinstance(value, bool):
                raise ValueError(f"{name}: want true or false, not {value!r}")
            wanted[name] = types[name](value)
        for name, value in wanted.items():
            setattr(self, name, value)

    def shown(self) -> dict[str, Json]:
        """All of them."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(slots=True)
class Limits:
    """Per region and subscription, from the vendor's page of limits."""

    security_groups: int = 5000
    rules_per_group: int = 1000
    addresses_per_group: int = 4000
    """Addresses and ranges of all rules of an NSG, sources and destinations each."""
    asgs: int = 3000
    asgs_per_configuration: int = 20
    asgs_per_side: int = 10
    asgs_per_group: int = 100
    configurations_per_asg: int = 4000

    def change(self, given: dict[str, Json]) -> None:
        """Set some; ValueError for an unknown one."""
        names = {each.name for each in fields(self)}
        for name in given:
            if name not in names:
                raise ValueError(f"no limit {name!r}; there are: {', '.join(sorted(names))}")
        for name, value in given.items():
            setattr(self, name, int(value))

    def shown(self) -> dict[str, int]:
        """All of them."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

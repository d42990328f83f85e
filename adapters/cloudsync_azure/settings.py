"""The Azure keys of a target in cloudsync.yaml, as one frozen value. The structure stands in `settings.schema.json`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cloudsync.adapter import Patience, TargetSettings
from cloudsync.model.endpoint import WANT, complaints
from cloudsync.model.finding import Finding
from cloudsync.model.mode import TargetMode
from cloudsync.model.quick import dataclass
from cloudsync_azure.limits import PRIORITY_FIRST, PRIORITY_LAST, Quotas

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_GROUP = re.compile(r"[-\w._()]{1,90}")
_NSG = re.compile(r"([-\w._()]{1,90}/)?[\w][\w.-]{0,79}")
_DURATION = re.compile(r"([0-9]{1,5})([smh])")
LONGEST_WAIT_S = 3600
CALL_S, LAB_CALL_S = 180.0, 3.0
"""How long a write that was never answered may still take effect, in seconds. Recorded PUTs of an NSG took up to 20."""
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
PUBLIC = "https://management.azure.com"
BAND_LEAST = 100
"""Numbers that the tiers need at the least."""


@dataclass(frozen=True, slots=True)
class AzureSettings:
    """One Azure target: one subscription, some of its resource groups. All times are seconds."""

    subscription: str
    resource_groups: tuple[str, ...] | None = None
    """Names, lower case; None for all."""
    nsgs: tuple[str, ...] | None = ()
    """`group/name` or `name` of the managed NSGs, lower case, beside those that carry our tag; None for every one that a subnet carries."""
    tenant: str = ""
    child: bool = False
    """Write rule by rule instead of whole NSGs."""
    flush: bool = False
    """Switch `flushConnection` on in managed NSGs (exclusive targets)."""
    outrank: bool = False
    asgs: bool = False
    """Write classes as application security groups where that says the same."""
    band: tuple[int, int] = (1000, PRIORITY_LAST)
    quotas: Quotas = Quotas()
    pace: float = 0.9
    settle: float = 5.0
    max_wait: float = 120.0
    authority: str = ""
    ca_file: str = ""
    endpoint: str = ""

    @classmethod
    def of(cls, target: TargetSettings) -> AzureSettings:
        """Return the settings of a target whose structure was checked."""
        options = target.options
        groups, nsgs, band = options.get("resource_groups", "all"), options.get("nsgs", ()), options.get("band", (1000, PRIORITY_LAST))
        default_settle = "0s" if on_loopback(target.endpoint) else "5s"
        return cls(
            subscription=str(options["subscription"]).lower(),
            resource_groups=None if groups == "all" else tuple(str(one).lower() for one in groups),
            nsgs=None if nsgs == "all" else tuple(str(one).lower() for one in nsgs),
            tenant=str(options.get("tenant", "")).lower(),
            child=options.get("write", "whole") == "child",
            flush=options.get("flush_connections", "leave") == "enable",
            outrank=target.outrank,
            asgs=options.get("asgs", "off") == "on",
            band=(int(band[0]), int(band[1])),
            quotas=Quotas(**options.get("quotas", {})),
            pace=float(options.get("pace", 0.9)),
            settle=seconds(options.get("settle", default_settle)),
            max_wait=seconds(options.get("max_wait", "2m")),
            authority=options.get("authority", ""),
            ca_file=options.get("ca_file", ""),
            endpoint=target.endpoint,
        )

    @property
    def scope(self) -> str:
        """The unit of completeness: the subscription."""
        return self.subscription

    @property
    def base(self) -> str:
        """Where Azure Resource Manager is."""
        return (self.endpoint or PUBLIC).rstrip("/")

    def patience(self) -> Patience:
        """Return how long things may take."""
        return Patience(self.settle, self.max_wait, LAB_CALL_S if on_loopback(self.endpoint) else CALL_S)

    def takes(self, group: str) -> bool:
        """Tell whether a resource group belongs to the target."""
        return self.resource_groups is None or group.lower() in self.resource_groups


def check(target: TargetSettings) -> tuple[Finding, ...]:
    """Return what is wrong with a target's options beyond their structure."""
    return tuple(Finding(target.where, code, f"target {target.name}: {text}", hint) for code, text, hint in _wrong(target))


def _wrong(target: TargetSettings) -> Iterator[tuple[str, str, str]]:
    options = target.options
    for name in ("subscription", "tenant"):
        value = options.get(name, "" if name == "subscription" else None)
        if value is not None and not (isinstance(value, str) and _GUID.fullmatch(value)):
            yield f"AZURE-{name.upper()}", f"{name} {value!r} is no GUID", f"write {name}: 00000000-0000-0000-0000-000000000000"
    yield from _wrong_names(options, "resource_groups", _GROUP, "prod-net")
    yield from _wrong_names(options, "nsgs", _NSG, "prod-net/web-nsg")
    yield from _wrong_band(options.get("band"))
    yield from _wrong_numbers(options)
    if options.get("flush_connections") == "enable" and target.mode is TargetMode.ADDITIVE:
        yield "AZURE-FLUSH", "flush_connections: enable changes the NSG itself, which an additive target never does", "use mode: exclusive"
    if options.get("asgs", "off") not in ("on", "off"):
        yield "AZURE-ASGS", f"asgs {options['asgs']!r} is neither on nor off", "write asgs: on, or leave it out"
    if options.get("asgs") == "on" and options.get("write") == "child":
        text = "asgs: on needs write: whole: rule by rule there is no safe way between rules about groups and rules about addresses"
        yield "AZURE-ASGS", text, "leave out one of the two"
    for name, url in (("endpoint", target.endpoint), ("authority", options.get("authority", ""))):
        if url and urlsplit(str(url)).scheme != "https":
            yield "BAD-ENDPOINT", f"{name} {url} is not https", "tokens are sent over TLS only; for the lab name its ca_file"
        elif url and any(complaints(str(url))):
            yield "BAD-ENDPOINT", f"{name} {url}: {', '.join(complaints(str(url)))}", WANT
    if "ca_file" in options and not Path(str(options["ca_file"])).is_file():
        yield "AZURE-CA", f"ca_file {options['ca_file']} is not there", "name the file with the certificate authority of your endpoint, PEM"


def _wrong_names(options: Mapping[str, Any], key: str, pattern: re.Pattern[str], example: str) -> Iterator[tuple[str, str, str]]:
    value = options.get(key, "all")
    if value == "all":
        return
    if not isinstance(value, list | tuple) or not value:
        yield "AZURE-NAMES", f"{key} is neither 'all' nor a list of names", f"write {key}: all, or {key}: [{example}]"
        return
    for one in value:
        if not isinstance(one, str) or not pattern.fullmatch(one):
            yield "AZURE-NAMES", f"{key}: {one!r} is no name", f"write it as Azure shows it, e.g. {example}"
    if len({str(one).lower() for one in value}) != len(value):
        yield "AZURE-NAMES", f"{key}: a name stands twice (case does not count)", "name each once"


def _wrong_band(band: object) -> Iterator[tuple[str, str, str]]:
    if band is None:
        return
    numbers = band if isinstance(band, list | tuple) and len(band) == 2 and all(_whole(one) for one in band) else (0, 0)
    if not PRIORITY_FIRST <= numbers[0] <= numbers[1] - BAND_LEAST or numbers[1] > PRIORITY_LAST:
        text = f"band {band!r} is no range of at least {BAND_LEAST} priorities between {PRIORITY_FIRST} and {PRIORITY_LAST}"
        yield "AZURE-BAND", text, "write band: [1000, 4096]"


def _wrong_numbers(options: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    pace = options.get("pace", 0.9)
    if isinstance(pace, bool) or not isinstance(pace, int | float) or not 0 < pace <= 1:
        yield "AZURE-PACE", f"pace {pace!r} is not above 0 and at most 1", "0.9 leaves a tenth of the request rate to others"
    for name in ("settle", "max_wait"):
        value = options.get(name, "1s")
        if not isinstance(value, str) or not _DURATION.fullmatch(value) or seconds(value) > LONGEST_WAIT_S:
            yield "AZURE-WAIT", f"{name} {value!r} is no time of at most an hour", f"write {name}: 30s"
    known = {field.name for field in fields(Quotas)}
    for name, value in (options.get("quotas") or {}).items():
        if name not in known or not _whole(value) or value < (not name.startswith("asgs")):
            yield "AZURE-QUOTA", f"quota {name}: {value!r} is not known or no number", f"known: {', '.join(sorted(known))}"


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def seconds(text: str) -> float:
    """Return the seconds of `5s`, `2m` or `1h` (ValueError otherwise)."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r}: want a number with s, m or h")
    return float(int(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]])


def on_loopback(url: str) -> bool:
    """Tell whether a URL leads to this machine, as the simulated estate does."""
    return urlsplit(url).hostname in LOOPBACK

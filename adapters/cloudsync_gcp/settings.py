"""The GCP keys of a target in cloudsync.yaml, as one frozen value. The structure stands in `settings.schema.json`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from string import Formatter
from typing import Any
from urllib.parse import urlsplit

from cloudsync.adapter import Patience, TargetSettings
from cloudsync.model.endpoint import complaints
from cloudsync.model.finding import Finding
from cloudsync.model.mode import TargetMode
from cloudsync.model.quick import dataclass
from cloudsync_gcp.table import PRIORITY_LAST, Layout

_PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_DURATION = re.compile(r"([0-9]{1,5})([smh])")
_REFERENCE = re.compile(r"(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)")
TARGETS = ("ip", "tags", "managed-tags", "service-accounts")
TIERS = ("shield", "never", "allow", "deny")
EXCLUSIVE_DEFAULT_DENY, ADDITIVE_DEFAULT_DENY = 800, 60000
"""Where the default deny of `full` stands without a setting: above what others allow, or only above Google's own defaults."""
CALL_S, LAB_CALL_S = 75.0, 3.0
"""How long a call that was never answered may still take effect, in seconds: longer than the client waits for an answer."""
SETTLE, TAG_SETTLE, LAB_SETTLE = "5s", "30s", "0s"
"""Rules with source tags take longer to act (VPC docs); nobody gives a bound. A simulated cloud has no hosts that a change must reach."""
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
LONGEST_WAIT_S = 3600


@dataclass(frozen=True, slots=True)
class GcpSettings:
    """One GCP target: some networks of one project, with the service projects whose VMs sit in them. All times are seconds."""

    project: str
    """Id of the project that holds the rules (the host project of a Shared VPC)."""
    networks: tuple[str, ...] | None = None
    """Names of networks, or None for all of the project."""
    service_projects: tuple[str, ...] = ()
    layout: Layout = Layout()
    firewalls_limit: int | None = None
    """Quota FIREWALLS to take instead of asking for it."""
    settle: float = 5.0
    max_wait: float = 120.0
    """How long an operation may take before its outcome counts as unknown."""
    pace: float = 0.8
    """Share (0-1] of Google's request rate that we use."""
    credentials: str = ""
    """`env:NAME` or `file:PATH` of a key or an access token; empty for Application Default Credentials."""
    endpoint: str = ""

    @classmethod
    def of(cls, target: TargetSettings) -> GcpSettings:
        """Return the settings of a target whose structure was checked."""
        options = target.options
        networks, lab = options.get("networks", "all"), simulated(target.endpoint)
        settle = LAB_SETTLE if lab else TAG_SETTLE if "tags" in str(options.get("target", "ip")) else SETTLE
        return cls(
            project=str(options["project"]),
            networks=None if networks == "all" else tuple(networks),
            service_projects=tuple(options.get("service_projects", ())),
            layout=layout_of(target),
            firewalls_limit=(options.get("quotas") or {}).get("firewalls"),
            settle=seconds(options.get("settle", settle)),
            max_wait=seconds(options.get("max_wait", "2m")),
            pace=float(options.get("pace", 0.8)),
            credentials=options.get("credentials", ""),
            endpoint=target.endpoint,
        )

    @property
    def projects(self) -> tuple[str, ...]:
        """The projects whose VMs are read, the one with the rules first."""
        return (self.project, *self.service_projects)

    def patience(self) -> Patience:
        """Return how long things may take."""
        return Patience(self.settle, self.max_wait, LAB_CALL_S if simulated(self.endpoint) else CALL_S)


def layout_of(target: TargetSettings) -> Layout:
    """Return how rules are laid out in a target."""
    options = target.options
    band: Mapping[str, int] = options.get("band") or {}
    usual = EXCLUSIVE_DEFAULT_DENY if target.mode is TargetMode.EXCLUSIVE else ADDITIVE_DEFAULT_DENY
    return Layout(
        target=options.get("target", "ip"),
        tag_template=options.get("tag_template", ""),
        default_deny=options.get("default_deny", usual),
        outrank=target.outrank,
        owns=target.mode is TargetMode.EXCLUSIVE,
        addresses_most=options.get("addresses_per_rule", 256),
        adopt=frozenset(options.get("adopt", ())),
        **{name: band[name] for name in TIERS if name in band},
    )


def check(target: TargetSettings) -> tuple[Finding, ...]:
    """Return what is wrong with a target's options beyond their structure."""
    return tuple(Finding(target.where, code, f"target {target.name}: {text}", hint) for code, text, hint in _wrong(target))


def _wrong(target: TargetSettings) -> Iterator[tuple[str, str, str]]:
    options = target.options
    for project in (options.get("project"), *(options.get("service_projects") or ())):
        if not isinstance(project, str) or not _PROJECT.fullmatch(project):
            yield "GCP-PROJECT", f"{project!r} is no project id", "write the id, not the number or the display name: project: acme-prod"
    services = list(options.get("service_projects") or ())
    if options.get("project") in services or len(set(map(str, services))) != len(services):
        yield "GCP-PROJECT", "a project stands twice", "project is the host of the rules; service_projects are the others"
    yield from _wrong_networks(options.get("networks", "all"))
    yield from _wrong_target(options)
    yield from _wrong_band(target)
    yield from _wrong_rest(options)
    if target.endpoint and not endpoint_allowed(target.endpoint):
        yield "BAD-ENDPOINT", f"endpoint {target.endpoint} is neither https nor on this machine", "plain http is for the lab on loopback"


def _wrong_networks(networks: object) -> Iterator[tuple[str, str, str]]:
    if networks == "all":
        return
    if not isinstance(networks, list | tuple) or not networks or not all(isinstance(one, str) and _NAME.fullmatch(one) for one in networks):
        yield "GCP-NETWORKS", "networks is neither 'all' nor a list of network names", "write networks: [prod], or networks: all"
    elif len(set(networks)) != len(networks):
        yield "GCP-NETWORKS", "a network stands twice", "name each network once"


def _wrong_target(options: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    target, template = options.get("target", "ip"), options.get("tag_template", "")
    if target not in TARGETS:
        yield "GCP-TARGET", f"target {target!r} is not known", f"one of {', '.join(TARGETS)}"
    if (target == "tags") is not bool(template):
        yield "GCP-TARGET", "tag_template and target: tags need each other", 'write target: tags, tag_template: "{role}-{app}-{env}"'
    if template:
        try:
            keys = [key for _, key, _, _ in Formatter().parse(template) if key is not None]
        except ValueError:
            keys = []
        if not keys or not all(key.isidentifier() for key in keys):
            yield "GCP-TARGET", f"tag_template {template!r} names no labels", 'name label keys in braces: "{role}-{app}-{env}"'


def _wrong_band(target: TargetSettings) -> Iterator[tuple[str, str, str]]:
    band = target.options.get("band") or {}
    numbers = [*(value for value in band.values()), target.options.get("default_deny", ADDITIVE_DEFAULT_DENY)]
    if not all(isinstance(one, int) and not isinstance(one, bool) and 0 <= one <= PRIORITY_LAST for one in numbers):
        yield (
            "GCP-BAND",
            f"band {band!r} or default_deny holds no numbers of 0-{PRIORITY_LAST}",
            "smaller numbers win; 65535 is Google's own",
        )
        return
    layout = layout_of(target)
    order = (layout.shield, layout.never, layout.allow, layout.deny, layout.default_deny)
    if list(order) != sorted(set(order)):
        text = f"shield {order[0]}, never {order[1]}, allow {order[2]}, deny {order[3]}, default_deny {order[4]} do not ascend"
        yield "GCP-BAND", text, "a smaller number wins, so they must stand in this order, each above the one before"


def _wrong_rest(options: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    pace = options.get("pace", 0.8)
    if not isinstance(pace, int | float) or isinstance(pace, bool) or not 0 < pace <= 1:
        yield "GCP-PACE", f"pace {pace!r} is not above 0 and at most 1", "0.8 leaves a fifth of the request rate to others"
    for name in ("settle", "max_wait"):
        value = options.get(name, "1s")
        if not isinstance(value, str) or not _DURATION.fullmatch(value) or seconds(value) > LONGEST_WAIT_S:
            yield "GCP-WAIT", f"{name} {value!r} is no time of at most an hour", f"write {name}: 30s"
    credentials = options.get("credentials", "")
    if credentials and not (isinstance(credentials, str) and _REFERENCE.fullmatch(credentials)):
        yield "GCP-CREDENTIALS", "credentials is no reference", "write env:NAME or file:PATH; a secret never stands in settings"
    most = options.get("addresses_per_rule", 256)
    if not isinstance(most, int) or isinstance(most, bool) or not 1 <= most <= 5000:
        yield "GCP-LIMIT", f"addresses_per_rule {most!r} is not 1-5000", "256 has always been accepted; larger values depend on the project"


def seconds(text: str) -> float:
    """Return the seconds of `5s`, `2m` or `1h` (ValueError otherwise)."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r}: want a number with s, m or h")
    return float(int(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]])


def simulated(url: str) -> bool:
    """Tell whether an endpoint is a simulated cloud: plain http on this machine. Google never speaks that."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname in LOOPBACK


def endpoint_allowed(url: str) -> bool:
    """Tell whether requests may go to a URL: https to any server's address, plain http to this machine alone, link-local never."""
    return not any(complaints(url))

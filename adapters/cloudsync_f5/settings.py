"""The F5 keys of a target in cloudsync.yaml, as one frozen value. The structure stands in `settings.schema.json`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import field, fields
from pathlib import Path
from urllib.parse import urlsplit

from cloudsync.adapter import Patience, TargetSettings
from cloudsync.model.endpoint import WANT, complaints
from cloudsync.model.finding import Finding
from cloudsync.model.mode import TargetMode
from cloudsync.model.quick import dataclass
from cloudsync_f5.table import Quotas
from cloudsync_f5.words import ROUTE_DOMAIN_MOST

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\]")
_PARTITION = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}")
_DURATION = re.compile(r"([0-9]{1,5})([smh])")
_PATH = re.compile(r"(/[A-Za-z0-9_.-]+){2,}")
_REFERENCE = re.compile(r"(env:[A-Za-z_][A-Za-z0-9_]{0,127}|file:.+)", re.DOTALL)
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
CALL_S, LAB_CALL_S = 90.0, 3.0
"""How long a call that was never answered may still take effect, in seconds: longer than the client waits for an answer."""
DEFAULT_SETTLE, LAB_SETTLE = "2s", "0s"
LONGEST_WAIT_S = 3600
USUAL = ("env:F5_USER", "env:F5_PASSWORD")


@dataclass(frozen=True, slots=True)
class F5Settings:
    """One F5 target: one device group (or one device). All times are seconds."""

    name: str
    """The target's name, for messages."""
    hosts: tuple[str, ...]
    """Host names of the devices, as they call themselves: compared with what answers before anything read is trusted."""
    device_group: str = ""
    """The sync-failover group of the hosts; empty for a single device, or for hosts that are not to be kept in step by us."""
    partition: str = "Common"
    """Where our objects live: Common, unless all virtual servers are elsewhere (objects of /Common refer to those of /Common alone)."""
    partitions: tuple[str, ...] | None = None
    """Partitions whose virtual servers are workloads, or None for all."""
    virtuals: tuple[str, ...] | None = None
    """Names or paths of the virtual servers that policies may be attached to, or None for all; the others are workloads all the same."""
    route_domains: tuple[str, ...] = ()
    """Route domains, by number or path, that carry one policy of ours for all virtual servers in them; those get none of their own."""
    credentials: tuple[str, str] = USUAL
    """Where user and password come from; the words themselves never stand here."""
    addresses: Mapping[str, str] = field(default_factory=dict)
    """Host -> address to connect to, `https://10.0.0.1:8443`; a host without one is connected to by its name."""
    ca_file: str = ""
    """Certificates to trust instead of the system's."""
    save: bool = True
    sync: bool = True
    """Bring changes to the other device ourselves, unless the group does that by itself."""
    default_action: str = ""
    """What virtual servers do with packets that no rule matches: accept, drop or reject; empty to ask the device."""
    default_deny: bool = False
    """In `additive`: close our policies with a last rule that drops."""
    stage: bool = False
    """Attach a new policy as staged first, and swap when that is compiled."""
    compile_wait: float = 60.0
    """How long compiling may take after a commit."""
    settle: float = 2.0
    max_wait: float = 120.0
    quotas: Quotas = Quotas()
    additive: bool = False

    @classmethod
    def of(cls, target: TargetSettings) -> F5Settings:
        """Return the settings of a target whose structure was checked."""
        options = target.options
        hosts = tuple(map(str, options["hosts"]))
        addresses = {str(host): str(url) for host, url in (options.get("addresses") or {}).items()}
        if target.endpoint and len(hosts) == 1:
            addresses.setdefault(hosts[0], target.endpoint)
        partitions = options.get("partitions", "all")
        attach = options.get("attach") or {}
        virtuals = attach.get("virtuals", "all")
        local = bool(addresses) and all(_local(url) for url in addresses.values())
        return cls(
            name=target.name,
            hosts=hosts,
            device_group=str(options.get("device_group", "")),
            partition=str(options.get("partition", "Common")),
            partitions=None if partitions == "all" else tuple(map(str, partitions)),
            virtuals=None if virtuals == "all" else () if virtuals == "none" else tuple(map(str, virtuals)),
            route_domains=tuple(map(str, attach.get("route_domains") or ())),
            credentials=(str(options.get("user", USUAL[0])), str(options.get("password", USUAL[1]))),
            addresses=addresses,
            ca_file=str(options.get("ca_file", "")),
            save=_flag(options.get("save", True)),
            sync=_flag(options.get("sync", True)),
            default_action=str(options.get("default_action", "")),
            default_deny=_flag(options.get("default_deny", False)),
            stage=_flag(options.get("stage", False)),
            compile_wait=seconds(str(options.get("compile_wait", "60s"))),
            settle=seconds(str(options.get("settle", LAB_SETTLE if local else DEFAULT_SETTLE))),
            max_wait=seconds(str(options.get("max_wait", "2m"))),
            quotas=Quotas(**{name: int(value) for name, value in (options.get("quotas") or {}).items()}),
            additive=target.mode is TargetMode.ADDITIVE,
        )

    @property
    def account(self) -> str:
        """The unit of completeness and the account of every workload: the device group, or the one device."""
        return self.device_group or self.hosts[0]

    def url(self, host: str) -> str:
        """Return where a host answers, without a slash at the end."""
        return self.addresses.get(host, f"https://{host}").rstrip("/")

    def patience(self) -> Patience:
        """Return how long things may take."""
        local = bool(self.addresses) and all(map(_local, self.addresses.values()))
        return Patience(self.settle, max(self.max_wait, self.compile_wait), LAB_CALL_S if local else CALL_S)


def _flag(value: object) -> bool:
    return value in (True, "true")


def _local(url: str) -> bool:
    return urlsplit(url).hostname in LOOPBACK


def check(target: TargetSettings) -> tuple[Finding, ...]:
    """Return what is wrong with a target's options beyond their structure."""
    return tuple(Finding(target.where, code, f"target {target.name}: {text}", hint) for code, text, hint in _wrong(target))


Wrong = Iterator[tuple[str, str, str]]


def _wrong(target: TargetSettings) -> Wrong:
    options = target.options
    yield from _wrong_hosts(options.get("hosts"), options.get("device_group", ""))
    yield from _wrong_addresses(target, options.get("addresses") or {})
    partition = options.get("partition", "Common")
    if not isinstance(partition, str) or not _PARTITION.fullmatch(partition):
        yield "F5-PARTITION", f"partition {partition!r} is no name of a partition", "write it without slashes, e.g. Common"
    for key in ("user", "password"):
        value = options.get(key, "env:NAME")
        if not isinstance(value, str) or not _REFERENCE.fullmatch(value):
            hint = f"credentials never stand in the settings: write {key}: env:NAME or {key}: file:/run/credentials/NAME"
            yield "F5-CREDENTIAL", f"{key} is neither env:NAME nor file:PATH", hint
    ca_file = options.get("ca_file", "")
    if ca_file and not Path(str(ca_file)).is_file():
        yield "F5-CA", f"ca_file {ca_file} is not there", "name the file with the certificate authority of the devices, PEM"
    yield from _wrong_values(options)


def _wrong_hosts(hosts: object, group: object) -> Wrong:
    if not isinstance(hosts, list | tuple) or not 1 <= len(hosts) <= 8:
        yield "F5-HOSTS", "hosts is missing or empty", "name the devices of the group: hosts: [bigip1.acme.example, bigip2.acme.example]"
        return
    for host in hosts:
        if not isinstance(host, str) or not _HOST.fullmatch(host):
            yield "F5-HOST", f"{host!r} is no host name", "write what the device calls itself, e.g. bigip1.acme.example"
    if len(set(map(str, hosts))) != len(hosts):
        yield "F5-HOSTS", "a host stands twice", "name each device once"
    if len(hosts) > 1 and not group:
        yield "F5-GROUP", "several hosts without device_group", "name their sync-failover group: device_group: dg-dc1"


def _wrong_addresses(target: TargetSettings, addresses: Mapping[str, object]) -> Wrong:
    hosts = target.options.get("hosts") or ()
    for host, url in addresses.items():
        if host not in hosts:
            yield "F5-ADDRESS", f"addresses names {host}, which is none of the hosts", "its keys are the names under hosts"
        if urlsplit(str(url)).scheme != "https" or not urlsplit(str(url)).hostname:
            yield "BAD-ENDPOINT", f"address {url} of {host} is not https", "iControl REST is https alone: https://10.0.0.1:8443"
        elif any(complaints(str(url))):
            yield "BAD-ENDPOINT", f"address {url} of {host}: {', '.join(complaints(str(url)))}", WANT
    if target.endpoint and len(hosts) > 1:
        yield "BAD-ENDPOINT", "endpoint is one address, but there are several hosts", "write addresses: {HOST: https://...} for each"
    if target.endpoint and urlsplit(target.endpoint).scheme != "https":
        yield "BAD-ENDPOINT", f"endpoint {target.endpoint} is not https", "iControl REST is https alone"


def _wrong_values(options: Mapping[str, object]) -> Wrong:
    for name in ("settle", "max_wait", "compile_wait"):
        value = options.get(name, "1s")
        if not isinstance(value, str) or not _DURATION.fullmatch(value) or seconds(value) > LONGEST_WAIT_S:
            yield "F5-WAIT", f"{name} {value!r} is no time of at most an hour", f"write {name}: 30s"
    if options.get("default_action", "accept") not in ("accept", "drop", "reject"):
        yield (
            "F5-DEFAULT",
            f"default_action {options['default_action']!r}",
            "want accept, drop or reject, or leave it out to ask the device",
        )
    yield from _wrong_attach(options.get("attach") or {})
    known = {one.name for one in fields(Quotas)}
    quotas = options.get("quotas") or {}
    for name, value in quotas.items() if isinstance(quotas, Mapping) else ():
        if name not in known or not isinstance(value, int) or isinstance(value, bool) or value < 0:
            yield "F5-QUOTA", f"quota {name}: {value!r} is not known or no number", f"known: {', '.join(sorted(known))}"


def _wrong_attach(attach: object) -> Wrong:
    if not isinstance(attach, Mapping):
        return
    domains = attach.get("route_domains") or ()
    for one in domains if isinstance(domains, list | tuple) else ():
        number = isinstance(one, int) and not isinstance(one, bool) and 0 <= one <= ROUTE_DOMAIN_MOST
        if not number and not (isinstance(one, str) and _PATH.fullmatch(one)):
            yield (
                "F5-ATTACH",
                f"route domain {one!r} is no number and no path",
                "write its number or its path: route_domains: [0, /Common/1]",
            )
    if attach.get("virtuals") == "none" and not domains:
        hint = "name route domains beside virtuals: none, or set mode: observe"
        yield "F5-ATTACH", "policies are attached to no virtual server and to no route domain", hint


def seconds(text: str) -> float:
    """Return the seconds of `5s`, `2m` or `1h` (ValueError otherwise)."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r}: want a number with s, m or h")
    return float(int(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]])

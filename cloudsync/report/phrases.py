"""Findings in the words of somebody who is woken by them: `ssh is open to the internet on 14 db workloads`. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cloudsync.model.inert import inert
from cloudsync.proof.drift import Kind
from cloudsync.report.headline import counted
from cloudsync.report.story import Tracked

SERVICES = {
    "icmp/echo-request": "ping",
    "tcp/20-21": "ftp",
    "tcp/21": "ftp",
    "tcp/22": "ssh",
    "tcp/23": "telnet",
    "tcp/25": "smtp",
    "udp/53": "dns",
    "tcp/53": "dns",
    "tcp/80": "http",
    "tcp/111": "rpcbind",
    "udp/123": "ntp",
    "udp/161": "snmp",
    "tcp/389": "ldap",
    "tcp/443": "https",
    "tcp/443, udp/443": "https",
    "tcp/445": "smb",
    "tcp/1433": "mssql",
    "tcp/1521": "oracle",
    "tcp/2049": "nfs",
    "tcp/2375": "docker",
    "tcp/2379": "etcd",
    "tcp/3306": "mysql",
    "tcp/3389": "rdp",
    "tcp/5432": "postgres",
    "tcp/5900": "vnc",
    "tcp/5985": "winrm",
    "tcp/6379": "redis",
    "tcp/6443": "kubernetes",
    "tcp/9200": "elasticsearch",
    "tcp/10250": "kubelet",
    "tcp/11211": "memcached",
    "tcp/27017": "mongodb",
}
"""Names that people have for what IANA lists, or what the software listens on by default."""

CUT = (Kind.MISSING, Kind.SHADOW_DENY, Kind.WOULD_BLOCK)
LONG, LISTED = 44, 24
_LINK = re.compile(r"://|(?i:www\.)")


def said(text: str) -> str:
    """Return a text from outside for a mail: inert, and without anything a mail client would make a link of (CWE-451)."""
    return _LINK.sub(lambda match: "[:]//" if match[0] == "://" else "www[.]", inert(text))


def one_line(text: str, most: int) -> str:
    """Return at most so many characters, cut at a word if there is one near the end."""
    if len(text) <= most:
        return text
    cut = text[: most - 3]
    space = cut.rfind(" ")
    return (cut[:space] if space > most * 2 // 3 else cut).rstrip(" ,;:.") + "..."


def service(words: str) -> str:
    """Return what people call services: `ssh` for `tcp/22`; what has no name stays, what is long is said by its first."""
    if words.startswith("any service except"):
        return "nearly any service"
    first, _, rest = words.partition(", ")
    return SERVICES.get(words, words if len(words) <= LISTED else SERVICES.get(first, first) + (" and more" if rest else ""))


def split(one: Tracked) -> tuple[str, str, bool]:
    """Return service and peers of the first part of a finding's packets, and whether there are more parts."""
    first, _, more = one.words.partition("; ")
    way = " from " if one.direction == "inbound" else " to "
    services, _, peers = first.partition(way)
    return services, peers, bool(more)


def peers_of(one: Tracked) -> str:
    """Return the other end, short: `the internet` for everything that holds it, the first of several names."""
    _, peers, _ = split(one)
    if peers.startswith(("anywhere", "the internet")):
        return "the internet (IPv6)" if "(IPv6)" in peers else "the internet"
    first, comma, _ = peers.replace(" (some of their addresses)", "").partition(", ")
    short = re.sub(r" and \d+ more$", "", first)
    return one_line(short, LONG) + (" and more" if comma or short != first else "")


def whom(one: Tracked) -> str:
    """Return whose packets they are: `14 db workloads`, by the role where there is one, by all labels else."""
    number = len(one.workloads)
    role = one.labels.get("role") or ""
    if role and re.fullmatch(r"[\w.-]{1,40}", role):
        return counted(number, f"{role} workload")
    labels = one.labels.text() if one.labels.pairs else ""
    if number == 1 and not labels:
        return one_line(one.workloads[0], LONG)
    return counted(number, "workload") + (f" {one_line(labels, LONG)}" if labels else "")


def happening(one: Tracked, *, over: bool, verb: bool = True) -> str:
    """Return what is wrong in one clause. `over`: it was, and is no longer. Without `verb` it is short enough for a subject."""
    services, _, more = split(one)
    name = service(services)
    name += " and more" if more and not name.endswith(" and more") else ""
    be = ("was " if over else "is ") if verb or over else ""
    peers = peers_of(one)
    inbound = one.direction == "inbound"
    if one.kind in (Kind.WOULD_BLOCK, Kind.WOULD_OPEN):
        return f"{name} {'from' if inbound else 'to'} {peers} would be {'cut' if one.kind is Kind.WOULD_BLOCK else 'opened'} on {whom(one)}"
    if one.kind in CUT:
        return f"{name} {'from' if inbound else 'to'} {peers} {be}cut {'at' if inbound else 'from'} {whom(one)}"
    if inbound:
        return f"{name} {be}open to {peers} on {whom(one)}"
    return f"{name} to {peers} {be}open for {whom(one)}"


def names(found: Sequence[str], most: int) -> str:
    """Return the first of several names and how many there are besides."""
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")

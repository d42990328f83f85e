"""Terraform state (format 4) as values: which firewall objects Terraform owns, which machines it made. Bytes in, values or findings out.

A state holds secrets in clear text. Of its attributes only types, names, ids, accounts, addresses and tags are looked at; nothing else is
kept, and no finding quotes a value. Source of the format: the state files that Terraform 0.12 to 1.x and OpenTofu write (`"version": 4`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any

from cloudsync.inventory.terraform_kinds import MACHINES, OWNED, Owned, Read
from cloudsync.model.address import AddressSet
from cloudsync.model.finding import Finding, Severity, Where
from cloudsync.model.inert import inert
from cloudsync.model.quick import dataclass
from cloudsync.policy.characters import shown

Json = Any
MAX_BYTES = 64 << 20
"""Of one state file. Those of large estates have some ten MiB."""
VERSION = 4
PREFIX = "terraform/"
"""Before the name of an entry of the settings, where a target's name stands otherwise. No target has a name with a slash."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One workload that Terraform made, as the state tells it. `platform` is the adapter that could read it."""

    address: str
    platform: str
    ref: str
    """Native id."""
    name: str
    account: str
    tags: tuple[tuple[str, str], ...]
    addresses: AddressSet


@dataclass(frozen=True, slots=True)
class TerraformState:
    """What one state file tells: ordered by address."""

    file: str
    owned: tuple[Owned, ...] = ()
    machines: tuple[Machine, ...] = ()


def read_state(file: str, content: bytes) -> tuple[TerraformState | None, tuple[Finding, ...]]:
    """Return what a state tells, and findings; None when one of them is an error: a list with holes protects what it names, and no more."""
    if len(content) > MAX_BYTES:
        return None, (too_big(file),)
    document = _document(file, content)
    if isinstance(document, Finding):
        return None, (document,)
    reader = _Reader(file)
    reader.resources(document.get("resources"))
    found = tuple(sorted(reader.findings, key=lambda one: (one.code, one.message)))
    if any(one.severity is Severity.ERROR for one in found):
        return None, found
    owned = sorted(reader.owned, key=lambda one: (one.address, one.objects))
    machines = sorted(reader.machines, key=lambda one: (one.address, one.ref))
    return TerraformState(file, tuple(owned), tuple(machines)), found


def too_big(file: str) -> Finding:
    """Return the finding about a file over the limit."""
    return Finding(Where(file), "TOO-BIG", f"more than {MAX_BYTES >> 20} MiB", "is this a Terraform state?")


class _TwiceError(ValueError):
    """A key stands twice in one object: which one counts nobody can say."""


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _TwiceError
    return found


def _document(file: str, content: bytes) -> dict[str, Json] | Finding:
    hint = "name a state file; `terraform state pull` writes one from any backend"
    try:
        document = json.loads(content.decode("utf-8"), object_pairs_hook=_once)
    except UnicodeDecodeError:
        return Finding(Where(file), "STATE-FORMAT", "is no UTF-8 text", hint)
    except json.JSONDecodeError as error:
        return Finding(Where(file, error.lineno, error.colno), "STATE-FORMAT", f"is no JSON: {error.msg}", "file cut? " + hint)
    except _TwiceError:
        return Finding(Where(file), "STATE-FORMAT", "holds a key twice in one object", hint)
    except (RecursionError, ValueError):
        return Finding(Where(file), "STATE-FORMAT", "is nested too deeply, or holds a number too long", hint)
    if not isinstance(document, dict):
        return Finding(Where(file), "STATE-FORMAT", "is no Terraform state: not one JSON object", hint)
    if "encrypted_data" in document:
        message = "is encrypted (OpenTofu state encryption)"
        return Finding(
            Where(file), "STATE-FORMAT", message, "write a readable one with `tofu state pull`, where only cloudsync can read it"
        )
    version = document.get("version")
    if version != VERSION or isinstance(version, bool):
        said = version if isinstance(version, int) else "none"
        old = "any Terraform from 0.12 on writes version 4"
        return Finding(Where(file), "STATE-FORMAT", f"is no Terraform state of version {VERSION} (version: {said})", old)
    return document


@dataclass(slots=True)
class _Reader:
    file: str
    owned: list[Owned] = field(default_factory=list)
    machines: list[Machine] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def _bad(self, where: str, what: str) -> None:
        message = f"{where} is not as a state of version {VERSION} has it: {what}"
        self.findings.append(Finding(Where(self.file), "STATE-SHAPE", message, "write it again: `terraform state pull`"))

    def resources(self, listed: Json) -> None:
        """Read every managed resource of a kind that is known here; of others only that they are there."""
        if not isinstance(listed, list):
            self._bad("resources", "no list")
            return
        for number, one in enumerate(listed):
            where = f"resources[{number}]"
            if not isinstance(one, dict):
                self._bad(where, "no object")
                continue
            mode, kind, name = (one.get(key) for key in ("mode", "type", "name"))
            module = one.get("module", "")
            if not all(isinstance(word, str) and word for word in (mode, kind, name)) or not isinstance(module, str):
                self._bad(where, "mode, type, name or module is missing or no text")
            elif mode == "managed" and (kind in OWNED or kind in MACHINES):
                self._instances(where, kind, f"{module}.{kind}.{name}" if module else f"{kind}.{name}", one.get("instances"))
            elif mode not in ("managed", "data"):
                self._bad(where, "mode is neither managed nor data")

    def _instances(self, where: str, kind: str, base: str, listed: Json) -> None:
        if not isinstance(listed, list):
            self._bad(where, "instances is no list")
            return
        for number, one in enumerate(listed):
            attributes = one.get("attributes") if isinstance(one, dict) else None
            if not isinstance(one, dict) or not isinstance(attributes, dict):
                self._bad(f"{where}.instances[{number}]", "no object with attributes")
                continue
            address = inert(base) + _index(one.get("index_key")) + (" (deposed)" if one.get("deposed") else "")
            self._instance(kind, address, attributes)

    def _instance(self, kind: str, address: str, attributes: Mapping[str, Json]) -> None:
        read = Read(attributes)
        if kind in OWNED:
            found = OWNED[kind](address, kind, read)
            if found is not None:
                self.owned.append(found)
            elif not OWNED[kind].optional:
                self._nameless(address)
            return
        platform, parse = MACHINES[kind]
        one = parse(read)
        if not one.ref:
            self._nameless(address)
            return
        if one.unread:
            message = f"{one.unread} addresses of {shown(address)} cannot be read; they are left out"
            self.findings.append(Finding(Where(self.file), "STATE-ADDRESS", message, "", Severity.WARNING))
        self.machines.append(Machine(address, platform, one.ref, one.name or one.ref, one.account, one.tags, one.addresses))

    def _nameless(self, address: str) -> None:
        """Say that a resource has no id yet: Terraform began to make it and did not come to an end."""
        message = f"{shown(address)} has no id in the state, so nothing is known of it"
        hint = "finish its creation: terraform apply"
        self.findings.append(Finding(Where(self.file), "STATE-NO-ID", message, hint, Severity.WARNING))


def _index(key: Json) -> str:
    """Return an instance's key as Terraform writes it: `[0]`, `["a"]`; empty without count and for_each."""
    if isinstance(key, bool) or key is None or not isinstance(key, int | str):
        return ""
    return f"[{key}]" if isinstance(key, int) else f"[{json.dumps(key)}]"


def by_address(states: Iterable[TerraformState]) -> tuple[Owned, ...]:
    """Return what several states own, each once, ordered by address."""
    return tuple(sorted({one for state in states for one in state.owned}, key=lambda one: (one.address, one.objects)))

"""cloudsync.yaml: bytes in, Settings or findings out. Nothing is contacted; an adapter's schema is asked for, never its code."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cloudsync.inventory.labels import LabelSource, Pick
from cloudsync.inventory.rules import InventoryRules, RoutingDomain
from cloudsync.model import endpoint
from cloudsync.model.address import AddressSet
from cloudsync.model.finding import Finding, Severity, Where
from cloudsync.model.mode import TargetMode
from cloudsync.model.quick import dataclass
from cloudsync.model.target import TargetSettings
from cloudsync.model.workload import Domain
from cloudsync.plan.limits import GuardLimits
from cloudsync.policy import schema, strict
from cloudsync.policy.addresses import read_entries
from cloudsync.policy.characters import shown
from cloudsync.policy.words import is_name
from cloudsync.settings import cron
from cloudsync.settings.values import (
    ANSWER_S,
    DIGEST_DAY,
    FILE,
    LISTEN,
    Hook,
    Listen,
    Mail,
    Schedule,
    SecretReference,
    Settings,
    TerraformFiles,
)

Json = Any
OptionsSchema = Callable[[str], Mapping[str, Json] | Finding]
"""An adapter's name to the JSON Schema of its own target keys, or a finding when there is none (its place is filled in here)."""

_CORE_KEYS = frozenset({"name", "adapter", "mode", "endpoint", "outrank", "schedule"})
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
EVENTS = ("drift", "refused", "failed", "recovered", "expiring", "digest")
"""What people are told of unless the settings say otherwise."""
_PORTS = {"smtp+starttls": ("starttls", 587), "smtps": ("tls", 465), "smtp": ("plain", 25)}


def packaged_schema(name: str) -> Mapping[str, Json]:
    """Return one of our JSON Schemas: settings, policy or inventory."""
    found: dict[str, Json] = json.loads((Path(__file__).parent.parent / "schema" / f"{name}.schema.json").read_bytes())
    return found


def load_settings(content: bytes, options_schema: OptionsSchema, *, file: str = FILE) -> tuple[Settings | None, tuple[Finding, ...]]:
    """Return the settings, and findings in file order; the settings are None when one of the findings is an error."""
    node, findings = strict.load_node(file, content)
    if node is None:
        empty = Finding(Where(file), "EMPTY-SETTINGS", "nothing stands here", "cloudsync init writes a commented start")
        return None, findings or (empty,)
    findings += schema.check(node, packaged_schema("settings"), name=f"the file {file}")
    if not isinstance(node, strict.Mapping):
        return None, findings
    reader = _Reader(node, findings, options_schema)
    settings = reader.settings()
    ordered = tuple(sorted(reader.findings, key=lambda finding: (finding.where.line, finding.where.col, finding.code)))
    broken = any(finding.severity is Severity.ERROR for finding in ordered)
    return (None if broken else settings), ordered


@dataclass(slots=True)
class _Reader:
    """Reads what the schema let through; what it did not let through is skipped, a finding has said so."""

    root: strict.Mapping
    findings: list[Finding]
    options_schema: OptionsSchema

    def __init__(self, root: strict.Mapping, findings: tuple[Finding, ...], options_schema: OptionsSchema) -> None:
        self.root, self.findings, self.options_schema = root, list(findings), options_schema

    def settings(self) -> Settings:
        targets = tuple(self._targets())
        settings = Settings(
            owner=_text(self.root, "owner"),
            targets=targets,
            policy=self._folder("policy"),
            inventory=self._folder("inventory"),
            rules=InventoryRules(tuple(self._sources()), tuple(self._locks()), tuple(self._domains())),
            schedule=self._schedule(self.root),
            schedules=tuple(self._schedules()),
            listen=self._listen(),
            state=self._state(),
            state_password=_reference(self.root, "state_password"),
            guards=self._guards(),
            terraform=tuple(self._terraform()),
            mail=self._mail(),
            hooks=tuple(self._hooks()),
            spool=_text(self.root, "spool"),
            where=self.root.where,
        )
        guards = _map(self.root, "guards")
        restores = _text(guards, "max_restores") if guards else ""
        return replace(settings, max_restores=int(restores)) if restores.isdecimal() else settings

    def _report(self, where: Where, code: str, message: str, hint: str = "", severity: Severity = Severity.ERROR) -> None:
        self.findings.append(Finding(where, code, message, hint, severity))

    # --- folders -----------------------------------------------------------------------------------------------------

    def _folder(self, key: str) -> str:
        node = self.root.get(key)
        if not isinstance(node, strict.Scalar) or node.missing:
            return key
        parts: list[str] = []
        for part in node.text.split("/"):
            if part == ".." and (not parts or parts.pop() is None):
                break
            if part not in ("", ".", ".."):
                parts.append(part)
        else:
            if not node.text.startswith(("/", "~")) and parts:
                return "/".join(parts)
        hint = "it must be a folder inside the repository, e.g. policy/"
        self._report(node.where, "OUTSIDE-ROOT", f"'{shown(node.text)}' is not inside the repository", hint)
        return key

    # --- targets -----------------------------------------------------------------------------------------------------

    def _targets(self) -> Iterator[TargetSettings]:
        listed = self.root.get("targets")
        if isinstance(listed, strict.Sequence) and not listed.items:
            self._report(listed.where, "NO-TARGETS", "no target stands here", "name at least one account: {name, adapter, mode, ...}")
        seen: dict[str, Where] = {}
        for node in _maps(self.root, "targets"):
            self._once(seen, "target", node.get("name"))
            target = self._target(node)
            if target is not None:
                yield target

    def _once(self, seen: dict[str, Where], what: str, name: strict.Node | None) -> None:
        if not isinstance(name, strict.Scalar) or name.missing:
            return
        if name.text in seen:
            message = f"{what} '{shown(name.text)}' again (first at line {seen[name.text].line})"
            self._report(name.where, "DUPLICATE-NAME", message, "give each its own name")
        seen.setdefault(name.text, name.where)

    def _target(self, node: strict.Mapping) -> TargetSettings | None:
        name, adapter, mode = (_text(node, key) for key in ("name", "adapter", "mode"))
        self._endpoint(node.get("endpoint"))
        options = self._options(node, adapter) if is_name(adapter) else {}
        if not name or not adapter or mode not in {word.value for word in TargetMode}:
            return None
        return TargetSettings(
            name, adapter, TargetMode(mode), options, node.where, _text(node, "endpoint"), _text(node, "outrank") == "true"
        )

    def _options(self, node: strict.Mapping, adapter: str) -> dict[str, Json]:
        found = self.options_schema(adapter)
        if isinstance(found, Finding):
            value = node.get("adapter")
            self.findings.append(replace(found, where=value.where if value else node.where))
            return {}
        own = strict.Mapping(tuple((key, value) for key, value in node.entries if key.text not in _CORE_KEYS), node.where)
        wrong = schema.check(own, found, name=f"the {adapter} target")
        self.findings += wrong
        return {} if wrong else schema.plain(own, found)

    def _endpoint(self, node: strict.Node | None) -> None:
        if isinstance(node, strict.Scalar) and not node.missing:
            wrong = ", ".join(endpoint.complaints(node.text))
            if wrong:
                self._report(node.where, "BAD-ENDPOINT", wrong, endpoint.WANT)

    # --- inventory rules ---------------------------------------------------------------------------------------------

    def _sources(self) -> Iterator[LabelSource]:
        for node in _maps(self.root, "labels_from"):
            picks = [pick for pick in (Pick.TAG, Pick.NAME, Pick.ACCOUNT) if node.get(pick.value) is not None]
            if len(picks) != 1:
                hint = "say where the text comes from: tag, name or account"
                self._report(node.where, "LABEL-SOURCE", f"exactly one of tag, name, account is wanted, not {len(picks)}", hint)
                continue
            key = node.get(picks[0].value)
            label = _text(node, "label")
            if not isinstance(key, strict.Scalar) or key.missing or not label:
                continue
            if picks[0] is Pick.NAME and not self._pattern(key, has_value=bool(_text(node, "value"))):
                continue
            table = _map(node, "map")
            pairs = [(word.text, value.text) for word, value in table.entries if isinstance(value, strict.Scalar)] if table else []
            lower = _text(node, "lower") == "true"
            yield LabelSource(label, picks[0], key.text, node.where, _text(node, "value"), lower, tuple(pairs))

    def _pattern(self, key: strict.Scalar, *, has_value: bool) -> bool:
        try:
            groups = re.compile(key.text).groups
        except (re.error, RecursionError, OverflowError) as error:
            self._report(key.where, "BAD-PATTERN", f"'{shown(key.text)}': {error}", "want a regular expression of Python's re")
            return False
        if not groups and not has_value:
            hint = 'put the part that is the label in ( ), e.g. "^(web|app)-", or add value:'
            self._report(key.where, "BAD-PATTERN", f"'{shown(key.text)}' has no group", hint)
            return False
        return True

    def _locks(self) -> Iterator[tuple[str, Pick]]:
        node = _map(self.root, "label_locks")
        words = {pick.value: pick for pick in Pick}
        for key, value in node.entries if node else ():
            if isinstance(value, strict.Scalar) and value.text in words:
                yield key.text, words[value.text]

    def _domains(self) -> Iterator[RoutingDomain]:
        names: dict[str, Where] = {}
        members: dict[str, Where] = {}
        for node in _maps(self.root, "routing_domains"):
            self._once(names, "routing domain", node.get("name"))
            listed = node.get("members")
            items = [item for item in listed.items if isinstance(item, strict.Scalar)] if isinstance(listed, strict.Sequence) else []
            for item in items:
                self._once(members, "member", item)
            name = _text(node, "name")
            if name:
                yield RoutingDomain(Domain(name), tuple(item.text for item in items), node.where)

    def _terraform(self) -> Iterator[TerraformFiles]:
        seen = {_text(node, "name"): node.where for node in _maps(self.root, "targets")}
        for node in _maps(self.root, "terraform"):
            self._once(seen, "terraform state or target", node.get("name"))
            state, name = _text(node, "state"), _text(node, "name")
            if not state.startswith("/") and (state.startswith("~") or ".." in state.split("/")):
                hint = "name a file inside the repository, or one anywhere by its whole path"
                self._report(node.where, "OUTSIDE-ROOT", f"'{shown(state)}' is not inside the repository", hint)
            elif state and name:
                yield TerraformFiles(name, state, node.where, _text(node, "workloads") == "true")

    # --- the rest ----------------------------------------------------------------------------------------------------

    def _schedules(self) -> Iterator[tuple[str, Schedule]]:
        for node in _maps(self.root, "targets"):
            found = self._schedule(node)
            if found is not None:
                yield _text(node, "name"), found

    def _schedule(self, owner: strict.Mapping) -> Schedule | None:
        node = _map(owner, "schedule")
        if node is None:
            return None
        every, jitter, line = (_text(node, key) for key in ("every", "jitter", "cron"))
        found = Schedule(_seconds(every), _seconds(jitter), line)
        if bool(every) == bool(line):
            self._report(node.where, "BAD-SCHEDULE", "exactly one of every, cron is wanted", "e.g. {every: 5m, jitter: 30s}")
        elif found.every_s and not found.jitter_s < found.every_s:
            self._report(
                node.where, "BAD-SCHEDULE", f"jitter {jitter or '0s'} is not shorter than every {every}", "e.g. {every: 5m, jitter: 30s}"
            )
        elif line:
            self._cron(node, line)
        return found

    def _cron(self, node: strict.Mapping, line: str) -> None:
        try:
            cron.parse(line)
        except ValueError as error:
            at = node.get("cron") or node
            self._report(at.where, "BAD-SCHEDULE", str(error), "minute hour day month weekday, in UTC, e.g. 30 2 * * 1-5")

    def _listen(self) -> Listen:
        section = _map(self.root, "service")
        node = section.get("listen") if section else None
        if node is not None and not isinstance(node, strict.Scalar):
            return Listen()
        text = node.text if node is not None and not node.missing else LISTEN
        if text == "none":
            return Listen()
        if text.startswith("unix:"):
            return Listen(socket=text.removeprefix("unix:"))
        host, _, port = text.rpartition(":")
        host = host.strip("[]")
        if node is not None and not (endpoint.is_loopback(host) and port.isdecimal() and 0 <= int(port) < 65536):
            hint = "who may read it is everybody who can reach it, so only this machine: 127.0.0.1:PORT or unix:/PATH"
            self._report(node.where, "BAD-ENDPOINT", f"'{shown(text)}' is no port of this machine", hint)
            return Listen()
        return Listen(host, int(port))

    def _state(self) -> str:
        node = self.root.get("state")
        if not isinstance(node, strict.Scalar):
            return ""
        if re.match(r"[a-z+]+://([^/@\s]*:[^/@\s]*@|.*[?&](ssl)?password=)", node.text):
            hint = "add state_password: env:NAME, file:PATH or credential:NAME, or use the database's own password file"
            self._report(node.where, "INLINE-SECRET", "a password never stands in the settings", hint)
        return node.text

    def _guards(self) -> GuardLimits:
        node = _map(self.root, "guards")
        if node is None:
            return GuardLimits()
        shares: dict[str, int] = {}
        for key in ("max_gone_workloads", "max_removed_rules", "max_affected_workloads", "quota_reserve"):
            text = _text(node, key).removesuffix("%")
            if text.isdecimal() and int(text) <= 100:
                shares[key] = int(text)
        allow = _text(node, "open_to_internet") == "allow"
        return GuardLimits(**shares, open_to_internet=allow, management=self._management(node))

    def _management(self, node: strict.Mapping) -> AddressSet:
        listed = node.get("management")
        items = listed.items if isinstance(listed, strict.Sequence) else (listed,)
        texts = [(item.text, item.where) for item in items if isinstance(item, strict.Scalar) and not item.missing]
        addresses, wrong = read_entries(texts)
        self.findings += wrong
        return addresses

    def _mail(self) -> Mail | None:
        node = _map(self.root, "mail")
        if node is None:
            return None
        match = re.fullmatch(r"([a-z+]+)://(?:([^/@\s]+)@)?([^/@\s:]+)(?::([0-9]{1,5}))?/?", _text(node, "smtp"))
        if match is None or match[1] not in _PORTS:
            return None
        security, port = _PORTS[match[1]]
        server = node.get("smtp")
        assert server is not None, "its text was just matched"
        if match[2]:
            hint = "use user: NAME and password: env:NAME, file:PATH or credential:NAME"
            self._report(server.where, "INLINE-SECRET", "credentials never stand in a URL", hint)
        if security == "plain" and not endpoint.is_loopback(match[3]):
            self._report(
                server.where, "BAD-ENDPOINT", "mail without TLS", "plain smtp:// only to this machine; use smtp+starttls:// or smtps://"
            )
        listed, to = node.get("to"), _texts(node, "to")
        if listed is not None and not to:
            self._report(listed.where, "BAD-VALUE", "'to' is an empty list", "e.g. to: [netsec@acme.example]")
        user = node.get("user")
        if user is not None and node.get("password") is None:
            self._report(user.where, "BAD-VALUE", "a user without a password", "add password: env:NAME, file:PATH or credential:NAME")
        routes = _map(node, "routes")
        return Mail(
            host=match[3],
            port=int(match[4] or port),
            security=security,
            sender=_text(node, "from"),
            to=to,
            on=frozenset(_texts(node, "on")) or frozenset(EVENTS),
            user=_text(node, "user") or (_text(node, "from") if node.get("password") is not None else ""),
            password=_reference(node, "password"),
            routes=tuple((key.text, _texts(routes, key.text)) for key, _ in routes.entries) if routes else (),
            ca_file=_text(node, "ca_file"),
            timeout_s=_seconds(_text(node, "timeout")) or ANSWER_S,
            digest=_text(node, "digest") or DIGEST_DAY,
            attach=_texts(node, "attach"),
        )

    def _hook_url(self, url: strict.Node | None) -> None:
        if isinstance(url, strict.Scalar) and "?" in url.text:
            hint = "what stands behind the ? is often a key: keep the address elsewhere, url: env:NAME"
            self._report(url.where, "INLINE-SECRET", "a query in an address", hint)
        else:
            self._endpoint(url)

    def _hooks(self) -> Iterator[Hook]:
        seen: dict[str, Where] = {}
        for node in _maps(self.root, "hooks"):
            self._once(seen, "hook", node.get("name"))
            url, command = node.get("url"), _texts(node, "command")
            if (url is None) == (node.get("command") is None):
                hint = "url: https://... for a web address, command: [/path/to/program] for a program"
                self._report(node.where, "BAD-HOOK", "exactly one of url, command is wanted", hint)
                continue
            hidden = _reference(node, "url") if not _text(node, "url").startswith("http") else None
            if hidden is None:
                self._hook_url(url)
            program = node.get("command")
            if program is not None and not (command and command[0].startswith("/")):
                self._report(program.where, "BAD-HOOK", "the program is not named by its whole path", "e.g. command: [/usr/local/bin/page]")
            secret = _reference(node, "secret")
            if url is not None and hidden is None and node.get("secret") is None:
                hint = "whoever finds the address could post there; add secret: env:NAME"
                self._report(node.where, "UNSIGNED-HOOK", "what is posted is not signed", hint, Severity.NOTE)
            yield Hook(
                name=_text(node, "name"),
                on=frozenset(_texts(node, "on")) or frozenset(EVENTS),
                url="" if hidden else _text(node, "url"),
                url_from=hidden,
                command=command,
                secret=secret,
                ca_file=_text(node, "ca_file"),
                timeout_s=_seconds(_text(node, "timeout")) or ANSWER_S,
            )


def _text(node: strict.Mapping | None, key: str) -> str:
    value = node.get(key) if node else None
    return value.text if isinstance(value, strict.Scalar) else ""


def _reference(node: strict.Mapping, key: str) -> SecretReference | None:
    kind, _, name = _text(node, key).partition(":")
    value = node.get(key)
    return SecretReference(kind, name, value.where if value is not None else None) if name else None


def _texts(node: strict.Mapping, key: str) -> tuple[str, ...]:
    value = node.get(key)
    if isinstance(value, strict.Sequence):
        return tuple(item.text for item in value.items if isinstance(item, strict.Scalar))
    return (value.text,) if isinstance(value, strict.Scalar) and not value.missing else ()


def _map(node: strict.Mapping, key: str) -> strict.Mapping | None:
    value = node.get(key)
    return value if isinstance(value, strict.Mapping) else None


def _maps(node: strict.Mapping, key: str) -> Iterator[strict.Mapping]:
    value = node.get(key)
    for item in value.items if isinstance(value, strict.Sequence) else ():
        if isinstance(item, strict.Mapping):
            yield item


def _seconds(text: str) -> int:
    return int(text[:-1]) * _SECONDS[text[-1]] if re.fullmatch(r"[0-9]{1,6}[smhd]", text) else 0

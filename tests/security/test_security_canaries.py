"""Secrets stay where they are: after a whole life of a deployment none of them stands in anything that was printed, kept or sent."""

from __future__ import annotations

import ast
import base64
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from cloudsync.cli.main import VERBS, parser
from tests.cli.four import Four
from tests.tidy import tree
from tests.trust.figures import record

FULL = "{scope: env=prod, mode: full}"
RULES = ("allow iplist office to role=web on tcp/443", "allow role=web to role=app on tcp/8443")
HOLDS = re.compile(r"_?(password|secret|token|session_token|secret_access_key)")
SECRET_KEYS = ("secret", "password", "private_key", "token")


def _leaves(node: object, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _leaves(value, str(key))
    elif isinstance(node, list):
        for value in node:
            yield from _leaves(value, name)
    elif isinstance(node, str):
        yield name, node


def _canaries(four: Four) -> dict[str, bytes]:
    """Return every secret of the estate and of the settings, also as they would look encoded, by a name."""
    found: dict[str, str] = {}
    for name, value in _leaves(four.lab.state.as_json()):
        if any(word in name for word in SECRET_KEYS) and "file" not in name and len(value) >= 8:
            found[f"{name} of the estate {len(found)}"] = value
    found |= {name: value for name, value in four.exports.items() if any(word in name.lower() for word in SECRET_KEYS)}
    key = Path(four.exports["GOOGLE_APPLICATION_CREDENTIALS"])
    inner = "".join(json.loads(key.read_text(encoding="utf-8"))["private_key"].splitlines()[2:4])
    found["private key of the service account"] = inner[:48]
    plain = {name: value.encode() for name, value in found.items()}
    encoded = {f"{name}, base64": base64.b64encode(value.encode()).rstrip(b"=")[:-1] for name, value in found.items()}
    quoted = {f"{name}, quoted": quote(value, safe="").encode() for name, value in found.items() if quote(value, safe="") != value}
    return plain | encoded | quoted


def _settings(four: Four) -> None:
    state = four.lab.state.as_json()
    port = state["smtp"]["port"]
    mail = f'mail: {{smtp: "smtp://127.0.0.1:{port}", from: cs@acme.example, to: [net@acme.example], on: [drift, refused, failed]}}\n'
    targets = [four.target(name, "exclusive") for name in ("aws", "gcp", "azure", "f5")]
    four.settings(*targets, guards="max_removed_rules: 100%, max_affected_workloads: 5%, open_to_internet: allow", more=mail)


def _said(four: Four) -> Iterator[tuple[str, bytes]]:
    """Live a life: look, be refused, fail, converge, drift, be asked everything. Yield what was printed, with who printed it."""
    four.policy(*RULES, enforced=FULL)
    every: list[tuple[str, ...]] = [
        ("validate",),
        ("doctor",),
        ("plan", "-o", str(four.root / "saved.plan")),
        ("plan", "--json"),
        ("apply", "--yes"),
        ("drift", "--json"),
        ("status", "--json"),
        ("explain", "internet", "jump-1", "tcp/22"),
        ("report", "--format", "html", "-o", str(four.root / "out.html")),
        ("report", "--format", "csv"),
        ("map", "-o", str(four.root / "map.html")),
        ("history", "--json"),
        ("audit", "verify", "--json"),
        ("export", "terraform"),
        ("reconcile",),
    ]
    for words in (*every, *(("iam", name) for name in ("aws", "gcp", "azure", "f5"))):
        ran = four.run(*words)
        yield " ".join(words), (ran.out + ran.err).encode()
    ran = four.converge()
    yield "converge", (ran.out + ran.err).encode()
    # What is wrong with credentials is said without them: each of them changed in one letter, one after the other.
    for name in ("AWS_SECRET_ACCESS_KEY", "AZURE_CLIENT_SECRET", *(key for key in four.exports if "PASSWORD" in key)):
        if name in four.exports:
            ran = four.run("plan", code=None, **{name: four.exports[name] + "x"})
            yield f"plan with a wrong {name}", (ran.out + ran.err).encode()


def _kept(four: Four) -> Iterator[tuple[str, bytes]]:
    """Yield every file that is there afterwards, and every mail."""
    for path in sorted(four.root.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(four.root)), path.read_bytes()
    mailbox = Path(four.lab.folder) / "mailbox"
    for path in sorted(mailbox.rglob("*")) if mailbox.is_dir() else ():
        if path.is_file():
            yield f"mail {path.name}", path.read_bytes()


def test_no_secret_is_printed_kept_or_sent(stage: Four) -> None:
    stage.clear()
    _settings(stage)
    canaries = _canaries(stage)
    assert len(canaries) > 20, sorted(canaries)
    told = dict(_said(stage))
    told |= dict(_kept(stage))
    assert len(told) > 30
    assert any(name.startswith("saved.plan") for name in told)
    assert any(name.endswith(".db") for name in told)
    leaked = [(where, name) for where, content in told.items() for name, secret in canaries.items() if secret in content]
    record("T9 secrets", {"canaries": len(canaries), "places": len(told), "leaked": len(leaked)})
    assert not leaked, leaked


def test_the_search_finds_a_secret_that_is_there(stage: Four) -> None:
    """The other way round: each canary is found where it is put."""
    canaries = _canaries(stage)
    for secret in canaries.values():
        assert secret in b"before " + secret + b" after"
    assert canaries["AWS_SECRET_ACCESS_KEY"] == stage.exports["AWS_SECRET_ACCESS_KEY"].encode()


def test_what_is_kept_is_its_owners_alone(stage: Four) -> None:
    """State, plan files and pages: no bit for group or others, under any umask."""
    stage.clear()
    _settings(stage)
    stage.policy(*RULES, enforced=FULL)
    before = os.umask(0)
    try:
        stage.run("plan", "-o", str(stage.root / "saved.plan"))
        stage.converge()
        stage.run("reconcile")
    finally:
        os.umask(before)
    found = [stage.root / "saved.plan", *sorted((stage.root / ".cloudsync").rglob("*")), stage.root / ".cloudsync"]
    assert len(found) > 4
    open_ones = [str(path) for path in found if stat.S_IMODE(path.stat().st_mode) & 0o077]
    assert not open_ones, open_ones


def test_nothing_secret_stands_on_a_command_line() -> None:
    """No option takes a secret: everybody on a machine can read the command lines of all."""
    for verb in VERBS:
        options = [option for action in parser(verb)._actions for option in action.option_strings]
        assert not [option for option in options if any(word in option for word in ("pass", "secret", "token", "key"))], verb


def _shown(cls: ast.ClassDef) -> Iterator[str]:
    """Yield the fields of a dataclass that hold a secret and would show it."""
    if not any("dataclass" in ast.unparse(one) for one in cls.decorator_list):
        return
    for node in cls.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and HOLDS.fullmatch(node.target.id):
            kind, value = ast.unparse(node.annotation), ast.unparse(node.value) if node.value else ""
            if "str" in kind and "repr=False" not in value:
                yield node.target.id


def test_a_value_that_holds_a_secret_does_not_show_it() -> None:
    """Values are printed in tracebacks and logs; references (env:, file:) are not secrets, what they lead to is."""
    found = [
        f"{file}:{node.lineno} {node.name}.{name}"
        for file in tree.python_files(*tree.PRODUCT)
        if file.parts[:2] != ("cloudsync", "lab")  # the lab's secrets are made to be shown
        for node in ast.walk(tree.syntax(file))
        if isinstance(node, ast.ClassDef)
        for name in _shown(node)
    ]
    assert not found, found


def test_a_planted_secret_that_shows_itself_is_found() -> None:
    source = "@dataclass\nclass A:\n    password: str = ''\n    token: str = field(default='', repr=False)\n"
    (cls,) = ast.parse(source).body
    assert isinstance(cls, ast.ClassDef)
    assert list(_shown(cls)) == ["password"]


@pytest.fixture(autouse=True)
def _quick(stage: Four) -> None:
    stage.lab.control.no_faults()

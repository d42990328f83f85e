"""cloudsync.yaml becomes values; adapters are found by name and not run."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from cloudsync import registry
from cloudsync.inventory.labels import LabelSource, Pick
from cloudsync.inventory.rules import domain_of
from cloudsync.model.address import AddressSet
from cloudsync.model.endpoint import complaints
from cloudsync.model.errors import SettingsError
from cloudsync.model.finding import Finding, Where
from cloudsync.model.mode import TargetMode
from cloudsync.registry import options_schema
from cloudsync.settings import Schedule, SecretReference, load_settings
from cloudsync.settings.load import EVENTS

TARGET = '  - {name: t, adapter: aws, mode: observe, account: "111122223333", regions: [us-east-1]}\n'
SHORT = f"owner: acme\ntargets:\n{TARGET}"
FULL = """\
owner: acme-prod
policy: ./rules//deep/
inventory: hosts
targets:
  - name: a
    adapter: aws
    mode: additive
    account: "111122223333"
    regions: [us-east-1, eu-west-1]
    pace: 0.5
    outrank: true
    endpoint: http://127.0.0.1:5000
  - {name: b, adapter: aws, mode: exclusive, account: 000000000001, regions: [us-east-1], vpcs: [vpc-0123456789abcdef0]}
labels_from:
  - {tag: Role, label: role, lower: true, map: {Www: web}}
  - {name: "^(web)-", label: role}
  - {account: "111122223333", label: loc, value: aws}
label_locks: {loc: account}
routing_domains:
  - {name: one, members: [a, vpc-1]}
schedule: {every: 5m, jitter: 30s}
state: sqlite:///var/lib/cloudsync/state.db
guards: {max_removed_rules: 5%, open_to_internet: allow, management: [203.0.113.0/28, "2001:db8::1"], max_restores: 7}
mail: {smtp: "smtp+starttls://mail.example", from: a@b, to: c@d, user: u, password: "env:SMTP"}
"""


def test_every_key_arrives() -> None:
    settings, findings = load_settings(FULL.encode(), options_schema)
    assert findings == ()
    assert settings is not None
    first, second = settings.targets
    assert (settings.owner, settings.policy, settings.inventory) == ("acme-prod", "rules/deep", "hosts")
    assert (first.name, first.mode, first.endpoint, first.where) == (
        "a",
        TargetMode.ADDITIVE,
        "http://127.0.0.1:5000",
        Where("cloudsync.yaml", 5, 5),
    )
    assert first.options == {"account": "111122223333", "regions": ["us-east-1", "eu-west-1"], "pace": 0.5}
    assert second.options["account"] == "000000000001"
    assert {target.name for target in settings.targets if target.outrank} == {"a"}
    assert settings.rules.sources == (
        LabelSource("role", Pick.TAG, "Role", Where("cloudsync.yaml", 15, 5), lower=True, map=(("Www", "web"),)),
        LabelSource("role", Pick.NAME, "^(web)-", Where("cloudsync.yaml", 16, 5)),
        LabelSource("loc", Pick.ACCOUNT, "111122223333", Where("cloudsync.yaml", 17, 5), value="aws"),
    )
    assert settings.rules.locks == (("loc", Pick.ACCOUNT),)
    assert [(domain.name, domain.members) for domain in settings.rules.domains] == [("one", ("a", "vpc-1"))]
    assert settings.schedule == Schedule(every_s=300, jitter_s=30)
    assert settings.state == "sqlite:///var/lib/cloudsync/state.db"
    assert (settings.guards.max_removed_rules, settings.guards.max_affected_workloads, settings.guards.open_to_internet) == (5, 10, True)
    assert settings.guards.management == AddressSet.of("203.0.113.0/28", "2001:db8::1")
    assert settings.max_restores == 7
    assert settings.mail is not None
    assert (settings.mail.host, settings.mail.port, settings.mail.security) == ("mail.example", 587, "starttls")
    assert (settings.mail.to, settings.mail.on) == (("c@d",), frozenset(EVENTS))
    assert settings.mail.password == SecretReference("env", "SMTP")


def test_who_is_told_what() -> None:
    text = SHORT + (
        "mail:\n  smtp: smtps://mail.example:4650\n  from: cloudsync@acme.example\n  to: netsec@acme.example\n  password: file:/run/smtp\n"
        "  routes: {ordering-team: [o@acme.example, p@acme.example], dba: d@acme.example}\n  ca_file: ca.pem\n  timeout: 5s\n"
        "  digest: friday\n  attach: [csv]\n  on: [drift, digest]\n"
        "hooks:\n  - {name: chat, url: 'https://chat.example/hook', secret: 'env:KEY', on: [failed]}\n"
        "  - {name: pager, command: [/usr/local/bin/page, --now], timeout: 3s}\nspool: /var/spool/cloudsync\n"
    )
    settings, findings = load_settings(text.encode(), options_schema)
    assert findings == ()
    assert settings is not None
    assert settings.spool == "/var/spool/cloudsync"
    mail = settings.mail
    assert mail is not None
    assert mail.routes == (("ordering-team", ("o@acme.example", "p@acme.example")), ("dba", ("d@acme.example",)))
    assert (mail.ca_file, mail.timeout_s, mail.digest, mail.attach) == ("ca.pem", 5, "friday", ("csv",))
    assert mail.on == frozenset({"drift", "digest"})
    assert (mail.user, mail.password) == ("cloudsync@acme.example", SecretReference("file", "/run/smtp"))
    chat, pager = settings.hooks
    assert (chat.name, chat.url, chat.secret, chat.on) == (
        "chat",
        "https://chat.example/hook",
        SecretReference("env", "KEY"),
        frozenset({"failed"}),
    )
    assert (pager.command, pager.timeout_s, pager.on) == (("/usr/local/bin/page", "--now"), 3, frozenset(EVENTS))


def test_what_is_left_out_has_a_careful_default() -> None:
    settings, findings = load_settings(SHORT.encode(), options_schema)
    assert findings == ()
    assert settings is not None
    assert (settings.policy, settings.inventory, settings.schedule, settings.mail) == ("policy", "inventory", None, None)
    assert (settings.guards.max_removed_rules, settings.guards.max_gone_workloads, settings.guards.max_affected_workloads) == (30, 30, 10)
    assert not settings.guards.open_to_internet
    assert domain_of(settings.rules.members(), "vpc-1", "1", "t") == "default"


def test_the_most_exact_member_decides_the_domain() -> None:
    text = SHORT + "routing_domains:\n  - {name: net, members: [vpc-1]}\n  - {name: acc, members: ['12']}\n  - {name: tgt, members: [t]}\n"
    settings, _ = load_settings(text.encode(), options_schema)
    assert settings is not None
    domain = partial(domain_of, settings.rules.members())
    assert [domain("vpc-1", "12", "t"), domain("vpc-2", "12", "t"), domain("vpc-2", "13", "t"), domain("vpc-2", "13", "u")] == [
        "net",
        "acc",
        "tgt",
        "default",
    ]


@pytest.mark.parametrize(
    "url",
    [
        "https://ec2.us-east-1.amazonaws.com",
        "https://ec2.example:8443/path",
        "http://127.0.0.1:5000",
        "http://localhost:5000/",
        "http://[::1]:5000",
        "https://10.0.0.1",
        "https://127.0.0.1",
        "https://[2001:db8::1]:443/x",
    ],
)
def test_endpoints_that_may_be_used(url: str) -> None:
    assert list(complaints(url)) == []


def test_no_adapter_code_runs_while_settings_are_checked() -> None:
    program = (
        "import sys; from cloudsync.registry import options_schema; from cloudsync.settings import load_settings; "
        "settings, findings = load_settings(sys.stdin.buffer.read(), options_schema); assert settings and not findings; "
        "print(*[name for name in sys.modules if name.startswith(('cloudsync_', 'boto', 'pydantic', 'importlib.metadata'))])"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=SHORT,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": f"{root}:{root}/adapters"},
    )
    assert done.stdout.split() == []


def test_an_adapter_is_loaded_by_its_name_and_an_unknown_one_is_a_finding() -> None:
    assert registry.load("aws").name == "aws"
    with pytest.raises(SettingsError) as caught:
        registry.load("awz")
    assert [finding.code for finding in caught.value.findings] == ["UNKNOWN-ADAPTER"]


def test_another_peoples_adapter_is_found_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "acme_wall"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (package / "settings.schema.json").write_text('{"type": "object", "required": ["site"]}')
    metadata = tmp_path / "acme_wall-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-wall\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[cloudsync.adapters]\nwall = acme_wall:ADAPTER\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert options_schema("wall") == {"type": "object", "required": ["site"]}
    with pytest.raises(RuntimeError, match="imported"):
        registry.load("wall")


def test_an_adapter_without_a_schema_is_broken_not_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cloudsync_hollow").mkdir()
    (tmp_path / "cloudsync_hollow/__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = options_schema("hollow")
    assert isinstance(found, Finding)
    assert found.code == "BROKEN-ADAPTER"

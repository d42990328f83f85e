"""Who we talk to is always checked: a stranger gets no byte after the handshake, and nothing can switch the check off."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from cloudsync.lab.kit.tls import Authority, authority
from tests.cli.shell import Repository
from tests.security.stranger import Stranger

POLICY = """version: 1
labels: {role: [web]}
enforcement: {default: full}
rulesets:
  - {name: r, scope: all, owner: o, rules: [allow anywhere to role=web on tcp/443]}
"""
OFF = {
    "PYTHONHTTPSVERIFY": "0",
    "CURL_CA_BUNDLE": "",
    "REQUESTS_CA_BUNDLE": "",
    "AWS_CA_BUNDLE": "",
    "SSL_CERT_FILE": os.devnull,
    "SSL_NO_VERIFY": "1",
    "GIT_SSL_NO_VERIFY": "1",
    "NODE_TLS_REJECT_UNAUTHORIZED": "0",
    "AZURE_CLI_DISABLE_CONNECTION_VERIFICATION": "1",
}
"""What people set so that tools ask no questions."""
SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIACANARY0000000000",
    "AWS_SECRET_ACCESS_KEY": "canary-aws-secret",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AZURE_TENANT_ID": "72f988bf-86f1-41af-91ab-2d7cd011db47",
    "AZURE_CLIENT_ID": "11111111-2222-3333-4444-555555555555",
    "AZURE_CLIENT_SECRET": "canary-azure-secret",
    "F5_USER": "cloudsync",
    "F5_PASSWORD": "canary-f5-password",
}


@dataclass(frozen=True)
class Place:
    """How a target of one platform is pointed at a server."""

    adapter: str
    options: str
    trusts: bool = True
    """Whether the target can name a certificate authority."""

    def target(self, url: str, more: str = "") -> str:
        """Return its settings."""
        options = self.options.replace("URL", url)
        return f"  - {{name: there, adapter: {self.adapter}, mode: observe, {options}{', ' + more if more else ''}}}\n"


PLACES = (
    Place("aws", 'account: "111122223333", regions: [us-east-1], endpoint: "URL"', trusts=False),
    Place("gcp", 'project: acme-net, networks: [prod], endpoint: "URL"', trusts=False),
    Place(
        "azure",
        'subscription: 5c0d5e9a-0b7e-4c55-9d10-3f1c5a2b7e01, resource_groups: [rg], authority: "URL", endpoint: "URL"',
    ),
    Place("f5", 'hosts: [bigip1.lab.example], addresses: {bigip1.lab.example: "URL"}, user: "env:F5_USER", password: "env:F5_PASSWORD"'),
)


@pytest.fixture
def repository(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository without targets, in an environment with credentials for every platform."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(_google_key(home)))
    found = Repository(tmp_path / "repository")
    found.root.mkdir()
    (found.root / "policy").mkdir()
    (found.root / "policy" / "all.yaml").write_text(POLICY, encoding="utf-8")
    return found


def _google_key(folder: Path) -> Path:
    """Write a service account's key: ours alone, of no project that exists."""
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "key.json"
    document = {
        "type": "service_account",
        "project_id": "acme-net",
        "private_key_id": "1",
        "private_key": key.decode("ascii"),
        "client_email": "cloudsync@acme-net.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def _settings(repository: Repository, target: str) -> None:
    text = f"owner: us\ntargets:\n{target}labels_from:\n  - {{tag: Role, label: role}}\n"
    (repository.root / "cloudsync.yaml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.adapter)
def test_a_stranger_gets_no_byte(place: Place, repository: Repository, stranger: Stranger) -> None:
    _settings(repository, place.target(stranger.url))
    ran = repository.run("plan", "-q")
    assert ran.code == 5, str(ran)
    assert stranger.knocked, "it was asked at all"
    assert stranger.received == b""
    assert "certificate" in (ran.out + ran.err).lower(), str(ran)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.adapter)
def test_no_variable_of_the_environment_switches_the_check_off(
    place: Place, repository: Repository, stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in OFF.items():
        monkeypatch.setenv(name, value)
    _settings(repository, place.target(stranger.url))
    ran = repository.run("plan", "-q")
    assert ran.code == 5, str(ran)
    assert stranger.received == b""


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.adapter)
@pytest.mark.parametrize(
    "option", ["verify: false", "verify_ssl: false", "insecure: true", "ssl_verify: false", "ca_file: false", 'ca_file: ""']
)
def test_no_setting_switches_the_check_off(place: Place, option: str, repository: Repository, stranger: Stranger) -> None:
    _settings(repository, place.target(stranger.url, option))
    ran = repository.run("plan", "-q")
    assert ran.code == 3, str(ran)
    assert not stranger.knocked, "invalid input contacts nobody"


@pytest.mark.parametrize("place", [place for place in PLACES if place.trusts], ids=lambda place: place.adapter)
def test_an_authority_of_ones_own_vouches_for_its_servers_alone(
    place: Place, repository: Repository, stranger: Stranger, tmp_path: Path
) -> None:
    other = authority(tmp_path / "other")
    _settings(repository, place.target(stranger.url, f"ca_file: {other.ca_file}"))
    ran = repository.run("plan", "-q")
    assert ran.code == 5, str(ran)
    assert stranger.knocked
    assert stranger.received == b""


@pytest.mark.parametrize("place", [place for place in PLACES if place.trusts], ids=lambda place: place.adapter)
def test_an_authority_that_is_named_is_believed(place: Place, repository: Repository, stranger: Stranger, nobodys: Authority) -> None:
    """The other way round, so that the tests above can fail: with the right authority something is sent."""
    _settings(repository, place.target(stranger.url, f"ca_file: {nobodys.ca_file}"))
    ran = repository.run("plan", "-q")
    assert ran.code == 5, str(ran)
    assert stranger.received


@pytest.mark.parametrize("place", [PLACES[0], PLACES[2]], ids=lambda place: place.adapter)
def test_plain_http_across_the_network_is_refused_from_the_environment_too(
    place: Place, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://192.0.2.1")
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "http://192.0.2.1")
    options = place.options.replace(', endpoint: "URL"', "").replace(', authority: "URL"', "")
    if place.adapter == "azure":
        options += ', endpoint: "https://127.0.0.1:9"'
    _settings(repository, Place(place.adapter, options).target(""))
    ran = repository.run("plan", "-q")
    assert ran.code in (4, 5), str(ran)
    assert "https" in (ran.out + ran.err).lower(), str(ran)


@pytest.mark.parametrize(
    "url", ["https://169.254.169.254", "https://metadata.google.internal", "http://192.0.2.1", "https://u:p@192.0.2.1"]
)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.adapter)
def test_no_url_of_a_target_leads_to_a_metadata_service_or_in_the_clear(place: Place, url: str, repository: Repository) -> None:
    """Every URL that a target can carry, not the endpoint alone: the authority that tokens come from, each device's address."""
    _settings(repository, place.target(url))
    ran = repository.run("plan", "-q")
    assert ran.code == 3, str(ran)
    assert "BAD-ENDPOINT" in ran.out or "want https://ADDRESS" in ran.out

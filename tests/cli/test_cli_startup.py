"""What each verb loads. A verb that loads what it does not use is slow for everybody, every time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cloudsync.cli.main import VERBS
from tests.cli.shell import ROOT, Repository, started

PROGRAM = """
import json, sys
from cloudsync.cli.main import main
lines = [[verb, "--help"] for verb in sys.argv[2:]] if sys.argv[1] == "HELP" else [sys.argv[1:]]
for words in lines:
    try:
        main(words)
    except SystemExit:
        pass
print("\\n" + json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
print(json.dumps(sorted(name for name in sys.modules if name.startswith(("cloudsync", "azure.", "google.")))))
"""
HEAVY = {"asyncio", "ssl", "http", "sqlite3", "multiprocessing", "ctypes", "xml", "unittest"}
"""Parts of the standard library that cost a start several milliseconds."""
QUICK = {"cloudsync", "yaml", "_yaml"}
"""Other people's packages that a verb on files may load."""
OF_AWS = QUICK | {"cloudsync_aws", "boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3", "awscrt", "certifi"}

REQUESTS = {"requests", "urllib3", "certifi", "idna", "charset_normalizer", "chardet", "socks", "OpenSSL", "_openssl"}
OF_ONE = {
    "aws": OF_AWS,
    "gcp": QUICK | REQUESTS | {"cloudsync_gcp", "google", "pyasn1", "pyasn1_modules", "rsa", "cryptography", "_cffi_backend"},
    "azure": QUICK
    | REQUESTS
    | {"cloudsync_azure", "azure", "msal", "jwt", "cryptography", "_cffi_backend", "typing_extensions", "isodate"},
    "f5": QUICK | REQUESTS | {"cloudsync_f5", "icontrol", "six"},
}
"""What a run on one platform may load of other people's, and no more."""
TARGETS = {
    "aws": 'account: "111122223333", regions: [us-east-1], vpcs: all, endpoint: "http://127.0.0.1:9"',
    "gcp": 'project: acme-net, networks: [prod], endpoint: "http://127.0.0.1:9"',
    "azure": "subscription: 00000000-0000-0000-0000-000000000001, resource_groups: [prod], "
    'authority: "https://127.0.0.1:9", endpoint: "https://127.0.0.1:9"',
    "f5": 'hosts: [bigip.example.com], device_group: g, addresses: {bigip.example.com: "https://127.0.0.1:9"}',
}
RULES = """\
version: 1
labels: {role: [web, app]}
enforcement: {default: visibility}
rulesets:
  - {name: r, scope: all, owner: o, rules: [allow role=web to role=app on tcp/8080]}
"""
TOO_BIG = ("azure.mgmt.compute", "google.cloud.compute", "google.cloud.compute_v1")
"""Clients generated from a vendor's whole API: each takes longer to load than everything else of a run together."""

NOBODY = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1"}
NO_ONE = {
    "AZURE_TENANT_ID": "x", "AZURE_CLIENT_ID": "x", "AZURE_CLIENT_SECRET": "x",
    "GOOGLE_APPLICATION_CREDENTIALS": "/nonexistent", "F5_USER": "x", "F5_PASSWORD": "x",
}  # fmt: skip


def loaded(*words: str, **environment: str) -> tuple[set[str], set[str]]:
    """Return the top-level packages and our own modules that a command line loads in a fresh interpreter."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COV")} | environment
    done = subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=True, env=kept, cwd=ROOT)
    packages, modules = done.stdout.rstrip().rsplit("\n", 2)[-2:]
    return set(json.loads(packages)), set(json.loads(modules))


def bare() -> set[str]:
    """Return what an interpreter of this installation holds before anything of ours: editable installs bring hooks."""
    done = subprocess.run([sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def strangers(packages: set[str], allowed: set[str]) -> set[str]:
    packages = {name for name in packages if "cython" not in name}  # the C half of PyYAML
    return packages - set(sys.stdlib_module_names) - allowed - bare() - {"__main__", "__mp_main__"}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(started(tmp_path_factory.mktemp("startup") / "repository").root)


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("nonsense",)])
def test_without_a_verb_nearly_nothing_is_loaded(words: tuple[str, ...]) -> None:
    packages, modules = loaded(*words)
    assert not strangers(packages, {"cloudsync"})
    assert not packages & (HEAVY | {"yaml"})
    assert len(modules) <= 14, modules


@pytest.mark.parametrize(
    "words", [("validate",), ("fmt", "--check"), ("test", "--offline"), ("schema", "policy"), ("iam", "aws"), ("history",), ("status",)]
)
def test_verbs_on_files_load_no_sdk_and_no_big_library(words: tuple[str, ...], here: str) -> None:
    packages, _ = loaded(words[0], "-C", here, *words[1:])
    assert not strangers(packages, QUICK | {"cloudsync_aws"})
    assert "asyncio" not in packages


def test_validate_loads_no_store_no_planner_and_nothing_slow(here: str) -> None:
    packages, modules = loaded("validate", "-C", here)
    assert not packages & (HEAVY | {"cloudsync_aws"})
    areas = {name.split(".")[1] for name in modules if "." in name}
    assert not areas & {"store", "apply", "run", "guard", "proof", "report", "lab", "testing", "starter"}, areas


@pytest.mark.parametrize("verb", ["plan", "doctor"])
def test_verbs_that_look_at_aws_load_its_sdk_and_nothing_else_that_is_big(verb: str, here: str) -> None:
    """The platform is not there; the SDK is loaded to find that out."""
    root = Repository(Path(here).with_name(f"aws-{verb}"))
    started(root.root)
    root.edit("cloudsync.yaml", "regions: [us-east-1]", 'regions: [us-east-1]\n    endpoint: "http://127.0.0.1:9"')
    packages, _ = loaded(verb, "-C", str(root.root), **NOBODY)
    assert "botocore" in packages
    assert not packages & {"moto", "jinja2", "pydantic", "rich", "sqlalchemy", "asyncio", "werkzeug"}
    assert not strangers(packages, OF_AWS)


@pytest.mark.parametrize("platform", sorted(TARGETS))
def test_a_run_on_one_platform_loads_that_platform_alone(platform: str, tmp_path: Path) -> None:
    """An unattended run: what it loads before its first call is what it needs, whatever else is installed."""
    target = f"{{name: one, adapter: {platform}, mode: observe, {TARGETS[platform]}}}"
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "all.yaml").write_text(RULES, encoding="utf-8")
    (tmp_path / "cloudsync.yaml").write_text(f"owner: o\ntargets:\n  - {target}\nschedule: {{every: 5m}}\n", encoding="utf-8")
    packages, modules = loaded("reconcile", "-C", str(tmp_path), **NOBODY, **NO_ONE)
    assert f"cloudsync_{platform}.client" in modules
    assert not strangers(packages, OF_ONE[platform])
    assert not packages & {
        "moto",
        "jinja2",
        "pydantic",
        "sqlalchemy",
        "numpy",
        "rich",
        "werkzeug",
        "psycopg",
        "procrastinate",
        "apscheduler",
    }
    assert not modules & set(TOO_BIG)


def test_the_help_of_a_verb_loads_no_library() -> None:
    """All of them in one interpreter: what the union lacks, each lacks."""
    packages, modules = loaded("HELP", *VERBS)
    assert not strangers(packages, {"cloudsync"})
    assert {"cloudsync.cli.files", "cloudsync.cli.explain", "cloudsync.cli.history", "cloudsync.cli.lab"} <= modules


def test_the_allow_list_can_fail() -> None:
    assert strangers({"pydantic", "json", "cloudsync"}, QUICK) == {"pydantic"}

"""What is fuzzed: everything that reads bytes of others. A target takes bytes and returns; what it may not do is raise.

The oracle of each: a value or findings inside the file, never another exception than those its caller takes for "cannot be trusted".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from typing import Any

from cloudsync.inventory.static import read_static
from cloudsync.inventory.terraform import read_state
from cloudsync.model.address import AddressSet
from cloudsync.model.errors import InputError
from cloudsync.model.finding import Finding, Severity, Where
from cloudsync.model.service import ServiceSet
from cloudsync.plan import document
from cloudsync.policy.acknowledged import read_acknowledged
from cloudsync.policy.addresses import read_entries
from cloudsync.policy.fmt import format_file
from cloudsync.policy.grammar import parse_rule, parse_scope, parse_test, rule_text
from cloudsync.policy.load import load_policy
from cloudsync.policy.place import Piece
from cloudsync.policy.services import read_service
from cloudsync.policy.strict import Scalar, load_node
from cloudsync.proof.ends import party
from cloudsync.registry import options_schema
from cloudsync.settings import cron, load_settings, packaged_schema
from cloudsync.store.place import locate
from cloudsync.verify.check import verify
from cloudsync.verify.document import NoPlanError
from cloudsync_aws import parse as aws
from cloudsync_azure import parse as azure
from cloudsync_f5 import parse as f5
from cloudsync_gcp import parse as gcp
from cloudsync_gcp.table import Network
from tests.fuzz import seeds
from tests.fuzz.mutate import Choices, edited
from tests.fuzz.record_samples import SAMPLES
from tests.fuzz.values import Target

Json = Any
HERE = Where("fuzz")


_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""What ends a line in YAML. A carriage return alone does, for editors it mostly does not: columns are not held against it."""


class BrokenError(AssertionError):
    """A promise about an input that was taken does not hold."""


def _told(findings: tuple[Finding, ...], content: bytes, *, behind: int = 2) -> None:
    """Every finding has a code, a place inside the text, and one line."""
    lines = _BREAK.split(content.decode("utf-8", "replace"))
    alone = any(line.count("\r") for line in content.decode("utf-8", "replace").replace("\r\n", "\n").split("\n"))
    for one in findings:
        if not 1 <= one.where.line <= len(lines) + 1 or "\n" in str(one) or not one.code:
            raise BrokenError(str(one))
        width = len(lines[one.where.line - 1]) if one.where.line <= len(lines) else 0
        if not alone and not 1 <= one.where.col <= width + behind:
            raise BrokenError(f"outside its line: {one}")
        str(one).encode()


def _has_errors(findings: tuple[Finding, ...]) -> bool:
    return any(one.severity is Severity.ERROR for one in findings)


# --- files -----------------------------------------------------------------------------------------------------------


def yaml(content: bytes) -> None:
    """The strict loader."""
    node, findings = load_node("p.yaml", content)
    _told(findings, content)
    if node is None and content.strip() and not _has_errors(findings) and not content.strip().startswith((b"#", b"---", b"...", b"\xef")):
        raise BrokenError("nothing was read, and nothing was said")


def policy(content: bytes) -> None:
    """The whole policy: a policy or errors; what was read survives `fmt`."""
    found, findings = load_policy([("p.yaml", content)])
    _told(findings, content)
    if (found is None) != _has_errors(findings):
        raise BrokenError("a policy and errors, or neither")
    if found is not None:
        again, _ = load_policy([("p.yaml", format_file("p.yaml", content))])
        if again is None or [one.text for one in again.rules] != [one.text for one in found.rules]:
            raise BrokenError("fmt changed a rule")


def settings(content: bytes) -> None:
    """cloudsync.yaml."""
    found, findings = load_settings(content, options_schema, file="cloudsync.yaml")
    _told(findings, content)
    if found is None and not _has_errors(findings):
        raise BrokenError("no settings and no error")


def urls(content: bytes) -> None:
    """Addresses of mail servers, hooks, endpoints and databases, each as one line of the settings."""
    text = json.dumps(content.decode("utf-8", "replace"), ensure_ascii=False)
    target = "{name: t, adapter: aws, mode: observe, account: '111122223333', regions: [us-east-1]"
    mail, hook = f"mail: {{smtp: {text}, from: a@b.example, to: [a@b.example]}}", f"hooks: [{{name: h, url: {text}, secret: env:X}}]"
    lines = (
        f"targets:\n  - {target}, endpoint: {text}}}\n",
        f"targets:\n  - {target}}}\nstate: {text}\n{mail}\n{hook}\n",
    )
    for line in lines:
        settings(f"owner: o\n{line}".encode())
    with suppress(InputError):
        locate(content.decode("utf-8", "replace"), seeds.ROOT)


def inventory(content: bytes) -> None:
    """An inventory file in YAML."""
    _, findings = read_static([("i.yaml", content)], packaged_schema("inventory"))
    _told(findings, content)


def rows(content: bytes) -> None:
    """An inventory file in CSV."""
    _, findings = read_static([("i.csv", content)], packaged_schema("inventory"))
    _told(findings, content)


def acknowledged(content: bytes) -> None:
    """The list of what was acknowledged."""
    _, findings = read_acknowledged(content, packaged_schema("acknowledged"), file="acknowledged.yaml")
    _told(findings, content)


def terraform(content: bytes) -> None:
    """A state file of Terraform."""
    _, findings = read_state("t.tfstate", content)
    for one in findings:
        str(one).encode()


def terraform_tree(content: bytes) -> None:
    """A state file of Terraform, whole as JSON and wrong inside."""
    choices = Choices(content)
    state = edited(json.loads(choices.one(seeds.states())), choices)
    with suppress(UnicodeEncodeError):  # half a character, which no file can hold
        terraform(json.dumps(state, ensure_ascii=False).encode())


def plan(content: bytes) -> None:
    """A plan file."""
    with suppress(InputError):
        document.load(content.decode("utf-8", "replace"), "plan.json")


def plan_tree(content: bytes) -> None:
    """A plan file, whole as JSON and wrong inside: never taken when anything in it was changed."""
    choices = Choices(content)
    before = seeds.plan()
    after = edited(json.loads(before), choices)
    with suppress(InputError):
        document.load(json.dumps(after), "plan.json")


def verify_tree(content: bytes) -> None:
    """A plan file, whole as JSON and wrong inside, before the independent checker: a verdict, and never a yes."""
    choices = Choices(content)
    before = seeds.plan()
    after = edited(json.loads(before), choices)
    try:
        verdict = verify(json.dumps(after))
    except NoPlanError:
        return
    if verdict.accepted and json.dumps(after, sort_keys=True) != json.dumps(json.loads(before), sort_keys=True):
        raise BrokenError("an altered plan was accepted")


# --- words -----------------------------------------------------------------------------------------------------------


def _piece(content: bytes) -> Piece | None:
    text = content.decode("utf-8", "replace")
    return None if not text.isprintable() else Piece(Scalar(text, HERE))


def sentence(content: bytes) -> None:
    """A rule: what was understood, written down canonically, is understood as the same."""
    piece = _piece(content)
    if piece is None:
        return
    findings: list[Finding] = []
    found = parse_rule(piece, findings)
    if (found is None) != bool(findings):
        raise BrokenError("a rule and a mistake, or neither")
    if found is not None:
        text = rule_text(found)
        again = parse_rule(Piece(Scalar(text, HERE)), findings)
        if again is None or rule_text(again) != text:
            raise BrokenError(f"{text!r} is not read as it was written")


def scope_and_test(content: bytes) -> None:
    """A scope, and a test of the policy."""
    piece = _piece(content)
    if piece is not None:
        for parse in (parse_scope, parse_test):
            findings: list[Finding] = []
            if (parse(piece, findings) is None) != bool(findings):
                raise BrokenError("something and a mistake, or neither")


def addresses(content: bytes) -> None:
    """Entries of an IP list: read, written as prefixes and read again, they are the same."""
    text = content.decode("utf-8", "replace")
    found, findings = read_entries((word, HERE) for word in text.split(","))
    if not findings and found != AddressSet.of(*found.cidrs()):
        raise BrokenError(f"{text!r} changes when it is written down")


def services(content: bytes) -> None:
    """A service: read, and never more than its protocol."""
    text = content.decode("utf-8", "replace")
    found = read_service(text, HERE)
    if isinstance(found, ServiceSet) and text != "any service" and not text.isascii():
        raise BrokenError(f"{text!r} was taken")


def lines_of_cron(content: bytes) -> None:
    """A line of cron: refused, or with at least one time of each field."""
    with suppress(ValueError):
        found = cron.parse(content.decode("utf-8", "replace"))
        if not all((found.minutes, found.hours, found.days, found.months, found.weekdays)):
            raise BrokenError("a field without a time")


def ends(content: bytes) -> None:
    """An end of a question: a party or a finding."""
    found = party(content.decode("utf-8", "replace"), (), HERE)
    if isinstance(found, Finding):
        str(found)


# --- answers of platforms --------------------------------------------------------------------------------------------

Parser = Callable[[Json], object]
NETWORK = "projects/acme-net/global/networks/prod"
AWS: dict[str, Parser] = {
    "group": partial(aws.group, scope="a/r", owner="o"),
    "reservation": aws.reservation,
    "looked": partial(aws.looked, scope="a/r"),
    "vpc": partial(aws.vpc, scope="a/r"),
}
AZURE: dict[str, Parser] = {
    "nsg": partial(azure.nsg, owner="o"),
    "network": azure.network,
    "machine": azure.machine,
    "interface": azure.interface,
    "public_address": azure.public_address,
}
F5: dict[str, Parser] = {
    "policy": partial(f5.policy, owner="o"),
    "address_list": partial(f5.address_list, owner="o"),
    "virtual": partial(f5.virtual, scope="g"),
    **{
        name: getattr(f5, name)
        for name in ("global_policies", "port_list", "route_domain", "rule_list", "running", "self_address", "snat_members", "statistics")
    },
}
GCP: dict[str, Parser] = {
    "rule": partial(gcp.rule, owner="o"),
    "network": lambda raw: gcp.network(raw, {"firewalls": []}),
    "nics": lambda raw: gcp.nics(raw, {NETWORK: Network(NETWORK, "acme-net/prod")}),
}
ADAPTERS: dict[str, tuple[dict[str, Parser], tuple[type[Exception], ...]]] = {
    "aws": (AWS, aws.MALFORMED),
    "azure": (AZURE, azure.MALFORMED),
    "f5": (F5, f5.MALFORMED),
    "gcp": (GCP, gcp.MALFORMED),
}
"""The parsers, and what their readers take for an answer that cannot be trusted: the scope is incomplete then."""


@cache
def _samples(platform: str) -> list[tuple[str, Json]]:
    found: dict[str, list[Json]] = json.loads((SAMPLES / f"{platform}.json").read_text(encoding="utf-8"))
    return [(name, one) for name, kept in sorted(found.items()) for one in kept]


def answer(content: bytes, platform: str) -> None:
    """An answer of a platform with something wrong in it: understood, or known to be untrustworthy."""
    choices = Choices(content)
    parsers, untrusted = ADAPTERS[platform]
    name, sample = choices.one(_samples(platform))
    with suppress(*untrusted):
        parsers[name](edited(sample, choices))


# --- all of them -----------------------------------------------------------------------------------------------------

_POLICY = ("tests/golden/policy/*.yaml", "tests/bad/policy/*.yaml", "config/example/policy/*.yaml")
_URLS = seeds.several(
    *("https://ec2.example/", "http://127.0.0.1:8080", "smtp+starttls://u@mail.example:587", "smtps://[::1]:465"),
    *("postgresql://u@db.example/x?sslmode=verify-full", "sqlite:///a/b.db", "env:NAME", "https://169.254.169.254/"),
)
_QUESTIONS = ("all", "app=ordering env=prod", "role=web can reach role=db on tcp/1", "internet cannot reach role=db on any service")
_ADDRESSES = ("10.0.0.0/8,!10.1.0.0/16", "2001:db8::/32", "10.0.0.1-10.0.0.9", "::ffff:1.2.3.4")
_SERVICES = ("tcp/22", "udp/53-60", "icmp/8", "icmpv6/128", "any service", "gre", "47", "sctp/1")
_ENDS = ("10.0.0.1", "internet", "role=web", "10.0.0.0/8", "i-0ab", "::1")
_ALL = (
    Target("yaml", yaml, seeds.files("tests/bad/loading/*.yaml", "config/example/**/*.yaml"), seeds.KEYS),
    Target("policy", policy, seeds.files(*_POLICY), (*seeds.KEYS, *seeds.SYNTAX)),
    Target("settings", settings, seeds.files("config/example/cloudsync.yaml", "tests/bad/settings/*.yaml"), seeds.KEYS),
    Target("urls", urls, _URLS, seeds.URLS),
    Target("inventory", inventory, seeds.files("tests/bad/inventory/*.yaml", "config/example/inventory/*.yaml"), seeds.KEYS),
    Target("rows", rows, seeds.files("tests/bad/inventory/*.csv", "config/example/inventory/*.csv"), seeds.KEYS),
    Target("acknowledged", acknowledged, seeds.files("tests/bad/acknowledged/*.yaml"), seeds.KEYS),
    Target("terraform", terraform, seeds.files("tests/bad/terraform/*.tfstate"), seeds.KEYS),
    Target("terraform-tree", terraform_tree, seeds.choices, seeds.BYTES),
    Target("plan", plan, seeds.plans, seeds.KEYS),
    Target("verify-tree", verify_tree, seeds.choices, seeds.BYTES),
    Target("plan-tree", plan_tree, seeds.choices, seeds.BYTES),
    Target("sentence", sentence, seeds.sentences, seeds.SYNTAX),
    Target("scope-and-test", scope_and_test, seeds.several(*_QUESTIONS), seeds.SYNTAX),
    Target("addresses", addresses, seeds.several(*_ADDRESSES), seeds.NUMBERS),
    Target("services", services, seeds.several(*_SERVICES), seeds.NUMBERS),
    Target("cron", lines_of_cron, seeds.several("*/5 * * * *", "0 2 29 2 1-5", "1,2,3 4-6/2 * 1 7"), seeds.CRON),
    Target("ends", ends, seeds.several(*_ENDS), seeds.NUMBERS),
    *(Target(name, partial(answer, platform=name), seeds.choices, seeds.BYTES) for name in ADAPTERS),
)
TARGETS = {target.name: target for target in _ALL}

"""Label mapping: order, first non-empty wins, pick-value-lower-map, locks, the closed vocabulary."""

from __future__ import annotations

import pytest

from cloudsync.inventory.labels import LabelSource, Mapper, Pick, Subject, check_sources
from cloudsync.model.finding import Severity, Where
from cloudsync.model.workload import Labels

HERE = Where("cloudsync.yaml", 9, 5)
VOCABULARY = {"role": ("web", "db"), "env": ("prod", "test"), "loc": ("dc1",)}


def tag(key: str, label: str, *, value: str = "", lower: bool = False, **table: str) -> LabelSource:
    return LabelSource(label, Pick.TAG, key, HERE, value, lower, tuple(table.items()))


def labels(subject: Subject, *sources: LabelSource, static: Labels | None = None, **locks: Pick) -> dict[str, str]:
    return dict(Mapper(sources, locks, VOCABULARY).labels(subject, static or Labels())[0].pairs)


def machine(name: str = "m", account: str = "1", platform: str = "aws", **tags: str) -> Subject:
    return Subject.of(name, account, tags.items(), platform)


@pytest.mark.parametrize(
    ("source", "subject", "wanted"),
    [
        (tag("Role", "role"), machine(Role="web"), {"role": "web"}),
        (tag("Role", "role"), machine(Role=""), {}),
        (tag("Role", "role"), machine(), {}),
        (tag("Role", "role"), machine(Role="Web"), {}),
        (tag("Role", "role", lower=True), machine(Role="Web"), {"role": "web"}),
        (tag("Role", "role", Frontend="web"), machine(Role="Frontend"), {"role": "web"}),
        (tag("Role", "role", Frontend="web"), machine(Role="db"), {"role": "db"}),
        (tag("Role", "role", lower=True, frontend="web"), machine(Role="FRONTEND"), {"role": "web"}),
        (tag("Role", "role", lower=True, FRONTEND="web"), machine(Role="FRONTEND"), {}),
        (tag("Role", "role", value="DB", lower=True), machine(Role="whatever"), {"role": "db"}),
        (tag("Role", "role", value="db"), machine(), {}),
        (tag("Role", "role", value="x", x="db"), machine(Role="y"), {"role": "db"}),
        (tag("role", "role"), machine(Role="web"), {}),
        (tag("ROLE", "role"), machine(platform="f5", Role="web"), {}),
        (tag("ROLE", "role"), machine(platform="azure", Role="web"), {"role": "web"}),
        (LabelSource("role", Pick.NAME, "^(web|db)-", HERE), machine("web-7"), {"role": "web"}),
        (LabelSource("role", Pick.NAME, "^(web|db)-", HERE), machine("my-web-7"), {}),
        (LabelSource("role", Pick.NAME, "(web|db)", HERE), machine("my-db-web"), {"role": "db"}),
        (LabelSource("role", Pick.NAME, "(x)?-", HERE), machine("web-7"), {}),
        (LabelSource("role", Pick.NAME, "^d", HERE, value="db"), machine("dbx"), {"role": "db"}),
        (LabelSource("loc", Pick.ACCOUNT, "1", HERE, value="dc1"), machine(), {"loc": "dc1"}),
        (LabelSource("loc", Pick.ACCOUNT, "2", HERE, value="dc1"), machine(), {}),
    ],
)
def test_one_source(source: LabelSource, subject: Subject, wanted: dict[str, str]) -> None:
    assert labels(subject, source) == wanted


def test_the_first_source_with_a_text_decides_even_when_the_vocabulary_refuses_it() -> None:
    first, second = tag("A", "role"), tag("B", "role")
    assert labels(machine(A="web", B="db"), first, second) == {"role": "web"}
    assert labels(machine(B="db"), first, second) == {"role": "db"}
    assert labels(machine(A="", B="db"), first, second) == {"role": "db"}
    assert labels(machine(A="wbe", B="db"), first, second) == {}


def test_static_labels_win_key_by_key() -> None:
    static = Labels.of({"role": "db"})
    assert labels(machine(Role="web", Env="prod"), tag("Role", "role"), tag("Env", "env"), static=static) == {"role": "db", "env": "prod"}


def test_a_locked_label_comes_from_its_kind_of_source_only() -> None:
    sources = tag("Role", "role"), LabelSource("role", Pick.NAME, "^(web|db)-", HERE)
    assert labels(machine("db-1", Role="web"), *sources, role=Pick.NAME) == {"role": "db"}
    assert labels(machine("x", Role="web"), *sources, role=Pick.NAME) == {}
    assert labels(machine("db-1", Role="web"), *sources, role=Pick.STATIC) == {}
    assert labels(machine("x", Role="web"), *sources, static=Labels.of({"role": "db"}), role=Pick.TAG) == {"role": "web"}


def test_what_is_no_value_gives_one_warning_for_all_who_have_it() -> None:
    mapper = Mapper((tag("Role", "role"),), {}, VOCABULARY)
    for name in ("web-1", "web-2", "web-3"):
        mapper.labels(machine(name, Role="wbe"), Labels())
    mapper.labels(machine("evil\x1b[2J", Role="\x1b[31m"), Labels())
    found = list(mapper.misses.findings(VOCABULARY))
    assert [(str(finding.where), finding.code, finding.message, finding.hint) for finding in found] == [
        (
            "cloudsync.yaml:9:5",
            "UNKNOWN-VALUE",
            "tag Role=wbe of web-1 and 2 more: label 'role' has no value 'wbe', so it is left out",
            "did you mean 'web'",
        ),
        (
            "cloudsync.yaml:9:5",
            "UNKNOWN-VALUE",
            "tag Role=<U+001B>[31m of evil<U+001B>[2J: label 'role' has no value '<U+001B>[31m', so it is left out",
            "known: web, db",
        ),
    ]
    assert {finding.severity for finding in found} == {Severity.WARNING}


def test_a_source_that_can_only_miss_is_told_before_anything_is_read() -> None:
    sources = [tag("a", "rolle"), tag("a", "role", value="DB", lower=True), tag("a", "role", x="wbe"), tag("a", "role", value="x", x="web")]
    found = [(finding.code, finding.hint, finding.severity) for finding in check_sources(sources, VOCABULARY)]
    assert found == [
        ("UNKNOWN-LABEL", "did you mean 'role'", Severity.WARNING),
        ("UNKNOWN-VALUE", "did you mean 'web'", Severity.WARNING),
    ]


def test_the_report_says_what_gave_each_label() -> None:
    mapper = Mapper((tag("Role", "role"), LabelSource("loc", Pick.ACCOUNT, "1", HERE, value="dc1")), {}, VOCABULARY)
    _, source = mapper.labels(machine(Role="web"), Labels.of({"env": "prod"}))
    assert source == "env: static; loc: account 1; role: tag Role=web"

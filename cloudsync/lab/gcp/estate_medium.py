"""The estate `medium`: about a hundred machines of six applications in three environments, with a cluster and its rules."""

from __future__ import annotations

from collections.abc import Iterator

from . import estate_rules
from .api import Api
from .estate import HOST, SERVICE, Machine, Rule, labels, launch, write
from .estate_four import SUBNETS, networks

APPS = ("ordering", "payments", "crm", "billing", "search", "intranet")
_PROD = (("web", 3), ("app", 1), ("cache", 1), ("db", 3))
_SMALL = (("web", 1), ("db", 2))
_PORTS = {"web": "tcp/80,443", "app": "tcp/8080", "cache": "tcp/6379", "db": "tcp/5432"}


def build(api: Api) -> None:
    """Networks, machines, rules."""
    networks(api)
    for machine in machines():
        launch(api, machine, SUBNETS[machine.network])
    for rule in rules():
        write(api, rule)


def machines() -> tuple[Machine, ...]:
    """Return them in the order they were launched."""
    return (*_prod(), *_rest("test", 128), *_rest("dev", 0), *_odd())


def _prod() -> Iterator[Machine]:
    for number, app in enumerate(APPS):
        tail = 0
        for role, count in _PROD:
            for index in range(1, count + 1):
                tail += 1
                careless = (app, role, index) in (("crm", "db", 2), ("search", "web", 3))
                yield Machine(
                    f"{app}-{role}-{index}",
                    f"10.40.{number + 1}.{10 + tail}",
                    _labels(role, app, careless=careless),
                    project=SERVICE if app in ("payments", "crm") and role != "db" else HOST,
                    zone="bcd"[index - 1],
                    tags=(role, f"{role}-{app}-prod"),
                    account=f"{role}-{app}@{HOST}.iam.gserviceaccount.com",
                    public=role == "web" and index == 1,
                    v6=role == "web",
                    stopped=(app, role, index) == ("intranet", "db", 3),
                )


def _labels(role: str, app: str, *, careless: bool) -> tuple[tuple[str, str], ...]:
    """Somebody typed `production`, and forgot where the machine stands."""
    return (("role", role), ("app", app), ("env", "production")) if careless else labels(role, app, "prod")


def _rest(env: str, third: int) -> Iterator[Machine]:
    for number, app in enumerate(APPS):
        tail = 0
        for role, count in _SMALL:
            for index in range(1, count + 1):
                tail += 1
                yield Machine(
                    f"{app}-{role}-{env}-{index}",
                    f"10.41.{third // 2 + number + 1}.{10 + tail}",
                    labels(role, app, env),
                    "dev",
                    tags=(role,),
                    stopped=env == "dev" and app == "billing",
                )


def _odd() -> Iterator[Machine]:
    for index in (1, 2):
        yield Machine(f"jump-{index}", f"10.40.0.{200 + index}", labels("jump", "intranet", "prod"), tags=("jump",), public=True)
    for index in range(1, 7):
        cluster = (("goog-gke-node", ""), ("env", "prod"))
        yield Machine(
            f"gke-prod-euw1-pool-{index}", f"10.40.8.{10 + index}", cluster, zone="bcd"[index % 3], tags=(estate_rules.NODE_TAG,),
            alias=f"10.40.{64 + index}.0/24",
        )  # fmt: skip
    yield Machine("legacy-ftp", "10.40.0.99", (("role", "ftp"),), public=True)
    yield Machine("batch-old", "10.40.0.98", (("role", "batch"), ("env", "prod")), stopped=True)
    for index in range(1, 5):
        yield Machine(f"sandbox-{index}", f"10.41.100.{10 + index}", (("owner", "dave"), ("env", "dev")), "dev")


def rules() -> tuple[Rule, ...]:
    """Return the rules of the estate `four`, a cluster's, and two for each application that somebody once wrote by hand."""
    by_hand = tuple(
        Rule(f"{app}-{role}-in", "prod", (_PORTS[role],), sources, 1000 + number, targets=(f"{role}-{app}-prod",))
        for number, app in enumerate(APPS)
        for role, sources in (("web", ("10.60.0.0/16", "192.0.2.0/24")), ("db", ("10.50.0.0/16", "10.40.0.0/16")))
    )
    return (*estate_rules.DEFAULT, *estate_rules.PROD, *estate_rules.CLUSTER, *estate_rules.DEV, *by_hand)

"""The estate `four`: twelve machines of ordering and payments, a small share of an estate over four platforms."""

from __future__ import annotations

from . import estate_rules
from .api import Api
from .estate import HOST, SERVICE, Machine, empty, labels, launch, network, write

SUBNETS = {"prod": "prod-euw1", "dev": "dev-euw1"}


def build(api: Api) -> None:
    """Networks, machines, rules."""
    networks(api)
    for machine in machines():
        launch(api, machine, SUBNETS[machine.network])
    for rule in (*estate_rules.DEFAULT, *estate_rules.PROD, *estate_rules.DEV):
        write(api, rule)


def networks(api: Api) -> None:
    """Make the networks of production (both families, a range for containers) and of development."""
    empty(api)
    network(api, "prod", (("prod-euw1", "10.40.0.0/20"), ("prod-euw1-db", "10.40.16.0/20")), pods="10.40.64.0/18", v6="fd20:40::/48")
    network(api, "dev", (("dev-euw1", "10.41.0.0/17"),))


def machines() -> tuple[Machine, ...]:
    """Return them in the order they were launched."""
    account = f"ordering-db@{HOST}.iam.gserviceaccount.com"
    return (
        Machine("ordering-web-1", "10.40.0.11", labels("web", "ordering", "prod"), tags=("web", "web-ordering-prod"), public=True, v6=True),
        Machine("ordering-web-2", "10.40.0.12", labels("web", "ordering", "prod"), tags=("web", "web-ordering-prod"), zone="c", v6=True),
        Machine("ordering-db-1", "10.40.0.21", labels("db", "ordering", "prod"), tags=("db", "db-ordering-prod"), account=account),
        Machine("ordering-db-2", "10.40.0.22", labels("db", "ordering", "prod"), tags=("db",), zone="c", account=account),
        Machine("payments-web-1", "10.40.0.31", labels("web", "payments", "prod"), project=SERVICE, tags=("web", "web-payments-prod")),
        Machine("payments-app-1", "10.40.0.32", labels("app", "payments", "prod"), project=SERVICE, tags=("app",), alias="10.40.64.0/28"),
        Machine("payments-db-1", "10.40.0.41", labels("db", "payments", "prod"), tags=("db", "db-payments-prod")),
        Machine("payments-db-2", "10.40.0.42", labels("db", "payment", "prod"), tags=("db",), zone="d"),  # somebody forgot a letter
        Machine("jump-1", "10.40.0.200", labels("jump", "ordering", "prod"), tags=("jump",), public=True),
        Machine("ordering-web-dev", "10.41.0.11", labels("web", "ordering", "dev"), "dev", tags=("web",)),
        Machine("ordering-db-dev", "10.41.0.21", labels("db", "ordering", "dev"), "dev", tags=("db",), stopped=True),
        Machine("sandbox", "10.41.0.50", (("owner", "dave"),), "dev"),
    )

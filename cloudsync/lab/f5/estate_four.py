"""The estate `four`: twelve virtual servers of ordering and payments in front of machines on the other platforms."""

from __future__ import annotations

from .estate import Act, Virtual, Works, labels, legacy

GCP_WEB = ("10.40.0.11:443", "10.40.0.12:443")
AZURE_APP = ("10.50.2.11:8080", "10.50.2.12:8080")
GCP_DB = ("10.40.0.21:5432", "10.40.0.22:5432")


def build(act: Act) -> None:
    """Network, packet filters of old, virtual servers."""
    works = Works(act)
    works.network()
    legacy(works)
    for each in virtuals():
        works.virtual(each)


def virtuals() -> tuple[Virtual, ...]:
    """Return them in the order they were made."""
    ordering, payments = labels("lb", "ordering", "prod"), labels("lb", "payments", "prod")
    return (
        Virtual("vs_ordering_https", "192.0.2.10:443", ordering, GCP_WEB, enforced="legacy_edge"),
        Virtual("vs_ordering_http", "192.0.2.10:80", ordering),
        Virtual("vs_ordering_https_v6", "2001:db8:60::10.443", ordering, ("fd00:50:0:1::11.443",)),
        Virtual("vs_ordering_api", "10.60.2.10:8080", ordering, AZURE_APP),
        Virtual("vs_ordering_db", "10.60.2.12:5432", labels("db", "ordering", "prod"), GCP_DB, snat=""),
        Virtual(
            "vs_payments_https", "192.0.2.11:443", payments, ("10.40.0.31:443",), "snat_payments", enforced="legacy_edge",
            staged="edge_candidate_2019",
        ),
        Virtual("vs_payments_api", "10.60.2.20:8443", payments, ("10.40.0.32:8443",), "snat_payments"),
        Virtual("vs_payments_db", "10.60.2.22:5432", labels("db", "payments", "prod"), ("10.40.0.41:5432", "10.40.0.42:5432"), ""),
        Virtual("vs_ordering_dev", "10.60.3.10:443", labels("lb", "ordering", "dev"), ("10.41.0.11:443",)),
        # Somebody typed what he called it himself.
        Virtual("vs_payments_dev", "10.60.3.20:443", (("role", "lb"), ("app", "payments"), ("env", "develop")), ("10.51.0.11:8080",)),
        Virtual("vs_resolver", "10.60.2.53:53", (), ("10.30.0.31:53", "10.30.1.31:53"), protocol="udp"),
        Virtual("vs_ftp_2016", "192.0.2.99:21", (("app", "ftp"),), ("10.20.0.99:21",), disabled=True),
    )  # fmt: skip

"""The estate `medium`: about a hundred virtual servers of six applications in three environments, and a lab in its own route domain."""

from __future__ import annotations

from collections.abc import Iterator

from .estate import Act, Rule, Virtual, Works, labels, legacy

APPS = ("ordering", "payments", "crm", "billing", "search", "intranet")


def build(act: Act) -> None:
    """Network, packet filters of old, virtual servers."""
    works = Works(act)
    works.network()
    works.post("net/vlan", {"name": "lab", "tag": 700})
    works.post("net/vlan", {"name": "lab", "tag": 700}, "bigip2")
    works.post("net/route-domain", {"name": "lab", "id": 7, "vlans": ["/Common/lab"], "strict": "enabled"})
    legacy(works)
    works.policy("dev_open", (Rule("inside", protocol="any", sources=("10.0.0.0/8",)), Rule("rest", "reject", "any")))
    works.policy("lab_domain", (Rule("lab", protocol="any", sources=("10.60.0.0%7/16",)), Rule("rest", "drop", "any")))
    works.patch("net/route-domain/lab", {"fwEnforcedPolicy": "/Common/lab_domain"})
    for each in virtuals():
        works.virtual(each)


def virtuals() -> tuple[Virtual, ...]:
    """Return them in the order they were made."""
    prod = (each for number, app in enumerate(APPS) for each in _prod(number, app))
    rest = (each for env in ("dev", "test") for number, app in enumerate(APPS) for each in _rest(number, app, env))
    return (*prod, *rest, *_odd())


def _prod(number: int, app: str) -> Iterator[Virtual]:
    front, vip = labels("lb", app, "prod"), 10 + number
    net, azure = f"10.40.{number + 1}", 23 + number * 10
    snat = "snat_payments" if app == "payments" else "automap"
    web = tuple(f"{net}.{11 + index}:443" for index in range(3))
    old = "legacy_edge" if number < 3 else ""
    # One team forgot a letter, another what its servers are for.
    careless = (("role", "lb"), ("app", "serch"), ("env", "prod"), ("loc", "dc1"))
    yield Virtual(f"vs_{app}_https", f"192.0.2.{vip}:443", front, web, snat, enforced=old)
    yield Virtual(f"vs_{app}_http", f"192.0.2.{vip}:80", careless if app == "search" else front, snat=snat)
    yield Virtual(f"vs_{app}_https_v6", f"2001:db8:60::{vip:x}.443", front, (f"fd00:50:0:1::{21 + number * 10}.443",))
    yield Virtual(f"vs_{app}_inside", f"10.60.2.{vip}:443", front, web, snat)
    yield Virtual(f"vs_{app}_api", f"10.60.2.{vip + 20}:8080", front, tuple(f"10.50.2.{azure + index}:8080" for index in range(4)), snat)
    yield Virtual(f"vs_{app}_cache", f"10.60.2.{vip + 40}:6379", () if app == "crm" else labels("cache", app, "prod"), (f"{net}.15:6379",))
    yield Virtual(
        f"vs_{app}_db", f"10.60.2.{vip + 60}:5432", labels("db", app, "prod"), tuple(f"{net}.{16 + index}:5432" for index in range(3)), ""
    )


def _rest(number: int, app: str, env: str) -> Iterator[Virtual]:
    third, base = (3, number + 1) if env == "dev" else (4, 64 + number + 1)
    front, vip = labels("lb", app, env), 10 + number
    old = "dev_open" if env == "dev" else ""
    yield Virtual(f"vs_{app}_{env}", f"10.60.{third}.{vip}:443", front, (f"10.41.{base}.11:443",), enforced=old)
    yield Virtual(f"vs_{app}_{env}_http", f"10.60.{third}.{vip}:80", front)
    yield Virtual(
        f"vs_{app}_{env}_api",
        f"10.60.{third}.{vip + 20}:8080",
        front,
        (f"10.51.{number if env == 'dev' else 128 + number}.11:8080",),
        disabled=app == "billing",
    )
    yield Virtual(f"vs_{app}_{env}_db", f"10.60.{third}.{vip + 40}:5432", labels("db", app, env), (f"10.41.{base}.12:5432",), "")


def _odd() -> Iterator[Virtual]:
    yield Virtual("vs_resolver", "10.60.2.53:53", (), ("10.30.0.31:53", "10.30.1.31:53"), protocol="udp")
    yield Virtual("vs_resolver_tcp", "10.60.2.53:53", (), ("10.30.0.31:53", "10.30.1.31:53"))
    yield Virtual("vs_ldaps", "10.60.2.136:636", (("role", "ldap"),), ("10.30.0.31:636", "10.30.1.31:636"))
    yield Virtual("vs_ftp_2016", "192.0.2.99:21", (("app", "ftp"),), ("10.20.0.99:21",), disabled=True)
    yield Virtual("vs_jump", "192.0.2.98:22", labels("jump", "intranet", "prod"), ("10.40.0.201:22", "10.40.0.202:22"))
    yield Virtual("vs_forward_dc1", "10.60.128.0:0", snat="", protocol="any", forwards="255.255.128.0")
    for index in range(4):
        # The lab uses addresses that production uses as well.
        yield Virtual(f"vs_lab_{index + 1}", f"10.60.2.{10 + index}%7:443", (("owner", "dave"), ("env", "dev")), snat="")

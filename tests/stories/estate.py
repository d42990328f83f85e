"""Worlds for stories: a policy with the workloads it is about, compiled, so that findings have real packets, classes and words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from cloudsync.adapter import Entry, Origin
from cloudsync.compile import arms, universe
from cloudsync.compile.allowed import Compiler, Direction
from cloudsync.diff import Change, Owners
from cloudsync.model.address import AddressSet
from cloudsync.model.finding import Where
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.workload import DEFAULT_DOMAIN, Interface, Labels, PointId, Workload, WorkloadId
from cloudsync.policy.load import load_policy
from cloudsync.proof.drift import Drift, Kind, severity
from cloudsync.proof.words import Names

NOW = datetime(2026, 3, 2, 8, 20, tzinfo=UTC).timestamp()
HOUR, DAY = 3600.0, 86400.0

ORDERING = """version: 1
labels:
  role: [web, app, db, lb, jump]
  app: [ordering, platform]
  env: [prod, dev]
iplists: {partners: [198.51.100.0/25], corp: [203.0.113.0/24]}
services: {https: [tcp/443, udp/443], postgres: tcp/5432, ssh: tcp/22}
enforcement:
  default: visibility
  rules:
    - {scope: app=ordering env=prod, mode: full}
rulesets:
  - name: operations
    scope: all
    owner: netsec
    rules:
      - allow iplist corp to role=jump on ssh
      - allow role=jump to all workloads on ssh
  - name: ordering-prod
    scope: app=ordering env=prod
    owner: ordering-team
    rules:
      - allow iplist partners to role=lb on https
      - allow role=lb to role=web on https
      - {id: web-to-app, allow: {from: role=web, to: role=app, services: tcp/8443}, because: order API}
      - allow role=app to role=db on postgres
"""

APPS = {"ordering": "aws-prod", "catalog": "aws-prod", "payments": "gcp-prod", "search": "gcp-prod", "identity": "azure-prod"}
LABEL_KEYS = ("role", "app", "env")


def _four_policy() -> str:
    head = f"""version: 1
labels:
  role: [lb, web, app, db, cache, jump, backup]
  app: [{", ".join(APPS)}, platform]
  env: [prod, test]
iplists: {{partners: [198.51.100.0/25], corp: [203.0.113.0/24]}}
services: {{https: [tcp/443, udp/443], postgres: tcp/5432, redis: tcp/6379, ssh: tcp/22, ping: [icmp/echo-request]}}
enforcement:
  default: visibility
  rules:
    - {{scope: env=prod, mode: full, egress: leave}}
    - {{scope: env=test app=catalog, mode: selective, services: [ssh]}}
    - {{scope: env=test app=search, mode: idle}}
rulesets:
  - name: guardrails
    scope: all
    owner: netsec
    rules:
      - never allow internet to role=db on any service
      - allow iplist corp to role=jump on ssh
      - allow role=jump to all workloads on ssh, ping
      - allow role=backup to role=db on postgres
"""
    return head + "".join(
        f"""  - name: {app}-{env}
    scope: app={app} env={env}
    owner: {app}-team
    rules:
      - allow {"internet" if app in ("catalog", "identity") and env == "prod" else "iplist partners"} to role=lb on https
      - allow role=lb to role=web on https
      - allow role=web to role=app on tcp/8443
      - allow role=app to role=db on postgres
      - allow role=app to role=cache on redis
      - allow outside app=identity env={env} role=app to role=app on tcp/9443
"""
        for app in APPS
        for env in ("prod", "test")
    )


@dataclass(frozen=True, slots=True)
class World:
    """A compiled world; `targets` are the names of those that hold its workloads."""

    compiler: Compiler
    owners: Owners
    names: Names
    targets: tuple[str, ...]

    def classes(self, **labels: str) -> Iterator[int]:
        """Yield the numbers of the classes with these labels."""
        for number, group in enumerate(self.compiler.universe.classes):
            if all(group.labels.get(key) == value for key, value in labels.items()):
                yield number

    def points(self, target: str, **labels: str) -> tuple[PointId, ...]:
        """Return the points of a class at a target."""
        chosen = set(self.classes(**labels))
        return tuple(sorted(point for point, (number, one, _) in self.owners.by_point.items() if number in chosen and one.target == target))

    def drift(
        self,
        target: str,
        points: tuple[PointId, ...],
        packets: PacketSet,
        kind: Kind,
        *,
        native: str = "",
        group: str = "sg-0a1b2c (legacy)",
    ) -> Drift:
        """Return a finding at points of one class: what of these packets the policy does not want (or wants, where they are cut)."""
        number, _, domain = self.owners.by_point[points[0]]
        allowed = self.compiler.allowed(number, domain, Direction.IN).exact
        packets = packets & allowed if kind in (Kind.MISSING, Kind.SHADOW_DENY) else packets - allowed
        assert packets, "no difference from the policy"
        entries = (Entry(group, group, native, "inbound", packets, ours=False, points=points),) if native else ()
        workloads = tuple(self.compiler.universe.called(self.owners.by_point[point][1]) for point in points)
        words = self.names.packets(packets, domain)
        labels = self.compiler.universe.classes[number].labels
        return Drift(target, kind, severity(packets, kind), "inbound", packets, points, workloads, labels, words, entries)

    def change(self, points: tuple[PointId, ...], opens: PacketSet = NO_PACKETS, closes: PacketSet = NO_PACKETS, rule: str = "") -> Change:
        """Return a planned change at points of one class."""
        group = self.compiler.universe.classes[self.owners.by_point[points[0]][0]]
        workloads = tuple(self.compiler.universe.called(self.owners.by_point[point][1]) for point in points)
        origins = (Origin(rule, Where("policy/ordering.yaml", 12)),) if rule else ()
        return Change("inbound", group.id, group.labels, points, workloads, opens, closes, origins)


def compiled(policy: str, workloads: Iterable[Workload]) -> World:
    """Return the world of a policy text and its workloads."""
    found, findings = load_policy([("policy/all.yaml", policy.encode())])
    assert found is not None, "\n".join(map(str, findings))
    listed = tuple(workloads)
    classes = universe.build(found, listed)
    compiler = Compiler(classes, arms.resolve(classes, found, datetime.fromtimestamp(NOW, UTC)))
    return World(compiler, Owners.of(classes), Names(classes), tuple(sorted({one.target for one in listed})))


def machine(target: str, name: str, address: str, **labels: str) -> Workload:
    """Return a workload with one interface at which its target enforces."""
    point = PointId(f"{target}/{name}/nic0")
    card = Interface(f"nic-{name}", "net-1", AddressSet.of(address), DEFAULT_DOMAIN, point)
    return Workload(WorkloadId(f"{target}/{name}"), name, Labels.of(labels), (card,), target, scope=f"{target}/one", ref=f"i-{name}")


def small() -> World:
    """Return a dozen workloads on one platform."""
    roles = {"web": 3, "app": 2, "db": 4, "lb": 1}
    found = [
        machine("aws-prod", f"{role}-{number:02}", f"10.1.{at}.{number}", role=role, app="ordering", env="prod")
        for at, (role, count) in enumerate(roles.items(), 1)
        for number in range(1, count + 1)
    ]
    found += [machine("aws-prod", "jump-01", "10.1.9.1", role="jump", app="platform", env="prod")]
    found += [machine("aws-prod", "web-dev-01", "10.2.1.1", role="web", app="ordering", env="dev")]
    return compiled(ORDERING, found)


def four() -> World:
    """Return four hundred workloads on four platforms."""
    prod, test = {"web": 13, "app": 17, "db": 9, "cache": 5}, {"web": 8, "app": 10, "db": 5, "cache": 3}
    found: list[Workload] = []
    for at, (app, target) in enumerate(APPS.items(), 1):
        for env, sizes in (("prod", prod), ("test", test)):
            found += [
                machine(
                    target,
                    f"{app}-{role}-{env[0]}{number:02}",
                    f"10.{at}.{place}{int(env == 'test')}.{number}",
                    role=role,
                    app=app,
                    env=env,
                )
                for place, (role, count) in enumerate(sizes.items(), 1)
                for number in range(1, count + 1)
            ]
            found += [
                machine(
                    "f5-dc1",
                    f"vs_{app}_{env}_{number}",
                    f"192.0.2.{at * 16 + number + 8 * int(env == 'test')}",
                    role="lb",
                    app=app,
                    env=env,
                )
                for number in range(1, 5)
            ]
    found += [machine("aws-prod", f"jump-{number}", f"10.9.1.{number}", role="jump", app="platform", env="prod") for number in range(1, 5)]
    found += [
        machine("azure-prod", f"backup-{number}", f"10.9.2.{number}", role="backup", app="platform", env="prod") for number in range(1, 7)
    ]
    return compiled(_four_policy(), found)

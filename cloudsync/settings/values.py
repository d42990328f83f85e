"""What cloudsync.yaml comes to: frozen values with every default filled in."""

from __future__ import annotations

from dataclasses import field

from cloudsync.inventory.rules import InventoryRules
from cloudsync.model.finding import Where
from cloudsync.model.quick import dataclass
from cloudsync.model.target import TargetSettings
from cloudsync.plan.limits import GuardLimits

FILE = "cloudsync.yaml"
ANSWER_S = 20
"""How long a mail server or a hook may be silent unless the settings say otherwise."""
DIGEST_DAY = "monday"


@dataclass(frozen=True, slots=True)
class Schedule:
    """When the daemon works: every so many seconds plus a random delay of at most `jitter_s`, or by a cron line in UTC."""

    every_s: int = 0
    jitter_s: int = 0
    cron: str = ""


LISTEN = "127.0.0.1:9464"
"""Where the daemon answers about itself unless the settings say otherwise."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the daemon answers about itself: a port of this machine, or the path of a unix socket. Nowhere with neither."""

    host: str = ""
    port: int = 0
    socket: str = ""


@dataclass(frozen=True, slots=True)
class SecretReference:
    """Where a secret is: `env:NAME`, `file:PATH` or `credential:NAME` (systemd). Never the secret."""

    kind: str
    name: str
    where: Where | None = field(default=None, compare=False)
    """Where the settings say so."""

    def __str__(self) -> str:
        """Return it as the settings have it."""
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class Mail:
    """Where reports go."""

    host: str
    port: int
    security: str
    """`starttls`, `tls`, or `plain` (this machine only)."""
    sender: str
    to: tuple[str, ...]
    on: frozenset[str]
    user: str = ""
    password: SecretReference | None = None
    routes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Owner of rulesets -> who is told of what concerns them; `to` is told of everything."""
    ca_file: str = ""
    """Certificates to trust instead of the system's; relative to the repository."""
    timeout_s: int = ANSWER_S
    digest: str = DIGEST_DAY
    """Day of the weekly summary (UTC), or `never`."""
    attach: tuple[str, ...] = ()
    """Forms of the whole report to attach: `html`, `csv`, `markdown`."""


@dataclass(frozen=True, slots=True)
class Hook:
    """Whom else to tell: a web address or a program."""

    name: str
    on: frozenset[str]
    url: str = ""
    url_from: SecretReference | None = None
    """Where the address is when it is itself a secret."""
    command: tuple[str, ...] = ()
    secret: SecretReference | None = None
    ca_file: str = ""
    timeout_s: int = ANSWER_S


@dataclass(frozen=True, slots=True)
class TerraformFiles:
    """State files of Terraform. `pattern`: one path or a glob, relative to the repository and inside it, or absolute."""

    name: str
    pattern: str
    where: Where
    workloads: bool = False
    """Machines in the state count as workloads where no target reads their account."""

    @property
    def outside(self) -> bool:
        """Tell whether the files stand outside the repository: they change without a commit, so every run reads them anew."""
        return self.pattern.startswith("/")


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole cloudsync.yaml. Targets stand in file order."""

    owner: str
    targets: tuple[TargetSettings, ...]
    policy: str = "policy"
    """Folder of the policy, relative to the repository, normalised, inside it."""
    inventory: str = "inventory"
    rules: InventoryRules = field(default_factory=InventoryRules)
    """Label sources, label locks and routing domains."""
    schedule: Schedule | None = None
    schedules: tuple[tuple[str, Schedule], ...] = ()
    """Targets with one of their own."""
    listen: Listen = Listen()
    state: str = ""
    """State URL as written; empty for the default inside the repository."""
    state_password: SecretReference | None = None
    guards: GuardLimits = field(default_factory=GuardLimits)
    max_restores: int = 5
    """Restores of one object a day before a person has to look (G-FLAP); 0: never restore unasked."""
    terraform: tuple[TerraformFiles, ...] = ()
    mail: Mail | None = None
    hooks: tuple[Hook, ...] = ()
    spool: str = ""
    """Folder where mails and hooks wait; empty for `spool` beside the state."""
    where: Where = field(default_factory=lambda: Where(FILE))

    def target(self, name: str) -> TargetSettings | None:
        """Return a target by name."""
        return next((target for target in self.targets if target.name == name), None)

    def schedule_of(self, name: str) -> Schedule | None:
        """Return when a target's runs are due; None when nothing says so."""
        return dict(self.schedules).get(name, self.schedule)

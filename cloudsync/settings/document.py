"""How cloudsync.yaml looks: the source of its JSON Schema. What the fields come to is in `values`."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any, ClassVar, Literal

from cloudsync.model.quick import dataclass
from cloudsync.policy.documents import FORBID
from cloudsync.policy.forms import Count, Duration, Flag, Form, Name, Percent, Text, Texts, Word, about

MODES = (
    "choose one: observe reads and reports, additive writes only our own rules and leaves all others, "
    "exclusive owns the enforcement points and removes foreign rules there"
)
Path = Annotated[str, Form(r"^[^\n\\]+$", "want a folder inside the repository, e.g. policy/")]
Owner = Annotated[str, Form(r"^[a-z0-9][a-z0-9-]{0,38}$", "want a-z, 0-9 and '-', at most 39, the first a letter or a digit")]
State = Annotated[
    str, Form(r"^(sqlite:///.+|postgresql://.+)$", "want sqlite:///PATH (one machine) or postgresql://HOST/DATABASE (several)")
]
Smtp = Annotated[
    str,
    Form(
        r"^(smtp\+starttls|smtps|smtp)://([^/@\s]+@)?[^/@\s:]+(:[0-9]{1,5})?/?$",
        "want smtp+starttls://HOST:PORT or smtps://HOST:PORT; plain smtp:// only to this machine",
    ),
]
Address = Annotated[str, Form(r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+$", "want a mail address")]
Url = Annotated[
    str,
    Form(
        r"^(https?://[^\s]+|env:[A-Za-z_][A-Za-z0-9_]*|file:.+|credential:.+)$",
        "want https://HOST/PATH, plain http:// only to this machine; or env:NAME, file:PATH, credential:NAME for a secret address",
    ),
]
File = Annotated[str, Form(r"^[^\n]+$", "want a file, e.g. /etc/ssl/acme-ca.pem")]
Secret = Annotated[
    str,
    Form(
        r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+|credential:.+)$",
        "want env:NAME, file:PATH or credential:NAME, never the secret itself",
        secret=True,
    ),
]
Cron = Annotated[
    str, Form(r"^[0-9*/,-]+( [0-9*/,-]+){4}$", "want five fields of digits and * / , - : minute hour day month weekday, in UTC")
]
Listen = Annotated[
    str,
    Form(
        r"^(none|unix:/[^\n]+|[A-Za-z0-9.\[\]:-]+:[0-9]{1,5})$",
        "want ADDRESS:PORT of this machine, e.g. 127.0.0.1:9464, unix:/PATH of a socket, or none",
    ),
]


@dataclass(frozen=True, slots=True)
class ScheduleEntry:
    """When `run` works; exactly one of every, cron."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID
    every: Duration | None = field(default=None, metadata=about("time between runs"))
    jitter: Duration | None = field(default=None, metadata=about("random delay of at most this, shorter than the time between runs"))
    cron: Cron | None = field(default=None, metadata=about("five fields, UTC"))


@dataclass(frozen=True)  # no slots: an adapter's own keys stand beside these
class Target:
    """One account of one platform. Further keys are the adapter's own."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "allow"}
    name: Name = field(
        metadata=about("the target's name in reports and on the command line", want="every target has a name, e.g. aws-prod")
    )
    adapter: Name = field(metadata=about("the platform", want="e.g. aws"))
    mode: Literal["observe", "additive", "exclusive"] = field(metadata=about("what we may do there; no default", want=MODES))
    endpoint: Text | None = field(default=None, metadata=about("URL to use instead of the platform's own"))
    outrank: Flag | None = field(default=None, metadata=about("additive: may our allows stand above foreign denies; false by default"))
    schedule: ScheduleEntry | None = field(default=None, metadata=about("when the daemon works here, instead of the schedule of all"))


@dataclass(frozen=True, slots=True)
class LabelEntry:
    """One label source; exactly one of tag, name, account."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID
    label: Name = field(metadata=about("the label key to set", want="e.g. label: role"))
    tag: Text | None = field(default=None, metadata=about("tag key to read"))
    name: Text | None = field(default=None, metadata=about("pattern on the workload's name; its first group is the text"))
    account: Word | None = field(default=None, metadata=about("applies to the workloads of this account, project, subscription or device"))
    value: Word | None = field(default=None, metadata=about("text to use instead of what was picked"))
    lower: Flag | None = field(default=None, metadata=about("lower the text"))
    map: dict[Text, Word] | None = field(default=None, metadata=about("text to label value; absent means unchanged"))


@dataclass(frozen=True, slots=True)
class DomainEntry:
    """Networks that route to each other."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID
    name: Name = field(metadata=about("the domain's name", want="e.g. name: prod"))
    members: list[Word] = field(metadata=about("targets, network ids or accounts", want="target names, network ids or accounts"))


@dataclass(frozen=True, slots=True)
class GuardsEntry:
    """How much a plan may change before a person has to say yes."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID
    max_gone_workloads: Percent | None = field(default=None, metadata=about("G-SHRINK: workloads of a scope that may be gone; 30%"))
    max_removed_rules: Percent | None = field(default=None, metadata=about("G-CAP: own rules of a scope that may be removed; 30%"))
    max_affected_workloads: Percent | None = field(default=None, metadata=about("G-AFFECTED: workloads whose packets may change; 10%"))
    open_to_internet: Literal["approve", "allow"] | None = field(default=None, metadata=about("G-OPEN: new openings to any source"))
    management: Texts | None = field(default=None, metadata=about("G-MGMT: CIDRs of the operators, which never lose access"))
    quota_reserve: Percent | None = field(default=None, metadata=about("G-QUOTA: share of every quota to keep free; 5%"))
    max_restores: Count | None = field(default=None, metadata=about("restores of one object a day before a person has to look; 5"))


@dataclass(frozen=True, slots=True)
class ServiceEntry:
    """What the daemon shows of itself."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID
    listen: Listen | None = field(
        default=None, metadata=about("where /healthz, /readyz and /metrics answer, on this machine only; 127.0.0.1:9464")
    )


Event = Literal["drift", "refused", "failed", "recovered", "expiring", "digest", "applied"]
EVENTS = "drift, refused, failed, recovered, expiring and digest by default; applied besides"
WEEKDAYS = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "never"]


@dataclass(frozen=True, slots=True)
class MailEntry:
    """Where reports go. Sent on change, not on every run."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID
    smtp: Smtp = field(metadata=about("mail server", want="e.g. smtp+starttls://mail.acme.example:587"))
    from_: Address = field(metadata=about("sender", want="e.g. from: cloudsync@acme.example", name="from"))
    to: Address | list[Address] = field(metadata=about("receivers", want="e.g. to: [netsec@acme.example]"))
    on: list[Event] | None = field(default=None, metadata=about(f"what to write about; {EVENTS}"))
    user: Text | None = field(default=None, metadata=about("login name"))
    password: Secret | None = field(default=None, metadata=about("reference to the password"))
    routes: dict[Text, Address | list[Address]] | None = field(
        default=None, metadata=about("owner of rulesets to who is told of them besides; `to` is told of everything")
    )
    ca_file: File | None = field(default=None, metadata=about("certificates to trust instead of the system's"))
    timeout: Duration | None = field(default=None, metadata=about("how long the server may be silent; 20s"))
    digest: WEEKDAYS | None = field(default=None, metadata=about("day of the weekly summary, UTC; monday"))
    attach: list[Literal["html", "csv", "markdown"]] | None = field(
        default=None, metadata=about("forms of the whole report to attach; none by default")
    )


@dataclass(frozen=True, slots=True)
class HookEntry:
    """Whom else to tell, with the content of the mails as JSON: a web address or a program; exactly one of url, command."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID
    name: Name = field(metadata=about("the hook's name", want="every hook has a name, e.g. pager"))
    url: Url | None = field(default=None, metadata=about("where to POST; a reference where the address is itself a secret"))
    command: list[Text] | None = field(
        default=None, metadata=about("program, by its whole path, and its arguments; JSON on standard input")
    )
    secret: Secret | None = field(default=None, metadata=about("reference to the key that signs what is posted (HMAC-SHA256)"))
    on: list[Event] | None = field(default=None, metadata=about(f"what to tell; {EVENTS}"))
    ca_file: File | None = field(default=None, metadata=about("certificates to trust instead of the system's"))
    timeout: Duration | None = field(default=None, metadata=about("how long an answer may take; 20s"))


@dataclass(frozen=True, slots=True)
class TerraformEntry:
    """State files of Terraform: what it owns there is never touched."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID
    name: Name = field(metadata=about("what the state is called in reports", want="every state has a name, e.g. net"))
    state: File = field(
        metadata=about("file, or a pattern with *; inside the repository, or by its whole path", want="e.g. /srv/terraform/net.tfstate")
    )
    workloads: Flag | None = field(
        default=None, metadata=about("are the machines of this state workloads, where no target reads them; false by default")
    )


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """cloudsync.yaml."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID
    owner: Owner = field(
        metadata=about(
            "stamped on everything we write; two deployments never share one", want="name this deployment, e.g. owner: acme-prod"
        )
    )
    targets: list[Target] = field(metadata=about("what to keep in line", want="at least one target: {name, adapter, mode, ...}"))
    version: Literal[1, "1"] | None = field(default=None, metadata=about("version of this file"))
    policy: Path | None = field(default=None, metadata=about("folder of the policy; policy/ by default"))
    inventory: Path | None = field(default=None, metadata=about("folder of the static inventory; inventory/ by default"))
    labels_from: list[LabelEntry] | None = field(default=None, metadata=about("where labels come from; first match wins for each label"))
    label_locks: dict[Name, Literal["static", "tag", "name", "account"]] | None = field(
        default=None, metadata=about("labels that may come from one kind of source only")
    )
    routing_domains: list[DomainEntry] | None = field(default=None, metadata=about("which networks route to each other; all, by default"))
    schedule: ScheduleEntry | None = field(default=None, metadata=about("when the daemon works"))
    service: ServiceEntry | None = field(default=None, metadata=about("what the daemon shows of itself"))
    state: State | None = field(default=None, metadata=about("where the state is kept; .cloudsync/state.db in the repository by default"))
    state_password: Secret | None = field(default=None, metadata=about("reference to the password of the database; not for SQLite"))
    guards: GuardsEntry | None = field(default=None, metadata=about("how much a plan may change before a person has to say yes"))
    terraform: list[TerraformEntry] | None = field(default=None, metadata=about("states of Terraform; what it owns is never touched"))
    mail: MailEntry | None = field(default=None, metadata=about("where reports go"))
    hooks: list[HookEntry] | None = field(default=None, metadata=about("whom else to tell"))
    spool: File | None = field(
        default=None, metadata=about("folder where mails wait while the server is down; beside the state by default")
    )

"""What `cloudsync lab` does; every function prints through `say` and returns an exit code."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import state
from .kit import faults as kit_faults
from .sites import BUNDLE
from .state import LabError, LabState

if TYPE_CHECKING:
    from .control import ControlClient
    from .kit.faults import Json

Say = Callable[[str], None]
OK, ERROR, INVALID = 0, 1, 3
IDLE_LIMIT_S = 12 * 3600.0


@dataclass(frozen=True, slots=True)
class Options:
    """How a lab shall be, beyond its estate."""

    port: int = 0
    """0: any free one."""
    seed: int = 1
    idle_limit_s: float = IDLE_LIMIT_S


def up(folder: Path, estate: str, *, say: Say, background: bool = False, options: Options = Options()) -> int:
    """Start a lab: in the foreground until SIGTERM or Ctrl-C, or in the background and return when it is ready."""
    from .server import Wanted, serve, start

    wanted = Wanted(estate=estate, seed=options.seed, port=options.port, idle_limit_s=options.idle_limit_s)
    problem = _problem(folder, estate)
    if problem is not None:
        say(problem)
        return INVALID
    try:
        if not background:
            say(f"lab starting in {folder}; Ctrl-C ends it. Its address will be in {folder / state.FILE}")
            serve(folder, wanted)
            return OK
        started = start(folder, wanted)
    except (LabError, OSError) as error:
        say(f"the lab could not start: {error}")
        return ERROR
    say(f"lab ready, estate {estate}, process {started.pid}")
    for line in _places(started):
        say(f"  {line}")
    say(f"its file: {folder / state.FILE}; to end it: cloudsync lab down --dir {shlex.quote(str(folder))}")
    return OK


def _places(found: LabState) -> Iterator[str]:
    """Yield where each vendor is, one line each."""
    yield f"aws    {found.endpoint} (account {found.account}, {found.region})"
    gcp, azure, units = found.sites.get("gcp"), found.sites.get("azure"), found.sites.get("f5", ())
    if gcp:
        yield f"gcp    {gcp['endpoint']} (project {gcp['project']})"
    if azure:
        yield f"azure  {azure['endpoint']} (subscription {azure['subscription']})"
    for unit in units:
        yield f"f5     {unit['endpoint']}" + (f" ({unit['hostname']})" if unit.get("hostname") else "")
    mail = found.sites.get("smtp")
    if mail:
        yield f"smtp   {mail['host']}:{mail['port']} (mailbox {mail['mailbox']})"


def _problem(folder: Path, estate: str) -> str | None:
    from .sites import ESTATES

    if estate not in ESTATES:
        return f"no estate {estate!r}: want one of {', '.join(sorted(ESTATES))}"
    if folder.exists() and not folder.is_dir():
        return f"{folder} is not a folder"
    try:
        found = state.read(folder)
    except LabError:
        return None
    if state.is_running(found):
        return (
            f"a lab is already running in {folder} at {found.endpoint} (process {found.pid}); "
            f"end it with: cloudsync lab down --dir {shlex.quote(str(folder))}"
        )
    return None


def down(folder: Path, *, say: Say) -> int:
    """End the lab of a folder."""
    from .server import stop

    try:
        ended = stop(folder)
    except LabError as error:
        say(str(error))
        return INVALID
    say(f"lab at {ended.endpoint} ended")
    return OK


def env(folder: Path, *, say: Say, account: str | None = None) -> int:
    """Print the shell exports with which any client of the four platforms, and of mail, talks to the lab."""
    try:
        found = state.read(folder)
    except LabError as error:
        say(str(error))
        return INVALID
    wanted = account or found.account
    keys = next((each for each in found.accounts if each.account == wanted), None)
    if keys is None:
        say(f"the lab has no key for account {wanted}; it has: {', '.join(each.account for each in found.accounts)}")
        return INVALID
    for name, value in {
        "AWS_ENDPOINT_URL": found.endpoint,
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
        "AWS_DEFAULT_REGION": found.region,
        "AWS_REGION": found.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "NO_PROXY": "127.0.0.1,localhost",
        **_beside(folder, found),
    }.items():
        say(f"export {name}={shlex.quote(value)}")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN"):
        say(f"unset {name}")
    return OK


def _beside(folder: Path, found: LabState) -> dict[str, str]:
    """Return the environment of clients of GCP, Azure and F5. Google's and Microsoft's variables are the ones their clients document."""
    exports: dict[str, str] = {}
    gcp, azure, units = found.sites.get("gcp"), found.sites.get("azure"), found.sites.get("f5", ())
    if gcp:
        exports |= {
            "GOOGLE_APPLICATION_CREDENTIALS": gcp["service_account_file"],
            "GOOGLE_CLOUD_PROJECT": gcp["project"],
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": f"{gcp['endpoint']}/compute/v1/",
            "CLOUDSDK_CORE_PROJECT": gcp["project"],
            "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
            "CLOUDSDK_CONFIG": str(folder / "gcloud"),
            "NO_GCE_CHECK": "true",
        }
    if azure:
        exports |= {
            "AZURE_TENANT_ID": azure["tenant"],
            "AZURE_CLIENT_ID": azure["client_id"],
            "AZURE_CLIENT_SECRET": azure["client_secret"],
            "AZURE_SUBSCRIPTION_ID": azure["subscription"],
            "AZURE_AUTHORITY_HOST": azure["authority"],
            "AZURE_CONFIG_DIR": str(folder / "az"),
            "AZURE_CORE_INSTANCE_DISCOVERY": "false",
            "REQUESTS_CA_BUNDLE": str(folder / BUNDLE),
        }
    if units:
        exports |= {"F5_USER": units[0]["user"], "F5_PASSWORD": units[0]["password"]}
    mail = found.sites.get("smtp")
    if mail:
        names = ("host", "port", "tls_port", "user", "password", "ca_file", "mailbox")
        exports |= {f"SMTP_{name.upper()}": str(mail[name]) for name in names}
    return exports


def fault(folder: Path, specs: list[str], *, say: Say) -> int:
    """Set faults, each `[gcp/|azure/|f5/|smtp/]ACTION:KIND[:name=value,...]`; without any, show what is set."""
    from .aws import faults
    from .control import ControlError

    parsed: list[tuple[str, Json]] = []
    for spec in specs:
        before, slash, rest = spec.partition("/")
        site = before if slash and before in state.SITES else ""
        try:
            parsed.append((site, kit_faults.of_text(rest) if site else faults.of_text(spec)))
        except ValueError as error:
            say(f"fault {error}")
            return INVALID
    try:
        client = _client(folder)
        for site, each in parsed:
            client.ask("faults", each, site=site)
        for site in ("", *state.SITES):
            for one in client.ask("faults", site=site):
                name = f"{site}/{one['operation']}" if site else one["action"]
                say(f"{name}: {one['kind']}, counted {one['seen']}, fired {one['fired']}{', spent' if one['spent'] else ''}")
    except LabError as error:
        say(str(error))
        return INVALID
    except ControlError as error:
        say(str(error))
        return ERROR
    return OK


def reset(folder: Path, *, say: Say, estate: str | None = None, faults_only: bool = False) -> int:
    """Remove all faults; unless only they are meant, also empty the cloud and build its estate again."""
    from .control import ControlError

    try:
        client = _client(folder)
        if faults_only:
            client.no_faults()
            say("no faults are set")
        else:
            built = client.ask("reset", {} if estate is None else {"estate": estate})
            say(f"the cloud is as new: estate {built['estate']}, seed {built['seed']}")
    except LabError as error:
        say(str(error))
        return INVALID
    except ControlError as error:
        say(str(error))
        return ERROR
    return OK


def _client(folder: Path) -> ControlClient:
    from .control import ControlClient

    found = state.read(folder)
    if not state.is_running(found):
        raise LabError(f"the lab of {folder} is not running; start it with: cloudsync lab up --dir {folder}")
    return ControlClient(found.control, found.token)

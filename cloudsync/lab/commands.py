"""What `cloudsync lab` does; every function prints through `say` and returns an exit code."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import state
from .state import LabError

if TYPE_CHECKING:
    from .control import ControlClient

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
    say(f"lab ready at {started.endpoint} (account {started.account}, {started.region}, estate {estate}, process {started.pid})")
    say(f"its file: {folder / state.FILE}; to end it: cloudsync lab down --dir {shlex.quote(str(folder))}")
    return OK


def _problem(folder: Path, estate: str) -> str | None:
    from .aws.estate import ESTATES

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
    """Print the shell exports with which any AWS client talks to the lab."""
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
    }.items():
        say(f"export {name}={shlex.quote(value)}")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN"):
        say(f"unset {name}")
    return OK


def fault(folder: Path, specs: list[str], *, say: Say) -> int:
    """Set faults, each `ACTION:KIND[:name=value,...]`; without any, show what is set."""
    from .aws import faults
    from .control import ControlError

    try:
        parsed = [faults.of_text(spec) for spec in specs]
    except ValueError as error:
        say(f"fault {error}")
        return INVALID
    try:
        client = _client(folder)
        for each in parsed:
            client.ask("faults", each)
        for one in client.ask("faults"):
            say(f"{one['action']}: {one['kind']}, counted {one['seen']}, fired {one['fired']}{', spent' if one['spent'] else ''}")
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

"""Where the state is: a file on this machine, or a schema of a PostgreSQL server that several machines share."""

from __future__ import annotations

import os
import re
from dataclasses import field
from ipaddress import ip_address
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qsl, quote, unquote, urlencode

from cloudsync.model.errors import SettingsError
from cloudsync.model.finding import Finding, Where
from cloudsync.model.quick import dataclass

DEFAULT = "sqlite:///.cloudsync/state.db"
SCHEMA = "cloudsync"
"""The schema that our tables stand in, unless `?schema=` names another one: two deployments may share a database."""
WANT_SERVER = "want e.g. postgresql://cloudsync@db.example.org/cloudsync, with state_password: beside it"
_SQLITE = "sqlite:///"
_SERVER = re.compile(r"(postgresql://(?:[^/?#@:\s]*@)?([^/?#@\s]*)/[^/?#\s]+)(?:\?([^#\s]*))?", re.ASCII)
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}", re.ASCII)
_PASSED_ON = frozenset(
    ["host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey", "passfile", "connect_timeout", "target_session_attrs", "gssencmode"]
)
"""What may stand behind the `?` besides `schema`; https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS."""
_VERIFIED = ("verify-full", "verify-ca")


@dataclass(frozen=True, slots=True)
class Server:
    """A schema on a PostgreSQL server. `folder`: a folder of this machine, for what stands beside the state."""

    url: str
    """As libpq takes it, without `schema` and without a password."""
    folder: Path
    schema: str = SCHEMA
    password: str = field(default="", repr=False)
    """Empty where a password file, a certificate, or the server's trust in a socket does."""

    def __str__(self) -> str:
        """Return the words for it: where it is, nothing secret."""
        return self.url.partition("?")[0] + (f" (schema {self.schema})" if self.schema != SCHEMA else "")

    def exists(self) -> bool:
        """Tell whether any run left something there. Raises RefusedError PRE-JOURNAL when the server cannot be asked."""
        from cloudsync.store.postgres import is_there

        return is_there(self)


Place: TypeAlias = Path | Server


def on_server(url: str) -> bool:
    """Tell whether a `state:` setting names a server."""
    return url.startswith("postgresql:")


def local_folder(url: str, root: Path) -> Path:
    """Return the folder of this machine that the state, or what stands beside it, is in.

    With state on a server that is systemd's STATE_DIRECTORY, else `.cloudsync` in the repository.
    """
    if url.startswith(_SQLITE):
        return (root / url.removeprefix(_SQLITE)).parent
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(given) if given else (root / DEFAULT.removeprefix(_SQLITE)).parent


def locate(url: str, root: Path, where: Where | None = None, *, password: str = "") -> Place:
    """Return the place that a `state:` setting names; relative paths are relative to the repository. Raises SettingsError."""
    place = where or Where("cloudsync.yaml")
    if on_server(url):
        return _server(url, local_folder(url, root), place, password)
    path = url.removeprefix(_SQLITE)
    if not url.startswith(_SQLITE) or not path or path.endswith("/"):
        raise _bad(place, f"{url!r} is no state URL", f"want e.g. {DEFAULT}")
    return root / path


def _server(url: str, folder: Path, where: Where, password: str) -> Server:
    found = _SERVER.fullmatch(url)
    if found is None:
        raise _bad(where, "the state URL of a server is incomplete, or holds a password", WANT_SERVER)
    bare, hosts = found[1], unquote(found[2])
    values = dict(parse_qsl(found[3] or "", keep_blank_values=True))
    schema = values.pop("schema", SCHEMA)
    unknown = sorted(set(values) - _PASSED_ON)
    if unknown:
        raise _bad(where, f"{unknown[0]!r} may not stand in the state URL", f"known are: schema, {', '.join(sorted(_PASSED_ON))}")
    if not _NAME.fullmatch(schema) or schema.startswith("pg_"):
        raise _bad(where, f"{schema!r} is no name for a schema", "want a-z, 0-9 and _, at most 63")
    if not all(map(_near, values.get("host", hosts).split(","))):
        # What crosses the network is encrypted, and the server shows who it is: whoever answers in its place could make us forget.
        if values.setdefault("sslmode", "verify-full") not in _VERIFIED:
            hint = f"want sslmode={_VERIFIED[0]}, and sslrootcert=FILE for a certificate authority of your own"
            raise _bad(where, f"sslmode={values['sslmode']} does not verify a server across the network", hint)
        if values["sslmode"] == "verify-full":
            values.setdefault("sslrootcert", "system")
    return Server(bare + ("?" + urlencode(values, quote_via=quote) if values else ""), folder, schema, password)


def _near(host: str) -> bool:
    """Tell whether a host is this machine: a folder of unix sockets, or a loopback address."""
    name = host.rpartition(":")[0] if re.fullmatch(r"(\[[^]]*\]|[^:]*):\d*", host) else host
    if not name or name.startswith("/") or name == "localhost":
        return True
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _bad(where: Where, message: str, hint: str) -> SettingsError:
    return SettingsError([Finding(where, "BAD-STATE", message, hint)])

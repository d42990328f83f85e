"""Reading a secret from where the settings say it is. It is read when it is needed, and kept nowhere."""

from __future__ import annotations

import os
from pathlib import Path

from cloudsync.model.errors import SettingsError
from cloudsync.model.finding import Finding, Where
from cloudsync.settings.values import SecretReference

BYTES_MAX = 64 << 10


def reveal(reference: SecretReference | None, root: Path, where: Where) -> str:
    """Return the secret, empty for no reference; one line end at its end is not part of it. Raises SettingsError, never with the secret.

    `file:` paths are relative to the repository; `credential:` names one of systemd's LoadCredential=.
    """
    if reference is None:
        return ""
    if reference.kind == "env":
        found = os.environ.get(reference.name, "")
        if not found:
            said = f"{reference.name} is empty" if reference.name in os.environ else f"the environment has no {reference.name}"
            raise SettingsError([_missing(reference, where, said)])
        return found
    path = _path(reference, root, where)
    try:
        with path.open("rb") as file:
            text = file.read(BYTES_MAX).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is no text"
        raise SettingsError([_missing(reference, where, f"{path} cannot be read: {reason}")]) from error
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise SettingsError([_missing(reference, where, f"{path} is empty")])
    return text


def _path(reference: SecretReference, root: Path, where: Where) -> Path:
    if reference.kind == "file":
        return root / reference.name
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if not folder or "/" in reference.name:
        raise SettingsError([_missing(reference, where, f"systemd gave us no credential {reference.name}")])
    return Path(folder) / reference.name


def _missing(reference: SecretReference, where: Where, message: str) -> Finding:
    mend = {"env": "set the variable", "file": "put the secret there", "credential": "LoadCredential= in the unit names it"}
    hint = f"the settings say {reference}: {mend.get(reference.kind, 'put it there')}, or name another place"
    return Finding(reference.where or where, "NO-SECRET", message, hint)

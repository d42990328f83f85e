"""Who is calling: an access key says which account."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field

MAIN = "111122223333"
OTHERS = ("444455556666", "777788889999")
_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request")


@dataclass(frozen=True, slots=True)
class Keys:
    """The static credentials of one account."""

    account: str
    access_key_id: str
    secret_access_key: str


def static_keys(account: str) -> Keys:
    """The lab's key of an account: always the same, worth nothing anywhere else."""
    mark = hashlib.sha256(f"lab key of {account}".encode()).hexdigest().upper()
    return Keys(account, f"AKIALAB{mark[:13]}", f"lab-secret-of-{account}-{mark[13:23].lower()}")


@dataclass(frozen=True, slots=True)
class Scope:
    """What a signed request says about itself."""

    access_key_id: str | None
    region: str
    service: str | None


def scope_of(authorization: str, default_region: str) -> Scope:
    """Read the credential scope of a request signed with version 4; nothing is verified."""
    found = _CREDENTIAL.search(authorization)
    if found is None:
        return Scope(None, default_region, None)
    return Scope(found[1], found[3], found[4])


@dataclass(slots=True)
class Accounts:
    """Key -> account: our static keys, a key that is an account id, a key that moto issued, else the main account."""

    main: str = MAIN
    others: tuple[str, ...] = OTHERS
    issued: Callable[[str], str | None] = lambda _key: None
    _static: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._static = {static_keys(account).access_key_id: account for account in self.all()}

    def all(self) -> tuple[str, ...]:
        """Every account that has a static key, the main one first."""
        return (self.main, *self.others)

    def of_key(self, access_key_id: str | None) -> str:
        """The account a key acts in."""
        if access_key_id is None:
            return self.main
        known = self._static.get(access_key_id)
        if known:
            return known
        if re.fullmatch(r"\d{12}", access_key_id):
            return access_key_id
        return self.issued(access_key_id) or self.main


def issued_by_moto(access_key_id: str) -> str | None:
    """The account of a key that moto's IAM or STS made (a created user's key, an assumed role)."""
    from moto.iam.models import iam_backends

    for account, partitions in list(iam_backends.items()):
        for backend in list(partitions.values()):
            if access_key_id in backend.access_keys:
                return str(account)
    return None

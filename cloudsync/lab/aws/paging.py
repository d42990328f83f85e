"""Pages with opaque tokens (row 30)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from .refusal import Refusal
from .wire import Form

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """The least and the most MaxResults an action takes."""

    least: int
    most: int


COMMON = Limits(5, 1000)
LISTS = Limits(1, 100)
_SALT = b"a token is opaque"


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page and the token of the next, None on the last."""

    found: Sequence[T]
    token: str | None


def make_token(action: str, offset: int, last: str) -> str:
    """A token that only `read_token` of the same action takes."""
    plain = f"{action}|{offset}|{last}"
    mark = hashlib.sha256(_SALT + plain.encode()).hexdigest()[:12]
    return base64.urlsafe_b64encode(f"{mark}|{plain}".encode()).decode()


def read_token(action: str, token: str) -> tuple[int, str]:
    """Return (offset, last id) or refuse a token that we did not make for this action."""
    try:
        mark, made_for, offset, last = base64.urlsafe_b64decode(token.encode()).decode().split("|")
        whole = make_token(made_for, int(offset), last)
    except (ValueError, binascii.Error, UnicodeError):
        raise _bad_token(token) from None
    if whole != token or made_for != action or not mark:
        raise _bad_token(token)
    return int(offset), last


def _bad_token(token: str) -> Refusal:
    return Refusal("InvalidPaginationToken", f"The token '{token}' is not valid")


def page(action: str, form: Form, found: Sequence[T], identity: Callable[[T], str], limits: Limits = COMMON) -> Page[T]:
    """Cut the page that the request asks for; without MaxResults everything that is left is one page.

    The next page starts after the last item of this one, wherever that has moved to meanwhile.
    """
    asked, token = form.number("MaxResults"), form.text("NextToken")
    if asked is not None and not limits.least <= asked <= limits.most:
        bound = f"greater than or equal to {limits.least}" if asked < limits.least else f"less than or equal to {limits.most}"
        raise Refusal.value(f"Value ( {asked} ) for parameter maxResults is invalid. Expecting a value {bound}.")
    start = 0
    if token is not None:
        offset, last = read_token(action, token)
        start = _after(found, identity, offset, last)
    if asked is None or start + asked >= len(found):
        return Page(found[start:], None)
    end = start + asked
    return Page(found[start:end], make_token(action, end, identity(found[end - 1])))


def _after(found: Sequence[T], identity: Callable[[T], str], offset: int, last: str) -> int:
    if 0 < offset <= len(found) and identity(found[offset - 1]) == last:
        return offset
    for position, item in enumerate(found):
        if identity(item) == last:
            return position + 1
    return min(offset, len(found))

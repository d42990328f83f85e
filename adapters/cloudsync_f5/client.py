"""The only place that knows the SDK: sessions, logins, one call at a time, pages, and what a failed call means.

Of the SDK only the transport is used (`icontrol.session`), and that with care: every call carries a timeout, verification of TLS cannot be
switched off, no environment decides about proxies or certificates, redirects are refused, and the token is ours: the SDK would log in as
somebody else with it gone. A write is sent once.
"""

from __future__ import annotations

import logging
import os
import random
import re
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from icontrol.session import iControlRESTSession

from cloudsync.adapter import Clock
from cloudsync.model.errors import AdapterError
from cloudsync.model.quick import dataclass
from cloudsync_f5.limits import BACKOFF_FIRST_S, BACKOFF_MOST_S, PAGES_MAX, READ_ATTEMPTS, RENEW_S
from cloudsync_f5.parse import ParseError, items
from cloudsync_f5.settings import F5Settings

TIMEOUT_S = (5.0, 60.0)
GOODBYE_S = (2.0, 5.0)
"""Connect and read, in seconds; logging out may not hold anybody up."""
LOGIN = "/mgmt/shared/authn/login"
TOKENS = "/mgmt/shared/authz/tokens"
COORDINATION = "X-F5-REST-Coordination-Id"
_CODE = re.compile(r"\b([0-9a-f]{8}):[0-9]+:")
Json = Any

logging.getLogger("icontrol.session").setLevel(logging.WARNING)  # at DEBUG it prints passwords and tokens
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)  # at DEBUG it prints addresses, and that of a logout holds the token


class CallFailedError(AdapterError):
    """One call that did not succeed. `said`: HTTP status and the device's code.

    `answered`: the device surely refused it, or it was never sent; else nobody knows.
    """

    def __init__(self, host: str, call: str, reason: str, *, said: tuple[int, str] = (0, ""), answered: bool = False) -> None:
        status, code = said
        self.status, self.code, self.words, self.answered = status, code, reason, answered
        self.busy = status in (429, 503)
        self.retry_after = 0.0
        super().__init__(host, call, f"{code}: {reason}" if code and code not in reason else reason, retryable=self.busy or not answered)


@dataclass(slots=True)
class _Login:
    """A login on one device; it is ended when nobody uses it any more, at the end of the program at the latest."""

    url: str
    session: Json = None
    token: str = field(default="", repr=False)
    until: float = 0.0

    def end(self) -> None:
        """Log out and forget the session: one without its token would log in as somebody else."""
        session, token, self.session, self.token = self.session, self.token, None, ""
        if session is None:
            return
        try:
            session.delete(f"{self.url}{TOKENS}/{token}", timeout=GOODBYE_S)
        except (requests.RequestException, OSError):
            pass  # it ends by itself after its time
        finally:
            session.session.close()


@dataclass(slots=True, weakref_slot=True)
class Device:
    """Calls to one device. One thread at a time; nothing is sent before the first call."""

    settings: F5Settings
    host: str
    clock: Clock
    jitter: Callable[[], float] = random.random
    """A number in [0, 1): how much of each backoff is waited."""
    _login: _Login = field(init=False)

    def __post_init__(self) -> None:
        self._login = _Login(self.settings.url(self.host))
        weakref.finalize(self, self._login.end)

    def close(self) -> None:
        """Log out."""
        self._login.end()

    def user(self) -> str:
        """Return the name of our user there. Raises CallFailedError."""
        return _secret(self.host, self.settings.credentials[0])

    def get(self, path: str, **params: str) -> Mapping[str, Json]:
        """Read one resource, again if the device was busy or the answer was lost (at most READ_ATTEMPTS times). Raises CallFailedError."""
        for attempt in range(1, READ_ATTEMPTS + 1):
            try:
                return self._send("GET", path, params=params)
            except CallFailedError as failure:
                if not failure.retryable or attempt == READ_ATTEMPTS:
                    raise
                wait = max(self.jitter() * min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2**attempt), min(failure.retry_after, BACKOFF_MOST_S))
            self.clock.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def collection(self, path: str, kind: str, **params: str) -> Iterator[Mapping[str, Json]]:
        """Yield the members of a collection over all its pages. Any doubt about completeness raises CallFailedError."""
        seen: set[str] = set()
        count, total = 0, None
        query = dict(params)
        for _ in range(PAGES_MAX):
            answer = self.get(path, **query)
            if answer.get("kind") != kind:
                raise self._doubt(path, f"the answer is a {answer.get('kind')!r}, not a {kind}")
            try:
                page = items(answer)
            except ParseError as error:
                raise self._doubt(path, str(error)) from error
            count += len(page)
            total = answer.get("totalItems", total)
            yield from page
            following = answer.get("nextLink")
            if not following:
                if isinstance(total, int) and count != total:
                    raise self._doubt(path, f"the device speaks of {total} items, {count} came")
                return
            if following in seen:
                raise self._doubt(path, f"the same page came twice, after {len(seen) + 1} pages")
            seen.add(str(following))
            query = {**params, **dict(parse_qsl(urlsplit(str(following)).query))}  # should a link forget what was asked for
        raise self._doubt(path, f"more than {PAGES_MAX} pages")

    def _doubt(self, path: str, reason: str) -> CallFailedError:
        return CallFailedError(self.host, f"GET {path}", reason, answered=True)

    def post(self, path: str, body: Json, transaction: str = "") -> Mapping[str, Json]:
        """Create something or give an order, once. Raises CallFailedError."""
        return self._send("POST", path, body, transaction=transaction)

    def patch(self, path: str, body: Json, transaction: str = "") -> Mapping[str, Json]:
        """Change something, once. Raises CallFailedError."""
        return self._send("PATCH", path, body, transaction=transaction)

    def delete(self, path: str, transaction: str = "") -> Mapping[str, Json]:
        """Delete something, once. Raises CallFailedError."""
        return self._send("DELETE", path, transaction=transaction)

    def _send(
        self, method: str, path: str, body: Json = None, *, transaction: str = "", params: Mapping[str, str] | None = None
    ) -> Mapping[str, Json]:
        try:
            return self._once(method, path, body, transaction=transaction, params=params)
        except CallFailedError as failure:
            if failure.status != 401 or transaction:
                raise
        # The token ran out or was taken away: the device did nothing. Inside a transaction it would be the end of that.
        self._login.end()
        return self._once(method, path, body, params=params)

    def _once(
        self, method: str, path: str, body: Json = None, *, transaction: str = "", params: Mapping[str, str] | None = None
    ) -> Mapping[str, Json]:
        call = f"{method} {path}"
        session = self._session(renew=not transaction)
        # The header goes with this call alone: on the session every other call would join the transaction.
        headers = {COORDINATION: transaction} if transaction else {}
        arguments: dict[str, Json] = {"headers": headers, "timeout": TIMEOUT_S}
        if params:
            arguments["params"] = params
        if method == "POST" or body is not None:
            arguments["json"] = body
        try:
            answer = getattr(session, method.lower())(f"{self._login.url}{path}", **arguments)
            return _json(self.host, call, answer)
        except requests.RequestException as error:
            raise _meaning(self.host, call, error) from error

    # --- logins ------------------------------------------------------------------------------------------------------

    def _session(self, *, renew: bool) -> Json:
        login = self._login
        if login.session is not None and renew and self.clock.monotonic() > login.until:
            login.end()
        if login.session is None:
            self._begin(login)
        return login.session

    def _begin(self, login: _Login) -> None:
        user, words = (_secret(self.host, one) for one in self.settings.credentials)
        first = _transport(self.settings, user=user, words=words)
        body = {"username": user, "password": words, "loginProviderName": "tmos"}
        try:
            answer = _json(self.host, f"POST {LOGIN}", first.post(f"{login.url}{LOGIN}", json=body, timeout=TIMEOUT_S))
        except requests.RequestException as error:
            raise _meaning(self.host, f"POST {LOGIN}", error) from error
        finally:
            first.session.close()
        token = answer.get("token") or {}
        if not isinstance(token, dict) or not token.get("token"):
            raise CallFailedError(self.host, f"POST {LOGIN}", "the answer holds no token", answered=True)
        login.token = str(token["token"])
        login.session = _transport(self.settings, token=login.token)
        login.until = self.clock.monotonic() + max(0.0, float(token.get("timeout") or 1200) - RENEW_S)


def _transport(settings: F5Settings, *, user: str = "", words: str = "", token: str = "") -> Json:
    """Return the SDK's session, with what it leaves open shut: TLS verified, no environment, no redirects."""
    verify = settings.ca_file or True
    if token:
        made = iControlRESTSession("", "", token_to_use=token, verify=verify, user_agent="cloudsync")
    else:
        made = iControlRESTSession(user, words, verify=verify, user_agent="cloudsync")
    made.session.trust_env = False
    made.session.max_redirects = 0
    return made


def _secret(host: str, reference: str) -> str:
    """Return the words that a reference of the settings points at. Raises CallFailedError without showing them."""
    kind, _, place = reference.partition(":")
    if kind == "env":
        found = os.environ.get(place, "")
        why = f"the environment variable {place} is not set"
    else:
        try:
            found, why = Path(place).read_text(encoding="utf-8").rstrip("\r\n"), f"{place} is empty"
        except (OSError, UnicodeDecodeError) as error:
            found, why = "", f"{place} cannot be read: {type(error).__name__}"
    if not found:
        raise CallFailedError(host, "login", f"{why}; the settings say {reference}", said=(0, "NO-CREDENTIALS"), answered=True)
    return found


_NEVER_SENT = (requests.exceptions.SSLError, requests.exceptions.InvalidURL, requests.exceptions.ConnectTimeout)
_REFUSED = "NewConnectionError"
"""What the transport below the SDK calls a connection that was never made."""

# --- answers -------------------------------------------------------------------------------------------------------------


def _json(host: str, call: str, answer: Json) -> Mapping[str, Json]:
    """Return the body of an answer; one that is cut short or no JSON leaves the outcome open."""
    if not answer.content:
        return {}
    try:
        found = answer.json()
    except ValueError as error:
        raise CallFailedError(host, call, f"the answer is no JSON ({len(answer.content)} bytes)", said=(answer.status_code, "")) from error
    if not isinstance(found, dict):
        raise CallFailedError(host, call, f"the answer is no object but a {type(found).__name__}", said=(answer.status_code, ""))
    return found


def _meaning(host: str, call: str, error: requests.RequestException) -> CallFailedError:
    """Say what an exception means: refused, or unknown. Only what is surely a refusal counts as one."""
    answer = error.response
    if answer is None:
        never = isinstance(error, _NEVER_SENT) or type(getattr(error.args[0], "reason", None) if error.args else None).__name__ == _REFUSED
        hint = "; name the certificate authority of the device: ca_file" if isinstance(error, requests.exceptions.SSLError) else ""
        return CallFailedError(host, call, f"{type(error).__name__}: {_root(error)}{hint}", answered=never)
    message = _message(answer)
    found = _CODE.search(message)
    code = found[1] if found else str(answer.status_code)
    refused = 400 <= answer.status_code < 500 and answer.status_code not in (408, 429)
    failure = CallFailedError(host, call, message, said=(answer.status_code, code), answered=refused)
    after = answer.headers.get("Retry-After", "")
    failure.retry_after = float(after) if after.isascii() and after.isdecimal() else 0.0
    return failure


def _message(answer: Json) -> str:
    try:
        body = answer.json()
    except ValueError:
        body = None
    if isinstance(body, dict) and body.get("message"):
        return str(body["message"])
    return f"HTTP {answer.status_code} {answer.reason or ''}".strip()


def _root(error: BaseException) -> str:
    """Return the words of the innermost cause: the outer ones repeat addresses and pools."""
    seen: BaseException = error
    while (inner := seen.__cause__ or seen.__context__) is not None:
        seen = inner
    return str(seen) or type(seen).__name__

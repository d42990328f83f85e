"""The only place that knows Google's SDK: credentials, reads page by page, one write at a time, and what a failed call means.

Reads go through google-auth's session and plain JSON: typed messages drop the fields they do not know, and a rule that restricts itself
by one of those would look wider than it is. Writes go through the typed client, each sent once: its retries are off, so are its sending
again after a 401 and its following of redirects. See docs/decisions/060-gcp-reads-plain-writes-typed.md.
"""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

import google.auth
import google.auth.exceptions
import google.oauth2.credentials
import google.oauth2.service_account
import requests
from google.auth.transport.requests import AuthorizedSession

from cloudsync.adapter import Clock
from cloudsync.model.bucket import Limit
from cloudsync.model.errors import AdapterError
from cloudsync.model.quick import dataclass
from cloudsync.pacing import pacing
from cloudsync_gcp import payload as wire
from cloudsync_gcp.limits import LOOK, PAGE_SIZE, PAGES_MAX, THROTTLED
from cloudsync_gcp.pacing import limit
from cloudsync_gcp.parse import Raw, canonical
from cloudsync_gcp.settings import GcpSettings, endpoint_allowed, simulated

READ_ATTEMPTS = 4
BACKOFF_FIRST_S, BACKOFF_MOST_S = 0.5, 8.0
POLL_FIRST_S, POLL_MOST_S = 0.05, 2.0
TIMEOUTS_S = (5, 60)
LOG_TIMEOUTS_S = (5, 20)
"""A log is asked once and not waited for: no run depends on it."""
COMPUTE, RESOURCE_MANAGER = "https://compute.googleapis.com", "https://cloudresourcemanager.googleapis.com"
LOGGING = "https://logging.googleapis.com"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
WAIT_MOST_S = 130.0
"""`wait` answers after two minutes at the latest (compute v1, globalOperations.wait)."""
Sdk = Any
"""An object of the SDK, which we use without its types: they are published in part."""
Waiting = Callable[[str, float], Sdk]
"""Waits for an operation by name, for so many seconds at most, and returns it as it is then."""
_default: Sdk = google.auth.default
_Token: Sdk = google.oauth2.credentials.Credentials
_Key: Sdk = google.oauth2.service_account.Credentials
_Session: Sdk = AuthorizedSession


class CallFailedError(AdapterError):
    """One call that did not succeed. `answered`: it was refused, or never sent, so nothing was applied; else nobody knows."""

    def __init__(self, project: str, call: str, reason: str, *, code: str = "", answered: bool = False) -> None:
        self.code, self.words = code, reason
        self.throttled = code in THROTTLED or code == "429"
        self.answered = answered and code not in LOOK
        again = self.throttled or not answered
        super().__init__(project, call, f"{code}: {reason}" if code else reason, retryable=again)


@dataclass(slots=True)
class Client:
    """Calls to the projects of one target. Thread-safe; nothing is sent before the first call."""

    settings: GcpSettings
    clock: Clock
    jitter: Callable[[], float] = random.random
    """A number in [0, 1): how much of each backoff is waited."""
    _session: Sdk = None
    _writer: Sdk = None
    _credentials: Sdk = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def host(self) -> str:
        """Where Compute Engine answers, without a slash at the end."""
        return self.settings.endpoint.rstrip("/") or COMPUTE

    def principal(self) -> str:
        """Return who the credentials belong to, as far as they say it themselves."""
        credentials = self._identity()
        return str(getattr(credentials, "service_account_email", "") or getattr(credentials, "account", "") or "unnamed principal")

    # --- reads -------------------------------------------------------------------------------------------------------

    def read(self, project: str, path: str, kind: str = "", **query: str) -> Raw:
        """GET one object or page under `projects/<project>/`, again if it was throttled or lost. Raises CallFailedError.

        `kind` is what the answer must say it is: an empty or foreign object with status 200 is no answer.
        """
        call = f"GET {path or 'projects/' + project}"
        url = f"{self.host}/compute/v1/projects/{project}" + (f"/{path}" if path else "")
        answer = self._again(project, call, lambda: self._json(project, call, "GET", url, params=query))
        if kind and answer.get("kind") != kind:
            raise CallFailedError(project, call, f"the answer is no {kind}: {canonical(answer)[:120]}")
        return answer

    def pages(self, project: str, path: str, kind: str, **query: str) -> Iterator[Raw]:
        """Yield every page of a list. Any doubt about completeness raises CallFailedError."""
        seen: set[str] = set()
        wanted = {**query, "maxResults": str(PAGE_SIZE)}
        for _ in range(PAGES_MAX):
            page = self.read(project, path, kind, **wanted)
            warning = (page.get("warning") or {}).get("code")
            if (warning and warning != "NO_RESULTS_ON_PAGE") or page.get("unreachables"):
                raise CallFailedError(project, f"GET {path}", f"the answer is not whole: {warning or 'unreachable places'}")
            yield page
            token = page.get("nextPageToken")
            if not token:
                return
            if token in seen:
                raise CallFailedError(project, f"GET {path}", f"the same page token came twice, after {len(seen) + 1} pages")
            seen.add(token)
            wanted["pageToken"] = token
        raise CallFailedError(project, f"GET {path}", f"more than {PAGES_MAX} pages")

    def allowed(self, project: str, permissions: list[str]) -> frozenset[str]:
        """Ask the Resource Manager which of these permissions we have. Raises CallFailedError."""
        call = "testIamPermissions"
        url = f"{self.settings.endpoint.rstrip('/') or RESOURCE_MANAGER}/v1/projects/{project}:testIamPermissions"
        body = {"permissions": permissions}
        answer = self._again(project, call, lambda: self._json(project, call, "POST", url, json=body))
        return frozenset(map(str, answer.get("permissions") or ()))

    def log_entries(self, project: str, body: Mapping[str, Any]) -> Raw:
        """Ask Cloud Logging for entries, one page, once. Raises CallFailedError."""
        url = f"{self.settings.endpoint.rstrip('/') or LOGGING}/v2/entries:list"
        return self._json(project, "entries.list", "POST", url, timeout=LOG_TIMEOUTS_S, json=body)

    def date(self) -> str:
        """Return the Date header of an answer, for a look at the clocks. Raises CallFailedError."""
        session = self._reader()
        try:
            answer = session.request("GET", f"{self.host}/compute/v1/projects/{self.settings.project}", timeout=TIMEOUTS_S)
        except Exception as error:
            raise _meaning(self.settings.project, "GET", error) from error
        return str(answer.headers.get("date") or "")

    def _again(self, project: str, call: str, send: Callable[[], Raw]) -> Raw:
        for attempt in range(1, READ_ATTEMPTS + 1):
            try:
                return send()
            except CallFailedError as failure:
                if not failure.retryable or attempt == READ_ATTEMPTS:
                    raise
            self.clock.sleep(self.jitter() * min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2**attempt))
        raise AssertionError(f"{project} {call}: the last attempt returns or raises")

    def _json(self, project: str, call: str, method: str, url: str, *, timeout: tuple[int, int] = TIMEOUTS_S, **more: Sdk) -> Raw:
        session = self._reader()
        pacing(self.clock).take(limit(self.settings, project, write=False))
        try:
            answer = session.request(method, url, timeout=timeout, allow_redirects=False, **more)
            status = int(answer.status_code)
            body = answer.json()
        except ValueError as error:
            raise CallFailedError(project, call, f"the answer is no JSON: {error}") from error
        except Exception as error:
            raise _meaning(project, call, error) from error
        if status != 200 or not isinstance(body, dict) or "error" in body:
            refusal = _refusal(project, call, status, body)
            if refusal.throttled and url.startswith(self.host):
                self._throttled(project, write=False)
            raise refusal
        return body

    # --- writes ------------------------------------------------------------------------------------------------------

    def delay(self, drawn: Limit) -> float:
        """Return the seconds until a bucket gives a token."""
        return pacing(self.clock).delay(drawn)

    def write(self, request: wire.Request) -> None:
        """Send one writing call, exactly once, and wait for its operation. Raises CallFailedError."""
        call, writer = request.call, self._typed()
        pacing(self.clock).take(limit(self.settings, request.project, write=True))
        started = self.clock.monotonic()
        try:
            operation, waiting = writer.send(request, self._request_id(request), lambda: self._fingerprint(request))
        except AdapterError:
            raise
        except Exception as error:  # the SDK raises plain ones too: an answer cut short, or of somebody else
            failure = _meaning(request.project, call, error)
            if failure.throttled and failure.code not in ("resourceNotReady", "RESOURCE_NOT_READY"):
                self._throttled(request.project, write=True)
            raise failure from error
        self._ended(request, operation, waiting, started)

    def _request_id(self, request: wire.Request) -> str:
        """Return an id under which the server takes a call once: whatever repeats it on the way, but never our next attempt."""
        return str(uuid5(NAMESPACE_URL, f"{wire.render(request)} {self.clock.now()} {self.clock.monotonic()}"))

    def _fingerprint(self, request: wire.Request) -> str:
        """Return the fingerprint of a VM's tags, after a look whether they are what the plan saw."""
        path = request.object.partition(f"projects/{request.project}/")[2]
        tags = self.read(request.project, path, "compute#instance").get("tags") or {}
        if tuple(sorted(tags.get("items") or ())) != request.expect:
            raise CallFailedError(request.project, request.call, "the VM's tags are not what the plan saw", code="moved", answered=True)
        return str(tags.get("fingerprint") or "")

    def _ended(self, request: wire.Request, operation: Sdk, waiting: Waiting, started: float) -> None:
        """Wait until an operation is DONE, however it is told, and raise unless it succeeded without reservation."""
        call, pause, misses = request.call, POLL_FIRST_S, 0
        while not _done(operation):
            left = started + self.settings.max_wait - self.clock.monotonic()
            if left <= 0:
                raise CallFailedError(request.project, call, f"operation {operation.name} is not DONE after {self.settings.max_wait:g} s")
            try:
                operation = waiting(operation.name, min(WAIT_MOST_S, left + 1))
            except Exception as error:
                failure, misses = _meaning(request.project, call, error), misses + 1
                if (failure.answered and not failure.throttled) or failure.code in LOOK or misses == READ_ATTEMPTS:
                    raise CallFailedError(request.project, call, f"operation {operation.name} was lost: {failure}") from error
            if not _done(operation):
                self.clock.sleep(pause)
                pause = min(2 * pause, POLL_MOST_S)
        errors = [(str(one.code), str(one.message)) for one in operation.error.errors]
        status, words = int(operation.http_error_status_code or 0), str(operation.http_error_message or "")
        if errors or status or words:
            code, text = errors[0] if errors else (str(status or ""), words)
            surely = bool(code) and status < 500 and code != "INTERNAL_ERROR"
            raise CallFailedError(request.project, call, text or words or "the operation failed", code=code, answered=surely)

    # --- sessions ----------------------------------------------------------------------------------------------------

    def _throttled(self, project: str, *, write: bool) -> None:
        """Send no more calls of the kind until the next minute, when Google's windows begin anew."""
        rest = 0.0 if simulated(self.settings.endpoint) else 60.0 - self.clock.now() % 60.0
        pacing(self.clock).throttled(limit(self.settings, project, write=write), rest)

    def _identity(self) -> Sdk:
        with self._lock:
            if self._credentials is None:
                self._credentials = _credentials(self.settings)
            return self._credentials

    def _reader(self) -> Sdk:
        credentials = self._identity()
        with self._lock:
            if self._session is None:
                self._session = _session(credentials, self.settings.endpoint)
            return self._session

    def _typed(self) -> Sdk:
        credentials = self._identity()
        with self._lock:
            if self._writer is None:
                self._writer = _Typed(credentials, self.settings.endpoint)
            return self._writer


def _done(operation: Sdk) -> bool:
    return str(getattr(operation.status, "name", operation.status)) == "DONE"


def _credentials(settings: GcpSettings) -> Sdk:
    """Return the credentials of a target: those of the reference in its settings, else the application's default ones."""
    project = settings.project
    if settings.endpoint and not endpoint_allowed(settings.endpoint):
        raise CallFailedError(project, "open", f"endpoint {settings.endpoint} is neither https nor on this machine", answered=True)
    kind, _, where = settings.credentials.partition(":")
    try:
        if not kind:
            return _default(scopes=SCOPES)[0]
        text = os.environ[where] if kind == "env" else Path(where).expanduser().read_text(encoding="utf-8")
    except KeyError:
        raise CallFailedError(project, "credentials", f"environment variable {where} is not set", answered=True) from None
    except (OSError, UnicodeDecodeError, google.auth.exceptions.GoogleAuthError) as error:
        raise CallFailedError(project, "credentials", str(error), answered=True) from error
    return _loaded(project, text.strip())


def _loaded(project: str, text: str) -> Sdk:
    """Return credentials from a text: a service account's key, a user's, or an access token. Other kinds name URLs to be called."""
    if not text.startswith("{"):
        return _Token(text)
    try:
        given = json.loads(text)
        kind = given.get("type")
        if kind == "service_account":
            return _Key.from_service_account_info(given, scopes=SCOPES)
        if kind == "authorized_user":
            return _Token.from_authorized_user_info(given, scopes=SCOPES)
    except (ValueError, google.auth.exceptions.GoogleAuthError) as error:
        # The text itself is a secret: not even a part of it may be quoted.
        raise CallFailedError(project, "credentials", f"they cannot be read: {type(error).__name__}", answered=True) from None
    reason = f"credentials of type {kind!r} come through GOOGLE_APPLICATION_CREDENTIALS, not through the settings"
    raise CallFailedError(project, "credentials", reason, answered=True)


def _self_signed(credentials: Sdk) -> Sdk:
    """Let a service account sign its own tokens: no call to a token endpoint, and none that could be led elsewhere."""
    sign = getattr(credentials, "with_always_use_jwt_access", None)
    return credentials if sign is None else sign(True)


def _session(credentials: Sdk, endpoint: str) -> Sdk:
    """Return the session that reads go through."""
    return _plain(_Session(_self_signed(credentials), max_refresh_attempts=1, default_host="compute.googleapis.com"), endpoint)


def _plain(session: Sdk, endpoint: str) -> Sdk:
    """Let a session follow no redirect: on one of those the body would go to a stranger, whose word would count as Google's."""
    session.max_redirects = 0
    if simulated(endpoint):
        session.trust_env = False  # no proxy stands between this machine and itself
    return session


def _once(transport: Sdk, endpoint: str) -> None:
    """Let a typed client send each call once, not even again after a 401. Its session takes that only when it is made, and it makes it."""
    session = vars(transport)["_session"]
    vars(session)["_max_refresh_attempts"] = 0
    _plain(session, endpoint)


class _Typed:
    """The typed clients, with a session that sends once."""

    def __init__(self, credentials: Sdk, endpoint: str) -> None:
        from google.cloud import compute_v1

        self._sdk: Sdk = compute_v1
        self._credentials, self._endpoint = credentials, endpoint
        self._firewalls, self._instances = self._client("Firewalls"), self._client("Instances")
        self._global, self._zonal = self._client("GlobalOperations"), self._client("ZoneOperations")

    def _client(self, name: str) -> Sdk:
        kind = getattr(self._sdk, f"{name}Client")
        transport = kind.get_transport_class("rest")(
            credentials=_self_signed(self._credentials),
            host=self._endpoint.partition("://")[2].rstrip("/") or "compute.googleapis.com",
            url_scheme="http" if simulated(self._endpoint) else "https",
        )
        _once(transport, self._endpoint)
        return kind(transport=transport)

    def send(self, request: wire.Request, request_id: str, fingerprint: Callable[[], str]) -> tuple[Sdk, Waiting]:
        """Send one call; return its operation and how to wait for it."""
        sdk, project, once = self._sdk, request.project, {"retry": None, "timeout": float(TIMEOUTS_S[1])}

        def globally(name: str, most_s: float) -> Sdk:
            return self._global.wait(project=project, operation=name, timeout=most_s, retry=None)

        if request.call == wire.SET_TAGS:
            zone, instance = request.object.split("/")[3], request.object.split("/")[5]
            tags = sdk.Tags(items=list(request.items), fingerprint=fingerprint())
            what = sdk.SetTagsInstanceRequest(project=project, zone=zone, instance=instance, tags_resource=tags, request_id=request_id)
            operation = self._instances.set_tags_unary(request=what, **once) if request.items else self._clear_tags(what)

            def locally(name: str, most_s: float) -> Sdk:
                return self._zonal.wait(project=project, zone=zone, operation=name, timeout=most_s, retry=None)

            return operation, locally
        if request.call == wire.DELETE:
            what = sdk.DeleteFirewallRequest(project=project, firewall=request.object, request_id=request_id)
            return self._firewalls.delete_unary(request=what, **once), globally
        rule = sdk.Firewall.from_json(canonical(request.body), ignore_unknown_fields=False)
        if request.call == wire.PATCH:
            what = sdk.PatchFirewallRequest(project=project, firewall=request.object, firewall_resource=rule, request_id=request_id)
            return self._firewalls.patch_unary(request=what, **once), globally
        what = sdk.InsertFirewallRequest(project=project, firewall_resource=rule, request_id=request_id)
        return self._firewalls.insert_unary(request=what, **once), globally

    def _clear_tags(self, what: Sdk) -> Sdk:
        """Take the last tag off a VM. The typed client leaves an empty list out, and nobody knows what Google makes of that."""
        path = f"projects/{what.project}/zones/{what.zone}/instances/{what.instance}/setTags"
        answer = vars(self._instances.transport)["_session"].request(
            "POST",
            f"{self._endpoint.rstrip('/') or COMPUTE}/compute/v1/{path}",
            params={"requestId": what.request_id},
            json={"items": [], "fingerprint": what.tags_resource.fingerprint},
            timeout=TIMEOUTS_S,
            allow_redirects=False,
        )
        if answer.status_code != 200:
            try:
                body = answer.json()
            except ValueError:
                body = None
            raise _refusal(what.project, wire.SET_TAGS, int(answer.status_code), body)
        return self._sdk.Operation.from_json(answer.text, ignore_unknown_fields=True)


# --- what a failure means -------------------------------------------------------------------------------------------------


def _refusal(project: str, call: str, status: int, body: object) -> CallFailedError:
    """Say what an answer means that is not what was asked for."""
    error: Mapping[str, Any] = body.get("error") or {} if isinstance(body, dict) else {}
    if not isinstance(error, dict):
        error = {"message": str(error)}
    first = (error.get("errors") or [{}])[0]
    info = next((one for one in error.get("details") or () if isinstance(one, dict) and one.get("reason")), {})
    code = str(info.get("reason") or first.get("reason") or (status if status >= 400 else ""))
    text = str(error.get("message") or first.get("message") or f"status {status} without a reason")
    code = code if code in THROTTLED or not first.get("reason") else str(first["reason"])
    return CallFailedError(project, call, text, code=code, answered=400 <= status < 500 and status not in (408, 429))


def _meaning(project: str, call: str, error: Exception) -> CallFailedError:
    """Say what an exception of the SDK means: refused, or unknown. Only what is surely a refusal counts as one."""
    if isinstance(error, CallFailedError):
        return error
    if isinstance(error, google.auth.exceptions.GoogleAuthError):
        # Tokens are fetched before a call is sent, and no call is sent again: this one never left.
        return CallFailedError(project, call, f"no valid credentials: {error}", code="401", answered=True)
    if isinstance(error, requests.exceptions.ConnectTimeout) or "Failed to establish a new connection" in str(error):
        where = urlsplit(getattr(getattr(error, "request", None), "url", "") or "").netloc or "the endpoint"
        return CallFailedError(project, call, f"no connection to {where}: {type(error).__name__}", code="unsent", answered=True)
    status = getattr(error, "code", None)
    if not isinstance(status, int) or not 400 <= status < 500 or status == 408:
        if isinstance(error, ValueError) and not isinstance(error, requests.exceptions.RequestException | json.JSONDecodeError):
            sent = type(error).__module__.startswith("google")
            return CallFailedError(project, call, f"{type(error).__name__}: {error}", code="" if sent else "unsent", answered=not sent)
        return CallFailedError(project, call, f"{type(error).__name__}: {error}")
    details = [one for one in getattr(error, "errors", ()) if isinstance(one, dict)]
    code = str(getattr(error, "reason", None) or next((one["reason"] for one in details if one.get("reason")), status))
    return CallFailedError(project, call, str(getattr(error, "message", error)), code="429" if status == 429 else code, answered=True)

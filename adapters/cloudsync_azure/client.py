"""The only place that knows Azure's SDK: the credential, one request at a time, pages, and what a failed call means.

Requests go through the pipeline of the SDK's network client, whose own retries are off for every call: it would send a PUT again after a
lost answer, up to ten times. Reads are tried again here, on the injected clock. Microsoft.Compute is read through the same pipeline and
needs no SDK of its own. Plain JSON is used instead of the SDK's models, which are four times slower and no safer.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import os
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import Any
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError, ClientAuthenticationError, ServiceRequestError
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.rest import HttpRequest
from azure.identity import ClientSecretCredential, DefaultAzureCredential
from azure.mgmt.network import NetworkManagementClient

from cloudsync.adapter import Clock
from cloudsync.model.bucket import Limit
from cloudsync.model.errors import AdapterError
from cloudsync.model.quick import dataclass
from cloudsync.pacing import pacing
from cloudsync_azure.limits import BUSY_CODES, LEFT_MIN, PAGES_MAX
from cloudsync_azure.pacing import limit
from cloudsync_azure.parse import Raw, canonical
from cloudsync_azure.settings import PUBLIC, AzureSettings, on_loopback

READ_ATTEMPTS = 4
BACKOFF_FIRST_S, BACKOFF_MOST_S = 0.5, 8.0
RETRY_AFTER_MOST_S = 60.0
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 5, 60
LOG_TIMEOUT_S = 20
"""A log is asked once and not waited for: no run depends on it."""
POLL_FIRST_S, POLL_MOST_S, LAB_POLL_S = 2.0, 16.0, 0.05
"""Between two looks at an operation without a Retry-After, growing; the simulated one on this machine takes no time."""
METHODS = frozenset({"GET", "PUT", "DELETE"})
_COUNTED = {"GET": "reads", "DELETE": "deletes"}
_GLOBALLY = "x-ms-ratelimit-remaining-subscription-global-"
Sdk = Any
"""An object of the SDK, which publishes no types."""


class CallFailedError(AdapterError):
    """One call that did not succeed. `answered`: it was refused, or never sent, so nothing was applied; else nobody knows."""

    def __init__(self, scope: str, call: str, reason: str, *, code: str = "", answered: bool = False) -> None:
        self.code, self.words, self.answered = code, reason, answered
        self.status = 0
        """HTTP status of the answer; 0 without one."""
        self.wait_s = 0.0
        """What Retry-After asked for."""
        self.throttled = code in BUSY_CODES
        super().__init__(scope, call, f"{code}: {reason}" if code else reason, retryable=self.throttled or not answered)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: its status, its JSON (None without a body), its headers in lower case."""

    status: int
    document: Any
    headers: Mapping[str, str]

    @property
    def wait_s(self) -> float | None:
        """Seconds that Retry-After asks for."""
        text = self.headers.get("retry-after", "")
        return min(float(text), RETRY_AFTER_MOST_S) if text.isdecimal() else None

    def left(self, method: str) -> int | None:
        """Return how many more calls of a method Resource Manager says it will take just now; None where it does not say."""
        kind = _COUNTED.get(method, "writes")
        said = [self.headers.get(f"x-ms-ratelimit-remaining-subscription-{kind}", ""), self.headers.get(_GLOBALLY + kind, "")]
        return min((int(text) for text in said if text.isdecimal()), default=None)


class HostPin(SansIOHTTPPolicy[Any, Any]):
    """Keeps the token and our requests on the host we were configured for: nextLink, poll URLs and redirects lead anywhere otherwise.

    It refuses other methods as well: the SDK has a policy that registers resource providers by POST when it thinks it must.
    """

    def __init__(self, base: str) -> None:
        super().__init__()
        self._origin = urlsplit(base)[:2]

    def on_request(self, request: Sdk) -> None:
        """Look at every request just before it leaves, retries and redirects included."""
        sent = request.http_request
        if urlsplit(sent.url)[:2] != self._origin:
            raise PermissionError(f"refused to follow Azure Resource Manager to {urlsplit(sent.url).netloc}")
        if sent.method not in METHODS:
            raise PermissionError(f"refused to send {sent.method} {urlsplit(sent.url).path}")


@dataclass(slots=True)
class Client:
    """Calls to one subscription. Thread-safe; nothing is sent before the first call."""

    settings: AzureSettings
    clock: Clock
    jitter: Callable[[], float] = random.random
    """A number in [0, 1): how much of each backoff is waited."""
    _made: Any = None
    _credential: Any = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def path(self, tail: str) -> str:
        """Return a path inside the subscription."""
        return f"/subscriptions/{self.settings.subscription}{tail}"

    def read(self, path: str, version: str) -> Answer:
        """Send one GET, again if it was throttled or lost (at most READ_ATTEMPTS times). Raises CallFailedError."""
        for attempt in range(1, READ_ATTEMPTS + 1):
            wait = self.jitter() * min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2**attempt)
            try:
                return self._send("GET", path, version)
            except CallFailedError as failure:
                if not failure.retryable or attempt == READ_ATTEMPTS:
                    raise
                wait = max(wait, failure.wait_s)
            self.clock.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def read_once(self, path: str, version: str) -> Answer:
        """Send one GET, once, with little patience: for what nothing depends on. Raises CallFailedError."""
        return self._sent(self._request("GET", path, version), LOG_TIMEOUT_S)

    def pages(self, path: str, version: str) -> Iterator[Raw]:
        """Yield the elements of a list over all pages. Any doubt about completeness raises CallFailedError."""
        seen: set[str] = set()
        where = path
        for _ in range(PAGES_MAX):
            document = self.read(where, version).document
            if not isinstance(document, dict) or not isinstance(document.get("value"), list):
                raise CallFailedError(self.settings.scope, path, "the answer holds no list `value`")
            for one in document["value"]:
                if not isinstance(one, dict):
                    raise CallFailedError(self.settings.scope, path, "the list holds something that is no object")
                yield one
            where = document.get("nextLink") or ""
            if not where:
                return
            if where in seen:
                raise CallFailedError(self.settings.scope, path, f"the same page came twice, after {len(seen) + 1} pages")
            seen.add(where)
        raise CallFailedError(self.settings.scope, path, f"more than {PAGES_MAX} pages")

    def delay(self, drawn: Limit) -> float:
        """Return the seconds until a bucket gives a token."""
        return pacing(self.clock).delay(drawn)

    def write(self, method: str, path: str, version: str, *, body: object = None, etag: str) -> Answer:
        """Send one writing request, exactly once. Raises CallFailedError."""
        return self._send(method, path, version, body, {"If-Match": etag} if etag else {})

    def poll(self, url: str) -> tuple[str, Any]:
        """Look at a long-running operation until it ends or `max_wait` is over: (status, error). Raises CallFailedError in doubt."""
        end = self.clock.monotonic() + self.settings.max_wait
        wait = LAB_POLL_S if on_loopback(self.settings.base) else POLL_FIRST_S
        while True:
            answer = self.read(url, "")
            document = answer.document if isinstance(answer.document, dict) else {}
            status = str(document.get("status") or "")
            if status.lower() in ("succeeded", "failed", "canceled"):
                return status.lower(), document.get("error")
            if not status and answer.status in (200, 204):
                return "succeeded", None
            pause = answer.wait_s or wait
            if self.clock.monotonic() + pause > end:
                raise CallFailedError(self.settings.scope, "Operations_Get", f"the operation still runs after {self.settings.max_wait:g} s")
            self.clock.sleep(pause)
            wait = min(2 * wait, POLL_MOST_S)

    def principal(self) -> str:
        """Return who the token says we are: an application's or a user's id; empty where it does not say."""
        claims = self._claims()
        return str(claims.get("upn") or claims.get("appid") or claims.get("oid") or "")

    def identities(self) -> frozenset[str]:
        """Return every name that the token has for us, in lower case. Raises CallFailedError."""
        claims = self._claims()
        return frozenset(str(claims[name]).lower() for name in ("upn", "appid", "oid") if claims.get(name))

    def _claims(self) -> Raw:
        """Return what the token says; nothing where it cannot be read."""
        try:
            token: str = self._sdk()[1].get_token(_scope(self.settings)).token
            claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        except (IndexError, binascii.Error, ValueError):
            return {}
        except Exception as error:
            raise self._meaning("GetToken", error) from error
        return claims if isinstance(claims, dict) else {}

    # --- one request -------------------------------------------------------------------------------------------------

    def _send(self, method: str, path: str, version: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        request = self._request(method, path, version, body)
        request.headers.update(headers or {})
        return self._sent(request, READ_TIMEOUT_S)

    def _request(self, method: str, path: str, version: str, body: object = None) -> Sdk:
        url = path if path.startswith("https://") else f"{self.settings.base}{path}"
        if version and "api-version=" not in url:
            url += f"{'&' if '?' in url else '?'}api-version={version}"
        extra: dict[str, Any] = {} if body is None else {"content": canonical(body), "headers": {"Content-Type": "application/json"}}
        return HttpRequest(method, url, **extra)

    def _sent(self, request: Sdk, read_timeout: float) -> Answer:
        writes, call = request.method != "GET", f"{request.method} {urlsplit(request.url).path}"
        drawn, pacer = limit(self.settings, write=writes), pacing(self.clock)
        pacer.take(drawn)
        try:
            response = self._sdk()[0].send_request(request, read_timeout=read_timeout)
            response.read()
            answer = Answer(int(response.status_code), _json(response), {key.lower(): value for key, value in response.headers.items()})
        except AdapterError:
            raise
        except Exception as error:  # whatever is no answer is a doubt
            raise self._meaning(call, error) from error
        if answer.status == 429:
            pacer.throttled(drawn, answer.wait_s or 0.0)
        left = answer.left(request.method)
        if left is not None:
            pacer.left(drawn, left - LEFT_MIN)
        if answer.status >= 300:
            raise self._refused(call, answer)
        if answer.document is _GARBLED:
            raise CallFailedError(self.settings.scope, call, "the answer is no JSON")
        return answer

    def _refused(self, call: str, answer: Answer) -> CallFailedError:
        """Say what an answer above 299 means. Decided by its code first; the class of an exception says less."""
        code, text = error_of(answer.document)
        sure = 400 <= answer.status < 500 and answer.status != 408
        failure = CallFailedError(self.settings.scope, call, text or f"status {answer.status}", code=code, answered=sure)
        failure.status, failure.wait_s = answer.status, answer.wait_s or 0.0
        failure.throttled = failure.throttled or answer.status == 429
        failure.retryable = failure.throttled or not sure
        return failure

    def _meaning(self, call: str, error: Exception) -> CallFailedError:
        """Say what an exception of the SDK means: never sent, or nobody knows."""
        never = isinstance(error, ClientAuthenticationError | ServiceRequestError | PermissionError)
        name = type(error).__name__
        words = str(error).partition("\n")[0] if isinstance(error, AzureError | PermissionError) else f"{name}: {error}"
        failure = CallFailedError(self.settings.scope, call, words, code=name if never else "", answered=never)
        failure.retryable = not never or isinstance(error, ServiceRequestError)
        return failure

    def _sdk(self) -> tuple[Sdk, Sdk]:
        with self._lock:
            if self._made is None:
                self._credential = _credential(self.settings)
                self._made = _client(self.settings, self._credential)
            return self._made, self._credential


_GARBLED = object()


def _json(response: Sdk) -> object:
    text = response.text()
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except ValueError:
        return _GARBLED


def error_of(document: object) -> tuple[str, str]:
    """Return code and message of an error, with or without its envelope; a code in the details says more than the outer one."""
    inner = document.get("error", document) if isinstance(document, dict) else None
    if not isinstance(inner, dict):
        return "", ""
    details = inner.get("details")
    nested = [one for one in details if isinstance(one, dict) and one.get("code")] if isinstance(details, list) else []
    code = str(nested[0]["code"]) if nested else str(inner.get("code") or "")
    return code, str(inner.get("message") or "")


def _scope(settings: AzureSettings) -> str:
    """Return what a token is asked for: sovereign clouds have a Resource Manager, and an audience, of their own."""
    return f"{PUBLIC if on_loopback(settings.base) else settings.base}/.default"


def _client(settings: AzureSettings, credential: Sdk) -> Sdk:
    """Make a client that sends each request once. TLS is verified: nothing here or in the settings can switch it off."""
    return NetworkManagementClient(
        credential,
        settings.subscription,
        base_url=settings.base,
        credential_scopes=[_scope(settings)],
        connection_verify=settings.ca_file or True,
        connection_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        per_retry_policies=[HostPin(settings.base)],
        retry_total=0,
        user_agent="cloudsync",
    )


logging.getLogger("azure").setLevel(logging.CRITICAL)
"""What goes wrong is said once, in our words; the SDK's own lines would stand beside them on a terminal."""


def _credential(settings: AzureSettings) -> Sdk:
    """Return the environment's service principal, else the SDK's own chain (workload identity, managed identity, az login)."""
    extra: dict[str, Any] = {}
    if settings.authority:
        extra = {"authority": settings.authority, "disable_instance_discovery": True}
    if settings.ca_file:
        extra["connection_verify"] = settings.ca_file
    tenant = settings.tenant or os.environ.get("AZURE_TENANT_ID", "")
    client, secret = os.environ.get("AZURE_CLIENT_ID", ""), os.environ.get("AZURE_CLIENT_SECRET", "")
    if client and "AZURE_CLIENT_SECRET" in os.environ and not secret:
        raise CallFailedError(settings.scope, "credentials", "AZURE_CLIENT_SECRET is set, and empty: fill or unset it", answered=True)
    if tenant and client and secret:
        return ClientSecretCredential(tenant, client, secret, retry_total=0, **extra)
    return DefaultAzureCredential(exclude_interactive_browser_credential=True, **extra)

"""The only place that knows the AWS SDK: sessions, clients, one call at a time, pages, and what a failed call means.

The SDK's own retries are off for every call: it would send a write again after a lost answer and report the echo as a refusal. Reads are
tried again here, on the injected clock. botocore is used without boto3, which adds nothing we need and a seventh of the start-up time.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import botocore
import botocore.exceptions as sdk
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, CredentialProvider, CredentialResolver, DeferredRefreshableCredentials
from botocore.loaders import Loader, create_loader
from botocore.session import Session

from cloudsync.adapter import Clock
from cloudsync.model.bucket import Limit
from cloudsync.model.errors import AdapterError
from cloudsync.model.quick import dataclass
from cloudsync.pacing import pacing
from cloudsync_aws.limits import AUTH_CODES, PAGE_SIZE, PAGES_MAX, READ_CALLS, THROTTLED_CODES, WRITE_CALLS
from cloudsync_aws.pacing import limit
from cloudsync_aws.parse import Raw
from cloudsync_aws.settings import AwsSettings, endpoint_allowed

READ_ATTEMPTS = 4
BACKOFF_FIRST_S, BACKOFF_MOST_S = 0.5, 8.0
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 5, 60
Sdk = Any
"""An object of the SDK, which publishes no types; an argument of one of its calls."""

ROLE_SESSION = "cloudsync"

_NEVER_SENT = (
    sdk.ParamValidationError,
    sdk.NoCredentialsError,
    sdk.PartialCredentialsError,
    sdk.CredentialRetrievalError,
    sdk.NoRegionError,
    sdk.ProfileNotFound,
    sdk.UnknownServiceError,
)
"""Failures that the SDK finds before anything leaves this machine."""


class CallFailedError(AdapterError):
    """One call that did not succeed. `answered`: it was refused, or never sent, so nothing was applied; else nobody knows."""

    def __init__(self, scope: str, call: str, reason: str, *, code: str = "", answered: bool = False) -> None:
        self.code, self.words, self.answered = code, reason, answered
        self.throttled = code in THROTTLED_CODES
        super().__init__(scope, call, f"{code}: {reason}" if code else reason, retryable=self.throttled or not answered)


@dataclass(slots=True)
class Client:
    """Calls to one account, in all its Regions. Thread-safe; nothing is sent before the first call."""

    settings: AwsSettings
    clock: Clock
    jitter: Callable[[], float] = random.random
    """A number in [0, 1): how much of each backoff is waited."""
    _session: Any = None
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, region: str, method: str, **arguments: Sdk) -> Raw:
        """Send one reading call, again if it was throttled or lost (at most READ_ATTEMPTS times). Raises CallFailedError."""
        action = READ_CALLS[method]
        for attempt in range(1, READ_ATTEMPTS + 1):
            try:
                return self._send(region, method, action, arguments)
            except CallFailedError as failure:
                if not failure.retryable or attempt == READ_ATTEMPTS:
                    raise
            self.clock.sleep(self.jitter() * min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2**attempt))
        raise AssertionError("the last attempt returns or raises")

    def pages(self, region: str, method: str, member: str, **arguments: Sdk) -> Iterator[Raw]:
        """Yield the elements of `member` over all pages. Any doubt about completeness raises CallFailedError."""
        action = READ_CALLS[method]
        seen: set[str] = set()
        request = {**arguments, "MaxResults": PAGE_SIZE[action]}
        for _ in range(PAGES_MAX):
            answer = self.read(region, method, **request)
            if not isinstance(answer.get(member), list):
                raise CallFailedError(self.settings.scope(region), action, f"the answer holds no {member}")
            yield from answer[member]
            token = answer.get("NextToken")
            if not token:
                return
            if token in seen:
                raise CallFailedError(self.settings.scope(region), action, f"the same page token came twice, after {len(seen) + 1} pages")
            seen.add(token)
            request["NextToken"] = token
        raise CallFailedError(self.settings.scope(region), action, f"more than {PAGES_MAX} pages")

    def delay(self, drawn: Limit) -> float:
        """Return the seconds until a bucket gives a token."""
        return pacing(self.clock).delay(drawn)

    def write(self, region: str, method: str, arguments: dict[str, Any]) -> Raw:
        """Send one writing call, exactly once. Raises CallFailedError."""
        return self._send(region, method, WRITE_CALLS[method], arguments)

    def allowed(self, region: str, method: str, arguments: dict[str, Any]) -> tuple[bool, str]:
        """Ask EC2 whether a writing call would be allowed, without making it: (verdict, EC2's words)."""
        try:
            self._send(region, method, WRITE_CALLS[method], {**arguments, "DryRun": True})
        except CallFailedError as failure:
            return failure.code == "DryRunOperation", failure.reason
        return False, "EC2 did not honour DryRun"

    def _send(self, region: str, method: str, action: str, arguments: dict[str, Any]) -> Raw:
        scope = self.settings.scope(region)
        drawn = limit(self.settings, region, action)
        pacing(self.clock).take(drawn)
        try:
            answer: Raw = getattr(self._client(_SERVICES.get(method, "ec2"), region), method)(**arguments)
        except AdapterError:
            raise
        except Exception as error:  # the SDK raises plain Exceptions too (an answer cut short)
            failure = _meaning(scope, action, error)
            if failure.throttled:
                pacing(self.clock).throttled(drawn)
            raise failure from error
        return answer

    def _client(self, service: str, region: str) -> Sdk:
        with self._lock:  # the SDK makes one client at a time; each of them may then be used by all threads
            known = self._clients.get((service, region))
            if known is None:
                if self._session is None:
                    self._session = _session(self.settings)
                known = _make(self._session, self.settings, service, region)
                self._clients[service, region] = known
            return known


_OPERATIONS = tuple(dict.fromkeys((*READ_CALLS.values(), *WRITE_CALLS.values())))
_SERVICES = {"get_caller_identity": "sts", "get_service_quota": "service-quotas", "lookup_events": "cloudtrail"}
_MODELS = ("ec2", *_SERVICES.values())


def _make(session: Sdk, settings: AwsSettings, service: str, region: str, **credentials: Sdk) -> Sdk:
    """Make a client that sends each request once. TLS is verified: nothing here or in the settings can switch it off."""
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": 1},
        max_pool_connections=16,
        user_agent_extra="cloudsync",
    )
    made = session.create_client(service, region_name=region, endpoint_url=settings.endpoint or None, config=config, **credentials)
    url = str(made.meta.endpoint_url)
    if not endpoint_allowed(url):
        # A target's endpoint was checked with the settings; this one comes from AWS_ENDPOINT_URL or the AWS configuration.
        raise CallFailedError(settings.scope(region), service, f"endpoint {url} is neither https nor on this machine", answered=True)
    return made


def kept(operations: Iterable[str]) -> Path:
    """Return where the part of EC2's model with some operations is kept: for these, and for this version of the SDK, alone."""
    names = sha256(" ".join(sorted(operations)).encode()).hexdigest()[:8]
    return Path(sys.prefix) / "share" / "cloudsync" / f"botocore-{botocore.__version__}-{names}"


MODELS = kept(_OPERATIONS)
"""Where the part that we use is looked for first; `cloudsync_aws.models` writes it."""


@cache
def _loader(data_path: str | None) -> Sdk:
    """Return what loads the SDK's models, one for all sessions of the process: EC2's is large.

    Left as it is, the SDK searches four hundred folders for the names of all services, twice, and makes a method for each of EC2's 800
    operations. We use four services, and of EC2 what `limits` lists. Whoever brings models of their own gets those.
    """
    ours = MODELS.is_dir() and not (Path(Loader.CUSTOMER_DATA_PATH) / "ec2").exists()
    loader = create_loader(data_path or (str(MODELS) if ours else None))
    load = loader.load_service_model

    def lean(service: str, kind: str, api_version: str | None = None) -> Sdk:
        model = load(service, kind, api_version)
        if service == "ec2" and kind == "service-2":
            model["operations"] = {name: model["operations"][name] for name in _OPERATIONS if name in model["operations"]}
        return model

    loader.list_available_services = lambda _type_name: list(_MODELS)
    loader.load_service_model = lean
    return loader


def part_of_ec2() -> tuple[str, dict[str, Sdk]]:
    """Return the name of EC2's model for the SDK's loader, and of the model the operations that we use with all that they refer to."""
    loader = create_loader()
    name = f"ec2/{loader.determine_latest_version('ec2', 'service-2')}/service-2"
    model: dict[str, Sdk] = dict(loader.load_data(name))
    model["operations"] = {one: model["operations"][one] for one in _OPERATIONS if one in model["operations"]}
    shapes: dict[str, Sdk] = {}
    todo = list(_shapes(model["operations"]))
    while todo:
        shape = todo.pop()
        if shape not in shapes:
            shapes[shape] = model["shapes"][shape]
            todo.extend(_shapes(shapes[shape]))
    model["shapes"] = {shape: shapes[shape] for shape in sorted(shapes)}
    return name, model


def _shapes(found: Sdk) -> Iterator[str]:
    """Yield the names of all shapes that a piece of a model refers to."""
    if isinstance(found, dict):
        if isinstance(found.get("shape"), str):
            yield found["shape"]
        found = list(found.values())
    if isinstance(found, list):
        for one in found:
            yield from _shapes(one)


def _bare(settings: AwsSettings) -> Sdk:
    session = Session(profile=settings.profile or None)
    session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    return session


def _session(settings: AwsSettings) -> Sdk:
    base = _bare(settings)
    if not settings.role_arn:
        return base
    session = _bare(settings)
    session.register_component("credential_provider", CredentialResolver([_AssumedRole(base, settings)]))
    return session


class _AssumedRole(CredentialProvider):  # type: ignore[misc]  # the SDK publishes no types
    """Credentials of the settings' role, assumed with those of the base session and renewed before they expire."""

    METHOD = "assume-role"

    def __init__(self, base: Sdk, settings: AwsSettings) -> None:
        super().__init__()
        self._base, self._settings = base, settings

    def load(self) -> Sdk:
        """Return credentials that are fetched at the first call."""
        source = self._base.get_credentials()
        if source is None:
            return None
        extra = {"RoleSessionName": ROLE_SESSION}
        if self._settings.external_id:
            extra["ExternalId"] = self._settings.external_id
        fetcher = AssumeRoleCredentialFetcher(self._sts, source, self._settings.role_arn, extra_args=extra)
        return DeferredRefreshableCredentials(fetcher.fetch_credentials, self.METHOD)

    def _sts(self, service: str, **credentials: Sdk) -> Sdk:
        return _make(self._base, self._settings, service, self._settings.regions[0], **credentials)


def _meaning(scope: str, action: str, error: Exception) -> CallFailedError:
    """Say what an exception of the SDK means: refused, or unknown. Only what is surely a refusal counts as one."""
    if isinstance(error, _NEVER_SENT):
        return CallFailedError(scope, action, str(error), code=type(error).__name__, answered=True)
    if not isinstance(error, sdk.ClientError):
        return CallFailedError(scope, action, f"{type(error).__name__}: {error}")
    body = error.response.get("Error") or {}
    status = int((error.response.get("ResponseMetadata") or {}).get("HTTPStatusCode") or 0)
    code, text = str(body.get("Code") or ""), str(body.get("Message") or "no message")
    refused = 400 <= status < 500 and code not in ("", "Unknown", "RequestTimeout", str(status))
    return CallFailedError(scope, action, text, code=code, answered=refused or code in THROTTLED_CODES or code in AUTH_CODES)

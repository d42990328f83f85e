"""The one tree of exceptions. A user's mistake carries findings; a platform's failure carries the point and the call."""

from __future__ import annotations

from collections.abc import Iterable

from cloudsync.model.finding import Finding


class CloudsyncError(Exception):
    """Root of everything this project raises on purpose."""


class InputError(CloudsyncError):
    """The input is wrong: exit code 3, nothing was contacted or written."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings: tuple[Finding, ...] = tuple(findings)
        super().__init__("\n".join(map(str, self.findings)))


class SettingsError(InputError):
    """cloudsync.yaml or a command line argument is wrong."""


class PolicyError(InputError):
    """A policy or inventory file is wrong."""


class RefusedError(CloudsyncError):
    """A precondition or a guard said no: exit code 4 (75 when another run holds the lock)."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        self.code, self.message, self.hint = code, message, hint
        super().__init__(f"{code} {message}" + (f"; {hint}" if hint else ""))


class BusyError(RefusedError):
    """Another run holds the lock: exit code 75."""


class AdapterError(CloudsyncError):
    """A platform could not be read or written: exit code 5."""

    def __init__(self, point: str, call: str, reason: str, *, retryable: bool = False) -> None:
        self.point, self.call, self.reason, self.retryable = point, call, reason, retryable
        super().__init__(f"{point}: {call} failed: {reason}")

"""How many calls are let through: the gateway's buckets, and the windows of the network provider."""

from __future__ import annotations

import math

from ..clock import LabClock
from ..kit.buckets import Buckets, Size
from ..kit.faults import Json
from .calls import Call
from .errors import ArmError
from .identity import Principal
from .names import NETWORK

GATEWAY = {"reads": Size(250, 25), "writes": Size(200, 10), "deletes": Size(200, 10)}
GLOBAL_FACTOR = 15
"""The subscription as a whole may do so many times as much as one principal."""
WINDOW_S = 300.0
PROVIDER = {"reads": 10_000, "changes": 1_000}
"""Calls to Microsoft.Network per subscription and five minutes."""
_KINDS = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}


class Throttle:
    """Off until it is switched on; the headers with what is left are always there."""

    def __init__(self, clock: LabClock) -> None:
        self.clock = clock
        self.buckets = Buckets(clock)
        self._windows: dict[tuple[str, str], tuple[float, int]] = {}

    def reset(self) -> None:
        """Full, and off."""
        self.buckets.enabled, self.buckets.scale = False, 1.0
        self._refill()

    def _refill(self) -> None:
        self.buckets.refill()
        self._windows.clear()

    def change(self, given: Json) -> Json:
        """The control verb: {enabled, scale}."""
        if given:
            self.buckets.enabled = bool(given.get("enabled", True))
            self.buckets.scale = float(given.get("scale", self.buckets.scale))
            self._refill()
        return {"enabled": self.buckets.enabled, "scale": self.buckets.scale}

    def take(self, call: Call, principal: Principal | None) -> dict[str, str]:
        """Count a call; return the headers that say what is left. ArmError 429 when nothing is."""
        if call.path is None or principal is None:
            return {}
        kind = _KINDS.get(call.method, "writes")
        subscription = call.path.subscription.lower()
        size = GATEWAY[kind]
        own, whole = (subscription, principal.client_id, kind), (subscription, "*", kind)
        everybody = Size(size.capacity * GLOBAL_FACTOR, size.refill * GLOBAL_FACTOR)
        for key, most in ((own, size), (whole, everybody)):
            wait = self.buckets.take(key, most)
            if wait is not None:
                text = (
                    f"Number of requests for subscription '{subscription}' and operation '{_operation(call)}' exceeded the backend storage "
                    f"limit. Please try again after '{math.ceil(wait)}' seconds."
                )
                raise ArmError(429, "SubscriptionRequestsThrottled", text, headers={"Retry-After": str(math.ceil(wait))})
        if call.path.provider == NETWORK:
            self._window(subscription, "reads" if kind == "reads" else "changes")
        return {
            f"x-ms-ratelimit-remaining-subscription-{kind}": str(self.buckets.level(own, size)),
            f"x-ms-ratelimit-remaining-subscription-global-{kind}": str(self.buckets.level(whole, everybody)),
        }

    def _window(self, subscription: str, kind: str) -> None:
        if not self.buckets.enabled:
            return
        now = self.clock.now()
        begun, used = self._windows.get((subscription, kind), (now, 0))
        if now >= begun + WINDOW_S:
            begun, used = now, 0
        if used >= PROVIDER[kind] * self.buckets.scale:
            wait = math.ceil(begun + WINDOW_S - now)
            text = (
                f"Operation exceeded throttling limit of {PROVIDER[kind] * self.buckets.scale:.0f} calls within last 5 minutes. "
                f"The number of calls exceeds {NETWORK} throttling limit. The call can be retried in {wait} seconds."
            )
            raise ArmError(429, "TooManyRequests", text, headers={"Retry-After": str(wait)})
        self._windows[subscription, kind] = (begun, used + 1)


def _operation(call: Call) -> str:
    """A call as the gateway names it: the method and the kinds in its path."""
    types = "/".join(call.path.types) if call.path is not None else ""
    scope = "/RESOURCEGROUPS" if call.path is not None and call.path.group is not None else ""
    provider = f"/PROVIDERS/{call.path.provider}" if call.path is not None and call.path.provider is not None else ""
    return f"{call.method}/SUBSCRIPTIONS{scope}{provider}/{types}".upper().rstrip("/")

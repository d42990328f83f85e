"""The lab's control interface: the side inside the server, and the client for everybody else."""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .aws import faults
from .aws.estate import build
from .aws.native import Json
from .aws.refusal import Refusal
from .aws.shim import Shim
from .http import Answer, Request
from .sites import Sites
from .state import SITES

PREFIX = "/_lab/"
TOKEN_HEADER = "x-cloudsync-lab"
JSON = {"Content-Type": "application/json"}


@dataclass(slots=True)
class Control:
    """Answers /_lab/ requests."""

    shim: Shim
    beside: Sites
    token: str
    estate: str
    seed: int
    stop: Callable[[], None]

    def answer(self, request: Request) -> Answer:
        """Run one control request; only who has read lab.json knows the token."""
        if request.headers.get(TOKEN_HEADER) != self.token:
            return _json(403, {"error": f"header {TOKEN_HEADER} does not hold the token of lab.json"})
        site, _, name = request.path.removeprefix(PREFIX).rpartition("/")
        try:
            given = json.loads(request.body) if request.body else None
            if site:
                return self._of_site(site, name, given)
            verb = getattr(self, f"_{name}", None) if name in _VERBS else None
            if verb is None:
                return _json(404, {"error": f"no control verb {name!r}; there are: {', '.join(sorted(_VERBS))}"})
            return _json(200, verb(given))
        except (ValueError, KeyError, TypeError, AttributeError, Refusal) as error:
            return _json(400, {"error": str(error)})

    def _of_site(self, site: str, verb: str, given: Json) -> Answer:
        """`/_lab/SITE/VERB`: a vendor beside AWS answers for itself."""
        found = self.beside.sites.get(site)
        if found is None:
            return _json(404, {"error": f"no vendor {site!r}; there are: {', '.join(sorted(self.beside.sites))}"})
        if verb not in found.verbs():
            return _json(404, {"error": f"no control verb {verb!r} at {site}; there are: {', '.join(sorted(found.verbs()))}"})
        return _json(200, found.ask(verb, given))

    def _health(self, _given: Json) -> Json:
        return {"ok": True, "estate": self.estate, "seed": self.seed}

    def _faults(self, given: Json) -> Json:
        """None reads; a list replaces all; one object adds one."""
        with self.shim.lock:
            if isinstance(given, list):
                self.shim.faults.plan = [faults.of_json(each) for each in given]
            elif given is not None:
                self.shim.faults.plan.append(faults.of_json(given))
            return [
                {"action": each.action, "kind": each.kind.value, "seen": each.seen, "fired": each.fired, "spent": each.spent}
                for each in self.shim.faults.plan
            ]

    def _calls(self, given: Json) -> Json:
        with self.shim.lock:
            counts = dict(self.shim.journal.counts)
            if given and given.get("clear"):
                self.shim.journal.clear()
            return counts

    def _log(self, given: Json) -> Json:
        wanted = given or {}
        with self.shim.lock:
            found = [
                entry.as_json()
                for entry in self.shim.journal.entries
                if (wanted.get("reads") or entry.mutating) and entry.sequence > int(wanted.get("after", 0))
            ]
            if wanted.get("clear"):
                self.shim.journal.clear()
            return found

    def _clock(self, given: Json) -> Json:
        clock = self.shim.world.clock
        for name, value in (given or {}).items():
            match name:
                case "mode" if value == "manual":
                    clock.freeze()
                case "mode" if value == "real":
                    clock.thaw()
                case "advance":
                    clock.advance(float(value))
                case _:
                    raise ValueError(f"clock: {name}={value!r}: want mode=manual|real or advance=SECONDS")
        return {"now": clock.now()}

    def _quotas(self, given: Json) -> Json:
        wanted = dict(given or {})
        account = wanted.pop("account", self.shim.accounts.main)
        region = wanted.pop("region", self.shim.default_region)
        with self.shim.lock:
            quotas = self.shim.world.book(account, region).quotas
            if "list_counts_in_both_families" in wanted:
                quotas.list_counts_in_both_families = bool(wanted.pop("list_counts_in_both_families"))
            for name, value in wanted.items():
                quotas.change(name, int(value))
            from .aws.quota import KNOWN

            return {each.name: quotas.value(each.name) for each in KNOWN}

    def _buckets(self, given: Json) -> Json:
        buckets = self.shim.buckets
        if given:
            buckets.enabled = bool(given.get("enabled", True))
            buckets.scale = float(given.get("scale", buckets.scale))
            buckets.refill()
        return {"enabled": buckets.enabled, "scale": buckets.scale}

    def _settings(self, given: Json) -> Json:
        settings = self.shim.world.settings
        for name, value in (given or {}).items():
            if name not in ("list_settle_reads", "unpaged_limit"):
                raise ValueError(f"no lab setting {name!r}")
            setattr(settings, name, None if value is None else int(value))
        return {"list_settle_reads": settings.list_settle_reads, "unpaged_limit": settings.unpaged_limit}

    def _act(self, given: Json) -> Json:
        """One EC2 action by a third party, past all faults."""
        body = self.shim.act(
            given["action"],
            given.get("params", {}),
            account=given.get("account"),
            region=given.get("region"),
            by=given.get("by", "third party"),
        )
        return {"xml": body}

    def _held(self, _given: Json) -> Json:
        return [{"id": hold.hold_id, "action": hold.action, "moment": hold.moment} for hold in list(self.shim.carrier.holds.values())]

    def _release(self, given: Json) -> Json:
        return {"released": self.shim.carrier.release(drop=bool((given or {}).get("drop")))}

    def _reset(self, given: Json) -> Json:
        """Empty the cloud, faults and counters, and build an estate again."""
        wanted = given or {}
        self.estate = wanted.get("estate", self.estate)
        self.seed = int(wanted.get("seed", self.seed))
        with self.shim.lock:
            restart(self.shim, self.estate, self.seed)
        self.beside.reset(self.estate, self.seed)
        return {"estate": self.estate, "seed": self.seed}

    def _stop(self, _given: Json) -> Json:
        self.stop()
        return {"stopping": True}


_VERBS = frozenset(
    {"health", "faults", "calls", "log", "clock", "quotas", "buckets", "settings", "act", "held", "release", "reset", "stop"}
)


def restart(shim: Shim, estate: str, seed: int) -> None:
    """A fresh vendor with one estate; the same seed gives the same ids."""
    from moto.core.base_backend import BackendDict
    from moto.core.model_instances import reset_model_data
    from moto.moto_api._internal import mock_random

    # moto's own reset builds every backend anew before it throws it away; forgetting them is the same and costs nothing.
    used: Json = BackendDict
    for backends in list(used._instances):
        backends.clear()
    reset_model_data()
    mock_random.seed(seed)
    shim.faults.plan.clear()
    shim.carrier.reset()
    shim.buckets.enabled = False
    shim.buckets.refill()
    shim.world.clock.thaw()
    shim.world.forget()
    build(shim, estate)
    shim.journal.clear()
    shim.journal.sequence = 0


def _json(status: int, values: Json) -> Answer:
    return Answer(status, json.dumps(values).encode(), JSON)


class ControlError(Exception):
    """The lab refused a control request, or is not there."""


@dataclass(frozen=True, slots=True)
class ControlClient:
    """Speaks to a running lab."""

    endpoint: str
    token: str

    def ask(self, verb: str, given: Json = None, *, site: str = "") -> Json:
        """One control request, to AWS and the lab itself or to another vendor; ControlError with the lab's own words."""
        body = None if given is None else json.dumps(given).encode()
        path = f"{site}/{verb}" if site else verb
        request = urllib.request.Request(  # noqa: S310 (the endpoint is http on loopback, from lab.json)
            f"{self.endpoint}{PREFIX}{path}", data=body, headers={TOKEN_HEADER: self.token, **JSON}, method="POST" if body else "GET"
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise ControlError(str(json.loads(error.read() or b"{}").get("error", error))) from None
        except OSError as error:
            raise ControlError(f"no answer from {self.endpoint}: {error}") from None

    def fault(self, action: str, kind: str, *, site: str = "", **options: Json) -> None:
        """Add one fault."""
        self.ask("faults", {"action": action, "kind": kind, **options}, site=site)

    def no_faults(self) -> None:
        """Remove all faults, of every vendor."""
        for site in ("", *SITES):
            with contextlib.suppress(ControlError):
                self.ask("faults", [], site=site)

    def calls(self, *, clear: bool = False, site: str = "") -> dict[str, int]:
        """Calls per operation (`service:Action` of AWS) as counted at the wire."""
        found: dict[str, int] = self.ask("calls", {"clear": clear}, site=site)
        return found

    def log(self, *, reads: bool = False, after: int = 0, site: str = "") -> list[dict[str, Json]]:
        """Every mutating call (or every call) in order, with params, outcome and whether it took effect."""
        found: list[dict[str, Json]] = self.ask("log", {"reads": reads, "after": after}, site=site)
        return found

    def reset(self, estate: str = "empty", seed: int = 1) -> None:
        """Empty the cloud and build an estate."""
        self.ask("reset", {"estate": estate, "seed": seed})

    def act(self, action: str, params: Mapping[str, Json], **where: str) -> str:
        """One EC2 action by a third party; parameter names as on the wire (Filter, GroupId, IpPermissions...)."""
        return str(self.ask("act", {"action": action, "params": params, **where})["xml"])

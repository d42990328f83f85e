"""Azure as a site of the lab: servers, the gate before them, and the control verbs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..http import Answer, Request, Server
from ..kit import tls
from ..kit.faults import Fault, Json, Kind
from ..kit.gate import Gate
from ..kit.journal import Entry
from . import activity, flows, operations, planting
from .arm import Arm
from .calls import Call, understand
from .errors import ArmError, Reply
from .estate import build
from .identity import Directory, Grant, Principal
from .listing import page_number
from .names import NETWORK
from .packets import flow_from, verdict
from .throttle import Throttle
from .turn import document_of
from .world import World

SUBSCRIPTION = "5c0d5e9a-0b7e-4c55-9d10-3f1c5a2b7e01"
SECOND_SUBSCRIPTION = "5c0d5e9a-0b7e-4c55-9d10-3f1c5a2b7e02"
TENANT = "7e0f1c2d-3b4a-4958-8677-8695a4b3c2d1"
GROUP = "rg-cloudsync"
_CLIENTS = (
    ("cloudsync", "11111111-2222-4333-8444-000000000001", "lab-secret-of-cloudsync"),
    ("reader", "11111111-2222-4333-8444-000000000002", "lab-secret-of-reader"),
    ("stranger", "11111111-2222-4333-8444-000000000003", "lab-secret-of-stranger"),
)
_VERBS = frozenset({
    "faults", "calls", "log", "held", "release", "clock", "quotas", "buckets", "settings", "act", "state", "verdict", "principals",
    "protect",     "plant", "gateway", "lag", "finish", "connect", "flows", "token",
})  # fmt: skip


class Site:
    """Azure on loopback: one server for Azure Resource Manager, one for Entra, both with certificates of the lab's CA."""

    name = "azure"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = World()
        self.directory = Directory(TENANT, self.world.clock)
        self.arm = Arm(self.world, self.directory)
        self.throttle = Throttle(self.world.clock)
        self.gate = Gate(self)
        self.ca_file = folder / "ca.pem"
        self._servers: list[Server] = []

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open both servers."""
        authority = tls.authority(self.folder)
        self.ca_file = authority.ca_file
        arm = Server(0, self.answer, authority.server("management"))
        entra = Server(0, self._entra, authority.server("login"))
        self.arm.base, self.directory.base = arm.url, entra.url
        self._servers = [arm, entra]
        for server in self._servers:
            server.start()
        self.reset("empty", 1)

    def stop(self) -> None:
        """Close both servers."""
        self.gate.release(drop=True)
        for server in self._servers:
            server.shutdown()
            server.server_close()
        self._servers.clear()

    def reset(self, estate: str, seed: int) -> None:
        """Empty the world and build an estate."""
        with self.gate.lock:
            self.world.forget(seed)
            self.world.subscriptions = {SUBSCRIPTION: "cloudsync lab", SECOND_SUBSCRIPTION: "cloudsync lab, second"}
            self.throttle.reset()
            self._grant_all()
            self.gate.reset()
            self.act_ok("PUT", f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}", {"location": "westeurope"})
            build(self, estate, f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}", f"/subscriptions/{SECOND_SUBSCRIPTION}")
            self.gate.journal.clear()
            self.gate.journal.sequence = 0
            self.world.activity.clear()

    def _grant_all(self) -> None:
        roles = {"cloudsync": ("*",), "reader": ("*/read",), "stranger": ("*",)}
        self.directory.principals = {
            client_id: Principal(client_id, client_id.replace("11111111", "99999999"), secret, (
                Grant(f"/subscriptions/{SUBSCRIPTION}", roles[name]), Grant(f"/subscriptions/{SECOND_SUBSCRIPTION}", roles[name]),
            ))
            for name, client_id, secret in _CLIENTS
        }  # fmt: skip

    def section(self) -> Json:
        """This vendor's part of lab.json."""
        _, client_id, secret = _CLIENTS[0]
        return {
            "endpoint": self.arm.base,
            "authority": self.directory.base,
            "subscription": SUBSCRIPTION,
            "tenant": TENANT,
            "client_id": client_id,
            "client_secret": secret,
            "ca_file": str(self.ca_file),
            "resource_group": GROUP,
            "subscriptions": list(self.world.subscriptions) or [SUBSCRIPTION, SECOND_SUBSCRIPTION],
            "principals": {name: {"client_id": one, "client_secret": kept} for name, one, kept in _CLIENTS},
        }

    # --- requests ---------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Answer:
        """Answer one request to Azure Resource Manager."""
        call = understand(request.method, request.path, request.query, request.headers, request.body)
        mutating = call.method not in ("GET", "HEAD")
        where = call.path.text if call.path is not None else call.raw_path
        entry = Entry(call.operation, where, mutating, _body(request.body) if mutating else None, call.raw_path)
        for name in ("if-match", "authorization"):
            if name in call.headers:
                entry.notes[name] = call.headers[name] if name == "if-match" else "present"
        return self.gate.carry(entry, lambda one, faults: self._perform(call, one, faults), page=page_number(self.world, call))

    def _perform(self, call: Call, entry: Entry, faults: tuple[Fault, ...]) -> Answer:
        try:
            principal = self.directory.bearer(call.headers.get("authorization")) if _asks_who(call) else None
            left = self.throttle.take(call, principal)
            reply = self.arm.handle(call, faults)
        except ArmError as error:
            entry.code = error.code
            return self._refused(error, call)
        entry.applied = entry.mutating and reply.status < 300 and reply.status != 204
        activity.record(self.world, call, reply, principal or activity.ADMINISTRATOR)
        document = reply.document
        if any(fault.kind is Kind.IDENTITY for fault in faults) and isinstance(document, dict):
            document = _somebody_else(document)
        return self._answered(replace_document(reply, document), left)

    def _refused(self, error: ArmError, call: Call) -> Answer:
        from_network = call.path is not None and call.path.provider == NETWORK and error.code not in _OF_THE_GATEWAY
        body = error.body(bare=self.world.switches.error_body == "bare", from_network=from_network)
        headers = self._common() | error.headers
        if not from_network:
            headers["x-ms-failure-cause"] = "gateway"
        return Answer(error.status, json.dumps(body).encode(), headers)

    def _answered(self, reply: Reply, left: Mapping[str, str]) -> Answer:
        headers = {**self._common(), **left, **reply.headers}
        if reply.document is None:
            headers.pop("Content-Type")
            return Answer(reply.status, b"", headers)
        return Answer(reply.status, json.dumps(reply.document).encode(), headers)

    def _common(self) -> dict[str, str]:
        number = self.world.request_id()
        return {
            "Content-Type": "application/json; charset=utf-8",
            "Cache-Control": "no-cache",
            "x-ms-request-id": number,
            "x-ms-correlation-request-id": number,
        }

    def _entra(self, request: Request) -> Answer:
        mutating = request.path.rstrip("/").endswith("/token")
        entry = Entry("Token_Post" if mutating else "OpenIdConfiguration_Get", request.path, False, None, request.path)

        def perform(one: Entry, _faults: tuple[Fault, ...]) -> Answer:
            found = self.directory.answer(request)
            one.code = None if found.status < 300 else str(found.status)
            return found

        return self.gate.carry(entry, perform)

    # --- what the gate asks -----------------------------------------------------------------------------------------

    def refuse(self, fault: Fault, entry: Entry) -> Answer:
        """The vendor's own answer for a fault."""
        options = fault.options
        headers = self._common()
        match fault.kind:
            case Kind.REDIRECT:
                return Answer(307, b"", {"Location": f"{options.get('to', 'https://127.0.0.1:1')}{entry.path}"})
            case Kind.THROTTLE:
                headers["Retry-After"] = str(options.get("retry_after", 1))
                error = ArmError(429, str(options.get("code", "TooManyRequests")), "The request is being throttled.")
            case Kind.UNAVAILABLE:
                error = ArmError(503, "ServiceUnavailable", "The service is temporarily unavailable.")
            case Kind.ERROR500 | Kind.LOST:
                error = ArmError(500, "InternalServerError", "An error occurred.")
            case Kind.DENIED:
                error = ArmError(
                    403, "AuthorizationFailed", f"The client does not have authorization to perform the action over scope '{entry.scope}'."
                )
            case Kind.EXPIRED:
                error = self.directory.expired(self.directory.now() - 1)
            case _:
                error = ArmError(
                    int(options.get("status", 400)), str(options.get("code", "BadRequest")), str(options.get("message", "Refused."))
                )
        entry.code = error.code
        body = error.body(bare=self.world.switches.error_body == "bare", from_network=True)
        return Answer(error.status, json.dumps(body).encode(), headers | error.headers)

    def edit(self, call: Json) -> None:
        """A third party does something."""
        self.act(call)

    # --- third parties ----------------------------------------------------------------------------------------------

    def act(self, given: Json) -> Json:
        """One request past all faults; returns {status, body}. `as`: a client id whose permissions count; `caller`: who the log names."""
        body = given.get("body")
        method, path, query = str(given["method"]).upper(), str(given["path"]), str(given.get("query", ""))
        if "?" in path:
            path, _, query = path.partition("?")
        if "api-version" not in query:
            query = f"api-version={given.get('api_version', '2025-07-01')}" + (f"&{query}" if query else "")
        headers = {str(name).lower(): str(value) for name, value in given.get("headers", {}).items()}
        with self.gate.lock:
            call = understand(method, path, query, headers, b"" if body is None else json.dumps(body).encode())
            mutating = method not in ("GET", "HEAD")
            entry = Entry(
                call.operation, call.path.text if call.path else path, mutating, body, path, by=str(given.get("by", "third party"))
            )
            self.gate.journal.begin(entry)
            by = self._principal(str(given["as"])) if "as" in given else None
            running = set(self.world.operations)
            try:
                reply = self.arm.handle(call, (), trusted=True, by=by)
                status, document = reply.status, reply.document
                entry.applied = mutating and status != 204
                activity.record(self.world, call, reply, str(given.get("caller", "")) or by or activity.ADMINISTRATOR)
            except ArmError as error:
                entry.code = error.code
                status, document = error.status, error.body(bare=False, from_network=True)
            entry.status = status
            if given.get("finish", True):
                operations.finish_all(self.world, but=running)
            return {"status": status, "body": document}

    def act_ok(self, method: str, path: str, body: Json = None) -> Json:
        """One request of the estate's builder, which must work."""
        done = self.act({"method": method, "path": path, "body": body, "by": "estate"})
        if done["status"] >= 300:
            raise ValueError(f"{method} {path}: {done['body']}")
        return done["body"]

    # --- control ----------------------------------------------------------------------------------------------------

    def verbs(self) -> frozenset[str]:
        """Every control verb."""
        return _VERBS

    def ask(self, verb: str, given: Json) -> Json:
        """Answer one control request."""
        if verb not in _VERBS:
            raise KeyError(verb)
        own = getattr(self, f"_ask_{verb}", None)
        if own is None:
            return self.gate.ask(verb, given)
        with self.gate.lock:
            return own({} if given is None else given)

    def _ask_clock(self, given: Json) -> Json:
        clock = self.world.clock
        for name, value in given.items():
            match name:
                case "mode" if value == "manual":
                    clock.freeze()
                case "mode" if value == "real":
                    clock.thaw()
                case "advance":
                    clock.advance(float(value))
                case _:
                    raise ValueError(f"clock: {name}={value!r}: want mode=manual|real or advance=SECONDS")
        operations.settle(self.world)
        return {"now": clock.now()}

    def _ask_quotas(self, given: Json) -> Json:
        self.world.limits.change(given)
        return self.world.limits.shown()

    def _ask_buckets(self, given: Json) -> Json:
        return self.throttle.change(given)

    def _ask_settings(self, given: Json) -> Json:
        self.world.switches.change(given)
        return self.world.switches.shown()

    def _ask_act(self, given: Json) -> Json:
        return self.act(given)

    def _ask_state(self, given: Json) -> Json:
        version = str(given.get("api_version", "2025-07-01"))
        return {
            "resources": [document_of(self.world, each, version) for each in self.world.resources.values()],
            "settled": {each.id: each.settled for each in self.world.resources.values() if each.path.types == ("networkSecurityGroups",)},
            "operations": [
                {"id": each.operation_id, "target": each.target, "status": each.status.value} for each in self.world.operations.values()
            ],
        }

    def _ask_verdict(self, given: Json) -> Json:
        return verdict(self.world, flow_from(given))

    def _ask_connect(self, given: Json) -> Json:
        return flows.connect(self.world, given)

    def _ask_flows(self, _given: Json) -> Json:
        return flows.shown(self.world)

    def _ask_finish(self, given: Json) -> Json:
        operations.finish_all(self.world, stuck=bool(given.get("stuck")))
        return {"finished": True}

    def _principal(self, wanted: str) -> Principal:
        """By client id, or by the name it has in lab.json. ValueError for anybody else."""
        known = {name: client_id for name, client_id, _ in _CLIENTS}
        found = self.directory.principals.get(known.get(wanted, wanted))
        if found is None:
            raise ValueError(f"no principal {wanted!r}; there are: {', '.join(known)}")
        return found

    def _ask_principals(self, given: Json) -> Json:
        """Change what one may do: {client_id, grants: [{scope?, actions, not_actions?}]}; `reader` stands for its client id."""
        if given:
            principal = self._principal(str(given["client_id"]))
            principal.grants = tuple(
                Grant(str(each.get("scope", f"/subscriptions/{SUBSCRIPTION}")), tuple(each["actions"]), tuple(each.get("not_actions", ())))
                for each in given["grants"]
            )
        return {each.client_id: [grant.shown() for grant in each.grants] for each in self.directory.principals.values()}

    def _ask_token(self, given: Json) -> Json:
        """Set how long new tokens live (`lifetime_s`), or make all that exist worthless (`revoke`)."""
        self.directory.lifetime_s = int(given.get("lifetime_s", self.directory.lifetime_s))
        if given.get("revoke"):
            self.directory.revoke()
        return {"lifetime_s": self.directory.lifetime_s}

    def _ask_protect(self, given: Json) -> Json:
        return planting.protect(self.world, given)

    def _ask_plant(self, given: Json) -> Json:
        return planting.plant(self.world, given)

    def _ask_gateway(self, given: Json) -> Json:
        return planting.gateway(self.world, given)

    def _ask_lag(self, given: Json) -> Json:
        return planting.lag(self.world, given)


_OF_THE_GATEWAY = frozenset({
    "ResourceNotFound", "ResourceGroupNotFound", "SubscriptionNotFound", "AuthorizationFailed", "LinkedAuthorizationFailed",
    "LocationRequired",
    "MissingApiVersionParameter", "InvalidApiVersionParameter", "InvalidResourceLocation", "InvalidRequestContent",
    "AuthenticationFailed",
    "InvalidAuthenticationToken", "ExpiredAuthenticationToken", "InvalidAuthenticationTokenAudience", "InvalidResourceType",
})  # fmt: skip


def _asks_who(call: Call) -> bool:
    return call.raw_path.strip("/").lower() != "metadata/endpoints"


def _body(raw: bytes) -> Json:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return raw.decode("utf-8", "replace")


def replace_document(reply: Reply, document: Json) -> Reply:
    """The same answer with another document."""
    return reply if document is reply.document else replace(reply, document=document)


def _somebody_else(document: Json) -> Json:
    """The answer of another subscription and tenant."""
    text = (
        json.dumps(document)
        .replace(SUBSCRIPTION, "00000000-dead-4000-8000-000000000001")
        .replace(TENANT, "00000000-dead-4000-8000-00000000000f")
    )
    return json.loads(text)

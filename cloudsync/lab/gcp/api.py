"""One request: who calls, what they may, what they want, what is wrong with it, and the answer."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from ..http import Answer, Request
from ..kit.faults import Fault, Json, Kind
from ..kit.gate import RESET, Gate
from ..kit.journal import Entry
from . import logs, schema
from .call import Call, Principal
from .listing import refuse_unknown
from .operations import repeated, seconds_to_wait
from .permissions import holds
from .refusal import HEADERS, ComputeError, Extra, forbidden, invalid, not_found, rate_limited, shown, unauthenticated
from .routes import COMPUTE, Route, route_of
from .tokens import Tokens
from .windows import METRICS, Windows
from .world import REGIONS, ZONES, Object, World

_NOT_HERE = (
    b"<!DOCTYPE html><html><title>Error 404 (Not Found)!!1</title><p><b>404.</b> The requested URL was not found on this server.</html>"
)
_STEP_S = 0.02
ADMINISTRATOR = Principal("admin@lab.example")


@dataclass(slots=True)
class Api:
    """The vendor behind its gate."""

    world: World
    tokens: Tokens
    windows: Windows
    gate: Gate = field(init=False)
    endpoint: str = ""
    watch: Callable[[Route, Object], None] | None = None
    """Shown every answer that is no refusal; tests compare them with the published description."""
    waiting: int = 0
    """Calls of `wait` that are waiting just now."""
    _pages: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.gate = Gate(self)

    @property
    def token_uri(self) -> str:
        """Where a service account gets its tokens."""
        return f"{self.endpoint}/token"

    # --- the wire -------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Answer:
        """Answer one request."""
        if request.path == "/token" and request.method == "POST":
            return self.gate.carry(Entry("oauth2.token", "", mutating=False, path=request.path), lambda _e, _f: self._grant(request))
        if request.path == logs.PATH and request.method == "POST":
            return self._logged(request)
        found = route_of(request.method, request.path)
        if found is None:
            unknown = Entry("unknown", "", mutating=False, path=f"{request.method} {request.path}")
            return self.gate.carry(unknown, lambda _entry, _faults: Answer(404, _NOT_HERE, {"Content-Type": "text/html; charset=UTF-8"}))
        route, path = found
        query = dict(parse_qsl(request.query, keep_blank_values=True))
        body = _read(request.body)
        entry = Entry(
            route.name,
            path["project"],
            mutating=route.mutating,
            body=None if body is _Malformed or not route.mutating else body,
            path=f"{request.method} {request.path}",
        )
        generation = self.world.generation
        if route.name.endswith(".wait"):
            self._wait(path)
            if self.world.generation != generation:
                return RESET
        asked = _Asked(route, path, query, body, request.headers.get("authorization"), generation=generation)
        return self.gate.carry(
            entry, lambda each, faults: self._perform(asked, each, faults), page=self._pages.get(query.get("pageToken", ""), 1)
        )

    def _grant(self, request: Request) -> Answer:
        try:
            return _ok(self.tokens.grant(request.body, self.token_uri))
        except ComputeError as refusal:
            said = {"error": refusal.reason, "error_description": refusal.message}
            return Answer(refusal.code, json.dumps(said).encode(), HEADERS)

    def _logged(self, request: Request) -> Answer:
        """Answer Cloud Logging, which stands behind the same door."""
        body = _read(request.body)
        authorization, query = request.headers.get("authorization"), dict(parse_qsl(request.query))

        def perform(entry: Entry, _faults: tuple[Fault, ...]) -> Answer:
            self.world.settle()
            try:
                return _ok(logs.entries(self.world, self._caller(authorization, query), body))
            except ComputeError as refusal:
                entry.code = refusal.reason
                return refusal.answer()

        return self.gate.carry(Entry(logs.LIST, logs.scope_of(body), mutating=False, path=f"POST {logs.PATH}"), perform)

    def _wait(self, path: dict[str, str]) -> None:
        """Wait outside the lock until the operation ends, the vendor's patience does, or the lab's clock stands still."""
        settings, began, counted = self.world.settings, time.monotonic(), False
        while not settings.wait_early and time.monotonic() - began < settings.wait_limit_s:
            with self.gate.lock:
                left = self._left(path)
                if left is None or self._moved(left):
                    break
                self.waiting += not counted
                counted = True
            threading.Event().wait(min(_STEP_S, left))
        with self.gate.lock:
            self.waiting -= counted

    def _left(self, path: dict[str, str]) -> float | None:
        project = self.world.projects.get(path["project"])
        left = seconds_to_wait(project.operations.values(), path["operation"], self.world.clock.now()) if project else None
        return left or None

    def _moved(self, left: float) -> bool:
        """A clock that only `advance` moves is moved to the operation's end, for nobody else would."""
        if not self.world.clock.frozen:
            return False
        if left != float("inf"):
            self.world.clock.advance(left)
        return True

    def act(self, call: Json, by: str = "third party") -> Object:
        """Carry out a request past all faults and delays, as an administrator or as the principal of `as`; return status and body."""
        where = urlsplit(str(call["path"]))
        path = where.path if where.path.startswith("/") else COMPUTE + where.path
        query = dict(parse_qsl(where.query)) | {name: str(value) for name, value in call.get("query", {}).items()}
        method = str(call.get("method", "GET"))
        found = route_of(method, path)
        if found is None:
            raise ValueError(f"no method {method} {path}")
        route, parameters = found
        token = call.get("as")
        who = ADMINISTRATOR if token is None else self.tokens.principals.get(str(token))
        if who is None:
            raise ValueError(f"no principal with the token {token!r}")
        with self.gate.lock:
            entry = self.gate.journal.begin(
                Entry(route.name, parameters["project"], mutating=route.mutating, body=call.get("body"), path=f"{method} {path}", by=by)
            )
            asked = _Asked(route, parameters, query, call.get("body"), None, who)
            answer = self._perform(asked, entry, ())
            entry.status = answer.status
            body: Object = json.loads(answer.body)
            project = self.world.projects.get(parameters["project"])
            operation = project.operations.get(str(entry.notes.get("operation"))) if project else None
            if operation is not None and not operation.done:
                self.world.finish(operation)
                body = operation.body
                self.world.packets.settle(self.world.clock.now())
        return {"status": answer.status, "body": body}

    # --- carrying out ---------------------------------------------------------------------------------------------

    def _perform(self, asked: _Asked, entry: Entry, faults: tuple[Fault, ...]) -> Answer:
        if asked.generation not in (None, self.world.generation):
            return RESET
        self.world.settle()
        try:
            body = self._carried_out(asked, entry, faults)
        except ComputeError as refusal:
            entry.code = refusal.reason
            return refusal.answer()
        if self.watch is not None:
            self.watch(asked.route, body)
        token = body.get("nextPageToken")
        if token:
            self._pages[token] = self._pages.get(asked.query.get("pageToken", ""), 1) + 1
        return _ok(body)

    def _carried_out(self, asked: _Asked, entry: Entry, faults: tuple[Fault, ...]) -> Object:
        route = asked.route
        principal = asked.principal or self._caller(asked.authorization, asked.query)
        project = self.world.project(asked.path["project"])
        entry.scope = project.name
        place = _place(asked, project.name)
        if "*" not in principal.projects and project.name not in principal.projects:
            raise forbidden(route.permission or "resourcemanager.projects.get", f"projects/{project.name}")
        if entry.by == "client":
            self._within_rate(asked, project.number)
        if route.permission and not holds(principal, route.permission):
            raise forbidden(route.permission, place)
        _refuse_places(asked.path, project.name)
        refuse_unknown(asked.query, route.known_query)
        call = Call(self.world, project, asked.path, asked.query, _checked(asked), principal, entry, faults)
        if route.mutating:
            again = repeated(call)
            if again is not None:
                return again
        return route.answer(call)

    def _caller(self, authorization: str | None, query: Mapping[str, str]) -> Principal:
        if authorization:
            return self.tokens.whose(authorization)
        token = query.get("access_token")
        if token:
            return self.tokens.whose(f"Bearer {token}")
        if self.world.settings.anonymous:
            return ADMINISTRATOR
        raise unauthenticated("Login Required.")

    def _within_rate(self, asked: _Asked, number: str) -> None:
        writing = asked.route.mutating
        cost = 2 if "filter" in asked.query else 1
        if not self.windows.take(number, writing=writing, cost=cost):
            raise rate_limited(number, METRICS[writing])

    # --- what the gate asks ---------------------------------------------------------------------------------------

    def refuse(self, fault: Fault, entry: Entry) -> Answer:
        """Return the vendor's own answer for a fault."""
        options = fault.options
        match fault.kind:
            case Kind.THROTTLE:
                project = self.world.projects.get(entry.scope)
                refusal = rate_limited(project.number if project else entry.scope, METRICS[entry.mutating], int(options.get("status", 403)))
            case Kind.DENIED:
                name, permission = entry.path.partition(COMPUTE)[2], _permission(entry.operation)
                refusal = forbidden(str(options.get("permission", permission)), name) if entry.operation != logs.LIST else logs.denied()
            case Kind.EXPIRED:
                refusal = unauthenticated("Request had invalid authentication credentials.")
            case Kind.REDIRECT:
                return Answer(
                    int(options.get("status", 307)), b"", {"Location": str(options.get("location", f"{self.endpoint}/elsewhere"))}
                )
            case Kind.REFUSED:
                code = int(options.get("status", 400))
                refusal = ComputeError(code, str(options.get("code", "invalid")), str(options.get("message", "Invalid value.")))
            case Kind.ERROR500:
                refusal = ComputeError(int(options.get("status", 500)), "backendError", "Internal Error", Extra(status="INTERNAL"))
            case _:
                text = "The service is currently unavailable."
                refusal = ComputeError(int(options.get("status", 503)), "backendError", text, Extra(status="UNAVAILABLE"))
        entry.code = refusal.reason
        return refusal.answer()

    def edit(self, call: Json) -> None:
        """Let a third party do something; one call, or several in turn."""
        for each in call if isinstance(call, list) else [call]:
            self.act(each)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that was routed."""

    route: Route
    path: dict[str, str]
    query: dict[str, str]
    body: Json
    authorization: str | None
    principal: Principal | None = None
    generation: int | None = None
    """Of the world that was asked; None: whichever there is."""


def _read(body: bytes) -> Json:
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return _Malformed


class _Malformed:
    """Stands for a body that is no JSON."""


def _checked(asked: _Asked) -> Object:
    """Return the body without what only the vendor writes; a ComputeError for the first thing wrong with it."""
    if asked.body is _Malformed:
        raise ComputeError(400, "parseError", "Parse Error")
    if asked.route.takes is None:
        return {}
    given = {} if asked.body is None else asked.body
    body = schema.without_output_fields(asked.route.takes, given)
    wrong = next(iter(schema.check(asked.route.takes, body, method=asked.route.name)), None)
    if wrong is not None:
        raise _wrong(wrong)
    # In a merge a null at the top says something: take the field away.
    return {name: schema.without_nulls(value) for name, value in body.items() if value is not None or asked.route.method == "PATCH"}


def _refuse_places(path: Mapping[str, str], project: str) -> None:
    """Refuse names that are none, and regions and zones that do not exist."""
    for word, name in path.items():
        if word != "project" and not (schema.NAME.fullmatch(name) or name.isdecimal()):
            raise invalid(word, name, f"Must be a match of regex '{schema.NAME.pattern}'")
    for word, known in (("zone", ZONES), ("region", REGIONS)):
        if path.get(word, known[0]) not in known:
            raise not_found(f"projects/{project}/{word}s/{path[word]}")


def _wrong(found: schema.Fault) -> ComputeError:
    match found.kind:
        case "unknown":
            place, _, name = found.path.rpartition(".")
            text = f"Invalid JSON payload received. Unknown name \"{name}\" at '{place}': Cannot find field."
            return ComputeError(400, "badRequest", text, Extra(status="INVALID_ARGUMENT"))
        case "required":
            return ComputeError(400, "required", f"Required field '{found.path}' not specified")
        case "pattern":
            return invalid(found.path, found.value, f"Must be a match of regex '(?:{schema.NAME.pattern})'")
        case "word":
            return invalid(found.path, found.value, "The value is not one of those that the field takes.")
    return ComputeError(400, "invalid", f"Invalid value at '{found.path}': {shown(found.value)}", Extra(status="INVALID_ARGUMENT"))


def _place(asked: _Asked, project: str) -> str:
    """Name the resource as refusals do."""
    path = asked.route.path.format(**{**asked.path, "project": project})
    name = asked.body.get("name") if isinstance(asked.body, dict) and asked.route.name.endswith(".insert") else None
    return f"{path}/{name}" if name else path


def _permission(operation: str) -> str:
    kind, _, verb = operation.partition(".")
    return f"compute.{kind}.{ {'insert': 'create', 'patch': 'update', 'aggregatedList': 'list'}.get(verb, verb) }"


def _ok(body: Object) -> Answer:
    return Answer(200, json.dumps(body).encode(), HEADERS)


def finish_all(world: World, projects: Iterable[str]) -> None:
    """End every operation of some projects at once, stuck ones too."""
    for name in projects:
        for operation in list(world.projects[name].running.values()):
            world.finish(operation)

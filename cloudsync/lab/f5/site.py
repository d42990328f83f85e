"""The simulated BIG-IP pair as a part of a lab: two HTTPS servers, one gate before them, and the control verbs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from ..clock import LabClock
from ..http import Answer, Cut, Request, Server
from ..kit.faults import Fault, Json, Kind
from ..kit.gate import RESET, Gate
from ..kit.journal import Entry
from ..kit.tls import authority
from . import call as calls
from . import estate as estates
from .call import Call
from .refusal import DeviceError
from .serve import Turn, answer
from .settings import Settings
from .tokens import USERS
from .unit import Unit
from .world import GROUP, NAMES, World

JSON = {"Content-Type": "application/json; charset=UTF-8", "Server": "Jetty(9.2.22.v20170606)"}
HTML_401 = b"<!DOCTYPE HTML><html><head><title>401 Unauthorized</title></head><body><h1>Unauthorized</h1></body></html>"
USER = USERS[1]


class Site:
    """Two BIG-IPs on loopback."""

    name = "f5"

    def __init__(self, folder: Path, clock: LabClock | None = None) -> None:
        """`folder` takes the certificates."""
        self.folder = folder
        self.world = World(clock or LabClock(), Settings())
        self.gate = Gate(self)
        self.servers: dict[str, Server] = {}
        self._ca_file = folder / "ca.pem"
        self._verbs: dict[str, Callable[[Json], Json]] = {}
        self.reset("empty", 1)

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open both servers."""
        issuer = authority(self.folder)
        self._ca_file = issuer.ca_file
        for name in NAMES:
            server = Server(0, self._app(name), tls=issuer.server(name))
            server.start()
            self.servers[name] = server

    def stop(self) -> None:
        """Close them; held calls are dropped."""
        self.gate.release(drop=True)
        for server in self.servers.values():
            server.shutdown()
            server.server_close()
        self.servers.clear()

    def reset(self, estate: str, seed: int) -> None:
        """Two fresh units with one estate, in step, saved and compiled."""
        build = estates.builder(estate)
        with self.gate.lock:
            self.gate.reset()
            self.world.clock.thaw()
            self.world.settings = Settings()
            self.world.reset(seed)
            build(self.act)
            self._settled()
            self.gate.journal.clear()
            self.gate.journal.sequence = 0

    def _settled(self) -> None:
        """The estate has stood for years: synchronised, saved, compiled."""
        first = self.world.units[NAMES[0]]
        self.world.sync(first, "to-group", "dg-failover")
        for unit in self.world.units.values():
            unit.compiler.at_once(unit.running)
            unit.previous = unit.running
            unit.save()
            unit.saves = 0

    def section(self) -> Json:
        """Both units as lab.json shows them."""
        return [
            {
                "endpoint": self.servers[name].url if name in self.servers else "",
                "user": USER.name,
                "password": USER.password,
                "ca_file": str(self._ca_file),
                "name": name,
                "hostname": unit.identity.hostname,
                "serial": unit.identity.serial,
                "device_group": GROUP,
                "users": {each.name: {"password": each.password, "role": each.role} for each in USERS},
            }
            for name, unit in self.world.units.items()
        ]

    # --- the wire -------------------------------------------------------------------------------------------------

    def _app(self, name: str) -> Callable[[Request], Answer]:
        def app(request: Request) -> Answer:
            call = calls.read(request)
            if call is None:
                return Answer(404, b"")
            body = call.shown_body if call.method != "GET" else None
            entry = Entry(call.operation, name, call.mutating, body, call.shown_path)
            return self.gate.carry(entry, lambda one, firing: self._perform(name, call, one, firing), page=call.page)

        return app

    def _perform(self, name: str, call: Call, entry: Entry, firing: tuple[Fault, ...]) -> Answer:
        unit = self.world.units[name]
        self.world.settle()
        if unit.down_until > self.world.clock.now():
            return RESET
        turn = Turn(self.world, unit, call, entry, firing)
        try:
            return _answer(200, answer(turn, trusted=entry.by != "client"))
        except DeviceError as refusal:
            entry.code = refusal.code
            return refused(refusal)

    def refuse(self, fault: Fault, entry: Entry) -> Answer:
        """The device's own words for a fault that replaces an answer."""
        options = fault.options
        match fault.kind:
            case Kind.THROTTLE | Kind.UNAVAILABLE:
                refusal = DeviceError(503, str(options.get("message", "There is an active asynchronous task executing.")), 1)
                headers = {"Retry-After": str(options["retry_after"])} if "retry_after" in options else {}
                return self._refused(entry, refusal, headers)
            case Kind.DENIED:
                verb = entry.operation.partition(" ")[0]
                text = f"Authorization failed: user=https://localhost/mgmt/shared/authz/users/{USER.name} resource={entry.path} verb={verb}"
                return self._refused(entry, DeviceError(403, text, rest=True))
            case Kind.EXPIRED:
                shape = str(options.get("shape", "rest"))
                refusal = DeviceError(401, "X-F5-Auth-Token has expired.", 1, rest=shape == "rest", html=shape == "html")
                return self._refused(entry, refusal)
            case Kind.REFUSED:
                message = str(options.get("message", "01070734:3: Configuration error"))
                return self._refused(entry, DeviceError(int(options.get("status", 400)), message))
            case Kind.REDIRECT:
                return Answer(302, b"", {"Location": "/tmui/login.jsp"})
            case _:
                return self._refused(entry, DeviceError(500, "AsyncContext timeout", 1))

    def _refused(self, entry: Entry, refusal: DeviceError, headers: dict[str, str] | None = None) -> Answer:
        entry.code = refusal.code
        return refused(refusal, headers)

    def edit(self, call: Json) -> None:
        """Let a third party do something, or the world ({"control": verb, "given"}); what is refused to them stays undone."""
        try:
            if "control" in call:
                self.ask(str(call["control"]), call.get("given"))
            else:
                self.act_json(call)
        except DeviceError:
            return

    # --- third parties --------------------------------------------------------------------------------------------

    def act(self, unit: str, method: str, path: str, body: Json = None, *, by: str = "third party") -> Json:
        """One request past logins and faults; DeviceError when the device says no. `path` begins with /mgmt/."""
        plain, _, query = path.partition("?")
        request = Request(method, plain, query, {}, json.dumps(body).encode() if body is not None else b"")
        call = calls.read(request)
        if call is None:
            raise ValueError(f"{path}: want a path below /mgmt/")
        with self.gate.lock:
            self.world.settle()
            entry = self.gate.journal.begin(Entry(call.operation, unit, call.mutating, call.shown_body, f"/mgmt/{call.path}", by=by))
            try:
                shown = answer(Turn(self.world, self.world.units[unit], call, entry), trusted=True)
            except DeviceError as refusal:
                entry.code, entry.status = refusal.code, refusal.status
                raise
            entry.status = 200
            return shown

    def act_json(self, given: Json) -> Json:
        """`act` as the control verb has it: {unit?, method, path, body?, by?}; the active unit unless one is named."""
        unit = str(given.get("unit") or self.world.active.identity.name)
        if unit not in self.world.units:
            raise ValueError(f"no unit {unit!r}: there are {', '.join(NAMES)}")
        return self.act(unit, str(given["method"]), str(given["path"]), given.get("body"), by=str(given.get("by", "third party")))

    # --- control --------------------------------------------------------------------------------------------------

    def ask(self, verb: str, given: Json) -> Json:
        """Answer one control request."""
        from .control import VERBS

        if verb in VERBS:
            with self.gate.lock:
                self.world.settle()
                return VERBS[verb](self, given or {})
        return self.gate.ask(verb, given)

    def verbs(self) -> frozenset[str]:
        """Every control verb."""
        from .control import VERBS

        return frozenset(VERBS) | {"faults", "calls", "log", "held", "release"}

    def unit(self, given: Json) -> Unit:
        """The unit a control request names, the active one when it names none."""
        name = str(given.get("unit") or self.world.active.identity.name)
        if name not in self.world.units:
            raise ValueError(f"no unit {name!r}: there are {', '.join(NAMES)}")
        return self.world.units[name]


def _answer(status: int, shown: Json) -> Answer:
    return Answer(status, b"" if shown is None else json.dumps(shown, separators=(",", ":")).encode(), JSON)


def refused(refusal: DeviceError, headers: dict[str, str] | None = None) -> Answer:
    """A refusal on the wire."""
    more = headers or {}
    if refusal.html:
        return Answer(
            refusal.status, HTML_401, {"Content-Type": "text/html", "WWW-Authenticate": 'Basic realm="Enterprise Manager"', **more}
        )
    return Answer(refusal.status, json.dumps(refusal.body()).encode(), {**JSON, **more}, Cut.NONE)

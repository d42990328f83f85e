"""The simulated Google Compute of a lab: its server, its estates, its control verbs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from ..clock import LabClock
from ..http import Server
from ..kit.faults import Json
from . import estate
from .api import Api, finish_all
from .call import Principal
from .estate import HOST, PROJECTS
from .tokens import Tokens
from .verdict import Packet, decide
from .windows import Windows
from .world import Object, World

ACCOUNT = f"cloudsync@{HOST}.iam.gserviceaccount.com"
KEY_FILE = "gcp-service-account.json"
_GATE = frozenset({"faults", "calls", "log", "held", "release"})


class Site:
    """Google Compute on loopback, plain http."""

    name = "gcp"

    def __init__(self, folder: Path, *, port: int = 0) -> None:
        self._folder, self._port = folder, port
        self._server: Server | None = None
        self.clock = LabClock()
        self.world = World(self.clock)
        self.api = Api(self.world, Tokens(self.clock, ACCOUNT), Windows(self.clock))
        self._access_token = f"ya29.lab-{hashlib.sha256(ACCOUNT.encode()).hexdigest()[:24]}"
        self._verbs: dict[str, Callable[[Json], Json]] = {
            "clock": self._clock,
            "settings": self._settings,
            "quotas": self._quotas,
            "buckets": self._buckets,
            "act": self._act,
            "state": self._state,
            "history": self._history,
            "principals": self._principals,
            "projects": self._projects,
            "policies": self._policies,
            "finish": self._finish,
            "verdict": self._verdict,
        }

    def start(self) -> None:
        """Open the server and write the service account's key file."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._server = Server(self._port, self.api.answer)
        self.api.endpoint = self._server.url
        self.api.tokens.write_key(self._folder / KEY_FILE, HOST, self.api.token_uri)
        self._server.start()
        self.reset("empty", 1)

    def stop(self) -> None:
        """Close the server; held calls are dropped."""
        self.api.gate.release(drop=True)
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def reset(self, estate_name: str, seed: int) -> None:
        """Begin anew with an estate. ValueError for an unknown one."""
        build = estate.builder(estate_name)
        with self.api.gate.lock:
            self.clock.restart()
            self.clock.freeze()
            self.world.begin(seed)
            tokens = self.api.tokens
            tokens.account = Principal(ACCOUNT)
            tokens.principals = {self._access_token: tokens.account}
            self.api.windows.enabled, self.api.windows.scale = False, 1.0
            self.api.windows.clear()
            build(self.api)
            self.world.history.clear()
            for project in self.world.projects.values():
                project.past.clear()
                project.operations.clear()
                project.running.clear()
            self.clock.thaw()
            self.api.gate.reset()

    def section(self) -> Json:
        """Return what lab.json says of this vendor."""
        return {
            "endpoint": self.api.endpoint,
            "project": HOST,
            "projects": [{"project": one.name, "number": one.number, "host": one.host} for one in PROJECTS],
            "access_token": self._access_token,
            "service_account": ACCOUNT,
            "service_account_file": str(self._folder / KEY_FILE),
            "token_uri": self.api.token_uri,
        }

    def verbs(self) -> frozenset[str]:
        """Return every control verb."""
        return _GATE | frozenset(self._verbs)

    def ask(self, verb: str, given: Json) -> Json:
        """Answer one control request."""
        if verb == "release":
            return self.api.gate.ask(verb, given)
        with self.api.gate.lock:
            if verb not in ("act", "faults", "clock"):
                self.world.settle()
            if verb in _GATE:
                return self.api.gate.ask(verb, given)
            return self._verbs[verb](given)

    # --- verbs ----------------------------------------------------------------------------------------------------

    def _clock(self, given: Json) -> Json:
        for name, value in (given or {}).items():
            match name:
                case "mode" if value == "manual":
                    self.clock.freeze()
                case "mode" if value == "real":
                    self.clock.thaw()
                case "advance":
                    self.clock.advance(float(value))
                case _:
                    raise ValueError(f"clock: {name}={value!r}: want mode=manual|real or advance=SECONDS")
        self.world.settle()
        return {"now": self.clock.now()}

    def _settings(self, given: Json) -> Json:
        self.world.settings.change(given or {})
        return self.world.settings.as_json()

    def _quotas(self, given: Json) -> Json:
        wanted = dict(given or {})
        project = self.world.projects[wanted.pop("project", HOST)]
        for name, value in wanted.items():
            if name not in project.limits:
                raise ValueError(f"no quota {name!r}; there are: {', '.join(sorted(project.limits))}")
            project.limits[name] = int(value)
        return dict(project.limits)

    def _buckets(self, given: Json) -> Json:
        windows = self.api.windows
        if given:
            windows.enabled = bool(given.get("enabled", True))
            windows.scale = float(given.get("scale", windows.scale))
            windows.clear()
        return {"enabled": windows.enabled, "scale": windows.scale, "per_minute": windows.limit}

    def _act(self, given: Json) -> Json:
        return self.api.act(given, by=str(given.get("by", "third party")))

    def _state(self, _given: Json) -> Json:
        return {
            name: {
                "number": one.number,
                "host": one.host,
                "limits": dict(one.limits),
                **{kind: dict(table) for kind, table in one.tables.items()},
                "operations": [operation.body for operation in one.operations.values()],
                "hierarchy": list(one.hierarchy),
                "system": list(one.system),
                "regional": dict(one.regional),
            }
            for name, one in self.world.projects.items()
        }

    def _history(self, given: Json) -> Json:
        found = list(self.world.history)
        if given and given.get("clear"):
            self.world.history.clear()
        return found

    def _principals(self, given: Json) -> Json:
        """{token: {email, permissions, projects, expires_in_s}}; the token `service_account` stands for the key file's."""
        for token, wanted in (given or {}).items():
            lasts = wanted.get("expires_in_s")
            principal = Principal(
                str(wanted.get("email", f"{token}@lab.example")),
                tuple(wanted.get("permissions", ["*"])),
                tuple(wanted.get("projects", ["*"])),
                None if lasts is None else self.clock.now() + float(lasts),
            )
            if token == "service_account":
                self.api.tokens.account = principal
            else:
                self.api.tokens.principals[token] = principal
        return {token: {"email": one.email, "permissions": list(one.permissions)} for token, one in self.api.tokens.principals.items()}

    def _projects(self, given: Json) -> Json:
        """{name: {host: <project> or null, hosts: true}} attaches and detaches service projects."""
        for name, wanted in (given or {}).items():
            project = self.world.projects[name]
            project.host = wanted.get("host", project.host)
            project.hosts = bool(wanted.get("hosts", project.hosts))
        return {name: {"host": one.host, "hosts": one.hosts} for name, one in self.world.projects.items()}

    def _policies(self, given: Json) -> Json:
        """{project, hierarchy: [policy...], system: [...], regional: {region: [policy with network...]}}: what no method here can write."""
        wanted: Object = dict(given or {})
        project = self.world.projects[wanted.pop("project", HOST)]
        for name, value in wanted.items():
            if name not in ("hierarchy", "system", "regional"):
                raise ValueError(f"policies: no {name!r}; want hierarchy, system or regional")
            setattr(project, name, value)
        return {"hierarchy": project.hierarchy, "system": project.system, "regional": project.regional}

    def _finish(self, given: Json) -> Json:
        """End every operation now, stuck ones too."""
        names = [given["project"]] if given and "project" in given else list(self.world.projects)
        finish_all(self.world, names)
        self.world.settle()
        return {"finished": names}

    def _verdict(self, given: Json) -> Json:
        asked = given if isinstance(given, list) else [given]
        found = [decide(self.world, Packet.of_json(each)).as_json() for each in asked]
        return found if isinstance(given, list) else found[0]

"""One platform ready for faults: its lab without sockets, the product's own run on a simulated clock, and what both need to be told.

A stage stands at the start of one transition: the estate is built, a first policy has been brought in force, a second one is wanted.
"""

from __future__ import annotations

import logging
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

import cloudsync_aws.limits
import cloudsync_f5.read
import cloudsync_gcp.client
from cloudsync.app.reconcile import Ran, reconcile
from cloudsync.app.repository import Loaded, load
from cloudsync.app.session import Start
from cloudsync.lab import server
from cloudsync.lab.aws import buckets, corrections
from cloudsync.lab.aws.shim import Shim
from cloudsync.lab.control import Control, ControlClient, restart
from cloudsync.lab.http import Request, Server
from cloudsync.lab.sites import Sites
from cloudsync.testing.clock import SimulatedClock
from tests.oracle import azure_estates, estates, f5_estates, four_campaign, gcp_estates
from tests.oracle.campaign import environment
from tests.oracle.draw import GROUPS, SERVICES, port
from tests.oracle.four_aws import AwsGround
from tests.oracle.four_campaign import Lens, World
from tests.oracle.four_draw import VOCABULARY4
from tests.oracle.four_grounds import GROUNDS, Ground
from tests.oracle.four_rig import FourRig
from tests.oracle.language import Book, Chapter, End, Held, Labelled, Listed, Sentence, What
from tests.wire.fault_inline import inline
from tests.wire.fault_loop import App, Loop, looped, unserved

NAMES = ("aws", "gcp", "azure", "f5")
EVERY_S = 300.0
"""Between two runs."""
PAGE = {"aws": 5, "gcp": 6, "azure": 5, "f5": 5}
"""Elements of a page: every list of a dozen has several."""
SSH, HTTPS = What("ssh", SERVICES["ssh"]), What("https", SERVICES["https"])
PG = What("tcp/5432", (port(6, 5432),))


def _who(**labels: str) -> End:
    return End(Labelled(tuple((key, (value,)) for key, value in sorted(labels.items()))))


def _book(*rules: Sentence) -> Book:
    lists: dict[str, tuple[str, ...]] = {"corp": ("203.0.113.0/24", "!203.0.113.7"), "edge": ("198.51.100.0/25", "2001:db8:10::/48")}
    return Book(VOCABULARY4, GROUPS, lists, SERVICES, Held(None, "full", "leave"), (), (Chapter("all", (), rules),))


_EVERYWHERE = Sentence("allow", (End(Listed("corp")),), (_who(env="prod"), _who(env="dev"), _who(env="test")), (HTTPS,))
BEFORE = _book(
    _EVERYWHERE,
    Sentence("allow", (_who(role="web"),), (_who(role="db"),), (PG,)),
    Sentence("allow", (End(Listed("corp")),), (_who(role="web"),), (SSH,)),
    Sentence("allow", (_who(role="lb"),), (_who(role="web"),), (What("tcp/8443", (port(6, 8443),)),)),
)
AFTER = _book(
    _EVERYWHERE,
    Sentence("allow", (_who(role="app"), _who(role="web")), (_who(role="db"),), (PG,)),
    Sentence("allow", (End(Listed("edge")),), (_who(role="web"),), (SSH,)),
    Sentence("allow", (_who(env="prod"),), (_who(role="app"),), (SSH,)),
)


@dataclass(frozen=True)
class Sent:
    """What a request asks for, as far as its outside tells. `writes`: it changes something if it is carried out."""

    operation: str
    writes: bool
    listing: bool = False


@dataclass
class Stage:
    """One platform at the start of a transition."""

    ground: Ground
    rig: FourRig
    loaded: Loaded
    look: Lens
    origin: World
    start: World
    foreign: dict[str, str]
    clock: SimulatedClock
    mode: str

    @property
    def name(self) -> str:
        """The platform."""
        return self.ground.name

    def folder(self, into: Path) -> Path:
        """Copy the repository with its state, for one life of it."""
        shutil.copytree(self.rig.root, into)
        return into

    def run(self, root: Path) -> Ran:
        """Make one unattended run from a folder."""
        known = {**self.ground.environment(), "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        if self.name == "gcp":  # a plain token: signing one with a key takes a third of a run
            known["LAB_TOKEN"] = vars(self.ground)["site"].section()["access_token"]
        with environment(**known):
            how = Start("reconcile", writer=True, loaded=replace(self.loaded, root=root), clock=self.clock)
            return reconcile(root, (), how, lambda _root, _loaded, _story: None)

    def world(self) -> World:
        """Return what every packet fares now, read past the wire."""
        return self.look.world({self.name: self.ground.peek()})


# --- what is on the wire ----------------------------------------------------------------------------------------------


def sent(name: str, request: Request) -> Sent:
    """Tell what a request of a platform's client asks for."""
    return _SENT[name](request)


def _sent_aws(request: Request) -> Sent:
    form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
    action = form.get("Action") or request.headers.get("x-amz-target", "").rpartition(".")[2]
    writes = not buckets.is_read(action) and action not in ("AssumeRole", "LookupEvents")
    return Sent(action, writes, "MaxResults" in form)


def _sent_gcp(request: Request) -> Sent:
    path = request.path.partition("/projects/")[2].partition("/")[2]
    parts = [part for part in path.split("/") if part]
    kind = "/".join(parts[:2]) if parts[:1] != ["zones"] else "/".join((parts[0], *parts[2:3], *parts[4:]))
    writes = request.method != "GET" and not path.endswith("/wait") and "/projects/" in request.path
    return Sent(f"{request.method} {kind}", writes, "maxResults" in request.query)


def _sent_azure(request: Request) -> Sent:
    kind = request.path.rpartition("/providers/")[2]
    parts = kind.split("/")
    listing = request.method == "GET" and len(parts) == 2
    where = "/".join(parts[:2] + parts[3:4] if "locations" in parts else parts[:2])
    return Sent(f"{request.method} {where}", request.method in ("PUT", "DELETE", "PATCH"), listing)


def _sent_f5(request: Request) -> Sent:
    path = request.path.removeprefix("/mgmt/")
    kind = "/".join(part for part in path.split("/") if not part.startswith("~") and not part.isdecimal())
    opens = path.rstrip("/") == "tm/transaction" and request.method == "POST"
    writes = request.method != "GET" and path.startswith("tm/") and not opens
    listing = request.method == "GET" and path.rstrip("/").rpartition("/")[2] in ("virtual", "policy", "address-list")
    return Sent(f"{request.method} {kind}", writes, listing)


_SENT: dict[str, Callable[[Request], Sent]] = {"aws": _sent_aws, "gcp": _sent_gcp, "azure": _sent_azure, "f5": _sent_f5}


# --- building a stage -------------------------------------------------------------------------------------------------


@dataclass
class AwsHere(AwsGround):
    """AWS whose lab is in this process."""

    shim: Shim = field(default_factory=Shim)


Wrap = Callable[[App], App]
"""Stands between the SDKs and a lab."""


def _open(name: str, folder: Path, loop: Loop, wrap: Wrap) -> Ground:
    with unserved():
        ground = _aws(folder, loop, wrap) if name == "aws" else GROUNDS[name](folder)
    site: Any = getattr(ground, "site", None)
    match name:
        case "gcp":
            loop.serve(site.api.endpoint, wrap(site.api.answer))
        case "azure":
            loop.serve(site.arm.base, wrap(site.answer))
            loop.serve(site.directory.base, wrap(site._entra))
        case "f5":
            for unit, one in site.servers.items():
                loop.serve(one.url, wrap(site._app(unit)))
    return ground


def _aws(folder: Path, loop: Loop, wrap: Wrap) -> AwsHere:
    corrections.install()
    shim = Shim()
    control = Control(shim, Sites(folder, {}), "token", "empty", 1, lambda: None)
    restart(shim, "empty", 1)
    listening = Server(0, shim.answer)
    url = listening.url
    inner: App = wrap(shim.answer)
    loop.serve(url, lambda request: control.answer(request) if request.path.startswith("/_lab/") else inner(request))
    lab = server.Lab(server._state(shim, url, "token", server.Wanted()), ControlClient(url, "token"), folder)
    ground = AwsHere(lab, shim=shim)
    ground.stack.callback(listening.server_close)
    return ground


@contextmanager
def dozen(name: str, count: int) -> Iterator[None]:
    """Let estates have so many workloads, and lists pages of a few."""
    modules: dict[str, Any] = {"aws": estates, "gcp": gcp_estates, "azure": azure_estates, "f5": f5_estates}
    module, word = modules[name], "virtuals" if name == "f5" else "machines"
    small = module.small
    with pytest.MonkeyPatch.context() as patch:

        def wide(*words: Any, **more: Any) -> Any:
            return small(*words, **{**more, word: (count, count)})

        patch.setattr(module, "small", wide)
        yield


@contextmanager
def paged(name: str) -> Iterator[None]:
    """Let the product ask for small pages, so that every list has several."""
    with pytest.MonkeyPatch.context() as patch:
        match name:
            case "aws":
                for action in cloudsync_aws.limits.PAGE_SIZE:
                    patch.setitem(cloudsync_aws.limits.PAGE_SIZE, action, PAGE[name])
            case "gcp":
                patch.setattr(cloudsync_gcp.client, "PAGE_SIZE", PAGE[name])
            case "f5":
                patch.setattr(cloudsync_f5.read, "PAGE_SIZE", PAGE[name])
        yield


@dataclass
class Theatre:
    """Where stages of one platform are built."""

    ground: Ground
    folder: Path
    clock: SimulatedClock = field(default_factory=SimulatedClock)

    def stage(self, seed: int, *, mode: str = "exclusive", machines: int = 12, fresh: bool = False) -> Stage:
        """Build an estate and bring the first policy in force; `fresh`: not even that. AssertionError when it meets a refusal."""
        name, root = self.ground.name, self.folder / f"repository-{seed}-{mode}-{machines}-{fresh}"
        root.mkdir()
        rig = FourRig({name: self.ground}, root)
        if name == "azure":
            self.ground.switches = {"page_size": PAGE[name]}
        with dozen(name, machines):
            rig.fresh(seed, {name: mode})
        self.hold()
        raw = rig.estates()
        more = {"gcp": {"credentials": "env:LAB_TOKEN"}}
        if not fresh:
            rig.write(BEFORE, more)
            _narrow(root)
            look = four_campaign.lens(rig, BEFORE, seed, limit=40)
            first = Stage(self.ground, rig, load(root), look, {}, {}, {}, self.clock, mode)
            random.seed(seed)
            ran = first.run(root)
            assert ran.code == 0, ran.report.targets
            self.ground.relabel(random.Random(seed))
            self.clock.advance(EVERY_S)
        rig.write(AFTER, more)
        _narrow(root)
        look = four_campaign.lens(rig, AFTER, seed, limit=40)
        stage = Stage(self.ground, rig, load(root), look, look.world(raw), {}, {}, self.clock, mode)
        stage.start = stage.world()
        stage.foreign = self.ground.peek().foreign()
        return stage

    def hold(self) -> None:
        """Let the lab's clock move with the simulated one only."""
        self.ask("clock", {"mode": "manual"})
        self.clock.on_sleep = lambda seconds: self.ask("clock", {"advance": seconds})

    def ask(self, verb: str, given: object = None) -> Any:
        """Ask the lab's control."""
        site: Any = getattr(self.ground, "site", None)
        if site is not None:
            return site.ask(verb, given)
        assert isinstance(self.ground, AwsGround)
        return self.ground.lab.control.ask(verb, given)


def _narrow(root: Path) -> None:
    """Give the settings the guard back that no campaign of ordinary changes can live with, and this one cannot live without."""
    path = root / "cloudsync.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("max_gone_workloads: 100%", "max_gone_workloads: 30%"), encoding="utf-8")


@contextmanager
def theatre(name: str, folder: Path, wrap: Wrap = lambda app: app) -> Iterator[Theatre]:
    """Open a platform without sockets and without threads for the length of a `with`."""
    loop = Loop()
    with ExitStack() as stack:
        for one in (looped(loop), inline(), paged(name)):
            stack.enter_context(one)
        level = logging.getLogger("cloudsync").level
        logging.getLogger("cloudsync").setLevel(logging.CRITICAL)
        stack.callback(logging.getLogger("cloudsync").setLevel, level)
        ground = _open(name, folder, loop, wrap)
        yield Theatre(ground, folder)
        with unserved():
            ground.stop()

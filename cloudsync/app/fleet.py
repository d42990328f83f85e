"""What a worker does with a job: one run at its targets, with the newest policy that any worker has, and beside all the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import field, replace
from pathlib import Path

from cloudsync import __version__, registry, sources
from cloudsync.adapter import Clock
from cloudsync.app import ledger
from cloudsync.app.reconcile import Deliver, reconcile
from cloudsync.app.session import Found, Session, Start
from cloudsync.app.versions import Version, Versions
from cloudsync.fleet.jobs import VERSION, Job
from cloudsync.fleet.keeper import kept
from cloudsync.fleet.worker import Next
from cloudsync.model.address import AddressSet
from cloudsync.model.errors import BusyError, CloudsyncError, InputError, RefusedError, SettingsError
from cloudsync.model.finding import Finding
from cloudsync.model.mode import TargetMode
from cloudsync.model.quick import dataclass
from cloudsync.settings.values import Schedule, Settings
from cloudsync.store.place import Server

log = logging.getLogger("cloudsync.worker")

BUSY_S, BUSY_TRIES = 3.0, 12
"""A job whose target somebody else holds, or whose state went away, is tried again after so long, so often. Then its next turn must do."""
BEHIND_S = 15.0
"""A job for a newer policy than this worker has waits so long for another worker, or for the pull."""
POLICY_CODE = "PRE-POLICY"


class WiderError(BusyError):
    """What is planned reaches into other targets: nothing was written, and it has to be planned together with them."""

    def __init__(self, targets: frozenset[str]) -> None:
        self.targets = targets
        super().__init__("PRE-WIDER", f"opens something towards {', '.join(sorted(targets))}", "a job for all of them is made")


@dataclass(slots=True)
class Fleet:
    """The work of `cloudsync.fleet.worker`."""

    root: Path
    versions: Versions
    version: Version
    clock: Clock
    deliver: Deliver
    stop: Callable[[], bool]
    names: tuple[str, ...] = ()
    seen: str = ""
    _egress: dict[str, bool] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """Of the version in force, with the targets of this worker."""
        found = self.version.loaded.settings
        return replace(found, targets=tuple(one for one in found.targets if not self.names or one.name in self.names))

    def look(self) -> None:
        """Follow the repository: the newest commit that can be used is in force."""
        newest = self.versions.newest()
        if not newest or newest == self.seen:
            return
        self.seen = newest
        try:
            self.version = self.versions.load(newest)
        except InputError as error:
            log.warning("config.broken", extra={"findings": [str(one) for one in error.findings], "in_force": self.version.words})
            return
        log.info("config.changed", extra={"policy": self.version.words})

    # --- the port ----------------------------------------------------------------------------------------------------

    def schedules(self) -> Mapping[str, Schedule | None]:
        """Return the targets with their schedules."""
        self.look()
        settings = self.settings
        return {target.name: settings.schedule_of(target.name) for target in settings.targets}

    def policy(self) -> str:
        """Return the commit that this worker has."""
        return self.version.id

    def greet(self, worker: int) -> None:
        """Put this worker on the roster."""
        with suppress(RefusedError), ledger.opened(self.root, self.settings) as state:
            state.fleet.greet(worker, __version__, VERSION, self.clock.now())
            state.fleet.stands(self.version.id, "")

    def do(self, job: Job) -> Next:
        """Make one run."""
        self.look()
        try:
            return self._do(job)
        except WiderError as error:
            log.info("job.wider", extra={"targets": job.targets, "with": sorted(error.targets)})
            return Next(((Job(tuple(sorted({*job.targets, *error.targets})), self.version.id), 0.0),))
        except BusyError as error:
            log.warning("run.busy", extra={"targets": job.targets, "why": error.message})
            return self._again(job, BUSY_S)
        except RefusedError as error:
            _failed("run.barred", job, error)
            if error.code == POLICY_CODE:
                self._stands(error.message)
                return Next(((job, BEHIND_S),))
            return Next(leave=str(error)) if "this program knows" in error.message else self._again(job, BUSY_S)
        except InputError as error:
            _failed("run.failed", job, *error.findings)
        except (CloudsyncError, OSError) as error:
            _failed("run.failed", job, error)
        except Exception:
            log.exception("run.failed", extra={"targets": job.targets})
        return Next()

    @staticmethod
    def _again(job: Job, after_s: float) -> Next:
        """Return that a job is to be tried again soon; what lasts for longer is for the next turn by the schedule."""
        return Next(((job, after_s),)) if job.tries < BUSY_TRIES else Next()

    def _do(self, job: Job) -> Next:
        known = {target.name for target in self.settings.targets}
        names = tuple(name for name in job.targets if name in known)
        if not names:
            log.info("job.gone", extra={"targets": job.targets})
            return Next()
        how = Start("reconcile", loaded=self.version.loaded, clock=self.clock, stop=self.stop)
        reconcile(self.root, names, replace(how, beside=True, guard=self._guarded, check=self._check), self.deliver)
        return Next()

    def _stands(self, why: str) -> None:
        with suppress(CloudsyncError), ledger.opened(self.root, self.settings) as state:
            state.fleet.stands(self.version.id, why)

    # --- what a run beside others has to mind ---------------------------------------------------------------------------

    @contextmanager
    def _guarded(self, run: Session) -> Iterator[None]:
        """Keep the lease, and see to it that no policy is followed that is older than one in use."""
        with kept(run.state.lease):
            self._up_to_date(run)
            yield

    def _up_to_date(self, run: Session) -> None:
        """Raise RefusedError PRE-POLICY where another worker uses a newer commit, or one that is not known here."""
        mine = self.version.id
        while (newest := run.state.fleet.policy()) != mine:
            if newest:
                left = sources.git(self.root, "log", "-1", "--format=%H", newest, "--not", mine, "--")
                if left is None or left.strip():
                    known = "is not in this repository yet" if left is None else "does not lead to it"
                    message = f"a worker uses commit {newest[:10]}, which {known}; here is {mine[:10]}"
                    raise RefusedError(POLICY_CODE, message, "pull the config repository of this worker")
            if run.state.fleet.advance(newest, mine):
                break
        run.state.fleet.stands(mine, "")

    def _check(self, run: Session, found: Found) -> None:
        """Raise WiderError where what is opened here meets points of targets that are not in this run."""
        wider = frozenset(self._beyond(run, found))
        if wider:
            raise WiderError(wider)

    def _beyond(self, run: Session, found: Found) -> Iterator[str]:
        mine = {target.name for target in run.targets}
        inbound, outbound = opened(found, mine)
        if not inbound and not outbound:
            return
        known = {target.name: target for target in self.version.loaded.settings.targets}
        for name, addresses in sorted(elsewhere(found, mine).items()):
            target = known.get(name)
            if target is None or target.mode is TargetMode.OBSERVE:
                continue
            if addresses & outbound or (addresses & inbound and self._restricts_egress(name)):
                yield name

    def _restricts_egress(self, name: str) -> bool:
        target = self.version.loaded.settings.target(name)
        assert target is not None, "a target of the settings"
        if target.adapter not in self._egress:
            adapter = registry.load(target.adapter).open(target, self.version.loaded.settings.owner, self.clock)
            self._egress[target.adapter] = adapter.capabilities.egress
        return self._egress[target.adapter]


def _failed(what: str, job: Job, *why: object) -> None:
    log.error(what, extra={"targets": job.targets, "why": "; ".join(map(str, why[:3]))})


def opened(found: Found, mine: Iterable[str]) -> tuple[AddressSet, AddressSet]:
    """Return from where, and to where, the plans of some targets open anything; a load balancer's pool counts as opened to."""
    chosen = set(mine)
    inbound: list[AddressSet] = []
    outbound: list[AddressSet] = []
    for one in found.planned:
        built = one.built
        if built is None or built.case is None or built.plan.empty or built.plan.target not in chosen:
            continue
        now = built.case.actual.everything
        for point, after in built.after.items():
            before = now.get(point)
            inbound.append((after.inbound - before.inbound if before else after.inbound).peers())
            outbound.append((after.outbound - before.outbound if before else after.outbound).peers())
    if any(inbound):
        ways = [one for load in found.inventory.workloads for face in load.interfaces for one in face.forwards if load.target in chosen]
        outbound += [one.to for one in ways]
    return AddressSet.union_all(inbound), AddressSet.union_all(outbound)


def elsewhere(found: Found, mine: Iterable[str]) -> dict[str, AddressSet]:
    """Return the addresses at which workloads of other targets are known, those of their load balancers' own included."""
    chosen, parts = set(mine), dict[str, list[AddressSet]]()
    for workload in found.inventory.workloads:
        if workload.target and workload.target not in chosen:
            for face in workload.interfaces:
                parts.setdefault(workload.target, []).extend([face.addresses, *(one.sources for one in face.forwards)])
    return {name: AddressSet.union_all(several) for name, several in parts.items()}


def fleet(root: Path, names: Iterable[str], clock: Clock, deliver: Deliver, stop: Callable[[], bool]) -> tuple[Fleet, Server]:
    """Return the work and where the queue is. Raises InputError where the repository cannot be used, or is none for several workers.

    Raises RefusedError where the state cannot be used.
    """
    versions = Versions(root)
    version = versions.load(versions.newest())
    settings = version.loaded.settings
    place = ledger.where(root, settings)
    if not isinstance(place, Server):
        hint = "state: postgresql://...; one machine alone does with `cloudsync run`"
        raise SettingsError([Finding(settings.where, "NO-SERVER", "workers share their state on a PostgreSQL server", hint)])
    if not versions.commits:
        hint = "commit cloudsync.yaml and the policy; workers tell which of two policies is the newer one by their commits"
        raise SettingsError([Finding(settings.where, "NO-COMMITS", "workers need the config repository in git", hint)])
    chosen = tuple(names)
    if not version.loaded.targets(chosen):
        raise SettingsError([Finding(settings.where, "NO-TARGETS", "no target is configured", "add one under targets:")])
    with ledger.opened(root, settings):
        pass  # the tables are there, and neither older nor newer than this program
    return Fleet(root, versions, version, clock, deliver, stop, chosen, version.id), place

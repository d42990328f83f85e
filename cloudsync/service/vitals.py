"""What the daemon knows of itself: its pulse, why it is not ready, and figures for Prometheus. One writer; readers are other threads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from cloudsync import __version__
from cloudsync.adapter import Clock
from cloudsync.model.bucket import Tally
from cloudsync.model.quick import dataclass
from cloudsync.pacing import pacing

_SEVERITIES = ("critical", "high", "medium", "low")
HANG_S = 600.0
"""Without a pulse for so long the loop hangs: each write, each half second of waiting and each round beats one."""


@dataclass(frozen=True, slots=True)
class TargetFigures:
    """One target after a run. `good`: UTC seconds of its last good run; `findings`: open ones by severity."""

    name: str
    code: int
    state: str
    good: float | None
    writes: int
    findings: Mapping[str, int] = field(default_factory=dict)


class Vitals:
    """Pulse and troubles. `troubles`: what keeps the daemon from its work, by what it concerns."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._beat = clock.monotonic()
        self.troubles: dict[str, str] = {}
        self.started = False
        self.figures = Figures(clock)

    def pulse(self) -> None:
        """Say that the loop goes on."""
        self._beat = self._clock.monotonic()

    @property
    def alive(self) -> bool:
        """Tell whether the loop goes on."""
        return self._clock.monotonic() - self._beat < HANG_S

    @property
    def complaints(self) -> tuple[str, ...]:
        """Return what keeps the daemon from its work, in words; nothing when it is ready."""
        found = [] if self.started else ["no run has ended yet"]
        found += [] if self.alive else ["the loop hangs"]
        return (*found, *(f"{what}: {why}" for what, why in sorted(dict(self.troubles).items())))


class Figures:
    """The metrics. prometheus_client is loaded here, by the daemon alone."""

    def __init__(self, clock: Clock) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        Info("cloudsync_build", "The program.", registry=registry).info({"version": __version__})
        self.runs = Counter("cloudsync_runs", "Runs, by exit code.", ["exit"], registry=registry)
        self.seconds = Histogram(
            "cloudsync_run_seconds", "Duration of runs.", registry=registry, buckets=(1, 2, 5, 10, 30, 60, 120, 300, 600, 1800)
        )
        self.writes = Counter("cloudsync_writes", "Writes that platforms confirmed.", ["target"], registry=registry)
        self.missed = Counter("cloudsync_missed_schedules", "Cron times that went by without a run.", registry=registry)
        self.config = Gauge(
            "cloudsync_config_good", "1 while the newest version of the config repository is the one in force.", registry=registry
        )
        self.state = Gauge("cloudsync_state_good", "1 while the state can be written.", registry=registry)
        self.last = Gauge("cloudsync_last_run_timestamp_seconds", "End of the last run.", registry=registry)
        self.good = Gauge("cloudsync_target_good_timestamp_seconds", "Last good run of a target.", ["target"], registry=registry)
        self.exit = Gauge("cloudsync_target_exit", "Exit code of a target's last run.", ["target"], registry=registry)
        self.failures = Gauge("cloudsync_target_failures", "Failed runs of a target in a row.", ["target"], registry=registry)
        self.findings = Gauge("cloudsync_findings", "Open findings.", ["target", "severity"], registry=registry)
        self.config.set(1)
        self.state.set(1)
        registry.register(_Quotas(clock))

    def ran(self, code: int, targets: tuple[TargetFigures, ...], *, seconds: float, at: float) -> None:
        """Count a run."""
        self.runs.labels(str(code)).inc()
        self.seconds.observe(seconds)
        self.last.set(at)
        for one in targets:
            self.exit.labels(one.name).set(one.code)
            self.writes.labels(one.name).inc(one.writes)
            if one.good is not None:
                self.good.labels(one.name).set(one.good)
            for severity in _SEVERITIES:
                self.findings.labels(one.name, severity).set(one.findings.get(severity, 0))

    def forget(self, target: str) -> None:
        """Drop the figures of a target that left the settings."""
        for gauge in (self.good, self.exit, self.failures, self.findings):
            gauge.remove_by_labels({"target": target})

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)


class _Quotas:
    """What the platforms' limits did to the calls of this process: counted in `cloudsync.pacing`, read when somebody asks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def collect(self) -> Iterator[Any]:
        """Yield calls, waits and refusals by platform and class of calls, over all accounts and regions."""
        from prometheus_client.core import CounterMetricFamily

        found: dict[tuple[str, str], Tally] = {}
        for key, tally in pacing(self._clock).tallies().items():
            name = (key.platform, key.api_class)
            found[name] = found.get(name, Tally()) + tally
        labels = ["platform", "api_class"]
        calls = CounterMetricFamily("cloudsync_api_calls", "Calls that draw from a limit of the platform.", labels=labels)
        waited = CounterMetricFamily("cloudsync_api_wait_seconds", "Time that calls waited for the platform's limits.", labels=labels)
        refused = CounterMetricFamily("cloudsync_api_throttled", "Answers that a call came too fast.", labels=labels)
        for name, tally in sorted(found.items()):
            calls.add_metric(name, tally.calls)
            waited.add_metric(name, tally.waited_s)
            refused.add_metric(name, tally.throttled)
        yield from (calls, waited, refused)

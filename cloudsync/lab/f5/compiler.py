"""From configured to active: packet filters are compiled after a commit, and only what is compiled and deployed decides about packets."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ..clock import LabClock
from .config import Config, Firewall
from .program import Programs
from .settings import Settings

NOTHING = Config().firewall()


@dataclass(slots=True)
class Compiler:
    """What one unit has compiled and deployed."""

    clock: LabClock
    settings: Settings
    active: Firewall = NOTHING
    compiled: Firewall = NOTHING
    """Ready; deployed at once unless deploying is by hand."""
    waiting: list[tuple[float, Firewall]] = field(default_factory=list)
    behind: Firewall | None = None
    """Committed, but nobody has asked to compile it."""
    activated: dict[tuple[str, str, str], float] = field(default_factory=dict)
    """(kind, path, policy) -> when it became active."""
    failed: str = ""
    hits: Counter[tuple[str, str, str, str, str]] = field(default_factory=Counter)
    """(kind, path, `Enforced` or `Staged`, policy, rule) -> packets of the control verb `verdict`."""

    _programs: Programs | None = None

    def programs(self) -> Programs:
        """What is active, ready for packets."""
        if self._programs is None or self._programs.firewall is not self.active:
            self._programs = Programs(self.active, self.settings)
        return self._programs

    def forget(self) -> None:
        """Resolve names and countries anew with the next packet."""
        self._programs = None

    def changed(self, config: Config) -> None:
        """Take notice of a commit."""
        wanted = config.firewall()
        latest = self.behind or (self.waiting[-1][1] if self.waiting else self.compiled)
        if wanted == latest:
            return
        if self._by_hand(config, "on-demand-compilation", "onDemandCompilation"):
            self.behind = wanted
            return
        self.behind = None
        self.waiting.append((self.clock.now() + self.settings.compile_delay_s, wanted))

    def settle(self, config: Config) -> None:
        """Finish what is due."""
        while self.waiting and self.waiting[0][0] <= self.clock.now():
            _, wanted = self.waiting.pop(0)
            if self.settings.compile == "fails":
                self.failed = "Compilation of the firewall configuration failed."
                continue
            self.failed, self.compiled = "", wanted
            if not self._by_hand(config, "on-demand-rule-deploy", "onDemandRuleDeploy"):
                self.deploy()

    def compile_now(self, config: Config) -> None:
        """Compile by hand."""
        self.behind = None
        self.waiting.append((self.clock.now() + self.settings.compile_delay_s, config.firewall()))

    def deploy(self) -> None:
        """Make what is compiled decide about packets."""
        known = set(self.active.contexts())
        now = self.clock.now()
        changed = {at for at in self.compiled.contexts() if at not in known or self._differs(at[2])}
        self.activated = {at[:3]: now if at in changed else self.activated.get(at[:3], now) for at in self.compiled.contexts()}
        self.active = self.compiled

    def _differs(self, policy: str) -> bool:
        return self.active.objects != self.compiled.objects and self.active.policy(policy) != self.compiled.policy(policy)

    def at_once(self, config: Config) -> None:
        """Compile and deploy without waiting: after a start, and when an estate is built."""
        self.waiting.clear()
        self.behind, self.failed = None, ""
        self.compiled = config.firewall()
        self.deploy()

    def state(self, config: Config) -> str:
        """`ready`, `compiling`, `manual`, `undeployed` or `failed`: may one say that what is configured is active?"""
        if self.failed:
            return "failed"
        if self.waiting:
            return "compiling"
        if self.behind is not None and self.behind != self.compiled:
            return "manual"
        return "ready" if self.active == config.firewall() else "undeployed"

    @staticmethod
    def _by_hand(config: Config, name: str, key: str) -> bool:
        return str(config.objects[f"security/firewall/{name}"][""].get(key)) == "enabled"

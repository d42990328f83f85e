"""The closed sets of words that say how far enforcement goes."""

from __future__ import annotations

from enum import Enum


class Mode(Enum):
    """What enforcement does with a workload (policy: `enforcement:`)."""

    IDLE = "idle"
    VISIBILITY = "visibility"
    SELECTIVE = "selective"
    FULL = "full"

    @property
    def enforced(self) -> bool:
        """Tell whether anything is written for a workload in this mode."""
        return self in (Mode.SELECTIVE, Mode.FULL)


class Egress(Enum):
    """Whether outbound packets are held to the policy or left exactly as they were."""

    LEAVE = "leave"
    ENFORCE = "enforce"


class TargetMode(Enum):
    """What a target permits us to do at its enforcement points (settings: `mode`); there is no default."""

    OBSERVE = "observe"
    ADDITIVE = "additive"
    EXCLUSIVE = "exclusive"


class Accept(Enum):
    """A loss of precision that a rule accepts by name."""

    PORT_ONLY = "port-only"
    ANY_TYPE = "any-type"
    ANY_PORT = "any-port"
    INTERNET_AS_ANYWHERE = "internet-as-anywhere"

"""Giving enforcement points back as they were before us: which workloads `release` means, and whether the policy agrees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cloudsync.compile.universe import enforcement
from cloudsync.inventory.values import Inventory
from cloudsync.model.errors import InputError, RefusedError
from cloudsync.model.finding import Finding, Where
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import PointId, Workload, WorkloadId
from cloudsync.policy.values import Policy
from cloudsync.policy.words import did_you_mean, listed

COMMAND_LINE = Where("command line")
LISTED = 5


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be given back: workloads by name, native id or one of their points; or all of some targets, with these labels."""

    names: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def words(self) -> str:
        """It in words, for people and for the reason of a hold."""
        with_labels = " ".join(f"{key}={value}" for key, value in self.labels)
        return ", ".join(self.names) or (f"{with_labels} in " if with_labels else "all of ") + ", ".join(self.targets)


@dataclass(slots=True)
class Chooser:
    """Finds the workloads of a wish in what a run sees. `still`: given back although the policy enforces them.

    With `hold` that is meant; otherwise it is refused, because the next run would take them again.
    """

    wish: Wish
    policy: Policy
    hold: bool
    chosen: tuple[Workload, ...] = ()
    still: tuple[Workload, ...] = ()

    def __call__(self, inventory: Inventory) -> frozenset[WorkloadId]:
        """Return the workloads to give back. Raises InputError or RefusedError STILL-ENFORCED; nothing was written then."""
        self.chosen = tuple(sorted(_chosen(self.wish, inventory), key=lambda one: one.id))
        self.still = tuple(one for one in self.chosen if enforcement(self.policy, one.labels).mode.enforced)
        if self.still and not self.hold:
            names = ", ".join(one.name for one in self.still[:LISTED]) + (" and more" if len(self.still) > LISTED else "")
            message = f"the policy enforces {len(self.still)} of these workloads ({names}): the next run would take them again"
            hint = (
                "put them in mode visibility or idle under `enforcement:` of the policy, then release; or add --hold: they are given back "
                "now, and nothing is written to their targets until somebody lifts the hold"
            )
            raise RefusedError("STILL-ENFORCED", message, hint)
        return frozenset(one.id for one in self.chosen)

    def targets(self) -> frozenset[str]:
        """Return the targets of what is given back; nothing before the workloads were asked for."""
        return frozenset(one.target for one in self.chosen)


def _chosen(wish: Wish, inventory: Inventory) -> Iterator[Workload]:
    ours = [one for one in inventory.workloads if any(_points(one))]
    if not wish.names:
        found = [one for one in ours if one.target in wish.targets and all(one.labels.get(key) == value for key, value in wish.labels)]
        if not found:
            hint = "cloudsync explain NAME tells the labels of a workload"
            raise InputError([Finding(COMMAND_LINE, "NO-WORKLOAD", f"no workload is {wish.words}", hint)])
        yield from found
        return
    findings: list[Finding] = []
    for name in dict.fromkeys(wish.names):
        meant = [one for one in ours if name in {one.id, one.ref, *_points(one)}] or [one for one in ours if one.name == name]
        if len(meant) == 1:
            yield meant[0]
            continue
        if meant:
            hint = f"name one of {', '.join(one.id for one in meant[:LISTED])}"
            findings.append(Finding(COMMAND_LINE, "AMBIGUOUS-WORKLOAD", f"{len(meant)} workloads are called '{name}'", hint))
        else:
            hint = did_you_mean(name, sorted({one.name for one in ours}), "a workload's name, its native id, or one of its points")
            findings.append(
                Finding(COMMAND_LINE, "UNKNOWN-WORKLOAD", f"no workload '{name}' has an enforcement point in these targets", hint)
            )
    if findings:
        raise InputError(findings)


def _points(workload: Workload) -> Iterator[PointId]:
    yield from (one.point for one in workload.interfaces if one.point is not None)


def labels_of(words: Iterable[str], policy: Policy) -> tuple[tuple[str, str], ...]:
    """Return `key=value` words as pairs that the policy declares. Raises InputError."""
    found: list[tuple[str, str]] = []
    for word in words:
        key, equals, value = word.partition("=")
        keys = [name for name, _ in policy.labels]
        if key not in keys:
            hint = did_you_mean(key, keys, f"labels are: {listed(keys)}")
            raise InputError([Finding(COMMAND_LINE, "UNKNOWN-LABEL", f"--label {word}: the policy declares no such label", hint)])
        known = policy.values(key)
        if not equals or not value:
            hint = f"want --label {key}=VALUE; values are: {listed(known)}"
            raise InputError([Finding(COMMAND_LINE, "MISSING-VALUE", f"--label {word} has no value", hint)])
        if value not in known:
            hint = did_you_mean(value, known, f"values are: {listed(known)}")
            raise InputError([Finding(COMMAND_LINE, "UNKNOWN-VALUE", f"--label {word}: {key} has no value '{value}'", hint)])
        found.append((key, value))
    return tuple(found)

"""Plan files of random estates and policies over the labs of all platforms, made by the product's own command line."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloudsync.adapter import Adapter, Table
from cloudsync.app.session import Session, start
from tests.oracle import four_aws, four_case
from tests.oracle.campaign import environment
from tests.oracle.four_grounds import AzureGround, F5Ground, GcpGround, Ground
from tests.oracle.four_rig import FourRig

Json = dict[str, Any]
PLATFORMS = ("aws", "gcp", "azure", "f5")
MODES = ("exclusive", "additive")
_POOL = ("203.0.113.0/24", "!203.0.113.7", "2001:db8:10::/48", "198.51.100.0/25", "10.40.1.0/28")


def grounds(names: Iterable[str], folder: Callable[[str], Path]) -> dict[str, Ground]:
    """Start the labs of some platforms."""
    made: dict[str, Callable[[Path], Ground]] = {"gcp": GcpGround, "azure": AzureGround, "f5": F5Ground}
    return {name: four_aws.start() if name == "aws" else made[name](folder(name)) for name in names}


@dataclass(frozen=True)
class Saved:
    """A plan file, with what its targets' plans start from as the product has it, for a second opinion on alterations."""

    content: str
    tables: Mapping[str, tuple[Adapter, Table]]


def plans(rig: FourRig, seed: int, modes: Mapping[str, str], more: Mapping[str, Json] | None = None) -> Iterator[Saved]:
    """Yield a first plan of a random policy, and after it was applied that of a second one, with a workload relabelled."""
    case = four_case.scene(rig, seed, modes, more)
    if case is None:
        return
    yield _plan(rig)
    if rig.converge().code != 0:
        return
    rng = random.Random(1000 + seed)
    for name in modes:
        rig.grounds[name].relabel(rng)
    if four_case.draw(rig, rng, [machine.name for machine in case.look.machines], _POOL, more or {}) is not None:
        yield _plan(rig)


@contextmanager
def opened(rig: FourRig) -> Iterator[Session]:
    """Open a run of the product over the rig's repository and labs, in this process."""
    wanted = {key: value for name in rig.modes for key, value in rig.grounds[name].environment().items()}
    with environment(NO_PROXY="127.0.0.1", no_proxy="127.0.0.1", **wanted), start(rig.root, (), verb="plan") as session:
        yield session


def _plan(rig: FourRig) -> Saved:
    file = rig.root / "saved-plan.json"
    file.unlink(missing_ok=True)
    with opened(rig) as session:
        found = session.plan("plan")
        found.save(file)
    tables = {
        one.reading.target.name: (one.reading.adapter, one.built.actual) for one in found.planned if one.built and one.reading.adapter
    }
    return Saved(file.read_text(encoding="utf-8"), tables)

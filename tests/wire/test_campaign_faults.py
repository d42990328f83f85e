"""Every single fault at every write of a run: before it took effect and after. Then the next run converges, and nothing was exposed or cut.

One transition of an estate is run once without faults to number its writes; then once per write and kind of fault from the same start.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cloudsync.lab import server
from tests.oracle import campaign, cloud, estates, wiretap
from tests.oracle.campaign import Lens, Rig, Watch, World
from tests.oracle.draw import GROUPS, SERVICES, VOCABULARY, port
from tests.oracle.language import Book, Chapter, End, Held, Labelled, Listed, Sentence, What

SSH, HTTPS = What("ssh", SERVICES["ssh"]), What("https", SERVICES["https"])
PG = What("tcp/5432", (port(6, 5432),))
KINDS = ("reset_before", "reset_after", "error_500", "garbage_after", "throttle")
EVERY = os.environ.get("CLOUDSYNC_FAULTS_EVERY") == "1"
"""All kinds at all writes; without it every write is cut before and after, and the other kinds take turns."""


def who(**labels: str) -> End:
    return End(Labelled(tuple((key, (value,)) for key, value in sorted(labels.items()))))


def book(*rules: Sentence, egress: str = "leave") -> Book:
    lists = {"corp": ("203.0.113.0/24", "!203.0.113.7"), "edge": ("198.51.100.0/25", "2001:db8:10::/48"), "partners": ("192.0.2.0/24",)}
    return Book(VOCABULARY, GROUPS, lists, SERVICES, Held(None, "full", egress), (), (Chapter("all", (), rules),))


BEFORE = book(
    Sentence("allow", (who(role="web"),), (who(role="db"),), (PG,)),
    Sentence("allow", (End(Listed("corp")),), (who(role="web"),), (HTTPS, SSH)),
    Sentence("allow", (who(role="lb"),), (who(role="web"),), (HTTPS,)),
)
AFTER = book(
    Sentence("allow", (who(role="app"), who(role="web")), (who(role="db"),), (PG,)),
    Sentence("allow", (End(Listed("edge")),), (who(role="web"),), (HTTPS,)),
    Sentence("allow", (who(env="prod"),), (who(role="app"),), (SSH,)),
    Sentence("never allow", (who(env="dev"),), (who(role="db"),), (PG,)),
)


@dataclass(frozen=True)
class Step:
    """One transition: what stands at the start, what is wanted."""

    name: str
    start: Book | None
    wanted: Book


STEPS = (Step("adoption", None, BEFORE), Step("change", BEFORE, AFTER))


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with server.running(estate="empty", seed=1) as lab, wiretap.tapping(lab.endpoint) as tap:
        yield Rig(lab, tap, tmp_path_factory.mktemp("repository"), probe_limit=70)
        cloud.close()


def prepare(rig: Rig, step: Step, mode: str) -> tuple[Lens, World, World]:
    """Bring the estate to the start of a transition; return the lens, the world before us, and the world at the start."""
    rig.fresh(11)
    rng = __import__("random").Random(11)
    builder = estates.Builder(rig.access(), rng)
    net = builder.net(0, six=True)
    builder.old_group(net, "old-0")
    builder.old_group(net, "old-1")
    for number, role in enumerate(("web", "web", "app", "db", "lb")):
        builder.machine(net, {"role": role, "env": "dev" if number == 1 else "prod", "app": "shop"}, f"m-{number}")
    rig.write(step.wanted, mode)
    look = campaign.lens(rig, step.wanted, 11)
    origin = look.world(rig.estates())
    if step.start is not None:
        rig.write(step.start, mode)
        ran = rig.converge()
        assert ran.code == 0, str(ran)
        rig.write(step.wanted, mode)
    start = look.world(rig.estates())
    rig.tap.reset()
    return look, origin, start


def kinds_at(number: int) -> tuple[str, ...]:
    if EVERY:
        return KINDS
    return ("reset_after", ("reset_before", "error_500", "garbage_after", "throttle")[number % 4])


def quiet_run(rig: Rig, step: Step, mode: str) -> int:
    """Run the transition without a fault; return how many writes it took."""
    look, origin, start = prepare(rig, step, mode)
    watch = Watch(rig, look)
    rig.tap.seen = watch
    ran = rig.converge()
    assert ran.code == 0, str(ran)
    end = look.world(rig.estates())
    wrong = campaign.differences(look, end, origin, mode)
    assert not wrong, "\n".join(wrong[:10])
    moments = campaign.transients(look, start, end, watch.worlds)
    assert not moments, "\n".join(moments[:10])
    return rig.tap.writes


def test_a_few_cut_writes_heal(rig: Rig) -> None:
    step = STEPS[1]
    writes = quiet_run(rig, step, "exclusive")
    for number, kind in ((1, "reset_after"), (writes // 2, "garbage_after"), (writes, "reset_before")):
        cut_once(rig, step, "exclusive", wiretap.Cut(number, kind))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["exclusive", "additive"])
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_every_cut_write_heals(rig: Rig, step: Step, mode: str) -> None:
    writes = quiet_run(rig, step, mode)
    assert writes > 3
    for number in range(1, writes + 1):
        for kind in kinds_at(number):
            cut_once(rig, step, mode, wiretap.Cut(number, kind))


def cut_once(rig: Rig, step: Step, mode: str, cut: wiretap.Cut) -> None:
    told = f"{step.name} {mode}: {cut.kind} at write {cut.number}"
    look, origin, start = prepare(rig, step, mode)
    others = campaign.foreign(rig.estates())
    watch = Watch(rig, look)
    rig.tap.seen, rig.tap.cut = watch, cut
    first = rig.converge()
    assert rig.tap.fired, f"{told}: the fault never came\n{first}"
    assert first.code in (0, 5), f"{told}\n{first}"
    rig.tap.cut = None
    settled = rig.converge()
    assert settled.code == 0, f"{told}: next run\n{first}\n{settled}"
    now = look.world(rig.estates())
    wrong = campaign.differences(look, now, origin, mode)
    assert not wrong, f"{told}\n" + "\n".join(wrong[:10])
    moments = campaign.transients(look, start, now, watch.worlds)
    assert not moments, f"{told}\n" + "\n".join(moments[:10])
    assert campaign.foreign(rig.estates()) == others, f"{told}: a group of somebody else changed"
    before = rig.tap.writes
    again = rig.run("apply", "--yes")
    assert (again.code, rig.tap.writes) == (0, before), f"{told}: third run\n{again}\n{rig.tap.calls[-3:]}"

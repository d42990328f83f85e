"""Half a day of the daemon with a real mail server: outsiders, a server that is down, a kill, a lost state: told once, each of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from cloudsync.app.deliver import deliver, shout
from cloudsync.app.repository import Loaded
from cloudsync.report.story import Story
from tests.service.post_office import Office, post_office
from tests.service.simulated import Simulated
from tests.service.small_world import POLICY, World
from tests.service.test_daemon_day import ssh_from

HOUR = 3600.0


class KilledError(BaseException):
    """As good as SIGKILL: nothing that follows happens."""


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with post_office(tmp_path) as one:
        yield one


@pytest.fixture
def day(world: World, office: Office) -> Simulated:
    """A daemon whose news go to a real mail server."""

    def told(root: Path, loaded: Loaded, story: Story) -> None:
        deliver(root, loaded, story, world.clock)

    def shouted(root: Path, loaded: Loaded, story: Story) -> None:
        shout(root, loaded, story, world.clock)

    world.settings(more=office.settings())
    return Simulated(world, deliver=told, shout=shouted, look_s=HOUR)


def told_of(office: Office) -> Counter[int]:
    """Return which edits the mailbox tells of, and in how many mails."""
    found: Counter[int] = Counter()
    for mail in office.mailbox():
        body = mail.get_body(("plain",))
        assert body is not None
        found.update({int(number) for number in re.findall(r"198\.51\.100\.(\d+)", body.get_content())})
    return found


def once_each(office: Office) -> bool:
    """Tell whether no mail came twice."""
    ids = [str(mail["Message-ID"]) for mail in office.mailbox()]
    return len(ids) == len(set(ids))


def test_each_edit_is_mailed_once_whatever_happens_to_the_server(day: Simulated, world: World, office: Office) -> None:
    for number in range(12):
        day.after(400 + 1700 * number, partial(world.edit, "one", ssh_from(number)))
    day.after(1.5 * HOUR, office.site.down)
    day.after(3.5 * HOUR, office.site.up)
    day.run(8 * HOUR)
    assert told_of(office) == Counter(dict.fromkeys(range(12), 1))
    assert once_each(office)
    assert {line["exit"] for line in day.events("run.end")} == {0}
    assert len(day.events("run.end")) == 96


@pytest.mark.parametrize("moment", ["before the write", "after the write"])
def test_a_kill_loses_nothing_and_doubles_nothing(day: Simulated, world: World, office: Office, moment: str) -> None:
    day.run(400)

    def dies(_number: int) -> None:
        world.platforms["one"].after_write = world.platforms["one"].before_write = lambda _n: None
        raise KilledError

    def edited() -> None:
        world.edit("one", ssh_from(1))
        setattr(world.platforms["one"], "after_write" if moment == "after the write" else "before_write", dies)

    day.after(310, edited)
    with pytest.raises(KilledError):
        day.run(HOUR)
    assert office.mailbox() == []
    day.run(HOUR)
    assert world.clean("one", ssh_from(1))
    if moment == "before the write":
        assert told_of(office) == {1: 1}
        assert len(office.mailbox()) == 1
    else:
        (mail,) = office.mailbox()
        assert "a run was cut before it could tell what it did" in str(mail.get_body(("plain",)))


def test_a_state_that_cannot_be_used_is_mailed_at_once_without_it(day: Simulated, world: World, office: Office) -> None:
    state = world.root / ".cloudsync"
    day.after(400, lambda: state.chmod(0o755))
    day.after(900, office.site.down)
    day.after(2 * HOUR, office.site.up)
    counts: list[int] = []
    day.after(890, lambda: counts.append(len(office.mailbox())))
    day.after(2.5 * HOUR, lambda: counts.append(len(office.mailbox())))
    day.after(2.6 * HOUR, lambda: state.chmod(0o700))
    day.run(4 * HOUR)
    assert counts == [1, 2], "the trouble at once; the dead man's alarm when there was a server again"
    assert once_each(office)
    bodies = [str(mail.get_body(("plain",))) for mail in office.mailbox()]
    assert "PRE-MODE" in bodies[0]
    assert "no run could be made" in bodies[1]
    (last,) = bodies[2:]
    assert "the state can be used again" in last
    assert "runs are made again" in last


def test_a_broken_commit_is_mailed_once_and_its_end_once(day: Simulated, world: World, office: Office) -> None:
    world.commit("start")
    day.look_s = 30.0
    day.after(310, lambda: world.write("policy/all.yaml", POLICY.replace("tcp/443", "tcp/99999")))
    day.after(311, lambda: world.commit("oops"))
    day.after(1.5 * HOUR, lambda: world.write("policy/all.yaml", POLICY))
    day.after(1.5 * HOUR + 1, lambda: world.commit("mended"))
    day.run(3 * HOUR)
    first, second = office.mailbox()
    assert "BAD-PORT" in str(first.get_body(("plain",)))
    assert "is in force" in str(second["Subject"])

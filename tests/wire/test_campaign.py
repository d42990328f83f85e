"""The campaign: random policies on random estates, applied through the command line against the lab, judged from the raw EC2 API.

0 differing packets, a silent second run, safe at every moment of the way. `make sim SEED=7 N=100` runs more of it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest

from cloudsync.lab import server
from tests.oracle import campaign, cloud, estates, wiretap
from tests.oracle.campaign import Lens, Rig, Watch, World
from tests.oracle.draw import Drawer
from tests.oracle.language import Book
from tests.oracle.reading import Address
from tests.oracle.seeds import seeds

MODES = ("exclusive", "additive")


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with server.running(estate="empty", seed=1) as lab, wiretap.tapping(lab.endpoint) as tap:
        yield Rig(lab, tap, tmp_path_factory.mktemp("repository"))
        cloud.close()


def scene(rig: Rig, seed: int, mode: str) -> Book:
    """Build a random estate and write a random policy that the product accepts; the seed decides everything."""
    rig.fresh(seed)
    built = estates.small(rig.access(), seed)
    rng = random.Random(seed)
    for _ in range(5):
        book = Drawer(rng, built.names, built.pool()).book()
        rig.write(book, mode)
        checked = rig.run("validate")
        if checked.code == 0:
            return book
        assert checked.code == 3, str(checked)
        assert "DEAD-ALLOW" in checked.out + checked.err, f"seed {seed}: a drawn policy is refused\n{checked}\n{book.yaml()}"
    pytest.skip(f"seed {seed}: five draws in a row held an allow that never rules eat whole")


def converges(rig: Rig, told: str) -> bool:
    """Converge, or be refused with good reason: more entries than the quotas hold, or no safe way within them. Then nothing is written."""
    ran = rig.converge()
    refused = ran.code == 4 and re.findall(r"REFUSED (\S+)", ran.out)
    if refused and set(refused) <= {"G-QUOTA", "G-PROOF"}:
        assert not rig.tap.mutating(), f"{told}: refused, and yet it wrote\n{ran}"
        return False
    assert ran.code == 0, f"{told}\n{ran}\n{(rig.root / 'policy' / 'drawn.yaml').read_text(encoding='utf-8')}"
    return True


def must_be_silent(rig: Rig, told: str) -> None:
    before = len(rig.tap.mutating())
    again = rig.run("apply", "--yes")
    assert again.code == 0, f"{told}: second run\n{again}"
    extra = rig.tap.mutating()[before:]
    assert not extra, f"{told}: a second run made {[call.action for call in extra]}\n{again}"


def must_match(look: Lens, now: World, before: World, mode: str, told: str) -> None:
    found = campaign.differences(look, now, before, mode)
    assert not found, f"{told}: {len(found)} differing packets\n" + "\n".join(found[:12]) + "\n" + look.book.yaml()


def case(rig: Rig, seed: int, mode: str) -> bool:
    """One whole case: converge, compare, run again; watch every write. False when the quotas do not hold what the policy asks for."""
    told = f"seed {seed} {mode}"
    book = scene(rig, seed, mode)
    look = campaign.lens(rig, book, seed)
    foreign, idle = campaign.foreign(rig.estates()), campaign.carried(look, rig.estates())
    origin = look.world(rig.estates())
    watch = Watch(rig, look)
    rig.tap.seen = watch
    if not converges(rig, told):
        return False
    now = look.world(rig.estates())
    must_match(look, now, origin, mode, told)
    moments = campaign.transients(look, origin, now, watch.worlds)
    assert not moments, f"{told}\n" + "\n".join(moments[:12])
    must_be_silent(rig, told)
    assert campaign.foreign(rig.estates()) == foreign, f"{told}: a group of somebody else changed"
    assert campaign.carried(look, rig.estates()) == idle, f"{told}: an interface of an idle machine changed"
    must_be_minimal(rig, told)
    return True


def must_be_minimal(rig: Rig, told: str) -> None:
    """At most one Authorize and one Revoke per group and direction, one Create per group, and no read per group."""
    seen: dict[tuple[str, str], int] = {}
    for call in rig.tap.mutating():
        target = (
            call.form.get("GroupId")
            or call.form.get("GroupName", "") + call.form.get("VpcId", "")
            or call.form.get("NetworkInterfaceId")
            or call.form.get("PrefixListId")
        )
        key = (call.action, target or "")
        seen[key] = seen.get(key, 0) + 1
    twice = {
        key: count
        for key, count in seen.items()
        if count > 1 and "PrefixList" not in key[0] and key[0] != "ModifyNetworkInterfaceAttribute"
    }
    assert not twice, f"{told}: {twice}"


def change(rig: Rig, seed: int, mode: str) -> bool:
    """From one random policy to another, with a machine relabelled on the way; False when the quotas do not hold one of them."""
    told = f"seed {seed} {mode} change"
    first = scene(rig, seed, mode)
    look = campaign.lens(rig, first, seed)
    rng = random.Random(1000 + seed)
    pool = ["203.0.113.0/24", "!203.0.113.7", "2001:db8:10::/48", "198.51.100.0/25", "10.20.1.0/28", "10.21.1.10"]
    second = Drawer(rng, [machine.name for machine in look.machines], pool).book()
    other = campaign.lens(rig, second, seed)
    wide = Lens(second, look.machines, sorted({*look.services, *other.services}), sorted_addresses(look, other))
    origin, there = wide.world(rig.estates()), groups_of_cards(rig)
    if not converges(rig, told):
        return False
    rig.write(second, mode)
    relabel(rig, rng, look)
    if rig.run("validate").code != 0:
        return False
    wide.machines = campaign.lens(rig, second, seed).machines
    start, ours = wide.world(rig.estates()), adopted(rig)
    rig.tap.reset()
    watch = Watch(rig, wide)
    rig.tap.seen = watch
    if not converges(rig, told):
        return False
    now = wide.world(rig.estates())
    moments = campaign.transients(wide, start, now, watch.worlds)
    assert not moments, f"{told}\n" + "\n".join(moments[:12])
    must_be_silent(rig, told)
    must_match(wide, now, {packet: (origin if packet[0] in ours else start)[packet] for packet in start}, mode, told)
    for ref, groups in campaign.carried(wide, rig.estates()).items():
        assert groups == there[ref], f"{told}: {ref} is not enforced any more, and has not got back what it had"
    return True


def groups_of_cards(rig: Rig) -> dict[str, tuple[str, ...]]:
    """Return the groups of every interface."""
    return {ref: tuple(sorted(one["GroupId"] for one in card["Groups"])) for estate in rig.estates() for ref, card in estate.cards.items()}


def adopted(rig: Rig) -> frozenset[str]:
    """Return the interfaces that carry a group of ours: for them the past is what stood there before the first run."""
    found: set[str] = set()
    for estate in rig.estates():
        ours = {name for name, group in estate.groups.items() if "cloudsync:owner" in {one["Key"] for one in group.get("Tags", ())}}
        found.update(ref for ref, card in estate.cards.items() if ours & {one["GroupId"] for one in card["Groups"]})
    return frozenset(found)


def relabel(rig: Rig, rng: random.Random, look: Lens) -> None:
    """Give one machine another role, as somebody with tagging rights would."""
    machine = rng.choice(look.machines)
    rig.access().client().create_tags(Resources=[machine.ref], Tags=[{"Key": "Role", "Value": rng.choice(["web", "db", "nothing"])}])


def sorted_addresses(one: Lens, other: Lens) -> list[Address]:
    return sorted({*one.addresses, *other.addresses}, key=lambda address: (address.version, int(address)))


@pytest.mark.parametrize("mode", MODES)
def test_random_policies_on_random_estates(rig: Rig, sim_seed: int | None, mode: str) -> None:
    done = [case(rig, seed, mode) for seed in seeds(sim_seed, (1,))]
    assert all(done) or sim_seed is not None


@pytest.mark.parametrize("mode", MODES)
def test_random_changes_of_random_policies(rig: Rig, sim_seed: int | None, mode: str) -> None:
    done = [change(rig, seed, mode) for seed in seeds(sim_seed, (1,))]
    assert all(done) or sim_seed is not None


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_more_random_policies_and_changes(rig: Rig, mode: str) -> None:
    done = [case(rig, seed, mode) for seed in range(2, 20)] + [change(rig, seed, mode) for seed in range(2, 12)]
    assert sum(done) > len(done) * 2 // 3, "most drawn policies fit the quotas; a refusal is the exception"

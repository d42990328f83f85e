"""One whole case of a campaign over any platforms: random estates and policy, converge, compare, run again, and what passed between."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.oracle import four_campaign
from tests.oracle.campaign import Ran
from tests.oracle.four_campaign import Lens, Watch, World
from tests.oracle.four_draw import Drawer4
from tests.oracle.four_ground import Estate, Json
from tests.oracle.four_rig import FourRig
from tests.oracle.language import Book

KNOWN = frozenset({"G-QUOTA", "G-PROOF", "FOREIGN-ABOVE", "AZURE-OUTRANKED"})
"""Refusals that a random estate may earn: more than the limits hold, no safe way, and rules of others above ours that must stay because
they also act on machines that nobody enforces."""


@dataclass
class Tally:
    """What a campaign came to."""

    cases: int = 0
    """Targets that were converged and compared; four in one run are four."""
    refused: Counter[str] = field(default_factory=Counter)
    """Refused targets by code."""
    packets: int = 0
    states: int = 0
    """States on the way that were looked at."""

    def text(self) -> str:
        """Return it in a line."""
        said = ", ".join(f"{code} {count}" for code, count in self.refused.most_common())
        return f"{self.cases} targets, {self.packets} packets, {self.states} states on the way, refused: {said or 'none'}"

    @property
    def share(self) -> float:
        """Return the share of refused targets."""
        return self.refused.total() / max(1, self.cases + self.refused.total())


@dataclass
class Case:
    """A case on its way. `origin` is what stood there before the product came, `foreign` all that is not its own."""

    rig: FourRig
    told: str
    book: Book
    look: Lens
    origin: World
    foreign: dict[str, dict[str, str]]
    estates: dict[str, Estate]
    """The raw readings that `origin` comes from."""
    more: Mapping[str, Json] = field(default_factory=dict)

    def say(self, ran: Ran) -> str:
        """Return what a reader of a failure needs: why it was refused first."""
        why = "".join(re.findall(r" *REFUSED [^\n]+\n(?:      [^\n]+\n)*", ran.out))
        return f"{self.told}: exit {ran.code}\n{why}{ran}\n{self.rig.policy()}"


def draw(rig: FourRig, rng: random.Random, names: Iterable[str], pool: Iterable[str], more: Mapping[str, Json]) -> Book | None:
    """Write a random policy that the product accepts; None when six in a row hold an allow that never rules eat whole."""
    for _ in range(6):
        book = Drawer4(rng, list(names), list(pool), rig.modes).book()
        rig.write(book, more)
        checked = rig.run("validate")
        if checked.code == 0:
            return book
        assert checked.code == 3, str(checked)
        assert "DEAD-ALLOW" in checked.out + checked.err, f"a drawn policy is refused\n{checked}\n{book.yaml()}"
    return None


def scene(rig: FourRig, seed: int, modes: Mapping[str, str], more: Mapping[str, Json] | None = None) -> Case | None:
    """Build random estates and write a random policy; the seed decides everything."""
    built = rig.fresh(seed, modes)
    book = draw(rig, random.Random(seed), built.names, built.pool, more or {})
    if book is None:
        return None
    look = four_campaign.lens(rig, book, seed)
    estates = rig.estates()
    foreign = {name: estate.foreign() for name, estate in estates.items()}
    return Case(rig, f"seed {seed} {dict(modes)} {more or ''}", book, look, look.world(estates), foreign, estates, more or {})


def refused(ran: Ran) -> dict[str, str]:
    """Return the targets that were refused, with a code of each; what a person may approve comes last."""
    found: dict[str, str] = {}
    for code, target in re.findall(r"REFUSED (\S+) (\w+):", ran.out):
        if target not in found or code in KNOWN:
            found[target] = code
    if "the certificate does not hold" in ran.out:
        found = {target: "CERTIFICATE" if code == "G-PROOF" else code for target, code in found.items()}
    return found


def settle(case: Case, tally: Tally, *, watch: str = "", outrank: bool = False) -> frozenset[str]:
    """Converge and judge; return the targets that were refused. `watch` names the platform whose every state on the way is looked at."""
    rig, look = case.rig, case.look
    start = look.world(rig.estates())
    before = rig.writes()
    eye = Watch(rig, look, watch) if watch else None
    if eye is not None:
        eye.begin()
    ran = rig.converge()
    if eye is not None:
        eye.end()
    gone = refused(ran)
    assert ran.code == 0 or (ran.code == 4 and gone and set(gone.values()) <= KNOWN), case.say(ran)
    writes = rig.writes()
    assert all(writes[name] == before[name] for name in gone), f"refused, and yet it wrote: {before} -> {writes}\n{case.say(ran)}"
    tally.refused.update(gone.values())
    kept = frozenset(rig.modes) - frozenset(gone)
    tally.cases += len(kept)
    if not kept:
        return frozenset(gone)
    estates = rig.estates()
    now = look.world(estates)
    must_match(case, now, kept, tally, outrank=outrank)
    must_leave_alone(case, estates, kept)
    if eye is not None and watch in kept:
        tally.states += len(eye.worlds)
        moments = four_campaign.moments(look, start, now, eye.worlds)
        assert not moments, f"{case.told}\n" + "\n".join(moments[:12]) + "\n" + case.say(ran)
    again = rig.run("apply", "--yes")
    assert again.code in (0, 4 if gone else 0), case.say(again)
    assert rig.writes() == writes, f"a second run made {writes} -> {rig.writes()}\n{case.say(again)}"
    return frozenset(gone)


def must_match(case: Case, now: World, kept: frozenset[str], tally: Tally, *, outrank: bool = False) -> None:
    """Every packet at every target that was not refused is decided as the policy says."""
    look = case.look
    found = four_campaign.differences(look, now, case.origin, case.rig.modes, outrank=outrank)
    wrong = [one.text(look) for one in found if one.platform in kept]
    tally.packets += sum(len(look.services) for key in now if look.home[key[0]] in kept)
    assert not wrong, f"{case.told}: {len(wrong)} differing packets\n" + "\n".join(wrong[:12]) + "\n" + case.rig.policy()


def must_leave_alone(case: Case, estates: Mapping[str, Estate], kept: frozenset[str]) -> None:
    """What is somebody else's is byte for byte as it was; in `exclusive` all but rules at enforced points."""
    for name in kept:
        was, now = case.foreign[name], estates[name].foreign()
        names = set(was) | set(now)
        if case.rig.modes[name] == "exclusive":
            names = {one for one in names if not one.startswith("rule ")}
        changed = sorted(one for one in names if was.get(one) != now.get(one))
        assert not changed, f"{case.told}: {name}: changed though not ours: {changed[:5]}"


def change(case: Case, seed: int, tally: Tally, *, watch: str = "") -> bool:
    """From the converged case to another random policy, one workload relabelled on the way; False when there is no such policy.

    What stood there before the first run stays the past: at enforced points it was recorded, everywhere else nobody has touched it.
    """
    rig, rng = case.rig, random.Random(1000 + seed)
    for name in rig.modes:
        rig.grounds[name].relabel(rng)
    pool = ["203.0.113.0/24", "!203.0.113.7", "2001:db8:10::/48", "198.51.100.0/25", "10.40.1.0/28", "10.60.0.11", "10.80.2.8/29"]
    names = [machine.name for machine in case.look.machines]
    second = draw(rig, rng, names, pool, case.more)
    if second is None:
        return False
    here = four_campaign.lens(rig, second, seed)
    there = case.look
    wide = Lens(
        second,
        here.machines,
        sorted({*here.services, *there.services}),
        sorted({*here.addresses, *there.addresses}, key=lambda one: (one.version, int(one))),
        here.home,
        here.bystanders,
    )
    origin = wide.world(case.estates)
    estates = rig.estates()
    foreign = {name: {**estate.foreign(), **_rules(case.foreign[name])} for name, estate in estates.items()}
    settle(Case(rig, f"{case.told} change", second, wide, origin, foreign, case.estates, case.more), tally, watch=watch)
    return True


def _rules(foreign: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in foreign.items() if name.startswith("rule ")}


def tamper(case: Case, seed: int, tally: Tally) -> None:
    """Somebody edits objects of ours on every platform: told as drift where any packet fares otherwise, and taken back by the next run."""
    rig, rng = case.rig, random.Random(2000 + seed)
    before = case.look.world(rig.estates())
    done = {name: rig.grounds[name].tamper(rng) for name in rig.modes}
    if not any(done.values()):
        return
    after = case.look.world(rig.estates())
    seen = {case.look.home[key[0]] for key, row in after.items() if row != before[key]}
    told = rig.run("drift")
    must = [name for name in seen if rig.modes[name] == "exclusive"]  # additive promises no packet closed that others let in
    assert told.code == 2 or (told.code == 0 and not must), f"tampered with {done}, seen at {seen}\n{case.say(told)}"
    again = Case(rig, f"{case.told} tampered with {done}", case.book, case.look, case.origin, case.foreign, case.estates, case.more)
    settle(again, tally)

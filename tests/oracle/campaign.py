"""One rig for every campaign: a lab, a tap in front of it, a config repository, and the product's own command line run in this process.

The oracle's question after every run: does the raw EC2 API let through exactly what the independent reading of the policy says?
And between the writes of a run: was anything open that neither the old nor the new state opens, or cut that both allow?
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cloudsync.cli.main import main
from cloudsync.lab import server
from tests.oracle import cloud, probes, wiretap
from tests.oracle.cloud import Access, Estate
from tests.oracle.draw import VOCABULARY
from tests.oracle.language import Book
from tests.oracle.reach import Reach
from tests.oracle.reading import NAMED, Address, Card, Machine, Reading, Service

Packet = tuple[str, bool, Address]
"""An interface, whether inbound, and a peer; the services stand beside it as bits."""
World = dict[Packet, int]

SETTINGS = """\
owner: {owner}
policy: policy/
inventory: inventory/
targets:
{targets}
labels_from:
  - {{tag: Role, label: role, lower: true}}
  - {{tag: Environment, label: env, lower: true, map: {{production: prod}}}}
  - {{tag: App, label: app, lower: true}}
schedule: {{every: 5m}}
guards: {{max_removed_rules: 100%, max_affected_workloads: 100%, max_gone_workloads: 100%, open_to_internet: allow}}
"""


@dataclass(frozen=True)
class Ran:
    """One run of the command line."""

    code: int
    out: str
    err: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"$ cloudsync {' '.join(self.words)} -> {self.code}\n{self.out}{self.err}"


@dataclass
class Rig:
    """Everything a campaign works with; `target_lines` are the settings' targets."""

    lab: server.Lab
    tap: wiretap.Tap
    root: Path
    owner: str = "oracle"
    regions: tuple[str, ...] = ("us-east-1",)
    accounts: tuple[str, ...] = ()
    probe_limit: int = 220
    log: list[Ran] = field(default_factory=list)

    # --- the cloud -----------------------------------------------------------------------------------------------

    def access(self, account: str = "", region: str = "") -> Access:
        """Return direct access to an account, past the tap."""
        wanted = account or self.lab.state.account
        one = next(each for each in self.lab.state.accounts if each.account == wanted)
        return Access(self.lab.endpoint, one.account, one.access_key_id, one.secret_access_key, region or self.regions[0])

    def estates(self) -> list[Estate]:
        """Read every account and region in play, raw."""
        return [cloud.read(self.access(account, region)) for account in self.accounts or ("",) for region in self.regions]

    def fresh(self, seed: int) -> None:
        """Empty the cloud, the tap's memory and the product's state."""
        self.lab.control.reset("empty", seed)
        self.tap.reset()
        self.log.clear()
        for path in sorted(self.root.rglob("*"), reverse=True):
            path.unlink() if path.is_file() or path.is_symlink() else path.rmdir()

    # --- the product ---------------------------------------------------------------------------------------------

    def write(self, book: Book, mode: str, *, inventory: str = "") -> None:
        """Write the config repository."""
        self.write_text(book.yaml(), mode, inventory=inventory)

    def write_text(self, policy: str, mode: str, *, inventory: str = "") -> None:
        """Write the config repository around the text of one policy file."""
        for folder in ("policy", "inventory"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        targets = []
        for account in self.accounts or (self.lab.state.account,):
            profile = "" if account == self.lab.state.account else f", role_arn: arn:aws:iam::{account}:role/cloudsync"
            regions = ", ".join(self.regions)
            targets.append(
                f'  - {{name: aws-{account}, adapter: aws, mode: {mode}, account: "{account}", regions: [{regions}], settle: 0s, '
                f'endpoint: "{self.tap.endpoint}"{profile}}}'
            )
        (self.root / "cloudsync.yaml").write_text(SETTINGS.format(owner=self.owner, targets="\n".join(targets)), encoding="utf-8")
        (self.root / "policy" / "drawn.yaml").write_text(policy, encoding="utf-8")
        if inventory:
            (self.root / "inventory" / "static.yaml").write_text(inventory, encoding="utf-8")

    def run(self, *words: str) -> Ran:
        """Run one verb in this process, as a shell would."""
        out, err = io.StringIO(), io.StringIO()
        state = self.lab.state
        with environment(
            AWS_ACCESS_KEY_ID=state.access_key_id,
            AWS_SECRET_ACCESS_KEY=state.secret_access_key,
            AWS_DEFAULT_REGION=self.regions[0],
            AWS_EC2_METADATA_DISABLED="true",
            AWS_CONFIG_FILE=os.devnull,
            AWS_SHARED_CREDENTIALS_FILE=os.devnull,
            NO_COLOR="1",
            COLUMNS="200",
        ):
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                try:
                    code = main([words[0], "-C", str(self.root), *words[1:]])
                except SystemExit as leave:
                    code = leave.code if isinstance(leave.code, int) else 1
            ran = Ran(int(code), out.getvalue(), err.getvalue(), words)
        self.log.append(ran)
        assert "Traceback (most recent call last)" not in ran.err, str(ran)
        return ran

    def converge(self, *, rounds: int = 4) -> Ran:
        """Run `apply --yes`; where a guard asks, run the approve commands it prints, exactly as printed, and try again.

        What the proof found unsafe is not approved: that is for a person to judge.
        """
        ran = self.run("apply", "--yes")
        for _ in range(rounds):
            commands = list(dict.fromkeys(re.findall(r"cloudsync approve [^\n]+", ran.out + ran.err)))
            if ran.code != 4 or not commands or "G-PROOF" in ran.out:
                break
            for command in commands:
                words = shlex.split(command)[1:]
                if "-C" in words:
                    at = words.index("-C")
                    del words[at : at + 2]
                approved = self.run(*words)
                assert approved.code == 0, str(approved)
            ran = self.run("apply", "--yes")
        return ran


@contextlib.contextmanager
def environment(**wanted: str) -> Iterator[None]:
    """Set environment variables for the length of a `with`."""
    before = {key: os.environ.get(key) for key in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


# --- comparing --------------------------------------------------------------------------------------------------------


@dataclass
class Lens:
    """What is looked at in one case: the same packets before, between and after."""

    book: Book
    machines: list[Machine]
    services: list[Service]
    addresses: list[Address]

    @property
    def cards(self) -> Iterator[tuple[Machine, Card]]:
        """Every enforceable interface with its machine."""
        return ((machine, card) for machine in self.machines for card in machine.cards if card.managed)

    def world(self, estates: Iterable[Estate], rows: dict[tuple[object, ...], list[int]] | None = None) -> World:
        """Return what every interface lets through now. `rows` remembers answers for interfaces whose rules are the same as before."""
        found: World = {}
        known = {} if rows is None else rows
        for estate in estates:
            reach = Reach(estate, self.services)
            for _, card in self.cards:
                if card.ref not in estate.cards:
                    continue
                for inbound in (True, False):
                    key = (inbound, reach.rules(card.ref, inbound=inbound))
                    if key not in known:
                        known[key] = [reach.through(card.ref, address, inbound=inbound) for address in self.addresses]
                    for address, bits in zip(self.addresses, known[key], strict=True):
                        found[card.ref, inbound, address] = bits
        return found

    def named(self, bits: int) -> int:
        """Keep only services whose protocol the language names."""
        return bits & sum(1 << at for at, service in enumerate(self.services) if service.protocol in NAMED)

    def words(self, bits: int) -> str:
        """Return the first few services of a set of bits, for people."""
        said = [f"{one.protocol}/{one.port}.{one.code}" for at, one in enumerate(self.services) if bits >> at & 1]
        return ", ".join(said[:6]) + (f" and {len(said) - 6} more" if len(said) > 6 else "")


def lens(rig: Rig, book: Book, seed: int, *, extra: Sequence[Machine] = (), domains: Mapping[str, str] | None = None) -> Lens:
    """Decide what to look at, from the estate as it is now and the policy."""
    estates = rig.estates()
    machines = [*cloud.machines(estates, VOCABULARY, domains), *extra]
    addresses = probes.addresses(book, machines, estates)
    if len(addresses) > rig.probe_limit:
        own = {one for machine in machines for card in machine.cards for one in card.addresses}
        rest = [one for one in addresses if one not in own]
        addresses = sorted(
            {*own, *random.Random(seed).sample(rest, max(0, rig.probe_limit - len(own)))}, key=lambda one: (one.version, int(one))
        )
    return Lens(book, machines, probes.services(book, estates), addresses)


def differences(look: Lens, now: World, before: World, mode: str) -> list[str]:
    """Return every packet on which the cloud and the policy disagree; empty is the aim. `before` is what stood there before us."""
    reading = Reading(look.book, look.machines, look.services)
    found: list[str] = []
    for machine, card in look.cards:
        for inbound in (True, False):
            for address in look.addresses:
                packet = (card.ref, inbound, address)
                line = reading.held(machine)
                if line.mode in ("idle", "visibility"):
                    continue  # nothing is written there: `must_leave_alone` looks at the groups themselves
                least, most = reading.bounds(machine, card, address, before[packet], inbound=inbound)
                enforced = line.mode in ("full", "selective") and (inbound or line.egress == "enforce")
                if mode == "additive" and enforced:
                    allow = reading.tier("allow", card, machine, address, inbound=inbound)
                    never = reading.tier("never allow", card, machine, address, inbound=inbound)
                    least, most = allow & ~never, most | before[packet]
                missing, surplus = look.named(least & ~now[packet]), now[packet] & ~most
                where = f"{machine.name} {card.ref} {'from' if inbound else 'to'} {address}"
                if missing:
                    found.append(f"{where}: blocked, must be open: {look.words(missing)}")
                if surplus:
                    found.append(f"{where}: open, must be closed: {look.words(surplus)}")
    return found


def carried(look: Lens, estates: Iterable[Estate]) -> dict[str, tuple[str, ...]]:
    """Return the groups of every interface whose machine is idle or only watched: they must never change.

    What such an interface lets in may still change without being touched, when a group that its rules refer to loses a member.
    """
    reading = Reading(look.book, look.machines, look.services)
    watched = {card.ref for machine, card in look.cards if reading.held(machine).mode in ("idle", "visibility")}
    return {
        ref: tuple(sorted(one["GroupId"] for one in card["Groups"]))
        for estate in estates
        for ref, card in estate.cards.items()
        if ref in watched
    }


def foreign(estates: Iterable[Estate]) -> dict[str, str]:
    """Return every group that does not carry the product's mark, exactly as the API says it."""
    return {
        name: repr(sorted(group.items()))
        for estate in estates
        for name, group in estate.groups.items()
        if "cloudsync:owner" not in {one["Key"] for one in group.get("Tags", ())}
    }


@dataclass
class Watch:
    """Looks at the world after every write of a run."""

    rig: Rig
    look: Lens
    worlds: list[tuple[str, World]] = field(default_factory=list)
    rows: dict[tuple[object, ...], list[int]] = field(default_factory=dict)

    def __call__(self, call: wiretap.Call) -> None:
        if call.status < 400:
            self.worlds.append((call.action, self.look.world(self.rig.estates(), self.rows)))


def transients(look: Lens, old: World, new: World, worlds: Iterable[tuple[str, World]]) -> list[str]:
    """Return every moment at which something was open that neither end opens, or cut that both allow, at a point or along a path.

    What a machine sends to itself crosses no network and is left out.
    """
    found: list[str] = []
    ways = paths(look, old)
    own = {card.ref: frozenset().union(*(one.addresses for one in machine.cards)) for machine, card in look.cards}
    for number, (action, world) in enumerate(worlds, 1):
        for packet, was in old.items():
            if packet[2] in own[packet[0]]:
                continue
            said = _wrong(look, world[packet], was, new[packet])
            if said:
                card, inbound, address = packet
                found.append(f"after write {number} {action}: {card} {'from' if inbound else 'to'} {address}: {said}")
        for out, into in ways:
            said = _wrong(look, world[out] & world[into], old[out] & old[into], new[out] & new[into])
            if said:
                found.append(f"after write {number} {action}: {out[0]} {into[2]} -> {into[0]} {out[2]}: {said}")
    return found


def _wrong(look: Lens, now: int, was: int, will: int) -> str:
    exposed, cut = now & ~(was | will), (was & will) & ~now
    if exposed:
        return f"exposed {look.words(exposed)}"
    return f"cut {look.words(cut)}" if cut else ""


def paths(look: Lens, world: World) -> list[tuple[Packet, Packet]]:
    """Return (egress there, ingress here) for every two interfaces of the estate and every two of their addresses of one family."""
    found = []
    for sender, source in look.cards:
        for receiver, destination in look.cards:
            for a in source.addresses:
                for b in destination.addresses:
                    out, into = (source.ref, False, b), (destination.ref, True, a)
                    if sender is not receiver and a.version == b.version and out in world and into in world:
                        found.append((out, into))
    return found

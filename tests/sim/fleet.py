"""An ordinary estate, on each of the platforms in turn, and the ordinary changes that people make to it: what guards must let pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from tests.sim.draft import KEPT, LISTS
from tests.sim.world import STRICT, World, connect

Kind = tuple[str, str]
"""Role and app: what makes a class."""
Line = tuple[Kind | None, Kind, int]
"""Source (None: the office), destination, port."""
KINDS = ("aws", "gcp", "azure", "f5")
APPS = 25


@dataclass(frozen=True, slots=True)
class Book:
    """The fleet's policy: plain rules between classes."""

    apps: tuple[str, ...]
    rules: frozenset[Line]
    keys: tuple[str, ...] = ("role", "app")

    def text(self) -> str:
        """Return the policy file."""
        lists = ", ".join(f"{name}: [{entry}]" for name, entry in LISTS.items())
        lines = [
            "version: 1",
            f"labels: {{role: [web, app, lb, edge], app: [{', '.join(self.apps)}]}}",
            f"iplists: {{{lists}}}",
            "enforcement: {default: full}",
            "rulesets:",
            "  - name: base",
            "    scope: all",
            "    owner: sim",
            "    rules:",
            f"      - {KEPT}",
        ]
        for source, (role, app), port in sorted(self.rules, key=str):
            who = "iplist office" if source is None else f"role={source[0]} app={source[1]}"
            lines.append(f"      - allow {who} to role={role} app={app} on tcp/{port}")
        return "\n".join(lines) + "\n"


@dataclass
class Fleet:
    """A world of some hundred machines in fifty classes."""

    world: World
    book: Book
    rng: Random
    number: int = 0

    @classmethod
    def draw(cls, root: Path, seed: int) -> Fleet:
        """Draw it, with a policy."""
        rng = Random(seed)
        apps = tuple(f"a{at}" for at in range(APPS))
        name = KINDS[seed % len(KINDS)]
        roles = ("lb", "edge") if name == "f5" else ("web", "app")
        found = {name: [{"role": role, "app": app} for role in roles for app in apps for _ in range(rng.choice((2, 2, 2, 3)))]}
        world = World.draw(root, rng, dict.fromkeys(found, "exclusive"), found)
        fleet = cls(world, Book(apps, frozenset()), rng)
        lines: set[Line] = {(None, kind, 22) for kind in fleet.classes()}
        for kind in fleet.classes():
            lines.add((rng.choice(fleet.classes()), kind, rng.choice((443, 5432, 8443))))
        fleet.book = Book(apps, frozenset(lines))
        connect(world)
        return fleet

    def classes(self) -> list[Kind]:
        """Return the classes that there are."""
        tags = (one for wire in self.world.wires.values() for one in wire.site.tags.values())
        return sorted({(one["role"], one["app"]) for one in tags})

    def members(self, kind: Kind) -> list[tuple[str, str]]:
        """Return platform and ref of every machine of a class."""
        found = ((name, ref, tags) for name, wire in self.world.wires.items() for ref, tags in wire.site.tags.items())
        return [(name, ref) for name, ref, tags in found if (tags["role"], tags["app"]) == kind]

    def change(self) -> str:
        """Let somebody make an ordinary change; return its kind."""
        kind = self.rng.choice(sorted(CHANGES))
        CHANGES[kind](self)
        self.world.write(self.book, guards=STRICT)
        return kind

    def pick(self) -> Kind:
        """Return one of the classes."""
        return self.rng.choice(self.classes())

    def lines(self, *lines: Line, without: tuple[Line, ...] = ()) -> None:
        """Change the policy."""
        self.book = replace(self.book, rules=(self.book.rules - set(without)) | set(lines))

    def line(self) -> Line:
        """Return a rule between two classes."""
        return self.rng.choice(sorted(one for one in self.book.rules if one[0] is not None))

    def joins(self, kind: Kind, count: int) -> None:
        """Put more machines into a class, where it has its machines."""
        name = self.rng.choice(self.members(kind))[0]
        for _ in range(count):
            self.world.wires[name].site.add(self.rng, {"role": kind[0], "app": kind[1]})


def _add_rule(fleet: Fleet) -> None:
    fleet.lines((fleet.pick(), fleet.pick(), fleet.rng.choice((80, 1433, 6379))))


def _drop_rule(fleet: Fleet) -> None:
    fleet.lines(without=(fleet.line(),))


def _other_port(fleet: Fleet) -> None:
    source, goal, port = line = fleet.line()
    fleet.lines((source, goal, port + 1), without=(line,))


def _joins(fleet: Fleet) -> None:
    fleet.joins(fleet.pick(), 1)


def _doubles(fleet: Fleet) -> None:
    kind = fleet.pick()
    fleet.joins(kind, len(fleet.members(kind)))


def _leaves(fleet: Fleet) -> None:
    kind = next((one for one in fleet.rng.sample(fleet.classes(), len(fleet.classes())) if len(fleet.members(one)) > 1), None)
    if kind is not None:
        name, ref = fleet.rng.choice(fleet.members(kind))
        fleet.world.wires[name].site.remove(ref)


def _moves(fleet: Fleet) -> None:
    name, ref = fleet.rng.choice(fleet.members(fleet.pick()))
    tags = fleet.world.wires[name].site.tags[ref]
    tags["app"] = fleet.rng.choice([app for role, app in fleet.classes() if role == tags["role"]])


def _new_app(fleet: Fleet) -> None:
    fleet.number += 1
    app = f"n{fleet.number}"
    role, _ = old = fleet.pick()
    fleet.book = replace(fleet.book, apps=(*fleet.book.apps, app))
    name = fleet.rng.choice(fleet.members(old))[0]
    for _ in range(2):
        fleet.world.wires[name].site.add(fleet.rng, {"role": role, "app": app})
    fleet.lines((None, (role, app), 22), (fleet.pick(), (role, app), 443))


CHANGES: Mapping[str, Callable[[Fleet], None]] = {
    "add rule": _add_rule,
    "drop rule": _drop_rule,
    "other port": _other_port,
    "machine joins": _joins,
    "machine leaves": _leaves,
    "group doubles": _doubles,
    "machine moves to another app": _moves,
    "new app": _new_app,
}
"""What people do on ordinary days."""

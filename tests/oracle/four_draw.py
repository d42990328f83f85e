"""Random policies for four platforms at once: all of the language that all of them can say, the rest accepted by name or left out.

What a platform cannot say is refused by design (ports of sctp on Azure, a deny on one ICMP type on GCP); those refusals have tests of
their own, a campaign of nothing but refusals would examine nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

from tests.oracle.draw import GROUPS, PORTS, SERVICES, VOCABULARY, Drawer, icmp, port, whole
from tests.oracle.language import Book, Chapter, Held, Labelled, Sentence, Traffic, What

PLACES = ("aws", "gcp", "azure", "f5")
VOCABULARY4: dict[str, tuple[str, ...]] = {**VOCABULARY, "loc": PLACES}
COARSE = frozenset({"gcp", "azure"})
"""Platforms that know no ICMP types."""
ATOMS: dict[str, tuple[Traffic, ...]] = {
    "all": (
        whole("tcp", 6),
        whole("udp", 17),
        whole("esp", 50),
        whole("icmp", 1),
        whole("icmpv6", 58),
        icmp(1, "3", 3),
        icmp(58, "packet-too-big", 2),
        port(6, 0, 65535),
        port(17, 53),
        port(6, 1024, 65535),
        Traffic("6/22", 6, 22, 22, whole=False),
    ),
    "not azure": (whole("gre", 47), whole("89", 89)),
    "not aws, not azure": (whole("sctp", 132), port(132, 80)),
}


class Drawer4(Drawer):
    """Draws policies that every platform in play can say."""

    def __init__(self, rng: random.Random, names: Sequence[str], pool: Sequence[str], places: Iterable[str]) -> None:
        super().__init__(rng, names, pool)
        self.places = frozenset(places)
        self.atoms = list(ATOMS["all"])
        if "azure" not in self.places:
            self.atoms += ATOMS["not azure"]
            if "aws" not in self.places:
                self.atoms += ATOMS["not aws, not azure"]
        self.coarse = bool(self.places & COARSE)

    def selector(self, keys: int = 2) -> Labelled:
        """Return a selector, sometimes with the place in it."""
        found = super().selector(keys)
        if len(self.places) > 1 and self.rng.random() < 0.2:
            where = ("loc", tuple(sorted(self.rng.sample(sorted(self.places), self.rng.choice([1, 2])))))
            return Labelled(tuple(sorted((*found.clauses, where))))
        return found

    def whats(self) -> tuple[What, ...]:
        """Return one to three WHATs."""
        rng = self.rng
        if rng.random() < 0.12:
            return (What("any service", (whole("any service", None),)),)
        found: list[What] = []
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            draw = rng.random()
            if draw < 0.5:
                name = rng.choice(sorted(SERVICES))
                found.append(What(name, SERVICES[name]))
            else:
                atom = port(rng.choice([6, 6, 17]), rng.choice(PORTS)) if draw < 0.8 else rng.choice(self.atoms)
                found.append(What(atom.words, (atom,)))
        return tuple(dict.fromkeys(found))

    def sentence(self, *, scoped: bool, number: int) -> Sentence:
        """Return one rule; ICMP types are accepted as all of ICMP where a platform in play knows none, and never denied there."""
        drawn = super().sentence(scoped=scoped, number=number)
        if not self.coarse or not any(typed(what) for what in drawn.services):
            return drawn
        if drawn.action == "allow":
            return replace(drawn, accept=(*drawn.accept, "any-type"))
        kept = tuple(what for what in drawn.services if not typed(what))
        return replace(drawn, services=kept or (What("ssh", SERVICES["ssh"]),))

    def held(self, scope: Labelled | None) -> Held:
        """Return one line of the enforcement table; no ICMP type among the services that `selective` closes."""
        drawn = super().held(scope)
        kept = tuple(what for what in drawn.closed if not (self.coarse and typed(what)))
        return replace(drawn, closed=kept)

    def book(self) -> Book:
        """Return a whole policy. Outbound packets of an F5 cannot be enforced: its lines come first and leave them."""
        drawn = super().book()
        lines = drawn.enforcement
        if "f5" in self.places:
            there = Labelled((("loc", ("f5",)),))
            prod = Labelled((("env", ("prod",)), ("loc", ("f5",))))
            lines = (replace(self.held(prod), egress="leave"), replace(self.held(there), egress="leave"), *lines)
        chapters = tuple(Chapter(one.name, one.scopes, one.rules) for one in drawn.chapters)
        return Book(VOCABULARY4, GROUPS, drawn.lists, SERVICES, drawn.default, lines, chapters)


def typed(what: What) -> bool:
    """Tell whether a WHAT names an ICMP type."""
    return any(atom.protocol in (1, 58) and not atom.whole for atom in what.atoms)

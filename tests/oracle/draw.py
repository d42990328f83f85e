"""Random policies, all of the language in them, drawn from one seed.

Every draw is legal: what the language refuses by design (a deny that eats an allow whole, sctp ports that a platform cannot say) is either
avoided here or accepted by name, so that a refusal of a drawn policy is news.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.oracle.language import (
    Base,
    Book,
    Chapter,
    End,
    Everyone,
    Held,
    Labelled,
    Listed,
    Named,
    Place,
    Sentence,
    Traffic,
    Unlabelled,
    What,
)

VOCABULARY: dict[str, tuple[str, ...]] = {
    "role": ("web", "app", "db", "lb"),
    "env": ("prod", "dev", "test"),
    "app": ("shop", "pay"),
}
GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {"nonprod": ("env", ("dev", "test")), "backend": ("role", ("app", "db"))}
PORTS = (22, 80, 443, 5432, 8443)


def port(protocol: int, low: int, high: int | None = None) -> Traffic:
    """Return a port range of tcp, udp or sctp."""
    name = {6: "tcp", 17: "udp", 132: "sctp"}[protocol]
    last = low if high is None else high
    return Traffic(f"{name}/{low}" if last == low else f"{name}/{low}-{last}", protocol, low, last, whole=False)


def whole(words: str, protocol: int | None) -> Traffic:
    """Return a whole protocol, or any service."""
    return Traffic(words, protocol)


def icmp(protocol: int, words: str, kind: int) -> Traffic:
    """Return one ICMP type with all its codes."""
    return Traffic(f"{'icmp' if protocol == 1 else 'icmpv6'}/{words}", protocol, kind, kind, whole=False)


SERVICES: dict[str, tuple[Traffic, ...]] = {
    "https": (port(6, 443), port(17, 443)),
    "ssh": (port(6, 22),),
    "ping": (icmp(1, "echo-request", 8), icmp(58, "echo-request", 128)),
    "high": (port(6, 8000, 8999), port(6, 9000)),
}
LOOSE_ATOMS: tuple[Traffic, ...] = (
    whole("tcp", 6),
    whole("udp", 17),
    whole("gre", 47),
    whole("esp", 50),
    whole("icmp", 1),
    whole("icmpv6", 58),
    whole("sctp", 132),
    icmp(1, "3", 3),
    icmp(58, "packet-too-big", 2),
    port(6, 0, 65535),
    port(17, 53),
    port(6, 1024, 65535),
    Traffic("6/22", 6, 22, 22, whole=False),
)


class Drawer:
    """Draws parts of a policy. `names` are workload names that exist, `lists` what IP lists may be made of."""

    def __init__(self, rng: random.Random, names: Sequence[str], pool: Sequence[str]) -> None:
        self.rng = rng
        self.names = tuple(names)
        self.pool = tuple(pool)
        self.lists = self._lists()

    def _lists(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for name in ("corp", "partners", "edge"):
            picked = self.rng.sample(self.pool, self.rng.randint(1, min(4, len(self.pool))))
            entries = [entry for entry in picked if not entry.startswith("!")] or ["203.0.113.0/24"]
            entries += [entry for entry in picked if entry.startswith("!")]
            found[name] = tuple(dict.fromkeys(entries))
        return found

    def selector(self, keys: int = 2) -> Labelled:
        """Return `k=v|w m=x`, sometimes with a label group."""
        rng = self.rng
        clauses: list[tuple[str, tuple[str, ...]]] = []
        for key in rng.sample(sorted(VOCABULARY), rng.randint(1, keys)):
            values = list(VOCABULARY[key])
            groups = [name for name, (owner, _) in GROUPS.items() if owner == key]
            if groups and rng.random() < 0.25:
                clauses.append((key, (rng.choice(groups),)))
            else:
                clauses.append((key, tuple(sorted(rng.sample(values, rng.choice([1, 1, 2]))))))
        return Labelled(tuple(sorted(clauses)))

    def machines(self, scoped: bool) -> Base:
        """Return a workload selector."""
        draw = self.rng.random()
        if draw < 0.70:
            return self.selector()
        if draw < 0.85:
            return Everyone()
        if draw < 0.93 and self.names:
            return Named(self.rng.choice(self.names))
        return Everyone() if scoped else Unlabelled()

    def addresses(self) -> Base:
        """Return an address selector."""
        draw = self.rng.random()
        if draw < 0.62:
            return Listed(self.rng.choice(sorted(self.lists)))
        if draw < 0.82:
            return Place("anywhere")
        return Place("strangers")

    def end(self, *, scoped: bool, may_be_addresses: float, source: bool) -> End:
        """Return a WHO with its exceptions."""
        rng = self.rng
        if rng.random() < may_be_addresses:
            base = self.addresses()
            excepted: tuple[Base, ...] = ()
            if rng.random() < 0.3:
                excepted = (self.selector(1) if rng.random() < 0.5 else Listed(rng.choice(sorted(self.lists))),)
            return End(base, tuple(one for one in excepted if one != base))
        base = self.machines(scoped)
        excepted = (self.machines(scoped=True),) if rng.random() < 0.2 else ()
        return End(
            base, tuple(one for one in excepted if one != base and one != Everyone()), outside=source and scoped and rng.random() < 0.25
        )

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
            elif draw < 0.8:
                atom = port(rng.choice([6, 6, 17]), rng.choice(PORTS))
                found.append(What(atom.words, (atom,)))
            else:
                atom = rng.choice(LOOSE_ATOMS)
                found.append(What(atom.words, (atom,)))
        return tuple(dict.fromkeys(found))

    def sentence(self, *, scoped: bool, number: int) -> Sentence:
        """Return one rule: inbound, outbound or both."""
        rng = self.rng
        action = rng.choices(["allow", "deny", "never allow"], [8, 1.5, 1.5])[0]
        outbound_only = rng.random() < 0.15
        sources = tuple(
            dict.fromkeys(
                self.end(scoped=scoped, may_be_addresses=0.0 if outbound_only else 0.35, source=True)
                for _ in range(rng.choice([1, 1, 1, 2]))
            )
        )
        there = tuple(
            dict.fromkeys(
                self.end(scoped=scoped, may_be_addresses=1.0 if outbound_only else 0.0, source=False)
                for _ in range(rng.choice([1, 1, 1, 2]))
            )
        )
        expired = rng.choices([None, True, False], [10, 1, 1])[0]
        return Sentence(
            action,
            sources,
            there,
            self.whats(),
            expired=expired,
            name=f"r{number}" if rng.random() < 0.3 else "",
            because="CHG-1 \u00e9t\u00e9" if rng.random() < 0.1 else "",
            logged=rng.random() < 0.1,
            long_form=rng.random() < 0.3,
            reading_voice=rng.random() < 0.2,
        )

    def book(self) -> Book:
        """Return a whole policy."""
        rng = self.rng
        chapters: list[Chapter] = []
        for number in range(rng.randint(1, 3)):
            scopes = () if rng.random() < 0.4 else tuple(dict.fromkeys(self.selector(1) for _ in range(rng.choice([1, 1, 2]))))
            rules = [self.sentence(scoped=bool(scopes), number=at) for at in range(rng.randint(1, 5))]
            chapters.append(Chapter(f"set-{number}", scopes, tuple(rules)))
        lines = [self.held(self.selector(1)) for _ in range(rng.randint(0, 3))]
        return Book(VOCABULARY, GROUPS, self.lists, SERVICES, self.held(None), tuple(lines), tuple(chapters))

    def held(self, scope: Labelled | None) -> Held:
        """Return one line of the enforcement table."""
        rng = self.rng
        mode = rng.choices(["full", "selective", "visibility", "idle"], [6, 2, 1, 1])[0]
        egress = "enforce" if mode in ("full", "selective") and rng.random() < 0.35 else "leave"
        closed: tuple[What, ...] = ()
        if mode == "selective" and scope is not None and rng.random() < 0.7:
            name = rng.choice(sorted(SERVICES))
            closed = (What(name, SERVICES[name]),)
        return Held(scope, mode, egress, closed)

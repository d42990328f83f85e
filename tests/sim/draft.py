"""Drawn policies: small, of every kind, as a person would write them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Protocol

ROLES, ENVS = ("web", "app", "db", "lb"), ("prod", "dev")
LISTS = {"office": "192.0.2.0/24", "partners": "198.51.100.0/24", "admin": "192.0.2.0/28"}
SERVICES = ("tcp/22", "tcp/443", "tcp/5432", "tcp/8443", "udp/53")
KEPT = "allow iplist admin to all workloads on any service"
"""How the operators get in: it stands in every policy."""


class Written(Protocol):
    """A policy that a world can be held to."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the labels that it speaks of."""

    def text(self) -> str:
        """Return the policy file."""


@dataclass(frozen=True, slots=True)
class Draft:
    """One policy. `modes`: scope, mode, egress."""

    rules: tuple[str, ...]
    modes: tuple[tuple[str, str, str], ...]
    keys: tuple[str, ...] = ("role", "env")

    def text(self) -> str:
        """Return the policy file."""
        lists = ", ".join(f"{name}: [{entry}]" for name, entry in LISTS.items())
        lines = [
            "version: 1",
            f"labels: {{role: [{', '.join(ROLES)}], env: [{', '.join(ENVS)}]}}",
            f"iplists: {{{lists}}}",
            "enforcement:",
            "  default: full",
            *(["  rules:"] if self.modes else []),
        ]
        for scope, mode, egress in self.modes:
            more = ", services: [tcp/22, tcp/443]" if mode == "selective" else ""
            how = f", egress: {egress}" if mode in ("full", "selective") else ""
            lines.append(f"    - {{scope: {scope}, mode: {mode}{how}{more}}}")
        lines += ["rulesets:", "  - name: base", "    scope: all", "    owner: sim", "    rules:", f"      - {KEPT}"]
        return "\n".join([*lines, *(f"      - {rule}" for rule in self.rules)]) + "\n"


def sentence(rng: Random) -> str:
    """Return one rule."""
    action = rng.choices(("allow", "deny", "never allow"), (8, 1, 1))[0]
    source = rng.choice(
        (
            *(f"role={one}" for one in ROLES),
            *(f"env={one}" for one in ENVS),
            *(f"iplist {one}" for one in ("office", "partners")),
            "anywhere",
        )
    )
    if action != "allow":
        source = rng.choice(("iplist partners", "env=dev"))
    goal = rng.choice((*(f"role={one}" for one in ROLES), "env=prod"))
    outside = action == "allow" and rng.random() < 0.15
    if outside:
        source, goal = rng.choice(tuple(f"role={one}" for one in ROLES)), rng.choice(("iplist partners", "anywhere"))
    return f"{action} {source} to {goal} on {', '.join(rng.sample(SERVICES, rng.choice((1, 1, 2))))}"


def draft(rng: Random, *, calm: bool = False) -> Draft:
    """Return a policy; `calm`: everything is enforced, nothing about outbound."""
    rules = tuple(dict.fromkeys(sentence(rng) for _ in range(rng.randint(2, 7))))
    modes: list[tuple[str, str, str]] = []
    if not calm:
        for scope in rng.sample(("role=web", "role=app", "role=db", "role=lb"), rng.randint(0, 4)):
            mode = rng.choices(("full", "selective", "visibility", "idle"), (6, 2, 1, 1))[0]
            modes.append((scope, mode, "leave" if scope == "role=lb" else rng.choice(("leave", "enforce"))))  # F5 has no egress
    return Draft(rules, tuple(modes))


def edited(rng: Random, before: Draft) -> Draft:
    """Return a policy that somebody has changed: a rule more or less, another mode; at times all of it."""
    kind = rng.choice(("more", "less", "other", "mode", "mode", "all"))
    rules = list(before.rules)
    if kind == "less" and len(rules) > 1:
        rules.remove(rng.choice(rules))
    elif kind in ("more", "other"):
        if kind == "other" and rules:
            rules.remove(rng.choice(rules))
        rules.append(sentence(rng))
    elif kind == "mode":
        return replace(before, modes=draft(rng).modes)
    elif kind == "all":
        return draft(rng)
    return replace(before, rules=tuple(dict.fromkeys(rules)))

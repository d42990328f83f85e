"""Compute Engine read anew: policies before, VPC rules, policies after, implied rules; the first that matches decides.

Sources: VPC documentation ("Firewall policy rule evaluation order", "VPC firewall rules"); compute v1, `Firewall`. At equal numbers deny
stands before allow. An interface with several own addresses counts as open where any of them is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cloudsync.verify.ground import Corners, Json, Passage, Place, Whose, items, mapping, number, text, texts
from cloudsync.verify.space import ANY, BLOCK, PORTED, Packets, Runs, Space, Spans, UnreadableError, networks, ports, protocol

_NUMBERS = {"icmp": 1, "tcp": 6, "udp": 17, "esp": 50, "ah": 51, "sctp": 132, "ipip": 94}
_NAME = re.compile(r"cs-(.*)-[0-9a-f]{20}(-r[1-9][0-9]*)?")
_MARK = re.compile(r"cloudsync:v1 owner=(\S+) class=(\S+) rules=(.*?)\. Managed by cloudsync\b", re.DOTALL)
_KNOWN = frozenset(
    {
        *("name", "description", "network", "priority", "direction", "disabled", "allowed", "denied", "logConfig"),
        *("sourceRanges", "destinationRanges", "sourceTags", "targetTags", "sourceServiceAccounts", "targetServiceAccounts"),
    }
)
PRIORITY_MOST = 65535


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, of the network or of a policy. `peers`, `own`: addresses on the far and on the near side; `own` empty for all."""

    name: str
    network: str
    egress: bool
    priority: int
    action: str
    peers: Spans = ()
    own: Spans = ()
    services: Runs = ()
    tags: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    peer_tags: tuple[str, ...] = ()
    peer_accounts: tuple[str, ...] = ()
    ours: bool = False
    on: bool = True


@dataclass(frozen=True, slots=True)
class Network:
    """Policies around the rules of a network, in their order."""

    before: tuple[tuple[Rule, ...], ...]
    after: tuple[tuple[Rule, ...], ...]


@dataclass(frozen=True, slots=True)
class Card:
    """One interface."""

    vm: str
    network: str
    primary: Spans
    inside: Spans
    public: Spans
    tags: tuple[str, ...]
    account: str


@dataclass(frozen=True, slots=True)
class State:
    """Everything that decides. `members`: whose tags source tags go by, where that lags behind what machines bear."""

    rules: Mapping[str, Rule]
    cards: Mapping[str, Card]
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Act:
    """One call, read."""

    call: str
    object: str
    rule: Rule | None = None
    off: bool = False
    tags: tuple[str, ...] = ()
    expect: tuple[str, ...] = ()


class Gcp:
    """The platform."""

    unfamilied = False

    def __init__(self, space: Space, owner: str) -> None:
        self.space, self.owner = space, owner
        self.project = ""
        self.networks: dict[str, Network] = {}
        self._said: dict[tuple[object, ...], Packets] = {}

    # --- reading -------------------------------------------------------------------------------------------------

    def read(self, dump: Json) -> State:
        """Return the state of a dump."""
        top = mapping(dump, "the table")
        self.project = text(top.get("project"), "project")
        for one in items(top.get("networks"), "networks"):
            sides = [tuple(self._policy(each) for each in items(one[key], "policies")) for key in ("before", "after")]
            self.networks[text(one["key"], "a network")] = Network(sides[0], sides[1])
        rules = {text(raw["name"], "a rule"): self._rule(raw) for raw in items(top.get("rules"), "rules") if not raw.get("unreadable")}
        cards = {text(one["point"], "a point"): self._card(one) for one in items(top.get("interfaces"), "interfaces")}
        return State(rules, cards)

    def _policy(self, raw: Json) -> tuple[Rule, ...]:
        found: list[Rule] = []
        for priority, egress, action, peers, own, protocols, unreadable, accounts in items(raw["rules"], "rules of a policy"):
            if unreadable:
                continue
            if action not in ("allow", "deny", "goto_next"):
                raise UnreadableError(f"action {action!r} of a policy")
            services = self._services((name, [f"{low}-{high}" for low, high in ranges]) for name, ranges in protocols)
            sides = self.space.addresses(networks(peers)), self.space.addresses(networks(own))
            found.append(
                Rule("", "", egress is True, number(priority, "a number"), action, *sides, services, (), texts(accounts, "accounts"))
            )
        return tuple(sorted(found, key=lambda one: one.priority))

    def _services(self, entries: Iterable[tuple[str, Iterable[str]]]) -> Runs:
        found: list[tuple[int, int]] = []
        for word, ranges in entries:
            name, said = word.lower(), list(ranges)
            if name == "all":
                found.extend(ANY)
                continue
            value = _NUMBERS[name] if name in _NUMBERS else int(name) if name.isdecimal() and int(name) <= 255 else -1
            if value < 0 or (said and value not in PORTED):
                raise UnreadableError(f"protocol {word!r} with ports {said}")
            if not said:
                found.extend(protocol(value))
            for one in said:
                first, _, last = one.partition("-")
                if not first.isdecimal() or (last and not last.isdecimal()) or not int(first) <= int(last or first) < BLOCK:
                    raise UnreadableError(f"port {one!r}")
                found.extend(ports(value, int(first), int(last or first)))
        if not found:
            raise UnreadableError("a rule without a protocol")
        return self.space.services(tuple(found))

    def _rule(self, raw: Json) -> Rule:
        one = mapping(raw, "a rule")
        name, description = text(one.get("name"), "a name"), text(one.get("description", ""), "a description")
        unknown = sorted(one.keys() - _KNOWN)
        if unknown:
            raise UnreadableError(f"rule {name} says {', '.join(unknown)}, which nobody here understands")
        direction, priority = one.get("direction", "INGRESS"), number(one.get("priority", 1000), "a priority")
        allowed, denied = one.get("allowed") or [], one.get("denied") or []
        if direction not in ("INGRESS", "EGRESS") or not 0 <= priority <= PRIORITY_MOST or bool(allowed) is bool(denied):
            raise UnreadableError(f"rule {name}: direction {direction!r}, priority {priority}, allows or denies")
        egress = direction == "EGRESS"
        sources, destinations = texts(one.get("sourceRanges", []), "ranges"), texts(one.get("destinationRanges", []), "ranges")
        tags, accounts = texts(one.get("sourceTags", []), "tags"), texts(one.get("sourceServiceAccounts", []), "accounts")
        if egress and (tags or accounts):
            raise UnreadableError(f"rule {name} names sources of its own machines")
        if egress and not destinations:
            destinations = ("0.0.0.0/0",)
        if not egress and not (sources or tags or accounts):
            sources = ("::/0",) if destinations and all(":" in each for each in destinations) else ("0.0.0.0/0",)
        sides = self.space.addresses(networks(sources)), self.space.addresses(networks(destinations))
        return Rule(
            name=name,
            network=_path(text(one.get("network"), "a network")),
            egress=egress,
            priority=priority,
            action="deny" if denied else "allow",
            peers=sides[1] if egress else sides[0],
            own=sides[0] if egress else sides[1],
            services=self._services((text(each["IPProtocol"], "a protocol"), each.get("ports", ())) for each in allowed or denied),
            tags=texts(one.get("targetTags", []), "tags"),
            accounts=texts(one.get("targetServiceAccounts", []), "accounts"),
            peer_tags=tags,
            peer_accounts=accounts,
            ours=self._marked(name, description),
            on=one.get("disabled") is not True,
        )

    def _marked(self, name: str, description: str) -> bool:
        named, marked = _NAME.fullmatch(name), _MARK.match(description)
        short = re.sub(r"[^a-z0-9-]", "-", self.owner.lower())[:12].strip("-") or "x"
        return named is not None and marked is not None and marked[1] == self.owner and named[1] == short

    def _card(self, one: Json) -> Card:
        primary, inside, public = (self.space.addresses(networks(texts(one[key], "addresses"))) for key in ("primary", "inside", "public"))
        return Card(one["vm"], one["network"], primary, inside, public, texts(one["tags"], "tags"), text(one["account"], "an account"))

    # --- payloads ------------------------------------------------------------------------------------------------

    def act(self, payload: Json, step: Mapping[str, Json]) -> Act:
        """Return what a payload does."""
        del step
        top = mapping(json.loads(text(payload, "a payload")), "a payload")
        if text(top.get("project"), "project") != self.project and top.get("call") != "instances.setTags":
            raise UnreadableError(f"a call in project {top['project']}, which is not the table's")
        match top.get("call"):
            case "firewalls.insert":
                rule = self._rule(top["body"])
                return Act("insert", rule.name, rule)
            case "firewalls.delete":
                return Act("delete", text(top.get("rule"), "rule"))
            case "firewalls.patch":
                body = mapping(top.get("body"), "a body")
                if set(body) != {"description", "disabled"}:
                    raise UnreadableError("a patch of more than whether a rule is on")
                return Act("patch", text(top.get("rule"), "rule"), off=body["disabled"] is True)
            case "instances.setTags":
                tags, expect = texts(top.get("items"), "tags"), texts(top.get("expect"), "tags")
                return Act("tags", text(top.get("instance"), "instance"), tags=tags, expect=expect)
        raise UnreadableError(f"{top.get('call')!r} is no call that plans make")

    def after(self, state: State, acts: Iterable[Act]) -> State:
        """Return the state after acts in their order."""
        rules, cards = dict(state.rules), dict(state.cards)
        for act in acts:
            known = rules.get(act.object)
            match act.call:
                case "insert":
                    assert act.rule is not None
                    if known is not None or not act.rule.ours or act.rule.network not in self.networks:
                        raise UnreadableError(f"rule {act.object} is there already, without our mark, or in another network")
                    rules[act.object] = act.rule
                case "delete":
                    if known is None or not known.ours:
                        raise UnreadableError(f"rule {act.object} is not there, or not ours to delete")
                    del rules[act.object]
                case "patch":
                    if known is None or known.ours:
                        raise UnreadableError(f"rule {act.object} is not there, or ours, which are never edited")
                    rules[act.object] = replace(known, on=not act.off)
                case _:
                    mine = [point for point, one in cards.items() if one.vm == act.object]
                    if not mine or any(cards[point].tags != act.expect for point in mine):
                        raise UnreadableError(f"{act.object} does not bear the tags that the step expects")
                    cards.update((point, replace(cards[point], tags=act.tags)) for point in mine)
        return State(rules, cards, state.members)

    def places(self, state: State) -> Mapping[str, Place]:
        """Return every interface."""
        return {point: Place(one.vm.rpartition("/")[2], (*one.inside, *one.public)) for point, one in state.cards.items()}

    # --- what is let through -------------------------------------------------------------------------------------

    def passages(self, state: State, whose: Whose = Whose.ALL) -> Mapping[str, Passage]:
        """Return what each interface lets through."""
        lines: dict[tuple[str, bool], list[tuple[Rule, int, Packets]]] = {}
        members = self._members(state)
        for rule in sorted(state.rules.values(), key=lambda one: (one.priority, one.action == "allow", one.name)):
            if rule.on and (whose is Whose.ALL or rule.ours):
                own = self.space.mask(rule.own) if rule.own else -1
                packets = self.space.box(self._peers(rule, members), self.space.row(rule.services))
                lines.setdefault((rule.network, rule.egress), []).append((rule, own, packets))
        memo: dict[tuple[object, ...], Packets] = {}
        found: dict[str, Passage] = {}
        for point, card in state.cards.items():
            sides = [self._side(card, lines.get((card.network, egress), []), memo, whose, egress=egress) for egress in (False, True)]
            found[point] = Passage(*sides)
        return found

    def _members(self, state: State) -> Mapping[tuple[str, str, str], int]:
        found: dict[tuple[str, str, str], int] = {}
        for card in state.cards.values():
            mask = self.space.mask(card.primary)
            names = [("tag", one) for one in state.members.get(card.vm, card.tags)] + [("account", card.account)]
            for kind, name in names:
                if name:
                    key = (card.network, kind, name)
                    found[key] = found.get(key, 0) | mask
        return found

    def _peers(self, rule: Rule, members: Mapping[tuple[str, str, str], int]) -> int:
        found = self.space.mask(rule.peers)
        for kind, names in (("tag", rule.peer_tags), ("account", rule.peer_accounts)):
            for name in names:
                found |= members.get((rule.network, kind, name), 0)
        return found

    def _side(
        self, card: Card, line: list[tuple[Rule, int, Packets]], memo: dict[tuple[object, ...], Packets], whose: Whose, *, egress: bool
    ) -> Packets:
        meant = [one for one in line if _aimed(one[0], card)]
        passed = 0
        network = self.networks[card.network]
        for atom in self.space.atoms(self.space.mask(card.inside)):
            family = next(one for one in self.space.families if one & atom)
            mine = tuple((rule.action, packets) for rule, own, packets in meant if own & atom)
            around = (
                ()
                if whose is Whose.OURS
                else tuple(tuple(_policies(part, self, card, atom, egress=egress)) for part in (network.before, network.after))
            )
            key = (mine, around, family, egress, whose)
            if key not in memo:
                memo[key] = self._decided(mine, around, family, egress=egress)
            passed |= memo[key]
        return passed

    def _decided(
        self,
        mine: tuple[tuple[str, Packets], ...],
        around: tuple[tuple[tuple[tuple[str, Packets], ...], ...], ...],
        family: int,
        *,
        egress: bool,
    ) -> Packets:
        whole = self.space.box(family, self.space.every_row)
        before, after = around or ((), ())
        passed = whole if egress and around else 0
        for policy in reversed(after):
            passed = _first(policy, passed)
        passed = _first(mine, passed)
        for policy in reversed(before):
            passed = _first(policy, passed)
        return passed & whole

    # --- any order -----------------------------------------------------------------------------------------------

    def corners(self, state: State, acts: Sequence[Act]) -> Corners[State]:
        """Return what bounds a phase: an allow that comes and a deny that goes only raise, the others only lower.

        A machine whose tags change bears the old or the new ones, for its own rules and as a member that others refer to, and these two
        may lag behind each other.
        """
        ups: list[Act] = []
        downs: list[Act] = []
        swaps = [act for act in acts if act.call == "tags"]
        for act in acts:
            rule = act.rule if act.call == "insert" else state.rules.get(act.object)
            if act.call == "tags" or rule is None:
                continue
            comes = act.call == "insert" or (act.call == "patch" and not act.off)
            (ups if (rule.action == "allow") is comes else downs).append(act)
        low, high = self.after(state, downs), self.after(state, ups)
        if not swaps:
            return Corners((low,), (high,))
        return Corners(self._swapped(low, swaps), self._swapped(high, swaps))

    def _swapped(self, state: State, swaps: Sequence[Act]) -> tuple[State, ...]:
        moved = self.after(state, swaps)
        old = {**state.members, **{act.object: act.expect for act in swaps}}
        new = {**state.members, **{act.object: act.tags for act in swaps}}
        return tuple(replace(one, members=members) for one in (state, moved) for members in (old, new))


def _path(url: str) -> str:
    at = url.find("projects/")
    if at < 0:
        raise UnreadableError(f"{url!r} names no network")
    return url[at:]


def _aimed(rule: Rule, card: Card) -> bool:
    """Tell whether a rule's targets select a machine."""
    if not rule.tags and not rule.accounts:
        return True
    return card.account in rule.accounts or any(tag in rule.tags for tag in card.tags)


def _policies(
    policies: tuple[tuple[Rule, ...], ...], gcp: Gcp, card: Card, atom: int, *, egress: bool
) -> Iterator[tuple[tuple[str, Packets], ...]]:
    """Yield each policy as actions and packets, as far as it acts on one own address of an interface."""
    for policy in policies:
        yield tuple(
            (rule.action, gcp.space.packets(rule.peers, rule.services))
            for rule in policy
            if rule.egress is egress
            and (not rule.accounts or card.account in rule.accounts)
            and (not rule.own or gcp.space.mask(rule.own) & atom)
        )


def _first(line: Iterable[tuple[str, Packets]], after: Packets) -> Packets:
    """Return what passes a list of rules, the first that matches deciding; `after` is what passes where none does, or one passes it on."""
    passed = after
    for action, packets in reversed(tuple(line)):
        if action == "allow":
            passed |= packets
        elif action == "deny":
            passed &= ~packets
        else:
            passed = (passed & ~packets) | (after & packets)
    return passed

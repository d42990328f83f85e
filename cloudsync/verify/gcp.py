"""Compute Engine read anew: policies before, VPC rules, policies after, implied rules; the first that matches decides.

Sources: VPC documentation ("Firewall policy rule evaluation order", "VPC firewall rules"); compute v1, `Firewall`. At equal numbers deny
stands before allow. An interface with several own addresses counts as open where any of them is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cloudsync.verify.ground import Beyond, Corners, Json, Passage, Place, Whose, items, mapping, number, text, texts
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
    said: str = ""
    """Its description, and what it logs."""


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
    said: str = ""
    """The description that a patch leaves."""
    tags: tuple[str, ...] = ()
    expect: tuple[str, ...] = ()


Line = list[tuple[Rule, int, Packets]]
"""Rules of one network and direction in the order of evaluation, with the own addresses they act on and the packets they match."""
Near = tuple[tuple[tuple[int, ...], ...], ...]
"""Rules of policies before and after the network's, by their places."""


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
        if top.get("owner") != self.owner:
            raise UnreadableError("the table was read for another owner than the plan's")
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
            said=json.dumps([description, _logging(one.get("logConfig") or {})], sort_keys=True),
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
                return Act(
                    "patch", text(top.get("rule"), "rule"), off=body["disabled"] is True, said=text(body["description"], "a description")
                )
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
                    logs = json.loads(known.said)[1]
                    rules[act.object] = replace(known, on=not act.off, said=json.dumps([act.said, logs], sort_keys=True))
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
        lines: dict[tuple[str, bool], Line] = {}
        members = self._members(state)
        for rule in sorted(state.rules.values(), key=lambda one: (one.priority, one.action == "allow", one.name)):
            if self._counts(rule, whose):
                own = self.space.mask(rule.own) if rule.own else -1
                packets = self.space.box(self._peers(rule, members), self.space.row(rule.services))
                lines.setdefault((rule.network, rule.egress), []).append((rule, own, packets))
        memo: dict[tuple[object, ...], Packets] = {}
        found: dict[str, Passage] = {}
        for point, card in state.cards.items():
            sides = [self._side(card, lines.get((card.network, egress), []), memo, whose, egress=egress) for egress in (False, True)]
            found[point] = Passage(*sides)
        return found

    def _counts(self, rule: Rule, whose: Whose) -> bool:
        """Tell whether a rule is looked at; among foreign ones those that we switched off are on."""
        if whose is Whose.FOREIGN:
            word = f" [cloudsync:v1 off owner={self.owner}]"
            return not rule.ours and (rule.on or str(json.loads(rule.said)[0]).endswith(word))
        return rule.on and (whose is Whose.ALL or rule.ours)

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

    def _side(self, card: Card, line: Line, memo: dict[tuple[object, ...], Packets], whose: Whose, *, egress: bool) -> Packets:
        meant = [at for at, (rule, _, _) in enumerate(line) if _aimed(rule, card)]
        network = self.networks[card.network]
        passed = 0
        for atom in self.space.atoms(self.space.mask(card.inside)):
            mine = tuple(at for at in meant if line[at][1] & atom)
            near = self._near(network, card, atom, egress=egress) if whose is not Whose.OURS else ()
            key = (card.network, egress, atom < self.space.families[1] & -self.space.families[1], mine, near)
            if key not in memo:
                rules = [(line[at][0].action, line[at][2]) for at in mine]
                memo[key] = self._decided(network, near, rules, egress=egress) & self.space.of_family(atom)
            passed |= memo[key]
        return passed

    def _near(self, network: Network, card: Card, atom: int, *, egress: bool) -> Near:
        """Return which rules of each policy act on one own address of an interface, by their places."""
        return tuple(
            tuple(
                tuple(
                    at
                    for at, rule in enumerate(policy)
                    if rule.egress is egress
                    and (not rule.accounts or card.account in rule.accounts)
                    and (not rule.own or self.space.mask(rule.own) & atom)
                )
                for policy in policies
            )
            for policies in (network.before, network.after)
        )

    def _decided(self, network: Network, near: Near, rules: list[tuple[str, Packets]], *, egress: bool) -> Packets:
        if not near:
            return _first(rules, 0)
        passed = self.space.everything if egress else 0
        for policy, places in reversed(tuple(zip(network.after, near[1], strict=True))):
            passed = _first(self._acting(policy, places), passed)
        passed = _first(rules, passed)
        for policy, places in reversed(tuple(zip(network.before, near[0], strict=True))):
            passed = _first(self._acting(policy, places), passed)
        return passed

    def _acting(self, policy: tuple[Rule, ...], places: tuple[int, ...]) -> list[tuple[str, Packets]]:
        return [(policy[at].action, self.space.packets(policy[at].peers, policy[at].services)) for at in places]

    def unfinished(self, state: State) -> str:
        """Return nothing: what a call did stays done."""
        del state
        return ""

    def beyond(self, state: State, *, exclusive: bool) -> Mapping[str, Beyond]:
        """Return what policies, and families without an address, decide before any rule of the network is asked."""
        del exclusive
        memo: dict[tuple[str, Near, Packets], tuple[Packets, Packets]] = {}
        found: dict[str, Beyond] = {}
        for point, card in state.cards.items():
            sides = [self._around(card, memo, egress=egress) for egress in (False, True)]
            found[point] = Beyond((sides[0][0], sides[1][0]), (sides[0][1], sides[1][1]))
        return found

    def _around(
        self, card: Card, memo: dict[tuple[str, Near, Packets], tuple[Packets, Packets]], *, egress: bool
    ) -> tuple[Packets, Packets]:
        """Return what cannot pass even if rules let through everything, and what passes even if they let through nothing."""
        network = self.networks[card.network]
        most = least = 0
        for atom in self.space.atoms(self.space.mask(card.inside)):
            near, whole = self._near(network, card, atom, egress=egress), self.space.of_family(atom)
            key = (card.network, near, whole)
            if key not in memo:
                wide, narrow = whole, 0
                for policy, places in reversed(tuple(zip(network.before, near[0], strict=True))):
                    acting = self._acting(policy, places)
                    wide, narrow = _first(acting, wide) & whole, _first(acting, narrow) & whole
                memo[key] = wide, narrow
            most, least = most | memo[key][0], least | memo[key][1]
        return self.space.everything & ~most, least

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


def _logging(config: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return what a rule logs; nothing where it is off. All metadata is what is filled in where a rule does not say."""
    if not config.get("enable"):
        return {}
    return {key: value for key, value in config.items() if (key, value) != ("metadata", "INCLUDE_ALL_METADATA")}


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


def _first(line: Sequence[tuple[str, Packets]], after: Packets) -> Packets:
    """Return what passes a list of rules, the first that matches deciding; `after` is what passes where none does, or one passes it on."""
    passed = after
    for action, packets in reversed(line):
        if action == "allow":
            passed |= packets
        elif action == "deny":
            passed &= ~packets
        else:
            passed = (passed & ~packets) | (after & packets)
    return passed

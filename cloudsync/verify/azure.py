"""Azure network security groups read anew: rules by priority, the six defaults behind them, subnet and interface in series.

Sources: Azure documentation ("How network security groups filter network traffic", "Service tags", "Application security groups"). An
interface with several own addresses counts as open where any of them is. A rule that decides only part of its packets (source ports), or
packets that nobody here can name (other service tags), counts as wide as it may be: an allow opens all it could, a deny cuts nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import product

from cloudsync.verify.ground import Beyond, Corners, Json, Passage, Place, Whose, items, mapping, number, text, texts
from cloudsync.verify.space import (
    AH,
    ANY,
    BLOCK,
    ESP,
    EVERYWHERE,
    ICMP,
    ICMPV6,
    TCP,
    UDP,
    Packets,
    Runs,
    Space,
    Spans,
    UnreadableError,
    network,
    networks,
    protocol,
)

PLATFORM = networks(("168.63.129.16",))
LINK_LOCAL = networks(("169.254.0.0/16",))
FIRST, LAST = 100, 4096
EVERY_PORT = ((0, BLOCK - 1),)
_TIERS = "snpadmkz"
_REPEATS = ("m", "k")
_CASELESS = frozenset({"protocol", "access", "direction", "sourceAddressPrefix", "destinationAddressPrefix"})
_PROTOCOLS = {"*": 0, "any": 0, "all": 0, "tcp": TCP, "udp": UDP, "icmp": ICMP, "esp": ESP, "ah": AH}


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a rule: addresses, a service tag in lower case, or application security groups."""

    spans: Spans = ()
    tag: str = ""
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `vague`: it decides only some of its packets, or nobody here can say which."""

    name: str
    egress: bool
    priority: int
    deny: bool
    own: Side
    peer: Side
    services: Runs
    vague: bool
    ours: bool
    digest: str
    """Of its content as a step expects it."""


@dataclass(frozen=True, slots=True)
class Nsg:
    """One network security group."""

    managed: bool
    flush: bool | None
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """One interface."""

    id: str
    name: str
    vnet: str
    private: Spans
    public: Spans
    series: tuple[str, ...]
    """The NSGs before it that were read, subnet first."""
    groups: tuple[str, ...]
    skipped: str


@dataclass(frozen=True, slots=True)
class State:
    """Everything that decides."""

    nsgs: Mapping[str, Nsg]
    cards: Mapping[str, Card]
    groups: frozenset[str]


@dataclass(frozen=True, slots=True)
class Act:
    """One write, read."""

    call: str
    object: str
    rules: tuple[Rule, ...] = ()
    name: str = ""
    expect: str = ""
    flush: bool | None = None
    groups: tuple[str, ...] = ()
    were: tuple[str, ...] = ()


class Azure:
    """The platform."""

    unfamilied = False

    def __init__(self, space: Space, owner: str) -> None:
        self.space, self.owner = space, owner
        self.spaces: dict[str, Spans] = {}
        for spans in (PLATFORM, LINK_LOCAL, EVERYWHERE):
            space.addresses(spans)

    # --- reading -------------------------------------------------------------------------------------------------

    def read(self, dump: Json) -> State:
        """Return the state of a dump."""
        top = mapping(dump, "the table")
        if top.get("owner") != self.owner:
            raise UnreadableError("the table was read for another owner than the plan's")
        self.spaces = {text(vnet, "a VNet"): self._noted(blocks) for vnet, blocks in items(top.get("spaces"), "spaces")}
        nsgs = {
            text(one["id"], "an NSG"): Nsg(one["managed"] is True, one["flush"], self._rules(one["rules"]))
            for one in items(top.get("nsgs"), "nsgs")
        }
        before = {text(one[0], "a subnet"): text(one[3], "an NSG") for one in items(top.get("subnets"), "subnets")}
        cards = {text(one["point"], "a point"): self._card(one, before, nsgs) for one in items(top.get("interfaces"), "interfaces")}
        return State(nsgs, cards, frozenset(text(one[0], "a group") for one in items(top.get("asgs"), "asgs")))

    def _noted(self, blocks: Json) -> Spans:
        return self.space.addresses(networks(texts(blocks, "addresses")))

    def _card(self, one: Json, before: Mapping[str, str], nsgs: Mapping[str, Nsg]) -> Card:
        met = [*(before.get(subnet, "") for subnet in texts(one["subnets"], "subnets")), text(one["nsg"], "an NSG")]
        series = tuple(dict.fromkeys(name for name in met if name in nsgs))
        name = one["holder"].rpartition("/")[2] or one["id"].rpartition("/")[2]
        groups = texts(one["asgs"], "groups")
        return Card(one["id"], name, one["vnet"], self._noted(one["private"]), self._noted(one["public"]), series, groups, one["skipped"])

    def _rules(self, raw: Json) -> tuple[Rule, ...]:
        found = [self._rule(one) for one in items(raw, "rules")]
        return tuple(sorted(found, key=lambda one: (one.egress, one.priority, one.name)))

    def _rule(self, raw: Json) -> Rule:
        name, inner = text(raw.get("name"), "a rule"), mapping(raw.get("properties"), "properties")
        way, access = str(inner.get("direction", "")).lower(), str(inner.get("access", "")).lower()
        if way not in ("inbound", "outbound") or access not in ("allow", "deny"):
            raise UnreadableError(f"rule {name}: direction {way!r}, access {access!r}")
        egress, deny, priority = way == "outbound", access == "deny", number(inner.get("priority"), "a priority")
        ours = self._marked(name, str(inner.get("description") or ""))
        try:
            sides = (self._side(inner, "source"), self._side(inner, "destination"))
            services, vague = self._services(inner)
        except UnreadableError:
            if ours:
                raise
            nobody = Side()
            return Rule(name, egress, priority, deny, Side(EVERYWHERE), nobody, (), vague=True, ours=False, digest=_foreign(name, inner))
        own, peer = sides if egress else (sides[1], sides[0])
        digest = _digest([raw]) if ours else _foreign(name, inner)
        return Rule(name, egress, priority, deny, own, peer, services, vague or _unknown(own) or _unknown(peer), ours, digest)

    def _marked(self, name: str, description: str) -> bool:
        stem = f"cs-{self.owner}-"
        tail = name.removeprefix(stem)
        marked = description.startswith(f"cloudsync/{self.owner}: ")
        return marked and name.startswith(stem) and re.fullmatch(rf"[{_TIERS}]-[\w.-]+", tail) is not None

    def _side(self, inner: Mapping[str, Json], end: str) -> Side:
        words = _several(inner, f"{end}AddressPrefix", f"{end}AddressPrefixes")
        groups = tuple(sorted(text(one.get("id"), "a group").lower() for one in inner.get(f"{end}ApplicationSecurityGroups") or ()))
        if bool(groups) is bool(words):
            raise UnreadableError(f"a rule with no {end}, or with addresses and groups at once")
        if groups:
            return Side(groups=groups)
        if any(word.lower() in ("*", "any") for word in words):
            return Side(EVERYWHERE)
        tags = {word.lower() for word in words if not word[:1].isdigit() and ":" not in word}
        if tags:
            if len(words) > 1:
                raise UnreadableError("service tags beside other words")
            return Side(tag=tags.pop())
        return Side(self.space.addresses(tuple(network(word) for word in words)))

    def _services(self, inner: Mapping[str, Json]) -> tuple[Runs, bool]:
        """Return a rule's services, and whether it decides only some of their packets."""
        word = str(inner.get("protocol")).lower()
        if word not in _PROTOCOLS:
            raise UnreadableError(f"protocol {word!r}")
        value, ports, sources = _PROTOCOLS[word], _ports(inner, "destination"), _ports(inner, "source")
        every = ports == EVERY_PORT
        if value in (TCP, UDP):
            runs = tuple((value * BLOCK + first, value * BLOCK + last) for first, last in ports)
        elif value == 0:
            runs = ANY if every else tuple((one * BLOCK + first, one * BLOCK + last) for one in (TCP, UDP) for first, last in ports)
        else:
            runs = (*protocol(ICMP), *protocol(ICMPV6)) if value == ICMP else protocol(value)
        return self.space.services(runs), sources != EVERY_PORT or (value in (ICMP, ESP, AH) and not every)

    # --- payloads ------------------------------------------------------------------------------------------------

    def act(self, payload: Json, step: Mapping[str, Json]) -> Act:
        """Return what a payload does."""
        del step
        top = mapping(json.loads(text(payload, "a payload")), "a payload")
        match top.get("call"):
            case "put_nsg" | "put_rule" as call:
                rules = self._rules(top["rules"])
                if call == "put_rule" and len(rules) != 1:
                    raise UnreadableError("one rule is written, not several")
                name = rules[0].name if call == "put_rule" else ""
                return Act(call, text(top.get("nsg"), "nsg"), rules, name, text(top.get("expect"), "expect"), top.get("flush"))
            case "delete_rule":
                return Act("delete_rule", text(top.get("nsg"), "nsg"), (), text(top.get("name"), "name"), text(top.get("expect"), "expect"))
            case "put_nic":
                groups, were = (tuple(sorted(texts(top.get(key), "groups"))) for key in ("asgs", "expect"))
                return Act("put_nic", text(top.get("nic"), "nic"), groups=groups, were=were)
            case "put_asg":
                if top.get("tags") != {"cloudsync-managed": self.owner}:
                    raise UnreadableError("a group is made without our mark")
                return Act("put_asg", text(top.get("asg"), "asg"))
            case "delete_asg":
                return Act("delete_asg", text(top.get("asg"), "asg"))
        raise UnreadableError(f"{top.get('call')!r} is no call that plans make")

    def after(self, state: State, acts: Iterable[Act]) -> State:
        """Return the state after acts in their order."""
        nsgs, cards, groups = dict(state.nsgs), dict(state.cards), set(state.groups)
        points = {one.id: point for point, one in cards.items()}
        for act in acts:
            match act.call:
                case "put_nic":
                    self._join(act, cards, points, groups)
                case "put_asg":
                    if act.object in groups:
                        raise UnreadableError(f"group {act.object} is there already")
                    groups.add(act.object)
                case "delete_asg":
                    named = any(act.object in (*rule.own.groups, *rule.peer.groups) for one in nsgs.values() for rule in one.rules)
                    if named or act.object not in groups or any(act.object in one.groups for one in cards.values()):
                        raise UnreadableError(f"group {act.object} is not there, or in use")
                    groups.remove(act.object)
                case _:
                    nsgs[act.object] = _written(nsgs.get(act.object), act)
        return State(nsgs, cards, frozenset(groups))

    @staticmethod
    def _join(act: Act, cards: dict[str, Card], points: Mapping[str, str], groups: set[str]) -> None:
        point = points.get(act.object)
        if point is None or cards[point].groups != act.were or not groups.issuperset(act.groups):
            raise UnreadableError(f"interface {act.object} is not as the step expects it, or joins a group that is not there")
        home = {one.vnet for one in cards.values() if not set(act.groups).isdisjoint(one.groups) and one.id != act.object}
        if home - {cards[point].vnet}:
            raise UnreadableError(f"interface {act.object} joins a group of another VNet")
        cards[point] = replace(cards[point], groups=act.groups)

    def places(self, state: State) -> Mapping[str, Place]:
        """Return every interface."""
        return {point: Place(one.name, (*one.private, *one.public), one.skipped) for point, one in state.cards.items()}

    # --- what is let through -------------------------------------------------------------------------------------

    def passages(self, state: State, whose: Whose = Whose.ALL) -> Mapping[str, Passage]:
        """Return what each interface lets through: what every NSG before it does, at any of its own addresses."""
        looked = Look(self, state, self._members(state), whose)
        return {point: Passage(looked.side(card, egress=False), looked.side(card, egress=True)) for point, card in state.cards.items()}

    def unfinished(self, state: State) -> str:
        """Return nothing: what a call did stays done."""
        del state
        return ""

    def beyond(self, state: State, *, exclusive: bool) -> Mapping[str, Beyond]:
        """Return what NSGs that are not ours to write cut, families without an address, and the platform's own address.

        In additive targets the denies of others in our NSGs as well: they stand where they are.
        """
        looked = Look(self, state, self._members(state), Whose.ALL)
        platform = self.space.box(self.space.mask(PLATFORM), self.space.every_row)
        found: dict[str, Beyond] = {}
        for point, card in state.cards.items():
            cut = [self.space.everything & ~looked.others(card, egress=egress, denies=not exclusive) for egress in (False, True)]
            found[point] = Beyond((cut[0], cut[1]), (platform, platform))
        return found

    def _members(self, state: State) -> Mapping[str, int]:
        members: dict[str, int] = {}
        for card in state.cards.values():
            for group in card.groups:
                members[group] = members.get(group, 0) | self.space.mask(card.private)
        return members

    # --- any order -----------------------------------------------------------------------------------------------

    def corners(self, state: State, acts: Sequence[Act]) -> Corners[State]:
        """Return what bounds a phase: single allows that come and denies that go raise, the others lower; the rest is seen old or new.

        NSGs that are replaced are coloured so that no two in series have one colour, and every combination of colours is a corner. Of
        interfaces that join and leave groups every two are seen in each of their four states: a packet has two ends.
        """
        ups: list[Act] = []
        downs: list[Act] = []
        puts: dict[str, list[Act]] = {}
        moves: list[Act] = []
        silent: list[Act] = []
        for act in acts:
            if act.call in ("put_rule", "delete_rule"):
                known = next((one for one in state.nsgs[act.object].rules if one.name == act.name), None)
                rule = act.rules[0] if act.call == "put_rule" else known
                if rule is None or (act.call == "put_rule" and known is not None):
                    puts.setdefault(act.object, []).append(act)
                else:
                    (ups if rule.deny is (act.call == "delete_rule") else downs).append(act)
            elif act.call == "put_nsg":
                puts.setdefault(act.object, []).append(act)
            elif act.call == "put_nic":
                moves.append(act)
            elif act.call == "put_asg":
                silent.append(act)
        ready = self.after(state, silent)
        low, high = self.after(ready, downs), self.after(ready, ups)
        mixes = [(*some, *more) for some in _coloured(state, puts) for more in _paired(moves)]
        return Corners(tuple(self.after(low, mix) for mix in mixes), tuple(self.after(high, mix) for mix in mixes))


class Look:
    """One state asked for one kind of rules."""

    def __init__(self, azure: Azure, state: State, members: Mapping[str, int], whose: Whose) -> None:
        self.azure, self.space, self.state, self.members, self.whose = azure, azure.space, state, members, whose
        self._lines: dict[tuple[str, str, bool], tuple[tuple[int, bool, Packets], ...]] = {}
        self._passed: dict[tuple[str, str, bool, tuple[int, ...]], Packets] = {}

    def side(self, card: Card, *, egress: bool) -> Packets:
        """Return what an interface lets through in one direction."""
        series = [one for one in card.series if self.whose is not Whose.OURS or self.state.nsgs[one].managed]
        if self.whose is Whose.OURS and not series:
            return 0
        found = 0
        for atom in self.space.atoms(self.space.mask(card.private)):
            passed = self.space.of_family(atom)
            for nsg in series:
                passed &= self._first(nsg, card.vnet, atom, egress=egress)
            found |= passed
        return found

    def others(self, card: Card, *, egress: bool, denies: bool) -> Packets:
        """Return what could pass if our rules let everything through: cut by foreign NSGs, and by foreign rules in ours if `denies`."""
        found = 0
        for atom in self.space.atoms(self.space.mask(card.private)):
            passed = self.space.of_family(atom)
            for nsg in card.series:
                if not self.state.nsgs[nsg].managed:
                    passed &= self._first(nsg, card.vnet, atom, egress=egress)
                elif denies:
                    passed &= ~self._denied(nsg, card.vnet, atom, egress=egress)
            found |= passed
        return found

    def _denied(self, nsg: str, vnet: str, atom: int, *, egress: bool) -> Packets:
        found = 0
        for rule in sorted(self.state.nsgs[nsg].rules, key=lambda one: one.priority, reverse=True):
            resolved = self._resolved(rule, vnet) if rule.egress is egress and not rule.ours else None
            if resolved is not None and resolved[0] & atom:
                found = found | resolved[2] if rule.deny else found & ~resolved[2]
        return found

    def _first(self, nsg: str, vnet: str, atom: int, *, egress: bool) -> Packets:
        """Return what an NSG lets through at one own address: the first rule that matches decides."""
        line = self.line(nsg, vnet, egress=egress)
        met = tuple(at for at, (own, _, _) in enumerate(line) if own & atom)
        key = (nsg, vnet, egress, met)
        found = self._passed.get(key)
        if found is None:
            found = 0
            for at in reversed(met):
                _, deny, packets = line[at]
                found = found & ~packets if deny else found | packets
            self._passed[key] = found
        return found

    def line(self, nsg: str, vnet: str, *, egress: bool) -> tuple[tuple[int, bool, Packets], ...]:
        """Return the rules of one direction of an NSG in their order: own addresses, whether it denies, packets."""
        key = (nsg, vnet, egress)
        if key not in self._lines:
            rules = [one for one in self.state.nsgs[nsg].rules if one.egress is egress and self._counts(one)]
            found = [self._resolved(one, vnet) for one in sorted(rules, key=lambda one: one.priority)]
            if self.whose is not Whose.OURS:
                found.extend(self._defaults(vnet, egress=egress))
            self._lines[key] = tuple(one for one in found if one is not None)
        return self._lines[key]

    def _counts(self, rule: Rule) -> bool:
        """Tell whether a rule is looked at; those of ours that only repeat what foreign ones said count as foreign."""
        if self.whose is Whose.FOREIGN:
            return not rule.ours or rule.name.removeprefix(f"cs-{self.azure.owner}-")[:1] in _REPEATS
        return self.whose is Whose.ALL or rule.ours

    def _resolved(self, rule: Rule, vnet: str) -> tuple[int, bool, Packets] | None:
        own, peer = self._addresses(rule.own, vnet), self._addresses(rule.peer, vnet)
        if own is None or peer is None or (rule.vague and rule.deny):
            return None
        return own, rule.deny, self.space.box(peer, self.space.row(rule.services))

    def _addresses(self, side: Side, vnet: str) -> int | None:
        """Return the addresses of a side; None for a service tag that stands for a list of the vendor's."""
        inside, platform = self.space.mask(self.azure.spaces.get(vnet, ())), self.space.mask(PLATFORM)
        if side.groups:
            found = [self.members.get(one, 0) for one in side.groups]
            return sum_of(found) if all(found) else 0
        match side.tag:
            case "":
                return self.space.mask(side.spans)
            case "virtualnetwork":
                return inside | platform
            case "azureloadbalancer":
                return platform
            case "internet":
                return self.space.mask(EVERYWHERE) & ~(inside | platform | self.space.mask(LINK_LOCAL))
        return None

    def _defaults(self, vnet: str, *, egress: bool) -> Iterator[tuple[int, bool, Packets]]:
        """Yield the three defaults of a direction: the VNet with itself, the load balancer in or the internet out, nothing else."""
        every = self.space.mask(EVERYWHERE)
        near = self._addresses(Side(tag="virtualnetwork"), vnet) or 0
        far = self._addresses(Side(tag="internet" if egress else "azureloadbalancer"), vnet) or 0
        yield near, False, self.space.box(near, self.space.every_row)
        yield every, False, self.space.box(far, self.space.every_row)
        yield every, True, self.space.everything


def sum_of(masks: Iterable[int]) -> int:
    """Return the union of sets."""
    found = 0
    for mask in masks:
        found |= mask
    return found


def _unknown(side: Side) -> bool:
    return bool(side.tag) and side.tag not in ("virtualnetwork", "azureloadbalancer", "internet")


def _several(inner: Mapping[str, Json], one: str, many: str) -> list[str]:
    more = inner.get(many)
    if more is not None and not isinstance(more, list):
        raise UnreadableError(f"{many} is no list")
    return [*([str(inner[one])] if inner.get(one) else []), *map(str, more or ())]


def _ports(inner: Mapping[str, Json], end: str) -> tuple[tuple[int, int], ...]:
    """Return ports as runs that neither touch nor overlap."""
    found: list[tuple[int, int]] = []
    for word in _several(inner, f"{end}PortRange", f"{end}PortRanges"):
        if word.lower() in ("*", "any"):
            return EVERY_PORT
        first, dash, last = (part.strip() for part in word.partition("-"))
        high = last if dash else first
        if not (first.isdecimal() and high.isdecimal() and int(first) <= int(high) < BLOCK):
            raise UnreadableError(f"port {word!r}")
        found.append((int(first), int(high)))
    if not found:
        raise UnreadableError(f"a rule without {end} ports")
    joined: list[tuple[int, int]] = []
    for low, high_at in sorted(found):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], high_at))
        else:
            joined.append((low, high_at))
    return tuple(joined)


# --- digests that steps expect ---------------------------------------------------------------------------------------


def _digest(parts: list[Json]) -> str:
    return sha256(json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()).hexdigest()


def _foreign(name: str, inner: Mapping[str, Json]) -> str:
    """Return the digest of somebody else's rule: whatever is empty left out, words without their case, groups sorted."""
    kept: dict[str, Json] = {}
    for key, value in inner.items():
        if value in ([], None, "") or key == "provisioningState":
            continue
        if key in _CASELESS:
            kept[key] = str(value).lower()
        elif key.endswith("SecurityGroups") and isinstance(value, list):
            kept[key] = sorted(str(one.get("id")).lower() if isinstance(one, dict) else str(one) for one in value)
        else:
            kept[key] = value
    return _digest([json.dumps({"name": name, "properties": kept}, sort_keys=True, separators=(",", ":"), ensure_ascii=True)])


# --- writes ----------------------------------------------------------------------------------------------------------


def _written(nsg: Nsg | None, act: Act) -> Nsg:
    if nsg is None or not nsg.managed:
        raise UnreadableError(f"NSG {act.object} is not there, or not ours to write")
    if act.call == "put_nsg":
        if act.expect != _digest([[one.digest for one in nsg.rules], nsg.flush]):
            raise UnreadableError(f"NSG {act.object} is not as the step expects it")
        found = Nsg(nsg.managed, nsg.flush if act.flush is None else act.flush, act.rules)
    else:
        known = next((one for one in nsg.rules if one.name.lower() == act.name.lower()), None)
        if act.expect != ("" if known is None else known.digest):
            raise UnreadableError(f"rule {act.name} of {act.object} is not as the step expects it")
        rest = [one for one in nsg.rules if one is not known]
        found = replace(nsg, rules=tuple(sorted((*rest, *act.rules), key=lambda one: (one.egress, one.priority, one.name))))
    names = [one.name.lower() for one in found.rules]
    places = [(one.egress, one.priority) for one in found.rules]
    if len(set(names)) < len(names) or len(set(places)) < len(places):
        raise UnreadableError(f"two rules of {act.object} have one name, or one priority")
    if any(one.ours and not FIRST <= one.priority <= LAST for one in found.rules):
        raise UnreadableError(f"a rule of {act.object} has a priority that rules cannot have")
    return found


def _coloured(state: State, puts: Mapping[str, list[Act]]) -> list[list[Act]]:
    """Return the parts of replacements that show every point each combination of old and new that it can meet."""
    if not puts:
        return [[]]
    near: dict[str, set[str]] = {name: set() for name in puts}
    for card in state.cards.values():
        together = [name for name in card.series if name in puts]
        for name in together:
            near[name].update(together)
    colours: dict[str, int] = {}
    for name in sorted(puts):
        taken = {colours[other] for other in near[name] if other in colours}
        colours[name] = min(set(range(len(puts))) - taken)
    count = max(colours.values()) + 1
    return [[act for name, acts in puts.items() if on[colours[name]] for act in acts] for on in product((False, True), repeat=count)]


def _paired(moves: Sequence[Act]) -> list[list[Act]]:
    """Return parts of moves such that any two are seen in all four states: any two places differ in a bit."""
    found: list[list[Act]] = [[], list(moves)] if moves else [[]]
    for bit in range((len(moves) - 1).bit_length() if len(moves) > 1 else 0):
        found.extend([act for at, act in enumerate(moves) if at >> bit & 1 == on] for on in (0, 1))
    return found

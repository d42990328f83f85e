"""EC2 read anew: security groups only allow, an interface lets through the union of its groups, references match members' addresses.

Sources: EC2 API reference (IpPermission, ModifyNetworkInterfaceAttribute), VPC user guide ("Security group rules").
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cloudsync.verify.ground import Beyond, Corners, Json, Passage, Place, Whose, items, mapping, number, text, texts
from cloudsync.verify.space import (
    ANY,
    BLOCK,
    EVERYWHERE,
    ICMP,
    ICMPV6,
    NAMES,
    TCP,
    UDP,
    Packets,
    Runs,
    Space,
    Spans,
    UnreadableError,
    icmp,
    network,
    networks,
    ports,
    protocol,
)

_WORDS = {"-1": -1, "icmp": ICMP, "tcp": TCP, "udp": UDP, "icmpv6": ICMPV6}
_SPANNED = frozenset(_WORDS.values()) - {-1}
_SOURCES = (
    ("IpRanges", "CidrIp", "cidr4"),
    ("Ipv6Ranges", "CidrIpv6", "cidr6"),
    ("UserIdGroupPairs", "GroupId", "group"),
    ("PrefixListIds", "PrefixListId", "list"),
)
_MANAGED = {"cloudsync:managed": "true"}
_DESCRIPTION = "Managed by cloudsync. Changes made by hand are undone."
CHANGES_MOST = 100


@dataclass(frozen=True, slots=True)
class Entry:
    """One rule of a group: what makes it another rule for EC2."""

    egress: bool
    protocol: int
    first: int
    last: int
    kind: str
    peer: str

    def services(self) -> Runs:
        """Return what protocol and ports mean: -1 is everything; for ICMP type and code, -1 being all; others have no ports."""
        if self.protocol == -1:
            return ANY
        if self.protocol in (TCP, UDP) and self.first >= 0:
            return ports(self.protocol, self.first, self.last)
        if self.protocol in (ICMP, ICMPV6) and self.first >= 0:
            return icmp(self.protocol, self.first, self.last)
        return protocol(self.protocol)


@dataclass(frozen=True, slots=True)
class Group:
    """One security group."""

    scope: str
    vpc: str
    name: str
    mark: str
    """Our mark, `owner/class/shard`; empty when it is not ours."""
    tags: tuple[tuple[str, str], ...]
    texts: Mapping[Entry, str]
    """Every entry with its description."""

    @property
    def ours(self) -> bool:
        """Tell whether it carries our mark."""
        return bool(self.mark)


@dataclass(frozen=True, slots=True)
class Card:
    """One network interface."""

    scope: str
    vpc: str
    name: str
    private: Spans
    public: Spans
    groups: tuple[str, ...]
    skipped: str


@dataclass(frozen=True, slots=True)
class Prefixes:
    """One prefix list."""

    name: str
    mark: str
    family: int
    most: int
    version: int
    entries: frozenset[str]


@dataclass(frozen=True, slots=True)
class State:
    """Everything that decides. `members`: whose groups references go by, where that lags behind what is attached."""

    groups: Mapping[str, Group]
    cards: Mapping[str, Card]
    lists: Mapping[str, Prefixes]
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Act:
    """One call, read."""

    call: str
    object: str
    """The group, interface or list; for a creation the key it goes by."""
    entries: tuple[Entry, ...] = ()
    texts: tuple[str, ...] = ()
    """The descriptions of the entries."""
    groups: tuple[str, ...] = ()
    expect: tuple[str, ...] | None = None
    adds: tuple[str, ...] = ()
    removes: tuple[str, ...] = ()
    version: int = 0
    most: int = 0
    made: Group | Prefixes | None = None


class Aws:
    """The platform."""

    unfamilied = True

    def __init__(self, space: Space, owner: str) -> None:
        self.space, self.owner = space, owner
        self.vpcs: dict[str, bool] = {}
        self.peered: set[tuple[str, str]] = set()
        space.addresses(EVERYWHERE)
        for value in NAMES:
            space.services(protocol(value))

    # --- reading -------------------------------------------------------------------------------------------------

    def read(self, dump: Json) -> State:
        """Return the state of a dump."""
        top = mapping(dump, "the table")
        if top.get("owner") != self.owner:
            raise UnreadableError("the table was read for another owner than the plan's")
        for row in items(top.get("vpcs"), "vpcs"):
            self.vpcs[text(row[0], "a VPC")] = row[3] is True
        self.peered = {(text(one, "a peering"), text(two, "a peering")) for one, two in items(top.get("peered"), "peered")}
        groups: dict[str, Group] = {}
        for one in items(top.get("groups"), "groups"):
            mark = text(one["mark"], "a mark")
            entries = {self._dumped(row): text(row[2], "a description") for row in items(one["rules"], "rules")}
            tags = tuple(sorted((text(key, "a tag"), text(value, "a tag")) for key, value in one["tags"]))
            if mark and not mark.startswith(f"{self.owner}/"):
                raise UnreadableError(f"{one['id']} carries another owner's mark as if it were ours")
            groups[text(one["id"], "a group")] = Group(one["scope"], one["vpc"], one["name"], mark, tags, entries)
        cards = {text(one["id"], "an interface"): self._card(one) for one in items(top.get("interfaces"), "interfaces")}
        lists = {
            text(one["id"], "a prefix list"): Prefixes(
                text(one["name"], "a name"),
                text(one["mark"], "a mark"),
                number(one["family"], "a family"),
                one["weight"],
                one["version"],
                frozenset(self._cidr(row[0]) for row in one["entries"]),
            )
            for one in items(top.get("lists"), "lists")
        }
        return State(groups, cards, lists)

    def _dumped(self, row: Json) -> Entry:
        return self._entry(
            Entry(row[3] is True, number(row[4], "a protocol"), number(row[5], "a port"), number(row[6], "a port"), row[1], row[7])
        )

    def _entry(self, entry: Entry) -> Entry:
        self.space.services(entry.services())
        if entry.kind in ("cidr4", "cidr6"):
            self._cidr(entry.peer)
            if network(entry.peer)[0] != (4 if entry.kind == "cidr4" else 6):
                raise UnreadableError(f"{entry.peer} is of another family than its field")
        return entry

    def _cidr(self, cidr: Json) -> str:
        self.space.addresses((network(text(cidr, "a prefix")),))
        return str(cidr)

    def _card(self, one: Json) -> Card:
        private = self.space.addresses(networks(texts(one["private"], "addresses")))
        public = self.space.addresses(networks(texts(one["public"], "addresses")))
        groups = texts(one["groups"], "groups of an interface")
        return Card(one["scope"], one["vpc"], one["instance"] or one["id"], private, public, groups, one["skipped"])

    # --- payloads ------------------------------------------------------------------------------------------------

    def act(self, payload: Json, step: Mapping[str, Json]) -> Act:
        """Return what a payload does."""
        top = mapping(json.loads(text(payload, "a payload")), "a payload")
        call, args = text(top.get("call"), "a call"), mapping(top.get("args"), "args")
        made = f"{{new:{step.get('object', '')}}}"
        match call:
            case "create_security_group":
                return Act(call, made, made=self._new_group(args, text(step.get("scope"), "a scope")))
            case "delete_security_group":
                return Act(call, text(args.get("GroupId"), "GroupId"))
            case "modify_network_interface_attribute":
                groups = tuple(sorted(set(texts(args.get("Groups"), "Groups"))))
                expect = None if top.get("expect") is None else tuple(sorted(texts(top["expect"], "expect")))
                return Act(call, text(args.get("NetworkInterfaceId"), "NetworkInterfaceId"), groups=groups, expect=expect)
            case "create_managed_prefix_list":
                family = 4 if args.get("AddressFamily") == "IPv4" else 6
                entries = frozenset(self._cidr(one["Cidr"]) for one in args.get("Entries", ()))
                tags = _tags(args, "prefix-list")
                if not (_MANAGED.items() <= tags.items() and tags.get("cloudsync:owner") == self.owner and tags.get("cloudsync:class")):
                    raise UnreadableError("a prefix list is created without our mark")
                mark = f"{self.owner}/{tags['cloudsync:class']}/{int(tags.get('cloudsync:shard', '0'))}"
                name, most = text(args.get("PrefixListName"), "a name"), number(args.get("MaxEntries"), "MaxEntries")
                return Act(call, made, made=Prefixes(name, mark, family, most, 1, entries))
            case "modify_managed_prefix_list":
                adds, removes = (tuple(self._cidr(one["Cidr"]) for one in args.get(key, ())) for key in ("AddEntries", "RemoveEntries"))
                name = text(args.get("PrefixListId"), "PrefixListId")
                return Act(call, name, adds=adds, removes=removes, version=args.get("CurrentVersion", 0), most=args.get("MaxEntries", 0))
            case "delete_managed_prefix_list":
                return Act(call, text(args.get("PrefixListId"), "PrefixListId"))
        verb, _, way = call.rpartition("_")
        if way not in ("ingress", "egress") or verb not in (
            "authorize_security_group",
            "revoke_security_group",
            "update_security_group_rule_descriptions",
        ):
            raise UnreadableError(f"{call} is no call that plans make")
        said = tuple(self._permissions(args.get("IpPermissions"), egress=way == "egress"))
        if verb == "authorize_security_group" and _tags(args, "security-group-rule") != {**_MANAGED, "cloudsync:owner": self.owner}:
            raise UnreadableError("entries are added without our mark")
        name = text(args.get("GroupId"), "GroupId")
        return Act(verb, name, tuple(entry for entry, _ in said), tuple(described for _, described in said))

    def _new_group(self, args: Mapping[str, Json], scope: str) -> Group:
        vpc, name = text(args.get("VpcId"), "VpcId"), text(args.get("GroupName"), "GroupName")
        if args.get("Description") != _DESCRIPTION:
            raise UnreadableError(f"security group {name} is described by somebody else's words")
        tags = _tags(args, "security-group")
        shard = tags.get("cloudsync:shard", "")
        ours = _MANAGED.items() <= tags.items() and tags.get("cloudsync:owner") == self.owner and bool(tags.get("cloudsync:class"))
        if not ours or not shard.isdecimal():
            raise UnreadableError(f"security group {name} is created without our mark")
        mark = f"{self.owner}/{tags['cloudsync:class']}/{int(shard)}"
        # EC2 puts these into every new group: everything out, over IPv6 too where the VPC has it.
        entries = {self._entry(Entry(True, -1, -1, -1, "cidr4", "0.0.0.0/0")): ""}
        if self.vpcs.get(vpc):
            entries[self._entry(Entry(True, -1, -1, -1, "cidr6", "::/0"))] = ""
        return Group(scope, vpc, name, mark, tuple(sorted(tags.items())), entries)

    def _permissions(self, raw: Json, *, egress: bool) -> Iterable[tuple[Entry, str]]:
        for one in items(raw, "IpPermissions"):
            word = text(one.get("IpProtocol"), "IpProtocol")
            if word not in _WORDS and not (word.isdecimal() and int(word) <= 255):
                raise UnreadableError(f"no protocol {word}")
            known = _WORDS.get(word, -2)
            value = int(word) if known == -2 else known
            first, last = (number(one.get("FromPort"), "FromPort"), number(one.get("ToPort"), "ToPort")) if value in _SPANNED else (-1, -1)
            if value in (TCP, UDP) and not 0 <= first <= last < BLOCK:
                raise UnreadableError(f"ports {first}-{last}")
            if value in (ICMP, ICMPV6) and not (-1 <= first <= 255 and -1 <= last <= 255):
                raise UnreadableError(f"ICMP type {first} code {last}")
            found = False
            for block, key, kind in _SOURCES:
                for source in one.get(block, ()):
                    found = True
                    entry = self._entry(Entry(egress, value, first, last, kind, text(source.get(key), key)))
                    yield entry, text(source.get("Description", ""), "a description")
            if not found:
                raise UnreadableError("a permission for nobody")

    # --- what calls do -------------------------------------------------------------------------------------------

    def after(self, state: State, acts: Iterable[Act]) -> State:
        """Return the state after acts in their order."""
        draft = _Draft(dict(state.groups), dict(state.cards), dict(state.lists))
        for act in acts:
            _CALLS[act.call](draft, act)
        return State(draft.groups, draft.cards, draft.lists, state.members)

    def places(self, state: State) -> Mapping[str, Place]:
        """Return every interface."""
        return {f"{one.scope}/{key}": Place(one.name, (*one.private, *one.public), one.skipped) for key, one in state.cards.items()}

    # --- what is let through -------------------------------------------------------------------------------------

    def passages(self, state: State, whose: Whose = Whose.ALL) -> Mapping[str, Passage]:
        """Return the union of each interface's groups."""
        members: dict[str, int] = {}
        for key, card in state.cards.items():
            mask = self.space.mask(card.private)
            for group in state.members.get(key, card.groups):
                members[group] = members.get(group, 0) | mask
        said: dict[tuple[str, bool], Packets] = {}
        joined: dict[tuple[str, ...], Passage] = {}
        found: dict[str, Passage] = {}
        for key, card in state.cards.items():
            known = [one for one in card.groups if one in state.groups]
            names = tuple(one for one in known if whose is Whose.ALL or state.groups[one].ours is (whose is Whose.OURS))
            if names not in joined:
                sides = [0, 0]
                for name in names:
                    for egress in (False, True):
                        if (name, egress) not in said:
                            said[name, egress] = self._group(state, name, members, egress=egress)
                        sides[egress] |= said[name, egress]
                joined[names] = Passage(sides[0], sides[1])
            found[f"{card.scope}/{key}"] = joined[names]
        return found

    def _group(self, state: State, name: str, members: Mapping[str, int], *, egress: bool) -> Packets:
        group = state.groups[name]
        rows: dict[int, int] = {}
        for entry in group.texts:
            if entry.egress is egress:
                row = self.space.row(entry.services())
                rows[row] = rows.get(row, 0) | self._peers(state, group, entry, members)
        found = 0
        for row, mask in rows.items():
            found |= self.space.box(mask, row)
        return found

    def _peers(self, state: State, group: Group, entry: Entry, members: Mapping[str, int]) -> int:
        match entry.kind:
            case "cidr4" | "cidr6":
                return self.space.mask((network(entry.peer),))
            case "list":
                known = state.lists.get(entry.peer)
                if known is None:
                    return 0
                return self.space.mask(tuple(span for span in map(network, sorted(known.entries)) if span[0] == known.family))
            case _:
                other = state.groups.get(entry.peer)
                near = other is not None and (other.vpc == group.vpc or (group.vpc, other.vpc) in self.peered)
                return members.get(entry.peer, 0) if near else 0

    def unfinished(self, state: State) -> str:
        """Return nothing: what a call did stays done."""
        del state
        return ""

    def beyond(self, state: State, *, exclusive: bool) -> Mapping[str, Beyond]:
        """Return what may stay unsaid: packets of protocols that the policy language has no name for."""
        del exclusive
        named = 0
        for value in NAMES:
            named |= self.space.row(protocol(value))
        unnamed = self.space.box(self.space.mask(EVERYWHERE), self.space.every_row & ~named)
        return dict.fromkeys(self.places(state), Beyond(cut=(unnamed, unnamed)))

    # --- any order -----------------------------------------------------------------------------------------------

    def corners(self, state: State, acts: Sequence[Act]) -> Corners[State]:
        """Return what bounds a phase: what adds only raises, what removes only lowers; exchanged groups are seen old or new.

        That holds for an interface by itself and as a member that others refer to, and the two may lag behind each other.
        """
        ups: list[Act] = []
        downs: list[Act] = []
        swaps: list[Act] = []
        silent: list[Act] = []
        for act in acts:
            match act.call:
                case "authorize_security_group":
                    ups.append(act)
                case "revoke_security_group":
                    downs.append(act)
                case "modify_network_interface_attribute":
                    old = set(state.cards[act.object].groups) if act.object in state.cards else set()
                    new = set(act.groups)
                    (ups if old <= new else downs if new <= old else swaps).append(act)
                case "modify_managed_prefix_list":
                    if act.adds and act.removes:
                        raise UnreadableError("a prefix list gets and loses entries in one call")
                    (ups if act.adds else downs if act.removes else silent).append(act)
                case "delete_security_group" | "delete_managed_prefix_list":
                    pass  # only what nobody carries or refers to can be deleted: no packet knows of it
                case _:
                    silent.append(act)
        ready = self.after(state, silent)
        low, high = self.after(ready, downs), self.after(ready, ups)
        if not swaps:
            return Corners((low,), (high,))
        return Corners(self._swapped(low, swaps), self._swapped(high, swaps))

    def _swapped(self, state: State, swaps: Sequence[Act]) -> tuple[State, ...]:
        moved = self.after(state, swaps)
        old = {**state.members, **{act.object: state.cards[act.object].groups for act in swaps}}
        new = {**state.members, **{act.object: act.groups for act in swaps}}
        return tuple(replace(one, members=members) for one in (state, moved) for members in (old, new))


@dataclass(slots=True)
class _Draft:
    """A state under change."""

    groups: dict[str, Group]
    cards: dict[str, Card]
    lists: dict[str, Prefixes]


def _tags(args: Mapping[str, Json], sort: str) -> dict[str, str]:
    """Return the tags that a call gives to what it makes."""
    found: dict[str, str] = {}
    for one in args.get("TagSpecifications", ()):
        if one.get("ResourceType") != sort:
            raise UnreadableError(f"tags for a {one.get('ResourceType')}, not for a {sort}")
        for tag in one["Tags"]:
            if text(tag["Key"], "a tag") in found:
                raise UnreadableError(f"tag {tag['Key']} stands twice")
            found[tag["Key"]] = text(tag["Value"], "a tag")
    return found


# --- calls -----------------------------------------------------------------------------------------------------------


def _held(draft: _Draft, name: str) -> Group:
    if name not in draft.groups:
        raise UnreadableError(f"there is no security group {name}")
    return draft.groups[name]


def _create_group(draft: _Draft, act: Act) -> None:
    assert isinstance(act.made, Group)
    clash = any(one.vpc == act.made.vpc and one.name.lower() == act.made.name.lower() for one in draft.groups.values())
    if act.object in draft.groups or clash:
        raise UnreadableError(f"security group {act.made.name} is there already")
    draft.groups[act.object] = act.made


def _delete_group(draft: _Draft, act: Act) -> None:
    group = _held(draft, act.object)
    if not group.ours:
        raise UnreadableError(f"security group {act.object} is not ours to delete")
    if any(act.object in one.groups for one in draft.cards.values()):
        raise UnreadableError(f"security group {act.object} is deleted while it is attached")
    if any(entry.peer == act.object for key, one in draft.groups.items() if key != act.object for entry in one.texts):
        raise UnreadableError(f"security group {act.object} is deleted while another refers to it")
    del draft.groups[act.object]


def _authorize(draft: _Draft, act: Act) -> None:
    group = _own(draft, act.object)
    for entry in act.entries:
        if entry.kind == "group":
            _held(draft, entry.peer)
        if entry.kind == "list" and entry.peer not in draft.lists:
            raise UnreadableError(f"there is no prefix list {entry.peer}")
    if len(set(act.entries)) < len(act.entries) or not group.texts.keys().isdisjoint(act.entries):
        raise UnreadableError(f"an entry of {act.object} is added twice")
    draft.groups[act.object] = replace(group, texts={**group.texts, **dict(zip(act.entries, act.texts, strict=True))})


def _revoke(draft: _Draft, act: Act) -> None:
    group = _own(draft, act.object)
    if len(set(act.entries)) < len(act.entries) or not group.texts.keys() >= set(act.entries):
        raise UnreadableError(f"an entry is taken out of {act.object} that is not there")
    gone = set(act.entries)
    draft.groups[act.object] = replace(group, texts={entry: said for entry, said in group.texts.items() if entry not in gone})


def _describe(draft: _Draft, act: Act) -> None:
    group = _own(draft, act.object)
    if not group.texts.keys() >= set(act.entries):
        raise UnreadableError(f"an entry of {act.object} is described that is not there")
    draft.groups[act.object] = replace(group, texts={**group.texts, **dict(zip(act.entries, act.texts, strict=True))})


def _own(draft: _Draft, name: str) -> Group:
    group = _held(draft, name)
    if not group.ours:
        raise UnreadableError(f"security group {name} is not ours to change")
    return group


def _attach(draft: _Draft, act: Act) -> None:
    card = draft.cards.get(act.object)
    if card is None:
        raise UnreadableError(f"there is no interface {act.object}")
    if not act.groups:
        raise UnreadableError(f"{act.object} would lose its last security group")
    if act.expect is not None and act.expect != card.groups:
        raise UnreadableError(f"{act.object} does not carry the groups that the step expects")
    for name in act.groups:
        if name not in card.groups and _held(draft, name).vpc != card.vpc:
            raise UnreadableError(f"{name} is of another VPC than {act.object}")
    draft.cards[act.object] = replace(card, groups=act.groups)


def _create_list(draft: _Draft, act: Act) -> None:
    assert isinstance(act.made, Prefixes)
    if act.object in draft.lists or len(act.made.entries) > act.made.most:
        raise UnreadableError(f"prefix list {act.object} is there already, or too small for its entries")
    draft.lists[act.object] = act.made


def _modify_list(draft: _Draft, act: Act) -> None:
    known = draft.lists.get(act.object)
    if known is None:
        raise UnreadableError(f"there is no prefix list {act.object}")
    if act.most:
        if act.adds or act.removes or len(known.entries) > act.most:
            raise UnreadableError(f"prefix list {act.object} cannot be resized like this")
        draft.lists[act.object] = replace(known, most=act.most)
        return
    entries = (known.entries - set(act.removes)) | set(act.adds)
    fits = known.entries.issuperset(act.removes) and known.entries.isdisjoint(act.adds) and len(entries) <= known.most
    if act.version != known.version or not fits or len(act.adds) + len(act.removes) > CHANGES_MOST:
        raise UnreadableError(f"prefix list {act.object} cannot be changed like this")
    draft.lists[act.object] = replace(known, entries=entries, version=known.version + 1)


def _delete_list(draft: _Draft, act: Act) -> None:
    if act.object not in draft.lists:
        raise UnreadableError(f"there is no prefix list {act.object}")
    if any(entry.peer == act.object for one in draft.groups.values() for entry in one.texts):
        raise UnreadableError(f"prefix list {act.object} is deleted while a group refers to it")
    del draft.lists[act.object]


_CALLS: dict[str, Callable[[_Draft, Act], None]] = {
    "create_security_group": _create_group,
    "delete_security_group": _delete_group,
    "authorize_security_group": _authorize,
    "revoke_security_group": _revoke,
    "update_security_group_rule_descriptions": _describe,
    "modify_network_interface_attribute": _attach,
    "create_managed_prefix_list": _create_list,
    "modify_managed_prefix_list": _modify_list,
    "delete_managed_prefix_list": _delete_list,
}

"""Intent -> desired table: foreign rules as they are, ours as wanted, and nothing moved that did not change."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import field, replace

from cloudsync.adapter import ClassIntent, Encoding, Intent, Origin, PointIntent, Problem
from cloudsync.model.address import NOWHERE, AddressSet
from cloudsync.model.mode import Egress, Mode, TargetMode
from cloudsync.model.naming import older
from cloudsync.model.packets import NO_PACKETS, PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import Domain, PointId
from cloudsync_azure import beyond, quarantine
from cloudsync_azure.chain import KNOWN_TAGS
from cloudsync_azure.decode import Reader
from cloudsync_azure.fit import Findings
from cloudsync_azure.groups import ClassKey, Group, Groups, leftovers, unseen
from cloudsync_azure.limits import DESCRIPTION_MOST, NAME_MOST
from cloudsync_azure.mend import Held, mend, outranked
from cloudsync_azure.payload import content_digest
from cloudsync_azure.place import Band, Seat, numbers
from cloudsync_azure.quota import quota_problems
from cloudsync_azure.remains import Remains, Scene, Standing, remains
from cloudsync_azure.settings import AzureSettings
from cloudsync_azure.stand import Stand, foreign_of, split, stand
from cloudsync_azure.table import AzureTable, Nic, Nsg, Rule, Tier, asgs_of, mark_text, order
from cloudsync_azure.tiers import Key, Peers, Saying, Slot, Want, key_of, platform, stops_platform, wants

LEVELS = {Tier.SHIELD: 0.0, Tier.NEVER: 1.0, Tier.ALLOW: 2.0, Tier.CLOSED: 3.0, Tier.MEND: 4.0, Tier.KEPT: 5.0, Tier.DEFAULT: 6.0}
_SLUG = re.compile(r"[^A-Za-z0-9_.]+")
HASH, SLUG = 12, 20


@dataclass(slots=True)
class Work:
    """One encoding under way."""

    intent: Intent
    table: AzureTable
    settings: AzureSettings
    findings: Findings
    classes: Mapping[tuple[str, Domain], ClassIntent]
    points: Mapping[PointId, PointIntent]
    reader: Reader
    groups: Groups = Groups({})
    behind: Mapping[str, tuple[Nic, ...]] = field(default_factory=dict)
    unseen: frozenset[str] = frozenset()
    """Groups of ours in which no interface is seen."""
    cut: dict[tuple[PointId, bool], list[PacketSet]] = field(default_factory=dict)
    """What of our allows finds no number below a foreign deny, by point and direction: it is left out."""

    def held(self, nic: Nic, *, egress: bool) -> PointIntent | None:
        """Return the intent of a point that is held to the policy in a direction."""
        point = self.points.get(nic.point)
        if point is None or nic.skipped or not point.mode.enforced or (egress and point.egress is not Egress.ENFORCE):
            return None
        return point


def encode(intent: Intent, table: AzureTable, settings: AzureSettings) -> Encoding:
    """Return the desired table of a target. A subscription that was not read whole, or is only observed, is desired exactly as it is."""
    if table.incomplete or intent.mode is TargetMode.OBSERVE or table.scope in intent.incomplete:
        return Encoding(table)
    findings = Findings(intent.target)
    classes = {(group.class_id, group.domain): group for group in intent.classes}
    points = {point.point: point for point in intent.points}
    groups = Groups.of(intent, table, settings, findings)
    work = Work(intent, table, settings, findings, classes, points, Reader(table), groups, _behind(table))
    work.unseen = unseen(table)
    joined = groups.joined(table)
    desired = replace(joined, nsgs={key: _nsg(work, nsg, {}) for key, nsg in table.nsgs.items()})
    held = _held(work)
    if intent.mode is TargetMode.EXCLUSIVE:
        more = mend(desired, held, settings.quotas.ports_per_rule)
        if more:
            desired = replace(joined, nsgs={key: _nsg(work, nsg, more) for key, nsg in table.nsgs.items()})
        # What cannot be said at all is missing for that reason, whoever stands above.
        for problem in () if findings.problems else tuple(outranked(desired, held)):
            findings.problem(problem)
    desired = groups.settled(replace(desired, nics=table.nics, asgs=table.asgs), _named_groups(desired))
    for problem in quota_problems(table, desired, settings):
        findings.problem(problem)
    _unmarked_notes(work)
    _empty_groups(work)
    rest = beyond.beyond(desired, held, {key: tuple(found) for key, found in work.cut.items()})
    fidelity = tuple(sorted(findings.fidelity.values(), key=lambda one: one.rule))
    return Encoding(
        desired,
        fidelity,
        tuple(findings.problems.values()),
        rest.left_out or None,
        tuple(findings.notes),
        forced=rest.forced or None,
        plumbing=rest.plumbing or None,
    )


def _named_groups(table: AzureTable) -> frozenset[str]:
    return asgs_of(rule for nsg in table.nsgs.values() for rule in nsg.rules)


def _behind(table: AzureTable) -> dict[str, tuple[Nic, ...]]:
    found: dict[str, list[Nic]] = {}
    for point in sorted(table.nics):
        for nsg in table.series(table.nics[point]):
            found.setdefault(nsg, []).append(table.nics[point])
    return {key: tuple(nics) for key, nics in found.items()}


def _held(work: Work) -> tuple[Held, ...]:
    found: list[Held] = []
    for point in sorted(work.points):
        nic = work.table.nics.get(point)
        if nic is not None and work.held(nic, egress=False) is not None:
            intent = work.points[point]
            group = work.classes[intent.class_id, intent.domain]
            found.append(Held(nic, intent, group, work.intent.quarantined))
    return tuple(found)


# --- one NSG ---------------------------------------------------------------------------------------------------------


def _nsg(work: Work, nsg: Nsg, more: Mapping[tuple[str, bool], tuple[Want, ...]]) -> Nsg:
    if not nsg.managed:
        return nsg
    rules: list[Rule] = []
    peers = Peers(work.classes, _near(work, nsg))
    for egress in (False, True):
        rules.extend(_direction(work, nsg, peers, more.get((nsg.id, egress), ()), egress=egress))
    anybody = any(work.held(nic, egress=False) for nic in work.behind.get(nsg.id, ()))
    flush = True if work.settings.flush and anybody and work.intent.mode is TargetMode.EXCLUSIVE else nsg.flush
    found = tuple(sorted(rules, key=order))
    if found != nsg.rules and not work.settings.child:
        # All of them are written, so all get the words of today.
        found = tuple(replace(one, description=description(work.intent.owner, one.origins)) if one.origins else one for one in found)
    return replace(nsg, rules=found, flush=flush)


def _near(work: Work, nsg: Nsg) -> Mapping[ClassKey, Group]:
    """Return the groups that rules of an NSG may name."""
    if not work.groups.by_class:
        return {}
    nics = work.behind.get(nsg.id, ())
    held = [work.points[nic.point] for nic in nics if work.held(nic, egress=False) is not None]
    classes = {(one.class_id, one.domain): work.classes[one.class_id, one.domain] for one in held}
    return work.groups.near(nsg, nics, classes.values(), work.settings.quotas.asgs_per_nsg)


def _direction(work: Work, nsg: Nsg, peers: Peers, more: Iterable[Want], *, egress: bool) -> list[Rule]:
    """Return the rules of one direction of a managed NSG."""
    nics = work.behind.get(nsg.id, ())
    mine = [rule for rule in nsg.rules if rule.egress is egress]
    slots = _slots(work, nics, peers, egress=egress)
    wanted = wants(slots, Saying(egress, peers, work.findings, work.settings.quotas.ports_per_rule))
    wanted.extend(more)
    if work.intent.mode is TargetMode.EXCLUSIVE:
        scene = _scene(work, nsg, nics, len(wanted), egress=egress)
        kept = remains(scene)
    else:
        kept = Remains([rule for rule in mine if not rule.ours])
    wanted = quarantine.held_back(wanted, mine, work.intent.quarantined, work.unseen)
    wanted.extend(platform(wanted, egress=egress))
    wanted.extend(want for _, want in sorted(kept.kept, key=lambda pair: (pair[0], bool(pair[1].own.v6))))
    # Of twins the first decides; the second would only take a number.
    once: dict[Key, Want] = {}
    for want in wanted:
        once.setdefault(key_of(want), want)
    placed = _placed(work, nsg, list(once.values()), kept.stay, egress=egress)
    return [*kept.stay, *placed]


def _slots(work: Work, nics: Iterable[Nic], peers: Peers, *, egress: bool) -> list[Slot]:
    members: dict[tuple[str, Domain], list[Nic]] = {}
    for nic in nics:
        point = work.held(nic, egress=egress)
        if point is not None:
            members.setdefault((point.class_id, point.domain), []).append(nic)
    slots: list[Slot] = []
    for key, found in sorted(members.items()):
        group, points = peers.groups.get(key), tuple(nic.point for nic in found)
        # A group acts on everybody in it who is behind the NSG: those must be the held ones.
        fits = group is not None and {nic.point for nic in nics} & group.points == set(points)
        asg = group.asg.id if group is not None and fits else ""
        slots.append(Slot(work.classes[key], AddressSet.union_all(nic.private for nic in found), points, asg))
    return slots


def _scene(work: Work, nsg: Nsg, nics: Iterable[Nic], count: int, *, egress: bool) -> Scene:
    standings: list[Standing] = []
    for nic in nics:
        point = work.held(nic, egress=egress)
        known = work.points.get(nic.point)
        original = frozenset(known.original) if known is not None else frozenset[str]()
        if point is None:
            standings.append(Standing(nic, original=original))
            continue
        group = work.classes[point.class_id, point.domain]
        allowed = group.outbound if egress else group.inbound
        selective = point.mode is Mode.SELECTIVE
        closes = allowed.never | allowed.closed if selective else NO_PACKETS
        standings.append(Standing(nic, not selective, selective, original, closes, allowed.exact if selective else NO_PACKETS))
    subnets = [one for one in work.table.subnets.values() if one.nsg == nsg.id and one.strangers]
    known_addresses = AddressSet.union_all(one.nic.private for one in standings)
    strangers = AddressSet.union_all(one.prefixes for one in subnets) - known_addresses if subnets else NOWHERE
    floor = work.settings.band[0] + 2 * count + 10
    return Scene(nsg, egress, tuple(standings), strangers, floor, work.reader, work.findings)


# --- numbers and names -----------------------------------------------------------------------------------------------


def _placed(work: Work, nsg: Nsg, wanted: list[Want], stay: list[Rule], *, egress: bool) -> list[Rule]:
    """Return the wanted rules with their numbers and names."""
    mine = [rule for rule in nsg.rules if rule.egress is egress and rule.ours]
    now = {_key(rule): rule for rule in reversed(mine)}
    stands = stand(wanted, stay, Scenery(work, nsg, egress=egress).terms())
    wanted, stands = _seated(work, nsg, wanted, stands, egress=egress)
    if not wanted:
        return []
    taken = {rule.priority for rule in stay}
    seats = _seats(wanted, stands, now)
    # Rule by rule, what is still there keeps its number until it goes.
    old = {rule.priority for rule in nsg.rules if rule.egress is egress} if work.settings.child else set[int]()
    bottom = sum(1 for seat in seats if seat.tier in (Tier.PLATFORM, Tier.DEFAULT))
    found = numbers(seats, Band(*work.settings.band, taken, old, bottom))
    if found is None:
        work.findings.problem(_no_numbers(work, nsg, len(wanted), stay, egress=egress))
        return mine
    return _named(work, nsg, wanted, found, now)


def _no_numbers(work: Work, nsg: Nsg, count: int, stay: list[Rule], *, egress: bool) -> Problem:
    """Say why rules find no priorities: what the band holds, what stands in it, and what would have to."""
    first, last = work.settings.band
    inside = [rule for rule in nsg.rules if rule.egress is egress and first <= rule.priority <= last]
    foreign = sum(1 for rule in stay if first <= rule.priority <= last)
    text = f"{nsg.name}: {count} {'outbound' if egress else 'inbound'} rules of ours find no room among the {last + 1 - first} priorities"
    text += f" of the band {first}-{last}: foreign rules hold {foreign} of them"
    if work.settings.child:
        text += f", and {sum(1 for rule in inside if rule.ours)} are those of our rules that stand there until the new ones do"
    hint = "widen `band` in the settings, or say the policy in fewer rules"
    return Problem("G-QUOTA", text, hint + ("; write: whole needs no room for both" if work.settings.child else ""))


@dataclass(frozen=True, slots=True)
class Scenery:
    """What foreign rules mean where they are compared with ours."""

    work: Work
    nsg: Nsg
    egress: bool

    def terms(self) -> Stand:
        """Return how our rules have to stand to foreign ones in this target's mode."""
        work = self.work
        vnets = sorted({nic.vnet for nic in work.behind.get(self.nsg.id, ())})
        lines = [line for vnet in vnets for line in work.reader.chain(self.nsg.id, vnet, egress=self.egress).lines]
        held = [nic.private for nic in work.behind.get(self.nsg.id, ()) if work.held(nic, egress=self.egress) is not None]
        own = AddressSet.union_all(held)
        exclusive = work.intent.mode is TargetMode.EXCLUSIVE
        return Stand(tuple(lines), own, exclusive, work.settings.outrank, work.settings.band)


def _seated(
    work: Work, nsg: Nsg, wanted: list[Want], stands: list[tuple[int, int]], *, egress: bool
) -> tuple[list[Want], list[tuple[int, int]]]:
    """Split allows that would have to stand below a foreign deny with no number left below: what it cuts is left out."""
    kept: list[tuple[Want, tuple[int, int]]] = []
    terms = Scenery(work, nsg, egress=egress).terms()
    for want, bounds in zip(wanted, stands, strict=True):
        if bounds[0] < work.settings.band[1] or want.tier is not Tier.ALLOW:
            kept.append((want, bounds))
            continue
        parts, lost = split(want, terms, work.settings.quotas.ports_per_rule)
        kept.extend((part, stand([part], foreign_of(terms), terms)[0]) for part in parts)
        names = ", ".join(origin.rule for origin in want.origins)
        way = "outbound" if egress else "inbound"
        text = (
            f"{nsg.name}: {names} is not written whole {way}: a foreign deny at {bounds[0]} cuts some of it and no priority is left below"
        )
        work.findings.note(f"{text}; set outrank: true to stand above it")
        for nic in work.behind[nsg.id]:
            for own, packets in lost:
                if nic.private & own:
                    work.cut.setdefault((nic.point, egress), []).append(packets)
    return [want for want, _ in kept], [bounds for _, bounds in kept]


def _seats(wanted: list[Want], stands: list[tuple[int, int]], now: Mapping[Key, Rule]) -> list[Seat]:
    stopped = min((LEVELS[want.tier] for want in wanted if stops_platform(want)), default=LEVELS[Tier.DEFAULT])
    before = next(tier for tier, level in LEVELS.items() if level == stopped)
    seats: list[Seat] = []
    for at, (want, (above, below)) in enumerate(zip(wanted, stands, strict=True)):
        known = now.get(key_of(want))
        number = known.priority if known is not None else 0
        if want.tier is Tier.PLATFORM:
            seats.append(Seat(stopped - 0.5, want.tier, 0, below, number, before))
            continue
        level = LEVELS[want.tier]
        if want.tier is Tier.KEPT:
            level += at / (10 * len(wanted))
        elif want.tier is Tier.MEND and not want.deny:
            level += 0.5
        seats.append(Seat(level, want.tier, above, below, number))
    return seats


def _key(rule: Rule) -> Key:
    assert rule.tier is not None
    return rule.tier, rule.egress, rule.deny, rule.protocol, rule.peer, rule.own, rule.ports, rule.source_ports


def _named(work: Work, nsg: Nsg, wanted: list[Want], found: list[int], now: Mapping[Key, Rule]) -> list[Rule]:
    used = {rule.name.lower() for rule in nsg.rules if not rule.ours}
    # Rule by rule, a name is free only when nobody has it any more.
    busy = {rule.name.lower() for rule in nsg.rules} if work.settings.child else used
    rules: list[Rule] = []
    for want, number in zip(wanted, found, strict=True):
        known = now.get(key_of(want))
        text = description(work.intent.owner, want.origins, "" if known is None else known.description)
        if known is not None and (known.priority == number or not work.settings.child) and known.name.lower() not in used:
            name = known.name
        else:
            name = _name(work.intent.owner, want, busy | used)
        used.add(name.lower())
        rules.append(rule_of(want, name, number, text))
    return rules


def rule_of(want: Want, name: str, number: int, text: str) -> Rule:
    """Return a wanted rule as a rule."""
    source, destination = (want.side, want.peer) if want.egress else (want.peer, want.side)
    return Rule(
        name=name,
        egress=want.egress,
        priority=number,
        deny=want.deny,
        protocol=want.protocol,
        source=source,
        destination=destination,
        ports=want.ports,
        source_ports=want.source_ports,
        description=text,
        tier=want.tier,
        origins=want.origins,
    )


def description(owner: str, origins: Iterable[Origin], standing: str = "") -> str:
    """Return the mark and the rules behind a rule, in the length that Azure takes.

    `standing`: what it has now; it stays where it only numbers the same rules, as earlier releases did.
    """
    names = list(dict.fromkeys(origin.native for origin in origins))
    if older(standing.removeprefix(mark_text(owner)).split(", "), names):
        return standing
    text = mark_text(owner) + ", ".join(names)
    return text if len(text) <= DESCRIPTION_MOST else text[: DESCRIPTION_MOST - 3] + "..."


def _name(owner: str, want: Want, taken: set[str]) -> str:
    """Return `cs-<owner>-<tier>-<rule>-<hash of the content>`; twins get a number behind it."""
    first = want.origins[0].native if want.origins else want.tier.name.lower()
    slug = _SLUG.sub("_", first)[:SLUG].strip("_.") or "rule"
    own = (want.asg,) if want.asg else (want.own.v4, want.own.v6)
    side = [want.peer.addresses.v4, want.peer.addresses.v6, want.peer.tag, want.peer.asgs, *own]
    content = [want.tier.value, want.egress, want.deny, want.protocol.value, side, want.ports, want.source_ports]
    base = f"cs-{owner}-{want.tier.value}-{slug}-{content_digest(content)}"
    assert len(base) < NAME_MOST
    number, name = 1, base
    while name.lower() in taken:
        number += 1
        name = f"{base}-{number}"
    return name


def _empty_groups(work: Work) -> None:
    """Name resource groups of the settings in which nothing lies: most likely a slip of the pen, and then nothing is enforced there."""
    groups = work.settings.resource_groups
    if groups is None:
        return
    there = {nsg.group.lower() for nsg in work.table.nsgs.values()} | {point.split("/")[1] for point in work.table.nics}
    for group in groups:
        if group not in there:
            text = f"no interface and no network security group lies in resource group {group} of the settings"
            work.findings.note(f"{text}: is that its name?")


def _unmarked_notes(work: Work) -> None:
    """Say which rules look like ours and are not: a mark that was edited away makes a rule foreign, for good."""
    left = 0 if work.settings.asgs else leftovers(work.table)
    if left:
        text = f"{left} interfaces are in application security groups of ours, which nothing names with asgs: off"
        work.findings.note(f"{text}; one run with asgs: on and quotas: {{asgs: 0}} takes them out")
    for nsg in work.table.nsgs.values():
        for rule in nsg.rules:
            if nsg.managed and not rule.ours and rule.name.startswith(f"cs-{work.intent.owner}-"):
                work.findings.note(f"{nsg.name}: rule {rule.name} has our name but not our mark: it is foreign and stays untouched")
            tag = next((side.tag for side in (rule.source, rule.destination) if side.tag and side.tag not in KNOWN_TAGS), "")
            if nsg.managed and tag:
                work.findings.note(
                    f"{nsg.name}: whom rule {rule.name} is about is not known here (service tag {tag}); it counts for nothing"
                )
            if nsg.managed and rule.unclear:
                work.findings.note(
                    f"{nsg.name}: rule {rule.name} cannot be read ({rule.unclear}); it is kept as it is and counts for nothing"
                )
        if not nsg.managed and any(rule.ours for rule in nsg.rules):
            work.findings.note(f"{nsg.name} holds rules of ours but is no longer managed: name it in the settings to have them removed")

"""Which interfaces share rules, what their rules aim at, and what becomes of foreign rules in an exclusive target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from enum import Enum
from hashlib import sha256
from string import Formatter

from cloudsync.adapter import ClassIntent, Intent, PointIntent, Problem
from cloudsync.model.address import AddressSet
from cloudsync.model.mode import Egress, Mode
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import Domain, Labels, PointId
from cloudsync_gcp.decode import points as all_points
from cloudsync_gcp.match import Matcher, by_network
from cloudsync_gcp.payload import DESCRIPTION_MOST
from cloudsync_gcp.table import GcpTable, Network, Nic, Rule, off_word, owner_in_names

TAGS_MOST = 64
"""Tags of one VM (from users' reports; Google publishes no page that we know)."""


@dataclass(slots=True)
class Slot:
    """The enforced interfaces of one class in one network: they share all their rules."""

    network: str
    scope: str
    group: ClassIntent
    nics: list[Nic] = field(default_factory=list)
    intents: list[PointIntent] = field(default_factory=list)

    @property
    def inside(self) -> AddressSet:
        """All internal addresses of its interfaces."""
        return AddressSet.union_all(nic.inside for nic in self.nics)

    @property
    def points(self) -> tuple[PointId, ...]:
        """Its enforcement points, ordered."""
        return tuple(sorted(nic.point for nic in self.nics))

    @property
    def title(self) -> str:
        """For people."""
        return f"class {self.group.labels.text()} in {self.scope}"

    def enforced(self, *, egress: bool) -> bool:
        """Tell whether a direction is held to the policy."""
        return not egress or self.group.egress is Egress.ENFORCE


def frozen_scopes(intent: Intent, table: GcpTable) -> frozenset[str]:
    """Return the scopes that were not read whole: there, desired is what is."""
    return intent.incomplete | frozenset(table.incomplete)


def slots(intent: Intent, table: GcpTable) -> tuple[list[Slot], list[str]]:
    """Return the slots of an intent in one fixed order, and notes about points where nothing is enforced."""
    frozen = frozen_scopes(intent, table)
    classes = {(group.class_id, group.domain): group for group in intent.classes}
    found: dict[tuple[str, str, Domain], Slot] = {}
    notes: list[str] = []
    for point in sorted(intent.points, key=lambda one: one.point):
        if not point.mode.enforced:
            continue
        nic = table.nics.get(point.point)
        if nic is None:
            notes.append(f"{point.point}: nothing is enforced here: it is not in this read")
        elif nic.scope not in frozen:
            key = (nic.network, point.class_id, point.domain)
            slot = found.setdefault(key, Slot(nic.network, nic.scope, classes[point.class_id, point.domain]))
            slot.nics.append(nic)
            slot.intents.append(point)
    return [found[key] for key in sorted(found)], notes


# --- what rules aim at ---------------------------------------------------------------------------------------------------


def template_tag(template: str, labels: Labels) -> str:
    """Return the tag that a template gives a class, empty when the class lacks one of its labels."""
    values = {name: labels.get(name) for _, name, _, _ in Formatter().parse(template) if name}
    return "" if None in values.values() or not values else template.format_map(values)


def managed_tag(owner: str, group: ClassIntent) -> str:
    """Return our own tag of a class: one for each tuple of labels, since tags on a rule are OR-ed and labels are not."""
    return managed_prefix(owner) + sha256(group.class_id.encode()).hexdigest()[:12]


def managed_prefix(owner: str) -> str:
    """Return what the tags of an owner begin with, of no other owner's: a VM holds nothing but the tag itself to tell whose it is."""
    return f"cs-{owner_in_names(owner)}-{sha256(owner.encode()).hexdigest()[:8]}-"


def tag_of(table: GcpTable, group: ClassIntent) -> str:
    """Return the network tag that stands for a class, empty for none."""
    if table.layout.target == "managed-tags":
        return managed_tag(table.owner, group)
    return template_tag(table.layout.tag_template, group.labels) if table.layout.target == "tags" else ""


def tagged(table: GcpTable, listed: Iterable[Slot], intent: Intent) -> tuple[GcpTable, list[Problem]]:
    """Return the table with VMs bearing our own tags as wanted (target: managed-tags); other tables as they are."""
    if table.layout.target != "managed-tags":
        return table, []
    frozen = frozen_scopes(intent, table)
    wanted: dict[str, set[str]] = {}
    still: set[str] = {nic.vm for nic in table.nics.values() if nic.scope in frozen}
    for slot in listed:
        for nic in slot.nics:
            wanted.setdefault(nic.vm, set()).add(managed_tag(table.owner, slot.group))
    prefix = managed_prefix(table.owner)
    changed: dict[PointId, Nic] = {}
    crowded: list[PointId] = []
    for point, nic in table.nics.items():
        others = {tag for tag in nic.tags if not tag.startswith(prefix)}
        tags = nic.tags if nic.vm in still else tuple(sorted(others | wanted.get(nic.vm, set())))
        if len(tags) > TAGS_MOST and tags != nic.tags:
            crowded.append(point)
        changed[point] = nic if tags == nic.tags else replace(nic, tags=tags)
    problems = []
    if crowded:
        message = f"{len(crowded)} VMs bear {TAGS_MOST} tags already, first: {crowded[0]}"
        problems.append(Problem("G-QUOTA", message, "take tags off them, or use target: ip", (), tuple(crowded)))
    return replace(table, nics=changed), problems


def misaimed(table: GcpTable, slot: Slot) -> Iterator[Problem]:
    """Yield why a slot's tag or service account does not select exactly its interfaces. `table` bears the tags as wanted."""
    layout = table.layout
    mine = set(slot.points)
    if layout.target in ("tags", "managed-tags"):
        tag = tag_of(table, slot.group)
        if not tag:
            message = f"{slot.title}: tag_template {layout.tag_template!r} names a label that the class does not have"
            yield Problem("GCP-TAG", message, "label the VMs, or use another template", (), slot.points)
            return
        bearing = {nic.point for nic in table.nics.values() if nic.network == slot.network and tag in nic.tags}
        word, hint = f"tag {tag}", "whoever may tag a VM decides what its rules are: set the tag as the labels say, or use target: ip"
    elif layout.target == "service-accounts":
        accounts = {nic.account for nic in slot.nics}
        if len(accounts) != 1 or "" in accounts:
            message = f"{slot.title} runs as {', '.join(sorted(accounts - {''})) or 'no service account'}"
            yield Problem("GCP-ACCOUNT", message, "give each class one service account of its own, or use target: ip", (), slot.points)
            return
        account = next(iter(accounts))
        bearing = {nic.point for nic in table.nics.values() if nic.network == slot.network and nic.account == account}
        word, hint = f"service account {account}", "give each class one service account of its own, or use target: ip"
    else:
        return
    missing, extra = sorted(mine - bearing), sorted(bearing - mine)
    if missing:
        yield Problem("GCP-TAG", f"{slot.title}: {len(missing)} interfaces lack {word}, first: {missing[0]}", hint, (), tuple(missing))
    if extra:
        message = f"{slot.title}: {word} is also borne by {len(extra)} others, first: {extra[0]}"
        yield Problem("GCP-TAG", message, hint, (), tuple(extra))


# --- foreign rules in an exclusive target --------------------------------------------------------------------------------


class Standing(Enum):
    """What a direction of an interface says about the foreign rules on it."""

    ENFORCED = "enforced"
    FREE = "free"
    """Nothing is enforced here: foreign rules act as they do."""
    STILL = "still"
    """Not read whole, or not understood: nothing moves."""


def automation(rule: Rule, network: Network) -> bool:
    """Tell whether a rule looks like one that Google's automation made, and would make again (names as recorded)."""
    head, _, tail = rule.name.rpartition("-")
    made = head == network.name and len(tail) == 24 and tail.isalnum()
    return made or rule.name.startswith(("gke-", "k8s-fw-", "k8s-"))


def switched(intent: Intent, table: GcpTable) -> tuple[dict[str, Rule], list[str]]:
    """Return the foreign rules of an exclusive target that change, as they will be, and notes.

    Off goes what acts on enforced interfaces alone and is not on record there; back on comes what we switched off where it is wanted
    again. Rules that also act where nothing is enforced stay: our tiers outrank them.
    """
    matchers = {
        key: Matcher([rule for rule in rules if rule.mark is None and not rule.unreadable], egress=key[1])
        for key, rules in by_network(table).items()
    }
    standing = _standings(intent, table)
    groups: dict[tuple[str, bool, int], set[tuple[Standing, frozenset[str]]]] = {}
    for nic in table.nics.values():
        for egress in (False, True):
            bits = matchers[nic.network, egress].side(nic).any
            groups.setdefault((nic.network, egress, bits), set()).add(standing[nic.point, egress])
    seen: dict[str, set[tuple[Standing, frozenset[str]]]] = {}
    for (network, egress, bits), found in groups.items():
        for number, rule in enumerate(matchers[network, egress].rules):
            if bits >> number & 1:
                seen.setdefault(rule.name, set()).update(found)
    changed: dict[str, Rule] = {}
    notes: list[str] = []
    for name, found in sorted(seen.items()):
        rule = table.rules[name]
        off = _wanted_off(rule, found, table)
        if off and not rule.disabled:
            word = "" if rule.description.endswith(off_word(table.owner)) else off_word(table.owner)
            if len(rule.description) + len(word) > DESCRIPTION_MOST:
                notes.append(f"firewall rule {name} stays on: its description leaves no room for our mark")
                continue
            changed[name] = replace(rule, disabled=True, description=rule.description + word)
        elif off is False and rule.off_by(table.owner):
            changed[name] = replace(rule, disabled=False, description=rule.description.removesuffix(off_word(table.owner)))
    return changed, notes


def _wanted_off(rule: Rule, standings: set[tuple[Standing, frozenset[str]]], table: GcpTable) -> bool | None:
    """Tell whether a foreign rule is to be off; None to leave it as it is."""
    kinds = {kind for kind, _ in standings}
    if Standing.STILL in kinds:
        return None
    if Standing.FREE in kinds:
        return False
    if automation(rule, table.networks[rule.network]) and rule.name not in table.layout.adopt:
        return None
    # What was there at adoption stays where it stood, as long as that is beneath our tiers; above them it is said again as ours.
    return not (rule.priority > table.layout.deny and any(rule.name in kept for _, kept in standings))


def _standings(intent: Intent, table: GcpTable) -> dict[tuple[PointId, bool], tuple[Standing, frozenset[str]]]:
    frozen = frozen_scopes(intent, table)
    by_point: Mapping[PointId, PointIntent] = {one.point: one for one in intent.points}
    shown = {point.id: point for point in all_points(table)}
    memo: dict[tuple[str, ...], frozenset[str]] = {}
    nothing: frozenset[str] = frozenset()
    found: dict[tuple[PointId, bool], tuple[Standing, frozenset[str]]] = {}
    for point, nic in table.nics.items():
        wish = by_point.get(point)
        for egress in (False, True):
            if nic.scope in frozen or shown[point].skipped:
                found[point, egress] = (Standing.STILL, nothing)
            elif wish is None or not wish.mode.enforced or (egress and wish.egress is not Egress.ENFORCE):
                found[point, egress] = (Standing.FREE, nothing)
            else:
                kept = wish.original if wish.mode is Mode.SELECTIVE else ()
                found[point, egress] = (Standing.ENFORCED, memo.setdefault(kept, frozenset(kept)))
    return found

"""One encoding under way: what its parts share, from the intent to the policies that are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace

from cloudsync.adapter import ClassIntent, Intent, PointIntent, Problem
from cloudsync.model.address import AddressSet
from cloudsync.model.mode import Egress, Mode
from cloudsync.model.naming import older
from cloudsync.model.packets import PacketSet
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ServiceSet
from cloudsync.model.workload import Domain
from cloudsync_f5 import content
from cloudsync_f5.content import Findings, Peers, Slot, Tiers
from cloudsync_f5.judge import Judge
from cloudsync_f5.table import Ends, F5Table, Mark, Policy, Rule, Virtual


@dataclass(frozen=True, slots=True)
class Seat:
    """Virtual servers of one route domain for which the same rules stand in its policy."""

    class_id: str
    domain: Domain
    within: ServiceSet
    """What they listen on: in a route domain the destination alone does not tell a virtual server from what else has its address."""
    peers: AddressSet | None
    """From whom they take packets at all; None for everybody of their family."""
    kept: PacketSet | None
    """What stays open of the past: packets, or None for everything that nothing above decides."""
    closed: bool
    """Whether nothing else is let in."""


@dataclass(slots=True)
class Work:
    """One encoding under way."""

    intent: Intent
    table: F5Table
    default_deny: bool
    findings: Findings
    judge: Judge
    classes: Mapping[tuple[str, Domain], ClassIntent]
    slots: dict[Slot, list[Virtual]] = field(default_factory=dict)
    """What is enforced at virtual servers themselves."""
    seats: dict[str, dict[Seat, list[Virtual]]] = field(default_factory=dict)
    """Route domain -> what is enforced there for virtual servers in it."""
    decided: dict[tuple[str, Domain], PacketSet] = field(default_factory=dict)
    attached: dict[str, str] = field(default_factory=dict)
    """Virtual server -> policy, where that is ours to say."""
    domains: dict[str, str] = field(default_factory=dict)
    """Route domain -> policy, where that is ours to say."""
    policies: dict[str, Policy] = field(default_factory=dict)
    """Policies of ours that are wanted."""
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def tiers(self, class_id: str, domain: Domain) -> Tiers:
        """Return what the rules of a class say."""
        group = self.classes[class_id, domain]
        return content.tiers(group.inbound, selective=group.mode is Mode.SELECTIVE)

    def decides(self, class_id: str, domain: Domain) -> PacketSet:
        """Return the packets that the rules of a class's tiers speak of, as they will be written."""
        key = (class_id, domain)
        if key not in self.decided:
            found, peers = self.tiers(*key), Peers(self.classes, {})
            terms = (*found.never, *found.allow, *found.deny)
            self.decided[key] = PacketSet.union_all(PacketSet.of(peers.addresses(one.peer, domain), one.services) for one in terms)
        return self.decided[key]

    def words_for(self, class_id: str, domain: Domain) -> str:
        """Return the labels of a class as part of a name."""
        return "-".join(value for _, value in self.classes[class_id, domain].labels.pairs) or "unlabeled"

    def refuse_egress(self, point: PointIntent) -> None:
        """Refuse enforced egress: it cannot be held here."""
        if point.egress is not Egress.ENFORCE:
            return
        group = self.classes[point.class_id, point.domain]
        origins = tuple(origin for term in (*group.outbound.terms, *group.outbound.never_terms) for origin in term.origins)
        reason = "a virtual server filters nothing that it sends, so egress: enforce cannot be held there"
        hint = "write egress: leave for these workloads"
        if origins:
            self.findings.refuse((point.point,), origins, reason, hint)
        else:
            self.problems.append(Problem("FIDELITY", f"{group.labels.text()}: {reason}", hint, (), (point.point,)))

    def policy(self, mark: Mark, stem: tuple[str, str], here: list[str], rules: tuple[Rule, ...]) -> Policy:
        """Return the policy of ours that says this already (rather one that is attached, see `here`), else one under a new name.

        `mark.sha` covers the rules; `stem`: words and identity in the name, which ends in the hash.
        """
        table = self.table
        ours = [one for one in table.policies.values() if one.mark is not None and one.mark.id == mark.id]
        known = [one for one in ours if one.rules == rules] or [one for one in ours if former_words(one.rules, rules) is not None]
        if known:
            best = max(known, key=lambda one: (here.count(one.path), one.path))
            found = replace(best, rules=rules if best.rules == rules else former_words(best.rules, rules) or rules)
        else:
            found = Policy(self._free(stem, mark.sha[:8]), rules, mark.text, mark)
        self.policies[found.path] = found
        return found

    def _free(self, stem: tuple[str, str], generation: str) -> str:
        turn = 1
        while True:
            last = generation if turn == 1 else f"{generation}-{turn}"
            path = f"/{self.table.partition}/{content.name(self.intent.owner, *stem, last)}"
            if path not in self.table.policies and path not in self.policies:
                return path
            turn += 1


def former_words(standing: tuple[Rule, ...], wanted: tuple[Rule, ...]) -> tuple[Rule, ...] | None:
    """Return rules that stand with what is behind them, if they say what is wanted in the words and the order of earlier releases.

    Those numbered the policy's rules and put them in that order; inside a tier order decides nothing. None where anything else differs.
    """
    if list(map(_tier, standing)) != list(map(_tier, wanted)):
        return None
    places = {_said(one): one for one in wanted}
    found: list[Rule] = []
    for one in standing:
        same = places.pop(_said(one), None)
        if same is None:
            return None
        names = list(dict.fromkeys(origin.native for origin in same.origins))
        if one.description != same.description and not older(one.description.split(", "), names):
            return None
        found.append(replace(one, origins=same.origins))
    return tuple(found)


def _tier(rule: Rule) -> str:
    """Return in which tier a rule of a policy of ours stands; one that was taken over, or stands for itself, is a tier of its own."""
    return rule.name if rule.inherited or rule.shields or rule.name == content.DEFAULT else rule.name.partition("_")[0]


def _said(rule: Rule) -> tuple[str, Rule]:
    """Return what a rule does, whatever it is called and described as."""
    return _tier(rule), replace(rule, name="", description="")


def over(rules: Iterable[Rule], names: Mapping[str, str]) -> tuple[Rule, ...]:
    """Return rules whose lists of ours go by their paths; while they are drafted they go by their selector's id."""

    def named(ends: Ends) -> Ends:
        return replace(ends, lists=frozenset(names[one] for one in ends.lists)) if ends.lists else ends

    return tuple(
        replace(rule, source=named(rule.source), destination=named(rule.destination))
        if rule.source.lists or rule.destination.lists
        else rule
        for rule in rules
    )

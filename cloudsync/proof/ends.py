"""The two ends of a question as people type them: a workload by name, id or address, an address of nobody, `internet`, `anywhere`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from cloudsync.compile.universe import Universe
from cloudsync.model.address import ANYWHERE, NOWHERE, AddressSet, Family, globally_routable
from cloudsync.model.finding import Finding, Where
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import Domain, Interface, Workload
from cloudsync.policy.addresses import read_entries
from cloudsync.policy.words import did_you_mean, listed

PLAIN = ("internet", "anywhere", "strangers")
"""The address words of the policy language; they mean here what they mean there."""


@dataclass(frozen=True, slots=True)
class Party:
    """One end: a workload (`only`: with these of its addresses alone), addresses of nobody we know, or a plain word for many."""

    text: str
    workload: Workload | None = None
    only: AddressSet = NOWHERE
    plain: str = ""

    def seen(self, universe: Universe, domain: Domain) -> AddressSet:
        """Return its addresses as seen from a routing domain."""
        match self.plain:
            case "internet":
                return universe.internet(domain)
            case "strangers":
                return universe.strangers(domain)
            case "anywhere":
                return ANYWHERE
        if self.workload is None:
            return self.only
        found = self.workload.addresses(domain)
        return found & self.only if self.only else found

    def met(self, universe: Universe, own: Interface, *, as_source: bool) -> AddressSet:
        """Return the addresses under which an interface meets this end: as who opens the flow, or as who is reached.

        Two workloads of one domain that both have private addresses of a family use those; the public ones are for everybody else.
        """
        peers = self.seen(universe, own.domain)
        if self.workload is not None and not as_source:
            peers &= self.workload.reached(own.domain)
        found = NOWHERE
        for family in Family:
            if not own.addresses.family(family):
                continue
            part = peers.only(family)
            private = part - globally_routable()
            inside = self.workload is not None and not self.only and own.addresses.only(family) - globally_routable()
            found |= private if inside and private else part
        return found

    def interfaces(self) -> tuple[Interface, ...]:
        """Return the interfaces that are asked about, none for addresses."""
        if self.workload is None:
            return ()
        return tuple(one for one in self.workload.interfaces if not self.only or one.addresses & self.only)


def party(text: str, workloads: Sequence[Workload], where: Where) -> Party | Finding:
    """Return the end that a text means, or what is wrong with it."""
    word = text.strip()
    if word in PLAIN:
        return Party(word, plain=word)
    found = [one for one in workloads if word in (one.id, one.ref, one.name, f"{one.target}/{one.name}")]
    exact = [one for one in found if word in (one.id, one.ref)]
    if exact or len(found) == 1:
        return Party((exact or found)[0].name, (exact or found)[0])
    if found:
        return Finding(where, "AMBIGUOUS-WORKLOAD", f"{len(found)} workloads are called '{word}'", f"say which: {_ids(found)}")
    try:
        address = ip_address(word)
    except ValueError:
        return _unknown(word, workloads, where)
    only = AddressSet.of(address)
    owners = [one for one in workloads if any(interface.addresses & only for interface in one.interfaces)]
    if len(owners) > 1:
        hint = f"they share it, or stand in different routing domains; say which: {_ids(owners)}"
        return Finding(where, "AMBIGUOUS-WORKLOAD", f"{len(owners)} workloads have the address {address}", hint)
    return Party(owners[0].name if owners else str(address), owners[0] if owners else None, only)


def _ids(workloads: Iterable[Workload]) -> str:
    """Return words that tell workloads apart: target and name where that does, else native ids."""
    found = list(workloads)
    short = [f"{one.target}/{one.name}" for one in found if one.target]
    return listed(short if len(set(short)) == len(found) else (one.ref or one.id for one in found), 5)


def _unknown(word: str, workloads: Sequence[Workload], where: Where) -> Finding:
    if "=" in word:
        pairs = [pair.partition("=")[::2] for pair in word.split()]
        named = [one.name for one in workloads if all(one.labels.get(key) == value for key, value in pairs)]
        hint = f"one of {word}: {listed(named, 4)}" if named else "no workload has these labels"
        return Finding(where, "UNKNOWN-WORKLOAD", f"'{word}' are labels; one packet has one workload at each end", hint)
    if "/" in word and word.partition("/")[0].replace(".", "").replace(":", "").isalnum():
        return Finding(
            where, "UNKNOWN-WORKLOAD", f"'{word}' is no workload and no single address", "give one address, without a prefix length"
        )
    otherwise = "give a name, a native id, an address, or internet"
    if ("." in word or ":" in word) and set(word.lower()) <= set("0123456789abcdef.:"):
        _, wrong = read_entries([(word, where)])
        if wrong:
            hint = wrong[0].hint if wrong[0].hint.startswith("did you mean") else otherwise
            return Finding(where, "BAD-ADDRESS", f"'{word}' is no address, and no workload is called so", hint)
    hint = did_you_mean(word, (name for one in workloads for name in (one.name, one.ref) if name), otherwise)
    return Finding(where, "UNKNOWN-WORKLOAD", f"no workload '{word}' among the {len(workloads)} of the inventory", hint)

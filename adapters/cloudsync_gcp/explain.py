"""Native rules for people: what acts on which points, and how one packet fares, hop by hop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from cloudsync.adapter import Entry, Hop, Origin
from cloudsync.model.address import AddressSet, Family
from cloudsync.model.packets import Packet, PacketSet
from cloudsync.model.workload import PointId
from cloudsync_gcp.decode import Reader, acts_on, chosen, policy_runs
from cloudsync_gcp.spell import addresses_of, services_of, words
from cloudsync_gcp.steps import native_text
from cloudsync_gcp.table import GcpTable, Network, Nic, Policy, PolicyRule, Rule


def entries(table: GcpTable, points: Iterable[PointId] | None = None) -> tuple[Entry, ...]:
    """Return the enforced rules that act on these points, those of policies first, in the order of evaluation. `goto_next` is none."""
    reader = Reader(table)
    on: dict[str, list[PointId]] = {}
    policies: dict[tuple[str, str, PolicyRule], list[PointId]] = {}
    networks: dict[str, Network] = {}
    for nic in chosen(table, points):
        network = networks.setdefault(nic.network, table.networks[nic.network])
        for egress in (False, True):
            for rule in reader.rules(nic, egress=egress):
                on.setdefault(rule.name, []).append(nic.point)
        for policy in (*network.before, *network.after):
            for one in policy.rules:
                if not one.unreadable and one.action != "goto_next" and any(acts_on(one, nic, family) for family in Family):
                    policies.setdefault((policy.title, policy.name, one), []).append(nic.point)
    found = [_policy_entry(title, name, rule, acted) for (title, name, rule), acted in policies.items()]
    ordered = sorted((table.rules[name] for name in on), key=lambda one: (one.network, one.egress, *one.key))
    found.extend(_entry(rule, reader.packets(rule), tuple(on[rule.name])) for rule in ordered)
    return tuple(found)


def _entry(rule: Rule, packets: PacketSet, points: tuple[PointId, ...]) -> Entry:
    direction = "outbound" if rule.egress else "inbound"
    return Entry(
        rule.name,
        rule.name,
        native_text(rule),
        direction,
        packets,
        rule.mark is not None,
        points,
        rule.origins,
        rule.description,
        denies=rule.deny,
    )


def _policy_entry(title: str, name: str, rule: PolicyRule, points: list[PointId]) -> Entry:
    packets = PacketSet.of(addresses_of(rule.peers), services_of(rule.protocols))
    direction = "outbound" if rule.egress else "inbound"
    return Entry(title, name, _policy_text(rule), direction, packets, False, tuple(points), denies=rule.action == "deny")


def _policy_text(rule: PolicyRule) -> str:
    way, peer = ("egress", "to") if rule.egress else ("ingress", "from")
    shown = ", ".join(rule.peers[:4]) + (f" and {len(rule.peers) - 4} more" if len(rule.peers) > 4 else "")
    return f"{way} {rule.priority} {rule.action} {words(rule.protocols)} {peer} {shown}"


# --- one packet -----------------------------------------------------------------------------------------------------------


def walk(table: GcpTable, point: PointId, direction: str, packet: Packet) -> tuple[Hop, ...]:
    """Return how a packet fares at an interface. Of several own addresses the first one that lets it through is shown, else the first."""
    nic = table.nics.get(point)
    if nic is None:
        return ()
    egress = direction == "outbound"
    own = [cidr for cidr in nic.inside.cidrs() if (":" in cidr) is (packet.family is Family.V6)]
    if not own:
        return (Hop(f"interface of {nic.vm_name}", "deny", f"it has no IPv{int(packet.family)} address"),)
    ways = [tuple(_hops(table, replace(nic, inside=AddressSet.of(cidr)), packet, egress=egress)) for cidr in own]
    return next((hops for hops in ways if hops[-1].verdict == "allow"), ways[0])


def _hops(table: GcpTable, nic: Nic, packet: Packet, *, egress: bool) -> Iterator[Hop]:
    network = table.networks[nic.network]
    for policy in network.before:
        yield (hop := _policy_hop(policy, nic, packet, egress=egress))
        if hop.verdict != "pass":
            return
    yield (hop := _rules_hop(table, nic, packet, egress=egress))
    if hop.verdict != "pass":
        return
    for policy in network.after:
        yield (hop := _policy_hop(policy, nic, packet, egress=egress))
        if hop.verdict != "pass":
            return
    yield Hop("implied rules", "allow" if egress else "deny", "implied allow egress" if egress else "implied deny ingress")


def _policy_hop(policy: Policy, nic: Nic, packet: Packet, *, egress: bool) -> Hop:
    for rule in policy.rules:
        one = replace(policy, rules=(rule,))
        if any(packet in packets for _, packets in policy_runs(one, nic, packet.family, egress=egress)):
            return Hop(policy.title, "pass" if rule.action == "goto_next" else rule.action, _policy_text(rule))
    return Hop(policy.title, "pass", "no rule matches")


def _rules_hop(table: GcpTable, nic: Nic, packet: Packet, *, egress: bool) -> Hop:
    where = f"VPC firewall rules of {table.networks[nic.network].scope}"
    reader = Reader(table)
    for rule in reader.rules(nic, egress=egress):
        if packet in reader.packets(rule):
            origins: tuple[Origin, ...] = rule.origins
            text = f"{rule.name}: {native_text(rule)}"
            return Hop(where, "deny" if rule.deny else "allow", text, rule.mark is not None, origins)
    return Hop(where, "pass", "no rule matches")

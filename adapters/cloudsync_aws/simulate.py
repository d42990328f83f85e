"""EC2's semantics on a table: what a payload does to it. A call that EC2 would refuse raises ValueError: the plan is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from cloudsync.adapter import Seen, Step
from cloudsync.model.address import Family
from cloudsync.model.quick import dataclass
from cloudsync_aws import payload as wire
from cloudsync_aws.fit import ALL
from cloudsync_aws.table import AwsTable, Eni, Group, Mark, PeerKind, PrefixList, RuleKey, Vpc, mark_of


@dataclass(slots=True)
class _Draft:
    """A table under change: mappings are copied once, however many steps follow."""

    table: AwsTable
    groups: dict[str, Group]
    enis: dict[str, Eni]
    lists: dict[str, PrefixList]


def simulate(table: AwsTable, step: Step) -> AwsTable:
    """Return the table after one step, from its payload alone."""
    return simulate_all(table, (step,))


def simulate_all(table: AwsTable, steps: Iterable[Step]) -> AwsTable:
    """Return the table after several steps, in their order."""
    draft = _Draft(table, dict(table.groups), dict(table.enis), dict(table.lists))
    for step in steps:
        request = wire.parse(step.payload)
        _CALLS[request.call](draft, step, request)
    return replace(table, groups=draft.groups, enis=draft.enis, lists=draft.lists)


def _group(draft: _Draft, key: str) -> Group:
    group = draft.groups.get(key)
    if group is None:
        raise ValueError(f"no security group {key}")
    return group


def default_egress(vpc: Vpc | None) -> tuple[RuleKey, ...]:
    """Return the egress entries of a new group: everything to 0.0.0.0/0, and to ::/0 where the VPC has an IPv6 block."""
    four = RuleKey(True, *ALL, PeerKind.CIDR4.value, "0.0.0.0/0")
    six = RuleKey(True, *ALL, PeerKind.CIDR6.value, "::/0")
    return (four, six) if vpc is not None and vpc.ipv6 else (four,)


def _create_group(draft: _Draft, step: Step, request: wire.Request) -> None:
    name, vpc = request.args["GroupName"], request.args["VpcId"]
    key = wire.placeholder(step.object)
    if key in draft.groups or any(one.vpc == vpc and one.name.lower() == name.lower() for one in draft.groups.values()):
        raise ValueError(f"security group {name} exists in {vpc}")
    tags = wire.tags_of(request.args["TagSpecifications"])
    rules = dict.fromkeys(default_egress(draft.table.vpcs.get(vpc)), "")
    draft.groups[key] = Group(key, step.scope, vpc, name, rules, mark_of(dict(tags), draft.table.owner), tags)


def _delete_group(draft: _Draft, _step: Step, request: wire.Request) -> None:
    key = request.args["GroupId"]
    _group(draft, key)
    if any(key in eni.groups for eni in draft.enis.values()):
        raise ValueError(f"security group {key} is attached")
    for other in draft.groups.values():
        if other.id != key and any(rule.peer == key for rule in other.rules):
            raise ValueError(f"security group {key} is referred to by {other.id}")
    del draft.groups[key]


def _authorize(draft: _Draft, _step: Step, request: wire.Request) -> None:
    group = _group(draft, request.args["GroupId"])
    rules = dict(group.rules)
    for key, text in wire.rules_of(request.args["IpPermissions"], egress=request.call.endswith("egress")):
        if key in rules:
            raise ValueError(f"{key} is already in {group.id}, or twice in one call")
        if key.kind == PeerKind.GROUP.value:
            _group(draft, key.peer)
        if key.kind == PeerKind.LIST.value and key.peer not in draft.lists:
            raise ValueError(f"no prefix list {key.peer}")
        rules[key] = text
    draft.groups[group.id] = replace(group, rules=rules)


def _revoke(draft: _Draft, _step: Step, request: wire.Request) -> None:
    group = _group(draft, request.args["GroupId"])
    rules = dict(group.rules)
    for key, _ in wire.rules_of(request.args["IpPermissions"], egress=request.call.endswith("egress")):
        if key not in rules:
            raise ValueError(f"{key} is not in {group.id}")
        del rules[key]
    draft.groups[group.id] = replace(group, rules=rules)


def _describe(draft: _Draft, _step: Step, request: wire.Request) -> None:
    group = _group(draft, request.args["GroupId"])
    rules = dict(group.rules)
    for key, text in wire.rules_of(request.args["IpPermissions"], egress=request.call.endswith("egress")):
        if key not in rules:
            raise ValueError(f"{key} is not in {group.id}")
        rules[key] = text
    draft.groups[group.id] = replace(group, rules=rules)


def _attach(draft: _Draft, _step: Step, request: wire.Request) -> None:
    eni = draft.enis.get(request.args["NetworkInterfaceId"])
    if eni is None:
        raise ValueError(f"no network interface {request.args['NetworkInterfaceId']}")
    groups = tuple(sorted(set(request.args["Groups"])))
    if not groups:
        raise ValueError(f"{eni.id} must keep at least one security group")
    if request.expect is not None and tuple(sorted(request.expect)) != eni.groups:
        raise ValueError(f"{eni.id} carries {eni.groups}, expected {request.expect}")
    for key in groups:
        if key not in eni.groups and _group(draft, key).vpc != eni.vpc:
            raise ValueError(f"{key} is in another VPC than {eni.id}")
    draft.enis[eni.id] = replace(eni, groups=groups)


def _create_list(draft: _Draft, step: Step, request: wire.Request) -> None:
    key = wire.placeholder(step.object)
    if key in draft.lists:
        raise ValueError(f"prefix list {key} exists")
    args = request.args
    entries = {entry["Cidr"]: entry.get("Description", "") for entry in args.get("Entries", ())}
    _check_size(key, entries, args["MaxEntries"])
    family = Family.V4 if args["AddressFamily"] == "IPv4" else Family.V6
    mark = mark_of(dict(wire.tags_of(args["TagSpecifications"])), draft.table.owner)
    draft.lists[key] = PrefixList(key, step.scope, args["PrefixListName"], family, args["MaxEntries"], 1, "create-complete", entries, mark)


def _modify_list(draft: _Draft, _step: Step, request: wire.Request) -> None:
    args = request.args
    known = draft.lists.get(args["PrefixListId"])
    if known is None:
        raise ValueError(f"no prefix list {args['PrefixListId']}")
    adds, removes = args.get("AddEntries", ()), args.get("RemoveEntries", ())
    if "MaxEntries" in args:
        if adds or removes:
            raise ValueError("entries and MaxEntries do not change in one call")
        _check_size(known.id, known.entries, args["MaxEntries"])
        draft.lists[known.id] = replace(known, weight=args["MaxEntries"])
        return
    if args["CurrentVersion"] != known.version:
        raise ValueError(f"{known.id} is at version {known.version}, not {args['CurrentVersion']}")
    if len(adds) + len(removes) > wire.ENTRIES_PER_CALL:
        raise ValueError(f"more than {wire.ENTRIES_PER_CALL} changes in one call")
    entries = dict(known.entries)
    for entry in removes:
        if entry["Cidr"] not in entries:
            raise ValueError(f"{entry['Cidr']} is not in {known.id}")
        del entries[entry["Cidr"]]
    for entry in adds:
        if entry["Cidr"] in entries:
            raise ValueError(f"{entry['Cidr']} is already in {known.id}")
        entries[entry["Cidr"]] = entry.get("Description", "")
    _check_size(known.id, entries, known.weight)
    draft.lists[known.id] = replace(known, entries=entries, version=known.version + 1)


def _check_size(key: str, entries: Mapping[str, str], most: int) -> None:
    if len(entries) > most:
        raise ValueError(f"prefix list {key} takes {most} entries, not {len(entries)}")


def _delete_list(draft: _Draft, _step: Step, request: wire.Request) -> None:
    key = request.args["PrefixListId"]
    if key not in draft.lists:
        raise ValueError(f"no prefix list {key}")
    for group in draft.groups.values():
        if any(rule.peer == key for rule in group.rules):
            raise ValueError(f"prefix list {key} is referred to by {group.id}")
    del draft.lists[key]


_CALLS: dict[str, Callable[[_Draft, Step, wire.Request], None]] = {
    "create_security_group": _create_group,
    "delete_security_group": _delete_group,
    "authorize_security_group_ingress": _authorize,
    "authorize_security_group_egress": _authorize,
    "revoke_security_group_ingress": _revoke,
    "revoke_security_group_egress": _revoke,
    "update_security_group_rule_descriptions_ingress": _describe,
    "update_security_group_rule_descriptions_egress": _describe,
    "modify_network_interface_attribute": _attach,
    "create_managed_prefix_list": _create_list,
    "modify_managed_prefix_list": _modify_list,
    "delete_managed_prefix_list": _delete_list,
}
CALLS = tuple(sorted(_CALLS))
"""Every write the adapter can make."""


# --- ids that become known -----------------------------------------------------------------------------------------------


def bind(table: AwsTable, bindings: Mapping[str, str]) -> AwsTable:
    """Return a table with placeholders replaced by native ids: what a simulated table looks like once its objects exist."""
    names = {wire.placeholder(key): native for key, native in bindings.items()}
    # Whatever refers to an object that is still to be created is in a table with it.
    return renamed(table, {name: native for name, native in names.items() if name in table.groups or name in table.lists})


def unbind(table: AwsTable, bindings: Mapping[str, str]) -> AwsTable:
    """Return a table as read with the native ids of this plan's new objects replaced by their placeholders: comparable with `simulate`."""
    return renamed(table, {native: wire.placeholder(key) for key, native in bindings.items()})


def renamed(table: AwsTable, names: Mapping[str, str]) -> AwsTable:
    """Return a table in which groups and prefix lists go by other ids."""
    if not names:
        return table
    groups: dict[str, Group] = {}
    for group in table.groups.values():
        key = names.get(group.id, group.id)
        rules = group.rules
        if any(rule.peer in names for rule in rules):
            rules = {_renamed_rule(rule, names): text for rule, text in rules.items()}
        origins = {_renamed_rule(rule, names): found for rule, found in group.origins.items()}
        groups[key] = replace(group, id=key, rules=rules, origins=origins)
    lists = {names.get(one.id, one.id): replace(one, id=names.get(one.id, one.id)) for one in table.lists.values()}
    enis = {
        eni.id: eni
        if names.keys().isdisjoint(eni.groups)
        else replace(eni, groups=tuple(sorted(names.get(key, key) for key in eni.groups)))
        for eni in table.enis.values()
    }
    return replace(table, groups=groups, lists=lists, enis=enis)


def _renamed_rule(rule: RuleKey, names: Mapping[str, str]) -> RuleKey:
    return replace(rule, peer=names[rule.peer]) if rule.peer in names else rule


def created(table: AwsTable, step: Step) -> str | None:
    """Return the native id of the object that a creating step made, found by its mark (and VPC or family); None when it is not there.

    Several with the same mark mean that a create was sent twice: the lowest id is taken, the next run removes the others.
    """
    request = wire.parse(step.payload)
    if not request.call.startswith("create_"):
        return None
    mark = mark_of(dict(wire.tags_of(request.args["TagSpecifications"])), table.owner)
    assert mark is not None, "everything we create carries our mark"
    symbol = wire.placeholder(step.object)
    found = [key for key in _marked(table, step.scope, request.args, mark) if key != symbol]
    return min(found, default=symbol if symbol in table.groups or symbol in table.lists else None)


def _marked(table: AwsTable, scope: str, args: Mapping[str, Any], mark: Mark) -> list[str]:
    if "VpcId" in args:
        return [one.id for one in table.groups.values() if one.mark == mark and one.vpc == args["VpcId"]]
    return [one.id for one in table.lists.values() if one.mark == mark and one.scope == scope]


def seen(table: AwsTable, step: Step, bindings: Mapping[str, str]) -> Seen:
    """Tell whether a table (with native ids, or with placeholders) shows a step's effect."""
    request = wire.parse(wire.bound(step.payload, bindings))
    table = bind(table, bindings)
    args, call = request.args, request.call
    if call.startswith("create_"):
        return Seen.YES if created(table, step) is not None else Seen.NO
    if call.startswith("delete_"):
        there = args["GroupId"] in table.groups if "GroupId" in args else args["PrefixListId"] in table.lists
        return Seen.NO if there else Seen.YES
    if call == "modify_network_interface_attribute":
        eni = table.enis.get(args["NetworkInterfaceId"])
        if eni is None:
            return Seen.OTHER
        if eni.groups == tuple(sorted(args["Groups"])):
            return Seen.YES
        return Seen.NO if request.expect is None or eni.groups == tuple(sorted(request.expect)) else Seen.OTHER
    if call == "modify_managed_prefix_list":
        known = table.lists.get(args["PrefixListId"])
        return Seen.OTHER if known is None else _list_seen(known, args)
    group = table.groups.get(args["GroupId"])
    if group is None:
        return Seen.NO
    rules = dict(wire.rules_of(args["IpPermissions"], egress=call.endswith("egress")))
    if call.startswith("update_"):
        described = [group.rules.get(key) == text for key, text in rules.items()]
        return Seen.OTHER if rules.keys() - group.rules.keys() else _all_or_none(described)
    present = [key in group.rules for key in rules]
    return _all_or_none(present if call.startswith("authorize_") else [not one for one in present])


def _all_or_none(done: list[bool]) -> Seen:
    if all(done):
        return Seen.YES
    return Seen.OTHER if any(done) else Seen.NO


def _list_seen(known: PrefixList, args: Mapping[str, Any]) -> Seen:
    if "MaxEntries" in args:
        return Seen.YES if known.weight == args["MaxEntries"] else Seen.NO
    done = [entry["Cidr"] in known.entries for entry in args.get("AddEntries", ())]
    done += [entry["Cidr"] not in known.entries for entry in args.get("RemoveEntries", ())]
    return _all_or_none(done)

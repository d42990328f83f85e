"""Authorize, Revoke, Modify and describe rules: each call applies whole or not at all (rows 3-11, 19-23, 28, 29, 40)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from . import filters, paging, permissions, quota, rule_text, tagging, wire
from .book import Book, Peering, Rule, RuleSet
from .groups import chosen
from .native import Native
from .permissions import Kind, Match, Wanted
from .refusal import Refusal
from .wire import Form, Fragment, Value
from .world import Call, World


def authorize(world: World, call: Call) -> dict[str, Value]:
    """AuthorizeSecurityGroupIngress/Egress: all rules or none, and the answer holds every rule added (rows 3, 8)."""
    book, group = chosen(world, call)
    egress = call.action.endswith("Egress")
    tags = tagging.of_specification(call.form, "security-group-rule")
    rules = book.rules_of(group)
    side = rules.side(egress=egress)
    new: list[Rule] = []
    for each in permissions.wanted(call.form):
        match, peering = _resolve(world, book, group, each)
        if match in side:
            raise Refusal("InvalidPermission.Duplicate", match.duplicate_text())
        new.append(Rule("", group.id, egress, match, each.description, peering))
    if len({rule.match for rule in new}) != len(new):
        raise Refusal.value("The same permission must not appear multiple times")
    check_room(book, [*side, *(rule.match for rule in new)])
    for rule in new:
        rule.rule_id = book.new_id("sgr")
        book.add_rule(rules, rule)
        tagging.put(book, rule.rule_id, tags)
    return {
        "return": True,
        "securityGroupRuleSet": [rule_text.rule(world, book, rule) for rule in new],
    }


def check_room(book: Book, matches: Iterable[Match]) -> None:
    """The sums of one direction stay within the quota, each family for itself (rows 22, 23)."""
    sums = quota.count(matches, book.list_weight)
    if max(sums.v4, sums.v6) > book.quotas.value(quota.RULES):
        raise quota.too_many_rules()


def _resolve(world: World, book: Book, group: Native, wanted: Wanted) -> tuple[Match, Peering | None]:
    """Names become ids; a peer that does not exist or cannot be reached is refused (rows 19-21)."""
    match = wanted.match
    if match.kind is Kind.LIST:
        if match.peer not in book.lists or book.is_hidden(match.peer):
            raise Refusal("InvalidPrefixListID.NotFound", f"The prefix list ID '{match.peer}' does not exist")
        return match, None
    if match.kind is not Kind.GROUP:
        return match, None
    match = _with_id(book, group, match)
    if book.is_hidden(match.peer):
        raise Refusal.group_not_found(match.peer)
    return match, world.resolve_reference(book, group, match.peer, wanted.owner)


def _with_id(book: Book, group: Native, match: Match) -> Match:
    if match.kind is not Kind.GROUP or match.peer.startswith("sg-"):
        return match
    return replace(match, peer=str(book.group_named(match.peer, group.vpc_id).id))


def revoke(world: World, call: Call) -> dict[str, Value]:
    """RevokeSecurityGroupIngress/Egress: all or none, except in a default VPC (rows 4, 10, 40)."""
    book, group = chosen(world, call)
    rules = book.rules_of(group)
    egress = call.action.endswith("Egress")
    missing: list[Match] = []
    rule_ids = call.form.texts("SecurityGroupRuleId", "SecurityGroupRuleIds")
    if rule_ids:
        gone = [_by_id(rules, rule_id, egress=egress) for rule_id in dict.fromkeys(rule_ids)]
    else:
        side = rules.side(egress=egress)
        matches = [_with_id(book, group, each.match) for each in permissions.wanted(call.form)]
        gone = [side[match] for match in matches if match in side]
        missing = [match for match in matches if match not in side]
    if missing and not book.vpc(group.vpc_id).is_default:
        raise Refusal("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
    answer = [rule_text.revoked(rule) for rule in gone]
    for rule in gone:
        book.drop_rule(rules, rule)
    return {
        "return": True,
        "revokedSecurityGroupRuleSet": answer,
        "unknownIpPermissionSet": rule_text.unknown(missing),
    }


def _by_id(rules: RuleSet, rule_id: str, *, egress: bool | None = None) -> Rule:
    for rule in rules.all():
        if rule.rule_id == rule_id and egress in (None, rule.egress):
            return rule
    raise Refusal("InvalidSecurityGroupRuleId.NotFound", f"The security group rule ID '{rule_id}' does not exist")


# --- changes in place ------------------------------------------------------------------------------------


def modify(world: World, call: Call) -> dict[str, Value]:
    """ModifySecurityGroupRules: in place, no twins, the kind of peer stays (row 28)."""
    book, group = chosen(world, call)
    rules = book.rules_of(group)
    changed: list[tuple[Rule, Rule]] = []
    for each in call.form.forms("SecurityGroupRule", "SecurityGroupRules"):
        rule_id, body = each.text("SecurityGroupRuleId"), each.child("SecurityGroupRule")
        if not rule_id:
            raise Refusal.missing("SecurityGroupRuleId")
        old = _by_id(rules, rule_id)
        changed.append((old, _changed(world, book, group, (old, body or Form({})))))
    if not changed:
        raise Refusal.missing("SecurityGroupRule")
    for egress in (False, True):
        _check_modified(book, rules, [pair for pair in changed if pair[0].egress is egress], egress=egress)
    for old, new in changed:
        tags = dict(book.tags(old.rule_id))
        book.drop_rule(rules, old)
        book.add_rule(rules, new)
        tagging.put(book, new.rule_id, tags)
    return {"return": True}


def _check_modified(book: Book, rules: RuleSet, changed: list[tuple[Rule, Rule]], *, egress: bool) -> None:
    staying = [match for match in rules.side(egress=egress) if match not in {old.match for old, _ in changed}]
    after = [*staying, *(new.match for _, new in changed)]
    if len(set(after)) != len(after):
        twin = next(match for match in after if after.count(match) > 1)
        raise Refusal("InvalidPermission.Duplicate", twin.duplicate_text())
    check_room(book, after)


def _changed(world: World, book: Book, group: Native, before: tuple[Rule, Form]) -> Rule:
    old, body = before
    given = [(kind, body.text(name), name) for kind, name in _TARGETS if body.has(name)]
    if len(given) != 1:
        raise Refusal(
            "MissingParameter" if not given else "InvalidParameterCombination",
            "The request must contain exactly one of: cidrIp, cidrIpv6, prefixListId, or referencedGroupId",
        )
    kind, peer = given[0][0], given[0][1] or ""
    if kind is not old.match.kind:
        raise Refusal.value(
            f"Invalid rule type for security group rule '{old.rule_id}'. "
            f"You may not specify {given[0][2]} for an existing {_WORDS[old.match.kind]} rule."
        )
    if kind in (Kind.V4, Kind.V6):
        peer = permissions.cidr(peer, v6=kind is Kind.V6)
    name = permissions.protocol(body.text("IpProtocol"))
    first, last = permissions.span(name, body.number("FromPort"), body.number("ToPort"))
    wanted = Wanted(Match(name, first, last, kind.value, peer), permissions.description(body.text("Description")))
    match, peering = _resolve(world, book, group, wanted)
    note = wanted.description if body.has("Description") else old.description
    return Rule(old.rule_id, old.group_id, old.egress, match, note, peering)


_TARGETS = (
    (Kind.V4, "CidrIpv4"),
    (Kind.V6, "CidrIpv6"),
    (Kind.LIST, "PrefixListId"),
    (Kind.GROUP, "ReferencedGroupId"),
)
_WORDS = {Kind.V4: "IPv4 CIDR", Kind.V6: "IPv6 CIDR", Kind.LIST: "prefix list", Kind.GROUP: "referenced group"}


def describe_change(world: World, call: Call) -> dict[str, Value]:
    """UpdateSecurityGroupRuleDescriptionsIngress/Egress, by permission or by rule id (row 29)."""
    book, group = chosen(world, call)
    rules = book.rules_of(group)
    egress = call.action.endswith("Egress")
    side = rules.side(egress=egress)
    todo: list[tuple[Rule, str | None]] = []
    for each in call.form.forms("SecurityGroupRuleDescription", "SecurityGroupRuleDescriptions"):
        rule = _by_id(rules, each.text("SecurityGroupRuleId") or "", egress=egress)
        todo.append((rule, permissions.description(each.text("Description"))))
    if call.form.has("IpPermissions") or not todo:
        for wanted in permissions.wanted(call.form):
            found = side.get(_with_id(book, group, wanted.match))
            if found is None:
                raise Refusal("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
            todo.append((found, wanted.description))
    for rule, text in todo:
        rule.description = text
    rules.rendered = None
    return {"return": True}


# --- reading -----------------------------------------------------------------------------------------------


def describe(world: World, call: Call) -> dict[str, Value]:
    """DescribeSecurityGroupRules: answered from the lab's own index, whatever the number of groups (rows 9, 30)."""
    book, form = world.of(call), call.form
    wanted = filters.parse(form)
    rule_ids = form.texts("SecurityGroupRuleId", "SecurityGroupRuleIds")
    if rule_ids:
        found = [_known(book, each) for each in dict.fromkeys(rule_ids)]
    else:
        found = [rule for group in _groups_of(book, wanted) for rule in book.rules_of(group).all()]
    found = filters.select(found, wanted, fields=_FIELDS, identity=lambda rule: rule.rule_id, tags=book.tags)
    page = paging.page(call.action, form, found, lambda rule: rule.rule_id)
    return {
        "securityGroupRuleSet": Fragment(
            "".join([f"<item>{wire.children(rule_text.rule(world, book, each))}</item>" for each in page.found])
        ),
        "nextToken": page.token,
    }


def _known(book: Book, rule_id: str) -> Rule:
    found = book.by_rule_id.get(rule_id)
    if found is None:
        raise Refusal("InvalidSecurityGroupRuleId.NotFound", f"The security group rule ID '{rule_id}' does not exist")
    return found


def _groups_of(book: Book, wanted: list[filters.Filter]) -> list[Native]:
    """The groups a filter on group-id leaves, found by id and not by looking at every rule."""
    for each in wanted:
        if each.name == "group-id" and not each.patterns:
            found = [book.group_or_none(group_id) for group_id in sorted(each.exact)]
            return book.visible([group for group in found if group is not None])
    return book.visible(book.groups())


_FIELDS: dict[str, Callable[[Rule], Iterable[str]]] = {
    "group-id": lambda rule: (rule.group_id,),
    "security-group-rule-id": lambda rule: (rule.rule_id,),
}

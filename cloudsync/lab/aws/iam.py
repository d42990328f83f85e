"""IAM for EC2 calls (row 41): actions, resource ARNs and conditions of the caller's own policies.

Only a caller that moto's IAM knows and that has at least one policy is held to it: a user's key, or an assumed role
that exists. Everybody else may do everything, as is usual in a lab. Boundaries, groups and organisations are not looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from .book import Book
from .native import Native
from .refusal import Refusal
from .tagging import of_specification
from .wire import Form
from .world import Call

_GROUP_WRITES = (
    "AuthorizeSecurityGroup",
    "RevokeSecurityGroup",
    "UpdateSecurityGroupRuleDescriptions",
    "ModifySecurityGroupRules",
    "DeleteSecurityGroup",
)
_LIST_WRITES = ("ModifyManagedPrefixList", "DeleteManagedPrefixList", "RestoreManagedPrefixListVersion")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls, and the statements of its policies."""

    arn: str
    statements: tuple[Mapping[str, Native], ...]


@dataclass(frozen=True, slots=True)
class Need:
    """One action on one resource that must be allowed, and what conditions may ask about it."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


def principal_of(account: str, access_key_id: str | None) -> Principal | None:
    """The caller with its policies, or None for one that nothing binds."""
    from moto.iam.models import iam_backends

    if access_key_id is None:
        return None
    backend: Native = iam_backends[account]["aws"]
    key = backend.access_keys.get(access_key_id)
    if key is None:
        return None
    if key.role_arn:
        holder = next((role for role in backend.roles.values() if role.arn == key.role_arn), None)
    else:
        holder = backend.users.get(key.user_name)
    documents = [] if holder is None else list(_documents(holder))
    if holder is None or not documents:
        return None
    statements = [statement for document in documents for statement in _list(document.get("Statement"))]
    return Principal(str(holder.arn), tuple(statements))


def arn_of(account: str, access_key_id: str | None) -> str:
    """The ARN of a caller: of a user or role that moto's IAM knows, else the one that moto's STS gives everybody."""
    from moto.iam.models import iam_backends

    key = iam_backends[account]["aws"].access_keys.get(access_key_id) if access_key_id else None
    if key is None:
        return f"arn:aws:sts::{account}:user/moto"
    return str(key.role_arn or f"arn:aws:iam::{account}:user/{key.user_name}")


def _documents(holder: Native) -> Iterator[Mapping[str, Native]]:
    for text in holder.policies.values():
        yield json.loads(text) if isinstance(text, str) else text
    for policy in holder.managed_policies.values():
        version = next(each for each in policy.versions if each.version_id == policy.default_version_id)
        yield json.loads(version.document)


def _list(value: Native) -> list[Native]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def check(principal: Principal, needs: list[Need]) -> None:
    """Refuse unless every need is allowed and none is denied."""
    for need in needs:
        matching = [each["Effect"] for each in principal.statements if _matches(each, need)]
        if "Deny" in matching or "Allow" not in matching:
            reason = "with an explicit deny in" if "Deny" in matching else "because no identity-based policy allows the action:"
            raise Refusal(
                "UnauthorizedOperation",
                f"You are not authorized to perform this operation. User: {principal.arn} is not authorized to perform: "
                f"{need.action} on resource: {need.resource} {reason} an identity-based policy",
                403,
            )


def _matches(statement: Mapping[str, Native], need: Need) -> bool:
    if "Action" in statement:
        actions = any(fnmatchcase(need.action.lower(), str(each).lower()) for each in _list(statement["Action"]))
    else:
        actions = not any(fnmatchcase(need.action.lower(), str(each).lower()) for each in _list(statement.get("NotAction")))
    if "Resource" in statement:
        resources = any(fnmatchcase(need.resource, str(each)) for each in _list(statement["Resource"]))
    else:
        resources = not any(fnmatchcase(need.resource, str(each)) for each in _list(statement.get("NotResource")))
    return actions and resources and _conditions(statement.get("Condition") or {}, need.context)


def _conditions(block: Mapping[str, Mapping[str, Native]], context: Mapping[str, str]) -> bool:
    return all(
        _condition(operator, key, [str(each) for each in _list(values)], context)
        for operator, pairs in block.items()
        for key, values in pairs.items()
    )


def _condition(operator: str, key: str, values: list[str], context: Mapping[str, str]) -> bool:
    """One line of a Condition. An operator that is not known here matches nothing."""
    known = {name.lower(): value for name, value in context.items()}
    found = known.get(key.lower())
    plain = operator.partition(":")[2] or operator
    if plain == "Null":
        return (found is None) is (values[0].lower() == "true")
    lenient = plain.endswith("IfExists")
    plain = plain.removesuffix("IfExists")
    if found is None:
        return lenient or plain in ("StringNotEquals", "StringNotLike", "ArnNotEquals", "ArnNotLike")
    match plain:
        case "StringEquals":
            return found in values
        case "StringNotEquals":
            return found not in values
        case "StringEqualsIgnoreCase":
            return found.lower() in [each.lower() for each in values]
        case "StringLike" | "ArnLike" | "ArnEquals":
            return any(fnmatchcase(found, each) for each in values)
        case "StringNotLike" | "ArnNotLike" | "ArnNotEquals":
            return not any(fnmatchcase(found, each) for each in values)
        case "Bool":
            return found.lower() == values[0].lower()
        case _:
            return False


# --- what a call needs --------------------------------------------------------------------------------


def needs(book: Book, call: Call) -> list[Need]:
    """The permissions an EC2 call needs, resource by resource."""
    form, action = call.form, f"ec2:{call.action}"
    if call.action == "CreateSecurityGroup":
        wanted = _tags(form, "security-group")
        vpc = Need(action, _arn(book, "vpc", form.text("VpcId") or "*"), _base(book))
        return [Need(action, _arn(book, "security-group", "*"), _requested(book, wanted)), vpc, *_tagging(book, call, "security-group")]
    if call.action == "CreateManagedPrefixList":
        wanted = _tags(form, "prefix-list")
        made = Need(action, _arn(book, "prefix-list", "*"), _requested(book, wanted))
        return [made, *_tagging(book, call, "prefix-list")]
    if call.action.startswith(_GROUP_WRITES):
        group = form.text("GroupId") or "*"
        return [_of_group(book, action, group), *_tagging(book, call, "security-group-rule")]
    if call.action in _LIST_WRITES:
        list_id = form.text("PrefixListId") or "*"
        return [Need(action, _arn(book, "prefix-list", list_id), _tagged(book, list_id))]
    if call.action == "ModifyNetworkInterfaceAttribute":
        groups = [_of_group(book, action, each) for each in form.texts("SecurityGroupId", "Groups")]
        return [_of_interface(book, action, form.text("NetworkInterfaceId") or "*"), *groups]
    if call.action in ("CreateTags", "DeleteTags"):
        ids = form.texts("ResourceId", "Resources")
        return [Need(action, _arn(book, _kind(each), each), _tagged(book, each)) for each in ids]
    return [Need(action, "*", _base(book))]


def _tags(form: Form, kind: str) -> Mapping[str, str]:
    try:
        return of_specification(form, kind)
    except Refusal:
        return {}


def _tagging(book: Book, call: Call, kind: str) -> list[Need]:
    """Tags on create need CreateTags, for this creating action."""
    wanted = _tags(call.form, kind)
    if not wanted:
        return []
    context = {**_requested(book, wanted), "ec2:CreateAction": call.action}
    return [Need("ec2:CreateTags", _arn(book, kind, "*"), context)]


def _of_group(book: Book, action: str, group_id: str) -> Need:
    found = book.group_or_none(group_id)
    context = dict(_tagged(book, group_id))
    if found is not None:
        context["ec2:Vpc"] = _arn(book, "vpc", found.vpc_id)
    return Need(action, _arn(book, "security-group", group_id), context)


def _of_interface(book: Book, action: str, eni_id: str) -> Need:
    found = book.backend.enis.get(eni_id)
    context = dict(_tagged(book, eni_id))
    if found is not None:
        context["ec2:Vpc"] = _arn(book, "vpc", found.subnet.vpc_id)
    return Need(action, _arn(book, "network-interface", eni_id), context)


_KINDS = {"sg": "security-group", "sgr": "security-group-rule", "pl": "prefix-list", "eni": "network-interface", "i": "instance"}


def _kind(resource_id: str) -> str:
    prefix = resource_id.partition("-")[0]
    return _KINDS.get(prefix, prefix)


def _arn(book: Book, kind: str, resource_id: str) -> str:
    return f"arn:aws:ec2:{book.region}:{book.account}:{kind}/{resource_id}"


def _base(book: Book) -> dict[str, str]:
    return {"aws:RequestedRegion": book.region, "ec2:Region": book.region}


def _requested(book: Book, tags: Mapping[str, str]) -> dict[str, str]:
    return {**_base(book), **{f"aws:RequestTag/{key}": value for key, value in tags.items()}}


def _tagged(book: Book, resource_id: str) -> dict[str, str]:
    context = _base(book)
    for key, value in book.tags(resource_id).items():
        context[f"aws:ResourceTag/{key}"] = context[f"ec2:ResourceTag/{key}"] = value
    return context

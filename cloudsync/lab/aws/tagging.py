"""Tags: on create, and CreateTags / DeleteTags of what the lab itself keeps (row 18)."""

from __future__ import annotations

from .book import Book
from .refusal import Refusal
from .wire import Form, Value
from .world import Call, World

OWN_PREFIXES = ("sg-", "sgr-", "pl-")
MOST_TAGS = 50


def check(tags: dict[str, str]) -> None:
    """Refuse keys and values that EC2 refuses."""
    for key, value in tags.items():
        if key.lower().startswith("aws:"):
            raise Refusal.value("Tag keys starting with 'aws:' are reserved for internal use")
        if not 1 <= len(key) <= 128:
            raise Refusal.value(f"Tag key '{key[:140]}' must be between 1 and 128 characters long")
        if len(value) > 256:
            raise Refusal.value(f"Tag value for '{key}' exceeds the maximum length of 256 characters")
    if len(tags) > MOST_TAGS:
        raise Refusal("TagLimitExceeded", "The maximum number of Tags for a resource has been reached.")


def pairs(form: Form) -> dict[str, str]:
    """`Tag.N.Key` and `Tag.N.Value`; the same key twice is refused."""
    found: dict[str, str] = {}
    for each in form.forms("Tag", "Tags"):
        key = each.text("Key")
        if key is None:
            raise Refusal.missing("Tag.Key")
        if key in found:
            raise Refusal.value(f"Duplicate tag key '{key}' specified.")
        found[key] = each.text("Value") or ""
    return found


def of_specification(form: Form, resource_type: str) -> dict[str, str]:
    """The tags of `TagSpecification.N` for the one resource type the action makes."""
    tags: dict[str, str] = {}
    for each in form.forms("TagSpecification", "TagSpecifications"):
        kind = each.text("ResourceType")
        if kind != resource_type:
            raise Refusal.value(f"'{kind}' is not a valid taggable resource type for this operation.")
        tags |= pairs(each)
    check(tags)
    return tags


def put(book: Book, resource_id: str, tags: dict[str, str]) -> None:
    """Add tags; 50 is the most a resource can carry."""
    if not tags:
        return
    merged = {**book.tags(resource_id), **tags}
    if len([key for key in merged if not key.startswith("aws:")]) > MOST_TAGS:
        raise Refusal("TagLimitExceeded", "The maximum number of Tags for a resource has been reached.")
    book.backend.tags[resource_id] = merged


def owned(call: Call) -> bool:
    """Are all resources of a CreateTags or DeleteTags call ours to answer?"""
    ids = call.form.texts("ResourceId", "Resources")
    return bool(ids) and all(each.startswith(OWN_PREFIXES) for each in ids)


def check_call(call: Call) -> None:
    """The checks for resources that moto keeps."""
    given = pairs(call.form)
    if call.action == "CreateTags":
        check(given)


def create(world: World, call: Call) -> dict[str, Value]:
    """CreateTags on groups, rules and lists."""
    book, tags = world.of(call), pairs(call.form)
    check(tags)
    ids = call.form.texts("ResourceId", "Resources")
    _exist(book, ids)
    for each in ids:
        put(book, each, tags)
    return {"return": True}


def delete(world: World, call: Call) -> dict[str, Value]:
    """DeleteTags on groups, rules and lists; a key with a value goes only when the value is the same."""
    book = world.of(call)
    ids = call.form.texts("ResourceId", "Resources")
    _exist(book, ids)
    wanted = [(each.text("Key") or "", each.text("Value")) for each in call.form.forms("Tag", "Tags")]
    for resource_id in ids:
        current = dict(book.tags(resource_id))
        for key, value in wanted or [(key, None) for key in current]:
            if value is None or current.get(key) == value:
                current.pop(key, None)
        book.backend.tags[resource_id] = current
    return {"return": True}


def _exist(book: Book, ids: list[str]) -> None:
    for each in ids:
        if each.startswith("sgr-") and each not in book.by_rule_id:
            raise Refusal("InvalidSecurityGroupRuleId.NotFound", f"The security group rule ID '{each}' does not exist")
        if each.startswith("pl-") and (each not in book.lists or book.is_hidden(each)):
            raise Refusal("InvalidPrefixListID.NotFound", f"The prefix list ID '{each}' does not exist")
        if each.startswith("sg-"):
            book.group(each)

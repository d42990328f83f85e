"""Customer-managed prefix lists: versions, weight, states (rows 32-36)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from . import filters, paging, permissions, quota, tagging, wire
from .book import Book, Entry, PrefixList
from .refusal import Refusal
from .wire import Form, Fragment, Value
from .world import Call, World

MOST_CHANGES = 100
ASSOCIATION_LIMITS = paging.Limits(5, 255)


def create(world: World, call: Call) -> dict[str, Value]:
    """CreateManagedPrefixList: idempotent by ClientToken, checked against MaxEntries and its family (rows 33, 35, 36)."""
    book, form = world.of(call), call.form
    token = form.text("ClientToken")
    if token and token in book.list_tokens:
        return _again(world, call, token)
    name = form.text("PrefixListName")
    if not name:
        raise Refusal.missing("PrefixListName")
    _check_name(name)
    family = form.text("AddressFamily")
    if family not in ("IPv4", "IPv6"):
        raise Refusal.value(f"Value ({family}) for parameter addressFamily is invalid. Valid values are: IPv4, IPv6")
    size = _max_entries(book, form)
    entries = _added((), _entries(form.forms("Entry", "Entries"), family))
    if len(entries) > size:
        raise _over(size)
    tags = tagging.of_specification(form, "prefix-list")
    if len([each for each in book.lists.values() if each.owner != "AWS"]) >= book.quotas.value(quota.LISTS):
        raise Refusal("PrefixListLimitExceeded", "The maximum number of prefix lists has been reached.")
    made = PrefixList(book.new_id("pl"), name, family, size, book.account, {1: entries})
    _begin(world, made, "create")
    book.lists[made.list_id] = made
    tagging.put(book, made.list_id, tags)
    if token:
        book.list_tokens[token] = (made.list_id, _fingerprint(form))
    return {"prefixList": _view(book, made)}


def _again(world: World, call: Call, token: str) -> dict[str, Value]:
    book = world.of(call)
    list_id, fingerprint = book.list_tokens[token]
    if fingerprint != _fingerprint(call.form):
        raise Refusal("IdempotentParameterMismatch", "The client token was used before with other parameters.")
    return {"prefixList": _view(book, _find(book, list_id))}


def _fingerprint(form: Form) -> str:
    return repr(sorted((key, repr(value)) for key, value in form.tree.items() if key in _IDENTITY))


_IDENTITY = ("prefixlistname", "addressfamily", "maxentries", "entry", "tagspecification")


def modify(world: World, call: Call) -> dict[str, Value]:
    """ModifyManagedPrefixList: entries under an optimistic lock, or a resize, or a new name (rows 32-35)."""
    book, form = world.of(call), call.form
    found = _own(book, form)
    if found.state.endswith("-in-progress"):
        raise Refusal("IncorrectState", f"The prefix list '{found.list_id}' is in state {found.state} and cannot be changed.")
    adding, removing = form.forms("AddEntry", "AddEntries"), form.forms("RemoveEntry", "RemoveEntries")
    if form.has("MaxEntries") and (adding or removing):
        raise Refusal("InvalidParameterCombination", "You cannot modify entries and MaxEntries in the same request.")
    if not (form.has("MaxEntries") or adding or removing or form.text("PrefixListName")):
        raise Refusal.missing("AddEntry, RemoveEntry, MaxEntries or PrefixListName")
    name = form.text("PrefixListName")
    if name:
        _check_name(name)
    if adding or removing:
        _change_entries(found, form, adding, removing)
    if form.has("MaxEntries"):
        _resize(book, found, _max_entries(book, form))
    if name:
        found.name = name
    _begin(world, found, "modify")
    return {"prefixList": _view(book, found)}


def _change_entries(found: PrefixList, form: Form, adding: list[Form], removing: list[Form]) -> None:
    _check_version(found, form)
    if len(adding) > MOST_CHANGES or len(removing) > MOST_CHANGES or len(adding) + len(removing) > MOST_CHANGES:
        raise Refusal.value(f"The request can contain at most {MOST_CHANGES} entry changes.")
    added = _entries(adding, found.family)
    removed = [entry.cidr for entry in _entries(removing, found.family)]
    if len(set(removed)) != len(removed) or set(removed) & {entry.cidr for entry in added}:
        raise Refusal.value("An entry must not appear more than once in the request.")
    present = {entry.cidr for entry in found.entries}
    absent = [cidr for cidr in removed if cidr not in present]
    if absent:
        raise Refusal.value(f"The prefix list does not contain the entry {absent[0]}.")
    kept = tuple(entry for entry in found.entries if entry.cidr not in removed)
    entries = _added(kept, added)
    if found.max_entries is not None and len(entries) > found.max_entries:
        raise _over(found.max_entries)
    found.version += 1
    found.versions[found.version] = entries


def _added(kept: tuple[Entry, ...], added: list[Entry]) -> tuple[Entry, ...]:
    """Add entries; the same block again only changes its description, twice in one request is refused (row 33)."""
    if len({entry.cidr for entry in added}) != len(added):
        raise Refusal.value("An entry must not appear more than once in the request.")
    by_cidr = {entry.cidr: entry for entry in kept}
    by_cidr.update({entry.cidr: entry for entry in added})
    return tuple(by_cidr.values())


def _resize(book: Book, found: PrefixList, size: int) -> None:
    """A resize is asked of every group that refers to the list; if one has no room it ends modify-failed (row 34)."""
    if size < len(found.entries):
        raise _over(size)
    before = found.max_entries
    found.max_entries = size
    full = [group_id for group_id in book.list_uses.get(found.list_id, {}) if not _has_room(book, group_id)]
    if full:
        found.max_entries = before
        found.failed_resize_to = size
        found.message = f"No room for the new size in: {', '.join(full[:10])}"


def _has_room(book: Book, group_id: str) -> bool:
    rules = book.rules[group_id]
    for egress in (False, True):
        sums = quota.count(rules.side(egress=egress), book.list_weight)
        if max(sums.v4, sums.v6) > book.quotas.value(quota.RULES):
            return False
    return True


def delete(world: World, call: Call) -> dict[str, Value]:
    """DeleteManagedPrefixList: refused while a rule refers to it (row 35)."""
    book = world.of(call)
    found = _own(book, call.form)
    if found.state.endswith("-in-progress"):
        raise Refusal("IncorrectState", f"The prefix list '{found.list_id}' is in state {found.state} and cannot be deleted.")
    if book.list_uses.get(found.list_id):
        raise Refusal.dependency(found.list_id)
    _begin(world, found, "delete")
    answer: dict[str, Value] = {"prefixList": _view(book, found)}
    if not found.state.endswith("-in-progress"):
        _gone(book, found)
    return answer


def restore(world: World, call: Call) -> dict[str, Value]:
    """RestoreManagedPrefixListVersion: an old version's entries become a new version (row 37)."""
    book, form = world.of(call), call.form
    found = _own(book, form)
    if found.state.endswith("-in-progress"):
        raise Refusal("IncorrectState", f"The prefix list '{found.list_id}' is in state {found.state} and cannot be changed.")
    _check_version(found, form)
    previous = form.number("PreviousVersion")
    if previous not in found.versions:
        raise Refusal("PrefixListVersionNotFound", f"The prefix list has no version {previous}.")
    entries = found.versions[previous]
    if found.max_entries is not None and len(entries) > found.max_entries:
        raise _over(found.max_entries)
    found.version += 1
    found.versions[found.version] = entries
    _begin(world, found, "restore")
    return {"prefixList": _view(book, found)}


# --- reading --------------------------------------------------------------------------------------------


def describe(world: World, call: Call) -> dict[str, Value]:
    """DescribeManagedPrefixLists, 1 to 100 a page; an -in-progress state is shown first and then settles (rows 30, 35)."""
    book, form = world.of(call), call.form
    ids = form.texts("PrefixListId", "PrefixListIds")
    if ids:
        found = [_find(book, each) for each in dict.fromkeys(ids)]
    else:
        found = [each for each in book.lists.values() if not book.is_hidden(each.list_id)]
    found = filters.select(found, filters.parse(form), fields=_FIELDS, identity=lambda each: each.list_id, tags=book.tags)
    page = paging.page(call.action, form, found, lambda each: each.list_id, paging.LISTS)
    views: list[Value] = [_view(book, each) for each in page.found]
    for each in page.found:
        _settle(book, each)
    return {"prefixListSet": views, "nextToken": page.token}


_FIELDS: dict[str, Callable[[PrefixList], Iterable[str]]] = {
    "owner-id": lambda each: (each.owner,),
    "prefix-list-id": lambda each: (each.list_id,),
    "prefix-list-name": lambda each: (each.name,),
}


def entries(world: World, call: Call) -> dict[str, Value]:
    """GetManagedPrefixListEntries of one version, 1 to 100 a page."""
    book, form = world.of(call), call.form
    found = _find(book, form.text("PrefixListId") or "")
    version = form.number("TargetVersion") or found.version
    if version not in found.versions:
        raise Refusal("PrefixListVersionNotFound", f"The prefix list has no version {version}.")
    page = paging.page(call.action, form, found.versions[version], lambda entry: entry.cidr, paging.LISTS)
    shown: list[Value] = [{"cidr": entry.cidr, "description": entry.description} for entry in page.found]
    return {"entrySet": shown, "nextToken": page.token}


def associations(world: World, call: Call) -> dict[str, Value]:
    """GetManagedPrefixListAssociations: the groups whose rules name the list (row 37)."""
    book, form = world.of(call), call.form
    found = _find(book, form.text("PrefixListId") or "")
    users = sorted(book.list_uses.get(found.list_id, ()))
    page = paging.page(call.action, form, users, str, ASSOCIATION_LIMITS)
    shown: list[Value] = [{"resourceId": each, "resourceOwner": book.account} for each in page.found]
    return {"prefixListAssociationSet": shown, "nextToken": page.token}


def _view(book: Book, found: PrefixList) -> dict[str, Value]:
    owner = "aws" if found.owner == "AWS" else found.owner
    return {
        "prefixListId": found.list_id,
        "addressFamily": found.family,
        "state": found.state,
        "stateMessage": found.message,
        "prefixListArn": f"arn:aws:ec2:{book.region}:{owner}:prefix-list/{found.list_id}",
        "prefixListName": found.name,
        "maxEntries": found.max_entries,
        "version": None if found.owner == "AWS" else found.version,
        "tagSet": Fragment(wire.tags(book.tags(found.list_id))),
        "ownerId": found.owner,
    }


# --- states ------------------------------------------------------------------------------------------------


def _begin(world: World, found: PrefixList, verb: str) -> None:
    ending = "failed" if found.failed_resize_to is not None else "complete"
    if ending == "complete":
        found.message = None
    found.failed_resize_to = None
    found.after = f"{verb}-{ending}"
    found.pending_reads = world.settings.list_settle_reads
    found.state = f"{verb}-in-progress" if found.pending_reads else found.after


def _settle(book: Book, found: PrefixList) -> None:
    """One description has shown the state; after enough of them it moves on."""
    if not found.state.endswith("-in-progress"):
        return
    found.pending_reads -= 1
    if found.pending_reads <= 0 and found.after is not None:
        found.state = found.after
        if found.after == "delete-complete":
            _gone(book, found)


def _gone(book: Book, found: PrefixList) -> None:
    book.lists.pop(found.list_id, None)
    book.backend.tags.pop(found.list_id, None)


# --- checks -------------------------------------------------------------------------------------------------


def _find(book: Book, list_id: str) -> PrefixList:
    found = book.lists.get(list_id)
    if found is None or book.is_hidden(list_id):
        raise Refusal("InvalidPrefixListID.NotFound", f"The prefix list ID '{list_id}' does not exist")
    return found


def _own(book: Book, form: Form) -> PrefixList:
    list_id = form.text("PrefixListId")
    if not list_id:
        raise Refusal.missing("PrefixListId")
    found = _find(book, list_id)
    if found.owner == "AWS":
        raise Refusal("OperationNotPermitted", f"The prefix list '{list_id}' is managed by AWS and cannot be changed.")
    return found


def _check_version(found: PrefixList, form: Form) -> None:
    current = form.number("CurrentVersion")
    if current is None:
        raise Refusal.missing("CurrentVersion")
    if current != found.version:
        raise Refusal("PrefixListVersionMismatch", "The prefix list has the incorrect version number.")


def _check_name(name: str) -> None:
    if len(name) > 255 or name.startswith("com.amazonaws"):
        raise Refusal.value(f"Value ({name[:60]}) for parameter prefixListName is invalid.")


def _max_entries(book: Book, form: Form) -> int:
    size = form.number("MaxEntries")
    if size is None:
        raise Refusal.missing("MaxEntries")
    most = book.quotas.value(quota.LIST_ENTRIES)
    if not 1 <= size <= most:
        raise Refusal.value(f"Value ({size}) for parameter maxEntries is invalid. It must be between 1 and {most}.")
    return size


def _entries(forms: list[Form], family: str) -> list[Entry]:
    found = []
    for each in forms:
        cidr = each.text("Cidr")
        if not cidr:
            raise Refusal.missing("Cidr")
        found.append(Entry(permissions.cidr(cidr, v6=family == "IPv6"), permissions.description(each.text("Description"))))
    return found


def _over(size: int) -> Refusal:
    return Refusal(
        "PrefixListMaxEntriesExceeded",
        f"You've reached the maximum number of entries for the prefix list ({size}).",
    )

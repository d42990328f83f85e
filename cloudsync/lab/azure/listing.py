"""Lists in pages."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from ..kit.faults import Fault, Json, Kind
from .calls import Call
from .errors import ArmError, Reply, bad
from .world import World


@dataclass(frozen=True, slots=True)
class Listing:
    """A call on a collection."""

    world: World
    call: Call
    faults: tuple[Fault, ...]
    base: str


def page(listing: Listing, documents: list[Json]) -> Reply:
    """One page of a list that is at hand whole."""
    first = offset(listing.call)
    return paged(listing, documents[first : first + listing.world.switches.page_size], len(documents))


def offset(call: Call) -> int:
    """Return where the page asked for begins. ArmError for a token that is none."""
    text = call.query.get("$skiptoken", "")
    if not text:
        return 0
    try:
        return int(base64.urlsafe_b64decode(text.encode()).decode().removeprefix("next:"))
    except (ValueError, binascii.Error):
        raise bad("InvalidSkipToken", f"The skip token '{text}' is invalid.") from None


def page_number(world: World, call: Call) -> int:
    """Which page a call asks for, from 1 on."""
    try:
        return offset(call) // max(1, world.switches.page_size) + 1
    except ArmError:
        return 1


def paged(listing: Listing, documents: list[Json], total: int) -> Reply:
    """Answer with the documents of one page of so many in total, and the link to the next."""
    world, call = listing.world, listing.call
    first, size = offset(call), world.switches.page_size
    following = first + size if first + size < total else None
    kinds = {fault.kind for fault in listing.faults}
    if Kind.PAGE_LOST in kinds:
        documents = []
    if Kind.TOKEN_LOST in kinds:
        following = None
    if Kind.PAGE_REPEATED in kinds and following is None:
        following = 0
    if Kind.TOKEN_REPEATED in kinds:
        following = first
    answer: Json = {"value": documents}
    if following is not None:
        token = base64.urlsafe_b64encode(f"next:{following}".encode()).decode()
        origin = world.switches.next_link_base or listing.base
        answer["nextLink"] = f"{origin}{call.raw_path}?api-version={call.version}&$skiptoken={token}"
    return Reply(200, answer)

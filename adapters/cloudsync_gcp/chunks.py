"""Addresses cut into rules: an address stays in the chunk it is in, so that a new one changes one rule and renames no other."""

from __future__ import annotations

from collections.abc import Iterable

from cloudsync.model import intervals
from cloudsync.model.address import NOWHERE, AddressSet, Family


def divide(wanted: AddressSet, now: Iterable[AddressSet], most: int, waiting: AddressSet = NOWHERE) -> tuple[AddressSet, ...]:
    """Return `wanted` in parts of at most `most` CIDRs each.

    `now` are the parts that stand; of `waiting` (addresses in quarantine) what stands in one of them stays there.
    """
    parts: list[AddressSet] = []
    left = wanted
    for old in sorted(set(now), key=lambda one: (-(one & wanted).size, one.v4, one.v6)):
        kept = old & left
        if not kept:
            continue
        left -= kept
        with_waiting = kept | (old & waiting)
        parts.append(_first(with_waiting if _size(with_waiting) <= most else kept, most))
        left |= kept - parts[-1]
    return tuple(_filled(parts, left, most))


def _filled(parts: list[AddressSet], left: AddressSet, most: int) -> list[AddressSet]:
    todo = [_block(*prefix) for prefix in left.prefixes()]
    at = 0
    for number in range(len(parts)):
        room = most - _size(parts[number])
        if room > 0 and at < len(todo):
            parts[number] = AddressSet.union_all((parts[number], *todo[at : at + room]))
            at += room
    parts.extend(AddressSet.union_all(todo[start : start + most]) for start in range(at, len(todo), most))
    return parts


def _size(addresses: AddressSet) -> int:
    return sum(1 for _ in intervals.blocks(addresses.v4, 32)) + sum(1 for _ in intervals.blocks(addresses.v6, 128))


def _first(addresses: AddressSet, most: int) -> AddressSet:
    if _size(addresses) <= most:
        return addresses
    return AddressSet.union_all(_block(*prefix) for prefix in list(addresses.prefixes())[:most])


def _block(family: Family, value: int, length: int) -> AddressSet:
    points = (value, value + (1 << (family.width - length)))
    return AddressSet(v4=points) if family is Family.V4 else AddressSet(v6=points)

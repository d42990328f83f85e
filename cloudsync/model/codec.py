"""Values to JSON and back, exactly: frozen dataclasses by their field names, packet and address sets as text that people can read.

Fields that hold their default are left out, so that a document stays small and a new field does not invalidate old ones. The output
holds only dicts, lists, strings, numbers, booleans and None; `canonical` gives its one byte-stable text.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from cloudsync.model import intervals
from cloudsync.model.address import AddressSet, Family, address_text
from cloudsync.model.intervals import Points
from cloudsync.model.packets import Band, Bands, PacketSet
from cloudsync.model.service import BLOCK, ServiceSet

T = TypeVar("T")
Json = Any
"""What `json.loads` returns: nothing is known of it until it was checked."""
Anything = Any
"""A value, or a type form such as `tuple[int, ...]`."""


class CodecError(ValueError):
    """A document does not hold what its type says; the message names the place."""


def canonical(document: Json) -> str:
    """Return the one text of a JSON value: keys sorted, no spaces, ASCII."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(document: Json) -> str:
    """Return the sha256 of the canonical text, in hex."""
    return sha256(canonical(document).encode()).hexdigest()


# --- sets ------------------------------------------------------------------------------------------------------------


def addresses_json(addresses: AddressSet) -> list[str]:
    """Return `first-last` or one address per range, IPv4 first, ascending."""
    return [text for family in Family for text in _points_json(addresses.family(family), family)]


def addresses_of(document: Json) -> AddressSet:
    """Return the address set of `addresses_json` (CodecError when it is none)."""
    spans: dict[Family, list[tuple[int, int]]] = {Family.V4: [], Family.V6: []}
    for text in _list(document):
        family, first, end = _span(text)
        spans[family].append((first, end))
    return AddressSet(intervals.from_ranges(spans[Family.V4]), intervals.from_ranges(spans[Family.V6]))


def services_json(services: ServiceSet) -> list[str]:
    """Return `protocol/first-last` per run, by number; for ICMP the numbers are type*256+code."""
    return [f"{run.protocol}/{run.first}-{run.last}" for run in services.ranges()]


def services_of(document: Json) -> ServiceSet:
    """Return the service set of `services_json` (CodecError when it is none)."""
    return ServiceSet(intervals.from_ranges(_run(text) for text in _list(document)))


def packets_json(packets: PacketSet) -> list[Json]:
    """Return the bands of a packet set: `[family, services, peers]` each, canonical order."""
    rows: list[Json] = []
    for family in Family:
        for first, end, points in packets.bands(family):
            rows.append([int(family), services_json(ServiceSet((first, end))), _points_json(points, family)])
    return rows


def packets_of(document: Json) -> PacketSet:
    """Return the packet set of `packets_json` (CodecError when it is none)."""
    bands: dict[Family, list[Band]] = {Family.V4: [], Family.V6: []}
    for row in _list(document):
        if not isinstance(row, list) or len(row) != 3 or row[0] not in (4, 6):
            raise CodecError(f"{row!r} is no [family, services, peers]")
        family = Family(row[0])
        services, peers = services_of(row[1]), addresses_of(row[2]).family(family)
        bands[family].extend((first, end, peers) for first, end in intervals.ranges(services.points))
    return PacketSet(_checked(bands[Family.V4]), _checked(bands[Family.V6]))


def _checked(bands: list[Band]) -> Bands:
    for (_, end, peers), (first, _, after) in pairwise(bands):
        if first < end or (first == end and peers == after):
            raise CodecError("bands are not in canonical order")
    if any(not peers for _, _, peers in bands):
        raise CodecError("a band is empty")
    return tuple(bands)


def _points_json(points: Points, family: Family) -> list[str]:
    rows: list[str] = []
    for first, end in intervals.ranges(points):
        text = address_text(family, first)
        rows.append(text if end == first + 1 else f"{text}-{address_text(family, end - 1)}")
    return rows


def _span(text: Json) -> tuple[Family, int, int]:
    first, _, last = str(text).partition("-")
    six = ":" in first
    kind = IPv6Address if six else IPv4Address
    try:
        start, stop = int(kind(first)), int(kind(last or first))
    except ValueError as error:
        raise CodecError(f"{text!r} is no address range") from error
    if start > stop:
        raise CodecError(f"{text!r} is reversed")
    return (Family.V6 if six else Family.V4), start, stop + 1


def _run(text: Json) -> tuple[int, int]:
    protocol, _, span = str(text).partition("/")
    first, _, last = span.partition("-")
    try:
        numbers = int(protocol), int(first), int(last)
    except ValueError as error:
        raise CodecError(f"{text!r} is no protocol/first-last") from error
    if not (0 <= numbers[0] <= 255 and 0 <= numbers[1] <= numbers[2] < BLOCK):
        raise CodecError(f"{text!r} is out of range")
    return numbers[0] * BLOCK + numbers[1], numbers[0] * BLOCK + numbers[2] + 1


def _list(document: Json) -> list[Json]:
    if not isinstance(document, list):
        raise CodecError(f"{document!r} is no list")
    return document


# --- dataclasses -----------------------------------------------------------------------------------------------------


class Pool:
    """Packet sets that a document refers to by number, so that a set shared by thousands of points stands in it once."""

    def __init__(self, rows: Json = None) -> None:
        self._sets: list[PacketSet] = [packets_of(row) for row in _list(rows if rows is not None else [])]
        self._numbers: dict[PacketSet, int] = {packets: number for number, packets in enumerate(self._sets)}

    def number(self, packets: PacketSet) -> int:
        """Return the number of a set, a new one when it was not in the pool."""
        found = self._numbers.setdefault(packets, len(self._sets))
        if found == len(self._sets):
            self._sets.append(packets)
        return found

    def at(self, number: Json) -> PacketSet:
        """Return a set by its number (CodecError when there is none)."""
        if not isinstance(number, int) or not 0 <= number < len(self._sets):
            raise CodecError(f"packet set {number!r} is not in the document")
        return self._sets[number]

    def rows(self) -> list[Json]:
        """Return every set in the order of their numbers."""
        return [packets_json(packets) for packets in self._sets]


def to_json(value: Anything, pool: Pool | None = None) -> Json:
    """Return a value as JSON. Mappings need text keys; frozen sets are sorted by their canonical text."""
    match value:
        case Enum():
            return value.value
        case None | bool() | int() | float() | str():
            return value
        case PacketSet():
            return packets_json(value) if pool is None else pool.number(value)
        case AddressSet():
            return addresses_json(value)
        case ServiceSet():
            return services_json(value)
        case tuple() | list():
            return [to_json(item, pool) for item in value]
        case frozenset() | set():
            return sorted((to_json(item, pool) for item in value), key=canonical)
        case Mapping():
            return {str(key): to_json(item, pool) for key, item in value.items()}
        case _ if is_dataclass(value):
            kept = {}
            for field, _ in _shape(cast("Anything", type(value))):
                item = getattr(value, field.name)
                if field.default is MISSING or item != field.default:
                    kept[field.name] = to_json(item, pool)
            return kept
        case _:
            raise TypeError(f"{type(value).__name__} has no JSON form")


def from_json(kind: type[T], document: Json, pool: Pool | None = None) -> T:
    """Return the value of a type that `to_json` wrote (CodecError when the document does not fit it)."""
    return cast("T", _read(kind, document, pool))


@cache
def _shape(kind: Anything) -> tuple[tuple[Field[Any], Any], ...]:
    hints = get_type_hints(kind)
    return tuple((field, hints[field.name]) for field in fields(kind))


def _read(kind: Anything, document: Json, pool: Pool | None) -> Json:
    kind = getattr(kind, "__supertype__", kind)
    origin: Anything = get_origin(kind)
    if origin is not None:
        return _read_generic(kind, origin, document, pool)
    reader = _SETS.get(kind)
    if reader is not None:
        return pool.at(document) if pool is not None and reader is packets_of else reader(document)
    if kind is float and isinstance(document, int) and not isinstance(document, bool):
        return float(document)
    if is_dataclass(kind):
        return _read_dataclass(cast("type", kind), document, pool)
    if issubclass(kind, Enum):
        try:
            return kind(document)
        except ValueError as error:
            raise CodecError(str(error)) from error
    if type(document) is not kind:
        raise CodecError(f"{document!r} is no {kind.__name__}")
    return document


_SETS: dict[Anything, Callable[[Json], Anything]] = {PacketSet: packets_of, AddressSet: addresses_of, ServiceSet: services_of}


def _read_generic(kind: Anything, origin: Anything, document: Json, pool: Pool | None) -> Json:
    arguments = get_args(kind)
    if origin in (Union, types.UnionType):
        return _read_union(arguments, document, pool)
    if origin is tuple:
        items = _list(document)
        if arguments[-1] is Ellipsis:
            return tuple(_read(arguments[0], item, pool) for item in items)
        if len(items) != len(arguments):
            raise CodecError(f"{len(items)} items instead of {len(arguments)}")
        return tuple(_read(part, item, pool) for part, item in zip(arguments, items, strict=True))
    if origin is frozenset:
        return frozenset(_read(arguments[0], item, pool) for item in _list(document))
    if isinstance(document, dict):
        return {key: _read(arguments[1], item, pool) for key, item in document.items()}
    raise CodecError(f"{document!r} is no mapping")


def _read_union(arguments: tuple[Any, ...], document: Json, pool: Pool | None) -> Json:
    if document is None and type(None) in arguments:
        return None
    last: CodecError | None = None
    for part in arguments:
        if part is not type(None):
            try:
                return _read(part, document, pool)
            except CodecError as error:
                last = error
    raise last or CodecError(f"{document!r} fits nothing")


def _read_dataclass(kind: type, document: Json, pool: Pool | None) -> Json:
    if not isinstance(document, dict):
        raise CodecError(f"{document!r} is no {kind.__name__}")
    values: dict[str, Anything] = {}
    for field, hint in _shape(kind):
        if field.name in document:
            try:
                values[field.name] = _read(hint, document[field.name], pool)
            except CodecError as error:
                raise CodecError(f"{field.name}: {error}") from error
        elif field.default is MISSING and field.default_factory is MISSING:
            raise CodecError(f"{kind.__name__} without {field.name}")
    unknown = document.keys() - {field.name for field, _ in _shape(kind)}
    if unknown:
        raise CodecError(f"{kind.__name__} has no {', '.join(sorted(unknown))}")
    return kind(**values)

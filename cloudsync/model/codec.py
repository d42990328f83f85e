"""Values to JSON and back, exactly: frozen dataclasses by their field names, packet and address sets as text that people can read.

Fields that hold their default are left out, so that a document stays small and a new field does not invalidate old ones. The output
holds only dicts, lists, strings, numbers, booleans and None; `canonical` gives its one byte-stable text.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from cloudsync.model import intervals
from cloudsync.model.address import AddressSet, Family, address_text, plain_v4
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
    alone = plain_v4(text)
    if alone is not None:
        return Family.V4, alone, alone + 1
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
    return _writer(_kind(value))(value, pool)


def from_json(kind: type[T], document: Json, pool: Pool | None = None) -> T:
    """Return the value of a type that `to_json` wrote (CodecError when the document does not fit it)."""
    form: Anything = kind
    return cast("T", _reader(form)(document, pool))


def _shape(kind: Anything) -> tuple[tuple[Field[Any], Any], ...]:
    hints = get_type_hints(kind)
    return tuple((field, hints[field.name]) for field in fields(kind))


# --- writing: one function for each class of values, made when it is first met ---------------------------------------

Writer = Callable[[Anything, Pool | None], Json]
_kind = cast("Callable[[Anything], Anything]", type)


@cache
def _writer(kind: Anything) -> Writer:
    for base, writer in _WRITERS:
        if issubclass(kind, base):
            return writer
    if is_dataclass(kind):
        return _dataclass_writer(kind)
    raise TypeError(f"{kind.__name__} has no JSON form")


def _packets_out(value: PacketSet, pool: Pool | None) -> Json:
    return packets_json(value) if pool is None else pool.number(value)


def _list_out(value: Iterable[Anything], pool: Pool | None) -> Json:
    return [item if type(item) is str else _writer(_kind(item))(item, pool) for item in value]


def _set_out(value: Iterable[Anything], pool: Pool | None) -> Json:
    return sorted(_list_out(value, pool), key=canonical)


def _mapping_out(value: Mapping[Anything, Anything], pool: Pool | None) -> Json:
    return {str(key): _writer(_kind(item))(item, pool) for key, item in value.items()}


_WRITERS: tuple[tuple[Anything, Writer], ...] = (
    (Enum, lambda value, _: value.value),
    ((type(None), bool, int, float, str), lambda value, _: value),
    (PacketSet, _packets_out),
    (AddressSet, lambda value, _: addresses_json(value)),
    (ServiceSet, lambda value, _: services_json(value)),
    ((tuple, list), _list_out),
    ((frozenset, set), _set_out),
    (Mapping, _mapping_out),
)


def _dataclass_writer(kind: Anything) -> Writer:
    rows = tuple((field.name, field.default) for field, _ in _shape(kind))

    def write(value: Anything, pool: Pool | None) -> Json:
        kept = {}
        for name, default in rows:
            item = getattr(value, name)
            if item is not default and (default is MISSING or item != default):
                kept[name] = item if type(item) is str else _writer(_kind(item))(item, pool)
        return kept

    return write


# --- reading: one function for each type form ------------------------------------------------------------------------

Reader = Callable[[Json, Pool | None], Anything]


@cache
def _reader(kind: Anything) -> Reader:
    kind = getattr(kind, "__supertype__", kind)
    origin: Anything = get_origin(kind)
    if origin is not None:
        return _generic_reader(origin, get_args(kind))
    if kind is PacketSet:
        return lambda document, pool: packets_of(document) if pool is None else pool.at(document)
    if kind in _SETS:
        of = _SETS[kind]
        return lambda document, _: of(document)
    if is_dataclass(kind):
        return _dataclass_reader(cast("type", kind))
    return _enum_reader(kind) if issubclass(kind, Enum) else _plain_reader(kind)


_SETS: dict[Anything, Callable[[Json], Anything]] = {AddressSet: addresses_of, ServiceSet: services_of}


def _enum_reader(kind: type[Enum]) -> Reader:
    def read(document: Json, _: Pool | None) -> Anything:
        try:
            return kind(document)
        except ValueError as error:
            raise CodecError(str(error)) from error

    return read


def _plain_reader(kind: type) -> Reader:
    def read(document: Json, _: Pool | None) -> Anything:
        if type(document) is kind:
            return document
        if kind is float and type(document) is int:
            return float(document)
        raise CodecError(f"{document!r} is no {kind.__name__}")

    return read


def _generic_reader(origin: Anything, arguments: tuple[Any, ...]) -> Reader:
    if origin in (Union, types.UnionType):
        return _union_reader(arguments)
    if origin is tuple and arguments[-1] is not Ellipsis:
        return _fixed_reader(tuple(map(_reader, arguments)))
    if origin in (tuple, frozenset):
        item = _reader(arguments[0])
        return lambda document, pool: origin([item(one, pool) for one in _list(document)])
    value = _reader(arguments[1])

    def read(document: Json, pool: Pool | None) -> Anything:
        if isinstance(document, dict):
            return {key: value(one, pool) for key, one in document.items()}
        raise CodecError(f"{document!r} is no mapping")

    return read


def _fixed_reader(parts: tuple[Reader, ...]) -> Reader:
    def read(document: Json, pool: Pool | None) -> Anything:
        items = _list(document)
        if len(items) != len(parts):
            raise CodecError(f"{len(items)} items instead of {len(parts)}")
        return tuple([part(item, pool) for part, item in zip(parts, items, strict=True)])

    return read


def _union_reader(arguments: tuple[Any, ...]) -> Reader:
    readers = [_reader(part) for part in arguments if part is not type(None)]
    optional = len(readers) < len(arguments)

    def read(document: Json, pool: Pool | None) -> Anything:
        if document is None and optional:
            return None
        last: CodecError | None = None
        for reader in readers:
            try:
                return reader(document, pool)
            except CodecError as error:
                last = error
        raise last or CodecError(f"{document!r} fits nothing")

    return read


def _dataclass_reader(kind: type) -> Reader:
    rows: list[tuple[str, Reader, bool]] = []  # filled when first used, as a class may hold values of its own kind

    def read(document: Json, pool: Pool | None) -> Anything:
        if not isinstance(document, dict):
            raise CodecError(f"{document!r} is no {kind.__name__}")
        if not rows:
            rows.extend((field.name, _reader(hint), _needed(field)) for field, hint in _shape(kind))
        values: dict[str, Anything] = {}
        for name, reader, needed in rows:
            if name in document:
                try:
                    values[name] = reader(document[name], pool)
                except CodecError as error:
                    raise CodecError(f"{name}: {error}") from error
            elif needed:
                raise CodecError(f"{kind.__name__} without {name}")
        if len(values) != len(document):
            raise CodecError(f"{kind.__name__} has no {', '.join(sorted(document.keys() - values.keys()))}")
        return kind(**values)

    return read


def _needed(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING

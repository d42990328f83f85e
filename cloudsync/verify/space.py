"""Sets of packets as the bits of integers, over the atoms that one plan file can tell apart.

Every address and every service that a file mentions cuts its line. Between two cuts nothing in the file makes a difference, so that a
set is exact when it says yes or no for each piece: union, intersection and difference are the operations of integers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Span = tuple[int, int, int]
"""Family (4 or 6), first and last address."""
Spans = tuple[Span, ...]
Run = tuple[int, int]
"""First and last place on the line of services: protocol * 65536 + port, or + type * 256 + code for ICMP; 0 to 65535 without either."""
Runs = tuple[Run, ...]
Packets = int
"""A set of packets of one space: bit `service atom * width + address atom`."""

LAST = {4: (1 << 32) - 1, 6: (1 << 128) - 1}
EVERYWHERE: Spans = ((4, 0, LAST[4]), (6, 0, LAST[6]))
BLOCK = 65536
ANY: Runs = ((0, 256 * BLOCK - 1),)
TCP, UDP, SCTP, ICMP, ICMPV6, ESP, AH = 6, 17, 132, 1, 58, 50, 51
PORTED = frozenset({TCP, UDP, SCTP})
NAMES = {1: "icmp", 6: "tcp", 17: "udp", 47: "gre", 50: "esp", 51: "ah", 58: "icmpv6", 132: "sctp"}


class UnreadableError(ValueError):
    """Something in a plan file does not say what it should; the message names it."""


def protocol(number: int) -> Runs:
    """Return everything of one protocol."""
    return ((number * BLOCK, number * BLOCK + BLOCK - 1),)


def ports(number: int, first: int, last: int) -> Runs:
    """Return ports of a protocol, ends included."""
    return ((number * BLOCK + first, number * BLOCK + last),)


def icmp(number: int, kind: int, code: int = -1) -> Runs:
    """Return an ICMP type with all codes, or one of them."""
    start = number * BLOCK + kind * 256
    return ((start, start + 255),) if code < 0 else ((start + code, start + code),)


@lru_cache(maxsize=65536)
def network(text: str) -> Span:
    """Return an address, a prefix (host bits do not count) or a range `a-b`."""
    try:
        if "-" in text:
            low, high = (ip_address(part.strip()) for part in text.split("-", 1))
            if low.version != high.version or int(low) > int(high):
                raise UnreadableError(f"{text!r} is no range of addresses")
            return low.version, int(low), int(high)
        found = ip_network(text, strict=False)
    except ValueError as error:
        raise UnreadableError(f"{text!r} is no address, prefix or range") from error
    return found.version, int(found.network_address), int(found.broadcast_address)


def networks(texts: Iterable[str]) -> Spans:
    """Return several of them."""
    return tuple(network(text) for text in texts)


class Space:
    """The lines of addresses and services of one file. First everything is told to it, then it is cut, then it answers."""

    def __init__(self) -> None:
        self._address_cuts: dict[int, set[int]] = {4: {0}, 6: {0}}
        self._service_cuts: set[int] = {0, *(number * BLOCK for number in (ICMP, ICMP + 1, ICMPV6, ICMPV6 + 1))}
        self._seen: set[Spans | Runs] = set()
        self._masks: dict[Spans, int] = {}
        self._rows: dict[Runs, int] = {}
        self._boxes: dict[tuple[int, int], Packets] = {}
        self._starts: dict[int, list[int]] = {}
        self._services: list[int] = []
        self._whole: tuple[Packets, Packets] = (0, 0)
        self.width = 0
        self.everything: Packets = 0

    # --- telling -------------------------------------------------------------------------------------------------

    def addresses(self, spans: Spans) -> Spans:
        """Note addresses, and return them."""
        if spans not in self._seen:
            self._seen.add(spans)
            for family, first, last in spans:
                self._address_cuts[family].update((first, last + 1))
        return spans

    def services(self, runs: Runs) -> Runs:
        """Note services, and return them."""
        if runs not in self._seen:
            self._seen.add(runs)
            for first, last in runs:
                self._service_cuts.update((first, last + 1))
        return runs

    def cut(self) -> None:
        """Fix the atoms: from now on only questions."""
        self._starts = {family: sorted(cuts - {LAST[family] + 1}) for family, cuts in self._address_cuts.items()}
        self._services = sorted(self._service_cuts - {256 * BLOCK})
        self._border = len(self._starts[4])
        self.width = -(-(self._border + len(self._starts[6])) // 8) * 8
        four = (1 << self._border) - 1
        six = ((1 << len(self._starts[6])) - 1) << self._border
        # There is no ICMPv6 over IPv4, and no ICMP over IPv6.
        whole = self._product(four, self.every_row & ~self.row(protocol(ICMPV6)))
        self._whole = (whole, self._product(six, self.every_row & ~self.row(protocol(ICMP))))
        self.everything = self._whole[0] | self._whole[1]

    # --- asking --------------------------------------------------------------------------------------------------

    def mask(self, spans: Spans) -> int:
        """Return addresses as bits."""
        found = self._masks.get(spans)
        if found is None:
            found = 0
            for family, first, last in spans:
                starts, shift = self._starts[family], 0 if family == 4 else self._border
                low, high = self._place(starts, first), self._place(starts, last + 1, LAST[family] + 1)
                found |= ((1 << (high - low)) - 1) << (low + shift)
            self._masks[spans] = found
        return found

    def row(self, runs: Runs) -> int:
        """Return services as bits."""
        found = self._rows.get(runs)
        if found is None:
            found = 0
            for first, last in runs:
                low, high = self._place(self._services, first), self._place(self._services, last + 1, 256 * BLOCK)
                found |= ((1 << (high - low)) - 1) << low
            self._rows[runs] = found
        return found

    @staticmethod
    def _place(starts: list[int], value: int, end: int = -1) -> int:
        if value == end:
            return len(starts)
        at = bisect_left(starts, value)
        if at == len(starts) or starts[at] != value:
            raise AssertionError("asked about something that was not told before the lines were cut")
        return at

    def box(self, mask: int, row: int) -> Packets:
        """Return every packet of these peers on these services that can exist."""
        key = (mask, row)
        found = self._boxes.get(key)
        if found is None:
            found = self._boxes[key] = self._product(mask, row) & self.everything
        return found

    def packets(self, spans: Spans, runs: Runs) -> Packets:
        """Return a box from what was noted."""
        return self.box(self.mask(spans), self.row(runs))

    def _product(self, mask: int, row: int) -> Packets:
        if not mask or not row:
            return 0
        size = self.width // 8
        yes, no = mask.to_bytes(size, "little"), bytes(size)
        return int.from_bytes(b"".join(yes if row >> at & 1 else no for at in range(row.bit_length())), "little")

    def peers(self, packets: Packets, row: int) -> int:
        """Return the peers that may use at least one of these services."""
        found, line = 0, (1 << self.width) - 1
        while row:
            low = row & -row
            found |= packets >> (low.bit_length() - 1) * self.width & line
            row ^= low
        return found

    def rows_at(self, packets: Packets, mask: int, *, every: bool) -> int:
        """Return the services that some (or every) one of these peers may use."""
        found, line = 0, (1 << self.width) - 1
        for at in range(len(self._services)):
            there = packets >> at * self.width & line & mask
            if there == mask if every else there:
                found |= 1 << at
        return found

    def witness(self, packets: Packets) -> tuple[int, int]:
        """Return the lowest packet of a set as its service atom and address atom."""
        return divmod((packets & -packets).bit_length() - 1, self.width)

    def service_text(self, atom: int) -> str:
        """Return the first service of an atom."""
        number, detail = divmod(self._services[atom], BLOCK)
        name = NAMES.get(number, f"protocol {number}")
        if number in (ICMP, ICMPV6):
            kind, code = divmod(detail, 256)
            return f"{name}/{kind}" + (f" code {code}" if code else "")
        return f"{name}/{detail}" if number in PORTED else name

    def address_text(self, atom: int) -> str:
        """Return the first address of an atom."""
        if atom < self._border:
            return str(IPv4Address(self._starts[4][atom]))
        return str(IPv6Address(self._starts[6][atom - self._border]))

    def of_family(self, atom: int) -> Packets:
        """Return every packet of the family of an address."""
        return self._whole[0] if atom < 1 << self._border else self._whole[1]

    @property
    def every_row(self) -> int:
        """Every service."""
        return (1 << len(self._services)) - 1

    def atoms(self, mask: int) -> Iterator[int]:
        """Yield the single bits of a set of addresses."""
        while mask:
            low = mask & -mask
            yield low
            mask ^= low

    @property
    def families(self) -> tuple[int, int]:
        """All addresses of IPv4 and of IPv6, as bits."""
        return (1 << self._border) - 1, ((1 << len(self._starts[6])) - 1) << self._border

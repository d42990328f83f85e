"""Mutations, chosen by bytes: the same bytes always make the same input, so that a fuzzer that looks at coverage can steer them."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

Json = Any
ODD: tuple[Json, ...] = (
    *(None, "", " ", 0, -1, 1, 65_536, 2**70, -(2**70), 1.5, float("inf"), float("nan"), True, False, [], {}, [[]], {"a": None}),
    *("\x00", "\ud800", "\x1b[2J", "٢٢", "w\u0435b", "a" * 300, "-", "/", ":", "::", ":::", "%", "*", "0x1", "1e9", "NaN", "null"),
    *("10.0.0.1/8", "10.0.0.0/33", "010.0.0.1", "999.1.1.1", "0.0.0.0/0", "::/0", "::ffff:10.0.0.1", "fe80::1%eth0", "1-2-3", "22-21"),
    *("tcp", "all", "-1", "6", "icmp", "65535", "70000", "9" * 30, "Allow", "ALLOW", "accept", "INGRESS", "/Common/x", "any", "any6"),
)


class Choices:
    """Numbers drawn from bytes; when they are used up, zeros."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def below(self, bound: int) -> int:
        """Return a number from 0 up to, and without, `bound`."""
        width = 1 if bound <= 256 else 2 if bound <= 65_536 else 4
        found = int.from_bytes(self.content[self.at : self.at + width], "little")
        self.at += width
        return found % bound if bound else 0

    def one(self, values: Sequence[Any]) -> Any:
        """Return one of the values."""
        return values[self.below(len(values))]


def edited(sample: Json, choices: Choices) -> Json:
    """Return a JSON document with one to four edits, or with bits of its text turned."""
    if choices.below(4) == 0:
        return _turned(sample, choices)
    document = {"": copy.deepcopy(sample)}
    for _ in range(1 + choices.below(4)):
        places = list(_places(document))
        holder, key = places[choices.below(len(places))]
        _edit(holder, key, choices, places)
    return document.get("")


def _turned(sample: Json, choices: Choices) -> Json:
    text = bytearray(json.dumps(sample).encode())
    for _ in range(1 + choices.below(4)):
        text[choices.below(len(text))] ^= 1 << choices.below(8)
    try:
        return json.loads(bytes(text))
    except (ValueError, RecursionError):
        return sample


def _places(node: Json) -> list[tuple[Json, Any]]:
    found: list[tuple[Json, Any]] = []
    pending = [node]
    while pending:
        one = pending.pop()
        for key, value in one.items() if isinstance(one, dict) else enumerate(one):
            found.append((one, key))
            if isinstance(value, dict | list):
                pending.append(value)
    return found


def _edit(holder: Json, key: Any, choices: Choices, places: list[tuple[Json, Any]]) -> None:
    try:
        value = holder[key]
    except (KeyError, IndexError):  # an earlier edit took it out
        return
    match choices.below(7):
        case 0:
            if key != "":
                del holder[key]
        case 1 | 2:
            holder[key] = copy.deepcopy(choices.one(ODD))
        case 3:
            holder[key] = [value]
        case 4 if isinstance(value, list) and value:
            holder[key] = [*value, copy.deepcopy(value[0])] if choices.below(2) else value[:1] * 40
        case 5:
            other, name = places[choices.below(len(places))]
            try:
                holder[key] = copy.deepcopy(other[name])
            except (KeyError, IndexError):
                return
        case _:
            holder[key] = _letters(value, choices) if isinstance(value, str) else copy.deepcopy(choices.one(ODD))


def _letters(text: str, choices: Choices) -> str:
    at = choices.below(len(text) + 1)
    match choices.below(4):
        case 0:
            return text[:at]
        case 1:
            return text[:at] + text[at + 1 :]
        case 2:
            return text[:at] + str(choices.one(("0", "/", "-", ",", "\u200b", ":", " ", "%", "٣"))) + text[at:]
        case _:
            return text + text


def blind(seeds: Sequence[bytes], words: Sequence[bytes], rng: random.Random) -> Callable[[], bytes]:
    """Return a maker of inputs that knows nothing of coverage: seeds cut, joined, repeated, with bits turned and words put in."""

    def make() -> bytes:
        found = bytearray(rng.choice(seeds))
        for _ in range(rng.choice((1, 1, 2, 3, 8))):
            at = rng.randrange(len(found) + 1)
            match rng.randrange(6):
                case 0 if found:
                    found[at % len(found)] ^= 1 << rng.randrange(8)
                case 1:
                    del found[at : at + rng.choice((1, 2, 9, 40))]
                case 2:
                    found[at:at] = rng.choice(words)
                case 3:
                    other = rng.choice(seeds)
                    found[at:] = other[rng.randrange(len(other) + 1) :]
                case 4:
                    found[at:at] = found[at : at + rng.choice((1, 8, 60))] * rng.choice((1, 2, 30))
                case _:
                    found[at : at + 1] = bytes([rng.randrange(256)])
        return bytes(found[:20_000])

    return make

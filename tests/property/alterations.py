"""Every way to alter one entry of a plan file: one at a time, with the digests made again, so that it is not the hash that tells."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from ipaddress import ip_network
from typing import Any

Json = Any
_NAMED = (
    *("target", "mode", "owner", "identity", "limits", "snapshot_digest", "desired_digest", "policy_digest"),
    *("scopes", "method", "phases", "adoptions", "certificate", "replay", "problems"),
)
_LATER = ("component",)
"""Fields that stand in a digest only where a plan has them."""
_DEFAULTS: dict[str, Json] = {
    "scopes": [],
    "method": "none",
    "phases": [],
    "adoptions": [],
    "certificate": None,
    "replay": None,
    "problems": [],
}
_PAIRS = (
    *("Allow Deny", "Inbound Outbound", "Tcp Udp", "accept drop", "INGRESS EGRESS", "tcp udp", "enabled disabled", "allowed denied"),
    *("IPv4 IPv6", "yes no"),
)
_FLIPS = (
    {one: other for pair in _PAIRS for one, other in (pair.split(), pair.split()[::-1])}
    | {"*": "10.9.8.7", "any": "tcp", "Icmp": "Tcp", "-1": "tcp", "icmp": "tcp", "icmpv6": "icmp", "all": "tcp"}
    | {
        "first": "none",
        "none": "/Common/other",
    }
)


@dataclass(frozen=True)
class Alteration:
    """One altered file, and what was done to it."""

    kind: str
    told: str
    of: Json
    change: Callable[[Json], None]

    @cached_property
    def content(self) -> str:
        """The text of the file, made when it is asked for."""
        document = copy.deepcopy(self.of)
        self.change(document)
        return signed(document)


def digest(value: Json) -> str:
    return sha256(text(value).encode()).hexdigest()


def text(value: Json) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def signed(document: Json) -> str:
    """Return the text of a plan file with every digest in it made again."""
    pool = document["packet_sets"]
    for plan in document["plan"]["targets"]:
        named = {key: plan.get(key, _DEFAULTS.get(key)) for key in _NAMED} | {key: plan[key] for key in _LATER if key in plan}
        named["adoptions"] = [
            {key: pool[value] if key in ("inbound", "outbound") and value < len(pool) else value for key, value in one.items()}
            for one in named["adoptions"]
        ]
        document["digests"][plan["target"]] = digest(named)
    document["content_digest"] = digest({key: value for key, value in document.items() if key != "content_digest"})
    return text(document) + "\n"


# --- one leaf --------------------------------------------------------------------------------------------------------


def other(value: Json, others: list[str]) -> Json:
    """Return another value of the same sort."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if not isinstance(value, str):
        return "x"
    if value in _FLIPS:
        return _FLIPS[value]
    bare, mark, domain = value.partition("%")
    if re.fullmatch(r"[0-9.]+(/[0-9]+)?|[0-9a-f:]*:[0-9a-f:]*(/[0-9]+)?", bare) and ("." in bare or ":" in bare):
        return _other_network(bare) + mark + domain
    if re.fullmatch(r"[0-9]+", value):
        return str(int(value) + 1 if int(value) < 255 else int(value) - 1)
    if re.fullmatch(r"[0-9]+-[0-9]+", value):
        low, high = value.split("-")
        return f"{low}-{int(high) - 1}"
    return next((one for one in others if one != value), value + "x")


def _other_network(value: str) -> str:
    net = ip_network(value, strict=False)
    if net.prefixlen == 0:
        return str(next(net.subnets()))
    twin = next(one for one in net.supernet().subnets() if one != net)
    return str(twin) if "/" in value else str(twin.network_address)


Path = tuple[Any, ...]


def leaves(value: Json, path: Path = ()) -> Iterator[tuple[Path, Json]]:
    """Yield every leaf with where it stands."""
    if isinstance(value, dict):
        for key in sorted(value):
            yield from leaves(value[key], (*path, key))
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield from leaves(one, (*path, at))
    else:
        yield path, value


def containers(value: Json, path: Path = ()) -> Iterator[Path]:
    """Yield where every item of a list stands."""
    if isinstance(value, dict):
        for key in sorted(value):
            yield from containers(value[key], (*path, key))
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield (*path, at)
            yield from containers(one, (*path, at))


def put(value: Json, path: Path, new: Json) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new


def drop(value: Json, path: Path) -> None:
    for key in path[:-1]:
        value = value[key]
    del value[path[-1]]


# --- a whole file ----------------------------------------------------------------------------------------------------


class Altered:
    """A plan file, and every alteration of it."""

    def __init__(self, content: str) -> None:
        self.content = content
        self.document = json.loads(content)

    def _file(self, kind: str, told: str, change: Callable[[Json], None]) -> Alteration:
        return Alteration(kind, told, self.document, change)

    def _steps(self) -> Iterator[tuple[int, int, int]]:
        for at, target in enumerate(self.document["plan"]["targets"]):
            for phase, one in enumerate(target.get("phases", [])):
                for number in range(len(one["steps"])):
                    yield at, phase, number

    def every(self) -> Iterator[Alteration]:
        """Yield every altered payload, order of steps, wish and packet set."""
        for some in (self.payloads(), self.order(), self.wanted(), self.pool()):
            yield from some

    def payloads(self) -> Iterator[Alteration]:
        """Yield every leaf of every payload altered, and every item of a list in it taken out."""
        for at, phase, number in self._steps():
            step = self.document["plan"]["targets"][at]["phases"][phase]["steps"][number]
            payload = json.loads(step["payload"])
            names = self._ids(at)
            for path, value in leaves(payload):
                changed = copy.deepcopy(payload)
                put(changed, path, other(value, names.get(_sort(value), [])))
                yield self._payload("payload", (at, phase, number), f"{path}: {value!r}", changed)
            for path in containers(payload):
                changed = copy.deepcopy(payload)
                drop(changed, path)
                yield self._payload("payload item", (at, phase, number), f"without {path}", changed)
            for path, key in _keys(payload):
                if key in _FLIPS:
                    changed = copy.deepcopy(payload)
                    held = _at(changed, path)
                    held[_FLIPS[key]] = held.pop(key)
                    yield self._payload("payload", (at, phase, number), f"{path}: {key} is {_FLIPS[key]}", changed)

    def _payload(self, kind: str, where: tuple[int, int, int], told: str, payload: Json) -> Alteration:
        at, phase, number = where

        def change(document: Json) -> None:
            document["plan"]["targets"][at]["phases"][phase]["steps"][number]["payload"] = text(payload)

        return self._file(kind, f"step {phase}.{number} {told}", change)

    def _ids(self, at: int) -> dict[str, list[str]]:
        """Return the native ids in a target's table, by sort."""
        name = self.document["plan"]["targets"][at]["target"]
        found: dict[str, list[str]] = {}
        for _, value in leaves(self.document["evidence"]["targets"][name]["table"]):
            if isinstance(value, str) and value not in found.setdefault(_sort(value), []):
                found[_sort(value)].append(value)
        return found

    def order(self) -> Iterator[Alteration]:
        """Yield every step left out, every step twice, and neighbours exchanged across each barrier."""
        for at, phase, number in self._steps():

            def without(document: Json, at: int = at, phase: int = phase, number: int = number) -> None:
                del document["plan"]["targets"][at]["phases"][phase]["steps"][number]

            def twice(document: Json, at: int = at, phase: int = phase, number: int = number) -> None:
                steps = document["plan"]["targets"][at]["phases"][phase]["steps"]
                steps.insert(number, copy.deepcopy(steps[number]))

            yield self._file("step left out", f"{phase}.{number}", without)
            yield self._file("step twice", f"{phase}.{number}", twice)
        for at, target in enumerate(self.document["plan"]["targets"]):
            for phase in range(len(target.get("phases", [])) - 1):
                for one in range(len(target["phases"][phase]["steps"])):
                    for two in range(len(target["phases"][phase + 1]["steps"])):

                        def exchange(document: Json, at: int = at, phase: int = phase, one: int = one, two: int = two) -> None:
                            first, second = (document["plan"]["targets"][at]["phases"][phase + more]["steps"] for more in (0, 1))
                            first[one], second[two] = second[two], first[one]

                        yield self._file("steps exchanged", f"{phase}.{one} and {phase + 1}.{two}", exchange)

    def wanted(self) -> Iterator[Alteration]:
        """Yield every packet set named beside a point replaced by another one, and every point left out."""
        count = len(self.document["packet_sets"])
        for name, one in sorted(self.document["evidence"]["targets"].items()):
            for at, held in enumerate(one["points"]):

                def without(document: Json, name: str = name, at: int = at) -> None:
                    del document["evidence"]["targets"][name]["points"][at]

                yield self._file("point left out", f"{name} {held['point']}", without)
                for path, value in leaves(held):
                    new = (value + 1) % count if isinstance(value, int) and not isinstance(value, bool) else other(value, [])

                    def change(document: Json, name: str = name, at: int = at, path: Path = path, new: Json = new) -> None:
                        put(document["evidence"]["targets"][name]["points"][at], path, new)

                    if new != value:
                        yield self._file("wanted", f"{held['point']} {path}", change)

    def pool(self) -> Iterator[Alteration]:
        """Yield every packet set that the plan or its evidence names: a band left out, a band more, a service and a peer altered."""
        for at in sorted(self.named()):
            rows = self.document["packet_sets"][at]
            changes: list[tuple[str, Json]] = [("one more", [*rows, [4, ["6/4242-4242"], ["198.18.77.7"]]])]
            if rows:
                changes.append(("one less", rows[1:]))
                changes.append(("other peers", [[rows[0][0], rows[0][1], [_shorter(rows[0][2][0]), *rows[0][2][1:]]], *rows[1:]]))
                changes.append(("other services", [[rows[0][0], [_narrower(rows[0][1][0]), *rows[0][1][1:]], rows[0][2]], *rows[1:]]))
            for told, new in changes:
                if new != rows:

                    def change(document: Json, at: int = at, new: Json = new) -> None:
                        document["packet_sets"][at] = new

                    yield self._file("packet set", f"set {at} {told}", change)

    def named(self) -> set[int]:
        """Return the numbers of the sets that decide something: those of points held, and of points told of."""
        found: set[int] = set()
        for one in self.document["evidence"]["targets"].values():
            for held in one["points"]:
                found.update(value for _, value in leaves(held) if isinstance(value, int) and not isinstance(value, bool))
        for target in self.document["plan"]["targets"]:
            for point in target.get("points", []):
                for key in ("before", "after", "ours_before", "ours_after"):
                    found.update(point.get(key, {}).values())
            for one in target.get("adoptions", []):
                found.update(one[key] for key in ("inbound", "outbound") if key in one)
        return found

    def state(self) -> Iterator[Alteration]:
        """Yield every leaf of every table altered."""
        for at, target in enumerate(self.document["plan"]["targets"]):
            table = self.document["evidence"]["targets"][target["target"]]["table"]
            names = self._ids(at)
            for path, value in leaves(table):
                new = other(value, names.get(_sort(value), []))

                def change(document: Json, name: str = target["target"], path: Path = path, new: Json = new) -> None:
                    put(document["evidence"]["targets"][name]["table"], path, new)

                yield self._file("state", f"{path}: {value!r}", change)

    def policy(self) -> Iterator[Alteration]:
        """Yield every rule of the policy left out or turned round, every leaf of rules and inventory altered."""
        for key in ("rules", "enforcement", "workloads"):
            for at, one in enumerate(self.document["evidence"][key]):

                def without(document: Json, key: str = key, at: int = at) -> None:
                    del document["evidence"][key][at]

                yield self._file("policy", f"without {key} {at}", without)
                for path, value in leaves(one):

                    def change(document: Json, key: str = key, at: int = at, path: Path = path, value: Json = value) -> None:
                        put(document["evidence"][key][at], path, other(value, []))

                    yield self._file("policy", f"{key} {at} {path}: {value!r}", change)


def _keys(value: Json, path: Path = ()) -> Iterator[tuple[Path, str]]:
    if isinstance(value, dict):
        for key in sorted(value):
            yield path, key
            yield from _keys(value[key], (*path, key))
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield from _keys(one, (*path, at))


def _at(value: Json, path: Path) -> Json:
    for key in path:
        value = value[key]
    return value


def _sort(value: Json) -> str:
    """Return what sort of native id a text is: its letters up to the first digit, or its path without the last part."""
    if not isinstance(value, str):
        return ""
    if "/" in value:
        return value.rpartition("/")[0]
    return re.match(r"[a-z_{:]*-?", value)[0] if re.match(r"[a-z_{:]*-?", value) else ""  # type: ignore[index]


def _shorter(span: str) -> str:
    first, _, last = span.partition("-")
    return first if last else ("2001:db8:77::7" if ":" in first else "198.18.77.9" if first != "198.18.77.9" else "198.18.77.8")


def _narrower(run: str) -> str:
    number, _, span = run.partition("/")
    first, last = span.split("-")
    return f"{number}/{first}-{int(last) - 1}" if first != last else f"{number}/{int(first) ^ 1}-{int(first) ^ 1}"

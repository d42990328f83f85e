"""A plan file taken apart: its digests, its pool of packet sets, and what it says of each target."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from cloudsync.verify.ground import Json, items, mapping, number, text
from cloudsync.verify.policy import addresses_of, runs_of
from cloudsync.verify.space import Packets, Runs, Space, Spans, UnreadableError

FORMAT, VERSION = "cloudsync-plan", 1
_NAMED = (
    *("target", "mode", "owner", "identity", "limits", "snapshot_digest", "desired_digest", "policy_digest"),
    *("scopes", "method", "phases", "adoptions", "certificate", "replay", "problems"),
)
_ABSENT: Mapping[str, Json] = {
    "scopes": [],
    "method": "none",
    "phases": [],
    "adoptions": [],
    "certificate": None,
    "replay": None,
    "problems": [],
}
"""What stands for a field that a plan file leaves out because it holds what it holds by default."""

Rows = tuple[tuple[int, Runs, Spans], ...]


class NoPlanError(ValueError):
    """The file is no plan that can be verified; `code` is NO-PLAN, BAD-PLAN or NO-EVIDENCE."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Target:
    """One target: its plan, and the evidence beside it."""

    name: str
    plan: Mapping[str, Json]
    evidence: Mapping[str, Json]

    def steps(self) -> Iterator[Mapping[str, Json]]:
        """Yield every step in plan order."""
        for phase in self.plan.get("phases", []):
            yield from phase["steps"]


@dataclass(slots=True)
class Pool:
    """The packet sets of a file, as it says them."""

    raw: list[Json]
    rows: list[Rows] = field(default_factory=list)
    made: dict[int, Packets] = field(default_factory=dict)

    def tell(self, space: Space, at: int) -> None:
        """Note what one set mentions."""
        for _, runs, spans in self.of(at):
            space.services(runs)
            space.addresses(spans)

    def of(self, at: Json) -> Rows:
        """Return one set by its number."""
        if not self.rows:
            self.rows = [_set(one) for one in self.raw]
        if not 0 <= number(at, "a packet set") < len(self.rows):
            raise UnreadableError(f"packet set {at} is not in the file")
        return self.rows[at]

    def packets(self, space: Space, at: Json) -> Packets:
        """Return one set in a space that was told of it."""
        found = self.made.get(at) if isinstance(at, int) else None
        if found is None:
            found = 0
            for _, runs, spans in self.of(at):
                found |= space.packets(spans, runs)
            self.made[at] = found
        return found


def _set(raw: Json) -> Rows:
    found = []
    for row in items(raw, "a packet set"):
        family, services, peers = items(row, "a band")
        if family not in (4, 6):
            raise UnreadableError(f"family {family!r}")
        spans = addresses_of(peers)
        if not spans or any(span[0] != family for span in spans) or not _ascending([span[1:] for span in spans], apart=2):
            raise UnreadableError("the peers of a packet set are not in order, or of another family")
        found.append((family, runs_of(services), spans))
    for family in (4, 6):
        if not _ascending([run for row in found if row[0] == family for run in row[1]], apart=1):
            raise UnreadableError("the services of a packet set are not in order")
    return tuple(found)


def _ascending(spans: Iterable[tuple[int, int]], *, apart: int) -> bool:
    """Tell whether runs follow each other without overlap, `apart` numbers between an end and the next start at least."""
    last = -apart
    for first, end in spans:
        if first < last + apart or end < first:
            return False
        last = end
    return True


def changed(table: Mapping[str, Json], end: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return a dump with what differs at the end put in."""
    found = dict(table)
    for key, change in end.items():
        if "whole" in change:
            found[key] = change["whole"]
        elif isinstance(found.get(key), list):
            gone = set(items(change["gone"], "what goes"))
            if not gone <= set(range(len(found[key]))):
                raise UnreadableError(f"{key}: something goes that is not there")
            found[key] = [one for at, one in enumerate(found[key]) if at not in gone] + items(change["new"], "what comes")
        else:
            before = mapping(found[key], key)
            if not set(change["gone"]) <= before.keys():
                raise UnreadableError(f"{key}: something goes that is not there")
            kept = {name: one for name, one in before.items() if name not in change["gone"]}
            found[key] = {**kept, **mapping(change["new"], "what comes")}
    return found


@dataclass(frozen=True, slots=True)
class Document:
    """A plan file. `wrong`: digests in it that do not hold."""

    targets: tuple[Target, ...]
    pool: Pool
    evidence: Mapping[str, Json]
    policy_digests: tuple[str, ...]
    wrong: tuple[tuple[str, str], ...]
    """Target (empty for the file) and what is wrong."""


def parse(content: str) -> Document:
    """Return a plan file taken apart. Raises NoPlanError for what is none."""
    try:
        top = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise NoPlanError("BAD-PLAN", f"is no JSON: {error}") from error
    if not isinstance(top, dict) or top.get("format") != FORMAT:
        raise NoPlanError("BAD-PLAN", "is no plan file of cloudsync")
    if top.get("version") != VERSION:
        raise NoPlanError("BAD-PLAN", f"is of version {top.get('version')!r}, this program reads {VERSION}")
    if "evidence" not in top or "content_digest" not in top:
        raise NoPlanError("NO-EVIDENCE", "carries nothing to check it by: it was made by an older version")
    try:
        return _taken_apart(top)
    except (UnreadableError, RecursionError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise NoPlanError("BAD-PLAN", f"does not hold a plan: {error}") from error


def _taken_apart(top: Mapping[str, Json]) -> Document:
    pool = Pool(items(top["packet_sets"], "packet_sets"))
    evidence = mapping(top["evidence"], "the evidence")
    of = mapping(evidence["targets"], "targets of the evidence")
    plans = [mapping(one, "a plan") for one in items(mapping(top["plan"], "the plan")["targets"], "targets")]
    targets = tuple(Target(text(one["target"], "a target"), one, mapping(of[one["target"]], "evidence")) for one in plans)
    if sorted(of) != sorted(one.name for one in targets):
        raise UnreadableError("plan and evidence are of different targets")
    policies = tuple(sorted({text(one.plan["policy_digest"], "a digest") for one in targets}))
    return Document(targets, pool, evidence, policies, tuple(_digests(top, targets, pool)))


def canonical(value: Json) -> str:
    """Return the one text of a JSON value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Json) -> str:
    """Return the SHA-256 of a JSON value in hex."""
    return sha256(canonical(value).encode()).hexdigest()


def target_digest(plan: Mapping[str, Json], pool: list[Json]) -> str:
    """Return the digest that names a target's plan: its fields with the packet sets written out."""
    named = {key: plan.get(key, _ABSENT.get(key)) for key in _NAMED}
    if plan.get("component") is not None:
        named["component"] = plan["component"]
    named["adoptions"] = [
        {key: pool[value] if key in ("inbound", "outbound") else value for key, value in one.items()} for one in named["adoptions"]
    ]
    return digest(named)


def _digests(top: Mapping[str, Json], targets: tuple[Target, ...], pool: Pool) -> Iterator[tuple[str, str]]:
    body = {key: value for key, value in top.items() if key != "content_digest"}
    if digest(body) != top["content_digest"]:
        yield "", "the content does not match its digest: the file was changed after it was written"
    said = mapping(top["digests"], "digests")
    for target in targets:
        if said.get(target.name) != target_digest(target.plan, pool.raw):
            yield target.name, "the plan does not match its digest: it was changed after it was written"
    if sorted(said) != sorted(one.name for one in targets):
        yield "", "the digests are of other targets"


def numbers(held: Mapping[str, Json]) -> Iterator[int]:
    """Yield the numbers of every packet set that a held point's evidence names."""
    for key in ("least", "most", "left_out", "forced", "plumbing"):
        if key in held:
            yield from items(held[key], key)
    for key in ("kept_in", "kept_out", "was_out"):
        if key in held:
            yield held[key]

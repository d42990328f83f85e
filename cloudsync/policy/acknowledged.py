"""`acknowledged.yaml`: findings that somebody has accepted until a time, and why. Read strictly, with every finding at its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from cloudsync.model.finding import Finding, Severity, Where
from cloudsync.model.quick import dataclass
from cloudsync.policy import schema, strict
from cloudsync.policy.characters import shown
from cloudsync.policy.resolve import read_time, time_hint, time_text
from cloudsync.policy.words import did_you_mean

FILE = "acknowledged.yaml"


@dataclass(frozen=True, slots=True)
class Accepted:
    """One line: the finding's key as reports print it, until when, why, and who says so."""

    finding: str
    until: datetime
    because: str
    by: str
    where: Where

    @property
    def target(self) -> str:
        """The target that the finding is of."""
        return self.finding.partition("/")[0]


def read_acknowledged(
    content: bytes, structure: Mapping[str, Any], *, file: str = FILE
) -> tuple[tuple[Accepted, ...], tuple[Finding, ...]]:
    """Return the lines of a file in order, and all findings by place. An empty file acknowledges nothing."""
    node, found = strict.load_node(file, content)
    findings = list(found)
    if node is None:
        return (), tuple(findings)
    findings += schema.check(node, structure, name=f"the file {file}")
    listed = node.get("acknowledged") if isinstance(node, strict.Mapping) else None
    lines: list[Accepted] = []
    seen: dict[str, Where] = {}
    for item in listed.items if isinstance(listed, strict.Sequence) else ():
        if isinstance(item, strict.Mapping):
            lines += _line(item, seen, findings)
    ordered = sorted(findings, key=lambda one: (one.where.line, one.where.col, one.code))
    return tuple(lines), tuple(ordered)


def _line(node: strict.Mapping, seen: dict[str, Where], findings: list[Finding]) -> Iterator[Accepted]:
    finding, until, because = (node.get(key) for key in ("finding", "until", "because"))
    by = node.get("by")
    if isinstance(finding, strict.Scalar) and not finding.missing:
        if finding.text in seen:
            message = f"finding '{shown(finding.text)}' again (first at line {seen[finding.text].line})"
            findings.append(Finding(finding.where, "DUPLICATE-NAME", message, "one line for each finding"))
            return
        seen[finding.text] = finding.where
    end = None
    if isinstance(until, strict.Scalar) and not until.missing:
        end = read_time(until.text)
        if end is None:
            findings.append(Finding(until.where, "BAD-TIME", f"'{shown(until.text)}' is no UTC time", time_hint(until.text)))
    if isinstance(finding, strict.Scalar) and end is not None and isinstance(because, strict.Scalar) and because.text:
        yield Accepted(finding.text, end, because.text, by.text if isinstance(by, strict.Scalar) else "", finding.where)


def lint(lines: tuple[Accepted, ...], targets: tuple[str, ...], now: datetime) -> Iterator[Finding]:
    """Yield a warning for every line that does nothing: it has ended, or no target of the settings has such a finding."""
    for one in lines:
        if one.until <= now:
            message = f"the acknowledgement of {shown(one.finding)} ended at {time_text(one.until)}"
            yield Finding(one.where, "EXPIRED", message, "take the line out, or give it a new end", Severity.WARNING)
        elif "/" in one.finding and one.target not in targets:
            hint = did_you_mean(one.target, targets, f"there are: {', '.join(targets)}")
            yield Finding(one.where, "UNKNOWN-TARGET", f"no target '{shown(one.target)}'", hint, Severity.WARNING)

"""The incident told in the words of an enemy: every text that comes from outside is hostile."""

from __future__ import annotations

from dataclasses import replace

from cloudsync.model.fidelity import Fidelity, Verdict
from cloudsync.model.workload import Labels
from cloudsync.report.matrix import Group
from cloudsync.report.story import Acknowledgement, Actor, Expiring, Made, Story, TargetState, Trouble
from cloudsync.report.values import Unchecked
from tests.stories.estate import DAY, HOUR, NOW
from tests.stories.pieces import marks

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "web\x1b[2J\x1b[31mred\x9b",
    "web\r\nBcc: everybody@evil.example\r\n\r\n<b>body</b>",
    '=HYPERLINK("http://evil.example","click")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(1+1)",
    "\t=1+1",
    "txt\u202eexe.nimda\u2066\u200b",
    "`$(reboot)` | **bold** [link](http://evil.example) ![i](http://evil.example/p.png) @team #1",
    "{{ 7*7 }} {% raw %}",
    '"><svg onload=alert(3)>',
    "'; DROP TABLE finding; --",
    "\u05e9\u05dc\u05d5\u05dd \u0639\u0631\u0628",
    "&lt;already&gt; &amp; escaped",
)
"""Names as an enemy would give them: HTML, terminal codes, new lines, formulas, reordering, Markdown, templates."""


FRIENDLY = tuple(f"name{number:02}" for number in range(len(HOSTILE)))
"""As many names without any harm: what is made of them has the shape that everything must keep."""


def spoken(base: Story, names: tuple[str, ...] = HOSTILE) -> Story:
    """Return a story with every text that comes from outside written in these words."""
    findings = tuple(
        replace(
            one,
            key=f"{one.target}/{number}{names[number % 3]}",
            target=names[number % len(names)],
            words=f"tcp/22 from {names[(number + 1) % len(names)]}",
            sentence=f"{names[(number + 2) % len(names)]} to 4 workloads: let in by {names[(number + 3) % len(names)]}",
            labels=Labels.of({"role": names[number % len(names)], "app": names[(number + 6) % len(names)]}),
            workloads=names,
            why=names[(number + 7) % len(names)],
            advice=names[(number + 8) % len(names)],
            actor=Actor(names[(number + 9) % len(names)], NOW - HOUR, names[(number + 10) % len(names)]),
            acknowledged=Acknowledgement("k", NOW + DAY, names[(number + 11) % len(names)], names[number % len(names)]),
            owners=names[:3],
            natives=names,
        )
        for number, one in enumerate((base.findings * 4)[: len(names)])
    )
    old = base.matrix
    assert old is not None
    groups = tuple(_group(one, number, names) for number, one in enumerate(old.groups))
    return replace(
        base,
        owner=names[0],
        policy=names[3],
        report=None,
        targets=tuple(TargetState(name, names[0], names[1], "drift", NOW - HOUR, name) for name in names[:6]),
        findings=findings,
        troubles=tuple(Trouble(name, "failed", name, NOW - HOUR, approve=name) for name in names),
        expiring=tuple(Expiring(name, name, NOW + DAY, protects=True, owner=name) for name in names),
        unchecked=tuple(Unchecked(name, name) for name in names),
        trend=tuple(marks({names[0]: (1.0, 12), names[3]: (2.0, 10)}, (names[9], names[4]), days=14, seed=9)),
        history=tuple(_made(one, number, names) for number, one in enumerate(base.history)),
        matrix=replace(old, groups=groups, inventory=names[3]),
        inexact=tuple(Fidelity(name, name, Verdict.CANNOT, name) for name in names),
        audit_head=names[3],
    )


def _group(group: Group, number: int, names: tuple[str, ...]) -> Group:
    members = tuple(
        replace(one, name=names[at % len(names)], target=names[-at % len(names)]) for at, one in enumerate(group.members, number)
    )
    return replace(group, labels=Labels.of({"role": names[number % len(names)]}), members=members)


def _made(one: Made, number: int, names: tuple[str, ...]) -> Made:
    target = names[number % len(names)]
    return replace(one, target=target, workloads=names, opens=names[:2], closes=names[2:], rules=names, policy=names[3])

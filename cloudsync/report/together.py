"""What several targets have to do together, for people: why, what is done, and where it waits. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cloudsync.plan.values import Component, CourseMethod, Gap, TargetPlan, Witness

Line = tuple[str, str]
"""A line and the colour of its meaning, as in `cloudsync.report.text`."""
WITNESSES = 2
"""How many flows a paragraph names; the plan file has more."""


def paragraphs(plans: Iterable[TargetPlan]) -> Iterator[Line]:
    """Yield one paragraph for each group of targets that have to be written together."""
    for component in dict.fromkeys(plan.component for plan in plans if plan.component is not None):
        yield "", ""
        yield from _paragraph(component)


def _paragraph(component: Component) -> Iterator[Line]:
    names = _listed(component.targets)
    yield (f"{names} share paths and are written together" if len(component.targets) > 1 else f"{names} is written in stages"), "head"
    for one in component.witnesses[:WITNESSES]:
        yield f"  why: {why(one)}", ""
    for number, line in enumerate(_how(component)):
        yield ("  how: " if number == 0 else "       ") + line, ""
    whole = component.replay
    if whole is not None and whole.violations:
        yield f"  NOT SAFE: {whole.violations[0].text()}", "bad"
    elif whole is not None:
        yield f"  every state of all of them together safe ({component.method.value.upper()}, {whole.states} states)", "dim"


def why(one: Witness) -> str:
    """Return one flow in words, and why a moment between could let it through."""
    onward = f" by {one.destination} to {one.behind}" if one.behind else f" to {one.destination}"
    flow = f"{one.source}{onward} on {one.service}"
    if one.opens.target == one.closes.target:
        return f"{flow} is open neither before nor after, but {one.opens.target} closes one end of it and opens the other"
    return f"{flow} is open neither before nor after, but would be if {one.opens.target} opened before {one.closes.target} has closed"


def _how(component: Component) -> Iterator[str]:
    """Yield what is done, stage by stage, and what that means for new access."""
    stages = [_listed([leg.target for leg in stage.legs]) for stage in component.stages]
    match component.method:
        case CourseMethod.ORDER:
            then = "".join(f", then {names}" for names in stages[1:])
            yield f"first {stages[0]}{then}; each waits until the one before is done, confirmed and settled"
        case CourseMethod.SHIELD:
            holders = _listed(dict.fromkeys(leg.target for stage in component.stages if stage.name != "change" for leg in stage.legs))
            yield f"temporary denies at {holders} keep it out while everybody changes; they go when all have changed and settled"
        case CourseMethod.MEET | CourseMethod.GAP:
            between = "".join(f", then {names}" for names in stages[1:-1])
            yield f"first {stages[0]} close what goes{between}; when all have, {stages[-1]} open what is new: new access comes last"
            if component.method is CourseMethod.GAP:
                yield gap(component.gap)
        case CourseMethod.NONE:
            yield "no order of their writes keeps it out: nothing is written"


def gap(one: Gap) -> str:
    """Return what is cut that both states allow, and for how long about."""
    packets = "1 packet" if one.packets == 1 else f"{one.packets} packets"
    points = "1 point" if one.points == 1 else f"{one.points} points"
    return (
        f"no order keeps everything open that stays allowed: the shortest gap cuts {packets} at {points} "
        f"for about {one.seconds:.0f} s ({one.steps} writes)"
    )


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    return found[0] if len(found) == 1 else ", ".join(found[:-1]) + f" and {found[-1]}"

"""`cloudsync explain SRC DST SERVICE`: what really happens to this packet, at every place, and what the policy says of it.

`cloudsync explain RULE`: which rule of the policy a name in a platform's description stands for.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloudsync.cli.exits import Exit
from cloudsync.cli.output import COMMAND_LINE, Output
from cloudsync.cli.progress import Bars

if TYPE_CHECKING:
    from cloudsync.app.repository import Loaded
    from cloudsync.app.session import Seen
    from cloudsync.model.packets import PacketSet
    from cloudsync.model.service import ServiceSet
    from cloudsync.proof.ends import Party
    from cloudsync.proof.opening import Opening
    from cloudsync.proof.trace import Ground, Onward, Question, Stop, Trace

SHOWN = 6
"""How many native rules are listed at one place; --json has all."""


def options(_verb: str, parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument(
        "source",
        metavar="SRC",
        help="who opens the flow: a workload's name, native id or address, another address, internet; alone, the name of a rule",
    )
    parser.add_argument("destination", metavar="DST", nargs="?", default="", help="to whom: the same")
    parser.add_argument(
        "service", metavar="SERVICE", nargs="?", default="", help="e.g. tcp/5432, icmp/echo-request, or a service of the policy"
    )
    parser.set_defaults(leave=parser.error)
    parser.add_argument("--target", action="append", default=[], metavar="NAME", help="read only this target (may be repeated)")


def run(chosen: argparse.Namespace, output: Output) -> int:
    """Answer the question. Exit code 0 whatever the answer, 4 or 5 when a place on the way could not be read."""
    if not chosen.service:
        return _rule(chosen, output)
    from cloudsync.app import session
    from cloudsync.compile.behind import Behind
    from cloudsync.proof.opening import opening
    from cloudsync.proof.trace import Question, trace

    with Bars(output) as bars, session.start(Path(chosen.repository), chosen.target, verb="explain", progress=bars) as one:
        services = _services(one.loaded, chosen.service)
        seen = one.look()
        source, destination = _ends(seen, chosen.source, chosen.destination)
    question = Question(source, destination, services)
    grounds = _grounds(seen)
    found = trace(question, seen.scene.compiler, grounds, Behind.of(seen.scene.policy.rules))
    blocked = any(stop.asked - stop.ruling.permits for stop in found.stops if _decides(stop, question))
    sentence = None
    if blocked and not any(stop.ruling.forbids for stop in found.stops if _decides(stop, question)):
        sentence = opening(seen.scene.policy, seen.scene.compiler.universe, source, destination, chosen.service)
    _tell(question, chosen.service, found, sentence, output)
    output.document("explain", **_document(question, chosen.service, found, sentence))
    return _code(seen, found)


def _rule(chosen: argparse.Namespace, output: Output) -> int:
    """Say which rule a name stands for. Leaves where it is no name of a rule: then a question lacks its other end."""
    from cloudsync.app.repository import load
    from cloudsync.model.naming import Naming, naming

    name = naming(chosen.source)
    if name is None or chosen.destination:
        missing = "SERVICE" if chosen.destination else "DST, SERVICE, unless SRC is a rule as platforms name it"
        chosen.leave(f"the following arguments are required: {missing}")
    rules = load(Path(chosen.repository), outside=False).policy.rules
    found = next((one for one in rules if chosen.source in (one.written, one.id)), None)
    output.line(f"{chosen.source}: {f'{found.id} ({found.where.file}:{found.where.line})' if found else 'not in the policy now'}", "bold")
    if found is not None:
        output.line(f"  {found.text}")
        output.line(f"  in what is written on platforms: {found.written}")
    if name is not None and name[1] is Naming.COUNTED:
        output.line("  a number in a description was given by an earlier release, as its rule stood then: it need not be this one")
    rule = None if found is None else {"rule": found.id, "where": str(found.where), "sentence": found.text, "written": found.written}
    output.document("explain-rule", name=chosen.source, found=rule)
    return Exit.OK


def _code(seen: Seen, found: Trace) -> Exit:
    """An answer is an answer; what stood in its way has the code it has everywhere."""
    from cloudsync.proof.trace import Passing

    if found.passing is not Passing.UNREAD:
        return Exit.OK
    missing = {stop.workload.target for stop in found.stops if stop.passing is Passing.UNREAD}
    return Exit.REFUSED if any(one.refused for one in seen.readings if one.target.name in missing) else Exit.FAILED


def _services(loaded: Loaded, text: str) -> ServiceSet:
    """Return the services of a text in the policy's language. Raises InputError."""
    from cloudsync.model.errors import InputError
    from cloudsync.model.finding import Finding
    from cloudsync.policy.load import load_objects
    from cloudsync.policy.services import read_service, starts_like_a_protocol
    from cloudsync.policy.syntax import ANY
    from cloudsync.policy.words import did_you_mean, listed

    if text == ANY or starts_like_a_protocol(text):
        found = read_service(text, COMMAND_LINE)
        if isinstance(found, Finding):
            raise InputError([found])
        return found
    declared = load_objects(loaded.snapshot.policy).services
    if text not in declared:
        known = f"the policy has {listed(declared)}" if declared else "the policy declares none"
        hint = did_you_mean(text, (*declared, "tcp", "udp", "icmp"), f"{known}; or write e.g. tcp/443")
        raise InputError([Finding(COMMAND_LINE, "UNKNOWN-SERVICE", f"no service '{text}'", hint)])
    return declared[text].services


def _ends(seen: Seen, source: str, destination: str) -> tuple[Party, Party]:
    from cloudsync.model.errors import InputError
    from cloudsync.model.finding import Finding
    from cloudsync.proof.ends import party

    workloads = seen.scene.inventory.workloads
    found = [party(text, workloads, COMMAND_LINE) for text in (source, destination)]
    wrong = [one for one in found if isinstance(one, Finding)]
    first, second = found
    if isinstance(first, Finding) or isinstance(second, Finding):
        raise InputError(wrong)
    if first.workload is None and second.workload is None:
        message = "neither end is a workload of the inventory, so no table decides"
        raise InputError([Finding(COMMAND_LINE, "NO-WORKLOAD", message, "give at least one workload")])
    return first, second


def _grounds(seen: Seen) -> dict[str, Ground]:
    from cloudsync.proof.trace import Ground

    return {one.target.name: Ground(one.target.mode, one.adapter, one.snapshot, one.error) for one in seen.readings}


def _decides(stop: Stop, question: Question) -> bool:
    """Tell whether the policy's word at this place counts: the destination's always, the source's where it is the only one or enforced."""
    from cloudsync.compile.allowed import Direction

    return stop.direction is Direction.IN or question.destination.workload is None or stop.ruling.held


# --- text ------------------------------------------------------------------------------------------------------------


def _tell(question: Question, service: str, found: Trace, sentence: Opening | None, output: Output) -> None:
    from cloudsync.proof.trace import Passing

    output.line(f"{_end(question.source)} -> {_end(question.destination)}  {service}", "bold")
    output.line(_verdict(found), *(("green",) if found.passing in (Passing.ALL, Passing.FREE) else ("red", "bold")))
    for number, stop in enumerate(found.stops, 1):
        for line in _stop_lines(number, stop):
            output.line(line)
    way = "would go on" if found.passing is Passing.NONE else "goes on"
    for onward in found.onward[:SHOWN]:
        output.line(f"  {way} to {_onward_words(onward)}")
    if len(found.onward) > SHOWN:
        output.line(f"  {way} to {len(found.onward) - SHOWN} more members")
    decisive = [stop for stop in found.stops if _decides(stop, question)]
    for reason in dict.fromkeys(reason for stop in decisive for reason in stop.ruling.reasons):
        output.line(f"  policy: {reason}")
    for unheld in dict.fromkeys(stop.ruling.unheld for stop in decisive if stop.ruling.unheld):
        output.line(f"  but {unheld}: what the platform has decides alone", "yellow")
    if any(stop.ruling.forbids for stop in decisive):
        output.line("  no allow outranks a never rule: change that rule, or take one of the two out of it with `except`")
    if sentence is not None:
        if sentence.first:
            output.line(f"  first declare, with a name of your own: {sentence.first}")
        held = any(stop.ruling.held for stop in decisive)
        start = "it would open with" if held else "were it enforced, it would take"
        output.line(f"  {start}: {sentence.sentence}     in {sentence.ruleset} ({sentence.where.file}:{sentence.where.line})")


def _end(end: Party) -> str:
    one = end.workload
    if one is None:
        return end.text
    addresses = ", ".join(interface.addresses.text(3) for interface in end.interfaces())
    return f"{one.name} ({one.target or 'inventory files'}, {addresses}; {one.labels.text()})"


def _verdict(found: Trace) -> str:
    from cloudsync.compile.allowed import Direction
    from cloudsync.proof.trace import Passing, passing_of

    if found.nothing:
        return found.nothing
    if found.passing is Passing.FREE:
        return "NOT FILTERED by any platform that cloudsync reads"
    if found.passing is Passing.ALL:
        return "ALLOWED now, at every place"
    words = {Passing.NONE: "BLOCKED", Passing.SOME: "PARTLY ALLOWED", Passing.UNREAD: "UNKNOWN"}
    where = []
    for direction, name in ((Direction.OUT, "the source"), (Direction.IN, "the destination")):
        stops = found.side(direction)
        if stops and passing_of(stops) is found.passing:
            where.append(name)
    return f"{words[found.passing]} now, at {' and '.join(where)}"


def _stop_lines(number: int, stop: Stop) -> Iterator[str]:
    from cloudsync.compile.allowed import Direction
    from cloudsync.proof.trace import Passing
    from cloudsync.report.origins import origin_text

    inbound = stop.direction is Direction.IN
    way = "ingress" if inbound else "egress"
    state = stop.passing.value.upper() if stop.passing is Passing.NONE else stop.passing.value
    place = f"{stop.workload.target or 'inventory files'} {way} of {stop.workload.name}"
    place += f" {stop.interface.ref}" if stop.interface.ref else ""
    line = f"  {number} {place}: {state}"
    if stop.why:
        line += f", {stop.why}"
    elif stop.passing is Passing.NONE and not stop.hops:
        line += f", no rule of {' or '.join(stop.objects) or 'this place'} lets it {'in' if inbound else 'out'}"
    yield line
    if stop.passing is Passing.SOME:
        yield f"      passes: {_packets(stop.passes, inbound=inbound)}"
        yield f"      does not: {_packets(stop.asked - stop.passes, inbound=inbound)}"
    for hop in stop.hops:
        from_rules = ", ".join(map(origin_text, hop.origins))
        whose = f", ours, from {from_rules}" if from_rules else ", ours" if hop.ours else ""
        yield f"      {hop.where}: {hop.verdict} by {hop.rule}{whose}"
    for through in () if stop.hops else stop.rules[:SHOWN]:
        entry = through.entry
        from_rules = ", ".join(map(origin_text, through.origins))
        kept = "ours, kept as it was (egress: leave)" if not inbound and stop.ruling.egress.value == "leave" else "ours"
        whose = f"ours, from {from_rules}" if from_rules else kept if entry.ours else "not ours"
        said = f" ({entry.note})" if entry.note and not entry.ours else ""
        yield f"      by {entry.native} in {entry.object_name} ({entry.object}), {whose}{said}"
    if any(through.plumbing for through in stop.rules):
        yield "      always open: the platform itself must get through here, whatever the policy says"
    if len(stop.rules) > SHOWN and not stop.hops:
        yield f"      and {len(stop.rules) - SHOWN} more rules"
    if stop.passes != stop.asked and stop.ruling.unheld and not stop.why:
        yield f"      {stop.ruling.unheld}: cloudsync opens nothing here"
    if stop.opens:
        yield f"      the next apply opens {_packets(stop.opens, inbound=inbound)}"
    if stop.closes:
        yield f"      the next apply closes {_packets(stop.closes, inbound=inbound)}"


def _onward_words(one: Onward) -> str:
    from cloudsync.proof.trace import Passing

    who = f"{one.member.name} ({one.member.target or 'inventory files'}, {one.addresses.text(3)})" if one.member else one.addresses.text(3)
    origin = f"from {one.sources.text(3)}" if one.sources else "from the client's address"
    state = one.passing.value.upper() if one.passing is Passing.NONE else one.passing.value
    return f"{who} {one.services.text()} {origin}: {state}{f', {one.why}' if one.why else ''}"


def _packets(packets: PacketSet, *, inbound: bool) -> str:
    way = "from" if inbound else "to"
    parts = [f"{services.text()} {way} {peers.text(3)}" for peers, services in packets.products()]
    return "; ".join(parts[:3]) + (f"; and {len(parts) - 3} more" if len(parts) > 3 else "")


# --- JSON ------------------------------------------------------------------------------------------------------------


def _document(question: Question, service: str, found: Trace, sentence: Opening | None) -> dict[str, Any]:
    return {
        "source": _end_document(question.source),
        "destination": _end_document(question.destination),
        "service": service,
        "answer": found.passing.name.lower(),
        "note": found.nothing,
        "places": [_place_document(stop) for stop in found.stops],
        "onward": [_onward_document(one) for one in found.onward],
        "opening": None
        if sentence is None
        else {"sentence": sentence.sentence, "ruleset": sentence.ruleset, "where": str(sentence.where), "first": sentence.first},
    }


def _end_document(end: Party) -> dict[str, Any]:
    one = end.workload
    if one is None:
        return {"text": end.text, "workload": None, "target": "", "labels": {}, "addresses": list(end.only.cidrs())}
    addresses = [cidr for interface in end.interfaces() for cidr in interface.addresses.cidrs()]
    return {"text": end.text, "workload": one.id, "target": one.target, "labels": dict(one.labels.pairs), "addresses": addresses}


def _onward_document(one: Onward) -> dict[str, Any]:
    return {
        "workload": one.member.id if one.member else None,
        "target": one.member.target if one.member else "",
        "addresses": list(one.addresses.cidrs()),
        "services": [run.text() for run in one.services.ranges()],
        "sources": list(one.sources.cidrs()),
        "answer": one.passing.name.lower(),
        "why": one.why,
    }


def _place_document(stop: Stop) -> dict[str, Any]:
    from cloudsync.report.document import packets_document

    ruling = stop.ruling
    return {
        "target": stop.workload.target,
        "workload": stop.workload.id,
        "point": stop.interface.point,
        "direction": stop.direction.value,
        "answer": stop.passing.name.lower(),
        "why": stop.why,
        "asked": packets_document(stop.asked),
        "passes": packets_document(stop.passes),
        "objects": list(stop.objects),
        "rules": [
            {
                "object": one.entry.object,
                "name": one.entry.object_name,
                "native": one.entry.native,
                "id": one.entry.id,
                "in_our_object": one.entry.ours,
                "origins": [{"rule": origin.rule, "where": str(origin.where) if origin.where else ""} for origin in one.origins],
            }
            for one in stop.rules
        ],
        "hops": [
            {
                "where": hop.where,
                "verdict": hop.verdict,
                "rule": hop.rule,
                "ours": hop.ours,
                "origins": [{"rule": origin.rule, "where": str(origin.where) if origin.where else ""} for origin in hop.origins],
            }
            for hop in stop.hops
        ],
        "sample": stop.sample.text() if stop.sample and stop.hops else "",
        "policy": {
            "permits": packets_document(ruling.permits),
            "reasons": list(ruling.reasons),
            "mode": ruling.mode.value,
            "egress": ruling.egress.value,
            "enforced": ruling.held,
            "not_enforced_because": ruling.unheld,
        },
        "next_apply": {"opens": packets_document(stop.opens), "closes": packets_document(stop.closes)},
    }

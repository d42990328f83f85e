"""The page of figures, `docs/benchmarks/README.md`, and its plots: made from one run's figures and from nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.plot import Bar, Line, bars, lines

Figures = Mapping[str, Any]
NOT_RUN = "not run"
GOALS = {"noop": 40, "noop_calls": 50, "apply": 25, "scan": 1.0, "aerleon": 10}
"""At least so many times as fast, so many times fewer calls; of the scan: at most so much of its time."""


def write(figures: Figures, folder: Path) -> None:
    """Write figures, page and plots into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files(figures).items():
        (folder / name).write_text(text, encoding="utf-8")
    for name in ("peers.svg", "scale.svg"):
        if name not in files(figures):
            (folder / name).unlink(missing_ok=True)


def files(figures: Figures) -> dict[str, str]:
    """Return the text of every file by its name. What was not run has no plot."""
    found = {"figures.json": json.dumps(figures, indent=2, sort_keys=True) + "\n"}
    peers, scale = _peers_plot(figures), _scale_plot(figures)
    if peers:
        found["peers.svg"] = peers
    if scale:
        found["scale.svg"] = scale
    found["README.md"] = page(figures, [name for name in found if name.endswith(".svg")])
    return found


def page(figures: Figures, plots: Sequence[str]) -> str:
    """Return the page as Markdown."""
    parts = [_head(figures)]
    if "peers.svg" in plots:
        parts.append("![Ratios to other tools, logarithmic](peers.svg)")
    parts += [_peers(figures), _startup(figures)]
    if "scale.svg" in plots:
        parts.append("![Compile time and memory over the number of workloads, both axes logarithmic](scale.svg)")
    parts += [_scale(figures), _proof(figures), _floor(figures), _how(), _parts(figures)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _parts(figures: Figures) -> str:
    """Return when each part ran: parts of one page may be of several hours."""
    rows = [
        f"| {name} | {one['date']} | {one['commit']} | {one['load_at_start']} -> {one['load_at_end']} |"
        for name, one in sorted(figures.get("parts", {}).items())
    ]
    return "## When\n\n" + _table(("part", "began", "commit", "load average"), rows) if rows else ""


def _head(figures: Figures) -> str:
    machine = figures["machine"]
    return (
        "# Benchmarks\n\n"
        "Written by `make bench`, never by hand; the raw figures are in [figures.json](figures.json). Every ratio is between commands\n"
        "that ran in turn, in one run, on one machine, against the same simulated platform on loopback; each answer was checked before\n"
        "its time was taken. Seconds are of this machine at this load and say little elsewhere; ratios and calls carry over.\n\n"
        f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_gib']} GiB, {machine['system']}, Python {machine['python']},"
        f" boto3 {machine['boto3']}; commit {machine['commit']}, {machine['date']}.\n"
        f"Load average {machine['load_at_start']} at the start of the last part, {machine['load_at_end']} at its end ({_loaded(machine)})."
    )


def _loaded(machine: Figures) -> str:
    busy = max(machine["load_at_start"], machine["load_at_end"]) > 2 * machine["cores"]
    return "others were at work on the same cores: wall times are several times those of a quiet machine" if busy else "little else ran"


# --- beside other tools ----------------------------------------------------------------------------------------------


def _ran(figures: Figures, name: str) -> list[Figures]:
    return [one for one in figures.get(name) or () if one]


def _peers(figures: Figures) -> str:
    head = ["## Beside other tools", "", "| what | ratio | goal | cloudsync | the other | calls | runs |", "|---|---|---|---|---|---|---|"]
    return "\n".join([*head, *_ansible(figures), *_custodian(figures), *_aerleon(figures)])


def _ansible(figures: Figures) -> Iterable[str]:
    name = "Ansible `amazon.aws.ec2_security_group`"
    ran = _ran(figures, "ansible")
    if not ran:
        yield f"| {name} | {NOT_RUN} | | | | | |"
    for one in ran:
        noop, apply = one["noop"], one["apply"]
        what = f"{one['groups']} groups, {one['wait_ms']} ms a call ({one['versions']})"
        yield (
            f"| {name}: no-op, {what} | **{one['ratio_noop']}x** as fast (CPU {one['ratio_noop_cpu']}x),"
            f" **{one['ratio_noop_calls']}x** fewer calls |"
            f" >= {GOALS['noop']}x, >= {GOALS['noop_calls']}x | {_time(noop['ours'])} | {_time(noop['theirs'])} |"
            f" {noop['calls']} : {noop['calls_theirs']} |"
            f" {noop['ours']['runs']} |"
        )
        yield (
            f"| {name}: apply, {what}; {one['slept_s']:.0f} s that it sleeps taken off |"
            f" **{one['ratio_apply_without_sleep']}x** as fast (CPU {one['ratio_apply_cpu']}x) |"
            f" >= {GOALS['apply']}x | {_time(apply['ours'])} | {_time(apply['theirs'])}, sleep included | {apply['calls']} :"
            f" {apply['calls_theirs']} | {apply['ours']['runs']} |"
        )


def _custodian(figures: Figures) -> Iterable[str]:
    name = "Cloud Custodian, scan for open groups"
    ran = _ran(figures, "custodian")
    if not ran:
        yield f"| {name} | {NOT_RUN} | | | | | |"
    for one in ran:
        yield (
            f"| {name}: `drift` takes, {one['groups']} groups, {one['wait_ms']} ms a call ({one['versions']}) |"
            f" **{one['ratio']}** of its time | <= {GOALS['scan']:g} | {_time(one['ours'])} | {_time(one['theirs'])} |"
            f" {one['calls']} : {one['calls_theirs']} |"
            f" {one['ours']['runs']} |"
        )


def _aerleon(figures: Figures) -> Iterable[str]:
    one = figures.get("aerleon")
    if not one:
        yield f"| aerleon, compile | {NOT_RUN} | | | | | |"
        return
    yield (
        f"| aerleon, compile and render for Google Compute, {one['terms']:,} terms x {one['addresses']:,} addresses ({one['versions']}) |"
        f" **{one['ratio_compile_cpu']}x** less CPU (wall {one['ratio_compile']}x; CPU"
        f" {one['ratio_with_sentences_cpu']}x with our sentences read,"
        f" {one['ratio_process_cpu']}x the whole processes) |"
        f" >= {GOALS['aerleon']}x | {one['ours']['compile_cpu_s']:.2f} s |"
        f" {one['theirs']['compile_cpu_s']:.2f} s | | {one['ours']['runs']} |"
    )


def _time(one: Figures) -> str:
    if one["runs"] == 1:
        return f"{one['wall_s']:.2f} s (1 run)"
    return f"{one['wall_s']:.2f} s ({one['wall_min_s']:.2f}-{one['wall_max_s']:.2f})"


# --- the rest --------------------------------------------------------------------------------------------------------


def _startup(figures: Figures) -> str:
    found = figures.get("startup")
    head = "## Start-up: from exec to the first byte of the first call\n\n"
    if not found:
        return head + NOT_RUN
    rows = [
        f"| {name} | **{one['ratio_cpu']}x** {one['plain']} | {one['first_cpu_s']:.2f} s | {one['plain_cpu_s']:.2f} s |"
        f" {one['first_s']:.2f} s ({one['first_min_s']:.2f}-{one['first_max_s']:.2f}) | {one['runs']} |"
        for name, one in sorted(found.items())
    ]
    columns = ("a warm `reconcile` on one target", "ratio by CPU", "CPU until then", "CPU of the plain script", "wall until then", "runs")
    return head + _table(columns, rows) + "\n\nThe plain script makes the vendor's client and ends, without a call."


def _scale(figures: Figures) -> str:
    found = figures.get("scale")
    head = "## Compile at scale\n\n"
    if not found:
        return head + NOT_RUN
    rows = [
        f"| {one['workloads']:,} | {one['rules']:,} | {one['cpu_s']:.2f} s | {one['wall_s']:.2f} s | {one['peak_mb']:,.0f} MB |"
        f" {one['prefixes']:,} | {one['runs']} |"
        for one in found["series"]
    ]
    columns = ("workloads", "rules", "CPU", "wall", "peak memory, inventory included", "prefixes in its tables", "runs")
    after = f"\n\nTime grows with the workloads to the power of **{found['exponent']:.2f}** (least squares; 1 is in proportion)."
    change = found.get("label_change")
    if change:
        after += (
            f"\nOne label of one of {change['workloads']:,} workloads changes, {change['rules']:,} rules:"
            f" p50 **{change['p50_ms']:.2f} ms**,"
            f" p99 **{change['p99_ms']:.2f} ms** of CPU to new tables, over {change['changed']} changes."
        )
    return head + _table(columns, rows) + after


def _proof(figures: Figures) -> str:
    found = _ran(figures, "proof")
    head = "## Proof of one enforcement point\n\n"
    if not found:
        return head + NOT_RUN
    rows = []
    for one in found:
        beside = [f"{one['cpu_s'][name]:.3f} s = **{one['ratio'][name]}x**" if name in one["ratio"] else NOT_RUN for name in ("z3", "cudd")]
        kind = "seven ports" if one["few_ports"] else "a port each"
        cells = (
            f"{one['rules']:,}, {kind}",
            f"**{one['one_s'] * 1000:.1f} ms**",
            f"{one['cpu_s']['ours']:.3f} s",
            *beside,
            f"{one['runs']}",
        )
        rows.append(f"| {' | '.join(cells)} |")
    columns = ("rules of one list", "from rendered text to what it lets in", "two lists decided", "z3", "CUDD", "runs")
    after = (
        f"\n\nSeconds are CPU seconds ({found[0]['versions']}). Goals: 1,000 rules in 50 ms, 10,000 in 500 ms. The lists are first-match"
        "\nlists of one machine; the second says the same in other words, a third is found unequal by everybody, and by ours with a"
        "\npacket. Reading the platform's text, which the others do not do, is in the first figure alone."
    )
    return head + _table(columns, rows) + after


def _floor(figures: Figures) -> str:
    ran = (name for name in figures if name.startswith("groups-") and figures[name])
    names = sorted(ran, key=lambda name: int(name.partition("-")[2]))
    head = "## Beside a plain script that only reads\n\n"
    if not names:
        return head + NOT_RUN
    rows = [
        f"| {name.partition('-')[2]} groups | **{figures[name]['ratio_noop']:.2f}x** | {figures[name]['noop']['wall_s']:.2f} s |"
        f" {figures[name]['floor']['wall_s']:.2f} s |"
        f" {sum(figures[name]['calls_noop'].values())} : {sum(figures[name]['calls_floor'].values())} |"
        f" {figures[name]['noop']['runs']} |"
        for name in names
    ]
    return head + _table(("no-op of `apply`", "ratio", "cloudsync", "the script", "calls", "runs"), rows)


def _table(columns: Sequence[str], rows: Sequence[str]) -> str:
    return "\n".join([f"| {' | '.join(columns)} |", "|" + "---|" * len(columns), *rows])


def _how() -> str:
    return (
        "## How it is measured\n\n"
        "    make bench\n"
        "    python -m bench --only ansible --peer-times 5\n"
        "    python -m bench.scale --one 100000 10000\n\n"
        "Whole processes, in turn, medians with the least and the most; calls are counted by the simulated platform, not by us. Other\n"
        "tools live in environments of their own under `.bench/peers`, made from the pins in `bench/peers`; one that cannot be installed\n"
        'is "not run". Ansible\'s module sleeps three seconds after each group that it makes; that is taken off before the ratio. Cloud\n'
        "Custodian looks for groups open to anywhere, which needs the groups alone; `drift` reads machines, interfaces and lists as well\n"
        "and compares all of it with the policy. aerleon and cloudsync get the same addresses and terms as plain values and have to write\n"
        "the same rules; aerleon's terms are dictionaries, ours are rules that were read before."
    )


def _peers_plot(figures: Figures) -> str:
    found: list[Bar] = []
    for one in _ran(figures, "ansible"):
        wait = f"{one['wait_ms']} ms a call"
        found.append(Bar(f"Ansible no-op, {wait}", one["ratio_noop"], GOALS["noop"]))
        if not one["wait_ms"]:
            found.append(Bar("Ansible no-op, calls", one["ratio_noop_calls"], GOALS["noop_calls"]))
        found.append(Bar(f"Ansible apply without its sleep, {wait}", one["ratio_apply_without_sleep"], GOALS["apply"]))
    found += [
        Bar(f"Custodian scan, {one['groups']} groups, {one['wait_ms']} ms", round(1 / one["ratio"], 2), 1 / GOALS["scan"])
        for one in _ran(figures, "custodian")
    ]
    if figures.get("aerleon"):
        found.append(Bar("aerleon compile, CPU", figures["aerleon"]["ratio_compile_cpu"], GOALS["aerleon"]))
    below = "Longer is better for cloudsync: the other's time (or calls) divided by ours. Dashed: the goal."
    return bars("How many times as fast as other tools", below, found) if found else ""


def _scale_plot(figures: Figures) -> str:
    found = (figures.get("scale") or {}).get("series") or ()
    if len(found) < 2:
        return ""
    cpu = Line("CPU seconds", " s", tuple((one["workloads"], one["cpu_s"]) for one in found))
    memory = Line("Peak memory, MB", "", tuple((one["workloads"], one["peak_mb"]) for one in found))
    below = "Dashed: growth in proportion to the workloads. Both axes are logarithmic; across: workloads."
    return lines("Compile of a whole policy, from selectors to tables of prefixes", below, (cpu, memory))

"""Plant mutants and see which test notices: `python -m tests.mutation [SCOPE...] [--sample N] [--again FILE]`."""

from __future__ import annotations

import argparse
import ast
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from time import perf_counter

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.acting.folders import private_folder
from tests.mutation.equivalents import Equivalents
from tests.mutation.mutants import mutants
from tests.mutation.running import ROOT, Campaign, Fate, Limits, Verdict, sorted_verdicts
from tests.mutation.scopes import FLOOR, SCOPES, files_of, tests_of
from tests.trust.figures import record

NOTICED = (Fate.KILLED, Fate.STUCK)


def main(arguments: list[str]) -> int:
    """Return 0 when every package reaches the floor, nothing is out of date and nothing went wrong."""
    asked = _parsed(arguments)
    if len(asked.scope) == 1:
        return _run(asked.scope[0], asked, Equivalents.read())
    options = [one for one in arguments if one not in asked.scope]
    scopes = asked.scope or SCOPES  # each in a process of its own: a module is loaded once in a process
    codes = [
        subprocess.run([sys.executable, "-m", "tests.mutation", scope, *options], check=False, cwd=ROOT).returncode for scope in scopes
    ]
    return int(any(codes))


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("scope", nargs="*", help=f"{', '.join(SCOPES)} or a file; all of them when none is named")
    parser.add_argument("--sample", type=int, default=0, help="so many mutants of each scope, the same ones in each run")
    parser.add_argument("--again", type=Path, help="only the mutants named in this file, as a report lists them")
    parser.add_argument("--tests", nargs="+", default=None, help="the tests that may kill, instead of those of the scope")
    parser.add_argument("--total", type=float, default=Limits().total_s, help="seconds of tests before a mutant counts as a survivor")
    parser.add_argument("--workers", type=int, default=1)
    return parser.parse_args(arguments)


def _run(scope: str, asked: argparse.Namespace, known: Equivalents) -> int:
    files = files_of(scope)
    chosen = _chosen(asked, files)
    campaign = Campaign(files, chosen, Limits(total_s=asked.total, workers=asked.workers))
    began = perf_counter()
    settings.register_profile(
        "mutation",
        phases=(Phase.explicit, Phase.generate),  # one failure is enough, its smallest form is not wanted
        database=None,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile("mutation")
    tests = asked.tests or tests_of(scope)
    options = [
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
        "-q",
        "--no-header",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-p",
        "no:logging",
        "-m",
        "not slow",
    ]
    folder = private_folder()  # in memory where the machine has that: thousands of state files are made durable for nothing
    try:
        options += ["--basetemp", f"{folder}/pytest", "--rootdir", str(ROOT)]
        code = pytest.main([*options, *tests], plugins=[campaign])
    finally:
        shutil.rmtree(folder)
    return _report(scope, campaign, known, perf_counter() - began) if code in (0, 1) else int(code)


def _chosen(asked: argparse.Namespace, files: list[str]) -> frozenset[str]:
    """Return the names of the mutants that are planted."""
    trees = {file: ast.parse((ROOT / file).read_text(encoding="utf-8")) for file in files}
    every = [mutant for file, tree in trees.items() for mutant in mutants(file, tree)]
    if asked.again:
        names = set(map(str.strip, asked.again.read_text(encoding="utf-8").splitlines()))
        every = [mutant for mutant in every if mutant.name in names]
    if asked.sample:
        every = sorted(every, key=lambda mutant: mutant.draw)[: asked.sample]
    return frozenset(mutant.name for mutant in every)


def _report(scope: str, campaign: Campaign, known: Equivalents, seconds: float) -> int:
    verdicts = list(sorted_verdicts(campaign.verdicts))
    fates = Counter(one.fate for one in verdicts)
    excused = [one for one in verdicts if one.fate not in NOTICED and one.mutant.name in known.reasons]
    left = [one for one in verdicts if one.fate not in NOTICED and one.mutant.name not in known.reasons]
    for one in left:
        print(f"{one.fate.value}: {one.mutant.name}    (line {one.mutant.line})")
    wrong = [*campaign.troubles, *_stale(verdicts, known)]
    for line in wrong:
        print(f"trouble: {line}")
    noticed = sum(fates[one] for one in NOTICED)
    score = 100 * noticed / max(1, len(verdicts) - len(excused))
    record(
        f"T5 mutation {scope}",
        {
            "mutants": len(verdicts),
            "killed": noticed,
            "stuck": fates[Fate.STUCK],
            "equivalent": len(excused),
            "survived": len(left),
            "score_percent": round(score, 1),
            "seconds": round(seconds),
        },
    )
    return int(score < FLOOR or bool(wrong))


def _stale(verdicts: list[Verdict], known: Equivalents) -> list[str]:
    return [
        f"{one.mutant.name} is called equivalent, yet {one.by} notices it"
        for one in verdicts
        if one.fate in NOTICED and one.mutant.name in known.reasons
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

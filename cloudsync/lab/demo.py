"""The whole main job in two minutes, on a simulated estate over four platforms: `python -m cloudsync.lab.demo`.

Everything is done the way a user does it: through the command line of cloudsync, and through the vendors' APIs where people tamper. The
lab listens on loopback alone and is ended at the end, whatever happens.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .kit.faults import Json
from .people import People

BOLD, DIM, RESET = "\x1b[1m", "\x1b[2m", "\x1b[0m"


class DemoError(Exception):
    """A step of the demo came to something else than it should."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demo plays: a folder for the lab, one for the config repository, and the environment of a real client."""

    lab: Path
    repository: Path
    environment: dict[str, str]

    def cloudsync(self, *words: str, expect: Sequence[int] = (0,), show: bool = True) -> str:
        """Run one command as a user would, show it, and insist on its exit code."""
        command = [sys.executable, "-m", "cloudsync.cli.main", *words]
        say(f"\n$ cloudsync {' '.join(words)}", BOLD)
        started = time.monotonic()
        done = subprocess.run(  # noqa: S603 - our own command line
            command, cwd=self.repository, env=self.environment, capture_output=True, text=True, check=False
        )
        if show:
            say(done.stdout.rstrip() + (("\n" + done.stderr.rstrip()) if done.stderr.strip() else ""))
        say(f"(exit {done.returncode}, {time.monotonic() - started:.1f} s)", DIM)
        if done.returncode not in expect:
            if not show:
                say(done.stdout + done.stderr)
            raise DemoError(f"cloudsync {words[0]} ended with {done.returncode}, wanted {' or '.join(map(str, expect))}")
        return done.stdout


def say(text: str, style: str = "") -> None:
    """Print a line of the story."""
    print(f"{style}{text}{RESET}" if style and sys.stdout.isatty() else text, flush=True)


def main() -> int:
    """Play the demo; 0 when every step came to what it should."""
    root = Path(tempfile.mkdtemp(prefix="cloudsync-demo-"))
    stage = Stage(root / "lab", root / "repository", dict(os.environ))
    try:
        return _play(stage)
    except DemoError as error:
        say(f"\nthe demo failed: {error}", BOLD)
        return 1
    finally:
        subprocess.run(  # noqa: S603 - our own command line
            [sys.executable, "-m", "cloudsync.cli.main", "lab", "down", "--dir", str(stage.lab)], capture_output=True, check=False
        )
        shutil.rmtree(root, ignore_errors=True)


def _play(stage: Stage) -> int:
    stage.repository.mkdir(parents=True)
    say("1. A simulated estate on loopback: AWS, GCP, Azure and a pair of F5s, each with years of hand-made rules.", BOLD)
    stage.cloudsync("lab", "up", "--dir", str(stage.lab), "--estate", "four", "--background")
    lab = json.loads((stage.lab / "lab.json").read_text(encoding="utf-8"))
    stage.environment.update(_exports(stage))

    say("\n2. A config repository: settings and one policy for all four, as plain files, to be kept in git.", BOLD)
    write_repository(stage.repository, lab)
    say("".join(f"   {line}\n" for line in (stage.repository / "policy/applications.yaml").read_text().splitlines()[12:21]).rstrip(), DIM)
    stage.cloudsync("validate")

    say("\n3. What would change? Every write, proven packet for packet before anything is sent.", BOLD)
    stage.cloudsync("plan", "-o", "plan.json", expect=(2, 4))

    say(
        "\n4. A first run takes over hand-made rules, so the guards ask a person. The printed command approves this plan and no other.",
        BOLD,
    )
    _approve(stage)
    stage.cloudsync("apply", "plan.json", "--yes")

    say("\n5. Somebody is in a hurry, on each of the four platforms.", BOLD)
    people = People(lab)
    for tamper in (people.aws, people.gcp, people.azure, people.f5):
        say(f"   {tamper()}", DIM)
    say("\n   One report says what that opens, to whom, and by which rule.", BOLD)
    stage.cloudsync("drift", expect=(2,))

    say("\n6. Converge again.", BOLD)
    stage.cloudsync("apply", "--yes")

    say("\n7. A second run has nothing to do, and writes nothing.", BOLD)
    stage.cloudsync("apply", "--yes")
    stage.cloudsync("drift")

    say("\n8. Why may a packet pass? It is followed through every place on its way, from the F5 into the cloud.", BOLD)
    stage.cloudsync("explain", "vs_ordering_https", "gcp-prod/ordering-web-1", "tcp/443")
    say("\nDone: planned, proven, guarded, applied, tampered with, found, converged, on four platforms from one policy.", BOLD)
    return 0


def _exports(stage: Stage) -> dict[str, str]:
    """Return what `lab env` tells a real client to set."""
    text = stage.cloudsync("lab", "env", "--dir", str(stage.lab), show=False)
    pairs = (line.removeprefix("export ").split("=", 1) for line in text.splitlines() if line.startswith("export "))
    return {name: shlex.split(value)[0] if value else "" for name, value in pairs}


def write_repository(root: Path, lab: Json) -> None:
    """Write the demo's config repository, with the places of this lab filled in."""
    source = Path(__file__).parent / "repository"
    for path in sorted(source.rglob("*.yaml")):
        target = root / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_PLACE.sub(lambda match: _filled(match[1], lab), path.read_text(encoding="utf-8")), encoding="utf-8")


_PLACE = re.compile(r"\{((?:aws|azure|f5|gcp)(?:\.\w+)+)\}")


def _filled(place: str, lab: Json) -> str:
    """Return the value at a dotted place of lab.json, e.g. `f5.0.hostname`."""
    found = lab
    for part in place.split("."):
        found = found[int(part)] if part.isdigit() else found[part]
    return str(found)


def _approve(stage: Stage) -> None:
    """Run the approve commands that the refusals of the plan print, until none is left."""
    report = json.loads(stage.cloudsync("plan", "--json", expect=(2, 4), show=False))
    for target in report["targets"]:
        for refusal in target["refusals"]:
            if not refusal["approve"]:
                raise DemoError(f"{refusal['guard']}: {refusal['message']}")
            stage.cloudsync(*shlex.split(refusal["approve"])[1:])


if __name__ == "__main__":
    sys.exit(main())
